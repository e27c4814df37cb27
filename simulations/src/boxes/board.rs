//! The edges and boxes of Dots and Boxes, a byte for each dot, sixteen by sixteen dots in a chunk.

use cadastre_protocol::{ChunkId, Seat};

use crate::difference::{Field, Form, Subject};

/// A dot's tile: the edges that begin there and the owner of the box below and to the right of it.
const ACROSS: u8 = 1;
const DOWN: u8 = 1 << 1;
const OWNER_SHIFT: u32 = 4;

/// Dots a side of a chunk.
const SIDE: u16 = 16;
const CHUNK_BYTES: usize = 256;

/// A dot's tile.
pub(super) const FIELDS: [Field; 4] = [
    Field::new("edge to the right", 0, Form::Bits(ACROSS)),
    Field::new("edge down", 0, Form::Bits(DOWN)),
    Field::new("unused", 0, Form::Bits(0x0c)),
    Field::new("owner", 0, Form::Owner(0xf0)),
];

/// An edge by the dot it begins at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edge {
    /// From the dot to the next one in its row.
    Across { x: u16, y: u16 },
    /// From the dot to the next one in its column.
    Down { x: u16, y: u16 },
}

/// What drawing an edge did.
pub(super) struct Drawn {
    /// Boxes that it completed, 0 to 2.
    pub(super) boxes: u16,
    /// Chunks of the edge and of the boxes beside it.
    pub(super) chunks: Vec<ChunkId>,
}

/// All edges and owners.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Board {
    size: u16,
    /// Chunk after chunk, so that a chunk is a slice.
    tiles: Vec<u8>,
    /// Sides drawn of each box, row by row; derived from the tiles.
    sides: Vec<u8>,
}

impl Board {
    /// A board of `size` × `size` boxes without any edge.
    pub(super) fn new(size: u16) -> Self {
        let boxes = usize::from(size) * usize::from(size);
        Self { size, tiles: vec![0; chunk_count(size) * CHUNK_BYTES], sides: vec![0; boxes] }
    }

    /// The board of these chunks. `None` when they are not exactly the chunks of a board of this size, or a
    /// box has an owner without having all four sides, or the other way round.
    pub(super) fn from_chunks(size: u16, seats: u8, chunks: &[(ChunkId, Vec<u8>)]) -> Option<Self> {
        let mut board = Self::new(size);
        if chunks.len() != chunk_count(size) {
            return None;
        }
        for ((id, bytes), expected) in chunks.iter().zip(board.chunk_ids()) {
            if *id != expected || bytes.len() != CHUNK_BYTES {
                return None;
            }
        }
        board.tiles = chunks.iter().flat_map(|(_, bytes)| bytes).copied().collect();
        for y in 0..size {
            for x in 0..size {
                let at = board.box_index(x, y);
                board.sides[at] = board.count_sides(x, y);
            }
        }
        board.is_consistent(seats).then_some(board)
    }

    fn is_consistent(&self, seats: u8) -> bool {
        let side = chunks_a_side(self.size) * SIDE;
        (0..side).all(|y| {
            (0..side).all(|x| {
                let tile = self.tile(x, y);
                let across = if x < self.size && y <= self.size { ACROSS } else { 0 };
                let down = if x <= self.size && y < self.size { DOWN } else { 0 };
                let owner = tile >> OWNER_SHIFT;
                let complete = x < self.size && y < self.size && self.sides[self.box_index(x, y)] == 4;
                tile & 0x0f & !(across | down) == 0 && owner <= seats && (owner > 0) == complete
            })
        })
    }

    /// Boxes a side.
    pub(super) const fn size(&self) -> u16 {
        self.size
    }

    /// How many edges there are: 20,200 at the largest size.
    pub(super) const fn edges(&self) -> u16 {
        2 * self.size * (self.size + 1)
    }

