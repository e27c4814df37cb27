//! Open seats: what they are left out of, who can take one, and when.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod reference;
mod support;

use cadastre_protocol::{
    AbsenceReason, BlockError, Entry, Epoch, Genesis, JoinError, JoinPoint, ProvenHeader, SealReason, Seat,
    SeatHolder, SecretKey, SignedDelegation, SignedTransaction, Transaction, TransactionBody,
    TransactionError, Turn, TurnMode,
};
use support::{
    Match, identity, leave_seats_open, read, received, refusal, seat,
    stored::{StoredState, altered_state},
    weak_key,
};

/// A match of one, with two open seats.
fn alone() -> Match {
    Match::started_with(3, leave_seats_open)
}

/// How a transaction is refused after these.
fn refused(game: &Match, before: &[Transaction], next: &SignedTransaction) -> Option<TransactionError> {
    let mut open = game.chain.open_turn();
    for tx in before {
        let admission = open.check(&game.chain, read(&game.sign(tx)), game.after_head(100)).unwrap();
        open.accept(admission);
    }
    open.check(&game.chain, read(next), game.after_head(100)).err()
}

/// A LateJoin by any identity.
fn join_by(game: &Match, seat: Seat, holder: &SecretKey) -> SignedTransaction {
    let delegation = SignedDelegation::sign(holder, &game.delegation(seat, Epoch::FIRST));
    let body = TransactionBody::LateJoin { identity: holder.public(), delegation };
    game.sign(&game.transaction(seat, body))
}

#[test]
fn an_open_seat_is_waited_for_by_nobody_and_asked_for_nothing() {
    let mut game = alone();
    assert_eq!(game.chain.open_seats().iter().collect::<Vec<_>>(), [seat(1), seat(2)]);
    assert_eq!(game.chain.players().iter().collect::<Vec<_>>(), [seat(0)]);
    assert_eq!(game.chain.seal_due(), None, "nobody has given up");
    for _ in 0..9 {
        game.append(&game.full_turn());
    }
    let block = received(game.blocks.last().unwrap());
    let absent: Vec<_> =
        block.block().absent().iter().map(|absence| (absence.seat, absence.reason)).collect();
    assert_eq!(absent, [(seat(1), AbsenceReason::OpenSeat), (seat(2), AbsenceReason::OpenSeat)]);
    // Of three seats the open ones have the most points.
    let places: Vec<_> = game.chain.standings().iter().map(|standing| standing.place).collect();
    assert_eq!(places, [1, 3, 2]);
    game.append(&game.takeback(5, &[game.back_to(seat(0), 5)]));
    assert_eq!(game.chain.head().turn, Turn::new(5));
}

#[test]
fn whoever_takes_a_seat_plays_from_the_next_turn_on() {
    let mut game = alone();
    let join = game.late_join(seat(2));
    let next = game.following(&join, game.action(seat(0)));
    let next = Transaction { seat: seat(2), ..next };
    assert_eq!(
        refused(&game, std::slice::from_ref(&join), &game.sign(&next)),
        Some(TransactionError::WrongKind)
    );
    game.append(&game.turn(&[game.action(seat(0)), join]));
    assert_eq!(game.chain.seat_of(identity(seat(2)).public()), Some(seat(2)));
    assert_eq!(game.chain.required().iter().collect::<Vec<_>>(), [seat(0), seat(2)]);
    let back = [game.back_to(seat(0), 0)];
    assert_eq!(game.check(&game.takeback(0, &back)).unwrap_err(), BlockError::NoConsent { seat: seat(2) });
    game.append(&game.takeback(0, &[game.back_to(seat(0), 0), game.back_to(seat(2), 0)]));
    assert_eq!(game.chain.required().len(), 2, "the seat stays taken when turns are taken back");
    let resign = game.transaction(seat(0), TransactionBody::Resign);
    game.append(&game.turn(&[resign, game.action(seat(2))]));
    assert_eq!(game.chain.seal_due(), Some(SealReason::Resigned));
}

#[test]
fn a_seat_is_taken_once_and_nobody_takes_two() {
    let mut game = alone();
    let error =
        |game: &Match, before: &[Transaction], next: &SignedTransaction| refused(game, before, next).unwrap();
    let join = game.late_join(seat(2));
    assert_eq!(error(&game, &[], &join_by(&game, seat(0), &identity(seat(2)))), TransactionError::SeatTaken);
    assert_eq!(
        error(&game, &[], &join_by(&game, seat(1), &identity(seat(0)))),
        TransactionError::AlreadySeated
    );
    let before = [join.clone()];
    assert_eq!(
        error(&game, &before, &join_by(&game, seat(2), &identity(seat(3)))),
        TransactionError::SeatTaken
    );
    assert_eq!(error(&game, &before, &game.sign(&join)), TransactionError::SeatTaken);
    assert_eq!(
        error(&game, &before, &join_by(&game, seat(1), &identity(seat(2)))),
        TransactionError::AlreadySeated
    );
    // Both in one block.
    let (good, again) =
        (game.turn(&[game.action(seat(0)), join]), join_by(&game, seat(1), &identity(seat(2))));
    let twice = refusal(&game, &good, |parts| {
        parts.absent.retain(|absence| absence.seat != seat(1));
        let received = parts.entries[0].received;
        parts.entries.push(Entry { received, transaction: again });
        parts.entries = game.in_order(&parts.header, parts.entries.clone());
    });
    assert!(matches!(twice, BlockError::Entry { error: TransactionError::AlreadySeated, .. }), "{twice:?}");
    game.append(&good);
    assert_eq!(
        error(&game, &[], &join_by(&game, seat(1), &identity(seat(2)))),
        TransactionError::AlreadySeated
    );
    assert_eq!(refused(&game, &[], &join_by(&game, seat(1), &identity(seat(3)))), None);
}

