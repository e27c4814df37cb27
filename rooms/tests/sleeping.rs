//! Rooms that are dropped while nobody is there, and woken again.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use cadastre_protocol::{AbsenceReason, BlockKind, EnterAs, ServerMessage, Turn};
use cadastre_rooms::Input;
use support::{DEADLINE_MS, NOW, Shell, kind, read, seat, spec};

#[test]
fn a_room_may_sleep_while_nobody_is_there_and_all_is_on_disk() {
    assert_eq!(Shell::open(spec(2)).room.sleeps_until(), None, "a lobby is not on disk");
    let mut shell = Shell::playing(spec(2));
    shell.leave(shell.guests[0]);
    assert_eq!(shell.room.sleeps_until(), None, "somebody is there");
    shell.withhold();
    shell.act(seat(1), Vec::new());
    shell.leave(shell.guests[1]);
    assert_eq!(shell.room.sleeps_until(), None, "a receipt is not on disk yet");
    shell.confirm();
    assert_eq!(shell.room.sleeps_until(), shell.head().deadline);
    shell.pass(DEADLINE_MS);
    assert_eq!(shell.head().turn, Turn::new(1));
    shell.feed(Input::End);
    assert_eq!(shell.room.sleeps_until(), None, "the match is over");
}

#[test]
fn a_room_that_is_woken_goes_on_where_it_was() {
    let mut shell = Shell::playing(spec(2));
    shell.play_turn();
    shell.act(seat(0), Vec::new());
    let receipt = shell.store.accepted.values().next().unwrap().2.clone();
    let before = shell.head();
    shell.now = shell.now.after(DEADLINE_MS - 1);
    shell.wake_up();
    assert_eq!((shell.head(), shell.wake), (before, before.deadline), "no block was made");
    // The seat is told again what it was promised; the other one acts in the time it has left.
    let guest = shell.resume(0, EnterAs::Player, before.height.get());
    let told = shell.messages(guest);
    assert!(told.contains(&ServerMessage::Receipt(receipt)), "{told:?}");
    shell.guests = vec![guest, shell.enter(1)];
    shell.act(seat(1), Vec::new());
    assert_eq!(shell.head().turn, Turn::new(2));
    assert_eq!(shell.store.replay().0.head(), &shell.head());
}

#[test]
fn a_room_that_is_woken_at_its_deadline_closes_the_turn() {
    let mut shell = Shell::playing(spec(2));
    shell.act(seat(1), Vec::new());
    shell.now = NOW.after(DEADLINE_MS);
    shell.wake_up();
    assert_eq!((shell.head().turn, shell.head().server_time), (Turn::new(1), NOW.after(DEADLINE_MS)));
    let block = read(shell.store.blocks.last().unwrap().clone());
    assert_eq!((block.entries().len(), block.absent()[0].reason), (1, AbsenceReason::Deadline));
}

#[test]
fn a_room_that_is_woken_under_another_signer_says_so_first() {
    let mut shell = Shell::playing(spec(2));
    let before = shell.head();
    shell.store.rotations += 1;
    shell.wake_up();
    let change = read(shell.store.blocks.last().unwrap().clone());
    assert!(matches!(kind(&change), BlockKind::KeyChange { .. }));
    assert_eq!((shell.head().height.get(), shell.wake), (before.height.get() + 1, before.deadline));
}
