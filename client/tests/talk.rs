//! What people say to each other, as sessions hear it, from a server that is honest or not.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "only in tests")]

mod support;

use cadastre_client::{Event, Said, SayError, Session, SessionError};
use cadastre_protocol::{
    ClientMessage, LINES_KEPT, Line, LineError, MatchId, Notice, PublicKey, Reaction, Seat, ServerMessage,
    TalkPlace, TalkRefusal, Text, Turn, TurnMode, Words,
};
use support::{direct::Direct, player, spec, spectator};

#[test]
fn all_hear_what_one_says() {
    let mut direct = table();
    let watcher = direct.add(spectator());
    forget(&mut direct);
    let name = say(&mut direct, 0, "good luck").unwrap();
    let told = direct.events(0);
    let [Event::Said { seat, said }] = told.as_slice() else { panic!("{told:?}") };
    let expected = Said {
        name,
        author: identity(&direct, 0),
        number: 1,
        received: direct.now,
        words: Words::Text(text("good luck")),
    };
    assert_eq!((*seat, said), (Some(Seat::new(0).unwrap()), &expected));
    assert_eq!((direct.events(1), direct.events(watcher)), (told.clone(), told));
    direct.clients[1].session.react(Reaction::Thanks).unwrap();
    direct.settle();
    assert_eq!(heard(&mut direct, 0), [(2, Words::Reaction(Reaction::Thanks))]);
    // The match goes on beside it.
    direct.act(0);
    direct.act(1);
    assert_eq!(direct.clients[watcher].session.follower().unwrap().chain().head().turn, Turn::new(1));
}

#[test]
fn whoever_comes_late_hears_what_was_said_last() {
    let mut direct = table();
    let author = identity(&direct, 0);
    for number in 0..40 {
        say(&mut direct, 0, &format!("line {number}")).unwrap();
    }
    let late = direct.add(spectator());
    let told = direct.events(late);
    assert!(told.contains(&Event::TalkMissed { lines: 8 }), "{told:?}");
    let lines = told.iter().filter_map(as_said).map(|said| said.number);
    assert_eq!(lines.collect::<Vec<_>>(), (9..=40).collect::<Vec<_>>());
    say(&mut direct, 0, "and on").unwrap();
    assert_eq!(heard(&mut direct, late), [(41, Words::Text(text("and on")))]);
    assert!(told.iter().filter_map(as_said).all(|said| said.author == author));
}

#[test]
fn a_gap_is_told_and_nothing_is_heard_twice() {
    let mut direct = table();
    say(&mut direct, 0, "before").unwrap();
    direct.disconnect(1);
    say(&mut direct, 0, "meanwhile").unwrap();
    direct.connect(1);
    assert_eq!(heard(&mut direct, 1).iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 2]);
    direct.disconnect(1);
    for _ in 0..LINES_KEPT + 3 {
        say(&mut direct, 0, "on and on").unwrap();
    }
    direct.connect(1);
    let told = direct.events(1);
    assert!(told.contains(&Event::TalkMissed { lines: 3 }), "{told:?}");
    assert_eq!(told.iter().filter_map(as_said).count(), LINES_KEPT);
}

#[test]
fn what_was_not_answered_is_said_again_as_the_same_bytes_and_once() {
    let mut direct = table();
    direct.clients[0].sent.clear();
    direct.clients[0].is_deaf = true;
    say(&mut direct, 0, "lost on the way").unwrap();
    direct.disconnect(0);
    direct.connect(0);
    let said = |message: &&ClientMessage| matches!(message, ClientMessage::Say(_));
    let sent: Vec<_> = direct.clients[0].sent.iter().filter(said).cloned().collect();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0], sent[1]);
    assert_eq!(heard(&mut direct, 1).len(), 1);
    // The answer is lost: it stands among the last lines, and is not said again.
    direct.clients[0].is_held = true;
    say(&mut direct, 0, "the answer is lost").unwrap();
    direct.disconnect(0);
    direct.clients[0].sent.clear();
    direct.connect(0);
    assert_eq!(direct.clients[0].sent.iter().filter(said).count(), 0);
    assert_eq!(heard(&mut direct, 0).len(), 2);
    assert_eq!(heard(&mut direct, 1).len(), 1);
}

