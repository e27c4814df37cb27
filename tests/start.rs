//! What keeps a server or a client from starting is said in one line, with what to do about it.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "only in tests")]

mod support;

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt, path::Path};

use cadastre_replay::fixture::blocks_of;
use support::{Ran, Scene, boxes, soon, table::Table};

const SERVE: &str = "serve --listen 127.0.0.1:0 --data data";

#[tokio::test]
async fn a_data_folder_has_one_server() {
    let scene = Scene::new();
    let server = scene.serve().await;
    let second = scene.run(SERVE).await;
    assert_says(&second, 3, &["another process uses the data folder data", "--data"]);
    let health = server.get_json("/health").await;
    assert_eq!(health["status"], "ok", "the first one is unharmed");
    server.stop().await;
    scene.serve().await.stop().await;
}

#[tokio::test]
async fn a_port_in_use_is_named_and_costs_nothing() {
    let scene = Scene::new();
    let first = scene.serve().await;
    let listen = first.listen;
    for _ in 0..2 {
        let second = scene.run(&format!("serve --listen {listen} --data other")).await;
        assert_says(&second, 3, &[&format!("cannot listen on {listen}"), "in use"]);
    }
    first.stop().await;
    scene.serve_with(&format!("--listen {listen} --data other")).await.stop().await;
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_one_is_refused() {
    let scene = Scene::new();
    scene.write("file", "");
    let is_a_file = scene.run("serve --listen 127.0.0.1:0 --data file").await;
    assert_says(&is_a_file, 3, &["data folder file cannot be used", "file is a file, not a folder"]);
    let below_a_file = scene.run("serve --listen 127.0.0.1:0 --data file/data").await;
    assert_says(&below_a_file, 3, &["data folder file/data cannot be used", "file is a file, not a folder"]);
    fs::create_dir_all(scene.path("odd/store/db")).unwrap();
    let odd_store = scene.run("serve --listen 127.0.0.1:0 --data odd").await;
    assert_says(&odd_store, 3, &["odd/store"]);
}

#[tokio::test]
async fn only_the_owner_can_enter_the_data_folder() {
    let scene = Scene::new();
    scene.serve().await.stop().await;
    let mode = |name: &str| fs::metadata(scene.path(name)).unwrap().permissions().mode() & 0o777;
    for folder in ["data", "data/keys", "data/store", "data/log"] {
        assert_eq!(mode(folder), 0o700, "{folder}");
    }
    for key in ["root.key", "handshake.key", "block.key", "log.key"] {
        assert_eq!(mode(&format!("data/keys/{key}")), 0o600);
    }
}

#[tokio::test]
async fn the_servers_keys_must_be_there_readable_and_secret() {
    let scene = Scene::new();
    let first = scene.serve().await;
    let root = first.root;
    first.stop().await;
    for name in ["root.key", "handshake.key", "block.key", "log.key"] {
        let path = scene.path("data/keys").join(name);
        set_mode(&path, 0o644);
        assert_says(&scene.run(SERVE).await, 3, &[name, "others can read", "mode 644"]);
        set_mode(&path, 0o600);

        let content = fs::read(&path).unwrap();
        for rubbish in [&b""[..], b"rubbish", &content[..content.len() - 10], &[0xff; 90]] {
            fs::write(&path, rubbish).unwrap();
            assert_says(&scene.run(SERVE).await, 3, &[name, "not a key file"]);
        }

        fs::remove_file(&path).unwrap();
        if name == "root.key" {
            // It may be kept elsewhere.
            let without = scene.serve().await;
            assert_eq!(without.root, root);
            without.stop().await;
        } else {
            assert_says(&scene.run(SERVE).await, 3, &[name, "is missing", "put it back", "key rotate"]);
        }
        assert!(!path.exists(), "a key that was in use is not made anew");
        fs::write(&path, &content).unwrap();
        set_mode(&path, 0o600);
    }
    for name in ["root.pub", "handshake.cert", "block.cert", "generation"] {
        let path = scene.path("data/keys").join(name);
        let content = fs::read(&path).unwrap();
        fs::write(&path, "rubbish").unwrap();
        assert_says(&scene.run(SERVE).await, 3, &[name, "is damaged"]);
        fs::write(&path, &content).unwrap();
    }
    let second = scene.serve().await;
    assert_eq!(second.root, root);
    second.stop().await;
}

#[tokio::test]
async fn a_clients_key_must_be_there_readable_and_secret() {
    let scene = Scene::new();
    // No server is asked: what is wrong is found before.
    let bot = "bot --server ws://127.0.0.1:9 --room r --key";
    let missing = scene.run(&format!("{bot} mine")).await;
    assert_says(&missing, 2, &["no key file mine", "cadastre key new mine"]);
    assert_says(&scene.run(&format!("{bot} mine --count 2")).await, 2, &["cadastre key new mine.0"]);
    scene.run("key new mine").await.ok();
    set_mode(&scene.path("mine"), 0o640);
    for command in [&format!("{bot} mine"), "key show mine"] {
        assert_says(&scene.run(command).await, 2, &["mine", "others can read", "mode 640", "chmod 600 mine"]);
    }
    scene.write("mine", "ssh-ed25519 AAAA\n");
    set_mode(&scene.path("mine"), 0o600);
    for command in [&format!("{bot} mine"), "key show mine"] {
        assert_says(&scene.run(command).await, 2, &["mine is not a key file"]);
    }
    assert_says(&scene.run(&format!("{bot} .")).await, 2, &["key file ."]);
}

#[tokio::test]
async fn a_store_put_back_from_a_backup_is_refused() {
    let scene = Scene::new();
    scene.serve().await.stop().await;
    copy_folder(&scene.path("data/store"), &scene.path("backup"));
    scene.serve().await.stop().await;
    fs::rename(scene.path("data/store"), scene.path("newest")).unwrap();
    fs::rename(scene.path("backup"), scene.path("data/store")).unwrap();
    for _ in 0..2 {
        let refused = scene.run(SERVE).await;
        assert_says(&refused, 3, &["put back from a backup", "put back the newest store", "key rotate"]);
    }
    // The advice helps.
    fs::remove_dir_all(scene.path("data/store")).unwrap();
    fs::rename(scene.path("newest"), scene.path("data/store")).unwrap();
    scene.serve().await.stop().await;
    // No store at all is an older one too, and so is one of other keys.
    fs::rename(scene.path("data/store"), scene.path("newest")).unwrap();
    assert_says(&scene.run(SERVE).await, 3, &["put back from a backup"]);
    fs::remove_dir_all(scene.path("data/store")).unwrap();
    fs::rename(scene.path("newest"), scene.path("data/store")).unwrap();
    fs::remove_dir_all(scene.path("data/keys")).unwrap();
    assert_says(&scene.run(SERVE).await, 3, &["belongs to other keys"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_written_snapshot_of_the_store_loses_nothing() {
    let scene = Scene::new();
    let server = scene.serve().await;
    Table::open(&server, "r", boxes(2, 5)).await.finish().await;
    let export = |listen| format!("export --server ws://{listen} --room r --out r.cadr");
    scene.run(&export(server.listen)).await.ok();
    let before = scene.read("r.cadr");
    server.stop().await;
    // A start that has something to read writes a snapshot of it.
    scene.serve().await.stop().await;

    let store = scene.path("data/store");
    let snapshots = |folder: &Path| {
        let names =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("snap.")).collect::<Vec<_>>()
    };
    let whole = snapshots(&store);
    assert!(!whole.is_empty());
    for name in &whole {
        let bytes = fs::read(store.join(name)).unwrap();
        fs::write(store.join(format!("{name}.generating")), &bytes[..bytes.len() / 2]).unwrap();
        fs::write(store.join(name), &bytes[..bytes.len() / 2]).unwrap();
    }
    let server = scene.serve().await;
    assert!(snapshots(&store).iter().all(|name| !name.ends_with(".generating")));
    scene.run(&export(server.listen)).await.ok();
    // Byte for byte but for the newest checkpoint of the log.
    assert_eq!(blocks_of(&scene.read("r.cadr")), blocks_of(&before));
    server.stop().await;
}

#[tokio::test]
async fn arguments_that_are_not_understood_are_named() {
    let scene = Scene::new();
    let cases = [
        (
            "serve --listne 127.0.0.1:0",
            "unexpected argument '--listne' found; tip: a similar argument exists: '--listen'",
        ),
        ("serve --listen here", "invalid value 'here' for '--listen <ADDR>'"),
        ("sreve", "unrecognized subcommand 'sreve'"),
        ("bot", "the following required arguments were not provided: --server <URL> --room <ROOM>"),
        ("bot --server ws://127.0.0.1:9 --room r --count 9", "9 is not in 1..=8"),
        ("export --server ws://127.0.0.1:9 --out f", "--match <ID>|--room <NAME>"),
        ("export --server ws://127.0.0.1:9 --out f --room r --match 1", "cannot be used with"),
        ("demo --players 1", "1 is not in 2..=8"),
    ];
    for (arguments, message) in cases {
        assert_says(&scene.run(arguments).await, 2, &[message, "--help says more"]);
    }
    let cases = [
        ("--log = serve --check", "--log: "),
        (
            "watch --server 127.0.0.1:9 --room r",
            "`127.0.0.1:9` is not a server URL; it looks like ws://127.0.0.1:7777",
        ),
        ("watch --server ws://127.0.0.1:9 --room ä", "`ä` is no room name"),
        ("watch --server ws://127.0.0.1:9 --room r --root-key 12", "a root key has 64 hexadecimal digits"),
        ("export --server ws://127.0.0.1:9 --out f --match 12", "a match id has 64 hexadecimal digits"),
        ("room create --server ws://127.0.0.1:9 r --rules chess", "no rules `chess`; there are boxes, city"),
        ("room create --server ws://127.0.0.1:9 r --rules boxes --seats 1", "boxes is for 2 to 8 seats"),
        ("room create --server ws://127.0.0.1:9 r --size 63", "city has sizes 64 to 512"),
        ("replay missing.cadr", "cannot read missing.cadr: No such file"),
        ("audit missing.cadr", "cannot read missing.cadr: No such file"),
    ];
    for (arguments, message) in cases {
        assert_says(&scene.run(arguments).await, 2, &[message]);
    }
    let help = scene.run("").await;
    assert_eq!(help.code, Some(2));
    assert!(help.stderr.contains("Usage:") && help.stderr.contains("audit"), "{help:?}");
    for wanted in ["--help", "help audit", "audit --help"] {
        assert!(scene.run(wanted).await.ok().stdout.contains("Usage:"));
    }
    assert!(scene.run("--version").await.ok().stdout.starts_with("cadastre "));
}

#[tokio::test]
async fn a_bad_configuration_is_refused_with_its_line_or_its_name() {
    let scene = Scene::new();
    let cases = [
        ("lisen = '127.0.0.1:0'", "config.toml, line 1: unknown field `lisen`"),
        ("deadline_ms = 1000\n\n[limits]\nroom_max = 3\n", "config.toml, line 4: unknown field `room_max`"),
        ("[limits]\nrooms_max = 'many'", "config.toml, line 2: invalid type: string \"many\""),
        ("[limits]\nrooms_max = -1", "config.toml, line 2: "),
        ("listen = '127.0.0.1'", "config.toml, line 1: "),
        ("[limits", "config.toml, line 1: "),
        ("deadline_ms = 99", "`deadline_ms` must be 100 to 2678400000"),
        ("deadline_ms = 2678400001", "`deadline_ms` must be 100 to 2678400000"),
        ("[limits]\nconnections_max = 0", "`limits.connections_max` must be "),
        ("[limits]\nhandshakes_max = 0", "`limits.handshakes_max` must be "),
        ("[limits]\nhandshake_ms_max = 99", "`limits.handshake_ms_max` must be "),
        ("[limits]\nrooms_max = 0", "`limits.rooms_max` must be "),
        ("[limits]\nqueue_messages_max = 15", "`limits.queue_messages_max` must be "),
        ("[limits]\nwrite_ms_max = 99", "`limits.write_ms_max` must be "),
        ("[limits]\nheartbeat_ms = 99", "`limits.heartbeat_ms` must be "),
        ("[limits]\nmessages_per_s_max = 0", "`limits.messages_per_s_max` must be "),
        ("[limits]\nexports_max = 0", "`limits.exports_max` must be "),
        ("[limits]\ncommits_max = 0", "`limits.commits_max` must be "),
    ];
    for (config, message) in cases {
        scene.write("config.toml", config);
        for check in ["", "--check"] {
            let refused = scene.run(&format!("{SERVE} --config config.toml {check}")).await;
            assert_says(&refused, 2, &[message]);
        }
    }
    assert_says(&scene.run(&format!("{SERVE} --config none.toml")).await, 2, &["cannot read none.toml"]);
    scene.write("config.toml", [0xff, 0xfe]);
    assert_says(&scene.run(&format!("{SERVE} --config config.toml")).await, 2, &["cannot read config.toml"]);
    assert!(!scene.path("data").exists(), "nothing is begun under a bad configuration");
}

#[tokio::test]
async fn a_good_configuration_can_be_checked_without_starting() {
    let scene = Scene::new();
    scene.write(
        "config.toml",
        "data = 'data'\nauthorities = ['play.example:443']\n[limits]\nspectators_max = 0\n",
    );
    for arguments in ["serve --check", "serve --check --config config.toml"] {
        let checked = scene.run(arguments).await.ok();
        assert_eq!((checked.stdout.as_str(), checked.stderr.as_str()), ("The configuration is valid.\n", ""));
    }
    let checked = scene.run("--json serve --check --config config.toml").await.ok();
    assert_eq!(checked.only_json()["configuration"], "valid");
    assert!(!scene.path("data").exists());
}

#[tokio::test]
async fn a_server_with_another_root_key_is_refused() {
    let scene = Scene::new();
    let server = scene.serve().await;
    let (url, root) = (server.url(), server.root);
    let other = "ab".repeat(32);
    for command in ["room create r", "bot --room r", "watch --room r"] {
        let refused = scene.run(&format!("{command} --server {url} --root-key {other}")).await;
        assert_says(&refused, 1, &[&root.to_string(), &other, "--root-key is not the server's"]);
        assert_eq!(refused.stdout, "");
    }
    assert!(!scene.path("home").exists(), "nothing is remembered of it");
    scene.run(&format!("room create r --server {url} --root-key {root}")).await.ok();
    assert!(!scene.path("home").exists(), "a key that was given need not be remembered");
    server.stop().await;
}

#[tokio::test]
async fn a_remembered_server_may_not_change_its_key() {
    let scene = Scene::new();
    let first = scene.serve().await;
    let (url, listen, root) = (first.url(), first.listen, first.root);
    let create = |name: &str| format!("room create {name} --server {url}");
    let trusted = scene.run(&create("a")).await.ok();
    assert_eq!(
        trusted.refused(0),
        format!("{listen} is new; trusting its root key {root} from now on (--root-key pins one)")
    );
    assert_eq!(scene.run(&create("b")).await.ok().stderr, "", "the second time it is known");
    first.stop().await;

    let second = scene.serve_with(&format!("--listen {listen} --data other")).await;
    let known = scene.path("home/known_servers");
    let hint = format!("remove its line from {}", known.display());
    for command in
        [create("c"), format!("bot --room c --server {url}"), format!("watch --room c --server {url}")]
    {
        let refused = scene.run(&command).await;
        assert_says(&refused, 1, &[&root.to_string(), &second.root.to_string(), &hint]);
    }
    assert_eq!(fs::read_to_string(&known).unwrap(), format!("{listen} {root}\n"));
    fs::write(&known, "").unwrap();
    scene.run(&create("c")).await.ok();
    assert_eq!(fs::read_to_string(&known).unwrap(), format!("{listen} {}\n", second.root));
    fs::write(&known, "rubbish").unwrap();
    assert_says(&scene.run(&create("d")).await, 2, &["malformed line in", "known_servers"]);
    second.stop().await;
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_said_so() {
    let scene = Scene::new();
    // A port that was free a moment ago.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    // A port where something else answers.
    let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let not_ours = other.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = other.accept().await {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut { tcp }, b"220 mail.example ESMTP\r\n").await;
        }
    });
    for (listen, why) in [(closed, "Connection refused"), (not_ours, "")] {
        for command in ["room create r", "bot --room r", "watch --room r", "export --room r --out f"] {
            let refused = soon(command, scene.run(&format!("{command} --server ws://{listen}"))).await;
            assert_says(&refused, 3, &[why]);
            assert_eq!(refused.stdout, "");
        }
    }
    assert!(!scene.path("f").exists());
}

fn assert_says(ran: &Ran, code: i32, words: &[&str]) {
    let line = ran.refused(code);
    assert!(words.iter().all(|word| line.contains(word)), "{words:?} in {line:?}");
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
