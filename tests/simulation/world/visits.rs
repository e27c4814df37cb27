//! Those who look in now and then, where turns are of hours.

use super::{Fate, Happening, World};

/// How long somebody is away, in milliseconds: less than a part of a turn.
const AWAY_MS: std::ops::Range<u64> = 5 * 60_000..50 * 60_000;

/// And once in a while: longer than a turn.
const HOLIDAY_MS: std::ops::Range<u64> = 7 * 3_600_000..9 * 3_600_000;

impl World {
    /// Somebody comes. Where turns are of hours it will go soon.
    pub(super) fn look_in(&mut self, client: usize) {
        if let Some(link) = self.clients[client].link
            && self.slow.contains(&self.clients[client].config.room)
        {
            self.in_time(4_000..20_000, Happening::GoAway { client, link });
        }
    }

    /// Somebody goes away by itself, once the match has begun.
    pub(super) fn go_away(&mut self, client: usize, link: u64) {
        let entry = &self.clients[client];
        if entry.link != Some(link) || entry.fate != Fate::Playing {
            return;
        }
        if entry.height().get() == 0 {
            return self.in_time(4_000..20_000, Happening::GoAway { client, link });
        }
        let is_holiday = self.faults.holidays > 0 && self.random.once_in(6);
        if is_holiday {
            self.faults.holidays -= 1;
            self.witness.disturb(self.now.after(HOLIDAY_MS.end));
        }
        self.clients[client].away_ms = Some(if is_holiday { HOLIDAY_MS } else { AWAY_MS });
        self.sever(link);
        self.lose(link);
    }
}
