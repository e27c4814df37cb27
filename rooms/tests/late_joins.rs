//! Seats that are free when the match begins: whoever comes later takes them.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use cadastre_protocol::{
    AbsenceReason, BlockKind, DoubleTransactionPolicy, EnterAs, Epoch, Failure, GoodbyeReason,
    RandomnessMode, Refusal, RoomSpec, Seat, SeatHolder, Seq, ServerMessage, SignedTransaction, Transaction,
    TransactionBody, TransactionError, Turn, TurnMode, Visibility,
};
use cadastre_rooms::{Event, GuestId, Room};
use support::{
    DEADLINE_MS, Shell, Told, delegation_by, edge, host, identity, key, kind, name, room_name, seat, spec,
};

#[test]
fn a_match_begins_with_those_who_are_there_and_waits_for_nobody_else() {
    let shell = playing();
    let genesis = shell.room.genesis().unwrap();
    let holders = [Some(0), None, Some(2)]
        .map(|player| player.map_or(SeatHolder::Open, |player| SeatHolder::Player(identity(player))));
    assert_eq!(genesis.seats, holders);
    assert_eq!((shell.room.open_seats(), shell.room.seat_count()), (1, 3));
    let mut shell = shell;
    shell.act(seat(0), edge(0));
    shell.act(seat(2), Vec::new());
    let block = shell.blocks(shell.guests[2]).pop().unwrap();
    assert_eq!(kind(&block), &BlockKind::Turn);
    let absent: Vec<_> = block.absent().iter().map(|absence| (absence.seat, absence.reason)).collect();
    assert_eq!(absent, [(seat(1), AbsenceReason::OpenSeat)]);
}

#[test]
fn somebody_takes_the_seat_and_keeps_it_over_a_restart() {
    let mut shell = playing();
    let late = shell.enter(5);
    let messages = shell.messages(late);
    let ServerMessage::Genesis { names, begun: true, .. } = &messages[0] else { panic!() };
    assert_eq!((names[0].clone(), names[1].as_str(), names[2].clone()), (name(0), "open seat", name(2)));
    shell.submit(late, join(&shell, seat(1), 5));
    shell.receipt(late);
    assert_eq!(shell.room.open_seats(), 0, "it is taken, though no block says so yet");
    let too_late = shell.enter(6);
    assert_eq!(shell.told(too_late), [Told::NotAdmitted(Failure::NotSeated)]);
    shell.crash();
    shell.guests = vec![shell.enter(0), shell.enter(5), shell.enter(2)];
    shell.act(seat(0), edge(0));
    shell.act(seat(2), Vec::new());
    assert_eq!(shell.head().turn, Turn::new(1));
    assert_eq!(shell.chain().seat_of(identity(5)), Some(seat(1)));
    // Now the turns wait for it.
    shell.act(seat(0), Vec::new());
    shell.act(seat(2), Vec::new());
    assert_eq!(shell.head().turn, Turn::new(1));
    let action = shell.draft(seat(1), TransactionBody::Turn(edge(1)));
    shell.submit(shell.guests[1], by(5, &action));
    assert_eq!(shell.head().turn, Turn::new(2));
    let again = shell.resume(5, EnterAs::Player, 2);
    assert!(!matches!(shell.told(again)[0], Told::NotAdmitted(_)));
}

#[test]
fn whoever_comes_later_is_told_who_has_taken_the_seat_once_a_block_says_so() {
    let mut shell = playing();
    let late = shell.enter(5);
    shell.submit(late, join(&shell, seat(1), 5));
    let called = |shell: &mut Shell| {
        let watcher = shell.watch(7);
        let messages = shell.messages(watcher);
        let ServerMessage::Genesis { names, .. } = &messages[0] else { panic!() };
        names[1].clone()
    };
    assert_eq!(called(&mut shell).as_str(), "open seat");
    shell.act(seat(0), edge(0));
    shell.act(seat(2), Vec::new());
    assert_eq!(called(&mut shell), name(5));
}

