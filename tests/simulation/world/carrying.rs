//! What is on its way: between clients and server, and between server and disk.

use cadastre_client::Received;
use cadastre_protocol::{ClientMessage, EnterAs, Height, Millis, ServerMessage, TransactionBody};

use super::{Client, Fate, Happening, World};
use crate::{
    link::{Arrived, Link},
    server::{Effect, SLEEP_MS, Server, Visitor, root_key},
    tally::Rarity,
};

impl World {
    pub(super) fn connect_later(&mut self, client: usize) {
        let process = self.clients[client].process;
        let span = self.clients[client].away_ms.take().unwrap_or(10..1_500);
        self.in_time(span, Happening::Connect { client, process });
    }

    pub(super) fn connect(&mut self, client: usize, process: u64) {
        let Client { config, link, isolated_until, fate, .. } = &self.clients[client];
        if self.clients[client].process != process || link.is_some() || *fate != Fate::Playing {
            return;
        }
        let Some(server) = self.server.as_ref().filter(|_| *isolated_until <= self.now) else {
            return self.connect_later(client);
        };
        let over = server.store().matches().map(Result::unwrap).any(|(match_id, record)| {
            record.room == config.room
                && server.store().mark(match_id).unwrap().is_some_and(|mark| mark.sealed)
        });
        // Who executes nothing cannot come back to a match that is over.
        let knows = self.clients[client].height() > Height::GENESIS && config.enter_as != EnterAs::Light;
        // A server that stands still has no rooms, and those of matches that run come back.
        let is_gone = !server.has_room(&config.room) && self.running_in(&config.room).is_none();
        if over && !knows && is_gone {
            self.clients[client].fate = Fate::TooLate;
            return;
        }
        if self.clients[client].trick.is_none() && !self.slow.contains(&self.clients[client].config.room) {
            self.witness.disturb(self.now);
        }
        let root = root_key().public();
        let (mut link, m1) =
            Link::dial(client, self.incarnation, root, &config.identity, self.now, &mut self.random);
        if let Some(ms) = self.latency_ms {
            link.latency_ms = ms..ms + 1;
        }
        let number = self.number();
        self.links.insert(number, link);
        self.clients[client].link = Some(number);
        self.carry_to_server(number, [m1]);
    }

    pub(super) fn arrive_at_server(&mut self, number: u64, frame: Vec<u8>) {
        let now = self.server_time();
        let link = self.links.get_mut(&number).unwrap();
        if link.is_cut || link.is_closed || self.server.is_none() {
            return;
        }
        match link.arrive(frame, &self.identity, now, &mut self.random) {
            Arrived::Answer(frames) => self.carry_to_client(number, frames),
            Arrived::Message { identity, session, message } => {
                let visitor = Visitor { link: number, identity, session };
                self.with_server(|server, now| server.receive(now, visitor, message));
            }
            Arrived::Nothing => {}
        }
    }

    pub(super) fn arrive_at_client(&mut self, number: u64, frame: Vec<u8>) {
        let link = self.links.get_mut(&number).unwrap();
        let client = link.client;
        if link.is_cut || self.clients[client].link != Some(number) {
            return;
        }
        let session = &mut self.clients[client].session;
        match link.near.receive(frame, self.now).unwrap() {
            Received::Answer(m3) => self.carry_to_server(number, [m3]),
            Received::Accepted { root, session: name, .. } => {
                link.is_open = true;
                session.connected(root, name);
                self.attend_to(client);
            }
            Received::Message(message) => {
                let received = session.receive(message, root_key().public());
                if received.is_err() && self.clients[client].trick.is_some() {
                    // A stranger asked for a match that is over by now, which everybody can have.
                    assert_eq!(self.running_in(&self.clients[client].config.room), None, "it is shown");
                    self.clients[client].fate = Fate::TooLate;
                    return;
                }
                assert_eq!(received, Ok(()), "client {client} at {}", self.now.get());
                self.attend_to(client);
            }
            Received::Nothing => {}
        }
    }

    /// A client finds its connection gone.
    pub(super) fn lose(&mut self, number: u64) {
        let Link { client, is_open, .. } = self.links[&number];
        if self.clients[client].link != Some(number) {
            return;
        }
        self.clients[client].link = None;
        if is_open {
            self.clients[client].session.disconnected("cut".into());
            self.attend_to(client);
        } else {
            self.connect_later(client);
        }
    }

    /// The server does something, and the world follows.
    pub(super) fn with_server(&mut self, act: impl FnOnce(&mut Server, Millis)) {
        let now = self.server_time();
        if let Some(server) = &mut self.server {
            act(server, now);
            self.take_effects();
        }
    }

