//! Every rule of blocks, in the order of the errors: broken by a block that breaks no other.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod reference;
mod support;

use cadastre_protocol::{
    Absence, AbsenceReason, Attempt, BlockError, BlockHash, BlockKind, Certificate, ChainState, Digest,
    Height, KeyRole, Millis, ReopenReason, SealReason, Seat, SecretKey, ServerProof, SignedCertificate,
    SignedTransaction, Standing, StateRoot, TransactionBody, TransactionError, Turn, TurnMode, block_leaf,
    decode_exact, encode,
};
use support::{
    CREATED, DEADLINE_MS, Match, NEXT_SERIAL, Parts, SERIAL, VALID_FROM, VALID_TO, bend, block_key,
    certificate, key, next_block_key, other_match, prove_with, read, read_block, received, refusal, root,
    seat, stored::altered, weak_key,
};

#[test]
fn a_key_change_is_the_root_s_and_newer() {
    let game = Match::started(2);
    let refused = |by: &SecretKey, certificate: &Certificate| {
        refusal(&game, &game.key_change(), |parts| {
            let certificate = SignedCertificate::issue(by, certificate);
            parts.header.kind = BlockKind::KeyChange { certificate };
        })
    };
    let next = certificate(KeyRole::Block, &next_block_key(), NEXT_SERIAL);
    assert_eq!(refused(&next_block_key(), &next), BlockError::KeyChange);
    assert_eq!(refused(&block_key(), &next), BlockError::KeyChange);
    assert_eq!(refused(&root(), &Certificate { serial: SERIAL, ..next.clone() }), BlockError::KeyChange);
    assert_eq!(refused(&root(), &Certificate { serial: SERIAL - 1, ..next.clone() }), BlockError::KeyChange);
    assert_eq!(refused(&root(), &Certificate { version: 2, ..next.clone() }), BlockError::KeyChange);
    let weak = Certificate { key: weak_key(), ..next };
    assert_eq!(refused(&root(), &weak), BlockError::KeyChange);
}

#[test]
fn a_block_needs_the_proof_of_the_signer_in_force() {
    let game = Match::started(2);
    let turn = game.full_turn();
    let refused = |by: &SecretKey, parts: &Parts| {
        game.chain.check_proven(received(&prove_with(by, parts))).unwrap_err()
    };
    assert_eq!(refused(&root(), &turn), BlockError::BadProof);
    assert_eq!(refused(&next_block_key(), &turn), BlockError::BadProof);
    // A KeyChange is the first block of the new signer, not the last of the old one.
    assert_eq!(refused(&block_key(), &game.key_change()), BlockError::BadProof);

    // The proof of another block, and one under another serial than the header's.
    let mut proven = game.prove(&turn);
    proven.proof = game.blocks[0].proof.clone();
    assert_eq!(game.chain.check_proven(received(&proven)).unwrap_err(), BlockError::BadProof);
    let leaf = block_leaf(read_block(&turn.block()).hash());
    proven.proof = ServerProof::sign(&block_key(), SERIAL + 1, &[leaf]).remove(0);
    assert_eq!(game.chain.check_proven(received(&proven)).unwrap_err(), BlockError::BadProof);
}

#[test]
fn after_a_key_change_the_old_signer_proves_nothing() {
    let mut game = Match::started(2);
    game.append(&game.key_change());
    let turn = game.full_turn();
    let by_old = prove_with(&block_key(), &turn);
    assert_eq!(game.chain.check_proven(received(&by_old)).unwrap_err(), BlockError::BadProof);
    game.append(&turn);
}

#[test]
fn nothing_comes_after_the_seal() {
    let mut game = Match::started(2);
    let reopen = game.reopen();
    game.append(&game.seal(SealReason::Operator));
    for parts in [reopen, game.seal(SealReason::Operator), game.key_change()] {
        assert_eq!(game.check(&parts).unwrap_err(), BlockError::AfterSeal);
    }
}

#[test]
fn a_block_is_of_its_match() {
    let game = Match::started(2);
    let refused = refusal(&game, &game.full_turn(), |parts| parts.header.match_id = other_match());
    assert_eq!(refused, BlockError::WrongMatch);
    let other = Match::started_with(2, |genesis| genesis.nonce[0] ^= 1);
    assert_eq!(game.check(&other.full_turn()).unwrap_err(), BlockError::WrongMatch);
}

