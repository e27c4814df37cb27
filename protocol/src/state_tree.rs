//! The one commitment to the state of a game: a binary tree over 2¹⁶ numbered chunks.
//!
//! `docs/protocol.md`, "State root".

use std::sync::LazyLock;

use bincode::{Decode, Encode};

use crate::{
    hash::{Context, Digest, hash},
    ids::StateRoot,
};

/// Levels that one step of a [`StateWalk`] goes down.
const WALK_LEVELS: usize = 4;

/// Nodes that one step of a [`StateWalk`] gives for each node that it asks for.
pub const WALK_FANOUT: usize = 1 << WALK_LEVELS;

/// Most nodes that one step of a [`StateWalk`] asks for: all of a state whose chunks are numbered up to 1,600.
pub const WALK_NODES_MAX: usize = 100;

/// Levels of inner nodes above the chunks.
pub const STATE_TREE_DEPTH: usize = 16;

/// Longest chunk of state, in bytes.
pub const CHUNK_BYTES_MAX: usize = 8192;

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

    /// The chunks in which the two states differ, ascending. The cost is that of the nodes above these.
    pub fn differing(&self, other: &Self) -> Vec<ChunkId> {
        let mut indices: Vec<usize> = vec![0];
        for level in (0..=STATE_TREE_DEPTH).rev() {
            indices.retain(|index| self.get(level, *index) != other.get(level, *index));
            if level > 0 {
                indices = indices.into_iter().flat_map(|index| [2 * index, 2 * index + 1]).collect();
            }
        }
        let id = |index| ChunkId::new(u16::try_from(index).expect("one of 2¹⁶ leaves"));
        indices.into_iter().map(id).collect()
    }

    /// Shows what the tree holds at `id`: with the chunk's bytes, or with their absence, it gives the root.
    pub fn prove(&self, id: ChunkId) -> ChunkProof {
        let mut siblings = [Digest::ZERO; STATE_TREE_DEPTH];
        for (level, sibling) in siblings.iter_mut().enumerate() {
            *sibling = self.get(level, (id.index() >> level) ^ 1);
        }
        ChunkProof { id, siblings }
    }

    /// The nodes beside some chunks: together with these they give the root ([`root_beside`]). Both lists ascend;
    /// `all` are the chunks that the tree holds, `watched` some of them.
    pub fn beside(&self, watched: &[ChunkId], all: &[ChunkId]) -> Vec<Digest> {
        let mut beside = Vec::new();
        self.collect_beside(STATE_TREE_DEPTH, 0, (watched, all), &mut beside);
        beside
    }

    fn collect_beside(
        &self,
        level: usize,
        index: usize,
        (watched, all): (&[ChunkId], &[ChunkId]),
        beside: &mut Vec<Digest>,
    ) {
        if all.is_empty() {
            return;
        }
        if watched.is_empty() {
            return beside.push(self.get(level, index));
        }
        if let Some(below) = level.checked_sub(1) {
            let (watched, all) = (halves(below, watched, |id| *id), halves(below, all, |id| *id));
            self.collect_beside(below, 2 * index, (watched.0, all.0), beside);
            self.collect_beside(below, 2 * index + 1, (watched.1, all.1), beside);
        }
    }

    /// The nodes four levels below a node, from left to right. Nothing of a level that is not one of 4, 8, 12
    /// and 16.
    pub fn below(&self, level: u8, index: u16) -> Option<[Digest; WALK_FANOUT]> {
        let level = usize::from(level);
        if !(WALK_LEVELS..=STATE_TREE_DEPTH).contains(&level) || !level.is_multiple_of(WALK_LEVELS) {
            return None;
        }
        let first = usize::from(index) << WALK_LEVELS;
        Some(std::array::from_fn(|at| self.get(level - WALK_LEVELS, first + at)))
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

/// The root of the state that has chunks with these hashes ([`chunk_hash`]) and, beside them, the nodes that
/// [`StateTree::beside`] gave. `None` when these are too few or too many.
pub fn root_beside(watched: &[(ChunkId, Digest)], all: &[ChunkId], beside: &[Digest]) -> Option<StateRoot> {
    let mut rest = beside.iter();
    let root = join_beside(STATE_TREE_DEPTH, watched, all, &mut rest)?;
    rest.next().is_none().then(|| StateRoot::new(root))
}

fn join_beside(
    level: usize,
    watched: &[(ChunkId, Digest)],
    all: &[ChunkId],
    beside: &mut std::slice::Iter<'_, Digest>,
) -> Option<Digest> {
    if all.is_empty() {
        return watched.is_empty().then(|| EMPTY[level]);
    }
    if watched.is_empty() {
        return beside.next().copied();
    }
    let Some(below) = level.checked_sub(1) else { return Some(watched[0].1) };
    let (watched, all) = (halves(below, watched, |(id, _)| *id), halves(below, all, |id| *id));
    let left = join_beside(below, watched.0, all.0, beside)?;
    let right = join_beside(below, watched.1, all.1, beside)?;
    Some(node(&left, &right))
}

/// What lies below the left and the right half of a node, by the bit of the chunks' numbers that tells them apart.
fn halves<T>(bit: usize, chunks: &[T], id: impl Fn(&T) -> ChunkId) -> (&[T], &[T]) {
    chunks.split_at(chunks.partition_point(|chunk| id(chunk).index() >> bit & 1 == 0))
}

/// What stands for a chunk in the tree.
pub fn chunk_hash(chunk: &[u8]) -> Digest {
    leaf(chunk)
}

/// Chunks as files hold them: `count u32 ‖ (id u16 ‖ length u16 ‖ bytes)…`.
///
/// # Panics
///
/// When a chunk is longer than [`CHUNK_BYTES_MAX`].
pub fn chunks_to_bytes(chunks: &[(ChunkId, Vec<u8>)]) -> Vec<u8> {
    let count = u32::try_from(chunks.len()).expect("at most 65,536 chunks have numbers");
    let mut bytes = count.to_le_bytes().to_vec();
    for (id, chunk) in chunks {
        assert!(chunk.len() <= CHUNK_BYTES_MAX, "a chunk of {} bytes", chunk.len());
        let len = u16::try_from(chunk.len()).expect("checked above");
        bytes.extend_from_slice(&id.get().to_le_bytes());
        bytes.extend_from_slice(&len.to_le_bytes());
        bytes.extend_from_slice(chunk);
    }
    bytes
}

/// Reads what [`chunks_to_bytes`] wrote: chunks in strictly ascending order, and nothing after them.
///
/// # Errors
///
/// What is wrong with the bytes.
pub fn chunks_from_bytes(bytes: &[u8]) -> Result<Vec<(ChunkId, Vec<u8>)>, &'static str> {
    const CUT: &str = "it ends within a chunk";
    let (count, mut rest) = bytes.split_first_chunk().ok_or(CUT)?;
    let mut chunks: Vec<(ChunkId, Vec<u8>)> = Vec::new();
    for _ in 0..u32::from_le_bytes(*count) {
        let ([id0, id1, len0, len1], after) = rest.split_first_chunk().ok_or(CUT)?;
        let id = ChunkId::new(u16::from_le_bytes([*id0, *id1]));
        let len = usize::from(u16::from_le_bytes([*len0, *len1]));
        if len > CHUNK_BYTES_MAX {
            return Err("a chunk over its limit");
        }
        if chunks.last().is_some_and(|(last, _)| *last >= id) {
            return Err("chunks not in ascending order");
        }
        let (chunk, after) = after.split_at_checked(len).ok_or(CUT)?;
        chunks.push((id, chunk.to_vec()));
        rest = after;
    }
    if rest.is_empty() { Ok(chunks) } else { Err("bytes left over after the chunks") }
}

