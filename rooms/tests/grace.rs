//! Grace in a room: a turn waits longer, once, for a seat without a connection.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use cadastre_protocol::{
    AgreementPolicy, BlockKind, Clock, Height, Motion, ReopenReason, RoomSpec, SeatSet, SkipPolicy,
    TakebackPolicy, Transaction, TransactionBody, Turn, Visibility,
};
use cadastre_rooms::{Event, Input};
use support::{DEADLINE_MS, NOW, Shell, kind, seat, sign, spec};

const GRACE_MS: u64 = 4_000;

#[test]
fn the_turn_waits_for_who_has_lost_the_connection() {
    let mut shell = playing(2);
    shell.act(seat(0), Vec::new());
    shell.leave(shell.guests[1]);
    shell.forget_told();
    shell.pass(DEADLINE_MS);
    let blocks = shell.blocks(shell.guests[0]);
    assert_eq!(blocks.iter().map(kind).collect::<Vec<_>>(), [&grace()]);
    let (ms, missing) = (u32::try_from(GRACE_MS).unwrap(), SeatSet::from_iter([seat(1)]));
    assert!(shell.events.contains(&Event::Grace { ms, missing }), "{:?}", shell.events);
    assert_eq!(shell.head().deadline, Some(NOW.after(DEADLINE_MS + GRACE_MS)));
    assert_eq!(shell.wake, shell.head().deadline);
    // It comes back, acts, and what the other has handed in before counts: the turn is closed at once.
    shell.pass(GRACE_MS - 1);
    shell.guests[1] = shell.enter(1);
    shell.act(seat(1), Vec::new());
    assert_eq!((shell.head().turn, shell.head().server_time), (Turn::new(1), shell.now));
    assert_eq!(shell.store.replay().0.head(), shell.chain().head());
}

#[test]
fn it_waits_once_and_not_for_who_was_absent_in_the_turn_before() {
    let mut shell = playing(2);
    shell.leave(shell.guests[1]);
    shell.act(seat(0), Vec::new());
    shell.pass(DEADLINE_MS + GRACE_MS - 1);
    assert_eq!(shell.head().turn, Turn::START);
    shell.pass(1);
    assert_eq!((shell.head().turn, shell.head().server_time), (Turn::new(1), shell.now));
    shell.act(seat(0), Vec::new());
    shell.pass(DEADLINE_MS);
    assert_eq!(shell.head().turn, Turn::new(2), "absent again");
    assert_eq!(shell.head().height, Height::new(4), "and no grace before it");
    // Whoever was there again, is waited for again.
    shell.guests[1] = shell.enter(1);
    shell.pass_turn();
    shell.leave(shell.guests[1]);
    shell.act(seat(0), Vec::new());
    shell.pass(DEADLINE_MS);
    assert_eq!(shell.head().turn, Turn::new(3));
    shell.pass(GRACE_MS);
    assert_eq!(shell.head().turn, Turn::new(4));
}

#[test]
fn nobody_waits_for_who_is_there_and_does_not_act() {
    let mut shell = playing(2);
    shell.act(seat(0), Vec::new());
    shell.leave(shell.guests[0]);
    shell.pass(DEADLINE_MS);
    assert_eq!(shell.head().turn, Turn::new(1), "seat 1 is there, seat 0 has acted");
    let mut shell = playing(3);
    shell.leave(shell.guests[2]);
    shell.pass(DEADLINE_MS);
    assert_eq!(shell.head().turn, Turn::START, "seat 2 is not");
    let mut shell = Shell::playing(spec(2));
    shell.leave(shell.guests[1]);
    shell.pass(DEADLINE_MS);
    assert_eq!(shell.head().turn, Turn::new(1), "a match without grace");
}

#[test]
fn a_connection_that_takes_over_is_one() {
    let mut shell = playing(2);
    shell.act(seat(0), Vec::new());
    shell.guests[1] = shell.enter(1);
    shell.pass(DEADLINE_MS);
    assert_eq!(shell.head().turn, Turn::new(1));
}

#[test]
fn whom_the_others_skip_nobody_waits_for() {
    let agreements = AgreementPolicy { skip: SkipPolicy::Majority, ..AgreementPolicy::NONE };
    let mut shell = Shell::playing(RoomSpec { agreements, ..graced(3) });
    shell.leave(shell.guests[2]);
    let seats = SeatSet::from_iter([seat(2)]);
    for index in [0, 1] {
        let action = shell.draft(seat(index), TransactionBody::Turn(Vec::new()));
        shell.submit(shell.guests[usize::from(index)], sign(&action));
        let vote = Transaction {
            seq: action.seq.next().unwrap(),
            prev_tx: sign(&action).hash(),
            ..shell.draft(seat(index), TransactionBody::Motion(Motion::Skip { seats }))
        };
        shell.submit(shell.guests[usize::from(index)], sign(&vote));
    }
    shell.pass(DEADLINE_MS / 2);
    assert_eq!((shell.head().turn, shell.head().height), (Turn::new(1), Height::new(2)));
}

