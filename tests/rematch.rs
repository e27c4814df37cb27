//! One match after the other in a room of the service.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "only in tests")]

mod support;

use cadastre_client::{Client, Event};
use cadastre_protocol::{
    BlockKind, ClientMessage, EnterAs, Failure, Height, MatchId, RoomName, ServerMessage,
};
use support::{
    Scene, boxes, identity,
    peer::Peer,
    soon,
    table::{Player, Table, chain_of, submit_suggested},
};
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn matches_in_a_row_are_watched_and_survive_a_restart() {
    let scene = Scene::new();
    let server = scene.serve().await;
    let mut table = Table::open(&server, "r", boxes(2, 3)).await;
    let mut light = server.client(20, "r", EnterAs::Light, None);
    see(&mut light, Height::new(1)).await;
    for _ in 0..2 {
        let first = table.chain().match_id();
        table.finish().await;
        table.rematch().await;
        assert_ne!(table.chain().match_id(), first);
        see(&mut light, Height::new(1)).await;
        table.turn().await;
        see(&mut light, Height::new(2)).await;
        let shown = light.session().light().unwrap();
        assert_eq!(shown.game().unwrap().state_root(), table.chain().head().state_root);
    }
    let before = table.chain().match_id();
    drop(table);
    server.kill().await;
    let server = scene.serve().await;
    let mut players = [0, 1].map(|who| Player::new(server.client(who, "r", EnterAs::Player, None)));
    let [one, other] = &mut players;
    let ends = async { tokio::join!(one.play_until(BlockKind::seals), other.play_until(BlockKind::seals)) };
    soon("the match ends", Box::pin(ends)).await;
    let stored = server.get_json("/matches").await;
    let stored = stored["matches"].as_array().unwrap();
    assert_eq!(stored.len(), 3);
    assert!(stored.iter().all(|it| it["room"] == "r" && it["sealed"] == true), "{stored:?}");
    assert_eq!(stored[0]["match_id"], before.to_string(), "the newest comes first");
    scene.run(&format!("export {} --room r --out r.cadr", server.arguments())).await.ok();
    let audit = scene.run(&format!("--json audit r.cadr --root-key {}", server.root)).await.ok().only_json();
    assert_eq!((&audit["match_id"], &audit["turns"]), (&before.to_string().into(), &3.into()));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_match_begins_in_a_room_whose_name_another_one_has() {
    let scene = Scene::new();
    let server = scene.serve().await;
    let mut clients = [0, 1].map(|who| server.client(who, "r", EnterAs::Player, Some(boxes(2, 2))));
    let [one, other] = &mut clients;
    let ended = async { tokio::join!(play_out(one), play_out(other)) };
    let (first, _) = soon("the match ends", Box::pin(ended)).await;
    let over = async { while server.get_json("/rooms").await["rooms"][0]["phase"] != "ended" {} };
    soon("the match is over", over).await;
    let mut peer = Peer::login(&server, &identity(9)).await;
    assert!(matches!(peer.create("r").await, ServerMessage::Created { .. }), "the name is free");
    let mut playing = JoinSet::new();
    for mut client in clients {
        client.rematch().unwrap();
        playing.spawn(async move {
            let second = play_out(&mut client).await;
            assert_ne!(second, first);
            second
        });
    }
    let both = soon("the match in the other room ends", playing.join_all()).await;
    assert_eq!(both[0], both[1]);
    let rooms = server.get_json("/rooms").await;
    let rooms = rooms["rooms"].as_array().unwrap();
    assert_eq!((rooms.len(), &rooms[0]["match_id"]), (1, &both[0].to_string().into()), "{rooms:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_keeps_its_name_for_whoever_wants_a_rematch() {
    let scene = Scene::new();
    let server = scene.serve().await;
    let mut clients = [0, 1].map(|who| server.client(who, "r", EnterAs::Player, Some(boxes(2, 2))));
    let [one, other] = &mut clients;
    let ended = async { tokio::join!(play_out(one), play_out(other)) };
    let (first, _) = soon("the match ends", Box::pin(ended)).await;
    one.rematch().unwrap();
    while !matches!(soon("one wants it", one.next()).await.unwrap(), Event::Rematch { .. }) {}
    // The room lets nobody in before it has shown to all what it has come to.
    let mut peer = Peer::login(&server, &identity(9)).await;
    peer.enter("r", EnterAs::Spectator).await;
    peer.hear_until(|message| matches!(message, ServerMessage::CaughtUp { .. })).await;
    peer.say(&ClientMessage::Leave).await;
    peer.say(&ClientMessage::Create { room: RoomName::new("r").unwrap(), spec: boxes(2, 4) }).await;
    let answer = peer.hear_until(|message| !matches!(message, ServerMessage::Conversation { .. })).await;
    assert_eq!(answer, ServerMessage::Failed(Failure::RoomExists));
    other.rematch().unwrap();
    let ended = async { tokio::join!(play_out(one), play_out(other)) };
    let (second, _) = soon("the rematch ends", Box::pin(ended)).await;
    assert_ne!(second, first);
    server.stop().await;
}

/// Plays whatever match comes to its end.
async fn play_out(client: &mut Client) -> MatchId {
    loop {
        match client.next().await.unwrap() {
            Event::YourTurn { .. } => submit_suggested(client),
            Event::Ended { .. } => return chain_of(client).match_id(),
            event @ (Event::Evidence(_) | Event::Desync(_) | Event::Failed(_)) => panic!("{event:?}"),
            _ => {}
        }
    }
}

/// Waits until a client was shown this block.
async fn see(client: &mut Client, height: Height) {
    loop {
        match soon("a block is shown", client.next()).await.unwrap() {
            Event::Shown { header } if header.height == height => return,
            event @ (Event::Failed(_) | Event::Lost { .. } | Event::Evidence(_)) => panic!("{event:?}"),
            _ => {}
        }
    }
}
