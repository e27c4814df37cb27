//! Rooms and matches are listed in pages, by filters, in an order that stays.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "only in tests")]

mod support;

use cadastre_protocol::{ClientMessage, EnterAs, RoomName, RoomSpec, ServerMessage};
use serde_json::Value;
use support::{Scene, Server, boxes, city, identity, peer::Peer, table::Table};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rooms_are_listed_in_pages() {
    let scene = Scene::new();
    let server = scene.serve().await;
    let mut peer = Peer::login(&server, &identity(60)).await;
    for number in (0..7).rev() {
        let spec = if number % 2 == 0 { boxes(2, 4) } else { city(2, 4) };
        create(&mut peer, &format!("lobby-{number}"), spec).await;
    }
    let mut playing = Table::open(&server, "a-match", boxes(2, 4)).await;

    assert_eq!(walk(&server, "limit=3", &[3, 3, 2]).await.len(), 8);
    let all = walk(&server, "", &[8]).await;
    let sorted: Vec<_> = (0..7).map(|number| format!("lobby-{number}")).collect();
    assert_eq!((all[0].as_str(), &all[1..]), ("a-match", &sorted[..]));
    let names = ["lobby-1", "lobby-3", "lobby-5"];
    assert_eq!(walk(&server, "rules=city&phase=lobby&limit=2", &[2, 1]).await, names);
    assert_eq!(walk(&server, "rules=boxes/1", &[1]).await, ["a-match"], "a lobby has no version yet");
    assert_eq!(walk(&server, "phase=playing&rules=boxes", &[1]).await, ["a-match"]);
    assert_eq!(walk(&server, "open=0", &[1]).await, ["a-match"]);
    assert_eq!(walk(&server, "after=lobby-4x", &[2]).await, ["lobby-5", "lobby-6"], "no room has this name");
    assert_eq!(walk(&server, "after=zoo", &[0]).await, [""; 0]);

    // A full lobby is not open; opening one in front of the cursor does not move what comes after it.
    peer.enter("lobby-2", EnterAs::Player).await;
    peer.hear_until(|message| matches!(message, ServerMessage::Lobby(_))).await;
    let mut other = Peer::login(&server, &identity(61)).await;
    other.enter("lobby-2", EnterAs::Player).await;
    other
        .hear_until(|message| matches!(message, ServerMessage::Lobby(lobby) if lobby.seats.len() == 2))
        .await;
    other.say(&ClientMessage::Leave).await;
    create(&mut other, "b-new", boxes(2, 4)).await;
    let first = server.get_json("/rooms?limit=2&phase=lobby").await;
    assert_eq!(
        (&first["next"], &names_of(&first)[..]),
        (&"lobby-0".into(), &["b-new", "lobby-0"].map(String::from)[..])
    );

    for bad in
        ["phase=nowhere", "limit=-1", "limit=x", "open=yes", "after=%20", "colour=red", "limit=1&limit=2"]
    {
        let (status, body) = server.get(&format!("/rooms?{bad}")).await;
        assert_eq!((status, body.contains("the query is not understood")), (400, true), "{bad}: {body}");
    }
    playing.finish().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn matches_are_listed_in_pages() {
    let scene = Scene::new();
    let server = scene.serve().await;
    for room in ["one", "two", "three"] {
        Table::open(&server, room, boxes(2, 2)).await.finish().await;
    }
    let mut playing = Table::open(&server, "two-more", city(2, 4)).await;
    let rooms = |page: &Value| -> Vec<String> {
        page["matches"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["room"].as_str().unwrap().into())
            .collect()
    };
    let first = server.get_json("/matches?limit=3").await;
    assert_eq!(rooms(&first), ["two-more", "three", "two"]);
    let next = first["next"].as_str().unwrap();
    assert_eq!(next, first["matches"][2]["match_id"]);
    let second = server.get_json(&format!("/matches?limit=3&after={next}")).await;
    assert_eq!((rooms(&second), &second["next"]), (vec!["one".into()], &Value::Null));
    for (query, expected) in [
        ("phase=ended", &["three", "two", "one"][..]),
        ("phase=playing", &["two-more"]),
        ("rules=city", &["two-more"]),
        ("rules=boxes/1&room=two", &["two"]),
        ("room=nowhere", &[]),
    ] {
        assert_eq!(rooms(&server.get_json(&format!("/matches?{query}")).await), expected, "{query}");
    }
    for bad in ["after=00".into(), format!("after={}", "0".repeat(64)), "phase=lobby".into(), "x=1".into()] {
        assert_eq!(server.get(&format!("/matches?{bad}")).await.0, 400, "{bad}");
    }
    playing.finish().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_lists_rooms() {
    let scene = Scene::new();
    let server = scene.serve().await;
    let mut peer = Peer::login(&server, &identity(60)).await;
    for room in ["first", "second", "third"] {
        create(&mut peer, room, boxes(2, 4)).await;
    }
    let list = async |rest: &str| scene.run(&format!("room list {rest} {}", server.arguments())).await;
    let lines = list("--json --open --rules boxes --phase lobby --limit 2").await.ok().json();
    assert_eq!(lines[0], server.get_json("/rooms").await["rooms"][0]);
    assert_eq!((lines.len(), &lines[1]["room"], &lines[2]["next"]), (3, &"second".into(), &"second".into()));
    let rest = list("--after second").await.ok();
    assert!(rest.stdout.starts_with("third") && !rest.stdout.contains("there are more"), "{rest:?}");
    assert_eq!(list("--rules city").await.ok().stdout, "");
    assert!(list("--rules a&b").await.refused(2).contains("no name of rules"));
    server.stop().await;
}

async fn create(peer: &mut Peer, room: &str, spec: RoomSpec) {
    let room = RoomName::new(room).unwrap();
    peer.say(&ClientMessage::Create { room, spec }).await;
    peer.hear_until(|message| matches!(message, ServerMessage::Created { .. })).await;
}

/// Follows the pages to the last one; each has as many rooms as it should.
async fn walk(server: &Server, query: &str, lengths: &[usize]) -> Vec<String> {
    let (mut names, mut after) = (Vec::new(), String::new());
    for (number, length) in lengths.iter().enumerate() {
        let page = server.get_json(&format!("/rooms?{}", [query, &after].join("&").trim_matches('&'))).await;
        assert_eq!(names_of(&page).len(), *length, "{query}: {page}");
        names.extend(names_of(&page));
        assert_eq!(page["next"].is_null(), number + 1 == lengths.len(), "{query}: {page}");
        after = format!("after={}", names.last().map_or("", String::as_str));
    }
    names
}

fn names_of(page: &Value) -> Vec<String> {
    page["rooms"].as_array().unwrap().iter().map(|room| room["room"].as_str().unwrap().into()).collect()
}
