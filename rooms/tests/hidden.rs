//! Open and sealed moves, and the lobby of a match with hash chains.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use cadastre_protocol::{
    AbsenceReason, Attempt, BlockKind, ChainSecret, ChainStart, EnterAs, GenesisError, Randomness,
    RandomnessMode, Refusal, RoomSpec, Seat, ServerMessage, SignedTransaction, Transaction, TransactionBody,
    TransactionError, Turn, Visibility, sealed_commands,
};
use cadastre_rooms::{GuestId, Host, Input, Room};
use support::{
    DEADLINE_MS, Shell, edge, host, join_of, key, kind, read, receipt_of, room_name, seat, sign, spec,
};

const SALT: [u8; 32] = [8; 32];

#[test]
fn an_open_move_is_shown_to_all_others_once_it_is_on_disk() {
    let mut shell = Shell::playing(RoomSpec { visibility: Visibility::Open, ..spec(3) });
    let watcher = shell.watch(7);
    shell.forget_told();
    shell.withhold();
    let transaction = shell.turn(seat(0), edge(1));
    shell.submit(shell.guests[0], transaction.clone());
    let other = shell.guests[1];
    assert_eq!(relays(&mut shell, other), []);
    shell.confirm();
    for guest in [shell.guests[1], shell.guests[2], watcher] {
        assert_eq!(relays(&mut shell, guest), std::slice::from_ref(&transaction));
    }
    let receipt = shell.receipt(shell.guests[0]);
    assert_eq!(receipt_of(&receipt).transaction, transaction.hash());
    // Whoever comes later is told too.
    shell.forget_told();
    let again = shell.resume(2, EnterAs::Player, 1);
    assert_eq!(relays(&mut shell, again), [transaction]);
}

#[test]
fn an_open_move_is_shown_no_more_when_the_match_is_over() {
    let mut shell = Shell::playing(RoomSpec { visibility: Visibility::Open, ..spec(2) });
    shell.act(seat(0), edge(0));
    let before = shell.watch(7);
    assert_eq!(relays(&mut shell, before).len(), 1, "whoever comes is told the open turn");
    shell.feed(Input::End);
    let after = shell.watch(8);
    assert_eq!(relays(&mut shell, after).len(), 0);
}

#[test]
fn a_held_move_is_shown_to_nobody() {
    let mut shell = Shell::playing(spec(3));
    shell.act(seat(0), edge(1));
    let again = shell.resume(2, EnterAs::Player, 1);
    for guest in [shell.guests[1], again] {
        assert_eq!(relays(&mut shell, guest), []);
    }
}

#[test]
fn a_server_that_dies_between_the_halves_goes_on_with_the_second() {
    let mut shell = Shell::playing(RoomSpec { visibility: Visibility::Sealed, ..spec(2) });
    let hidden = [edge(3), Vec::new()];
    for (index, commands) in (0..).zip(&hidden) {
        let commit = commit(&shell, seat(index), commands);
        shell.submit(shell.guests[usize::from(index)], commit);
    }
    // Behind the receipt comes the block that closes the half.
    let messages = shell.messages(shell.guests[0]);
    let [ServerMessage::Receipt(_), ServerMessage::Block(half)] = &messages[..] else {
        panic!("{messages:?}")
    };
    assert_eq!(kind(&read(half.clone())), &BlockKind::Commit);
    let shown = reveal(&shell, seat(0), &hidden[0]);
    shell.submit(shell.guests[0], shown.clone());
    let receipt = shell.receipt(shell.guests[0]);

    shell.crash();
    shell.guests = (0..2).map(|player| shell.enter(player)).collect();
    assert!(shell.chain().is_revealing());
    shell.forget_told();
    shell.submit(shell.guests[0], shown);
    assert_eq!(shell.receipt(shell.guests[0]), receipt, "the promise was kept");
    shell.submit(shell.guests[1], reveal(&shell, seat(1), &hidden[1]));
    let turn = &shell.blocks(shell.guests[0])[0];
    assert_eq!((kind(turn), turn.absent().len(), turn.entries().len()), (&BlockKind::Turn, 0, 2));
}

