//! One parcel of land and its sixteen bytes.
//!
//! `docs/games.md`, "City: tiles".

use bincode::{Decode, Encode};
use cadastre_protocol::Seat;

use crate::difference::{Field, Form};

/// Bytes of a tile in a chunk.
pub(super) const TILE_BYTES: usize = 16;

/// Most people who live or work on a tile.
pub(super) const PEOPLE_MAX: u8 = 40;

/// A parcel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tile {
    pub(super) terrain: Terrain,
    pub(super) height: u8,
    /// 0 to 3, none to dense.
    pub(super) trees: u8,
    pub(super) owner: Option<Seat>,
    pub(super) kind: Kind,
    /// The turn in which owner or kind changed last.
    pub(super) since: u32,
    /// What the last survey of a zone found; all zero on any other tile.
    pub(super) survey: Survey,
}

/// What makes a zone grow, as it was when the zone was last surveyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Survey {
    /// Is a power plant on the same grid?
    pub(super) powered: bool,
    /// Does a road lead from here to the town hall?
    pub(super) connected: bool,
    /// Residents of a residential zone, workers of the others, up to [`PEOPLE_MAX`].
    pub(super) people: u8,
    pub(super) reason: Reason,
    /// 0 to 100.
    pub(super) pollution: u8,
    /// 0 to 100; two fifths of it are the most people who would come.
    pub(super) appeal: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Terrain {
    Land,
    Water,
}

/// What stands on a parcel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Nothing,
    Hall,
    Road,
    Line,
    /// A road with a power line along it.
    WiredRoad,
    Plant,
    Zone(Zone),
}

/// What a parcel is meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) enum Zone {
    Residential,
    Commercial,
    Industrial,
}

/// Why a zone grows or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    /// Not a zone.
    None,
    New,
    Growing,
    Full,
    NoRoad,
    NoPower,
    Overload,
    Bankrupt,
    Polluted,
    Taxed,
    Plain,
    NoJobs,
    NoWorkers,
    NoCustomers,
    Burnt,
}

impl Tile {
    /// `seats` is how many seats the match has and `turn` the current turn: an owner or a date beyond them is
    /// refused, as is every contradiction within the tile.
    pub(super) fn from_bytes(bytes: &[u8; TILE_BYTES], seats: u8, turn: u32) -> Option<Self> {
        let [terrain, height, trees, owner, kind, flags, people, reason, pollution, appeal, 0, 0, since @ ..] =
            *bytes
        else {
            return None;
        };
        let owner = match owner.checked_sub(1) {
            None => None,
            Some(index) => Some(Seat::new(index)?),
        };
        let tile = Self {
            terrain: *TERRAINS.get(usize::from(terrain))?,
            height,
            trees,
            owner,
            kind: *KINDS.get(usize::from(kind))?,
            since: u32::from_le_bytes(since),
            survey: Survey {
                powered: flags & POWERED != 0,
                connected: flags & CONNECTED != 0,
                people,
                reason: *REASONS.get(usize::from(reason))?,
                pollution,
                appeal,
            },
        };
        let in_range = flags <= POWERED | CONNECTED
            && owner.is_none_or(|seat| seat.get() < seats)
            && trees <= TREES_MAX
            && tile.since <= turn
            && people <= PEOPLE_MAX
            && pollution <= 100
            && appeal <= 100;
        (in_range && tile.is_consistent()).then_some(tile)
    }

    pub(super) fn to_bytes(self) -> [u8; TILE_BYTES] {
        let Survey { powered, connected, people, reason, pollution, appeal } = self.survey;
        let flags = if powered { POWERED } else { 0 } | if connected { CONNECTED } else { 0 };
        let owner = self.owner.map_or(0, |seat| seat.get() + 1);
        let [a, b, c, d] = self.since.to_le_bytes();
        let (terrain, kind, reason) = (self.terrain.code(), self.kind.code(), reason.code());
        [
            terrain,
            self.height,
            self.trees,
            owner,
            kind,
            flags,
            people,
            reason,
            pollution,
            appeal,
            0,
            0,
            a,
            b,
            c,
            d,
        ]
    }

