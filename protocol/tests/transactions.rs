//! Every rule of transactions, in the order of the errors: broken by one that breaks no other.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod reference;
mod support;

use cadastre_protocol::{
    Attempt, BlockError, BlockHash, BlockKind, Delegation, Digest, Epoch, Height, Millis, SealReason, Seq,
    SignedDelegation, SignedTransaction, Transaction, TransactionBody, TransactionError, Turn, TurnMode,
    TxHash,
};
use support::{
    CREATED, DEADLINE_MS, Match, bend, block_key, identity, key, other_match, read, refusal, root, seat,
    stored::{StoredState, altered},
    weak_key,
};

#[test]
fn a_transaction_is_of_its_match() {
    let refused = transaction_refusal(|_, tx| tx.match_id = other_match());
    assert_eq!(refused, TransactionError::WrongMatch);
}

#[test]
fn a_transaction_is_of_a_seat_that_the_match_has() {
    for index in [2, 7] {
        let refused = transaction_refusal(|_, tx| tx.seat = seat(index));
        assert_eq!(refused, TransactionError::NoSuchSeat);
    }
}

#[test]
fn no_transaction_comes_once_the_match_is_over() {
    let mut game = Match::started_with(2, |genesis| genesis.turns.turns_max = Some(1));
    let action = game.action(seat(0));
    game.append(&game.full_turn());
    assert_eq!(accepted(&game, &action), Err(TransactionError::MatchOver));
    game.append(&game.seal(SealReason::TurnLimit));
    assert_eq!(accepted(&game, &action), Err(TransactionError::MatchOver));
}

#[test]
fn kinds_of_transactions_come_when_they_may() {
    let fresh = Match::of(2);
    let delegation = fresh.signed_delegation(seat(0), Epoch::FIRST);
    for body in [
        TransactionBody::Turn(vec![]),
        TransactionBody::Delegate(delegation.clone()),
        TransactionBody::Commit(Digest::ZERO),
        TransactionBody::Reveal { salt: [0; 32], commands: vec![] },
        TransactionBody::Takeback { to_turn: Turn::START },
        TransactionBody::Resign,
    ] {
        let tx = Transaction { body, ..fresh.join(seat(0)) };
        assert_eq!(accepted(&fresh, &tx), Err(TransactionError::WrongKind), "{:?}", tx.body);
    }
    for body in [
        TransactionBody::Join(delegation),
        TransactionBody::Commit(Digest::ZERO),
        TransactionBody::Reveal { salt: [0; 32], commands: vec![] },
        TransactionBody::Takeback { to_turn: Turn::START },
    ] {
        let refused = transaction_refusal(|_, tx| tx.body = body.clone());
        assert_eq!(refused, TransactionError::WrongKind, "{body:?}");
    }
}

#[test]
fn a_transaction_is_for_the_turn_that_is_open() {
    let expected = Turn::new(2);
    for got in [0, 1, 3, u32::MAX].map(Turn::new) {
        let refused = transaction_refusal(|_, tx| tx.turn = got);
        assert_eq!(refused, TransactionError::WrongTurn { expected, got });
    }
    let fresh = Match::of(2);
    let join = Transaction { turn: Turn::new(1), ..fresh.join(seat(0)) };
    let wrong = TransactionError::WrongTurn { expected: Turn::START, got: Turn::new(1) };
    assert_eq!(accepted(&fresh, &join), Err(wrong));
}

#[test]
fn a_transaction_is_for_the_attempt_that_is_open() {
    let refused = transaction_refusal(|_, tx| tx.attempt = Attempt::new(1));
    assert_eq!(refused, TransactionError::WrongAttempt);
}

#[test]
fn a_seat_that_resigned_does_nothing_more() {
    let mut game = Match::started(3);
    game.append(&game.turn(&[
        game.transaction(seat(0), TransactionBody::Resign),
        game.action(seat(1)),
        game.action(seat(2)),
    ]));
    for tx in
        [game.action(seat(0)), game.delegate(seat(0)), game.transaction(seat(0), TransactionBody::Resign)]
    {
        assert_eq!(accepted(&game, &tx), Err(TransactionError::Resigned), "{:?}", tx.body);
        let transactions = [game.action(seat(1)), game.action(seat(2)), tx];
        let refused = game.check(&game.turn(&transactions)).unwrap_err();
        assert!(matches!(refused, BlockError::Entry { error: TransactionError::Resigned, .. }));
    }
}

