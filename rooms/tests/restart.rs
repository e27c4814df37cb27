//! A server that dies and comes back with what its store has written.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use cadastre_protocol::{
    Access, BlockError, BlockKind, Conversation, Digest, GenesisError, Height, Millis, REOPENS_MAX,
    ReopenReason, SealReason, ServerMessage, TalkPlace, Turn, TurnOrders,
};
use cadastre_rooms::{Event, Input, JOIN_MS_MAX, Restored, Room};
use cadastre_simulations::Game;
use support::{
    DEADLINE_MS, NOW, SERIAL, Shell, edge, host, kind, read, receipt_of, room_name, seal_reason, seat, spec,
};

const REOPEN: BlockKind = BlockKind::Reopen { reason: ReopenReason::Restart };

#[test]
fn the_turn_is_opened_again_with_its_receipts_and_the_match_goes_on() {
    let mut shell = Shell::playing(spec(3));
    shell.play_turn();
    let transactions = [0, 2].map(|index| shell.turn(seat(index), Vec::new()));
    shell.forget_told();
    shell.submit(shell.guests[0], transactions[0].clone());
    shell.submit(shell.guests[2], transactions[1].clone());
    let receipts = [shell.receipt(shell.guests[0]), shell.receipt(shell.guests[2])];

    // Away for longer than the turn was open: nobody is absent for that.
    shell.now = NOW.after(5 * DEADLINE_MS);
    shell.crash();
    let head = shell.head();
    assert_eq!((head.height, head.turn), (Height::new(3), Turn::new(1)));
    assert_eq!(head.deadline, Some(NOW.after(6 * DEADLINE_MS)));
    assert_eq!(shell.wake, head.deadline);

    shell.guests = (0..3).map(|player| shell.enter(player)).collect();
    let messages = shell.messages(shell.guests[0]);
    let [.., ServerMessage::Block(reopen), ServerMessage::CaughtUp { .. }, ServerMessage::Receipt(receipt)] =
        &messages[..]
    else {
        panic!("{messages:?}")
    };
    assert_eq!((kind(&read(reopen.clone())), receipt), (&REOPEN, &receipts[0]));
    shell.forget_told();
    shell.submit(shell.guests[2], transactions[1].clone());
    assert_eq!(shell.receipt(shell.guests[2]), receipts[1]);

    shell.forget_told();
    shell.act(seat(1), edge(5));
    let block = &shell.blocks(shell.guests[1])[0];
    let mut received: Vec<_> = block.entries().iter().map(|entry| entry.received).collect();
    received.sort();
    assert_eq!(received, [NOW, NOW, NOW.after(5 * DEADLINE_MS)]);
    play_to_the_end(&mut shell);
}

#[test]
fn under_another_signer_the_match_goes_on_with_a_key_change() {
    let mut shell = Shell::playing(spec(2));
    shell.act(seat(0), edge(0));
    shell.forget_told();
    let receipt = |shell: &Shell| shell.store.accepted[&(seat(0), cadastre_protocol::Seq::new(1))].2.clone();
    let promised = receipt(&shell);
    let before = shell.head();

    shell.store.rotations += 1;
    shell.now = NOW.after(5 * DEADLINE_MS);
    shell.crash();
    assert_eq!(shell.head().height.get(), before.height.get() + 2);
    shell.guests = vec![shell.enter(0), shell.enter(1)];
    let messages = shell.messages(shell.guests[0]);
    let [
        ..,
        ServerMessage::Block(change),
        ServerMessage::Block(reopen),
        ServerMessage::CaughtUp { .. },
        ServerMessage::Receipt(again),
    ] = &messages[..]
    else {
        panic!("{messages:?}")
    };
    let change = read(change.clone());
    assert!(matches!(kind(&change), BlockKind::KeyChange { .. }), "{change:?}");
    assert_eq!((change.header().signer_serial, change.header().deadline), (SERIAL + 1, before.deadline));
    assert_eq!((kind(&read(reopen.clone())), again), (&REOPEN, &promised));
    assert_eq!(promised.proof.serial, SERIAL, "the promise of the signer before is kept");
    shell.forget_told();
    play_to_the_end(&mut shell);

    // Nothing is said twice under the same signer, and an older one is not gone back to.
    let mut shell = Shell::playing(spec(2));
    shell.store.rotations = 2;
    shell.crash();
    let height = shell.head().height;
    shell.crash();
    assert_eq!(shell.head().height.get(), height.get() + 1, "a Reopen, and no KeyChange");
    shell.store.rotations = 1;
    shell.crash();
    assert_eq!(shell.events, [Event::Broken { error: BlockError::KeyChange }]);
}

