//! The lobby: who sits where, who is ready, and how a match comes of it.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use cadastre_protocol::{
    AbsencePolicy, BlockKind, Clock, EnterAs, Failure, GoodbyeReason, Height, Lobby, Millis, Refusal,
    RoomSpec, ServerMessage, Signature, SignedTransaction,
};
use cadastre_rooms::{GuestId, Input, JOIN_MS_MAX, Room};
use support::{NOW, Shell, Told, host, identity, join_of, kind, room_name, seat, sign, spec};

#[test]
fn seats_are_given_in_order_and_shown_to_all() {
    let mut shell = Shell::open(spec(3));
    assert!(shell.room.is_deserted());
    let first = shell.enter(4);
    let second = shell.enter(7);
    assert_eq!(seated(&lobby(&mut shell, second)), [(0, 4), (1, 7)]);
    assert_eq!(shell.messages(first).len(), 2, "its own entry and that of the other");
    assert!(!shell.room.is_deserted());
    assert_eq!((shell.room.seats_taken(), shell.room.seat_count()), (2, 3));
}

#[test]
fn whoever_leaves_frees_the_seat_and_nobody_else_moves() {
    let mut shell = Shell::open(spec(3));
    let guests: Vec<_> = (0..3).map(|player| shell.enter(player)).collect();
    shell.leave(guests[1]);
    assert_eq!(seated(&lobby(&mut shell, guests[2])), [(0, 0), (2, 2)]);
    shell.enter(9);
    assert_eq!(seated(&lobby(&mut shell, guests[2])), [(0, 0), (1, 9), (2, 2)]);
    shell.leave(guests[1]);
    assert!(shell.told(guests[2]).is_empty(), "nobody left a second time");
    shell.leave(guests[0]);
    shell.leave(guests[2]);
    shell.leave(GuestId::new(4));
    assert!(shell.room.is_deserted());
}

#[test]
fn a_full_room_takes_no_further_player() {
    let mut shell = Shell::open(spec(2));
    let guests = [shell.enter(0), shell.enter(1)];
    shell.forget_told();
    let third = shell.enter(2);
    assert_eq!(shell.told(third), [Told::NotAdmitted(Failure::RoomFull)]);
    assert!(shell.told(guests[0]).is_empty());
    shell.leave(third);
    assert!(shell.told(guests[0]).is_empty(), "whoever was not admitted cannot leave");
    shell.leave(guests[0]);
    let third = shell.enter(2);
    assert_eq!(seated(&lobby(&mut shell, third)), [(0, 2), (1, 1)]);
}

#[test]
fn a_player_on_another_connection_keeps_seat_and_readiness() {
    let mut shell = Shell::open(spec(2));
    let old = shell.enter(0);
    shell.ready(old);
    shell.forget_told();
    let new = shell.enter(0);
    assert_eq!(shell.told(old), [Told::Dismissed(GoodbyeReason::Replaced)]);
    let lobby = lobby(&mut shell, new);
    assert_eq!(seated(&lobby), [(0, 0)]);
    assert!(lobby.seats[0].ready);
    // The old connection closes only now.
    shell.leave(old);
    shell.feed(Input::Ready { guest: old, ready: false, chain: None });
    assert!(shell.told(new).is_empty());
    assert_eq!(shell.room.seats_taken(), 1);
}

