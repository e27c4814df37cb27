//! Files whose framing is right and whose records say what is not so: index, trailer, keyframes, heights.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use cadastre_protocol::{SealReason, Turn};
use cadastre_replay::{
    Replay, audit,
    fixture::{Match, Plan, RawRecord, blocks_of, finish, join, kind, root_key, split, with_blocks},
};

#[test]
fn a_file_put_together_anew_is_valid() {
    assert_eq!(kinds(&finish(body())), [""; 0]);
    assert_eq!(kinds(&with_blocks(&file_without_keyframes(), &blocks_of(&file()))), [""; 0]);
}

#[test]
fn a_lying_index_is_found() {
    let index = records().into_iter().find(|record| record.kind == kind::INDEX).unwrap();
    // Count, type, turn, height and offset of the first and of the last entry.
    let last = index.stored.len() - 24;
    for at in [0, 4, 5, 8, 12, 20, last, last + 4, last + 8, last + 16] {
        let mut bad = records();
        let at_index = bad.len() - 2;
        bad[at_index].stored[at] ^= 1;
        assert_eq!(kinds(&join(&bad)), ["index"], "byte {at}");
        // A player makes its own.
        assert!(Replay::open(&join(&bad)).unwrap().seek(Turn::new(5)).is_ok());
    }
    // Of another length, with a trailer that says so.
    for content in [Vec::new(), index.stored[..last].to_vec(), [&index.stored[..], &[0; 24]].concat()] {
        let mut bad = records();
        let at_index = bad.len() - 2;
        bad[at_index] = index.with(content);
        let file_bytes = join(&bad).len();
        bad[at_index + 1].stored[52..].copy_from_slice(&u64::try_from(file_bytes).unwrap().to_le_bytes());
        assert_eq!(kinds(&join(&bad)), ["index"]);
    }
}

#[test]
fn a_lying_trailer_is_found() {
    // Offset of the index, height, head, length of the file.
    for at in [4, 12, 20, 51, 52] {
        let mut bad = records();
        let last = bad.len() - 1;
        bad[last].stored[at] ^= 1;
        assert_eq!(kinds(&join(&bad)), ["trailer"], "byte {at}");
    }
}

#[test]
fn a_truncated_chain_is_not_complete() {
    let blocks = blocks_of(&file());
    for len in 1..blocks.len() {
        let honest = with_blocks(&file_without_keyframes(), &blocks[..len]);
        let report = audit(&honest, None).unwrap();
        assert!(report.is_valid() && !report.complete, "{len} blocks");
        let mut records = split(&honest);
        let last = records.len() - 1;
        records[last].stored[0] = 1;
        let lying = join(&records);
        assert_eq!(kinds(&lying), ["completeness"], "{len} blocks");
        assert!(!audit(&lying, None).unwrap().complete);
        assert!(!Replay::open(&lying).unwrap().summary().complete);
    }
}

#[test]
fn a_whole_chain_is_not_partial() {
    let mut bad = records();
    let last = bad.len() - 1;
    bad[last].stored[0] = 0;
    assert_eq!(kinds(&join(&bad)), ["completeness"]);
}

#[test]
fn a_keyframe_of_another_state_is_found() {
    let keyframes: Vec<_> = (0..body().len()).filter(|at| body()[*at].kind == kind::KEYFRAME).collect();
    let with = |at: usize, content: Vec<u8>| {
        let mut bad = body();
        bad[at] = bad[at].with(content);
        kinds(&finish(bad))
    };
    // Of turn 4 in place of that of turn 2, which is a subset of it: the next one sets it right again.
    assert_eq!(with(keyframes[0], body()[keyframes[1]].content()), ["keyframe"]);
    // A chunk left out, a byte of a chunk changed.
    let content = body()[keyframes[1]].content();
    let first_chunk = 4 + usize::from(u16::from_le_bytes([content[10], content[11]]));
    let mut without = [&content[..8], &content[8 + first_chunk..]].concat();
    without[4] -= 1;
    assert_eq!(with(keyframes[1], without), ["keyframe"]);
    let mut other = content.clone();
    *other.last_mut().unwrap() ^= 1;
    assert!(with(keyframes[1], other).starts_with(&["keyframe"]));
    // A chunk that the game does not have.
    let mut more = [&content[..], &[0xff, 0xff, 1, 0, 9]].concat();
    more[4] += 1;
    assert!(with(keyframes[1], more).starts_with(&["keyframe"]));
}

#[test]
fn a_keyframe_has_the_form_that_its_number_fixes() {
    let mut bad = body();
    let at = bad.iter().position(|record| record.kind == kind::KEYFRAME).unwrap();
    bad[at].stored[0] = 1;
    assert_eq!(kinds(&finish(bad))[0], "keyframe");
}

#[test]
fn a_keyframe_stands_where_one_is_due_and_nowhere_else() {
    let at = body().iter().position(|record| record.kind == kind::KEYFRAME).unwrap();
    let mut missing = body();
    let keyframe = missing.remove(at);
    assert_eq!(kinds(&finish(missing))[0], "keyframe");
    let mut twice = body();
    twice.insert(at, keyframe.clone());
    assert_eq!(kinds(&finish(twice)), ["keyframe"]);
    let mut misnumbered = body();
    misnumbered[at].first_height += 1;
    assert_eq!(kinds(&finish(misnumbered)), ["keyframe"]);
    // At the end of the file.
    let mut made = Match::new(&Plan::SMALL);
    made.play(2);
    let mut last = raw(&made.replay_with_keyframe_every(2).0);
    assert_eq!(last.pop().map(|record| record.kind), Some(kind::KEYFRAME));
    assert_eq!(kinds(&finish(last)), ["keyframe"]);
    // Where the header says another interval.
    let mut often = body();
    often[0].stored[2] = 1;
    assert!(kinds(&finish(often)).contains(&"keyframe"));
}

#[test]
fn a_record_that_names_another_height_is_found() {
    let mut bad = body();
    bad[1].first_height += 1;
    assert_eq!(kinds(&finish(bad.clone())), ["record-height"]);
    bad[1].first_height = u64::MAX;
    assert_eq!(kinds(&finish(bad)), ["record-height"]);
}

fn made() -> Match {
    let mut made = Match::new(&Plan { size: 3, ..Plan::SMALL });
    made.play(6);
    made.seal(SealReason::Operator);
    made
}

fn file() -> Vec<u8> {
    made().replay_with_keyframe_every(2).0
}

fn file_without_keyframes() -> Vec<u8> {
    made().replay()
}

/// Header, blocks and keyframes; none compressed.
fn body() -> Vec<RawRecord> {
    raw(&file())
}

fn raw(file: &[u8]) -> Vec<RawRecord> {
    let records = split(file);
    records[..records.len() - 2].iter().map(|record| record.with(record.content())).collect()
}

fn records() -> Vec<RawRecord> {
    split(&finish(body()))
}

/// The violations of a file that is read and judged to its end.
fn kinds(file: &[u8]) -> Vec<&'static str> {
    let report = audit(file, Some(root_key().public())).unwrap();
    assert_eq!(report.stopped, None);
    report.violations.iter().map(|violation| violation.kind).collect()
}
