//! A match between three after two turns, in which all there is can be agreed on.

use cadastre_protocol::{
    Absence, AbsenceReason, AgreementPolicy, BlockKind, Entry, Header, Motion, ProvenBlock, ReopenReason,
    SealReason, SeatSet, SignedTransaction, SkipPolicy, Transaction, TransactionBody, decode_exact,
};
use cadastre_replay::fixture::{DEADLINE_MS, Match, Plan, identity_key};

use super::{Case, Family, family, forged, handed_in, replaced, seat, seat_of, shown};

const PLAN: Plan = Plan {
    size: 5,
    seats: 3,
    agreements: AgreementPolicy { pause_ms_max: 60_000, end: true, skip: SkipPolicy::Majority },
    ..Plan::SMALL
};

const PAUSE: Motion = Motion::Pause { ms: 10_000 };
const HALF_MS: u64 = DEADLINE_MS as u64 / 2;

/// In the third turn.
pub(super) fn agreements() -> Family {
    let played = played();
    let mut words = vec![wanting(0, PAUSE)];
    while words.len() < 5 {
        words.push(following(words.last().unwrap(), TransactionBody::Motion(Motion::End)));
    }
    let own = Motion::Skip { seats: SeatSet::first(1) };
    let (pauses, ends) = (agreeing(PAUSE), agreeing(Motion::End));
    let bent = |good: &ProvenBlock, change: &dyn Fn(&mut Header, &mut Vec<Entry>)| {
        vec![forged(good, |header, entries, _| change(header, entries))]
    };
    let longer = |header: &mut Header| {
        header.kind = BlockKind::Reopen { reason: ReopenReason::Pause { ms: 20_000 } };
        header.deadline = header.deadline.map(|deadline| deadline.after(10_000));
    };
    let cases = vec![
        moved_in_order(),
        refused("pause_longer_than_allowed", &[wanting(0, Motion::Pause { ms: 60_001 })], "tx-wrong-motion"),
        refused("pause_of_no_time", &[wanting(0, Motion::Pause { ms: 0 })], "tx-wrong-motion"),
        refused("skip_of_the_own_seat", &[wanting(0, own)], "tx-wrong-motion"),
        refused("skip_of_nobody", &[wanting(0, Motion::Skip { seats: SeatSet::EMPTY })], "tx-wrong-motion"),
        refused("fifth_motion_in_one_turn", &words, "tx-already-submitted"),
        shown("pause_in_order", vec![pauses.clone()], "accepted").auditor("valid"),
        shown("pause_without_consent", bent(&pauses, &|_, entries| entries.clear()), "no-consent"),
        shown(
            "pause_without_the_consent_of_one",
            bent(&pauses, &|_, entries| drop(entries.pop())),
            "no-consent",
        ),
        shown("pause_longer_than_all_want", bent(&pauses, &|header, _| longer(header)), "no-consent"),
        shown(
            "pause_with_another_deadline",
            bent(&pauses, &|header, _| header.deadline = header.deadline.map(|deadline| deadline.after(1))),
            "wrong-deadline",
        ),
        shown(
            "pause_that_shows_an_action",
            bent(&pauses, &|_, entries| {
                let consent: Transaction = decode_exact(&entries[0].transaction.body).unwrap();
                let action = Transaction { body: TransactionBody::Turn(Vec::new()), ..consent };
                entries[0].transaction = sign(&action);
            }),
            "tx-wrong-kind",
        ),
        shown("end_in_order", vec![ends.clone()], "accepted").auditor("valid"),
        shown("end_without_the_consent_of_one", bent(&ends, &|_, entries| drop(entries.pop())), "no-consent"),
        shown(
            "end_by_the_operator_with_consents",
            bent(&ends, &|header, _| {
                let BlockKind::Seal { reason, .. } = &mut header.kind else { panic!("it is a Seal") };
                *reason = SealReason::Operator;
            }),
            "wrong-kind",
        ),
        shown("end_passed_over", vec![passing_over(&ends)], "agreement-due"),
        shown("pause_passed_over", vec![passing_over(&pauses)], "agreement-due"),
        shown("skip_in_order", vec![skipping()], "accepted").auditor("valid"),
        shown(
            "skip_by_one_alone",
            bent(&skipping(), &|_, entries| {
                let last = entries.iter().rposition(|entry| seat_of(entry) == seat(1)).unwrap();
                drop(entries.remove(last));
            }),
            "wrong-absence",
        ),
        shown(
            "skip_before_half_of_the_time",
            bent(&skipping(), &|header, _| at(header, HALF_MS - 1)),
            "wrong-absence",
        ),
        shown(
            "skip_of_a_seat_whose_time_is_up",
            bent(&skipping(), &|header, _| at(header, 2 * HALF_MS)),
            "wrong-absence",
        ),
    ];
    family(&played, played.blocks(), cases)
}

