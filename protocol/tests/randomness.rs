//! Commit and reveal, and sealed moves: each rule by a block or transaction that breaks only this one.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod reference;
mod support;

use cadastre_protocol::{
    Absence, AbsenceReason, BlockError, BlockKind, CodecError, Digest, Genesis, OpenTurn, Randomness,
    SealReason, Seat, Transaction, TransactionBody, TransactionError, Turn, TurnMode, Visibility, Work,
    decode_exact, encode, sealed_commands,
};
use support::{
    Match, Parts, bend, chain_of, commit_reveal, genesis, hidden_match, hide_everything, read, refusal, seat,
    server_chain,
};

#[test]
fn every_pair_of_modes_is_played() {
    for visibility in [Visibility::Held, Visibility::Sealed, Visibility::Open] {
        for chains in [false, true] {
            for mode in [TurnMode::Simultaneous, TurnMode::Alternating] {
                let mut game = Match::started_with(3, |genesis| {
                    genesis.turns.mode = mode;
                    genesis.visibility = visibility;
                    if chains {
                        commit_reveal(genesis);
                    }
                });
                for turn in 1..=3 {
                    let movers: Vec<_> = game.chain.required().iter().collect();
                    if visibility == Visibility::Sealed {
                        game.append(&game.first_half(&each(&movers, |seat| game.commit(seat))));
                        game.append(&game.turn(&each(&movers, |seat| game.reveal(seat))));
                    } else {
                        game.append(&game.turn(&each(&movers, |seat| game.action(seat))));
                    }
                    assert_eq!(game.chain.head().turn, Turn::new(turn), "{visibility:?} {chains} {mode:?}");
                }
                let revealed = if chains { 4 } else { 0 };
                assert_eq!(game.chain.revealed_by_server(), revealed);
            }
        }
    }
}

#[test]
fn the_seed_comes_from_all_and_the_start_brings_it() {
    let game = Match::with(2, commit_reveal);
    let provisional = game.chain.setup().seed;
    let work = |game: &Match| match game.check(&game.start()).unwrap().work(|_| Vec::new()) {
        Work::Begin { seed } => seed,
        other @ (Work::Nothing | Work::Turn(_) | Work::Back { .. }) => panic!("{other:?}"),
    };
    let seed = work(&game);
    assert_ne!(seed, provisional);
    let mut begun = game.clone();
    begun.append(&begun.start());
    assert_eq!(begun.chain.setup().seed, seed);
    let without = Match::with(2, |_| {});
    assert_eq!(without.check(&without.start()).unwrap().work(|_| Vec::new()), Work::Nothing);
}

#[test]
fn a_roll_depends_on_who_reveals_and_an_absent_seat_keeps_its_element() {
    let mut game = Match::started_with(3, commit_reveal);
    let roll = |game: &Match, seats: &[u8]| {
        let transactions: Vec<_> = seats.iter().map(|index| game.action(seat(*index))).collect();
        match game.check(&game.turn(&transactions)).unwrap().work(|_| Vec::new()) {
            Work::Turn(turn) => turn.roll,
            other @ (Work::Nothing | Work::Begin { .. } | Work::Back { .. }) => panic!("{other:?}"),
        }
    };
    let rolls = [roll(&game, &[0, 1, 2]), roll(&game, &[0, 1]), roll(&game, &[2]), roll(&game, &[])];
    for (index, roll) in rolls.iter().enumerate() {
        assert!(!rolls[..index].contains(roll));
    }
    game.append(&game.turn(&[game.action(seat(0))]));
    assert_eq!(game.chain.next_of(seat(0)).unwrap().revealed, 2);
    assert_eq!(game.chain.next_of(seat(1)).unwrap().revealed, 1);
    game.append(&game.full_turn());
}

#[test]
fn without_chains_the_roll_follows_from_seed_and_turn() {
    let mut game = Match::started(2);
    let mut rolls = Vec::new();
    for _ in 0..2 {
        let turn = game.full_turn();
        let checked = game.check(&turn).unwrap();
        let Work::Turn(work) = checked.work(|_| Vec::new()) else { panic!("a turn") };
        rolls.push(work.roll);
        game.append(&turn);
    }
    assert_ne!(rolls[0], rolls[1]);
}

