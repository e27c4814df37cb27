//! Revocations: which certificates of a service no longer count, and from when. `docs/protocol.md`,
//! "Revocations".

use bincode::{Decode, Encode};

use crate::{
    certificate::CertificateError,
    codec::{Wire, decode_exact, encode, strictly_ascending},
    hash::{Context, Digest, hash},
    ids::Millis,
    keys::{EnrolledKey, SecretKey, Signature},
};

/// Most certificates that a list revokes.
pub const REVOCATIONS_MAX: usize = 1024;

/// A certificate that no longer counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Revoked {
    /// Its serial.
    pub serial: u32,
    /// First millisecond at which it no longer counts; 0 where nothing under it ever counts.
    pub from: Millis,
}

/// What the service root says about certificates that it takes back. A later list has all that an earlier one
/// had.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Revocations {
    /// Always [`Revocations::VERSION`].
    pub version: u8,
    /// When the list was made: of two lists the later one counts.
    pub issued: Millis,
    /// By serial, ascending.
    pub revoked: Vec<Revoked>,
}

impl Revocations {
    /// The only version there is.
    pub const VERSION: u8 = 1;

    /// A list that revokes nothing.
    pub const NONE: Self = Self { version: Self::VERSION, issued: Millis::new(0), revoked: Vec::new() };

    /// Does what was signed under `serial` at the moment `at` no longer count? For a signed object, `at` is
    /// the object's own time, which whoever has the key can set as he likes.
    pub fn is_revoked(&self, serial: u32, at: Millis) -> bool {
        self.revoked.iter().any(|revoked| revoked.serial == serial && at >= revoked.from)
    }

    /// Does what was signed under `serial` no longer count if nobody can say when that was?
    pub fn is_revoked_at_some_time(&self, serial: u32) -> bool {
        self.revoked.iter().any(|revoked| revoked.serial == serial)
    }
}

impl Wire for Revocations {
    const BYTES_MAX: usize = 1 + 8 + 8 + REVOCATIONS_MAX * (4 + 8);

    fn validate(&self) -> Result<(), &'static str> {
        if self.version != Self::VERSION {
            return Err("revocations version");
        }
        if self.revoked.len() > REVOCATIONS_MAX {
            return Err("too many revocations");
        }
        if !strictly_ascending(self.revoked.iter().map(|revoked| revoked.serial)) {
            return Err("revocations not in ascending order");
        }
        Ok(())
    }
}

/// A list as it travels: the bytes that were signed, and the root's signature. Says nothing before
/// [`SignedRevocations::verify`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SignedRevocations {
    /// The [`Revocations`], encoded.
    pub body: Vec<u8>,
    /// Made by the service root key in [`Context::Revocations`].
    pub signature: Signature,
}

impl SignedRevocations {
    /// Signs a list with the service root key.
    pub fn issue(root: &SecretKey, revocations: &Revocations) -> Self {
        let body = encode(revocations);
        let signature = root.sign(Context::Revocations, digest(&body));
        Self { body, signature }
    }

    /// Checks that `root` signed this list.
    ///
    /// # Errors
    ///
    /// [`CertificateError::Malformed`], [`CertificateError::BadSignature`]; the first that applies.
    pub fn verify(&self, root: &EnrolledKey) -> Result<Revocations, CertificateError> {
        let revocations = decode_exact(&self.body).map_err(CertificateError::Malformed)?;
        root.verify(Context::Revocations, digest(&self.body), &self.signature)
            .map_err(|_| CertificateError::BadSignature)?;
        Ok(revocations)
    }
}

impl Wire for SignedRevocations {
    const BYTES_MAX: usize = 8 + Revocations::BYTES_MAX + 64;
}

fn digest(body: &[u8]) -> Digest {
    hash(Context::Revocations, &[body])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> Revocations {
        let revoked = [(7, 1_000), (9, 0)].map(|(serial, from)| Revoked { serial, from: Millis::new(from) });
        Revocations { version: 1, issued: Millis::new(5_000), revoked: revoked.into() }
    }

    #[test]
    fn a_serial_is_revoked_from_its_time_on() {
        let root = SecretKey::from_seed(&[1; 32]);
        let verified = SignedRevocations::issue(&root, &list()).verify(&root.enrolled()).unwrap();
        let is_revoked = |serial, at| verified.is_revoked(serial, Millis::new(at));
        assert!(!is_revoked(7, 999) && is_revoked(7, 1_000) && is_revoked(7, u64::MAX));
        assert!(is_revoked(9, 0) && !is_revoked(8, u64::MAX));
        assert!(verified.is_revoked_at_some_time(7) && !verified.is_revoked_at_some_time(8));
        assert!(!Revocations::NONE.is_revoked(7, Millis::new(u64::MAX)));
    }

    #[test]
    fn a_list_has_one_form_and_one_signer() {
        let (root, other) = (SecretKey::from_seed(&[1; 32]), SecretKey::from_seed(&[2; 32]));
        let signed = SignedRevocations::issue(&root, &list());
        assert_eq!(signed.verify(&other.enrolled()), Err(CertificateError::BadSignature));
        // Version, time of issue, count, then serial and time of each.
        let mut bytes = vec![1];
        bytes.extend_from_slice(&5_000_u64.to_le_bytes());
        bytes.extend_from_slice(&2_u64.to_le_bytes());
        for (serial, from) in [(7_u32, 1_000_u64), (9, 0)] {
            bytes.extend_from_slice(&serial.to_le_bytes());
            bytes.extend_from_slice(&from.to_le_bytes());
        }
        assert_eq!(signed.body, bytes);
        for refused in [
            Revocations { version: 2, ..list() },
            Revocations { revoked: vec![list().revoked[1], list().revoked[0]], ..list() },
            Revocations { revoked: vec![list().revoked[0]; 2], ..list() },
        ] {
            let signed = SignedRevocations::issue(&root, &refused);
            assert!(matches!(signed.verify(&root.enrolled()), Err(CertificateError::Malformed(_))));
        }
        let mut most: Vec<Revoked> =
            (0..1_024).map(|serial| Revoked { serial, from: Millis::new(0) }).collect();
        let of = |revoked: &[Revoked]| Revocations { revoked: revoked.to_vec(), ..list() };
        let is_read =
            |list: &Revocations| SignedRevocations::issue(&root, list).verify(&root.enrolled()).is_ok();
        assert!(is_read(&of(&most)));
        most.push(Revoked { serial: 1_024, from: Millis::new(0) });
        assert!(!is_read(&of(&most)));
    }
}
