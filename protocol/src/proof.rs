//! Server proofs: one signature over everything that the server commits together.
//! `docs/protocol.md`, "Server proofs".

use bincode::{Decode, Encode};

use crate::{
    codec::Wire,
    hash::{Context, Digest, hash},
    ids::BlockHash,
    keys::{BadSignature, EnrolledKey, SecretKey, Signature},
    merkle,
};

/// Most objects under one signature.
pub const BATCH_OBJECTS_MAX: usize = 1 << 16;

/// Shows that the server signed an object: the way from its leaf to a signed root.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ServerProof {
    /// Serial of the signer's certificate.
    pub serial: u32,
    /// Which leaf.
    pub index: u32,
    /// Of how many.
    pub size: u32,
    /// Neighbours from the leaf upwards; `index` and `size` fix their number.
    pub hashes: Vec<Digest>,
    /// By the block key, under [`Context::Batch`].
    pub signature: Signature,
}

/// The leaf that stands for a block.
pub fn block_leaf(block: BlockHash) -> Digest {
    hash(Context::BatchBlock, &[block.as_bytes()])
}

/// The leaf that stands for a receipt.
pub fn receipt_leaf(receipt: Digest) -> Digest {
    hash(Context::BatchReceipt, &[receipt.as_bytes()])
}

impl ServerProof {
    /// Signs all `leaves` at once and gives each its proof, in the same order.
    ///
    /// # Panics
    ///
    /// When there are more than [`BATCH_OBJECTS_MAX`] leaves.
    pub fn sign(key: &SecretKey, serial: u32, leaves: &[Digest]) -> Vec<Self> {
        assert!(leaves.len() <= BATCH_OBJECTS_MAX, "{} leaves", leaves.len());
        if leaves.is_empty() {
            return Vec::new();
        }
        let size = u32::try_from(leaves.len()).expect("checked above");
        let (root, proofs) = merkle::prove_all(Context::BatchNode, leaves);
        let signature = key.sign(Context::Batch, batch(serial, size, root));
        (0..size).zip(proofs).map(|(index, hashes)| Self { serial, index, size, hashes, signature }).collect()
    }

    /// Verifies that `key` signed the object with this `leaf`.
    ///
    /// # Errors
    ///
    /// [`BadSignature`], also when the proof has not the form that index and size fix.
    pub fn verify(&self, leaf: Digest, key: &EnrolledKey) -> Result<(), BadSignature> {
        let (index, size) = (u64::from(self.index), u64::from(self.size));
        let root =
            merkle::root_of_proof(Context::BatchNode, leaf, index, size, &self.hashes).ok_or(BadSignature)?;
        key.verify(Context::Batch, batch(self.serial, self.size, root), &self.signature)
    }
}

impl Wire for ServerProof {
    const BYTES_MAX: usize = 4 * 3 + 8 + 32 * 32 + 64;
}

fn batch(serial: u32, size: u32, root: Digest) -> Digest {
    hash(Context::Batch, &[&serial.to_le_bytes(), &size.to_le_bytes(), root.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(count: usize) -> Vec<Digest> {
        (0..count).map(|i| hash(Context::BatchBlock, &[&i.to_le_bytes()])).collect()
    }

    #[test]
    fn every_object_of_a_batch_is_proved_and_no_other() {
        let key = SecretKey::from_seed(&[3; 32]);
        for size in [1, 2, 5, 8] {
            let leaves = leaves(size);
            let proofs = ServerProof::sign(&key, 7, &leaves);
            for (i, proof) in proofs.iter().enumerate() {
                for (j, leaf) in leaves.iter().enumerate() {
                    assert_eq!(proof.verify(*leaf, &key.enrolled()).is_ok(), i == j);
                }
            }
        }
    }

    #[test]
    fn every_field_of_a_proof_counts() {
        let key = SecretKey::from_seed(&[3; 32]);
        let leaves = leaves(5);
        let good = &ServerProof::sign(&key, 7, &leaves)[2];
        let refused = |change: &dyn Fn(&mut ServerProof)| {
            let mut bad = good.clone();
            change(&mut bad);
            assert_eq!(bad.verify(leaves[2], &key.enrolled()), Err(BadSignature), "{bad:?}");
        };
        refused(&|p| p.serial += 1);
        refused(&|p| p.index = 3);
        refused(&|p| p.size = 6);
        refused(&|p| p.size = 0);
        refused(&|p| p.hashes.push(Digest::ZERO));
        refused(&|p| p.hashes.truncate(p.hashes.len() - 1));
        refused(&|p| p.hashes.swap(0, 1));
        assert!(good.verify(leaves[2], &SecretKey::from_seed(&[4; 32]).enrolled()).is_err());
    }
}
