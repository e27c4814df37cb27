//! The task that runs one room: feeds it inputs and carries out its outputs in order.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use cadastre_protocol::{
    Following, GoodbyeReason, Height, MatchId, Millis, ProvenHeader, RoomName, ServerMessage,
};
use cadastre_rooms::{Event, GuestId, Input, Output, Records, Room};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};
use tracing::{Instrument, info, info_span, warn};

use super::{
    Outbox, Outgoing, RoomInfo, Rooms, Shortcut, Sleeper, ToGuest, ToRoom, gallery::Gallery, outbox::Unsent,
    places::Places, progress, seal_word, shortcut,
};
use crate::{
    clock,
    desyncs::{Bundle, DesyncOf},
    limiter::RoomPlace,
    metrics::Reason,
    store::{Commit, ReadError},
};

/// Time that the room of a match that is over stays open.
const ENDED_ROOM_MS: u64 = 60_000;

/// Time that a lobby without guests stays open.
const EMPTY_LOBBY_MS: u64 = 60 * 60 * 1000;

type Proofs = Vec<cadastre_protocol::ServerProof>;

pub(super) struct RoomTask {
    name: RoomName,
    serial: u64,
    room: Room,
    /// For whom the room counts, as long as its match is not over.
    place: Option<RoomPlace>,
    rooms: Arc<Rooms>,
    info: watch::Sender<RoomInfo>,
    outboxes: BTreeMap<GuestId, Outbox>,
    /// What a fork begins with, as it is sent.
    first_state: Option<Arc<[Outgoing]>>,
    gallery: Arc<Gallery>,
    /// Is what is shown in the gallery passed on?
    is_curated: bool,
    /// Of the match that runs.
    places: Option<Arc<Places>>,
    shortcut: Option<Arc<Shortcut>>,
    /// Bytes of the blocks since the shortcut was made.
    block_bytes: u64,
    /// Guests that read too slowly, and of whom the room is still to be told.
    dropped: Vec<GuestId>,
    /// Commits under way, oldest first.
    commits: VecDeque<oneshot::Receiver<Proofs>>,
    wake: Option<Instant>,
    idle_since: Option<Instant>,
    /// Another room has the name since the match was over: no match begins here any more.
    is_outlived: bool,
}

enum Wakeup {
    Message(Option<ToRoom>),
    Committed(Result<Proofs, oneshot::error::RecvError>),
    Timeout,
    Idle,
    Closing,
}

impl RoomTask {
    pub(super) fn new(
        name: RoomName,
        serial: u64,
        room: Room,
        place: Option<RoomPlace>,
        rooms: Arc<Rooms>,
        info: watch::Sender<RoomInfo>,
    ) -> Self {
        Self {
            name,
            serial,
            room,
            place,
            rooms,
            info,
            outboxes: BTreeMap::new(),
            first_state: None,
            gallery: Arc::new(Gallery::new()),
            is_curated: false,
            places: None,
            shortcut: None,
            block_bytes: 0,
            dropped: Vec::new(),
            commits: VecDeque::new(),
            wake: None,
            idle_since: None,
            is_outlived: false,
        }
    }

    /// Runs until the room is over and idle, the service closes, or the store fails.
    pub(super) async fn run(
        mut self,
        mut inputs: mpsc::Receiver<ToRoom>,
        mut closing: watch::Receiver<bool>,
    ) {
        let span = info_span!("room", room = %self.name);
        async {
            let mut shutting_down = *closing.borrow();
            let mut stored = self.carry_out().await;
            while stored.is_ok() && !self.is_outlived && !(shutting_down && self.commits.is_empty()) {
                match self.next(&mut inputs, &mut closing, shutting_down).await {
                    Wakeup::Message(Some(message)) => self.receive(message),
                    Wakeup::Message(None) | Wakeup::Closing => shutting_down = true,
                    Wakeup::Committed(Ok(proofs)) => {
                        self.room.handle(clock::now(), Input::Committed { proofs });
                    }
                    Wakeup::Committed(Err(_)) => stored = Err(()),
                    Wakeup::Timeout => {
                        self.wake = None;
                        self.room.handle(clock::now(), Input::Timeout);
                    }
                    Wakeup::Idle => {
                        self.fall_asleep(&mut inputs);
                        break;
                    }
                }
                if stored.is_ok() {
                    stored = self.carry_out().await;
                }
            }
            let reason = match (stored, shutting_down) {
                (Err(()), _) | (_, true) => GoodbyeReason::Shutdown,
                (Ok(()), false) => GoodbyeReason::RoomClosed,
            };
            for outbox in self.outboxes.values() {
                // A guest whose queue is full finds the room gone soon enough.
                let _ = outbox.try_send(ToGuest::Dismissed(reason));
            }
        }
        .instrument(span)
        .await;
    }

