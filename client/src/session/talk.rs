//! What a session says to those who are in the room, and hears of them.

use cadastre_protocol::{
    ClientMessage, DisplayName, Line, PublicKey, Reaction, Seat, TalkHash, TalkPlace, Text, Words,
};

use super::{Event, Session, SessionError};
use crate::{
    follower::Follower,
    talk::{Heard, SayError},
};

impl Session {
    /// Says something to those who are in the room. It comes back as an [`Event::Said`], or an
    /// [`Event::NotSaid`]; after a lost connection it is said again by itself, as the same bytes.
    ///
    /// # Errors
    ///
    /// In the order of [`SayError`]'s variants; the first that applies. Nothing was signed.
    pub fn say(&mut self, text: Text) -> Result<TalkHash, SayError> {
        self.utter(Words::Text(text))
    }

    /// Says something without words.
    ///
    /// # Errors
    ///
    /// As [`Session::say`].
    pub fn react(&mut self, reaction: Reaction) -> Result<TalkHash, SayError> {
        self.utter(Words::Reaction(reaction))
    }

    fn utter(&mut self, words: Words) -> Result<TalkHash, SayError> {
        let signed = self.talking.say(&self.config.identity, words)?;
        let name = signed.hash();
        self.outbox.push_back(ClientMessage::Say(signed));
        Ok(name)
    }

    /// Can something be said?
    pub const fn is_in_conversation(&self) -> bool {
        self.talking.is_joined()
    }

    /// How the holder of a seat is called.
    pub fn name_of(&self, seat: Seat) -> Option<&DisplayName> {
        let names = self.follower.as_ref().map(Follower::names);
        let names = names.or_else(|| self.light.as_ref().map(|light| light.names()));
        let in_match = names.and_then(|names| names.get(seat.index()));
        let sits = || self.agreed.as_ref()?.seats.iter().find(|it| it.seat == seat).map(|it| &it.name);
        in_match.or_else(sits)
    }

    /// Tells no more of what somebody says. It is checked all the same.
    pub fn mute(&mut self, author: PublicKey) {
        self.talking.mute(author);
    }

    /// Tells again of what somebody says from now on.
    pub fn unmute(&mut self, author: PublicKey) {
        self.talking.unmute(author);
    }

    /// The server says where one talks now, and what was said there.
    pub(super) fn converse(
        &mut self,
        place: TalkPlace,
        lines: Vec<Line>,
        root: PublicKey,
    ) -> Result<(), SessionError> {
        let is_here = match &place {
            TalkPlace::Lobby { service, room, .. } => {
                (*service, room) == (root, &self.config.room) && !self.has_blocks()
            }
            TalkPlace::Match(id) => {
                let light = || self.light.as_ref().map(|light| light.head().match_id());
                self.follower.as_ref().map(|it| it.chain().match_id()).or_else(light) == Some(*id)
            }
        };
        if !is_here {
            return Err(SessionError::Unexpected);
        }
        let (heard, again) = self.talking.join(place, lines);
        self.outbox.extend(again.into_iter().map(ClientMessage::Say));
        self.tell_heard(heard);
        Ok(())
    }

    pub(super) fn tell_heard(&mut self, heard: Vec<Heard>) {
        for heard in heard {
            let event = match heard {
                Heard::Begun => Event::Conversing,
                Heard::Said(said) => Event::Said { seat: self.seat_of(said.author), said },
                Heard::Missed(lines) => Event::TalkMissed { lines },
                Heard::NotSaid(talk, refusal) => Event::NotSaid { talk, refusal },
                Heard::Broken(error) => Event::TalkBroken { error },
            };
            self.events.push_back(event);
        }
    }

    fn seat_of(&self, identity: PublicKey) -> Option<Seat> {
        let light = || self.light.as_ref().and_then(|light| light.genesis().seat_of(identity));
        let in_match = self.follower.as_ref().map_or_else(light, |it| it.chain().seat_of(identity));
        let sits = || self.agreed.as_ref()?.seats.iter().find(|seat| seat.identity == identity);
        in_match.or_else(|| sits().map(|seat| seat.seat))
    }
}
