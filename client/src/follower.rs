//! Follows a match: checks every block with the one chain verifier and executes it.

use std::collections::VecDeque;

use cadastre_protocol::{
    BlockError, BlockKind, Chain, CheckedBlock, CodecError, CompareAnswer, CompareRequest, DisplayName,
    Genesis, GenesisError, Head, Height, JoinError, JoinPoint, ProvenBlock, ProvenHeader, ProvenReceipt,
    PublicKey, Receipt, ReceiptError, SealReason, SeatSet, Standing, StateRoot, Turn, TurnOrders,
    VerifiedCertificate, Work, decode_exact,
};
use cadastre_simulations::{Applied, Game, History, SetupError, Snapshot, Void};

use crate::{
    heal::{Cause, Desync, HealError, Healing, Step},
    joining::Joining,
    prediction::{Guess, Misprediction, Predicted, Predictor},
};

/// Blocks that are held back while states are compared.
const HELD_BLOCKS_MAX: usize = 256;

/// A match as far as it was verified: nothing in it was taken on trust but the service's root key.
#[derive(Debug)]
pub struct Follower {
    chain: Chain,
    game: Game,
    predictor: Predictor,
    names: Vec<DisplayName>,
    /// Signers that were replaced while the turn was open: receipts for it may be theirs.
    replaced: Vec<VerifiedCertificate>,
    history: History,
    /// The newest block as it came.
    newest: Option<ProvenBlock>,
    /// What the own execution of the last turn came to.
    computed: StateRoot,
    /// The next block was checked, and its state is being compared with the own one.
    healing: Option<Box<Healing>>,
    /// Blocks after that one, as they came.
    held: VecDeque<ProvenBlock>,
    /// Answers of the server that are still to come, and not needed any more.
    unneeded: usize,
    /// A later block is known, and its state on the way.
    joining: Option<Box<Joining>>,
    #[cfg(feature = "faults")]
    pub(crate) fault: Option<Fault>,
}

/// A tile that the client changes in its own memory, to show what comes of it.
#[cfg(feature = "faults")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// In the middle of which turn.
    pub turn: cadastre_protocol::Turn,
    /// Column of the tile.
    pub x: u16,
    /// Row of the tile.
    pub y: u16,
}

/// What a block brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    /// The new head.
    pub head: Head,
    /// What the block did.
    pub kind: BlockKind,
    /// Commands that had no effect.
    pub voids: Vec<Void>,
    /// Seats that had computed another state before this block.
    pub desynced: SeatSet,
    /// What was shown of its turn and did not come true. Nothing is said of a turn whose state had to be put right.
    pub mispredicted: Option<Box<Misprediction>>,
}

/// A turn that was executed.
struct Execution {
    applied: Applied,
    /// The root after each phase.
    phases: Vec<StateRoot>,
    mispredicted: Option<Misprediction>,
}

/// What an answer about a state that differs came to.
pub(crate) enum Compared {
    Ask(Vec<CompareRequest>),
    Healed(Box<(Desync, Followed)>),
    /// The match cannot be followed any further.
    Lost(Box<Desync>, FollowError),
}

impl Follower {
    /// Begins to follow a match of the service `root`.
    ///
    /// # Errors
    ///
    /// In the order of [`FollowError`]'s variants; the first that applies.
    pub fn begin(genesis: &[u8], names: Vec<DisplayName>, root: PublicKey) -> Result<Self, FollowError> {
        Self::begin_with(genesis, names, root, Game::of_match)
    }

    /// Begins to follow a fork of the service `root`, from the state that its genesis names.
    ///
    /// # Errors
    ///
    /// As [`Follower::begin`]; [`FollowError::Genesis`] also when that is another state.
    pub fn begin_fork(
        genesis: &[u8],
        names: Vec<DisplayName>,
        root: PublicKey,
        first: &Snapshot,
    ) -> Result<Self, FollowError> {
        Self::begin_with(genesis, names, root, |genesis| Game::of_fork(genesis, first))
    }

