//! Chains: a whole match passes, goes on from its stored state, and begins only from what is in order.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod reference;
mod support;

use cadastre_protocol::{
    Absence, AbsencePolicy, AbsenceReason, BlockError, CertificateError, Chain, ChainState, CodecError,
    Digest, Genesis, GenesisError, Height, KeyRole, Orders, ReopenReason, SealReason, SeatHolder,
    SignedCertificate, SpectatorPolicy, StateRoot, TakebackPolicy, Transaction, TransactionBody, Turn,
    TurnMode, UnsupportedMode, Visibility, Work, decode_exact, encode,
};
use support::{
    CREATED, Match, NEXT_SERIAL, SERIAL, VALID_TO, block_key, eventful_match, genesis, key, read, received,
    root, seat,
    stored::{StoredState, altered_state},
    weak_key,
};

#[test]
fn an_eventful_match_passes_from_its_start_to_its_seal() {
    let game = eventful_match();
    assert_eq!(game.chain.sealed(), Some(SealReason::Rules));
    assert_eq!((game.chain.head().height, game.chain.head().turn), (Height::new(9), Turn::new(5)));
    assert_eq!(game.chain.resigned().iter().collect::<Vec<_>>(), [seat(2)]);
    assert_eq!(game.chain.signer().serial(), NEXT_SERIAL);
    // Seat 2 had the most points, and resigned.
    let places: Vec<_> = game.chain.standings().iter().map(|standing| standing.place).collect();
    assert_eq!(places, [2, 1, 3]);
}

#[test]
fn in_alternating_mode_only_the_seats_to_move_are_waited_for() {
    let mut game = Match::started_with(3, |genesis| genesis.turns.mode = TurnMode::Alternating);
    for turn in 1..7 {
        let mover = seat((turn - 1) % 3);
        assert_eq!(game.chain.required().iter().collect::<Vec<_>>(), [mover]);
        let parts = game.full_turn();
        assert!(parts.absent.iter().all(|absence| absence.reason == AbsenceReason::NotToMove));
        assert!(game.after_head(2000) < game.chain.head().deadline.unwrap());
        game.append(&parts);
    }
    // A seat that is not to move may still give up, and is not absent then.
    let resign = game.transaction(seat(2), TransactionBody::Resign);
    let parts = game.turn(&[game.action(seat(0)), resign]);
    assert_eq!(parts.absent, [Absence { seat: seat(1), reason: AbsenceReason::NotToMove }]);
    game.append(&parts);
}

#[test]
fn a_match_in_which_nobody_acts_must_be_sealed_as_abandoned() {
    let mut game = Match::started_with(2, |g| g.absence = AbsencePolicy::Pass { abandon_after: 2 });
    game.append(&game.turn(&[]));
    assert_eq!(game.chain.seal_due(), None);
    // A delegation is no action.
    game.append(&game.turn(&[game.delegate(seat(0))]));
    assert_eq!(game.chain.seal_due(), Some(SealReason::Abandoned));
    assert_eq!(game.check(&game.turn(&[])).unwrap_err(), BlockError::WrongKind);
    game.append(&game.seal(SealReason::Abandoned));
}

#[test]
fn an_action_begins_the_count_of_silent_turns_anew() {
    let mut game = Match::started_with(2, |g| g.absence = AbsencePolicy::Pass { abandon_after: 2 });
    game.append(&game.turn(&[]));
    game.append(&game.turn(&[game.action(seat(1))]));
    game.append(&game.turn(&[]));
    assert_eq!(game.chain.seal_due(), None);
}

#[test]
fn a_match_ends_at_its_last_turn_and_when_one_seat_is_left() {
    let mut game = Match::started_with(2, |genesis| genesis.turns.turns_max = Some(1));
    game.append(&game.full_turn());
    assert_eq!(game.chain.seal_due(), Some(SealReason::TurnLimit));
    game.append(&game.seal(SealReason::TurnLimit));

    let mut game = Match::started(2);
    game.append(&game.turn(&[game.action(seat(0)), game.transaction(seat(1), TransactionBody::Resign)]));
    assert_eq!(game.chain.seal_due(), Some(SealReason::Resigned));
    game.append(&game.seal(SealReason::Resigned));
}

