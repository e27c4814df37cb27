//! The map as coloured cells, one a tile, and a line for each town and one for the times.

use std::collections::BTreeMap;

use cadastre_protocol::Seat;

use crate::picture::{Cell, Picture, Rgb, SEAT_COLOURS};

use super::{
    budget::Player,
    chance::Market,
    map::{Map, Place},
    tile::{Kind, PEOPLE_MAX, Reason, Terrain, Tile, Zone},
};

pub(super) fn draw(map: &Map, players: &[Player], market: Market) -> Picture {
    let cells = map.iter().map(|(place, tile)| cell(map, place, tile)).collect();
    let Market { prices, settlers } = market;
    let towns = Seat::first(8).zip(players).map(|(seat, player)| describe(map, seat, player));
    let times = format!("building costs {prices} % of the usual, settlers {settlers:+}");
    let legend = towns.chain([times]).collect();
    Picture { width: map.size(), cells, legend }
}

fn cell(map: &Map, place: Place, tile: &Tile) -> Cell {
    match tile.kind {
        Kind::Nothing => nature(map, place, tile),
        Kind::Hall => {
            Cell { glyph: '★', ink: [20, 20, 20], ground: tinted([255, 255, 255], tile.owner, 230) }
        }
        Kind::Road | Kind::WiredRoad => {
            let ink = if tile.kind.is_wired() { [226, 202, 120] } else { [186, 186, 190] };
            Cell { glyph: road_glyph(map, place), ink, ground: tinted(ASPHALT, tile.owner, 60) }
        }
        Kind::Line => Cell { glyph: '┼', ink: [226, 202, 120], ground: soil(map, place, tile) },
        Kind::Plant => Cell { glyph: '☼', ink: [255, 240, 200], ground: [168, 40, 36] },
        Kind::Zone(zone) => building(tile, zone),
    }
}

fn nature(map: &Map, place: Place, tile: &Tile) -> Cell {
    if tile.terrain == Terrain::Water {
        let depth = mix([28, 62, 112], [70, 130, 180], u32::from(tile.height));
        return Cell { glyph: '~', ink: mix(depth, [255, 255, 255], 50), ground: depth };
    }
    let ground = soil(map, place, tile);
    let (glyph, ink) = match tile.trees {
        0 => (' ', ground),
        1 => ('♣', mix(ground, [24, 84, 40], 190)),
        2 => ('♣', [30, 96, 44]),
        _ => ('♠', [18, 76, 34]),
    };
    let ground = if tile.trees > 0 { mix(ground, [40, 96, 52], 40 * u32::from(tile.trees)) } else { ground };
    Cell { glyph, ink, ground }
}

/// Land by height, lit from above left, with a breath of its owner's colour.
fn soil(map: &Map, place: Place, tile: &Tile) -> Rgb {
    let height = u32::from(tile.height).saturating_sub(60).min(160);
    let land = mix([122, 142, 92], [176, 160, 122], height * 256 / 160);
    let above = map.neighbours(place).take(2).map(|beside| map.tile(beside).height).max();
    let lit = match above.unwrap_or(tile.height).cmp(&tile.height) {
        std::cmp::Ordering::Greater => mix(land, [0, 0, 0], 26),
        std::cmp::Ordering::Equal => land,
        std::cmp::Ordering::Less => mix(land, [255, 255, 255], 26),
    };
    tinted(lit, tile.owner, 84)
}

