//! Rematches as sessions see them: one match after the other in a room, once all want it.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "only in tests")]

mod support;

use cadastre_client::{Config, Event, SessionError, SubmitError, Viewport};
use cadastre_protocol::{
    ClientMessage, EnterAs, Failure, Following, Genesis, Lobby, RandomnessMode, RoomSpec, SealReason, Seat,
    SeatHolder, ServerMessage, TakebackPolicy, Text, Turn, TurnMode, Visibility, Words,
};
use support::{direct::Direct, player, spec, spectator};

#[test]
fn all_want_another_match_and_sit_a_seat_further() {
    for randomness in [RandomnessMode::None, RandomnessMode::CommitReveal] {
        let visibility = Visibility::Held;
        let turns_max = Some(3);
        let spec = RoomSpec { randomness, visibility, turns_max, ..spec(3, TurnMode::Simultaneous) };
        let mut direct = Direct::new([0, 1, 2].map(|index| player(index, &spec)));
        let watcher = direct.add(spectator());
        let light = direct.add(Config { enter_as: EnterAs::Light, ..spectator() });
        let mut genera = vec![genesis(&direct, 0)];
        for _ in 0..2 {
            play_out(&mut direct);
            for client in [2, 0, 1] {
                direct.clients[client].session.rematch().unwrap();
                direct.settle();
            }
            genera.push(genesis(&direct, 0));
        }
        for pair in genera.windows(2) {
            let mut seats = pair[0].seats.clone();
            seats.rotate_right(1);
            assert_eq!(pair[1].seats, seats);
            assert_ne!(pair[0].match_id(), pair[1].match_id());
            let same = Genesis {
                seats,
                created: pair[1].created,
                nonce: pair[1].nonce,
                randomness: pair[1].randomness.clone(),
                ..pair[0].clone()
            };
            assert_eq!(pair[1], same, "nothing else differs");
        }
        for client in [0, 1, 2, watcher] {
            assert_eq!(genesis(&direct, client), genera[2]);
        }
        play_out(&mut direct);
        for watcher in [watcher, light] {
            assert_eq!(ended(&mut direct, watcher), 3);
        }
        let shown = direct.clients[light].session.light().unwrap();
        let played = direct.clients[0].session.follower().unwrap();
        assert_eq!((shown.genesis(), shown.head().height()), (&genera[2], played.chain().head().height));
        assert_eq!(shown.game().unwrap().state_root(), played.game().state_root());
    }
}

#[test]
fn nobody_plays_again_who_does_not_want_to() {
    let mut direct = two();
    assert_eq!(direct.clients[0].session.rematch(), Err(SubmitError::NotPlaying));
    play_out(&mut direct);
    let before = genesis(&direct, 1);
    direct.clients[0].session.rematch().unwrap();
    direct.clients[0].session.rematch().unwrap();
    direct.settle();
    let wanted = direct.events(1).into_iter().filter(|event| matches!(event, Event::Rematch { .. }));
    assert_eq!(wanted.collect::<Vec<_>>(), [Event::Rematch { seat: seat(0) }], "it counts once");
    assert_eq!(genesis(&direct, 0), before);
    // Whoever goes does not want it any more.
    direct.disconnect(0);
    direct.clients[1].session.rematch().unwrap();
    direct.settle();
    assert_eq!(genesis(&direct, 1), before);
    direct.connect(0);
    assert_ne!(genesis(&direct, 1), before, "it says so again on the next connection");
}

#[test]
fn the_lobby_and_the_next_match_have_conversations_of_their_own() {
    let mut direct = two();
    let say = |direct: &mut Direct, text: &str| {
        direct.clients[0].session.say(Text::new(text).unwrap()).unwrap();
        direct.settle();
        let told = direct.events(1).into_iter().filter_map(|event| match event {
            Event::Said { said, .. } => Some((said.words, said.number)),
            _ => None,
        });
        let words = Words::Text(Text::new(text).unwrap());
        assert_eq!(told.last(), Some((words, 1)));
    };
    for _ in 0..2 {
        say(&mut direct, "at the match");
        play_out(&mut direct);
        [0, 1].into_iter().for_each(|client| direct.clients[client].session.rematch().unwrap());
        direct.settle();
    }
    say(&mut direct, "once more");
}

#[test]
fn whoever_joined_the_match_before_by_a_snapshot_plays_the_next_one_from_its_begin() {
    let mut direct = two();
    direct.act(0);
    direct.act(1);
    let again = direct.add_process_following(0, Following::Snapshot);
    direct.act(again);
    direct.act(1);
    for client in [again, 1] {
        direct.clients[client].session.rematch().unwrap();
        direct.settle();
    }
    for client in [again, 1] {
        assert_eq!(direct.clients[client].session.follower().unwrap().chain().head().turn, Turn::START);
        direct.act(client);
    }
}

