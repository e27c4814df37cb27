//! What nobody can foresee: fires, what building costs, and how many people want to move.
//!
//! `docs/games.md`, "City: chance".

use bincode::{Decode, Encode};

use super::{
    random::Random,
    tile::{Reason, Survey, Tile},
};

/// What holds for all towns alike in the next turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct Market {
    /// What land and buildings cost, in per cent of the usual.
    pub(super) prices: u8,
    /// How many people more, or fewer, come to a zone that grows.
    pub(super) settlers: i8,
}

impl Market {
    pub(super) const START: Self = Self { prices: 100, settlers: 0 };

    /// Can it have come to this?
    pub(super) fn is_possible(self) -> bool {
        (PRICES_MIN..=PRICES_MAX).contains(&self.prices) && self.settlers.unsigned_abs() <= SETTLERS_MAX
    }

    /// Prices go up or down by 3 at most, the settlers by 1.
    pub(super) fn step(&mut self, random: &mut Random) {
        let up = u8::try_from(random.below(7)).expect("0 to 6");
        self.prices = (self.prices + up - 3).clamp(PRICES_MIN, PRICES_MAX);
        let most = SETTLERS_MAX.cast_signed();
        self.settlers = match random.below(3) {
            0 => self.settlers - 1,
            1 => self.settlers,
            _ => self.settlers + 1,
        }
        .clamp(-most, most);
    }
}

/// Does a fire break out in a zone with people? The more of them, the likelier; and four times as likely without
/// power or road.
pub(super) fn breaks_out(tile: &Tile, random: &mut Random) -> bool {
    let Survey { powered, connected, people, .. } = tile.survey;
    let risk = u32::from(people) * if powered && connected { 1 } else { 4 };
    risk > 0 && random.below(OUTBREAK_ODDS) < risk
}

/// Does a tile beside a fire catch it? Only zones with people can burn, and the fire brigade comes by road.
pub(super) fn catches(tile: &Tile, random: &mut Random) -> bool {
    let people = u32::from(tile.survey.people);
    let odds = if tile.survey.connected { SPREAD_ODDS_BY_ROAD } else { SPREAD_ODDS };
    people > 0 && random.below(odds) < people
}

/// A zone after a fire: half of the people are left where the fire brigade came, else none.
pub(super) const fn burnt(tile: &Tile) -> Survey {
    let people = if tile.survey.connected { tile.survey.people / 2 } else { 0 };
    Survey { people, reason: Reason::Burnt, ..tile.survey }
}

const PRICES_MIN: u8 = 80;
const PRICES_MAX: u8 = 125;
const SETTLERS_MAX: u8 = 3;

/// One in so many, for each person.
const OUTBREAK_ODDS: u32 = 8_192;
const SPREAD_ODDS: u32 = 64;
const SPREAD_ODDS_BY_ROAD: u32 = 320;

#[cfg(test)]
mod tests {
    use cadastre_protocol::{Digest, Seat};

    use super::*;
    use crate::city::tile::{Kind, Terrain, Zone};

    fn home(people: u8, connected: bool) -> Tile {
        let survey = Survey { powered: true, connected, people, ..Survey::NEW };
        let (terrain, kind) = (Terrain::Land, Kind::Zone(Zone::Residential));
        Tile { terrain, height: 0, trees: 0, owner: Seat::new(0), kind, since: 0, survey }
    }

    fn count(times: u32, mut happens: impl FnMut(&mut Random) -> bool) -> u32 {
        let mut random = Random::new(Digest::new([5; 32]));
        (0..times).map(|_| u32::from(happens(&mut random))).sum()
    }

    #[test]
    fn fires_are_rarer_with_roads_and_few_people() {
        let outbreaks = |tile: Tile| count(100_000, |random| breaks_out(&tile, random));
        assert_eq!(outbreaks(home(0, true)), 0);
        assert!((80..170).contains(&outbreaks(home(10, true))), "one in 819");
        assert!((400..580).contains(&outbreaks(home(40, true))), "one in 205");
        assert!((1_800..2_100).contains(&outbreaks(home(40, false))), "one in 51");
        let spreads = |tile: Tile| count(10_000, |random| catches(&tile, random));
        assert_eq!(spreads(home(0, false)), 0);
        assert!((1_100..1_400).contains(&spreads(home(40, true))), "one in eight");
        assert!((6_000..6_500).contains(&spreads(home(40, false))), "five in eight");
    }

    #[test]
    fn the_fire_brigade_comes_by_road() {
        assert_eq!((burnt(&home(31, true)).people, burnt(&home(31, false)).people), (15, 0));
        assert_eq!(burnt(&home(31, true)).reason, Reason::Burnt);
    }

    #[test]
    fn the_market_stays_in_bounds_and_reaches_them() {
        let mut random = Random::new(Digest::new([6; 32]));
        let mut market = Market::START;
        let (mut prices, mut settlers) = (Vec::new(), Vec::new());
        for _ in 0..5_000 {
            let before = market;
            market.step(&mut random);
            assert!(market.is_possible());
            assert!(market.prices.abs_diff(before.prices) <= 3);
            assert!(market.settlers.abs_diff(before.settlers) <= 1);
            prices.push(market.prices);
            settlers.push(market.settlers);
        }
        assert_eq!((prices.iter().min(), prices.iter().max()), (Some(&80), Some(&125)));
        assert_eq!((settlers.iter().min(), settlers.iter().max()), (Some(&-3), Some(&3)));
    }
}