#[test]
fn a_stored_state_goes_on_as_if_nothing_had_been() {
    let whole = eventful_match();
    let mut chain = Match::of(3).chain;
    for proven in &whole.blocks {
        let state: ChainState = decode_exact(&encode(chain.state())).unwrap();
        assert_eq!(&state, chain.state());
        let executed = whole.toy.after(chain.head().turn);
        let mut again = Chain::from_state_unverified(chain.genesis().clone(), state, executed).unwrap();
        for chain in [&mut chain, &mut again] {
            let checked = chain.check_proven(received(proven)).unwrap();
            let executed = whole.toy.after(checked.block().header().turn);
            chain.append(checked, executed).unwrap();
        }
        assert_eq!(again.state(), chain.state());
        assert_eq!((again.signer(), again.seal_due()), (chain.signer(), chain.seal_due()));
    }
    assert_eq!(chain.head(), whole.chain.head());
}

#[test]
fn drafts_are_the_blocks_that_others_put_together() {
    let mut game = Match::of(2);
    let mut joins = game.chain.open_turn();
    for entry in game.start().entries {
        joins.accept(joins.check(&game.chain, read(&entry.transaction), entry.received).unwrap());
    }
    let start = game.chain.draft_start(joins, game.after_head(1000), None).unwrap();
    let start = start.finish(game.chain.head().state_root);
    assert_eq!(start.to_bytes(), encode(&game.start().block()));
    game.append(&game.start());

    let by_hand = game.turn(&[game.action(seat(1))]);
    let mut open = game.chain.open_turn();
    let entry = &by_hand.entries[0];
    open.accept(open.check(&game.chain, read(&entry.transaction), entry.received).unwrap());
    let draft = game.chain.draft_turn(open, by_hand.header.server_time, None).unwrap();
    let Work::Turn(turn) = draft.work(|_| Vec::new()) else { panic!("a Turn is a turn's work") };
    assert_eq!(turn.orders, [Orders::new(seat(1), &[1, 1])]);
    assert_eq!(draft.finish(by_hand.header.state_root).to_bytes(), encode(&by_hand.block()));
    game.append(&by_hand);

    let reopen = game.chain.draft_reopen(ReopenReason::Restart, game.after_head(5000)).unwrap();
    assert_eq!(reopen.work(|_| Vec::new()), Work::Nothing);
    let root = game.chain.head().state_root;
    assert_eq!(reopen.finish(root).to_bytes(), encode(&game.reopen().block()));
    let seal = game.chain.draft_seal(SealReason::Operator, game.after_head(0)).unwrap();
    assert_eq!(seal.finish(root).to_bytes(), encode(&game.seal(SealReason::Operator).block()));
}

#[test]
fn a_draft_passes_even_if_the_clock_was_set_back_meanwhile() {
    let game = Match::started(2);
    let mut open = game.chain.open_turn();
    for (index, ms) in [(0, 9000), (1, 4000)] {
        let signed = game.sign(&game.action(seat(index)));
        open.accept(open.check(&game.chain, read(&signed), game.after_head(ms)).unwrap());
    }
    let draft = game.chain.draft_turn(open, game.after_head(4000), None).unwrap();
    let block = draft.finish(game.toy.after(Turn::new(1)).state_root);
    assert_eq!(block.header().server_time, game.after_head(9000));
    assert!(game.chain.check(block).is_ok());
    let draft = game.chain.draft_reopen(ReopenReason::Restart, CREATED).unwrap();
    let block = draft.finish(game.chain.head().state_root);
    assert_eq!(block.header().server_time, game.chain.head().server_time);
    assert!(game.chain.check(block).is_ok());
}

#[test]
fn a_wrong_state_root_is_taken_up_and_reported() {
    let game = Match::started(2);
    let wrong = Transaction { seen_state_root: StateRoot::new(Digest::ZERO), ..game.action(seat(1)) };
    let checked = game.check(&game.turn(&[game.action(seat(0)), wrong])).unwrap();
    assert_eq!(checked.desynced().iter().collect::<Vec<_>>(), [seat(1)]);
    assert!(matches!(checked.work(|_| Vec::new()), Work::Turn(turn) if turn.orders.len() == 2));
}