#[test]
fn a_match_begins_when_all_seats_are_taken_and_ready() {
    let mut shell = Shell::open(spec(2));
    let first = shell.enter(0);
    shell.ready(first);
    assert!(shell.room.genesis().is_none(), "a seat is free");
    let second = shell.enter(1);
    shell.feed(Input::Ready { guest: first, ready: false, chain: None });
    shell.ready(second);
    assert!(shell.room.genesis().is_none(), "the first has thought better of it");
    let watcher = shell.watch(2);
    shell.ready(watcher);
    assert!(shell.room.genesis().is_none(), "a spectator is not asked");
    shell.forget_told();
    shell.ready(first);
    let genesis = shell.room.genesis().unwrap().clone();
    assert_eq!(genesis.seat_of(identity(1)), Some(seat(1)));
    for guest in [first, second, watcher] {
        let [ServerMessage::Genesis { begun: false, names, .. }] = &shell.messages(guest)[..] else {
            panic!()
        };
        assert_eq!(names.len(), 2);
    }
    shell.submit(second, shell.join(seat(1)));
    assert!(shell.room.chain().is_none(), "one Join is missing");
    shell.submit(first, shell.join(seat(0)));
    for guest in [first, second, watcher] {
        let start = &shell.blocks(guest)[0];
        assert_eq!((kind(start), start.entries().len()), (&BlockKind::Start, 2));
    }
    assert_eq!(shell.room.spec(), None);
}

#[test]
fn readiness_said_twice_is_announced_once() {
    let mut shell = Shell::open(spec(3));
    let guests = [shell.enter(0), shell.enter(1)];
    shell.ready(guests[0]);
    shell.forget_told();
    for _ in 0..100 {
        shell.ready(guests[0]);
    }
    assert!(shell.told(guests[1]).is_empty());
}

#[test]
fn without_a_join_in_time_the_room_goes_back_to_the_lobby() {
    let mut shell = Shell::joining(spec(3));
    let before = shell.room.match_id().unwrap();
    for index in [0, 2] {
        shell.submit(shell.guests[index], shell.join(seat(u8::try_from(index).unwrap())));
    }
    shell.pass(JOIN_MS_MAX - 1);
    assert!(shell.room.genesis().is_some());
    shell.pass(1);
    assert!(shell.room.genesis().is_none());
    assert_eq!(shell.told(shell.guests[1]), [Told::Dismissed(GoodbyeReason::Silent)]);
    let third = shell.guests[2];
    let lobby = lobby(&mut shell, third);
    assert_eq!(seated(&lobby), [(0, 0), (2, 2)]);
    assert!(lobby.seats.iter().all(|seat| !seat.ready));

    // The one who was late may come again, and then a match of another id begins.
    shell.guests[1] = shell.enter(1);
    for guest in shell.guests.clone() {
        shell.ready(guest);
    }
    assert_ne!(shell.room.match_id(), Some(before));
    for index in 0..3 {
        shell.submit(shell.guests[usize::from(index)], shell.join(seat(index)));
    }
    assert_eq!(shell.head().height, Height::new(1));
}

#[test]
fn whoever_leaves_a_frozen_lobby_costs_nobody_else_the_seat() {
    let mut shell = Shell::joining(spec(3));
    shell.submit(shell.guests[0], shell.join(seat(0)));
    shell.leave(shell.guests[1]);
    for guest in [shell.guests[0], shell.guests[2]] {
        let lobby = lobby(&mut shell, guest);
        assert_eq!(seated(&lobby), [(0, 0), (2, 2)]);
        assert!(lobby.seats.iter().all(|seat| !seat.ready));
    }
    // The time for the Joins of the match that did not begin runs out.
    shell.pass(JOIN_MS_MAX);
    assert!(shell.told(shell.guests[2]).is_empty());
}

