//! What players agree on beside takebacks: a pause, an end, and whom the turn waits for no longer.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod reference;
mod support;

use cadastre_protocol::{
    AbsenceReason, AgreementPolicy, BlockError, BlockKind, Clock, Genesis, Motion, REOPENS_MAX, ReopenReason,
    STANCES_PER_TURN_MAX, SealReason, Seat, SeatSet, SkipPolicy, Transaction, TransactionBody,
    TransactionError, TurnMode, Visibility,
};
use support::{DEADLINE_MS, Match, Parts, allow_agreements, read, seat};

const PAUSE: Motion = Motion::Pause { ms: 10_000 };
const HALF_MS: u64 = DEADLINE_MS as u64 / 2;

#[test]
fn after_a_pause_the_turn_is_the_same_and_its_time_is_later() {
    let mut game = playing(2);
    let before = game.chain.state().clone();
    let deadline = before.head().deadline.unwrap();
    let next = game.chain.next_of(seat(0));
    game.append(&game.pause(10_000, &[wants(&game, 0, PAUSE), wants(&game, 1, PAUSE)]));
    let head = *game.chain.head();
    assert_eq!((head.turn, head.attempt), (before.head().turn, before.head().attempt));
    assert_eq!(head.state_root, before.head().state_root);
    assert_eq!(head.deadline, Some(deadline.after(10_000)));
    assert_eq!(game.chain.deadline_of(seat(0)), head.deadline);
    assert_eq!(game.chain.next_of(seat(0)), next, "it takes up nothing");
    // A restart leaves what is left of the pause.
    game.append(&game.reopen());
    assert!(game.chain.head().deadline >= Some(deadline.after(10_000)));
}

#[test]
fn a_pause_shows_the_consents_and_not_what_else_was_handed_in() {
    let game = playing(2);
    let action = game.action(seat(0));
    let mine = game.following(&action, wants(&game, 0, PAUSE));
    let delegate = game.delegate(seat(1));
    let yours = game.following(&delegate, wants(&game, 1, PAUSE));
    let judged_with = |transactions: &[Transaction]| judged(&game, &game.pause(10_000, transactions));
    assert_eq!(judged_with(&[mine.clone(), delegate.clone(), yours.clone()]), Ok(()));
    let refused = |transactions: &[Transaction]| match judged_with(transactions) {
        Err(BlockError::Entry { error, .. }) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&[action, mine.clone(), yours.clone()]), TransactionError::WrongKind);
    assert!(matches!(refused(&[mine.clone(), yours.clone()]), TransactionError::WrongEpoch { .. }));
    let earlier = Transaction { seq: cadastre_protocol::Seq::JOIN, ..mine.clone() };
    assert!(matches!(refused(&[earlier]), TransactionError::WrongSeq { .. }));
    let mut draft = game.chain.open_turn();
    for tx in [game.action(seat(0)), mine, delegate, yours] {
        let admission = draft.check(&game.chain, read(&game.sign(&tx)), game.after_head(100)).unwrap();
        draft.accept(admission);
    }
    let block = game.chain.draft_agreed(draft, game.after_head(200)).unwrap();
    let block = block.finish(game.chain.head().state_root);
    assert_eq!(block.entries().len(), 3);
    assert!(game.chain.check(block).is_ok());
}

#[test]
fn a_pause_or_an_end_needs_the_same_word_of_all_who_have_not_resigned() {
    let mut game = playing(3);
    let says = |game: &Match, motions: [Motion; 3]| -> Vec<Transaction> {
        (0..).zip(motions).map(|(index, motion)| wants(game, index, motion)).collect()
    };
    let lacks = |game: &Match, parts: &Parts, of| {
        assert_eq!(judged(game, parts), Err(BlockError::NoConsent { seat: seat(of) }));
    };
    lacks(&game, &game.pause(10_000, &[]), 0);
    lacks(&game, &game.pause(10_000, &says(&game, [PAUSE; 3])[..2]), 2);
    lacks(&game, &game.pause(10_000, &says(&game, [PAUSE, Motion::Pause { ms: 10_001 }, PAUSE])), 1);
    lacks(&game, &game.pause(10_001, &says(&game, [PAUSE; 3])), 0);
    lacks(&game, &game.agreed_end(&says(&game, [Motion::End, Motion::End, PAUSE])), 2);
    lacks(&game, &game.agreed_end(&says(&game, [Motion::End, Motion::Nothing, Motion::End])), 1);
    assert_eq!(judged(&game, &game.agreed_end(&says(&game, [Motion::End; 3]))), Ok(()));
    let resign = game.transaction(seat(1), TransactionBody::Resign);
    let consents = says(&game, [Motion::End; 3]);
    let after = game.following(&consents[1], resign.clone());
    assert_eq!(
        refused(
            &game,
            &[consents[1].clone(), after.clone()],
            &game.following(&after, wants(&game, 1, PAUSE))
        ),
        Some(TransactionError::Resigned)
    );
    game.append(&game.turn(&[game.action(seat(0)), resign, game.action(seat(2))]));
    let consents = says(&game, [Motion::End; 3]);
    game.append(&game.agreed_end(&[consents[0].clone(), consents[2].clone()]));
    assert_eq!(game.chain.sealed(), Some(SealReason::Agreed));
    assert_eq!(game.chain.standings()[1].place, 3, "whoever has resigned stands behind the others");
}

