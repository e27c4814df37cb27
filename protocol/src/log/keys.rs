//! The keys of logs and witnesses: an Ed25519 key, its name, and what it signs.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use super::{
    checkpoint::{Checkpoint, Origin, VerifiedCheckpoint},
    note::{Note, NoteSignature, is_key_name},
};
use crate::keys::{BadSignature, EnrolledKey, KeyError, PublicKey, SecretKey, Signature};

/// Signature type of a log's checkpoint.
const LOG: u8 = 1;

/// Signature type of a witness's cosignature with its time.
const WITNESS: u8 = 4;

/// Verifies the checkpoints of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogKey(NamedKey);

/// Verifies the cosignatures of a witness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessKey(NamedKey);

/// Signs the checkpoints of a log.
#[derive(Clone, Debug)]
pub struct LogSigner {
    secret: SecretKey,
    key: LogKey,
}

/// Cosigns the checkpoints of others.
#[derive(Clone, Debug)]
pub struct WitnessSigner {
    secret: SecretKey,
    key: WitnessKey,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct NamedKey {
    name: String,
    id: [u8; 4],
    key: EnrolledKey,
}

impl LogKey {
    /// The key of the log of that origin: a log's key is called like it.
    pub fn new(origin: &Origin, key: EnrolledKey) -> Self {
        Self(NamedKey::new(origin.as_str(), LOG, key))
    }

    /// Reads a verifier key: name, `+`, id, `+`, type and key.
    ///
    /// # Errors
    ///
    /// In the order of [`VerifierKeyError`]'s variants; the first that applies.
    pub fn parse(vkey: &str) -> Result<Self, VerifierKeyError> {
        NamedKey::parse(vkey, LOG).map(Self)
    }

    /// The key without its name.
    pub const fn public(&self) -> PublicKey {
        self.0.key.public()
    }

    /// Does this line claim to be of this key?
    pub(super) fn made(&self, line: &NoteSignature) -> bool {
        self.0.made(line)
    }

    /// Is the note signed by this key? `None` when no line claims so.
    pub(super) fn verify(&self, note: &Note) -> Option<Result<(), BadSignature>> {
        let signatures = note.signatures().iter().filter(|line| self.0.made(line));
        let verify = |line: &NoteSignature| {
            let signature = line.signature.as_slice().try_into().map_err(|_| BadSignature)?;
            self.0.key.verify_note(note.text().as_bytes(), &Signature::new(signature))
        };
        signatures.map(verify).reduce(Result::and)
    }
}

impl WitnessKey {
    /// Reads a verifier key: name, `+`, id, `+`, type and key.
    ///
    /// # Errors
    ///
    /// In the order of [`VerifierKeyError`]'s variants; the first that applies.
    pub fn parse(vkey: &str) -> Result<Self, VerifierKeyError> {
        NamedKey::parse(vkey, WITNESS).map(Self)
    }

    /// The witness's name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Does this line claim to be of this key?
    pub fn made(&self, line: &NoteSignature) -> bool {
        self.0.made(line)
    }

    /// When this key cosigned the note, in seconds since 1970; `None` when no line claims so.
    pub(super) fn verify(&self, note: &Note) -> Option<Result<u64, BadSignature>> {
        let signatures = note.signatures().iter().filter(|line| self.0.made(line));
        signatures.map(|line| self.verify_line(note.text(), line)).reduce(Result::and)
    }

    /// Verifies one cosignature of this key; gives its time.
    pub(super) fn verify_line(&self, text: &str, line: &NoteSignature) -> Result<u64, BadSignature> {
        let (time, signature) = line.signature.split_first_chunk().ok_or(BadSignature)?;
        let time = u64::from_be_bytes(*time);
        let signature = signature.try_into().map_err(|_| BadSignature)?;
        if time == 0 || i64::try_from(time).is_err() {
            return Err(BadSignature);
        }
        self.0.key.verify_note(cosigned(text, time).as_bytes(), &Signature::new(signature))?;
        Ok(time)
    }
}

impl LogSigner {
    /// The signer of the log of that origin.
    pub fn new(origin: &Origin, secret: SecretKey) -> Self {
        Self { key: LogKey::new(origin, secret.enrolled()), secret }
    }

    /// What verifies its checkpoints.
    pub const fn key(&self) -> &LogKey {
        &self.key
    }

