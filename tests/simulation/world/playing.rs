//! What players do with what their sessions tell them.

use cadastre_client::{Cause, Event, Follower, SubmitError, Viewport};
use cadastre_protocol::{
    BlockKind, Failure, GoodbyeReason, Height, Motion, Seat, SeatSet, TalkRefusal, Text, Turn, TxHash,
};

use super::{Client, Fate, Happening, World};

/// Who proposes a takeback waits for an answer for so long at most, and then plays: for that its move has to reach the server.
const PROPOSAL_MS: u64 = 3_500;

impl World {
    pub(super) fn observe(&mut self, client: usize, event: Event) {
        if self.clients[client].trick.is_some() {
            return self.turn_away(client, &event);
        }
        match event {
            Event::YourTurn { .. } => {
                let process = self.clients[client].process;
                self.in_time(0..1_200, Happening::Think { client, process, is_resolved: false });
            }
            Event::Shown { header } => {
                let light = self.clients[client].session.light().unwrap();
                self.witness.see(header.match_id, header.height, light.head().block());
                self.witness.show(client, header.match_id, header.height, light.chunks());
                if self.faults.glances > 0 && self.random.once_in(3) {
                    self.faults.glances -= 1;
                    let process = self.clients[client].process;
                    self.in_time(0..800, Happening::Look { client, process });
                }
            }
            Event::Joined { head } => {
                let match_id = self.clients[client].session.follower().unwrap().chain().match_id();
                self.witness.see(match_id, head.height, head.block);
                self.clients[client].handed_in = None;
            }
            Event::Block { head, kind, .. } => {
                let match_id = self.clients[client].session.follower().unwrap().chain().match_id();
                self.witness.see(match_id, head.height, head.block);
                if let Some(since) = self.clients[client].handed_in.take_if(|_| kind == BlockKind::Turn) {
                    self.waits.push(self.now.get() - since.get());
                }
            }
            Event::Desync(desync) => {
                self.witness.disturb(self.now);
                assert_eq!((desync.cause, desync.healed), (Cause::Memory, true));
                let session = &self.clients[client].session;
                let match_id = session.follower().unwrap().chain().match_id();
                // Whoever has no seat yet may have asked for one that is open, and be told so later.
                let chain = session.follower().unwrap().chain();
                let own =
                    session.seat().or_else(|| chain.seat_of(self.clients[client].config.identity.public()));
                let seats = own.into_iter().chain(chain.open_seats().iter());
                self.witness.astray.extend(seats.map(|seat| (match_id, seat)));
            }
            Event::Receipt(receipt) => self.witness.promise(receipt),
            Event::Takeback { to_turn: Some(to_turn), .. } => {
                let process = self.clients[client].process;
                self.in_time(0..600, Happening::Weigh { client, process, to_turn });
            }
            Event::Motion { motion, .. } if motion != Motion::Nothing => {
                let process = self.clients[client].process;
                self.in_time(0..300, Happening::Second { client, process, motion });
            }
            Event::Ended { reason, .. } => self.end(client, reason),
            Event::Lobby(_) => self.meet(client),
            Event::Connected { .. } => self.look_in(client),
            // It missed the end, and the room has gone on.
            Event::Failed(Failure::NoSuchMatch) if self.clients[client].height() > Height::GENESIS => {
                self.begin_anew(client);
            }
            Event::CaughtUp => self.witness.disturb(self.now),
            Event::Lost { .. } => self.connect_later(client),
            Event::Failed(failure) if self.is_sent_home(client, &failure) => self.send_home(client),
            // No room yet, or not for us: tried again on another connection.
            Event::Failed(_) => {
                if let Some(link) = self.clients[client].link {
                    self.cut(link);
                }
            }
            Event::Goodbye { reason: GoodbyeReason::Replaced, .. } => self.retire(client),
            Event::Said { said, .. } => {
                // What is said in lobbies is not kept.
                if let Some(match_id) = self.clients[client].match_id() {
                    self.witness.hear(match_id, said);
                }
            }
            // Too long on its way, also until the room had gone on to the next match; or another process of the player was faster.
            Event::NotSaid {
                refusal: TalkRefusal::UnknownSeenLine | TalkRefusal::Repeated | TalkRefusal::WrongPlace,
                ..
            } => {}
            bad @ (Event::NotSaid { .. } | Event::TalkBroken { .. } | Event::Notice(_)) => panic!("{bad:?}"),
            Event::Evidence(evidence) => panic!("an honest server is charged: {evidence:?}"),
            Event::Match { .. }
            | Event::Relayed(_)
            | Event::Takeback { to_turn: None, .. }
            | Event::Rematch { .. }
            | Event::Motion { .. }
            | Event::Mispredicted(_)
            | Event::Seated { .. }
            | Event::Undrafted { .. }
            | Event::Refused { .. }
            | Event::Conversing
            | Event::TalkMissed { .. }
            | Event::Goodbye { .. }
            | Event::Limited { .. } => {}
        }
    }

