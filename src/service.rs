//! The service put together: keys, store, rooms and edge.

use std::{net::SocketAddr, sync::Arc};

use cadastre_protocol::{MatchId, PublicKey};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tracing::{error, info};

use crate::{
    clock,
    config::Config,
    edge::{self, Edge},
    key_file::KeyFileError,
    metrics::Metrics,
    rooms::{RestoreError, Rooms},
    server_keys::{Generations, ServerKeys, ServerKeysError},
    store::{self, MatchRecord, ReadError, RecoveryError, Store, StoreError, StoreLock, Writer},
};

/// A running service.
pub struct Service {
    listen: SocketAddr,
    root: PublicKey,
    rooms: Arc<Rooms>,
    closing: watch::Sender<bool>,
    serving: JoinHandle<()>,
    writer_thread: std::thread::JoinHandle<()>,
    _lock: StoreLock,
}

impl Service {
    /// Starts the service: takes the data folder, makes or loads the keys, opens the store, resumes every
    /// match that was running, and listens.
    ///
    /// # Errors
    ///
    /// In the order of what is said above; the first that applies.
    pub async fn start(config: Config) -> Result<Self, ServiceError> {
        let lock = StoreLock::take(&config.data)?;
        let keys_folder = config.data.join("keys");
        let keys = ServerKeys::load_or_create(&keys_folder, clock::now())?;
        let store = Store::open(&lock, &config.data.join("store"))?;
        let mut generations = Generations::read(&keys_folder)?;
        let generation = generations.begin(store.generation()?)?;
        store.set_generation(generation)?;
        generations.begun(generation)?;

        // Bound before the matches go on, so that a port in use costs nobody a Reopen.
        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(|source| ServiceError::Listen { listen: config.listen, source })?;
        let listen =
            listener.local_addr().map_err(|source| ServiceError::Listen { listen: config.listen, source })?;

        let metrics = Arc::new(Metrics::new());
        let (writer, writer_thread) = Writer::start(
            store.clone(),
            keys.block,
            keys.block_serial,
            config.limits.commits_max,
            metrics.clone(),
        )
        .map_err(ServiceError::Thread)?;
        let config = Arc::new(config);
        let rooms =
            Arc::new(Rooms::new(config, metrics, store.clone(), writer, keys.root, keys.block_certificate));
        let resumed = resume_matches(&store, &rooms)?;
        let (closing, closing_receiver) = watch::channel(false);
        let edge = Arc::new(Edge::new(rooms.clone(), keys.handshake, listen, closing_receiver));
        let serving = tokio::spawn(edge::serve(listener, edge));
        info!(%listen, root_key = %keys.root, generation, resumed, "service started");
        Ok(Self { listen, root: keys.root, rooms, closing, serving, writer_thread, _lock: lock })
    }

    /// Where it listens.
    pub const fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// The key that clients pin.
    pub const fn root(&self) -> PublicKey {
        self.root
    }

    /// Stops in good order: what is under way is brought to disk, everybody is told, connections end.
    pub async fn stop(self) {
        self.rooms.close().await;
        self.closing.send_replace(true);
        // A task that panicked has nothing more to end.
        let _ = self.serving.await;
        drop(self.rooms);
        let thread = self.writer_thread;
        let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        info!("service stopped");
    }
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
            Err(ResumeError::Read(error @ (ReadError::Sled(_) | ReadError::Io(_)))) => {
                return Err(error.into());
            }
            Err(error) => error!(error = &error as &dyn std::error::Error, "a match cannot be resumed"),
        }
    }
    Ok(resumed)
}

/// Opens the room of a match; `false` when the match is over.
fn resume(
    store: &Store,
    rooms: &Arc<Rooms>,
    match_id: MatchId,
    record: MatchRecord,
) -> Result<bool, ResumeError> {
    if store.mark(match_id)?.is_some_and(|mark| mark.sealed) {
        return Ok(false);
    }
    let room = record.room.clone();
    let resume = || {
        let restored = store::recover(store, match_id, record)?;
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
    /// A key file cannot be used.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
}