#[test]
fn block_numbers_end_instead_of_wrapping() {
    let game = Match::started(2);
    let mut last = game.clone();
    last.chain = altered(&game.chain, |stored| {
        stored.height = u64::MAX - 1;
        stored.peaks = vec![[0; 32]; 64];
    });
    let mut turn = game.full_turn();
    turn.header.height = Height::new(u64::MAX);
    assert_eq!(last.check(&turn).unwrap_err(), BlockError::Exhausted);
    assert!(last.chain.draft_reopen(ReopenReason::Restart, CREATED).is_none());

    last.chain = altered(&game.chain, |stored| {
        stored.height = u64::MAX - 2;
        stored.seen_from = u64::MAX - 2;
        stored.peaks = vec![[0; 32]; 63];
    });
    let reopen = last.chain.draft_reopen(ReopenReason::Restart, game.after_head(0)).unwrap();
    let checked = last.chain.check(reopen.finish(game.chain.head().state_root)).unwrap();
    last.chain.append(checked, game.toy.after(Turn::START)).unwrap();
    assert_eq!(last.check(&turn).unwrap_err(), BlockError::Exhausted);
}

#[test]
fn turn_numbers_end_instead_of_wrapping() {
    let game = Match::started(2);
    let mut last = game.clone();
    last.chain = altered(&game.chain, |stored| stored.turn = u32::MAX);
    let mut turn = game.full_turn();
    turn.header.turn = Turn::START;
    assert_eq!(last.check(&turn).unwrap_err(), BlockError::Exhausted);
    assert_eq!(last.chain.next_turn(), None);
    assert!(last.chain.draft_turn(last.chain.open_turn(), CREATED, None).is_none());
}

#[test]
fn a_block_has_the_next_height() {
    let game = Match::started(2);
    let expected = Height::new(2);
    for got in [0, 1, 3, u64::MAX].map(Height::new) {
        let refused = refusal(&game, &game.full_turn(), |parts| parts.header.height = got);
        assert_eq!(refused, BlockError::WrongHeight { expected, got });
    }
}

#[test]
fn a_block_links_to_the_head() {
    let game = Match::started(2);
    for link in [game.match_id().as_block(), BlockHash::new(Digest::ZERO)] {
        let refused = refusal(&game, &game.full_turn(), |parts| parts.header.prev_block = link);
        assert_eq!(refused, BlockError::WrongLink);
    }
}

#[test]
fn a_block_commits_to_all_blocks_before_it() {
    let mut game = Match::started(2);
    let before = game.full_turn().header.chain_root;
    game.append(&game.full_turn());
    for chain_root in [before, Digest::ZERO] {
        let refused = refusal(&game, &game.full_turn(), |parts| parts.header.chain_root = chain_root);
        assert_eq!(refused, BlockError::ChainRoot);
    }
}

#[test]
fn a_block_names_the_signer_in_force() {
    let mut game = Match::started(2);
    for serial in [SERIAL - 1, SERIAL + 1, u32::MAX] {
        let refused = refusal(&game, &game.full_turn(), |parts| parts.header.signer_serial = serial);
        assert_eq!(refused, BlockError::WrongSigner);
    }
    let refused = refusal(&game, &game.key_change(), |parts| parts.header.signer_serial = SERIAL);
    assert_eq!(refused, BlockError::WrongSigner);
    game.append(&game.key_change());
    let refused = refusal(&game, &game.full_turn(), |parts| parts.header.signer_serial = SERIAL);
    assert_eq!(refused, BlockError::WrongSigner);
}

