//! What the service remembers: one sled tree with one writer. `docs/protocol.md`, "Store".
//!
//! # Provides
//!
//! - What [`Writer::commit`] acknowledged is on disk: it survives a killed process and a power cut.
//! - A group of commits is there as a whole or not at all.
//! - No second block at a height is ever signed.
//!
//! # Does not provide
//!
//! - Secrecy: whoever can read the folder can read the matches.

mod disk;
mod heads;
mod keys;
mod recovery;
mod watched;
mod writer;

use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use bincode::{Decode, Encode};
use cadastre_protocol::{
    Access, BlockHash, ChainState, CodecError, DECODE_BYTES_MAX, DisplayName, Height, Line, MatchId, Millis,
    ProvenBlock, ProvenReceipt, PublicKey, RoomName, Seat, SeatSet, SignedTransaction, Wire, decode_exact,
};
use cadastre_simulations::Snapshot;

use disk::SledDisk;
pub use disk::{Batch, Change, Disk, DiskError, Entry};
pub use heads::Heads;
use keys::{Key, Tag};
pub use recovery::{RecoveryError, recover};
pub use writer::{Commit, CommitError, SignError, Signer, Writer};

/// Longest value in the tree; larger ones are cut into parts.
const PART_BYTES_MAX: usize = 4096;

/// The store, open for reading. Writing is for the [`Writer`] alone.
#[derive(Clone, Debug)]
pub struct Store {
    /// The generation and the log's key.
    settings: Arc<dyn Disk>,
    matches: Arc<dyn Disk>,
    heads: Arc<Heads>,
    /// Marks of the matches that a batch changes, as they were before it, while the batch is not durable.
    before: Arc<RwLock<BTreeMap<MatchId, Option<Mark>>>>,
}

/// Holds the store's folder for this process; another one is refused until it is dropped.
#[derive(Debug)]
pub struct StoreLock {
    _file: File,
}

impl StoreLock {
    /// Takes the folder for this process, making it if it is missing.
    ///
    /// # Errors
    ///
    /// [`StoreError::Locked`] when another process has it.
    pub fn take(folder: &Path) -> Result<Self, StoreError> {
        let at = |source| StoreError::Io { path: folder.to_owned(), source };
        crate::key_file::create_private_folder(folder).map_err(at)?;
        let file = File::create(folder.join("lock")).map_err(at)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path: folder.to_owned() }),
            Err(TryLockError::Error(source)) => Err(at(source)),
        }
    }
}

/// What is known of a match from its begin.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MatchRecord {
    /// Encoding of the genesis.
    pub genesis: Vec<u8>,
    /// In which room.
    pub room: RoomName,
    /// How the players are called, by seat.
    pub names: Vec<DisplayName>,
    /// Who may come in, and who hears of it.
    pub access: Access,
}

impl Wire for MatchRecord {
    const BYTES_MAX: usize = DECODE_BYTES_MAX;
}

/// The newest block of a match: what the writer has signed last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Mark {
    /// Serial of the signer.
    pub signer: u32,
    /// Its height.
    pub height: Height,
    /// Its name.
    pub block: BlockHash,
    /// Is it the match's last?
    pub sealed: bool,
}

impl Wire for Mark {
    const BYTES_MAX: usize = 64;
}

/// An accepted transaction of an open turn.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AcceptedRecord {
    /// When it came.
    pub received: Millis,
    /// As it came.
    pub transaction: SignedTransaction,
    /// What the player was told.
    pub receipt: ProvenReceipt,
}

impl Wire for AcceptedRecord {
    const BYTES_MAX: usize = DECODE_BYTES_MAX;
}

/// Two transactions of one seat for one turn.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DoubleRecord {
    /// As they came; before them the one with the delegation, if the open turn brought it.
    pub transactions: Vec<SignedTransaction>,
}

impl Wire for DoubleRecord {
    const BYTES_MAX: usize = DECODE_BYTES_MAX;
}

/// Something said at a match.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LineRecord {
    /// As it was told.
    pub line: Line,
}

