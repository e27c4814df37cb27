//! Whole matches over a network, a disk and processes that fail: players' sessions against one room, from the
//! empty lobby to the Seal.
//!
//! Every mode of randomness and visibility is played. Whatever fails on the way, the match goes on by itself, all end with the same head, nothing that anybody was
//! shown is taken back, and every receipt is kept. A seed that fails is printed; one variable plays it again, or
//! others than usual:
//!
//! ```text
//! CADASTRE_SEED=17 cargo nextest run -p cadastre-client --test whole_match
//! CADASTRE_SEED=1000..5000 cargo nextest run -p cadastre-client --test whole_match
//! ```

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use cadastre_protocol::{Head, RandomnessMode, RoomSpec, TurnMode, Visibility};
use support::{
    spec,
    world::{Faults, World},
};

/// Matches that each test plays.
const SEEDS: u64 = 60;

#[test]
fn nothing_fails() {
    play(Faults::default());
}

#[test]
fn connections_are_cut() {
    play(Faults { cuts: 12, lapses: 3, ..Faults::default() });
}

#[test]
fn servers_die_and_come_back() {
    play(Faults { crashes: 4, lapses: 3, ..Faults::default() });
}

#[test]
fn players_die_and_come_back_with_nothing_but_their_key() {
    play(Faults { deaths: 8, ..Faults::default() });
}

#[test]
fn tiles_change_in_the_memory_of_everybody() {
    play(Faults { desyncs: 9, ..Faults::default() });
}

#[test]
fn everything_fails() {
    play(EVERYTHING);
}

#[test]
fn one_seed_is_one_match() {
    for seed in seeds().take(5) {
        assert_eq!(play_one(seed, EVERYTHING), play_one(seed, EVERYTHING));
    }
}

const EVERYTHING: Faults = Faults { cuts: 8, crashes: 3, deaths: 4, lapses: 3, desyncs: 2 };

fn play(faults: Faults) {
    for seed in seeds() {
        let announced = Announced(seed);
        play_one(seed, faults);
        std::mem::forget(announced);
    }
}

fn play_one(seed: u64, faults: Faults) -> Head {
    let mode = if seed.is_multiple_of(2) { TurnMode::Simultaneous } else { TurnMode::Alternating };
    let seats = u8::try_from(2 + seed / 2 % 3).unwrap();
    let visibility = match seed % 3 {
        0 => Visibility::Held,
        1 => Visibility::Sealed,
        _ => Visibility::Open,
    };
    let (randomness, turns_max) = match seed / 6 % 2 {
        0 => (RandomnessMode::None, None),
        _ => (RandomnessMode::CommitReveal, Some(40)),
    };
    let spec = RoomSpec { size: Some(3), visibility, randomness, turns_max, ..spec(seats, mode) };
    World::new(seed, &spec, faults).run()
}

#[allow(
    clippy::disallowed_methods,
    reason = "which match to play again is for the person at the keyboard to say"
)]
fn seeds() -> std::ops::Range<u64> {
    let Ok(asked) = std::env::var("CADASTRE_SEED") else { return 0..SEEDS };
    let number = |text: &str| text.parse::<u64>().expect("CADASTRE_SEED is a number, or two with .. between");
    match asked.split_once("..") {
        Some((first, end)) => number(first)..number(end),
        None => number(&asked)..number(&asked) + 1,
    }
}

/// Prints the seed of a match that fails.
struct Announced(u64);

impl Drop for Announced {
    fn drop(&mut self) {
        eprintln!("CADASTRE_SEED={} plays this match again", self.0);
    }
}