#[test]
fn a_seat_acts_once_in_a_turn() {
    let game = Match::started(2);
    let first = game.action(seat(1));
    for second in
        [game.action(seat(1)), game.delegate(seat(1)), game.transaction(seat(1), TransactionBody::Resign)]
    {
        let second = Transaction { epoch: second.epoch, ..game.following(&first, second) };
        let good = game.full_turn();
        let refused = refusal(&game, &good, |parts| {
            let at = 1 + parts
                .entries
                .iter()
                .position(|entry| read(&entry.transaction).get().seat == seat(1))
                .unwrap();
            parts.entries.insert(at, game.entry(&second, 900));
        });
        let BlockError::Entry { error, seat: of, .. } = refused else { panic!("{refused}") };
        assert_eq!((error, of), (TransactionError::AlreadySubmitted, seat(1)));
    }
    // The very same transaction twice.
    let refused = refusal(&game, &game.full_turn(), |parts| {
        let twice = parts.entries[1].clone();
        parts.entries.push(twice);
    });
    assert!(matches!(refused, BlockError::Entry { error: TransactionError::AlreadySubmitted, .. }));
}

#[test]
fn a_seat_delegates_once_in_a_turn() {
    let game = Match::started(2);
    let first = game.delegate(seat(0));
    let epoch = first.epoch.next().unwrap();
    let second = Transaction {
        epoch,
        body: TransactionBody::Delegate(game.signed_delegation(seat(0), epoch)),
        ..game.following(&first, game.delegate(seat(0)))
    };
    let refused = game.check(&game.turn(&[game.action(seat(1)), first, second])).unwrap_err();
    assert!(matches!(refused, BlockError::Entry { error: TransactionError::AlreadySubmitted, .. }));
}

#[test]
fn a_seat_that_is_not_to_move_sends_no_commands() {
    let game = Match::started_with(2, |genesis| genesis.turns.mode = TurnMode::Alternating);
    let out_of_turn = game.action(seat(1));
    assert_eq!(accepted(&game, &out_of_turn), Err(TransactionError::NotToMove));
    let refused = game.check(&game.turn(&[game.action(seat(0)), out_of_turn])).unwrap_err();
    assert!(matches!(refused, BlockError::Entry { error: TransactionError::NotToMove, .. }));
}

#[test]
fn a_transaction_is_of_the_epoch_in_force() {
    let (expected, got) = (Epoch::FIRST, Epoch::new(1));
    let refused = transaction_refusal(|_, tx| tx.epoch = got);
    assert_eq!(refused, TransactionError::WrongEpoch { expected, got });
    for got in [0, 2].map(Epoch::new) {
        let refused = transaction_refusal(|game, tx| {
            tx.epoch = got;
            tx.body = TransactionBody::Delegate(game.signed_delegation(tx.seat, got));
        });
        assert_eq!(refused, TransactionError::WrongEpoch { expected: Epoch::new(1), got });
    }
    let fresh = Match::of(2);
    let join = Transaction {
        epoch: got,
        body: TransactionBody::Join(fresh.signed_delegation(seat(0), got)),
        ..fresh.join(seat(0))
    };
    assert_eq!(accepted(&fresh, &join), Err(TransactionError::WrongEpoch { expected, got }));
}

#[test]
fn a_revoked_session_key_signs_nothing_more() {
    let mut game = Match::started(2);
    let old_epoch = game.action(seat(1));
    let delegate = game.delegate(seat(1));
    let (expected, got) = (Epoch::new(1), Epoch::FIRST);
    // In the very turn of the delegation, as the old epoch and as the new one.
    let as_old = Transaction { epoch: got, ..game.following(&delegate, old_epoch.clone()) };
    let refused = game.check(&game.turn(&[game.action(seat(0)), delegate.clone(), as_old])).unwrap_err();
    let wrong_epoch = TransactionError::WrongEpoch { expected, got };
    assert!(matches!(refused, BlockError::Entry { error, .. } if error == wrong_epoch));
    let as_new = game.following(&delegate, old_epoch);
    let good = game.turn(&[game.action(seat(0)), delegate, as_new.clone()]);
    let refused = refusal(&game, &good, |parts| {
        for entry in &mut parts.entries {
            if read(&entry.transaction).get() == &as_new {
                entry.transaction = SignedTransaction::sign(&game.session(seat(1), Epoch::FIRST), &as_new);
            }
        }
    });
    assert!(matches!(refused, BlockError::Entry { error: TransactionError::BadSignature, .. }));
    // And in later turns.
    game.append(&good);
    let revoked = Transaction { epoch: Epoch::FIRST, ..game.action(seat(1)) };
    assert_eq!(accepted(&game, &revoked), Err(wrong_epoch));
    let by_revoked = SignedTransaction::sign(&game.session(seat(1), Epoch::FIRST), &game.action(seat(1)));
    assert_eq!(accepted_signed(&game, &by_revoked), Err(TransactionError::BadSignature));
}

