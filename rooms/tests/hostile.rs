//! Players and strangers who send what they should not.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use cadastre_protocol::{
    Attempt, BlockHash, Digest, Epoch, Height, MatchId, Millis, Refusal, RoomSpec, Seat, SecretKey, Seq,
    Signature, SignedTransaction, Transaction, TransactionBody, TransactionError, Turn, TxHash,
};
use cadastre_rooms::{GuestId, Input};
use support::{DEADLINE_MS, NOW, Shell, alternating, delegation, edge, join_of, key, seat, sign, spec};

/// What is wrong with a transaction, in the order in which it is looked for.
const DEFECTS: [(Bend, TransactionError); 12] = [
    (|tx| tx.match_id = MatchId::new(OTHER), TransactionError::WrongMatch),
    (|tx| tx.body = TransactionBody::Commit(OTHER), TransactionError::WrongKind),
    (|tx| tx.turn = Turn::new(7), TransactionError::WrongTurn { expected: Turn::new(1), got: Turn::new(7) }),
    (|tx| tx.attempt = Attempt::new(1), TransactionError::WrongAttempt),
    (
        |tx| tx.epoch = Epoch::new(1),
        TransactionError::WrongEpoch { expected: Epoch::FIRST, got: Epoch::new(1) },
    ),
    (|tx| tx.seq = Seq::new(2), TransactionError::WrongSeq { expected: Seq::new(1), got: Seq::new(2) }),
    (|tx| tx.prev_tx = TxHash::new(OTHER), TransactionError::WrongLink),
    (|tx| tx.seen_height = Height::GENESIS, TransactionError::UnknownSeenBlock),
    (|tx| tx.seen_block = BlockHash::new(OTHER), TransactionError::UnknownSeenBlock),
    (|tx| tx.chain_element = Some(OTHER), TransactionError::UnexpectedChainElement),
    // Nothing in it: only late, or signed by another.
    (|_| {}, TransactionError::Late),
    (|_| {}, TransactionError::BadSignature),
];
const OTHER: Digest = Digest::new([0x5a; 32]);

type Bend = fn(&mut Transaction);

#[test]
fn of_several_defects_the_first_in_the_order_is_named() {
    for (i, (bend, expected)) in DEFECTS.iter().enumerate() {
        for (also_bend, also) in &DEFECTS[i..] {
            let has = |error| *expected == error || *also == error;
            let mut shell = Shell::playing(spec(2));
            let mut draft = shell.draft(seat(0), TransactionBody::Turn(edge(0)));
            also_bend(&mut draft);
            bend(&mut draft);
            let signed = if has(TransactionError::BadSignature) { forged(&draft) } else { sign(&draft) };
            if has(TransactionError::Late) {
                shell.now = NOW.after(DEADLINE_MS + 1);
            }
            assert_eq!(refusal(&mut shell, signed), Refusal::Chain(*expected), "also: {also}");
            assert_eq!(shell.store.commits, 1, "nothing was taken up");
        }
    }
}

#[test]
fn bytes_that_are_no_transaction_are_malformed_whoever_sends_them() {
    let mut shell = Shell::playing(spec(2));
    let watcher = shell.watch(5);
    shell.forget_told();
    let good = shell.turn(seat(0), edge(0));
    let mut longer = good.body.clone();
    longer.push(0);
    for body in [Vec::new(), vec![0xff; 100], good.body[..good.body.len() - 1].to_vec(), longer] {
        let bad = SignedTransaction { body, signature: good.signature };
        for guest in [shell.guests[0], shell.guests[1], watcher] {
            shell.submit(guest, bad.clone());
            assert_eq!(shell.refusal(guest), Refusal::Malformed);
        }
    }
    assert_unharmed(&mut shell);
}

