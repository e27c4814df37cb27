//! A match as it looks to somebody who executes nothing. `docs/protocol.md`, "Watching without executing".

use bincode::{Decode, Encode};

use crate::{
    block::{BlockKind, Header},
    certificate::{CertificateError, KeyRole, SignedCertificate, VerifiedCertificate},
    chain::chain_leaf,
    evidence::ProvenHeader,
    genesis::Genesis,
    hash::{Context, Digest},
    ids::{BlockHash, Height, MatchId, StateRoot},
    keys::EnrolledKey,
    merkle,
    message::{CHUNKS_BYTES_MAX, ServerMessage, are_chunks},
    proof::block_leaf,
    state_tree::ChunkId,
};

/// Most chunks that a viewport names. One that names none has all of them.
pub const VIEWPORT_CHUNKS_MAX: usize = 64;

/// A block, and what it changed of the chunks that the receiver watches.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct View {
    /// The block.
    pub block: ProvenHeader,
    /// What the chunks are changes of.
    pub since: Since,
    /// The state tree beside the watched chunks: [`crate::StateTree::beside`].
    pub beside: Vec<Digest>,
    /// The first of the chunks, ascending.
    pub chunks: Vec<(ChunkId, Vec<u8>)>,
    /// How many come after these, in [`ServerMessage::Chunks`].
    pub more: u32,
}

/// What the receiver of a [`View`] needs to have.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Since {
    /// The view of the block before.
    Before,
    /// Nothing: the chunks are all that are watched.
    Nothing {
        /// Certificate of the block's signer.
        signer: SignedCertificate,
        /// Proof that the receiver's head stands in the chain of the block; empty if that is the genesis or the block.
        place: Vec<Digest>,
    },
}

impl View {
    /// The messages that carry a view with these chunks, ascending as they are.
    pub fn messages(
        block: ProvenHeader,
        since: Since,
        beside: Vec<Digest>,
        mut chunks: Vec<(ChunkId, Vec<u8>)>,
    ) -> Vec<ServerMessage> {
        let mut bytes = 32 * beside.len();
        let first = chunks.iter().take_while(|(_, chunk)| {
            bytes += chunk.len();
            bytes <= CHUNKS_BYTES_MAX
        });
        let first = first.count();
        let rest = chunks.split_off(first);
        let more = u32::try_from(rest.len()).expect("chunks are numbered by 16 bits");
        let view = Self { block, since, beside, chunks, more };
        let mut messages = vec![ServerMessage::View(Box::new(view))];
        messages.extend(ServerMessage::chunks_of(rest));
        messages
    }

    pub(crate) fn validate(&self) -> Result<(), &'static str> {
        let place = match &self.since {
            Since::Before => 0,
            Since::Nothing { place, .. } => place.len(),
        };
        let fits = are_chunks(&self.chunks, 32 * self.beside.len()) && place <= merkle::PROOF_HASHES_MAX;
        if fits { Ok(()) } else { Err("view") }
    }
}

/// The newest block that somebody knows who looks at headers only.
#[derive(Clone, Debug)]
pub struct LightHead {
    match_id: MatchId,
    root: EnrolledKey,
    signer: VerifiedCertificate,
    height: Height,
    block: BlockHash,
    header: Option<Header>,
}

impl LightHead {
    /// Begins at the genesis. Whether its service is the one that the caller trusts, is for the caller to compare.
    ///
    /// # Errors
    ///
    /// The genesis names a service or a signer that nothing can be checked with.
    pub fn begin(genesis: &Genesis) -> Result<Self, CertificateError> {
        let root = genesis.service.enroll().map_err(CertificateError::Key)?;
        let signer = genesis.signer.verify(&root)?;
        let match_id = genesis.match_id();
        let (height, block) = (Height::GENESIS, match_id.as_block());
        Ok(Self { match_id, root, signer, height, block, header: None })
    }

    /// Checks a block that is said to come next, or later, or to be this one again. The state is not looked at.
    ///
    /// # Errors
    ///
    /// In the order of [`ViewError`]'s variants; the first that applies.
    pub fn check(&self, block: &ProvenHeader, since: &Since) -> Result<Self, ViewError> {
        let header = block.read().map_err(|_| ViewError::Malformed)?;
        if header.match_id != self.match_id {
            return Err(ViewError::WrongMatch);
        }
        let signer = self.signer_of(&header, since)?;
        let hash = block.hash();
        let signed = block.proof.verify(block_leaf(hash), signer.key());
        if block.proof.serial != signer.serial() || signed.is_err() {
            return Err(ViewError::BadProof);
        }
        if !self.is_before(&header, hash, since) {
            return Err(ViewError::OtherHistory);
        }
        let Self { match_id, root, .. } = self.clone();
        Ok(Self { match_id, root, signer, height: header.height, block: hash, header: Some(header) })
    }

    fn signer_of(&self, header: &Header, since: &Since) -> Result<VerifiedCertificate, ViewError> {
        let signer = match (&header.kind, since) {
            (BlockKind::KeyChange { certificate: signer }, _) | (_, Since::Nothing { signer, .. }) => {
                signer.verify(&self.root).map_err(|_| ViewError::Signer)?
            }
            (_, Since::Before) => self.signer.clone(),
        };
        let in_force = signer.check(KeyRole::Block, header.server_time).is_ok()
            && signer.serial() == header.signer_serial
            && signer.serial() >= self.signer.serial();
        if in_force { Ok(signer) } else { Err(ViewError::Signer) }
    }

    fn is_before(&self, header: &Header, hash: BlockHash, since: &Since) -> bool {
        match since {
            Since::Before => Some(header.height) == self.height.next() && header.prev_block == self.block,
            Since::Nothing { place, .. } if header.height == self.height => {
                place.is_empty() && hash == self.block
            }
            // The match id in the header says that.
            Since::Nothing { place, .. } if self.height == Height::GENESIS => place.is_empty(),
            Since::Nothing { place, .. } => {
                let (leaf, index, size) = (chain_leaf(self.block), self.height.get(), header.height.get());
                let root = merkle::root_of_proof(Context::ChainNode, leaf, index, size, place);
                root == Some(header.chain_root)
            }
        }
    }

    /// Names the match.
    pub const fn match_id(&self) -> MatchId {
        self.match_id
    }

    /// The height of the block.
    pub const fn height(&self) -> Height {
        self.height
    }

    /// Names the block; the match id for the genesis.
    pub const fn block(&self) -> BlockHash {
        self.block
    }

    /// What the block says; `None` at the genesis.
    pub const fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// The state after the block; `None` at the genesis.
    pub fn state_root(&self) -> Option<StateRoot> {
        self.header.as_ref().map(|header| header.state_root)
    }
}

/// Why a view is not taken. The server's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    /// The header is not the encoding of one.
    #[error("the header is malformed")]
    Malformed,
    /// The block is of another match.
    #[error("the block is of another match")]
    WrongMatch,
    /// The certificate is not one of the service's block signers, or not the one that the block names.
    #[error("the block's signer is not certified")]
    Signer,
    /// The server did not sign the block.
    #[error("the server's proof does not hold")]
    BadProof,
    /// The block is not shown to come after the receiver's head.
    #[error("the block is not shown to come after the own head")]
    OtherHistory,
    /// The chunks are not those that are watched, or not changes of what the receiver has.
    #[error("the chunks are not those that are watched")]
    Chunks,
    /// Together with the tree beside them they are not the state that the block commits to.
    #[error("the chunks are not the state of the block")]
    StateRoot,
}
