//! A room that makes a block which does not pass its own verifier. Only a defect can bring it there, or, as here,
//! a certificate that has expired: it stands still rather than fork the chain.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use cadastre_protocol::{BlockError, EnterAs, GoodbyeReason, Height, Millis, Refusal};
use cadastre_rooms::{Event, Input, Room};
use support::{DEADLINE_MS, NOW, Shell, Told, certificate, edge, host, room_name, seat, spec};

#[test]
fn nothing_comes_of_a_room_that_broke() {
    let mut shell = about_to_break();
    let transaction = shell.turn(seat(1), Vec::new());
    shell.act(seat(0), edge(0));
    shell.forget_told();
    shell.pass(DEADLINE_MS);
    assert_eq!(shell.events, [Event::Broken { error: BlockError::WrongSigner }]);
    assert!(shell.room.is_over());
    let commits = shell.store.commits;
    for _ in 0..3 {
        shell.feed(Input::Timeout);
        shell.feed(Input::End);
        shell.ready(shell.guests[0]);
        shell.submit(shell.guests[1], transaction.clone());
        assert_eq!(shell.refusal(shell.guests[1]), Refusal::NoMatch);
    }
    assert!(shell.told(shell.guests[0]).is_empty());
    assert_eq!((shell.store.commits, shell.store.height(), shell.wake), (commits, Height::new(1), None));
}

#[test]
fn whoever_comes_is_sent_away_without_a_word_about_the_match() {
    let mut shell = about_to_break();
    shell.pass(DEADLINE_MS);
    let guests = [
        shell.enter(0),
        shell.watch(5),
        shell.resume(1, EnterAs::Player, 1),
        shell.resume(5, EnterAs::Spectator, 1),
    ];
    for guest in guests {
        assert_eq!(shell.told(guest), [Told::Dismissed(GoodbyeReason::RoomClosed)]);
    }
}

#[test]
fn what_was_on_the_way_to_the_disk_is_not_answered() {
    let mut shell = about_to_break();
    shell.withhold();
    shell.act(seat(0), edge(0));
    shell.pass(DEADLINE_MS);
    shell.confirm();
    assert!(shell.told(shell.guests[0]).is_empty());
}

/// A match whose signer's certificate expires before the first turn is over.
fn about_to_break() -> Shell {
    let mut host = host();
    host.signer = certificate(Millis::new(0), NOW.after(DEADLINE_MS / 2));
    let mut shell = Shell::open(spec(2));
    shell.room = Room::open(room_name(), host, spec(2)).unwrap();
    shell.guests = vec![shell.enter(0), shell.enter(1)];
    for guest in shell.guests.clone() {
        shell.ready(guest);
    }
    for index in [0, 1] {
        shell.submit(shell.guests[usize::from(index)], shell.join(seat(index)));
    }
    assert_eq!(shell.head().height, Height::new(1));
    shell.forget_told();
    shell
}
