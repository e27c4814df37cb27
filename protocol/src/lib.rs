//! Bytes, keys, handshake, transactions, blocks and chains of Cadastre.
//!
//! No IO, no clock, no randomness of its own, no async: everything here is a value that is fed and asked.
//! The normative description of every byte is `docs/protocol.md`.

#![deny(clippy::float_arithmetic)]

mod access;
mod block;
mod certificate;
mod chain;
mod codec;
mod compare;
mod conversation;
mod delegation;
mod evidence;
mod genesis;
mod handshake;
mod hash;
mod hash_chain;
mod heartbeat;
mod ids;
mod keys;
mod limit;
pub mod log;
pub mod merkle;
mod message;
mod packed;
mod proof;
mod randomness;
mod receipt;
mod record;
mod revocation;
mod setup;
mod state_tree;
mod talk;
mod text;
mod transaction;
mod view;

pub use access::{
    Access, Door, Invitation, InvitationError, PASSWORD_BYTES_MAX, Pass, Password, ShownPass,
    SignedInvitation, Visit, prove_password,
};
pub use block::{
    Absence, AbsenceReason, Block, BlockKind, Entry, Header, ProvenBlock, ReadBlock, ReadEntry,
    ReadProvenBlock, ReopenReason, SealReason,
};
pub use certificate::{Certificate, CertificateError, KeyRole, SignedCertificate, VerifiedCertificate};
pub use chain::{
    Admission, Agreement, Appended, BlockError, Chain, ChainState, CheckedBlock, Draft, GenesisError, Head,
    JoinError, JoinPoint, NextTransaction, OpenTurn, REOPENS_MAX, SeatClock, TransactionError,
    VerifiedJoinPoint, chain_leaf,
};
pub use codec::{CodecError, DECODE_BYTES_MAX, Wire, decode_exact, encode};
pub use compare::{CHUNKS_ASKED_MAX, CompareAnswer, CompareRequest, OWN_CHUNKS_MAX, PHASES_MAX};
pub use conversation::{CheckedTalk, Conversation, LINES_KEPT, Line, LineError, Seen};
pub use delegation::{Delegation, DelegationError, SignedDelegation, VerifiedDelegation};
pub use evidence::{
    Case, Contradiction, Culprit, EVIDENCE_BYTES_MAX, EVIDENCE_CERTIFICATES_MAX, EVIDENCE_MAGIC,
    EVIDENCE_RECEIPTS_MAX, Evidence, EvidenceError, EvidenceFile, EvidenceReport, Finding, Judged, LogFork,
    ProvenHeader, Refuted, StateClaim, Undecidable, Verdict,
};
pub use genesis::{
    AbsencePolicy, AgreementPolicy, Clock, DEADLINE_MS_MAX, DEADLINE_MS_MIN, DoubleTransactionPolicy,
    GRACE_MS_MAX, GRACE_MS_USUAL, Genesis, Parent, Randomness, RandomnessMode, SKIP_QUORUM_MIN,
    SPECTATOR_DELAY_S_MAX, SPECTATOR_DELAY_TURNS_MAX, STANCES_PER_TURN_MAX, SeatHolder, SkipPolicy,
    SpectatorPolicy, TAKEBACK_TURNS_MAX, TakebackPolicy, TurnMode, TurnRules, UnsupportedMode, Visibility,
    may_commit_and_reveal, may_fork, may_join_late, may_take_back,
};
pub use handshake::{
    AwaitM3, ClientHandshake, ClientSession, HandshakeError, M1_BYTES, M2_BYTES, M3_BYTES, ServerHandshake,
    ServerIdentity, ServerIdentityError, ServerSession, Trust,
};
pub use hash::{Context, Digest, Hasher, hash};
pub use hash_chain::{ChainSecret, ChainStart, HashChain, RANDOM_TURNS_MAX};
pub use heartbeat::{HEARTBEAT_MS_MIN, Heartbeat};
pub use ids::{
    Attempt, BlockHash, Epoch, Height, LineHash, MatchId, Millis, SEATS_MAX, Seat, SeatSet, Seq, StateRoot,
    TalkHash, Turn, TxHash,
};
pub use keys::{BadSignature, EnrolledKey, KeyError, PublicKey, SecretKey, Signature};
pub use limit::Limit;
pub use message::{
    CHUNKS_BYTES_MAX, ClientMessage, DISPLAY_NAME_BYTES_MAX, DisplayName, EnterAs, Failure, Following,
    ForkPoint, GoodbyeReason, Limits, Lobby, LobbySeat, Notice, REASON_BYTES_MAX, ROOM_NAME_BYTES_MAX,
    Refusal, Relay, RoomName, RoomSpec, ServerMessage,
};
pub use packed::{pack, read_server_message};
pub use proof::{BATCH_OBJECTS_MAX, ServerProof, block_leaf, receipt_leaf};
pub use randomness::sealed_commands;
pub use receipt::{ProvenReceipt, Receipt, ReceiptError};
pub use record::{
    EPOCH_BYTES_MAX, EPOCH_MS_MAX, EPOCH_RECORDS_MAX, MESSAGE_BYTES_MAX, Opener, Padding, RECORD_BYTES_MAX,
    RECORD_PLAINTEXT_BYTES_MAX, RecordError, SealError, Sealer,
};
pub use revocation::{REVOCATIONS_MAX, Revocations, Revoked, SignedRevocations};
pub use setup::{
    COMMANDS_BYTES_MAX, Executed, OPTIONS_BYTES_MAX, Orders, RULES_NAME_BYTES_MAX, RulesId, Setup, Standing,
    TurnOrders, Work,
};
pub use state_tree::{
    CHUNK_BYTES_MAX, ChunkId, ChunkProof, STATE_TREE_DEPTH, StateTree, StateWalk, WALK_FANOUT,
    WALK_NODES_MAX, WalkError, chunk_hash, chunks_from_bytes, chunks_to_bytes, root_beside,
};
pub use talk::{Reaction, ReadTalk, SignedTalk, Talk, TalkPlace, TalkRefusal, Words};
pub use text::{TEXT_BYTES_MAX, TEXT_CHARS_MAX, Text, TextError};
pub use transaction::{Motion, ReadTransaction, SignedTransaction, Transaction, TransactionBody};
pub use view::{LightHead, Since, VIEWPORT_CHUNKS_MAX, View, ViewError};
