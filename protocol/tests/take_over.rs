//! Seats for which the rules play while they are absent.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod reference;
mod support;

use cadastre_protocol::{Absence, AbsenceReason, BlockError, BlockKind, Orders, Seat, TurnMode, Work};
use support::{
    DEADLINE_MS, Match, Parts, hide_everything, read_block, refusal, seat, take_over, taken_over_match,
};

#[test]
fn the_rules_play_for_whoever_was_absent_until_it_acts() {
    let game = taken_over_match();
    let reasons = |turn: usize| {
        let block = game.blocks[turn].clone().read().unwrap();
        let absent = block.block().absent().iter();
        absent.map(|it| (it.seat, it.reason)).collect::<Vec<_>>()
    };
    assert_eq!(reasons(1), [(seat(1), AbsenceReason::Deadline)]);
    assert_eq!(reasons(2), [(seat(1), AbsenceReason::TakenOver)]);
    assert_eq!(reasons(4), [(seat(2), AbsenceReason::Deadline)], "seat 1 is back");
    assert_eq!(reasons(7), [(seat(2), AbsenceReason::TakenOver)]);
    assert_eq!(
        reasons(8),
        [(seat(2), AbsenceReason::Resigned)],
        "for a seat that has forfeited nobody plays"
    );
}

#[test]
fn what_the_rules_do_comes_after_all_that_was_handed_in() {
    let game = absent_once(|_| {});
    let parts = game.turn(&[game.action(seat(0))]);
    let stand_in = |seat: Seat| vec![seat.get(), 99];
    let checked = game.check(&parts).unwrap();
    let Work::Turn(work) = checked.work(stand_in) else { panic!("a Turn is a turn's work") };
    let expected = [(seat(0), vec![0, 2]), (seat(1), vec![1, 99]), (seat(2), vec![2, 99])];
    assert_eq!(work.orders, expected.map(|(seat, commands)| Orders::new(seat, commands)));
    // The block alone says as much.
    let genesis = game.chain.genesis();
    let alone = read_block(&parts.block());
    let Work::Turn(same) = alone.work(genesis, game.chain.setup().seed, stand_in) else {
        panic!("a Turn is a turn's work")
    };
    assert_eq!(same, work);
}

#[test]
fn the_server_has_no_choice_for_whom_the_rules_play() {
    let game = absent_once(|_| {});
    let good = game.turn(&[game.action(seat(0))]);
    assert_eq!(reasons(&good), [AbsenceReason::TakenOver; 2]);
    for reason in [AbsenceReason::Deadline, AbsenceReason::NotToMove, AbsenceReason::Skipped] {
        let refused = refusal(&game, &good, |parts| parts.absent[1].reason = reason);
        assert_eq!(refused, BlockError::WrongAbsence, "{reason:?}");
    }
    let entries = game.entries(&[game.action(seat(0))]);
    let early = game.block(BlockKind::Turn, entries, good.absent.clone(), u64::from(DEADLINE_MS) - 1);
    assert_eq!(refusal(&game, &good, |parts| *parts = early), BlockError::EarlyAbsence { seat: seat(1) });
    let usual = Match::started(3);
    let refused =
        refusal(&usual, &usual.turn(&[]), |parts| parts.absent[0].reason = AbsenceReason::TakenOver);
    assert_eq!(refused, BlockError::WrongAbsence);
}

#[test]
fn they_play_only_where_the_seat_was_asked() {
    let mut game = Match::started_with(3, |genesis| {
        take_over(genesis);
        genesis.turns.mode = TurnMode::Alternating;
    });
    // Seats 1, 2 and 0 move in the first three turns.
    for reason in [AbsenceReason::Deadline; 3].into_iter().chain([AbsenceReason::TakenOver]) {
        let parts = game.turn(&[]);
        let asked = parts.absent.iter().find(|it| it.reason != AbsenceReason::NotToMove).unwrap();
        assert_eq!(asked.reason, reason);
        assert_eq!(parts.absent.iter().filter(|it| it.reason == AbsenceReason::NotToMove).count(), 2);
        if reason == AbsenceReason::Deadline {
            game.append(&parts);
        }
    }
}

#[test]
fn of_sealed_commands_they_play_what_was_not_committed_to_in_the_second_half() {
    let mut game = absent_once(hide_everything);
    // Seat 2 commits and does not reveal; seat 1 does nothing.
    let half = game.first_half(&[game.commit(seat(0)), game.commit(seat(2))]);
    assert_eq!(half.absent, [Absence { seat: seat(1), reason: AbsenceReason::Deadline }]);
    game.append(&half);
    let parts = game.turn(&[game.reveal(seat(0))]);
    assert_eq!(reasons(&parts), [AbsenceReason::TakenOver, AbsenceReason::RevealMissing]);
    let checked = game.check(&parts).unwrap();
    let Work::Turn(work) = checked.work(|seat| vec![seat.get()]) else { panic!("a Turn is a turn's work") };
    let who: Vec<_> = work.orders.iter().map(|orders| orders.seat).collect();
    assert_eq!(who, [seat(0), seat(1)]);
    // When all have revealed who have committed, nobody is waited for.
    let at_once = game.block(
        BlockKind::Turn,
        game.entries(&[0, 2].map(|by| game.reveal(seat(by)))),
        vec![Absence { seat: seat(1), reason: AbsenceReason::TakenOver }],
        2000,
    );
    assert!(game.check(&at_once).is_ok());
}

/// A match of three in which seats 1 and 2 were absent once.
fn absent_once(change: fn(&mut cadastre_protocol::Genesis)) -> Match {
    let mut game = Match::started_with(3, |genesis| {
        take_over(genesis);
        change(genesis);
    });
    if game.chain.genesis().visibility == cadastre_protocol::Visibility::Sealed {
        game.append(&game.first_half(&[game.commit(seat(0))]));
        game.append(&game.turn(&[game.reveal(seat(0))]));
    } else {
        game.append(&game.turn(&[game.action(seat(0))]));
    }
    game
}

fn reasons(parts: &Parts) -> Vec<AbsenceReason> {
    parts.absent.iter().map(|absence| absence.reason).collect()
}
