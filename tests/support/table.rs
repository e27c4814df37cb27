//! A match whose turns the test plays one by one.

use cadastre_client::{Client, Event};
use cadastre_protocol::{BlockHash, BlockKind, Chain, EnterAs, Height, Motion, RoomSpec, Turn};
use tokio::task::JoinSet;

use super::{Server, soon};

/// The players of a match. None of them may lose its connection.
pub(crate) struct Table {
    room: String,
    players: Vec<Player>,
}

/// A player and what it saw.
pub(crate) struct Player {
    client: Client,
    seen: Vec<(Height, BlockHash)>,
    resigns: bool,
}

impl Table {
    /// Opens a room for as many as it needs; returns when the first turn is open.
    pub(crate) async fn open(server: &Server, room: &str, spec: RoomSpec) -> Self {
        let client = |who| server.client(who, room, EnterAs::Player, Some(spec.clone()));
        let players = (0..spec.seats_min).map(client).map(Player::new).collect();
        let mut table = Self { room: room.to_owned(), players };
        table.everybody_sees("the match begins", |kind| *kind == BlockKind::Start).await;
        table
    }

    pub(crate) fn room(&self) -> &str {
        &self.room
    }

    /// The match as a player has verified it.
    pub(crate) fn chain(&self) -> &Chain {
        chain_of(&self.players[0].client)
    }

    /// Plays one turn.
    pub(crate) async fn turn(&mut self) -> Turn {
        self.everybody_sees("the turn is closed", |kind| *kind == BlockKind::Turn).await;
        self.chain().head().turn
    }

    /// Plays to the end of the match.
    pub(crate) async fn finish(&mut self) {
        while self.chain().seal_due().is_none() {
            self.turn().await;
        }
        self.everybody_sees("the match ends", BlockKind::seals).await;
    }

    /// The first player gives up, and with two of them the match is over.
    pub(crate) async fn resign(&mut self) {
        self.players[0].resigns = true;
        self.everybody_sees("the match ends", BlockKind::seals).await;
    }

    /// All want another match; returns when its first turn is open.
    pub(crate) async fn rematch(&mut self) {
        self.players.iter_mut().for_each(|player| player.client.rematch().unwrap());
        self.everybody_sees("the next match begins", |kind| *kind == BlockKind::Start).await;
    }

    pub(crate) fn players(&self) -> &[Player] {
        &self.players
    }

    /// Lets all play until each has seen such a block.
    async fn everybody_sees(&mut self, what: &str, is_it: fn(&BlockKind) -> bool) {
        let mut playing = JoinSet::new();
        for mut player in self.players.drain(..) {
            playing.spawn(async move {
                player.play_until(is_it).await;
                player
            });
        }
        self.players = soon(what, playing.join_all()).await;
    }
}

impl Player {
    pub(crate) const fn new(client: Client) -> Self {
        Self { client, seen: Vec::new(), resigns: false }
    }

    /// The last turn whose block it saw.
    pub(crate) fn turn(&self) -> u32 {
        chain_of(&self.client).head().turn.get()
    }

    /// The blocks that it saw.
    pub(crate) fn seen(&self) -> &[(Height, BlockHash)] {
        &self.seen
    }

    /// Wants to go back to a turn, and does nothing else until all do.
    pub(crate) async fn take_back(&mut self, to_turn: Turn) {
        self.client.propose_takeback(to_turn).unwrap();
        loop {
            if let Event::Block { head, kind, .. } = self.client.next().await.unwrap() {
                assert_eq!(kind, BlockKind::Takeback { to_turn });
                return self.seen.push((head.height, head.block));
            }
        }
    }

    /// Wants all to agree on something, and does nothing else until there is a block.
    pub(crate) async fn move_that(&mut self, motion: Motion) -> BlockKind {
        self.client.propose(motion).unwrap();
        loop {
            if let Event::Block { head, kind, .. } = self.client.next().await.unwrap() {
                self.seen.push((head.height, head.block));
                return kind;
            }
        }
    }

    /// Plays until it has seen such a block.
    pub(crate) async fn play_until(&mut self, is_it: fn(&BlockKind) -> bool) {
        loop {
            match self.client.next().await.unwrap() {
                Event::YourTurn { .. } if self.resigns => {
                    self.client.resign().unwrap();
                }
                Event::YourTurn { .. } => submit_suggested(&mut self.client),
                Event::Block { head, kind, desynced, .. } => {
                    assert!(desynced.is_empty());
                    self.seen.push((head.height, head.block));
                    if is_it(&kind) {
                        return;
                    }
                }
                Event::Connected { .. }
                | Event::Lobby(_)
                | Event::Match { .. }
                | Event::Joined { .. }
                | Event::Shown { .. }
                | Event::CaughtUp
                | Event::Relayed(_)
                | Event::Takeback { .. }
                | Event::Rematch { .. }
                | Event::Motion { .. }
                | Event::Mispredicted(_)
                | Event::Seated { .. }
                | Event::Undrafted { .. }
                | Event::Receipt(_)
                | Event::Said { .. }
                | Event::Conversing
                | Event::TalkMissed { .. }
                | Event::Notice(_)
                | Event::Ended { .. } => {}
                disturbance @ (Event::Lost { .. }
                | Event::Refused { .. }
                | Event::Failed(_)
                | Event::Evidence(_)
                | Event::Desync(_)
                | Event::Goodbye { .. }
                | Event::NotSaid { .. }
                | Event::TalkBroken { .. }
                | Event::Limited { .. }) => panic!("a player was disturbed: {disturbance:?}"),
            }
        }
    }
}

/// The match as a client has verified it.
pub(crate) fn chain_of(client: &Client) -> &Chain {
    client.session().follower().expect("the match is known").chain()
}

/// Commands what the game suggests.
pub(crate) fn submit_suggested(client: &mut Client) {
    let (follower, seat) = client.session().follower().zip(client.session().seat()).expect("it plays");
    let commands = follower.game().simulation().suggest(seat);
    client.submit(commands).unwrap();
}
