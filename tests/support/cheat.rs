//! A player whose every message the test chooses.

use cadastre_client::{Config, Event, Session};
use cadastre_protocol::{
    Chain, Digest, DisplayName, EnterAs, PublicKey, RoomName, RoomSpec, Seat, Transaction, TransactionBody,
    Turn,
};

use super::{Server, identity, peer::Peer};

/// A session of the identity of number 60, and the connection on which more than it says is said.
pub(crate) struct Cheat {
    pub(crate) peer: Peer,
    session: Box<Session>,
    root: PublicKey,
}

impl Cheat {
    /// Opens a room.
    pub(crate) async fn sit_down(server: &Server, room: &str, spec: RoomSpec) -> Self {
        let config = Config {
            identity: identity(60),
            process: identity(60),
            room: RoomName::new(room).unwrap(),
            enter_as: EnterAs::Player,
            name: DisplayName::new("cheat").unwrap(),
            open: Some(spec),
            credential: None,
        };
        let (peer, root) = (Peer::login(server, &identity(60)).await, server.root);
        let mut session = Box::new(Session::new(config));
        session.connected(root, Digest::ZERO);
        let mut cheat = Self { peer, session, root };
        cheat.until(|event| matches!(event, Event::Lobby(_))).await;
        cheat
    }

    pub(crate) async fn its_turn(&mut self) -> Turn {
        let Event::YourTurn { turn, .. } = self.until(|event| matches!(event, Event::YourTurn { .. })).await
        else {
            unreachable!()
        };
        turn
    }

    /// Plays on as if nothing had been.
    pub(crate) async fn play_to_the_end(&mut self) {
        loop {
            let ends = |event: &Event| matches!(event, Event::YourTurn { .. } | Event::Ended { .. });
            if matches!(self.until(ends).await, Event::Ended { .. }) {
                return;
            }
            self.submit_as_suggested().await;
        }
    }

    /// Hands in what the built-in bot would.
    pub(crate) async fn submit_as_suggested(&mut self) {
        let (follower, seat) = self.session.follower().zip(self.session.seat()).unwrap();
        let commands = follower.game().simulation().suggest(seat);
        self.session.submit(commands).unwrap();
        self.say_all().await;
    }

    /// What it could sign now, to do nothing.
    pub(crate) fn draft(&self) -> Transaction {
        draft_on(self.session.follower().unwrap().chain(), self.session.seat().unwrap())
    }

    async fn say_all(&mut self) {
        while let Some(message) = self.session.poll_send() {
            self.peer.say(&message).await;
        }
    }

    async fn until(&mut self, is_it: impl Fn(&Event) -> bool) -> Event {
        loop {
            while let Some(event) = self.session.poll_event() {
                if is_it(&event) {
                    return event;
                }
            }
            self.say_all().await;
            let message = self.peer.hear().await.unwrap();
            self.session.receive(message, self.root).unwrap();
        }
    }
}

/// What a seat could sign now, to do nothing.
pub(crate) fn draft_on(chain: &Chain, seat: Seat) -> Transaction {
    let (head, next) = (chain.head(), chain.next_of(seat).unwrap());
    Transaction {
        version: Transaction::VERSION,
        match_id: chain.match_id(),
        seat,
        epoch: next.epoch.unwrap(),
        seq: next.seq,
        prev_tx: next.prev_tx,
        turn: chain.next_turn().unwrap(),
        attempt: head.attempt,
        seen_height: head.height,
        seen_block: head.block,
        seen_state_root: head.state_root,
        chain_element: None,
        body: TransactionBody::Turn(Vec::new()),
    }
}
