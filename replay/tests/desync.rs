//! A seat that computed another state signs another root: the audit names it and goes on.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use cadastre_protocol::{Digest, SealReason, Seat, StateRoot, TransactionBody};
use cadastre_replay::{
    audit,
    fixture::{Match, Plan, root_key},
};

#[test]
fn a_desync_is_named_with_turn_and_seat_and_the_rest_is_judged() {
    let mut made = Match::new(&Plan { seats: 3, ..Plan::SMALL });
    made.play(2);
    let astray = Seat::new(1).unwrap();
    for seat in Seat::first(3) {
        let mut tx = made.transaction(seat, TransactionBody::Turn(Vec::new()));
        if seat == astray {
            tx.seen_state_root = StateRoot::new(Digest::ZERO);
        }
        made.submit(&tx);
    }
    made.close();
    made.play(2);
    made.seal(SealReason::Operator);
    let report = audit(&made.replay(), Some(root_key().public())).unwrap();
    let found: Vec<_> =
        report.violations.iter().map(|v| (v.kind, v.height.get(), v.turn.get(), v.seat)).collect();
    assert_eq!(found, [("desync", 4, 3, Some(astray))]);
    assert_eq!((report.stopped, report.turns.get(), report.complete), (None, 5, true));
}
