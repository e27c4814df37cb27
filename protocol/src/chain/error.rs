//! Why a genesis, a block or a transaction is refused. Variants stand in the order of the checks.

use bincode::{Decode, Encode};

use crate::{
    certificate::CertificateError,
    genesis::UnsupportedMode,
    ids::{Epoch, Height, Seat, Seq, StateRoot, Turn},
};

/// Why a chain cannot begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// It names a mode that this build does not play.
    #[error(transparent)]
    Unsupported(UnsupportedMode),
    /// The key of the service or of a player cannot be enrolled.
    #[error("a key in the genesis is weak")]
    WeakKey,
    /// The certificate of the block signer does not count.
    #[error("the block signer's certificate does not count")]
    Certificate(#[source] CertificateError),
    /// The game's state is not the one the chain is at.
    #[error("the state of the game is not that of the chain")]
    StateRoot,
    /// The stored state of the chain contradicts itself or the genesis.
    #[error("the stored state of the chain is damaged")]
    State,
    /// The server's secret does not give the hash chain that the match began with.
    #[error("the chain secret is not the one that the match began with")]
    HashChain,
}

/// Why a block cannot be the next. Always the fault of whoever made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// Its certificate is not of the root key, not newer than the one in force, or malformed.
    #[error("key change is not authorised by the root key")]
    KeyChange,
    /// The server's proof does not hold.
    #[error("the server's proof of the block does not hold")]
    BadProof,
    /// The match has been sealed.
    #[error("block after the seal")]
    AfterSeal,
    /// It is of another match.
    #[error("block of another match")]
    WrongMatch,
    /// No further block or turn can be numbered. Checked where the number is needed.
    #[error("the numbers of blocks or turns are exhausted")]
    Exhausted,
    /// Not the next height.
    #[error("block has height {got}, the next is {expected}")]
    WrongHeight {
        /// One more than the head's.
        expected: Height,
        /// The block's.
        got: Height,
    },
    /// Not linked to the head.
    #[error("block is not linked to the one before it")]
    WrongLink,
    /// Its tree over the earlier blocks is another.
    #[error("block commits to another history")]
    ChainRoot,
    /// Not of the signer in force, or outside the time of its certificate.
    #[error("block is of another signer, or the signer's certificate was not valid then")]
    WrongSigner,
    /// Made before the block before it.
    #[error("the server's clock went backwards")]
    ClockBackwards,
    /// Another number of takebacks.
    #[error("block is for another attempt")]
    WrongAttempt,
    /// Not the next element of the server's hash chain; or one where none is due.
    #[error("not the next element of the server's hash chain, or one where none is due")]
    Randomness,
    /// Entries or absent list are not those that the header commits to.
    #[error("body is not the one that the header commits to")]
    BodyRoot,
    /// No block of this kind, or with such a body, can come here.
    #[error("a block of this kind cannot come here")]
    WrongKind,
    /// Not the turn that was open.
    #[error("block is for turn {got}, turn {expected} was open")]
    WrongTurn {
        /// The turn that was open.
        expected: Turn,
        /// The block's.
        got: Turn,
    },
    /// Not the deadline that the genesis fixes.
    #[error("block sets another deadline than the genesis says")]
    WrongDeadline,
    /// A block that executes nothing changes the state; or, found only after everything else, executing the
    /// turn gives another state.
    #[error("block commits to state {expected}, executing it gives {got}")]
    StateRoot {
        /// The header's.
        expected: StateRoot,
        /// The executed one.
        got: StateRoot,
    },
    /// The match came out otherwise.
    #[error("seal states another result")]
    WrongStandings,
    /// A transaction could not have been accepted.
    #[error("entry {index}, of seat {seat}: {error}")]
    Entry {
        /// Place in the block.
        index: usize,
        /// Whose.
        seat: Seat,
        /// Why not.
        error: TransactionError,
    },
    /// A Seal for two transactions of one seat does not carry them.
    #[error("the seal does not carry two transactions of seat {seat} that exclude each other")]
    NoDouble {
        /// The seat that is charged.
        seat: Seat,
    },
    /// Entries are not in the order that the block before fixes.
    #[error("entries are not in the computed order")]
    WrongOrder,
    /// A seat neither acted nor is named absent, or both.
    #[error("seat {seat} is neither present nor rightly absent")]
    MissingSeat {
        /// The seat.
        seat: Seat,
    },
    /// A seat is absent for another reason than the one stated.
    #[error("a seat is absent for another reason than the one stated")]
    WrongAbsence,
    /// A seat was counted absent before its time was up.
    #[error("seat {seat} was counted absent before the deadline")]
    EarlyAbsence {
        /// The seat.
        seat: Seat,
    },
    /// A takeback, a pause or an agreed end that a seat has not consented to.
    #[error("seat {seat} has not consented to it")]
    NoConsent {
        /// The seat.
        seat: Seat,
    },
    /// All have consented to a takeback, and the turn goes on all the same.
    #[error("all have consented to a takeback, and the turn was closed all the same")]
    TakebackDue,
    /// All have agreed on a pause or an end, and the turn goes on all the same.
    #[error("all have agreed on a pause or an end, and the turn was closed all the same")]
    AgreementDue,
    /// Grace, and no seat has let its time pass that did not in the turn before.
    #[error("grace for a turn in which nobody is missing who was there in the one before")]
    NobodyMissing,
}

