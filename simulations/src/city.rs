//! The city builder: players claim land, lay out zones, and keep towns supplied so that people come.
//!
//! `docs/games.md`, "City".

mod bot;
mod budget;
mod chance;
mod command;
mod draft;
mod growth;
mod map;
mod network;
mod picture;
mod random;
mod terrain;
mod tile;

use std::{collections::BTreeSet, sync::OnceLock};

use bincode::{Decode, Encode};
use cadastre_protocol::{
    ChunkId, Digest, Orders, Seat, SeatSet, Setup, Standing, TurnOrders, Wire, decode_exact, encode,
};

use crate::{
    difference::{Field, Form, Subject},
    picture::Picture,
    simulation::{Refusal, Rules, SetupError, Simulation, Snapshot, Void},
};
use budget::{Holdings, Player};
use chance::Market;
use draft::{Draft, Outcome};
use growth::Surroundings;
use map::{CHUNK_SIDE, Map, Place, chunk_count};
use network::Networks;
use random::Random;
use tile::{Kind, Survey, Tile, Zone};

/// The city builder, version 1.
pub(crate) const RULES: Rules = Rules {
    name: "city",
    version: 1,
    seats: (1, 8),
    sizes: (SIZE_MIN, 128, SIZE_MAX),
    options: |size| encode(&Options { size: size.next_multiple_of(CHUNK_SIDE) }),
    start: |setup| Ok(Box::new(City::start(setup)?)),
    restore: |setup, snapshot| Ok(Box::new(City::restore(setup, snapshot)?)),
};

/// Options of a match.
#[derive(Debug, Encode, Decode)]
struct Options {
    /// Tiles a side, a multiple of 16.
    size: u16,
}

impl Wire for Options {
    const BYTES_MAX: usize = 2;

    fn validate(&self) -> Result<(), &'static str> {
        let fits = (SIZE_MIN..=SIZE_MAX).contains(&self.size) && self.size.is_multiple_of(CHUNK_SIDE);
        if fits { Ok(()) } else { Err("size") }
    }
}

/// Chunk 0.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Globals {
    size: u16,
    seats: u8,
    /// Turns executed.
    turn: u32,
    market: Market,
}

impl Wire for Globals {
    const BYTES_MAX: usize = 9;

    fn validate(&self) -> Result<(), &'static str> {
        if self.market.is_possible() { Ok(()) } else { Err("market") }
    }
}

/// A match of the city builder.
#[derive(Debug)]
struct City {
    globals: Globals,
    players: Vec<Player>,
    map: Map,
    /// Derived from the map when they are first asked for, and followed up from then on, as far as that goes.
    networks: OnceLock<Networks>,
    /// Derived from the map: zones in each chunk of tiles.
    zones: Vec<u16>,
    dirty: BTreeSet<ChunkId>,
}

impl City {
    fn start(setup: &Setup) -> Result<Self, SetupError> {
        let Options { size } = decode_exact(&setup.options).map_err(|_| SetupError::Options)?;
        let (map, sites) = terrain::generate(setup.seed, size, setup.seats);
        let mut players: Vec<_> = sites.into_iter().map(Player::new).collect();
        for (player, holdings) in players.iter_mut().zip(count_holdings(&map)) {
            player.holdings = holdings;
            player.score = player.count_score();
        }
        Ok(Self::derive(Globals { size, seats: setup.seats, turn: 0, market: Market::START }, players, map))
    }

    /// Takes nothing on trust: whatever can be counted again is, and compared.
    fn restore(setup: &Setup, snapshot: &Snapshot) -> Result<Self, SetupError> {
        let Options { size } = decode_exact(&setup.options).map_err(|_| SetupError::Options)?;
        Self::read(size, setup.seats, snapshot).ok_or(SetupError::Snapshot)
    }

    fn read(size: u16, seats: u8, snapshot: &Snapshot) -> Option<Self> {
        if !snapshot.iter().map(|(id, _)| *id).eq(chunk_ids(size, seats)) {
            return None;
        }
        let mut chunks = snapshot.iter().map(|(_, bytes)| bytes.as_slice());
        let globals: Globals = decode_exact(chunks.next()?).ok()?;
        if (globals.size, globals.seats) != (size, seats) {
            return None;
        }
        let players =
            chunks.by_ref().take(usize::from(seats)).map(|bytes| decode_exact::<Player>(bytes).ok());
        let players: Vec<_> = players.collect::<Option<_>>()?;
        let map = Map::from_chunks(size, seats, globals.turn, &chunks.collect::<Vec<_>>())?;
        let counted = players.iter().zip(count_holdings(&map));
        let adds_up = counted
            .into_iter()
            .all(|(player, holdings)| player.holdings == holdings && player.score == player.count_score());
        (adds_up && halls_stand(&map, &players)).then(|| Self::derive(globals, players, map))
    }

