//! Conversations: who said what, where and in which order, and everything that is no next line of one.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod reference;
mod support;

use cadastre_protocol::{
    Conversation, LINES_KEPT, Line, LineError, LineHash, Millis, Reaction, RoomName, SecretKey, Seen,
    SignedTalk, Talk, TalkPlace, TalkRefusal, Text, TextError, Words, encode,
};
use reference::{assert_committed, objects as by_hand};
use serde::Serialize;
use support::{
    CREATED, genesis, identity, root,
    samples::{lobby_place, talk, talks, text},
    seat,
};

#[test]
fn the_committed_talk_is_what_both_implementations_give() {
    let vectors = Vectors {
        places: places().iter().map(PlaceVector::of).collect(),
        signed: talks().into_iter().map(SignedVector::of).collect(),
        texts: texts().into_iter().map(TextVector::of).collect(),
        place: hex::encode(encode(&lobby_place())),
        lines: long().1.iter().map(LineVector::of).collect(),
        refused: refused().into_iter().map(RefusedVector::of).collect(),
    };
    assert_committed("talk.json", include_str!("vectors/talk.json"), &vectors);
}

#[test]
fn whoever_comes_late_goes_on_from_the_last_lines() {
    let (mut whole, lines) = long();
    let kept: Vec<_> = whole.lines().cloned().collect();
    assert_eq!(kept, lines[lines.len() - LINES_KEPT..]);
    let mut late = Conversation::resume(lobby_place(), kept.clone()).unwrap();
    assert_eq!(late.last(), whole.last());
    let line = say(&mut whole, 0, 99, text("and on"));
    assert_eq!(late.append(line).unwrap().words, text("and on"));
    assert_eq!(late.last(), whole.last());
    // A gap in what is told, one line too many, and lines that do not begin with the first.
    let mut gap = kept.clone();
    gap.remove(5);
    let from_nowhere = vec![Line { number: 0, ..kept[0].clone() }];
    let wrong_opening = vec![Line { previous: kept[0].previous, ..lines[0].clone() }];
    for bad in [gap, lines, from_nowhere, wrong_opening] {
        assert_eq!(Conversation::resume(lobby_place(), bad).unwrap_err(), LineError::NotNext);
    }
}

#[test]
fn nothing_is_said_twice_however_late() {
    let mut conversation = Conversation::begin(lobby_place());
    let first = say(&mut conversation, 0, 1, text("once"));
    for number in 1..=2 * LINES_KEPT {
        let again = first.talk.clone().read().unwrap();
        // What it was said after is too long ago as soon as it may not be kept any more.
        let expected = if number < LINES_KEPT { TalkRefusal::Repeated } else { TalkRefusal::UnknownSeenLine };
        assert_eq!(conversation.check(again).unwrap_err(), expected, "{number}");
        say(&mut conversation, 1, u32::try_from(number).unwrap(), Words::Reaction(Reaction::Laugh));
    }
    assert!(!conversation.has(first.talk.hash()));
}

#[test]
fn an_author_may_be_as_far_behind_as_lines_are_kept() {
    let mut conversation = Conversation::begin(lobby_place());
    let mut seen = vec![conversation.last()];
    for number in 1..=40 {
        say(&mut conversation, 0, number, text("on and on"));
        seen.push(conversation.last());
    }
    let behind = |lines: usize| {
        let talk = Talk { seen: seen[40 - lines], ..talk(&lobby_place(), &author(1), 1, text("late")) };
        conversation.check(SignedTalk::sign(&author(1), &talk).read().unwrap()).map(|_| ())
    };
    assert_eq!(behind(LINES_KEPT - 1), Ok(()));
    assert_eq!(behind(LINES_KEPT), Err(TalkRefusal::UnknownSeenLine));
}