    /// A program whose place another one took does not take it back.
    pub(super) fn retire(&mut self, client: usize) {
        self.witness.disturb(self.now);
        let entry = &mut self.clients[client];
        entry.link = None;
        if entry.fate == Fate::Playing {
            entry.fate = Fate::Replaced;
        }
    }

    /// A light spectator looks at something else, once more also when the match is over.
    pub(super) fn look(&mut self, client: usize, process: u64) {
        let entry = &mut self.clients[client];
        if entry.process != process {
            return;
        }
        let chunks = entry.session.light().map(|light| light.chunks().keys().copied().collect::<Vec<_>>());
        let mut side = || u16::try_from(self.random.within(1..40)).unwrap();
        let viewport = match side() % 4 {
            0 => Viewport::All,
            1 => Viewport::Chunks(chunks.into_iter().flatten().filter(|_| side() % 2 == 0).collect()),
            _ => Viewport::Tiles { left: side() - 1, top: side() - 1, width: side(), height: side() },
        };
        entry.session.watch(viewport);
        self.attend_to(client);
    }

    /// A player was asked for commands some time ago. One who is resolved wants nothing taken back before it acts.
    pub(super) fn think(&mut self, client: usize, process: u64, is_resolved: bool) {
        if !self.is_playing(client, process) {
            return;
        }
        if self.faults.motions > 0 && self.random.once_in(6) && self.put_a_motion(client) {
            self.faults.motions -= 1;
        }
        if self.faults.proposals > 0 && !is_resolved && self.random.once_in(5) && self.propose(client) {
            self.faults.proposals -= 1;
            // If nobody agrees, it plays.
            return self.in_time(500..1_500, Happening::Think { client, process, is_resolved: true });
        }
        let lapse = self.faults.lapses > 0 && self.random.once_in(12);
        let gives_up = self.faults.resignations > 0 && self.random.once_in(30);
        let speaks = self.random.once_in(3);
        let words = Text::new(&format!("{}", self.number())).unwrap();
        let Client { session, model, handed_in, .. } = &mut self.clients[client];
        if speaks {
            // Whoever is not connected just now says nothing.
            let _ = session.say(words);
        }
        let (Some(seat), Some(follower)) = (session.seat(), session.follower()) else { return };
        let commands = follower.game().simulation().suggest(seat);
        while session.undo().is_some() {}
        model.undo();
        match session.draft(commands.clone()) {
            Ok(()) => {
                model.draft(commands.clone());
                model.check(session);
            }
            Err(SubmitError::NotPlaying | SubmitError::AlreadySubmitted) => {}
            Err(error @ (SubmitError::Illegal(_) | SubmitError::NoTakeback | SubmitError::NoMotion)) => {
                panic!("client {client}: {error}")
            }
        }
        if lapse {
            self.faults.lapses -= 1;
            self.witness.disturb(self.now);
            return self.lose_patience_with(client, seat);
        }
        let acted = if gives_up { session.resign() } else { session.submit_draft() };
        match acted {
            Ok(_) if gives_up => {
                model.resign();
                self.faults.resignations -= 1;
            }
            Ok(transaction) => {
                model.hand_in(commands, transaction);
                *handed_in = Some(self.now);
            }
            Err(SubmitError::NotPlaying | SubmitError::AlreadySubmitted) => {}
            Err(error @ (SubmitError::Illegal(_) | SubmitError::NoTakeback | SubmitError::NoMotion)) => {
                panic!("client {client}: {error}")
            }
        }
        self.attend_to(client);
    }

