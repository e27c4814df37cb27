//! A player's town in numbers: what it owns, earns, pays and scores.
//!
//! `docs/games.md`, "City: budget and score".

use bincode::{Decode, Encode};
use cadastre_protocol::Wire;

use crate::difference::{Field, Form};

use super::{
    command::TAX_MAX,
    tile::{Kind, Tile, Zone},
};

/// A chunk for each player.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct Player {
    /// In coins; below 0 the town is bankrupt: nothing can be bought and nobody comes.
    pub(super) treasury: i64,
    /// In per cent, up to [`TAX_MAX`].
    pub(super) tax: u8,
    /// Place of the town hall.
    pub(super) hall: (u16, u16),
    pub(super) holdings: Holdings,
    /// Coins that the last turn brought.
    pub(super) income: i64,
    /// Coins that the last turn cost, commands aside.
    pub(super) upkeep: i64,
    pub(super) score: i64,
}

impl Wire for Player {
    const BYTES_MAX: usize = 8 + 1 + 4 + 7 * 4 + 3 * 8;

    fn validate(&self) -> Result<(), &'static str> {
        let coins = [self.treasury, self.income, self.upkeep];
        if self.tax <= TAX_MAX && coins.iter().all(|coins| (-COINS_MAX..=COINS_MAX).contains(coins)) {
            Ok(())
        } else {
            Err("player")
        }
    }
}

/// What stands on the map under a player's name: sums over the tiles, kept up with every change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct Holdings {
    pub(super) population: u32,
    /// People who work in commercial zones.
    pub(super) commerce: u32,
    /// People who work in industrial zones.
    pub(super) industry: u32,
    /// Tiles owned.
    pub(super) land: u32,
    /// Tiles of road, wired or not.
    pub(super) roads: u32,
    /// Tiles of power line, along roads or not.
    pub(super) lines: u32,
    pub(super) plants: u32,
}

impl Holdings {
    /// Counts `tile` in.
    pub(super) fn add(&mut self, tile: &Tile) {
        for (sum, part) in self.sums().into_iter().zip(Self::parts(tile)) {
            *sum += part;
        }
    }

    /// Takes `tile`, which was counted in, out again.
    pub(super) fn subtract(&mut self, tile: &Tile) {
        for (sum, part) in self.sums().into_iter().zip(Self::parts(tile)) {
            *sum -= part;
        }
    }

    /// Filled jobs.
    pub(super) const fn jobs(&self) -> u32 {
        self.commerce + self.industry
    }

    /// Every second resident works or looks for work.
    pub(super) const fn workers(&self) -> u32 {
        self.population / 2
    }

    fn sums(&mut self) -> [&mut u32; 7] {
        let Self { population, commerce, industry, land, roads, lines, plants } = self;
        [population, commerce, industry, land, roads, lines, plants]
    }

    fn parts(tile: &Tile) -> [u32; 7] {
        let people = |zone| if tile.kind == Kind::Zone(zone) { u32::from(tile.survey.people) } else { 0 };
        [
            people(Zone::Residential),
            people(Zone::Commercial),
            people(Zone::Industrial),
            u32::from(tile.owner.is_some()),
            u32::from(matches!(tile.kind, Kind::Road | Kind::WiredRoad)),
            u32::from(tile.kind.is_wired()),
            u32::from(tile.kind == Kind::Plant),
        ]
    }
}

impl Player {
    /// A town that was just founded, without any land yet.
    pub(super) fn new(hall: (u16, u16)) -> Self {
        Self {
            treasury: TREASURY_START,
            tax: TAX_START,
            hall,
            holdings: Holdings::default(),
            income: 0,
            upkeep: 0,
            score: 0,
        }
    }

    /// Takes in the taxes of a turn and pays for what stands.
    pub(super) fn settle(&mut self) {
        let Holdings { land, roads, lines, plants, .. } = self.holdings;
        let taxed = i64::from(self.holdings.population) + i64::from(self.holdings.jobs());
        self.income = taxed * i64::from(self.tax) / 40;
        self.upkeep = i64::from(HALL_UPKEEP + PLANT_UPKEEP * plants + roads / 4 + lines / 8 + land / 16);
        self.treasury = (self.treasury + self.income - self.upkeep).clamp(-COINS_MAX, COINS_MAX);
    }

    /// Two points a resident, one a job and a tile of land, one for every hundred coins.
    pub(super) fn count_score(&self) -> i64 {
        let Holdings { population, land, .. } = self.holdings;
        2 * i64::from(population)
            + i64::from(self.holdings.jobs())
            + i64::from(land)
            + self.treasury.max(0) / 100
    }
}

/// A player's chunk.
pub(super) const FIELDS: [Field; 14] = [
    Field::new("treasury", 0, Form::Signed(8)),
    Field::new("tax", 8, Form::Unsigned(1)),
    Field::new("column of the town hall", 9, Form::Unsigned(2)),
    Field::new("row of the town hall", 11, Form::Unsigned(2)),
    Field::new("residents", 13, Form::Unsigned(4)),
    Field::new("commercial jobs", 17, Form::Unsigned(4)),
    Field::new("industrial jobs", 21, Form::Unsigned(4)),
    Field::new("land", 25, Form::Unsigned(4)),
    Field::new("roads", 29, Form::Unsigned(4)),
    Field::new("power lines", 33, Form::Unsigned(4)),
    Field::new("power plants", 37, Form::Unsigned(4)),
    Field::new("income", 41, Form::Signed(8)),
    Field::new("upkeep", 49, Form::Signed(8)),
    Field::new("score", 57, Form::Signed(8)),
];

const TREASURY_START: i64 = 6_000;
const TAX_START: u8 = 9;

/// More than any treasury comes to; keeps sums of untrusted numbers in range.
const COINS_MAX: i64 = 1_000_000_000_000_000;

/// Coins a turn.
const HALL_UPKEEP: u32 = 5;
const PLANT_UPKEEP: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn town(holdings: Holdings) -> Player {
        Player { holdings, ..Player::new((9, 9)) }
    }

    #[test]
    fn a_turn_is_settled_by_the_formula() {
        let holdings = Holdings {
            population: 1_000,
            commerce: 100,
            industry: 350,
            land: 500,
            roads: 121,
            lines: 45,
            plants: 2,
        };
        let mut player = town(holdings);
        player.settle();
        assert_eq!(player.income, (1_000 + 450) * 9 / 40);
        assert_eq!(player.upkeep, 5 + 40 + 30 + 5 + 31);
        assert_eq!(player.treasury, TREASURY_START + player.income - player.upkeep);
        assert_eq!(player.count_score(), 2_000 + 450 + 500 + player.treasury / 100);
    }

    #[test]
    fn debts_do_not_lower_the_score_and_do_not_overflow() {
        let mut player = town(Holdings { roads: u32::MAX / 8, ..Holdings::default() });
        player.treasury = -COINS_MAX;
        player.settle();
        assert_eq!(player.treasury, -COINS_MAX);
        assert_eq!(player.count_score(), 0);
    }
}
