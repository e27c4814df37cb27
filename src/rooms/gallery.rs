//! What light spectators are shown. Each block is encoded once, and compressed once, for all who watch the same
//! chunks, by the first of them who wants it. Nothing is queued for anybody: whoever falls behind the last few
//! blocks goes on with the newest, and all of its chunks. The room only says what is the newest; to wake all who watch
//! is the work of their own threads.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use cadastre_protocol::{ChunkId, Digest, Height};
use cadastre_rooms::Shown;
use tokio::sync::{
    broadcast::{self, error::RecvError, error::TryRecvError},
    watch,
};

use super::{Outgoing, places::Places};
use crate::store::ReadError;

/// Those who play hear of a block before thousands are told of it, and have the processors to themselves meanwhile.
const HEAD_START: Duration = Duration::from_millis(5);

/// Fewer who watch than these are told at once: they take less of the processors than the wait would cost them.
const CROWD: usize = 64;

/// Blocks by which a light spectator may be behind.
const BLOCKS_KEPT: usize = 16;

/// The chunks that somebody watches, ascending; all if none in particular.
pub(crate) type Viewport = Option<Arc<[ChunkId]>>;

/// The newest blocks of a match.
#[derive(Debug)]
pub(crate) struct Gallery {
    newest: watch::Sender<Option<Arc<Exhibit>>>,
    /// Those that were passed on.
    sender: broadcast::Sender<Arc<Exhibit>>,
}

/// A viewport, and whether all of it or only what changed.
type Sight = (Viewport, bool);

/// A block with what it looks like to those who watch it.
#[derive(Debug)]
pub(crate) struct Exhibit {
    shown: Arc<Shown>,
    places: Arc<Places>,
    made: Mutex<BTreeMap<Sight, Arc<[Outgoing]>>>,
}

/// The way of a match's blocks to one light spectator.
#[derive(Debug)]
pub(crate) struct Watching {
    gallery: Arc<Gallery>,
    receiver: broadcast::Receiver<Arc<Exhibit>>,
    /// To be shown before what is received.
    first: Option<Arc<Exhibit>>,
    /// The block that the spectator has.
    head: Height,
    viewport: Viewport,
    /// Does the spectator have the chunks as they are after that block?
    has_chunks: bool,
}

impl Gallery {
    pub(super) fn new() -> Self {
        Self { newest: watch::Sender::new(None), sender: broadcast::channel(BLOCKS_KEPT).0 }
    }

    /// Passes on whatever is shown to all who watch, for as long as the gallery is there; to a crowd with a delay, in which
    /// blocks that follow fast on each other become one.
    pub(super) fn curate(&self) -> impl Future<Output = ()> + Send + use<> {
        let (mut newest, sender) = (self.newest.subscribe(), self.sender.clone());
        async move {
            while newest.changed().await.is_ok() {
                if sender.receiver_count() >= CROWD {
                    tokio::time::sleep(HEAD_START).await;
                }
                pass_on(&mut newest, &sender);
            }
        }
    }

    /// Was nothing shown yet?
    pub(super) fn is_empty(&self) -> bool {
        self.newest.borrow().is_none()
    }

    /// Shows a block to all who watch.
    pub(super) fn show(&self, shown: Arc<Shown>, places: Arc<Places>) {
        let exhibit = Exhibit { shown, places, made: Mutex::default() };
        self.newest.send_replace(Some(Arc::new(exhibit)));
    }

    /// Somebody who has the block at `head` begins to watch.
    pub(super) fn watch(self: &Arc<Self>, head: Height) -> Watching {
        Watching {
            gallery: self.clone(),
            // Before the newest, so that no block comes between them.
            receiver: self.sender.subscribe(),
            first: self.newest.borrow().clone(),
            head,
            viewport: None,
            has_chunks: false,
        }
    }
}

impl Watching {
    /// Watches other chunks from now on.
    pub(crate) fn look_at(&mut self, viewport: Viewport) {
        if self.viewport != viewport {
            self.viewport = viewport;
            self.has_chunks = false;
            self.first = self.gallery.newest.borrow().clone();
        }
    }