#[test]
fn whoever_does_not_show_what_he_hid_is_absent_and_an_illegal_command_is_void() {
    let mut shell = Shell::playing(RoomSpec { visibility: Visibility::Sealed, ..spec(2) });
    // It is not seat 1's move: nobody can tell before it is shown, and the room takes it then.
    for (index, commands) in [(0, edge(3)), (1, edge(4))] {
        let commit = commit(&shell, seat(index), &commands);
        shell.submit(shell.guests[usize::from(index)], commit);
    }
    shell.submit(shell.guests[1], reveal(&shell, seat(1), &edge(4)));
    shell.forget_told();
    shell.now = shell.now.after(DEADLINE_MS);
    shell.feed(Input::Timeout);
    let turn = &shell.blocks(shell.guests[0])[0];
    let absent: Vec<_> = turn.absent().iter().map(|absence| (absence.seat, absence.reason)).collect();
    assert_eq!(absent, [(seat(0), AbsenceReason::RevealMissing)]);
    assert_eq!(turn.entries().len(), 1);
    assert_eq!(shell.head().turn, Turn::new(1));
}

#[test]
fn a_seat_is_ready_only_with_a_hash_chain_and_never_twice_with_the_same() {
    let mut shell = Shell::open(hash_chains());
    let guests = [shell.enter(0), shell.enter(1)];
    shell.ready(guests[0]);
    shell.ready(guests[1]);
    assert!(shell.room.genesis().is_none(), "nobody has offered a chain");
    for (guest, index) in guests.into_iter().zip(0..) {
        ready_with(&mut shell, guest, index, 0);
    }
    let Randomness::CommitReveal { server, seats } = shell.room.genesis().unwrap().randomness.clone() else {
        panic!("hash chains")
    };
    assert_eq!(seats, [chain(0, 0), chain(1, 0)]);
    assert_eq!(server, host().chain_secret.chain(shell.room.genesis().unwrap().nonce, 9).anchor());

    // The match does not begin; the chain that a Join has shown counts no more.
    let join = join_of(shell.room.genesis().unwrap(), seat(0));
    let element = key(0).seat_chain([0; 32], 9).element(0);
    shell.submit(guests[0], sign(&Transaction { chain_element: element, ..join }));
    shell.leave(guests[1]);
    let other = shell.enter(1);
    ready_with(&mut shell, other, 1, 1);
    ready_with(&mut shell, guests[0], 0, 0);
    assert!(shell.room.genesis().is_none());
    ready_with(&mut shell, guests[0], 0, 1);
    assert!(shell.room.genesis().is_some());
}

#[test]
fn who_has_not_heard_of_a_match_that_did_not_begin_is_ready_with_the_same_chain() {
    let mut shell = Shell::open(hash_chains());
    let guests = [shell.enter(0), shell.enter(1)];
    for (guest, index) in guests.into_iter().zip(0..) {
        ready_with(&mut shell, guest, index, 0);
    }
    shell.leave(guests[1]);
    assert!(shell.room.genesis().is_none());
    let other = shell.enter(1);
    ready_with(&mut shell, other, 1, 1);
    ready_with(&mut shell, guests[0], 0, 0);
    assert!(shell.room.genesis().is_some());
}

#[test]
fn hash_chains_want_a_last_turn_that_they_reach() {
    let opened =
        |turns_max| Room::open(room_name(), host(), RoomSpec { turns_max, ..hash_chains() }).is_some();
    assert!(opened(Some(1)) && opened(Some(65_535)));
    assert!(!opened(None) && !opened(Some(65_536)));
}

