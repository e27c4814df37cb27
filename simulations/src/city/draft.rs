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
    pub(super) fn new(map: &'a Map, seat: Seat, player: &Player, turn: u32) -> Self {
        Self { map, seat, turn, player: player.clone(), changed: BTreeMap::new() }
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
            Ok((Tile { kind, trees: 0, survey, since: turn, ..*tile }, price + i64::from(tile.trees) * FELLING_PRICE))
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
        Kind::Hall | Kind::Road | Kind::Line | Kind::WiredRoad | Kind::Plant | Kind::Zone(_) => Err(BUILT_UPON),
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
        Kind::Hall | Kind::Road | Kind::Line | Kind::WiredRoad | Kind::Plant | Kind::Zone(_) => Err(BUILT_UPON),
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
