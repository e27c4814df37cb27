//! The commands as a user meets them: what they print, what they leave behind, and how they end.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "only in tests")]

mod support;

use std::{collections::BTreeSet, process::Stdio};

use cadastre_protocol::{BlockKind, Epoch, Motion, PublicKey, ReopenReason, TransactionBody};
use cadastre_replay::Replay;
use cadastre_replay::fixture::blocks_of;
use serde_json::Value;
use support::{
    NO_DEADLINE_MS, Scene, Server, boxes, city, fields, soon,
    table::{Player, Table},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
};

#[tokio::test]
async fn the_demo_shows_a_match_that_survives_a_crash() {
    let scene = Scene::new();
    let ran = scene.run("demo --json --players 2 --turns 8 --out demo.cadr").await.ok();
    assert_eq!(ran.stderr, "");
    let lines = ran.json();
    let (result, clients) = lines.split_last().unwrap();
    assert_eq!(fields(result), ["audit", "head", "match_id", "players", "replay", "turns"]);
    assert_eq!((&result["audit"], &result["players"]), (&"valid".into(), &2.into()));
    assert_eq!((&result["replay"], &result["turns"]), (&"demo.cadr".into(), &8.into()));
    let heads: BTreeSet<_> = lines.iter().map(|line| line["head"].as_str().unwrap()).collect();
    assert_eq!(heads.len(), 1, "{lines:?}");
    let names: Vec<_> = clients.iter().map(|line| line["who"].as_str().unwrap()).collect();
    assert_eq!(names, ["bot 0", "bot 1", "spectator"]);

    let file = scene.read("demo.cadr");
    let replay = Replay::open(&file).unwrap();
    let blocks: Vec<_> = replay.blocks().map(|block| block.unwrap().read().unwrap()).collect();
    assert_eq!(blocks.len(), 8 + 3, "Start, 8 turns, the Reopen after the crash, Seal");
    assert!(scene.run("demo --players 2 --turns 4 --out no/such/folder.cadr").await.code != Some(0));
}

