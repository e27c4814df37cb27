//! The built-in player: lays out a town in blocks between streets, as fast as it can pay for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use cadastre_protocol::Seat;

use super::{
    command::{Area, Command},
    draft::{Draft, claim_price},
    map::{Map, Place},
    network::{Networks, PLANT_POWER},
    tile::{Kind, TREES_MAX, Terrain, Tile, Zone},
};

/// What `seat` would do. Every command was tried on `draft`, so all of them are legal.
pub(super) fn commands(draft: Draft<'_>, seat: Seat, map: &Map, networks: &Networks) -> Vec<Command> {
    let hall = draft.player().hall;
    let Some(hall_place) = map.place(hall.0, hall.1) else { return Vec::new() };
    let plan = Plan { hall, turned: seat.get() % 2 == 1 };
    let mut mayor = Mayor { draft, seat, map, networks, hall: hall_place, plan, commands: Vec::new() };
    mayor.set_tax();
    for _ in 0..PROJECTS_A_TURN {
        match mayor.next_project() {
            Some((project, site)) => mayor.develop(project, site),
            None => break,
        }
    }
    mayor.commands
}

/// Someone who tries things out and writes down what worked.
struct Mayor<'a> {
    draft: Draft<'a>,
    seat: Seat,
    map: &'a Map,
    networks: &'a Networks,
    hall: Place,
    plan: Plan,
    commands: Vec<Command>,
}

/// What to make of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Project {
    Homes,
    /// Shops, and homes beside them.
    Shops,
    Works,
    /// Works and a power plant.
    Power,
}

/// A block as it is, or all blocks of a town together: how many lots are what.
#[derive(Clone, Copy, Debug, Default)]
struct Block {
    homes: i64,
    shops: i64,
    works: i64,
    plants: i64,
    /// With nothing on them, the seat's own.
    own: i64,
    /// Does a road beside it lead to the town hall?
    linked: bool,
}

