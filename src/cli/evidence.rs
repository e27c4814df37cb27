//! Where clients write the evidence that they come to hold.

use std::{iter, path::PathBuf};

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

    /// A file of this name, with a number where there is one with something else already.
    fn free_path(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let numbered = (2..).map(|number: u32| self.folder.join(format!("{name}-{number}.cade")));
        let mut paths = iter::once(self.folder.join(format!("{name}.cade"))).chain(numbered);
        let free = |path: &PathBuf| std::fs::read(path).map_or(true, |there| there == bytes);
        paths.find(free).expect("there are more numbers than files")
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
        let bytes = evidence.to_bytes();
        let name = format!("{}-{}-{holder}", report.kind, &id[..8]);
        let path = self.free_path(&name, &bytes);
        let written = std::fs::create_dir_all(&self.folder)
            .map_err(|error| error.to_string())
            .and_then(|()| write_whole(&path, &bytes).map_err(|error| error.message));
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
