//! Bytes that are no encoding of any value of their type, with the one error for each.

use cadastre_protocol::{
    Absence, AbsencePolicy, AbsenceReason, Block, BlockKind, Clock, CodecError, Entry, Epoch, Genesis,
    Millis, Seat, SeatHolder, Signature, SignedTransaction, Standing, TransactionBody, decode_exact, encode,
};

use super::{
    Match, genesis, key,
    samples::{Kind, SAMPLES, certificates, headers, transactions},
    seat,
};
use crate::reference::objects as by_hand;

/// Bytes that are no encoding of a type.
pub(crate) struct Refused {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) error: CodecError,
}

pub(crate) fn refused() -> Vec<Refused> {
    let mut all = Vec::new();
    cut_and_longer(&mut all);
    versions_tags_and_seats(&mut all);
    lengths(&mut all);
    rules_of_matches(&mut all);
    rules_of_messages(&mut all);
    comparisons(&mut all);
    talk(&mut all);
    all
}

fn sample(kind: Kind, name: &str) -> Vec<u8> {
    let found = SAMPLES.iter().find(|sample| sample.kind == kind && sample.name == name);
    found.unwrap_or_else(|| panic!("{kind:?}, {name}")).bytes.clone()
}

/// Short ones of each type, without their last byte and with one more.
fn cut_and_longer(all: &mut Vec<Refused>) {
    for (kind, name) in [
        (Kind::Genesis, "as played"),
        (Kind::Certificate, "block"),
        (Kind::SignedCertificate, "block"),
        (Kind::Delegation, "of the join"),
        (Kind::Talk, "text in a lobby"),
        (Kind::Transaction, "turn"),
        (Kind::SignedTransaction, "turn"),
        (Kind::Receipt, "of seat 0"),
        (Kind::ProvenReceipt, "second of three"),
        (Kind::ServerProof, "third of three"),
        (Kind::Header, "turn"),
        (Kind::Block, "reopen"),
        (Kind::ProvenBlock, "reopen"),
        (Kind::ChainState, "after the start"),
        (Kind::ClientMessage, "leave"),
        (Kind::ServerMessage, "caught up"),
        (Kind::Invitation, "to play"),
        (Kind::SignedInvitation, "to play"),
    ] {
        let good = sample(kind, name);
        let mut add = |name: &str, bytes: Vec<u8>, error| {
            all.push(Refused { kind, name: name.into(), bytes, error });
        };
        add("nothing", Vec::new(), CodecError::Malformed);
        add("one byte short", good[..good.len() - 1].to_vec(), CodecError::Malformed);
        let longer = [good.as_slice(), &[0]].concat();
        let error = match kind.bytes_max() {
            max if longer.len() > max => CodecError::TooLong { got: longer.len(), max },
            _ => CodecError::Trailing,
        };
        add("one byte longer", longer, error);
    }
}

/// Puts `with` at `at` of a good encoding, where `before` must be.
struct Bend<'a> {
    all: &'a mut Vec<Refused>,
    kind: Kind,
    good: Vec<u8>,
}

impl Bend<'_> {
    fn at(&mut self, name: &str, at: usize, before: &[u8], with: &[u8], error: CodecError) {
        assert_eq!(&self.good[at..at + before.len()], before, "{:?}, {name}", self.kind);
        let mut bytes = self.good.clone();
        bytes.splice(at..at + before.len(), with.iter().copied());
        self.all.push(Refused { kind: self.kind, name: name.into(), bytes, error });
    }

    fn tag(&mut self, name: &str, at: usize, before: u32, with: u32) {
        self.at(name, at, &before.to_le_bytes(), &with.to_le_bytes(), CodecError::Malformed);
    }
}

fn bend<'a>(all: &'a mut Vec<Refused>, kind: Kind, name: &str) -> Bend<'a> {
    Bend { all, kind, good: sample(kind, name) }
}

