//! New keys and certificates for a service that stands still.

use std::path::{Path, PathBuf};

use cadastre_protocol::{
    Genesis, KeyRole, Millis, PublicKey, SignedCertificate, VerifiedCertificate, decode_exact,
};

use super::{
    DAYS, Generations, KeyFolder, ROOT_PUBLIC, SERVED, ServerKeysError,
    files::{Request, certificates_text, root_text},
    make_folder, write_durably,
};
use crate::{
    key_file,
    passphrase::Passphrase,
    store::{Store, StoreLock},
};

/// The roles whose keys [`rotate`] replaces. A log is one key's.
const ROTATED: [KeyRole; 2] = [KeyRole::Handshake, KeyRole::Block];

/// What came of replacing keys or certificates.
#[derive(Debug)]
pub(crate) enum Replaced {
    /// They are in force at the next start.
    Installed {
        /// The certificates.
        certificates: Vec<VerifiedCertificate>,
        /// The generation of a store that was put back from a backup, and is gone on from now.
        adopted: Option<u64>,
    },
    /// The root key is elsewhere: these keys want certificates.
    Requested(Request),
}

/// Gives the service new keys for handshakes and blocks. The ones before are in force until the new ones are
/// certified, which is at once where the root key is in the folder. A store that was put back from a backup is
/// gone on from then.
///
/// # Errors
///
/// In the order in which things are looked at: data folder, keys, store. What was in force stays in force.
pub(crate) fn rotate(
    data: &Path,
    passphrase: Option<&Passphrase>,
    now: Millis,
) -> Result<Replaced, ServerKeysError> {
    let service = Idle::take(data)?;
    let folder = KeyFolder::open(&service.keys, passphrase)?;
    let next_key = |role| {
        let path = folder.next_key_path(role);
        // One that waits for its certificate already, or that a crash has left.
        let key = if path.exists() {
            key_file::read(&path, passphrase)?
        } else {
            key_file::create(&path, passphrase)?
        };
        Ok((role, key.public()))
    };
    let request = ROTATED.into_iter().map(next_key).collect::<Result<Request, ServerKeysError>>()?;
    let Some(root) = &folder.secret else { return Ok(Replaced::Requested(request)) };
    let certificates = root.certify(&request, DAYS, service.newest_serial(&folder)?, now)?;
    service.put_in_force(&folder, &certificates, &folder.certificate_path(KeyRole::Block))
}

/// Names the keys that want certificates: those in force, or without any new ones. `root` is the root key that
/// is kept elsewhere, of a service that is to begin.
///
/// # Errors
///
/// As [`rotate`]; [`ServerKeysError::OtherRoot`] when the service has another root key.
pub(crate) fn request(
    data: &Path,
    root: Option<PublicKey>,
    passphrase: Option<&Passphrase>,
) -> Result<Request, ServerKeysError> {
    let lock = StoreLock::take(data)?;
    let keys = data.join("keys");
    let public = keys.join(ROOT_PUBLIC);
    if let (Some(root), false) = (root, public.exists()) {
        make_folder(&keys)?;
        write_durably(&public, &root_text(root))?;
    }
    let folder = KeyFolder::open(&keys, passphrase)?;
    if root.is_some_and(|root| root != folder.root) {
        return Err(ServerKeysError::OtherRoot { path: public });
    }
    let request = SERVED.into_iter().map(|role| Ok((role, folder.key(role)?.public()))).collect();
    drop(lock);
    request
}

/// Puts certificates in force that were made where the root key is. A store that was put back from a backup is
/// gone on from, if one of them is for the block signer.
///
/// # Errors
///
/// As [`rotate`]; a certificate that is not for a key of the folder, or not newer than what is in use. Nothing
/// was changed.
pub(crate) fn install(
    data: &Path,
    path: &Path,
    certificates: &[SignedCertificate],
    passphrase: Option<&Passphrase>,
) -> Result<Replaced, ServerKeysError> {
    let service = Idle::take(data)?;
    let folder = KeyFolder::open(&service.keys, passphrase)?;
    service.put_in_force(&folder, certificates, path)
}

