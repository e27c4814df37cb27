//! `cadastre witness`.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc};

use cadastre_protocol::{
    SignedCertificate, decode_exact,
    log::{LogKey, Origin, WitnessSigner},
};
use clap::Args;
use serde_json::json;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use super::{CliError, Ending, connect::root_key, describe, output::Output, passphrase, read_file};
use crate::{
    key_file,
    witness::{self, Certified, Witness},
};

#[derive(Debug, Args)]
pub(super) struct WitnessArgs {
    /// Address for HTTP; port 0 lets the system pick one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7780")]
    listen: SocketAddr,
    /// Folder for what was cosigned last; made if it is missing. Never put back an old copy of it.
    #[arg(long, value_name = "DIR", default_value = "cadastre-witness")]
    data: PathBuf,
    /// The witness's key, for nothing else; `cadastre key new` makes one.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The witness's name; best a URL without its scheme.
    #[arg(long)]
    name: String,
    /// A log that is witnessed, and its key; again for each.
    #[arg(long = "origin", value_name = "ORIGIN=VKEY", required = true)]
    logs: Vec<String>,
    /// The root key of a service whose log is witnessed, and the certificate of the log's key, as
    /// GET /log/certificate gives it; again for each. With it, a log that forks is kept as an evidence file.
    #[arg(long = "certificate", value_name = "ROOT_KEY=FILE")]
    certificates: Vec<String>,
}

pub(super) async fn witness(args: WitnessArgs, passphrase_fd: Option<u32>, output: Output) -> Ending {
    let logs = args.logs.iter().map(|log| log_of(log)).collect::<Result<BTreeMap<_, _>, _>>()?;
    let certified = args.certificates.iter().map(|text| certified(text, &logs)).collect::<Result<_, _>>()?;
    let passphrase = passphrase(passphrase_fd)?;
    let key =
        key_file::read(&args.key, passphrase.as_ref()).map_err(|error| CliError::usage(describe(&error)))?;
    let signer = WitnessSigner::new(&args.name, key);
    let signer = signer.ok_or_else(|| CliError::usage("a witness's name has no spaces and no plus"))?;
    let failed = |error: &dyn std::error::Error| CliError::failed(describe(error));
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| failed(&error))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| failed(&error))?;
    let witness = Witness::open(&args.data, signer, logs, certified).map_err(|error| failed(&error))?;
    let bound = async {
        let listener = TcpListener::bind(args.listen).await?;
        listener.local_addr().map(|listen| (listener, listen))
    };
    let (listener, listen) = bound
        .await
        .map_err(|error| CliError::failed(format!("cannot listen on {}: {error}", args.listen)))?;
    let vkey = witness.key().to_string();
    let started = json!({ "listen": listen.to_string(), "witness_key": vkey });
    output.result(&started, || format!("listening on http://{listen}\nwitness key  {vkey}"));
    tokio::select! {
        () = witness::serve(listener, Arc::new(witness)) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn log_of(text: &str) -> Result<(Origin, LogKey), CliError> {
    let usage = |why: &dyn std::fmt::Display| CliError::usage(format!("--origin {text}: {why}"));
    let (origin, vkey) = text.split_once('=').ok_or_else(|| usage(&"ORIGIN=VKEY is wanted"))?;
    let origin = Origin::new(origin).ok_or_else(|| usage(&"not an origin"))?;
    let key = LogKey::parse(vkey).map_err(|error| usage(&describe(&error)))?;
    Ok((origin, key))
}

fn certified(text: &str, logs: &BTreeMap<Origin, LogKey>) -> Result<Certified, CliError> {
    let usage = |why: &dyn std::fmt::Display| CliError::usage(format!("--certificate {text}: {why}"));
    let (root, path) = text.split_once('=').ok_or_else(|| usage(&"ROOT_KEY=FILE is wanted"))?;
    let service = root_key(root)?;
    let enrolled = service.enroll().map_err(|error| usage(&describe(&error)))?;
    let certificate: SignedCertificate =
        decode_exact(&read_file(&path.into())?).map_err(|error| usage(&describe(&error)))?;
    let key = certificate.verify(&enrolled).map_err(|error| usage(&describe(&error)))?.key().public();
    if logs.values().all(|log| log.public() != key) {
        return Err(usage(&"it is of none of the logs that are witnessed"));
    }
    Ok(Certified { service, certificate, key })
}