#[test]
fn a_seat_s_transactions_are_numbered_and_linked() {
    let expected = Seq::new(2);
    for got in [0, 1, 3, u32::MAX].map(Seq::new) {
        let refused = transaction_refusal(|_, tx| tx.seq = got);
        assert_eq!(refused, TransactionError::WrongSeq { expected, got });
    }
    let refused = transaction_refusal(|game, tx| tx.prev_tx = game.match_id().as_tx());
    assert_eq!(refused, TransactionError::WrongLink);
    let refused = transaction_refusal(|_, tx| tx.prev_tx = TxHash::new(Digest::ZERO));
    assert_eq!(refused, TransactionError::WrongLink);
    let other_seat = transaction_refusal(|game, tx| {
        tx.prev_tx = game.chain.next_of(seat(1 - tx.seat.get())).unwrap().prev_tx;
    });
    assert_eq!(other_seat, TransactionError::WrongLink);
}

#[test]
fn a_transaction_has_seen_a_block_of_its_turn() {
    let mut game = Match::started(2);
    let start = *game.chain.head();
    game.append(&game.full_turn());
    let head = *game.chain.head();
    for (height, block) in [
        (start.height, start.block),
        (Height::GENESIS, game.match_id().as_block()),
        (head.height, start.block),
        (start.height, head.block),
        (head.height.next().unwrap(), head.block),
        (Height::new(u64::MAX), head.block),
        (head.height, BlockHash::new(Digest::ZERO)),
    ] {
        let refused = transaction_refusal_in(&game, |tx| (tx.seen_height, tx.seen_block) = (height, block));
        assert_eq!(refused, TransactionError::UnknownSeenBlock, "{height} {block}");
    }
}

#[test]
fn no_transaction_has_a_chain_element_in_a_match_without() {
    let refused = transaction_refusal(|_, tx| tx.chain_element = Some(Digest::ZERO));
    assert_eq!(refused, TransactionError::UnexpectedChainElement);
}

#[test]
fn nothing_is_received_before_it_can_have_been_sent() {
    let mut game = Match::started(2);
    let opened = game.chain.head().server_time;
    let early = Millis::new(opened.get() - 1);
    assert_eq!(received_at(&game, opened), None);
    assert_eq!(received_at(&game, early), Some(TransactionError::Early));
    // A transaction that has seen the restart came after it; one that has not may have come before.
    let unaware = game.action(seat(1));
    game.append(&game.reopen());
    let reopened = game.chain.head().server_time;
    let early = Millis::new(reopened.get() - 1);
    assert_eq!(received_at(&game, reopened), None);
    assert_eq!(received_at(&game, early), Some(TransactionError::Early));
    let refused = game.chain.open_turn().check(&game.chain, read(&game.sign(&unaware)), early).err();
    assert_eq!(refused, None);
    let fresh = Match::of(2);
    let join = read(&fresh.sign(&fresh.join(seat(0))));
    let before = Millis::new(CREATED.get() - 1);
    let refused = fresh.chain.open_turn().check(&fresh.chain, join, before).err();
    assert_eq!(refused, Some(TransactionError::Early));
}

#[test]
fn nothing_is_received_before_what_it_goes_on_from() {
    let game = Match::started(2);
    let delegate = game.delegate(seat(1));
    let action = game.following(&delegate, game.action(seat(1)));
    let good = game.turn(&[game.action(seat(0)), delegate, action.clone()]);
    let refused = refusal(&game, &good, |parts| {
        for entry in &mut parts.entries {
            if read(&entry.transaction).get() == &action {
                entry.received = game.after_head(199);
            }
        }
    });
    assert!(matches!(refused, BlockError::Entry { error: TransactionError::Early, .. }));

    // Nor is it enough to come after that, for what has seen a later block.
    let mut game = game;
    let delegate = game.delegate(seat(1));
    let before = game.entry(&delegate, 100);
    game.append(&game.reopen());
    let mut open = game.chain.open_turn();
    open.accept(open.check(&game.chain, read(&before.transaction), before.received).unwrap());
    let action = read(&game.sign(&game.following(&delegate, game.action(seat(1)))));
    let reopened = game.chain.head().server_time;
    assert!(open.check(&game.chain, action.clone(), reopened).is_ok());
    let between = Millis::new(reopened.get() - 1);
    assert_eq!(open.check(&game.chain, action, between).err(), Some(TransactionError::Early));
}

