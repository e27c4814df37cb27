//! A match between three with hash chains and sealed moves: before its Start, in both halves of its third turn,
//! and after two seats have copied a commitment.

use std::sync::LazyLock;

use cadastre_protocol::{
    Absence, AbsenceReason, Block, BlockKind, Digest, Entry, Epoch, Header, Orders, ProvenBlock, Randomness,
    RandomnessMode, Seat, Setup, SignedTransaction, StateRoot, Transaction, TransactionBody, TurnOrders,
    Visibility, Work, decode_exact,
};
use cadastre_replay::fixture::{DEADLINE_MS, Match, Plan, header_of, identity_key};
use cadastre_simulations::Game;

use super::{
    Case, Change, Family, Submission, family, forged, handed_in, replaced, seat, seat_of, shown, to_hex,
};

const PLAN: Plan = Plan {
    rules: "city",
    size: 64,
    seats: 3,
    turns_max: Some(9),
    visibility: Visibility::Sealed,
    randomness: RandomnessMode::CommitReveal,
    ..Plan::SMALL
};

/// Height of the Commit of the third turn.
const COMMIT: usize = 6;

/// What is not the right one, whatever it stands for.
const OTHER: Digest = Digest::new([0x5a; 32]);

/// Before the first block: the seed comes of what all reveal in it.
pub(super) fn start() -> Family {
    let begin = at(1);
    let bent = |change: Change<'_>| vec![bent(begin, change)];
    let with_state = |state_root| bent(&|header, _, _| header.state_root = state_root);
    let by_server = |element| bent(&|header, _, _| header.randomness = element);
    let join = transaction_of(begin, 0);
    let join_with = |name, element, word| {
        let transaction = sign(&Transaction { chain_element: element, ..join.clone() });
        in_place(name, vec![transaction], begin, word)
    };
    let Randomness::CommitReveal { server: anchor, seats } = &WHOLE.genesis.randomness else {
        unreachable!()
    };
    let setup = WHOLE.genesis.setup();
    let wrong = "tx-wrong-chain-element";
    let cases = vec![
        in_place("join_in_order", vec![sign(&join)], begin, "accepted").auditor("valid"),
        join_with("join_without_an_element", None, "tx-missing-chain-element"),
        join_with("join_with_the_second_element", element_of(at(COMMIT - 3), 0), wrong),
        join_with("join_with_the_anchor", Some(seats[0].anchor), wrong),
        join_with("join_with_the_element_of_another_seat", element_of(begin, 1), wrong),
        join_with("join_with_an_element_that_is_made_up", Some(OTHER), wrong),
        shown(
            "state_of_another_seed",
            with_state(state_at_start(&Setup { seed: OTHER, ..setup.clone() })),
            "state-root",
        ),
        shown("state_of_the_seed_before_anybody_revealed", with_state(state_at_start(&setup)), "state-root"),
        shown("start_without_the_server_s_element", by_server(Digest::ZERO), "randomness"),
        shown("start_with_the_server_s_second_element", by_server(header_of(at(3)).randomness), "randomness"),
        shown("start_with_the_server_s_anchor", by_server(*anchor), "randomness"),
        shown("start_with_an_element_that_is_made_up", by_server(OTHER), "randomness"),
        shown("joins_not_in_the_order_of_the_seed", bent(&|_, entries, _| entries.reverse()), "wrong-order"),
    ];
    family(&played(0), &[], cases)
}