    fn derive(globals: Globals, players: Vec<Player>, map: Map) -> Self {
        let zones = (0..chunk_count(globals.size)).map(|chunk| count_zones(&map, chunk)).collect();
        Self { globals, players, map, networks: OnceLock::new(), zones, dirty: BTreeSet::new() }
    }

    fn networks(&self) -> &Networks {
        self.networks.get_or_init(|| Networks::build(&self.map))
    }

    /// A draft of what `seat` can do now; `None` for a seat that the match does not have.
    fn draft(&self, seat: Seat, turn: u32) -> Option<Draft<'_>> {
        let player = self.players.get(seat.index())?;
        Some(Draft::new(&self.map, seat, player, turn, self.globals.market.prices))
    }

    fn carry_out(&mut self, orders: &[Orders<'_>]) -> Vec<Void> {
        self.globals.turn = self.globals.turn.saturating_add(1);
        self.dirty.insert(GLOBALS);
        let mut voids = Vec::new();
        for order in orders {
            let Some(mut draft) = self.draft(order.seat, self.globals.turn) else {
                voids.push(Void { seat: order.seat, command: 0, reason: NO_SUCH_SEAT });
                continue;
            };
            match command::read(&order.commands) {
                Ok(commands) => {
                    for (command, number) in commands.into_iter().zip(0..) {
                        if let Err(reason) = draft.execute(command) {
                            voids.push(Void { seat: order.seat, command: number, reason });
                        }
                    }
                }
                Err(reason) => voids.push(Void { seat: order.seat, command: 0, reason }),
            }
            let outcome = draft.finish();
            self.commit(order.seat, outcome);
        }
        voids
    }

    /// Makes a draft the state.
    fn commit(&mut self, seat: Seat, Outcome { player, changed }: Outcome) {
        self.put_player(seat, player);
        for (place, tile) in changed {
            let before = *self.map.tile(place);
            let zones = &mut self.zones[usize::from(self.map.chunk_of(place))];
            *zones = *zones + u16::from(tile.kind.zone().is_some()) - u16::from(before.kind.zone().is_some());
            self.put_tile(place, tile);
            self.follow_up(place, &before);
        }
    }

    /// Takes a change of the tile at `place` into the networks, or forgets them, when something came apart.
    fn follow_up(&mut self, place: Place, before: &Tile) {
        let Some(networks) = self.networks.get_mut() else { return };
        if !networks.change(&self.map, place, before) {
            self.networks.take();
        }
    }

    /// Surveys the power of the zones whose turn it is.
    fn survey_power(&mut self) {
        for (place, _) in self.due_zones() {
            let mut tile = *self.map.tile(place);
            tile.survey.powered = self.networks().grid(place).supply > 0;
            self.put_tile(place, tile);
        }
    }

    /// Surveys whether roads lead from the zones whose turn it is to the town hall.
    fn survey_roads(&mut self) {
        for (place, _) in self.due_zones() {
            let mut tile = *self.map.tile(place);
            let hall = tile.owner.and_then(|owner| {
                let (x, y) = self.players[owner.index()].hall;
                self.map.place(x, y)
            });
            tile.survey.connected = hall.is_some_and(|hall| self.networks().leads_to(&self.map, place, hall));
            self.put_tile(place, tile);
        }
    }

    /// Lets people come to the zones whose turn it is, or leave.
    fn grow(&mut self) {
        for (place, zone) in self.due_zones() {
            let before = *self.map.tile(place);
            let Some(owner) = before.owner else { continue };
            let player = &self.players[owner.index()];
            let around = Surroundings::of(&self.map, place);
            let survey = growth::survey(
                &before,
                zone,
                player,
                self.networks().grid(place),
                around,
                self.globals.market,
            );
            self.put_survey(place, owner, &before, survey);
        }
    }

    fn put_survey(&mut self, place: Place, owner: Seat, before: &Tile, survey: Survey) {
        let tile = Tile { survey, ..*before };
        self.put_tile(place, tile);
        if survey.people != before.survey.people {
            let holdings = &mut self.players[owner.index()].holdings;
            holdings.subtract(before);
            holdings.add(&tile);
            self.dirty.insert(player_chunk(owner));
            self.follow_up(place, before);
        }
    }

    /// What nobody can foresee: fires break out in due zones, and the market moves.
    fn take_chances(&mut self, roll: Digest) {
        let mut random = Random::new(roll);
        let mut burning: Vec<Place> = Vec::new();
        for (place, _) in self.due_zones() {
            if chance::breaks_out(self.map.tile(place), &mut random) {
                burning.push(place);
            }
        }
        let mut burnt: BTreeSet<Place> = burning.iter().copied().collect();
        while let Some(place) = burning.pop() {
            let before = *self.map.tile(place);
            let Some(owner) = before.owner else { continue };
            self.put_survey(place, owner, &before, chance::burnt(&before));
            for beside in self.map.neighbours(place) {
                let catches = !burnt.contains(&beside) && chance::catches(self.map.tile(beside), &mut random);
                if catches && burnt.insert(beside) {
                    burning.push(beside);
                }
            }
        }
        self.globals.market.step(&mut random);
        self.dirty.insert(GLOBALS);
    }

    /// The zones that are surveyed in this turn. The chunks take turns, so that few change at a time, and the
    /// tiles of a chunk come in scattered order, so that scarce jobs do not all go to one corner.
    fn due_zones(&self) -> Vec<(Place, Zone)> {
        let round = (self.globals.turn / SURVEY_TURNS).to_le_bytes()[0];
        let mut due = Vec::new();
        for (chunk, zones) in (0..).zip(&self.zones) {
            let (column, row) = self.map.chunk_position(chunk);
            if *zones > 0 && u32::from(column + 4 * row) % SURVEY_TURNS == self.globals.turn % SURVEY_TURNS {
                for step in 0..=u8::MAX {
                    let scattered = step.wrapping_mul(97).wrapping_add(round.wrapping_mul(31));
                    let place = self.map.place_in_chunk(chunk, scattered);
                    due.extend(self.map.tile(place).kind.zone().map(|zone| (place, zone)));
                }
            }
        }
        due
    }

    /// Replaces each player by what `change` makes of it.
    fn update_players(&mut self, change: impl Fn(&mut Player)) {
        for seat in Seat::first(self.globals.seats) {
            let mut player = self.players[seat.index()].clone();
            change(&mut player);
            self.put_player(seat, player);
        }
    }

    fn put_player(&mut self, seat: Seat, player: Player) {
        let place = &mut self.players[seat.index()];
        if *place != player {
            *place = player;
            self.dirty.insert(player_chunk(seat));
        }
    }

    fn replace_chunk(&mut self, id: ChunkId, bytes: &[u8]) -> Option<()> {
        let Globals { size, seats, turn, .. } = self.globals;
        match id.get() {
            0 => {
                let globals: Globals = decode_exact(bytes).ok()?;
                self.globals = Some(globals).filter(|it| (it.size, it.seats) == (size, seats))?;
            }
            player @ 1..TILES => {
                *self.players.get_mut(usize::from(player - 1))? = decode_exact(bytes).ok()?;
            }
            chunk => {
                let chunk = chunk - TILES;
                self.map.put_chunk(chunk, seats, turn, bytes)?;
                self.zones[usize::from(chunk)] = count_zones(&self.map, chunk);
                self.networks.take();
            }
        }
        Some(())
    }

    fn put_tile(&mut self, place: Place, tile: Tile) {
        if *self.map.tile(place) != tile {
            self.map.put(place, tile);
            self.dirty.insert(ChunkId::new(TILES + self.map.chunk_of(place)));
        }
    }
}

