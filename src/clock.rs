//! The one place where the service reads the clock.
//!
//! The wall clock is read once, at the start; from then on time goes forward evenly, whatever is done to the
//! wall clock: a clock set back must not refuse everybody's transactions as early, nor keep turns open.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use cadastre_protocol::Millis;

static START: LazyLock<(Millis, Instant)> = LazyLock::new(|| {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (Millis::new(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)), Instant::now())
});

/// How far the service is ahead of the wall clock at its start.
static AHEAD_MS: AtomicU64 = AtomicU64::new(0);

/// Now.
pub(crate) fn now() -> Millis {
    let (start, instant) = &*START;
    let elapsed = u64::try_from(instant.elapsed().as_millis()).unwrap_or(u64::MAX);
    start.after(elapsed).after(AHEAD_MS.load(Ordering::Relaxed))
}

/// How far the service goes ahead of the wall clock at most.
const AHEAD_MS_MAX: u64 = 24 * 60 * 60 * 1000;

/// Goes forward to `time`, if that is not past: the wall clock was set back while the service was away.
/// `false` when `time` is so far ahead that not the wall clock must be wrong, but `time`.
pub(crate) fn advance_to(time: Millis) -> bool {
    let missing = time.get().saturating_sub(now().get());
    if missing > AHEAD_MS_MAX {
        return false;
    }
    if missing > 0 {
        AHEAD_MS.fetch_add(missing, Ordering::Relaxed);
        tracing::warn!(
            missing_ms = missing,
            "the system clock is behind the newest block; going on from that block's time"
        );
    }
    true
}

/// The same clock for token buckets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServiceClock;

impl governor::clock::Clock for ServiceClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        Duration::from_millis(now().get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_forward_only() {
        let before = now();
        assert!(advance_to(Millis::new(before.get().saturating_sub(1))));
        assert!(now() < before.after(1_000_000));
        assert!(advance_to(before.after(10_000_000)));
        assert!(now() >= before.after(10_000_000));
        assert!(!advance_to(before.after(10 * AHEAD_MS_MAX)), "ten days ahead");
    }
}
