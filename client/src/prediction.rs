//! What the open turn comes to as far as its orders are known, beside the verified state.

use std::collections::BTreeSet;

use cadastre_protocol::{ChunkId, Digest, Orders, Seat, StateRoot, Turn, TurnOrders};
use cadastre_simulations::{DIFFERENCES_MAX, Difference, Game, Snapshot, Void};

/// The verified state with the known orders of the open turn carried out: the first phase of the turn. What
/// comes after the orders needs the roll or the orders of everybody, and is left to the block.
#[derive(Clone, Copy, Debug)]
pub struct Predicted<'a> {
    /// The state. It is the verified one when no orders are known.
    pub game: &'a Game,
    /// The chunks in which it differs from the verified one, ascending.
    pub changed: &'a [ChunkId],
    /// Commands that would have no effect.
    pub voids: &'a [Void],
}

/// What was shown of a turn and did not come true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misprediction {
    /// The turn.
    pub turn: Turn,
    /// Why.
    pub cause: MispredictionCause,
    /// The fields that were shown as changed and that the orders of the block left otherwise, at most
    /// [`DIFFERENCES_MAX`]: *left* is what they are once the orders are carried out, *right* what was shown.
    pub differences: Vec<Difference>,
    /// Own commands in the block that had no effect.
    pub voids: Vec<Void>,
}

/// Why what was shown did not come true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MispredictionCause {
    /// The block has other own commands, or none: they came too late, were not handed in, or another process of
    /// this identity handed in its own.
    NotTaken,
    /// The block has the own commands that were shown. What others did, or the order of all, is not what it was
    /// taken to be.
    Others,
}

/// What is taken to be ordered in the open turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Guess {
    pub(crate) own: Option<Seat>,
    /// At most one list for each seat, in the order of the block as far as that is known.
    pub(crate) orders: Vec<(Seat, Vec<u8>)>,
}

impl Guess {
    fn own_commands(&self) -> Option<&[u8]> {
        let of_own = self.orders.iter().find(|(seat, _)| Some(*seat) == self.own);
        of_own.map(|(_, commands)| commands.as_slice())
    }
}

/// Makes predictions, and remembers the last one until its block comes.
#[derive(Debug, Default)]
pub(crate) struct Predictor {
    /// A second game, from the first prediction on. It is in the state that was shown last.
    ahead: Option<Game>,
    shown: Option<Shown>,
}

/// A prediction that somebody has looked at.
#[derive(Debug)]
pub(crate) struct Shown {
    /// Root of the verified state that it was made from.
    from: StateRoot,
    guess: Guess,
    changed: Vec<ChunkId>,
    /// The chunks that changed, before and after.
    before: Snapshot,
    after: Snapshot,
    voids: Vec<Void>,
}

impl Predictor {
    /// The state after `verified` if `guess` is right.
    pub(crate) fn predict<'a>(&'a mut self, verified: &'a Game, guess: Guess) -> Predicted<'a> {
        let is_shown = |shown: &Shown| shown.from == verified.state_root() && shown.guess == guess;
        if !self.shown.as_ref().is_some_and(is_shown) {
            self.shown = if guess.orders.is_empty() { None } else { self.show(verified, guess) };
        }
        match (&self.ahead, &self.shown) {
            (Some(game), Some(shown)) => Predicted { game, changed: &shown.changed, voids: &shown.voids },
            (Some(_), None) | (None, _) => Predicted { game: verified, changed: &[], voids: &[] },
        }
    }

    /// `None` when there can be no second game, since the first is in a state that no match comes to.
    fn show(&mut self, verified: &Game, guess: Guess) -> Option<Shown> {
        let same = self.ahead.take().and_then(|mut game| game.become_like(verified).is_ok().then_some(game));
        let mut game = match same {
            Some(game) => game,
            None => Game::restore(verified.setup(), &verified.snapshot()).ok()?,
        };
        let orders = guess.orders.iter().map(|(seat, commands)| Orders::new(*seat, commands));
        let mut turn = game.by_phase();
        turn.run(&TurnOrders { roll: Digest::ZERO, orders: orders.collect() });
        let (applied, _) = turn.end();
        let changed = applied.dirty;
        let (before, after) = (verified.chunks(&changed), game.chunks(&changed));
        self.ahead = Some(game);
        Some(Shown { from: verified.state_root(), guess, changed, before, after, voids: applied.voids })
    }

    /// The turn that was shown will have no block.
    pub(crate) fn forget_shown(&mut self) {
        self.shown = None;
    }

    /// Takes out what was shown of the turn after `verified`.
    pub(crate) fn take_shown(&mut self, verified: &Game) -> Option<Shown> {
        self.shown.take().filter(|shown| shown.from == verified.state_root())
    }
}

impl Shown {
    /// The fields that it changed and that `carried_out`, the state after the orders of the block, has otherwise.
    pub(crate) fn differences(&self, carried_out: &Game) -> Vec<Difference> {
        let mut differences = Vec::new();
        for ((id, before), (_, shown)) in self.before.iter().zip(&self.after) {
            let actual = carried_out.simulation().chunk(*id);
            if actual.as_ref() == Some(shown) {
                continue;
            }
            let explain = |left: Option<&[u8]>| carried_out.explain(*id, left, Some(shown));
            let changed: BTreeSet<_> =
                explain(Some(before)).iter().map(|change| (change.subject, change.field)).collect();
            let other = explain(actual.as_deref()).into_iter();
            differences.extend(other.filter(|field| changed.contains(&(field.subject, field.field))));
            if differences.len() >= DIFFERENCES_MAX {
                break;
            }
        }
        differences.truncate(DIFFERENCES_MAX);
        differences
    }

    /// What did not come true. `orders` and `voids` are those of the block.
    pub(crate) fn outcome(
        &self,
        turn: Turn,
        differences: Vec<Difference>,
        orders: &TurnOrders<'_>,
        voids: &[Void],
    ) -> Option<Misprediction> {
        let own = |voids: &[Void]| -> Vec<Void> {
            voids.iter().filter(|void| Some(void.seat) == self.guess.own).copied().collect()
        };
        let voids = own(voids);
        if differences.is_empty() && voids == own(&self.voids) {
            return None;
        }
        let taken = orders.orders.iter().find(|order| Some(order.seat) == self.guess.own);
        let cause = if taken.map(|order| &*order.commands) == self.guess.own_commands() {
            MispredictionCause::Others
        } else {
            MispredictionCause::NotTaken
        };
        Some(Misprediction { turn, cause, differences, voids })
    }
}
