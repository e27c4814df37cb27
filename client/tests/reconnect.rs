//! A session over lost connections and restarted servers: what was signed is handed in again by itself, and who
//! is waited for hears of it.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use cadastre_client::{Event, SubmitError};
use cadastre_protocol::{
    BlockKind, ClientMessage, EnterAs, Height, Refusal, SealReason, ServerMessage, TransactionError, Turn,
    TurnMode,
};
use support::{DEADLINE_MS, SERIAL, direct::Direct, player, spec, spectator};

#[test]
fn what_never_arrived_is_handed_in_again_as_the_same_bytes() {
    let mut direct = playing(TurnMode::Simultaneous);
    direct.clients[0].is_deaf = true;
    direct.act(0);
    let first = direct.clients[0].sent.pop().unwrap();
    direct.disconnect(0);
    direct.events(0);
    direct.connect(0);
    assert_eq!(direct.clients[0].sent.last(), Some(&first));
    let events = direct.events(0);
    assert!(matches!(events.last(), Some(Event::Receipt(_))), "{events:?}");
    assert!(!is_asked(&events), "the turn has what it waits for");
    direct.act(1);
    assert_eq!(turn_of(&direct, 0), Turn::new(1));
}

#[test]
fn what_had_arrived_is_not_asked_for_again() {
    let mut direct = playing(TurnMode::Simultaneous);
    direct.clients[0].is_held = true;
    direct.act(0);
    direct.disconnect(0);
    direct.connect(0);
    let events = direct.events(0);
    assert!(events.iter().any(|event| matches!(event, Event::Receipt(_))) && !is_asked(&events));
    assert_eq!(direct.clients[0].session.submit(Vec::new()), Err(SubmitError::AlreadySubmitted));
}

#[test]
fn what_stands_in_a_block_is_not_handed_in_again() {
    let mut direct = playing(TurnMode::Simultaneous);
    direct.clients[0].is_held = true;
    direct.act(0);
    direct.act(1);
    direct.disconnect(0);
    direct.clients[0].sent.clear();
    direct.connect(0);
    assert!(matches!(direct.clients[0].sent[..], [ClientMessage::Resume { .. }]));
    let events = direct.events(0);
    assert!(matches!(
        events[events.len() - 3..],
        [Event::Block { .. }, Event::CaughtUp, Event::YourTurn { .. }]
    ));
}

#[test]
fn whoever_is_waited_for_is_asked_on_every_connection() {
    let mut direct = playing(TurnMode::Simultaneous);
    for _ in 0..3 {
        direct.disconnect(0);
        assert_eq!(direct.clients[0].session.submit(Vec::new()), Err(SubmitError::NotPlaying));
        direct.events(0);
        direct.connect(0);
        assert_eq!(direct.events(0).iter().filter(|event| is_question(event)).count(), 1);
    }
}

#[test]
fn a_receipt_of_the_signer_before_counts_in_the_turn_that_it_was_given_for() {
    let mut direct = playing(TurnMode::Simultaneous);
    direct.act(0);
    direct.events(0);
    direct.server.store.rotations += 1;
    direct.restart();
    direct.connect(0);
    let events = direct.events(0);
    let position = |is_it: fn(&Event) -> bool| events.iter().position(is_it);
    let change = position(|event| matches!(event, Event::Block { kind: BlockKind::KeyChange { .. }, .. }));
    let receipt = position(|event| matches!(event, Event::Receipt(_)));
    assert!(change.is_some() && change < receipt, "{events:?}");

    // Once the turn is over, nothing new can be the old signer's.
    let signer = |direct: &Direct, serial| {
        direct.clients[0].session.follower().unwrap().receipt_signer(serial).is_some()
    };
    assert!(signer(&direct, SERIAL) && signer(&direct, SERIAL + 1));
    direct.connect(1);
    direct.act(1);
    assert_eq!(turn_of(&direct, 0), Turn::new(1));
    assert!(!signer(&direct, SERIAL) && signer(&direct, SERIAL + 1));
}

