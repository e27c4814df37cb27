//! Keys and the one signature rule.
//!
//! # Requires
//!
//! - Secret seeds of 32 uniformly random bytes, each for one purpose.
//!
//! # Provides
//!
//! - A key that passed [`PublicKey::enroll`] has one encoding and prime order, and a signature that passed
//!   [`EnrolledKey::verify`] was made over exactly this hash in exactly this [`Context`] and cannot be
//!   altered into another valid one.
//!
//! # Does not provide
//!
//! - Batch verification: it accepts signatures that single verification refuses.

use std::fmt;

use bincode::{
    BorrowDecode, Decode, Encode,
    de::{BorrowDecoder, Decoder},
    enc::Encoder,
    error::{DecodeError, EncodeError},
};
use curve25519_dalek::edwards::CompressedEdwardsY;
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use crate::{
    hash::{Context, Digest, Hasher, hash},
    hash_chain::HashChain,
    ids::{Attempt, Epoch, MatchId, Turn},
};

/// An Ed25519 public key as somebody claims it. Nothing is verified under it before [`PublicKey::enroll`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Takes 32 bytes as a claim.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads 64 hexadecimal digits; `None` for anything else.
    pub fn from_hex(text: &str) -> Option<Self> {
        Digest::from_hex(text).map(|digest| Self(*digest.as_bytes()))
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Checks once what every later verification relies on.
    ///
    /// # Errors
    ///
    /// In the order of [`KeyError`]'s variants; the first that applies.
    pub fn enroll(self) -> Result<EnrolledKey, KeyError> {
        let point = CompressedEdwardsY(self.0).decompress().ok_or(KeyError::NotAPoint)?;
        if point.compress().0 != self.0 {
            return Err(KeyError::NotCanonical);
        }
        if point.is_small_order() {
            return Err(KeyError::SmallOrder);
        }
        if !point.is_torsion_free() {
            return Err(KeyError::MixedOrder);
        }
        let key = VerifyingKey::from_bytes(&self.0).map_err(|_| KeyError::NotAPoint)?;
        Ok(EnrolledKey { bytes: self, key })
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Digest::new(self.0).fmt(f)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Why a public key is not accepted. Always the fault of whoever claims it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No point of the curve has this encoding.
    #[error("key is not a point of the curve")]
    NotAPoint,
    /// The point has another encoding, which is the canonical one.
    #[error("key is not canonically encoded")]
    NotCanonical,
    /// One of the eight points that anybody can sign for.
    #[error("key is of small order")]
    SmallOrder,
    /// A point outside the prime-order group.
    #[error("key has a torsion component")]
    MixedOrder,
}

/// A public key that passed [`PublicKey::enroll`].
#[derive(Clone, PartialEq, Eq)]
pub struct EnrolledKey {
    bytes: PublicKey,
    key: VerifyingKey,
}

impl EnrolledKey {
    /// The key as it stands in messages.
    pub const fn public(&self) -> PublicKey {
        self.bytes
    }

    /// Verifies `signature` over `digest` in `context`: RFC 8032 with the canonical-`s` and small-order
    /// checks of `verify_strict`.
    ///
    /// # Errors
    ///
    /// [`BadSignature`], whatever is wrong with it.
    pub fn verify(
        &self,
        context: Context,
        digest: Digest,
        signature: &Signature,
    ) -> Result<(), BadSignature> {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        self.key.verify_strict(&signed_bytes(context, digest), &signature).map_err(|_| BadSignature)
    }
}

impl EnrolledKey {
    /// Verifies a signature over bytes without a context: the notes of the transparency log, whose form other
    /// people fixed. No note has the 64 spaces and the zero byte that stand in everything else we sign.
    pub(crate) fn verify_note(&self, signed: &[u8], signature: &Signature) -> Result<(), BadSignature> {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        self.key.verify_strict(signed, &signature).map_err(|_| BadSignature)
    }
}

impl Encode for EnrolledKey {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.bytes.encode(encoder)
    }
}

// Decoding enrols: there is no way to an enrolled key but through the check.
impl<C> Decode<C> for EnrolledKey {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        PublicKey::decode(decoder)?.enroll().map_err(|_| DecodeError::Other("weak key"))
    }
}

impl<'de, C> BorrowDecode<'de, C> for EnrolledKey {
    fn borrow_decode<D: BorrowDecoder<'de, Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Self::decode(decoder)
    }
}

impl fmt::Debug for EnrolledKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.bytes)
    }
}

/// The signature was not made by this key over this object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("signature does not match")]
pub struct BadSignature;

/// An Ed25519 signature as it came; valid only after [`EnrolledKey::verify`].
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Signature([u8; 64]);

