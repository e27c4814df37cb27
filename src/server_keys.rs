//! The keys of the service: the root that clients pin, and what it certifies.
//!
//! # Requires
//!
//! - A folder that only the service can read, and that backups of the store leave out.
//!
//! # Provides
//!
//! - Keys that are made once, with certificates for the roles *handshake*, *block* and *log*; the root key
//!   makes them where it is in the folder, and may as well lie elsewhere.
//! - A block signer that is replaced by another one with a greater serial, at any crash between the two as a
//!   whole or not at all.
//! - [`Generations`]: a store put back from a backup is told from the one that was left.

mod files;
mod generations;
mod replacing;
mod root;

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use cadastre_protocol::{
    CertificateError, ChainSecret, KeyRole, Millis, PublicKey, Revocations, SecretKey, ServerIdentity,
    ServerIdentityError, SignedCertificate, VerifiedCertificate,
};

use crate::{
    durable,
    key_file::{self, KeyFileError},
    passphrase::Passphrase,
    store::{ReadError, StoreError},
};

pub(crate) use files::{
    certificates_text, parse_certificates, parse_request, parse_revocations, parse_root, read, request_text,
    role_word,
};
pub(crate) use generations::Generations;
pub(crate) use replacing::{Replaced, install, request, rotate};
pub(crate) use root::Root;

/// How long the certificates are valid that a service makes for itself: ten years.
const DAYS: u32 = 10 * 365;

/// A service that has its root key renews certificates at its start from this time before they expire.
const RENEWAL_MS: u64 = 365 * 24 * 60 * 60 * 1000;

/// No start, and no turn, that close to the end of a certificate.
pub(crate) const LAST_MS: u64 = 60 * 1000;

/// The roles that a service plays.
const SERVED: [KeyRole; 3] = [KeyRole::Handshake, KeyRole::Block, KeyRole::Log];

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
    /// When the first of the certificates expires.
    pub(crate) expires: Millis,
    /// The server's part of the randomness of all matches.
    pub(crate) chain_secret: ChainSecret,
    /// Signs the checkpoints of the transparency log.
    pub(crate) log: SecretKey,
    /// Certificate of `log`.
    pub(crate) log_certificate: SignedCertificate,
}

impl ServerKeys {
    /// Loads the keys from a folder, or makes them if no start with this folder ever came so far as to use
    /// them.
    ///
    /// # Errors
    ///
    /// What is wrong with a file. No key is overwritten, and one that was in use is not replaced.
    pub(crate) fn load_or_create(
        folder: &Path,
        passphrase: Option<&Passphrase>,
        now: Millis,
    ) -> Result<Self, ServerKeysError> {
        let folder = KeyFolder::open_or_create(folder, passphrase)?;
        let handshake = folder.load(KeyRole::Handshake, now)?;
        let block = folder.load(KeyRole::Block, now)?;
        let chain_secret =
            ChainSecret::new(&folder.secret_at(folder.path.join(CHAIN_KEY), folder.is_in_use)?.seed());
        let log = folder.load(KeyRole::Log, now)?;
        let expires =
            handshake.verified.valid_to().min(block.verified.valid_to()).min(log.verified.valid_to());
        let identity = ServerIdentity::new(folder.root, handshake.signed, handshake.key, now);
        Ok(Self {
            root: folder.root,
            handshake: identity.map_err(ServerKeysError::Identity)?,
            block: block.key,
            block_certificate: block.signed,
            block_serial: block.verified.serial(),
            log: log.key,
            log_certificate: log.signed,
            expires,
            chain_secret,
        })
    }
}

/// The folder, with the root key that all in it hangs from.
struct KeyFolder<'a> {
    path: &'a Path,
    passphrase: Option<&'a Passphrase>,
    root: PublicKey,
    /// Not there when it is kept elsewhere.
    secret: Option<Root>,
    /// Did a start come so far as to use it?
    is_in_use: bool,
}

/// A key with its certificate.
struct Certified {
    key: SecretKey,
    signed: SignedCertificate,
    verified: VerifiedCertificate,
}

