//! Files that somebody made up or put together from others. Links, index and trailer are right: only hashes
//! and signatures can tell.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use cadastre_protocol::{
    Context, Epoch, Genesis, Height, ProvenBlock, SealReason, Seat, SecretKey, Signature, SignedTransaction,
    Transaction, TransactionBody, decode_exact, encode, hash,
};
use cadastre_replay::{
    AuditReport, audit,
    fixture::{Match, Plan, finish, identity_key, root_key, signer_key, split, with_blocks},
};

#[test]
fn a_service_with_another_root_key_is_named() {
    let file = made().replay();
    let stranger = SecretKey::from_seed(&[99; 32]).public();
    let report = audit(&file, Some(stranger)).unwrap();
    assert_eq!(found(&report), [("wrong-root-key", 0, 0, None)]);
    // The rest is judged all the same, and does not count as the service's.
    assert_eq!((report.turns.get(), report.pinned, report.stopped), (4, false, None));
    let unpinned = audit(&file, None).unwrap();
    assert!(unpinned.is_valid() && !unpinned.pinned);
    assert!(audit(&file, Some(root_key().public())).unwrap().pinned);
}

#[test]
fn blocks_of_another_signer_are_found() {
    let made = made();
    for at in 0..made.blocks().len() {
        let mut blocks = made.blocks().to_vec();
        blocks[at] = Match::prove(blocks[at].block.clone(), &signer_key(2));
        stopped(&forged(&blocks), ("bad-proof", at, None));
    }
    let all: Vec<_> = made.blocks().iter().map(|b| Match::prove(b.block.clone(), &signer_key(2))).collect();
    stopped(&forged(&all), ("bad-proof", 0, None));
}

#[test]
fn a_proof_of_another_block_proves_nothing() {
    let mut blocks = made().blocks().to_vec();
    blocks[2].proof = blocks[1].proof.clone();
    stopped(&forged(&blocks), ("bad-proof", 2, None));
}

#[test]
fn a_swapped_genesis_is_found() {
    let other = Match::new(&Plan { turns_max: Some(9), ..Plan::SMALL });
    let header = split(&other.replay()).remove(0);
    let mut records = split(&made().replay());
    records.truncate(records.len() - 2);
    records[0] = header;
    stopped(&finish(records), ("wrong-match", 0, None));
}

#[test]
fn a_genesis_with_another_signer_is_found() {
    let file = made().replay();
    let mut records = split(&file);
    records.truncate(records.len() - 2);
    let genesis = encode(made().chain().genesis());
    let mut bad: Genesis = decode_exact(&genesis).unwrap();
    bad.signer.signature = Signature::new([1; 64]);
    let content = records[0].content();
    let at = content.windows(genesis.len()).position(|window| window == genesis).unwrap();
    let content = [&content[..at], &encode(&bad), &content[at + genesis.len()..]].concat();
    records[0] = records[0].with(content);
    let report = audit(&finish(records), None).unwrap();
    assert_eq!(found(&report), [("genesis", 0, 0, None)]);
    assert_eq!(report.stopped, Some(Height::GENESIS));
}

#[test]
fn reordered_dropped_and_doubled_blocks_are_found() {
    let blocks = made().blocks().to_vec();
    for at in 1..blocks.len() - 1 {
        let mut swapped = blocks.clone();
        swapped.swap(at, at + 1);
        stopped(&forged(&swapped), ("wrong-height", at, None));
        let mut dropped = blocks.clone();
        dropped.remove(at);
        stopped(&forged(&dropped), ("wrong-height", at, None));
        let mut doubled = blocks.clone();
        doubled.insert(at, blocks[at].clone());
        stopped(&forged(&doubled), ("wrong-height", at + 1, None));
    }
}

#[test]
fn blocks_of_two_histories_do_not_fit_together() {
    let mut other = Match::new(&Plan::SMALL);
    other.wait(1);
    other.play(4);
    let mut blocks = made().blocks().to_vec();
    blocks[3] = other.blocks()[3].clone();
    stopped(&forged(&blocks), ("wrong-link", 3, None));
}

#[test]
fn a_server_cannot_speak_for_a_player() {
    let made = made();
    let seat = made.blocks()[2].clone();
    let victim = Seat::new(0).unwrap();
    type Change = fn(&mut SignedTransaction);
    let changes: [Change; 3] = [
        |signed| signed.signature = Signature::new([0; 64]),
        |signed| *signed = SignedTransaction::sign(&signer_key(1), &decode_exact(&signed.body).unwrap()),
        |signed| {
            let mut tx: Transaction = decode_exact(&signed.body).unwrap();
            tx.body = TransactionBody::Turn(vec![9, 9]);
            signed.body = encode(&tx);
        },
    ];
    for change in changes {
        let mut blocks = made.blocks().to_vec();
        blocks[2] = made.forge(&seat, |_, entries, _| {
            let entry = entries.iter_mut().find(|entry| seat_of(&entry.transaction) == victim).unwrap();
            change(&mut entry.transaction);
        });
        stopped(&forged(&blocks), ("tx-bad-signature", 2, Some(victim)));
    }
}

#[test]
fn a_server_cannot_seat_a_session_key_of_its_own() {
    let made = made();
    let session = SecretKey::from_seed(&[50; 32]);
    let victim = Seat::new(1).unwrap();
    let mut blocks = made.blocks().to_vec();
    blocks[0] = made.forge(&blocks[0], |_, entries, _| {
        let entry = entries.iter_mut().find(|entry| seat_of(&entry.transaction) == victim).unwrap();
        let mut tx: Transaction = decode_exact(&entry.transaction.body).unwrap();
        let mut delegation = made.delegation(victim, Epoch::FIRST, &session);
        let digest = hash(Context::Delegation, &[&delegation.body]);
        delegation.signature = identity_key(0).sign(Context::Delegation, digest);
        tx.body = TransactionBody::Join(delegation);
        entry.transaction = SignedTransaction::sign(&session, &tx);
    });
    stopped(&forged(&blocks), ("tx-bad-delegation", 0, Some(victim)));
}

fn made() -> Match {
    let mut made = Match::new(&Plan::SMALL);
    made.play(4);
    made.seal(SealReason::Operator);
    made
}

fn seat_of(signed: &SignedTransaction) -> Seat {
    let tx: Transaction = decode_exact(&signed.body).unwrap();
    tx.seat
}

/// The file of these blocks, which fits them but for what they say.
fn forged(blocks: &[ProvenBlock]) -> Vec<u8> {
    with_blocks(&made().replay(), blocks)
}

fn found(report: &AuditReport) -> Vec<(&'static str, u64, u32, Option<Seat>)> {
    report.violations.iter().map(|v| (v.kind, v.height.get(), v.turn.get(), v.seat)).collect()
}

/// The one violation is that of the block with this index, and judging ends there.
fn stopped(file: &[u8], (kind, at, seat): (&str, usize, Option<Seat>)) {
    let report = audit(file, Some(root_key().public())).unwrap();
    let height = Height::new(u64::try_from(at).unwrap() + 1);
    let violations: Vec<_> = report.violations.iter().map(|v| (v.kind, v.height, v.seat)).collect();
    assert_eq!(violations, [(kind, height, seat)]);
    assert_eq!((report.stopped, report.height.next()), (Some(height), Some(height)));
    assert!(!report.complete);
}