fn versions_tags_and_seats(all: &mut Vec<Refused>) {
    for (kind, name, rule) in [
        (Kind::Genesis, "as played", "genesis version"),
        (Kind::Certificate, "block", "certificate version"),
        (Kind::Delegation, "of the join", "delegation version"),
        (Kind::Talk, "reaction", "talk version"),
        (Kind::Transaction, "turn", "transaction version"),
        (Kind::Receipt, "of seat 0", "receipt version"),
        (Kind::Header, "turn", "header version"),
        (Kind::Invitation, "to play", "invitation version"),
    ] {
        for version in [0, 2] {
            let mut bend = bend(all, kind, name);
            bend.at(&format!("version {version}"), 0, &[1], &[version], CodecError::Invalid(rule));
        }
    }
    let malformed = CodecError::Malformed;

    bend(all, Kind::Certificate, "log").tag("role 3", 1, 2, 3);

    let mut delegation = bend(all, Kind::Delegation, "of the join");
    delegation.at("seat 8", 33, &[0], &[8], malformed);
    delegation.at("option tag 2", 70, &[0], &[2], malformed);

    let mut transaction = bend(all, Kind::Transaction, "resign");
    transaction.at("seat 8", 33, &[1], &[8], malformed);
    transaction.at("seat 255", 33, &[1], &[255], malformed);
    transaction.at("option tag 2", 154, &[0], &[2], malformed);
    transaction.tag("body 8", 155, 6, 8);
    transaction.tag("body 2³² − 1", 155, 6, u32::MAX);

    bend(all, Kind::Transaction, "motion to end").tag("motion 4", 159, 2, 4);

    bend(all, Kind::Receipt, "of seat 0").at("seat 8", 33, &[0], &[8], malformed);

    bend(all, Kind::Header, "turn").tag("kind 7", 73, 1, 7);
    bend(all, Kind::Header, "turn").at("option tag 2", 93, &[1], &[2], malformed);
    bend(all, Kind::Header, "reopen for grace").tag("reason to reopen 3", 77, 2, 3);
    let mut seal = bend(all, Kind::Header, "seal by the operator");
    seal.tag("reason to seal 7", 77, 4, 7);
    seal.at("seat 8 in the standings", 89, &[0], &[8], malformed);

    // Three seats, one of them absent at the deadline.
    let name = "turn with an absent seat and a wrong state root";
    let end = sample(Kind::Block, name).len();
    let mut block = bend(all, Kind::Block, name);
    block.at("seat 8 absent", end - 5, &[1], &[8], malformed);
    block.tag("reason of absence 7", end - 4, 0, 7);

    let mut genesis = bend(all, Kind::Genesis, "as played");
    genesis.tag("seat holder 2", 64, 0, 2);
    genesis.tag("turn mode 2", 172, 0, 2);
    genesis.tag("clock 2", 180, 0, 2);
    genesis.at("option tag 2 of the last turn", 188, &[0], &[2], malformed);
    genesis.tag("absence policy 4", 189, 0, 4);
    genesis.tag("double transaction policy 2", 195, 0, 2);
    genesis.tag("visibility 3", 199, 0, 3);
    genesis.tag("randomness 2", 203, 0, 2);
    genesis.tag("takeback policy 2", 207, 0, 2);
    genesis.at("bool 2 of the agreed end", 215, &[0], &[2], malformed);
    genesis.tag("skip policy 3", 216, 0, 3);
    genesis.tag("spectator policy 3", 220, 1, 3);
    genesis.at("option tag 2 of the parent", 226, &[0], &[2], malformed);

    bend(all, Kind::ClientMessage, "leave").tag("client message 13", 0, 5, 13);
    bend(all, Kind::ClientMessage, "ready").at("bool 2", 4, &[1], &[2], malformed);
    bend(all, Kind::ClientMessage, "resume to play").tag("enter as 3", 36, 0, 3);
    let mut server = bend(all, Kind::ServerMessage, "caught up");
    server.tag("server message 26", 0, 5, 26);
    bend(all, Kind::ServerMessage, "refused: NoMatch").tag("refusal 5", 36, 2, 5);
    bend(all, Kind::ServerMessage, "refused: Chain, tx-exhausted").tag("transaction error 27", 40, 22, 27);
    bend(all, Kind::ServerMessage, "failed: Unavailable").tag("failure 13", 4, 10, 13);
    bend(all, Kind::ServerMessage, "goodbye: TooFast").tag("goodbye reason 6", 4, 5, 6);
    bend(all, Kind::ServerMessage, "limited: PasswordsPerAddress").tag("limit 13", 4, 12, 13);
    bend(all, Kind::ServerMessage, "not said: bad-signature").tag("talk refusal 8", 36, 7, 8);
    bend(all, Kind::ServerMessage, "notice: shutdown").tag("notice 2", 4, 1, 2);
    bend(all, Kind::Talk, "text in a lobby").tag("talk place 2", 1, 0, 2);
    bend(all, Kind::Talk, "reaction").tag("words 2", 113, 1, 2);
    bend(all, Kind::Talk, "last reaction").tag("reaction 8", 117, 7, 8);
    bend(all, Kind::ClientMessage, "enter with a password").tag("pass 3", 40, 1, 3);
    let mut invitation = bend(all, Kind::Invitation, "to play");
    invitation.at("room name with a blank", 41, b"T", b" ", CodecError::Invalid("room name"));
    invitation.at("option tag 2", 52, &[1], &[2], malformed);
    invitation.tag("enter as 3", 85, 0, 3);
    bend(all, Kind::ClientMessage, "compare: chunks").tag("comparison 4", 4, 3, 4);
    bend(all, Kind::ServerMessage, "compared: unknown").tag("compared 4", 4, 3, 4);
    let genesis = "genesis before the joins";
    let end = sample(Kind::ServerMessage, genesis).len();
    bend(all, Kind::ServerMessage, genesis).at("bool 2", end - 1, &[0], &[2], malformed);

    // A stored session key that nobody may verify under.
    let state = sample(Kind::ChainState, "after the start");
    let session = Match::of(3).session(seat(0), Epoch::FIRST).public();
    let at = state.windows(32).position(|window| window == session.as_bytes()).unwrap();
    let mut weak = [0; 32];
    weak[0] = 1;
    let mut bend = bend(all, Kind::ChainState, "after the start");
    bend.at("session key of small order", at, session.as_bytes(), &weak, malformed);
}

