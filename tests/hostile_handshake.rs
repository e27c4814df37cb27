//! Handshakes that must not end well, before a live server: each is closed in the same way, none before the
//! time that all of them take, and the server goes on.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use std::time::{Duration, Instant};

use cadastre_protocol::{ClientMessage, M1_BYTES, M3_BYTES, RECORD_BYTES_MAX, encode};
use support::{
    Scene, Server, identity,
    peer::{End, Peer, Wire, now},
    random::Random,
};
use tokio_tungstenite::tungstenite::Message;

/// Declares a test for each way to fail.
macro_rules! refused {
    ($($name:ident: $act:expr,)*) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            refused($act).await;
        }
    )* };
}

refused! {
    m1_empty: async |wire, _| wire.send_binary(&[]).await,
    m1_of_zeros: async |wire, _| wire.send_binary(&[0; M1_BYTES]).await,
    m1_of_random_bytes: async |wire, _| wire.send_binary(&Random::seeded(2).bytes(M1_BYTES)).await,
    m1_one_byte_short: async |wire, server| {
        let m1 = spied(server).await.0;
        wire.send_binary(&m1[..M1_BYTES - 1]).await;
    },
    m1_with_a_trailing_byte: async |wire, server| {
        wire.send_binary(&[spied(server).await.0, vec![0]].concat()).await;
    },
    m1_of_the_longest_record: async |wire, _| wire.send_binary(&[7; RECORD_BYTES_MAX]).await,
    m1_in_text: async |wire, _| wire.send(Message::text("0".repeat(M1_BYTES))).await,
    versions_stripped: async |wire, server| m1_with(wire, server, 0, &[0, 0]).await,
    only_an_unknown_version: async |wire, server| m1_with(wire, server, 0, &[1, 9]).await,
    versions_twice: async |wire, server| m1_with(wire, server, 0, &[2, 1, 1]).await,
    only_an_unknown_suite: async |wire, server| m1_with(wire, server, 5, &[1, 9]).await,
    padding_that_is_not_zero: async |wire, server| m1_with(wire, server, M1_BYTES - 1, &[1]).await,
    low_order_ephemeral_0: async |wire, server| m1_with(wire, server, 10, &low_order(0)).await,
    low_order_ephemeral_1: async |wire, server| m1_with(wire, server, 10, &low_order(1)).await,
    low_order_ephemeral_2: async |wire, server| m1_with(wire, server, 10, &low_order(2)).await,
    low_order_ephemeral_3: async |wire, server| m1_with(wire, server, 10, &low_order(3)).await,
    low_order_ephemeral_4: async |wire, server| m1_with(wire, server, 10, &low_order(4)).await,
    low_order_ephemeral_5: async |wire, server| m1_with(wire, server, 10, &low_order(5)).await,
    low_order_ephemeral_6: async |wire, server| m1_with(wire, server, 10, &low_order(6)).await,
    replayed_m1_and_m3: async |wire, server| {
        let (m1, m3) = spied(server).await;
        wire.send_binary(&m1).await;
        // A replayed M1 is answered like a new one; the M3 that went with it is good no more.
        wire.receive().await.unwrap();
        wire.send_binary(&m3).await;
    },
    m1_twice: async |wire, server| {
        let (_, m1) = wire.send_m1(server, &identity(50)).await;
        wire.receive().await.unwrap();
        wire.send_binary(&m1).await;
    },
    m3_of_another_session: async |wire, server| {
        let (_, m3) = spied(server).await;
        wire.send_m1(server, &identity(51)).await;
        wire.receive().await.unwrap();
        wire.send_binary(&m3).await;
    },
    m3_made_for_another_server: async |wire, _| {
        // The other server has the same root key, and another place.
        let scene = Scene::new();
        let other = scene.serve().await;
        let mut there = Wire::dial(&other).await;
        let (handshake, m1) = there.send_m1(&other, &identity(50)).await;
        let m2 = there.receive().await.unwrap();
        let (m3, _) = handshake.receive(&m2, now()).unwrap();
        wire.send_binary(&m1).await;
        wire.receive().await.unwrap();
        wire.send_binary(&m3).await;
        drop(there);
        other.stop().await;
    },
    m3_with_a_flipped_bit: async |wire, server| {
        let mut m3 = answered(wire, server).await;
        m3[40] ^= 4;
        wire.send_binary(&m3).await;
    },
    m3_one_byte_short: async |wire, server| {
        let m3 = answered(wire, server).await;
        wire.send_binary(&m3[..M3_BYTES - 1]).await;
    },
    m3_in_text: async |wire, server| {
        answered(wire, server).await;
        wire.send(Message::text("0".repeat(M3_BYTES))).await;
    },
    early_data_in_place_of_m3: async |wire, server| {
        // The client knows its record keys once it has made M3; it sends a record first.
        let (handshake, _) = wire.send_m1(server, &identity(50)).await;
        let m2 = wire.receive().await.unwrap();
        let (_, mut session) = handshake.receive(&m2, now()).unwrap();
        let mut records = Vec::new();
        let ping = encode(&ClientMessage::Ping(1));
        session.sealer.seal(&ping, cadastre_protocol::Padding::Block64, &mut records).unwrap();
        wire.send_binary(&records[0]).await;
    },
    early_data_behind_m1: async |wire, server| {
        wire.send_m1(server, &identity(50)).await;
        wire.send_binary(&[1; 81]).await;
    },
}

/// Does something in place of a handshake, and looks at the end of it.
async fn refused(act: impl AsyncFnOnce(&mut Wire, &Server)) {
    let scene = Scene::new();
    let server = scene.serve().await;
    let mut wire = Wire::dial(&server).await;
    let began = Instant::now();
    act(&mut wire, &server).await;
    assert_eq!(wire.end().await, End::refusal());
    assert!(began.elapsed() >= FAILURE_FLOOR, "{:?}", began.elapsed());
    Peer::login(&server, &identity(52)).await;
    server.check_log();
    server.stop().await;
}

/// Least time that a failure takes: `src/edge/socket.rs`.
const FAILURE_FLOOR: Duration = Duration::from_millis(250);

/// M1 and M3 of somebody who got in.
async fn spied(server: &Server) -> (Vec<u8>, Vec<u8>) {
    let spy = Peer::login(server, &identity(50)).await;
    let [m1, m3] = spy.sent.clone();
    (m1, m3)
}

/// Sends an M1 that was changed.
async fn m1_with(wire: &mut Wire, server: &Server, at: usize, to: &[u8]) {
    let mut m1 = spied(server).await.0;
    m1[at..at + to.len()].copy_from_slice(to);
    wire.send_binary(&m1).await;
}

/// Gets as far as M3, which is not sent.
async fn answered(wire: &mut Wire, server: &Server) -> Vec<u8> {
    let (handshake, _) = wire.send_m1(server, &identity(51)).await;
    let m2 = wire.receive().await.unwrap();
    handshake.receive(&m2, now()).unwrap().0
}

/// The points of small order of X25519, on the curve and its twist.
fn low_order(number: usize) -> [u8; 32] {
    let points = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    hex::decode(points[number]).unwrap().try_into().unwrap()
}
