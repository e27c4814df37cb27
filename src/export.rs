//! From the store to replay files.

use cadastre_protocol::{Genesis, Height, MatchId, Millis, RoomName, SpectatorPolicy, decode_exact};
use cadastre_replay::{Meta, WriteError, Writer};
use serde::Serialize;

use crate::{
    log::Log,
    store::{ReadError, Store},
};

/// A match in a list.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct MatchInfo {
    /// Names it.
    pub(crate) match_id: String,
    /// In which room it was or is played.
    pub(crate) room: String,
    /// By which rules.
    pub(crate) rules: String,
    /// How the players are called, by seat.
    pub(crate) names: Vec<String>,
    /// When it began, in milliseconds since 1970.
    pub(crate) created_ms: u64,
    /// Height of its newest block.
    pub(crate) height: u64,
    /// Is it over?
    pub(crate) sealed: bool,
}

/// All matches of the store, newest first.
///
/// # Errors
///
/// The store cannot be read.
pub(crate) fn list(store: &Store) -> Result<Vec<MatchInfo>, ReadError> {
    let mut matches = store
        .matches()
        .map(|entry| {
            let (match_id, record) = entry?;
            let genesis: Genesis = decode_exact(&record.genesis)?;
            let mark = store.mark(match_id)?;
            Ok(MatchInfo {
                match_id: match_id.to_string(),
                room: record.room.to_string(),
                rules: genesis.rules.to_string(),
                names: record.names.iter().map(ToString::to_string).collect(),
                created_ms: genesis.created.get(),
                height: mark.map_or(0, |mark| mark.height.get()),
                sealed: mark.is_some_and(|mark| mark.sealed),
            })
        })
        .collect::<Result<Vec<_>, ReadError>>()?;
    matches.sort_by(|a, b| b.created_ms.cmp(&a.created_ms).then_with(|| a.match_id.cmp(&b.match_id)));
    Ok(matches)
}

/// The newest match that was played in a room.
///
/// # Errors
///
/// The store cannot be read.
pub(crate) fn newest_of_room(store: &Store, room: &RoomName) -> Result<Option<MatchId>, ReadError> {
    let mut newest: Option<(Millis, MatchId)> = None;
    for entry in store.matches() {
        let (match_id, record) = entry?;
        if record.room == *room {
            let genesis: Genesis = decode_exact(&record.genesis)?;
            newest = newest.max(Some((genesis.created, match_id)));
        }
    }
    Ok(newest.map(|(_, match_id)| match_id))
}

/// The replay file of a match, finished or not; `None` for a match that the store does not have. Every block
/// is verified and executed on the way, and what the log has of it is proved.
///
/// # Errors
///
/// Nobody may watch the match, and it is not over; the store cannot be read, or what it has does not pass the
/// chain verifier.
pub(crate) fn replay(store: &Store, log: &Log, match_id: MatchId) -> Result<Option<Vec<u8>>, ExportError> {
    // Before the mark: what is logged must not be ahead of what is exported.
    let logged = log.prove(match_id).unwrap_or_else(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "cannot prove what is logged");
        None
    });
    let (Some(record), Some(mark)) = (store.match_record(match_id)?, store.mark(match_id)?) else {
        return Ok(None);
    };
    let genesis: Genesis = decode_exact(&record.genesis).map_err(ReadError::from)?;
    if genesis.spectators == SpectatorPolicy::Forbidden && !mark.sealed {
        return Err(ExportError::Unwatched);
    }
    let meta = Meta { genesis: record.genesis, room: record.room, names: record.names };
    let mut writer = Writer::new(Vec::new(), meta)?;
    for height in 1..=mark.height.get() {
        writer.push(store.block(match_id, Height::new(height))?)?;
    }
    if let Some(logged) = &logged {
        writer.add_log_proof(logged);
    }
    let (bytes, _) = writer.finish()?;
    Ok(Some(bytes))
}

/// Why a match cannot be exported.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    /// Nobody may watch this match as long as it runs.
    #[error("nobody may watch this match; it can be had when it is over")]
    Unwatched,
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What the store has does not make a replay.
    #[error("the stored match does not make a replay")]
    Write(#[from] WriteError),
}
