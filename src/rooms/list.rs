//! The list of rooms, a page at a time.

use std::{
    iter,
    ops::{Bound, Deref},
};

use cadastre_protocol::RoomName;
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use tokio::sync::watch;

use super::{Open, RoomInfo, Rooms};

/// Rooms on a page, unless another number is asked for.
pub(crate) const PAGE_USUAL: usize = 50;

/// Most rooms, or matches, on a page.
pub(crate) const PAGE_MAX: usize = 200;

/// Rooms that are looked at under one lock; whoever opens or enters a room meanwhile waits no longer than that.
const LOOK_MAX: usize = 512;

/// Which rooms are wanted, and from where on.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoomQuery {
    phase: Option<PhaseWord>,
    rules: Option<String>,
    open: Option<Flag>,
    access: Option<AccessWord>,
    limit: Option<usize>,
    #[serde(default, deserialize_with = "room_name")]
    after: Option<RoomName>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum PhaseWord {
    Lobby,
    Starting,
    Playing,
    Ended,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum AccessWord {
    Open,
    Invitation,
    Password,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Flag {
    #[serde(rename = "0")]
    No,
    #[serde(rename = "1")]
    Yes,
}

/// Rooms in the order of their names.
#[derive(Debug, Serialize)]
pub(crate) struct RoomPage {
    pub(crate) rooms: Vec<RoomInfo>,
    /// What to ask for the rooms after these; `None` when there are no more.
    pub(crate) next: Option<String>,
}

impl RoomQuery {
    fn wants(&self, info: &RoomInfo) -> bool {
        let has_phase = self.phase.is_none_or(|phase| phase.word() == info.phase);
        let has_free_seat = info.phase == "lobby" && info.taken < usize::from(info.seats);
        let is_open = has_free_seat || info.open_seats > 0;
        info.listed
            && has_phase
            && self.access.is_none_or(|access| access.word() == info.access)
            && self.rules.as_deref().is_none_or(|rules| is_of_rules(&info.rules, rules))
            && self.open.is_none_or(|open| (open == Flag::Yes) == is_open)
    }
}

impl PhaseWord {
    const fn word(self) -> &'static str {
        match self {
            Self::Lobby => "lobby",
            Self::Starting => "starting",
            Self::Playing => "playing",
            Self::Ended => "ended",
        }
    }
}

impl AccessWord {
    const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Invitation => "invitation",
            Self::Password => "password",
        }
    }
}

impl Rooms {
    /// How many rooms there are.
    pub(crate) fn count(&self) -> usize {
        let open = self.lock();
        open.rooms.len() + open.asleep.len()
    }

    /// A page of the list.
    pub(crate) fn page(&self, query: &RoomQuery) -> RoomPage {
        page_of(|| self.lock(), query)
    }
}

impl Open {
    /// The rooms whose names come after `after`, in their order.
    fn after<'a>(&'a self, after: Option<&RoomName>) -> impl Iterator<Item = (&'a RoomName, Shown<'a>)> {
        let range = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let mut awake = self.rooms.range::<RoomName, _>(range).peekable();
        let mut asleep = self.asleep.range(range).peekable();
        iter::from_fn(move || match (awake.peek(), asleep.peek()) {
            (Some((one, _)), Some((other, _))) if one < other => next_shown(&mut awake),
            (Some(_), None) => next_shown(&mut awake),
            (Some(_) | None, _) => asleep.next().map(|(name, info)| (name, Shown::Asleep(info))),
        })
    }
}

fn next_shown<'a>(
    awake: &mut impl Iterator<Item = (&'a RoomName, &'a super::RoomHandle)>,
) -> Option<(&'a RoomName, Shown<'a>)> {
    awake.next().map(|(name, room)| (name, Shown::Awake(room.info.borrow())))
}

/// What is shown of a room, where it is.
enum Shown<'a> {
    Awake(watch::Ref<'a, RoomInfo>),
    Asleep(&'a RoomInfo),
}

impl Deref for Shown<'_> {
    type Target = RoomInfo;

    fn deref(&self) -> &RoomInfo {
        match self {
            Self::Awake(info) => info,
            Self::Asleep(info) => info,
        }
    }
}

