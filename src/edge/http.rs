//! The routes: game, health, rooms, matches, replays, evidence, metrics. `docs/operations.md`, "HTTP".

use std::{
    convert::Infallible,
    net::IpAddr,
    sync::{Arc, Mutex},
};

use cadastre_client::{LIMIT_HEADER, SUBPROTOCOL};
use cadastre_protocol::{Digest, MatchId, RoomName, Seat, encode, log::Tile};
use futures_util::future::{Either, Ready, ready};
use hyper::{Request, StatusCode, header, service::Service, upgrade::OnUpgrade};
use serde::Serialize;
use serde_json::json;
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use warp::{
    Filter, Rejection, Reply,
    filters::{BoxedFilter, path::Tail},
    reject::InvalidQuery,
    reply::Response,
};

use super::Edge;
use crate::{
    clock,
    export::{self, ExportError, MatchQuery},
    limiter::{Address, ConnectionPlace, Over},
    log::Log,
    server_keys::REVOCATIONS,
};

/// An upgraded connection, and the authority that its client dialled.
pub(super) struct Upgrade {
    pub(super) on_upgrade: OnUpgrade,
    pub(super) authority: String,
    /// Who dialled it.
    pub(super) address: Address,
    /// Kept until the handshake is completed.
    pub(super) handshake: ConnectionPlace,
    /// Kept as long as the connection, if it came through a proxy.
    pub(super) connection: Option<ConnectionPlace>,
}

/// The routes behind the limits of whoever asks.
pub(super) struct Limited<S> {
    routes: S,
    edge: Arc<Edge>,
    peer: IpAddr,
}

impl<S> Limited<S> {
    pub(super) const fn new(routes: S, edge: Arc<Edge>, peer: IpAddr) -> Self {
        Self { routes, edge, peer }
    }

    fn admit<B>(&self, request: &Request<B>) -> Result<(), Over<&'static str>> {
        let limiter = &self.edge.limiter;
        let address = || limiter.address_of(self.peer, request.headers());
        // A slash at the end changes nothing for the routes either.
        match request.uri().path().trim_end_matches('/') {
            // What happens must be seen above all while somebody asks too much.
            "/health" | "/metrics" => Ok(()),
            // Has limits of its own.
            "/ws" => Ok(()),
            path => {
                limiter.request(address())?;
                let is_export =
                    path == "/matches" || path.ends_with("/replay") || path.contains("/evidence/");
                if is_export { limiter.export(address()) } else { Ok(()) }
            }
        }
    }
}

impl<S, B> Service<Request<B>> for Limited<S>
where
    S: Service<Request<B>, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<S::Future, Ready<Result<Response, Infallible>>>;

    fn call(&self, request: Request<B>) -> Self::Future {
        match self.admit(&request) {
            Ok(()) => Either::Left(self.routes.call(request)),
            Err(over) => Either::Right(ready(Ok(limited(over)))),
        }
    }
}

