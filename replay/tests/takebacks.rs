//! Matches in which turns were taken back: both branches can be looked at, and the audit goes through both.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use cadastre_protocol::{Attempt, BlockKind, StateRoot, TakebackPolicy, Turn};
use cadastre_replay::{
    Replay, SeekError, Takeback, audit, diff,
    fixture::{Match, Plan, header_of, with_blocks},
};

const PLAN: Plan = Plan { size: 9, takebacks: TakebackPolicy::Unanimous, ..Plan::SMALL };

/// Where a match stood after each block.
type Roots = Vec<(Turn, Attempt, StateRoot)>;

/// Plays 20 turns, takes back 7, plays 10, takes back 1 and then 14 more, plays 20.
fn winding() -> (Match, Roots) {
    let mut game = Match::new(&PLAN);
    let mut roots = Vec::new();
    let note = |game: &Match, roots: &mut Roots| {
        let head = game.chain().head();
        roots.push((head.turn, head.attempt, head.state_root));
    };
    note(&game, &mut roots);
    for (turns, back) in [(20, Some(13)), (10, Some(22)), (0, Some(8)), (20, None)] {
        for _ in 0..turns {
            game.play(1);
            note(&game, &mut roots);
        }
        if let Some(back) = back {
            game.take_back(Turn::new(back));
            note(&game, &mut roots);
        }
    }
    (game, roots)
}

/// The state after a turn in the branch that ended with an attempt, from the list.
fn expected(roots: &Roots, turn: Turn, attempt: Attempt) -> Option<StateRoot> {
    let branch = || roots.iter().filter(|(_, of, _)| *of <= attempt);
    let (last, _, _) = branch().next_back()?;
    let (_, _, root) = branch().rev().find(|(at, _, _)| at == &turn)?;
    (turn <= *last).then_some(*root)
}

#[test]
fn every_turn_of_every_branch_can_be_looked_at() {
    let (game, roots) = winding();
    for keyframe_turns in [1, 3, 5, 64] {
        let (file, summary) = game.replay_with_keyframe_every(keyframe_turns);
        let report = audit(&file, None).unwrap();
        assert!(report.violations.is_empty(), "{:?}", report.violations);
        let went = |takeback: &Takeback| (takeback.from_turn.get(), takeback.to_turn.get());
        assert_eq!(report.takebacks.iter().map(went).collect::<Vec<_>>(), [(20, 13), (23, 22), (22, 8)]);
        let replay = Replay::open(&file).unwrap();
        assert_eq!((replay.attempts(), summary.turns), (Attempt::new(3), Turn::new(28)));
        for attempt in (0..4).map(Attempt::new) {
            for turn in (0..30).map(Turn::new) {
                let shown = replay.player_in(turn, attempt).ok().map(|player| player.game().state_root());
                assert_eq!(shown, expected(&roots, turn, attempt), "turn {turn} of attempt {attempt}");
            }
        }
        assert_eq!(replay.seek(Turn::new(28)).unwrap().state_root(), game.game().state_root());
        let beyond = replay.player_in(Turn::START, Attempt::new(4)).err();
        assert_eq!(beyond, Some(SeekError::NoSuchAttempt { last: Attempt::new(3) }));
    }
}

#[test]
fn the_player_goes_forward_through_both_branches_and_back_in_its_own() {
    let (game, roots) = winding();
    for keyframe_turns in [2, 64] {
        let (file, _) = game.replay_with_keyframe_every(keyframe_turns);
        let replay = Replay::open(&file).unwrap();
        for first in [0, 18] {
            let mut player = replay.player_in(Turn::new(first), Attempt::FIRST).unwrap();
            for (turn, _, root) in &roots[usize::try_from(first).unwrap() + 1..] {
                player.forward().unwrap().unwrap();
                assert_eq!((player.turn(), player.game().state_root()), (*turn, *root));
            }
            assert!(player.forward().unwrap().is_none());
            for turn in (0..28).rev().map(Turn::new) {
                assert!(player.back().unwrap());
                let root = expected(&roots, turn, Attempt::new(3));
                assert_eq!(Some(player.game().state_root()), root, "back to {turn}");
            }
        }
    }
}

#[test]
fn a_takeback_that_not_all_consented_to_is_a_violation() {
    let (mut game, _) = winding();
    game.take_back(Turn::new(25));
    let mut blocks = game.blocks().to_vec();
    let last = blocks.pop().unwrap();
    assert_eq!(header_of(&last).kind, BlockKind::Takeback { to_turn: Turn::new(25) });
    blocks.push(game.forge(&last, |_, entries, _| drop(entries.pop())));
    let report = audit(&with_blocks(&game.replay(), &blocks), None).unwrap();
    let found: Vec<_> = report.violations.iter().map(|violation| violation.kind).collect();
    assert_eq!(found, ["no-consent"]);
}

#[test]
fn files_that_part_after_a_takeback_part_where_they_do() {
    let (game, _) = winding();
    let (mut other, _) = winding();
    other.play(1);
    let (left, right) = (game.replay(), other.replay());
    let (left, right) = (Replay::open(&left).unwrap(), Replay::open(&right).unwrap());
    assert!(diff(&left, &left).unwrap().is_none());
    let parting = format!("{:?}", diff(&left, &right).unwrap().unwrap());
    assert!(parting.starts_with("Length"), "{parting}");
}