#[test]
fn a_restarted_server_asks_again_and_gives_more_time() {
    let mut direct = playing(TurnMode::Simultaneous);
    direct.act(1);
    direct.now = direct.now.after(100 * DEADLINE_MS);
    direct.restart();
    direct.connect(0);
    let events = direct.events(0);
    let [.., Event::YourTurn { turn, deadline }] = &events[..] else { panic!("{events:?}") };
    assert_eq!((*turn, *deadline), (Turn::new(1), direct.now.after(DEADLINE_MS)));
    assert!(events.iter().any(|event| matches!(event, Event::Block { kind: BlockKind::Reopen { .. }, .. })));
    direct.events(1);
    direct.connect(1);
    assert!(!is_asked(&direct.events(1)));
    direct.act(0);
    assert_eq!(turn_of(&direct, 1), Turn::new(1));
}

#[test]
fn a_refusal_takes_nothing_from_the_turns_after_it() {
    let mut direct = playing(TurnMode::Simultaneous);
    // What seat 0 signs for the first turn is on the way while that turn is closed without it.
    direct.clients[0].is_deaf = true;
    direct.act(0);
    let Some(ClientMessage::Submit(late)) = direct.clients[0].sent.pop() else { panic!() };
    direct.pass_deadline();
    assert!(is_asked(&direct.events(0)));
    direct.act(0);
    let signed = direct.clients[0].sent.pop().unwrap();
    direct.clients[0].is_deaf = false;
    direct.send(0, ClientMessage::Submit(late.clone()));
    direct.settle();
    let events = direct.events(0);
    let wrong_turn = TransactionError::WrongTurn { expected: Turn::new(2), got: Turn::new(1) };
    let refusal = Refusal::Chain(wrong_turn);
    assert_eq!(events, [Event::Refused { transaction: late.hash(), refusal }]);
    // What was signed for the second turn, and did not arrive either, is not forgotten over this.
    assert_eq!(direct.clients[0].session.submit(Vec::new()), Err(SubmitError::AlreadySubmitted));
    direct.disconnect(0);
    direct.connect(0);
    assert_eq!(direct.clients[0].sent.last(), Some(&signed));
    direct.act(1);
    assert_eq!(turn_of(&direct, 0), Turn::new(2));
}

#[test]
fn a_match_that_did_not_begin_is_forgotten() {
    let spec = spec(2, TurnMode::Simultaneous);
    let mut direct = Direct::new([player(0, &spec)]);
    direct.clients[0].is_deaf = true;
    direct.add(player(1, &spec));
    let first = direct.clients[1].session.follower().unwrap().chain().match_id();
    // Its Join was lost, and so is the connection.
    direct.disconnect(0);
    assert!(direct.clients[1].session.follower().is_none(), "back in the lobby");
    direct.now = direct.now.after(1);
    direct.connect(0);
    for client in [0, 1] {
        let chain = direct.clients[client].session.follower().unwrap().chain();
        assert_ne!(chain.match_id(), first);
        assert_eq!(chain.head().height, Height::new(1));
    }
}

#[test]
fn a_server_that_lost_its_lobby_is_given_a_new_one() {
    let spec = spec(2, TurnMode::Simultaneous);
    let mut direct = Direct::new([player(0, &spec)]);
    direct.restart();
    direct.connect(0);
    direct.add(player(1, &spec));
    assert!(is_asked(&direct.events(0)));
}

