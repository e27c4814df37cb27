//! Groups of consecutive blocks: the content of a blocks record.

use cadastre_protocol::{CodecError, Height, ProvenBlock, ReadProvenBlock, Turn, Wire, decode_exact};

use crate::{
    damage::{Damage, Fault},
    record::{Record, RecordKind},
};

/// Blocks that wait to be written together.
#[derive(Debug, Default)]
pub(crate) struct Group {
    first: Option<(Height, Turn)>,
    raw: Vec<u8>,
}

impl Group {
    /// Takes an encoded block; `false` when the group must be written first to make room.
    pub(crate) fn push(&mut self, height: Height, turn: Turn, block: &[u8]) -> bool {
        let len = u32::try_from(block.len()).expect("a block that was judged is short");
        let fits = self.raw.len() + LENGTH_BYTES + block.len() <= RecordKind::Blocks.raw_bytes_max();
        if fits {
            self.first.get_or_insert((height, turn));
            self.raw.extend_from_slice(&len.to_le_bytes());
            self.raw.extend_from_slice(block);
        }
        fits
    }

    /// Height and turn of the first block, and all of them as they are written; `None` when there is none.
    pub(crate) fn content(&self) -> Option<(Height, Turn, &[u8])> {
        self.first.map(|(height, turn)| (height, turn, self.raw.as_slice()))
    }

    pub(crate) fn clear(&mut self) {
        self.first = None;
        self.raw.clear();
    }
}

/// Reads the blocks of a record as they were pushed.
pub(crate) fn read_proven(record: &Record<'_>) -> Result<Vec<ProvenBlock>, Damage> {
    read(record, |block| block.decode())
}

/// Decodes the blocks of a record altogether. Neither signature nor order is looked at.
pub(crate) fn read_decoded(record: &Record<'_>) -> Result<Vec<ReadProvenBlock>, Damage> {
    read(record, |block| block.decode()?.read())
}

/// Decodes only the last block of a record. It and the first must have the heights that fit the record.
pub(crate) fn read_last(record: &Record<'_>) -> Result<ReadProvenBlock, Damage> {
    let raw = record.raw()?;
    let placed = placed(record, &raw)?;
    let read = |block: &Placed<'_>| {
        let read =
            block.decode().and_then(ProvenBlock::read).map_err(|error| block.malformed(record, error))?;
        let (expected, got) = (block.height, read.block().header().height);
        if got == expected { Ok(read) } else { Err(Fault::WrongHeight { expected, got }.at(record.offset)) }
    };
    let (Some(first), Some(last)) = (placed.first(), placed.last()) else {
        return Err(Fault::Group(EMPTY).at(record.offset));
    };
    read(first)?;
    read(last)
}

/// An encoded block, and the height that it has by its place in the record.
struct Placed<'a> {
    bytes: &'a [u8],
    height: Height,
}

impl Placed<'_> {
    fn decode(&self) -> Result<ProvenBlock, CodecError> {
        decode_exact(self.bytes)
    }

    fn malformed(&self, record: &Record<'_>, error: CodecError) -> Damage {
        Fault::Block { height: self.height, error }.at(record.offset)
    }
}

fn read<T>(
    record: &Record<'_>,
    read: impl Fn(&Placed<'_>) -> Result<T, CodecError>,
) -> Result<Vec<T>, Damage> {
    let raw = record.raw()?;
    let placed = placed(record, &raw)?;
    placed.iter().map(|block| read(block).map_err(|error| block.malformed(record, error))).collect()
}

fn placed<'a>(record: &Record<'_>, raw: &'a [u8]) -> Result<Vec<Placed<'a>>, Damage> {
    let blocks = split(raw).map_err(|reason| Fault::Group(reason).at(record.offset))?;
    // The record can claim any height.
    let heights = (0..).map(|place| Height::new(record.first_height.get().saturating_add(place)));
    Ok(blocks.into_iter().zip(heights).map(|(bytes, height)| Placed { bytes, height }).collect())
}

/// `(length u32 ‖ block)`, one after the other.
fn split(raw: &[u8]) -> Result<Vec<&[u8]>, &'static str> {
    let mut blocks = Vec::new();
    let mut rest = raw;
    while !rest.is_empty() {
        let (len, after) = rest.split_first_chunk().ok_or(CUT)?;
        let len = usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX);
        if len > ProvenBlock::BYTES_MAX {
            return Err("a block over its limit");
        }
        let (block, after) = after.split_at_checked(len).ok_or(CUT)?;
        blocks.push(block);
        rest = after;
    }
    if blocks.is_empty() { Err(EMPTY) } else { Ok(blocks) }
}

const LENGTH_BYTES: usize = 4;
const CUT: &str = "it ends within a block";
const EMPTY: &str = "no block in it";
