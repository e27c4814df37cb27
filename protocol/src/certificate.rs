//! Server certificates: which key speaks for the service in which role, and how long.
//!
//! `docs/protocol.md`, "Certificate".

use bincode::{Decode, Encode};

use crate::{
    codec::{CodecError, Wire, decode_exact, encode},
    hash::{Context, Digest, hash},
    ids::Millis,
    keys::{EnrolledKey, KeyError, PublicKey, SecretKey, Signature},
};

/// What a certified key is for. One key never has two roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum KeyRole {
    /// Answers handshakes.
    Handshake,
    /// Signs batches of blocks and receipts.
    Block,
    /// Signs the checkpoints of the transparency log.
    Log,
}

/// What the service root says about a key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Certificate {
    /// Always [`Certificate::VERSION`].
    pub version: u8,
    /// What the key is for.
    pub role: KeyRole,
    /// The key.
    pub key: PublicKey,
    /// Which of the service's certificates this is; the service never gives a number twice.
    pub serial: u32,
    /// First millisecond at which the certificate is valid.
    pub valid_from: Millis,
    /// First millisecond at which it no longer is.
    pub valid_to: Millis,
}

impl Certificate {
    /// The only version there is.
    pub const VERSION: u8 = 1;
}

impl Wire for Certificate {
    const BYTES_MAX: usize = CERTIFICATE_BYTES as usize;

    fn validate(&self) -> Result<(), &'static str> {
        if self.version != Self::VERSION {
            return Err("certificate version");
        }
        if self.valid_from >= self.valid_to {
            return Err("certificate validity");
        }
        Ok(())
    }
}

/// A certificate as it travels: the bytes that were signed, and the root's signature. Says nothing before
/// [`SignedCertificate::verify`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SignedCertificate {
    /// The [`Certificate`], encoded.
    pub body: Vec<u8>,
    /// Made by the service root key in [`Context::Certificate`].
    pub signature: Signature,
}

impl SignedCertificate {
    /// Signs `certificate` with the service root key.
    pub fn issue(root: &SecretKey, certificate: &Certificate) -> Self {
        let body = encode(certificate);
        let signature = root.sign(Context::Certificate, digest(&body));
        Self { body, signature }
    }

    /// Checks that `root` signed this certificate, and enrols the certified key. The only way to a
    /// [`VerifiedCertificate`].
    ///
    /// # Errors
    ///
    /// - [`CertificateError::Malformed`], [`CertificateError::BadSignature`], [`CertificateError::Key`]; the
    ///   first that applies.
    pub fn verify(&self, root: &EnrolledKey) -> Result<VerifiedCertificate, CertificateError> {
        let certificate: Certificate = decode_exact(&self.body).map_err(CertificateError::Malformed)?;
        root.verify(Context::Certificate, digest(&self.body), &self.signature)
            .map_err(|_| CertificateError::BadSignature)?;
        let key = certificate.key.enroll().map_err(CertificateError::Key)?;
        Ok(VerifiedCertificate { certificate, key })
    }
}

impl Wire for SignedCertificate {
    const BYTES_MAX: usize = 8 + Certificate::BYTES_MAX + 64;
}

/// A certificate that the root signed. Whether it is of the right role and valid now, ask
/// [`VerifiedCertificate::check`] at each use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedCertificate {
    certificate: Certificate,
    key: EnrolledKey,
}

impl VerifiedCertificate {
    /// What the key is for.
    pub const fn role(&self) -> KeyRole {
        self.certificate.role
    }

    /// The certificate's number.
    pub const fn serial(&self) -> u32 {
        self.certificate.serial
    }

    /// First millisecond at which it is valid.
    pub const fn valid_from(&self) -> Millis {
        self.certificate.valid_from
    }

    /// First millisecond at which it no longer is.
    pub const fn valid_to(&self) -> Millis {
        self.certificate.valid_to
    }

    /// The certified key.
    pub const fn key(&self) -> &EnrolledKey {
        &self.key
    }

