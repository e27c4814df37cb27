//! The real program in processes of its own, clients beside it, and peers that break the rules.
//!
//! Every wait is for an event: a line of output, an exit, a message. [`WATCHDOG`] only ends a test that would
//! hang.

#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "only in tests")]

pub(crate) mod cheat;
pub(crate) mod dishonest;
pub(crate) mod peer;
pub(crate) mod random;
pub(crate) mod table;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use cadastre_client::{Client, Config, ServerUrl};
use cadastre_protocol::{
    AbsencePolicy, Access, AgreementPolicy, Clock, DEADLINE_MS_MAX, DisplayName, DoubleTransactionPolicy,
    EnterAs, PublicKey, RandomnessMode, RoomName, RoomSpec, SecretKey, SpectatorPolicy, TakebackPolicy,
    Trust, TurnMode, Visibility,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
    time::timeout,
};

/// Nothing that is waited for takes nearly so long.
const WATCHDOG: Duration = Duration::from_secs(100);

/// A deadline that no turn of a test ever reaches, however slow the machine.
pub(crate) const NO_DEADLINE_MS: u32 = DEADLINE_MS_MAX;

/// Waits for something that is bound to happen.
pub(crate) async fn soon<T>(what: &str, event: impl Future<Output = T>) -> T {
    timeout(WATCHDOG, event).await.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}

/// A folder in which a server keeps its data and commands are run. Goes away with the test.
pub(crate) struct Scene {
    folder: TempDir,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self { folder: TempDir::with_prefix("cadastre-test-").unwrap() }
    }

    /// With the file `match.cadr` of a match that was played to its end, and the root key of its server, which
    /// has stopped.
    pub(crate) async fn with_a_match(spec: RoomSpec) -> (Self, PublicKey) {
        let scene = Self::new();
        let server = scene.serve().await;
        table::Table::open(&server, "match", spec).await.finish().await;
        scene.run(&format!("export {} --room match --out match.cadr", server.arguments())).await.ok();
        let root = server.root;
        server.stop().await;
        (scene, root)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    /// The program with arguments, which are separated by spaces. Runs in the folder, so that names of files
    /// are relative to it, and remembers servers nowhere else.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cadastre"));
        command
            .args(arguments.split_whitespace())
            .current_dir(self.folder.path())
            .env("CADASTRE_HOME", self.path("home"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, arguments: &str) -> Ran {
        let output = soon(arguments, self.command(arguments).output()).await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let ran = Ran {
            arguments: arguments.to_owned(),
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        };
        assert!(!ran.stderr.contains("panicked"), "{ran:?}");
        ran
    }

    /// Starts a server on the folder `data`.
    pub(crate) async fn serve(&self) -> Server {
        self.serve_with("--listen 127.0.0.1:0 --data data").await
    }

    /// Starts a server on the folder `data` where another one listened.
    pub(crate) async fn serve_again(&self, listen: SocketAddr) -> Server {
        self.serve_with(&format!("--listen {listen} --data data")).await
    }

    /// Starts a server on the folder `data` with a configuration.
    pub(crate) async fn serve_configured(&self, config: &str) -> Server {
        self.write("config.toml", config);
        self.serve_with("--listen 127.0.0.1:0 --data data --config config.toml").await
    }

    pub(crate) async fn serve_with(&self, arguments: &str) -> Server {
        let log = self.path("server.log");
        let mut child = self.spawn_server(arguments, &log);
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        soon("the server starts", stdout.read_line(&mut line)).await.unwrap();
        let started: Value = serde_json::from_str(&line)
            .unwrap_or_else(|_| panic!("no start: {line:?}\n{}", fs::read_to_string(&log).unwrap()));
        let listen = started["listen"].as_str().unwrap().parse().unwrap();
        let root = PublicKey::from_hex(started["root_key"].as_str().unwrap()).unwrap();
        let log_key = started["log_key"].as_str().unwrap().to_owned();
        Server { child, listen, root, log_key, log }
    }

    /// Starts a server and waits for nothing.
    pub(crate) fn spawn_server(&self, arguments: &str, log: &Path) -> Child {
        let log = fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        self.command(&format!("--json serve {arguments}")).stderr(log).spawn().unwrap()
    }
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) arguments: String,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// It did what was asked.
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// It ended with `code` and said why in one line. Gives the line.
    pub(crate) fn refused(&self, code: i32) -> &str {
        assert_eq!(self.code, Some(code), "{self:?}");
        let line = self.stderr.strip_suffix('\n').unwrap_or_else(|| panic!("no line: {self:?}"));
        assert!(!line.contains('\n'), "more than one line: {self:?}");
        line.strip_prefix("cadastre: ").unwrap_or_else(|| panic!("{self:?}"))
    }

    /// Every line of output as JSON.
    pub(crate) fn json(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        self.stdout.lines().map(parse).collect()
    }

    /// The one line of output as JSON.
    pub(crate) fn only_json(&self) -> Value {
        let mut lines = self.json();
        assert_eq!(lines.len(), 1, "{self:?}");
        lines.remove(0)
    }
}

