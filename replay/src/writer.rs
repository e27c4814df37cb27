//! Writing a replay file, block by block.

use std::{collections::BTreeSet, io, num::NonZeroU32, sync::Arc};

use cadastre_protocol::{
    BlockError, ChunkId, CodecError, DisplayName, Genesis, GenesisError, Height, ProvenBlock, RoomName,
    decode_exact, encode, log::LogProof,
};
use cadastre_simulations::{SetupError, Snapshot};

use crate::{
    blocks::Group,
    execution::{BeginError, Execution},
    file_header::FileHeader,
    index::{self, IndexEntry},
    keyframe::{Form, KEYFRAME_TURNS, Keyframe},
    record::{RecordKind, RecordWriter},
    summary::{Sealed, Summary},
    trailer::{Completeness, Trailer},
};

/// What is known of a match before its first block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Encoding of the genesis.
    pub genesis: Vec<u8>,
    /// Where the match was played.
    pub room: RoomName,
    /// How the players are called, one name for each seat.
    pub names: Vec<DisplayName>,
    /// The state that a fork begins with.
    pub first: Option<Arc<Snapshot>>,
}

/// Writes the replay file of one match. It executes the match to make the keyframes, and so judges every
/// block before it writes it: what comes out passes [`crate::audit`].
///
/// Holds at most one group of blocks, 64 KiB, and the state of the game. The same match gives the same bytes.
pub struct Writer<W> {
    records: RecordWriter<W>,
    header: FileHeader,
    execution: Execution,
    group: Group,
    /// Chunks that changed since the last keyframe.
    dirty: BTreeSet<ChunkId>,
    index: Vec<IndexEntry>,
    log_proof: Option<String>,
}

impl<W: io::Write> Writer<W> {
    /// Begins a file with a keyframe every [`KEYFRAME_TURNS`] turns.
    ///
    /// # Errors
    ///
    /// In the order of [`WriteError`]'s variants; the first that applies.
    pub fn new(out: W, meta: Meta) -> Result<Self, WriteError> {
        let turns = NonZeroU32::new(KEYFRAME_TURNS).unwrap_or(NonZeroU32::MIN);
        Self::with_keyframe_every(turns, out, meta)
    }

    /// Begins a file with a keyframe every `turns` turns: the fewer, the longer the file and the shorter the
    /// way to any turn.
    ///
    /// # Errors
    ///
    /// In the order of [`WriteError`]'s variants; the first that applies.
    pub fn with_keyframe_every(turns: NonZeroU32, out: W, meta: Meta) -> Result<Self, WriteError> {
        let Meta { genesis: bytes, room, names, first } = meta;
        let genesis: Genesis = decode_exact(&bytes).map_err(WriteError::Genesis)?;
        if names.len() != genesis.seats.len() {
            return Err(WriteError::Names);
        }
        let execution = Execution::begin(genesis, first.as_deref())?;
        let header = FileHeader {
            version: FileHeader::VERSION,
            keyframe_turns: turns.get(),
            genesis: bytes,
            room,
            names,
        };
        let mut records = RecordWriter::create(out)?;
        records.write(RecordKind::Header, Height::GENESIS, &encode(&header))?;
        if first.is_some() {
            let keyframe = Keyframe { form: Form::Whole, chunks: execution.game().snapshot() };
            records.write(RecordKind::FirstState, Height::GENESIS, &keyframe.to_bytes())?;
        }
        Ok(Self {
            records,
            header,
            execution,
            group: Group::default(),
            dirty: BTreeSet::new(),
            index: Vec::new(),
            log_proof: None,
        })
    }

    /// Height of the last block that was taken.
    pub const fn height(&self) -> Height {
        self.execution.chain().head().height
    }

    /// Judges the next block and writes it, sooner or later.
    ///
    /// # Errors
    ///
    /// - [`WriteError::Malformed`], [`WriteError::Block`]: the block is not part of the file. No block can be
    ///   pushed any more; [`Writer::finish`] still makes a file of those before.
    /// - [`WriteError::Io`]: what was written is no replay file.
    pub fn push(&mut self, block: ProvenBlock) -> Result<(), WriteError> {
        let height = self
            .height()
            .next()
            .ok_or(WriteError::Block { height: self.height(), error: BlockError::Exhausted })?;
        let bytes = encode(&block);
        let read = block.read().map_err(|error| WriteError::Malformed { height, error })?;
        let turn = read.block().header().turn;
        let step = self.execution.take(read).map_err(|error| WriteError::Block { height, error })?;
        if !self.group.push(height, turn, &bytes) {
            self.write_group()?;
            assert!(self.group.push(height, turn, &bytes), "one block fits in a record");
        }
        self.dirty.extend(step.dirty);
        let keyframes = self.index.iter().filter(|entry| entry.kind == RecordKind::Keyframe).count();
        match step.turn.and_then(|turn| Form::after(turn, self.header.keyframe_turns, keyframes)) {
            Some(form) => self.write_keyframe(form),
            None => Ok(()),
        }
    }

