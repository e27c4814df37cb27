//! The chain verifier against a server that signs whatever it likes: one block of a valid match is changed,
//! with its roots and its proof made right again. There is a match that hides nothing, and one with hash chains
//! and sealed moves.

use std::sync::LazyLock;

use cadastre_client::{FollowError, Follower};
use cadastre_protocol::{
    Absence, AbsenceReason, Attempt, Block, BlockError, BlockHash, BlockKind, Digest, Entry, Epoch, Header,
    Height, MatchId, Millis, Motion, ProvenBlock, RandomnessMode, ReopenReason, SealReason, Seat, SeatSet,
    SecretKey, Seq, Signature, SignedTransaction, StateRoot, Transaction, TransactionBody, Turn, Visibility,
    decode_exact,
};
use cadastre_replay::{
    audit,
    fixture::{Match, Plan, certificate, header_of, identity_key, root_key, signer_key, with_blocks},
};

use super::edits::{EDITS_MAX, Numbers};

/// A match, and its replay file.
struct Made {
    whole: Match,
    file: Vec<u8>,
}

impl Made {
    fn of(whole: Match) -> Self {
        Self { file: whole.replay(), whole }
    }

    fn blocks(&self) -> &[ProvenBlock] {
        self.whole.blocks()
    }

    fn match_id(&self) -> MatchId {
        self.whole.chain().match_id()
    }
}

/// The place of a block in one match or the other, then changes of it. Client and auditor come to the same
/// verdict, and a block that is refused before it is executed leaves the client where it was.
pub(super) fn chain(data: &[u8]) {
    let mut numbers = Numbers::new(data);
    let in_the_open = IN_THE_OPEN.blocks().len();
    let at = numbers.below(in_the_open + HIDDEN.blocks().len());
    match at.checked_sub(in_the_open) {
        None => judge(&IN_THE_OPEN, at, &mut numbers),
        Some(at) => judge(&HIDDEN, at, &mut numbers),
    }
}

fn judge(made: &Made, at: usize, numbers: &mut Numbers<'_>) {
    let good = &made.blocks()[at];
    let bytes = Match::rewrite(good, |header, entries, absent| {
        for _ in 0..EDITS_MAX {
            if !numbers.is_empty() {
                change(numbers, made, header, entries, absent);
            }
        }
    });
    // Bytes that are no block have targets of their own.
    if !decode_exact::<Block>(&bytes).is_ok_and(|block| block.read().is_ok()) {
        return;
    }
    let bad = Match::prove(bytes, &signer_key(header_of(good).signer_serial));
    let mut follower = follower_at(made, at);
    let before = *follower.chain().head();
    let refused = follower.follow(bad.clone()).err();
    match &refused {
        None => assert_eq!(follower.chain().head().height, header_of(good).height),
        Some(FollowError::Block(error)) => {
            assert_eq!(*follower.chain().head(), before);
            if !matches!(error, BlockError::StateRoot { .. }) {
                follower.follow(good.clone()).unwrap();
            }
        }
        Some(other) => panic!("{other}"),
    }
    let blocks = [&made.blocks()[..at], &[bad]].concat();
    let report = audit(&with_blocks(&made.file, &blocks), Some(root_key().public())).unwrap();
    let of_the_block = |kind: &&str| !["desync", "record-height"].contains(kind);
    let found = report.violations.iter().map(|violation| violation.kind).find(of_the_block);
    let expected = refused.map(|refused| match refused {
        FollowError::Block(error) => error.kind(),
        other => panic!("{other}"),
    });
    assert_eq!(found, expected);
}

fn follower_at(made: &Made, at: usize) -> Follower {
    let meta = made.whole.meta();
    let mut follower = Follower::begin(&meta.genesis, meta.names, root_key().public()).unwrap();
    for block in &made.blocks()[..at] {
        follower.follow(block.clone()).unwrap();
    }
    follower
}

/// One change of a block: which, and with what.
fn change(
    numbers: &mut Numbers<'_>,
    made: &Made,
    header: &mut Header,
    entries: &mut Vec<Entry>,
    absent: &mut Vec<Absence>,
) {
    match numbers.u8() % 4 {
        0 => change_number(numbers, header),
        1 => change_hash(numbers, made, header),
        2 => change_body(numbers, made, header, entries, absent),
        _ if entries.is_empty() => {}
        _ => {
            let at = numbers.below(entries.len());
            change_entry(numbers, made, &mut entries[at]);
        }
    }
}