#[test]
fn whoever_comes_back_before_the_seat_is_his_is_called_as_before() {
    let mut shell = playing();
    let late = shell.enter(5);
    shell.leave(late);
    let late = shell.resume(5, EnterAs::Player, 1);
    shell.submit(late, join(&shell, seat(1), 5));
    shell.act(seat(0), edge(0));
    shell.act(seat(2), Vec::new());
    assert_eq!(shell.room.open_seats(), 0);
    let watcher = shell.watch(7);
    let messages = shell.messages(watcher);
    let ServerMessage::Genesis { names, .. } = &messages[0] else { panic!() };
    assert_eq!(names[1], name(5));
}

#[test]
fn whoever_comes_and_takes_no_seat_has_to_make_way() {
    let mut shell = begun(RoomSpec { deadline_ms: Some(600_000), ..open_spec() });
    let mut idler = shell.enter(5);
    for turn in 0..8 {
        assert!(!is_dismissed(&mut shell, idler));
        pass_turn(&mut shell);
        if turn == 3 {
            // Another connection makes the time no longer.
            idler = shell.enter(5);
        }
    }
    shell.pass(29_999);
    pass_turn(&mut shell);
    assert!(!is_dismissed(&mut shell, idler), "there is time");
    shell.pass(1);
    pass_turn(&mut shell);
    assert!(is_dismissed(&mut shell, idler));
    // Time alone is no reason: there were no turns to take it in.
    let slow = shell.enter(6);
    shell.pass(60_000);
    pass_turn(&mut shell);
    assert!(!is_dismissed(&mut shell, slow));
    shell.submit(slow, join(&shell, seat(1), 6));
    for _ in 0..9 {
        pass_turn(&mut shell);
        shell.pass(600_000);
    }
    assert!(!is_dismissed(&mut shell, slow), "he plays, if badly");
}

#[test]
fn whoever_comes_and_takes_no_seat_makes_way_for_the_next_one_at_once() {
    let mut shell = begun(RoomSpec { deadline_ms: Some(600_000), ..open_spec() });
    let idler = shell.enter(5);
    (0..8).for_each(|_| pass_turn(&mut shell));
    shell.pass(30_000);
    assert!(!is_dismissed(&mut shell, idler), "nobody minds");
    let next = shell.enter(6);
    assert!(is_dismissed(&mut shell, idler));
    shell.submit(next, join(&shell, seat(1), 6));
    assert!(shell.messages(next).iter().any(|message| matches!(message, ServerMessage::Receipt(_))));
}

#[test]
fn of_two_who_want_the_seat_the_first_gets_it() {
    let mut shell = playing();
    let first = shell.enter(5);
    // No more come in than there are seats.
    let second = shell.enter(6);
    assert_eq!(shell.told(second), [Told::NotAdmitted(Failure::NotSeated)]);
    shell.leave(first);
    let (second, watcher) = (shell.enter(6), shell.watch(5));
    shell.forget_told();
    let joined = join(&shell, seat(1), 6);
    shell.submit(second, join(&shell, seat(1), 5));
    assert_eq!(shell.refusal(second), Refusal::NotYourSeat, "for somebody else");
    shell.submit(watcher, join(&shell, seat(1), 5));
    assert_eq!(shell.refusal(watcher), Refusal::NotYourSeat, "who only watches");
    shell.submit(second, join(&shell, seat(0), 6));
    assert_eq!(shell.refusal(second), Refusal::Chain(TransactionError::SeatTaken));
    shell.submit(shell.guests[0], join(&shell, seat(1), 0));
    assert_eq!(shell.refusal(shell.guests[0]), Refusal::Chain(TransactionError::AlreadySeated));
    shell.submit(second, joined.clone());
    let receipt = shell.receipt(second);
    shell.submit(second, joined);
    assert_eq!(shell.receipt(second), receipt);
}

#[test]
fn where_an_open_seat_would_be_to_move_the_game_goes_on_at_once() {
    let mut shell = begun(RoomSpec { mode: TurnMode::Alternating, ..open_spec() });
    shell.act(seat(0), edge(0));
    assert_eq!(shell.head().turn, Turn::new(2), "seat 1 has passed");
    assert_eq!(shell.chain().required().iter().collect::<Vec<_>>(), [seat(2)]);
    let late = shell.enter(5);
    shell.submit(late, join(&shell, seat(1), 5));
    shell.act(seat(2), edge(1));
    shell.act(seat(0), edge(2));
    assert_eq!(shell.chain().required().iter().collect::<Vec<_>>(), [seat(1)]);
    shell.pass(DEADLINE_MS);
    assert_eq!(shell.head().turn, Turn::new(5));
}