/// Finds the chunks in which another state differs from one's own, from the root of the other downwards.
/// `docs/protocol.md`, "Comparing states".
#[derive(Clone, Debug)]
pub struct StateWalk {
    level: usize,
    /// Nodes of the other state at this level that differ from one's own, from left to right.
    nodes: Vec<(u16, Digest)>,
}

impl StateWalk {
    /// Begins at the root of the other state.
    pub fn new(root: StateRoot) -> Self {
        Self { level: STATE_TREE_DEPTH, nodes: vec![(0, Digest::new(*root.as_bytes()))] }
    }

    /// The nodes to be asked for next, with their level; `None` at the end.
    pub fn asks(&self) -> Option<(u8, Vec<u16>)> {
        let level = u8::try_from(self.level).ok().filter(|level| *level > 0)?;
        Some((level, self.nodes.iter().map(|(index, _)| *index).collect()))
    }

    /// Takes what lies below the nodes that were asked for, sixteen for each.
    ///
    /// # Errors
    ///
    /// These are not the nodes of the other state, or too many differ. The walk stays where it is.
    pub fn take(&mut self, own: &StateTree, below: &[Digest]) -> Result<(), WalkError> {
        let (groups, rest) = below.as_chunks::<WALK_FANOUT>();
        if groups.len() != self.nodes.len() || !rest.is_empty() {
            return Err(WalkError::WrongNodes);
        }
        let level = self.level - WALK_LEVELS;
        let mut differing = Vec::new();
        for ((index, root), group) in self.nodes.iter().zip(groups) {
            if joined(group) != *root {
                return Err(WalkError::WrongNodes);
            }
            let first = u32::from(*index) << WALK_LEVELS;
            for (digest, number) in group.iter().zip(first..) {
                let index = u16::try_from(number).map_err(|_| WalkError::WrongNodes)?;
                if own.get(level, usize::from(index)) != *digest {
                    differing.push((index, *digest));
                }
            }
        }
        if level > 0 && differing.len() > WALK_NODES_MAX {
            return Err(WalkError::TooMany);
        }
        (self.level, self.nodes) = (level, differing);
        Ok(())
    }

    /// The chunks that differ, ascending; `None` before the end.
    pub fn chunks(&self) -> Option<Vec<ChunkId>> {
        (self.level == 0).then(|| self.nodes.iter().map(|(index, _)| ChunkId::new(*index)).collect())
    }
}

