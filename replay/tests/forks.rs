//! Matches that go on from another one: what their file proves by itself, and what together with that of the other one.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use cadastre_protocol::{
    Case, Digest, Evidence, Parent, Revocations, Seat, StateRoot, TakebackPolicy, Transaction,
    TransactionBody, Turn, Verdict,
};
use cadastre_replay::{
    AuditError, AuditReport, Fault, ParentError, RecordKind, Replay, audit, audit_parent,
    fixture::{Match, Plan, RawRecord, identity_key, join, kind, root_key, split, with_blocks},
    judge_evidence,
};

const PLAN: Plan = Plan { size: 6, takebacks: TakebackPolicy::Unanimous, ..Plan::SMALL };

#[test]
fn a_fork_is_judged_from_its_own_file() {
    let (other, mut fork) = forked();
    for keyframe_turns in [2, 64] {
        let (file, _) = fork.replay_with_keyframe_every(keyframe_turns);
        let report = audit(&file, None).unwrap();
        assert!(report.is_valid(), "{:?}", report.violations);
        assert_eq!(report.parent, fork.chain().genesis().parent);
        let replay = Replay::open(&file).unwrap();
        assert_eq!(replay.seek(Turn::START).unwrap().state_root(), other.chain().head().state_root);
        assert_eq!(replay.seek(Turn::new(9)).unwrap().state_root(), fork.game().state_root());
        let mut player = replay.player(Turn::new(9)).unwrap();
        while player.back().unwrap() {}
        assert_eq!(player.game().state_root(), other.chain().head().state_root);
    }
    fork.take_back(Turn::START);
    assert_eq!(fork.game().state_root(), other.chain().head().state_root);
    fork.play(1);
    assert!(audit(&fork.replay(), None).unwrap().is_valid());
}

#[test]
fn both_files_prove_where_it_goes_on_from() {
    let (mut other, fork) = forked();
    let parent = fork.chain().genesis().parent.unwrap();
    assert_eq!(traced(&fork, &other), Ok(parent));
    // It does not matter what became of the other match, nor that the turn was taken back there.
    other.play(3);
    other.take_back(Turn::new(1));
    assert_eq!(traced(&fork, &other), Ok(parent));
    let again = Match::fork(&PLAN, &fork);
    assert_eq!(traced(&again, &fork).map(|parent| parent.turn), Ok(Turn::new(9)));
    assert_eq!(traced(&again, &other), Err(ParentError::OtherMatch));
    assert_eq!(traced(&other, &other), Err(ParentError::NoFork));
}

#[test]
fn a_seat_that_signed_another_state_takes_nobodys_parent_away() {
    let mut other = Match::new(&PLAN);
    for seat in Seat::first(PLAN.seats) {
        let tx = other.transaction(seat, TransactionBody::Turn(Vec::new()));
        other.submit(&Transaction { seen_state_root: StateRoot::new(Digest::ZERO), ..tx });
    }
    other.close();
    other.play(2);
    assert!(!audit(&other.replay(), None).unwrap().is_valid());
    let fork = Match::fork(&PLAN, &other);
    assert_eq!(traced(&fork, &other), Ok(fork.chain().genesis().parent.unwrap()));
}

#[test]
fn what_the_other_match_never_was_is_not_proved() {
    let (other, fork) = forked();
    let mut shorter = Match::new(&PLAN);
    shorter.play(5);
    assert_eq!(traced(&fork, &shorter), Err(ParentError::NoSuchBlock));
    let mut elsewhere = Match::new(&PLAN);
    elsewhere.wait(1);
    elsewhere.play(8);
    assert_eq!(traced(&fork, &elsewhere), Err(ParentError::OtherBlock));

    let (parent, state) = (fork.chain().genesis().parent.unwrap(), other.game().snapshot());
    let another_turn = Match::fork_from(&PLAN, Parent { turn: Turn::new(6), ..parent }, state);
    assert_eq!(traced(&another_turn, &other), Err(ParentError::OtherState));
    let (state_root, state) = (shorter.game().state_root(), shorter.game().snapshot());
    let another_state = Match::fork_from(&PLAN, Parent { state_root, ..parent }, state);
    assert!(audit(&another_state.replay(), None).unwrap().is_valid(), "its own file does not tell");
    assert_eq!(traced(&another_state, &other), Err(ParentError::OtherState));

    let mut blocks = other.blocks().to_vec();
    blocks.swap(2, 3);
    let invalid = with_blocks(&other.replay(), &blocks);
    let judged = audit_parent(&fork.replay(), &invalid, None, &Revocations::NONE).unwrap();
    assert_eq!(judged, Err(ParentError::Invalid));
    let foreign =
        audit_parent(&fork.replay(), &other.replay(), Some(identity_key(0).public()), &Revocations::NONE);
    assert_eq!(foreign.unwrap(), Err(ParentError::Invalid), "of a service that is not trusted");
}