fn lengths(all: &mut Vec<Refused>) {
    let malformed = CodecError::Malformed;
    let number = u64::to_le_bytes;
    let mut turn = bend(all, Kind::Transaction, "turn");
    for (name, length) in [("one more than there is", 3), ("2¹⁶ + 1", 65_537), ("2⁶⁴ − 1", u64::MAX)]
    {
        turn.at(&format!("length of the commands {name}"), 159, &number(2), &number(length), malformed);
    }
    turn.at(
        "length of the commands one less than there is",
        159,
        &number(2),
        &number(1),
        CodecError::Trailing,
    );
    let mut proof = bend(all, Kind::ServerProof, "third of three");
    proof.at("number of hashes 2⁶⁴ − 1", 12, &number(1), &number(u64::MAX), malformed);
    proof.at("number of hashes 2", 12, &number(1), &number(2), malformed);
    proof.at("number of hashes 0", 12, &number(1), &number(0), CodecError::Trailing);
    let mut block = bend(all, Kind::Block, "reopen");
    let entries = sample(Kind::Block, "reopen").len() - 16;
    block.at("2⁶⁴ − 1 entries", entries, &number(0), &number(u64::MAX), malformed);
    block.at("2⁶⁰ absent", entries + 8, &number(0), &number(1 << 60), malformed);
}

