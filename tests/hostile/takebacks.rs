//! A match between two that went back once, to turn 18 of 20, and may do so again.

use cadastre_protocol::{
    Absence, AbsenceReason, Attempt, Block, BlockKind, Entry, Epoch, Header, ProvenBlock, SignedTransaction,
    TakebackPolicy, Transaction, TransactionBody, Turn, decode_exact,
};
use cadastre_replay::fixture::{DEADLINE_MS, Match, Plan, header_of, identity_key};

use super::{Case, Family, family, forged, handed_in, replaced, seat, seat_of, shown};

const PLAN: Plan = Plan { size: 5, takebacks: TakebackPolicy::Unanimous, ..Plan::SMALL };

/// The head's turn.
const HEAD: u32 = 18;

/// The earliest turn that the match can go back to.
const FLOOR: u32 = 4;

/// In the turn after a takeback.
pub(super) fn takebacks() -> Family {
    let played = went_back();
    let proposal = |to_turn| said(seat(0).get(), to_turn);
    let twice = following(&proposal(10), TransactionBody::Takeback { to_turn: Turn::new(11) });
    let thrice = following(&twice, TransactionBody::Takeback { to_turn: Turn::new(12) });
    let fourth = following(&thrice, TransactionBody::Takeback { to_turn: Turn::new(11) });
    let fifth = following(&fourth, TransactionBody::Takeback { to_turn: Turn::new(12) });
    let left = || left(HEAD + 1);
    let goes_back = going_back(10);
    let bent = |change: &dyn Fn(&mut Header, &mut Vec<Entry>)| {
        vec![forged(&goes_back, |header, entries, _| change(header, entries))]
    };
    let to = |header: &mut Header, turn| {
        (header.turn, header.kind) = (Turn::new(turn), BlockKind::Takeback { to_turn: Turn::new(turn) });
    };
    let cases = vec![
        proposed_in_order(),
        refused("proposal_too_far_back", &[proposal(FLOOR - 1)], "tx-wrong-takeback"),
        refused("proposal_to_a_turn_that_has_not_come", &[proposal(HEAD + 1)], "tx-wrong-takeback"),
        refused(
            "fifth_word_in_one_turn",
            &[proposal(10), twice, thrice, fourth, fifth],
            "tx-already-submitted",
        ),
        refused(
            "proposal_in_the_attempt_that_was_left",
            &[Transaction { attempt: Attempt::FIRST, ..proposal(10) }],
            "tx-wrong-attempt",
        ),
        refused("move_of_the_attempt_that_was_left", &[transaction_of(&left(), 0)], "tx-wrong-attempt"),
        shown("takeback_in_order", vec![goes_back.clone()], "accepted").auditor("valid"),
        shown("takeback_without_consent", bent(&|_, entries| entries.clear()), "no-consent"),
        shown("takeback_without_the_consent_of_one", bent(&|_, entries| drop(entries.pop())), "no-consent"),
        shown("takeback_to_another_turn_than_all_want", bent(&|header, _| to(header, 11)), "no-consent"),
        shown(
            "takeback_after_a_seat_has_played_on",
            bent(&|_, entries| {
                let last = entries.last().unwrap().clone();
                let consent: Transaction = decode_exact(&last.transaction.body).unwrap();
                let action = following(&consent, TransactionBody::Turn(Vec::new()));
                entries.push(Entry { transaction: sign(&action), ..last });
            }),
            "no-consent",
        ),
        shown("takeback_too_far_back", bent(&|header, _| to(header, FLOOR - 1)), "wrong-kind"),
        shown("takeback_to_the_turn_that_it_stands_at", bent(&|header, _| to(header, HEAD)), "wrong-kind"),
        shown(
            "takeback_in_the_same_attempt",
            bent(&|header, _| header.attempt = Attempt::new(1)),
            "wrong-attempt",
        ),
        shown(
            "takeback_to_the_state_of_another_turn",
            bent(&|header, _| header.state_root = header_of(&left()).state_root),
            "state-root",
        ),
        shown("consent_passed_over", vec![passing_over(&goes_back)], "takeback-due"),
        shown(
            "turn_in_the_attempt_that_was_left",
            vec![forged(&next(), |header, _, _| header.attempt = Attempt::FIRST)],
            "wrong-attempt",
        ),
    ];
    family(&played, played.blocks(), cases)
}

fn went_back() -> Match {
    let mut made = Match::new(&PLAN);
    made.play(20);
    made.take_back(Turn::new(HEAD));
    made
}

/// The block by which the match would go back again.
fn going_back(to_turn: u32) -> ProvenBlock {
    let mut made = went_back();
    made.take_back(Turn::new(to_turn));
    made.blocks().last().unwrap().clone()
}

/// The block by which it would go on.
fn next() -> ProvenBlock {
    let mut made = went_back();
    made.play(1);
    made.blocks().last().unwrap().clone()
}

/// The block of a turn that was taken back.
fn left(turn: u32) -> ProvenBlock {
    // The Start stands before the first turn.
    went_back().blocks()[usize::try_from(turn).unwrap()].clone()
}

/// A Turn with the consent of both, when the time is up.
fn passing_over(goes_back: &ProvenBlock) -> ProvenBlock {
    let deadline = went_back().chain().head().deadline.unwrap();
    forged(goes_back, |header, _, absent| {
        header.kind = BlockKind::Turn;
        (header.turn, header.attempt) = (Turn::new(HEAD + 1), Attempt::new(1));
        (header.server_time, header.deadline) = (deadline, Some(deadline.after(u64::from(DEADLINE_MS))));
        absent.extend([0, 1].map(|of| Absence { seat: seat(of), reason: AbsenceReason::Deadline }));
    })
}

/// One wants to go back, and nobody agrees.
fn proposed_in_order() -> Case {
    let proposal = said(0, 10);
    let mut made = went_back();
    made.submit(&proposal);
    made.wait(u64::from(DEADLINE_MS));
    made.close();
    let block = made.blocks().last().unwrap().clone();
    handed_in("proposal_in_order", vec![sign(&proposal)], vec![block], "accepted").auditor("valid")
}

/// Transactions of seat 0, and a block with them in place of what it did.
fn refused(name: &str, transactions: &[Transaction], word: &str) -> Case {
    let signed: Vec<_> = transactions.iter().map(sign).collect();
    let opened = went_back().chain().head().server_time;
    let block = replaced(&next(), &signed, opened.after(1));
    handed_in(name, signed, vec![block], word)
}

fn said(by: u8, to_turn: u32) -> Transaction {
    went_back().transaction(seat(by), TransactionBody::Takeback { to_turn: Turn::new(to_turn) })
}

/// What its seat can say after it.
fn following(before: &Transaction, body: TransactionBody) -> Transaction {
    Transaction { seq: before.seq.next().unwrap(), prev_tx: sign(before).hash(), body, ..before.clone() }
}

fn transaction_of(block: &ProvenBlock, of: u8) -> Transaction {
    let block: Block = decode_exact(&block.block).unwrap();
    let entry = block.entries.iter().find(|entry| seat_of(entry) == seat(of)).unwrap();
    decode_exact(&entry.transaction.body).unwrap()
}

fn sign(tx: &Transaction) -> SignedTransaction {
    let session = identity_key(tx.seat.get()).session(tx.match_id, Epoch::FIRST);
    SignedTransaction::sign(&session, tx)
}
