//! A client whose memory went astray is put right in the same connection, and both sides say what differed.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "only in tests")]

mod support;

use cadastre_client::{Cause, Desync, Event, Fault};
use cadastre_protocol::{
    Attempt, ClientMessage, CompareAnswer, Digest, RoomSpec, Seat, SeatSet, ServerMessage, StateRoot,
    TakebackPolicy, Turn, TurnMode, Visibility,
};
use cadastre_simulations::Subject;
use support::{direct::Direct, player, root_key, spec, spectator};

#[test]
fn a_changed_tile_is_named_by_both_sides_and_healed_within_the_turn() {
    for (game, field) in [(city(2), "height"), (spec(2, TurnMode::Simultaneous), "owner")] {
        let mut direct = Direct::new([player(0, &game), player(1, &game)]);
        turns(&mut direct, 2);
        direct.clients[1].session.inject(fault(3));
        turns(&mut direct, 1);
        let desync = desync_of(&mut direct, 1);
        assert_eq!((desync.cause, desync.healed), (Cause::Memory, true));
        assert!(direct.clients[1].sent.iter().all(|sent| !matches!(sent, ClientMessage::Resume { .. })));
        // Both say the same, with the same values.
        let [(seat, incident)] = &direct.server.incidents[..] else { panic!() };
        assert_eq!(*seat, Seat::new(1));
        assert!(*incident == desync.incident, "{}\n{}", incident.report, desync.incident.report);
        let report = &desync.incident.report;
        let [difference] = &report.differences[..] else { panic!("{report:?}") };
        assert_eq!(report.turn, Turn::new(3));
        assert_eq!((difference.subject, difference.field), (Subject::Tile { x: 2, y: 1 }, field));
        assert_eq!(report.phase, Some(if field == "height" { "growth" } else { "move" }));
        assert_same_head(&direct);

        // The next transaction says what the client had computed; the one after it is clean again.
        turns(&mut direct, 1);
        assert_eq!(desynced(&mut direct, 0), SeatSet::from_iter([Seat::new(1).unwrap()]));
        turns(&mut direct, 1);
        assert_eq!(desynced(&mut direct, 0), SeatSet::EMPTY);
        assert_same_head(&direct);
    }
}

#[test]
fn a_spectator_is_healed_as_well() {
    let game = city(2);
    let mut direct = Direct::new([player(0, &game), player(1, &game), spectator()]);
    direct.clients[2].session.inject(fault(1));
    turns(&mut direct, 1);
    assert!(desync_of(&mut direct, 2).healed);
    assert_eq!(direct.server.incidents.iter().map(|(seat, _)| *seat).collect::<Vec<_>>(), [None]);
    turns(&mut direct, 1);
    assert_eq!(desynced(&mut direct, 0), SeatSet::EMPTY);
    assert_same_head(&direct);
}

#[test]
fn blocks_that_come_meanwhile_wait_and_are_executed_afterwards() {
    let game = city(2);
    let mut direct = Direct::new([player(0, &game), player(1, &game), spectator()]);
    direct.clients[2].session.inject(fault(2));
    direct.clients[2].is_held = true;
    turns(&mut direct, 5);
    let held = std::mem::take(&mut direct.clients[2].held);
    direct.clients[2].is_held = false;
    for message in held {
        direct.clients[2].session.receive(message, root_key().public()).unwrap();
    }
    let before = direct.clients[2].session.follower().unwrap();
    assert!(before.is_diverged() && before.chain().head().turn == Turn::new(1), "nothing else is shown");
    direct.settle();
    let turns: Vec<_> = direct
        .events(2)
        .into_iter()
        .filter_map(|event| match event {
            Event::Block { head, .. } => Some(head.turn.get()),
            Event::Desync(_) => Some(0),
            _ => None,
        })
        .collect();
    assert_eq!(turns[turns.len() - 6..], [1, 0, 2, 3, 4, 5]);
    assert_same_head(&direct);
}

#[test]
fn what_was_relayed_of_a_turn_that_was_taken_back_meanwhile_is_forgotten() {
    let takebacks = TakebackPolicy::Unanimous;
    let game = RoomSpec { visibility: Visibility::Open, takebacks, ..city(2) };
    let mut direct = Direct::new([player(0, &game), player(1, &game), spectator()]);
    direct.clients[2].session.inject(fault(2));
    direct.clients[2].is_held = true;
    turns(&mut direct, 3);
    direct.act(0);
    for client in [0, 1] {
        direct.clients[client].session.propose_takeback(Turn::new(2)).unwrap();
        direct.settle();
    }
    turns(&mut direct, 1);
    direct.act(1);
    direct.release(2);
    let relayed = |event: &Event| matches!(event, Event::Relayed(tx) if tx.attempt == Attempt::new(1));
    assert!(direct.events(2).iter().any(relayed));
    assert_same_head(&direct);
}

#[test]
fn a_turn_that_was_taken_back_and_played_again_meanwhile_is_healed_alone() {
    let game = RoomSpec { takebacks: TakebackPolicy::Unanimous, ..city(2) };
    let mut direct = Direct::new([player(0, &game), player(1, &game), spectator()]);
    turns(&mut direct, 1);
    direct.clients[2].session.inject(fault(2));
    direct.clients[2].is_held = true;
    turns(&mut direct, 1);
    for client in [0, 1] {
        direct.clients[client].session.propose_takeback(Turn::new(1)).unwrap();
        direct.settle();
    }
    turns(&mut direct, 1);
    direct.release(2);
    assert!(desync_of(&mut direct, 2).healed);
    assert!(direct.server.incidents.is_empty(), "the server has another state of that turn by then");
    assert_same_head(&direct);
}

