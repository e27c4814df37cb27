//! Accidents: whatever happens to a file on a disk or a wire is found, and named with its place.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use cadastre_protocol::{Height, TurnMode};
use cadastre_replay::{
    AuditError, AuditReport, Damage, Fault, Replay, audit,
    fixture::{Match, Plan, RawRecord, finish, join, kind, root_key, split},
};
use rayon::prelude::*;

#[test]
fn the_file_without_damage_is_valid() {
    let report = judge(&small()).unwrap();
    assert_eq!(report.violations, []);
    assert!(report.complete && report.pinned);
}

#[test]
fn every_flipped_bit_is_found_in_the_record_it_is_in() {
    let file = small();
    let starts = record_starts(&file);
    (0..8 * file.len()).into_par_iter().for_each(|bit| {
        let mut bad = file.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let start = starts.iter().rev().find(|start| **start <= bit / 8).copied().unwrap_or(0);
        expect_damage(&bad, start, &format!("bit {bit}"));
    });
}

#[test]
fn every_flipped_bit_under_right_links_is_found_too() {
    let compressed = small();
    let mut records: Vec<_> = split(&compressed).iter().map(|record| record.with(record.content())).collect();
    records.retain(|record| ![kind::INDEX, kind::TRAILER].contains(&record.kind));
    let file = finish(records);
    assert!(judge(&file).unwrap().is_valid());
    let records = split(&file);
    // The names of room and players stand at the end of the header. Nobody signed them.
    let named = records[0].content().len() - (8 + "fixture".len()) - 8 - 2 * (8 + "Player 0".len());
    for (at, record) in records.iter().enumerate() {
        let expect_invalid = |bad: &[RawRecord], what: String| {
            let bad = join(bad);
            assert!(!judge(&bad).is_ok_and(|report| report.is_valid()), "record {at}, {what}");
            if let Ok(replay) = Replay::open(&bad) {
                let _ = replay.seek(replay.summary().turns);
            }
        };
        type Flip = fn(&mut RawRecord, u32);
        let fields: [(u32, Flip); 5] = [
            (8, |record, bit| record.kind ^= 1 << bit),
            (8, |record, bit| record.codec ^= 1 << bit),
            (16, |record, bit| record.reserved ^= 1 << bit),
            (32, |record, bit| record.raw_len ^= 1 << bit),
            (64, |record, bit| record.first_height ^= 1 << bit),
        ];
        for (field, (bits, flip)) in fields.into_iter().enumerate() {
            for bit in 0..bits {
                let mut bad = records.clone();
                flip(&mut bad[at], bit);
                expect_invalid(&bad, format!("field {field}, bit {bit}"));
            }
        }
        let signed = if record.kind == kind::HEADER { named } else { record.stored.len() };
        (0..8 * signed).into_par_iter().for_each(|bit| {
            let mut bad = records.clone();
            bad[at].stored[bit / 8] ^= 1 << (bit % 8);
            expect_invalid(&bad, format!("bit {bit}"));
        });
    }
}

#[test]
fn every_cut_is_found() {
    let file = small();
    let starts = record_starts(&file);
    (0..file.len()).into_par_iter().for_each(|len| {
        let start = starts.iter().rev().find(|start| **start <= len).copied().unwrap_or(0);
        let damage = expect_damage(&file[..len], start, &format!("cut at {len}"));
        let between = len > 0 && start == len;
        assert_eq!(damage.fault, if between { Fault::NoTrailer } else { Fault::Cut }, "cut at {len}");
    });
}

#[test]
fn what_stands_before_the_damage_is_judged() {
    let mut made = Match::new(&Plan::SMALL);
    made.play(6);
    let (file, _) = made.replay_with_keyframe_every(2);
    // Header, Start and turns 1–2, keyframe, turns 3–4, keyframe, …
    let starts = record_starts(&file);
    for (record, turns) in [(1, 0), (2, 2), (3, 2), (4, 4), (5, 4), (6, 6)] {
        let mut bad = file.clone();
        bad[starts[record] + 60] ^= 1;
        let Err(AuditError::Unreadable { damage, before: Some(before) }) = judge(&bad) else {
            panic!("record {record}");
        };
        assert_eq!(damage, Damage { offset: starts[record], fault: Fault::Link });
        assert_eq!((before.turns.get(), before.complete, &before.violations[..]), (turns, false, &[][..]));
        let replay = Replay::open(&bad).unwrap();
        assert_eq!(replay.damage(), Some(damage));
        assert_eq!((replay.summary().turns, replay.summary().complete), (before.turns, false));
        assert_eq!(replay.blocks().count(), usize::try_from(before.height.get()).unwrap());
        if before.height > Height::GENESIS {
            assert!(replay.seek(before.turns).is_ok(), "record {record}");
        }
    }
}

#[test]
fn bytes_after_the_trailer_are_found() {
    let file = small();
    let mut longer = file.clone();
    longer.push(0);
    expect_damage(&longer, file.len(), "one byte more");
    let twice = [file.as_slice(), &file].concat();
    assert_eq!(expect_damage(&twice, file.len(), "twice").fault, Fault::AfterTrailer);
}

#[test]
fn nothing_is_read_of_what_is_no_replay_file() {
    let file = small();
    let text = String::from_utf8_lossy(&file).into_owned();
    for bytes in [&b""[..], b"\x89CADR", b"\x89PNG\r\n\x1a\n", &file[1..], text.as_bytes()] {
        assert!(matches!(judge(bytes), Err(AuditError::Unreadable { before: None, .. })));
        assert!(Replay::open(bytes).is_err());
    }
}

/// One of each: Start, Turn, keyframe, Seal; as short as they get, so that there are few bits to flip.
fn small() -> Vec<u8> {
    let plan = Plan { mode: TurnMode::Alternating, turns_max: Some(1), ..Plan::SMALL };
    let mut made = Match::new(&plan);
    made.play(1);
    let (file, summary) = made.replay_with_keyframe_every(1);
    assert!(summary.complete);
    file
}

fn judge(file: &[u8]) -> Result<AuditReport, AuditError> {
    audit(file, Some(root_key().public()))
}

/// Where each record begins, and the end of the file.
fn record_starts(file: &[u8]) -> Vec<usize> {
    let mut starts = vec![8];
    for record in split(file) {
        starts.push(starts[starts.len() - 1] + record.file_bytes());
    }
    starts
}

/// Both ways to read the file must stop at the same place, and neither may panic.
fn expect_damage(file: &[u8], offset: usize, what: &str) -> Damage {
    let Err(AuditError::Unreadable { damage, before }) = judge(file) else { panic!("{what} is not found") };
    assert_eq!(damage.offset, offset, "{what}: {damage}");
    match Replay::open(file) {
        Err(same) => assert_eq!((same, before.is_none()), (damage, true), "{what}"),
        Ok(replay) => {
            let before = before.expect("the header was read");
            assert_eq!(replay.damage(), Some(damage), "{what}");
            assert_eq!((replay.summary().turns, before.is_valid()), (before.turns, true), "{what}");
            assert!(!replay.summary().complete && !before.complete, "{what}");
            replay.seek(before.turns).expect("what was read can be played");
        }
    }
    damage
}
