//! What the store is kept on: ordered keys and values, with batches that are there as a whole or not at all.

use std::{fmt, fs::File, io, path::PathBuf};

/// A key with its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// One ordered map that outlives the process. sled in the service; a map that fails when told to in the
/// simulation of whole matches.
pub trait Disk: fmt::Debug + Send + Sync {
    /// The value of a key, flushed or not.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, DiskError>;

    /// All entries whose keys begin with `prefix`, flushed or not, by their keys.
    fn scan(&self, prefix: &[u8]) -> Box<dyn Iterator<Item = Result<Entry, DiskError>>>;

    /// Makes all changes of a batch at once. Until they are flushed, a crash may take them back, the later
    /// batches first.
    ///
    /// # Errors
    ///
    /// The changes may have been made, or may yet turn up after a crash.
    fn apply(&self, batch: Batch) -> Result<(), DiskError>;

    /// Makes durable what was applied before.
    ///
    /// # Errors
    ///
    /// It may be durable or not.
    fn flush(&self) -> Result<(), DiskError>;
}

/// Changes that are made together.
#[derive(Clone, Debug, Default)]
pub struct Batch(Vec<Change>);

/// A key, and its new value; `None` to remove it.
pub type Change = (Vec<u8>, Option<Vec<u8>>);

impl Batch {
    pub(super) fn insert(&mut self, key: impl AsRef<[u8]>, value: impl Into<Vec<u8>>) {
        self.0.push((key.as_ref().to_vec(), Some(value.into())));
    }

    pub(super) fn remove(&mut self, key: impl Into<Vec<u8>>) {
        self.0.push((key.into(), None));
    }
}

impl IntoIterator for Batch {
    type Item = Change;
    type IntoIter = std::vec::IntoIter<Change>;

    /// The changes in their order: of two to one key the later one counts.
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// A tree of sled, and the folder of its database.
#[derive(Debug)]
pub(super) struct SledDisk {
    pub(super) tree: sled::Tree,
    pub(super) folder: PathBuf,
}

impl Disk for SledDisk {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, DiskError> {
        Ok(self.tree.get(key)?.map(|value| value.to_vec()))
    }

    fn scan(&self, prefix: &[u8]) -> Box<dyn Iterator<Item = Result<Entry, DiskError>>> {
        Box::new(self.tree.scan_prefix(prefix).map(|entry| {
            let (key, value) = entry?;
            Ok((key.to_vec(), value.to_vec()))
        }))
    }

    fn apply(&self, batch: Batch) -> Result<(), DiskError> {
        let mut changes = sled::Batch::default();
        for (key, value) in batch {
            match value {
                Some(value) => changes.insert(key, value),
                None => changes.remove(key),
            }
        }
        Ok(self.tree.apply_batch(changes)?)
    }

    fn flush(&self) -> Result<(), DiskError> {
        self.tree.flush()?;
        // sled's own flush survives a killed process; this survives a power cut.
        Ok(File::open(self.folder.join("db"))?.sync_data()?)
    }
}

/// Why the disk does not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The database fails.
    #[error("the database fails")]
    Sled(#[from] sled::Error),
    /// The file below it fails.
    #[error("the file of the database fails")]
    Io(#[from] io::Error),
}