#[test]
fn what_was_said_survives_a_restart() {
    let mut direct = table();
    say(&mut direct, 0, "before").unwrap();
    direct.withholds = true;
    say(&mut direct, 1, "not on disk").unwrap();
    direct.restart();
    direct.connect(0);
    direct.connect(1);
    let told = heard(&mut direct, 0);
    let texts = ["before", "not on disk"].map(|said| Words::Text(text(said)));
    assert_eq!(told, [(1, texts[0].clone()), (2, texts[1].clone())], "said again by itself");
}

#[test]
fn whoever_is_muted_is_not_heard() {
    let mut direct = table();
    let loud = identity(&direct, 0);
    direct.clients[1].session.mute(loud);
    say(&mut direct, 0, "one").unwrap();
    say(&mut direct, 1, "two").unwrap();
    assert_eq!(heard(&mut direct, 1), [(2, Words::Text(text("two")))]);
    direct.clients[1].session.unmute(loud);
    say(&mut direct, 0, "three").unwrap();
    assert_eq!(heard(&mut direct, 1), [(3, Words::Text(text("three")))]);
}

#[test]
fn what_is_said_in_the_lobby_stays_there() {
    let mut direct = Direct::new([player(0, &spec(2, TurnMode::Simultaneous))]);
    forget(&mut direct);
    say(&mut direct, 0, "anybody here?").unwrap();
    let told = direct.events(0);
    let seats = told.iter().filter_map(|event| match event {
        Event::Said { seat, .. } => Some(*seat),
        _ => None,
    });
    assert_eq!(seats.collect::<Vec<_>>(), [Seat::new(0)]);
    direct.clients[0].is_held = true;
    let late = direct.clients[0].session.say(text("crosses the start")).unwrap();
    let crossing = direct.clients[0].session.poll_send().unwrap();
    direct.add(player(1, &spec(2, TurnMode::Simultaneous)));
    direct.release(0);
    direct.send(0, crossing);
    direct.settle();
    let refused = Event::NotSaid { talk: late, refusal: TalkRefusal::WrongPlace };
    assert_eq!(direct.events(0).iter().filter(|event| **event == refused).count(), 1);
    assert_eq!(heard(&mut direct, 1), [(1, Words::Text(text("anybody here?")))]);
    say(&mut direct, 0, "now at the match").unwrap();
    assert_eq!(heard(&mut direct, 1), [(1, Words::Text(text("now at the match")))]);
}

#[test]
fn a_server_that_forges_talk_is_not_listened_to_and_the_match_goes_on() {
    let forged = |change: fn(&mut Line)| {
        let mut direct = table();
        direct.clients[1].is_held = true;
        say(&mut direct, 0, "yes").unwrap();
        let Some(ServerMessage::Said(line)) = direct.clients[1].held.pop() else { panic!() };
        let mut line = line;
        change(&mut line);
        assert_eq!(direct.deliver(1, ServerMessage::Said(line)), Ok(()));
        let told = direct.events(1);
        let [Event::TalkBroken { error }] = told.as_slice() else { panic!("{told:?}") };
        // No more of it on this connection; all of it on the next.
        direct.release(1);
        say(&mut direct, 0, "hear me").unwrap();
        assert_eq!(direct.clients[1].session.say(text("what?")), Err(SayError::NotConnected));
        assert_eq!(direct.events(1), []);
        direct.act(0);
        direct.act(1);
        assert_eq!(direct.clients[1].session.follower().unwrap().chain().head().turn, Turn::new(1));
        direct.disconnect(1);
        direct.connect(1);
        assert_eq!(heard(&mut direct, 1).len(), 2);
        *error
    };
    assert_eq!(forged(|line| line.number += 1), LineError::NotNext);
    assert_eq!(forged(|line| line.talk.body.clear()), LineError::Talk(TalkRefusal::Malformed));
    let said_otherwise = |line: &mut Line| *line.talk.body.last_mut().unwrap() = b'p';
    assert_eq!(forged(said_otherwise), LineError::Talk(TalkRefusal::BadSignature));
}

