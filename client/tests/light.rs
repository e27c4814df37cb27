//! Whoever executes nothing sees what the server has signed, chunk by chunk, and nothing else.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "only in tests")]

mod support;

use cadastre_client::{Event, LightFollower, SessionError, Viewport};
use cadastre_protocol::{
    ChunkId, Digest, EnterAs, Header, RoomSpec, ServerMessage, Since, TakebackPolicy, Turn, TurnMode, View,
    ViewError, encode,
};
use support::{direct::Direct, player, root_key, server::signed_certificate, spec, spectator};

#[test]
fn all_of_a_match_is_seen_without_executing_it() {
    let mut direct = after_turns(2);
    let watcher = direct.add(light());
    assert_eq!(shown(&mut direct, watcher), [3]);
    same_state(&direct, watcher);
    for height in 4..8 {
        turn(&mut direct);
        assert_eq!(shown(&mut direct, watcher), [height]);
        same_state(&direct, watcher);
    }
    assert_eq!(direct.clients[watcher].session.follower().map(|_| ()), None);
}

#[test]
fn only_what_is_watched_is_sent_and_a_viewport_can_move() {
    let mut direct = after_turns(2);
    let watcher = direct.add(light());
    let all: Vec<_> = seen(&direct, watcher).chunks().keys().copied().collect();
    assert!(all.len() > 2, "{all:?}");
    for viewport in [Some(vec![all[0], all[2]]), Some(vec![all[1]]), None] {
        let watch = viewport.clone().map_or(Viewport::All, Viewport::Chunks);
        direct.clients[watcher].session.watch(watch);
        direct.settle();
        let watched = viewport.unwrap_or_else(|| all.clone());
        for _ in 0..3 {
            let chunks: Vec<_> = seen(&direct, watcher).chunks().keys().copied().collect();
            assert_eq!(chunks, watched);
            same_chunks(&direct, watcher);
            turn(&mut direct);
        }
        assert_eq!(seen(&direct, watcher).game().is_some(), watched == all);
    }
}

#[test]
fn a_viewport_may_move_back_while_what_was_asked_for_between_is_on_its_way() {
    let (mut direct, messages) = held();
    let corner = Viewport::Tiles { left: 0, top: 0, width: 1, height: 1 };
    for viewport in [corner.clone(), Viewport::All, corner] {
        direct.clients[2].session.watch(viewport);
        direct.settle();
    }
    messages.into_iter().for_each(|message| assert_eq!(direct.deliver(2, message), Ok(())));
    direct.release(2);
    assert_eq!(seen(&direct, 2).chunks().len(), 2);
    same_chunks(&direct, 2);
}

#[test]
fn a_rectangle_of_tiles_is_watched_from_the_begin() {
    let mut direct = after_turns(2);
    let mut session = cadastre_client::Session::new(light());
    session.watch(Viewport::Tiles { left: 17, top: 2, width: 3, height: 3 });
    let watcher = direct.add_session(light(), session);
    turn(&mut direct);
    // Beside the chunk of the rectangle there is that of the whole match.
    let chunks: Vec<_> = seen(&direct, watcher).chunks().keys().map(|id| id.get()).collect();
    assert_eq!(chunks, [0, 2]);
    same_chunks(&direct, watcher);
    direct.disconnect(watcher);
    turn(&mut direct);
    direct.connect(watcher);
    same_chunks(&direct, watcher);
    assert_eq!(seen(&direct, watcher).chunks().len(), 2);
}

#[test]
fn whoever_is_too_slow_or_away_goes_on_with_the_newest_block() {
    let mut direct = after_turns(1);
    let watcher = direct.add(light());
    shown(&mut direct, watcher);
    let link = direct.clients[watcher].link.unwrap();
    direct.server.watching.get_mut(&link).unwrap().is_slow = true;
    (0..3).for_each(|_| turn(&mut direct));
    assert_eq!(shown(&mut direct, watcher), []);
    direct.server.watching.get_mut(&link).unwrap().is_slow = false;
    turn(&mut direct);
    assert_eq!(shown(&mut direct, watcher), [6]);
    same_state(&direct, watcher);
    direct.disconnect(watcher);
    (0..2).for_each(|_| turn(&mut direct));
    direct.connect(watcher);
    assert_eq!(shown(&mut direct, watcher), [8]);
    turn(&mut direct);
    assert_eq!(shown(&mut direct, watcher), [9]);
    same_state(&direct, watcher);
}

