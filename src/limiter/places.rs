//! How many of something there are at the same time, by whose they are.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Places that each key has the same number of. As many keys are remembered as places are taken.
#[derive(Debug)]
pub(crate) struct Places<K: Eq + Hash> {
    taken: Arc<Mutex<HashMap<K, usize>>>,
    most: usize,
}

/// A place that is taken until this is dropped, but while it rests.
#[derive(Debug)]
pub(crate) struct Place<K: Copy + Eq + Hash> {
    taken: Arc<Mutex<HashMap<K, usize>>>,
    key: K,
    rests: bool,
}

impl<K: Copy + Eq + Hash> Places<K> {
    pub(crate) fn new(most: usize) -> Self {
        Self { taken: Arc::default(), most }
    }

    /// `None` when all places of `key` are taken.
    pub(crate) fn take(&self, key: K) -> Option<Place<K>> {
        let mut taken = lock(&self.taken);
        let count = taken.get(&key).copied().unwrap_or(0);
        (count < self.most).then(|| {
            taken.insert(key, count + 1);
            Place { taken: self.taken.clone(), key, rests: false }
        })
    }
}

impl<K: Copy + Eq + Hash> Place<K> {
    /// Gives the place back for the time being.
    pub(crate) fn rest(&mut self) {
        if std::mem::replace(&mut self.rests, true) {
            return;
        }
        let mut taken = lock(&self.taken);
        match taken.get_mut(&self.key) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => {
                taken.remove(&self.key);
            }
        }
    }

    /// Takes the place that was given back, whether there is one or not.
    pub(crate) fn count(&mut self) {
        if std::mem::replace(&mut self.rests, false) {
            *lock(&self.taken).entry(self.key).or_insert(0) += 1;
        }
    }
}

impl<K: Copy + Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        self.rest();
    }
}

fn lock<K>(taken: &Mutex<HashMap<K, usize>>) -> MutexGuard<'_, HashMap<K, usize>> {
    // A panic while the lock was held leaves the map whole: every change is one call.
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_own_places_and_gets_them_back() {
        let places = Places::new(2);
        let (first, _second) = (places.take('a'), places.take('a'));
        assert!(first.is_some() && places.take('a').is_none() && places.take('b').is_some());
        drop(first);
        let _third = places.take('a').unwrap();
        assert!(places.take('a').is_none());
    }

    #[test]
    fn a_place_that_rests_is_another_ones_and_counts_again_later() {
        let places = Places::new(1);
        let mut first = places.take('a').unwrap();
        (0..2).for_each(|_| first.rest());
        let second = places.take('a').unwrap();
        (0..2).for_each(|_| first.count());
        drop(second);
        assert!(places.take('a').is_none(), "the first counts once");
        first.rest();
        drop(first);
        assert!(places.take('a').is_some() && lock(&places.taken).is_empty());
    }

    #[test]
    fn nothing_is_remembered_of_whoever_has_none() {
        let places = Places::new(1);
        drop(places.take('a'));
        assert!(lock(&places.taken).is_empty());
    }
}
