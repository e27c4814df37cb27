//! Own commands show at once, and what is shown never outlives its block. The player is told what did not come true.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "only in tests")]

mod support;

use cadastre_client::{Event, Misprediction, MispredictionCause, SubmitError, UndraftCause};
use cadastre_protocol::{ChunkId, RoomSpec, Seat, StateRoot, TakebackPolicy, Turn, TurnMode, Visibility};
use cadastre_simulations::{DIFFERENCES_MAX, Game, Refusal, Subject, Void};
use support::{direct::Direct, player, predictions::fresh, spec};

#[test]
fn a_draft_is_edited_shown_and_handed_in() {
    let mut direct = playing(&city(2));
    let (x, y) = hall(game(&direct, 0), 0);
    let verified = game(&direct, 0).state_root();
    let steps = [road(x + 1, y), line(x + 1, y), vec![], road(x - 1, y)];
    let mut shown = vec![verified];
    for step in &steps {
        direct.clients[0].session.draft(step.clone()).unwrap();
        shown.push(predicted_root(&mut direct, 0));
    }
    assert_eq!(direct.clients[0].session.draft(road(x, y)), Err(illegal(3, "built upon")));
    assert_eq!(predicted_root(&mut direct, 0), shown[4]);
    for (step, before) in steps.iter().zip(&shown).rev() {
        assert_eq!(direct.clients[0].session.undo().as_ref(), Some(step));
        if !step.is_empty() {
            assert_ne!(shown[4], *before);
        }
        assert_eq!(predicted_root(&mut direct, 0), *before);
    }
    assert_eq!(direct.clients[0].session.undo(), None);

    for step in &steps {
        direct.clients[0].session.draft(step.clone()).unwrap();
    }
    direct.clients[0].session.submit_draft().unwrap();
    direct.settle();
    assert_eq!(predicted_root(&mut direct, 0), shown[4]);
    assert_eq!(direct.clients[0].session.draft(road(x, y + 1)), Err(SubmitError::AlreadySubmitted));
    assert_eq!((game(&direct, 0).state_root(), direct.clients[0].session.undo()), (verified, None));
    direct.act(1);
    // The block came, and all of it was as shown.
    assert_eq!(predicted_root(&mut direct, 0), game(&direct, 0).state_root());
    assert_eq!(mispredictions(&mut direct, 0), []);
}

#[test]
fn what_another_seat_was_faster_with_is_named_by_tile_and_field() {
    let (mut direct, rivals, claim) = rivals(Visibility::Held);
    for client in rivals {
        direct.clients[client].session.draft(claim.clone()).unwrap();
        predicted_root(&mut direct, client);
        direct.clients[client].session.submit_draft().unwrap();
        direct.settle();
    }
    direct.pass_deadline();
    let told = rivals.map(|client| mispredictions(&mut direct, client));
    let [winner, loser] = if told[0].is_empty() { rivals } else { [rivals[1], rivals[0]] };
    let [Misprediction { cause, differences, voids, .. }] = &told.concat()[..] else { panic!("{told:?}") };
    assert_eq!(*cause, MispredictionCause::Others);
    assert_eq!(voids, &[Void { seat: seat(loser), command: 0, reason: "land of another seat" }]);
    let owner = differences.iter().find(|difference| difference.field == "owner").unwrap();
    assert!(matches!(owner.subject, Subject::Tile { .. }));
    assert_eq!([&owner.left, &owner.right], [&format!("seat {winner}"), &format!("seat {loser}")]);
    assert!(differences.iter().any(|difference| difference.subject == Subject::Seat(seat(loser))));
    // Whatever else the block changed was never shown.
    let shown =
        |subject: &Subject| matches!(subject, Subject::Tile { .. }) || *subject == Subject::Seat(seat(loser));
    assert!(differences.iter().all(|difference| shown(&difference.subject)), "{differences:?}");
    assert!(differences.len() <= DIFFERENCES_MAX);
    assert_eq!(predicted_root(&mut direct, loser), game(&direct, loser).state_root());
}

