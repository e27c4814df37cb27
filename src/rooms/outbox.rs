//! What waits to be sent on one connection, bounded in messages and in bytes.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use cadastre_protocol::{EnterAs, Following};
use tokio::sync::mpsc;

use super::ToGuest;
use crate::config::Limits;

/// A queue for one connection, on which somebody enters as this, and wants to be told like this of what it missed.
pub(crate) fn outbox(limits: &Limits, enter_as: EnterAs, following: Following) -> (Outbox, Inbox) {
    let (sender, receiver) = mpsc::channel(limits.queue_messages_max);
    let state = Arc::new(State::default());
    let bytes_max = limits.queue_bytes_max;
    let outbox = Outbox { sender, state: state.clone(), bytes_max, enter_as, following };
    (outbox, Inbox { receiver, state, kept: VecDeque::new() })
}

/// What both ends know of a queue.
#[derive(Debug, Default)]
struct State {
    bytes: AtomicUsize,
    /// What can be told again is dropped, until the client asks for it.
    is_behind: AtomicBool,
}

/// The room's end of a queue.
#[derive(Debug)]
pub(crate) struct Outbox {
    sender: mpsc::Sender<ToGuest>,
    state: Arc<State>,
    bytes_max: usize,
    enter_as: EnterAs,
    following: Following,
}

/// The connection's end of a queue.
#[derive(Debug)]
pub(crate) struct Inbox {
    receiver: mpsc::Receiver<ToGuest>,
    state: Arc<State>,
    /// What waited among that which was dropped.
    kept: VecDeque<ToGuest>,
}

/// Why nothing more is queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// The connection is gone.
    Gone,
    /// This limit is reached.
    Full(&'static str),
}

impl Outbox {
    /// How the client wants to be told of what it missed.
    pub(crate) const fn following(&self) -> Following {
        self.following
    }

    /// Is it the queue of somebody who executes a match, and plays no part in it?
    pub(crate) fn is_followers(&self) -> bool {
        self.enter_as == EnterAs::Spectator
    }

    /// The client is too slow: what can be told again is dropped, also of what waits already. It asks for it when it
    /// reads again.
    pub(crate) fn fall_behind(&self) {
        self.state.is_behind.store(true, Ordering::Release);
        // For a connection that has sent all that waited meanwhile; another one finds out by what waits.
        let _ = self.try_send(ToGuest::Behind);
    }

    /// The client has asked for what it missed.
    pub(crate) fn go_on(&self) {
        self.state.is_behind.store(false, Ordering::Release);
    }

    pub(crate) fn is_behind(&self) -> bool {
        self.state.is_behind.load(Ordering::Acquire)
    }

    /// Queues something. Only the room that has this end adds to what waits.
    ///
    /// # Errors
    ///
    /// Nothing was queued.
    pub(crate) fn try_send(&self, message: ToGuest) -> Result<(), Unsent> {
        let size = message.size();
        if self.state.bytes.load(Ordering::Relaxed) + size > self.bytes_max {
            return Err(Unsent::Full("queue_bytes_max"));
        }
        self.state.bytes.fetch_add(size, Ordering::Relaxed);
        self.sender.try_send(message).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Unsent::Full("queue_messages_max"),
            mpsc::error::TrySendError::Closed(_) => Unsent::Gone,
        })
    }
}

impl Inbox {
    /// The next message; `None` when the room closed the queue. When the client fell behind, what can be told again is
    /// dropped, and [`ToGuest::Behind`] comes after the rest; `None` too when the room has left the match for another one
    /// meanwhile, for then nothing can.
    pub(crate) async fn recv(&mut self) -> Option<ToGuest> {
        if let Some(kept) = self.kept.pop_front() {
            return Some(kept);
        }
        let message = self.receiver.recv().await?;
        self.take(&message);
        if !self.state.is_behind.load(Ordering::Acquire) {
            return Some(message);
        }
        let mut next = Some(message);
        while let Some(message) = next {
            if matches!(&message, ToGuest::Message(message) if message.is_lobby()) {
                return None;
            }
            if !message.can_be_told_again() && !matches!(message, ToGuest::Behind) {
                self.kept.push_back(message);
            }
            next = self.receiver.try_recv().ok();
            next.iter().for_each(|message| self.take(message));
        }
        self.kept.push_back(ToGuest::Behind);
        self.kept.pop_front()
    }

    fn take(&self, message: &ToGuest) {
        self.state.bytes.fetch_sub(message.size(), Ordering::Relaxed);
    }
}

impl ToGuest {
    /// What it keeps in memory as long as it waits, in bytes.
    fn size(&self) -> usize {
        match self {
            Self::Message(message) => message.plain_len(),
            // The room keeps the first state, for all who come.
            Self::CatchUp { .. }
            | Self::Watch(_)
            | Self::FirstState(_)
            | Self::Behind
            | Self::NotAdmitted(_)
            | Self::Dismissed(_) => 0,
        }
    }