#[test]
fn an_open_seat_does_nothing_but_be_taken_and_only_in_a_running_match() {
    let (fresh, game) = (Match::with(3, leave_seats_open), alone());
    let kind = Some(TransactionError::WrongKind);
    assert_eq!(refused(&fresh, &[], &fresh.sign(&fresh.late_join(seat(2)))), kind);
    assert_eq!(refused(&fresh, &[], &fresh.sign(&fresh.join(seat(2)))), kind);
    let delegation = || game.signed_delegation(seat(2), Epoch::FIRST);
    for body in [
        TransactionBody::Join(delegation()),
        TransactionBody::Delegate(delegation()),
        TransactionBody::Turn(Vec::new()),
        TransactionBody::Takeback { to_turn: Turn::START },
        TransactionBody::Resign,
    ] {
        let first = game.transaction(seat(2), TransactionBody::Resign);
        assert_eq!(
            refused(&game, &[], &game.sign(&Transaction { body: body.clone(), ..first })),
            kind,
            "{body:?}"
        );
    }
}

#[test]
fn a_late_join_is_by_the_identity_that_it_names() {
    let game = alone();
    let good = game.late_join(seat(2));
    let TransactionBody::LateJoin { delegation, identity: holder } = good.body.clone() else { panic!() };
    let bad = Some(TransactionError::BadDelegation);
    for identity in [identity(seat(3)).public(), weak_key()] {
        let body = TransactionBody::LateJoin { identity, delegation: delegation.clone() };
        assert_eq!(refused(&game, &[], &game.sign(&Transaction { body, ..good.clone() })), bad);
    }
    let of_other_seat = game.signed_delegation(seat(1), Epoch::FIRST);
    let body = TransactionBody::LateJoin { identity: holder, delegation: of_other_seat };
    assert_eq!(refused(&game, &[], &game.sign(&Transaction { body, ..good.clone() })), bad);
    let forged = SignedTransaction::sign(&identity(seat(2)), &good);
    assert_eq!(refused(&game, &[], &forged), Some(TransactionError::BadSignature));
}

#[test]
fn turns_that_ask_only_an_open_seat_abandon_nothing() {
    let mut game = Match::started_with(3, |genesis: &mut Genesis| {
        (genesis.seats[0], genesis.seats[1]) = (SeatHolder::Open, SeatHolder::Open);
        genesis.turns.mode = TurnMode::Alternating;
    });
    // Seat 2 lets its time pass in each turn that is its own, which is the third time the end.
    let mut turns = 0;
    while game.chain.seal_due().is_none() {
        game.append(&game.turn(&[]));
        turns += 1;
    }
    assert_eq!((turns, game.chain.seal_due()), (9, Some(SealReason::Abandoned)));
}

#[test]
fn a_match_is_joined_only_with_everybody_on_one_seat_at_most() {
    let (fresh, mut game) = (Match::with(3, leave_seats_open), alone());
    game.append(&game.turn(&[game.action(seat(0)), game.late_join(seat(2))]));
    let block = ProvenHeader::of(game.blocks.last().unwrap()).unwrap();
    let judged = |change: &dyn Fn(&mut StoredState)| {
        let state = altered_state(&game.chain, change);
        let point = JoinPoint { block: block.clone(), state, place: Vec::new() };
        point.verify(&fresh.chain).map(|_| ())
    };
    assert_eq!(judged(&|_| {}), Ok(()));
    let stranger = || Some(*identity(seat(3)).public().as_bytes());
    let bad: [&dyn Fn(&mut StoredState); 6] = [
        &|state| state.seats[2].taken_by = None,
        &|state| state.seats[2].session = None,
        &|state| state.seats[0].session = None,
        &|state| state.seats[0].taken_by = stranger(),
        &|state| state.seats[1].taken_by = stranger(),
        &|state| state.seats[2].taken_by = Some(*identity(seat(0)).public().as_bytes()),
    ];
    for change in bad {
        assert_eq!(judged(change), Err(JoinError::State));
    }
    assert_eq!(judged(&|state| state.seats[2].taken_by = stranger()), Ok(()), "that is the server's word");
}
