//! Dots and Boxes: players draw the sides of boxes in turn; the fourth side scores the box and moves again.
//!
//! `docs/games.md`, "Boxes".

mod board;
mod bot;
mod picture;

use std::collections::BTreeSet;

use bincode::{Decode, Encode};
use cadastre_protocol::{
    ChunkId, Orders, Seat, SeatSet, Setup, Standing, TurnOrders, Wire, decode_exact, encode,
};

use crate::{
    difference::{Field, Form, Subject},
    picture::Picture,
    simulation::{Refusal, Rules, SetupError, Simulation, Snapshot, Void},
};
use board::{Board, Edge};

/// Dots and Boxes, version 1.
pub(crate) const RULES: Rules = Rules {
    name: "boxes",
    version: 1,
    seats: (2, 8),
    sizes: (SIZE_MIN, 5, SIZE_MAX),
    options: |size| encode(&Options { size }),
    start: |setup| Ok(Box::new(Boxes::start(setup)?)),
    restore: |setup, snapshot| Ok(Box::new(Boxes::restore(setup, snapshot)?)),
};

/// Options of a match.
#[derive(Debug, Encode, Decode)]
struct Options {
    /// Boxes a side.
    size: u16,
}

impl Wire for Options {
    const BYTES_MAX: usize = 2;

    fn validate(&self) -> Result<(), &'static str> {
        if (SIZE_MIN..=SIZE_MAX).contains(&self.size) { Ok(()) } else { Err("size") }
    }
}

/// The number of an edge: what a command list that is not empty consists of.
#[derive(Debug, Encode, Decode)]
struct Draw(u16);

impl Wire for Draw {
    const BYTES_MAX: usize = 2;
}

/// Chunk 0: all of the state that is not on the board.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Globals {
    size: u16,
    seats: u8,
    /// Stays at the seat that drew the last edge when the match is over.
    to_move: Seat,
    edges_drawn: u16,
    /// Boxes owned; 0 for seats that are not in the match.
    scores: [u16; 8],
}

impl Wire for Globals {
    const BYTES_MAX: usize = 22;
}

/// A match of Dots and Boxes.
#[derive(Debug)]
struct Boxes {
    globals: Globals,
    board: Board,
    dirty: BTreeSet<ChunkId>,
}

impl Boxes {
    fn start(setup: &Setup) -> Result<Self, SetupError> {
        let Options { size } = decode_exact(&setup.options).map_err(|_| SetupError::Options)?;
        let globals = Globals { size, seats: setup.seats, to_move: FIRST, edges_drawn: 0, scores: [0; 8] };
        Ok(Self { globals, board: Board::new(size), dirty: BTreeSet::new() })
    }

    /// Takes nothing on trust: counts edges, sides and owners again and compares.
    fn restore(setup: &Setup, snapshot: &Snapshot) -> Result<Self, SetupError> {
        let mut boxes = Self::start(setup)?;
        let ((id, bytes), tiles) = snapshot.split_first().ok_or(SetupError::Snapshot)?;
        let globals: Globals = decode_exact(bytes).map_err(|_| SetupError::Snapshot)?;
        let Globals { size, seats, to_move, edges_drawn, scores } = &globals;
        boxes.board = Board::from_chunks(*size.min(&SIZE_MAX), *seats, tiles).ok_or(SetupError::Snapshot)?;
        let fits = *id == GLOBALS
            && (*size, *seats) == (boxes.globals.size, boxes.globals.seats)
            && to_move.get() < *seats
            && *edges_drawn == boxes.board.count_drawn()
            && *scores == boxes.board.count_owned();
        boxes.globals = globals;
        if fits { Ok(boxes) } else { Err(SetupError::Snapshot) }
    }

