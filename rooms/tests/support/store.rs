//! What the shell keeps on its disk.

use std::collections::{BTreeMap, VecDeque};

use cadastre_protocol::{
    Access, BlockKind, Chain, ChainState, Conversation, DisplayName, Genesis, Header, Height, LINES_KEPT,
    Line, Millis, ProvenBlock, ProvenReceipt, Seat, Seq, ServerProof, SignedTransaction, SpectatorPolicy,
    TalkPlace, decode_exact,
};
use cadastre_rooms::{Record, Records, Restored};
use cadastre_simulations::{Game, Snapshot};

use super::{SERIAL, signer_key};

/// A disk in memory: commits wait, are written whole, and are answered in their order.
#[derive(Default)]
pub(crate) struct Store {
    begun: Option<(Genesis, Vec<DisplayName>, Access)>,
    /// From height 1.
    pub(crate) blocks: Vec<ProvenBlock>,
    pub(crate) accepted: BTreeMap<(Seat, Seq), (Millis, SignedTransaction, ProvenReceipt)>,
    pub(crate) keyframe: Option<(ChainState, Snapshot)>,
    /// What seats signed twice.
    pub(crate) doubles: Vec<(Seat, Vec<SignedTransaction>)>,
    /// What was said last.
    pub(crate) lines: Vec<Line>,
    /// Handed over, not written.
    pub(crate) waiting: VecDeque<Records>,
    written: VecDeque<Answer>,
    confirmed: Height,
    receipts: Vec<ProvenReceipt>,
    /// What was said last, as far as it is confirmed.
    confirmed_lines: Vec<Line>,
    /// How many commits were handed over.
    pub(crate) commits: usize,
    /// How often the server has changed its block signer.
    pub(crate) rotations: u32,
}

/// The answer to a written commit, and what may be told after it.
struct Answer {
    proofs: Vec<ServerProof>,
    height: Height,
    receipts: Vec<ProvenReceipt>,
    lines: Vec<Line>,
}

impl Store {
    pub(crate) fn hand_over(&mut self, records: Records) {
        assert!(!records.records.is_empty(), "a commit of nothing");
        self.commits += 1;
        self.waiting.push_back(records);
    }

    /// Serial of the block signer.
    pub(crate) const fn serial(&self) -> u32 {
        SERIAL + self.rotations
    }

    /// The newest confirmed block that those who watch may know of at `now`: the newest that is old enough, or the Turn after which there are as many as they are
    /// behind; before there is one, the Start.
    pub(crate) fn watched(&self, now: Millis) -> Height {
        let confirmed = self.confirmed();
        let spectators = self.begun.as_ref().map(|(genesis, ..)| genesis.spectators);
        if !spectators.is_some_and(SpectatorPolicy::is_delayed) {
            return confirmed;
        }
        let headers: Vec<_> = self.blocks_after(Height::GENESIS, confirmed);
        let headers: Vec<_> = headers.into_iter().map(|block| super::read(block).header().clone()).collect();
        let delay = match spectators {
            Some(SpectatorPolicy::Allowed { delay_turns }) => usize::from(delay_turns),
            Some(SpectatorPolicy::Later { delay_s }) if headers.iter().all(|header| !header.kind.seals()) => {
                let is_old = |header: &&Header| {
                    header.server_time.after(1_000 * u64::from(delay_s)) <= now
                        || header.kind == BlockKind::Start
                };
                return headers.iter().filter(is_old).map(|header| header.height).max().unwrap_or(confirmed);
            }
            Some(SpectatorPolicy::Later { .. } | SpectatorPolicy::Forbidden) | None => 0,
        };
        if delay == 0 || headers.last().is_none_or(|last| last.kind.seals()) {
            return confirmed;
        }
        let turns: Vec<_> = headers.iter().filter(|header| header.kind == BlockKind::Turn).collect();
        let newest = turns.len().checked_sub(delay + 1);
        newest.map_or(Height::new(1), |newest| turns[newest].height)
    }

    /// Writes all that waits.
    pub(crate) fn write(&mut self) {
        while let Some(Records { match_id, records }) = self.waiting.pop_front() {
            let leaves: Vec<_> = records.iter().filter_map(Record::leaf).collect();
            let proofs = ServerProof::sign(&signer_key(self.serial()), self.serial(), &leaves);
            let mut left = proofs.clone().into_iter();
            let mut receipts = Vec::new();
            for record in records {
                let proof = record.leaf().and_then(|_| left.next());
                receipts.extend(self.write_record(record, proof));
            }
            let (genesis, ..) = self.begun.as_ref().expect("a match begins before it has records");
            assert_eq!(genesis.match_id(), match_id);
            self.written.push_back(Answer {
                proofs,
                height: self.height(),
                receipts,
                lines: self.lines.clone(),
            });
        }
    }

