//! `cadastre audit`.

use std::{path::PathBuf, process::ExitCode};

use cadastre_protocol::{PublicKey, Revocations, Seat};
use cadastre_replay::{AuditError, AuditReport, Violation};
use clap::Args;
use serde_json::{Value, json};

use super::{CliError, Ending, connect::root_key, describe, output::Output, read_file};
use crate::server_keys;

#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    /// The replay file.
    file: PathBuf,
    /// The root key that the service is known to have. Without it, nothing shows that the file is not made up
    /// as a whole.
    #[arg(long, value_name = "HEX")]
    root_key: Option<String>,
    /// The service's list of revoked certificates, as GET /revocations gives it; blocks signed under one of
    /// them count no more from the time that the list says.
    #[arg(long, value_name = "FILE", requires = "root_key")]
    revocations: Option<PathBuf>,
}

pub(super) fn audit(args: &AuditArgs, output: Output) -> Ending {
    let pinned = args.root_key.as_deref().map(root_key).transpose()?;
    let revocations = match (&args.revocations, pinned) {
        (Some(path), Some(root)) => {
            server_keys::read_revocations(path, root).map_err(|error| CliError::usage(describe(&error)))?
        }
        (Some(_), None) | (None, _) => Revocations::NONE,
    };
    let bytes = read_file(&args.file)?;
    match cadastre_replay::audit_with(&bytes, pinned, &revocations) {
        Ok(report) => {
            tell(&report, None, output);
            Ok(if report.is_valid() { ExitCode::SUCCESS } else { ExitCode::from(CliError::NOT_SO) })
        }
        Err(error) => {
            if let AuditError::Unreadable { before: Some(report), .. } = &error {
                tell(report, Some(&describe(&error)), output);
            } else {
                let result = json!({ "audit": "invalid", "error": describe(&error) });
                output.result(&result, || "audit     INVALID".into());
            }
            Err(CliError::usage(format!("{}: {}", args.file.display(), describe(&error))))
        }
    }
}

/// Audits bytes for another command: valid or not, and by which key.
pub(super) fn is_valid(bytes: &[u8], pinned: PublicKey) -> bool {
    cadastre_replay::audit(bytes, Some(pinned)).is_ok_and(|report| report.is_valid())
}

fn tell(report: &AuditReport, unreadable: Option<&str>, output: Output) {
    let valid = report.is_valid() && unreadable.is_none();
    let violations: Vec<Value> = report.violations.iter().map(violation_json).collect();
    let mut result = json!({
        "audit": if valid { "valid" } else { "invalid" },
        "complete": report.complete,
        "pinned": report.pinned,
        "root_key": report.root_key.to_string(),
        "match_id": report.match_id.to_string(),
        "turns": report.turns.get(),
        "height": report.height.get(),
        "head": report.head.to_string(),
        "violations": violations,
    });
    if let Some(why) = unreadable {
        result["error"] = why.into();
    }
    output.result(&result, || text(report, unreadable, valid));
}

fn text(report: &AuditReport, unreadable: Option<&str>, valid: bool) -> String {
    let mut lines = vec![
        format!("match     {}", report.match_id),
        format!("judged    {} turns, {} blocks, head {}", report.turns, report.height, report.head),
        format!(
            "complete  {}",
            if report.complete { "yes, to the seal" } else { "no: the match goes on after this file" }
        ),
        if report.pinned {
            format!("root key  {} as given", report.root_key)
        } else {
            format!(
                "root key  {} NOT checked: anybody can make a file that is consistent in itself (--root-key)",
                report.root_key
            )
        },
    ];
    for v in &report.violations {
        let seat = v.seat.map_or_else(String::new, |seat| format!(", seat {seat}"));
        lines.push(format!(
            "VIOLATION turn {}{seat}, {}: {} (block {}, byte {})",
            v.turn, v.kind, v.detail, v.height, v.offset
        ));
    }
    if let Some(height) = report.stopped {
        lines.push(format!("stopped   at block {height}: what follows a broken link cannot be judged"));
    }
    if let Some(why) = unreadable {
        lines.push(format!("damaged   {why}"));
    }
    lines.push(format!("audit     {}", if valid { "VALID" } else { "INVALID" }));
    lines.join("\n")
}

fn violation_json(violation: &Violation) -> Value {
    json!({
        "turn": violation.turn.get(),
        "seat": violation.seat.map(Seat::get),
        "kind": violation.kind,
        "detail": violation.detail,
        "height": violation.height.get(),
        "offset": violation.offset,
    })
}
