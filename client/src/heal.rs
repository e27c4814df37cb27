//! A state that went astray is compared with the server's, reported, and put right chunk by chunk.
//!
//! `docs/protocol.md`, "Comparing states".

use std::collections::VecDeque;

use cadastre_protocol::{
    CHUNKS_ASKED_MAX, CheckedBlock, ChunkId, CompareAnswer, CompareRequest, OWN_CHUNKS_MAX, ProvenBlock,
    StateRoot, StateTree, StateWalk, WalkError,
};
use cadastre_simulations::{Applied, Game, Incident, PastTurn, State, Version, Void};

/// Why the own execution of a turn came to another state than its block has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Executing the turn again, from the state before it that was verified, gives the block's state: something
    /// has changed the own memory.
    Memory,
    /// Executing the turn again does not give the block's state either: this build has other rules than the
    /// server, or the server is wrong.
    Rules,
}

/// A desync, with all that shows who is to blame for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desync {
    /// What differs.
    pub incident: Incident,
    /// What executing the turn again said of it.
    pub cause: Cause,
    /// Is the own state the block's again? If not, the match cannot be followed any further.
    pub healed: bool,
    /// The block before: it commits to the state before the turn. `None` when that is the state of the genesis.
    pub before: Option<ProvenBlock>,
    /// The block whose state differs.
    pub block: ProvenBlock,
}

/// A block that was checked, and whose state is not the own one.
#[derive(Debug)]
pub(crate) struct Healing {
    pub(crate) checked: CheckedBlock,
    pub(crate) voids: Vec<Void>,
    block: ProvenBlock,
    before: Option<ProvenBlock>,
    past: PastTurn,
    own: StateTree,
    phases: Vec<StateRoot>,
    /// The turn executed again, if that gave the block's state.
    again: Option<(Game, Vec<StateRoot>)>,
    /// The server's roots after each phase.
    theirs: Vec<StateRoot>,
    walk: StateWalk,
    differing: Vec<ChunkId>,
    /// The own state with the chunks that have come.
    healed: State,
    /// Chunks that were asked for, and those still to be asked for.
    awaited: VecDeque<ChunkId>,
    missing: VecDeque<ChunkId>,
}

/// What an answer of the server came to.
pub(crate) enum Step {
    Ask(Vec<CompareRequest>),
    /// The state of the block.
    Healed(State),
    /// The server does not help.
    Stuck,
}

impl Healing {
    /// The turn `past` was executed on `game` with the roots `phases`, and came to another state than the block.
    pub(crate) fn new(
        checked: CheckedBlock,
        (block, before): (ProvenBlock, Option<ProvenBlock>),
        game: &Game,
        past: PastTurn,
        (applied, phases): (Applied, Vec<StateRoot>),
    ) -> Self {
        let expected = checked.block().header().state_root;
        let again = Game::restore(game.setup(), &past.before.snapshot()).ok().and_then(|mut again| {
            let (_, phases) = again.apply_traced(&past.orders());
            (again.state_root() == expected).then_some((again, phases))
        });
        Self {
            checked,
            voids: applied.voids,
            block,
            before,
            own: game.tree().clone(),
            phases,
            again,
            theirs: Vec::new(),
            walk: StateWalk::new(expected),
            differing: Vec::new(),
            healed: past.after.clone(),
            past,
            awaited: VecDeque::new(),
            missing: VecDeque::new(),
        }
    }

    /// What to say to the server first.
    pub(crate) fn begin(&self) -> CompareRequest {
        let attempt = self.checked.block().header().attempt;
        CompareRequest::Begin { turn: self.past.turn, attempt, phases: self.phases.clone() }
    }

    /// The root that the block commits to.
    pub(crate) const fn expected(&self) -> StateRoot {
        self.checked.block().header().state_root
    }