impl Mayor<'_> {
    /// Lets the taxes follow the treasury.
    fn set_tax(&mut self) {
        let percent = match self.draft.player().treasury {
            ..=300 => 12,
            301..=4_000 => 9,
            4_001..=20_000 => 7,
            _ => 5,
        };
        if percent != self.draft.player().tax {
            self.attempt(Command::SetTax { percent });
        }
    }

    /// What to build and where, if anything is needed and can be paid for.
    fn next_project(&self) -> Option<(Project, Site)> {
        let player = self.draft.player();
        let block_price = TILES_OF_BLOCK * claim_price(player.holdings.land) + BUILDINGS_PRICE;
        let to_spend = self.draft.purse() - 10 * player.upkeep.max(0) - block_price;
        if to_spend < 0 {
            return None;
        }
        let blocks: BTreeMap<_, _> = Site::all().filter_map(|site| Some((site, self.block(site)?))).collect();
        let project = self.needed(&blocks, to_spend)?;
        let suits = |site: Site, block: &Block| match project {
            Project::Power if block.plants < PLANT_LOTS && block.works > 0 => block.own > 0,
            Project::Homes | Project::Shops | Project::Works | Project::Power => {
                block.linked && !block.is_built() && self.lots_in_reach(site) >= LOTS_MIN
            }
        };
        let sites = blocks.iter().filter(|(site, block)| suits(**site, block)).map(|(site, _)| *site);
        let best = sites.min_by_key(|site| (site.cost_of(project, &blocks), *site))?;
        Some((project, best))
    }

    /// What the town wants most, if it can have it for the price of a block and `to_spend` coins.
    fn needed(&self, blocks: &BTreeMap<Site, Block>, to_spend: i64) -> Option<Project> {
        let player = self.draft.player();
        let grid = self.networks.grid(self.hall);
        let short_of_power = u64::from(grid.demand) * 5 >= u64::from(grid.supply) * 4;
        // Plants that were built this turn or stand elsewhere are not on the grid.
        let enough_plants = player.holdings.plants > grid.supply / PLANT_POWER;
        if short_of_power && !enough_plants {
            return (to_spend >= PLANT_PRICE).then_some(Project::Power);
        }
        let mut town = Block::default();
        for block in blocks.values() {
            town.homes += block.homes;
            town.shops += block.shops;
            town.works += block.works;
        }
        let people = i64::from(player.holdings.population + player.holdings.jobs());
        let filled = people * 2 >= (town.homes + town.shops + town.works) * PEOPLE_EXPECTED;
        let young = town.homes + town.works < 6 * LOTS;
        if !(filled || young) {
            return None;
        }
        // Six homes want two works and one shop.
        let shares = [
            (Project::Homes, town.homes),
            (Project::Works, 3 * town.works),
            (Project::Shops, 6 * town.shops),
        ];
        shares.into_iter().min_by_key(|(_, share)| *share).map(|(project, _)| project)
    }

    /// Takes the block at `site` and builds on it, as far as its roads lead to the town hall.
    fn develop(&mut self, project: Project, site: Site) {
        let (u, v) = site.corner();
        self.attempt_over((u, v), (BLOCK_WIDTH + 1, BLOCK_HEIGHT + 1), |area| Command::Claim { area });
        let streets = [v, v + BLOCK_HEIGHT].map(|street| ((u, street), (BLOCK_WIDTH + 1, 1)));
        let avenues = [u, u + BLOCK_WIDTH].map(|avenue| ((avenue, v), (1, BLOCK_HEIGHT + 1)));
        for (corner, extent) in streets.into_iter().chain(avenues) {
            self.attempt_over(corner, extent, |area| Command::Road { area });
            self.attempt_over(corner, extent, |area| Command::Line { area });
        }
        let linked = self.in_reach(site, |tile| tile.kind.is_road() && tile.owner == Some(self.seat));
        let left = 1..BLOCK_WIDTH / 2 + 1;
        let right = BLOCK_WIDTH / 2 + 1..BLOCK_WIDTH;
        let works = PLANT_COLUMNS + 1..BLOCK_WIDTH;
        let parts = match project {
            Project::Homes => vec![(1..BLOCK_WIDTH, Zone::Residential)],
            Project::Shops => vec![(left, Zone::Commercial), (right, Zone::Residential)],
            Project::Works | Project::Power => vec![(works, Zone::Industrial)],
        };
        if project == Project::Power {
            let lot = site.lots().find_map(|lot| self.plan.position(lot).filter(|at| self.is_free(*at)));
            if let Some((x, y)) = lot {
                self.attempt(Command::Plant { x, y });
            }
        }
        for row in v + 1..v + BLOCK_HEIGHT {
            for (columns, zone) in &parts {
                self.lay_out(*zone, u + columns.start..u + columns.end, row, &linked);
            }
        }
    }

    /// How many lots could be built upon and have a road if the block were developed.
    fn lots_in_reach(&self, site: Site) -> usize {
        let streets = self.in_reach(site, |tile| {
            let open = tile.owner.is_none() && tile.terrain == Terrain::Land;
            open || (tile.owner == Some(self.seat) && (tile.kind == Kind::Nothing || tile.kind.is_road()))
        });
        let buildable = |lot: &(i32, i32)| {
            self.place(*lot).is_some_and(|place| {
                let tile = self.draft.tile(place);
                let free =
                    tile.terrain == Terrain::Land && tile.trees < TREES_MAX && tile.kind == Kind::Nothing;
                free && tile.owner.is_none_or(|owner| owner == self.seat) && self.is_beside(place, &streets)
            })
        };
        site.lots().filter(buildable).count()
    }

    /// The places around a block that satisfy `passable` and that such places lead to from a road that leads to
    /// the town hall.
    fn in_reach(&self, site: Site, passable: impl Fn(&Tile) -> bool) -> BTreeSet<Place> {
        let around = site.rim().filter_map(|at| self.place(at));
        let around: BTreeSet<_> = around.filter(|place| passable(self.draft.tile(*place))).collect();
        let mut next: Vec<_> = around.iter().copied().filter(|place| self.is_linked(*place)).collect();
        let mut reached = BTreeSet::new();
        while let Some(place) = next.pop() {
            if reached.insert(place) {
                next.extend(self.map.neighbours(place).filter(|beside| around.contains(beside)));
            }
        }
        reached
    }

    /// Makes zones of those lots of a row that have a road; among homes the dense woods stay.
    fn lay_out(&mut self, zone: Zone, columns: Range<i32>, row: i32, linked: &BTreeSet<Place>) {
        let mut start = columns.start;
        for column in columns.start..=columns.end {
            if column < columns.end && self.suits(zone, (column, row), linked) {
                continue;
            }
            if column > start {
                self.attempt_over((start, row), (column - start, 1), |area| Command::Zone { area, zone });
            }
            start = column + 1;
        }
    }

    fn suits(&self, zone: Zone, lot: (i32, i32), linked: &BTreeSet<Place>) -> bool {
        let Some(place) = self.place(lot) else { return false };
        let wood = zone == Zone::Residential && self.draft.tile(place).trees == TREES_MAX;
        !wood && self.is_beside(place, linked)
    }

    fn is_beside(&self, place: Place, others: &BTreeSet<Place>) -> bool {
        self.map.neighbours(place).any(|beside| others.contains(&beside))
    }

    fn attempt_over(&mut self, corner: (i32, i32), extent: (i32, i32), command: impl Fn(Area) -> Command) {
        if let Some(area) = self.plan.area(corner, extent) {
            self.attempt(command(area));
        }
    }

    fn attempt(&mut self, command: Command) {
        if self.draft.execute(command).is_ok() {
            self.commands.push(command);
        }
    }

    /// `None` when the block is not wholly on the map.
    fn block(&self, site: Site) -> Option<Block> {
        let mut block = Block::default();
        for at in site.rim() {
            block.linked |= self.is_linked(self.place(at)?);
        }
        for lot in site.lots() {
            let tile = self.draft.tile(self.place(lot)?);
            if tile.owner == Some(self.seat) {
                match tile.kind {
                    Kind::Zone(Zone::Residential) => block.homes += 1,
                    Kind::Zone(Zone::Commercial) => block.shops += 1,
                    Kind::Zone(Zone::Industrial) => block.works += 1,
                    Kind::Plant => block.plants += 1,
                    Kind::Nothing => block.own += 1,
                    Kind::Hall | Kind::Road | Kind::Line | Kind::WiredRoad => {}
                }
            }
        }
        Some(block)
    }

    /// Did a road of the seat's own, or its hall, at `place` lead to the town hall when the turn began?
    fn is_linked(&self, place: Place) -> bool {
        let tile = self.map.tile(place);
        tile.owner == Some(self.seat) && tile.kind.is_road() && self.networks.are_linked(place, self.hall)
    }

    fn is_free(&self, (x, y): (u16, u16)) -> bool {
        self.map
            .place(x, y)
            .map(|place| self.draft.tile(place))
            .is_some_and(|tile| tile.owner == Some(self.seat) && tile.kind == Kind::Nothing)
    }

    fn place(&self, at: (i32, i32)) -> Option<Place> {
        let (x, y) = self.plan.position(at)?;
        self.map.place(x, y)
    }
}

