//! Files that say that their match stands in the transparency log, and whether that is true.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use cadastre_protocol::{
    Digest, Height, KeyRole, MatchId, Millis, Revocations, Revoked, TurnMode,
    log::{LogClaim, LogEntry, LogProof},
};
use cadastre_replay::{
    AuditError, Damage, Fault, RecordKind, Replay, audit, audit_with,
    fixture::{Match, Plan, RawRecord, join, kind, log_certificate, log_proof, root_key, split},
};

#[test]
fn a_logged_head_is_reported() {
    let made = made();
    for height in [1, 3, made.chain().head().height.get()] {
        let entry = entry(&made, height);
        let file = made.logged_replay(&log_proof(entry));
        let report = audit(&file, Some(root_key().public())).unwrap();
        assert!(report.is_valid() && report.complete, "{report:?}");
        let logged = report.logged.unwrap();
        assert_eq!((*logged.entry(), logged.index(), logged.checkpoint().get().size), (entry, 5, 9));
        let replay = Replay::open(&file).unwrap();
        assert_eq!(replay.damage(), None);
        assert!(replay.summary().complete);
    }
    assert_eq!(audit(&made.replay(), None).unwrap().logged, None);
}

#[test]
fn a_bundle_that_does_not_hold_is_a_violation() {
    let made = made();
    let good = entry(&made, 3);
    let other_match = LogEntry { match_id: MatchId::new(Digest::ZERO), ..good };
    let other_block = LogEntry { block: entry(&made, 4).block, ..good };
    let other_height = LogEntry { height: Height::new(4), ..good };
    let beyond = LogEntry { height: Height::new(1000), ..good };
    for (entry, why) in [
        (other_match, "another match"),
        (other_block, "another block is logged at height 3"),
        (other_height, "another block is logged at height 4"),
        (beyond, "a block that the file does not have"),
    ] {
        refused(&made, &log_proof(entry), why);
    }
    let altered = |change: &dyn Fn(&mut LogProof), why: &str| {
        let mut proof = log_proof(good);
        change(&mut proof);
        refused(&made, &proof, why);
    };
    altered(&|proof| proof.index = 4, "inclusion proof");
    altered(&|proof| proof.hashes.push(Digest::ZERO), "inclusion proof");
    altered(&|proof| proof.hashes.truncate(1), "inclusion proof");
    altered(&|proof| proof.extra.clear(), "claim of the bundle");
    let block_role = LogClaim { entry: good, certificate: log_certificate(KeyRole::Block) }.to_bytes();
    altered(&|proof| proof.extra.clone_from(&block_role), "role Block");
    let genesis = made.chain().genesis();
    let block_key = LogClaim { entry: good, certificate: genesis.signer.clone() }.to_bytes();
    altered(&|proof| proof.extra.clone_from(&block_key), "role Block");
    let root = log_proof(LogEntry { height: Height::new(2), ..good }).checkpoint;
    altered(&|proof| proof.checkpoint = root.clone(), "inclusion proof");
}

#[test]
fn a_bundle_under_a_revoked_certificate_proves_nothing() {
    let made = made();
    let file = made.logged_replay(&log_proof(entry(&made, 3)));
    let block = made.blocks()[2].clone().read().unwrap();
    let at = block.block().header().server_time.get();
    let audit = |serial, from| {
        let revoked = vec![Revoked { serial, from: Millis::new(from) }];
        let list = Revocations { revoked, ..Revocations::NONE };
        audit_with(&file, Some(root_key().public()), &list).unwrap()
    };
    for from in [0, at] {
        let report = audit(100, from);
        let [violation] = &report.violations[..] else { panic!("{report:?}") };
        assert_eq!((violation.kind, &report.logged, report.revoked_log), ("log", &None, None));
        assert!(violation.detail.contains("certificate 100 of the log's key is revoked"));
    }
    // A checkpoint has no time, and may have been signed after the block and after the theft.
    let undated = audit(100, at + 1);
    assert_eq!((undated.is_valid(), undated.logged, undated.revoked_log), (true, None, Some(100)));
    let other = audit(101, 0);
    assert!(other.is_valid() && other.logged.is_some() && other.revoked_log.is_none());
}

#[test]
fn rubbish_in_place_of_a_bundle_is_a_violation_and_not_a_panic() {
    let made = made();
    let records = split(&made.logged_replay(&log_proof(entry(&made, 3))));
    let at = records.len() - 3;
    let bundle = records[at].content();
    assert_eq!(records[at].kind, kind::LOG_PROOF);
    for length in 0..bundle.len() {
        let cut = with(&records, at, bundle[..length].to_vec());
        assert_eq!(kinds(&cut), ["log"], "{length} bytes");
    }
    for content in [vec![0xff; 40], b"c2sp.org/tlog-proof@v1\n\n\n".to_vec()] {
        assert_eq!(kinds(&with(&records, at, content)), ["log"]);
    }
}

#[test]
fn there_is_one_bundle_at_most_and_it_comes_before_the_index() {
    let made = made();
    let good = split(&made.logged_replay(&log_proof(entry(&made, 3))));
    let (bundle, blocks) = (good.len() - 3, 1);
    let misplaced = |at: usize, record: &RawRecord| {
        let mut bad = good.clone();
        bad.insert(at, record.clone());
        let offset = 8 + bad[..at].iter().map(RawRecord::file_bytes).sum::<usize>();
        let found = RecordKind::from_code(record.kind).unwrap();
        let Err(AuditError::Unreadable { damage, .. }) = audit(&join(&bad), None) else {
            panic!("it is read")
        };
        assert_eq!(damage, Damage { offset, fault: Fault::Misplaced(found) });
    };
    misplaced(bundle + 1, &good[bundle]);
    misplaced(bundle + 1, &good[blocks]);
    misplaced(bundle + 2, &good[bundle]);
    misplaced(0, &good[bundle]);
}

fn refused(made: &Match, proof: &LogProof, why: &str) {
    let report = audit(&made.logged_replay(proof), Some(root_key().public())).unwrap();
    let [violation] = &report.violations[..] else { panic!("{why}: {report:?}") };
    assert_eq!(violation.kind, "log");
    assert!(violation.detail.contains(why), "{why}: {violation:?}");
    assert_eq!(report.logged, None);
}

fn kinds(file: &[u8]) -> Vec<&'static str> {
    audit(file, Some(root_key().public()))
        .unwrap()
        .violations
        .iter()
        .map(|violation| violation.kind)
        .collect()
}

/// The same records with another content at one place, and a trailer that fits.
fn with(records: &[RawRecord], at: usize, content: Vec<u8>) -> Vec<u8> {
    let mut records = records.to_vec();
    records[at] = records[at].with(content);
    let offset = 8 + records[..=at].iter().map(RawRecord::file_bytes).sum::<usize>();
    let file_bytes = join(&records).len();
    let trailer = records.last_mut().unwrap();
    trailer.stored[4..12].copy_from_slice(&u64::try_from(offset).unwrap().to_le_bytes());
    trailer.stored[52..].copy_from_slice(&u64::try_from(file_bytes).unwrap().to_le_bytes());
    join(&records)
}

fn made() -> Match {
    let mut made = Match::new(&Plan { mode: TurnMode::Alternating, ..Plan::SMALL });
    made.play(12);
    made
}

fn entry(made: &Match, height: u64) -> LogEntry {
    let block = made.blocks()[usize::try_from(height - 1).unwrap()].clone().read().unwrap();
    LogEntry { match_id: made.chain().match_id(), height: Height::new(height), block: block.block().hash() }
}