    /// Checks that the key may speak as `role` at the moment `at`. For a signed object, `at` is the object's
    /// own time, so that old replays do not expire.
    ///
    /// # Errors
    ///
    /// - [`CertificateError::WrongRole`], [`CertificateError::NotYetValid`], [`CertificateError::Expired`];
    ///   the first that applies.
    pub fn check(&self, role: KeyRole, at: Millis) -> Result<(), CertificateError> {
        let Certificate { role: got, valid_from, valid_to, .. } = self.certificate;
        if got != role {
            return Err(CertificateError::WrongRole { expected: role, got });
        }
        if at < valid_from {
            return Err(CertificateError::NotYetValid { valid_from, at });
        }
        if at >= valid_to {
            return Err(CertificateError::Expired { valid_to, at });
        }
        Ok(())
    }
}

/// Why a certificate does not certify. Always the fault of whoever shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The body is not the encoding of a certificate.
    #[error("malformed certificate")]
    Malformed(#[source] CodecError),
    /// The root did not sign this body.
    #[error("certificate is not signed by the root key")]
    BadSignature,
    /// The certified key cannot be enrolled.
    #[error("certified key is not acceptable")]
    Key(#[source] KeyError),
    /// The key is for something else.
    #[error("certificate is for the role {got:?}, not {expected:?}")]
    WrongRole {
        /// The role in which the key was used.
        expected: KeyRole,
        /// The role that the root gave it.
        got: KeyRole,
    },
    /// Used too early.
    #[error("certificate is valid from {}, used at {}", valid_from.get(), at.get())]
    NotYetValid {
        /// First millisecond at which it is valid.
        valid_from: Millis,
        /// When it was used.
        at: Millis,
    },
    /// Used too late.
    #[error("certificate expired at {}, used at {}", valid_to.get(), at.get())]
    Expired {
        /// First millisecond at which it is no longer valid.
        valid_to: Millis,
        /// When it was used.
        at: Millis,
    },
}

fn digest(body: &[u8]) -> Digest {
    hash(Context::Certificate, &[body])
}

/// Every field has a fixed width, so every certificate of version 1 has this length.
pub(crate) const CERTIFICATE_BYTES: u16 = 1 + 4 + 32 + 4 + 8 + 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> SecretKey {
        SecretKey::from_seed(&[1; 32])
    }

    fn certificate() -> Certificate {
        Certificate {
            version: 1,
            role: KeyRole::Block,
            key: SecretKey::from_seed(&[2; 32]).public(),
            serial: 7,
            valid_from: Millis::new(1_000),
            valid_to: Millis::new(2_000),
        }
    }

    #[test]
    fn a_certificate_certifies_its_role_in_its_time() {
        let verified = SignedCertificate::issue(&root(), &certificate()).verify(&root().enrolled()).unwrap();
        assert_eq!((verified.role(), verified.serial()), (KeyRole::Block, 7));
        assert_eq!(verified.key().public(), certificate().key);
        let check = |role, at| verified.check(role, Millis::new(at));
        let (valid_from, valid_to) = (Millis::new(1_000), Millis::new(2_000));
        assert_eq!(check(KeyRole::Block, 1_000), Ok(()));
        assert_eq!(check(KeyRole::Block, 1_999), Ok(()));
        assert_eq!(
            check(KeyRole::Block, 999),
            Err(CertificateError::NotYetValid { valid_from, at: Millis::new(999) })
        );
        assert_eq!(check(KeyRole::Block, 2_000), Err(CertificateError::Expired { valid_to, at: valid_to }));
        for role in [KeyRole::Handshake, KeyRole::Log] {
            let wrong = CertificateError::WrongRole { expected: role, got: KeyRole::Block };
            assert_eq!(check(role, 1_500), Err(wrong));
        }
    }

    #[test]
    fn the_signed_form_has_one_encoding() {
        let signed = SignedCertificate::issue(&root(), &certificate());
        let bytes = encode(&signed);
        assert_eq!(bytes.len(), SignedCertificate::BYTES_MAX);
        assert_eq!(decode_exact(&bytes), Ok(signed));
    }
}