#[test]
fn no_turn_is_closed_over_what_all_have_agreed_on() {
    let game = playing(2);
    for motion in [PAUSE, Motion::End] {
        let actions = [0, 1].map(|index| game.action(seat(index)));
        let [mine, yours] = &actions;
        let consents =
            [game.following(mine, wants(&game, 0, motion)), game.following(yours, wants(&game, 1, motion))];
        let turn = game.turn(&[&actions[..], &consents].concat());
        assert_eq!(judged(&game, &turn), Err(BlockError::AgreementDue), "playing withdraws no {motion:?}");
        let no_more = game.following(&consents[0], wants(&game, 0, Motion::Nothing));
        let turn = game.turn(&[&actions[..], &consents, &[no_more]].concat());
        assert_eq!(judged(&game, &turn), Ok(()));
    }
}

#[test]
fn who_wanted_a_pause_that_has_been_wants_no_other() {
    let mut game = playing(2);
    let consents = [0, 1].map(|index| wants(&game, index, PAUSE));
    let said = game.entries(&consents);
    game.append(&game.pause(10_000, &consents));
    let again = game.block(pausing(10_000), said.clone(), Vec::new(), 100);
    assert_eq!(judged(&game, &again), Err(BlockError::NoConsent { seat: seat(0) }));
    let actions =
        [0, 1].map(|index| game.following(&consents[index], game.action(seat(u8::try_from(index).unwrap()))));
    let whole = [said.clone(), game.entries(&actions)].concat();
    assert_eq!(
        judged(&game, &game.block(BlockKind::Turn, whole, Vec::new(), 2000)),
        Ok(()),
        "the turn goes on"
    );
    // Another one, for which all have spoken since.
    let anew = [0, 1]
        .map(|index| game.following(&consents[index], wants(&game, u8::try_from(index).unwrap(), PAUSE)));
    let deadline = game.chain.head().deadline.unwrap();
    assert_eq!(anew[0].seen_height, game.chain.head().height);
    let stale = Transaction {
        seen_height: consents[0].seen_height,
        seen_block: consents[0].seen_block,
        ..anew[0].clone()
    };
    assert_eq!(
        judged(&game, &game.pause(10_000, &[stale, anew[1].clone()])),
        Err(BlockError::NoConsent { seat: seat(0) })
    );
    game.append(&game.pause(10_000, &anew));
    assert_eq!(game.chain.head().deadline, Some(deadline.after(10_000)));
}

#[test]
fn a_turn_that_was_opened_again_too_often_is_closed_over_a_pause() {
    let mut game = playing(2);
    for _ in 0..REOPENS_MAX {
        game.append(&game.reopen());
    }
    let consents = [0, 1].map(|index| wants(&game, index, PAUSE));
    assert_eq!(judged(&game, &game.pause(10_000, &consents)), Err(BlockError::WrongKind));
    let actions = [0, 1].map(|index| game.following(&consents[usize::from(index)], game.action(seat(index))));
    assert_eq!(judged(&game, &game.turn(&[consents, actions].concat())), Ok(()));
}

#[test]
fn no_bank_runs_while_the_match_is_paused() {
    let mut game = Match::started_with(2, |genesis| {
        allow_agreements(genesis);
        genesis.turns.clock = Clock::Bank { initial_ms: 20_000, increment_ms: 0 };
    });
    let consents = [0, 1].map(|index| wants(&game, index, PAUSE));
    let (said, opened) = (game.entries(&consents), game.chain.head().server_time);
    game.append(&game.pause(10_000, &consents));
    assert_eq!(game.chain.deadline_of(seat(0)), Some(opened.after(30_000)));
    let actions = [0, 1].map(|index| game.following(&consents[usize::from(index)], game.action(seat(index))));
    let received = |index: usize, after| {
        let entry = game.entry(&actions[index], 0);
        cadastre_protocol::Entry { received: opened.after(after), ..entry }
    };
    let entries = [said, vec![received(0, 9_000), received(1, 17_000)]].concat();
    game.append(&game.block(BlockKind::Turn, entries, Vec::new(), 17_000));
    let banks = [0, 1].map(|index| game.chain.clock_of(seat(index)).unwrap().bank_ms.unwrap());
    assert_eq!(banks, [20_000, 13_000]);
}

