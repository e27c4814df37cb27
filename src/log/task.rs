//! The task that appends to the log, asks the witnesses and publishes.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use cadastre_protocol::{MatchId, log::LogEntry};
use tokio::{sync::watch, time::MissedTickBehavior};
use tracing::{error, info};

use super::{Appender, Log, LogError, Witnesses};
use crate::{
    metrics::Metrics,
    store::{Mark, Store},
};

/// Logs new heads every `interval`, and at once when a match is over, until the service closes or the log cannot
/// be written. Heads that are still unlogged then are logged by the next start.
pub(crate) async fn run(
    log: Arc<Log>,
    mut appender: Appender,
    mut witnesses: Witnesses,
    store: Store,
    metrics: Arc<Metrics>,
    interval: Duration,
    mut closing: watch::Receiver<bool>,
) {
    let _healthy = ClearedOnDrop(&log);
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = store.heads().sealed() => {}
            _ = closing.wait_for(|closing| *closing) => return,
        }
        tokio::select! {
            done = round(&log, &mut appender, &mut witnesses, &store, &metrics) => {
                if let Err(error) = done {
                    error!(
                        error = &error as &dyn std::error::Error,
                        "the transparency log cannot be written; nothing is logged any more"
                    );
                    return;
                }
            }
            _ = closing.wait_for(|closing| *closing) => return,
        }
    }
}

/// However the task ends, by an error or a panic, the log is healthy no more.
struct ClearedOnDrop<'a>(&'a Log);

impl Drop for ClearedOnDrop<'_> {
    fn drop(&mut self) {
        self.0.healthy.store(false, Ordering::Release);
    }
}

/// Only waiting for witnesses can be cancelled: all else is done within one poll.
async fn round(
    log: &Log,
    appender: &mut Appender,
    witnesses: &mut Witnesses,
    store: &Store,
    metrics: &Metrics,
) -> Result<(), LogError> {
    let heads = store.heads().take();
    let entries: Vec<_> = heads.iter().map(entry).collect();
    let before = log.checkpoint();
    tokio::task::block_in_place(|| appender.append(log, &entries))?;
    witnesses.cosign(log, &mut appender.checkpoint, metrics).await;
    if appender.checkpoint != before {
        tokio::task::block_in_place(|| appender.publish(log))?;
        info!(
            size = appender.checkpoint.get().size,
            signatures = appender.checkpoint.note().signatures().len(),
            "checkpoint published"
        );
    }
    metrics.log_size.set(i64::try_from(appender.checkpoint.get().size).unwrap_or(i64::MAX));
    Ok(())
}

fn entry((match_id, mark): (&MatchId, &Mark)) -> LogEntry {
    LogEntry { match_id: *match_id, height: mark.height, block: mark.block }
}