#[test]
fn with_open_moves_the_others_see_who_comes() {
    let mut shell = begun(RoomSpec { visibility: Visibility::Open, ..open_spec() });
    let late = shell.enter(5);
    shell.forget_told();
    shell.submit(late, join(&shell, seat(1), 5));
    shell.receipt(late);
    for guest in [shell.guests[0], shell.guests[2]] {
        assert!(matches!(shell.messages(guest)[..], [ServerMessage::Relay(_)]));
    }
}

/// Until a block says who has taken the seat, none can end the match over him.
#[test]
fn whoever_signs_twice_as_he_comes_is_charged_and_ends_nothing() {
    let double_transactions = DoubleTransactionPolicy::EndMatch;
    let mut shell = begun(RoomSpec { double_transactions, ..open_spec() });
    let late = shell.enter(5);
    let joined = join(&shell, seat(1), 5);
    let first = joined.clone().read().unwrap().get().clone();
    let second = by(5, &Transaction { body: TransactionBody::Turn(edge(1)), ..first });
    shell.submit(late, joined);
    shell.forget_told();
    shell.submit(late, second);
    assert!(matches!(shell.refusal(late), Refusal::Chain(_)));
    assert!(shell.events.iter().any(|event| matches!(event, Event::Double { .. })), "{:?}", shell.events);
    shell.act(seat(0), edge(0));
    shell.act(seat(2), Vec::new());
    assert_eq!((shell.head().turn, shell.chain().sealed()), (Turn::new(1), None), "the match goes on");
    assert_eq!(shell.chain().seat_of(identity(5)), Some(seat(1)));
}

#[test]
fn what_is_hidden_leaves_no_seat_open() {
    let turns_max = Some(20);
    for bad in [
        RoomSpec { visibility: Visibility::Sealed, ..open_spec() },
        RoomSpec { randomness: RandomnessMode::CommitReveal, turns_max, ..open_spec() },
    ] {
        assert!(Room::open(room_name(), host(), bad).is_none());
    }
}

fn open_spec() -> RoomSpec {
    RoomSpec { seats_min: 2, late_joins: true, ..spec(3) }
}

fn playing() -> Shell {
    begun(open_spec())
}

/// The players 0 and 2 on their seats, in the first turn; seat 1 is open.
fn begun(spec: RoomSpec) -> Shell {
    let mut shell = Shell::open(spec);
    let guests: Vec<GuestId> = [0, 1, 2].map(|player| shell.enter(player)).into();
    shell.leave(guests[1]);
    shell.guests = vec![guests[0], guests[2]];
    for guest in shell.guests.clone() {
        shell.ready(guest);
    }
    for (guest, of) in [(guests[0], 0), (guests[2], 2)] {
        shell.submit(guest, shell.join(seat(of)));
    }
    shell.guests = guests;
    shell.forget_told();
    shell
}

/// The seats 0 and 2 act, with which the turn is over.
fn pass_turn(shell: &mut Shell) {
    shell.act(seat(0), Vec::new());
    shell.act(seat(2), Vec::new());
}

fn is_dismissed(shell: &mut Shell, guest: GuestId) -> bool {
    shell.told(guest).contains(&Told::Dismissed(GoodbyeReason::Silent))
}

fn join(shell: &Shell, seat: Seat, player: u8) -> SignedTransaction {
    let delegation = delegation_by(player, seat, shell.chain().match_id(), Epoch::FIRST);
    let body = TransactionBody::LateJoin { identity: identity(player), delegation };
    let seen = shell.draft(support::seat(0), body);
    let prev_tx = seen.match_id.as_tx();
    let join = Transaction { seat, epoch: Epoch::FIRST, seq: Seq::JOIN, prev_tx, ..seen };
    by(player, &join)
}

fn by(player: u8, transaction: &Transaction) -> SignedTransaction {
    SignedTransaction::sign(&key(player).session(transaction.match_id, transaction.epoch), transaction)
}
