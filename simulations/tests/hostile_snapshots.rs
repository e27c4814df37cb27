//! Whatever chunks a peer sends: no panic, and what is taken up can be played and written again.

mod support;

use std::sync::LazyLock;

use cadastre_protocol::ChunkId;
use cadastre_simulations::{Game, SetupError, Snapshot};
use proptest::prelude::*;
use support::{play, setup, start};

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_snapshots_are_refused_or_playable(
        city in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let (name, size, seats) = if city { ("city", 64, 3) } else { ("boxes", 9, 3) };
        let mut snapshot = (if city { &CITY } else { &BOXES }).to_vec();
        for (chunk, byte, value) in changes {
            // The small chunks at the front are where the interesting numbers stand.
            let chunk = chunk.index(8) % snapshot.len();
            let bytes = &mut snapshot[chunk].1;
            let byte = byte.index(bytes.len());
            bytes[byte] = value;
        }
        take_up(name, size, seats, &snapshot)?;
    }

    #[test]
    fn chunks_of_other_lengths_and_numbers_are_refused(
        city in any::<bool>(),
        at in any::<prop::sample::Index>(),
        change in 0..5,
    ) {
        let (name, size, seats) = if city { ("city", 64, 3) } else { ("boxes", 9, 3) };
        let mut snapshot = (if city { &CITY } else { &BOXES }).to_vec();
        let at = at.index(snapshot.len());
        match change {
            0 => drop(snapshot.remove(at)),
            1 => snapshot[at].1.push(0),
            2 => drop(snapshot[at].1.pop()),
            3 => snapshot[at].0 = ChunkId::new(60_000),
            _ => snapshot.insert(at, snapshot[at].clone()),
        }
        let refused = Game::restore(&setup(name, size, seats, 2), &snapshot).err();
        prop_assert_eq!(refused, Some(SetupError::Snapshot));
    }
}

#[test]
fn a_snapshot_of_another_match_is_refused() {
    let cases =
        [("city", 64, 3, 80, 3), ("city", 64, 3, 64, 4), ("boxes", 9, 3, 10, 3), ("boxes", 9, 3, 9, 4)];
    for (name, size, seats, other_size, other_seats) in cases {
        let snapshot = played(name, size, seats).snapshot();
        let refused = Game::restore(&setup(name, other_size, other_seats, 2), &snapshot).err();
        assert_eq!(refused, Some(SetupError::Snapshot), "{name} {other_size} {other_seats}");
    }
}

#[test]
fn options_out_of_range_are_refused() {
    for (name, options) in [
        ("boxes", vec![1, 0]),
        ("boxes", vec![101, 0]),
        ("boxes", vec![5]),
        ("boxes", vec![5, 0, 0]),
        ("city", vec![63, 0]),
        ("city", vec![65, 0]),
        ("city", vec![48, 0]),
        ("city", vec![16, 2]),
        ("city", vec![]),
    ] {
        let mut setup = setup(name, 64, 2, 0);
        setup.options = options.clone();
        assert_eq!(Game::start(&setup).err(), Some(SetupError::Options), "{name} {options:?}");
        assert_eq!(Game::restore(&setup, &Vec::new()).err(), Some(SetupError::Options), "{name} {options:?}");
    }
}

fn take_up(name: &str, size: u16, seats: u8, snapshot: &Snapshot) -> Result<(), TestCaseError> {
    if let Ok(mut game) = Game::restore(&setup(name, size, seats, 2), snapshot) {
        prop_assert_eq!(&game.snapshot(), snapshot);
        for turn in 0..10 {
            play(&mut game, turn);
        }
        game.simulation().picture();
        prop_assert!(Game::restore(game.setup(), &game.snapshot()).is_ok());
    }
    Ok(())
}

/// Of matches that are under way.
static CITY: LazyLock<Snapshot> = LazyLock::new(|| played("city", 64, 3).snapshot());
static BOXES: LazyLock<Snapshot> = LazyLock::new(|| played("boxes", 9, 3).snapshot());

fn played(name: &str, size: u16, seats: u8) -> Game {
    let mut game = start(name, size, seats, 2);
    for turn in 0..24 {
        play(&mut game, turn);
    }
    game
}
