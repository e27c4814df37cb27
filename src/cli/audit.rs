//! `cadastre audit`.

use std::{path::PathBuf, process::ExitCode};

use cadastre_protocol::{
    Culprit, EVIDENCE_MAGIC, EvidenceReport, Height, Parent, PublicKey, Revocations, Seat, Turn, Verdict,
    log::{Checkpoint, LoggedHead, WitnessKey},
};
use cadastre_replay::{AuditError, AuditReport, Grace, ParentError, Pause, Takeback, Violation};
use clap::Args;
use serde_json::{Value, json};

use super::{CliError, Ending, connect::root_key, describe, output::Output, read_file, replay::parent_json};
use crate::server_keys;

#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    /// The replay or evidence file.
    file: PathBuf,
    /// The root key that the service is known to have. Without it, nothing shows that a replay is not made up
    /// as a whole, and no evidence counts against a server.
    #[arg(long, value_name = "HEX")]
    root_key: Option<String>,
    /// The service's list of revoked certificates, as GET /revocations gives it; what is signed under one
    /// of them counts no more from the time that the list says.
    #[arg(long, value_name = "FILE", requires = "root_key")]
    revocations: Option<PathBuf>,
    /// The key of a witness that is trusted; again for each. The file must then prove that the match stands in
    /// the log of the service, in a checkpoint that enough of them cosigned.
    #[arg(long = "witness", value_name = "VKEY")]
    witnesses: Vec<String>,
    /// The replay file of the match that this one goes on from. It is audited too, and must have the state there.
    #[arg(long, value_name = "FILE")]
    parent: Option<PathBuf>,
    /// How many of the witnesses must have cosigned; all if it is not said.
    #[arg(long, value_name = "COUNT", requires = "witnesses")]
    quorum: Option<usize>,
}

pub(super) fn audit(args: &AuditArgs, output: Output) -> Ending {
    let pinned = args.root_key.as_deref().map(root_key).transpose()?;
    let revocations = match (&args.revocations, pinned) {
        (Some(path), Some(root)) => {
            server_keys::read_revocations(path, root).map_err(|error| CliError::usage(describe(&error)))?
        }
        (Some(_), None) | (None, _) => Revocations::NONE,
    };
    let policy = Policy::of(args)?;
    let bytes = read_file(&args.file)?;
    if bytes.starts_with(&EVIDENCE_MAGIC) {
        return audit_evidence(&bytes, pinned, &revocations, args, output);
    }
    match cadastre_replay::audit_with(&bytes, pinned, &revocations) {
        Ok(report) => {
            let descent = descent(&bytes, args, pinned, &revocations)?;
            let lacking = policy.short_of(&report).map(|why| ("lacking", why));
            let why_not = lacking.or(descent.and_then(Result::err).map(|why| ("parent", why.to_string())));
            let is_traced = descent == Some(Ok(()));
            tell(
                &report,
                &policy,
                is_traced,
                why_not.as_ref().map(|(word, why)| (*word, why.as_str())),
                output,
            );
            let valid = report.is_valid() && why_not.is_none();
            Ok(if valid { ExitCode::SUCCESS } else { ExitCode::from(CliError::NOT_SO) })
        }
        Err(error) => {
            if let AuditError::Unreadable { before: Some(report), .. } = &error {
                tell(report, &policy, false, Some(("damaged", &describe(&error))), output);
            } else {
                let result = json!({ "audit": "invalid", "error": describe(&error) });
                output.result(&result, || "audit     INVALID".into());
            }
            Err(CliError::usage(format!("{}: {}", args.file.display(), describe(&error))))
        }
    }
}

/// Whether the match goes on from the one in the file that was given for that.
fn descent(
    fork: &[u8],
    args: &AuditArgs,
    pinned: Option<PublicKey>,
    revocations: &Revocations,
) -> Result<Option<Result<(), ParentError>>, CliError> {
    let Some(path) = &args.parent else { return Ok(None) };
    let parent = read_file(path)?;
    let unreadable = |error: AuditError| CliError::usage(format!("{}: {}", path.display(), describe(&error)));
    let found = cadastre_replay::audit_parent(fork, &parent, pinned, revocations).map_err(unreadable)?;
    Ok(Some(found.map(|_| ())))
}