fn rules_of_matches(all: &mut Vec<Refused>) {
    let invalid = CodecError::Invalid;
    let mut add =
        |kind, name: &str, bytes, error| all.push(Refused { kind, name: name.into(), bytes, error });

    let backwards = |from_ms, to_ms| {
        let mut certificate = certificates()[1].1.clone();
        certificate.valid_from = Millis::new(from_ms);
        certificate.valid_to = Millis::new(to_ms);
        encode(&certificate)
    };
    add(Kind::Certificate, "never valid", backwards(5, 5), invalid("certificate validity"));
    add(Kind::Certificate, "valid backwards", backwards(6, 5), invalid("certificate validity"));

    let mut genesis_with = |name: &str, rule, change: fn(&mut Genesis)| {
        let mut genesis = genesis(3);
        change(&mut genesis);
        add(Kind::Genesis, name, encode(&genesis), invalid(rule));
    };
    let rules = "rules name or version";
    genesis_with("rules without a name", rules, |g| g.rules.name.clear());
    genesis_with("rules name of 17 bytes", rules, |g| g.rules.name = "x".repeat(17));
    genesis_with("rules name with a capital", rules, |g| g.rules.name = "Toy".into());
    genesis_with("rules name with a blank", rules, |g| g.rules.name = "a toy".into());
    genesis_with("rules version 0", rules, |g| g.rules.version = 0);
    genesis_with("options of 65 bytes", "options too long", |g| g.options = vec![0; 65]);
    genesis_with("no seats", "number of seats", |g| g.seats.clear());
    genesis_with("nine seats", "number of seats", |g| {
        g.seats = (0..9).map(|i| SeatHolder::Player(key(i).public())).collect();
    });
    genesis_with("one identity on two seats", "one identity on two seats", |g| g.seats[2] = g.seats[0]);
    genesis_with("deadline of 99 ms", "deadline out of range", |g| g.turns.deadline_ms = 99);
    genesis_with("deadline of 31 days and 1 ms", "deadline out of range", |g| {
        g.turns.deadline_ms = 2_678_400_001;
    });
    genesis_with("grace of ten minutes and 1 ms", "grace out of range", |g| g.turns.grace_ms = 600_001);
    genesis_with("no turns", "a limit of no turns", |g| g.turns.turns_max = Some(0));
    genesis_with("abandoned after no turns", "a limit of no turns", |g| {
        g.absence = AbsencePolicy::Pass { abandon_after: 0 };
    });
    genesis_with("forfeited after no turns", "a limit of no turns", |g| {
        g.absence = AbsencePolicy::Forfeit { abandon_after: 1, forfeit_after: 0 };
    });
    genesis_with("clock that shrinks to 99 ms", "shortest time out of range", |g| {
        g.absence = AbsencePolicy::Shrink { abandon_after: 1, forfeit_after: None, shortest_ms: 99 };
    });
    genesis_with("bank of 99 ms", "bank out of range", |g| {
        g.turns.clock = Clock::Bank { initial_ms: 99, increment_ms: 0 };
    });
    let mut not_utf8 = sample(Kind::Genesis, "as played");
    assert_eq!(&not_utf8[41..44], b"toy");
    not_utf8[43] = 0xff;
    add(Kind::Genesis, "rules name not UTF-8", not_utf8, CodecError::Malformed);

    let mut turn = transactions().into_iter().find(|(name, _)| *name == "turn").unwrap().1;
    turn.body = TransactionBody::Turn(vec![0; 4097]);
    add(Kind::Transaction, "commands of 4097 bytes", encode(&turn), invalid("commands too long"));

    let seal = headers().into_iter().find(|(name, _)| *name == "seal by the rules").unwrap().1;
    let mut seal_with = |name: &str, change: fn(&mut Vec<Standing>)| {
        let mut header = seal.clone();
        let BlockKind::Seal { standings, .. } = &mut header.kind else { unreachable!() };
        change(standings);
        add(Kind::Header, name, encode(&header), invalid("standings"));
    };
    seal_with("place 0", |standings| standings[0].place = 0);
    seal_with("place 9", |standings| standings[0].place = 9);
    seal_with("standings not ascending", |standings| standings.swap(0, 1));
    seal_with("standing twice", |standings| standings[1].seat = standings[0].seat);

    let block: Block = decode_exact(&sample(Kind::Block, "reopen")).unwrap();
    let absent = |seats: &[u8]| {
        let absence =
            |index: &u8| Absence { seat: Seat::new(*index).unwrap(), reason: AbsenceReason::Deadline };
        encode(&Block { absent: seats.iter().map(absence).collect(), ..block.clone() })
    };
    let order = invalid("absent list not in ascending order");
    add(Kind::Block, "absent not ascending", absent(&[1, 0]), order);
    add(Kind::Block, "absent twice", absent(&[1, 1]), order);
    let entry = Entry {
        received: Millis::new(0),
        transaction: SignedTransaction { body: Vec::new(), signature: Signature::new([0; 64]) },
    };
    let entries = Block { entries: vec![entry; 49], ..block.clone() };
    add(Kind::Block, "49 entries", encode(&entries), invalid("too many entries"));
}

