//! The keys of the service: the root that clients pin, and what it certifies.
//!
//! # Requires
//!
//! - A folder that only the service can read, and that backups of the store leave out.
//!
//! # Provides
//!
//! - Keys that are made once; certificates for the roles *handshake* and *block*.
//! - [`Generations`]: a store put back from a backup is told from the one that was left.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use cadastre_protocol::{
    Certificate, KeyRole, Millis, PublicKey, SecretKey, ServerIdentity, ServerIdentityError,
    SignedCertificate,
};

use crate::key_file::{self, KeyFileError};

/// How long a certificate of a first start is valid: ten years, in milliseconds.
const CERTIFICATE_MS: u64 = 10 * 365 * 24 * 60 * 60 * 1000;

/// File with the time from which the certificates are valid.
const SINCE: &str = "certified-since";

/// File with the number of the newest start.
const GENERATION: &str = "generation";

/// Serial of the handshake certificate of a first start.
const HANDSHAKE_SERIAL: u32 = 1;

/// Serial of the block certificate of a first start.
const BLOCK_SERIAL: u32 = 2;

/// The service's keys, loaded.
#[derive(Debug)]
pub(crate) struct ServerKeys {
    /// What clients pin.
    pub(crate) root: PublicKey,
    /// Answers handshakes.
    pub(crate) handshake: ServerIdentity,
    /// Signs blocks and receipts; only the store's writer gets it.
    pub(crate) block: SecretKey,
    /// Certificate of `block`.
    pub(crate) block_certificate: SignedCertificate,
    /// Its serial.
    pub(crate) block_serial: u32,
}

impl ServerKeys {
    /// Loads the keys from a folder, or makes them if no start with this folder ever came so far as to use
    /// them.
    ///
    /// The certificates are issued anew at each start from the same numbers, so a first start's certificates
    /// are the same bytes for ever: its time is kept in the folder.
    ///
    /// # Errors
    ///
    /// What is wrong with a file. Nothing is overwritten, and a key that was in use is not replaced.
    pub(crate) fn load_or_create(folder: &Path, now: Millis) -> Result<Self, ServerKeysError> {
        key_file::create_private_folder(folder)
            .map_err(|source| ServerKeysError::Io { path: folder.to_owned(), source })?;
        let [root, handshake, block, since] =
            ["root.key", "handshake.key", "block.key", SINCE].map(|name| folder.join(name));
        // A start writes its generation when all of these are there.
        if folder.join(GENERATION).exists()
            && let Some(missing) = [&root, &handshake, &block, &since].into_iter().find(|path| !path.exists())
        {
            return Err(ServerKeysError::Missing { path: missing.clone() });
        }
        let root = load_or_create_key(&root)?;
        let handshake = load_or_create_key(&handshake)?;
        let block = load_or_create_key(&block)?;
        let since = load_or_create_since(&since, now)?;
        let issue = |role, key: &SecretKey, serial| {
            SignedCertificate::issue(
                &root,
                &Certificate {
                    version: Certificate::VERSION,
                    role,
                    key: key.public(),
                    serial,
                    valid_from: since,
                    valid_to: since.after(CERTIFICATE_MS),
                },
            )
        };
        let handshake_certificate = issue(KeyRole::Handshake, &handshake, HANDSHAKE_SERIAL);
        Ok(Self {
            root: root.public(),
            block_certificate: issue(KeyRole::Block, &block, BLOCK_SERIAL),
            block_serial: BLOCK_SERIAL,
            handshake: ServerIdentity::new(root.public(), handshake_certificate, handshake, now)
                .map_err(ServerKeysError::Identity)?,
            block,
        })
    }
}

fn load_or_create_key(path: &Path) -> Result<SecretKey, KeyFileError> {
    if path.exists() { key_file::read(path) } else { key_file::create(path) }
}

fn load_or_create_since(path: &Path, now: Millis) -> Result<Millis, ServerKeysError> {
    let at = |source| ServerKeysError::Io { path: path.to_owned(), source };
    if !path.exists() {
        write_durably(path, &now.get().to_string()).map_err(at)?;
        return Ok(now);
    }
    let text = fs::read_to_string(path).map_err(at)?;
    let malformed = |_| ServerKeysError::Malformed { path: path.to_owned() };
    let millis = text.trim().parse().map_err(malformed)?;
    Ok(Millis::new(millis))
}

/// Tells a store that was put back from a backup from the one that the service left.
///
/// Every start counts one generation further, in the store and in the key folder. The key folder is written
/// before (*starting*) and after (*started*) the store, so that a crash in between is told apart too.
#[derive(Debug)]
pub(crate) struct Generations {
    path: PathBuf,
    state: Option<(u64, bool)>,
}

impl Generations {
    /// Reads what the key folder says.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is not one that this program writes.
    pub(crate) fn read(folder: &Path) -> Result<Self, ServerKeysError> {
        let path = folder.join(GENERATION);
        if !path.exists() {
            return Ok(Self { path, state: None });
        }
        let text =
            fs::read_to_string(&path).map_err(|source| ServerKeysError::Io { path: path.clone(), source })?;
        let state = match text.trim().split_once(' ') {
            Some((number, "starting")) => number.parse().ok().map(|number| (number, false)),
            Some((number, "started")) => number.parse().ok().map(|number| (number, true)),
            _ => None,
        };
        match state {
            Some(state) => Ok(Self { path, state: Some(state) }),
            None => Err(ServerKeysError::Malformed { path }),
        }
    }

