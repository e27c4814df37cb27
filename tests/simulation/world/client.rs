//! Those who play and watch: a process each, which may die and come back.

use std::ops::Range;

use cadastre_client::{Config, Credential, Session};
use cadastre_protocol::{
    Access, BlockHash, DisplayName, Door, EnterAs, Height, Invitation, MatchId, Millis, Password, PublicKey,
    RoomName, RoomSpec, SecretKey, SignedInvitation,
};

use crate::{
    plan::{Entry, Plan},
    predictions::Model,
    server::root_key,
};

use super::strangers::Trick;

pub(super) struct Client {
    pub(super) config: Config,
    pub(super) session: Session,
    /// Number of the process; a session is its whole memory.
    pub(super) process: u64,
    pub(super) link: Option<u64>,
    /// Nothing gets through to it before.
    pub(super) isolated_until: Millis,
    pub(super) fate: Fate,
    /// How it tries to come in, if it may not.
    pub(super) trick: Option<Trick>,
    /// It has gone away by itself, for so long.
    pub(super) away_ms: Option<Range<u64>>,
    /// When it said last that it joins a match.
    pub(super) joined: Option<Millis>,
    /// The last match that it knows to be over.
    pub(super) ended: Option<MatchId>,
    /// What its predictions are held against.
    pub(super) model: Model,
    /// When it handed in its commands for the open turn.
    pub(super) handed_in: Option<Millis>,
}

impl Client {
    pub(super) fn height(&self) -> Height {
        let light = self.session.light().map(|light| light.head().height());
        let followed = self.session.follower().map(|follower| follower.chain().head().height);
        light.or(followed).unwrap_or_default()
    }

    pub(super) fn block(&self) -> BlockHash {
        let light = self.session.light().map(|light| light.head().block());
        let followed = self.session.follower().map(|follower| follower.chain().head().block);
        light.or(followed).unwrap()
    }

    /// The match that it knows of.
    pub(super) fn match_id(&self) -> Option<MatchId> {
        let light = self.session.light().map(|light| light.head().match_id());
        light.or_else(|| Some(self.session.follower()?.chain().match_id()))
    }

    /// Is it in no match that is not over?
    pub(super) fn is_idle(&self) -> bool {
        self.match_id().is_none_or(|match_id| self.ended == Some(match_id))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Playing,
    /// The match is over, it knows, and wants no other one any more.
    Ended,
    /// Another process of the same player took its place.
    Replaced,
    /// It knows nothing of the match, which was over before it came.
    TooLate,
    /// It was not let in, as it should be.
    TurnedAway,
}

/// Everybody who may come into a room: its players, and two who watch.
pub(super) fn of_room(room: u8, plan: &Plan) -> Vec<Config> {
    let players = (0..plan.spec.seats).map(|index| player(room, index, plan));
    let watching = [(200 + room, EnterAs::Spectator), (220 + room, EnterAs::Light)];
    let watching = watching.map(|(seed, enter_as)| somebody(seed, room, enter_as, plan.entry));
    players.chain(watching).collect()
}

/// Player number `index` of a room, who opens it if it is missing, and may.
fn player(room: u8, index: u8, plan: &Plan) -> Config {
    let door = match plan.entry {
        // The password's key is set by the session.
        Entry::Open | Entry::Password => Door::Open,
        Entry::Invited => Door::ByInvitation { opener: opener(room).public() },
    };
    let spec = RoomSpec { access: Access { door, ..plan.spec.access }, ..plan.spec.clone() };
    Config {
        name: DisplayName::new(&format!("player {index}")).unwrap(),
        open: Some(spec).filter(|_| index == 0 || plan.entry != Entry::Invited),
        ..somebody(room * 16 + index + 1, room, EnterAs::Player, plan.entry)
    }
}

/// Somebody who may come in.
fn somebody(seed: u8, room: u8, enter_as: EnterAs, entry: Entry) -> Config {
    let identity = SecretKey::from_seed(&[seed; 32]);
    let credential = match entry {
        Entry::Open => None,
        Entry::Invited => {
            let invitation = invitation(room, Some(identity.public()), enter_as);
            Some(Credential::Invitation(SignedInvitation::sign(&opener(room), &invitation)))
        }
        Entry::Password => Some(Credential::Password(Password::new("xyzzy").unwrap())),
    };
    Config {
        identity,
        process: process_key(0),
        room: name_of(room),
        enter_as,
        name: DisplayName::new("somebody").unwrap(),
        open: None,
        credential,
    }
}

pub(super) fn invitation(room: u8, guest: Option<PublicKey>, enter_as: EnterAs) -> Invitation {
    let (version, service) = (Invitation::VERSION, root_key().public());
    let valid_to = Millis::new(u64::MAX);
    Invitation { version, service, room: name_of(room), guest, enter_as, valid_to }
}

/// Who opens a room that one has to be invited to.
pub(super) fn opener(room: u8) -> SecretKey {
    SecretKey::from_seed(&[room * 16 + 1; 32])
}

pub(super) fn name_of(room: u8) -> RoomName {
    RoomName::new(&format!("arena-{room}")).unwrap()
}

/// The key of a process that no other one has.
pub(super) fn process_key(number: u64) -> SecretKey {
    let mut seed = [0x70; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    SecretKey::from_seed(&seed)
}
