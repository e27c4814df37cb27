//! Dots, lines and owners as coloured cells.

use crate::picture::{Cell, Picture, Rgb, SEAT_COLOURS};

use cadastre_protocol::Seat;

use super::{
    Globals,
    board::{Board, Edge},
};

const PAPER: Rgb = [24, 24, 28];
const LINE: Rgb = [220, 220, 220];
const DOT: Rgb = [120, 120, 130];

/// Dots at even, boxes at odd places, lines between them.
pub(super) fn draw(board: &Board, globals: &Globals) -> Picture {
    let width = 2 * board.size() + 1;
    let places = (0..width).flat_map(|row| (0..width).map(move |column| (column, row)));
    let cells = places.map(|(column, row)| cell(board, column, row)).collect();
    let legend = Seat::first(globals.seats)
        .map(|seat| {
            let mark = if seat == globals.to_move { "to move" } else { "" };
            format!("seat {seat}: {} boxes {mark}", globals.scores[seat.index()]).trim_end().to_owned()
        })
        .collect();
    Picture { width, cells, legend }
}

fn cell(board: &Board, column: u16, row: u16) -> Cell {
    let (x, y) = (column / 2, row / 2);
    let line = |edge, glyph| if board.is_drawn(edge) { (glyph, LINE) } else { (' ', LINE) };
    let (glyph, ink) = match (column % 2, row % 2) {
        (0, 0) => ('·', DOT),
        (_, 0) => line(Edge::Across { x, y }, '─'),
        (0, _) => line(Edge::Down { x, y }, '│'),
        (_, _) => return boxed(board.owner(x, y)),
    };
    Cell { glyph, ink, ground: PAPER }
}

fn boxed(owner: Option<Seat>) -> Cell {
    match owner {
        Some(seat) => Cell { glyph: ' ', ink: PAPER, ground: SEAT_COLOURS[seat.index()] },
        None => Cell { glyph: ' ', ink: DOT, ground: PAPER },
    }
}
