//! Takebacks: who may propose what, what counts as consent, and what the block may say.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod reference;
mod support;

use cadastre_protocol::{
    Attempt, BlockError, BlockKind, ChainState, Seat, TAKEBACK_TURNS_MAX, TakebackPolicy, Transaction,
    TransactionBody, TransactionError, Turn, Visibility, decode_exact, encode,
};
use support::{Match, Parts, read, seat};

/// A match with takebacks, after so many turns.
fn after(turns: u32) -> Match {
    let mut game = Match::started_with(2, |genesis| genesis.takebacks = TakebackPolicy::Unanimous);
    (0..turns).for_each(|_| {
        game.append(&game.full_turn());
    });
    game
}

fn consents(game: &Match, to: u32) -> [Transaction; 2] {
    [game.back_to(seat(0), to), game.back_to(seat(1), to)]
}

fn take_back(game: &mut Match, to: u32) {
    game.append(&game.takeback(to, &consents(game, to)));
}

/// How the next transaction is refused after these.
fn refused(game: &Match, before: &[Transaction], next: &Transaction) -> Option<TransactionError> {
    let mut open = game.chain.open_turn();
    let at = game.after_head(100);
    for tx in before {
        let admission = open.check(&game.chain, read(&game.sign(tx)), at).unwrap();
        open.accept(admission);
    }
    open.check(&game.chain, read(&game.sign(next)), at).err()
}

fn judged(game: &Match, parts: &Parts) -> Result<(), BlockError> {
    game.check(parts).map(|_| ())
}

#[test]
fn the_match_goes_back_and_on() {
    let mut game = after(5);
    take_back(&mut game, 3);
    let head = *game.chain.head();
    assert_eq!((head.turn, head.attempt, head.height.get()), (Turn::new(3), Attempt::new(1), 7));
    assert_eq!(head.state_root, game.toy.after(Turn::new(3)).state_root);
    assert_eq!(game.chain.next_turn(), Some(Turn::new(4)));
    game.append(&game.full_turn());
    assert_eq!(game.chain.head().turn, Turn::new(4));
    assert_eq!(
        game.chain.next_of(seat(0)).unwrap().seq.get(),
        8,
        "what was taken back stays in the seat's chain"
    );
    let stored: ChainState = decode_exact(&encode(game.chain.state())).unwrap();
    assert_eq!(&stored, game.chain.state());
}

#[test]
fn a_takeback_needs_the_consent_of_every_seat() {
    let game = after(3);
    let (mine, yours) = (game.back_to(seat(0), 1), game.back_to(seat(1), 1));
    let lacks = |of, transactions: &[Transaction]| {
        assert_eq!(
            judged(&game, &game.takeback(1, transactions)),
            Err(BlockError::NoConsent { seat: seat(of) })
        );
    };
    lacks(0, &[]);
    lacks(1, std::slice::from_ref(&mine));
    lacks(0, std::slice::from_ref(&yours));
    lacks(1, &[mine.clone(), game.back_to(seat(1), 2)]);
    lacks(1, &[mine.clone(), game.action(seat(1))]);
    // Acting after it, or declining, takes a consent back.
    lacks(1, &[mine.clone(), yours.clone(), game.following(&yours, game.action(seat(1)))]);
    lacks(1, &[mine.clone(), yours.clone(), game.following(&yours, game.back_to(seat(1), 3))]);
    assert_eq!(judged(&game, &game.takeback(1, &[mine, yours])), Ok(()));
}

#[test]
fn what_was_received_for_the_open_turn_is_void_and_stays_in_the_block() {
    let mut game = after(3);
    let action = game.action(seat(0));
    let consent = game.following(&action, game.back_to(seat(0), 2));
    let delegate = game.delegate(seat(1));
    let other = game.following(&delegate, game.back_to(seat(1), 2));
    let block = game.takeback(2, &[action, consent, delegate, other]);
    let checked = game.check(&block).unwrap();
    assert_eq!(checked.work(|_| Vec::new()), cadastre_protocol::Work::Back { to: Turn::new(2) });
    assert!(checked.desynced().is_empty());
    game.append(&block);
    assert_eq!(game.chain.next_of(seat(1)).unwrap().epoch.unwrap().get(), 1);
    game.append(&game.full_turn());
}

#[test]
fn no_turn_is_closed_over_the_consent_of_all() {
    let game = after(3);
    let [mine, yours] = consents(&game, 1);
    let turn = game.turn(&[mine, yours]);
    assert_eq!(judged(&game, &turn), Err(BlockError::TakebackDue));
}

#[test]
fn a_proposal_that_not_all_consent_to_expires_with_its_turn() {
    let mut game = after(3);
    let mine = game.back_to(seat(0), 1);
    let turn = game.turn(&[mine.clone(), game.following(&mine, game.action(seat(0))), game.action(seat(1))]);
    game.append(&turn);
    let yours = game.back_to(seat(1), 1);
    let missing = Err(BlockError::NoConsent { seat: seat(0) });
    assert_eq!(judged(&game, &game.takeback(1, &[yours])), missing);
}

