//! Seats that are lent: whoever they were lent to plays until the holder plays again.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use cadastre_protocol::{
    Delegation, Digest, EnterAs, Epoch, Failure, GoodbyeReason, Height, Pass, Refusal, RoomSpec, Seat,
    ServerMessage, ShownPass, SignedDelegation, SignedTransaction, SpectatorPolicy, Transaction,
    TransactionBody, TransactionError, Turn, Visibility,
};
use cadastre_rooms::{GuestId, Input};
use support::{Shell, Told, edge, identity, key, seat, spec};

/// Who stands in.
const SUBSTITUTE: u8 = 5;

#[test]
fn a_substitute_plays_the_seat_that_was_lent_to_it_and_hears_what_becomes_of_it() {
    let mut shell = Shell::playing(spec(2));
    let substitute = standing_in(&mut shell);
    take_over(&mut shell, substitute);
    assert!(matches!(shell.messages(substitute)[..], [ServerMessage::Receipt(_), ServerMessage::Receipt(_)]));
    let of_holder = shell.messages(shell.guests[0]);
    assert!(
        matches!(of_holder[..], [ServerMessage::Receipt(_), ServerMessage::Receipt(_)]),
        "it is his seat"
    );
    assert!(shell.told(shell.guests[1]).is_empty());
    shell.act(seat(1), Vec::new());
    assert_eq!((shell.head().turn, shell.blocks(substitute).len()), (Turn::new(1), 1));
    // From then on under the same delegation, also after the connection was lost.
    shell.leave(substitute);
    let substitute = standing_in(&mut shell);
    shell.submit(substitute, under_loan(&shell, Vec::new()));
    shell.receipt(substitute);
}

#[test]
fn what_the_substitute_had_handed_in_is_known_after_a_restart() {
    let mut shell = Shell::playing(spec(2));
    let substitute = standing_in(&mut shell);
    let [opening, action] = loan_and_action(&shell, edge(0));
    shell.submit(substitute, opening.clone());
    shell.crash();
    let substitute = standing_in(&mut shell);
    shell.submit(substitute, opening);
    shell.receipt(substitute);
    let seen_again =
        Transaction { seen_height: shell.head().height, seen_block: shell.head().block, ..body_of(&action) };
    shell.submit(substitute, by_substitute(&seen_again));
    shell.receipt(substitute);
}

#[test]
fn the_holder_takes_the_seat_back_by_playing() {
    let mut shell = Shell::playing(spec(2));
    let substitute = standing_in(&mut shell);
    take_over(&mut shell, substitute);
    shell.act(seat(1), Vec::new());
    let late = under_loan(&shell, Vec::new());
    for transaction in shell.delegate_and_act(seat(0), Vec::new()) {
        shell.submit(shell.guests[0], transaction);
    }
    shell.forget_told();
    // At once, and for good.
    shell.submit(substitute, late);
    assert_eq!(shell.refusal(substitute), Refusal::Chain(TransactionError::AlreadySubmitted));
    shell.act(seat(1), Vec::new());
    assert_eq!(shell.head().turn, Turn::new(2));
    // Told of the block that says so, and then parted with.
    let told = shell.told(substitute);
    let [.., Told::Message(ServerMessage::Block(_)), Told::Dismissed(reason)] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(*reason, GoodbyeReason::Replaced);
    let spent = come(&mut shell, SUBSTITUTE, Epoch::new(1));
    assert_eq!(shell.told(spent), [Told::NotAdmitted(Failure::NotSeated)]);
}

#[test]
fn a_loan_is_for_one_key_and_one_seat() {
    let mut shell = Shell::playing(spec(2));
    let substitute = standing_in(&mut shell);
    let stranger = come(&mut shell, 6, Epoch::new(1));
    assert_eq!(shell.told(stranger), [Told::NotAdmitted(Failure::NotSeated)]);
    let other = shell.watch(6);
    shell.forget_told();
    let [opening, action] = loan_and_action(&shell, edge(0));
    shell.submit(other, opening.clone());
    assert_eq!(shell.refusal(other), Refusal::NotYourSeat);
    shell.submit(substitute, action.clone());
    let early = Refusal::Chain(TransactionError::WrongEpoch { expected: Epoch::FIRST, got: Epoch::new(1) });
    assert_eq!(shell.refusal(substitute), early, "not before the seat is the substitute's");
    let of_other_seat = Transaction { epoch: Epoch::new(1), ..shell.draft(seat(1), body_of(&opening).body) };
    shell.submit(substitute, by_substitute(&of_other_seat));
    assert_eq!(shell.refusal(substitute), Refusal::NotYourSeat);
    let by_itself = Delegation { session: identity(SUBSTITUTE), ..delegation(&shell, Epoch::new(1)) };
    let by_itself = TransactionBody::Delegate(SignedDelegation::sign(&key(SUBSTITUTE), &by_itself));
    shell.submit(substitute, by_substitute(&Transaction { body: by_itself, ..body_of(&opening) }));
    assert_eq!(shell.refusal(substitute), Refusal::Chain(TransactionError::BadDelegation));
    shell.submit(substitute, opening);
    shell.receipt(substitute);
    shell.submit(other, action.clone());
    assert_eq!(shell.refusal(other), Refusal::NotYourSeat);
    shell.submit(substitute, action);
    shell.receipt(substitute);
}

