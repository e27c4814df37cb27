//! Follows a match without executing it: believes what the server has signed, and that the chunks it is shown are of
//! the state in it.

use std::collections::{BTreeMap, VecDeque};

use cadastre_protocol::{
    ChunkId, Digest, DisplayName, Genesis, GenesisError, LightHead, PublicKey, Since, VIEWPORT_CHUNKS_MAX,
    View, ViewError, chunk_hash, root_beside,
};
use cadastre_simulations::{Game, Snapshot};

use crate::follower::{FollowError, Follower};

/// Viewports that may be on their way. Of whoever asks for more, what was asked for first is refused when it comes.
const ASKED_MAX: usize = 64;

/// A match as it was shown, as far as that was verified.
#[derive(Debug)]
pub struct LightFollower {
    genesis: Genesis,
    names: Vec<DisplayName>,
    /// In the state that its setup makes: all states have the same chunks.
    game: Game,
    all: Vec<ChunkId>,
    head: LightHead,
    /// What the server was asked for, and may still show: oldest first, and never empty.
    asked: VecDeque<Vec<ChunkId>>,
    /// What is watched, as it is after the head.
    chunks: BTreeMap<ChunkId, Vec<u8>>,
    hashes: Vec<(ChunkId, Digest)>,
    coming: Option<Coming>,
}

/// A view of which some chunks are still to come.
#[derive(Debug)]
struct Coming {
    head: LightHead,
    is_whole: bool,
    beside: Vec<Digest>,
    chunks: Snapshot,
    more: usize,
}

impl LightFollower {
    /// Begins to follow a match of the service `root`. Watches everything.
    ///
    /// # Errors
    ///
    /// As [`Follower::begin`].
    pub fn begin(genesis: &[u8], names: Vec<DisplayName>, root: PublicKey) -> Result<Self, FollowError> {
        let (genesis, game) = Follower::unexecuted(genesis, &names, root)?;
        let head = LightHead::begin(&genesis).map_err(GenesisError::Certificate);
        let all = game.simulation().chunk_ids();
        Ok(Self {
            head: head.map_err(FollowError::Genesis)?,
            genesis,
            names,
            game,
            asked: [all.clone()].into(),
            all,
            chunks: BTreeMap::new(),
            hashes: Vec::new(),
            coming: None,
        })
    }

    /// The server was asked for these chunks, or for all. What it shows next may still be what it was asked for before.
    pub fn want(&mut self, viewport: Option<&[ChunkId]>) {
        let is_wanted = |id: &ChunkId| viewport.is_none_or(|viewport| viewport.binary_search(id).is_ok());
        if self.asked.len() == ASKED_MAX {
            self.asked.pop_front();
        }
        self.asked.push_back(self.all.iter().copied().filter(is_wanted).collect());
    }

    /// What the server was asked for on this connection, for a light follower of the next match to go on from: until it
    /// hears something else, that is what it shows there.
    pub(crate) fn into_asked(self) -> VecDeque<Vec<ChunkId>> {
        self.asked
    }

    /// The server was asked for this before the match began.
    pub(crate) fn asked_before(&mut self, mut asked: VecDeque<Vec<ChunkId>>) {
        asked.append(&mut self.asked);
        self.asked = asked;
    }

    /// Takes a view. `false` as long as chunks of it are still to come.
    ///
    /// # Errors
    ///
    /// [`ViewError`]; nothing was taken.
    pub fn take(&mut self, view: View) -> Result<bool, ViewError> {
        let View { block, since, beside, chunks, more } = view;
        let head = self.head.check(&block, &since)?;
        let is_whole = matches!(since, Since::Nothing { .. });
        let more = usize::try_from(more).unwrap_or(usize::MAX);
        let fits = more <= self.all.len() && (is_whole || !self.hashes.is_empty());
        if self.coming.is_some() || !fits {
            return Err(ViewError::Chunks);
        }
        self.go_on(Coming { head, is_whole, beside, chunks, more })
    }