/// Judges an evidence file: exit code 1 when it proves that somebody cheated, 0 when it proves nothing, 2 when
/// nobody can tell from it.
fn audit_evidence(
    bytes: &[u8],
    pinned: Option<PublicKey>,
    revocations: &Revocations,
    args: &AuditArgs,
    output: Output,
) -> Ending {
    let unreadable = |error| CliError::usage(format!("{}: {}", args.file.display(), describe(&error)));
    let report =
        cadastre_replay::verify_evidence(bytes, pinned.as_slice(), revocations).map_err(unreadable)?;
    output.result(&evidence_json(&report), || evidence_text(&report));
    match &report.verdict {
        Verdict::Proven(_) => Ok(ExitCode::from(CliError::NOT_SO)),
        Verdict::NotProven(_) => Ok(ExitCode::SUCCESS),
        Verdict::Undecidable(why) => {
            Err(CliError::usage(format!("{}: undecidable: {why}", args.file.display())))
        }
    }
}

fn evidence_json(report: &EvidenceReport) -> Value {
    let mut result = json!({
        "evidence": report.kind,
        "match_id": report.match_id.map(|id| id.to_string()),
        "root_key": report.root_key.to_string(),
        "pinned": report.pinned,
    });
    match &report.verdict {
        Verdict::Proven(finding) => {
            result["verdict"] = "proven".into();
            result["culprit"] = match &finding.culprit {
                Culprit::Player { identity, seat } => {
                    json!({ "player": identity.to_string(), "seat": seat.get() })
                }
                Culprit::Server { serials } => json!({ "server": serials }),
                Culprit::Log { serial } => json!({ "log": serial }),
            };
            result["turn"] = finding.turn.map(Turn::get).into();
            result["height"] = finding.height.map(Height::get).into();
            result["seat"] = finding.seat.map(Seat::get).into();
            result["detail"] = finding.detail.as_str().into();
        }
        Verdict::NotProven(why) => {
            result["verdict"] = "not-proven".into();
            result["detail"] = why.to_string().into();
        }
        Verdict::Undecidable(why) => {
            result["verdict"] = "undecidable".into();
            result["detail"] = why.to_string().into();
        }
    }
    result
}

fn evidence_text(report: &EvidenceReport) -> String {
    let mut lines = vec![format!("evidence  {}", report.kind)];
    lines.extend(report.match_id.map(|id| format!("match     {id}")));
    lines.push(if report.pinned {
        format!("root key  {} as given", report.root_key)
    } else {
        format!("root key  {} NOT among those given (--root-key)", report.root_key)
    });
    match &report.verdict {
        Verdict::Proven(finding) => {
            let block = finding.height.map_or_else(String::new, |height| format!(", block {height}"));
            let seat = finding.seat.map_or_else(String::new, |seat| format!(", seat {seat}"));
            lines.push(format!("who       {}", finding.culprit));
            lines.push(format!("what      {}", finding.detail));
            lines.extend(finding.turn.map(|turn| format!("where     turn {turn}{block}{seat}")));
            lines.push("verdict   PROVEN".into());
        }
        Verdict::NotProven(why) => lines.push(format!("verdict   NOT PROVEN: {why}")),
        Verdict::Undecidable(why) => lines.push(format!("verdict   UNDECIDABLE: {why}")),
    }
    lines.join("\n")
}

/// Audits bytes for another command: valid or not, and by which key.
pub(super) fn is_valid(bytes: &[u8], pinned: PublicKey) -> bool {
    cadastre_replay::audit(bytes, Some(pinned)).is_ok_and(|report| report.is_valid())
}

/// Which witnesses must have seen the log.
struct Policy {
    witnesses: Vec<WitnessKey>,
    quorum: usize,
}

impl Policy {
    fn of(args: &AuditArgs) -> Result<Self, CliError> {
        let parse = |vkey: &String| {
            WitnessKey::parse(vkey)
                .map_err(|error| CliError::usage(format!("--witness {vkey}: {}", describe(&error))))
        };
        let witnesses = args.witnesses.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        let twice = witnesses.iter().enumerate().any(|(i, witness)| witnesses[..i].contains(witness));
        let quorum = args.quorum.unwrap_or(witnesses.len());
        if twice || quorum > witnesses.len() {
            return Err(CliError::usage(
                "each --witness is to be given once, and --quorum is at most their number",
            ));
        }
        Ok(Self { witnesses, quorum })
    }

    /// The witnesses that cosigned, and when, in seconds since 1970.
    fn cosigned<'a>(&'a self, logged: &LoggedHead) -> Vec<(&'a str, u64)> {
        let cosigned = |witness: &'a WitnessKey| {
            let time = logged.checkpoint().cosigned_by(witness).ok().flatten();
            time.map(|time| (witness.name(), time))
        };
        self.witnesses.iter().filter_map(cosigned).collect()
    }

    /// Why a file is not good enough that breaks no rule.
    fn short_of(&self, report: &AuditReport) -> Option<String> {
        if self.witnesses.is_empty() {
            return None;
        }
        let Some(logged) = &report.logged else {
            return Some("the file does not prove that it is logged".into());
        };
        let height = logged.entry().height;
        if height < report.height {
            return Some(format!("the match is logged only up to block {height} of {}", report.height));
        }
        let count = self.cosigned(logged).len();
        (count < self.quorum)
            .then(|| format!("{count} of the {} witnesses that are needed cosigned the log", self.quorum))
    }
}

