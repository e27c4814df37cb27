//! The corpus of the fuzz targets, by the same functions that cargo-fuzz runs: crashes that were found become
//! files of it.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "a test may panic")]

#[path = "../protocol/tests/reference/mod.rs"]
mod reference;
#[path = "../protocol/tests/support/mod.rs"]
mod support;
#[path = "../fuzz/src/targets/mod.rs"]
mod targets;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use cadastre_protocol::log::LogEntry;
use cadastre_replay::fixture::{Match, Plan, log_proof};
use support::samples::{Kind, SAMPLES};

#[test]
fn every_target_reads_its_corpus() {
    for (name, target) in targets::all() {
        target(&[]);
        let files = files_of(name);
        assert!(!files.is_empty(), "{name} has no corpus");
        for file in files {
            target(&fs::read(&file).unwrap());
        }
    }
}

#[test]
fn every_type_has_a_target() {
    let types: BTreeSet<_> = Kind::ALL.iter().map(|kind| format!("{kind:?}")).collect();
    let covered: BTreeSet<_> = targets::KINDS.iter().map(|kind| (*kind).to_owned()).collect();
    assert_eq!(types, covered);
}

#[test]
fn every_target_is_built_and_none_has_a_corpus_that_is_not() {
    let manifest: toml::Table = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap().parse().unwrap();
    let built =
        manifest["bin"].as_array().unwrap().iter().map(|bin| bin["name"].as_str().unwrap().to_owned());
    let targets: BTreeSet<_> = targets::all().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(built.collect::<BTreeSet<_>>(), targets);
    let folders = fs::read_dir(fuzz().join("corpus")).unwrap();
    let folders: BTreeSet<_> =
        folders.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(folders, targets);
}

#[test]
fn the_seeds_are_those_of_this_build() {
    let mut paths = BTreeSet::new();
    for (target, name, seed) in seeds() {
        let path = seed_path(&target, &name);
        assert!(paths.insert(path.clone()), "two seeds are called {}", path.display());
        let stored = fs::read(&path).unwrap_or_default();
        assert!(stored == seed, "{}: scripts/write-hostile-corpus writes it anew", path.display());
    }
}

#[test]
#[ignore = "scripts/write-hostile-corpus runs it, when a format is meant to change"]
fn write_the_seeds() {
    for (target, _) in targets::all() {
        for file in files_of(target) {
            if file.file_name().unwrap().to_str().unwrap().starts_with(SEED) {
                fs::remove_file(file).unwrap();
            }
        }
    }
    for (target, name, seed) in seeds() {
        let path = seed_path(&target, &name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, seed).unwrap();
    }
}

/// Files whose name begins like this are made here; the others were found by fuzzing.
const SEED: &str = "seed-";

