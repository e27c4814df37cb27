//! Doors: who is let into a room, whatever it is doing, and who gets no further.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use cadastre_protocol::{
    Access, Delegation, Digest, Door, EnterAs, Epoch, Failure, Invitation, Millis, Pass, Password, RoomName,
    RoomSpec, SecretKey, ServerMessage, ShownPass, SignedDelegation, SignedInvitation, prove_password,
};
use cadastre_rooms::{GuestId, Input};
use support::{NOW, Shell, Told, host, identity, key, name, room_name, seat, spec};

/// Who opens the rooms: no player.
const OPENER: u8 = 9;

/// When the invitations expire.
const VALID_TO: Millis = Millis::new(NOW.get() + 1_000);

#[test]
fn a_room_by_invitation_lets_in_whoever_is_invited() {
    let mut shell = Shell::open(by_invitation());
    let refused = [Told::NotAdmitted(Failure::NotInvited)];
    let uninvited = shell.enter(0);
    assert_eq!(shell.told(uninvited), refused);
    assert_eq!(shell.room.seats_taken(), 0);
    let invited = come(&mut shell, 0, EnterAs::Player, invitation(Some(0), EnterAs::Player));
    assert!(matches!(shell.messages(invited)[..], [ServerMessage::Lobby(_)]));
    let other = come(&mut shell, 1, EnterAs::Player, invitation(Some(0), EnterAs::Player));
    assert_eq!(shell.told(other), refused, "it is for somebody else");
    let watcher = come(&mut shell, 1, EnterAs::Spectator, invitation(None, EnterAs::Spectator));
    assert!(matches!(shell.messages(watcher)[..], [ServerMessage::Lobby(_)]));
    let opener = shell.watch(OPENER);
    assert!(matches!(shell.messages(opener)[..], [ServerMessage::Lobby(_)]), "who opened it needs none");
    shell.now = VALID_TO;
    let late = come(&mut shell, 1, EnterAs::Player, invitation(None, EnterAs::Player));
    assert_eq!(shell.told(late), refused, "it has expired");
}

#[test]
fn an_outsider_learns_nothing_of_a_room_but_its_door() {
    let refused = [Told::NotAdmitted(Failure::NotInvited)];
    // Full, starting or playing: all look the same from outside.
    for mut shell in [full(by_invitation()), playing(by_invitation())] {
        let player = shell.enter(5);
        assert_eq!(shell.told(player), refused);
        let watcher = shell.watch(5);
        assert_eq!(shell.told(watcher), refused);
        let resumed = shell.resume(5, EnterAs::Spectator, 0);
        assert_eq!(shell.told(resumed), refused);
    }
}

#[test]
fn a_seat_is_its_holders_without_an_invitation() {
    let mut shell = playing(by_invitation());
    shell.now = VALID_TO.after(1);
    let resumed = shell.resume(0, EnterAs::Player, 1);
    assert!(!matches!(shell.told(resumed)[..], [Told::NotAdmitted(_)]));
    let entered = shell.enter(1);
    assert!(matches!(shell.messages(entered)[0], ServerMessage::Genesis { .. }));
    // To watch, the same identity needs one.
    let watcher = shell.watch(0);
    assert_eq!(shell.told(watcher), [Told::NotAdmitted(Failure::NotInvited)]);
}

#[test]
fn a_door_outlasts_a_restart_and_a_sleep() {
    for come_back in [Shell::crash, Shell::wake_up] {
        let mut shell = playing(by_invitation());
        shell.leave(shell.guests[0]);
        shell.leave(shell.guests[1]);
        come_back(&mut shell);
        assert_eq!(shell.room.access(), by_invitation().access);
        let watcher = shell.watch(5);
        assert_eq!(shell.told(watcher), [Told::NotAdmitted(Failure::NotInvited)]);
        let watcher = come(&mut shell, 5, EnterAs::Spectator, invitation(None, EnterAs::Spectator));
        assert!(matches!(shell.messages(watcher)[0], ServerMessage::Genesis { .. }));
        let resumed = resume(&mut shell, 6, invitation(None, EnterAs::Spectator));
        assert!(!matches!(shell.told(resumed)[..], [Told::NotAdmitted(_)]));
    }
}

#[test]
fn a_door_is_that_of_a_rematch_too() {
    let mut shell = playing(RoomSpec { turns_max: Some(1), ..by_invitation() });
    shell.pass_turn();
    shell.now = VALID_TO.after(1);
    let guests = shell.guests.clone();
    guests.iter().for_each(|guest| shell.feed(Input::Rematch { guest: *guest }));
    assert_eq!((shell.room.chain().map(|_| ()), shell.room.access()), (None, by_invitation().access));
    assert_eq!(shell.room.spec().unwrap().access, by_invitation().access);
    let uninvited = shell.enter(5);
    assert_eq!(shell.told(uninvited), [Told::NotAdmitted(Failure::NotInvited)]);
    // The seats are taken: their holders need no invitation.
    let again = shell.enter(0);
    assert!(matches!(shell.messages(again)[..], [ServerMessage::Lobby(_)]));
}

