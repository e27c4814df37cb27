//! Evidence as it comes from anybody, and files that prove something, or that do not, with some of their bytes
//! changed.

use cadastre_protocol::{EvidenceFile, EvidenceReport, Revocations, Verdict};
use cadastre_replay::{fixture::root_key, verify_evidence};

use super::edits::{EDITS_MAX, Numbers};

pub(super) fn evidence(data: &[u8]) {
    let judged = judge(data);
    let Ok(file) = EvidenceFile::read(data) else { return assert_eq!(judged, None) };
    assert!(judged.is_some());
    let again = match file {
        EvidenceFile::Match(evidence) => evidence.to_bytes(),
        EvidenceFile::Log(fork) => fork.to_bytes(),
    };
    assert_eq!(again, data);
}

/// One of the committed files, then changes of it: for each a number of where, and a number that is added. It
/// proves the same, or nothing.
pub(super) fn evidence_edited(data: &[u8]) {
    let mut numbers = Numbers::new(data);
    let good = FILES[numbers.below(FILES.len())];
    let mut bytes = good.to_vec();
    for _ in 0..EDITS_MAX {
        if !numbers.is_empty() {
            let at = numbers.below(bytes.len());
            bytes[at] = bytes[at].wrapping_add(numbers.u8());
        }
    }
    evidence(&bytes);
    if let Some(report) = judge(&bytes)
        && matches!(report.verdict, Verdict::Proven(_))
    {
        assert_eq!(Some(report), judge(good));
    }
}

fn judge(bytes: &[u8]) -> Option<EvidenceReport> {
    verify_evidence(bytes, &[root_key().public()], &Revocations::NONE).ok()
}

/// Includes files of `replay/tests/vectors/evidence/`.
macro_rules! files {
    ($($name:literal)*) => {
        &[$(include_bytes!(concat!("../../../replay/tests/vectors/evidence/", $name, ".cade"))),*]
    };
}

/// Of each kind one that proves it, and some that prove nothing.
const FILES: &[&[u8]] = files! {
    "player-double-tx" "player-double-commitment" "server-fork" "server-head-lie-link" "server-head-lie-root"
    "server-head-lie-place" "omission" "omission-sealed" "bad-state" "bad-state-start" "bad-state-random"
    "late-accept" "held" "log-fork" "refuted-same-block" "refuted-included" "refuted-half-of-a-turn"
    "refuted-right-state" "refuted-other-match" "refuted-in-time" "refuted-log-that-grew"
};