    pub(super) fn take_effects(&mut self) {
        let Some(server) = &mut self.server else { return };
        let incarnation = self.incarnation;
        let (effects, store) = (server.take_effects(), server.store().clone());
        for effect in effects {
            match effect {
                Effect::Send { link, message } => self.send_to_client(link, &message),
                Effect::Close { link } => {
                    let entry = self.links.get_mut(&link).unwrap();
                    entry.is_closed = true;
                    let at = entry.at_client;
                    self.at(at, Happening::ClientNotices { link });
                }
                Effect::Again { before, match_id, is_whole } => {
                    let mark = store.mark(before).unwrap();
                    assert!(mark.is_some_and(|mark| mark.sealed), "a rematch of a match that is not over");
                    self.witness.begin_again(before, match_id, is_whole);
                }
                Effect::Drowse { room } => {
                    self.in_time(SLEEP_MS..SLEEP_MS + 1, Happening::Drowse { incarnation, room });
                }
                Effect::Sleep { room, until } => {
                    let span = until.get().saturating_sub(self.server_time().get());
                    self.at(self.now.after(span), Happening::Alarm { incarnation, room, until });
                }
                Effect::Woken { is_alarm } => {
                    self.tally.count(if is_alarm { Rarity::Alarmed } else { Rarity::Woken });
                }
                Effect::Commit => self.in_time(1..150, Happening::Write { incarnation }),
                Effect::WakeAt { room, at } => {
                    let span = at.get().saturating_sub(self.server_time().get());
                    self.at(self.now.after(span), Happening::Wake { incarnation, room, at });
                }
            }
        }
    }

    /// The store writes some of what waits, and will answer; what is left is written later.
    pub(super) fn write(&mut self) {
        let Some(server) = &mut self.server else { return };
        let waiting = server.waiting() as u64;
        if waiting == 0 {
            return;
        }
        let (incarnation, count) = (self.incarnation, self.random.within(1..waiting + 1));
        let now = self.now.after(self.ahead_ms);
        if !server.write(now, usize::try_from(count).unwrap()) {
            // Some servers stand still for a while, some do not live to see it.
            let span = if self.random.once_in(2) { 0..1 } else { 0..8_000 };
            self.take_effects();
            return self.in_time(span, Happening::Crash { incarnation });
        }
        self.witness.note_written(server.store(), self.now);
        for _ in 0..count {
            self.in_time(1..100, Happening::Answer { incarnation });
        }
        if count < waiting {
            self.in_time(1..100, Happening::Write { incarnation });
        }
    }

    /// Carries out what a session wants, as a program around it would.
    pub(super) fn attend_to(&mut self, client: usize) {
        while let Some(event) = self.clients[client].session.poll_event() {
            let Client { session, model, .. } = &mut self.clients[client];
            model.see(&event, session);
            self.observe(client, event);
        }
        let Client { session, model, .. } = &mut self.clients[client];
        model.check(session);
        while let Some(message) = self.clients[client].session.poll_send() {
            // What is wanted before the login is said at the login.
            let open = self.clients[client].link.filter(|number| self.links[number].is_open);
            let Some(number) = open else { continue };
            let message = self.at_the_door(client, message);
            if let ClientMessage::Submit(transaction) = &message {
                self.witness.sign(self.clients[client].process, transaction);
                let body = transaction.clone().read().unwrap().get().body.clone();
                if matches!(body, TransactionBody::Join(_)) {
                    self.clients[client].joined = Some(self.now);
                }
                self.clients[client].model.send(transaction);
            }
            let mut frames = Vec::new();
            self.links.get_mut(&number).unwrap().near.send(&message, &mut frames).unwrap();
            self.carry_to_server(number, frames);
        }
    }

    pub(super) fn carry_to_server(&mut self, number: u64, frames: impl IntoIterator<Item = Vec<u8>>) {
        let at = self.arrival(number);
        let link = self.links.get_mut(&number).unwrap();
        link.at_server = link.at_server.max(at);
        let at = link.at_server;
        for frame in frames {
            self.at(at, Happening::ToServer { link: number, frame });
        }
    }

    pub(super) fn carry_to_client(&mut self, number: u64, frames: impl IntoIterator<Item = Vec<u8>>) {
        let at = self.arrival(number);
        let link = self.links.get_mut(&number).unwrap();
        link.at_client = link.at_client.max(at);
        let at = link.at_client;
        for frame in frames {
            self.at(at, Happening::ToClient { link: number, frame });
        }
    }

    pub(super) fn send_to_client(&mut self, number: u64, message: &ServerMessage) {
        let frames = self.links.get_mut(&number).unwrap().seal(message);
        self.carry_to_client(number, frames);
    }

    /// When something arrives that is sent now, if nothing sent before it is later.
    pub(super) fn arrival(&mut self, number: u64) -> Millis {
        let link = &self.links[&number];
        let sent = self.now.max(self.clients[link.client].isolated_until);
        sent.after(self.random.within(link.latency_ms.clone()))
    }
}
