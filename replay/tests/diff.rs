//! The first difference of two files: which seat, or which tile and field, and which of the two is right.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use cadastre_protocol::{SealReason, Seat, TransactionBody, Turn};
use cadastre_replay::{
    Parting, Replay, Side, diff,
    fixture::{Match, Plan, RawRecord, blocks_record, finish, kind, split, with_blocks},
};
use cadastre_simulations::Subject;

const CITY: Plan = Plan { rules: "city", size: 64, seats: 2, ..Plan::SMALL };

fn first(left: &[u8], right: &[u8]) -> Option<Parting> {
    diff(&Replay::open(left).unwrap(), &Replay::open(right).unwrap()).unwrap()
}

fn played(plan: &Plan, turns: u32) -> Match {
    let mut made = Match::new(plan);
    made.play(turns);
    made
}

#[test]
fn a_match_does_not_differ_from_itself_whatever_its_keyframes() {
    let made = played(&CITY, 9);
    assert_eq!(first(&made.replay(), &made.replay_with_keyframe_every(2).0), None);
}

#[test]
fn files_of_two_matches_and_of_two_lengths_are_told_apart() {
    let (short, long) = (played(&Plan::SMALL, 3), played(&Plan::SMALL, 5));
    let other = played(&CITY, 3);
    assert!(matches!(first(&short.replay(), &other.replay()), Some(Parting::Match { .. })));
    let longer = |parting| match parting {
        Some(Parting::Length { turn, longer, .. }) => (turn.get(), longer),
        other => panic!("{other:?}"),
    };
    assert_eq!(longer(first(&short.replay(), &long.replay())), (3, Side::Right));
    assert_eq!(longer(first(&long.replay(), &short.replay())), (3, Side::Left));
}

#[test]
fn another_transaction_is_named_by_its_seat() {
    let played_otherwise = |seat: u8| {
        let mut made = played(&CITY, 3);
        for index in Seat::first(2) {
            if index.get() == seat {
                made.submit(&made.transaction(index, TransactionBody::Turn(Vec::new())));
            } else {
                made.suggest(index);
            }
        }
        made.close();
        made.replay()
    };
    let Some(Parting::Transactions { turn, seats, .. }) = first(&played_otherwise(1), &played_otherwise(9))
    else {
        panic!()
    };
    assert_eq!((turn, seats), (Turn::new(4), vec![Seat::new(1).unwrap()]));
}

#[test]
fn another_end_is_another_block() {
    let ended = |reason| {
        let mut made = played(&Plan::SMALL, 2);
        made.wait(reason);
        made.seal(SealReason::Operator);
        made.replay()
    };
    assert!(matches!(first(&ended(5), &ended(6)), Some(Parting::Block { .. })));
}

#[test]
fn another_state_is_named_by_tile_and_field() {
    let right = played(&CITY, 8);
    // A keyframe in the turn itself, a later one, and none at all.
    for (every, shown) in [(1, Some(6)), (2, Some(6)), (7, Some(7)), (64, None)] {
        let good = right.replay_with_keyframe_every(every).0;
        let bad = disturbed(&good, every);
        for (left, right, expected) in [(&good, &bad, Side::Left), (&bad, &good, Side::Right)] {
            let Some(Parting::State { turn, executes, located, .. }) = first(left, right) else { panic!() };
            assert_eq!((turn, executes), (Turn::new(6), Some(expected)), "every {every}");
            assert_eq!(located.as_ref().map(|found| found.turn.get()), shown, "every {every}");
            let Some(located) = located else { continue };
            let [difference] = &located.differences[..] else { panic!("{located:?}") };
            assert_eq!((difference.subject, difference.field), (Subject::Tile { x: 33, y: 20 }, "height"));
            let values: (u8, u8) = (difference.left.parse().unwrap(), difference.right.parse().unwrap());
            assert_eq!(values.0 ^ values.1, 1);
        }
    }
}

#[test]
fn a_state_that_neither_file_has_is_nobodys() {
    let good = played(&CITY, 8).replay_with_keyframe_every(1).0;
    let bad = disturbed(&good, 1);
    assert_eq!(first(&bad, &bad), None);
    let mut other = Match::new(&CITY);
    other.play(5);
    other.disturb(40, 40);
    other.play(1);
    let other = with_blocks(&good, other.blocks());
    let Some(Parting::State { executes, located, .. }) = first(&bad, &other) else { panic!() };
    assert_eq!((executes, located), (None, None));
}

/// The file of eight turns that a server makes which changes a tile in the sixth. Its header is that of `good`.
fn disturbed(good: &[u8], every: u32) -> Vec<u8> {
    let mut made = Match::new(&CITY);
    let mut records = vec![split(good).remove(0)];
    let mut written = 0;
    for turn in 1..=8 {
        if turn == 6 {
            made.disturb(33, 20);
        }
        made.play(1);
        if turn % every == 0 {
            records.push(blocks_record(&made.blocks()[written..]));
            written = made.blocks().len();
            records.push(keyframe(&made));
        }
    }
    if written < made.blocks().len() {
        records.push(blocks_record(&made.blocks()[written..]));
    }
    finish(records)
}

/// A keyframe of the whole state, by the table in `docs/protocol/replay.md`.
fn keyframe(made: &Match) -> RawRecord {
    let snapshot = made.game().snapshot();
    let mut content = vec![0; 4];
    content.extend_from_slice(&u32::try_from(snapshot.len()).unwrap().to_le_bytes());
    for (id, chunk) in snapshot {
        content.extend_from_slice(&id.get().to_le_bytes());
        content.extend_from_slice(&u16::try_from(chunk.len()).unwrap().to_le_bytes());
        content.extend_from_slice(&chunk);
    }
    RawRecord::raw(kind::KEYFRAME, made.chain().head().height.get(), content)
}
