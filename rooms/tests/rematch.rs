//! Another match in the same room: when its lobby comes, and what stays as it was.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use cadastre_protocol::{
    EnterAs, Height, Lobby, RoomSpec, Seen, ServerMessage, SignedTalk, Talk, TalkPlace, Text, Words,
};
use cadastre_rooms::{Event, GuestId, Input};
use support::{Shell, Told, identity, key, seat, spec};

#[test]
fn the_lobby_comes_when_all_want_it_and_everything_said_is_on_disk() {
    let mut shell = ended(spec(2));
    let guests = shell.guests.clone();
    let match_id = shell.chain().match_id();
    let at_match = shell.conversation(guests[0]).0.clone();
    shell.withhold();
    let talk = Talk {
        version: Talk::VERSION,
        place: at_match.clone(),
        author: identity(0),
        number: 1,
        seen: Seen { number: 0, line: at_match.opening() },
        words: Words::Text(Text::new("again?").unwrap()),
    };
    shell.feed(Input::Say { guest: guests[0], talk: SignedTalk::sign(&key(0), &talk) });
    assert!(!shell.room.is_wanted_again());
    guests.iter().for_each(|guest| want(&mut shell, *guest));
    assert!(shell.room.is_wanted_again());
    let wanted = [0, 1].map(|index| Told::Message(ServerMessage::Rematch { seat: seat(index) }));
    assert_eq!(shell.told(guests[1]), wanted, "all want it, and something is on its way to the disk");
    assert!(shell.room.chain().is_some());
    shell.confirm();
    assert!(shell.events.contains(&Event::Rematch { match_id }) && !shell.room.is_wanted_again());
    let [ServerMessage::Said(_), ServerMessage::Lobby(lobby)] = &shell.messages(guests[1])[..] else {
        panic!("first what was said, then the lobby")
    };
    let seats: Vec<_> = lobby.seats.iter().map(|seat| (seat.identity, seat.ready)).collect();
    assert_eq!(seats, [(identity(1), false), (identity(0), false)]);
    let (place, lines) = shell.conversation(guests[1]);
    assert!(matches!(place, TalkPlace::Lobby { .. }) && lines.is_empty(), "{place:?}");
}

#[test]
fn each_lobby_has_a_conversation_of_its_own() {
    let mut shell = Shell::open(spec(2));
    let first = shell.enter(0);
    let TalkPlace::Lobby { nonce: before, .. } = shell.conversation(first).0 else { panic!() };
    let mut shell = ended(spec(2));
    let guests = shell.guests.clone();
    guests.iter().for_each(|guest| want(&mut shell, *guest));
    let TalkPlace::Lobby { nonce: after, .. } = shell.conversation(guests[0]).0 else { panic!() };
    assert_ne!(before, after, "of two lobbies of a room nothing is told twice");
}

#[test]
fn a_connection_that_takes_the_place_of_another_wants_nothing_yet() {
    let mut shell = ended(spec(2));
    let (first, other) = (shell.guests[0], shell.guests[1]);
    want(&mut shell, first);
    let again = shell.resume(0, EnterAs::Player, 1);
    want(&mut shell, other);
    assert!(shell.room.chain().is_some(), "who has just come back may know nothing of it");
    want(&mut shell, again);
    assert!(shell.room.chain().is_none());
    assert_eq!(lobby(&mut shell, again).seats.len(), 2);
}

#[test]
fn who_watches_without_executing_is_shown_the_next_match_from_its_begin() {
    let mut shell = ended(spec(2));
    let light = shell.enter_as(5, EnterAs::Light);
    let guests = shell.guests.clone();
    want(&mut shell, guests[0]);
    shell.forget_told();
    want(&mut shell, guests[1]);
    let told = shell.told(light);
    // Nothing of the match that is over may come after the lobby.
    let [Told::Message(ServerMessage::Rematch { .. }), watches, Told::Message(ServerMessage::Lobby(_))] =
        &told[..]
    else {
        panic!("{told:?}")
    };
    assert_eq!(*watches, Told::Watches { after: Height::GENESIS });
}

fn want(shell: &mut Shell, guest: GuestId) {
    shell.feed(Input::Rematch { guest });
}

fn lobby(shell: &mut Shell, guest: GuestId) -> Lobby {
    let told = shell.messages(guest);
    let Some(ServerMessage::Lobby(lobby)) = told.last() else { panic!("{told:?}") };
    lobby.clone()
}

/// A match of one turn that is over.
fn ended(spec: RoomSpec) -> Shell {
    let mut shell = Shell::playing(RoomSpec { turns_max: Some(1), ..spec });
    shell.pass_turn();
    assert!(shell.chain().sealed().is_some());
    shell.forget_told();
    shell
}