    fn is_consistent(&self) -> bool {
        let bare = self.kind == Kind::Nothing;
        let dry = self.terrain == Terrain::Land || (bare && self.owner.is_none() && self.trees == 0);
        let built = bare || (self.owner.is_some() && self.trees == 0);
        let surveyed = match self.kind.zone() {
            Some(_) => self.survey.reason != Reason::None,
            None => self.survey == Survey::NONE,
        };
        dry && built && surveyed
    }

    /// What the tile draws from the grid: 1 for a zone, and 1 for each person there.
    pub(super) fn power_demand(&self) -> u32 {
        self.kind.zone().map_or(0, |_| 1 + u32::from(self.survey.people))
    }
}

impl Survey {
    /// On a tile that is not a zone.
    pub(super) const NONE: Self =
        Self { powered: false, connected: false, people: 0, reason: Reason::None, pollution: 0, appeal: 0 };

    /// On a fresh zone.
    pub(super) const NEW: Self = Self { reason: Reason::New, ..Self::NONE };
}

impl Kind {
    pub(super) const fn zone(self) -> Option<Zone> {
        match self {
            Self::Zone(zone) => Some(zone),
            Self::Nothing | Self::Hall | Self::Road | Self::Line | Self::WiredRoad | Self::Plant => None,
        }
    }

    /// Does power pass through to the neighbours of the same owner?
    pub(super) const fn conducts(self) -> bool {
        match self {
            Self::Nothing | Self::Road => false,
            Self::Hall | Self::Line | Self::WiredRoad | Self::Plant | Self::Zone(_) => true,
        }
    }

    /// Can people pass along to the neighbours of the same owner?
    pub(super) const fn is_road(self) -> bool {
        match self {
            Self::Hall | Self::Road | Self::WiredRoad => true,
            Self::Nothing | Self::Line | Self::Plant | Self::Zone(_) => false,
        }
    }

    pub(super) const fn is_wired(self) -> bool {
        matches!(self, Self::Line | Self::WiredRoad)
    }

    const fn code(self) -> u8 {
        match self {
            Self::Nothing => 0,
            Self::Hall => 1,
            Self::Road => 2,
            Self::Line => 3,
            Self::WiredRoad => 4,
            Self::Plant => 5,
            Self::Zone(Zone::Residential) => 6,
            Self::Zone(Zone::Commercial) => 7,
            Self::Zone(Zone::Industrial) => 8,
        }
    }
}

impl Terrain {
    const fn code(self) -> u8 {
        match self {
            Self::Land => 0,
            Self::Water => 1,
        }
    }
}

impl Reason {
    /// In the words of a person who lives there.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::None => "not a zone",
            Self::New => "just laid out",
            Self::Growing => "growing",
            Self::Full => "full",
            Self::NoRoad => "no road to the town hall",
            Self::NoPower => "no power",
            Self::Overload => "the grid is overloaded",
            Self::Bankrupt => "the town is bankrupt",
            Self::Polluted => "polluted",
            Self::Taxed => "taxes are high",
            Self::Plain => "little appeal",
            Self::NoJobs => "no jobs",
            Self::NoWorkers => "no workers",
            Self::NoCustomers => "no customers",
            Self::Burnt => "a fire",
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::None => 0,
            Self::New => 1,
            Self::Growing => 2,
            Self::Full => 3,
            Self::NoRoad => 4,
            Self::NoPower => 5,
            Self::Overload => 6,
            Self::Bankrupt => 7,
            Self::Polluted => 8,
            Self::Taxed => 9,
            Self::Plain => 10,
            Self::NoJobs => 11,
            Self::NoWorkers => 12,
            Self::NoCustomers => 13,
            Self::Burnt => 14,
        }
    }
}

pub(super) const TREES_MAX: u8 = 3;

/// Bits of the flags byte.
const POWERED: u8 = 1;
const CONNECTED: u8 = 1 << 1;