#[test]
fn a_session_that_did_not_ask_is_not_taken_along() {
    let mut direct = two();
    play_out(&mut direct);
    let lobby = Lobby { room: support::server::room_name(), spec: two_spec(), seats: Vec::new() };
    let refused = direct.deliver(0, ServerMessage::Lobby(lobby.clone()));
    assert_eq!(refused, Err(SessionError::Unexpected));
    // Nor is one that asked for another match of the same kind to one of another kind.
    direct.clients[0].session.rematch().unwrap();
    for spec in [
        RoomSpec { takebacks: TakebackPolicy::Unanimous, ..two_spec() },
        RoomSpec { size: Some(7), ..two_spec() },
        RoomSpec { seats: 3, ..two_spec() },
    ] {
        let other = Lobby { spec, ..lobby.clone() };
        assert_eq!(direct.deliver(0, ServerMessage::Lobby(other)), Err(SessionError::OtherMatch));
    }
    assert_eq!(direct.deliver(0, ServerMessage::Lobby(lobby)), Ok(()));
}

#[test]
fn whoever_comes_back_after_the_others_began_again_enters_the_lobby() {
    let mut direct = two();
    play_out(&mut direct);
    direct.clients[0].is_held = true;
    for client in [0, 1] {
        direct.clients[client].session.rematch().unwrap();
        direct.settle();
    }
    // What the server has said since is lost, and the match is no more in its room.
    direct.disconnect(0);
    direct.connect(0);
    assert_eq!(direct.clients[0].session.follower().unwrap().chain().head().turn, Turn::START);
    assert_eq!(genesis(&direct, 0), genesis(&direct, 1));
    play_out(&mut direct);
    let failed = |event: &Event| matches!(event, Event::Failed(Failure::BadSpec));
    assert!(!direct.events(0).iter().any(failed));
}

#[test]
fn what_is_said_during_a_match_has_no_effect() {
    let mut direct = two();
    direct.act(0);
    for client in [0, 1] {
        direct.send(client, ClientMessage::Rematch);
    }
    direct.settle();
    let before = genesis(&direct, 0);
    direct.act(1);
    play_out(&mut direct);
    assert_eq!(genesis(&direct, 1), before);
    assert!(direct.events(0).iter().all(|event| !matches!(event, Event::Rematch { .. })));
}

#[test]
fn what_a_light_spectator_watched_before_is_shown_until_the_server_hears_of_something_else() {
    let spec = RoomSpec { size: Some(20), ..two_spec() };
    let mut direct = Direct::new([0, 1].map(|index| player(index, &spec)));
    let light = direct.add(Config { enter_as: EnterAs::Light, ..spectator() });
    direct.clients[light].session.watch(Viewport::Tiles { left: 0, top: 0, width: 1, height: 1 });
    direct.settle();
    play_out(&mut direct);
    direct.clients[light].is_held = true;
    for client in [0, 1] {
        direct.clients[client].session.rematch().unwrap();
        direct.settle();
    }
    for message in std::mem::take(&mut direct.clients[light].held) {
        let is_lobby = matches!(message, ServerMessage::Lobby(_));
        assert_eq!(direct.deliver(light, message), Ok(()));
        if is_lobby {
            direct.clients[light].session.watch(Viewport::All);
        }
    }
    let chunks = |direct: &Direct| direct.clients[light].session.light().unwrap().chunks().len();
    assert_eq!(chunks(&direct), 2);
    direct.release(light);
    play_out(&mut direct);
    assert_eq!(chunks(&direct), 5);
}

fn two_spec() -> RoomSpec {
    RoomSpec { turns_max: Some(2), ..spec(2, TurnMode::Simultaneous) }
}

fn two() -> Direct {
    Direct::new([0, 1].map(|index| player(index, &two_spec())))
}

fn play_out(direct: &mut Direct) {
    let players = direct.clients.iter().filter(|client| client.session.seat().is_some()).count();
    while direct.clients[0].session.follower().unwrap().chain().sealed().is_none() {
        (0..players).for_each(|client| direct.act(client));
    }
}

fn ended(direct: &mut Direct, client: usize) -> usize {
    let events = direct.events(client);
    let ends = |event: &&Event| matches!(event, Event::Ended { reason: SealReason::TurnLimit, .. });
    events.iter().filter(ends).count()
}

fn genesis(direct: &Direct, client: usize) -> Genesis {
    let genesis = direct.clients[client].session.follower().unwrap().chain().genesis().clone();
    assert!(genesis.seats.iter().all(|holder| matches!(holder, SeatHolder::Player(_))));
    genesis
}

fn seat(index: u8) -> Seat {
    Seat::new(index).unwrap()
}
