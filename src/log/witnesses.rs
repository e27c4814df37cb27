//! The client of witnesses: asks each for its cosignature. C2SP tlog-witness.

use std::{sync::Arc, time::Duration};

use cadastre_protocol::log::{AddCheckpoint, NoteSignature, VerifiedCheckpoint, WitnessKey};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, StatusCode, body::Bytes, header};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet};
use tracing::{debug, warn};

use super::{Log, LogError};
use crate::{
    config::{Cosigner, WitnessUrl},
    metrics::{Metrics, Reason},
};

/// Longest answer of a witness that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The witnesses of the log.
#[derive(Debug)]
pub(crate) struct Witnesses {
    witnesses: Vec<Witness>,
    limit: Duration,
}

#[derive(Debug)]
struct Witness {
    cosigner: Arc<Cosigner>,
    /// Size of the checkpoint that it cosigned last, as far as is known.
    known: u64,
}

/// What a witness said.
#[derive(Debug)]
enum Answer {
    Cosigned(NoteSignature),
    /// It knows another checkpoint than was thought.
    Conflict(u64),
}

impl Witnesses {
    /// Each of them has `limit` to answer.
    pub(crate) fn new(cosigners: &[Cosigner], limit: Duration) -> Self {
        let witness = |cosigner: &Cosigner| Witness { cosigner: Arc::new(cosigner.clone()), known: 0 };
        Self { witnesses: cosigners.iter().map(witness).collect(), limit }
    }

    /// Adds to `checkpoint` the cosignatures that it does not have yet and that come in time. All are asked at
    /// once; one that fails is asked again in the next round.
    pub(super) async fn cosign(&mut self, log: &Log, checkpoint: &mut VerifiedCheckpoint, metrics: &Metrics) {
        let mut asked = JoinSet::new();
        for (place, witness) in self.witnesses.iter().enumerate() {
            if has_cosigned(checkpoint, &witness.cosigner.key) {
                continue;
            }
            let (cosigner, known) = (witness.cosigner.clone(), witness.known);
            match request(log, known.min(checkpoint.get().size), checkpoint) {
                Ok(request) => {
                    let limit = self.limit;
                    asked.spawn(async move { (place, within(limit, ask(&cosigner, request)).await) });
                }
                Err(error) => {
                    warn!(error = &error as &dyn std::error::Error, "cannot prove the log's growth");
                }
            }
        }
        let mut again = Vec::new();
        while let Some(Ok((place, answer))) = asked.join_next().await {
            match answer {
                Ok(Answer::Conflict(known)) if known <= checkpoint.get().size => again.push((place, known)),
                answer => self.take(place, answer, checkpoint, metrics),
            }
        }
        for (place, known) in again {
            let Ok(request) = request(log, known, checkpoint) else { continue };
            let cosigner = self.witnesses[place].cosigner.clone();
            let answer = within(self.limit, ask(&cosigner, request)).await;
            self.take(place, answer, checkpoint, metrics);
        }
    }

    fn take(
        &mut self,
        place: usize,
        answer: Result<Answer, WitnessError>,
        checkpoint: &mut VerifiedCheckpoint,
        metrics: &Metrics,
    ) {
        let witness = &mut self.witnesses[place];
        let name = witness.cosigner.key.name();
        let added = answer.and_then(|answer| match answer {
            Answer::Cosigned(line) => {
                checkpoint.add(&witness.cosigner.key, line).map_err(|_| WitnessError::BadCosignature)
            }
            Answer::Conflict(known) => Err(WitnessError::Conflict(known)),
        });
        let word = match added {
            Ok(()) => {
                witness.known = checkpoint.get().size;
                debug!(witness = name, "checkpoint cosigned");
                "cosigned"
            }
            Err(error) => {
                warn!(witness = name, error = &error as &dyn std::error::Error, "no cosignature");
                error.word()
            }
        };
        metrics.log_witnesses.get_or_create(&Reason { reason: word }).inc();
    }
}

fn has_cosigned(checkpoint: &VerifiedCheckpoint, witness: &WitnessKey) -> bool {
    matches!(checkpoint.cosigned_by(witness), Ok(Some(_)))
}

fn request(log: &Log, old: u64, checkpoint: &VerifiedCheckpoint) -> Result<String, LogError> {
    let proof = log.consistency(old, checkpoint.get().size)?;
    Ok(AddCheckpoint { old, proof, checkpoint: checkpoint.clone().into_signed() }.to_string())
}

async fn within(
    limit: Duration,
    asked: impl Future<Output = Result<Answer, WitnessError>>,
) -> Result<Answer, WitnessError> {
    tokio::time::timeout(limit, asked).await.unwrap_or(Err(WitnessError::TooLate))
}

async fn ask(cosigner: &Cosigner, body: String) -> Result<Answer, WitnessError> {
    let (status, body) = post(&cosigner.url, body).await?;
    match status {
        StatusCode::OK => {
            let mut lines = body.lines().filter_map(NoteSignature::parse);
            let line = lines.find(|line| cosigner.key.made(line));
            line.map(Answer::Cosigned).ok_or(WitnessError::BadCosignature)
        }
        StatusCode::CONFLICT => {
            let known = body.trim_end().parse().map_err(|_| WitnessError::Refused(status))?;
            Ok(Answer::Conflict(known))
        }
        refused => Err(WitnessError::Refused(refused)),
    }
}

async fn post(url: &WitnessUrl, body: String) -> Result<(StatusCode, String), WitnessError> {
    let tcp = TcpStream::connect(url.authority()).await.map_err(WitnessError::Unreachable)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(tcp)).await.map_err(WitnessError::Http)?;
    // Ends with the sender.
    tokio::spawn(connection);
    let request = Request::post(format!("{}/add-checkpoint", url.prefix()))
        .header(header::HOST, url.authority())
        .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
        .body(Full::<Bytes>::from(body))
        .map_err(|_| WitnessError::BadCosignature)?;
    let response = sender.send_request(request).await.map_err(WitnessError::Http)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
    let body = body.map_err(|_| WitnessError::Answer)?.to_bytes();
    Ok((status, String::from_utf8(body.to_vec()).map_err(|_| WitnessError::Answer)?))
}

/// Why there is no cosignature of a witness.
#[derive(Debug, thiserror::Error)]
enum WitnessError {
    #[error("it cannot be reached")]
    Unreachable(#[source] std::io::Error),
    #[error("the connection failed")]
    Http(#[source] hyper::Error),
    #[error("it did not answer in time")]
    TooLate,
    #[error("its answer cannot be read")]
    Answer,
    #[error("it answered {0}")]
    Refused(StatusCode),
    #[error("it has cosigned a checkpoint of {0} leaves of this log, which is more than there are here")]
    Conflict(u64),
    #[error("what it answered is not its cosignature")]
    BadCosignature,
}

impl WitnessError {
    const fn word(&self) -> &'static str {
        match self {
            Self::Unreachable(_) | Self::Http(_) => "unreachable",
            Self::TooLate => "too-late",
            Self::Answer | Self::BadCosignature => "bad-answer",
            Self::Refused(_) => "refused",
            Self::Conflict(_) => "conflict",
        }
    }
}
