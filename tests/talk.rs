//! What people say to each other, and what the server says to all, through the whole program.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "only in tests")]

mod support;

use cadastre_client::{Client, Event};
use cadastre_protocol::{EnterAs, GoodbyeReason, Notice, Reaction, ServerMessage, Text, Words};
use serde_json::{Value, json};
use support::{Scene, boxes, identity, peer::Peer, soon, table::submit_suggested};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    sync::{mpsc, watch},
    task::JoinSet,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_at_a_match_is_heard_by_all_also_after_a_crash() {
    let scene = Scene::new();
    let server = scene.serve().await;
    let listen = server.listen;
    let (go, gone) = watch::channel(false);
    let (news, mut reached) = mpsc::channel(16);
    let mut players = JoinSet::new();
    for who in 0..2 {
        let client = server.client(who, "hall", EnterAs::Player, Some(boxes(2, 6)));
        players.spawn(talk_and_play(client, who, news.clone(), gone.clone()));
    }
    for _ in 0..2 {
        soon("turn 3", reached.recv()).await.unwrap();
    }
    server.kill().await;
    let server = scene.serve_again(listen).await;
    // Somebody who comes only now hears all of it.
    let watching = format!("--json watch --room hall {}", server.arguments());
    let mut watching = scene.command(&watching).spawn().unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let mut told = Vec::new();
    while told.len() < 3 {
        let line = soon("a line", lines.next_line()).await.unwrap().unwrap();
        let value: Value = serde_json::from_str(&line).unwrap();
        told.extend(value.get("said").cloned());
    }
    go.send_replace(true);
    let heard = soon("the players end", players.join_all()).await;
    while soon("the rest", lines.next_line()).await.unwrap().is_some() {}
    assert!(soon("watching ends", watching.wait()).await.unwrap().success());
    assert_eq!(heard[0], heard[1]);
    assert_eq!(heard[0].iter().map(|(number, ..)| *number).collect::<Vec<_>>(), [1, 2, 3]);
    let of_seat =
        |seat: u8| heard[0].iter().filter(move |(_, of, _)| *of == Some(seat)).map(|(.., words)| words);
    assert!(of_seat(0).chain(of_seat(1)).count() == 3);
    for (value, (number, seat, words)) in told.iter().zip(&heard[0]) {
        assert_eq!((&value["number"], &value["seat"]), (&json!(number), &json!(seat)));
        match words {
            Words::Text(text) => assert_eq!(value["text"], text.as_str()),
            Words::Reaction(reaction) => assert_eq!(value["reaction"], reaction.name()),
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_line_is_said_from_the_command_line() {
    let scene = Scene::new();
    let server = scene.serve().await;
    scene.run(&format!("room create hall {}", server.arguments())).await.ok();
    let say = format!("say --room hall {}", server.arguments());
    let said = scene.run(&format!("{say} hello")).await.ok();
    assert!(said.stdout.ends_with(": hello\n"), "{said:?}");
    let said = scene.run(&format!("--json {say} --reaction good-game")).await.ok().only_json();
    assert_eq!((&said["said"]["reaction"], &said["said"]["number"]), (&json!("good-game"), &json!(2)));
    for bad in ["a\u{202E}b", "", &"x".repeat(281)] {
        let ran = soon("a refusal", scene.command(&say).arg(bad).output()).await.unwrap();
        assert_eq!(ran.status.code(), Some(2), "{ran:?}");
    }
    scene.run(&format!("{say} --reaction hurrah")).await.refused(2);
    scene.run(&format!("say --room nowhere {} hello", server.arguments())).await.refused(3);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_match_runs_those_with_a_seat_speak() {
    let scene = Scene::new();
    let server = scene.serve().await;
    scene.run("key new me.key").await.ok();
    let bots = "bot --room hall --rules boxes --size 9 --deadline 60000 --turns 100 --pace 10000";
    let spawn = |more: &str| scene.command(&format!("{bots} {more} {}", server.arguments())).spawn().unwrap();
    scene.run(&format!("room create hall --rules boxes --seats 2 {}", server.arguments())).await.ok();
    let _bots = [spawn("--key me.key"), spawn("")];
    let playing = async { while server.get_json("/rooms").await["rooms"][0]["phase"] != "playing" {} };
    soon("the match begins", playing).await;
    let say = format!("say --room hall {}", server.arguments());
    let refused = scene.run(&format!("{say} hello")).await;
    assert!(refused.refused(3).contains("spectators listen until the match is over"));
    let said = scene.run(&format!("{say} --key me.key hello")).await.ok();
    assert_eq!(said.stdout, "bot 0: hello\n");
    assert_eq!(server.metric("cadastre_not_said_total{reason=\"only-listening\"}").await, 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_is_told_what_the_operator_says_and_that_the_server_stops() {
    let scene = Scene::new();
    let config = "notice = \"Maintenance at 22:00\"\nshutdown_notice_ms = 1\n";
    let server = scene.serve_configured(config).await;
    let notice = ServerMessage::Notice(Notice::Text(Text::new("Maintenance at 22:00").unwrap()));
    let mut outside = Peer::login(&server, &identity(50)).await;
    assert_eq!(outside.hear().await, Ok(notice.clone()));
    let mut inside = Peer::login(&server, &identity(51)).await;
    assert_eq!(inside.hear().await, Ok(notice));
    inside.create("hall").await;
    inside.enter("hall", EnterAs::Player).await;
    inside.hear_until(|message| matches!(message, ServerMessage::Conversation { .. })).await;
    server.stop().await;
    for mut peer in [inside, outside] {
        assert_eq!(peer.hear().await, Ok(ServerMessage::Notice(Notice::Shutdown { in_ms: 1 })));
        let goodbye = peer.hear().await.unwrap();
        assert!(matches!(goodbye, ServerMessage::Goodbye { reason: GoodbyeReason::Shutdown, .. }));
    }
    for bad in ["notice = \"\"", "notice = \"a\\nb\"", "shutdown_notice_ms = 86400001"] {
        scene.write("bad.toml", bad);
        scene.run("serve --check --config bad.toml").await.refused(2);
    }
}

type Heard = Vec<(u64, Option<u8>, Words)>;

/// Plays to the end, and says something first; waits in turn 3.
async fn talk_and_play(
    mut client: Client,
    who: u8,
    news: mpsc::Sender<()>,
    mut gone: watch::Receiver<bool>,
) -> Heard {
    let mut heard = Vec::new();
    let mut has_spoken = false;
    loop {
        match client.next().await.unwrap() {
            Event::YourTurn { turn, .. } => {
                if !std::mem::replace(&mut has_spoken, true) {
                    client.say(Text::new(&format!("I am {who}")).unwrap()).unwrap();
                }
                if turn.get() == 3 && !*gone.borrow() {
                    news.send(()).await.unwrap();
                    gone.wait_for(|gone| *gone).await.unwrap();
                }
                submit_suggested(&mut client);
            }
            Event::Said { seat, said } => {
                let is_greeting = heard.is_empty() && said.number == 1;
                heard.push((said.number, seat.map(|seat| seat.get()), said.words));
                if is_greeting && who == 0 {
                    client.react(Reaction::Applause).unwrap();
                }
            }
            Event::Ended { .. } => return heard,
            bad @ (Event::NotSaid { .. } | Event::TalkBroken { .. } | Event::TalkMissed { .. }) => {
                panic!("{bad:?}")
            }
            _ => {}
        }
    }
}
