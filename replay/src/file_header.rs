//! The header of a replay file: everything about a match that is known before its first block.

use bincode::{Decode, Encode};
use cadastre_protocol::{DisplayName, Genesis, RoomName, Wire, decode_exact};

use crate::{
    damage::{Damage, Fault},
    record::{Record, RecordKind},
};

/// Content of the header record.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct FileHeader {
    /// Version of the whole format: 1.
    pub(crate) version: u16,
    /// A keyframe follows every turn whose number this divides. 1 or more.
    pub(crate) keyframe_turns: u32,
    /// Encoding of the genesis.
    pub(crate) genesis: Vec<u8>,
    /// Where the match was played. Nobody signed it.
    pub(crate) room: RoomName,
    /// How the players are called, by seat. Nobody signed it.
    pub(crate) names: Vec<DisplayName>,
}

impl FileHeader {
    /// The version that this build writes and reads.
    pub(crate) const VERSION: u16 = 1;

    /// Reads header and genesis, which must be about the same number of seats.
    pub(crate) fn read(record: &Record<'_>) -> Result<(Self, Genesis), Damage> {
        let fault = |fault: Fault| fault.at(record.offset);
        if record.kind != RecordKind::Header {
            return Err(fault(Fault::Misplaced(record.kind)));
        }
        let raw = record.raw()?;
        // Before all else: another version may have another layout.
        if let Some((version, _)) = raw.split_first_chunk() {
            let version = u16::from_le_bytes(*version);
            if version != Self::VERSION {
                return Err(fault(Fault::UnknownVersion(version)));
            }
        }
        let header: Self = decode_exact(&raw).map_err(|error| fault(Fault::Header(error)))?;
        let genesis: Genesis = decode_exact(&header.genesis).map_err(|error| fault(Fault::Genesis(error)))?;
        if header.names.len() != genesis.seats.len() {
            return Err(fault(Fault::Names));
        }
        Ok((header, genesis))
    }
}

impl Wire for FileHeader {
    const BYTES_MAX: usize = RecordKind::Header.raw_bytes_max();

    fn validate(&self) -> Result<(), &'static str> {
        if self.keyframe_turns == 0 {
            return Err("keyframe interval");
        }
        let names_fit = self.names.iter().all(|name| DisplayName::new(name.as_str()).is_some());
        if names_fit && RoomName::new(self.room.as_str()).is_some() {
            Ok(())
        } else {
            Err("room or display name")
        }
    }
}
