//! Commands for the open turn while the player still changes his mind.

use cadastre_protocol::Seat;
use cadastre_simulations::{Game, Refusal};

/// Why commands were taken out of the draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UndraftCause {
    /// They are not legal any more.
    Illegal(Refusal),
    /// The match went back to an earlier turn.
    TakenBack,
}

/// What was added, step by step. All steps together are legal.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    commands: Vec<u8>,
    /// All steps up to this one in one list.
    joined: Vec<u8>,
}

impl Draft {
    /// Adds commands, if all would be legal together.
    pub(crate) fn add(&mut self, game: &Game, seat: Seat, commands: Vec<u8>) -> Result<(), Refusal> {
        let so_far = self.commands().unwrap_or_default();
        let joined = game.join(so_far, &commands).map_err(|reason| Refusal { command: 0, reason })?;
        game.check(seat, &joined)?;
        self.steps.push(Step { commands, joined });
        Ok(())
    }

    /// Takes back what was added last, and gives it.
    pub(crate) fn undo(&mut self) -> Option<Vec<u8>> {
        self.steps.pop().map(|step| step.commands)
    }

    /// Takes out everything, and gives it step by step.
    pub(crate) fn clear(&mut self) -> impl Iterator<Item = Vec<u8>> + use<> {
        std::mem::take(&mut self.steps).into_iter().map(|step| step.commands)
    }

    /// All in one list; `None` when nothing was added.
    pub(crate) fn commands(&self) -> Option<&[u8]> {
        self.steps.last().map(|step| step.joined.as_slice())
    }

    /// Takes out what is not legal any more in the state of `game`, and gives it with the reasons.
    pub(crate) fn renew(&mut self, game: &Game, seat: Seat) -> Vec<(Vec<u8>, Refusal)> {
        if self.commands().is_none_or(|commands| game.check(seat, commands).is_ok()) {
            return Vec::new();
        }
        let mut refused = Vec::new();
        for commands in self.clear() {
            if let Err(refusal) = self.add(game, seat, commands.clone()) {
                refused.push((commands, refusal));
            }
        }
        refused
    }
}
