//! Makes the corpus: a match between two, and what somebody could send in its third turn. [`hidden`] has the
//! matches with hash chains and hidden moves, [`takebacks`] one that went back, [`seats`] those with open and absent seats.

#![allow(clippy::needless_pass_by_value, reason = "the lists are made where they are handed over")]

use std::sync::LazyLock;

use cadastre_protocol::{
    Absence, AbsenceReason, Attempt, Block, BlockHash, BlockKind, Certificate, Clock, Context, Delegation,
    Digest, Entry, Epoch, Header, Height, KeyRole, MatchId, Millis, ProvenBlock, ProvenReceipt, PublicKey,
    Receipt, ReopenReason, Revocations, Revoked, SealReason, Seat, SecretKey, ServerProof, Signature,
    SignedCertificate, SignedDelegation, SignedRevocations, SignedTransaction, Standing, StateRoot,
    Transaction, TransactionBody, Turn, TxHash, decode_exact, encode, hash,
};
use cadastre_replay::fixture::{
    DEADLINE_MS, Match, Plan, certificate, header_of, identity_key, root_key, signer_key,
};
use num_bigint::BigUint;

mod agreements;
mod hidden;
mod seats;
mod takebacks;

use super::{
    corpus::{Case, Family, Submission, Verdict, to_hex},
    rule::{ORDER, Point},
};

type Make = fn() -> Family;

pub(crate) const FAMILIES: [(&str, Make); 13] = [
    ("turns", || after_two_turns(turns())),
    ("signatures", || after_two_turns(signatures())),
    ("blocks", || after_two_turns(blocks())),
    ("start", hidden::start),
    ("first_half", hidden::first_half),
    ("second_half", hidden::second_half),
    ("copies", hidden::copies),
    ("clocks", || {
        let played = two_timed_turns();
        family(&played, played.blocks(), clocks())
    }),
    ("takebacks", takebacks::takebacks),
    ("agreements", agreements::agreements),
    ("late_joins", seats::late_joins),
    ("taken_over", seats::taken_over),
    ("grace", seats::grace),
];

fn after_two_turns(cases: Vec<Case>) -> Family {
    let played = two_turns();
    family(&played, played.blocks(), cases)
}

/// Cases that begin after the first blocks of a match.
fn family(whole: &Match, played: &[ProvenBlock], cases: Vec<Case>) -> Family {
    Family { genesis: hex::encode(encode(whole.chain().genesis())), played: to_hex(played), cases }
}

