//! The framing of a replay file: records, each linked by a hash to all bytes before it.
//! `docs/protocol.md`, "Replay file".

use std::{borrow::Cow, fmt, io};

use cadastre_protocol::{Context, Digest, Height, hash, log::LogProof};

use crate::damage::{Damage, Fault};

/// First bytes of every replay file. A transfer as text changes at least one of them: it clears the high bit,
/// takes the CR away or puts one before the last LF.
pub(crate) const MAGIC: [u8; 8] = *b"\x89CADR\r\n\n";

/// Where the first record begins, the header.
pub(crate) const HEADER_OFFSET: usize = MAGIC.len();

/// Bytes of a record before its content.
pub(crate) const RECORD_HEADER_BYTES: usize = FIELDS_BYTES + 32;

/// More than this many times its stored length no record can be: three bytes of Snappy give at most 64.
pub const RATIO_MAX: usize = 22;

const FIELDS_BYTES: usize = 20;

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// Genesis and names; the first record.
    Header,
    /// Consecutive blocks.
    Blocks,
    /// The state after the block before it.
    Keyframe,
    /// That a head of the match stands in the transparency log.
    LogProof,
    /// The state that a fork begins with.
    FirstState,
    /// Where the blocks and keyframes begin.
    Index,
    /// Where the index is, and where the match had come to; the last record.
    Trailer,
}

impl RecordKind {
    const ALL: [Self; 7] = [
        Self::Header,
        Self::Blocks,
        Self::Keyframe,
        Self::LogProof,
        Self::FirstState,
        Self::Index,
        Self::Trailer,
    ];

    /// The number that stands for it in the file.
    pub const fn code(self) -> u8 {
        match self {
            Self::Header => 1,
            Self::Blocks => 2,
            Self::Keyframe => 3,
            Self::Index => 4,
            Self::Trailer => 5,
            Self::LogProof => 6,
            Self::FirstState => 7,
        }
    }

    /// The kind with this number.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// Most bytes that such a record holds before compression. Longer ones are refused before anything is
    /// allocated for them.
    pub const fn raw_bytes_max(self) -> usize {
        match self {
            Self::Header => 8 * 1024,
            Self::Blocks => 64 * 1024,
            Self::Keyframe | Self::FirstState => 32 * 1024 * 1024,
            Self::LogProof => LogProof::BYTES_MAX,
            Self::Index => 16 * 1024 * 1024,
            Self::Trailer => 64,
        }
    }

    const fn has_height(self) -> bool {
        match self {
            Self::Blocks | Self::Keyframe => true,
            Self::Header | Self::LogProof | Self::FirstState | Self::Index | Self::Trailer => false,
        }
    }

    /// The trailer is not: its record has a fixed size.
    const fn is_compressible(self) -> bool {
        match self {
            Self::Header
            | Self::Blocks
            | Self::Keyframe
            | Self::LogProof
            | Self::FirstState
            | Self::Index => true,
            Self::Trailer => false,
        }
    }
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Blocks => "blocks",
            Self::Keyframe => "keyframe",
            Self::LogProof => "log proof",
            Self::FirstState => "first state",
            Self::Index => "index",
            Self::Trailer => "trailer",
        })
    }
}

/// How the content of a record is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Codec {
    Raw,
    /// The raw block format of Snappy; only where it is shorter.
    Snappy,
}

impl Codec {
    const fn code(self) -> u8 {
        match self {
            Self::Raw => 0,
            Self::Snappy => 1,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        [Self::Raw, Self::Snappy].into_iter().find(|codec| codec.code() == code)
    }
}

/// A record whose link holds and whose lengths are possible. Its content has not been looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    pub(crate) offset: usize,
    pub(crate) kind: RecordKind,
    pub(crate) first_height: Height,
    codec: Codec,
    raw_len: usize,
    stored: &'a [u8],
}

impl<'a> Record<'a> {
    /// Length of the content.
    pub(crate) const fn raw_len(&self) -> usize {
        self.raw_len
    }

    /// The content. Allocates no more than the limit of the record's kind.
    pub(crate) fn raw(&self) -> Result<Cow<'a, [u8]>, Damage> {
        match self.codec {
            Codec::Raw => Ok(Cow::Borrowed(self.stored)),
            Codec::Snappy => {
                if snap::raw::decompress_len(self.stored) != Ok(self.raw_len) {
                    return Err(Fault::Compression.at(self.offset));
                }
                let raw = snap::raw::Decoder::new().decompress_vec(self.stored);
                raw.map(Cow::Owned).map_err(|_| Fault::Compression.at(self.offset))
            }
        }
    }
}

/// Reads records one after the other and checks their links.
#[derive(Debug)]
pub(crate) struct RecordReader<'a> {
    file: &'a [u8],
    offset: usize,
    link: Digest,
}

