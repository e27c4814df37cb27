//! What a replay file is about, for a person who looks at it.

use cadastre_protocol::{
    BlockHash, DisplayName, Height, MatchId, PublicKey, RoomName, RulesId, SealReason, Standing, Turn,
};

/// What a replay file says of its match. Only an audit tells whether it is true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Names the match.
    pub match_id: MatchId,
    /// Root key of the service that ran it.
    pub root_key: PublicKey,
    /// The rules.
    pub rules: RulesId,
    /// Where it was played.
    pub room: RoomName,
    /// How the players are called, by seat.
    pub names: Vec<DisplayName>,
    /// The last turn that was executed.
    pub turns: Turn,
    /// Height of the last block.
    pub height: Height,
    /// The last block.
    pub head: BlockHash,
    /// Does the file hold the match to its Seal, and say so?
    pub complete: bool,
    /// How the match ended, if the file holds that.
    pub sealed: Option<Sealed>,
    /// How many bytes the file has.
    pub file_bytes: u64,
}

/// The end of a match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Why it ended.
    pub reason: SealReason,
    /// How the seats stood.
    pub standings: Vec<Standing>,
}