#[test]
fn a_quorum_skips_a_seat_once_half_of_its_time_is_over() {
    let game = playing(3);
    let acting = skips(&game, &[0, 1], 2);
    let at = |ms| judged(&game, &game.skipping(seat(2), &acting, ms));
    assert_eq!(at(HALF_MS), Ok(()));
    assert_eq!(at(u64::from(DEADLINE_MS) - 1), Ok(()));
    assert_eq!(at(HALF_MS - 1), Err(BlockError::WrongAbsence));
    assert_eq!(at(u64::from(DEADLINE_MS)), Err(BlockError::WrongAbsence), "its time was up anyway");
    let late = game.turn(&acting);
    assert_eq!(late.absent[0].reason, AbsenceReason::Deadline);
    assert_eq!(judged(&game, &late), Ok(()));
    let open = open_with(&game, &acting);
    assert_eq!(open.closes_at(&game.chain), Some(game.after_head(HALF_MS)));
}

#[test]
fn nobody_is_skipped_without_a_quorum() {
    let closed = |game: &Match, by: &[u8], of: u8| {
        let mut acting: Vec<_> = skips(game, by, of);
        let others = game.seats().filter(|other| other.get() != of && !by.contains(&other.get()));
        acting.extend(others.map(|other| game.action(other)));
        judged(game, &game.skipping(seat(of), &acting, HALF_MS))
    };
    assert_eq!(closed(&playing(3), &[0], 2), Err(BlockError::WrongAbsence));
    assert_eq!(closed(&playing(2), &[0], 1), Err(BlockError::WrongAbsence), "one alone skips nobody");
    let four = playing(4);
    assert_eq!(closed(&four, &[0, 1], 3), Ok(()));
    let all = Match::started_with(4, |genesis| with_skip(genesis, SkipPolicy::AllOthers));
    assert_eq!(closed(&all, &[0, 1], 3), Err(BlockError::WrongAbsence));
    assert_eq!(closed(&all, &[0, 1, 2], 3), Ok(()));
    // Whoever says something else afterwards has no part in it.
    let game = playing(3);
    let mut acting = skips(&game, &[0, 1], 2);
    acting.push(game.following(&acting[2], wants(&game, 0, Motion::Nothing)));
    assert_eq!(judged(&game, &game.skipping(seat(2), &acting, HALF_MS)), Err(BlockError::WrongAbsence));
}

#[test]
fn who_is_skipped_was_absent_and_spends_the_time_that_passed() {
    let mut game = Match::started_with(3, |genesis| {
        with_skip(genesis, SkipPolicy::Majority);
        genesis.absence = cadastre_protocol::AbsencePolicy::Forfeit { abandon_after: 9, forfeit_after: 1 };
        genesis.turns.clock = Clock::Bank { initial_ms: 20_000, increment_ms: 0 };
    });
    let acting = skips(&game, &[0, 1], 2);
    game.append(&game.skipping(seat(2), &acting, 10_000));
    assert_eq!(game.chain.clock_of(seat(2)).unwrap().bank_ms, Some(10_000));
    assert!(game.chain.resigned().contains(seat(2)));
}

#[test]
fn several_are_skipped_at_once_and_in_every_mode() {
    let mut game = playing(5);
    let away = SeatSet::from_iter([seat(3), seat(4)]);
    let acting: Vec<_> = [0, 1, 2]
        .into_iter()
        .flat_map(|by| {
            let action = game.action(seat(by));
            let vote = game.following(&action, wants(&game, by, Motion::Skip { seats: away }));
            [action, vote]
        })
        .collect();
    let mut turn = game.skipping(seat(3), &acting, HALF_MS);
    turn.absent.push(cadastre_protocol::Absence { seat: seat(4), reason: AbsenceReason::Skipped });
    game.append(&turn.committed());

    let mut sealed = Match::started_with(3, |genesis| {
        with_skip(genesis, SkipPolicy::Majority);
        genesis.visibility = Visibility::Sealed;
    });
    let commits = [0, 1].map(|by| sealed.commit(seat(by)));
    let votes = [0, 1].map(|by| {
        sealed.following(
            &commits[usize::from(by)],
            wants(&sealed, by, Motion::Skip { seats: SeatSet::from_iter([seat(2)]) }),
        )
    });
    let mut half = sealed.skipping(seat(2), &[commits, votes].concat(), HALF_MS);
    (half.header.kind, half.header.turn) = (BlockKind::Commit, sealed.chain.head().turn);
    half.header.state_root = sealed.chain.head().state_root;
    sealed.append(&half.committed());
    let vote = wants(&sealed, 0, Motion::End);
    assert_eq!(refused(&sealed, &[], &vote), Some(TransactionError::WrongKind), "not between the halves");

    let mut taking_turns = Match::started_with(3, |genesis| {
        with_skip(genesis, SkipPolicy::Majority);
        genesis.turns.mode = TurnMode::Alternating;
    });
    let mover = taking_turns.chain.required().iter().next().unwrap();
    let others: Vec<_> = taking_turns.seats().filter(|other| *other != mover).collect();
    let votes: Vec<_> = others
        .iter()
        .map(|other| wants(&taking_turns, other.get(), Motion::Skip { seats: SeatSet::from_iter([mover]) }))
        .collect();
    let mut turn = taking_turns.skipping(mover, &votes, HALF_MS);
    let not_to_move =
        |seat: &Seat| cadastre_protocol::Absence { seat: *seat, reason: AbsenceReason::NotToMove };
    turn.absent.extend(others.iter().map(not_to_move));
    turn.absent.sort_by_key(|absence| absence.seat);
    taking_turns.append(&turn.committed());
}

