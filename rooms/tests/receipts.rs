//! Receipts: told only when they cannot be taken back, and the same however often one asks.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use cadastre_protocol::{Attempt, Height, Refusal, ServerMessage, TransactionBody, TransactionError, Turn};
use cadastre_rooms::Input;
use support::{NOW, Shell, Told, edge, kind, receipt_of, seat, sign, spec};

#[test]
fn a_receipt_says_what_was_accepted_and_when() {
    let mut shell = Shell::playing(spec(2));
    shell.pass(17);
    let transaction = shell.turn(seat(0), edge(0));
    shell.submit(shell.guests[0], transaction.clone());
    assert!(shell.told(shell.guests[1]).is_empty(), "it concerns nobody else");
    let receipt = receipt_of(&shell.receipt(shell.guests[0]));
    assert_eq!(receipt.match_id, shell.chain().match_id());
    assert_eq!((receipt.seat, receipt.seq.get()), (seat(0), 1));
    assert_eq!((receipt.turn, receipt.attempt), (Turn::new(1), Attempt::FIRST));
    assert_eq!((receipt.transaction, receipt.received), (transaction.hash(), NOW.after(17)));
}

#[test]
fn nothing_is_told_before_it_is_on_disk() {
    let mut shell = Shell::joining(spec(2));
    shell.withhold();
    for index in [0, 1] {
        shell.submit(shell.guests[usize::from(index)], shell.join(seat(index)));
    }
    shell.act(seat(0), edge(0));
    shell.act(seat(1), Vec::new());
    shell.act(seat(1), edge(1));
    shell.act(seat(0), Vec::new());
    shell.pass(3 * support::DEADLINE_MS);
    assert_eq!((shell.head().turn, shell.store.commits), (Turn::new(5), 8));
    for guest in shell.guests.clone() {
        assert_eq!(shell.told(guest), [], "neither receipt nor block");
    }

    // What is confirmed is told, one commit after the other, and no more than that.
    let told_next = |shell: &mut Shell| {
        shell.confirm_one();
        [shell.messages(shell.guests[0]), shell.messages(shell.guests[1])]
    };
    let block = |message: &ServerMessage| {
        let ServerMessage::Block(block) = message else { panic!("{message:?}") };
        support::read(block.clone()).header().height
    };
    let [start, same] = told_next(&mut shell);
    assert_eq!((start.len(), block(&start[0]), &start), (1, Height::new(1), &same));
    let [receipt, nothing] = told_next(&mut shell);
    assert!(matches!(receipt[..], [ServerMessage::Receipt(_)]) && nothing.is_empty());
    let [turn, same] = told_next(&mut shell);
    assert_eq!((turn.len(), block(&turn[0]), &turn), (1, Height::new(2), &same));
    let [nothing, receipt] = told_next(&mut shell);
    assert!(matches!(receipt[..], [ServerMessage::Receipt(_)]) && nothing.is_empty());
    for height in 3..=6 {
        let [turn, _] = told_next(&mut shell);
        assert_eq!((turn.len(), block(&turn[0])), (1, Height::new(height)));
    }
}

#[test]
fn the_same_transaction_again_has_the_same_receipt() {
    let mut shell = Shell::playing(spec(2));
    let transaction = shell.turn(seat(0), edge(0));
    shell.withhold();
    shell.submit(shell.guests[0], transaction.clone());
    shell.pass(5);
    shell.submit(shell.guests[0], transaction.clone());
    assert!(shell.told(shell.guests[0]).is_empty(), "the receipt is under way");
    shell.confirm();
    let receipt = shell.receipt(shell.guests[0]);
    assert_eq!(receipt_of(&receipt).received, NOW);
    for _ in 0..3 {
        shell.pass(5);
        shell.submit(shell.guests[0], transaction.clone());
        assert_eq!(shell.receipt(shell.guests[0]), receipt);
    }
    assert_eq!(shell.store.commits, 2, "Start and acceptance");
}

