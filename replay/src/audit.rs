//! The audit: everything about a replay file that can be wrong, judged by whoever trusts nobody.
//!
//! # Requires
//!
//! - The bytes of a file, and the root key of the service if the answer is to mean more than that the file
//!   is consistent in itself: under a key of his own, any forger can make such a file.
//!
//! # Provides
//!
//! - Of a file without violations: every signature and proof holds, every transaction was received in its
//!   time and stands in the computed order, nobody was counted absent without being it, and executing the
//!   match gives every state root and the result.
//! - Of any other file: the first place at which it breaks a rule, and who broke it.
//!
//! # Does not provide
//!
//! - Whether a transaction was left out before the server gave a receipt for it.
//! - Whether the room's and the players' names are true: nobody signed them.
//! - Of a fork, whether the other match ever had the state that it goes on from: [`audit_parent`] does, from the file
//!   of that match.
//! - Whether the server showed somebody else another file: only comparing heads can tell, or a log that is
//!   witnessed.

mod judge;
mod logged;
mod parent;
mod report;

use cadastre_protocol::{GenesisError, Height, PublicKey, Revocations, Turn};
use cadastre_simulations::SetupError;
use rayon::prelude::*;

use crate::{
    blocks::read_decoded,
    damage::{Damage, Fault},
    execution::{BeginError, Execution},
    key_ring::KeyRing,
    keyframe::Keyframe,
    record::{HEADER_OFFSET, Record, RecordKind},
    scan::{Scan, Tail},
};
use judge::{Content, Judge, Part};
use logged::LogCheck;

pub use parent::{ParentError, audit_parent};
pub use report::{AuditError, AuditReport, Grace, Pause, Takeback, Violation};

/// Bytes before compression that are decoded and verified together, while those before them are executed: some
/// five hundred blocks. A keyframe can be longer; then it is a batch of its own.
const BATCH_BYTES: usize = 1024 * 1024;

/// Judges a replay file. `pinned` is the root key that the service is known to have.
///
/// Runs on all cores: signatures are verified ahead, while one core executes the match. Whatever the cores
/// find is decided by the one chain verifier, block after block.
///
/// # Errors
///
/// In the order of [`AuditError`]'s variants; the first that applies.
pub fn audit(file: &[u8], pinned: Option<PublicKey>) -> Result<AuditReport, AuditError> {
    audit_with(file, pinned, &Revocations::NONE)
}

/// As [`audit`], with a list of certificates that the service has taken back: a block that was signed under one
/// at a time from which it no longer counts is a violation, and so is a proof that such a block is logged under
/// one. A proof that an earlier block is logged counts for nothing.
///
/// # Errors
///
/// As [`audit`].
pub fn audit_with(
    file: &[u8],
    pinned: Option<PublicKey>,
    revocations: &Revocations,
) -> Result<AuditReport, AuditError> {
    let unreadable = |damage| AuditError::Unreadable { damage, before: None };
    let Scan { header, genesis, first, body, tail } = Scan::read(file).map_err(unreadable)?;
    let mut report = AuditReport::new(&genesis, pinned);
    let execution = match Execution::begin(genesis.clone(), first.as_ref().map(|(state, _)| state)) {
        Ok(execution) => execution,
        Err(BeginError::Setup(SetupError::Snapshot) | BeginError::Genesis(GenesisError::StateRoot)) => {
            let offset = first.map_or(HEADER_OFFSET, |(_, offset)| offset);
            report.stop(Violation {
                height: Height::GENESIS,
                turn: Turn::START,
                seat: None,
                kind: "first-state",
                detail: "the match does not begin with the state that its genesis names".into(),
                offset,
            });
            return Ok(report);
        }
        Err(BeginError::Setup(error)) => return Err(AuditError::Rules(error)),
        Err(BeginError::Genesis(GenesisError::Unsupported(mode))) => return Err(AuditError::Mode(mode)),
        Err(BeginError::Genesis(
            error @ (GenesisError::WeakKey
            | GenesisError::Certificate(_)
            | GenesisError::State
            | GenesisError::HashChain),
        )) => {
            report.stop(Violation {
                height: Height::GENESIS,
                turn: Turn::START,
                seat: None,
                kind: "genesis",
                detail: error.to_string(),
                offset: HEADER_OFFSET,
            });
            return Ok(report);
        }
    };
    let mut keys = KeyRing::new(&genesis, execution.chain());
    let log_proof = match &tail {
        Tail::Whole { log_proof, .. } => log_proof.as_ref(),
        Tail::Lost(_) => None,
    };
    let log = log_proof.map(LogCheck::read).transpose().map_err(unreadable)?;
    let mut judge = Judge::new(execution, header.keyframe_turns, revocations.clone(), log, report);
    let lost = judge_all(&mut judge, &mut keys, &body).err();
    match (tail, lost) {
        (Tail::Whole { .. }, None) if judge.has_stopped() => Ok(judge.into_report()),
        (Tail::Whole { index, trailer, trailer_offset, .. }, None) => match index.raw() {
            Ok(raw) => Ok(judge.end(&raw, index.offset, trailer, trailer_offset)),
            Err(damage) => Err(judge.unreadable(damage)),
        },
        (Tail::Whole { .. }, Some(damage)) | (Tail::Lost(damage), None) | (Tail::Lost(_), Some(damage)) => {
            Err(judge.unreadable(damage))
        }
    }
}

