//! Where seed, rolls and the order in a block come from, and what hides the commands of a sealed turn.
//! `docs/protocol.md`, "Randomness".

use crate::{
    block::{Absence, BlockKind, Header, ReadEntry, orders},
    genesis::Randomness,
    hash::{Context, Digest, Hasher, hash},
    ids::{Attempt, MatchId, Seat, Turn},
    setup::{TurnOrders, Work},
};

/// What follows from the elements in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drawn {
    Nothing,
    /// The seed by which the game begins.
    Seed(Digest),
    /// The roll of the turn that is executed.
    Roll(Digest),
    /// No element is revealed: the match goes back to this turn.
    Back(Turn),
}

impl Drawn {
    /// `seed` is the one in force before the block.
    pub(crate) fn of(randomness: &Randomness, seed: Digest, header: &Header, entries: &[ReadEntry]) -> Self {
        match (&header.kind, randomness) {
            (BlockKind::Start, Randomness::CommitReveal { .. }) => Self::Seed(
                by_seat(entries)
                    .into_iter()
                    .fold(
                        Hasher::new(Context::Seed)
                            .chain(header.match_id.as_bytes())
                            .chain(header.randomness.as_bytes()),
                        |hasher, (_, element)| hasher.chain(element.as_bytes()),
                    )
                    .finish(),
            ),
            (BlockKind::Turn, Randomness::None) => Self::Roll(roll(header, seed).finish()),
            (BlockKind::Turn, Randomness::CommitReveal { .. }) => {
                let server = roll(header, seed).chain(header.randomness.as_bytes());
                let add = |hasher: Hasher, (seat, element): (Seat, Digest)| {
                    hasher.chain(&[seat.get()]).chain(element.as_bytes())
                };
                Self::Roll(by_seat(entries).into_iter().fold(server, add).finish())
            }
            (BlockKind::Takeback { to_turn }, _) => Self::Back(*to_turn),
            (
                BlockKind::Start
                | BlockKind::Commit
                | BlockKind::Reopen { .. }
                | BlockKind::KeyChange { .. }
                | BlockKind::Seal { .. },
                _,
            ) => Self::Nothing,
        }
    }

    /// What mixes the order of the seats in the block. Without commit and reveal nothing does.
    pub(crate) const fn order(self, randomness: &Randomness) -> Digest {
        match (randomness, self) {
            (Randomness::CommitReveal { .. }, Self::Seed(drawn) | Self::Roll(drawn)) => drawn,
            (Randomness::CommitReveal { .. }, Self::Nothing | Self::Back(_)) | (Randomness::None, _) => {
                Digest::ZERO
            }
        }
    }

    /// What the game has to execute.
    pub(crate) fn work<'a>(
        self,
        entries: &'a [ReadEntry],
        absent: &[Absence],
        stand_in: impl Fn(Seat) -> Vec<u8>,
    ) -> Work<'a> {
        match self {
            Self::Nothing => Work::Nothing,
            Self::Seed(seed) => Work::Begin { seed },
            Self::Back(to) => Work::Back { to },
            Self::Roll(roll) => Work::Turn(TurnOrders { roll, orders: orders(entries, absent, stand_in) }),
        }
    }
}

/// The elements that the entries reveal, by seat.
fn by_seat(entries: &[ReadEntry]) -> Vec<(Seat, Digest)> {
    let revealed = entries.iter().filter_map(|entry| {
        let tx = entry.transaction.get();
        Some((tx.seat, tx.chain_element?))
    });
    let mut revealed: Vec<_> = revealed.collect();
    revealed.sort_unstable();
    revealed
}

/// What every roll begins with. The seed is in it, so that nobody can choose a roll together with the genesis.
fn roll(header: &Header, seed: Digest) -> Hasher {
    Hasher::new(Context::Roll)
        .chain(header.match_id.as_bytes())
        .chain(&header.turn.get().to_le_bytes())
        .chain(&header.attempt.get().to_le_bytes())
        .chain(seed.as_bytes())
}

/// Hides `commands` until they are revealed together with `salt`. Worth nothing to another seat, or in another turn.
pub fn sealed_commands(
    match_id: MatchId,
    seat: Seat,
    turn: Turn,
    attempt: Attempt,
    salt: &[u8; 32],
    commands: &[u8],
) -> Digest {
    let parts: [&[u8]; 6] = [
        match_id.as_bytes(),
        &[seat.get()],
        &turn.get().to_le_bytes(),
        &attempt.get().to_le_bytes(),
        salt,
        commands,
    ];
    hash(Context::SealedCommands, &parts)
}
