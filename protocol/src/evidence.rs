//! Evidence: a file that shows, to whoever has the root key and nothing else, that somebody signed what cannot
//! be true together. `docs/protocol.md`, "Evidence".
//!
//! # Requires
//!
//! - The root keys that are trusted. Without the right one, what a service is charged with may be made up as a
//!   whole; what a player is charged with needs only the player's own identity key.
//!
//! # Provides
//!
//! - Of a proven case: whose key signed it, in which match and turn, and what was broken.
//! - Nothing that its holder added can turn an honest signature into a proof.
//!
//! # Does not provide
//!
//! - Whether whoever has a key meant it: a stolen or copied key signs as well as its owner.
//! - Anything about a transaction for which there is no receipt.

mod judge;
mod log_fork;
mod verdict;

use bincode::{Decode, Encode};

use crate::{
    block::{Block, Header, ProvenBlock},
    certificate::SignedCertificate,
    chain::Chain,
    codec::{CodecError, DECODE_BYTES_MAX, Wire, decode_exact, encode},
    delegation::SignedDelegation,
    genesis::Genesis,
    hash::{Context, Digest, hash},
    ids::BlockHash,
    keys::PublicKey,
    log::NOTE_BYTES_MAX,
    merkle::PROOF_HASHES_MAX,
    proof::ServerProof,
    receipt::ProvenReceipt,
    state_tree::{ChunkId, chunks_from_bytes, chunks_to_bytes},
    transaction::SignedTransaction,
};

pub use judge::{Judged, StateClaim};
pub use log_fork::LogFork;
pub use verdict::{Culprit, EvidenceReport, Finding, Refuted, Undecidable, Verdict};

/// What an evidence file begins with: damaged by a transfer as text, it is no evidence file any more.
pub const EVIDENCE_MAGIC: [u8; 8] = *b"\x89CADE\r\n\n";

/// Longest evidence file: the largest state of a game, and what belongs to it.
pub const EVIDENCE_BYTES_MAX: usize = 32 * 1024 * 1024 + DECODE_BYTES_MAX + 12;

/// Most certificates in one file, beside that in the genesis.
pub const EVIDENCE_CERTIFICATES_MAX: usize = 8;

/// Most receipts in one file.
pub const EVIDENCE_RECEIPTS_MAX: usize = 4;

/// What an evidence file can be about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EvidenceFile {
    /// What a player or the server did in a match.
    Match(Box<Evidence>),
    /// What the service did in its transparency log.
    Log(Box<LogFork>),
}

/// Everything that one case of a match needs, as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The match's genesis.
    pub genesis: Genesis,
    /// Certificates of block signers that later blocks put in force; that in the genesis need not be repeated.
    pub certificates: Vec<SignedCertificate>,
    /// What is shown.
    pub case: Case,
    /// For [`Case::BadState`] of a turn: the whole state before it, ascending. Else none.
    pub chunks: Vec<(ChunkId, Vec<u8>)>,
}

/// What evidence shows, and with what.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Case {
    /// A seat signed two transactions of which its match can have only one.
    PlayerDoubleTx {
        /// By which the identity lets the session key speak that signed both.
        delegation: SignedDelegation,
        /// One of them.
        first: SignedTransaction,
        /// The other.
        second: SignedTransaction,
    },
    /// The server signed two blocks at one height of a match.
    ServerFork {
        /// One of them.
        first: ProvenHeader,
        /// The other.
        second: ProvenHeader,
    },
    /// The server signed a block whose history has another block where it had signed one before.
    ServerHeadLie {
        /// The block at the lower height.
        earlier: ProvenHeader,
        /// The block whose history is another.
        later: ProvenHeader,
        /// Where it shows.
        contradiction: Contradiction,
    },
    /// The server gave a receipt, and then signed the turn's block without the transaction.
    Omission {
        /// The promise.
        receipt: ProvenReceipt,
        /// The whole block that closed the first half, in a match with sealed commands.
        commit: Option<ProvenBlock>,
        /// The whole block that closed the turn.
        block: ProvenBlock,
    },
    /// The server signed a state that does not follow from the one before.
    BadState {
        /// The block before; none before the Start.
        before: Option<ProvenHeader>,
        /// The whole Start, for a turn of a match with hash chains: it has the seed.
        start: Option<ProvenBlock>,
        /// The whole block.
        block: ProvenBlock,
    },
    /// The server took up a transaction that it received after the deadline.
    LateAccept {
        /// The block before, which names the deadline.
        before: ProvenHeader,
        /// The whole block.
        block: ProvenBlock,
    },
    /// What a client keeps whose server does not know its head any more. It shows what the server signed, and
    /// contradicts nothing by itself.
    Held {
        /// The client's head.
        head: ProvenHeader,
        /// Receipts of the turn that was open.
        receipts: Vec<ProvenReceipt>,
    },
}

