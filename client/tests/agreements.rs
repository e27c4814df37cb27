//! Agreements as sessions see them: what others want, and what comes of it when all do.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use cadastre_client::{Event, SubmitError};
use cadastre_protocol::{
    AgreementPolicy, BlockKind, Motion, ReopenReason, RoomSpec, STANCES_PER_TURN_MAX, SealReason, Seat,
    SeatSet, SkipPolicy, Turn, TurnMode, Visibility,
};
use support::{direct::Direct, player, spec, spectator};

const PAUSE: Motion = Motion::Pause { ms: 60_000 };

#[test]
fn a_pause_leaves_what_was_handed_in() {
    for visibility in [Visibility::Held, Visibility::Sealed, Visibility::Open] {
        let mut direct = playing(visibility);
        let watcher = direct.add(spectator());
        direct.act(0);
        propose(&mut direct, 0, PAUSE).unwrap();
        assert_eq!(wanted(&mut direct, 1), [(seat(0), PAUSE)]);
        assert_eq!(wanted(&mut direct, watcher), [(seat(0), PAUSE)]);
        propose(&mut direct, 1, PAUSE).unwrap();
        let events = direct.events(0);
        let paused = |event: &Event| {
            let pause = BlockKind::Reopen { reason: ReopenReason::Pause { ms: 60_000 } };
            matches!(event, Event::Block { kind, .. } if *kind == pause)
        };
        assert!(events.iter().any(paused), "{events:?}");
        assert_eq!(turn(&direct, 0), Turn::new(2));
        assert_eq!(direct.clients[0].session.submit(Vec::new()), Err(SubmitError::AlreadySubmitted));
        direct.act(1);
        for client in [0, 1, watcher] {
            assert_eq!(turn(&direct, client), Turn::new(3));
            let wrong = |event: &Event| {
                matches!(event, Event::Evidence(_) | Event::Desync(_) | Event::Refused { .. })
            };
            assert!(!direct.events(client).iter().any(wrong));
        }
    }
}

#[test]
fn all_end_the_match_together() {
    let mut direct = playing(Visibility::Held);
    propose(&mut direct, 0, Motion::End).unwrap();
    propose(&mut direct, 1, Motion::Nothing).unwrap();
    propose(&mut direct, 1, Motion::End).unwrap();
    assert_eq!(wanted(&mut direct, 0), [(seat(1), Motion::Nothing)]);
    let events = direct.events(1);
    let ended = |event: &Event| matches!(event, Event::Ended { reason: SealReason::Agreed, .. });
    assert!(events.iter().any(ended), "{events:?}");
}

#[test]
fn what_cannot_be_moved_is_not_signed() {
    let mut direct = playing(Visibility::Held);
    let long = Motion::Pause { ms: 60_001 };
    assert_eq!(propose(&mut direct, 0, long), Err(SubmitError::NoMotion));
    let own = Motion::Skip { seats: SeatSet::from_iter([seat(0)]) };
    assert_eq!(propose(&mut direct, 0, own), Err(SubmitError::NoMotion));
    for _ in 0..STANCES_PER_TURN_MAX {
        assert_eq!(propose(&mut direct, 0, PAUSE), Ok(()));
    }
    assert_eq!(propose(&mut direct, 0, PAUSE), Err(SubmitError::AlreadySubmitted));
}

/// A match of two in which all can be agreed on, after two turns.
fn playing(visibility: Visibility) -> Direct {
    let agreements = AgreementPolicy { pause_ms_max: 60_000, end: true, skip: SkipPolicy::Majority };
    let spec = RoomSpec { agreements, visibility, size: Some(9), ..spec(2, TurnMode::Simultaneous) };
    let mut direct = Direct::new([player(0, &spec), player(1, &spec)]);
    for _ in 0..2 {
        direct.act(0);
        direct.act(1);
    }
    for client in [0, 1] {
        direct.events(client);
    }
    direct
}

fn propose(direct: &mut Direct, client: usize, motion: Motion) -> Result<(), SubmitError> {
    direct.clients[client].session.propose(motion)?;
    direct.settle();
    Ok(())
}

/// What others have wanted since the last look at the events.
fn wanted(direct: &mut Direct, client: usize) -> Vec<(Seat, Motion)> {
    let wanted = direct.events(client).into_iter().filter_map(|event| {
        let Event::Motion { seat, motion } = event else { return None };
        Some((seat, motion))
    });
    wanted.collect()
}

fn seat(index: u8) -> Seat {
    Seat::new(index).unwrap()
}

fn turn(direct: &Direct, client: usize) -> Turn {
    direct.clients[client].session.follower().unwrap().chain().head().turn
}
