//! The transparency log of the service: `docs/protocol.md`, "Transparency log".
//!
//! # Requires
//!
//! - A folder of its own, and a file in the key folder that backups leave out.
//!
//! # Provides
//!
//! - A crash never forks the log: entries and tiles are durable before the checkpoint over them is signed, and
//!   the signed checkpoint is durable in the key folder before anybody sees it. A start goes on from there.
//! - A log that was put back from a backup is refused, and a second one under the key of one that is lost.
//!
//! # Does not provide
//!
//! - A log of everything: a head that another one follows within an interval is not logged.

mod files;
mod task;
mod witnesses;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use cadastre_protocol::{
    Digest, MatchId, PublicKey, SecretKey, SignedCertificate,
    log::{
        Checkpoint, LogClaim, LogEntry, LogKey, LogProof, LogSigner, LogTree, Origin, SignedCheckpoint, Tile,
        VerifiedCheckpoint, consistency_proof, inclusion_proof,
    },
    merkle::Frontier,
};

use crate::durable;
use files::{Edge, Files};
pub(crate) use task::run;
pub(crate) use witnesses::Witnesses;

/// The log, open for reading. Only its [`Appender`] adds to it.
#[derive(Debug)]
pub(crate) struct Log {
    files: Files,
    signer: LogSigner,
    certificate: SignedCertificate,
    published: Mutex<Published>,
    healthy: AtomicBool,
}

/// What everybody can see.
#[derive(Debug)]
struct Published {
    checkpoint: VerifiedCheckpoint,
    /// The last entry of each match, and where it stands.
    logged: BTreeMap<MatchId, (u64, LogEntry)>,
}

/// Adds to the log. There is one.
#[derive(Debug)]
pub(crate) struct Appender {
    /// The file with the newest checkpoint that was signed, in the key folder.
    signed: PathBuf,
    frontier: Frontier<LogTree>,
    edge: Edge,
    /// What is not published yet.
    fresh: BTreeMap<MatchId, (u64, LogEntry)>,
    checkpoint: VerifiedCheckpoint,
}

impl Log {
    /// Opens the log in `folder`, or begins it. `signed` is the file that remembers what was signed last; `begun`
    /// the key of the last log that the store knows of.
    ///
    /// Reads every entry there is, and computes the tree anew.
    ///
    /// # Errors
    ///
    /// In the order of [`LogError`]'s variants; the first that applies.
    pub(crate) fn open(
        folder: &Path,
        signed: PathBuf,
        begun: Option<PublicKey>,
        origin: &Origin,
        key: SecretKey,
        certificate: SignedCertificate,
    ) -> Result<(Self, Appender), LogError> {
        let at = |source| LogError::Io { path: folder.to_owned(), source };
        crate::key_file::create_private_folder(folder).map_err(at)?;
        let files = Files::new(folder.to_owned());
        let signer = LogSigner::new(origin, key);
        let published = read_checkpoint(&files.checkpoint_path(), signer.key())?;
        let remembered = read_checkpoint(&signed, signer.key())?;
        let (mut frontier, mut edge, mut logged) = (Frontier::new(LogTree), Edge::default(), BTreeMap::new());
        if let Some(remembered) = &remembered {
            files.entries(remembered.get().size, |index, entry| {
                frontier.push(entry.leaf());
                edge.push(entry, |_, _| Ok(()))?;
                logged.insert(entry.match_id, (index, *entry));
                Ok(())
            })?;
        }
        let checkpoint =
            signer.sign(Checkpoint { origin: origin.clone(), size: frontier.size(), root: frontier.root() });
        match (&remembered, &published) {
            (Some(remembered), _) if remembered.get() != checkpoint.get() => {
                return Err(LogError::OtherTree { path: folder.to_owned() });
            }
            (None, Some(_)) => return Err(LogError::Forgotten { path: signed }),
            (None, None) if begun == Some(signer.key().public()) => {
                return Err(LogError::Forgotten { path: signed });
            }
            (Some(_), _) => {}
            (None, None) => durable::replace(&signed, checkpoint.to_string().as_bytes())
                .map_err(|source| LogError::Io { path: signed.clone(), source })?,
        }
        // A checkpoint that was signed and not published is published now, with no cosignature yet.
        let published = published.filter(|published| published.get() == checkpoint.get());
        let checkpoint = published.unwrap_or(checkpoint);
        files.forget_unsigned(frontier.size()).map_err(at)?;
        let log = Self {
            files,
            signer,
            certificate,
            published: Mutex::new(Published { checkpoint: checkpoint.clone(), logged }),
            healthy: AtomicBool::new(true),
        };
        let mut appender = Appender { signed, frontier, edge, fresh: BTreeMap::new(), checkpoint };
        appender.publish(&log)?;
        Ok((log, appender))
    }

    /// What verifies its checkpoints.
    pub(crate) fn key(&self) -> &LogKey {
        self.signer.key()
    }

    /// The certificate of its key.
    pub(crate) const fn certificate(&self) -> &SignedCertificate {
        &self.certificate
    }

