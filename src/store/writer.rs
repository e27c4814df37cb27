//! The one writer: owns all writes and the block key. `docs/protocol.md`, "Server proofs".
//!
//! Everything that waits is signed with one signature, written with its proofs in one batch, and flushed
//! once; only then is any of it acknowledged. When a write fails, nothing is acknowledged any more.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use cadastre_protocol::{
    BATCH_OBJECTS_MAX, Digest, Height, LINES_KEPT, MatchId, ProvenBlock, ProvenReceipt, SecretKey,
    ServerProof, encode,
};
use cadastre_rooms::{Record, Records};
use tokio::sync::{mpsc, oneshot};

use super::{
    AcceptedRecord, Batch, DoubleRecord, Key, LineRecord, Mark, MatchRecord, PART_BYTES_MAX, ReadError,
    Store, Tag,
};
use crate::metrics::Metrics;

/// Most commits in one group.
const GROUP_COMMITS_MAX: usize = 1024;

/// Commits in a group that tell that many rooms are busy.
const GROUP_COMMITS_BUSY: usize = 5;

/// Least time from one group to the next while many rooms are busy: a flush costs as much CPU time as the
/// signatures of several turns, and the more share it the better.
const GROUP_SPACING: Duration = Duration::from_millis(2);

/// Hands commits to the writer.
#[derive(Clone, Debug)]
pub struct Writer {
    queue: mpsc::Sender<Commit>,
    healthy: Arc<AtomicBool>,
}

/// Something to write, and where to send its proofs.
#[derive(Debug)]
pub struct Commit {
    /// What is to be remembered.
    pub records: Records,
    /// Gets a proof for each provable record once all of them are on disk.
    pub done: oneshot::Sender<Vec<ServerProof>>,
}

impl Writer {
    /// Starts the writer's thread. It ends when the last [`Writer`] is dropped and all is written.
    ///
    /// # Errors
    ///
    /// The system gives no thread.
    pub fn start(
        store: Store,
        key: SecretKey,
        serial: u32,
        commits_max: usize,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<(Self, std::thread::JoinHandle<()>)> {
        let (queue, mut waiting) = mpsc::channel(commits_max);
        let healthy = Arc::new(AtomicBool::new(true));
        let signer = Signer::new(store, key, serial);
        let thread = std::thread::Builder::new().name("store-writer".into()).spawn({
            let healthy = healthy.clone();
            move || {
                let mut group = Vec::new();
                // Dropped before the group: whoever gets no answer finds the writer unhealthy.
                let _healthy = ClearedOnDrop(healthy);
                while waiting.blocking_recv_many(&mut group, GROUP_COMMITS_MAX) > 0 {
                    let begun = Instant::now();
                    let busy = group.len() >= GROUP_COMMITS_BUSY;
                    match signer.write(&group) {
                        Ok(proofs) => {
                            metrics.observe_commit(begun.elapsed(), group.len());
                            for (commit, proofs) in group.drain(..).zip(proofs) {
                                // A room that has gone needs no answer.
                                let _ = commit.done.send(proofs);
                            }
                            if busy {
                                std::thread::sleep(GROUP_SPACING.saturating_sub(begun.elapsed()));
                            }
                        }
                        Err(error) => {
                            tracing::error!(
                                error = &error as &dyn std::error::Error,
                                "the store cannot be written; nothing is accepted any more"
                            );
                            // Dropping the queue fails every commit that waits or comes.
                            return;
                        }
                    }
                }
            }
        })?;
        Ok((Self { queue, healthy }, thread))
    }

    /// Hands in a commit; waits while there are too many before it. The answer comes through `done`, in the
    /// order in which a room's commits were handed in.
    ///
    /// # Errors
    ///
    /// The writer has stopped: nothing can be remembered any more.
    pub async fn commit(&self, commit: Commit) -> Result<(), CommitError> {
        self.queue.send(commit).await.map_err(|_| CommitError)
    }

    /// Can it still write?
    pub fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Acquire)
    }
}

/// However the writer ends, by an error or a panic, it is healthy no more.
struct ClearedOnDrop(Arc<AtomicBool>);