/// Target, name and bytes of everything that fuzzing begins with.
fn seeds() -> Vec<(String, String, Vec<u8>)> {
    let mut seeds = Vec::new();
    let mut add = |target: &str, name: &str, bytes: &[u8]| {
        seeds.push((target.to_owned(), name.replace([' ', ',', ':'], "-"), bytes.to_vec()));
    };
    for sample in SAMPLES.iter() {
        add(&target_of(sample.kind), &sample.name, &sample.bytes);
    }
    let vectors = include_str!("../protocol/tests/vectors/handshake.json");
    let handshake: serde_json::Value = serde_json::from_str(vectors).unwrap();
    let bytes = |name: &str| hex::decode(handshake[name].as_str().unwrap()).unwrap();
    add("handshake_m1", "m1", &bytes("m1"));
    add("handshake_m2", "m2", &bytes("m2"));
    add("handshake_m3", "m3", &bytes("m3"));
    add("record", "whole", &bytes("first_record_to_server"));
    let vectors = include_str!("../protocol/tests/vectors/log.json");
    let log: serde_json::Value = serde_json::from_str(vectors).unwrap();
    let text = |name: &str| log[name].as_str().unwrap().as_bytes();
    add("log_note", "checkpoint", text("checkpoint"));
    add("log_checkpoint", "cosigned", text("checkpoint"));
    add("log_add_checkpoint", "from-13-to-20", text("add_checkpoint"));
    add("log_bundle", "of-a-head", text("bundle"));
    add("log_verifier_key", "log", text("log_vkey"));
    add("log_verifier_key", "witness", text("witness_vkey"));
    add("log_tile", "entries", b"tile/entries/273.p/112");
    add("log_tile", "hashes", b"tile/2/x001/x234/067");
    let [entry, certificate] = ["entry", "certificate"].map(|name| hex::decode(text(name)).unwrap());
    add("log_claim", "entry", &entry);
    add("log_claim", "whole", &[entry, certificate].concat());
    for (name, list) in EDITS {
        let (target, name) = name.split_once('/').unwrap();
        add(target, name, list);
    }
    let evidence = Path::new(env!("CARGO_MANIFEST_DIR")).join("replay/tests/vectors/evidence");
    for entry in fs::read_dir(evidence).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "cade") {
            add("evidence", path.file_stem().unwrap().to_str().unwrap(), &fs::read(&path).unwrap());
        }
    }
    let mut made = Match::new(&Plan::SMALL);
    made.play(12);
    add("replay_file", "complete", &made.replay_with_keyframe_every(4).0);
    let head = made.chain().head();
    let entry = LogEntry { match_id: made.chain().match_id(), height: head.height, block: head.block };
    add("replay_file", "logged", &made.logged_replay(&log_proof(entry)));
    seeds
}

