//! Clocks: banks with increment, clocks that shrink, and seats that forfeit.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod reference;
mod support;

use cadastre_protocol::{
    Absence, AbsencePolicy, AbsenceReason, BlockError, BlockKind, Clock, Genesis, Millis, SealReason, Seat,
    TransactionBody, TransactionError, TurnMode,
};
use support::{DEADLINE_MS, Match, hide_everything, read, refusal, seat};

#[test]
fn a_turn_costs_the_time_until_it_was_received_and_brings_the_increment() {
    let mut game = Match::started_with(2, bank(20_000, 500));
    assert_eq!(banks(&game), [20_000, 20_000]);
    let entries = vec![game.entry(&game.action(seat(0)), 700), game.entry(&game.action(seat(1)), 9_000)];
    game.append(&game.block(BlockKind::Turn, entries, vec![], 12_000));
    assert_eq!(banks(&game), [19_800, 11_500], "the server's own 3 s are nobody's");
    // Seat 0 is absent: all that it had is gone.
    game.append(&game.turn(&[game.action(seat(1))]));
    assert_eq!(banks(&game), [500, 11_900]);
    assert_eq!(game.chain.deadline_of(seat(0)), Some(game.after_head(500)));
}

#[test]
fn no_turn_takes_longer_than_its_deadline_however_full_the_bank() {
    let mut game = Match::started_with(2, bank(10 * DEADLINE_MS, 0));
    let deadline = u64::from(DEADLINE_MS);
    assert_eq!(game.chain.deadline_of(seat(0)), game.chain.head().deadline);
    game.append(&game.turn(&[]));
    assert_eq!(banks(&game), [9 * deadline; 2]);
}

#[test]
fn only_the_time_of_seats_that_are_waited_for_runs() {
    let mut game = Match::started_with(3, |genesis| {
        bank(20_000, 500)(genesis);
        genesis.turns.mode = TurnMode::Alternating;
    });
    game.append(&game.full_turn());
    assert_eq!(banks(&game), [20_400, 20_000, 20_000]);
    let runs_out = |game: &Match, index| game.chain.clock_of(seat(index)).unwrap().runs_out;
    assert_eq!((runs_out(&game, 0), runs_out(&game, 2)), (None, None));
    let clock = game.chain.clock_of(seat(1)).unwrap();
    assert_eq!(clock.runs_out, Some(game.after_head(20_000)));
    assert_eq!(clock.bank_ms_at(game.after_head(7_000)), Some(13_000));
    assert_eq!(clock.bank_ms_at(game.after_head(21_000)), Some(0));
    let waiting = game.chain.clock_of(seat(2)).unwrap();
    assert_eq!(waiting.bank_ms_at(game.after_head(7_000)), Some(20_000));
    assert_eq!(game.chain.clock_of(seat(3)), None);
}

#[test]
fn commands_are_late_when_the_own_time_is_up_though_others_have_more() {
    let game = one_short_of_time();
    let flag = game.chain.deadline_of(seat(0)).unwrap();
    assert!(flag < game.chain.deadline_of(seat(1)).unwrap());
    assert_eq!(received_at(&game, seat(0), flag), None);
    assert_eq!(received_at(&game, seat(0), flag.after(1)), Some(TransactionError::Late));
    assert_eq!(received_at(&game, seat(1), flag.after(1)), None);
    // Whoever has no time left can still give up.
    let resign = game.sign(&game.transaction(seat(0), TransactionBody::Resign));
    assert!(game.chain.open_turn().check(&game.chain, read(&resign), flag.after(1)).is_ok());
}

#[test]
fn a_server_that_gives_a_seat_more_time_than_it_has_breaks_a_rule() {
    let game = one_short_of_time();
    let flag = game.chain.deadline_of(seat(0)).unwrap();
    let good = game.full_turn();
    let index = good.entries.iter().position(|e| read(&e.transaction).get().seat == seat(0)).unwrap();
    let late = refusal(&game, &good, |parts| {
        parts.header.server_time = flag.after(1);
        parts.header.deadline = Some(flag.after(1 + u64::from(DEADLINE_MS)));
        parts.entries[index].received = flag.after(1);
    });
    assert_eq!(late, BlockError::Entry { index, seat: seat(0), error: TransactionError::Late });
}

