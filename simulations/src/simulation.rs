//! What a game is to everything around it.

use cadastre_protocol::{ChunkId, Seat, SeatSet, Setup, Standing, TurnOrders};

use crate::{
    difference::{Field, Subject},
    picture::Picture,
};

/// A game: deterministic rules over a state that lies in numbered chunks.
///
/// Implementations use integers only, iterate ordered collections only, and know no clock, no entropy and
/// no key; the same calls give the same chunks in every build on every machine.
pub trait Simulation: Send + Sync {
    /// Would `commands` be legal if `seat`'s turn were executed now, alone?
    ///
    /// # Errors
    ///
    /// The first command that would not be, and why. Bytes that are no commands at all are refused too.
    fn check(&self, seat: Seat, commands: &[u8]) -> Result<(), Refusal>;

    /// One list that does what `first` does and then what `second` does. Neither is empty.
    ///
    /// # Errors
    ///
    /// Why there is no such list.
    fn join(&self, first: &[u8], second: &[u8]) -> Result<Vec<u8>, &'static str>;

    /// The steps of a turn, in order; at least one. A turn runs each of them once. The first one carries out the
    /// orders, and does not look at the roll: so a client can show what they come to before there is a roll.
    fn phases(&self) -> &'static [&'static str];

    /// Runs one phase of a turn. `turn` is the same for each phase; its orders stand in the order that the block
    /// fixed, and its roll is all the randomness that there is.
    ///
    /// Never fails: a command that an earlier one has overtaken, or that should not have passed
    /// [`Simulation::check`], is void and reported.
    fn run_phase(&mut self, phase: usize, turn: &TurnOrders<'_>) -> Vec<Void>;

    /// The seats that may act in the next turn.
    fn to_move(&self) -> SeatSet;

    /// Is the match over by the rules?
    fn is_over(&self) -> bool;

    /// How the seats stand, one for each in ascending order.
    fn standings(&self) -> Vec<Standing>;

    /// The numbers of all chunks, ascending and close to 0. The set never changes during a match.
    fn chunk_ids(&self) -> Vec<ChunkId>;

    /// The bytes of a chunk, at most [`cadastre_protocol::CHUNK_BYTES_MAX`]; `None` for a number not in use. All chunks
    /// together are the whole state: whatever the next turn depends on stands in them.
    fn chunk(&self, id: ChunkId) -> Option<Vec<u8>>;

    /// Puts a chunk of another state of this match in the place of the own one. Until all chunks are of one state
    /// again, nothing else may be asked. It is not counted as dirty.
    ///
    /// # Errors
    ///
    /// [`SetupError::Snapshot`] for what cannot be this chunk. The state is as it was.
    fn put_chunk(&mut self, id: ChunkId, bytes: &[u8]) -> Result<(), SetupError>;

    /// The fields of a chunk: it consists of rows of these and nothing else.
    fn fields(&self, id: ChunkId) -> &'static [Field];

    /// What a row of a chunk describes, counted from 0.
    fn subject(&self, id: ChunkId, row: usize) -> Subject;

    /// Takes the numbers of the chunks that changed since the last call, ascending.
    fn take_dirty(&mut self) -> Vec<ChunkId>;

    /// What the built-in player would command for `seat`: passes [`Simulation::check`], and fits in
    /// [`cadastre_protocol::COMMANDS_BYTES_MAX`]. It is a part of the rules, which play so for seats that are absent: it follows from
    /// the state alone, and another one needs another version.
    fn suggest(&self, seat: Seat) -> Vec<u8>;

    /// The state as a person would like to see it.
    fn picture(&self) -> Picture;

    /// Changes one field of the tile at this column and row, as no rule would. `false` when there is no such
    /// tile.
    #[cfg(feature = "faults")]
    fn disturb(&mut self, x: u16, y: u16) -> bool;
}

/// A command list that was refused before it reached a block. The player's fault, and harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("command {command}: {reason}")]
pub struct Refusal {
    /// Index of the command in its list, counted from 0.
    pub command: u16,
    /// Why not, in a few plain words.
    pub reason: &'static str,
}

/// A command that stands in a block but had no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Void {
    /// Whose command.
    pub seat: Seat,
    /// Index of the command in its list, counted from 0.
    pub command: u16,
    /// What overtook it, in a few plain words.
    pub reason: &'static str,
}

/// One set of rules that this build can run.
#[derive(Debug)]
pub struct Rules {
    /// Name in the genesis.
    pub name: &'static str,
    /// Version in the genesis.
    pub version: u16,
    /// Fewest and most seats.
    pub seats: (u8, u8),
    /// Smallest, usual and largest size.
    pub sizes: (u16, u16, u16),
    /// Encodes the options of a match of a size between the smallest and the largest.
    pub options: fn(size: u16) -> Vec<u8>,
    /// Makes the state before the first turn. Whether that is possible does not depend on the seed.
    pub start: fn(&Setup) -> Started,
    /// Makes the state that these chunks are; they are untrusted.
    pub restore: fn(&Setup, &Snapshot) -> Started,
}

/// A game that was made from a setup.
pub(crate) type Started = Result<Box<dyn Simulation>, SetupError>;

/// A whole state: every chunk with its number, ascending.
pub type Snapshot = Vec<(ChunkId, Vec<u8>)>;

/// Why no game can be made. The fault of whoever wrote the genesis or the snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// This build does not know the rules.
    #[error("unknown rules or version")]
    UnknownRules,
    /// The rules are not for so many seats.
    #[error("the rules are not for this number of seats")]
    Seats,
    /// The options are malformed or out of range.
    #[error("the options do not fit the rules")]
    Options,
    /// The chunks are not a state of this game.
    #[error("the snapshot is not a state of this game")]
    Snapshot,
}
