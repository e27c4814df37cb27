//! What a simulation is started from, and what it says after every turn.

use std::borrow::Cow;

use bincode::{Decode, Encode};

use crate::{
    codec::strictly_ascending,
    hash::Digest,
    ids::{SEATS_MAX, Seat, SeatSet, StateRoot, Turn},
};

/// Longest name of a game's rules, in bytes.
pub const RULES_NAME_BYTES_MAX: usize = 16;

/// Longest options of a game, in bytes.
pub const OPTIONS_BYTES_MAX: usize = 64;

/// Most bytes of commands in one transaction.
pub const COMMANDS_BYTES_MAX: usize = 4096;

/// Which rules a match is played by. Rules that give another state for the same input have another version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct RulesId {
    /// 1 to 16 bytes of `a`–`z`, `0`–`9` and `-`.
    pub name: String,
    /// Counted from 1.
    pub version: u16,
}

impl RulesId {
    pub(crate) fn validate(&self) -> Result<(), &'static str> {
        if is_rules_name(&self.name) && self.version > 0 { Ok(()) } else { Err("rules name or version") }
    }
}

pub(crate) fn is_rules_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=RULES_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(plain)
}

impl std::fmt::Display for RulesId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.name, self.version)
    }
}

/// All that the first state of a match depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// The rules.
    pub rules: RulesId,
    /// The game's own options, at most [`OPTIONS_BYTES_MAX`] bytes in the game's own encoding.
    pub options: Vec<u8>,
    /// How many seats, 1 to 8.
    pub seats: u8,
    /// Where all of the game's randomness comes from.
    pub seed: Digest,
}

/// The commands of one seat for one turn, as they stand in its transaction, or as the rules would have them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orders<'a> {
    /// Who commands.
    pub seat: Seat,
    /// Any number of commands in the game's own encoding. Empty means to do nothing.
    pub commands: Cow<'a, [u8]>,
}

impl<'a> Orders<'a> {
    /// What `seat` commands.
    pub fn new(seat: Seat, commands: impl Into<Cow<'a, [u8]>>) -> Self {
        Self { seat, commands: commands.into() }
    }
}

/// The orders of a turn in their order, and what the game draws its random numbers from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnOrders<'a> {
    /// Nobody knew it when the orders were given, as far as the modes of the match provide for that.
    pub roll: Digest,
    /// At most one for each seat.
    pub orders: Vec<Orders<'a>>,
}

/// What a block has the game do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work<'a> {
    /// Nothing: the state stays.
    Nothing,
    /// Begin again by this seed.
    Begin {
        /// In place of the one of the genesis.
        seed: Digest,
    },
    /// Execute a turn.
    Turn(TurnOrders<'a>),
    /// Go back to the state after an earlier turn.
    Back {
        /// That turn.
        to: Turn,
    },
}

/// How a seat stands. Equal places are a draw between their seats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Standing {
    /// The seat.
    pub seat: Seat,
    /// 1 is best; as in sport, two firsts are followed by a third.
    pub place: u8,
    /// In the game's own unit.
    pub score: i64,
}

impl Standing {
    /// Ranks seats by score, highest first. `scores` stand in the order of the seats.
    pub fn rank(scores: &[i64]) -> Vec<Self> {
        let place = |score: i64| 1 + scores.iter().filter(|other| **other > score).count();
        Seat::first(SEATS_MAX)
            .zip(scores)
            .map(|(seat, &score)| Self {
                seat,
                place: u8::try_from(place(score)).expect("at most eight seats"),
                score,
            })
            .collect()
    }

    pub(crate) fn validate_all(standings: &[Self]) -> Result<(), &'static str> {
        let places_fit = standings.iter().all(|s| (1..=SEATS_MAX).contains(&s.place));
        if places_fit && strictly_ascending(standings.iter().map(|s| s.seat)) {
            Ok(())
        } else {
            Err("standings")
        }
    }
}

/// What executing a turn came to; the chain verifier holds a block against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// Commits to the whole state.
    pub state_root: StateRoot,
    /// Seats that the rules let act in the next turn.
    pub to_move: SeatSet,
    /// Do the rules say that the match is over?
    pub over: bool,
    /// How the seats stand now, one for each in ascending order.
    pub standings: Vec<Standing>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranking_shares_places_as_in_sport() {
        let places: Vec<_> = Standing::rank(&[5, 9, 9, -1]).iter().map(|s| s.place).collect();
        assert_eq!(places, [3, 1, 1, 4]);
    }

    #[test]
    fn rules_names_are_plain() {
        let check = |name: &str, version| RulesId { name: name.into(), version }.validate().is_ok();
        assert!(check("boxes", 1) && check("a-1", 9) && check(&"x".repeat(16), 1));
        assert!(!check("", 1) && !check("Boxes", 1) && !check("boxes", 0) && !check(&"x".repeat(17), 1));
    }
}
