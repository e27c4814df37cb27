//! How often that occurred for which the seeds are there.

use std::collections::BTreeMap;

use super::world::Faults;

/// Something that has to occur.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rarity {
    /// All took turns back.
    TakenBack,
    /// All wanted the turn to stand still.
    Paused,
    /// All ended the match.
    EndedByAll,
    /// Others did not wait for a seat.
    Skipped,
    /// A turn waited once more for a seat that had lost its connection.
    Graced,
    /// The rules played for a seat.
    TakenOver,
    /// Somebody played for a seat that it was lent.
    Lent,
    /// Somebody took a seat of a running match.
    JoinedLate,
    /// A light spectator was shown a part of the state, having seen another one before.
    LookedElsewhere,
    /// Somebody who was not invited was not let in.
    NotInvited,
    /// Somebody who does not know the password was not let in.
    WrongPassword,
    /// A room slept until somebody came.
    Woken,
    /// A room slept until its turn closed.
    Alarmed,
    /// A match went on from a turn of another one.
    Fork,
    /// All wanted another match in the same room.
    Rematch,
}

/// Counts them.
#[derive(Debug, Default)]
pub(crate) struct Tally(BTreeMap<Rarity, u32>);

impl Rarity {
    const ALL: [Self; 15] = [
        Self::TakenBack,
        Self::Paused,
        Self::EndedByAll,
        Self::Skipped,
        Self::Graced,
        Self::TakenOver,
        Self::Lent,
        Self::JoinedLate,
        Self::LookedElsewhere,
        Self::NotInvited,
        Self::WrongPassword,
        Self::Rematch,
        Self::Fork,
        Self::Woken,
        Self::Alarmed,
    ];
}

impl Tally {
    pub(crate) fn count(&mut self, rarity: Rarity) {
        *self.0.entry(rarity).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        other.0.iter().for_each(|(rarity, count)| *self.0.entry(*rarity).or_default() += count);
    }

    /// What did not occur, though it can with such faults.
    pub(crate) fn missing(&self, faults: &Faults) -> Vec<Rarity> {
        let lapses = [Rarity::Skipped, Rarity::Graced, Rarity::TakenOver];
        // Where servers come back, rooms seldom sleep until a turn closes.
        let can = |rarity: &Rarity| {
            let is_lapse = lapses.contains(rarity);
            (!is_lapse || faults.lapses > 0) && (*rarity != Rarity::Alarmed || faults.crashes == 0)
        };
        Rarity::ALL.into_iter().filter(|rarity| can(rarity) && !self.0.contains_key(rarity)).collect()
    }
}
