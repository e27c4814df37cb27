//! A match as the store has it at the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use cadastre::{
    export,
    store::{MatchRecord, Store, recover},
};
use cadastre_protocol::{
    AbsenceReason, BlockKind, Head, MatchId, ReadBlock, Receipt, ReopenReason, SealReason, Seat, Seq,
    TransactionBody, TxHash, Visibility,
};
use cadastre_replay::{Replay, Violation, audit};
use cadastre_simulations::Snapshot;

use crate::server::root_key;

/// A match as the store has it at the end.
pub(crate) struct Stored {
    pub(super) match_id: MatchId,
    pub(crate) head: Head,
    pub(crate) reason: SealReason,
    /// Of the exported file.
    pub(crate) bytes: Vec<u8>,
    pub(super) sealed_moves: bool,
    pub(super) seats: u8,
    pub(super) forfeit_after: Option<u16>,
    pub(super) blocks: Vec<ReadBlock>,
    /// The state that it began with, if it is a fork.
    pub(super) first: Option<Arc<Snapshot>>,
}

impl Stored {
    /// Reads a match, and has it audited.
    pub(super) fn of(
        store: &Store,
        match_id: MatchId,
        record: MatchRecord,
        astray: &BTreeSet<(MatchId, Seat)>,
    ) -> Self {
        let bytes = export::replay(store, None, match_id).unwrap().unwrap();
        let report = audit(&bytes, Some(root_key().public())).unwrap();
        let excused = |violation: &Violation| {
            let was_astray = violation.seat.is_some_and(|seat| astray.contains(&(match_id, seat)));
            violation.kind == "desync" && was_astray
        };
        assert!(report.complete && report.pinned && report.violations.iter().all(excused), "{report:?}");

        let restored = recover(store, match_id, record).unwrap();
        let head = *restored.chain.head();
        assert_eq!((report.height, report.head), (head.height, head.block));
        let replay = Replay::open(&bytes).unwrap();
        let blocks = replay.blocks().map(|block| block.unwrap().read().unwrap().block().clone());
        Self {
            match_id,
            head,
            reason: restored.chain.sealed().expect("the match is over"),
            sealed_moves: restored.chain.genesis().visibility == Visibility::Sealed,
            seats: restored.chain.genesis().seat_count(),
            forfeit_after: restored.chain.genesis().absence.forfeit_after(),
            blocks: blocks.collect(),
            bytes,
            first: restored.first,
        }
    }

    pub(super) fn keeps(&self, receipt: &Receipt) -> bool {
        let cut_short =
            matches!(self.reason, SealReason::Operator | SealReason::Agreed) && receipt.turn > self.head.turn;
        let stands = self.blocks.iter().any(|block| {
            let turn = match block.header().kind {
                // It stands before the turn that it is a half of.
                BlockKind::Commit => block.header().turn.next(),
                // It takes up what came for the turn that was open.
                BlockKind::Takeback { .. } => Some(receipt.turn),
                BlockKind::Start
                | BlockKind::Turn
                | BlockKind::Reopen { .. }
                | BlockKind::KeyChange { .. }
                | BlockKind::Seal { .. } => Some(block.header().turn),
            };
            let mut entries = block.entries().iter();
            turn == Some(receipt.turn)
                && entries.any(|entry| {
                    (entry.transaction.hash(), entry.received) == (receipt.transaction, receipt.received)
                })
        });
        stands || cut_short
    }

    pub(crate) fn went_back(&self) -> bool {
        self.blocks.iter().any(|block| matches!(block.header().kind, BlockKind::Takeback { .. }))
    }

    pub(crate) fn paused(&self) -> bool {
        self.blocks.iter().any(|block| is_pause(&block.header().kind))
    }

    pub(crate) fn skipped(&self) -> bool {
        let mut absent = self.blocks.iter().flat_map(|block| block.absent());
        absent.any(|absence| absence.reason == AbsenceReason::Skipped)
    }

    /// The transactions of a seat are numbered without gaps, and in a block it acts once.
    pub(super) fn check_order(&self) {
        let mut last: BTreeMap<Seat, Seq> = BTreeMap::new();
        for block in self.blocks.iter().filter(|block| !shows_consent(block)) {
            let mut acted: BTreeMap<Seat, TxHash> = BTreeMap::new();
            for entry in block.entries() {
                let tx = entry.transaction.get();
                let before = last.insert(tx.seat, tx.seq);
                let expected = before.map_or(Some(Seq::JOIN), Seq::next);
                assert_eq!(Some(tx.seq), expected, "seat {} at height {}", tx.seat, block.header().height);
                if !tx.body.is_stance() && !matches!(tx.body, TransactionBody::Delegate(_)) {
                    let twice = acted.insert(tx.seat, entry.transaction.hash());
                    assert_eq!(twice, None, "seat {} acts twice", tx.seat);
                }
            }
        }
    }
}

/// Do the entries show what the seats want, and stand in the turn's block as well?
fn shows_consent(block: &ReadBlock) -> bool {
    let kind = &block.header().kind;
    is_pause(kind) || matches!(kind, BlockKind::Seal { reason: SealReason::Agreed, .. })
}

pub(super) const fn is_pause(kind: &BlockKind) -> bool {
    matches!(kind, BlockKind::Reopen { reason: ReopenReason::Pause { .. } })
}
