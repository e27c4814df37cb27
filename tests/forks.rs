//! Rooms whose matches go on from a turn of another one.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "only in tests")]

mod support;

use cadastre_client::{Client, Event, create_room};
use cadastre_protocol::{
    BlockKind, ClientMessage, Digest, EnterAs, Failure, Following, ForkPoint, MatchId, Parent, RoomName,
    RoomSpec, ServerMessage, SpectatorPolicy, Trust, Turn, encode,
};
use futures_util::SinkExt;
use support::{
    Scene, Server, boxes, city, identity,
    peer::Peer,
    soon,
    table::{Player, Table, chain_of},
};
use tokio_tungstenite::tungstenite::Message;

/// More than a guest is told block by block.
const LONG: u32 = 70;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fork_is_joined_late_watched_and_put_to_sleep_like_any_match() {
    let scene = Scene::new();
    let server = scene.serve_configured("[rooms]\nsleep_ms = 100\n").await;
    let mut parent = Table::open(&server, "r", city(2, 3)).await;
    parent.finish().await;
    let parent_id = parent.chain().match_id();
    scene.run(&format!("export {} --room r --out r.cadr", server.arguments())).await.ok();
    let (room, turns) = (RoomName::new("s").unwrap(), LONG + 1);
    let point = Some(ForkPoint { match_id: parent_id, turn: Turn::new(2) });
    let spec = RoomSpec { fork: point, ..city(2, turns) };
    let created = create_room(&server.url(), Trust::Pinned(server.root), &identity(9), &room, |_| spec).await;
    assert_eq!(created.unwrap().1, Ok(()));

    let mut table = Table::open(&server, "s", city(2, turns)).await;
    let Parent { match_id, turn, state_root, .. } = table.chain().genesis().parent.unwrap();
    assert_eq!((match_id, turn), (parent_id, Turn::new(2)));
    let replayed = scene.run("--json replay r.cadr --turn 2").await.ok().only_json();
    assert_eq!(replayed["state_root"], state_root.to_string());
    for _ in 0..LONG {
        table.turn().await;
    }
    let mut late = watch(&server, 20, EnterAs::Spectator, Following::Snapshot);
    while !matches!(soon("a state to join at", late.next()).await.unwrap(), Event::Joined { .. }) {}
    assert_eq!(chain_of(&late).head(), table.chain().head());
    let mut light = watch(&server, 21, EnterAs::Light, Following::Blocks);
    while !matches!(soon("the newest block", light.next()).await.unwrap(), Event::Shown { .. }) {}
    let seen = light.session().light().unwrap();
    assert_eq!(seen.game().unwrap().state_root(), table.chain().head().state_root);

    let head = *table.chain().head();
    drop((table, late, light));
    server.await_metric("cadastre_rooms_asleep", 1).await;
    let mut early = watch(&server, 22, EnterAs::Spectator, Following::Blocks);
    while soon("all blocks", early.next()).await.unwrap() != Event::CaughtUp {}
    assert_eq!(*chain_of(&early).head(), head, "it was executed from the first state on");
    drop(early);
    server.await_metric("cadastre_rooms_asleep", 1).await;
    let mut players = [0, 1].map(|who| Player::new(server.client(who, "s", EnterAs::Player, None)));
    let [one, other] = &mut players;
    let ends = async { tokio::join!(one.play_until(BlockKind::seals), other.play_until(BlockKind::seals)) };
    soon("the match ends", Box::pin(ends)).await;
    scene.run(&format!("export {} --room s --out s.cadr", server.arguments())).await.ok();
    let audit = scene.run(&format!("--json audit s.cadr --parent r.cadr --root-key {}", server.root)).await;
    let audit = audit.ok().only_json();
    assert_eq!((&audit["turns"], &audit["parent"]["traced"]), (&turns.into(), &true.into()));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_answered_while_it_waits_for_a_fork() {
    let scene = Scene::new();
    let server = scene.serve().await;
    let mut parent = Table::open(&server, "r", boxes(2, 4)).await;
    parent.finish().await;
    let mut peer = Peer::login(&server, &identity(9)).await;
    let fork = |room: &str| create(room, parent.chain().match_id(), 4);
    // In one write: the server has them all before it has the fork.
    for message in [fork("s"), fork("t"), ClientMessage::Ping(7)] {
        for record in peer.seal(&encode(&message)) {
            peer.wire.socket.feed(Message::binary(record)).await.unwrap();
        }
    }
    peer.wire.socket.flush().await.unwrap();
    assert_eq!(peer.hear().await, Ok(ServerMessage::Failed(Failure::WrongState)), "one at a time");
    assert_eq!(peer.hear().await, Ok(ServerMessage::Pong(7)));
    let room = RoomName::new("s").unwrap();
    assert_eq!(peer.hear().await, Ok(ServerMessage::Created { room }));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_forks_what_he_may_not_see_or_what_never_was() {
    let scene = Scene::new();
    let server = scene.serve().await;
    let mut hidden =
        Table::open(&server, "r", RoomSpec { spectators: SpectatorPolicy::Forbidden, ..boxes(2, 4) }).await;
    hidden.turn().await;
    let match_id = hidden.chain().match_id();
    let mut stranger = Peer::login(&server, &identity(9)).await;
    let mut answer = async |room: &str, match_id, turn| {
        stranger.say(&create(room, match_id, turn)).await;
        stranger.hear().await.unwrap()
    };
    let failed = ServerMessage::Failed;
    assert_eq!(answer("s", match_id, 1).await, failed(Failure::NoSpectators));
    assert_eq!(answer("r", match_id, 1).await, failed(Failure::RoomExists));
    hidden.finish().await;
    assert_eq!(answer("s", match_id, 5).await, failed(Failure::NoSuchMatch), "it had four turns");
    assert_eq!(answer("s", MatchId::new(Digest::ZERO), 1).await, failed(Failure::NoSuchMatch));
    let room = RoomName::new("s").unwrap();
    assert_eq!(answer("s", match_id, 1).await, ServerMessage::Created { room });

    let spectators = SpectatorPolicy::Allowed { delay_turns: 2 };
    let mut delayed = Table::open(&server, "d", RoomSpec { spectators, ..boxes(2, 4) }).await;
    for _ in 0..3 {
        delayed.turn().await;
    }
    let match_id = delayed.chain().match_id();
    assert_eq!(answer("t", match_id, 2).await, failed(Failure::NoSuchMatch), "not to be known yet");
    let room = RoomName::new("t").unwrap();
    assert_eq!(answer("t", match_id, 1).await, ServerMessage::Created { room });
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_came_late_forks_what_others_may_not_see() {
    let scene = Scene::new();
    let server = scene.serve().await;
    let open = RoomSpec { seats_min: 2, late_joins: true, ..boxes(3, 4) };
    let mut hidden =
        Table::open(&server, "r", RoomSpec { spectators: SpectatorPolicy::Forbidden, ..open }).await;
    let match_id = hidden.chain().match_id();
    let mut late = server.client(9, "r", EnterAs::Player, None);
    while !matches!(soon("a receipt of the seat", late.next()).await.unwrap(), Event::Receipt(_)) {}
    let mut peer = Peer::login(&server, &identity(9)).await;
    peer.say(&create("s", match_id, 0)).await;
    assert_eq!(peer.hear().await, Ok(ServerMessage::Failed(Failure::NoSpectators)), "no block says so yet");
    hidden.turn().await;
    peer.say(&create("s", match_id, 0)).await;
    let room = RoomName::new("s").unwrap();
    assert_eq!(peer.hear().await, Ok(ServerMessage::Created { room }));
    drop((late, hidden));
    server.stop().await;
}

fn create(room: &str, match_id: MatchId, turn: u32) -> ClientMessage {
    let fork = Some(ForkPoint { match_id, turn: Turn::new(turn) });
    ClientMessage::Create { room: RoomName::new(room).unwrap(), spec: RoomSpec { fork, ..boxes(2, 4) } }
}

fn watch(server: &Server, who: u8, enter_as: EnterAs, following: Following) -> Client {
    let mut client = server.client(who, "s", enter_as, None);
    client.follow(following);
    client
}