#[test]
fn the_server_reveals_the_next_element_and_no_other() {
    let game = Match::with(2, commit_reveal);
    let started = Match::started_with(2, commit_reveal);
    let other =
        |number| move |parts: &mut Parts| parts.header.randomness = server_chain().element(number).unwrap();
    assert_eq!(refusal(&game, &game.start(), other(1)), BlockError::Randomness);
    assert_eq!(refusal(&started, &started.full_turn(), other(0)), BlockError::Randomness);
    assert_eq!(refusal(&started, &started.full_turn(), other(2)), BlockError::Randomness);
    let none = |parts: &mut Parts| parts.header.randomness = Digest::ZERO;
    assert_eq!(refusal(&started, &started.full_turn(), none), BlockError::Randomness);
    // Where nothing is drawn, nothing is revealed.
    assert_eq!(refusal(&started, &started.reopen(), other(1)), BlockError::Randomness);
    let held = Match::started(2);
    assert_eq!(refusal(&held, &held.full_turn(), other(1)), BlockError::Randomness);
    let sealed = Match::started_with(2, hide_everything);
    let half = sealed.first_half(&each(&[seat(0), seat(1)], |seat| sealed.commit(seat)));
    assert_eq!(refusal(&sealed, &half, other(1)), BlockError::Randomness);
}

#[test]
fn a_seat_reveals_the_next_element_where_it_must_and_nowhere_else() {
    use TransactionError::{MissingChainElement, UnexpectedChainElement, WrongChainElement};
    let of = |number| chain_of(seat(0)).element(number);
    let joining = Match::with(2, commit_reveal);
    let held = Match::started_with(2, commit_reveal);
    let sealed = Match::started_with(2, hide_everything);
    let revealing = half_way();
    let cases: Vec<(&str, &Match, Transaction, Option<Digest>, TransactionError)> = vec![
        ("no element in a Join", &joining, joining.join(seat(0)), None, MissingChainElement),
        ("the second in a Join", &joining, joining.join(seat(0)), of(1), WrongChainElement),
        ("no element in a Turn", &held, held.action(seat(0)), None, MissingChainElement),
        ("the one of the Join again", &held, held.action(seat(0)), of(0), WrongChainElement),
        ("one too far", &held, held.action(seat(0)), of(2), WrongChainElement),
        ("of another seat", &held, held.action(seat(0)), chain_of(seat(1)).element(1), WrongChainElement),
        ("in a Delegate", &held, held.delegate(seat(0)), of(1), UnexpectedChainElement),
        ("in a Resign", &held, resign(&held), of(1), UnexpectedChainElement),
        ("too early, in a Commit", &sealed, sealed.commit(seat(0)), of(1), UnexpectedChainElement),
        ("no element in a Reveal", &revealing, revealing.reveal(seat(0)), None, MissingChainElement),
        ("the one before in a Reveal", &revealing, revealing.reveal(seat(0)), of(0), WrongChainElement),
    ];
    for (what, game, tx, element, error) in cases {
        assert_eq!(judge(game, &tx), Ok(()), "{what}: nothing else is wrong");
        assert_eq!(judge(game, &Transaction { chain_element: element, ..tx }), Err(error), "{what}");
    }
    let without = Match::started(2);
    let tx = Transaction { chain_element: of(1), ..without.action(seat(0)) };
    assert_eq!(judge(&without, &tx), Err(UnexpectedChainElement));
}

#[test]
fn an_early_reveal_and_commands_in_clear_are_of_the_wrong_kind() {
    let sealed = Match::started_with(2, hide_everything);
    let revealing = half_way();
    let wrong = Err(TransactionError::WrongKind);
    assert_eq!(judge(&sealed, &sealed.reveal(seat(0))), wrong, "before the Commit");
    assert_eq!(judge(&sealed, &sealed.action(seat(0))), wrong);
    assert_eq!(judge(&revealing, &revealing.commit(seat(0))), wrong, "a second choice");
    assert_eq!(judge(&revealing, &revealing.action(seat(0))), wrong);
    for open in [Match::started(2), Match::started_with(2, |genesis| genesis.visibility = Visibility::Open)] {
        assert_eq!(judge(&open, &open.commit(seat(0))), wrong);
        assert_eq!(judge(&open, &open.reveal(seat(0))), wrong);
    }
}

