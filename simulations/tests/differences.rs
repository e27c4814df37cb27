//! What differs between two states is named by tile and field, and states can be looked back at.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use cadastre_protocol::{ChunkId, Seat, Turn};
use cadastre_simulations::{Game, HISTORY_TURNS, History, Incident, PastTurn, Subject, Version};
use support::{MATCHES, orders, start, suggestions};

#[test]
fn every_byte_of_every_chunk_belongs_to_one_field() {
    for (name, size, seats, _) in MATCHES {
        let game = start(name, size, seats, 3);
        // The match, a seat or the first tiles, and tiles.
        for id in [0, 1, 16].map(ChunkId::new) {
            let Some(chunk) = game.simulation().chunk(id) else { continue };
            for at in 0..chunk.len().min(65) {
                for bit in 0..8 {
                    let mut other = chunk.clone();
                    other[at] ^= 1 << bit;
                    let differences = game.explain(id, Some(&chunk), Some(&other));
                    assert_eq!(differences.len(), 1, "{name}, chunk {}, byte {at}, bit {bit}", id.get());
                    assert_ne!(differences[0].left, differences[0].right);
                }
            }
        }
    }
}

#[test]
fn a_field_is_named_as_the_table_of_the_games_says() {
    let named = |name, size, seats, chunk, at: usize, value| {
        let game = start(name, size, seats, 3);
        let id = ChunkId::new(chunk);
        let mut bytes = game.simulation().chunk(id).unwrap();
        let before = bytes.clone();
        bytes[at] = value;
        let mut differences = game.explain(id, Some(&before), Some(&bytes));
        let difference = differences.remove(0);
        (difference.subject, difference.field, difference.right)
    };
    let tile = |x, y| Subject::Tile { x, y };
    assert_eq!(named("city", 80, 2, 0, 3, 9), (Subject::Match, "turn", "9".into()));
    assert_eq!(named("city", 80, 2, 0, 8, 0xfe), (Subject::Match, "settlers", "-2".into()));
    assert_eq!(named("city", 80, 2, 2, 8, 12), (Subject::Seat(Seat::new(1).unwrap()), "tax", "12".into()));
    // The second band of five chunks, the third chunk in it, row 1 and column 2 in that.
    let at = 16 * (16 + 2);
    assert_eq!(named("city", 80, 2, 16 + 7, at + 4, 2), (tile(34, 17), "kind", "road".into()));
    assert_eq!(named("city", 80, 2, 16 + 7, at + 3, 2), (tile(34, 17), "owner", "seat 1".into()));
    assert_eq!(named("city", 80, 2, 16 + 7, at + 7, 5), (tile(34, 17), "reason", "no power".into()));
    assert_eq!(named("boxes", 17, 3, 0, 3, 2), (Subject::Match, "to move", "2".into()));
    assert_eq!(named("boxes", 17, 3, 2, 16, 0x30), (tile(16, 1), "owner", "seat 2".into()));
    assert_eq!(named("boxes", 17, 3, 4, 17, 2), (tile(17, 17), "edge down", "1".into()));
}

#[test]
fn chunks_that_cannot_be_a_state_of_the_game_differ_in_their_length() {
    let game = start("city", 64, 2, 3);
    let id = ChunkId::new(16);
    let chunk = game.simulation().chunk(id).unwrap();
    for other in [None, Some(&[][..]), Some(&chunk[1..])] {
        let differences = game.explain(id, Some(&chunk), other);
        assert_eq!((differences.len(), differences[0].field), (1, "length"));
    }
    assert_eq!(game.explain(ChunkId::new(9000), Some(&[1]), Some(&[2])).len(), 1);
    assert_eq!(game.explain(id, Some(&chunk), Some(&chunk)), []);
}

#[test]
fn the_last_turns_can_be_looked_back_at() {
    for (name, size, seats, turns) in MATCHES {
        let mut game = start(name, size, seats, 5);
        let mut history = History::new(&game);
        let mut states = vec![game.snapshot()];
        for turn in 1..=turns {
            let lists = suggestions(&game, turn);
            let dirty = game.apply(&orders(turn, &lists)).dirty;
            history.push(&game, Turn::new(turn), &orders(turn, &lists), &dirty);
            states.push(game.snapshot());
        }
        let last = usize::try_from(turns).unwrap();
        for back in 0..HISTORY_TURNS.min(last) {
            let past = history.turn(Turn::new(turns - u32::try_from(back).unwrap())).unwrap();
            assert_eq!(past.after.snapshot(), states[last - back], "{name} {size}");
            assert_eq!(past.before.snapshot(), states[last - back - 1], "{name} {size}");
            let mut again = Game::restore(game.setup(), &past.before.snapshot()).unwrap();
            again.apply(&past.orders());
            assert_eq!(again.state_root(), past.after.tree().root());
        }
        assert_eq!(history.turn(Turn::new(turns + 1)), None);
        if last > HISTORY_TURNS {
            assert_eq!(history.turn(Turn::new(turns - u32::try_from(HISTORY_TURNS).unwrap())), None);
        }
    }
}

#[test]
fn a_disturbed_tile_is_found_with_its_phase() {
    for (name, size, seats, field) in [("city", 64, 2, "height"), ("boxes", 17, 3, "owner")] {
        let (mut right, mut wrong) = (start(name, size, seats, 5), start(name, size, seats, 5));
        let mut history = History::new(&right);
        let lists = suggestions(&right, 1);
        let (applied, good) = right.apply_traced(&orders(1, &lists));
        history.push(&right, Turn::new(1), &orders(1, &lists), &applied.dirty);
        let mut turn = wrong.by_phase();
        let phases = right.simulation().phases();
        let disturbed = phases.len() / 2;
        for phase in 0..phases.len() {
            turn.run(&orders(1, &lists));
            if phase == disturbed {
                assert!(turn.disturb(4, 9) && !turn.disturb(4, size + 1));
            }
        }
        let (_, bad) = turn.end();
        let past: PastTurn = history.turn(Turn::new(1)).unwrap();
        let (left, other) = (past.after.clone(), wrong.snapshot().into());
        let differing: Vec<_> = right
            .simulation()
            .chunk_ids()
            .into_iter()
            .filter(|id| right.simulation().chunk(*id) != wrong.simulation().chunk(*id))
            .collect();
        let left = Version { root: right.state_root(), phases: &good, state: &left };
        let other = Version { root: wrong.state_root(), phases: &bad, state: &other };
        let incident = Incident::new(&right, past, left, other, &differing);
        assert_eq!(incident.report.phase, Some(phases[disturbed]));
        let [difference] = &incident.report.differences[..] else { panic!("{:?}", incident.report) };
        assert_eq!((difference.subject, difference.field), (Subject::Tile { x: 4, y: 9 }, field));
    }
}
