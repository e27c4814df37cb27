//! Where clients write the evidence that they come to hold.

use std::path::PathBuf;

use cadastre_protocol::{Evidence, PublicKey, Revocations, Seat, Verdict};
use clap::Args;
use serde_json::json;

use super::{complain, export::write_whole, output::Output};

#[derive(Clone, Debug, Args)]
pub(super) struct EvidenceArgs {
    /// Folder for evidence against the server, should it cheat.
    #[arg(long = "evidence", value_name = "DIR", default_value = ".")]
    folder: PathBuf,
}

impl EvidenceArgs {
    /// The folder in which the command was called.
    pub(super) fn here() -> Self {
        Self { folder: PathBuf::from(".") }
    }

    /// Writes evidence to a file of its own, and says in one sentence what it shows.
    pub(super) fn save(&self, evidence: &Evidence, holder: Option<Seat>, root: PublicKey, output: Output) {
        let report = cadastre_replay::judge_evidence(evidence.clone(), &[root], &Revocations::NONE);
        let said = match &report.verdict {
            Verdict::Proven(finding) => format!("{} {}", finding.culprit, finding.detail),
            Verdict::NotProven(why) => why.to_string(),
            Verdict::Undecidable(why) => why.to_string(),
        };
        let id = evidence.genesis.match_id().to_string();
        let holder = holder.map_or_else(|| "spectator".into(), |seat| format!("seat{seat}"));
        let path = self.folder.join(format!("{}-{}-{holder}.cade", report.kind, &id[..8]));
        let written = std::fs::create_dir_all(&self.folder)
            .map_err(|error| error.to_string())
            .and_then(|()| write_whole(&path, &evidence.to_bytes()).map_err(|error| error.message));
        if let Err(error) = written {
            return complain(&format!("EVIDENCE is lost ({said}): {error}"));
        }
        let result = json!({
            "evidence": path,
            "kind": report.kind,
            "match_id": id,
            "proven": matches!(report.verdict, Verdict::Proven(_)),
            "detail": said,
        });
        output.result(&result, || format!("EVIDENCE {}: {said}", path.display()));
    }
}