/// Transactions that cannot come, or not like this.
fn turns() -> Vec<Case> {
    let played = two_turns();
    let good = draft(&played);
    let with = |change: &dyn Fn(&mut Transaction)| {
        let mut changed = good.clone();
        change(&mut changed);
        vec![by_session(&changed)]
    };
    let other = Digest::new([0x5a; 32]);
    let next_turn = good.turn.next().unwrap();
    let another = with(&|tx| tx.body = TransactionBody::Turn(vec![5, 0]))[0].clone();
    let of_another_match = MatchId::new(other);
    let seat_1 = Transaction { seat: seat(1), ..good.clone() };
    let by_seat_1 = SignedTransaction::sign(&session(1, Epoch::FIRST), &good);
    let late = u64::from(DEADLINE_MS) + 1;
    let signed = by_session(&good);
    let mut cases = vec![
        submitted("in_order", vec![signed.clone()], "accepted").in_a_valid_block(),
        submitted("replayed", vec![earlier(&played)], "tx-wrong-turn"),
        submitted("of_another_room", with(&|tx| tx.match_id = of_another_match), "tx-wrong-match"),
        submitted("on_an_old_link", with(&|tx| tx.prev_tx = old_link(&played)), "tx-wrong-link"),
        submitted("after_a_gap", with(&|tx| tx.seq = tx.seq.next().unwrap()), "tx-wrong-seq"),
        submitted("two_with_one_number", vec![signed.clone(), another], "tx-already-submitted"),
        submitted("the_same_twice", vec![signed.clone(), signed.clone()], "tx-already-submitted")
            .server("accepted"),
        submitted("by_a_spectator", vec![signed.clone()], "").by(None, "not-your-seat"),
        submitted("for_another_seat", vec![by_seat_1], "tx-bad-signature").by(Some(1), "not-your-seat"),
        submitted("for_a_seat_of_somebody_else", vec![by_session(&seat_1)], "").server("not-your-seat"),
        submitted("in_time_to_the_millisecond", vec![signed.clone()], "accepted")
            .at(late - 1)
            .in_a_valid_block(),
        submitted("a_millisecond_late", vec![signed], "tx-late").at(late),
        submitted("for_the_next_turn", with(&|tx| tx.turn = next_turn), "tx-wrong-turn"),
        submitted("for_another_attempt", with(&|tx| tx.attempt = Attempt::new(1)), "tx-wrong-attempt"),
        submitted(
            "on_an_unknown_block",
            with(&|tx| tx.seen_block = BlockHash::new(other)),
            "tx-unknown-seen-block",
        ),
        submitted(
            "on_a_block_of_an_earlier_turn",
            with(&|tx| (tx.seen_height, tx.seen_block) = (Height::GENESIS, tx.match_id.as_block())),
            "tx-unknown-seen-block",
        ),
        submitted(
            "an_illegal_command",
            with(&|tx| tx.body = TransactionBody::Turn(vec![0xff, 0xff])),
            "accepted",
        )
        .in_a_valid_block()
        .server("command"),
        submitted(
            "a_hash_chain_element_in_a_match_without",
            with(&|tx| tx.chain_element = Some(other)),
            "tx-unexpected-chain-element",
        ),
        submitted(
            "a_reveal_in_a_match_without",
            with(&|tx| tx.body = TransactionBody::Reveal { salt: [7; 32], commands: vec![0, 0] }),
            "tx-wrong-kind",
        ),
        submitted(
            "a_takeback_in_a_match_without",
            with(&|tx| tx.body = TransactionBody::Takeback { to_turn: Turn::START }),
            "tx-wrong-kind",
        ),
    ];
    let join = TransactionBody::Join(delegation(|_| {}));
    cases.push(submitted("a_join_in_a_running_match", with(&|tx| tx.body = join.clone()), "tx-wrong-kind"));
    cases
}