#[test]
fn a_join_with_a_wrong_element_begins_no_match() {
    let mut shell = Shell::open(hash_chains());
    shell.guests = vec![shell.enter(0), shell.enter(1)];
    for (guest, index) in shell.guests.clone().into_iter().zip(0..) {
        ready_with(&mut shell, guest, index, 0);
    }
    let join = |shell: &Shell, index: u8, chain_element| {
        let join = join_of(shell.room.genesis().unwrap(), seat(index));
        sign(&Transaction { chain_element, ..join })
    };
    let element = |player: u8, number| key(player).seat_chain([player; 32], 9).element(number);
    let guests = shell.guests.clone();
    let transaction = join(&shell, 1, element(1, 0));
    shell.submit(guests[1], transaction);
    shell.forget_told();
    for (wrong, error) in [
        (None, TransactionError::MissingChainElement),
        (element(0, 1), TransactionError::WrongChainElement),
        (element(1, 0), TransactionError::WrongChainElement),
    ] {
        let transaction = join(&shell, 0, wrong);
        shell.submit(guests[0], transaction);
        assert_eq!(shell.refusal(guests[0]), Refusal::Chain(error));
        assert!(shell.room.chain().is_none(), "it has not begun");
    }
    let transaction = join(&shell, 0, element(0, 0));
    shell.submit(guests[0], transaction);
    assert!(shell.room.chain().is_some());
}

#[test]
fn a_match_does_not_go_on_with_another_chain_secret() {
    let mut shell = Shell::open(hash_chains());
    shell.guests = vec![shell.enter(0), shell.enter(1)];
    for (guest, index) in shell.guests.clone().into_iter().zip(0..) {
        ready_with(&mut shell, guest, index, 0);
    }
    for index in 0..2 {
        let chain_element = key(index).seat_chain([index; 32], 9).element(0);
        let join = join_of(shell.room.genesis().unwrap(), seat(index));
        shell.submit(shell.guests[usize::from(index)], sign(&Transaction { chain_element, ..join }));
    }
    let restore = |secret| {
        let host = Host { chain_secret: ChainSecret::new(&[secret; 32]), ..host() };
        Room::restore(room_name(), host, shell.store.restored(shell.now).unwrap(), shell.now).err()
    };
    assert_eq!((restore(77), restore(78)), (None, Some(GenesisError::HashChain)));
}

#[test]
fn the_genesis_has_the_hash_chains_of_those_who_are_there() {
    let mut shell = Shell::open(RoomSpec { seats: 4, seats_min: 2, ..hash_chains() });
    let guests: Vec<_> = (0..3).map(|player| shell.enter(player)).collect();
    shell.leave(guests[0]);
    ready_with(&mut shell, guests[1], 1, 0);
    ready_with(&mut shell, guests[2], 2, 0);
    let Randomness::CommitReveal { seats, .. } = &shell.room.genesis().unwrap().randomness else { panic!() };
    assert_eq!(seats[..], [chain(1, 0), chain(2, 0)]);
}

fn hash_chains() -> RoomSpec {
    RoomSpec { randomness: RandomnessMode::CommitReveal, turns_max: Some(9), ..spec(2) }
}

fn chain(player: u8, lobby: u8) -> ChainStart {
    let nonce = [player + 16 * lobby; 32];
    ChainStart { nonce, anchor: key(player).seat_chain(nonce, 9).anchor() }
}

fn ready_with(shell: &mut Shell, guest: GuestId, player: u8, lobby: u8) {
    shell.feed(Input::Ready { guest, ready: true, chain: Some(chain(player, lobby)) });
}

fn commit(shell: &Shell, seat: Seat, commands: &[u8]) -> SignedTransaction {
    let (match_id, turn) = (shell.chain().match_id(), shell.chain().next_turn().unwrap());
    let sealed = sealed_commands(match_id, seat, turn, Attempt::FIRST, &SALT, commands);
    sign(&shell.draft(seat, TransactionBody::Commit(sealed)))
}

fn reveal(shell: &Shell, seat: Seat, commands: &[u8]) -> SignedTransaction {
    sign(&shell.draft(seat, TransactionBody::Reveal { salt: SALT, commands: commands.to_vec() }))
}

/// What others did, as a guest was told of it.
fn relays(shell: &mut Shell, guest: GuestId) -> Vec<SignedTransaction> {
    let mut relayed = Vec::new();
    for message in shell.messages(guest) {
        if let ServerMessage::Relay(relay) = message {
            assert_eq!(receipt_of(&relay.receipt).transaction, relay.transaction.hash());
            relayed.push(relay.transaction);
        }
    }
    relayed
}
