//! Seats that are lent: a substitute plays while the holder is away, and goes when he is back.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use cadastre_client::{Config, Credential, Event, LendError, Session, SubmitError};
use cadastre_protocol::{
    EnterAs, Epoch, Failure, Following, GoodbyeReason, Height, RandomnessMode, RoomSpec, Seat, SecretKey,
    SignedDelegation, TransactionBody, Turn, TurnMode, Visibility,
};
use support::{direct::Direct, player, process_key, spec, spectator};

#[test]
fn a_substitute_plays_until_the_holder_is_back() {
    for (visibility, following) in [
        (Visibility::Held, Following::Blocks),
        (Visibility::Open, Following::Snapshot),
        (Visibility::Sealed, Following::Blocks),
    ] {
        let mut direct = playing(&RoomSpec { visibility, ..spec(2, TurnMode::Simultaneous) });
        (0..3).for_each(|_| play(&mut direct, [0, 1]));
        let substitute = stand_in(&mut direct, following);
        assert!(seated(&mut direct, substitute) == [Seat::new(0)], "{visibility:?}");
        direct.disconnect(0);
        (0..3).for_each(|_| play(&mut direct, [substitute, 1]));
        assert_eq!(turn(&direct, substitute), Turn::new(6), "{visibility:?}");
        assert_eq!(seated(&mut direct, substitute), []);

        direct.connect(0);
        play(&mut direct, [0, 1]);
        let told = direct.events(substitute);
        let is_sent_home = |it: &Event| matches!(it, Event::Goodbye { reason: GoodbyeReason::Replaced, .. });
        assert!(told.contains(&Event::Seated { seat: None }) && told.iter().any(is_sent_home), "{told:?}");
        assert_eq!(direct.clients[substitute].session.submit(Vec::new()), Err(SubmitError::NotPlaying));
        play(&mut direct, [0, 1]);
        assert_eq!(turn(&direct, 0), Turn::new(8));
        assert!(turn(&direct, substitute) < Turn::new(8), "it sees no more");
        let epochs = [Epoch::new(1), Epoch::new(2)];
        assert_eq!(delegations(&direct), epochs, "{visibility:?}");
    }
}

#[test]
fn a_process_whose_own_key_is_in_no_block_yet_lends_when_the_turn_is_over() {
    let mut direct = playing(&spec(2, TurnMode::Simultaneous));
    play(&mut direct, [0, 1]);
    let again = direct.add_process(0);
    let lend = |direct: &Direct| {
        let loan = direct.clients[again].session.lend(process_key(9, 9).public());
        loan.map(|loan| loan.read().unwrap().epoch)
    };
    assert_eq!(lend(&direct), Ok(Epoch::new(1)));
    direct.act(again);
    assert_eq!(lend(&direct), Err(LendError::KeyPending));
    direct.act(1);
    assert_eq!(lend(&direct), Ok(Epoch::new(2)));
}

#[test]
fn what_the_substitute_signed_is_handed_in_again_as_the_same_bytes() {
    let mut direct = playing(&spec(2, TurnMode::Simultaneous));
    let substitute = stand_in(&mut direct, Following::Blocks);
    direct.disconnect(0);
    direct.withholds = true;
    direct.act(substitute);
    direct.restart();
    direct.connect(1);
    direct.connect(substitute);
    direct.act(1);
    assert_eq!(turn(&direct, 1), Turn::new(1));
    // The loan is spent, and in force: a new process has no right to it.
    assert_eq!(delegations(&direct), [Epoch::new(1)]);
    play(&mut direct, [substitute, 1]);
    assert_eq!(delegations(&direct), [Epoch::new(1)]);
}

#[test]
fn of_a_holder_and_a_substitute_who_both_play_the_first_counts() {
    let mut direct = playing(&spec(2, TurnMode::Simultaneous));
    let substitute = stand_in(&mut direct, Following::Blocks);
    direct.act(0);
    direct.act(substitute);
    let refused = |event: &Event| matches!(event, Event::Refused { .. });
    assert_eq!(direct.events(substitute).iter().filter(|event| refused(event)).count(), 2);
    direct.act(1);
    // The holder's turn counted under the old delegation: the loan is still good.
    direct.act(substitute);
    direct.act(0);
    assert_eq!(direct.events(0).iter().filter(|event| refused(event)).count(), 1);
    direct.act(1);
    assert_eq!(turn(&direct, 0), Turn::new(2));
    assert_eq!(delegations(&direct), [Epoch::new(1)]);
}