    /// Begins the next generation over a store that says it was left in generation `stored`.
    ///
    /// # Errors
    ///
    /// [`ServerKeysError::RestoredStore`] when the store is not the one that was left.
    pub(crate) fn begin(&mut self, stored: Option<u64>) -> Result<u64, ServerKeysError> {
        let stored = stored.unwrap_or(0);
        let left_as_is = match self.state {
            None => stored == 0,
            Some((number, true)) => stored == number,
            Some((number, false)) => stored == number || stored + 1 == number,
        };
        if !left_as_is {
            let expected = self.state.map_or(0, |(number, _)| number);
            return Err(ServerKeysError::RestoredStore { expected, stored });
        }
        // A start that crashed before it told the store has signed nothing: its number is used again.
        let next = stored + 1;
        self.write(next, "starting")?;
        Ok(next)
    }

    /// The store has been told.
    ///
    /// # Errors
    ///
    /// The key folder cannot be written.
    pub(crate) fn begun(&mut self, generation: u64) -> Result<(), ServerKeysError> {
        self.write(generation, "started")
    }

    fn write(&self, generation: u64, word: &str) -> Result<(), ServerKeysError> {
        write_durably(&self.path, &format!("{generation} {word}"))
            .map_err(|source| ServerKeysError::Io { path: self.path.clone(), source })
    }
}

/// Replaces a file as a whole: after a crash it is the old one or the new one.
fn write_durably(path: &Path, text: &str) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = fs::File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    key_file::sync_parent(path)
}

/// Why the service's keys cannot be used. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum ServerKeysError {
    /// The folder or a file in it cannot be read or written.
    #[error("cannot use {path}")]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A key that was in use is gone.
    #[error("{path} is missing; put it back from a copy: the matches in the store were made with it")]
    Missing {
        /// The file that should be there.
        path: PathBuf,
    },
    /// A key file cannot be used.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// A file of numbers is not as this program writes it.
    #[error("{path} is damaged; put it back from a copy")]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// The keys do not fit together.
    #[error("the keys of the service do not fit together")]
    Identity(#[source] ServerIdentityError),
    /// Store and key folder are of different starts.
    #[error(
        "the store was left in generation {stored}, the key folder in {expected}: the store was put back from a \
         backup, or belongs to other keys, and going on could sign a second block at a height that players have \
         seen; put back the newest store, or start over on an empty data folder"
    )]
    RestoredStore {
        /// What the key folder says.
        expected: u64,
        /// What the store says.
        stored: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_certificates_stay_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let first = ServerKeys::load_or_create(folder.path(), Millis::new(1000)).unwrap();
        let again = ServerKeys::load_or_create(folder.path(), Millis::new(9000)).unwrap();
        assert_eq!(first.root, again.root);
        assert_eq!(first.block_certificate, again.block_certificate);
    }

    #[test]
    fn a_key_that_was_in_use_is_not_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let load = || ServerKeys::load_or_create(folder.path(), Millis::new(1000));
        let first = load().unwrap();
        fs::remove_file(folder.path().join("block.key")).unwrap();
        let second = load().unwrap();
        assert_eq!(
            first.root, second.root,
            "before the first generation a start is taken up where it crashed"
        );
        Generations::read(folder.path()).unwrap().begin(None).unwrap();
        assert_eq!(load().unwrap().block_certificate, second.block_certificate);
        for name in ["root.key", "handshake.key", "block.key", SINCE] {
            let (path, aside) = (folder.path().join(name), folder.path().join("aside"));
            fs::rename(&path, &aside).unwrap();
            assert!(matches!(load(), Err(ServerKeysError::Missing { path: missing }) if missing == path));
            fs::rename(&aside, &path).unwrap();
        }
    }

    #[test]
    fn a_crash_between_the_two_writes_is_no_restored_backup() {
        let folder = tempfile::tempdir().unwrap();
        let read = || Generations::read(folder.path()).unwrap();
        // Crashed before the store was told, again and again.
        for _ in 0..3 {
            assert_eq!(read().begin(None).unwrap(), 1);
        }
        // Crashed after the store was told.
        assert_eq!(read().begin(Some(1)).unwrap(), 2);
        for _ in 0..3 {
            assert_eq!(read().begin(Some(2)).unwrap(), 3);
        }
        let mut generations = read();
        assert_eq!(generations.begin(Some(3)).unwrap(), 4);
        generations.begun(4).unwrap();
        assert!(matches!(
            read().begin(Some(3)),
            Err(ServerKeysError::RestoredStore { expected: 4, stored: 3 })
        ));
        assert!(matches!(read().begin(None), Err(ServerKeysError::RestoredStore { .. })));
        assert_eq!(read().begin(Some(4)).unwrap(), 5);
        // Not even the store of the start before one that crashed before it told the store.
        assert!(matches!(read().begin(Some(3)), Err(ServerKeysError::RestoredStore { .. })));
    }
}
