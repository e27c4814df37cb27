//! Fixed roots: the same commands come to the same states in every build on every machine.
//!
//! A root that no longer holds is a changed game. Then the rules need a new version, and these files stay.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use cadastre_protocol::Seat;
use cadastre_simulations::Game;
use support::{orders, start, suggestions};

#[test]
fn boxes_between_three() {
    replay(include_str!("vectors/boxes-5-3.txt"));
}

#[test]
fn boxes_between_eight() {
    replay(include_str!("vectors/boxes-40-8.txt"));
}

#[test]
fn a_city_alone() {
    replay(include_str!("vectors/city-64-1.txt"));
}

#[test]
fn a_city_of_four() {
    replay(include_str!("vectors/city-64-4.txt"));
}

#[test]
fn a_city_of_eight() {
    replay(include_str!("vectors/city-80-8.txt"));
}

/// Each line: rules, size, seats, seed, and the root of the state at the start.
#[test]
fn every_match_starts_at_its_root() {
    for line in include_str!("vectors/starts.txt").lines() {
        let (game, root) = first_state(line);
        assert_eq!(game.state_root().to_string(), root, "{line}");
    }
}

/// Built-in players play for absent seats, so what they do is part of the rules.
#[test]
fn the_built_in_players_play_as_ever() {
    for vector in
        [include_str!("vectors/players-boxes-6-3.txt"), include_str!("vectors/players-city-64-3.txt")]
    {
        let (mut game, _) = first_state(vector.lines().next().unwrap());
        for (turn, line) in (0..).zip(vector.lines().skip(1)) {
            let lists: Vec<_> = line.split(' ').skip(2).map(commands_of).collect();
            assert_eq!(suggestions(&game, turn), lists, "turn {turn}");
            game.apply(&orders(turn, &lists));
        }
        replay(vector);
    }
}

/// A first line as in `starts.txt`; then a line for each turn: the root after it, how many commands were void,
/// and in the block's order the seats with their commands in hexadecimal.
fn replay(vector: &str) {
    let mut lines = vector.lines();
    let (mut game, root) = first_state(lines.next().unwrap());
    assert_eq!(game.state_root().to_string(), root, "before the first turn");
    for (turn, line) in (0..).zip(lines) {
        let mut fields = line.split(' ');
        let (root, voids) = (fields.next().unwrap(), fields.next().unwrap());
        let lists: Vec<_> = fields.map(commands_of).collect();
        let applied = game.apply(&orders(turn, &lists));
        assert_eq!(game.state_root().to_string(), root, "turn {turn}");
        assert_eq!(applied.voids.len().to_string(), voids, "turn {turn}");
    }
}

fn first_state(line: &str) -> (Game, &str) {
    let fields: Vec<_> = line.split(' ').collect();
    let [name, size, seats, seed, root] = fields[..] else { panic!("five fields: {line}") };
    (start(name, size.parse().unwrap(), seats.parse().unwrap(), seed.parse().unwrap()), root)
}

fn commands_of(field: &str) -> (Seat, Vec<u8>) {
    let (seat, digits) = field.split_once(':').unwrap();
    let bytes = digits.as_bytes().chunks(2).map(|pair| {
        let pair = str::from_utf8(pair).unwrap();
        u8::from_str_radix(pair, 16).unwrap()
    });
    (support::seat(seat.parse().unwrap()), bytes.collect())
}