#[test]
fn with_open_moves_the_others_see_what_the_substitute_does() {
    let mut shell = Shell::playing(RoomSpec { visibility: Visibility::Open, ..spec(2) });
    let (substitute, other) = (standing_in(&mut shell), shell.watch(6));
    shell.forget_told();
    take_over(&mut shell, substitute);
    assert!(matches!(shell.messages(substitute)[..], [ServerMessage::Receipt(_), ServerMessage::Receipt(_)]));
    for guest in [shell.guests[1], other] {
        assert!(matches!(shell.messages(guest)[..], [ServerMessage::Relay(_), ServerMessage::Relay(_)]));
    }
}

#[test]
fn a_seat_has_one_substitute() {
    let mut shell = Shell::playing(spec(2));
    let first = standing_in(&mut shell);
    take_over(&mut shell, first);
    shell.act(seat(1), Vec::new());
    shell.forget_told();
    let next = Delegation { session: identity(6), ..delegation(&shell, Epoch::new(2)) };
    let next = Pass::Loan(SignedDelegation::sign(&key(0), &next));
    let second = shell.enter_with(6, EnterAs::Player, Some(next));
    assert_eq!(shell.told(first), [Told::Dismissed(GoodbyeReason::Replaced)]);
    assert!(!shell.messages(second).is_empty());
}

#[test]
fn a_loan_lets_in_where_nobody_may_watch_and_shows_what_is_withheld_from_those_who_do() {
    for spectators in [SpectatorPolicy::Forbidden, SpectatorPolicy::Allowed { delay_turns: 3 }] {
        let mut shell = Shell::playing(RoomSpec { spectators, ..spec(2) });
        (0..2).for_each(|_| shell.pass_turn());
        let substitute = come(&mut shell, SUBSTITUTE, Epoch::new(1));
        let caught_up = ServerMessage::CaughtUp { height: shell.head().height };
        assert!(shell.messages(substitute).contains(&caught_up), "{spectators:?}");
        take_over(&mut shell, substitute);
        shell.act(seat(1), Vec::new());
        assert_eq!(shell.head().turn, Turn::new(3));
    }
}

#[test]
fn whoever_is_not_let_in_is_no_substitute_and_sends_none_away() {
    let mut shell = Shell::playing(spec(2));
    let first = standing_in(&mut shell);
    let next = Delegation { session: identity(6), ..delegation(&shell, Epoch::new(1)) };
    let pass = Pass::Loan(SignedDelegation::sign(&key(0), &next));
    let shown = Some(Box::new(ShownPass { pass, session: Digest::ZERO }));
    let (guest, height) = (shell.new_guest(), Height::new(7));
    let (identity, enter_as) = (identity(6), EnterAs::Player);
    shell.feed(Input::Resume { guest, identity, enter_as, height, known: false, shown });
    assert_eq!(shell.told(guest), [Told::NotAdmitted(Failure::UnknownHead)]);
    assert!(shell.told(first).is_empty());
    let again = shell.enter(6);
    assert_eq!(shell.told(again), [Told::NotAdmitted(Failure::NotSeated)]);
}

#[test]
fn a_rematch_is_of_those_who_held_the_seats() {
    let mut shell = Shell::playing(RoomSpec { turns_max: Some(1), ..spec(2) });
    let substitute = standing_in(&mut shell);
    shell.pass_turn();
    shell.forget_told();
    for guest in shell.guests.clone() {
        shell.feed(Input::Rematch { guest });
    }
    assert!(shell.room.spec().is_some(), "in the lobby");
    let told = shell.told(substitute);
    assert_eq!(told.last(), Some(&Told::Dismissed(GoodbyeReason::RoomClosed)), "{told:?}");
    assert_eq!(shell.room.seats_taken(), 2);
}

/// Who comes with a loan that is not good comes for nothing else.
#[test]
fn a_spent_loan_lets_nobody_in_where_a_seat_is_open() {
    let mut shell = with_an_open_seat();
    assert_eq!(shell.room.open_seats(), 1);
    let bad = come(&mut shell, SUBSTITUTE, Epoch::new(2));
    assert_eq!(shell.told(bad), [Told::NotAdmitted(Failure::NotSeated)]);
    let good = come(&mut shell, SUBSTITUTE, Epoch::new(1));
    assert!(!matches!(shell.told(good)[0], Told::NotAdmitted(_)));
}