#[test]
fn in_an_open_match_what_others_do_shows_too_in_the_order_of_the_block() {
    let (mut direct, [one, other], claim) = rivals(Visibility::Open);
    direct.submit(one, claim.clone());
    let verified = game(&direct, other).state_root();
    assert_ne!(predicted_root(&mut direct, other), verified, "the other's claim is shown");
    // Both want the same land, and it is known already who gets it.
    direct.clients[other].session.draft(claim.clone()).unwrap();
    let places = direct.clients[other].session.follower().unwrap().chain().places().unwrap();
    let mut orders = [one, other].map(|client| (seat(client), claim.clone()));
    orders.sort_by_key(|(seat, _)| places[seat.index()]);
    let (expected, voids) = fresh(game(&direct, other), &orders);
    assert_eq!(voids.len(), 1);
    let predicted = direct.clients[other].session.predicted().unwrap();
    assert_eq!((predicted.game.state_root(), predicted.voids), (expected.state_root(), &voids[..]));
    direct.clients[other].session.submit_draft().unwrap();
    direct.settle();
    direct.pass_deadline();
    assert_eq!(mispredictions(&mut direct, other), [], "and so it came");
}

#[test]
fn a_turn_that_was_lost_takes_its_prediction_along_and_a_draft_goes_on() {
    for hands_in in [true, false] {
        let mut direct = playing(&city(2));
        let (x, y) = hall(game(&direct, 0), 0);
        direct.clients[0].session.draft(road(x + 1, y)).unwrap();
        predicted_root(&mut direct, 0);
        direct.clients[0].is_deaf = true;
        if hands_in {
            direct.clients[0].session.submit_draft().unwrap();
        }
        direct.act(1);
        direct.pass_deadline();
        let told = mispredictions(&mut direct, 0);
        let [Misprediction { cause: MispredictionCause::NotTaken, differences, .. }] = &told[..] else {
            panic!("{told:?}")
        };
        let kind = differences.iter().find(|difference| difference.field == "kind").unwrap();
        assert_eq!((&*kind.left, &*kind.right), ("nothing", "road"));
        let verified = game(&direct, 0).state_root();
        assert_eq!(predicted_root(&mut direct, 0) == verified, hands_in);
        assert_eq!(direct.clients[0].session.undo(), (!hands_in).then(|| road(x + 1, y)));
        assert_eq!(predicted_root(&mut direct, 0), verified);
    }
}

#[test]
fn drafted_commands_that_are_not_legal_any_more_are_taken_out() {
    let (mut direct, [one, other], claim) = rivals(Visibility::Held);
    let (x, y) = hall(game(&direct, one), u16::from(seat(one).get()));
    for step in [claim.clone(), road(x + 1, y)] {
        direct.clients[one].session.draft(step).unwrap();
    }
    direct.submit(other, claim.clone());
    direct.pass_deadline();
    let cause = UndraftCause::Illegal(Refusal { command: 0, reason: "land of another seat" });
    assert_eq!(undrafted(&mut direct, one), [(claim, cause)]);
    assert_eq!(direct.clients[one].session.undo(), Some(road(x + 1, y)));
    assert_eq!(direct.clients[one].session.undo(), None);
}

#[test]
fn what_another_process_did_in_this_ones_place_is_no_fault_of_others() {
    let mut direct = playing(&city(2));
    let (x, y) = hall(game(&direct, 0), 0);
    direct.clients[0].session.draft(road(x + 1, y)).unwrap();
    predicted_root(&mut direct, 0);
    let other = direct.add_process(0);
    direct.submit(other, line(x + 2, y));
    direct.act(1);
    assert_eq!(mispredictions(&mut direct, 0), [], "it was not told of the block yet");
    direct.connect(0);
    let told = mispredictions(&mut direct, 0);
    assert!(matches!(&told[..], [Misprediction { cause: MispredictionCause::NotTaken, .. }]), "{told:?}");
}

#[test]
fn an_open_turn_shows_after_a_restart_of_the_server_as_before() {
    for visibility in VISIBILITIES {
        let mut direct = playing(&RoomSpec { visibility, ..city(2) });
        direct.act(0);
        let shown = predicted_root(&mut direct, 0);
        assert_ne!(shown, game(&direct, 0).state_root());
        direct.restart();
        assert_eq!(predicted_root(&mut direct, 0), shown);
        direct.connect(0);
        direct.connect(1);
        assert_eq!(predicted_root(&mut direct, 0), shown);
        direct.act(1);
        assert_eq!(predicted_root(&mut direct, 0), game(&direct, 0).state_root());
    }
}

