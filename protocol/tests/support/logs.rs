//! A log, its witnesses, and what they sign, under keys that everybody knows.

use cadastre_protocol::{
    BlockHash, Certificate, Digest, Height, KeyRole, MatchId, Millis, SecretKey, SignedCertificate,
    log::{
        Checkpoint, LogClaim, LogEntry, LogProof, LogSigner, LogTree, Origin, SignedCheckpoint,
        VerifiedCheckpoint, WitnessSigner, inclusion_proof, leaf_hash, tree_root,
    },
    merkle,
};
use tlog_tiles::{Hash, HashReader, stored_hashes};

/// The leaves of a log from a first entry on, with everything that is stored of them by either implementation.
pub(crate) struct Tree {
    pub(crate) leaves: Vec<Digest>,
    pub(crate) oracle: Stored,
}

pub(crate) struct Stored(Vec<Hash>);

impl HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
        Ok(indexes.iter().map(|index| self.0[usize::try_from(*index).unwrap()]).collect())
    }
}

impl Tree {
    pub(crate) fn of(size: u64) -> Self {
        Self::from(0, size)
    }

    pub(crate) fn from(first: u64, size: u64) -> Self {
        let mut oracle = Stored(Vec::new());
        for index in 0..size {
            let more = stored_hashes(index, &entry(first + index).to_bytes(), &oracle).unwrap();
            oracle.0.extend(more);
        }
        Self { leaves: (0..size).map(|index| entry(first + index).leaf()).collect(), oracle }
    }

    /// Roots of complete subtrees, computed from the leaves by the project's other tree code.
    pub(crate) fn reader(&self) -> impl FnMut(u8, u64) -> Result<Digest, std::convert::Infallible> {
        |level, index| {
            let (start, end) = (index << level, (index + 1) << level);
            let leaves = &self.leaves[usize::try_from(start).unwrap()..usize::try_from(end).unwrap()];
            Ok(merkle::root(LogTree, leaves))
        }
    }

    pub(crate) fn root(&self, size: u64) -> Digest {
        tree_root(size, &mut self.reader()).unwrap()
    }
}

pub(crate) fn entry(number: u64) -> LogEntry {
    let digest = |salt: u64| leaf_hash(&(number * 2 + salt).to_le_bytes());
    LogEntry {
        match_id: MatchId::new(digest(0)),
        height: Height::new(number),
        block: BlockHash::new(digest(1)),
    }
}

pub(crate) fn secret(byte: u8) -> SecretKey {
    SecretKey::from_seed(&[byte; 32])
}

pub(crate) fn root() -> SecretKey {
    secret(0x11)
}

pub(crate) fn origin() -> Origin {
    Origin::new("log.example").unwrap()
}

/// A log, by its key and its first entry.
pub(crate) struct Log {
    pub(crate) secret: SecretKey,
    pub(crate) first: u64,
}

pub(crate) fn the_log() -> Log {
    Log { secret: secret(1), first: 0 }
}

pub(crate) fn other_log() -> Log {
    Log { secret: secret(9), first: 0 }
}

pub(crate) fn log_signer() -> LogSigner {
    LogSigner::new(&origin(), secret(1))
}

pub(crate) fn witness(byte: u8) -> WitnessSigner {
    WitnessSigner::new(&format!("witness.example/{byte}"), secret(byte)).unwrap()
}

/// The checkpoint of the log at a size.
pub(crate) fn signed(size: u64) -> VerifiedCheckpoint {
    log_signer().sign(Checkpoint { origin: origin(), size, root: Tree::of(size).root(size) })
}

/// A checkpoint of another tree under the same key.
pub(crate) fn forged(size: u64) -> VerifiedCheckpoint {
    log_signer().sign(Checkpoint { origin: origin(), size, root: leaf_hash(b"another tree") })
}

pub(crate) fn certificate(role: KeyRole) -> SignedCertificate {
    let certificate = Certificate {
        version: Certificate::VERSION,
        role,
        key: secret(1).public(),
        serial: 3,
        valid_from: Millis::new(1_000),
        valid_to: Millis::new(2_000),
    };
    SignedCertificate::issue(&root(), &certificate)
}

pub(crate) fn claim(index: u64, role: KeyRole) -> LogClaim {
    LogClaim { entry: entry(index), certificate: certificate(role) }
}

pub(crate) fn bundle(index: u64, size: u64) -> LogProof {
    bundle_of(&the_log(), index, size)
}

pub(crate) fn bundle_of(log: &Log, index: u64, size: u64) -> LogProof {
    let tree = Tree::from(log.first, size);
    let checkpoint = Checkpoint { origin: origin(), size, root: tree.root(size) };
    let checkpoint = LogSigner::new(&origin(), log.secret.clone()).sign(checkpoint).to_string();
    LogProof {
        extra: claim(log.first + index, KeyRole::Log).to_bytes(),
        index,
        hashes: inclusion_proof(index, size, &mut tree.reader()).unwrap(),
        checkpoint: SignedCheckpoint::parse(checkpoint.as_bytes()).unwrap(),
    }
}
