//! The Merkle tree of the log: SHA-256 with the prefixes of RFC 6962, section 2.1.

use sha2::{Digest as _, Sha256};

use crate::{
    hash::Digest,
    merkle::{self, NodeHash},
};

/// The node hash of the log's tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogTree;

impl NodeHash for LogTree {
    fn empty(self) -> Digest {
        sha256(&[])
    }

    fn join(self, left: &Digest, right: &Digest) -> Digest {
        sha256(&[&[1], left.as_bytes(), right.as_bytes()])
    }
}

/// The leaf of an entry.
pub fn leaf_hash(entry: &[u8]) -> Digest {
    sha256(&[&[0], entry])
}

pub(super) fn sha256(parts: &[&[u8]]) -> Digest {
    let hasher = parts.iter().fold(Sha256::new(), |hasher, part| hasher.chain_update(part));
    Digest::new(hasher.finalize().into())
}

/// Root over the leaves `start` to `end`, made from complete subtrees: `read(level, index)` gives the root over
/// the 2^`level` leaves from `index · 2^level` on. `start` must be a multiple of the largest power of two that
/// is not above `end - start`.
///
/// # Errors
///
/// What `read` says.
pub fn subtree_root<E>(
    start: u64,
    end: u64,
    read: &mut impl FnMut(u8, u64) -> Result<Digest, E>,
) -> Result<Digest, E> {
    let size = end - start;
    if size.is_power_of_two() {
        return read(log2(size), start >> log2(size));
    }
    let middle = start + split(size);
    let left = subtree_root(start, middle, read)?;
    let right = subtree_root(middle, end, read)?;
    Ok(LogTree.join(&left, &right))
}

/// Root of the tree of `size` leaves.
///
/// # Errors
///
/// What `read` says; see [`subtree_root`].
pub fn tree_root<E>(size: u64, read: &mut impl FnMut(u8, u64) -> Result<Digest, E>) -> Result<Digest, E> {
    if size == 0 { Ok(LogTree.empty()) } else { subtree_root(0, size, read) }
}

/// The hashes that, with the leaf `index`, give the root of the tree of `size` leaves; from the leaf upwards.
///
/// # Errors
///
/// What `read` says; see [`subtree_root`].
///
/// # Panics
///
/// When `index` is not the index of a leaf.
pub fn inclusion_proof<E>(
    index: u64,
    size: u64,
    read: &mut impl FnMut(u8, u64) -> Result<Digest, E>,
) -> Result<Vec<Digest>, E> {
    assert!(index < size, "leaf {index} of {size}");
    let mut proof = Vec::new();
    let (mut start, mut end) = (0, size);
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            proof.push(subtree_root(middle, end, read)?);
            end = middle;
        } else {
            proof.push(subtree_root(start, middle, read)?);
            start = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// Shows that the tree of `old` leaves is the beginning of that of `new` leaves: RFC 6962, section 2.1.2.
/// Nothing is to be shown where `old` is 0 or `new`.
///
/// # Errors
///
/// What `read` says; see [`subtree_root`].
///
/// # Panics
///
/// When `old` is above `new`.
pub fn consistency_proof<E>(
    old: u64,
    new: u64,
    read: &mut impl FnMut(u8, u64) -> Result<Digest, E>,
) -> Result<Vec<Digest>, E> {
    assert!(old <= new, "from {old} to {new}");
    if old == 0 || old == new {
        return Ok(Vec::new());
    }
    let mut proof = Vec::new();
    let (mut start, mut end) = (0, new);
    while end != old {
        let middle = start + split(end - start);
        if old <= middle {
            proof.push(subtree_root(middle, end, read)?);
            end = middle;
        } else {
            proof.push(subtree_root(start, middle, read)?);
            start = middle;
        }
    }
    // Whoever checks knows the old root; a part of the old tree is to be told.
    if start > 0 {
        proof.push(subtree_root(start, end, read)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Is the tree of `old` leaves with `old_root` the beginning of that of `new` leaves with `new_root`? The proof
/// must have exactly the hashes that the two sizes fix: RFC 9162, section 2.1.4.2. From 0 leaves and from `new`
/// leaves that is none; the empty tree is the beginning of each.
pub fn growth_is_proved(
    (old, old_root): (u64, Digest),
    (new, new_root): (u64, Digest),
    proof: &[Digest],
) -> bool {
    if old == 0 {
        return old_root == LogTree.empty() && (new > 0 || new_root == old_root) && proof.is_empty();
    }
    if old >= new {
        return old == new && old_root == new_root && proof.is_empty();
    }
    let (mut at, mut last) = (old - 1, new - 1);
    // Up to the largest complete subtree that ends where the old tree does.
    let rise = at.trailing_ones();
    (at, last) = (at >> rise, last >> rise);
    let mut hashes = proof.iter();
    let first = if at == 0 { Some(&old_root) } else { hashes.next() };
    let Some(first) = first else { return false };
    let (mut old_so_far, mut new_so_far) = (*first, *first);
    for hash in hashes {
        if last == 0 {
            return false;
        }
        if at % 2 == 1 || at == last {
            old_so_far = LogTree.join(hash, &old_so_far);
            new_so_far = LogTree.join(hash, &new_so_far);
            // A node that is the last of an even place rises unchanged.
            while at % 2 == 0 && at != 0 {
                (at, last) = (at / 2, last / 2);
            }
        } else {
            new_so_far = LogTree.join(&new_so_far, hash);
        }
        (at, last) = (at / 2, last / 2);
    }
    last == 0 && old_so_far == old_root && new_so_far == new_root
}

/// Is `leaf` the one at `index` in the tree of `size` leaves with `root`?
pub(super) fn inclusion_is_proved(
    leaf: Digest,
    index: u64,
    (size, root): (u64, Digest),
    proof: &[Digest],
) -> bool {
    merkle::root_of_proof(LogTree, leaf, index, size, proof) == Some(root)
}

/// Largest power of two below `n`, for `n` of 2 and more.
const fn split(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}

/// Of a power of two.
fn log2(n: u64) -> u8 {
    u8::try_from(n.trailing_zeros()).expect("below 64")
}