#[test]
fn the_signer_s_certificate_is_valid_when_the_block_is_made() {
    let game = Match::started(2);
    let last = Millis::new(VALID_TO.get() - 1);
    let seal = |at: Millis| {
        let mut parts = game.seal(SealReason::Operator);
        parts.header.server_time = at;
        game.check(&parts).map(|_| ())
    };
    assert_eq!(seal(last), Ok(()));
    assert_eq!(seal(VALID_TO), Err(BlockError::WrongSigner));
    assert_eq!(seal(Millis::new(u64::MAX)), Err(BlockError::WrongSigner));

    let now = game.chain.head().server_time;
    for (role, valid_from, valid_to) in [
        (KeyRole::Handshake, VALID_FROM, VALID_TO),
        (KeyRole::Log, VALID_FROM, VALID_TO),
        (KeyRole::Block, now.after(11), VALID_TO),
        (KeyRole::Block, VALID_FROM, now.after(10)),
    ] {
        let refused = refusal(&game, &game.key_change(), |parts| {
            let next = certificate(role, &next_block_key(), NEXT_SERIAL);
            let next = Certificate { valid_from, valid_to, ..next };
            let certificate = SignedCertificate::issue(&root(), &next);
            parts.header.kind = BlockKind::KeyChange { certificate };
        });
        assert_eq!(refused, BlockError::WrongSigner, "{role:?} {valid_from:?} {valid_to:?}");
    }
}

#[test]
fn the_clock_never_goes_backwards() {
    let game = Match::started(2);
    let at = |ms: u64| {
        let mut parts = game.seal(SealReason::Operator);
        parts.header.server_time = Millis::new(game.chain.head().server_time.get() - ms);
        game.check(&parts).map(|_| ())
    };
    assert_eq!(at(0), Ok(()));
    assert_eq!(at(1), Err(BlockError::ClockBackwards));
}

#[test]
fn no_block_has_another_attempt_or_randomness_in_a_match_without() {
    let game = Match::started(2);
    let refused = refusal(&game, &game.full_turn(), |parts| parts.header.attempt = Attempt::new(1));
    assert_eq!(refused, BlockError::WrongAttempt);
    let refused = refusal(&game, &game.full_turn(), |parts| parts.header.randomness = Digest::new([1; 32]));
    assert_eq!(refused, BlockError::Randomness);
}

#[test]
fn the_header_commits_to_the_whole_body() {
    let game = Match::started(2);
    let good = game.turn(&[game.action(seat(0))]);
    let changes: [fn(&mut Parts); 7] = [
        |parts| parts.header.body_root = Digest::ZERO,
        |parts| parts.header.absent_root = Digest::ZERO,
        |parts| parts.entries.clear(),
        |parts| parts.absent.clear(),
        |parts| parts.entries[0].received = parts.entries[0].received.after(1),
        |parts| parts.absent[0].reason = AbsenceReason::Skipped,
        |parts| {
            // Another valid signature of the same transaction would be another block.
            let SignedTransaction { body, .. } = &parts.entries[0].transaction;
            let signature = key(0x77).sign(cadastre_protocol::Context::Transaction, Digest::ZERO);
            parts.entries[0].transaction = SignedTransaction { body: body.clone(), signature };
        },
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let mut bad = good.clone();
        change(&mut bad);
        assert_eq!(game.check(&bad).unwrap_err(), BlockError::BodyRoot, "change {index}");
    }
}

#[test]
fn kinds_of_blocks_come_where_they_belong() {
    let fresh = Match::of(2);
    let reopened = {
        let reason = ReopenReason::Restart;
        let mut parts = fresh.block(BlockKind::Reopen { reason }, vec![], vec![], 0);
        parts.header.deadline = Some(fresh.after_head(u64::from(DEADLINE_MS)));
        parts
    };
    for parts in [reopened, fresh.seal(SealReason::Operator), fresh.key_change()] {
        assert_eq!(fresh.check(&parts).unwrap_err(), BlockError::WrongKind, "{:?}", parts.header.kind);
    }
    let mut started = Match::started(2);
    for kind in [BlockKind::Start, BlockKind::Commit, BlockKind::Takeback { to_turn: Turn::START }] {
        let parts = started.block(kind, vec![], vec![], 0);
        assert_eq!(started.check(&parts).unwrap_err(), BlockError::WrongKind, "{:?}", parts.header.kind);
    }
    // Once the rules end the match, nothing but the Seal (by a new signer, if need be) can come.
    started.toy.over_after = Some(1);
    started.append(&started.full_turn());
    for parts in [started.full_turn(), started.reopen()] {
        assert_eq!(started.check(&parts).unwrap_err(), BlockError::WrongKind, "{:?}", parts.header.kind);
    }
    started.append(&started.key_change());
    started.append(&started.seal(SealReason::Rules));
}

