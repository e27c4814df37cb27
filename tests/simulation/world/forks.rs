//! Matches that go on from a turn of another one, in a room of their own.

use std::collections::BTreeMap;

use cadastre::store::Store;
use cadastre_client::Config;
use cadastre_protocol::{
    Access, ForkPoint, Genesis, Height, MatchId, RandomnessMode, SeatHolder, TakebackPolicy, Turn,
    decode_exact,
};

use super::{World, client::of_room};
use crate::{
    plan::{Entry, Plan, spec},
    server::store_on,
};

impl World {
    /// The players of a match, running or over, want to go on from one of its turns. Gives whether there is such a match.
    pub(super) fn fork(&mut self) -> bool {
        let store = store_on(&self.disk);
        let points: Vec<_> = store
            .matches()
            .filter_map(|entry| {
                let (match_id, record) = entry.unwrap();
                let genesis: Genesis = decode_exact(&record.genesis).unwrap();
                Some((match_id, turns_of(&store, match_id, &genesis)?, genesis))
            })
            .collect();
        if points.is_empty() {
            return false;
        }
        let index = usize::try_from(self.random.within(0..points.len() as u64)).unwrap();
        let (match_id, turns, genesis) = &points[index];
        let turn = Turn::new(u32::try_from(self.random.within(0..u64::from(*turns))).unwrap());
        let spec = spec(self.random.within(0..1_000));
        let mut plan = Plan {
            spec: cadastre_protocol::RoomSpec {
                fork: Some(ForkPoint { match_id: *match_id, turn }),
                seats: genesis.seat_count(),
                turns_max: Some(6),
                randomness: RandomnessMode::None,
                access: Access::PUBLIC,
                ..spec
            },
            entry: Entry::Open,
            matches: 1,
            is_slow: false,
        };
        plan.spec.seats_min = plan.spec.seats;
        let room = u8::try_from(self.rooms.len()).unwrap();
        let players: BTreeMap<_, _> = self
            .clients
            .iter()
            .map(|client| {
                let identity = &client.config.identity;
                (*identity.public().as_bytes(), identity.clone())
            })
            .collect();
        let mut holders = genesis.seats.iter().filter_map(|holder| match holder {
            SeatHolder::Player(identity) => players.get(identity.as_bytes()).cloned(),
            SeatHolder::Open => None,
        });
        self.rooms.insert(super::client::name_of(room), plan.matches);
        for config in of_room(room, &plan) {
            let identity = match config.open {
                // For a seat that was open nobody is expected.
                Some(_) => holders.next().unwrap_or_else(|| config.identity.clone()),
                None => config.identity.clone(),
            };
            self.add(Config { identity, ..config });
        }
        true
    }
}

/// How many turns of a match can be gone on from, if that stays so: those before the last one that was played, unless they
/// can be taken back.
fn turns_of(store: &Store, match_id: MatchId, genesis: &Genesis) -> Option<u32> {
    let mark = store.mark(match_id).unwrap()?;
    let may_change = genesis.takebacks != TakebackPolicy::Never && !mark.sealed;
    let head = store.block(match_id, Height::new(mark.height.get())).unwrap().read().unwrap();
    let turns = head.block().header().turn.get();
    (turns > 0 && !may_change).then_some(turns)
}
