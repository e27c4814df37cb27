//! The square of tiles, sixteen by sixteen of them a chunk.

use super::tile::{TILE_BYTES, Tile};

/// Tiles a side of a chunk.
pub(super) const CHUNK_SIDE: u16 = 16;

/// Bytes of a chunk of tiles.
pub(super) const CHUNK_BYTES: usize = 16 * 16 * TILE_BYTES;

/// A tile by its number, counted row by row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(u32);

impl Place {
    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// All tiles, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Map {
    size: u16,
    tiles: Vec<Tile>,
}

impl Map {
    /// Asks `tile` for every place, row by row.
    pub(super) fn generate(size: u16, tile: impl Fn(u16, u16) -> Tile) -> Self {
        let rows = 0..size;
        let tiles = rows.flat_map(|y| (0..size).map(move |x| (x, y))).map(|(x, y)| tile(x, y)).collect();
        Self { size, tiles }
    }

    /// Puts chunks of [`CHUNK_BYTES`] together, given in order. `None` when their number or length is wrong
    /// or a tile is not one ([`Tile::from_bytes`]).
    pub(super) fn from_chunks(size: u16, seats: u8, turn: u32, chunks: &[&[u8]]) -> Option<Self> {
        if chunks.len() != usize::from(chunk_count(size))
            || chunks.iter().any(|chunk| chunk.len() != CHUNK_BYTES)
        {
            return None;
        }
        let mut tiles = Vec::with_capacity(chunks.len() * CHUNK_BYTES / TILE_BYTES);
        for band in chunks.chunks_exact(usize::from(size / CHUNK_SIDE)) {
            for row in 0..usize::from(CHUNK_SIDE) {
                for chunk in band {
                    for bytes in chunk.as_chunks().0.iter().skip(row * 16).take(16) {
                        tiles.push(Tile::from_bytes(bytes, seats, turn)?);
                    }
                }
            }
        }
        Some(Self { size, tiles })
    }

    /// Puts another chunk in place. `None`, and nothing is done, for what cannot be this chunk.
    pub(super) fn put_chunk(&mut self, chunk: u16, seats: u8, turn: u32, bytes: &[u8]) -> Option<()> {
        if chunk >= chunk_count(self.size) || bytes.len() != CHUNK_BYTES {
            return None;
        }
        let tiles = bytes.as_chunks().0.iter().map(|bytes| Tile::from_bytes(bytes, seats, turn));
        let tiles: Vec<_> = tiles.collect::<Option<_>>()?;
        for (step, tile) in (0..=u8::MAX).zip(tiles) {
            self.put(self.place_in_chunk(chunk, step), tile);
        }
        Some(())
    }

    /// Tiles a side.
    pub(super) const fn size(&self) -> u16 {
        self.size
    }

    /// `None` outside the map.
    pub(super) fn place(&self, x: u16, y: u16) -> Option<Place> {
        (x < self.size && y < self.size).then(|| Place(u32::from(y) * u32::from(self.size) + u32::from(x)))
    }

    /// Column and row.
    pub(super) fn position(&self, place: Place) -> (u16, u16) {
        let size = u32::from(self.size);
        let narrow = |number: u32| u16::try_from(number).expect("below the size, a u16");
        (narrow(place.0 % size), narrow(place.0 / size))
    }

    pub(super) fn tile(&self, place: Place) -> &Tile {
        &self.tiles[place.index()]
    }

    pub(super) fn put(&mut self, place: Place, tile: Tile) {
        self.tiles[place.index()] = tile;
    }

    /// All tiles with their places, row by row.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Place, &Tile)> {
        (0..).map(Place).zip(&self.tiles)
    }

    /// The places above, left, right and below, as far as they are on the map.
    pub(super) fn neighbours(&self, place: Place) -> impl Iterator<Item = Place> + use<> {
        let size = u32::from(self.size);
        let count = size * size;
        let (number, column) = (place.0, place.0 % size);
        let places = [
            number.checked_sub(size),
            (column > 0).then(|| number - 1),
            (column + 1 < size).then(|| number + 1),
            (number + size < count).then(|| number + size),
        ];
        places.into_iter().flatten().map(Place)
    }

    /// The tiles at most `reach` columns and rows away, with the larger of the two distances.
    pub(super) fn around(&self, place: Place, reach: u16) -> impl Iterator<Item = (u16, &Tile)> {
        let (x, y) = self.position(place);
        let end = |middle: u16| (middle + reach).min(self.size - 1);
        let columns = x.saturating_sub(reach)..=end(x);
        let rows = y.saturating_sub(reach)..=end(y);
        rows.flat_map(move |row| {
            let start = usize::from(row) * usize::from(self.size);
            let tiles = &self.tiles[start..][usize::from(*columns.start())..=usize::from(*columns.end())];
            columns
                .clone()
                .zip(tiles)
                .map(move |(column, tile)| (column.abs_diff(x).max(row.abs_diff(y)), tile))
        })
    }

    /// The number, from 0, of the chunk that `place` lies in.
    pub(super) fn chunk_of(&self, place: Place) -> u16 {
        let (x, y) = self.position(place);
        y / CHUNK_SIDE * (self.size / CHUNK_SIDE) + x / CHUNK_SIDE
    }

    /// Column and row of a chunk, counted in chunks.
    pub(super) const fn chunk_position(&self, chunk: u16) -> (u16, u16) {
        let side = self.size / CHUNK_SIDE;
        (chunk % side, chunk / side)
    }

    /// The place at `step`, 0 to 255, row by row inside a chunk.
    pub(super) fn place_in_chunk(&self, chunk: u16, step: u8) -> Place {
        let (column, row) = self.chunk_position(chunk);
        let (x, y) = (column * CHUNK_SIDE + u16::from(step % 16), row * CHUNK_SIDE + u16::from(step / 16));
        Place(u32::from(y) * u32::from(self.size) + u32::from(x))
    }

    /// `None` when there is no such chunk.
    pub(super) fn chunk_bytes(&self, chunk: u16) -> Option<Vec<u8>> {
        if chunk >= chunk_count(self.size) {
            return None;
        }
        let mut bytes = Vec::with_capacity(CHUNK_BYTES);
        for step in 0..=u8::MAX {
            bytes.extend(self.tile(self.place_in_chunk(chunk, step)).to_bytes());
        }
        Some(bytes)
    }
}

/// How many chunks the tiles of a map fill.
pub(super) const fn chunk_count(size: u16) -> u16 {
    (size / CHUNK_SIDE) * (size / CHUNK_SIDE)
}
