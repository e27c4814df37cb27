//! From the store to replay files.

use std::{cmp::Reverse, collections::BTreeMap};

use cadastre_protocol::{
    Access, Case, Digest, Door, Epoch, Evidence, Genesis, Height, MatchId, Millis, ReadTransaction, RoomName,
    Seat, SignedDelegation, SpectatorPolicy, TransactionBody, decode_exact, log::LogProof,
};
use cadastre_replay::{Meta, WriteError, Writer};
use serde::{Deserialize, Deserializer, Serialize, de::Error};

use crate::{
    rooms::{is_of_rules, page_limit},
    store::{MatchRecord, ReadError, Store},
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
    /// Seats of which there is evidence that they signed two transactions for one turn.
    pub(crate) evidence: Vec<u8>,
}

/// Which matches are wanted, and from where on.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MatchQuery {
    phase: Option<PhaseWord>,
    rules: Option<String>,
    room: Option<String>,
    limit: Option<usize>,
    #[serde(default, deserialize_with = "match_id")]
    after: Option<MatchId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum PhaseWord {
    Playing,
    Ended,
}

/// Matches, newest first.
#[derive(Debug, Serialize)]
pub(crate) struct MatchPage {
    matches: Vec<MatchInfo>,
    /// What to ask for the matches after these; `None` when there are no more.
    next: Option<String>,
}

impl MatchQuery {
    fn wants(&self, store: &Store, found: &Found) -> Result<bool, ReadError> {
        let is_wanted = found.record.access.listed
            && self.room.as_deref().is_none_or(|room| room == found.record.room.as_str())
            && self.rules.as_deref().is_none_or(|rules| is_of_rules(&found.rules, rules));
        match self.phase.filter(|_| is_wanted) {
            None => Ok(is_wanted),
            Some(phase) => {
                let is_sealed = store.mark(found.match_id)?.is_some_and(|mark| mark.sealed);
                Ok((phase == PhaseWord::Ended) == is_sealed)
            }
        }
    }
}

/// A page of the matches in the store, newest first. `None` when there is no match to go on after.
///
/// # Errors
///
/// The store cannot be read.
pub(crate) fn list(store: &Store, query: &MatchQuery, now: Millis) -> Result<Option<MatchPage>, ReadError> {
    let after = match query.after {
        None => None,
        Some(match_id) => match store.match_record(match_id)? {
            None => return Ok(None),
            Some(record) => Some(Found::new(match_id, record)?.place()),
        },
    };
    let limit = page_limit(query.limit);
    let mut page = BTreeMap::new();
    for entry in store.matches() {
        let (match_id, record) = entry?;
        let found = Found::new(match_id, record)?;
        if after.is_none_or(|after| after < found.place()) && query.wants(store, &found)? {
            page.insert(found.place(), found);
        }
        // One more shows whether there are more.
        if page.len() > limit + 1 {
            page.pop_last();
        }
    }
    let has_more = page.len() > limit;
    let shown = page.into_values().take(limit).map(|found| found.info(store, now));
    let matches = shown.collect::<Result<Vec<_>, _>>()?;
    let next = matches.last().filter(|_| has_more).map(|info| info.match_id.clone());
    Ok(Some(MatchPage { matches, next }))
}

/// A match of the store.
struct Found {
    match_id: MatchId,
    record: MatchRecord,
    rules: String,
    genesis: Genesis,
}

impl Found {
    fn new(match_id: MatchId, record: MatchRecord) -> Result<Self, ReadError> {
        let genesis: Genesis = decode_exact(&record.genesis)?;
        Ok(Self { match_id, record, rules: genesis.rules.to_string(), genesis })
    }

    /// Where it stands in the list.
    const fn place(&self) -> (Reverse<Millis>, MatchId) {
        (Reverse(self.genesis.created), self.match_id)
    }

    fn info(self, store: &Store, now: Millis) -> Result<MatchInfo, ReadError> {
        let mark = store.mark(self.match_id)?;
        let watched =
            mark.map(|mark| store.watched_to(self.match_id, &self.genesis, mark, now)).transpose()?;
        Ok(MatchInfo {
            match_id: self.match_id.to_string(),
            room: self.record.room.to_string(),
            rules: self.rules,
            names: self.record.names.iter().map(ToString::to_string).collect(),
            created_ms: self.genesis.created.get(),
            height: watched.flatten().map_or(0, |watched| watched.height.get()),
            sealed: mark.is_some_and(|mark| mark.sealed),
            evidence: store.doubles(self.match_id)?.iter().map(Seat::get).collect(),
        })
    }
}

