//! A witness: cosigns the checkpoints of logs that it knows, as long as each follows from the one before.
//! C2SP tlog-witness.
//!
//! # Requires
//!
//! - A folder that is never put back from a backup: the witness would cosign a past that it has seen overtaken.
//!
//! # Provides
//!
//! - Of each log, the checkpoints that it cosigned follow from each other; the newest is durable before its
//!   cosignature leaves.
//! - Two checkpoints that contradict each other are kept, as evidence where the log's certificate is known.
//!
//! # Does not provide
//!
//! - TLS: a proxy in front of it does.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use cadastre_protocol::{
    LogFork, PublicKey, SignedCertificate,
    log::{
        AddCheckpoint, AddCheckpointError, LogKey, NOTE_BYTES_MAX, Origin, SignedCheckpoint,
        VerifiedCheckpoint, WitnessKey, WitnessRefusal, WitnessSigner, contradiction,
    },
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tracing::{debug, info, warn};

use crate::{
    clock, durable,
    store::{StoreError, StoreLock},
};

/// Most connections at once; more wait to be accepted.
const CONNECTIONS_MAX: usize = 256;

/// Time for the head of a request, and for its body.
const REQUEST_MS_MAX: u64 = 10_000;

/// Longest body of a request: a proof and a note.
const BODY_BYTES_MAX: usize = NOTE_BYTES_MAX + 8192;

/// A log key that the root key of a service has certified.
#[derive(Debug)]
pub(crate) struct Certified {
    /// The root key.
    pub(crate) service: PublicKey,
    /// What it signed.
    pub(crate) certificate: SignedCertificate,
    /// The log's key.
    pub(crate) key: PublicKey,
}

/// A witness of some logs.
#[derive(Debug)]
pub(crate) struct Witness {
    signer: WitnessSigner,
    logs: BTreeMap<Origin, LogKey>,
    certified: Vec<Certified>,
    folder: PathBuf,
    /// What it cosigned last of each log.
    latest: Mutex<BTreeMap<Origin, VerifiedCheckpoint>>,
    _lock: StoreLock,
}

impl Witness {
    /// Opens the witness in its folder, which no other process may have.
    ///
    /// # Errors
    ///
    /// The folder cannot be used, or has a checkpoint that is not that of a log's key.
    pub(crate) fn open(
        folder: &Path,
        signer: WitnessSigner,
        logs: BTreeMap<Origin, LogKey>,
        certified: Vec<Certified>,
    ) -> Result<Self, WitnessError> {
        let lock = StoreLock::take(folder)?;
        let mut latest = BTreeMap::new();
        for (origin, key) in &logs {
            let path = path_of(folder, origin);
            match std::fs::read(&path) {
                Ok(bytes) => {
                    let checkpoint = SignedCheckpoint::parse(&bytes).and_then(|c| c.verify(key));
                    let checkpoint = checkpoint.map_err(|_| WitnessError::Foreign { path })?;
                    latest.insert(origin.clone(), checkpoint);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(WitnessError::Io { path, source }),
            }
        }
        let latest = Mutex::new(latest);
        Ok(Self { signer, logs, certified, folder: folder.to_owned(), latest, _lock: lock })
    }

    /// What verifies its cosignatures.
    pub(crate) const fn key(&self) -> &WitnessKey {
        self.signer.key()
    }

    /// Cosigns the checkpoint of a request, at `time_s` in seconds since 1970. The line that is given back is
    /// durable.
    fn add(&self, body: &[u8], time_s: u64) -> Result<String, Refusal> {
        let request = AddCheckpoint::parse(body)?;
        let origin = request.checkpoint.claims().origin.clone();
        let key = self.logs.get(&origin);
        // Held until the new checkpoint is on disk: no other request may be judged by the old one.
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let before = latest.get(&origin);
        let signed = key.and_then(|key| request.checkpoint.clone().verify(key).ok());
        if let (Some(before), Some(signed)) = (before, &signed)
            && contradiction(before, signed).is_some()
        {
            self.keep_fork(&origin, before, signed)?;
        }
        let mut checkpoint = request.judge(key, before.map(VerifiedCheckpoint::get))?.bare();
        let line = self.signer.cosign(&checkpoint, time_s);
        let text = format!("{line}\n");
        checkpoint.add(self.key(), line).expect("a cosignature of this key over this checkpoint");
        durable::replace(&path_of(&self.folder, &origin), checkpoint.to_string().as_bytes())?;
        info!(%origin, size = checkpoint.get().size, "checkpoint cosigned");
        latest.insert(origin, checkpoint);
        Ok(text)
    }

    /// Keeps the second of two checkpoints that contradict each other; the first is the one cosigned last.
    fn keep_fork(
        &self,
        origin: &Origin,
        before: &VerifiedCheckpoint,
        signed: &VerifiedCheckpoint,
    ) -> io::Result<()> {
        let path = path_of(&self.folder, origin);
        let fork = path.with_extension("fork");
        warn!(%origin, path = %fork.display(), "the log has forked: it signed two roots of one size");
        let signed = signed.bare();
        durable::replace(&fork, signed.to_string().as_bytes())?;
        let key = self.logs.get(origin).map(LogKey::public);
        let Some(certified) = self.certified.iter().find(|certified| Some(certified.key) == key) else {
            return Ok(());
        };
        let evidence = LogFork {
            service: certified.service,
            certificate: certified.certificate.clone(),
            first: before.bare().to_string().into_bytes(),
            second: signed.to_string().into_bytes(),
        };
        durable::replace(&path.with_extension("cade"), &evidence.to_bytes())
    }

    /// The checkpoint that was cosigned last of the log whose origin has this hash.
    fn latest(&self, hash: &str) -> Option<String> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let of_hash = |(origin, _): &(&Origin, _)| origin.hash().to_string() == hash;
        latest.iter().find(of_hash).map(|(_, checkpoint)| checkpoint.to_string())
    }
}

