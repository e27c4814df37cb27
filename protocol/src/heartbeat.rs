//! When to ask whether the other end is still there, and how long its answers take. `docs/protocol.md`, "Heartbeat".

use std::{collections::VecDeque, time::Duration};

/// Shortest time between two Pings, in milliseconds, whatever the other end asks for.
pub const HEARTBEAT_MS_MIN: u32 = 100;

/// A connection on which nothing was heard for so many heartbeats is lost.
const SILENT_HEARTBEATS: u32 = 3;

/// One end of a connection, which asks the other. All times are counted from the moment at which it was made.
#[derive(Debug)]
pub struct Heartbeat {
    every: Duration,
    next: Duration,
    heard: Duration,
    number: u64,
    /// What was asked and is not answered yet, oldest first.
    asked: VecDeque<(u64, Duration)>,
    round_trip: Option<Duration>,
}

impl Heartbeat {
    /// Asks for the first time when `first` has passed, and then every `every_ms` milliseconds.
    pub fn new(every_ms: u32, first: Duration) -> Self {
        Self {
            every: Duration::from_millis(u64::from(every_ms.max(HEARTBEAT_MS_MIN))),
            next: first,
            heard: Duration::ZERO,
            number: 0,
            asked: VecDeque::new(),
            round_trip: None,
        }
    }

    /// When to call [`Heartbeat::ask`] next, and to see whether the connection is lost.
    pub fn wakes_at(&self) -> Duration {
        self.next.min(self.lost_at())
    }

    /// Has nothing been heard for too long?
    pub fn is_lost(&self, now: Duration) -> bool {
        now >= self.lost_at()
    }

    fn lost_at(&self) -> Duration {
        self.heard + self.every * SILENT_HEARTBEATS
    }

    /// The number of the Ping to send, if it is time for one.
    pub fn ask(&mut self, now: Duration) -> Option<u64> {
        if now < self.next {
            return None;
        }
        self.next = now + self.every;
        self.number += 1;
        self.asked.push_back((self.number, now));
        if self.asked.len() > SILENT_HEARTBEATS as usize {
            self.asked.pop_front();
        }
        Some(self.number)
    }

    /// Something was heard, whatever it was.
    pub const fn heard(&mut self, now: Duration) {
        self.heard = now;
    }

    /// A Pong with this number was heard. Gives how long it took; `None` when it answers nothing.
    pub fn answered(&mut self, number: u64, now: Duration) -> Option<Duration> {
        let answered = self.asked.iter().position(|(asked, _)| *asked == number)?;
        let (_, since) = self.asked.drain(..=answered).next_back()?;
        let took = now.saturating_sub(since);
        self.round_trip = Some(self.round_trip.map_or(took, |before| (before * 7 + took) / 8));
        Some(took)
    }

    /// How long an answer takes, smoothed over the last ones as in RFC 6298 (section 2, with alpha = 1/8). `None` before
    /// the first.
    pub const fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn it_asks_again_and_again_and_is_lost_when_nothing_is_heard() {
        let mut heartbeat = Heartbeat::new(100, at(0));
        assert_eq!(
            (heartbeat.wakes_at(), heartbeat.ask(at(0)), heartbeat.ask(at(99))),
            (at(0), Some(1), None)
        );
        assert_eq!((heartbeat.wakes_at(), heartbeat.ask(at(130))), (at(100), Some(2)));
        heartbeat.heard(at(140));
        assert_eq!((heartbeat.ask(at(230)), heartbeat.ask(at(330))), (Some(3), Some(4)));
        assert!(!heartbeat.is_lost(at(439)) && heartbeat.is_lost(at(440)));
        assert_eq!(heartbeat.wakes_at(), at(430), "it asks until the end");
        heartbeat.ask(at(430));
        assert_eq!(heartbeat.wakes_at(), at(440));
    }

    #[test]
    fn answers_are_measured_and_smoothed() {
        let mut heartbeat = Heartbeat::new(1000, at(500));
        assert_eq!((heartbeat.ask(at(499)), heartbeat.ask(at(500))), (None, Some(1)));
        assert_eq!((heartbeat.answered(2, at(510)), heartbeat.round_trip()), (None, None));
        assert_eq!((heartbeat.answered(1, at(580)), heartbeat.round_trip()), (Some(at(80)), Some(at(80))));
        assert_eq!(heartbeat.answered(1, at(590)), None, "one answer for each");
        heartbeat.ask(at(1500));
        assert_eq!(heartbeat.answered(2, at(1660)), Some(at(160)));
        assert_eq!(heartbeat.round_trip(), Some(at(90)));
    }

    #[test]
    fn an_answer_that_takes_longer_than_a_heartbeat_counts_and_answers_all_before_it() {
        let mut heartbeat = Heartbeat::new(100, at(0));
        for now in [0, 100, 200] {
            heartbeat.ask(at(now));
        }
        assert_eq!(heartbeat.answered(2, at(250)), Some(at(150)));
        assert_eq!(heartbeat.answered(1, at(251)), None);
        assert_eq!(heartbeat.answered(3, at(252)), Some(at(52)));
        for now in [300, 400, 500, 600] {
            heartbeat.ask(at(now));
        }
        assert_eq!(heartbeat.answered(4, at(610)), None, "what is asked for does not pile up");
    }
}