    /// The newest checkpoint that is published.
    pub(crate) fn checkpoint(&self) -> VerifiedCheckpoint {
        self.published().checkpoint.clone()
    }

    /// The file of a tile; `None` when the published checkpoint does not cover it.
    pub(crate) fn tile(&self, tile: Tile) -> Option<PathBuf> {
        tile.is_within(self.published().checkpoint.get().size).then(|| self.files.path(tile))
    }

    /// The newest logged head of a match, proved; `None` when none is published.
    ///
    /// # Errors
    ///
    /// The log cannot be read.
    pub(crate) fn prove(&self, match_id: MatchId) -> Result<Option<LogProof>, LogError> {
        let (checkpoint, index, entry) = {
            let published = self.published();
            let Some((index, entry)) = published.logged.get(&match_id) else { return Ok(None) };
            (published.checkpoint.clone(), *index, *entry)
        };
        let size = checkpoint.get().size;
        let hashes = inclusion_proof(index, size, &mut |level, at| self.files.root(size, level, at))?;
        let extra = LogClaim { entry, certificate: self.certificate.clone() }.to_bytes();
        Ok(Some(LogProof { extra, index, hashes, checkpoint: checkpoint.into_signed() }))
    }

    /// Can it still be written?
    pub(crate) fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Acquire)
    }

    fn published(&self) -> MutexGuard<'_, Published> {
        // Nothing panics between the changes that belong together.
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn consistency(&self, old: u64, new: u64) -> Result<Vec<Digest>, LogError> {
        consistency_proof(old, new, &mut |level, at| self.files.root(new, level, at))
    }
}

impl Appender {
    /// Appends those of these entries that are not the last ones of their matches, and signs the new tree.
    /// Durable, and not published, when this returns.
    ///
    /// # Errors
    ///
    /// The log cannot be written. It must not be appended to any more.
    fn append(&mut self, log: &Log, entries: &[LogEntry]) -> Result<(), LogError> {
        for entry in entries {
            let last = match self.fresh.get(&entry.match_id) {
                Some(fresh) => Some(*fresh),
                None => log.published().logged.get(&entry.match_id).copied(),
            };
            if last.is_some_and(|(_, last)| last == *entry) {
                continue;
            }
            self.fresh.insert(entry.match_id, (self.frontier.size(), *entry));
            self.frontier.push(entry.leaf());
            self.edge.push(entry, |tile, content| log.files.write(tile, content))?;
        }
        let (size, root) = (self.frontier.size(), self.frontier.root());
        if size == self.checkpoint.get().size {
            return Ok(());
        }
        self.edge.partial_tiles(|tile, content| log.files.write(tile, content))?;
        let origin = self.checkpoint.get().origin.clone();
        let checkpoint = log.signer.sign(Checkpoint { origin, size, root });
        durable::replace(&self.signed, checkpoint.to_string().as_bytes())
            .map_err(|source| LogError::Io { path: self.signed.clone(), source })?;
        self.checkpoint = checkpoint;
        Ok(())
    }

    /// Shows everybody the checkpoint that was signed last, with the cosignatures that it has by now.
    fn publish(&mut self, log: &Log) -> Result<(), LogError> {
        let path = log.files.checkpoint_path();
        durable::replace(&path, self.checkpoint.to_string().as_bytes())
            .map_err(|source| LogError::Io { path, source })?;
        let before = {
            let mut published = log.published();
            let before = published.checkpoint.get().size;
            published.logged.append(&mut self.fresh);
            published.checkpoint = self.checkpoint.clone();
            before
        };
        log.files.forget_parts(before, self.checkpoint.get().size);
        Ok(())
    }
}

fn read_checkpoint(path: &Path, key: &LogKey) -> Result<Option<VerifiedCheckpoint>, LogError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(LogError::Io { path: path.to_owned(), source }),
    };
    let checkpoint = SignedCheckpoint::parse(&bytes).and_then(|checkpoint| checkpoint.verify(key));
    checkpoint.map(Some).map_err(|_| LogError::Foreign { path: path.to_owned() })
}

/// Why the log cannot be used. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A file cannot be read or written.
    #[error("cannot use {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A checkpoint is of another key or origin.
    #[error(
        "{path} is not a checkpoint of this log: it was signed by another key or for another origin; put back the \
         key, or the `log.origin` that it was begun with"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The tree is not the one that was signed.
    #[error(
        "the log in {path} does not have the tree that was signed last: it was put back from a backup or is damaged, \
         and going on would fork it; put back the newest one"
    )]
    OtherTree {
        /// The log's folder.
        path: PathBuf,
    },
    /// There is or was a log, and nobody knows what was signed last.
    #[error(
        "{path} is missing, and there has been a log under this key: going on could fork it; put the file back, or \
         begin another log under another key"
    )]
    Forgotten {
        /// The file that should be there.
        path: PathBuf,
    },
    /// A tile or a bundle of entries is not what was once written.
    #[error("{path} is damaged")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

#[cfg(test)]
mod tests;
