//! A seat's commands carried out on the side: to check them, and then to commit to what came of them.

use std::collections::BTreeMap;

use cadastre_protocol::Seat;

use super::{
    budget::Player,
    command::{AREA_TILES_MAX, Area, Command, TAX_MAX},
    map::{Map, Place},
    tile::{Kind, Survey, Terrain, Tile, Zone},
};

/// The map as one seat's commands would leave it.
pub(super) struct Draft<'a> {
    map: &'a Map,
    seat: Seat,
    turn: u32,
    /// In per cent of the usual.
    prices: u8,
    player: Player,
    changed: BTreeMap<Place, Tile>,
}

/// What came of a seat's commands.
pub(super) struct Outcome {
    pub(super) player: Player,
    /// Tiles that differ from the map, by place.
    pub(super) changed: BTreeMap<Place, Tile>,
}

impl<'a> Draft<'a> {
    /// Nothing done yet. Changes will bear the date `turn`.
    pub(super) fn new(map: &'a Map, seat: Seat, player: &Player, turn: u32, prices: u8) -> Self {
        Self { map, seat, turn, prices, player: player.clone(), changed: BTreeMap::new() }
    }

    /// Carries out one command.
    ///
    /// A command over an area does what it can tile by tile and passes over the tiles where it cannot.
    ///
    /// # Errors
    ///
    /// Why the command cannot do anything, or that the treasury cannot pay for all that it would do. Nothing
    /// has changed then.
    pub(super) fn execute(&mut self, command: Command) -> Result<(), &'static str> {
        match command {
            Command::Claim { area } => self.claim(area),
            Command::Zone { area, zone } => self.build(area, |tile| zoned(tile, zone)),
            Command::Road { area } => self.build_straight(area, paved),
            Command::Line { area } => self.build_straight(area, wired),
            Command::Plant { x, y } => self.build(Area::tile(x, y), with_plant),
            Command::Bulldoze { area } => self.build(area, cleared),
            Command::SetTax { percent } => self.set_tax(percent),
        }
    }

    /// The player as the commands so far leave it.
    pub(super) const fn player(&self) -> &Player {
        &self.player
    }

    /// What the treasury is worth at the usual prices.
    pub(super) fn purse(&self) -> i64 {
        self.player.treasury * 100 / i64::from(self.prices)
    }

    /// The tile as the commands so far leave it.
    pub(super) fn tile(&self, place: Place) -> &Tile {
        self.changed.get(&place).unwrap_or_else(|| self.map.tile(place))
    }

    pub(super) fn finish(self) -> Outcome {
        Outcome { player: self.player, changed: self.changed }
    }

    fn claim(&mut self, area: Area) -> Result<(), &'static str> {
        let places = self.places(area)?;
        let owned = |place| self.tile(place).owner == Some(self.seat);
        if !places.iter().any(|place| owned(*place) || self.map.neighbours(*place).any(owned)) {
            return Err("touches no land of yours");
        }
        let price = claim_price(self.player.holdings.land);
        let (seat, turn) = (self.seat, self.turn);
        self.change(&places, |tile| match (tile.terrain, tile.owner) {
            (Terrain::Water, _) => Err("water"),
            (Terrain::Land, Some(owner)) if owner == seat => Err("your land already"),
            (Terrain::Land, Some(_)) => Err("land of another seat"),
            (Terrain::Land, None) => Ok((Tile { owner: Some(seat), since: turn, ..*tile }, price)),
        })
    }

    fn build_straight(&mut self, area: Area, rule: impl Fn(&Tile) -> Changed) -> Result<(), &'static str> {
        if area.width > 1 && area.height > 1 {
            return Err("roads and lines are one tile wide");
        }
        self.build(area, rule)
    }

    /// Changes own tiles of `area` by a rule that gives kind, trees and price.
    fn build(&mut self, area: Area, rule: impl Fn(&Tile) -> Changed) -> Result<(), &'static str> {
        let places = self.places(area)?;
        let (seat, turn) = (self.seat, self.turn);
        self.change(&places, |tile| {
            if tile.owner != Some(seat) {
                return Err("not your land");
            }
            let (kind, price) = rule(tile)?;
            let survey = kind.zone().map_or(Survey::NONE, |_| Survey::NEW);
            Ok((
                Tile { kind, trees: 0, survey, since: turn, ..*tile },
                price + i64::from(tile.trees) * FELLING_PRICE,
            ))
        })
    }

    fn set_tax(&mut self, percent: u8) -> Result<(), &'static str> {
        if percent > TAX_MAX {
            return Err("tax above 20 per cent");
        }
        self.player.tax = percent;
        Ok(())
    }

    /// Replaces those of the tiles that `rule` has a new one for, and pays.
    fn change(
        &mut self,
        places: &[Place],
        rule: impl Fn(&Tile) -> Result<(Tile, i64), &'static str>,
    ) -> Result<(), &'static str> {
        let mut replaced = Vec::new();
        let mut cost = 0;
        let mut obstacle = None;
        for &place in places {
            match rule(self.tile(place)) {
                Ok((tile, price)) => {
                    replaced.push((place, tile));
                    cost += price;
                }
                Err(reason) => obstacle = obstacle.or(Some(reason)),
            }
        }
        match obstacle {
            Some(reason) if replaced.is_empty() => return Err(reason),
            Some(_) | None => {}
        }
        let cost = cost * i64::from(self.prices) / 100;
        if cost > self.player.treasury {
            return Err("not enough money");
        }
        self.player.treasury -= cost;
        for (place, tile) in replaced {
            let before = *self.tile(place);
            if before.owner == Some(self.seat) {
                self.player.holdings.subtract(&before);
            }
            self.player.holdings.add(&tile);
            self.changed.insert(place, tile);
        }
        Ok(())
    }

    fn places(&self, area: Area) -> Result<Vec<Place>, &'static str> {
        let (width, height) = (u16::from(area.width), u16::from(area.height));
        if width * height == 0 || width.saturating_mul(height) > AREA_TILES_MAX {
            return Err("area of no or too many tiles");
        }
        let rows = (0..height).map(|row| area.y.checked_add(row));
        let places = rows.flat_map(|y| {
            (0..width).map(move |column| {
                let x = area.x.checked_add(column)?;
                self.map.place(x, y?)
            })
        });
        places.collect::<Option<_>>().ok_or("outside the map")
    }
}

