//! The committed files are read as they always were. A changed vector is a changed format: never write them
//! anew to make a test pass.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{fmt::Write as _, fs, path::PathBuf};

use cadastre_protocol::{
    Absence, AbsenceReason, Digest, Height, SealReason, Seat, StateRoot, TransactionBody, TurnMode,
    log::{Checkpoint, LogEntry},
};
use cadastre_replay::{
    AuditError, AuditReport, Meta, Replay, Writer, audit,
    fixture::{
        Match, Plan, RawRecord, finish, join, kind, log_proof, root_key, signer_key, split, with_blocks,
    },
};

#[test]
fn every_vector_is_judged_as_ever() {
    let mut lines = String::new();
    for (name, _) in vectors() {
        lines += &judgement(name, &fs::read(path(name)).unwrap());
    }
    assert_eq!(lines, fs::read_to_string(path(EXPECTED)).unwrap());
}

#[test]
fn the_writer_makes_the_same_bytes_as_ever() {
    for name in ["complete.cadr", "partial.cadr"] {
        let file = fs::read(path(name)).unwrap();
        let replay = Replay::open(&file).unwrap();
        let summary = replay.summary();
        let meta = Meta {
            genesis: cadastre_protocol::encode(replay.genesis()),
            room: summary.room.clone(),
            names: summary.names.clone(),
            first: None,
        };
        let mut writer = Writer::with_keyframe_every(INTERVAL.try_into().unwrap(), Vec::new(), meta).unwrap();
        for block in replay.blocks() {
            writer.push(block.unwrap()).unwrap();
        }
        assert_eq!(writer.finish().unwrap().0, file, "{name}");
    }
}

#[test]
#[ignore = "scripts/write-replay-vectors runs it, when the format is meant to change"]
fn write_the_vectors() {
    let mut lines = String::new();
    for (name, file) in vectors() {
        fs::write(path(name), &file).unwrap();
        lines += &judgement(name, &file);
    }
    fs::write(path(EXPECTED), lines).unwrap();
}

const EXPECTED: &str = "judgements.txt";
const INTERVAL: u32 = 4;

fn vectors() -> Vec<(&'static str, Vec<u8>)> {
    let plan = Plan { mode: TurnMode::Alternating, ..Plan::SMALL };
    let mut made = Match::new(&plan);
    made.play(5);
    let (partial, _) = made.replay_with_keyframe_every(INTERVAL);
    made.play(7);
    let (complete, _) = made.replay_with_keyframe_every(INTERVAL);
    let blocks = made.blocks();
    let chain = made.chain();
    let head =
        LogEntry { match_id: chain.match_id(), height: chain.head().height, block: chain.head().block };
    let changed = |at: usize, block| {
        let mut blocks = blocks.to_vec();
        blocks[at] = block;
        with_blocks(&made.replay(), &blocks)
    };
    let mut flipped = complete.clone();
    flipped[complete.len() / 2] ^= 0x10;
    let mut lying = split(&complete);
    let index = lying.len() - 2;
    let mut content = lying[index].content();
    content[20] ^= 1;
    lying[index] = lying[index].with(content);
    let file_bytes = u64::try_from(join(&lying).len()).unwrap();
    lying[index + 1].stored[52..].copy_from_slice(&file_bytes.to_le_bytes());
    let early = made.forge(&blocks[3], |_, entries, absent| {
        entries.clear();
        absent.clear();
        absent.extend(
            [(0, AbsenceReason::Deadline), (1, AbsenceReason::NotToMove)]
                .map(|(index, reason)| Absence { seat: Seat::new(index).unwrap(), reason }),
        );
    });
    vec![
        ("complete.cadr", complete.clone()),
        ("partial.cadr", partial),
        ("logged.cadr", made.logged_replay(&log_proof(head))),
        (
            "logged-elsewhere.cadr",
            made.logged_replay(&log_proof(LogEntry { height: Height::new(2), ..head })),
        ),
        ("desync.cadr", desync()),
        ("early-absence.cadr", changed(3, early)),
        (
            "wrong-state.cadr",
            changed(5, made.forge(&blocks[5], |h, _, _| h.state_root = StateRoot::new(Digest::ZERO))),
        ),
        ("wrong-signer.cadr", changed(2, Match::prove(blocks[2].block.clone(), &signer_key(2)))),
        ("lying-index.cadr", join(&lying)),
        ("cut.cadr", complete[..complete.len() - 300].to_vec()),
        ("flipped.cadr", flipped),
        ("foreign-keyframe.cadr", foreign_keyframe(&complete)),
        ("truncated-chain.cadr", truncated_chain(&complete)),
        ("unknown-record.cadr", with_record(&complete, kind::BLOCKS, |record| record.kind = 255)),
        ("unknown-codec.cadr", with_record(&complete, kind::BLOCKS, |record| record.codec = 2)),
        ("reserved-bits.cadr", with_record(&complete, kind::BLOCKS, |record| record.reserved = 0x8000)),
        ("four-gigabytes.cadr", with_record(&complete, kind::BLOCKS, |record| record.raw_len = u32::MAX)),
        ("ratio-bomb.cadr", with_record(&complete, kind::KEYFRAME, bomb)),
    ]
}