/// While seats hide what they do.
pub(super) fn first_half() -> Family {
    let (half, turn) = (at(COMMIT), at(COMMIT + 1));
    let commit = transaction_of(half, 0);
    let (element, reveal) = (element_of(turn, 0), transaction_of(turn, 0).body);
    let TransactionBody::Reveal { commands, .. } = reveal.clone() else { unreachable!() };
    let with = |body: &TransactionBody| sign(&Transaction { body: body.clone(), ..commit.clone() });
    let showing =
        |body: TransactionBody| vec![sign(&Transaction { body, chain_element: element, ..commit.clone() })];
    let copies = |name, body: TransactionBody| {
        let mut made = played(2);
        made.submit(&made.transaction(seat(0), body.clone()));
        [1, 2].into_iter().for_each(|index| made.suggest(seat(index)));
        made.close();
        let case = in_place(name, vec![with(&body)], half, "accepted").auditor("valid");
        Case { blocks: to_hex(&made.blocks()[COMMIT - 1..]), ..case }
    };
    let late = || closed(played(2), &[1, 2]);
    let absent = |change: Change<'_>| vec![bent(&late(), change)];
    let cases = vec![
        in_place("commit_in_order", vec![sign(&commit)], half, "accepted").auditor("valid"),
        in_place("early_reveal", showing(reveal), half, "tx-wrong-kind"),
        in_place("commands_in_clear", showing(TransactionBody::Turn(commands)), half, "tx-wrong-kind"),
        in_place(
            "second_commit",
            vec![sign(&commit), with(&TransactionBody::Commit(OTHER))],
            half,
            "tx-already-submitted",
        ),
        in_place(
            "commit_with_an_element",
            vec![sign(&Transaction { chain_element: element, ..commit.clone() })],
            half,
            "tx-unexpected-chain-element",
        ),
        copies("commitment_copied_from_another_seat", transaction_of(half, 1).body),
        copies("commitment_copied_from_another_turn", transaction_of(at(COMMIT - 2), 0).body),
        missing("missing_commit", late(), 0, "absent-deadline"),
        shown("missing_commit_hidden", absent(&|_, _, absent| absent.clear()), "missing-seat"),
        shown(
            "missing_commit_blamed_on_another",
            absent(&|_, _, absent| absent[0].seat = seat(1)),
            "missing-seat",
        ),
        shown("missing_commit_called_too_early", absent(&|header, _, _| too_early(header)), "early-absence"),
        shown(
            "missing_commit_called_a_missing_reveal",
            absent(&|_, _, absent| absent[0].reason = AbsenceReason::RevealMissing),
            "wrong-absence",
        ),
        shown(
            "first_half_with_the_server_s_element",
            vec![bent(half, &|header, _, _| header.randomness = header_of(turn).randomness)],
            "randomness",
        ),
        shown(
            "turn_without_its_first_half",
            vec![bent(half, &|header, _, _| {
                (header.kind, header.turn) = (BlockKind::Turn, header_of(turn).turn);
                header.randomness = header_of(turn).randomness;
            })],
            "wrong-kind",
        ),
    ];
    let made = played(2);
    family(&made, made.blocks(), cases)
}

