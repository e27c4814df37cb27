//! Whoever comes late to a long match gets its state instead of its blocks.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "only in tests")]

mod support;

use cadastre_client::{Client, Event};
use cadastre_protocol::{EnterAs, Following};
use support::{
    Scene, Server, boxes, city, soon,
    table::{Table, chain_of},
};

/// More than a guest is told block by block.
const LONG: u32 = 70;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_to_a_long_match_gets_its_state_in_few_bytes() {
    let scene = Scene::new();
    let server = scene.serve().await;
    let mut table = Table::open(&server, "long", city(2, LONG + 4)).await;
    for _ in 0..LONG {
        table.turn().await;
    }
    let (mut newcomer, blocks) = join(&server, 60, Following::Snapshot).await;
    assert_eq!(blocks, 0, "nothing came after the state");
    assert_eq!(chain_of(&newcomer).head(), table.chain().head());
    let snapshot = newcomer.session().follower().unwrap().game().snapshot();
    let state_bytes: u64 = snapshot.iter().map(|(_, chunk)| chunk.len() as u64).sum();
    let bytes = async |name, kind| {
        server.metric(&format!("cadastre_messages_{name}_bytes_total{{kind=\"{kind}\"}}")).await
    };
    let (plain, sent) = (bytes("plain", "chunks").await, bytes("sent", "chunks").await);
    let point = bytes("plain", "snapshot").await;
    assert!(
        plain >= state_bytes && sent < plain / 2,
        "{state_bytes} bytes of state, {plain} plain, {sent} sent"
    );
    assert!(point > 0 && sent + point <= state_bytes + state_bytes / 20, "{sent} and {point}");

    // One who wants every block gets every block, and comes to the same state.
    let (patient, blocks) = join(&server, 61, Following::Blocks).await;
    assert_eq!(blocks, LONG + 1);
    assert_eq!(chain_of(&patient).head(), chain_of(&newcomer).head());
    let head = *table.chain().head();
    table.finish().await;
    while !matches!(soon("the end", newcomer.next()).await.unwrap(), Event::Ended { .. }) {}
    assert_eq!(chain_of(&newcomer).head(), table.chain().head());
    assert!(head.height < table.chain().head().height);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_state_of_a_match_that_goes_on_after_a_restart_can_be_joined() {
    let scene = Scene::new();
    let server = scene.serve().await;
    let mut table = Table::open(&server, "long", boxes(2, 200)).await;
    for _ in 0..LONG {
        table.turn().await;
    }
    let played = *table.chain().head();
    drop(table);
    server.kill().await;
    let server = scene.serve().await;
    // The state is that of the head or, where the turn was opened again, of the stored keyframe.
    let (newcomer, blocks) = join(&server, 60, Following::Snapshot).await;
    let head = chain_of(&newcomer).head();
    assert_eq!(head.turn, played.turn);
    let joined = head.height.get() - u64::from(blocks);
    assert!(joined == 65 || joined == played.height.get(), "joined at {joined}");
    server.stop().await;
}

/// A spectator who has caught up, and how many blocks it was shown.
async fn join(server: &Server, who: u8, following: Following) -> (Client, u32) {
    let mut client = server.client(who, "long", EnterAs::Spectator, None);
    client.follow(following);
    let (mut blocks, mut joined) = (0, 0);
    loop {
        match soon("the match", client.next()).await.unwrap() {
            Event::CaughtUp => break,
            Event::Block { .. } => blocks += 1,
            Event::Joined { .. } => joined += 1,
            _ => {}
        }
    }
    assert_eq!(joined, u32::from(following == Following::Snapshot));
    (client, blocks)
}