#[test]
fn a_takeback_is_seen_like_any_other_block() {
    let spec =
        RoomSpec { takebacks: TakebackPolicy::Unanimous, size: Some(9), ..spec(2, TurnMode::Simultaneous) };
    let mut direct = Direct::new([player(0, &spec), player(1, &spec)]);
    (0..4).for_each(|_| turn(&mut direct));
    let watcher = direct.add(light());
    for player in [0, 1] {
        direct.clients[player].session.propose_takeback(Turn::new(1)).unwrap();
        direct.settle();
    }
    assert_eq!(shown(&mut direct, watcher), [5, 6]);
    assert_eq!(seen(&direct, watcher).head().header().unwrap().turn, Turn::new(1));
    same_state(&direct, watcher);
    turn(&mut direct);
    same_state(&direct, watcher);
}

#[test]
fn the_end_is_seen() {
    let mut direct = after_turns(1);
    let watcher = direct.add(light());
    direct.clients[0].session.resign().unwrap();
    direct.settle();
    direct.act(1);
    let ended = |events: Vec<Event>| {
        events.into_iter().find_map(|event| match event {
            Event::Ended { reason, standings } => Some((reason, standings)),
            _ => None,
        })
    };
    let seen = ended(direct.events(watcher));
    assert!(seen.is_some());
    assert_eq!(seen, ended(direct.events(1)));
    direct.clients[watcher].session.watch(Viewport::Tiles { left: 0, top: 0, width: 1, height: 1 });
    direct.settle();
    let events = direct.events(watcher);
    assert!(matches!(events[..], [Event::Shown { .. }]), "{events:?}");
}

#[test]
fn lies_are_refused() {
    let lie = |expected, change: &dyn Fn(&mut View)| {
        let (mut direct, mut messages) = held();
        let ServerMessage::View(view) = &mut messages[0] else { panic!("{messages:?}") };
        change(view);
        let refused = direct.deliver(2, messages.remove(0));
        assert_eq!(refused, Err(SessionError::View(expected)));
    };
    let (mut direct, messages) = held();
    assert_eq!(direct.deliver(2, messages[0].clone()), Ok(()));
    let signed = |view: &mut View, change: &dyn Fn(&mut Header)| {
        let mut header = view.block.read().unwrap();
        change(&mut header);
        view.block = support::signed_header(&header);
    };
    lie(ViewError::Malformed, &|view| view.block.header.push(0));
    lie(ViewError::WrongMatch, &|view| signed(view, &|header| header.match_id = support::OTHER_MATCH));
    lie(ViewError::Signer, &|view| {
        let signer = signed_certificate(&support::block_key(), support::SERIAL);
        view.since = Since::Nothing { signer, place: Vec::new() };
    });
    lie(ViewError::Signer, &|view| {
        let signer = signed_certificate(&root_key(), support::SERIAL + 1);
        view.since = Since::Nothing { signer, place: Vec::new() };
    });
    lie(ViewError::BadProof, &|view| view.block.proof.index += 1);
    lie(ViewError::BadProof, &|view| {
        let mut header = view.block.read().unwrap();
        header.turn = Turn::new(9);
        view.block.header = encode(&header);
    });
    lie(ViewError::OtherHistory, &|view| {
        if let Since::Nothing { place, .. } = &mut view.since {
            place.push(Digest::ZERO);
        }
    });
    lie(ViewError::OtherHistory, &|view| view.since = Since::Before);
    lie(ViewError::Chunks, &|view| drop(view.chunks.pop()));
    lie(ViewError::Chunks, &|view| view.chunks[0].0 = ChunkId::new(60_000));
    lie(ViewError::Chunks, &|view| view.more = 70_000);
    lie(ViewError::StateRoot, &|view| view.chunks[0].1[0] ^= 1);
    lie(ViewError::StateRoot, &|view| view.beside.push(Digest::ZERO));
    lie(ViewError::StateRoot, &|view| signed(view, &|header| header.state_root = other_root()));
}

