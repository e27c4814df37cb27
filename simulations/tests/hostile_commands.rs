//! Whatever bytes a player sends: no panic, no disagreement between the check and the turn.

mod support;

use std::sync::LazyLock;

use cadastre_simulations::{Game, Snapshot};
use proptest::prelude::*;
use support::{city_commands, orders, play, seat, setup, start};

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_are_refused_or_executed(bytes in prop::collection::vec(any::<u8>(), 0..64), by in 0..8_u8) {
        for name in ["boxes", "city"] {
            execute(played(name), by, &bytes)?;
        }
    }

    #[test]
    fn whatever_the_check_of_city_commands_accepts_is_not_void(
        commands in prop::collection::vec(city_command(), 1..12),
        by in 0..5_u8,
    ) {
        execute(played("city"), by, &city_commands(&commands))?;
    }

    #[test]
    fn whatever_the_check_of_an_edge_accepts_is_not_void(edge in 0..90_u16, by in 0..3_u8) {
        execute(played("boxes"), by, &edge.to_le_bytes())?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_commands_at_all_leave_every_machine_in_step(
        turns in prop::collection::vec(prop::collection::vec((0..4_u8, prop::collection::vec(city_command(), 0..8)), 0..4), 1..12),
    ) {
        let mut running = played("city");
        for (turn, lists) in (0..).zip(turns) {
            let lists: Vec<_> = lists.iter().map(|(by, commands)| (seat(*by), city_commands(commands))).collect();
            let mut restored = Game::restore(running.setup(), &running.snapshot()).expect("its own snapshot");
            prop_assert_eq!(running.apply(&orders(turn, &lists)), restored.apply(&orders(turn, &lists)));
            prop_assert_eq!(running.state_root(), restored.state_root());
            for by in 0..4 {
                prop_assert_eq!(running.simulation().suggest(seat(by)), restored.simulation().suggest(seat(by)));
            }
        }
    }
}

/// Holds the check against the turn.
fn execute(mut game: Game, by: u8, bytes: &[u8]) -> Result<(), TestCaseError> {
    let checked = game.check(seat(by), bytes);
    let voids = game.apply(&orders(0, &[(seat(by), bytes.to_vec())])).voids;
    match checked {
        Ok(()) => prop_assert_eq!(voids, []),
        Err(refusal) => {
            // The check stops at the first; the turn goes on, and everything after may differ.
            let first = voids.first().map(|void| (void.seat, void.command, void.reason));
            prop_assert_eq!(first, Some((seat(by), refusal.command, refusal.reason)));
        }
    }
    let restored = Game::restore(game.setup(), &game.snapshot()).expect("its own snapshot");
    prop_assert_eq!(restored.state_root(), game.state_root());
    Ok(())
}

/// A match of four (city) or three (boxes) that is under way.
fn played(name: &str) -> Game {
    static CITY: LazyLock<Snapshot> = LazyLock::new(|| play_on(start("city", 64, 4, 2)));
    static BOXES: LazyLock<Snapshot> = LazyLock::new(|| play_on(start("boxes", 6, 3, 2)));
    let (setup, snapshot) =
        if name == "city" { (setup(name, 64, 4, 2), &*CITY) } else { (setup(name, 6, 3, 2), &*BOXES) };
    Game::restore(&setup, snapshot).expect("its own snapshot")
}

fn play_on(mut game: Game) -> Snapshot {
    (0..24).for_each(|turn| drop(play(&mut game, turn)));
    game.snapshot()
}

/// Any command there is, near the edges of what is legal.
fn city_command() -> impl Strategy<Value = Vec<u8>> {
    let place = (0..70_u16, 0..70_u16);
    let extent =
        prop_oneof![Just((1, 1)), (1..12_u8, Just(1_u8)), (Just(1_u8), 1..12_u8), (0..20_u8, 0..20_u8)];
    (0..8_u8, place, extent, 0..4_u8, any::<u8>()).prop_map(
        |(tag, (x, y), (width, height), zone, percent)| {
            let mut bytes = support::area(tag, x, y, width, height);
            match tag {
                1 => bytes.extend([zone, 0, 0, 0]),
                4 => bytes.truncate(8),
                6 => {
                    bytes.truncate(4);
                    bytes.push(percent % 24);
                }
                _ => {}
            }
            bytes
        },
    )
}
