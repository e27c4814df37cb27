//! The games: deterministic state and rules, and the trait that hides which game it is.
//!
//! Takes ids, codec and state tree from `cadastre-protocol`; knows no key and no network.

#![deny(clippy::float_arithmetic)]

mod boxes;
mod city;
mod desync;
mod difference;
mod game;
mod history;
mod past;
mod picture;
mod simulation;

pub use cadastre_protocol::{CHUNK_BYTES_MAX, Orders};
pub use desync::{DIFFERENCES_MAX, DifferingChunk, Disagreement, Incident, Version};
pub use difference::{Difference, Field, Subject};
pub use game::{Applied, ByPhase, Game, find_rules, newest_rules};
pub use history::{HISTORY_BYTES_MAX, HISTORY_TURNS, History, PastTurn, State};
pub use picture::{Cell, Picture, Rgb, SEAT_COLOURS};
pub use simulation::{Refusal, Rules, SetupError, Simulation, Snapshot, Void};

/// Every set of rules that this build can run. Old versions stay, so that old replays stay playable.
pub const RULES: &[Rules] = &[boxes::RULES, city::RULES];
