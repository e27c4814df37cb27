//! Evidence: what each kind proves, what it does not, and that no damage turns it into a proof of something
//! else. The committed files are judged as they always were.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{fmt::Write as _, fs, path::PathBuf};

use cadastre_protocol::{
    Absence, AbsenceReason, BlockKind, Case, Certificate, ChunkId, Context, Contradiction, Culprit, Digest,
    Epoch, Evidence, EvidenceFile, Header, KeyRole, LogFork, MatchId, Millis, ProvenBlock, ProvenHeader,
    ProvenReceipt, RandomnessMode, Receipt, Refuted, Revocations, Revoked, SealReason, Seat, SecretKey,
    ServerProof, SignedCertificate, SignedTransaction, StateRoot, TransactionBody, Undecidable, Verdict,
    Visibility, chain_leaf, encode,
    log::{Checkpoint, LogForkError, LogSigner, Origin},
    merkle,
};
use cadastre_replay::{
    fixture::{Match, Plan, identity_key, root_key, signer_key},
    verify_evidence,
};
use cadastre_simulations::Game;
use rayon::prelude::*;

#[test]
fn every_file_is_judged_as_ever() {
    let mut lines = String::new();
    for (name, bytes) in files() {
        let file = fs::read(path(&format!("{name}.cade"))).unwrap();
        assert_eq!(file, bytes, "{name}");
        lines += &judgement(name, &file);
    }
    assert_eq!(lines, fs::read_to_string(path(EXPECTED)).unwrap());
}

#[test]
#[ignore = "scripts/write-replay-vectors runs it, when the format is meant to change"]
fn write_the_vectors() {
    let mut lines = String::new();
    for (name, file) in files() {
        fs::write(path(&format!("{name}.cade")), &file).unwrap();
        lines += &judgement(name, &file);
    }
    fs::write(path(EXPECTED), lines).unwrap();
}

#[test]
fn each_kind_is_proven_and_says_who_and_where() {
    for (name, turn, height) in [
        ("player-double-tx", 4, None),
        ("server-fork", 2, Some(3)),
        ("server-head-lie-link", 2, Some(3)),
        ("server-head-lie-root", 2, Some(3)),
        ("server-head-lie-place", 3, Some(4)),
        ("omission", 2, Some(3)),
        ("omission-another-time", 2, Some(3)),
        ("omission-sealed", 1, Some(3)),
        ("bad-state", 2, Some(3)),
        ("bad-state-start", 0, Some(1)),
        ("bad-state-random", 1, Some(3)),
        ("bad-state-start-random", 0, Some(1)),
        ("late-accept", 2, Some(3)),
        ("player-double-commitment", 3, None),
    ] {
        let report = judge(&case(name).to_bytes());
        let Verdict::Proven(finding) = report.verdict else { panic!("{name}: {:?}", report.verdict) };
        assert_eq!(
            (finding.turn.map(|t| t.get()), finding.height.map(|h| h.get())),
            (Some(turn), height),
            "{name}"
        );
        match finding.culprit {
            Culprit::Player { identity, seat } => {
                assert_eq!((identity, seat), (identity_key(0).public(), seat_of(0)), "{name}");
            }
            Culprit::Server { serials } => assert_eq!(serials, [1], "{name}"),
            Culprit::Log { .. } => panic!("{name}"),
        }
    }
}

#[test]
fn a_log_that_contradicts_itself_is_charged_to_its_key() {
    for (name, detail) in [
        ("log-fork", "signed two logs of 5 entries with different roots"),
        ("log-fork-other-origin", "kept two logs under one key"),
    ] {
        let report = judge(&file(name));
        let Verdict::Proven(finding) = report.verdict else { panic!("{name}: {:?}", report.verdict) };
        assert_eq!((finding.culprit, &*finding.detail), (Culprit::Log { serial: LOG_SERIAL }, detail));
        assert_eq!((report.match_id, finding.turn, finding.height, finding.seat), (None, None, None, None));
    }
    let same = Verdict::NotProven(Refuted::Log(LogForkError::NoContradiction));
    assert_eq!(judge(&file("refuted-log-that-grew")).verdict, same);
}

