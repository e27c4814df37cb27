//! Committed vectors of the doors of rooms: whom they let in, and what they refuse.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod reference;
mod support;

use cadastre_protocol::{
    Access, CodecError, Context, Digest, Door, EnterAs, Failure, Invitation, InvitationError, Millis, Pass,
    Password, PublicKey, RoomName, SecretKey, ShownPass, SignedInvitation, Visit, encode, hash,
    prove_password,
};
use reference::{assert_committed, h, objects::Bytes, ramp};
use serde::Serialize;
use support::{CREATED, identity, key, root, samples::invitations, samples::room, seat, weak_key};

#[test]
fn the_committed_doors_let_in_whom_they_should() {
    let vectors = Vectors {
        passwords: passwords(),
        doors: cases().into_iter().map(|(name, case)| case.vector(name)).collect(),
    };
    assert_committed("access.json", include_str!("vectors/access.json"), &vectors);
}

#[test]
fn an_invitation_is_written_as_the_document_says() {
    for (name, invitation) in invitations() {
        let by_hand = Bytes::default()
            .u8(1)
            .raw(root().public().as_bytes())
            .counted(b"Table_1.a-b")
            .option(invitation.guest, |to, guest| to.raw(guest.as_bytes()))
            .u32(if name == "to play" { 0 } else { 1 })
            .u64(CREATED.get())
            .0;
        let signed = SignedInvitation::sign(&identity(seat(0)), &invitation);
        assert_eq!(signed.body, by_hand, "{name}");
        let digest = Digest::new(h("invitation", &[&by_hand]));
        assert!(
            identity(seat(0)).enrolled().verify(Context::Invitation, digest, &signed.signature).is_ok(),
            "{name}"
        );
    }
}

#[test]
fn a_password_is_text_of_a_certain_length() {
    assert!(Password::new("x").is_some() && Password::new(&"x".repeat(128)).is_some());
    for bad in ["", &"x".repeat(129), "a\nb", "a\u{7f}"] {
        assert!(Password::new(bad).is_none(), "{bad:?}");
    }
    assert!(!format!("{:?}", Password::new("sesame").unwrap()).contains("sesame"));
}

#[test]
fn every_bit_of_a_pass_counts() {
    let case = good_invitation();
    let Some(Pass::Invitation(good)) = case.pass.clone() else { panic!() };
    for bit in 0..good.body.len() * 8 {
        let mut bent = good.clone();
        bent.body[bit / 8] ^= 1 << (bit % 8);
        let case = Case { pass: Some(Pass::Invitation(bent)), ..case.clone() };
        assert_eq!(case.outcome(), Err(Failure::NotInvited), "bit {bit}");
    }
}

/// Somebody at a door.
#[derive(Clone)]
struct Case {
    door: Door,
    service: PublicKey,
    room: RoomName,
    identity: PublicKey,
    enter_as: EnterAs,
    now: Millis,
    session: Digest,
    pass: Option<Pass>,
}

impl Case {
    fn visit(&self) -> Visit<'_> {
        let Self { service, ref room, identity, enter_as, now, .. } = *self;
        Visit { service, room, identity, enter_as, now }
    }

    fn outcome(&self) -> Result<(), Failure> {
        let shown = self.pass.clone().map(|pass| ShownPass { pass, session: self.session });
        self.door.admit(&self.visit(), shown.as_ref())
    }

    /// What is wrong with the invitation, if there is one for such a door.
    fn reason(&self) -> Option<InvitationError> {
        match (&self.door, &self.pass) {
            (Door::ByInvitation { opener }, Some(Pass::Invitation(invitation))) => {
                invitation.verify(&opener.enroll().ok()?, &self.visit()).err()
            }
            _ => None,
        }
    }

    fn vector(&self, name: &'static str) -> DoorVector {
        let reason = self.reason().map(|reason| reference::name(&reason));
        DoorVector {
            name,
            door: hex::encode(encode(&self.door)),
            service: self.service.to_string(),
            room: self.room.to_string(),
            identity: self.identity.to_string(),
            enter_as: if self.enter_as == EnterAs::Player { "Player" } else { "Spectator" },
            now_ms: self.now.get(),
            session: self.session.to_string(),
            pass: hex::encode(encode(&self.pass)),
            refused: self.outcome().err().map(|failure| format!("{failure:?}")),
            reason,
        }
    }
}

