//! The rooms that are open: their names, their matches, and the task that runs each.

mod asleep;
mod fork;
mod gallery;
mod list;
mod outbox;
mod outgoing;
mod places;
mod shortcut;
mod task;

pub(crate) use asleep::Sleeper;
pub use fork::origin as fork_origin;
pub(crate) use gallery::{Exhibit, Viewport, Watching};
pub(crate) use list::{is_of_rules, page_limit};
pub(crate) use outbox::{Inbox, Outbox, outbox};
pub(crate) use outgoing::Outgoing;
pub(crate) use shortcut::Shortcut;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cadastre_protocol::{
    BlockHash, ChainSecret, ChainStart, CompareRequest, DisplayName, Door, EnterAs, Failure, ForkPoint,
    Genesis, GoodbyeReason, Height, Limit, MatchId, PublicKey, RoomName, RoomSpec, SealReason, ShownPass,
    SignedCertificate, SignedTalk, SignedTransaction, Turn,
};
use cadastre_rooms::{GuestId, Host, Origin, Restored, Room};
use tokio::{
    sync::{Notify, Semaphore, mpsc, oneshot, watch},
    task::JoinSet,
};

use asleep::Sleepers;

use crate::{
    clock,
    config::Config,
    desyncs::DesyncFolder,
    limiter::{Over, RoomPlace},
    metrics::Metrics,
    stands::Stands,
    store::{self, ReadError, RecoveryError, Store, Writer},
};

/// Inputs that wait in front of one room. Connections wait when there are more.
const ROOM_INPUTS_MAX: usize = 64;

/// Why a room was not opened.
#[derive(Debug)]
pub(crate) enum NotOpened {
    Failed(Failure),
    Limited(Over<Limit>),
}

impl From<Failure> for NotOpened {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Everything that a room's task shares with the rest of the service.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) config: Arc<Config>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) store: Store,
    pub(crate) writer: Writer,
    root: PublicKey,
    signer: SignedCertificate,
    chain_secret: ChainSecret,
}

/// The rooms of a service.
#[derive(Debug)]
pub(crate) struct Rooms {
    shared: Shared,
    stands: Stands,
    open: Mutex<Open>,
    /// One fork is made after the other: it takes the time that executing its parent takes.
    forking: Arc<Semaphore>,
    closing: watch::Sender<bool>,
    /// Rooms are woken one after the other: it takes the time that executing some turns takes.
    waking: Semaphore,
    /// Another room has fallen asleep.
    fell_asleep: Notify,
}

#[derive(Debug, Default)]
struct Open {
    rooms: BTreeMap<RoomName, RoomHandle>,
    asleep: Sleepers,
    /// Rooms by the match that runs in them.
    matches: BTreeMap<MatchId, RoomName>,
    tasks: JoinSet<()>,
    /// Counts the rooms, so that one is not taken for another of the same name.
    serial: u64,
}

/// The way to a room's task.
#[derive(Clone, Debug)]
pub(crate) struct RoomHandle {
    serial: u64,
    pub(crate) inputs: mpsc::Sender<ToRoom>,
    pub(crate) info: watch::Receiver<RoomInfo>,
}

/// What is shown of a room in a list.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct RoomInfo {
    pub(crate) room: String,
    pub(crate) rules: String,
    pub(crate) phase: &'static str,
    pub(crate) match_id: Option<String>,
    pub(crate) seats: u8,
    pub(crate) taken: usize,
    pub(crate) spectators: usize,
    pub(crate) turn: u32,
    pub(crate) height: u64,
    pub(crate) access: &'static str,
    /// Seats of the running match that are still to be taken.
    #[serde(skip)]
    pub(crate) open_seats: u32,
    #[serde(skip)]
    pub(crate) listed: bool,
    /// Somebody wants another match in it, now that one is over.
    #[serde(skip)]
    pub(crate) wanted_again: bool,
}

