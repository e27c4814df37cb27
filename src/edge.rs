//! One port for WebSocket and HTTP.
//!
//! An accept loop of our own, since warp's sets no `TCP_NODELAY` and bounds neither the time nor the size of
//! a request's head; hyper for HTTP/1.1; warp for the routes; tungstenite on the upgraded connection, with
//! 4 KiB buffers. `docs/decisions/0003-edge.md`.

mod http;
mod impatient;
mod socket;

use std::{
    error::Error,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use cadastre_protocol::ServerIdentity;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, oneshot, watch},
    task::JoinSet,
};
use tracing::{Instrument, debug, info_span, warn};

use crate::{log::Log, rooms::Rooms};
use impatient::Impatient;

/// Longest head of a request, in bytes.
const REQUEST_HEAD_BYTES_MAX: usize = 8192;

/// Pause after the system refused to hand out a connection (too many open files).
const ACCEPT_PAUSE_MS: u64 = 50;

/// Time that connections have to end in good order when the service closes. Then they are cut.
const CLOSE_MS_MAX: u64 = 5_000;

/// What every connection shares.
pub(crate) struct Edge {
    pub(crate) rooms: Arc<Rooms>,
    pub(crate) log: Arc<Log>,
    pub(crate) identity: ServerIdentity,
    /// Every `host:port` that clients may have dialled.
    pub(crate) authorities: Vec<String>,
    pub(crate) handshakes: Semaphore,
    pub(crate) exports: Arc<Semaphore>,
    pub(crate) closing: watch::Receiver<bool>,
    next_connection: AtomicU64,
}

impl Edge {
    pub(crate) fn new(
        rooms: Arc<Rooms>,
        log: Arc<Log>,
        identity: ServerIdentity,
        listen: SocketAddr,
        closing: watch::Receiver<bool>,
    ) -> Self {
        let config = rooms.shared().config.clone();
        Self {
            authorities: config.authorities_at(listen),
            handshakes: Semaphore::new(config.limits.handshakes_max),
            exports: Arc::new(Semaphore::new(config.limits.exports_max)),
            rooms,
            log,
            identity,
            closing,
            next_connection: AtomicU64::new(0),
        }
    }

    fn number(&self) -> u64 {
        self.next_connection.fetch_add(1, Ordering::Relaxed)
    }
}

/// Accepts connections until the service closes; then waits for those that are open.
pub(crate) async fn serve(listener: TcpListener, edge: Arc<Edge>) {
    let mut closing = edge.closing.clone();
    let limits = edge.rooms.shared().config.limits.clone();
    let metrics = edge.rooms.shared().metrics.clone();
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = closed(&mut closing) => break,
            Some(_) = connections.join_next() => continue,
        };
        let (tcp, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            metrics.count_closed("connections-max");
            continue;
        };
        let connection = edge.number();
        let edge = edge.clone();
        let metrics = metrics.clone();
        connections.spawn(
            async move {
                metrics.connections.inc();
                handle(tcp, edge, connection).await;
                metrics.connections.dec();
                drop(place);
            }
            .instrument(info_span!("connection", connection, %peer)),
        );
    }
    drop(listener);
    let limit = Duration::from_millis(CLOSE_MS_MAX);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limit, all_ended).await.is_err() {
        warn!(connections = connections.len(), "connections did not end in time and are cut");
        connections.shutdown().await;
    }
}

/// Speaks HTTP on a connection, and the game protocol if it is upgraded.
async fn handle(tcp: TcpStream, edge: Arc<Edge>, connection: u64) {
    // Boxed, so that a game connection does not carry the HTTP one's state to its end.
    let upgrade = Box::pin(serve_http(tcp, edge.clone())).await;
    if let Some(upgrade) = upgrade {
        Box::pin(socket::run(upgrade, edge, connection)).await;
    }
}

/// Answers requests until the connection ends, or is upgraded to the game.
async fn serve_http(tcp: TcpStream, edge: Arc<Edge>) -> Option<http::Upgrade> {
    if let Err(error) = tcp.set_nodelay(true) {
        debug!(%error, "connection is gone");
        return None;
    }
    let limits = &edge.rooms.shared().config.limits;
    let io = Impatient::new(tcp, Duration::from_millis(limits.write_ms_max));
    // The upgraded connection is handed over here, so that it is counted and ended as this one.
    let (upgraded, mut handed_over) = oneshot::channel();
    let routes = http::routes(edge.clone(), upgraded);
    let mut serving = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_millis(limits.handshake_ms_max))
            .max_buf_size(REQUEST_HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(io), TowerToHyperService::new(warp::service(routes)))
            .with_upgrades()
    );
    let mut closing = edge.closing.clone();
    let served = tokio::select! {
        served = serving.as_mut() => served,
        () = closed(&mut closing) => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = served {
        debug!(%error, "HTTP connection ended");
        let io = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
        if error.is_timeout() {
            edge.rooms.shared().metrics.count_closed("handshake-time");
        } else if io.is_some_and(|io| io.kind() == std::io::ErrorKind::TimedOut) {
            edge.rooms.shared().metrics.count_closed("stuck");
        }
        return None;
    }
    handed_over.try_recv().ok()
}

/// Waits until the service closes.
async fn closed(closing: &mut watch::Receiver<bool>) {
    // An error means that the service is gone, which is closed enough.
    let _ = closing.wait_for(|closing| *closing).await;
}
