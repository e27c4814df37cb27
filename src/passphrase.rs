//! Secrets encrypted at rest: where the passphrase comes from, and what it opens.
//!
//! # Requires
//!
//! - A passphrase that nobody guesses: whoever has the file can try as many as he likes, at about a tenth of a
//!   second and 64 MiB of memory each.
//!
//! # Provides
//!
//! - Without the passphrase nothing of the secret is learned from the file, and no change to the file goes
//!   unnoticed.
//!
//! # Does not provide
//!
//! - Anything against whoever reads the memory of the running process, or its environment.

use std::{env, ffi::OsString, fs::File, io::Read, path::PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::{
    ChaCha20Poly1305, KeyInit,
    aead::{Aead, Payload},
};
use zeroize::Zeroizing;

/// Names the variable that holds the passphrase.
pub const VARIABLE: &str = "CADASTRE_PASSPHRASE";

/// Names the systemd credential that holds the passphrase.
pub const CREDENTIAL: &str = "cadastre-passphrase";

/// Longest passphrase, in bytes.
const PASSPHRASE_BYTES_MAX: usize = 1024;

/// Memory in KiB and passes over it, as RFC 9106 has them where memory is short.
const COST: (u32, u32) = (64 * 1024, 3);

/// What a file may ask for: 1 GiB and 64 passes.
const COST_MAX: (u32, u32) = (1024 * 1024, 64);

const SALT_BYTES: usize = 16;

/// Each file has a salt of its own, so each key seals one text.
const NONCE: [u8; 12] = [0; 12];

/// Opens encrypted key files. Wiped from memory when it is dropped.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Takes the passphrase from the first source that there is: the file descriptor, the variable
    /// [`VARIABLE`], the systemd credential [`CREDENTIAL`]. One line ending is not part of it. `None` where
    /// there is no source.
    ///
    /// # Errors
    ///
    /// The source cannot be read, or has nothing that can be a passphrase.
    pub fn find(descriptor: Option<u32>) -> Result<Option<Self>, PassphraseError> {
        if let Some(number) = descriptor {
            return Self::read(format!("/dev/fd/{number}").into()).map(Some);
        }
        if let Some(value) = env::var_os(VARIABLE) {
            let value = Zeroizing::new(value.into_encoded_bytes());
            return Self::of(&value)
                .map(Some)
                .ok_or(PassphraseError::Unusable { source_name: VARIABLE.into() });
        }
        let credential = env::var_os("CREDENTIALS_DIRECTORY")
            .map(|folder| PathBuf::from(folder).join(CREDENTIAL))
            .filter(|path| path.exists());
        credential.map(Self::read).transpose()
    }

    fn read(path: PathBuf) -> Result<Self, PassphraseError> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(PASSPHRASE_BYTES_MAX + 3));
        let limit = PASSPHRASE_BYTES_MAX as u64 + 3;
        match File::open(&path).and_then(|file| file.take(limit).read_to_end(&mut bytes)) {
            Err(source) => Err(PassphraseError::Unreadable { path, source }),
            Ok(_) => Self::of(&bytes).ok_or(PassphraseError::Unusable { source_name: path.into() }),
        }
    }

    fn of(bytes: &[u8]) -> Option<Self> {
        let text = str::from_utf8(bytes).ok()?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        let fits = (1..=PASSPHRASE_BYTES_MAX).contains(&text.len());
        fits.then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// Encrypts a secret; `heading` says what it is, and is bound to it. `None` where the system gives no
    /// random bytes.
    pub(crate) fn seal(&self, heading: &str, secret: &[u8]) -> Option<String> {
        let mut salt = [0; SALT_BYTES];
        getrandom::fill(&mut salt).ok()?;
        let (memory, passes) = COST;
        let front = format!("{heading}\nargon2id {memory} {passes}\n{}\n", hex::encode(salt));
        let payload = Payload { msg: secret, aad: front.as_bytes() };
        let sealed = self.cipher(COST, &salt)?.encrypt(&NONCE.into(), payload).ok()?;
        Some(format!("{front}{}\n", hex::encode(sealed)))
    }

    /// Opens what [`Passphrase::seal`] made under the same heading.
    pub(crate) fn open(&self, heading: &str, text: &str) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        let Parts { front, cost, salt, sealed } = Parts::read(heading, text).ok_or(Unopened::Malformed)?;
        let payload = Payload { msg: &sealed, aad: front.as_bytes() };
        let cipher = self.cipher(cost, &salt).ok_or(Unopened::Malformed)?;
        cipher.decrypt(&NONCE.into(), payload).map(Zeroizing::new).map_err(|_| Unopened::Wrong)
    }

    fn cipher(&self, (memory, passes): (u32, u32), salt: &[u8]) -> Option<ChaCha20Poly1305> {
        let params = Params::new(memory, passes, 1, Some(32)).ok()?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(self.0.as_bytes(), salt, &mut *key)
            .ok()?;
        Some(ChaCha20Poly1305::new((&*key).into()))
    }
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase")
    }
}

