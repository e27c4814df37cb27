//! One room with its bots, which play at a steady pace.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use cadastre_client::{Client, Event};
use cadastre_protocol::{BlockKind, RoomName, Turn};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use super::super::{
    CliError,
    bot::player,
    connect::{Server, client_error, throw_away_identity},
};
use super::figures::{Figures, Part};

/// Time within which something must happen in a room.
const STANDSTILL_MS_MAX: u64 = 60_000;

/// Time that a match has to end in good order.
const END_MS_MAX: u64 = 5_000;

pub(super) struct Table {
    pub(super) room: RoomName,
    pub(super) course: Arc<Course>,
    bots: JoinSet<Result<(), CliError>>,
}

/// How a match goes: when its turns are due, and when the last action of each has left.
pub(super) struct Course {
    pace: Duration,
    due: Mutex<Due>,
    left: Mutex<BTreeMap<Turn, (Instant, Part)>>,
    figures: Arc<Figures>,
    turns: watch::Sender<u64>,
    ending: watch::Sender<bool>,
}

struct Due {
    turn: Option<Turn>,
    at: Instant,
}

impl Table {
    /// Lets bots enter a room that is open.
    pub(super) fn open(
        server: &Server,
        room: RoomName,
        players: u8,
        pace: Duration,
        figures: Arc<Figures>,
    ) -> Result<Self, CliError> {
        let course = Arc::new(Course {
            pace,
            due: Mutex::new(Due { turn: None, at: Instant::now() }),
            left: Mutex::default(),
            figures,
            turns: watch::Sender::new(0),
            ending: watch::Sender::new(false),
        });
        let mut bots = JoinSet::new();
        for number in 0..players {
            let client = player(server, throw_away_identity()?, &room, number, None, None)?;
            bots.spawn(bot(client, number == 0, course.clone()));
        }
        Ok(Self { room, course, bots })
    }

    /// Turns that were played.
    pub(super) fn turns(&self) -> u64 {
        *self.course.turns.borrow()
    }

    /// Waits until so many turns were played.
    pub(super) async fn reach(&self, goal: u64) -> Result<(), CliError> {
        let mut turns = self.course.turns.subscribe();
        while *turns.borrow_and_update() < goal {
            let changed = timeout(self.patience(), turns.changed()).await;
            changed
                .map_err(|_| CliError::failed(format!("room {}: the match stands still", self.room)))?
                .ok();
        }
        Ok(())
    }

    fn patience(&self) -> Duration {
        Duration::from_millis(STANDSTILL_MS_MAX) + self.course.pace * 2
    }

    /// Lets all resign, so that no match is left behind on the server.
    pub(super) async fn end(mut self) -> Result<(), CliError> {
        self.course.ending.send_replace(true);
        let all = async {
            while let Some(ended) = self.bots.join_next().await {
                ended.map_err(|error| CliError::failed(format!("a bot failed: {error}")))??;
            }
            Ok(())
        };
        // A match that does not end in time ends by its absence policy.
        timeout(Duration::from_millis(END_MS_MAX) + self.course.pace * 2, all).await.unwrap_or(Ok(()))
    }
}

async fn bot(mut client: Client, is_first: bool, course: Arc<Course>) -> Result<(), CliError> {
    loop {
        let event = client.next().await.map_err(|error| client_error(&error))?;
        if let Event::YourTurn { turn, .. } = event {
            course.act(&mut client, turn).await;
        } else if let Event::Block { head, kind: BlockKind::Turn, .. } = event {
            course.verified(head.turn);
            if is_first {
                course.turns.send_modify(|turns| *turns += 1);
            }
        } else if let Event::Lost { reason } = event {
            course.figures.fail("player-lost", &reason);
        } else if let Event::Refused { refusal, .. } = event {
            course.figures.fail("refused", &refusal.to_string());
        } else if let Event::Desync(_) = event {
            course.figures.fail("desync", "");
        } else if let Event::Failed(failure) = event {
            return Err(CliError::failed(failure.to_string()));
        } else if let Event::Ended { .. } = event {
            return Ok(());
        }
    }
}

impl Course {
    /// Hands in what the game suggests, at the time that the turn is due.
    async fn act(&self, client: &mut Client, turn: Turn) {
        let suggested = client.session().follower().zip(client.session().seat());
        let commands = suggested.map(|(follower, seat)| follower.game().simulation().suggest(seat));
        let mut ending = self.ending.subscribe();
        tokio::select! {
            () = sleep_until(self.due(turn)) => {}
            _ = ending.wait_for(|ending| *ending) => {}
        }
        let done = if *self.ending.borrow() {
            client.resign().map(|_| ())
        } else {
            commands.map_or(Ok(()), |commands| client.submit(commands).map(|_| ()))
        };
        self.leaves(turn);
        if let Err(error) = done {
            self.figures.fail("not-submitted", &error.to_string());
        }
    }

    /// When a turn is to be played: the same for all seats.
    fn due(&self, turn: Turn) -> Instant {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        if due.turn != Some(turn) {
            *due = Due { turn: Some(turn), at: (due.at + self.pace).max(Instant::now()) };
        }
        due.at
    }

    fn leaves(&self, turn: Turn) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.insert(turn, (Instant::now(), self.figures.part()));
        while left.len() > 8 {
            left.pop_first();
        }
    }

    /// How long ago the last action of a turn has left, and in which part of the measurement.
    fn since(&self, turn: Turn) -> Option<(Duration, Part)> {
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.get(&turn).map(|(at, part)| (at.elapsed(), *part))
    }

    /// A player has verified the block of a turn.
    fn verified(&self, turn: Turn) {
        if let Some((latency, part)) = self.since(turn) {
            self.figures.turn(part, latency);
        }
    }

    /// A spectator has verified what it was shown of a turn.
    pub(super) fn shown(&self, turn: Turn) {
        if let Some((latency, Part::Watched)) = self.since(turn) {
            self.figures.view(latency);
        }
    }
}
