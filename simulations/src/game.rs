//! A simulation together with the tree that commits to its state.

use std::collections::BTreeSet;

use cadastre_protocol::{
    ChunkId, Digest, Executed, Genesis, Seat, Setup, StateRoot, StateTree, Turn, TurnOrders, Work,
};

use crate::{
    RULES,
    difference::{self, Difference, Subject},
    history::State,
    past::{Given, Past},
    simulation::{Refusal, Rules, SetupError, Simulation, Snapshot, Void},
};

/// A running game, whichever it is.
pub struct Game {
    setup: Setup,
    simulation: Box<dyn Simulation>,
    tree: StateTree,
    /// In a match with takebacks.
    past: Option<Past>,
}

/// What one turn did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Commands that had no effect.
    pub voids: Vec<Void>,
    /// Chunks that changed, ascending.
    pub dirty: Vec<ChunkId>,
}

impl Game {
    /// Starts the game that `setup` names.
    ///
    /// # Errors
    ///
    /// In the order of [`SetupError`]'s variants; the first that applies.
    pub fn start(setup: &Setup) -> Result<Self, SetupError> {
        let simulation = (rules_of(setup)?.start)(setup)?;
        Ok(Self::with_tree(setup, simulation))
    }

    /// Starts the game of a match. It keeps its past if turns can be taken back.
    ///
    /// # Errors
    ///
    /// As [`Game::start`].
    pub fn of_match(genesis: &Genesis) -> Result<Self, SetupError> {
        let mut game = Self::start(&genesis.setup())?;
        if genesis.has_takebacks() {
            game.keep_past(Turn::START);
        }
        Ok(game)
    }

    /// Starts the game of a fork in the state of its parent, as [`Game::of_match`] does otherwise.
    ///
    /// # Errors
    ///
    /// As [`Game::restore`].
    pub fn of_fork(genesis: &Genesis, state: &Snapshot) -> Result<Self, SetupError> {
        let mut game = Self::restore(&genesis.setup(), state)?;
        if genesis.has_takebacks() {
            game.keep_past(Turn::START);
        }
        Ok(game)
    }

    /// Starts the game of a match: of a fork in the state that it begins with.
    ///
    /// # Errors
    ///
    /// As [`Game::of_match`] and [`Game::of_fork`].
    pub fn begin(genesis: &Genesis, first: Option<&Snapshot>) -> Result<Self, SetupError> {
        first.map_or_else(|| Self::of_match(genesis), |state| Self::of_fork(genesis, state))
    }

    /// Takes up the game that `setup` names at the state `snapshot`. Whether that state is the right one,
    /// only its root can tell.
    ///
    /// # Errors
    ///
    /// In the order of [`SetupError`]'s variants; the first that applies.
    pub fn restore(setup: &Setup, snapshot: &Snapshot) -> Result<Self, SetupError> {
        let simulation = (rules_of(setup)?.restore)(setup, snapshot)?;
        let game = Self::with_tree(setup, simulation);
        // A lenient restore would let two snapshots stand for one state.
        if game.snapshot() == *snapshot { Ok(game) } else { Err(SetupError::Snapshot) }
    }

    fn with_tree(setup: &Setup, mut simulation: Box<dyn Simulation>) -> Self {
        simulation.take_dirty();
        let mut tree = StateTree::new();
        update(&mut tree, &*simulation, &simulation.chunk_ids());
        Self { setup: setup.clone(), simulation, tree, past: None }
    }

    /// What the game was started from.
    pub const fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The game's own view of its state.
    pub fn simulation(&self) -> &dyn Simulation {
        &*self.simulation
    }

    /// What the rules do now for a seat that they play for.
    pub fn stand_in(&self) -> impl Fn(Seat) -> Vec<u8> {
        |seat| self.simulation.suggest(seat)
    }

    /// Would `commands` be legal for `seat` now?
    ///
    /// # Errors
    ///
    /// The first command that would not be, and why.
    pub fn check(&self, seat: Seat, commands: &[u8]) -> Result<(), Refusal> {
        self.simulation.check(seat, commands)
    }

