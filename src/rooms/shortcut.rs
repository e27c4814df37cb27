//! A later state of a running match, from which a newcomer goes on: made once for all who come until it is old.

use std::sync::Arc;

use cadastre_protocol::{ChainState, Height, JoinPoint, MatchId, ProvenHeader, ServerMessage, encode};
use cadastre_rooms::KEYFRAME_TURNS;
use cadastre_simulations::Snapshot;

use super::{outgoing::Outgoing, places::Places};
use crate::store::{ReadError, Store};

/// A guest that misses no more blocks than this gets them in any case: whoever executes them has verified more.
const MISSED_BLOCKS_MAX: u64 = KEYFRAME_TURNS as u64;

/// A shortcut is old when the blocks after it have more than this part of its bytes.
const BLOCKS_PART: u64 = 40;

/// A state that can be joined.
#[derive(Debug)]
pub(crate) struct Shortcut {
    match_id: MatchId,
    places: Arc<Places>,
    point: JoinPoint,
    /// The join point for whoever has nothing but the genesis.
    first: Outgoing,
    chunks: Vec<Outgoing>,
    bytes: u64,
}

/// Is so much missing that a shortcut is worth a look?
pub(super) const fn is_far(after: Height, to: Height) -> bool {
    to.get().saturating_sub(after.get()) > MISSED_BLOCKS_MAX
}

impl Shortcut {
    /// Encodes a state. Its block is on disk.
    pub(super) fn new(
        store: &Store,
        match_id: MatchId,
        places: Arc<Places>,
        state: ChainState,
        snapshot: Snapshot,
    ) -> Result<Self, ReadError> {
        let block = ProvenHeader::of(&store.block(match_id, state.head().height)?)?;
        let chunks: Vec<_> = ServerMessage::chunks_of(snapshot).iter().map(Outgoing::new).collect();
        let point = JoinPoint { block, state, place: Vec::new() };
        let first = Outgoing::new(&ServerMessage::Snapshot(Box::new(point.clone())));
        let sent = |message: &Outgoing| message.bytes(true).len();
        let bytes = sent(&first) + chunks.iter().map(sent).sum::<usize>();
        Ok(Self { match_id, places, point, first, chunks, bytes: u64::try_from(bytes).unwrap_or(u64::MAX) })
    }

    /// The height from which it goes on.
    pub(crate) fn height(&self) -> Height {
        self.point.state.head().height
    }

    /// Is it time for a new one, after blocks of so many bytes?
    pub(super) const fn is_old(&self, block_bytes: u64) -> bool {
        block_bytes > self.bytes / BLOCKS_PART
    }

    /// The messages for a guest with the head `after`; `None` if the blocks between have fewer bytes.
    pub(crate) fn messages(&self, store: &Store, after: Height) -> Result<Option<Vec<Outgoing>>, ReadError> {
        let mut blocks_bytes = 0;
        for height in after.get() + 1..=self.height().get() {
            blocks_bytes += encode(&store.block(self.match_id, Height::new(height))?).len() as u64;
            if blocks_bytes > self.bytes {
                let first = self.join_point(after)?;
                return Ok(Some(std::iter::once(first).chain(self.chunks.iter().cloned()).collect()));
            }
        }
        Ok(None)
    }

    /// The join point, with the proof that the block `after` comes before it.
    fn join_point(&self, after: Height) -> Result<Outgoing, ReadError> {
        if after == Height::GENESIS {
            return Ok(self.first.clone());
        }
        let point = JoinPoint { place: self.places.proof(after, self.height())?, ..self.point.clone() };
        Ok(Outgoing::new(&ServerMessage::Snapshot(Box::new(point))))
    }
}
