//! Whoever comes late takes the match up at a later block, and believes no more than the server has proved.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "only in tests")]

mod support;

use cadastre_client::{Event, FollowError, SessionError};
use cadastre_protocol::{
    BlockKind, ChainState, ChunkId, Digest, Following, GenesisError, Header, Height, JoinError, JoinPoint,
    ProvenHeader, RoomSpec, ServerMessage, SignedCertificate, StateRoot, TAKEBACK_TURNS_MAX, TakebackPolicy,
    Turn, TurnMode, decode_exact, encode,
};
use support::{
    OTHER_MATCH, SERIAL, block_key,
    direct::Direct,
    player, root_key,
    server::{certificate, signed_certificate},
    signed_header, spec, spectator,
};

#[test]
fn a_newcomer_goes_on_from_a_snapshot_and_executes_what_follows() {
    let mut direct = after_turns(3);
    let newcomer = direct.add_following(spectator(), Following::Snapshot);
    assert_eq!(shown(&mut direct, newcomer), [("joined", 4)]);
    turn(&mut direct);
    assert_eq!(shown(&mut direct, newcomer), [("block", 5)]);
    all_agree(&direct);
}

#[test]
fn whoever_does_not_ask_for_a_snapshot_gets_every_block() {
    let mut direct = after_turns(3);
    let newcomer = direct.add(spectator());
    assert_eq!(shown(&mut direct, newcomer), [("block", 1), ("block", 2), ("block", 3), ("block", 4)]);
    // Nor is one taken that was not asked for.
    let mut held = Held::new(3, Following::Snapshot);
    let client = held.direct.add_held(spectator());
    let genesis = held.direct.clients[client].held[0].clone();
    assert_eq!(held.direct.deliver(client, genesis), Ok(()));
    let snapshot = held.messages[0].clone();
    assert_eq!(held.direct.deliver(client, snapshot), Err(SessionError::Unexpected));
}

#[test]
fn another_process_of_a_player_plays_on_from_a_snapshot() {
    let mut direct = after_turns(2);
    let again = direct.add_process_following(0, Following::Snapshot);
    assert_eq!(shown(&mut direct, again), [("joined", 3)]);
    for _ in 0..2 {
        direct.act(again);
        direct.act(1);
    }
    let heads = [again, 1].map(|client| *direct.clients[client].session.follower().unwrap().chain().head());
    assert_eq!(heads[0], heads[1]);
    assert_eq!(heads[0].turn, Turn::new(4));
}

#[test]
fn a_long_gap_is_crossed_by_a_snapshot_and_a_short_one_block_by_block() {
    let mut direct = after_turns(1);
    let spectator = direct.add_following(spectator(), Following::Snapshot);
    shown(&mut direct, spectator);
    for (turns, expected) in [(1, vec![("block", 3)]), (3, vec![("joined", 6)]), (1, vec![("block", 7)])] {
        direct.disconnect(spectator);
        (0..turns).for_each(|_| turn(&mut direct));
        direct.connect(spectator);
        assert_eq!(shown(&mut direct, spectator), expected);
        all_agree(&direct);
    }
}

#[test]
fn where_turns_can_be_taken_back_a_snapshot_is_one_that_no_takeback_goes_behind() {
    let mut direct = with_takebacks(TAKEBACK_TURNS_MAX);
    let early = direct.add_following(spectator(), Following::Snapshot);
    assert_eq!(shown(&mut direct, early)[0], ("block", 1), "every turn can still be taken back");
    for _ in 0..TAKEBACK_TURNS_MAX + 3 {
        turn(&mut direct);
    }
    // The Start has height 1.
    let joined = u64::from(TAKEBACK_TURNS_MAX) + 1;
    let late = direct.add_following(spectator(), Following::Snapshot);
    let all = shown(&mut direct, late);
    assert_eq!((all[0], all[1], all.len()), (("joined", joined), ("block", joined + 1), 20));
    // As far back as all can go.
    go_back(&mut direct, TAKEBACK_TURNS_MAX + 3);
    all_agree(&direct);
    turn(&mut direct);
    all_agree(&direct);
    // Who comes now joins before the branch, and executes both.
    let later = direct.add_following(spectator(), Following::Snapshot);
    assert_eq!(shown(&mut direct, later)[0], ("joined", joined));
    go_back(&mut direct, TAKEBACK_TURNS_MAX + 3);
    turn(&mut direct);
    all_agree(&direct);
}