/// The routes of one connection from `peer`. The first upgrade is handed to `upgraded`.
pub(super) fn routes(
    edge: Arc<Edge>,
    upgraded: oneshot::Sender<Upgrade>,
    peer: IpAddr,
) -> BoxedFilter<(Response,)> {
    let upgraded = Arc::new(Mutex::new(Some(upgraded)));
    let with_edge = {
        let edge = edge.clone();
        warp::any().map(move || edge.clone())
    };
    let game = warp::path!("ws")
        .and(warp::get())
        .and(warp::header::headers_cloned())
        .and(warp::ext::optional::<OnUpgrade>())
        .map(move |headers: hyper::HeaderMap, on_upgrade| match check_upgrade(&edge, &headers, on_upgrade) {
            Ok((on_upgrade, authority, accept)) => {
                let places = connection_places(&edge, peer, &headers);
                let (address, handshake, connection) = match places {
                    Ok(places) => places,
                    Err(over) => return limited(over),
                };
                let sender = upgraded.lock().ok().and_then(|mut sender| sender.take());
                let upgrade = Upgrade { on_upgrade, authority, address, handshake, connection };
                let handed = sender.map(|sender| sender.send(upgrade));
                match handed {
                    Some(Ok(())) => switching(&accept),
                    Some(Err(_)) | None => text(StatusCode::BAD_REQUEST, "upgraded already"),
                }
            }
            Err((status, why)) => text(status, why),
        });
    let health = warp::path!("health").and(warp::get()).and(with_edge.clone()).map(|edge: Arc<Edge>| {
        let shared = edge.rooms.shared();
        let (status, word) = if *edge.closing.borrow() {
            (StatusCode::SERVICE_UNAVAILABLE, "closing")
        } else if !shared.writer.is_healthy() {
            (StatusCode::SERVICE_UNAVAILABLE, "the store cannot be written")
        } else if !edge.log.is_healthy() {
            (StatusCode::SERVICE_UNAVAILABLE, "the transparency log cannot be written")
        } else {
            (StatusCode::OK, "ok")
        };
        json_reply(status, &json!({ "status": word, "rooms": edge.rooms.count() }))
    });
    let rooms = warp::path!("rooms")
        .and(warp::get())
        .and(warp::query())
        .and(with_edge.clone())
        .map(|query, edge: Arc<Edge>| json_reply(StatusCode::OK, &edge.rooms.page(&query)));
    let matches = warp::path!("matches").and(warp::get()).and(warp::query()).and(with_edge.clone()).then(
        |query: MatchQuery, edge: Arc<Edge>| async {
            blocking(edge, move |edge| match export::list(&edge.rooms.shared().store, &query, clock::now()) {
                Ok(Some(page)) => json_reply(StatusCode::OK, &page),
                Ok(None) => text(StatusCode::BAD_REQUEST, "there is no match to go on after"),
                Err(error) => failed(&error),
            })
            .await
        },
    );
    let replay = warp::path!("matches" / String / "replay").and(warp::get()).and(with_edge.clone()).then(
        |id: String, edge: Arc<Edge>| async {
            blocking(edge, move |edge| replay_of(edge, Digest::from_hex(&id).map(MatchId::new))).await
        },
    );
    let evidence = warp::path!("matches" / String / "evidence" / u8)
        .and(warp::get())
        .and(with_edge.clone())
        .then(|id: String, seat: u8, edge: Arc<Edge>| async move {
            blocking(edge, move |edge| {
                evidence_of(edge, Digest::from_hex(&id).map(MatchId::new), Seat::new(seat))
            })
            .await
        });
    let room_replay = warp::path!("rooms" / String / "replay").and(warp::get()).and(with_edge.clone()).then(
        |name: String, edge: Arc<Edge>| async {
            blocking(edge, move |edge| {
                let found = RoomName::new(&name)
                    .map(|name| export::newest_of_room(&edge.rooms.shared().store, &name));
                match found {
                    Some(Ok(match_id)) => replay_of(edge, match_id),
                    Some(Err(error)) => failed(&error),
                    None => text(StatusCode::NOT_FOUND, "no such room"),
                }
            })
            .await
        },
    );
    let revocations =
        warp::path!("revocations").and(warp::get()).and(with_edge.clone()).then(|edge: Arc<Edge>| async {
            blocking(edge, |edge| {
                let path = edge.rooms.shared().config.data.join("keys").join(REVOCATIONS);
                match std::fs::read_to_string(path) {
                    Ok(list) => {
                        warp::reply::with_header(list, header::CONTENT_TYPE, "text/plain").into_response()
                    }
                    Err(_) => text(StatusCode::NOT_FOUND, "no certificate is revoked"),
                }
            })
            .await
        });
    let log = warp::path("log")
        .and(warp::get())
        .and(warp::path::tail())
        .and(with_edge.clone())
        .then(|path: Tail, edge: Arc<Edge>| async move { log_file(&edge.log, path.as_str()).await });
    let metrics = warp::path!("metrics").and(warp::get()).and(with_edge).map(|edge: Arc<Edge>| {
        let body = edge.rooms.shared().metrics.render();
        warp::reply::with_header(
            body,
            header::CONTENT_TYPE,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        )
        .into_response()
    });
    game.or(health)
        .unify()
        .or(rooms)
        .unify()
        .or(matches)
        .unify()
        .or(replay)
        .unify()
        .or(evidence)
        .unify()
        .or(room_replay)
        .unify()
        .or(revocations)
        .unify()
        .or(log)
        .unify()
        .or(metrics)
        .unify()
        .recover(|rejected: Rejection| async move {
            let is_found = rejected.find::<InvalidQuery>().is_some();
            Ok::<_, Infallible>(if is_found {
                text(StatusCode::BAD_REQUEST, "the query is not understood; see `docs/operations.md`")
            } else {
                text(StatusCode::NOT_FOUND, "nothing here")
            })
        })
        .unify()
        .boxed()
}