impl Block {
    const fn is_built(&self) -> bool {
        self.homes + self.shops + self.works + self.plants > 0
    }
}

/// Streets and avenues that cross at the town hall. The plan counts from there: across the avenues, then
/// along them; in the towns of odd seats avenues run from left to right.
struct Plan {
    hall: (u16, u16),
    turned: bool,
}

impl Plan {
    /// Where on the map; `None` left of it or above. Right and below are for the map to say.
    fn position(&self, (u, v): (i32, i32)) -> Option<(u16, u16)> {
        let (right, down) = if self.turned { (v, u) } else { (u, v) };
        let shift = |from: u16, by: i32| u16::try_from(i32::from(from) + by).ok();
        shift(self.hall.0, right).zip(shift(self.hall.1, down))
    }

    fn area(&self, corner: (i32, i32), (across, along): (i32, i32)) -> Option<Area> {
        let (x, y) = self.position(corner)?;
        let (width, height) = if self.turned { (along, across) } else { (across, along) };
        Some(Area { x, y, width: u8::try_from(width).ok()?, height: u8::try_from(height).ok()? })
    }
}

/// A block by its number across the avenues and along them; the town hall stands at the corner of (0, 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Site {
    across: i32,
    along: i32,
}

impl Site {
    /// All sites that a town would ever reach.
    fn all() -> impl Iterator<Item = Self> {
        (-REACH_ACROSS..REACH_ACROSS)
            .flat_map(|across| (-REACH_ALONG..REACH_ALONG).map(move |along| Self { across, along }))
    }