#[test]
fn a_takeback_to_before_the_snapshot_is_refused() {
    let mut direct = with_takebacks(2 * TAKEBACK_TURNS_MAX);
    let client = direct.add_held_following(spectator(), Following::Snapshot);
    let genesis = direct.clients[client].held[0].clone();
    assert_eq!(direct.deliver(client, genesis), Ok(()));
    // The state after the newest turn, as if none could be taken back.
    let follower = direct.clients[0].session.follower().unwrap();
    let (state, chunks) = (follower.chain().state().clone(), follower.game().snapshot());
    let block = direct.server.store.block(state.head().height).unwrap();
    let point = JoinPoint { block: ProvenHeader::of(block).unwrap(), state, place: Vec::new() };
    assert_eq!(direct.deliver(client, ServerMessage::Snapshot(Box::new(point))), Ok(()));
    for message in ServerMessage::chunks_of(chunks) {
        assert_eq!(direct.deliver(client, message), Ok(()));
    }
    go_back(&mut direct, 2 * TAKEBACK_TURNS_MAX - 1);
    let takeback = direct.server.store.blocks().last().unwrap().clone();
    let refused = direct.deliver(client, ServerMessage::Block(takeback));
    assert_eq!(refused, Err(SessionError::Follow(FollowError::BeforeSnapshot)));
}

#[test]
fn a_lying_join_point_is_refused() {
    let held = Held::new(3, Following::Snapshot);
    let genuine = held.point();
    let header = genuine.block.read().unwrap();
    let lie = |expected, change: &dyn Fn(&mut JoinPoint)| {
        let mut point = genuine.clone();
        change(&mut point);
        let mut held = Held::new(3, Following::Snapshot);
        let refused = held.deliver(ServerMessage::Snapshot(Box::new(point)));
        assert_eq!(refused, Err(SessionError::Follow(FollowError::Join(expected))));
    };
    lie(JoinError::Malformed, &|point| point.block.header.push(0));
    let signed = |change: &dyn Fn(&mut Header)| signed(&header, change);
    lie(JoinError::WrongMatch, &|point| point.block = signed(&|header| header.match_id = OTHER_MATCH));
    lie(JoinError::Signer, &|point| {
        point.state = with_signer(point, &signed_certificate(&block_key(), SERIAL));
    });
    lie(JoinError::Signer, &|point| {
        point.state = with_signer(point, &signed_certificate(&root_key(), SERIAL + 1));
    });
    lie(JoinError::BadProof, &|point| point.block.proof.index += 1);
    lie(JoinError::BadProof, &|point| {
        let mut other = header.clone();
        other.state_root = StateRoot::new(Digest::ZERO);
        point.block.header = encode(&other);
    });
    lie(JoinError::NotATurnAhead, &|point| {
        point.block = signed(&|header| header.kind = BlockKind::Start);
    });
    lie(JoinError::NotATurnAhead, &|point| point.block = signed(&|header| header.height = Height::GENESIS));
    lie(JoinError::State, &|point| point.block = signed(&|header| header.turn = Turn::new(2)));
    lie(JoinError::State, &|point| point.block = signed(&|header| header.deadline = None));
    lie(JoinError::OtherHistory, &|point| point.place = vec![Digest::ZERO]);
}

#[test]
fn a_gap_is_not_crossed_to_another_history() {
    let (mut direct, point) = resumed();
    let other = JoinPoint { place: vec![Digest::ZERO; point.place.len()], ..point.clone() };
    let refused = direct.deliver(2, ServerMessage::Snapshot(Box::new(other)));
    assert_eq!(refused, Err(SessionError::Follow(FollowError::Join(JoinError::OtherHistory))));
    let (mut direct, point) = resumed();
    let unproven = JoinPoint { place: Vec::new(), ..point.clone() };
    let refused = direct.deliver(2, ServerMessage::Snapshot(Box::new(unproven)));
    assert_eq!(refused, Err(SessionError::Follow(FollowError::Join(JoinError::OtherHistory))));
    let (mut direct, point) = resumed();
    assert_eq!(direct.deliver(2, ServerMessage::Snapshot(Box::new(point))), Ok(()));
}

#[test]
fn chunks_that_are_not_the_state_of_the_block_are_refused() {
    let chunks = |held: &Held| match &held.messages[1] {
        ServerMessage::Chunks(chunks) => chunks.clone(),
        other => panic!("{other:?}"),
    };
    let genuine = chunks(&Held::new(3, Following::Snapshot));
    let refused = |changed: Vec<_>| {
        let mut held = Held::new(3, Following::Snapshot);
        held.deliver(held.messages[0].clone()).unwrap();
        held.deliver(ServerMessage::Chunks(changed)).unwrap_err()
    };
    let mut other = genuine.clone();
    let drawn = other.iter_mut().flat_map(|(_, chunk)| chunk).find(|byte| **byte == 1).unwrap();
    *drawn = 0;
    let error = refused(other);
    let not_the_state = [
        SessionError::Follow(FollowError::Genesis(GenesisError::StateRoot)),
        SessionError::Follow(FollowError::Snapshot),
    ];
    assert!(not_the_state.contains(&error), "{error:?}");
    let mut longer = genuine.clone();
    longer.push((ChunkId::new(60_000), vec![0]));
    let mut numbered = genuine.clone();
    numbered[0].0 = ChunkId::new(7);
    for wrong in [longer, numbered] {
        assert_eq!(refused(wrong), SessionError::Follow(FollowError::Snapshot));
    }
    // Without a join point, or after the last of them, no chunks are taken, and no blocks before.
    let mut held = Held::new(3, Following::Snapshot);
    let early = held.deliver(ServerMessage::Chunks(genuine.clone()));
    assert_eq!(early, Err(SessionError::Follow(FollowError::Snapshot)));
    let mut held = Held::new(3, Following::Snapshot);
    held.deliver(held.messages[0].clone()).unwrap();
    let block = held.direct.server.store.block(Height::new(1)).unwrap().clone();
    assert_eq!(held.deliver(ServerMessage::Block(block)), Err(SessionError::Unexpected));
    assert_eq!(held.deliver(held.messages[0].clone()), Err(SessionError::Unexpected));
}