fn rules_of_messages(all: &mut Vec<Refused>) {
    let invalid = CodecError::Invalid;
    let mut add =
        |kind, name: &str, bytes, error| all.push(Refused { kind, name: name.into(), bytes, error });
    // A name as it could only be written by hand.
    let text = |to: by_hand::Bytes, text: &[u8]| to.counted(text);
    let spec = |to: by_hand::Bytes, rules: &str| {
        text(to, rules.as_bytes())
            .u8(0)
            .u8(2)
            .u32(0)
            .u8(0)
            .u8(0)
            .u32(1)
            .u16(0)
            .u32(0)
            .u32(0)
            .u32(0)
            .u32(0)
            .u32(0)
            .u8(0)
            .u32(0)
            .u32(0)
            .u32(0)
            .u16(1)
            .u8(2)
            .u32(0)
            .u8(1)
            .u8(0)
            .u8(0)
            .u32(0)
    };
    let create =
        |room: &str, rules: &str| spec(text(by_hand::Bytes::default().u32(0), room.as_bytes()), rules).0;
    assert_eq!(Kind::ClientMessage.decode(&create("a", "toy")), Ok(create("a", "toy")));
    for (name, room) in [
        ("room without a name", ""),
        ("room name of 33 bytes", &"r".repeat(33)),
        ("room name with a blank", "a room"),
        ("room name with a slash", "a/b"),
        ("room name not ASCII", "Zoë"),
    ] {
        add(Kind::ClientMessage, name, create(room, "toy"), invalid("room name"));
    }
    add(Kind::ClientMessage, "create without rules", create("a", ""), invalid("rules name"));
    add(
        Kind::ClientMessage,
        "create with rules of 17 bytes",
        create("a", &"x".repeat(17)),
        invalid("rules name"),
    );

    let enter = |name: &[u8]| text(text(by_hand::Bytes::default().u32(1), b"a").u32(0), name).u8(0).0;
    assert_eq!(Kind::ClientMessage.decode(&enter(b"Al")), Ok(enter(b"Al")));
    for (name, called) in [
        ("player without a name", ""),
        ("display name of 33 bytes", &"n".repeat(33)),
        ("display name with a line feed", "a\nb"),
        ("display name with an escape", "\u{1b}[31m"),
        ("display name with a C1 control", "a\u{85}"),
    ] {
        let error = invalid("room or display name");
        add(Kind::ClientMessage, name, enter(called.as_bytes()), error);
    }
    add(Kind::ClientMessage, "display name not UTF-8", enter(&[b'a', 0xff]), CodecError::Malformed);
    add(
        Kind::ClientMessage,
        "display name with a surrogate",
        enter(&[0xed, 0xa0, 0x80]),
        CodecError::Malformed,
    );

    let lobby_seat = |to: by_hand::Bytes, (index, name): &(u8, &str)| {
        text(to.u8(*index).raw(key(*index).public().as_bytes()), name.as_bytes()).u8(0)
    };
    let lobby = |rules, seats: &[(u8, &str)]| {
        spec(text(by_hand::Bytes::default().u32(2), b"a"), rules).list(seats, lobby_seat).0
    };
    let good = lobby("toy", &[(0, "Al"), (2, "Zoë")]);
    assert_eq!(Kind::ServerMessage.decode(&good), Ok(good));
    for (name, rules, seats) in [
        ("lobby with seats not ascending", "toy", [(2, "Al"), (0, "Zoë")]),
        ("lobby with a seat twice", "toy", [(1, "Al"), (1, "Zoë")]),
        ("lobby with a bad display name", "toy", [(0, "Al"), (1, "\r")]),
        ("lobby with a bad rules name", "toy\u{1b}[2J", [(0, "Al"), (1, "Zoë")]),
    ] {
        add(Kind::ServerMessage, name, lobby(rules, &seats), invalid("lobby"));
    }
    let names = |count: usize, name: &str| {
        let names = vec![name; count];
        let to = by_hand::Bytes::default().u32(3).counted(&[]);
        to.list(&names, |to, name| to.counted(name.as_bytes())).u8(0).0
    };
    assert_eq!(Kind::ServerMessage.decode(&names(8, "a")), Ok(names(8, "a")));
    add(Kind::ServerMessage, "nine display names", names(9, "a"), invalid("display names"));
    add(Kind::ServerMessage, "genesis with a bad display name", names(1, ""), invalid("display names"));
    let created = by_hand::Bytes::default().u32(1).counted(b"a b").0;
    add(Kind::ServerMessage, "created with a bad room name", created, invalid("room name"));
    let reason = |text: &str| {
        let to = by_hand::Bytes::default().u32(7).raw(&[0; 32]).u32(4).u16(0);
        to.counted(text.as_bytes()).0
    };
    assert_eq!(Kind::ServerMessage.decode(&reason(&"x".repeat(120))), Ok(reason(&"x".repeat(120))));
    add(Kind::ServerMessage, "reason of 121 bytes", reason(&"x".repeat(121)), invalid("reason"));
    add(Kind::ServerMessage, "reason with a tab", reason("a\tb"), invalid("reason"));
}