impl<'a> RecordReader<'a> {
    /// Begins after the magic.
    pub(crate) fn open(file: &'a [u8]) -> Result<Self, Damage> {
        if file.starts_with(&MAGIC) {
            return Ok(Self { file, offset: HEADER_OFFSET, link: first_link() });
        }
        let fault = if MAGIC.starts_with(file) {
            Fault::Cut
        } else if file.get(1..5) == Some(&MAGIC[1..5]) {
            Fault::TextMode
        } else {
            Fault::NotAReplay
        };
        Err(fault.at(0))
    }

    /// Where the next record begins.
    pub(crate) const fn offset(&self) -> usize {
        self.offset
    }

    /// Is every byte read?
    pub(crate) const fn is_at_end(&self) -> bool {
        self.offset == self.file.len()
    }

    /// Reads the next record. The link is looked at first, so that accidents and lies are told apart.
    pub(crate) fn next(&mut self) -> Result<Record<'a>, Damage> {
        if self.is_at_end() {
            return Err(Fault::NoTrailer.at(self.offset));
        }
        self.read().map_err(|fault| fault.at(self.offset))
    }

    fn read(&mut self) -> Result<Record<'a>, Fault> {
        let rest = &self.file[self.offset..];
        let (fields, rest) = rest.split_first_chunk::<FIELDS_BYTES>().ok_or(Fault::Cut)?;
        let (link, rest) = rest.split_first_chunk::<32>().ok_or(Fault::Cut)?;
        let Fields { kind, codec, reserved, stored_len, raw_len, first_height } = Fields::from_bytes(fields);
        let stored = usize::try_from(stored_len).ok().and_then(|len| rest.get(..len)).ok_or(Fault::Cut)?;
        let expected = link_of(self.link, fields, stored);
        if Digest::new(*link) != expected {
            return Err(Fault::Link);
        }
        if reserved != 0 {
            return Err(Fault::Reserved);
        }
        let kind = RecordKind::from_code(kind).ok_or(Fault::UnknownRecord(kind))?;
        let codec = Codec::from_code(codec).ok_or(Fault::UnknownCodec(codec))?;
        let raw_len = usize::try_from(raw_len).unwrap_or(usize::MAX);
        if raw_len > kind.raw_bytes_max() {
            return Err(Fault::TooLong { kind, got: raw_len, max: kind.raw_bytes_max() });
        }
        let lengths_fit = match codec {
            Codec::Raw => raw_len == stored.len(),
            Codec::Snappy => {
                kind.is_compressible() && stored.len() < raw_len && raw_len / RATIO_MAX <= stored.len()
            }
        };
        if !lengths_fit {
            return Err(Fault::Lengths);
        }
        if !kind.has_height() && first_height != 0 {
            return Err(Fault::Reserved);
        }
        let first_height = Height::new(first_height);
        let record = Record { offset: self.offset, kind, first_height, codec, raw_len, stored };
        self.offset += RECORD_HEADER_BYTES + stored.len();
        self.link = expected;
        Ok(record)
    }
}

/// Writes records one after the other.
pub(crate) struct RecordWriter<W> {
    out: W,
    offset: u64,
    link: Digest,
    encoder: snap::raw::Encoder,
    compressed: Vec<u8>,
}

impl<W: io::Write> RecordWriter<W> {
    /// Writes the magic.
    pub(crate) fn create(mut out: W) -> io::Result<Self> {
        out.write_all(&MAGIC)?;
        let offset = u64::try_from(MAGIC.len()).expect("eight");
        Ok(Self {
            out,
            offset,
            link: first_link(),
            encoder: snap::raw::Encoder::new(),
            compressed: Vec::new(),
        })
    }

    /// Where the next record begins.
    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Writes a record, compressed if that makes it shorter.
    ///
    /// # Errors
    ///
    /// What `out` says; the file is torn then. [`io::ErrorKind::InvalidInput`] when `raw` is longer than the
    /// limit of its kind; nothing was written.
    pub(crate) fn write(&mut self, kind: RecordKind, first_height: Height, raw: &[u8]) -> io::Result<()> {
        let too_long =
            || io::Error::new(io::ErrorKind::InvalidInput, format!("a {kind} record over its limit"));
        if raw.len() > kind.raw_bytes_max() {
            return Err(too_long());
        }
        self.compressed.resize(snap::raw::max_compress_len(raw.len()), 0);
        // Compression fails only where the room is too small, and it was made to fit.
        let len = self.encoder.compress(raw, &mut self.compressed).unwrap_or(usize::MAX);
        let (codec, stored) = if kind.is_compressible() && len < raw.len() {
            (Codec::Snappy, &self.compressed[..len])
        } else {
            (Codec::Raw, raw)
        };
        let fields = Fields {
            kind: kind.code(),
            codec: codec.code(),
            reserved: 0,
            stored_len: u32::try_from(stored.len()).map_err(|_| too_long())?,
            raw_len: u32::try_from(raw.len()).map_err(|_| too_long())?,
            first_height: first_height.get(),
        };
        let bytes = fields.to_bytes();
        let link = link_of(self.link, &bytes, stored);
        self.out.write_all(&bytes)?;
        self.out.write_all(link.as_bytes())?;
        self.out.write_all(stored)?;
        self.link = link;
        self.offset += record_bytes(fields.stored_len);
        Ok(())
    }

