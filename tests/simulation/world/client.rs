//! Those who play and watch: a process each, which may die and come back.

use cadastre_client::{Config, Session};
use cadastre_protocol::{
    BlockHash, DisplayName, EnterAs, Height, Millis, RoomName, RoomSpec, SealReason, SecretKey,
};

use crate::predictions::Model;

pub(super) struct Client {
    pub(super) config: Config,
    pub(super) session: Session,
    /// Number of the process; a session is its whole memory.
    pub(super) process: u64,
    pub(super) link: Option<u64>,
    /// Nothing gets through to it before.
    pub(super) isolated_until: Millis,
    pub(super) fate: Fate,
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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Playing,
    /// The match is over, and it knows.
    Ended(SealReason),
    /// Another process of the same player took its place.
    Replaced,
    /// It knows nothing of the match, which was over before it came.
    TooLate,
}

/// Player number `index` of a room, who opens it if it is missing.
pub(super) fn player(room: u8, index: u8, spec: &RoomSpec) -> Config {
    Config {
        identity: SecretKey::from_seed(&[room * 16 + index + 1; 32]),
        name: DisplayName::new(&format!("player {index}")).unwrap(),
        open: Some(spec.clone()),
        enter_as: EnterAs::Player,
        ..spectator(room)
    }
}

/// Somebody who watches, once there is something to watch.
pub(super) fn spectator(room: u8) -> Config {
    Config {
        identity: SecretKey::from_seed(&[200 + room; 32]),
        process: process_key(0),
        room: RoomName::new("arena").unwrap(),
        enter_as: EnterAs::Spectator,
        name: DisplayName::new("spectator").unwrap(),
        open: None,
        credential: None,
    }
}

/// Somebody who watches without executing anything.
pub(super) fn light(room: u8) -> Config {
    let identity = SecretKey::from_seed(&[220 + room; 32]);
    Config { identity, enter_as: EnterAs::Light, ..spectator(room) }
}

/// The key of a process that no other one has.
pub(super) fn process_key(number: u64) -> SecretKey {
    let mut seed = [0x70; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    SecretKey::from_seed(&seed)
}
