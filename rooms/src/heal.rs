//! Guests whose state differs from a block's: theirs is compared with the room's, and they get what they need
//! to put it right. `docs/protocol.md`, "Comparing states".

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use cadastre_protocol::{
    Attempt, ChunkId, ChunkProof, CompareAnswer, CompareRequest, Height, OWN_CHUNKS_MAX, StateRoot,
    StateTree, Turn, TurnOrders, WALK_FANOUT,
};
use cadastre_simulations::{Game, HISTORY_TURNS, History, Incident, PastTurn, State, Version};

use crate::input::GuestId;

/// Comparisons under way in one room; a new one takes the place of the oldest.
pub const COMPARISONS_MAX: usize = 8;

/// Requests for nodes in one comparison: one for each step of the walk.
const STEPS_MAX: usize = 4;

/// The last turns of a match, and the guests that came to another state in one of them.
#[derive(Debug)]
pub(crate) struct Comparisons {
    history: History,
    /// The block that the history begins with.
    since: Height,
    /// The attempt that the history is of: a turn that is played again has another state.
    attempt: Attempt,
    /// The last turn whose block is on disk: what guests may know of.
    released: Turn,
    /// The last turns that were asked for, executed again.
    traces: VecDeque<Arc<Trace>>,
    under_way: BTreeMap<GuestId, Comparison>,
    /// The last turn that each guest has compared: no guest compares one twice.
    compared: BTreeMap<GuestId, Turn>,
    /// The last turn of which a spectator was reported: one is enough, and anybody can watch.
    reported: Option<Turn>,
}

/// A turn that was executed again, once for all who ask.
#[derive(Debug)]
struct Trace {
    past: PastTurn,
    tree: StateTree,
    phases: Vec<StateRoot>,
}

#[derive(Debug)]
struct Comparison {
    trace: Arc<Trace>,
    is_player: bool,
    /// The guest's roots after each phase; the last one is that of its state.
    theirs: Vec<StateRoot>,
    own_chunks: State,
    own_ids: Vec<ChunkId>,
    steps: usize,
    /// Chunks that were asked for; each is given once.
    given: Option<ChunkId>,
}

impl Comparisons {
    /// Begins at the state of `game`, which is that of the block at `since`, in this attempt.
    pub(crate) fn new(game: &Game, since: Height, attempt: Attempt) -> Self {
        Self {
            since,
            attempt,
            history: History::new(game),
            released: Turn::START,
            traces: VecDeque::new(),
            under_way: BTreeMap::new(),
            compared: BTreeMap::new(),
            reported: None,
        }
    }

    /// The state of the game.
    pub(crate) const fn state(&self) -> &State {
        self.history.newest()
    }

    /// A turn was executed on `game`, and changed the chunks `dirty`.
    pub(crate) fn executed(&mut self, game: &Game, turn: Turn, orders: &TurnOrders<'_>, dirty: &[ChunkId]) {
        self.history.push(game, turn, orders, dirty);
    }

    /// The block of this turn, at this height, is on disk. Those that were taken back say nothing of what is on disk
    /// of the history.
    pub(crate) fn release(&mut self, turn: Turn, height: Height) {
        if height >= self.since {
            self.released = turn;
        }
    }

    pub(crate) fn forget(&mut self, guest: GuestId) {
        self.under_way.remove(&guest);
        self.compared.remove(&guest);
    }

    /// Answers a request; own chunks are not answered. An incident comes of the first request for chunks, which
    /// ends the guest's own account.
    pub(crate) fn answer(
        &mut self,
        game: &Game,
        (guest, is_player): (GuestId, bool),
        request: CompareRequest,
    ) -> (Vec<CompareAnswer>, Option<Incident>) {
        let answered = match request {
            CompareRequest::Begin { attempt, .. } if attempt != self.attempt => None,
            CompareRequest::Begin { turn, phases, .. } => {
                self.begin(game, (guest, is_player), turn, phases).map(|answer| (vec![answer], None))
            }
            CompareRequest::Nodes { level, indices } => {
                let comparison = self.under_way.get_mut(&guest);
                comparison.and_then(|it| it.nodes(level, &indices)).map(|answer| (vec![answer], None))
            }
            CompareRequest::OwnChunk { proof, chunk } => {
                let comparison = self.under_way.get_mut(&guest);
                if comparison.and_then(|it| it.own_chunk(&proof, chunk.as_deref())).is_none() {
                    self.under_way.remove(&guest);
                }
                return (Vec::new(), None);
            }
            CompareRequest::Chunks { ids } => {
                let reported = &mut self.reported;
                self.under_way.get_mut(&guest).and_then(|it| it.chunks(game, &ids, reported))
            }
        };
        answered.unwrap_or_else(|| {
            self.under_way.remove(&guest);
            (vec![CompareAnswer::Unknown], None)
        })
    }

