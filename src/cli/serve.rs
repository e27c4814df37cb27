//! `cadastre serve`.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::Args;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::{CliError, Ending, describe, output::Output, passphrase, raise_open_files};
use crate::{Service, ServiceError, config::Config, key_file::KeyFileError, server_keys::ServerKeysError};

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Address for WebSocket and HTTP; port 0 lets the system pick one.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Folder for keys and matches; made if it is missing.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Settings; docs/configuration.md lists them all.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only checks the configuration.
    #[arg(long)]
    check: bool,
}

pub(super) async fn serve(args: ServeArgs, passphrase_fd: Option<u32>, output: Output) -> Ending {
    let usage = |error: crate::config::ConfigError| CliError::usage(describe(&error));
    let mut config = args.config.map_or(Ok(Config::default()), |path| Config::read(&path)).map_err(usage)?;
    config.listen = args.listen.unwrap_or(config.listen);
    config.data = args.data.unwrap_or(config.data);
    config.validate().map_err(usage)?;
    if args.check {
        output.result(&json!({ "configuration": "valid" }), || "The configuration is valid.".into());
        return Ok(ExitCode::SUCCESS);
    }
    let failed = |error: std::io::Error| CliError::failed(format!("cannot wait for signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let passphrase = passphrase(passphrase_fd)?;
    raise_open_files();
    let service = Service::start(config, passphrase.as_ref()).await.map_err(|error| not_started(&error))?;
    let (listen, root, log) = (service.listen(), service.root(), service.log_key());
    let started = json!({
        "listen": listen.to_string(),
        "root_key": root.to_string(),
        "log_key": log.to_string(),
    });
    output
        .result(&started, || format!("listening on ws://{listen}\nroot key     {root}\nlog key      {log}"));
    let ending = tokio::select! {
        _ = terminate.recv() => Ok(ExitCode::SUCCESS),
        _ = interrupt.recv() => Ok(ExitCode::SUCCESS),
        expired = service.expires() => Err(CliError::failed(describe(&expired))),
    };
    tokio::select! {
        () = service.stop() => ending,
        _ = terminate.recv() => Err(CliError::failed("stopped at once by a second signal")),
        _ = interrupt.recv() => Err(CliError::failed("stopped at once by a second signal")),
    }
}

/// A passphrase that does not do is the caller's to mend, anything else the operator's.
fn not_started(error: &ServiceError) -> CliError {
    let is_passphrase = matches!(
        error,
        ServiceError::Keys(ServerKeysError::File(
            KeyFileError::Locked { .. } | KeyFileError::WrongPassphrase { .. }
        ))
    );
    if is_passphrase { CliError::usage(describe(error)) } else { CliError::failed(describe(error)) }
}
