//! What a session should predict, by a model that knows nothing but its events and what the player did: every
//! answer is held against a fresh execution on a copy of the verified state.

use cadastre_client::{Event, Session, UndraftCause};
use cadastre_protocol::{
    BlockKind, ChunkId, Digest, Orders, ReadTransaction, Seat, SignedTransaction, StateRoot, Transaction,
    TransactionBody, TurnOrders, TxHash,
};
use cadastre_simulations::{Game, Void};

/// What is known to be ordered in the open turn.
#[derive(Default)]
pub(crate) struct Model {
    own: Own,
    /// Others' commands, in a match with open moves.
    others: Vec<(Seat, Vec<u8>)>,
    /// What was handed in for the open turn, or the half of it.
    sent: Vec<ReadTransaction>,
    /// What it came to when it was checked last: as long as nothing changes, it is not executed again.
    expected: Option<Expected>,
}

#[derive(Debug, Default)]
enum Own {
    #[default]
    Nothing,
    Drafted(Vec<u8>),
    /// Drafted for a turn that was taken back: the session has to say so.
    TakenBack(Vec<u8>),
    HandedIn {
        commands: Vec<u8>,
        transaction: TxHash,
        refused: bool,
    },
}

impl Model {
    pub(crate) fn draft(&mut self, commands: Vec<u8>) {
        self.own = Own::Drafted(commands);
    }

    pub(crate) fn hand_in(&mut self, commands: Vec<u8>, transaction: TxHash) {
        self.own = Own::HandedIn { commands, transaction, refused: false };
    }

    /// Everything drafted was taken back.
    pub(crate) fn undo(&mut self) {
        if matches!(self.own, Own::Drafted(_)) {
            self.own = Own::Nothing;
        }
    }

    pub(crate) fn resign(&mut self) {
        self.own = Own::Nothing;
    }

    pub(crate) fn send(&mut self, transaction: &SignedTransaction) {
        let sent = transaction.clone().read().unwrap();
        if !self.sent.iter().any(|before| before.hash() == sent.hash()) {
            self.sent.push(sent);
        }
    }

    /// What a player wants of the others leaves the action as it is.
    fn refused(&mut self, transaction: TxHash) {
        let is_stance = |sent: &ReadTransaction| sent.get().body.is_stance();
        if self.sent.iter().any(|sent| sent.hash() == transaction && !is_stance(sent)) {
            self.refuse(true);
        }
    }

    /// An event of `session`, which may be further on by now.
    pub(crate) fn see(&mut self, event: &Event, session: &Session) {
        match event {
            Event::Lobby(_) | Event::Match { .. } => *self = Self::default(),
            Event::Connected { .. } => {
                self.others.clear();
                self.refuse(false);
            }
            // The open turn is told again.
            Event::CaughtUp => self.others.clear(),
            // What came too late is handed in again.
            Event::Block { kind: BlockKind::Reopen { .. }, .. } => self.refuse(false),
            Event::Block { kind: BlockKind::Commit, .. } => self.close_first_half(session),
            Event::Block { kind: BlockKind::Start | BlockKind::Turn, .. } | Event::Joined { .. } => {
                if !matches!(self.own, Own::Drafted(_)) {
                    self.own = Own::Nothing;
                }
                self.others.clear();
                self.sent.clear();
            }
            Event::Block { kind: BlockKind::Takeback { .. }, .. } => {
                self.own = match std::mem::take(&mut self.own) {
                    Own::Drafted(commands) => Own::TakenBack(commands),
                    Own::Nothing | Own::TakenBack(_) | Own::HandedIn { .. } => Own::Nothing,
                };
                self.others.clear();
                self.sent.clear();
            }
            Event::Undrafted { commands, cause } => {
                match (&self.own, cause) {
                    (Own::Drafted(own), UndraftCause::Illegal(_))
                    | (Own::TakenBack(own), UndraftCause::TakenBack) => assert_eq!(own, commands),
                    (own, cause) => panic!("{cause:?} of {own:?}"),
                }
                self.own = Own::Nothing;
            }
            Event::Ended { .. } => {
                if matches!(self.own, Own::HandedIn { .. }) {
                    self.own = Own::Nothing;
                }
                self.others.clear();
            }
            Event::Relayed(Transaction { seat, body: TransactionBody::Turn(commands), .. }) => {
                self.others.push((*seat, commands.clone()));
            }
            Event::Refused { transaction, .. } => self.refused(*transaction),
            // What is drafted for one seat is nothing to another.
            Event::Seated { .. } => {
                self.own = Own::Nothing;
                self.sent.clear();
            }
            Event::Lost { .. }
            | Event::Block { .. }
            | Event::Shown { .. }
            | Event::Desync(_)
            | Event::YourTurn { .. }
            | Event::Relayed(_)
            | Event::Receipt(_)
            | Event::Evidence(_)
            | Event::Takeback { .. }
            | Event::Rematch { .. }
            | Event::Motion { .. }
            | Event::Limited { .. }
            | Event::Failed(_)
            | Event::Goodbye { .. }
            | Event::Said { .. }
            | Event::NotSaid { .. }
            | Event::Conversing
            | Event::TalkMissed { .. }
            | Event::TalkBroken { .. }
            | Event::Notice(_)
            | Event::Mispredicted(_) => {}
        }
    }

