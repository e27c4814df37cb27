//! What those who watch are not told yet, where the genesis wants it so: the last turns, or what is not old enough. They are
//! told all that comes before it; and everything, once the match is over.

use std::{collections::VecDeque, sync::Arc};

use cadastre_protocol::{BlockKind, Height, Millis, ProvenBlock, ProvenHeader, SpectatorPolicy, Turn};

use crate::input::Shown;

/// Most blocks that a room keeps one by one for those who are told of them some seconds late. Of those that come on top, it
/// keeps the newest of each such part of the delay: as many again, however fast the turns are.
pub const WITHHELD_MAX: u64 = 100;

/// How many of the newest blocks of a match are withheld at `now` from those who watch it. There are `blocks` of them;
/// `newest` tells kind and time of the newest by 0, and of those before it by the numbers after that.
pub fn withheld<E>(
    spectators: SpectatorPolicy,
    now: Millis,
    blocks: u64,
    newest: impl Fn(u64) -> Result<(BlockKind, Millis), E>,
) -> Result<u64, E> {
    match spectators {
        SpectatorPolicy::Forbidden | SpectatorPolicy::Allowed { delay_turns: 0 } => Ok(0),
        SpectatorPolicy::Allowed { delay_turns } => within_turns(delay_turns, blocks, newest),
        SpectatorPolicy::Later { delay_s } => within_time(delay_ms(delay_s), now, blocks, newest),
    }
}

/// What is told ends with a Turn, after which there are `delay` others.
fn within_turns<E>(
    delay: u16,
    blocks: u64,
    newest: impl Fn(u64) -> Result<(BlockKind, Millis), E>,
) -> Result<u64, E> {
    let mut turns = 0;
    for number in 0..blocks {
        match newest(number)?.0 {
            BlockKind::Seal { .. } | BlockKind::Start => return Ok(number),
            BlockKind::Turn if turns == delay => return Ok(number),
            BlockKind::Turn => turns += 1,
            BlockKind::Commit
            | BlockKind::Reopen { .. }
            | BlockKind::KeyChange { .. }
            | BlockKind::Takeback { .. } => {}
        }
    }
    Ok(blocks)
}

/// No block is older than the one before it: the first that is withheld is found by halving.
fn within_time<E>(
    delay_ms: u64,
    now: Millis,
    blocks: u64,
    newest: impl Fn(u64) -> Result<(BlockKind, Millis), E>,
) -> Result<u64, E> {
    if blocks == 0 || newest(0)?.0.seals() {
        return Ok(0);
    }
    let (mut young, mut old) = (0, blocks);
    while young < old {
        let middle = young.midpoint(old);
        let (kind, made) = newest(middle)?;
        if kind == BlockKind::Start || made.after(delay_ms) <= now {
            old = middle;
        } else {
            young = middle + 1;
        }
    }
    Ok(young)
}

fn delay_ms(delay_s: u16) -> u64 {
    1_000 * u64::from(delay_s)
}

/// Stands between a match and those who watch it.
#[derive(Debug)]
pub(crate) struct Curtain {
    spectators: SpectatorPolicy,
    /// The newest block that they may know of.
    open: (Turn, Height),
    /// Those after it that are on disk, oldest first. Where there are too many, some are left out: what stands for them is
    /// the next one that is there.
    withheld: VecDeque<Withheld>,
    is_over: bool,
}

/// A block that is on disk.
#[derive(Debug)]
pub(crate) struct Withheld {
    pub(crate) kind: BlockKind,
    pub(crate) turn: Turn,
    pub(crate) height: Height,
    /// When it was made.
    pub(crate) made: Millis,
    pub(crate) block: ProvenBlock,
    /// What there is to show of it; nothing if it comes from the store.
    pub(crate) shown: Option<Arc<Shown>>,
    /// When the first of those was made that it stands for.
    since: Millis,
}

impl Curtain {
    pub(crate) const fn new(spectators: SpectatorPolicy, open: (Turn, Height), is_over: bool) -> Self {
        Self { spectators, open, withheld: VecDeque::new(), is_over }
    }

    /// Does it withhold anything, sooner or later?
    pub(crate) const fn is_drawn(&self) -> bool {
        self.spectators.is_delayed() && !self.is_over
    }

    /// The newest block that those who watch may know of.
    pub(crate) const fn open(&self) -> (Turn, Height) {
        self.open
    }

    /// Another block is on disk. Gives those that can be told now, oldest first.
    pub(crate) fn pass(&mut self, block: Withheld, now: Millis) -> Vec<Withheld> {
        self.is_over |= block.kind.seals();
        self.keep(block);
        self.tell(now)
    }

    fn keep(&mut self, block: Withheld) {
        if let SpectatorPolicy::Later { delay_s } = self.spectators
            && self.withheld.len() as u64 >= WITHHELD_MAX
            && let Some(last) = self.withheld.back_mut()
            && block.made < last.since.after(delay_ms(delay_s) / WITHHELD_MAX)
        {
            *last = Withheld { since: last.since, ..block };
        } else {
            self.withheld.push_back(block);
        }
    }

