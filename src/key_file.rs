//! Secret keys in files that only their owner can read, encrypted where there is a passphrase.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use cadastre_protocol::{Digest, SecretKey};
use zeroize::Zeroizing;

use crate::passphrase::{Passphrase, Unopened};

/// First line of a key file; the seed follows as 64 hexadecimal digits.
const HEADING: &str = "cadastre secret key 1";

/// First line of an encrypted key file.
const ENCRYPTED_HEADING: &str = "cadastre encrypted key 1";

/// Longest file that is read as a key file.
const FILE_BYTES_MAX: u64 = 1024;

/// Makes a new key from the system's entropy and writes it to a file that does not exist yet, mode 0600,
/// encrypted if there is a passphrase. Durable when this returns; after a crash the file is there as a whole or
/// not at all.
///
/// # Errors
///
/// [`KeyFileError`]; a file that exists is left as it is.
pub fn create(path: &Path, passphrase: Option<&Passphrase>) -> Result<SecretKey, KeyFileError> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed).map_err(|_| KeyFileError::NoEntropy)?;
    write(path, &seed, passphrase, |beside| fs::hard_link(beside, path))?;
    Ok(SecretKey::from_seed(&seed))
}

/// Writes a key file anew: encrypted under `next`, or plain without one.
///
/// # Errors
///
/// As [`read`]; after an error the file is the old one.
pub fn rewrite(
    path: &Path,
    passphrase: Option<&Passphrase>,
    next: Option<&Passphrase>,
) -> Result<SecretKey, KeyFileError> {
    let seed = read_seed(path, passphrase)?;
    write(path, &seed, next, |beside| fs::rename(beside, path))?;
    Ok(SecretKey::from_seed(&seed))
}

/// Writes a seed to a file beside `path`, and lets `place` put that in its place.
fn write(
    path: &Path,
    seed: &[u8; 32],
    passphrase: Option<&Passphrase>,
    place: impl FnOnce(&Path) -> io::Result<()>,
) -> Result<(), KeyFileError> {
    let at = |source: io::Error| {
        let path = path.to_owned();
        let exists = source.kind() == ErrorKind::AlreadyExists;
        if exists { KeyFileError::Exists { path } } else { KeyFileError::Io { path, source } }
    };
    let text = Zeroizing::new(match passphrase {
        None => format!("{HEADING}\n{}\n", Digest::new(*seed)),
        Some(passphrase) => passphrase.seal(ENCRYPTED_HEADING, seed).ok_or(KeyFileError::NoEntropy)?,
    });
    let mut suffix = [0; 8];
    getrandom::fill(&mut suffix).map_err(|_| KeyFileError::NoEntropy)?;
    let beside = path.with_added_extension(format!("new-{:016x}", u64::from_le_bytes(suffix)));
    let written = write_new(&beside, &text).and_then(|()| place(&beside));
    // What a failure leaves behind is a key that nobody uses.
    let _ = fs::remove_file(&beside);
    written.and_then(|()| sync_parent(path)).map_err(at)
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Reads a key file; `passphrase` opens an encrypted one.
///
/// # Errors
///
/// [`KeyFileError::Exposed`] when others than the owner may read it; else what is wrong with the file.
pub fn read(path: &Path, passphrase: Option<&Passphrase>) -> Result<SecretKey, KeyFileError> {
    read_seed(path, passphrase).map(|seed| SecretKey::from_seed(&seed))
}

fn read_seed(path: &Path, passphrase: Option<&Passphrase>) -> Result<Zeroizing<[u8; 32]>, KeyFileError> {
    let text = read_text(path)?;
    let malformed = || KeyFileError::Malformed { path: path.to_owned() };
    if !is_encrypted(&text) {
        let seed = text.strip_prefix(HEADING).and_then(|rest| Digest::from_hex(rest.trim()));
        return seed.map(|seed| Zeroizing::new(*seed.as_bytes())).ok_or_else(malformed);
    }
    let passphrase = passphrase.ok_or_else(|| KeyFileError::Locked { path: path.to_owned() })?;
    let opened = passphrase.open(ENCRYPTED_HEADING, &text).map_err(|why| match why {
        Unopened::Malformed => malformed(),
        Unopened::Wrong => KeyFileError::WrongPassphrase { path: path.to_owned() },
    })?;
    opened.as_slice().try_into().map(Zeroizing::new).map_err(|_| malformed())
}

fn read_text(path: &Path) -> Result<Zeroizing<String>, KeyFileError> {
    let at = |source: io::Error| {
        let path = path.to_owned();
        let missing = source.kind() == ErrorKind::NotFound;
        if missing { KeyFileError::Missing { path } } else { KeyFileError::Io { path, source } }
    };
    let file = File::open(path).map_err(at)?;
    let mode = file.metadata().map_err(at)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Exposed { path: path.to_owned(), mode });
    }
    let mut text = Zeroizing::new(String::new());
    let malformed = |_| KeyFileError::Malformed { path: path.to_owned() };
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(malformed)?;
    Ok(text)
}

