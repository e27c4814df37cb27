//! Plays a replay: forwards, backwards, and from any turn.

use std::collections::BTreeMap;

use cadastre_protocol::{Attempt, BlockKind, CodecError, Height, Setup, StateRoot, Turn, Work};
use cadastre_simulations::{Applied, Game, SetupError, Snapshot};

use crate::{
    damage::Damage,
    keyframe::{Form, Keyframe},
    replay::{Blocks, KeyframeRecord, Replay},
};

/// A game that follows the blocks of a replay, and compares its state with theirs after each turn.
#[derive(Debug)]
pub struct Player<'r> {
    replay: &'r Replay<'r>,
    game: Game,
    turn: Turn,
    height: Height,
    /// Was the last block a Takeback?
    went_back: bool,
    blocks: Blocks<'r>,
}

impl<'r> Player<'r> {
    pub(crate) fn new(replay: &'r Replay<'r>, turn: Turn, attempt: Attempt) -> Result<Self, SeekError> {
        if let Some(height) = replay.height_of(turn, attempt)? {
            return Self::at(replay, height);
        }
        let mut player = Self::at_last(replay, replay.keyframes_to_turn(turn))?;
        while player.turn < turn {
            if player.step()?.is_none() {
                return Err(SeekError::NoSuchTurn { last: player.turn });
            }
        }
        Ok(player)
    }

    /// A player that stands after the last turn up to the block at `height`.
    pub(crate) fn at(replay: &'r Replay<'r>, height: Height) -> Result<Self, SeekError> {
        let mut player = Self::at_last(replay, replay.keyframes_to(height))?;
        while player.step_to(height)?.is_some() {}
        Ok(player)
    }

    fn at_last(replay: &'r Replay<'r>, keyframes: &[KeyframeRecord<'_>]) -> Result<Self, SeekError> {
        let (mut game, turn, height) = match keyframes.last() {
            Some(nearest) => (restore(replay, keyframes)?, nearest.turn, nearest.record.first_height),
            None => (start(replay)?, Turn::START, Height::GENESIS),
        };
        if replay.genesis().has_takebacks() {
            game.keep_past(turn);
        }
        let blocks = height.next().map_or_else(Blocks::none, |next| replay.blocks_from(next));
        Ok(Self { replay, game, turn, height, went_back: false, blocks })
    }

    /// The game as it stands.
    pub const fn game(&self) -> &Game {
        &self.game
    }

    /// The last turn that was executed.
    pub const fn turn(&self) -> Turn {
        self.turn
    }

    /// The game as it stands.
    pub fn into_game(self) -> Game {
        self.game
    }

    /// Executes the next turn, or goes back where the match did; `None` when there is nothing more.
    ///
    /// # Errors
    ///
    /// - [`SeekError::Damage`], [`SeekError::Malformed`]: nothing was executed.
    /// - [`SeekError::StateRoot`]: the turn was executed, and the game does not stand where the match stood.
    pub fn forward(&mut self) -> Result<Option<Applied>, SeekError> {
        match self.step() {
            // It began after the turn that the match goes back to.
            Err(SeekError::StateRoot { height, .. }) if self.went_back => {
                let chunks = self.game.simulation().chunk_ids();
                *self = Self::at(self.replay, height)?;
                Ok(Some(Applied { voids: Vec::new(), dirty: chunks }))
            }
            stepped => stepped,
        }
    }

    fn step(&mut self) -> Result<Option<Applied>, SeekError> {
        self.step_to(Height::new(u64::MAX))
    }

    /// Goes on to the next turn, but not beyond a block.
    fn step_to(&mut self, last: Height) -> Result<Option<Applied>, SeekError> {
        while let Some(height) = self.height.next().filter(|next| *next <= last) {
            let Some(proven) = self.blocks.next() else { return Ok(None) };
            let read = proven?.read().map_err(|error| SeekError::Malformed { height, error })?;
            let header = read.block().header();
            self.height = height;
            if matches!(header.kind, BlockKind::Turn | BlockKind::Takeback { .. }) {
                self.turn = header.turn;
                self.went_back = header.kind != BlockKind::Turn;
                let seed = self.game.setup().seed;
                let work = read.block().work(self.replay.genesis(), seed, self.game.stand_in());
                let applied = self.game.execute(&work);
                check_root(&self.game, height, header.state_root)?;
                return Ok(Some(applied));
            }
        }
        Ok(None)
    }

    /// Goes back by one turn; `false` at the start. Costs as much as [`Replay::player`].
    ///
    /// # Errors
    ///
    /// As [`Replay::player`]; the player stays where it is.
    pub fn back(&mut self) -> Result<bool, SeekError> {
        let Some(turn) = self.turn.get().checked_sub(1).map(Turn::new) else { return Ok(false) };
        *self = match self.replay.height_before(self.height, turn) {
            Some(height) => Self::at(self.replay, height)?,
            None => Self::new(self.replay, turn, Attempt::FIRST)?,
        };
        Ok(true)
    }
}

/// The game before the first turn: with commit and reveal only the Start says how it begins.
fn start(replay: &Replay<'_>) -> Result<Game, SeekError> {
    let setup = setup(replay)?;
    let (Some(state), Some(parent)) = (replay.first(), replay.genesis().parent) else {
        return Game::start(&setup).map_err(SeekError::Setup);
    };
    let game = Game::restore(&setup, state).map_err(SeekError::Setup)?;
    check_root(&game, Height::GENESIS, parent.state_root)?;
    Ok(game)
}

fn setup(replay: &Replay<'_>) -> Result<Setup, SeekError> {
    let (genesis, setup) = (replay.genesis(), replay.genesis().setup());
    let height = Height::new(1);
    let Some(start) = replay.blocks_from(height).next() else { return Ok(setup) };
    let read = start?.read().map_err(|error| SeekError::Malformed { height, error })?;
    match read.block().work(genesis, setup.seed, |_| Vec::new()) {
        Work::Begin { seed } => Ok(Setup { seed, ..setup }),
        Work::Nothing | Work::Turn(_) | Work::Back { .. } => Ok(setup),
    }
}

fn restore(replay: &Replay<'_>, keyframes: &[KeyframeRecord<'_>]) -> Result<Game, SeekError> {
    let Some(nearest) = keyframes.last() else { return start(replay) };
    let game = Game::restore(&setup(replay)?, &lay_over(replay, keyframes)?);
    let game = game.map_err(|error| SeekError::Keyframe { turn: nearest.turn, error })?;
    check_root(&game, nearest.record.first_height, nearest.state_root)?;
    Ok(game)
}

