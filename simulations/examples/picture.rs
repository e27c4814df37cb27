//! Lets bots play a match and prints what came of it.
//!
//! `cargo run --release -p cadastre-simulations --example picture -- [RULES] [SIZE] [SEATS] [TURNS] [SEED]`

use std::fmt::Write as _;

use cadastre_protocol::{Context, Digest, RulesId, Seat, Setup, TurnOrders, hash};
use cadastre_simulations::{Game, Orders, Picture, newest_rules};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "city".into());
    let mut number = |usual: u16| arguments.next().map_or(usual, |text| text.parse().expect("a number"));
    let rules = newest_rules(&name).expect("rules that exist");
    let (size, seats, turns, seed) = (number(rules.sizes.1), number(4), number(60), number(1));
    let setup = Setup {
        rules: RulesId { name, version: rules.version },
        options: (rules.options)(size),
        seats: u8::try_from(seats).expect("few seats"),
        seed: Digest::new([seed.to_le_bytes()[0]; 32]),
    };
    let mut game = Game::start(&setup).expect("options that fit");
    for turn in 0..turns {
        let lists: Vec<_> =
            Seat::first(setup.seats).map(|seat| (seat, game.simulation().suggest(seat))).collect();
        let orders = lists.iter().map(|(seat, commands)| Orders::new(*seat, commands)).collect();
        let roll = hash(Context::Roll, &[&turn.to_le_bytes()]);
        game.apply(&TurnOrders { roll, orders });
    }
    print!("{}", render(&game.simulation().picture().shrink(128)));
    println!("state root {}", game.state_root());
}

/// For a terminal with 24-bit colours.
fn render(picture: &Picture) -> String {
    let mut text = String::new();
    for row in picture.rows() {
        for cell in row {
            let ([a, b, c], [d, e, f]) = (cell.ink, cell.ground);
            let _ = write!(text, "\x1b[38;2;{a};{b};{c};48;2;{d};{e};{f}m{}", cell.glyph);
        }
        text.push_str("\x1b[0m\n");
    }
    for line in &picture.legend {
        text.push_str(line);
        text.push('\n');
    }
    text
}