#[test]
fn what_was_signed_under_a_revoked_certificate_proves_nothing() {
    let turn = made().blocks()[1].clone().read().unwrap();
    let time = turn.block().header().server_time;
    let judged = |name: &str, serial, from| {
        let revoked = vec![Revoked { serial, from }];
        let revocations = Revocations { version: Revocations::VERSION, issued: time, revoked };
        verify_evidence(&file(name), &[root_key().public()], &revocations).unwrap().verdict
    };
    let revoked = |serial| Verdict::Undecidable(Undecidable::Revoked { serial });
    for name in ["server-fork", "omission", "bad-state", "late-accept", "held"] {
        assert_eq!(judged(name, 1, time), revoked(1), "{name}");
        assert_eq!(judged(name, 2, time), judge(&file(name)).verdict, "{name}");
        assert_eq!(judged(name, 1, Millis::new(u64::MAX)), judge(&file(name)).verdict, "{name}");
    }
    // A checkpoint has no time.
    assert_eq!(judged("log-fork", LOG_SERIAL, Millis::new(u64::MAX)), revoked(LOG_SERIAL));
    assert_eq!(judged("player-double-tx", 1, time), judge(&file("player-double-tx")).verdict);
}

#[test]
fn what_an_honest_server_signed_proves_nothing() {
    for (name, why) in [
        ("refuted-same-transaction", Refuted::Compatible),
        ("refuted-same-block", Refuted::Compatible),
        ("refuted-included", Refuted::Included),
        ("refuted-right-state", Refuted::SameState),
        ("refuted-another-state", Refuted::OtherState),
        ("refuted-in-time", Refuted::InTime),
        ("refuted-other-match", Refuted::WrongMatch),
        ("refuted-other-signer", Refuted::BadProof),
        ("refuted-included-sealed", Refuted::Included),
        ("refuted-half-of-a-turn", Refuted::WrongPlace),
        ("refuted-without-the-seed", Refuted::WrongPlace),
        ("refuted-late-double", Refuted::WrongPlace),
        ("refuted-right-state-random", Refuted::SameState),
        ("refuted-right-start-random", Refuted::SameState),
        ("refuted-resigned-after-commitment", Refuted::Compatible),
    ] {
        assert_eq!(judge(&case(name).to_bytes()).verdict, Verdict::NotProven(why), "{name}");
    }
}

#[test]
fn without_the_root_key_only_a_player_can_be_charged() {
    let stranger = SecretKey::from_seed(&[9; 32]).public();
    for (name, bytes) in files() {
        for pinned in [&[][..], &[stranger][..]] {
            let report = verify_evidence(&bytes, pinned, &Revocations::NONE).unwrap();
            assert!(!report.pinned);
            let charges_player = name.starts_with("player");
            let proven = matches!(report.verdict, Verdict::Proven(_));
            assert_eq!(proven, charges_player, "{name}");
            if matches!(judge(&bytes).verdict, Verdict::Proven(_)) && !charges_player {
                assert_eq!(report.verdict, Verdict::Undecidable(Undecidable::NotPinned), "{name}");
            }
        }
        let both = [stranger, root_key().public()];
        assert_eq!(verify_evidence(&bytes, &both, &Revocations::NONE).unwrap(), judge(&bytes), "{name}");
    }
}

#[test]
fn one_side_of_a_contradiction_is_undecidable() {
    let Verdict::Undecidable(why) = judge(&case("held").to_bytes()).verdict else { panic!() };
    assert!(matches!(why, Undecidable::OneSide { receipts: 1, .. }), "{why}");
}

#[test]
fn rules_that_this_build_does_not_have_are_undecidable() {
    // Signed anew, since the genesis is what the match is named by.
    let mut evidence = case("bad-state-start");
    evidence.genesis.rules.version = 999;
    let Case::BadState { block, .. } = &mut evidence.case else { panic!() };
    let match_id = evidence.genesis.match_id();
    *block = made().forge(block, |header, entries, _| {
        header.match_id = match_id;
        entries.clear();
    });
    let verdict = judge(&evidence.to_bytes()).verdict;
    assert_eq!(verdict, Verdict::Undecidable(Undecidable::Rules));
}

#[test]
fn no_flipped_bit_proves_anything_else() {
    for (name, bytes) in files() {
        let honest = judge(&bytes);
        // Of a long file, with the state of a game in it, every fifth bit has to do.
        let step = if bytes.len() > 1500 { 5 } else { 1 };
        (0..bytes.len() * 8 / step).into_par_iter().map(|number| number * step).for_each(|at| {
            let mut bad = bytes.clone();
            bad[at / 8] ^= 1 << (at % 8);
            if let Ok(report) = verify_evidence(&bad, &[root_key().public()], &Revocations::NONE)
                && matches!(report.verdict, Verdict::Proven(_))
            {
                assert_eq!(report, honest, "{name}, bit {at}");
            }
        });
    }
}