#[test]
fn nobody_acts_for_another_seat() {
    let mut shell = Shell::playing(spec(2));
    // What seat 1 signed, on the connection of seat 0; and a seat that the match does not have.
    let mut nowhere = shell.draft(seat(0), TransactionBody::Turn(Vec::new()));
    nowhere.seat = seat(7);
    for stolen in [shell.turn(seat(1), Vec::new()), sign(&nowhere)] {
        assert_eq!(refusal(&mut shell, stolen), Refusal::NotYourSeat);
    }
    // The own seat, signed by a key that does not speak for it.
    let forged = forged(&shell.draft(seat(0), TransactionBody::Turn(edge(0))));
    let bad_signature = Refusal::Chain(TransactionError::BadSignature);
    assert_eq!(refusal(&mut shell, forged), bad_signature);
    let mut turned = shell.turn(seat(0), edge(0));
    turned.signature = Signature::new([0; 64]);
    assert_eq!(refusal(&mut shell, turned), bad_signature);
    assert_unharmed(&mut shell);
}

#[test]
fn what_was_signed_for_another_match_counts_for_nothing() {
    let mut shell = Shell::playing(spec(2));
    let mut other = Shell::playing(RoomSpec { size: Some(3), ..spec(2) });
    let replayed = other.turn(seat(0), edge(0));
    assert_eq!(refusal(&mut shell, replayed.clone()), Refusal::Chain(TransactionError::WrongMatch));
    other.submit(other.guests[0], replayed);
    other.receipt(other.guests[0]);
    assert_unharmed(&mut shell);
}

#[test]
fn what_was_signed_for_an_earlier_turn_counts_no_more() {
    let mut shell = Shell::playing(spec(2));
    let early = shell.turn(seat(0), Vec::new());
    shell.pass(DEADLINE_MS);
    let wrong_turn = TransactionError::WrongTurn { expected: Turn::new(2), got: Turn::new(1) };
    assert_eq!(refusal(&mut shell, early), Refusal::Chain(wrong_turn));
    shell.play_turn();
    let join = sign(&join_of(shell.chain().genesis(), seat(0)));
    assert_eq!(refusal(&mut shell, join), Refusal::Chain(TransactionError::WrongKind));
}

#[test]
fn only_the_identity_of_a_seat_can_delegate_for_it() {
    let mut shell = Shell::playing(spec(2));
    let match_id = shell.chain().match_id();
    let opening = |shell: &Shell, delegation| Transaction {
        epoch: Epoch::new(1),
        ..shell.draft(seat(0), TransactionBody::Delegate(delegation))
    };
    let of_another_seat = delegation(seat(1), match_id, Epoch::new(1), None);
    let of_another_epoch = delegation(seat(0), match_id, Epoch::new(2), None);
    let of_another_match = delegation(seat(0), MatchId::new(OTHER), Epoch::new(1), None);
    let mut forged = delegation(seat(0), match_id, Epoch::new(1), None);
    forged.signature = Signature::new([1; 64]);
    for bad in [of_another_seat, of_another_epoch, of_another_match, forged] {
        let transaction = sign(&opening(&shell, bad));
        assert_eq!(refusal(&mut shell, transaction), Refusal::Chain(TransactionError::BadDelegation));
    }
    let expired = delegation(seat(0), match_id, Epoch::new(1), Some(Millis::new(NOW.get() - 1)));
    let transaction = sign(&opening(&shell, expired));
    assert_eq!(refusal(&mut shell, transaction), Refusal::Chain(TransactionError::DelegationExpired));

    // One delegation a turn, and after it the old session key is nothing any more.
    let [good, action] = shell.delegate_and_act(seat(0), edge(0));
    let old = shell.turn(seat(0), edge(0));
    shell.submit(shell.guests[0], good.clone());
    shell.forget_told();
    let again = Transaction {
        epoch: Epoch::new(2),
        seq: Seq::new(2),
        prev_tx: good.hash(),
        ..opening(&shell, delegation(seat(0), match_id, Epoch::new(2), None))
    };
    assert_eq!(refusal(&mut shell, sign(&again)), Refusal::Chain(TransactionError::AlreadySubmitted));
    let wrong_epoch = TransactionError::WrongEpoch { expected: Epoch::new(1), got: Epoch::FIRST };
    assert_eq!(refusal(&mut shell, old), Refusal::Chain(wrong_epoch));
    shell.submit(shell.guests[0], action);
    shell.act(seat(1), Vec::new());
    assert_eq!(shell.head().turn, Turn::new(1));
}

