//! The codec on whatever bytes come: it refuses them, or they are the one encoding of what they say.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod reference;
mod support;

use cadastre_protocol::{
    Absence, AbsencePolicy, AbsenceReason, Access, AgreementPolicy, Attempt, Block, BlockHash, BlockKind,
    CHUNK_BYTES_MAX, CHUNKS_ASKED_MAX, Certificate, ChainStart, ChunkId, ChunkProof, ClientMessage, Clock,
    CodecError, CompareAnswer, CompareRequest, DEADLINE_MS_MAX, Delegation, Digest, DisplayName, Door,
    DoubleTransactionPolicy, EnterAs, Entry, Epoch, Following, ForkPoint, GRACE_MS_MAX, Genesis, Header,
    Height, Invitation, KeyRole, LINES_KEPT, Limits, Line, LineHash, Lobby, LobbySeat, MatchId, Millis,
    Motion, Notice, PHASES_MAX, Parent, Pass, ProvenBlock, ProvenReceipt, PublicKey, Randomness,
    RandomnessMode, Reaction, Receipt, Refusal, ReopenReason, RoomName, RoomSpec, RulesId, STATE_TREE_DEPTH,
    SealReason, Seat, SeatHolder, Seen, Seq, ServerMessage, ServerProof, Signature, SignedCertificate,
    SignedDelegation, SignedInvitation, SignedTalk, SignedTransaction, SkipPolicy, SpectatorPolicy, Standing,
    StateRoot, TakebackPolicy, Talk, TalkPlace, Text, Transaction, TransactionBody, TransactionError, Turn,
    TurnMode, TurnRules, TxHash, Visibility, WALK_FANOUT, WALK_NODES_MAX, Wire, Words, decode_exact, encode,
};
use proptest::{collection, option, prelude::*, sample};
use support::{
    samples::{Kind, SAMPLES, Sample},
    seat,
};

#[test]
fn every_prefix_and_every_extension_of_an_encoding_is_refused() {
    for Sample { kind, name, bytes } in SAMPLES.iter() {
        // All cuts of short ones; of long ones those that a fixed step finds, and the ends.
        for cut in (0..bytes.len()).step_by(1 + bytes.len() / 500).chain([bytes.len() - 1]) {
            assert_eq!(
                kind.decode(&bytes[..cut]),
                Err(CodecError::Malformed),
                "{kind:?}, {name}, cut at {cut}"
            );
        }
        let longer = [bytes, [0].as_slice()].concat();
        let expected = match kind.bytes_max() {
            max if longer.len() > max => CodecError::TooLong { got: longer.len(), max },
            _ => CodecError::Trailing,
        };
        assert_eq!(kind.decode(&longer), Err(expected), "{kind:?}, {name}");
    }
}

#[test]
fn every_type_has_its_limit() {
    for kind in Kind::ALL {
        let max = kind.bytes_max();
        let over = vec![0; max + 1];
        assert_eq!(kind.decode(&over), Err(CodecError::TooLong { got: max + 1, max }), "{kind:?}");
        assert!(!matches!(kind.decode(&over[1..]), Ok(_) | Err(CodecError::TooLong { .. })), "{kind:?}");
    }
}

#[test]
fn the_largest_block_that_a_room_can_make_fits() {
    let game = support::Match::started(8);
    let mut transactions = Vec::new();
    for seat in game.seats() {
        let (delegate, action) = (game.delegate(seat), TransactionBody::Turn(vec![7; 4096]));
        let action = game.following(&delegate, game.transaction(seat, action));
        transactions.extend([delegate, action]);
    }
    let turn = game.turn(&transactions);
    assert!(game.check(&turn).is_ok());
    // In a batch as large as there can be, and as a message.
    let mut proven = game.prove(&turn);
    proven.proof.hashes = vec![Digest::ZERO; 16];
    let message = ServerMessage::Block(proven);
    assert_eq!(decode_exact(&encode(&message)), Ok(message));
}

