//! Blocks: what the server commits for a turn. `docs/protocol.md`, "Block".

use bincode::{Decode, Encode};

use crate::{
    certificate::SignedCertificate,
    codec::{CodecError, Wire, decode_exact, encode, strictly_ascending},
    genesis::{Genesis, STANCES_PER_TURN_MAX},
    hash::{Context, Digest, hash},
    ids::{Attempt, BlockHash, Height, MatchId, Millis, SEATS_MAX, Seat, StateRoot, Turn},
    keys::{BadSignature, EnrolledKey, PublicKey},
    merkle,
    proof::{ServerProof, block_leaf},
    randomness::Drawn,
    setup::{Orders, Standing, Work},
    transaction::{ReadTransaction, SignedTransaction, TransactionBody},
};

/// What is hashed and signed of a block; body and absent list hang below it by their roots.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Header {
    /// Version of this layout: 1.
    pub version: u8,
    /// In which match.
    pub match_id: MatchId,
    /// One more than that of the block before.
    pub height: Height,
    /// The block before; the match id for the first.
    pub prev_block: BlockHash,
    /// What the block does.
    pub kind: BlockKind,
    /// The turn whose state `state_root` commits to.
    pub turn: Turn,
    /// Number of takeback blocks so far.
    pub attempt: Attempt,
    /// When the server made the block; never before the block before.
    pub server_time: Millis,
    /// When the next turn closes at the latest; none after a Seal.
    pub deadline: Option<Millis>,
    /// Root over the entries.
    pub body_root: Digest,
    /// Hash of the absent list.
    pub absent_root: Digest,
    /// In a Start or Turn with commit and reveal, the next element of the server's hash chain; else zero.
    pub randomness: Digest,
    /// The state after this block.
    pub state_root: StateRoot,
    /// Root over all blocks before this one, the genesis among them.
    pub chain_root: Digest,
    /// Serial of the certificate under which the block is signed.
    pub signer_serial: u32,
}

/// What a block does.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum BlockKind {
    /// Height 1: the Joins, the first state, the first deadline.
    Start,
    /// Executes a turn.
    Turn,
    /// Closes the first half of a turn with sealed commands.
    Commit,
    /// Opens the same turn again with a new deadline.
    Reopen {
        /// Why.
        reason: ReopenReason,
    },
    /// Goes back to the state after an earlier turn, as all seats have consented to.
    Takeback {
        /// That turn.
        to_turn: Turn,
    },
    /// Puts another block signer in force; this block is the first that it signs.
    KeyChange {
        /// Signed by the service's root key.
        certificate: SignedCertificate,
    },
    /// The end.
    Seal {
        /// Why.
        reason: SealReason,
        /// How the match came out.
        standings: Vec<Standing>,
    },
}

impl BlockKind {
    /// Does it take up the transactions received so far?
    pub const fn closes_turn(&self) -> bool {
        match self {
            Self::Start | Self::Turn | Self::Commit | Self::Takeback { .. } => true,
            Self::Reopen { .. } | Self::KeyChange { .. } | Self::Seal { .. } => false,
        }
    }

    /// Does it reveal an element of the server's hash chain, in a match that has them?
    pub(crate) const fn reveals(&self) -> bool {
        matches!(self, Self::Start | Self::Turn)
    }

    /// Does it show what the seats want, and leave the open turn as it is? The transactions stand in the block
    /// that closes the turn as well, if one comes.
    pub(crate) const fn shows_consent(&self) -> bool {
        matches!(
            self,
            Self::Reopen { reason: ReopenReason::Pause { .. } }
                | Self::Seal { reason: SealReason::Agreed, .. }
        )
    }

    /// Is it the last block of a match?
    pub const fn seals(&self) -> bool {
        matches!(self, Self::Seal { .. })
    }
}

/// Why a turn was opened again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ReopenReason {
    /// The server was away.
    Restart,
    /// The players agreed to pause.
    Pause {
        /// By so much the time of the turn is later, in milliseconds.
        ms: u32,
    },
    /// A player has lost the connection, by the server's word. The time of the turn is later by what the genesis says.
    Grace,
}

/// Why a match ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum SealReason {
    /// By the rules of the game.
    Rules,
    /// The last turn that the genesis allows was played.
    TurnLimit,
    /// At most one seat has not resigned.
    Resigned,
    /// Nobody acted for as many turns as the genesis allows.
    Abandoned,
    /// The operator ended it. The only reason that nobody can check.
    Operator,
    /// A seat signed two transactions for one turn, in a match that such a thing ends. The Seal carries both.
    DoubleTransaction {
        /// Whose they are.
        seat: Seat,
    },
    /// All players wanted it to end.
    Agreed,
}

