//! A client whose memory goes astray, in processes of its own: it is healed within the turn, and both sides write
//! down which tile and field it was.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use std::fs;

use cadastre_replay::{fixture, fixture::Match};
use serde_json::{Value, json};
use support::Scene;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tile_that_changes_in_a_clients_memory_is_named_and_healed() {
    let scene = Scene::new();
    let server = scene.serve().await;
    let to = server.arguments();
    scene.run(&format!("room create r {to} --seats 3 --size 64 --turns 8 --deadline 1000000000")).await.ok();
    let bot = format!("--json bot --room r {to}");
    let (faulty, second, third) = (
        format!("{bot} --fault 4,40,11 --desyncs client"),
        format!("{bot} --desyncs none"),
        format!("{bot} --desyncs none"),
    );
    let (faulty, second, third) = tokio::join!(scene.run(&faulty), scene.run(&second), scene.run(&third));
    let [faulty, second, third] = [faulty, second, third].map(|ran| ran.ok());
    assert_eq!((faulty.stderr.as_str(), second.stderr.as_str()), ("", ""), "no connection was lost");

    // It goes on, and ends where the others do.
    let lines = faulty.json();
    let heads = |lines: &[Value]| {
        let blocks = lines.iter().filter(|line| line.get("head").is_some());
        blocks.map(|line| line["head"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(heads(&lines), heads(&second.json()));
    assert_eq!(heads(&lines), heads(&third.json()));
    assert_eq!(heads(&lines).len(), 10, "Start, eight turns and Seal");

    // Both sides name exactly the tile and the field.
    let said = lines.iter().position(|line| line.get("desync").is_some()).unwrap();
    let desync = &lines[said]["desync"];
    assert_eq!(lines[said + 1]["turn"], 4, "healed before anything else is shown");
    assert_eq!((&desync["cause"], &desync["healed"]), (&json!("memory"), &json!(true)));
    let (client, at_server) = (only_bundle(&scene, "client"), only_bundle(&scene, "data/desyncs"));
    assert!(!scene.path("none").exists());
    for report in [desync, &client, &at_server] {
        assert_eq!((&report["turn"], &report["phase"]), (&json!(4), &json!("growth")));
        let [found] = &report["differences"].as_array().unwrap()[..] else { panic!("{report}") };
        assert_eq!((&found["of"], &found["x"], &found["y"]), (&json!("tile"), &json!(40), &json!(11)));
        assert_eq!(found["field"], "height");
        let value = |side: &str| found[side].as_str().unwrap().parse::<u8>().unwrap();
        assert_eq!(value("block") ^ value("computed"), 1);
    }
    for same in [
        "roll",
        "orders",
        "before",
        "chunks",
        "genesis",
        "differences",
        "block_root",
        "computed_root",
        "seat",
    ] {
        assert!(client[same] == at_server[same] && !client[same].is_null(), "{same}");
    }
    assert_eq!(server.metric("cadastre_desyncs_compared_total").await, 1);

    // The chain attributes it: the next transaction of the seat says the root that it had computed, no other does.
    scene.run(&format!("export {to} --room r --out r.cadr")).await.ok();
    let audited = scene.run("--json audit r.cadr").await;
    let violations = audited.only_json()["violations"].clone();
    let [violation] = &violations.as_array().unwrap()[..] else { panic!("{violations}") };
    assert_eq!((&violation["kind"], &violation["turn"]), (&json!("desync"), &json!(5)));
    assert_eq!(violation["seat"], at_server["seat"]);
    server.stop().await;
}

#[tokio::test]
async fn two_files_are_compared() {
    let scene = Scene::new();
    let plan = fixture::Plan { rules: "city", size: 64, seats: 2, ..fixture::Plan::SMALL };
    let (mut made, mut wrong) = (Match::new(&plan), Match::new(&plan));
    made.play(3);
    scene.write("a.cadr", made.replay());
    wrong.play(2);
    wrong.disturb(5, 6);
    wrong.play(1);
    scene.write("c.cadr", fixture::with_blocks(&made.replay(), wrong.blocks()));
    made.play(1);
    scene.write("b.cadr", made.replay());

    assert_eq!(scene.run("--json diff a.cadr a.cadr").await.ok().only_json(), json!({ "diff": "same" }));
    let ran = scene.run("--json diff a.cadr b.cadr").await;
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.only_json(), json!({ "diff": "length", "height": 4, "turn": 3, "longer": "right" }));
    let ran = scene.run("--json diff c.cadr a.cadr").await;
    assert_eq!(ran.code, Some(1));
    let found = ran.only_json();
    assert_eq!((&found["diff"], &found["turn"]), (&json!("state"), &json!(3)));
    assert_eq!((&found["executes"], &found["keyframe"]), (&json!("right"), &Value::Null));
    let text = scene.run("diff c.cadr a.cadr").await.stdout;
    assert!(text.contains("the right file is right") && text.contains("no keyframe"), "{text}");

    scene.write("cut.cadr", &made.replay()[..made.replay().len() - 1]);
    assert!(scene.run("diff a.cadr cut.cadr").await.refused(2).starts_with("cut.cadr: "));
    assert!(scene.run("diff a.cadr nothing.cadr").await.refused(2).contains("cannot read nothing.cadr"));
}

fn only_bundle(scene: &Scene, folder: &str) -> Value {
    let mut files = fs::read_dir(scene.path(folder)).unwrap().map(|entry| entry.unwrap().path());
    let file = files.next().expect("a bundle was written");
    assert_eq!(files.next(), None, "and no other");
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}