    /// Adds the proof that a head of the match stands in the transparency log; the last one that is added counts.
    /// It is not judged.
    pub fn add_log_proof(&mut self, proof: &LogProof) {
        self.log_proof = Some(proof.to_string());
    }

    /// Ends the file: complete if the last block was the Seal, else partial.
    ///
    /// # Errors
    ///
    /// [`WriteError::Io`]: what was written is no replay file.
    pub fn finish(mut self) -> Result<(W, Summary), WriteError> {
        self.write_group()?;
        if let Some(proof) = &self.log_proof {
            self.records.write(RecordKind::LogProof, Height::GENESIS, proof.as_bytes())?;
        }
        let index_offset = self.records.offset();
        self.records.write(RecordKind::Index, Height::GENESIS, &index::to_bytes(&self.index))?;
        let chain = self.execution.chain();
        let head = *chain.head();
        let sealed = chain.sealed().map(|reason| Sealed { reason, standings: chain.standings() });
        let file_bytes = self.records.offset() + Trailer::record_bytes();
        let completeness = Completeness::of(sealed.is_some());
        let trailer =
            Trailer { completeness, index_offset, height: head.height, head: head.block, file_bytes };
        self.records.write(RecordKind::Trailer, Height::GENESIS, &encode(&trailer))?;
        let summary = Summary {
            match_id: chain.match_id(),
            root_key: chain.genesis().service,
            rules: chain.genesis().rules.clone(),
            room: self.header.room,
            names: self.header.names,
            turns: head.turn,
            height: head.height,
            head: head.block,
            complete: sealed.is_some(),
            sealed,
            file_bytes,
        };
        Ok((self.records.into_inner()?, summary))
    }

    fn write_group(&mut self) -> Result<(), WriteError> {
        if let Some((first_height, turn, raw)) = self.group.content() {
            let offset = self.records.offset();
            self.index.push(IndexEntry { kind: RecordKind::Blocks, turn, first_height, offset });
            self.records.write(RecordKind::Blocks, first_height, raw)?;
            self.group.clear();
        }
        Ok(())
    }

    fn write_keyframe(&mut self, form: Form) -> Result<(), WriteError> {
        self.write_group()?;
        let dirty = std::mem::take(&mut self.dirty);
        let game = self.execution.game();
        let chunks = match form {
            Form::Changed => game.chunks(&dirty.into_iter().collect::<Vec<_>>()),
            Form::Whole => game.snapshot(),
        };
        let head = *self.execution.chain().head();
        let (turn, first_height, offset) = (head.turn, head.height, self.records.offset());
        self.index.push(IndexEntry { kind: RecordKind::Keyframe, turn, first_height, offset });
        let keyframe = Keyframe { form, chunks };
        Ok(self.records.write(RecordKind::Keyframe, first_height, &keyframe.to_bytes())?)
    }
}

/// Why a replay file cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The genesis is malformed.
    #[error("the genesis is malformed")]
    Genesis(#[source] CodecError),
    /// A name for each seat, not more and not fewer.
    #[error("the number of display names is not that of the seats")]
    Names,
    /// This build cannot play the game.
    #[error("the game cannot be started")]
    Setup(#[source] SetupError),
    /// The chain cannot begin.
    #[error("the match cannot begin")]
    Begin(#[source] GenesisError),
    /// A block is malformed.
    #[error("block {height} is malformed")]
    Malformed {
        /// Where it should stand.
        height: Height,
        /// What is wrong with it.
        #[source]
        error: CodecError,
    },
    /// A block cannot be the next.
    #[error("block {height} is refused")]
    Block {
        /// Where it should stand.
        height: Height,
        /// Why not.
        #[source]
        error: BlockError,
    },
    /// Writing failed, or the state of the game is too large for a keyframe.
    #[error("the replay file cannot be written")]
    Io(#[from] io::Error),
}

impl From<BeginError> for WriteError {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::Setup(error) => Self::Setup(error),
            BeginError::Genesis(error) => Self::Begin(error),
        }
    }
}
