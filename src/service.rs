//! The service put together: keys, store, rooms and edge.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use cadastre_protocol::{
    MatchId, Millis, Notice, PublicKey,
    log::{LogKey, Origin},
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tracing::{error, info, warn};

use crate::{
    clock,
    config::Config,
    edge::{self, Edge},
    log::{self, Log, LogError, Witnesses},
    metrics::Metrics,
    passphrase::Passphrase,
    rooms::{RestoreError, Rooms, Sleeper},
    server_keys::{Generations, LAST_MS, LOG_SIGNED, Moment, ServerKeys, ServerKeysError},
    stands::Stands,
    store::{self, MatchRecord, ReadError, RecoveryError, Store, StoreError, StoreLock, Writer},
};

/// A running service.
pub struct Service {
    listen: SocketAddr,
    root: PublicKey,
    expires: Millis,
    rooms: Arc<Rooms>,
    closing: watch::Sender<bool>,
    notices: watch::Sender<Option<Notice>>,
    serving: JoinHandle<()>,
    log: Arc<Log>,
    logging: JoinHandle<()>,
    writer_thread: std::thread::JoinHandle<()>,
    _lock: StoreLock,
}

impl Service {
    /// Starts the service: takes the data folder, makes or loads the keys, opens the store, resumes every
    /// match that was running, and listens. `passphrase` opens encrypted keys, and encrypts new ones.
    ///
    /// # Errors
    ///
    /// In the order of what is said above; the first that applies.
    pub async fn start(config: Config, passphrase: Option<&Passphrase>) -> Result<Self, ServiceError> {
        let lock = StoreLock::take(&config.data)?;
        let keys_folder = config.data.join("keys");
        let keys = ServerKeys::load_or_create(&keys_folder, passphrase, clock::now())?;
        let store = Store::open(&lock, &config.data.join("store"))?;
        let mut generations = Generations::read(&keys_folder)?;
        let generation = generations.begin(store.generation()?)?;
        store.set_generation(generation)?;
        generations.begun(generation)?;

        let origin = config.log.origin.clone().unwrap_or_else(|| default_origin(keys.root));
        let log_key = keys.log.public();
        let begun = store.log_key()?;
        let (folder, signed) = (config.data.join("log"), keys_folder.join(LOG_SIGNED));
        let (log, appender) = Log::open(&folder, signed, begun, &origin, keys.log, keys.log_certificate)?;
        if begun != Some(log_key) {
            store.set_log_key(log_key)?;
        }
        let log = Arc::new(log);

        // Bound before the matches go on, so that a port in use costs nobody a Reopen.
        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(|source| ServiceError::Listen { listen: config.listen, source })?;
        let listen =
            listener.local_addr().map_err(|source| ServiceError::Listen { listen: config.listen, source })?;

        let metrics = Arc::new(Metrics::new());
        metrics.certificates_expire_seconds.set(i64::try_from(keys.expires.get() / 1000).unwrap_or(i64::MAX));
        let (writer, writer_thread) = Writer::start(
            store.clone(),
            keys.block,
            keys.block_serial,
            config.limits.commits_max,
            metrics.clone(),
        )
        .map_err(ServiceError::Thread)?;
        let config = Arc::new(config);
        let stands = Stands::open().map_err(ServiceError::Thread)?;
        let rooms = Arc::new(Rooms::new(
            config,
            stands,
            metrics,
            store.clone(),
            writer,
            keys.root,
            keys.block_certificate,
            keys.chain_secret,
        ));
        let resumed = resume_matches(&store, &rooms)?;
        rooms.keep_alarms();
        let (closing, closing_receiver) = watch::channel(false);
        note_unlogged_heads(&store)?;
        let settings = &rooms.shared().config.log;
        let logging = tokio::spawn(log::run(
            log.clone(),
            appender,
            Witnesses::new(&settings.witnesses, Duration::from_millis(settings.witness_ms_max)),
            store,
            rooms.shared().metrics.clone(),
            Duration::from_millis(settings.interval_ms),
            closing_receiver.clone(),
        ));
        let notice = rooms.shared().config.notice.clone().map(Notice::Text);
        let (notices, notices_receiver) = watch::channel(notice);
        let (identity, of_edge) = (keys.handshake, (closing_receiver, notices_receiver));
        let edge = Arc::new(Edge::new(rooms.clone(), log.clone(), identity, listen, of_edge));
        let serving = tokio::spawn(edge::serve(listener, edge));
        let (root, expires) = (keys.root, keys.expires);
        info!(%listen, root_key = %root, generation, resumed, certificates_expire = %Moment(expires), "service started");
        Ok(Self {
            listen,
            root,
            expires,
            rooms,
            closing,
            notices,
            serving,
            log,
            logging,
            writer_thread,
            _lock: lock,
        })
    }

