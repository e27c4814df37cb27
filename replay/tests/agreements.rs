//! Matches that were paused and that all ended: the audit goes through them, and says where.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use cadastre_protocol::{AgreementPolicy, Motion, SealReason};
use cadastre_replay::{
    Pause, Replay, audit,
    fixture::{DEADLINE_MS, Match, Plan},
};

const PLAN: Plan = Plan { size: 9, agreements: AgreementPolicy::USUAL, ..Plan::SMALL };

#[test]
fn a_pause_and_an_agreed_end_are_shown() {
    let mut game = Match::new(&PLAN);
    game.play(3);
    game.agree(Motion::Pause { ms: 60_000 });
    game.wait(u64::from(DEADLINE_MS) + 60_000);
    game.close();
    game.play(2);
    game.agree(Motion::End);
    let file = game.replay();
    let report = audit(&file, None).unwrap();
    assert!(report.violations.is_empty() && report.complete, "{report:?}");
    let paused: Vec<_> = report.pauses.iter().map(|Pause { turn, ms, .. }| (turn.get(), *ms)).collect();
    assert_eq!(paused, [(3, 60_000)]);
    assert_eq!(report.turns.get(), 6);
    let replay = Replay::open(&file).unwrap();
    assert_eq!(replay.summary().sealed.as_ref().unwrap().reason, SealReason::Agreed);
}
