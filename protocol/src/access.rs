//! Who may come into a room: everybody, who is invited, or who knows a password. `docs/protocol.md`, "Access".
//!
//! # Requires
//!
//! - A password that is not guessed: whoever has the public key of a room, which the server and everybody in the
//!   room have, can try as many as he likes, at 19 MiB of memory and two passes over it each.
//!
//! # Provides
//!
//! - What lets one player into one room lets nobody else in, on no other connection, at no other service; an
//!   invitation for whoever has it excepted.
//! - The server never learns the password, and nothing from which it could make a proof of it.
//!
//! # Does not provide
//!
//! - Anything against the server itself: it lets in whom it likes.
//! - An end of an invitation before its time.

use argon2::{Algorithm, Argon2, Params, Version};
use bincode::{Decode, Encode};
use zeroize::Zeroizing;

use crate::{
    codec::{CodecError, Wire, decode_exact, encode},
    delegation::SignedDelegation,
    hash::{Context, Digest, hash},
    ids::Millis,
    keys::{EnrolledKey, PublicKey, SecretKey, Signature},
    message::{EnterAs, Failure, RoomName},
};

/// Longest password of a room, in bytes.
pub const PASSWORD_BYTES_MAX: usize = 128;

/// Memory in KiB and passes over it.
const PASSWORD_COST: (u32, u32) = (19 * 1024, 2);

/// Who may come into a room, and who hears of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Access {
    /// Who may come in.
    pub door: Door,
    /// Does the room stand in the public lists?
    pub listed: bool,
}

impl Access {
    /// Everybody may come in and hears of it.
    pub const PUBLIC: Self = Self { door: Door::Open, listed: true };
}

/// Who may come into a room. Who holds a seat of it always may, to play.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Door {
    /// Everybody.
    Open,
    /// Who shows an invitation, and whoever opened the room.
    ByInvitation {
        /// Who signs the invitations: the identity that opened the room.
        opener: PublicKey,
    },
    /// Who knows a password.
    ByPassword {
        /// Of the key that comes of the password; see [`Password::key`].
        key: PublicKey,
    },
}

impl Door {
    /// One word for lists.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::ByInvitation { .. } => "invitation",
            Self::ByPassword { .. } => "password",
        }
    }

    /// Lets a visitor in, or says why not.
    ///
    /// # Errors
    ///
    /// [`Failure::NotInvited`] and [`Failure::WrongPassword`], also for whoever shows nothing, or what belongs to
    /// another kind of door.
    pub fn admit(&self, visit: &Visit<'_>, shown: Option<&ShownPass>) -> Result<(), Failure> {
        match (self, shown.map(|shown| (&shown.pass, shown.session))) {
            (Self::Open, _) => Ok(()),
            (Self::ByInvitation { opener }, _) if *opener == visit.identity => Ok(()),
            (Self::ByInvitation { opener }, Some((Pass::Invitation(invitation), _))) => {
                let opener = opener.enroll().map_err(|_| Failure::NotInvited)?;
                invitation.verify(&opener, visit).map_err(|_| Failure::NotInvited)
            }
            (Self::ByInvitation { .. }, _) => Err(Failure::NotInvited),
            (Self::ByPassword { key }, Some((Pass::Password(proof), session))) => {
                let key = key.enroll().map_err(|_| Failure::WrongPassword)?;
                let proven = proof_digest(session, visit.room);
                key.verify(Context::PasswordProof, proven, proof).map_err(|_| Failure::WrongPassword)
            }
            (Self::ByPassword { .. }, _) => Err(Failure::WrongPassword),
        }
    }
}

/// Somebody at the door of a room.
#[derive(Clone, Copy, Debug)]
pub struct Visit<'a> {
    /// The service's root key.
    pub service: PublicKey,
    /// The room.
    pub room: &'a RoomName,
    /// Who it is, as the handshake proved.
    pub identity: PublicKey,
    /// As what it wants in.
    pub enter_as: EnterAs,
    /// The room's time.
    pub now: Millis,
}

/// What lets somebody into a room whose door is not open.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Pass {
    /// For [`Door::ByInvitation`].
    Invitation(SignedInvitation),
    /// For [`Door::ByPassword`]: made by [`prove_password`].
    Password(Signature),
    /// For a seat of a running match, whatever the door: signed by its holder to the identity that shows it.
    Loan(SignedDelegation),
}

/// A pass, and the session in which it was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownPass {
    /// The pass.
    pub pass: Pass,
    /// Name of the session, as both ends derive it.
    pub session: Digest,
}

/// What whoever opened a room signs for somebody who shall come in.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Invitation {
    /// Version of this layout: 1.
    pub version: u8,
    /// Root key of the service.
    pub service: PublicKey,
    /// Name of the room, whenever it is opened.
    pub room: RoomName,
    /// Who is invited; `None` for whoever has the invitation.
    pub guest: Option<PublicKey>,
    /// As what.
    pub enter_as: EnterAs,
    /// First millisecond at which it lets nobody in any more, by the server's clock.
    pub valid_to: Millis,
}

