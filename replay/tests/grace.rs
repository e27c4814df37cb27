//! Matches in which turns waited longer for a seat: the audit goes through them, and says where.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use cadastre_replay::{
    Grace, audit,
    fixture::{DEADLINE_MS, Match, Plan},
};

const GRACE_MS: u32 = 20_000;

#[test]
fn grace_is_shown() {
    let mut game = Match::new(&Plan { grace_ms: GRACE_MS, ..Plan::SMALL });
    game.play(3);
    game.wait(DEADLINE_MS.into());
    game.give_grace();
    game.wait(GRACE_MS.into());
    game.close();
    game.play(2);
    let report = audit(&game.replay(), None).unwrap();
    assert!(report.violations.is_empty(), "{report:?}");
    let graces: Vec<_> =
        report.graces.iter().map(|Grace { height, turn }| (height.get(), turn.get())).collect();
    assert_eq!((graces, report.turns.get()), (vec![(5, 3)], 6));
}
