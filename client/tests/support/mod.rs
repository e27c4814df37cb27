//! A server and its clients in one process and in virtual time, without a network between them.

#![allow(dead_code, reason = "each test uses its part")]
#![allow(clippy::unwrap_used, reason = "only in tests")]

pub(crate) mod direct;
pub(crate) mod predictions;
pub(crate) mod server;
pub(crate) mod store;

use cadastre_client::Config;
use cadastre_protocol::{
    AbsencePolicy, Access, AgreementPolicy, BlockHash, Clock, Context, Digest, DisplayName,
    DoubleTransactionPolicy, EnterAs, Header, MatchId, ProvenHeader, RandomnessMode, RoomSpec, SecretKey,
    ServerProof, SpectatorPolicy, TakebackPolicy, TurnMode, Visibility, block_leaf, encode, hash,
};

/// Serial of the first block signer's certificate.
pub(crate) const SERIAL: u32 = 2;

pub(crate) const DEADLINE_MS: u64 = 5_000;

pub(crate) fn root_key() -> SecretKey {
    SecretKey::from_seed(&[100; 32])
}

pub(crate) fn block_key() -> SecretKey {
    signer_key(SERIAL)
}

/// The block key of a serial.
pub(crate) fn signer_key(serial: u32) -> SecretKey {
    let mut seed = [101; 32];
    seed[..4].copy_from_slice(&serial.to_le_bytes());
    SecretKey::from_seed(&seed)
}

/// Boxes of the smallest size: twelve edges.
pub(crate) fn spec(seats: u8, mode: TurnMode) -> RoomSpec {
    RoomSpec {
        rules: "boxes".into(),
        size: Some(2),
        seats,
        mode,
        turns_max: None,
        deadline_ms: Some(u32::try_from(DEADLINE_MS).unwrap()),
        spectators: SpectatorPolicy::AT_ONCE,
        double_transactions: DoubleTransactionPolicy::KeepFirst,
        visibility: Visibility::Held,
        randomness: RandomnessMode::None,
        takebacks: TakebackPolicy::Never,
        agreements: AgreementPolicy::NONE,
        clock: Clock::PerTurn,
        absence: AbsencePolicy::USUAL,
        seats_min: seats,
        access: Access::PUBLIC,
        fork: None,
        late_joins: false,
        grace_ms: 0,
    }
}

/// Player number `index`, who opens the room if it is missing.
pub(crate) fn player(index: u8, spec: &RoomSpec) -> Config {
    Config {
        identity: SecretKey::from_seed(&[index + 1; 32]),
        process: process_key(0, u64::from(index)),
        room: server::room_name(),
        enter_as: EnterAs::Player,
        name: DisplayName::new(&format!("player {index}")).unwrap(),
        open: Some(spec.clone()),
        credential: None,
    }
}

/// The key of a process that no other one has.
pub(crate) fn process_key(kind: u8, number: u64) -> SecretKey {
    let mut seed = [0x70 + kind; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    SecretKey::from_seed(&seed)
}

/// Somebody who watches, once there is something to watch.
pub(crate) fn spectator() -> Config {
    Config {
        identity: SecretKey::from_seed(&[200; 32]),
        process: process_key(0, 200),
        room: server::room_name(),
        enter_as: EnterAs::Spectator,
        name: DisplayName::new("spectator").unwrap(),
        open: None,
        credential: None,
    }
}

/// Another match than any that is played.
pub(crate) const OTHER_MATCH: MatchId = MatchId::new(Digest::new([9; 32]));

/// The server signs this header, whatever it says.
pub(crate) fn signed_header(header: &Header) -> ProvenHeader {
    let header = encode(header);
    let hash = BlockHash::new(hash(Context::Block, &[&header]));
    let proof = ServerProof::sign(&block_key(), SERIAL, &[block_leaf(hash)]).remove(0);
    ProvenHeader { header, proof }
}