/// Signatures and keys that must not count.
fn signatures() -> Vec<Case> {
    let played = two_turns();
    let good = draft(&played);
    let signed = by_session(&good);
    let bent = |change: &dyn Fn(&mut SignedTransaction)| {
        let mut bent = signed.clone();
        change(&mut bent);
        vec![bent]
    };
    let by = |key: SecretKey| vec![SignedTransaction::sign(&key, &good)];
    let in_context = |context| {
        let digest = hash(Context::Transaction, &[&signed.body]);
        let signature = session(0, Epoch::FIRST).sign(context, digest);
        vec![SignedTransaction { signature, ..signed.clone() }]
    };
    let bad = "tx-bad-signature";
    let mut cases = vec![
        submitted("bit_flip_in_the_body", bent(&|signed| *signed.body.last_mut().unwrap() ^= 1), bad),
        submitted("bit_flip_in_r", bent(&|signed| signed.signature = flipped(&signed.signature, 5)), bad),
        submitted("bit_flip_in_s", bent(&|signed| signed.signature = flipped(&signed.signature, 300)), bad),
        submitted(
            "s_plus_the_order",
            bent(&|signed| signed.signature = s_plus_order(&signed.signature)),
            bad,
        ),
        submitted(
            "r_with_torsion",
            bent(&|signed| signed.signature = r_with_torsion(&signed.signature)),
            bad,
        ),
        submitted(
            "r_of_small_order",
            bent(&|signed| {
                let s = &signed.signature.as_bytes()[32..];
                signed.signature = Signature::new([&SMALL_ORDER[0], s].concat().try_into().unwrap());
            }),
            bad,
        ),
        submitted("no_signature", bent(&|signed| signed.signature = Signature::new([0; 64])), bad),
        submitted("identity_key_for_the_session_key", by(identity_key(0)), bad),
        submitted("session_key_of_another_match", by(other_session()), bad),
        submitted("session_key_of_another_epoch", by(session(0, Epoch::new(1))), bad),
        submitted("key_of_the_server", by(signer_key(1)), bad),
        submitted("key_of_the_root", by(root_key()), bad),
    ];
    for &context in Context::ALL {
        if context != Context::Transaction {
            let name = format!("in_the_context_{}", snake(context.as_str()));
            cases.push(submitted(&name, in_context(context), bad));
        }
    }
    let delegate = |epoch: u32, delegation: SignedDelegation| {
        let epoch = Epoch::new(epoch);
        let body = TransactionBody::Delegate(delegation);
        vec![SignedTransaction::sign(&session(0, epoch), &Transaction { epoch, body, ..good.clone() })]
    };
    let bad = "tx-bad-delegation";
    let now = played.chain().head().server_time;
    cases.extend([
        submitted("delegation_in_order", delegate(1, delegation(|_| {})), "accepted").in_a_valid_block(),
        submitted(
            "delegation_of_another_match",
            delegate(1, delegation(|d| d.match_id = MatchId::new(Digest::new([0x5a; 32])))),
            bad,
        ),
        submitted("delegation_of_another_seat", delegate(1, delegation(|d| d.seat = seat(1))), bad),
        submitted(
            "delegation_that_has_expired",
            delegate(1, delegation(|d| d.valid_to = Some(Millis::new(now.get() - 1)))),
            "tx-delegation-expired",
        ),
        submitted(
            "delegation_of_the_epoch_in_force",
            delegate(1, delegation(|d| d.epoch = Epoch::FIRST)),
            bad,
        ),
        submitted(
            "delegation_of_a_lower_epoch",
            delegate(0, delegation(|d| d.epoch = Epoch::FIRST)),
            "tx-wrong-epoch",
        ),
        submitted(
            "delegation_by_the_session_key",
            delegate(1, delegation_by(&session(0, Epoch::FIRST), |_| {})),
            bad,
        ),
        submitted(
            "delegation_by_another_identity",
            delegate(1, delegation_by(&identity_key(1), |_| {})),
            bad,
        ),
    ]);
    for (number, key) in SMALL_ORDER.iter().enumerate() {
        let name = format!("session_key_of_small_order_{number}");
        let weak = delegation(|d| d.session = PublicKey::new(*key));
        cases.push(submitted(&name, delegate(1, weak), bad));
    }
    let public = session(0, Epoch::new(1)).public();
    let mixed = with_torsion(public.as_bytes());
    let mut no_point = [0; 32];
    no_point[0] = 2;
    for (name, key) in [("session_key_of_mixed_order", mixed), ("session_key_that_is_no_point", no_point)] {
        let weak = delegation(|d| d.session = PublicKey::new(key));
        cases.push(submitted(name, delegate(1, weak), bad));
    }

    // The server's own signatures, which nobody hands in to it.
    let next = following(1).remove(0);
    let proof_with = |change: fn(&Signature) -> Signature| {
        let mut bent = next.clone();
        bent.proof.signature = change(&bent.proof.signature);
        vec![bent]
    };
    let certified = |by: &SecretKey, change: fn(&mut Certificate)| {
        let mut body: Certificate = decode_exact(&certificate(2).body).unwrap();
        change(&mut body);
        let signed = SignedCertificate::issue(by, &body);
        vec![key_change(&played, signed, body.serial)]
    };
    let root = root_key();
    cases.extend([
        shown("proof_with_a_bit_flip", proof_with(|s| flipped(s, 9)), "bad-proof"),
        shown("proof_with_s_plus_the_order", proof_with(s_plus_order), "bad-proof"),
        shown("proof_with_torsion_in_r", proof_with(r_with_torsion), "bad-proof"),
        shown("proof_of_another_signer", vec![Match::prove(next.block.clone(), &signer_key(2))], "bad-proof"),
        shown("proof_of_the_root_key", vec![Match::prove(next.block.clone(), &root)], "bad-proof"),
        shown(
            "signer_of_an_unknown_serial",
            vec![forged(&next, |header, _, _| header.signer_serial = 9)],
            "wrong-signer",
        ),
        Case {
            revocations: Some(revoked(1, Millis::new(0))),
            ..shown("signer_with_a_revoked_certificate", vec![next.clone()], "accepted")
        }
        .auditor("revoked-signer"),
        Case {
            revocations: Some(revoked(1, header_of(&next).server_time.after(1))),
            ..shown("signer_whose_certificate_was_revoked_later", vec![next.clone()], "accepted")
        }
        .auditor("valid"),
        shown("key_change_in_order", certified(&root, |_| {}), "accepted").auditor("valid"),
        shown("key_change_without_the_root", certified(&signer_key(1), |_| {}), "key-change"),
        shown("key_change_to_a_lower_serial", certified(&root, |body| body.serial = 1), "key-change"),
        shown(
            "key_change_to_a_handshake_key",
            certified(&root, |body| body.role = KeyRole::Handshake),
            "wrong-signer",
        ),
        shown(
            "key_change_to_an_expired_key",
            certified(&root, |body| body.valid_to = Millis::new(1)),
            "wrong-signer",
        ),
        shown(
            "key_change_to_a_key_of_later",
            certified(&root, |body| body.valid_from = Millis::new(u64::MAX - 1)),
            "wrong-signer",
        ),
        shown(
            "key_change_to_a_key_of_small_order",
            certified(&root, |body| body.key = PublicKey::new(SMALL_ORDER[0])),
            "key-change",
        ),
        shown(
            "key_change_with_the_certificate_of_another_kind",
            vec![key_change(
                &played,
                SignedCertificate {
                    signature: root
                        .sign(Context::Delegation, hash(Context::Delegation, &[&certificate(2).body])),
                    ..certificate(2)
                },
                2,
            )],
            "key-change",
        ),
    ]);
    cases
}

