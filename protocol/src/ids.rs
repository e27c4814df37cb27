//! The names and counters of a match. Each is its own type, so that a height is never taken for a turn.

use std::fmt;

use bincode::{
    BorrowDecode, Decode, Encode,
    de::{BorrowDecoder, Decoder},
    error::DecodeError,
};

use crate::hash::Digest;

/// Most seats a match can have.
pub const SEATS_MAX: u8 = 8;

/// A player's place in a match, 0 to 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode)]
pub struct Seat(u8);

impl Seat {
    /// `None` when `index` is not below [`SEATS_MAX`].
    pub const fn new(index: u8) -> Option<Self> {
        if index < SEATS_MAX { Some(Self(index)) } else { None }
    }

    /// The place, 0 to 7.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The place as an index into a list of seats.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The first `count` seats in ascending order; all eight when `count` is larger.
    pub fn first(count: u8) -> impl DoubleEndedIterator<Item = Self> + Clone {
        (0..count.min(SEATS_MAX)).map(Self)
    }
}

impl fmt::Display for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

// By hand, because a derived `Decode` would let a peer make seat 200.
impl<C> Decode<C> for Seat {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Self::new(u8::decode(decoder)?).ok_or(DecodeError::Other("seat out of range"))
    }
}

impl<'de, C> BorrowDecode<'de, C> for Seat {
    fn borrow_decode<D: BorrowDecoder<'de, Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Self::decode(decoder)
    }
}

/// A set of seats, by the bits of a byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Encode, Decode)]
pub struct SeatSet(u8);

impl SeatSet {
    /// No seat.
    pub const EMPTY: Self = Self(0);

    /// The first `count` seats.
    pub fn first(count: u8) -> Self {
        Seat::first(count).collect()
    }

    /// Adds `seat`; `true` when it was not there.
    pub fn insert(&mut self, seat: Seat) -> bool {
        let before = self.0;
        self.0 |= 1 << seat.0;
        self.0 != before
    }

    /// Takes `seat` out.
    pub fn remove(&mut self, seat: Seat) {
        self.0 &= !(1 << seat.0);
    }

    /// Is `seat` in the set?
    pub const fn contains(self, seat: Seat) -> bool {
        self.0 & 1 << seat.0 != 0
    }

    /// Is every seat of `other` in this set?
    pub const fn contains_all(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// The seats of this set that are not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// No seat at all?
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many seats.
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// The seats in ascending order.
    pub fn iter(self) -> impl Iterator<Item = Seat> {
        Seat::first(SEATS_MAX).filter(move |seat| self.contains(*seat))
    }
}

impl FromIterator<Seat> for SeatSet {
    fn from_iter<I: IntoIterator<Item = Seat>>(seats: I) -> Self {
        seats.into_iter().fold(Self::EMPTY, |mut set, seat| {
            set.insert(seat);
            set
        })
    }
}

/// Declares a counter: private field, explicit constructor, and `next` as its only arithmetic.
macro_rules! counter {
    ($(#[$doc:meta])* $name:ident($int:ty), $zero:ident: $zero_doc:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
        pub struct $name($int);

        impl $name {
            #[doc = $zero_doc]
            pub const $zero: Self = Self(0);

            /// Takes a number as it is.
            pub const fn new(number: $int) -> Self {
                Self(number)
            }

            /// The number.
            pub const fn get(self) -> $int {
                self.0
            }

            /// `None` when the counter is exhausted.
            pub fn next(self) -> Option<Self> {
                self.0.checked_add(1).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

counter! {
    /// One lockstep turn of a match. Turn 0 is the state at the start, before anybody moved.
    Turn(u32), START: "The state before the first move."
}
counter! {
    /// Number of a block. The genesis has height 0; every block adds one, takebacks too.
    Height(u64), GENESIS: "The genesis."
}
counter! {
    /// How many takeback blocks came before.
    Attempt(u32), FIRST: "No takeback yet."
}
counter! {
    /// Which of a seat's delegations is meant; a later one revokes the earlier ones.
    Epoch(u32), FIRST: "The delegation of the Join."
}
counter! {
    /// Number of a transaction among those of its seat that are in blocks. Join is 0.
    Seq(u32), JOIN: "The Join."
}

/// Milliseconds since 1970-01-01 00:00 UTC, as the server's clock has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Millis(u64);

impl Millis {
    /// Takes a number of milliseconds.
    pub const fn new(millis: u64) -> Self {
        Self(millis)
    }

    /// The number of milliseconds.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// `span_ms` later; stays at the end of time rather than wrapping.
    #[must_use]
    pub const fn after(self, span_ms: u64) -> Self {
        Self(self.0.saturating_add(span_ms))
    }
}

/// Declares a hash that names one kind of object.
macro_rules! digest {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
        pub struct $name(Digest);

        impl $name {
            /// Takes a digest that is known to name such an object.
            pub const fn new(digest: Digest) -> Self {
                Self(digest)
            }

            /// The digest.
            pub const fn digest(&self) -> Digest {
                self.0
            }

            /// The 32 bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

digest! {
    /// Names a match: the hash of its genesis.
    MatchId
}
digest! {
    /// Names a block: the hash of its header. The genesis is named by its [`MatchId`].
    BlockHash
}
digest! {
    /// Names a transaction: the hash of its body, without the signature.
    TxHash
}
digest! {
    /// Commits to the whole state of the simulation.
    StateRoot
}
digest! {
    /// Names what somebody said: the hash of its body, without the signature.
    TalkHash
}
digest! {
    /// Names a line of a conversation, and with it all lines before.
    LineHash
}

impl MatchId {
    /// The genesis as the block before the first.
    pub const fn as_block(self) -> BlockHash {
        BlockHash(self.0)
    }

    /// What the first transaction of every seat links to.
    pub const fn as_tx(self) -> TxHash {
        TxHash(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_set_is_a_set() {
        let mut set = SeatSet::first(3);
        let seat = |index| Seat::new(index).unwrap();
        assert!(!set.insert(seat(2)));
        assert!(set.insert(seat(7)));
        set.remove(seat(0));
        assert_eq!(set.iter().map(Seat::get).collect::<Vec<_>>(), [1, 2, 7]);
        assert_eq!(set.len(), 3);
        assert!(SeatSet::first(8).contains_all(set));
        assert!(!set.contains_all(SeatSet::first(8)));
        assert_eq!(set.without(SeatSet::first(2)).iter().map(Seat::get).collect::<Vec<_>>(), [2, 7]);
    }

    #[test]
    fn counters_end_instead_of_wrapping() {
        assert_eq!(Turn::START.next(), Some(Turn::new(1)));
        assert_eq!(Turn::new(u32::MAX).next(), None);
    }
}
