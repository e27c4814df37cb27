//! What the fuzz targets do. A workspace of its own, since only cargo-fuzz builds it: `scripts/fuzz SECONDS`
//! runs each target. The same functions are compiled and fed with the corpus by `tests/fuzz_corpus.rs`.

#![allow(clippy::unwrap_used, reason = "a fuzz target may panic")]

#[path = "../../protocol/tests/reference/mod.rs"]
mod reference;
mod targets;

/// The target of this name.
pub fn named(name: &str) -> fn(&[u8]) {
    let found = targets::all().find(|(candidate, _)| *candidate == name);
    found.unwrap_or_else(|| panic!("no target {name}")).1
}