type Change<'a> = &'a dyn Fn(&mut Header, &mut Vec<Entry>, &mut Vec<Absence>);

/// Blocks of a server that breaks the rules, with roots and proofs as they should be.
fn blocks() -> Vec<Case> {
    let played = two_turns();
    let genuine = following(3);
    let next = &genuine[0];
    let head = *played.chain().head();
    let bent =
        |change: Change<'_>| vec![forged(next, |header, entries, absent| change(header, entries, absent))];
    let other = Digest::new([0x5a; 32]);
    let absent = |index, reason| Absence { seat: seat(index), reason };
    let at_the_deadline = |header: &mut Header| {
        header.server_time = head.deadline.unwrap();
        header.deadline = Some(header.server_time.after(u64::from(DEADLINE_MS)));
    };
    let of_kind = |kind: BlockKind| {
        let deadline = if kind.seals() { None } else { header_of(next).deadline };
        bent(&|header, entries, absent| {
            (header.kind, header.turn, header.state_root) = (kind.clone(), head.turn, head.state_root);
            header.deadline = deadline;
            (*entries, *absent) = (Vec::new(), Vec::new());
        })
    };
    let takeback = bent(&|header, entries, absent| {
        (header.kind, header.turn) = (BlockKind::Takeback { to_turn: Turn::START }, Turn::START);
        header.attempt = Attempt::new(1);
        (*entries, *absent) = (Vec::new(), Vec::new());
    });
    let mut elsewhere = two_turns();
    elsewhere.wait(1);
    elsewhere.play(2);
    let elsewhere = elsewhere.blocks()[played.blocks().len()..].to_vec();
    let reopened = of_kind(BlockKind::Reopen { reason: ReopenReason::Restart }).remove(0);
    let mut sealed = two_turns();
    sealed.seal(SealReason::Operator);
    let seal = sealed.blocks().last().unwrap().clone();
    let after_the_seal = forged(next, |header, _, _| {
        let seal = header_of(&seal);
        header.height = seal.height.next().unwrap();
        header.prev_block = name_of(&seal);
    });
    vec![
        shown("in_order", genuine.clone(), "accepted").auditor("valid"),
        shown("wrong_state_root", bent(&|h, _, _| h.state_root = StateRoot::new(other)), "state-root"),
        shown("entries_reordered", bent(&|_, entries, _| entries.reverse()), "wrong-order"),
        shown("blocks_reordered", vec![genuine[1].clone(), genuine[0].clone()], "wrong-height"),
        shown("entry_dropped", bent(&|_, entries, _| drop(entries.pop())), "missing-seat"),
        shown(
            "entry_dropped_and_called_absent_too_early",
            bent(&|_, entries, absents| {
                entries.retain(|entry| seat_of(entry) != seat(0));
                absents.push(absent(0, AbsenceReason::Deadline));
            }),
            "early-absence",
        ),
        shown(
            "absent_for_another_reason",
            bent(&|header, entries, absents| {
                at_the_deadline(header);
                entries.retain(|entry| seat_of(entry) != seat(0));
                absents.push(absent(0, AbsenceReason::NotToMove));
            }),
            "wrong-absence",
        ),
        dropped_with_receipt(),
        shown(
            "absent_and_present",
            bent(&|_, _, absents| absents.push(absent(0, AbsenceReason::Deadline))),
            "missing-seat",
        ),
        shown(
            "absent_without_a_seat",
            bent(&|_, _, absents| absents.push(absent(5, AbsenceReason::OpenSeat))),
            "missing-seat",
        ),
        shown("entry_twice", bent(&|_, entries, _| entries.push(entries[1].clone())), "tx-already-submitted"),
        shown("block_twice", vec![next.clone(), next.clone()], "wrong-height"),
        shown(
            "entry_invented",
            bent(&|_, entries, _| {
                let mut tx: Transaction = decode_exact(&entries[0].transaction.body).unwrap();
                tx.body = TransactionBody::Resign;
                entries[0].transaction = SignedTransaction::sign(&signer_key(1), &tx);
            }),
            "tx-bad-signature",
        ),
        shown("second_block_at_a_height", vec![next.clone(), reopened], "wrong-height"),
        shown("block_of_a_fork", vec![next.clone(), elsewhere[1].clone()], "wrong-link"),
        shown("gap", vec![genuine[1].clone()], "wrong-height"),
        shown("wrong_link", bent(&|h, _, _| h.prev_block = BlockHash::new(other)), "wrong-link"),
        shown(
            "clock_backwards",
            bent(&|h, _, _| h.server_time = Millis::new(head.server_time.get() - 1)),
            "clock-backwards",
        ),
        shown("takeback", takeback, "wrong-kind"),
        shown("commit_in_a_match_without", of_kind(BlockKind::Commit), "wrong-kind"),
        shown("second_start", of_kind(BlockKind::Start), "wrong-kind"),
        shown(
            "reopened_for_no_restart",
            of_kind(BlockKind::Reopen { reason: ReopenReason::Grace }),
            "wrong-kind",
        ),
        shown("wrong_chain_root", bent(&|h, _, _| h.chain_root = other), "chain-root"),
        shown("swapped_genesis", bent(&|h, _, _| h.match_id = MatchId::new(other)), "wrong-match"),
        shown("wrong_turn", bent(&|h, _, _| h.turn = Turn::new(9)), "wrong-turn"),
        shown("wrong_attempt", bent(&|h, _, _| h.attempt = Attempt::new(1)), "wrong-attempt"),
        shown(
            "longer_deadline",
            bent(&|h, _, _| h.deadline = h.deadline.map(|at| at.after(1))),
            "wrong-deadline",
        ),
        shown("randomness_in_a_match_without", bent(&|h, _, _| h.randomness = other), "randomness"),
        shown("another_body_than_the_header_says", vec![with_another_body(next)], "body-root"),
        shown("seal_that_is_not_due", of_kind(seal_for(&played, SealReason::Rules, 0)), "wrong-kind"),
        shown(
            "seal_with_another_result",
            of_kind(seal_for(&played, SealReason::Operator, 1)),
            "wrong-standings",
        ),
        shown("block_after_the_seal", vec![seal, after_the_seal], "after-seal"),
    ]
}

