//! `cadastre export`.

use std::{
    fs::File,
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use cadastre_client::ServerUrl;
use cadastre_protocol::{Digest, PublicKey, Trust};
use cadastre_replay::{Replay, Summary};
use clap::Args;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, StatusCode, body::Bytes};
use hyper_util::rt::TokioIo;
use indicatif::ProgressBar;
use serde_json::json;
use tokio::net::TcpStream;

use super::{
    CliError, Ending, ServerArgs, complain,
    connect::{Server, room_name},
    output::Output,
};

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    which: Which,
    /// Where to write the replay file.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The match with this id.
    #[arg(long = "match", value_name = "ID")]
    match_id: Option<String>,
    /// The newest match of this room.
    #[arg(long, value_name = "NAME")]
    room: Option<String>,
}

pub(super) async fn export(args: ExportArgs, output: Output) -> Ending {
    let server = Server::of(&args.server)?;
    let path = match (&args.which.match_id, &args.which.room) {
        (Some(id), _) => {
            let id = Digest::from_hex(id);
            let id = id.ok_or_else(|| CliError::usage("a match id has 64 hexadecimal digits"))?;
            format!("/matches/{id}/replay")
        }
        (None, Some(room)) => format!("/rooms/{}/replay", room_name(room)?),
        (None, None) => return Err(CliError::usage("--match or --room says which match")),
    };
    let bytes = fetch(&server.url, &path).await?;
    let trusted = match server.trust {
        Trust::Pinned(root) => Some(root),
        Trust::FirstUse => None,
    };
    let summary = save(&bytes, trusted, &args.out)?;
    if trusted.is_none() {
        complain(&format!(
            "the file names the root key {}, which nobody checked: --root-key, here and for the audit, pins it",
            summary.root_key
        ));
    }
    let result = json!({
        "replay": args.out,
        "match_id": summary.match_id.to_string(),
        "turns": summary.turns.get(),
        "height": summary.height.get(),
        "head": summary.head.to_string(),
        "complete": summary.complete,
    });
    output.result(&result, || {
        let state = if summary.complete { "complete" } else { "not finished" };
        format!("{}: {} turns of match {}, {state}", args.out.display(), summary.turns, summary.match_id)
    });
    Ok(ExitCode::SUCCESS)
}

/// Checks that the bytes are a replay file of the service that is trusted, and writes them to a file that is
/// there as a whole or not at all.
pub(super) fn save(bytes: &[u8], trusted: Option<PublicKey>, path: &Path) -> Result<Summary, CliError> {
    let replay =
        Replay::open(bytes).map_err(|damage| CliError::failed(format!("not a replay file: {damage}")))?;
    let summary = replay.summary().clone();
    if let Some(root) = trusted.filter(|root| *root != summary.root_key) {
        let got = summary.root_key;
        return Err(CliError::not_so(format!(
            "the match is of the service with the root key {got}, but {root} is trusted; nothing was written"
        )));
    }
    write_whole(path, bytes)?;
    Ok(summary)
}

/// Writes a file that is there as a whole or not at all.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    File::create(&beside)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&beside, path))
        .map_err(|error| CliError::failed(format!("cannot write {}: {error}", path.display())))
}

/// Gets a file from the service.
pub(super) async fn fetch(url: &ServerUrl, path: &str) -> Result<Vec<u8>, CliError> {
    let failed = |error: &dyn std::fmt::Display| CliError::failed(format!("{url}: {error}"));
    let unreachable = |error: &dyn std::fmt::Display| {
        CliError::failed(format!(
            "{url} cannot be reached: {error}; is it running, and does --server name it?"
        ))
    };
    let tcp = TcpStream::connect(url.authority()).await.map_err(|e| unreachable(&e))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(tcp)).await.map_err(|e| failed(&e))?;
    let driver = tokio::spawn(connection);
    let request = Request::get(path)
        .header(hyper::header::HOST, url.authority())
        .body(Empty::<Bytes>::new())
        .map_err(|e| failed(&e))?;
    let response = sender.send_request(request).await.map_err(|e| failed(&e))?;
    let status = response.status();
    let length = response.headers().get(hyper::header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse().ok());
    let mut body = response.into_body();
    let bar = match length {
        Some(length) if std::io::stderr().is_terminal() => ProgressBar::new(length),
        Some(_) | None => ProgressBar::hidden(),
    };
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|e| failed(&e))?.into_data() {
            bar.inc(data.len() as u64);
            bytes.extend_from_slice(&data);
        }
    }
    bar.finish_and_clear();
    driver.abort();
    if status == StatusCode::OK { Ok(bytes) } else { Err(failed(&String::from_utf8_lossy(&bytes))) }
}
