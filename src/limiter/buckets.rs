//! Token buckets, one for each key, in bounded memory.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use governor::{
    RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{StateStore, keyed::ShrinkableKeyedStateStore},
};

use crate::{clock::ServiceClock, config::Rate};

/// A bucket for each key.
#[derive(Debug)]
pub(crate) struct Buckets<K: Copy + Eq + Hash, C: Clock = ServiceClock> {
    limiter: RateLimiter<K, Bounded<K>, C, NoOpMiddleware<C::Instant>>,
    keys_max: usize,
    checks: AtomicUsize,
}

impl<K: Copy + Eq + Hash, C: Clock> Buckets<K, C> {
    pub(crate) fn new(rate: Rate, keys_max: usize, clock: C) -> Self {
        let states = Bounded { states: Mutex::default(), keys_max };
        Self { limiter: RateLimiter::new(rate.quota(), states, clock), keys_max, checks: AtomicUsize::new(0) }
    }

    /// Takes a token.
    ///
    /// # Errors
    ///
    /// There is none. The next one comes after so many milliseconds.
    pub(crate) fn take(&self, key: K) -> Result<(), u32> {
        // So often that all checks together do no more than look at one key each.
        if self.checks.fetch_add(1, Ordering::Relaxed) % self.keys_max == self.keys_max - 1 {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(&key).map_err(|refused| {
            let wait = refused.wait_time_from(self.limiter.clock().now());
            u32::try_from(wait.as_millis()).unwrap_or(u32::MAX).saturating_add(1)
        })
    }
}

/// What is remembered of keys. Whoever comes when there is no more room shares a bucket with all others that do;
/// buckets that are full again are forgotten.
#[derive(Debug)]
struct Bounded<K> {
    states: Mutex<States<K>>,
    keys_max: usize,
}

#[derive(Debug)]
struct States<K> {
    by_key: HashMap<K, Nanos>,
    shared: Option<Nanos>,
}

impl<K> Default for States<K> {
    fn default() -> Self {
        Self { by_key: HashMap::new(), shared: None }
    }
}

impl<K> Bounded<K> {
    fn lock(&self) -> MutexGuard<'_, States<K>> {
        // A panic while the lock was held leaves the map whole: every change is one call.
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Copy + Eq + Hash> StateStore for Bounded<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut states = self.lock();
        let known = states.by_key.get(key).copied();
        if known.is_none() && states.by_key.len() >= self.keys_max {
            let (decision, state) = decide(states.shared)?;
            states.shared = Some(state);
            return Ok(decision);
        }
        let (decision, state) = decide(known)?;
        states.by_key.insert(*key, state);
        Ok(decision)
    }
}

impl<K: Copy + Eq + Hash> ShrinkableKeyedStateStore<K> for Bounded<K> {
    fn retain_recent(&self, drop_below: Nanos) {
        self.lock().by_key.retain(|_, state| *state > drop_below);
    }

    fn len(&self) -> usize {
        self.lock().by_key.len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use governor::clock::FakeRelativeClock;

    use super::*;

    const RATE: Rate = Rate { burst: 2, per_min: 6 };

    #[test]
    fn a_bucket_empties_and_fills_again() {
        let clock = FakeRelativeClock::default();
        let buckets = Buckets::new(RATE, 10, clock.clone());
        assert_eq!([buckets.take('a'), buckets.take('a')], [Ok(()), Ok(())]);
        let wait = buckets.take('a').unwrap_err();
        assert!((10_000..=10_001).contains(&wait), "{wait}");
        assert_eq!(buckets.take('b'), Ok(()), "another bucket");
        clock.advance(Duration::from_millis(9_000));
        assert!((1_000..=1_001).contains(&buckets.take('a').unwrap_err()));
        clock.advance(Duration::from_millis(1_000));
        assert_eq!(buckets.take('a'), Ok(()), "when the time has come that it was told");
        assert!(buckets.take('a').is_err());
        clock.advance(Duration::from_secs(1_000));
        assert_eq!([buckets.take('a'), buckets.take('a')], [Ok(()), Ok(())]);
        assert!(buckets.take('a').is_err(), "it never holds more than the burst");
    }

    #[test]
    fn memory_is_bounded_and_whoever_is_known_keeps_the_own_bucket() {
        let clock = FakeRelativeClock::default();
        let buckets = Buckets::new(RATE, 100, clock.clone());
        assert_eq!(buckets.take(0), Ok(()));
        let flood = (1..10_000).filter(|key| buckets.take(*key).is_ok()).count();
        assert_eq!(buckets.limiter.len(), 100);
        assert_eq!(flood, 99 + 2, "those beyond the bound share one bucket");
        assert_eq!(buckets.take(0), Ok(()));
        clock.advance(Duration::from_secs(1_000));
        for _ in 0..100 {
            let _ = buckets.take(0);
        }
        assert_eq!(buckets.limiter.len(), 1, "full buckets are forgotten");
        assert_eq!(buckets.take(20_000), Ok(()));
    }
}