    async fn next(
        &mut self,
        inputs: &mut mpsc::Receiver<ToRoom>,
        closing: &mut watch::Receiver<bool>,
        shutting_down: bool,
    ) -> Wakeup {
        let idle_ms = if self.room.is_deserted() {
            Some(EMPTY_LOBBY_MS)
        } else if self.may_sleep() {
            Some(self.rooms.shared().config.rooms.sleep_ms)
        } else if self.room.is_over() && self.commits.is_empty() {
            Some(ENDED_ROOM_MS)
        } else {
            None
        };
        let idle_at = idle_ms.map(|ms| {
            let since = self.idle_since.get_or_insert_with(Instant::now);
            *since + Duration::from_millis(ms)
        });
        if idle_at.is_none() {
            self.idle_since = None;
        }
        tokio::select! {
            biased;
            done = front(&mut self.commits), if !self.commits.is_empty() => {
                self.commits.pop_front();
                Wakeup::Committed(done)
            }
            () = at(self.wake), if self.wake.is_some() && !shutting_down => Wakeup::Timeout,
            // The sender lives in `Rooms`, which outlives the task.
            _ = closing.changed(), if !shutting_down => Wakeup::Closing,
            message = inputs.recv(), if !shutting_down => Wakeup::Message(message),
            () = at(idle_at), if idle_at.is_some() && !shutting_down => Wakeup::Idle,
        }
    }

    /// Is it worth while to drop the room until its turn closes, should nobody come?
    fn may_sleep(&self) -> bool {
        let sleep_ms = self.rooms.shared().config.rooms.sleep_ms;
        let worth = clock::now().after(sleep_ms).after(sleep_ms);
        self.commits.is_empty() && self.room.sleeps_until().is_some_and(|until| until > worth)
    }

    /// Hands a room that may sleep over to those that do. Whoever asked for this task a moment ago is sent away,
    /// and wakes the room by coming back.
    fn fall_asleep(&mut self, inputs: &mut mpsc::Receiver<ToRoom>) {
        let (Some(match_id), Some(until)) = (self.room.match_id(), self.room.sleeps_until()) else { return };
        let info = self.info.borrow().clone();
        let sleeper = Sleeper { match_id, until, info, place: self.place.take() };
        self.rooms.asleep(&self.name, self.serial, sleeper);
        inputs.close();
        while let Ok(message) = inputs.try_recv() {
            if let ToRoom::Enter { outbox, .. } | ToRoom::Resume { outbox, .. } = message {
                let _ = outbox.try_send(ToGuest::Dismissed(GoodbyeReason::RoomClosed));
            }
        }
    }

    fn receive(&mut self, message: ToRoom) {
        let input = match message {
            ToRoom::Enter { guest, outbox, identity, enter_as, name, shown } => {
                self.outboxes.insert(guest, outbox);
                Input::Enter { guest, identity, enter_as, name, shown }
            }
            ToRoom::Resume { guest, outbox, identity, enter_as, height, block, shown } => {
                let store = &self.rooms.shared().store;
                let known = self.room.match_id().map_or(Ok(false), |id| store.is_known(id, height, block));
                let Ok(known) = known else {
                    // Not to be taken for a history that was lost.
                    let _ = outbox.try_send(ToGuest::Dismissed(GoodbyeReason::Shutdown));
                    return warn!(%height, "cannot read a block");
                };
                self.outboxes.insert(guest, outbox);
                Input::Resume { guest, identity, enter_as, height, known, shown }
            }
            // The last one to be ready makes the map, which takes up to a tenth of a second.
            ToRoom::Ready { guest, ready, chain } => {
                return self.handle_slowly(Input::Ready { guest, ready, chain });
            }
            // And with commit and reveal the last one to join makes it again.
            ToRoom::Submit { guest, transaction } if self.room.chain().is_none() => {
                return self.handle_slowly(Input::Submit { guest, transaction });
            }
            ToRoom::Submit { guest, transaction } => Input::Submit { guest, transaction },
            ToRoom::Compare { guest, request } => {
                // May execute a turn again, which on the largest maps takes tens of milliseconds.
                let input = Input::Compare { guest, request };
                return tokio::task::block_in_place(|| self.room.handle(clock::now(), input));
            }
            ToRoom::Say { guest, talk } => Input::Say { guest, talk },
            ToRoom::GoOn { guest, after } => {
                if let Some(outbox) = self.outboxes.get(&guest) {
                    outbox.go_on();
                }
                Input::GoOn { guest, after }
            }
            ToRoom::Rematch { guest } => Input::Rematch { guest },
            ToRoom::Leave { guest } => {
                self.outboxes.remove(&guest);
                // The others may have waited for this one only.
                if self.room.chain().is_none() {
                    return self.handle_slowly(Input::Leave { guest });
                }
                Input::Leave { guest }
            }
        };
        self.room.handle(clock::now(), input);
    }

