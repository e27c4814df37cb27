//! The states after the last turns, beside the newest one.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use cadastre_protocol::{ChunkId, Digest, Orders, Seat, StateTree, Turn, TurnOrders};

use crate::{game::Game, simulation::Snapshot};

/// Turns that can be looked back at.
pub const HISTORY_TURNS: usize = 8;

/// Most bytes of chunks that are kept beside those of the newest state. The oldest turns are forgotten first;
/// the last one is kept in any case.
pub const HISTORY_BYTES_MAX: usize = 1024 * 1024;

/// A whole state, whose chunks are shared with the states before and after it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct State(BTreeMap<ChunkId, Arc<[u8]>>);

impl State {
    /// The chunk with this number.
    pub fn chunk(&self, id: ChunkId) -> Option<&[u8]> {
        self.0.get(&id).map(|chunk| &**chunk)
    }

    /// Puts another chunk in place, or takes it out.
    pub fn put(&mut self, id: ChunkId, chunk: Option<&[u8]>) {
        match chunk {
            Some(chunk) => self.0.insert(id, chunk.into()),
            None => self.0.remove(&id),
        };
    }

    /// Commits to every chunk.
    pub fn tree(&self) -> StateTree {
        let mut tree = StateTree::new();
        tree.update(self.0.iter().map(|(id, chunk)| (*id, Some(&**chunk))));
        tree
    }

    /// The numbers of all chunks, ascending.
    pub fn ids(&self) -> Vec<ChunkId> {
        self.0.keys().copied().collect()
    }

    /// The chunks with these numbers; numbers not in use are left out.
    pub fn chunks(&self, ids: &[ChunkId]) -> Snapshot {
        ids.iter().filter_map(|id| Some((*id, self.chunk(*id)?.to_vec()))).collect()
    }

    /// All chunks.
    pub fn snapshot(&self) -> Snapshot {
        self.0.iter().map(|(id, chunk)| (*id, chunk.to_vec())).collect()
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "State({} chunks)", self.0.len())
    }
}

impl From<Snapshot> for State {
    fn from(snapshot: Snapshot) -> Self {
        Self(snapshot.into_iter().map(|(id, chunk)| (id, chunk.into())).collect())
    }
}

/// The newest state of a game, and what the last turns changed.
#[derive(Debug)]
pub struct History {
    newest: State,
    /// Oldest first.
    turns: VecDeque<Change>,
    bytes: usize,
}

#[derive(Debug)]
struct Change {
    turn: Turn,
    roll: Digest,
    orders: Vec<(Seat, Vec<u8>)>,
    /// The chunks that the turn changed, as they were before.
    before: Vec<(ChunkId, Arc<[u8]>)>,
}

/// A turn that was executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastTurn {
    /// Which.
    pub turn: Turn,
    /// What its random numbers were drawn from.
    pub roll: Digest,
    /// What was ordered, in the order of its block.
    pub orders: Vec<(Seat, Vec<u8>)>,
    /// The state before it.
    pub before: State,
    /// The state after it.
    pub after: State,
}

impl PastTurn {
    /// What was ordered, as a game takes it.
    pub fn orders(&self) -> TurnOrders<'_> {
        let orders = self.orders.iter().map(|(seat, commands)| Orders::new(*seat, commands));
        TurnOrders { roll: self.roll, orders: orders.collect() }
    }
}

impl History {
    /// Begins at the state of `game`.
    pub fn new(game: &Game) -> Self {
        Self { newest: game.snapshot().into(), turns: VecDeque::new(), bytes: 0 }
    }

    /// Takes up a turn that `game` has just executed, and that changed the chunks `dirty`.
    pub fn push(&mut self, game: &Game, turn: Turn, orders: &TurnOrders<'_>, dirty: &[ChunkId]) {
        let mut before = Vec::with_capacity(dirty.len());
        for (id, chunk) in game.chunks(dirty) {
            if let Some(old) = self.newest.0.insert(id, chunk.into()) {
                before.push((id, old));
            }
        }
        let given = orders.orders.iter().map(|order| (order.seat, order.commands.to_vec())).collect();
        let change = Change { turn, roll: orders.roll, orders: given, before };
        self.bytes += change.bytes();
        self.turns.push_back(change);
        while self.turns.len() > HISTORY_TURNS || self.turns.len() > 1 && self.bytes > HISTORY_BYTES_MAX {
            self.bytes -= self.turns.pop_front().map_or(0, |oldest| oldest.bytes());
        }
    }

    /// The newest state.
    pub const fn newest(&self) -> &State {
        &self.newest
    }

    /// A turn with the states before and after it; `None` when it is not, or no more, known.
    pub fn turn(&self, turn: Turn) -> Option<PastTurn> {
        let mut before = self.newest.clone();
        for change in self.turns.iter().rev() {
            let after = before.clone();
            before.0.extend(change.before.iter().cloned());
            if change.turn == turn {
                let (roll, orders) = (change.roll, change.orders.clone());
                return Some(PastTurn { turn, roll, orders, before, after });
            }
        }
        None
    }
}

impl Change {
    fn bytes(&self) -> usize {
        let chunks: usize = self.before.iter().map(|(_, chunk)| chunk.len()).sum();
        chunks + self.orders.iter().map(|(_, commands)| commands.len()).sum::<usize>()
    }
}
