//! A replay file that is open for looking at.

use cadastre_protocol::{
    Attempt, BlockHash, BlockKind, Genesis, Header, Height, ProvenBlock, StateRoot, Turn,
};
use cadastre_simulations::{Game, Snapshot};

use crate::{
    blocks::{read_last, read_proven},
    damage::{Damage, Fault},
    file_header::FileHeader,
    keyframe::WHOLE_KEYFRAME_EVERY,
    player::{Player, SeekError},
    record::{Record, RecordKind},
    scan::{Scan, Tail},
    summary::{Sealed, Summary},
    trailer::Completeness,
};

/// A replay file in memory. Its links and the order of its blocks were checked, no signature was: that is
/// for [`crate::audit`].
#[derive(Debug)]
pub struct Replay<'a> {
    genesis: Genesis,
    /// The state that a fork begins with.
    first: Option<Snapshot>,
    summary: Summary,
    groups: Vec<GroupRecord<'a>>,
    keyframes: Vec<KeyframeRecord<'a>>,
    /// In a match with takebacks, where it went.
    visits: Vec<Visit>,
    damage: Option<Damage>,
}

/// A block that came to a turn, by executing it or by going back to it.
#[derive(Clone, Copy, Debug)]
struct Visit {
    height: Height,
    turn: Turn,
    attempt: Attempt,
}

/// A blocks record.
#[derive(Clone, Copy, Debug)]
struct GroupRecord<'a> {
    record: Record<'a>,
    last_height: Height,
}

/// A keyframe record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyframeRecord<'a> {
    pub(crate) record: Record<'a>,
    /// The turn whose state it is.
    pub(crate) turn: Turn,
    /// Root of that state, as the block before it has it.
    pub(crate) state_root: StateRoot,
}

/// How far the records of a file have been followed.
struct Head {
    height: Height,
    turn: Turn,
    block: BlockHash,
    state_root: Option<StateRoot>,
    sealed: Option<Sealed>,
}

impl<'a> Replay<'a> {
    /// Opens a file. Where it is cut or damaged, [`Replay::damage`] says so, and all that stands before can
    /// be looked at.
    ///
    /// Costs a hash over the whole file and decompressing its blocks: 10 ms for 10,000 turns.
    ///
    /// # Errors
    ///
    /// The damage is before the end of the header: there is nothing to look at.
    pub fn open(file: &'a [u8]) -> Result<Self, Damage> {
        let Scan { header, genesis, first, body, tail } = Scan::read(file)?;
        let first = first.map(|(state, _)| state);
        let match_id = genesis.match_id();
        let mut head = Head {
            height: Height::GENESIS,
            turn: Turn::START,
            block: match_id.as_block(),
            state_root: None,
            sealed: None,
        };
        let (mut groups, mut keyframes) = (Vec::new(), Vec::new());
        let followed = body.into_iter().try_for_each(|record| match record.kind {
            RecordKind::Blocks => head.follow(record).map(|group| groups.push(group)),
            RecordKind::Keyframe => head.keyframe(record).map(|keyframe| keyframes.push(keyframe)),
            RecordKind::Header
            | RecordKind::LogProof
            | RecordKind::FirstState
            | RecordKind::Index
            | RecordKind::Trailer => Err(Fault::Misplaced(record.kind).at(record.offset)),
        });
        let (completeness, lost) = match tail {
            Tail::Whole { trailer, .. } => (trailer.completeness, None),
            Tail::Lost(damage) => (Completeness::Partial, Some(damage)),
        };
        let damage = followed.err().or(lost);
        let FileHeader { room, names, .. } = header;
        let summary = Summary {
            match_id,
            root_key: genesis.service,
            rules: genesis.rules.clone(),
            room,
            names,
            turns: head.turn,
            height: head.height,
            head: head.block,
            complete: damage.is_none() && completeness == Completeness::Complete && head.sealed.is_some(),
            sealed: head.sealed,
            file_bytes: u64::try_from(file.len()).unwrap_or(u64::MAX),
        };
        let mut replay = Self { genesis, first, summary, groups, keyframes, visits: Vec::new(), damage };
        if replay.genesis.has_takebacks() {
            replay.visits = replay.visits();
        }
        Ok(replay)
    }

