//! A state as coloured cells, for a terminal or a moving picture.

/// A rectangle of cells and a few lines of text under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Cells in a row.
    pub width: u16,
    /// Row by row, `width` cells each.
    pub cells: Vec<Cell>,
    /// What a person would want to read beside it, a line for each seat or so.
    pub legend: Vec<String>,
}

/// One place of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// What stands there, one column wide.
    pub glyph: char,
    /// Colour of the glyph.
    pub ink: Rgb,
    /// Colour behind it.
    pub ground: Rgb,
}

/// A colour: red, green and blue, 0 to 255 each.
pub type Rgb = [u8; 3];

/// Colours of the seats, told apart also by people who see red and green alike (Okabe and Ito, 2008).
pub const SEAT_COLOURS: [Rgb; 8] = [
    [230, 159, 0],
    [86, 180, 233],
    [204, 121, 167],
    [240, 228, 66],
    [0, 158, 115],
    [213, 94, 0],
    [0, 114, 178],
    [200, 200, 200],
];

impl Picture {
    /// Rows of cells.
    pub fn rows(&self) -> impl Iterator<Item = &[Cell]> {
        self.cells.chunks(usize::from(self.width.max(1)))
    }

    /// The picture with at most `width_max` cells in a row; a picture that has no more stays as it is. Each cell
    /// stands for a square of cells: it has their mean ground and the glyph of the one in the middle.
    #[must_use]
    pub fn shrink(self, width_max: u16) -> Self {
        let side = self.width.div_ceil(width_max.max(1));
        if side <= 1 {
            return self;
        }
        let columns = (0..self.width).step_by(side.into());
        let rows: Vec<_> = self.rows().collect();
        let cells = rows.chunks(side.into()).flat_map(|band| {
            columns.clone().map(move |column| {
                let columns = usize::from(column)..usize::from(self.width.min(column.saturating_add(side)));
                merge(&band.iter().map(|row| &row[columns.clone()]).collect::<Vec<_>>())
            })
        });
        Self { width: self.width.div_ceil(side), cells: cells.collect(), legend: self.legend.clone() }
    }
}

/// One cell for a rectangle of at least one.
fn merge(rows: &[&[Cell]]) -> Cell {
    let middle = rows[rows.len() / 2];
    let mut sums = [0; 3];
    let mut count = 0;
    for cell in rows.iter().copied().flatten() {
        count += 1;
        sums.iter_mut().zip(cell.ground).for_each(|(sum, part)| *sum += u32::from(part));
    }
    let ground = sums.map(|sum| u8::try_from(sum / count).expect("a mean of bytes"));
    Cell { ground, ..middle[middle.len() / 2] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: u16, height: u16) -> Picture {
        let cell = |number: u16| Cell {
            glyph: char::from(b'a' + u8::try_from(number % 26).unwrap()),
            ink: [1, 2, 3],
            ground: [u8::try_from(number).unwrap(), 0, 90],
        };
        Picture { width, cells: (0..width * height).map(cell).collect(), legend: vec!["seat 0".into()] }
    }

    #[test]
    fn a_small_picture_stays() {
        assert_eq!(picture(5, 4).shrink(5), picture(5, 4));
    }

    #[test]
    fn squares_become_cells() {
        let small = picture(5, 3).shrink(3);
        assert_eq!((small.width, small.cells.len()), (3, 6));
        assert_eq!(small.legend, ["seat 0"]);
        // The means of 0, 1, 5, 6 and of 14 alone; glyphs of the cells 6 and 14.
        assert_eq!(small.cells[0], Cell { glyph: 'g', ink: [1, 2, 3], ground: [3, 0, 90] });
        assert_eq!(small.cells[5], Cell { glyph: 'o', ink: [1, 2, 3], ground: [14, 0, 90] });
    }

    #[test]
    fn any_width_is_survived() {
        for width in [0, 1, 7] {
            for width_max in [0, 1, 2, 3, 100] {
                let small = picture(width, 4).shrink(width_max);
                assert!(small.width <= width_max.max(1));
            }
        }
    }
}
