//! The server is killed again and again, and nobody ever loses a block that it had shown.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "only in tests")]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use cadastre_client::{Client, Event};
use cadastre_protocol::{BlockHash, BlockKind, EnterAs, Height, PublicKey, SealReason};
use cadastre_replay::Replay;
use support::{
    Scene, Server, city, identity,
    peer::Wire,
    random::Random,
    soon,
    table::{chain_of, submit_suggested},
};
use tokio::{io::AsyncWriteExt, net::TcpStream, process::Child, sync::mpsc, task::JoinSet};

const SEED: u64 = 20_261_121;
const BOTS: u8 = 4;
const TURNS: u32 = 50;

/// Kills of a server that serves; those of one that starts come on top.
const KILLS: usize = 20;

/// Most news that the bots have between two kills: a little more than two turns.
const NEWS_BETWEEN_KILLS: usize = 18;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_block_that_anybody_saw_is_lost_by_twenty_kills() {
    let scene = Scene::new();
    let mut server = scene.serve().await;
    let (listen, root) = (server.listen, server.root);
    let mut bots = Bots::start(&server, "match", BOTS, TURNS);
    let mut random = Random::for_this_run(SEED);
    let mut moments = Moment::all(&mut random).into_iter();
    let mut next = moments.next();
    while let Some(news) = bots.news().await {
        let Some(moment) = &mut next else { continue };
        if !moment.has_come(&news) {
            continue;
        }
        server.kill().await;
        for _ in 0..random.below(3) {
            kill_while_it_starts(&scene, listen, &mut random).await;
        }
        match random.below(4) {
            0 => _ = scene.run("key rotate --data data").await.ok(),
            1 => kill_while_it_rotates(&scene, &mut random).await,
            _ => {}
        }
        server = scene.serve_again(listen).await;
        next = moments.next();
    }
    assert!(next.is_none(), "the match ended before {next:?} and {moments:?}");

    let seen = bots.seen().await;
    scene.run(&format!("export {} --room match --out match.cadr", server.arguments())).await.ok();
    assert_proves_all_that_was_seen(&scene.read("match.cadr"), root, &seen);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_ends_the_server_in_good_order_and_the_match_goes_on_after_it() {
    let scene = Scene::new();
    // Whoever dawdles may do so for ten minutes: the end must not wait for it.
    scene.write("config.toml", "[limits]\nhandshake_ms_max = 600000\nwrite_ms_max = 600000\n");
    let mut server = scene.serve_with("--listen 127.0.0.1:0 --data data --config config.toml").await;
    let (listen, root) = (server.listen, server.root);
    let mut bots = Bots::start(&server, "match", 2, 12);
    let mut terminations = [3, 7].into_iter().peekable();
    while let Some(news) = bots.news().await {
        let due = |turn: &u32| matches!(news, News::Block { turn: now, .. } if now >= *turn);
        if terminations.next_if(due).is_none() {
            continue;
        }
        let dawdlers = if terminations.peek().is_none() { Some(dawdlers(&server).await) } else { None };
        server.stop().await;
        drop(dawdlers);
        server = scene.serve_again(listen).await;
    }
    assert_eq!(terminations.next(), None);
    let seen = bots.seen().await;
    scene.run(&format!("export {} --room match --out match.cadr", server.arguments())).await.ok();
    assert_proves_all_that_was_seen(&scene.read("match.cadr"), root, &seen);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_that_is_killed_anywhere_is_taken_up_by_the_next() {
    // In the order in which they come to be.
    let milestones = [
        "lock",
        "keys",
        "keys/root.key",
        "keys/root.pub",
        "keys/handshake.key",
        "keys/root.serial",
        "keys/handshake.cert",
        "keys/block.key",
        "keys/block.cert",
        "keys/log.key",
        "keys/log.cert",
        "store",
        "store/conf",
        "store/db",
        "keys/generation",
        "keys/log-signed",
        "log/checkpoint",
    ];
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    for milestone in milestones {
        let scene = Scene::new();
        let path = scene.path("data").join(milestone);
        // The second and third find what the one before them left.
        for _ in 0..3 {
            let mut child = start(&scene, listen);
            let is_there = async {
                while !path.exists() {
                    tokio::task::yield_now().await;
                }
            };
            soon(milestone, is_there).await;
            soon("it dies", child.kill()).await.unwrap();
        }
        let first = scene.serve().await;
        let root = first.root;
        first.stop().await;
        let second = scene.serve().await;
        assert_eq!(second.root, root, "{milestone}");
        second.stop().await;
    }
}

/// Half a request, a handshake that does not begin, and one that does not go on.
async fn dawdlers(server: &Server) -> (TcpStream, Wire, Wire) {
    let mut half_a_head = TcpStream::connect(server.listen).await.unwrap();
    half_a_head.write_all(b"GET /health HTTP/1.1\r\nHo").await.unwrap();
    let silent = Wire::dial(server).await;
    let mut half_a_handshake = Wire::dial(server).await;
    half_a_handshake.send_m1(server, &identity(99)).await;
    half_a_handshake.receive().await.unwrap();
    (half_a_head, silent, half_a_handshake)
}

/// Kills a server at once, or as soon as it has told the key folder that it starts.
async fn kill_while_it_starts(scene: &Scene, listen: SocketAddr, random: &mut Random) {
    let mut child = start(scene, listen);
    if random.below(2) == 0 {
        let generation = scene.path("data/keys/generation");
        let before = std::fs::read(&generation).unwrap();
        let is_starting = async {
            while std::fs::read(&generation).unwrap() == before {
                tokio::task::yield_now().await;
            }
        };
        soon("the next generation", is_starting).await;
    }
    soon("it dies", child.kill()).await.unwrap();
}

/// Kills a rotation at once, or as soon as there is a new block key: the old one or the new one is in force.
async fn kill_while_it_rotates(scene: &Scene, random: &mut Random) {
    let mut child = scene.command("key rotate --data data").spawn().unwrap();
    if random.below(2) == 0 {
        let certificate = scene.path("data/keys/block.cert");
        let next = scene.path("data/keys/next-block.key");
        let before = std::fs::read(&certificate).unwrap();
        let is_rotating = async {
            while !next.exists() && std::fs::read(&certificate).unwrap() == before {
                tokio::task::yield_now().await;
            }
        };
        soon("the next key", is_rotating).await;
    }
    soon("it dies", child.kill()).await.unwrap();
}

fn start(scene: &Scene, listen: SocketAddr) -> Child {
    scene.spawn_server(&format!("--listen {listen} --data data"), &scene.path("server.log"))
}

/// When the server is to be killed.
#[derive(Debug)]
enum Moment {
    /// All bots sit in the lobby.
    Full,
    /// So many bots know the match, and it has not begun.
    Joining(usize),
    /// After so much news of the running match.
    Playing(usize),
}

impl Moment {
    fn all(random: &mut Random) -> Vec<Self> {
        let mut moments = vec![Self::Full, Self::Joining(1 + random.below(usize::from(BOTS)))];
        moments.resize_with(KILLS, || Self::Playing(1 + random.below(NEWS_BETWEEN_KILLS)));
        moments
    }

    fn has_come(&mut self, news: &News) -> bool {
        let remaining = match (self, news) {
            (Self::Full, News::Lobby { taken }) => return *taken == usize::from(BOTS),
            (Self::Joining(remaining), News::Match)
            | (Self::Playing(remaining), News::Block { .. } | News::Receipt) => remaining,
            (Self::Full | Self::Joining(_) | Self::Playing(_), _) => return false,
        };
        *remaining -= 1;
        *remaining == 0
    }
}

/// What a bot says of what it sees.
#[derive(Debug)]
enum News {
    Lobby { taken: usize },
    Match,
    Block { turn: u32 },
    Receipt,
}

/// The blocks that a client saw.
type Seen = Vec<(Height, BlockHash)>;

/// Clients that play to the end of the match, whatever happens to the server.
struct Bots {
    playing: JoinSet<Seen>,
    news: mpsc::Receiver<News>,
    seen: Vec<Seen>,
}

impl Bots {
    fn start(server: &Server, room: &str, count: u8, turns: u32) -> Self {
        let (sender, news) = mpsc::channel(1024);
        let mut playing = JoinSet::new();
        for who in 0..count {
            let client = server.client(who, room, EnterAs::Player, Some(city(count, turns)));
            playing.spawn(play(client, sender.clone()));
        }
        Self { playing, news, seen: Vec::new() }
    }

    /// The next thing that one of them sees; `None` when all are done.
    async fn news(&mut self) -> Option<News> {
        loop {
            tokio::select! {
                Some(seen) = self.playing.join_next() => self.seen.push(seen.expect("a bot has failed")),
                news = soon("news of the match", self.news.recv()) => return news,
            }
        }
    }

    async fn seen(mut self) -> Vec<Seen> {
        self.seen.extend(soon("the bots end", self.playing.join_all()).await);
        self.seen
    }
}

/// Plays to the end of the match.
async fn play(mut client: Client, news: mpsc::Sender<News>) -> Seen {
    let mut seen = Vec::new();
    loop {
        let what = match client.next().await.unwrap() {
            Event::YourTurn { .. } => {
                submit_suggested(&mut client);
                continue;
            }
            Event::Block { head, .. } => {
                seen.push((head.height, head.block));
                News::Block { turn: head.turn.get() }
            }
            Event::Lobby(lobby) => News::Lobby { taken: lobby.seats.len() },
            Event::Match { .. } => News::Match,
            Event::Receipt(_) => News::Receipt,
            Event::Ended { reason, .. } => {
                assert_eq!(reason, SealReason::TurnLimit);
                assert_eq!(chain_of(&client).head().height, seen.last().unwrap().0);
                return seen;
            }
            Event::Connected { .. }
            | Event::Lost { .. }
            | Event::CaughtUp
            | Event::Relayed(_)
            | Event::Mispredicted(_)
            | Event::Seated { .. }
            | Event::Undrafted { .. }
            | Event::Goodbye { .. }
            | Event::Takeback { .. }
            | Event::Motion { .. }
            | Event::Said { .. }
            | Event::NotSaid { .. }
            | Event::Conversing
            | Event::TalkMissed { .. }
            | Event::TalkBroken { .. }
            | Event::Notice(_)
            | Event::Rematch { .. }
            | Event::Limited { .. } => {
                continue;
            }
            refused @ (Event::Refused { .. }
            | Event::Evidence(_)
            | Event::Failed(_)
            | Event::Joined { .. }
            | Event::Shown { .. }
            | Event::Desync(_)) => {
                panic!("{refused:?}")
            }
        };
        // The test has failed if it does not listen any more.
        let _ = news.send(what).await;
    }
}

/// The file is a whole and valid match, in which nobody was ever late, with each block that anybody saw, and
/// no client saw two blocks at one height.
fn assert_proves_all_that_was_seen(file: &[u8], root: PublicKey, seen: &[Seen]) {
    let report = cadastre_replay::audit(file, Some(root)).unwrap();
    assert!(report.is_valid() && report.complete && report.pinned, "{report:?}");
    let replay = Replay::open(file).unwrap();
    let mut blocks = BTreeMap::from([]);
    for block in replay.blocks() {
        let block = block.unwrap().read().unwrap();
        let (header, hash) = (block.block().header(), block.block().hash());
        assert_eq!(blocks.insert(header.height, hash), None);
        if header.kind == BlockKind::Turn {
            assert_eq!(block.block().absent(), [], "block {}", header.height);
        }
    }
    for seen in seen {
        let heights: BTreeSet<_> = seen.iter().map(|(height, _)| height).collect();
        assert_eq!(heights.len(), seen.len(), "a height was seen twice");
        for (height, hash) in seen {
            assert_eq!(blocks.get(height), Some(hash), "block {height}");
        }
        assert_eq!(seen.len(), blocks.len());
    }
    let identities: Vec<_> =
        (0..u8::try_from(seen.len()).unwrap()).map(|who| identity(who).public()).collect();
    let seated = |identity: &PublicKey| replay.genesis().seat_of(*identity).is_some();
    assert!(identities.iter().all(seated));
}
