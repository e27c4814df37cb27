//! Keyframes: the state after a turn, from which a player goes on without all the turns before it.

use std::collections::BTreeMap;

use cadastre_protocol::{ChunkId, StateRoot, StateTree, Turn, chunks_from_bytes, chunks_to_bytes};
use cadastre_simulations::Snapshot;

use crate::{
    damage::{Damage, Fault},
    record::Record,
};

/// Turns between two keyframes that [`crate::Writer::new`] chooses.
pub const KEYFRAME_TURNS: u32 = 64;

/// Every so many keyframes one is whole, so that no more than these have to be laid over each other.
pub const WHOLE_KEYFRAME_EVERY: u32 = 16;

/// Which chunks a keyframe holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// At least those that changed since the keyframe before; before the first, since the start.
    Changed,
    /// All.
    Whole,
}

impl Form {
    /// The form of the keyframe that follows a block that came to `turn`, with so many keyframes before it; `None`
    /// where none does.
    pub(crate) fn after(turn: Turn, keyframe_turns: u32, before: usize) -> Option<Self> {
        if turn == Turn::START || !turn.get().is_multiple_of(keyframe_turns) {
            return None;
        }
        let number = u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1);
        Some(if number.is_multiple_of(WHOLE_KEYFRAME_EVERY) { Self::Whole } else { Self::Changed })
    }

    const fn code(self) -> u8 {
        match self {
            Self::Changed => 0,
            Self::Whole => 1,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        [Self::Changed, Self::Whole].into_iter().find(|form| form.code() == code)
    }
}

/// Content of a keyframe record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keyframe {
    pub(crate) form: Form,
    pub(crate) chunks: Snapshot,
}

impl Keyframe {
    /// `form u8 ‖ 0 0 0 ‖ count u32 ‖ (id u16 ‖ length u16 ‖ bytes)…`
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.form.code(), 0, 0, 0];
        bytes.extend(chunks_to_bytes(&self.chunks));
        bytes
    }

    /// Reads the content of a keyframe record. Whether it is the right state, only its root can tell.
    pub(crate) fn read(record: &Record<'_>) -> Result<Self, Damage> {
        Self::from_bytes(&record.raw()?).map_err(|reason| Fault::Keyframe(reason).at(record.offset))
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, &'static str> {
        let ([form, zeros @ ..], rest) = bytes.split_first_chunk::<4>().ok_or(CUT)?;
        let form = Form::from_code(*form).ok_or("unknown form")?;
        if *zeros != [0; 3] {
            return Err("a reserved field is not zero");
        }
        Ok(Self { form, chunks: chunks_from_bytes(rest)? })
    }

    /// Lays this keyframe over the state of the one before.
    pub(crate) fn lay_over(self, state: &mut BTreeMap<ChunkId, Vec<u8>>) {
        match self.form {
            Form::Changed => {}
            Form::Whole => state.clear(),
        }
        state.extend(self.chunks);
    }

    /// The root of the state that comes of laying this keyframe over the one that `tree` is of.
    pub(crate) fn root_over(&self, tree: &mut StateTree) -> StateRoot {
        match self.form {
            Form::Changed => {}
            Form::Whole => *tree = StateTree::new(),
        }
        tree.update(self.chunks.iter().map(|(id, chunk)| (*id, Some(chunk.as_slice()))));
        tree.root()
    }
}

const CUT: &str = "it ends within a chunk";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyframe_has_one_encoding() {
        let chunks = vec![(ChunkId::new(0), vec![1, 2]), (ChunkId::new(9), vec![])];
        let keyframe = Keyframe { form: Form::Whole, chunks };
        let bytes = keyframe.to_bytes();
        assert_eq!(bytes, [1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 2, 0, 1, 2, 9, 0, 0, 0]);
        assert_eq!(Keyframe::from_bytes(&bytes), Ok(keyframe));
        for cut in 0..bytes.len() {
            assert_eq!(Keyframe::from_bytes(&bytes[..cut]), Err(CUT), "cut at {cut}");
        }
        for (at, value, reason) in [
            (0, 2, "unknown form"),
            (3, 1, "a reserved field is not zero"),
            (4, 1, "bytes left over after the chunks"),
            (7, 255, CUT),
            (11, 33, "a chunk over its limit"),
            (14, 0, "chunks not in ascending order"),
        ] {
            let mut bad = bytes.clone();
            bad[at] = value;
            assert_eq!(Keyframe::from_bytes(&bad), Err(reason), "byte {at}");
        }
    }

    #[test]
    fn every_sixteenth_keyframe_is_whole_and_none_is_at_the_start() {
        let due = |turn| Form::after(Turn::new(turn), 4, 0).is_some();
        assert_eq!((0..10).filter(|turn| due(*turn)).collect::<Vec<_>>(), [4, 8]);
        let is_whole = |before: &usize| Form::after(Turn::new(4), 4, *before) == Some(Form::Whole);
        assert_eq!((0..50).filter(is_whole).collect::<Vec<_>>(), [15, 31, 47]);
    }
}