#[test]
fn each_half_of_a_sealed_turn_waits() {
    let mut shell = Shell::playing(RoomSpec { visibility: Visibility::Sealed, ..graced(2) });
    let (salt, commands) = ([7; 32], Vec::new());
    let (turn, chain) = (Turn::new(1), shell.chain().match_id());
    let attempt = shell.head().attempt;
    for index in [0, 1] {
        let sealed = cadastre_protocol::sealed_commands(chain, seat(index), turn, attempt, &salt, &commands);
        let commit = shell.draft(seat(index), TransactionBody::Commit(sealed));
        if index == 1 {
            shell.leave(shell.guests[1]);
            shell.pass(DEADLINE_MS + 1);
            shell.guests[1] = shell.enter(1);
        }
        shell.submit(shell.guests[usize::from(index)], sign(&commit));
    }
    assert!(shell.chain().is_revealing());
    shell.leave(shell.guests[1]);
    shell.leave(shell.guests[0]);
    let commit = shell.head();
    shell.pass(DEADLINE_MS);
    assert!(shell.chain().is_revealing());
    shell.pass(GRACE_MS);
    let head = shell.head();
    assert_eq!((head.turn, head.height.get()), (turn, commit.height.get() + 2));
}

#[test]
fn no_bank_pays_for_the_time_that_it_gives() {
    let clock = Clock::Bank { initial_ms: 6_000, increment_ms: 0 };
    let mut shell = Shell::playing(RoomSpec { clock, ..graced(2) });
    let bank = |shell: &Shell, index| shell.chain().clock_of(seat(index)).unwrap().bank_ms.unwrap();
    shell.leave(shell.guests[1]);
    shell.pass(5_000);
    shell.act(seat(0), Vec::new());
    shell.pass(1_000);
    assert_eq!(shell.wake, Some(NOW.after(6_000 + GRACE_MS)));
    shell.pass(3_000);
    shell.guests[1] = shell.enter(1);
    shell.act(seat(1), Vec::new());
    assert_eq!(shell.head().turn, Turn::new(1));
    assert_eq!((bank(&shell, 0), bank(&shell, 1)), (5_000, 1_000));
}

#[test]
fn a_restart_leaves_it_and_does_not_give_it_again() {
    let mut shell = playing(2);
    shell.leave(shell.guests[1]);
    shell.act(seat(0), Vec::new());
    shell.pass(DEADLINE_MS);
    assert_eq!(shell.head().height, Height::new(2));
    shell.crash();
    let deadline = shell.head().deadline.unwrap();
    assert_eq!(deadline, shell.now.after(DEADLINE_MS), "nobody's time ran while the server was away");
    shell.pass(DEADLINE_MS);
    assert_eq!((shell.head().turn, shell.head().server_time), (Turn::new(1), deadline));
    assert_eq!(shell.store.replay().0.head(), shell.chain().head());
}

#[test]
fn a_room_that_slept_gives_it_when_it_wakes() {
    let mut shell = playing(2);
    shell.act(seat(0), Vec::new());
    shell.guests.clone().into_iter().for_each(|guest| shell.leave(guest));
    let deadline = shell.room.sleeps_until().unwrap();
    shell.now = deadline;
    shell.wake_up();
    assert_eq!(shell.head().turn, Turn::START);
    shell.now = shell.room.sleeps_until().unwrap();
    assert_eq!(shell.now, deadline.after(GRACE_MS));
    shell.wake_up();
    assert_eq!(shell.head().turn, Turn::new(1));
}

#[test]
fn what_is_taken_back_can_still_be_after_it() {
    let takebacks = TakebackPolicy::Unanimous;
    let mut shell = Shell::playing(RoomSpec { takebacks, ..graced(2) });
    shell.pass_turn();
    let back = TransactionBody::Takeback { to_turn: Turn::START };
    let proposal = shell.draft(seat(0), back.clone());
    shell.submit(shell.guests[0], sign(&proposal));
    shell.leave(shell.guests[1]);
    shell.pass(DEADLINE_MS);
    shell.guests[1] = shell.enter(1);
    let consent = shell.draft(seat(1), back);
    shell.submit(shell.guests[1], sign(&consent));
    assert_eq!((shell.head().turn, shell.head().attempt.get()), (Turn::START, 1));
    shell.leave(shell.guests[1]);
    shell.forget_told();
    shell.pass(DEADLINE_MS);
    let blocks = shell.blocks(shell.guests[0]);
    assert_eq!(blocks.iter().map(kind).collect::<Vec<_>>(), [&grace()], "the turn is open anew");
    shell.feed(Input::Timeout);
    assert_eq!(shell.head().turn, Turn::START, "a timer that goes off too early");
}

fn playing(seats: u8) -> Shell {
    Shell::playing(graced(seats))
}

fn graced(seats: u8) -> RoomSpec {
    RoomSpec { grace_ms: u32::try_from(GRACE_MS).unwrap(), size: Some(9), ..spec(seats) }
}

const fn grace() -> BlockKind {
    BlockKind::Reopen { reason: ReopenReason::Grace }
}
