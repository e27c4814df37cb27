//! The rules play for a seat that is absent again and again, until it is back.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use cadastre_protocol::{AbsencePolicy, RoomSpec, Seat, Turn, Visibility};
use support::{DEADLINE_MS, Shell, alternating, edge, seat, spec};

/// A quarter of the time of a turn.
const SHORTEST_MS: u32 = 2_500;

const TAKE_OVER: AbsencePolicy = AbsencePolicy::TakeOver {
    abandon_after: 100,
    forfeit_after: None,
    shortest_ms: SHORTEST_MS,
    take_over_after: 1,
};

#[test]
fn the_rules_play_as_their_bot_would_and_the_match_goes_on_without_waiting_long() {
    let mut shell = Shell::playing(RoomSpec { absence: TAKE_OVER, ..alternating(2) });
    shell.pass(DEADLINE_MS);
    assert_eq!(edges_drawn(&shell), 0, "the first time it passes");
    shell.act(seat(1), edge(3));
    let suggested = suggestion(&shell, seat(0));
    assert_ne!(suggested, [0; 0]);
    shell.pass(DEADLINE_MS / 2);
    assert_eq!((shell.head().turn, edges_drawn(&shell)), (Turn::new(3), 2));
    let taken = u16::from_le_bytes(suggested.try_into().unwrap());
    assert!(shell.store.replay().1.check(seat(1), &edge(taken)).is_err(), "it was that edge");
    play(&mut shell, seat(1));
    play(&mut shell, seat(0));
    assert_eq!((shell.head().turn, edges_drawn(&shell)), (Turn::new(5), 4), "it is back, and plays itself");
    play(&mut shell, seat(1));
    shell.pass(DEADLINE_MS);
    assert_eq!((shell.head().turn, edges_drawn(&shell)), (Turn::new(7), 5), "the count begins anew");
}

#[test]
fn what_they_did_is_the_same_after_a_restart() {
    for visibility in [Visibility::Held, Visibility::Sealed, Visibility::Open] {
        let mut shell = Shell::playing(RoomSpec { absence: TAKE_OVER, visibility, ..spec(3) });
        shell.pass(5 * DEADLINE_MS);
        let (turn, root, drawn) = (shell.head().turn, shell.head().state_root, edges_drawn(&shell));
        assert!(drawn > 3, "{visibility:?}");
        shell.crash();
        assert_eq!((shell.head().turn, shell.head().state_root), (turn, root), "{visibility:?}");
    }
}

fn play(shell: &mut Shell, seat: Seat) {
    shell.act(seat, suggestion(shell, seat));
}

fn suggestion(shell: &Shell, seat: Seat) -> Vec<u8> {
    shell.store.replay().1.simulation().suggest(seat)
}

/// By all blocks of the match, executed anew.
fn edges_drawn(shell: &Shell) -> u16 {
    let game = shell.store.replay().1;
    assert_eq!(game.state_root(), shell.head().state_root);
    let (_, globals) = game.snapshot().remove(0);
    u16::from_le_bytes([globals[4], globals[5]])
}
