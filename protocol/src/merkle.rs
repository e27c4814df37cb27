//! Binary Merkle trees of the shape of RFC 6962, section 2.1: the left subtree of `n` leaves holds the
//! largest power of two below `n`. Leaves come hashed; inner nodes have a context of their own.

use crate::hash::{Context, Digest, hash};

/// How a tree hashes its inner nodes.
pub trait NodeHash: Copy {
    /// Root of the tree without leaves.
    fn empty(self) -> Digest;

    /// The node above two others.
    fn join(self, left: &Digest, right: &Digest) -> Digest;
}

impl NodeHash for Context {
    fn empty(self) -> Digest {
        hash(self, &[])
    }

    fn join(self, left: &Digest, right: &Digest) -> Digest {
        hash(self, &[left.as_bytes(), right.as_bytes()])
    }
}

/// More leaves than this no tree of ours has, so no proof is longer than 64 hashes.
pub const PROOF_HASHES_MAX: usize = 64;

/// Root over `leaves`. The root of no leaves is the hash of no bytes.
pub fn root(node: impl NodeHash, leaves: &[Digest]) -> Digest {
    match leaves {
        [] => node.empty(),
        [leaf] => *leaf,
        more => {
            let (left, right) = more.split_at(split(more.len()));
            node.join(&root(node, left), &root(node, right))
        }
    }
}

/// The hashes that, with the leaf `index`, give the root over `leaves`; from the leaf upwards.
///
/// # Panics
///
/// When `index` is not the index of a leaf.
pub fn prove(node: impl NodeHash, leaves: &[Digest], index: usize) -> Vec<Digest> {
    assert!(index < leaves.len(), "leaf {index} of {}", leaves.len());
    let mut proof = Vec::new();
    let (mut leaves, mut index) = (leaves, index);
    while leaves.len() > 1 {
        let (left, right) = leaves.split_at(split(leaves.len()));
        if index < left.len() {
            proof.push(root(node, right));
            leaves = left;
        } else {
            proof.push(root(node, left));
            index -= left.len();
            leaves = right;
        }
    }
    proof.reverse();
    proof
}

/// Every proof of a tree, and its root: the cost of one tree instead of one for each leaf.
pub fn prove_all(node: impl NodeHash, leaves: &[Digest]) -> (Digest, Vec<Vec<Digest>>) {
    let mut proofs = vec![Vec::new(); leaves.len()];
    let root = if leaves.is_empty() { root(node, leaves) } else { prove_into(node, leaves, &mut proofs) };
    (root, proofs)
}

fn prove_into(node: impl NodeHash, leaves: &[Digest], proofs: &mut [Vec<Digest>]) -> Digest {
    if let [leaf] = leaves {
        return *leaf;
    }
    let at = split(leaves.len());
    let (left_proofs, right_proofs) = proofs.split_at_mut(at);
    let left = prove_into(node, &leaves[..at], left_proofs);
    let right = prove_into(node, &leaves[at..], right_proofs);
    left_proofs.iter_mut().for_each(|proof| proof.push(right));
    right_proofs.iter_mut().for_each(|proof| proof.push(left));
    node.join(&left, &right)
}

/// The root that `leaf` at `index` of `size` leaves has with `proof`; `None` when the proof has not
/// exactly the length that `index` and `size` fix.
pub fn root_of_proof(
    node: impl NodeHash,
    leaf: Digest,
    index: u64,
    size: u64,
    proof: &[Digest],
) -> Option<Digest> {
    if index >= size {
        return None;
    }
    // Walks from the leaf to the root: at each level either there is a sibling, or the node is the
    // last of an odd row and rises unchanged.
    let (mut at, mut last, mut digest) = (index, size - 1, leaf);
    let mut hashes = proof.iter();
    while last > 0 {
        if at % 2 == 1 {
            digest = node.join(hashes.next()?, &digest);
        } else if at < last {
            digest = node.join(&digest, hashes.next()?);
        }
        at /= 2;
        last /= 2;
    }
    hashes.next().is_none().then_some(digest)
}

