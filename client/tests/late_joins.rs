//! Players who come to a running match and take a seat that is open.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use cadastre_client::{Event, Fault};
use cadastre_protocol::{Failure, Following, RoomSpec, Seat, TakebackPolicy, Turn, TurnMode, Visibility};
use support::{direct::Direct, player, spec};

fn open_spec() -> RoomSpec {
    RoomSpec { seats_min: 2, late_joins: true, ..spec(4, TurnMode::Simultaneous) }
}

#[test]
fn who_comes_late_takes_the_first_open_seat_and_plays() {
    for (visibility, following) in
        [(Visibility::Held, Following::Blocks), (Visibility::Open, Following::Snapshot)]
    {
        let spec = RoomSpec { visibility, takebacks: TakebackPolicy::Unanimous, ..open_spec() };
        let mut direct = begun(&spec);
        (0..3).for_each(|_| play(&mut direct, &[0, 1]));
        let late = direct.add_following(player(2, &spec), following);
        assert_eq!(direct.clients[late].session.seat(), None);
        play(&mut direct, &[0, 1]);
        assert_eq!(seated(&mut direct, late), [Some(2)]);
        play(&mut direct, &[0, 1, late]);
        assert_eq!(turn(&direct, late), Turn::new(5), "{visibility:?}");

        // Another one, while the first loses the connection; and a process that comes in its place.
        direct.disconnect(late);
        let other = direct.add_following(player(3, &spec), following);
        let again = direct.add_process(late);
        play(&mut direct, &[0, 1, again]);
        assert_eq!(seated(&mut direct, other), [Some(3)]);
        assert_eq!(direct.clients[again].session.seat(), Seat::new(2));
        play(&mut direct, &[0, 1, again, other]);
        for client in [0, 1, again, other] {
            assert_eq!(turn(&direct, client), Turn::new(7), "{visibility:?}");
        }
        let to = Turn::new(5);
        for client in [0, 1, again, other] {
            direct.clients[client].session.propose_takeback(to).unwrap();
            direct.settle();
        }
        play(&mut direct, &[0, 1, again, other]);
        assert_eq!(turn(&direct, 0), Turn::new(6));
    }
}

#[test]
fn of_two_who_want_one_seat_one_gets_another_or_none() {
    let mut direct = begun(&open_spec());
    let (first, second) =
        (direct.add_held(player(2, &open_spec())), direct.add_held(player(3, &open_spec())));
    let third = direct.add(player(4, &open_spec()));
    assert!(failed(&mut direct, third), "no more than there are seats");
    direct.release(first);
    direct.release(second);
    play(&mut direct, &[0, 1]);
    assert_eq!((seated(&mut direct, first), seated(&mut direct, second)), (vec![Some(2)], vec![]));
    play(&mut direct, &[0, 1, first]);
    assert_eq!(seated(&mut direct, second), [Some(3)], "in the next turn");
    play(&mut direct, &[0, 1, first, second]);
    assert_eq!(turn(&direct, second), Turn::new(3));
}

#[test]
fn a_seat_that_another_process_is_about_to_take_is_found() {
    let mut direct = begun(&open_spec());
    let late = direct.add(player(2, &open_spec()));
    direct.disconnect(late);
    let again = direct.add_process(late);
    assert_eq!(seated(&mut direct, again), [], "the server has told it of a receipt only");
    play(&mut direct, &[0, 1]);
    assert_eq!(seated(&mut direct, again), [Some(2)]);
    play(&mut direct, &[0, 1, again]);
    assert_eq!(turn(&direct, again), Turn::new(2));
}

#[test]
fn whoever_goes_astray_on_the_way_asks_for_a_seat_in_the_open_turn_only() {
    let spec = RoomSpec { rules: "city".into(), size: Some(64), ..open_spec() };
    let mut direct = begun(&spec);
    (0..5).for_each(|_| play(&mut direct, &[0, 1]));
    let late = direct.add_held(player(2, &spec));
    direct.clients[late].session.inject(Fault { turn: Turn::new(2), x: 2, y: 1 });
    direct.release(late);
    let events = direct.events(late);
    assert!(events.iter().any(|event| matches!(event, Event::Desync(_))));
    assert!(!events.iter().any(|event| matches!(event, Event::Refused { .. })), "for a turn that is over");
    play(&mut direct, &[0, 1]);
    assert_eq!(seated(&mut direct, late), [Some(2)]);
}

#[test]
fn what_is_signed_to_take_a_seat_is_handed_in_again() {
    let mut direct = begun(&open_spec());
    direct.withholds = true;
    let late = direct.add(player(2, &open_spec()));
    direct.restart();
    for client in [0, 1, late] {
        direct.connect(client);
    }
    play(&mut direct, &[0, 1]);
    assert_eq!(seated(&mut direct, late), [Some(2)]);
}

/// Two players in their first turn, and two open seats.
fn begun(spec: &RoomSpec) -> Direct {
    Direct::new([player(0, spec), player(1, spec)])
}

fn play(direct: &mut Direct, clients: &[usize]) {
    for client in clients {
        direct.act(*client);
    }
}

fn turn(direct: &Direct, client: usize) -> Turn {
    direct.clients[client].session.follower().unwrap().chain().head().turn
}

fn seated(direct: &mut Direct, client: usize) -> Vec<Option<u8>> {
    let seated = |event| if let Event::Seated { seat } = event { Some(seat.map(Seat::get)) } else { None };
    direct.events(client).into_iter().filter_map(seated).collect()
}

fn failed(direct: &mut Direct, client: usize) -> bool {
    direct.events(client).contains(&Event::Failed(Failure::NotSeated))
}