    /// Signs a checkpoint. The same checkpoint gives the same bytes.
    ///
    /// # Panics
    ///
    /// When the checkpoint is of another origin.
    pub fn sign(&self, checkpoint: Checkpoint) -> VerifiedCheckpoint {
        assert_eq!(checkpoint.origin.as_str(), self.key.0.name, "a log key signs one log");
        let mut note = Note::unsigned(checkpoint.to_string());
        let signature = self.secret.sign_note(note.text().as_bytes());
        note.push(self.key.0.line(signature.as_bytes().to_vec()));
        VerifiedCheckpoint::signed(note, checkpoint, self.key.clone())
    }
}

impl WitnessSigner {
    /// A witness of that name; `None` when it cannot be one.
    pub fn new(name: &str, secret: SecretKey) -> Option<Self> {
        is_key_name(name)
            .then(|| Self { key: WitnessKey(NamedKey::new(name, WITNESS, secret.enrolled())), secret })
    }

    /// What verifies its cosignatures.
    pub const fn key(&self) -> &WitnessKey {
        &self.key
    }

    /// Says that at `time_s`, in seconds since 1970, this was the newest checkpoint of its log that it knew, and
    /// that it follows from all before. Whoever calls has checked that.
    pub fn cosign(&self, checkpoint: &VerifiedCheckpoint, time_s: u64) -> NoteSignature {
        let signature = self.secret.sign_note(cosigned(checkpoint.note().text(), time_s).as_bytes());
        self.key.0.line([&time_s.to_be_bytes()[..], signature.as_bytes()].concat())
    }
}

impl NamedKey {
    fn new(name: &str, kind: u8, key: EnrolledKey) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(name.as_bytes());
        hasher.update([b'\n', kind]);
        hasher.update(key.public().as_bytes());
        let [a, b, c, d, ..] = <[u8; 32]>::from(hasher.finalize());
        Self { name: name.to_owned(), id: [a, b, c, d], key }
    }

    fn parse(vkey: &str, kind: u8) -> Result<Self, VerifierKeyError> {
        let malformed = VerifierKeyError::Malformed;
        let (name, rest) = vkey.split_once('+').ok_or(malformed)?;
        let (id, key) = rest.split_once('+').ok_or(malformed)?;
        let bytes = STANDARD.decode(key).map_err(|_| malformed)?;
        let (got, key) = bytes.split_first().filter(|_| is_key_name(name)).ok_or(malformed)?;
        if *got != kind {
            return Err(VerifierKeyError::WrongType { expected: kind, got: *got });
        }
        let key = PublicKey::new(key.try_into().map_err(|_| malformed)?);
        let named = Self::new(name, kind, key.enroll().map_err(VerifierKeyError::Key)?);
        if id == named.id_in_hex() { Ok(named) } else { Err(VerifierKeyError::WrongId) }
    }

    fn id_in_hex(&self) -> String {
        format!("{:08x}", u32::from_be_bytes(self.id))
    }

    fn made(&self, line: &NoteSignature) -> bool {
        line.name == self.name && line.id == self.id
    }

    fn line(&self, signature: Vec<u8>) -> NoteSignature {
        NoteSignature { name: self.name.clone(), id: self.id, signature }
    }

    fn fmt(&self, f: &mut fmt::Formatter<'_>, kind: u8) -> fmt::Result {
        let key = [&[kind], &self.key.public().as_bytes()[..]].concat();
        write!(f, "{}+{}+{}", self.name, self.id_in_hex(), STANDARD.encode(key))
    }
}

impl fmt::Display for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f, LOG)
    }
}

impl fmt::Display for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f, WITNESS)
    }
}

/// What a cosignature signs.
fn cosigned(text: &str, time_s: u64) -> String {
    format!("cosignature/v1\ntime {time_s}\n{text}")
}

/// Why a text is no verifier key of the kind that is wanted. The fault of whoever gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifierKeyError {
    /// Not `name+id+key`.
    #[error("not a verifier key: name, `+`, eight hexadecimal digits, `+`, base64")]
    Malformed,
    /// A witness's key where a log's is wanted, the reverse, or something else altogether.
    #[error("a key of the signature type {got}, not {expected}")]
    WrongType {
        /// The type that is wanted: 1 for logs, 4 for witnesses.
        expected: u8,
        /// What it says.
        got: u8,
    },
    /// The key is not acceptable.
    #[error("the key is not acceptable")]
    Key(#[source] KeyError),
    /// The id is that of another name or key.
    #[error("the id does not fit name and key")]
    WrongId,
}
