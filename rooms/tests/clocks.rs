//! Banks and absences: when a room closes a turn, and what it makes of seats that do not come.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use cadastre_protocol::{
    AbsencePolicy, AbsenceReason, Clock, Height, Refusal, RoomSpec, SealReason, TransactionBody,
    TransactionError, Turn,
};
use cadastre_rooms::Input;
use support::{DEADLINE_MS, NOW, Shell, alternating, edge, seat, sign, spec};

const BANK: Clock = Clock::Bank { initial_ms: 4_000, increment_ms: 1_000 };

#[test]
fn a_room_wakes_when_the_time_of_the_seat_to_move_is_up() {
    let mut shell = Shell::playing(RoomSpec { clock: BANK, ..alternating(2) });
    assert_eq!(shell.wake, Some(NOW.after(4_000)), "before the deadline of the turn");
    shell.pass(1_500);
    shell.act(seat(0), edge(0));
    assert_eq!(shell.wake, Some(NOW.after(5_500)));
    assert_eq!(shell.chain().clock_of(seat(0)).unwrap().bank_ms, Some(3_500));
    shell.pass(3_999);
    shell.feed(Input::Timeout);
    assert_eq!(shell.head().turn, Turn::new(1), "a timer that goes off too early");
    shell.pass(1);
    assert_eq!(shell.head().turn, Turn::new(2));
    let flag = shell.blocks(shell.guests[0]).pop().unwrap();
    assert_eq!(flag.absent()[1].reason, AbsenceReason::Deadline);
    assert_eq!(shell.chain().clock_of(seat(1)).unwrap().bank_ms, Some(1_000));
}

#[test]
fn whoever_has_no_time_left_is_too_late_while_the_others_still_play() {
    let mut shell = Shell::playing(RoomSpec { clock: BANK, ..spec(2) });
    shell.act(seat(1), Vec::new());
    shell.pass(3_000);
    shell.act(seat(0), edge(0));
    // Seat 0 has 2 s left, seat 1 has 5 s.
    shell.forget_told();
    shell.now = shell.now.after(2_001);
    shell.act(seat(0), Vec::new());
    assert_eq!(shell.refusal(shell.guests[0]), Refusal::Chain(TransactionError::Late));
    assert_eq!(shell.head().turn, Turn::new(1), "seat 1 has time");
    shell.act(seat(1), edge(1));
    assert_eq!(shell.head().turn, Turn::new(2), "nobody is left to be waited for");
}

#[test]
fn a_flag_that_falls_loses_the_match_where_the_genesis_says_so() {
    let absence = AbsencePolicy::Forfeit { abandon_after: 100, forfeit_after: 1 };
    let mut shell = Shell::playing(RoomSpec { clock: BANK, absence, ..alternating(2) });
    shell.pass(4_000);
    assert_eq!(shell.chain().sealed(), Some(SealReason::Resigned));
    let places: Vec<_> = shell.chain().standings().iter().map(|standing| standing.place).collect();
    assert_eq!(places, [2, 1]);
    assert_eq!(shell.store.replay().0.head(), shell.chain().head());
}

#[test]
fn seats_without_time_are_passed_over_at_once_until_the_match_is_abandoned() {
    let clock = Clock::Bank { initial_ms: 4_000, increment_ms: 0 };
    let absence = AbsencePolicy::Pass { abandon_after: 7 };
    let mut shell = Shell::playing(RoomSpec { clock, absence, ..alternating(2) });
    shell.pass(8_000);
    assert_eq!(shell.chain().sealed(), Some(SealReason::Abandoned));
    assert_eq!((shell.head().turn, shell.head().server_time), (Turn::new(7), NOW.after(8_000)));
}

#[test]
fn banks_and_absences_outlast_a_restart() {
    let absence = AbsencePolicy::Shrink { abandon_after: 100, forfeit_after: Some(3), shortest_ms: 500 };
    let mut shell = Shell::playing(RoomSpec { clock: BANK, absence, ..spec(3) });
    shell.pass(1_000);
    for index in [0, 1] {
        shell.act(seat(index), Vec::new());
    }
    shell.pass(3_000);
    let banks =
        |shell: &Shell| [0, 1, 2].map(|index| shell.chain().clock_of(seat(index)).unwrap().bank_ms.unwrap());
    assert_eq!(banks(&shell), [4_000, 4_000, 1_000]);
    shell.act(seat(0), Vec::new());
    shell.now = shell.now.after(60_000);
    shell.crash();
    assert_eq!(banks(&shell), [4_000, 4_000, 1_000], "nobody's time ran while the server was away");
    shell.guests = (0..3).map(|player| shell.enter(player)).collect();
    shell.act(seat(1), Vec::new());
    shell.pass(1_000);
    assert_eq!((shell.head().turn, banks(&shell)), (Turn::new(2), [5_000, 5_000, 1_000]));
    for index in [0, 1] {
        shell.act(seat(index), Vec::new());
    }
    shell.pass(1_000);
    assert_eq!(shell.chain().resigned().iter().collect::<Vec<_>>(), [seat(2)], "absent three times");
    let draft = shell.draft(seat(2), TransactionBody::Turn(Vec::new()));
    shell.forget_told();
    shell.submit(shell.guests[2], sign(&draft));
    assert_eq!(shell.refusal(shell.guests[2]), Refusal::Chain(TransactionError::Resigned));
}

#[test]
fn the_clock_of_whoever_does_not_come_shrinks() {
    let absence = AbsencePolicy::Shrink { abandon_after: 100, forfeit_after: None, shortest_ms: 2_500 };
    let mut shell = Shell::playing(RoomSpec { absence, ..spec(2) });
    for span in [DEADLINE_MS, DEADLINE_MS / 2, 2_500, 2_500] {
        let began = shell.head().server_time;
        shell.act(seat(1), Vec::new());
        shell.pass(span);
        assert_eq!(shell.head().server_time, began.after(span));
    }
    shell.act(seat(0), Vec::new());
    shell.act(seat(1), Vec::new());
    assert_eq!(shell.head().height, Height::new(6));
    assert_eq!(shell.wake, shell.head().deadline, "the whole time again");
}