/// The first record of a kind is another one.
fn with_record(file: &[u8], kind: u8, change: impl FnOnce(&mut RawRecord)) -> Vec<u8> {
    let mut records = split(file);
    change(records.iter_mut().find(|record| record.kind == kind).unwrap());
    join(&records)
}

/// 30 MiB, it says, in a hundred bytes.
fn bomb(record: &mut RawRecord) {
    let mut stored = vec![0x80, 0x80, 0x80, 0x0f];
    stored.resize(100, 0xfe);
    *record = RawRecord { codec: 1, raw_len: 30 << 20, stored, ..record.clone() };
}

/// The second keyframe in place of the first.
fn foreign_keyframe(file: &[u8]) -> Vec<u8> {
    let mut records = split(file);
    records.truncate(records.len() - 2);
    let places: Vec<_> = (0..records.len()).filter(|at| records[*at].kind == kind::KEYFRAME).collect();
    records[places[0]] = records[places[0]].with(records[places[1]].content());
    finish(records)
}

/// The last blocks are not there, and the trailer says complete.
fn truncated_chain(file: &[u8]) -> Vec<u8> {
    let mut records = split(file);
    records.truncate(records.len() - 3);
    let mut short = split(&finish(records));
    let trailer = short.last_mut().unwrap();
    trailer.stored[0] = 1;
    join(&short)
}

fn desync() -> Vec<u8> {
    let mut made = Match::new(&Plan::SMALL);
    made.play(1);
    let mut astray = made.transaction(Seat::new(0).unwrap(), TransactionBody::Turn(Vec::new()));
    astray.seen_state_root = StateRoot::new(Digest::ZERO);
    made.submit(&astray);
    made.suggest(Seat::new(1).unwrap());
    made.close();
    made.seal(SealReason::Operator);
    made.replay()
}

/// What there is to say of a file, in words that a reader can compare.
fn judgement(name: &str, file: &[u8]) -> String {
    let mut text = format!("{name}: {} bytes\n", file.len());
    match audit(file, Some(root_key().public())) {
        Ok(report) => describe(&mut text, &report),
        Err(AuditError::Unreadable { damage, before }) => {
            writeln!(text, "  unreadable {damage}").unwrap();
            before.iter().for_each(|report| describe(&mut text, report));
        }
        Err(AuditError::Rules(_) | AuditError::Mode(_)) => text += "  not for this build\n",
    }
    text
}

fn describe(text: &mut String, report: &AuditReport) {
    let AuditReport { root_key, pinned, match_id, turns, height, head, .. } = report;
    let AuditReport { complete, logged, violations, stopped, .. } = report;
    let valid = if report.is_valid() { "valid" } else { "invalid" };
    writeln!(text, "  {valid}, complete {complete}, turns {turns}, height {height}").unwrap();
    writeln!(text, "  match {match_id}\n  head {head}\n  root key {root_key}, pinned {pinned}").unwrap();
    if let Some(logged) = logged {
        let Checkpoint { origin, size, .. } = logged.checkpoint().get();
        let (height, index) = (logged.entry().height, logged.index());
        writeln!(text, "  height {height} is entry {index} of {size} in {origin}").unwrap();
    }
    for v in violations {
        let seat = v.seat.map_or("-".to_owned(), |seat| seat.to_string());
        let at = format!("at byte {}, height {}, turn {}, seat {seat}", v.offset, v.height, v.turn);
        writeln!(text, "  {} {at}: {}", v.kind, v.detail).unwrap();
    }
    if let Some(height) = stopped {
        writeln!(text, "  stopped at height {height}").unwrap();
    }
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name)
}