    /// Flushes and gives back what was written to.
    pub(crate) fn into_inner(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

/// The part of a record's header that its link covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fields {
    kind: u8,
    codec: u8,
    reserved: u16,
    stored_len: u32,
    raw_len: u32,
    first_height: u64,
}

impl Fields {
    fn to_bytes(self) -> [u8; FIELDS_BYTES] {
        let mut bytes = [0; FIELDS_BYTES];
        (bytes[0], bytes[1]) = (self.kind, self.codec);
        bytes[2..4].copy_from_slice(&self.reserved.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.stored_len.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.raw_len.to_le_bytes());
        bytes[12..].copy_from_slice(&self.first_height.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; FIELDS_BYTES]) -> Self {
        let [kind, codec, r0, r1, s0, s1, s2, s3, w0, w1, w2, w3, height @ ..] = *bytes;
        Self {
            kind,
            codec,
            reserved: u16::from_le_bytes([r0, r1]),
            stored_len: u32::from_le_bytes([s0, s1, s2, s3]),
            raw_len: u32::from_le_bytes([w0, w1, w2, w3]),
            first_height: u64::from_le_bytes(height),
        }
    }
}

/// Length of a record with so many bytes of stored content.
pub(crate) fn record_bytes(stored_len: u32) -> u64 {
    u64::from(stored_len) + u64::try_from(RECORD_HEADER_BYTES).expect("52")
}

fn first_link() -> Digest {
    hash(Context::ReplayLink, &[&MAGIC])
}

fn link_of(before: Digest, fields: &[u8; FIELDS_BYTES], stored: &[u8]) -> Digest {
    hash(Context::ReplayLink, &[before.as_bytes(), fields, stored])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(raw: &[u8]) -> Vec<u8> {
        let mut writer = RecordWriter::create(Vec::new()).unwrap();
        writer.write(RecordKind::Blocks, Height::new(7), raw).unwrap();
        writer.into_inner().unwrap()
    }

    #[test]
    fn records_come_back_as_they_were_written() {
        let noise: Vec<u8> = (0..4).flat_map(|i: u8| *hash(Context::Block, &[&[i]]).as_bytes()).collect();
        for (raw, codec) in [(&noise[..], Codec::Raw), (&[5; 3000][..], Codec::Snappy), (&[], Codec::Raw)] {
            let file = written(raw);
            let mut reader = RecordReader::open(&file).unwrap();
            let record = reader.next().unwrap();
            assert_eq!(
                (record.kind, record.codec, record.first_height.get()),
                (RecordKind::Blocks, codec, 7)
            );
            assert_eq!(&*record.raw().unwrap(), raw);
            assert!(reader.is_at_end());
            assert_eq!(reader.next().unwrap_err(), Fault::NoTrailer.at(file.len()));
        }
    }

    #[test]
    fn the_best_that_the_compression_can_do_stays_within_the_ratio() {
        for len in [100, 1000, 65_536] {
            let file = written(&vec![0; len]);
            assert!(RecordReader::open(&file).unwrap().next().is_ok(), "{len}");
        }
    }

    #[test]
    fn a_record_over_its_limit_is_not_written() {
        let mut writer = RecordWriter::create(Vec::new()).unwrap();
        let error = writer.write(RecordKind::Blocks, Height::new(1), &[0; 64 * 1024 + 1]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert_eq!(writer.into_inner().unwrap(), MAGIC);
    }

    #[test]
    fn a_transfer_as_text_is_named() {
        let file = written(b"x");
        let strip: Vec<u8> = file.iter().map(|byte| byte & 0x7f).collect();
        let to_dos: Vec<u8> =
            file.iter().flat_map(|b| if *b == b'\n' { vec![b'\r', b'\n'] } else { vec![*b] }).collect();
        let to_unix: Vec<u8> = file.iter().copied().filter(|byte| *byte != b'\r').collect();
        for text in [strip, to_dos, to_unix] {
            assert_eq!(RecordReader::open(&text).unwrap_err(), Fault::TextMode.at(0));
        }
        assert_eq!(RecordReader::open(b"GIF89a..").unwrap_err(), Fault::NotAReplay.at(0));
        assert_eq!(RecordReader::open(&MAGIC[..5]).unwrap_err(), Fault::Cut.at(0));
        assert_eq!(RecordReader::open(b"").unwrap_err(), Fault::Cut.at(0));
    }
}