fn talk(all: &mut Vec<Refused>) {
    let mut add = |kind: Kind, name: &str, bytes, error| {
        all.push(Refused { kind, name: name.into(), bytes, error });
    };
    let head = &sample(Kind::Talk, "reaction")[..113];
    let said = |text: &[u8]| by_hand::Bytes(head.into()).u32(0).counted(text).0;
    let good =
        ["x".repeat(280), "語".repeat(280), "🙂".repeat(210), "می\u{200C}خواهم".into(), "❤\u{FE0F}".into()];
    for text in good {
        assert_eq!(Kind::Talk.decode(&said(text.as_bytes())), Ok(said(text.as_bytes())));
    }
    for (name, text) in [
        ("no text", ""),
        ("text of 281 characters", &"x".repeat(281)),
        ("text of 843 bytes", &"🙂".repeat(211)),
        ("text with a blank before it", " gg"),
        ("text with a no-break space behind it", "gg\u{A0}"),
        ("text with a line feed", "g\ng"),
        ("text with an escape", "\u{1b}[31mgg"),
        ("text with a C1 control", "g\u{9b}g"),
        ("text with a right-to-left override", "g\u{202E}g"),
        ("text with a right-to-left isolate", "g\u{2067}g"),
        ("text with a right-to-left mark", "g\u{200F}g"),
        ("text with a zero-width space", "g\u{200B}g"),
        ("text with a byte order mark", "g\u{FEFF}g"),
        ("text with a tag", "g\u{E0067}g"),
        ("text with a line separator", "g\u{2028}g"),
        ("text with a private character", "g\u{E000}g"),
        ("text with a noncharacter", "g\u{2FFFE}g"),
        ("text that begins with a joiner", "\u{200D}g"),
        ("text that ends with a joiner", "g\u{200D}"),
        ("text with a joiner behind a blank", "g \u{200C}g"),
        ("text with two joiners", "g\u{200D}\u{200D}g"),
        ("text with two selectors", "g\u{FE0F}\u{FE0F}"),
    ] {
        add(Kind::Talk, name, said(text.as_bytes()), CodecError::Invalid("text"));
        if name.contains("override") {
            let notice = by_hand::Bytes::default().u32(22).u32(0).counted(text.as_bytes()).0;
            add(Kind::ServerMessage, &format!("notice: {name}"), notice, CodecError::Invalid("text"));
        }
    }
    add(Kind::Talk, "text not UTF-8", said(&[b'g', 0xff]), CodecError::Malformed);
    let room = b"Table_1.a-b";
    let mut in_room = sample(Kind::Talk, "text in a lobby");
    let at = in_room.windows(room.len()).position(|bytes| bytes == room).unwrap();
    in_room[at] = b' ';
    add(Kind::Talk, "talk in a room with a blank", in_room, CodecError::Invalid("room name"));
    let line = |to: by_hand::Bytes, _: &()| to.u64(1).raw(&[0; 32]).u64(0).counted(&[]).raw(&[0; 64]);
    let conversation =
        |lines: usize| by_hand::Bytes::default().u32(19).u32(1).raw(&[0; 32]).list(&vec![(); lines], line).0;
    assert_eq!(Kind::ServerMessage.decode(&conversation(32)), Ok(conversation(32)));
    add(
        Kind::ServerMessage,
        "conversation of 33 lines",
        conversation(33),
        CodecError::Invalid("conversation"),
    );
}