impl<'a> KeyFolder<'a> {
    /// Opens the folder; makes a root key if there is none and the folder was never in use.
    fn open_or_create(path: &'a Path, passphrase: Option<&'a Passphrase>) -> Result<Self, ServerKeysError> {
        make_folder(path)?;
        let (secret, public) = (path.join(ROOT_KEY), path.join(ROOT_PUBLIC));
        let is_in_use = path.join(generations::FILE).exists();
        if !secret.exists() && !public.exists() {
            if is_in_use {
                return Err(ServerKeysError::Missing { path: public });
            }
            key_file::create(&secret, passphrase)?;
        }
        Self::open(path, passphrase)
    }

    /// Opens a folder that has a root key, or at least its public half.
    fn open(path: &'a Path, passphrase: Option<&'a Passphrase>) -> Result<Self, ServerKeysError> {
        let (secret, public) = (path.join(ROOT_KEY), path.join(ROOT_PUBLIC));
        let is_in_use = path.join(generations::FILE).exists();
        let pinned = if public.exists() { Some(read(&public, parse_root)?) } else { None };
        let root = if secret.exists() { Some(Root::read(&secret, passphrase)?) } else { None };
        let (secret, root) = match (root, pinned) {
            (Some(root), Some(pinned)) if root.public() != pinned => {
                return Err(ServerKeysError::OtherRoot { path: secret });
            }
            (Some(root), Some(pinned)) => (Some(root), pinned),
            (Some(root), None) => {
                write_durably(&public, &files::root_text(root.public()))?;
                let public = root.public();
                (Some(root), public)
            }
            (None, Some(pinned)) => (None, pinned),
            (None, None) => return Err(ServerKeysError::NoKeys { path: path.to_owned() }),
        };
        Ok(Self { path, passphrase, root, secret, is_in_use })
    }

    /// Loads the key of a role with its certificate. Where the root key is in the folder, it makes a certificate
    /// that is missing or soon to expire.
    fn load(&self, role: KeyRole, now: Millis) -> Result<Certified, ServerKeysError> {
        let path = self.certificate_path(role);
        let certificate = self.certificate(role)?;
        if let Some((_, verified)) = &certificate {
            self.finish_replacing(role, verified)?;
        }
        let key = self.key(role)?;
        let is_lasting = |verified: &VerifiedCertificate| now.after(RENEWAL_MS) < verified.valid_to();
        let (signed, verified) = match (certificate, &self.secret) {
            (Some(certificate), Some(_)) if is_lasting(&certificate.1) => certificate,
            (Some(certificate), None) => certificate,
            (_, Some(root)) => {
                let certificates = root.certify(&[(role, key.public())], DAYS, 0, now)?;
                write_durably(&path, &certificates_text(&certificates))?;
                self.certificate(role)?.ok_or_else(|| ServerKeysError::NotCertified { path: path.clone() })?
            }
            (None, None) => return Err(ServerKeysError::NotCertified { path }),
        };
        if verified.key().public() != key.public() {
            return Err(ServerKeysError::OtherKey { path });
        }
        if now.after(LAST_MS) >= verified.valid_to() {
            return Err(ServerKeysError::Expired { path, expires: Moment(verified.valid_to()) });
        }
        let list = self.path.join(REVOCATIONS);
        if list.exists() && read_revocations(&list, self.root)?.is_revoked(verified.serial(), now) {
            return Err(ServerKeysError::Revoked { path, serial: verified.serial() });
        }
        match verified.check(role, now) {
            Ok(()) => Ok(Certified { key, signed, verified }),
            Err(source) => Err(ServerKeysError::Certificate { path, source }),
        }
    }

    /// The key of a role; made if it is missing and was never in use.
    fn key(&self, role: KeyRole) -> Result<SecretKey, ServerKeysError> {
        self.secret_at(self.key_path(role), self.was_used(role))
    }

    /// The secret of a file; made if it is missing and was never used.
    fn secret_at(&self, path: PathBuf, was_used: bool) -> Result<SecretKey, ServerKeysError> {
        if path.exists() {
            Ok(key_file::read(&path, self.passphrase)?)
        } else if was_used {
            Err(ServerKeysError::Missing { path })
        } else {
            Ok(key_file::create(&path, self.passphrase)?)
        }
    }

