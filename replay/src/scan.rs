//! The way through a file from the first byte to the last: every link, every length, the order of records.

use cadastre_protocol::{Genesis, decode_exact};
use cadastre_simulations::Snapshot;

use crate::{
    damage::{Damage, Fault},
    file_header::FileHeader,
    keyframe::{Form, Keyframe},
    record::{Record, RecordKind, RecordReader},
    trailer::Trailer,
};

/// All records of a file, as far as they can be read. What they hold has not been looked at, but for the
/// header and the trailer.
#[derive(Debug)]
pub(crate) struct Scan<'a> {
    pub(crate) header: FileHeader,
    pub(crate) genesis: Genesis,
    /// The state that a fork begins with, and where it stands.
    pub(crate) first: Option<(Snapshot, usize)>,
    /// Blocks and keyframes.
    pub(crate) body: Vec<Record<'a>>,
    pub(crate) tail: Tail<'a>,
}

/// How a file ends.
#[derive(Debug)]
pub(crate) enum Tail<'a> {
    /// With index and trailer, and nothing after them.
    Whole { log_proof: Option<Record<'a>>, index: Record<'a>, trailer: Trailer, trailer_offset: usize },
    /// Where it cannot be read any further.
    Lost(Damage),
}

impl<'a> Scan<'a> {
    /// Reads `file` up to its end or the first damage.
    ///
    /// # Errors
    ///
    /// The damage is before the end of the header, or of a fork's first state: there is nothing to tell about the match.
    pub(crate) fn read(file: &'a [u8]) -> Result<Self, Damage> {
        let mut records = RecordReader::open(file)?;
        let (header, genesis) = FileHeader::read(&records.next()?)?;
        let first = genesis.parent.map(|_| read_first_state(&records.next()?)).transpose()?;
        let mut body = Vec::new();
        let tail = read_body(&mut records, &mut body).unwrap_or_else(Tail::Lost);
        Ok(Self { header, genesis, first, body, tail })
    }
}

fn read_first_state(record: &Record<'_>) -> Result<(Snapshot, usize), Damage> {
    if record.kind != RecordKind::FirstState {
        return Err(Fault::Misplaced(record.kind).at(record.offset));
    }
    let Keyframe { form, chunks } = Keyframe::read(record)?;
    match form {
        Form::Whole => Ok((chunks, record.offset)),
        Form::Changed => Err(Fault::Keyframe("the first state is not whole").at(record.offset)),
    }
}

fn read_body<'a>(records: &mut RecordReader<'a>, body: &mut Vec<Record<'a>>) -> Result<Tail<'a>, Damage> {
    let mut log_proof = None;
    let index = loop {
        let record = records.next()?;
        match record.kind {
            RecordKind::Index => break record,
            RecordKind::Blocks | RecordKind::Keyframe if log_proof.is_none() => body.push(record),
            RecordKind::LogProof if log_proof.is_none() => log_proof = Some(record),
            RecordKind::Blocks
            | RecordKind::Keyframe
            | RecordKind::LogProof
            | RecordKind::FirstState
            | RecordKind::Header
            | RecordKind::Trailer => {
                return Err(Fault::Misplaced(record.kind).at(record.offset));
            }
        }
    };
    let last = records.next()?;
    if last.kind != RecordKind::Trailer {
        return Err(Fault::Misplaced(last.kind).at(last.offset));
    }
    let trailer = decode_exact(&last.raw()?).map_err(|error| Fault::Trailer(error).at(last.offset))?;
    if !records.is_at_end() {
        return Err(Fault::AfterTrailer.at(records.offset()));
    }
    Ok(Tail::Whole { log_proof, index, trailer, trailer_offset: last.offset })
}