    fn begin_with(
        genesis: &[u8],
        names: Vec<DisplayName>,
        root: PublicKey,
        start: impl FnOnce(&Genesis) -> Result<Game, SetupError>,
    ) -> Result<Self, FollowError> {
        let genesis = Self::genesis(genesis, &names, root)?;
        let game = start(&genesis).map_err(FollowError::Setup)?;
        let chain = Chain::begin(genesis, game.executed()).map_err(FollowError::Genesis)?;
        Ok(Self {
            history: History::new(&game),
            computed: game.state_root(),
            chain,
            game,
            predictor: Predictor::default(),
            names,
            replaced: Vec::new(),
            newest: None,
            healing: None,
            held: VecDeque::new(),
            unneeded: 0,
            joining: None,
            #[cfg(feature = "faults")]
            fault: None,
        })
    }

    /// Reads the genesis of a match of the service `root`.
    fn genesis(genesis: &[u8], names: &[DisplayName], root: PublicKey) -> Result<Genesis, FollowError> {
        let genesis: Genesis = decode_exact(genesis).map_err(FollowError::Encoding)?;
        if genesis.service != root {
            return Err(FollowError::OtherService);
        }
        if names.len() != genesis.seats.len() {
            return Err(FollowError::Names);
        }
        Ok(genesis)
    }

    /// What is needed of a match that is not executed: its genesis, checked as [`Follower::begin`] does, and its game in
    /// any state. The first state of a fork is taken for the one that the genesis names.
    pub(crate) fn unexecuted(
        genesis: &[u8],
        names: &[DisplayName],
        root: PublicKey,
    ) -> Result<(Genesis, Game), FollowError> {
        let genesis = Self::genesis(genesis, names, root)?;
        let game = Game::of_match(&genesis).map_err(FollowError::Setup)?;
        let mut executed = game.executed();
        executed.state_root = genesis.parent.map_or(executed.state_root, |parent| parent.state_root);
        let chain = Chain::begin(genesis, executed).map_err(FollowError::Genesis)?;
        Ok((chain.genesis().clone(), game))
    }

    /// Verifies the next block and executes it.
    ///
    /// # Errors
    ///
    /// [`FollowError::Encoding`] or [`FollowError::Block`]. After a block with another state root nothing else
    /// can be followed; a [`crate::Session`] puts the state right instead.
    pub fn follow(&mut self, block: ProvenBlock) -> Result<Followed, FollowError> {
        let followed = self.take(block)?;
        followed.ok_or_else(|| FollowError::Block(self.difference()))
    }

    /// Verifies the next block and executes it. `None` when it was held back, since the own state is not the
    /// one that a block commits to: then [`Follower::is_diverged`].
    ///
    /// # Errors
    ///
    /// As [`Follower::follow`], but for other state roots; [`FollowError::Heal`] when too many were held back.
    pub(crate) fn take(&mut self, proven: ProvenBlock) -> Result<Option<Followed>, FollowError> {
        if self.is_diverged() {
            if self.is_full() {
                return Err(FollowError::Heal(HealError::TooLong));
            }
            self.held.push_back(proven);
            return Ok(None);
        }
        let block = proven.clone().read().map_err(FollowError::Encoding)?;
        let checked = self.chain.check_proven(block).map_err(FollowError::Block)?;
        let header = checked.block().header();
        let (turn, expected) = (header.turn, header.state_root);
        let (mut voids, mut mispredicted) = (Vec::new(), None);
        match &checked.work(self.game.stand_in()) {
            Work::Nothing => {}
            Work::Back { to } if self.game.earliest().is_some_and(|(earliest, _)| *to < earliest) => {
                return Err(FollowError::BeforeSnapshot);
            }
            work @ (Work::Begin { .. } | Work::Back { .. }) => {
                self.predictor.forget_shown();
                self.game.execute(work);
                self.history = History::new(&self.game);
                self.computed = self.game.state_root();
            }
            Work::Turn(orders) => {
                let Execution { applied, phases, mispredicted: outcome } = self.execute(turn, orders);
                self.history.push(&self.game, turn, orders, &applied.dirty);
                self.computed = self.game.state_root();
                if self.computed != expected {
                    let past = self.history.turn(turn).expect("it was just taken up");
                    let blocks = (proven, self.newest.clone());
                    let healing = Healing::new(checked, blocks, &self.game, past, (applied, phases));
                    self.healing = Some(Box::new(healing));
                    return Ok(None);
                }
                (voids, mispredicted) = (applied.voids, outcome.map(Box::new));
            }
        }
        self.append(checked, voids, proven).map(|followed| Some(Followed { mispredicted, ..followed }))
    }

