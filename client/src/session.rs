//! One player or spectator in one match, over any number of connections.

mod action;
mod following;
mod loan;
mod lobby;
mod prediction;
mod talk;

use std::collections::VecDeque;

use cadastre_protocol::{
    BlockHash, BlockKind, ChunkId, ClientMessage, Digest, DisplayName, Door, EnterAs, Evidence, Failure,
    Following, GoodbyeReason, Head, Header, Height, Limit, LineError, Lobby, MatchId, Millis, Motion, Notice,
    OpenTurn, Password, ProvenReceipt, PublicKey, Receipt, ReceiptError, Refusal, Relay, RoomName, RoomSpec,
    SealReason, Seat, SeatSet, SecretKey, ServerMessage, SignedDelegation, SignedInvitation,
    SignedTransaction, Standing, TalkHash, TalkRefusal, Transaction, TransactionError, Turn, TxHash,
    ViewError, Visibility,
};
use cadastre_simulations::Void;

pub use self::{action::SubmitError, loan::LendError};
use self::{action::is_stance, loan::Loan};
use crate::{
    commitments::Commitments,
    draft::{Draft, UndraftCause},
    first_state::FirstState,
    follower::{FollowError, Follower},
    heal::Desync,
    light::{LightFollower, Viewport},
    prediction::Misprediction,
    talk::{Said, Talking},
    witness::Witness,
};

/// Relays and receipts that are held back while states are compared: more than one turn has.
const UNSEEN_MAX: usize = 64;

/// Who takes part, where, and as what.
#[derive(Clone, Debug)]
pub struct Config {
    /// Key of the player or spectator.
    pub identity: SecretKey,
    /// A random key that no other process has. The session keys come of it, so that a process never signs under
    /// a key with which another one of the same player, crashed or forgotten, may have signed something else.
    pub process: SecretKey,
    /// The room.
    pub room: RoomName,
    /// As what.
    pub enter_as: EnterAs,
    /// Shown to the others.
    pub name: DisplayName,
    /// Opens the room with these settings if there is none of its name; behind the password, if there is one in
    /// `credential`.
    pub open: Option<RoomSpec>,
    /// What lets into the room, where not everybody may come in.
    pub credential: Option<Credential>,
}

/// What lets somebody into a room that not everybody may enter.
#[derive(Clone, Debug)]
pub enum Credential {
    /// An invitation by whoever opened it.
    Invitation(SignedInvitation),
    /// Its password.
    Password(Password),
    /// The loan of a seat in its running match, by its holder to the identity of the session, as
    /// [`Session::lend`] signs it. Nobody else may have or have had that identity: under it the
    /// transactions are signed.
    Loan(SignedDelegation),
}

