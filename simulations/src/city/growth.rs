//! Why people come to a zone and leave it again.
//!
//! `docs/games.md`, "City: growth".

use super::{
    budget::Player,
    chance::Market,
    map::{Map, Place},
    network::Grid,
    tile::{Kind, PEOPLE_MAX, Reason, Survey, Terrain, Tile, Zone},
};

/// How far a zone's surroundings reach, in tiles.
const REACH: u16 = 3;

/// What matters to a zone within [`REACH`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Surroundings {
    /// 0 to 100.
    pollution: u8,
    /// Tiles of water and of trees.
    green: u32,
    residents: u32,
}

impl Surroundings {
    pub(super) fn of(map: &Map, place: Place) -> Self {
        let (mut smoke, mut green, mut residents) = (0, 0, 0);
        // Sums without branches, in a fold: this is where most of a turn's time goes.
        map.around(place, REACH).for_each(|(distance, tile)| {
            let is = |kind| u32::from(tile.kind == kind);
            let people = u32::from(tile.survey.people);
            let source = is(Kind::Plant) * PLANT_SMOKE + is(Kind::Zone(Zone::Industrial)) * (people / 8);
            smoke += u32::from(REACH + 1 - distance) * source;
            green += u32::from((tile.terrain == Terrain::Water) | (tile.trees > 0));
            residents += is(Kind::Zone(Zone::Residential)) * people;
        });
        // In steps, so that a few people more do not change every zone around them.
        Self { pollution: percent(smoke.into()) / 5 * 5, green, residents: residents / 16 * 16 }
    }
}

/// Surveys a zone of `player`'s town that is connected to `grid`: the first reason in the order below decides,
/// and people come or go.
pub(super) fn survey(
    tile: &Tile,
    zone: Zone,
    player: &Player,
    grid: Grid,
    around: Surroundings,
    times: Market,
) -> Survey {
    let Appeal { appeal, lack } = Appeal::of(zone, player.tax, around);
    let people = tile.survey.people;
    let capacity = appeal * 2 / 5;
    let vacancy = vacancy(zone, player);
    let (reason, people) = if !tile.survey.connected {
        (Reason::NoRoad, people.saturating_sub(LEAVING_FAST))
    } else if !tile.survey.powered {
        (Reason::NoPower, people.saturating_sub(LEAVING_FAST))
    } else if player.treasury < 0 {
        (Reason::Bankrupt, people.saturating_sub(LEAVING))
    } else if grid.demand > grid.supply {
        (Reason::Overload, people.saturating_sub(LEAVING))
    } else if people > capacity {
        (lack, people.saturating_sub(LEAVING).max(capacity))
    } else if vacancy <= 0 {
        let many_too_many = -vacancy > i64::from(market(zone, player)) / 8;
        (market_reason(zone, player), if many_too_many { people.saturating_sub(LEAVING) } else { people })
    } else if people == capacity {
        (if capacity == PEOPLE_MAX { Reason::Full } else { lack }, people)
    } else if grid.demand == grid.supply {
        (Reason::Overload, people)
    } else {
        let limits = [i64::from(capacity - people), vacancy, i64::from(grid.supply - grid.demand)];
        let want = (i64::from(2 + appeal / 12) + i64::from(times.settlers)).max(1);
        let coming = limits.into_iter().fold(want, i64::min);
        (Reason::Growing, people + u8::try_from(coming).expect("1 to 13"))
    };
    Survey { people, reason, pollution: around.pollution, appeal, ..tile.survey }
}

/// How attractive a place is, and what it lacks most.
struct Appeal {
    appeal: u8,
    lack: Reason,
}

