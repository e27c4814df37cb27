//! Where seats want the same, the block's order decides; where they do not, it does not matter.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use cadastre_simulations::{Game, Void};
use support::{area, city_commands, hall, orders, play, player_chunk, seat, start, suggestions};

#[test]
fn land_that_two_seats_claim_goes_to_the_first_of_the_block() {
    let (game, [left, right], gap) = neighbours_across_a_gap();
    let claim = city_commands(&[gap]);
    for (first, second) in [(left, right), (right, left)] {
        let mut game = Game::restore(game.setup(), &game.snapshot()).unwrap();
        for by in [first, second] {
            assert_eq!(game.check(seat(by), &claim), Ok(()), "each alone would get it");
        }
        let voids =
            game.apply(&orders(0, &[(seat(first), claim.clone()), (seat(second), claim.clone())])).voids;
        assert_eq!(voids, [Void { seat: seat(second), command: 0, reason: "land of another seat" }]);
        assert_eq!(land(&game, second), 81);
        assert!(land(&game, first) > 81);
    }
}

#[test]
fn the_order_of_seats_that_are_far_apart_does_not_matter() {
    let mut forwards = start("city", 128, 4, 1);
    let mut backwards = start("city", 128, 4, 1);
    for turn in 0..30 {
        let mut lists = suggestions(&forwards, turn);
        forwards.apply(&orders(turn, &lists));
        lists.reverse();
        backwards.apply(&orders(turn, &lists));
        assert_eq!(forwards.state_root(), backwards.state_root(), "turn {turn}");
    }
}

#[test]
fn commands_that_the_money_no_longer_reaches_are_void() {
    let mut game = start("city", 64, 4, 1);
    for turn in 0..10 {
        play(&mut game, turn);
    }
    let (x, y) = hall(&game, seat(0));
    let around = |tag| area(tag, x - 4, y - 4, 9, 9);
    // Clears the founding claim, then builds power plants until the treasury is empty.
    let plants = (0..9).map(|step| {
        let ([a, b], [c, d]) = ((x - 4 + step).to_le_bytes(), (y - 4).to_le_bytes());
        vec![4, 0, 0, 0, a, b, c, d]
    });
    let commands = city_commands(&std::iter::once(around(5)).chain(plants).collect::<Vec<_>>());
    let refusal = game.check(seat(0), &commands).unwrap_err();
    assert_eq!(refusal.reason, "not enough money");
    let voids = game.apply(&orders(0, &[(seat(0), commands)])).voids;
    assert_eq!(
        voids.first().map(|void| (void.command, void.reason)),
        Some((refusal.command, "not enough money"))
    );
}

/// A city of eight, two of them side by side, and a claim of all that lies between them.
fn neighbours_across_a_gap() -> (Game, [u8; 2], Vec<u8>) {
    for seed in 0..50 {
        let game = start("city", 64, 8, seed);
        for (left, right) in (0..8).flat_map(|left| (0..8).map(move |right| (left, right))) {
            let (a, b) = (hall(&game, seat(left)), hall(&game, seat(right)));
            if (10..30).contains(&b.0.saturating_sub(a.0)) && a.1 == b.1 {
                let width = u8::try_from(b.0 - a.0 - 9).unwrap();
                let gap = area(0, a.0 + 5, a.1 - 1, width, 3);
                return (game, [left, right], gap);
            }
        }
    }
    panic!("no two seats side by side");
}

/// From the player's chunk, by the byte table in `docs/games.md`.
fn land(game: &Game, player: u8) -> u32 {
    u32::from_le_bytes(*player_chunk(game, seat(player))[25..].first_chunk().unwrap())
}