#[test]
fn no_length_makes_the_codec_allocate() {
    // Every place where a length could stand, with lengths that no memory has.
    for Sample { kind, bytes, .. } in SAMPLES.iter().filter(|sample| sample.bytes.len() < 600) {
        for at in 0..bytes.len().saturating_sub(8) {
            for length in [u64::MAX, u64::MAX / 32, 1 << 40, 65_537] {
                let mut bad = bytes.clone();
                bad[at..at + 8].copy_from_slice(&length.to_le_bytes());
                stays_canonical(*kind, &bad);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn bytes_that_decode_are_the_one_encoding(
        kind in sample::select(Kind::ALL),
        bytes in collection::vec(prop_oneof![0_u8..3, any::<u8>()], 0..400),
    ) {
        stays_canonical(kind, &bytes);
        // Past the version, which random bytes seldom have right.
        stays_canonical(kind, &[&[1], bytes.as_slice()].concat());
    }

    #[test]
    fn changed_encodings_that_decode_are_the_one_encoding(
        sample in sample::select(&**SAMPLES),
        kind in sample::select(Kind::ALL),
        changes in collection::vec(change(), 1..4),
    ) {
        let mut bytes = sample.bytes;
        changes.iter().for_each(|change| change.apply(&mut bytes));
        stays_canonical(sample.kind, &bytes);
        stays_canonical(kind, &bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn certificates_come_back(value in certificate()) {
        comes_back(&value)?;
    }

    #[test]
    fn signed_certificates_come_back(value in signed_certificate()) {
        comes_back(&value)?;
    }

    #[test]
    fn geneses_come_back(value in genesis()) {
        comes_back(&value)?;
    }

    #[test]
    fn delegations_come_back(value in delegation()) {
        comes_back(&value)?;
    }

    #[test]
    fn talks_come_back(value in talk()) {
        comes_back(&value)?;
    }

    #[test]
    fn transactions_come_back(value in transaction()) {
        comes_back(&value)?;
    }

    #[test]
    fn signed_transactions_come_back(value in signed_transaction()) {
        comes_back(&value)?;
    }

    #[test]
    fn receipts_come_back(value in receipt()) {
        comes_back(&value)?;
    }

    #[test]
    fn proven_receipts_come_back(value in (receipt(), proof())) {
        comes_back(&ProvenReceipt { receipt: encode(&value.0), proof: value.1 })?;
    }

    #[test]
    fn proofs_come_back(value in proof()) {
        comes_back(&value)?;
    }

    #[test]
    fn headers_come_back(value in header()) {
        comes_back(&value)?;
    }

    #[test]
    fn blocks_come_back(value in block(), proof in proof()) {
        comes_back(&value)?;
        comes_back(&ProvenBlock { block: encode(&value), proof })?;
    }

    #[test]
    fn client_messages_come_back(value in client_message()) {
        comes_back(&value)?;
    }

    #[test]
    fn server_messages_come_back(value in server_message()) {
        comes_back(&value)?;
    }
}

/// The property itself. That it does not panic is the other half.
fn stays_canonical(kind: Kind, bytes: &[u8]) {
    if let Ok(encoded) = kind.decode(bytes) {
        assert_eq!(encoded, bytes, "{kind:?}");
    }
}

fn comes_back<T: Wire + PartialEq + std::fmt::Debug>(value: &T) -> Result<(), TestCaseError> {
    let bytes = encode(value);
    let decoded: T = decode_exact(&bytes).unwrap();
    prop_assert_eq!(&decoded, value);
    prop_assert_eq!(encode(&decoded), bytes);
    Ok(())
}

#[derive(Clone, Debug)]
enum Change {
    Flip(sample::Index, u8),
    Set(sample::Index, u8),
    Number32(sample::Index, u32),
    Number64(sample::Index, u64),
    Insert(sample::Index, Vec<u8>),
    Remove(sample::Index, usize),
    Repeat(sample::Index, usize),
    Splice(sample::Index, Sample),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let len = bytes.len();
        match self {
            Self::Flip(at, bit) => bytes[at.index(len)] ^= 1 << bit,
            Self::Set(at, byte) => bytes[at.index(len)] = *byte,
            Self::Number32(at, number) => overwrite(bytes, at.index(len), &number.to_le_bytes()),
            Self::Number64(at, number) => overwrite(bytes, at.index(len), &number.to_le_bytes()),
            Self::Insert(at, more) => {
                let at = at.index(len);
                bytes.splice(at..at, more.iter().copied());
            }
            Self::Remove(at, count) => {
                let at = at.index(len);
                bytes.drain(at..len.min(at + count));
            }
            Self::Repeat(at, count) => {
                let at = at.index(len);
                let again = bytes[at..len.min(at + count)].to_vec();
                bytes.splice(at..at, again);
            }
            Self::Splice(at, other) => {
                bytes.truncate(at.index(len));
                bytes.extend_from_slice(&other.bytes[at.index(other.bytes.len())..]);
            }
        }
    }
}

fn overwrite(bytes: &mut [u8], at: usize, with: &[u8]) {
    for (to, from) in bytes[at..].iter_mut().zip(with) {
        *to = *from;
    }
}

fn change() -> impl Strategy<Value = Change> {
    let index = any::<sample::Index>;
    let short = || prop_oneof![1_usize..9, Just(32), Just(64), Just(80)];
    let number = prop_oneof![0_u64..20, Just(u64::MAX), Just(1 << 16), any::<u64>()];
    prop_oneof![
        (index(), 0_u8..8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        (index(), 0_u8..10).prop_map(|(at, byte)| Change::Set(at, byte)),
        (index(), any::<u32>()).prop_map(|(at, number)| Change::Number32(at, number)),
        (index(), number).prop_map(|(at, number)| Change::Number64(at, number)),
        (index(), collection::vec(any::<u8>(), 1..9)).prop_map(|(at, more)| Change::Insert(at, more)),
        (index(), short()).prop_map(|(at, count)| Change::Remove(at, count)),
        (index(), short()).prop_map(|(at, count)| Change::Repeat(at, count)),
        (index(), sample::select(&**SAMPLES)).prop_map(|(at, other)| Change::Splice(at, other)),
    ]
}

// Values of every type, none of which has to make sense beyond its own rules.

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest::new)
}

fn match_id() -> impl Strategy<Value = MatchId> {
    digest().prop_map(MatchId::new)
}

fn block_hash() -> impl Strategy<Value = BlockHash> {
    digest().prop_map(BlockHash::new)
}

fn public_key() -> impl Strategy<Value = PublicKey> {
    any::<[u8; 32]>().prop_map(PublicKey::new)
}

fn signature() -> impl Strategy<Value = Signature> {
    any::<[[u8; 32]; 2]>().prop_map(|halves| Signature::new(halves.concat().try_into().unwrap()))
}

fn millis() -> impl Strategy<Value = Millis> {
    any::<u64>().prop_map(Millis::new)
}

fn height() -> impl Strategy<Value = Height> {
    any::<u64>().prop_map(Height::new)
}

fn any_seat() -> impl Strategy<Value = Seat> {
    (0_u8..8).prop_map(seat)
}

/// Different seats in ascending order.
fn seats() -> impl Strategy<Value = Vec<Seat>> {
    collection::btree_set(0_u8..8, 0..9).prop_map(|set| set.into_iter().map(seat).collect())
}

fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    collection::vec(any::<u8>(), 0..=max)
}

fn certificate() -> impl Strategy<Value = Certificate> {
    let role = sample::select(&[KeyRole::Handshake, KeyRole::Block, KeyRole::Log]);
    (role, public_key(), any::<u32>(), any::<u64>(), any::<u64>()).prop_map(|(role, key, serial, a, b)| {
        let (valid_from, valid_to) = (Millis::new(a.min(b)), Millis::new(a.max(b).max(a.min(b) + 1)));
        Certificate { version: 1, role, key, serial, valid_from, valid_to }
    })
}

fn signed_certificate() -> impl Strategy<Value = SignedCertificate> {
    (bytes(57), signature()).prop_map(|(body, signature)| SignedCertificate { body, signature })
}

fn turn_mode() -> impl Strategy<Value = TurnMode> {
    sample::select(&[TurnMode::Simultaneous, TurnMode::Alternating])
}

fn clock() -> impl Strategy<Value = Clock> {
    let bank = (100_u32.., any::<u32>());
    prop_oneof![
        Just(Clock::PerTurn),
        bank.prop_map(|(initial_ms, increment_ms)| Clock::Bank { initial_ms, increment_ms }),
    ]
}

fn turn_rules() -> impl Strategy<Value = TurnRules> {
    (turn_mode(), 100_u32..=2_678_400_000, clock(), 0..=GRACE_MS_MAX, option::of(1_u32..)).prop_map(
        |(mode, deadline_ms, clock, grace_ms, turns_max)| TurnRules {
            mode,
            deadline_ms,
            clock,
            grace_ms,
            turns_max,
        },
    )
}

fn absence() -> impl Strategy<Value = AbsencePolicy> {
    prop_oneof![
        (1_u16..).prop_map(|abandon_after| AbsencePolicy::Pass { abandon_after }),
        (1_u16.., 1_u16..).prop_map(|(abandon_after, forfeit_after)| AbsencePolicy::Forfeit {
            abandon_after,
            forfeit_after
        }),
        (1_u16.., option::of(1_u16..), 100_u32..).prop_map(|(abandon_after, forfeit_after, shortest_ms)| {
            AbsencePolicy::Shrink { abandon_after, forfeit_after, shortest_ms }
        }),
        (1_u16.., option::of(1_u16..), 100_u32.., any::<u16>()).prop_map(
            |(abandon_after, forfeit_after, shortest_ms, take_over_after)| AbsencePolicy::TakeOver {
                abandon_after,
                forfeit_after,
                shortest_ms,
                take_over_after
            }
        ),
    ]
}

fn genesis() -> impl Strategy<Value = Genesis> {
    let rules = ("[a-z0-9-]{1,16}", 1_u16..).prop_map(|(name, version)| RulesId { name, version });
    let holders =
        collection::vec(prop_oneof![public_key().prop_map(SeatHolder::Player), Just(SeatHolder::Open)], 1..9);
    let double = sample::select(&[DoubleTransactionPolicy::KeepFirst, DoubleTransactionPolicy::EndMatch]);
    let visibility = sample::select(&[Visibility::Held, Visibility::Sealed, Visibility::Open]);
    let chains = option::of((1..65_536_u32, digest(), collection::vec(chain_start(), 8)));
    let takebacks = sample::select(&[TakebackPolicy::Never, TakebackPolicy::Unanimous]);
    let agreements = agreements();
    let spectators = spectators();
    let parent = (match_id(), height(), block_hash(), any::<u32>(), digest()).prop_map(
        |(match_id, height, block, turn, root)| {
            let (turn, state_root) = (Turn::new(turn), StateRoot::new(root));
            Parent { match_id, height, block, turn, state_root }
        },
    );
    let first = (public_key(), rules, bytes(64), holders, turn_rules(), absence(), double);
    let second = (
        visibility,
        chains,
        takebacks,
        agreements,
        spectators,
        option::of(parent),
        signed_certificate(),
        millis(),
    );
    (first, second, any::<[u8; 16]>()).prop_map(|(first, second, nonce)| {
        let (service, rules, options, seats, mut turns, absence, double_transactions) = first;
        let (visibility, chains, takebacks, agreements, spectators, parent, signer, created) = second;
        let randomness = match chains {
            None => Randomness::None,
            Some((turns_max, server, mut starts)) => {
                turns.turns_max = Some(turns_max);
                starts.truncate(seats.len());
                Randomness::CommitReveal { server, seats: starts }
            }
        };
        Genesis {
            version: 1,
            service,
            rules,
            options,
            seats,
            turns,
            absence,
            double_transactions,
            visibility,
            randomness,
            takebacks,
            agreements,
            spectators,
            parent,
            signer,
            created,
            nonce,
        }
    })
}

fn agreements() -> impl Strategy<Value = AgreementPolicy> {
    let skip = sample::select(&[SkipPolicy::Never, SkipPolicy::Majority, SkipPolicy::AllOthers]);
    (0..=DEADLINE_MS_MAX, any::<bool>(), skip).prop_map(|(pause_ms_max, end, skip)| AgreementPolicy {
        pause_ms_max,
        end,
        skip,
    })
}

fn motion() -> impl Strategy<Value = Motion> {
    prop_oneof![
        Just(Motion::Nothing),
        any::<u32>().prop_map(|ms| Motion::Pause { ms }),
        Just(Motion::End),
        seats().prop_map(|seats| Motion::Skip { seats: seats.into_iter().collect() }),
    ]
}

fn chain_start() -> impl Strategy<Value = ChainStart> {
    (any::<[u8; 32]>(), digest()).prop_map(|(nonce, anchor)| ChainStart { nonce, anchor })
}

fn delegation() -> impl Strategy<Value = Delegation> {
    (match_id(), any_seat(), any::<u32>(), public_key(), option::of(millis())).prop_map(
        |(match_id, seat, epoch, session, valid_to)| Delegation {
            version: 1,
            match_id,
            seat,
            epoch: Epoch::new(epoch),
            session,
            valid_to,
        },
    )
}

fn signed_delegation() -> impl Strategy<Value = SignedDelegation> {
    (bytes(128), signature()).prop_map(|(body, signature)| SignedDelegation { body, signature })
}

fn transaction() -> impl Strategy<Value = Transaction> {
    let body = prop_oneof![
        signed_delegation().prop_map(TransactionBody::Join),
        signed_delegation().prop_map(TransactionBody::Delegate),
        bytes(4096).prop_map(TransactionBody::Turn),
        digest().prop_map(TransactionBody::Commit),
        (any::<[u8; 32]>(), bytes(4096))
            .prop_map(|(salt, commands)| TransactionBody::Reveal { salt, commands }),
        any::<u32>().prop_map(|turn| TransactionBody::Takeback { to_turn: Turn::new(turn) }),
        Just(TransactionBody::Resign),
        motion().prop_map(TransactionBody::Motion),
        (public_key(), signed_delegation())
            .prop_map(|(identity, delegation)| TransactionBody::LateJoin { identity, delegation }),
    ];
    let place = (match_id(), any_seat(), any::<[u32; 4]>(), digest());
    let seen = (height(), block_hash(), digest());
    (place, seen, option::of(digest()), body).prop_map(|(place, seen, chain_element, body)| {
        let (match_id, seat, [epoch, seq, turn, attempt], prev_tx) = place;
        let (seen_height, seen_block, seen_state_root) = seen;
        Transaction {
            version: 1,
            match_id,
            seat,
            epoch: Epoch::new(epoch),
            seq: Seq::new(seq),
            prev_tx: TxHash::new(prev_tx),
            turn: Turn::new(turn),
            attempt: Attempt::new(attempt),
            seen_height,
            seen_block,
            seen_state_root: StateRoot::new(seen_state_root),
            chain_element,
            body,
        }
    })
}

fn signed_transaction() -> impl Strategy<Value = SignedTransaction> {
    (transaction(), signature())
        .prop_map(|(transaction, signature)| SignedTransaction { body: encode(&transaction), signature })
}

fn receipt() -> impl Strategy<Value = Receipt> {
    (match_id(), any_seat(), any::<[u32; 3]>(), digest(), millis()).prop_map(
        |(match_id, seat, [seq, turn, attempt], transaction, received)| Receipt {
            version: 1,
            match_id,
            seat,
            seq: Seq::new(seq),
            transaction: TxHash::new(transaction),
            turn: Turn::new(turn),
            attempt: Attempt::new(attempt),
            received,
        },
    )
}

fn proof() -> impl Strategy<Value = ServerProof> {
    (any::<[u32; 3]>(), collection::vec(digest(), 0..=32), signature()).prop_map(
        |([serial, index, size], hashes, signature)| ServerProof { serial, index, size, hashes, signature },
    )
}

fn header() -> impl Strategy<Value = Header> {
    let reopen = sample::select(&[ReopenReason::Restart, ReopenReason::Pause { ms: 9 }, ReopenReason::Grace]);
    let seal = sample::select(vec![
        SealReason::Rules,
        SealReason::TurnLimit,
        SealReason::Resigned,
        SealReason::Abandoned,
        SealReason::Operator,
        SealReason::DoubleTransaction { seat: seat(3) },
        SealReason::Agreed,
    ]);
    let standings = collection::btree_map(0_u8..8, (1_u8..9, any::<i64>()), 0..9).prop_map(|standings| {
        let standing = |(index, (place, score))| Standing { seat: seat(index), place, score };
        standings.into_iter().map(standing).collect::<Vec<_>>()
    });
    let kind = prop_oneof![
        Just(BlockKind::Start),
        Just(BlockKind::Turn),
        Just(BlockKind::Commit),
        reopen.prop_map(|reason| BlockKind::Reopen { reason }),
        any::<u32>().prop_map(|turn| BlockKind::Takeback { to_turn: Turn::new(turn) }),
        signed_certificate().prop_map(|certificate| BlockKind::KeyChange { certificate }),
        (seal, standings).prop_map(|(reason, standings)| BlockKind::Seal { reason, standings }),
    ];
    let place = (match_id(), height(), block_hash(), any::<[u32; 3]>());
    let times = (millis(), option::of(millis()));
    (place, kind, times, any::<[[u8; 32]; 5]>()).prop_map(|(place, kind, times, roots)| {
        let (match_id, height, prev_block, [turn, attempt, signer_serial]) = place;
        let [body_root, absent_root, randomness, state_root, chain_root] = roots.map(Digest::new);
        Header {
            version: 1,
            match_id,
            height,
            prev_block,
            kind,
            turn: Turn::new(turn),
            attempt: Attempt::new(attempt),
            server_time: times.0,
            deadline: times.1,
            body_root,
            absent_root,
            randomness,
            state_root: StateRoot::new(state_root),
            chain_root,
            signer_serial,
        }
    })
}

fn block() -> impl Strategy<Value = Block> {
    let reasons = [
        AbsenceReason::Deadline,
        AbsenceReason::NotToMove,
        AbsenceReason::Resigned,
        AbsenceReason::Skipped,
        AbsenceReason::RevealMissing,
        AbsenceReason::OpenSeat,
        AbsenceReason::TakenOver,
    ];
    let entry =
        (millis(), signed_transaction()).prop_map(|(received, transaction)| Entry { received, transaction });
    let absent = (seats(), 0_usize..6).prop_map(move |(seats, shift)| {
        let reason = |seat: Seat| reasons[(seat.index() + shift) % 6];
        seats.into_iter().map(|seat| Absence { seat, reason: reason(seat) }).collect()
    });
    (header(), collection::vec(entry, 0..5), absent).prop_map(|(header, entries, absent)| Block {
        header: encode(&header),
        entries,
        absent,
    })
}

fn room_name() -> impl Strategy<Value = RoomName> {
    "[a-zA-Z0-9._-]{1,32}".prop_map(|name| RoomName::new(&name).unwrap())
}

fn display_name() -> impl Strategy<Value = DisplayName> {
    // Eight characters of four bytes are the most.
    "\\PC{1,8}".prop_filter_map("a control character", |name| DisplayName::new(&name))
}

fn spectators() -> impl Strategy<Value = SpectatorPolicy> {
    prop_oneof![
        Just(SpectatorPolicy::Forbidden),
        any::<u16>().prop_map(|delay_turns| SpectatorPolicy::Allowed { delay_turns }),
        any::<u16>().prop_map(|delay_s| SpectatorPolicy::Later { delay_s }),
    ]
}

fn room_spec() -> impl Strategy<Value = RoomSpec> {
    let settings = (option::of(any::<u16>()), turn_mode());
    let times = (option::of(any::<u32>()), option::of(any::<u32>()), spectators());
    let double = sample::select(&[DoubleTransactionPolicy::KeepFirst, DoubleTransactionPolicy::EndMatch]);
    let visibility = sample::select(&[Visibility::Held, Visibility::Sealed, Visibility::Open]);
    let randomness = sample::select(&[RandomnessMode::None, RandomnessMode::CommitReveal]);
    let takebacks = sample::select(&[TakebackPolicy::Never, TakebackPolicy::Unanimous]);
    let fork =
        (match_id(), any::<u32>()).prop_map(|(match_id, turn)| ForkPoint { match_id, turn: Turn::new(turn) });
    let modes =
        (double, visibility, randomness, takebacks, agreements(), clock(), absence(), option::of(fork));
    let seats = (any::<u8>(), any::<u8>(), access(), any::<bool>(), any::<u32>());
    let settings = (settings, seats);
    ("[a-z0-9-]{1,16}", settings, times, modes).prop_map(|(rules, (settings, seats), times, modes)| {
        let ((size, mode), (seats, seats_min, access, late_joins, grace_ms)) = (settings, seats);
        let (turns_max, deadline_ms, spectators) = times;
        let (double_transactions, visibility, randomness, takebacks, agreements, clock, absence, fork) =
            modes;
        RoomSpec {
            rules,
            size,
            seats,
            mode,
            turns_max,
            deadline_ms,
            spectators,
            double_transactions,
            visibility,
            randomness,
            absence,
            clock,
            takebacks,
            agreements,
            seats_min,
            access,
            fork,
            grace_ms,
            late_joins,
        }
    })
}

fn access() -> impl Strategy<Value = Access> {
    let door = prop_oneof![
        Just(Door::Open),
        public_key().prop_map(|opener| Door::ByInvitation { opener }),
        public_key().prop_map(|key| Door::ByPassword { key }),
    ];
    (door, any::<bool>()).prop_map(|(door, listed)| Access { door, listed })
}

fn pass() -> impl Strategy<Value = Option<Pass>> {
    option::of(prop_oneof![
        signed_invitation().prop_map(Pass::Invitation),
        signature().prop_map(Pass::Password),
    ])
}

fn invitation() -> impl Strategy<Value = Invitation> {
    (public_key(), room_name(), option::of(public_key()), enter_as(), millis()).prop_map(
        |(service, room, guest, enter_as, valid_to)| Invitation {
            version: Invitation::VERSION,
            service,
            room,
            guest,
            enter_as,
            valid_to,
        },
    )
}

fn signed_invitation() -> impl Strategy<Value = SignedInvitation> {
    (invitation(), signature())
        .prop_map(|(invitation, signature)| SignedInvitation { body: encode(&invitation), signature })
}

fn enter_as() -> impl Strategy<Value = EnterAs> {
    sample::select(&[EnterAs::Player, EnterAs::Spectator])
}

fn client_message() -> impl Strategy<Value = ClientMessage> {
    prop_oneof![
        (room_name(), room_spec()).prop_map(|(room, spec)| ClientMessage::Create { room, spec }),
        (room_name(), enter_as(), display_name(), pass())
            .prop_map(|(room, enter_as, name, pass)| ClientMessage::Enter { room, enter_as, name, pass }),
        (any::<bool>(), option::of(chain_start()))
            .prop_map(|(ready, chain)| ClientMessage::Ready { ready, chain }),
        (match_id(), enter_as(), height(), block_hash(), pass()).prop_map(
            |(match_id, enter_as, height, block, pass)| ClientMessage::Resume {
                match_id,
                enter_as,
                height,
                block,
                pass
            }
        ),
        signed_transaction().prop_map(ClientMessage::Submit),
        Just(ClientMessage::Leave),
        any::<u64>().prop_map(ClientMessage::Ping),
        any::<u64>().prop_map(ClientMessage::Pong),
        compare_request().prop_map(ClientMessage::Compare),
        (sample::select(&[Following::Blocks, Following::Snapshot]), any::<bool>())
            .prop_map(|(following, packed)| ClientMessage::Follow { following, packed }),
        option::of(collection::btree_set(any::<u16>(), 1..=64)).prop_map(|chunks| {
            ClientMessage::Watch(chunks.map(|chunks| chunks.into_iter().map(ChunkId::new).collect()))
        }),
        signed_talk().prop_map(ClientMessage::Say),
        Just(ClientMessage::Rematch),
    ]
}

fn talk_place() -> impl Strategy<Value = TalkPlace> {
    prop_oneof![
        (public_key(), room_name(), any::<[u8; 16]>()).prop_map(|(service, room, nonce)| TalkPlace::Lobby {
            service,
            room,
            nonce
        }),
        match_id().prop_map(TalkPlace::Match),
    ]
}

fn text() -> impl Strategy<Value = Text> {
    "\\PC{1,100}".prop_filter_map("a text", |text| Text::new(&text).ok())
}

fn talk() -> impl Strategy<Value = Talk> {
    let words =
        prop_oneof![text().prop_map(Words::Text), sample::select(&Reaction::ALL).prop_map(Words::Reaction),];
    let seen = (any::<u64>(), digest()).prop_map(|(number, line)| Seen { number, line: LineHash::new(line) });
    let rest = (any::<u32>(), seen, words);
    (talk_place(), public_key(), rest).prop_map(|(place, author, (number, seen, words))| Talk {
        version: 1,
        place,
        author,
        number,
        seen,
        words,
    })
}

fn signed_talk() -> impl Strategy<Value = SignedTalk> {
    (talk(), signature()).prop_map(|(talk, signature)| SignedTalk { body: encode(&talk), signature })
}

fn line() -> impl Strategy<Value = Line> {
    (any::<u64>(), digest(), millis(), signed_talk()).prop_map(|(number, previous, received, talk)| Line {
        number,
        previous: LineHash::new(previous),
        received,
        talk,
    })
}

fn roots() -> impl Strategy<Value = Vec<StateRoot>> {
    collection::vec(digest().prop_map(StateRoot::new), 1..=PHASES_MAX)
}

fn chunk_and_proof() -> impl Strategy<Value = (Box<ChunkProof>, Option<Vec<u8>>)> {
    let siblings = collection::vec(digest(), STATE_TREE_DEPTH);
    let proof = (any::<u16>(), siblings).prop_map(|(id, siblings)| {
        Box::new(ChunkProof { id: ChunkId::new(id), siblings: siblings.try_into().unwrap() })
    });
    (proof, option::of(bytes(CHUNK_BYTES_MAX)))
}

fn compare_request() -> impl Strategy<Value = CompareRequest> {
    let ascending = |most| collection::btree_set(any::<u16>(), 1..=most);
    prop_oneof![
        (any::<u32>(), any::<u32>(), roots()).prop_map(|(turn, attempt, phases)| CompareRequest::Begin {
            turn: Turn::new(turn),
            attempt: Attempt::new(attempt),
            phases
        }),
        (1..=4_u8, ascending(WALK_NODES_MAX)).prop_map(|(step, indices)| CompareRequest::Nodes {
            level: 4 * step,
            indices: indices.into_iter().collect()
        }),
        chunk_and_proof().prop_map(|(proof, chunk)| CompareRequest::OwnChunk { proof, chunk }),
        ascending(CHUNKS_ASKED_MAX)
            .prop_map(|ids| CompareRequest::Chunks { ids: ids.into_iter().map(ChunkId::new).collect() }),
    ]
}

fn compare_answer() -> impl Strategy<Value = CompareAnswer> {
    prop_oneof![
        roots().prop_map(|roots| CompareAnswer::Phases { roots }),
        (digest(), 0..=WALK_NODES_MAX)
            .prop_map(|(node, groups)| CompareAnswer::Nodes { nodes: vec![node; WALK_FANOUT * groups] }),
        chunk_and_proof().prop_map(|(proof, chunk)| CompareAnswer::Chunk { proof, chunk }),
        Just(CompareAnswer::Unknown),
    ]
}

fn server_message() -> impl Strategy<Value = ServerMessage> {
    let limits = any::<(u32, u32)>()
        .prop_map(|(heartbeat_ms, message_bytes_max)| Limits { heartbeat_ms, message_bytes_max });
    let lobby_seats =
        (seats(), public_key(), display_name(), any::<bool>()).prop_map(|(seats, identity, name, ready)| {
            seats.into_iter().map(|seat| LobbySeat { seat, identity, name: name.clone(), ready }).collect()
        });
    let error = prop_oneof![
        Just(TransactionError::WrongMatch),
        any::<(u32, u32)>()
            .prop_map(|(a, b)| TransactionError::WrongTurn { expected: Turn::new(a), got: Turn::new(b) }),
        any::<(u32, u32)>()
            .prop_map(|(a, b)| TransactionError::WrongSeq { expected: Seq::new(a), got: Seq::new(b) }),
        Just(TransactionError::Exhausted),
        Just(TransactionError::WrongTakeback),
        Just(TransactionError::SeatTaken),
        Just(TransactionError::AlreadySeated),
    ];
    let refusal = prop_oneof![
        Just(Refusal::Malformed),
        error.prop_map(Refusal::Chain),
        (any::<u16>(), "[ -~]{0,120}").prop_map(|(command, reason)| Refusal::Command { command, reason }),
    ];
    prop_oneof![
        (digest(), limits, millis()).prop_map(|(session, limits, server_time)| ServerMessage::Accept {
            session,
            limits,
            server_time
        }),
        room_name().prop_map(|room| ServerMessage::Created { room }),
        (room_name(), room_spec(), lobby_seats).prop_map(|(room, spec, seats)| ServerMessage::Lobby(Lobby {
            room,
            spec,
            seats
        })),
        (bytes(300), collection::vec(display_name(), 0..9), any::<bool>())
            .prop_map(|(genesis, names, begun)| ServerMessage::Genesis { genesis, names, begun }),
        (block(), proof())
            .prop_map(|(block, proof)| ServerMessage::Block(ProvenBlock { block: encode(&block), proof })),
        height().prop_map(|height| ServerMessage::CaughtUp { height }),
        (receipt(), proof()).prop_map(|(receipt, proof)| {
            ServerMessage::Receipt(ProvenReceipt { receipt: encode(&receipt), proof })
        }),
        (digest(), refusal).prop_map(|(transaction, refusal)| {
            ServerMessage::Refused { transaction: TxHash::new(transaction), refusal }
        }),
        any::<u64>().prop_map(ServerMessage::Ping),
        any::<u64>().prop_map(ServerMessage::Pong),
        compare_answer().prop_map(ServerMessage::Compared),
        (any_seat(), option::of(any::<u32>()))
            .prop_map(|(seat, to_turn)| ServerMessage::Takeback { seat, to_turn: to_turn.map(Turn::new) }),
        collection::btree_map(any::<u16>(), bytes(400), 1..9).prop_map(|chunks| {
            let chunks = chunks.into_iter().map(|(id, chunk)| (ChunkId::new(id), chunk));
            ServerMessage::Chunks(chunks.collect())
        }),
        bytes(400).prop_map(ServerMessage::Packed),
        (talk_place(), collection::vec(line(), 0..=LINES_KEPT))
            .prop_map(|(place, lines)| ServerMessage::Conversation { place, lines }),
        line().prop_map(ServerMessage::Said),
        text().prop_map(|text| ServerMessage::Notice(Notice::Text(text))),
        any::<u32>().prop_map(|in_ms| ServerMessage::Notice(Notice::Shutdown { in_ms })),
        any_seat().prop_map(|seat| ServerMessage::Rematch { seat }),
    ]
}
