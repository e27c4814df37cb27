//! A machine that keeps a match in memory and one that takes it up from a snapshot every turn never part.

mod support;

use cadastre_simulations::Game;
use support::{MATCHES, orders, setup, start, suggestions};

#[test]
fn a_restored_game_goes_on_as_the_running_one() {
    for (name, size, seats, turns) in MATCHES {
        let setup = setup(name, size, seats, 3);
        let mut running = Game::start(&setup).expect("a legal setup");
        for turn in 0..turns {
            let mut restored = Game::restore(&setup, &running.snapshot()).expect("its own snapshot");
            assert_eq!(restored.executed(), running.executed(), "{name} {size}, turn {turn}");
            let lists = suggestions(&running, turn);
            assert_eq!(suggestions(&restored, turn), lists, "{name} {size}, turn {turn}");
            let applied = running.apply(&orders(turn, &lists));
            assert_eq!(restored.apply(&orders(turn, &lists)), applied, "{name} {size}, turn {turn}");
            assert_eq!(restored.executed(), running.executed(), "{name} {size}, turn {turn}");
        }
    }
}

#[test]
fn a_game_can_be_taken_up_after_any_number_of_turns() {
    for (name, size, seats, turns) in MATCHES {
        let mut running = start(name, size, seats, 4);
        let mut others: Vec<Game> = Vec::new();
        for turn in 0..turns {
            if turn % 10 == 0 {
                others.push(Game::restore(running.setup(), &running.snapshot()).expect("its own snapshot"));
            }
            let lists = suggestions(&running, turn);
            running.apply(&orders(turn, &lists));
            for (number, other) in others.iter_mut().enumerate() {
                other.apply(&orders(turn, &lists));
                assert_eq!(
                    other.state_root(),
                    running.state_root(),
                    "{name} {size}, turn {turn}, number {number}"
                );
            }
        }
    }
}

#[test]
fn a_turn_shown_phase_by_phase_is_the_same_turn() {
    for (name, size, seats, turns) in MATCHES {
        let (mut whole, mut traced) = (start(name, size, seats, 5), start(name, size, seats, 5));
        for turn in 0..turns.min(30) {
            let lists = suggestions(&whole, turn);
            let done = whole.apply(&orders(turn, &lists));
            let (applied, roots) = traced.apply_traced(&orders(turn, &lists));
            assert_eq!(roots.len(), traced.simulation().phases().len());
            assert_eq!(roots.last(), Some(&whole.state_root()), "{name} {size}, turn {turn}");
            assert_eq!(applied, done, "{name} {size}, turn {turn}");
        }
    }
}