    /// One list that does what `first` does and then what `second` does.
    ///
    /// # Errors
    ///
    /// Why there is no such list.
    pub fn join(&self, first: &[u8], second: &[u8]) -> Result<Vec<u8>, &'static str> {
        match (first, second) {
            ([], only) | (only, []) => Ok(only.to_vec()),
            _ => self.simulation.join(first, second),
        }
    }

    /// Becomes the state of `other`, of the same match. The cost is that of the chunks that differ.
    ///
    /// # Errors
    ///
    /// [`SetupError::Snapshot`] when it is of another match. The state is then good for nothing.
    pub fn become_like(&mut self, other: &Self) -> Result<(), SetupError> {
        if self.setup != other.setup {
            return Err(SetupError::Snapshot);
        }
        let differing = self.tree.differing(&other.tree);
        for (id, bytes) in other.chunks(&differing) {
            self.simulation.put_chunk(id, &bytes)?;
        }
        update(&mut self.tree, &*self.simulation, &differing);
        if self.state_root() == other.state_root() { Ok(()) } else { Err(SetupError::Snapshot) }
    }

    /// From now on keeps what it takes to go back, by [`cadastre_protocol::TAKEBACK_TURNS_MAX`] turns from the
    /// furthest one. It stands after `turn`.
    pub fn keep_past(&mut self, turn: Turn) {
        self.past = Some(Past::new(turn, self.snapshot().into()));
    }

    /// The earliest turn that it can go back to, and its state after that; `None` when it keeps no past.
    pub fn earliest(&self) -> Option<(Turn, &State)> {
        self.past.as_ref().map(Past::earliest)
    }

    /// Takes the place of `other`, whose state after the last turn was not the right one.
    pub fn put_right(&mut self, other: &mut Self) {
        self.past = other.past.take();
        if let Some(mut past) = self.past.take() {
            past.put_right(|| self.snapshot().into());
            self.past = Some(past);
        }
    }

    /// Takes the place of `other`, whose last turn it has not executed.
    pub fn undo(&mut self, other: &mut Self) {
        self.past = other.past.take();
        if let Some(past) = &mut self.past {
            past.forget_last();
        }
    }

    /// Does what a block wants done. A turn that the game cannot go back to leaves it as it is, which the state
    /// root shows.
    pub fn execute(&mut self, work: &Work<'_>) -> Applied {
        match work {
            Work::Nothing => Applied::default(),
            Work::Begin { seed } => {
                self.begin_again(*seed);
                Applied::default()
            }
            Work::Turn(turn) => self.apply(turn),
            Work::Back { to } => self.go_back(*to).unwrap_or_default(),
        }
    }

    /// The same game from the start, by another seed.
    fn begin_again(&mut self, seed: Digest) {
        let setup = Setup { seed, ..self.setup.clone() };
        let keeps_past = self.past.is_some();
        *self = Self::start(&setup).expect("whether a game can be started does not depend on the seed");
        if keeps_past {
            self.keep_past(Turn::START);
        }
    }

    /// Executes one turn.
    pub fn apply(&mut self, turn: &TurnOrders<'_>) -> Applied {
        let mut voids = Vec::new();
        for phase in 0..self.simulation.phases().len() {
            voids.extend(self.simulation.run_phase(phase, turn));
        }
        let dirty = self.renew_dirty();
        self.note(|| Given::of(turn));
        Applied { voids, dirty }
    }

    /// Notes that a turn was executed.
    fn note(&mut self, given: impl FnOnce() -> Given) {
        if let Some(mut past) = self.past.take() {
            past.push(given(), || self.snapshot().into());
            self.past = Some(past);
        }
    }

    /// From the nearest state that was kept, over the turns after it.
    fn go_back(&mut self, to: Turn) -> Option<Applied> {
        let mut past = self.past.take()?;
        let again = past.back(to).and_then(|(state, turns)| {
            let mut again = Self::restore(&self.setup, &state.snapshot()).ok()?;
            turns.iter().for_each(|turn| drop(again.apply(&turn.orders())));
            Some(again)
        });
        let dirty = again.as_ref().map(|again| self.tree.differing(&again.tree));
        if let Some(again) = again {
            *self = again;
        }
        self.past = Some(past);
        dirty.map(|dirty| Applied { voids: Vec::new(), dirty })
    }

    /// Executes one turn and gives the root after each named phase too: where two machines part, the first
    /// phase with another root is to blame.
    pub fn apply_traced(&mut self, orders: &TurnOrders<'_>) -> (Applied, Vec<StateRoot>) {
        let mut turn = self.by_phase();
        while turn.run(orders).is_some() {}
        turn.end()
    }

    /// Begins a turn that is executed phase by phase.
    pub fn by_phase(&mut self) -> ByPhase<'_> {
        ByPhase { game: self, voids: Vec::new(), dirty: BTreeSet::new(), roots: Vec::new(), given: None }
    }

    /// The fields in which two versions of a chunk differ. Neither is trusted.
    pub fn explain(&self, id: ChunkId, left: Option<&[u8]>, right: Option<&[u8]>) -> Vec<Difference> {
        let len = self.simulation.chunk(id).map(|chunk| chunk.len());
        match (left, right) {
            _ if left == right => Vec::new(),
            (Some(left), Some(right)) if Some(left.len()) == len && Some(right.len()) == len => {
                let subject = |row| self.simulation.subject(id, row);
                difference::compare(id, self.simulation.fields(id), subject, left, right)
            }
            _ => vec![difference::of_length(id, left, right)],
        }
    }

    /// The chunks that have tiles of a rectangle, and those that have none of any place.
    pub fn chunks_around(&self, left: u16, top: u16, width: u16, height: u16) -> Vec<ChunkId> {
        let within = |at: u16, from: u16, span: u16| (from..from.saturating_add(span)).contains(&at);
        let is_near = |id: &ChunkId| {
            let len = self.simulation.chunk(*id).map_or(0, |chunk| chunk.len());
            let rows = len / difference::row_bytes(self.simulation.fields(*id));
            (0..rows).any(|row| match self.simulation.subject(*id, row) {
                Subject::Tile { x, y } => within(x, left, width) && within(y, top, height),
                Subject::Match | Subject::Seat(_) | Subject::Chunk => true,
            })
        };
        self.simulation.chunk_ids().into_iter().filter(is_near).collect()
    }

    /// What the chain verifier wants to know of the state.
    pub fn executed(&self) -> Executed {
        Executed {
            state_root: self.tree.root(),
            to_move: self.simulation.to_move(),
            over: self.simulation.is_over(),
            standings: self.simulation.standings(),
        }
    }

    /// Commits to the whole state.
    pub fn state_root(&self) -> StateRoot {
        self.tree.root()
    }

    /// Proofs and hashes of the chunks.
    pub const fn tree(&self) -> &StateTree {
        &self.tree
    }

    /// The whole state.
    pub fn snapshot(&self) -> Snapshot {
        self.chunks(&self.simulation.chunk_ids())
    }

    /// The chunks with these numbers; numbers not in use are left out.
    pub fn chunks(&self, ids: &[ChunkId]) -> Snapshot {
        ids.iter().filter_map(|id| Some((*id, self.simulation.chunk(*id)?))).collect()
    }

    fn renew_dirty(&mut self) -> Vec<ChunkId> {
        let dirty = self.simulation.take_dirty();
        update(&mut self.tree, &*self.simulation, &dirty);
        dirty
    }
}