#[test]
fn a_transaction_may_have_seen_every_block_of_its_turn() {
    let mut game = Match::started(3);
    let saw_start = game.entry(&game.action(seat(0)), 10);
    game.append(&game.reopen());
    let saw_reopen = game.entry(&game.action(seat(1)), 10);
    game.append(&game.key_change());
    let saw_key_change = game.entry(&game.action(seat(2)), 10);
    let mut turn = game.full_turn();
    for entry in &mut turn.entries {
        let seen = [&saw_start, &saw_reopen, &saw_key_change];
        let seat = read(&entry.transaction).get().seat;
        *entry = seen[seat.index()].clone();
    }
    assert!(game.check(&turn.committed()).is_ok());
}

#[test]
fn a_chain_does_not_begin_in_a_mode_that_is_not_played() {
    let refused = |change: fn(&mut Genesis)| {
        let mut genesis = genesis(2);
        change(&mut genesis);
        let toy = Match::of(2).toy;
        Chain::begin(genesis, toy.after(Turn::START)).unwrap_err()
    };
    let mode = |mode| GenesisError::Unsupported(UnsupportedMode(mode));
    let both = |g: &mut Genesis| {
        g.takebacks = TakebackPolicy::Unanimous;
        support::commit_reveal(g);
    };
    assert_eq!(refused(both), mode("takebacks with hash chains"));
    let open_seats = "open seats with hash chains or sealed commands";
    let hidden = |g: &mut Genesis| (g.seats[1], g.visibility) = (SeatHolder::Open, Visibility::Sealed);
    assert_eq!(refused(hidden), mode(open_seats));
    assert_eq!(refused(|g| g.spectators = SpectatorPolicy::Later { delay_s: 0 }), mode("spectator delay"));
    assert_eq!(
        refused(|g| g.spectators = SpectatorPolicy::Later { delay_s: 3_601 }),
        mode("spectator delay")
    );
    assert_eq!(refused(|g| g.service = weak_key()), GenesisError::WeakKey);
    assert_eq!(refused(|g| g.seats[1] = SeatHolder::Player(weak_key())), GenesisError::WeakKey);
    let certificate = GenesisError::Certificate;
    assert_eq!(refused(|g| g.service = key(9).public()), certificate(CertificateError::BadSignature));
    let handshake = CertificateError::WrongRole { expected: KeyRole::Block, got: KeyRole::Handshake };
    let other_role = |g: &mut Genesis| {
        let body = support::certificate(KeyRole::Handshake, &block_key(), SERIAL);
        g.signer = SignedCertificate::issue(&root(), &body);
    };
    assert_eq!(refused(other_role), certificate(handshake));
    let expired = CertificateError::Expired { valid_to: VALID_TO, at: VALID_TO };
    assert_eq!(refused(|g| g.created = VALID_TO), certificate(expired));
    let cut = |g: &mut Genesis| g.signer.body.truncate(56);
    assert_eq!(refused(cut), certificate(CertificateError::Malformed(CodecError::Malformed)));
}

#[test]
fn a_chain_does_not_go_on_from_a_state_that_contradicts_itself() {
    let game = Match::started(2);
    let begin = |change: fn(&mut StoredState)| {
        let state = altered_state(&game.chain, change);
        let executed = game.toy.after(Turn::START);
        Chain::from_state_unverified(game.chain.genesis().clone(), state, executed).err()
    };
    assert_eq!(begin(|_| {}), None);
    assert_eq!(begin(|stored| stored.state_root = [0; 32]), Some(GenesisError::StateRoot));
    assert_eq!(begin(|stored| stored.peaks.clear()), Some(GenesisError::State));
    assert_eq!(begin(|stored| stored.height = u64::MAX), Some(GenesisError::State));
    assert_eq!(begin(|stored| stored.seats.truncate(1)), Some(GenesisError::State));
    let mut executed = game.toy.after(Turn::START);
    executed.standings.pop();
    let state = game.chain.state().clone();
    let refused = Chain::from_state_unverified(game.chain.genesis().clone(), state, executed).err();
    assert_eq!(refused, Some(GenesisError::State));
}