/// Why a seat has no action in a Turn block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum AbsenceReason {
    /// Nothing came before the deadline.
    Deadline,
    /// The rules did not let it move.
    NotToMove,
    /// It resigned before.
    Resigned,
    /// A quorum of the others skipped it before its time was up.
    Skipped,
    /// It did not show what it had committed to.
    RevealMissing,
    /// Nobody has taken it.
    OpenSeat,
    /// Nothing came before the deadline, and the rules play for it.
    TakenOver,
}

/// A seat without an action in a Turn block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Absence {
    /// The seat.
    pub seat: Seat,
    /// Why.
    pub reason: AbsenceReason,
}

/// A transaction in a block.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Entry {
    /// When the server received it.
    pub received: Millis,
    /// As it was signed.
    pub transaction: SignedTransaction,
}

/// A block as bytes: the header is carried encoded, since its bytes are what is hashed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Block {
    /// Encoding of the [`Header`].
    pub header: Vec<u8>,
    /// Transactions in the computed order.
    pub entries: Vec<Entry>,
    /// Seats without an action, ascending. Only in Commit and Turn blocks.
    pub absent: Vec<Absence>,
}

impl Header {
    /// The layout that this build writes.
    pub const VERSION: u8 = 1;
}

impl Wire for Header {
    const BYTES_MAX: usize = 1024;

    fn validate(&self) -> Result<(), &'static str> {
        if self.version != Self::VERSION {
            return Err("header version");
        }
        match &self.kind {
            BlockKind::Seal { standings, .. } => Standing::validate_all(standings),
            BlockKind::Start
            | BlockKind::Turn
            | BlockKind::Commit
            | BlockKind::Reopen { .. }
            | BlockKind::Takeback { .. }
            | BlockKind::KeyChange { .. } => Ok(()),
        }
    }
}

/// A new delegation, an action, and what the seat wants the others to consent to.
const ENTRIES_PER_SEAT_MAX: usize = 2 + STANCES_PER_TURN_MAX;

impl Wire for Block {
    const BYTES_MAX: usize = 48 * 1024;

    fn validate(&self) -> Result<(), &'static str> {
        if self.entries.len() > ENTRIES_PER_SEAT_MAX * usize::from(SEATS_MAX) {
            return Err("too many entries");
        }
        if !strictly_ascending(self.absent.iter().map(|absence| absence.seat)) {
            return Err("absent list not in ascending order");
        }
        Ok(())
    }
}

impl Block {
    /// Decodes header and transactions; no signature, proof or rule is looked at.
    ///
    /// # Errors
    ///
    /// A part is not the encoding of what it should be.
    pub fn read(self) -> Result<ReadBlock, CodecError> {
        let header: Header = decode_exact(&self.header)?;
        let hash = BlockHash::new(hash(Context::Block, &[&self.header]));
        let entries = self
            .entries
            .into_iter()
            .map(|entry| {
                let transaction = entry.transaction.read()?;
                Ok(ReadEntry { received: entry.received, transaction })
            })
            .collect::<Result<_, CodecError>>()?;
        Ok(ReadBlock { header, header_bytes: self.header, hash, entries, absent: self.absent })
    }
}

/// A decoded transaction of a block.
#[derive(Clone, Debug)]
pub struct ReadEntry {
    /// When the server received it.
    pub received: Millis,
    /// The transaction.
    pub transaction: ReadTransaction,
}

impl ReadEntry {
    fn leaf(&self) -> Digest {
        let signed = self.transaction.signed();
        hash(
            Context::BodyLeaf,
            &[&self.received.get().to_le_bytes(), &signed.body, signed.signature.as_bytes()],
        )
    }
}

/// The commands in the entries of a Turn, in order, and after them those that the rules have for the seats that they play
/// for.
pub(crate) fn orders<'a>(
    entries: &'a [ReadEntry],
    absent: &[Absence],
    stand_in: impl Fn(Seat) -> Vec<u8>,
) -> Vec<Orders<'a>> {
    let orders_of = |entry: &'a ReadEntry| {
        let tx = entry.transaction.get();
        match &tx.body {
            TransactionBody::Turn(commands) | TransactionBody::Reveal { commands, .. } => {
                Some(Orders::new(tx.seat, commands))
            }
            TransactionBody::Join(_)
            | TransactionBody::Delegate(_)
            | TransactionBody::Commit(_)
            | TransactionBody::Takeback { .. }
            | TransactionBody::Resign
            | TransactionBody::Motion(_)
            | TransactionBody::LateJoin { .. } => None,
        }
    };
    let taken_over = absent.iter().filter(|absence| absence.reason == AbsenceReason::TakenOver);
    let stood_in = taken_over.map(|absence| Orders::new(absence.seat, stand_in(absence.seat)));
    entries.iter().filter_map(orders_of).chain(stood_in).collect()
}