#[test]
fn what_is_revealed_is_what_was_committed_to() {
    let game = half_way();
    let with = |salt: [u8; 32], commands: &[u8]| {
        let body = TransactionBody::Reveal { salt, commands: commands.to_vec() };
        judge(&game, &Transaction { body, ..game.reveal(seat(0)) })
    };
    assert_eq!(with([0; 32], &[0, 1]), Ok(()));
    assert_eq!(with([1; 32], &[0, 1]), Err(TransactionError::WrongReveal), "another salt");
    assert_eq!(with([0; 32], &[0, 2]), Err(TransactionError::WrongReveal), "other commands");
    assert_eq!(with([0; 32], &[]), Err(TransactionError::WrongReveal), "a pass");
}

#[test]
fn a_copied_commitment_is_worth_nothing() {
    let mut game = Match::started_with(2, hide_everything);
    let copied = Transaction { body: game.commit(seat(0)).body, ..game.commit(seat(1)) };
    game.append(&game.first_half(&[game.commit(seat(0)), copied]));
    // Seat 0 shows what it hid; whoever has copied it cannot show the same.
    assert_eq!(judge(&game, &game.reveal(seat(0))), Ok(()));
    let parrot = Transaction { body: game.reveal(seat(0)).body, ..game.reveal(seat(1)) };
    assert_eq!(judge(&game, &parrot), Err(TransactionError::WrongReveal));

    let (match_id, salt, attempt) = (game.match_id(), [5; 32], game.chain.head().attempt);
    let seal = |index, turn| sealed_commands(match_id, seat(index), Turn::new(turn), attempt, &salt, &[1]);
    assert!(seal(0, 1) != seal(1, 1) && seal(0, 1) != seal(0, 2), "bound to seat and turn");
}

#[test]
fn whoever_has_not_committed_shows_nothing() {
    let mut game = Match::started_with(3, hide_everything);
    game.append(&game.first_half(&[game.commit(seat(0)), game.commit(seat(1))]));
    assert_eq!(judge(&game, &game.reveal(seat(2))), Err(TransactionError::NotToMove));
    assert_eq!(game.chain.required().iter().collect::<Vec<_>>(), [seat(0), seat(1)]);
}

#[test]
fn the_halves_of_a_sealed_turn_come_one_after_the_other() {
    let game = Match::started_with(2, hide_everything);
    let half = game.first_half(&each(&[seat(0), seat(1)], |seat| game.commit(seat)));
    let as_turn = |parts: &mut Parts| {
        parts.header.kind = BlockKind::Turn;
        parts.header.turn = Turn::new(1);
        parts.header.randomness = server_chain().element(1).unwrap();
    };
    assert_eq!(refusal(&game, &half, as_turn), BlockError::WrongKind, "a Turn without its first half");
    let revealing = half_way();
    let again = revealing.block(BlockKind::Commit, vec![], vec![], 0);
    assert_eq!(revealing.check(&again).unwrap_err(), BlockError::WrongKind, "a second first half");
    let held = Match::started(2);
    let half = held.block(BlockKind::Commit, vec![], vec![], 0);
    assert_eq!(held.check(&half).unwrap_err(), BlockError::WrongKind, "in a match that hides nothing");
}

#[test]
fn the_reveals_must_have_seen_the_commit() {
    let mut game = Match::started_with(2, hide_everything);
    let before = *game.chain.head();
    game.append(&game.first_half(&each(&[seat(0), seat(1)], |seat| game.commit(seat))));
    let early = Transaction { seen_height: before.height, seen_block: before.block, ..game.reveal(seat(0)) };
    assert_eq!(judge(&game, &early), Err(TransactionError::UnknownSeenBlock));
}