#[test]
fn a_frozen_lobby_is_open_only_for_those_who_sit_in_it() {
    let mut shell = Shell::joining(spec(2));
    let stranger = shell.enter(5);
    assert_eq!(shell.told(stranger), [Told::NotAdmitted(Failure::NotSeated)]);
    let watcher = shell.watch(5);
    let told = shell.messages(watcher);
    assert!(matches!(told[..], [ServerMessage::Lobby(_), ServerMessage::Genesis { begun: false, .. }]));
    let join = shell.join(seat(0));
    shell.submit(shell.guests[0], join.clone());
    let again = shell.enter(0);
    assert_eq!(shell.told(shell.guests[0]), [Told::Dismissed(GoodbyeReason::Replaced)]);
    let told = shell.messages(again);
    assert!(matches!(told[..], [ServerMessage::Lobby(_), ServerMessage::Genesis { begun: false, .. }]));
    // The same Join a second time is as good as the first.
    shell.submit(again, join);
    shell.leave(shell.guests[0]);
    shell.submit(shell.guests[1], shell.join(seat(1)));
    assert_eq!(shell.head().height, Height::new(1));
    // And a third time, when it has begun the match already.
    shell.told(again);
    shell.submit(again, sign(&join_of(shell.chain().genesis(), seat(0))));
    assert!(shell.told(again).is_empty());
}

#[test]
fn bad_joins_are_refused_and_good_ones_still_taken() {
    let mut shell = Shell::joining(spec(2));
    let good = shell.join(seat(0));
    let forged = SignedTransaction { signature: Signature::new([1; 64]), ..good.clone() };
    for (bad, kind) in [(shell.join(seat(1)), "not your seat"), (forged, "forged")] {
        shell.submit(shell.guests[0], bad);
        assert!(matches!(shell.refusal(shell.guests[0]), Refusal::NotYourSeat | Refusal::Chain(_)), "{kind}");
    }
    shell.submit(shell.guests[0], good);
    shell.submit(shell.guests[1], shell.join(seat(1)));
    assert_eq!(shell.head().height, Height::new(1));
}

#[test]
fn there_is_nothing_to_submit_to_in_a_lobby() {
    let mut shell = Shell::joining(spec(2));
    let join = shell.join(seat(0));
    shell.leave(shell.guests[1]);
    shell.forget_told();
    shell.submit(shell.guests[0], join.clone());
    assert_eq!(shell.refusal(shell.guests[0]), Refusal::NoMatch);
    let watcher = shell.watch(8);
    shell.forget_told();
    shell.submit(watcher, join);
    assert_eq!(shell.refusal(watcher), Refusal::NotYourSeat);
    let guest = shell.resume(0, EnterAs::Player, 0);
    assert_eq!(shell.told(guest), [Told::NotAdmitted(Failure::NoSuchMatch)]);
}

#[test]
fn the_operator_cannot_end_what_has_not_begun() {
    for mut shell in [Shell::open(spec(2)), Shell::joining(spec(2))] {
        shell.feed(Input::End);
        shell.feed(Input::Timeout);
        assert!(!shell.room.is_over());
        assert_eq!(shell.store.commits, 0);
    }
}

#[test]
fn a_room_that_this_build_cannot_play_is_not_opened() {
    let opened = |spec: RoomSpec| Room::open(room_name(), host(), spec).is_some();
    assert!(opened(spec(2)) && opened(RoomSpec { size: None, deadline_ms: None, ..spec(8) }));
    for bad in [
        RoomSpec { rules: "chess".into(), ..spec(2) },
        RoomSpec { size: Some(1), ..spec(2) },
        RoomSpec { size: Some(101), ..spec(2) },
        RoomSpec { turns_max: Some(0), ..spec(2) },
        RoomSpec { deadline_ms: Some(99), ..spec(2) },
        RoomSpec { deadline_ms: Some(u32::MAX), ..spec(2) },
        RoomSpec { seats_min: 0, ..spec(2) },
        RoomSpec { seats_min: 1, ..spec(2) },
        RoomSpec { seats_min: 3, ..spec(2) },
        RoomSpec { clock: Clock::Bank { initial_ms: 99, increment_ms: 5 }, ..spec(2) },
        RoomSpec { absence: AbsencePolicy::Pass { abandon_after: 0 }, ..spec(2) },
        RoomSpec { absence: AbsencePolicy::Pass { abandon_after: 1_001 }, ..spec(2) },
        RoomSpec { absence: AbsencePolicy::Forfeit { abandon_after: 9, forfeit_after: 0 }, ..spec(2) },
        RoomSpec {
            absence: AbsencePolicy::Shrink { abandon_after: 9, forfeit_after: None, shortest_ms: 99 },
            ..spec(2)
        },
        spec(0),
        spec(1),
        spec(9),
        spec(255),
    ] {
        assert!(!opened(bad.clone()), "{bad:?}");
    }
}

