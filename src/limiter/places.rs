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

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub(crate) struct Place<K: Eq + Hash> {
    taken: Arc<Mutex<HashMap<K, usize>>>,
    key: K,
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
            Place { taken: self.taken.clone(), key }
        })
    }
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        match taken.get_mut(&self.key) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => {
                taken.remove(&self.key);
            }
        }
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
    fn nothing_is_remembered_of_whoever_has_none() {
        let places = Places::new(1);
        drop(places.take('a'));
        assert!(lock(&places.taken).is_empty());
    }
}