impl Drop for ClearedOnDrop {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// The store's writer has stopped after a failed write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store cannot be written")]
pub struct CommitError;

/// What the writer's thread does: signs groups of commits, and brings them to disk.
#[derive(Debug)]
pub struct Signer {
    store: Store,
    key: SecretKey,
    serial: u32,
}

impl Signer {
    /// The signer of a store, with the block key of `serial`. There must be no other one.
    pub const fn new(store: Store, key: SecretKey, serial: u32) -> Self {
        Self { store, key, serial }
    }

    /// Signs and writes a group; gives the proofs of each commit. Durable when this returns.
    ///
    /// # Errors
    ///
    /// Nothing may be told of the group, and nothing more be written: some of it may be on disk.
    pub fn write(&self, group: &[Commit]) -> Result<Vec<Vec<ServerProof>>, SignError> {
        let records = || group.iter().flat_map(|commit| &commit.records.records);
        let leaves: Vec<Digest> = records().filter_map(Record::leaf).collect();
        debug_assert!(leaves.len() <= BATCH_OBJECTS_MAX);
        let mut proofs = ServerProof::sign(&self.key, self.serial, &leaves).into_iter();

        let mut batch = Batch::default();
        let mut marks = BTreeMap::new();
        let closed = closed_in(group);
        let mut answers = Vec::with_capacity(group.len());
        for (index, commit) in group.iter().enumerate() {
            let match_id = commit.records.match_id;
            let mut answer = Vec::new();
            for (place, record) in commit.records.records.iter().enumerate() {
                let proof = record.leaf().and_then(|_| proofs.next());
                // What a block of the same group takes up is never written: nothing else would remove it.
                let taken_up = matches!(record, Record::Accepted { .. })
                    && closed.get(&match_id).is_some_and(|closed| (index, place) < *closed);
                if !taken_up {
                    self.add(&mut batch, &mut marks, match_id, record, proof.as_ref())?;
                }
                answer.extend(proof);
            }
            answers.push(answer);
        }
        for (match_id, mark) in &marks {
            batch.insert(Key::of(Tag::Mark, *match_id, 0), encode(mark));
        }
        self.store.write(batch, &marks)?;
        for (match_id, mark) in marks {
            self.store.heads.note(match_id, mark);
        }
        Ok(answers)
    }

    fn add(
        &self,
        batch: &mut Batch,
        marks: &mut BTreeMap<MatchId, Mark>,
        match_id: MatchId,
        record: &Record,
        proof: Option<&ServerProof>,
    ) -> Result<(), SignError> {
        match (record, proof) {
            (Record::Begin { genesis, room, names, access, first }, _) => {
                let record = MatchRecord {
                    genesis: genesis.clone(),
                    room: room.clone(),
                    names: names.clone(),
                    access: *access,
                };
                batch.insert(Key::of(Tag::Match, match_id, 0), encode(&record));
                for (id, chunk) in first.iter().flat_map(|state| state.iter()) {
                    insert_parts(batch, Key::of(Tag::FirstChunk, match_id, u64::from(id.get())), chunk);
                }
            }
            (Record::Accepted { seat, seq, received, transaction, receipt, .. }, Some(proof)) => {
                let record = AcceptedRecord {
                    received: *received,
                    transaction: transaction.clone(),
                    receipt: ProvenReceipt { receipt: receipt.clone(), proof: proof.clone() },
                };
                insert_parts(batch, Key::accepted(match_id, *seat, *seq), &encode(&record));
            }
            (Record::Block { height, hash, block, signer, closes_turn, seals, .. }, Some(proof)) => {
                self.check_next(marks, match_id, *height, *signer)?;
                let signer = *signer;
                marks.insert(match_id, Mark { signer, height: *height, block: *hash, sealed: *seals });
                let proven = ProvenBlock { block: block.clone(), proof: proof.clone() };
                insert_parts(batch, Key::of(Tag::Block, match_id, height.get()), &encode(&proven));
                if *closes_turn {
                    self.forget(batch, Tag::Accepted, match_id)?;
                }
                if *seals {
                    self.forget(batch, Tag::KeyframeState, match_id)?;
                    self.forget(batch, Tag::KeyframeChunk, match_id)?;
                }
            }
            (Record::Double { seat, transactions }, _) => {
                let key = Key::of(Tag::Double, match_id, u64::from(seat.get()));
                if self.store.matches.get(key.as_ref()).map_err(ReadError::Disk)?.is_none() {
                    insert_parts(batch, key, &encode(&DoubleRecord { transactions: transactions.clone() }));
                }
            }
            (Record::Keyframe { state, snapshot }, _) => {
                // A shorter value must not keep the last parts of a longer one.
                self.forget(batch, Tag::KeyframeState, match_id)?;
                self.forget(batch, Tag::KeyframeChunk, match_id)?;
                insert_parts(batch, Key::of(Tag::KeyframeState, match_id, 0), &encode(state));
                for (id, chunk) in snapshot {
                    let key = Key::of(Tag::KeyframeChunk, match_id, u64::from(id.get()));
                    insert_parts(batch, key, chunk);
                }
            }
            (Record::Said(line), _) => {
                let key = Key::of(Tag::Line, match_id, line.number % LINES_KEPT as u64);
                batch.insert(key, encode(&LineRecord { line: line.clone() }));
            }
            (Record::Accepted { .. } | Record::Block { .. }, None) => return Err(SignError::NoProof),
        }
        Ok(())
    }