/// A match of two players after so many turns.
fn after_turns(turns: u32) -> Direct {
    let spec = spec(2, TurnMode::Simultaneous);
    let mut direct = Direct::new([player(0, &spec), player(1, &spec)]);
    (0..turns).for_each(|_| turn(&mut direct));
    direct
}

fn with_takebacks(turns: u32) -> Direct {
    let spec =
        RoomSpec { takebacks: TakebackPolicy::Unanimous, size: Some(9), ..spec(2, TurnMode::Simultaneous) };
    let mut direct = Direct::new([player(0, &spec), player(1, &spec)]);
    (0..turns).for_each(|_| turn(&mut direct));
    direct
}

/// Both players want to go back to this turn.
fn go_back(direct: &mut Direct, to: u32) {
    for player in [0, 1] {
        direct.clients[player].session.propose_takeback(Turn::new(to)).unwrap();
        direct.settle();
    }
}

fn turn(direct: &mut Direct) {
    direct.act(0);
    direct.act(1);
}

/// What a client was shown, with the heights.
fn shown(direct: &mut Direct, client: usize) -> Vec<(&'static str, u64)> {
    let told = direct.events(client).into_iter().filter_map(|event| match event {
        Event::Block { head, .. } => Some(("block", head.height.get())),
        Event::Joined { head } => Some(("joined", head.height.get())),
        _ => None,
    });
    told.collect()
}

fn all_agree(direct: &Direct) {
    let followers = || direct.clients.iter().map(|client| client.session.follower().unwrap());
    let head = followers().next().unwrap().chain().head();
    assert!(followers().all(|follower| follower.chain().head() == head));
    assert!(followers().all(|follower| follower.game().state_root() == head.state_root));
}

/// A newcomer who has the genesis, and what the server sent after it.
struct Held {
    direct: Direct,
    client: usize,
    messages: Vec<ServerMessage>,
}

impl Held {
    fn new(turns: u32, following: Following) -> Self {
        let mut direct = after_turns(turns);
        let client = direct.add_held_following(spectator(), following);
        let mut messages = std::mem::take(&mut direct.clients[client].held);
        assert_eq!(direct.deliver(client, messages.remove(0)), Ok(()));
        Self { direct, client, messages }
    }

    fn point(&self) -> JoinPoint {
        match &self.messages[0] {
            ServerMessage::Snapshot(point) => (**point).clone(),
            other => panic!("{other:?}"),
        }
    }

    fn deliver(&mut self, message: ServerMessage) -> Result<(), SessionError> {
        self.direct.deliver(self.client, message)
    }
}

/// A spectator who has missed three turns, and the join point that the server sends for that.
fn resumed() -> (Direct, JoinPoint) {
    let mut direct = after_turns(1);
    let spectator = direct.add_following(spectator(), Following::Snapshot);
    direct.disconnect(spectator);
    (0..3).for_each(|_| turn(&mut direct));
    direct.clients[spectator].is_held = true;
    direct.connect_held(spectator);
    let point = match direct.clients[spectator].held.first() {
        Some(ServerMessage::Snapshot(point)) => (**point).clone(),
        other => panic!("{other:?}"),
    };
    (direct, point)
}

/// The server signs this header, whatever it says.
fn signed(header: &Header, change: &dyn Fn(&mut Header)) -> ProvenHeader {
    let mut header = header.clone();
    change(&mut header);
    signed_header(&header)
}

fn with_signer(point: &JoinPoint, other: &SignedCertificate) -> ChainState {
    let (mut bytes, old) = (encode(&point.state), encode(&certificate(&root_key())));
    let at = bytes.windows(old.len()).position(|window| window == old).unwrap();
    bytes[at..at + old.len()].copy_from_slice(&encode(other));
    decode_exact(&bytes).unwrap()
}