    fn execute(&mut self, turn: Turn, orders: &TurnOrders<'_>) -> Execution {
        #[cfg(feature = "faults")]
        let fault = self.fault.take_if(|fault| fault.turn == turn);
        #[cfg(feature = "faults")]
        let middle = self.game.simulation().phases().len().div_ceil(2);
        let shown = self.predictor.take_shown(&self.game);
        let mut differences = Vec::new();
        let mut execution = self.game.by_phase();
        while execution.run(orders).is_some() {
            if let Some(shown) = shown.as_ref().filter(|_| execution.count() == 1) {
                differences = shown.differences(execution.game());
            }
            #[cfg(feature = "faults")]
            if let Some(fault) = fault.filter(|_| execution.count() == middle) {
                execution.disturb(fault.x, fault.y);
            }
        }
        let (applied, phases) = execution.end();
        let mispredicted = shown.and_then(|it| it.outcome(turn, differences, orders, &applied.voids));
        Execution { applied, phases, mispredicted }
    }

    fn append(
        &mut self,
        checked: CheckedBlock,
        voids: Vec<Void>,
        proven: ProvenBlock,
    ) -> Result<Followed, FollowError> {
        let kind = checked.block().header().kind.clone();
        let signer = self.chain.signer().clone();
        let appended = self.chain.append(checked, self.game.executed()).map_err(FollowError::Block)?;
        if matches!(kind, BlockKind::KeyChange { .. }) {
            self.replaced.push(signer);
        } else if kind.closes_turn() {
            self.replaced.clear();
        }
        self.newest = Some(proven);
        Ok(Followed { head: appended.head, kind, voids, desynced: appended.desynced, mispredicted: None })
    }

    /// Is the own state another one than a block commits to? The chain goes on once they are the same again.
    pub const fn is_diverged(&self) -> bool {
        self.healing.is_some()
    }

    /// Begins to take the match up at a later block. Until its chunks have come nothing is changed.
    ///
    /// # Errors
    ///
    /// [`FollowError::Join`].
    pub(crate) fn join(&mut self, point: JoinPoint) -> Result<(), FollowError> {
        let point = point.verify(&self.chain).map_err(FollowError::Join)?;
        self.joining = Some(Box::new(Joining::new(point, &self.game)));
        Ok(())
    }

    /// Takes chunks of the state at that block. With the last of them the match is taken up there: gives the block
    /// then.
    ///
    /// # Errors
    ///
    /// [`FollowError::Snapshot`]; [`FollowError::Genesis`] for another state than the block's.
    pub(crate) fn join_chunks(&mut self, chunks: Snapshot) -> Result<Option<ProvenHeader>, FollowError> {
        let mut joining = self.joining.take().ok_or(FollowError::Snapshot)?;
        joining.take(chunks)?;
        if !joining.is_complete() {
            self.joining = Some(joining);
            return Ok(None);
        }
        let block = joining.block().clone();
        (self.chain, self.game) = joining.take_up(&self.chain)?;
        self.history = History::new(&self.game);
        self.computed = self.game.state_root();
        self.newest = None;
        self.replaced.clear();
        self.healing = None;
        self.predictor = Predictor::default();
        Ok(Some(block))
    }

