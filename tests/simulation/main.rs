//! Whole matches over a network, a disk and processes that fail: the sessions of players and spectators, sealed
//! connections, rooms, and the store with its signer, from the empty lobby to the audit of the exported file. All
//! in one thread and in virtual time.
//!
//! Whatever fails on the way, a match goes on by itself, all end with the same head, nothing that anybody was
//! shown is taken back, every receipt is kept, nobody acts twice, nobody honest is charged with anything, and the
//! file is valid. A number says all that happens in a match; that of one that goes wrong is printed. One variable
//! plays it again, or others than usual, and `scripts/simulate` many of them:
//!
//! ```text
//! CADASTRE_SEED=17 cargo nextest run --features faults --test simulation
//! scripts/simulate 1000 500
//! ```

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod disk;
mod link;
#[path = "../../client/tests/support/predictions.rs"]
mod predictions;
mod random;
mod server;
mod witness;
mod world;

use cadastre_protocol::{
    AbsencePolicy, Access, AgreementPolicy, Clock, DoubleTransactionPolicy, RandomnessMode, RoomSpec,
    SealReason, SkipPolicy, SpectatorPolicy, TakebackPolicy, TurnMode, Visibility,
};
use witness::Stored;
use world::{Faults, World};

/// Seeds that are played unless others are asked for.
const SEEDS: u64 = 480;

/// What fails is decided by the remainder of the seed.
const KINDS: u64 = 8;

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
            let world = World::new(seed, &[spec], Faults::default()).delayed_by(latency_ms);
            let (_, waits) = world.run_measured();
            assert_eq!(waits.len(), 10, "turns that were waited for");
            assert!(waits.iter().all(|wait| *wait >= 2 * latency_ms), "{waits:?}");
        }
    }
}

#[test]
fn turns_are_taken_back_in_some_matches() {
    let goes_back =
        |seed: u64| World::new(seed, &specs(seed), faults(seed)).run().iter().any(Stored::went_back);
    assert!((0..SEEDS).step_by(8).any(goes_back));
}

#[test]
fn some_matches_pause_some_are_ended_by_all_and_in_some_a_seat_is_skipped() {
    let (mut paused, mut ended, mut skipped) = (false, false, false);
    for seed in (0..SEEDS).filter(|seed| seed % KINDS < 2) {
        for stored in World::new(seed, &specs(seed), faults(seed)).run() {
            paused |= stored.paused();
            ended |= stored.reason == SealReason::Agreed;
            skipped |= stored.skipped();
        }
        if paused && ended && skipped {
            return;
        }
    }
    panic!("paused: {paused}, ended by all: {ended}, skipped: {skipped}");
}

#[test]
fn one_seed_is_one_match() {
    for seed in 0..KINDS {
        assert!(play_one(seed) == play_one(seed), "seed {seed}");
    }
}

fn faults(seed: u64) -> Faults {
    let none = Faults { exports: 2, proposals: 6, motions: 6, ..Faults::default() };
    let everything = Faults {
        cuts: 6,
        partitions: 2,
        crashes: 2,
        stops: 1,
        disk_faults: 2,
        slow: 2,
        deaths: 3,
        twins: 2,
        lapses: 3,
        resignations: 1,
        desyncs: 2,
        ..none
    };
    match seed % KINDS {
        0 => none,
        1 => Faults { cuts: 10, partitions: 3, slow: 3, lapses: 3, ..none },
        2 => Faults { crashes: 3, stops: 2, lapses: 3, ..none },
        3 => Faults { crashes: 1, disk_faults: 5, exports: 20, ..none },
        4 => Faults { deaths: 6, twins: 3, resignations: 1, ..none },
        5 => Faults { desyncs: 9, ..none },
        6 => everything,
        _ => Faults { ends: 1, ..everything },
    }
}

/// What is played: one room, sometimes two.
fn specs(seed: u64) -> Vec<RoomSpec> {
    let variant = seed / KINDS;
    if variant % 5 == 4 { vec![spec(variant), spec(variant / 5)] } else { vec![spec(variant)] }
}

fn spec(variant: u64) -> RoomSpec {
    let mode = if variant.is_multiple_of(2) { TurnMode::Simultaneous } else { TurnMode::Alternating };
    let visibility = match variant % 3 {
        0 => Visibility::Held,
        1 => Visibility::Sealed,
        _ => Visibility::Open,
    };
    let is_random = variant / 6 % 2 == 1;
    let (rules, size, turns_max) = match variant % 8 {
        3 => ("city", 64, Some(8)),
        // Long enough for a keyframe.
        5 => ("boxes", 6, is_random.then_some(100)),
        _ => ("boxes", 3, is_random.then_some(40)),
    };
    // Who does nothing wrong has time enough, for both halves of a turn.
    let increment_ms = if visibility == Visibility::Sealed { 6_000 } else { 4_000 };
    let clock = match variant % 7 {
        0..4 => Clock::PerTurn,
        _ => Clock::Bank { initial_ms: increment_ms + 2_000, increment_ms },
    };
    let absence = match variant % 9 {
        0..4 => AbsencePolicy::USUAL,
        4..7 => AbsencePolicy::Forfeit { abandon_after: 50, forfeit_after: 4 },
        _ => AbsencePolicy::Shrink { abandon_after: 50, forfeit_after: Some(6), shortest_ms: 3_000 },
    };
    let seats = u8::try_from(2 + variant / 2 % 3).unwrap();
    RoomSpec {
        rules: rules.into(),
        size: Some(size),
        seats,
        mode,
        turns_max,
        deadline_ms: Some(5_000),
        spectators: SpectatorPolicy::Allowed { delay_turns: if variant % 5 == 4 { 2 } else { 0 } },
        double_transactions: DoubleTransactionPolicy::EndMatch,
        visibility,
        randomness: if is_random { RandomnessMode::CommitReveal } else { RandomnessMode::None },
        takebacks: if !is_random && variant % 4 < 2 {
            TakebackPolicy::Unanimous
        } else {
            TakebackPolicy::Never
        },
        agreements: AgreementPolicy {
            pause_ms_max: if variant % 5 < 3 { 3_000 } else { 0 },
            end: variant % 3 < 2,
            skip: match variant % 4 {
                0 | 3 => SkipPolicy::Majority,
                1 => SkipPolicy::AllOthers,
                _ => SkipPolicy::Never,
            },
        },
        clock,
        absence,
        seats_min: seats,
        access: Access::PUBLIC,
        fork: None,
    }
}

/// Plays the seeds of a kind.
fn play(kind: u64) {
    for seed in seeds().filter(|seed| seed % KINDS == kind) {
        let announced = Announced(seed);
        play_one(seed);
        std::mem::forget(announced);
    }
}

/// Plays a seed, and gives the files of its matches.
fn play_one(seed: u64) -> Vec<Vec<u8>> {
    let played = World::new(seed, &specs(seed), faults(seed)).run();
    played.into_iter().map(|stored| stored.bytes).collect()
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
