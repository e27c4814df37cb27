//! Either end asks whether the other is there, measures how long the answer takes, and finds a connection that is open
//! at one end only.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use std::{net::SocketAddr, time::Duration};

use cadastre_client::{Client, Event, ServerUrl};
use cadastre_protocol::EnterAs;
use support::{Scene, Server, boxes, soon};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

const MEASURED: &str = "cadastre_round_trip_seconds_count";
const SILENT: &str = "cadastre_connections_closed_total{reason=\"silent\"}";

/// How long bytes are under way, one way.
const LAG: Duration = Duration::from_millis(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ends_measure_the_round_trip() {
    let scene = Scene::new();
    let (_broken, server, mut client) = behind_a_long_line(&scene).await;
    assert_eq!(client.round_trip(), None);
    let mut answers = 0;
    let measured = loop {
        answers += 1;
        soon("an answer", go_on_until(&mut client, server.at_least(MEASURED, answers))).await;
        if let Some(measured) = client.round_trip() {
            break measured;
        }
    };
    assert!(measured >= 2 * LAG, "{measured:?}");
    let (_, metrics) = server.get("/metrics").await;
    let in_time = "cadastre_round_trip_seconds_bucket{le=\"0.032\"} 0";
    assert!(metrics.contains(in_time), "none is faster than the line:\n{metrics}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_carries_nothing_any_more_is_found_by_both_ends() {
    let scene = Scene::new();
    let (broken, server, mut client) = behind_a_long_line(&scene).await;
    let heard = soon("the lobby", async {
        while !matches!(client.next().await.unwrap(), Event::Lobby(_)) {}
        broken.send_replace(1);
        loop {
            if let Event::Lost { reason } = client.next().await.unwrap() {
                return reason;
            }
        }
    });
    assert_eq!(heard.await, "the server is silent");
    server.await_metric(SILENT, 1).await;
    soon("it comes back by a new line", async {
        while !matches!(client.next().await.unwrap(), Event::Connected { .. }) {}
    })
    .await;
    server.stop().await;
}

/// A client at the other end of a line, which breaks when it is told so: the lines made before then carry nothing more, and are not
/// closed.
async fn behind_a_long_line(scene: &Scene) -> (watch::Sender<u32>, Server, Client) {
    let gate = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dialled = gate.local_addr().unwrap();
    let config = format!("authorities = [\"{dialled}\"]\n[limits]\nheartbeat_ms = 500\n");
    let server = scene.serve_configured(&config).await;
    let (broken, breaks) = watch::channel(0);
    tokio::spawn(carry_all(gate, server.listen, breaks));
    let url = ServerUrl::parse(&format!("ws://{dialled}")).unwrap();
    let client = server.client_at(url, 1, "lobby", EnterAs::Player, Some(boxes(2, 4)));
    (broken, server, client)
}

async fn carry_all(gate: TcpListener, server: SocketAddr, breaks: watch::Receiver<u32>) {
    while let Ok((near, _)) = gate.accept().await {
        let (near_from, near_to) = near.into_split();
        let (far_from, far_to) = TcpStream::connect(server).await.unwrap().into_split();
        let mut breaks = breaks.clone();
        breaks.mark_unchanged();
        tokio::spawn(carry(near_from, far_to, breaks.clone()));
        tokio::spawn(carry(far_from, near_to, breaks));
    }
}

/// One direction.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut breaks: watch::Receiver<u32>) {
    let mut bytes = [0; 4096];
    loop {
        tokio::select! {
            biased;
            _ = breaks.changed() => break,
            read = from.read(&mut bytes) => {
                let Ok(length @ 1..) = read else { return };
                tokio::time::sleep(LAG).await;
                if to.write_all(&bytes[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
    // Both ends stay open as long as somebody has the other.
    std::future::pending::<()>().await;
}

async fn go_on_until(client: &mut Client, done: impl Future<Output = ()>) {
    let going_on = async {
        loop {
            client.next().await.unwrap();
        }
    };
    tokio::select! {
        () = going_on => {}
        () = done => {}
    }
}