#[test]
fn a_room_with_a_password_lets_in_whoever_knows_it() {
    let session = Digest::new([1; 32]);
    let secret = password_key("sesame");
    let door = Door::ByPassword { key: secret.public() };
    let mut shell = Shell::open(RoomSpec { access: Access { door, listed: true }, ..spec(2) });
    let refused = [Told::NotAdmitted(Failure::WrongPassword)];
    let proof = prove_password(&secret, session, &room_name());
    let shown = |pass: &Pass, session| Some(ShownPass { pass: pass.clone(), session });
    let nothing = shell.enter(0);
    assert_eq!(shell.told(nothing), refused);
    let wrong = prove_password(&password_key("Sesame"), session, &room_name());
    let wrong = come(&mut shell, 0, EnterAs::Player, shown(&wrong, session));
    assert_eq!(shell.told(wrong), refused);
    let replayed = come(&mut shell, 0, EnterAs::Player, shown(&proof, Digest::new([2; 32])));
    assert_eq!(shell.told(replayed), refused, "a proof is good in its own session only");
    let elsewhere = prove_password(&secret, session, &RoomName::new("elsewhere").unwrap());
    let elsewhere = come(&mut shell, 0, EnterAs::Player, shown(&elsewhere, session));
    assert_eq!(shell.told(elsewhere), refused);
    let knows = come(&mut shell, 0, EnterAs::Player, shown(&proof, session));
    assert!(matches!(shell.messages(knows)[..], [ServerMessage::Lobby(_)]));
    // The seat is taken: on the next connection the player has it without.
    let again = shell.enter(0);
    assert!(matches!(shell.messages(again)[..], [ServerMessage::Lobby(_)]));
}

#[test]
fn the_loan_of_a_seat_lets_in_to_play_and_not_to_watch() {
    let mut shell = playing(by_invitation());
    let (version, match_id, session) = (Delegation::VERSION, shell.chain().match_id(), identity(5));
    let loan = Delegation { version, match_id, seat: seat(0), epoch: Epoch::new(1), session, valid_to: None };
    let loan = || Some(Pass::Loan(SignedDelegation::sign(&key(0), &loan)));
    let watcher = shell.enter_with(5, EnterAs::Spectator, loan());
    assert_eq!(shell.told(watcher), [Told::NotAdmitted(Failure::NotInvited)]);
    let substitute = shell.enter_with(5, EnterAs::Player, loan());
    assert!(matches!(shell.messages(substitute)[0], ServerMessage::Genesis { .. }));
    let stranger = shell.enter_with(6, EnterAs::Player, loan());
    assert_eq!(shell.told(stranger), [Told::NotAdmitted(Failure::NotInvited)]);
}

fn by_invitation() -> RoomSpec {
    let door = Door::ByInvitation { opener: identity(OPENER) };
    RoomSpec { access: Access { door, listed: false }, ..spec(2) }
}

fn invitation(guest: Option<u8>, enter_as: EnterAs) -> Option<ShownPass> {
    let invitation = Invitation {
        version: Invitation::VERSION,
        service: host().root,
        room: room_name(),
        guest: guest.map(identity),
        enter_as,
        valid_to: VALID_TO,
    };
    let pass = Pass::Invitation(SignedInvitation::sign(&key(OPENER), &invitation));
    Some(ShownPass { pass, session: Digest::ZERO })
}

fn password_key(text: &str) -> SecretKey {
    Password::new(text).unwrap().key(host().root, &room_name())
}

fn come(shell: &mut Shell, player: u8, enter_as: EnterAs, shown: Option<ShownPass>) -> GuestId {
    let guest = shell.new_guest();
    shell.feed(Input::Enter {
        guest,
        identity: identity(player),
        enter_as,
        name: name(player),
        shown: shown.map(Box::new),
    });
    guest
}

fn resume(shell: &mut Shell, player: u8, shown: Option<ShownPass>) -> GuestId {
    let (guest, enter_as) = (shell.new_guest(), EnterAs::Spectator);
    let (identity, height) = (identity(player), cadastre_protocol::Height::GENESIS);
    shell.feed(Input::Resume { guest, identity, enter_as, height, known: true, shown: shown.map(Box::new) });
    guest
}

fn full(spec: RoomSpec) -> Shell {
    let mut shell = Shell::open(spec);
    shell.guests =
        (0..2).map(|who| come(&mut shell, who, EnterAs::Player, invitation(None, EnterAs::Player))).collect();
    shell
}

fn playing(spec: RoomSpec) -> Shell {
    let mut shell = full(spec);
    for guest in shell.guests.clone() {
        shell.ready(guest);
    }
    for number in 0..2 {
        shell.submit(shell.guest(seat(number)), shell.join(seat(number)));
    }
    assert!(shell.room.chain().is_some());
    shell
}