/// What a connection says to a room.
#[derive(Debug)]
pub(crate) enum ToRoom {
    Enter {
        guest: GuestId,
        outbox: Outbox,
        identity: PublicKey,
        enter_as: EnterAs,
        name: DisplayName,
        shown: Option<Box<ShownPass>>,
    },
    Resume {
        guest: GuestId,
        outbox: Outbox,
        identity: PublicKey,
        enter_as: EnterAs,
        height: Height,
        block: BlockHash,
        shown: Option<Box<ShownPass>>,
    },
    Ready {
        guest: GuestId,
        ready: bool,
        chain: Option<ChainStart>,
    },
    Submit {
        guest: GuestId,
        transaction: SignedTransaction,
    },
    Compare {
        guest: GuestId,
        request: CompareRequest,
    },
    Say {
        guest: GuestId,
        talk: SignedTalk,
    },
    Rematch {
        guest: GuestId,
    },
    Leave {
        guest: GuestId,
    },
    /// Asks for what a slow spectator missed, which has the blocks up to `after`.
    GoOn {
        guest: GuestId,
        after: Height,
    },
}

/// What a room says to a connection.
#[derive(Debug)]
pub(crate) enum ToGuest {
    /// To be sent as it is.
    Message(Outgoing),
    /// The stored blocks after `after` up to and with `to`, the first of them left out if the shortcut is shorter;
    /// then CaughtUp.
    CatchUp { match_id: MatchId, after: Height, to: Height, shortcut: Option<Arc<Shortcut>> },
    /// A light spectator is shown the match from now on.
    Watch(Box<Watching>),
    /// Something was dropped because the guest was too slow: it has to ask for it.
    Behind,
    /// The state that a fork begins with.
    FirstState(Arc<[Outgoing]>),
    /// The room did not let the guest in.
    NotAdmitted(Failure),
    /// The room parts with the guest.
    Dismissed(GoodbyeReason),
}