#[test]
fn the_block_goes_where_all_want_to() {
    let game = after(5);
    let good = game.takeback(3, &consents(&game, 3));
    let bent = |change: fn(&mut Parts)| {
        let mut parts = good.clone();
        change(&mut parts);
        judged(&game, &parts.committed()).unwrap_err()
    };
    assert_eq!(bent(|p| p.header.attempt = Attempt::FIRST), BlockError::WrongAttempt);
    assert_eq!(bent(|p| p.header.attempt = Attempt::new(2)), BlockError::WrongAttempt);
    let wrong_turn = BlockError::WrongTurn { expected: Turn::new(3), got: Turn::new(5) };
    assert_eq!(bent(|p| p.header.turn = Turn::new(5)), wrong_turn);
    assert_eq!(bent(|p| p.header.deadline = None), BlockError::WrongDeadline);
    let elsewhere = |p: &mut Parts| {
        p.header.kind = BlockKind::Takeback { to_turn: Turn::new(2) };
        p.header.turn = Turn::new(2);
    };
    assert_eq!(bent(elsewhere), BlockError::NoConsent { seat: seat(0) });
    let nowhere = |p: &mut Parts| {
        p.header.kind = BlockKind::Takeback { to_turn: Turn::new(5) };
        p.header.turn = Turn::new(5);
    };
    assert_eq!(bent(nowhere), BlockError::WrongKind);

    // Another state than that of the turn shows when it is executed.
    let mut lie = good.clone();
    lie.header.state_root = game.toy.after(Turn::new(4)).state_root;
    let lie = lie.committed();
    let checked = game.check(&lie).unwrap();
    let error = game.clone().chain.append(checked, game.toy.after(Turn::new(3))).unwrap_err();
    assert!(matches!(error, BlockError::StateRoot { .. }));
}

#[test]
fn nobody_goes_back_further_than_followers_keep_states() {
    let mut game = after(TAKEBACK_TURNS_MAX + 4);
    let floor = |game: &Match| game.chain.takeback_floor().unwrap().get();
    let wrong = Some(TransactionError::WrongTakeback);
    assert_eq!(floor(&game), 4);
    assert_eq!(refused(&game, &[], &game.back_to(seat(0), 3)), wrong);
    assert_eq!(refused(&game, &[], &game.back_to(seat(0), TAKEBACK_TURNS_MAX + 5)), wrong);
    let too_far = game.takeback(3, &consents(&game, 3));
    assert_eq!(judged(&game, &too_far), Err(BlockError::WrongKind));
    // Not even step by step.
    take_back(&mut game, 5);
    assert_eq!((floor(&game), refused(&game, &[], &game.back_to(seat(0), 3))), (4, wrong));
    take_back(&mut game, 4);
    assert_eq!(game.chain.head().attempt, Attempt::new(2));
    let far = game.takeback(3, &consents(&game, 3));
    assert_eq!(judged(&game, &far), Err(BlockError::WrongKind));
}

#[test]
fn a_seat_may_say_little_about_takebacks_in_one_turn() {
    let game = after(3);
    let first = game.back_to(seat(0), 1);
    let second = game.following(&first, game.back_to(seat(0), 3));
    let third = game.following(&second, game.back_to(seat(0), 2));
    let fourth = game.following(&third, game.back_to(seat(0), 1));
    let fifth = game.following(&fourth, game.back_to(seat(0), 2));
    let said = [first, second, third, fourth];
    assert_eq!(refused(&game, &said[..3], &said[3]), None);
    assert_eq!(refused(&game, &said, &fifth), Some(TransactionError::AlreadySubmitted));
}

#[test]
fn whoever_resigns_has_no_more_say() {
    let mut game = Match::started_with(3, |genesis| genesis.takebacks = TakebackPolicy::Unanimous);
    game.append(&game.full_turn());
    let resign = game.transaction(seat(2), TransactionBody::Resign);
    let consent = game.following(&resign, game.back_to(seat(2), 0));
    assert_eq!(refused(&game, std::slice::from_ref(&resign), &consent), Some(TransactionError::Resigned));
    game.append(&game.turn(&[game.action(seat(0)), game.action(seat(1)), resign]));
    take_back(&mut game, 0);
    assert!(game.chain.resigned().contains(seat(2)), "giving up is for good");
}

#[test]
fn two_transactions_for_one_turn_of_two_attempts_are_no_double() {
    let mut game = after(2);
    let before = game.action(seat(0));
    take_back(&mut game, 2 - 1);
    game.append(&game.full_turn());
    let after = game.action(seat(0));
    assert_eq!((before.turn, after.turn), (Turn::new(3), Turn::new(3)));
    assert!(!before.excludes(&after));
    assert_eq!(
        refused(&game, &[], &Transaction { attempt: Attempt::FIRST, ..after }),
        Some(TransactionError::WrongAttempt)
    );
    let takebacks = [1, 0].map(|to| game.back_to(seat(0), to));
    assert!(!takebacks[0].excludes(&takebacks[1]));
}

#[test]
fn sealed_commands_are_forgotten_and_none_is_taken_back_between_the_halves() {
    let mut game = Match::started_with(2, |genesis| {
        genesis.takebacks = TakebackPolicy::Unanimous;
        genesis.visibility = Visibility::Sealed;
    });
    let both = |act: &dyn Fn(Seat) -> Transaction| [act(seat(0)), act(seat(1))];
    game.append(&game.first_half(&both(&|seat| game.commit(seat))));
    assert_eq!(refused(&game, &[], &game.back_to(seat(0), 0)), Some(TransactionError::WrongKind));
    game.append(&game.turn(&both(&|seat| game.reveal(seat))));
    let commit = game.commit(seat(0));
    let consent = game.following(&commit, game.back_to(seat(0), 0));
    game.append(&game.takeback(0, &[commit, consent, game.back_to(seat(1), 0)]));
    assert_eq!(game.chain.commitment_of(seat(0)), None);
    game.append(&game.first_half(&both(&|seat| game.commit(seat))));
}

#[test]
fn without_the_policy_nothing_is_taken_back() {
    let mut game = Match::started(2);
    game.append(&game.full_turn());
    assert_eq!(refused(&game, &[], &game.back_to(seat(0), 0)), Some(TransactionError::WrongKind));
    let block = game.takeback(0, &consents(&game, 0));
    assert_eq!(judged(&game, &block), Err(BlockError::WrongKind));
}
