//! Forks as sessions see them: the state that one begins with comes after its genesis, and counts only if that names it.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use cadastre_client::{Config, Event, FollowError, SessionError};
use cadastre_protocol::{
    ClientMessage, EnterAs, Following, ForkPoint, Genesis, GenesisError, Parent, RoomSpec, ServerMessage,
    TakebackPolicy, Turn, TurnMode, decode_exact, encode,
};
use cadastre_rooms::Origin;
use cadastre_simulations::Snapshot;
use support::{direct::Direct, player, spec, spectator};

#[test]
fn a_fork_goes_on_from_the_state_of_its_parent() {
    let (origin, spec) = parent();
    let mut fork = Direct::fork([player(5, &spec), player(6, &spec)], origin.clone());
    assert_eq!(genesis(&fork).parent, Some(origin.parent));
    let watcher = fork.add(spectator());
    for client in [0, 1, watcher] {
        assert_eq!(state_root(&fork, client), origin.parent.state_root);
    }
    play(&mut fork, 2);
    assert_eq!(head(&fork, 0).turn, Turn::new(2));
    let late = fork.add(spectator());
    assert_eq!(head(&fork, late), head(&fork, 0));
    assert_eq!(state_root(&fork, late), state_root(&fork, watcher));
}

#[test]
fn it_goes_on_after_a_restart_and_back_to_its_beginning() {
    let (origin, spec) = parent();
    let spec = RoomSpec { takebacks: TakebackPolicy::Unanimous, ..spec };
    let mut fork = Direct::fork([player(5, &spec), player(6, &spec)], origin.clone());
    play(&mut fork, 1);
    fork.restart();
    [0, 1].into_iter().for_each(|client| fork.connect(client));
    // Another process of the same player, which has nothing.
    let again = fork.add_process(0);
    play_as(&mut fork, &[again, 1], 1);
    for client in [again, 1] {
        fork.clients[client].session.propose_takeback(Turn::START).unwrap();
        fork.settle();
    }
    assert_eq!(head(&fork, 1).turn, Turn::START);
    assert_eq!(state_root(&fork, again), origin.parent.state_root);
}

#[test]
fn its_rematch_goes_on_from_the_same_state() {
    let (origin, spec) = parent();
    let spec = RoomSpec { turns_max: Some(1), ..spec };
    let mut fork = Direct::fork([player(5, &spec), player(6, &spec)], origin.clone());
    let first = genesis(&fork);
    play(&mut fork, 1);
    for client in [0, 1] {
        fork.clients[client].session.rematch().unwrap();
        fork.settle();
    }
    let again = genesis(&fork);
    assert_eq!((again.parent, again.match_id() == first.match_id()), (Some(origin.parent), false));
    assert_eq!(state_root(&fork, 0), origin.parent.state_root);
    play(&mut fork, 1);
}

#[test]
fn it_can_be_joined_by_a_snapshot() {
    let (origin, spec) = parent();
    let mut fork = Direct::fork([player(5, &spec), player(6, &spec)], origin);
    play(&mut fork, 3);
    let late = fork.add_following(spectator(), Following::Snapshot);
    let is_joined = |event: &Event| matches!(event, Event::Joined { head } if head.turn == Turn::new(3));
    assert!(fork.events(late).iter().any(is_joined));
    play(&mut fork, 1);
    assert_eq!(head(&fork, late), head(&fork, 0));
    assert_eq!(state_root(&fork, late), state_root(&fork, 0));
}

#[test]
fn it_is_seen_without_executing_it_and_without_its_first_state() {
    let (origin, spec) = parent();
    let mut fork = Direct::fork([player(5, &spec)], origin);
    let light = Config { enter_as: EnterAs::Light, ..spectator() };
    let early = fork.add(light.clone());
    fork.add(player(6, &spec));
    play_as(&mut fork, &[0, 2], 1);
    let late = fork.add_held(light);
    let is_first_state = |message: &ServerMessage| matches!(message, ServerMessage::Chunks(_));
    assert!(!fork.clients[late].held.iter().any(is_first_state));
    fork.release(late);
    play_as(&mut fork, &[0, 2], 1);
    for watcher in [early, late] {
        let seen = fork.clients[watcher].session.light().unwrap();
        assert_eq!(seen.head().state_root(), Some(state_root(&fork, 0)));
        assert_eq!(seen.game().unwrap().state_root(), state_root(&fork, 0));
    }
}

#[test]
fn another_state_than_the_genesis_names_is_refused() {
    let held = held();
    let (genesis, chunks) = held.begin();
    let mut others = chunks.clone();
    // The mover's number.
    others[0].1[3] ^= 1;
    let refused = held.refusal(&[genesis.clone(), ServerMessage::Chunks(others)]);
    assert_eq!(refused, SessionError::Follow(FollowError::Genesis(GenesisError::StateRoot)));

    let mut lies = chunks.clone();
    lies[0].1[3] = 9;
    let refused = held.refusal(&[genesis.clone(), ServerMessage::Chunks(lies)]);
    assert!(matches!(refused, SessionError::Follow(FollowError::Setup(_))), "{refused:?}");
}