    /// The crossing of street and avenue before its first lot.
    const fn corner(self) -> (i32, i32) {
        (self.across * BLOCK_WIDTH, self.along * BLOCK_HEIGHT)
    }

    fn lots(self) -> impl Iterator<Item = (i32, i32)> {
        let (u, v) = self.corner();
        (1..BLOCK_HEIGHT).flat_map(move |row| (1..BLOCK_WIDTH).map(move |column| (u + column, v + row)))
    }

    /// The streets and avenues around it.
    fn rim(self) -> impl Iterator<Item = (i32, i32)> {
        let (u, v) = self.corner();
        let inside = |at: (i32, i32)| at.0 > 0 && at.0 < BLOCK_WIDTH && at.1 > 0 && at.1 < BLOCK_HEIGHT;
        let all = (0..=BLOCK_HEIGHT).flat_map(|row| (0..=BLOCK_WIDTH).map(move |column| (column, row)));
        all.filter(move |at| !inside(*at)).map(move |(column, row)| (u + column, v + row))
    }

    const fn moved(self, (across, along): (i32, i32)) -> Self {
        Self { across: self.across + across, along: self.along + along }
    }

    /// Smaller is better: near the hall, works together and away from homes.
    fn cost_of(self, project: Project, blocks: &BTreeMap<Self, Block>) -> i64 {
        let (u, v) = self.corner();
        let distance = (2 * u + BLOCK_WIDTH).pow(2) + (2 * v + BLOCK_HEIGHT).pow(2);
        let (mut homes, mut shops, mut works) = (0, 0, 0);
        for along in -2..=2 {
            for across in -1..=1 {
                if let Some(block) = blocks.get(&self.moved((across, along))) {
                    homes += block.homes;
                    shops += block.shops;
                    works += block.works;
                }
            }
        }
        let company = match project {
            Project::Homes => 10 * works,
            Project::Shops => 4 * works + 8 * shops - homes,
            Project::Works | Project::Power => 6 * homes - 8 * works,
        };
        i64::from(distance) / 16 + company
    }
}

/// From one avenue to the next, and from one street to the next, in tiles.
const BLOCK_WIDTH: i32 = 7;
const BLOCK_HEIGHT: i32 = 3;
const LOTS: i64 = 12;
/// With the roads around it.
const TILES_OF_BLOCK: i64 = 32;

/// Lots of a block of works that are kept for power plants: those next to its first avenue.
const PLANT_COLUMNS: i32 = 1;
const PLANT_LOTS: i64 = 2;

const PROJECTS_A_TURN: u32 = 2;

/// Fewest lots for which a block is worth its roads.
const LOTS_MIN: usize = 5;

/// Blocks that a town reaches from its hall.
const REACH_ACROSS: i32 = 7;
const REACH_ALONG: i32 = 16;

/// What a block costs beside its land, and a plant, or a little more.
const BUILDINGS_PRICE: i64 = 400;
const PLANT_PRICE: i64 = 1_100;

/// On a zone that has had its time.
const PEOPLE_EXPECTED: i64 = 26;
