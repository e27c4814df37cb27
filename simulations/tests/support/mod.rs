//! Matches that bots play, for every test here.

#![allow(dead_code, reason = "each test uses its part")]
#![allow(clippy::unwrap_used, reason = "only in tests")]

use cadastre_protocol::{ChunkId, Context, Digest, RulesId, Seat, Setup, TurnOrders, hash};
use cadastre_simulations::{Applied, Game, Orders, newest_rules};

/// A match's setup with the seed `seed` in every byte.
pub(crate) fn setup(name: &str, size: u16, seats: u8, seed: u8) -> Setup {
    let rules = newest_rules(name).unwrap();
    Setup {
        rules: RulesId { name: name.into(), version: rules.version },
        options: (rules.options)(size),
        seats,
        seed: Digest::new([seed; 32]),
    }
}

pub(crate) fn start(name: &str, size: u16, seats: u8, seed: u8) -> Game {
    Game::start(&setup(name, size, seats, seed)).unwrap()
}

pub(crate) fn seat(index: u8) -> Seat {
    Seat::new(index).unwrap()
}

/// What a turn's block would hold: the bots' commands, beginning with another seat every turn.
pub(crate) fn suggestions(game: &Game, turn: u32) -> Vec<(Seat, Vec<u8>)> {
    let mut seats: Vec<_> = Seat::first(game.setup().seats).collect();
    let first = usize::try_from(turn).unwrap() % seats.len();
    seats.rotate_left(first);
    seats.into_iter().map(|seat| (seat, game.simulation().suggest(seat))).collect()
}

/// These lists, and the roll of `turn`.
pub(crate) fn orders(turn: u32, lists: &[(Seat, Vec<u8>)]) -> TurnOrders<'_> {
    let orders = lists.iter().map(|(seat, commands)| Orders::new(*seat, commands)).collect();
    TurnOrders { roll: hash(Context::Roll, &[&turn.to_le_bytes()]), orders }
}

/// Lets the bots play one turn.
pub(crate) fn play(game: &mut Game, turn: u32) -> Applied {
    let lists = suggestions(game, turn);
    game.apply(&orders(turn, &lists))
}

/// Short matches of both games, for whatever holds of every game.
pub(crate) const MATCHES: [(&str, u16, u8, u32); 5] = [
    ("boxes", 2, 2, 14),
    ("boxes", 17, 5, 200),
    ("city", 64, 1, 40),
    ("city", 64, 4, 90),
    ("city", 80, 8, 25),
];

/// City commands, written by the byte table in `docs/games.md` and not by the game's own code.
pub(crate) fn city_commands(commands: &[Vec<u8>]) -> Vec<u8> {
    let count = u64::try_from(commands.len()).unwrap();
    count.to_le_bytes().into_iter().chain(commands.iter().flatten().copied()).collect()
}

pub(crate) fn area(tag: u8, x: u16, y: u16, width: u8, height: u8) -> Vec<u8> {
    let ([a, b], [c, d]) = (x.to_le_bytes(), y.to_le_bytes());
    vec![tag, 0, 0, 0, a, b, c, d, width, height]
}

/// From the player's chunk, by the byte table in `docs/games.md`.
pub(crate) fn hall(game: &Game, seat: Seat) -> (u16, u16) {
    let chunk = player_chunk(game, seat);
    (u16::from_le_bytes([chunk[9], chunk[10]]), u16::from_le_bytes([chunk[11], chunk[12]]))
}

pub(crate) fn player_chunk(game: &Game, seat: Seat) -> Vec<u8> {
    game.simulation().chunk(ChunkId::new(1 + u16::from(seat.get()))).unwrap()
}
