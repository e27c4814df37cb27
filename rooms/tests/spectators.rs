//! Spectators: they see everything and hold nothing.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use cadastre_protocol::{EnterAs, Failure, Height, Refusal, RoomSpec, ServerMessage, SpectatorPolicy};
use support::{SPECTATORS_MAX, Shell, Told, edge, kind, seat, spec};

#[test]
fn a_spectator_sees_the_match_and_gets_no_seat() {
    let mut shell = Shell::open(spec(2));
    let watcher = shell.watch(5);
    let [ServerMessage::Lobby(lobby)] = &shell.messages(watcher)[..] else { panic!() };
    assert!(lobby.seats.is_empty());
    assert_eq!(shell.room.seats_taken(), 0);

    let mut shell = Shell::playing(spec(2));
    let watcher = shell.watch(5);
    shell.forget_told();
    shell.act(seat(0), edge(0));
    assert!(shell.told(watcher).is_empty(), "what was accepted is shown with the block");
    shell.act(seat(1), Vec::new());
    assert_eq!(shell.blocks(watcher).len(), 1);
    assert_eq!(shell.room.seats_taken(), 2);
}

#[test]
fn a_spectator_cannot_act_for_anybody() {
    let mut shell = Shell::playing(spec(2));
    // Even one who holds a seat, on the connection that only watches.
    for watcher in [shell.watch(5), shell.watch(0)] {
        shell.forget_told();
        shell.submit(watcher, shell.turn(seat(0), edge(0)));
        assert_eq!(shell.refusal(watcher), Refusal::NotYourSeat);
    }
    assert!(shell.store.accepted.is_empty());
    shell.act(seat(0), edge(0));
    assert_eq!(shell.store.accepted.len(), 1, "and the seat's own connection is as it was");
}

#[test]
fn there_are_no_more_spectators_than_the_limit() {
    let mut shell = Shell::playing(spec(2));
    let watchers: Vec<_> = (0..SPECTATORS_MAX).map(|_| shell.watch(5)).collect();
    let refused = [Told::NotAdmitted(Failure::NoSpectators)];
    let entered = shell.watch(6);
    assert_eq!(shell.told(entered), refused);
    let resumed = shell.resume(6, EnterAs::Spectator, 1);
    assert_eq!(shell.told(resumed), refused);
    shell.leave(watchers[0]);
    let entered = shell.watch(6);
    assert!(matches!(shell.told(entered)[0], Told::Message(ServerMessage::Genesis { .. })));
    // Players are not counted among them.
    shell.guests[0] = shell.enter(0);
    shell.forget_told();
    shell.play_turn();
    assert_eq!(kind(&shell.blocks(entered)[0]), &cadastre_protocol::BlockKind::Turn);
}

#[test]
fn a_room_may_have_no_spectators_at_all() {
    let closed = RoomSpec { spectators: SpectatorPolicy::Forbidden, ..spec(2) };
    let refused = [Told::NotAdmitted(Failure::NoSpectators)];
    for mut shell in [Shell::open(closed.clone()), Shell::joining(closed.clone()), Shell::playing(closed)] {
        let watcher = shell.watch(0);
        assert_eq!(shell.told(watcher), refused);
    }
}

#[test]
fn spectators_come_and_go_without_anybody_being_told() {
    let mut shell = Shell::joining(spec(2));
    let watcher = shell.watch(5);
    shell.forget_told();
    shell.leave(watcher);
    assert!(shell.room.genesis().is_some(), "the lobby stays frozen");
    assert!(shell.told(shell.guests[0]).is_empty());
}

#[test]
fn who_executes_nothing_is_shown_what_is_on_disk_and_told_nothing() {
    let mut shell = Shell::playing(spec(2));
    let watcher = shell.enter_as(5, EnterAs::Light);
    let [Told::Message(ServerMessage::Genesis { .. }), Told::Watches { after: Height::GENESIS }] =
        shell.told(watcher)[..]
    else {
        panic!("{:?}", shell.told(watcher))
    };
    shell.forget_told();
    shell.shown.clear();
    shell.act(seat(0), edge(0));
    shell.act(seat(1), Vec::new());
    assert!(shell.told(watcher).is_empty());
    let [shown] = &shell.shown[..] else { panic!("{:?}", shell.shown) };
    assert_eq!(shown.height, Height::new(2));
    assert!(!shown.dirty.is_empty() && shown.dirty.len() < shown.state.ids().len() + 1);
    // It holds no seat, and is counted among the spectators.
    shell.submit(watcher, shell.turn(seat(0), edge(0)));
    assert_eq!(shell.refusal(watcher), Refusal::NotYourSeat);
    let resumed = shell.resume(6, EnterAs::Light, 1);
    assert!(matches!(shell.told(resumed)[..], [Told::Watches { after }] if after == Height::new(1)));
    let refused = shell.enter_as(7, EnterAs::Light);
    assert_eq!(shell.told(refused), [Told::NotAdmitted(Failure::NoSpectators)]);
}

#[test]
fn nothing_is_shown_before_it_is_on_disk() {
    let mut shell = Shell::playing(spec(2));
    shell.shown.clear();
    shell.withhold();
    shell.act(seat(0), edge(0));
    shell.act(seat(1), Vec::new());
    assert!(shell.shown.is_empty());
    shell.confirm();
    assert_eq!(shell.shown.len(), 1);
}
