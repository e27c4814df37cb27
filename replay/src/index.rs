//! The index: where the blocks and keyframes begin. It saves a reader that fetches parts of a file the way
//! through all of it, and proves nothing.

use cadastre_protocol::{Height, Turn};

use crate::record::RecordKind;

/// A blocks or keyframe record, as the index lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    pub(crate) kind: RecordKind,
    /// Turn of the first block, or of the state.
    pub(crate) turn: Turn,
    pub(crate) first_height: Height,
    /// Where the record begins.
    pub(crate) offset: u64,
}

/// `count u32 ‖ (type u8 ‖ 0 0 0 ‖ turn u32 ‖ first height u64 ‖ offset u64)…`
///
/// There is no decoder: whoever has the whole file makes the index from it and compares.
pub(crate) fn to_bytes(entries: &[IndexEntry]) -> Vec<u8> {
    // As many entries as an u32 cannot count are far over the limit of the record.
    let mut bytes = u32::try_from(entries.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
    for entry in entries {
        bytes.extend_from_slice(&[entry.kind.code(), 0, 0, 0]);
        bytes.extend_from_slice(&entry.turn.get().to_le_bytes());
        bytes.extend_from_slice(&entry.first_height.get().to_le_bytes());
        bytes.extend_from_slice(&entry.offset.to_le_bytes());
    }
    bytes
}