/// Root over the entries of a block.
pub(crate) fn body_root(entries: &[ReadEntry]) -> Digest {
    let leaves: Vec<_> = entries.iter().map(ReadEntry::leaf).collect();
    merkle::root(Context::BodyNode, &leaves)
}

/// Hash of the absent list of a block.
pub(crate) fn absent_root(absent: &Vec<Absence>) -> Digest {
    hash(Context::Absent, &[&encode(absent)])
}

/// A decoded block beside its hash and the bytes of its header.
#[derive(Clone, Debug)]
pub struct ReadBlock {
    header: Header,
    header_bytes: Vec<u8>,
    hash: BlockHash,
    pub(crate) entries: Vec<ReadEntry>,
    pub(crate) absent: Vec<Absence>,
}

impl ReadBlock {
    /// Puts a new block together from parts that were made here.
    pub(crate) fn compose(header: Header, entries: Vec<ReadEntry>, absent: Vec<Absence>) -> Self {
        let header_bytes = encode(&header);
        let hash = BlockHash::new(hash(Context::Block, &[&header_bytes]));
        Self { header, header_bytes, hash, entries, absent }
    }

    /// The header.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Names the block.
    pub const fn hash(&self) -> BlockHash {
        self.hash
    }

    /// The transactions in their order.
    pub fn entries(&self) -> &[ReadEntry] {
        &self.entries
    }

    /// What the block has the game do, if it is a block of the match of `genesis`. `seed` is the one in force
    /// before it; `stand_in` says what the rules do for a seat that they play for, in the state before it.
    pub fn work(&self, genesis: &Genesis, seed: Digest, stand_in: impl Fn(Seat) -> Vec<u8>) -> Work<'_> {
        let drawn = Drawn::of(&genesis.randomness, seed, &self.header, &self.entries);
        drawn.work(&self.entries, &self.absent, stand_in)
    }

    /// The seats without an action.
    pub fn absent(&self) -> &[Absence] {
        &self.absent
    }

    /// The block as it is stored and sent.
    pub fn to_bytes(&self) -> Vec<u8> {
        let entries = self
            .entries
            .iter()
            .map(|entry| Entry { received: entry.received, transaction: entry.transaction.signed().clone() });
        encode(&Block {
            header: self.header_bytes.clone(),
            entries: entries.collect(),
            absent: self.absent.clone(),
        })
    }
}

/// A block as it is stored and sent, with the server's proof.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ProvenBlock {
    /// Encoding of the [`Block`].
    pub block: Vec<u8>,
    /// Proof of the server.
    pub proof: ServerProof,
}

impl ProvenBlock {
    /// Decodes the block; no signature, proof or rule is looked at.
    ///
    /// # Errors
    ///
    /// A part is not the encoding of what it should be.
    pub fn read(self) -> Result<ReadProvenBlock, CodecError> {
        let block = decode_exact::<Block>(&self.block)?.read()?;
        Ok(ReadProvenBlock { block, proof: self.proof, proven_under: None })
    }
}

impl Wire for ProvenBlock {
    const BYTES_MAX: usize = 8 + Block::BYTES_MAX + ServerProof::BYTES_MAX;
}

/// A decoded block with its proof. Knows whether the proof was verified, and under which key.
#[derive(Clone, Debug)]
pub struct ReadProvenBlock {
    pub(crate) block: ReadBlock,
    proof: ServerProof,
    proven_under: Option<PublicKey>,
}

impl ReadProvenBlock {
    /// The block.
    pub const fn block(&self) -> &ReadBlock {
        &self.block
    }

    /// The block without its proof.
    pub fn into_block(self) -> ReadBlock {
        self.block
    }

    /// The transactions, to verify their signatures ahead of the chain verifier.
    pub fn entries_mut(&mut self) -> &mut [ReadEntry] {
        &mut self.block.entries
    }

    /// Verifies the server's proof under `key`, once: the answer is remembered. Whether `key` is the right
    /// one is for the chain to say.
    ///
    /// # Errors
    ///
    /// [`BadSignature`], also when the proof names another serial than the header.
    pub fn verify_proof(&mut self, key: &EnrolledKey) -> Result<(), BadSignature> {
        if self.proven_under != Some(key.public()) {
            if self.proof.serial != self.block.header.signer_serial {
                return Err(BadSignature);
            }
            self.proof.verify(block_leaf(self.block.hash), key)?;
            self.proven_under = Some(key.public());
        }
        Ok(())
    }
}