/// Lays keyframes over each other; the first is whole, or is laid over the start.
pub(crate) fn lay_over(replay: &Replay<'_>, keyframes: &[KeyframeRecord<'_>]) -> Result<Snapshot, SeekError> {
    let mut state = BTreeMap::new();
    for (number, keyframe) in keyframes.iter().enumerate() {
        let layer = Keyframe::read(&keyframe.record)?;
        if number == 0 && layer.form == Form::Changed {
            state.extend(start(replay)?.snapshot());
        }
        layer.lay_over(&mut state);
    }
    Ok(state.into_iter().collect())
}

fn check_root(game: &Game, height: Height, expected: StateRoot) -> Result<(), SeekError> {
    let got = game.state_root();
    if got == expected { Ok(()) } else { Err(SeekError::StateRoot { height, expected, got }) }
}

/// Why a turn cannot be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeekError {
    /// The replay does not hold this turn.
    #[error("the replay ends with turn {last}")]
    NoSuchTurn {
        /// The last one that it holds.
        last: Turn,
    },
    /// The match has not gone back so often.
    #[error("the last attempt is {last}")]
    NoSuchAttempt {
        /// The last one.
        last: Attempt,
    },
    /// This build cannot play the game.
    #[error("the game cannot be started")]
    Setup(#[source] SetupError),
    /// The file is damaged within a record that was written so.
    #[error(transparent)]
    Damage(#[from] Damage),
    /// A block is malformed.
    #[error("block {height} is malformed")]
    Malformed {
        /// Where it stands.
        height: Height,
        /// What is wrong with it.
        #[source]
        error: CodecError,
    },
    /// A keyframe is not a state of the game.
    #[error("the keyframe of turn {turn} is not a state of the game")]
    Keyframe {
        /// Whose state it should be.
        turn: Turn,
        /// What the game says.
        #[source]
        error: SetupError,
    },
    /// A keyframe or an executed turn has another state than the block says.
    #[error("block {height} commits to state {expected}, the replay comes to {got}")]
    StateRoot {
        /// The block's.
        height: Height,
        /// What it commits to.
        expected: StateRoot,
        /// What keyframe and turns give.
        got: StateRoot,
    },
}
