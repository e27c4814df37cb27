//! The state of a chain as it is stored, its fields open to change.

use bincode::{Decode, Encode};
use cadastre_protocol::{Chain, ChainState, SignedCertificate, Turn, Wire, decode_exact, encode};

use super::Match;

/// The state of a chain as it is stored, its fields open to change.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct StoredState {
    pub(crate) height: u64,
    pub(crate) block: [u8; 32],
    pub(crate) turn: u32,
    pub(crate) attempt: u32,
    pub(crate) server_time: u64,
    pub(crate) deadline: Option<u64>,
    pub(crate) state_root: [u8; 32],
    pub(crate) seen: Vec<([u8; 32], u64)>,
    pub(crate) seen_from: u64,
    pub(crate) peaks: Vec<[u8; 32]>,
    pub(crate) seats: Vec<StoredSeat>,
    pub(crate) silent_turns: u16,
    pub(crate) sealed: Option<u32>,
    pub(crate) signer: SignedCertificate,
    pub(crate) seed: [u8; 32],
    pub(crate) server: Option<StoredTip>,
    pub(crate) revealing: bool,
    pub(crate) furthest: u32,
    pub(crate) paused: u64,
    pub(crate) graced: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct StoredTip {
    pub(crate) element: [u8; 32],
    pub(crate) revealed: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct StoredSeat {
    pub(crate) session: Option<StoredSession>,
    pub(crate) next_seq: u32,
    pub(crate) prev_tx: [u8; 32],
    pub(crate) resigned: bool,
    pub(crate) revealed: Option<StoredTip>,
    pub(crate) commitment: Option<[u8; 32]>,
    pub(crate) bank_ms: Option<u64>,
    pub(crate) absent_turns: u16,
    pub(crate) taken_by: Option<[u8; 32]>,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct StoredSession {
    pub(crate) epoch: u32,
    pub(crate) key: [u8; 32],
    pub(crate) valid_to: Option<u64>,
}

impl Wire for StoredState {
    const BYTES_MAX: usize = cadastre_protocol::DECODE_BYTES_MAX;
}

pub(crate) fn altered_state(chain: &Chain, change: impl FnOnce(&mut StoredState)) -> ChainState {
    let mut stored: StoredState = decode_exact(&encode(chain.state())).unwrap();
    change(&mut stored);
    decode_exact(&encode(&stored)).unwrap()
}

/// A chain that goes on from another state than its blocks led to.
pub(crate) fn altered(chain: &Chain, change: impl FnOnce(&mut StoredState)) -> Chain {
    let state = altered_state(chain, change);
    let game = Match::of(chain.genesis().seat_count());
    Chain::from_state_unverified(chain.genesis().clone(), state, game.toy.after(Turn::START)).unwrap()
}
