//! The room: who is in it, and which phase it is in.

mod admission;
mod beginning;
mod seating;

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use cadastre_protocol::{
    Access, BlockError, Chain, ChainSecret, ChainState, CompareAnswer, CompareRequest, Conversation,
    DisplayName, EnterAs, Genesis, GenesisError, HashChain, Height, MatchId, Millis, Parent, ProvenBlock,
    ProvenHeader, ProvenReceipt, PublicKey, Randomness, Refusal, RoomName, RoomSpec, RulesId, Seat, SeatSet,
    ServerMessage, SignedCertificate, SignedTalk, SignedTransaction, Turn, encode,
};
use cadastre_simulations::{Game, Snapshot};

use crate::{
    guests::Guests,
    input::{Event, GuestId, Input, Output, Record, Shown},
    lobby::{Joining, Seats},
    playing::{Judged, Playing, Released},
    talk::{Heard, Talking},
};

/// Time that the players have to send their Joins after the lobby was frozen, in milliseconds.
pub const JOIN_MS_MAX: u64 = 10_000;

/// Turns between two keyframes of a running match in the store.
pub const KEYFRAME_TURNS: u32 = 64;

/// What a room needs to know of the service it is in.
#[derive(Clone, Debug)]
pub struct Host {
    /// The service's root key.
    pub root: PublicKey,
    /// Certificate of the block signer.
    pub signer: SignedCertificate,
    /// Unpredictable bytes, other ones for each room: they make match ids unique.
    pub entropy: [u8; 32],
    /// Deadline of turns where the room's settings have none, in milliseconds.
    pub deadline_ms: u32,
    /// Most spectators in the room.
    pub spectators_max: usize,
    /// From this the hash chains of the room's matches are derived, by the nonces of their genesis.
    pub chain_secret: ChainSecret,
}

impl Host {
    /// The server's hash chain in the match of `genesis`, if it has them.
    fn hash_chain(&self, genesis: &Genesis) -> Option<HashChain> {
        match (&genesis.randomness, genesis.turns.turns_max) {
            (Randomness::CommitReveal { .. }, Some(turns)) => {
                Some(self.chain_secret.chain(genesis.nonce, turns))
            }
            (Randomness::None, _) | (Randomness::CommitReveal { .. }, None) => None,
        }
    }
}

/// What the store has of a match that was running.
#[derive(Debug)]
pub struct Restored {
    /// Up to the last block on disk, every block after the keyframe checked.
    pub chain: Chain,
    /// In the state after that block.
    pub game: Game,
    /// How the players are called, by seat.
    pub names: Vec<DisplayName>,
    /// Who may come in, and who hears of it.
    pub access: Access,
    /// Accepted transactions of the open turn, in the order of their acceptance.
    pub accepted: Vec<(Millis, SignedTransaction, ProvenReceipt)>,
    /// What was said at the match.
    pub conversation: Conversation,
    /// The newest block that those who watch may know of, and those after it; none if they may know of all.
    pub newest: Vec<ProvenBlock>,
    /// The state that it began with, if it is a fork.
    pub first: Option<Arc<Snapshot>>,
}

/// What a fork goes on from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The block of the other match.
    pub parent: Parent,
    /// The rules of that match.
    pub rules: RulesId,
    /// The state after the block.
    pub state: Snapshot,
}

/// A place where players meet and one match runs.
#[derive(Debug)]
pub struct Room {
    name: RoomName,
    host: Host,
    access: Access,
    phase: Phase,
    guests: Guests,
    talking: Talking,
    outputs: VecDeque<Output>,
    /// The state that a fork begins with.
    first: Option<Arc<Snapshot>>,
    /// Who wants another match, when one is over.
    rematch: BTreeSet<PublicKey>,
    /// The latest time there was.
    latest: Millis,
}

#[derive(Debug)]
enum Phase {
    Lobby(Box<Seats>),
    Joining(Box<Joining>),
    Playing(Box<Playing>),
    /// The room made a block that it does not accept itself. It stands still rather than fork the chain.
    Broken,
}

impl Room {
    /// Opens a room. `None` when this build cannot play what `spec` asks for, which is no fork.
    pub fn open(name: RoomName, host: Host, spec: RoomSpec) -> Option<Self> {
        let seats = Seats::new(spec).filter(|seats| seats.spec().fork.is_none())?;
        Some(Self::with_seats(name, host, seats))
    }