/// In the order of their codes.
const TERRAINS: [Terrain; 2] = [Terrain::Land, Terrain::Water];
const KINDS: [Kind; 9] = [
    Kind::Nothing,
    Kind::Hall,
    Kind::Road,
    Kind::Line,
    Kind::WiredRoad,
    Kind::Plant,
    Kind::Zone(Zone::Residential),
    Kind::Zone(Zone::Commercial),
    Kind::Zone(Zone::Industrial),
];
const REASONS: [Reason; 15] = [
    Reason::None,
    Reason::New,
    Reason::Growing,
    Reason::Full,
    Reason::NoRoad,
    Reason::NoPower,
    Reason::Overload,
    Reason::Bankrupt,
    Reason::Polluted,
    Reason::Taxed,
    Reason::Plain,
    Reason::NoJobs,
    Reason::NoWorkers,
    Reason::NoCustomers,
    Reason::Burnt,
];

/// A tile's bytes.
pub(super) const FIELDS: [Field; 14] = [
    Field::new("terrain", 0, Form::Word(&["land", "water"])),
    Field::new("height", 1, Form::Unsigned(1)),
    Field::new("trees", 2, Form::Unsigned(1)),
    Field::new("owner", 3, Form::Owner(0xff)),
    Field::new("kind", 4, Form::Word(&KIND_WORDS)),
    Field::new("powered", 5, Form::Bits(POWERED)),
    Field::new("connected", 5, Form::Bits(CONNECTED)),
    Field::new("other flags", 5, Form::Bits(!(POWERED | CONNECTED))),
    Field::new("people", 6, Form::Unsigned(1)),
    Field::new("reason", 7, Form::Word(&REASON_WORDS)),
    Field::new("pollution", 8, Form::Unsigned(1)),
    Field::new("appeal", 9, Form::Unsigned(1)),
    Field::new("unused", 10, Form::Unsigned(2)),
    Field::new("since", 12, Form::Unsigned(4)),
];
const REASON_WORDS: [&str; REASONS.len()] = {
    let mut words = [""; REASONS.len()];
    let mut code = 0;
    while code < words.len() {
        words[code] = REASONS[code].text();
        code += 1;
    }
    words
};
const KIND_WORDS: [&str; 9] = [
    "nothing",
    "town hall",
    "road",
    "power line",
    "wired road",
    "power plant",
    "residential zone",
    "commercial zone",
    "industrial zone",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn zone() -> Tile {
        Tile {
            terrain: Terrain::Land,
            height: 130,
            trees: 0,
            owner: Seat::new(2),
            kind: Kind::Zone(Zone::Commercial),
            since: 0x0102_0304,
            survey: Survey {
                powered: true,
                connected: true,
                people: 12,
                reason: Reason::NoWorkers,
                pollution: 9,
                appeal: 80,
            },
        }
    }

    #[test]
    fn a_tile_has_these_sixteen_bytes() {
        let bytes = [0, 130, 0, 3, 7, 3, 12, 12, 9, 80, 0, 0, 4, 3, 2, 1];
        assert_eq!(zone().to_bytes(), bytes);
        assert_eq!(Tile::from_bytes(&bytes, 3, u32::MAX), Some(zone()));
        assert_eq!(std::mem::size_of::<Tile>(), TILE_BYTES);
    }

    #[test]
    fn codes_are_positions() {
        assert!(TERRAINS.iter().enumerate().all(|(at, terrain)| usize::from(terrain.code()) == at));
        assert!(KINDS.iter().enumerate().all(|(at, kind)| usize::from(kind.code()) == at));
        assert!(REASONS.iter().enumerate().all(|(at, reason)| usize::from(reason.code()) == at));
    }

    #[test]
    fn tiles_that_contradict_themselves_are_refused() {
        let good = zone().to_bytes();
        // Terrain, trees, owner, kind, flags, people, reason, pollution, appeal, zeros.
        for (at, value) in [
            (0, 1),
            (0, 2),
            (2, 1),
            (3, 0),
            (3, 4),
            (4, 0),
            (4, 5),
            (4, 9),
            (5, 4),
            (6, 41),
            (7, 0),
            (7, 15),
            (8, 101),
            (9, 101),
            (10, 1),
            (11, 1),
        ] {
            let mut bad = good;
            bad[at] = value;
            assert_eq!(Tile::from_bytes(&bad, 3, u32::MAX), None, "byte {at} = {value}");
        }
        assert_eq!(Tile::from_bytes(&good, 2, u32::MAX), None, "owner beyond the seats");
        assert_eq!(Tile::from_bytes(&good, 3, 0x0102_0303), None, "date in the future");
    }
}