#[test]
fn changes_that_are_left_out_or_made_up_are_refused() {
    let lie = |expected: Option<ViewError>, change: &dyn Fn(&mut View)| {
        let (mut direct, messages) = held();
        direct.deliver(2, messages[0].clone()).unwrap();
        turn(&mut direct);
        let ServerMessage::View(mut view) = direct.clients[2].held.remove(0) else { panic!() };
        assert_eq!(view.since, Since::Before);
        change(&mut view);
        let result = direct.deliver(2, ServerMessage::View(view));
        assert_eq!(result.err(), expected.map(SessionError::View));
    };
    lie(None, &|_| {});
    lie(Some(ViewError::StateRoot), &|view| drop(view.chunks.pop()));
    lie(Some(ViewError::StateRoot), &|view| view.chunks[0].1[3] ^= 4);
    lie(Some(ViewError::Chunks), &|view| view.chunks.push((ChunkId::new(60_000), Vec::new())));
    // A second block of this height, signed as it may be, does not go on from what was shown.
    lie(Some(ViewError::OtherHistory), &|view| {
        let mut header = view.block.read().unwrap();
        header.prev_block = header.match_id.as_block();
        view.block = support::signed_header(&header);
    });
    // What comes after a gap has to prove that it is the same match.
    lie(Some(ViewError::OtherHistory), &|view| {
        let signer = support::server::certificate(&root_key());
        view.since = Since::Nothing { signer, place: Vec::new() };
    });
}

#[test]
fn whoever_executes_nothing_gets_no_blocks_and_nobody_else_gets_views() {
    let (mut direct, messages) = held();
    direct.clients[2].is_held = false;
    let block = direct.server.store.blocks()[0].clone();
    assert_eq!(direct.deliver(2, ServerMessage::Block(block)), Err(SessionError::Unexpected));
    assert_eq!(direct.deliver(0, messages[0].clone()), Err(SessionError::Unexpected));
}

fn light() -> cadastre_client::Config {
    cadastre_client::Config { enter_as: EnterAs::Light, ..spectator() }
}

fn other_root() -> cadastre_protocol::StateRoot {
    cadastre_protocol::StateRoot::new(Digest::ZERO)
}

/// A match of two players after so many turns, on a board of several chunks.
fn after_turns(turns: u32) -> Direct {
    let spec = RoomSpec { size: Some(20), ..spec(2, TurnMode::Simultaneous) };
    let mut direct = Direct::new([player(0, &spec), player(1, &spec)]);
    (0..turns).for_each(|_| turn(&mut direct));
    direct
}

/// A light spectator who has the genesis, as client 2, and what comes after that.
fn held() -> (Direct, Vec<ServerMessage>) {
    let mut direct = after_turns(2);
    assert_eq!(direct.add_held(light()), 2);
    let mut messages = std::mem::take(&mut direct.clients[2].held);
    assert_eq!(direct.deliver(2, messages.remove(0)), Ok(()));
    messages.retain(|message| !matches!(message, ServerMessage::Conversation { .. }));
    (direct, messages)
}

fn turn(direct: &mut Direct) {
    direct.act(0);
    direct.act(1);
}

/// The heights of the blocks that a client was shown.
fn shown(direct: &mut Direct, client: usize) -> Vec<u64> {
    let told = direct.events(client).into_iter().filter_map(|event| match event {
        Event::Shown { header } => Some(header.height.get()),
        _ => None,
    });
    told.collect()
}

fn seen(direct: &Direct, client: usize) -> &LightFollower {
    direct.clients[client].session.light().unwrap()
}

fn same_chunks(direct: &Direct, watcher: usize) {
    let follower = direct.clients[0].session.follower().unwrap();
    let seen = seen(direct, watcher);
    assert_eq!(seen.head().block(), follower.chain().head().block);
    for (id, chunk) in seen.chunks() {
        assert_eq!(follower.game().simulation().chunk(*id).as_ref(), Some(chunk));
    }
}

fn same_state(direct: &Direct, watcher: usize) {
    same_chunks(direct, watcher);
    let follower = direct.clients[0].session.follower().unwrap();
    let game = seen(direct, watcher).game().unwrap();
    assert_eq!(game.state_root(), follower.game().state_root());
    assert_eq!(game.simulation().picture(), follower.game().simulation().picture());
}