    /// The edge with this number: first those across, row by row, then those down, row by row.
    pub(super) fn edge(&self, number: u16) -> Option<Edge> {
        let across = self.size * (self.size + 1);
        if number < across {
            Some(Edge::Across { x: number % self.size, y: number / self.size })
        } else if number < self.edges() {
            let (width, number) = (self.size + 1, number - across);
            Some(Edge::Down { x: number % width, y: number / width })
        } else {
            None
        }
    }

    pub(super) fn is_drawn(&self, edge: Edge) -> bool {
        match edge {
            Edge::Across { x, y } => self.tile(x, y) & ACROSS != 0,
            Edge::Down { x, y } => self.tile(x, y) & DOWN != 0,
        }
    }

    /// Draws an edge that is not drawn yet and gives completed boxes to `owner`.
    pub(super) fn draw(&mut self, edge: Edge, owner: Seat) -> Drawn {
        let (x, y, bit) = match edge {
            Edge::Across { x, y } => (x, y, ACROSS),
            Edge::Down { x, y } => (x, y, DOWN),
        };
        let at = self.tile_index(x, y);
        self.tiles[at] |= bit;
        let mut drawn = Drawn { boxes: 0, chunks: vec![self.chunk_of(x, y)] };
        for (x, y) in self.boxes_beside(edge).into_iter().flatten() {
            let index = self.box_index(x, y);
            self.sides[index] += 1;
            if self.sides[index] == 4 {
                let at = self.tile_index(x, y);
                self.tiles[at] |= (owner.get() + 1) << OWNER_SHIFT;
                drawn.boxes += 1;
                drawn.chunks.push(self.chunk_of(x, y));
            }
        }
        drawn
    }

    /// The boxes that `edge` is a side of: one at the rim, else two.
    pub(super) fn boxes_beside(&self, edge: Edge) -> [Option<(u16, u16)>; 2] {
        let inside = |x: u16, y: u16| (x < self.size && y < self.size).then_some((x, y));
        match edge {
            Edge::Across { x, y } => [inside(x, y), y.checked_sub(1).and_then(|y| inside(x, y))],
            Edge::Down { x, y } => [inside(x, y), x.checked_sub(1).and_then(|x| inside(x, y))],
        }
    }

    /// The four sides of a box.
    pub(super) const fn sides_of(x: u16, y: u16) -> [Edge; 4] {
        [Edge::Across { x, y }, Edge::Across { x, y: y + 1 }, Edge::Down { x, y }, Edge::Down { x: x + 1, y }]
    }

    /// How many sides of a box are drawn.
    pub(super) fn sides(&self, x: u16, y: u16) -> u8 {
        self.sides[self.box_index(x, y)]
    }

    /// The first box, row by row, that lacks one side only.
    pub(super) fn nearly_complete(&self) -> Option<(u16, u16)> {
        let index = self.sides.iter().position(|sides| *sides == 3)?;
        let index = u16::try_from(index).expect("at most 100 × 100 boxes");
        Some((index % self.size, index / self.size))
    }

    /// The number of an edge, the reverse of [`Board::edge`].
    pub(super) const fn number(&self, edge: Edge) -> u16 {
        match edge {
            Edge::Across { x, y } => y * self.size + x,
            Edge::Down { x, y } => self.size * (self.size + 1) + y * (self.size + 1) + x,
        }
    }

    pub(super) fn owner(&self, x: u16, y: u16) -> Option<Seat> {
        (self.tile(x, y) >> OWNER_SHIFT).checked_sub(1).and_then(Seat::new)
    }

    pub(super) fn count_drawn(&self) -> u16 {
        let drawn = self.tiles.iter().map(|tile| (tile & (ACROSS | DOWN)).count_ones()).sum::<u32>();
        u16::try_from(drawn).expect("at most 20,200 edges")
    }

    pub(super) fn count_owned(&self) -> [u16; 8] {
        let mut owned = [0; 8];
        for tile in &self.tiles {
            if let Some(owner) = (tile >> OWNER_SHIFT).checked_sub(1) {
                owned[usize::from(owner)] += 1;
            }
        }
        owned
    }