    /// Opens a room whose match goes on from another one. `None` when this build cannot play what `spec` asks for, or not
    /// by the rules of the other match.
    pub fn fork(name: RoomName, host: Host, spec: RoomSpec, origin: Origin) -> Option<Self> {
        let Origin { parent, rules, state } = origin;
        let seats = Seats::of_fork(spec, parent, &rules)?;
        Some(Self { first: Some(Arc::new(state)), ..Self::with_seats(name, host, seats) })
    }

    fn with_seats(name: RoomName, host: Host, seats: Seats) -> Self {
        let access = seats.spec().access;
        Self::with_phase(name, host, access, Phase::Lobby(Box::new(seats)))
    }

    /// Opens the room of a match that was running when the server went away. The open turn gets a new
    /// deadline by a Reopen block; where the match has another block signer than the host, a KeyChange
    /// comes before it.
    ///
    /// # Errors
    ///
    /// What the store had contradicts itself, or the chain secret is another than when the match began.
    pub fn restore(
        name: RoomName,
        host: Host,
        restored: Restored,
        now: Millis,
    ) -> Result<Self, GenesisError> {
        let (mut room, now) = Self::with_match(name, host, restored, now)?;
        let signer = room.host.signer.clone();
        room.play(now, |playing| playing.go_on(&signer, now));
        Ok(room)
    }

    /// Opens the room of a match that slept ([`Room::sleeps_until`]). The open turn keeps its deadline, and is
    /// closed if that has come; where the match has another block signer than the host, a KeyChange comes before.
    ///
    /// # Errors
    ///
    /// As [`Room::restore`].
    pub fn wake(name: RoomName, host: Host, restored: Restored, now: Millis) -> Result<Self, GenesisError> {
        let (mut room, now) = Self::with_match(name, host, restored, now)?;
        let signer = room.host.signer.clone();
        room.play(now, |playing| {
            let mut records = playing.wake(&signer, now)?;
            records.extend(playing.close_turns(SeatSet::EMPTY, now)?);
            Ok(records)
        });
        Ok(room)
    }

    fn with_match(
        name: RoomName,
        host: Host,
        restored: Restored,
        now: Millis,
    ) -> Result<(Self, Millis), GenesisError> {
        let hash_chain = host.hash_chain(restored.chain.genesis());
        let (access, talking) = (restored.access, Talking::goes_on(restored.conversation.clone()));
        let first = restored.first.clone();
        let playing = Playing::restore(restored, hash_chain, now)?;
        let now = now.max(playing.latest());
        let phase = Phase::Playing(Box::new(playing));
        Ok((Self { latest: now, first, talking, ..Self::with_phase(name, host, access, phase) }, now))
    }

    fn with_phase(name: RoomName, host: Host, access: Access, phase: Phase) -> Self {
        let (guests, outputs) = (Guests::default(), VecDeque::new());
        let talking = Talking::in_lobby(&host, &name, None);
        let (first, rematch, latest) = (None, BTreeSet::new(), Millis::default());
        Self { name, host, access, phase, guests, talking, outputs, first, rematch, latest }
    }