/// The names of an object's fields, sorted.
pub(crate) fn fields(object: &Value) -> Vec<&str> {
    let mut names: Vec<_> = object.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// A server that runs.
pub(crate) struct Server {
    child: Child,
    pub(crate) listen: SocketAddr,
    pub(crate) root: PublicKey,
    /// Verifier key of its transparency log.
    pub(crate) log_key: String,
    log: PathBuf,
}

impl Server {
    pub(crate) fn url(&self) -> ServerUrl {
        ServerUrl::parse(&format!("ws://{}", self.listen)).unwrap()
    }

    /// Arguments that name it to a command.
    pub(crate) fn arguments(&self) -> String {
        format!("--server {} --root-key {}", self.url(), self.root)
    }

    /// Ends it at once, as a crash would.
    pub(crate) async fn kill(mut self) {
        soon("the server dies", self.child.kill()).await.unwrap();
        self.check_log();
    }

    /// Asks it to end, and waits until it has.
    pub(crate) async fn stop(mut self) {
        let pid = self.child.id().expect("it runs");
        terminate(pid);
        let status = soon("the server ends after SIGTERM", self.child.wait()).await.unwrap();
        assert_eq!(status.code(), Some(0));
        self.check_log();
    }

    /// Has it run without a panic so far?
    pub(crate) fn check_log(&self) {
        let log = fs::read_to_string(&self.log).unwrap();
        assert!(!log.contains("panicked"), "{log}");
    }

    /// A client with an identity of its own for each number.
    pub(crate) fn client(&self, who: u8, room: &str, enter_as: EnterAs, open: Option<RoomSpec>) -> Client {
        self.client_at(self.url(), who, room, enter_as, open)
    }

    /// As [`Server::client`], by another address that leads to it.
    pub(crate) fn client_at(
        &self,
        url: ServerUrl,
        who: u8,
        room: &str,
        enter_as: EnterAs,
        open: Option<RoomSpec>,
    ) -> Client {
        let config = Config {
            identity: identity(who),
            process: process_key(),
            room: RoomName::new(room).unwrap(),
            enter_as,
            name: DisplayName::new(&format!("client {who}")).unwrap(),
            open,
            credential: None,
        };
        Client::new(url, Trust::Pinned(self.root), config)
    }

    /// Status and body of a page.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.listen);
        let answer = self.raw(&request).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// A file.
    pub(crate) async fn get_bytes(&self, path: &str) -> Vec<u8> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.listen);
        let answer = self.raw_bytes(&request).await;
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        answer[end + 4..].to_vec()
    }

    /// A page of JSON.
    pub(crate) async fn get_json(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Sends bytes and reads all that is answered.
    pub(crate) async fn raw(&self, request: &str) -> String {
        String::from_utf8(self.raw_bytes(request).await).unwrap()
    }

    /// Sends bytes and reads all that is answered, if the connection lasts so long.
    pub(crate) async fn try_raw(&self, request: &str) -> std::io::Result<String> {
        let mut tcp = soon("a connection", TcpStream::connect(self.listen)).await?;
        tcp.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        soon("the answer's end", tcp.read_to_string(&mut answer)).await?;
        Ok(answer)
    }

    async fn raw_bytes(&self, request: &str) -> Vec<u8> {
        let mut tcp = soon("a connection", TcpStream::connect(self.listen)).await.unwrap();
        tcp.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        soon("the answer's end", tcp.read_to_end(&mut answer)).await.unwrap();
        answer
    }

    /// The value of a metric, by its name with its labels; 0 if it was not counted yet.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let (status, text) = self.get("/metrics").await;
        assert_eq!(status, 200);
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or(0)
    }

    /// Waits until a metric has a value. What it counts has happened: only the counting may lag behind.
    pub(crate) async fn await_metric(&self, name: &str, value: u64) {
        soon(&format!("{name} {value}"), self.at_least(name, value)).await;
        assert_eq!(self.metric(name).await, value, "{name}");
    }

    /// Waits until a metric has at least a value.
    pub(crate) async fn at_least(&self, name: &str, value: u64) {
        while self.metric(name).await < value {
            tokio::task::yield_now().await;
        }
    }
}

/// Sends SIGTERM to a process that this test started.
pub(crate) fn terminate(pid: u32) {
    signal(pid, rustix::process::Signal::TERM);
}

/// Sends a signal to a process that this test started.
pub(crate) fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// A key that no other process has.
pub(crate) fn process_key() -> SecretKey {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).unwrap();
    SecretKey::from_seed(&seed)
}

/// The identity key of a number.
pub(crate) fn identity(who: u8) -> SecretKey {
    SecretKey::from_seed(&[0xa0 ^ who; 32])
}

/// A room for `seats` players whose turns wait for all of them, however long it takes.
pub(crate) fn spec(rules: &str, size: u16, seats: u8, turns: u32) -> RoomSpec {
    RoomSpec {
        rules: rules.into(),
        size: Some(size),
        seats,
        mode: TurnMode::Simultaneous,
        turns_max: Some(turns),
        deadline_ms: Some(NO_DEADLINE_MS),
        spectators: SpectatorPolicy::AT_ONCE,
        double_transactions: DoubleTransactionPolicy::KeepFirst,
        visibility: Visibility::Held,
        randomness: RandomnessMode::None,
        takebacks: TakebackPolicy::Never,
        agreements: AgreementPolicy::NONE,
        clock: Clock::PerTurn,
        absence: AbsencePolicy::USUAL,
        seats_min: seats,
        access: Access::PUBLIC,
        fork: None,
        late_joins: false,
        grace_ms: 0,
    }
}

/// A small city.
pub(crate) fn city(seats: u8, turns: u32) -> RoomSpec {
    spec("city", 64, seats, turns)
}

/// A board of boxes that is full after more turns than `turns`.
pub(crate) fn boxes(seats: u8, turns: u32) -> RoomSpec {
    spec("boxes", 8, seats, turns)
}