/// Why a sealed text does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unopened {
    /// It is none.
    Malformed,
    /// The passphrase is another one, or the text was changed; nobody can tell which.
    Wrong,
}

/// A sealed text, taken apart.
struct Parts<'a> {
    front: &'a str,
    cost: (u32, u32),
    salt: Vec<u8>,
    sealed: Vec<u8>,
}

impl<'a> Parts<'a> {
    fn read(heading: &str, text: &'a str) -> Option<Self> {
        let mut lines = text.strip_prefix(heading)?.strip_prefix('\n')?.split_terminator('\n');
        let (cost, salt, sealed) = (lines.next()?, lines.next()?, lines.next()?);
        let (memory, passes) = cost.strip_prefix("argon2id ")?.split_once(' ')?;
        let cost = (memory.parse().ok()?, passes.parse().ok()?);
        if lines.next().is_some() || cost.0 > COST_MAX.0 || cost.1 > COST_MAX.1 {
            return None;
        }
        let front = text.get(..text.len().checked_sub(sealed.len() + 1)?)?;
        Some(Self { front, cost, salt: hex::decode(salt).ok()?, sealed: hex::decode(sealed).ok()? })
    }
}

/// Why there is no passphrase though one was promised. The caller's to mend.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// The source cannot be read.
    #[error("cannot read the passphrase from {path}")]
    Unreadable {
        /// The source.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What the source has is no passphrase.
    #[error("{} has no passphrase: one line of UTF-8, 1 to 1024 bytes", source_name.display())]
    Unusable {
        /// The source.
        source_name: OsString,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADING: &str = "a secret";

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::of(text.as_bytes()).unwrap()
    }

    #[test]
    fn what_was_sealed_opens_under_its_passphrase_and_heading_only() {
        let sealed = passphrase("one").seal(HEADING, b"secret").unwrap();
        assert!(!sealed.contains(&hex::encode(b"secret")));
        assert_eq!(*passphrase("one").open(HEADING, &sealed).unwrap(), b"secret");
        assert_eq!(passphrase("two").open(HEADING, &sealed), Err(Unopened::Wrong));
        assert_eq!(passphrase("one").open("a key", &sealed), Err(Unopened::Malformed));
        assert_ne!(passphrase("one").seal(HEADING, b"secret").unwrap(), sealed, "another salt each time");
    }

    #[test]
    fn no_change_goes_unnoticed() {
        let sealed = passphrase("one").seal(HEADING, b"secret").unwrap();
        let start = HEADING.len() + 1 + sealed[HEADING.len() + 1..].find('\n').unwrap() + 1;
        for index in (start..sealed.len() - 1).step_by(7) {
            let mut changed = sealed.clone().into_bytes();
            changed[index] = if changed[index] == b'0' { b'1' } else { b'0' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(passphrase("one").open(HEADING, &changed).is_err(), "{index}");
        }
        let cheaper = sealed.replace("argon2id 65536 3", "argon2id 32 1");
        assert_eq!(passphrase("one").open(HEADING, &cheaper), Err(Unopened::Wrong));
        for cost in ["argon2id 1048577 3", "argon2id 65536 65", "argon2id 0 0", "scrypt 65536 3", ""] {
            let other = sealed.replace("argon2id 65536 3", cost);
            assert_eq!(passphrase("one").open(HEADING, &other), Err(Unopened::Malformed), "{cost}");
        }
        for length in 0..sealed.len() - 1 {
            let cut = passphrase("one").open(HEADING, &sealed[..length]);
            assert!(cut.is_err(), "{length} bytes");
            // Those that end in the last line take a tenth of a second each.
            if length > start + 2 * SALT_BYTES {
                break;
            }
        }
    }

    #[test]
    fn one_line_ending_is_not_part_of_a_passphrase() {
        for text in ["pass phrase", "pass phrase\n", "pass phrase\r\n"] {
            assert_eq!(*passphrase(text).0, "pass phrase");
        }
        assert_eq!(*passphrase("pass\n\n").0, "pass\n");
        let long = "a".repeat(PASSPHRASE_BYTES_MAX + 1);
        for unusable in [&b""[..], b"\n", b"\xff", long.as_bytes()] {
            assert!(Passphrase::of(unusable).is_none());
        }
    }
}