    /// Feeds one input. Then call [`Room::poll`] until it returns `None`, carrying out each output in order,
    /// before the next call.
    pub fn handle(&mut self, now: Millis, input: Input) {
        // The machine's clock may be set back. That of a room stands still meanwhile: no block may be older
        // than what is in it.
        self.latest = self.latest.max(now);
        let now = self.latest;
        match input {
            Input::Enter { guest, identity, enter_as, name, shown } => {
                self.part_with_idle(now);
                let lent = self.lent_by(identity, enter_as, shown.as_deref());
                match self.open_door(now, (identity, enter_as), lent, shown.as_deref()) {
                    Ok(()) => self.enter(guest, (identity, enter_as), lent, name),
                    Err(failure) => self.outputs.push_back(Output::Refuse { guest, failure }),
                }
            }
            Input::Resume { guest, identity, enter_as, height, known, shown } => {
                self.part_with_idle(now);
                let lent = self.lent_by(identity, enter_as, shown.as_deref());
                match self.open_door(now, (identity, enter_as), lent, shown.as_deref()) {
                    Ok(()) => self.resume(guest, (identity, enter_as), lent, (height, known)),
                    Err(failure) => self.outputs.push_back(Output::Refuse { guest, failure }),
                }
            }
            Input::Ready { guest, ready, chain } => self.ready(now, guest, ready, chain),
            Input::Submit { guest, transaction } => self.submit(now, guest, transaction),
            Input::Compare { guest, request } => self.compare(guest, request),
            Input::Say { guest, talk } => self.say(now, guest, talk),
            Input::GoOn { guest, after } => self.go_on(guest, after),
            Input::Rematch { guest } => self.rematch(guest),
            Input::Leave { guest } => self.leave(now, guest),
            Input::Committed { proofs } => {
                if let Phase::Playing(playing) = &mut self.phase {
                    let released = playing.committed(proofs, now);
                    released.into_iter().for_each(|released| self.tell(released));
                    self.wake_for_the_curtain(now);
                    self.send_substitutes_home();
                }
                self.begin_again();
            }
            Input::Timeout => self.timeout(now),
            Input::End => self.play(now, |playing| playing.end(now)),
        }
    }

    /// The next thing to do; `None` when all is done.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The match that is played, or about to begin.
    pub fn genesis(&self) -> Option<&Genesis> {
        match &self.phase {
            Phase::Lobby(_) | Phase::Broken => None,
            Phase::Joining(joining) => Some(joining.chain.genesis()),
            Phase::Playing(playing) => Some(playing.chain.genesis()),
        }
    }

    /// The chain of a match that has begun.
    pub fn chain(&self) -> Option<&Chain> {
        match &self.phase {
            Phase::Playing(playing) => Some(&playing.chain),
            Phase::Lobby(_) | Phase::Joining(_) | Phase::Broken => None,
        }
    }

    /// Height of the block at which a running match can be joined by a snapshot at the moment.
    pub fn joinable_at(&self) -> Option<Height> {
        match &self.phase {
            Phase::Playing(playing) => playing.joinable().map(|state| state.head().height),
            Phase::Lobby(_) | Phase::Joining(_) | Phase::Broken => None,
        }
    }

    /// Chain and game as they stand where [`Room::joinable_at`] says.
    pub fn snapshot(&self) -> Option<(ChainState, Snapshot)> {
        match &self.phase {
            Phase::Playing(playing) => playing.snapshot(),
            Phase::Lobby(_) | Phase::Joining(_) | Phase::Broken => None,
        }
    }

    /// What light spectators may see of a match whose newest block, this one, is on disk; `None` for another one.
    pub fn shown(&self, block: ProvenHeader) -> Option<Shown> {
        match &self.phase {
            Phase::Playing(playing) => playing.shown(block),
            Phase::Lobby(_) | Phase::Joining(_) | Phase::Broken => None,
        }
    }

    /// How far those who watch may know that a running match has come.
    pub fn watched_to(&self) -> Option<(Turn, Height)> {
        match &self.phase {
            Phase::Playing(playing) => Some(playing.curtain.open()),
            Phase::Lobby(_) | Phase::Joining(_) | Phase::Broken => None,
        }
    }

    /// Is the match over, and all of it on disk?
    pub fn is_over(&self) -> bool {
        match &self.phase {
            Phase::Playing(playing) => playing.chain.sealed().is_some() && playing.is_settled(),
            Phase::Broken => true,
            Phase::Lobby(_) | Phase::Joining(_) => false,
        }
    }

    /// Does somebody who is there want another match, now that one is over?
    pub fn is_wanted_again(&self) -> bool {
        !self.rematch.is_empty()
    }

    /// Until when nothing happens in the room if nobody comes: a match runs, all of it is on disk, and nobody is
    /// there. Then the room can be dropped, and opened again by [`Room::wake`]. Not as long as there is something to tell
    /// those who watch when its time has come: lists say it too.
    pub fn sleeps_until(&self) -> Option<Millis> {
        let Phase::Playing(playing) = &self.phase else { return None };
        let is_quiet = playing.is_settled() && playing.curtain.due().is_none();
        let is_idle = self.guests.is_empty() && self.outputs.is_empty() && is_quiet;
        playing.closes_at().filter(|_| is_idle)
    }