#[test]
fn absences_of_the_halves_follow_from_the_chain() {
    let mut game = Match::started_with(3, hide_everything);
    let half = game.first_half(&[game.commit(seat(0)), game.commit(seat(1))]);
    assert_eq!(half.absent, [Absence { seat: seat(2), reason: AbsenceReason::Deadline }]);
    let hasty = |parts: &mut Parts| {
        let head = game.chain.head();
        parts.header.server_time = head.server_time.after(29_999);
        parts.header.deadline = Some(parts.header.server_time.after(30_000));
    };
    assert_eq!(refusal(&game, &half, hasty), BlockError::EarlyAbsence { seat: seat(2) });
    game.append(&half);

    let turn = game.turn(&[game.reveal(seat(0))]);
    let [missing, absent] = [(1, AbsenceReason::RevealMissing), (2, AbsenceReason::Deadline)]
        .map(|(index, reason)| Absence { seat: seat(index), reason });
    assert_eq!(turn.absent, [missing, absent]);
    let hasty = |parts: &mut Parts| {
        let head = game.chain.head();
        parts.header.server_time = head.server_time.after(29_999);
        parts.header.deadline = Some(parts.header.server_time.after(30_000));
    };
    assert_eq!(refusal(&game, &turn, hasty), BlockError::EarlyAbsence { seat: seat(1) });
    let excused = |parts: &mut Parts| parts.absent[0].reason = AbsenceReason::Deadline;
    assert_eq!(refusal(&game, &turn, excused), BlockError::WrongAbsence);
    let dropped = |parts: &mut Parts| {
        parts.absent.remove(0);
    };
    assert_eq!(refusal(&game, &turn, dropped), BlockError::MissingSeat { seat: seat(1) });
    // Once both have shown theirs, nobody waits for the third any more.
    let all = game.turn(&each(&[seat(0), seat(1)], |seat| game.reveal(seat)));
    assert!(all.header.server_time < game.chain.head().deadline.unwrap());
    assert!(game.check(&all).is_ok());
}

#[test]
fn hidden_commands_count_only_if_they_are_shown() {
    let mut game = half_way();
    let turn = game.turn(&[game.reveal(seat(1))]);
    let checked = game.check(&turn).unwrap();
    let Work::Turn(work) = checked.work(|_| Vec::new()) else { panic!("a turn") };
    assert_eq!(work.orders.iter().map(|order| order.seat).collect::<Vec<_>>(), [seat(1)]);
    assert_eq!(*work.orders[0].commands, [1, 1]);
    game.append(&turn);
    assert!(!game.chain.is_revealing());
    assert_eq!(game.chain.commitment_of(seat(0)), None, "nothing is left over for the next turn");
}

#[test]
fn a_turn_to_which_nobody_commits_goes_by() {
    let mut game = Match::started_with(2, hide_everything);
    game.append(&game.first_half(&[]));
    assert!(game.chain.required().is_empty());
    let turn = game.turn(&[]);
    assert!(turn.absent.iter().all(|absence| absence.reason == AbsenceReason::Deadline));
    game.append(&turn);
    assert_eq!(game.chain.head().turn, Turn::new(1));
}

#[test]
fn a_turn_that_is_half_closed_is_played_before_the_seal() {
    let mut game = Match::started_with(2, hide_everything);
    game.append(&game.first_half(&[game.commit(seat(0)), resign_of(&game, seat(1))]));
    assert_eq!(game.chain.seal_due(), None);
    assert_eq!(game.check(&game.seal(SealReason::Resigned)).unwrap_err(), BlockError::WrongKind);
    let turn = game.turn(&[game.reveal(seat(0))]);
    assert_eq!(turn.absent, [Absence { seat: seat(1), reason: AbsenceReason::Resigned }]);
    game.append(&turn);
    assert_eq!(game.chain.seal_due(), Some(SealReason::Resigned));
    game.append(&game.seal(SealReason::Resigned));
}

#[test]
fn a_new_session_key_may_show_what_the_old_one_hid() {
    let mut game = Match::started_with(2, hide_everything);
    let delegate = game.delegate(seat(0));
    let commit = game.following(&delegate, game.commit(seat(0)));
    game.append(&game.first_half(&[delegate, commit, game.commit(seat(1))]));
    let delegate = game.delegate(seat(0));
    let reveal = game.following(&delegate, game.reveal(seat(0)));
    game.append(&game.turn(&[delegate, reveal, game.reveal(seat(1))]));
}

