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
    io::Write,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use cadastre_client::LIMIT_HEADER;
use cadastre_protocol::{Notice, ServerIdentity};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use rustix::net::sockopt::set_socket_send_buffer_size;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, oneshot, watch},
    task::JoinSet,
};
use tracing::{Instrument, debug, info_span, warn};

use crate::{
    limiter::{Address, Limiter, Over},
    log::Log,
    rooms::Rooms,
};
use impatient::Impatient;

/// Longest head of a request, in bytes.
const REQUEST_HEAD_BYTES_MAX: usize = 8192;

/// Pause after the system refused to hand out a connection (too many open files).
const ACCEPT_PAUSE_MS: u64 = 50;

/// What the system takes from us for a client that does not read, in bytes; it may take twice as much. Left to itself it
/// takes megabytes, and a slow spectator is minutes behind before anybody notices.
const SEND_BUFFER_BYTES: usize = 128 * 1024;

/// Whoever finds all places of the service taken is told to come again after this time.
const REFUSED_RETRY_MS: u32 = 2_000;

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
    pub(crate) limiter: Limiter,
    pub(crate) closing: watch::Receiver<bool>,
    /// What everybody who is logged in is told.
    pub(crate) notices: watch::Receiver<Option<Notice>>,
    next_connection: AtomicU64,
}

impl Edge {
    pub(crate) fn new(
        rooms: Arc<Rooms>,
        log: Arc<Log>,
        identity: ServerIdentity,
        listen: SocketAddr,
        (closing, notices): (watch::Receiver<bool>, watch::Receiver<Option<Notice>>),
    ) -> Self {
        let config = rooms.shared().config.clone();
        Self {
            authorities: config.authorities_at(listen),
            handshakes: Semaphore::new(config.limits.handshakes_max),
            exports: Arc::new(Semaphore::new(config.limits.exports_max)),
            limiter: Limiter::new(&config, rooms.shared().metrics.clone()),
            rooms,
            log,
            identity,
            closing,
            notices,
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
            metrics.count_limited("connections_max");
            refuse(tcp, Over { limit: "connections_max", retry_after_ms: REFUSED_RETRY_MS });
            continue;
        };
        // Those that come through a proxy are counted when they say for whom.
        let is_proxy = edge.limiter.is_proxy(peer.ip());
        let of_address = (!is_proxy).then(|| edge.limiter.connection(Address::of(peer.ip()))).transpose();
        let of_address = match of_address {
            Ok(of_address) => of_address,
            Err(over) => {
                metrics.count_closed("connections-per-address-max");
                refuse(tcp, over);
                continue;
            }
        };
        let connection = edge.number();
        let edge = edge.clone();
        let metrics = metrics.clone();
        connections.spawn(
            async move {
                metrics.connections.inc();
                handle(tcp, peer.ip(), edge, connection).await;
                metrics.connections.dec();
                drop((place, of_address));
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

/// Says why a connection is closed at once, if that can be said without waiting.
fn refuse(tcp: TcpStream, over: Over<&'static str>) {
    let (body, seconds) = (http::reason(over), over.retry_after_s());
    let answer = format!(
        "HTTP/1.1 429 Too Many Requests\r\nretry-after: {seconds}\r\n{LIMIT_HEADER}: {}\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        over.limit,
        body.len(),
    );
    // Not blocking: what does not fit into an empty buffer is not worth a wait.
    let _ = tcp.into_std().and_then(|mut tcp| tcp.write_all(answer.as_bytes()));
}

/// Speaks HTTP on a connection, and the game protocol if it is upgraded.
async fn handle(tcp: TcpStream, peer: IpAddr, edge: Arc<Edge>, connection: u64) {
    // Boxed, so that a game connection does not carry the HTTP one's state to its end.
    let upgrade = Box::pin(serve_http(tcp, peer, edge.clone())).await;
    if let Some(upgrade) = upgrade {
        Box::pin(socket::run(upgrade, edge, connection)).await;
    }
}

/// Answers requests until the connection ends, or is upgraded to the game.
async fn serve_http(tcp: TcpStream, peer: IpAddr, edge: Arc<Edge>) -> Option<http::Upgrade> {
    let set = tcp.set_nodelay(true).and_then(|()| Ok(set_socket_send_buffer_size(&tcp, SEND_BUFFER_BYTES)?));
    if let Err(error) = set {
        debug!(%error, "connection is gone");
        return None;
    }
    let limits = &edge.rooms.shared().config.limits;
    let io = Impatient::new(tcp, Duration::from_millis(limits.write_ms_max));
    // The upgraded connection is handed over here, so that it is counted and ended as this one.
    let (upgraded, mut handed_over) = oneshot::channel();
    let routes = TowerToHyperService::new(warp::service(http::routes(edge.clone(), upgraded, peer)));
    let service = http::Limited::new(routes, edge.clone(), peer);
    let mut serving = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_millis(limits.handshake_ms_max))
            .max_buf_size(REQUEST_HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(io), service)
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