fn comparisons(all: &mut Vec<Refused>) {
    let mut add = |kind: Kind, name: &str, bytes, what| {
        all.push(Refused { kind, name: name.into(), bytes, error: CodecError::Invalid(what) });
    };
    let request = |tag: u32| by_hand::Bytes::default().u32(7).u32(tag);
    let answer = |tag: u32| by_hand::Bytes::default().u32(12).u32(tag);
    let digests =
        |to: by_hand::Bytes, count: usize| to.list(&vec![[1; 32]; count], |to, digest| to.raw(digest)).0;
    let numbers = |to: by_hand::Bytes, numbers: &[u16]| to.list(numbers, |to, number| to.u16(*number)).0;

    let begin = |count| digests(request(0).u32(7).u32(0), count);
    let phases = |count| digests(answer(0), count);
    let nodes = |count| digests(answer(1), count);
    let ask = |level, indices: &[u16]| numbers(request(1).u8(level), indices);
    let chunks = |ids: &[u16]| numbers(request(3), ids);
    let many: Vec<u16> = (0..=100).collect();
    for (kind, good) in [
        (Kind::ClientMessage, begin(32)),
        (Kind::ServerMessage, phases(1)),
        (Kind::ServerMessage, nodes(1600)),
        (Kind::ClientMessage, ask(4, &many[..100])),
        (Kind::ClientMessage, chunks(&many[..8])),
    ] {
        assert_eq!(kind.decode(&good).as_ref(), Ok(&good));
    }
    add(Kind::ClientMessage, "comparison without phases", begin(0), "phases");
    add(Kind::ClientMessage, "comparison with 33 phases", begin(33), "phases");
    add(Kind::ServerMessage, "no phases", phases(0), "phases");
    add(Kind::ServerMessage, "fifteen nodes", nodes(15), "nodes");
    add(Kind::ClientMessage, "nodes of level 0", ask(0, &[0]), "nodes");
    add(Kind::ClientMessage, "nodes of level 6", ask(6, &[0]), "nodes");
    add(Kind::ClientMessage, "nodes of level 20", ask(20, &[0]), "nodes");
    add(Kind::ClientMessage, "no nodes", ask(16, &[]), "nodes");
    add(Kind::ClientMessage, "101 nodes", ask(4, &many), "nodes");
    add(Kind::ClientMessage, "nodes not in order", ask(4, &[3, 3]), "nodes");
    add(Kind::ClientMessage, "no chunks", chunks(&[]), "chunks");
    add(Kind::ClientMessage, "nine chunks", chunks(&many[..9]), "chunks");
    add(Kind::ClientMessage, "chunks not in order", chunks(&[2, 1]), "chunks");
}