/// While seats show what they hid.
pub(super) fn second_half() -> Family {
    let (half, turn, after) = (at(COMMIT), at(COMMIT + 1), at(COMMIT + 3));
    let reveal = transaction_of(turn, 0);
    let TransactionBody::Reveal { salt, commands } = reveal.body.clone() else { unreachable!() };
    let with = |body: TransactionBody| vec![sign(&Transaction { body, ..reveal.clone() })];
    let plain =
        |body: TransactionBody| vec![sign(&Transaction { body, chain_element: None, ..reveal.clone() })];
    let another_salt = TransactionBody::Reveal { salt: [0x5a; 32], commands: commands.clone() };
    let element = |name, element, word| {
        in_place(name, vec![sign(&Transaction { chain_element: element, ..reveal.clone() })], turn, word)
    };
    let before = header_of(half);
    let unseen = Transaction {
        seen_height: header_of(at(COMMIT - 1)).height,
        seen_block: before.prev_block,
        ..reveal.clone()
    };
    let late = || closed(half_way(), &[1, 2]);
    let absent = |change: Change<'_>| vec![bent(&late(), change)];
    let with_state = |block: ProvenBlock, change: &dyn Fn(&mut TurnOrders<'_>)| {
        let state_root = state_after(&block, change);
        vec![bent(&block, &|header, _, _| header.state_root = state_root)]
    };
    let by_server = |element| vec![bent(turn, &|header, _, _| header.randomness = element)];
    let false_reveal = "tx-wrong-reveal";
    let wrong = "tx-wrong-chain-element";
    let executed = |orders: &mut TurnOrders<'_>| orders.orders.push(Orders::new(seat(0), hidden()));
    let cases = vec![
        in_place("reveal_in_order", vec![sign(&reveal)], turn, "accepted").auditor("valid"),
        in_place(
            "false_reveal_of_other_commands",
            with(TransactionBody::Reveal { salt, commands: [&commands[..], &[0]].concat() }),
            turn,
            false_reveal,
        ),
        in_place(
            "false_reveal_of_nothing",
            with(TransactionBody::Reveal { salt, commands: Vec::new() }),
            turn,
            false_reveal,
        ),
        in_place("false_reveal_with_another_salt", with(another_salt.clone()), turn, false_reveal),
        in_place("reveal_of_another_seat", with(transaction_of(turn, 1).body), turn, false_reveal),
        in_place("reveal_of_another_turn", with(transaction_of(at(COMMIT - 1), 0).body), turn, false_reveal),
        in_place("reveal_that_has_not_seen_the_commit", vec![sign(&unseen)], turn, "tx-unknown-seen-block"),
        in_place(
            "second_reveal",
            vec![sign(&reveal), with(another_salt).remove(0)],
            turn,
            "tx-already-submitted",
        ),
        in_place("commit_in_the_second_half", plain(transaction_of(half, 0).body), turn, "tx-wrong-kind"),
        in_place(
            "commands_in_clear_in_the_second_half",
            with(TransactionBody::Turn(commands)),
            turn,
            "tx-wrong-kind",
        ),
        element("element_missing", None, "tx-missing-chain-element"),
        element("element_repeated", element_of(at(COMMIT - 1), 0), wrong),
        element("element_skipped", element_of(after, 0), wrong),
        element("element_of_another_seat", element_of(turn, 1), wrong),
        element("element_made_up", Some(OTHER), wrong),
        missing("missing_reveal", late(), 0, "absent-reveal-missing"),
        shown("missing_reveal_hidden", absent(&|_, _, absent| absent.clear()), "missing-seat"),
        shown(
            "missing_reveal_blamed_on_another",
            absent(&|_, _, absent| absent[0].seat = seat(1)),
            "missing-seat",
        ),
        shown("missing_reveal_called_too_early", absent(&|header, _, _| too_early(header)), "early-absence"),
        shown(
            "missing_reveal_called_a_missing_commit",
            absent(&|_, _, absent| absent[0].reason = AbsenceReason::Deadline),
            "wrong-absence",
        ),
        shown("missing_reveal_executed_all_the_same", with_state(late(), &executed), "state-root"),
        shown(
            "reveal_shown_and_called_missing",
            vec![bent(turn, &|_, _, absent| absent.push(reveal_missing(0)))],
            "missing-seat",
        ),
        Case {
            receipt: Some(super::receipt_for(&sign(&reveal), &half_way())),
            ..shown("reveal_dropped_with_receipt", vec![late()], "omission").auditor("valid")
        },
        shown("server_s_element_missing", by_server(Digest::ZERO), "randomness"),
        shown("server_s_element_repeated", by_server(header_of(at(COMMIT - 1)).randomness), "randomness"),
        shown("server_s_element_skipped", by_server(header_of(after).randomness), "randomness"),
        shown("server_s_element_made_up", by_server(OTHER), "randomness"),
        shown("state_of_another_roll", with_state(turn.clone(), &|orders| orders.roll = OTHER), "state-root"),
        shown(
            "entries_not_in_the_order_of_the_roll",
            vec![bent(turn, &|_, entries, _| entries.reverse())],
            "wrong-order",
        ),
        shown(
            "second_commit_block",
            vec![bent(turn, &|header, entries, _| {
                let head = before.clone();
                (header.kind, header.turn, header.state_root) = (head.kind, head.turn, head.state_root);
                header.randomness = Digest::ZERO;
                entries.clear();
            })],
            "wrong-kind",
        ),
    ];
    let made = half_way();
    family(&made, made.blocks(), cases)
}

/// Seat 0 has committed to what seat 1 committed to, and seat 2 to what it committed to the turn before.
pub(super) fn copies() -> Family {
    let shown_by_0 = |body| copied().transaction(seat(0), body);
    let shown_by_2 = |body| copied().transaction(seat(2), body);
    let of_seat_1 = sign(&shown_by_0(transaction_of(at(COMMIT + 1), 1).body));
    let of_the_turn_before = sign(&shown_by_2(transaction_of(at(COMMIT - 1), 2).body));
    let late = closed(copied(), &[1]);
    let reveals = |name, transaction: SignedTransaction, index| {
        let received = header_of(copied().blocks().last().unwrap()).server_time.after(1);
        let block = bent(&late, &|_, entries, absent| {
            entries.push(Entry { received, transaction: transaction.clone() });
            absent.retain(|absence| absence.seat != seat(index));
        });
        handed_in(name, vec![transaction], vec![block], "tx-wrong-reveal").by(Some(index), "tx-wrong-reveal")
    };
    let cases = vec![
        reveals("reveal_of_a_commitment_copied_from_another_seat", of_seat_1, 0),
        reveals("reveal_of_a_commitment_copied_from_another_turn", of_the_turn_before, 2),
        missing("nobody_shows_a_copy", late.clone(), 0, "absent-reveal-missing"),
    ];
    let made = copied();
    family(&made, made.blocks(), cases)
}

/// The genesis and the blocks up to the fourth turn, if all goes on as it should.
struct Whole {
    genesis: cadastre_protocol::Genesis,
    blocks: Vec<ProvenBlock>,
}

static WHOLE: LazyLock<Whole> = LazyLock::new(|| {
    let made = played(4);
    Whole { genesis: made.chain().genesis().clone(), blocks: made.blocks().to_vec() }
});