/// Takes all records through the judge; the next batch is verified while one is judged.
fn judge_all(judge: &mut Judge, keys: &mut KeyRing, body: &[Record<'_>]) -> Result<(), Damage> {
    let (first, mut rest) = split_batch(body);
    let mut ready = prepare(first, keys);
    while !ready.is_empty() {
        let (next, after) = split_batch(rest);
        let (judged, prepared) = rayon::join(|| judge_batch(judge, ready), || prepare(next, keys));
        judged?;
        if judge.has_stopped() {
            return Ok(());
        }
        (ready, rest) = (prepared, after);
    }
    Ok(())
}

/// The records of the next batch, and those after it.
fn split_batch<'r, 'a>(records: &'r [Record<'a>]) -> (&'r [Record<'a>], &'r [Record<'a>]) {
    let mut bytes = 0;
    let fit = records.iter().take_while(|record| {
        bytes += record.raw_len();
        bytes <= BATCH_BYTES
    });
    let len = fit.count();
    records.split_at(len.max(1).min(records.len()))
}

fn judge_batch(judge: &mut Judge, batch: Vec<Result<Part, Damage>>) -> Result<(), Damage> {
    for part in batch {
        judge.take(part?);
        if judge.has_stopped() {
            break;
        }
    }
    Ok(())
}

/// Decodes records, and verifies every signature in them under the keys announced so far.
fn prepare(records: &[Record<'_>], keys: &mut KeyRing) -> Vec<Result<Part, Damage>> {
    let mut parts: Vec<_> = records.par_iter().map(decode).collect();
    let blocks = || parts.iter().flatten().flat_map(Part::blocks);
    blocks().for_each(|block| keys.learn(block));
    let keys = &*keys;
    parts
        .par_iter_mut()
        .flatten()
        .flat_map(|part| part.blocks_mut().par_iter_mut())
        .for_each(|b| keys.verify(b));
    parts
}

fn decode(record: &Record<'_>) -> Result<Part, Damage> {
    let content = match record.kind {
        RecordKind::Blocks => Content::Blocks(read_decoded(record)?),
        RecordKind::Keyframe => Content::Keyframe(Keyframe::read(record)?),
        RecordKind::Header
        | RecordKind::LogProof
        | RecordKind::FirstState
        | RecordKind::Index
        | RecordKind::Trailer => {
            return Err(Fault::Misplaced(record.kind).at(record.offset));
        }
    };
    Ok(Part { offset: record.offset, first_height: record.first_height, content })
}
