//! The dirty chunks of a turn are exactly what changed.

mod support;

use std::collections::BTreeMap;

use support::{MATCHES, play, start};

#[test]
fn dirty_chunks_make_the_next_snapshot_of_the_last() {
    for (name, size, seats, turns) in MATCHES {
        let mut game = start(name, size, seats, 6);
        let mut replica: BTreeMap<_, _> = game.snapshot().into_iter().collect();
        for turn in 0..turns {
            let applied = play(&mut game, turn);
            for (id, bytes) in game.chunks(&applied.dirty) {
                let before = replica.insert(id, bytes.clone());
                assert_ne!(before, Some(bytes), "{name} {size}, turn {turn}: {id:?} is not dirty");
            }
            assert_eq!(game.snapshot(), Vec::from_iter(replica.clone()), "{name} {size}, turn {turn}");
        }
    }
}

#[test]
fn chunks_are_numbered_closely_and_small() {
    for (name, size, seats, _) in MATCHES {
        let game = start(name, size, seats, 7);
        let snapshot = game.snapshot();
        assert!(snapshot.is_sorted_by_key(|(id, _)| *id));
        assert!(snapshot.iter().all(|(_, bytes)| bytes.len() <= cadastre_simulations::CHUNK_BYTES_MAX));
        let last = usize::from(snapshot.last().expect("a chunk").0.get());
        assert!(last < snapshot.len() + 16, "{name} {size}: {last}");
    }
}
