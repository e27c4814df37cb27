//! How much of a stored match those who watch may know.

use cadastre_protocol::{Genesis, Header, Height, MatchId, Millis, ProvenHeader};

use super::{Mark, ReadError, Store};

impl Store {
    /// The header of the newest block of a match that those who watch may know of at `now`; `None` for a match without blocks.
    ///
    /// # Errors
    ///
    /// A block cannot be read.
    pub(crate) fn watched_to(
        &self,
        match_id: MatchId,
        genesis: &Genesis,
        mark: Mark,
        now: Millis,
    ) -> Result<Option<Header>, ReadError> {
        let header = |height: u64| -> Result<Header, ReadError> {
            Ok(ProvenHeader::of(&self.block(match_id, Height::new(height))?)?.read()?)
        };
        let blocks = mark.height.get();
        let newest = |number| header(blocks - number).map(|header| (header.kind, header.server_time));
        let height = blocks - cadastre_rooms::withheld(genesis.spectators, now, blocks, newest)?;
        if height == 0 { Ok(None) } else { header(height).map(Some) }
    }
}