    /// The edge that `commands` draw; `None` for an empty list.
    fn read(&self, seat: Seat, commands: &[u8]) -> Result<Option<Edge>, &'static str> {
        if commands.is_empty() {
            return Ok(None);
        }
        let Draw(number) = decode_exact(commands).map_err(|_| "not the encoding of an edge")?;
        let edge = self.board.edge(number).ok_or("there is no such edge")?;
        if self.is_over() {
            return Err("the match is over");
        }
        if seat != self.globals.to_move {
            return Err("another seat is to move");
        }
        if self.board.is_drawn(edge) {
            return Err("the edge is drawn already");
        }
        Ok(Some(edge))
    }

    /// Draws `edge` for the seat to move, which stays so if a box was completed.
    fn draw(&mut self, edge: Edge) {
        let owner = self.globals.to_move;
        let drawn = self.board.draw(edge, owner);
        self.dirty.extend(drawn.chunks);
        self.globals.edges_drawn += 1;
        self.globals.scores[owner.index()] += drawn.boxes;
        if drawn.boxes == 0 {
            self.pass();
        }
    }

    fn pass(&mut self) {
        let next = (self.globals.to_move.get() + 1) % self.globals.seats;
        self.globals.to_move = Seat::new(next).expect("below the number of seats");
    }
}

impl Simulation for Boxes {
    fn check(&self, seat: Seat, commands: &[u8]) -> Result<(), Refusal> {
        self.read(seat, commands).map(|_| ()).map_err(|reason| Refusal { command: 0, reason })
    }

    fn join(&self, _first: &[u8], _second: &[u8]) -> Result<Vec<u8>, &'static str> {
        Err(ONE_EDGE)
    }

    fn phases(&self) -> &'static [&'static str] {
        &["move"]
    }

    fn run_phase(&mut self, _phase: usize, turn: &TurnOrders<'_>) -> Vec<Void> {
        let mut voids = Vec::new();
        let mut chosen = None;
        for &Orders { seat, ref commands } in &turn.orders {
            let read = match self.read(seat, commands) {
                Ok(Some(_)) if chosen.is_some() => Err(ONE_EDGE),
                other => other,
            };
            match read {
                Ok(None) => {}
                Ok(Some(edge)) => chosen = Some(edge),
                Err(reason) => voids.push(Void { seat, command: 0, reason }),
            }
        }
        if !self.is_over() {
            self.dirty.insert(GLOBALS);
            match chosen {
                Some(edge) => self.draw(edge),
                None => self.pass(),
            }
        }
        voids
    }

    fn to_move(&self) -> SeatSet {
        if self.is_over() { SeatSet::EMPTY } else { SeatSet::from_iter([self.globals.to_move]) }
    }

    fn is_over(&self) -> bool {
        self.globals.edges_drawn == self.board.edges()
    }

    fn standings(&self) -> Vec<Standing> {
        let scores = self.globals.scores.map(i64::from);
        Standing::rank(&scores[..usize::from(self.globals.seats)])
    }

    fn chunk_ids(&self) -> Vec<ChunkId> {
        std::iter::once(GLOBALS).chain(self.board.chunk_ids()).collect()
    }

    fn chunk(&self, id: ChunkId) -> Option<Vec<u8>> {
        if id == GLOBALS { Some(encode(&self.globals)) } else { self.board.chunk(id).map(<[u8]>::to_vec) }
    }

    fn put_chunk(&mut self, id: ChunkId, bytes: &[u8]) -> Result<(), SetupError> {
        if id != GLOBALS {
            return self.board.put_chunk(id, bytes).ok_or(SetupError::Snapshot);
        }
        let globals: Globals = decode_exact(bytes).map_err(|_| SetupError::Snapshot)?;
        if (globals.size, globals.seats) != (self.globals.size, self.globals.seats) {
            return Err(SetupError::Snapshot);
        }
        self.globals = globals;
        Ok(())
    }

    fn fields(&self, id: ChunkId) -> &'static [Field] {
        if id == GLOBALS { &GLOBALS_FIELDS } else { &board::FIELDS }
    }

    fn subject(&self, id: ChunkId, row: usize) -> Subject {
        if id == GLOBALS { Subject::Match } else { self.board.subject(id, row) }
    }

    fn take_dirty(&mut self) -> Vec<ChunkId> {
        std::mem::take(&mut self.dirty).into_iter().collect()
    }

    fn suggest(&self, seat: Seat) -> Vec<u8> {
        if self.to_move().contains(seat) {
            bot::edge(&self.board, self.globals.edges_drawn)
                .map_or_else(Vec::new, |number| encode(&Draw(number)))
        } else {
            Vec::new()
        }
    }

    fn picture(&self) -> Picture {
        picture::draw(&self.board, &self.globals)
    }

    #[cfg(feature = "faults")]
    fn disturb(&mut self, x: u16, y: u16) -> bool {
        let chunk = self.board.disturb(x, y);
        self.dirty.extend(chunk);
        chunk.is_some()
    }
}

