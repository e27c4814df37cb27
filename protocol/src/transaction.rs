//! Transactions: what a seat signs. `docs/protocol.md`, "Transaction".

use bincode::{Decode, Encode};

use crate::{
    codec::{CodecError, Wire, decode_exact, encode},
    delegation::SignedDelegation,
    hash::{Context, Digest, hash},
    ids::{Attempt, BlockHash, Epoch, Height, MatchId, Seat, SeatSet, Seq, StateRoot, Turn, TxHash},
    keys::{BadSignature, EnrolledKey, PublicKey, SecretKey, Signature},
    setup::COMMANDS_BYTES_MAX,
};

/// One step of a seat, linked to the step before it and to what the seat had seen.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Transaction {
    /// Version of this layout: 1.
    pub version: u8,
    /// In which match.
    pub match_id: MatchId,
    /// Whose.
    pub seat: Seat,
    /// Under which delegation.
    pub epoch: Epoch,
    /// Counts the seat's transactions in blocks.
    pub seq: Seq,
    /// The seat's transaction before this one; the match id for the first.
    pub prev_tx: TxHash,
    /// For which turn.
    pub turn: Turn,
    /// For which attempt at it.
    pub attempt: Attempt,
    /// Head of the chain as the seat had it.
    pub seen_height: Height,
    /// Hash of that head.
    pub seen_block: BlockHash,
    /// The state root that the seat computed for that head by itself.
    pub seen_state_root: StateRoot,
    /// Element of the seat's hash chain, in the modes that use one.
    pub chain_element: Option<Digest>,
    /// What the seat does.
    pub body: TransactionBody,
}

/// What a seat does.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum TransactionBody {
    /// Takes the seat. The delegation is the one of epoch 0.
    Join(SignedDelegation),
    /// Goes on under a new session key, which signs this.
    Delegate(SignedDelegation),
    /// The commands of a turn, in the game's encoding.
    Turn(Vec<u8>),
    /// Hides the commands of a turn behind a hash of salt and commands.
    Commit(Digest),
    /// Shows what was hidden.
    Reveal {
        /// Random.
        salt: [u8; 32],
        /// The commands.
        commands: Vec<u8>,
    },
    /// Proposes or consents to go back to the state after `to_turn`.
    Takeback {
        /// The turn to go back to.
        to_turn: Turn,
    },
    /// Gives up.
    Resign,
    /// Puts a motion to the others, or consents to one.
    Motion(Motion),
    /// Takes a seat that is open in the running match. The delegation is the one of epoch 0.
    LateJoin {
        /// Who holds the seat from then on.
        identity: PublicKey,
        /// By that identity.
        delegation: SignedDelegation,
    },
}

/// What a seat wants that only several of them can decide. Its last word in a turn counts, Takebacks among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Motion {
    /// Nothing of what it wanted before.
    Nothing,
    /// The open turn to stand still. All have to consent.
    Pause {
        /// For how long, in milliseconds. 1 or more.
        ms: u32,
    },
    /// The match to end as it stands. All have to consent.
    End,
    /// The open turn to wait for these seats no longer. A quorum of the others decides.
    Skip {
        /// Other seats than the own.
        seats: SeatSet,
    },
}

impl TransactionBody {
    /// Does it say what the seat wants the others to consent to, and is no action?
    pub const fn is_stance(&self) -> bool {
        matches!(self, Self::Takeback { .. } | Self::Motion(_))
    }
}

impl Transaction {
    /// The layout that this build writes.
    pub const VERSION: u8 = 1;

    /// Are these two transactions of which a seat may sign only one under one delegation: not the same, and both
    /// its action, its commitment or its delegation for one turn and attempt?
    pub fn excludes(&self, other: &Self) -> bool {
        let place = |tx: &Self| (tx.match_id, tx.seat, tx.epoch, tx.turn, tx.attempt);
        let slots = (Slot::of(&self.body), Slot::of(&other.body));
        self != other && place(self) == place(other) && slots.0.is_some() && slots.0 == slots.1
    }
}

