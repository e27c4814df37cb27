//! Every limit refuses what is beyond it, says so, counts it, and lets all else go on.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "only in tests")]

mod support;

use std::net::IpAddr;

use cadastre_client::{Client, Event};
use cadastre_protocol::{
    ClientMessage, CompareRequest, Context, Conversation, Digest, DisplayName, EnterAs, Failure,
    GoodbyeReason, Limit, Reaction, RoomName, RoomSpec, ServerMessage, SignedTalk, SignedTransaction,
    SpectatorPolicy, Talk, TalkRefusal, Words,
};
use support::{
    Scene, Server, boxes, fields, identity,
    peer::{Peer, Wire},
    soon,
    table::Table,
};
use tokio::{io::AsyncReadExt, net::TcpStream, task::JoinSet};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_room_too_many_is_refused() {
    let scene = Scene::new();
    let server = scene.serve_configured("[limits]\nrooms_max = 2\n").await;
    let mut table = Table::open(&server, "first", boxes(2, 4)).await;
    let create = async |name: &str| scene.run(&format!("room create {name} {}", server.arguments())).await;
    create("second").await.ok();
    for _ in 0..3 {
        let refused = create("third").await;
        assert!(refused.refused(3).contains("`rooms_max`"), "{refused:?}");
    }
    assert_eq!(server.metric("cadastre_requests_failed_total{reason=\"too-many-rooms\"}").await, 3);
    assert_eq!(server.metric("cadastre_rooms").await, 2);
    table.finish().await;
    // The room of a match that is over can be opened anew; it does not count twice.
    create("first").await.ok();
    assert!(create("third").await.refused(3).contains("`rooms_max`"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_spectator_too_many_is_refused() {
    let scene = Scene::new();
    let server = scene.serve_configured("[limits]\nspectators_max = 2\n").await;
    let mut table = Table::open(&server, "seen", boxes(2, 4)).await;
    let mut watching = Vec::new();
    for who in 50..52 {
        let mut peer = Peer::login(&server, &identity(who)).await;
        peer.enter("seen", EnterAs::Spectator).await;
        peer.hear_until(|message| matches!(message, ServerMessage::Conversation { .. })).await;
        watching.push(peer);
    }
    let mut third = Peer::login(&server, &identity(52)).await;
    for _ in 0..3 {
        third.enter("seen", EnterAs::Spectator).await;
        assert_eq!(third.hear().await, Ok(ServerMessage::Failed(Failure::NoSpectators)));
    }
    assert_eq!(server.metric("cadastre_requests_failed_total{reason=\"no-spectators\"}").await, 3);
    let refused = scene.run(&format!("watch --room seen {}", server.arguments())).await;
    assert!(refused.refused(3).contains("spectators"));
    // A place that is free again can be taken.
    watching[0].say(&ClientMessage::Leave).await;
    watching[0].say(&ClientMessage::Ping(1)).await;
    watching[0].hear_until(|message| *message == ServerMessage::Pong(1)).await;
    third.enter("seen", EnterAs::Spectator).await;
    third.hear_until(|message| matches!(message, ServerMessage::Conversation { .. })).await;
    table.finish().await;

    let secret = RoomSpec { spectators: SpectatorPolicy::Forbidden, ..boxes(2, 4) };
    let mut table = Table::open(&server, "secret", secret).await;
    watching[0].enter("secret", EnterAs::Spectator).await;
    let answer = |message: &ServerMessage| matches!(message, ServerMessage::Failed(_));
    let refused = watching[0].hear_until(answer).await;
    assert_eq!(refused, ServerMessage::Failed(Failure::NoSpectators));
    // A file would show the same. When the match is over, everybody may see it.
    let paths = [format!("/matches/{}/replay", table.chain().match_id()), "/rooms/secret/replay".into()];
    for path in paths {
        assert_eq!(server.get(&path).await.0, 403);
    }
    table.finish().await;
    scene.run(&format!("export --room secret --out secret.cadr {}", server.arguments())).await.ok();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_talks_too_fast_is_told_so_and_sent_away() {
    let scene = Scene::new();
    let server = scene.serve_configured("[limits]\nmessages_per_s_max = 3\n").await;
    let mut peer = Peer::login(&server, &identity(50)).await;
    let told = async {
        loop {
            peer.say(&ClientMessage::Ping(1)).await;
            match peer.hear().await.unwrap() {
                ServerMessage::Pong(1) => {}
                told => return told,
            }
        }
    };
    let told = soon("it is told", told).await;
    assert!(matches!(told, ServerMessage::Goodbye { reason: GoodbyeReason::TooFast, .. }), "{told:?}");
    peer.end().await;
    server.await_metric("cadastre_connections_closed_total{reason=\"too-fast\"}", 1).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_without_a_message_count_too() {
    let scene = Scene::new();
    let server = scene.serve_configured("[limits]\nmessages_per_s_max = 1\n").await;
    let mut peer = Peer::login(&server, &identity(50)).await;
    for _ in 0..8 {
        peer.update_key().await;
    }
    let told = soon("it is told", peer.hear()).await;
    assert!(matches!(told, Ok(ServerMessage::Goodbye { reason: GoodbyeReason::TooFast, .. })), "{told:?}");
    peer.end().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_silent_for_too_long_is_told_so_and_sent_away() {
    let scene = Scene::new();
    let server = scene.serve_configured("[limits]\nheartbeat_ms = 500\n").await;
    // Says something in time, again and again.
    let mut lively = server.client(50, "lobby", EnterAs::Player, Some(boxes(2, 4)));
    let mut silent = Peer::login(&server, &identity(51)).await;
    let in_lobby = async {
        loop {
            let event = lively.next().await.unwrap();
            if !matches!(event, Event::Connected { .. } | Event::Lobby(_) | Event::Conversing) {
                return event;
            }
        }
    };
    tokio::select! {
        event = in_lobby => panic!("the lively one was disturbed: {event:?}"),
        told = silent.hear_until(|message| !matches!(message, ServerMessage::Ping(_))) => {
            assert!(matches!(told, ServerMessage::Goodbye { reason: GoodbyeReason::Silent, .. }), "{told:?}");
        }
    }
    server.await_metric("cadastre_connections_closed_total{reason=\"silent\"}", 1).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_waits_at_its_limit_is_done_in_the_end() {
    let scene = Scene::new();
    let limits = "[limits]\ncommits_max = 1\nexports_max = 1\nhandshakes_max = 1\n";
    let server = scene.serve_configured(limits).await;
    let mut tables = JoinSet::new();
    for number in 0..4 {
        let mut table = Table::open(&server, &format!("room-{number}"), boxes(2, 10)).await;
        tables.spawn(async move { table.finish().await });
    }
    soon("all matches end", tables.join_all()).await;
    let exports = (0..8).map(|number| {
        let export = format!("export {} --room room-{} --out {number}.cadr", server.arguments(), number % 4);
        let running = scene.command(&export).spawn().unwrap();
        running.wait_with_output()
    });
    for export in exports.collect::<Vec<_>>() {
        let exported = soon("an export", export).await.unwrap();
        assert!(exported.status.success(), "{exported:?}");
    }
    for number in 0..8 {
        let report =
            cadastre_replay::audit(&scene.read(&format!("{number}.cadr")), Some(server.root)).unwrap();
        assert!(report.is_valid() && report.complete);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_too_many_of_an_address_is_told_so_and_closed() {
    let scene = Scene::new();
    let server = scene.serve_configured("[limits]\nconnections_per_address_max = 2\n").await;
    let places = [Wire::dial(&server).await, Wire::dial(&server).await];
    for _ in 0..3 {
        let mut tcp = soon("a connection", TcpStream::connect(server.listen)).await.unwrap();
        let mut refusal = String::new();
        soon("a refusal", tcp.read_to_string(&mut refusal)).await.unwrap();
        assert_refusal(&refusal, "connections_per_address_max");
    }
    let refused = scene.run(&format!("room create a {}", server.arguments())).await;
    assert!(refused.refused(3).contains("limit `connections_per_address_max` is reached; come again in 2 s"));
    drop(places);
    let counted = "cadastre_limited_total{limit=\"connections_per_address_max\"} ";
    let free = async {
        loop {
            // One that is refused may be reset before its refusal is read.
            if let Ok(answer) = server.try_raw(&get(&server, "/metrics", "")).await
                && answer.starts_with("HTTP/1.1 200 ")
            {
                break answer;
            }
        }
    };
    let metrics = soon("a free place", free).await;
    let count = metrics.lines().find_map(|line| line.strip_prefix(counted)?.parse::<u64>().ok());
    assert!(count.is_some_and(|count| count >= 4), "{metrics}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_too_many_of_an_identity_is_told_so_and_comes_back_by_itself() {
    let scene = Scene::new();
    let server = scene.serve_configured("[limits]\nconnections_per_identity_max = 1\n").await;
    let first = Peer::login(&server, &identity(50)).await;
    let _another = Peer::login(&server, &identity(51)).await;
    let mut second = Peer::login(&server, &identity(50)).await;
    let limited = ServerMessage::Limited { limit: Limit::ConnectionsPerIdentity, retry_after_ms: 2_000 };
    assert_eq!(second.hear().await, Ok(limited));
    let goodbye = ServerMessage::Goodbye { reason: GoodbyeReason::TooFast, retry_after_ms: 2_000 };
    assert_eq!(second.hear().await, Ok(goodbye));
    second.end().await;
    let counted = "cadastre_limited_total{limit=\"connections_per_identity_max\"}";
    assert_eq!(server.metric(counted).await, 1);
    server.await_metric("cadastre_connections_closed_total{reason=\"limited\"}", 1).await;

    let mut client = server.client(50, "room", EnterAs::Player, Some(boxes(2, 4)));
    let told = until(&mut client, |event| matches!(event, Event::Limited { .. } | Event::Lobby(_))).await;
    assert_eq!(told, Event::Limited { limit: Limit::ConnectionsPerIdentity, retry_after_ms: 2_000 });
    let lost = until(&mut client, |event| matches!(event, Event::Lost { .. })).await;
    let sentence = "the server's limit `connections_per_identity_max` is reached; come again in 2 s";
    assert_eq!(lost, Event::Lost { reason: sentence.into() });
    first.end_by_itself().await;
    until(&mut client, |event| matches!(event, Event::Lobby(_))).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_handshake_too_many_of_an_address_is_refused_and_comes_back_by_itself() {
    let scene = Scene::new();
    let server = scene.serve_configured("[limits]\nhandshakes_per_address_max = 1\n").await;
    let unfinished = Wire::dial(&server).await;
    assert_refusal(&server.raw(&upgrade(&server)).await, "handshakes_per_address_max");
    let refused = scene.run(&format!("room create a {}", server.arguments())).await;
    assert!(refused.refused(3).contains("limit `handshakes_per_address_max` is reached; come again in 2 s"));
    let mut client = server.client(50, "room", EnterAs::Player, Some(boxes(2, 4)));
    let lost = until(&mut client, |_| true).await;
    let sentence = "the server's limit `handshakes_per_address_max` is reached; come again in 2 s";
    assert_eq!(lost, Event::Lost { reason: sentence.into() });
    let counted = "cadastre_limited_total{limit=\"handshakes_per_address_max\"}";
    assert_eq!(server.metric(counted).await, 3);
    // A handshake that is completed counts no longer.
    let _peer = Peer::login_on(unfinished, &server, &identity(51)).await;
    until(&mut client, |event| matches!(event, Event::Lobby(_))).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_begins_too_many_handshakes_is_refused() {
    let scene = Scene::new();
    let limits = "[limits]\nhandshakes_per_address_rate = { burst = 2, per_min = 1 }\n";
    let server = scene.serve_configured(limits).await;
    let _logged_in = Peer::login(&server, &identity(50)).await;
    let refused = async {
        loop {
            let ran = scene.run(&format!("room create a {}", server.arguments())).await;
            if ran.stderr.contains("`handshakes_per_address_rate`") {
                return ran;
            }
        }
    };
    soon("it is refused", refused).await.refused(3);
    assert_refusal(&server.raw(&upgrade(&server)).await, "handshakes_per_address_rate");
    assert!(server.metric("cadastre_limited_total{limit=\"handshakes_per_address_rate\"}").await >= 2);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_room_too_many_of_an_identity_or_an_address_is_refused() {
    let scene = Scene::new();
    let limits = "[limits]\nrooms_per_identity_max = 1\nrooms_per_address_max = 2\n\
                  requests_per_address_rate = { burst = 1000000, per_min = 1000000 }\n";
    let server = scene.serve_configured(limits).await;
    let mut peer = Peer::login(&server, &identity(50)).await;
    let limited = |limit| ServerMessage::Limited { limit, retry_after_ms: 30_000 };
    assert!(matches!(peer.create("first").await, ServerMessage::Created { .. }));
    for _ in 0..3 {
        assert_eq!(peer.create("second").await, limited(Limit::RoomsPerIdentity));
    }
    assert_eq!(peer.create("first").await, ServerMessage::Failed(Failure::RoomExists));
    // Whichever of its players comes first opens it.
    let mut table = Table::open(&server, "second", boxes(2, 4)).await;
    let mut another = Peer::login(&server, &identity(52)).await;
    assert_eq!(another.create("third").await, limited(Limit::RoomsPerAddress));
    let refused = scene.run(&format!("room create third {}", server.arguments())).await;
    assert!(refused.refused(3).contains("limit `rooms_per_address_max` is reached; come again in 30 s"));
    assert_eq!(server.metric("cadastre_limited_total{limit=\"rooms_per_identity_max\"}").await, 3);
    assert_eq!(server.metric("cadastre_limited_total{limit=\"rooms_per_address_max\"}").await, 2);
    // The room of a match that is over counts no longer.
    table.finish().await;
    let is = async |phase| while server.get_json("/rooms").await["rooms"][1]["phase"] != phase {};
    soon("the match is over", is("ended")).await;
    assert!(matches!(another.create("third").await, ServerMessage::Created { .. }));
    // Its rematch does, for whoever opened it: one more than the limit.
    table.rematch().await;
    soon("the next match is counted", is("playing")).await;
    let mut answers = Vec::new();
    for player in [0, 1] {
        answers.push(Peer::login(&server, &identity(player)).await.create("fourth").await);
    }
    assert!(answers.contains(&limited(Limit::RoomsPerIdentity)), "{answers:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_that_says_too_much_of_a_kind_is_told_which() {
    let scene = Scene::new();
    let kinds = ["creates", "enters", "submits", "compares", "others"];
    let rates = kinds.map(|kind| format!("{kind}_per_identity_rate = {{ burst = 3, per_min = 1 }}\n"));
    let server = scene.serve_configured(&format!("[limits]\n{}", rates.concat())).await;
    let (room, name) = (RoomName::new("nowhere").unwrap(), DisplayName::new("peer").unwrap());
    // Refused for another reason, as long as it is not too often.
    let create = ClientMessage::Create { room: room.clone(), spec: RoomSpec { seats: 0, ..boxes(2, 4) } };
    let enter = ClientMessage::Enter { room, enter_as: EnterAs::Player, name, pass: None };
    let signature = identity(50).sign(Context::Transaction, Digest::ZERO);
    let submit = ClientMessage::Submit(SignedTransaction { body: Vec::new(), signature });
    let compare = ClientMessage::Compare(CompareRequest::Nodes { level: 16, indices: vec![0] });
    let cases = [
        (create, Limit::CreatesPerIdentity, true),
        (enter, Limit::EntersPerIdentity, true),
        (submit, Limit::SubmitsPerIdentity, false),
        (compare, Limit::ComparesPerIdentity, false),
        (ClientMessage::Ping(1), Limit::OthersPerIdentity, false),
    ];
    for (number, (message, expected, goes_on)) in (50..).zip(cases) {
        let mut peer = Peer::login(&server, &identity(number)).await;
        let (limit, retry_after_ms, done) = peer.say_until_limited(&message).await;
        assert_eq!(limit, expected);
        assert!((1..=60_001).contains(&retry_after_ms), "{expected}: {retry_after_ms}");
        assert!(done >= 3, "{expected}: {done}");
        assert_eq!(server.metric(&format!("cadastre_limited_total{{limit=\"{expected}\"}}")).await, 1);
        if goes_on {
            peer.say(&ClientMessage::Ping(2)).await;
            assert_eq!(peer.hear().await, Ok(ServerMessage::Pong(2)));
        } else {
            let goodbye = ServerMessage::Goodbye { reason: GoodbyeReason::TooFast, retry_after_ms };
            assert_eq!(peer.hear().await, Ok(goodbye));
            peer.end().await;
        }
        // It is the identity that has said too much, not the connection.
        let mut again = Peer::login(&server, &identity(number)).await;
        assert_eq!(again.say_until_limited(&message).await.0, expected);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_says_too_much_is_told_so_and_stays() {
    let scene = Scene::new();
    let limits = "[limits]\ntalks_per_identity_rate = { burst = 3, per_min = 1 }\n\
                  talks_per_address_rate = { burst = 6, per_min = 1 }\n";
    let server = scene.serve_configured(limits).await;
    let mut told = Vec::new();
    for number in 50..53 {
        let author = identity(number);
        let mut peer = Peer::login(&server, &author).await;
        peer.create("lobby").await;
        peer.enter("lobby", EnterAs::Spectator).await;
        let is_place = |message: &ServerMessage| matches!(message, ServerMessage::Conversation { .. });
        let ServerMessage::Conversation { place, lines } = peer.hear_until(is_place).await else {
            unreachable!()
        };
        let mut conversation = Conversation::resume(place, lines).unwrap();
        loop {
            let talk = Talk {
                version: Talk::VERSION,
                place: conversation.place().clone(),
                author: author.public(),
                number: conversation.number_of(author.public()) + 1,
                seen: conversation.last(),
                words: Words::Reaction(Reaction::Applause),
            };
            let signed = SignedTalk::sign(&author, &talk);
            peer.say(&ClientMessage::Say(signed.clone())).await;
            match peer.hear().await.unwrap() {
                ServerMessage::Said(line) => conversation.append(line).map(|_| ()).unwrap(),
                ServerMessage::NotSaid { talk, refusal: TalkRefusal::Limited { limit, retry_after_ms } } => {
                    assert_eq!(talk, signed.hash());
                    assert!((1..=60_001).contains(&retry_after_ms));
                    told.push((limit, conversation.number_of(author.public())));
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        peer.say(&ClientMessage::Ping(1)).await;
        peer.hear_until(|message| *message == ServerMessage::Pong(1)).await;
    }
    // What is refused for the identity counts for the address too.
    let [first, second, third] = [Limit::TalksPerIdentity, Limit::TalksPerAddress, Limit::TalksPerAddress];
    assert_eq!(told, [(first, 3), (second, 2), (third, 0)]);
    assert_eq!(server.metric("cadastre_limited_total{limit=\"talks_per_identity_rate\"}").await, 1);
    assert_eq!(server.metric("cadastre_limited_total{limit=\"talks_per_address_rate\"}").await, 2);
    assert_eq!(server.metric("cadastre_said_total").await, 5);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identities_of_one_address_share_what_may_come_from_it() {
    let scene = Scene::new();
    let limits = "creates_per_address_rate = { burst = 4, per_min = 1 }\n\
                  messages_per_address_rate = { burst = 40, per_min = 1 }\n";
    let server = scene.serve_configured(&format!("[limits]\n{limits}")).await;
    let room = RoomName::new("nowhere").unwrap();
    let create = ClientMessage::Create { room, spec: RoomSpec { seats: 0, ..boxes(2, 4) } };
    let mut first = Peer::login(&server, &identity(50)).await;
    assert_eq!(first.say_until_limited(&create).await.0, Limit::CreatesPerAddress);
    let mut second = Peer::login(&server, &identity(51)).await;
    assert_eq!(second.say_until_limited(&create).await.0, Limit::CreatesPerAddress);
    assert_eq!(second.say_until_limited(&ClientMessage::Ping(1)).await.0, Limit::MessagesPerAddress);
    assert_eq!(first.say_until_limited(&ClientMessage::Ping(1)).await.0, Limit::MessagesPerAddress);
    for limit in [Limit::CreatesPerAddress, Limit::MessagesPerAddress] {
        assert_eq!(server.metric(&format!("cadastre_limited_total{{limit=\"{limit}\"}}")).await, 2);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_asks_for_too_many_pages_is_refused() {
    let scene = Scene::new();
    let limits = "requests_per_address_rate = { burst = 20, per_min = 1 }\n\
                  exports_per_address_rate = { burst = 3, per_min = 1 }\n";
    let server = scene.serve_configured(&format!("[limits]\n{limits}")).await;
    for path in ["/matches", "/rooms/none/replay", "/matches/00/evidence/0"] {
        let answer = until_refused(&server, path, "").await;
        assert_refusal(&answer, "exports_per_address_rate");
    }
    let export = format!("export --room none --out none.cadr {}", server.arguments());
    let refused = scene.run(&export).await;
    assert!(refused.refused(3).contains("limit `exports_per_address_rate` is reached; come again in "));
    assert_eq!(server.get("/rooms").await.0, 200);
    assert_refusal(&until_refused(&server, "/rooms", "").await, "requests_per_address_rate");
    // What an operator looks at is there all the time.
    assert_eq!(server.get("/health").await.0, 200);
    assert_eq!(server.metric("cadastre_limited_total{limit=\"exports_per_address_rate\"}").await, 4);
    assert_eq!(server.metric("cadastre_limited_total{limit=\"requests_per_address_rate\"}").await, 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_trusted_proxy_everybody_has_an_address() {
    let scene = Scene::new();
    let proxies = "trusted_proxies = [\"127.0.0.1\"]\n";
    let limits = "[limits]\nrequests_per_address_rate = { burst = 2, per_min = 1 }\n";
    let server = scene.serve_configured(&format!("{proxies}{limits}")).await;
    let of = |ip: &str| format!("X-Forwarded-For: {}\r\n", ip.parse::<IpAddr>().unwrap());
    let of_the_same_network = of("2001:db8:0:1::2");
    until_refused(&server, "/rooms", &of("192.0.2.1")).await;
    until_refused(&server, "/rooms", &of("2001:db8:0:1::1")).await;
    let refused = server.raw(&get(&server, "/rooms", &of_the_same_network)).await;
    assert_refusal(&refused, "requests_per_address_rate");
    let other = server.raw(&get(&server, "/rooms", &of("192.0.2.2"))).await;
    assert!(other.starts_with("HTTP/1.1 200 "), "{other}");
    server.stop().await;

    // The proxy opens as many connections as it likes; those behind it do not.
    let one = "[limits]\nconnections_per_address_max = 1\n";
    let server = scene.serve_configured(&format!("{proxies}{one}")).await;
    let _wire = Wire::dial(&server).await;
    assert_refusal(&server.raw(&upgrade(&server)).await, "connections_per_address_max");
    server.stop().await;

    let server = scene.serve_configured(limits).await;
    until_refused(&server, "/rooms", &of("192.0.2.1")).await;
    let refused = server.raw(&get(&server, "/rooms", &of("192.0.2.2"))).await;
    assert_refusal(&refused, "requests_per_address_rate");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_say_what_there_is() {
    let scene = Scene::new();
    let server = scene.serve().await;
    assert_eq!(server.get_json("/health").await, serde_json::json!({ "status": "ok", "rooms": 0 }));
    assert_eq!(server.get_json("/rooms").await, serde_json::json!({ "rooms": [], "next": null }));
    assert_eq!(server.get_json("/matches").await, serde_json::json!({ "matches": [], "next": null }));

    let mut waiting = Peer::login(&server, &identity(60)).await;
    let (room, spec) = (RoomName::new("a-lobby").unwrap(), boxes(3, 5));
    waiting.say(&ClientMessage::Create { room: room.clone(), spec }).await;
    let name = DisplayName::new("waits").unwrap();
    waiting.say(&ClientMessage::Enter { room, enter_as: EnterAs::Player, name, pass: None }).await;
    waiting.hear_until(|message| matches!(message, ServerMessage::Lobby(_))).await;
    let mut over = Table::open(&server, "c-over", boxes(2, 3)).await;
    over.finish().await;
    let mut playing = Table::open(&server, "b-playing", boxes(2, 8)).await;
    playing.turn().await;
    playing.turn().await;

    let rooms = server.get_json("/rooms").await;
    let rooms = rooms["rooms"].as_array().unwrap();
    let shape =
        ["access", "height", "match_id", "phase", "room", "rules", "seats", "spectators", "taken", "turn"];
    assert!(rooms.iter().all(|room| fields(room) == shape), "{rooms:?}");
    let of = |field: &str| rooms.iter().map(|room| room[field].clone()).collect::<Vec<_>>();
    assert_eq!(of("room"), ["a-lobby", "b-playing", "c-over"]);
    assert_eq!(of("phase"), ["lobby", "playing", "ended"]);
    assert_eq!(of("seats"), [3, 2, 2]);
    assert_eq!(of("turn"), [0, 2, 3]);
    assert_eq!(of("height"), [0, 3, 5]);
    assert_eq!(rooms[0]["match_id"], serde_json::Value::Null);
    assert_eq!((&rooms[0]["taken"], &rooms[1]["taken"]), (&1.into(), &2.into()));
    assert_eq!(rooms[1]["match_id"], playing.chain().match_id().to_string());

    let matches = server.get_json("/matches").await;
    let matches = matches["matches"].as_array().unwrap();
    let shape = ["created_ms", "evidence", "height", "match_id", "names", "room", "rules", "sealed"];
    assert!(matches.iter().all(|entry| fields(entry) == shape), "{matches:?}");
    assert_eq!(matches[0]["room"], "b-playing", "the newest comes first");
    assert_eq!(matches.iter().map(|entry| entry["sealed"].clone()).collect::<Vec<_>>(), [false, true]);
    assert_eq!(matches[1]["match_id"], over.chain().match_id().to_string());
    assert_eq!((&matches[1]["rules"], &matches[1]["height"]), (&"boxes/1".into(), &5.into()));
    assert_eq!(matches[1]["names"].as_array().unwrap().len(), 2);

    let counts = [
        ("cadastre_rooms", 3),
        ("cadastre_handshakes_total", 5),
        ("cadastre_matches_begun_total", 2),
        ("cadastre_matches_ended_total{reason=\"turn-limit\"}", 1),
        ("cadastre_turns_total", 5),
        ("cadastre_late_seats_total", 0),
        ("cadastre_desynced_seats_total", 0),
    ];
    for (name, count) in counts {
        assert_eq!(server.metric(name).await, count, "{name}");
    }
    let (_, metrics) = server.get("/metrics").await;
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
    for path in ["/", "/nothing", "/rooms/nowhere/replay", "/matches/00/replay", "/rooms/a-lobby/replay"] {
        assert_eq!(server.get(path).await.0, 404, "{path}");
    }
    playing.finish().await;
    server.stop().await;
}

/// A response that names the limit and says when to come again.
fn assert_refusal(answer: &str, limit: &str) {
    assert!(answer.starts_with("HTTP/1.1 429 Too Many Requests\r\n"), "{answer:?}");
    assert!(answer.contains(&format!("\r\ncadastre-limit: {limit}\r\n")), "{answer:?}");
    let after = answer.split("\r\nretry-after: ").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap();
    assert!((1..=61).contains(&after.parse::<u32>().unwrap()), "{answer:?}");
    let reason = format!("\r\n\r\nlimit `{limit}` is reached; come again in {after} s");
    assert!(answer.ends_with(&reason), "{answer:?}");
}

fn get(server: &Server, path: &str, header: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{header}\r\n", server.listen)
}

/// A request for the game that ends its connection if it is refused.
fn upgrade(server: &Server) -> String {
    format!(
        "GET /ws HTTP/1.1\r\nHost: {}\r\nConnection: close, Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
         Sec-WebSocket-Protocol: cadastre.v1\r\n\r\n",
        server.listen
    )
}

/// Asks for a page until that is too much.
async fn until_refused(server: &Server, path: &str, header: &str) -> String {
    let refused = async {
        loop {
            let answer = server.raw(&get(server, path, header)).await;
            if answer.starts_with("HTTP/1.1 429 ") {
                return answer;
            }
        }
    };
    soon(path, refused).await
}

/// Goes on until there is such an event.
async fn until(client: &mut Client, is_it: impl Fn(&Event) -> bool) -> Event {
    let event = async {
        loop {
            let event = client.next().await.unwrap();
            if is_it(&event) {
                return event;
            }
        }
    };
    soon("an event", event).await
}