#[test]
fn what_one_has_seen_binds_all_that_was_said_before() {
    // A server that shows two people two histories cannot show either what the other said.
    let mut for_some = Conversation::begin(lobby_place());
    let mut for_others = for_some.clone();
    say(&mut for_some, 0, 1, text("yes"));
    say(&mut for_others, 0, 1, text("no"));
    let heard = say(&mut for_some, 1, 1, text("so be it"));
    let moved = Line { previous: for_others.last().line, ..heard };
    assert_eq!(for_others.append(moved).unwrap_err(), LineError::Talk(TalkRefusal::UnknownSeenLine));
}

#[test]
fn a_clock_that_is_set_back_stands_still() {
    let mut conversation = Conversation::begin(lobby_place());
    let first = say(&mut conversation, 0, 1, text("now"));
    let read = SignedTalk::sign(&author(1), &talk(&lobby_place(), &author(1), 1, text("then"))).read();
    let checked = conversation.check(read.unwrap()).unwrap();
    assert_eq!(conversation.say(checked, Millis::new(5)).received, first.received);
}

#[test]
fn every_refusal_stands_in_the_order_of_its_variants() {
    let mut found: Vec<_> = refused().into_iter().map(|case| case.2).collect();
    found.dedup();
    let mut sorted = found.clone();
    sorted.sort_by_key(|error| match error {
        LineError::NotNext => (0, 0),
        LineError::ClockBackwards => (1, 0),
        LineError::Talk(refusal) => (2, rank(*refusal)),
    });
    assert_eq!(found, sorted);
    assert_eq!(found.len(), 7, "{found:?}");
}

fn rank(refusal: TalkRefusal) -> u32 {
    u32::from_le_bytes(encode(&refusal)[..4].try_into().unwrap())
}

fn author(index: u8) -> SecretKey {
    identity(seat(index))
}

/// Adds a line of somebody who has seen all before it.
fn say(conversation: &mut Conversation, index: u8, number: u32, words: Words) -> Line {
    let place = conversation.place().clone();
    let talk = Talk { seen: conversation.last(), ..talk(&place, &author(index), number, words) };
    let read = SignedTalk::sign(&author(index), &talk).read().unwrap();
    let checked = conversation.check(read).unwrap();
    let received = Millis::new(CREATED.get() + 100 * (conversation.last().number + 1));
    conversation.say(checked, received)
}

/// More lines than are kept, of three people in turn.
fn long() -> (Conversation, Vec<Line>) {
    let mut conversation = Conversation::begin(lobby_place());
    let lines = (0..35_u32).map(|index| {
        let words = match index % 5 {
            0 => Words::Reaction(Reaction::ALL[usize::try_from(index).unwrap() / 5 % 8]),
            _ => text(&format!("line {index}")),
        };
        say(&mut conversation, u8::try_from(index % 3).unwrap(), 10 + index, words)
    });
    let lines = lines.collect();
    (conversation, lines)
}

fn places() -> [TalkPlace; 3] {
    let TalkPlace::Lobby { service, room, .. } = lobby_place() else { unreachable!() };
    let another = TalkPlace::Lobby { service, room, nonce: [0; 16] };
    [lobby_place(), another, TalkPlace::Match(genesis(3).match_id())]
}

