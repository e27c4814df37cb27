//! Whatever the server signs, the verifier answers.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod reference;
mod support;

use std::sync::LazyLock;

use cadastre_protocol::{
    Absence, AbsenceReason, Attempt, BlockHash, BlockKind, Digest, Epoch, Header, Height, MatchId, Millis,
    Motion, ReopenReason, SealReason, Seq, Standing, StateRoot, Transaction, TransactionBody, Turn,
    decode_exact,
};
use proptest::prelude::*;
use support::{CREATED, Match, Parts, bend, eventful_match, received, seat};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_block_makes_the_verifier_panic(at in 0_usize..9, changes in prop::collection::vec(change(), 1..4)) {
        let whole = &*EVENTFUL;
        let mut game = Match::of(3);
        game.toy = whole.toy;
        for proven in &whole.blocks[..at] {
            let checked = game.chain.check_proven(received(proven)).unwrap();
            let executed = game.toy.after(checked.block().header().turn);
            game.chain.append(checked, executed).unwrap();
        }
        let next = received(&whole.blocks[at]);
        let mut parts = Parts {
            header: next.block().header().clone(),
            entries: decode_exact::<cadastre_protocol::Block>(&whole.blocks[at].block).unwrap().entries,
            absent: next.block().absent().to_vec(),
        };
        changes.iter().for_each(|change| change.apply(whole, &mut parts));
        let parts = parts.committed();
        if let Ok(block) = parts.block().read()
            && let Ok(checked) = game.chain.check(block)
        {
            let executed = game.toy.after(checked.block().header().turn);
            let _ = game.chain.append(checked, executed);
        }
    }
}

static EVENTFUL: LazyLock<Match> = LazyLock::new(eventful_match);

#[derive(Clone, Debug)]
enum Change {
    Number(u8, u64),
    Hash(u8),
    Kind(BlockKind),
    Absent(Vec<Absence>),
    RemoveEntry(usize),
    RepeatEntry(usize),
    SwapEntries(usize, usize),
    MoveEntry(usize, u64),
    Transaction(usize, u8, u64),
}

impl Change {
    fn apply(&self, game: &Match, parts: &mut Parts) {
        let entries = parts.entries.len();
        let header = &mut parts.header;
        match self {
            Self::Number(which, number) => set_number(header, *which, *number),
            Self::Hash(which) => set_hash(header, *which),
            Self::Kind(kind) => header.kind = kind.clone(),
            Self::Absent(absent) => parts.absent.clone_from(absent),
            _ if entries == 0 => {}
            Self::RemoveEntry(at) => drop(parts.entries.remove(at % entries)),
            Self::RepeatEntry(at) => parts.entries.push(parts.entries[at % entries].clone()),
            Self::SwapEntries(a, b) => parts.entries.swap(a % entries, b % entries),
            Self::MoveEntry(at, received) => parts.entries[at % entries].received = Millis::new(*received),
            Self::Transaction(at, which, number) => {
                let entry = &mut parts.entries[at % entries];
                // An earlier change may have left what is no transaction any more.
                if entry.transaction.clone().read().is_ok() {
                    bend(game, entry, |tx| set_transaction(tx, *which, *number));
                }
            }
        }
    }
}

fn set_number(header: &mut Header, which: u8, number: u64) {
    let small = u32::try_from(number & 0xffff_ffff).unwrap();
    match which {
        0 => header.height = Height::new(number),
        1 => header.turn = Turn::new(small),
        2 => header.attempt = Attempt::new(small),
        3 => header.server_time = Millis::new(number),
        4 => header.deadline = Some(Millis::new(number)),
        5 => header.deadline = None,
        _ => header.signer_serial = small,
    }
}

fn set_hash(header: &mut Header, which: u8) {
    let other = Digest::new([0xee; 32]);
    match which {
        0 => header.match_id = MatchId::new(other),
        1 => header.prev_block = BlockHash::new(other),
        2 => header.randomness = other,
        3 => header.state_root = StateRoot::new(other),
        _ => header.chain_root = other,
    }
}

fn set_transaction(tx: &mut Transaction, which: u8, number: u64) {
    let small = u32::try_from(number & 0xffff_ffff).unwrap();
    match which {
        0 => tx.seat = seat(u8::try_from(number % 8).unwrap()),
        1 => tx.epoch = Epoch::new(small),
        2 => tx.seq = Seq::new(small),
        3 => tx.turn = Turn::new(small),
        4 => tx.seen_height = Height::new(number),
        5 => tx.seen_block = BlockHash::new(Digest::ZERO),
        6 => tx.body = TransactionBody::Resign,
        7 => tx.body = TransactionBody::Takeback { to_turn: Turn::new(small) },
        8 => tx.body = TransactionBody::Motion(Motion::Pause { ms: small }),
        9 => tx.body = TransactionBody::Turn(vec![0; usize::try_from(number % 5000).unwrap()]),
        _ => tx.chain_element = Some(Digest::ZERO),
    }
}

fn number() -> impl Strategy<Value = u64> {
    let near = CREATED.get();
    prop_oneof![0_u64..4, near..near + 100_000, Just(u64::MAX), Just(u64::MAX - 1), any::<u64>()]
}

fn change() -> impl Strategy<Value = Change> {
    let standing = (0_u8..8, 1_u8..9, any::<i64>());
    let standings = prop::collection::btree_map(0_u8..8, standing, 0..9).prop_map(|all| {
        let standing = |(index, (_, place, score))| Standing { seat: seat(index), place, score };
        all.into_iter().map(standing).collect::<Vec<_>>()
    });
    let kind = prop_oneof![
        Just(BlockKind::Start),
        Just(BlockKind::Turn),
        Just(BlockKind::Commit),
        Just(BlockKind::Reopen { reason: ReopenReason::Restart }),
        Just(BlockKind::Reopen { reason: ReopenReason::Pause { ms: u32::MAX } }),
        Just(BlockKind::Takeback { to_turn: Turn::new(u32::MAX) }),
        standings.prop_map(|standings| BlockKind::Seal { reason: SealReason::Operator, standings }),
    ];
    let absent = prop::collection::btree_map(0_u8..8, any::<bool>(), 0..9).prop_map(|all| {
        let reason = |late| if late { AbsenceReason::Deadline } else { AbsenceReason::NotToMove };
        all.into_iter().map(|(index, late)| Absence { seat: seat(index), reason: reason(late) }).collect()
    });
    prop_oneof![
        (0_u8..7, number()).prop_map(|(which, number)| Change::Number(which, number)),
        (0_u8..5).prop_map(Change::Hash),
        kind.prop_map(Change::Kind),
        absent.prop_map(Change::Absent),
        (0_usize..8).prop_map(Change::RemoveEntry),
        (0_usize..8).prop_map(Change::RepeatEntry),
        (0_usize..8, 0_usize..8).prop_map(|(a, b)| Change::SwapEntries(a, b)),
        (0_usize..8, number()).prop_map(|(at, number)| Change::MoveEntry(at, number)),
        (0_usize..8, 0_u8..11, number()).prop_map(|(at, which, n)| Change::Transaction(at, which, n)),
    ]
}
