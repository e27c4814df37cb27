//! Peers that break every rule there is, while a match is played in the room that they attack: it goes on as if
//! they were not there.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "only in tests")]

mod support;

use cadastre_client::{Client, Event};
use cadastre_protocol::{
    Attempt, BlockHash, BlockKind, ClientMessage, Digest, DisplayName, EnterAs, Epoch, Failure, Height,
    M1_BYTES, MatchId, ProvenBlock, ProvenHeader, RECORD_BYTES_MAX, Refusal, RoomName, RoomSpec, Seat, Seq,
    ServerMessage, Signature, SignedTransaction, Transaction, TransactionBody, TransactionError, Turn,
    TurnMode, TxHash, Wire as _, encode,
};
use cadastre_replay::Replay;
use support::{
    NO_DEADLINE_MS, Scene, Server, boxes,
    cheat::{Cheat, draft_on},
    identity,
    peer::{End, Peer, Wire},
    random::Random,
    soon,
    table::{Player, Table},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};
use tokio_tungstenite::tungstenite::Message;

/// Players wait between their turns for as long as an attack takes.
const PATIENT: &str = "[limits]\nheartbeat_ms = 600000\n";

const ROOM: &str = "attacked";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_request_for_the_game_is_turned_away() {
    let mut attacked = Attacked::start(PATIENT).await;
    let listen = attacked.server.listen;
    let upgrade = |host: &str, rest: &str| {
        format!("GET /ws HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{rest}\r\n")
    };
    let here = listen.to_string();
    let key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
    let version = "Sec-WebSocket-Version: 13\r\n";
    let protocol = "Sec-WebSocket-Protocol: cadastre.v1\r\n";
    let cases = [
        (426, format!("GET /ws HTTP/1.1\r\nHost: {here}\r\nConnection: close\r\n\r\n")),
        (
            426,
            format!("GET /ws HTTP/1.1\r\nHost: {here}\r\nConnection: close\r\n{version}{key}{protocol}\r\n"),
        ),
        (400, upgrade(&here, &format!("{key}{version}"))),
        (400, upgrade(&here, &format!("{key}{version}Sec-WebSocket-Protocol: cadastre.v2, chat\r\n"))),
        (400, upgrade(&here, &format!("{key}{protocol}"))),
        (400, upgrade(&here, &format!("{key}{protocol}Sec-WebSocket-Version: 12\r\n"))),
        (400, upgrade(&here, &format!("{version}{protocol}"))),
        (421, upgrade("play.example", &format!("{key}{version}{protocol}"))),
        (421, upgrade(&format!("127.0.0.1:{}", listen.port() ^ 1), &format!("{key}{version}{protocol}"))),
        (421, upgrade("", &format!("{key}{version}{protocol}"))),
        (404, format!("POST /ws HTTP/1.1\r\nHost: {here}\r\nContent-Length: 0\r\n\r\n")),
        (404, format!("GET /../../etc/passwd HTTP/1.1\r\nHost: {here}\r\n\r\n")),
        (404, format!("GET /rooms/%2e%2e/replay HTTP/1.1\r\nHost: {here}\r\n\r\n")),
        (404, format!("GET /matches/{}/replay HTTP/1.1\r\nHost: {here}\r\n\r\n", "0".repeat(64))),
        (404, format!("GET /matches/{}/replay HTTP/1.1\r\nHost: {here}\r\n\r\n", "x".repeat(4000))),
        (431, format!("GET /{} HTTP/1.1\r\nHost: {here}\r\n\r\n", "x".repeat(70_000))),
        (431, format!("GET / HTTP/1.1\r\nHost: {here}\r\nX: {}\r\n\r\n", "x".repeat(9_000))),
        (431, format!("GET / HTTP/1.1\r\nHost: {here}\r\n{}\r\n", "X: x\r\n".repeat(200))),
        (400, "GET\r\n\r\n".to_owned()),
        (400, "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\u{fc}\u{3}\u{3}\r\n\r\n".to_owned()),
    ];
    for (status, request) in cases {
        assert_eq!(status_of(&attacked.server, &request).await, status, "{request:.200}");
    }
    attacked.goes_on().await;
    let mut random = Random::seeded(1);
    for _ in 0..50 {
        let length = 1 + random.below(3000);
        let rubbish = random.bytes(length);
        let mut tcp = TcpStream::connect(listen).await.unwrap();
        // A server that has heard enough may hang up before the end.
        let _ = tcp.write_all(&rubbish).await;
        let _ = tcp.shutdown().await;
        let answer = read_to_end(&mut tcp).await;
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", answer.escape_ascii());
    }
    attacked.goes_on().await;
    attacked.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_nobody_sends_end_a_handshake_like_any_other_failure() {
    let mut attacked = Attacked::start(PATIENT).await;
    let server = &attacked.server;

    let oversized = RECORD_BYTES_MAX + 1;
    refused(server, "an oversized frame", async |wire| {
        wire.send_raw(&frame(0x82, &vec![0; oversized])).await;
    })
    .await;
    refused(server, "the announcement of a huge frame", async |wire| {
        wire.send_raw(&[0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4]).await;
    })
    .await;
    refused(server, "too much in fragments", async |wire| {
        wire.send_raw(&frame(0x02, &vec![0; oversized / 2])).await;
        wire.send_raw(&frame(0x80, &vec![0; oversized / 2 + 1])).await;
    })
    .await;
    refused(server, "a frame without a mask", async |wire| wire.send_raw(&[0x82, 1, 0]).await).await;
    refused(server, "a frame of no kind", async |wire| wire.send_raw(&frame(0x8b, &[0])).await).await;
    refused(server, "reserved bits", async |wire| wire.send_raw(&frame(0xf2, &[0])).await).await;
    refused(server, "a continuation of nothing", async |wire| wire.send_raw(&frame(0x80, &[0])).await).await;
    refused(server, "a long ping", async |wire| wire.send_raw(&frame(0x89, &[0; 126])).await).await;

    attacked.goes_on().await;
    attacked.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_stays_silent_is_parted_with_in_time() {
    let limits = format!("{PATIENT}handshake_ms_max = 3000\n");
    let mut attacked = Attacked::start(&limits).await;
    let server = &attacked.server;
    let silent = async || TcpStream::connect(server.listen).await.unwrap();
    let half_a_head = async || {
        let mut tcp = silent().await;
        tcp.write_all(b"GET /health HTTP/1.1\r\nHo").await.unwrap();
        tcp
    };
    let mut tcp = [silent().await, half_a_head().await];
    let no_m1 = Wire::dial(server).await;
    let mut no_m3 = Wire::dial(server).await;
    no_m3.send_m1(server, &identity(50)).await;
    no_m3.receive().await.unwrap();
    let mut half_an_m1 = Wire::dial(server).await;
    half_an_m1.send_raw(&frame(0x82, &[1; M1_BYTES])[..100]).await;
    attacked.table.turn().await;
    for tcp in &mut tcp {
        read_to_end(tcp).await;
    }
    for wire in [no_m1, no_m3, half_an_m1] {
        assert_eq!(wire.end().await, End::refusal());
    }
    attacked.server.await_metric("cadastre_connections_closed_total{reason=\"handshake-time\"}", 5).await;
    attacked.goes_on().await;
    attacked.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_waits_for_its_peer_keeps_nobody_waiting() {
    let limits = format!("{PATIENT}handshakes_max = 1\nhandshake_ms_max = 600000\n");
    let mut attacked = Attacked::start(&limits).await;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let mut wire = Wire::dial(&attacked.server).await;
        wire.send_m1(&attacked.server, &identity(50)).await;
        wire.receive().await.unwrap();
        waiting.push(wire);
    }
    Peer::login(&attacked.server, &identity(51)).await;
    attacked.goes_on().await;
    attacked.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_does_not_open_ends_its_session_and_no_other() {
    let mut attacked = Attacked::start(PATIENT).await;
    let server = &attacked.server;
    let ping = encode(&ClientMessage::Ping(7));
    let mut random = Random::seeded(3);

    broken(server, "text", async |peer| peer.wire.send(Message::text("hello")).await).await;
    broken(server, "an empty record", async |peer| peer.wire.send_binary(&[]).await).await;
    for length in [1, 64, 81, RECORD_BYTES_MAX] {
        let rubbish = random.bytes(length);
        broken(server, "rubbish", async |peer| peer.wire.send_binary(&rubbish).await).await;
    }
    broken(server, "a flipped bit", async |peer| {
        let mut record = peer.seal(&ping).remove(0);
        let at = record.len() / 2;
        record[at] ^= 0x10;
        peer.wire.send_binary(&record).await;
    })
    .await;
    broken(server, "a record twice", async |peer| {
        let record = peer.seal(&ping).remove(0);
        peer.wire.send_binary(&record).await;
        assert_eq!(peer.hear().await, Ok(ServerMessage::Pong(7)));
        peer.wire.send_binary(&record).await;
    })
    .await;
    broken(server, "a record out of turn", async |peer| {
        let first = peer.seal(&ping);
        let second = peer.seal(&ping).remove(0);
        peer.wire.send_binary(&second).await;
        peer.wire.send_binary(&first[0]).await;
    })
    .await;
    broken(server, "a record of another session", async |peer| {
        let mut other = Peer::login(server, &identity(51)).await;
        peer.wire.send_binary(&other.seal(&ping)[0]).await;
    })
    .await;
    broken(server, "a handshake again", async |peer| {
        let m1 = peer.sent[0].clone();
        peer.wire.send_binary(&m1).await;
    })
    .await;
    broken(server, "an oversized frame", async |peer| {
        peer.wire.send_raw(&frame(0x82, &vec![0; RECORD_BYTES_MAX + 1])).await;
    })
    .await;
    broken(server, "a frame without a mask", async |peer| peer.wire.send_raw(&[0x82, 1, 0]).await).await;
    attacked.goes_on().await;
    attacked.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_none_ends_its_session_and_no_other() {
    let mut attacked = Attacked::start(PATIENT).await;
    let server = &attacked.server;
    let mut random = Random::seeded(4);
    let enter = ClientMessage::Enter {
        room: RoomName::new("aaaa").unwrap(),
        enter_as: EnterAs::Player,
        name: DisplayName::new("bbbb").unwrap(),
        pass: None,
    };
    let swapped = |from: &[u8], to: &[u8]| {
        let mut bytes = encode(&enter);
        let at = bytes.windows(4).position(|window| window == from).unwrap();
        bytes[at..at + 4].copy_from_slice(to);
        bytes
    };
    let create = |rules: &str| {
        let room = RoomName::new("a").unwrap();
        encode(&ClientMessage::Create { room, spec: RoomSpec { rules: rules.into(), ..boxes(2, 9) } })
    };
    let messages = [
        Vec::new(),
        vec![0xff; 4],
        random.bytes(100),
        vec![0; ClientMessage::BYTES_MAX],
        vec![0; ClientMessage::BYTES_MAX + 1],
        vec![0; 100_000],
        [&encode(&enter)[..], &[0]].concat(),
        encode(&enter)[..20].to_vec(),
        swapped(b"aaaa", b"a/aa"),
        swapped(b"aaaa", b"aa\0a"),
        swapped(b"bbbb", b"b\x1b[b"),
        swapped(b"bbbb", b"\xff\xffbb"),
        create(""),
        create(&"x".repeat(17)),
        encode(&ServerMessage::Pong(1)),
    ];
    for message in messages {
        let what = format!("{} bytes from {}", message.len(), message[..message.len().min(8)].escape_ascii());
        broken(server, &what, async |peer| peer.say_bytes(&message).await).await;
    }
    attacked.goes_on().await;
    attacked.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_done_is_answered_and_not_done() {
    let mut attacked = Attacked::start(PATIENT).await;
    let match_id = attacked.table.chain().match_id();
    let head = *attacked.table.chain().head();
    let room = |name: &str| RoomName::new(name).unwrap();
    let create = |name: &str, spec: RoomSpec| ClientMessage::Create { room: room(name), spec };
    let enter = |name: &str, enter_as| ClientMessage::Enter {
        room: room(name),
        enter_as,
        name: DisplayName::new("peer").unwrap(),
        pass: None,
    };
    let resume = |match_id, enter_as, height, block| ClientMessage::Resume {
        match_id,
        enter_as,
        height,
        block,
        pass: None,
    };
    let nobody = MatchId::new(Digest::new([9; 32]));
    let other = BlockHash::new(Digest::new([9; 32]));
    let submission = encode(&draft(&attacked.table, Seat::new(0).unwrap()));
    let submission = SignedTransaction { body: submission, signature: Signature::new([1; 64]) };

    let mut cases = vec![
        (ClientMessage::Ready { ready: true, chain: None }, Failure::WrongState),
        (ClientMessage::Submit(submission), Failure::WrongState),
        (ClientMessage::Leave, Failure::WrongState),
        (enter("nowhere", EnterAs::Player), Failure::NoSuchRoom),
        (enter(ROOM, EnterAs::Player), Failure::NotSeated),
        (create(ROOM, boxes(2, 9)), Failure::RoomExists),
        (resume(nobody, EnterAs::Player, Height::GENESIS, nobody.as_block()), Failure::NoSuchMatch),
        (resume(match_id, EnterAs::Player, head.height, head.block), Failure::NotSeated),
        (resume(match_id, EnterAs::Spectator, head.height, other), Failure::UnknownHead),
        (resume(match_id, EnterAs::Spectator, Height::GENESIS, other), Failure::UnknownHead),
        (resume(match_id, EnterAs::Spectator, Height::new(1_000_000), head.block), Failure::UnknownHead),
        (resume(match_id, EnterAs::Spectator, Height::new(u64::MAX), other), Failure::UnknownHead),
    ];
    let silly = [
        RoomSpec { rules: "chess".into(), ..boxes(2, 9) },
        RoomSpec { rules: "Boxes\n".into(), ..boxes(2, 9) },
        RoomSpec { seats_min: 0, ..boxes(2, 9) },
        RoomSpec { seats_min: 3, ..boxes(2, 9) },
        RoomSpec { seats: 0, ..boxes(2, 9) },
        RoomSpec { seats: 1, ..boxes(2, 9) },
        RoomSpec { seats: 9, ..boxes(2, 9) },
        RoomSpec { seats: 255, ..boxes(2, 9) },
        RoomSpec { size: Some(0), ..boxes(2, 9) },
        RoomSpec { size: Some(u16::MAX), ..boxes(2, 9) },
        RoomSpec { turns_max: Some(0), ..boxes(2, 9) },
        RoomSpec { deadline_ms: Some(0), ..boxes(2, 9) },
        RoomSpec { deadline_ms: Some(NO_DEADLINE_MS + 1), ..boxes(2, 9) },
        RoomSpec { deadline_ms: Some(u32::MAX), mode: TurnMode::Alternating, ..boxes(2, 9) },
    ];
    cases.extend(silly.map(|spec| (create("silly", spec), Failure::BadSpec)));
    let mut peer = Peer::login(&attacked.server, &identity(50)).await;
    for (message, failure) in cases {
        peer.say(&message).await;
        assert_eq!(peer.hear().await, Ok(ServerMessage::Failed(failure)), "{message:?}");
    }
    attacked.goes_on().await;

    let mut peer = Peer::login(&attacked.server, &identity(50)).await;
    peer.enter(ROOM, EnterAs::Spectator).await;
    peer.hear_until(|message| matches!(message, ServerMessage::Conversation { .. })).await;
    for twice in [enter(ROOM, EnterAs::Spectator), enter(ROOM, EnterAs::Player)] {
        peer.say(&twice).await;
        assert_eq!(peer.hear().await, Ok(ServerMessage::Failed(Failure::WrongState)));
    }
    peer.say(&resume(match_id, EnterAs::Spectator, head.height, head.block)).await;
    assert_eq!(peer.hear().await, Ok(ServerMessage::Failed(Failure::WrongState)));
    // A spectator is no player, whatever it says.
    peer.say(&ClientMessage::Ready { ready: true, chain: None }).await;
    peer.say(&ClientMessage::Leave).await;
    peer.enter(ROOM, EnterAs::Spectator).await;
    peer.hear_until(|message| matches!(message, ServerMessage::Conversation { .. })).await;
    attacked.goes_on().await;
    attacked.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_counts_only_from_the_player_whose_it_is() {
    let mut attacked = Attacked::start(PATIENT).await;
    let mut spectator = Peer::login(&attacked.server, &identity(50)).await;
    spectator.enter(ROOM, EnterAs::Spectator).await;
    spectator.hear_until(|message| matches!(message, ServerMessage::Conversation { .. })).await;

    // What the players will sign in this turn, signed with their own keys: only the sender is wrong.
    for who in 0..2 {
        let seat = attacked.table.chain().genesis().seat_of(identity(who).public()).unwrap();
        let stolen = sign(&draft(&attacked.table, seat), who);
        let refusal = submit(&mut spectator, stolen).await;
        assert_eq!(refusal, Refusal::NotYourSeat);
    }
    let empty = SignedTransaction { body: Vec::new(), signature: Signature::new([0; 64]) };
    assert_eq!(submit(&mut spectator, empty).await, Refusal::Malformed);
    attacked.goes_on().await;
    attacked.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_player_that_cheats_is_refused_and_can_still_play() {
    let mut attacked = Attacked::start(PATIENT).await;
    let mut cheat = Cheat::sit_down(&attacked.server, "own", boxes(2, 3)).await;
    let (server, table) = (&attacked.server, &attacked.table);
    let fair = server.client(61, "own", EnterAs::Player, None);
    let mut fair = Player::new(fair);
    tokio::join!(fair.play_until(|kind| *kind == BlockKind::Start), cheat.its_turn());

    let good = cheat.draft();
    let chain = |error| Refusal::Chain(error);
    let with = |change: &dyn Fn(&mut Transaction)| {
        let mut changed = good.clone();
        change(&mut changed);
        changed
    };
    let next_turn = Turn::new(good.turn.get() + 1);
    let of_another_match = Transaction { seat: good.seat, ..draft(table, good.seat) };
    let other_seat = Seat::new(1 - good.seat.get()).unwrap();
    let (none, zero) = (TxHash::new(Digest::ZERO), BlockHash::new(Digest::ZERO));
    let cases = [
        (of_another_match, chain(TransactionError::WrongMatch)),
        (with(&|tx| tx.seat = other_seat), Refusal::NotYourSeat),
        (with(&|tx| tx.seat = Seat::new(7).unwrap()), Refusal::NotYourSeat),
        (
            with(&|tx| tx.turn = Turn::START),
            chain(TransactionError::WrongTurn { expected: good.turn, got: Turn::START }),
        ),
        (
            with(&|tx| tx.turn = next_turn),
            chain(TransactionError::WrongTurn { expected: good.turn, got: next_turn }),
        ),
        (with(&|tx| tx.attempt = Attempt::new(1)), chain(TransactionError::WrongAttempt)),
        (
            with(&|tx| tx.epoch = Epoch::new(1)),
            chain(TransactionError::WrongEpoch { expected: Epoch::FIRST, got: Epoch::new(1) }),
        ),
        (
            with(&|tx| tx.seq = Seq::new(9)),
            chain(TransactionError::WrongSeq { expected: good.seq, got: Seq::new(9) }),
        ),
        (with(&|tx| tx.prev_tx = none), chain(TransactionError::WrongLink)),
        (with(&|tx| tx.seen_block = zero), chain(TransactionError::UnknownSeenBlock)),
        (with(&|tx| tx.seen_height = Height::new(77)), chain(TransactionError::UnknownSeenBlock)),
        (with(&|tx| tx.chain_element = Some(Digest::ZERO)), chain(TransactionError::UnexpectedChainElement)),
        (with(&|tx| tx.body = TransactionBody::Commit(Digest::ZERO)), chain(TransactionError::WrongKind)),
        (
            with(&|tx| tx.body = TransactionBody::Takeback { to_turn: Turn::START }),
            chain(TransactionError::WrongKind),
        ),
        (with(&|tx| tx.body = TransactionBody::Turn(vec![0; 4097])), Refusal::Malformed),
        (
            with(&|tx| tx.body = TransactionBody::Turn(vec![0; 4096])),
            Refusal::Command { command: 0, reason: "not the encoding of an edge".into() },
        ),
    ];
    for (transaction, refusal) in cases {
        assert_eq!(submit(&mut cheat.peer, sign(&transaction, 60)).await, refusal, "{transaction:?}");
    }
    // Not the session key of the seat.
    let forged = SignedTransaction::sign(&identity(60), &good);
    assert_eq!(submit(&mut cheat.peer, forged).await, chain(TransactionError::BadSignature));
    let forged = SignedTransaction { body: encode(&good), signature: Signature::new([0; 64]) };
    assert_eq!(submit(&mut cheat.peer, forged).await, chain(TransactionError::BadSignature));
    let mut trailing = sign(&good, 60);
    trailing.body.push(0);
    assert_eq!(submit(&mut cheat.peer, trailing).await, Refusal::Malformed);

    // None of that counted: the good one is taken, once, and its copy gets the same receipt.
    let good = sign(&good, 60);
    let mut receipts = Vec::new();
    for _ in 0..2 {
        cheat.peer.say(&ClientMessage::Submit(good.clone())).await;
        let ServerMessage::Receipt(receipt) = cheat.peer.hear().await.unwrap() else { panic!("no receipt") };
        receipts.push(receipt);
    }
    assert_eq!(receipts[0], receipts[1]);
    let second = with(&|tx| tx.body = TransactionBody::Resign);
    assert_eq!(submit(&mut cheat.peer, sign(&second, 60)).await, chain(TransactionError::AlreadySubmitted));

    fair.play_until(|kind| *kind == BlockKind::Turn).await;
    tokio::join!(fair.play_until(BlockKind::seals), cheat.play_to_the_end());
    attacked.audit("own").await;
    attacked.goes_on().await;
    attacked.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_pings_harms_nobody() {
    let mut attacked = Attacked::start(PATIENT).await;
    let mut of_messages = Peer::login(&attacked.server, &identity(50)).await;
    of_messages.enter(ROOM, EnterAs::Spectator).await;
    let mut of_frames = Peer::login(&attacked.server, &identity(51)).await;
    of_frames.enter(ROOM, EnterAs::Spectator).await;
    let mut before_login = Wire::dial(&attacked.server).await;
    let flood = async {
        for number in 0..10_000 {
            of_messages.say(&ClientMessage::Ping(number)).await;
            of_frames.wire.send(Message::Ping(vec![0; 125].into())).await;
            before_login.send(Message::Ping(vec![0; 125].into())).await;
        }
    };
    let play = async {
        for _ in 0..10 {
            attacked.table.turn().await;
        }
    };
    tokio::join!(flood, play);
    attacked.goes_on().await;
    attacked.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_does_not_read_goes_on_later_or_is_dropped_and_harms_nobody() {
    // Until the system's buffers are full, a peer that reads and one that does not look the same.
    const TURNS: u32 = 10_000;
    let patient = format!("{PATIENT}queue_messages_max = 16\nwrite_ms_max = 600000\n");
    let scene = Scene::new();
    let server = scene.serve_configured(&patient).await;
    let table = Table::open(&server, ROOM, support::spec("boxes", 100, 2, TURNS)).await;
    let mut attacked = Attacked { scene, server, table };
    let match_id = attacked.table.chain().match_id();
    let mut live = Peer::login_on(narrow(&attacked.server).await, &attacked.server, &identity(50)).await;
    live.enter(ROOM, EnterAs::Spectator).await;
    let reads = attacked.server.client(70, ROOM, EnterAs::Spectator, None);
    let reading = tokio::spawn(read_all(reads));
    let spectators =
        async |server: &Server| server.get_json("/rooms").await["rooms"][0]["spectators"].clone();
    while spectators(&attacked.server).await != 2 {
        tokio::task::yield_now().await;
    }
    while attacked.server.metric("cadastre_limited_total{limit=\"queue_messages_max\"}").await == 0 {
        assert!(attacked.table.chain().head().turn.get() + 200 < TURNS, "nobody was too slow");
        for _ in 0..200 {
            attacked.table.turn().await;
        }
    }
    // When it reads at last, no block is missing, and none comes twice.
    let last = attacked.table.chain().head().height;
    let mut heights = Vec::new();
    while heights.last() != Some(&last) {
        if let ServerMessage::Block(block) = live.hear().await.unwrap() {
            heights.push(ProvenHeader::of(&block).unwrap().read().unwrap().height);
        }
    }
    assert_eq!(heights, (1..=last.get()).map(Height::new).collect::<Vec<_>>());
    assert!(attacked.server.metric("cadastre_followers_skipped_total").await > 0);
    assert_eq!(spectators(&attacked.server).await, 2);
    attacked.table.resign().await;
    let seen = soon("the spectator that reads sees all", reading).await.unwrap();
    let heights: Vec<_> = (1..=attacked.table.chain().head().height.get()).map(Height::new).collect();
    assert_eq!(seen, heights);
    let scene = attacked.end().await;

    // The match all at once, and pages, to peers that never read; under a server of less patience.
    let hasty = format!("{PATIENT}write_ms_max = 200\n");
    let server = scene.serve_configured(&hasty).await;
    let table = Table::open(&server, "another", boxes(2, 10)).await;
    let mut attacked = Attacked { scene, server, table };
    let mut late = Peer::login_on(narrow(&attacked.server).await, &attacked.server, &identity(51)).await;
    late.say(&ClientMessage::Resume {
        match_id,
        enter_as: EnterAs::Spectator,
        height: Height::GENESIS,
        block: match_id.as_block(),
        pass: None,
    })
    .await;
    let mut pages = narrow_tcp(&attacked.server).await;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\n\r\n", attacked.server.listen);
    let requests = request.repeat(3_000);
    // Whether all of it is taken does not matter.
    let asking = tokio::spawn(async move { (pages.write_all(requests.as_bytes()).await.is_ok(), pages) });
    attacked.goes_on().await;
    attacked.server.await_metric("cadastre_connections_closed_total{reason=\"stuck\"}", 2).await;
    assert_eq!(late.end().await, End::Cut);
    asking.abort();
    attacked.goes_on().await;
    attacked.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_too_many_is_closed_at_once() {
    let limits = format!("{PATIENT}connections_max = 5\n");
    let mut attacked = Attacked::start(&limits).await;
    let mut places = Vec::new();
    // Two are the players'.
    for _ in 0..3 {
        places.push(Wire::dial(&attacked.server).await);
    }
    for _ in 0..20 {
        let mut tcp = TcpStream::connect(attacked.server.listen).await.unwrap();
        let refusal = String::from_utf8(read_to_end(&mut tcp).await).unwrap();
        assert!(refusal.starts_with("HTTP/1.1 429 "), "{refusal:?}");
        assert!(refusal.ends_with("limit `connections_max` is reached; come again in 2 s"), "{refusal:?}");
    }
    attacked.goes_on().await;
    drop(places);
    // A place that was given up is free once the server has noticed.
    let request =
        format!("GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", attacked.server.listen);
    let free = async {
        loop {
            let mut tcp = TcpStream::connect(attacked.server.listen).await.unwrap();
            let _ = tcp.write_all(request.as_bytes()).await;
            let answer = String::from_utf8(read_to_end(&mut tcp).await).unwrap();
            if answer.starts_with("HTTP/1.1 200") {
                break answer;
            }
        }
    };
    let metrics = soon("a free place", free).await;
    let count = |line: &str| {
        line.strip_prefix("cadastre_connections_closed_total{reason=\"connections-max\"} ")?.parse().ok()
    };
    let refused: u64 = metrics.lines().find_map(count).unwrap();
    assert!(refused >= 20, "{refused}");
    attacked.goes_on().await;
    attacked.end().await;
}

/// A match of two players, and the server that it is played on.
struct Attacked {
    scene: Scene,
    server: Server,
    table: Table,
}

impl Attacked {
    async fn start(config: &str) -> Self {
        let scene = Scene::new();
        let server = scene.serve_configured(config).await;
        let table = Table::open(&server, ROOM, boxes(2, 40)).await;
        Self { scene, server, table }
    }

    /// The next turn can be played.
    async fn goes_on(&mut self) {
        self.table.turn().await;
        self.server.check_log();
    }

    /// The match ends undisturbed: everything that its players saw is in a valid file, and nobody was late.
    async fn end(mut self) -> Scene {
        if self.table.chain().sealed().is_none() {
            self.table.finish().await;
        }
        let room = self.table.room().to_owned();
        let file = self.audit(&room).await;
        let replay = Replay::open(&file).unwrap();
        let hash = |block: ProvenBlock| {
            let block = block.read().unwrap();
            assert_eq!(block.block().absent(), []);
            (block.block().header().height, block.block().hash())
        };
        let blocks: Vec<_> = replay.blocks().map(|block| hash(block.unwrap())).collect();
        for player in self.table.players() {
            assert_eq!(player.seen(), blocks);
        }
        self.server.stop().await;
        self.scene
    }

    /// The match of a room is whole and valid. Gives its file.
    async fn audit(&self, room: &str) -> Vec<u8> {
        self.scene
            .run(&format!("export {} --room {room} --out match.cadr", self.server.arguments()))
            .await
            .ok();
        let file = self.scene.read("match.cadr");
        let report = cadastre_replay::audit(&file, Some(self.server.root)).unwrap();
        assert!(report.is_valid() && report.complete && report.pinned, "{report:?}");
        file
    }
}

/// Does something instead of a handshake; it ends like every other that fails.
async fn refused(server: &Server, what: &str, act: impl AsyncFnOnce(&mut Wire)) {
    let mut wire = Wire::dial(server).await;
    act(&mut wire).await;
    assert_eq!(wire.end().await, End::refusal(), "{what}");
}

/// Does something as a spectator of the attacked room; the session ends, and says no more than that.
async fn broken(server: &Server, what: &str, act: impl AsyncFnOnce(&mut Peer)) {
    let mut peer = Peer::login(server, &identity(50)).await;
    peer.enter(ROOM, EnterAs::Spectator).await;
    peer.hear_until(|message| matches!(message, ServerMessage::Conversation { .. })).await;
    act(&mut peer).await;
    assert_eq!(peer.end().await, End::refusal(), "{what}");
}

/// Submits a transaction that is refused.
async fn submit(peer: &mut Peer, signed: SignedTransaction) -> Refusal {
    let hash = signed.hash();
    peer.say(&ClientMessage::Submit(signed)).await;
    match peer.hear_until(|message| !matches!(message, ServerMessage::Block(_))).await {
        ServerMessage::Refused { transaction, refusal } if transaction == hash => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

/// What a seat could sign now, to do nothing.
fn draft(table: &Table, seat: Seat) -> Transaction {
    draft_on(table.chain(), seat)
}

fn sign(transaction: &Transaction, who: u8) -> SignedTransaction {
    SignedTransaction::sign(&identity(who).session(transaction.match_id, Epoch::FIRST), transaction)
}

/// Follows a match to its end; gives the heights that it saw.
async fn read_all(mut client: Client) -> Vec<Height> {
    let mut seen = Vec::new();
    loop {
        match client.next().await.unwrap() {
            Event::Block { head, .. } => seen.push(head.height),
            Event::Ended { .. } => return seen,
            _ => {}
        }
    }
}

/// A frame from a client, under the mask 0.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u16::try_from(payload.len()) {
        Ok(short @ 0..126) => frame.push(0x80 | u8::try_from(short).unwrap()),
        Ok(long) => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&long.to_be_bytes());
        }
        Err(_) => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&u64::try_from(payload.len()).unwrap().to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// Sends a request; gives the status that is answered, 0 for no answer.
async fn status_of(server: &Server, request: &str) -> u16 {
    let mut tcp = TcpStream::connect(server.listen).await.unwrap();
    // A server that has heard enough may hang up before the end.
    let _ = tcp.write_all(request.as_bytes()).await;
    let mut head = [0; 12];
    match soon("an answer", tcp.read_exact(&mut head)).await {
        Ok(_) => str::from_utf8(&head[9..]).unwrap().parse().unwrap(),
        Err(_) => 0,
    }
}

async fn read_to_end(tcp: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset is an end too.
    let _ = soon("the connection ends", tcp.read_to_end(&mut bytes)).await;
    bytes
}

/// A WebSocket whose peer's system takes little that is not read.
async fn narrow(server: &Server) -> Wire {
    Wire::upgrade(server, narrow_tcp(server).await).await
}

async fn narrow_tcp(server: &Server) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    soon("a connection", socket.connect(server.listen)).await.unwrap()
}