    /// Has a key of that role been used? That of the log is from the first tree that it signs: a log that is
    /// begun anew gets another key.
    fn was_used(&self, role: KeyRole) -> bool {
        match role {
            KeyRole::Handshake | KeyRole::Block => self.is_in_use,
            KeyRole::Log => self.path.join(LOG_SIGNED).exists(),
        }
    }

    /// The certificate of a role, if there is one.
    fn certificate(
        &self,
        role: KeyRole,
    ) -> Result<Option<(SignedCertificate, VerifiedCertificate)>, ServerKeysError> {
        let path = self.certificate_path(role);
        if !path.exists() {
            return Ok(None);
        }
        let [signed] = <[_; 1]>::try_from(read(&path, parse_certificates)?)
            .map_err(|_| ServerKeysError::Malformed { path: path.clone() })?;
        let verified = self.verify(&signed, &path)?;
        if verified.role() == role {
            Ok(Some((signed, verified)))
        } else {
            let source = CertificateError::WrongRole { expected: role, got: verified.role() };
            Err(ServerKeysError::Certificate { path, source })
        }
    }

    /// Checks a certificate that `path` has.
    fn verify(
        &self,
        signed: &SignedCertificate,
        path: &Path,
    ) -> Result<VerifiedCertificate, ServerKeysError> {
        let at = |source| ServerKeysError::Certificate { path: path.to_owned(), source };
        let root = self.root.enroll().map_err(|error| at(CertificateError::Key(error)))?;
        signed.verify(&root).map_err(at)
    }

    /// Puts the next key in the place of the one before, once the certificate is for it: the certificate is
    /// what decides, and a crash may have come in between.
    fn finish_replacing(
        &self,
        role: KeyRole,
        certificate: &VerifiedCertificate,
    ) -> Result<(), ServerKeysError> {
        let next = self.next_key_path(role);
        if !next.exists() || key_file::read(&next, self.passphrase)?.public() != certificate.key().public() {
            return Ok(());
        }
        let path = self.key_path(role);
        fs::rename(&next, &path)
            .and_then(|()| key_file::sync_parent(&path))
            .map_err(|source| ServerKeysError::Io { path, source })
    }

    fn key_path(&self, role: KeyRole) -> PathBuf {
        self.path.join(format!("{}.key", role_word(role)))
    }

    fn next_key_path(&self, role: KeyRole) -> PathBuf {
        self.path.join(format!("next-{}.key", role_word(role)))
    }

    fn certificate_path(&self, role: KeyRole) -> PathBuf {
        self.path.join(format!("{}.cert", role_word(role)))
    }
}

/// Reads a list of revoked certificates that `root` must have signed.
///
/// # Errors
///
/// The file cannot be read, is none, or another key signed it.
pub(crate) fn read_revocations(path: &Path, root: PublicKey) -> Result<Revocations, ServerKeysError> {
    let at = |source| ServerKeysError::Revocations { path: path.to_owned(), source };
    let root = root.enroll().map_err(|error| at(CertificateError::Key(error)))?;
    read(path, parse_revocations)?.verify(&root).map_err(at)
}

/// A moment that a person reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(pub Millis);

impl fmt::Display for Moment {
    /// Date and time in UTC, to the second.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.get() / 1000;
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        // Days since 0000-03-01, so that the leap day is the last of its year.
        let days = days + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = 400 * era + year_of_era + u64::from(month <= 2);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
    }
}

fn make_folder(path: &Path) -> Result<(), ServerKeysError> {
    key_file::create_private_folder(path)
        .map_err(|source| ServerKeysError::Io { path: path.to_owned(), source })
}

/// Replaces a file as a whole: after a crash it is the old one or the new one.
pub(crate) fn write_durably(path: &Path, text: &str) -> Result<(), ServerKeysError> {
    durable::replace(path, text.as_bytes())
        .map_err(|source| ServerKeysError::Io { path: path.to_owned(), source })
}

const ROOT_KEY: &str = "root.key";

/// The secret of the server's hash chains, in a file like those of keys.
const CHAIN_KEY: &str = "chain.key";
/// The checkpoint that the log's key signed last.
pub(crate) const LOG_SIGNED: &str = "log-signed";

const ROOT_PUBLIC: &str = "root.pub";

