//! The land before anybody came: heights, water, trees, and a site for each seat.

use cadastre_protocol::{Digest, Seat};

use super::{
    map::Map,
    random::{Noise, Random},
    tile::{Kind, Survey, TREES_MAX, Terrain, Tile},
};

/// Tiles that a founding claim reaches from the town hall in each direction.
pub(super) const FOUNDING_REACH: u16 = 4;

/// Generates the map and the places of the town halls, by seat.
///
/// Sites lie at equal distances along a square around the middle, so no seat is nearer to its neighbours than
/// another; the land is raised around them, so that every seed gives each seat room to build.
pub(super) fn generate(seed: Digest, size: u16, seats: u8) -> (Map, Vec<(u16, u16)>) {
    let mut random = Random::new(seed);
    let sites = sites(&mut random, size, seats);
    let scale = (u32::from(size) / 4).clamp(16, 48);
    let land = Land {
        heights: Noise::new(&mut random, scale, 4),
        rivers: Noise::new(&mut random, 2 * scale, 3),
        fords: Noise::new(&mut random, scale / 2, 1),
        woods: Noise::new(&mut random, scale / 2, 3),
        sites: sites.clone(),
    };
    let sea = land.sea_level(size);
    (Map::generate(size, |x, y| land.tile(sea, x, y)), sites)
}

/// Equally far apart along a square, from a random point of it, dealt to the seats at random.
fn sites(random: &mut Random, size: u16, seats: u8) -> Vec<(u16, u16)> {
    let (size, seats) = (u32::from(size), u32::from(seats));
    let start = size * 3 / 16;
    let side = size - 2 * start;
    let first = random.below(4 * side);
    let mut sites: Vec<_> = (0..seats)
        .map(|site| {
            let way = (first + site * 4 * side / seats) % (4 * side);
            let step = way % side;
            let (x, y) = match way / side {
                0 => (step, 0),
                1 => (side, step),
                2 => (side - step, side),
                _ => (0, side - step),
            };
            let narrow = |number| u16::try_from(start + number).expect("below the size, a u16");
            (narrow(x), narrow(y))
        })
        .collect();
    random.shuffle(&mut sites);
    sites
}

struct Land {
    heights: Noise,
    rivers: Noise,
    fords: Noise,
    woods: Noise,
    sites: Vec<(u16, u16)>,
}

impl Land {
    fn tile(&self, sea: u8, x: u16, y: u16) -> Tile {
        let height = self.height(x, y);
        let distance = self.distance_squared(x, y);
        let wet = distance > DRY_REACH * DRY_REACH && (height < sea || self.is_river(x, y));
        let terrain = if wet { Terrain::Water } else { Terrain::Land };
        let trees = if wet || distance <= CLEARING_REACH * CLEARING_REACH { 0 } else { self.trees(x, y) };
        let reach = u32::from(FOUNDING_REACH);
        let claimant = Seat::first(8).zip(&self.sites).find(|(_, site)| {
            let across = u32::from(site.0.abs_diff(x));
            let down = u32::from(site.1.abs_diff(y));
            across.max(down) <= reach
        });
        let kind = match claimant {
            Some((_, site)) if *site == (x, y) => Kind::Hall,
            Some(_) | None => Kind::Nothing,
        };
        let owner = claimant.map(|(seat, _)| seat);
        Tile {
            terrain,
            height: height.max(if wet { 0 } else { sea }),
            trees,
            owner,
            kind,
            since: 0,
            survey: Survey::NONE,
        }
    }

    /// Highest at the sites, so that lakes keep away from them.
    fn height(&self, x: u16, y: u16) -> u8 {
        let raised = RAISED_REACH.pow(2).saturating_sub(self.distance_squared(x, y)) / 6;
        u8::try_from((self.heights.at(x, y) >> 8) + raised).unwrap_or(u8::MAX)
    }

