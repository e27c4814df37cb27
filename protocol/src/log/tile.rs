//! Tiles: pieces of the tree that never change, each a file. C2SP tlog-tiles.

/// Hashes, or entries, of a full tile.
pub const TILE_WIDTH: u16 = 256;

/// What a tile holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TileLevel {
    /// Entries, each behind its length as u16, big-endian.
    Entries,
    /// Hashes: of the leaves on level 0, of full tiles of the level below on the others. At most
    /// [`TileLevel::MAX`].
    Hashes(u8),
}

impl TileLevel {
    /// Higher ones no tree of 2⁶⁴ leaves has.
    pub const MAX: u8 = 7;

    const fn height(self) -> u32 {
        match self {
            Self::Entries => 0,
            Self::Hashes(level) => 8 * level as u32,
        }
    }
}

/// The name of a tile. Its content follows from it for ever, as soon as a checkpoint covers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tile {
    /// What it holds.
    pub level: TileLevel,
    /// Its number on that level.
    pub index: u64,
    /// How many hashes or entries, 1 to [`TILE_WIDTH`].
    pub width: u16,
}

impl Tile {
    /// The tile with number `index` on a level as it is in the tree of `size` leaves; `None` where it is empty.
    pub fn of(level: TileLevel, index: u64, size: u64) -> Option<Self> {
        let there = size.checked_shr(level.height()).unwrap_or(0);
        let before = index.checked_mul(u64::from(TILE_WIDTH))?;
        let width = there.checked_sub(before)?.min(u64::from(TILE_WIDTH));
        let width = u16::try_from(width).ok().filter(|width| *width > 0)?;
        Some(Self { level, index, width })
    }

    /// How many full tiles a level has in the tree of `size` leaves.
    pub fn full_count(level: TileLevel, size: u64) -> u64 {
        size.checked_shr(level.height()).unwrap_or(0) / u64::from(TILE_WIDTH)
    }

    /// The full tile with this level and number.
    #[must_use]
    pub const fn full(self) -> Self {
        Self { width: TILE_WIDTH, ..self }
    }

    /// Has it all the hashes that it will ever have?
    pub const fn is_full(self) -> bool {
        self.width == TILE_WIDTH
    }

    /// Is all of it in the tree of `size` leaves?
    pub fn is_within(self, size: u64) -> bool {
        let there = size.checked_shr(self.level.height()).unwrap_or(0);
        let end =
            self.index.checked_mul(u64::from(TILE_WIDTH)).map(|start| start + u64::from(self.width - 1));
        end.is_some_and(|last| last < there)
    }

    /// The path below the prefix of the log.
    pub fn path(self) -> String {
        let level = match self.level {
            TileLevel::Entries => "entries".to_owned(),
            TileLevel::Hashes(level) => level.to_string(),
        };
        let mut number = format!("{:03}", self.index % 1000);
        let mut rest = self.index / 1000;
        while rest > 0 {
            number = format!("x{:03}/{number}", rest % 1000);
            rest /= 1000;
        }
        let part = if self.is_full() { String::new() } else { format!(".p/{}", self.width) };
        format!("tile/{level}/{number}{part}")
    }

    /// Reads a path; `None` for everything that [`Tile::path`] does not make.
    pub fn from_path(path: &str) -> Option<Self> {
        let (level, rest) = path.strip_prefix("tile/")?.split_once('/')?;
        let level = match level {
            "entries" => TileLevel::Entries,
            number => TileLevel::Hashes(number.parse().ok().filter(|level| *level <= TileLevel::MAX)?),
        };
        let (number, width) = match rest.split_once(".p/") {
            None => (rest, TILE_WIDTH),
            Some((number, width)) => (number, width.parse().ok().filter(|w| (1..TILE_WIDTH).contains(w))?),
        };
        let index = number.split('/').try_fold(0_u64, |index, digits| {
            let digits = digits.strip_prefix('x').unwrap_or(digits);
            index.checked_mul(1000)?.checked_add(digits.parse().ok()?)
        })?;
        let tile = Self { level, index, width };
        // Whatever was read too leniently has another path.
        (tile.path() == path).then_some(tile)
    }
}
