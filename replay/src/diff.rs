//! Where two replay files part first.

use cadastre_protocol::{BlockKind, Genesis, Height, MatchId, ReadBlock, Seat, StateRoot, Turn, Work};
use cadastre_simulations::{DIFFERENCES_MAX, Difference, Game, State};

use crate::{
    player::{Player, SeekError, lay_over},
    replay::Replay,
};

/// One of the two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The first.
    Left,
    /// The second.
    Right,
}

/// The first difference of two replay files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parting {
    /// They are of two matches.
    Match {
        /// That of the first file.
        left: MatchId,
        /// That of the second.
        right: MatchId,
    },
    /// One ends where the other goes on.
    Length {
        /// The last block that both have.
        height: Height,
        /// Its turn.
        turn: Turn,
        /// Which goes on.
        longer: Side,
    },
    /// These seats have other transactions, or none, in one of them.
    Transactions {
        /// The block.
        height: Height,
        /// Its turn.
        turn: Turn,
        /// Ascending.
        seats: Vec<Seat>,
    },
    /// The same transactions lead to two states.
    State {
        /// The block.
        height: Height,
        /// Its turn.
        turn: Turn,
        /// The state root that the first file has.
        left: StateRoot,
        /// That of the second.
        right: StateRoot,
        /// Which of the two this build comes to; `None` for neither.
        executes: Option<Side>,
        /// What is wrong in the state of the other, if a keyframe shows it.
        located: Option<Located>,
    },
    /// Transactions and state are the same; something else in the block is not: its kind, a time, the signer.
    Block {
        /// The block.
        height: Height,
        /// Its turn.
        turn: Turn,
    },
}

/// What the keyframe of a wrong state has in place of what the rules give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The turn of the keyframe: that of the difference, or the next one that has a keyframe.
    pub turn: Turn,
    /// The phase of the turn that wrote the differing chunks last; `None` when none did, or when the keyframe is of
    /// a later turn.
    pub phase: Option<&'static str>,
    /// *Left* is what the rules give, *right* what stands in the keyframe; at most [`DIFFERENCES_MAX`].
    pub differences: Vec<Difference>,
}

/// Finds the first difference of two files; `None` when their matches are the same to the last block.
///
/// No signature is checked: that is for [`crate::audit`].
///
/// # Errors
///
/// A block cannot be read, or the game cannot be taken up.
pub fn diff(left: &Replay<'_>, right: &Replay<'_>) -> Result<Option<Parting>, SeekError> {
    let ids = (left.summary().match_id, right.summary().match_id);
    if ids.0 != ids.1 {
        return Ok(Some(Parting::Match { left: ids.0, right: ids.1 }));
    }
    let (mut blocks, mut others) = (left.blocks(), right.blocks());
    let (mut height, mut turn) = (Height::GENESIS, Turn::START);
    loop {
        let (a, b) = match (blocks.next(), others.next()) {
            (None, None) => return Ok(None),
            (Some(_), None) => return Ok(Some(Parting::Length { height, turn, longer: Side::Left })),
            (None, Some(_)) => return Ok(Some(Parting::Length { height, turn, longer: Side::Right })),
            (Some(a), Some(b)) => (a?, b?),
        };
        let next = height.next().unwrap_or(height);
        let read = |block: cadastre_protocol::ProvenBlock| {
            block.read().map_err(|error| SeekError::Malformed { height: next, error })
        };
        if a.block != b.block {
            return part(left, right, read(a)?.block(), read(b)?.block()).map(Some);
        }
        turn = read(a)?.block().header().turn;
        height = next;
    }
}

