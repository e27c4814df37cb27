//! Processes of one identity: whichever comes last goes on, under a delegation of its own.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use cadastre_client::Event;
use cadastre_protocol::{
    ClientMessage, Epoch, GoodbyeReason, Height, Refusal, Seat, ServerMessage, TransactionBody,
    TransactionError, TurnMode, TxHash,
};
use support::{direct::Direct, player, spec};

#[test]
fn a_new_process_opens_the_next_epoch_and_goes_on() {
    let mut direct = playing();
    let new = direct.add_process(0);
    assert_eq!(direct.clients[new].session.seat(), Seat::new(0));
    assert!(direct.events(new).iter().any(|event| matches!(event, Event::YourTurn { .. })));
    direct.act(new);
    direct.act(1);
    assert_eq!(entries_of(&direct, 2), [(Epoch::new(1), DELEGATE), (Epoch::new(1), TURN)]);
    direct.act(new);
    direct.act(1);
    assert_eq!(entries_of(&direct, 3), [(Epoch::new(1), TURN)], "one delegation is enough");
}

#[test]
fn the_old_process_is_told_that_it_was_replaced() {
    let mut direct = playing();
    direct.events(0);
    direct.add_process(0);
    let reasons = direct.events(0);
    assert!(matches!(reasons[0], Event::Goodbye { reason: GoodbyeReason::Replaced, .. }), "{reasons:?}");
}

#[test]
fn what_the_old_process_did_in_this_turn_stands() {
    let mut direct = playing();
    direct.act(0);
    let new = direct.add_process(0);
    direct.events(new);
    // It cannot know, tries, and is refused: the turn has what it waited for.
    direct.act(new);
    let refused: Vec<_> = refusals(&mut direct, new);
    assert_eq!(refused, [TransactionError::AlreadySubmitted, TransactionError::AlreadySubmitted]);
    direct.act(1);
    assert_eq!(entries_of(&direct, 2), [(Epoch::FIRST, TURN)]);
    // The next turn is its own.
    direct.act(new);
    direct.act(1);
    assert_eq!(entries_of(&direct, 3), [(Epoch::new(1), DELEGATE), (Epoch::new(1), TURN)]);
    direct.act(new);
    direct.act(1);
    assert_eq!(entries_of(&direct, 4), [(Epoch::new(1), TURN)]);
}

#[test]
fn a_delegation_that_the_old_process_left_without_commands_costs_the_turn() {
    let mut direct = playing();
    let second = direct.add_process(0);
    // Of what the second process sends only the delegation arrives.
    direct.clients[second].session.submit(Vec::new()).unwrap();
    let opening = direct.clients[second].session.poll_send().unwrap();
    while direct.clients[second].session.poll_send().is_some() {}
    direct.send(second, opening);
    direct.settle();
    // What else the second one signed under its key, the third one cannot know. It has a key of its own.
    let third = direct.add_process(0);
    direct.act(third);
    assert_eq!(
        refusals(&mut direct, third),
        [TransactionError::AlreadySubmitted, TransactionError::WrongLink]
    );
    direct.act(1);
    direct.pass_deadline();
    assert_eq!(entries_of(&direct, 2), [(Epoch::new(1), DELEGATE)]);
    direct.act(third);
    direct.act(1);
    assert_eq!(entries_of(&direct, 3), [(Epoch::new(2), DELEGATE), (Epoch::new(2), TURN)]);
}

#[test]
fn a_process_that_was_refused_signs_nothing_else_for_the_turn() {
    let mut direct = playing();
    // The old process acts, and the server dies before that is on disk.
    direct.withholds = true;
    direct.act(0);
    let new = direct.add_process(0);
    direct.act(new);
    assert_eq!(refusals(&mut direct, new).len(), 2);
    let signed = submitted(&direct, new);
    direct.restart();
    direct.connect(1);
    direct.connect(new);
    // What was refused is possible now; it is the same bytes.
    assert_eq!(refusals(&mut direct, new), []);
    assert_eq!(submitted(&direct, new), [signed.clone(), signed].concat());
    direct.act(1);
    assert_eq!(entries_of(&direct, 3), [(Epoch::new(1), DELEGATE), (Epoch::new(1), TURN)]);
}