/// Lists of numbers, as the targets read them.
const EDITS: &[(&str, &[u8])] = &[
    ("handshake_m2_opened/root", &[0, 0, 1]),
    ("handshake_m2_opened/length-of-the-certificate", &[32, 0, 1]),
    ("handshake_m2_opened/version-of-the-certificate", &[34, 0, 1]),
    ("handshake_m2_opened/signature", &[155, 0, 1]),
    ("handshake_m2_opened/mac", &[250, 0, 1]),
    ("handshake_m3_opened/identity", &[0, 0, 1]),
    ("handshake_m3_opened/signature", &[32, 0, 1]),
    ("handshake_m3_opened/mac", &[127, 0, 1]),
    ("records_opened/ping", &[1, 16, 0, 12, 0, 0, 0, 6, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0]),
    ("records_opened/update-and-whole", &[3, 4, 0, 0, 0, 0, 0, 0, 1, 5, 0, 1, 0, 0, 0, 9, 0]),
    ("records_opened/part-out-of-order", &[2, 12, 0, 8, 0, 0, 0, 0, 64, 0, 0, 9, 0, 0, 0, 0]),
    ("boxes_commands/edges", &[2, 0, 0, 0, 2, 0, 1, 0, 2, 0, 2, 0]),
    ("boxes_commands/no-edge", &[2, 0, 255, 255, 0, 0, 0, 0]),
    ("boxes_snapshot/byte", &[0, 0, 9, 0, 0, 1]),
    ("boxes_snapshot/missing-chunk", &[1, 0, 0]),
    ("city_commands/area", &[18, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 10, 0, 10, 0, 2, 2]),
    ("city_commands/nothing", &[8, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    ("city_snapshot/byte", &[1, 0, 9, 4, 0, 77]),
    ("city_snapshot/longer-chunk", &[2, 0, 2, 1]),
    ("chain/height", &[1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0]),
    ("chain/clock", &[2, 0, 0, 3, 0, 1, 0]),
    ("chain/state-root", &[1, 0, 1, 3, 0, 0]),
    ("chain/another-kind", &[1, 0, 2, 0, 5, 1, 0, 0, 0]),
    ("chain/absent", &[1, 0, 2, 2, 0, 0, 1]),
    ("chain/dropped-entry", &[1, 0, 2, 3, 0, 0]),
    ("chain/doubled-entry", &[1, 0, 2, 4, 0, 0]),
    ("chain/entry-of-another-block", &[2, 0, 2, 7, 1, 0]),
    ("chain/late", &[1, 0, 2, 6, 0, 0, 1, 255, 255]),
    ("chain/another-seat", &[1, 0, 3, 0, 0, 0, 1]),
    ("chain/stranger", &[1, 0, 3, 0, 0, 11, 9]),
    ("chain/takeback", &[1, 0, 3, 0, 0, 9, 3, 0, 0, 0, 0]),
    ("chain/delegation", &[4, 0, 3, 0, 0, 9, 5, 1, 9, 0, 0, 0]),
    ("chain/standings", &[7, 0, 2, 0, 7, 0, 0, 200, 2, 0]),
    // Behind the eight blocks in the open: the Start, a Commit and its Turn, a Commit and a Turn with absences.
    ("chain/seed", &[8, 0, 1, 3, 0, 2, 3]),
    ("chain/no-element-of-the-server", &[8, 0, 1, 0, 0, 5, 0, 2]),
    ("chain/element-of-another-turn", &[10, 0, 1, 8, 0, 4, 2]),
    ("chain/turn-for-a-commit", &[9, 0, 2, 0, 1]),
    ("chain/commit-for-a-turn", &[10, 0, 2, 0, 2]),
    ("chain/element-of-nobody", &[10, 0, 3, 0, 0, 8, 0, 0, 5, 9]),
    ("chain/another-commitment", &[9, 0, 3, 0, 0, 9, 1, 0, 0, 0]),
    ("chain/another-salt", &[10, 0, 3, 0, 0, 9, 2, 1]),
    ("chain/early-reveal", &[9, 0, 3, 0, 0, 9, 2, 9]),
    ("chain/dropped-reveal", &[10, 0, 2, 3, 0, 0]),
    ("chain/hidden-absence", &[13, 0, 2, 1]),
    ("chain/false-reveal-missing", &[10, 0, 2, 2, 4, 0, 0]),
    ("evidence_edited/signature", &[0, 0, 200, 1, 1]),
    ("evidence_edited/genesis", &[2, 0, 40, 0, 1]),
    ("evidence_edited/length", &[8, 0, 8, 0, 1]),
    ("evidence_edited/state", &[8, 0, 0, 8, 1]),
    ("evidence_edited/another-kind", &[14, 0, 16, 1, 1]),
    ("log_bundle_edited/index", &[70, 1, 1]),
    ("log_bundle_edited/signature", &[119, 2, 1]),
    ("log_growth/as-it-is", &[13, 0, 20, 0]),
    ("log_growth/backwards", &[20, 0, 13, 0]),
    ("log_growth/from-nothing", &[0, 0, 20, 0]),
    ("log_growth/over-long", &[13, 0, 20, 0, 0, 9, 0, 3, 0, 0, 0]),
    ("log_growth/cut", &[13, 0, 20, 0, 2, 2, 0, 0, 0, 0, 0]),
    ("log_growth/of-the-same", &[13, 0, 13, 0, 0, 0, 0, 0, 0, 12, 0]),
    ("replay_records/kind", &[1, 0, 0, 9]),
    ("replay_records/codec", &[1, 0, 1, 2]),
    ("replay_records/reserved", &[1, 0, 2, 1, 0]),
    ("replay_records/four-gigabytes", &[1, 0, 3, 255, 255, 255, 255]),
    ("replay_records/height", &[1, 0, 4, 9, 0, 0, 0, 0, 0, 0, 0]),
    ("replay_records/missing", &[1, 0, 7]),
    ("replay_records/twice", &[1, 0, 8]),
    ("replay_records/swapped", &[1, 0, 9, 2, 0]),
    ("replay_records/content", &[2, 0, 10, 5, 0, 77]),
];

fn target_of(kind: Kind) -> String {
    let mut name = String::new();
    for letter in format!("{kind:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

fn seed_path(target: &str, name: &str) -> PathBuf {
    fuzz().join("corpus").join(target).join(format!("{SEED}{name}"))
}

fn files_of(target: &str) -> Vec<PathBuf> {
    let Ok(folder) = fs::read_dir(fuzz().join("corpus").join(target)) else { return Vec::new() };
    let mut files: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}
