//! The service: the tasks that run rooms, the store and its one writer, the WebSocket and HTTP edge, and the
//! command line.

pub mod cli;
mod clock;
pub mod config;
mod desyncs;
mod durable;
mod edge;
pub mod export;
pub mod key_file;
mod limiter;
mod log;
pub mod metrics;
pub mod passphrase;
mod rooms;
mod server_keys;
mod service;
mod stands;
pub mod store;
mod witness;

pub use rooms::fork_origin;
pub use service::{Expired, Service, ServiceError};
