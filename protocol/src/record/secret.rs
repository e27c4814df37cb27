//! The symmetric keys of handshake and records.

use std::fmt;

use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit};
use zeroize::{Zeroize, Zeroizing};

use crate::hash::{Context, Digest};

/// 32 secret bytes. Wiped when dropped and never printed; on the heap, so that moving them leaves no copy.
pub(crate) struct Secret(Box<Zeroizing<[u8; 32]>>);

impl Secret {
    /// The hash of the concatenated `parts` under `context`, without leaving its input behind in memory.
    pub(crate) fn derive(context: Context, parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(context.as_str());
        for part in parts {
            hasher.update(part);
        }
        let mut output = hasher.finalize_xof();
        let mut bytes = Box::new(Zeroizing::new([0; 32]));
        output.fill(bytes.as_mut_slice());
        output.zeroize();
        hasher.zeroize();
        Self(bytes)
    }

    /// Takes over a shared secret.
    pub(crate) fn copy_of(bytes: &[u8; 32]) -> Self {
        let mut secret = Box::new(Zeroizing::new([0; 32]));
        secret.copy_from_slice(bytes);
        Self(secret)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Encrypts `bytes` where they are and returns the tag.
    pub(crate) fn seal(&self, nonce: [u8; 12], associated_data: &[u8], bytes: &mut [u8]) -> [u8; TAG_BYTES] {
        let cipher = ChaCha20Poly1305::new(self.as_bytes().into());
        cipher
            .encrypt_inout_detached(&nonce.into(), associated_data, bytes.into())
            .expect("only 256 GiB and more are refused")
            .into()
    }

    /// Decrypts `bytes` where they are; `None`, and nothing changed, when they were not sealed like this.
    pub(crate) fn open(
        &self,
        nonce: [u8; 12],
        associated_data: &[u8],
        bytes: &mut [u8],
        tag: &[u8; TAG_BYTES],
    ) -> Option<()> {
        let cipher = ChaCha20Poly1305::new(self.as_bytes().into());
        cipher.decrypt_inout_detached(&nonce.into(), associated_data, bytes.into(), tag.into()).ok()
    }

    /// BLAKE3 keyed hash. What it returns compares in constant time.
    pub(crate) fn mac(&self, digest: Digest) -> blake3::Hash {
        blake3::keyed_hash(self.as_bytes(), digest.as_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

pub(crate) const TAG_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::hash;

    #[test]
    fn a_derived_secret_is_the_hash_of_its_parts() {
        let derived = Secret::derive(Context::Master, &[b"secret", b"transcript"]);
        assert_eq!(derived.as_bytes(), hash(Context::Master, &[b"secrettranscript"]).as_bytes());
        assert_eq!(format!("{derived:?}"), "Secret");
    }
}
