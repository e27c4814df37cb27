//! The one chain verifier. The server checks its own block with it before it signs, the client before it
//! shows, the auditor over the whole file. `docs/protocol.md`, "Chain".
//!
//! A block passes in two steps, since only whoever runs the rules knows the state: [`Chain::check`] looks at
//! everything but the state, and [`Chain::append`] compares what executing the block came to.

mod clock;
mod draft;
mod error;
mod grace;
mod join;
mod open_turn;
mod seats;
mod state;

use crate::{
    block::{
        Absence, AbsenceReason, BlockKind, Header, ReadBlock, ReadEntry, ReadProvenBlock, ReopenReason,
        SealReason, absent_root, body_root,
    },
    certificate::{KeyRole, SignedCertificate, VerifiedCertificate},
    genesis::{
        AgreementPolicy, DoubleTransactionPolicy, Genesis, SeatHolder, SkipPolicy, TAKEBACK_TURNS_MAX,
        Visibility,
    },
    hash::{Context, Digest, hash},
    ids::{Attempt, BlockHash, Epoch, Height, MatchId, Millis, Seat, SeatSet, Seq, StateRoot, Turn, TxHash},
    keys::{EnrolledKey, PublicKey},
    merkle::Frontier,
    randomness::Drawn,
    setup::{Executed, Setup, Work},
    transaction::{Motion, TransactionBody},
};

pub use clock::SeatClock;
pub use draft::Draft;
pub use error::{BlockError, GenesisError, TransactionError};
pub use join::{JoinError, JoinPoint, VerifiedJoinPoint};
pub use open_turn::{Admission, Agreement, OpenTurn};
pub use state::ChainState;
use state::SeatState;

/// Most Reopen and KeyChange blocks within one turn.
pub const REOPENS_MAX: usize = 1000;

/// A match up to its head: all that is needed to judge the next block, and nothing of the game's state.
#[derive(Clone, Debug)]
pub struct Chain {
    genesis: Genesis,
    match_id: MatchId,
    root: EnrolledKey,
    /// Of the seats that the genesis gives away.
    identities: Vec<Option<EnrolledKey>>,
    signer: VerifiedCertificate,
    history: Frontier,
    state: ChainState,
    executed: Executed,
}

/// The newest block of a chain, and what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct Head {
    /// Its height.
    pub height: Height,
    /// Its name.
    pub block: BlockHash,
    /// The last turn that was executed.
    pub turn: Turn,
    /// Number of takebacks so far.
    pub attempt: Attempt,
    /// When the server made it.
    pub server_time: Millis,
    /// When the open turn closes at the latest; none before the Start and after the Seal.
    pub deadline: Option<Millis>,
    /// The state.
    pub state_root: StateRoot,
}

/// A block that breaks no rule, as far as one can tell without executing it.
#[derive(Clone, Debug)]
pub struct CheckedBlock {
    block: ReadBlock,
    drawn: Drawn,
    /// The seats as they stand after the block.
    seats: Vec<SeatState>,
    acted: SeatSet,
    desynced: SeatSet,
    signer: Option<(SignedCertificate, VerifiedCertificate)>,
}

impl CheckedBlock {
    /// The block.
    pub const fn block(&self) -> &ReadBlock {
        &self.block
    }

    /// What the game has to do before [`Chain::append`]; `stand_in` as for [`ReadBlock::work`].
    pub fn work(&self, stand_in: impl Fn(Seat) -> Vec<u8>) -> Work<'_> {
        self.drawn.work(&self.block.entries, &self.block.absent, stand_in)
    }

    /// Seats that signed another state root than the chain has: they computed another state.
    pub const fn desynced(&self) -> SeatSet {
        self.desynced
    }
}

impl Chain {
    /// Begins a chain at its genesis. `executed` is the state of a game started from [`Genesis::setup`], or in the state
    /// of the parent.
    ///
    /// Whether the service is the one that the caller trusts, is for the caller to compare.
    ///
    /// # Errors
    ///
    /// In the order of [`GenesisError`]'s variants; the first that applies.
    pub fn begin(genesis: Genesis, executed: Executed) -> Result<Self, GenesisError> {
        let state = ChainState::begin(&genesis, executed.state_root);
        Self::with_state(genesis, state, executed)
    }