    /// What the room is to play, while it is in the lobby.
    pub fn spec(&self) -> Option<&RoomSpec> {
        match &self.phase {
            Phase::Lobby(seats) => Some(seats.spec()),
            Phase::Joining(joining) => Some(joining.seats.spec()),
            Phase::Playing(_) | Phase::Broken => None,
        }
    }

    /// Who may come in, and who hears of the room.
    pub const fn access(&self) -> Access {
        self.access
    }

    /// How many seats the room has.
    pub fn seat_count(&self) -> u8 {
        let of_genesis = self.genesis().map(Genesis::seat_count);
        of_genesis.or_else(|| self.spec().map(|spec| spec.seats)).unwrap_or(0)
    }

    /// How many seats of the match are still to be taken. One that somebody takes in the open turn is not: there
    /// is nothing to come for, though no block says so yet.
    pub fn open_seats(&self) -> u32 {
        match &self.phase {
            Phase::Playing(playing) if playing.chain.sealed().is_none() => playing.open_seats().len(),
            Phase::Lobby(_) | Phase::Joining(_) | Phase::Playing(_) | Phase::Broken => 0,
        }
    }

    /// How many players are in the room now.
    pub fn seats_taken(&self) -> usize {
        self.guests.players_len()
    }

    /// Has nobody come yet, or have all gone again, before a match began?
    pub fn is_deserted(&self) -> bool {
        matches!(self.phase, Phase::Lobby(_)) && self.guests.is_empty()
    }

    /// Is a match played of which those who watch do not know all yet?
    fn is_withholding(&self) -> bool {
        matches!(&self.phase, Phase::Playing(playing) if playing.curtain.is_drawn())
    }

    fn submit(&mut self, now: Millis, guest: GuestId, transaction: SignedTransaction) {
        // Whoever was parted with is not mentioned again.
        let Some(entry) = self.guests.get(guest) else { return };
        let (hash, present) = (transaction.hash(), self.present());
        match (self.judge(entry, transaction.clone(), now), &mut self.phase) {
            (Ok(Judged::New(admission)), Phase::Joining(joining)) => {
                if joining.accept(*admission) {
                    self.begin(now);
                }
            }
            (Ok(Judged::New(admission)), _) => {
                self.play(now, |playing| playing.accept(*admission, present, now));
            }
            (Ok(Judged::Again(Some(receipt))), _) => self.send(guest, ServerMessage::Receipt(receipt)),
            (Ok(Judged::Again(None)), _) => {}
            (Err(refusal), _) => {
                self.outputs.push_back(Output::Observed(Event::Refused { guest, kind: kind_of(&refusal) }));
                let may_cheat = matches!(refusal, Refusal::Chain(_));
                self.send(guest, ServerMessage::Refused { transaction: hash, refusal });
                if let (true, Ok(second)) = (may_cheat, transaction.read()) {
                    self.play(now, |playing| playing.charge(second, now));
                }
            }
        }
    }

    /// Refuses in the order of [`Refusal`]'s variants; a player in the lobby holds no seat of any match, and
    /// is told that there is none.
    fn judge(
        &self,
        (enter_as, identity): (EnterAs, PublicKey),
        transaction: SignedTransaction,
        now: Millis,
    ) -> Result<Judged, Refusal> {
        let read = transaction.read().map_err(|_| Refusal::Malformed)?;
        if enter_as != EnterAs::Player {
            return Err(Refusal::NotYourSeat);
        }
        if self.genesis().is_none() {
            return Err(Refusal::NoMatch);
        }
        if !self.may_submit(identity, read.get()) {
            return Err(Refusal::NotYourSeat);
        }
        match &self.phase {
            Phase::Joining(joining) => joining.judge(read, now),
            Phase::Playing(playing) => playing.judge(read, now),
            Phase::Lobby(_) | Phase::Broken => Err(Refusal::NoMatch),
        }
    }