#[test]
fn with_alternating_turns_nobody_acts_out_of_turn() {
    let mut shell = Shell::playing(alternating(2));
    for commands in [Vec::new(), edge(0), vec![7; 9]] {
        shell.act(seat(1), commands);
        assert_eq!(shell.refusal(shell.guests[1]), Refusal::Chain(TransactionError::NotToMove));
    }
    shell.act(seat(0), edge(0));
    assert_eq!(shell.head().turn, Turn::new(1));
}

#[test]
fn a_flood_costs_the_room_one_answer_each_and_nobody_else_anything() {
    let mut shell = Shell::playing(spec(3));
    let watcher = shell.watch(5);
    let good = shell.turn(seat(0), edge(0));
    shell.submit(shell.guests[0], good.clone());
    shell.forget_told();
    let commits = shell.store.commits;
    let junk = SignedTransaction { body: vec![1; 4000], signature: Signature::new([0; 64]) };
    let forged = forged(&shell.draft(seat(0), TransactionBody::Turn(edge(1))));
    for _ in 0..200 {
        for transaction in [good.clone(), junk.clone(), forged.clone(), shell.turn(seat(0), edge(1))] {
            shell.submit(shell.guests[0], transaction);
            assert_eq!(shell.told(shell.guests[0]).len(), 1);
        }
        shell.submit(watcher, good.clone());
        assert_eq!(shell.told(watcher).len(), 1);
        shell.ready(shell.guests[0]);
    }
    // What the seat signed twice is kept once.
    assert_eq!((shell.store.commits, shell.store.doubles.len()), (commits + 1, 1));
    for index in [1, 2] {
        assert!(shell.told(shell.guests[index]).is_empty());
    }
    shell.act(seat(1), Vec::new());
    shell.act(seat(2), Vec::new());
    assert_eq!(shell.head().turn, Turn::new(1));
}

#[test]
fn a_flood_in_the_lobby_is_not_multiplied() {
    let mut shell = Shell::joining(spec(3));
    let (join, forged) = (shell.join(seat(0)), forged(&join_of(shell.room.genesis().unwrap(), seat(0))));
    for _ in 0..100 {
        shell.submit(shell.guests[0], join.clone());
        shell.submit(shell.guests[0], forged.clone());
    }
    assert!(shell.told(shell.guests[0]).len() <= 200);
    assert!(shell.told(shell.guests[1]).is_empty());
    for index in [1, 2] {
        shell.submit(shell.guests[usize::from(index)], shell.join(seat(index)));
    }
    assert_eq!(shell.head().height, Height::new(1));
}

#[test]
fn guests_that_nobody_knows_are_not_heard() {
    let mut shell = Shell::playing(spec(2));
    let nobody = GuestId::new(999);
    shell.submit(nobody, shell.turn(seat(0), edge(0)));
    shell.leave(nobody);
    shell.ready(nobody);
    shell.feed(Input::Committed { proofs: Vec::new() });
    assert!(shell.told(nobody).is_empty());
    assert_unharmed(&mut shell);
}

/// What seat 0 is told when it hands in `transaction`: this refusal, and nothing else.
fn refusal(shell: &mut Shell, transaction: SignedTransaction) -> Refusal {
    let guest = shell.guest(Seat::new(0).unwrap());
    shell.told(guest);
    shell.submit(guest, transaction);
    shell.refusal(guest)
}

/// Signed by somebody who has no part in the match.
fn forged(transaction: &Transaction) -> SignedTransaction {
    let stranger: SecretKey = key(77);
    SignedTransaction::sign(&stranger.session(transaction.match_id, transaction.epoch), transaction)
}

/// Nothing was taken up, and both players go on as if nothing had happened.
fn assert_unharmed(shell: &mut Shell) {
    assert_eq!((shell.head().turn, shell.store.commits), (Turn::START, 1));
    assert!(shell.store.accepted.is_empty());
    shell.forget_told();
    shell.play_turn();
    assert_eq!(shell.head().turn, Turn::new(1));
    assert_eq!(shell.blocks(shell.guests[1]).len(), 1);
    assert_eq!(shell.store.replay().0.head(), &shell.head());
}