    /// Is it told to a guest that asks for what it missed?
    pub(crate) fn can_be_told_again(&self) -> bool {
        match self {
            Self::Message(message) => message.can_be_told_again(),
            Self::CatchUp { .. } => true,
            Self::Watch(_)
            | Self::FirstState(_)
            | Self::Behind
            | Self::NotAdmitted(_)
            | Self::Dismissed(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use cadastre_protocol::{
        AbsencePolicy, Access, AgreementPolicy, Clock, Digest, DoubleTransactionPolicy, Height, Lobby,
        MatchId, RandomnessMode, RoomName, RoomSpec, ServerMessage, SkipPolicy, SpectatorPolicy,
        TakebackPolicy, TurnMode, Visibility, encode,
    };

    use super::*;
    use crate::rooms::Outgoing;

    fn message(size: usize) -> ToGuest {
        let around = encode(&ServerMessage::Packed(Vec::new())).len();
        ToGuest::Message(Outgoing::new(&ServerMessage::Packed(vec![0; size - around])))
    }

    #[tokio::test]
    async fn bytes_are_bounded_and_free_again_once_they_are_sent() {
        let limits = Limits { queue_bytes_max: 100, ..Limits::default() };
        let (outbox, mut inbox) = outbox(&limits, EnterAs::Player, Following::Blocks);
        assert_eq!([outbox.try_send(message(60)), outbox.try_send(message(40))], [Ok(()), Ok(())]);
        assert_eq!(outbox.try_send(message(20)), Err(Unsent::Full("queue_bytes_max")));
        assert!(matches!(inbox.recv().await, Some(ToGuest::Message(message)) if message.plain_len() == 60));
        assert_eq!(outbox.try_send(message(60)), Ok(()));
        assert_eq!(outbox.try_send(message(20)), Err(Unsent::Full("queue_bytes_max")));
        drop(inbox);
    }

    #[tokio::test]
    async fn whoever_falls_behind_is_told_what_is_told_only_once_and_asks_for_the_rest() {
        let limits = Limits { queue_messages_max: 4, ..Limits::default() };
        let (outbox, mut inbox) = outbox(&limits, EnterAs::Spectator, Following::Snapshot);
        assert!(outbox.is_followers());
        let (match_id, height) = (MatchId::new(Digest::ZERO), Height::GENESIS);
        let block = || ToGuest::CatchUp { match_id, after: height, to: height, shortcut: None };
        for message in [block(), message(20), block(), block()] {
            assert_eq!(outbox.try_send(message), Ok(()));
        }
        assert_eq!(outbox.try_send(block()), Err(Unsent::Full("queue_messages_max")));
        outbox.fall_behind();
        assert!(matches!(inbox.recv().await, Some(ToGuest::Message(message)) if message.plain_len() == 20));
        assert!(matches!(inbox.recv().await, Some(ToGuest::Behind)));
        outbox.go_on();
        assert_eq!(outbox.try_send(block()), Ok(()));
        assert!(matches!(inbox.recv().await, Some(ToGuest::CatchUp { .. })));
        // Also if all that waited is sent before anybody notices.
        outbox.fall_behind();
        assert!(matches!(inbox.recv().await, Some(ToGuest::Behind)));
        assert_eq!(outbox.try_send(message(60)), Ok(()), "what was dropped takes no place");
    }

    #[tokio::test]
    async fn whoever_falls_behind_while_the_room_leaves_the_match_is_parted_with() {
        let (outbox, mut inbox) = outbox(&Limits::default(), EnterAs::Spectator, Following::Snapshot);
        let lobby = || {
            let (room, seats) = (RoomName::new("arena").unwrap(), Vec::new());
            let spec = RoomSpec {
                rules: "boxes".into(),
                size: None,
                seats: 2,
                mode: TurnMode::Simultaneous,
                turns_max: None,
                deadline_ms: None,
                spectators: SpectatorPolicy::Allowed { delay_turns: 0 },
                double_transactions: DoubleTransactionPolicy::EndMatch,
                visibility: Visibility::Held,
                randomness: RandomnessMode::None,
                takebacks: TakebackPolicy::Never,
                agreements: AgreementPolicy { pause_ms_max: 0, end: false, skip: SkipPolicy::Never },
                clock: Clock::PerTurn,
                absence: AbsencePolicy::USUAL,
                seats_min: 2,
                access: Access::PUBLIC,
                fork: None,
                late_joins: false,
                grace_ms: 0,
            };
            ToGuest::Message(Outgoing::new(&ServerMessage::Lobby(Lobby { room, spec, seats })))
        };
        assert_eq!(outbox.try_send(lobby()), Ok(()));
        assert!(inbox.recv().await.is_some());
        assert_eq!([outbox.try_send(message(20)), outbox.try_send(lobby())], [Ok(()), Ok(())]);
        outbox.fall_behind();
        assert!(inbox.recv().await.is_none());
    }

    #[tokio::test]
    async fn messages_are_bounded_too() {
        let limits = Limits { queue_messages_max: 2, ..Limits::default() };
        let (outbox, inbox) = outbox(&limits, EnterAs::Player, Following::Blocks);
        assert_eq!([outbox.try_send(message(20)), outbox.try_send(message(20))], [Ok(()), Ok(())]);
        assert_eq!(outbox.try_send(message(20)), Err(Unsent::Full("queue_messages_max")));
        drop(inbox);
        assert_eq!(outbox.try_send(message(20)), Err(Unsent::Gone));
    }
}
