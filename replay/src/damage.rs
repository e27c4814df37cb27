//! Where and why a replay file cannot be read.

use cadastre_protocol::{CodecError, Height};

use crate::record::RecordKind;

/// The first place at which a file stops being a replay file. Nothing from there on can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}: {fault}")]
pub struct Damage {
    /// Where the record begins that cannot be read, counted from the beginning of the file.
    pub offset: usize,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a record. Up to [`Fault::Link`] it can have happened by accident; whatever comes after
/// was written so, since the links around it hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The file was sent or stored as text.
    #[error("the file was changed by a transfer in text mode")]
    TextMode,
    /// It begins with other bytes than a replay file.
    #[error("not a replay file")]
    NotAReplay,
    /// It ends within a record.
    #[error("the file is cut within a record")]
    Cut,
    /// It ends after a record that is not the trailer.
    #[error("the file is cut between two records: the trailer is missing")]
    NoTrailer,
    /// The hash over the record and all before it is another.
    #[error("the record is damaged: its link does not match")]
    Link,
    /// A field that must be zero is not.
    #[error("a reserved field is not zero")]
    Reserved,
    /// No record of version 1 has this type.
    #[error("unknown record type {0}")]
    UnknownRecord(u8),
    /// No record of version 1 is compressed like this.
    #[error("unknown codec {0}")]
    UnknownCodec(u8),
    /// Longer than the limit of its kind.
    #[error("a {kind} record of {got} bytes, at most {max} are allowed")]
    TooLong {
        /// Which record.
        kind: RecordKind,
        /// Bytes before compression, as it claims.
        got: usize,
        /// The limit.
        max: usize,
    },
    /// The lengths before and after compression contradict each other or the codec.
    #[error("the lengths of the record contradict each other")]
    Lengths,
    /// Bytes come after the trailer.
    #[error("bytes after the trailer")]
    AfterTrailer,
    /// A record of this kind cannot come here.
    #[error("a {0} record cannot come here")]
    Misplaced(RecordKind),
    /// Not what the compression makes.
    #[error("compressed bytes are malformed")]
    Compression,
    /// A version that this build does not read.
    #[error("format version {0}, this build reads version 1")]
    UnknownVersion(u16),
    /// The file's header is malformed.
    #[error("the header is malformed: {0}")]
    Header(CodecError),
    /// The genesis is malformed.
    #[error("the genesis is malformed: {0}")]
    Genesis(CodecError),
    /// A name for each seat, not more and not fewer.
    #[error("the number of display names is not that of the seats")]
    Names,
    /// The lengths in a group of blocks are malformed.
    #[error("a group of blocks is malformed: {0}")]
    Group(&'static str),
    /// A block is malformed.
    #[error("block {height} is malformed: {error}")]
    Block {
        /// Where it stands in the chain.
        height: Height,
        /// What is wrong with it.
        error: CodecError,
    },
    /// Blocks are not in the order of their heights, or the record says another height than they do.
    #[error("height {got} where {expected} should come")]
    WrongHeight {
        /// What should come.
        expected: Height,
        /// What came.
        got: Height,
    },
    /// A keyframe is malformed.
    #[error("a keyframe is malformed: {0}")]
    Keyframe(&'static str),
    /// The trailer is malformed.
    #[error("the trailer is malformed: {0}")]
    Trailer(CodecError),
}

impl Fault {
    /// This fault in the record at `offset`.
    pub(crate) const fn at(self, offset: usize) -> Damage {
        Damage { offset, fault: self }
    }
}