    fn begin(
        &mut self,
        game: &Game,
        (guest, is_player): (GuestId, bool),
        turn: Turn,
        theirs: Vec<StateRoot>,
    ) -> Option<CompareAnswer> {
        if turn > self.released || self.compared.get(&guest).is_some_and(|last| *last >= turn) {
            return None;
        }
        let trace = self.trace(game, turn)?;
        if theirs.last() == Some(&trace.tree.root()) {
            return None;
        }
        if self.under_way.len() >= COMPARISONS_MAX {
            let replaced = self.replaceable(is_player)?;
            self.under_way.remove(&replaced);
        }
        self.compared.insert(guest, turn);
        let answer = CompareAnswer::Phases { roots: trace.phases.clone() };
        let comparison = Comparison {
            trace,
            is_player,
            theirs,
            own_chunks: State::default(),
            own_ids: Vec::new(),
            steps: 0,
            given: None,
        };
        self.under_way.insert(guest, comparison);
        Some(answer)
    }

    /// Whose comparison makes room for that of a player or a spectator: spectators' first, then the oldest turn's. No
    /// spectator's is worth a player's.
    fn replaceable(&self, for_player: bool) -> Option<GuestId> {
        let candidates = self.under_way.iter().filter(|(_, it)| for_player || !it.is_player);
        candidates.min_by_key(|(_, it)| (it.is_player, it.trace.past.turn)).map(|(guest, _)| *guest)
    }

    /// Executes a turn again, once for all who ask.
    fn trace(&mut self, game: &Game, turn: Turn) -> Option<Arc<Trace>> {
        if let Some(trace) = self.traces.iter().find(|trace| trace.past.turn == turn) {
            return Some(trace.clone());
        }
        let past = self.history.turn(turn)?;
        let mut again = Game::restore(game.setup(), &past.before.snapshot()).ok()?;
        let (_, phases) = again.apply_traced(&past.orders());
        let trace = Arc::new(Trace { tree: past.after.tree(), past, phases });
        self.traces.push_back(trace.clone());
        if self.traces.len() > HISTORY_TURNS {
            self.traces.pop_front();
        }
        Some(trace)
    }
}

impl Comparison {
    fn nodes(&mut self, level: u8, indices: &[u16]) -> Option<CompareAnswer> {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return None;
        }
        let mut nodes = Vec::with_capacity(indices.len() * WALK_FANOUT);
        for index in indices {
            nodes.extend(self.trace.tree.below(level, *index)?);
        }
        Some(CompareAnswer::Nodes { nodes })
    }

    /// Takes only what belongs to the state that the guest says it has.
    fn own_chunk(&mut self, proof: &ChunkProof, chunk: Option<&[u8]>) -> Option<()> {
        let ascends = self.own_ids.last().is_none_or(|last| *last < proof.id);
        if !ascends || self.own_ids.len() == OWN_CHUNKS_MAX || Some(&proof.root(chunk)) != self.theirs.last()
        {
            return None;
        }
        self.own_ids.push(proof.id);
        self.own_chunks.put(proof.id, chunk);
        Some(())
    }

    fn chunks(
        &mut self,
        game: &Game,
        ids: &[ChunkId],
        reported: &mut Option<Turn>,
    ) -> Option<(Vec<CompareAnswer>, Option<Incident>)> {
        if self.given.is_some_and(|given| ids.first().is_none_or(|first| *first <= given)) {
            return None;
        }
        let turn = Some(self.trace.past.turn);
        let wanted = self.given.is_none() && (self.is_player || *reported < turn);
        if wanted && !self.is_player {
            *reported = turn;
        }
        let incident = if wanted { self.incident(game) } else { None };
        self.given = ids.last().copied();
        let chunk = |id: &ChunkId| CompareAnswer::Chunk {
            proof: Box::new(self.trace.tree.prove(*id)),
            chunk: self.trace.past.after.chunk(*id).map(<[u8]>::to_vec),
        };
        Some((ids.iter().map(chunk).collect(), incident))
    }

    fn incident(&self, game: &Game) -> Option<Incident> {
        let Trace { past, tree, phases } = &*self.trace;
        let left = Version { root: tree.root(), phases, state: &past.after };
        let right = Version { root: *self.theirs.last()?, phases: &self.theirs, state: &self.own_chunks };
        Some(Incident::new(game, past.clone(), left, right, &self.own_ids))
    }
}

