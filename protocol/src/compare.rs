//! What a client and a server say to each other when they came to two states. `docs/protocol.md`, "Comparing
//! states".

use bincode::{Decode, Encode};

use crate::{
    codec::strictly_ascending,
    hash::Digest,
    ids::{Attempt, StateRoot, Turn},
    state_tree::{CHUNK_BYTES_MAX, ChunkId, ChunkProof, STATE_TREE_DEPTH, WALK_FANOUT, WALK_NODES_MAX},
};

/// Most phases of a turn.
pub const PHASES_MAX: usize = 32;

/// Most chunks that one request asks for.
pub const CHUNKS_ASKED_MAX: usize = 8;

/// Most chunks of its own state that a client tells of in one comparison. A server keeps no more.
pub const OWN_CHUNKS_MAX: usize = 64;

/// From the client.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum CompareRequest {
    /// Begins: the client executed this turn, and came to another state than its block commits to.
    Begin {
        /// The turn.
        turn: Turn,
        /// At which attempt: a turn that was taken back has a state in each.
        attempt: Attempt,
        /// The roots that the client has after each phase; the last one is that of its state.
        phases: Vec<StateRoot>,
    },
    /// Asks what lies four levels below nodes of the server's tree.
    Nodes {
        /// Their level: 16 is the root, 0 are the chunks.
        level: u8,
        /// Their numbers in the level, ascending.
        indices: Vec<u16>,
    },
    /// A chunk of the client's state that differs.
    OwnChunk {
        /// Leads to the client's root.
        proof: Box<ChunkProof>,
        /// The chunk; `None` for a state that holds none at this number.
        chunk: Option<Vec<u8>>,
    },
    /// Asks for chunks of the server's state. There are no more own chunks to come.
    Chunks {
        /// Their numbers, ascending.
        ids: Vec<ChunkId>,
    },
}

/// From the server, each in answer to a request.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum CompareAnswer {
    /// Answers [`CompareRequest::Begin`].
    Phases {
        /// The roots that the server has after each phase.
        roots: Vec<StateRoot>,
    },
    /// Answers [`CompareRequest::Nodes`].
    Nodes {
        /// Sixteen for each node asked for, from left to right.
        nodes: Vec<Digest>,
    },
    /// Answers [`CompareRequest::Chunks`], once for each.
    Chunk {
        /// Leads to the state root of the block.
        proof: Box<ChunkProof>,
        /// The chunk; `None` for a state that holds none at this number.
        chunk: Option<Vec<u8>>,
    },
    /// The state is not at hand, or the request does not fit: the server does not go on with this.
    Unknown,
}

impl CompareRequest {
    pub(crate) fn validate(&self) -> Result<(), &'static str> {
        match self {
            Self::Begin { phases, .. } => phases_fit(phases),
            Self::Nodes { level, indices } => {
                let level_fits = (1..=STATE_TREE_DEPTH).contains(&usize::from(*level)) && level % 4 == 0;
                let count_fits = (1..=WALK_NODES_MAX).contains(&indices.len());
                if level_fits && count_fits && strictly_ascending(indices.iter().copied()) {
                    Ok(())
                } else {
                    Err("nodes")
                }
            }
            Self::OwnChunk { chunk, .. } => chunk_fits(chunk.as_deref()),
            Self::Chunks { ids } => {
                let count_fits = (1..=CHUNKS_ASKED_MAX).contains(&ids.len());
                if count_fits && strictly_ascending(ids.iter().copied()) { Ok(()) } else { Err("chunks") }
            }
        }
    }
}

impl CompareAnswer {
    pub(crate) fn validate(&self) -> Result<(), &'static str> {
        match self {
            Self::Phases { roots } => phases_fit(roots),
            Self::Nodes { nodes } => {
                let most = WALK_FANOUT * WALK_NODES_MAX;
                if nodes.len() <= most && nodes.len().is_multiple_of(WALK_FANOUT) {
                    Ok(())
                } else {
                    Err("nodes")
                }
            }
            Self::Chunk { chunk, .. } => chunk_fits(chunk.as_deref()),
            Self::Unknown => Ok(()),
        }
    }
}

fn phases_fit(roots: &[StateRoot]) -> Result<(), &'static str> {
    if (1..=PHASES_MAX).contains(&roots.len()) { Ok(()) } else { Err("phases") }
}

fn chunk_fits(chunk: Option<&[u8]>) -> Result<(), &'static str> {
    if chunk.is_none_or(|chunk| chunk.len() <= CHUNK_BYTES_MAX) { Ok(()) } else { Err("chunk") }
}
