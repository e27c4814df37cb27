//! What a client shows of the open turn: the orders carried out on a second game, which becomes like the first
//! again at the cost of what differs.

mod support;

use cadastre_protocol::{Digest, TurnOrders};
use cadastre_simulations::{Game, SetupError, Void};
use support::{MATCHES, area, city_commands, hall, orders, play, seat, start, suggestions};

#[test]
fn the_first_phase_does_not_look_at_the_roll() {
    for (name, size, seats, turns) in MATCHES {
        let mut games = [(); 3].map(|()| start(name, size, seats, 8));
        for turn in 0..turns.min(16) {
            let lists = suggestions(&games[0], turn);
            games.iter_mut().for_each(|game| {
                play(game, turn);
            });
            let [_, ahead @ ..] = &mut games;
            let rolls = [Digest::ZERO, Digest::new([9; 32])];
            for (game, roll) in ahead.iter_mut().zip(rolls) {
                carry_out(game, &TurnOrders { roll, ..orders(turn, &lists) });
            }
            let [verified, ahead @ ..] = &mut games;
            assert_eq!(ahead[0].state_root(), ahead[1].state_root(), "{name} {size}, turn {turn}");
            ahead.iter_mut().for_each(|game| game.become_like(verified).unwrap());
        }
    }
}

#[test]
fn a_game_that_went_ahead_becomes_like_the_other_again() {
    for (name, size, seats, turns) in MATCHES {
        let mut verified = start(name, size, seats, 9);
        let mut ahead = start(name, size, seats, 9);
        for turn in 0..turns.min(43) {
            let lists = suggestions(&verified, turn);
            for some in [&lists[..1], &lists] {
                ahead.become_like(&verified).unwrap();
                carry_out(&mut ahead, &orders(turn, some));
                let mut fresh = Game::restore(verified.setup(), &verified.snapshot()).unwrap();
                carry_out(&mut fresh, &orders(turn, some));
                assert_eq!(ahead.snapshot(), fresh.snapshot(), "{name} {size}, turn {turn}");
                assert_eq!(ahead.state_root(), fresh.state_root(), "{name} {size}, turn {turn}");
            }
            if turn % 7 == 0 {
                // What is derived from the state came along too.
                ahead.become_like(&verified).unwrap();
                assert_eq!(suggestions(&ahead, turn), lists, "{name} {size}, turn {turn}");
                ahead.apply(&orders(turn, &lists));
                verified.apply(&orders(turn, &lists));
                assert_eq!(ahead.executed(), verified.executed(), "{name} {size}, turn {turn}");
            } else {
                verified.apply(&orders(turn, &lists));
            }
        }
    }
}

#[test]
fn a_game_does_not_become_like_one_of_another_match() {
    let (mut city, mut boxes) = (start("city", 64, 2, 1), start("boxes", 9, 3, 1));
    for other in [start("city", 80, 2, 1), start("city", 64, 3, 1), start("boxes", 9, 2, 1)] {
        assert_eq!(city.become_like(&other), Err(SetupError::Snapshot));
        assert_eq!(boxes.become_like(&other), Err(SetupError::Snapshot));
    }
}

#[test]
fn a_joined_list_does_what_its_parts_do_one_after_the_other() {
    let game = start("city", 64, 1, 3);
    let (x, y) = hall(&game, seat(0));
    let road = city_commands(&[area(2, x + 1, y, 3, 1)]);
    let line = city_commands(&[area(3, x + 1, y, 3, 1), area(3, x - 1, y, 1, 1)]);
    let both = city_commands(&[area(2, x + 1, y, 3, 1), area(3, x + 1, y, 3, 1), area(3, x - 1, y, 1, 1)]);
    assert_eq!(game.join(&road, &line), Ok(both));
    assert_eq!((game.join(&road, &[]), game.join(&[], &road)), (Ok(road.clone()), Ok(road)));
    let boxes = start("boxes", 5, 2, 3);
    assert_eq!(boxes.join(&[1, 0], &[2, 0]), Err("one edge a turn"));
    assert_eq!(boxes.join(&[1, 0], &[]), Ok(vec![1, 0]));
}

/// Runs the first phase of a turn.
fn carry_out(game: &mut Game, orders: &TurnOrders<'_>) -> Vec<Void> {
    let mut turn = game.by_phase();
    turn.run(orders);
    turn.end().0.voids
}