/// A turn that is executed phase by phase.
pub struct ByPhase<'g> {
    game: &'g mut Game,
    voids: Vec<Void>,
    dirty: BTreeSet<ChunkId>,
    roots: Vec<StateRoot>,
    given: Option<Given>,
}

impl ByPhase<'_> {
    /// Runs the next phase and gives the chunks that it changed, ascending; `None` when there is none. The orders
    /// are the same for all of them.
    pub fn run(&mut self, orders: &TurnOrders<'_>) -> Option<Vec<ChunkId>> {
        let phase = self.roots.len();
        if phase == self.game.simulation.phases().len() {
            return None;
        }
        if phase == 0 && self.game.past.is_some() {
            self.given = Some(Given::of(orders));
        }
        self.voids.extend(self.game.simulation.run_phase(phase, orders));
        Some(self.note())
    }

    /// The game as the phases so far leave it.
    pub const fn game(&self) -> &Game {
        self.game
    }

    /// How many phases have run.
    pub const fn count(&self) -> usize {
        self.roots.len()
    }

    /// Changes a tile as if the last phase had done it: `false` when there is no such tile.
    #[cfg(feature = "faults")]
    pub fn disturb(&mut self, x: u16, y: u16) -> bool {
        let disturbed = self.game.simulation.disturb(x, y);
        self.roots.pop();
        self.note();
        disturbed
    }

    fn note(&mut self) -> Vec<ChunkId> {
        let dirty = self.game.renew_dirty();
        self.dirty.extend(&dirty);
        self.roots.push(self.game.state_root());
        dirty
    }

    /// What the turn did, and the root after each phase.
    pub fn end(self) -> (Applied, Vec<StateRoot>) {
        if let Some(given) = self.given {
            self.game.note(|| given);
        }
        (Applied { voids: self.voids, dirty: self.dirty.into_iter().collect() }, self.roots)
    }
}

impl std::fmt::Debug for Game {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Game({}, state root {})", self.setup.rules, self.state_root())
    }
}

/// The rules that `setup` names, if this build has them and they are for so many seats.
fn rules_of(setup: &Setup) -> Result<&'static Rules, SetupError> {
    let rules = find_rules(&setup.rules.name, setup.rules.version).ok_or(SetupError::UnknownRules)?;
    let (fewest, most) = rules.seats;
    if (fewest..=most).contains(&setup.seats) { Ok(rules) } else { Err(SetupError::Seats) }
}

/// The rules with this name and version.
pub fn find_rules(name: &str, version: u16) -> Option<&'static Rules> {
    RULES.iter().find(|rules| rules.name == name && rules.version == version)
}

/// The newest version of the rules with this name: what a new match is played by.
pub fn newest_rules(name: &str) -> Option<&'static Rules> {
    RULES.iter().filter(|rules| rules.name == name).max_by_key(|rules| rules.version)
}

fn update(tree: &mut StateTree, simulation: &dyn Simulation, ids: &[ChunkId]) {
    let chunks: Vec<_> = ids.iter().map(|id| (*id, simulation.chunk(*id))).collect();
    tree.update(chunks.iter().map(|(id, chunk)| (*id, chunk.as_deref())));
}