/// What a session has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Logged in on a new connection.
    Connected {
        /// The service's root key: pinned, or to be pinned now.
        root: PublicKey,
    },
    /// The connection is lost. The session goes on with the next one.
    Lost {
        /// Why, for a log.
        reason: String,
    },
    /// The lobby changed.
    Lobby(Lobby),
    /// The match is known. The own seat, if the session has one.
    Match {
        /// Names the match.
        match_id: MatchId,
        /// The own seat.
        seat: Option<Seat>,
    },
    /// A block was verified and executed.
    Block {
        /// The new head.
        head: Head,
        /// What it did.
        kind: BlockKind,
        /// Commands that had no effect.
        voids: Vec<Void>,
        /// Seats that had computed another state.
        desynced: SeatSet,
    },
    /// The own state was another one than a block's. It comes before that block; without being healed, it is
    /// the last event.
    Desync(Box<Desync>),
    /// Everything the server has was verified; what follows is news.
    CaughtUp,
    /// The match waits for the own commands. Repeated after every new connection, until they are handed in.
    YourTurn {
        /// Which turn.
        turn: Turn,
        /// Until when, by the server's clock.
        deadline: Millis,
    },
    /// In a match with open moves, what another seat does in the open turn. It was verified, and has no effect
    /// before the block. Told again on every new connection.
    Relayed(Transaction),
    /// What a seat wants in the open turn, by the server's word: to go back to a turn, or (again) not to. Whether it
    /// wants to, shows when all do: then comes a Takeback block.
    Takeback {
        /// Which seat.
        seat: Seat,
        /// The turn to go back to.
        to_turn: Option<Turn>,
    },
    /// A seat wants another match of the same kind, now that one is over. When all do, [`Event::Lobby`] comes again.
    Rematch {
        /// Which seat.
        seat: Seat,
    },
    /// The server has a transaction of ours on disk.
    Receipt(Receipt),
    /// The server refused a transaction of ours. Nothing else can be handed in for its turn: the turn has what
    /// another process of this identity did, or is over.
    Refused {
        /// Which.
        transaction: TxHash,
        /// Why.
        refusal: Refusal,
    },
    /// The server signed what no honest server signs, or does not know what it signed: keep this.
    Evidence(Box<Evidence>),
    /// The match is over. Told once; nothing of it follows, but for what a light spectator looks at afterwards.
    Ended {
        /// Why.
        reason: SealReason,
        /// How it came out.
        standings: Vec<Standing>,
    },
    /// The match was taken up after a later block: what was played before it was not executed here.
    Joined {
        /// The new head.
        head: Head,
    },
    /// A session that executes nothing was shown a block.
    Shown {
        /// The block's header.
        header: Box<Header>,
    },
    /// The server cannot do what was asked.
    Failed(Failure),
    /// The server closes the connection in good order.
    Goodbye {
        /// Why.
        reason: GoodbyeReason,
        /// Not to come back before, in milliseconds.
        retry_after_ms: u32,
    },
    /// What was said last is beyond a limit of the server. End the connection; the session says it again on the
    /// next one.
    Limited {
        /// Which limit.
        limit: Limit,
        /// Not to come back before, in milliseconds.
        retry_after_ms: u32,
    },
    /// What [`Session::predicted`] showed last of a turn did not come true. It comes before the block.
    /// Nothing is said of a turn that is taken back while it is open.
    Mispredicted(Box<Misprediction>),
    /// After a block, commands were taken out of the draft.
    Undrafted {
        /// As they were added.
        commands: Vec<u8>,
        /// Why.
        cause: UndraftCause,
    },
    /// From now on something can be said: in the lobby first, then at the match. What was said there follows.
    Conversing,
    /// Somebody said something, lately or before the session came. Not told of those who are muted.
    Said {
        /// Who holds this seat; `None` for others.
        seat: Option<Seat>,
        /// Who, what, and when.
        said: Said,
    },
    /// Something that this session said was not passed on.
    NotSaid {
        /// What.
        talk: TalkHash,
        /// Why.
        refusal: TalkRefusal,
    },
    /// So many lines were said before the next one that is told, and cannot be had any more.
    TalkMissed {
        /// How many.
        lines: u64,
    },
    /// The server told what nobody can have said there, or something else than before. Nothing more is told of the
    /// conversation until the next connection; the match goes on.
    TalkBroken {
        /// What is wrong.
        error: LineError,
    },
    /// The server has something to say to everybody.
    Notice(Notice),
    /// What a seat said last that it wants in the open turn, by the server's word; [`Motion::Nothing`] takes back what
    /// it wanted before. What all want shows by a block: a Reopen for a pause, a Seal for an agreed end. Told again
    /// on every new connection.
    Motion {
        /// Which seat.
        seat: Seat,
        /// What it wants.
        motion: Motion,
    },
    /// From now on the session plays for this seat, which was lent or open; or for none any more.
    Seated {
        /// The seat.
        seat: Option<Seat>,
    },
}

/// A session. Feed it the server's messages; ask it for messages to send and for events.
#[derive(Debug)]
pub struct Session {
    config: Config,
    /// Names the connection at hand.
    session: Digest,
    /// What the room's password comes to.
    room_key: Option<SecretKey>,
    follower: Option<Follower>,
    /// Of a session that executes nothing, in the place of `follower`.
    light: Option<Box<LightFollower>>,
    viewport: Viewport,
    /// What the server was asked for on this connection, while there is no match to look at.
    asked: VecDeque<Vec<ChunkId>>,
    /// The genesis of a fork has come, and its state has not.
    awaited: Option<FirstState>,
    seat: Option<Seat>,
    /// The seat that a holder has lent.
    loan: Option<Loan>,
    /// The last lobby on this connection.
    agreed: Option<Lobby>,
    /// Signed for the open turn, until a block closes it. Signed once, refused or not: what is sent again is
    /// the same bytes.
    pending: Vec<SignedTransaction>,
    /// The server has refused the action that is pending. It may still take it on another connection.
    refused: bool,
    /// Commands for the open turn that are not signed yet.
    draft: Draft,
    commitments: Commitments,
    /// What others do in the open turn, in a match with open moves.
    relayed: Option<OpenTurn>,
    /// What came while the own state was not the right one, and needs blocks that wait for it.
    unseen: VecDeque<Unseen>,
    witness: Witness,
    talking: Talking,
    caught_up: bool,
    following: Following,
    /// The server does not know the own head. Its blocks are only looked at for what contradicts it.
    lost: bool,
    /// The match is over, and another one is wanted.
    wants_rematch: bool,
    opened: bool,
    /// It was said on this connection that no seat is left.
    none_left: bool,
    outbox: VecDeque<ClientMessage>,
    events: VecDeque<Event>,
    #[cfg(feature = "faults")]
    fault: Option<crate::Fault>,
}

