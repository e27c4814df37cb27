//! Proofs that a block stands in the chain of a later one.

use std::sync::{Mutex, PoisonError};

use cadastre_protocol::{BlockHash, Digest, Height, JoinPoint, MatchId, ProvenHeader};

use crate::store::{ReadError, Store};

/// The names of a match's blocks, read from the store once they are needed: 32 bytes each.
#[derive(Debug)]
pub(crate) struct Places {
    store: Store,
    match_id: MatchId,
    /// From the genesis on.
    blocks: Mutex<Vec<BlockHash>>,
}

impl Places {
    pub(super) const fn new(store: Store, match_id: MatchId) -> Self {
        Self { store, match_id, blocks: Mutex::new(Vec::new()) }
    }

    /// Proof that the block at `own` stands in the chain of the one at `height`, which is higher and on disk.
    ///
    /// # Errors
    ///
    /// A block between them cannot be read.
    pub(crate) fn proof(&self, own: Height, height: Height) -> Result<Vec<Digest>, ReadError> {
        if own == Height::GENESIS {
            return Ok(Vec::new());
        }
        // What is in it is right also if somebody panicked over it: blocks are only added whole.
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if blocks.is_empty() {
            blocks.push(self.match_id.as_block());
        }
        for missing in u64::try_from(blocks.len()).unwrap_or(u64::MAX)..height.get() {
            let block = self.store.block(self.match_id, Height::new(missing))?;
            blocks.push(ProvenHeader::of(&block)?.hash());
        }
        let before = blocks.iter().take(usize::try_from(height.get()).unwrap_or(usize::MAX)).copied();
        Ok(JoinPoint::place_of(own, before))
    }
}