#[test]
fn a_seal_states_the_reason_that_is_due() {
    let mut game = Match::started(2);
    let other = [SealReason::Rules, SealReason::TurnLimit, SealReason::Resigned, SealReason::Abandoned];
    for reason in other {
        assert_eq!(game.check(&game.seal(reason)).unwrap_err(), BlockError::WrongKind, "{reason:?}");
    }
    assert!(game.check(&game.seal(SealReason::Operator)).is_ok());
    game.toy.over_after = Some(1);
    game.append(&game.full_turn());
    let other = [SealReason::Operator, SealReason::TurnLimit, SealReason::Resigned, SealReason::Abandoned];
    for reason in other {
        assert_eq!(game.check(&game.seal(reason)).unwrap_err(), BlockError::WrongKind, "{reason:?}");
    }
    assert!(game.check(&game.seal(SealReason::Rules)).is_ok());
}

#[test]
fn a_turn_is_opened_again_so_often_at_most() {
    let mut game = Match::started(2);
    for _ in 0..cadastre_protocol::REOPENS_MAX {
        game.append(&game.reopen());
    }
    assert_eq!(game.check(&game.reopen()).unwrap_err(), BlockError::WrongKind);
    assert_eq!(game.check(&game.key_change()).unwrap_err(), BlockError::WrongKind);
    // The longest state that a chain can have still fits.
    let state: ChainState = decode_exact(&encode(game.chain.state())).unwrap();
    assert_eq!(&state, game.chain.state());
    game.append(&game.full_turn());
    game.append(&game.reopen());
}

#[test]
fn only_start_and_turn_have_a_body() {
    let game = Match::started(2);
    let (entry, absence) = (game.entry(&game.action(seat(0)), 1), not_to_move(seat(0)));
    for parts in [game.reopen(), game.key_change(), game.seal(SealReason::Operator)] {
        let kind = format!("{:?}", parts.header.kind);
        let refused = refusal(&game, &parts, |parts| parts.entries.push(entry.clone()));
        assert_eq!(refused, BlockError::WrongKind, "{kind}");
        let refused = refusal(&game, &parts, |parts| parts.absent.push(absence));
        assert_eq!(refused, BlockError::WrongKind, "{kind}");
    }
    let fresh = Match::of(2);
    let refused = refusal(&fresh, &fresh.start(), |parts| parts.absent.push(absence));
    assert_eq!(refused, BlockError::WrongKind);
}

#[test]
fn a_block_is_for_the_turn_that_is_open() {
    let game = Match::started(2);
    for (parts, expected) in [(game.full_turn(), 1), (game.reopen(), 0), (game.key_change(), 0)] {
        let expected = Turn::new(expected);
        for got in [2, u32::MAX, 1 - expected.get()].map(Turn::new) {
            let refused = refusal(&game, &parts, |parts| parts.header.turn = got);
            assert_eq!(refused, BlockError::WrongTurn { expected, got });
        }
    }
}

#[test]
fn the_deadline_follows_from_the_genesis() {
    let game = Match::started(2);
    let at = |ms| Some(game.after_head(ms));
    let turn = u64::from(DEADLINE_MS) + 2000;
    for (parts, others) in [
        (game.full_turn(), [None, at(turn - 1), at(turn + 1), game.chain.head().deadline]),
        (game.reopen(), [None, at(0), at(turn), game.chain.head().deadline]),
        (game.key_change(), [None, at(0), at(u64::from(DEADLINE_MS) + 10), at(u64::MAX)]),
        (game.seal(SealReason::Operator), [at(0), at(turn), at(u64::MAX), game.chain.head().deadline]),
    ] {
        for deadline in others {
            let refused = refusal(&game, &parts, |parts| parts.header.deadline = deadline);
            assert_eq!(refused, BlockError::WrongDeadline, "{:?} {deadline:?}", parts.header.kind);
        }
    }
}

#[test]
fn a_block_that_executes_nothing_changes_no_state() {
    let game = Match::started(2);
    let (got, expected) = (StateRoot::new(Digest::ZERO), game.chain.head().state_root);
    for parts in [game.reopen(), game.key_change(), game.seal(SealReason::Operator)] {
        let refused = refusal(&game, &parts, |parts| parts.header.state_root = got);
        assert_eq!(refused, BlockError::StateRoot { expected, got });
    }
}