/// As it should be: seat 1 comes with an invitation by seat 0, in its last millisecond.
fn good_invitation() -> Case {
    let [(_, invitation), _] = invitations();
    Case {
        door: Door::ByInvitation { opener: identity(seat(0)).public() },
        service: root().public(),
        room: room(),
        identity: identity(seat(1)).public(),
        enter_as: EnterAs::Player,
        now: Millis::new(CREATED.get() - 1),
        session: Digest::new(ramp(0x70)),
        pass: Some(Pass::Invitation(SignedInvitation::sign(&identity(seat(0)), &invitation))),
    }
}

fn password_key() -> SecretKey {
    Password::new("Sésame, ouvre-toi").unwrap().key(root().public(), &room())
}

fn cases() -> Vec<(&'static str, Case)> {
    let good = good_invitation;
    let [(_, named), (_, open)] = invitations();
    let signed = |by: &SecretKey, invitation: &Invitation| {
        Some(Pass::Invitation(SignedInvitation::sign(by, invitation)))
    };
    let opener = identity(seat(0));
    let bent = |change: &dyn Fn(&mut Invitation)| {
        let mut invitation = named.clone();
        change(&mut invitation);
        Case { pass: signed(&opener, &invitation), ..good() }
    };
    let elsewhere = RoomName::new("elsewhere").unwrap();
    let body = encode(&named);
    let other_context = opener.sign(Context::Delegation, hash(Context::Delegation, &[&body]));
    let of_body = |body: &[u8]| {
        let signature = opener.sign(Context::Invitation, hash(Context::Invitation, &[body]));
        Some(Pass::Invitation(SignedInvitation { body: body.to_vec(), signature }))
    };
    let longer = [&body[..], &[0]].concat();
    let watching = Case { enter_as: EnterAs::Spectator, pass: signed(&opener, &open), ..good() };
    let secret = password_key();
    let session = good().session;
    let knows = || Case {
        door: Door::ByPassword { key: secret.public() },
        pass: Some(prove_password(&secret, session, &room())),
        ..good()
    };
    let wrong = Password::new("sésame, ouvre-toi").unwrap().key(root().public(), &room());
    vec![
        ("open door", Case { door: Door::Open, pass: None, ..good() }),
        ("open door, and something shown", Case { door: Door::Open, ..good() }),
        ("invited", good()),
        ("invited as whoever has it", watching.clone()),
        ("opener without an invitation", Case { identity: opener.public(), pass: None, ..good() }),
        ("no invitation", Case { pass: None, ..good() }),
        ("password in place of an invitation", Case { pass: knows().pass, ..good() }),
        ("invitation of version 2", bent(&|invitation| invitation.version = 2)),
        ("invitation with a byte more", Case { pass: of_body(&longer), ..good() }),
        ("invitation by another opener", Case { pass: signed(&identity(seat(2)), &named), ..good() }),
        (
            "invitation signed in another context",
            Case {
                pass: Some(Pass::Invitation(SignedInvitation {
                    body: body.clone(),
                    signature: other_context,
                })),
                ..good()
            },
        ),
        ("invitation to another service", bent(&|invitation| invitation.service = key(1).public())),
        ("invitation to another room", Case { room: elsewhere.clone(), ..good() }),
        ("invitation for somebody else", Case { identity: identity(seat(2)).public(), ..good() }),
        ("invitation to play, shown to watch", Case { enter_as: EnterAs::Spectator, ..good() }),
        ("invitation to watch, shown to play", Case { enter_as: EnterAs::Player, ..watching }),
        ("expired invitation", Case { now: CREATED, ..good() }),
        ("weak key of the opener", Case { door: Door::ByInvitation { opener: weak_key() }, ..good() }),
        ("password", knows()),
        ("password, whoever it is", Case { identity: key(3).public(), ..knows() }),
        ("no password", Case { pass: None, ..knows() }),
        ("invitation in place of a password", Case { pass: good().pass, ..knows() }),
        ("another password", Case { pass: Some(prove_password(&wrong, session, &room())), ..knows() }),
        ("proof of another session", Case { session: Digest::new(ramp(0x71)), ..knows() }),
        ("proof for another room", Case { room: elsewhere, ..knows() }),
        ("weak key of a password", Case { door: Door::ByPassword { key: weak_key() }, ..knows() }),
    ]
}