    fn compare(&mut self, guest: GuestId, request: CompareRequest) {
        let Some((enter_as, _)) = self.guests.get(guest) else { return };
        let Phase::Playing(playing) = &mut self.phase else {
            return self.send(guest, ServerMessage::Compared(CompareAnswer::Unknown));
        };
        let is_player = enter_as == EnterAs::Player;
        if !is_player && playing.curtain.is_drawn() {
            return self.send(guest, ServerMessage::Compared(CompareAnswer::Unknown));
        }
        let (answers, incident) = playing.compare((guest, is_player), request);
        if let Some(incident) = incident {
            let (seat, incident) = (self.seat_of_guest(guest), Box::new(incident));
            self.outputs.push_back(Output::Observed(Event::Diverged { guest, seat, incident }));
        }
        answers.into_iter().for_each(|answer| self.send(guest, ServerMessage::Compared(answer)));
    }

    fn say(&mut self, now: Millis, guest: GuestId, talk: SignedTalk) {
        let Some((_, identity)) = self.guests.get(guest) else { return };
        let name = talk.hash();
        match self.talking.judge(talk, identity, self.may_speak(identity)) {
            Ok(Heard::New(checked)) => {
                let line = self.talking.say(*checked, now);
                self.outputs.push_back(Output::Observed(Event::Said));
                match &self.phase {
                    Phase::Playing(_) => self.play(now, |_| Ok(vec![Record::Said(line)])),
                    // Lobbies do not outlive the service, nor does what is said in them.
                    Phase::Lobby(_) | Phase::Joining(_) | Phase::Broken => self.tell(Released::Line(line)),
                }
            }
            Ok(Heard::Again) => {}
            Err(refusal) => {
                let kind = refusal.kind();
                self.outputs.push_back(Output::Observed(Event::NotSaid { guest, kind }));
                self.send(guest, ServerMessage::NotSaid { talk: name, refusal });
            }
        }
    }

    /// Whoever sees everything and plays for no seat does not prompt those who do.
    fn may_speak(&self, identity: PublicKey) -> bool {
        match &self.phase {
            Phase::Playing(playing) => {
                let chain = &playing.chain;
                chain.sealed().is_some()
                    || self.seat_of(identity).is_some()
                    || playing.is_substitute(identity)
            }
            Phase::Lobby(_) | Phase::Joining(_) | Phase::Broken => true,
        }
    }

    fn leave(&mut self, now: Millis, guest: GuestId) {
        if let Phase::Playing(playing) = &mut self.phase {
            playing.forget(guest);
        }
        let Some((EnterAs::Player, identity)) = self.guests.remove(guest) else { return };
        self.rematch.remove(&identity);
        match &mut self.phase {
            Phase::Lobby(seats) => {
                seats.rise(identity);
                // The others may have waited for this one only; they join only what they saw in the lobby.
                let may_begin = seats.all_ready();
                self.announce_lobby();
                if may_begin {
                    self.freeze(now);
                }
            }
            Phase::Joining(joining) if joining.seats.is_seated(identity) => {
                joining.seats.rise(identity);
                self.unfreeze();
            }
            Phase::Joining(_) => {}
            // The seat stays its holder's, and its time runs.
            Phase::Playing(playing) => playing.part_with(identity),
            Phase::Broken => {}
        }
    }

    fn timeout(&mut self, now: Millis) {
        match &self.phase {
            Phase::Lobby(_) | Phase::Broken => {}
            Phase::Joining(joining) if now < joining.until => {
                self.outputs.push_back(Output::WakeAt(joining.until));
            }
            Phase::Joining(_) => self.part_with_silent(),
            Phase::Playing(_) => {
                self.lift_curtain(now);
                let present = self.present();
                self.play(now, |playing| playing.close_turns(present, now));
            }
        }
    }

    /// Does something with the running match, commits what came of it and asks to be woken in time.
    fn play(&mut self, now: Millis, act: impl FnOnce(&mut Playing) -> Result<Vec<Record>, BlockError>) {
        let Phase::Playing(playing) = &mut self.phase else { return };
        match act(playing) {
            Ok(records) => {
                if !records.is_empty() {
                    let records = playing.commit(records);
                    self.outputs.push_back(Output::Commit(records));
                }
                self.outputs.extend(playing.take_events().into_iter().map(Output::Observed));
                if let Some(wakes_at) = playing.wakes_at() {
                    self.outputs.push_back(Output::WakeAt(wakes_at.max(now)));
                }
                self.part_with_idle(now);
            }
            Err(error) => {
                self.phase = Phase::Broken;
                self.outputs.push_back(Output::Observed(Event::Broken { error }));
            }
        }
    }