    /// What the file says of its match.
    pub const fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The genesis.
    pub const fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The state that a fork begins with. Its root was not held against the genesis.
    pub(crate) const fn first(&self) -> Option<&Snapshot> {
        self.first.as_ref()
    }

    /// Where the file cannot be read any further; `None` when it is whole.
    pub const fn damage(&self) -> Option<Damage> {
        self.damage
    }

    /// All blocks in their order, without the genesis.
    pub fn blocks(&self) -> Blocks<'_> {
        self.blocks_from(Height::GENESIS)
    }

    /// The blocks of this height and above.
    pub fn blocks_from(&self, height: Height) -> Blocks<'_> {
        let at = self.groups.partition_point(|group| group.last_height < height);
        let first = self.groups.get(at).map_or(0, |group| group.record.first_height.get());
        let skip = usize::try_from(height.get().saturating_sub(first)).unwrap_or(usize::MAX);
        Blocks { groups: &self.groups[at..], skip, group: Vec::new().into_iter() }
    }

    /// Where the match went, as far as its blocks can be read.
    fn visits(&self) -> Vec<Visit> {
        let start = Visit { height: Height::GENESIS, turn: Turn::START, attempt: Attempt::FIRST };
        let read = self.blocks().map_while(|block| block.ok()?.read().ok());
        let visits = read.filter_map(|read| {
            let Header { kind, height, turn, attempt, .. } = read.block().header();
            let visits = matches!(kind, BlockKind::Turn | BlockKind::Takeback { .. });
            visits.then_some(Visit { height: *height, turn: *turn, attempt: *attempt })
        });
        std::iter::once(start).chain(visits).collect()
    }

    /// How often turns were taken back.
    pub fn attempts(&self) -> Attempt {
        self.visits.last().map_or(Attempt::FIRST, |visit| visit.attempt)
    }

    /// The block that came to `turn` in the branch that ended with `attempt`; `None` in a match without takebacks,
    /// where the turn says it.
    pub(crate) fn height_of(&self, turn: Turn, attempt: Attempt) -> Result<Option<Height>, SeekError> {
        if attempt > self.attempts() {
            return Err(SeekError::NoSuchAttempt { last: self.attempts() });
        }
        let mut branch = self.visits.iter().rev().filter(|visit| visit.attempt <= attempt).peekable();
        let last = branch.peek().map_or(self.summary.turns, |visit| visit.turn);
        if turn > last {
            return Err(SeekError::NoSuchTurn { last });
        }
        Ok(branch.find(|visit| visit.turn == turn).map(|visit| visit.height))
    }

    /// The last block before the one at `height`, or that one, that came to `turn`; `None` in a match without
    /// takebacks.
    pub(crate) fn height_before(&self, height: Height, turn: Turn) -> Option<Height> {
        let before = self.visits.iter().rev().filter(|visit| visit.height <= height);
        before.into_iter().find(|visit| visit.turn == turn).map(|visit| visit.height)
    }

    /// The state after `turn`: from the nearest keyframe before it, over the blocks after that.
    ///
    /// # Errors
    ///
    /// As [`Replay::player`].
    pub fn seek(&self, turn: Turn) -> Result<Game, SeekError> {
        self.player(turn).map(Player::into_game)
    }

    /// A player that stands after `turn`.
    ///
    /// # Errors
    ///
    /// In the order of [`SeekError`]'s variants; the first that applies.
    pub fn player(&self, turn: Turn) -> Result<Player<'_>, SeekError> {
        Player::new(self, turn, self.attempts())
    }

    /// A player that stands after `turn` in the branch that ended with `attempt`: what was played before it was
    /// taken back.
    ///
    /// # Errors
    ///
    /// In the order of [`SeekError`]'s variants; the first that applies.
    pub fn player_in(&self, turn: Turn, attempt: Attempt) -> Result<Player<'_>, SeekError> {
        Player::new(self, turn, attempt)
    }

    /// The first keyframe after the block at `height`.
    pub(crate) fn keyframe_from(&self, height: Height) -> Option<&KeyframeRecord<'a>> {
        self.keyframes.get(self.keyframes.partition_point(|keyframe| keyframe.record.first_height < height))
    }

    /// The keyframes that give the state at the last of them, which is the nearest to `turn` that is not
    /// behind it. The first of them is whole, or else to be laid over the start.
    pub(crate) fn keyframes_to_turn(&self, turn: Turn) -> &[KeyframeRecord<'a>] {
        self.layers(self.keyframes.partition_point(|keyframe| keyframe.turn <= turn))
    }

    /// Those that give the state at the nearest to the block at `height` from which the match, up to that block, never
    /// went back behind it.
    pub(crate) fn keyframes_to(&self, height: Height) -> &[KeyframeRecord<'a>] {
        let before = self.keyframes.partition_point(|keyframe| keyframe.record.first_height <= height);
        let to = self.visits.partition_point(|visit| visit.height <= height);
        let is_left = |keyframe: &KeyframeRecord<'_>| {
            let from = self.visits.partition_point(|visit| visit.height <= keyframe.record.first_height);
            self.visits[from..to].iter().any(|visit| visit.turn < keyframe.turn)
        };
        let usable = self.keyframes[..before].iter().rposition(|keyframe| !is_left(keyframe));
        self.layers(usable.map_or(0, |last| last + 1))
    }

    /// Those that give the state at this one.
    pub(crate) fn layers_of(&self, keyframe: &KeyframeRecord<'_>) -> &[KeyframeRecord<'a>] {
        let height = keyframe.record.first_height;
        self.layers(self.keyframes.partition_point(|other| other.record.first_height <= height))
    }

    /// Those that give the state at the keyframe before `end`.
    fn layers(&self, end: usize) -> &[KeyframeRecord<'a>] {
        // By its number, not by what it says: a file without whole ones must not lay thousands over each other.
        let whole = end / WHOLE_EVERY * WHOLE_EVERY;
        &self.keyframes[whole.saturating_sub(1)..end]
    }
}