impl Wire for LineRecord {
    const BYTES_MAX: usize = 2048;
}

impl Store {
    /// Opens the store in a folder that is locked. Recovers from leftovers of a crash.
    ///
    /// # Errors
    ///
    /// The folder cannot be used, or the store in it cannot be read.
    pub fn open(_lock: &StoreLock, folder: &Path) -> Result<Self, StoreError> {
        let at = |source| StoreError::Io { path: folder.to_owned(), source };
        crate::key_file::create_private_folder(folder).map_err(at)?;
        remove_half_written(folder).map_err(at)?;
        let db = match open_sled(folder) {
            Err(sled::Error::Corruption { .. }) => {
                // A snapshot is only a shortcut: the log has everything.
                tracing::warn!(folder = %folder.display(), "store snapshot is damaged; reading the whole log");
                set_snapshots_aside(folder).map_err(at)?;
                open_sled(folder)
            }
            opened => opened,
        }
        .map_err(|source| StoreError::Sled { path: folder.to_owned(), source })?;
        let tree =
            db.open_tree("matches").map_err(|source| StoreError::Sled { path: folder.to_owned(), source })?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(at)?;
        crate::key_file::sync_parent(folder).map_err(at)?;
        let disk = |tree| Arc::new(SledDisk { tree, folder: folder.to_owned() });
        Ok(Self::on(disk((*db).clone()), disk(tree)))
    }

    /// The store on two disks: one for what concerns the service, one for the matches.
    pub fn on(settings: Arc<dyn Disk>, matches: Arc<dyn Disk>) -> Self {
        Self { settings, matches, heads: Arc::default(), before: Arc::default() }
    }