/// The new kind of a tile and its price, or why not.
type Changed = Result<(Kind, i64), &'static str>;

fn zoned(tile: &Tile, zone: Zone) -> Changed {
    match tile.kind {
        Kind::Nothing => Ok((Kind::Zone(zone), ZONE_PRICE)),
        Kind::Zone(old) if old == zone => Err("such a zone already"),
        Kind::Hall | Kind::Road | Kind::Line | Kind::WiredRoad | Kind::Plant | Kind::Zone(_) => {
            Err(BUILT_UPON)
        }
    }
}

fn paved(tile: &Tile) -> Changed {
    match tile.kind {
        Kind::Nothing => Ok((Kind::Road, ROAD_PRICE)),
        Kind::Line => Ok((Kind::WiredRoad, ROAD_PRICE)),
        Kind::Road | Kind::WiredRoad => Err("a road already"),
        Kind::Hall | Kind::Plant | Kind::Zone(_) => Err(BUILT_UPON),
    }
}

fn wired(tile: &Tile) -> Changed {
    match tile.kind {
        Kind::Nothing => Ok((Kind::Line, LINE_PRICE)),
        Kind::Road => Ok((Kind::WiredRoad, LINE_PRICE)),
        Kind::Line | Kind::WiredRoad => Err("a power line already"),
        Kind::Hall | Kind::Plant | Kind::Zone(_) => Err(BUILT_UPON),
    }
}

fn with_plant(tile: &Tile) -> Changed {
    match tile.kind {
        Kind::Nothing => Ok((Kind::Plant, PLANT_PRICE)),
        Kind::Hall | Kind::Road | Kind::Line | Kind::WiredRoad | Kind::Plant | Kind::Zone(_) => {
            Err(BUILT_UPON)
        }
    }
}

