//! Which tiles hang together: power grids, and the roads that lead to the town halls.
//!
//! Derived from the map alone. Tiles join others of the same owner only, to the four sides. A power grid is
//! made of town hall, lines, wired roads, plants and zones, zones without people too; plain roads do not
//! conduct. People get about on roads, wired or not, and through the town hall.

use std::collections::BTreeMap;

use super::{
    map::{Map, Place},
    tile::{Kind, Tile},
};

/// Power that a plant gives, in the unit of [`Tile::power_demand`].
pub(super) const PLANT_POWER: u32 = 1_000;

/// Both networks of all players.
#[derive(Clone, Debug)]
pub(super) struct Networks {
    power: Sets,
    /// Supply and demand of each grid, by the place that stands for it. Grids without either are left out.
    grids: BTreeMap<u32, Grid>,
    roads: Sets,
}

/// What the plants of a power grid give and its zones draw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Grid {
    pub(super) supply: u32,
    pub(super) demand: u32,
}

impl Networks {
    pub(super) fn build(map: &Map) -> Self {
        let tiles = usize::from(map.size()).pow(2);
        let mut networks = Self { power: Sets::new(tiles), grids: BTreeMap::new(), roads: Sets::new(tiles) };
        for (place, tile) in map.iter() {
            if tile.kind != Kind::Nothing {
                networks.join(map, place);
            }
        }
        networks
    }

    /// Takes in a change of the tile at `place` from `before` to what `map` has there now. `false` when
    /// something came apart: then only [`Networks::build`] can tell what still hangs together.
    pub(super) fn change(&mut self, map: &Map, place: Place, before: &Tile) -> bool {
        let after = map.tile(place);
        if before.kind == after.kind && before.owner == after.owner {
            self.redraw(place, before, after);
            return true;
        }
        let kept = (!before.kind.conducts() || after.kind.conducts())
            && (!before.kind.is_road() || after.kind.is_road());
        if kept && before.kind.zone().is_none() && before.kind != Kind::Plant {
            self.join(map, place);
            return true;
        }
        false
    }

    /// The power grid that the tile at `place` is part of.
    pub(super) fn grid(&self, place: Place) -> Grid {
        self.grids.get(&self.power.find(place)).copied().unwrap_or_default()
    }

    /// Do roads lead from one to the other of two tiles that are both roads of one owner, or its town hall?
    pub(super) fn are_linked(&self, a: Place, b: Place) -> bool {
        self.roads.find(a) == self.roads.find(b)
    }

    /// Do roads lead from the zone at `place` to the town hall at `hall`?
    pub(super) fn leads_to(&self, map: &Map, place: Place, hall: Place) -> bool {
        let owner = map.tile(place).owner;
        map.neighbours(place).any(|beside| {
            let tile = map.tile(beside);
            tile.kind.is_road() && tile.owner == owner && self.are_linked(beside, hall)
        })
    }

    /// Joins the tile at `place` with those of its neighbours that were joined before or will be.
    fn join(&mut self, map: &Map, place: Place) {
        let tile = map.tile(place);
        let alike = |belongs: fn(Kind) -> bool| {
            let neighbours = map.neighbours(place).filter(move |beside| {
                let other = map.tile(*beside);
                other.owner == tile.owner && belongs(other.kind)
            });
            belongs(tile.kind).then_some(neighbours).into_iter().flatten()
        };
        for beside in alike(Kind::is_road) {
            self.roads.unite(place, beside);
        }
        for beside in alike(Kind::conducts) {
            if let Some((kept, gone)) = self.power.unite(place, beside) {
                let merged = self.grids.remove(&gone).unwrap_or_default();
                self.add(kept, merged);
            }
        }
        let supply = if tile.kind == Kind::Plant { PLANT_POWER } else { 0 };
        self.add(self.power.find(place), Grid { supply, demand: tile.power_demand() });
    }

    fn redraw(&mut self, place: Place, before: &Tile, after: &Tile) {
        let (less, more) = (before.power_demand(), after.power_demand());
        if less != more {
            let grid = self.grids.entry(self.power.find(place)).or_default();
            grid.demand = grid.demand - less + more;
        }
    }

    fn add(&mut self, root: u32, part: Grid) {
        if part != Grid::default() {
            let grid = self.grids.entry(root).or_default();
            grid.supply += part.supply;
            grid.demand += part.demand;
        }
    }
}

/// Disjoint sets of places, each standing for itself at first.
#[derive(Clone, Debug)]
struct Sets {
    parents: Vec<u32>,
}

impl Sets {
    fn new(places: usize) -> Self {
        Self { parents: (0..).take(places).collect() }
    }

    /// The place that stands for the set of `place`.
    fn find(&self, place: Place) -> u32 {
        let mut at = self.parents[place.index()];
        while self.parents[at as usize] != at {
            at = self.parents[at as usize];
        }
        at
    }