#[test]
fn a_block_commits_to_the_state_that_executing_it_gives() {
    let mut game = Match::started(2);
    let mut turn = game.full_turn();
    let (expected, got) = (StateRoot::new(Digest::ZERO), turn.header.state_root);
    turn.header.state_root = expected;
    let checked = game.check(&turn).unwrap();
    let before = game.chain.state().clone();
    let refused = game.chain.append(checked, game.toy.after(Turn::new(1)));
    assert_eq!(refused, Err(BlockError::StateRoot { expected, got }));
    assert_eq!(game.chain.state(), &before);
}

#[test]
fn a_seal_states_the_standings_that_the_game_has() {
    let mut game = Match::started(3);
    game.append(&game.full_turn());
    let changes: [fn(&mut Vec<Standing>); 6] = [
        |standings| standings.truncate(2),
        Vec::clear,
        |standings| standings[0].score = i64::MAX,
        |standings| standings[0].place = 1,
        |standings| standings[2].seat = seat(7),
        |standings| standings.push(Standing { seat: seat(7), place: 8, score: i64::MIN }),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let refused = refusal(&game, &game.seal(SealReason::Operator), |parts| {
            let BlockKind::Seal { standings, .. } = &mut parts.header.kind else { unreachable!() };
            change(standings);
        });
        assert_eq!(refused, BlockError::WrongStandings, "change {index}");
    }
}

#[test]
fn who_resigned_stands_behind_all_others() {
    let mut game = Match::started(3);
    game.append(&game.full_turn());
    let by_score = game.chain.standings();
    game.append(&game.turn(&[
        game.action(seat(0)),
        game.action(seat(1)),
        game.transaction(seat(2), TransactionBody::Resign),
    ]));
    let places: Vec<_> = game.chain.standings().iter().map(|s| s.place).collect();
    assert_eq!(places, [2, 1, 3]);
    let refused = refusal(&game, &game.seal(SealReason::Operator), |parts| {
        let BlockKind::Seal { standings, .. } = &mut parts.header.kind else { unreachable!() };
        standings.clone_from(&by_score);
    });
    assert_eq!(refused, BlockError::WrongStandings);
}

#[test]
fn a_refused_transaction_is_named_by_place_and_seat() {
    let game = Match::started(3);
    let good = game.full_turn();
    for index in 0..3 {
        let of = read(&good.entries[index].transaction).get().seat;
        let refused = refusal(&game, &good, |parts| {
            bend(&game, &mut parts.entries[index], |tx| tx.attempt = Attempt::new(1));
        });
        let expected = BlockError::Entry { index, seat: of, error: TransactionError::WrongAttempt };
        assert_eq!(refused, expected);
        assert_eq!((refused.kind(), refused.seat()), ("tx-wrong-attempt", Some(of)));
    }
}

#[test]
fn entries_stand_in_the_order_that_the_block_before_fixes() {
    let mut game = Match::started(3);
    for _ in 0..4 {
        for (a, b) in [(0, 1), (1, 2), (0, 2)] {
            let refused = refusal(&game, &game.full_turn(), |parts| parts.entries.swap(a, b));
            assert_eq!(refused, BlockError::WrongOrder);
        }
        game.append(&game.full_turn());
    }
    let fresh = Match::of(2);
    let refused = refusal(&fresh, &fresh.start(), |parts| parts.entries.swap(0, 1));
    assert_eq!(refused, BlockError::WrongOrder);
}

#[test]
fn a_new_delegation_stands_right_before_the_action_of_its_seat() {
    let game = Match::started(3);
    let delegate = game.delegate(seat(1));
    let action = game.following(&delegate, game.action(seat(1)));
    let good = game.turn(&[game.action(seat(0)), delegate, action, game.action(seat(2))]);
    let of_seat_1: Vec<_> =
        (0..4).filter(|i| read(&good.entries[*i].transaction).get().seat == seat(1)).collect();
    assert_eq!(of_seat_1[1], of_seat_1[0] + 1);
    // Apart, the others in between.
    let refused = refusal(&game, &good, |parts| {
        let delegate = parts.entries.remove(of_seat_1[0]);
        let action = parts.entries.remove(of_seat_1[0]);
        parts.entries.insert(0, delegate);
        parts.entries.push(action);
    });
    assert_eq!(refused, BlockError::WrongOrder);
}

