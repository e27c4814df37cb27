//! The one commitment to the state of a game: a binary tree over 2¹⁶ numbered chunks.
//!
//! `docs/protocol.md`, "State root".

use std::sync::LazyLock;

use bincode::{Decode, Encode};

use crate::{
    hash::{Context, Digest, hash},
    ids::StateRoot,
};

/// Levels of inner nodes above the chunks.
pub const STATE_TREE_DEPTH: usize = 16;

/// Number of a chunk of state. Games number their chunks from 0, closely: the tree's memory is 64 bytes
/// for each number up to the highest one in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct ChunkId(u16);

impl ChunkId {
    /// Takes a number; all 2¹⁶ are valid.
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }

    const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Hashes of all chunks and of the nodes above them, renewed only where chunks changed.
#[derive(Clone, Debug)]
pub struct StateTree {
    /// `levels[0]` are leaves, `levels[16]` is the root. Beyond a level's length every node is the
    /// constant root of an empty subtree.
    levels: [Vec<Digest>; STATE_TREE_DEPTH + 1],
}

impl StateTree {
    /// The tree of a state without chunks.
    pub fn new() -> Self {
        Self { levels: Default::default() }
    }

    /// Sets the chunks that changed, in ascending order; `None` takes a chunk out. The cost is one leaf
    /// hash for each chunk and one node hash for each node above any of them.
    ///
    /// # Panics
    ///
    /// When the ids do not ascend.
    pub fn update<'a>(&mut self, chunks: impl IntoIterator<Item = (ChunkId, Option<&'a [u8]>)>) {
        let mut changed: Vec<usize> = Vec::new();
        for (id, bytes) in chunks {
            assert!(changed.last().is_none_or(|last| *last < id.index()), "chunk ids ascend");
            self.set(0, id.index(), bytes.map_or(EMPTY[0], leaf));
            changed.push(id.index());
        }
        for level in 1..=STATE_TREE_DEPTH {
            changed.iter_mut().for_each(|index| *index /= 2);
            changed.dedup();
            for &index in &changed {
                let digest = node(&self.get(level - 1, 2 * index), &self.get(level - 1, 2 * index + 1));
                self.set(level, index, digest);
            }
        }
    }

    /// Commits to every chunk.
    pub fn root(&self) -> StateRoot {
        StateRoot::new(self.get(STATE_TREE_DEPTH, 0))
    }

    /// Shows what the tree holds at `id`: with the chunk's bytes, or with their absence, it gives the root.
    pub fn prove(&self, id: ChunkId) -> ChunkProof {
        let mut siblings = [Digest::ZERO; STATE_TREE_DEPTH];
        for (level, sibling) in siblings.iter_mut().enumerate() {
            *sibling = self.get(level, (id.index() >> level) ^ 1);
        }
        ChunkProof { id, siblings }
    }

    fn get(&self, level: usize, index: usize) -> Digest {
        self.levels[level].get(index).copied().unwrap_or(EMPTY[level])
    }

    fn set(&mut self, level: usize, index: usize, digest: Digest) {
        let nodes = &mut self.levels[level];
        if nodes.len() <= index {
            nodes.resize(index + 1, EMPTY[level]);
        }
        nodes[index] = digest;
    }
}

impl Default for StateTree {
    fn default() -> Self {
        Self::new()
    }
}

/// Shows what a state holds at one chunk number.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ChunkProof {
    /// The chunk.
    pub id: ChunkId,
    /// The 16 neighbours on the way to the root, from the leaf upwards.
    pub siblings: [Digest; STATE_TREE_DEPTH],
}

impl ChunkProof {
    /// The root of the state that holds `chunk` at this number; `None` means that it holds none there.
    pub fn root(&self, chunk: Option<&[u8]>) -> StateRoot {
        let mut digest = chunk.map_or(EMPTY[0], leaf);
        for (level, sibling) in self.siblings.iter().enumerate() {
            digest = match self.id.index() >> level & 1 {
                0 => node(&digest, sibling),
                _ => node(sibling, &digest),
            };
        }
        StateRoot::new(digest)
    }
}

/// Roots of empty subtrees by level.
static EMPTY: LazyLock<[Digest; STATE_TREE_DEPTH + 1]> = LazyLock::new(|| {
    let mut roots = [hash(Context::StateNode, &[]); STATE_TREE_DEPTH + 1];
    for level in 1..roots.len() {
        roots[level] = node(&roots[level - 1], &roots[level - 1]);
    }
    roots
});

fn leaf(chunk: &[u8]) -> Digest {
    hash(Context::StateLeaf, &[chunk])
}

fn node(left: &Digest, right: &Digest) -> Digest {
    hash(Context::StateNode, &[left.as_bytes(), right.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(id: u16) -> (ChunkId, Vec<u8>) {
        (ChunkId::new(id), vec![id.to_le_bytes()[0]; 40])
    }

    fn tree(chunks: &[(ChunkId, Vec<u8>)]) -> StateTree {
        let mut tree = StateTree::new();
        tree.update(chunks.iter().map(|(id, bytes)| (*id, Some(bytes.as_slice()))));
        tree
    }

    #[test]
    fn one_by_one_and_at_once_give_the_same_root() {
        let chunks: Vec<_> = [0, 1, 2, 7, 500, 65535].map(chunk).into();
        let whole = tree(&chunks);
        let mut steps = StateTree::new();
        for (id, bytes) in chunks.iter().rev() {
            steps.update([(*id, Some(bytes.as_slice()))]);
        }
        assert_eq!(steps.root(), whole.root());
    }

    #[test]
    fn a_removed_chunk_leaves_no_trace() {
        let mut changed = tree(&[chunk(3), chunk(9)]);
        changed.update([(ChunkId::new(9), None)]);
        assert_eq!(changed.root(), tree(&[chunk(3)]).root());
        changed.update([(ChunkId::new(3), None)]);
        assert_eq!(changed.root(), StateTree::new().root());
    }

    #[test]
    fn an_empty_chunk_is_not_an_absent_one() {
        let mut empty = StateTree::new();
        empty.update([(ChunkId::new(0), Some(&[][..]))]);
        assert_ne!(empty.root(), StateTree::new().root());
    }

    #[test]
    fn presence_and_absence_are_proved() {
        let chunks: Vec<_> = [0, 5, 6, 300].map(chunk).into();
        let tree = tree(&chunks);
        for (id, bytes) in &chunks {
            assert_eq!(tree.prove(*id).root(Some(bytes)), tree.root());
            assert_ne!(tree.prove(*id).root(Some(b"other")), tree.root());
            assert_ne!(tree.prove(*id).root(None), tree.root());
        }
        assert_eq!(tree.prove(ChunkId::new(4)).root(None), tree.root());
    }
}