/// A service that does not run, and cannot be started meanwhile.
struct Idle {
    _lock: StoreLock,
    store: Store,
    keys: PathBuf,
}

impl Idle {
    fn take(data: &Path) -> Result<Self, ServerKeysError> {
        let keys = data.join("keys");
        if !keys.is_dir() {
            return Err(ServerKeysError::NoKeys { path: keys });
        }
        let lock = StoreLock::take(data)?;
        let store = Store::open(&lock, &data.join("store"))?;
        Ok(Self { _lock: lock, store, keys })
    }

    /// The greatest block serial that anything here knows of.
    fn newest_serial(&self, folder: &KeyFolder<'_>) -> Result<u32, ServerKeysError> {
        let certified = folder.certificate(KeyRole::Block)?.map_or(0, |(_, verified)| verified.serial());
        let mut newest = certified;
        for entry in self.store.matches() {
            let (match_id, record) = entry?;
            let genesis: Genesis = decode_exact(&record.genesis).map_err(crate::store::ReadError::from)?;
            if genesis.service != folder.root {
                return Err(ServerKeysError::OtherService { expected: folder.root, got: genesis.service });
            }
            newest = newest.max(self.store.mark(match_id)?.map_or(0, |mark| mark.signer));
        }
        Ok(newest)
    }

    /// Checks certificates that `path` has, and puts them in force.
    fn put_in_force(
        &self,
        folder: &KeyFolder<'_>,
        signed: &[SignedCertificate],
        path: &Path,
    ) -> Result<Replaced, ServerKeysError> {
        let newest_block = self.newest_serial(folder)?;
        let mut certificates = Vec::new();
        for signed in signed {
            let verified = folder.verify(signed, path)?;
            let newest = match verified.role() {
                KeyRole::Block => newest_block,
                role @ (KeyRole::Handshake | KeyRole::Log) => {
                    folder.certificate(role)?.map_or(0, |(_, verified)| verified.serial())
                }
            };
            if verified.serial() <= newest {
                let (path, serial) = (path.to_owned(), verified.serial());
                return Err(ServerKeysError::OldSerial { path, serial, newest });
            }
            self.check_key(folder, &verified, path)?;
            certificates.push(verified);
        }
        for (signed, verified) in signed.iter().zip(&certificates) {
            let path = folder.certificate_path(verified.role());
            write_durably(&path, &certificates_text(std::slice::from_ref(signed)))?;
            folder.finish_replacing(verified.role(), verified)?;
        }
        let is_block = |verified: &VerifiedCertificate| verified.role() == KeyRole::Block;
        let adopted = if certificates.iter().any(is_block) { self.adopt()? } else { None };
        Ok(Replaced::Installed { certificates, adopted })
    }

    /// Is the key in the folder that a certificate is for?
    fn check_key(
        &self,
        folder: &KeyFolder<'_>,
        verified: &VerifiedCertificate,
        path: &Path,
    ) -> Result<(), ServerKeysError> {
        for key in [folder.key_path(verified.role()), folder.next_key_path(verified.role())] {
            if key.exists() && key_file::read(&key, folder.passphrase)?.public() == verified.key().public() {
                return Ok(());
            }
        }
        Err(ServerKeysError::OtherKey { path: path.to_owned() })
    }

    fn adopt(&self) -> Result<Option<u64>, ServerKeysError> {
        let mut generations = Generations::read(&self.keys)?;
        let stored = self.store.generation()?;
        let Some(generation) = generations.adopt(stored)? else { return Ok(None) };
        self.store.set_generation(generation)?;
        generations.begun(generation)?;
        Ok(Some(stored.unwrap_or(0)))
    }
}
