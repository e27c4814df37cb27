//! Whoever cheats, player or operator, leaves a file behind that proves it to somebody who has nothing else.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "only in tests")]

mod support;

use std::path::Path;

use cadastre_client::Event;
use cadastre_protocol::{
    ClientMessage, DoubleTransactionPolicy, EnterAs, Epoch, RoomSpec, SealReason, Seat, SignedTransaction,
};
use serde_json::{Value, json};
use support::{
    Ran, Scene, Server, boxes,
    cheat::Cheat,
    dishonest::{Dishonest, HEIGHT, Lie, TURN},
    identity,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_signs_two_blocks_at_one_height_is_proven_to() {
    let report = charge(Lie::Fork, "server-fork").await;
    assert_eq!((&report["turn"], &report["height"]), (&json!(TURN), &json!(HEIGHT)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_block_names_another_history_is_proven_to() {
    for lie in [Lie::Link, Lie::Root] {
        let report = charge(lie, "server-head-lie").await;
        assert_eq!((&report["turn"], &report["height"]), (&json!(TURN), &json!(HEIGHT)), "{lie:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_leaves_out_what_it_gave_a_receipt_for_is_proven_to() {
    let report = charge(Lie::Omission, "omission").await;
    assert_eq!((&report["turn"], &report["height"]), (&json!(TURN), &json!(HEIGHT)));
    assert_eq!(report["seat"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_signs_a_state_that_does_not_follow_is_proven_to() {
    let report = charge(Lie::State, "bad-state").await;
    assert_eq!((&report["turn"], &report["height"]), (&json!(TURN), &json!(HEIGHT)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_takes_something_up_after_the_deadline_is_proven_to() {
    let report = charge(Lie::Late, "late-accept").await;
    assert_eq!((&report["turn"], &report["height"]), (&json!(TURN), &json!(HEIGHT)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_ahead_of_the_server_stops_and_keeps_what_it_has() {
    let (scene, server, bots) = play(Lie::Behind).await;
    assert!(bots.stderr.contains("has lost blocks"), "{bots:?}");
    let (_, audited) = audit(&scene, &server, "held").await;
    assert_eq!(audited.code, Some(2), "{audited:?}");
    assert_eq!(audited.only_json()["verdict"], "undecidable");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seat_that_signs_two_transactions_for_one_turn_is_proven_to() {
    let scene = Scene::new();
    let server = scene.serve().await;
    let mut cheat = Cheat::sit_down(&server, "tavern", boxes(2, 4)).await;
    let opponent = tokio::spawn(play_on(server.client(61, "tavern", EnterAs::Player, None)));
    let turn = sign_two(&mut cheat).await;
    cheat.play_to_the_end().await;
    assert!(matches!(opponent.await.unwrap(), SealReason::TurnLimit), "the first transaction counted");

    // It is still there after a restart.
    let listen = server.listen;
    server.kill().await;
    let server = scene.serve_again(listen).await;
    let report = audit_download(&scene, &server).await;
    assert_eq!(report["culprit"], json!({ "player": identity(60).public().to_string(), "seat": 0 }));
    assert_eq!(report["turn"], turn);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_genesis_says_so_two_transactions_end_the_match() {
    let scene = Scene::new();
    let server = scene.serve().await;
    let ends = RoomSpec { double_transactions: DoubleTransactionPolicy::EndMatch, ..boxes(2, 4) };
    let mut cheat = Cheat::sit_down(&server, "salon", ends).await;
    let opponent = tokio::spawn(play_on(server.client(61, "salon", EnterAs::Player, None)));
    sign_two(&mut cheat).await;
    let seat = Seat::new(0).unwrap();
    assert_eq!(opponent.await.unwrap(), SealReason::DoubleTransaction { seat });

    scene.run(&format!("export {} --room salon --out salon.cadr", server.arguments())).await.ok();
    let root = server.root;
    let audited = scene.run(&format!("audit salon.cadr --root-key {root} --json")).await.ok();
    assert_eq!(audited.only_json()["complete"], true, "the reason for the end is in the chain");
    audit_download(&scene, &server).await;
    server.stop().await;
}

/// Lets two bots play with a server that lies; gives what `audit` says of the evidence that one of them wrote.
async fn charge(lie: Lie, kind: &str) -> Value {
    let (scene, server, _) = play(lie).await;
    let (alone, audited) = audit(&scene, &server, kind).await;
    assert_eq!(audited.code, Some(1), "{audited:?}");
    let report = audited.only_json();
    assert_eq!((&report["evidence"], &report["verdict"]), (&json!(kind), &json!("proven")), "{report}");
    assert_eq!(report["culprit"], json!({ "server": [7] }));
    // Without the root key it could be made up.
    let unpinned = alone.run("audit evidence.cade").await;
    assert_eq!(unpinned.code, Some(2), "{unpinned:?}");
    assert!(unpinned.stdout.contains("UNDECIDABLE"), "{unpinned:?}");
    report
}

async fn play(lie: Lie) -> (Scene, Dishonest, Ran) {
    let scene = Scene::new();
    let server = Dishonest::listen(lie).await;
    let bots = scene
        .run(&format!(
            "bot --server {} --root-key {} --room den --count 2 --turns 5 --rules boxes --size 4 \
             --mode simultaneous --evidence kept --json",
            server.url, server.root
        ))
        .await;
    (scene, server, bots)
}

/// Audits the evidence of a kind that was kept, in a folder where there is nothing else.
async fn audit(scene: &Scene, server: &Dishonest, kind: &str) -> (Scene, Ran) {
    let kept: Vec<_> =
        std::fs::read_dir(scene.path("kept")).unwrap().map(|file| file.unwrap().path()).collect();
    let is_it = |path: &&std::path::PathBuf| name_of(path).starts_with(kind);
    let file = kept.iter().find(is_it).unwrap_or_else(|| panic!("no {kind} among {kept:?}"));
    let alone = Scene::new();
    alone.write("evidence.cade", std::fs::read(file).unwrap());
    let audited = alone.run(&format!("audit evidence.cade --root-key {} --json", server.root)).await;
    (alone, audited)
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// Downloads the evidence about seat 0 of the only match, and audits it elsewhere.
async fn audit_download(scene: &Scene, server: &Server) -> Value {
    let listed = server.get_json("/matches").await["matches"][0].clone();
    assert_eq!(listed["evidence"], json!([0]), "{listed}");
    let id = listed["match_id"].as_str().unwrap();
    let (status, _) = server.get(&format!("/matches/{id}/evidence/1")).await;
    assert_eq!(status, 404);
    let file = server.get_bytes(&format!("/matches/{id}/evidence/0")).await;
    scene.write("double.cade", file);
    let audited = scene.run(&format!("audit double.cade --root-key {} --json", server.root)).await;
    assert_eq!(audited.code, Some(1), "{audited:?}");
    let report = audited.only_json();
    assert_eq!((&report["evidence"], &report["verdict"]), (&json!("player-double-tx"), &json!("proven")));
    report
}

/// Plays to the end; gives the reason of the Seal.
async fn play_on(mut client: cadastre_client::Client) -> SealReason {
    loop {
        match client.next().await.unwrap() {
            Event::YourTurn { .. } => {
                let (follower, seat) =
                    client.session().follower().zip(client.session().seat()).expect("it plays");
                let commands = follower.game().simulation().suggest(seat);
                client.submit(commands).unwrap();
            }
            Event::Ended { reason, .. } => return reason,
            _ => {}
        }
    }
}

/// In its first turn a cheat hands in two transactions; gives the turn.
async fn sign_two(cheat: &mut Cheat) -> u32 {
    let turn = cheat.its_turn().await;
    let other = cheat.draft();
    let session = identity(60).session(other.match_id, Epoch::FIRST);
    cheat.submit_as_suggested().await;
    cheat.peer.say(&ClientMessage::Submit(SignedTransaction::sign(&session, &other))).await;
    turn.get()
}
