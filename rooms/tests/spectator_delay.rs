//! Those who watch see a match as late as its genesis says, whichever way they look. That no block reaches them before
//! its time is a rule of the shell, which counts the turns itself.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod support;

use cadastre_protocol::{
    Attempt, CompareAnswer, CompareRequest, Digest, EnterAs, Failure, GoodbyeReason, Height, RoomSpec,
    ServerMessage, SignedTalk, SpectatorPolicy, StateRoot, TakebackPolicy, Talk, TalkPlace, Text,
    TransactionBody, Turn, Visibility, Words,
};
use cadastre_rooms::{GuestId, Input, WITHHELD_MAX};
use support::{NOW, Shell, Told, key, seat, sign, spec};

const DELAY: u16 = 2;
const DELAY_S: u16 = 4;
const DELAY_MS: u64 = 4_000;

#[test]
fn each_turn_is_told_when_its_time_has_come_and_the_rest_when_the_match_is_over() {
    let mut shell = Shell::playing(delayed());
    let watchers = [EnterAs::Spectator, EnterAs::Light].map(|enter_as| shell.enter_as(5, enter_as));
    shell.forget_told();
    let mut seen = Vec::new();
    for turn in 1..=5_u64 {
        shell.pass_turn();
        let blocks = shell.blocks(watchers[0]);
        seen.extend(blocks.iter().map(|block| block.header().turn.get()));
        let shown = shell.shown.last().map(|shown| shown.height.get());
        let told = turn.saturating_sub(u64::from(DELAY));
        assert_eq!(seen.last().copied().unwrap_or(0), u32::try_from(told).unwrap());
        assert_eq!(shown, Some(1 + told));
        assert_eq!(shell.room.watched_to().unwrap().1, Height::new(1 + told));
    }
    say(&mut shell, "what now?");
    assert!(watchers.iter().all(|watcher| shell.told(*watcher).is_empty()));
    shell.pass_turn();
    let told = shell.blocks(watchers[0]);
    assert_eq!(told.last().map(|block| block.header().height), Some(shell.head().height));
    assert!(told.last().unwrap().header().kind.seals());
    assert_eq!(shell.shown.last().unwrap().height, shell.head().height);
    for watcher in watchers {
        assert_eq!(shell.conversation(watcher).1.len(), 1, "what was said is heard now");
    }
}

#[test]
fn whoever_comes_late_gets_no_further_than_those_who_are_there() {
    let mut shell = Shell::playing(delayed());
    (0..4).for_each(|_| shell.pass_turn());
    say(&mut shell, "nobody hears us");
    let late = shell.watch(5);
    let messages = shell.messages(late);
    let [ServerMessage::Genesis { .. }, blocks @ .., ServerMessage::CaughtUp { height }] = &messages[..]
    else {
        panic!("{messages:?}")
    };
    assert_eq!((blocks.len(), *height), (3, Height::new(3)));
    shell.leave(late);
    // Of a turn that is withheld nothing is known, not even by one who names its block.
    let refused = shell.resume(5, EnterAs::Spectator, 4);
    assert_eq!(shell.told(refused), [Told::NotAdmitted(Failure::UnknownHead)]);
    let back = shell.resume(5, EnterAs::Spectator, 2);
    assert_eq!(shell.messages(back).len(), 2, "one block, and that it was the last");
    shell.feed(Input::GoOn { guest: back, after: Height::new(1) });
    assert_eq!(shell.messages(back).len(), 3, "two blocks, and that there are no more");
    // A player is told everything.
    let player = shell.resume(0, EnterAs::Player, 1);
    assert_eq!(shell.messages(player).len(), 5);
    assert_eq!(shell.conversation(player).1.len(), 1);
}

