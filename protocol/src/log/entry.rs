//! What the log is of: the heads of matches.

use super::tree::leaf_hash;
use crate::{
    certificate::SignedCertificate,
    codec::{decode_exact, encode},
    hash::Digest,
    ids::{BlockHash, Height, MatchId},
};

/// A leaf of the log: at some moment this block was the newest one of its match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// The match.
    pub match_id: MatchId,
    /// Height of the block.
    pub height: Height,
    /// The block.
    pub block: BlockHash,
}

impl LogEntry {
    /// The only version there is.
    pub const VERSION: u8 = 1;

    /// Length of every entry.
    pub const BYTES: usize = 1 + 32 + 8 + 32;

    /// As it stands in the log: `version u8 ‖ match id ‖ height u64 ‖ name of the block`.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [Self::VERSION; Self::BYTES];
        bytes[1..33].copy_from_slice(self.match_id.as_bytes());
        bytes[33..41].copy_from_slice(&self.height.get().to_le_bytes());
        bytes[41..].copy_from_slice(self.block.as_bytes());
        bytes
    }

    /// Reads an entry; `None` for another length or version.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (match_id, rest) = rest.split_first_chunk()?;
        let (height, block) = rest.split_first_chunk()?;
        let entry = Self {
            match_id: MatchId::new(Digest::new(*match_id)),
            height: Height::new(u64::from_le_bytes(*height)),
            block: BlockHash::new(Digest::new(block.try_into().ok()?)),
        };
        (*version == Self::VERSION).then_some(entry)
    }

    /// Its leaf in the tree.
    pub fn leaf(&self) -> Digest {
        leaf_hash(&self.to_bytes())
    }
}

/// What a bundle in a replay file claims: the extra data of its [`super::LogProof`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogClaim {
    /// What stands in the log.
    pub entry: LogEntry,
    /// Which key signs the log's checkpoints.
    pub certificate: SignedCertificate,
}

impl LogClaim {
    /// The entry, then the encoding of the certificate.
    pub fn to_bytes(&self) -> Vec<u8> {
        [&self.entry.to_bytes()[..], &encode(&self.certificate)].concat()
    }

    /// Reads a claim; `None` when it is none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (entry, certificate) = bytes.split_at_checked(LogEntry::BYTES)?;
        Some(Self { entry: LogEntry::from_bytes(entry)?, certificate: decode_exact(certificate).ok()? })
    }
}