/// A tree that only grows, kept as the roots of its complete subtrees: at most 64 hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frontier<N = Context> {
    node: N,
    /// Roots of complete subtrees, largest first; their sizes are the set bits of `size`.
    peaks: Vec<Digest>,
    size: u64,
}

impl<N: NodeHash> Frontier<N> {
    /// A tree without leaves.
    pub const fn new(node: N) -> Self {
        Self { node, peaks: Vec::new(), size: 0 }
    }

    /// The tree of `size` leaves whose complete subtrees have the roots `peaks`, largest first; `None`
    /// when their number is not the one that `size` fixes.
    pub fn from_peaks(node: N, peaks: Vec<Digest>, size: u64) -> Option<Self> {
        (peaks.len() == size.count_ones() as usize).then_some(Self { node, peaks, size })
    }

    /// Appends a leaf.
    pub fn push(&mut self, leaf: Digest) {
        let mut digest = leaf;
        for _ in 0..self.size.trailing_ones() {
            let left = self.peaks.pop().expect("each set bit of the size has its peak");
            digest = self.node.join(&left, &digest);
        }
        self.peaks.push(digest);
        self.size += 1;
    }

    /// Root over all leaves so far.
    pub fn root(&self) -> Digest {
        let mut peaks = self.peaks.iter().rev();
        match peaks.next() {
            None => root(self.node, &[]),
            Some(last) => peaks.fold(*last, |right, left| self.node.join(left, &right)),
        }
    }

    /// How many leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Roots of the complete subtrees, largest first.
    pub fn peaks(&self) -> &[Digest] {
        &self.peaks
    }
}

/// Largest power of two below `n`, for `n` of 2 and more.
fn split(n: usize) -> usize {
    1 << (n - 1).ilog2()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: Context = Context::ChainNode;

    fn leaves(count: usize) -> Vec<Digest> {
        (0..count).map(|i| hash(Context::ChainLeaf, &[&i.to_le_bytes()])).collect()
    }

    #[test]
    fn every_leaf_of_every_small_tree_is_proved() {
        for size in 1..40 {
            let leaves = leaves(size);
            let expected = root(NODE, &leaves);
            let (all_root, all) = prove_all(NODE, &leaves);
            assert_eq!(all_root, expected);
            for index in 0..size {
                let proof = prove(NODE, &leaves, index);
                assert_eq!(all[index], proof);
                let got = root_of_proof(NODE, leaves[index], index as u64, size as u64, &proof);
                assert_eq!(got, Some(expected), "leaf {index} of {size}");
            }
        }
    }

    #[test]
    fn a_proof_of_any_other_length_index_or_size_gives_another_root() {
        let leaves = leaves(21);
        let expected = root(NODE, &leaves);
        let proof = prove(NODE, &leaves, 20);
        let check = |index, size, proof: &[Digest]| root_of_proof(NODE, leaves[20], index, size, proof);
        let mut longer = proof.clone();
        longer.push(expected);
        assert_eq!(check(20, 21, &longer), None);
        assert_eq!(check(20, 21, &proof[1..]), None);
        assert_eq!(check(21, 21, &proof), None);
        assert_eq!(check(0, 0, &[]), None);
        for (index, size) in [(19, 21), (20, 22), (20, 24), (4, 21)] {
            assert_ne!(check(index, size, &proof), Some(expected), "{index} of {size}");
        }
    }

    #[test]
    fn the_frontier_has_the_root_of_the_whole_tree() {
        let leaves = leaves(70);
        let mut frontier = Frontier::new(NODE);
        assert_eq!(frontier.root(), root(NODE, &[]));
        for (i, leaf) in leaves.iter().enumerate() {
            frontier.push(*leaf);
            assert_eq!(frontier.root(), root(NODE, &leaves[..=i]));
            let again = Frontier::from_peaks(NODE, frontier.peaks().to_vec(), frontier.size());
            assert_eq!(again.as_ref(), Some(&frontier));
        }
        assert_eq!(Frontier::from_peaks(NODE, vec![], 1), None);
    }
}