/// Blocks of a server that gives its players other times than the genesis does.
fn clocks() -> Vec<Case> {
    let played = two_timed_turns();
    let mut honest = two_timed_turns();
    honest.play(1);
    let next = honest.blocks().last().unwrap().clone();
    let flag = played.chain().deadline_of(seat(0)).unwrap();
    let made_at = |header: &mut Header, time: Millis| {
        header.server_time = time;
        header.deadline = Some(time.after(u64::from(DEADLINE_MS)));
    };
    let bent = |change: Change<'_>| {
        vec![played.forge(&next, |header, entries, absent| change(header, entries, absent))]
    };
    let mut fallen = two_timed_turns();
    fallen.suggest(seat(1));
    fallen.wait(flag.get() - played.chain().head().server_time.get());
    fallen.close();
    let fallen = vec![fallen.blocks().last().unwrap().clone()];
    vec![
        shown("within_the_own_time", vec![next.clone()], "accepted").auditor("valid"),
        shown("flag_that_has_fallen", fallen, "accepted").auditor("valid"),
        shown(
            "commands_after_the_flag_has_fallen",
            bent(&|header, entries, _| {
                made_at(header, flag.after(1));
                for entry in entries.iter_mut().filter(|entry| seat_of(entry) == seat(0)) {
                    entry.received = flag.after(1);
                }
            }),
            "tx-late",
        ),
        shown(
            "flag_that_has_not_fallen",
            bent(&|header, entries, absent| {
                made_at(header, Millis::new(flag.get() - 1));
                entries.retain(|entry| seat_of(entry) != seat(0));
                absent.push(Absence { seat: seat(0), reason: AbsenceReason::Deadline });
            }),
            "early-absence",
        ),
        shown(
            "deadline_cut_to_a_bank",
            bent(&|header, _, _| header.deadline = Some(header.server_time.after(u64::from(BANK_MS)))),
            "wrong-deadline",
        ),
        shown(
            "longer_deadline_with_banks",
            bent(&|header, _, _| header.deadline = header.deadline.map(|at| at.after(1))),
            "wrong-deadline",
        ),
    ]
}