impl BlockError {
    /// One word for the kind of violation, for tables and machine-readable reports.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::KeyChange => "key-change",
            Self::BadProof => "bad-proof",
            Self::AfterSeal => "after-seal",
            Self::WrongMatch => "wrong-match",
            Self::Exhausted => "exhausted",
            Self::WrongHeight { .. } => "wrong-height",
            Self::WrongLink => "wrong-link",
            Self::ChainRoot => "chain-root",
            Self::WrongSigner => "wrong-signer",
            Self::ClockBackwards => "clock-backwards",
            Self::WrongAttempt => "wrong-attempt",
            Self::Randomness => "randomness",
            Self::BodyRoot => "body-root",
            Self::WrongKind => "wrong-kind",
            Self::WrongTurn { .. } => "wrong-turn",
            Self::WrongDeadline => "wrong-deadline",
            Self::StateRoot { .. } => "state-root",
            Self::WrongStandings => "wrong-standings",
            Self::Entry { error, .. } => error.kind(),
            Self::NoDouble { .. } => "no-double-tx",
            Self::WrongOrder => "wrong-order",
            Self::MissingSeat { .. } => "missing-seat",
            Self::WrongAbsence => "wrong-absence",
            Self::EarlyAbsence { .. } => "early-absence",
            Self::NoConsent { .. } => "no-consent",
            Self::TakebackDue => "takeback-due",
            Self::AgreementDue => "agreement-due",
            Self::NobodyMissing => "nobody-missing",
        }
    }

    /// The seat concerned, where it is one.
    pub const fn seat(&self) -> Option<Seat> {
        match self {
            Self::Entry { seat, .. }
            | Self::NoDouble { seat }
            | Self::MissingSeat { seat }
            | Self::NoConsent { seat }
            | Self::EarlyAbsence { seat } => Some(*seat),
            Self::KeyChange
            | Self::BadProof
            | Self::AfterSeal
            | Self::WrongMatch
            | Self::Exhausted
            | Self::WrongHeight { .. }
            | Self::WrongLink
            | Self::ChainRoot
            | Self::WrongSigner
            | Self::ClockBackwards
            | Self::WrongAttempt
            | Self::Randomness
            | Self::BodyRoot
            | Self::WrongKind
            | Self::WrongTurn { .. }
            | Self::WrongDeadline
            | Self::StateRoot { .. }
            | Self::WrongStandings
            | Self::WrongOrder
            | Self::WrongAbsence
            | Self::TakebackDue
            | Self::AgreementDue
            | Self::NobodyMissing => None,
        }
    }
}