    /// Takes up a chain at a state that [`Chain::state`] gave. Nothing tells whether it is the state that
    /// follows from the genesis: it must come from one's own store, and the blocks after it be checked.
    ///
    /// # Errors
    ///
    /// In the order of [`GenesisError`]'s variants; the first that applies.
    pub fn from_state_unverified(
        genesis: Genesis,
        state: ChainState,
        executed: Executed,
    ) -> Result<Self, GenesisError> {
        Self::with_state(genesis, state, executed)
    }

    fn with_state(genesis: Genesis, state: ChainState, executed: Executed) -> Result<Self, GenesisError> {
        genesis.supported().map_err(GenesisError::Unsupported)?;
        let root = genesis.service.enroll().map_err(|_| GenesisError::WeakKey)?;
        let signer = state
            .signer
            .verify(&root)
            .and_then(|signer| signer.check(KeyRole::Block, state.head.server_time).map(|()| signer))
            .map_err(GenesisError::Certificate)?;
        let identities = genesis
            .seats
            .iter()
            .map(|holder| match holder {
                SeatHolder::Player(identity) => identity.enroll().map(Some),
                SeatHolder::Open => Ok(None),
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| GenesisError::WeakKey)?;
        let first = genesis.parent.filter(|_| state.head.height == Height::GENESIS);
        let expected = first.map_or(state.head.state_root, |parent| parent.state_root);
        if executed.state_root != expected {
            return Err(GenesisError::StateRoot);
        }
        let history = state.history().ok_or(GenesisError::State)?;
        if state.seats.len() != genesis.seats.len() || executed.standings.len() != genesis.seats.len() {
            return Err(GenesisError::State);
        }
        Ok(Self { match_id: genesis.match_id(), genesis, root, identities, signer, history, state, executed })
    }

    /// Everything that follows from the blocks so far, to go on from later.
    pub fn state(&self) -> &ChainState {
        &self.state
    }

    /// What the game was started from.
    pub fn setup(&self) -> Setup {
        self.state.setup(&self.genesis)
    }

    /// The genesis.
    pub const fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// Names the match.
    pub const fn match_id(&self) -> MatchId {
        self.match_id
    }

    /// The newest block.
    pub const fn head(&self) -> &Head {
        &self.state.head
    }

    /// The certificate under which the next block is signed.
    pub const fn signer(&self) -> &VerifiedCertificate {
        &self.signer
    }

    /// That certificate as the root signed it.
    pub const fn signer_certificate(&self) -> &SignedCertificate {
        &self.state.signer
    }

    /// Roots of the complete subtrees of the tree over all blocks up to the head, the largest first.
    pub fn history_peaks(&self) -> &[Digest] {
        &self.state.peaks
    }

    /// Is the next block to be signed under this very certificate?
    pub fn is_signed_under(&self, certificate: &SignedCertificate) -> bool {
        self.state.signer == *certificate
    }

    /// How the match ended, once it has.
    pub const fn sealed(&self) -> Option<SealReason> {
        self.state.sealed
    }

    /// The turn that is open; `None` before the Start, after the Seal, and when the numbers are exhausted.
    pub fn next_turn(&self) -> Option<Turn> {
        if self.state.head.deadline.is_some() { self.state.head.turn.next() } else { None }
    }

    /// Is the second half of a turn with sealed commands open, in which seats show what they committed to?
    pub const fn is_revealing(&self) -> bool {
        self.state.revealing
    }

    /// What `seat` committed to for the open turn, up to the head.
    pub fn commitment_of(&self, seat: Seat) -> Option<Digest> {
        self.state.seats.get(seat.index())?.commitment
    }

    /// How many elements of its hash chain the server has revealed.
    pub fn revealed_by_server(&self) -> u32 {
        self.state.server.map_or(0, |tip| tip.revealed)
    }

    /// The earliest turn that the match can go back to; `None` when it has no takebacks.
    pub fn takeback_floor(&self) -> Option<Turn> {
        let floor = self.state.furthest.get().saturating_sub(TAKEBACK_TURNS_MAX);
        self.genesis.has_takebacks().then_some(Turn::new(floor))
    }

    /// May a Takeback transaction name this turn? The head's own turn declines.
    fn can_be_asked_for(&self, to: Turn) -> bool {
        to <= self.state.head.turn && self.takeback_floor().is_some_and(|floor| floor <= to)
    }

    /// Height of the last pause: a seat that had not seen it wants none any more. That of the genesis if there was none.
    pub const fn last_pause(&self) -> Height {
        self.state.paused
    }

    /// Can `seat` put this motion in this match?
    pub fn can_be_moved(&self, seat: Seat, motion: Motion) -> bool {
        let policy = self.genesis.agreements;
        match motion {
            Motion::Nothing => policy != AgreementPolicy::NONE,
            Motion::Pause { ms } => (1..=policy.pause_ms_max).contains(&ms),
            Motion::End => policy.end,
            Motion::Skip { seats } => {
                let others = SeatSet::first(self.genesis.seat_count()).without(SeatSet::from_iter([seat]));
                policy.skip != SkipPolicy::Never && !seats.is_empty() && others.contains_all(seats)
            }
        }
    }

    /// Can the open turn be opened once more?
    fn may_reopen(&self) -> bool {
        self.state.seen.len() <= REOPENS_MAX
    }

    /// Why the next block must be a Seal; `None` while the match goes on.
    pub fn seal_due(&self) -> Option<SealReason> {
        // A turn whose first half is closed is played to its end.
        if self.state.head.height == Height::GENESIS || self.state.sealed.is_some() || self.state.revealing {
            return None;
        }
        let active = self.players().len();
        if self.executed.over {
            Some(SealReason::Rules)
        } else if self.genesis.turns.turns_max == Some(self.state.head.turn.get()) {
            Some(SealReason::TurnLimit)
        } else if active == 0 || active == 1 && !self.resigned().is_empty() {
            Some(SealReason::Resigned)
        } else if self.state.silent_turns >= self.genesis.absence.abandon_after() {
            Some(SealReason::Abandoned)
        } else {
            None
        }
    }

    /// A turn in which nothing has been received yet.
    pub fn open_turn(&self) -> OpenTurn {
        OpenTurn::new(self)
    }

    /// Checks a block that came with the server's proof. The proof must hold under the signer that the chain
    /// has, or that the block puts in force.
    ///
    /// # Errors
    ///
    /// In the order of [`BlockError`]'s variants; the first that applies. A block without the proof says
    /// nothing about the server.
    pub fn check_proven(&self, mut proven: ReadProvenBlock) -> Result<CheckedBlock, BlockError> {
        let header = proven.block().header();
        let next_signer = self.next_signer(header)?;
        let key = next_signer.as_ref().map_or(self.signer.key(), |(_, signer)| signer.key()).clone();
        proven.verify_proof(&key).map_err(|_| BlockError::BadProof)?;
        self.check(proven.block)
    }

    /// Checks everything about the next block but its state root and the server's proof.
    ///
    /// # Errors
    ///
    /// In the order of [`BlockError`]'s variants; the first that applies.
    pub fn check(&self, block: ReadBlock) -> Result<CheckedBlock, BlockError> {
        let header = block.header();
        let signer = self.next_signer(header)?;
        self.check_place(header)?;
        self.check_header(header, signer.as_ref().map_or(&self.signer, |(_, signer)| signer))?;
        if header.body_root != body_root(&block.entries) || header.absent_root != absent_root(&block.absent) {
            return Err(BlockError::BodyRoot);
        }
        self.check_kind(&block)?;
        let drawn = self.drawn(header, &block.entries);
        let open = self.check_entries(&block, drawn)?;
        self.check_absent(&block, &open)?;
        self.check_agreement(header, &open)?;
        self.check_grace(header)?;
        let open = if header.kind.shows_consent() { self.open_turn() } else { open };
        let (mut seats, acted, desynced) = open.into_parts();
        self.settle(&block, acted, &mut seats);
        Ok(CheckedBlock { block, drawn, seats, acted, desynced, signer })
    }

    /// Appends a checked block, if its work gave the state that it commits to. The caller executes: `executed`
    /// describes the game after [`CheckedBlock::work`].
    ///
    /// # Errors
    ///
    /// [`BlockError::StateRoot`]. Nothing was appended, but the caller's game has gone on: one of the two
    /// sides computes another state.
    pub fn append(&mut self, checked: CheckedBlock, executed: Executed) -> Result<Appended, BlockError> {
        let CheckedBlock { block, drawn, seats, acted, desynced, signer } = checked;
        let header = block.header();
        assert_eq!(
            header.prev_block, self.state.head.block,
            "a checked block is appended to what it was checked against"
        );
        if header.state_root != executed.state_root {
            return Err(BlockError::StateRoot { expected: header.state_root, got: executed.state_root });
        }
        if let Some((signed, verified)) = signer {
            self.state.signer = signed;
            self.signer = verified;
        }
        if let Drawn::Seed(seed) = drawn {
            self.state.seed = seed;
        }
        let is_silent = acted.is_empty() && !self.asked().without(self.open_seats()).is_empty();
        self.state.seats = seats;
        self.state.advance(header, block.hash(), acted, is_silent);
        self.history.push(chain_leaf(block.hash()));
        self.state.peaks = self.history.peaks().to_vec();
        self.executed = executed;
        Ok(Appended { head: self.state.head, desynced })
    }

    /// Is this the block that comes next at all?
    fn check_place(&self, header: &Header) -> Result<(), BlockError> {
        let head = &self.state.head;
        if self.state.sealed.is_some() {
            return Err(BlockError::AfterSeal);
        }
        if header.match_id != self.match_id {
            return Err(BlockError::WrongMatch);
        }
        let expected = self.next_height().ok_or(BlockError::Exhausted)?;
        if header.height != expected {
            return Err(BlockError::WrongHeight { expected, got: header.height });
        }
        if header.prev_block != head.block {
            return Err(BlockError::WrongLink);
        }
        if header.chain_root != self.history.root() {
            return Err(BlockError::ChainRoot);
        }
        Ok(())
    }

    /// Height of the next block; `None` when the tree over all blocks could not count it.
    fn next_height(&self) -> Option<Height> {
        self.state.head.height.next().filter(|next| next.get() < u64::MAX)
    }

    /// The signer that a KeyChange puts in force.
    fn next_signer(
        &self,
        header: &Header,
    ) -> Result<Option<(SignedCertificate, VerifiedCertificate)>, BlockError> {
        let BlockKind::KeyChange { certificate } = &header.kind else { return Ok(None) };
        let verified = certificate.verify(&self.root).map_err(|_| BlockError::KeyChange)?;
        if verified.serial() <= self.signer.serial() {
            return Err(BlockError::KeyChange);
        }
        Ok(Some((certificate.clone(), verified)))
    }

    fn check_header(&self, header: &Header, signer: &VerifiedCertificate) -> Result<(), BlockError> {
        let head = &self.state.head;
        if header.signer_serial != signer.serial() {
            return Err(BlockError::WrongSigner);
        }
        signer.check(KeyRole::Block, header.server_time).map_err(|_| BlockError::WrongSigner)?;
        if header.server_time < head.server_time {
            return Err(BlockError::ClockBackwards);
        }
        if Some(header.attempt) != self.attempt_of(&header.kind) {
            return Err(BlockError::WrongAttempt);
        }
        let revealed = match self.state.server.filter(|_| header.kind.reveals()) {
            Some(tip) => tip.reveal(header.randomness).is_some(),
            None => header.randomness == Digest::ZERO,
        };
        if revealed { Ok(()) } else { Err(BlockError::Randomness) }
    }

    /// What each kind of block fixes about body, turn, deadline and state.
    fn check_kind(&self, block: &ReadBlock) -> Result<(), BlockError> {
        let (head, header) = (&self.state.head, block.header());
        let begun = head.height != Height::GENESIS;
        let sealed_commands = self.genesis.visibility == Visibility::Sealed;
        let in_place = match &header.kind {
            BlockKind::Start => !begun,
            BlockKind::Turn => {
                begun && self.seal_due().is_none() && (!sealed_commands || self.state.revealing)
            }
            BlockKind::Commit => {
                begun && self.seal_due().is_none() && sealed_commands && !self.state.revealing
            }
            BlockKind::Reopen { reason } => {
                let goes_on = begun && self.seal_due().is_none() && self.may_reopen();
                goes_on && (*reason != ReopenReason::Grace || self.has_grace())
            }
            BlockKind::KeyChange { .. } => begun && self.may_reopen(),
            BlockKind::Seal { reason: SealReason::DoubleTransaction { .. }, .. } => {
                let ends = self.genesis.double_transactions == DoubleTransactionPolicy::EndMatch;
                begun && ends && self.seal_due().is_none()
            }
            BlockKind::Seal { reason: SealReason::Agreed, .. } => begun && self.seal_due().is_none(),
            // The operator cannot call an end his own that was due anyway.
            BlockKind::Seal { reason, .. } => {
                begun && *reason == self.seal_due().unwrap_or(SealReason::Operator)
            }
            BlockKind::Takeback { to_turn } => {
                let back = *to_turn < head.turn && self.can_be_asked_for(*to_turn);
                begun && self.seal_due().is_none() && !self.state.revealing && back
            }
        };
        let body_fits = match &header.kind {
            BlockKind::Turn | BlockKind::Commit => true,
            BlockKind::Start
            | BlockKind::Takeback { .. }
            | BlockKind::Reopen { reason: ReopenReason::Pause { .. } }
            | BlockKind::Seal { reason: SealReason::DoubleTransaction { .. } | SealReason::Agreed, .. } => {
                block.absent.is_empty()
            }
            BlockKind::Reopen { .. } | BlockKind::KeyChange { .. } | BlockKind::Seal { .. } => {
                block.entries.is_empty() && block.absent.is_empty()
            }
        };
        if !in_place || !body_fits {
            return Err(BlockError::WrongKind);
        }
        let turn = self.turn_after(&header.kind).ok_or(BlockError::Exhausted)?;
        if header.turn != turn {
            return Err(BlockError::WrongTurn { expected: turn, got: header.turn });
        }
        if header.deadline != self.deadline_after(&header.kind, header.server_time) {
            return Err(BlockError::WrongDeadline);
        }
        if !self.executes(&header.kind) && header.state_root != head.state_root {
            return Err(BlockError::StateRoot { expected: head.state_root, got: header.state_root });
        }
        match &header.kind {
            BlockKind::Seal { reason, standings } if *standings != self.standings_after(Some(*reason)) => {
                Err(BlockError::WrongStandings)
            }
            BlockKind::Seal { .. }
            | BlockKind::Start
            | BlockKind::Turn
            | BlockKind::Commit
            | BlockKind::Reopen { .. }
            | BlockKind::Takeback { .. }
            | BlockKind::KeyChange { .. } => Ok(()),
        }
    }

    /// Number of takebacks after a block of this kind; `None` when it cannot be counted.
    fn attempt_of(&self, kind: &BlockKind) -> Option<Attempt> {
        let attempt = self.state.head.attempt;
        if matches!(kind, BlockKind::Takeback { .. }) { attempt.next() } else { Some(attempt) }
    }

    /// The turn after a block of this kind; `None` when it cannot be numbered.
    fn turn_after(&self, kind: &BlockKind) -> Option<Turn> {
        match kind {
            BlockKind::Turn => self.state.head.turn.next(),
            BlockKind::Takeback { to_turn } => Some(*to_turn),
            BlockKind::Start
            | BlockKind::Commit
            | BlockKind::Reopen { .. }
            | BlockKind::KeyChange { .. }
            | BlockKind::Seal { .. } => Some(self.state.head.turn),
        }
    }

    /// Does only whoever runs the rules know the state after a block of this kind?
    const fn executes(&self, kind: &BlockKind) -> bool {
        match kind {
            BlockKind::Turn | BlockKind::Takeback { .. } => true,
            BlockKind::Start => self.state.server.is_some(),
            BlockKind::Commit
            | BlockKind::Reopen { .. }
            | BlockKind::KeyChange { .. }
            | BlockKind::Seal { .. } => false,
        }
    }

    /// When the turn that is open after a block of this kind closes.
    fn deadline_after(&self, kind: &BlockKind, server_time: Millis) -> Option<Millis> {
        let whole = server_time.after(u64::from(self.genesis.turns.deadline_ms));
        match kind {
            BlockKind::Start | BlockKind::Turn | BlockKind::Commit | BlockKind::Takeback { .. } => {
                Some(whole)
            }
            BlockKind::Reopen { reason: ReopenReason::Pause { ms } } => {
                self.state.head.deadline.map(|deadline| deadline.after(u64::from(*ms)))
            }
            BlockKind::Reopen { reason: ReopenReason::Grace } => {
                let grace_ms = u64::from(self.genesis.turns.grace_ms);
                self.state.head.deadline.map(|deadline| deadline.after(grace_ms))
            }
            // What is left of a pause, or of grace, is not lost.
            BlockKind::Reopen { reason: ReopenReason::Restart } => self.state.head.deadline.max(Some(whole)),
            BlockKind::KeyChange { .. } => self.state.head.deadline,
            BlockKind::Seal { .. } => None,
        }
    }

    /// Admits every entry as the server did when it was received, and checks their order.
    fn check_entries(&self, block: &ReadBlock, drawn: Drawn) -> Result<OpenTurn, BlockError> {
        if let BlockKind::Seal { reason: SealReason::DoubleTransaction { seat }, .. } = block.header().kind {
            return self.check_double(block, seat).map(|()| self.open_turn());
        }
        let mut open = self.open_turn();
        let order = self.seat_order(drawn);
        let mut last = None;
        for (index, entry) in block.entries.iter().enumerate() {
            let transaction = entry.transaction.get();
            let refused = |error| BlockError::Entry { index, seat: transaction.seat, error };
            let admission = if block.header().kind.shows_consent() {
                open.check_shown(self, entry.transaction.clone(), entry.received)
            } else {
                open.check(self, entry.transaction.clone(), entry.received)
            };
            open.accept(admission.map_err(refused)?);
            if entry.received > block.header().server_time {
                return Err(refused(TransactionError::Late));
            }
            let place = (order[transaction.seat.index()], transaction.seq);
            if last.is_some_and(|last| last >= place) {
                return Err(BlockError::WrongOrder);
            }
            last = Some(place);
        }
        Ok(open)
    }

    /// Does a Seal carry what ends the match: two transactions of the seat that exclude each other, and before
    /// them the delegation, if the open turn brought it?
    fn check_double(&self, block: &ReadBlock, seat: Seat) -> Result<(), BlockError> {
        let none = Err(BlockError::NoDouble { seat });
        let [opening @ .., first, second] = &block.entries[..] else { return none };
        let mut open = self.open_turn();
        match opening {
            [] => {}
            [ReadEntry { received, transaction }]
                if matches!(transaction.get().body, TransactionBody::Delegate(_)) =>
            {
                let refused = |error| BlockError::Entry { index: 0, seat, error };
                let admission = open.check(self, transaction.clone(), *received).map_err(refused)?;
                open.accept(admission);
            }
            [..] => return none,
        }
        let late = block.entries.iter().any(|entry| entry.received > block.header().server_time);
        let others = block.entries.iter().any(|entry| entry.transaction.get().seat != seat);
        let is_double = open.is_double(self, &first.transaction, &second.transaction);
        if is_double && !late && !others { Ok(()) } else { none }
    }

    fn check_absent(&self, block: &ReadBlock, open: &OpenTurn) -> Result<(), BlockError> {
        match block.header().kind {
            BlockKind::Start => {
                let missing = self.players().without(open.acted());
                missing.iter().next().map_or(Ok(()), |seat| Err(BlockError::MissingSeat { seat }))
            }
            BlockKind::Turn | BlockKind::Commit => {
                let server_time = block.header().server_time;
                let expected = self.absences(open, server_time);
                if block.absent != expected {
                    let named: SeatSet = block.absent.iter().map(|absence| absence.seat).collect();
                    let should: SeatSet = expected.iter().map(|absence| absence.seat).collect();
                    let seat = should.without(named).iter().chain(named.without(should).iter()).next();
                    return Err(
                        seat.map_or(BlockError::WrongAbsence, |seat| BlockError::MissingSeat { seat })
                    );
                }
                let required = self.required();
                let in_time = |a: &&Absence| {
                    let reasons = [self.reason_of_late(), AbsenceReason::TakenOver];
                    reasons.contains(&a.reason)
                        && required.contains(a.seat)
                        && self.deadline_of(a.seat).is_none_or(|deadline| server_time < deadline)
                };
                let early = block.absent.iter().find(in_time);
                early.map_or(Ok(()), |absence| Err(BlockError::EarlyAbsence { seat: absence.seat }))
            }
            BlockKind::Reopen { .. }
            | BlockKind::Takeback { .. }
            | BlockKind::KeyChange { .. }
            | BlockKind::Seal { .. } => Ok(()),
        }
    }

    /// Has every seat consented to what needs the consent of all, and is nothing passed over that all want?
    fn check_agreement(&self, header: &Header, open: &OpenTurn) -> Result<(), BlockError> {
        let needed = match &header.kind {
            BlockKind::Takeback { to_turn } => Agreement::Takeback { to_turn: *to_turn },
            BlockKind::Reopen { reason: ReopenReason::Pause { ms } } => Agreement::Pause { ms: *ms },
            BlockKind::Seal { reason: SealReason::Agreed, .. } => Agreement::End,
            BlockKind::Turn | BlockKind::Commit => {
                return match open.agreed(self) {
                    None => Ok(()),
                    Some(Agreement::Takeback { .. }) => Err(BlockError::TakebackDue),
                    Some(Agreement::Pause { .. } | Agreement::End) => Err(BlockError::AgreementDue),
                };
            }
            BlockKind::Start
            | BlockKind::Reopen { .. }
            | BlockKind::KeyChange { .. }
            | BlockKind::Seal { .. } => return Ok(()),
        };
        let other = self.players().iter().find(|seat| open.wanted_by(self, *seat) != Some(needed));
        other.map_or(Ok(()), |seat| Err(BlockError::NoConsent { seat }))
    }

    fn drawn(&self, header: &Header, entries: &[ReadEntry]) -> Drawn {
        Drawn::of(&self.genesis.randomness, self.state.seed, header, entries)
    }
}

/// What the next transaction of a seat must say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextTransaction {
    /// Epoch of the session key in force; `None` before the Join.
    pub epoch: Option<Epoch>,
    /// That key.
    pub session: Option<PublicKey>,
    /// Its number.
    pub seq: Seq,
    /// What it links to.
    pub prev_tx: TxHash,
    /// How many elements of its hash chain the seat has revealed.
    pub revealed: u32,
}

/// What appending a block came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The new head.
    pub head: Head,
    /// Seats that had signed another state root than the chain has.
    pub desynced: SeatSet,
}

/// The leaf that stands for a block in the tree over all blocks.
pub fn chain_leaf(block: BlockHash) -> Digest {
    hash(Context::ChainLeaf, &[block.as_bytes()])
}

/// Does this body bring, hide or show the commands of a turn?
const fn is_move(body: &TransactionBody) -> bool {
    matches!(body, TransactionBody::Turn(_) | TransactionBody::Commit(_) | TransactionBody::Reveal { .. })
}
