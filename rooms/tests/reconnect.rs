//! Connections that come in the middle of a match, new or with blocks in hand.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use cadastre_protocol::{EnterAs, Failure, GoodbyeReason, Height, ServerMessage, Turn};
use cadastre_rooms::{GuestId, Input};
use support::{DEADLINE_MS, Shell, Told, edge, identity, read, seat, spec};

#[test]
fn whoever_enters_a_running_match_gets_all_of_it() {
    let mut shell = Shell::playing(spec(2));
    shell.play_turn();
    shell.play_turn();
    shell.act(seat(0), Vec::new());
    for player in [0, 1] {
        let guest = shell.enter(player);
        let messages = shell.messages(guest);
        let [ServerMessage::Genesis { begun: true, names, .. }, rest @ ..] = &messages[..] else { panic!() };
        assert_eq!(names[1], support::name(1));
        assert_eq!(heights(&rest[..4]), ([1, 2, 3].to_vec(), Some(3)));
        assert_eq!(rest[4..].len(), usize::from(player == 0), "the receipt of the open turn");
    }
}

#[test]
fn whoever_comes_back_gets_what_is_missing_and_nothing_twice() {
    let mut shell = Shell::playing(spec(2));
    (0..4).for_each(|_| shell.play_turn());
    for height in 0..=5 {
        let guest = shell.resume(1, EnterAs::Player, height);
        let messages = shell.messages(guest);
        assert_eq!(heights(&messages), ((height + 1..=5).collect(), Some(5)));
        shell.guests[1] = guest;
    }
    shell.forget_told();
    shell.play_turn();
    assert_eq!(shell.blocks(shell.guests[1]).len(), 1);
}

#[test]
fn only_what_is_confirmed_is_caught_up_to_and_the_rest_follows() {
    let mut shell = Shell::playing(spec(2));
    shell.withhold();
    (0..3).for_each(|_| shell.pass(DEADLINE_MS));
    shell.write();
    assert_eq!((shell.head().height, shell.store.height()), (Height::new(4), Height::new(4)));
    let entered = shell.enter(0);
    let resumed = shell.resume(1, EnterAs::Player, 1);
    let watching = shell.watch(5);
    assert_eq!(heights(&shell.messages(entered)[1..]), (vec![1], Some(1)));
    assert_eq!(heights(&shell.messages(resumed)), (vec![], Some(1)));
    assert_eq!(heights(&shell.messages(watching)[1..]), (vec![1], Some(1)));
    // A block that the store has, but nobody was told of.
    let early = shell.resume(6, EnterAs::Spectator, 2);
    assert_eq!(shell.told(early), [Told::NotAdmitted(Failure::UnknownHead)]);
    shell.confirm();
    for guest in [entered, resumed, watching] {
        assert_eq!(heights(&shell.messages(guest)), (vec![2, 3, 4], None));
    }
}

#[test]
fn a_match_can_be_entered_before_its_start_is_confirmed() {
    let mut shell = Shell::joining(spec(2));
    shell.withhold();
    for index in [0, 1] {
        shell.submit(shell.guests[usize::from(index)], shell.join(seat(index)));
    }
    let guest = shell.enter(1);
    let messages = shell.messages(guest);
    assert!(matches!(messages[0], ServerMessage::Genesis { begun: true, .. }));
    assert_eq!(heights(&messages[1..]), (vec![], Some(0)));
    shell.confirm();
    assert_eq!(heights(&shell.messages(guest)), (vec![1], None));
}

#[test]
fn a_head_that_the_server_does_not_have_is_told_so() {
    let mut shell = Shell::playing(spec(2));
    shell.play_turn();
    let ahead = shell.resume(0, EnterAs::Player, 3);
    assert_eq!(shell.told(ahead), [Told::NotAdmitted(Failure::UnknownHead)]);
    let forked = shell.new_guest();
    let (enter_as, height) = (EnterAs::Player, Height::new(1));
    let resume =
        Input::Resume { guest: forked, identity: identity(0), enter_as, height, known: false, shown: None };
    shell.feed(resume);
    assert_eq!(shell.told(forked), [Told::NotAdmitted(Failure::UnknownHead)]);
    // Neither has taken the seat's connection away.
    shell.forget_told();
    shell.play_turn();
    assert_eq!(shell.messages(shell.guests[0]).len(), 2, "receipt and block");
}

#[test]
fn nobody_without_a_seat_comes_back_as_a_player() {
    let mut shell = Shell::playing(spec(2));
    let stranger = shell.enter(7);
    assert_eq!(shell.told(stranger), [Told::NotAdmitted(Failure::NotSeated)]);
    for height in [0, 1, 9] {
        let stranger = shell.resume(7, EnterAs::Player, height);
        assert_eq!(shell.told(stranger), [Told::NotAdmitted(Failure::NotSeated)]);
    }
}

#[test]
fn there_is_nothing_to_come_back_to_before_the_match() {
    for mut shell in [Shell::open(spec(2)), Shell::joining(spec(2))] {
        let guest = shell.resume(0, EnterAs::Player, 0);
        assert_eq!(shell.told(guest), [Told::NotAdmitted(Failure::NoSuchMatch)]);
    }
}

#[test]
fn the_newest_connection_of_a_player_is_the_one_that_counts() {
    let mut shell = Shell::playing(spec(2));
    let old = shell.guests[0];
    let new = shell.resume(0, EnterAs::Player, 1);
    assert_eq!(shell.told(old), [Told::Dismissed(GoodbyeReason::Replaced)]);
    // What the old one had still on the way is not answered.
    shell.submit(old, shell.turn(seat(0), edge(0)));
    shell.leave(old);
    shell.forget_told();
    shell.submit(new, shell.turn(seat(0), edge(0)));
    assert_eq!(shell.store.accepted.len(), 1);
    shell.receipt(new);
}

#[test]
fn a_player_who_is_away_keeps_the_seat_and_the_time_runs() {
    let mut shell = Shell::playing(spec(2));
    shell.leave(shell.guests[0]);
    shell.leave(shell.guests[1]);
    shell.pass(3 * DEADLINE_MS);
    assert_eq!(shell.head().turn, Turn::new(3));
    shell.guests = vec![shell.resume(0, EnterAs::Player, 1), shell.resume(1, EnterAs::Player, 4)];
    shell.play_turn();
    assert_eq!(shell.head().turn, Turn::new(4));
}

#[test]
fn a_match_that_is_over_can_still_be_read() {
    let mut shell = Shell::playing(cadastre_protocol::RoomSpec { turns_max: Some(2), ..spec(2) });
    (0..2).for_each(|_| shell.play_turn());
    let guest: GuestId = shell.enter(0);
    assert_eq!(heights(&shell.messages(guest)[1..]), (vec![1, 2, 3, 4], Some(4)));
    let guest = shell.resume(0, EnterAs::Player, 4);
    assert_eq!(heights(&shell.messages(guest)), (vec![], Some(4)));
}

/// Heights of the blocks, and that of the CaughtUp at the end.
fn heights(messages: &[ServerMessage]) -> (Vec<u64>, Option<u64>) {
    let mut blocks = Vec::new();
    for (i, message) in messages.iter().enumerate() {
        if let ServerMessage::CaughtUp { height } = message {
            assert_eq!(i, messages.len() - 1, "nothing after it");
            return (blocks, Some(height.get()));
        }
        let ServerMessage::Block(block) = message else { panic!("{message:?}") };
        blocks.push(read(block.clone()).header().height.get());
    }
    (blocks, None)
}