    /// Never sign a second block at a height, nor under a serial that the match has left, whatever a room may
    /// think.
    fn check_next(
        &self,
        marks: &BTreeMap<MatchId, Mark>,
        match_id: MatchId,
        height: Height,
        signer: u32,
    ) -> Result<(), SignError> {
        let mark = match marks.get(&match_id) {
            Some(mark) => Some(*mark),
            None => self.store.mark(match_id)?,
        };
        let expected = mark.map_or(Height::GENESIS, |mark| mark.height).next();
        if mark.is_some_and(|mark| mark.sealed) || expected != Some(height) {
            return Err(SignError::SecondBlock { match_id, height });
        }
        if signer != self.serial || mark.is_some_and(|mark| mark.signer > signer) {
            return Err(SignError::OtherSigner { match_id, height, signer });
        }
        Ok(())
    }

    fn forget(&self, batch: &mut Batch, tag: Tag, match_id: MatchId) -> Result<(), SignError> {
        for entry in self.store.matches.scan(&Key::prefix(tag, match_id)) {
            let (key, _) = entry.map_err(ReadError::Disk)?;
            batch.remove(key);
        }
        Ok(())
    }
}

/// Commit and record in which a match last closes a turn in this group.
fn closed_in(group: &[Commit]) -> BTreeMap<MatchId, (usize, usize)> {
    let mut closed = BTreeMap::new();
    for (index, commit) in group.iter().enumerate() {
        for (place, record) in commit.records.records.iter().enumerate() {
            if matches!(record, Record::Block { closes_turn: true, .. }) {
                closed.insert(commit.records.match_id, (index, place));
            }
        }
    }
    closed
}

fn insert_parts(batch: &mut Batch, first: Key, value: &[u8]) {
    let mut key = first;
    for part in value.chunks(PART_BYTES_MAX) {
        batch.insert(key, part);
        key = key.next_part();
    }
}

/// Why a group was not written, as far as anybody knows. The writer stops.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The disk fails.
    #[error(transparent)]
    Store(#[from] ReadError),
    /// There would be two blocks at a height, or a gap.
    #[error("a room asked for block {height} of match {match_id}, which is not the next")]
    SecondBlock {
        /// Of which match.
        match_id: MatchId,
        /// At which height.
        height: Height,
    },
    /// The block would have to be signed with another key than the writer's.
    #[error(
        "a room asked for block {height} of match {match_id} under serial {signer}, which is not in force"
    )]
    OtherSigner {
        /// Of which match.
        match_id: MatchId,
        /// At which height.
        height: Height,
        /// Under which serial.
        signer: u32,
    },
    /// A defect of this program.
    #[error("a provable record has no proof")]
    NoProof,
}

