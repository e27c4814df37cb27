//! Two machines executed the same turn and came to two states: where, and what that means in the game.

use cadastre_protocol::{ChunkId, Digest, Seat, StateRoot, Turn};

use crate::{
    difference::Difference,
    game::Game,
    history::{PastTurn, State},
};

/// Most fields that a report names.
pub const DIFFERENCES_MAX: usize = 64;

/// One of two executions of a turn.
#[derive(Clone, Copy, Debug)]
pub struct Version<'a> {
    /// Root of the state that it came to.
    pub root: StateRoot,
    /// Its roots after each phase; none when they are not known.
    pub phases: &'a [StateRoot],
    /// Its chunks, as far as they are known.
    pub state: &'a State,
}

/// Where two executions of one turn part. *Left* is the state that the block commits to, *right* the other one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disagreement {
    /// The turn.
    pub turn: Turn,
    /// The first phase after which the two differ; `None` when that is not known.
    pub phase: Option<&'static str>,
    /// Root of the state that the block commits to.
    pub left: StateRoot,
    /// Root of the other state.
    pub right: StateRoot,
    /// The fields that differ, at most [`DIFFERENCES_MAX`].
    pub differences: Vec<Difference>,
}

impl std::fmt::Display for Disagreement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "turn {}, phase {}", self.turn, self.phase.unwrap_or("unknown"))?;
        self.differences.iter().try_for_each(|difference| write!(f, "; {difference}"))
    }
}

/// A disagreement with all that a developer needs to see it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// What differs.
    pub report: Disagreement,
    /// What the turn's random numbers were drawn from.
    pub roll: Digest,
    /// What was ordered, in the order of the block.
    pub orders: Vec<(Seat, Vec<u8>)>,
    /// The state before the turn.
    pub before: State,
    /// The chunks that differ.
    pub chunks: Vec<DifferingChunk>,
}

/// A chunk that differs between two states; `None` where a state does not have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DifferingChunk {
    /// Its number.
    pub id: ChunkId,
    /// That of the state that the block commits to.
    pub left: Option<Vec<u8>>,
    /// The other one.
    pub right: Option<Vec<u8>>,
}

impl Incident {
    /// Explains what differs in the chunks `ids`. Any state of the match will do as `game`.
    pub fn new(game: &Game, past: PastTurn, left: Version<'_>, right: Version<'_>, ids: &[ChunkId]) -> Self {
        let chunk = |state: &State, id| state.chunk(id).map(<[u8]>::to_vec);
        let differing = |id: &ChunkId| DifferingChunk {
            id: *id,
            left: chunk(left.state, *id),
            right: chunk(right.state, *id),
        };
        let chunks: Vec<_> = ids.iter().map(differing).collect();
        let explain = |it: &DifferingChunk| game.explain(it.id, it.left.as_deref(), it.right.as_deref());
        let differences = chunks.iter().flat_map(explain);
        let report = Disagreement {
            turn: past.turn,
            phase: phase_that_parts(game, left.phases, right.phases),
            left: left.root,
            right: right.root,
            differences: differences.take(DIFFERENCES_MAX).collect(),
        };
        Self { report, roll: past.roll, orders: past.orders, before: past.before, chunks }
    }
}

/// The first phase of a turn of `game` after which two executions have different roots.
fn phase_that_parts(game: &Game, left: &[StateRoot], right: &[StateRoot]) -> Option<&'static str> {
    let names = game.simulation().phases();
    if left.len() != names.len() || right.len() != names.len() {
        return None;
    }
    names.iter().zip(left.iter().zip(right)).find(|(_, (left, right))| left != right).map(|(name, _)| *name)
}
