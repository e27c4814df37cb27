//! Any turn can be shown, and what is shown is the state that was signed.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;

use cadastre_protocol::{BlockKind, Height, SealReason, Seat, StateRoot, Turn, TurnMode};
use cadastre_replay::{
    Replay, SeekError, Writer, audit,
    fixture::{Match, Plan, RawRecord, finish, header_of, kind, split},
};

#[test]
fn every_turn_has_the_state_that_its_block_commits_to() {
    let made = played();
    // Keyframes after every turn, so that the sixteenth is whole; after some; none at all.
    for every in [1, 3, 64] {
        let (file, summary) = made.replay_with_keyframe_every(every);
        let replay = Replay::open(&file).unwrap();
        assert_eq!(replay.summary(), &summary);
        assert_eq!((replay.damage(), summary.complete), (None, true));
        let roots = signed_roots(&made);
        assert_eq!(roots.len(), usize::try_from(summary.turns.get()).unwrap() + 1);
        for (turn, root) in roots {
            assert_eq!(replay.seek(turn).unwrap().state_root(), root, "turn {turn}, every {every}");
        }
        let last = summary.turns;
        assert_eq!(replay.seek(last.next().unwrap()).unwrap_err(), SeekError::NoSuchTurn { last });
    }
}

#[test]
fn a_player_goes_forwards_and_backwards() {
    let made = played();
    let (file, summary) = made.replay_with_keyframe_every(4);
    let replay = Replay::open(&file).unwrap();
    let roots = signed_roots(&made);
    let mut player = replay.player(Turn::START).unwrap();
    let mut turns = 0;
    while player.forward().unwrap().is_some() {
        turns += 1;
        assert_eq!((player.turn().get(), player.game().state_root()), (turns, roots[&player.turn()]));
    }
    assert_eq!(turns, summary.turns.get());
    assert!(player.forward().unwrap().is_none());
    while player.back().unwrap() {
        turns -= 1;
        assert_eq!((player.turn().get(), player.game().state_root()), (turns, roots[&player.turn()]));
    }
    assert_eq!(turns, 0);
}

#[test]
fn blocks_come_as_they_were_pushed_from_any_height() {
    let made = played();
    let (file, _) = made.replay_with_keyframe_every(3);
    let replay = Replay::open(&file).unwrap();
    for from in 0..made.blocks().len() + 3 {
        let height = Height::new(u64::try_from(from).unwrap());
        let blocks: Vec<_> = replay.blocks_from(height).collect::<Result<_, _>>().unwrap();
        assert_eq!(blocks, made.blocks().iter().skip(from.saturating_sub(1)).cloned().collect::<Vec<_>>());
    }
}

#[test]
fn the_summary_tells_how_the_match_ended() {
    let mut made = Match::new(&Plan::SMALL);
    made.play(3);
    let (file, partial) = made.replay_with_keyframe_every(2);
    assert_eq!((partial.complete, &partial.sealed, partial.turns.get()), (false, &None, 3));
    assert_eq!(Replay::open(&file).unwrap().summary(), &partial);
    made.seal(SealReason::Operator);
    let (file, sealed) = made.replay_with_keyframe_every(2);
    let replay = Replay::open(&file).unwrap();
    assert_eq!(replay.summary(), &sealed);
    let end = sealed.sealed.unwrap();
    assert_eq!((sealed.complete, end.reason, end.standings.len()), (true, SealReason::Operator, 2));
    assert_eq!(sealed.names[1].as_str(), "Player 1");
    assert_eq!(sealed.room.as_str(), "fixture");
}

#[test]
fn a_match_that_has_not_started_can_be_looked_at() {
    let made = Match::new(&Plan::SMALL);
    let (file, summary) = Writer::new(Vec::new(), made.meta()).unwrap().finish().unwrap();
    assert_eq!((summary.height, summary.head), (Height::GENESIS, made.chain().match_id().as_block()));
    let replay = Replay::open(&file).unwrap();
    assert_eq!((replay.summary(), replay.damage(), replay.blocks().count()), (&summary, None, 0));
    assert!(replay.seek(Turn::START).is_ok());
    let report = audit(&file, None).unwrap();
    assert!(report.is_valid() && !report.complete);
}

#[test]
fn a_foreign_keyframe_is_not_shown() {
    let (file, _) = played().replay_with_keyframe_every(2);
    let mut other = Match::new(&Plan { mode: TurnMode::Simultaneous, ..plan() });
    other.play(8);
    let (other, _) = other.replay_with_keyframe_every(1);
    let foreign = split(&other).into_iter().find(|record| record.kind == kind::KEYFRAME).unwrap();
    let mut records = split(&file);
    records.truncate(records.len() - 2);
    let at = records.iter().position(|record| record.kind == kind::KEYFRAME).unwrap();
    records[at] = RawRecord { first_height: records[at].first_height, ..foreign };
    let bad = finish(records);
    let replay = Replay::open(&bad).unwrap();
    assert!(replay.seek(Turn::new(1)).is_ok());
    for turn in [2, 3] {
        let error = replay.seek(Turn::new(turn)).unwrap_err();
        assert!(matches!(error, SeekError::StateRoot { .. } | SeekError::Keyframe { .. }), "{error}");
    }
}

#[test]
fn seats_and_commands_are_those_of_the_blocks() {
    let made = played();
    let (file, _) = made.replay_with_keyframe_every(64);
    let game = Replay::open(&file).unwrap().seek(Turn::new(24)).unwrap();
    let scores: i64 = game.simulation().standings().iter().map(|standing| standing.score).sum();
    assert_eq!((scores, game.simulation().is_over()), (9, true));
    assert!(game.simulation().standings().iter().map(|s| s.seat).eq(Seat::first(3)));
}

fn plan() -> Plan {
    Plan { size: 3, seats: 3, mode: TurnMode::Alternating, ..Plan::SMALL }
}

/// To the end by the rules: 24 edges.
fn played() -> Match {
    let mut made = Match::new(&plan());
    made.wait(5);
    made.reopen();
    made.play(24);
    assert_eq!(made.chain().sealed(), Some(SealReason::Rules));
    made
}

fn signed_roots(made: &Match) -> BTreeMap<Turn, StateRoot> {
    let headers = made.blocks().iter().map(header_of);
    let executed = headers.filter(|header| matches!(header.kind, BlockKind::Start | BlockKind::Turn));
    executed.map(|header| (header.turn, header.state_root)).collect()
}
