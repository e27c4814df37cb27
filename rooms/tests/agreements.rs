//! Agreements in a room: a pause, an end that all want, and seats that the others skip.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use cadastre_protocol::{
    AbsenceReason, AgreementPolicy, BlockKind, Motion, ReadBlock, Refusal, ReopenReason, RoomSpec,
    SealReason, Seat, SeatSet, ServerMessage, SkipPolicy, Transaction, TransactionBody, TransactionError,
    Turn,
};
use cadastre_rooms::{Event, Input, Room};
use support::{DEADLINE_MS, Shell, host, kind, read, room_name, seat, sign, spec};

const PAUSE: Motion = Motion::Pause { ms: 60_000 };

#[test]
fn the_match_stands_still_when_all_want_it_to() {
    let mut shell = playing(2);
    let before = shell.head();
    let action = shell.draft(seat(0), TransactionBody::Turn(Vec::new()));
    shell.submit(shell.guests[0], sign(&action));
    shell.forget_told();
    put(&mut shell, &following(&action, PAUSE));
    assert_eq!(told_of(&mut shell, 1), [(seat(0), PAUSE)]);
    assert_eq!(told_of(&mut shell, 0), [], "nobody is told what he said himself");
    let consent = transaction_now(&shell, 1, PAUSE);
    put(&mut shell, &consent);
    let pause = BlockKind::Reopen { reason: ReopenReason::Pause { ms: 60_000 } };
    let block = blocks_of(&mut shell, 0).pop().unwrap();
    assert_eq!((kind(&block), block.entries().len()), (&pause, 2), "what was handed in is not shown");
    assert!(shell.events.contains(&Event::Paused { ms: 60_000 }));
    let head = shell.head();
    assert_eq!((head.turn, head.attempt, head.state_root), (before.turn, before.attempt, before.state_root));
    assert_eq!(head.deadline, Some(before.deadline.unwrap().after(60_000)));
    // What was handed in before counts, and all who act go on before the time is up.
    shell.pass(DEADLINE_MS + 30_000);
    assert_eq!(shell.head().turn, before.turn);
    let (seq, prev_tx) = (consent.seq.next().unwrap(), sign(&consent).hash());
    let last = shell.draft(seat(1), TransactionBody::Turn(Vec::new()));
    put(&mut shell, &Transaction { seq, prev_tx, ..last });
    assert_eq!(shell.head().turn, before.turn.next().unwrap());
}

#[test]
fn a_pause_is_over_when_its_time_is_and_a_crash_leaves_it() {
    let mut shell = playing(2);
    let deadline = shell.head().deadline.unwrap();
    agree(&mut shell, PAUSE);
    shell.crash();
    shell.guests = (0..2).map(|player| shell.enter(player)).collect();
    assert_eq!(shell.head().deadline, Some(deadline.after(60_000)));
    assert_eq!(told_of(&mut shell, 1), [], "nobody is asked again for a pause that has been");
    let turn = shell.head().turn;
    shell.pass(DEADLINE_MS + 60_000);
    assert_eq!(shell.head().turn, turn.next().unwrap());
    agree(&mut shell, PAUSE);
    let block = blocks_of(&mut shell, 0).pop().unwrap();
    assert!(matches!(kind(&block), BlockKind::Reopen { .. }));
}

#[test]
fn the_match_ends_when_all_want_it_to() {
    let mut shell = playing(2);
    agree(&mut shell, Motion::End);
    assert_eq!(shell.chain().sealed(), Some(SealReason::Agreed));
    assert!(shell.events.contains(&Event::Ended { reason: SealReason::Agreed }));
    assert_eq!(blocks_of(&mut shell, 0).pop().unwrap().entries().len(), 2);
    shell.feed(Input::Timeout);
    assert_eq!(blocks_of(&mut shell, 0).len(), 0, "nothing comes after the end");
}

#[test]
fn what_one_no_more_wants_is_not_done() {
    let mut shell = playing(2);
    let first = transaction_now(&shell, 0, Motion::End);
    put(&mut shell, &first);
    put(&mut shell, &following(&first, Motion::Nothing));
    assert_eq!(told_of(&mut shell, 1), [(seat(0), Motion::End), (seat(0), Motion::Nothing)]);
    want(&mut shell, 1, Motion::End);
    assert_eq!(shell.chain().sealed(), None);
    shell.pass(DEADLINE_MS);
    want(&mut shell, 0, Motion::End);
    assert_eq!(shell.chain().sealed(), None, "the other wanted it in the turn before");
}

