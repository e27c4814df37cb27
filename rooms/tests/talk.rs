//! What is said in a room: who hears it and when, what survives a crash, and what nobody is made to hear.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "only in tests")]

mod support;

use cadastre_protocol::{
    Delegation, EnterAs, Epoch, LINES_KEPT, Line, Pass, Reaction, RoomName, SecretKey, Seen, ServerMessage,
    SignedDelegation, SignedTalk, Talk, TalkPlace, TalkRefusal, Text, Words,
};
use cadastre_rooms::{Event, GuestId, Input};
use support::{Shell, identity, key, root_key, spec};

#[test]
fn in_the_lobby_all_hear_what_one_says() {
    let mut shell = Shell::open(spec(2));
    let guests = [shell.enter(0), shell.watch(5)];
    shell.forget_told();
    let talk = talk(&shell, guests[0], 0, 1, "hello");
    say(&mut shell, guests[0], &talk);
    let line = heard(&mut shell, guests[0]).remove(0);
    assert_eq!((line.number, &line.talk, line.received), (1, &talk, shell.now));
    assert_eq!(heard(&mut shell, guests[1]), std::slice::from_ref(&line));
    assert_eq!(shell.events, [Event::Said]);
    let reaction = Words::Reaction(Reaction::Applause);
    let reaction = signed(5, &Talk { words: reaction, ..draft(&shell, guests[1], 5, 9, Some(&line)) });
    say(&mut shell, guests[1], &reaction);
    assert_eq!(heard(&mut shell, guests[0])[0].talk, reaction);
    let late = shell.enter(1);
    let (place, lines) = shell.conversation(late).clone();
    assert!(matches!(place, TalkPlace::Lobby { service, .. } if service == root_key().public()));
    assert_eq!(lines.len(), 2);
}

#[test]
fn a_match_has_a_conversation_of_its_own() {
    let mut shell = Shell::joining(spec(2));
    let guests = shell.guests.clone();
    let in_lobby = talk(&shell, guests[0], 0, 1, "before");
    say(&mut shell, guests[0], &in_lobby);
    for index in shell.seats() {
        shell.submit(shell.guest(index), shell.join(index));
    }
    let at_match = TalkPlace::Match(shell.chain().match_id());
    for guest in &guests {
        assert_eq!(shell.conversation(*guest), &(at_match.clone(), Vec::new()));
    }
    // What was said in the lobby was not said here.
    shell.forget_told();
    assert_eq!(refusal(&mut shell, guests[0], &in_lobby), TalkRefusal::WrongPlace);
}

#[test]
fn what_is_said_at_a_match_is_told_when_it_is_on_disk() {
    let mut shell = Shell::playing(spec(2));
    let (first, second) = (shell.guests[0], shell.guests[1]);
    let talk = talk(&shell, first, 0, 1, "soon");
    shell.withhold();
    say(&mut shell, first, &talk);
    let late = shell.watch(5);
    assert!(heard(&mut shell, first).is_empty() && heard(&mut shell, second).is_empty());
    assert_eq!(shell.conversation(late).1, []);
    // Said once, however often it is handed in.
    say(&mut shell, first, &talk);
    shell.forget_told();
    shell.confirm();
    for guest in [first, second, late] {
        assert_eq!(heard(&mut shell, guest).len(), 1);
    }
    say(&mut shell, first, &talk);
    assert_eq!((shell.messages(first), shell.store.lines.len()), (Vec::new(), 1));
}

#[test]
fn what_was_told_survives_a_crash() {
    let mut shell = Shell::playing(spec(2));
    let (first, mut after) = (shell.guests[0], None);
    for number in 1..=40 {
        let talk = signed(0, &draft(&shell, first, 0, number, after.as_ref()));
        say(&mut shell, first, &talk);
        after = heard(&mut shell, first).pop();
    }
    let lost = signed(0, &draft(&shell, first, 0, 41, after.as_ref()));
    shell.withhold();
    say(&mut shell, first, &lost);
    shell.crash();
    let guest = shell.resume(0, EnterAs::Player, 1);
    let (place, lines) = shell.conversation(guest).clone();
    assert_eq!(place, TalkPlace::Match(shell.chain().match_id()));
    assert_eq!((lines.len(), lines[0].number, lines.last()), (LINES_KEPT, 9, after.as_ref()));
    shell.forget_told();
    say(&mut shell, guest, &lost);
    assert_eq!(heard(&mut shell, guest)[0].number, 41);
}

#[test]
fn no_turn_waits_for_what_is_said() {
    let mut shell = Shell::playing(spec(2));
    let first = shell.guests[0];
    let talk = talk(&shell, first, 0, 1, "wait!");
    shell.withhold();
    say(&mut shell, first, &talk);
    shell.pass_turn();
    assert_eq!(shell.head().turn.get(), 1, "the turn is closed");
    shell.confirm();
    let told = shell.messages(first);
    let is_block = |message: &ServerMessage| matches!(message, ServerMessage::Block(_));
    assert!(matches!(told[0], ServerMessage::Said(_)) && told.iter().any(is_block), "{told:?}");
}