fn at(height: usize) -> &'static ProvenBlock {
    &WHOLE.blocks[height - 1]
}

fn played(turns: u32) -> Match {
    let mut made = Match::new(&PLAN);
    made.play(turns);
    made
}

fn half_way() -> Match {
    let mut made = played(2);
    Seat::first(PLAN.seats).for_each(|seat| made.suggest(seat));
    made.close();
    made
}

fn copied() -> Match {
    let mut made = played(2);
    made.suggest(seat(1));
    for (index, copied) in [(0, transaction_of(at(COMMIT), 1)), (2, transaction_of(at(COMMIT - 2), 2))] {
        made.submit(&made.transaction(seat(index), copied.body));
    }
    made.close();
    made
}

/// The block that closes what is open when its time is up and only these seats have acted.
fn closed(mut made: Match, acting: &[u8]) -> ProvenBlock {
    acting.iter().for_each(|index| made.suggest(seat(*index)));
    made.wait(u64::from(DEADLINE_MS));
    made.close();
    made.blocks().last().unwrap().clone()
}

/// As [`handed_in`] by seat 0, and put in the place of what it has in `block`. What is refused stands first there:
/// another element may mix the seats in another order.
fn in_place(name: &str, transactions: Vec<SignedTransaction>, block: &ProvenBlock, verdict: &str) -> Case {
    let entries = decode_exact::<Block>(&block.block).unwrap().entries;
    let received = entries.iter().find(|entry| seat_of(entry) == seat(0)).unwrap().received;
    let mut placed = replaced(block, &transactions, received);
    if verdict != "accepted" {
        placed = forged(&placed, |_, entries, _| entries.sort_by_key(|entry| seat_of(entry) != seat(0)));
    }
    handed_in(name, transactions, vec![placed], verdict)
}

/// Nothing comes from a seat; the block is what follows from that.
fn missing(name: &str, block: ProvenBlock, index: u8, absent: &str) -> Case {
    let received_ms = u64::from(DEADLINE_MS);
    let submission = Submission { from_seat: Some(index), received_ms, transactions: Vec::new() };
    let case = shown(name, vec![block], "accepted").auditor("valid").server(absent);
    Case { submission: Some(submission), ..case }
}

fn bent(block: &ProvenBlock, change: Change<'_>) -> ProvenBlock {
    forged(block, |header, entries, absent| change(header, entries, absent))
}

/// A millisecond before the time of who is absent is up.
fn too_early(header: &mut Header) {
    for time in [Some(&mut header.server_time), header.deadline.as_mut()].into_iter().flatten() {
        *time = cadastre_protocol::Millis::new(time.get() - 3);
    }
}

fn reveal_missing(index: u8) -> Absence {
    Absence { seat: seat(index), reason: AbsenceReason::RevealMissing }
}

/// What seat 0 hides in the third turn.
fn hidden() -> &'static [u8] {
    static HIDDEN: LazyLock<Vec<u8>> = LazyLock::new(|| match transaction_of(at(COMMIT + 1), 0).body {
        TransactionBody::Reveal { commands, .. } => commands,
        other => panic!("{other:?}"),
    });
    &HIDDEN
}

fn state_at_start(setup: &Setup) -> StateRoot {
    Game::start(setup).unwrap().state_root()
}

/// The state after a Turn of [`half_way`] if the server executes something else than it says.
fn state_after(block: &ProvenBlock, change: &dyn Fn(&mut TurnOrders<'_>)) -> StateRoot {
    let made = half_way();
    let mut game = Game::restore(made.game().setup(), &made.game().snapshot()).unwrap();
    let read = block.clone().read().unwrap().into_block();
    let Work::Turn(mut turn) = read.work(made.chain().genesis(), made.chain().setup().seed, |_| Vec::new())
    else {
        panic!("a turn")
    };
    change(&mut turn);
    game.apply(&turn);
    assert_ne!(game.state_root(), header_of(block).state_root, "it makes no difference");
    game.state_root()
}

fn transaction_of(block: &ProvenBlock, index: u8) -> Transaction {
    let block: Block = decode_exact(&block.block).unwrap();
    let entry = block.entries.iter().find(|entry| seat_of(entry) == seat(index)).unwrap();
    decode_exact(&entry.transaction.body).unwrap()
}

fn element_of(block: &ProvenBlock, index: u8) -> Option<Digest> {
    transaction_of(block, index).chain_element
}

fn sign(tx: &Transaction) -> SignedTransaction {
    SignedTransaction::sign(&identity_key(tx.seat.get()).session(tx.match_id, Epoch::FIRST), tx)
}
