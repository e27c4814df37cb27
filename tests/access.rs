//! Private rooms over real connections: invitations, passwords, rooms that are not listed.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "only in tests")]

mod support;

use cadastre_protocol::{
    Access, ClientMessage, Door, EnterAs, Failure, Height, Invitation, Limit, Millis, Pass, Password,
    RoomName, RoomSpec, ServerMessage, SignedInvitation, prove_password,
};
use support::{
    Scene, Server, boxes, identity,
    peer::{Peer, now},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bots_with_an_invitation_play_in_a_room_that_others_do_not_even_see() {
    let scene = Scene::new();
    let server = scene.serve().await;
    let at = server.arguments();
    for key in ["opener", "friend.0", "friend.1"] {
        scene.run(&format!("key new {key}")).await.ok();
    }
    let create = format!("room create den --rules boxes --size 4 --turns 400 --invite-only --unlisted {at}");
    assert!(scene.run(&create).await.refused(2).contains("--key"));
    scene.run(&format!("{create} --key opener")).await.ok();
    assert_eq!(server.get_json("/rooms").await["rooms"], serde_json::json!([]));
    assert_eq!(server.get_json("/health").await["rooms"], 1);

    let bots = format!("bot --json --room den --count 2 --turns 2 --key friend {at}");
    assert!(scene.run(&bots).await.refused(3).contains("by invitation"));
    scene.run(&format!("room invite den --key opener --out play {at}")).await.ok();
    scene.run(&format!("room invite den --key opener --watch --out watch {at}")).await.ok();
    assert!(scene.run(&format!("{bots} --invitation watch")).await.refused(3).contains("by invitation"));
    scene.run(&format!("{bots} --invitation play")).await.ok();
    // The seats are theirs now, and the match is nobody else's to see.
    scene.run(&bots.replace("--turns 2", "--turns 4")).await.ok();
    assert_eq!(server.get_json("/matches").await["matches"], serde_json::json!([]));
    let (status, why) = server.get("/rooms/den/replay").await;
    assert_eq!((status, why.contains("not everybody may watch")), (403, true), "{why}");
    assert!(scene.run(&format!("watch --room den {at}")).await.refused(3).contains("by invitation"));
    let invited = format!("room invite den --key opener --watch --guest {} --out named {at}", server.root);
    let named = scene.run(&format!("{invited} --json")).await.ok().only_json();
    assert_eq!(named["guest"], server.root.to_string());
    let watch = scene.run(&format!("watch --room den --invitation named {at}")).await;
    assert!(watch.refused(3).contains("by invitation"), "it is for somebody else");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bots_with_the_password_play_and_others_do_not() {
    let scene = Scene::new();
    let server = scene.serve().await;
    let at = server.arguments();
    scene.write("right", "Sésame, ouvre-toi\n");
    scene.write("wrong", "sesame\n");
    scene.write("empty", "\n");
    scene
        .run(&format!("room create vault --rules boxes --size 4 --turns 3 --password right {at}"))
        .await
        .ok();
    assert_eq!(server.get_json("/rooms?access=password").await["rooms"][0]["room"], "vault");
    let bots = format!("bot --room vault --count 2 --turns 3 {at}");
    assert!(scene.run(&bots).await.refused(3).contains("has a password"));
    assert!(scene.run(&format!("{bots} --password wrong")).await.refused(3).contains("has a password"));
    assert!(scene.run(&format!("{bots} --password empty")).await.refused(2).contains("is no password"));
    scene.run(&format!("{bots} --password right")).await.ok();
    assert!(server.metric("cadastre_requests_failed_total{reason=\"wrong-password\"}").await >= 2);
    // Bots that open a room give it their password.
    scene.run(&format!("bot --room own --count 2 --turns 2 --rules boxes --password right {at}")).await.ok();
    assert_eq!(server.get_json("/rooms?access=password").await["rooms"].as_array().unwrap().len(), 2);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_shown_at_a_door_is_good_for_one_player_service_room_and_time() {
    let scene = Scene::new();
    let server = scene.serve().await;
    let mut opener = Peer::login(&server, &identity(60)).await;
    let by = |who| Door::ByInvitation { opener: identity(who).public() };
    assert_eq!(create(&mut opener, "den", by(61)).await, ServerMessage::Failed(Failure::BadSpec));
    assert!(matches!(create(&mut opener, "den", by(60)).await, ServerMessage::Created { .. }));

    let mut guest = Peer::login(&server, &identity(62)).await;
    let good = invitation(&server, "den");
    let expired = Invitation { valid_to: Millis::new(now().get() - 1), ..good.clone() };
    let other_room = Invitation { room: RoomName::new("lair").unwrap(), ..good.clone() };
    let other_service = Invitation { service: identity(60).public(), ..good.clone() };
    let other_guest = Invitation { guest: Some(identity(61).public()), ..good.clone() };
    for (by, bad) in
        [(60, expired), (60, other_room), (60, other_service), (60, other_guest), (61, good.clone())]
    {
        let answer = enter(&mut guest, "den", Some(signed(by, &bad))).await;
        assert_eq!(answer, ServerMessage::Failed(Failure::NotInvited), "{bad:?} by {by}");
    }
    assert_eq!(server.metric("cadastre_requests_failed_total{reason=\"not-invited\"}").await, 5);
    let entered = enter(&mut guest, "den", Some(signed(60, &good))).await;
    assert!(matches!(entered, ServerMessage::Lobby(_)), "{entered:?}");

    let password = Password::new("sesame").unwrap();
    let room = RoomName::new("vault").unwrap();
    let secret = password.key(server.root, &room);
    let door = Door::ByPassword { key: secret.public() };
    assert!(matches!(create(&mut opener, "vault", door).await, ServerMessage::Created { .. }));
    let seen = prove_password(&secret, opener.session, &room);
    // The same player on another connection, with what was good on the first.
    let mut again = Peer::login(&server, &identity(60)).await;
    let replayed = enter(&mut again, "vault", Some(seen.clone())).await;
    assert_eq!(replayed, ServerMessage::Failed(Failure::WrongPassword));
    let proof = prove_password(&secret, again.session, &room);
    assert!(matches!(enter(&mut again, "vault", Some(proof)).await, ServerMessage::Lobby(_)));
    assert!(matches!(enter(&mut opener, "vault", Some(seen)).await, ServerMessage::Lobby(_)));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spectator_who_resumes_is_asked_again() {
    let scene = Scene::new();
    let server = scene.serve().await;
    scene.write("right", "sesame\n");
    let at = server.arguments();
    let access = "--rules boxes --size 4 --password right";
    scene.run(&format!("room create vault --turns 90 {access} {at}")).await.ok();
    scene.run(&format!("bot --room vault --count 2 --turns 1 --password right {at}")).await.ok();
    let mut stranger = Peer::login(&server, &identity(50)).await;
    let room = RoomName::new("vault").unwrap();
    let match_id = server.get_json("/rooms").await["rooms"][0]["match_id"].as_str().unwrap().to_owned();
    let match_id = cadastre_protocol::MatchId::new(cadastre_protocol::Digest::from_hex(&match_id).unwrap());
    let secret = Password::new("sesame").unwrap().key(server.root, &room);
    let resume = |pass| ClientMessage::Resume {
        match_id,
        enter_as: EnterAs::Spectator,
        height: Height::GENESIS,
        block: match_id.as_block(),
        pass,
    };
    stranger.say(&resume(None)).await;
    assert_eq!(stranger.hear().await, Ok(ServerMessage::Failed(Failure::WrongPassword)));
    stranger.say(&resume(Some(prove_password(&secret, stranger.session, &room)))).await;
    assert!(matches!(stranger.hear().await, Ok(ServerMessage::Block(_))));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_tries_too_many_passwords_is_told_so() {
    let scene = Scene::new();
    let server =
        scene.serve_configured("[limits]\npasswords_per_address_rate = { burst = 3, per_min = 1 }\n").await;
    let mut opener = Peer::login(&server, &identity(60)).await;
    let room = RoomName::new("vault").unwrap();
    let secret = identity(7);
    let door = Door::ByPassword { key: secret.public() };
    create(&mut opener, "vault", door).await;
    let mut guesser = Peer::login(&server, &identity(50)).await;
    let wrong = prove_password(&identity(8), guesser.session, &room);
    for _ in 0..3 {
        let answer = enter(&mut guesser, "vault", Some(wrong.clone())).await;
        assert_eq!(answer, ServerMessage::Failed(Failure::WrongPassword));
    }
    // Another identity of the same address has no more tries, and does not learn that this is the right one.
    let mut other = Peer::login(&server, &identity(51)).await;
    let right = prove_password(&secret, other.session, &room);
    let answer = enter(&mut other, "vault", Some(right)).await;
    let ServerMessage::Limited { limit: Limit::PasswordsPerAddress, retry_after_ms } = answer else {
        panic!("{answer:?}")
    };
    assert!((1..=60_001).contains(&retry_after_ms), "{retry_after_ms}");
    assert_eq!(server.metric("cadastre_limited_total{limit=\"passwords_per_address_rate\"}").await, 1);
    // Without a password the connection goes on.
    assert_eq!(enter(&mut other, "vault", None).await, ServerMessage::Failed(Failure::WrongPassword));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_match_begins_with_fewer_players_than_there_are_seats() {
    let scene = Scene::new();
    let server = scene.serve().await;
    let at = server.arguments();
    let create = format!("room create few --rules boxes --size 4 --turns 3 --seats 4 {at}");
    assert!(scene.run(&format!("{create} --seats-min 5")).await.refused(2).contains("--seats-min"));
    scene.run(&format!("{create} --seats-min 2")).await.ok();
    scene.run(&format!("bot --room few --count 2 --turns 3 {at}")).await.ok();
    let room = server.get_json("/rooms").await["rooms"][0].clone();
    assert_eq!((&room["phase"], &room["seats"]), (&"ended".into(), &2.into()));
    server.stop().await;
}

async fn create(peer: &mut Peer, room: &str, door: Door) -> ServerMessage {
    let spec = RoomSpec { access: Access { door, listed: true }, ..boxes(2, 4) };
    peer.say(&ClientMessage::Create { room: RoomName::new(room).unwrap(), spec }).await;
    peer.hear().await.unwrap()
}

async fn enter(peer: &mut Peer, room: &str, pass: Option<Pass>) -> ServerMessage {
    peer.enter_with(room, EnterAs::Player, pass).await;
    peer.hear().await.unwrap()
}

/// For whoever has it, to play, for an hour.
fn invitation(server: &Server, room: &str) -> Invitation {
    Invitation {
        version: Invitation::VERSION,
        service: server.root,
        room: RoomName::new(room).unwrap(),
        guest: None,
        enter_as: EnterAs::Player,
        valid_to: now().after(60 * 60 * 1000),
    }
}

fn signed(by: u8, invitation: &Invitation) -> Pass {
    Pass::Invitation(SignedInvitation::sign(&identity(by), invitation))
}
