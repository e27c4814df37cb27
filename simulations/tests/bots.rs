//! The built-in players: always legal, and worth watching.

mod support;

use cadastre_protocol::{COMMANDS_BYTES_MAX, Seat};
use cadastre_simulations::Game;
use support::{MATCHES, orders, play, player_chunk, start, suggestions};

#[test]
fn suggestions_are_legal_and_fit() {
    for (name, size, seats, turns) in MATCHES {
        let mut game = start(name, size, seats, 8);
        for turn in 0..turns {
            let lists = suggestions(&game, turn);
            for (seat, commands) in &lists {
                assert_eq!(game.check(*seat, commands), Ok(()), "{name} {size}, turn {turn}, seat {seat}");
                assert!(commands.len() <= COMMANDS_BYTES_MAX);
            }
            game.apply(&orders(turn, &lists));
        }
    }
}

#[test]
fn boxes_between_bots_come_to_an_end() {
    for (size, seats) in [(2, 2), (5, 3), (16, 8)] {
        let mut game = start("boxes", size, seats, 9);
        let edges = 2 * u32::from(size) * (u32::from(size) + 1);
        for turn in 0..edges {
            assert!(!game.simulation().is_over());
            assert_eq!(play(&mut game, turn).voids, []);
        }
        assert!(game.simulation().is_over());
        let boxes: i64 = game.simulation().standings().iter().map(|standing| standing.score).sum();
        assert_eq!(boxes, i64::from(size).pow(2));
    }
}

#[test]
fn towns_live_after_sixty_turns() {
    for seed in 0..6 {
        let mut game = start("city", 64, 4, seed);
        for turn in 0..60 {
            play(&mut game, turn);
        }
        for seat in Seat::first(4) {
            let (residents, _) = residents_and_coins(&game, seat);
            assert!(residents >= 400, "seed {seed}, seat {seat}: {residents} residents");
        }
    }
}

#[test]
fn mayors_do_not_go_bankrupt() {
    for (seed, seats) in [(0, 1), (1, 4), (2, 8)] {
        let mut game = start("city", 64, seats, seed);
        for turn in 0..200 {
            play(&mut game, turn);
            for seat in Seat::first(seats) {
                let (_, coins) = residents_and_coins(&game, seat);
                assert!(coins >= 0, "seed {seed}, turn {turn}, seat {seat}: {coins} coins");
            }
        }
    }
}

/// From the player's chunk, by the byte table in `docs/games.md`.
fn residents_and_coins(game: &Game, seat: Seat) -> (u32, i64) {
    let chunk = player_chunk(game, seat);
    let coins = i64::from_le_bytes(*chunk.first_chunk().expect("coins come first"));
    let residents = u32::from_le_bytes(*chunk[13..].first_chunk().expect("residents come fifth"));
    (residents, coins)
}
