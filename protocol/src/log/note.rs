//! Signed notes: text, an empty line, signature lines. C2SP signed-note.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::hash::Digest;

/// Longest note that is read: room for sixteen of the longest signatures there are.
pub const NOTE_BYTES_MAX: usize = 128 * 1024;

/// Most signature lines of a note that is read.
pub const SIGNATURES_MAX: usize = 64;

/// Longest name of a key.
pub(super) const NAME_BYTES_MAX: usize = 255;

/// A note as it came. Says nothing before a signature of a known key was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

/// A signature line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature {
    pub(super) name: String,
    pub(super) id: [u8; 4],
    pub(super) signature: Vec<u8>,
}

impl Note {
    /// A note that nobody has signed yet. `text` ends in a newline.
    pub(super) const fn unsigned(text: String) -> Self {
        Self { text, signatures: Vec::new() }
    }

    /// Reads a note.
    ///
    /// # Errors
    ///
    /// In the order of [`NoteError`]'s variants; the first that applies.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLong);
        }
        let note = str::from_utf8(bytes).map_err(|_| NoteError::NotText)?;
        if note.chars().any(|c| c < ' ' && c != '\n') {
            return Err(NoteError::NotText);
        }
        let (text, lines) = note.rsplit_once("\n\n").ok_or(NoteError::NoSignatures)?;
        let lines = lines.strip_suffix('\n').ok_or(NoteError::NoSignatures)?;
        if lines.split('\n').nth(SIGNATURES_MAX).is_some() {
            return Err(NoteError::TooManySignatures);
        }
        let signatures = lines.split('\n').map(NoteSignature::parse).collect::<Option<_>>();
        Ok(Self { text: format!("{text}\n"), signatures: signatures.ok_or(NoteError::SignatureLine)? })
    }

    /// What is signed, with its last newline.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signature lines, in their order.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Adds a signature line.
    pub fn push(&mut self, signature: NoteSignature) {
        self.signatures.push(signature);
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl NoteSignature {
    /// Reads a line without its newline; `None` when it is none.
    pub fn parse(line: &str) -> Option<Self> {
        let (name, base64) = line.strip_prefix("— ")?.split_once(' ')?;
        let bytes = STANDARD.decode(base64).ok()?;
        let (id, signature) = bytes.split_first_chunk()?;
        let is_signature = is_key_name(name) && !signature.is_empty();
        is_signature.then(|| Self { name: name.to_owned(), id: *id, signature: signature.to_vec() })
    }

    /// Whose it claims to be.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.id[..], &self.signature].concat();
        write!(f, "— {} {}", self.name, STANDARD.encode(bytes))
    }
}

/// Can it be the name of a key? Spaces and plus would end it early.
pub(super) fn is_key_name(name: &str) -> bool {
    let is_allowed = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.chars().all(is_allowed)
}

/// Reads a hash of 32 bytes in base64.
pub(super) fn hash_of_base64(text: &str) -> Option<Digest> {
    Some(Digest::new(STANDARD.decode(text).ok()?.try_into().ok()?))
}

/// Writes a hash in base64.
pub(super) fn base64_of_hash(hash: &Digest) -> String {
    STANDARD.encode(hash.as_bytes())
}

/// Reads a number as notes have them: decimal, without sign and leading zeroes.
pub(super) fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

/// Why bytes are no note. Always the fault of whoever made them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Over [`NOTE_BYTES_MAX`].
    #[error("the note is too long")]
    TooLong,
    /// Not UTF-8, or with control characters.
    #[error("the note is no plain text")]
    NotText,
    /// No empty line, nothing after it, or no newline at the end.
    #[error("the note has no signatures")]
    NoSignatures,
    /// Over [`SIGNATURES_MAX`].
    #[error("the note has too many signatures")]
    TooManySignatures,
    /// A line after the empty one is no signature.
    #[error("a signature line is malformed")]
    SignatureLine,
}