fn passwords() -> Vec<PasswordVector> {
    let vector = |text: &str, service: PublicKey, room: RoomName| {
        let secret = Password::new(text).unwrap().key(service, &room);
        let session = Digest::new(ramp(0x70));
        let Pass::Password(proof) = prove_password(&secret, session, &room) else { panic!() };
        let salt = h("password salt", &[service.as_bytes(), room.as_str().as_bytes()]);
        assert_eq!(
            Digest::new(salt),
            hash(Context::PasswordSalt, &[service.as_bytes(), room.as_str().as_bytes()])
        );
        PasswordVector {
            password: text.into(),
            service: service.to_string(),
            room: room.to_string(),
            salt: hex::encode(salt),
            seed: hex::encode(*secret.seed()),
            key: secret.public().to_string(),
            session: session.to_string(),
            proof: hex::encode(proof.as_bytes()),
        }
    };
    let other = RoomName::new("a").unwrap();
    vec![
        vector("Sésame, ouvre-toi", root().public(), room()),
        vector("x", root().public(), other.clone()),
        vector("x", key(1).public(), other),
    ]
}

/// Puts one thing right.
type Mend = fn(&mut Invitation, &Invitation);

#[test]
fn refusals_come_in_the_order_of_the_checks() {
    // Everything is wrong at once; the first check that is put right shows the next.
    let [(_, good), _] = invitations();
    let visit = good_invitation();
    let steps: [(Mend, InvitationError); 5] = [
        (|_, _| (), InvitationError::OtherService),
        (|bent, good| bent.service = good.service, InvitationError::OtherRoom),
        (|bent, good| bent.room = good.room.clone(), InvitationError::OtherGuest),
        (|bent, good| bent.guest = good.guest, InvitationError::OtherRole),
        (|bent, good| bent.enter_as = good.enter_as, InvitationError::Expired),
    ];
    let mut bent = Invitation {
        service: key(1).public(),
        room: RoomName::new("elsewhere").unwrap(),
        guest: Some(key(2).public()),
        enter_as: EnterAs::Spectator,
        valid_to: Millis::new(0),
        ..good.clone()
    };
    let opener = identity(seat(0));
    for (mend, expected) in steps {
        mend(&mut bent, &good);
        let signed = SignedInvitation::sign(&opener, &bent);
        assert_eq!(signed.verify(&opener.enrolled(), &visit.visit()), Err(expected));
        let unsigned =
            SignedInvitation { signature: key(4).sign(Context::Invitation, Digest::ZERO), ..signed };
        assert_eq!(
            unsigned.verify(&opener.enrolled(), &visit.visit()),
            Err(InvitationError::BadSignature),
            "before {expected:?}"
        );
    }
    let cut = SignedInvitation { body: Vec::new(), ..SignedInvitation::sign(&opener, &good) };
    let malformed = InvitationError::Encoding(CodecError::Malformed);
    assert_eq!(cut.verify(&opener.enrolled(), &visit.visit()), Err(malformed));
    assert_eq!(
        encode(&Access::PUBLIC),
        [0, 0, 0, 0, 1],
        "the door as a choice, then whether the room is listed"
    );
}

#[derive(Serialize)]
struct Vectors {
    passwords: Vec<PasswordVector>,
    doors: Vec<DoorVector>,
}

#[derive(Serialize)]
struct PasswordVector {
    password: String,
    service: String,
    room: String,
    salt: String,
    seed: String,
    key: String,
    session: String,
    proof: String,
}

#[derive(Serialize)]
struct DoorVector {
    name: &'static str,
    door: String,
    service: String,
    room: String,
    identity: String,
    enter_as: &'static str,
    now_ms: u64,
    session: String,
    pass: String,
    refused: Option<String>,
    reason: Option<String>,
}