fn change_number(numbers: &mut Numbers<'_>, header: &mut Header) {
    match numbers.u8() % 9 {
        0 => header.height = Height::new(numbers.u64()),
        1 => header.turn = Turn::new(numbers.u32()),
        2 => header.attempt = Attempt::new(numbers.u32()),
        3 => header.server_time = moved(header.server_time, numbers),
        4 => header.server_time = Millis::new(numbers.u64()),
        5 => header.deadline = Some(moved(header.server_time, numbers)),
        6 => header.deadline = None,
        _ => header.signer_serial = numbers.u32(),
    }
}

fn change_hash(numbers: &mut Numbers<'_>, made: &Made, header: &mut Header) {
    let other = digest(numbers, made);
    match numbers.u8() % 5 {
        0 => header.match_id = MatchId::new(other),
        1 => header.prev_block = BlockHash::new(other),
        2 => header.randomness = other,
        3 => header.state_root = StateRoot::new(other),
        _ => header.chain_root = other,
    }
}

fn change_body(
    numbers: &mut Numbers<'_>,
    made: &Made,
    header: &mut Header,
    entries: &mut Vec<Entry>,
    absent: &mut Vec<Absence>,
) {
    match numbers.u8() % 8 {
        0 => header.kind = kind(numbers, made, &header.kind),
        1 => absent.clear(),
        2 => {
            let reason = REASONS[numbers.below(REASONS.len())];
            absent.push(Absence { seat: seat(numbers), reason });
            absent.sort_by_key(|absence| absence.seat);
        }
        _ if entries.is_empty() => {}
        3 => drop(entries.remove(numbers.below(entries.len()))),
        4 => entries.push(entries[numbers.below(entries.len())].clone()),
        5 => {
            let (a, b) = (numbers.below(entries.len()), numbers.below(entries.len()));
            entries.swap(a, b);
        }
        6 => {
            let at = numbers.below(entries.len());
            entries[at].received = moved(entries[at].received, numbers);
        }
        _ => {
            // What was valid in another block.
            let other = &made.blocks()[numbers.below(made.blocks().len())];
            let block: Block = decode_exact(&other.block).unwrap();
            entries.extend(block.entries.into_iter().next());
        }
    }
}

/// Changes a transaction, signed again by the session key of its seat and epoch, or by nobody.
fn change_entry(numbers: &mut Numbers<'_>, made: &Made, entry: &mut Entry) {
    let Ok(mut tx) = decode_exact::<Transaction>(&entry.transaction.body) else { return };
    match numbers.u8() % 12 {
        0 => tx.seat = seat(numbers),
        1 => tx.epoch = Epoch::new(numbers.u32()),
        2 => tx.seq = Seq::new(numbers.u32()),
        3 => tx.turn = Turn::new(numbers.u32()),
        4 => tx.attempt = Attempt::new(numbers.u32()),
        5 => tx.seen_height = Height::new(numbers.u64()),
        6 => tx.seen_block = BlockHash::new(digest(numbers, made)),
        7 => tx.seen_state_root = StateRoot::new(digest(numbers, made)),
        8 => tx.chain_element = Some(digest(numbers, made)),
        9 => tx.body = body(numbers, made),
        10 => return entry.transaction.signature = Signature::new([numbers.u8(); 64]),
        _ => {
            let stranger = SecretKey::from_seed(&[numbers.u8(); 32]);
            return entry.transaction = SignedTransaction::sign(&stranger, &tx);
        }
    }
    let session = identity_key(tx.seat.get()).session(made.match_id(), tx.epoch);
    entry.transaction = SignedTransaction::sign(&session, &tx);
}

fn kind(numbers: &mut Numbers<'_>, made: &Made, before: &BlockKind) -> BlockKind {
    match numbers.u8() % 8 {
        0 => BlockKind::Start,
        1 => BlockKind::Turn,
        2 => BlockKind::Commit,
        3 => BlockKind::Reopen { reason: ReopenReason::Restart },
        4 => BlockKind::Reopen { reason: ReopenReason::Pause { ms: numbers.u32() } },
        5 => BlockKind::Takeback { to_turn: Turn::new(numbers.u32()) },
        6 => BlockKind::Reopen { reason: ReopenReason::Grace },
        7 => BlockKind::KeyChange { certificate: certificate(numbers.u32()) },
        _ => {
            let mut standings = match before {
                BlockKind::Seal { standings, .. } => standings.clone(),
                BlockKind::Start
                | BlockKind::Turn
                | BlockKind::Commit
                | BlockKind::Reopen { .. }
                | BlockKind::Takeback { .. }
                | BlockKind::KeyChange { .. } => made.whole.chain().standings(),
            };
            let at = numbers.below(standings.len());
            standings[at].score = i64::from(numbers.u8());
            BlockKind::Seal { reason: SEALS[numbers.below(SEALS.len())], standings }
        }
    }
}