#[cfg(test)]
mod tests {
    use cadastre_protocol::{Digest, RulesId, Setup};

    use super::*;

    const PASS: TurnOrders<'static> = TurnOrders { roll: Digest::ZERO, orders: Vec::new() };

    /// A match of boxes after so many turns, in which every seat passed.
    fn after(turns: u32) -> (Game, Comparisons) {
        let rules = RulesId { name: "boxes".into(), version: 1 };
        let setup = Setup { rules, options: vec![2, 0], seats: 2, seed: Digest::ZERO };
        let mut game = Game::start(&setup).unwrap();
        let mut comparisons = Comparisons::new(&game, Height::GENESIS, Attempt::FIRST);
        for turn in 1..=turns {
            let dirty = game.apply(&PASS).dirty;
            comparisons.executed(&game, Turn::new(turn), &PASS, &dirty);
            comparisons.release(Turn::new(turn), Height::new(turn.into()));
        }
        (game, comparisons)
    }

    #[test]
    fn a_block_that_was_taken_back_releases_nothing() {
        let (game, mut comparisons) = after(4);
        let root = astray(&game).0.root();
        comparisons.since = Height::new(9);
        comparisons.released = Turn::new(3);
        comparisons.release(Turn::new(4), Height::new(8));
        assert!(is_unknown(&comparisons.answer(&game, (guest(1), true), begin(4, root))));
        comparisons.release(Turn::new(4), Height::new(10));
        assert!(!is_unknown(&comparisons.answer(&game, (guest(1), true), begin(4, root))));
    }

    /// The state of somebody who has another first row of edges.
    fn astray(game: &Game) -> (StateTree, Vec<u8>) {
        let mut state = State::from(game.snapshot());
        let chunk = vec![7; state.chunk(ChunkId::new(1)).unwrap().len()];
        state.put(ChunkId::new(1), Some(&chunk));
        (state.tree(), chunk)
    }

    fn guest(number: u64) -> GuestId {
        GuestId::new(number)
    }

    fn begin(turn: u32, root: StateRoot) -> CompareRequest {
        CompareRequest::Begin { turn: Turn::new(turn), attempt: Attempt::FIRST, phases: vec![root] }
    }

    fn is_unknown(answers: &(Vec<CompareAnswer>, Option<Incident>)) -> bool {
        *answers == (vec![CompareAnswer::Unknown], None)
    }

    #[test]
    fn only_turns_that_are_held_and_told_are_compared() {
        let (mut game, mut comparisons) = after(10);
        let root = astray(&game).0.root();
        let dirty = game.apply(&PASS).dirty;
        comparisons.executed(&game, Turn::new(11), &PASS, &dirty);
        let mut unknown = |turn| {
            let answer = comparisons.answer(&game, (guest(u64::from(turn)), true), begin(turn, root));
            is_unknown(&answer)
        };
        assert!(unknown(0) && unknown(3) && unknown(12), "forgotten, or not there yet");
        assert!(unknown(11), "not on disk yet");
        assert!(!unknown(4) && !unknown(10));
        let right = begin(10, comparisons.history.turn(Turn::new(10)).unwrap().after.tree().root());
        let answer = comparisons.answer(&game, (guest(99), true), right);
        assert!(is_unknown(&answer), "whose state is the block's has nothing to compare");
    }

