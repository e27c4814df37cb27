//! The games: deterministic state and rules, and the trait that hides which game it is.
//!
//! Takes ids, codec and state tree from `cadastre-protocol`; knows no key and no network.

#![deny(clippy::float_arithmetic)]

mod boxes;
mod city;
mod game;
mod picture;
mod simulation;

pub use cadastre_protocol::Orders;
pub use game::{Applied, Game, find_rules, newest_rules};
pub use picture::{Cell, Picture, Rgb, SEAT_COLOURS};
pub use simulation::{CHUNK_BYTES_MAX, Refusal, Rules, SetupError, Simulation, Snapshot, Void};

/// Every set of rules that this build can run. Old versions stay, so that old replays stay playable.
pub const RULES: &[Rules] = &[boxes::RULES, city::RULES];