    /// The generation in which the store was left.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn generation(&self) -> Result<Option<u64>, ReadError> {
        let value = self.settings.get(b"generation")?;
        value
            .map(|bytes| bytes.try_into().map(u64::from_le_bytes).map_err(|_| ReadError::Damaged))
            .transpose()
    }

    /// Remembers the generation. Durable when this returns.
    ///
    /// # Errors
    ///
    /// The store cannot be written.
    pub fn set_generation(&self, generation: u64) -> Result<(), ReadError> {
        self.set(b"generation", &generation.to_le_bytes())
    }

    /// Key of the last transparency log of this service.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn log_key(&self) -> Result<Option<PublicKey>, ReadError> {
        let value = self.settings.get(b"log-key")?;
        value.map(|bytes| bytes.try_into().map(PublicKey::new).map_err(|_| ReadError::Damaged)).transpose()
    }

    /// Remembers the key of a log that was begun. Durable when this returns.
    ///
    /// # Errors
    ///
    /// The store cannot be written.
    pub fn set_log_key(&self, key: PublicKey) -> Result<(), ReadError> {
        self.set(b"log-key", key.as_bytes())
    }

    fn set(&self, key: &[u8], value: &[u8]) -> Result<(), ReadError> {
        let mut batch = Batch::default();
        batch.insert(key, value);
        self.settings.apply(batch)?;
        Ok(self.settings.flush()?)
    }

    /// What has moved since it was last asked.
    pub fn heads(&self) -> &Heads {
        &self.heads
    }

    /// Every match there is, in no order that means anything.
    pub fn matches(&self) -> impl Iterator<Item = Result<(MatchId, MatchRecord), ReadError>> + use<> {
        self.matches.scan(&[Tag::Match as u8]).map(|entry| {
            let (key, value) = entry?;
            let match_id = Key::match_id(&key).ok_or(ReadError::Damaged)?;
            Ok((match_id, decode_exact(&value)?))
        })
    }

    /// A match's record; `None` for a match that the store does not have.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn match_record(&self, match_id: MatchId) -> Result<Option<MatchRecord>, ReadError> {
        self.value(Key::of(Tag::Match, match_id, 0))
    }

    /// A match's newest block that is durable; `None` for a match that the store does not have.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn mark(&self, match_id: MatchId) -> Result<Option<Mark>, ReadError> {
        // Held until the mark is read: no batch is applied meanwhile.
        let before = self.before.read().unwrap_or_else(PoisonError::into_inner);
        match before.get(&match_id) {
            Some(mark) => Ok(*mark),
            None => self.value(Key::of(Tag::Mark, match_id, 0)),
        }
    }

    /// Makes a batch durable that brings matches new marks. Until then, and for ever when that fails, everybody
    /// reads the marks before it.
    fn write(&self, batch: Batch, marks: &BTreeMap<MatchId, Mark>) -> Result<(), ReadError> {
        let before = marks.keys().map(|id| Ok((*id, self.mark(*id)?))).collect::<Result<_, ReadError>>()?;
        *self.before.write().unwrap_or_else(PoisonError::into_inner) = before;
        self.matches.apply(batch)?;
        self.matches.flush()?;
        self.before.write().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(())
    }

    /// The block of a match at a height.
    ///
    /// # Errors
    ///
    /// The store cannot be read, or does not have the block.
    pub fn block(&self, match_id: MatchId, height: Height) -> Result<ProvenBlock, ReadError> {
        let bytes = self.parts(Key::of(Tag::Block, match_id, height.get()))?.ok_or(ReadError::Missing)?;
        Ok(decode_exact(&bytes)?)
    }

    /// Is `block` the stored block at `height`, or the genesis?
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn is_known(&self, match_id: MatchId, height: Height, block: BlockHash) -> Result<bool, ReadError> {
        if height == Height::GENESIS {
            return Ok(block == match_id.as_block());
        }
        match self.block(match_id, height) {
            Ok(proven) => Ok(proven.read()?.block().hash() == block),
            Err(ReadError::Missing) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The accepted transactions of the open turn, those of a seat in their order.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn accepted(&self, match_id: MatchId) -> Result<Vec<AcceptedRecord>, ReadError> {
        let mut accepted = Vec::new();
        let mut bytes = Vec::new();
        for entry in self.matches.scan(&Key::prefix(Tag::Accepted, match_id)) {
            let (key, value) = entry?;
            if Key::part(&key) == Some(0) && !bytes.is_empty() {
                accepted.push(decode_exact(&std::mem::take(&mut bytes))?);
            }
            bytes.extend_from_slice(&value);
        }
        if !bytes.is_empty() {
            accepted.push(decode_exact(&bytes)?);
        }
        Ok(accepted)
    }

    /// The newest keyframe; `None` when the match has not come so far as to have one.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn keyframe(&self, match_id: MatchId) -> Result<Option<(ChainState, Snapshot)>, ReadError> {
        let Some(state) = self.parts(Key::of(Tag::KeyframeState, match_id, 0))? else { return Ok(None) };
        Ok(Some((decode_exact(&state)?, self.chunks(Tag::KeyframeChunk, match_id)?)))
    }

    /// The state that a match begins with which goes on from another one.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn first_state(&self, match_id: MatchId) -> Result<Option<Arc<Snapshot>>, ReadError> {
        let state = self.chunks(Tag::FirstChunk, match_id)?;
        Ok((!state.is_empty()).then(|| Arc::new(state)))
    }

    fn chunks(&self, tag: Tag, match_id: MatchId) -> Result<Snapshot, ReadError> {
        let mut snapshot = Snapshot::new();
        for entry in self.matches.scan(&Key::prefix(tag, match_id)) {
            let (key, value) = entry?;
            let id = Key::chunk(&key).ok_or(ReadError::Damaged)?;
            match snapshot.last_mut() {
                Some((last, bytes)) if *last == id => bytes.extend_from_slice(&value),
                _ => snapshot.push((id, value)),
            }
        }
        Ok(snapshot)
    }

    /// The last lines that were said at a match, in their order.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn lines(&self, match_id: MatchId) -> Result<Vec<Line>, ReadError> {
        let entries = self.matches.scan(&Key::prefix(Tag::Line, match_id));
        let read = |entry: Result<Entry, DiskError>| Ok(decode_exact::<LineRecord>(&entry?.1)?.line);
        let mut lines = entries.map(read).collect::<Result<Vec<_>, ReadError>>()?;
        lines.sort_unstable_by_key(|line| line.number);
        Ok(lines)
    }

    /// The seats that signed two transactions for one turn.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn doubles(&self, match_id: MatchId) -> Result<SeatSet, ReadError> {
        let entries = self.matches.scan(&Key::prefix(Tag::Double, match_id));
        entries.map(|entry| Key::seat(&entry?.0).ok_or(ReadError::Damaged)).collect()
    }

    /// What `seat` signed twice; `None` when it did not.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn double(&self, match_id: MatchId, seat: Seat) -> Result<Option<DoubleRecord>, ReadError> {
        let bytes = self.parts(Key::of(Tag::Double, match_id, u64::from(seat.get())))?;
        bytes.map(|bytes| Ok(decode_exact(&bytes)?)).transpose()
    }

    fn value<T: Wire>(&self, key: Key) -> Result<Option<T>, ReadError> {
        self.matches.get(key.as_ref())?.map(|bytes| Ok(decode_exact(&bytes)?)).transpose()
    }

    /// A value that may have been cut into parts.
    fn parts(&self, key: Key) -> Result<Option<Vec<u8>>, ReadError> {
        let Some(mut bytes) = self.matches.get(key.as_ref())? else { return Ok(None) };
        let mut next = key;
        while bytes.len().is_multiple_of(PART_BYTES_MAX) {
            next = next.next_part();
            match self.matches.get(next.as_ref())? {
                Some(part) => bytes.extend_from_slice(&part),
                None => break,
            }
        }
        Ok(Some(bytes))
    }
}

