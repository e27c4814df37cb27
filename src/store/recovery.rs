//! From the store back to running matches: newest keyframe, then every block after it through the chain
//! verifier.

use cadastre_protocol::{
    BlockError, Chain, CodecError, Conversation, Genesis, GenesisError, Height, LineError, MatchId, Millis,
    SpectatorPolicy, TalkPlace, decode_exact,
};
use cadastre_rooms::{Restored, WITHHELD_MAX};
use cadastre_simulations::{Game, SetupError};

use super::{MatchRecord, ReadError, Store};

/// Restores a match that was running, at `now`.
///
/// # Errors
///
/// What the store has of the match contradicts itself: the tail does not pass the chain verifier.
pub fn recover(
    store: &Store,
    match_id: MatchId,
    record: MatchRecord,
    now: Millis,
) -> Result<Restored, RecoveryError> {
    let genesis: Genesis = decode_exact(&record.genesis)?;
    if genesis.match_id() != match_id {
        return Err(RecoveryError::OtherGenesis);
    }
    let first = store.first_state(match_id)?;
    let (mut chain, mut game) = match store.keyframe(match_id)? {
        None => {
            let game = Game::begin(&genesis, first.as_deref())?;
            (Chain::begin(genesis, game.executed())?, game)
        }
        Some((state, snapshot)) => {
            let game = Game::restore(&state.setup(&genesis), &snapshot)?;
            (Chain::from_state_unverified(genesis, state, game.executed())?, game)
        }
    };
    let mark = store.mark(match_id)?.ok_or(ReadError::Missing)?;
    let watched = store.watched_to(match_id, chain.genesis(), mark, now)?;
    let newest = match watched.filter(|watched| watched.height < mark.height) {
        None => Vec::new(),
        Some(watched) => {
            let (first, last) = (watched.height.get(), mark.height.get());
            // Of more than a room keeps in any case, each stands for those before it.
            let step = if matches!(chain.genesis().spectators, SpectatorPolicy::Later { .. }) {
                (last - first).div_ceil(WITHHELD_MAX)
            } else {
                1
            };
            let heights = (first..last).step_by(usize::try_from(step).unwrap_or(usize::MAX)).chain([last]);
            heights.map(|height| store.block(match_id, Height::new(height))).collect::<Result<_, _>>()?
        }
    };
    while chain.head().height < mark.height {
        let height = Height::new(chain.head().height.get() + 1);
        let failed = |error| RecoveryError::Block { height, error };
        let block = store.block(match_id, height)?.read()?;
        let checked = chain.check_proven(block).map_err(failed)?;
        let work = checked.work(game.stand_in());
        game.execute(&work);
        chain.append(checked, game.executed()).map_err(failed)?;
    }
    if chain.head().block != mark.block {
        return Err(RecoveryError::OtherHead);
    }
    let accepted = store.accepted(match_id)?.into_iter();
    let accepted = accepted.map(|a| (a.received, a.transaction, a.receipt)).collect();
    let conversation = conversation(store, match_id).unwrap_or_else(|error| {
        // What was said holds up no match.
        tracing::error!(%match_id, error = &error as &dyn std::error::Error, "what was said at a match is lost");
        Conversation::begin(TalkPlace::Match(match_id))
    });
    let (names, access) = (record.names, record.access);
    Ok(Restored { chain, game, names, access, accepted, conversation, newest, first })
}

fn conversation(store: &Store, match_id: MatchId) -> Result<Conversation, TalkLost> {
    Ok(Conversation::resume(TalkPlace::Match(match_id), store.lines(match_id)?)?)
}

#[derive(Debug, thiserror::Error)]
enum TalkLost {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the stored lines do not follow from each other")]
    Line(#[from] LineError),
}

/// Why a match cannot go on. The store's fault; the match stays as it is for an auditor.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A stored object is malformed.
    #[error("a stored object is malformed")]
    Encoding(#[from] CodecError),
    /// The genesis is that of another match.
    #[error("the stored genesis is that of another match")]
    OtherGenesis,
    /// The game cannot be played with this build.
    #[error("the game cannot be played with this build")]
    Setup(#[from] SetupError),
    /// Genesis or keyframe cannot begin a chain.
    #[error("the stored genesis or keyframe cannot begin a chain")]
    Chain(#[from] GenesisError),
    /// A block does not follow from those before it.
    #[error("stored block {height} does not follow from those before it")]
    Block {
        /// Its height.
        height: Height,
        /// Why.
        #[source]
        error: BlockError,
    },
    /// The head is not the block that was signed last.
    #[error("the head is not the block that was signed last")]
    OtherHead,
}
