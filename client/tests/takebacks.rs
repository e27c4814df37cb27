//! Takebacks as sessions see them: proposing, consenting, declining, and what was taken back.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use cadastre_client::{Event, SubmitError};
use cadastre_protocol::{
    Attempt, BlockKind, ClientMessage, RoomSpec, Seat, TakebackPolicy, Turn, TurnMode, Visibility,
};
use support::{direct::Direct, player, spec, spectator};

#[test]
fn all_go_back_when_all_want_to() {
    let mut direct = after(4);
    let watcher = direct.add(spectator());
    let root = state_root(&direct, 0);
    play(&mut direct, 2);
    direct.act(1);
    propose(&mut direct, 0, 4).unwrap();
    assert_eq!(wanted(&mut direct, 1), [(seat(0), Some(Turn::new(4)))]);
    assert_eq!(wanted(&mut direct, watcher), [(seat(0), Some(Turn::new(4)))]);
    propose(&mut direct, 1, 4).unwrap();
    for client in [0, 1, watcher] {
        let head = head(&direct, client);
        assert_eq!((head.turn, head.attempt, head.state_root), (Turn::new(4), Attempt::new(1), root));
        assert_eq!(state_root(&direct, client), root);
    }
    let events = direct.events(0);
    let taken_back = |event: &Event| matches!(event, Event::Block { kind: BlockKind::Takeback { to_turn }, .. } if to_turn.get() == 4);
    assert!(events.iter().any(taken_back));
    assert!(matches!(events.last(), Some(Event::YourTurn { turn, .. }) if turn.get() == 5), "{events:?}");
    let no_evidence = |event: &Event| !matches!(event, Event::Evidence(_) | Event::Desync(_));
    assert!(direct.events(1).iter().chain(&events).all(no_evidence), "what was void was not left out");
    play(&mut direct, 3);
    assert_eq!(head(&direct, watcher), head(&direct, 0));
    assert_eq!(head(&direct, 0).turn, Turn::new(7));
}

#[test]
fn whoever_wanted_to_go_back_can_still_act() {
    let mut direct = after(3);
    propose(&mut direct, 0, 1).unwrap();
    direct.act(0);
    assert_eq!(direct.clients[0].session.submit(Vec::new()), Err(SubmitError::AlreadySubmitted));
    direct.clients[1].session.decline_takeback().unwrap();
    direct.settle();
    assert_eq!(wanted(&mut direct, 0), [(seat(1), None)]);
    direct.act(1);
    assert_eq!((head(&direct, 0).turn, head(&direct, 0).attempt), (Turn::new(4), Attempt::FIRST));
}

#[test]
fn what_was_said_is_said_again_on_the_next_connection_as_the_same_bytes() {
    let mut direct = after(3);
    direct.clients[0].is_deaf = true;
    direct.clients[0].sent.clear();
    propose(&mut direct, 0, 1).unwrap();
    direct.act(0);
    let said = std::mem::take(&mut direct.clients[0].sent);
    assert_eq!(said.len(), 2);
    direct.disconnect(0);
    direct.connect(0);
    let submitted = |message: &&ClientMessage| matches!(message, ClientMessage::Submit(_));
    assert_eq!(
        direct.clients[0].sent.iter().filter(submitted).collect::<Vec<_>>(),
        said.iter().collect::<Vec<_>>()
    );
    direct.restart();
    direct.connect(1);
    direct.connect(0);
    direct.act(1);
    assert_eq!(head(&direct, 1).turn, Turn::new(4));
}

#[test]
fn whoever_was_away_comes_back_over_a_takeback() {
    let mut direct = after(3);
    direct.clients[0].is_held = true;
    direct.act(1);
    direct.act(0);
    direct.disconnect(0);
    direct.connect(0);
    propose(&mut direct, 0, 2).unwrap();
    direct.disconnect(0);
    propose(&mut direct, 1, 2).unwrap();
    assert_eq!(head(&direct, 1).attempt, Attempt::new(1));
    direct.connect(0);
    assert_eq!(head(&direct, 0), head(&direct, 1));
    play(&mut direct, 1);
    // Somebody who comes later executes both branches.
    let late = direct.add(spectator());
    assert_eq!(head(&direct, late), head(&direct, 0));
}

#[test]
fn a_proposal_that_comes_too_late_keeps_no_commands_from_being_shown() {
    let mut direct = sealed_after(3);
    direct.act(0);
    // It is on its way when the other one commits.
    direct.clients[0].session.propose_takeback(Turn::new(1)).unwrap();
    let proposal = direct.clients[0].session.poll_send().unwrap();
    direct.clients[0].is_held = true;
    direct.act(1);
    direct.send(0, proposal);
    direct.settle();
    direct.release(0);
    assert!(direct.events(0).iter().any(|event| matches!(event, Event::Refused { .. })));
    assert_eq!((head(&direct, 0).turn, head(&direct, 1).turn), (Turn::new(4), Turn::new(4)));
}

#[test]
fn what_cannot_be_proposed_does_not_leave_the_client() {
    let mut direct = after(3);
    assert_eq!(propose(&mut direct, 0, 4), Err(SubmitError::NoTakeback));
    for to_turn in [1, 2, 1, 2] {
        propose(&mut direct, 0, to_turn).unwrap();
    }
    assert_eq!(propose(&mut direct, 0, 1), Err(SubmitError::AlreadySubmitted));
    let mut never = Direct::new([0, 1].map(|index| player(index, &spec(2, TurnMode::Simultaneous))));
    never.act(0);
    never.act(1);
    assert_eq!(propose(&mut never, 0, 0), Err(SubmitError::NoTakeback));
}

fn after(turns: u32) -> Direct {
    played(turns, Visibility::Held)
}

fn sealed_after(turns: u32) -> Direct {
    played(turns, Visibility::Sealed)
}

fn played(turns: u32, visibility: Visibility) -> Direct {
    let takebacks = TakebackPolicy::Unanimous;
    let spec = RoomSpec { takebacks, visibility, size: Some(9), ..spec(2, TurnMode::Simultaneous) };
    let mut direct = Direct::new([player(0, &spec), player(1, &spec)]);
    play(&mut direct, turns);
    for client in [0, 1] {
        direct.events(client);
    }
    direct
}

fn play(direct: &mut Direct, turns: u32) {
    for _ in 0..turns {
        direct.act(0);
        direct.act(1);
    }
}

fn propose(direct: &mut Direct, client: usize, to_turn: u32) -> Result<(), SubmitError> {
    direct.clients[client].session.propose_takeback(Turn::new(to_turn))?;
    direct.settle();
    Ok(())
}

/// What others have wanted since the last look at the events.
fn wanted(direct: &mut Direct, client: usize) -> Vec<(Seat, Option<Turn>)> {
    let wanted = direct.events(client).into_iter().filter_map(|event| {
        let Event::Takeback { seat, to_turn } = event else { return None };
        Some((seat, to_turn))
    });
    wanted.collect()
}

fn seat(index: u8) -> Seat {
    Seat::new(index).unwrap()
}

fn head(direct: &Direct, client: usize) -> cadastre_protocol::Head {
    *direct.clients[client].session.follower().unwrap().chain().head()
}

fn state_root(direct: &Direct, client: usize) -> cadastre_protocol::StateRoot {
    direct.clients[client].session.follower().unwrap().game().state_root()
}