impl Simulation for City {
    fn check(&self, seat: Seat, commands: &[u8]) -> Result<(), Refusal> {
        let refuse = |command, reason| Refusal { command, reason };
        let mut draft = self.draft(seat, self.globals.turn).ok_or(refuse(0, NO_SUCH_SEAT))?;
        let commands = command::read(commands).map_err(|reason| refuse(0, reason))?;
        for (command, number) in commands.into_iter().zip(0..) {
            draft.execute(command).map_err(|reason| refuse(number, reason))?;
        }
        Ok(())
    }

    fn join(&self, first: &[u8], second: &[u8]) -> Result<Vec<u8>, &'static str> {
        command::join(first, second)
    }

    fn phases(&self) -> &'static [&'static str] {
        &["orders", "power", "roads", "growth", "chance", "budget", "score"]
    }

    fn run_phase(&mut self, phase: usize, turn: &TurnOrders<'_>) -> Vec<Void> {
        match phase {
            0 => return self.carry_out(&turn.orders),
            1 => self.survey_power(),
            2 => self.survey_roads(),
            3 => self.grow(),
            4 => self.take_chances(turn.roll),
            5 => self.update_players(Player::settle),
            _ => self.update_players(|player| player.score = player.count_score()),
        }
        Vec::new()
    }

    fn to_move(&self) -> SeatSet {
        SeatSet::first(self.globals.seats)
    }

    /// A city is never finished; matches end by their number of turns.
    fn is_over(&self) -> bool {
        false
    }

    fn standings(&self) -> Vec<Standing> {
        let scores: Vec<_> = self.players.iter().map(|player| player.score).collect();
        Standing::rank(&scores)
    }

    fn chunk_ids(&self) -> Vec<ChunkId> {
        chunk_ids(self.globals.size, self.globals.seats).collect()
    }

    fn chunk(&self, id: ChunkId) -> Option<Vec<u8>> {
        if id == GLOBALS {
            return Some(encode(&self.globals));
        }
        match id.get().checked_sub(TILES) {
            Some(chunk) => self.map.chunk_bytes(chunk),
            None => self.players.get(usize::from(id.get() - 1)).map(encode),
        }
    }

    fn put_chunk(&mut self, id: ChunkId, bytes: &[u8]) -> Result<(), SetupError> {
        self.replace_chunk(id, bytes).ok_or(SetupError::Snapshot)
    }

    fn fields(&self, id: ChunkId) -> &'static [Field] {
        match id.get() {
            0 => &GLOBALS_FIELDS,
            1..TILES => &budget::FIELDS,
            TILES.. => &tile::FIELDS,
        }
    }

    fn subject(&self, id: ChunkId, row: usize) -> Subject {
        match id.get() {
            0 => Subject::Match,
            seat @ 1..TILES => Seat::first(self.globals.seats)
                .nth(usize::from(seat - 1))
                .map_or(Subject::Chunk, Subject::Seat),
            chunk => {
                let step = u8::try_from(row).unwrap_or(u8::MAX);
                let (x, y) = self.map.position(self.map.place_in_chunk(chunk - TILES, step));
                Subject::Tile { x, y }
            }
        }
    }

    fn take_dirty(&mut self) -> Vec<ChunkId> {
        std::mem::take(&mut self.dirty).into_iter().collect()
    }

    fn suggest(&self, seat: Seat) -> Vec<u8> {
        match self.draft(seat, self.globals.turn) {
            Some(draft) => command::write(bot::commands(draft, seat, &self.map, self.networks())),
            None => Vec::new(),
        }
    }

    fn picture(&self) -> Picture {
        picture::draw(&self.map, &self.players, self.globals.market)
    }

    #[cfg(feature = "faults")]
    fn disturb(&mut self, x: u16, y: u16) -> bool {
        let Some(place) = self.map.place(x, y) else { return false };
        let tile = *self.map.tile(place);
        self.put_tile(place, Tile { height: tile.height ^ 1, ..tile });
        true
    }
}

