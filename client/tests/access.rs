//! What a session shows at the door of a room: for each connection its own, and nothing where nothing is asked.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use cadastre_client::{Config, Credential, Session};
use cadastre_protocol::{
    ClientMessage, Digest, Door, EnterAs, Failure, Invitation, Millis, Pass, Password, SecretKey,
    ServerMessage, ShownPass, SignedInvitation, TurnMode, Visit,
};
use support::{player, root_key, spec};

#[test]
fn each_connection_has_its_own_proof_of_the_password() {
    let password = Password::new("sesame").unwrap();
    let config = with(Some(Credential::Password(password.clone())));
    let key = password.key(root_key().public(), &config.room).public();
    let mut session = Session::new(config.clone());
    let is_let_in = |pass: Option<Pass>, session| {
        let shown = pass.map(|pass| ShownPass { pass, session });
        Door::ByPassword { key }.admit(&visit(&config), shown.as_ref())
    };
    let names = [1, 2].map(|byte| Digest::new([byte; 32]));
    let passes = names.map(|name| {
        session.connected(root_key().public(), name);
        let entered = entered(&mut session);
        session.disconnected("lost".into());
        entered
    });
    assert_eq!(is_let_in(passes[0].clone(), names[0]), Ok(()));
    assert_eq!(is_let_in(passes[1].clone(), names[1]), Ok(()));
    assert_eq!(is_let_in(passes[0].clone(), names[1]), Err(Failure::WrongPassword));
}

#[test]
fn a_room_that_is_opened_gets_the_password() {
    let password = Password::new("sesame").unwrap();
    let config = with(Some(Credential::Password(password.clone())));
    let mut session = Session::new(config.clone());
    session.connected(root_key().public(), Digest::ZERO);
    entered(&mut session);
    session.receive(ServerMessage::Failed(Failure::NoSuchRoom), root_key().public()).unwrap();
    let Some(ClientMessage::Create { spec, .. }) = session.poll_send() else { panic!() };
    let key = password.key(root_key().public(), &config.room).public();
    assert_eq!(spec.access.door, Door::ByPassword { key });
}

#[test]
fn an_invitation_is_shown_as_it_came() {
    let opener = SecretKey::from_seed(&[77; 32]);
    let mut config = with(None);
    let invitation = Invitation {
        version: Invitation::VERSION,
        service: root_key().public(),
        room: config.room.clone(),
        guest: Some(config.identity.public()),
        enter_as: EnterAs::Player,
        valid_to: Millis::new(1),
    };
    let signed = SignedInvitation::sign(&opener, &invitation);
    config.credential = Some(Credential::Invitation(signed.clone()));
    let mut session = Session::new(config);
    session.connected(root_key().public(), Digest::ZERO);
    assert_eq!(entered(&mut session), Some(Pass::Invitation(signed)));

    let mut session = Session::new(with(None));
    session.connected(root_key().public(), Digest::ZERO);
    assert_eq!(entered(&mut session), None);
}

fn with(credential: Option<Credential>) -> Config {
    Config { credential, ..player(0, &spec(2, TurnMode::Simultaneous)) }
}

fn entered(session: &mut Session) -> Option<Pass> {
    match session.poll_send() {
        Some(ClientMessage::Enter { pass, .. }) => pass,
        other => panic!("{other:?}"),
    }
}

fn visit(config: &Config) -> Visit<'_> {
    Visit {
        service: root_key().public(),
        room: &config.room,
        identity: config.identity.public(),
        enter_as: EnterAs::Player,
        now: Millis::new(0),
    }
}