/// Something that the open turn has to be known for.
#[derive(Debug)]
enum Unseen {
    Relay(Relay),
    Receipt(ProvenReceipt),
}

impl Session {
    /// A session that has not been connected yet.
    pub fn new(config: Config) -> Self {
        let loan = Loan::of(config.credential.as_ref());
        Self {
            commitments: Commitments::new(*config.process.public().as_bytes()),
            relayed: None,
            unseen: VecDeque::new(),
            config,
            session: Digest::ZERO,
            room_key: None,
            follower: None,
            light: None,
            viewport: Viewport::All,
            asked: VecDeque::new(),
            awaited: None,
            seat: None,
            loan,
            agreed: None,
            pending: Vec::new(),
            refused: false,
            draft: Draft::default(),
            witness: Witness::default(),
            talking: Talking::default(),
            caught_up: false,
            following: Following::Blocks,
            lost: false,
            wants_rematch: false,
            opened: false,
            none_left: false,
            outbox: VecDeque::new(),
            events: VecDeque::new(),
            #[cfg(feature = "faults")]
            fault: None,
        }
    }

    /// Says how to be told of what was missed, from the next connection on; if nothing is said, by every block.
    pub const fn follow(&mut self, following: Following) {
        self.following = following;
    }

    /// Changes a tile in one turn of the match, running or yet to begin.
    #[cfg(feature = "faults")]
    pub fn inject(&mut self, fault: crate::Fault) {
        self.fault = Some(fault);
        if let Some(follower) = &mut self.follower {
            follower.fault = Some(fault);
        }
    }

    /// The client is logged in on a new connection, to the service with the key `root`, in the session of this name.
    /// With a password, the first time takes a hundredth of a second.
    pub fn connected(&mut self, root: PublicKey, session: Digest) {
        self.session = session;
        if let (Some(Credential::Password(password)), None) = (&self.config.credential, &self.room_key) {
            self.room_key = Some(password.key(root, &self.config.room));
        }
        self.events.push_back(Event::Connected { root });
        self.outbox.clear();
        self.caught_up = false;
        self.agreed = None;
        self.awaited = None;
        self.asked.clear();
        self.lost = false;
        self.refused = false;
        self.none_left = false;
        // The server tells the open turn again.
        self.relayed = None;
        self.unseen.clear();
        if self.following != Following::Blocks || self.is_light() {
            self.outbox.push_back(ClientMessage::Follow { following: self.following, packed: true });
        }
        if self.viewport != Viewport::All {
            self.say_viewport();
        }
        match self.head() {
            Some((match_id, height, block)) => {
                let (enter_as, pass) = (self.config.enter_as, self.pass());
                self.outbox.push_back(ClientMessage::Resume { match_id, enter_as, height, block, pass });
            }
            None => self.enter(),
        }
    }

    fn is_light(&self) -> bool {
        self.config.enter_as == EnterAs::Light
    }

    /// The newest block that was shown.
    fn head(&self) -> Option<(MatchId, Height, BlockHash)> {
        let of_chain = self.follower.as_ref().map(|follower| {
            let head = follower.chain().head();
            (follower.chain().match_id(), head.height, head.block)
        });
        let light = self.light.as_deref().map(LightFollower::head);
        let head = of_chain.or_else(|| light.map(|head| (head.match_id(), head.height(), head.block())));
        head.filter(|(_, height, _)| *height > Height::GENESIS)
    }

    /// Watches this part of the state from now on, in a session that enters as [`EnterAs::Light`].
    pub fn watch(&mut self, viewport: Viewport) {
        self.viewport = viewport;
        self.say_viewport();
    }