/// What each seat has in its bank at the start, less than a turn may take.
const BANK_MS: u32 = 20_000;

/// Two turns between two players with banks.
fn two_timed_turns() -> Match {
    let clock = Clock::Bank { initial_ms: BANK_MS, increment_ms: 0 };
    let mut played = Match::new(&Plan { clock, ..Plan::SMALL });
    played.play(2);
    played
}

/// Two turns between two players.
fn two_turns() -> Match {
    let mut played = Match::new(&Plan::SMALL);
    played.play(2);
    played
}

/// The blocks after those of [`played`], if all goes on as it should.
fn following(turns: u32) -> Vec<ProvenBlock> {
    let mut made = two_turns();
    let before = made.blocks().len();
    made.play(turns);
    made.blocks()[before..].to_vec()
}

/// What seat 0 could sign next.
fn draft(played: &Match) -> Transaction {
    let next = following(1).remove(0);
    let block: Block = decode_exact(&next.block).unwrap();
    let entry = block.entries.iter().find(|entry| seat_of(entry) == seat(0)).unwrap();
    let tx: Transaction = decode_exact(&entry.transaction.body).unwrap();
    assert_eq!(tx.seen_block, played.chain().head().block);
    tx
}

/// Blocks as a server can make them, with the verdict of client and auditor.
fn shown(name: &str, blocks: Vec<ProvenBlock>, verdict: &str) -> Case {
    let word = Some(verdict.to_owned());
    let verdict = Verdict { server: None, client: word.clone(), auditor: word };
    let (submission, receipt, revocations) = (None, None, None);
    Case { name: name.to_owned(), submission, receipt, revocations, blocks: to_hex(&blocks), verdict }
}

/// Transactions that are handed in by the connection of seat 0 right after the turn was opened, and that a
/// server puts in its block all the same. Without a verdict, they cannot stand in one.
fn submitted(name: &str, transactions: Vec<SignedTransaction>, verdict: &str) -> Case {
    let blocks = if verdict.is_empty() { Vec::new() } else { vec![with_entries(&transactions, 1)] };
    handed_in(name, transactions, blocks, verdict)
}

/// Transactions that are handed in by the connection of seat 0, and the blocks of a server that takes them up.
fn handed_in(
    name: &str,
    transactions: Vec<SignedTransaction>,
    blocks: Vec<ProvenBlock>,
    verdict: &str,
) -> Case {
    let submission = Submission { from_seat: Some(0), received_ms: 1, transactions: to_hex(&transactions) };
    let mut case = shown(name, blocks, verdict);
    if verdict.is_empty() {
        case.verdict = Verdict { server: None, client: None, auditor: None };
    }
    case.verdict.server = Some(verdict.to_owned());
    Case { submission: Some(submission), ..case }
}

impl Case {
    fn server(mut self, word: &str) -> Self {
        self.verdict.server = Some(word.to_owned());
        self
    }