    /// Takes further chunks of a view. `false` as long as others are still to come.
    ///
    /// # Errors
    ///
    /// As [`LightFollower::take`]: the view to which they belong was not taken.
    pub fn take_chunks(&mut self, chunks: Snapshot) -> Result<bool, ViewError> {
        let mut coming = self.coming.take().ok_or(ViewError::Chunks)?;
        coming.more = coming.more.checked_sub(chunks.len()).ok_or(ViewError::Chunks)?;
        coming.chunks.extend(chunks);
        self.go_on(coming)
    }

    fn go_on(&mut self, coming: Coming) -> Result<bool, ViewError> {
        if coming.more > 0 {
            self.coming = Some(coming);
            return Ok(false);
        }
        let Coming { head, is_whole, beside, chunks, .. } = coming;
        let hashes = if is_whole { self.watch(&chunks) } else { self.change(&chunks) }?;
        if root_beside(&hashes, &self.all, &beside) != head.state_root() {
            return Err(ViewError::StateRoot);
        }
        if is_whole {
            self.chunks.clear();
            let shown = |asked: &Vec<ChunkId>| chunks.iter().map(|(id, _)| id).eq(asked);
            // The first of several that are alike: what was asked for between them may still be on its way.
            let before = self.asked.iter().position(shown).unwrap_or(0);
            self.asked.drain(..before);
        }
        self.chunks.extend(chunks);
        (self.head, self.hashes) = (head, hashes);
        Ok(true)
    }

    /// These are all chunks that are watched: what was asked for last, or before that.
    fn watch(&self, chunks: &Snapshot) -> Result<Vec<(ChunkId, Digest)>, ViewError> {
        let ids = || chunks.iter().map(|(id, _)| id);
        if !self.asked.iter().any(|asked| ids().eq(asked)) {
            return Err(ViewError::Chunks);
        }
        Ok(chunks.iter().map(|(id, chunk)| (*id, chunk_hash(chunk))).collect())
    }

    /// These are changes of chunks that are watched.
    fn change(&self, chunks: &Snapshot) -> Result<Vec<(ChunkId, Digest)>, ViewError> {
        let mut hashes = self.hashes.clone();
        for (id, chunk) in chunks {
            let at = hashes.binary_search_by_key(id, |(id, _)| *id).map_err(|_| ViewError::Chunks)?;
            hashes[at].1 = chunk_hash(chunk);
        }
        Ok(hashes)
    }

    /// The connection is lost: what comes on the next one begins anew.
    pub fn disconnected(&mut self) {
        self.coming = None;
    }

    /// The newest block that was shown.
    pub const fn head(&self) -> &LightHead {
        &self.head
    }

    /// The genesis.
    pub const fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// How the players are called, by seat. Nobody vouches for these.
    pub fn names(&self) -> &[DisplayName] {
        &self.names
    }

    /// What is watched, as it is after the head.
    pub const fn chunks(&self) -> &BTreeMap<ChunkId, Vec<u8>> {
        &self.chunks
    }

    /// The game after the head; `None` if not all of it is watched.
    pub fn game(&self) -> Option<Game> {
        let state: Snapshot = self.chunks.iter().map(|(id, chunk)| (*id, chunk.clone())).collect();
        Game::restore(self.game.setup(), &state).ok()
    }
}

/// What somebody watches of a match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Viewport {
    /// Everything.
    All,
    /// These chunks, ascending.
    Chunks(Vec<ChunkId>),
    /// A rectangle of tiles, with what is of no place.
    Tiles {
        /// Its first column.
        left: u16,
        /// Its first row.
        top: u16,
        /// Columns.
        width: u16,
        /// Rows.
        height: u16,
    },
}

impl Viewport {
    /// What to ask a server for; `None` for everything, and for more than a server can be asked for.
    pub(crate) fn chunks(&self, light: &LightFollower) -> Option<Vec<ChunkId>> {
        let chunks = match self {
            Self::All => return None,
            Self::Chunks(chunks) => chunks.clone(),
            Self::Tiles { left, top, width, height } => {
                light.game.chunks_around(*left, *top, *width, *height)
            }
        };
        (1..=VIEWPORT_CHUNKS_MAX).contains(&chunks.len()).then_some(chunks)
    }
}
