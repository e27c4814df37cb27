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
    AbsenceReason, BlockKind, Genesis, Head, MatchId, Millis, ReadBlock, Receipt, ReopenReason, SealReason,
    Seat, SeatHolder, SeatSet, Seq, TransactionBody, TxHash, Visibility,
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
    /// The seats that were open when the match began.
    pub(super) open: SeatSet,
    grace_ms: u32,
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
        let bytes = export::replay(store, None, match_id, Millis::default()).unwrap().unwrap();
        let report = audit(&bytes, Some(root_key().public())).unwrap();
        let excused = |violation: &Violation| {
            let was_astray = violation.seat.is_some_and(|seat| astray.contains(&(match_id, seat)));
            violation.kind == "desync" && was_astray
        };
        assert!(report.complete && report.pinned && report.violations.iter().all(excused), "{report:?}");

        let restored = recover(store, match_id, record, Millis::default()).unwrap();
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
            open: open_seats(restored.chain.genesis()),
            grace_ms: restored.chain.genesis().turns.grace_ms,
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

    /// Is there a seat that is absent for this reason?
    pub(crate) fn has_absent(&self, reason: AbsenceReason) -> bool {
        self.blocks.iter().flat_map(|block| block.absent()).any(|absence| absence.reason == reason)
    }

    /// Did one of these keys play for a seat?
    pub(crate) fn was_lent_to(&self, lent: &BTreeSet<[u8; 32]>) -> bool {
        let entries = self.blocks.iter().flat_map(|block| block.entries());
        let delegated = |body: &TransactionBody| {
            if let TransactionBody::Delegate(delegation) = body { delegation.read().ok() } else { None }
        };
        let mut delegations = entries.filter_map(|entry| delegated(&entry.transaction.get().body));
        delegations.any(|said| lent.contains(said.session.as_bytes()))
    }

    /// Did somebody take a seat that was open?
    pub(crate) fn was_joined_late(&self) -> bool {
        let mut entries = self.blocks.iter().flat_map(ReadBlock::entries);
        entries.any(|entry| matches!(entry.transaction.get().body, TransactionBody::LateJoin { .. }))
    }

    pub(crate) fn graced(&self) -> bool {
        self.blocks.iter().any(is_grace)
    }

    /// What is open waits longer once at most, as long as the genesis says, and for a seat that was not absent before.
    pub(super) fn check_graces(&self) {
        let (mut given, mut absent) = (false, SeatSet::EMPTY);
        for pair in self.blocks.windows(2) {
            let (before, header) = (pair[0].header(), pair[1].header());
            if is_grace(&pair[1]) {
                let deadline = before.deadline.map(|deadline| deadline.after(self.grace_ms.into()));
                assert_eq!((given, header.deadline), (false, deadline));
                assert_ne!(absent, SeatSet::first(self.seats), "nobody was there in the turn before");
                given = true;
            }
            given &= !header.kind.closes_turn();
            if header.kind == BlockKind::Turn {
                let absences = pair[1].absent().iter();
                let late = absences.filter(|absence| absence.reason != AbsenceReason::NotToMove);
                absent = late.map(|absence| absence.seat).collect();
            }
        }
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

fn is_grace(block: &ReadBlock) -> bool {
    block.header().kind == BlockKind::Reopen { reason: ReopenReason::Grace }
}

fn open_seats(genesis: &Genesis) -> SeatSet {
    let seats = Seat::first(genesis.seat_count());
    seats.filter(|seat| genesis.seats[seat.index()] == SeatHolder::Open).collect()
}

pub(super) const fn is_pause(kind: &BlockKind) -> bool {
    matches!(kind, BlockKind::Reopen { reason: ReopenReason::Pause { .. } })
}
