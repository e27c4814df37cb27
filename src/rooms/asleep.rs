//! Rooms that sleep: their match is on disk, and waits for a time that is far away or for somebody who comes.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use cadastre_protocol::{
    AbsencePolicy, Block, Clock, Genesis, Header, MatchId, Millis, RoomName, SeatHolder, SpectatorPolicy,
    decode_exact,
};

use super::RoomInfo;
use crate::{
    limiter::RoomPlace,
    store::{Mark, MatchRecord, ReadError, Store},
};

/// All that is kept of a room that sleeps.
#[derive(Debug)]
pub(crate) struct Sleeper {
    pub(super) match_id: MatchId,
    /// When the open turn closes if nobody comes.
    pub(super) until: Millis,
    pub(super) info: RoomInfo,
    /// For whom the room counts, if that is known.
    pub(super) place: Option<RoomPlace>,
}

impl Sleeper {
    /// The room of a stored match that needs not be opened at the start: nobody has lost much of the time of its
    /// open turn while the service was away. `None` for all others, and for those of which only the whole chain
    /// tells whose time is up, or which seats are open.
    pub(crate) fn of(
        store: &Store,
        (match_id, record, mark): (MatchId, &MatchRecord, Mark),
        now: Millis,
        sleep_ms: u64,
    ) -> Result<Option<Self>, ReadError> {
        let genesis: Genesis = decode_exact(&record.genesis)?;
        let turns = &genesis.turns;
        let is_plain = turns.clock == Clock::PerTurn
            && !matches!(genesis.absence, AbsencePolicy::Shrink { .. } | AbsencePolicy::TakeOver { .. });
        let is_full = !genesis.seats.contains(&SeatHolder::Open);
        let block: Block = decode_exact(&store.block(match_id, mark.height)?.block)?;
        let header: Header = decode_exact(&block.header)?;
        let enough = (u64::from(turns.deadline_ms) / 2).max(sleep_ms);
        let is_early = |until: &Millis| now.after(enough) <= *until && header.server_time <= now;
        let watched = store.watched_to(match_id, &genesis, mark, now)?;
        // It has still to be told what there was.
        let is_waited_for = matches!(genesis.spectators, SpectatorPolicy::Later { .. })
            && watched.as_ref().is_none_or(|watched| watched.height < mark.height);
        let may_sleep = is_plain && is_full && !is_waited_for;
        Ok(header.deadline.filter(is_early).filter(|_| may_sleep).map(|until| {
            let info = RoomInfo {
                room: record.room.to_string(),
                rules: genesis.rules.to_string(),
                phase: "playing",
                match_id: Some(match_id.to_string()),
                seats: genesis.seat_count(),
                taken: 0,
                spectators: 0,
                turn: watched.as_ref().map_or(0, |watched| watched.turn.get()),
                height: watched.as_ref().map_or(0, |watched| watched.height.get()),
                access: record.access.door.word(),
                open_seats: 0,
                listed: record.access.listed,
                wanted_again: false,
            };
            Self { match_id, until, info, place: None }
        }))
    }
}

/// The rooms that sleep, by name and by the time at which they wake.
#[derive(Debug, Default)]
pub(super) struct Sleepers {
    by_name: BTreeMap<RoomName, Sleeper>,
    alarms: BTreeSet<(Millis, RoomName)>,
}

impl Sleepers {
    pub(super) fn insert(&mut self, name: RoomName, sleeper: Sleeper) {
        self.alarms.insert((sleeper.until, name.clone()));
        self.by_name.insert(name, sleeper);
    }

    pub(super) fn remove(&mut self, name: &RoomName) -> Option<Sleeper> {
        let sleeper = self.by_name.remove(name)?;
        self.alarms.remove(&(sleeper.until, name.clone()));
        Some(sleeper)
    }

    pub(super) fn get(&self, name: &RoomName) -> Option<&Sleeper> {
        self.by_name.get(name)
    }

    /// Who wakes first, and when.
    pub(super) fn first(&self) -> Option<&(Millis, RoomName)> {
        self.alarms.first()
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// What is shown of the rooms whose names are in `range`.
    pub(super) fn range(
        &self,
        range: (Bound<&RoomName>, Bound<&RoomName>),
    ) -> impl Iterator<Item = (&RoomName, &RoomInfo)> {
        self.by_name.range::<RoomName, _>(range).map(|(name, sleeper)| (name, &sleeper.info))
    }
}