/// Whoever had come for an open seat before is a substitute like any other.
#[test]
fn a_substitute_is_never_idle() {
    let mut shell = with_an_open_seat();
    shell.enter(SUBSTITUTE);
    let substitute = come(&mut shell, SUBSTITUTE, Epoch::new(1));
    for _ in 0..9 {
        shell.pass(10_000);
        (0..2).for_each(|of| shell.act(seat(of), Vec::new()));
    }
    assert_eq!(shell.head().turn, Turn::new(9));
    assert!(!shell.told(substitute).iter().any(|told| matches!(told, Told::Dismissed(_))));
}

#[test]
fn a_loan_counts_from_what_the_holder_has_opened_in_the_open_turn() {
    let mut shell = Shell::playing(spec(2));
    let [opening, _] = shell.delegate_and_act(seat(0), Vec::new());
    shell.submit(shell.guests[0], opening);
    let substitute = come(&mut shell, SUBSTITUTE, Epoch::new(2));
    shell.forget_told();
    shell.act(seat(1), Vec::new());
    let told = shell.told(substitute);
    assert!(!told.iter().any(|told| matches!(told, Told::Dismissed(_))), "{told:?}");
}

#[test]
fn nobody_plays_for_two_seats() {
    let mut shell = Shell::playing(spec(3));
    let loan = |shell: &Shell, of: u8, to: u8| {
        let delegation =
            Delegation { seat: seat(of), session: identity(to), ..delegation(shell, Epoch::new(1)) };
        Pass::Loan(SignedDelegation::sign(&key(of), &delegation))
    };
    let substitute = shell.enter_with(SUBSTITUTE, EnterAs::Player, Some(loan(&shell, 0, SUBSTITUTE)));
    shell.forget_told();
    let of_another = shell.enter_with(SUBSTITUTE, EnterAs::Player, Some(loan(&shell, 1, SUBSTITUTE)));
    assert_eq!(shell.told(of_another), [Told::NotAdmitted(Failure::NotSeated)]);
    assert!(shell.told(substitute).is_empty());
}

/// Two players in their first turn, which is long, and an open seat.
fn with_an_open_seat() -> Shell {
    let mut shell =
        Shell::open(RoomSpec { seats_min: 2, late_joins: true, deadline_ms: Some(600_000), ..spec(3) });
    shell.guests = [0, 1].map(|player| shell.enter(player)).into();
    shell.guests.clone().into_iter().for_each(|guest| shell.ready(guest));
    [0, 1].into_iter().for_each(|of| shell.submit(shell.guests[usize::from(of)], shell.join(seat(of))));
    shell
}

/// The substitute comes with the loan that is not spent, whether it is in force or not.
fn standing_in(shell: &mut Shell) -> GuestId {
    let next = shell.chain().next_of(seat(0)).unwrap();
    let epoch =
        if next.session == Some(identity(SUBSTITUTE)) { next.epoch } else { next.epoch.unwrap().next() };
    let guest = come(shell, SUBSTITUTE, epoch.unwrap());
    shell.told(guest);
    guest
}

/// Somebody comes with the substitute's loan of this epoch.
fn come(shell: &mut Shell, player: u8, epoch: Epoch) -> GuestId {
    let loan = SignedDelegation::sign(&key(0), &delegation(shell, epoch));
    shell.enter_with(player, EnterAs::Player, Some(Pass::Loan(loan)))
}

fn take_over(shell: &mut Shell, substitute: GuestId) {
    for transaction in loan_and_action(shell, edge(0)) {
        shell.submit(substitute, transaction);
    }
}

/// The delegation by which seat 0 is lent, and commands under it.
fn loan_and_action(shell: &Shell, commands: Vec<u8>) -> [SignedTransaction; 2] {
    let epoch = shell.chain().next_of(seat(0)).unwrap().epoch.unwrap().next().unwrap();
    let opening = loan(shell, epoch);
    let opened = body_of(&opening);
    let action = Transaction {
        seq: opened.seq.next().unwrap(),
        prev_tx: opening.hash(),
        body: TransactionBody::Turn(commands),
        ..opened
    };
    [opening, by_substitute(&action)]
}

fn loan(shell: &Shell, epoch: Epoch) -> SignedTransaction {
    let signed = SignedDelegation::sign(&key(0), &delegation(shell, epoch));
    let draft = shell.draft(seat(0), TransactionBody::Delegate(signed));
    by_substitute(&Transaction { epoch, ..draft })
}

fn delegation(shell: &Shell, epoch: Epoch) -> Delegation {
    let (match_id, session) = (shell.chain().match_id(), identity(SUBSTITUTE));
    let version = Delegation::VERSION;
    Delegation { version, match_id, seat: Seat::new(0).unwrap(), epoch, session, valid_to: None }
}

fn under_loan(shell: &Shell, commands: Vec<u8>) -> SignedTransaction {
    by_substitute(&shell.draft(seat(0), TransactionBody::Turn(commands)))
}

fn by_substitute(transaction: &Transaction) -> SignedTransaction {
    SignedTransaction::sign(&key(SUBSTITUTE), transaction)
}

fn body_of(signed: &SignedTransaction) -> Transaction {
    signed.clone().read().unwrap().get().clone()
}
