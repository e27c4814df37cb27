//! What the benches share: the clock, the bare cryptography that stands beside each figure, and whole matches
//! prepared beforehand, so that only the server's part is measured.

#![allow(dead_code, reason = "each bench uses its part")]

pub(crate) mod bare;
pub(crate) mod clock;
pub(crate) mod script;
pub(crate) mod server;
