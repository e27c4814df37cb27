//! The trailer: the last record, of fixed size, so that a reader finds the index from the end of the file.

use bincode::{Decode, Encode};
use cadastre_protocol::{BlockHash, Height, Wire};

use crate::record::record_bytes;

/// Content of the trailer record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Trailer {
    /// Does the file claim to hold the match to its Seal?
    pub(crate) completeness: Completeness,
    /// Where the index record begins.
    pub(crate) index_offset: u64,
    /// Height of the last block.
    pub(crate) height: Height,
    /// Hash of the last block; the match id where there is none.
    pub(crate) head: BlockHash,
    /// Length of the whole file.
    pub(crate) file_bytes: u64,
}

/// Whether a file holds a match to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Completeness {
    /// The match went on, or goes on.
    Partial,
    /// The last block is the Seal.
    Complete,
}

impl Completeness {
    pub(crate) const fn of(sealed: bool) -> Self {
        if sealed { Self::Complete } else { Self::Partial }
    }
}

impl Trailer {
    /// Length of the trailer record, which is never compressed.
    pub(crate) fn record_bytes() -> u64 {
        record_bytes(u32::try_from(Self::BYTES_MAX).expect("60"))
    }
}

impl Wire for Trailer {
    const BYTES_MAX: usize = 4 + 8 + 8 + 32 + 8;
}