/// The file with what was cosigned last of a log.
fn path_of(folder: &Path, origin: &Origin) -> PathBuf {
    folder.join(format!("{}.checkpoint", origin.hash()))
}

/// Answers requests until the task is dropped.
pub(crate) async fn serve(listener: TcpListener, witness: Arc<Witness>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((tcp, peer)) => {
                let witness = witness.clone();
                tokio::spawn(async move {
                    serve_connection(tcp, peer, witness).await;
                    drop(place);
                });
            }
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve_connection(tcp: TcpStream, peer: SocketAddr, witness: Arc<Witness>) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(REQUEST_MS_MAX))
        .serve_connection(
            TokioIo::new(tcp),
            service_fn(|request| {
                let witness = witness.clone();
                async move { Ok::<_, Infallible>(answer(&witness, request).await) }
            }),
        )
        .await;
    if let Err(error) = served {
        debug!(%error, %peer, "connection ended");
    }
}

async fn answer(witness: &Witness, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    if let Some(hash) = path.strip_prefix('/').and_then(|path| path.strip_suffix("/checkpoint")) {
        return match witness.latest(hash) {
            Some(checkpoint) if parts.method == Method::GET => text(StatusCode::OK, PLAIN, checkpoint),
            Some(_) => text(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "only GET\n".into()),
            None => text(StatusCode::NOT_FOUND, PLAIN, "nothing was cosigned of such a log\n".into()),
        };
    }
    if path != "/add-checkpoint" {
        return text(StatusCode::NOT_FOUND, PLAIN, "nothing here\n".into());
    }
    if parts.method != Method::POST {
        return text(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "only POST\n".into());
    }
    let limit = Duration::from_millis(REQUEST_MS_MAX);
    let body = match tokio::time::timeout(limit, Limited::new(body, BODY_BYTES_MAX).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => return text(StatusCode::BAD_REQUEST, PLAIN, "the body cannot be read\n".into()),
        Err(_) => return text(StatusCode::REQUEST_TIMEOUT, PLAIN, "too slow\n".into()),
    };
    let time_s = clock::now().get() / 1000;
    match tokio::task::block_in_place(|| witness.add(&body, time_s)) {
        Ok(line) => text(StatusCode::OK, PLAIN, line),
        Err(refusal) => refused(&refusal),
    }
}

const PLAIN: &str = "text/plain; charset=utf-8";

fn refused(refusal: &Refusal) -> Response<Full<Bytes>> {
    info!(%refusal, "checkpoint not cosigned");
    let status = match refusal {
        Refusal::Malformed(_) | Refusal::Judged(WitnessRefusal::GoesBack) => StatusCode::BAD_REQUEST,
        Refusal::Judged(WitnessRefusal::UnknownLog) => StatusCode::NOT_FOUND,
        Refusal::Judged(WitnessRefusal::Signature(_)) => StatusCode::FORBIDDEN,
        Refusal::Judged(WitnessRefusal::Conflict { known }) => {
            return text(StatusCode::CONFLICT, "text/x.tlog.size", format!("{known}\n"));
        }
        Refusal::Judged(WitnessRefusal::Inconsistent) => StatusCode::UNPROCESSABLE_ENTITY,
        Refusal::Disk(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    text(status, PLAIN, format!("{refusal}\n"))
}

fn text(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}

/// Why a checkpoint is not cosigned.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Malformed(#[from] AddCheckpointError),
    #[error(transparent)]
    Judged(#[from] WitnessRefusal),
    #[error("the witness cannot write")]
    Disk(#[from] io::Error),
}

/// Why a witness cannot start. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WitnessError {
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] StoreError),
    /// A file cannot be read.
    #[error("cannot use {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A checkpoint is not of the log that it should be of.
    #[error("{path} is not a checkpoint that the key given for this log signed")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
}