    /// Waits for the next block to be shown; does not return when the match has no more of them. Says too whether
    /// some were left out, because the spectator was too slow.
    pub(crate) async fn next(&mut self) -> (Arc<Exhibit>, bool) {
        if let Some(first) = self.first.take() {
            return (first, false);
        }
        loop {
            match self.receiver.recv().await {
                Ok(exhibit) if exhibit.height() > self.head => return (exhibit, false),
                // Shown already, when the spectator began to watch something else.
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => {
                    self.has_chunks = false;
                    if let Some(newest) = self.newest() {
                        return (newest, true);
                    }
                }
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// The newest block that waits, without those before it.
    fn newest(&mut self) -> Option<Arc<Exhibit>> {
        let mut newest = None;
        loop {
            match self.receiver.try_recv() {
                Ok(exhibit) => newest = Some(exhibit),
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => return newest,
            }
        }
    }

    /// The messages that show a block. The spectator is taken to have it then.
    ///
    /// # Errors
    ///
    /// A block before it cannot be read.
    pub(crate) fn messages(&mut self, exhibit: &Exhibit) -> Result<Vec<Outgoing>, ReadError> {
        let follows = self.head.next() == Some(exhibit.height());
        let messages = if self.has_chunks && follows {
            exhibit.shared(&self.viewport, false).to_vec()
        } else {
            exhibit.whole(&self.viewport, self.head)?
        };
        (self.head, self.has_chunks) = (exhibit.height(), true);
        Ok(messages)
    }
}

impl Exhibit {
    fn height(&self) -> Height {
        self.shown.height
    }

    /// All that is watched, for somebody who has the block at `head`.
    fn whole(&self, viewport: &Viewport, head: Height) -> Result<Vec<Outgoing>, ReadError> {
        let mut messages = self.shared(viewport, true).to_vec();
        if head != self.height() && head != Height::GENESIS {
            // It may have to read every block of the match, once.
            let proof = || self.places.proof(head, self.height());
            let place = tokio::task::block_in_place(proof)?;
            messages[0] = self.make(viewport, true, place).swap_remove(0);
        }
        Ok(messages)
    }

    /// Made by the first who wants it. Whoever comes meanwhile waits for it rather than do it again.
    fn shared(&self, viewport: &Viewport, whole: bool) -> Arc<[Outgoing]> {
        let mut made = lock(&self.made);
        let made = made.entry((viewport.clone(), whole));
        made.or_insert_with(|| self.make(viewport, whole, Vec::new()).into()).clone()
    }

    fn make(&self, viewport: &Viewport, whole: bool, place: Vec<Digest>) -> Vec<Outgoing> {
        let viewport = viewport.as_deref();
        let messages = if whole { self.shown.whole(viewport, place) } else { self.shown.changes(viewport) };
        messages.iter().map(Outgoing::new).collect()
    }
}

/// Passes on the newest block. Those before it that nobody has passed on yet are left out, as for anybody who is slow.
fn pass_on(newest: &mut watch::Receiver<Option<Arc<Exhibit>>>, sender: &broadcast::Sender<Arc<Exhibit>>) {
    if let Some(exhibit) = newest.borrow_and_update().clone() {
        // Nobody has to be there.
        let _ = sender.send(exhibit);
    }
}

/// What is in there is right also if somebody panicked over it: it is changed in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Weak;

    use cadastre_protocol::{Context, MatchId, ProvenHeader, SecretKey, ServerProof, SignedCertificate};
    use cadastre_simulations::State;
    use futures_util::FutureExt;

    use super::*;
    use crate::store::{Store, StoreLock};

    /// Of fifty who watch, five do not read. Nobody waits for them, what is kept for them is bounded, and they
    /// go on with the newest block.
    #[test]
    fn whoever_does_not_read_holds_up_nobody_and_goes_on_with_the_newest_block() {
        let folder = tempfile::tempdir().unwrap();
        let lock = StoreLock::take(folder.path()).unwrap();
        let store = Store::open(&lock, &folder.path().join("store")).unwrap();
        let places = Arc::new(Places::new(store, MatchId::new(Digest::ZERO)));
        let gallery = Arc::new(Gallery::new());
        let mut watching: Vec<_> = (0..50).map(|_| gallery.watch(Height::GENESIS)).collect();
        let mut blocks: Vec<Weak<Shown>> = Vec::new();
        for height in 1..=100 {
            let shown = shown(height);
            blocks.push(Arc::downgrade(&shown));
            show(&gallery, shown, &places);
            let mut told: Vec<Outgoing> = Vec::new();
            for watching in &mut watching[5..] {
                let (exhibit, skipped) = watching.next().now_or_never().expect("a block is there");
                assert!(!skipped && exhibit.height() == Height::new(height));
                told.extend(watching.messages(&exhibit).unwrap());
                assert!(watching.next().now_or_never().is_none(), "one block, shown once");
            }
            assert_eq!(told.len(), 45);
            assert!(told.iter().all(|message| message.is_same(&told[0])), "made once for all");
            let kept = blocks.iter().filter(|block| block.strong_count() > 0).count();
            assert!(kept <= BLOCKS_KEPT + 1, "{kept} blocks are kept for those who do not read");
        }
        for slow in &mut watching[..5] {
            let (exhibit, skipped) = slow.next().now_or_never().expect("a block is there");
            assert!(skipped);
            assert_eq!(exhibit.height(), Height::new(100));
            let messages = slow.messages(&exhibit).unwrap();
            assert!(messages[0].is_same(&exhibit.shared(&None, true)[0]), "all of it, made once for all");
            assert!(slow.next().now_or_never().is_none());
        }
    }

    #[test]
    fn whoever_looks_at_something_else_is_shown_it_at_once_and_nothing_twice() {
        let folder = tempfile::tempdir().unwrap();
        let lock = StoreLock::take(folder.path()).unwrap();
        let store = Store::open(&lock, &folder.path().join("store")).unwrap();
        let places = Arc::new(Places::new(store, MatchId::new(Digest::ZERO)));
        let gallery = Arc::new(Gallery::new());
        show(&gallery, shown(1), &places);
        let mut watching = gallery.watch(Height::GENESIS);
        let (first, _) = watching.next().now_or_never().unwrap();
        let whole = watching.messages(&first).unwrap();
        show(&gallery, shown(2), &places);
        let (second, _) = watching.next().now_or_never().unwrap();
        let changes = watching.messages(&second).unwrap();
        assert!(changes[0].plain_len() < whole[0].plain_len());
        watching.look_at(Some([ChunkId::new(1)].into()));
        let (again, _) = watching.next().now_or_never().unwrap();
        assert_eq!(again.height(), second.height());
        let part = watching.messages(&again).unwrap();
        assert!(part[0].plain_len() < whole[0].plain_len());
        watching.look_at(Some([ChunkId::new(1)].into()));
        assert!(watching.next().now_or_never().is_none(), "it is looked at already");
    }

    /// Shows a block, and passes it on at once.
    fn show(gallery: &Gallery, shown: Arc<Shown>, places: &Arc<Places>) {
        gallery.show(shown, places.clone());
        pass_on(&mut gallery.newest.subscribe(), &gallery.sender);
    }

    /// A block that changes one of two chunks.
    fn shown(height: u64) -> Arc<Shown> {
        let key = SecretKey::from_seed(&[1; 32]);
        let byte = u8::try_from(height % 256).unwrap();
        let state = State::from(vec![(ChunkId::new(0), vec![byte; 300]), (ChunkId::new(1), vec![7; 300])]);
        let proof = ServerProof::sign(&key, 2, &[Digest::ZERO]).remove(0);
        let signature = key.sign(Context::Certificate, Digest::ZERO);
        Arc::new(Shown {
            block: ProvenHeader { header: height.to_le_bytes().to_vec(), proof },
            height: Height::new(height),
            signer: SignedCertificate { body: Vec::new(), signature },
            tree: state.tree(),
            state,
            dirty: vec![ChunkId::new(0)],
        })
    }
}
