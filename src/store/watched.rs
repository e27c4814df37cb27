//! How much of a stored match those who watch may know.

use cadastre_protocol::{Genesis, Header, Height, MatchId, ProvenHeader};

use super::{Mark, ReadError, Store};

impl Store {
    /// The header of the newest block of a match that those who watch may know of; `None` for a match without blocks.
    ///
    /// # Errors
    ///
    /// A block cannot be read.
    pub(crate) fn watched_to(
        &self,
        match_id: MatchId,
        genesis: &Genesis,
        mark: Mark,
    ) -> Result<Option<Header>, ReadError> {
        let header = |height: u64| -> Result<Header, ReadError> {
            Ok(ProvenHeader::of(&self.block(match_id, Height::new(height))?)?.read()?)
        };
        let newest_first = (1..=mark.height.get()).rev();
        let kinds = newest_first.map(|height| header(height).map(|header| header.kind));
        let withheld = cadastre_rooms::withheld(genesis.spectators, kinds)?;
        let height = mark.height.get() - u64::try_from(withheld).unwrap_or(u64::MAX);
        if height == 0 { Ok(None) } else { header(height).map(Some) }
    }
}