#[test]
fn a_file_with_another_first_state_is_a_lie() {
    let (_, fork) = forked();
    let records = split(&fork.replay());
    assert_eq!(records[1].kind, kind::FIRST_STATE);
    let bent = |change: fn(&mut Vec<u8>)| {
        let mut records = records.clone();
        let mut content = records[1].content();
        change(&mut content);
        records[1] = records[1].with(content);
        audit(&join(&records), None)
    };
    let lie = |found: Result<AuditReport, AuditError>| {
        let report = found.unwrap();
        let [violation] = &report.violations[..] else { panic!("{:?}", report.violations) };
        assert_eq!((violation.kind, violation.turn), ("first-state", Turn::START));
        assert!(report.stopped.is_some());
    };
    // The last tile of the board, and the number of seats in the summary.
    lie(bent(|content| *content.last_mut().unwrap() ^= 1));
    lie(bent(|content| content[14] ^= 1));
    let unreadable = |found: Result<AuditReport, AuditError>| {
        let Err(AuditError::Unreadable { damage, before: None }) = found else { panic!("{found:?}") };
        damage.fault
    };
    let not_whole = unreadable(bent(|content| content[0] = 0));
    assert_eq!(not_whole, Fault::Keyframe("the first state is not whole"));

    let mut without = records.clone();
    without.remove(1);
    assert_eq!(unreadable(audit(&join(&without), None)), Fault::Misplaced(RecordKind::Blocks));
    let with = |at: usize, mut records: Vec<RawRecord>, first: &RawRecord| {
        records.insert(at, first.clone());
        join(&records)
    };
    let twice = audit(&with(2, records.clone(), &records[1]), None);
    let Err(AuditError::Unreadable { damage, before: Some(_) }) = twice else { panic!("{twice:?}") };
    assert_eq!(damage.fault, Fault::Misplaced(RecordKind::FirstState));
    let (other, _) = forked();
    let no_fork = audit(&with(1, split(&other.replay()), &records[1]), None);
    let Err(AuditError::Unreadable { damage, .. }) = no_fork else { panic!("{no_fork:?}") };
    assert_eq!(damage.fault, Fault::Misplaced(RecordKind::FirstState));
}

#[test]
fn a_start_with_another_state_is_evidence_without_that_state() {
    let (_, fork) = forked();
    let start = fork.blocks()[0].clone();
    let verdict = |block| {
        let case = Case::BadState { before: None, start: None, block };
        let genesis = fork.chain().genesis().clone();
        let evidence = Evidence { genesis, certificates: Vec::new(), case, chunks: Vec::new() };
        judge_evidence(evidence, &[root_key().public()], &Revocations::NONE).verdict
    };
    assert!(matches!(verdict(start.clone()), Verdict::NotProven(_)));
    let other = StateRoot::new(cadastre_protocol::Digest::new([0x5a; 32]));
    let lie = fork.forge(&start, |header, _, _| header.state_root = other);
    assert!(matches!(verdict(lie), Verdict::Proven(_)));
}

/// A match of seven turns, and nine turns that go on from it.
fn forked() -> (Match, Match) {
    let mut other = Match::new(&PLAN);
    other.play(7);
    let mut fork = Match::fork(&PLAN, &other);
    fork.play(9);
    (other, fork)
}

fn traced(fork: &Match, other: &Match) -> Result<Parent, ParentError> {
    let root = Some(root_key().public());
    audit_parent(&fork.replay(), &other.replay(), root, &Revocations::NONE).unwrap()
}
