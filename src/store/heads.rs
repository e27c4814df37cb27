//! Which matches have new heads since somebody asked: what the transparency log is fed from.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use cadastre_protocol::MatchId;
use tokio::sync::Notify;

use super::Mark;

/// The newest durable head of each match that has moved.
#[derive(Debug, Default)]
pub struct Heads {
    moved: Mutex<BTreeMap<MatchId, Mark>>,
    sealed: Notify,
}

impl Heads {
    /// Notes a head that is on disk.
    pub(crate) fn note(&self, match_id: MatchId, mark: Mark) {
        self.lock().insert(match_id, mark);
        if mark.sealed {
            self.sealed.notify_one();
        }
    }

    /// Takes all that were noted since it was last called.
    pub(crate) fn take(&self) -> BTreeMap<MatchId, Mark> {
        std::mem::take(&mut *self.lock())
    }

    /// Waits until a match is over.
    pub(crate) async fn sealed(&self) {
        self.sealed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<MatchId, Mark>> {
        // Every change is one call: a panic leaves the map whole.
        self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