#[test]
fn the_start_has_the_joins_of_all() {
    let game = Match::of(3);
    for missing in 0..3 {
        let refused = refusal(&game, &game.start(), |parts| {
            parts.entries.retain(|entry| read(&entry.transaction).get().seat != seat(missing));
        });
        assert_eq!(refused, BlockError::MissingSeat { seat: seat(missing) });
    }
    let refused = refusal(&game, &game.start(), |parts| parts.entries.clear());
    assert_eq!(refused, BlockError::MissingSeat { seat: seat(0) });
}

#[test]
fn every_seat_acts_or_is_absent_and_none_does_both() {
    let game = Match::started(3);
    let good = game.turn(&[game.action(seat(1))]);
    let refused = refusal(&game, &good, |parts| parts.absent.clear());
    assert_eq!(refused, BlockError::MissingSeat { seat: seat(0) });
    let refused = refusal(&game, &good, |parts| parts.absent.truncate(1));
    assert_eq!(refused, BlockError::MissingSeat { seat: seat(2) });
    let refused = refusal(&game, &good, |parts| parts.entries.clear());
    assert_eq!(refused, BlockError::MissingSeat { seat: seat(1) });
    let both = Absence { seat: seat(1), reason: AbsenceReason::Deadline };
    let refused = refusal(&game, &good, |parts| parts.absent.insert(1, both));
    assert_eq!(refused, BlockError::MissingSeat { seat: seat(1) });
}

#[test]
fn a_seat_that_the_match_does_not_have_is_not_absent() {
    let game = Match::started(2);
    for index in [2, 7] {
        for reason in [AbsenceReason::Deadline, AbsenceReason::OpenSeat, AbsenceReason::Resigned] {
            let refused = refusal(&game, &game.turn(&[]), |parts| {
                parts.absent.push(Absence { seat: seat(index), reason });
            });
            assert_eq!(refused, BlockError::MissingSeat { seat: seat(index) });
        }
    }
}

#[test]
fn an_absence_has_the_reason_that_follows_from_the_chain() {
    let mut game = Match::started_with(4, |genesis| genesis.turns.mode = TurnMode::Alternating);
    let resign = game.transaction(seat(3), TransactionBody::Resign);
    game.append(&game.turn(&[game.action(seat(0)), resign]));
    let good = game.turn(&[]);
    let reasons: Vec<_> = good.absent.iter().map(|absence| absence.reason).collect();
    let (not_to_move, resigned) = (AbsenceReason::NotToMove, AbsenceReason::Resigned);
    assert_eq!(reasons, [not_to_move, AbsenceReason::Deadline, not_to_move, resigned]);
    for (index, right) in reasons.into_iter().enumerate() {
        for reason in [
            AbsenceReason::Deadline,
            AbsenceReason::NotToMove,
            AbsenceReason::Resigned,
            AbsenceReason::Skipped,
            AbsenceReason::RevealMissing,
            AbsenceReason::OpenSeat,
            AbsenceReason::TakenOver,
        ] {
            if reason != right {
                let refused = refusal(&game, &good, |parts| parts.absent[index].reason = reason);
                assert_eq!(refused, BlockError::WrongAbsence, "{index} {reason:?}");
            }
        }
    }
}

#[test]
fn nobody_is_absent_before_the_deadline() {
    let mut game = Match::started(2);
    let early = |game: &Match, ms| {
        let absent = vec![Absence { seat: seat(1), reason: AbsenceReason::Deadline }];
        let entries = game.entries(&[game.action(seat(0))]);
        game.check(&game.block(BlockKind::Turn, entries, absent, ms)).map(|_| ())
    };
    let deadline = u64::from(DEADLINE_MS);
    let refused = Err(BlockError::EarlyAbsence { seat: seat(1) });
    assert_eq!(early(&game, 1000), refused);
    assert_eq!(early(&game, deadline - 1), refused);
    assert_eq!(early(&game, deadline), Ok(()));
    // After a restart the new deadline counts.
    game.append(&game.reopen());
    assert_eq!(early(&game, deadline - 1), refused);
    assert_eq!(early(&game, deadline), Ok(()));
}

fn not_to_move(seat: Seat) -> Absence {
    Absence { seat, reason: AbsenceReason::NotToMove }
}