/// What a server might tell as the line after [`long`].
fn refused() -> Vec<(&'static str, Line, LineError)> {
    let (conversation, lines) = long();
    let last = conversation.last();
    let next = |talk: SignedTalk| Line {
        number: last.number + 1,
        previous: last.line,
        received: Millis::new(CREATED.get() + 10_000),
        talk,
    };
    let plain = Talk { seen: last, ..talk(&lobby_place(), &author(0), 99, text("next")) };
    let signed = |talk: &Talk| next(SignedTalk::sign(&author(0), talk));
    let good = signed(&plain);
    assert!(conversation.clone().append(good.clone()).is_ok());
    let in_room = |name: &str| {
        let room = RoomName::new(name).unwrap();
        TalkPlace::Lobby { service: root().public(), room, nonce: reference::ramp(0xb0) }
    };
    let at = |place| signed(&Talk { place, ..plain.clone() });
    let having_seen = |number, line| signed(&Talk { seen: Seen { number, line }, ..plain.clone() });
    let of_line = |number: usize| lines[number - 1].hash();
    let numbered = |number| signed(&Talk { number, ..plain.clone() });
    let mut changed = good.clone();
    *changed.talk.body.last_mut().unwrap() = b'T';
    let mut turned = good.clone();
    let end = turned.talk.body.len() - 4;
    turned.talk.body.splice(end - 8.., by_hand::Bytes::default().counted("n\u{202E}xt".as_bytes()).0);
    let by_another = next(SignedTalk::sign(&author(1), &plain));
    let talk = LineError::Talk;
    vec![
        ("a line is missing", Line { number: last.number + 2, ..good.clone() }, LineError::NotNext),
        ("the last line again", lines[34].clone(), LineError::NotNext),
        ("linked to an earlier line", Line { previous: of_line(34), ..good.clone() }, LineError::NotNext),
        (
            "older than the line before",
            Line { received: Millis::new(lines[34].received.get() - 1), ..good.clone() },
            LineError::ClockBackwards,
        ),
        ("turned round", turned, talk(TalkRefusal::Malformed)),
        ("said in another room", at(in_room("Table_2")), talk(TalkRefusal::WrongPlace)),
        ("said in an earlier room of the name", at(places()[1].clone()), talk(TalkRefusal::WrongPlace)),
        ("said at a match", at(places()[2].clone()), talk(TalkRefusal::WrongPlace)),
        ("has seen too little", having_seen(3, of_line(3)), talk(TalkRefusal::UnknownSeenLine)),
        ("has seen another line", having_seen(34, of_line(33)), talk(TalkRefusal::UnknownSeenLine)),
        ("has seen itself", having_seen(36, last.line), talk(TalkRefusal::UnknownSeenLine)),
        ("has seen nothing", having_seen(0, lobby_place().opening()), talk(TalkRefusal::UnknownSeenLine)),
        ("said before", next(lines[33].talk.clone()), talk(TalkRefusal::Repeated)),
        ("a number used before", numbered(43), talk(TalkRefusal::Repeated)),
        ("in the name of another", by_another, talk(TalkRefusal::BadSignature)),
        ("changed on the way", changed, talk(TalkRefusal::BadSignature)),
    ]
}

#[derive(Serialize)]
struct Vectors {
    places: Vec<PlaceVector>,
    signed: Vec<SignedVector>,
    texts: Vec<TextVector>,
    /// Of the lines that follow.
    place: String,
    lines: Vec<LineVector>,
    /// As the next line after these.
    refused: Vec<RefusedVector>,
}

#[derive(Serialize)]
struct PlaceVector {
    place: String,
    opening: String,
}

impl PlaceVector {
    fn of(place: &TalkPlace) -> Self {
        let bytes = by_hand::talk_place(place);
        assert_eq!(encode(place), bytes);
        let opening = reference::h("talk place", &[&bytes]);
        assert_eq!(place.opening().as_bytes(), &opening);
        Self { place: hex::encode(bytes), opening: hex::encode(opening) }
    }
}

#[derive(Serialize)]
struct SignedVector {
    name: &'static str,
    body: String,
    hash: String,
    signed_by: String,
    signature: String,
}

