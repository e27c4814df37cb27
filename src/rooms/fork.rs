//! From a turn of a stored match to the room of a fork.

use cadastre_protocol::{
    BlockKind, Failure, ForkPoint, Genesis, Height, MatchId, Parent, PublicKey, ReadEntry, RoomSpec,
    SeatHolder, SpectatorPolicy, TransactionBody, Turn, decode_exact,
};
use cadastre_rooms::Origin;
use cadastre_simulations::{Game, find_rules};

use crate::{
    clock,
    export::is_hidden,
    store::{ReadError, Store},
};

/// What a fork at `point` goes on from, and its settings with what it has in common with its parent: rules, size,
/// seats and turn mode.
///
/// Executes the parent up to the turn, without judging its blocks again: they are the store's own. Gives up as soon as it
/// is not wanted any more.
///
/// # Errors
///
/// There is no such turn, `identity` may not see it, it cannot be gone on from, or the store cannot be read.
pub fn origin(
    store: &Store,
    spec: &RoomSpec,
    point: ForkPoint,
    identity: PublicKey,
    is_wanted: impl Fn() -> bool,
) -> Result<(RoomSpec, Origin), Failure> {
    let match_id = point.match_id;
    let read = || -> Result<_, ReadError> { Ok((store.match_record(match_id)?, store.mark(match_id)?)) };
    let (Some(record), Some(mark)) = read().map_err(|error| unreadable(match_id, &error))? else {
        return Err(Failure::NoSuchMatch);
    };
    let genesis: Genesis =
        decode_exact(&record.genesis).map_err(|error| unreadable(match_id, &error.into()))?;
    let is_hidden = is_hidden(&genesis, record.access);
    let knows_all = mark.sealed
        || genesis.seat_of(identity).is_some()
        || (is_hidden || genesis.spectators != SpectatorPolicy::AT_ONCE)
            && has_come(store, match_id, &genesis, mark.height, identity, &is_wanted)
                .map_err(|error| unreadable(match_id, &error))?;
    if !knows_all && is_hidden {
        return Err(Failure::NoSpectators);
    }
    let known = if knows_all {
        Ok(mark.height)
    } else {
        store
            .watched_to(match_id, &genesis, mark, clock::now())
            .map(|it| it.map_or(Height::GENESIS, |header| header.height))
    };
    let found = known.and_then(|known| find(store, match_id, known, point.turn));
    let found = found.map_err(|error| unreadable(match_id, &error))?;
    let parent = found.ok_or(Failure::NoSuchMatch)?;
    let game = execute(store, &genesis, &parent, &is_wanted).map_err(|error| unreadable(match_id, &error))?;
    if !is_wanted() {
        return Err(Failure::Unavailable);
    }
    let game = game.filter(|game| game.state_root() == parent.state_root).ok_or_else(|| {
        tracing::error!(%match_id, turn = %point.turn, "the stored match cannot be executed up to this turn");
        Failure::Unavailable
    })?;
    if game.executed().over {
        return Err(Failure::BadSpec);
    }
    let rules = find_rules(&genesis.rules.name, genesis.rules.version).ok_or(Failure::BadSpec)?;
    let (smallest, _, largest) = rules.sizes;
    let size = (smallest..=largest).find(|size| (rules.options)(*size) == genesis.options);
    let spec = RoomSpec {
        rules: genesis.rules.name.clone(),
        size: Some(size.ok_or(Failure::BadSpec)?),
        seats: genesis.seat_count(),
        seats_min: genesis.seat_count(),
        mode: genesis.turns.mode,
        ..spec.clone()
    };
    Ok((spec, Origin { parent, rules: genesis.rules, state: game.snapshot() }))
}

/// Has `identity` taken a seat that was open?
fn has_come(
    store: &Store,
    match_id: MatchId,
    genesis: &Genesis,
    height: Height,
    identity: PublicKey,
    is_wanted: impl Fn() -> bool,
) -> Result<bool, ReadError> {
    if !genesis.seats.contains(&SeatHolder::Open) {
        return Ok(false);
    }
    let takes = |entry: &ReadEntry| match entry.transaction.get().body {
        TransactionBody::LateJoin { identity: newcomer, .. } => newcomer == identity,
        TransactionBody::Join(_)
        | TransactionBody::Delegate(_)
        | TransactionBody::Turn(_)
        | TransactionBody::Commit(_)
        | TransactionBody::Reveal { .. }
        | TransactionBody::Takeback { .. }
        | TransactionBody::Resign
        | TransactionBody::Motion(_) => false,
    };
    for height in (1..=height.get()).map(Height::new).take_while(|_| is_wanted()) {
        if store.block(match_id, height)?.read()?.block().entries().iter().any(takes) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The last block up to `height` that came to `turn`, if the turn was not taken back since.
fn find(store: &Store, match_id: MatchId, height: Height, turn: Turn) -> Result<Option<Parent>, ReadError> {
    let mut found: Option<Parent> = None;
    for height in (1..=height.get()).map(Height::new) {
        let read = store.block(match_id, height)?.read()?;
        let header = read.block().header();
        let comes_to_it = match header.kind {
            BlockKind::Start | BlockKind::Turn | BlockKind::Takeback { .. } => header.turn == turn,
            BlockKind::Commit
            | BlockKind::Reopen { .. }
            | BlockKind::KeyChange { .. }
            | BlockKind::Seal { .. } => false,
        };
        if comes_to_it {
            let (block, state_root) = (read.block().hash(), header.state_root);
            found = Some(Parent { match_id, height, block, turn, state_root });
        } else if header.turn < turn {
            found = None;
        }
    }
    Ok(found)
}

/// The game as it stood after the block of `parent`; `None` when this build cannot play it.
fn execute(
    store: &Store,
    genesis: &Genesis,
    parent: &Parent,
    is_wanted: impl Fn() -> bool,
) -> Result<Option<Game>, ReadError> {
    let first = store.first_state(parent.match_id)?;
    let Ok(mut game) = Game::begin(genesis, first.as_deref()) else { return Ok(None) };
    for height in (1..=parent.height.get()).map(Height::new).take_while(|_| is_wanted()) {
        let read = store.block(parent.match_id, height)?.read()?;
        let work = read.block().work(genesis, game.setup().seed, game.stand_in());
        game.execute(&work);
    }
    Ok(Some(game))
}

fn unreadable(match_id: MatchId, error: &ReadError) -> Failure {
    tracing::error!(%match_id, error = error as &dyn std::error::Error, "cannot read a match");
    Failure::Unavailable
}
