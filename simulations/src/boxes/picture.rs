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
        (_, 0) => line(Edge::Across { x, y }, '━'),
        (0, _) => line(Edge::Down { x, y }, '┃'),
        (_, _) => (' ', DOT),
    };
    Cell { glyph, ink, ground: ground(board, column, row) }
}

/// The mean of the boxes that a place touches, so that neighbouring boxes of one owner become one field.
fn ground(board: &Board, column: u16, row: u16) -> Rgb {
    // A box lies at an odd place; at an even one, the boxes before and after it.
    let before = |place: u16| place.checked_sub(1).map(|place| place / 2);
    let colour = |x: Option<u16>, y: Option<u16>| {
        let boxed = x.zip(y).filter(|(x, y)| *x < board.size() && *y < board.size());
        boxed.and_then(|(x, y)| board.owner(x, y)).map_or(PAPER, |owner| SEAT_COLOURS[owner.index()])
    };
    let columns = [before(column), Some(column / 2)];
    let rows = [before(row), Some(row / 2)];
    let mut sums = [0_u16; 3];
    for (x, y) in columns.into_iter().flat_map(|x| rows.map(|y| (x, y))) {
        sums.iter_mut().zip(colour(x, y)).for_each(|(sum, part)| *sum += u16::from(part));
    }
    sums.map(|sum| u8::try_from(sum / 4).expect("a mean of bytes"))
}