/// The fuller the zone, the stronger its colour; what keeps it from having people at all is marked.
fn building(tile: &Tile, zone: Zone) -> Cell {
    let (empty, full, glyphs) = match zone {
        Zone::Residential => ([112, 138, 84], [42, 150, 70], ['·', '⌂', '⌂', '▟', '█']),
        Zone::Commercial => ([104, 126, 146], [40, 96, 200], ['·', '▫', '▪', '▙', '█']),
        Zone::Industrial => ([146, 134, 86], [206, 150, 30], ['·', '▱', '▰', '▚', '▓']),
    };
    let people = u32::from(tile.survey.people);
    let ground = tinted(mix(empty, full, people * 256 / u32::from(PEOPLE_MAX)), tile.owner, 30);
    let stage = usize::from(tile.survey.people.div_ceil(PEOPLE_MAX / 4));
    let (glyph, ink) = match tile.survey.reason {
        Reason::NoRoad | Reason::NoPower | Reason::Overload | Reason::Bankrupt => ('!', [230, 40, 30]),
        Reason::Burnt => ('▲', [255, 120, 20]),
        Reason::None
        | Reason::New
        | Reason::Growing
        | Reason::Full
        | Reason::Polluted
        | Reason::Taxed
        | Reason::Plain
        | Reason::NoJobs
        | Reason::NoWorkers
        | Reason::NoCustomers => (glyphs[stage], mix(ground, [255, 255, 240], 130)),
    };
    Cell { glyph, ink, ground }
}

/// A line towards each road of the same owner.
fn road_glyph(map: &Map, place: Place) -> char {
    let (x, y) = map.position(place);
    let leads = |x: Option<u16>, y: Option<u16>| {
        let beside = x.zip(y).and_then(|(x, y)| map.place(x, y)).map(|beside| map.tile(beside));
        beside.is_some_and(|tile| tile.kind.is_road() && tile.owner == map.tile(place).owner)
    };
    let up = leads(Some(x), y.checked_sub(1));
    let left = leads(x.checked_sub(1), Some(y));
    let right = leads(x.checked_add(1), Some(y));
    let down = leads(Some(x), y.checked_add(1));
    let towards = [(up, 1), (left, 2), (right, 4), (down, 8)];
    let number: usize = towards.into_iter().filter(|(leads, _)| *leads).map(|(_, bit)| bit).sum();
    ['·', '│', '─', '┘', '─', '└', '─', '┴', '│', '│', '┐', '┤', '┌', '├', '┬', '┼'][number]
}

fn describe(map: &Map, seat: Seat, player: &Player) -> String {
    let Player { treasury, tax, holdings, income, upkeep, score, .. } = player;
    let complaint =
        complaint(map, seat).map_or_else(String::new, |reason| format!(", most often: {}", reason.text()));
    format!(
        "seat {seat}: {} residents, {} jobs, {treasury} coins ({:+} a turn), tax {tax} %, score {score}{complaint}",
        holdings.population,
        holdings.jobs(),
        income - upkeep,
    )
}

/// The reason that keeps most zones of a seat from growing.
fn complaint(map: &Map, seat: Seat) -> Option<Reason> {
    let mut reasons: BTreeMap<Reason, u32> = BTreeMap::new();
    for (_, tile) in map.iter() {
        let content =
            matches!(tile.survey.reason, Reason::None | Reason::New | Reason::Growing | Reason::Full);
        if tile.owner == Some(seat) && !content {
            *reasons.entry(tile.survey.reason).or_default() += 1;
        }
    }
    reasons.into_iter().max_by_key(|(_, zones)| *zones).map(|(reason, _)| reason)
}

fn tinted(colour: Rgb, owner: Option<Seat>, share: u32) -> Rgb {
    owner.map_or(colour, |seat| mix(colour, SEAT_COLOURS[seat.index()], share))
}

/// `share`, 0 to 256, of `other` in `colour`.
fn mix(colour: Rgb, other: Rgb, share: u32) -> Rgb {
    let share = share.min(256);
    let blend = |from: u8, to: u8| {
        let sum = u32::from(from) * (256 - share) + u32::from(to) * share;
        u8::try_from(sum / 256).expect("between two bytes")
    };
    [blend(colour[0], other[0]), blend(colour[1], other[1]), blend(colour[2], other[2])]
}

const ASPHALT: Rgb = [74, 74, 80];
