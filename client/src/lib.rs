//! What a game client embeds.
//!
//! From the bottom up: [`Connection`] turns WebSocket messages into protocol messages (handshake and sealed
//! records), [`Session`] keeps one player or spectator in one match over any number of connections, and checks
//! and executes every block. Beside the verified state it shows the predicted one: [`Session::predicted`]. Neither
//! does IO. With the feature `transport`, [`Client`] drives both over tokio-tungstenite and comes back by itself
//! when a connection is lost.

#![deny(clippy::float_arithmetic)]

mod agreement;
mod chunks;
mod commitments;
mod connection;
mod draft;
mod first_state;
mod follower;
mod heal;
mod joining;
mod light;
mod prediction;
mod session;
mod talk;
#[cfg(feature = "transport")]
mod transport;
mod witness;

pub use connection::{Connection, ConnectionError, Received, SUBPROTOCOL};
pub use draft::UndraftCause;
#[cfg(feature = "faults")]
pub use follower::Fault;
pub use follower::{FollowError, Followed, Follower};
pub use heal::{Cause, Desync, HealError};
pub use light::{LightFollower, Viewport};
pub use prediction::{Misprediction, MispredictionCause, Predicted};
pub use session::{Config, Credential, Event, LendError, Session, SessionError, SubmitError};
pub use talk::{Said, SayError};
#[cfg(feature = "transport")]
pub use transport::{Client, ClientError, LIMIT_HEADER, Limited, ServerUrl, UrlError, create_room};