    pub(crate) fn take(&mut self, answer: CompareAnswer) -> Result<Step, HealError> {
        match answer {
            CompareAnswer::Phases { roots } if self.theirs.is_empty() => {
                self.theirs = roots;
                Ok(self.next_step())
            }
            CompareAnswer::Nodes { nodes } if !self.theirs.is_empty() && self.walk.asks().is_some() => {
                match self.walk.take(&self.own, &nodes) {
                    Ok(()) => Ok(self.next_step()),
                    Err(WalkError::TooMany) => Ok(Step::Stuck),
                    Err(WalkError::WrongNodes) => Err(HealError::Nodes),
                }
            }
            CompareAnswer::Chunk { proof, chunk } => {
                if self.awaited.pop_front() != Some(proof.id) {
                    return Err(HealError::Unexpected);
                }
                if proof.root(chunk.as_deref()) != self.expected() {
                    return Err(HealError::Chunk);
                }
                self.healed.put(proof.id, chunk.as_deref());
                Ok(self.next_chunks())
            }
            CompareAnswer::Unknown => Ok(Step::Stuck),
            CompareAnswer::Phases { .. } | CompareAnswer::Nodes { .. } => Err(HealError::Unexpected),
        }
    }

    /// Goes on downwards, or from the end of the walk to the chunks that it found.
    fn next_step(&mut self) -> Step {
        if let Some((level, indices)) = self.walk.asks() {
            return Step::Ask(vec![CompareRequest::Nodes { level, indices }]);
        }
        self.differing = self.walk.chunks().unwrap_or_default();
        self.missing = self.differing.iter().copied().collect();
        let own_chunk = |id: &ChunkId| CompareRequest::OwnChunk {
            proof: Box::new(self.own.prove(*id)),
            chunk: self.past.after.chunk(*id).map(<[u8]>::to_vec),
        };
        let mut requests: Vec<_> = self.differing.iter().take(OWN_CHUNKS_MAX).map(own_chunk).collect();
        match self.next_chunks() {
            Step::Ask(more) => requests.extend(more),
            other @ (Step::Healed(_) | Step::Stuck) => return other,
        }
        Step::Ask(requests)
    }

    /// Asks for more chunks as soon as all those asked for have come.
    fn next_chunks(&mut self) -> Step {
        if !self.awaited.is_empty() {
            return Step::Ask(Vec::new());
        }
        if self.missing.is_empty() {
            return Step::Healed(self.healed.clone());
        }
        let count = self.missing.len().min(CHUNKS_ASKED_MAX);
        self.awaited = self.missing.drain(..count).collect();
        Step::Ask(vec![CompareRequest::Chunks { ids: self.awaited.iter().copied().collect() }])
    }

    /// Answers that are still to come.
    pub(crate) fn outstanding(&self) -> usize {
        let chunks = self.awaited.len();
        if chunks == 0 && (self.theirs.is_empty() || self.walk.asks().is_some()) { 1 } else { chunks }
    }

    /// Gives the own second execution, if it came to the block's state: then the server is not needed.
    pub(crate) fn executed_again(&mut self) -> Option<Game> {
        let (game, phases) = self.again.take()?;
        self.theirs.clone_from(&phases);
        self.healed = game.snapshot().into();
        let ids = game.simulation().chunk_ids();
        self.differing =
            ids.into_iter().filter(|id| self.healed.chunk(*id) != self.past.after.chunk(*id)).collect();
        Some(game)
    }

    /// The report. `game` is of the match.
    pub(crate) fn report(&self, game: &Game, cause: Cause, healed: bool) -> Desync {
        let theirs = self.again.as_ref().map_or(&self.theirs, |(_, phases)| phases);
        let left = Version { root: self.expected(), phases: theirs, state: &self.healed };
        let right = Version { root: self.own.root(), phases: &self.phases, state: &self.past.after };
        Desync {
            incident: Incident::new(game, self.past.clone(), left, right, &self.differing),
            cause,
            healed,
            before: self.before.clone(),
            block: self.block.clone(),
        }
    }

    pub(crate) fn cause(&self) -> Cause {
        if self.again.is_some() { Cause::Memory } else { Cause::Rules }
    }

    /// The turn with the states before and after it.
    pub(crate) const fn past(&self) -> &PastTurn {
        &self.past
    }
}

/// Why a state cannot be put right by what the server says. The server's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HealError {
    /// An answer to nothing that was asked.
    #[error("an answer to nothing that was asked")]
    Unexpected,
    /// Nodes that the block's state root does not commit to.
    #[error("nodes that the block's state root does not commit to")]
    Nodes,
    /// A chunk that the block's state root does not commit to.
    #[error("a chunk that the block's state root does not commit to")]
    Chunk,
    /// The block commits to something that is no state of the game.
    #[error("the block commits to what is no state of the game")]
    NoState,
    /// More blocks came meanwhile than are held back.
    #[error("too many blocks came while states were compared")]
    TooLong,
}