    /// Asks for what is to be watched, once it is known which chunks that is.
    fn say_viewport(&mut self) {
        let Some(light) = &mut self.light else { return };
        let chunks = self.viewport.chunks(light);
        light.want(chunks.as_deref());
        self.outbox.push_back(ClientMessage::Watch(chunks));
    }

    /// The connection is lost. What was signed for the open turn is kept, and sent again on the next one.
    pub fn disconnected(&mut self, reason: String) {
        self.outbox.clear();
        self.caught_up = false;
        if let Some(light) = &mut self.light {
            light.disconnected();
        }
        self.talking.disconnected();
        if let Some(follower) = &mut self.follower {
            let peaks = follower.chain().history_peaks().to_vec();
            if let Some(healed) = follower.disconnected() {
                self.healed(peaks, *healed);
            }
        }
        self.events.push_back(Event::Lost { reason });
    }

    /// Was a block shown? From then on this session knows one match only, and nothing makes it forget that.
    fn has_blocks(&self) -> bool {
        self.head().is_some()
    }

    /// Takes a message of the server at `root`.
    ///
    /// # Errors
    ///
    /// The server broke the protocol, forged something, or lost its history. Do not go on with it.
    pub fn receive(&mut self, message: ServerMessage, root: PublicKey) -> Result<(), SessionError> {
        match message {
            ServerMessage::Accept { .. } => return Err(SessionError::Unexpected),
            ServerMessage::Created { .. } | ServerMessage::Lobby(_) | ServerMessage::Genesis { .. }
                if self.has_blocks() && !self.is_again(&message) =>
            {
                return Err(SessionError::Unexpected);
            }
            ServerMessage::Genesis { genesis, names, .. } if self.is_light() => {
                self.begin_light(&genesis, names, root)?;
            }
            ServerMessage::View(view) => self.shown(|light| light.take(*view))?,
            ServerMessage::Chunks(chunks) if self.is_light() => {
                self.shown(|light| light.take_chunks(chunks))?;
            }
            ServerMessage::Created { .. } => self.enter(),
            ServerMessage::Lobby(lobby) => self.lobby(lobby)?,
            ServerMessage::Genesis { genesis, names, begun } => {
                self.awaited = FirstState::of(&genesis, &names, begun).map_err(SessionError::Follow)?;
                if self.awaited.is_none() {
                    let follower = Follower::begin(&genesis, names, root).map_err(SessionError::Follow)?;
                    self.begin(follower, begun)?;
                }
            }
            ServerMessage::Chunks(chunks) if self.awaited.is_some() => self.first_state(chunks, root)?,
            ServerMessage::Rematch { seat } => self.events.push_back(Event::Rematch { seat }),
            ServerMessage::Block(block) => self.block(&block)?,
            ServerMessage::Compared(answer) => self.compared(answer)?,
            ServerMessage::Snapshot(point) => self.join(*point)?,
            ServerMessage::Chunks(chunks) => self.join_chunks(chunks)?,
            ServerMessage::Packed(_) => return Err(SessionError::Unexpected),
            ServerMessage::CaughtUp { height } => self.caught_up(height)?,
            ServerMessage::Receipt(receipt) => self.receipt(&receipt)?,
            ServerMessage::Relay(relay) => self.relay(*relay)?,
            ServerMessage::Takeback { seat, to_turn } => {
                self.events.push_back(Event::Takeback { seat, to_turn });
            }
            ServerMessage::Motion { seat, motion } => {
                self.events.push_back(Event::Motion { seat, motion });
            }
            ServerMessage::Refused { transaction, refusal } => {
                // It stays pending. Nothing else could be taken in its place: another process of this identity
                // was faster, or the turn is over; and two bodies for one turn would look like cheating.
                // What a seat wants is bound to no such thing, and would keep the action from its place.
                self.pending.pop_if(|last| last.hash() == transaction && is_stance(last));
                let is_action =
                    |signed: &SignedTransaction| signed.hash() == transaction && !is_stance(signed);
                self.refused |= self.pending.iter().any(is_action);
                self.events.push_back(Event::Refused { transaction, refusal });
            }
            ServerMessage::Failed(failure) => self.failed(failure)?,
            ServerMessage::Ping(number) => self.outbox.push_back(ClientMessage::Pong(number)),
            ServerMessage::Pong(_) => {}
            ServerMessage::Goodbye { reason, retry_after_ms } => {
                self.events.push_back(Event::Goodbye { reason, retry_after_ms });
            }
            ServerMessage::Conversation { place, lines } => self.converse(place, lines, root)?,
            ServerMessage::Said(line) => {
                let heard = self.talking.take(&line);
                self.tell_heard(heard);
            }
            ServerMessage::NotSaid { talk, refusal } => {
                if self.talking.refused(talk) {
                    self.events.push_back(Event::NotSaid { talk, refusal });
                }
            }
            ServerMessage::Notice(notice) => self.events.push_back(Event::Notice(notice)),
            ServerMessage::Limited { limit, retry_after_ms } => {
                self.events.push_back(Event::Limited { limit, retry_after_ms });
            }
        }
        Ok(())
    }