fn body(numbers: &mut Numbers<'_>, made: &Made) -> TransactionBody {
    match numbers.u8() % 8 {
        0 => TransactionBody::Turn(numbers.bytes().to_vec()),
        1 => TransactionBody::Commit(digest(numbers, made)),
        2 => TransactionBody::Reveal { salt: [numbers.u8(); 32], commands: numbers.bytes().to_vec() },
        3 => TransactionBody::Takeback { to_turn: Turn::new(numbers.u32()) },
        4 => TransactionBody::Resign,
        5 => TransactionBody::Motion(Motion::Pause { ms: numbers.u32() }),
        6 => TransactionBody::Motion(Motion::Skip { seats: SeatSet::first(numbers.u8() % 9) }),
        _ => {
            let (seat, epoch) = (seat(numbers), Epoch::new(numbers.u32()));
            let session = identity_key(seat.get()).session(made.match_id(), epoch);
            TransactionBody::Delegate(made.whole.delegation(seat, epoch, &session))
        }
    }
}

/// Earlier or later by up to half a minute or so.
fn moved(time: Millis, numbers: &mut Numbers<'_>) -> Millis {
    let (earlier, by) = (numbers.u8().is_multiple_of(2), u64::from(numbers.u16()));
    Millis::new(if earlier { time.get().saturating_sub(by) } else { time.get().saturating_add(by) })
}

/// A hash that stands somewhere in the match, or none.
fn digest(numbers: &mut Numbers<'_>, made: &Made) -> Digest {
    let header = header_of(&made.blocks()[numbers.below(made.blocks().len())]);
    match numbers.u8() % 6 {
        0 => header.prev_block.digest(),
        1 => header.chain_root,
        2 => header.state_root.digest(),
        3 => header.body_root,
        4 => header.randomness,
        _ => Digest::new([numbers.u8(); 32]),
    }
}

fn seat(numbers: &mut Numbers<'_>) -> Seat {
    Seat::new(numbers.u8() % 8).unwrap()
}

const REASONS: [AbsenceReason; 7] = [
    AbsenceReason::Deadline,
    AbsenceReason::NotToMove,
    AbsenceReason::Resigned,
    AbsenceReason::Skipped,
    AbsenceReason::RevealMissing,
    AbsenceReason::OpenSeat,
    AbsenceReason::TakenOver,
];

const SEALS: [SealReason; 6] = [
    SealReason::Rules,
    SealReason::TurnLimit,
    SealReason::Resigned,
    SealReason::Abandoned,
    SealReason::Operator,
    SealReason::Agreed,
];

fn of_seat(index: u8) -> Seat {
    Seat::new(index).unwrap()
}

/// A match with all that there is without hidden moves: a silent player, a restart, a new session key, a new
/// block signer, a resignation and the Seal that follows from it.
static IN_THE_OPEN: LazyLock<Made> = LazyLock::new(|| {
    let mut made = Match::new(&Plan { seats: 3, ..Plan::SMALL });
    made.play(1);
    closed(&mut made, &[0, 2]);
    made.reopen();
    made.delegate(of_seat(1));
    closed(&mut made, &[0, 2]);
    made.change_key();
    end(made)
});

/// With hash chains and sealed moves: one seat does not commit, another does not show what it hid, a restart
/// and a new block signer come between the halves, a new session key in the first.
static HIDDEN: LazyLock<Made> = LazyLock::new(|| {
    let mut made = Match::new(&Plan {
        seats: 3,
        turns_max: Some(9),
        visibility: Visibility::Sealed,
        randomness: RandomnessMode::CommitReveal,
        ..Plan::SMALL
    });
    made.play(1);
    closed(&mut made, &[0, 2]);
    made.reopen();
    closed(&mut made, &[2]);
    made.delegate(of_seat(1));
    closed(&mut made, &[0, 2]);
    made.change_key();
    closed(&mut made, &[0, 2]);
    end(made)
});

/// Only these seats act, and time goes by.
fn closed(made: &mut Match, acting: &[u8]) {
    acting.iter().for_each(|index| made.suggest(of_seat(*index)));
    made.wait(40_000);
    made.close();
}

/// Two of three give up.
fn end(mut made: Match) -> Made {
    for resigned in [0, 1] {
        made.submit(&made.transaction(of_seat(resigned), TransactionBody::Resign));
    }
    closed(&mut made, &[2]);
    if made.chain().is_revealing() {
        closed(&mut made, &[2]);
    }
    Made::of(made)
}