    /// Others do not want to wait for a player.
    fn lose_patience_with(&mut self, client: usize, seat: Seat) {
        let motion = Motion::Skip { seats: SeatSet::from_iter([seat]) };
        for other in (0..self.clients.len()).filter(|other| *other != client) {
            if self.clients[other].config.room == self.clients[client].config.room {
                let process = self.clients[other].process;
                self.in_time(300..1_500, Happening::Second { client: other, process, motion });
            }
        }
    }

    /// A player wants to go back, if it can, and has the time to wait for the others and play all the same.
    pub(super) fn propose(&mut self, client: usize) -> bool {
        let in_time = self.server_time().after(PROPOSAL_MS);
        let session = &mut self.clients[client].session;
        let Some(chain) = session.follower().map(Follower::chain) else { return false };
        let Some(floor) = chain.takeback_floor() else { return false };
        let clock = session.seat().and_then(|seat| chain.clock_of(seat));
        if clock.and_then(|clock| clock.runs_out).is_some_and(|runs_out| runs_out < in_time) {
            return false;
        }
        let span = u64::from(floor.get())..u64::from(chain.head().turn.get());
        if span.is_empty() {
            return false;
        }
        let to_turn = Turn::new(u32::try_from(self.random.within(span)).unwrap());
        let proposed = session.propose_takeback(to_turn);
        self.said(client, proposed)
    }

    /// A player was told some time ago that another one wants to go back: agrees, declines, or leaves it.
    pub(super) fn weigh(&mut self, client: usize, process: u64, to_turn: Turn) {
        let answer = self.random.within(0..5);
        if !self.is_playing(client, process) || self.clients[client].session.seat().is_none() {
            return;
        }
        let session = &mut self.clients[client].session;
        let answered = match answer {
            0..3 => session.propose_takeback(to_turn),
            3 => session.decline_takeback(),
            _ => return,
        };
        self.said(client, answered);
    }

    /// A player wants to pause, to end the match, or to skip others, if it can.
    pub(super) fn put_a_motion(&mut self, client: usize) -> bool {
        let session = &mut self.clients[client].session;
        let Some((seat, chain)) = session.seat().zip(session.follower().map(Follower::chain)) else {
            return false;
        };
        let seats = chain.players().without(SeatSet::from_iter([seat]));
        let motion = match self.random.within(0..8) {
            0..2 => Motion::End,
            2..6 => Motion::Skip { seats },
            _ => Motion::Pause { ms: 2_000 },
        };
        let proposed = session.propose(motion);
        self.said(client, proposed)
    }

    /// A player was told some time ago that another one wants something: wants it too, nothing any more, or leaves it.
    pub(super) fn second(&mut self, client: usize, process: u64, motion: Motion) {
        let answer = self.random.within(0..5);
        if !self.is_playing(client, process) || self.clients[client].session.seat().is_none() {
            return;
        }
        let session = &mut self.clients[client].session;
        let own = SeatSet::from_iter(session.seat());
        let motion = match motion {
            // Nobody skips himself.
            Motion::Skip { seats } => Motion::Skip { seats: seats.without(own) },
            Motion::Nothing | Motion::Pause { .. } | Motion::End => motion,
        };
        let answered = match answer {
            0..3 => session.propose(motion),
            3 => session.propose(Motion::Nothing),
            _ => return,
        };
        self.said(client, answered);
    }

    /// What a player says that it wants may come too late, or once too often, or cannot be wanted by this one.
    pub(super) fn said(&mut self, client: usize, said: Result<TxHash, SubmitError>) -> bool {
        match said {
            Ok(_) => self.attend_to(client),
            Err(
                SubmitError::NotPlaying
                | SubmitError::AlreadySubmitted
                | SubmitError::NoTakeback
                | SubmitError::NoMotion,
            ) => {}
            Err(error @ SubmitError::Illegal(_)) => panic!("client {client}: {error}"),
        }
        said.is_ok()
    }

    pub(super) fn is_playing(&self, client: usize, process: u64) -> bool {
        self.clients[client].process == process && self.clients[client].fate == Fate::Playing
    }
}