    fn write_record(&mut self, record: Record, proof: Option<ServerProof>) -> Option<ProvenReceipt> {
        match record {
            Record::Begin { genesis, names, access, .. } => {
                assert!(self.begun.is_none(), "one match only");
                self.begun = Some((decode_exact(&genesis).unwrap(), names, access));
            }
            Record::Accepted { seat, seq, received, transaction, receipt, .. } => {
                let receipt = ProvenReceipt { receipt, proof: proof.unwrap() };
                let before = self.accepted.insert((seat, seq), (received, transaction, receipt.clone()));
                assert!(before.is_none(), "a second transaction with this number");
                return Some(receipt);
            }
            Record::Block { height, hash, block, signer, closes_turn, .. } => {
                assert_eq!(signer, self.serial(), "a block under a signer that is not in force");
                assert_eq!(Some(height), self.height().next(), "a second block at a height, or a gap");
                let block = ProvenBlock { block, proof: proof.unwrap() };
                assert_eq!(super::read(block.clone()).hash(), hash);
                self.blocks.push(block);
                if closes_turn {
                    self.accepted.clear();
                }
            }
            Record::Double { seat, transactions } => self.doubles.push((seat, transactions)),
            Record::Keyframe { state, snapshot } => self.keyframe = Some((*state, snapshot)),
            Record::Said(line) => {
                self.lines.push(line);
                self.lines.drain(..self.lines.len().saturating_sub(LINES_KEPT));
            }
        }
        None
    }

    pub(crate) fn has_confirmed_line(&self, line: &Line) -> bool {
        self.confirmed_lines.contains(line)
    }

    /// The answer to the oldest commit that is written and not answered.
    pub(crate) fn answer(&mut self) -> Option<Vec<ServerProof>> {
        let Answer { proofs, height, receipts, lines } = self.written.pop_front()?;
        self.confirmed_lines = lines;
        self.confirmed = height;
        self.receipts.extend(receipts);
        Some(proofs)
    }

    /// What waits is lost, and so are the answers.
    pub(crate) fn crash(&mut self) {
        self.waiting.clear();
        self.written.clear();
        self.confirmed = self.height();
        self.confirmed_lines = self.lines.clone();
        self.receipts.extend(self.accepted.values().map(|(_, _, receipt)| receipt.clone()));
    }

    /// What a restarted service makes of the store: newest keyframe, then the blocks after it through the
    /// chain verifier. `None` when no match has begun.
    pub(crate) fn restored(&self, now: Millis) -> Option<Restored> {
        let (genesis, names, access) = self.begun.as_ref()?;
        let (chain, game) = match &self.keyframe {
            None => self.replay(),
            Some((state, snapshot)) => {
                let game = Game::restore(&state.setup(genesis), snapshot).unwrap();
                let chain =
                    Chain::from_state_unverified(genesis.clone(), state.clone(), game.executed()).unwrap();
                self.follow(chain, game)
            }
        };
        let accepted = self.accepted.values().cloned().collect();
        let conversation = Conversation::resume(TalkPlace::Match(genesis.match_id()), self.lines.clone());
        let (names, conversation) = (names.clone(), conversation.unwrap());
        let newest = match self.watched(now) {
            watched if watched == self.height() => Vec::new(),
            watched => self.blocks[usize::try_from(watched.get()).unwrap() - 1..].to_vec(),
        };
        let (access, first) = (*access, None);
        Some(Restored { chain, game, names, access, accepted, conversation, newest, first })
    }

    /// Everything on disk from the genesis on, through the chain verifier.
    pub(crate) fn replay(&self) -> (Chain, Game) {
        let (genesis, ..) = self.begun.as_ref().expect("a match has begun");
        let game = Game::of_match(genesis).unwrap();
        let chain = Chain::begin(genesis.clone(), game.executed()).unwrap();
        self.follow(chain, game)
    }

    fn follow(&self, mut chain: Chain, mut game: Game) -> (Chain, Game) {
        for block in self.blocks_after(chain.head().height, self.height()) {
            let checked = chain.check_proven(block.read().unwrap()).unwrap();
            let work = checked.work(game.stand_in());
            game.execute(&work);
            chain.append(checked, game.executed()).unwrap();
        }
        (chain, game)
    }

    /// Height of the newest block on disk.
    pub(crate) fn height(&self) -> Height {
        Height::new(self.blocks.len() as u64)
    }

    /// Height of the newest block that the room knows to be on disk.
    pub(crate) const fn confirmed(&self) -> Height {
        self.confirmed
    }

    pub(crate) fn blocks_after(&self, after: Height, to: Height) -> Vec<ProvenBlock> {
        let index = |height: Height| usize::try_from(height.get()).unwrap();
        self.blocks[index(after)..index(to)].to_vec()
    }

    pub(crate) fn has_confirmed_block(&self, block: &ProvenBlock) -> bool {
        let confirmed = usize::try_from(self.confirmed.get()).unwrap();
        self.blocks[..confirmed].iter().rev().any(|stored| stored == block)
    }

    pub(crate) fn has_confirmed_receipt(&self, receipt: &ProvenReceipt) -> bool {
        self.receipts.contains(receipt)
    }
}