/// Makes a page, and takes the lock again and again for it. Only what stands on the page is copied.
fn page_of<G: Deref<Target = Open>>(lock: impl Fn() -> G, query: &RoomQuery) -> RoomPage {
    let limit = page_limit(query.limit);
    let (mut rooms, mut after) = (Vec::new(), query.after.clone());
    // One more shows whether there are more.
    while rooms.len() <= limit {
        let open = lock();
        let mut last = None;
        for (name, info) in open.after(after.as_ref()).take(LOOK_MAX) {
            last = Some(name.clone());
            if query.wants(&info) {
                rooms.push(info.clone());
            }
            if rooms.len() > limit {
                break;
            }
        }
        if last.is_none() {
            break;
        }
        after = last;
    }
    let has_more = rooms.len() > limit;
    rooms.truncate(limit);
    let next = rooms.last().filter(|_| has_more).map(|info| info.room.clone());
    RoomPage { rooms, next }
}

/// How long a page becomes.
pub(crate) fn page_limit(asked: Option<usize>) -> usize {
    asked.unwrap_or(PAGE_USUAL).clamp(1, PAGE_MAX)
}

/// Are these rules, with or without their version, those of a name?
pub(crate) fn is_of_rules(rules: &str, name: &str) -> bool {
    rules == name || rules.split_once('/').is_some_and(|(of, _)| of == name)
}

fn room_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<RoomName>, D::Error> {
    let name = String::deserialize(deserializer)?;
    RoomName::new(&name).map(Some).ok_or_else(|| D::Error::custom("no room name"))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use cadastre_protocol::{Context, MatchId, Millis, hash};

    use super::*;
    use crate::rooms::asleep::Sleeper;

    const ROOMS: usize = 10_000;

    /// Every seventh room plays `boxes`, all others `city`.
    fn many() -> Open {
        let mut open = Open::default();
        for number in 0..ROOMS {
            let room = format!("room-{number:05}");
            let rules = if number % 7 == 0 { "boxes/1" } else { "city/1" };
            let info = RoomInfo {
                room: room.clone(),
                rules: rules.into(),
                phase: "playing",
                match_id: None,
                seats: 2,
                taken: 0,
                spectators: 0,
                turn: 1,
                height: 2,
                access: "open",
                open_seats: 0,
                listed: true,
                wanted_again: false,
            };
            let match_id = MatchId::new(hash(Context::Genesis, &[room.as_bytes()]));
            let sleeper = Sleeper { match_id, until: Millis::default(), info, place: None };
            open.asleep.insert(RoomName::new(&room).unwrap(), sleeper);
        }
        open
    }

    #[test]
    fn pages_show_every_room_once_and_in_order() {
        let open = many();
        let rules = Some("boxes".to_owned());
        let mut query = RoomQuery { rules, limit: Some(100), ..RoomQuery::default() };
        let mut seen = Vec::new();
        loop {
            let page = page_of(|| &open, &query);
            assert!(page.rooms.len() == 100 || page.next.is_none());
            seen.extend(page.rooms.into_iter().map(|info| info.room));
            let Some(next) = page.next else { break };
            query.after = RoomName::new(&next);
        }
        let expected: Vec<_> = (0..ROOMS).step_by(7).map(|number| format!("room-{number:05}")).collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn no_lock_is_held_for_long() {
        let open = many();
        let locks = Cell::new(0);
        let counted = |query: &RoomQuery| {
            locks.set(0);
            let page = page_of(
                || {
                    locks.set(locks.get() + 1);
                    &open
                },
                query,
            );
            (page.rooms.len(), locks.get())
        };
        assert_eq!(counted(&RoomQuery::default()), (PAGE_USUAL, 1), "one look is enough for the first page");
        let nowhere = RoomQuery { rules: Some("chess".into()), ..RoomQuery::default() };
        assert_eq!(counted(&nowhere), (0, ROOMS.div_ceil(LOOK_MAX) + 1));
        let whole = RoomQuery { limit: Some(usize::MAX), ..RoomQuery::default() };
        assert_eq!(counted(&whole).0, PAGE_MAX);
    }
}