#[test]
fn nothing_is_received_after_the_deadline_or_the_block() {
    let mut game = Match::started(2);
    let deadline = game.chain.head().deadline.unwrap();
    assert_eq!(received_at(&game, deadline), None);
    assert_eq!(received_at(&game, deadline.after(1)), Some(TransactionError::Late));
    let good = game.full_turn();
    let at = |received| {
        let mut parts = good.clone();
        parts.entries[1].received = received;
        game.check(&parts.committed()).map(|_| ())
    };
    let made = good.header.server_time;
    let late = BlockError::Entry {
        index: 1,
        seat: read(&good.entries[1].transaction).get().seat,
        error: TransactionError::Late,
    };
    assert_eq!(at(made), Ok(()));
    assert_eq!(at(made.after(1)), Err(late));
    // Neither does a later block help one that came after the deadline.
    let mut parts = game.block(BlockKind::Turn, good.entries, vec![], 2 * u64::from(DEADLINE_MS));
    assert!(game.check(&parts).is_ok());
    parts.entries[1].received = deadline.after(1);
    assert_eq!(game.check(&parts.committed()).unwrap_err(), late);
    // A restart moves the deadline.
    game.append(&game.reopen());
    assert_eq!(received_at(&game, deadline.after(1)), None);
}

#[test]
fn a_delegation_is_for_this_match_seat_and_epoch_and_of_the_seat_s_identity() {
    let refused = |by: Option<u8>, change: fn(&mut Delegation)| {
        transaction_refusal(|game, tx| {
            let epoch = Epoch::new(1);
            let mut delegation = game.delegation(tx.seat, epoch);
            change(&mut delegation);
            let identity = by.map_or_else(|| identity(tx.seat), key);
            tx.body = TransactionBody::Delegate(SignedDelegation::sign(&identity, &delegation));
            tx.epoch = epoch;
        })
    };
    let bad = TransactionError::BadDelegation;
    assert_eq!(refused(None, |d| d.match_id = other_match()), bad);
    assert_eq!(refused(None, |d| d.seat = seat(1 - d.seat.get())), bad);
    assert_eq!(refused(None, |d| d.seat = seat(7)), bad);
    assert_eq!(refused(None, |d| d.epoch = Epoch::FIRST), bad);
    assert_eq!(refused(None, |d| d.epoch = Epoch::new(2)), bad);
    assert_eq!(refused(None, |d| d.version = 2), bad);
    assert_eq!(refused(None, |d| d.session = weak_key()), bad);
    assert_eq!(refused(Some(0x77), |_| {}), bad);
    assert_eq!(refused(Some(0x11), |_| {}), bad);
    assert_eq!(refused(Some(0x22), |_| {}), bad);
    // Not even the session key in force may name its successor.
    let by_session = transaction_refusal(|game, tx| {
        let delegation = game.delegation(tx.seat, Epoch::new(1));
        let session = game.session(tx.seat, Epoch::FIRST);
        tx.body = TransactionBody::Delegate(SignedDelegation::sign(&session, &delegation));
        tx.epoch = Epoch::new(1);
    });
    assert_eq!(by_session, bad);
    let fresh = Match::of(2);
    let swapped = fresh.signed_delegation(seat(1), Epoch::FIRST);
    let join = Transaction { body: TransactionBody::Join(swapped), ..fresh.join(seat(0)) };
    assert_eq!(accepted(&fresh, &join), Err(bad));
}

#[test]
fn a_delegation_expires() {
    let fresh = Match::of(2);
    let valid_to = fresh.after_head(1500);
    let join = |game: &Match| {
        let delegation = Delegation { valid_to: Some(valid_to), ..game.delegation(seat(0), Epoch::FIRST) };
        let delegation = SignedDelegation::sign(&identity(seat(0)), &delegation);
        Transaction { body: TransactionBody::Join(delegation), ..game.join(seat(0)) }
    };
    let mut game = fresh;
    let at = |game: &Match, tx: &Transaction, at| {
        game.chain.open_turn().check(&game.chain, read(&game.sign(tx)), at).err()
    };
    assert_eq!(at(&game, &join(&game), valid_to), None);
    assert_eq!(at(&game, &join(&game), valid_to.after(1)), Some(TransactionError::DelegationExpired));
    let entries = game.entries(&[join(&game), game.join(seat(1))]);
    game.append(&game.block(BlockKind::Start, entries, vec![], 1000));
    let action = game.action(seat(0));
    assert_eq!(at(&game, &action, valid_to), None);
    assert_eq!(at(&game, &action, valid_to.after(1)), Some(TransactionError::DelegationExpired));
    // A new delegation brings the seat back.
    game.append(&game.turn(&[game.delegate(seat(0)), game.action(seat(1))]));
    assert_eq!(at(&game, &game.action(seat(0)), valid_to.after(40_000)), None);
}

