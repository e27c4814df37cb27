//! The room engine: seats, turns, clocks, receipts and blocks.
//!
//! A [`Room`] is a value. It is fed with [`Input`]s and the time, and asked for [`Output`]s; it awaits
//! nothing, reads no clock, draws no random number, opens no file and holds no secret key. So one room runs in
//! a unit test, in a simulated network and in the server with the same code.
//!
//! **Invariant:** nothing that a crash could take back is told. What must be remembered leaves as
//! [`Output::Commit`]; what depends on it is sent only after [`Input::Committed`] came back.

#![deny(clippy::float_arithmetic)]

mod curtain;
mod guests;
mod heal;
mod input;
mod lobby;
mod playing;
mod room;
mod talk;

pub use curtain::{WITHHELD_MAX, withheld};
pub use heal::COMPARISONS_MAX;
pub use input::{Event, GuestId, Input, Output, Record, Records, Shown};
pub use room::{Host, JOIN_MS_MAX, KEYFRAME_TURNS, Origin, Restored, Room};