/// Checks what RFC 6455, section 4.2.1, asks for, and that the client speaks our protocol with a server of
/// our name. `OnUpgrade` is there even for a request that does not ask to upgrade.
fn check_upgrade(
    edge: &Edge,
    headers: &hyper::HeaderMap,
    on_upgrade: Option<OnUpgrade>,
) -> Result<(OnUpgrade, String, String), (StatusCode, &'static str)> {
    let text_of = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let lists = |name, word: &str| {
        text_of(name).is_some_and(|list| list.split(',').any(|item| item.trim().eq_ignore_ascii_case(word)))
    };
    let asks = lists(header::CONNECTION, "upgrade") && lists(header::UPGRADE, "websocket");
    let on_upgrade = on_upgrade.filter(|_| asks);
    let on_upgrade = on_upgrade.ok_or((StatusCode::UPGRADE_REQUIRED, "this is a WebSocket"))?;
    if text_of(header::SEC_WEBSOCKET_VERSION) != Some("13") {
        return Err((StatusCode::BAD_REQUEST, "WebSocket version 13 is spoken here"));
    }
    let key = text_of(header::SEC_WEBSOCKET_KEY).ok_or((StatusCode::BAD_REQUEST, "no WebSocket key"))?;
    if !lists(header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL) {
        return Err((StatusCode::BAD_REQUEST, "subprotocol cadastre.v1 is spoken here"));
    }
    let host = text_of(header::HOST).unwrap_or_default();
    if !edge.authorities.iter().any(|authority| authority == host) {
        return Err((
            StatusCode::MISDIRECTED_REQUEST,
            "this server does not have that name; see `authorities`",
        ));
    }
    Ok((on_upgrade, host.to_owned(), derive_accept_key(key.as_bytes())))
}

type ConnectionPlaces = (Address, ConnectionPlace, Option<ConnectionPlace>);

/// Who dials, and the places of the handshake and, behind a proxy, of the connection.
fn connection_places(
    edge: &Edge,
    peer: IpAddr,
    headers: &hyper::HeaderMap,
) -> Result<ConnectionPlaces, Over<&'static str>> {
    let limiter = &edge.limiter;
    let address = limiter.address_of(peer, headers);
    let connection = limiter.is_proxy(peer).then(|| limiter.connection(address)).transpose()?;
    Ok((address, limiter.handshake(address)?, connection))
}

fn switching(accept: &str) -> Response {
    hyper::Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept)
        .header(header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL)
        .body(String::new())
        .map(|response| response.map(Into::into))
        .unwrap_or_else(|_| text(StatusCode::INTERNAL_SERVER_ERROR, "bad header"))
}