fn match_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<MatchId>, D::Error> {
    let id = Digest::from_hex(&String::deserialize(deserializer)?);
    id.map(|id| Some(MatchId::new(id))).ok_or_else(|| D::Error::custom("no match id"))
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

/// The replay file of a match, as far as those who watch may know it; `None` for a match that the store does not have. Every block
/// is verified and executed on the way. What the log has of the match was `logged` before: it must not be ahead
/// of what is exported.
///
/// # Errors
///
/// Not everybody may watch the match, and it is not over; the store cannot be read, or what it has does not pass the
/// chain verifier.
pub fn replay(
    store: &Store,
    logged: Option<&LogProof>,
    match_id: MatchId,
    now: Millis,
) -> Result<Option<Vec<u8>>, ExportError> {
    let (Some(record), Some(mark)) = (store.match_record(match_id)?, store.mark(match_id)?) else {
        return Ok(None);
    };
    let genesis: Genesis = decode_exact(&record.genesis).map_err(ReadError::from)?;
    if is_hidden(&genesis, record.access) && !mark.sealed {
        return Err(ExportError::Unwatched);
    }
    let first = store.first_state(match_id)?;
    let meta = Meta { genesis: record.genesis, room: record.room, names: record.names, first };
    let mut writer = Writer::new(Vec::new(), meta)?;
    let watched =
        store.watched_to(match_id, &genesis, mark, now)?.map_or(Height::GENESIS, |header| header.height);
    for height in 1..=watched.get() {
        writer.push(store.block(match_id, Height::new(height))?)?;
    }
    // What the log has of it would say more than those who watch may know.
    if let Some(logged) = logged.filter(|_| watched == mark.height) {
        writer.add_log_proof(logged);
    }
    let (bytes, _) = writer.finish()?;
    Ok(Some(bytes))
}

/// The evidence file of a seat that signed two transactions for one turn; `None` when there is none.
///
/// # Errors
///
/// Nobody may see the turn yet; the store cannot be read, or does not have the delegation that the transactions
/// go back to.
pub(crate) fn evidence(store: &Store, match_id: MatchId, seat: Seat) -> Result<Option<Vec<u8>>, ExportError> {
    let (Some(record), Some(mark)) = (store.match_record(match_id)?, store.mark(match_id)?) else {
        return Ok(None);
    };
    let Some(double) = store.double(match_id, seat)? else { return Ok(None) };
    let [opening @ .., first, second] = &double.transactions[..] else {
        return Err(ReadError::Damaged.into());
    };
    let genesis: Genesis = decode_exact(&record.genesis).map_err(ReadError::from)?;
    let charged = first.clone().read().map_err(ReadError::from)?;
    let head = store.block(match_id, mark.height)?.read().map_err(ReadError::from)?;
    // What a seat does in the open turn, nobody may know yet.
    let is_open = head.block().header().turn < charged.get().turn;
    if !mark.sealed && (is_open || genesis.spectators.is_delayed() || is_hidden(&genesis, record.access)) {
        return Err(ExportError::Unwatched);
    }
    let epoch = charged.get().epoch;
    let delegation = match opening {
        [opening, ..] => delegation_in(&opening.clone().read().map_err(ReadError::from)?, seat, epoch),
        [] => find_delegation(store, match_id, mark.height, seat, epoch)?,
    };
    let case = Case::PlayerDoubleTx {
        delegation: delegation.ok_or(ReadError::Missing)?,
        first: first.clone(),
        second: second.clone(),
    };
    let evidence = Evidence { genesis, certificates: Vec::new(), case, chunks: Vec::new() };
    Ok(Some(evidence.to_bytes()))
}

/// May not everybody see this match as long as it runs?
pub(crate) fn is_hidden(genesis: &Genesis, access: Access) -> bool {
    genesis.spectators == SpectatorPolicy::Forbidden || access.door != Door::Open
}

/// The delegation of an epoch, from the newest block that has it.
fn find_delegation(
    store: &Store,
    match_id: MatchId,
    head: Height,
    seat: Seat,
    epoch: Epoch,
) -> Result<Option<SignedDelegation>, ReadError> {
    for height in (1..=head.get()).rev() {
        let block = store.block(match_id, Height::new(height))?.read()?;
        let mut entries = block.block().entries().iter();
        if let Some(found) = entries.find_map(|entry| delegation_in(&entry.transaction, seat, epoch)) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn delegation_in(transaction: &ReadTransaction, seat: Seat, epoch: Epoch) -> Option<SignedDelegation> {
    let tx = transaction.get();
    match &tx.body {
        TransactionBody::Join(delegation)
        | TransactionBody::Delegate(delegation)
        | TransactionBody::LateJoin { delegation, .. }
            if (tx.seat, tx.epoch) == (seat, epoch) =>
        {
            Some(delegation.clone())
        }
        TransactionBody::Join(_)
        | TransactionBody::Delegate(_)
        | TransactionBody::Turn(_)
        | TransactionBody::Commit(_)
        | TransactionBody::Reveal { .. }
        | TransactionBody::Takeback { .. }
        | TransactionBody::Resign
        | TransactionBody::Motion(_)
        | TransactionBody::LateJoin { .. } => None,
    }
}

/// Why a match cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Not everybody may watch this match as long as it runs.
    #[error("not everybody may watch this match; it can be had when it is over")]
    Unwatched,
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What the store has does not make a replay.
    #[error("the stored match does not make a replay")]
    Write(#[from] WriteError),
}