/// Chunk 0, one for each player from 1 on, the tiles from [`TILES`] on, row by row.
fn chunk_ids(size: u16, seats: u8) -> impl Iterator<Item = ChunkId> {
    let players = 1..=u16::from(seats);
    let tiles = TILES..TILES + chunk_count(size);
    std::iter::once(0).chain(players).chain(tiles).map(ChunkId::new)
}

fn player_chunk(seat: Seat) -> ChunkId {
    ChunkId::new(1 + u16::from(seat.get()))
}

/// Zones in a chunk of tiles.
fn count_zones(map: &Map, chunk: u16) -> u16 {
    let zone = |step| map.tile(map.place_in_chunk(chunk, step)).kind.zone();
    (0..=u8::MAX).map(|step| u16::from(zone(step).is_some())).sum()
}

/// What stands under each seat's name.
fn count_holdings(map: &Map) -> [Holdings; 8] {
    let mut holdings: [Holdings; 8] = Default::default();
    for (_, tile) in map.iter() {
        if let Some(owner) = tile.owner {
            holdings[owner.index()].add(tile);
        }
    }
    holdings
}

/// Has every player the one town hall where it says it is, and are there no others?
fn halls_stand(map: &Map, players: &[Player]) -> bool {
    let stands = |(seat, player): (Seat, &Player)| {
        let place = map.place(player.hall.0, player.hall.1);
        place
            .map(|place| map.tile(place))
            .is_some_and(|tile| tile.kind == Kind::Hall && tile.owner == Some(seat))
    };
    let halls = map.iter().filter(|(_, tile)| tile.kind == Kind::Hall).count();
    halls == players.len() && Seat::first(8).zip(players).all(stands)
}

