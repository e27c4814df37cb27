//! Prints a match as a vector for `tests/vectors`: bots play it, and some commands go wrong.
//!
//! `cargo run --release -p cadastre-simulations --example record -- RULES SIZE SEATS SEED TURNS`
//!
//! Vectors are made once. When one no longer holds, the rules have changed and need a new version.

#[path = "../tests/support/mod.rs"]
mod support;

use std::fmt::Write as _;

use cadastre_protocol::Seat;
use cadastre_simulations::Game;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [name, numbers @ ..] = &arguments[..] else { panic!("which rules?") };
    let numbers: Vec<u16> = numbers.iter().map(|text| text.parse().expect("a number")).collect();
    let &[size, seats, seed, turns] = &numbers[..] else { panic!("size, seats, seed and turns, please") };
    let byte = |number: u16| u8::try_from(number).expect("a small number");
    let mut game = support::start(name, size, byte(seats), byte(seed));
    println!("{name} {size} {seats} {seed} {}", game.state_root());
    for turn in 0..turns.into() {
        let mut lists = support::suggestions(&game, turn);
        disturb(&game, turn, &mut lists);
        let voids = game.apply(&support::orders(turn, &lists)).voids.len();
        let mut line = format!("{} {voids}", game.state_root());
        for (seat, commands) in lists {
            let _ = write!(line, " {seat}:");
            for byte in commands {
                let _ = write!(line, "{byte:02x}");
            }
        }
        println!("{line}");
    }
}

/// Lets something go wrong now and then: rubbish, a seat that moves out of turn, a town that tears itself
/// down and spends what it does not have.
fn disturb(game: &Game, turn: u32, lists: &mut [(Seat, Vec<u8>)]) {
    let (seat, commands) = &mut lists[0];
    let city = game.setup().rules.name == "city";
    let [by, ..] = turn.to_le_bytes();
    match turn % 9 {
        3 => *commands = turn.to_be_bytes().into(),
        5 if !city => *commands = vec![by, 0],
        5 | 7 if city => {
            let (x, y) = support::hall(game, *seat);
            let (x, y) = (x - 8 + u16::from(by % 11), y - 8 + u16::from(by % 13));
            let tear_down = support::area(5, x, y, 4, 3);
            let build = [(0, 16, 16), (2, 7, 1), (3, 1, 5), (2, 2, 2)];
            let tax = vec![6, 0, 0, 0, by % 22];
            let mut all = vec![tear_down, tax];
            all.extend(build.map(|(tag, width, height)| support::area(tag, x, y, width, height)));
            *commands = support::city_commands(&all);
        }
        _ => {}
    }
}
