//! Whoever executes nothing is shown a match by the service, and whoever does not read holds up nobody.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "only in tests")]

mod support;

use cadastre_client::{Client, Event, Viewport};
use cadastre_protocol::{EnterAs, Height};
use support::{Scene, city, soon, table::Table};
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_see_a_match_while_some_do_not_read() {
    const TURNS: u32 = 12;
    let scene = Scene::new();
    let server = scene.serve().await;
    let mut table = Table::open(&server, "watched", city(2, TURNS)).await;
    let mut readers: Vec<Client> = Vec::new();
    for who in 0..45 {
        let mut reader = server.client(100 + who, "watched", EnterAs::Light, None);
        if who % 5 == 0 {
            reader.watch(Viewport::Tiles { left: 0, top: 0, width: 16, height: 16 });
        }
        see(&mut reader, Height::new(1)).await;
        readers.push(reader);
    }
    // They have entered, and nothing reads from their connections any more.
    let mut silent = Vec::new();
    for who in 0..5 {
        let mut client = server.client(200 + who, "watched", EnterAs::Light, None);
        see(&mut client, Height::new(1)).await;
        silent.push(client);
    }
    let last = Height::new(u64::from(TURNS) + 2);
    let mut watching = JoinSet::new();
    for mut reader in readers {
        watching.spawn(async move {
            see(&mut reader, last).await;
            reader
        });
    }
    // No player may lose its connection, and each sees every block once.
    table.finish().await;
    let readers = soon("all are shown the end", watching.join_all()).await;
    let players = table.players();
    for player in players {
        let heights: Vec<_> = player.seen().iter().map(|(height, _)| height.get()).collect();
        assert_eq!(heights, (1..=last.get()).collect::<Vec<_>>());
    }
    let root = table.chain().head().state_root;
    for reader in &readers {
        let light = reader.session().light().unwrap();
        assert_eq!((light.head().height(), light.head().state_root()), (last, Some(root)));
        if light.chunks().len() < 10 {
            assert!(light.game().is_none());
        } else {
            assert_eq!(light.game().unwrap().state_root(), root);
        }
    }
    let bytes = async |name, kind| {
        server.metric(&format!("cadastre_messages_{name}_bytes_total{{kind=\"{kind}\"}}")).await
    };
    assert!(bytes("sent", "view").await < bytes("plain", "view").await);
    drop(silent);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_match_that_goes_on_after_a_restart_is_shown_at_once() {
    let scene = Scene::new();
    let server = scene.serve().await;
    let mut table = Table::open(&server, "watched", city(2, 20)).await;
    let mut watcher = server.client(60, "watched", EnterAs::Light, None);
    see(&mut watcher, Height::new(1)).await;
    for _ in 0..3 {
        table.turn().await;
    }
    see(&mut watcher, Height::new(4)).await;
    let (listen, head) = (server.listen, *table.chain().head());
    drop(table);
    server.kill().await;
    let server = scene.serve_again(listen).await;
    // It comes back by itself, and is shown where the match stands.
    see(&mut watcher, head.height).await;
    assert_eq!(watcher.session().light().unwrap().head().state_root(), Some(head.state_root));
    server.stop().await;
}

/// Waits until a client was shown this block or a later one.
async fn see(client: &mut Client, height: Height) {
    loop {
        match soon("a block is shown", client.next()).await.unwrap() {
            Event::Shown { header } if header.height >= height => break,
            event @ (Event::Failed(_) | Event::Desync(_) | Event::Evidence(_)) => panic!("{event:?}"),
            _ => {}
        }
    }
}