#[test]
fn sealed_commands_show_to_their_own_player_through_both_halves() {
    let mut direct = playing(&RoomSpec { visibility: Visibility::Sealed, ..city(2) });
    direct.act(0);
    let shown = predicted_root(&mut direct, 0);
    assert_ne!(shown, game(&direct, 0).state_root());
    assert_eq!(predicted_root(&mut direct, 1), game(&direct, 1).state_root());
    // The other one commits and never shows what.
    direct.act_deaf_after(1);
    assert!(direct.clients[0].session.follower().unwrap().chain().is_revealing());
    assert_eq!(predicted_root(&mut direct, 0), shown);
    direct.pass_deadline();
    assert_eq!(predicted_root(&mut direct, 0), game(&direct, 0).state_root());
    assert_eq!(mispredictions(&mut direct, 0), []);
}

#[test]
fn after_a_takeback_nothing_is_left_of_what_was_shown() {
    for visibility in VISIBILITIES {
        let takebacks = TakebackPolicy::Unanimous;
        let mut direct = playing(&RoomSpec { visibility, takebacks, ..city(2) });
        let (x, y) = hall(game(&direct, 0), 0);
        let mut roots = Vec::new();
        for _ in 0..3 {
            roots.push(game(&direct, 0).state_root());
            direct.submit(0, Vec::new());
            direct.act(1);
        }
        (0..2).for_each(|client| drop(direct.events(client)));
        // One has handed in, the other still drafts, and the proposal is no action.
        direct.act(1);
        let steps = [road(x - 1, y), line(x - 1, y)];
        for step in &steps {
            direct.clients[0].session.draft(step.clone()).unwrap();
        }
        let shown = [0, 1].map(|client| predicted_root(&mut direct, client));
        direct.clients[0].session.propose_takeback(Turn::new(1)).unwrap();
        direct.settle();
        assert_eq!([0, 1].map(|client| predicted_root(&mut direct, client)), shown);
        assert_eq!(direct.clients[0].session.undo(), Some(steps[1].clone()));
        direct.clients[0].session.draft(steps[1].clone()).unwrap();
        direct.clients[1].session.propose_takeback(Turn::new(1)).unwrap();
        direct.settle();
        for client in [0, 1] {
            assert_eq!(game(&direct, client).state_root(), roots[1]);
            let predicted = direct.clients[client].session.predicted().unwrap();
            assert_eq!(predicted.game.state_root(), roots[1]);
            assert_eq!(predicted.game.snapshot(), fresh(game(&direct, client), &[]).0.snapshot());
            let predicted = direct.clients[client].session.predicted().unwrap();
            assert!(predicted.changed.is_empty() && predicted.voids.is_empty());
        }
        let expected = steps.map(|step| (step, UndraftCause::TakenBack));
        assert_eq!(undrafted(&mut direct, 0), expected);
        assert_eq!(direct.clients[0].session.undo(), None);
        assert_eq!(undrafted(&mut direct, 1), [], "what was handed in is void by the block");

        direct.clients[0].session.draft(road(x - 1, y)).unwrap();
        let orders = [(seat(0), road(x - 1, y))];
        let (expected, _) = fresh(game(&direct, 0), &orders);
        assert_eq!(predicted_root(&mut direct, 0), expected.state_root());
        direct.clients[0].session.submit_draft().unwrap();
        direct.settle();
        direct.act(1);
        for client in [0, 1] {
            assert_eq!(mispredictions(&mut direct, client), [], "all came as it was shown");
            assert_eq!(predicted_root(&mut direct, client), game(&direct, client).state_root());
        }
    }
}