#[test]
fn chunks_come_once_in_order_and_after_the_genesis_of_a_fork() {
    let held = held();
    let (genesis, chunks) = held.begin();
    let all = ServerMessage::Chunks(chunks.clone());
    let (first, second) = (vec![chunks[0].clone()], vec![chunks[1].clone()]);
    let [first, second] = [first, second].map(ServerMessage::Chunks);
    // Those of a snapshot would come after its join point.
    let twice = held.refusal(&[genesis.clone(), all.clone(), all.clone()]);
    assert_eq!(twice, SessionError::Follow(FollowError::Snapshot));
    for messages in [
        vec![all],
        vec![genesis.clone(), second.clone()],
        vec![genesis.clone(), first.clone(), first.clone()],
    ] {
        assert_eq!(held.refusal(&messages), SessionError::Unexpected);
    }
    let mut session = held.session();
    for message in [genesis.clone(), first, second] {
        assert_eq!(session.deliver(0, message), Ok(()));
    }
    assert!(session.clients[0].session.follower().is_some(), "they may come one by one");
}

#[test]
fn nobody_joins_another_fork_than_the_lobby_was_about() {
    let held = held();
    let (ServerMessage::Genesis { genesis, names, .. }, chunks) = held.begin() else { panic!() };
    let with = |change: fn(&mut Genesis)| {
        let mut genesis: Genesis = decode_exact(genesis).unwrap();
        change(&mut genesis);
        let genesis = encode(&genesis);
        held.refusal(&[
            ServerMessage::Genesis { genesis, names: names.clone(), begun: false },
            ServerMessage::Chunks(chunks.clone()),
        ])
    };
    let turn = |genesis: &mut Genesis| genesis.parent.as_mut().unwrap().turn = Turn::new(1);
    assert_eq!(with(turn), SessionError::OtherMatch);
    let other = |genesis: &mut Genesis| genesis.parent.as_mut().unwrap().match_id = genesis.match_id();
    assert_eq!(with(other), SessionError::OtherMatch);
    let mut without: Genesis = decode_exact(genesis).unwrap();
    without.parent = None;
    let genesis = encode(&without);
    let none = ServerMessage::Genesis { genesis, names: names.clone(), begun: false };
    assert_eq!(held.refusal(&[none]), SessionError::OtherMatch);
}

/// What the server sends the last player of a fork until it asks for the Joins.
struct Held {
    origin: Origin,
    spec: RoomSpec,
    messages: Vec<ServerMessage>,
}

fn held() -> Held {
    let (origin, spec) = parent();
    let mut fork = Direct::fork([player(5, &spec)], origin.clone());
    let last = fork.add_held(player(6, &spec));
    fork.send(last, ClientMessage::Ready { ready: true, chain: None });
    fork.settle();
    Held { origin, spec, messages: std::mem::take(&mut fork.clients[last].held) }
}

impl Held {
    /// The genesis, and the state that comes after it.
    fn begin(&self) -> (&ServerMessage, &Snapshot) {
        let at = self.messages.iter().position(|message| matches!(message, ServerMessage::Genesis { .. }));
        let [genesis, ServerMessage::Chunks(chunks), ..] = &self.messages[at.unwrap()..] else {
            panic!("{:?}", self.messages)
        };
        (genesis, chunks)
    }

    /// The same player, who knows the lobby and nothing more.
    fn session(&self) -> Direct {
        let mut alone = Direct::fork([], self.origin.clone());
        alone.add_held(player(6, &self.spec));
        alone.deliver(0, self.messages[0].clone()).unwrap();
        alone
    }

    /// How the last of the messages is refused.
    fn refusal(&self, messages: &[ServerMessage]) -> SessionError {
        let mut session = self.session();
        let (last, before) = messages.split_last().unwrap();
        before.iter().for_each(|message| assert_eq!(session.deliver(0, message.clone()), Ok(())));
        session.deliver(0, last.clone()).unwrap_err()
    }
}

/// Where a match stood after three turns, and how it can go on.
fn parent() -> (Origin, RoomSpec) {
    let spec = RoomSpec { size: Some(4), ..spec(2, TurnMode::Simultaneous) };
    let mut other = Direct::new([player(0, &spec), player(1, &spec)]);
    play(&mut other, 3);
    let follower = other.clients[0].session.follower().unwrap();
    let (match_id, head) = (follower.chain().match_id(), head(&other, 0));
    let parent = Parent {
        match_id,
        height: head.height,
        block: head.block,
        turn: head.turn,
        state_root: head.state_root,
    };
    let fork = Some(ForkPoint { match_id, turn: head.turn });
    let (rules, state) = (follower.chain().genesis().rules.clone(), follower.game().snapshot());
    (Origin { parent, rules, state }, RoomSpec { fork, ..spec })
}

fn play(direct: &mut Direct, turns: u32) {
    play_as(direct, &[0, 1], turns);
}

fn play_as(direct: &mut Direct, clients: &[usize], turns: u32) {
    for _ in 0..turns {
        clients.iter().for_each(|client| direct.act(*client));
    }
    let honest = |event: &Event| !matches!(event, Event::Evidence(_) | Event::Desync(_));
    clients.iter().for_each(|client| assert!(direct.events(*client).iter().all(honest)));
}

fn genesis(direct: &Direct) -> Genesis {
    direct.clients[0].session.follower().unwrap().chain().genesis().clone()
}

fn head(direct: &Direct, client: usize) -> cadastre_protocol::Head {
    *direct.clients[client].session.follower().unwrap().chain().head()
}

fn state_root(direct: &Direct, client: usize) -> cadastre_protocol::StateRoot {
    direct.clients[client].session.follower().unwrap().game().state_root()
}
