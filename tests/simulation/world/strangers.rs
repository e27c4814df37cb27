//! Those who may not come into a room, and try.

use cadastre_client::{Config, Credential, Event};
use cadastre_protocol::{
    ClientMessage, DisplayName, EnterAs, Failure, Height, Invitation, MatchId, Password, SecretKey,
    SignedInvitation,
};

use super::{
    Fate, START, World,
    client::{invitation, name_of, opener, process_key},
};
use crate::{plan::Entry, tally::Rarity};

/// What somebody shows who may not come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trick {
    /// Nothing.
    Nothing,
    /// Another password; an invitation that it signed itself.
    Forged,
    /// An invitation that is over, or to watch.
    Outdated,
    /// What somebody else showed before.
    Stolen,
}

impl World {
    pub(super) fn add_stranger(&mut self, room: u8, entry: Entry) {
        let trick = match self.random.within(0..4) {
            0 => Trick::Nothing,
            1 => Trick::Forged,
            2 if entry == Entry::Invited => Trick::Outdated,
            _ => Trick::Stolen,
        };
        let number = self.random.within(0..3);
        let identity = SecretKey::from_seed(&[u8::try_from(240 + number).unwrap(); 32]);
        let mut enter_as = match number {
            0 => EnterAs::Player,
            1 => EnterAs::Spectator,
            _ => EnterAs::Light,
        };
        let valid = invitation(room, Some(identity.public()), enter_as);
        let invited = |by: &SecretKey, invitation: &Invitation| {
            Credential::Invitation(SignedInvitation::sign(by, invitation))
        };
        let credential = match (trick, entry) {
            (Trick::Nothing | Trick::Stolen, _) | (_, Entry::Open) => None,
            (_, Entry::Password) => Some(Credential::Password(Password::new("plugh").unwrap())),
            (Trick::Forged, Entry::Invited) => Some(invited(&identity, &valid)),
            (Trick::Outdated, Entry::Invited) if self.random.once_in(2) => {
                Some(invited(&opener(room), &Invitation { valid_to: START, ..valid }))
            }
            (Trick::Outdated, Entry::Invited) => {
                enter_as = EnterAs::Player;
                let to_watch = Invitation { enter_as: EnterAs::Spectator, ..valid };
                Some(invited(&opener(room), &to_watch))
            }
        };
        let name = DisplayName::new("stranger").unwrap();
        let (room, process) = (name_of(room), process_key(0));
        self.add(Config { identity, process, room, enter_as, name, open: None, credential });
        self.clients.last_mut().unwrap().trick = Some(trick);
    }

    /// What is shown at the door can be stolen. A stranger says something else there than its session would: it knows
    /// how matches are called.
    pub(super) fn at_the_door(&mut self, client: usize, message: ClientMessage) -> ClientMessage {
        let entry = &self.clients[client];
        if entry.trick.is_none() {
            if let ClientMessage::Enter { pass: Some(pass), .. } = &message {
                self.stolen.insert(entry.config.room.clone(), pass.clone());
            }
            return message;
        }
        let ClientMessage::Enter { room, enter_as, name, mut pass } = message else { return message };
        if entry.trick == Some(Trick::Stolen) {
            pass = self.stolen.get(&room).cloned();
        }
        match self.running_in(&room).filter(|_| self.random.once_in(2)) {
            Some(match_id) => {
                let (height, block) = (Height::GENESIS, match_id.as_block());
                ClientMessage::Resume { match_id, enter_as, height, block, pass }
            }
            None => ClientMessage::Enter { room, enter_as, name, pass },
        }
    }

    /// The match that runs in a room.
    pub(super) fn running_in(&self, room: &cadastre_protocol::RoomName) -> Option<MatchId> {
        let store = crate::server::store_on(&self.disk);
        let mut matches = store.matches().map(Result::unwrap).filter(|(_, record)| record.room == *room);
        let runs = |match_id| !store.mark(match_id).unwrap().is_some_and(|mark| mark.sealed);
        matches.find_map(|(match_id, _)| runs(match_id).then_some(match_id))
    }

    /// A stranger is told that it may not come in, or that there is nothing to come into; never anything else.
    #[allow(clippy::wildcard_enum_match_arm, reason = "whatever else a stranger is told is wrong")]
    pub(super) fn turn_away(&mut self, client: usize, event: &Event) {
        match event {
            Event::Failed(failure) => {
                let rarity = match failure {
                    Failure::NotInvited => Some(Rarity::NotInvited),
                    Failure::WrongPassword => Some(Rarity::WrongPassword),
                    _ => None,
                };
                let is_missing = matches!(failure, Failure::NoSuchRoom | Failure::NoSuchMatch);
                assert!(rarity.is_some() || is_missing, "a stranger is told {failure:?}");
                rarity.into_iter().for_each(|rarity| self.tally.count(rarity));
                if rarity.is_some() && self.random.once_in(3) {
                    self.clients[client].fate = Fate::TurnedAway;
                }
                if let Some(link) = self.clients[client].link {
                    self.sever(link);
                }
            }
            Event::Connected { .. } | Event::Goodbye { .. } => {}
            Event::Lost { .. } => {
                let process = self.clients[client].process;
                self.in_time(1_000..8_000, super::Happening::Connect { client, process });
            }
            event => panic!("a stranger is told {event:?}"),
        }
    }
}