#[test]
fn an_old_process_that_comes_back_opens_an_epoch_of_its_own() {
    let mut direct = playing();
    let new = direct.add_process(0);
    direct.act(new);
    direct.act(1);
    direct.disconnect(new);
    direct.connect(0);
    direct.act(0);
    direct.act(1);
    assert_eq!(entries_of(&direct, 3), [(Epoch::new(2), DELEGATE), (Epoch::new(2), TURN)]);
}

#[test]
fn a_delegation_of_the_same_number_by_another_process_is_not_taken_for_the_own() {
    let mut direct = playing();
    let second = direct.add_process(0);
    // The second process opens epoch 1, but nothing of it arrives.
    direct.clients[second].is_deaf = true;
    direct.act(second);
    direct.disconnect(second);
    // A third one does the same, and for it everything goes well.
    let third = direct.add_process(0);
    direct.pass_deadline();
    direct.act(third);
    direct.act(1);
    assert_eq!(entries_of(&direct, 3), [(Epoch::new(1), DELEGATE), (Epoch::new(1), TURN)]);
    direct.disconnect(third);
    direct.connect(second);
    direct.act(second);
    direct.act(1);
    assert_eq!(entries_of(&direct, 4), [(Epoch::new(2), DELEGATE), (Epoch::new(2), TURN)]);
}

#[test]
fn a_process_that_lost_the_connection_before_the_start_goes_on_under_its_own_key() {
    let mut direct = Direct::new([player(0, &spec(2, TurnMode::Simultaneous))]);
    // It joins, and does not hear that the match begins.
    direct.clients[0].is_held = true;
    direct.add(player(1, &spec(2, TurnMode::Simultaneous)));
    for message in std::mem::take(&mut direct.clients[0].held) {
        if matches!(message, ServerMessage::Lobby(_) | ServerMessage::Genesis { .. }) {
            direct.deliver(0, message).unwrap();
        }
    }
    direct.settle();
    direct.disconnect(0);
    direct.connect(0);
    direct.act(0);
    direct.act(1);
    assert_eq!(entries_of(&direct, 2), [(Epoch::FIRST, TURN)]);
}

const DELEGATE: &str = "delegate";
const TURN: &str = "turn";

/// Two players in their first turn.
fn playing() -> Direct {
    let spec = spec(2, TurnMode::Simultaneous);
    let mut direct = Direct::new([player(0, &spec), player(1, &spec)]);
    for client in [0, 1] {
        assert!(matches!(direct.events(client).last(), Some(Event::YourTurn { .. })));
    }
    direct
}

/// Epochs and kinds of what seat 0 has in a block.
fn entries_of(direct: &Direct, height: u64) -> Vec<(Epoch, &'static str)> {
    let block = direct.server.store.block(Height::new(height)).unwrap().clone().read().unwrap();
    let entries = block.block().entries().iter().map(|entry| entry.transaction.get());
    entries
        .filter(|tx| tx.seat.get() == 0)
        .map(|tx| {
            let delegates = matches!(tx.body, TransactionBody::Delegate(_));
            (tx.epoch, if delegates { DELEGATE } else { TURN })
        })
        .collect()
}

fn refusals(direct: &mut Direct, client: usize) -> Vec<TransactionError> {
    let mut refusals = Vec::new();
    for event in direct.events(client) {
        if let Event::Refused { refusal: Refusal::Chain(error), .. } = event {
            refusals.push(error);
        }
    }
    refusals
}

/// Names of what a client has handed in, in order.
fn submitted(direct: &Direct, client: usize) -> Vec<TxHash> {
    let mut submitted = Vec::new();
    for message in &direct.clients[client].sent {
        if let ClientMessage::Submit(transaction) = message {
            submitted.push(transaction.hash());
        }
    }
    submitted
}
