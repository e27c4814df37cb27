//! How a match ends.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use cadastre_protocol::{
    Height, Refusal, RoomSpec, SealReason, ServerMessage, Standing, TransactionBody, TransactionError, Turn,
};
use cadastre_rooms::{Event, Input};
use support::{DEADLINE_MS, Shell, alternating, edge, seal_reason, seat, sign, spec};

#[test]
fn by_the_rules_of_the_game() {
    for spec in [spec(2), alternating(3)] {
        let mut shell = Shell::playing(spec);
        while shell.chain().sealed().is_none() {
            shell.play_turn();
        }
        assert_eq!(shell.chain().sealed(), Some(SealReason::Rules));
        let score: i64 = shell.chain().standings().iter().map(|standing| standing.score).sum();
        assert_eq!(score, 4, "all boxes have an owner");
        assert_ended(&mut shell, SealReason::Rules);
    }
}

#[test]
fn by_the_turn_limit() {
    let mut shell = Shell::playing(RoomSpec { turns_max: Some(3), ..spec(2) });
    shell.pass(2 * DEADLINE_MS);
    shell.play_turn();
    assert_eq!(shell.head().turn, Turn::new(3));
    assert_ended(&mut shell, SealReason::TurnLimit);
}

#[test]
fn by_resignation_of_all_but_one() {
    let mut shell = Shell::playing(spec(3));
    let resign = |shell: &mut Shell, index| {
        shell.submit(shell.guest(seat(index)), sign(&shell.draft(seat(index), TransactionBody::Resign)));
    };
    resign(&mut shell, 0);
    shell.act(seat(1), Vec::new());
    shell.act(seat(2), Vec::new());
    assert_eq!(shell.chain().sealed(), None, "two are left");
    shell.forget_told();
    shell.act(seat(0), Vec::new());
    assert_eq!(shell.refusal(shell.guests[0]), Refusal::Chain(TransactionError::Resigned));
    resign(&mut shell, 2);
    shell.act(seat(1), edge(0));
    let standings = shell.chain().standings();
    let places: Vec<_> = standings.iter().map(|Standing { place, .. }| *place).collect();
    assert_eq!(places, [2, 1, 2], "those who gave up stand behind");
    assert_ended(&mut shell, SealReason::Resigned);
}

#[test]
fn because_nobody_acts_for_a_hundred_turns() {
    let mut shell = Shell::playing(spec(2));
    shell.pass(99 * DEADLINE_MS);
    assert_eq!(shell.chain().sealed(), None);
    shell.act(seat(0), Vec::new());
    shell.pass(100 * DEADLINE_MS);
    assert_eq!(shell.chain().sealed(), None, "the count began again");
    shell.pass(DEADLINE_MS);
    assert_eq!(shell.head().turn, Turn::new(200));
    assert_ended(&mut shell, SealReason::Abandoned);
}

#[test]
fn because_the_operator_wants_it() {
    let mut shell = Shell::playing(spec(2));
    shell.act(seat(0), edge(0));
    shell.forget_told();
    shell.withhold();
    shell.feed(Input::End);
    assert!(!shell.room.is_over(), "the Seal is not on disk");
    shell.feed(Input::End);
    assert!(shell.told(shell.guests[0]).is_empty());
    shell.confirm();
    assert_eq!(seal_reason(&shell.blocks(shell.guests[0])[0]), Some(SealReason::Operator));
    assert_eq!(shell.head().height, Height::new(2));
    assert_ended(&mut shell, SealReason::Operator);
}

#[test]
fn the_last_turn_and_its_seal_are_told_together_or_not_at_all() {
    let mut shell = Shell::playing(RoomSpec { turns_max: Some(1), ..spec(2) });
    shell.act(seat(0), edge(0));
    shell.forget_told();
    shell.withhold();
    shell.act(seat(1), Vec::new());
    assert_eq!(shell.store.waiting.len(), 1, "one commit");
    assert!(!shell.room.is_over());
    shell.confirm();
    assert_eq!(shell.blocks(shell.guests[0]).len(), 2);
    assert_ended(&mut shell, SealReason::TurnLimit);
}

/// The room is over, once and for all.
fn assert_ended(shell: &mut Shell, reason: SealReason) {
    assert!(shell.room.is_over());
    assert_eq!(shell.chain().sealed(), Some(reason));
    assert_eq!(shell.store.replay().0.head(), &shell.head());
    let ended = |event: &&Event| matches!(event, Event::Ended { .. });
    assert_eq!(shell.events.iter().filter(ended).collect::<Vec<_>>(), [&Event::Ended { reason }]);

    let (head, commits) = (shell.head(), shell.store.commits);
    assert_eq!(head.deadline, None);
    shell.forget_told();
    shell.feed(Input::Timeout);
    shell.feed(Input::End);
    shell.pass(100 * DEADLINE_MS);
    let guest = shell.guests[0];
    shell.submit(guest, shell.turn(seat(0), Vec::new()));
    let [ServerMessage::Refused { refusal, .. }] = &shell.messages(guest)[..] else { panic!() };
    assert_eq!(*refusal, Refusal::Chain(TransactionError::MatchOver));
    // Nothing but evidence is kept any more, where the seat had acted in the turn that was open.
    let commits = commits + shell.store.doubles.len();
    assert_eq!((shell.head(), shell.store.commits), (head, commits));
    shell.crash();
    assert!(shell.room.is_over());
    assert_eq!((shell.head(), shell.store.commits), (head, commits));
}
