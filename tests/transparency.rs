//! The transparency log of a real server, with real witnesses, seen by somebody who trusts neither.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "only in tests")]

mod support;

use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path};

use cadastre_protocol::{
    Digest, SecretKey,
    log::{
        AddCheckpoint, Checkpoint, LogEntry, LogKey, LogSigner, LogTree, Origin, SignedCheckpoint, Tile,
        TileLevel, VerifiedCheckpoint, WitnessKey, leaf_hash,
    },
    merkle,
};
use serde_json::Value;
use support::{Scene, Server, boxes, soon, table::Table, terminate};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::Child,
};

/// For waits that ask for pages again and again.
const ASKED_OFTEN: &str = "[limits]\n\
    requests_per_address_rate = { burst = 1000000, per_min = 1000000 }\n\
    exports_per_address_rate = { burst = 1000000, per_min = 1000000 }\n";

const SERVE: &str = "serve --listen 127.0.0.1:0 --data data";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_never_forks_however_often_its_server_is_killed() {
    let scene = Scene::new();
    let log = log_of(&scene).await;
    let mut witnesses = vec![
        WitnessProcess::start(&scene, 1, &log, None).await,
        WitnessProcess::start(&scene, 2, &log, None).await,
    ];
    let config = configuration(&witnesses);
    let mut seen = Vec::new();
    for round in 0..5 {
        let server = scene.serve_configured(&config).await;
        let mut table = Table::open(&server, &format!("room-{round}"), boxes(2, 30)).await;
        for _ in 0..=round {
            table.turn().await;
        }
        seen.push(monitor(&server, &log, &seen).await);
        if round % 2 == 0 {
            table.resign().await;
        }
        // Whatever it does at this moment, for the log or for the match.
        server.kill().await;
        if round == 2 {
            let first = witnesses.remove(0);
            let listen = first.listen;
            first.kill().await;
            witnesses.insert(0, WitnessProcess::start(&scene, 1, &log, Some(listen)).await);
        }
    }
    let server = scene.serve_configured(&config).await;
    assert_eq!(heads(&server).await.len(), 5);
    all_heads_are_logged(&server, &log).await;
    // Until its first round is over, the server shows what it had before without cosignatures.
    let is_cosigned = async || {
        let checkpoint = checkpoint(&server, &log).await;
        witnesses.iter().all(|witness| checkpoint.cosigned_by(&witness.key).unwrap().is_some())
    };
    soon("it is cosigned by all", async { while !is_cosigned().await {} }).await;
    monitor(&server, &log, &seen).await;
    assert!(!witnesses.iter().any(|witness| witness.has_seen_a_fork(&scene)));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exported_match_proves_that_it_was_logged_and_witnessed() {
    let scene = Scene::new();
    let log = log_of(&scene).await;
    let witnesses = [
        WitnessProcess::start(&scene, 1, &log, None).await,
        WitnessProcess::start(&scene, 2, &log, None).await,
    ];
    let keys: Vec<_> = witnesses.iter().map(|witness| format!("--witness {}", witness.key)).collect();
    let server = scene.serve_configured(&configuration(&witnesses)).await;
    Table::open(&server, "a", boxes(2, 3)).await.finish().await;
    let sealed_and_cosigned = async {
        loop {
            let checkpoint = checkpoint(&server, &log).await;
            let cosigned = witnesses.iter().all(|w| checkpoint.cosigned_by(&w.key).unwrap().is_some());
            if cosigned && logged_heads(&server, &log).await == heads(&server).await {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    soon("the seal is cosigned", sealed_and_cosigned).await;
    let root = server.root;
    let export = |room: &str| format!("export {} --room {room} --out {room}.cadr", server.arguments());
    scene.run(&export("a")).await.ok();
    let audit = |file: &str, more: &str| format!("--json audit {file}.cadr --root-key {root} {more}");
    let report = scene.run(&audit("a", &keys.join(" "))).await.ok().only_json();
    assert_eq!(report["logged"]["height"], report["height"]);
    assert_eq!(report["logged"]["origin"], log.origin.as_str());
    let names = |report: &Value| -> Vec<String> {
        let cosigned = report["logged"]["cosigned"].as_array().unwrap();
        cosigned.iter().map(|witness| witness["witness"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&report), ["witness.example/1", "witness.example/2"]);
    let text = scene.run(&audit("a", &keys[0]).replace("--json ", "")).await.ok().stdout;
    assert!(text.contains("cosigned by witness.example/1\n"), "{text}");

    // Without its second witness the log goes on, and says so.
    let [_first, second] = witnesses;
    second.kill().await;
    Table::open(&server, "b", boxes(2, 3)).await.finish().await;
    all_heads_are_logged(&server, &log).await;
    scene.run(&export("b")).await.ok();
    let short = scene.run(&audit("b", &keys.join(" "))).await;
    assert_eq!(short.code, Some(1), "{short:?}");
    assert_eq!(short.only_json()["error"], "1 of the 2 witnesses that are needed cosigned the log");
    let enough = scene.run(&audit("b", &format!("{} --quorum 1", keys.join(" ")))).await.ok();
    assert_eq!(names(&enough.only_json()), ["witness.example/1"]);
    for (more, why) in [
        (format!("{} --quorum 2", keys[0]), "--quorum is at most"),
        (format!("{0} {0}", keys[0]), "given once"),
        (format!("--witness {}", log.key), "signature type 1, not 4"),
        ("--witness rubbish".to_owned(), "not a verifier key"),
    ] {
        assert!(scene.run(&audit("a", &more)).await.refused(2).contains(why));
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_outlives_rotations_and_another_log_has_another_key() {
    let scene = Scene::new();
    let log = log_of(&scene).await;
    let config = configuration(&[]);
    let server = scene.serve_configured(&config).await;
    let root = server.root;
    Table::open(&server, "r", boxes(2, 3)).await.finish().await;
    all_heads_are_logged(&server, &log).await;
    scene.run(&format!("export --room r --out old.cadr {}", server.arguments())).await.ok();
    let before = monitor(&server, &log, &[]).await;
    server.stop().await;
    scene.run("key rotate --data data").await.ok();
    let server = scene.serve_configured(&config).await;
    monitor(&server, &log, &[before]).await;
    server.stop().await;

    // Revoked: it is not signed with any more, and what it signed proves nothing any more.
    let shown = scene.run("--json key inspect data/keys/log.cert").await.ok().only_json();
    let serial = &shown["serial"];
    let revoke = format!("key revoke --root data/keys/root.key --serial {serial} data/keys/revocations");
    let audit = |file| format!("--json audit {file} --root-key {root} --revocations data/keys/revocations");
    scene.run(&revoke).await.ok();
    let refused = scene.run(SERVE).await;
    assert!(refused.refused(3).contains("is revoked"), "{refused:?}");
    let undated = scene.run(&audit("old.cadr")).await.ok().only_json();
    assert!(undated["logged"].is_null() && undated["revoked_log"] == *serial, "{undated}");
    scene.run(&format!("{revoke} --from 0")).await.ok();
    let later = scene.run(&audit("old.cadr")).await;
    assert_eq!(later.code, Some(1));
    assert_eq!(later.only_json()["violations"][0]["kind"], "log");

    // Another log, but not under that key.
    fs::create_dir(scene.path("aside")).unwrap();
    let aside =
        |from: &str, name: &str| fs::rename(scene.path(from), scene.path("aside").join(name)).unwrap();
    fs::remove_file(scene.path("data/keys/revocations")).unwrap();
    aside("data/log", "log");
    aside("data/keys/log-signed", "log-signed");
    assert!(scene.run(SERVE).await.refused(3).contains("there has been a log under this key"));
    fs::remove_dir_all(scene.path("data/log")).unwrap();
    aside("data/keys/log.key", "log.key");
    aside("data/keys/log.cert", "log.cert");
    scene.run(&format!("{revoke} --from 0")).await.ok();
    let config = format!("{config}origin = 'second.example'\n");
    let server = scene.serve_configured(&config).await;
    let second = LogOf {
        origin: Origin::new("second.example").unwrap(),
        key: LogKey::parse(&server.log_key).unwrap(),
    };
    assert_ne!(second.key.public(), log.key.public());
    all_heads_are_logged(&server, &second).await;
    scene.run(&format!("export --room r --out new.cadr {}", server.arguments())).await.ok();
    let report = scene.run(&audit("new.cadr")).await.ok().only_json();
    assert_eq!(report["logged"]["origin"], "second.example");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_shows_two_logs_is_charged_by_its_witness() {
    let scene = Scene::new();
    let log = log_of(&scene).await;
    let server = scene.serve().await;
    let (status, _, certificate) = http(server.listen, "GET", "/log/certificate", "").await;
    assert_eq!(status, 200);
    fs::write(scene.path("log.cert"), certificate).unwrap();
    let root = server.root;
    server.stop().await;
    copy(&scene.path("data"), &scene.path("aside"));
    let certified = format!("--certificate {root}=log.cert");
    let witness = WitnessProcess::start_with(&scene, 1, &log, None, &certified).await;
    // Only Seals are logged: the entries of both histories are one.
    let config =
        configuration(std::slice::from_ref(&witness)).replace("interval_ms = 100", "interval_ms = 3600000");
    for (room, is_other) in [("one", false), ("other", true)] {
        if is_other {
            fs::rename(scene.path("data"), scene.path("gone")).unwrap();
            fs::rename(scene.path("aside"), scene.path("data")).unwrap();
        }
        let server = scene.serve_configured(&config).await;
        Table::open(&server, room, boxes(2, 3)).await.finish().await;
        let told = async {
            while checkpoint(&server, &log).await.get().size == 0 {
                tokio::task::yield_now().await;
            }
        };
        soon("the seal is logged", told).await;
        server.stop().await;
    }
    let evidence = format!("witness-1/{}.cade", log.origin.hash());
    assert!(witness.has_seen_a_fork(&scene));
    let judged = scene.run(&format!("--json audit {evidence} --root-key {root}")).await;
    assert_eq!(judged.code, Some(1), "{judged:?}");
    let report = judged.only_json();
    assert_eq!((&report["evidence"], &report["verdict"]), (&"log-fork".into(), &"proven".into()));
    assert!(report["culprit"]["log"].is_number(), "{report}");
    let text = scene.run(&format!("audit {evidence} --root-key {root}")).await.stdout;
    assert!(text.contains("what      signed two logs of 1 entries with different roots\n"), "{text}");
    witness.stop().await;
    let another = LogSigner::new(&log.origin, SecretKey::from_seed(&[9; 32]));
    let another = LogOf { key: another.key().clone(), ..log };
    let arguments = format!("{} {certified}", arguments_of(1, &another, "127.0.0.1:0"));
    assert!(scene.run(&arguments).await.refused(2).contains("of none of the logs"));
}

/// Copies a folder with all that is in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let beside = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &beside);
        } else {
            fs::copy(entry.path(), beside).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_witness_answers_as_the_specification_says_and_remembers() {
    let scene = Scene::new();
    let origin = Origin::new("log.example").unwrap();
    let signer = LogSigner::new(&origin, SecretKey::from_seed(&[1; 32]));
    let log = LogOf { origin: origin.clone(), key: signer.key().clone() };
    let leaves: Vec<_> = (0_u8..9).map(|number| leaf_hash(&[number])).collect();
    let root = |size: usize| merkle::root(LogTree, &leaves[..size]);
    let signed = |size: u64, root| signer.sign(Checkpoint { origin: origin.clone(), size, root });
    let at = |size: usize| signed(size as u64, root(size));
    let body = |old: u64, proof: &[Digest], checkpoint: &VerifiedCheckpoint| {
        let checkpoint = checkpoint.clone().into_signed();
        AddCheckpoint { old, proof: proof.to_vec(), checkpoint }.to_string()
    };
    // From 4 to 8: the right half. From 8 to 9: the root of 8 is known, the ninth leaf is to be told.
    let (to_8, to_9) = ([merkle::root(LogTree, &leaves[4..8])], [leaves[8]]);

    let witness = WitnessProcess::start(&scene, 1, &log, None).await;
    let hash = origin.hash();
    assert_eq!(witness.get(&format!("/{hash}/checkpoint")).await.0, 404);
    let cosigned = |answer: (u16, String, String), checkpoint: &VerifiedCheckpoint| {
        assert_eq!(answer.0, 200, "{answer:?}");
        let note = SignedCheckpoint::parse(format!("{checkpoint}{}", answer.2).as_bytes()).unwrap();
        assert!(
            note.verify(signer.key()).unwrap().cosigned_by(&witness.key).unwrap().unwrap() > 1_700_000_000
        );
    };
    // Lines of others come along, as many as a note may have: none of them is kept.
    let junk = "\u{2014} junk.example AAAAAAAAAAAAAAAA\n".repeat(63);
    cosigned(witness.add(&format!("{}{junk}", body(0, &[], &at(4)))).await, &at(4));
    let kept = witness.get(&format!("/{hash}/checkpoint")).await.2;
    assert!(!kept.contains("junk"), "{kept}");
    cosigned(witness.add(&body(4, &to_8, &at(8))).await, &at(8));
    cosigned(witness.add(&body(8, &[], &at(8))).await, &at(8));
    let conflict = |answer: (u16, String, String), size: &str| {
        let (status, head, body) = answer;
        assert_eq!((status, body.as_str()), (409, size));
        assert!(head.to_lowercase().contains("content-type: text/x.tlog.size"), "{head}");
    };
    conflict(witness.add(&body(0, &[], &at(9))).await, "8\n");
    conflict(witness.add(&body(4, &to_8, &at(8))).await, "8\n");
    conflict(witness.add(&body(4, &[], &at(4))).await, "8\n");
    let status = async |body: &str| witness.add(body).await.0;
    assert_eq!(status(&body(9, &[], &at(8))).await, 400, "the old size above the new one");
    assert_eq!(status("old 8\n").await, 400);
    assert_eq!(status(&body(8, &to_9, &at(9)).replacen("old", "new", 1)).await, 400);
    assert_eq!(status(&"a".repeat(300_000)).await, 400);
    assert_eq!(status(&body(8, &[], &at(9))).await, 422);
    assert_eq!(status(&body(8, &[to_9[0], to_9[0]], &at(9))).await, 422, "over-long");
    assert!(!witness.has_seen_a_fork(&scene));
    let fork = signed(8, leaf_hash(b"another tree"));
    assert_eq!(status(&body(8, &[], &fork)).await, 422);
    assert!(witness.has_seen_a_fork(&scene), "both sides are kept");
    let stranger = LogSigner::new(&origin, SecretKey::from_seed(&[2; 32]));
    assert_eq!(status(&body(8, &to_9, &stranger.sign(at(9).get().clone()))).await, 403);
    let elsewhere = Origin::new("other.example").unwrap();
    let elsewhere = LogSigner::new(&elsewhere, SecretKey::from_seed(&[1; 32]))
        .sign(Checkpoint { origin: elsewhere.clone(), ..at(9).get().clone() });
    assert_eq!(status(&body(0, &[], &elsewhere)).await, 404);
    assert_eq!(witness.get("/add-checkpoint").await.0, 405);
    assert_eq!(witness.get("/").await.0, 404);

    let listen = witness.listen;
    witness.kill().await;
    let witness = WitnessProcess::start(&scene, 1, &log, Some(listen)).await;
    conflict(witness.add(&body(0, &[], &at(9))).await, "8\n");
    let shown =
        SignedCheckpoint::parse(witness.get(&format!("/{hash}/checkpoint")).await.2.as_bytes()).unwrap();
    let shown = shown.verify(signer.key()).unwrap();
    assert_eq!((shown.get(), shown.cosigned_by(&witness.key).unwrap().is_some()), (at(8).get(), true));
    assert_eq!(witness.add(&body(8, &to_9, &at(9))).await.0, 200);
    // Another one on the same folder, or under another key for the log, would not know what it may cosign.
    let second = scene.run(&witness.arguments(&log, "127.0.0.1:0")).await;
    assert!(second.refused(3).contains("another process"), "{second:?}");
    let arguments = witness.arguments(&LogOf { key: stranger.key().clone(), ..log }, "127.0.0.1:0");
    witness.stop().await;
    assert!(scene.run(&arguments).await.refused(3).contains("is not a checkpoint that the key given"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_files_of_the_log_are_served_as_the_specification_says() {
    let scene = Scene::new();
    let log = log_of(&scene).await;
    let server = scene.serve_configured(&configuration(&[])).await;
    Table::open(&server, "r", boxes(2, 3)).await.finish().await;
    soon("it is logged", async {
        while checkpoint(&server, &log).await.get().size == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let size = checkpoint(&server, &log).await.get().size;
    let (status, head, _) = http(server.listen, "GET", "/log/checkpoint", "").await;
    assert_eq!(status, 200);
    assert!(
        head.contains("content-type: text/plain; charset=utf-8") && head.contains("cache-control: no-cache"),
        "{head}"
    );
    let (status, head, body) = http(server.listen, "GET", &format!("/log/tile/0/000.p/{size}"), "").await;
    assert_eq!((status, body.len() as u64), (200, 32 * size));
    assert!(head.contains("content-type: application/octet-stream") && head.contains("immutable"), "{head}");
    assert_eq!(http(server.listen, "GET", "/log/certificate", "").await.2.len(), 129);
    for missing in [
        format!("tile/0/000.p/{}", size + 1),
        "tile/0/000".into(),
        "tile/1/000.p/1".into(),
        "tile/0/000.p/0".into(),
        "tile/entries/001".into(),
        "../keys/log.key".into(),
        "tile/0/../../../keys/log.key".into(),
        "".into(),
        "%2e%2e/keys/log.key".into(),
        "tile/0/000.p/1.new".into(),
    ] {
        assert_eq!(http(server.listen, "GET", &format!("/log/{missing}"), "").await.0, 404, "{missing}");
    }
    server.stop().await;
}

/// A log as a stranger knows it.
struct LogOf {
    origin: Origin,
    key: LogKey,
}

/// Lets the server in the folder `data` make its keys.
async fn log_of(scene: &Scene) -> LogOf {
    let server = scene.serve().await;
    let key = LogKey::parse(&server.log_key).unwrap();
    let origin = Origin::new(server.log_key.split('+').next().unwrap()).unwrap();
    assert_eq!(origin.as_str(), format!("cadastre/{}", server.root));
    server.stop().await;
    LogOf { origin, key }
}

fn configuration(witnesses: &[WitnessProcess]) -> String {
    let witness =
        |w: &WitnessProcess| format!("[[log.witnesses]]\nurl = 'http://{}'\nkey = '{}'\n", w.listen, w.key);
    format!("{ASKED_OFTEN}[log]\ninterval_ms = 100\n{}", witnesses.iter().map(witness).collect::<String>())
}

/// What the log shows now.
async fn checkpoint(server: &Server, log: &LogOf) -> VerifiedCheckpoint {
    let (status, _, body) = http(server.listen, "GET", "/log/checkpoint", "").await;
    assert_eq!(status, 200);
    let checkpoint = SignedCheckpoint::parse(&body).unwrap();
    assert_eq!(checkpoint.claims().origin, log.origin);
    checkpoint.verify(&log.key).unwrap()
}

/// Reads the whole log, and holds it against all that it has shown before.
async fn monitor(server: &Server, log: &LogOf, before: &[VerifiedCheckpoint]) -> VerifiedCheckpoint {
    let checkpoint = checkpoint(server, log).await;
    let entries = entries(server, checkpoint.get().size).await;
    let leaves: Vec<_> = entries.iter().map(LogEntry::leaf).collect();
    for seen in before.iter().chain([&checkpoint]) {
        let size = usize::try_from(seen.get().size).unwrap();
        assert!(size <= leaves.len(), "the log has shrunk from {size} to {}", leaves.len());
        assert_eq!(merkle::root(LogTree, &leaves[..size]), seen.get().root, "{size} of {}", leaves.len());
    }
    checkpoint
}

async fn entries(server: &Server, size: u64) -> Vec<LogEntry> {
    let mut entries = Vec::new();
    for tile in (0..).map_while(|index| Tile::of(TileLevel::Entries, index, size)) {
        let (status, _, body) = http(server.listen, "GET", &format!("/log/{}", tile.path()), "").await;
        assert_eq!(status, 200, "{}", tile.path());
        entries.extend(body.chunks(75).map(|entry| LogEntry::from_bytes(&entry[2..]).unwrap()));
    }
    entries
}

/// The newest logged height of each match.
async fn logged_heads(server: &Server, log: &LogOf) -> BTreeMap<String, u64> {
    let size = checkpoint(server, log).await.get().size;
    let entries = entries(server, size).await;
    entries.into_iter().map(|entry| (entry.match_id.to_string(), entry.height.get())).collect()
}

async fn all_heads_are_logged(server: &Server, log: &LogOf) {
    let are_logged = async {
        while logged_heads(server, log).await != heads(server).await {
            tokio::task::yield_now().await;
        }
    };
    soon("every match is logged at its head", are_logged).await;
}

/// The height of each match.
async fn heads(server: &Server) -> BTreeMap<String, u64> {
    let matches = server.get_json("/matches").await;
    let head =
        |entry: &Value| (entry["match_id"].as_str().unwrap().to_owned(), entry["height"].as_u64().unwrap());
    matches["matches"].as_array().unwrap().iter().map(head).collect()
}

/// `cadastre witness` in a process of its own.
struct WitnessProcess {
    child: Child,
    number: u8,
    listen: SocketAddr,
    key: WitnessKey,
}

impl WitnessProcess {
    async fn start(scene: &Scene, number: u8, log: &LogOf, listen: Option<SocketAddr>) -> Self {
        Self::start_with(scene, number, log, listen, "").await
    }

    async fn start_with(
        scene: &Scene,
        number: u8,
        log: &LogOf,
        listen: Option<SocketAddr>,
        more: &str,
    ) -> Self {
        if !scene.path(&format!("witness-{number}.key")).exists() {
            scene.run(&format!("key new witness-{number}.key")).await.ok();
        }
        let listen = listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
        let arguments = format!("{} {more}", arguments_of(number, log, &listen.to_string()));
        let stderr =
            fs::OpenOptions::new().create(true).append(true).open(scene.path("witness.log")).unwrap();
        let mut child = scene.command(&format!("--json {arguments}")).stderr(stderr).spawn().unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        soon("the witness starts", stdout.read_line(&mut line)).await.unwrap();
        let started: Value = serde_json::from_str(&line).unwrap();
        let listen = started["listen"].as_str().unwrap().parse().unwrap();
        let key = WitnessKey::parse(started["witness_key"].as_str().unwrap()).unwrap();
        Self { child, number, listen, key }
    }

    fn arguments(&self, log: &LogOf, listen: &str) -> String {
        arguments_of(self.number, log, listen)
    }

    async fn add(&self, body: &str) -> (u16, String, String) {
        let (status, head, body) = http(self.listen, "POST", "/add-checkpoint", body).await;
        (status, head, String::from_utf8(body).unwrap())
    }

    async fn get(&self, path: &str) -> (u16, String, String) {
        let (status, head, body) = http(self.listen, "GET", path, "").await;
        (status, head, String::from_utf8(body).unwrap())
    }

    fn has_seen_a_fork(&self, scene: &Scene) -> bool {
        let folder = scene.path(&format!("witness-{}", self.number));
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        names.into_iter().any(|path| path.extension().is_some_and(|ending| ending == "fork"))
    }

    async fn kill(mut self) {
        soon("the witness dies", self.child.kill()).await.unwrap();
    }

    async fn stop(mut self) {
        terminate(self.child.id().unwrap());
        assert!(soon("the witness ends", self.child.wait()).await.unwrap().success());
    }
}

fn arguments_of(number: u8, log: &LogOf, listen: &str) -> String {
    format!(
        "witness --listen {listen} --data witness-{number} --key witness-{number}.key --name witness.example/{number} \
         --origin {}={}",
        log.origin, log.key
    )
}

/// Status, head in lower case and body of an answer.
async fn http(listen: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String, Vec<u8>) {
    let mut tcp = soon("a connection", TcpStream::connect(listen)).await.unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {listen}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    // A server that has read enough may close before all is written.
    let _ = tcp.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = soon("the answer's end", tcp.read_to_end(&mut answer)).await;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let body = answer.split_off(end + 4);
    let head = String::from_utf8(answer).unwrap().to_lowercase();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head, body)
}
