//! The files of the log: tiles and bundles of entries, each written once and never changed, and the checkpoint.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use cadastre_protocol::{
    Digest,
    log::{LogEntry, LogTree, TILE_WIDTH, Tile, TileLevel},
    merkle,
};

use super::LogError;
use crate::durable;

/// Hashes of a full tile, as an index.
const WIDTH: usize = TILE_WIDTH as usize;

/// Bytes of an entry in a bundle: its length before it.
const ENTRY_BYTES: usize = 2 + LogEntry::BYTES;

#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
}

impl Files {
    pub(super) const fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub(super) fn checkpoint_path(&self) -> PathBuf {
        self.folder.join("checkpoint")
    }

    pub(super) fn path(&self, tile: Tile) -> PathBuf {
        self.folder.join(tile.path())
    }

    /// Writes a tile. Durable when this returns.
    pub(super) fn write(&self, tile: Tile, content: &[u8]) -> Result<(), LogError> {
        let path = self.path(tile);
        path.parent()
            .map_or(Ok(()), durable::create_folder)
            .and_then(|()| durable::replace(&path, content))
            .map_err(|source| LogError::Io { path, source })
    }

    /// Reads the first `size` entries.
    pub(super) fn entries(
        &self,
        size: u64,
        mut take: impl FnMut(u64, &LogEntry) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        let tiles = (0..).map_while(|index| Tile::of(TileLevel::Entries, index, size));
        let mut at = 0;
        for tile in tiles {
            let (path, bytes) = self.read(tile)?;
            let damaged = || LogError::Damaged { path: path.clone() };
            let bundle = bytes.get(..usize::from(tile.width) * ENTRY_BYTES).ok_or_else(damaged)?;
            for bytes in bundle.chunks_exact(ENTRY_BYTES) {
                take(at, &read_entry(bytes).ok_or_else(damaged)?)?;
                at += 1;
            }
        }
        Ok(())
    }

    /// Root over the 2^`level` leaves from `index · 2^level` on, of which all are in the tree of `size` leaves.
    pub(super) fn root(&self, size: u64, level: u8, index: u64) -> Result<Digest, LogError> {
        let (tile_level, below) = (TileLevel::Hashes(level / 8), level % 8);
        let first = index << below;
        let tile = Tile::of(tile_level, first / u64::from(TILE_WIDTH), size).expect("it is in the tree");
        let (path, bytes) = self.read(tile)?;
        let start = usize::try_from(first % u64::from(TILE_WIDTH)).expect("below 256");
        let hashes = bytes.chunks_exact(32).skip(start).take(1 << below);
        let hashes: Vec<_> = hashes.map(|hash| Digest::new(hash.try_into().expect("chunks of 32"))).collect();
        if hashes.len() == 1 << below {
            Ok(merkle::root(LogTree, &hashes))
        } else {
            Err(LogError::Damaged { path })
        }
    }

    /// Reads a tile, or the full one that came after it.
    fn read(&self, tile: Tile) -> Result<(PathBuf, Vec<u8>), LogError> {
        let read = |path: PathBuf| match fs::read(&path) {
            Ok(bytes) => Ok((path, bytes)),
            Err(source) => Err(LogError::Io { path, source }),
        };
        read(self.path(tile))
            .or_else(|error| if tile.is_full() { Err(error) } else { read(self.path(tile.full())) })
    }

    /// Removes the parts of tiles that hold more than `size` leaves: nobody has signed them, and there will be
    /// others of the same names.
    pub(super) fn forget_unsigned(&self, size: u64) -> io::Result<()> {
        let levels = (0..=TileLevel::MAX).map(TileLevel::Hashes).chain([TileLevel::Entries]);
        for level in levels {
            for index in Tile::full_count(level, size).. {
                let width = Tile::of(level, index, size).map_or(0, |tile| tile.width);
                let part = self.path(Tile { level, index, width: 1 });
                let parts = part.parent().unwrap_or(&self.folder);
                if !parts.exists() && !self.path(Tile { level, index, width: TILE_WIDTH }).exists() {
                    break;
                }
                remove_wider(parts, width)?;
            }
        }
        Ok(())
    }

    /// Removes the parts of tiles that have become full between two sizes. What cannot be removed is only in the
    /// way.
    pub(super) fn forget_parts(&self, before: u64, size: u64) {
        let levels = (0..=TileLevel::MAX).map(TileLevel::Hashes).chain([TileLevel::Entries]);
        for level in levels {
            for index in Tile::full_count(level, before)..Tile::full_count(level, size) {
                if let Some(parts) = self.path(Tile { level, index, width: 1 }).parent() {
                    let _ = fs::remove_dir_all(parts);
                }
            }
        }
    }
}

fn remove_wider(parts: &Path, width: u16) -> io::Result<()> {
    if !parts.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(parts)? {
        let entry = entry?;
        let kept = entry.file_name().to_str().and_then(|name| name.parse::<u16>().ok());
        if kept.is_none_or(|kept| kept > width) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn read_entry(bytes: &[u8]) -> Option<LogEntry> {
    let (len, entry) = bytes.split_first_chunk()?;
    let fits = usize::from(u16::from_be_bytes(*len)) == entry.len();
    LogEntry::from_bytes(entry).filter(|_| fits)
}

/// The right edge of the tree: the tiles that are not full yet, on each level.
#[derive(Debug, Default)]
pub(super) struct Edge {
    entries: Vec<u8>,
    levels: Vec<Vec<Digest>>,
    size: u64,
}

impl Edge {
    /// Takes an entry; `write` gets the tiles that it makes full.
    pub(super) fn push(
        &mut self,
        entry: &LogEntry,
        mut write: impl FnMut(Tile, &[u8]) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        let bytes = entry.to_bytes();
        let len = u16::try_from(bytes.len()).expect("73");
        self.entries.extend_from_slice(&len.to_be_bytes());
        self.entries.extend_from_slice(&bytes);
        self.size += 1;
        if self.entries.len() == WIDTH * ENTRY_BYTES {
            write(self.last(TileLevel::Entries), &self.entries)?;
            self.entries.clear();
        }
        let mut hash = entry.leaf();
        for level in 0..=TileLevel::MAX {
            let place = usize::from(level);
            if self.levels.len() == place {
                self.levels.push(Vec::with_capacity(WIDTH));
            }
            self.levels[place].push(hash);
            if self.levels[place].len() < WIDTH {
                break;
            }
            write(self.last(TileLevel::Hashes(level)), &joined(&self.levels[place]))?;
            hash = merkle::root(LogTree, &self.levels[place]);
            self.levels[place].clear();
        }
        Ok(())
    }

    /// Gives `write` the tiles that are not full.
    pub(super) fn partial_tiles(
        &self,
        mut write: impl FnMut(Tile, &[u8]) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        if !self.entries.is_empty() {
            write(self.last(TileLevel::Entries), &self.entries)?;
        }
        for (level, hashes) in (0..).zip(&self.levels) {
            if !hashes.is_empty() {
                write(self.last(TileLevel::Hashes(level)), &joined(hashes))?;
            }
        }
        Ok(())
    }

    /// The last tile of a level.
    fn last(&self, level: TileLevel) -> Tile {
        let height = match level {
            TileLevel::Entries => 0,
            TileLevel::Hashes(level) => 8 * u32::from(level),
        };
        let index = ((self.size >> height) - 1) / u64::from(TILE_WIDTH);
        Tile::of(level, index, self.size).expect("it has a hash at least")
    }
}

fn joined(hashes: &[Digest]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}
