//! What a turn of the games costs, with its state root: four bots' commands, prepared beforehand. And the root
//! of the largest city, built anew and renewed after a turn. And what it costs to show a change of the open turn.

mod support;

use std::{hint::black_box, time::Duration};

use cadastre_protocol::{Digest, RulesId, Seat, Setup, StateTree, TurnOrders};
use cadastre_simulations::{Game, Orders, Snapshot, newest_rules};
use criterion::Criterion;
use support::{
    clock::{CpuTime, cpu_time, per_turn},
    server::SEATS,
};

fn main() {
    let mut criterion = Criterion::default()
        .with_measurement(CpuTime)
        .sample_size(30)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();

    let mut group = criterion.benchmark_group("turn and root");
    for (rules, size) in [("boxes", 71), ("city", 64), ("city", 128), ("city", 512)] {
        let prepared = Prepared::new(rules, size);
        group.bench_function(format!("{rules} {size}²"), |b| {
            b.iter_custom(|turns| per_turn(turns, u64::from(TURNS), || prepared.play()));
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("city 512², state root");
    let prepared = Prepared::new("city", 512);
    let game = prepared.game();
    group.bench_function("from nothing: read 4 MiB of state, hash, build the tree", |b| {
        b.iter(|| tree(&game.snapshot()).root());
    });
    let snapshot = game.snapshot();
    group.bench_function("from nothing: hash and build the tree only", |b| b.iter(|| tree(&snapshot).root()));
    let mut played = prepared.game();
    let dirty = played.apply(&prepared.orders(0)).dirty;
    let chunks = played.chunks(&dirty);
    eprintln!("{} of {} chunks change in a turn", dirty.len(), snapshot.len());
    let mut renewed = tree(&snapshot);
    group.bench_function("renewed after a turn", |b| {
        b.iter(|| {
            renewed.update(chunks.iter().map(|(id, bytes)| (*id, Some(bytes.as_slice()))));
            black_box(renewed.root())
        });
    });
    group.finish();

    let mut group = criterion.benchmark_group("city 512², prediction");
    let verified = prepared.game();
    let mut ahead = prepared.game();
    let lists = prepared.orders(0);
    // All that one seat builds in a turn, and the least that there is.
    for (what, commands) in [("a bot's turn", &*lists.orders[0].commands), ("an empty list", &[])] {
        let orders =
            TurnOrders { roll: Digest::ZERO, orders: vec![Orders::new(lists.orders[0].seat, commands)] };
        group.bench_function(format!("shown anew: {what}"), |b| {
            b.iter(|| {
                ahead.become_like(&verified).expect("of the same match");
                let mut turn = ahead.by_phase();
                turn.run(&orders);
                black_box(turn.end());
            });
        });
    }
    group.bench_function("copy of the game", |b| b.iter(|| black_box(prepared.game())));
    group.finish();
    criterion.final_summary();
}

/// A match in which much is built already, and what its players will do next.
struct Prepared {
    setup: Setup,
    snapshot: Snapshot,
    turns: Vec<Vec<(Seat, Vec<u8>)>>,
}

impl Prepared {
    fn new(rules: &str, size: u16) -> Self {
        let rules = newest_rules(rules).expect("rules of this build");
        let setup = Setup {
            rules: RulesId { name: rules.name.to_owned(), version: rules.version },
            options: (rules.options)(size),
            seats: SEATS,
            seed: Digest::new([1; 32]),
        };
        let mut game = Game::start(&setup).expect("the setup fits");
        for _ in 0..TURNS_BEFORE {
            let commands = suggestions(&game);
            apply(&mut game, &commands);
        }
        let snapshot = game.snapshot();
        let turns = (0..TURNS).map(|_| {
            let commands = suggestions(&game);
            apply(&mut game, &commands);
            commands
        });
        Self { turns: turns.collect(), setup, snapshot }
    }

    fn game(&self) -> Game {
        Game::restore(&self.setup, &self.snapshot).expect("a snapshot of this game")
    }

    fn orders(&self, turn: usize) -> TurnOrders<'_> {
        orders(&self.turns[turn])
    }

    fn play(&self) -> Duration {
        let mut game = self.game();
        let begun = cpu_time();
        for commands in &self.turns {
            apply(&mut game, commands);
            black_box(game.executed());
        }
        cpu_time() - begun
    }
}

fn suggestions(game: &Game) -> Vec<(Seat, Vec<u8>)> {
    Seat::first(SEATS).map(|seat| (seat, game.simulation().suggest(seat))).collect()
}

fn apply(game: &mut Game, commands: &[(Seat, Vec<u8>)]) {
    game.apply(&orders(commands));
}

fn orders(commands: &[(Seat, Vec<u8>)]) -> TurnOrders<'_> {
    let orders = commands.iter().map(|(seat, commands)| Orders::new(*seat, commands)).collect();
    TurnOrders { roll: Digest::new([2; 32]), orders }
}

fn tree(snapshot: &Snapshot) -> StateTree {
    let mut tree = StateTree::new();
    tree.update(snapshot.iter().map(|(id, bytes)| (*id, Some(bytes.as_slice()))));
    tree
}

/// Turns played before the first that is measured.
const TURNS_BEFORE: u32 = 400;

/// Turns measured in a row.
const TURNS: u32 = 64;