impl Rooms {
    #[allow(clippy::too_many_arguments, reason = "all that rooms share, put together in one place")]
    pub(crate) fn new(
        config: Arc<Config>,
        stands: Stands,
        metrics: Arc<Metrics>,
        store: Store,
        writer: Writer,
        root: PublicKey,
        signer: SignedCertificate,
        chain_secret: ChainSecret,
    ) -> Self {
        let shared = Shared { config, metrics, store, writer, root, signer, chain_secret };
        Self {
            shared,
            stands,
            open: Mutex::default(),
            forking: Arc::new(Semaphore::new(1)),
            closing: watch::Sender::new(false),
            waking: Semaphore::new(1),
            fell_asleep: Notify::new(),
        }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The threads for those who watch.
    pub(crate) const fn stands(&self) -> &Stands {
        &self.stands
    }

    /// Opens a new room for `opener`, which counts for whoever gets the `place`: that is asked for only if the room is not
    /// there. What the room of a fork goes on from, [`Rooms::fork`] gave before.
    pub(crate) fn create(
        self: &Arc<Self>,
        name: RoomName,
        spec: RoomSpec,
        origin: Option<Origin>,
        opener: PublicKey,
        place: impl FnOnce() -> Result<RoomPlace, Over<Limit>>,
    ) -> Result<(), NotOpened> {
        if !self.is_serving() {
            return Err(Failure::Unavailable.into());
        }
        let mut open = self.lock();
        if open.is_taken(&name) {
            return Err(Failure::RoomExists.into());
        }
        let others = open.rooms.keys().filter(|other| **other != name).count();
        if others >= self.shared.config.limits.rooms_max {
            self.shared.metrics.count_limited("rooms_max");
            return Err(Failure::TooManyRooms.into());
        }
        // Nobody opens a room in the name of somebody else.
        if matches!(spec.access.door, Door::ByInvitation { opener: named } if named != opener) {
            return Err(Failure::BadSpec.into());
        }
        let host = self.host().ok_or(Failure::Unavailable)?;
        let room = match origin {
            None => Room::open(name.clone(), host, spec),
            Some(origin) => Room::fork(name.clone(), host, spec, origin),
        };
        let room = room.ok_or(Failure::BadSpec)?;
        let place = place().map_err(NotOpened::Limited)?;
        // What is left of a match that is over is served from the store.
        open.forget(&name);
        self.start(&mut open, name, room, Some(place));
        Ok(())
    }

    /// What a room with these settings goes on from, and the settings as they follow from that, for an `opener` who may
    /// see the parent. It takes as long as executing the parent, on a thread of its own; nothing else waits for that, and
    /// it is given up when nobody waits for it.
    pub(crate) async fn fork(
        self: Arc<Self>,
        name: RoomName,
        spec: RoomSpec,
        point: ForkPoint,
        opener: PublicKey,
    ) -> Result<(RoomSpec, Origin), Failure> {
        // What cannot be opened anyhow is not worth the work.
        if self.lock().is_taken(&name) {
            return Err(Failure::RoomExists);
        }
        let one = self.forking.clone().acquire_owned().await.map_err(|_| Failure::Unavailable)?;
        let (done, made) = oneshot::channel();
        tokio::task::spawn_blocking(move || {
            let is_wanted = || self.is_serving() && !done.is_closed();
            let fork = fork::origin(&self.shared.store, &spec, point, opener, is_wanted);
            drop(one);
            // Whoever asked for it may be gone.
            let _ = done.send(fork);
        });
        made.await.unwrap_or(Err(Failure::Unavailable))
    }

    /// Opens the room of a match that was running.
    pub(crate) fn restore(self: &Arc<Self>, name: RoomName, restored: Restored) -> Result<(), RestoreError> {
        let mut open = self.lock();
        let match_id = restored.chain.match_id();
        let host = self.host().ok_or(RestoreError::NoEntropy)?;
        let room = Room::restore(name.clone(), host, restored, clock::now()).map_err(RestoreError::Room)?;
        open.check_free(&name)?;
        open.matches.insert(match_id, name.clone());
        // Who opened it is not stored.
        self.start(&mut open, name, room, None);
        Ok(())
    }

    /// Lets the room of a stored match sleep on.
    pub(crate) fn sleep_on(&self, name: RoomName, sleeper: Sleeper) -> Result<(), RestoreError> {
        let mut open = self.lock();
        open.check_free(&name)?;
        open.matches.insert(sleeper.match_id, name.clone());
        open.asleep.insert(name, sleeper);
        self.count_asleep(&open);
        Ok(())
    }

    /// A room's task ends, and its match sleeps.
    pub(crate) fn asleep(&self, name: &RoomName, serial: u64, sleeper: Sleeper) {
        let mut open = self.lock();
        if open.rooms.get(name).is_some_and(|room| room.serial == serial) {
            open.rooms.remove(name);
            open.asleep.insert(name.clone(), sleeper);
            self.count_asleep(&open);
            self.fell_asleep.notify_one();
        }
    }

    fn count_asleep(&self, open: &Open) {
        self.shared.metrics.rooms_asleep.set(i64::try_from(open.asleep.len()).unwrap_or(i64::MAX));
    }

    /// Wakes rooms when their turns close, until the service closes.
    pub(crate) fn keep_alarms(self: &Arc<Self>) {
        let (rooms, mut closing) = (self.clone(), self.closing.subscribe());
        self.lock().tasks.spawn(async move {
            loop {
                let first = rooms.lock().asleep.first().cloned();
                let rings = first.as_ref().map(|(until, _)| task::instant_of(*until));
                tokio::select! {
                    () = task::at(rings) => {}
                    () = rooms.fell_asleep.notified() => continue,
                    _ = closing.wait_for(|closing| *closing) => return,
                }
                if let Some((_, name)) = first {
                    rooms.wake(&name).await;
                }
                if !rooms.is_serving() {
                    return;
                }
            }
        });
    }

    /// The room of this name, woken if it slept.
    async fn wake(self: &Arc<Self>, name: &RoomName) -> Option<RoomHandle> {
        if self.lock().asleep.get(name).is_some() {
            let _one = self.waking.acquire().await.ok()?;
            tokio::task::block_in_place(|| self.wake_now(name));
        }
        self.lock().rooms.get(name).cloned()
    }

    /// Takes up a match that sleeps. One that cannot go on is left as it is, for an auditor.
    fn wake_now(self: &Arc<Self>, name: &RoomName) {
        let Some(match_id) = self.lock().asleep.get(name).map(|sleeper| sleeper.match_id) else { return };
        let woken = self.woken(match_id, name);
        let mut open = self.lock();
        if !self.is_serving() {
            return;
        }
        let place = open.asleep.remove(name).and_then(|sleeper| sleeper.place);
        self.count_asleep(&open);
        match woken {
            Ok(room) => {
                self.shared.metrics.rooms_woken.inc();
                self.start(&mut open, name.clone(), room, place);
            }
            Err(error) => {
                open.matches.remove(&match_id);
                let error = &error as &dyn std::error::Error;
                tracing::error!(%match_id, room = %name, error, "a match cannot be woken, and stays as it is");
            }
        }
    }

    fn woken(&self, match_id: MatchId, name: &RoomName) -> Result<Room, WakeError> {
        let store = &self.shared.store;
        let record = store.match_record(match_id)?.ok_or(ReadError::Missing)?;
        let restored = store::recover(store, match_id, record, clock::now())?;
        let host = self.host().ok_or(WakeError::NoEntropy)?;
        Ok(Room::wake(name.clone(), host, restored, clock::now())?)
    }

    fn start(self: &Arc<Self>, open: &mut Open, name: RoomName, room: Room, place: Option<RoomPlace>) {
        let (inputs, received) = mpsc::channel(ROOM_INPUTS_MAX);
        let (info_sender, info) = watch::channel(task::info_of(&name, &room));
        open.serial += 1;
        let serial = open.serial;
        let task = task::RoomTask::new(name.clone(), serial, room, place, self.clone(), info_sender);
        let closing = self.closing.subscribe();
        open.tasks.spawn(task.run(received, closing));
        open.rooms.insert(name, RoomHandle { serial, inputs, info });
        self.shared.metrics.rooms.inc();
        // Takes up the tasks that have ended, so that the set does not grow.
        while open.tasks.try_join_next().is_some() {}
    }

    fn host(&self) -> Option<Host> {
        let mut entropy = [0; 32];
        getrandom::fill(&mut entropy).ok()?;
        Some(Host {
            root: self.shared.root,
            signer: self.shared.signer.clone(),
            entropy,
            deadline_ms: self.shared.config.deadline_ms,
            spectators_max: self.shared.config.limits.spectators_max,
            chain_secret: self.shared.chain_secret.clone(),
        })
    }

    /// Can matches be begun and go on?
    pub(crate) fn is_serving(&self) -> bool {
        self.shared.writer.is_healthy() && !*self.closing.borrow()
    }

    /// The room of this name. One that sleeps is woken.
    pub(crate) async fn find(self: &Arc<Self>, name: &RoomName) -> Option<RoomHandle> {
        self.wake(name).await
    }

    /// The room in which this match runs. One that sleeps is woken.
    pub(crate) async fn find_match(self: &Arc<Self>, match_id: MatchId) -> Option<RoomHandle> {
        let name = self.lock().matches.get(&match_id).cloned()?;
        self.wake(&name).await
    }

    /// Where incidents of desync are kept.
    pub(crate) fn desyncs(&self) -> DesyncFolder {
        let config = &self.shared.config;
        DesyncFolder::new(config.data.join("desyncs"), config.limits.desyncs_max)
    }

    /// A match begins in a room.
    pub(crate) fn begun(&self, match_id: MatchId, name: RoomName) {
        self.lock().matches.insert(match_id, name);
    }

    /// A room leaves the match that is over, for another one; `info` says so before anybody can take it for one that is
    /// over. `false` when its name was given to another room meanwhile.
    pub(crate) fn begin_again(
        &self,
        match_id: MatchId,
        name: &RoomName,
        serial: u64,
        info: impl FnOnce(),
    ) -> bool {
        let mut open = self.lock();
        let has_name = open.rooms.get(name).is_some_and(|room| room.serial == serial);
        if has_name {
            open.matches.remove(&match_id);
            info();
        }
        has_name
    }

    /// A room's task is about to end.
    pub(crate) fn closed(&self, name: &RoomName, serial: u64) {
        let mut open = self.lock();
        if open.rooms.get(name).is_some_and(|room| room.serial == serial) {
            open.forget(name);
        }
        self.shared.metrics.rooms.dec();
    }

    /// Lets every room bring to disk what is under way, and ends them.
    pub(crate) async fn close(&self) {
        self.closing.send_replace(true);
        let mut tasks = std::mem::take(&mut self.lock().tasks);
        while tasks.join_next().await.is_some() {}
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // A panic while the lock was held leaves the maps whole: every change is one call.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Is there a room of this name whose match is not over, or where somebody waits for another one?
    fn is_taken(&self, name: &RoomName) -> bool {
        let is_open = |info: &RoomInfo| info.phase != "ended" || info.wanted_again;
        self.rooms.get(name).is_some_and(|there| is_open(&there.info.borrow()))
            || self.asleep.get(name).is_some()
    }

    /// A name has one room, awake or asleep.
    fn check_free(&self, name: &RoomName) -> Result<(), RestoreError> {
        let taken = self.rooms.contains_key(name) || self.asleep.get(name).is_some();
        if taken { Err(RestoreError::TwoMatches) } else { Ok(()) }
    }

    fn forget(&mut self, name: &RoomName) {
        self.rooms.remove(name);
        self.matches.retain(|_, of| of != name);
    }
}

/// Why the room of a running match cannot be opened again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestoreError {
    #[error("the stored match contradicts itself")]
    Room(#[source] cadastre_protocol::GenesisError),
    #[error("another match runs in the room of this name")]
    TwoMatches,
    #[error("the system gives no random bytes")]
    NoEntropy,
}

/// Why a match that sleeps cannot go on.
#[derive(Debug, thiserror::Error)]
enum WakeError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    #[error("the stored match contradicts itself")]
    Room(#[from] cadastre_protocol::GenesisError),
    #[error("the system gives no random bytes")]
    NoEntropy,
}

/// One word for the reason why a match ended.
pub(crate) const fn seal_word(reason: SealReason) -> &'static str {
    match reason {
        SealReason::Rules => "rules",
        SealReason::TurnLimit => "turn-limit",
        SealReason::Resigned => "resigned",
        SealReason::Abandoned => "abandoned",
        SealReason::Operator => "operator",
        SealReason::DoubleTransaction { .. } => "double-transaction",
        SealReason::Agreed => "agreed",
    }
}

/// How far a room has come.
pub(crate) fn progress(room: &Room) -> (&'static str, Option<&Genesis>, Turn, Height) {
    match room.chain() {
        None if room.genesis().is_some() => ("starting", room.genesis(), Turn::START, Height::GENESIS),
        None => ("lobby", None, Turn::START, Height::GENESIS),
        Some(chain) => {
            let (turn, height) = room.watched_to().unwrap_or((Turn::START, Height::GENESIS));
            // What those who watch do not know yet is in no list.
            let is_ended = chain.sealed().is_some() && height == chain.head().height;
            (if is_ended { "ended" } else { "playing" }, room.genesis(), turn, height)
        }
    }
}
