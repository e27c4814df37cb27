//! What those see who execute nothing.

use std::collections::{BTreeMap, BTreeSet};

use cadastre_protocol::{ChunkId, Height, MatchId};
use cadastre_replay::Replay;
use cadastre_simulations::Game;

use super::{Stored, Witness};
use crate::tally::{Rarity, Tally};

/// What somebody saw of a state.
pub(super) struct View {
    /// Who.
    client: usize,
    match_id: MatchId,
    height: Height,
    chunks: BTreeMap<ChunkId, Vec<u8>>,
}

impl Witness {
    /// Somebody who executes nothing was shown a part of the state after a block.
    pub(crate) fn show(
        &mut self,
        client: usize,
        match_id: MatchId,
        height: Height,
        chunks: &BTreeMap<ChunkId, Vec<u8>>,
    ) {
        self.shown.push(View { client, match_id, height, chunks: chunks.clone() });
    }

    /// Everything that was shown is as whoever executes the match finds it, at its height.
    pub(super) fn check_views(&self, stored: &Stored, tally: &mut Tally) {
        let of_match = || self.shown.iter().filter(|view| view.match_id == stored.match_id);
        let replay = Replay::open(&stored.bytes).unwrap();
        let mut game = Game::begin(replay.genesis(), stored.first.as_deref()).unwrap();
        for block in &stored.blocks {
            let work = block.work(replay.genesis(), game.setup().seed, game.stand_in());
            game.execute(&work);
            for view in of_match().filter(|view| view.height == block.header().height) {
                for (id, chunk) in &view.chunks {
                    let expected = game.simulation().chunk(*id);
                    assert_eq!(expected.as_ref(), Some(chunk), "chunk {id:?} at height {}", view.height);
                }
            }
        }
        let mut seen: BTreeMap<usize, BTreeSet<Vec<ChunkId>>> = BTreeMap::new();
        for view in of_match() {
            let parts = seen.entry(view.client).or_default();
            if parts.insert(view.chunks.keys().copied().collect()) && parts.len() > 1 {
                tally.count(Rarity::LookedElsewhere);
            }
        }
    }
}