#[test]
fn only_those_with_a_seat_speak_while_the_match_runs() {
    let mut shell = Shell::playing(spec(2));
    let watcher = shell.watch(5);
    let advice = talk(&shell, watcher, 5, 1, "the corner!");
    assert_eq!(refusal(&mut shell, watcher, &advice), TalkRefusal::OnlyListening);
    // Whoever holds a seat may speak on another connection.
    let second = shell.watch(0);
    let own = talk(&shell, second, 0, 1, "here");
    say(&mut shell, second, &own);
    let line = heard(&mut shell, watcher).remove(0);
    shell.feed(Input::End);
    shell.forget_told();
    let after = signed(5, &draft(&shell, watcher, 5, 1, Some(&line)));
    say(&mut shell, watcher, &after);
    let first = shell.guests[0];
    assert_eq!(heard(&mut shell, first)[0].talk, after);
}

#[test]
fn what_cannot_be_said_leaves_no_trace() {
    let mut shell = Shell::playing(spec(2));
    let (first, second) = (shell.guests[0], shell.guests[1]);
    let before = talk(&shell, first, 0, 4, "first");
    say(&mut shell, first, &before);
    let line = heard(&mut shell, first).remove(0);
    let plain = || draft(&shell, first, 0, 5, Some(&line));
    let room = RoomName::new("arena").unwrap();
    let elsewhere = TalkPlace::Lobby { service: root_key().public(), room, nonce: [0; 16] };
    let unseen = Seen { number: 1, line: elsewhere.opening() };
    let encoded = cadastre_protocol::encode(&plain());
    let turned = |body: &[u8]| {
        let end = body.len() - 12;
        [&body[..end], &7_u64.to_le_bytes(), "\u{202E}text".as_bytes()].concat()
    };
    let body = turned(&encoded);
    let cases = [
        (SignedTalk { signature: signed(0, &plain()).signature, body }, TalkRefusal::Malformed),
        (signed(1, &Talk { author: identity(1), ..plain() }), TalkRefusal::NotTheAuthor),
        (signed(0, &Talk { place: elsewhere, ..plain() }), TalkRefusal::WrongPlace),
        (signed(0, &Talk { seen: unseen, ..plain() }), TalkRefusal::UnknownSeenLine),
        (signed(0, &Talk { number: 4, ..plain() }), TalkRefusal::Repeated),
        (signed(1, &plain()), TalkRefusal::BadSignature),
    ];
    shell.forget_told();
    for (talk, expected) in cases {
        assert_eq!(refusal(&mut shell, first, &talk), expected);
        assert_eq!(shell.events, [Event::NotSaid { guest: first, kind: expected.kind() }]);
        assert_eq!(shell.messages(second), [], "nobody else hears of it");
        shell.events.clear();
    }
    assert_eq!(shell.store.lines, [line]);
}

#[test]
fn whoever_was_parted_with_says_nothing() {
    let mut shell = Shell::playing(spec(2));
    let (first, second) = (shell.guests[0], shell.guests[1]);
    let talk = talk(&shell, first, 0, 1, "gone");
    shell.leave(first);
    say(&mut shell, first, &talk);
    assert_eq!(shell.messages(second), []);
    assert_eq!(shell.store.lines, []);
}

/// Something that player `player` says with all before it seen, by its guest.
#[test]
fn a_substitute_speaks_before_it_has_played() {
    let mut shell = Shell::playing(spec(2));
    let loan = Delegation {
        version: Delegation::VERSION,
        match_id: shell.chain().match_id(),
        seat: support::seat(0),
        epoch: Epoch::new(1),
        session: identity(5),
        valid_to: None,
    };
    let loan = Pass::Loan(SignedDelegation::sign(&key(0), &loan));
    let substitute = shell.enter_with(5, EnterAs::Player, Some(loan));
    shell.forget_told();
    let line = talk(&shell, substitute, 5, 1, "good evening");
    say(&mut shell, substitute, &line);
    let other = shell.guests[1];
    assert_eq!(heard(&mut shell, other).len(), 1);
}

fn talk(shell: &Shell, guest: GuestId, player: u8, number: u32, text: &str) -> SignedTalk {
    let words = Words::Text(Text::new(text).unwrap());
    signed(player, &Talk { words, ..draft(shell, guest, player, number, None) })
}

fn draft(shell: &Shell, guest: GuestId, player: u8, number: u32, after: Option<&Line>) -> Talk {
    let place = shell.conversation(guest).0.clone();
    let opening = Seen { number: 0, line: place.opening() };
    Talk {
        version: Talk::VERSION,
        author: identity(player),
        number,
        seen: after.map_or(opening, |line| Seen { number: line.number, line: line.hash() }),
        words: Words::Text(Text::new("text").unwrap()),
        place,
    }
}

fn signed(player: u8, talk: &Talk) -> SignedTalk {
    let author: SecretKey = key(player);
    SignedTalk::sign(&author, talk)
}

fn say(shell: &mut Shell, guest: GuestId, talk: &SignedTalk) {
    shell.feed(Input::Say { guest, talk: talk.clone() });
}

/// The lines that a guest was told since the last call.
fn heard(shell: &mut Shell, guest: GuestId) -> Vec<Line> {
    let lines = shell.messages(guest).into_iter().filter_map(|message| match message {
        ServerMessage::Said(line) => Some(line),
        ServerMessage::NotSaid { refusal, .. } => panic!("{refusal}"),
        _ => None,
    });
    lines.collect()
}

/// Why something is not passed on, and that nothing else comes of it.
fn refusal(shell: &mut Shell, guest: GuestId, talk: &SignedTalk) -> TalkRefusal {
    shell.told(guest);
    say(shell, guest, talk);
    match shell.messages(guest).as_slice() {
        [ServerMessage::NotSaid { talk: name, refusal }] if *name == talk.hash() => *refusal,
        other => panic!("{other:?}"),
    }
}
