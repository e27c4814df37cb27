//! What a game keeps of its last turns, so that they can be taken back.

use std::collections::VecDeque;

use cadastre_protocol::{Digest, Orders, Seat, TAKEBACK_TURNS_MAX, Turn, TurnOrders};

use crate::history::State;

/// Some states, and the turns after the first of them. It reaches back [`TAKEBACK_TURNS_MAX`] turns from the
/// furthest turn that the game has come to, with at most three states and twice as many turns.
#[derive(Debug)]
pub(crate) struct Past {
    /// The state after some turns, oldest first; never empty.
    marks: VecDeque<(Turn, State)>,
    /// The turns after the first mark.
    turns: VecDeque<Given>,
    furthest: Turn,
}

/// The orders of a turn.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    roll: Digest,
    orders: Vec<(Seat, Vec<u8>)>,
}

impl Given {
    pub(crate) fn of(turn: &TurnOrders<'_>) -> Self {
        let orders = turn.orders.iter().map(|order| (order.seat, order.commands.to_vec()));
        Self { roll: turn.roll, orders: orders.collect() }
    }

    /// As a game takes them.
    pub(crate) fn orders(&self) -> TurnOrders<'_> {
        let orders = self.orders.iter().map(|(seat, commands)| Orders::new(*seat, commands));
        TurnOrders { roll: self.roll, orders: orders.collect() }
    }
}

impl Past {
    /// Begins at the state after `turn`.
    pub(crate) fn new(turn: Turn, state: State) -> Self {
        Self { marks: VecDeque::from([(turn, state)]), turns: VecDeque::new(), furthest: turn }
    }

    /// The earliest turn that can be gone back to, and the state after it.
    pub(crate) fn earliest(&self) -> (Turn, &State) {
        let (turn, state) = self.marks.front().expect("there is always a mark");
        (*turn, state)
    }

    fn first(&self) -> Turn {
        self.earliest().0
    }

    /// The turn that the game stands after.
    fn now(&self) -> Turn {
        let turns = u32::try_from(self.turns.len()).unwrap_or(u32::MAX);
        Turn::new(self.first().get().saturating_add(turns))
    }

    /// Takes up a turn that came to `state`.
    pub(crate) fn push(&mut self, given: Given, state: impl FnOnce() -> State) {
        self.turns.push_back(given);
        let now = self.now();
        self.furthest = self.furthest.max(now);
        if now.get().is_multiple_of(TAKEBACK_TURNS_MAX) {
            self.marks.push_back((now, state()));
        }
        let floor = self.furthest.get().saturating_sub(TAKEBACK_TURNS_MAX);
        while self.marks.get(1).is_some_and(|(turn, _)| turn.get() <= floor) {
            let (first, _) = self.marks.pop_front().expect("there are two");
            let forgotten = self.first().get() - first.get();
            (0..forgotten).for_each(|_| drop(self.turns.pop_front()));
        }
    }

    /// The last turn came to another state than was thought.
    pub(crate) fn put_right(&mut self, state: impl FnOnce() -> State) {
        let now = self.now();
        if let Some((turn, mark)) = self.marks.back_mut()
            && *turn == now
        {
            *mark = state();
        }
    }

    /// The last turn did not happen.
    pub(crate) fn forget_last(&mut self) {
        let now = self.now();
        if self.turns.pop_back().is_some() {
            self.marks.retain(|(turn, _)| *turn < now);
        }
    }

    /// Goes back to `turn`: gives the nearest state before it, and the turns after that. `None` when it is ahead,
    /// or not known any more.
    pub(crate) fn back(&mut self, turn: Turn) -> Option<(State, Vec<Given>)> {
        let first = self.first();
        if turn > self.now() || turn < first {
            return None;
        }
        self.marks.retain(|(mark, _)| *mark <= turn);
        self.turns.truncate(usize::try_from(turn.get() - first.get()).ok()?);
        let (nearest, state) = self.marks.back()?;
        let after = usize::try_from(nearest.get() - first.get()).ok()?;
        Some((state.clone(), self.turns.iter().skip(after).cloned().collect()))
    }
}
