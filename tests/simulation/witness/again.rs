//! Rematches.

use cadastre::store::Store;
use cadastre_protocol::{Genesis, MatchId, SeatHolder, decode_exact};

use super::{Stored, Witness};
use crate::tally::{Rarity, Tally};

/// A match that began because all wanted another one.
pub(super) struct Rematch {
    before: MatchId,
    match_id: MatchId,
    /// Nobody left the lobby between them.
    is_whole: bool,
}

impl Witness {
    pub(crate) fn begin_again(&mut self, before: MatchId, match_id: MatchId, is_whole: bool) {
        self.rematches.push(Rematch { before, match_id, is_whole });
    }

    /// A rematch is the same game in the same settings, with everybody a seat further.
    pub(super) fn check_rematch(&self, store: &Store, stored: &Stored, tally: &mut Tally) {
        let Some(rematch) = self.rematches.iter().find(|it| it.match_id == stored.match_id) else { return };
        let of = |match_id| {
            let record = store.match_record(match_id).unwrap().unwrap();
            let genesis: Genesis = decode_exact(&record.genesis).unwrap();
            (genesis, record)
        };
        let ((first, first_record), (again, record)) = (of(rematch.before), of(rematch.match_id));
        assert_eq!((&first_record.room, first_record.access), (&record.room, record.access));
        assert_eq!(first.randomness.mode(), again.randomness.mode());
        assert_ne!(first.nonce, again.nonce);
        let same = Genesis {
            seats: again.seats.clone(),
            randomness: again.randomness.clone(),
            signer: again.signer.clone(),
            created: again.created,
            nonce: again.nonce,
            ..first.clone()
        };
        assert_eq!(again, same);
        let sorted = |genesis: &Genesis| {
            let mut players: Vec<_> = genesis
                .seats
                .iter()
                .map(|holder| match holder {
                    SeatHolder::Player(identity) => *identity.as_bytes(),
                    SeatHolder::Open => [0; 32],
                })
                .collect();
            players.sort_unstable();
            players
        };
        assert_eq!(sorted(&first), sorted(&again), "a rematch of the same players");
        if rematch.is_whole {
            let (mut seats, mut names) = (first.seats, first_record.names);
            seats.rotate_right(1);
            names.rotate_right(1);
            assert_eq!((seats, names), (again.seats, record.names), "everybody a seat further");
            tally.count(Rarity::Rematch);
        }
    }
}