/// Why a walk cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WalkError {
    /// The other side says that it has other nodes than its root commits to.
    #[error("nodes that the state root does not commit to")]
    WrongNodes,
    /// More than [`WALK_NODES_MAX`] nodes of a level differ.
    #[error("too much differs")]
    TooMany,
}

/// The node four levels above.
fn joined(nodes: &[Digest; WALK_FANOUT]) -> Digest {
    let mut nodes = nodes.to_vec();
    while nodes.len() > 1 {
        nodes = nodes.as_chunks().0.iter().map(|[left, right]| node(left, right)).collect();
    }
    nodes[0]
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
    fn some_chunks_and_what_lies_beside_them_give_the_root() {
        let chunks: Vec<_> = (0..9).chain([500, 65535]).map(chunk).collect();
        let whole = tree(&chunks);
        let all: Vec<_> = chunks.iter().map(|(id, _)| *id).collect();
        for some in [&chunks[..], &chunks[..1], &chunks[3..5], &chunks[8..], &chunks[10..], &[]] {
            let ids: Vec<_> = some.iter().map(|(id, _)| *id).collect();
            let hashes: Vec<_> = some.iter().map(|(id, bytes)| (*id, chunk_hash(bytes))).collect();
            let beside = whole.beside(&ids, &all);
            assert_eq!(root_beside(&hashes, &all, &beside), Some(whole.root()));
            let mut longer = beside.clone();
            longer.push(Digest::ZERO);
            assert_eq!(root_beside(&hashes, &all, &longer), None);
            if let Some((_, shorter)) = beside.split_last() {
                assert_eq!(root_beside(&hashes, &all, shorter), None);
            }
            if let Some(((id, hash), rest)) = hashes.split_first() {
                let others: Vec<_> = std::iter::once((*id, beside.first().copied().unwrap_or(Digest::ZERO)))
                    .chain(rest.iter().copied())
                    .collect();
                assert!(others[0].1 != *hash);
                assert!(root_beside(&others, &all, &beside) != Some(whole.root()));
            }
        }
        assert_eq!(whole.beside(&all, &all), [], "the whole state needs nothing beside it");
        assert_eq!(root_beside(&[(ChunkId::new(77), Digest::ZERO)], &all, &[]), None, "no such chunk");
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

    /// Walks from the root of `theirs` to the chunks in which `own` differs; counts the steps.
    fn walk(own: &StateTree, theirs: &StateTree) -> Result<(usize, Vec<u16>), WalkError> {
        let mut walk = StateWalk::new(theirs.root());
        let mut steps = 0;
        while let Some((level, indices)) = walk.asks() {
            let below: Vec<_> =
                indices.iter().flat_map(|index| theirs.below(level, *index).expect("a level")).collect();
            walk.take(own, &below)?;
            steps += 1;
        }
        Ok((steps, walk.chunks().expect("at the end").iter().map(|id| id.get()).collect()))
    }

    #[test]
    fn a_walk_finds_exactly_the_chunks_that_differ() {
        let base: Vec<_> = (0..1100).chain([40_000, 65_535]).map(chunk).collect();
        let (mut own, theirs) = (tree(&base), tree(&base));
        assert_eq!(walk(&own, &theirs), Ok((4, vec![])));
        let changed = [0, 5, 17, 1099, 40_000, 65_535];
        own.update(changed.map(|id| (ChunkId::new(id), Some(&b"other"[..]))));
        assert_eq!(walk(&own, &theirs), Ok((4, changed.to_vec())));
        assert_eq!(own.differing(&theirs), changed.map(ChunkId::new));
        assert_eq!(theirs.differing(&own), changed.map(ChunkId::new));
        assert_eq!(own.differing(&own.clone()), []);
        own.update([(ChunkId::new(7), None), (ChunkId::new(1100), Some(&b"one more"[..]))]);
        assert_eq!(walk(&own, &theirs), Ok((4, vec![0, 5, 7, 17, 1099, 1100, 40_000, 65_535])));
        let all: Vec<_> = (0..1040).collect();
        let (none, whole) = (StateTree::new(), tree(&all.iter().copied().map(chunk).collect::<Vec<_>>()));
        assert_eq!(walk(&none, &whole), Ok((4, all)));
    }

    #[test]
    fn a_walk_takes_no_nodes_but_those_of_the_root() {
        let (own, theirs) = (tree(&[chunk(1)]), tree(&[chunk(2)]));
        let mut walk = StateWalk::new(theirs.root());
        let good = theirs.below(16, 0).expect("a level");
        for bad in
            [&own.below(16, 0).expect("a level")[..], &good[1..], &[&good[..], &good[..]].concat(), &[]]
        {
            assert_eq!(walk.take(&own, bad), Err(WalkError::WrongNodes));
        }
        assert_eq!(walk.take(&own, &good), Ok(()));
        assert_eq!((theirs.below(3, 0), theirs.below(0, 0), theirs.below(20, 0)), (None, None, None));
        let far: Vec<_> = (0..=100).map(|number| chunk(number * 600)).collect();
        assert_eq!(super::tests::walk(&own, &tree(&far)), Err(WalkError::TooMany));
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