    /// Is the state at a later block on its way?
    pub(crate) const fn is_joining(&self) -> bool {
        self.joining.is_some()
    }

    /// What to say to the server about the state that differs.
    pub(crate) fn compare(&self) -> Option<CompareRequest> {
        self.healing.as_ref().map(|healing| healing.begin())
    }

    /// A difference that executing the turn again does not explain: this build has other rules, or the server is
    /// wrong.
    pub(crate) fn astray(&self) -> Option<Desync> {
        let healing = self.healing.as_ref().filter(|healing| healing.cause() == Cause::Rules)?;
        Some(healing.report(&self.game, Cause::Rules, false))
    }

    /// Can no more blocks be held back?
    pub(crate) fn is_full(&self) -> bool {
        self.held.len() == HELD_BLOCKS_MAX
    }

    /// Takes what the server says of its state.
    pub(crate) fn compared(&mut self, answer: CompareAnswer) -> Result<Compared, FollowError> {
        if self.unneeded > 0 {
            self.unneeded -= 1;
            return Ok(Compared::Ask(Vec::new()));
        }
        let healing = self.healing.as_mut().ok_or(FollowError::Heal(HealError::Unexpected))?;
        match healing.take(answer).map_err(FollowError::Heal)? {
            Step::Ask(requests) => Ok(Compared::Ask(requests)),
            Step::Stuck => self.go_on_alone(),
            Step::Healed(state) => {
                let game = Game::restore(self.game.setup(), &state.snapshot())
                    .map_err(|_| FollowError::Heal(HealError::NoState))?;
                let cause = healing.cause();
                self.heal(game, cause).map(Compared::Healed)
            }
        }
    }

    /// Goes on without the server, or not at all.
    fn go_on_alone(&mut self) -> Result<Compared, FollowError> {
        if let Some(healed) = self.heal_alone() {
            return Ok(Compared::Healed(healed));
        }
        let Some(healing) = &self.healing else { return Ok(Compared::Ask(Vec::new())) };
        let desync = Box::new(healing.report(&self.game, Cause::Rules, false));
        Ok(Compared::Lost(desync, FollowError::Block(self.difference())))
    }

    /// Puts the own state right from the second execution, if that came to the block's state. What the server was
    /// asked is not needed any more.
    pub(crate) fn heal_alone(&mut self) -> Option<Box<(Desync, Followed)>> {
        let healing = self.healing.as_mut()?;
        let outstanding = healing.outstanding();
        let game = healing.executed_again()?;
        let healed = self.heal(game, Cause::Memory).ok()?;
        self.unneeded += outstanding;
        Some(healed)
    }

    /// How the own state differs from the one that a block commits to.
    fn difference(&self) -> BlockError {
        let head = self.chain.head().state_root;
        let expected = self.healing.as_ref().map_or(head, |healing| healing.expected());
        BlockError::StateRoot { expected, got: self.computed }
    }

    fn heal(&mut self, mut game: Game, cause: Cause) -> Result<Box<(Desync, Followed)>, FollowError> {
        let healing = self.healing.take().ok_or(FollowError::Heal(HealError::Unexpected))?;
        let desync = healing.report(&game, cause, true);
        self.history = History::new(&game);
        game.put_right(&mut self.game);
        self.game = game;
        let Healing { checked, voids, .. } = *healing;
        let followed = self.append(checked, voids, desync.block.clone())?;
        Ok(Box::new((desync, followed)))
    }

    /// The next block that was held back, once the own state is right again.
    pub(crate) fn take_held(&mut self) -> Option<ProvenBlock> {
        if self.is_diverged() { None } else { self.held.pop_front() }
    }

    /// Is a block that was held back still to be followed?
    pub(crate) fn has_held(&self) -> bool {
        !self.held.is_empty()
    }