#[test]
fn a_turn_that_the_server_no_longer_holds_is_healed_alone() {
    let game = city(2);
    let mut direct = Direct::new([player(0, &game), player(1, &game)]);
    turns(&mut direct, 12);
    // Somebody comes later, and goes astray on the way.
    let late = direct.add_held(spectator());
    direct.clients[late].session.inject(fault(2));
    direct.release(late);
    let desync = desync_of(&mut direct, late);
    assert_eq!((desync.cause, desync.healed), (Cause::Memory, true));
    let [difference] = &desync.incident.report.differences[..] else { panic!() };
    assert_eq!(difference.subject, Subject::Tile { x: 2, y: 1 });
    assert!(direct.server.incidents.is_empty());
    assert_same_head(&direct);
}

#[test]
fn a_connection_that_is_lost_meanwhile_costs_nothing() {
    let game = city(2);
    let mut direct = Direct::new([player(0, &game), player(1, &game)]);
    direct.clients[1].session.inject(fault(1));
    direct.act(0);
    direct.act_deaf_after(1);
    direct.disconnect(1);
    assert!(desync_of(&mut direct, 1).healed);
    direct.connect(1);
    turns(&mut direct, 2);
    assert_same_head(&direct);
}

#[test]
fn a_receipt_of_a_signer_that_is_not_known_yet_waits_for_the_state() {
    let game = city(2);
    let mut direct = Direct::new([player(0, &game), player(1, &game)]);
    turns(&mut direct, 1);
    direct.clients[1].session.inject(fault(2));
    direct.clients[1].is_held = true;
    turns(&mut direct, 1);
    direct.server.store.rotations += 1;
    direct.restart();
    direct.connect(0);
    let other = direct.add_process(1);
    direct.act(other);
    // It goes astray before the KeyChange, and is told what its other process was promised after it.
    direct.connect(1);
    let events = direct.events(1);
    let healed = events.iter().position(|event| matches!(event, Event::Desync(desync) if desync.healed));
    let promised = events.iter().rposition(|event| matches!(event, Event::Receipt(_)));
    assert!(healed.is_some() && healed < promised, "{events:?}");
    assert_same_head(&direct);
}

#[test]
fn nobody_is_answered_twice_or_told_what_is_not_on_disk() {
    let game = city(2);
    let mut direct = Direct::new([player(0, &game), player(1, &game)]);
    turns(&mut direct, 1);
    let root = StateRoot::new(Digest::new([9; 32]));
    let begin = |turn| {
        ClientMessage::Compare(cadastre_protocol::CompareRequest::Begin {
            turn: Turn::new(turn),
            attempt: Attempt::FIRST,
            phases: vec![root],
        })
    };
    direct.withholds = true;
    direct.clients[1].is_held = true;
    direct.act(0);
    direct.act(1);
    for turn in [2, 1, 1, 0] {
        direct.send(1, begin(turn));
        direct.settle();
    }
    let answers: Vec<_> = direct.clients[1]
        .held
        .iter()
        .map(|message| match message {
            ServerMessage::Compared(CompareAnswer::Phases { roots }) => roots.len(),
            ServerMessage::Compared(CompareAnswer::Unknown) => 0,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(answers, [0, 7, 0, 0]);
    assert!(direct.server.incidents.is_empty());
}

fn city(seats: u8) -> RoomSpec {
    RoomSpec { rules: "city".into(), size: Some(64), ..spec(seats, TurnMode::Simultaneous) }
}

const fn fault(turn: u32) -> Fault {
    Fault { turn: Turn::new(turn), x: 2, y: 1 }
}

/// The two players do what the bot would do.
fn turns(direct: &mut Direct, turns: u32) {
    for _ in 0..turns {
        direct.act(0);
        direct.act(1);
    }
}

fn desync_of(direct: &mut Direct, client: usize) -> Desync {
    let mut desyncs = direct.events(client).into_iter().filter_map(|event| match event {
        Event::Desync(desync) => Some(*desync),
        _ => None,
    });
    let desync = desyncs.next().expect("the client went astray");
    assert_eq!(desyncs.next(), None);
    desync
}

/// Who was desynced in the newest block that a client saw.
fn desynced(direct: &mut Direct, client: usize) -> SeatSet {
    let events = direct.events(client).into_iter().rev();
    let mut blocks = events.filter_map(|event| match event {
        Event::Block { desynced, .. } => Some(desynced),
        _ => None,
    });
    blocks.next().expect("a block came")
}

fn assert_same_head(direct: &Direct) {
    let stored = direct.server.store.height();
    for client in &direct.clients {
        let follower = client.session.follower().unwrap();
        assert_eq!(follower.chain().head().height, stored);
        assert_eq!(follower.game().state_root(), follower.chain().head().state_root);
        assert_eq!(follower.chain().head(), direct.clients[0].session.follower().unwrap().chain().head());
    }
}
