//! Everybody who is in a room. Players stand before those who watch: whatever is told to all is told to them first, and
//! nothing that concerns players only goes through all who watch.

use std::collections::BTreeMap;

use cadastre_protocol::{EnterAs, PublicKey};

use crate::input::GuestId;

/// Who is in a room, by connection.
#[derive(Debug, Default)]
pub(crate) struct Guests {
    players: BTreeMap<GuestId, PublicKey>,
    /// Spectators who execute the match.
    followers: BTreeMap<GuestId, PublicKey>,
    /// Spectators who are shown it.
    light: BTreeMap<GuestId, PublicKey>,
}

impl Guests {
    /// As what somebody is there, and who it is.
    pub(crate) fn get(&self, guest: GuestId) -> Option<(EnterAs, PublicKey)> {
        let kinds = [EnterAs::Player, EnterAs::Spectator, EnterAs::Light];
        kinds.into_iter().find_map(|enter_as| Some((enter_as, *self.of(enter_as).get(&guest)?)))
    }

    /// Who is there as a player on this connection.
    pub(crate) fn player(&self, guest: GuestId) -> Option<PublicKey> {
        self.players.get(&guest).copied()
    }

    /// The connection on which this player is there.
    pub(crate) fn connection_of(&self, identity: PublicKey) -> Option<GuestId> {
        self.players.iter().find_map(|(guest, of)| (*of == identity).then_some(*guest))
    }

    /// Is somebody there who is shown the match?
    pub(crate) fn is_light(&self, guest: GuestId) -> bool {
        self.light.contains_key(&guest)
    }

    pub(crate) fn insert(&mut self, guest: GuestId, enter_as: EnterAs, identity: PublicKey) {
        self.of_mut(enter_as).insert(guest, identity);
    }

    /// Somebody is gone: as what it was there.
    pub(crate) fn remove(&mut self, guest: GuestId) -> Option<(EnterAs, PublicKey)> {
        let (enter_as, identity) = self.get(guest)?;
        self.of_mut(enter_as).remove(&guest);
        Some((enter_as, identity))
    }

    /// The players, by connection.
    pub(crate) fn players(&self) -> impl Iterator<Item = (GuestId, PublicKey)> {
        self.players.iter().map(|(guest, identity)| (*guest, *identity))
    }

    /// Parts with the players of whom this is true.
    pub(crate) fn part_with(&mut self, mut is_one: impl FnMut(PublicKey) -> bool) -> Vec<GuestId> {
        self.players.extract_if(.., |_, identity| is_one(*identity)).map(|(guest, _)| guest).collect()
    }

    /// Spectators who execute the match.
    pub(crate) fn followers(&self) -> impl Iterator<Item = GuestId> {
        self.followers.keys().copied()
    }

    /// Spectators who are shown the match.
    pub(crate) fn light(&self) -> impl Iterator<Item = GuestId> {
        self.light.keys().copied()
    }

    /// All who watch.
    pub(crate) fn watching(&self) -> impl Iterator<Item = GuestId> {
        self.followers.keys().chain(self.light.keys()).copied()
    }

    /// All, players first.
    pub(crate) fn all(&self) -> impl Iterator<Item = GuestId> {
        self.players.keys().copied().chain(self.watching())
    }

    /// How many players are there.
    pub(crate) fn players_len(&self) -> usize {
        self.players.len()
    }

    /// How many watch.
    pub(crate) fn watching_len(&self) -> usize {
        self.followers.len() + self.light.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.players.is_empty() && self.watching_len() == 0
    }

    const fn of(&self, enter_as: EnterAs) -> &BTreeMap<GuestId, PublicKey> {
        match enter_as {
            EnterAs::Player => &self.players,
            EnterAs::Spectator => &self.followers,
            EnterAs::Light => &self.light,
        }
    }

    const fn of_mut(&mut self, enter_as: EnterAs) -> &mut BTreeMap<GuestId, PublicKey> {
        match enter_as {
            EnterAs::Player => &mut self.players,
            EnterAs::Spectator => &mut self.followers,
            EnterAs::Light => &mut self.light,
        }
    }
}