    /// Tells those who watch what is old enough by now.
    fn lift_curtain(&mut self, now: Millis) {
        let Phase::Playing(playing) = &mut self.phase else { return };
        playing.lift_curtain(now).into_iter().for_each(|released| self.tell(released));
    }

    /// Asks to be woken when the next block can be told to those who watch, or earlier.
    fn wake_for_the_curtain(&mut self, now: Millis) {
        let Phase::Playing(playing) = &self.phase else { return };
        if let Some(wakes_at) = playing.curtain.due().and(playing.wakes_at()) {
            self.outputs.push_back(Output::WakeAt(wakes_at.max(now)));
        }
    }

    fn tell(&mut self, released: Released) {
        match released {
            Released::All(message) => self.tell_all_but(None, message),
            Released::Players(message) => self.broadcast_to(self.players_but(None), message),
            Released::Followers(message) => self.broadcast_to(self.guests.followers().collect(), message),
            Released::CatchUp { after, to } => {
                let followers: Vec<_> = self.guests.followers().collect();
                let told = followers.into_iter().map(|guest| Output::CatchUp { guest, after, to });
                self.outputs.extend(told);
            }
            Released::Shown(shown) => self.outputs.push_back(Output::Show(shown)),
            Released::CurtainUp => {
                let message = self.talking.so_far();
                self.broadcast_to(self.guests.watching().collect(), message);
            }
            Released::Others(seat, message) if self.is_withholding() => {
                self.broadcast_to(self.players_but(Some(seat)), message);
            }
            Released::Others(seat, message) => self.tell_all_but(Some(seat), message),
            Released::Line(line) => {
                let is_withholding = self.is_withholding();
                let message = self.talking.tell(line);
                if is_withholding {
                    return self.broadcast_to(self.players_but(None), message);
                }
                self.broadcast(message);
            }
            Released::Seat(seat, message) => {
                let is_of_seat = |(guest, of)| (self.seat_played_by(of) == Some(seat)).then_some(guest);
                let of_seat: Vec<_> = self.guests.players().filter_map(is_of_seat).collect();
                of_seat.into_iter().for_each(|guest| self.send(guest, message.clone()));
            }
        }
    }

    /// Tells everybody who follows the match, but for the holder of a seat. Light spectators are shown it instead.
    fn tell_all_but(&mut self, seat: Option<Seat>, message: ServerMessage) {
        let to = self.players_but(seat).into_iter().chain(self.guests.followers());
        self.broadcast_to(to.collect(), message);
    }

    fn players_but(&self, seat: Option<Seat>) -> Vec<GuestId> {
        let others =
            self.guests.players().filter(|(_, of)| seat.is_none() || self.seat_played_by(*of) != seat);
        others.map(|(guest, _)| guest).collect()
    }

    fn send(&mut self, to: GuestId, message: ServerMessage) {
        self.outputs.push_back(Output::Send { to, message });
    }

    fn broadcast(&mut self, message: ServerMessage) {
        self.broadcast_to(self.guests.all().collect(), message);
    }

    fn broadcast_to(&mut self, to: Vec<GuestId>, message: ServerMessage) {
        if !to.is_empty() {
            self.outputs.push_back(Output::Broadcast { to, message });
        }
    }

    /// The seats for which somebody is in the room.
    fn present(&self) -> SeatSet {
        self.guests.players().filter_map(|(_, identity)| self.seat_played_by(identity)).collect()
    }
    /// Names the match, if there is one.
    pub fn match_id(&self) -> Option<MatchId> {
        match &self.phase {
            Phase::Lobby(_) | Phase::Broken => None,
            Phase::Joining(joining) => Some(joining.chain.match_id()),
            Phase::Playing(playing) => Some(playing.chain.match_id()),
        }
    }
}

fn genesis_message(chain: &Chain, names: Vec<DisplayName>, begun: bool) -> ServerMessage {
    ServerMessage::Genesis { genesis: encode(chain.genesis()), names, begun }
}

fn kind_of(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Malformed => "malformed",
        Refusal::NotYourSeat => "not-your-seat",
        Refusal::NoMatch => "no-match",
        Refusal::Chain(error) => error.kind(),
        Refusal::Command { .. } => "command",
    }
}
