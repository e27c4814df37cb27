//! What anybody was shown, which must hold for ever; what anybody signed; and how a match must look at its end.

use std::collections::{BTreeMap, BTreeSet};

use cadastre::{
    export,
    store::{Store, recover},
};
use cadastre_client::Said;
use cadastre_protocol::{
    AbsenceReason, Attempt, BlockHash, BlockKind, Epoch, Head, Header, Height, MatchId, Millis, Motion,
    PublicKey, ReadBlock, Receipt, ReopenReason, RoomName, SealReason, Seat, SeatSet, Seq, SignedTransaction,
    StateRoot, TalkHash, Transaction, TransactionBody, Turn, TxHash, Visibility, Words,
};
use cadastre_replay::{Replay, Violation, audit};

use super::server::root_key;

/// In turns that are opened after this time without a fault everybody acts in time.
const CALM_MS: u64 = 1_500;

#[derive(Default)]
pub(crate) struct Witness {
    blocks: BTreeMap<(MatchId, Height), BlockHash>,
    receipts: Vec<Receipt>,
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
    /// Seats that signed on a state that was not the right one.
    pub(crate) astray: BTreeSet<(MatchId, Seat)>,
}

/// What a process signs once only.
type Slot = (u64, MatchId, Epoch, Turn, Attempt, u8);