#[cfg(test)]
mod tests {
    use cadastre_protocol::{BlockHash, Millis, Seat, Seq, Signature, SignedTransaction, Turn};

    use super::{super::StoreLock, *};

    #[test]
    fn only_what_no_block_took_up_is_kept_as_accepted() {
        let folder = tempfile::tempdir().unwrap();
        let lock = StoreLock::take(folder.path()).unwrap();
        let store = Store::open(&lock, folder.path()).unwrap();
        let signer = Signer::new(store.clone(), SecretKey::from_seed(&[1; 32]), 1);
        let accepted = || store.accepted(match_id()).unwrap().len();

        assert_eq!(signer.write(&[commit(accept(0)), commit(accept(1)), commit(block(1))]).unwrap().len(), 3);
        assert_eq!(accepted(), 0, "taken up in the same group");
        signer.write(&[commit(accept(2))]).unwrap();
        assert_eq!(accepted(), 1);
        signer.write(&[commit(accept(3)), commit(block(2)), commit(accept(4))]).unwrap();
        assert_eq!(accepted(), 1, "only the one after the block");
        signer.write(&[commit(block(3))]).unwrap();
        assert_eq!(accepted(), 0);
    }

    #[test]
    fn a_block_is_signed_once_and_no_older_signer_is_gone_back_to() {
        let folder = tempfile::tempdir().unwrap();
        let lock = StoreLock::take(folder.path()).unwrap();
        let store = Store::open(&lock, folder.path()).unwrap();
        let try_to_sign = |serial, height, under| {
            let signer = Signer::new(store.clone(), SecretKey::from_seed(&[1; 32]), serial);
            let Record::Block { hash, block, leaf, closes_turn, seals, .. } = block(height) else {
                unreachable!()
            };
            let height = Height::new(height);
            signer.write(&[commit(Record::Block {
                height,
                turn: Turn::START,
                hash,
                block,
                leaf,
                signer: under,
                closes_turn,
                seals,
            })])
        };
        // Every order in which three signers might come to sign, right or wrong, from a simple model.
        let (mut height, mut newest) = (0_u64, 0);
        for step in 0..200_u32 {
            let own = 1 + step * 7 % 5 / 2;
            let under = if step % 11 == 3 { own + 1 } else { own };
            let at = height + 1 + u64::from(step % 3 == 2) - u64::from(step % 7 == 5);
            let is_next = at == height + 1;
            let result = try_to_sign(own, at, under);
            match result {
                Ok(_) => {
                    assert!(is_next && own == under && own >= newest, "step {step}");
                    (height, newest) = (height + 1, own);
                }
                Err(SignError::SecondBlock { .. }) => assert!(!is_next, "step {step}"),
                Err(SignError::OtherSigner { .. }) => {
                    assert!(is_next && (own != under || own < newest), "step {step}");
                }
                Err(error) => panic!("step {step}: {error}"),
            }
        }
        assert!(height > 10 && newest == 3, "{height} blocks, the last under {newest}");
    }

    fn commit(record: Record) -> Commit {
        let (done, _) = oneshot::channel();
        Commit { records: Records { match_id: match_id(), records: vec![record] }, done }
    }

    fn accept(seq: u32) -> Record {
        Record::Accepted {
            seat: Seat::first(1).next().unwrap(),
            seq: Seq::new(seq),
            received: Millis::new(0),
            transaction: SignedTransaction { body: vec![1], signature: Signature::new([0; 64]) },
            receipt: vec![2],
            leaf: Digest::ZERO,
        }
    }

    fn block(height: u64) -> Record {
        Record::Block {
            height: Height::new(height),
            turn: Turn::START,
            hash: BlockHash::new(Digest::ZERO),
            block: vec![3],
            leaf: Digest::ZERO,
            signer: 1,
            closes_turn: true,
            seals: false,
        }
    }

    fn match_id() -> MatchId {
        MatchId::new(Digest::new([5; 32]))
    }
}