/// How the history of a later block shows that it is another.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Contradiction {
    /// The later block comes directly after the height of the earlier one and names another before it.
    Link,
    /// The later block comes directly after the earlier one, and its chain root is not the one that follows.
    Root {
        /// Roots of the complete subtrees of the tree over all blocks before the earlier one.
        peaks: Vec<Digest>,
    },
    /// The tree over all blocks before the later one has another block in the place of the earlier one.
    Place {
        /// That other block.
        block: BlockHash,
        /// Its proof in the tree.
        proof: Vec<Digest>,
    },
}

/// A header, with the proof that the server signed it. What a block says without its body.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ProvenHeader {
    /// Encoding of the [`Header`].
    pub header: Vec<u8>,
    /// Proof of the server.
    pub proof: ServerProof,
}

impl ProvenHeader {
    /// Leaves the body of a block away.
    ///
    /// # Errors
    ///
    /// The block is not the encoding of one.
    pub fn of(block: &ProvenBlock) -> Result<Self, CodecError> {
        let Block { header, .. } = decode_exact(&block.block)?;
        Ok(Self { header, proof: block.proof.clone() })
    }

    /// Decodes the header; the proof is not looked at.
    ///
    /// # Errors
    ///
    /// It is not the encoding of one.
    pub fn read(&self) -> Result<Header, CodecError> {
        decode_exact(&self.header)
    }

    /// Names the block.
    pub fn hash(&self) -> BlockHash {
        BlockHash::new(hash(Context::Block, &[&self.header]))
    }
}

impl Case {
    /// One word for the kind, for tables, file names and machine-readable reports.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::PlayerDoubleTx { .. } => "player-double-tx",
            Self::ServerFork { .. } => "server-fork",
            Self::ServerHeadLie { .. } => "server-head-lie",
            Self::Omission { .. } => "omission",
            Self::BadState { .. } => "bad-state",
            Self::LateAccept { .. } => "late-accept",
            Self::Held { .. } => "held",
        }
    }
}

impl Case {
    /// Serials of the block signers whose proofs are in it.
    pub fn serials(&self) -> Vec<u32> {
        match self {
            Self::PlayerDoubleTx { .. } => Vec::new(),
            Self::ServerFork { first, second } => vec![first.proof.serial, second.proof.serial],
            Self::ServerHeadLie { earlier, later, .. } => vec![earlier.proof.serial, later.proof.serial],
            Self::Omission { receipt, commit, block } => {
                let commit = commit.iter().map(|commit| commit.proof.serial);
                commit.chain([receipt.proof.serial, block.proof.serial]).collect()
            }
            Self::BadState { before, start, block } => {
                let before = before.iter().map(|before| before.proof.serial);
                before
                    .chain(start.iter().map(|start| start.proof.serial))
                    .chain([block.proof.serial])
                    .collect()
            }
            Self::LateAccept { before, block } => vec![before.proof.serial, block.proof.serial],
            Self::Held { head, receipts } => {
                receipts.iter().map(|receipt| receipt.proof.serial).chain([head.proof.serial]).collect()
            }
        }
    }
}

impl Evidence {
    /// Evidence in the match of `chain`, without a state.
    pub fn of(chain: &Chain, certificates: Vec<SignedCertificate>, case: Case) -> Self {
        Self { genesis: chain.genesis().clone(), certificates, case, chunks: Vec::new() }
    }

    /// The file: `magic ‖ length u32 ‖ encoding of all but the chunks ‖ chunks`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = file_of(About::Match {
            genesis: encode(&self.genesis),
            certificates: self.certificates.clone(),
            case: Box::new(self.case.clone()),
        });
        if !self.chunks.is_empty() {
            bytes.extend(chunks_to_bytes(&self.chunks));
        }
        bytes
    }
}

