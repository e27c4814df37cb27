//! Matches in which not every seat is played for by its holder: one is open, or the rules play for it, or its
//! connection is lost.

use cadastre_protocol::{
    Absence, AbsencePolicy, AbsenceReason, Block, BlockKind, Entry, Header, ProvenBlock, ReopenReason,
    SecretKey, SignedTransaction, Transaction, TransactionBody, decode_exact,
};
use cadastre_replay::fixture::{DEADLINE_MS, Match, Plan, identity_key};

use super::{Family, family, forged, handed_in, seat, seat_of, shown};

const DEADLINE: u64 = DEADLINE_MS as u64;

/// The third of three seats is open.
const OPEN: Plan = Plan { size: 5, seats: 3, open: 1, ..Plan::SMALL };

/// The rules play for whoever was absent once.
const TAKEN_OVER: Plan = Plan {
    size: 5,
    absence: AbsencePolicy::TakeOver {
        abandon_after: 100,
        forfeit_after: None,
        shortest_ms: DEADLINE_MS,
        take_over_after: 1,
    },
    ..Plan::SMALL
};

/// In milliseconds.
const GRACE_MS: u32 = 8_000;

/// In the third turn of a match with an open seat, for which the identities 2 and 3 come.
pub(super) fn late_joins() -> Family {
    let played = after_two_turns(&OPEN);
    let (comes, other, seated) = (identity_key(2), identity_key(3), identity_key(0));
    let join = played.late_join(seat(2), &comes);
    let with_body = |body: &TransactionBody| Transaction { body: body.clone(), ..join.clone() };
    let TransactionBody::LateJoin { delegation, .. } = join.body.clone() else { panic!("it is a LateJoin") };
    let names_another = with_body(&TransactionBody::LateJoin { identity: other.public(), delegation });
    let of_seat_1 = played.late_join(seat(1), &comes);
    let plays = with_body(&TransactionBody::Turn(Vec::new()));
    let (seq, prev_tx) = (join.seq.next().unwrap(), sign(&comes, &join).hash());
    let plays_at_once = Transaction { seq, prev_tx, ..plays.clone() };

    let in_order = taking_the_seat(&sign(&comes, &join));
    let by_comer = |name: &str, transactions: &[SignedTransaction], server: &str, word: &str| {
        let block = taking_up(&in_order, transactions);
        handed_in(name, transactions.to_vec(), vec![block], word).by(Some(2), server)
    };
    let refused = |name: &str, key: &SecretKey, tx: &Transaction, word: &str| {
        by_comer(name, &[sign(key, tx)], word, word)
    };
    let open = played_by(&OPEN, &[0, 1]);
    let called = |name: &str, reason| {
        shown(name, vec![forged(&open, |_, _, absent| absent[0].reason = reason)], "wrong-absence")
    };
    let by_seated = sign(&seated, &played.late_join(seat(2), &seated));
    let by_other = sign(&other, &played.late_join(seat(2), &other));
    let cases = vec![
        refused("late_join_in_order", &comes, &join, "accepted").auditor("valid"),
        refused("late_join_for_a_taken_seat", &comes, &of_seat_1, "tx-seat-taken"),
        by_comer("late_join_of_whoever_has_a_seat", &[by_seated], "not-your-seat", "tx-already-seated")
            .by(Some(0), "tx-already-seated"),
        by_comer("late_join_of_somebody_else", std::slice::from_ref(&by_other), "not-your-seat", "accepted")
            .auditor("valid"),
        by_comer(
            "late_join_that_names_another",
            &[sign(&comes, &names_another)],
            "not-your-seat",
            "tx-bad-delegation",
        ),
        refused(
            "late_join_with_the_delegation_of_another_seat",
            &comes,
            &with_body(&of_seat_1.body),
            "tx-bad-delegation",
        ),
        refused("late_join_under_the_key_of_another", &other, &join, "tx-bad-signature"),
        by_comer("move_for_an_open_seat", &[sign(&comes, &plays)], "not-your-seat", "tx-wrong-kind"),
        by_comer(
            "move_in_the_turn_of_the_late_join",
            &[sign(&comes, &join), sign(&comes, &plays_at_once)],
            "tx-wrong-kind",
            "tx-wrong-kind",
        ),
        shown(
            "open_seat_taken_twice",
            vec![taking_up(&in_order, &[sign(&comes, &join), by_other])],
            "tx-seat-taken",
        ),
        shown(
            "late_join_dropped",
            vec![forged(&in_order, |_, entries, _| entries.retain(|entry| seat_of(entry) != seat(2)))],
            "missing-seat",
        ),
        shown("open_seat_in_order", vec![open.clone()], "accepted").auditor("valid"),
        called("open_seat_called_late", AbsenceReason::Deadline),
        called("open_seat_called_resigned", AbsenceReason::Resigned),
    ];
    family(&played, played.blocks(), cases)
}

