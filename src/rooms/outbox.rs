//! What waits to be sent on one connection, bounded in messages and in bytes.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use cadastre_protocol::Following;
use tokio::sync::mpsc;

use super::ToGuest;
use crate::config::Limits;

/// A queue for one connection, whose client wants to be told like this of what it missed.
pub(crate) fn outbox(limits: &Limits, following: Following) -> (Outbox, Inbox) {
    let (sender, receiver) = mpsc::channel(limits.queue_messages_max);
    let bytes = Arc::new(AtomicUsize::new(0));
    let outbox = Outbox { sender, bytes: bytes.clone(), bytes_max: limits.queue_bytes_max, following };
    (outbox, Inbox { receiver, bytes })
}

/// The room's end of a queue.
#[derive(Debug)]
pub(crate) struct Outbox {
    sender: mpsc::Sender<ToGuest>,
    bytes: Arc<AtomicUsize>,
    bytes_max: usize,
    following: Following,
}

/// The connection's end of a queue.
#[derive(Debug)]
pub(crate) struct Inbox {
    receiver: mpsc::Receiver<ToGuest>,
    bytes: Arc<AtomicUsize>,
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

    /// Queues something. Only the room that has this end adds to what waits.
    ///
    /// # Errors
    ///
    /// Nothing was queued.
    pub(crate) fn try_send(&self, message: ToGuest) -> Result<(), Unsent> {
        let size = message.size();
        if self.bytes.load(Ordering::Relaxed) + size > self.bytes_max {
            return Err(Unsent::Full("queue_bytes_max"));
        }
        self.bytes.fetch_add(size, Ordering::Relaxed);
        self.sender.try_send(message).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Unsent::Full("queue_messages_max"),
            mpsc::error::TrySendError::Closed(_) => Unsent::Gone,
        })
    }
}

impl Inbox {
    /// The next message; `None` when the room closed the queue.
    pub(crate) async fn recv(&mut self) -> Option<ToGuest> {
        let message = self.receiver.recv().await?;
        self.bytes.fetch_sub(message.size(), Ordering::Relaxed);
        Some(message)
    }
}

impl ToGuest {
    /// What it keeps in memory as long as it waits, in bytes.
    fn size(&self) -> usize {
        match self {
            Self::Message(message) => message.plain_len(),
            Self::CatchUp { .. } | Self::Watch(_) | Self::NotAdmitted(_) | Self::Dismissed(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use cadastre_protocol::{ServerMessage, encode};

    use super::*;
    use crate::rooms::Outgoing;

    fn message(size: usize) -> ToGuest {
        let around = encode(&ServerMessage::Packed(Vec::new())).len();
        ToGuest::Message(Outgoing::new(&ServerMessage::Packed(vec![0; size - around])))
    }

    #[tokio::test]
    async fn bytes_are_bounded_and_free_again_once_they_are_sent() {
        let limits = Limits { queue_bytes_max: 100, ..Limits::default() };
        let (outbox, mut inbox) = outbox(&limits, Following::Blocks);
        assert_eq!([outbox.try_send(message(60)), outbox.try_send(message(40))], [Ok(()), Ok(())]);
        assert_eq!(outbox.try_send(message(20)), Err(Unsent::Full("queue_bytes_max")));
        assert!(matches!(inbox.recv().await, Some(ToGuest::Message(message)) if message.plain_len() == 60));
        assert_eq!(outbox.try_send(message(60)), Ok(()));
        assert_eq!(outbox.try_send(message(20)), Err(Unsent::Full("queue_bytes_max")));
        drop(inbox);
    }

    #[tokio::test]
    async fn messages_are_bounded_too() {
        let limits = Limits { queue_messages_max: 2, ..Limits::default() };
        let (outbox, inbox) = outbox(&limits, Following::Blocks);
        assert_eq!([outbox.try_send(message(20)), outbox.try_send(message(20))], [Ok(()), Ok(())]);
        assert_eq!(outbox.try_send(message(20)), Err(Unsent::Full("queue_messages_max")));
        drop(inbox);
        assert_eq!(outbox.try_send(message(20)), Err(Unsent::Gone));
    }
}