    fn auditor(mut self, word: &str) -> Self {
        self.verdict.auditor = Some(word.to_owned());
        self
    }

    /// Handed in by another connection, whose server has its own word for it.
    fn by(mut self, from_seat: Option<u8>, server: &str) -> Self {
        self.submission.as_mut().unwrap().from_seat = from_seat;
        self.server(server)
    }

    fn at(mut self, received_ms: u64) -> Self {
        let submission = self.submission.as_mut().unwrap();
        submission.received_ms = received_ms;
        let transactions = super::corpus::transactions(&submission.transactions);
        self.blocks = to_hex(&[with_entries(&transactions, received_ms)]);
        self
    }

    /// The block is the one that an honest server makes of it.
    fn in_a_valid_block(self) -> Self {
        let submission = self.submission.as_ref().unwrap();
        let mut made = two_turns();
        for transaction in super::corpus::transactions(&submission.transactions) {
            let tx: Transaction = decode_exact(&transaction.body).unwrap();
            made.wait(submission.received_ms - 1);
            match tx.body {
                TransactionBody::Delegate(_) => made.delegate(tx.seat),
                _ => made.submit(&tx),
            }
        }
        made.wait(u64::from(DEADLINE_MS));
        made.close();
        let block = made.blocks().last().unwrap().clone();
        Self { blocks: to_hex(&[block]), ..self }.auditor("valid")
    }
}

/// The next block with these transactions of seat 0 in place of its own.
fn with_entries(transactions: &[SignedTransaction], received_ms: u64) -> ProvenBlock {
    let next = following(1).remove(0);
    let opened = two_turns().chain().head().server_time;
    replaced(&next, transactions, opened.after(received_ms))
}

/// A block with other transactions of seat 0.
fn replaced(block: &ProvenBlock, transactions: &[SignedTransaction], received: Millis) -> ProvenBlock {
    forged(block, |_, entries, _| {
        let at = entries.iter().position(|entry| seat_of(entry) == seat(0)).unwrap();
        let entry = |transaction: &SignedTransaction| Entry { received, transaction: transaction.clone() };
        entries.splice(at..=at, transactions.iter().map(entry));
    })
}

fn forged(
    block: &ProvenBlock,
    change: impl FnOnce(&mut Header, &mut Vec<Entry>, &mut Vec<Absence>),
) -> ProvenBlock {
    two_turns().forge(block, change)
}

/// A block that follows from the chain, for whoever has not seen the receipt for what it leaves out.
fn dropped_with_receipt() -> Case {
    let promised = receipt_for(&by_session(&draft(&two_turns())), &two_turns());
    let mut made = two_turns();
    made.suggest(seat(1));
    made.wait(u64::from(DEADLINE_MS));
    made.close();
    let block = made.blocks().last().unwrap().clone();
    let case = shown("dropped_with_receipt", vec![block], "omission").auditor("valid");
    Case { receipt: Some(promised), ..case }
}

/// What the server gives for a transaction of seat 0 that comes right after the turn was opened.
fn receipt_for(transaction: &SignedTransaction, played: &Match) -> String {
    let tx: Transaction = decode_exact(&transaction.body).unwrap();
    let receipt = Receipt {
        version: Receipt::VERSION,
        match_id: tx.match_id,
        seat: tx.seat,
        seq: tx.seq,
        transaction: transaction.hash(),
        turn: tx.turn,
        attempt: tx.attempt,
        received: played.chain().head().server_time.after(1),
    };
    let proof = ServerProof::sign(&signer_key(1), 1, &[receipt.leaf()]).remove(0);
    hex::encode(encode(&ProvenReceipt { receipt: encode(&receipt), proof }))
}

/// A list of the root that takes a certificate back.
fn revoked(serial: u32, from: Millis) -> String {
    let revocations =
        Revocations { version: Revocations::VERSION, issued: from, revoked: vec![Revoked { serial, from }] };
    hex::encode(encode(&SignedRevocations::issue(&root_key(), &revocations)))
}

/// The header of one block over the entries of another.
fn with_another_body(block: &ProvenBlock) -> ProvenBlock {
    let mut bent: Block = decode_exact(&block.block).unwrap();
    bent.entries.pop();
    Match::prove(encode(&bent), &signer_key(1))
}