fn tell(
    report: &AuditReport,
    policy: &Policy,
    is_traced: bool,
    why_not: Option<(&str, &str)>,
    output: Output,
) {
    let valid = report.is_valid() && why_not.is_none();
    let logged = report.logged.as_ref().map(|logged| {
        let Checkpoint { origin, size, .. } = logged.checkpoint().get();
        let cosigned = policy.cosigned(logged);
        let cosigned = cosigned.iter().map(|(witness, time)| json!({ "witness": witness, "time": time }));
        json!({
            "height": logged.entry().height.get(),
            "index": logged.index(),
            "size": size,
            "origin": origin.as_str(),
            "cosigned": cosigned.collect::<Vec<_>>(),
        })
    });
    let violations: Vec<Value> = report.violations.iter().map(violation_json).collect();
    let mut result = json!({
        "audit": if valid { "valid" } else { "invalid" },
        "complete": report.complete,
        "pinned": report.pinned,
        "root_key": report.root_key.to_string(),
        "match_id": report.match_id.to_string(),
        "parent": report.parent.map(|parent| {
            let mut parent = parent_json(&parent);
            parent["traced"] = is_traced.into();
            parent
        }),
        "turns": report.turns.get(),
        "height": report.height.get(),
        "head": report.head.to_string(),
        "takebacks": report.takebacks.iter().map(takeback_json).collect::<Vec<_>>(),
        "pauses": report.pauses.iter().map(pause_json).collect::<Vec<_>>(),
        "graces": report.graces.iter().map(grace_json).collect::<Vec<_>>(),
        "logged": logged,
        "revoked_log": report.revoked_log,
        "violations": violations,
    });
    if let Some((_, why)) = why_not {
        result["error"] = why.into();
    }
    output.result(&result, || text(report, policy, is_traced, why_not, valid));
}

fn text(
    report: &AuditReport,
    policy: &Policy,
    is_traced: bool,
    why_not: Option<(&str, &str)>,
    valid: bool,
) -> String {
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
    if let Some(Parent { match_id, turn, .. }) = report.parent {
        let traced = if is_traced { "as in its file" } else { "NOT checked (--parent FILE)" };
        lines.push(format!("parent    turn {turn} of match {match_id}, {traced}"));
    }
    for Takeback { height, from_turn, to_turn } in &report.takebacks {
        lines.push(format!("takeback  block {height}, by all: from turn {from_turn} back to turn {to_turn}"));
    }
    for Pause { height, turn, ms } in &report.pauses {
        lines.push(format!("pause     block {height}, by all: {ms} ms, after turn {turn}"));
    }
    for Grace { height, turn } in &report.graces {
        lines.push(format!("grace     block {height}, by the server's word, after turn {turn}"));
    }
    if let Some(logged) = &report.logged {
        let Checkpoint { origin, size, .. } = logged.checkpoint().get();
        let (height, index) = (logged.entry().height, logged.index());
        let names: Vec<_> = policy.cosigned(logged).into_iter().map(|(name, _)| name).collect();
        let cosigned =
            if names.is_empty() { String::new() } else { format!(", cosigned by {}", names.join(", ")) };
        lines.push(format!("logged    block {height} is entry {index} of {size} in {origin}{cosigned}"));
    }
    if let Some(serial) = report.revoked_log {
        lines.push(format!("logged    not proved: the certificate {serial} of the log's key is revoked"));
    }
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
    if let Some((word, why)) = why_not {
        lines.push(format!("{word:<9} {why}"));
    }
    lines.push(format!("audit     {}", if valid { "VALID" } else { "INVALID" }));
    lines.join("\n")
}

fn takeback_json(takeback: &Takeback) -> Value {
    let Takeback { height, from_turn, to_turn } = takeback;
    json!({ "height": height.get(), "from_turn": from_turn.get(), "to_turn": to_turn.get() })
}

fn pause_json(pause: &Pause) -> Value {
    let Pause { height, turn, ms } = pause;
    json!({ "height": height.get(), "turn": turn.get(), "ms": ms })
}

fn grace_json(grace: &Grace) -> Value {
    let Grace { height, turn } = grace;
    json!({ "height": height.get(), "turn": turn.get() })
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