/// What a seat does once in a turn and attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Delegation,
    Commitment,
    Action,
}

impl Slot {
    /// `None` for what may be said more than once.
    const fn of(body: &TransactionBody) -> Option<Self> {
        match body {
            TransactionBody::Delegate(_) => Some(Self::Delegation),
            TransactionBody::Commit(_) => Some(Self::Commitment),
            TransactionBody::Join(_)
            | TransactionBody::Turn(_)
            | TransactionBody::Reveal { .. }
            | TransactionBody::Resign
            | TransactionBody::LateJoin { .. } => Some(Self::Action),
            TransactionBody::Takeback { .. } | TransactionBody::Motion(_) => None,
        }
    }
}

impl Wire for Transaction {
    const BYTES_MAX: usize = COMMANDS_BYTES_MAX + 512;

    fn validate(&self) -> Result<(), &'static str> {
        if self.version != Self::VERSION {
            return Err("transaction version");
        }
        match &self.body {
            TransactionBody::Turn(commands) | TransactionBody::Reveal { commands, .. }
                if commands.len() > COMMANDS_BYTES_MAX =>
            {
                Err("commands too long")
            }
            TransactionBody::Join(_)
            | TransactionBody::Delegate(_)
            | TransactionBody::Turn(_)
            | TransactionBody::Commit(_)
            | TransactionBody::Reveal { .. }
            | TransactionBody::Takeback { .. }
            | TransactionBody::Resign
            | TransactionBody::Motion(_)
            | TransactionBody::LateJoin { .. } => Ok(()),
        }
    }
}

/// A transaction as it was signed, and as it is relayed and stored.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SignedTransaction {
    /// Encoding of the [`Transaction`].
    pub body: Vec<u8>,
    /// By the seat's session key, under [`Context::Transaction`].
    pub signature: Signature,
}

impl SignedTransaction {
    /// Signs `transaction` with the session key of its seat.
    pub fn sign(session: &SecretKey, transaction: &Transaction) -> Self {
        let body = encode(transaction);
        let signature = session.sign(Context::Transaction, hash(Context::Transaction, &[&body]));
        Self { body, signature }
    }

    /// Names the transaction.
    pub fn hash(&self) -> TxHash {
        TxHash::new(hash(Context::Transaction, &[&self.body]))
    }

    /// Decodes what was signed; the signature is not looked at.
    ///
    /// # Errors
    ///
    /// The bytes are not the encoding of a transaction.
    pub fn read(self) -> Result<ReadTransaction, CodecError> {
        Ok(ReadTransaction {
            transaction: decode_exact(&self.body)?,
            hash: self.hash(),
            signed: self,
            verified_under: None,
        })
    }
}

impl Wire for SignedTransaction {
    const BYTES_MAX: usize = Transaction::BYTES_MAX + 8 + 64;
}

/// A decoded transaction beside its bytes. Knows whether its signature was verified, and under which key.
#[derive(Clone, Debug)]
pub struct ReadTransaction {
    transaction: Transaction,
    hash: TxHash,
    signed: SignedTransaction,
    verified_under: Option<PublicKey>,
}

impl ReadTransaction {
    /// What was signed.
    pub const fn get(&self) -> &Transaction {
        &self.transaction
    }

    /// Names the transaction.
    pub const fn hash(&self) -> TxHash {
        self.hash
    }

    /// The bytes as they came.
    pub const fn signed(&self) -> &SignedTransaction {
        &self.signed
    }

    /// Verifies the signature under `key`, once: the answer is remembered. Whether `key` is the right one
    /// is for the chain to say.
    ///
    /// # Errors
    ///
    /// [`BadSignature`]; nothing is remembered.
    pub fn verify(&mut self, key: &EnrolledKey) -> Result<(), BadSignature> {
        if self.verified_under != Some(key.public()) {
            key.verify(Context::Transaction, self.hash.digest(), &self.signed.signature)?;
            self.verified_under = Some(key.public());
        }
        Ok(())
    }
}