fn cleared(tile: &Tile) -> Changed {
    match tile.kind {
        Kind::Nothing if tile.trees == 0 => Err("nothing to clear"),
        Kind::Hall => Err("a town hall stays"),
        Kind::Nothing | Kind::Road | Kind::Line | Kind::WiredRoad | Kind::Plant | Kind::Zone(_) => {
            Ok((Kind::Nothing, BULLDOZE_PRICE))
        }
    }
}

/// Land gets dearer with what one has, so that a large town cannot simply buy the map.
pub(super) fn claim_price(land: u32) -> i64 {
    5 + i64::from(land) / 64
}

const BUILT_UPON: &str = "built upon";

/// In coins a tile.
const ZONE_PRICE: i64 = 10;
const ROAD_PRICE: i64 = 10;
const LINE_PRICE: i64 = 5;
const PLANT_PRICE: i64 = 1_000;
const BULLDOZE_PRICE: i64 = 2;
/// For each degree of trees.
const FELLING_PRICE: i64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    const SEAT: Seat = match Seat::new(0) {
        Some(seat) => seat,
        None => unreachable!(),
    };

    /// Seat 0 owns the columns 0 to 3, seat 1 the columns 8 to 11; water is at column 6, trees are in row 2.
    fn map() -> Map {
        Map::generate(16, |x, y| {
            let owner = match x {
                0..4 => Some(SEAT),
                8..12 => Seat::new(1),
                _ => None,
            };
            let terrain = if x == 6 { Terrain::Water } else { Terrain::Land };
            let trees = if y == 2 && x != 6 { 2 } else { 0 };
            Tile { terrain, height: 0, trees, owner, kind: Kind::Nothing, since: 0, survey: Survey::NONE }
        })
    }

    fn area(x: u16, y: u16, width: u8, height: u8) -> Area {
        Area { x, y, width, height }
    }

    /// Carries out one command after others on a fresh map with a full treasury: its result and what it cost.
    fn try_after(others: &[Command], command: Command) -> (Result<(), &'static str>, i64) {
        let map = map();
        let mut draft = Draft::new(&map, SEAT, &Player::new((0, 0)), 7, 100);
        draft.player.holdings.land = 64;
        others.iter().for_each(|other| assert_eq!(draft.execute(*other), Ok(())));
        let before = draft.player.treasury;
        let result = draft.execute(command);
        (result, before - draft.player.treasury)
    }

    #[test]
    fn claims_want_free_land_that_touches_ones_own() {
        let claim = |x, width| try_after(&[], Command::Claim { area: area(x, 0, width, 1) });
        assert_eq!(claim(4, 1), (Ok(()), 6));
        assert_eq!(claim(2, 8), (Ok(()), 18), "passes over own, strange and wet tiles");
        assert_eq!(claim(5, 1), (Err("touches no land of yours"), 0));
        assert_eq!(claim(0, 4), (Err("your land already"), 0));
        assert_eq!(
            try_after(
                &[Command::Claim { area: area(4, 0, 2, 1) }],
                Command::Claim { area: Area::tile(6, 0) }
            )
            .0,
            Err("water")
        );
        let bridge = Command::Claim { area: area(4, 0, 4, 1) };
        assert_eq!(
            try_after(&[bridge], Command::Claim { area: Area::tile(8, 0) }).0,
            Err("land of another seat")
        );
    }

    #[test]
    fn buildings_want_empty_own_land_and_fell_the_trees() {
        let zone = Zone::Residential;
        let homes = |y| Command::Zone { area: area(0, y, 3, 1), zone };
        assert_eq!(try_after(&[], homes(0)), (Ok(()), 30));
        assert_eq!(try_after(&[], homes(2)), (Ok(()), 30 + 3 * 4));
        assert_eq!(try_after(&[homes(0)], homes(0)), (Err("such a zone already"), 0));
        let shops = Command::Zone { area: area(0, 0, 4, 1), zone: Zone::Commercial };
        assert_eq!(try_after(&[homes(0)], shops), (Ok(()), 10), "only the fourth tile is empty");
        assert_eq!(try_after(&[homes(0)], Command::Plant { x: 1, y: 0 }), (Err("built upon"), 0));
        assert_eq!(try_after(&[], Command::Plant { x: 4, y: 0 }), (Err("not your land"), 0));
        assert_eq!(try_after(&[], Command::Plant { x: 1, y: 0 }), (Ok(()), 1_000));
        assert_eq!(
            try_after(&[homes(0)], Command::Bulldoze { area: area(0, 0, 4, 4) }),
            (Ok(()), 6 + 8 + 4 * 4)
        );
        assert_eq!(
            try_after(&[], Command::Bulldoze { area: Area::tile(0, 0) }),
            (Err("nothing to clear"), 0)
        );
    }

    #[test]
    fn roads_and_lines_share_tiles() {
        let (row, column) = (area(0, 1, 4, 1), area(1, 0, 1, 2));
        let road = Command::Road { area: row };
        let line = Command::Line { area: column };
        assert_eq!(try_after(&[], road), (Ok(()), 40));
        assert_eq!(try_after(&[road], line), (Ok(()), 10));
        assert_eq!(try_after(&[line], road), (Ok(()), 40));
        assert_eq!(try_after(&[road], road), (Err("a road already"), 0));
        assert_eq!(try_after(&[line], line), (Err("a power line already"), 0));
        assert_eq!(
            try_after(&[], Command::Road { area: area(0, 0, 2, 2) }).0,
            Err("roads and lines are one tile wide")
        );
    }

    #[test]
    fn areas_lie_on_the_map_and_are_not_too_large() {
        let claim =
            |x, y, width, height| try_after(&[], Command::Claim { area: area(x, y, width, height) }).0;
        assert_eq!(claim(0, 0, 16, 16), Ok(()));
        assert_eq!(claim(0, 0, 0, 5), Err("area of no or too many tiles"));
        assert_eq!(claim(0, 0, 17, 16), Err("area of no or too many tiles"));
        assert_eq!(claim(0, 0, 17, 1), Err("outside the map"));
        assert_eq!(claim(u16::MAX, 0, 2, 1), Err("outside the map"));
    }

    #[test]
    fn money_must_reach_for_the_whole_command() {
        let plants: Vec<_> = (0..5).map(|y| Command::Plant { x: 0, y: y + 3 }).collect();
        let zone = |height| Command::Zone { area: area(1, 0, 3, height), zone: Zone::Industrial };
        assert_eq!(try_after(&plants, zone(16)), (Ok(()), 3 * 160 + 3 * 4));
        let all: Vec<_> = plants.into_iter().chain([Command::Plant { x: 0, y: 0 }]).collect();
        assert_eq!(try_after(&all, zone(1)), (Err("not enough money"), 0));
        assert_eq!(try_after(&all, Command::SetTax { percent: 20 }), (Ok(()), 0));
        assert_eq!(try_after(&all, Command::SetTax { percent: 21 }), (Err("tax above 20 per cent"), 0));
    }

    #[test]
    fn a_draft_leaves_the_map_alone_and_keeps_the_sums() {
        let map = map();
        let mut player = Player::new((0, 0));
        map.iter()
            .filter(|(_, tile)| tile.owner == Some(SEAT))
            .for_each(|(_, tile)| player.holdings.add(tile));
        let mut draft = Draft::new(&map, SEAT, &player, 7, 100);
        draft.execute(Command::Claim { area: area(4, 0, 2, 1) }).unwrap();
        draft.execute(Command::Road { area: area(0, 0, 6, 1) }).unwrap();
        draft.execute(Command::Line { area: area(2, 0, 1, 3) }).unwrap();
        let outcome = draft.finish();
        let holdings = outcome.player.holdings;
        assert_eq!((holdings.land, holdings.roads, holdings.lines), (66, 6, 3));
        assert_eq!(outcome.changed.len(), 8);
        assert!(outcome.changed.values().all(|tile| tile.since == 7));
    }
}
