//! Delegation: an identity lets a session key speak for its seat in one match. `docs/protocol.md`, "Delegation".

use bincode::{Decode, Encode};

use crate::{
    codec::{CodecError, Wire, decode_exact, encode},
    hash::{Context, hash},
    ids::{Epoch, MatchId, Millis, Seat},
    keys::{EnrolledKey, PublicKey, SecretKey, Signature},
};

/// What the identity key signs. A later epoch revokes the earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Delegation {
    /// Version of this layout: 1.
    pub version: u8,
    /// In which match.
    pub match_id: MatchId,
    /// For which seat.
    pub seat: Seat,
    /// 0 for the Join, one more for each delegation after it.
    pub epoch: Epoch,
    /// Whose signatures count from now on.
    pub session: PublicKey,
    /// Transactions received after this count no more.
    pub valid_to: Option<Millis>,
}

impl Delegation {
    /// The layout that this build writes.
    pub const VERSION: u8 = 1;
}

impl Wire for Delegation {
    const BYTES_MAX: usize = 128;

    fn validate(&self) -> Result<(), &'static str> {
        if self.version == Self::VERSION { Ok(()) } else { Err("delegation version") }
    }
}

/// A delegation as it was signed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SignedDelegation {
    /// Encoding of the [`Delegation`].
    pub body: Vec<u8>,
    /// By the identity key, under [`Context::Delegation`].
    pub signature: Signature,
}

impl SignedDelegation {
    /// Signs `delegation` with the identity key of its seat.
    pub fn sign(identity: &SecretKey, delegation: &Delegation) -> Self {
        let body = encode(delegation);
        let signature = identity.sign(Context::Delegation, hash(Context::Delegation, &[&body]));
        Self { body, signature }
    }

    /// Decodes what was signed; the signature is not looked at.
    ///
    /// # Errors
    ///
    /// The bytes are not the encoding of a delegation.
    pub fn read(&self) -> Result<Delegation, CodecError> {
        decode_exact(&self.body)
    }

    /// Checks that `identity` delegated this, and that the session key can be used at all.
    ///
    /// # Errors
    ///
    /// In the order of [`DelegationError`]'s variants; the first that applies.
    pub fn verify(&self, identity: &EnrolledKey) -> Result<VerifiedDelegation, DelegationError> {
        let delegation = self.read().map_err(DelegationError::Encoding)?;
        identity
            .verify(Context::Delegation, hash(Context::Delegation, &[&self.body]), &self.signature)
            .map_err(|_| DelegationError::BadSignature)?;
        let session = delegation.session.enroll().map_err(|_| DelegationError::WeakKey)?;
        Ok(VerifiedDelegation { delegation, session })
    }
}

/// A delegation that its identity really signed.
#[derive(Clone, Debug)]
pub struct VerifiedDelegation {
    delegation: Delegation,
    session: EnrolledKey,
}

impl VerifiedDelegation {
    /// What was signed.
    pub const fn get(&self) -> &Delegation {
        &self.delegation
    }

    /// The session key.
    pub const fn session(&self) -> &EnrolledKey {
        &self.session
    }
}

/// Why a delegation does not count. Always the fault of whoever sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DelegationError {
    /// Not the encoding of a delegation.
    #[error("delegation is malformed")]
    Encoding(#[source] CodecError),
    /// Not signed by the identity of the seat.
    #[error("delegation is not signed by the seat's identity")]
    BadSignature,
    /// The session key cannot be enrolled.
    #[error("session key is weak")]
    WeakKey,
}