/// A match as the store has it at the end.
pub(crate) struct Stored {
    match_id: MatchId,
    pub(crate) head: Head,
    pub(crate) reason: SealReason,
    /// Of the exported file.
    pub(crate) bytes: Vec<u8>,
    sealed_moves: bool,
    seats: u8,
    forfeit_after: Option<u16>,
    blocks: Vec<ReadBlock>,
}

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
    pub(crate) fn see_files(&mut self, store: &Store) {
        for entry in store.matches() {
            let (match_id, _) = entry.unwrap();
            let file = export::replay(store, None, match_id).unwrap();
            if let Some(file) = file {
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
            TransactionBody::Delegate(_) => 1,
            TransactionBody::Commit(_) => 2,
            TransactionBody::Turn(_) | TransactionBody::Reveal { .. } | TransactionBody::Resign => 3,
            // What is wanted excludes nothing.
            TransactionBody::Takeback { .. } | TransactionBody::Motion(_) => return,
        };
        let slot = (process, tx.match_id, tx.epoch, tx.turn, tx.attempt, kind);
        let before = self.signed.insert(slot, read.hash());
        assert!(before.is_none_or(|before| before == read.hash()), "two bodies for one turn: {tx:?}");
    }

    /// Judges the one match of a room, which is over.
    pub(crate) fn judge(&self, store: &Store, room: &RoomName) -> Stored {
        let stored = Stored::of(store, room, &self.astray);
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
        stored.check_takebacks();
        stored.check_agreements();
        self.check_absences(&stored);
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

impl Stored {
    /// Reads the one match of a room, and has it audited.
    fn of(store: &Store, room: &RoomName, astray: &BTreeSet<(MatchId, Seat)>) -> Self {
        let matches = store.matches().map(Result::unwrap);
        let mut of_room = matches.filter(|(_, record)| record.room == *room);
        let (match_id, record) = of_room.next().expect("the match is on disk");
        assert!(of_room.next().is_none(), "one match is played in a room");
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
        }
    }

    fn keeps(&self, receipt: &Receipt) -> bool {
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

    /// The match went back if and only if all wanted to, to the state that it had then, and the replay shows what
    /// was left as well as what is there.
    fn check_takebacks(&self) {
        let replay = Replay::open(&self.bytes).unwrap();
        let shows = |line: &[StateRoot], attempt| {
            for (turn, root) in (0..).map(Turn::new).zip(line) {
                let shown = replay.player_in(turn, attempt).unwrap().game().state_root();
                assert_eq!(shown, *root, "turn {turn} of attempt {attempt}");
            }
        };
        let seats: SeatSet = SeatSet::first(self.seats);
        let (mut resigned, mut wants) = (SeatSet::default(), BTreeMap::new());
        let mut absences: BTreeMap<Seat, u16> = BTreeMap::new();
        // The states of all turns up to the head's that were not taken back.
        let mut line = vec![self.blocks[0].header().state_root];
        for block in &self.blocks {
            let Header { kind, state_root, attempt, .. } = block.header();
            let open = Turn::new(u32::try_from(line.len()).unwrap());
            let mut resigning = SeatSet::default();
            for entry in block.entries().iter().filter(|_| kind.closes_turn()) {
                let tx = entry.transaction.get();
                match tx.body {
                    TransactionBody::Takeback { to_turn } if to_turn.next() != Some(open) => {
                        wants.insert(tx.seat, to_turn);
                    }
                    TransactionBody::Delegate(_) => {}
                    TransactionBody::Resign => {
                        resigning.insert(tx.seat);
                        wants.remove(&tx.seat);
                    }
                    TransactionBody::Takeback { .. }
                    | TransactionBody::Join(_)
                    | TransactionBody::Turn(_)
                    | TransactionBody::Commit(_)
                    | TransactionBody::Motion(_)
                    | TransactionBody::Reveal { .. } => drop(wants.remove(&tx.seat)),
                }
            }
            let playing = seats.without(resigned);
            let wanted: BTreeSet<_> = playing.iter().map(|seat| wants.get(&seat)).collect();
            let agreed = wanted.first().copied().flatten().filter(|_| wanted.len() == 1).copied();
            match kind {
                BlockKind::Turn => {
                    assert_eq!(agreed, None);
                    line.push(*state_root);
                    for seat in playing.iter() {
                        let reason =
                            block.absent().iter().find(|absence| absence.seat == seat).map(|it| it.reason);
                        let turns = absences.entry(seat).or_default();
                        match reason {
                            None => *turns = 0,
                            Some(
                                AbsenceReason::Deadline
                                | AbsenceReason::RevealMissing
                                | AbsenceReason::Skipped,
                            ) => *turns += 1,
                            Some(_) => {}
                        }
                        if Some(*turns) == self.forfeit_after {
                            resigning.insert(seat);
                        }
                    }
                }
                BlockKind::Commit => assert_eq!(agreed, None),
                BlockKind::Takeback { to_turn } => {
                    assert_eq!(agreed, Some(*to_turn));
                    shows(&line, Attempt::new(attempt.get() - 1));
                    line.truncate(usize::try_from(to_turn.get()).unwrap() + 1);
                }
                BlockKind::Start
                | BlockKind::Reopen { .. }
                | BlockKind::KeyChange { .. }
                | BlockKind::Seal { .. } => continue,
            }
            assert_eq!(line.last(), Some(state_root));
            resigned = resigned.iter().chain(resigning.iter()).collect();
            wants.clear();
        }
        if self.went_back() {
            shows(&line, self.head.attempt);
        }
    }

    pub(crate) fn paused(&self) -> bool {
        self.blocks.iter().any(|block| is_pause(&block.header().kind))
    }

    pub(crate) fn skipped(&self) -> bool {
        let mut absent = self.blocks.iter().flat_map(|block| block.absent());
        absent.any(|absence| absence.reason == AbsenceReason::Skipped)
    }

    /// A pause, an agreed end and a skipped seat are there if and only if enough want them: by what the blocks have of
    /// each turn, the last words of the seats in it.
    fn check_agreements(&self) {
        let seats = SeatSet::first(self.seats);
        let (mut resigned, mut paused) = (SeatSet::default(), Height::GENESIS);
        let mut absent_turns = [0_u16; 8];
        for block in &self.blocks {
            let kind = &block.header().kind;
            let playing = seats.without(resigned);
            let mut words: BTreeMap<Seat, &Transaction> = BTreeMap::new();
            let mut resigning = SeatSet::default();
            let mut entries: Vec<_> = block.entries().iter().map(|entry| entry.transaction.get()).collect();
            entries.sort_by_key(|tx| (tx.seat, tx.seq));
            for tx in entries {
                if tx.body == TransactionBody::Resign {
                    resigning.insert(tx.seat);
                    words.remove(&tx.seat);
                } else if tx.body.is_stance() {
                    words.insert(tx.seat, tx);
                }
            }
            let wants = |motion: Motion| {
                let is_over =
                    |tx: &Transaction| matches!(motion, Motion::Pause { .. }) && tx.seen_height < paused;
                let wanting = |seat| words.get(&seat).filter(|tx| tx.body == TransactionBody::Motion(motion));
                playing.iter().all(|seat| wanting(seat).is_some_and(|tx| !is_over(tx)))
            };
            match kind {
                BlockKind::Reopen { reason: ReopenReason::Pause { ms } } => {
                    assert!(wants(Motion::Pause { ms: *ms }));
                    paused = block.header().height;
                }
                BlockKind::Seal { reason: SealReason::Agreed, .. } => assert!(wants(Motion::End)),
                BlockKind::Turn | BlockKind::Commit => {
                    assert!(!wants(Motion::End) && !wants(Motion::Pause { ms: 2_000 }));
                    for skipped in block.absent().iter().filter(|a| a.reason == AbsenceReason::Skipped) {
                        let wants_it = |tx: &&&Transaction| matches!(tx.body, TransactionBody::Motion(Motion::Skip { seats }) if seats.contains(skipped.seat));
                        assert!(words.values().filter(wants_it).count() >= 2, "{skipped:?}");
                    }
                }
                BlockKind::Start
                | BlockKind::Reopen { .. }
                | BlockKind::Takeback { .. }
                | BlockKind::KeyChange { .. }
                | BlockKind::Seal { .. } => {}
            }
            if *kind == BlockKind::Turn {
                for seat in seats.iter() {
                    let absent = block.absent().iter().find(|absence| absence.seat == seat);
                    let turns = &mut absent_turns[seat.index()];
                    match absent.map(|absence| absence.reason) {
                        None => *turns = 0,
                        Some(AbsenceReason::NotToMove | AbsenceReason::Resigned) => {}
                        Some(_) => *turns += 1,
                    }
                    if self.forfeit_after.is_some_and(|after| *turns >= after) {
                        resigning.insert(seat);
                    }
                }
            }
            if kind.closes_turn() {
                resigned = resigned.iter().chain(resigning.iter()).collect();
            }
        }
    }

    /// The transactions of a seat are numbered without gaps, and in a block it acts once.
    fn check_order(&self) {
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

const fn is_pause(kind: &BlockKind) -> bool {
    matches!(kind, BlockKind::Reopen { reason: ReopenReason::Pause { .. } })
}