fn key_change(played: &Match, certificate: SignedCertificate, serial: u32) -> ProvenBlock {
    let head = *played.chain().head();
    let block = Match::rewrite(&following(1)[0], |header, entries, absent| {
        header.kind = BlockKind::KeyChange { certificate };
        header.signer_serial = serial;
        (header.turn, header.deadline, header.state_root) = (head.turn, head.deadline, head.state_root);
        (*entries, *absent) = (Vec::new(), Vec::new());
    });
    Match::prove(block, &signer_key(2))
}

fn seal_for(played: &Match, reason: SealReason, extra: i64) -> BlockKind {
    let mut standings: Vec<Standing> = played.chain().standings();
    standings[0].score += extra;
    BlockKind::Seal { reason, standings }
}

/// The transaction of seat 0 in the newest block.
fn earlier(played: &Match) -> SignedTransaction {
    let block: Block = decode_exact(&played.blocks().last().unwrap().block).unwrap();
    let entry = block.entries.iter().find(|entry| seat_of(entry) == seat(0)).unwrap();
    entry.transaction.clone()
}

fn old_link(played: &Match) -> TxHash {
    let tx: Transaction = decode_exact(&earlier(played).body).unwrap();
    tx.prev_tx
}

fn by_session(tx: &Transaction) -> SignedTransaction {
    SignedTransaction::sign(&session(tx.seat.get(), tx.epoch), tx)
}

fn session(index: u8, epoch: Epoch) -> SecretKey {
    identity_key(index).session(two_turns().chain().match_id(), epoch)
}

fn other_session() -> SecretKey {
    identity_key(0).session(MatchId::new(Digest::new([0x5a; 32])), Epoch::FIRST)
}

/// For the next epoch of seat 0, signed by its identity.
fn delegation(change: impl FnOnce(&mut Delegation)) -> SignedDelegation {
    delegation_by(&identity_key(0), change)
}

fn delegation_by(key: &SecretKey, change: impl FnOnce(&mut Delegation)) -> SignedDelegation {
    let mut delegation = Delegation {
        version: Delegation::VERSION,
        match_id: two_turns().chain().match_id(),
        seat: seat(0),
        epoch: Epoch::new(1),
        session: session(0, Epoch::new(1)).public(),
        valid_to: None,
    };
    change(&mut delegation);
    SignedDelegation::sign(key, &delegation)
}

fn flipped(signature: &Signature, bit: usize) -> Signature {
    let mut bytes = *signature.as_bytes();
    bytes[bit / 8] ^= 1 << (bit % 8);
    Signature::new(bytes)
}

fn s_plus_order(signature: &Signature) -> Signature {
    let mut bytes = *signature.as_bytes();
    let s = (BigUint::from_bytes_le(&bytes[32..]) + &*ORDER).to_bytes_le();
    bytes[32..].fill(0);
    bytes[32..32 + s.len()].copy_from_slice(&s);
    Signature::new(bytes)
}

fn r_with_torsion(signature: &Signature) -> Signature {
    let mut bytes = *signature.as_bytes();
    let r = with_torsion(bytes.first_chunk().unwrap());
    bytes[..32].copy_from_slice(&r);
    Signature::new(bytes)
}

fn with_torsion(point: &[u8; 32]) -> [u8; 32] {
    let eighth = Point::decode(&SMALL_ORDER[4]).unwrap();
    Point::decode(point).unwrap().plus(&eighth).encode()
}

fn name_of(header: &Header) -> BlockHash {
    BlockHash::new(hash(Context::Block, &[&encode(header)]))
}

fn seat_of(entry: &Entry) -> Seat {
    let tx: Transaction = decode_exact(&entry.transaction.body).unwrap();
    tx.seat
}

fn seat(index: u8) -> Seat {
    Seat::new(index).unwrap()
}

fn snake(context: &str) -> String {
    context.rsplit("2026-11 ").next().unwrap().replace(' ', "_")
}

/// The eight points of small order in all their encodings.
static SMALL_ORDER: LazyLock<[[u8; 32]; 14]> = LazyLock::new(|| {
    [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    ]
    .map(|text| hex::decode(text).unwrap().try_into().unwrap())
});
