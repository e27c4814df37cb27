//! The built-in player: takes a box if it can, gives none away if it can, else draws anything.

use super::board::{Board, Edge};

/// The number of the edge to draw; `None` when all are drawn.
///
/// Looks for a safe edge from a place that jumps about with the number of edges drawn, so that early in a
/// match, when nearly every edge is safe, the search is short and the board fills evenly.
pub(super) fn edge(board: &Board, edges_drawn: u16) -> Option<u16> {
    if let Some((x, y)) = board.nearly_complete() {
        let open = Board::sides_of(x, y).into_iter().find(|edge| !board.is_drawn(*edge));
        return open.map(|edge| board.number(edge));
    }
    let start = u32::from(edges_drawn) * STRIDE % u32::from(board.edges());
    let start = u16::try_from(start).expect("a remainder of a u16");
    let mut any = None;
    for number in (start..board.edges()).chain(0..start) {
        let edge = board.edge(number).expect("below the number of edges");
        if !board.is_drawn(edge) {
            if is_safe(board, edge) {
                return Some(number);
            }
            any = any.or(Some(number));
        }
    }
    any
}

/// Does `edge` leave the next player without a box to complete?
fn is_safe(board: &Board, edge: Edge) -> bool {
    board.boxes_beside(edge).into_iter().flatten().all(|(x, y)| board.sides(x, y) < 2)
}

/// A prime, larger than any number of edges divides.
const STRIDE: u32 = 40_009;