/// In the third turn of a match between two, in whose second one seat 1 was absent.
pub(super) fn taken_over() -> Family {
    let played = absent_once();
    let idle = played.chain().head().state_root;
    let mut made = absent_once();
    act(&mut made, &[0]);
    let in_order = made.blocks().last().unwrap();
    let mut made = absent_once();
    made.play(1);
    let back = made.blocks().last().unwrap();
    let own: Vec<_> = entries(back).into_iter().filter(|entry| seat_of(entry) == seat(1)).collect();

    let bent = |name: &str, change: Change<'_>, word: &str| {
        shown(name, vec![forged(in_order, |header, entries, absent| change(header, entries, absent))], word)
    };
    let acts: Vec<_> = own.iter().map(|entry| entry.transaction.clone()).collect();
    let cases = vec![
        shown("taken_over_in_order", vec![in_order.clone()], "accepted").auditor("valid"),
        handed_in("whoever_was_taken_over_acts_again", acts, vec![back.clone()], "accepted")
            .by(Some(1), "accepted")
            .auditor("valid"),
        bent(
            "taken_over_called_late",
            &|_, _, absent| absent[0].reason = AbsenceReason::Deadline,
            "wrong-absence",
        ),
        bent("taken_over_and_not_played_for", &|header, _, _| header.state_root = idle, "state-root"),
        bent("taken_over_too_early", &|header, _, _| made_early(header, &played), "early-absence"),
        bent("taken_over_and_present", &|_, entries, _| entries.extend(own.clone()), "missing-seat"),
        bent(
            "taken_over_who_was_there",
            &|_, entries, absent| {
                entries.clear();
                absent.insert(0, Absence { seat: seat(0), reason: AbsenceReason::TakenOver });
            },
            "wrong-absence",
        ),
    ];
    family(&played, played.blocks(), cases)
}

/// In the third turn of a match between two who were always there.
pub(super) fn grace() -> Family {
    let plan = Plan { grace_ms: GRACE_MS, ..Plan::SMALL };
    let played = after_two_turns(&plan);
    let mut made = after_two_turns(&plan);
    made.wait(DEADLINE);
    made.give_grace();
    let good = made.blocks().last().unwrap().clone();
    let again = reopened_for_grace(made);
    let mut made = after_two_turns(&plan);
    act(&mut made, &[]);
    let nobody_acts = made.blocks().last().unwrap().clone();
    let for_nobody = reopened_for_grace(made);
    let action = entries(&played_by(&plan, &[0])).remove(0);

    let bent = |name: &str, change: Change<'_>, word: &str| {
        shown(name, vec![forged(&good, |header, entries, absent| change(header, entries, absent))], word)
    };
    let cases = vec![
        shown("grace_in_order", vec![good.clone()], "accepted").auditor("valid"),
        bent(
            "grace_before_the_time_is_up",
            &|header, _, _| {
                header.server_time = played.chain().head().server_time.after(DEADLINE - 1);
            },
            "nobody-missing",
        ),
        bent(
            "grace_of_more_time",
            &|header, _, _| header.deadline = header.deadline.map(|deadline| deadline.after(1)),
            "wrong-deadline",
        ),
        bent("grace_that_shows_an_action", &|_, entries, _| entries.push(action.clone()), "wrong-kind"),
        shown("grace_twice_in_one_turn", vec![good.clone(), again], "wrong-kind"),
        shown("grace_where_nobody_was_there_before", vec![nobody_acts, for_nobody], "nobody-missing"),
    ];
    family(&played, played.blocks(), cases)
}

type Change<'a> = &'a dyn Fn(&mut Header, &mut Vec<Entry>, &mut Vec<Absence>);

fn after_two_turns(plan: &Plan) -> Match {
    let mut made = Match::new(plan);
    made.play(2);
    made
}

fn absent_once() -> Match {
    let mut made = Match::new(&TAKEN_OVER);
    made.play(1);
    act(&mut made, &[0]);
    made
}

/// These seats act, and the time of the others runs out.
fn act(made: &mut Match, seats: &[u8]) {
    seats.iter().for_each(|index| made.suggest(seat(*index)));
    made.wait(DEADLINE);
    made.close();
}

/// The third turn, in which these seats act.
fn played_by(plan: &Plan, seats: &[u8]) -> ProvenBlock {
    let mut made = after_two_turns(plan);
    act(&mut made, seats);
    made.blocks().last().unwrap().clone()
}

/// The third turn, in which everybody acts and the open seat is taken.
fn taking_the_seat(join: &SignedTransaction) -> ProvenBlock {
    let mut made = after_two_turns(&OPEN);
    made.receive(join);
    made.play(1);
    made.blocks().last().unwrap().clone()
}

/// A block with these transactions in place of that of seat 2.
fn taking_up(block: &ProvenBlock, transactions: &[SignedTransaction]) -> ProvenBlock {
    forged(block, |_, entries, _| {
        let at = entries.iter().position(|entry| seat_of(entry) == seat(2)).unwrap();
        let received = entries[at].received;
        let entry = |transaction: &SignedTransaction| Entry { received, transaction: transaction.clone() };
        entries.splice(at..=at, transactions.iter().map(entry));
    })
}

/// A Reopen that says that it is for grace, after all of a match.
fn reopened_for_grace(mut made: Match) -> ProvenBlock {
    let deadline = made.chain().head().deadline.unwrap();
    made.wait(DEADLINE + u64::from(GRACE_MS));
    made.reopen();
    forged(made.blocks().last().unwrap(), |header, _, _| {
        header.kind = BlockKind::Reopen { reason: ReopenReason::Grace };
        header.deadline = Some(deadline.after(GRACE_MS.into()));
    })
}

fn made_early(header: &mut Header, played: &Match) {
    header.server_time = played.chain().head().server_time.after(DEADLINE - 1);
    header.deadline = Some(header.server_time.after(DEADLINE));
}

fn entries(block: &ProvenBlock) -> Vec<Entry> {
    let block: Block = decode_exact(&block.block).unwrap();
    block.entries
}

/// Signs as the session of an identity that plays for no other seat.
fn sign(identity: &SecretKey, tx: &Transaction) -> SignedTransaction {
    SignedTransaction::sign(&identity.session(tx.match_id, tx.epoch), tx)
}