    /// Waits until a certificate is so close to its end that the service must stop: a turn that outlasts it
    /// could not be signed. Warns every day of the last thirty.
    pub async fn expires(&self) -> Expired {
        loop {
            let now = clock::now();
            let left_ms = self.expires.get().saturating_sub(now.get());
            if left_ms <= LAST_MS {
                return Expired(Moment(self.expires));
            }
            if left_ms <= WARNING_DAYS * DAY_MS {
                warn!(at = %Moment(self.expires), "a certificate of the service expires soon; then it stops");
            }
            tokio::time::sleep(Duration::from_millis((left_ms - LAST_MS).min(DAY_MS))).await;
        }
    }

    /// Where it listens.
    pub const fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// The key that clients pin.
    pub const fn root(&self) -> PublicKey {
        self.root
    }

    /// What verifies the checkpoints of its transparency log.
    pub fn log_key(&self) -> LogKey {
        self.log.key().clone()
    }

    /// Stops in good order: everybody is told, and has the time to act on it that the settings give; what is under
    /// way is brought to disk, connections end.
    pub async fn stop(self) {
        let in_ms = self.rooms.shared().config.shutdown_notice_ms;
        self.notices.send_replace(Some(Notice::Shutdown { in_ms }));
        tokio::time::sleep(Duration::from_millis(u64::from(in_ms))).await;
        self.rooms.close().await;
        self.closing.send_replace(true);
        // A task that panicked has nothing more to end.
        let _ = self.serving.await;
        let _ = self.logging.await;
        drop(self.rooms);
        let thread = self.writer_thread;
        let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        info!("service stopped");
    }
}

/// Why a service that ran well must stop. A start after the certificates were renewed goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a certificate of the service expires at {0}; where the root key is in the data folder, the next start renews it"
)]
pub struct Expired(Moment);

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// For how long before its end a certificate is warned of.
const WARNING_DAYS: u64 = 30;

/// The name of a log that was given none.
fn default_origin(root: PublicKey) -> Origin {
    Origin::new(&format!("cadastre/{root}")).expect("short and plain")
}

/// Has the log look at the head of every match: it may have been away when some of them moved.
fn note_unlogged_heads(store: &Store) -> Result<(), ReadError> {
    for entry in store.matches() {
        let (match_id, _) = entry?;
        if let Some(mark) = store.mark(match_id)? {
            store.heads().note(match_id, mark);
        }
    }
    Ok(())
}

/// Opens the rooms of all matches that are not over. One that cannot go on is left as it is, for an auditor,
/// and does not keep the others from going on.
fn resume_matches(store: &Store, rooms: &Arc<Rooms>) -> Result<usize, ServiceError> {
    let mut resumed = 0;
    for entry in store.matches() {
        match entry
            .map_err(ResumeError::Read)
            .and_then(|(match_id, record)| resume(store, rooms, match_id, record))
        {
            Ok(true) => resumed += 1,
            Ok(false) => {}
            Err(ResumeError::Read(error @ ReadError::Disk(_))) => return Err(error.into()),
            Err(error) => error!(error = &error as &dyn std::error::Error, "a match cannot be resumed"),
        }
    }
    Ok(resumed)
}

/// Opens the room of a match, or lets it sleep on; `false` when the match is over.
fn resume(
    store: &Store,
    rooms: &Arc<Rooms>,
    match_id: MatchId,
    record: MatchRecord,
) -> Result<bool, ResumeError> {
    let mark = store.mark(match_id)?;
    if mark.is_some_and(|mark| mark.sealed) {
        return Ok(false);
    }
    let room = record.room.clone();
    let resume = || {
        let sleep_ms = rooms.shared().config.rooms.sleep_ms;
        let of = mark.map(|mark| Sleeper::of(store, (match_id, &record, mark), clock::now(), sleep_ms));
        if let Some(sleeper) = of.transpose()?.flatten() {
            rooms.sleep_on(room.clone(), sleeper)?;
            return Ok(true);
        }
        let restored = store::recover(store, match_id, record, clock::now())?;
        if !clock::advance_to(restored.chain.head().server_time) {
            return Err(ResumeError::FromTheFuture);
        }
        rooms.restore(room.clone(), restored)?;
        Ok(true)
    };
    resume().inspect_err(|_| error!(%match_id, %room, "match stays as it is"))
}

/// Why a match cannot go on.
#[derive(Debug, thiserror::Error)]
enum ResumeError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("its newest block is more than a day ahead of the system clock")]
    FromTheFuture,
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    #[error(transparent)]
    Room(#[from] RestoreError),
}

/// Why the service cannot start. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The data folder cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keys cannot be used.
    #[error(transparent)]
    Keys(#[from] ServerKeysError),
    /// The transparency log cannot go on.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The store cannot be read.
    #[error("the store cannot be read")]
    Read(#[from] ReadError),
    /// The address cannot be listened on.
    #[error("cannot listen on {listen}")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The system gives no thread.
    #[error("the system gives no thread")]
    Thread(#[source] std::io::Error),
}