#[test]
fn what_was_shown_of_a_turn_that_was_taken_back_is_not_held_against_another_one() {
    let takebacks = TakebackPolicy::Unanimous;
    let mut direct = playing(&RoomSpec { takebacks, ..spec(2, TurnMode::Alternating) });
    let chain = direct.clients[0].session.follower().unwrap().chain();
    let mover = chain.required().iter().next().unwrap().index();
    let root = game(&direct, mover).state_root();
    // Two turns in which nobody moved come to the state before them.
    (0..2).for_each(|_| direct.pass_deadline());
    assert_eq!(game(&direct, mover).state_root(), root);
    direct.clients[mover].session.draft(vec![2, 0]).unwrap();
    assert_ne!(predicted_root(&mut direct, mover), root);
    for client in [0, 1] {
        direct.clients[client].session.propose_takeback(Turn::START).unwrap();
        direct.settle();
    }
    direct.submit(mover, vec![3, 0]);
    assert_eq!(mispredictions(&mut direct, mover), []);
}

const VISIBILITIES: [Visibility; 3] = [Visibility::Held, Visibility::Open, Visibility::Sealed];

fn city(seats: u8) -> RoomSpec {
    RoomSpec { rules: "city".into(), size: Some(64), ..spec(seats, TurnMode::Simultaneous) }
}

/// Everybody in the first turn.
fn playing(spec: &RoomSpec) -> Direct {
    let mut direct = Direct::new((0..spec.seats).map(|index| player(index, spec)));
    (0..direct.clients.len()).for_each(|client| drop(direct.events(client)));
    direct
}

/// Eight towns, two clients whose towns stand side by side, and a claim of the land between them.
fn rivals(visibility: Visibility) -> (Direct, [usize; 2], Vec<u8>) {
    let direct = playing(&RoomSpec { visibility, ..city(8) });
    let halls: Vec<_> = (0..8).map(|seat| hall(game(&direct, 0), seat)).collect();
    for (left, a) in halls.iter().enumerate() {
        for (right, b) in halls.iter().enumerate() {
            let width = b.0.saturating_sub(a.0);
            if a.1 == b.1 && (10..30).contains(&width) {
                let claim = command(0, (a.0 + 5, a.1), u8::try_from(width - 9).unwrap());
                return (direct, [left, right], claim);
            }
        }
    }
    panic!("no two towns side by side");
}

/// One command on a row of tiles, by the byte table in `docs/games.md`.
fn command(tag: u8, (x, y): (u16, u16), width: u8) -> Vec<u8> {
    let ([a, b], [c, d]) = (x.to_le_bytes(), y.to_le_bytes());
    [&1_u64.to_le_bytes()[..], &[tag, 0, 0, 0, a, b, c, d, width, 1]].concat()
}

fn road(x: u16, y: u16) -> Vec<u8> {
    command(2, (x, y), 1)
}

fn line(x: u16, y: u16) -> Vec<u8> {
    command(3, (x, y), 1)
}

/// From the player's chunk, by the byte table in `docs/games.md`.
fn hall(game: &Game, seat: u16) -> (u16, u16) {
    let chunk = game.simulation().chunk(ChunkId::new(1 + seat)).unwrap();
    (u16::from_le_bytes([chunk[9], chunk[10]]), u16::from_le_bytes([chunk[11], chunk[12]]))
}

fn seat(client: usize) -> Seat {
    Seat::new(u8::try_from(client).unwrap()).unwrap()
}

const fn illegal(command: u16, reason: &'static str) -> SubmitError {
    SubmitError::Illegal(Refusal { command, reason })
}

/// The verified state.
fn game(direct: &Direct, client: usize) -> &Game {
    direct.clients[client].session.verified().unwrap()
}

fn predicted_root(direct: &mut Direct, client: usize) -> StateRoot {
    direct.clients[client].session.predicted().unwrap().game.state_root()
}

fn undrafted(direct: &mut Direct, client: usize) -> Vec<(Vec<u8>, UndraftCause)> {
    let undrafted = direct.events(client).into_iter().filter_map(|event| {
        let Event::Undrafted { commands, cause } = event else { return None };
        Some((commands, cause))
    });
    undrafted.collect()
}

fn mispredictions(direct: &mut Direct, client: usize) -> Vec<Misprediction> {
    let mut told = Vec::new();
    for event in direct.events(client) {
        if let Event::Mispredicted(misprediction) = event {
            told.push(*misprediction);
        }
    }
    told
}
