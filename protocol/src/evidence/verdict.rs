//! What judging evidence comes to.

use std::fmt;

use crate::{
    genesis::UnsupportedMode,
    ids::{Height, MatchId, Seat, Turn},
    keys::PublicKey,
    log::LogForkError,
};

/// What can be said of a readable evidence file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceReport {
    /// One word for what the file sets out to show.
    pub kind: &'static str,
    /// Names the match, where it is about one.
    pub match_id: Option<MatchId>,
    /// Root key of the service, as the file names it.
    pub root_key: PublicKey,
    /// Is it one of those that are trusted?
    pub pinned: bool,
    /// Is it so?
    pub verdict: Verdict,
}

/// Does the evidence show what it sets out to show?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes: the key has signed what its owner must not sign.
    Proven(Finding),
    /// No.
    NotProven(Refuted),
    /// Signatures alone cannot decide it, or not here.
    Undecidable(Undecidable),
}

/// Who did what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whose key signed it.
    pub culprit: Culprit,
    /// The turn concerned, where it is one.
    pub turn: Option<Turn>,
    /// The block concerned, where it is one.
    pub height: Option<Height>,
    /// The seat concerned: that of the culprit, or the one that was wronged.
    pub seat: Option<Seat>,
    /// What was broken, in a sentence.
    pub detail: String,
}

/// Whose key signed what nobody honest signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Culprit {
    /// A player, or whoever has the player's keys.
    Player {
        /// The identity, as the genesis names it.
        identity: PublicKey,
        /// Where it sits.
        seat: Seat,
    },
    /// The service, or whoever has its keys.
    Server {
        /// Serials of the block signers' certificates, ascending.
        serials: Vec<u32>,
    },
    /// The service's transparency log, or whoever has its key.
    Log {
        /// Serial of the certificate of its key.
        serial: u32,
    },
}

impl fmt::Display for Culprit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Player { identity, seat } => write!(f, "the player of seat {seat}, identity {identity}"),
            Self::Server { serials } => {
                let serials: Vec<_> = serials.iter().map(u32::to_string).collect();
                write!(f, "the server, block signer {}", serials.join(" and "))
            }
            Self::Log { serial } => write!(f, "the server, log signer {serial}"),
        }
    }
}

/// Why evidence does not show what it sets out to show. In the order of the checks of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refuted {
    /// A part is malformed.
    #[error("a signed object in it is malformed")]
    Malformed,
    /// A part is of another match than the genesis.
    #[error("an object is of another match")]
    WrongMatch,
    /// The genesis gives the seat to nobody, or the service's key cannot be enrolled.
    #[error("the genesis names no usable key for it")]
    NoKey,
    /// The delegation is not the identity's, or for another seat, match or epoch.
    #[error("the delegation does not count")]
    BadDelegation,
    /// A transaction is not signed by the session key.
    #[error("a transaction is not signed by the seat's session key")]
    BadSignature,
    /// No certificate makes this serial a block signer at the time of the object.
    #[error("no certificate covers block signer {serial}")]
    UnknownSigner {
        /// The serial that the proof names.
        serial: u32,
    },
    /// What is said to be of a log is not, or does not contradict itself.
    #[error("it does not show that a log contradicts itself: {0}")]
    Log(LogForkError),
    /// A proof does not hold.
    #[error("a server's proof does not hold")]
    BadProof,
    /// Both can stand in one match.
    #[error("the two do not exclude each other")]
    Compatible,
    /// The blocks are not where the kind needs them.
    #[error("the blocks are not of the heights or turns that this kind is about")]
    WrongPlace,
    /// Body and header of the block do not belong together.
    #[error("the block's body is not the one that its header commits to")]
    WrongBody,
    /// The block has the transaction, as promised.
    #[error("the block has the transaction as the receipt says")]
    Included,
    /// Nothing in the block was received after the deadline.
    #[error("nothing in the block was received after the deadline")]
    InTime,
    /// The state is not the one that the block before commits to, or it is no state of the game.
    #[error("the state in the file is not that of the block before")]
    OtherState,
    /// Executing the block gives the state that it commits to.
    #[error("executing the block gives the state that it commits to")]
    SameState,
}

/// Why nobody can tell, or not with what is at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecidable {
    /// The genesis names a mode that this build does not play, so it does not know what is allowed in it.
    #[error(transparent)]
    Mode(UnsupportedMode),
    /// This build does not have the rules of the game.
    #[error("this build does not have the rules of the game")]
    Rules,
    /// All of it holds under a root key that nobody pinned: anybody could have made such a service.
    #[error(
        "it holds in itself, but the service's root key is not one that was given: anybody can make up a service"
    )]
    NotPinned,
    /// All of it holds but for a certificate that the root key has revoked: who has stolen a key signs like its
    /// owner, and who has the root key can take back what he has signed himself.
    #[error(
        "it holds in itself, but the root key has revoked the certificate {serial}: a thief may have signed it, or the \
         service takes back what it has signed"
    )]
    Revoked {
        /// The serial of the certificate.
        serial: u32,
    },
    /// What the server signed is there once, and nothing that contradicts it.
    #[error(
        "the server signed block {height} and {receipts} receipts of the turn after it; whether it has signed \
         anything that contradicts them, this file does not show"
    )]
    OneSide {
        /// Height of the block.
        height: Height,
        /// How many receipts.
        receipts: usize,
    },
}
