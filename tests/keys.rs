//! Keys as an operator handles them: rotation, a store put back from a backup, a root key that is kept elsewhere,
//! encryption at rest.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "only in tests")]

mod support;

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::Path, process::Stdio};

use cadastre_client::{Client, ClientError, Event, SessionError};
use cadastre_protocol::{
    BlockHash, BlockKind, Certificate, EnterAs, Height, KeyRole, Millis, PublicKey, SecretKey,
    SignedCertificate, encode,
};
use cadastre_replay::Replay;
use support::{
    Ran, Scene, boxes, fields, soon,
    table::{chain_of, submit_suggested},
};
use tokio::io::AsyncWriteExt;

const SERVE: &str = "serve --listen 127.0.0.1:0 --data data";
const ROTATE: &str = "key rotate --data data";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_match_goes_on_under_a_new_signer() {
    let scene = Scene::new();
    let mut server = scene.serve().await;
    let (listen, root) = (server.listen, server.root);
    let mut players = Players::sit_down(&server, "r", 6);
    players.play_to(2).await;
    for turn in [3, 4] {
        let while_it_runs = scene.run(ROTATE).await;
        assert!(while_it_runs.refused(2).contains("another process uses the data folder data"));
        server.stop().await;
        let before = fs::read(scene.path("data/keys/block.key")).unwrap();
        let rotated = scene.run(&format!("--json {ROTATE}")).await.ok().only_json();
        assert_eq!(fields(&rotated), ["installed", "restored_store"]);
        assert!(rotated["restored_store"].is_null());
        assert_ne!(fs::read(scene.path("data/keys/block.key")).unwrap(), before);
        assert!(!scene.path("data/keys/next-block.key").exists());
        server = scene.serve_again(listen).await;
        assert_eq!(server.root, root, "clients need not be told");
        players.play_to(turn).await;
    }
    players.play_to_the_end().await;
    scene.run(&format!("export {} --room r --out r.cadr", server.arguments())).await.ok();
    server.stop().await;
    let file = scene.read("r.cadr");
    assert!(cadastre_replay::audit(&file, Some(root)).unwrap().is_valid());
    let signers = signers(&file);
    assert_eq!(signers.len(), 3, "{signers:?}");
    assert!(signers.values().skip(1).all(|first| matches!(first, BlockKind::KeyChange { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_put_back_is_gone_on_from_under_a_new_signer_only() {
    let scene = Scene::new();
    let server = scene.serve().await;
    let (listen, root) = (server.listen, server.root);
    let mut players = Players::sit_down(&server, "r", 8);
    players.play_to(2).await;
    server.stop().await;
    copy_folder(&scene.path("data/store"), &scene.path("backup"));
    let server = scene.serve_again(listen).await;
    players.play_to(5).await;
    scene.run(&format!("export {} --room r --out ahead.cadr", server.arguments())).await.ok();
    server.stop().await;
    let ahead = scene.read("ahead.cadr");

    fs::rename(scene.path("data/store"), scene.path("newest")).unwrap();
    fs::rename(scene.path("backup"), scene.path("data/store")).unwrap();
    for _ in 0..2 {
        let refused = scene.run(SERVE).await;
        let said = refused.refused(3);
        assert!(said.contains("put back from a backup") && said.contains("cadastre key rotate"), "{said}");
    }
    let rotated = scene.run(ROTATE).await.ok();
    assert!(rotated.stdout.contains("put back from a backup"), "{rotated:?}");
    let server = scene.serve_again(listen).await;

    // Whoever has seen more stops.
    for client in &mut players.clients {
        let lost = async {
            loop {
                if let Err(error) = client.next().await {
                    break error;
                }
            }
        };
        let error = soon("the client stops", lost).await;
        assert!(matches!(error, ClientError::Session(SessionError::HistoryLost)), "{error:?}");
    }
    // Whoever has not goes on, in that match and in others.
    let mut again = Players::sit_down(&server, "r", 8);
    again.play_to_the_end().await;
    let mut other = Players::sit_down(&server, "other", 3);
    other.play_to_the_end().await;
    scene.run(&format!("export {} --room r --out behind.cadr", server.arguments())).await.ok();
    server.stop().await;
    let behind = scene.read("behind.cadr");

    let mut signed: BTreeMap<(u32, Height), BlockHash> = BTreeMap::new();
    for file in [&ahead, &behind] {
        assert!(cadastre_replay::audit(file, Some(root)).unwrap().is_valid());
        for (height, serial, hash, _) in blocks(file) {
            let first = *signed.entry((serial, height)).or_insert(hash);
            assert_eq!(first, hash, "two blocks under serial {serial} at height {height}");
        }
    }
    assert_eq!((signers(&ahead).len(), signers(&behind).len()), (1, 2));

    // Nor can the store that was newest then come back in its turn.
    fs::rename(scene.path("data/store"), scene.path("second")).unwrap();
    fs::rename(scene.path("newest"), scene.path("data/store")).unwrap();
    assert!(scene.run(SERVE).await.refused(3).contains("put back from a backup"));
}

#[tokio::test]
async fn a_store_that_is_lost_or_anothers() {
    let scene = Scene::new();
    scene.serve().await.stop().await;
    fs::rename(scene.path("data/store"), scene.path("lost")).unwrap();
    assert!(scene.run(SERVE).await.refused(3).contains("cadastre key rotate"));
    scene.run(ROTATE).await.ok();
    scene.serve().await.stop().await;

    let server = scene.serve_with("--listen 127.0.0.1:0 --data other").await;
    Players::sit_down(&server, "r", 1).play_to_the_end().await;
    server.stop().await;
    fs::remove_dir_all(scene.path("data/store")).unwrap();
    copy_folder(&scene.path("other/store"), &scene.path("data/store"));
    assert!(scene.run(ROTATE).await.refused(2).contains("is that of another service"));
    assert!(scene.run("key rotate --data none").await.refused(2).contains("there are no keys in none/keys"));
    assert!(!scene.path("none").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_root_key_can_be_kept_elsewhere() {
    let scene = Scene::new();
    let root = scene.run("key new offline/root.key").await;
    assert!(root.refused(2).contains("offline/root.key"), "no folder yet");
    fs::create_dir(scene.path("offline")).unwrap();
    let root = scene.run("key new offline/root.key").await.ok().stdout.trim().to_owned();

    scene.run(&format!("key request --data data --root-key {root} --out request")).await.ok();
    let refused = scene.run(SERVE).await;
    assert!(refused.refused(3).contains("cadastre key certify"), "{refused:?}");
    let wanted = scene.run("--json key inspect request").await.ok().json();
    let roles: Vec<_> = wanted.iter().map(|wanted| wanted["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["handshake", "block", "log"]);
    scene.run("key certify --root offline/root.key --days 30 request --out certificates").await.ok();
    scene.run("key install --data data certificates").await.ok();
    let server = scene.serve().await;
    let listen = server.listen;
    assert_eq!(server.root, PublicKey::from_hex(&root).unwrap());
    let expires = server.metric("cadastre_certificates_expire_seconds").await;
    let inspected = scene.run("--json key inspect data/keys/block.cert").await.ok().only_json();
    assert_eq!(inspected["valid_to_ms"].as_u64().unwrap().abs_diff(expires * 1000) / 1000, 0);
    let mut players = Players::sit_down(&server, "r", 4);
    players.play_to(1).await;
    server.stop().await;

    // Neither an old certificate nor one for other keys does.
    let old = scene.run("key install --data data certificates").await;
    assert!(old.refused(2).contains("in use already"), "{old:?}");
    scene.run(&format!("key request --data second --root-key {root} --out request")).await.ok();
    scene.run("key certify --root offline/root.key request --out others").await.ok();
    let others = scene.run("key install --data data others").await;
    assert!(others.refused(2).contains("for a key that is not in the key folder"), "{others:?}");
    scene.run("key new another.key").await.ok();
    scene.run("key certify --root another.key request --out forged").await.ok();
    let forged = scene.run("key install --data second forged").await;
    assert!(forged.refused(2).contains("not signed by the root key"), "{forged:?}");

    // Rotation, until whose end the old keys are in force.
    scene.run(&format!("{ROTATE} --out request")).await.ok();
    scene.serve_again(listen).await.stop().await;
    scene.run("key certify --root offline/root.key request --out certificates").await.ok();
    scene.run("key install --data data certificates").await.ok();
    let server = scene.serve_again(listen).await;
    players.play_to_the_end().await;
    scene.run(&format!("export {} --room r --out r.cadr", server.arguments())).await.ok();
    server.stop().await;
    assert_eq!(signers(&scene.read("r.cadr")).len(), 2);
    assert!(!scene.path("data/keys/root.key").exists());
}

#[tokio::test]
async fn a_service_stops_before_its_certificate_expires() {
    let scene = Scene::new();
    scene.serve().await.stop().await;
    let root = fs::read_to_string(scene.path("data/keys/root.key")).unwrap();
    let seed = cadastre_protocol::Digest::from_hex(root.lines().nth(1).unwrap()).unwrap();
    let root = SecretKey::from_seed(seed.as_bytes());
    let shown = scene.run("--json key inspect data/keys/block.cert").await.ok().only_json();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let now = u64::try_from(now).unwrap();
    let certificate = Certificate {
        version: Certificate::VERSION,
        role: KeyRole::Block,
        key: PublicKey::from_hex(shown["public_key"].as_str().unwrap()).unwrap(),
        serial: u32::try_from(shown["serial"].as_u64().unwrap()).unwrap() + 1,
        valid_from: Millis::new(0),
        // It may start, or be refused before; in either case it ends by itself, and does not break.
        valid_to: Millis::new(now + 61_000),
    };
    let bytes: String =
        encode(&SignedCertificate::issue(&root, &certificate)).iter().map(|b| format!("{b:02x}")).collect();
    scene.write("data/keys/block.cert", format!("cadastre certificates 1\n{bytes}\n"));
    fs::rename(scene.path("data/keys/root.key"), scene.path("root.key")).unwrap();
    let ended = scene.run("--log off serve --listen 127.0.0.1:0 --data data").await;
    let said = ended.refused(3);
    assert!(said.contains("expires at 20") && said.contains("UTC"), "{said}");
    // With the root key in its place the next start renews it.
    fs::rename(scene.path("root.key"), scene.path("data/keys/root.key")).unwrap();
    scene.serve().await.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_certificate_counts_no_more() {
    let (scene, root) = Scene::with_a_match(boxes(2, 3)).await;
    let inspect = "--json key inspect data/keys/block.cert";
    let serial = scene.run(inspect).await.ok().only_json()["serial"].as_u64().unwrap();
    let revoke = |from: &str, list: &str| {
        format!("--json key revoke --root data/keys/root.key --serial {serial} {from} {list}")
    };
    let audit = |list: &str| format!("--json audit match.cadr --root-key {root} --revocations {list}");

    // From now on: what was played before counts.
    scene.run(&revoke("", "data/keys/revocations")).await.ok();
    scene.run(&audit("data/keys/revocations")).await.ok();
    assert!(scene.run(SERVE).await.refused(3).contains("is revoked; `cadastre key rotate`"));
    scene.run(ROTATE).await.ok();
    let server = scene.serve().await;
    let (status, list) = server.get("/revocations").await;
    assert_eq!((status, list.as_bytes()), (200, &*scene.read("data/keys/revocations")));
    server.stop().await;

    // From the beginning: nothing does.
    let shown = scene.run(&revoke("--from 0", "data/keys/revocations")).await.ok().only_json();
    assert_eq!((&shown["serial"], &shown["from_ms"]), (&serial.into(), &0.into()));
    let result = scene.run(&audit("data/keys/revocations")).await;
    assert_eq!(result.code, Some(1));
    let result = result.only_json();
    assert_eq!(result["violations"].as_array().unwrap().len(), 5, "Start, three turns, Seal");
    assert_eq!(result["violations"][0]["kind"], "revoked-signer");
    let later = scene.run(&revoke("--from 9999999999999", "data/keys/revocations")).await.ok().only_json();
    assert_eq!(later["from_ms"], 0, "what was revoked stays revoked");

    // A list of another service says nothing, nor does one without its service.
    scene.run("key new another.key").await.ok();
    scene.run(&format!("key revoke --root another.key --serial {serial} forged")).await.ok();
    assert!(scene.run(&audit("forged")).await.refused(2).contains("not signed by the root key"));
    let mixed = scene.run("key revoke --root another.key --serial 1 data/keys/revocations").await;
    assert!(mixed.refused(2).contains("not signed by the root key"));
    assert!(scene.run("audit match.cadr --revocations forged").await.refused(2).contains("--root-key <HEX>"));
    scene.write("forged", "rubbish");
    assert!(scene.run(&audit("forged")).await.refused(2).contains("forged is damaged"));
    let none = scene.serve_with("--listen 127.0.0.1:0 --data other").await;
    assert_eq!(none.get("/revocations").await.0, 404);
    none.stop().await;
}

#[tokio::test]
async fn keys_are_encrypted_where_there_is_a_passphrase() {
    let scene = Scene::new();
    let with = |arguments: &'static str| run_with(&scene, arguments, "correct horse");
    let wrong = |arguments: &'static str| run_with(&scene, arguments, "battery staple");
    let made = with("key new mine").await.ok();
    let content = fs::read_to_string(scene.path("mine")).unwrap();
    assert!(content.starts_with("cadastre encrypted key 1\nargon2id "), "{content}");
    assert_eq!(fs::metadata(scene.path("mine")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(with("key show mine").await.ok().stdout, made.stdout);

    let bot = "bot --server ws://127.0.0.1:9 --room r --key mine";
    for command in ["key show mine", "key decrypt mine", bot] {
        let locked = scene.run(command).await;
        assert!(locked.refused(2).contains("mine is encrypted and no passphrase is given"), "{locked:?}");
        let other = wrong(command).await;
        assert!(other.refused(2).contains("the passphrase does not open mine"), "{other:?}");
    }
    let shown = scene.run("--json key inspect mine").await.ok().only_json();
    assert_eq!((&shown["form"], shown["public_key"].is_null()), (&"encrypted".into(), true));

    let last = content.trim_end().chars().last().unwrap();
    let tampered = format!("{}{}\n", &content[..content.len() - 2], if last == '0' { '1' } else { '0' });
    scene.write("tampered", tampered);
    fs::set_permissions(scene.path("tampered"), fs::Permissions::from_mode(0o600)).unwrap();
    let changed = with("key show tampered").await;
    assert!(changed.refused(2).contains("somebody has changed the file"), "{changed:?}");

    // From plain to encrypted, to another passphrase, and back.
    scene.run("key new plain").await.ok();
    let public = scene.run("key show plain").await.ok().stdout;
    assert!(scene.run("key encrypt plain").await.refused(2).contains("no passphrase is given"));
    with("key encrypt plain").await.ok();
    let changed = with_variable(&scene, "key passphrase --new-fd 0 plain", "correct horse", "battery staple");
    changed.await.ok();
    assert_eq!(wrong("key show plain").await.ok().stdout, public);
    wrong("key decrypt plain").await.ok();
    assert_eq!(scene.run("key show plain").await.ok().stdout, public);

    for unusable in ["", "\n"] {
        let refused = run_with(&scene, "key show mine", unusable).await;
        assert!(refused.refused(2).contains("has no passphrase"), "{refused:?}");
    }
    let closed = scene.run("--passphrase-fd 99 key show mine").await;
    assert!(closed.refused(2).contains("cannot read the passphrase from /dev/fd/99"), "{closed:?}");
}

#[tokio::test]
async fn a_passphrase_comes_from_a_descriptor_a_variable_or_a_credential() {
    let scene = Scene::new();
    let made = run_with(&scene, "key new mine", "correct horse").await.ok().stdout;
    let mut by_variable = scene.command("key show mine");
    by_variable.env("CADASTRE_PASSPHRASE", "correct horse");
    assert_eq!(finish(by_variable, "").await.ok().stdout, made);
    fs::create_dir(scene.path("credentials")).unwrap();
    scene.write("credentials/cadastre-passphrase", "correct horse\n");
    let credentials = scene.path("credentials");
    let mut by_credential = scene.command("key show mine");
    by_credential.env("CREDENTIALS_DIRECTORY", &credentials);
    assert_eq!(finish(by_credential, "").await.ok().stdout, made);
    // The first source that there is decides.
    let mut both = scene.command("key show mine");
    both.env("CADASTRE_PASSPHRASE", "another").env("CREDENTIALS_DIRECTORY", &credentials);
    assert!(finish(both, "").await.refused(2).contains("does not open"));
    let all = with_variable(&scene, "--passphrase-fd 0 key show mine", "another", "correct horse");
    assert_eq!(all.await.ok().stdout, made);
}

#[tokio::test]
async fn a_server_keeps_its_keys_encrypted() {
    let scene = Scene::new();
    let serve = |passphrase: &'static str| {
        let mut command = scene.command(&format!("--log off {SERVE}"));
        command.env("CADASTRE_PASSPHRASE", passphrase);
        command
    };
    let mut first = serve("correct horse").spawn().unwrap();
    let mut line = String::new();
    let mut stdout = tokio::io::BufReader::new(first.stdout.take().unwrap());
    soon("it starts", tokio::io::AsyncBufReadExt::read_line(&mut stdout, &mut line)).await.unwrap();
    support::terminate(first.id().unwrap());
    soon("it ends", first.wait()).await.unwrap();
    let names = ["root.key", "handshake.key", "block.key", "log.key", "chain.key"];
    for name in names {
        let content = fs::read_to_string(scene.path("data/keys").join(name)).unwrap();
        assert!(content.starts_with("cadastre encrypted key 1\n"), "{name}");
    }
    let locked = scene.run(&format!("--log off {SERVE}")).await;
    assert!(locked.refused(2).contains("no passphrase is given"), "{locked:?}");
    let wrong = finish(serve("battery staple"), "").await;
    assert!(wrong.refused(2).contains("the passphrase does not open data/keys/root.key"), "{wrong:?}");
    let rotated = run_with(&scene, ROTATE, "correct horse").await.ok();
    assert!(rotated.stdout.contains("In force from the next start"));
    let files = names.map(|name| format!("data/keys/{name}")).join(" ");
    run_with(&scene, &format!("key decrypt {files}"), "correct horse").await.ok();
    scene.serve().await.stop().await;
}

#[tokio::test]
async fn what_a_file_has_is_shown_without_its_secrets() {
    let scene = Scene::new();
    scene.serve().await.stop().await;
    for name in [
        "root.key",
        "root.pub",
        "handshake.key",
        "handshake.cert",
        "block.key",
        "block.cert",
        "log.key",
        "log.cert",
    ] {
        let content = fs::read_to_string(scene.path("data/keys").join(name)).unwrap();
        let text = scene.run(&format!("key inspect data/keys/{name}")).await.ok().stdout;
        let shown = scene.run(&format!("--json key inspect data/keys/{name}")).await.ok().only_json();
        let public = shown["public_key"].as_str().unwrap();
        assert!(text.contains(public), "{text}");
        if name.ends_with(".key") {
            let secret = content.lines().nth(1).unwrap();
            assert!(!text.contains(secret) && !shown.to_string().contains(secret));
        }
        if name.ends_with(".cert") {
            assert_eq!(shown["role"], name.strip_suffix(".cert").unwrap());
            assert!(text.contains("serial") && text.contains("UTC"), "{text}");
        }
    }
    scene.write("rubbish", "cadastre certificates 1\n00\n");
    for name in ["rubbish", "data/keys/generation"] {
        assert!(scene.run(&format!("key inspect {name}")).await.refused(2).contains("neither keys nor"));
    }
}

/// Two clients that play over any number of servers.
struct Players {
    clients: Vec<Client>,
}

impl Players {
    fn sit_down(server: &support::Server, room: &str, turns: u32) -> Self {
        let client = |who| server.client(who, room, EnterAs::Player, Some(boxes(2, turns)));
        Self { clients: (0..2).map(client).collect() }
    }

    /// Plays until all have executed a turn.
    async fn play_to(&mut self, turn: u32) {
        self.play_until(move |client, _| chain_of_some(client).is_some_and(|now| now >= turn)).await;
    }

    async fn play_to_the_end(&mut self) {
        self.play_until(|_, event| matches!(event, Event::Ended { .. })).await;
    }

    async fn play_until(&mut self, is_done: impl Fn(&Client, &Event) -> bool + Copy + Send + 'static) {
        let mut playing = tokio::task::JoinSet::new();
        for mut client in self.clients.drain(..) {
            playing.spawn(async move {
                loop {
                    let event = client.next().await.unwrap();
                    match &event {
                        Event::YourTurn { .. } => submit_suggested(&mut client),
                        refused @ (Event::Refused { .. } | Event::Failed(_)) => panic!("{refused:?}"),
                        _ => {}
                    }
                    if is_done(&client, &event) {
                        return client;
                    }
                }
            });
        }
        self.clients = soon("the players come so far", playing.join_all()).await;
    }
}

/// The turn that a client has come to.
fn chain_of_some(client: &Client) -> Option<u32> {
    client.session().follower().map(|_| chain_of(client).head().turn.get())
}

/// Every block of a file: height, serial of its signer, name, kind.
fn blocks(file: &[u8]) -> Vec<(Height, u32, BlockHash, BlockKind)> {
    let replay = Replay::open(file).unwrap();
    let blocks = replay.blocks().map(|block| {
        let block = block.unwrap().read().unwrap();
        let header = block.block().header();
        (header.height, header.signer_serial, block.block().hash(), header.kind.clone())
    });
    blocks.collect()
}

/// The serials of a file in their order, with the kind of the first block of each.
fn signers(file: &[u8]) -> BTreeMap<u32, BlockKind> {
    let mut signers = BTreeMap::new();
    for (_, serial, _, kind) in blocks(file) {
        signers.entry(serial).or_insert(kind);
    }
    signers
}

/// Runs a command that reads the passphrase from its stdin.
async fn run_with(scene: &Scene, arguments: &str, passphrase: &str) -> Ran {
    let mut command = scene.command(&format!("--passphrase-fd 0 {arguments}"));
    command.stdin(Stdio::piped());
    finish(command, passphrase).await
}

/// Runs a command with a passphrase in the variable, and another on stdin.
async fn with_variable(scene: &Scene, arguments: &str, variable: &str, stdin: &str) -> Ran {
    let mut command = scene.command(arguments);
    command.env("CADASTRE_PASSPHRASE", variable).stdin(Stdio::piped());
    finish(command, stdin).await
}

async fn finish(mut command: tokio::process::Command, stdin: &str) -> Ran {
    let mut child = command.spawn().unwrap();
    if let Some(mut pipe) = child.stdin.take() {
        // Whoever refuses before it reads closes the pipe.
        let _ = pipe.write_all(stdin.as_bytes()).await;
    }
    let output = soon("the command ends", child.wait_with_output()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran {
        arguments: format!("{command:?}"),
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}
