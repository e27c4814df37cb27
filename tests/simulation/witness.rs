//! What anybody was shown, which must hold for ever; what anybody signed; and how a match must look at its end.

mod again;
mod forks;
mod shown;
mod stored;
mod wishes;

use std::collections::{BTreeMap, BTreeSet};

use cadastre::{
    export::{self, ExportError},
    store::{MatchRecord, Store},
};
use cadastre_client::Said;
use cadastre_protocol::{
    AbsenceReason, Attempt, BlockHash, BlockKind, Delegation, Door, Epoch, Height, MatchId, Millis,
    PublicKey, Receipt, SealReason, Seat, SignedTransaction, TalkHash, TransactionBody, Turn, TxHash, Words,
};
use cadastre_replay::Replay;

pub(crate) use self::stored::Stored;
use self::{again::Rematch, shown::View};
use crate::tally::{Rarity, Tally};

/// In turns that are opened after this time without a fault everybody acts in time.
const CALM_MS: u64 = 1_500;

#[derive(Default)]
pub(crate) struct Witness {
    blocks: BTreeMap<(MatchId, Height), BlockHash>,
    receipts: Vec<Receipt>,
    /// How matches ended for those who saw it.
    ends: Vec<(MatchId, (Height, BlockHash), SealReason)>,
    rematches: Vec<Rematch>,
    /// What was shown to those who execute nothing, in the order of its showing.
    shown: Vec<View>,
    /// What was heard, by the number of the line.
    lines: BTreeMap<(MatchId, u64), (PublicKey, Words)>,
    /// The line in which something was said that is said once only.
    said: BTreeMap<(MatchId, TalkHash), u64>,
    signed: BTreeMap<Slot, TxHash>,
    /// When each block was on disk for all anybody knows, from height 1.
    written: BTreeMap<MatchId, Vec<Millis>>,
    /// When the last thing went wrong, or was made good.
    disturbed: Millis,
    /// Has a player died, who can show nothing of what was sealed before?
    pub(crate) has_died: bool,
    /// What was handed in to put a key in force.
    delegated: Vec<Delegation>,
    /// The keys that seats were lent to.
    pub(crate) lent: BTreeSet<[u8; 32]>,
    /// Seats that signed on a state that was not the right one.
    pub(crate) astray: BTreeSet<(MatchId, Seat)>,
}

/// What a process signs once only.
type Slot = (u64, MatchId, Epoch, Turn, Attempt, u8);

impl Witness {
    pub(crate) fn disturb(&mut self, until: Millis) {
        self.disturbed = self.disturbed.max(until);
    }

    /// Notes what is on disk.
    pub(crate) fn note_written(&mut self, store: &Store, now: Millis) {
        for entry in store.matches() {
            let (match_id, _) = entry.unwrap();
            let height = store.mark(match_id).unwrap().map_or(0, |mark| mark.height.get());
            let written = self.written.entry(match_id).or_default();
            let before = written.len();
            written.resize(before.max(usize::try_from(height).unwrap()), now);
        }
    }

    /// Somebody was shown a block.
    pub(crate) fn see(&mut self, match_id: MatchId, height: Height, block: BlockHash) {
        let before = self.blocks.insert((match_id, height), block);
        assert!(before.is_none_or(|before| before == block), "a second block at height {height}");
    }

    /// Somebody asks for the files of all matches.
    pub(crate) fn see_files(&mut self, store: &Store, now: Millis) {
        for entry in store.matches() {
            let (match_id, record) = entry.unwrap();
            let sealed = store.mark(match_id).unwrap().is_some_and(|mark| mark.sealed);
            let file = export::replay(store, None, match_id, now);
            if record.access.door != Door::Open && !sealed {
                assert!(matches!(file, Err(ExportError::Unwatched) | Ok(None)), "{file:?}");
            } else if let Some(file) = file.unwrap() {
                let replay = Replay::open(&file).unwrap();
                for block in replay.blocks() {
                    let block = block.unwrap().read().unwrap();
                    self.see(match_id, block.block().header().height, block.block().hash());
                }
            }
        }
    }

    /// Somebody was promised something.
    pub(crate) fn promise(&mut self, receipt: Receipt) {
        self.receipts.push(receipt);
    }

    /// Somebody heard what was said: all hear the same, each thing once.
    pub(crate) fn hear(&mut self, match_id: MatchId, said: Said) {
        let Said { name, author, number, words, .. } = said;
        let before = self.said.insert((match_id, name), number);
        assert!(before.is_none_or(|before| before == number), "said twice: {words:?}");
        let before = self.lines.insert((match_id, number), (author, words.clone()));
        assert!(before.is_none_or(|before| before == (author, words)), "a second line {number}");
    }