    fn handle_slowly(&mut self, input: Input) {
        tokio::task::block_in_place(|| self.room.handle(clock::now(), input));
    }

    /// Carries out what the room wants done, in order.
    async fn carry_out(&mut self) -> Result<(), ()> {
        loop {
            let Some(output) = self.room.poll() else {
                if self.dropped.is_empty() {
                    break;
                }
                self.part_with_dropped();
                continue;
            };
            match output {
                Output::Commit(records) => self.commit(records).await?,
                Output::Send { to, message } => self.send(to, ToGuest::Message(Outgoing::new(&message))),
                Output::Broadcast { to, message } => self.broadcast(to, &message),
                Output::FirstState { to, state } => {
                    let made =
                        || ServerMessage::chunks_of(state.to_vec()).iter().map(Outgoing::new).collect();
                    let messages = self.first_state.get_or_insert_with(made).clone();
                    for guest in to {
                        self.send(guest, ToGuest::FirstState(messages.clone()));
                    }
                }
                Output::CatchUp { guest, after, to } => {
                    if let Some(match_id) = self.room.match_id() {
                        let shortcut = self.shortcut_for(guest, match_id, after, to);
                        self.send(guest, ToGuest::CatchUp { match_id, after, to, shortcut });
                    }
                }
                Output::Watch { guest, after } => {
                    if !self.is_curated {
                        self.is_curated = self.rooms.stands().begin(self.gallery.curate());
                    }
                    self.show_newest();
                    self.send(guest, ToGuest::Watch(Box::new(self.gallery.watch(after))));
                }
                Output::Show(shown) => {
                    if let Some(match_id) = self.room.match_id() {
                        let places = self.places(match_id);
                        self.gallery.show(shown, places);
                    }
                }
                Output::Refuse { guest, failure } => {
                    self.send(guest, ToGuest::NotAdmitted(failure));
                    self.outboxes.remove(&guest);
                }
                Output::Dismiss { guest, reason } => {
                    self.send(guest, ToGuest::Dismissed(reason));
                    self.outboxes.remove(&guest);
                }
                Output::WakeAt(time) => self.wake = Some(instant_of(time)),
                Output::Observed(event) => self.observe(&event),
            }
        }
        if let Some(place) = &mut self.place {
            if self.room.is_over() { place.rest() } else { place.count() }
        }
        self.info.send_modify(|info| update(info, &self.room, self.outboxes.len()));
        Ok(())
    }

    fn broadcast(&mut self, to: Vec<GuestId>, message: &ServerMessage) {
        let outgoing = Outgoing::new(message);
        if matches!(message, ServerMessage::Block(_)) {
            self.block_bytes += outgoing.plain_len() as u64;
        }
        for guest in to {
            self.send(guest, ToGuest::Message(outgoing.clone()));
        }
    }

    /// A state between the two heights to go on from, if the guest wants one and misses much.
    fn shortcut_for(
        &mut self,
        guest: GuestId,
        match_id: MatchId,
        after: Height,
        to: Height,
    ) -> Option<Arc<Shortcut>> {
        let wants = self.outboxes.get(&guest)?.following() == Following::Snapshot;
        if !wants || !shortcut::is_far(after, to) {
            return None;
        }
        if self.shortcut.as_ref().is_none_or(|shortcut| shortcut.is_old(self.block_bytes)) {
            let made = tokio::task::block_in_place(|| self.make_shortcut(match_id));
            if let Some(made) = made {
                (self.shortcut, self.block_bytes) = (Some(Arc::new(made)), 0);
            }
        }
        self.shortcut.clone().filter(|shortcut| after < shortcut.height() && shortcut.height() <= to)
    }

