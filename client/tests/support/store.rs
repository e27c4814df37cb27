//! The server's disk: commits wait, are written in groups under one signature, and answered in their order.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use cadastre_protocol::{
    Access, Chain, Conversation, DisplayName, Genesis, Height, LINES_KEPT, Line, Millis, ProvenBlock,
    ProvenReceipt, Seat, Seq, ServerProof, SignedTransaction, TalkPlace, decode_exact,
};
use cadastre_rooms::{Record, Records, Restored};
use cadastre_simulations::{Game, Snapshot};

use super::{SERIAL, signer_key};

#[derive(Default)]
pub(crate) struct Store {
    begun: Option<(Genesis, Vec<DisplayName>)>,
    /// The state that a fork begins with.
    first: Option<Arc<Snapshot>>,
    /// From height 1.
    blocks: Vec<ProvenBlock>,
    accepted: BTreeMap<(Seat, Seq), (Millis, SignedTransaction, ProvenReceipt)>,
    /// What was said last.
    lines: Vec<Line>,
    waiting: VecDeque<Records>,
    written: VecDeque<Vec<ServerProof>>,
    /// How often the server has changed its block signer.
    pub(crate) rotations: u32,
}

impl Store {
    pub(crate) fn hand_over(&mut self, records: Records) {
        self.waiting.push_back(records);
    }

    /// Serial of the block signer.
    pub(crate) const fn serial(&self) -> u32 {
        SERIAL + self.rotations
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Writes the oldest `count` commits that wait, all under one signature.
    pub(crate) fn write(&mut self, count: usize) {
        let group: Vec<_> = self.waiting.drain(..count).collect();
        let leaves: Vec<_> = group.iter().flat_map(|c| &c.records).filter_map(Record::leaf).collect();
        let mut proofs = ServerProof::sign(&signer_key(self.serial()), self.serial(), &leaves).into_iter();
        for commit in group {
            let mut answer = Vec::new();
            for record in commit.records {
                let proof = record.leaf().and_then(|_| proofs.next());
                answer.extend(proof.clone());
                self.write_record(record, proof);
            }
            self.written.push_back(answer);
        }
    }

    fn write_record(&mut self, record: Record, proof: Option<ServerProof>) {
        match record {
            Record::Begin { genesis, names, first, .. } => {
                // A rematch: the match before it is over, and of no interest any more.
                self.blocks.clear();
                self.accepted.clear();
                self.lines.clear();
                self.first = first;
                self.begun = Some((decode_exact(&genesis).unwrap(), names));
            }
            Record::Accepted { seat, seq, received, transaction, receipt, .. } => {
                let receipt = ProvenReceipt { receipt, proof: proof.unwrap() };
                let before = self.accepted.insert((seat, seq), (received, transaction, receipt));
                assert!(before.is_none(), "a second transaction with this number");
            }
            Record::Block { height, block, signer, closes_turn, .. } => {
                assert_eq!(signer, self.serial(), "a block under a signer that is not in force");
                assert_eq!(Some(height), self.height().next(), "a second block at a height, or a gap");
                self.blocks.push(ProvenBlock { block, proof: proof.unwrap() });
                if closes_turn {
                    self.accepted.clear();
                }
            }
            Record::Said(line) => {
                self.lines.push(line.clone());
                self.lines.drain(..self.lines.len().saturating_sub(LINES_KEPT));
            }
            Record::Double { .. } | Record::Keyframe { .. } => {}
        }
    }

    /// The answer to the oldest commit that is written and not answered.
    pub(crate) fn answer(&mut self) -> Option<Vec<ServerProof>> {
        self.written.pop_front()
    }

    /// What waits is lost, and so are the answers.
    pub(crate) fn crash(&mut self) {
        self.waiting.clear();
        self.written.clear();
    }

    /// What the store has of the match, every block through the chain verifier; `None` when none has begun.
    pub(crate) fn restored(&self) -> Option<Restored> {
        let (genesis, names) = self.begun.as_ref()?;
        let mut game = Game::begin(genesis, self.first.as_deref()).unwrap();
        let mut chain = Chain::begin(genesis.clone(), game.executed()).unwrap();
        for block in &self.blocks {
            let checked = chain.check_proven(block.clone().read().unwrap()).unwrap();
            let work = checked.work(game.stand_in());
            game.execute(&work);
            chain.append(checked, game.executed()).unwrap();
        }
        let accepted = self.accepted.values().cloned().collect();
        let conversation = Conversation::resume(TalkPlace::Match(genesis.match_id()), self.lines.clone());
        let (names, conversation) = (names.clone(), conversation.unwrap());
        let (access, first) = (Access::PUBLIC, self.first.clone());
        Some(Restored { chain, game, names, access, accepted, conversation, first, newest: Vec::new() })
    }

    pub(crate) fn height(&self) -> Height {
        Height::new(self.blocks.len() as u64)
    }

    /// The block at a height above the genesis.
    pub(crate) fn block(&self, height: Height) -> Option<&ProvenBlock> {
        self.blocks.get(usize::try_from(height.get()).unwrap().checked_sub(1)?)
    }

    pub(crate) fn blocks(&self) -> &[ProvenBlock] {
        &self.blocks
    }
}
