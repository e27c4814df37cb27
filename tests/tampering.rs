//! A file that was changed anywhere is never valid, and the command says where it is broken.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "only in tests")]

mod support;

use cadastre_protocol::RoomSpec;
use cadastre_replay::{
    Replay, audit,
    fixture::{blocks_of, with_blocks},
};
use support::{Ran, Scene, city, random::Random, spec};

const SEED: u64 = 30_031_121;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_file_with_a_flipped_bit_is_valid() {
    for (spec, rounds) in games() {
        let (scene, root) = Scene::with_a_match(spec).await;
        let file = scene.read("match.cadr");
        assert!(audit(&file, Some(root)).is_ok_and(|report| report.is_valid()));
        let mut random = Random::for_this_run(SEED);
        for _ in 0..rounds {
            let (byte, bit) = (random.below(file.len()), random.below(8));
            let mut bad = file.clone();
            bad[byte] ^= 1 << bit;
            let judged = audit(&bad, Some(root));
            assert!(!judged.is_ok_and(|report| report.is_valid()), "byte {byte}, bit {bit}");
            look_at_all(&bad);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_file_that_was_cut_is_valid() {
    for (spec, rounds) in games() {
        let (scene, root) = Scene::with_a_match(spec).await;
        let file = scene.read("match.cadr");
        let mut random = Random::for_this_run(SEED);
        for _ in 0..rounds {
            let length = random.below(file.len());
            let judged = audit(&file[..length], Some(root));
            assert!(!judged.is_ok_and(|report| report.is_valid()), "cut at {length}");
            look_at_all(&file[..length]);
            // A piece out of the middle.
            let start = random.below(length + 1);
            let bad = [&file[..start], &file[length..]].concat();
            let judged = audit(&bad, Some(root));
            assert!(start == length || !judged.is_ok_and(|report| report.is_valid()), "{start} to {length}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_says_where_a_file_is_damaged() {
    let (scene, root) = Scene::with_a_match(city(2, 4)).await;
    let file = scene.read("match.cadr");
    let mut random = Random::for_this_run(SEED);
    for round in 0..5 {
        let at = random.below(file.len());
        let mut bad = file.clone();
        if round % 2 == 0 {
            bad[at] ^= 1 << random.below(8);
        } else {
            bad.truncate(at);
        }
        scene.write("bad.cadr", &bad);
        let ran = scene.run(&format!("audit bad.cadr --root-key {root}")).await;
        assert!(ran.refused(2).starts_with("bad.cadr: ") && ran.stderr.contains("at byte "), "{ran:?}");
        assert!(ran.stdout.ends_with("INVALID\n"), "{ran:?}");
        let json = scene.run(&format!("--json audit bad.cadr --root-key {root}")).await;
        let result = json.only_json();
        assert_eq!((json.code, &result["audit"]), (Some(2), &"invalid".into()));
        assert!(result["error"].as_str().unwrap().contains("at byte "), "{json:?}");
        not_silent(&scene.run("replay bad.cadr").await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_says_which_turn_was_tampered_with() {
    let (scene, root) = Scene::with_a_match(city(2, 4)).await;
    let file = scene.read("match.cadr");
    // The framing is right again: only what was signed can tell.
    let mut blocks = blocks_of(&file);
    let good = blocks[3].clone();
    let mut changed = (good.block.len() / 2..).map(|at| {
        let mut bad = good.clone();
        bad.block[at] ^= 1;
        bad
    });
    blocks[3] = changed.find(|bad| bad.clone().read().is_ok()).unwrap();
    scene.write("bad.cadr", with_blocks(&file, &blocks));
    let ran = scene.run(&format!("audit bad.cadr --root-key {root}")).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.contains("VIOLATION turn 3") && ran.stdout.contains("block 4"), "{ran:?}");
    let json = scene.run(&format!("--json audit bad.cadr --root-key {root}")).await;
    let result = json.only_json();
    assert_eq!((json.code, &result["audit"]), (Some(1), &"invalid".into()));
    let violation = &result["violations"][0];
    assert_eq!((&violation["turn"], &violation["height"]), (&3.into(), &4.into()));
    assert!(violation["kind"].is_string() && violation["offset"].is_u64());
    assert_eq!((&result["turns"], &result["height"]), (&2.into(), &3.into()), "what was good before it");
}

/// Small matches, and in how many places to change their files.
fn games() -> [(RoomSpec, u32); 2] {
    [(spec("boxes", 3, 2, 20), 300), (city(2, 4), 50)]
}

/// Nothing that a person does with a broken file may panic.
fn look_at_all(file: &[u8]) {
    if let Ok(replay) = Replay::open(file) {
        let _ = replay.blocks().count();
        let _ = replay.seek(replay.summary().turns);
    }
}

/// It either refuses, or says that it shows only a part.
fn not_silent(ran: &Ran) {
    assert!(matches!(ran.code, Some(0 | 2)) && ran.stderr.contains("at byte "), "{ran:?}");
}
