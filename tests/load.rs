//! `cadastre load` measures a server that it starts itself, side by side without and with those who watch.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use support::Scene;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_match_is_measured_alone_and_watched() {
    let scene = Scene::new();
    let spectators = "--spectators 6 --stalled 1 --verify 2 --compare 2";
    let ran = scene
        .run(&format!("load --rules boxes --size 30 --players 2 --rate 50 --turns 10 {spectators} --json"))
        .await
        .ok();
    let lines = ran.json();
    let [segments @ .., report] = &lines[..] else { panic!("{ran:?}") };
    let names: Vec<_> = segments.iter().map(|segment| segment["segment"].as_str().unwrap()).collect();
    assert_eq!(names, ["segment 1, alone", "segment 1, watched", "segment 2, alone", "segment 2, watched"]);
    for part in ["alone", "watched"] {
        assert!(report[part]["verified"].as_u64().unwrap() >= 20, "{report}");
        let [p50, p99] = ["p50_ms", "p99_ms"].map(|name| report[part][name].as_f64().unwrap());
        assert!(0.0 < p50 && p50 <= p99, "{report}");
    }
    let ratio = report["watched"]["mean_ms"].as_f64().unwrap() / report["alone"]["mean_ms"].as_f64().unwrap();
    assert!((report["ratio"]["mean"].as_f64().unwrap() - ratio).abs() < 1e-9);
    let [alone, watched] = ["alone", "watched"].map(|part| report[part]["bytes_sent"].as_u64().unwrap());
    assert!(watched > alone, "{report}");
    assert!(report["watched"]["messages_to_spectators"].as_u64().unwrap() >= 10, "{report}");
    assert!(report["views"]["p50_ms"].as_f64().unwrap() > 0.0);
    let memory = &report["server_rss_bytes"];
    assert!(memory["peak"].as_u64() >= memory["before"].as_u64() && memory["before"].as_u64() > Some(0));
}

#[tokio::test]
async fn what_cannot_be_measured_is_refused() {
    let scene = Scene::new();
    for arguments in [
        "load --spectators 3 --stalled 4",
        "load --compare 2",
        "load --rate 0",
        "load --turns 0",
        "load --players 9",
        "load --rules chess",
    ] {
        scene.run(arguments).await.refused(2);
    }
    scene.run("load --server ws://127.0.0.1:1").await.refused(3);
}