fn is_encrypted(text: &str) -> bool {
    text.starts_with(ENCRYPTED_HEADING)
}

/// What a file with a secret key is, as far as its first line tells; `None` for any other file.
pub(crate) fn kind_of(text: &str) -> Option<Kind> {
    if is_encrypted(text) { Some(Kind::Encrypted) } else { text.starts_with(HEADING).then_some(Kind::Plain) }
}

/// How a secret key lies in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// For whoever reads the file.
    Plain,
    /// For whoever has the passphrase too.
    Encrypted,
}

/// Makes the entry of a new file in its folder durable.
///
/// # Errors
///
/// The folder cannot be synced.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

/// Makes a folder that only its owner can enter, with its parents.
///
/// # Errors
///
/// It cannot be made, or is not a folder.
pub fn create_private_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(file) = path.ancestors().find(|above| above.is_file()) {
        let why = format!("{} is a file, not a folder", file.display());
        return Err(io::Error::new(ErrorKind::NotADirectory, why));
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    // With its mode from the first moment, so that a crash leaves no folder that others can enter.
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    sync_parent(path)
}

/// Why a key file cannot be used. Its owner's to mend.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be opened, read or written.
    #[error("cannot use the key file {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no such file.
    #[error("there is no key file {path}; `cadastre key new {path}` makes one")]
    Missing {
        /// The file that should be there.
        path: PathBuf,
    },
    /// There is such a file already.
    #[error("{path} exists already and is left as it is; give the new key another name")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Others may read it.
    #[error(
        "others can read the key file {path} (mode {mode:03o}); make a new key, or `chmod 600 {path}` if nobody did"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Not a key file.
    #[error("{path} is not a key file as `cadastre key new` makes them")]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// Encrypted, and there is no passphrase.
    #[error(
        "{path} is encrypted and no passphrase is given: set CADASTRE_PASSPHRASE, use --passphrase-fd N, or the \
         systemd credential cadastre-passphrase"
    )]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// Encrypted under another passphrase, or changed.
    #[error("the passphrase does not open {path}: it is another one, or somebody has changed the file")]
    WrongPassphrase {
        /// The file.
        path: PathBuf,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    NoEntropy,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let key = create(&path, None).unwrap();
        assert_eq!(read(&path, None).unwrap().public(), key.public());
        assert!(
            matches!(create(&path, None), Err(KeyFileError::Exists { .. })),
            "an existing key is not overwritten"
        );
        assert_eq!(read(&path, None).unwrap().public(), key.public());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left behind");
    }

    #[test]
    fn exposed_and_malformed_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        create(&path, None).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(read(&path, None), Err(KeyFileError::Exposed { mode: 0o644, .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "ssh-ed25519 AAAA").unwrap();
        assert!(matches!(read(&path, None), Err(KeyFileError::Malformed { .. })));
        assert!(matches!(read(&folder.path().join("none"), None), Err(KeyFileError::Missing { .. })));
    }
}