    /// A process signs something, for the first time or again.
    pub(crate) fn sign(&mut self, process: u64, transaction: &SignedTransaction) {
        let read = transaction.clone().read().unwrap();
        let tx = read.get();
        let kind = match tx.body {
            TransactionBody::Join(_) => 0,
            TransactionBody::Delegate(ref signed) => {
                self.delegated.push(signed.read().unwrap());
                1
            }
            TransactionBody::Commit(_) => 2,
            TransactionBody::Turn(_)
            | TransactionBody::Reveal { .. }
            | TransactionBody::Resign
            | TransactionBody::LateJoin { .. } => 3,
            // What is wanted excludes nothing.
            TransactionBody::Takeback { .. } | TransactionBody::Motion(_) => return,
        };
        let slot = (process, tx.match_id, tx.epoch, tx.turn, tx.attempt, kind);
        let before = self.signed.insert(slot, read.hash());
        assert!(before.is_none_or(|before| before == read.hash()), "two bodies for one turn: {tx:?}");
    }

    /// Has somebody else signed a delegation of this epoch or a later one?
    pub(crate) fn may_be_spent(&self, loan: &Delegation) -> bool {
        self.delegated.iter().any(|said| {
            (said.match_id, said.seat) == (loan.match_id, loan.seat)
                && said.epoch >= loan.epoch
                && said.session != loan.session
        })
    }

    /// Somebody saw how a match ended.
    pub(crate) fn end(&mut self, match_id: MatchId, head: (Height, BlockHash), reason: SealReason) {
        self.ends.push((match_id, head, reason));
    }

    /// Judges a match, which is over.
    pub(crate) fn judge(
        &self,
        store: &Store,
        match_id: MatchId,
        record: MatchRecord,
        tally: &mut Tally,
    ) -> Stored {
        let stored = Stored::of(store, match_id, record, &self.astray);
        for ((match_id, height), hash) in &self.blocks {
            if *match_id == stored.match_id {
                let block = &stored.blocks[usize::try_from(height.get()).unwrap() - 1];
                assert_eq!(block.hash(), *hash, "a block that was shown is still there");
            }
        }
        for receipt in self.receipts.iter().filter(|receipt| receipt.match_id == stored.match_id) {
            assert!(stored.keeps(receipt), "a promise is kept: {receipt:?}");
        }
        stored.check_order();
        stored.check_graces();
        stored.check_takebacks();
        stored.check_agreements();
        self.check_absences(&stored);
        self.check_views(&stored, tally);
        self.check_rematch(store, &stored, tally);
        stored.check_fork(store, tally);
        for (_, head, reason) in self.ends.iter().filter(|(of, ..)| *of == match_id) {
            assert_eq!(*head, (stored.head.height, stored.head.block), "all have the same head");
            assert_eq!(*reason, stored.reason);
        }
        let occurred = [
            (Rarity::TakenBack, stored.went_back()),
            (Rarity::Paused, stored.paused()),
            (Rarity::EndedByAll, stored.reason == SealReason::Agreed),
            (Rarity::Skipped, stored.has_absent(AbsenceReason::Skipped)),
            (Rarity::TakenOver, stored.has_absent(AbsenceReason::TakenOver)),
            (Rarity::Graced, stored.graced()),
            (Rarity::JoinedLate, stored.was_joined_late()),
            (Rarity::Lent, stored.was_lent_to(&self.lent)),
        ];
        occurred.into_iter().filter(|(_, did)| *did).for_each(|(rarity, _)| tally.count(rarity));
        stored
    }

    /// Who is alive, and undisturbed, is not late.
    fn check_absences(&self, stored: &Stored) {
        let written = &self.written[&stored.match_id];
        for (index, block) in stored.blocks.iter().enumerate().skip(1) {
            let opened_in_calm = written[index - 1] > self.disturbed.after(CALM_MS);
            // Who has not committed stands in the first half already.
            let second_half = stored.sealed_moves && block.header().kind == BlockKind::Turn;
            let reason = if second_half { AbsenceReason::RevealMissing } else { AbsenceReason::Deadline };
            let excused = second_half && self.has_died;
            let late = block.absent().iter().find(|absence| absence.reason == reason && !excused);
            assert!(!opened_in_calm || late.is_none(), "{late:?} at height {}", index + 1);
        }
    }
}
