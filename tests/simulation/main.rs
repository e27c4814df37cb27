//! Whole matches over a network, a disk and processes that fail: the sessions of players and spectators, sealed
//! connections, rooms, and the store with its signer, from the empty lobby to the audit of the exported file. All
//! in one thread and in virtual time.
//!
//! Whatever fails on the way, a match goes on by itself, all end with the same head, nothing that anybody was
//! shown is taken back, every receipt is kept, nobody acts twice, nobody honest is charged with anything, and the
//! file is valid. Whoever may not come in does not; what light spectators see is what is there; rematches and forks are
//! of what they say they are, rooms wake as they fell asleep, and seats are lent. A number says all that happens in
//! a match; that of one that goes wrong is printed. One variable plays it again, or others than usual, and
//! `scripts/simulate` many of them:
//!
//! ```text
//! CADASTRE_SEED=17 cargo nextest run --features faults --test simulation
//! scripts/simulate 1000 500
//! ```

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod disk;
mod link;
mod plan;
#[path = "../../client/tests/support/predictions.rs"]
mod predictions;
mod random;
mod server;
mod tally;
mod witness;
mod world;

use cadastre_protocol::{RoomSpec, TurnMode};
use plan::{KINDS, Plan, faults, plans, spec};
use tally::Tally;
use world::{Faults, World};

/// Seeds that are played unless others are asked for.
const SEEDS: u64 = 360;

#[test]
fn nothing_fails() {
    play(0);
}

#[test]
fn connections_are_cut() {
    play(1);
}

#[test]
fn servers_die_or_stop_and_come_back() {
    play(2);
}

#[test]
fn disks_fail() {
    play(3);
}

#[test]
fn players_die_give_up_or_are_there_twice() {
    play(4);
}

#[test]
fn tiles_change_in_the_memory_of_everybody() {
    play(5);
}

#[test]
fn everything_fails() {
    play(6);
}

#[test]
fn everything_fails_and_the_operator_ends_it() {
    play(7);
}

/// The world holds what each session predicts against a fresh execution, at each draft and after each event.
#[test]
fn own_commands_show_at_once_however_long_the_way_is() {
    for (seed, latency_ms) in (0..).zip([20, 100, 500]) {
        for (rules, size) in [("boxes", 3), ("city", 64)] {
            let spec = RoomSpec {
                rules: rules.into(),
                size: Some(size),
                seats: 2,
                seats_min: 2,
                turns_max: Some(5),
                mode: TurnMode::Simultaneous,
                // Each of the three visibilities once.
                ..spec(2 * seed)
            };
            let world = World::new(seed, &[Plan::of(spec)], Faults::default()).delayed_by(latency_ms);
            let waits = world.run().waits;
            assert_eq!(waits.len(), 10, "turns that were waited for");
            assert!(waits.iter().all(|wait| *wait >= 2 * latency_ms), "{waits:?}");
        }
    }
}

#[test]
fn one_seed_is_one_match() {
    for seed in 0..KINDS {
        assert!(play_one(seed).0 == play_one(seed).0, "seed {seed}");
    }
}

/// Plays the seeds of a kind. Among those that are played unless others are asked for, everything occurs.
fn play(kind: u64) {
    let mut tally = Tally::default();
    for seed in seeds().filter(|seed| seed % KINDS == kind) {
        let announced = Announced(seed);
        tally.add(&play_one(seed).1);
        std::mem::forget(announced);
    }
    eprintln!("{tally:?}");
    let missing = tally.missing(&faults(kind));
    assert!(seeds() != (0..SEEDS) || missing.is_empty(), "{missing:?}: did not occur");
}

/// Plays a seed, and gives the files of its matches.
fn play_one(seed: u64) -> (Vec<Vec<u8>>, Tally) {
    let played = World::new(seed, &plans(seed), faults(seed)).run();
    (played.matches.into_iter().map(|stored| stored.bytes).collect(), played.tally)
}

fn seeds() -> std::ops::Range<u64> {
    let Ok(asked) = std::env::var("CADASTRE_SEED") else { return 0..SEEDS };
    let number = |text: &str| text.parse::<u64>().expect("CADASTRE_SEED is a number, or two with .. between");
    match asked.split_once("..") {
        Some((first, end)) => number(first)..number(end),
        None => number(&asked)..number(&asked) + 1,
    }
}

/// Prints the seed of a match that goes wrong.
struct Announced(u64);

impl Drop for Announced {
    fn drop(&mut self) {
        eprintln!("CADASTRE_SEED={} plays this match again", self.0);
    }
}
