//! Sessions and a server without a network between them: everything arrives at once and in order, but for what
//! a test holds back.

use cadastre_client::{Config, Event, Session, SessionError};
use cadastre_protocol::{ClientMessage, Digest, Evidence, Following, Millis, ProvenBlock, ServerMessage};
use cadastre_rooms::{Input, Origin};

use super::{
    process_key, root_key,
    server::{Effect, Server},
    store::Store,
};

pub(crate) struct Direct {
    pub(crate) now: Millis,
    pub(crate) server: Server,
    pub(crate) clients: Vec<Client>,
    /// The store writes nothing until the server is restarted.
    pub(crate) withholds: bool,
    last_link: u64,
}

pub(crate) struct Client {
    config: Config,
    pub(crate) session: Session,
    pub(crate) link: Option<u64>,
    /// Loses what the client sends from now on.
    pub(crate) is_deaf: bool,
    /// Keeps what the server sends from now on.
    pub(crate) is_held: bool,
    pub(crate) held: Vec<ServerMessage>,
    /// What the client keeps against the server after a message that it did not take.
    pub(crate) evidence: Vec<Evidence>,
    /// What the client has sent, lost or not.
    pub(crate) sent: Vec<ClientMessage>,
}

impl Client {
    fn new(config: Config) -> Self {
        Self {
            session: Session::new(config.clone()),
            config,
            link: None,
            is_deaf: false,
            is_held: false,
            held: Vec::new(),
            evidence: Vec::new(),
            sent: Vec::new(),
        }
    }
}

impl Direct {
    /// Everybody connects; the match begins as soon as the room is full.
    pub(crate) fn new(configs: impl IntoIterator<Item = Config>) -> Self {
        Self::with_origin(configs, None)
    }

    /// The same with a match that goes on from another one.
    pub(crate) fn fork(configs: impl IntoIterator<Item = Config>, origin: Origin) -> Self {
        Self::with_origin(configs, Some(origin))
    }

    fn with_origin(configs: impl IntoIterator<Item = Config>, origin: Option<Origin>) -> Self {
        let now = Millis::new(1_795_000_000_000);
        let mut server = Server::new(Store::default(), [7; 32], now);
        server.origin = origin;
        let mut direct = Self { now, server, clients: Vec::new(), withholds: false, last_link: 0 };
        for config in configs {
            direct.add(config);
        }
        direct.clients.iter_mut().for_each(|client| client.sent.clear());
        direct
    }

    /// Another client connects. Gives its number.
    pub(crate) fn add(&mut self, config: Config) -> usize {
        let client = Client::new(config);
        self.clients.push(client);
        self.connect(self.clients.len() - 1);
        self.clients.len() - 1
    }

    /// Another client connects, with a session that was told something before.
    pub(crate) fn add_session(&mut self, config: Config, session: Session) -> usize {
        self.clients.push(Client { session, ..Client::new(config) });
        self.connect(self.clients.len() - 1);
        self.clients.len() - 1
    }

    /// Another client connects, and says how it wants to be told of what it missed.
    pub(crate) fn add_following(&mut self, config: Config, following: Following) -> usize {
        let mut client = Client::new(config);
        client.session.follow(following);
        self.clients.push(client);
        self.connect(self.clients.len() - 1);
        self.clients.len() - 1
    }

    /// Another client connects, and gets nothing of what the server sends until it is released.
    pub(crate) fn add_held(&mut self, config: Config) -> usize {
        self.add_held_following(config, Following::Blocks)
    }

    pub(crate) fn add_held_following(&mut self, config: Config, following: Following) -> usize {
        let mut client = Client::new(config);
        client.session.follow(following);
        self.clients.push(client);
        self.connect_held(self.clients.len() - 1);
        self.clients.len() - 1
    }

    /// A client connects, and gets nothing of what the server sends until it is released.
    pub(crate) fn connect_held(&mut self, client: usize) {
        self.last_link += 1;
        let entry = &mut self.clients[client];
        (entry.link, entry.is_held) = (Some(self.last_link), true);
        entry.session.connected(root_key().public(), Digest::ZERO);
        self.settle();
    }

    /// Hands a client what was held back.
    pub(crate) fn release(&mut self, client: usize) {
        self.clients[client].is_held = false;
        for message in std::mem::take(&mut self.clients[client].held) {
            assert_eq!(self.clients[client].session.receive(message, root_key().public()), Ok(()));
        }
        self.settle();
    }

    /// Does what the built-in bot would do, and says nothing any more after it.
    pub(crate) fn act_deaf_after(&mut self, client: usize) {
        let session = &mut self.clients[client].session;
        let commands = session.follower().unwrap().game().simulation().suggest(session.seat().unwrap());
        session.submit(commands).unwrap();
        let message = session.poll_send().unwrap();
        self.send(client, message);
        self.clients[client].is_deaf = true;
        self.settle();
    }