#[test]
fn a_server_that_lets_a_flag_fall_too_early_breaks_a_rule() {
    let mut game = one_short_of_time();
    let closed_at = |game: &Match, index: u8, time: Millis| {
        let present = seat(1 - index);
        let absent = vec![Absence { seat: seat(index), reason: AbsenceReason::Deadline }];
        let ms = time.get() - game.chain.head().server_time.get();
        let parts = game.block(BlockKind::Turn, vec![game.entry(&game.action(present), 100)], absent, ms);
        game.check(&parts).map(|_| ())
    };
    let [short, long] = [0, 1].map(|index| game.chain.deadline_of(seat(index)).unwrap());
    let early = |index| Err(BlockError::EarlyAbsence { seat: seat(index) });
    assert_eq!(closed_at(&game, 0, Millis::new(short.get() - 1)), early(0));
    assert_eq!(closed_at(&game, 0, short), Ok(()));
    assert_eq!(closed_at(&game, 1, Millis::new(long.get() - 1)), early(1));
    // A restart gives everybody the same time anew, and takes none from the banks.
    let before = banks(&game);
    game.append(&game.reopen());
    assert_eq!(banks(&game), before);
    assert_eq!(closed_at(&game, 0, game.after_head(before[0] - 1)), early(0));
    assert_eq!(closed_at(&game, 0, game.after_head(before[0])), Ok(()));
}

#[test]
fn what_came_before_a_restart_costs_nothing() {
    let mut game = Match::started_with(2, bank(20_000, 0));
    let before = game.entry(&game.action(seat(0)), 3_000);
    game.append(&game.reopen());
    let after = game.entry(&game.action(seat(1)), 400);
    let parts = game.block(BlockKind::Turn, vec![before, after], vec![], 1_000);
    game.append(&parts);
    assert_eq!(banks(&game), [20_000, 19_600]);
}

#[test]
fn an_open_turn_closes_when_the_last_of_those_it_waits_for_has_no_time_left() {
    let game = one_short_of_time();
    let [short, long] = [0, 1].map(|index| game.chain.deadline_of(seat(index)).unwrap());
    let mut open = game.chain.open_turn();
    assert_eq!(open.closes_at(&game.chain), Some(long));
    let entry = game.entry(&game.action(seat(1)), 10);
    open.accept(open.check(&game.chain, read(&entry.transaction), entry.received).unwrap());
    assert_eq!(open.closes_at(&game.chain), Some(short));
    assert!(!open.is_closable(&game.chain, Millis::new(short.get() - 1)));
    assert!(open.is_closable(&game.chain, short));
    let before = Match::of(2).chain;
    assert!(!before.open_turn().is_closable(&before, Millis::new(u64::MAX)));
}

#[test]
fn both_halves_of_a_turn_cost_time_and_it_brings_one_increment() {
    let mut game = Match::started_with(3, |genesis| {
        hide_everything(genesis);
        bank(20_000, 500)(genesis);
    });
    let all: Vec<_> = game.seats().collect();
    let commits: Vec<_> = all.iter().take(2).map(|seat| game.commit(*seat)).collect();
    game.append(&game.first_half(&commits));
    assert_eq!(banks(&game), [19_900, 19_800, 0], "received after 100 and 200 ms; seat 2 not at all");
    let reveals: Vec<_> = all.iter().take(1).map(|seat| game.reveal(*seat)).collect();
    game.append(&game.turn(&reveals));
    assert_eq!(banks(&game), [20_300, 500, 500]);
}

#[test]
fn a_seat_without_time_is_passed_over_at_once() {
    let mut game = Match::started_with(2, bank(20_000, 0));
    game.append(&game.turn(&[game.action(seat(1))]));
    assert_eq!(banks(&game), [0, 19_900]);
    let absent = vec![Absence { seat: seat(0), reason: AbsenceReason::Deadline }];
    let entries = vec![game.entry(&game.action(seat(1)), 5)];
    game.append(&game.block(BlockKind::Turn, entries, absent, 5));
    assert_eq!(banks(&game), [0, 19_895]);
}

