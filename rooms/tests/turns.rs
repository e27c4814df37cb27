//! Turns: when they close, who is absent, and whose commands count.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use cadastre_protocol::{
    Absence, AbsenceReason, BlockKind, Height, Millis, Refusal, ServerMessage, StateRoot, TransactionBody,
    TransactionError, Turn,
};
use cadastre_rooms::{Event, Input, KEYFRAME_TURNS};
use support::{DEADLINE_MS, NOW, Shell, alternating, edge, kind, read, seat, sign, spec};

#[test]
fn a_turn_closes_as_soon_as_all_have_acted() {
    let mut shell = Shell::playing(spec(3));
    shell.pass(1234);
    for index in [2, 0] {
        shell.act(seat(index), Vec::new());
        assert_eq!(shell.head().turn, Turn::START);
    }
    shell.forget_told();
    shell.act(seat(1), Vec::new());
    for index in 0..3 {
        let blocks = shell.blocks(shell.guests[index]);
        assert_eq!(kind(&blocks[0]), &BlockKind::Turn, "told to {index}, the last to act among them");
        assert_eq!((blocks.len(), blocks[0].entries().len(), blocks[0].absent()), (1, 3, &[][..]));
    }
    assert_eq!((shell.head().turn, shell.head().server_time), (Turn::new(1), NOW.after(1234)));
    assert_eq!(shell.head().deadline, Some(NOW.after(1234 + DEADLINE_MS)));
    assert_eq!(shell.wake, shell.head().deadline);
}

#[test]
fn whoever_lets_the_deadline_pass_is_absent_and_not_a_millisecond_earlier() {
    let mut shell = Shell::playing(spec(3));
    shell.act(seat(1), Vec::new());
    shell.forget_told();
    shell.pass(DEADLINE_MS - 1);
    // A timer that goes off too early.
    shell.feed(Input::Timeout);
    assert_eq!((shell.head().height, shell.wake), (Height::new(1), shell.head().deadline));
    shell.pass(1);
    let block = &shell.blocks(shell.guests[0])[0];
    assert_eq!(block.header().server_time, NOW.after(DEADLINE_MS));
    assert_eq!(block.absent(), [0, 2].map(|index| absent(index, AbsenceReason::Deadline)));
    let late = [0, 2].map(seat).into_iter().collect();
    let closed = Event::TurnClosed { turn: Turn::new(1), late, desynced: [].into_iter().collect() };
    assert_eq!(shell.events, [closed]);
}

#[test]
fn the_deadline_itself_is_in_time_and_closes_the_turn() {
    let mut shell = Shell::playing(spec(3));
    shell.now = NOW.after(DEADLINE_MS);
    shell.act(seat(1), Vec::new());
    let block = &shell.blocks(shell.guests[1])[0];
    assert_eq!((block.entries().len(), block.absent().len()), (1, 2));
}

#[test]
fn a_millisecond_after_the_deadline_is_too_late() {
    let mut shell = Shell::playing(spec(2));
    shell.now = NOW.after(DEADLINE_MS + 1);
    shell.act(seat(0), Vec::new());
    assert_eq!(shell.refusal(shell.guests[0]), Refusal::Chain(TransactionError::Late));
    shell.feed(Input::Timeout);
    assert_eq!(shell.head().turn, Turn::new(1));
}

#[test]
fn turns_without_anybody_close_at_their_deadlines() {
    let mut shell = Shell::playing(spec(2));
    shell.pass(7 * DEADLINE_MS);
    assert_eq!(shell.head().turn, Turn::new(7));
    // A service that slept gives nobody a turn of no length.
    shell.now = shell.now.after(100 * DEADLINE_MS);
    shell.feed(Input::Timeout);
    assert_eq!(shell.head().turn, Turn::new(8));
    assert_eq!(shell.head().deadline, Some(shell.now.after(DEADLINE_MS)));
}

#[test]
fn with_alternating_turns_only_the_seat_to_move_is_waited_for() {
    let mut shell = Shell::playing(alternating(3));
    shell.act(seat(2), Vec::new());
    assert_eq!(shell.refusal(shell.guests[2]), Refusal::Chain(TransactionError::NotToMove));
    shell.act(seat(0), edge(3));
    let block = &shell.blocks(shell.guests[0])[0];
    assert_eq!(block.absent(), [1, 2].map(|index| absent(index, AbsenceReason::NotToMove)));
    shell.pass(DEADLINE_MS);
    let late = &shell.blocks(shell.guests[1])[1];
    let reasons: Vec<_> = late.absent().iter().map(|absence| absence.reason).collect();
    assert_eq!(reasons, [AbsenceReason::NotToMove, AbsenceReason::Deadline, AbsenceReason::NotToMove]);
    assert_eq!(shell.chain().required(), [seat(2)].into_iter().collect());
}