impl Appeal {
    fn of(zone: Zone, tax: u8, around: Surroundings) -> Self {
        let tax_beyond_usual = i64::from(tax) - TAX_USUAL;
        let smoke = i64::from(around.pollution);
        let (best, smoke, tax, plain) = match zone {
            Zone::Residential => (100, smoke, 3 * tax_beyond_usual, 25 - i64::from(around.green.min(25))),
            Zone::Commercial => {
                (100, smoke / 2, 3 * tax_beyond_usual, 60 - i64::from(around.residents.min(240)) / 4)
            }
            Zone::Industrial => (90, 0, 2 * tax_beyond_usual, 0),
        };
        let lack = if smoke > 0 && smoke >= tax && smoke >= plain {
            Reason::Polluted
        } else if tax > 0 && tax >= plain {
            Reason::Taxed
        } else {
            Reason::Plain
        };
        Self { appeal: percent(best - smoke - tax - plain), lack }
    }
}

/// How many more people the town's market could take in such zones; below 0 are too many.
fn vacancy(zone: Zone, player: &Player) -> i64 {
    let town = &player.holdings;
    let [population, commerce, jobs, workers] =
        [town.population, town.commerce, town.jobs(), town.workers()].map(i64::from);
    match zone {
        Zone::Residential => 2 * (jobs + HALL_JOBS) - population,
        Zone::Commercial => (workers - jobs).min(population / CUSTOMERS - commerce),
        Zone::Industrial => workers - jobs,
    }
}

/// How many people such zones hold in the whole town.
fn market(zone: Zone, player: &Player) -> u32 {
    match zone {
        Zone::Residential => player.holdings.population,
        Zone::Commercial => player.holdings.commerce,
        Zone::Industrial => player.holdings.industry,
    }
}

fn market_reason(zone: Zone, player: &Player) -> Reason {
    let town = &player.holdings;
    match zone {
        Zone::Residential => Reason::NoJobs,
        Zone::Commercial if i64::from(town.population) / CUSTOMERS <= i64::from(town.commerce) => {
            Reason::NoCustomers
        }
        Zone::Commercial | Zone::Industrial => Reason::NoWorkers,
    }
}

fn percent(number: i64) -> u8 {
    u8::try_from(number.clamp(0, 100)).expect("0 to 100")
}

/// Smoke of a power plant, where a full industrial zone has 5, for each tile nearer than out of reach.
const PLANT_SMOKE: u32 = 8;

/// Tax in per cent that nobody minds.
const TAX_USUAL: i64 = 7;

/// Jobs at the town hall; the first settlers come for them.
const HALL_JOBS: i64 = 30;

/// Residents that a commercial job takes.
const CUSTOMERS: i64 = 6;

/// People who leave a zone at a survey.
const LEAVING: u8 = 2;
const LEAVING_FAST: u8 = 4;

#[cfg(test)]
mod tests {
    use cadastre_protocol::Seat;

    use super::*;
    use crate::city::budget::Holdings;

    const GRID: Grid = Grid { supply: 600, demand: 100 };
    const CALM: Surroundings = Surroundings { pollution: 0, green: 5, residents: 120 };

    fn tile(zone: Zone, people: u8) -> Tile {
        let survey = Survey { powered: true, connected: true, people, ..Survey::NEW };
        let (terrain, kind) = (Terrain::Land, Kind::Zone(zone));
        Tile { terrain, height: 0, trees: 0, owner: Seat::new(0), kind, since: 0, survey }
    }

    fn town(population: u32, commerce: u32, industry: u32) -> Player {
        let holdings = Holdings { population, commerce, industry, ..Holdings::default() };
        Player { holdings, tax: 7, ..Player::new((0, 0)) }
    }

    fn outcome(tile: &Tile, player: &Player, grid: Grid, around: Surroundings) -> (Reason, u8) {
        let zone = tile.kind.zone().unwrap();
        let survey = survey(tile, zone, player, grid, around, Market::START);
        (survey.reason, survey.people)
    }

