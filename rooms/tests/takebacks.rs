//! Takebacks in a room: proposed, consented to, declined, expired, and over a crash.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use cadastre_protocol::{
    Attempt, BlockKind, RandomnessMode, Refusal, RoomSpec, Seat, ServerMessage, SignedTransaction,
    TakebackPolicy, Transaction, TransactionBody, TransactionError, Turn,
};
use cadastre_rooms::{Event, Room};
use support::{DEADLINE_MS, Shell, host, kind, room_name, seat, sign, spec};

#[test]
fn the_match_goes_back_when_all_have_consented() {
    let mut shell = after(5);
    let root = shell.head().state_root;
    play(&mut shell, 3);
    shell.forget_told();
    want(&mut shell, 0, 5);
    assert_eq!(told_of(&mut shell, 1), [(seat(0), Some(Turn::new(5)))]);
    assert_eq!(told_of(&mut shell, 0), [], "nobody is told what he said himself");
    want(&mut shell, 1, 5);
    let block = &shell.blocks(shell.guests[0])[0];
    assert_eq!((kind(block), block.entries().len()), (&BlockKind::Takeback { to_turn: Turn::new(5) }, 2));
    let head = shell.head();
    assert_eq!((head.turn, head.attempt, head.state_root), (Turn::new(5), Attempt::new(1), root));
    assert_eq!(head.deadline, Some(shell.now.after(DEADLINE_MS)));
    assert!(shell.events.contains(&Event::TakenBack { to_turn: Turn::new(5) }));
    play(&mut shell, 2);
    assert_eq!((shell.head().turn, shell.head().attempt), (Turn::new(7), Attempt::new(1)));
}

#[test]
fn whoever_acts_or_declines_does_not_consent() {
    let mut shell = after(3);
    want(&mut shell, 0, 1);
    want(&mut shell, 1, 3);
    assert_eq!(told_of(&mut shell, 0), [(seat(1), None)]);
    assert_eq!(shell.head().attempt, Attempt::FIRST);
    shell.act(seat(1), Vec::new());
    let own = following(&shell, 0, 1, TransactionBody::Turn(Vec::new()));
    shell.submit(shell.guests[0], own);
    assert_eq!((shell.head().turn, shell.head().attempt), (Turn::new(3), Attempt::FIRST));
}

#[test]
fn a_proposal_expires_with_the_deadline() {
    let mut shell = after(3);
    want(&mut shell, 0, 1);
    shell.pass(DEADLINE_MS);
    assert_eq!((shell.head().turn, shell.head().attempt), (Turn::new(4), Attempt::FIRST));
    want(&mut shell, 1, 1);
    assert_eq!(shell.head().attempt, Attempt::FIRST, "the other's consent was for the turn before");
}

#[test]
fn what_was_wanted_before_a_crash_is_wanted_after_it() {
    let mut shell = after(3);
    want(&mut shell, 0, 1);
    shell.crash();
    shell.guests = (0..2).map(|player| shell.enter(player)).collect();
    assert_eq!(told_of(&mut shell, 1), [(seat(0), Some(Turn::new(1)))]);
    want(&mut shell, 1, 1);
    assert_eq!((shell.head().turn, shell.head().attempt), (Turn::new(1), Attempt::new(1)));
    // And what was taken back is so after the next one, as far as ever.
    play(&mut shell, 1);
    let before = shell.head();
    shell.crash();
    shell.guests = (0..2).map(|player| shell.enter(player)).collect();
    assert_eq!((shell.head().turn, shell.head().state_root), (before.turn, before.state_root));
    want(&mut shell, 1, 0);
    want(&mut shell, 0, 0);
    assert_eq!((shell.head().turn, shell.head().attempt), (Turn::START, Attempt::new(2)));
}

#[test]
fn a_match_that_is_long_goes_back_over_a_crash() {
    let mut shell = after(65);
    shell.crash();
    shell.guests = (0..2).map(|player| shell.enter(player)).collect();
    for index in [0, 1] {
        want(&mut shell, index, 50);
    }
    assert_eq!((shell.head().turn, shell.head().attempt), (Turn::new(50), Attempt::new(1)));
}

#[test]
fn nothing_is_taken_back_where_the_policy_forbids_it() {
    let mut shell = Shell::playing(spec(2));
    play(&mut shell, 2);
    shell.forget_told();
    want(&mut shell, 0, 1);
    assert_eq!(shell.refusal(shell.guests[0]), Refusal::Chain(TransactionError::WrongKind));
    let both = RoomSpec { randomness: RandomnessMode::CommitReveal, turns_max: Some(9), ..takebacks() };
    assert!(Room::open(room_name(), host(), both).is_none());
}

fn takebacks() -> RoomSpec {
    RoomSpec { takebacks: TakebackPolicy::Unanimous, size: Some(9), ..spec(2) }
}

fn after(turns: u32) -> Shell {
    let mut shell = Shell::playing(takebacks());
    play(&mut shell, turns);
    shell.events.clear();
    shell
}

fn play(shell: &mut Shell, turns: u32) {
    (0..turns).for_each(|_| shell.play_turn());
}

/// A seat wants to go back; the turn of the head declines.
fn want(shell: &mut Shell, index: u8, to_turn: u32) {
    let body = TransactionBody::Takeback { to_turn: Turn::new(to_turn) };
    let signed = sign(&shell.draft(seat(index), body));
    shell.submit(shell.guests[usize::from(index)], signed);
}

/// The next transaction of a seat that has said in the open turn that it wants to go back to `to_turn`.
fn following(shell: &Shell, index: u8, to_turn: u32, body: TransactionBody) -> SignedTransaction {
    let said = TransactionBody::Takeback { to_turn: Turn::new(to_turn) };
    let said = shell.draft(seat(index), said);
    let (seq, prev_tx) = (said.seq.next().unwrap(), sign(&said).hash());
    sign(&Transaction { seq, prev_tx, body, ..said })
}

/// What a player was told of takebacks since the last call.
fn told_of(shell: &mut Shell, index: usize) -> Vec<(Seat, Option<Turn>)> {
    let messages = shell.messages(shell.guests[index]);
    let takebacks = messages.into_iter().filter_map(|message| {
        let ServerMessage::Takeback { seat, to_turn } = message else { return None };
        Some((seat, to_turn))
    });
    takebacks.collect()
}