    /// Shows the newest block of a match that was taken up from the store, as long as no other has come.
    fn show_newest(&mut self) {
        let (Some(match_id), Some(chain)) = (self.room.match_id(), self.room.chain()) else { return };
        let height = chain.head().height;
        if !self.gallery.is_empty() || height == Height::GENESIS {
            return;
        }
        let stored = self.rooms.shared().store.block(match_id, height);
        let header = stored.and_then(|block| Ok(ProvenHeader::of(&block)?));
        match header.map(|header| self.room.shown(header)) {
            Ok(Some(shown)) => {
                let places = self.places(match_id);
                self.gallery.show(Arc::new(shown), places);
            }
            // It is on its way to the disk, and shown when it is there.
            Ok(None) | Err(ReadError::Missing) => {}
            Err(error) => warn!(error = &error as &dyn std::error::Error, "cannot read a block"),
        }
    }

    fn places(&mut self, match_id: MatchId) -> Arc<Places> {
        let store = &self.rooms.shared().store;
        self.places.get_or_insert_with(|| Arc::new(Places::new(store.clone(), match_id))).clone()
    }

    /// From the state as it is, if it is that of a Turn on disk; else, if there is none, from the stored keyframe.
    fn make_shortcut(&mut self, match_id: MatchId) -> Option<Shortcut> {
        let places = self.places(match_id);
        let store = &self.rooms.shared().store;
        let stored = || if self.shortcut.is_none() { store.keyframe(match_id) } else { Ok(None) };
        let made = self.room.snapshot().map_or_else(stored, |state| Ok(Some(state))).and_then(|state| {
            state.map(|(state, chunks)| Shortcut::new(store, match_id, places, state, chunks)).transpose()
        });
        made.unwrap_or_else(|error| {
            warn!(error = &error as &dyn std::error::Error, "cannot read a keyframe");
            None
        })
    }

    /// Tells the room of guests that were dropped while its outputs were carried out.
    fn part_with_dropped(&mut self) {
        for guest in std::mem::take(&mut self.dropped) {
            self.room.handle(clock::now(), Input::Leave { guest });
        }
    }

    async fn commit(&mut self, records: Records) -> Result<(), ()> {
        let (done, receiver) = oneshot::channel();
        self.commits.push_back(receiver);
        self.rooms.shared().writer.commit(Commit { records, done }).await.map_err(|_| ())
    }

    /// Queues something for a guest. One that reads too slowly for its queue is dropped, and may come back; a spectator
    /// stays, and asks for what it missed when it reads again.
    fn send(&mut self, to: GuestId, message: ToGuest) {
        let Some(outbox) = self.outboxes.get(&to) else { return };
        let can_wait = outbox.is_followers() && message.can_be_told_again();
        if can_wait && outbox.is_behind() {
            return;
        }
        if let Err(unsent) = outbox.try_send(message) {
            if let Unsent::Full(limit) = unsent {
                self.rooms.shared().metrics.count_limited(limit);
                if can_wait {
                    return outbox.fall_behind();
                }
            }
            self.outboxes.remove(&to);
            self.dropped.push(to);
        }
    }

    /// Takes leave of what was kept of the match that is over.
    fn begin_again(&mut self, match_id: MatchId) {
        (self.gallery, self.is_curated) = (Arc::new(Gallery::new()), false);
        (self.places, self.shortcut, self.block_bytes) = (None, None, 0);
        // Whoever was not told the end cannot be told it any more.
        let is_behind = |outbox: &Outbox| outbox.is_followers() && outbox.is_behind();
        let behind = self.outboxes.extract_if(.., |_, outbox| is_behind(outbox));
        self.dropped.extend(behind.map(|(guest, _)| guest));
        let guests = self.outboxes.len();
        let update = || self.info.send_modify(|info| update(info, &self.room, guests));
        self.is_outlived = !self.rooms.begin_again(match_id, &self.name, self.serial, update);
    }