#[test]
fn a_loan_is_for_one_identity_and_one_match() {
    let mut direct = playing(&spec(2, TurnMode::Simultaneous));
    let mut other = playing(&RoomSpec { size: Some(3), ..spec(2, TurnMode::Simultaneous) });
    let loan = direct.clients[0].session.lend(substitute_key().public()).unwrap();
    // Whose loan it is not, is not let in, whatever the loan says.
    let stranger = Config { identity: process_key(9, 9), ..substitute(loan.clone()) };
    let stranger = direct.add(stranger);
    assert!(refused(&mut direct, stranger));
    let garbled = SignedDelegation { body: vec![1; 3], ..loan.clone() };
    let garbled = direct.add(substitute(garbled));
    assert!(refused(&mut direct, garbled));
    let elsewhere = other.add(substitute(loan.clone()));
    assert!(refused(&mut other, elsewhere));
    // Who lends is the holder, on whatever connection.
    let watcher = Config { identity: SecretKey::from_seed(&[1; 32]), ..spectator() };
    let lender = direct.add(watcher);
    assert_eq!(direct.clients[lender].session.lend(substitute_key().public()), Ok(loan));
    let nobody = direct.add(spectator());
    let lent = direct.clients[nobody].session.lend(substitute_key().public());
    assert_eq!(lent, Err(LendError::NoSeat));
}

#[test]
fn a_seat_with_a_hash_chain_is_not_lent() {
    let randomness = RandomnessMode::CommitReveal;
    let spec = RoomSpec { randomness, turns_max: Some(20), ..spec(2, TurnMode::Simultaneous) };
    let direct = playing(&spec);
    let lent = direct.clients[0].session.lend(substitute_key().public());
    assert_eq!(lent, Err(LendError::HashChain));
}

fn playing(spec: &RoomSpec) -> Direct {
    Direct::new([player(0, spec), player(1, spec)])
}

fn substitute_key() -> SecretKey {
    process_key(3, 0)
}

fn substitute(loan: SignedDelegation) -> Config {
    let (identity, process) = (substitute_key(), process_key(3, 1));
    let credential = Some(Credential::Loan(loan));
    Config { identity, process, enter_as: EnterAs::Player, credential, ..spectator() }
}

/// Player 0 lends the seat, and the substitute comes.
fn stand_in(direct: &mut Direct, following: Following) -> usize {
    let config = substitute(direct.clients[0].session.lend(substitute_key().public()).unwrap());
    let mut session = Session::new(config.clone());
    session.follow(following);
    direct.add_session(config, session)
}

/// Was a client not let in, since the last call?
fn refused(direct: &mut Direct, client: usize) -> bool {
    direct.events(client).contains(&Event::Failed(Failure::NotSeated))
}

fn play(direct: &mut Direct, clients: [usize; 2]) {
    for client in clients {
        direct.act(client);
    }
}

fn turn(direct: &Direct, client: usize) -> Turn {
    direct.clients[client].session.follower().unwrap().chain().head().turn
}

/// The seats that a client was told to play for since the last call.
fn seated(direct: &mut Direct, client: usize) -> Vec<Option<Seat>> {
    let seated = |event| if let Event::Seated { seat } = event { Some(seat) } else { None };
    direct.events(client).into_iter().filter_map(seated).collect()
}

/// The epochs that the seat 0 has opened after its Join.
fn delegations(direct: &Direct) -> Vec<Epoch> {
    let mut epochs = Vec::new();
    let mut height = Height::new(1);
    while let Some(block) = direct.server.store.block(height) {
        for entry in block.clone().read().unwrap().block().entries() {
            let tx = entry.transaction.get();
            if tx.seat.get() == 0 && matches!(tx.body, TransactionBody::Delegate(_)) {
                epochs.push(tx.epoch);
            }
        }
        height = height.next().unwrap();
    }
    epochs
}
