//! Replay files: as they come, and with changed records under right links, which no accident makes.

use std::sync::LazyLock;

use cadastre_protocol::SealReason;
use cadastre_replay::{
    Replay, audit,
    fixture::{Match, Plan, RawRecord, join, root_key, split},
};

use super::edits::{EDITS_MAX, Numbers};

pub(super) fn file(data: &[u8]) {
    read(data);
}

/// A whole file with changes: for each a record, what of it, and a number or bytes.
pub(super) fn records(data: &[u8]) {
    let mut records = RECORDS.clone();
    let mut numbers = Numbers::new(data);
    for _ in 0..EDITS_MAX {
        if numbers.is_empty() || records.is_empty() {
            break;
        }
        let at = numbers.below(records.len());
        change(&mut records, at, &mut numbers);
    }
    let file = join(&records);
    if records != *RECORDS {
        read(&file);
    }
}

fn change(records: &mut Vec<RawRecord>, at: usize, numbers: &mut Numbers<'_>) {
    let record = &mut records[at];
    match numbers.u8() {
        0 => record.kind = numbers.u8(),
        1 => record.codec = numbers.u8(),
        2 => record.reserved = numbers.u16(),
        3 => record.raw_len = numbers.u32(),
        4 => record.first_height = numbers.u64(),
        5 => record.stored = numbers.bytes().to_vec(),
        6 => record.stored.truncate(usize::from(numbers.u16())),
        7 => drop(records.remove(at)),
        8 => {
            let twice = record.clone();
            records.insert(at, twice);
        }
        9 => {
            let other = numbers.below(records.len());
            records.swap(at, other);
        }
        // The content itself, which is compressed where it is stored.
        _ if record.codec <= 1 && !record.stored.is_empty() => {
            let Some(mut content) = content(record) else { return };
            let place = numbers.below(content.len());
            content[place] = numbers.u8();
            *record = record.with(content);
        }
        _ => {}
    }
}

/// The content of a record that may have been changed already.
fn content(record: &RawRecord) -> Option<Vec<u8>> {
    RECORDS.contains(record).then(|| record.content()).filter(|content| !content.is_empty())
}

/// Does all with a file that can be done with one.
fn read(file: &[u8]) {
    let judged = audit(file, Some(root_key().public()));
    let Ok(replay) = Replay::open(file) else {
        assert!(!judged.is_ok_and(|report| report.is_valid()), "valid, and cannot be opened");
        return;
    };
    let blocks = replay.blocks().take(1000).take_while(Result::is_ok).count();
    if let Ok(report) = &judged
        && report.is_valid()
    {
        assert_eq!(u64::try_from(blocks).unwrap(), report.height.get());
    }
    if let Some(turn) = replay.summary().turns.get().checked_sub(1) {
        let _ = replay.seek(cadastre_protocol::Turn::new(turn));
    }
}

static RECORDS: LazyLock<Vec<RawRecord>> = LazyLock::new(|| {
    let mut made = Match::new(&Plan::SMALL);
    made.play(5);
    made.seal(SealReason::Operator);
    split(&made.replay_with_keyframe_every(2).0)
});