/// Tells in what two blocks differ that follow the same one.
fn part(left: &Replay<'_>, right: &Replay<'_>, a: &ReadBlock, b: &ReadBlock) -> Result<Parting, SeekError> {
    let (height, turn) = (a.header().height, a.header().turn);
    let seats: Vec<_> = Seat::first(left.genesis().seat_count())
        .filter(|seat| transactions_of(a, *seat).ne(transactions_of(b, *seat)))
        .collect();
    if !seats.is_empty() {
        return Ok(Parting::Transactions { height, turn, seats });
    }
    let (a, b) = (a.header(), b.header());
    let same_work = a.kind == BlockKind::Turn && b.kind == BlockKind::Turn && a.randomness == b.randomness;
    if a.state_root == b.state_root || !same_work {
        return Ok(Parting::Block { height, turn });
    }
    let before = height.get().checked_sub(1).map_or(Height::GENESIS, Height::new);
    let mut player = Player::at(left, before)?;
    let root = match player.forward() {
        Ok(_) => a.state_root,
        Err(SeekError::StateRoot { got, .. }) => got,
        Err(error) => return Err(error),
    };
    let (executes, wrong) = if root == a.state_root {
        (Some(Side::Left), Some(right))
    } else if root == b.state_root {
        (Some(Side::Right), Some(left))
    } else {
        (None, None)
    };
    let located = wrong.map(|wrong| locate(wrong, height)).transpose()?.flatten();
    Ok(Parting::State { height, turn, left: a.state_root, right: b.state_root, executes, located })
}

fn transactions_of(block: &ReadBlock, seat: Seat) -> impl Iterator<Item = cadastre_protocol::TxHash> {
    let of_seat = block.entries().iter().map(|entry| &entry.transaction);
    of_seat.filter(move |transaction| transaction.get().seat == seat).map(|transaction| transaction.hash())
}

/// Holds the first keyframe that a wrong state can stand in against what the file's own turns give.
fn locate(wrong: &Replay<'_>, height: Height) -> Result<Option<Located>, SeekError> {
    let Some(keyframe) = wrong.keyframe_from(height) else { return Ok(None) };
    let before = height.get().checked_sub(1).map_or(Height::GENESIS, Height::new);
    let mut game = Player::at(wrong, before)?.into_game();
    let mut last_phases = Vec::new();
    for block in wrong.blocks_from(height) {
        let read = block?.read().map_err(|error| SeekError::Malformed { height, error })?;
        let header = read.block().header();
        if header.height > keyframe.record.first_height {
            break;
        }
        last_phases = match header.kind {
            BlockKind::Turn => run(&mut game, wrong.genesis(), read.block()),
            BlockKind::Takeback { .. } => {
                let work = read.block().work(wrong.genesis(), game.setup().seed, game.stand_in());
                game.execute(&work);
                Vec::new()
            }
            BlockKind::Start
            | BlockKind::Commit
            | BlockKind::Reopen { .. }
            | BlockKind::KeyChange { .. }
            | BlockKind::Seal { .. } => continue,
        };
    }
    let found: State = lay_over(wrong, wrong.layers_of(keyframe))?.into();
    let differing: Vec<_> = game
        .simulation()
        .chunk_ids()
        .into_iter()
        .filter(|id| found.chunk(*id) != game.simulation().chunk(*id).as_deref())
        .collect();
    let explain = |id| game.explain(id, game.simulation().chunk(id).as_deref(), found.chunk(id));
    let wrote = |(_, dirty): &&(&str, Vec<_>)| dirty.iter().any(|id| differing.contains(id));
    let phase = last_phases.iter().rev().find(wrote).map(|(phase, _)| *phase);
    Ok(Some(Located {
        turn: keyframe.turn,
        phase: phase.filter(|_| keyframe.record.first_height == height),
        differences: differing.iter().copied().flat_map(explain).take(DIFFERENCES_MAX).collect(),
    }))
}

/// Executes a turn, and gives the chunks that each phase changed.
fn run(
    game: &mut Game,
    genesis: &Genesis,
    block: &ReadBlock,
) -> Vec<(&'static str, Vec<cadastre_protocol::ChunkId>)> {
    let names = game.simulation().phases();
    let Work::Turn(orders) = block.work(genesis, genesis.setup().seed, game.stand_in()) else {
        return Vec::new();
    };
    let mut turn = game.by_phase();
    let mut dirty = Vec::new();
    while let Some(changed) = turn.run(&orders) {
        dirty.push(changed);
    }
    names.iter().copied().zip(dirty).collect()
}