#[tokio::test]
async fn the_demo_tells_a_person_what_happens() {
    let scene = Scene::new();
    let ran = scene.run("demo --players 3 --turns 4").await.ok();
    assert_eq!(ran.stderr, "");
    for word in
        ["3 bots", "root key", "SIGKILL", "reopened", "spectator", "VALID", "cadastre audit demo.cadr"]
    {
        assert!(ran.stdout.contains(word), "{word} in {}", ran.stdout);
    }
    assert!(!ran.stdout.contains('\x1b'), "no colours in a pipe");
    assert!(scene.path("demo.cadr").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_audit_names_what_it_has_proved() {
    let (scene, root) = Scene::with_a_match(city(2, 6)).await;
    let shape = [
        "audit",
        "complete",
        "graces",
        "head",
        "height",
        "logged",
        "match_id",
        "parent",
        "pauses",
        "pinned",
        "revoked_log",
        "root_key",
        "takebacks",
        "turns",
        "violations",
    ];
    for (pin, pinned) in [(format!("--root-key {root}"), true), (String::new(), false)] {
        let result = scene.run(&format!("--json audit match.cadr {pin}")).await.ok().only_json();
        assert_eq!(fields(&result), shape);
        assert_eq!((&result["audit"], &result["complete"]), (&"valid".into(), &true.into()));
        assert_eq!(result["pinned"], pinned);
        assert_eq!((&result["turns"], &result["height"]), (&6.into(), &8.into()));
        assert_eq!(result["root_key"], root.to_string());
        assert_eq!(result["violations"], Value::Array(Vec::new()));

        let text = scene.run(&format!("audit match.cadr {pin}")).await.ok();
        assert!(text.stdout.ends_with("VALID\n") && !text.stdout.contains("INVALID"), "{text:?}");
        assert_eq!(text.stdout.contains("NOT checked"), !pinned);
        assert_eq!(text.stderr, "");
    }
    let other = "ab".repeat(32);
    let ran = scene.run(&format!("--json audit match.cadr --root-key {other}")).await;
    assert_eq!(ran.code, Some(1));
    let result = ran.only_json();
    assert_eq!((&result["audit"], &result["pinned"]), (&"invalid".into(), &false.into()));
    assert_eq!(result["violations"][0]["kind"], "wrong-root-key");
    let ran = scene.run(&format!("audit match.cadr --root-key {other}")).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), ""));
    assert!(ran.stdout.contains("VIOLATION") && ran.stdout.ends_with("INVALID\n"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_can_be_looked_at() {
    let (scene, root) = Scene::with_a_match(city(2, 6)).await;
    let summary = scene.run("--json replay match.cadr").await.ok().only_json();
    let shape = [
        "bytes",
        "complete",
        "ended",
        "head",
        "height",
        "match_id",
        "names",
        "parent",
        "room",
        "root_key",
        "rules",
        "standings",
        "takebacks",
        "turns",
    ];
    assert_eq!(fields(&summary), shape);
    assert_eq!((&summary["complete"], &summary["ended"]), (&true.into(), &"turn-limit".into()));
    assert_eq!((&summary["rules"], &summary["turns"]), (&"city/1".into(), &6.into()));
    assert_eq!(summary["bytes"], scene.read("match.cadr").len());
    assert_eq!(summary["root_key"], root.to_string());
    let text = scene.run("replay match.cadr").await.ok().stdout;
    assert!(text.contains("ended: turn-limit") && text.contains("place 1, score"), "{text}");

    let audited = scene.run("--json audit match.cadr").await.ok().only_json();
    assert_eq!(audited["head"], summary["head"]);
    let file = scene.read("match.cadr");
    let replay = Replay::open(&file).unwrap();
    for turn in [0, 3, 6] {
        let state = scene.run(&format!("--json replay match.cadr --turn {turn}")).await.ok().only_json();
        assert_eq!(fields(&state), ["attempt", "legend", "standings", "state_root", "turn"]);
        assert_eq!(state["turn"], turn);
        let root = replay.seek(cadastre_protocol::Turn::new(turn)).unwrap().state_root();
        assert_eq!(state["state_root"], root.to_string());
        let text = scene.run(&format!("replay match.cadr --turn {turn}")).await.ok().stdout;
        assert!(text.lines().count() > 64 && text.contains("seat 1: "), "{text}");
    }
    let beyond = scene.run("replay match.cadr --turn 7").await;
    assert!(beyond.refused(2).contains("the replay ends with turn 6"));

    let made = scene.run("--json replay match.cadr --gif match.gif").await.ok().only_json();
    assert_eq!((&made["frames"], &made["gif"]), (&7.into(), &"match.gif".into()));
    let picture = scene.read("match.gif");
    let mut decoder = gif::DecodeOptions::new().read_info(&picture[..]).unwrap();
    assert_eq!((decoder.width(), decoder.height()), (64 * 4, 64 * 4));
    let mut frames = 0;
    while let Some(frame) = decoder.read_next_frame().unwrap() {
        assert!(frame.delay > 0);
        frames += 1;
    }
    assert_eq!(frames, 7, "the start and each turn");
    let nowhere = scene.run("replay match.cadr --gif no/such/folder.gif").await;
    assert!(nowhere.refused(3).contains("no/such/folder.gif"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_match_can_be_exported_before_and_after_its_end() {
    let scene = Scene::new();
    let server = scene.serve().await;
    let mut table = Table::open(&server, "r", boxes(2, 6)).await;
    for _ in 0..3 {
        table.turn().await;
    }
    let match_id = table.chain().match_id();
    let export = async |which: &str, out: &str| {
        scene.run(&format!("--json export {} {which} --out {out}", server.arguments())).await
    };
    let partial = export("--room r", "partial.cadr").await.ok().only_json();
    assert_eq!(fields(&partial), ["complete", "head", "height", "match_id", "replay", "turns"]);
    assert_eq!((&partial["complete"], &partial["turns"]), (&false.into(), &3.into()));
    assert_eq!(partial["head"], table.chain().head().block.to_string());
    let audited = scene.run("--json audit partial.cadr").await.ok().only_json();
    assert_eq!((&audited["audit"], &audited["complete"]), (&"valid".into(), &false.into()));
    let text = scene.run("replay partial.cadr").await.ok().stdout;
    assert!(text.contains("not finished"), "{text}");

    table.finish().await;
    let whole = export("--room r", "by-room.cadr").await.ok().only_json();
    assert_eq!((&whole["complete"], &whole["match_id"]), (&true.into(), &match_id.to_string().into()));
    export(&format!("--match {match_id}"), "by-match.cadr").await.ok();
    // The same but for the newest checkpoint of the log.
    assert_eq!(blocks_of(&scene.read("by-room.cadr")), blocks_of(&scene.read("by-match.cadr")));

    for which in ["--room nowhere".to_owned(), format!("--match {}", "0".repeat(64))] {
        let refused = export(&which, "none.cadr").await;
        assert!(refused.refused(3).contains("no such match"), "{refused:?}");
    }
    let other = format!("--server {} --root-key {}", server.url(), "ab".repeat(32));
    let refused = scene.run(&format!("export {other} --room r --out none.cadr")).await;
    assert!(refused.refused(1).contains("nothing was written"), "{refused:?}");
    assert!(!scene.path("none.cadr").exists());
    let unwritable = export("--room r", "no/such/folder.cadr").await;
    assert!(unwritable.refused(3).contains("cannot write no/such/folder.cadr"), "{unwritable:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_room_is_created_once() {
    let scene = Scene::new();
    let server = scene.serve().await;
    let create = |rest: &str| format!("room create r --rules boxes --size 4 {rest} {}", server.arguments());
    let created = scene.run(&create("--json --seats 3 --turns 9 --deadline 5000")).await.ok().only_json();
    assert_eq!(created, serde_json::json!({ "room": "r", "rules": "boxes", "seats": 3 }));
    let again = scene.run(&create("")).await;
    assert_eq!(again.refused(3), "room r: a room of this name is open already");
    let refused =
        scene.run(&create("").replace("create r", "create s").replace("--size 4", "--deadline 5")).await;
    assert!(refused.refused(3).contains("settings are not possible"), "{refused:?}");
    let rooms = server.get_json("/rooms").await;
    assert_eq!((&rooms["rooms"][0]["rules"], &rooms["rooms"][0]["seats"]), (&"boxes".into(), &3.into()));
    assert_eq!(rooms["rooms"].as_array().unwrap().len(), 1);
    server.stop().await;
}

#[tokio::test]
async fn bots_play_a_match_to_its_end() {
    let scene = Scene::new();
    let server = scene.serve().await;
    let ran =
        scene.run(&format!("bot --json --room r --count 2 --turns 5 {}", server.arguments())).await.ok();
    assert_eq!(ran.stderr, "");
    let lines = ran.json();
    assert_eq!(lines.len(), 2 * 7, "Start, 5 turns and Seal, for each");
    let shape = ["head", "height", "match_id", "seat", "state_root", "turn"];
    assert!(lines.iter().all(|line| fields(line) == shape));
    for seat in 0..2 {
        let of_seat: Vec<_> = lines.iter().filter(|line| line["seat"] == seat).collect();
        let heights: Vec<_> = of_seat.iter().map(|line| line["height"].as_u64().unwrap()).collect();
        assert_eq!(heights, (1..=7).collect::<Vec<_>>());
    }
    let by_height = |height| lines.iter().filter(move |line| line["height"] == height);
    for height in 1..=7 {
        let heads: BTreeSet<_> = by_height(height).map(|line| line["head"].as_str().unwrap()).collect();
        assert_eq!(heads.len(), 1);
    }
    let text = scene
        .run(&format!("bot --room s --count 2 --turns 2 --rules boxes {}", server.arguments()))
        .await
        .ok();
    assert!(text.stdout.contains("match over: 1. seat"), "{text:?}");
    assert!(text.stdout.contains("start") && text.stdout.contains("seal"), "{text:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bots_play_matches_in_a_row() {
    let scene = Scene::new();
    let server = scene.serve().await;
    let bots = "bot --json --room r --count 3 --turns 3 --rules boxes --rematch 3";
    let lines = scene.run(&format!("{bots} {}", server.arguments())).await.ok().json();
    let matches: BTreeSet<_> = lines.iter().map(|line| line["match_id"].as_str().unwrap()).collect();
    assert_eq!((matches.len(), lines.len()), (3, 3 * 3 * 5), "Start, 3 turns and Seal, for each");
    let stored = server.get_json("/matches").await;
    let stored = stored["matches"].as_array().unwrap();
    assert_eq!(stored.len(), 3);
    assert!(stored.iter().all(|it| it["room"] == "r" && it["sealed"] == true), "{stored:?}");
    let mut firsts = BTreeSet::new();
    for it in stored {
        let match_id = it["match_id"].as_str().unwrap();
        scene.run(&format!("export --match {match_id} --out m.cadr {}", server.arguments())).await.ok();
        scene.run(&format!("audit m.cadr --root-key {}", server.root)).await.ok();
        let file = scene.read("m.cadr");
        firsts.insert(format!("{:?}", Replay::open(&file).unwrap().genesis().seats[0]));
    }
    assert_eq!(firsts.len(), 3, "each has had the first seat");
    server.stop().await;
}

#[tokio::test]
async fn bots_leave_after_their_turns_when_the_match_has_more() {
    let scene = Scene::new();
    let server = scene.serve().await;
    scene.run(&format!("room create r --turns 9 {}", server.arguments())).await.ok();
    let play = format!("bot --json --room r --count 2 --turns 4 --key k {}", server.arguments());
    scene.run("key new k.0").await.ok();
    scene.run("key new k.1").await.ok();
    let turns = |lines: &[Value]| lines.iter().map(|line| line["turn"].as_u64().unwrap()).max();
    assert_eq!(turns(&scene.run(&play).await.ok().json()), Some(4));
    assert_eq!(server.get_json("/rooms").await["rooms"][0]["phase"], "playing");
    // With the same keys they hold the same seats, and go on.
    let play = play.replace("--turns 4", "--turns 9");
    assert_eq!(turns(&scene.run(&play).await.ok().json()), Some(9));

    scene.run(&format!("export --room r --out r.cadr {}", server.arguments())).await.ok();
    let file = scene.read("r.cadr");
    let replay = Replay::open(&file).unwrap();
    for key in ["k.0", "k.1"] {
        let shown = scene.run(&format!("key show {key}")).await.ok();
        let public = PublicKey::from_hex(shown.stdout.trim()).unwrap();
        assert!(replay.genesis().seat_of(public).is_some());
    }
    let audited =
        scene.run(&format!("--json audit r.cadr --root-key {}", server.root)).await.ok().only_json();
    assert_eq!((&audited["audit"], &audited["complete"]), (&"valid".into(), &true.into()));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bot_that_was_killed_goes_on_under_a_new_session_key() {
    let scene = Scene::new();
    let server = scene.serve().await;
    let rules = format!("--rules boxes --size 8 --mode simultaneous --turns 12 --deadline {NO_DEADLINE_MS}");
    scene.run(&format!("room create r --seats 2 {rules} {}", server.arguments())).await.ok();
    scene.run("key new mine").await.ok();
    let shown = scene.run("key show mine").await.ok();
    let mine = PublicKey::from_hex(shown.stdout.trim()).unwrap();

    let other = server.client(70, "r", cadastre_protocol::EnterAs::Player, None);
    let mut other = Player::new(other);
    let mut bot = Bot::start(&scene, &server);
    other.play_until(|kind| *kind == BlockKind::Start).await;
    for kill_at in [3, 6] {
        while other.turn() < kill_at {
            other.play_until(|kind| *kind == BlockKind::Turn).await;
        }
        // The first time as soon as it has seen the block; the second when the server has what it signed for
        // the next turn. Commits until then: the Start, two a turn, one for the delegation, and one for that.
        bot.sees(kill_at).await;
        if kill_at == 6 {
            server.await_metric("cadastre_commits_total", 1 + 2 * 6 + 1 + 1).await;
        }
        bot.kill().await;
        bot = Bot::start(&scene, &server);
    }
    other.play_until(BlockKind::seals).await;
    bot.ends().await;

    scene.run(&format!("export --room r --out r.cadr {}", server.arguments())).await.ok();
    let audited =
        scene.run(&format!("--json audit r.cadr --root-key {}", server.root)).await.ok().only_json();
    assert_eq!((&audited["audit"], &audited["complete"]), (&"valid".into(), &true.into()));
    let file = scene.read("r.cadr");
    let replay = Replay::open(&file).unwrap();
    let seat = replay.genesis().seat_of(mine).unwrap();
    let mut epochs = Vec::new();
    for block in replay.blocks() {
        let block = block.unwrap().read().unwrap();
        for entry in block.block().entries() {
            let tx = entry.transaction.get();
            if tx.seat == seat && matches!(tx.body, TransactionBody::Delegate(_)) {
                epochs.push(tx.epoch);
            }
        }
    }
    assert_eq!(epochs, [Epoch::new(1), Epoch::new(2)]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bot_stands_in_for_a_player_who_lends_the_seat_and_hands_it_back() {
    let scene = Scene::new();
    let server = scene.serve().await;
    let at = server.arguments();
    let rules = format!("--rules boxes --size 8 --mode simultaneous --turns 9 --deadline {NO_DEADLINE_MS}");
    scene.run(&format!("room create r --seats 2 {rules} {at}")).await.ok();
    scene.run("key new mine").await.ok();
    scene.run("key new stranger").await.ok();
    let mut other = Player::new(server.client(70, "r", cadastre_protocol::EnterAs::Player, None));
    let bot = Bot::start(&scene, &server);
    other.play_until(|kind| *kind == BlockKind::Start).await;
    bot.kill().await;

    let mut stand_in =
        Bot::run(scene.command(&format!("bot --json --stand-in --room r {at}")).stdin(Stdio::piped()));
    let key = stand_in.prints(|line| line["stand_in"]["key"].is_string()).await;
    let key = key["stand_in"]["key"].as_str().unwrap();
    let lend = format!("room lend r --to {key} {at}");
    assert!(scene.run(&format!("{lend} --key stranger")).await.refused(3).contains("holds no seat"));
    let loan = scene.run(&format!("{lend} --key mine")).await.ok().stdout;
    stand_in.child.stdin.take().unwrap().write_all(loan.as_bytes()).await.unwrap();
    stand_in.prints(|line| line["seated"].is_number()).await;
    while other.turn() < 4 {
        other.play_until(|kind| *kind == BlockKind::Turn).await;
    }
    // It is away while the holder comes back, so that it does not win the next turn too.
    stand_in.signal("STOP").await;
    let bot = Bot::start(&scene, &server);
    let stopped_at = other.turn();
    while other.turn() < stopped_at + 2 {
        other.play_until(|kind| *kind == BlockKind::Turn).await;
    }
    stand_in.signal("CONT").await;
    let handed_back = stand_in.prints(|line| line.get("seated").is_some_and(Value::is_null));
    tokio::join!(handed_back, other.play_until(BlockKind::seals));
    bot.ends().await;
    stand_in.ends().await;
    scene.run(&format!("export --room r --out r.cadr {at}")).await.ok();
    let audit = format!("--json audit r.cadr --root-key {}", server.root);
    let audited = scene.run(&audit).await.ok().only_json();
    assert_eq!((&audited["audit"], &audited["complete"]), (&"valid".into(), &true.into()));
    let wrong = Bot::run(scene.command(&format!("bot --stand-in --room r {at}")).stdin(Stdio::null()));
    let ended = soon("it ends", wrong.child.wait_with_output()).await.unwrap();
    assert!(String::from_utf8(ended.stderr).unwrap().contains("no loan"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bot_takes_a_seat_that_was_left_open() {
    let scene = Scene::new();
    let server = scene.serve().await;
    let at = server.arguments();
    let create = format!("room create r --seats 3 --seats-min 2 --late-joins --rules boxes --size 8 {at}");
    let hidden = scene.run(&format!("{create} --visibility sealed")).await;
    assert!(hidden.refused(2).contains("--late-joins"));
    let rules = format!("--mode simultaneous --turns 5 --deadline {NO_DEADLINE_MS}");
    scene.run(&format!("{create} {rules}")).await.ok();
    scene.run("key new mine").await.ok();
    let player = |who| Player::new(server.client(who, "r", cadastre_protocol::EnterAs::Player, None));
    let (mut one, mut other) = (player(70), player(71));
    for _ in 0..3 {
        let is_turn = |kind: &BlockKind| *kind == BlockKind::Turn;
        tokio::join!(one.play_until(is_turn), other.play_until(is_turn));
    }
    assert_eq!(server.get_json("/rooms?open=1").await["rooms"][0]["room"], "r");
    let mut bot = Bot::start(&scene, &server);
    // The Start, two commits for each of three turns, and what the bot hands in.
    server.await_metric("cadastre_commits_total", 1 + 2 * 3 + 1).await;
    assert_eq!(server.get_json("/rooms?open=1").await["rooms"], serde_json::json!([]));
    tokio::join!(one.play_until(BlockKind::seals), other.play_until(BlockKind::seals));
    bot.prints(|line| line["seated"] == 2).await;
    bot.ends().await;
    scene.run(&format!("export --room r --out r.cadr {at}")).await.ok();
    let audit = format!("--json audit r.cadr --root-key {}", server.root);
    let audited = scene.run(&audit).await.ok().only_json();
    assert_eq!((&audited["audit"], &audited["complete"]), (&"valid".into(), &true.into()));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn turns_that_were_taken_back_can_be_looked_at() {
    let scene = Scene::new();
    let server = scene.serve().await;
    let rules = format!("--size 64 --turns 7 --deadline {NO_DEADLINE_MS} --takebacks unanimous");
    scene.run(&format!("room create r --seats 2 {rules} {}", server.arguments())).await.ok();
    let bot = format!("bot --room r --takebacks accept {}", server.arguments());
    let bot = scene.command(&bot).spawn().unwrap();
    let mut player = Player::new(server.client(70, "r", cadastre_protocol::EnterAs::Player, None));
    for _ in 0..5 {
        player.play_until(|kind| *kind == BlockKind::Turn).await;
    }
    player.take_back(cadastre_protocol::Turn::new(2)).await;
    player.play_until(BlockKind::seals).await;
    let bot = soon("the bot ends", bot.wait_with_output()).await.unwrap();
    assert!(bot.status.success() && String::from_utf8(bot.stdout).unwrap().contains("takeback"));

    scene.run(&format!("export --room r --out r.cadr {}", server.arguments())).await.ok();
    let audit = format!("audit r.cadr --root-key {}", server.root);
    let audited = scene.run(&format!("--json {audit}")).await.ok().only_json();
    let takeback = serde_json::json!([{ "height": 7, "from_turn": 5, "to_turn": 2 }]);
    assert_eq!((&audited["audit"], &audited["takebacks"]), (&"valid".into(), &takeback));
    let text = scene.run(&audit).await.ok().stdout;
    assert!(text.contains("block 7, by all: from turn 5 back to turn 2"), "{text}");

    let shown =
        async |which: &str| scene.run(&format!("--json replay r.cadr {which}")).await.ok().only_json();
    assert_eq!(shown("").await["takebacks"], 1);
    let left = shown("--turn 5 --attempt 0").await;
    assert_eq!((&left["turn"], &left["attempt"]), (&5.into(), &0.into()));
    let stayed = shown("--turn 5").await;
    assert_eq!(stayed["attempt"], 1);
    assert_ne!(left["state_root"], stayed["state_root"]);
    assert_eq!(shown("--turn 2 --attempt 0").await["state_root"], shown("--turn 2").await["state_root"]);
    let beyond = scene.run("replay r.cadr --turn 6 --attempt 0").await;
    assert!(beyond.refused(2).contains("the replay ends with turn 5"), "{beyond:?}");
    let never = format!(
        "room create s --takebacks unanimous --randomness commit-reveal --turns 9 {}",
        server.arguments()
    );
    assert!(scene.run(&never).await.code != Some(0));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_match_can_go_on_from_a_turn_of_another_one() {
    let scene = Scene::new();
    let server = scene.serve().await;
    let run = async |command: &str| scene.run(&format!("{command} {}", server.arguments())).await;
    run("bot --room r --count 2 --turns 5").await.ok();
    let parent = run("--json export --room r --out r.cadr").await.ok().only_json();
    let parent_id = parent["match_id"].as_str().unwrap();
    let fork = format!("--json room create s --fork {parent_id}@3 --turns 4");
    let created = run(&fork).await.ok().only_json();
    let point = serde_json::json!({ "match_id": parent_id, "turn": 3 });
    assert_eq!(created, serde_json::json!({ "room": "s", "fork": point }));
    for key in ["k.0", "k.1"] {
        scene.run(&format!("key new {key}")).await.ok();
    }
    let played = run("bot --json --room s --count 2 --turns 2 --key k").await.ok();
    assert_eq!(played.json().iter().filter(|line| line["turn"] == 2).count(), 2);
    let unknown = run(&fork.replace("create s", "create t").replace("@3", "@6")).await;
    assert_eq!(unknown.refused(3), "room t: there is no match of this id, or not as far as this turn");
    let random = run(&fork.replace("--turns", "--randomness commit-reveal --turns")).await;
    assert!(random.refused(2).contains("--fork does not go with"), "{random:?}");
    assert!(run(&fork.replace("@3", "")).await.refused(2).contains("the id of a match, @ and a turn"));
    assert!(run(&format!("{fork} --rules boxes")).await.refused(2).contains("cannot be used with"));
    server.stop().await;

    // It goes on in the same state after a restart.
    let server = scene.serve().await;
    let run = async |command: &str| scene.run(&format!("{command} {}", server.arguments())).await;
    run("bot --room s --count 2 --turns 4 --key k").await.ok();
    let exported = run("--json export --room s --out s.cadr").await.ok().only_json();
    assert_eq!((&exported["complete"], &exported["turns"]), (&true.into(), &4.into()));
    run(&format!("room create t --fork {}@4 --turns 1", exported["match_id"].as_str().unwrap())).await.ok();
    run("bot --room t --count 2 --turns 1").await.ok();
    run("export --room t --out t.cadr").await.ok();

    let audit =
        async |rest: &str| scene.run(&format!("--json audit --root-key {} {rest}", server.root)).await;
    let alone = audit("s.cadr").await.ok().only_json();
    assert_eq!((&alone["audit"], &alone["parent"]["traced"]), (&"valid".into(), &false.into()));
    assert_eq!((&alone["parent"]["match_id"], &alone["parent"]["turn"]), (&parent_id.into(), &3.into()));
    for (fork, parent) in [("s.cadr", "r.cadr"), ("t.cadr", "s.cadr")] {
        let both = audit(&format!("{fork} --parent {parent}")).await.ok().only_json();
        assert_eq!((&both["audit"], &both["parent"]["traced"]), (&"valid".into(), &true.into()));
    }
    let other = audit("t.cadr --parent r.cadr").await;
    assert_eq!(other.code, Some(1));
    assert_eq!(other.only_json()["error"], "the genesis names another match");
    let text = scene.run("audit s.cadr").await.ok().stdout;
    assert!(text.contains(&format!("turn 3 of match {parent_id}, NOT checked")), "{text}");
    assert_eq!(audit("r.cadr").await.ok().only_json()["parent"], Value::Null);

    let shown = async |which: &str| scene.run(&format!("--json replay {which}")).await.ok().only_json();
    assert_eq!(shown("s.cadr").await["parent"]["match_id"], parent_id);
    let roots = [shown("s.cadr --turn 0").await, shown("r.cadr --turn 3").await];
    assert_eq!(roots[0]["state_root"], roots[1]["state_root"]);
    assert_ne!(shown("s.cadr --turn 2").await["state_root"], shown("r.cadr --turn 5").await["state_root"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bots_that_agree_pause_and_end_a_match() {
    let scene = Scene::new();
    let server = scene.serve().await;
    let rules = format!("--size 64 --turns 7 --deadline {NO_DEADLINE_MS} --pause 30 --skip majority");
    scene.run(&format!("room create r --seats 2 {rules} {}", server.arguments())).await.ok();
    let bot = scene.command(&format!("bot --room r --agree {}", server.arguments())).spawn().unwrap();
    let mut player = Player::new(server.client(70, "r", cadastre_protocol::EnterAs::Player, None));
    player.play_until(|kind| *kind == BlockKind::Turn).await;
    let pause = BlockKind::Reopen { reason: ReopenReason::Pause { ms: 30_000 } };
    assert_eq!(player.move_that(Motion::Pause { ms: 30_000 }).await, pause);
    player.play_until(|kind| *kind == BlockKind::Turn).await;
    assert!(player.move_that(Motion::End).await.seals());
    let bot = soon("the bot ends", bot.wait_with_output()).await.unwrap();
    assert!(bot.status.success(), "{bot:?}");

    scene.run(&format!("export --room r --out r.cadr {}", server.arguments())).await.ok();
    let audit = format!("audit r.cadr --root-key {}", server.root);
    let audited = scene.run(&format!("--json {audit}")).await.ok().only_json();
    let pause = serde_json::json!([{ "height": 3, "turn": 1, "ms": 30_000 }]);
    assert_eq!((&audited["audit"], &audited["pauses"]), (&"valid".into(), &pause));
    assert!(scene.run(&audit).await.ok().stdout.contains("block 3, by all: 30000 ms, after turn 1"));
    let summary = scene.run("--json replay r.cadr").await.ok().only_json();
    assert_eq!((&summary["ended"], &summary["turns"]), (&"agreed".into(), &2.into()));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_match_can_be_watched() {
    let scene = Scene::new();
    let server = scene.serve().await;
    let mut table = Table::open(&server, "r", city(2, 5)).await;
    table.turn().await;
    let mut watching = Vec::new();
    for form in ["", "--json"] {
        let mut child =
            scene.command(&format!("{form} watch --room r {}", server.arguments())).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = soon("it shows something", lines.next_line()).await.unwrap().unwrap();
        watching.push((child, lines, vec![first]));
    }
    table.finish().await;
    for (child, lines, shown) in &mut watching {
        while let Some(line) = soon("a line", lines.next_line()).await.unwrap() {
            shown.push(line);
        }
        assert!(soon("it ends", child.wait()).await.unwrap().success());
    }
    let head = table.chain().head();
    let (text, json) = (&watching[0].2, &watching[1].2);
    assert_eq!(text.last().unwrap(), "the match is over");
    assert!(
        text.iter().any(|line| line.contains("seal") && line.contains(&head.block.to_string())),
        "{text:?}"
    );
    assert!(!text.concat().contains('\x1b'), "no colours in a pipe");
    let blocks: Vec<Value> = json.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(blocks.len(), 7);
    assert_eq!(blocks[6]["head"], head.block.to_string());
    assert_eq!(blocks[6]["state_root"], head.state_root.to_string());
    assert!(blocks.iter().all(|block| block["seat"] == Value::Null));

    let nowhere = scene.run(&format!("watch --room nowhere {}", server.arguments())).await;
    assert_eq!(nowhere.refused(3), "there is no room of this name");
    server.stop().await;
}

#[tokio::test]
async fn a_key_is_made_once_and_never_overwritten() {
    let scene = Scene::new();
    let made = scene.run("key new mine").await.ok();
    let content = scene.read("mine");
    assert_eq!(scene.run("key show mine").await.ok().stdout, made.stdout);
    let shown = scene.run("--json key show mine").await.ok().only_json();
    assert_eq!(fields(&shown), ["file", "public_key"]);
    assert_eq!(shown["public_key"], made.stdout.trim());
    let again = scene.run("key new mine").await;
    assert!(again.refused(2).contains("mine exists already"), "{again:?}");
    assert_eq!(scene.read("mine"), content);
    let secret = String::from_utf8(content).unwrap().lines().last().unwrap().to_owned();
    assert!(!made.stdout.contains(&secret) && !shown.to_string().contains(&secret));
    let other = scene.run("--json key new other").await.ok().only_json();
    assert_ne!(other["public_key"], shown["public_key"]);
    assert_eq!(
        scene.run("key new no/such/folder").await.refused(2),
        "cannot use the key file no/such/folder: No such file or directory (os error 2)"
    );
    assert!(scene.run("key show nothing").await.refused(2).contains("cadastre key new nothing"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_goes_away_is_no_failure() {
    let (scene, _) = Scene::with_a_match(city(2, 3)).await;
    let server = scene.serve().await;
    let bot = format!("bot --json --room r --count 2 --turns 60 {}", server.arguments());
    for command in [bot.as_str(), "replay match.cadr --turn 3", "--help", "replay match.cadr"] {
        let mut child = scene.command(command).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        soon("a line", lines.next_line()).await.unwrap().unwrap();
        drop(lines);
        let ended = soon("it ends", child.wait_with_output()).await.unwrap();
        assert!(ended.status.success(), "{command}: {ended:?}");
        assert_eq!(ended.stderr, b"", "{command}");
    }
    // Nor is one of what went wrong.
    for command in ["replay nothing", "bot", "watch --server ws://127.0.0.1:9 --room r --root-key 1"] {
        let mut child = scene.command(command).stdout(Stdio::null()).spawn().unwrap();
        drop(child.stderr.take());
        assert_eq!(soon("it ends", child.wait()).await.unwrap().code(), Some(2), "{command}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_goes_on_when_nobody_reads_its_log() {
    let scene = Scene::new();
    let mut child =
        scene.command("--json --log debug serve --listen 127.0.0.1:0 --data data").spawn().unwrap();
    drop(child.stderr.take());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let started = soon("it starts", lines.next_line()).await.unwrap().unwrap();
    drop(lines);
    let started: Value = serde_json::from_str(&started).unwrap();
    let url = format!("ws://{}", started["listen"].as_str().unwrap());
    let ran = scene.run(&format!("bot --room r --count 2 --turns 5 --server {url}")).await.ok();
    assert!(ran.stdout.contains("match over"), "{ran:?}");
    support::terminate(child.id().unwrap());
    assert_eq!(soon("it ends", child.wait()).await.unwrap().code(), Some(0));
}

/// A `bot` in a process of its own.
struct Bot {
    child: Child,
    lines: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
}

impl Bot {
    fn start(scene: &Scene, server: &Server) -> Self {
        Self::run(&mut scene.command(&format!("bot --json --room r --key mine {}", server.arguments())))
    }

    fn run(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    async fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id().unwrap());
        let status = Command::new("sh").args(["-c", &kill]).status().await.unwrap();
        assert!(status.success(), "{kill}");
    }

    /// Waits until it has shown the block of a turn.
    async fn sees(&mut self, turn: u32) {
        self.prints(|line| line["turn"] == turn).await;
    }

    /// Waits until it has printed such a line.
    async fn prints(&mut self, is_it: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = soon("the bot says something", self.lines.next_line()).await.unwrap();
            let line: Value = serde_json::from_str(&line.expect("it plays")).unwrap();
            if is_it(&line) {
                return line;
            }
        }
    }

    async fn kill(mut self) {
        soon("the bot dies", self.child.kill()).await.unwrap();
    }

    async fn ends(mut self) {
        while soon("a line", self.lines.next_line()).await.unwrap().is_some() {}
        assert!(soon("the bot ends", self.child.wait()).await.unwrap().success());
    }
}
