//! Forks.

use cadastre::{export, store::Store};
use cadastre_protocol::{Attempt, Millis, Revocations, Turn};
use cadastre_replay::{Replay, audit_parent};

use super::Stored;
use crate::{
    server::root_key,
    tally::{Rarity, Tally},
};

impl Stored {
    /// A fork names a block of its parent, and begins with the state that whoever replays the parent finds there.
    pub(super) fn check_fork(&self, store: &Store, tally: &mut Tally) {
        let replay = Replay::open(&self.bytes).unwrap();
        let Some(parent) = replay.genesis().parent else {
            assert!(self.first.is_none());
            return;
        };
        let file = export::replay(store, None, parent.match_id, Millis::default()).unwrap().unwrap();
        let root = Some(root_key().public());
        let judged = audit_parent(&self.bytes, &file, root, &Revocations::NONE).unwrap();
        assert_eq!(judged, Ok(parent));
        let of_parent = Replay::open(&file).unwrap();
        let block = of_parent.blocks_from(parent.height).next().unwrap().unwrap().read().unwrap();
        let header = block.block().header();
        assert_eq!((header.height, header.turn), (parent.height, parent.turn));
        let left = of_parent.player_in(parent.turn, header.attempt).unwrap();
        let begun = replay.player_in(Turn::START, Attempt::FIRST).unwrap();
        assert_eq!(begun.game().snapshot(), left.game().snapshot());
        tally.count(Rarity::Fork);
    }
}
