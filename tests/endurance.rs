//! A long match while all around it fails: a proxy that cuts every connection again and again, a player's process
//! that stands still, a server that is killed. It ends by itself, and no player's program is started anew.
//!
//! Faults come by the turns that were played. `scripts/endure` plays the same match as long as people would.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use std::{
    net::SocketAddr,
    ops::Range,
    process::Output,
    time::{Duration, Instant},
};

use cadastre_client::{Client, Event};
use cadastre_protocol::{BlockKind, EnterAs, SealReason};
use rustix::process::Signal;
use support::{Scene, signal};
use tokio::{
    net::{TcpListener, TcpStream},
    process::Child,
    sync::watch,
    task::JoinSet,
    time::timeout,
};

const BOTS: usize = 4;

/// What a match has to go through, in turns.
struct Ordeal {
    turns: u32,
    /// For how long a bot thinks.
    pace_ms: u32,
    deadline_ms: u32,
    cut_every: u32,
    kill_every: u32,
    /// The first bot stands still from one turn to another.
    stopped: Range<u32>,
    /// The match takes nearly so long on no machine.
    bound: Duration,
}

impl Ordeal {
    const SHORT: Self = Self {
        turns: 40,
        pace_ms: 0,
        deadline_ms: 1_000,
        cut_every: 3,
        kill_every: 15,
        stopped: 5..11,
        bound: Duration::from_secs(10 * 60),
    };

    /// A connection lives for about four seconds, a server for a minute, and the bot stands still for a minute.
    const LONG: Self = Self {
        turns: 500,
        pace_ms: 1_200,
        deadline_ms: 3_000,
        cut_every: 3,
        kill_every: 45,
        stopped: 100..120,
        bound: Duration::from_secs(3 * 60 * 60),
    };
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_match_outlasts_all_that_happens_to_it() {
    let ordeal = if std::env::var_os("CADASTRE_ENDURANCE").is_some() { Ordeal::LONG } else { Ordeal::SHORT };
    timeout(ordeal.bound, endure(&ordeal)).await.expect("the match goes on");
}

async fn endure(ordeal: &Ordeal) {
    let scene = Scene::new();
    let gate = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dialled = gate.local_addr().unwrap();
    scene.write("config.toml", format!("authorities = [\"{dialled}\"]\n"));
    let serve = |listen| format!("--listen {listen} --data data --config config.toml");
    let mut server = scene.serve_with(&serve("127.0.0.1:0".into())).await;
    let (listen, root) = (server.listen, server.root);
    let cuts = carry_all(gate, listen);

    let Ordeal { turns, pace_ms, deadline_ms, .. } = ordeal;
    let room =
        format!("--rules city --size 64 --seats {BOTS} --turns {turns} --deadline {deadline_ms} arena");
    scene.run(&format!("room create {} {room}", server.arguments())).await.ok();
    let bot = format!("bot --server ws://{dialled} --root-key {root} --room arena --pace {pace_ms}");
    let children: Vec<Child> = (0..BOTS).map(|_| scene.command(&bot).spawn().unwrap()).collect();
    let first = children[0].id().unwrap();
    let mut bots: JoinSet<Output> =
        children.into_iter().map(|child| async { child.wait_with_output().await.unwrap() }).collect();

    let begun = Instant::now();
    let mut watcher = server.client(9, "arena", EnterAs::Spectator, None);
    let mut kills = 0;
    while let Some(turn) = next_turn(&mut watcher, &mut bots).await {
        if turn == ordeal.stopped.start {
            signal(first, Signal::STOP);
        }
        if turn == ordeal.stopped.end {
            signal(first, Signal::CONT);
        }
        if turn.is_multiple_of(ordeal.cut_every) {
            cuts.send_modify(|cuts| *cuts += 1);
        }
        if turn.is_multiple_of(ordeal.kill_every) {
            server.kill().await;
            server = scene.serve_with(&serve(listen.to_string())).await;
            kills += 1;
        }
    }
    while let Some(bot) = bots.join_next().await {
        assert_followed_to_the_end(&bot.unwrap());
    }
    let cuts = *cuts.borrow();
    println!("{turns} turns in {:.0?}: {cuts} times all cut, {kills} servers killed", begun.elapsed());

    scene.run(&format!("export {} --room arena --out arena.cadr", server.arguments())).await.ok();
    let audit = scene.run(&format!("--json audit arena.cadr --root-key {root}")).await.ok().json();
    let result = audit.last().unwrap();
    assert_eq!((&result["audit"], &result["complete"]), (&"valid".into(), &true.into()), "{result}");
    assert_eq!(result["turns"], *turns, "{result}");
    server.stop().await;
}

/// Goes on to the next turn that the watcher sees closed; `None` when the match is over, by its last turn.
async fn next_turn(watcher: &mut Client, bots: &mut JoinSet<Output>) -> Option<u32> {
    loop {
        let event = tokio::select! {
            event = watcher.next() => event.unwrap(),
            Some(bot) = bots.join_next() => {
                assert_followed_to_the_end(&bot.unwrap());
                continue;
            }
        };
        if let Event::Ended { reason, .. } = event {
            assert_eq!(reason, SealReason::TurnLimit);
            return None;
        }
        if let Event::Block { head, kind: BlockKind::Turn, .. } = event {
            return Some(head.turn.get());
        }
    }
}

/// A bot ends by itself, and well, when the match is over.
fn assert_followed_to_the_end(bot: &Output) {
    assert!(bot.status.success(), "{bot:?}");
}

/// Carries what comes through the gate to a server and back. Whenever the number is changed, all connections are cut.
fn carry_all(gate: TcpListener, server: SocketAddr) -> watch::Sender<u32> {
    let (cuts, cut) = watch::channel(0);
    tokio::spawn(async move {
        while let Ok((near, _)) = gate.accept().await {
            tokio::spawn(carry(near, server, cut.clone()));
        }
    });
    cuts
}

async fn carry(mut near: TcpStream, server: SocketAddr, mut cut: watch::Receiver<u32>) {
    cut.mark_unchanged();
    // Whoever comes while there is no server is sent away, as by any proxy.
    let Ok(mut far) = TcpStream::connect(server).await else { return };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
        _ = cut.changed() => {}
    }
}
