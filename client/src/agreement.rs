//! What a player has said Ready to, and whether a match is that.

use cadastre_protocol::{ForkPoint, Genesis, Lobby, Parent, RoomSpec, Seat, SeatHolder};
use cadastre_simulations::find_rules;

/// Is the match of `genesis` the one that the lobby was about: the same game, players and settings? What the
/// settings leave to the server is not looked at.
pub(crate) fn leads_to(lobby: &Lobby, genesis: &Genesis) -> bool {
    let Lobby { spec, seats, .. } = lobby;
    let sitter = |seat| seats.iter().find(|sitter| sitter.seat == seat);
    let holders = Seat::first(spec.seats).map(|seat| match sitter(seat) {
        Some(sitter) => SeatHolder::Player(sitter.identity),
        None => SeatHolder::Open,
    });
    (usize::from(spec.seats_min)..=usize::from(spec.seats)).contains(&seats.len())
        && holders
            .filter(|holder| spec.late_joins || *holder != SeatHolder::Open)
            .eq(genesis.seats.iter().copied())
        && is_game(spec, genesis)
        && is_played_as(spec, genesis)
}

/// Are these the settings of the match of `genesis`, all but those that it does not show?
pub(crate) fn is_same_kind(spec: &RoomSpec, genesis: &Genesis) -> bool {
    spec.seats == genesis.seat_count()
        && spec.late_joins == genesis.seats.contains(&SeatHolder::Open)
        && is_game(spec, genesis)
        && is_played_as(spec, genesis)
}

fn is_game(spec: &RoomSpec, genesis: &Genesis) -> bool {
    let rules = find_rules(&genesis.rules.name, genesis.rules.version);
    genesis.rules.name == spec.rules
        && rules.is_some_and(|rules| {
            let (_, usual_size, _) = rules.sizes;
            genesis.options == (rules.options)(spec.size.unwrap_or(usual_size))
        })
}

fn is_played_as(spec: &RoomSpec, genesis: &Genesis) -> bool {
    let turns = &genesis.turns;
    turns.mode == spec.mode
        && turns.turns_max == spec.turns_max
        && spec.deadline_ms.is_none_or(|deadline| deadline == turns.deadline_ms)
        && turns.clock == spec.clock
        && turns.grace_ms == spec.grace_ms
        && genesis.absence == spec.absence
        && genesis.double_transactions == spec.double_transactions
        && genesis.visibility == spec.visibility
        && genesis.randomness.mode() == spec.randomness
        && genesis.takebacks == spec.takebacks
        && genesis.agreements == spec.agreements
        && genesis.spectators == spec.spectators
        && spec.fork == genesis.parent.map(|Parent { match_id, turn, .. }| ForkPoint { match_id, turn })
}