    fn refuse(&mut self, now: bool) {
        if let Own::HandedIn { refused, .. } = &mut self.own {
            *refused = now;
        }
    }

    /// What does not stand in the block that closes the first half is lost.
    fn close_first_half(&mut self, session: &Session) {
        let chain = session.follower().unwrap().chain();
        let last = session.seat().and_then(|seat| chain.next_of(seat)).map(|next| next.prev_tx);
        let Own::HandedIn { transaction, .. } = &self.own else { return };
        let mut since = self.sent.iter().skip_while(|sent| sent.hash() != *transaction);
        if Some(*transaction) == last || since.any(|sent| Some(sent.hash()) == last) {
            self.sent.clear();
        } else {
            self.own = Own::Nothing;
        }
    }

    /// Holds what `session` predicts against a fresh execution.
    pub(crate) fn check(&mut self, session: &mut Session) {
        let seat = session.seat();
        let Some(follower) = session.follower().filter(|follower| !follower.is_diverged()) else {
            assert!(session.predicted().is_none() && session.verified().is_none());
            return;
        };
        let (chain, verified) = (follower.chain(), follower.game());
        let mut orders = self.others.clone();
        let asked = |seat| chain.required().contains(seat) && chain.seal_due().is_none();
        let own = match &self.own {
            Own::Drafted(commands) if seat.is_some_and(asked) && !chain.is_revealing() => {
                assert_eq!(verified.check(seat.unwrap(), commands), Ok(()));
                chain.next_turn().and(Some(commands))
            }
            Own::HandedIn { commands, refused: false, .. } => Some(commands),
            Own::TakenBack(_) => panic!("a draft of what was taken back is kept"),
            Own::HandedIn { .. } | Own::Drafted(_) | Own::Nothing => None,
        };
        orders.extend(seat.zip(own.cloned()));
        if let Some(places) = chain.places() {
            orders.sort_by_key(|(seat, _)| places[seat.index()]);
        }
        let root = verified.state_root();
        let is_known = |known: &Expected| known.from == root && known.orders == orders;
        let known = self.expected.take().filter(is_known);
        let is_new = known.is_none();
        let expected = known.unwrap_or_else(|| Expected::of(verified, orders));
        let predicted = session.predicted().unwrap();
        assert_eq!(predicted.game.state_root(), expected.game.state_root());
        assert_eq!((predicted.changed, predicted.voids), (&expected.changed[..], &expected.voids[..]));
        if is_new {
            assert_eq!(predicted.game.snapshot(), expected.game.snapshot());
        }
        let after = session.verified().unwrap().state_root();
        assert_eq!(after, root, "predicting leaves the verified state alone");
        self.expected = Some(expected);
    }
}

/// What orders come to, by a fresh execution.
struct Expected {
    from: StateRoot,
    orders: Vec<(Seat, Vec<u8>)>,
    game: Game,
    changed: Vec<ChunkId>,
    voids: Vec<Void>,
}

impl Expected {
    fn of(verified: &Game, orders: Vec<(Seat, Vec<u8>)>) -> Self {
        let (game, voids) = fresh(verified, &orders);
        let changed = game.tree().differing(verified.tree());
        Self { from: verified.state_root(), orders, game, changed, voids }
    }
}

/// A copy of `verified` with these orders carried out.
pub(crate) fn fresh(verified: &Game, orders: &[(Seat, Vec<u8>)]) -> (Game, Vec<Void>) {
    let mut game = Game::restore(verified.setup(), &verified.snapshot()).unwrap();
    if orders.is_empty() {
        return (game, Vec::new());
    }
    let orders = orders.iter().map(|(seat, commands)| Orders::new(*seat, commands)).collect();
    let mut turn = game.by_phase();
    turn.run(&TurnOrders { roll: Digest::ZERO, orders });
    let voids = turn.end().0.voids;
    (game, voids)
}