#[test]
fn where_only_the_seal_is_missing_another_signer_makes_up_for_it() {
    let mut shell = Shell::playing(cadastre_protocol::RoomSpec { turns_max: Some(1), ..spec(2) });
    shell.play_turn();
    shell.store.blocks.pop();
    shell.store.rotations += 1;
    shell.crash();
    assert_eq!(shell.chain().sealed(), Some(SealReason::TurnLimit));
    let [.., change, seal] = &shell.store.blocks[..] else { panic!("too few blocks") };
    assert!(matches!(kind(&read(change.clone())), BlockKind::KeyChange { .. }));
    assert!(matches!(kind(&read(seal.clone())), BlockKind::Seal { .. }));
}

#[test]
fn an_acceptance_that_was_not_written_was_never_told_and_can_come_again() {
    let mut shell = Shell::playing(spec(2));
    let transaction = shell.turn(seat(0), edge(0));
    shell.withhold();
    shell.submit(shell.guests[0], transaction.clone());
    shell.crash();
    let guest = shell.enter(0);
    let receipt = |message: &ServerMessage| matches!(message, ServerMessage::Receipt(_));
    assert!(!shell.messages(guest).iter().any(receipt));
    shell.pass(9);
    shell.submit(guest, transaction);
    assert_eq!(receipt_of(&shell.receipt(guest)).received, NOW.after(9));
}

#[test]
fn an_acceptance_whose_answer_was_lost_keeps_its_receipt() {
    let mut shell = Shell::playing(spec(2));
    let transaction = shell.turn(seat(0), edge(0));
    shell.withhold();
    shell.submit(shell.guests[0], transaction.clone());
    shell.write();
    shell.pass(9);
    shell.crash();
    let guest = shell.enter(0);
    let messages = shell.messages(guest);
    let Some(ServerMessage::Receipt(receipt)) = messages.last() else { panic!("{messages:?}") };
    assert_eq!(receipt_of(receipt).received, NOW);
    shell.submit(guest, transaction);
    assert_eq!(shell.receipt(guest), *receipt);
}

#[test]
fn a_block_that_was_not_written_is_made_anew_from_what_was() {
    let mut shell = Shell::playing(spec(2));
    shell.act(seat(0), edge(0));
    shell.withhold();
    let last = shell.turn(seat(1), Vec::new());
    shell.submit(shell.guests[1], last.clone());
    assert_eq!(shell.head().turn, Turn::new(1));
    shell.crash();
    assert_eq!((shell.head().turn, shell.store.accepted.len()), (Turn::START, 1));
    let guest = shell.enter(1);
    shell.forget_told();
    shell.submit(guest, last);
    let block = &shell.blocks(guest)[0];
    assert_eq!((block.header().height, block.entries().len()), (Height::new(3), 2));
}

#[test]
fn a_block_whose_answer_was_lost_stands() {
    let mut shell = Shell::playing(spec(2));
    shell.act(seat(0), edge(0));
    shell.withhold();
    shell.act(seat(1), Vec::new());
    shell.write();
    let head = shell.head();
    shell.crash();
    assert_eq!(shell.head().turn, Turn::new(1));
    let guest = shell.resume(0, cadastre_protocol::EnterAs::Player, 1);
    let messages = shell.messages(guest);
    let [ServerMessage::Block(turn), ServerMessage::Block(reopen), ServerMessage::CaughtUp { .. }] =
        &messages[..]
    else {
        panic!("{messages:?}")
    };
    assert_eq!((read(turn.clone()).hash(), kind(&read(reopen.clone()))), (head.block, &REOPEN));
}

#[test]
fn a_match_of_which_only_the_start_was_written_goes_on() {
    let mut shell = Shell::joining(spec(2));
    shell.withhold();
    for index in [0, 1] {
        shell.submit(shell.guests[usize::from(index)], shell.join(seat(index)));
    }
    shell.act(seat(0), edge(0));
    shell.store.waiting.truncate(1);
    shell.write();
    shell.crash();
    shell.guests = vec![shell.enter(0), shell.enter(1)];
    play_to_the_end(&mut shell);
}

