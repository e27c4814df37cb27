//! Rematches.

use cadastre::store::Store;
use cadastre_protocol::{Genesis, Height, MatchId, SeatHolder, TransactionBody, decode_exact};

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
        let held = held_at_the_end(store, rematch.before, &first);
        let sorted = |seats: &[SeatHolder]| {
            let mut players: Vec<_> = seats
                .iter()
                .map(|holder| match holder {
                    SeatHolder::Player(identity) => *identity.as_bytes(),
                    SeatHolder::Open => [0; 32],
                })
                .collect();
            players.sort_unstable();
            players
        };
        assert_eq!(sorted(&held), sorted(&again.seats), "a rematch of the same players");
        if rematch.is_whole {
            let (mut seats, mut names) = (held, first_record.names);
            seats.rotate_right(1);
            names.rotate_right(1);
            assert_eq!(seats, again.seats, "everybody a seat further");
            // Whoever came late is not called as his seat was.
            assert!(first.seats.contains(&SeatHolder::Open) || names == record.names);
            tally.count(Rarity::Rematch);
        }
    }
}

/// Who held which seat at the end of a match.
fn held_at_the_end(store: &Store, match_id: MatchId, genesis: &Genesis) -> Vec<SeatHolder> {
    let mut held = genesis.seats.clone();
    let head = store.mark(match_id).unwrap().unwrap().height.get();
    for height in (1..=head).map(Height::new) {
        let block = store.block(match_id, height).unwrap().read().unwrap();
        for entry in block.block().entries() {
            let tx = entry.transaction.get();
            if let TransactionBody::LateJoin { identity, .. } = tx.body {
                held[tx.seat.index()] = SeatHolder::Player(identity);
            }
        }
    }
    held
}