#[test]
fn the_order_in_a_block_is_mixed_by_what_is_revealed() {
    let game = Match::started_with(3, commit_reveal);
    let turn = game.full_turn();
    let order = |parts: &Parts| {
        parts.entries.iter().map(|entry| read(&entry.transaction).get().seat).collect::<Vec<_>>()
    };
    let mut orders = Vec::new();
    for (left, right) in [(0, 1), (1, 2), (0, 2)] {
        let swapped = |parts: &mut Parts| parts.entries.swap(left, right);
        assert_eq!(refusal(&game, &turn, swapped), BlockError::WrongOrder);
    }
    // The same three act, on a head with other names: over many matches every order turns up.
    for nonce in 0..64 {
        let game = Match::started_with(3, |genesis| {
            commit_reveal(genesis);
            genesis.created = genesis.created.after(nonce);
        });
        orders.push(order(&game.full_turn()));
        game.check(&game.full_turn()).unwrap();
    }
    orders.sort_unstable();
    orders.dedup();
    assert_eq!(orders.len(), 6);
}

#[test]
fn a_wrong_element_in_a_block_is_its_entrys_fault() {
    let game = Match::started_with(2, commit_reveal);
    let wrong = |parts: &mut Parts| {
        bend(&game, &mut parts.entries[0], |tx| tx.chain_element = Some(Digest::ZERO));
    };
    let seat = read(&game.full_turn().entries[0].transaction).get().seat;
    let error = TransactionError::WrongChainElement;
    assert_eq!(refusal(&game, &game.full_turn(), wrong), BlockError::Entry { index: 0, seat, error });
}

#[test]
fn a_genesis_with_chains_has_one_for_each_seat_and_a_last_turn_they_reach() {
    let refused = |change: fn(&mut Genesis)| {
        let mut genesis = genesis(2);
        commit_reveal(&mut genesis);
        change(&mut genesis);
        decode_exact::<Genesis>(&encode(&genesis)).err()
    };
    let drop_one = |genesis: &mut Genesis| {
        let Randomness::CommitReveal { seats, .. } = &mut genesis.randomness else { panic!("chains") };
        seats.pop();
    };
    let reach = Some(CodecError::Invalid("a last turn that hash chains do not reach"));
    assert_eq!(refused(|_| {}), None);
    assert_eq!(refused(drop_one), Some(CodecError::Invalid("number of hash chains")));
    assert_eq!(refused(|genesis| genesis.turns.turns_max = None), reach);
    assert_eq!(refused(|genesis| genesis.turns.turns_max = Some(65_536)), reach);
    assert_eq!(refused(|genesis| genesis.turns.turns_max = Some(65_535)), None);
}

#[test]
fn a_chain_goes_on_from_every_block_of_a_hidden_match() {
    let whole = hidden_match();
    let mut game = Match::with(3, hide_everything);
    game.toy = whole.toy;
    for proven in &whole.blocks {
        let state = decode_exact(&encode(game.chain.state())).unwrap();
        let executed = game.toy.after(game.chain.head().turn);
        let genesis = game.chain.genesis().clone();
        let again = cadastre_protocol::Chain::from_state_unverified(genesis, state, executed).unwrap();
        assert_eq!(again.setup(), game.chain.setup());
        let checked = again.check_proven(support::received(proven)).unwrap();
        let executed = game.toy.after(checked.block().header().turn);
        game.chain.append(checked, executed).unwrap();
    }
    assert_eq!(game.chain.head(), whole.chain.head());
}

/// Two seats have committed to their commands, and nobody has shown them.
fn half_way() -> Match {
    let mut game = Match::started_with(2, hide_everything);
    game.append(&game.first_half(&each(&[seat(0), seat(1)], |seat| game.commit(seat))));
    game
}

fn each(seats: &[Seat], act: impl Fn(Seat) -> Transaction) -> Vec<Transaction> {
    seats.iter().map(|seat| act(*seat)).collect()
}

fn resign(game: &Match) -> Transaction {
    resign_of(game, seat(0))
}

fn resign_of(game: &Match, seat: Seat) -> Transaction {
    game.transaction(seat, TransactionBody::Resign)
}

/// What the chain says of a transaction that comes now.
fn judge(game: &Match, tx: &Transaction) -> Result<(), TransactionError> {
    let open: OpenTurn = game.chain.open_turn();
    open.check(&game.chain, read(&game.sign(tx)), game.after_head(10)).map(|_| ())
}