    #[test]
    fn settlers_come_for_the_jobs_at_the_hall() {
        let home = tile(Zone::Residential, 0);
        // Appeal 80: eight come, and at most 32 would live there.
        assert_eq!(outcome(&home, &town(0, 0, 0), GRID, CALM), (Reason::Growing, 8));
        assert_eq!(outcome(&home, &town(58, 0, 0), GRID, CALM), (Reason::Growing, 2));
        assert_eq!(outcome(&home, &town(60, 0, 0), GRID, CALM), (Reason::NoJobs, 0));
        assert_eq!(outcome(&tile(Zone::Residential, 32), &town(32, 0, 0), GRID, CALM), (Reason::Plain, 32));
    }

    #[test]
    fn workplaces_want_workers_and_shops_want_customers_too() {
        assert_eq!(outcome(&tile(Zone::Industrial, 0), &town(60, 0, 0), GRID, CALM), (Reason::Growing, 9));
        assert_eq!(
            outcome(&tile(Zone::Industrial, 30), &town(60, 0, 30), GRID, CALM),
            (Reason::NoWorkers, 30)
        );
        assert_eq!(outcome(&tile(Zone::Commercial, 0), &town(90, 0, 45), GRID, CALM), (Reason::NoWorkers, 0));
        assert_eq!(outcome(&tile(Zone::Commercial, 0), &town(60, 0, 0), GRID, CALM), (Reason::Growing, 7));
        assert_eq!(
            outcome(&tile(Zone::Commercial, 9), &town(60, 10, 0), GRID, CALM),
            (Reason::NoCustomers, 9)
        );
    }

    #[test]
    fn the_first_reason_decides() {
        let player = Player { treasury: -1, ..town(100, 0, 0) };
        let overloaded = Grid { supply: 10, demand: 11 };
        let mut home = tile(Zone::Residential, 40);
        (home.survey.connected, home.survey.powered) = (false, false);
        assert_eq!(outcome(&home, &player, overloaded, CALM), (Reason::NoRoad, 36));
        home.survey.connected = true;
        assert_eq!(outcome(&home, &player, overloaded, CALM), (Reason::NoPower, 36));
        home.survey.powered = true;
        assert_eq!(outcome(&home, &player, overloaded, CALM), (Reason::Bankrupt, 38));
        assert_eq!(outcome(&home, &town(100, 0, 0), overloaded, CALM), (Reason::Overload, 38));
        let smoky = Surroundings { pollution: 50, ..CALM };
        assert_eq!(outcome(&home, &town(100, 0, 0), GRID, smoky), (Reason::Polluted, 38));
        let dear = Player { tax: 20, ..town(100, 0, 0) };
        assert_eq!(outcome(&home, &dear, GRID, CALM), (Reason::Taxed, 38));
        assert_eq!(outcome(&tile(Zone::Residential, 20), &town(100, 0, 0), GRID, CALM), (Reason::NoJobs, 18));
    }

    #[test]
    fn growth_takes_no_more_power_than_there_is() {
        let home = tile(Zone::Residential, 0);
        assert_eq!(outcome(&home, &town(0, 0, 0), Grid { supply: 9, demand: 6 }, CALM), (Reason::Growing, 3));
        assert_eq!(
            outcome(&home, &town(0, 0, 0), Grid { supply: 9, demand: 9 }, CALM),
            (Reason::Overload, 0)
        );
    }

    #[test]
    fn in_some_times_more_people_want_to_move_than_in_others() {
        let (home, town) = (tile(Zone::Residential, 0), town(0, 0, 0));
        let coming = |settlers| {
            let market = Market { settlers, ..Market::START };
            survey(&home, Zone::Residential, &town, GRID, CALM, market).people
        };
        assert_eq!([-3, 0, 3].map(coming), [5, 8, 11]);
    }

    #[test]
    fn the_best_place_fills_up() {
        let idyll = Surroundings { green: 30, ..CALM };
        assert_eq!(
            outcome(&tile(Zone::Residential, 38), &town(38, 0, 0), GRID, idyll),
            (Reason::Growing, 40)
        );
        assert_eq!(outcome(&tile(Zone::Residential, 40), &town(40, 0, 0), GRID, idyll), (Reason::Full, 40));
    }
}