#[test]
fn what_was_wanted_before_a_crash_is_wanted_after_it() {
    let mut shell = playing(2);
    want(&mut shell, 0, Motion::End);
    shell.crash();
    shell.guests = (0..2).map(|player| shell.enter(player)).collect();
    assert_eq!(told_of(&mut shell, 1), [(seat(0), Motion::End)]);
    want(&mut shell, 1, Motion::End);
    assert_eq!(shell.chain().sealed(), Some(SealReason::Agreed));
}

#[test]
fn whoever_keeps_the_others_waiting_is_skipped_at_half_the_time() {
    let mut shell = playing(3);
    let before = shell.head();
    let seats = SeatSet::from_iter([seat(2)]);
    for index in [0, 1] {
        let action = shell.draft(seat(index), TransactionBody::Turn(Vec::new()));
        shell.submit(shell.guests[usize::from(index)], sign(&action));
        put(&mut shell, &following(&action, Motion::Skip { seats }));
    }
    shell.pass(DEADLINE_MS / 2 - 1);
    assert_eq!(shell.head().turn, before.turn);
    shell.pass(1);
    assert_eq!(shell.head().turn, before.turn.next().unwrap());
    assert_eq!(shell.head().server_time, before.server_time.after(DEADLINE_MS / 2));
    let absent = blocks_of(&mut shell, 0).pop().unwrap().absent().to_vec();
    assert_eq!(
        absent.iter().map(|a| (a.seat, a.reason)).collect::<Vec<_>>(),
        [(seat(2), AbsenceReason::Skipped)]
    );
    let closed = Event::TurnClosed { turn: Turn::new(2), late: seats, desynced: SeatSet::EMPTY };
    assert!(shell.events.contains(&closed), "{:?}", shell.events);
}

#[test]
fn nothing_is_moved_that_the_genesis_does_not_allow() {
    let mut shell = Shell::playing(spec(2));
    shell.play_turn();
    shell.forget_told();
    want(&mut shell, 0, PAUSE);
    assert_eq!(shell.refusal(shell.guests[0]), Refusal::Chain(TransactionError::WrongKind));
    let mut shell = playing(2);
    want(&mut shell, 0, Motion::Pause { ms: 60_001 });
    assert_eq!(shell.refusal(shell.guests[0]), Refusal::Chain(TransactionError::WrongMotion));
    let endless = AgreementPolicy { pause_ms_max: u32::MAX, ..AgreementPolicy::USUAL };
    assert!(Room::open(room_name(), host(), RoomSpec { agreements: endless, ..spec(2) }).is_none());
}

/// A match in which everything can be agreed on, after a turn.
fn playing(seats: u8) -> Shell {
    let agreements = AgreementPolicy { pause_ms_max: 60_000, end: true, skip: SkipPolicy::Majority };
    let mut shell = Shell::playing(RoomSpec { agreements, size: Some(9), ..spec(seats) });
    shell.play_turn();
    shell.events.clear();
    shell.forget_told();
    shell
}

fn agree(shell: &mut Shell, motion: Motion) {
    want(shell, 0, motion);
    want(shell, 1, motion);
}

fn want(shell: &mut Shell, index: u8, motion: Motion) {
    put(shell, &transaction_now(shell, index, motion));
}

fn transaction_now(shell: &Shell, index: u8, motion: Motion) -> Transaction {
    shell.draft(seat(index), TransactionBody::Motion(motion))
}

fn put(shell: &mut Shell, tx: &Transaction) {
    shell.submit(shell.guests[tx.seat.index()], sign(tx));
}

/// What the seat wants after something else that it did in the open turn.
fn following(before: &Transaction, motion: Motion) -> Transaction {
    let (seq, prev_tx) = (before.seq.next().unwrap(), sign(before).hash());
    Transaction { seq, prev_tx, body: TransactionBody::Motion(motion), ..before.clone() }
}

/// The blocks that a player was told since the last call.
fn blocks_of(shell: &mut Shell, index: usize) -> Vec<ReadBlock> {
    let messages = shell.messages(shell.guests[index]);
    let blocks = messages.into_iter().filter_map(|message| {
        let ServerMessage::Block(block) = message else { return None };
        Some(read(block))
    });
    blocks.collect()
}

/// What a player was told that others want since the last call.
fn told_of(shell: &mut Shell, index: usize) -> Vec<(Seat, Motion)> {
    let messages = shell.messages(shell.guests[index]);
    let motions = messages.into_iter().filter_map(|message| {
        let ServerMessage::Motion { seat, motion } = message else { return None };
        Some((seat, motion))
    });
    motions.collect()
}
