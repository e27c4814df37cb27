//! The audit of 10,000 turns of four players, beside the verification of the same number of signatures on the
//! same cores; and seeking. In wall time; the CPU time of one run of each is printed beside it.

mod support;

use std::{hint::black_box, time::Duration};

use cadastre_protocol::{Turn, TurnMode};
use cadastre_replay::{
    Replay, audit,
    fixture::{Match, Plan, root_key},
};
use criterion::{Criterion, SamplingMode};
use rayon::prelude::*;
use support::{bare::Bare, clock::cpu_time, server::SEATS};

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(10))
        .configure_from_args();

    let file = replay(&Plan::LONG, TURNS);
    let bare = Bare::new();
    let verify_all = || (0..SIGNATURES).into_par_iter().for_each(|_| bare.verify(0));
    let audit_all = || {
        let report = audit(&file, Some(root_key().public())).expect("the file can be read");
        assert!(report.is_valid());
    };
    eprintln!("CPU time: bare {:?}, audit {:?}", cpu_time_of(verify_all), cpu_time_of(audit_all));
    let mut group = criterion.benchmark_group("audit of 10,000 turns of four");
    group.sampling_mode(SamplingMode::Flat);
    group.bench_function("bare verification of its signatures", |b| b.iter(verify_all));
    group.bench_function("audit", |b| b.iter(audit_all));
    group.finish();

    let plan = Plan { rules: "city", size: 128, turns_max: Some(TURNS_OF_CITY), ..Plan::LONG };
    assert_eq!(plan.mode, TurnMode::Simultaneous);
    let cities = replay(&plan, TURNS_OF_CITY);
    let mut group = criterion.benchmark_group("seek");
    for (name, file, turns) in [("boxes 71²", &file, TURNS), ("city 128²", &cities, TURNS_OF_CITY)] {
        group.bench_function(format!("open, {name}, {turns} turns"), |b| {
            b.iter(|| black_box(Replay::open(file).expect("a whole file")).summary().turns);
        });
        let replay = Replay::open(file).expect("a whole file");
        // The dearest turn: fifteen keyframes over a whole one, and then as many turns as there can be.
        let turn = Turn::new(turns / 1024 * 1024 - 1);
        group.bench_function(format!("turn {turn}, {name}"), |b| {
            b.iter(|| replay.seek(turn).expect("the turn is there").state_root());
        });
    }
    group.finish();
    criterion.final_summary();
}

fn cpu_time_of(run: impl FnOnce()) -> Duration {
    let begun = cpu_time();
    run();
    cpu_time() - begun
}

fn replay(plan: &Plan, turns: u32) -> Vec<u8> {
    let mut made = Match::new(plan);
    made.play(turns);
    let file = made.replay();
    eprintln!("{} {}², {turns} turns: {} KiB", plan.rules, plan.size, file.len() / 1024);
    file
}

const TURNS: u32 = 10_000;

/// The cost of seeking is bounded by the distance of keyframes, not by the length of the match.
const TURNS_OF_CITY: u32 = 1_024;

/// Of the transactions, of the blocks, and of the delegations.
const SIGNATURES: u32 = TURNS * (SEATS as u32 + 1) + 2 * SEATS as u32;