/// Why a transaction cannot stand in the next block. Always the sender's fault, or bad luck with the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, thiserror::Error)]
pub enum TransactionError {
    /// It is of another match.
    #[error("transaction is for another match")]
    WrongMatch,
    /// The match has no such seat.
    #[error("the match has no such seat")]
    NoSuchSeat,
    /// The match is over.
    #[error("the match is over")]
    MatchOver,
    /// A kind that this match or moment does not take.
    #[error("a transaction of this kind cannot come now")]
    WrongKind,
    /// Not the turn that is open.
    #[error("transaction is for turn {got}, turn {expected} is open")]
    WrongTurn {
        /// The turn that is open.
        expected: Turn,
        /// The transaction's.
        got: Turn,
    },
    /// Another number of takebacks.
    #[error("transaction is for another attempt")]
    WrongAttempt,
    /// The seat has resigned.
    #[error("the seat has resigned")]
    Resigned,
    /// The seat has acted in this turn.
    #[error("the seat has already acted in this turn")]
    AlreadySubmitted,
    /// The rules do not let the seat move now.
    #[error("the seat is not to move")]
    NotToMove,
    /// Not the epoch that is in force or comes next.
    #[error("transaction is of epoch {got}, expected is {expected}")]
    WrongEpoch {
        /// In force, or next.
        expected: Epoch,
        /// The transaction's.
        got: Epoch,
    },
    /// Not the seat's next number.
    #[error("transaction has number {got}, the next is {expected}")]
    WrongSeq {
        /// The next.
        expected: Seq,
        /// The transaction's.
        got: Seq,
    },
    /// Not linked to the seat's transaction before it.
    #[error("transaction is not linked to the one before it")]
    WrongLink,
    /// It names a head that this turn did not have.
    #[error("transaction names a block that was not the head in this turn")]
    UnknownSeenBlock,
    /// A hash chain element in a match without, or in a transaction that reveals none.
    #[error("hash chain element where none belongs")]
    UnexpectedChainElement,
    /// No hash chain element in a transaction that must reveal one.
    #[error("hash chain element is missing")]
    MissingChainElement,
    /// Not the next element of the seat's hash chain.
    #[error("not the next element of the seat's hash chain")]
    WrongChainElement,
    /// Salt and commands are not those that the seat committed to.
    #[error("reveals something else than the seat committed to")]
    WrongReveal,
    /// Received before the block that it has seen was made, or before the seat's transaction before it.
    #[error("transaction was received before it can have been sent")]
    Early,
    /// Received after the deadline.
    #[error("transaction was received after the deadline")]
    Late,
    /// The delegation is not of the seat's identity, or for something else.
    #[error("delegation does not count")]
    BadDelegation,
    /// The delegation was for a time that is over.
    #[error("delegation has expired")]
    DelegationExpired,
    /// Not signed by the session key in force.
    #[error("signature does not match the seat's session key")]
    BadSignature,
    /// The numbers of turns, epochs or transactions have run out. Checked where the number is needed.
    #[error("numbers are exhausted")]
    Exhausted,
    /// To go back to a turn that is ahead, or too far back. Checked after [`Self::NotToMove`].
    #[error("the match cannot go back to that turn")]
    WrongTakeback,
    /// A motion that the genesis or the moment does not allow. Checked after [`Self::NotToMove`].
    #[error("nobody can move that in this match")]
    WrongMotion,
    /// To take a seat that somebody holds. Checked after [`Self::Resigned`].
    #[error("the seat is taken")]
    SeatTaken,
    /// To take a seat when one has one already. Checked after [`Self::SeatTaken`].
    #[error("the identity holds a seat already")]
    AlreadySeated,
}

impl TransactionError {
    /// One word for it, for tables and machine-readable reports.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::WrongMatch => "tx-wrong-match",
            Self::NoSuchSeat => "tx-no-such-seat",
            Self::MatchOver => "tx-match-over",
            Self::WrongKind => "tx-wrong-kind",
            Self::WrongTurn { .. } => "tx-wrong-turn",
            Self::WrongAttempt => "tx-wrong-attempt",
            Self::Resigned => "tx-resigned",
            Self::AlreadySubmitted => "tx-already-submitted",
            Self::NotToMove => "tx-not-to-move",
            Self::WrongEpoch { .. } => "tx-wrong-epoch",
            Self::WrongSeq { .. } => "tx-wrong-seq",
            Self::WrongLink => "tx-wrong-link",
            Self::UnknownSeenBlock => "tx-unknown-seen-block",
            Self::UnexpectedChainElement => "tx-unexpected-chain-element",
            Self::MissingChainElement => "tx-missing-chain-element",
            Self::WrongChainElement => "tx-wrong-chain-element",
            Self::WrongReveal => "tx-wrong-reveal",
            Self::Early => "tx-early",
            Self::Late => "tx-late",
            Self::BadDelegation => "tx-bad-delegation",
            Self::DelegationExpired => "tx-delegation-expired",
            Self::BadSignature => "tx-bad-signature",
            Self::Exhausted => "tx-exhausted",
            Self::WrongTakeback => "tx-wrong-takeback",
            Self::WrongMotion => "tx-wrong-motion",
            Self::SeatTaken => "tx-seat-taken",
            Self::AlreadySeated => "tx-already-seated",
        }
    }
}