#[test]
fn another_transaction_for_the_same_turn_is_refused_and_the_first_stands() {
    let mut shell = Shell::playing(spec(2));
    let first = shell.turn(seat(0), edge(0));
    shell.submit(shell.guests[0], first.clone());
    shell.forget_told();
    let resign = sign(&shell.draft(seat(0), TransactionBody::Resign));
    for second in [shell.turn(seat(0), edge(1)), resign] {
        shell.submit(shell.guests[0], second);
        let refusal = Refusal::Chain(TransactionError::AlreadySubmitted);
        assert_eq!(shell.refusal(shell.guests[0]), refusal);
    }
    // What was signed twice is kept.
    let (of, kept) = &shell.store.doubles[0];
    assert_eq!((*of, kept.len(), kept[0].hash()), (seat(0), 2, first.hash()));
    shell.act(seat(1), Vec::new());
    let block = &shell.blocks(shell.guests[0])[0];
    assert!(block.entries().iter().any(|entry| entry.transaction.hash() == first.hash()));
}

#[test]
fn the_last_transaction_of_a_turn_is_answered_by_its_block() {
    let mut shell = Shell::playing(spec(2));
    shell.act(seat(0), edge(0));
    let last = shell.turn(seat(1), Vec::new());
    shell.withhold();
    shell.submit(shell.guests[1], last.clone());
    // Sent again while the block is under way, and after it was told: it has not been refused, so nobody
    // says so.
    shell.submit(shell.guests[1], last.clone());
    assert!(shell.told(shell.guests[1]).is_empty());
    shell.confirm();
    assert_eq!(shell.blocks(shell.guests[1]).len(), 1);
    shell.submit(shell.guests[1], last);
    assert!(shell.told(shell.guests[1]).is_empty());
    assert_eq!(shell.head().height, Height::new(2));
}

#[test]
fn a_receipt_goes_to_the_connection_that_the_seat_has_now() {
    let mut shell = Shell::playing(spec(2));
    let old = shell.guests[0];
    shell.withhold();
    shell.act(seat(0), edge(0));
    let new = shell.enter(0);
    assert_eq!(shell.told(old).len(), 1, "dismissed");
    shell.forget_told();
    shell.confirm();
    assert!(matches!(shell.messages(new)[..], [ServerMessage::Receipt(_)]));
    // And to whoever comes later.
    shell.leave(new);
    let newest = shell.enter(0);
    assert!(matches!(shell.told(newest).last(), Some(Told::Message(ServerMessage::Receipt(_)))));
    assert_eq!(shell.told(old), []);
}

#[test]
fn a_receipt_that_comes_after_its_turn_was_closed_is_told_and_forgotten() {
    let mut shell = Shell::playing(spec(2));
    shell.withhold();
    shell.act(seat(0), edge(0));
    shell.act(seat(1), Vec::new());
    shell.confirm();
    let messages = shell.messages(shell.guests[0]);
    let [ServerMessage::Receipt(_), ServerMessage::Block(block)] = &messages[..] else {
        panic!("{messages:?}")
    };
    assert_eq!(kind(&support::read(block.clone())), &cadastre_protocol::BlockKind::Turn);
    // A receipt of a closed turn is no news for whoever comes later.
    shell.guests[0] = shell.enter(0);
    let told = shell.messages(shell.guests[0]);
    assert!(!told.iter().any(|message| matches!(message, ServerMessage::Receipt(_))), "{told:?}");
}

#[test]
fn a_delegation_and_the_commands_under_it_have_a_receipt_each() {
    let mut shell = Shell::playing(spec(2));
    let both = shell.delegate_and_act(seat(0), edge(0));
    for transaction in both.clone() {
        shell.submit(shell.guests[0], transaction.clone());
        assert_eq!(receipt_of(&shell.receipt(shell.guests[0])).transaction, transaction.hash());
    }
    shell.feed(Input::Timeout);
    shell.act(seat(1), Vec::new());
    let block = &shell.blocks(shell.guests[1]).pop().unwrap();
    let of_seat_0 = block.entries().iter().filter(|entry| entry.transaction.get().seat == seat(0));
    let hashes: Vec<_> = of_seat_0.map(|entry| entry.transaction.hash()).collect();
    assert_eq!(hashes, both.map(|transaction| transaction.hash()));
}