#[test]
fn a_lobby_that_cannot_begin_says_so_and_stays() {
    let mut shell = Shell::open(spec(2));
    // Before the signer's certificate was valid.
    let mut late_host = host();
    late_host.signer = support::certificate(NOW.after(1), NOW.after(2));
    shell.room = Room::open(room_name(), late_host, spec(2)).unwrap();
    let guests = [shell.enter(0), shell.enter(1)];
    shell.forget_told();
    shell.ready(guests[0]);
    shell.ready(guests[1]);
    let failed = ServerMessage::Failed(Failure::BadSpec);
    assert_eq!(shell.messages(guests[0]).last(), Some(&failed));
    assert_eq!(shell.room.seats_taken(), 2);
    shell.now = Millis::new(NOW.get() + 1);
    shell.ready(guests[0]);
    assert!(shell.room.genesis().is_some());
}

#[test]
fn a_match_begins_with_as_many_as_are_enough_when_all_of_them_are_ready() {
    let mut shell = Shell::open(RoomSpec { seats_min: 2, ..spec(4) });
    let guests: Vec<_> = (0..4).map(|player| shell.enter(player)).collect();
    shell.leave(guests[1]);
    shell.ready(guests[0]);
    shell.ready(guests[3]);
    assert!(shell.room.genesis().is_none(), "one of three is not ready");
    shell.ready(guests[2]);
    let genesis = shell.room.genesis().unwrap();
    assert_eq!(genesis.seat_count(), 3);
    let seats = [0, 2, 3].map(|player| genesis.seat_of(identity(player)).unwrap().get());
    assert_eq!(seats, [0, 1, 2], "in the order of the lobby, without its gap");
    assert!(genesis.seat_of(identity(1)).is_none());
    assert_eq!(shell.room.seat_count(), 3);
}

#[test]
fn one_alone_waits_for_the_fewest() {
    let mut shell = Shell::open(RoomSpec { seats_min: 2, ..spec(4) });
    let first = shell.enter(0);
    shell.ready(first);
    assert!(shell.room.genesis().is_none());
    let second = shell.enter(1);
    assert!(shell.room.genesis().is_none());
    shell.ready(second);
    assert_eq!(shell.room.genesis().unwrap().seat_count(), 2);
}

#[test]
fn a_match_begins_when_the_only_one_who_was_not_ready_leaves() {
    let mut shell = Shell::open(RoomSpec { seats_min: 2, ..spec(3) });
    let guests: Vec<_> = (0..3).map(|player| shell.enter(player)).collect();
    shell.ready(guests[0]);
    shell.ready(guests[2]);
    shell.leave(guests[1]);
    assert_eq!(shell.room.genesis().unwrap().seat_count(), 2);
    // When the Joins do not come, the lobby is as open as before.
    shell.leave(guests[0]);
    assert!(shell.room.genesis().is_none());
    assert_eq!(seated(&lobby(&mut shell, guests[2])), [(2, 2)]);
}

/// The newest lobby that a guest was told of.
fn lobby(shell: &mut Shell, guest: GuestId) -> Lobby {
    match shell.messages(guest).pop() {
        Some(ServerMessage::Lobby(lobby)) => lobby,
        other => panic!("{other:?}"),
    }
}

/// Seats and the numbers of the players who sit there.
fn seated(lobby: &Lobby) -> Vec<(u8, u8)> {
    let player = |key| (0..20).find(|player| identity(*player) == key).unwrap();
    lobby.seats.iter().map(|seat| (seat.seat.get(), player(seat.identity))).collect()
}
