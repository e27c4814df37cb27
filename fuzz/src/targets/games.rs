//! Commands as players send them, and snapshots as a store or a file has them.

use std::sync::LazyLock;

use cadastre_protocol::{ChunkId, Context, Digest, Orders, RulesId, Seat, Setup, TurnOrders, hash};
use cadastre_simulations::{Game, Snapshot, newest_rules};

use super::edits::{EDITS_MAX, Numbers};

pub(super) fn boxes_commands(data: &[u8]) {
    commands(&BOXES, data);
}

pub(super) fn boxes_snapshot(data: &[u8]) {
    snapshot(&BOXES, data);
}

pub(super) fn city_commands(data: &[u8]) {
    commands(&CITY, data);
}

pub(super) fn city_snapshot(data: &[u8]) {
    snapshot(&CITY, data);
}

/// Commands of every seat in turn. The check may be passed by or not: they are executed all the same, as those
/// of somebody whose checks are others, and a machine that has gone on from a snapshot stays in step.
fn commands(played: &Played, data: &[u8]) {
    let Played { setup, snapshot } = played;
    let mut game = Game::restore(setup, snapshot).unwrap();
    let mut numbers = Numbers::new(data);
    let seats: Vec<_> = Seat::first(setup.seats).collect();
    for _ in 0..TURNS_MAX {
        if numbers.is_empty() {
            return;
        }
        let lists: Vec<_> = seats.iter().map(|seat| (*seat, numbers.bytes())).collect();
        for (seat, commands) in &lists {
            let _ = game.check(*seat, commands);
        }
        let mut other = Game::restore(setup, &game.snapshot()).unwrap();
        let orders = orders(&lists);
        game.apply(&orders);
        other.apply_traced(&orders);
        assert_eq!(game.state_root(), other.state_root());
    }
}

/// A snapshot with changes: for each a chunk, a place in it and a number, or another length or number of it.
fn snapshot(played: &Played, data: &[u8]) {
    let mut snapshot = played.snapshot.clone();
    let mut numbers = Numbers::new(data);
    for _ in 0..EDITS_MAX {
        if numbers.is_empty() || snapshot.is_empty() {
            break;
        }
        let at = numbers.below(snapshot.len());
        let (id, bytes) = &mut snapshot[at];
        match numbers.u8() {
            0 => drop(snapshot.remove(at)),
            1 => *id = ChunkId::new(numbers.u16()),
            2 => bytes.push(numbers.u8()),
            3 => drop(bytes.pop()),
            _ if bytes.is_empty() => {}
            _ => {
                let place = numbers.below(bytes.len());
                bytes[place] = numbers.u8();
            }
        }
    }
    if let Ok(mut game) = Game::restore(&played.setup, &snapshot) {
        assert_eq!(game.snapshot(), snapshot);
        let seats = Seat::first(played.setup.seats);
        let lists: Vec<_> = seats.map(|seat| (seat, game.simulation().suggest(seat))).collect();
        game.apply(&orders(&lists));
        game.simulation().picture();
        assert!(Game::restore(&played.setup, &game.snapshot()).is_ok());
    }
}

/// Rolled by what the seats command.
fn orders<T: AsRef<[u8]>>(lists: &[(Seat, T)]) -> TurnOrders<'_> {
    let commands: Vec<&[u8]> = lists.iter().map(|(_, commands)| commands.as_ref()).collect();
    let roll = hash(Context::Roll, &commands);
    let seats = lists.iter().map(|(seat, _)| *seat);
    let orders = seats.zip(commands).map(|(seat, commands)| Orders::new(seat, commands)).collect();
    TurnOrders { roll, orders }
}

/// Most turns of one input.
const TURNS_MAX: usize = 3;

/// A match that is under way.
struct Played {
    setup: Setup,
    snapshot: Snapshot,
}

fn played(name: &str, size: u16) -> Played {
    let rules = newest_rules(name).unwrap();
    let setup = Setup {
        rules: RulesId { name: name.into(), version: rules.version },
        options: (rules.options)(size),
        seats: 3,
        seed: Digest::new([2; 32]),
    };
    let mut game = Game::start(&setup).unwrap();
    for _ in 0..12 {
        let lists: Vec<_> =
            Seat::first(setup.seats).map(|seat| (seat, game.simulation().suggest(seat))).collect();
        game.apply(&orders(&lists));
    }
    let snapshot = game.snapshot();
    Played { setup, snapshot }
}

static BOXES: LazyLock<Played> = LazyLock::new(|| played("boxes", 9));
static CITY: LazyLock<Played> = LazyLock::new(|| played("city", 64));
