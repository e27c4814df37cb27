//! What a difference between two states means in the words of the game.

use cadastre_protocol::{ChunkId, Seat};

/// A field that differs between two states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The chunk that it stands in.
    pub chunk: ChunkId,
    /// What the field belongs to.
    pub subject: Subject,
    /// Its name in `docs/games.md`.
    pub field: &'static str,
    /// Its value in the one state.
    pub left: String,
    /// Its value in the other.
    pub right: String,
}

/// What a field belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The match as a whole.
    Match,
    /// One seat.
    Seat(Seat),
    /// A tile of the map, or a dot of the board.
    Tile {
        /// Its column.
        x: u16,
        /// Its row.
        y: u16,
    },
    /// A chunk that is there in one state only, or has another length: its fields cannot be told apart.
    Chunk,
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Match => f.write_str("match"),
            Self::Seat(seat) => write!(f, "seat {seat}"),
            Self::Tile { x, y } => write!(f, "tile ({x}, {y})"),
            Self::Chunk => f.write_str("chunk"),
        }
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { chunk, subject, field, left, right } = self;
        write!(f, "chunk {}, {subject}, {field}: {left} and {right}", chunk.get())
    }
}

/// A field in the rows of a chunk.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    name: &'static str,
    at: usize,
    form: Form,
}

/// How a field is encoded.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// Little-endian, of so many bytes.
    Unsigned(usize),
    /// Little-endian in two's complement, of so many bytes, 1 to 8.
    Signed(usize),
    /// These bits of a byte.
    Bits(u8),
    /// These bits of a byte: 0 for nobody, else one more than the seat.
    Owner(u8),
    /// A byte that stands for one of these words.
    Word(&'static [&'static str]),
}

impl Field {
    pub(crate) const fn new(name: &'static str, at: usize, form: Form) -> Self {
        Self { name, at, form }
    }

    const fn end(&self) -> usize {
        self.at
            + match self.form {
                Form::Unsigned(bytes) | Form::Signed(bytes) => bytes,
                Form::Bits(_) | Form::Owner(_) | Form::Word(_) => 1,
            }
    }

    fn show(&self, row: &[u8]) -> String {
        let bytes = &row[self.at..self.end()];
        let masked = |mask: u8| (bytes[0] & mask) >> mask.trailing_zeros();
        let number = || bytes.iter().rev().fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
        match self.form {
            Form::Unsigned(_) => number().to_string(),
            Form::Signed(bytes) => {
                let unused = 64 - 8 * bytes;
                ((number() << unused).cast_signed() >> unused).to_string()
            }
            Form::Bits(mask) => masked(mask).to_string(),
            Form::Owner(mask) => {
                masked(mask).checked_sub(1).map_or_else(|| "nobody".to_owned(), |seat| format!("seat {seat}"))
            }
            Form::Word(words) => words
                .get(usize::from(bytes[0]))
                .map_or_else(|| format!("unknown ({})", bytes[0]), |word| (*word).to_owned()),
        }
    }
}

/// Length of a row of these fields, in bytes.
pub(crate) fn row_bytes(fields: &[Field]) -> usize {
    fields.iter().map(Field::end).max().unwrap_or(1)
}

/// The fields in which two versions of a chunk differ. The chunk consists of rows of these fields.
pub(crate) fn compare(
    chunk: ChunkId,
    fields: &[Field],
    subject: impl Fn(usize) -> Subject,
    left: &[u8],
    right: &[u8],
) -> Vec<Difference> {
    let row_bytes = row_bytes(fields);
    let mut differences = Vec::new();
    for (row, (left, right)) in left.chunks_exact(row_bytes).zip(right.chunks_exact(row_bytes)).enumerate() {
        if left == right {
            continue;
        }
        for field in fields {
            let (left, right) = (field.show(left), field.show(right));
            if left != right {
                differences.push(Difference { chunk, subject: subject(row), field: field.name, left, right });
            }
        }
    }
    differences
}

/// A chunk whose fields cannot be told apart.
pub(crate) fn of_length(chunk: ChunkId, left: Option<&[u8]>, right: Option<&[u8]>) -> Difference {
    let show = |bytes: Option<&[u8]>| {
        bytes.map_or_else(|| "none".to_owned(), |bytes| format!("{} bytes", bytes.len()))
    };
    Difference { chunk, subject: Subject::Chunk, field: "length", left: show(left), right: show(right) }
}