fn replay_of(edge: &Edge, match_id: Option<MatchId>) -> Response {
    let Some(match_id) = match_id else { return text(StatusCode::NOT_FOUND, "no such match") };
    let logged = edge.log.prove(match_id).unwrap_or_else(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "cannot prove what is logged");
        None
    });
    match export::replay(&edge.rooms.shared().store, logged.as_ref(), match_id, clock::now()) {
        Ok(Some(bytes)) => {
            warp::reply::with_header(bytes, header::CONTENT_TYPE, "application/octet-stream").into_response()
        }
        Ok(None) => text(StatusCode::NOT_FOUND, "no such match"),
        Err(ExportError::Unwatched) => {
            text(StatusCode::FORBIDDEN, "not everybody may watch this match; it can be had when it is over")
        }
        Err(error) => failed(&error),
    }
}

fn evidence_of(edge: &Edge, match_id: Option<MatchId>, seat: Option<Seat>) -> Response {
    let (Some(match_id), Some(seat)) = (match_id, seat) else {
        return text(StatusCode::NOT_FOUND, "no such match");
    };
    match export::evidence(&edge.rooms.shared().store, match_id, seat) {
        Ok(Some(bytes)) => {
            warp::reply::with_header(bytes, header::CONTENT_TYPE, "application/octet-stream").into_response()
        }
        Ok(None) => text(StatusCode::NOT_FOUND, "no evidence about this seat"),
        Err(ExportError::Unwatched) => {
            text(StatusCode::FORBIDDEN, "nobody may see this turn yet; it can be had when it is over")
        }
        Err(error) => failed(&error),
    }
}

/// A file of the transparency log, below its prefix. Tiles never change; the checkpoint always may.
async fn log_file(log: &Log, path: &str) -> Response {
    let file = |bytes: Vec<u8>, content_type: &'static str, caching: &'static str| {
        let reply = warp::reply::with_header(bytes, header::CONTENT_TYPE, content_type);
        warp::reply::with_header(reply, header::CACHE_CONTROL, caching).into_response()
    };
    let not_found = || text(StatusCode::NOT_FOUND, "the log has no such file");
    match path {
        "checkpoint" => {
            file(log.checkpoint().to_string().into_bytes(), "text/plain; charset=utf-8", "no-cache")
        }
        "certificate" => file(encode(log.certificate()), "application/octet-stream", "no-cache"),
        path => match Tile::from_path(path).and_then(|tile| log.tile(tile)) {
            None => not_found(),
            Some(path) => tokio::fs::read(path).await.map_or_else(
                |_| not_found(),
                |bytes| file(bytes, "application/octet-stream", "public, max-age=31536000, immutable"),
            ),
        },
    }
}

/// Runs something that reads the store or executes a match, away from the tasks that serve players and only
/// so many at once.
async fn blocking(edge: Arc<Edge>, work: impl FnOnce(&Edge) -> Response + Send + 'static) -> Response {
    let Ok(turn) = edge.exports.clone().acquire_owned().await else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "closing");
    };
    // The work keeps its turn to its end, also when nobody waits for the answer any more.
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        work(&edge)
    })
    .await
    .unwrap_or_else(|_| text(StatusCode::INTERNAL_SERVER_ERROR, "failed"))
}

fn failed(error: &(dyn std::error::Error + 'static)) -> Response {
    tracing::error!(error, "request failed");
    text(StatusCode::INTERNAL_SERVER_ERROR, "the store cannot be read; the log says why")
}

fn text(status: StatusCode, body: &'static str) -> Response {
    warp::reply::with_status(body, status).into_response()
}

/// Says in one sentence which limit is reached.
pub(super) fn reason(over: Over<&'static str>) -> String {
    format!("limit `{}` is reached; come again in {} s", over.limit, over.retry_after_s())
}

fn limited(over: Over<&'static str>) -> Response {
    let reply = warp::reply::with_status(reason(over), StatusCode::TOO_MANY_REQUESTS);
    let reply = warp::reply::with_header(reply, LIMIT_HEADER, over.limit);
    warp::reply::with_header(reply, header::RETRY_AFTER, over.retry_after_s()).into_response()
}

fn json_reply(status: StatusCode, body: &impl Serialize) -> Response {
    warp::reply::with_status(warp::reply::json(body), status).into_response()
}
