//! How the server puts the next block of a chain together.

use crate::{
    block::{
        Absence, BlockKind, Header, ReadBlock, ReadEntry, ReopenReason, SealReason, absent_root, body_root,
    },
    certificate::SignedCertificate,
    chain::{
        Chain,
        open_turn::{Agreement, OpenTurn},
    },
    genesis::Visibility,
    hash::Digest,
    ids::{Millis, Seat, StateRoot, Turn},
    randomness::Drawn,
    setup::Work,
};

/// A block that wants only its state root.
#[derive(Debug)]
pub struct Draft {
    header: Header,
    drawn: Drawn,
    entries: Vec<ReadEntry>,
    absent: Vec<Absence>,
}

impl Draft {
    /// What the game has to do; `stand_in` as for [`ReadBlock::work`].
    pub fn work(&self, stand_in: impl Fn(Seat) -> Vec<u8>) -> Work<'_> {
        self.drawn.work(&self.entries, &self.absent, stand_in)
    }

    /// Completes the block with the root of the state after its work.
    pub fn finish(mut self, state_root: StateRoot) -> ReadBlock {
        self.header.state_root = state_root;
        ReadBlock::compose(self.header, self.entries, self.absent)
    }
}

impl Chain {
    /// Drafts the Start from the Joins received. It passes [`Chain::check`] when all have joined. `element` is the
    /// next of the server's hash chain, in a match that has them.
    pub fn draft_start(&self, joins: OpenTurn, now: Millis, element: Option<Digest>) -> Option<Draft> {
        self.draft(BlockKind::Start, self.head().turn, joins.into_entries(), Vec::new(), now, element)
    }

    /// Drafts the block that closes what is open: the turn, or the first half of one with sealed commands. It
    /// passes [`Chain::check`] when [`OpenTurn::is_closable`]. `None` when the numbers of turns or blocks are
    /// exhausted. `element` is the next of the server's hash chain, in a match that has them; a first half does not
    /// use it.
    pub fn draft_turn(&self, open: OpenTurn, now: Millis, element: Option<Digest>) -> Option<Draft> {
        let next = self.head().turn.next()?;
        let (kind, turn) = if self.genesis().visibility == Visibility::Sealed && !self.is_revealing() {
            (BlockKind::Commit, self.head().turn)
        } else {
            (BlockKind::Turn, next)
        };
        let absent = self.absences(&open, self.time_of(open.entries(), now));
        self.draft(kind, turn, open.into_entries(), absent, now, element)
    }

    /// Drafts the block that carries out what all seats have agreed on; `None` when there is nothing. A Takeback
    /// closes the turn, and takes up all that came for it; the other blocks only show what the seats want.
    pub fn draft_agreed(&self, open: OpenTurn, now: Millis) -> Option<Draft> {
        match open.agreed(self)? {
            Agreement::Takeback { to_turn } => self.draft(
                BlockKind::Takeback { to_turn },
                to_turn,
                open.into_entries(),
                Vec::new(),
                now,
                None,
            ),
            Agreement::Pause { ms } => {
                let kind = BlockKind::Reopen { reason: ReopenReason::Pause { ms } };
                self.draft(kind, self.head().turn, open.shown(), Vec::new(), now, None)
            }
            Agreement::End => self.draft_last(SealReason::Agreed, open.shown(), now),
        }
    }

    /// Drafts a block that opens the open turn again.
    pub fn draft_reopen(&self, reason: ReopenReason, now: Millis) -> Option<Draft> {
        self.draft(BlockKind::Reopen { reason }, self.head().turn, Vec::new(), Vec::new(), now, None)
    }

    /// Drafts the block that puts another block signer in force. `None` when the root key did not sign its
    /// certificate, or its serial is not greater than the one in force.
    pub fn draft_key_change(&self, certificate: SignedCertificate, now: Millis) -> Option<Draft> {
        let kind = BlockKind::KeyChange { certificate };
        let mut draft = self.draft(kind, self.head().turn, Vec::new(), Vec::new(), now, None)?;
        let (_, signer) = self.next_signer(&draft.header).ok()??;
        draft.header.signer_serial = signer.serial();
        Some(draft)
    }

    /// Drafts the last block.
    pub fn draft_seal(&self, reason: SealReason, now: Millis) -> Option<Draft> {
        self.draft_last(reason, Vec::new(), now)
    }

    /// Drafts the last block of a match that ends because `seat` signed two transactions for one turn.
    /// `entries` are these two, and before them the delegation, if the open turn brought it.
    pub fn draft_double(&self, seat: Seat, entries: Vec<ReadEntry>, now: Millis) -> Option<Draft> {
        self.draft_last(SealReason::DoubleTransaction { seat }, entries, now)
    }

    fn draft_last(&self, reason: SealReason, entries: Vec<ReadEntry>, now: Millis) -> Option<Draft> {
        let kind = BlockKind::Seal { reason, standings: self.standings_after(Some(reason)) };
        self.draft(kind, self.head().turn, entries, Vec::new(), now, None)
    }

    fn draft(
        &self,
        kind: BlockKind,
        turn: Turn,
        mut entries: Vec<ReadEntry>,
        absent: Vec<Absence>,
        now: Millis,
        element: Option<Digest>,
    ) -> Option<Draft> {
        let head = self.head();
        let server_time = self.time_of(&entries, now);
        let randomness = element.filter(|_| kind.reveals() && self.state.server.is_some());
        let mut header = Header {
            version: Header::VERSION,
            match_id: self.match_id(),
            height: self.next_height()?,
            prev_block: head.block,
            deadline: self.deadline_after(&kind, server_time),
            attempt: self.attempt_of(&kind)?,
            kind,
            turn,
            server_time,
            body_root: Digest::ZERO,
            absent_root: absent_root(&absent),
            randomness: randomness.unwrap_or(Digest::ZERO),
            state_root: head.state_root,
            chain_root: self.history.root(),
            signer_serial: self.signer().serial(),
        };
        let drawn = self.drawn(&header, &entries);
        // The two transactions of a seat that ended the match stand as they came.
        if !matches!(header.kind, BlockKind::Seal { reason: SealReason::DoubleTransaction { .. }, .. }) {
            let order = self.seat_order(drawn);
            entries.sort_by_key(|entry| {
                let tx = entry.transaction.get();
                (order[tx.seat.index()], tx.seq)
            });
        }
        header.body_root = body_root(&entries);
        Some(Draft { header, drawn, entries, absent })
    }

    /// When a block with these entries is made. The clock of the machine may have been set back; that of the chain
    /// never goes back.
    fn time_of(&self, entries: &[ReadEntry], now: Millis) -> Millis {
        let received = entries.iter().map(|entry| entry.received);
        received.fold(now.max(self.head().server_time), Millis::max)
    }
}
