//! Keys of the tree: `tag u8 ‖ match id 32 ‖ number u64 big-endian ‖ part u16 big-endian`.

use cadastre_protocol::{ChunkId, Digest, MatchId, Seat, Seq};

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Tag {
    /// [`super::MatchRecord`].
    Match = 1,
    /// [`super::Mark`].
    Mark = 2,
    /// A block by its height.
    Block = 3,
    /// [`super::AcceptedRecord`], by seat and number.
    Accepted = 4,
    /// The chain's part of the newest keyframe.
    KeyframeState = 5,
    /// A chunk of the newest keyframe, by its number.
    KeyframeChunk = 6,
    /// [`super::DoubleRecord`], by seat.
    Double = 7,
    /// [`super::LineRecord`], by its number modulo [`cadastre_protocol::LINES_KEPT`].
    Line = 8,
    /// A chunk of the state that a fork begins with, by its number.
    FirstChunk = 9,
}

const BYTES: usize = 1 + 32 + 8 + 2;

/// A key of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key([u8; BYTES]);

impl Key {
    pub(super) fn of(tag: Tag, match_id: MatchId, number: u64) -> Self {
        let mut key = [0; BYTES];
        key[0] = tag as u8;
        key[1..33].copy_from_slice(match_id.as_bytes());
        key[33..41].copy_from_slice(&number.to_be_bytes());
        Self(key)
    }

    pub(super) fn accepted(match_id: MatchId, seat: Seat, seq: Seq) -> Self {
        Self::of(Tag::Accepted, match_id, u64::from(seat.get()) << 32 | u64::from(seq.get()))
    }

    pub(super) fn prefix(tag: Tag, match_id: MatchId) -> [u8; 33] {
        let mut prefix = [tag as u8; 33];
        prefix[1..].copy_from_slice(match_id.as_bytes());
        prefix
    }

    /// The key of the next part of a value that is cut into parts.
    pub(super) fn next_part(mut self) -> Self {
        let part = u16::from_be_bytes([self.0[41], self.0[42]]);
        // A value has at most 64 KiB, which is 16 parts.
        self.0[41..].copy_from_slice(&part.saturating_add(1).to_be_bytes());
        self
    }

    pub(super) fn match_id(key: &[u8]) -> Option<MatchId> {
        Some(MatchId::new(Digest::new(key.get(1..33)?.try_into().ok()?)))
    }

    pub(super) fn chunk(key: &[u8]) -> Option<ChunkId> {
        let number = u64::from_be_bytes(key.get(33..41)?.try_into().ok()?);
        Some(ChunkId::new(u16::try_from(number).ok()?))
    }

    pub(super) fn seat(key: &[u8]) -> Option<Seat> {
        let number = u64::from_be_bytes(key.get(33..41)?.try_into().ok()?);
        Seat::new(u8::try_from(number).ok()?)
    }

    pub(super) fn part(key: &[u8]) -> Option<u16> {
        Some(u16::from_be_bytes(key.get(41..43)?.try_into().ok()?))
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
