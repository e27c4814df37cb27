//! The root key at work: it signs certificates, and never gives a serial twice.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use cadastre_protocol::{
    Certificate, KeyRole, Millis, PublicKey, REVOCATIONS_MAX, Revocations, Revoked, SecretKey,
    SignedCertificate, SignedRevocations,
};

use super::{ServerKeysError, files::revocations_text, read_revocations, write_durably};
use crate::{key_file, passphrase::Passphrase};

/// How long before its making a certificate is valid, so that clients whose clocks are behind accept it.
const EARLIER_MS: u64 = 60 * 60 * 1000;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// The root key, and the file beside it with the last serial that it gave.
#[derive(Debug)]
pub(crate) struct Root {
    key: SecretKey,
    serial_file: PathBuf,
}

impl Root {
    /// Reads the root key from its file.
    ///
    /// # Errors
    ///
    /// The key file cannot be used.
    pub(crate) fn read(path: &Path, passphrase: Option<&Passphrase>) -> Result<Self, ServerKeysError> {
        Ok(Self { key: key_file::read(path, passphrase)?, serial_file: path.with_extension("serial") })
    }

    /// The key that clients pin.
    pub(crate) fn public(&self) -> PublicKey {
        self.key.public()
    }

    /// Certifies keys from now on, for so many days, under serials above `above`.
    ///
    /// A serial is never less than the seconds since 1970: where the file with the last one was lost or put
    /// back, none is given twice either.
    ///
    /// # Errors
    ///
    /// The file with the last serial cannot be used. No certificate was made.
    pub(crate) fn certify(
        &self,
        request: &[(KeyRole, PublicKey)],
        days: u32,
        above: u32,
        now: Millis,
    ) -> Result<Vec<SignedCertificate>, ServerKeysError> {
        let seconds = u32::try_from(now.get() / 1000).unwrap_or(u32::MAX);
        let mut serial = self.last_serial()?.max(above).max(seconds.saturating_sub(1));
        let mut bodies = Vec::new();
        for (role, key) in request {
            serial = serial.checked_add(1).ok_or(ServerKeysError::NoSerialLeft)?;
            bodies.push(Certificate {
                version: Certificate::VERSION,
                role: *role,
                key: *key,
                serial,
                valid_from: Millis::new(now.get().saturating_sub(EARLIER_MS)),
                valid_to: now.after(u64::from(days) * DAY_MS),
            });
        }
        write_durably(&self.serial_file, &format!("{serial}\n"))?;
        Ok(bodies.iter().map(|body| SignedCertificate::issue(&self.key, body)).collect())
    }

    /// Revokes a certificate from a time on, beside those that the list in `path` revokes; makes the list if
    /// there is none. A time can be made earlier, not later.
    ///
    /// # Errors
    ///
    /// The list cannot be used, or another root key signed it. It is as it was.
    pub(crate) fn revoke(
        &self,
        path: &Path,
        revoked: Revoked,
        now: Millis,
    ) -> Result<Revocations, ServerKeysError> {
        let mut list = if path.exists() { read_revocations(path, self.public())? } else { Revocations::NONE };
        let mut by_serial: BTreeMap<_, _> = list.revoked.iter().map(|old| (old.serial, old.from)).collect();
        let from = by_serial.entry(revoked.serial).or_insert(revoked.from);
        *from = revoked.from.min(*from);
        list.revoked = by_serial.into_iter().map(|(serial, from)| Revoked { serial, from }).collect();
        list.issued = now.max(Millis::new(list.issued.get() + 1));
        if list.revoked.len() > REVOCATIONS_MAX {
            return Err(ServerKeysError::TooManyRevocations);
        }
        let signed = SignedRevocations::issue(&self.key, &list);
        write_durably(path, &revocations_text(&signed))?;
        Ok(list)
    }

    fn last_serial(&self) -> Result<u32, ServerKeysError> {
        let path = || self.serial_file.clone();
        match fs::read_to_string(&self.serial_file) {
            Ok(text) => text.trim().parse().map_err(|_| ServerKeysError::Malformed { path: path() }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(source) => Err(ServerKeysError::Io { path: path(), source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serials(root: &Root, above: u32, now: u64) -> Vec<u32> {
        let keys = [(KeyRole::Handshake, root.public()), (KeyRole::Block, root.public())];
        let certificates = root.certify(&keys, 1, above, Millis::new(now)).unwrap();
        let enrolled = root.key.enrolled();
        certificates.iter().map(|signed| signed.verify(&enrolled).unwrap().serial()).collect()
    }

    #[test]
    fn no_serial_is_given_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.key");
        key_file::create(&path, None).unwrap();
        let root = Root::read(&path, None).unwrap();
        assert_eq!(serials(&root, 0, 5_000_000), [5_000, 5_001]);
        assert_eq!(serials(&root, 0, 5_000_000), [5_002, 5_003], "in the same second");
        assert_eq!(serials(&root, 0, 1_000), [5_004, 5_005], "after the clock was set back");
        assert_eq!(serials(&root, 9_000, 1_000), [9_001, 9_002], "above what is known to be in use");
        assert_eq!(serials(&root, 0, 10_000_000), [10_000, 10_001]);
        // The count is lost, the clock is not.
        fs::remove_file(folder.path().join("root.serial")).unwrap();
        assert_eq!(serials(&root, 0, 10_002_000), [10_002, 10_003]);
        let none_left = root.certify(&[(KeyRole::Block, root.public())], 1, u32::MAX, Millis::new(0));
        assert!(matches!(none_left, Err(ServerKeysError::NoSerialLeft)));
        fs::write(folder.path().join("root.serial"), "many").unwrap();
        let damaged = root.certify(&[], 1, 0, Millis::new(0));
        assert!(matches!(damaged, Err(ServerKeysError::Malformed { .. })));
    }
}