#[test]
fn a_match_ends_once() {
    let mut direct = playing(TurnMode::Alternating);
    while direct.clients[0].session.follower().unwrap().result().is_none() {
        let session = &direct.clients[0].session;
        let mover = session.follower().unwrap().chain().required().iter().next().unwrap();
        direct.act(mover.index());
    }
    for client in [0, 1] {
        let mut ends = direct.events(client).into_iter().filter(|event| matches!(event, Event::Ended { .. }));
        assert!(matches!(ends.next(), Some(Event::Ended { reason: SealReason::Rules, .. })));
        assert_eq!(ends.next(), None);
    }
    direct.disconnect(0);
    direct.events(0);
    direct.connect(0);
    let events = direct.events(0);
    assert!(matches!(events[..], [Event::Connected { .. }, Event::CaughtUp]), "{events:?}");
    assert_eq!(direct.clients[0].session.submit(Vec::new()), Err(SubmitError::NotPlaying));
    assert_eq!(direct.clients[0].session.resign(), Err(SubmitError::NotPlaying));
}

#[test]
fn only_the_seat_to_move_is_asked_and_may_submit() {
    let mut direct = playing(TurnMode::Alternating);
    assert!(!is_asked(&direct.events(1)));
    assert_eq!(direct.clients[1].session.submit(Vec::new()), Err(SubmitError::NotPlaying));
    direct.act(0);
    assert!(is_asked(&direct.events(1)));
    assert_eq!(direct.clients[0].session.submit(Vec::new()), Err(SubmitError::NotPlaying));
    // Giving up is possible at any time, and stands in the block that closes the turn.
    direct.clients[0].session.resign().unwrap();
    direct.settle();
    assert_eq!(direct.clients[0].session.resign(), Err(SubmitError::AlreadySubmitted));
    direct.act(1);
    let (reason, standings) = direct.clients[1].session.follower().unwrap().result().unwrap();
    assert_eq!((reason, standings[1].place), (SealReason::Resigned, 1));
}

#[test]
fn illegal_commands_do_not_leave_the_client() {
    let mut direct = playing(TurnMode::Simultaneous);
    let refused = direct.clients[0].session.submit(vec![99, 0]);
    assert!(matches!(refused, Err(SubmitError::Illegal(_))), "{refused:?}");
    direct.settle();
    assert!(direct.clients[0].sent.is_empty());
    direct.act(0);
}

#[test]
fn a_spectator_follows_and_is_never_asked() {
    let mut direct = playing(TurnMode::Simultaneous);
    let watcher = direct.add(spectator());
    direct.act(0);
    direct.act(1);
    direct.disconnect(watcher);
    direct.act(0);
    direct.act(1);
    direct.connect(watcher);
    let resumed = |message: &ClientMessage| matches!(message, ClientMessage::Resume { enter_as: EnterAs::Spectator, height, .. } if height.get() == 2);
    assert!(direct.clients[watcher].sent.iter().any(resumed));
    let events = direct.events(watcher);
    let receipt = |event: &Event| matches!(event, Event::Receipt(_));
    assert!(!is_asked(&events) && !events.iter().any(receipt));
    let heads = [0, watcher].map(|client| *direct.clients[client].session.follower().unwrap().chain().head());
    assert_eq!(heads[0], heads[1]);
    assert_eq!(direct.clients[watcher].session.submit(Vec::new()), Err(SubmitError::NotPlaying));
}

#[test]
fn messages_that_answer_nothing_change_nothing() {
    let mut direct = playing(TurnMode::Simultaneous);
    assert_eq!(direct.deliver(0, ServerMessage::Pong(3)), Ok(()));
    assert_eq!(direct.events(0), []);
    direct.act(0);
    direct.act(1);
    assert_eq!(turn_of(&direct, 0), Turn::new(1));
}

fn playing(mode: TurnMode) -> Direct {
    let spec = spec(2, mode);
    let mut direct = Direct::new([player(0, &spec), player(1, &spec)]);
    direct.clients.iter_mut().for_each(|client| client.sent.clear());
    assert!(is_asked(&direct.events(0)));
    direct
}

fn is_question(event: &Event) -> bool {
    matches!(event, Event::YourTurn { .. })
}

fn is_asked(events: &[Event]) -> bool {
    events.iter().any(is_question)
}

fn turn_of(direct: &Direct, client: usize) -> Turn {
    direct.clients[client].session.follower().unwrap().chain().head().turn
}