/// The list of revoked certificates that the service shows to everybody.
pub(crate) const REVOCATIONS: &str = "revocations";

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
    #[error(
        "{path} is missing, and was in use; put it back from a copy, or go on without it: with new keys by `cadastre \
         key rotate`, without a log's key by beginning another log"
    )]
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
    /// There is nothing here to work with.
    #[error(
        "there are no keys in {path}; `cadastre serve` makes them, or `cadastre key request` for a root key elsewhere"
    )]
    NoKeys {
        /// The key folder.
        path: PathBuf,
    },
    /// The root key in the folder is not the one that clients pin.
    #[error("{path} is another root key than the one in root.pub, which clients pin")]
    OtherRoot {
        /// The file.
        path: PathBuf,
    },
    /// There is no certificate, and no root key to make one.
    #[error(
        "there is no certificate {path}, and no root key here to make one: `cadastre key request`, then `cadastre key \
         certify` where the root key is, then `cadastre key install`"
    )]
    NotCertified {
        /// The file that should be there.
        path: PathBuf,
    },
    /// A certificate does not certify what it should.
    #[error("{path} is of no use")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        source: CertificateError,
    },
    /// A certificate is for another key than the one in the folder.
    #[error("{path} is for a key that is not in the key folder")]
    OtherKey {
        /// The file.
        path: PathBuf,
    },
    /// A certificate cannot be used much longer, and there is no root key to make another.
    #[error(
        "the certificate {path} expires at {expires}, and no root key is here to renew it: `cadastre key request`, then \
         `cadastre key certify` where the root key is, then `cadastre key install`"
    )]
    Expired {
        /// The file.
        path: PathBuf,
        /// When.
        expires: Moment,
    },
    /// A certificate is no newer than what was signed already.
    #[error("{path} has a certificate with serial {serial}, and serial {newest} is in use already")]
    OldSerial {
        /// The file.
        path: PathBuf,
        /// Its serial.
        serial: u32,
        /// The newest in use.
        newest: u32,
    },
    /// A certificate was taken back.
    #[error(
        "the certificate {path}, serial {serial}, is revoked; `cadastre key rotate` replaces keys for handshakes and \
         blocks, and another log has another key"
    )]
    Revoked {
        /// The file.
        path: PathBuf,
        /// Its serial.
        serial: u32,
    },
    /// A list of revoked certificates says nothing.
    #[error("the list of revoked certificates {path} is of no use")]
    Revocations {
        /// The file.
        path: PathBuf,
        /// Why.
        source: CertificateError,
    },
    /// A list of revoked certificates is full.
    #[error("a list revokes at most 1024 certificates")]
    TooManyRevocations,
    /// The serials are used up.
    #[error("there is no serial left for another certificate")]
    NoSerialLeft,
    /// The matches in the store are those of another service.
    #[error("the store is that of another service: its root key is {got}, that of the key folder {expected}")]
    OtherService {
        /// Root key of the folder.
        expected: PublicKey,
        /// Root key of a match in the store.
        got: PublicKey,
    },
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store cannot be read or written.
    #[error("the store cannot be used")]
    Read(#[from] ReadError),
    /// The keys do not fit together.
    #[error("the keys of the service do not fit together")]
    Identity(#[source] ServerIdentityError),
    /// Store and key folder are of different starts.
    #[error(
        "the store was left in generation {stored}, the key folder in {expected}: the store was put back from a \
         backup, or belongs to other keys, and going on could sign a second block at a height that players have \
         seen; put back the newest store, or if it is lost, run `cadastre key rotate` to go on from this one under \
         a new signer"
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

    const DAY_MS: u64 = 24 * 60 * 60 * 1000;

    fn load(folder: &Path, now: u64) -> Result<ServerKeys, ServerKeysError> {
        ServerKeys::load_or_create(folder, None, Millis::new(now))
    }

    #[test]
    fn keys_and_certificates_stay_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let first = load(folder.path(), 1000).unwrap();
        let again = load(folder.path(), 9000).unwrap();
        assert_eq!(first.root, again.root);
        assert_eq!(first.block_certificate, again.block_certificate);
        assert_eq!(first.expires, Millis::new(1000 + u64::from(DAYS) * DAY_MS));
    }

    #[test]
    fn a_key_that_was_in_use_is_not_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let load = || load(folder.path(), 1000);
        let first = load().unwrap();
        fs::remove_file(folder.path().join("root.key")).unwrap();
        assert_eq!(load().unwrap().root, first.root, "the root key may lie elsewhere");
        Generations::read(folder.path()).unwrap().begin(None).unwrap();
        let log = folder.path().join("log.key");
        fs::remove_file(&log).unwrap();
        fs::remove_file(folder.path().join("log.cert")).unwrap();
        assert!(
            matches!(load(), Err(ServerKeysError::NotCertified { .. })),
            "a log that has signed nothing gets another key, and asks for its certificate"
        );
        assert!(log.exists());
        fs::write(folder.path().join(LOG_SIGNED), "").unwrap();
        for name in ["root.pub", "handshake.key", "block.key", "log.key", CHAIN_KEY] {
            let (path, aside) = (folder.path().join(name), folder.path().join("aside"));
            fs::rename(&path, &aside).unwrap();
            assert!(matches!(load(), Err(ServerKeysError::Missing { path: missing }) if missing == path));
            fs::rename(&aside, &path).unwrap();
        }
        let path = folder.path().join("block.cert");
        fs::remove_file(&path).unwrap();
        assert!(matches!(load(), Err(ServerKeysError::NotCertified { path: missing }) if missing == path));
    }

    #[test]
    fn certificates_are_renewed_in_time_or_the_service_does_not_start() {
        let folder = tempfile::tempdir().unwrap();
        let first = load(folder.path(), 0).unwrap();
        let lasts = first.expires.get() - RENEWAL_MS - 1;
        assert_eq!(load(folder.path(), lasts).unwrap().block_certificate, first.block_certificate);
        let renewed = load(folder.path(), lasts + 1).unwrap();
        assert!(renewed.block_serial > first.block_serial);
        assert_eq!(renewed.block.public(), first.block.public());

        fs::remove_file(folder.path().join("root.key")).unwrap();
        let end = renewed.expires.get() - LAST_MS;
        assert_eq!(load(folder.path(), end - 1).unwrap().block_serial, renewed.block_serial);
        assert!(matches!(load(folder.path(), end), Err(ServerKeysError::Expired { .. })));
        let early = load(folder.path(), 0);
        assert!(matches!(early, Err(ServerKeysError::Certificate { .. })), "before it is valid");
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        load(folder.path(), 1000).unwrap();
        load(other.path(), 1000).unwrap();
        let with_anothers = |name: &str, from: &str| {
            let (path, aside) = (folder.path().join(name), folder.path().join("aside"));
            fs::rename(&path, &aside).unwrap();
            fs::copy(other.path().join(from), &path).unwrap();
            let error = load(folder.path(), 1000).unwrap_err();
            fs::rename(&aside, &path).unwrap();
            error
        };
        assert!(matches!(with_anothers("root.key", "root.key"), ServerKeysError::OtherRoot { .. }));
        assert!(matches!(with_anothers("root.pub", "root.pub"), ServerKeysError::OtherRoot { .. }));
        assert!(matches!(with_anothers("block.key", "block.key"), ServerKeysError::OtherKey { .. }));
        assert!(matches!(
            with_anothers("block.cert", "block.cert"),
            ServerKeysError::Certificate { source: CertificateError::BadSignature, .. }
        ));
        fs::copy(folder.path().join("handshake.cert"), other.path().join("block.cert")).unwrap();
        assert!(matches!(
            with_anothers("block.cert", "block.cert"),
            ServerKeysError::Certificate { source: CertificateError::WrongRole { .. }, .. }
        ));
        load(folder.path(), 1000).unwrap();
    }

    #[test]
    fn a_moment_reads_as_a_date() {
        let moments = [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399_999, "2000-02-28 23:59:59 UTC"),
            (951_782_400_000, "2000-02-29 00:00:00 UTC"),
            (1_795_274_592_000, "2026-11-21 15:23:12 UTC"),
            (4_107_542_399_000, "2100-02-28 23:59:59 UTC"),
            (4_107_542_400_000, "2100-03-01 00:00:00 UTC"),
        ];
        for (millis, text) in moments {
            assert_eq!(Moment(Millis::new(millis)).to_string(), text);
        }
    }
}