    /// Chunks are numbered from 1, row by row.
    pub(super) fn chunk_ids(&self) -> impl Iterator<Item = ChunkId> + use<> {
        let side = chunks_a_side(self.size);
        (1..=side * side).map(ChunkId::new)
    }

    pub(super) fn chunk(&self, id: ChunkId) -> Option<&[u8]> {
        self.tiles.chunks_exact(CHUNK_BYTES).nth(usize::from(id.get().checked_sub(1)?))
    }

    /// Puts another chunk in place. `None`, and nothing is done, when there is no such chunk.
    pub(super) fn put_chunk(&mut self, id: ChunkId, bytes: &[u8]) -> Option<()> {
        let chunk = id.get().checked_sub(1)?;
        let tiles = self.tiles.chunks_exact_mut(CHUNK_BYTES).nth(usize::from(chunk))?;
        if bytes.len() != CHUNK_BYTES {
            return None;
        }
        tiles.copy_from_slice(bytes);
        // The boxes of the chunk, and those above and to the left that end at its dots.
        let side = chunks_a_side(self.size);
        let dots = |first: u16| first.saturating_sub(1)..(first + SIDE).min(self.size);
        for y in dots(chunk / side * SIDE) {
            for x in dots(chunk % side * SIDE) {
                let at = self.box_index(x, y);
                self.sides[at] = self.count_sides(x, y);
            }
        }
        Some(())
    }

    /// The dot in a row of a chunk.
    pub(super) fn subject(&self, id: ChunkId, row: usize) -> Subject {
        let (chunk, side) = (id.get().saturating_sub(1), chunks_a_side(self.size));
        let dot = u16::try_from(row).unwrap_or(u16::MAX);
        Subject::Tile { x: chunk % side * SIDE + dot % SIDE, y: chunk / side * SIDE + dot / SIDE }
    }

    /// Gives the box below and to the right of a dot to somebody else, as no rule would. Gives the chunk.
    #[cfg(feature = "faults")]
    pub(super) fn disturb(&mut self, x: u16, y: u16) -> Option<ChunkId> {
        if x > self.size || y > self.size {
            return None;
        }
        let at = self.tile_index(x, y);
        self.tiles[at] ^= 1 << OWNER_SHIFT;
        Some(self.chunk_of(x, y))
    }

    fn count_sides(&self, x: u16, y: u16) -> u8 {
        Self::sides_of(x, y).into_iter().map(|edge| u8::from(self.is_drawn(edge))).sum()
    }

    fn chunk_of(&self, x: u16, y: u16) -> ChunkId {
        ChunkId::new(1 + y / SIDE * chunks_a_side(self.size) + x / SIDE)
    }

    fn tile(&self, x: u16, y: u16) -> u8 {
        self.tiles[self.tile_index(x, y)]
    }

    fn tile_index(&self, x: u16, y: u16) -> usize {
        let chunk = y / SIDE * chunks_a_side(self.size) + x / SIDE;
        usize::from(chunk) * CHUNK_BYTES + usize::from(y % SIDE * SIDE + x % SIDE)
    }

    fn box_index(&self, x: u16, y: u16) -> usize {
        usize::from(y) * usize::from(self.size) + usize::from(x)
    }
}

/// One more dot than boxes a side.
const fn chunks_a_side(size: u16) -> u16 {
    size / SIDE + 1
}

fn chunk_count(size: u16) -> usize {
    usize::from(chunks_a_side(size)).pow(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_edge_has_one_number_and_lies_beside_its_boxes() {
        for size in [2, 5, 16, 100] {
            let board = Board::new(size);
            assert_eq!(board.edge(board.edges()), None);
            let mut beside = 0;
            for number in 0..board.edges() {
                let edge = board.edge(number).unwrap();
                assert_eq!(board.number(edge), number);
                for (x, y) in board.boxes_beside(edge).into_iter().flatten() {
                    assert!(Board::sides_of(x, y).contains(&edge));
                    beside += 1;
                }
            }
            assert_eq!(beside, 4 * u32::from(size) * u32::from(size));
        }
    }
}