    /// The height below which a seventh of the map lies, or a little less.
    fn sea_level(&self, size: u16) -> u8 {
        let mut tiles_at = [0_u32; 256];
        for y in 0..size {
            for x in 0..size {
                tiles_at[usize::from(self.height(x, y))] += 1;
            }
        }
        let mut left = u32::from(size).pow(2) / 7;
        let mut sea = 0;
        for tiles in tiles_at {
            match left.checked_sub(tiles) {
                Some(rest) if sea < u8::MAX => (left, sea) = (rest, sea + 1),
                Some(_) | None => break,
            }
        }
        sea
    }

    /// Along one level line of a noise, with a ford here and there.
    fn is_river(&self, x: u16, y: u16) -> bool {
        self.rivers.at(x, y).abs_diff(32_768) < 650 && self.fords.at(x, y) < 37_000
    }

    fn trees(&self, x: u16, y: u16) -> u8 {
        let above = self.woods.at(x, y).saturating_sub(36_000);
        u8::try_from(above.div_ceil(4_000)).map_or(TREES_MAX, |trees| trees.min(TREES_MAX))
    }

    fn distance_squared(&self, x: u16, y: u16) -> u32 {
        let from =
            |site: &(u16, u16)| u32::from(site.0.abs_diff(x)).pow(2) + u32::from(site.1.abs_diff(y)).pow(2);
        self.sites.iter().map(from).min().unwrap_or(u32::MAX)
    }
}

/// Around a site: no tree, no water, and raised land, in tiles. The dry land holds the founding claim.
const CLEARING_REACH: u32 = 3;
const DRY_REACH: u32 = 8;
const RAISED_REACH: u32 = 22;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seat_has_room_whatever_the_seed() {
        for seed in 0..20 {
            for (size, seats) in [(64, 8), (64, 4), (80, 5), (96, 1)] {
                let (map, sites) = generate(Digest::new([seed; 32]), size, seats);
                assert_eq!(sites.len(), usize::from(seats));
                for &site in &sites {
                    let claimed = map.around(map.place(site.0, site.1).unwrap(), FOUNDING_REACH);
                    assert!(claimed.into_iter().all(|(_, tile)| tile.owner.is_some()));
                    let room = land_around(&map, site);
                    assert!(room >= 300, "seed {seed}, size {size}, seats {seats}: {room} tiles");
                }
            }
        }
    }

    #[test]
    fn sites_keep_their_distance() {
        for seed in 0..=255 {
            let sites = sites(&mut Random::new(Digest::new([seed; 32])), 64, 8);
            for (n, a) in sites.iter().enumerate() {
                for b in &sites[..n] {
                    let distance = a.0.abs_diff(b.0).max(a.1.abs_diff(b.1));
                    assert!(distance >= 10, "seed {seed}: {a:?} and {b:?}");
                }
            }
        }
    }

    #[test]
    fn a_map_has_water_and_woods_and_mostly_land() {
        for seed in 0..8 {
            let (map, _) = generate(Digest::new([seed; 32]), 128, 4);
            let water = map.iter().filter(|(_, tile)| tile.terrain == Terrain::Water).count();
            let woods = map.iter().filter(|(_, tile)| tile.trees > 0).count();
            assert!((1_500..4_500).contains(&water), "seed {seed}: {water} tiles of water");
            assert!(woods > 1_500, "seed {seed}: {woods} tiles of trees");
        }
    }

    /// Land that can be walked to from `site` without going further than 12 tiles away.
    fn land_around(map: &Map, site: (u16, u16)) -> usize {
        let mut reached = std::collections::BTreeSet::new();
        let mut next = vec![map.place(site.0, site.1).unwrap()];
        while let Some(place) = next.pop() {
            let (x, y) = map.position(place);
            let near = x.abs_diff(site.0).max(y.abs_diff(site.1)) <= 12;
            if near && map.tile(place).terrain == Terrain::Land && reached.insert(place) {
                next.extend(map.neighbours(place));
            }
        }
        reached.len()
    }
}