fn open_sled(folder: &Path) -> sled::Result<sled::Db> {
    sled::Config::new().path(folder).flush_every_ms(Some(500)).open()
}

fn snapshots(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let is_snapshot = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("snap."))
    };
    let paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    Ok(paths.into_iter().filter(is_snapshot).collect())
}

fn remove_half_written(folder: &Path) -> io::Result<()> {
    let half_written = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "generating");
    snapshots(folder)?.into_iter().filter(half_written).try_for_each(fs::remove_file)?;
    // sled writes this file in two steps, and only then makes the database.
    let settings = folder.join("conf");
    if settings.exists() && !folder.join("db").exists() { fs::remove_file(settings) } else { Ok(()) }
}

fn set_snapshots_aside(folder: &Path) -> io::Result<()> {
    for path in snapshots(folder)? {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        fs::rename(&path, folder.join(format!("damaged-{name}")))?;
    }
    Ok(())
}

/// Why the store cannot be opened. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the folder.
    #[error("another process uses the data folder {path}; stop it first, or name another folder with --data")]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// The folder cannot be read or written.
    #[error("the data folder {path} cannot be used")]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The database cannot be opened.
    #[error("the store in {path} cannot be opened")]
    Sled {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: sled::Error,
    },
}

/// Why something cannot be read from the store.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The disk fails.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A value is not what was once written.
    #[error("a stored value is malformed")]
    Encoding(#[from] CodecError),
    /// A key or a value of fixed form is not what was once written.
    #[error("the store is damaged")]
    Damaged,
    /// A block that should be there is not.
    #[error("the store misses a block")]
    Missing,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_owner() {
        let folder = tempfile::tempdir().unwrap();
        let lock = StoreLock::take(folder.path()).unwrap();
        assert!(matches!(StoreLock::take(folder.path()), Err(StoreError::Locked { .. })));
        drop(lock);
        assert!(StoreLock::take(folder.path()).is_ok());
    }

    #[test]
    fn a_damaged_snapshot_is_set_aside_and_nothing_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let lock = StoreLock::take(folder.path()).unwrap();
        let store = Store::open(&lock, folder.path()).unwrap();
        store.set_generation(7).unwrap();
        drop(store);
        fs::write(folder.path().join("snap.0000000000000001.generating"), b"half").unwrap();
        for path in snapshots(folder.path()).unwrap() {
            fs::write(path, b"damaged").unwrap();
        }
        let store = Store::open(&lock, folder.path()).unwrap();
        assert_eq!(store.generation().unwrap(), Some(7));
    }
}
