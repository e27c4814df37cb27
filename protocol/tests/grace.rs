//! Grace: once, a turn waits longer for a seat that was there before.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod reference;
mod support;

use cadastre_protocol::{
    AbsencePolicy, BlockError, BlockKind, Clock, CodecError, GRACE_MS_MAX, Genesis, Motion, Seat, SeatSet,
    SkipPolicy, Transaction, TransactionBody, TransactionError, TurnMode, Visibility, Wire,
};
use support::{DEADLINE_MS, Match, Parts, allow_grace, allow_takebacks, genesis, read, refusal, seat};

const GRACE_MS: u32 = 8_000;
const DEADLINE: u64 = DEADLINE_MS as u64;

#[test]
fn grace_makes_the_time_of_the_turn_later_and_nothing_else() {
    let mut game = playing(2);
    let (before, next) = (*game.chain.head(), game.chain.next_of(seat(0)));
    let deadline = before.deadline.unwrap().after(GRACE_MS.into());
    game.append(&game.grace(DEADLINE));
    let head = *game.chain.head();
    assert_eq!(head.deadline, Some(deadline));
    assert_eq!(game.chain.deadline_of(seat(1)), Some(deadline));
    assert_eq!((head.turn, head.attempt, head.state_root), (before.turn, before.attempt, before.state_root));
    assert_eq!(game.chain.next_of(seat(0)), next);
    // What was signed before it counts, and the turn is closed as soon as all have acted, long before the new deadline.
    game.append(&game.full_turn());
    assert!(game.chain.head().server_time < deadline);
}

#[test]
fn no_turn_and_no_half_of_one_has_it_twice() {
    let mut game = playing(2);
    for _ in 0..2 {
        game.append(&game.grace(DEADLINE));
        assert_eq!(judged(&game, &game.grace_for(seat(0))), Err(BlockError::WrongKind));
        // The server was away: the time begins anew, the grace does not.
        game.append(&game.reopen());
        assert_eq!(judged(&game, &game.grace_for(seat(0))), Err(BlockError::WrongKind));
        game.append(&game.full_turn());
    }
    let mut game = Match::started_with(2, allow_grace);
    game.append(&game.grace_for(seat(0)));
    assert_eq!(judged(&game, &game.grace_for(seat(0))), Err(BlockError::WrongKind));
    game.append(&game.first_half(&[game.commit(seat(0)), game.commit(seat(1))]));
    game.append(&game.grace_for(seat(0)));
    assert_eq!(judged(&game, &game.grace_for(seat(0))), Err(BlockError::WrongKind));
}

#[test]
fn a_turn_that_is_played_again_has_it_again() {
    let mut game = Match::started_with(2, |genesis| {
        allow_takebacks(genesis);
        genesis.turns.grace_ms = GRACE_MS;
    });
    game.append(&game.full_turn());
    game.append(&game.grace(DEADLINE));
    game.append(&game.takeback(0, &[game.back_to(seat(0), 0), game.back_to(seat(1), 0)]));
    assert_eq!(judged(&game, &game.grace(DEADLINE)), Ok(()));
}

#[test]
fn a_match_without_it_has_none() {
    let game = Match::started(2);
    assert_eq!(judged(&game, &game.grace(DEADLINE)), Err(BlockError::WrongKind));
    assert_eq!(
        judged(&Match::with(2, allow_grace), &playing(2).grace(DEADLINE)),
        Err(BlockError::WrongMatch)
    );
    let mut long = genesis(2);
    long.turns.grace_ms = GRACE_MS_MAX;
    assert_eq!(long.validate(), Ok(()));
    long.turns.grace_ms += 1;
    assert_eq!(long.validate(), Err("grace out of range"));
    let bytes = cadastre_protocol::encode(&long);
    let refused = CodecError::Invalid("grace out of range");
    assert_eq!(cadastre_protocol::decode_exact::<Genesis>(&bytes).unwrap_err(), refused);
}

#[test]
fn it_is_as_long_as_the_genesis_says_and_takes_nothing_up() {
    let game = playing(2);
    let good = game.grace(DEADLINE);
    for deadline in [-1, 1].map(|more| good.header.deadline.unwrap().get().saturating_add_signed(more)) {
        let other = Some(cadastre_protocol::Millis::new(deadline));
        let refused = refusal(&game, &good, |parts| parts.header.deadline = other);
        assert_eq!(refused, BlockError::WrongDeadline);
    }
    let entry = game.entry(&game.action(seat(0)), 1);
    assert_eq!(refusal(&game, &good, |parts| parts.entries.push(entry.clone())), BlockError::WrongKind);
}

#[test]
fn somebody_is_missing_whose_time_is_up_and_who_was_there_before() {
    let mut game = playing(3);
    assert_eq!(judged(&game, &game.grace(DEADLINE - 1)), Err(BlockError::NobodyMissing));
    assert_eq!(judged(&game, &game.grace(DEADLINE)), Ok(()));
    game.append(&game.turn(&[game.action(seat(0)), game.action(seat(1))]));
    assert_eq!(judged(&game, &game.grace(DEADLINE)), Ok(()), "who has acted is not shown");
    game.append(&game.turn(&[game.action(seat(0)), game.transaction(seat(1), TransactionBody::Resign)]));
    game.append(&game.turn(&[game.action(seat(2))]));
    // Seat 0 was absent, seat 1 has resigned, and seat 2 was there.
    assert_eq!(judged(&game, &game.grace(DEADLINE)), Ok(()));
    game.append(&game.turn(&[]));
    assert_eq!(judged(&game, &game.grace(DEADLINE)), Err(BlockError::NobodyMissing));
    game.append(&game.turn(&[game.action(seat(0))]));
    assert_eq!(judged(&game, &game.grace(DEADLINE)), Ok(()), "whoever was there again has it again");
}

