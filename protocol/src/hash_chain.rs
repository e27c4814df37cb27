//! Hash chains: whoever has one commits to numbers that nobody can foresee, and reveals them one after the other.
//! `docs/protocol.md`, "Randomness".

use bincode::{Decode, Encode};
use zeroize::Zeroizing;

use crate::hash::{Context, Digest, hash};

/// The last turn of a match with commit and reveal at most: a chain has an element for each turn and one for the
/// seed.
pub const RANDOM_TURNS_MAX: u32 = 65_535;

/// Elements from one that is kept to the next; those between are hashed again when they are wanted.
const STRIDE: u32 = 256;

/// A whole hash chain. Secret until its last element is revealed.
pub struct HashChain {
    links: u32,
    /// Every [`STRIDE`]th element, the one to be revealed last first.
    kept: Zeroizing<Vec<[u8; 32]>>,
}

impl HashChain {
    /// The chain of a match with this last turn that begins with `seed`, a secret of 32 bytes. Costs a hash for
    /// each turn.
    pub(crate) fn from_seed(seed: Digest, turns_max: u32) -> Self {
        let links = turns_max.saturating_add(1);
        let mut kept = Zeroizing::new(Vec::with_capacity((links / STRIDE + 1) as usize));
        let mut element = seed;
        for number in 0..=links {
            if number.is_multiple_of(STRIDE) {
                kept.push(*element.as_bytes());
            }
            element = link(element);
        }
        Self { links, kept }
    }

    /// What the first element is checked against, and commits to the whole chain.
    pub fn anchor(&self) -> Digest {
        self.at(self.links)
    }

    /// The element to reveal after `revealed` others; `None` when that were all. Costs less than 256 hashes.
    pub fn element(&self, revealed: u32) -> Option<Digest> {
        let left = self.links.checked_sub(revealed)?;
        Some(self.at(left.checked_sub(1)?))
    }

    fn at(&self, number: u32) -> Digest {
        let kept = Digest::new(self.kept[(number / STRIDE) as usize]);
        (0..number % STRIDE).fold(kept, |element, _| link(element))
    }
}

impl std::fmt::Debug for HashChain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HashChain({} elements)", self.links)
    }
}

/// From an element to the one that was revealed before it.
fn link(element: Digest) -> Digest {
    hash(Context::ChainElement, &[element.as_bytes()])
}

/// What a seat commits to in the lobby.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ChainStart {
    /// Of the player's own making, and never used twice: with it and its identity seed the player finds its chain
    /// again.
    pub nonce: [u8; 32],
    /// [`HashChain::anchor`].
    pub anchor: Digest,
}

/// How far a party has revealed its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ChainTip {
    /// The element revealed last; at first the anchor.
    element: Digest,
    /// How many elements were revealed.
    pub(crate) revealed: u32,
}

impl ChainTip {
    pub(crate) const fn at(anchor: Digest) -> Self {
        Self { element: anchor, revealed: 0 }
    }

    /// Is this the element revealed last?
    pub(crate) fn is_at(self, element: Digest) -> bool {
        self.element == element
    }

    /// Does this chain, of at most so many elements, begin with `anchor`? Costs a hash for each element revealed.
    pub(crate) fn stems_from(self, anchor: Digest, most: u32) -> bool {
        self.revealed <= most && (0..self.revealed).fold(self.element, |element, _| link(element)) == anchor
    }

    /// The tip after `element`; `None` if that is not the next.
    pub(crate) fn reveal(self, element: Digest) -> Option<Self> {
        let revealed = self.revealed.checked_add(1)?;
        (link(element) == self.element).then_some(Self { element, revealed })
    }
}

/// From this the server's chains are derived, one for each match. Never shown, never logged.
#[derive(Clone)]
pub struct ChainSecret(Zeroizing<[u8; 32]>);

impl ChainSecret {
    /// Takes 32 secret bytes.
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// The server's chain in the match whose genesis has this nonce.
    pub fn chain(&self, nonce: [u8; 16], turns_max: u32) -> HashChain {
        HashChain::from_seed(hash(Context::ServerChain, &[&*self.0, &nonce]), turns_max)
    }
}

impl std::fmt::Debug for ChainSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ChainSecret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(turns_max: u32) -> HashChain {
        HashChain::from_seed(Digest::new([3; 32]), turns_max)
    }

    #[test]
    fn each_element_leads_to_the_one_before_and_the_last_is_the_seed() {
        for turns in [1, 254, 255, 256, 257, 600] {
            let chain = chain(turns);
            let mut tip = ChainTip::at(chain.anchor());
            for revealed in 0..=turns {
                assert_eq!(tip.revealed, revealed);
                tip = tip.reveal(chain.element(revealed).unwrap()).unwrap();
            }
            assert_eq!(tip.element, Digest::new([3; 32]), "{turns} turns");
            assert_eq!(chain.element(turns + 1), None);
            assert_eq!(chain.element(u32::MAX), None);
        }
    }

    #[test]
    fn only_the_next_element_is_taken() {
        let chain = chain(5);
        let tip = ChainTip::at(chain.anchor());
        assert_eq!(tip.reveal(chain.element(1).unwrap()), None, "one too far");
        assert_eq!(tip.reveal(chain.anchor()), None, "the anchor itself");
        let tip = tip.reveal(chain.element(0).unwrap()).unwrap();
        assert_eq!(tip.reveal(chain.element(0).unwrap()), None, "twice");
    }

    #[test]
    fn the_servers_chains_differ_with_match_and_secret() {
        let anchor = |secret, nonce| ChainSecret::new(&[secret; 32]).chain([nonce; 16], 4).anchor();
        assert_eq!(anchor(1, 1), anchor(1, 1));
        assert!(anchor(1, 1) != anchor(1, 2) && anchor(1, 1) != anchor(2, 1));
    }

    #[test]
    fn nothing_secret_is_shown() {
        let secret = ChainSecret::new(&[0xab; 32]);
        let shown = format!("{secret:?} {:?}", secret.chain([0; 16], 3));
        assert_eq!(shown, "ChainSecret HashChain(4 elements)");
    }
}
