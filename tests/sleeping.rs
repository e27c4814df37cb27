//! Rooms that sleep: nobody is there, the turn has time, and no memory is kept of the match but where it is.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "only in tests")]

mod support;

use cadastre_client::Event;
use cadastre_protocol::{BlockKind, EnterAs, RoomSpec};
use serde_json::Value;
use support::{
    Scene, Server, boxes, soon,
    table::{Player, Table, chain_of},
};

const SOON: &str = "[rooms]\nsleep_ms = 100\n";
const ASLEEP: &str = "cadastre_rooms_asleep";
const WOKEN: &str = "cadastre_rooms_woken_total";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_that_nobody_is_in_sleeps_and_wakes_for_whoever_comes() {
    let scene = Scene::new();
    let server = scene.serve_configured(SOON).await;
    play_two_turns(&server).await;
    server.await_metric(ASLEEP, 1).await;
    let list = server.get_json("/rooms").await;
    let room = &list["rooms"][0];
    assert_eq!((&room["room"], &room["phase"]), (&Value::from("r"), &Value::from("playing")));
    assert_eq!((&room["turn"], &room["height"]), (&Value::from(2), &Value::from(3)));
    let again = scene.run(&format!("room create {} r --rules boxes", server.arguments())).await;
    assert!(again.refused(3).contains("is open already"));
    assert_eq!(server.metric(WOKEN).await, 0, "nobody has come");

    let mut watching = server.client(9, "r", EnterAs::Spectator, None);
    let caught_up = async { while watching.next().await.unwrap() != Event::CaughtUp {} };
    soon("the spectator has all blocks", caught_up).await;
    assert_eq!(chain_of(&watching).head().height.get(), 3, "its turn is open as it was");
    assert_eq!((server.metric(WOKEN).await, server.metric(ASLEEP).await), (1, 0));
    drop(watching);
    server.await_metric(ASLEEP, 1).await;
    finish(&scene, &server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_match_sleeps_on_when_the_server_is_killed_and_started_again() {
    let scene = Scene::new();
    let server = scene.serve_configured(SOON).await;
    play_two_turns(&server).await;
    server.await_metric(ASLEEP, 1).await;
    server.kill().await;
    let server = scene.serve_configured(SOON).await;
    assert_eq!((server.metric(ASLEEP).await, server.metric("cadastre_rooms").await), (1, 0));
    finish(&scene, &server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_closes_at_its_deadline_though_its_room_sleeps() {
    let scene = Scene::new();
    let server = scene.serve_configured(SOON).await;
    let spec = RoomSpec { deadline_ms: Some(5_000), ..boxes(2, 1) };
    drop(Table::open(&server, "r", spec).await);
    server.await_metric(ASLEEP, 1).await;
    server.await_metric("cadastre_matches_ended_total{reason=\"turn-limit\"}", 1).await;
    assert_eq!((server.metric(WOKEN).await, server.metric(ASLEEP).await), (1, 0));
    // Start, a Turn without anybody, Seal: they are counted when they are made, and shown once they are on disk.
    soon("all is on disk", async { while height_of_valid(&scene, &server).await < 3 {} }).await;
    server.stop().await;
}

/// Two of four turns of two players, who are gone then.
async fn play_two_turns(server: &Server) {
    let mut table = Table::open(server, "r", boxes(2, 4)).await;
    for _ in 0..2 {
        table.turn().await;
    }
}

/// The players come back with nothing but their identities, and play to the end: no block was made but theirs.
async fn finish(scene: &Scene, server: &Server) {
    let mut players = [0, 1].map(|who| Player::new(server.client(who, "r", EnterAs::Player, None)));
    let [one, other] = &mut players;
    let ends = async { tokio::join!(one.play_until(BlockKind::seals), other.play_until(BlockKind::seals)) };
    soon("the match ends", Box::pin(ends)).await;
    assert_eq!(height_of_valid(scene, server).await, 6, "Start, four Turns, Seal");
    server.check_log();
}

async fn height_of_valid(scene: &Scene, server: &Server) -> u64 {
    scene.run(&format!("export {} --room r --out r.cadr", server.arguments())).await.ok();
    let audit = scene.run(&format!("--json audit r.cadr --root-key {}", server.root)).await.ok().json();
    let result = audit.last().unwrap();
    assert_eq!(result["audit"], "valid");
    result["height"].as_u64().unwrap()
}