#[test]
fn a_server_that_forgets_or_rewrites_what_was_said_is_found_out() {
    let mut direct = table();
    for said in ["one", "two"] {
        say(&mut direct, 0, said).unwrap();
    }
    let place = TalkPlace::Match(match_id(&direct));
    let other = {
        let mut other = table();
        say(&mut other, 1, "another").unwrap();
        say(&mut other, 1, "history").unwrap();
        told_lines(&mut other)
    };
    let lines = told_lines(&mut direct);
    for told in [Vec::new(), lines[..1].to_vec(), other] {
        let conversation = ServerMessage::Conversation { place: place.clone(), lines: told };
        assert_eq!(direct.deliver(1, conversation), Ok(()));
        assert_eq!(direct.events(1), [Event::TalkBroken { error: LineError::NotNext }]);
        let conversation = ServerMessage::Conversation { place: place.clone(), lines: lines.clone() };
        assert_eq!(direct.deliver(1, conversation), Ok(()));
        assert_eq!(direct.events(1).iter().filter_map(as_said).count(), 2);
    }
}

#[test]
fn a_conversation_of_another_place_cannot_come() {
    let mut direct = table();
    let elsewhere = TalkPlace::Match(MatchId::new(cadastre_protocol::Digest::ZERO));
    let service = support::root_key().public();
    let room = player(0, &spec(2, TurnMode::Simultaneous)).room;
    let lobby = TalkPlace::Lobby { service, room, nonce: [0; 16] };
    for place in [elsewhere, lobby] {
        let conversation = ServerMessage::Conversation { place, lines: Vec::new() };
        assert_eq!(direct.deliver(0, conversation), Err(SessionError::Unexpected));
    }
}

#[test]
fn nothing_is_said_that_the_server_has_not_room_for() {
    let config = player(0, &spec(2, TurnMode::Simultaneous));
    assert_eq!(Session::new(config).say(text("anybody?")), Err(SayError::NotConnected));
    let mut direct = table();
    direct.clients[0].is_deaf = true;
    for _ in 0..8 {
        say(&mut direct, 0, "again").unwrap();
    }
    assert_eq!(say(&mut direct, 0, "again"), Err(SayError::TooMuch));
}

#[test]
fn a_notice_is_told() {
    let mut direct = table();
    let notice = Notice::Shutdown { in_ms: 5_000 };
    assert_eq!(direct.deliver(0, ServerMessage::Notice(notice.clone())), Ok(()));
    assert_eq!(direct.events(0), [Event::Notice(notice)]);
}

/// Two players before their first turn.
fn table() -> Direct {
    let spec = spec(2, TurnMode::Simultaneous);
    let mut direct = Direct::new([player(0, &spec), player(1, &spec)]);
    forget(&mut direct);
    direct
}

fn forget(direct: &mut Direct) {
    for client in 0..direct.clients.len() {
        direct.events(client);
    }
}

fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

fn say(direct: &mut Direct, client: usize, said: &str) -> Result<cadastre_protocol::TalkHash, SayError> {
    let name = direct.clients[client].session.say(text(said))?;
    direct.settle();
    Ok(name)
}

/// Numbers and words of what a client heard since the last look at its events.
fn heard(direct: &mut Direct, client: usize) -> Vec<(u64, Words)> {
    direct.events(client).iter().filter_map(as_said).map(|said| (said.number, said.words.clone())).collect()
}

fn as_said(event: &Event) -> Option<&Said> {
    match event {
        Event::Said { said, .. } => Some(said),
        Event::TalkBroken { error } => panic!("{error}"),
        _ => None,
    }
}

fn identity(direct: &Direct, client: usize) -> PublicKey {
    let session = &direct.clients[client].session;
    let seats = &session.follower().unwrap().chain().genesis().seats;
    match seats[session.seat().unwrap().index()] {
        cadastre_protocol::SeatHolder::Player(identity) => identity,
        cadastre_protocol::SeatHolder::Open => panic!("an open seat"),
    }
}

fn match_id(direct: &Direct) -> MatchId {
    direct.clients[0].session.follower().unwrap().chain().match_id()
}

/// What the server tells whoever comes.
fn told_lines(direct: &mut Direct) -> Vec<Line> {
    let late = direct.add_held(spectator());
    let told = std::mem::take(&mut direct.clients[late].held);
    told.into_iter()
        .find_map(|message| match message {
            ServerMessage::Conversation { lines, .. } => Some(lines),
            _ => None,
        })
        .unwrap()
}