impl SignedVector {
    fn of((name, talk): (&'static str, Talk)) -> Self {
        let body = by_hand::talk(&talk);
        let hash = reference::h("talk", &[&body]);
        let key = ed25519_dalek::SigningKey::from_bytes(&author(1).seed());
        let signature = reference::sign(&key, "talk", &hash);
        let signed = SignedTalk::sign(&author(1), &talk);
        assert_eq!((&signed.body, signed.signature.as_bytes()), (&body, &signature), "{name}");
        assert_eq!(signed.hash().as_bytes(), &hash);
        Self {
            name,
            body: hex::encode(body),
            hash: hex::encode(hash),
            signed_by: talk.author.to_string(),
            signature: hex::encode(signature),
        }
    }
}

#[derive(Serialize)]
struct TextVector {
    /// In UTF-8.
    text: String,
    error: Option<String>,
}

impl TextVector {
    fn of(text: String) -> Self {
        let error = Text::new(&text).err().map(|error| match error {
            TextError::Character(character) => format!("Character U+{:04X}", u32::from(character)),
            TextError::Empty | TextError::TooLong | TextError::Untrimmed => reference::name(&error),
        });
        Self { text: hex::encode(text), error }
    }
}

fn texts() -> Vec<String> {
    let plain = ["gg", "Zoë", "שלום", "مرحبا", "日本語\u{3000}です", "e\u{301}", "a\u{A0}b", ""];
    let joined = [
        "می\u{200C}خواهم",
        "क्\u{200D}ष",
        "👩\u{200D}🚀",
        "🏳\u{FE0F}\u{200D}🌈",
        "❤\u{FE0F}",
        "1\u{FE0F}\u{20E3}",
    ];
    let badly = [
        "\u{200D}a",
        "a\u{200D}",
        "a\u{200C}",
        "a \u{200C}b",
        "a\u{200D}\u{200C}b",
        "a\u{200C}\u{FE0F}b",
        "a\u{FE0F}\u{200C}b",
    ];
    let lengths = ["x".repeat(280), "x".repeat(281), "語".repeat(280), "🙂".repeat(210), "🙂".repeat(211)];
    // First and last of each range, and what stands beside it.
    let mut edges = Vec::new();
    for (first, last) in RANGES {
        let beside = [first.wrapping_sub(1), *first, *last, last + 1];
        edges.extend(beside.into_iter().filter_map(char::from_u32).map(|c| format!("a{c}b")));
    }
    let words = plain.iter().chain(&joined).chain(&badly).map(|text| (*text).to_owned());
    words.chain(lengths).chain(edges).collect()
}

/// As `docs/protocol.md`, "Text", lists them.
const RANGES: &[(u32, u32)] = &[
    (0x0000, 0x001F),
    (0x007F, 0x009F),
    (0x00AD, 0x00AD),
    (0x034F, 0x034F),
    (0x061C, 0x061C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x2028, 0x202E),
    (0x2060, 0x206F),
    (0x2800, 0x2800),
    (0x3164, 0x3164),
    (0xE000, 0xF8FF),
    (0xFDD0, 0xFDEF),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFFC),
    (0xFFFE, 0xFFFF),
    (0x1BCA0, 0x1BCA3),
    (0x1D159, 0x1D159),
    (0x1D173, 0x1D17A),
    (0x13430, 0x1345F),
    (0x1FFFE, 0x1FFFF),
    (0xDFFFE, 0xDFFFF),
    (0xE0000, 0xE0FFF),
    (0xF0000, 0xFFFFF),
    (0x100000, 0x10FFFF),
];

#[derive(Serialize)]
struct LineVector {
    line: String,
    hash: String,
}

impl LineVector {
    fn of(line: &Line) -> Self {
        let (bytes, hash) = (by_hand::line(line), by_hand::line_hash(line));
        assert_eq!(encode(line), bytes);
        assert_eq!(line.hash(), LineHash::new(cadastre_protocol::Digest::new(hash)));
        Self { line: hex::encode(bytes), hash: hex::encode(hash) }
    }
}

#[derive(Serialize)]
struct RefusedVector {
    name: &'static str,
    line: String,
    error: String,
}

impl RefusedVector {
    fn of((name, line, error): (&'static str, Line, LineError)) -> Self {
        let (mut conversation, _) = long();
        let last = conversation.last();
        assert_eq!(conversation.append(line.clone()).unwrap_err(), error, "{name}");
        assert_eq!(conversation.last(), last);
        let word = match error {
            LineError::Talk(refusal) => format!("Talk.{}", reference::name(&refusal)),
            LineError::NotNext | LineError::ClockBackwards => reference::name(&error),
        };
        Self { name, line: hex::encode(encode(&line)), error: word }
    }
}