#[test]
fn only_what_the_genesis_allows_can_be_moved_and_not_too_often() {
    let game = Match::started_with(3, |genesis| {
        genesis.agreements = AgreementPolicy { pause_ms_max: 10_000, ..AgreementPolicy::NONE };
    });
    let others = SeatSet::from_iter([seat(1)]);
    let wrong = Some(TransactionError::WrongMotion);
    let told = |game: &Match, motion| refused(game, &[], &wants(game, 0, motion));
    assert_eq!(told(&game, PAUSE), None);
    assert_eq!(told(&game, Motion::Nothing), None);
    assert_eq!(told(&game, Motion::Pause { ms: 10_001 }), wrong);
    assert_eq!(told(&game, Motion::Pause { ms: 0 }), wrong);
    assert_eq!(told(&game, Motion::End), wrong);
    assert_eq!(told(&game, Motion::Skip { seats: others }), wrong);
    let game = playing(3);
    assert_eq!(told(&game, Motion::Skip { seats: others }), None);
    assert_eq!(told(&game, Motion::Skip { seats: SeatSet::EMPTY }), wrong);
    assert_eq!(told(&game, Motion::Skip { seats: SeatSet::first(2) }), wrong, "nobody skips himself");
    assert_eq!(told(&game, Motion::Skip { seats: SeatSet::from_iter([seat(3)]) }), wrong);
    let none = Match::started(3);
    assert_eq!(told(&none, Motion::Nothing), Some(TransactionError::WrongKind));
    let mut said = vec![wants(&game, 0, PAUSE)];
    while said.len() < STANCES_PER_TURN_MAX {
        said.push(game.following(said.last().unwrap(), wants(&game, 0, Motion::End)));
    }
    let once_more = game.following(said.last().unwrap(), wants(&game, 0, PAUSE));
    assert_eq!(refused(&game, &said, &once_more), Some(TransactionError::AlreadySubmitted));
}

fn playing(seats: u8) -> Match {
    let mut game = Match::started_with(seats, allow_agreements);
    game.append(&game.full_turn());
    game
}

fn with_skip(genesis: &mut Genesis, skip: SkipPolicy) {
    allow_agreements(genesis);
    genesis.agreements.skip = skip;
}

fn wants(game: &Match, index: u8, motion: Motion) -> Transaction {
    game.motion(seat(index), motion)
}

/// These seats act, and want another one to be skipped.
fn skips(game: &Match, by: &[u8], of: u8) -> Vec<Transaction> {
    let votes = |by: &u8| {
        let action = game.action(seat(*by));
        let seats = SeatSet::from_iter([seat(of)]);
        [game.following(&action, wants(game, *by, Motion::Skip { seats })), action]
    };
    let all: Vec<_> = by.iter().map(votes).collect();
    all.iter().map(|[_, action]| action.clone()).chain(all.iter().map(|[vote, _]| vote.clone())).collect()
}

fn pausing(ms: u32) -> BlockKind {
    BlockKind::Reopen { reason: ReopenReason::Pause { ms } }
}

fn judged(game: &Match, parts: &Parts) -> Result<(), BlockError> {
    game.check(parts).map(|_| ())
}

fn open_with(game: &Match, transactions: &[Transaction]) -> cadastre_protocol::OpenTurn {
    let mut open = game.chain.open_turn();
    for tx in transactions {
        let admission = open.check(&game.chain, read(&game.sign(tx)), game.after_head(100)).unwrap();
        open.accept(admission);
    }
    open
}

/// How the next transaction is refused after these.
fn refused(game: &Match, before: &[Transaction], next: &Transaction) -> Option<TransactionError> {
    let open = open_with(game, before);
    open.check(&game.chain, read(&game.sign(next)), game.after_head(100)).err()
}
