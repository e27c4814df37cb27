//! Grace as sessions see it: the time of the turn is later, and what came too late comes in time.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use cadastre_client::Event;
use cadastre_protocol::{
    BlockKind, Clock, Millis, ReopenReason, RoomSpec, Seat, TransactionError, Turn, TurnMode,
};
use support::{direct::Direct, player, spec, spectator};

const GRACE_MS: u32 = 9_000;

#[test]
fn who_lost_the_connection_comes_back_in_time() {
    let mut direct = playing(Clock::PerTurn);
    let watcher = direct.add(spectator());
    direct.act(0);
    direct.disconnect(1);
    let deadline = runs_out(&direct, 0);
    direct.pass_deadline();
    for client in [0, watcher] {
        let events = direct.events(client);
        assert!(events.iter().any(is_grace), "{events:?}");
        assert_eq!(turn(&direct, client), Turn::START);
    }
    assert_eq!(runs_out(&direct, 0), deadline.after(GRACE_MS.into()), "what players are shown follows");
    direct.connect(1);
    assert!(direct.events(1).iter().any(is_grace));
    direct.act(1);
    for client in [0, 1, watcher] {
        assert_eq!(turn(&direct, client), Turn::new(1));
        assert!(!direct.events(client).iter().any(is_wrong));
    }
}

#[test]
fn what_came_too_late_is_handed_in_again_when_the_turn_waits_for_another() {
    let mut direct = playing(Clock::Bank { initial_ms: 5_000, increment_ms: 0 });
    // Seat 0 spends 4 s of its bank, seat 1 nothing.
    direct.act(1);
    direct.now = direct.now.after(4_000);
    direct.act(0);
    direct.disconnect(1);
    direct.now = direct.now.after(1_500);
    direct.events(0);
    direct.act(0);
    let events = direct.events(0);
    let is_late = |event: &Event| {
        let late = cadastre_protocol::Refusal::Chain(TransactionError::Late);
        matches!(event, Event::Refused { refusal, .. } if *refusal == late)
    };
    assert!(events.iter().any(is_late), "{events:?}");
    direct.pass_deadline();
    assert!(direct.events(0).iter().any(is_grace));
    direct.connect(1);
    direct.act(1);
    assert_eq!(turn(&direct, 0), Turn::new(2), "all have acted");
    assert!(!direct.events(0).iter().any(is_wrong));
}

/// A match of two with grace, in its first turn.
fn playing(clock: Clock) -> Direct {
    let spec = RoomSpec { clock, grace_ms: GRACE_MS, size: Some(9), ..spec(2, TurnMode::Simultaneous) };
    Direct::new([player(0, &spec), player(1, &spec)])
}

fn is_grace(event: &Event) -> bool {
    let grace = BlockKind::Reopen { reason: ReopenReason::Grace };
    matches!(event, Event::Block { kind, .. } if *kind == grace)
}

fn is_wrong(event: &Event) -> bool {
    matches!(event, Event::Evidence(_) | Event::Desync(_) | Event::Refused { .. })
}

/// When the time of seat 1 is up.
fn runs_out(direct: &Direct, client: usize) -> Millis {
    let chain = direct.clients[client].session.follower().unwrap().chain();
    chain.clock_of(Seat::new(1).unwrap()).unwrap().runs_out.unwrap()
}

fn turn(direct: &Direct, client: usize) -> Turn {
    direct.clients[client].session.follower().unwrap().chain().head().turn
}
