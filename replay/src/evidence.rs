//! Judges an evidence file to its end: executes the block where only that decides.

use cadastre_protocol::{
    BlockKind, Evidence, EvidenceError, EvidenceFile, EvidenceReport, Judged, PublicKey, Refuted,
    Revocations, StateClaim, StateRoot, Undecidable, Verdict,
};
use cadastre_simulations::{Game, SetupError};

/// Judges an evidence file of any kind, from its bytes, the root keys that are trusted, and what is known to be
/// revoked: what was signed under a certificate from then on proves nothing.
///
/// `docs/protocol.md`, "Evidence".
///
/// # Errors
///
/// The bytes are no evidence file.
pub fn verify_evidence(
    bytes: &[u8],
    pinned: &[PublicKey],
    revocations: &Revocations,
) -> Result<EvidenceReport, EvidenceError> {
    Ok(match EvidenceFile::read(bytes)? {
        EvidenceFile::Match(evidence) => judge_evidence(*evidence, pinned, revocations),
        EvidenceFile::Log(fork) => fork.judge(pinned, revocations),
    })
}

/// Judges evidence of a match that is not in a file yet.
pub fn judge_evidence(evidence: Evidence, pinned: &[PublicKey], revocations: &Revocations) -> EvidenceReport {
    match evidence.judge(pinned, revocations) {
        Judged::Decided(report) => report,
        Judged::Execute(claim) => {
            let executed = execute(&claim);
            claim.decide(executed)
        }
    }
}

/// The state that follows from the block, whatever it says itself.
fn execute(claim: &StateClaim) -> Result<StateRoot, Verdict> {
    let starts = claim.block().header().kind == BlockKind::Start;
    if let Some(first) = claim.first_state().filter(|_| starts) {
        return Ok(first);
    }
    let mut game =
        if starts { Game::start(&claim.setup()) } else { Game::restore(&claim.setup(), claim.chunks()) }
            .map_err(not_played)?;
    let work = claim.work(game.stand_in());
    game.execute(&work);
    Ok(game.state_root())
}

fn not_played(error: SetupError) -> Verdict {
    match error {
        // The server signed its root: then it is the state that is not one.
        SetupError::Snapshot => Verdict::NotProven(Refuted::OtherState),
        SetupError::UnknownRules | SetupError::Seats | SetupError::Options => {
            Verdict::Undecidable(Undecidable::Rules)
        }
    }
}