    #[test]
    fn no_spectator_takes_a_players_place_and_one_of_them_is_reported() {
        let (game, mut comparisons) = after(4);
        let root = astray(&game).0.root();
        let mut begins = |number, is_player| {
            !is_unknown(&comparisons.answer(&game, (guest(number), is_player), begin(4, root)))
        };
        let most = COMPARISONS_MAX as u64;
        assert!((0..most).all(|number| begins(number, number > 0)));
        assert!(begins(most, true), "in the place of the spectator");
        assert!(!begins(most + 1, false) && begins(most + 2, true));
        comparisons.under_way.clear();
        for (number, reported) in [(100, true), (101, false)] {
            comparisons.answer(&game, (guest(number), false), begin(4, root));
            let chunks = CompareRequest::Chunks { ids: vec![ChunkId::new(1)] };
            let (answers, incident) = comparisons.answer(&game, (guest(number), false), chunks);
            assert_eq!((answers.len(), incident.is_some()), (1, reported));
        }
    }

    #[test]
    fn the_oldest_comparison_makes_room_for_a_new_one() {
        let (game, mut comparisons) = after(4);
        let root = astray(&game).0.root();
        let ask = || CompareRequest::Nodes { level: 16, indices: vec![0] };
        for number in 0..=COMPARISONS_MAX as u64 {
            let turn = if number == 3 { 3 } else { 4 };
            assert!(!is_unknown(&comparisons.answer(&game, (guest(number), true), begin(turn, root))));
        }
        assert_eq!(comparisons.under_way.len(), COMPARISONS_MAX);
        for number in 0..=COMPARISONS_MAX as u64 {
            assert_eq!(is_unknown(&comparisons.answer(&game, (guest(number), true), ask())), number == 3);
        }
    }

    #[test]
    fn a_comparison_ends_with_the_first_request_that_does_not_fit() {
        let (game, mut comparisons) = after(4);
        let (tree, chunk) = astray(&game);
        let root = tree.root();
        let number = |number| ChunkId::new(number);
        let own = |id, chunk: &[u8]| CompareRequest::OwnChunk {
            proof: Box::new(tree.prove(number(id))),
            chunk: Some(chunk.to_vec()),
        };
        let mut last = 0;
        let mut fresh = |comparisons: &mut Comparisons| {
            last += 1;
            comparisons.forget(guest(1));
            assert!(!is_unknown(&comparisons.answer(&game, (guest(1), true), begin(4, root))), "{last}");
        };
        let chunks = |ids: &[u16]| CompareRequest::Chunks { ids: ids.iter().copied().map(number).collect() };
        let ask = |level| CompareRequest::Nodes { level, indices: vec![0] };

        // What is not of the state that the guest says it has; then everything is over.
        fresh(&mut comparisons);
        let lie = own(1, b"something else");
        assert_eq!(comparisons.answer(&game, (guest(1), true), lie), (Vec::new(), None));
        assert!(is_unknown(&comparisons.answer(&game, (guest(1), true), chunks(&[1]))));

        // A chunk twice.
        fresh(&mut comparisons);
        for _ in 0..2 {
            let twice = own(1, &chunk);
            comparisons.answer(&game, (guest(1), true), twice);
        }
        assert!(comparisons.under_way.is_empty());

        // More steps than a walk has.
        fresh(&mut comparisons);
        for level in [16, 12, 8, 4] {
            assert!(!is_unknown(&comparisons.answer(&game, (guest(1), true), ask(level))));
        }
        assert!(is_unknown(&comparisons.answer(&game, (guest(1), true), ask(4))));

        // Chunks are given once; the first request for them makes the report.
        fresh(&mut comparisons);
        let (given, incident) = comparisons.answer(&game, (guest(1), true), chunks(&[0, 1]));
        assert_eq!((given.len(), incident.map(|it| it.chunks)), (2, Some(Vec::new())));
        assert!(is_unknown(&comparisons.answer(&game, (guest(1), true), chunks(&[1]))));

        // The same turn again.
        assert!(is_unknown(&comparisons.answer(&game, (guest(1), true), begin(4, root))));
    }
}
