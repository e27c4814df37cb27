//! Grace: what is open waits longer, once, for a seat that has lost its connection. `docs/protocol.md`, "Grace".

use crate::{
    block::{BlockKind, Header, ReopenReason},
    chain::{BlockError, Chain, OpenTurn},
    ids::{Millis, Seat, SeatSet},
};

impl Chain {
    /// Can what is open be given grace, if a seat is missing?
    pub(super) fn has_grace(&self) -> bool {
        self.genesis.turns.grace_ms > 0 && !self.state.graced
    }

    /// Is somebody missing, as far as the chain shows? Whether the connection was lost, only the server knows.
    pub(super) fn check_grace(&self, header: &Header) -> Result<(), BlockError> {
        let is_grace = header.kind == BlockKind::Reopen { reason: ReopenReason::Grace };
        if is_grace && self.missing(header.server_time).is_empty() {
            return Err(BlockError::NobodyMissing);
        }
        Ok(())
    }

    /// The seats that what is open waits for, whose time is up at `now`, and that were not absent before.
    fn missing(&self, now: Millis) -> SeatSet {
        let is_missing = |seat: &Seat| {
            let was_there = self.state.seats[seat.index()].absent_turns == 0;
            was_there && self.deadline_of(*seat).is_some_and(|deadline| deadline <= now)
        };
        self.required().iter().filter(is_missing).collect()
    }
}

impl OpenTurn {
    /// The seats for which the server gives grace at `now`, if they have lost their connection, by a Reopen in the place of
    /// the block that would close what is open.
    pub fn missing(&self, chain: &Chain, now: Millis) -> SeatSet {
        if !chain.has_grace() || !chain.may_reopen() {
            return SeatSet::EMPTY;
        }
        let missing = chain.missing(now).without(self.acted());
        missing.iter().filter(|seat| !self.is_skipped(chain, *seat)).collect()
    }
}