    /// Unites the sets of two places: the one that now stands for both and the one that no longer does.
    /// `None` when they were one set.
    fn unite(&mut self, a: Place, b: Place) -> Option<(u32, u32)> {
        let (a, b) = (self.shorten(a), self.shorten(b));
        if a == b {
            return None;
        }
        let (kept, gone) = (a.min(b), a.max(b));
        self.parents[gone as usize] = kept;
        Some((kept, gone))
    }

    /// Finds, and lets every place on the way skip its parent.
    fn shorten(&mut self, place: Place) -> u32 {
        let mut at = self.parents[place.index()];
        while self.parents[at as usize] != at {
            let next = self.parents[self.parents[at as usize] as usize];
            self.parents[at as usize] = next;
            at = next;
        }
        self.parents[place.index()] = at;
        at
    }
}

#[cfg(test)]
mod tests {
    use cadastre_protocol::Seat;

    use super::*;
    use crate::city::tile::{Survey, Terrain, Zone};

    /// A map of 16 × 16 tiles whose first row looks like `row`: `H`all, `=` road, `-` line, `#` wired road,
    /// `P`lant, `z`one with ten people, all of seat 0; `o` is a wired road of seat 1.
    fn map(row: &str) -> Map {
        let kinds: Vec<_> = row.chars().collect();
        Map::generate(16, |x, y| {
            let mark = if y == 0 { kinds.get(usize::from(x)).copied().unwrap_or(' ') } else { ' ' };
            let kind = match mark {
                'H' => Kind::Hall,
                '=' => Kind::Road,
                '-' => Kind::Line,
                '#' | 'o' => Kind::WiredRoad,
                'P' => Kind::Plant,
                'z' => Kind::Zone(Zone::Residential),
                _ => Kind::Nothing,
            };
            let survey = kind.zone().map_or(Survey::NONE, |_| Survey { people: 10, ..Survey::NEW });
            let owner = Seat::new(u8::from(mark == 'o'));
            Tile { terrain: Terrain::Land, height: 0, trees: 0, owner, kind, since: 0, survey }
        })
    }

    fn place(map: &Map, x: u16) -> Place {
        map.place(x, 0).unwrap()
    }

    #[test]
    fn power_passes_through_all_but_plain_roads_and_strangers() {
        for (row, powered) in [
            ("P-z", true),
            ("P#z", true),
            ("PHz", true),
            ("Pzz", true),
            ("P=z", false),
            ("P z", false),
            ("Poz", false),
        ] {
            let map = map(row);
            let grid = Networks::build(&map).grid(place(&map, 2));
            assert_eq!(grid.supply > 0, powered, "{row}");
            assert!(grid.demand >= 11, "{row}");
        }
    }

    #[test]
    fn plants_and_zones_of_a_grid_add_up() {
        let map = map("zP-Pz  Pz");
        let networks = Networks::build(&map);
        assert_eq!(networks.grid(place(&map, 2)), Grid { supply: 2 * PLANT_POWER, demand: 22 });
        assert_eq!(networks.grid(place(&map, 8)), Grid { supply: PLANT_POWER, demand: 11 });
        assert_eq!(networks.grid(place(&map, 6)), Grid::default());
    }

    #[test]
    fn roads_lead_to_the_hall_through_roads_of_the_same_seat_only() {
        for (row, leads) in
            [("H=z", true), ("H#z", true), ("H-z", false), ("Hoz", false), ("H z", false), (" Hz", true)]
        {
            let map = map(row);
            let hall = place(&map, u16::from(row.starts_with(' ')));
            assert_eq!(Networks::build(&map).leads_to(&map, place(&map, 2), hall), leads, "{row}");
        }
    }

    #[test]
    fn what_is_added_joins_and_what_is_taken_away_must_be_built_anew() {
        for (before, after, joins) in [
            ("P z", "P-z", true),
            ("H =", "H==", true),
            ("z=P", "z#P", true),
            ("H-=", "H#=", true),
            ("Pz", "Pzz", true),
            ("P-z", "P z", false),
            ("P#z", "P=z", false),
            ("H#z", "H-z", false),
            ("P-", "  -", false),
        ] {
            let (old, new) = (map(before), map(after));
            let mut networks = Networks::build(&old);
            let mut moving = old.clone();
            let mut joined = true;
            for (place, tile) in new.iter().filter(|(place, tile)| old.tile(*place) != *tile) {
                moving.put(place, *tile);
                joined &= networks.change(&moving, place, old.tile(place));
            }
            assert_eq!(joined, joins, "{before:?} to {after:?}");
            let built = Networks::build(&new);
            for x in 0..if joins { 3 } else { 0 } {
                assert_eq!(
                    networks.grid(place(&new, x)),
                    built.grid(place(&new, x)),
                    "{before:?} to {after:?}"
                );
                let linked = |networks: &Networks| networks.are_linked(place(&new, 0), place(&new, x));
                assert_eq!(linked(&networks), linked(&built), "{before:?} to {after:?}");
            }
        }
    }
}