const SIZE_MIN: u16 = 2;
const SIZE_MAX: u16 = 100;
const ONE_EDGE: &str = "one edge a turn";
const GLOBALS: ChunkId = ChunkId::new(0);
const GLOBALS_FIELDS: [Field; 12] = [
    Field::new("size", 0, Form::Unsigned(2)),
    Field::new("seats", 2, Form::Unsigned(1)),
    Field::new("to move", 3, Form::Unsigned(1)),
    Field::new("edges drawn", 4, Form::Unsigned(2)),
    Field::new("score of seat 0", 6, Form::Unsigned(2)),
    Field::new("score of seat 1", 8, Form::Unsigned(2)),
    Field::new("score of seat 2", 10, Form::Unsigned(2)),
    Field::new("score of seat 3", 12, Form::Unsigned(2)),
    Field::new("score of seat 4", 14, Form::Unsigned(2)),
    Field::new("score of seat 5", 16, Form::Unsigned(2)),
    Field::new("score of seat 6", 18, Form::Unsigned(2)),
    Field::new("score of seat 7", 20, Form::Unsigned(2)),
];
const FIRST: Seat = match Seat::new(0) {
    Some(seat) => seat,
    None => unreachable!(),
};

#[cfg(test)]
mod tests {
    use cadastre_protocol::{Digest, RulesId};

    use super::*;

    fn setup(size: u16, seats: u8) -> Setup {
        Setup {
            rules: RulesId { name: "boxes".into(), version: 1 },
            options: (RULES.options)(size),
            seats,
            seed: Digest::ZERO,
        }
    }