const SIZE_MIN: u16 = 64;
const SIZE_MAX: u16 = 512;
const GLOBALS: ChunkId = ChunkId::new(0);
const GLOBALS_FIELDS: [Field; 5] = [
    Field::new("size", 0, Form::Unsigned(2)),
    Field::new("seats", 2, Form::Unsigned(1)),
    Field::new("turn", 3, Form::Unsigned(4)),
    Field::new("prices", 7, Form::Unsigned(1)),
    Field::new("settlers", 8, Form::Signed(1)),
];
/// Number of the first chunk of tiles.
const TILES: u16 = 16;
/// Every zone is surveyed once in so many turns.
const SURVEY_TURNS: u32 = 8;
const NO_SUCH_SEAT: &str = "no such seat";

#[cfg(test)]
mod tests {
    use cadastre_protocol::RulesId;

    use super::*;

    fn setup() -> Setup {
        let rules = RulesId { name: "city".into(), version: 1 };
        Setup { rules, options: (RULES.options)(64), seats: 2, seed: Digest::new([1; 32]) }
    }

    fn snapshot(city: &City) -> Snapshot {
        city.chunk_ids().into_iter().map(|id| (id, city.chunk(id).unwrap())).collect()
    }

    #[test]
    fn options_round_the_size_up_to_whole_chunks() {
        assert_eq!((RULES.options)(64), [64, 0]);
        assert_eq!((RULES.options)(65), [80, 0]);
        assert_eq!((RULES.options)(512), [0, 2]);
    }

    #[test]
    fn snapshots_that_contradict_themselves_are_refused() {
        let city = City::start(&setup()).unwrap();
        let good = snapshot(&city);
        assert!(City::restore(&setup(), &good).is_ok());
        let (x, y) = city.players[0].hall;
        let hall_chunk = 3 + usize::from(y / 16 * 4 + x / 16);
        let hall_byte = 16 * usize::from(y % 16 * 16 + x % 16);
        for (chunk, byte, value, what) in [
            (0, 0, 80, "size"),
            (0, 2, 3, "seats"),
            (1, 7, 1, "treasury out of range"),
            (1, 8, 21, "tax"),
            (1, 9, 0, "hall elsewhere"),
            (1, 13, 1, "residents that live nowhere"),
            (1, 25, 80, "land"),
            (1, 57, 0, "score"),
            (hall_chunk, hall_byte + 4, 2, "no hall"),
            (hall_chunk, hall_byte + 3, 2, "a hall of another seat"),
            (hall_chunk, hall_byte + 12, 1, "built in the future"),
        ] {
            let mut bad = good.clone();
            assert_ne!(bad[chunk].1[byte], value, "{what}");
            bad[chunk].1[byte] = value;
            assert_eq!(City::restore(&setup(), &bad).unwrap_err(), SetupError::Snapshot, "{what}");
        }
    }

    #[test]
    fn every_zone_is_surveyed_once_in_eight_turns() {
        let mut city = City::start(&setup()).unwrap();
        let zone = |tile: &Tile| Tile { kind: Kind::Zone(Zone::Commercial), survey: Survey::NEW, ..*tile };
        city.map = Map::generate(64, |x, y| zone(city.map.tile(city.map.place(x, y).unwrap())));
        city.zones.fill(256);
        let mut surveyed = BTreeSet::new();
        for turn in 90..90 + SURVEY_TURNS {
            city.globals.turn = turn;
            for (place, _) in city.due_zones() {
                assert!(surveyed.insert(place), "twice");
            }
        }
        assert_eq!(surveyed.len(), 64 * 64);
    }

    #[test]
    fn a_seat_that_the_match_does_not_have_can_do_nothing() {
        let mut city = City::start(&setup()).unwrap();
        let stranger = Seat::new(5).unwrap();
        assert_eq!(city.check(stranger, &[]).unwrap_err().reason, NO_SUCH_SEAT);
        let orders = vec![Orders::new(stranger, &[])];
        let voids = city.run_phase(0, &TurnOrders { roll: Digest::ZERO, orders });
        assert_eq!(voids, [Void { seat: stranger, command: 0, reason: NO_SUCH_SEAT }]);
        assert_eq!(city.suggest(stranger), []);
    }
}
