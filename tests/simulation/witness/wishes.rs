//! What players agreed on: it is in the match if and only if enough of them wanted it.

use std::collections::{BTreeMap, BTreeSet};

use cadastre_protocol::{
    AbsenceReason, Attempt, BlockKind, Header, Height, Motion, ReopenReason, SealReason, Seat, SeatSet,
    StateRoot, Transaction, TransactionBody, Turn,
};
use cadastre_replay::Replay;

use super::Stored;

impl Stored {
    /// The match went back if and only if all wanted to, to the state that it had then, and the replay shows what
    /// was left as well as what is there.
    pub(super) fn check_takebacks(&self) {
        let replay = Replay::open(&self.bytes).unwrap();
        let shows = |line: &[StateRoot], attempt| {
            for (turn, root) in (0..).map(Turn::new).zip(line) {
                let shown = replay.player_in(turn, attempt).unwrap().game().state_root();
                assert_eq!(shown, *root, "turn {turn} of attempt {attempt}");
            }
        };
        let seats: SeatSet = SeatSet::first(self.seats);
        let (mut resigned, mut wants, mut free) = (SeatSet::default(), BTreeMap::new(), self.open);
        let mut absences: BTreeMap<Seat, u16> = BTreeMap::new();
        // The states of all turns up to the head's that were not taken back.
        let mut line = vec![self.blocks[0].header().state_root];
        for block in &self.blocks {
            let Header { kind, state_root, attempt, .. } = block.header();
            let open = Turn::new(u32::try_from(line.len()).unwrap());
            let (mut resigning, mut taking) = (SeatSet::default(), Vec::new());
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
                    TransactionBody::LateJoin { .. } => taking.push(tx.seat),
                }
            }
            let playing = seats.without(free).without(resigned);
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
                                | AbsenceReason::Skipped
                                | AbsenceReason::TakenOver,
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
            taking.into_iter().for_each(|seat| free.remove(seat));
            assert_eq!(line.last(), Some(state_root));
            resigned = resigned.iter().chain(resigning.iter()).collect();
            wants.clear();
        }
        if self.went_back() {
            shows(&line, self.head.attempt);
        }
    }

    /// A pause, an agreed end and a skipped seat are there if and only if enough want them: by what the blocks have of
    /// each turn, the last words of the seats in it.
    pub(super) fn check_agreements(&self) {
        let seats = SeatSet::first(self.seats);
        let (mut resigned, mut paused) = (SeatSet::default(), Height::GENESIS);
        let mut absent_turns = [0_u16; 8];
        let mut free = self.open;
        for block in &self.blocks {
            let kind = &block.header().kind;
            let playing = seats.without(free).without(resigned);
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
                        Some(
                            AbsenceReason::NotToMove | AbsenceReason::Resigned | AbsenceReason::OpenSeat,
                        ) => {}
                        Some(_) => *turns += 1,
                    }
                    if self.forfeit_after.is_some_and(|after| *turns >= after) {
                        resigning.insert(seat);
                    }
                }
            }
            if kind.closes_turn() {
                let entries = block.entries().iter().map(|entry| entry.transaction.get());
                let takes = |tx: &&Transaction| matches!(tx.body, TransactionBody::LateJoin { .. });
                entries.filter(takes).for_each(|tx| free.remove(tx.seat));
                resigned = resigned.iter().chain(resigning.iter()).collect();
            }
        }
    }
}