#[test]
fn where_only_the_seal_is_missing_it_is_made_up_for() {
    let mut shell = Shell::playing(cadastre_protocol::RoomSpec { turns_max: Some(2), ..spec(2) });
    shell.play_turn();
    shell.play_turn();
    let sealed = shell.head();
    assert_eq!(shell.chain().sealed(), Some(SealReason::TurnLimit));
    shell.store.blocks.pop();
    shell.now = NOW.after(JOIN_MS_MAX);
    shell.crash();
    assert_eq!((shell.head().height, shell.chain().sealed()), (sealed.height, Some(SealReason::TurnLimit)));
    assert!(shell.room.is_over());
    let guest = shell.enter(0);
    let messages = shell.messages(guest);
    let [.., ServerMessage::Block(seal), ServerMessage::CaughtUp { .. }] = &messages[..] else { panic!() };
    assert_eq!(seal_reason(&read(seal.clone())), Some(SealReason::TurnLimit));
}

#[test]
fn a_match_that_is_over_stays_so() {
    let mut shell = Shell::playing(cadastre_protocol::RoomSpec { turns_max: Some(1), ..spec(2) });
    shell.play_turn();
    let (head, commits) = (shell.head(), shell.store.commits);
    shell.crash();
    assert_eq!((shell.head(), shell.store.commits, shell.wake), (head, commits, None));
    assert!(shell.room.is_over());
}

#[test]
fn a_restart_after_the_clock_was_set_back_stops_no_match() {
    let mut shell = Shell::playing(spec(2));
    shell.pass(9_000);
    shell.act(seat(0), edge(0));
    shell.now = Millis::new(NOW.get() - 1_000_000);
    shell.crash();
    shell.guests = vec![shell.enter(0), shell.enter(1)];
    play_to_the_end(&mut shell);
}

#[test]
fn more_restarts_than_a_turn_can_note_do_not_stop_the_match() {
    let mut shell = Shell::playing(spec(2));
    let (_, game) = shell.store.replay();
    for _ in 0..REOPENS_MAX + 3 {
        // As the store would give it, without checking a thousand blocks a thousand times.
        let game = Game::restore(game.setup(), &game.snapshot()).unwrap();
        let names = [0, 1].map(support::name).into();
        let chain = shell.chain().clone();
        let conversation = Conversation::begin(TalkPlace::Match(chain.match_id()));
        let (access, accepted) = (Access::PUBLIC, Vec::new());
        let (newest, first) = (Vec::new(), None);
        shell.come_back(Restored { chain, game, names, access, accepted, conversation, newest, first });
    }
    assert_eq!(shell.head().height, Height::new(1 + REOPENS_MAX as u64));
    assert_eq!(shell.wake, shell.head().deadline);
    shell.guests = vec![shell.enter(0), shell.enter(1)];
    shell.act(seat(1), Vec::new());
    shell.pass(DEADLINE_MS);
    play_to_the_end(&mut shell);
}

#[test]
fn a_store_that_contradicts_itself_is_not_gone_on_with() {
    let mut shell = Shell::playing(spec(2));
    shell.act(seat(0), edge(0));
    let restore = |change: &dyn Fn(&mut Restored)| {
        let mut restored = shell.store.restored(shell.now).unwrap();
        change(&mut restored);
        Room::restore(room_name(), host(), restored, NOW).map(|_| ())
    };
    assert_eq!(restore(&|_| {}), Ok(()));
    let setup = shell.chain().genesis().setup();
    let mut other = Game::start(&setup).unwrap();
    other.apply(&TurnOrders { roll: Digest::ZERO, orders: Vec::new() });
    let snapshot = other.snapshot();
    let other = || Game::restore(&setup, &snapshot).unwrap();
    assert_eq!(restore(&|restored| restored.game = other()), Err(GenesisError::StateRoot));
    let twice = |restored: &mut Restored| {
        let again = restored.accepted[0].clone();
        restored.accepted.push(again);
    };
    assert_eq!(restore(&twice), Err(GenesisError::State));
    let late = |restored: &mut Restored| restored.accepted[0].0 = NOW.after(DEADLINE_MS + 1);
    assert_eq!(restore(&late), Err(GenesisError::State));
}

/// Everybody plays on, and the result is one chain from the genesis to the Seal.
fn play_to_the_end(shell: &mut Shell) {
    for _ in 0..30 {
        if shell.chain().sealed().is_some() {
            break;
        }
        let acted = shell.store.accepted.keys().map(|(seat, _)| *seat).collect();
        let game = shell.store.replay().1;
        for seat in shell.chain().required().without(acted).iter() {
            shell.act(seat, game.simulation().suggest(seat));
        }
    }
    assert_eq!(shell.chain().sealed(), Some(SealReason::Rules));
    assert_eq!(shell.store.replay().0.head(), &shell.head());
    assert!(shell.room.is_over());
    shell.feed(Input::Timeout);
}