impl EvidenceFile {
    /// Reads a file. No signature is looked at.
    ///
    /// # Errors
    ///
    /// In the order of [`EvidenceError`]'s variants; the first that applies.
    pub fn read(bytes: &[u8]) -> Result<Self, EvidenceError> {
        let Some(rest) = bytes.strip_prefix(&EVIDENCE_MAGIC) else { return Err(EvidenceError::Magic) };
        if bytes.len() > EVIDENCE_BYTES_MAX {
            return Err(EvidenceError::TooLong);
        }
        let (len, rest) = rest.split_first_chunk().ok_or(EvidenceError::Cut)?;
        let len = usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX);
        let (core, rest) = rest.split_at_checked(len).ok_or(EvidenceError::Cut)?;
        let Core { about, .. } = decode_exact(core).map_err(EvidenceError::Encoding)?;
        let (genesis, certificates, case) = match about {
            About::Match { genesis, certificates, case } => (genesis, certificates, *case),
            About::Log { service, certificate } => {
                let [first, second] = log_fork::statements(rest)?;
                return Ok(Self::Log(Box::new(LogFork { service, certificate, first, second })));
            }
        };
        let genesis = decode_exact(&genesis).map_err(EvidenceError::Encoding)?;
        let chunks = if rest.is_empty() {
            Vec::new()
        } else {
            chunks_from_bytes(rest).map_err(EvidenceError::Chunks)?
        };
        let has_state = matches!(case, Case::BadState { .. });
        if !rest.is_empty() && (chunks.is_empty() || !has_state) {
            return Err(EvidenceError::Chunks("chunks where none belong"));
        }
        Ok(Self::Match(Box::new(Evidence { genesis, certificates, case, chunks })))
    }
}

/// A file, as far as its core.
fn file_of(about: About) -> Vec<u8> {
    let core = encode(&Core { version: Core::VERSION, about });
    let len = u32::try_from(core.len()).expect("the parts of a case are short");
    [&EVIDENCE_MAGIC[..], &len.to_le_bytes(), &core].concat()
}

/// All of a file but the chunks.
#[derive(Encode, Decode)]
struct Core {
    version: u8,
    about: About,
}

#[derive(Encode, Decode)]
enum About {
    Match { genesis: Vec<u8>, certificates: Vec<SignedCertificate>, case: Box<Case> },
    Log { service: PublicKey, certificate: SignedCertificate },
}

impl Core {
    /// The layout that this build writes.
    const VERSION: u8 = 1;
}

impl Wire for Core {
    const BYTES_MAX: usize = DECODE_BYTES_MAX;

    fn validate(&self) -> Result<(), &'static str> {
        if self.version != Self::VERSION {
            return Err("evidence version");
        }
        let About::Match { certificates, case, .. } = &self.about else { return Ok(()) };
        if certificates.len() > EVIDENCE_CERTIFICATES_MAX {
            return Err("too many certificates");
        }
        match &**case {
            Case::ServerHeadLie {
                contradiction:
                    Contradiction::Root { peaks: hashes } | Contradiction::Place { proof: hashes, .. },
                ..
            } if hashes.len() > PROOF_HASHES_MAX => Err("too many hashes"),
            Case::Held { receipts, .. } if receipts.len() > EVIDENCE_RECEIPTS_MAX => Err("too many receipts"),
            Case::PlayerDoubleTx { .. }
            | Case::ServerFork { .. }
            | Case::ServerHeadLie { .. }
            | Case::Omission { .. }
            | Case::BadState { .. }
            | Case::LateAccept { .. }
            | Case::Held { .. } => Ok(()),
        }
    }
}

/// Why bytes are no evidence file. The fault of whoever wrote or moved it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// It begins otherwise.
    #[error("not an evidence file")]
    Magic,
    /// Longer than any evidence can be.
    #[error("longer than {EVIDENCE_BYTES_MAX} bytes")]
    TooLong,
    /// It ends too early.
    #[error("the file is cut")]
    Cut,
    /// A part is not the encoding of what it should be.
    #[error("the file is malformed")]
    Encoding(#[source] CodecError),
    /// The state in it is malformed.
    #[error("the state in the file is malformed: {0}")]
    Chunks(&'static str),
    /// What a log is said to have signed is too long.
    #[error("the statements of the log are longer than {NOTE_BYTES_MAX} bytes")]
    Statements,
}
