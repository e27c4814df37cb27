//! What goes wrong, and what comes of it.

use cadastre_protocol::{EnterAs, Height};

use super::{Client, Fate, Happening, START, World};
use crate::{
    disk::DiskFault,
    server::{self, Server},
};

impl World {
    pub(super) fn let_something_fail(&mut self) {
        if !self.random.once_in(20) {
            return;
        }
        let client = usize::try_from(self.random.within(0..self.clients.len() as u64)).unwrap();
        match self.random.within(0..15) {
            0 | 1 if self.faults.cuts > 0 => {
                if let Some(link) = self.clients[client].link {
                    self.faults.cuts -= 1;
                    self.cut(link);
                }
            }
            2 if self.faults.partitions > 0 => {
                self.faults.partitions -= 1;
                self.isolate();
            }
            3 if self.faults.crashes > 0 && self.server.is_some() => {
                self.faults.crashes -= 1;
                self.crash();
            }
            4 if self.faults.stops > 0 && self.server.is_some() => {
                self.faults.stops -= 1;
                self.stop();
            }
            5 if self.faults.disk_faults > 0 => {
                self.faults.disk_faults -= 1;
                self.disk.fail(match self.random.within(0..3) {
                    0 => DiskFault::NotWritten,
                    1 => DiskFault::NotFlushed,
                    _ => DiskFault::AnswerLost,
                });
            }
            6 if self.faults.slow > 0 => {
                if let Some(link) = self.clients[client].link {
                    self.faults.slow -= 1;
                    self.witness.disturb(self.now);
                    self.with_server(|server, now| server.drop_slow(now, link));
                }
            }
            7 | 8 if self.faults.deaths > 0 && self.may_die(client) => {
                self.faults.deaths -= 1;
                self.die(client);
            }
            9 if self.faults.twins > 0 && self.may_die(client) => {
                self.faults.twins -= 1;
                self.witness.disturb(self.now);
                self.witness.has_died = true;
                let config = self.clients[client].config.clone();
                self.add(config);
            }
            10 if self.faults.exports > 0 => {
                if let Some(server) = &self.server {
                    self.faults.exports -= 1;
                    self.witness.see_files(server.store(), self.now);
                }
            }
            12 | 13 if self.faults.forks > 0 && self.fork() => self.faults.forks -= 1,
            14 if self.faults.loans > 0 && self.lend(client) => self.faults.loans -= 1,
            11 if self.faults.ends > 0 && self.now > START.after(20_000) => {
                self.faults.ends -= 1;
                self.with_server(Server::end_matches);
            }
            _ => {}
        }
    }

    /// What is on the way is lost. Both ends notice in their own time, if at all before the next connection.
    pub(super) fn cut(&mut self, link: u64) {
        self.witness.disturb(self.now);
        self.sever(link);
    }

    pub(super) fn sever(&mut self, link: u64) {
        self.links.get_mut(&link).unwrap().is_cut = true;
        self.in_time(0..2_000, Happening::ClientNotices { link });
        self.in_time(0..4_000, Happening::ServerNotices { link });
    }

    /// Nothing gets through to some of the clients for a while; some of their connections do not outlast it.
    pub(super) fn isolate(&mut self) {
        let until = self.now.after(self.random.within(100..15_000));
        self.witness.disturb(until);
        for client in 0..self.clients.len() {
            if self.random.once_in(2) {
                self.clients[client].isolated_until = until;
                if let Some(link) = self.clients[client].link.filter(|_| self.random.once_in(2)) {
                    self.cut(link);
                }
            }
        }
    }

    /// The server dies: what waits to be written is lost, and of what is not flushed the later part.
    pub(super) fn crash(&mut self) {
        if self.server.take().is_none() {
            return;
        }
        self.witness.disturb(self.now);
        let kept = self.random.within(0..self.disk.unflushed() as u64 + 1);
        self.disk.crash(usize::try_from(kept).unwrap());
        self.witness.note_written(&server::store_on(&self.disk), self.now);
        self.incarnation += 1;
        self.ahead_ms = self.random.within(0..20_000);
        for link in self.links.iter().filter(|(_, link)| !link.is_cut).map(|(n, _)| *n).collect::<Vec<_>>() {
            self.links.get_mut(&link).unwrap().is_cut = true;
            self.in_time(0..500, Happening::ClientNotices { link });
        }
        self.in_time(0..8_000, Happening::Restart);
    }

    /// The server stops in good order: what it says last still arrives.
    pub(super) fn stop(&mut self) {
        self.with_server(Server::shut_down);
        if let Some(server) = &self.server {
            self.witness.note_written(server.store(), self.now);
        }
        let incarnation = self.incarnation;
        self.in_time(0..3_000, Happening::Crash { incarnation });
    }

    pub(super) fn restart(&mut self) {
        self.witness.disturb(self.now);
        self.serial += u32::from(self.random.once_in(2));
        self.server = Some(Server::start(&self.disk, self.serial, self.random.next(), self.server_time()));
        self.take_effects();
        self.close_idle_later();
    }

    pub(super) fn close_idle_later(&mut self) {
        let incarnation = self.incarnation;
        let span = if self.slow.is_empty() { 1_000..5_000 } else { 5_000..300_000 };
        self.in_time(span, Happening::CloseIdle { incarnation });
    }

    /// The rooms of matches that are over are closed, once everybody knows of the match.
    pub(super) fn close_idle(&mut self) {
        let is_known = |client: &Client| {
            let is_waiting = client.fate == Fate::Playing && client.trick.is_none();
            !is_waiting || client.height() > Height::GENESIS
        };
        if self.clients.iter().all(is_known) {
            self.with_server(|server, _| server.close_idle());
        }
        self.close_idle_later();
    }

    /// A player who loses the memory of a match that is over could never come back to it; a substitute who loses
    /// that of what it has signed, under the one key that it has, would sign something else.
    pub(super) fn may_die(&self, client: usize) -> bool {
        let Client { config, fate, trick, .. } = &self.clients[client];
        let is_running = self
            .server
            .as_ref()
            .is_some_and(|server| server.has_room(&config.room) || server.store().matches().next().is_none());
        let is_player = config.enter_as == EnterAs::Player && !self.is_substitute(client);
        *fate == Fate::Playing && trick.is_none() && is_player && is_running
    }

    /// A process dies, and another one of the same identity knows nothing of it.
    pub(super) fn die(&mut self, client: usize) {
        self.witness.disturb(self.now);
        self.witness.has_died = true;
        self.begin_anew(client);
    }

    /// A process is gone, and another one of the same identity comes.
    pub(super) fn begin_anew(&mut self, client: usize) {
        if let Some(link) = self.clients[client].link.take() {
            self.links.get_mut(&link).unwrap().is_cut = true;
            self.in_time(0..4_000, Happening::ServerNotices { link });
        }
        let config = self.clients[client].config.clone();
        let isolated_until = self.clients[client].isolated_until;
        self.clients[client] = Client { isolated_until, ..self.start_process(config) };
        self.connect_later(client);
    }
}