impl Head {
    /// Goes on over a blocks record.
    fn follow<'a>(&mut self, record: Record<'a>) -> Result<GroupRecord<'a>, Damage> {
        self.expect(record, self.height.next())?;
        let last = read_last(&record)?;
        let last = last.block();
        let last_height = last.header().height;
        self.height = last_height;
        self.turn = last.header().turn;
        self.block = last.hash();
        self.state_root = Some(last.header().state_root);
        if let BlockKind::Seal { reason, standings } = &last.header().kind {
            self.sealed = Some(Sealed { reason: *reason, standings: standings.clone() });
        }
        Ok(GroupRecord { record, last_height })
    }

    /// Goes on over a keyframe record.
    fn keyframe<'a>(&mut self, record: Record<'a>) -> Result<KeyframeRecord<'a>, Damage> {
        self.expect(record, Some(self.height))?;
        let state_root = self.state_root.ok_or(Fault::Misplaced(record.kind).at(record.offset))?;
        Ok(KeyframeRecord { record, turn: self.turn, state_root })
    }

    fn expect(&self, record: Record<'_>, expected: Option<Height>) -> Result<(), Damage> {
        if expected == Some(record.first_height) {
            return Ok(());
        }
        let (expected, got) = (expected.unwrap_or(self.height), record.first_height);
        Err(Fault::WrongHeight { expected, got }.at(record.offset))
    }
}

const WHOLE_EVERY: usize = WHOLE_KEYFRAME_EVERY as usize;

/// Goes through the blocks of a replay. Ends after the first damage.
#[derive(Debug)]
pub struct Blocks<'r> {
    groups: &'r [GroupRecord<'r>],
    /// Blocks of the next group to leave out.
    skip: usize,
    group: std::vec::IntoIter<ProvenBlock>,
}

impl Blocks<'_> {
    /// No block at all.
    pub(crate) fn none() -> Self {
        Self { groups: &[], skip: 0, group: Vec::new().into_iter() }
    }
}

impl Iterator for Blocks<'_> {
    type Item = Result<ProvenBlock, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(block) = self.group.next() {
                return Some(Ok(block));
            }
            let (next, rest) = self.groups.split_first()?;
            self.groups = rest;
            match read_proven(&next.record) {
                Ok(mut blocks) => {
                    blocks.drain(..std::mem::take(&mut self.skip).min(blocks.len()));
                    self.group = blocks.into_iter();
                }
                Err(damage) => {
                    self.groups = &[];
                    return Some(Err(damage));
                }
            }
        }
    }
}
