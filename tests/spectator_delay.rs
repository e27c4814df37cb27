//! Where those who watch see a match later than its players, no list and no file says more than they may know.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "only in tests")]

mod support;

use cadastre_client::{Client, Event};
use cadastre_protocol::{EnterAs, Height, RoomSpec, SpectatorPolicy};
use serde_json::json;
use support::{Scene, boxes, soon, table::Table};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_and_exports_are_as_late_as_those_who_watch() {
    const DELAY: u16 = 2;
    let scene = Scene::new();
    let server = scene.serve().await;
    let spectators = SpectatorPolicy::Allowed { delay_turns: DELAY };
    let spec = RoomSpec { spectators, turns_max: Some(6), ..boxes(2, 6) };
    let mut table = Table::open(&server, "stage", spec).await;
    let (mut light, mut follower) = (
        server.client(100, "stage", EnterAs::Light, None),
        server.client(101, "stage", EnterAs::Spectator, None),
    );
    for _ in 0..5 {
        table.turn().await;
    }
    // The Start, and three of five turns.
    let told = Height::new(4);
    loop {
        match soon("a spectator is shown a block", light.next()).await.unwrap() {
            Event::Shown { header } if header.height >= told => break assert_eq!(header.height, told),
            _ => {}
        }
    }
    while soon("a spectator is told the blocks", follower.next()).await.unwrap() != Event::CaughtUp {}
    assert_eq!(follower.session().follower().unwrap().chain().head().height, told);
    let listed = scene.run(&format!("room list --server {} --json", server.url())).await.ok().json();
    assert_eq!((&listed[0]["turn"], &listed[0]["height"]), (&json!(3), &json!(4)));
    let export = format!("export {} --room stage --out part.cadr --json", server.arguments());
    let exported = scene.run(&export).await.ok().only_json();
    assert_eq!((&exported["turns"], &exported["complete"]), (&json!(3), &json!(false)));

    all_is_told_at_the_end(&scene, table, follower, &export).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_old_enough_is_in_no_list_and_no_file() {
    let scene = Scene::new();
    let server = scene.serve().await;
    let spectators = SpectatorPolicy::Later { delay_s: 3_600 };
    let spec = RoomSpec { spectators, turns_max: Some(6), ..boxes(2, 6) };
    let mut table = Table::open(&server, "stage", spec).await;
    let mut follower = server.client(101, "stage", EnterAs::Spectator, None);
    for _ in 0..5 {
        table.turn().await;
    }
    while soon("a spectator is told the blocks", follower.next()).await.unwrap() != Event::CaughtUp {}
    let told = follower.session().follower().unwrap().chain().head().height;
    assert_eq!(told, Height::new(1), "the Start");
    let listed = scene.run(&format!("room list --server {} --json", server.url())).await.ok().json();
    assert_eq!((&listed[0]["turn"], &listed[0]["height"]), (&json!(0), &json!(1)));
    let export = format!("export {} --room stage --out part.cadr --json", server.arguments());
    let exported = scene.run(&export).await.ok().only_json();
    assert_eq!((&exported["height"], &exported["complete"]), (&json!(1), &json!(false)));

    all_is_told_at_the_end(&scene, table, follower, &export).await;
    server.stop().await;
}

async fn all_is_told_at_the_end(scene: &Scene, mut table: Table, mut follower: Client, export: &str) {
    table.finish().await;
    let end = table.chain().head().height;
    let mut next = async || soon("a spectator is told the end", follower.next()).await.unwrap();
    while !matches!(next().await, Event::Ended { .. }) {}
    assert_eq!(follower.session().follower().unwrap().chain().head().height, end);
    let exported = scene.run(export).await.ok().only_json();
    assert_eq!((&exported["height"], &exported["complete"]), (&json!(end.get()), &json!(true)));
}