#[test]
fn what_is_done_in_a_turn_is_withheld_too() {
    let open = RoomSpec { visibility: Visibility::Open, takebacks: TakebackPolicy::Unanimous, ..delayed() };
    let mut shell = Shell::playing(open);
    let watcher = shell.watch(5);
    (0..3).for_each(|_| shell.pass_turn());
    shell.forget_told();
    let back = shell.draft(seat(0), TransactionBody::Takeback { to_turn: Turn::new(2) });
    shell.submit(shell.guest(seat(0)), sign(&back));
    shell.act(seat(1), Vec::new());
    let others = shell.messages(shell.guest(seat(1)));
    assert!(others.iter().any(|message| matches!(message, ServerMessage::Takeback { .. })), "{others:?}");
    let others = shell.messages(shell.guest(seat(0)));
    assert!(others.iter().any(|message| matches!(message, ServerMessage::Relay(_))), "{others:?}");
    assert!(shell.told(watcher).is_empty());
    let late = shell.watch(6);
    let is_of_the_open_turn =
        |message: &ServerMessage| matches!(message, ServerMessage::Relay(_) | ServerMessage::Takeback { .. });
    assert!(!shell.messages(late).iter().any(is_of_the_open_turn));
    let request = CompareRequest::Begin {
        turn: Turn::new(3),
        attempt: Attempt::FIRST,
        phases: vec![StateRoot::new(Digest::ZERO)],
    };
    shell.feed(Input::Compare { guest: watcher, request });
    assert_eq!(shell.messages(watcher), [ServerMessage::Compared(CompareAnswer::Unknown)]);
}

#[test]
fn a_restart_opens_no_curtain() {
    let mut shell = Shell::playing(delayed());
    (0..4).for_each(|_| shell.pass_turn());
    shell.crash();
    assert_eq!(shell.room.watched_to().unwrap(), (Turn::new(2), Height::new(3)));
    shell.guests = vec![shell.enter(0), shell.enter(1)];
    let watcher = shell.resume(5, EnterAs::Spectator, 3);
    shell.forget_told();
    shell.pass_turn();
    let blocks = shell.blocks(watcher);
    assert_eq!(blocks.iter().map(|block| block.header().turn).collect::<Vec<_>>(), [Turn::new(3)]);
    shell.pass_turn();
    assert!(shell.blocks(watcher).last().unwrap().header().kind.seals());
}

#[test]
fn each_block_is_told_when_it_is_old_enough_and_the_rest_when_the_match_is_over() {
    let mut shell = Shell::playing(later());
    let watchers = [EnterAs::Spectator, EnterAs::Light].map(|enter_as| shell.enter_as(5, enter_as));
    shell.forget_told();
    shell.pass(500);
    shell.pass_turn();
    shell.pass(1_500);
    shell.pass_turn();
    say(&mut shell, "what now?");
    assert!(watchers.iter().all(|watcher| shell.told(*watcher).is_empty()));
    assert_eq!(shell.room.watched_to(), Some((Turn::START, Height::new(1))), "the Start");
    assert_eq!(shell.wake, Some(NOW.after(500 + DELAY_MS)), "before the turn is closed");
    shell.pass(DELAY_MS - 1_500 - 1);
    assert!(shell.told(watchers[0]).is_empty());
    shell.pass(1);
    assert_eq!(heights(&mut shell, watchers[0]), [2]);
    assert_eq!(shell.shown.last().unwrap().height, Height::new(2));
    assert_eq!(shell.room.watched_to(), Some((Turn::new(1), Height::new(2))));
    // Whoever comes now gets no further.
    shell.leave(watchers[0]);
    let late = shell.watch(6);
    let messages = shell.messages(late);
    assert_eq!(messages.last(), Some(&ServerMessage::CaughtUp { height: Height::new(2) }));
    assert_eq!(shell.conversation(shell.guests[0]).1.len(), 0);
    shell.pass(1_500);
    assert_eq!(heights(&mut shell, late), [3]);
    (0..4).for_each(|_| shell.pass_turn());
    let told = shell.blocks(late);
    assert!(told.last().unwrap().header().kind.seals());
    assert_eq!(told.len(), 5);
    assert_eq!(shell.conversation(late).1.len(), 1, "what was said is heard now");
    assert_eq!(shell.room.watched_to().unwrap().1, shell.head().height);
}

#[test]
fn a_restart_makes_no_block_older() {
    let mut shell = Shell::playing(later());
    shell.pass(1_000);
    shell.pass_turn();
    shell.pass(1_000);
    shell.pass_turn();
    shell.pass(DELAY_MS - 1_000);
    shell.crash();
    assert_eq!(shell.room.watched_to(), Some((Turn::new(1), Height::new(2))));
    shell.guests = vec![shell.enter(0), shell.enter(1)];
    let watcher = shell.resume(5, EnterAs::Spectator, 2);
    shell.forget_told();
    shell.pass(999);
    assert!(shell.told(watcher).is_empty());
    shell.pass(1);
    assert_eq!(heights(&mut shell, watcher), [3]);
    shell.pass(DELAY_MS - 1_000);
    assert_eq!(heights(&mut shell, watcher), [4], "the Reopen of the restart");
}