#[test]
fn no_prefix_and_no_extension_is_a_file() {
    for (name, bytes) in files() {
        let EvidenceFile::Match(evidence) = EvidenceFile::read(&bytes).unwrap() else { continue };
        for cut in 0..bytes.len() {
            let judged = verify_evidence(&bytes[..cut], &[root_key().public()], &Revocations::NONE);
            let without_state = !evidence.chunks.is_empty()
                && judged.as_ref().is_ok_and(|r| r.verdict == Verdict::NotProven(Refuted::OtherState));
            assert!(judged.is_err() || without_state, "{name}, cut at {cut}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(verify_evidence(&longer, &[root_key().public()], &Revocations::NONE).is_err(), "{name}");
    }
}

const EXPECTED: &str = "evidence/verdicts.txt";

const LOG_SERIAL: u32 = 7;

fn made() -> Match {
    let mut made = Match::new(&Plan::SMALL);
    made.play(3);
    made
}

/// A match with sealed commands and hash chains: two turns, of a Commit and a Turn each.
fn hidden() -> Match {
    let (visibility, randomness) = (Visibility::Sealed, RandomnessMode::CommitReveal);
    let mut made = Match::new(&Plan { visibility, randomness, turns_max: Some(9), ..Plan::SMALL });
    made.play(2);
    made
}

fn case(name: &str) -> Evidence {
    let mut cases = cases();
    let at = cases.iter().position(|(of, _)| *of == name).unwrap();
    cases.swap_remove(at).1
}

/// Every file that is judged, by its name.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    let matches = cases().into_iter().map(|(name, evidence)| (name, evidence.to_bytes()));
    matches.chain(forks().into_iter().map(|(name, fork)| (name, fork.to_bytes()))).collect()
}

fn file(name: &str) -> Vec<u8> {
    files().into_iter().find(|(of, _)| *of == name).unwrap().1
}

/// What a log might have signed.
fn forks() -> [(&'static str, LogFork); 3] {
    let secret = SecretKey::from_seed(&[5; 32]);
    let certificate = Certificate {
        version: Certificate::VERSION,
        role: KeyRole::Log,
        key: secret.public(),
        serial: LOG_SERIAL,
        valid_from: Millis::new(0),
        valid_to: Millis::new(u64::MAX),
    };
    let signed = |origin: &str, size, root: u8| {
        let origin = Origin::new(origin).unwrap();
        let checkpoint = Checkpoint { origin: origin.clone(), size, root: Digest::new([root; 32]) };
        LogSigner::new(&origin, secret.clone()).sign(checkpoint).to_string().into_bytes()
    };
    let fork = |second| LogFork {
        service: root_key().public(),
        certificate: SignedCertificate::issue(&root_key(), &certificate),
        first: signed("log.example", 5, 1),
        second,
    };
    [
        ("log-fork", fork(signed("log.example", 5, 2))),
        ("log-fork-other-origin", fork(signed("other.example", 9, 1))),
        ("refuted-log-that-grew", fork(signed("log.example", 6, 2))),
    ]
}

/// A match of three turns, and what its server and a player might have signed beside it.
fn cases() -> Vec<(&'static str, Evidence)> {
    let made = made();
    let blocks = made.blocks();
    let zero = StateRoot::new(Digest::ZERO);
    let of = |case| Evidence::of(made.chain(), Vec::new(), case);
    let header = |block: &ProvenBlock| ProvenHeader::of(block).unwrap();
    let forge =
        |at: usize, change: &dyn Fn(&mut Header)| made.forge(&blocks[at], |header, _, _| change(header));
    let lie = |earlier: usize, later: &ProvenBlock, contradiction| {
        let (earlier, later) = (header(&blocks[earlier]), header(later));
        of(Case::ServerHeadLie { earlier, later, contradiction })
    };
    let leaves: Vec<_> = std::iter::once(made.chain().match_id().as_block())
        .chain(blocks.iter().map(|block| header(block).hash()))
        .map(chain_leaf)
        .collect();
    let mut elsewhere = leaves[..4].to_vec();
    let other = header(&forge(1, &|h| h.state_root = zero)).hash();
    elsewhere[2] = chain_leaf(other);
    let place = forge(3, &|h| h.chain_root = merkle::root(Context::ChainNode, &elsewhere));
    let proof = merkle::prove(Context::ChainNode, &elsewhere, 2);
    let peaks = vec![merkle::root(Context::ChainNode, &leaves[..2])];
    let other_root = forge(2, &|h| h.chain_root = Digest::ZERO);

    let seat = seat_of(0);
    let turn = blocks[2].clone().read().unwrap().into_block();
    let entry = turn.entries().iter().find(|entry| entry.transaction.get().seat == seat).unwrap();
    let receipt = |received: Millis| receipt_of(&made, entry.transaction.get(), received);
    let omitted = made.forge(&blocks[2], |_, entries, absent| {
        entries.retain(|entry| entry.transaction.clone().read().unwrap().get().seat != seat);
        absent.push(Absence { seat, reason: AbsenceReason::Deadline });
    });
    let omission = |received, block: &ProvenBlock| {
        of(Case::Omission { receipt: receipt(received), commit: None, block: block.clone() })
    };
    let deadline = header(&blocks[1]).read().unwrap().deadline.unwrap();
    let late = made.forge(&blocks[2], |_, entries, _| entries[0].received = deadline.after(7));
    let late_accept =
        |block: &ProvenBlock| of(Case::LateAccept { before: header(&blocks[1]), block: block.clone() });
    let bad_state = |block: &ProvenBlock, chunks: Vec<(ChunkId, Vec<u8>)>| Evidence {
        chunks,
        ..of(Case::BadState { before: Some(header(&blocks[1])), start: None, block: block.clone() })
    };
    let wrong_state = forge(2, &|h| h.state_root = zero);
    let (at_start, after_turn_1) = (state_after(&made, 0), state_after(&made, 1));
    let fork =
        |second: &ProvenBlock| of(Case::ServerFork { first: header(&blocks[2]), second: header(second) });
    let stranger = Match::prove(other_root.block.clone(), &signer_key(2));
    let other_match = forge(2, &|h| h.match_id = MatchId::new(Digest::ZERO));

    let last = made.transaction(seat, TransactionBody::Turn(Vec::new()));
    let [commitment, another] = [1, 2].map(|byte| TransactionBody::Commit(Digest::new([byte; 32])));
    let (empty, other_body) = (TransactionBody::Turn(Vec::new()), TransactionBody::Resign);
    let held = Case::Held {
        head: header(blocks.last().unwrap()),
        receipts: vec![receipt_of(&made, &last, made.chain().head().server_time)],
    };
    let late_double = made.forge(&made.blocks()[2], |header, entries, absent| {
        let reason = SealReason::DoubleTransaction { seat };
        header.kind = BlockKind::Seal { reason, standings: Vec::new() };
        header.deadline = None;
        entries[0].received = deadline.after(1);
        absent.clear();
    });
    let mut cases = vec![
        ("refuted-late-double", late_accept(&late_double)),
        ("player-double-tx", double(&made, empty.clone(), other_body.clone())),
        ("server-fork", fork(&other_root)),
        ("server-head-lie-link", lie(1, &forge(2, &|h| h.prev_block = other), Contradiction::Link)),
        ("server-head-lie-root", lie(1, &other_root, Contradiction::Root { peaks })),
        ("server-head-lie-place", lie(1, &place, Contradiction::Place { block: other, proof })),
        ("omission", omission(entry.received, &omitted)),
        ("omission-another-time", omission(entry.received.after(1), &blocks[2])),
        ("bad-state", bad_state(&wrong_state, after_turn_1.clone())),
        (
            "bad-state-start",
            of(Case::BadState { before: None, start: None, block: forge(0, &|h| h.state_root = zero) }),
        ),
        ("late-accept", late_accept(&late)),
        ("held", of(held)),
        ("refuted-same-transaction", double(&made, empty.clone(), empty)),
        ("refuted-same-block", fork(&blocks[2])),
        ("refuted-included", omission(entry.received, &blocks[2])),
        ("refuted-right-state", bad_state(&blocks[2], after_turn_1)),
        ("refuted-another-state", bad_state(&wrong_state, at_start)),
        ("refuted-in-time", late_accept(&blocks[2])),
        ("refuted-other-match", fork(&other_match)),
        ("refuted-other-signer", fork(&stranger)),
        ("player-double-commitment", double(&hidden(), commitment.clone(), another)),
        ("refuted-resigned-after-commitment", double(&hidden(), commitment, other_body)),
    ];
    cases.extend(hidden_cases());
    cases
}

fn hidden_cases() -> Vec<(&'static str, Evidence)> {
    let made = hidden();
    let of = |case| Evidence::of(made.chain(), Vec::new(), case);
    let [start, commit, turn, ..] = made.blocks() else { panic!() };
    let before = |block| Some(ProvenHeader::of(block).unwrap());
    let zeroed = |block| made.forge(block, |header, _, _| header.state_root = StateRoot::new(Digest::ZERO));
    let commitments = commit.clone().read().unwrap().into_block();
    let entry = &commitments.entries()[0];
    let seat = entry.transaction.get().seat;
    let receipt = receipt_of(&made, entry.transaction.get(), entry.received);
    let omitted = made.forge(commit, |_, entries, absent| {
        entries.remove(0);
        absent.push(Absence { seat, reason: AbsenceReason::Deadline });
    });
    let omission = |commit: Option<&ProvenBlock>| {
        of(Case::Omission { receipt: receipt.clone(), commit: commit.cloned(), block: turn.clone() })
    };
    let bad_state = |block: &ProvenBlock| Evidence {
        chunks: state_after(&made, 1),
        ..of(Case::BadState { before: before(commit), start: Some(start.clone()), block: block.clone() })
    };
    let bad_start =
        |block: &ProvenBlock| of(Case::BadState { before: None, start: None, block: block.clone() });
    let seedless = Evidence {
        chunks: state_after(&made, 1),
        ..of(Case::BadState { before: before(commit), start: None, block: turn.clone() })
    };
    vec![
        ("refuted-without-the-seed", seedless),
        ("omission-sealed", omission(Some(&omitted))),
        ("refuted-included-sealed", omission(Some(commit))),
        ("refuted-half-of-a-turn", omission(None)),
        ("bad-state-random", bad_state(&zeroed(turn))),
        ("refuted-right-state-random", bad_state(turn)),
        ("bad-state-start-random", bad_start(&zeroed(start))),
        ("refuted-right-start-random", bad_start(start)),
    ]
}

/// Two transactions that seat 0 signed for the open turn.
fn double(made: &Match, first: TransactionBody, second: TransactionBody) -> Evidence {
    let seat = seat_of(0);
    let session = identity_key(0).session(made.chain().match_id(), Epoch::FIRST);
    let sign = |body| SignedTransaction::sign(&session, &made.transaction(seat, body));
    let delegation = made.delegation(seat, Epoch::FIRST, &session);
    let (first, second) = (sign(first), sign(second));
    Evidence::of(made.chain(), Vec::new(), Case::PlayerDoubleTx { delegation, first, second })
}

fn receipt_of(made: &Match, tx: &cadastre_protocol::Transaction, received: Millis) -> ProvenReceipt {
    let name = SignedTransaction::sign(&identity_key(0), tx).hash();
    let receipt = Receipt {
        version: Receipt::VERSION,
        match_id: tx.match_id,
        seat: tx.seat,
        seq: tx.seq,
        transaction: name,
        turn: tx.turn,
        attempt: tx.attempt,
        received,
    };
    let serial = made.chain().signer().serial();
    let proof = ServerProof::sign(&signer_key(serial), serial, &[receipt.leaf()]).remove(0);
    ProvenReceipt { receipt: encode(&receipt), proof }
}

/// All chunks of the game after a turn.
fn state_after(made: &Match, turns: usize) -> Vec<(ChunkId, Vec<u8>)> {
    let genesis = made.chain().genesis();
    let mut game = Game::of_match(genesis).unwrap();
    for block in &made.blocks()[..=turns] {
        let read = block.clone().read().unwrap();
        let work = read.block().work(genesis, genesis.setup().seed, game.stand_in());
        game.execute(&work);
    }
    game.snapshot()
}

fn seat_of(number: u8) -> Seat {
    Seat::new(number).unwrap()
}

fn judge(bytes: &[u8]) -> cadastre_protocol::EvidenceReport {
    verify_evidence(bytes, &[root_key().public()], &Revocations::NONE).unwrap()
}

/// What there is to say of a file, in words that a reader can compare.
fn judgement(name: &str, file: &[u8]) -> String {
    let report = judge(file);
    let of = report.match_id.map_or_else(String::new, |id| format!(", match {id}"));
    let mut text = format!("{name}: {} bytes, {}{of}\n", file.len(), report.kind);
    match report.verdict {
        Verdict::Proven(finding) => {
            let height = finding.height.map_or("-".to_owned(), |height| height.to_string());
            let seat = finding.seat.map_or("-".to_owned(), |seat| seat.to_string());
            writeln!(text, "  proven: {}", finding.culprit).unwrap();
            let turn = finding.turn.map_or("-".to_owned(), |turn| turn.to_string());
            writeln!(text, "  turn {turn}, height {height}, seat {seat}: {}", finding.detail).unwrap();
        }
        Verdict::NotProven(why) => writeln!(text, "  not proven: {why}").unwrap(),
        Verdict::Undecidable(why) => writeln!(text, "  undecidable: {why}").unwrap(),
    }
    text
}

fn path(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    if name.ends_with(".cade") { folder.join("evidence").join(name) } else { folder.join(name) }
}
