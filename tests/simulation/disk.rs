//! A disk in memory, which forgets what was not flushed, and fails when told to.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use cadastre::store::{Batch, Commit, Disk, DiskError, Entry, Signer, Store};
use cadastre_protocol::{BlockHash, Digest, Height, MatchId, SecretKey, Turn};
use cadastre_rooms::{Record, Records};
use tokio::sync::oneshot;

use super::server::store_on;

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Debug, Default)]
pub(crate) struct MemoryDisk(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    durable: Map,
    /// What is durable, and all batches after it.
    seen: Map,
    unflushed: Vec<Batch>,
    next: Option<DiskFault>,
    has_failed: bool,
}

/// How a disk fails.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DiskFault {
    /// Nothing is written.
    NotWritten,
    /// What was written is not flushed; it may be there after the crash.
    NotFlushed,
    /// All is written and flushed, and nobody hears of it.
    AnswerLost,
}

impl MemoryDisk {
    /// Lets the next batch fail, if none is to fail already.
    pub(crate) fn fail(&self, fault: DiskFault) {
        self.lock().next.get_or_insert(fault);
    }

    /// Batches that a crash may take back.
    pub(crate) fn unflushed(&self) -> usize {
        self.lock().unflushed.len()
    }

    /// The machine stops. Of the batches that were not flushed the first `kept` are there afterwards.
    pub(crate) fn crash(&self, kept: usize) {
        let mut memory = self.lock();
        memory.unflushed.truncate(kept);
        memory.settle();
        memory.seen = memory.durable.clone();
        (memory.next, memory.has_failed) = (None, false);
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap()
    }
}

impl Memory {
    fn settle(&mut self) {
        for batch in std::mem::take(&mut self.unflushed) {
            change(&mut self.durable, batch);
        }
    }

    fn failed(&mut self, what: &str) -> Result<(), DiskError> {
        (self.next, self.has_failed) = (None, true);
        Err(io::Error::other(what.to_owned()).into())
    }
}

impl Disk for MemoryDisk {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, DiskError> {
        Ok(self.lock().seen.get(key).cloned())
    }

    fn scan(&self, prefix: &[u8]) -> Box<dyn Iterator<Item = Result<Entry, DiskError>>> {
        let memory = self.lock();
        let of_prefix = memory.seen.range(prefix.to_vec()..).take_while(|(key, _)| key.starts_with(prefix));
        let entries: Vec<_> = of_prefix.map(|(key, value)| Ok((key.clone(), value.clone()))).collect();
        Box::new(entries.into_iter())
    }

    fn apply(&self, batch: Batch) -> Result<(), DiskError> {
        let mut memory = self.lock();
        assert!(!memory.has_failed, "a disk that has failed is written to");
        if let Some(DiskFault::NotWritten) = memory.next {
            return memory.failed("not written");
        }
        change(&mut memory.seen, batch.clone());
        memory.unflushed.push(batch);
        Ok(())
    }

    fn flush(&self) -> Result<(), DiskError> {
        let mut memory = self.lock();
        match memory.next {
            Some(DiskFault::NotFlushed) => memory.failed("not flushed"),
            Some(DiskFault::AnswerLost) => {
                memory.settle();
                memory.failed("the answer is lost")
            }
            Some(DiskFault::NotWritten) | None => {
                memory.settle();
                Ok(())
            }
        }
    }
}

fn change(map: &mut Map, batch: Batch) {
    for (key, value) in batch {
        match value {
            Some(value) => map.insert(key, value),
            None => map.remove(&key),
        };
    }
}

#[test]
fn what_is_not_flushed_is_not_read_until_a_crash_has_kept_it() {
    let disk = Arc::new(MemoryDisk::default());
    let height = |store: &Store| store.mark(match_id()).unwrap().map(|mark| mark.height.get());
    let store = store_on(&disk);
    let signer = Signer::new(store.clone(), SecretKey::from_seed(&[1; 32]), 1);
    signer.write(&[block(1)]).unwrap();
    for (fault, seen_after) in
        [(DiskFault::NotWritten, 1), (DiskFault::NotFlushed, 1), (DiskFault::AnswerLost, 2)]
    {
        disk.fail(fault);
        let store = store_on(&disk);
        let signer = Signer::new(store.clone(), SecretKey::from_seed(&[1; 32]), 1);
        assert!(signer.write(&[block(2)]).is_err());
        assert_eq!(height(&store), Some(1), "{fault:?}");
        disk.crash(0);
        assert_eq!(height(&store_on(&disk)), Some(seen_after), "{fault:?}");
    }
    assert_eq!(height(&store), Some(2));
}

fn block(height: u64) -> Commit {
    let record = Record::Block {
        height: Height::new(height),
        turn: Turn::START,
        hash: BlockHash::new(Digest::ZERO),
        block: vec![3],
        leaf: Digest::ZERO,
        signer: 1,
        closes_turn: true,
        seals: false,
    };
    let (done, _) = oneshot::channel();
    Commit { records: Records { match_id: match_id(), records: vec![record] }, done }
}

fn match_id() -> MatchId {
    MatchId::new(Digest::new([5; 32]))
}