#[test]
fn whoever_was_told_a_block_before_the_clock_was_set_back_comes_again() {
    let mut shell = Shell::playing(later());
    shell.pass_turn();
    shell.pass(DELAY_MS);
    assert_eq!(shell.room.watched_to().unwrap().1, Height::new(2));
    shell.now = NOW.after(1);
    shell.crash();
    assert_eq!(shell.room.watched_to().unwrap().1, Height::new(1));
    let early = shell.resume(5, EnterAs::Spectator, 2);
    assert_eq!(shell.told(early), [Told::Dismissed(GoodbyeReason::RoomClosed)]);
    shell.pass(DELAY_MS);
    let back = shell.resume(5, EnterAs::Spectator, 2);
    assert!(!shell.messages(back).is_empty(), "it is caught up");
    // Of a block that there is not nothing is known then either.
    let stranger = shell.resume(6, EnterAs::Spectator, 9);
    assert_eq!(shell.told(stranger), [Told::NotAdmitted(Failure::UnknownHead)]);
}

#[test]
fn a_room_does_not_sleep_over_what_is_to_be_told() {
    let mut shell = Shell::playing(later());
    shell.pass_turn();
    shell.guests.clone().into_iter().for_each(|guest| shell.leave(guest));
    assert_eq!(shell.room.sleeps_until(), None);
    shell.pass(DELAY_MS);
    assert_eq!(shell.room.sleeps_until(), shell.head().deadline);
}

#[test]
fn of_more_blocks_than_are_kept_those_who_watch_are_told_from_the_store() {
    const TURNS: u64 = 300;
    let spectators = SpectatorPolicy::Later { delay_s: DELAY_S };
    let mut shell = Shell::playing(RoomSpec { spectators, size: Some(100), ..spec(2) });
    let watchers = [EnterAs::Spectator, EnterAs::Light].map(|enter_as| shell.enter_as(5, enter_as));
    shell.forget_told();
    shell.shown.clear();
    for _ in 0..TURNS {
        shell.pass_turn();
        shell.pass(1);
    }
    shell.pass(DELAY_MS);
    let told: Vec<_> = shell
        .messages(watchers[0])
        .into_iter()
        .filter_map(|message| if let ServerMessage::Block(block) = message { Some(block) } else { None })
        .map(|block| support::read(block).header().height.get())
        .collect();
    assert_eq!(told, (2..=TURNS + 1).collect::<Vec<_>>(), "every block, once");
    assert_eq!(shell.shown.last().unwrap().height, Height::new(TURNS + 1));
    let shown = u64::try_from(shell.shown.len()).unwrap();
    assert!((WITHHELD_MAX..=2 * WITHHELD_MAX + 1).contains(&shown), "{shown} states were kept");
    assert!(shell.told(watchers[1]).is_empty());
}

/// Two seats, six turns, and those who watch know nothing that is not four seconds old.
fn later() -> RoomSpec {
    let spectators = SpectatorPolicy::Later { delay_s: DELAY_S };
    RoomSpec { spectators, turns_max: Some(6), ..spec(2) }
}

fn heights(shell: &mut Shell, guest: GuestId) -> Vec<u64> {
    shell.blocks(guest).iter().map(|block| block.header().height.get()).collect()
}

/// Two seats, six turns, of which those who watch do not know the last two.
fn delayed() -> RoomSpec {
    RoomSpec { spectators: SpectatorPolicy::Allowed { delay_turns: DELAY }, turns_max: Some(6), ..spec(2) }
}

/// The first player says something at the match.
fn say(shell: &mut Shell, text: &str) {
    let place = TalkPlace::Match(shell.chain().match_id());
    let guest: GuestId = shell.guest(seat(0));
    let words = Words::Text(Text::new(text).unwrap());
    let seen = cadastre_protocol::Conversation::begin(place.clone()).last();
    let author = key(0).public();
    let talk = Talk { version: Talk::VERSION, place, author, number: 1, seen, words };
    shell.feed(Input::Say { guest, talk: SignedTalk::sign(&key(0), &talk) });
}