#[test]
fn a_seat_that_is_absent_too_often_in_a_row_counts_as_resigned() {
    let mut game = Match::started_with(3, |g| {
        g.absence = AbsencePolicy::Forfeit { abandon_after: 9, forfeit_after: 2 };
    });
    let without = |game: &Match, absent: u8| {
        let present = game.seats().filter(|seat| seat.get() != absent);
        game.turn(&present.map(|seat| game.action(seat)).collect::<Vec<_>>())
    };
    game.append(&without(&game, 1));
    game.append(&game.full_turn());
    game.append(&without(&game, 1));
    assert_eq!(game.chain.resigned().len(), 0, "not in a row");
    game.append(&without(&game, 1));
    assert_eq!(game.chain.resigned().iter().collect::<Vec<_>>(), [seat(1)]);
    assert_eq!(game.chain.seal_due(), None);
    let back = game.sign(&game.action(seat(1)));
    let refused = game.chain.open_turn().check(&game.chain, read(&back), game.after_head(1)).err();
    assert_eq!(refused, Some(TransactionError::Resigned));
    let parts = game.full_turn();
    assert_eq!(parts.absent, [Absence { seat: seat(1), reason: AbsenceReason::Resigned }]);
    game.append(&parts);
    // Only one is left.
    for _ in 0..2 {
        game.append(&game.turn(&[game.action(seat(0))]));
    }
    assert_eq!(game.chain.seal_due(), Some(SealReason::Resigned));
    let places: Vec<_> = game.chain.standings().iter().map(|standing| standing.place).collect();
    assert_eq!(places, [1, 3, 2]);
}

#[test]
fn turns_of_others_neither_count_as_absences_nor_end_them() {
    let mut game = Match::started_with(2, |g| {
        g.turns.mode = TurnMode::Alternating;
        g.absence = AbsencePolicy::Forfeit { abandon_after: 9, forfeit_after: 2 };
    });
    for _ in 0..2 {
        game.append(&game.full_turn());
        assert_eq!(game.chain.resigned().len(), 0);
        game.append(&game.turn(&[]));
    }
    assert_eq!(game.chain.resigned().iter().collect::<Vec<_>>(), [seat(1)], "at its second turn");
}

#[test]
fn the_clock_of_whoever_is_absent_again_shrinks_until_it_acts() {
    let mut game = Match::started_with(2, |g| {
        g.absence =
            AbsencePolicy::Shrink { abandon_after: 9, forfeit_after: None, shortest_ms: DEADLINE_MS / 5 };
    });
    let deadline = u64::from(DEADLINE_MS);
    let time_of = |game: &Match, index| {
        game.chain.deadline_of(seat(index)).unwrap().get() - game.chain.head().server_time.get()
    };
    for expected in [deadline, deadline / 2, deadline / 4, deadline / 5, deadline / 5] {
        assert_eq!((time_of(&game, 0), time_of(&game, 1)), (expected, deadline));
        game.append(&game.turn(&[game.action(seat(1))]));
    }
    game.append(&game.full_turn());
    assert_eq!(time_of(&game, 0), deadline);
}

/// A match in which seat 0 has less time than seat 1, both less than a turn.
fn one_short_of_time() -> Match {
    let mut game = Match::started_with(2, bank(20_000, 500));
    let entries = vec![game.entry(&game.action(seat(0)), 15_000), game.entry(&game.action(seat(1)), 100)];
    game.append(&game.block(BlockKind::Turn, entries, vec![], 15_000));
    assert_eq!(banks(&game), [5_500, 20_400]);
    game
}

fn bank(initial_ms: u32, increment_ms: u32) -> impl FnOnce(&mut Genesis) {
    move |genesis| genesis.turns.clock = Clock::Bank { initial_ms, increment_ms }
}

fn banks(game: &Match) -> Vec<u64> {
    game.seats().map(|seat| game.chain.clock_of(seat).unwrap().bank_ms.unwrap()).collect()
}

/// How the action of a seat is refused that was received then.
fn received_at(game: &Match, seat: Seat, received: Millis) -> Option<TransactionError> {
    let signed = read(&game.sign(&game.action(seat)));
    game.chain.open_turn().check(&game.chain, signed, received).err()
}