    /// Gives what can be told at `now`, oldest first.
    pub(crate) fn tell(&mut self, now: Millis) -> Vec<Withheld> {
        let blocks = self.withheld.len();
        let newest = |number: u64| {
            let block = &self.withheld[blocks - 1 - usize::try_from(number).map_err(drop)?];
            Ok::<_, ()>((block.kind.clone(), block.made))
        };
        let withheld = withheld(self.spectators, now, blocks as u64, newest).unwrap_or_default();
        let withheld = if self.is_over { 0 } else { usize::try_from(withheld).unwrap_or(blocks) };
        let told: Vec<_> = self.withheld.drain(..blocks - withheld).collect();
        if let Some(newest) = told.last() {
            self.open = (newest.turn, newest.height);
        }
        told
    }

    /// When the next of what it withholds can be told, if it is time that this waits for.
    pub(crate) fn due(&self) -> Option<Millis> {
        match self.spectators {
            SpectatorPolicy::Later { delay_s } => Some(self.withheld.front()?.made.after(delay_ms(delay_s))),
            SpectatorPolicy::Forbidden | SpectatorPolicy::Allowed { .. } => None,
        }
    }
}

impl Withheld {
    pub(crate) fn new(
        (kind, turn, height, made): (BlockKind, Turn, Height, Millis),
        block: ProvenBlock,
        shown: Option<Arc<Shown>>,
    ) -> Self {
        Self { kind, turn, height, made, block, shown, since: made }
    }

    /// A block from the store; `None` if it is damaged.
    pub(crate) fn stored(block: ProvenBlock) -> Option<Self> {
        let header = ProvenHeader::of(&block).ok()?.read().ok()?;
        let said = (header.kind, header.turn, header.height, header.server_time);
        Some(Self::new(said, block, None))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use cadastre_protocol::{Digest, SecretKey, ServerProof};

    use super::*;

    const DELAY_S: u16 = 60;
    const DELAY_MS: u64 = 60_000;

    static PROOF: LazyLock<ServerProof> =
        LazyLock::new(|| ServerProof::sign(&SecretKey::from_seed(&[1; 32]), 2, &[Digest::ZERO]).remove(0));

    #[test]
    fn a_block_is_told_when_it_is_old_enough_whatever_came_since() {
        let later = SpectatorPolicy::Later { delay_s: DELAY_S };
        let times = [1_000, 5_000, 5_000, 9_000];
        let withheld_at = |now, kinds: [BlockKind; 4]| {
            let newest = |number: u64| {
                let index = 3 - usize::try_from(number).unwrap();
                Ok::<_, ()>((kinds[index].clone(), Millis::new(times[index])))
            };
            withheld(later, Millis::new(now), 4, newest).unwrap()
        };
        let turns = || [BlockKind::Start, BlockKind::Turn, BlockKind::Commit, BlockKind::Turn];
        assert_eq!(withheld_at(0, turns()), 3, "the Start is told at once");
        assert_eq!(withheld_at(5_000 + DELAY_MS - 1, turns()), 3);
        assert_eq!(withheld_at(5_000 + DELAY_MS, turns()), 1);
        assert_eq!(withheld_at(9_000 + DELAY_MS, turns()), 0);
        let reason = cadastre_protocol::SealReason::Rules;
        let mut ended = turns();
        ended[3] = BlockKind::Seal { reason, standings: Vec::new() };
        assert_eq!(withheld_at(9_000, ended), 0);
        let nothing = |_| -> Result<_, ()> { panic!("there is nothing") };
        assert_eq!(withheld(later, Millis::new(0), 0, nothing), Ok(0));
    }

    #[test]
    fn however_fast_the_turns_are_so_many_blocks_are_kept_and_none_is_told_too_early_or_much_too_late() {
        let policy = SpectatorPolicy::Later { delay_s: DELAY_S };
        let mut curtain = Curtain::new(policy, (Turn::START, Height::GENESIS), false);
        let part = DELAY_MS / WITHHELD_MAX;
        for height in 1..=40_000_u64 {
            // Ten milliseconds apart: 6,000 blocks within the delay.
            let now = Millis::new(10 * height);
            let told = curtain.pass(block(height, now), now);
            assert!(curtain.withheld.len() as u64 <= 2 * WITHHELD_MAX + 1);
            assert!(told.iter().all(|block| block.made.after(DELAY_MS) <= now));
            let open = curtain.open().1.get();
            let old = (10 * height).saturating_sub(DELAY_MS) / 10;
            assert!(open <= old && 10 * (old - open) <= part, "{open} is told, {old} is old enough");
            assert_eq!(curtain.due(), curtain.withheld.front().map(|block| block.made.after(DELAY_MS)));
        }
        let rest = curtain.tell(Millis::new(400_000 + DELAY_MS));
        assert_eq!(rest.last().unwrap().height, Height::new(40_000));
        assert_eq!((curtain.due(), curtain.open().1), (None, Height::new(40_000)));
    }

    fn block(height: u64, made: Millis) -> Withheld {
        let block = ProvenBlock { block: Vec::new(), proof: PROOF.clone() };
        Withheld::new((BlockKind::Turn, Turn::new(1), Height::new(height), made), block, None)
    }
}