    /// The connection is lost: what was held back comes again. Where the server is not needed, the state is put
    /// right at once, else the block will come again.
    pub(crate) fn disconnected(&mut self) -> Option<Box<(Desync, Followed)>> {
        self.held.clear();
        let healed = self.heal_alone();
        self.unneeded = 0;
        self.joining = None;
        if healed.is_some() {
            return healed;
        }
        let healing = self.healing.take()?;
        if let Ok(mut game) = Game::restore(self.game.setup(), &healing.past().before.snapshot()) {
            game.undo(&mut self.game);
            self.history = History::new(&game);
            self.game = game;
            self.computed = self.game.state_root();
        } else {
            self.healing = Some(healing);
        }
        None
    }

    /// Height up to which blocks have come, verified or held back.
    pub(crate) fn height(&self) -> Height {
        let waiting = u64::from(self.is_diverged()) + u64::try_from(self.held.len()).unwrap_or(u64::MAX);
        Height::new(self.chain.head().height.get().saturating_add(waiting))
    }

    /// The root that the own execution of the last turn came to, right or not: what the next transaction says.
    pub const fn computed(&self) -> StateRoot {
        self.computed
    }

    /// The verified chain.
    pub const fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The signer of this serial, if a receipt for the open turn can be its own: the one in force, or one
    /// that was in force since the turn was opened.
    pub fn receipt_signer(&self, serial: u32) -> Option<&VerifiedCertificate> {
        let signers = std::iter::once(self.chain.signer()).chain(&self.replaced);
        signers.into_iter().find(|signer| signer.serial() == serial)
    }

    /// Verifies a receipt for the open turn.
    ///
    /// # Errors
    ///
    /// As [`ProvenReceipt::verify`].
    pub fn verify_receipt(&self, receipt: &ProvenReceipt) -> Result<Receipt, ReceiptError> {
        let signer = self.receipt_signer(receipt.proof.serial).unwrap_or(self.chain.signer());
        receipt.verify(signer.serial(), signer.key())
    }

    /// The verified state.
    pub const fn game(&self) -> &Game {
        &self.game
    }

    /// The state that the open turn comes to if `guess` is right.
    pub(crate) fn predict(&mut self, guess: Guess) -> Predicted<'_> {
        self.predictor.predict(&self.game, guess)
    }

    /// How the players are called, by seat. Nobody vouches for these.
    pub fn names(&self) -> &[DisplayName] {
        &self.names
    }

    /// How the match came out, once it has ended.
    pub fn result(&self) -> Option<(SealReason, Vec<Standing>)> {
        self.chain.sealed().map(|reason| (reason, self.chain.standings()))
    }
}

/// Why a match is not followed any further. The server's fault.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FollowError {
    /// Genesis or block is malformed.
    #[error("malformed genesis or block")]
    Encoding(#[source] CodecError),
    /// The genesis is of another service than the one that is trusted.
    #[error("the match is of another service")]
    OtherService,
    /// Not one name for each seat.
    #[error("not one name for each seat")]
    Names,
    /// The game cannot be played with this build.
    #[error("the game cannot be played with this build")]
    Setup(#[source] SetupError),
    /// The genesis cannot begin a chain.
    #[error("the genesis cannot begin a chain")]
    Genesis(#[source] GenesisError),
    /// The block breaks a rule, or commits to another state.
    #[error("the block breaks a rule")]
    Block(#[source] BlockError),
    /// The own state differs from that of a block, and cannot be put right.
    #[error("the own state differs from that of a block, and cannot be put right")]
    Heal(#[source] HealError),
    /// The match cannot be taken up at the later block that the server says.
    #[error("the match cannot be taken up at a later block")]
    Join(#[source] JoinError),
    /// The chunks of a snapshot are not those of a state of the game.
    #[error("the chunks of a snapshot are no state of the game")]
    Snapshot,
    /// A takeback goes behind the block at which the match was joined. The server should have sent an earlier one.
    #[error("a takeback to before the snapshot by which the match was joined")]
    BeforeSnapshot,
}