    fn observe(&mut self, event: &Event) {
        let metrics = &self.rooms.shared().metrics;
        match event {
            Event::Started { match_id } => {
                metrics.matches_begun.inc();
                self.rooms.begun(*match_id, self.name.clone());
                info!(%match_id, "match began");
            }
            Event::TurnClosed { turn, late, desynced } => {
                metrics.turns.inc();
                metrics.late.inc_by(u64::from(late.len()));
                metrics.desyncs.inc_by(u64::from(desynced.len()));
                tracing::debug!(%turn, late = late.len(), "turn closed");
                for seat in desynced.iter() {
                    warn!(%turn, %seat, "seat signed another state root");
                }
            }
            Event::Diverged { guest, seat, incident } => {
                metrics.desyncs_compared.inc();
                let of = DesyncOf { seat: *seat, connection: Some(guest.get()) };
                let folder = self.rooms.desyncs();
                let written = self.room.genesis().map(|genesis| {
                    let bundle = || Bundle::new(genesis, of, incident);
                    tokio::task::block_in_place(|| folder.write(bundle))
                });
                let connection = guest.get();
                match written {
                    Some(Ok(file)) => {
                        warn!(connection, report = %incident.report, file = %file.display(), "state differs");
                    }
                    Some(Err(error)) => {
                        metrics.desyncs_not_kept.inc();
                        warn!(connection, report = %incident.report, %error, "state differs; no bundle");
                    }
                    None => {}
                }
            }
            Event::Refused { guest, kind } => {
                metrics.refused.get_or_create(&Reason { reason: kind }).inc();
                tracing::debug!(connection = guest.get(), kind, "transaction refused");
            }
            Event::Said => {
                metrics.said.inc();
            }
            Event::NotSaid { guest, kind } => {
                metrics.not_said.get_or_create(&Reason { reason: kind }).inc();
                tracing::debug!(connection = guest.get(), kind, "not passed on");
            }
            Event::Double { seat, turn } => {
                metrics.double_transactions.inc();
                warn!(%seat, %turn, "seat signed two transactions for one turn; both are kept");
            }
            Event::TakenBack { to_turn } => {
                metrics.takebacks.inc();
                info!(%to_turn, "turns were taken back");
            }
            Event::Paused { ms } => {
                metrics.pauses.inc();
                info!(%ms, "all agreed to pause");
            }
            Event::Grace { ms, missing } => {
                metrics.graces.inc();
                info!(%ms, seats = missing.len(), "a turn waits longer for seats without a connection");
            }
            Event::Ended { reason } => {
                let reason = seal_word(*reason);
                metrics.matches_ended.get_or_create(&Reason { reason }).inc();
                info!(reason, "match ended");
            }
            Event::Rematch { match_id } => {
                info!(%match_id, "all want another match");
                self.begin_again(*match_id);
            }
            Event::Broken { error } => {
                tracing::error!(%error, "the room made a block that does not pass its own verifier; it stands still");
            }
        }
    }
}

impl Drop for RoomTask {
    // Also after a panic: a room that nobody runs must not keep its name.
    fn drop(&mut self) {
        self.rooms.closed(&self.name, self.serial);
    }
}

pub(super) fn info_of(name: &RoomName, room: &Room) -> RoomInfo {
    let mut info = RoomInfo {
        room: name.to_string(),
        rules: room.spec().map_or(String::new(), |spec| spec.rules.clone()),
        phase: "lobby",
        match_id: None,
        seats: room.seat_count(),
        taken: 0,
        spectators: 0,
        turn: 0,
        height: 0,
        access: room.access().door.word(),
        open_seats: 0,
        listed: room.access().listed,
        wanted_again: false,
    };
    update(&mut info, room, 0);
    info
}

fn update(info: &mut RoomInfo, room: &Room, guests: usize) {
    let (phase, genesis, turn, height) = progress(room);
    if info.phase != phase {
        info.match_id = room.match_id().map(|id| id.to_string());
        if let Some(genesis) = genesis {
            info.rules = genesis.rules.to_string();
        }
    }
    info.phase = phase;
    info.wanted_again = room.is_wanted_again();
    info.seats = room.seat_count();
    info.taken = room.seats_taken();
    info.open_seats = room.open_seats();
    info.spectators = guests.saturating_sub(info.taken);
    info.turn = turn.get();
    info.height = height.get();
}

async fn front(
    commits: &mut VecDeque<oneshot::Receiver<Proofs>>,
) -> Result<Proofs, oneshot::error::RecvError> {
    match commits.front_mut() {
        Some(done) => done.await,
        None => std::future::pending().await,
    }
}

pub(super) async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

pub(super) fn instant_of(time: Millis) -> Instant {
    Instant::now() + Duration::from_millis(time.get().saturating_sub(clock::now().get()))
}
