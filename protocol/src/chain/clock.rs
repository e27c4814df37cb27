//! The time of the seats: until when the open turn waits for each of them, and what a turn takes of it.
//! `docs/protocol.md`, "Clocks".

use crate::{
    block::{BlockKind, ReadBlock},
    chain::{Chain, OpenTurn, state::SeatState},
    genesis::{AbsencePolicy, Clock},
    ids::{Millis, Seat, SeatSet},
    transaction::TransactionBody,
};

/// How a seat stands for time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeatClock {
    /// What its bank had when the open turn, or the open half of it, began; none in a match without banks.
    pub bank_ms: Option<u64>,
    /// When its time is up, if the open turn waits for the seat.
    pub runs_out: Option<Millis>,
}

impl SeatClock {
    /// What the bank has at `now`, by the server's clock, unless the seat has acted meanwhile.
    pub fn bank_ms_at(&self, now: Millis) -> Option<u64> {
        let left = |at: Millis| at.get().saturating_sub(now.get());
        self.bank_ms.map(|bank| self.runs_out.map_or(bank, |at| bank.min(left(at))))
    }
}

impl Chain {
    /// Until when the open turn waits for `seat`: its commands count if they were received by then. None when no
    /// turn is open, and for a seat that the match does not have.
    pub fn deadline_of(&self, seat: Seat) -> Option<Millis> {
        let state = self.state.seats.get(seat.index())?;
        Some(self.opened()?.after(self.allowance(state)))
    }

    /// How `seat` stands for time; `None` for a seat that the match does not have.
    pub fn clock_of(&self, seat: Seat) -> Option<SeatClock> {
        let state = self.state.seats.get(seat.index())?;
        let waited_for = self.seal_due().is_none() && self.required().contains(seat);
        let runs_out = self.deadline_of(seat).filter(|_| waited_for);
        Some(SeatClock { bank_ms: state.bank_ms, runs_out })
    }

    /// When the time of the open turn, or of its open half, began.
    fn opened(&self) -> Option<Millis> {
        let deadline_ms = u64::from(self.genesis.turns.deadline_ms);
        self.state.head.deadline.map(|deadline| Millis::new(deadline.get().saturating_sub(deadline_ms)))
    }

    /// For how long what is open waits for a seat.
    fn allowance(&self, state: &SeatState) -> u64 {
        let whole = u64::from(self.genesis.turns.deadline_ms);
        let shrunk = match self.genesis.absence {
            AbsencePolicy::Shrink { shortest_ms, .. } | AbsencePolicy::TakeOver { shortest_ms, .. } => {
                let halved = whole.checked_shr(u32::from(state.absent_turns)).unwrap_or(0);
                halved.max(u64::from(shortest_ms)).min(whole)
            }
            AbsencePolicy::Pass { .. } | AbsencePolicy::Forfeit { .. } => whole,
        };
        state.bank_ms.map_or(shrunk, |bank| bank.min(shrunk))
    }

    /// Takes the time of a turn, or of a half of it, from the banks, and does to the seats that are absent again
    /// what the genesis says. `seats` are those after the entries of `block`, in which `acted` acted.
    pub(super) fn settle(&self, block: &ReadBlock, acted: SeatSet, seats: &mut [SeatState]) {
        let closes = matches!(block.header().kind, BlockKind::Turn | BlockKind::Commit);
        let Some(opened) = self.opened().filter(|_| closes) else { return };
        for seat in self.required().iter() {
            let action = block.entries.iter().find(|entry| {
                let tx = entry.transaction.get();
                tx.seat == seat && is_action(&tx.body)
            });
            let before = &self.state.seats[seat.index()];
            let since_opened = |until: Millis| until.get().saturating_sub(opened.get());
            let spent = action.map_or_else(
                || since_opened(block.header().server_time).min(self.allowance(before)),
                |entry| since_opened(entry.received),
            );
            let after = &mut seats[seat.index()];
            after.bank_ms = after.bank_ms.map(|left| left.saturating_sub(spent));
        }
        if block.header().kind == BlockKind::Turn {
            self.settle_turn(acted, seats);
        }
    }

    fn settle_turn(&self, acted: SeatSet, seats: &mut [SeatState]) {
        let forfeit_after = self.genesis.absence.forfeit_after();
        for seat in self.asked().without(self.resigned()).without(self.open_seats()).iter() {
            let state = &mut seats[seat.index()];
            if let (Clock::Bank { increment_ms, .. }, Some(left)) = (self.genesis.turns.clock, state.bank_ms)
            {
                state.bank_ms = Some(left.saturating_add(u64::from(increment_ms)));
            }
            state.absent_turns = if acted.contains(seat) { 0 } else { state.absent_turns.saturating_add(1) };
            state.resigned |= forfeit_after.is_some_and(|turns| state.absent_turns >= turns);
        }
    }
}

impl OpenTurn {
    /// When the turn can be closed if nothing more comes: when the time of every seat is up for which it still
    /// waits. None when no turn is open.
    pub fn closes_at(&self, chain: &Chain) -> Option<Millis> {
        // In a pause its time begins later on, and whoever has acted is not waited for all the same.
        let earliest = chain.opened()?.min(chain.head().server_time);
        let awaited = chain.required().without(self.acted());
        let waits = awaited.iter().filter_map(|seat| self.waits_for(chain, seat));
        Some(waits.max().unwrap_or(earliest))
    }

    /// Until when the turn waits for `seat`: for the whole time that the seat has, or half of it if enough of the
    /// others want to skip it.
    pub(super) fn waits_for(&self, chain: &Chain, seat: Seat) -> Option<Millis> {
        let (opened, deadline) = (chain.opened()?, chain.deadline_of(seat)?);
        let half = (deadline.get() - opened.get()).div_ceil(2);
        Some(if self.is_skipped(chain, seat) { opened.after(half) } else { deadline })
    }

    /// Can the turn be closed at `now`: has every seat acted that it waits for, or is its time up?
    pub fn is_closable(&self, chain: &Chain, now: Millis) -> bool {
        self.closes_at(chain).is_some_and(|closes_at| now >= closes_at)
    }
}

/// Does a seat that hands in this body act, so that the turn needs not wait for it any longer?
const fn is_action(body: &TransactionBody) -> bool {
    match body {
        TransactionBody::Delegate(_) | TransactionBody::Takeback { .. } | TransactionBody::Motion(_) => false,
        TransactionBody::Join(_)
        | TransactionBody::Turn(_)
        | TransactionBody::Commit(_)
        | TransactionBody::Reveal { .. }
        | TransactionBody::Resign
        | TransactionBody::LateJoin { .. } => true,
    }
}
