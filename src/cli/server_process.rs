//! A server in a process of its own, as an operator would run it.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};

use cadastre_client::ServerUrl;
use cadastre_protocol::{PublicKey, Trust};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use super::{CliError, connect::Server};

/// It ends with its owner.
pub(super) struct ServerProcess {
    child: Child,
    pub(super) listen: SocketAddr,
    pub(super) root: PublicKey,
}

impl ServerProcess {
    /// Starts it on a data folder, with the file of its settings if there is one.
    pub(super) async fn start(
        data: &Path,
        config: Option<&Path>,
        listen: SocketAddr,
    ) -> Result<Self, CliError> {
        let failed = |why: String| CliError::failed(format!("the server does not start: {why}"));
        let program = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
        let mut child = Command::new(program)
            .args(["--json", "--log", "error", "serve", "--listen", &listen.to_string(), "--data"])
            .arg(data)
            .args(config.into_iter().flat_map(|path| [Path::new("--config"), path]))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        let stdout = child.stdout.take().ok_or_else(|| failed("no output".into()))?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).await.map_err(|error| failed(error.to_string()))?;
        let started: serde_json::Value =
            serde_json::from_str(&line).map_err(|_| failed("see above".into()))?;
        let listen = started["listen"].as_str().and_then(|text| text.parse().ok());
        let root = started["root_key"].as_str().and_then(PublicKey::from_hex);
        match (listen, root) {
            (Some(listen), Some(root)) => Ok(Self { child, listen, root }),
            _ => Err(failed(line)),
        }
    }

    /// How to reach it.
    pub(super) fn server(&self) -> Result<Server, CliError> {
        let url = ServerUrl::parse(&format!("ws://{}", self.listen))
            .map_err(|error| CliError::failed(error.to_string()))?;
        Ok(Server { url, trust: Trust::Pinned(self.root) })
    }

    /// Its number.
    pub(super) fn id(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Ends it at once, and gives its number.
    pub(super) async fn kill(&mut self) -> Result<u32, CliError> {
        let pid = self.id();
        self.child
            .kill()
            .await
            .map_err(|error| CliError::failed(format!("cannot kill the server: {error}")))?;
        Ok(pid)
    }
}

/// A folder that goes away with its owner.
pub(super) struct Scratch(pub(super) PathBuf);

impl Scratch {
    pub(super) fn new() -> Result<Self, CliError> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|_| CliError::failed("the system gives no random bytes"))?;
        let path = std::env::temp_dir().join(format!("cadastre-{:016x}", u64::from_le_bytes(random)));
        std::fs::create_dir(&path)
            .map_err(|error| CliError::failed(format!("cannot make {}: {error}", path.display())))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left behind lies in the folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