impl Signature {
    /// Takes 64 bytes as a claim.
    pub const fn new(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// An Ed25519 secret key. Wiped from memory when dropped, and never printed.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// The key of a seed of 32 uniformly random bytes.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The seed, for a key file.
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// The public half, enrolled without a check: a point made from a scalar is of prime order.
    pub fn enrolled(&self) -> EnrolledKey {
        EnrolledKey { bytes: self.public(), key: self.0.verifying_key() }
    }

    /// Signs `digest` as an object of the kind `context`.
    pub fn sign(&self, context: Context, digest: Digest) -> Signature {
        Signature(self.0.sign(&signed_bytes(context, digest)).to_bytes())
    }

    /// Signs bytes without a context; see [`EnrolledKey::verify_note`].
    pub(crate) fn sign_note(&self, signed: &[u8]) -> Signature {
        Signature(self.0.sign(signed).to_bytes())
    }

    /// The key with which this identity speaks in one match from one delegation on.
    #[must_use]
    pub fn session(&self, match_id: MatchId, epoch: Epoch) -> Self {
        let seed = Hasher::new(Context::SessionSeed)
            .chain(&*self.seed())
            .chain(match_id.as_bytes())
            .chain(&epoch.get().to_le_bytes())
            .finish();
        Self::from_seed(&Zeroizing::new(*seed.as_bytes()))
    }

    /// The hash chain that this identity commits to by `nonce`, for a match with this last turn. A nonce serves
    /// for one match: what one match reveals of the chain, another must not rely on.
    pub fn seat_chain(&self, nonce: [u8; 32], turns_max: u32) -> HashChain {
        HashChain::from_seed(hash(Context::SeatChain, &[&*self.seed(), &nonce]), turns_max)
    }

    /// The salt under which this identity hides these commands of a turn.
    pub fn salt(&self, match_id: MatchId, turn: Turn, attempt: Attempt, commands: &[u8]) -> [u8; 32] {
        let (turn, attempt) = (turn.get().to_le_bytes(), attempt.get().to_le_bytes());
        let parts: [&[u8]; 5] = [&*self.seed(), match_id.as_bytes(), &turn, &attempt, commands];
        *hash(Context::Salt, &parts).as_bytes()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public())
    }
}

/// `64 × 0x20 ‖ context ‖ 0x00 ‖ digest`: the shape of TLS 1.3, RFC 8446, section 4.4.3.
fn signed_bytes(context: Context, digest: Digest) -> Vec<u8> {
    let context = context.as_str().as_bytes();
    let mut bytes = Vec::with_capacity(64 + context.len() + 1 + 32);
    bytes.extend_from_slice(&[0x20; 64]);
    bytes.extend_from_slice(context);
    bytes.push(0);
    bytes.extend_from_slice(digest.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::hash;

    #[test]
    fn no_signature_verifies_under_another_context() {
        let key = SecretKey::from_seed(&[7; 32]);
        let digest = hash(Context::Block, &[b"object"]);
        for &signed in Context::ALL {
            let signature = key.sign(signed, digest);
            for &checked in Context::ALL {
                let verified = key.enrolled().verify(checked, digest, &signature);
                assert_eq!(verified.is_ok(), signed == checked, "{signed:?} as {checked:?}");
            }
        }
    }

    #[test]
    fn every_bit_of_a_signature_counts() {
        let key = SecretKey::from_seed(&[7; 32]);
        let digest = hash(Context::Block, &[b"object"]);
        let signature = key.sign(Context::Block, digest);
        for bit in 0..512 {
            let mut bytes = *signature.as_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let flipped = Signature::new(bytes);
            assert!(key.enrolled().verify(Context::Block, digest, &flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn weak_and_malformed_keys_are_not_enrolled() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(PublicKey::new(identity).enroll(), Err(KeyError::SmallOrder));
        // y = p + 1, the non-canonical encoding of the identity.
        let mut above_p = [0xff; 32];
        (above_p[0], above_p[31]) = (0xee, 0x7f);
        assert_eq!(PublicKey::new(above_p).enroll(), Err(KeyError::NotCanonical));
        // A point of order two added to an honest key.
        let honest = CompressedEdwardsY(*SecretKey::from_seed(&[1; 32]).public().as_bytes());
        let torsion = curve25519_dalek::constants::EIGHT_TORSION[4];
        let mixed = (honest.decompress().unwrap() + torsion).compress().0;
        assert_eq!(PublicKey::new(mixed).enroll(), Err(KeyError::MixedOrder));
        let mut not_a_point = [0; 32];
        not_a_point[0] = 2;
        assert_eq!(PublicKey::new(not_a_point).enroll(), Err(KeyError::NotAPoint));
    }

    #[test]
    fn an_own_key_is_enrolled_as_if_it_were_checked() {
        let key = SecretKey::from_seed(&[9; 32]);
        assert_eq!(key.public().enroll(), Ok(key.enrolled()));
    }
}