#[test]
fn nobody_is_missing_whom_the_turn_does_not_wait_for() {
    let change = |genesis: &mut Genesis| {
        genesis.turns.mode = TurnMode::Alternating;
        genesis.turns.grace_ms = GRACE_MS;
    };
    let mut game = Match::started_with(2, change);
    let mover = game.chain.required().iter().next().unwrap();
    game.append(&game.turn(&[]));
    game.append(&game.full_turn());
    // It is the turn of the one who was absent; the other was there.
    assert_eq!(game.chain.required(), SeatSet::from_iter([mover]));
    assert_eq!(judged(&game, &game.grace(DEADLINE)), Err(BlockError::NobodyMissing));
    let sealed =
        |genesis: &mut Genesis| (genesis.visibility, genesis.turns.grace_ms) = (Visibility::Sealed, GRACE_MS);
    let mut game = Match::started_with(2, sealed);
    game.append(&game.first_half(&[game.commit(seat(1))]));
    assert_eq!(game.chain.required(), SeatSet::from_iter([seat(1)]), "seat 0 has committed to nothing");
    assert_eq!(game.chain.open_turn().missing(&game.chain, game.after_head(DEADLINE)), game.chain.required());
}

#[test]
fn what_the_server_sees_of_the_open_turn_decides_for_whom_it_waits() {
    let mut game = Match::started_with(4, |genesis| {
        genesis.turns.grace_ms = GRACE_MS;
        genesis.agreements.skip = SkipPolicy::Majority;
    });
    let missing = |game: &Match, transactions: &[Transaction], ms| {
        let mut open = game.chain.open_turn();
        for (entry, tx) in game.entries(transactions).iter().zip(transactions) {
            let admission = open.check(&game.chain, read(&entry.transaction), entry.received);
            open.accept(admission.unwrap_or_else(|error| panic!("{tx:?}: {error}")));
        }
        open.missing(&game.chain, game.after_head(ms)).iter().map(Seat::get).collect::<Vec<_>>()
    };
    let action = game.action(seat(0));
    assert_eq!(missing(&game, std::slice::from_ref(&action), DEADLINE - 1), [0; 0]);
    assert_eq!(missing(&game, std::slice::from_ref(&action), DEADLINE), [1, 2, 3]);
    let resign = game.transaction(seat(1), TransactionBody::Resign);
    assert_eq!(missing(&game, &[action, resign], DEADLINE), [2, 3]);
    let skip = |by| game.motion(seat(by), Motion::Skip { seats: SeatSet::from_iter([seat(3)]) });
    assert_eq!(
        missing(&game, &[skip(0), skip(1)], DEADLINE),
        [0, 1, 2],
        "the others wait for seat 3 no longer"
    );
    game.append(&game.grace(DEADLINE));
    assert_eq!(missing(&game, &[], 10 * DEADLINE), [0; 0]);
}

#[test]
fn no_bank_pays_for_it_and_no_clock_shrinks() {
    let (initial_ms, increment_ms, shortest_ms) = (10_000, 0, 100);
    let mut game = Match::started_with(2, |genesis| {
        genesis.turns.clock = Clock::Bank { initial_ms, increment_ms };
        genesis.turns.grace_ms = GRACE_MS;
        genesis.absence = AbsencePolicy::Shrink { abandon_after: 9, forfeit_after: None, shortest_ms };
    });
    let bank = |game: &Match, index| game.chain.clock_of(seat(index)).unwrap().bank_ms.unwrap();
    let acted = game.entry(&game.action(seat(0)), 9_000);
    assert_eq!(judged(&game, &game.grace(9_999)), Err(BlockError::NobodyMissing));
    game.append(&game.grace(10_000));
    assert_eq!((bank(&game, 0), bank(&game, 1)), (10_000, 10_000));
    let late = game.entry(&game.action(seat(1)), 8_001);
    let turn = |entry| game.block(BlockKind::Turn, vec![acted.clone(), entry], Vec::new(), 8_001);
    let error = TransactionError::Late;
    let index = turn(late.clone()).entries.iter().position(|entry| *entry == late).unwrap();
    assert_eq!(judged(&game, &turn(late)), Err(BlockError::Entry { index, seat: seat(1), error }));
    // Each pays for what has passed since the time began, 8 s later than it did.
    game.append(&turn(game.entry(&game.action(seat(1)), 8_000)));
    assert_eq!((bank(&game, 0), bank(&game, 1)), (9_000, 0));
}

fn playing(seats: u8) -> Match {
    Match::started_with(seats, |genesis| genesis.turns.grace_ms = GRACE_MS)
}

fn judged(game: &Match, parts: &Parts) -> Result<(), BlockError> {
    game.check(parts).map(drop)
}