    /// The next message to send.
    pub fn poll_send(&mut self) -> Option<ClientMessage> {
        self.outbox.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The match as far as it was verified.
    pub const fn follower(&self) -> Option<&Follower> {
        self.follower.as_ref()
    }

    /// The match as it was shown, in a session that executes nothing.
    pub fn light(&self) -> Option<&LightFollower> {
        self.light.as_deref()
    }

    /// The own seat.
    pub const fn seat(&self) -> Option<Seat> {
        self.seat
    }

    /// Takes what is shown of a block, and says so if all of it has come.
    fn shown(
        &mut self,
        take: impl FnOnce(&mut LightFollower) -> Result<bool, ViewError>,
    ) -> Result<(), SessionError> {
        let light = self.light.as_mut().ok_or(SessionError::Unexpected)?;
        let before = light.head().height();
        if !take(light).map_err(SessionError::View)? {
            return Ok(());
        }
        let Some(header) = light.head().header() else { return Ok(()) };
        self.events.push_back(Event::Shown { header: Box::new(header.clone()) });
        // Whoever looks at another part of the last block knows already.
        if let (BlockKind::Seal { reason, standings }, true) = (&header.kind, before < header.height) {
            self.events.push_back(Event::Ended { reason: *reason, standings: standings.clone() });
        }
        Ok(())
    }

    /// Says that the match waits for us, if it does.
    fn announce_turn(&mut self) {
        if let Some((turn, deadline)) = self.asked().filter(|_| !self.has_acted()) {
            self.events.push_back(Event::YourTurn { turn, deadline });
        }
    }

    fn receipt(&mut self, proven: &ProvenReceipt) -> Result<(), SessionError> {
        let follower = self.follower.as_ref().ok_or(SessionError::Unexpected)?;
        let receipt = match follower.verify_receipt(proven) {
            // Of a signer that a block puts in force which waits for the own state.
            Err(ReceiptError::WrongSigner) if follower.is_diverged() => {
                self.hold_back(Unseen::Receipt(proven.clone()));
                return Ok(());
            }
            verified => verified.map_err(SessionError::Receipt)?,
        };
        if receipt.match_id != follower.chain().match_id() {
            return Err(SessionError::Unexpected);
        }
        let mut pending = self.pending.iter().filter_map(|signed| signed.clone().read().ok());
        let own = pending.find(|read| read.hash() == receipt.transaction);
        // Another process of this identity may have taken an open seat, which no block says yet.
        let comes = self.seat.is_none() && self.config.enter_as == EnterAs::Player;
        if Some(receipt.seat) != self.seat && !comes {
            return Err(SessionError::Unexpected);
        }
        if own.as_ref().is_some_and(|read| !receipt.is_for(read)) {
            return Err(SessionError::Unexpected);
        }
        self.witness.promised(receipt.turn, own.is_some(), proven.clone());
        self.events.push_back(Event::Receipt(receipt));
        Ok(())
    }

    /// Takes what came while the own state was put right; of the relays, those of the turn that is open now.
    fn see_unseen(&mut self) -> Result<(), SessionError> {
        if self.follower.as_ref().is_some_and(Follower::is_diverged) {
            return Ok(());
        }
        for unseen in std::mem::take(&mut self.unseen) {
            match unseen {
                Unseen::Receipt(receipt) => {
                    // Of a turn that is over by now, its signer may be forgotten.
                    let counts = |follower: &Follower| follower.verify_receipt(&receipt).is_ok();
                    if self.follower.as_ref().is_some_and(counts) {
                        self.receipt(&receipt)?;
                    }
                }
                Unseen::Relay(relay) => {
                    let chain = self.follower.as_ref().map(Follower::chain);
                    let open = chain.and_then(|chain| Some((chain.next_turn()?, chain.head().attempt)));
                    let read = relay.transaction.clone().read().ok();
                    let of = read.map(|read| (read.get().turn, read.get().attempt));
                    if of.is_some() && of == open {
                        self.relay(relay)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn hold_back(&mut self, unseen: Unseen) {
        if self.unseen.len() == UNSEEN_MAX {
            self.unseen.pop_front();
        }
        self.unseen.push_back(unseen);
    }

    /// Checks what another seat does as the verifier will when it stands in a block.
    fn relay(&mut self, Relay { transaction, receipt }: Relay) -> Result<(), SessionError> {
        let follower = self.follower.as_ref().ok_or(SessionError::Unexpected)?;
        if follower.is_diverged() {
            self.hold_back(Unseen::Relay(Relay { transaction, receipt }));
            return Ok(());
        }
        let said = follower.verify_receipt(&receipt).map_err(SessionError::Receipt)?;
        let chain = follower.chain();
        let read = transaction.read().map_err(|_| SessionError::Unexpected)?;
        let is_open = chain.genesis().visibility == Visibility::Open;
        // Of a seat that was lent, the server tells what the holder does meanwhile.
        let is_own = Some(said.seat) == self.seat && self.loan.is_none();
        if !is_open || is_own || !said.is_for(&read) {
            return Err(SessionError::Unexpected);
        }
        self.witness.promised(said.turn, false, receipt);
        let open = self.relayed.get_or_insert_with(|| chain.open_turn());
        let admission = open.check(chain, read, said.received).map_err(SessionError::Relayed)?;
        self.events.push_back(Event::Relayed(admission.transaction().get().clone()));
        open.accept(admission);
        Ok(())
    }

    fn failed(&mut self, failure: Failure) -> Result<(), SessionError> {
        let resumed = self.has_blocks();
        match (failure, &self.config.open) {
            // The room has left the match that is over.
            (Failure::NoSuchMatch | Failure::WrongState, _) if self.wants_rematch => self.enter(),
            (Failure::UnknownHead, _) if resumed && !self.lost && !self.is_light() => {
                self.ask_for_everything();
            }
            // Whoever executes nothing keeps nothing that an operator could be held to.
            (Failure::NoSuchMatch, _) if self.is_light() => self.events.push_back(Event::Failed(failure)),
            (Failure::NoSuchMatch | Failure::UnknownHead, _) if resumed => return Err(self.history_lost()),
            // Somebody else opened the room at the same moment.
            (Failure::RoomExists, Some(_)) if !resumed => {
                self.opened = true;
                self.enter();
            }
            (Failure::NotSeated, Some(_)) if self.opened => {
                self.events.push_back(Event::Failed(failure));
            }
            // No room, or one whose match was another's and is over.
            (Failure::NoSuchRoom | Failure::NotSeated, Some(spec)) if !resumed => {
                self.opened |= failure == Failure::NotSeated;
                let (room, mut spec) = (self.config.room.clone(), spec.clone());
                if let Some(key) = &self.room_key {
                    spec.access.door = Door::ByPassword { key: key.public() };
                }
                self.outbox.push_back(ClientMessage::Create { room, spec });
            }
            _ => self.events.push_back(Event::Failed(failure)),
        }
        Ok(())
    }
}

/// Why a session cannot go on with this server.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// A message that cannot come here.
    #[error("the server sent a message that cannot come here")]
    Unexpected,
    /// Genesis or block does not stand up to verification.
    #[error("the match does not stand up to verification")]
    Follow(#[source] FollowError),
    /// The match that is to begin is not the one that the lobby was about, or the lobby is about no rematch.
    #[error("the match is not the one that the lobby was about, or no rematch")]
    OtherMatch,
    /// The genesis has a hash chain for the own seat that is none of this identity.
    #[error("the match has another's hash chain for the own seat")]
    OtherChain,
    /// What a session that executes nothing is shown does not stand up to verification.
    #[error("what is shown does not stand up to verification")]
    View(#[source] ViewError),
    /// What another seat is said to do cannot stand in the next block.
    #[error("the server relayed a transaction that cannot stand in the next block")]
    Relayed(#[source] TransactionError),
    /// A receipt does not stand up to verification.
    #[error("a receipt does not stand up to verification")]
    Receipt(#[source] ReceiptError),
    /// The server does not have blocks that it once showed to us: it lost or changed its history.
    #[error("the server has lost blocks that it had shown before")]
    HistoryLost,
}