fn played() -> Match {
    let mut made = Match::new(&PLAN);
    made.play(2);
    made
}

/// The block that carries out what all want.
fn agreeing(motion: Motion) -> ProvenBlock {
    let mut made = played();
    made.agree(motion);
    made.blocks().last().unwrap().clone()
}

/// A Turn with the consent of all, when the time is up.
fn passing_over(agreed: &ProvenBlock) -> ProvenBlock {
    let chain = played();
    let head = chain.chain().head();
    let deadline = head.deadline.unwrap();
    forged(agreed, |header, _, absent| {
        (header.kind, header.turn) = (BlockKind::Turn, head.turn.next().unwrap());
        (header.server_time, header.deadline) = (deadline, Some(deadline.after(u64::from(DEADLINE_MS))));
        absent.extend([0, 1, 2].map(|of| Absence { seat: seat(of), reason: AbsenceReason::Deadline }));
    })
}

/// The Turn in which two skip the third.
fn skipping() -> ProvenBlock {
    let mut made = played();
    let seats = SeatSet::from_iter([seat(2)]);
    for by in [0, 1] {
        let action = made.transaction(seat(by), TransactionBody::Turn(Vec::new()));
        made.submit(&action);
        made.submit(&following(&action, TransactionBody::Motion(Motion::Skip { seats })));
    }
    made.wait(HALF_MS);
    made.close();
    let block = made.blocks().last().unwrap().clone();
    forged(&block, |header, _, _| at(header, HALF_MS))
}

/// Has the block be made so long after the turn was opened.
fn at(header: &mut Header, after_ms: u64) {
    header.server_time = played().chain().head().server_time.after(after_ms);
    header.deadline = Some(header.server_time.after(u64::from(DEADLINE_MS)));
}

/// One wants to end the match, and nobody else does.
fn moved_in_order() -> Case {
    let motion = wanting(0, Motion::End);
    let mut made = played();
    made.submit(&motion);
    made.wait(u64::from(DEADLINE_MS));
    made.close();
    let block = made.blocks().last().unwrap().clone();
    handed_in("motion_in_order", vec![sign(&motion)], vec![block], "accepted").auditor("valid")
}

/// Transactions of seat 0, and a block with them in place of what it did.
fn refused(name: &str, transactions: &[Transaction], word: &str) -> Case {
    let signed: Vec<_> = transactions.iter().map(sign).collect();
    let mut made = played();
    let opened = made.chain().head().server_time;
    made.play(1);
    let block = replaced(made.blocks().last().unwrap(), &signed, opened.after(1));
    handed_in(name, signed, vec![block], word)
}

fn wanting(by: u8, motion: Motion) -> Transaction {
    played().transaction(seat(by), TransactionBody::Motion(motion))
}

/// What its seat can say after it.
fn following(before: &Transaction, body: TransactionBody) -> Transaction {
    Transaction { seq: before.seq.next().unwrap(), prev_tx: sign(before).hash(), body, ..before.clone() }
}

fn sign(tx: &Transaction) -> SignedTransaction {
    let session = identity_key(tx.seat.get()).session(tx.match_id, tx.epoch);
    SignedTransaction::sign(&session, tx)
}
