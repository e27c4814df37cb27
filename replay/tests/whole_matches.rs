//! Matches in which everything happens that may: all of it is valid.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use cadastre_protocol::{RandomnessMode, SealReason, Seat, TransactionBody, Turn, TurnMode, Visibility};
use cadastre_replay::{
    AuditReport, Replay, Writer, audit,
    fixture::{DEADLINE_MS, Match, Plan, blocks_of, root_key},
};

#[test]
fn a_match_played_to_its_end_is_valid_and_complete() {
    for mode in [TurnMode::Simultaneous, TurnMode::Alternating] {
        let mut made = Match::new(&Plan { mode, size: 3, seats: 3, ..Plan::SMALL });
        made.play(24);
        assert_eq!(made.chain().sealed(), Some(SealReason::Rules));
        let report = valid(&made);
        assert_eq!((report.turns.get(), report.height.get(), report.complete), (24, 26, true));
        assert_eq!((report.match_id, report.head), (made.chain().match_id(), made.chain().head().block));
    }
}

#[test]
fn a_match_that_goes_on_is_valid_and_partial() {
    let mut made = Match::new(&Plan::SMALL);
    for _ in 0..3 {
        assert!(!valid(&made).complete);
        made.play(1);
    }
}

#[test]
fn absences_restarts_and_resignations_are_valid() {
    let mut made = Match::new(&Plan { seats: 3, size: 4, ..Plan::SMALL });
    made.play(2);
    made.suggest(seat(0));
    made.wait(u64::from(DEADLINE_MS));
    made.close();
    made.suggest(seat(2));
    made.wait(3_600_000);
    made.reopen();
    made.wait(u64::from(DEADLINE_MS));
    made.close();
    let resign = made.transaction(seat(1), TransactionBody::Resign);
    made.submit(&resign);
    made.suggest(seat(0));
    made.suggest(seat(2));
    made.close();
    made.play(3);
    let report = valid(&made);
    assert_eq!(report.turns.get(), 8);
}

#[test]
fn new_session_keys_and_new_block_signers_are_valid() {
    let mut made = Match::new(&Plan { size: 4, ..Plan::SMALL });
    for round in 0..6 {
        made.play(1);
        if round % 2 == 0 {
            made.change_key();
        }
        made.delegate(seat(1));
        made.wait(u64::from(DEADLINE_MS));
        made.close();
    }
    made.seal(SealReason::Operator);
    assert!(valid(&made).complete);
}

#[test]
fn the_city_is_audited_like_any_game() {
    let plan = Plan { rules: "city", size: 64, turns_max: Some(20), ..Plan::SMALL };
    let mut made = Match::new(&plan);
    made.play(20);
    assert!(valid(&made).complete);
}

#[test]
fn every_mode_of_randomness_and_visibility_is_audited_and_played() {
    for visibility in [Visibility::Held, Visibility::Sealed, Visibility::Open] {
        for randomness in [RandomnessMode::None, RandomnessMode::CommitReveal] {
            let plan =
                Plan { rules: "city", size: 64, turns_max: Some(6), visibility, randomness, ..Plan::SMALL };
            let mut made = Match::new(&plan);
            made.play(6);
            assert!(valid(&made).complete, "{visibility:?}, {randomness:?}");
            // Keyframes are laid over the state at the start, which only the Start brings.
            let (file, _) = made.replay_with_keyframe_every(4);
            assert_eq!(audit(&file, None).unwrap().violations.len(), 0);
            let replay = Replay::open(&file).unwrap();
            for turn in 0..=6 {
                let root = replay.player(Turn::new(turn)).unwrap().game().state_root();
                let roots = made.blocks().iter().map(|block| block.clone().read().unwrap());
                let mut of_turn = roots.filter(|block| block.block().header().turn == Turn::new(turn));
                assert_eq!(Some(root), of_turn.next().map(|block| block.block().header().state_root));
            }
        }
    }
}

#[test]
fn a_match_longer_than_many_batches_is_valid() {
    // Keyframes after each turn make a record of each block, and batches are counted in records.
    let mut made = Match::new(&Plan { size: 10, ..Plan::SMALL });
    made.play(100);
    let (file, _) = made.replay_with_keyframe_every(1);
    let report = audit(&file, Some(root_key().public())).unwrap();
    assert!(report.is_valid());
    assert_eq!(report.height.get(), 101);
}

#[test]
fn groups_are_split_where_they_are_full() {
    let mut made = Match::new(&Plan { size: 10, ..Plan::SMALL });
    made.play(120);
    let (file, _) = made.replay_with_keyframe_every(1000);
    assert_eq!(blocks_of(&file), made.blocks());
    assert!(audit(&file, None).unwrap().is_valid());
}

#[test]
fn the_same_match_gives_the_same_bytes() {
    let mut made = Match::new(&Plan { size: 3, ..Plan::SMALL });
    made.play(24);
    let (file, _) = made.replay_with_keyframe_every(64);
    let mut writer = Writer::new(Vec::new(), made.meta()).unwrap();
    for block in Replay::open(&file).unwrap().blocks() {
        writer.push(block.unwrap()).unwrap();
    }
    assert_eq!(writer.finish().unwrap().0, file);
}

fn valid(made: &Match) -> AuditReport {
    let (file, summary) = made.replay_with_keyframe_every(4);
    let report = audit(&file, Some(root_key().public())).unwrap();
    assert_eq!((report.violations.as_slice(), report.pinned, report.stopped), (&[][..], true, None));
    assert_eq!((report.height, report.complete), (summary.height, summary.complete));
    assert_eq!(Replay::open(&file).unwrap().summary(), &summary);
    report
}

fn seat(index: u8) -> Seat {
    Seat::new(index).unwrap()
}