impl Invitation {
    /// The layout that this build writes.
    pub const VERSION: u8 = 1;
}

impl Wire for Invitation {
    const BYTES_MAX: usize = 128;

    fn validate(&self) -> Result<(), &'static str> {
        if self.version != Self::VERSION {
            Err("invitation version")
        } else if self.room.is_valid() {
            Ok(())
        } else {
            Err("room name")
        }
    }
}

/// An invitation as it was signed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SignedInvitation {
    /// Encoding of the [`Invitation`].
    pub body: Vec<u8>,
    /// By the identity key of whoever opened the room, under [`Context::Invitation`].
    pub signature: Signature,
}

impl SignedInvitation {
    /// Signs `invitation` with the identity key of whoever opens the room.
    pub fn sign(opener: &SecretKey, invitation: &Invitation) -> Self {
        let body = encode(invitation);
        let signature = opener.sign(Context::Invitation, hash(Context::Invitation, &[&body]));
        Self { body, signature }
    }

    /// What it says. Nobody has checked yet who signed it.
    ///
    /// # Errors
    ///
    /// It is not the encoding of an invitation.
    pub fn read(&self) -> Result<Invitation, CodecError> {
        decode_exact(&self.body)
    }

    /// Checks that it lets this visitor in.
    ///
    /// # Errors
    ///
    /// In the order of [`InvitationError`]'s variants; the first that applies.
    pub fn verify(&self, opener: &EnrolledKey, visit: &Visit<'_>) -> Result<(), InvitationError> {
        let invitation = self.read().map_err(InvitationError::Encoding)?;
        opener
            .verify(Context::Invitation, hash(Context::Invitation, &[&self.body]), &self.signature)
            .map_err(|_| InvitationError::BadSignature)?;
        let Invitation { service, room, guest, enter_as, valid_to, .. } = invitation;
        if service != visit.service {
            Err(InvitationError::OtherService)
        } else if room != *visit.room {
            Err(InvitationError::OtherRoom)
        } else if guest.is_some_and(|guest| guest != visit.identity) {
            Err(InvitationError::OtherGuest)
        } else if enter_as.is_to_play() != visit.enter_as.is_to_play() {
            Err(InvitationError::OtherRole)
        } else if visit.now >= valid_to {
            Err(InvitationError::Expired)
        } else {
            Ok(())
        }
    }
}

impl Wire for SignedInvitation {
    const BYTES_MAX: usize = 8 + Invitation::BYTES_MAX + 64;
}

/// Why an invitation does not let a visitor in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvitationError {
    /// Not the encoding of an invitation.
    #[error("invitation is malformed")]
    Encoding(#[source] CodecError),
    /// Not signed by whoever opened the room.
    #[error("invitation is not signed by whoever opened the room")]
    BadSignature,
    /// Of another service.
    #[error("invitation is to another service")]
    OtherService,
    /// To another room.
    #[error("invitation is to another room")]
    OtherRoom,
    /// For somebody else.
    #[error("invitation is for somebody else")]
    OtherGuest,
    /// To play in place of to watch, or the other way round.
    #[error("invitation is for the other role")]
    OtherRole,
    /// Its time is up.
    #[error("invitation has expired")]
    Expired,
}

/// The password of a room: 1 to 128 bytes of text without control characters. Wiped from memory when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// `None` when `text` cannot be one.
    pub fn new(text: &str) -> Option<Self> {
        let fits = (1..=PASSWORD_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
        fits.then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// The key that comes of it for a room: its public half stands in [`Door::ByPassword`]. Takes a hundredth of a
    /// second or more.
    pub fn key(&self, service: PublicKey, room: &RoomName) -> SecretKey {
        let salt = hash(Context::PasswordSalt, &[service.as_bytes(), room.as_str().as_bytes()]);
        let (memory, passes) = PASSWORD_COST;
        let mut seed = Zeroizing::new([0; 32]);
        Params::new(memory, passes, 1, Some(32))
            .map(|params| Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
            .and_then(|argon2| argon2.hash_password_into(self.0.as_bytes(), salt.as_bytes(), &mut *seed))
            .expect("cost, salt and output are of lengths that Argon2 takes");
        SecretKey::from_seed(&seed)
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Proves in a session that one has the key of a room's password. The session's name stands for both ends and
/// the service, so that the proof is worth nothing anywhere else.
pub fn prove_password(key: &SecretKey, session: Digest, room: &RoomName) -> Pass {
    Pass::Password(key.sign(Context::PasswordProof, proof_digest(session, room)))
}

fn proof_digest(session: Digest, room: &RoomName) -> Digest {
    hash(Context::PasswordProof, &[session.as_bytes(), room.as_str().as_bytes()])
}
