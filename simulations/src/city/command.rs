//! What a player can order, and its bytes.
//!
//! `docs/games.md`, "City: commands".

use bincode::{Decode, Encode};
use cadastre_protocol::{COMMANDS_BYTES_MAX, Wire, decode_exact, encode};

use super::tile::Zone;

/// Most commands in a list.
pub(super) const COMMANDS_MAX: usize = 256;

/// Most tiles that one command covers.
pub(super) const AREA_TILES_MAX: u16 = 256;

/// Most tiles that all commands of a list cover together: a bound on the work that a player can ask for.
const LIST_TILES_MAX: u32 = 8_192;

/// Highest tax, in per cent.
pub(super) const TAX_MAX: u8 = 20;

/// One order. What it costs and when it is legal: [`super::draft::Draft::execute`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) enum Command {
    /// Buys the free land of an area that touches own land.
    Claim { area: Area },
    /// Lays out empty own land as a zone.
    Zone { area: Area, zone: Zone },
    /// Builds a straight road.
    Road { area: Area },
    /// Builds a straight power line, also along or across roads.
    Line { area: Area },
    /// Builds a power plant.
    Plant { x: u16, y: u16 },
    /// Clears own land of buildings and trees.
    Bulldoze { area: Area },
    /// Sets the tax, in per cent, 0 to [`TAX_MAX`].
    SetTax { percent: u8 },
}

impl Command {
    fn tiles(&self) -> u32 {
        match self {
            Self::Claim { area }
            | Self::Zone { area, .. }
            | Self::Road { area }
            | Self::Line { area }
            | Self::Bulldoze { area } => u32::from(area.width) * u32::from(area.height),
            Self::Plant { .. } => 1,
            Self::SetTax { .. } => 0,
        }
    }
}

/// A rectangle of tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct Area {
    /// Column of its left side.
    pub(super) x: u16,
    /// Row of its top.
    pub(super) y: u16,
    pub(super) width: u8,
    pub(super) height: u8,
}

impl Area {
    pub(super) const fn tile(x: u16, y: u16) -> Self {
        Self { x, y, width: 1, height: 1 }
    }
}

/// A seat's orders for a turn.
#[derive(Debug, Encode, Decode)]
struct CommandList(Vec<Command>);

impl Wire for CommandList {
    const BYTES_MAX: usize = COMMANDS_BYTES_MAX;

    fn validate(&self) -> Result<(), &'static str> {
        // No command at all has another encoding already: no bytes.
        if (1..=COMMANDS_MAX).contains(&self.0.len()) { Ok(()) } else { Err("number of commands") }
    }
}

/// Reads a command list; no bytes are an empty one.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Command>, &'static str> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let CommandList(commands) = decode_exact(bytes).map_err(|_| "not the encoding of commands")?;
    let tiles: u32 = commands.iter().map(Command::tiles).sum();
    if tiles <= LIST_TILES_MAX { Ok(commands) } else { Err("commands that cover too many tiles") }
}

/// Writes a command list.
pub(super) fn write(commands: Vec<Command>) -> Vec<u8> {
    if commands.is_empty() { Vec::new() } else { encode(&CommandList(commands)) }
}

/// The commands of two lists, that are not empty, in one.
pub(super) fn join(first: &[u8], second: &[u8]) -> Result<Vec<u8>, &'static str> {
    let commands = [read(first)?, read(second)?].concat();
    if commands.len() > COMMANDS_MAX {
        return Err("more commands than a list holds");
    }
    let joined = write(commands);
    read(&joined).map(|_| joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_have_these_bytes() {
        let area = Area { x: 258, y: 3, width: 4, height: 5 };
        let commands = [
            (Command::Claim { area }, vec![0, 0, 0, 0, 2, 1, 3, 0, 4, 5]),
            (Command::Zone { area, zone: Zone::Industrial }, vec![1, 0, 0, 0, 2, 1, 3, 0, 4, 5, 2, 0, 0, 0]),
            (Command::Road { area }, vec![2, 0, 0, 0, 2, 1, 3, 0, 4, 5]),
            (Command::Line { area }, vec![3, 0, 0, 0, 2, 1, 3, 0, 4, 5]),
            (Command::Plant { x: 1, y: 2 }, vec![4, 0, 0, 0, 1, 0, 2, 0]),
            (Command::Bulldoze { area }, vec![5, 0, 0, 0, 2, 1, 3, 0, 4, 5]),
            (Command::SetTax { percent: 9 }, vec![6, 0, 0, 0, 9]),
        ];
        for (command, expected) in commands {
            let bytes = write(vec![command]);
            assert_eq!(bytes[..8], [1, 0, 0, 0, 0, 0, 0, 0]);
            assert_eq!(bytes[8..], expected, "{command:?}");
            assert_eq!(read(&bytes), Ok(vec![command]));
        }
    }

    #[test]
    fn the_longest_list_fits_and_a_longer_one_is_refused() {
        let longest = Command::Zone { area: Area::tile(0, 0), zone: Zone::Residential };
        let list = |count| write(vec![longest; count]);
        assert!(list(COMMANDS_MAX).len() <= COMMANDS_BYTES_MAX);
        assert_eq!(read(&list(COMMANDS_MAX)).map(|commands| commands.len()), Ok(COMMANDS_MAX));
        assert!(read(&list(COMMANDS_MAX + 1)).is_err());
    }

    #[test]
    fn a_list_covers_a_limited_number_of_tiles() {
        let largest = Command::Bulldoze { area: Area { x: 0, y: 0, width: 16, height: 16 } };
        let mut commands = vec![largest; 32];
        assert!(read(&write(commands.clone())).is_ok());
        commands.push(Command::SetTax { percent: 1 });
        assert!(read(&write(commands.clone())).is_ok());
        commands.push(Command::Plant { x: 0, y: 0 });
        assert_eq!(read(&write(commands)), Err("commands that cover too many tiles"));
    }

    #[test]
    fn lists_are_joined_as_far_as_they_fit_in_one() {
        let one = |percent| write(vec![Command::SetTax { percent }]);
        let both = write(vec![Command::SetTax { percent: 1 }, Command::SetTax { percent: 2 }]);
        assert_eq!(join(&one(1), &one(2)), Ok(both));
        let most = write(vec![Command::SetTax { percent: 1 }; COMMANDS_MAX]);
        assert_eq!(join(&most, &one(2)), Err("more commands than a list holds"));
        let large = |count| {
            write(vec![Command::Bulldoze { area: Area { x: 0, y: 0, width: 16, height: 16 } }; count])
        };
        assert!(join(&large(31), &large(1)).is_ok());
        assert_eq!(join(&large(31), &large(2)), Err("commands that cover too many tiles"));
        assert_eq!(join(&one(1), &[7]), Err("not the encoding of commands"));
    }

    #[test]
    fn an_empty_list_is_no_bytes_and_nothing_else() {
        assert_eq!(write(Vec::new()), []);
        assert_eq!(read(&[]), Ok(Vec::new()));
        assert!(read(&[0; 8]).is_err());
    }
}