#[test]
fn a_transaction_is_signed_by_the_session_key() {
    let game = Match::started(2);
    let action = game.action(seat(0));
    for wrong in [
        identity(seat(0)),
        game.session(seat(1), Epoch::FIRST),
        game.session(seat(0), Epoch::new(1)),
        identity(seat(0)).session(other_match(), Epoch::FIRST),
        block_key(),
        root(),
    ] {
        let signed = SignedTransaction::sign(&wrong, &action);
        assert_eq!(accepted_signed(&game, &signed), Err(TransactionError::BadSignature));
        let refused = refusal(&game, &game.full_turn(), |parts| {
            for entry in &mut parts.entries {
                if read(&entry.transaction).get().seat == seat(0) {
                    entry.transaction = signed.clone();
                }
            }
        });
        assert!(matches!(refused, BlockError::Entry { error: TransactionError::BadSignature, .. }));
    }
    // A Join is signed by the session key that it brings.
    let fresh = Match::of(2);
    let by_identity = SignedTransaction::sign(&identity(seat(0)), &fresh.join(seat(0)));
    assert_eq!(accepted_signed(&fresh, &by_identity), Err(TransactionError::BadSignature));
}

#[test]
fn numbers_of_turns_epochs_and_transactions_end_instead_of_wrapping() {
    let game = Match::started(2);
    let exhausted = |change: &dyn Fn(&mut StoredState), tx: &dyn Fn(&Match) -> Transaction| {
        let mut last = game.clone();
        last.chain = altered(&game.chain, change);
        accepted(&last, &tx(&last))
    };
    let action = |game: &Match| game.action(seat(0));
    let err = Err(TransactionError::Exhausted);
    assert_eq!(exhausted(&|stored| stored.turn = u32::MAX, &action), err);
    assert_eq!(exhausted(&|stored| stored.seats[0].next_seq = u32::MAX, &action), err);
    let delegate = |game: &Match| Transaction {
        body: TransactionBody::Delegate(game.signed_delegation(seat(0), Epoch::new(0))),
        ..game.action(seat(0))
    };
    let last_epoch = |stored: &mut StoredState| stored.seats[0].session.as_mut().unwrap().epoch = u32::MAX;
    assert_eq!(exhausted(&last_epoch, &delegate), err);
}

/// Why a changed transaction is refused in the second turn of a match between two.
fn transaction_refusal(change: impl Fn(&Match, &mut Transaction)) -> TransactionError {
    let mut game = Match::started(2);
    game.append(&game.full_turn());
    transaction_refusal_in(&game, |tx| change(&game, tx))
}

/// Why a changed transaction is refused: by the verifier in a block and by the room when it comes in.
fn transaction_refusal_in(game: &Match, change: impl Fn(&mut Transaction)) -> TransactionError {
    let good = game.full_turn();
    let mut by_room = None;
    let refused = refusal(game, &good, |parts| {
        let entry = &mut parts.entries[0];
        bend(game, entry, |tx| change(tx));
        by_room = game.chain.open_turn().check(&game.chain, read(&entry.transaction), entry.received).err();
    });
    let BlockError::Entry { index: 0, error, .. } = refused else { panic!("{refused}") };
    assert_eq!(by_room, Some(error));
    error
}

/// What the room says of a transaction that comes first in its turn.
fn accepted(game: &Match, tx: &Transaction) -> Result<(), TransactionError> {
    accepted_signed(game, &game.sign(tx))
}

fn accepted_signed(game: &Match, signed: &SignedTransaction) -> Result<(), TransactionError> {
    let at = game.after_head(100);
    game.chain.open_turn().check(&game.chain, read(signed), at).map(|_| ())
}

/// How the transaction of seat 0 is refused when it comes at this time.
fn received_at(game: &Match, at: Millis) -> Option<TransactionError> {
    let signed = game.sign(&game.action(seat(0)));
    game.chain.open_turn().check(&game.chain, read(&signed), at).err()
}
