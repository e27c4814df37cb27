//! Every limit refuses what is beyond it, says so, counts it, and lets all else go on.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "only in tests")]

mod support;

use cadastre_client::Event;
use cadastre_protocol::{
    ClientMessage, DisplayName, EnterAs, Failure, GoodbyeReason, RoomName, RoomSpec, ServerMessage,
};
use support::{Scene, boxes, fields, identity, peer::Peer, soon, table::Table};
use tokio::task::JoinSet;

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
        peer.hear_until(|message| matches!(message, ServerMessage::CaughtUp { .. })).await;
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
    third.hear_until(|message| matches!(message, ServerMessage::CaughtUp { .. })).await;
    table.finish().await;

    let secret = RoomSpec { spectators: false, ..boxes(2, 4) };
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
            if !matches!(event, Event::Connected { .. } | Event::Lobby(_)) {
                return event;
            }
        }
    };
    tokio::select! {
        event = in_lobby => panic!("the lively one was disturbed: {event:?}"),
        told = silent.hear() => {
            assert!(matches!(told, Ok(ServerMessage::Goodbye { reason: GoodbyeReason::Silent, .. })), "{told:?}");
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
async fn pages_say_what_there_is() {
    let scene = Scene::new();
    let server = scene.serve().await;
    assert_eq!(server.get_json("/health").await, serde_json::json!({ "status": "ok", "rooms": 0 }));
    assert_eq!(server.get_json("/rooms").await, serde_json::json!({ "rooms": [] }));
    assert_eq!(server.get_json("/matches").await, serde_json::json!({ "matches": [] }));

    let mut waiting = Peer::login(&server, &identity(60)).await;
    let (room, spec) = (RoomName::new("a-lobby").unwrap(), boxes(3, 5));
    waiting.say(&ClientMessage::Create { room: room.clone(), spec }).await;
    let name = DisplayName::new("waits").unwrap();
    waiting.say(&ClientMessage::Enter { room, enter_as: EnterAs::Player, name }).await;
    waiting.hear_until(|message| matches!(message, ServerMessage::Lobby(_))).await;
    let mut over = Table::open(&server, "c-over", boxes(2, 3)).await;
    over.finish().await;
    let mut playing = Table::open(&server, "b-playing", boxes(2, 8)).await;
    playing.turn().await;
    playing.turn().await;

    let rooms = server.get_json("/rooms").await;
    let rooms = rooms["rooms"].as_array().unwrap();
    let shape = ["height", "match_id", "phase", "room", "rules", "seats", "spectators", "taken", "turn"];
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