    /// Another process of the same identity connects; the old one is not told, and loses its connection.
    pub(crate) fn add_process(&mut self, of: usize) -> usize {
        self.add_process_following(of, Following::Blocks)
    }

    pub(crate) fn add_process_following(&mut self, of: usize, following: Following) -> usize {
        let number = u64::try_from(self.clients.len()).unwrap();
        let config = Config { process: process_key(2, number), ..self.clients[of].config.clone() };
        self.add_following(config, following)
    }

    pub(crate) fn connect(&mut self, client: usize) {
        self.last_link += 1;
        let entry = &mut self.clients[client];
        entry.link = Some(self.last_link);
        (entry.is_deaf, entry.is_held) = (false, false);
        entry.held.clear();
        entry.session.connected(root_key().public(), Digest::ZERO);
        self.settle();
    }

    pub(crate) fn disconnect(&mut self, client: usize) {
        let link = self.clients[client].link.take().expect("it was connected");
        self.clients[client].session.disconnected("cut".into());
        self.server.lost(self.now, link);
        self.settle();
    }

    pub(crate) fn submit(&mut self, client: usize, commands: Vec<u8>) {
        self.clients[client].session.submit(commands).unwrap();
        self.settle();
    }

    /// What the built-in bot would do.
    pub(crate) fn act(&mut self, client: usize) {
        let session = &self.clients[client].session;
        let commands = session.follower().unwrap().game().simulation().suggest(session.seat().unwrap());
        self.submit(client, commands);
    }

    /// Lets the turn's time run out.
    pub(crate) fn pass_deadline(&mut self) {
        self.now = self.now.max(self.server.wake.expect("a turn is open"));
        self.server.feed(self.now, Input::Timeout);
        self.settle();
    }

    /// The server dies with its store as it is, and comes back. All connections are lost.
    pub(crate) fn restart(&mut self) {
        let mut store = std::mem::take(&mut self.server.store);
        store.crash();
        self.server = Server::new(store, [8; 32], self.now);
        self.withholds = false;
        for client in 0..self.clients.len() {
            if self.clients[client].link.take().is_some() {
                self.clients[client].session.disconnected("restart".into());
            }
        }
        self.settle();
    }

    pub(crate) fn events(&mut self, client: usize) -> Vec<Event> {
        std::iter::from_fn(|| self.clients[client].session.poll_event()).collect()
    }

    /// What a session makes of a message that no room sent. No event but evidence comes of an error.
    pub(crate) fn deliver(&mut self, client: usize, message: ServerMessage) -> Result<(), SessionError> {
        self.events(client);
        let received = self.clients[client].session.receive(message, root_key().public());
        if received.is_err() {
            let told = self.events(client);
            for event in told {
                let Event::Evidence(evidence) = event else { panic!("{event:?} is shown") };
                self.clients[client].evidence.push(*evidence);
            }
        }
        received
    }

    /// The newest block that was held back.
    pub(crate) fn held_block(&self, client: usize) -> ProvenBlock {
        match self.clients[client].held.last() {
            Some(ServerMessage::Block(block)) => block.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// Carries messages to and fro, and commits to the disk, until nothing is left to do.
    pub(crate) fn settle(&mut self) {
        loop {
            let effects = self.server.take_effects();
            let mut is_idle = effects.is_empty();
            for effect in effects {
                match effect {
                    Effect::Send { link, message } => self.arrive(link, message),
                    Effect::Close { link } => self.close(link),
                    Effect::Commit if self.withholds => {}
                    Effect::Commit => {
                        let waiting = self.server.store.waiting();
                        self.server.store.write(waiting);
                    }
                    Effect::WakeAt(_) => {}
                }
            }
            self.server.answer(self.now);
            for client in 0..self.clients.len() {
                while let Some(message) = self.clients[client].session.poll_send() {
                    is_idle = false;
                    self.send(client, message);
                }
            }
            if is_idle {
                return;
            }
        }
    }

    /// Hands the server what a client says.
    pub(crate) fn send(&mut self, client: usize, message: ClientMessage) {
        let entry = &mut self.clients[client];
        entry.sent.push(message.clone());
        if let Some(link) = entry.link.filter(|_| !entry.is_deaf) {
            let identity = entry.config.identity.public();
            self.server.receive(self.now, link, identity, message);
        }
    }

    fn arrive(&mut self, link: u64, message: ServerMessage) {
        let Some(client) = self.clients.iter_mut().find(|client| client.link == Some(link)) else { return };
        if client.is_held {
            client.held.push(message);
        } else {
            assert_eq!(client.session.receive(message, root_key().public()), Ok(()));
        }
    }

    fn close(&mut self, link: u64) {
        if let Some(client) = self.clients.iter_mut().find(|client| client.link == Some(link)) {
            client.link = None;
            client.session.disconnected("closed".into());
        }
    }
}
