//! What those who watch are not told yet: the last turns, where the genesis wants it so. They are told what comes
//! before them, up to and with a Turn; and everything, once the match is over.

use std::{collections::VecDeque, sync::Arc};

use cadastre_protocol::{BlockKind, Height, ProvenBlock, ProvenHeader, SpectatorPolicy, Turn};

use crate::input::Shown;

/// How many of the newest blocks of a match are withheld from those who watch it.
pub fn withheld<E>(
    spectators: SpectatorPolicy,
    newest_first: impl Iterator<Item = Result<BlockKind, E>>,
) -> Result<usize, E> {
    let SpectatorPolicy::Allowed { delay_turns: delay @ 1.. } = spectators else { return Ok(0) };
    let (mut turns, mut blocks) = (0, 0);
    for kind in newest_first {
        match kind? {
            BlockKind::Seal { .. } | BlockKind::Start => break,
            BlockKind::Turn if turns == delay => break,
            BlockKind::Turn => turns += 1,
            BlockKind::Commit
            | BlockKind::Reopen { .. }
            | BlockKind::KeyChange { .. }
            | BlockKind::Takeback { .. } => {}
        }
        blocks += 1;
    }
    Ok(blocks)
}

/// Stands between a match and those who watch it.
#[derive(Debug)]
pub(crate) struct Curtain {
    spectators: SpectatorPolicy,
    /// The newest block that they may know of.
    open: (Turn, Height),
    /// Those after it that are on disk, oldest first.
    withheld: VecDeque<Withheld>,
    is_over: bool,
}

/// A block that is on disk.
#[derive(Debug)]
pub(crate) struct Withheld {
    pub(crate) kind: BlockKind,
    pub(crate) turn: Turn,
    pub(crate) height: Height,
    pub(crate) block: ProvenBlock,
    /// What there is to show of it; nothing if it comes from the store.
    pub(crate) shown: Option<Arc<Shown>>,
}

impl Curtain {
    pub(crate) const fn new(spectators: SpectatorPolicy, open: (Turn, Height), is_over: bool) -> Self {
        Self { spectators, open, withheld: VecDeque::new(), is_over }
    }

    /// Does it withhold anything, sooner or later?
    pub(crate) const fn is_drawn(&self) -> bool {
        matches!(self.spectators, SpectatorPolicy::Allowed { delay_turns: 1.. }) && !self.is_over
    }

    /// The newest block that those who watch may know of.
    pub(crate) const fn open(&self) -> (Turn, Height) {
        self.open
    }

    /// Another block is on disk. Gives those that can be told now, oldest first.
    pub(crate) fn pass(&mut self, block: Withheld) -> Vec<Withheld> {
        self.is_over |= block.kind.seals();
        self.withheld.push_back(block);
        let kinds = self.withheld.iter().rev().map(|block| Ok::<_, ()>(block.kind.clone()));
        let withheld = if self.is_over { 0 } else { withheld(self.spectators, kinds).unwrap_or_default() };
        let told: Vec<_> = self.withheld.drain(..self.withheld.len() - withheld).collect();
        if let Some(newest) = told.last() {
            self.open = (newest.turn, newest.height);
        }
        told
    }
}

impl Withheld {
    /// A block from the store; `None` if it is damaged.
    pub(crate) fn stored(block: ProvenBlock) -> Option<Self> {
        let header = ProvenHeader::of(&block).ok()?.read().ok()?;
        Some(Self { kind: header.kind, turn: header.turn, height: header.height, block, shown: None })
    }
}