#[test]
fn a_turn_that_waits_for_nobody_closes_at_once() {
    let mut shell = Shell::playing(alternating(3));
    shell.act(seat(0), edge(0));
    // Seat 2 gives up while seat 1 is to move, so that its own turn never comes.
    shell.submit(shell.guests[2], sign(&shell.draft(seat(2), TransactionBody::Resign)));
    shell.forget_told();
    shell.act(seat(1), edge(1));
    let blocks = shell.blocks(shell.guests[0]);
    assert_eq!(blocks.len(), 2);
    assert_eq!((blocks[0].entries().len(), blocks[1].entries().len()), (2, 0));
    assert_eq!(blocks[1].absent()[2], absent(2, AbsenceReason::Resigned));
    assert_eq!(shell.chain().required(), [seat(0)].into_iter().collect());
    // It stays so for the rest of the match, also over a restart.
    shell.crash();
    shell.guests = (0..3).map(|player| shell.enter(player)).collect();
    while shell.chain().sealed().is_none() {
        shell.play_turn();
    }
    assert_eq!(shell.now, NOW, "nobody was waited for");
}

#[test]
fn commands_that_the_rules_refuse_are_refused_with_the_reason_and_leave_no_trace() {
    let mut shell = Shell::playing(spec(2));
    for (index, commands, reason) in [
        (0, edge(12), "there is no such edge"),
        (0, vec![1], "not the encoding of an edge"),
        (1, edge(0), "another seat is to move"),
    ] {
        shell.act(seat(index), commands);
        let refusal = Refusal::Command { command: 0, reason: reason.into() };
        assert_eq!(shell.refusal(shell.guest(seat(index))), refusal);
    }
    assert_eq!(shell.store.commits, 1, "only the Start");
    // The same numbers, now with commands that are allowed.
    shell.act(seat(0), edge(11));
    shell.act(seat(1), Vec::new());
    assert_eq!(shell.head().turn, Turn::new(1));
    assert_eq!(shell.store.replay().0.head(), &shell.head());
}

#[test]
fn another_state_root_is_included_and_reported() {
    let mut shell = Shell::playing(spec(2));
    let mut draft = shell.draft(seat(1), TransactionBody::Turn(Vec::new()));
    draft.seen_state_root = StateRoot::new(draft.match_id.as_tx().digest());
    shell.submit(shell.guests[1], sign(&draft));
    shell.act(seat(0), edge(0));
    let [.., Event::TurnClosed { desynced, .. }] = &shell.events[..] else { panic!("{:?}", shell.events) };
    assert_eq!(*desynced, [seat(1)].into_iter().collect());
}

#[test]
fn a_clock_that_is_set_back_stops_no_match() {
    let mut shell = Shell::playing(spec(2));
    shell.pass(5_000);
    shell.act(seat(0), edge(0));
    shell.now = Millis::new(NOW.get() - 3_600_000);
    shell.act(seat(1), Vec::new());
    assert_eq!((shell.head().turn, shell.head().server_time), (Turn::new(1), NOW.after(5_000)));
    shell.play_turn();
    assert_eq!(shell.head().turn, Turn::new(2));
    shell.now = NOW.after(60_000);
    shell.feed(Input::Timeout);
    assert_eq!((shell.head().turn, shell.head().server_time), (Turn::new(3), NOW.after(60_000)));
    assert_eq!(shell.store.replay().0.head(), &shell.head());
}

#[test]
fn keyframes_come_at_their_turns_whatever_restarts_lie_between() {
    let mut shell = Shell::playing(alternating(2));
    for turn in 1..=2 * KEYFRAME_TURNS {
        shell.pass_turn();
        if turn % 100 == 0 {
            shell.crash();
            shell.guests = vec![shell.enter(0), shell.enter(1)];
        }
        let newest = shell.store.keyframe.as_ref().map(|(state, _)| state.head().turn.get());
        assert_eq!(newest.unwrap_or(0), turn / KEYFRAME_TURNS * KEYFRAME_TURNS, "after turn {turn}");
    }
    assert_eq!(shell.store.restored(shell.now).unwrap().chain.head(), shell.store.replay().0.head());
}

#[test]
fn a_new_connection_in_the_middle_of_a_turn_takes_nothing_away() {
    let mut shell = Shell::playing(spec(2));
    shell.act(seat(0), edge(0));
    let old = shell.guests[0];
    shell.leave(old);
    shell.guests[0] = shell.enter(0);
    shell.forget_told();
    shell.act(seat(1), Vec::new());
    let messages = shell.messages(shell.guests[0]);
    let [ServerMessage::Block(block)] = &messages[..] else { panic!("{messages:?}") };
    assert_eq!(read(block.clone()).entries().len(), 2);
    assert!(shell.told(old).is_empty());
}

fn absent(index: u8, reason: AbsenceReason) -> Absence {
    Absence { seat: seat(index), reason }
}