    fn turn<'a>(orders: &[Orders<'a>]) -> TurnOrders<'a> {
        TurnOrders { roll: Digest::ZERO, orders: orders.to_vec() }
    }

    fn seat(index: u8) -> Seat {
        Seat::new(index).unwrap()
    }

    /// Lets each seat draw its edge, a turn each.
    fn play(boxes: &mut Boxes, moves: &[(u8, u16)]) {
        for &(by, edge) in moves {
            let commands = encode(&Draw(edge));
            boxes.check(seat(by), &commands).unwrap();
            assert_eq!(boxes.run_phase(0, &turn(&[Orders::new(seat(by), &commands)])), []);
        }
    }

    #[test]
    fn the_fourth_side_scores_and_moves_again() {
        let mut boxes = Boxes::start(&setup(2, 3)).unwrap();
        // Box (0, 0): top 0, bottom 2, left 6, right 7.
        play(&mut boxes, &[(0, 0), (1, 2), (2, 6), (0, 7), (0, 1), (1, 11)]);
        assert_eq!(boxes.standings().iter().map(|s| s.score).collect::<Vec<_>>(), [1, 0, 0]);
        assert_eq!(boxes.to_move(), SeatSet::from_iter([seat(2)]));
    }

    #[test]
    fn one_edge_can_score_two_boxes_and_the_last_ends_the_match() {
        let mut boxes = Boxes::start(&setup(2, 2)).unwrap();
        let all_but_one = (0..12).filter(|edge| *edge != 2);
        for edge in all_but_one {
            let mover = boxes.globals.to_move.get();
            play(&mut boxes, &[(mover, edge)]);
        }
        let mover = boxes.globals.to_move;
        let before = boxes.globals.scores[mover.index()];
        play(&mut boxes, &[(mover.get(), 2)]);
        assert_eq!(boxes.globals.scores[mover.index()], before + 2);
        assert!(boxes.is_over() && boxes.to_move().is_empty());
        assert_eq!(boxes.check(mover, &encode(&Draw(2))).unwrap_err().reason, "the match is over");
        assert_eq!(boxes.check(mover, &[]), Ok(()));
    }

    #[test]
    fn a_turn_without_an_edge_passes_the_move() {
        let mut boxes = Boxes::start(&setup(5, 3)).unwrap();
        boxes.run_phase(0, &turn(&[]));
        assert_eq!(boxes.globals.to_move, seat(1));
        let empty = |by| Orders::new(seat(by), &[]);
        boxes.run_phase(0, &turn(&[empty(2), empty(0), empty(1)]));
        assert_eq!(boxes.globals.to_move, seat(2));
        let stray = encode(&Draw(60));
        let voids = boxes.run_phase(0, &turn(&[Orders::new(seat(2), &stray)]));
        assert_eq!(voids, [Void { seat: seat(2), command: 0, reason: "there is no such edge" }]);
        assert_eq!(boxes.globals.to_move, seat(0));
    }

    #[test]
    fn only_the_seat_to_move_draws_and_only_once() {
        let mut boxes = Boxes::start(&setup(5, 2)).unwrap();
        let (first, second) = (encode(&Draw(3)), encode(&Draw(4)));
        assert_eq!(boxes.check(seat(1), &first).unwrap_err().reason, "another seat is to move");
        assert_eq!(boxes.check(seat(1), &[]), Ok(()));
        let orders = [(1, &first), (0, &first), (0, &second)];
        let orders = orders.map(|(by, commands)| Orders::new(seat(by), commands));
        let reasons: Vec<_> = boxes.run_phase(0, &turn(&orders)).iter().map(|void| void.reason).collect();
        assert_eq!(reasons, ["another seat is to move", "one edge a turn"]);
        assert_eq!((boxes.globals.edges_drawn, boxes.globals.to_move), (1, seat(1)));
        assert_eq!(boxes.check(seat(1), &first).unwrap_err().reason, "the edge is drawn already");
    }

    #[test]
    fn commands_have_one_encoding() {
        let boxes = Boxes::start(&setup(5, 2)).unwrap();
        for bytes in [&[0][..], &[0, 0, 0], &[60, 0], &[255; 4096]] {
            assert!(boxes.check(seat(0), bytes).is_err(), "{bytes:?}");
        }
        assert_eq!(boxes.check(seat(0), &[59, 0]), Ok(()));
    }

    #[test]
    fn snapshots_that_contradict_themselves_are_refused() {
        let setup = setup(5, 2);
        let mut boxes = Boxes::start(&setup).unwrap();
        play(&mut boxes, &[(0, 0), (1, 5), (0, 30)]);
        let snapshot: Snapshot =
            boxes.chunk_ids().into_iter().map(|id| (id, boxes.chunk(id).unwrap())).collect();
        assert!(Boxes::restore(&setup, &snapshot).is_ok());
        // Size, seats, seat to move, edges drawn, a score; then in the tiles an edge, an owner, a padding bit.
        for (chunk, at, value) in [
            (0, 0, 6),
            (0, 2, 3),
            (0, 3, 2),
            (0, 4, 4),
            (0, 6, 1),
            (1, 1, 1),
            (1, 0, 0x13),
            (1, 15, 1),
            (1, 0, 7),
        ] {
            let mut bad = snapshot.clone();
            bad[chunk].1[at] = value;
            assert_eq!(Boxes::restore(&setup, &bad).unwrap_err(), SetupError::Snapshot, "{chunk} {at}");
        }
        assert!(Boxes::restore(&setup, &snapshot[..1].to_vec()).is_err());
        assert!(Boxes::restore(&setup, &Vec::new()).is_err());
    }
}
