//! A replay as a moving picture.

use std::{fs::File, io::BufWriter, path::Path};

use cadastre_protocol::Turn;
use cadastre_replay::Replay;
use cadastre_simulations::Picture;
use gif::{Encoder, Frame, Repeat};

use super::{CliError, describe};

/// Most frames of a picture; of longer matches every second, third … turn is shown.
const FRAMES_MAX: u32 = 300;

/// Widest picture, in cells.
const WIDTH_CELLS_MAX: u16 = 256;

/// Side of a cell, in pixels.
const CELL_PIXELS: u16 = 4;

/// How long a frame is shown, in hundredths of a second.
const FRAME_DELAY: u16 = 12;

/// How long the last frame is shown, in hundredths of a second.
const LAST_FRAME_DELAY: u16 = 200;

/// Trade of speed for colours, 1 (best) to 30, of the colour reduction.
const COLOUR_SPEED: i32 = 10;

/// Writes the match from its start to its end; gives the number of frames.
pub(super) fn write(replay: &Replay<'_>, path: &Path) -> Result<u32, CliError> {
    let failed =
        |error: &dyn std::error::Error| CliError::failed(format!("{}: {}", path.display(), describe(error)));
    let step = replay.summary().turns.get() / FRAMES_MAX + 1;
    let mut player = replay.player(Turn::START).map_err(|error| failed(&error))?;
    let first = player.game().simulation().picture().shrink(WIDTH_CELLS_MAX);
    let (width, height) = pixels(&first);
    let file = BufWriter::new(File::create(path).map_err(|error| failed(&error))?);
    let mut encoder = Encoder::new(file, width, height, &[]).map_err(|error| failed(&error))?;
    encoder.set_repeat(Repeat::Infinite).map_err(|error| failed(&error))?;
    let mut frames = 0;
    loop {
        let is_last = player.turn() == replay.summary().turns;
        if player.turn().get().is_multiple_of(step) || is_last {
            let picture = player.game().simulation().picture().shrink(WIDTH_CELLS_MAX);
            let mut frame = Frame::from_rgb_speed(width, height, &rgb(&picture), COLOUR_SPEED);
            frame.delay = if is_last { LAST_FRAME_DELAY } else { FRAME_DELAY };
            encoder.write_frame(&frame).map_err(|error| failed(&error))?;
            frames += 1;
        }
        if player.forward().map_err(|error| failed(&error))?.is_none() {
            return Ok(frames);
        }
    }
}

fn pixels(picture: &Picture) -> (u16, u16) {
    let rows = u16::try_from(picture.rows().count()).unwrap_or(u16::MAX);
    (picture.width.saturating_mul(CELL_PIXELS), rows.saturating_mul(CELL_PIXELS))
}

/// Each cell as a square of its ground, with its ink in the middle where it has a glyph.
fn rgb(picture: &Picture) -> Vec<u8> {
    let mut bytes = Vec::new();
    for row in picture.rows() {
        for y in 0..CELL_PIXELS {
            for cell in row {
                for x in 0..CELL_PIXELS {
                    let middle = (1..CELL_PIXELS - 1).contains(&x) && (1..CELL_PIXELS - 1).contains(&y);
                    let colour = if middle && cell.glyph != ' ' { cell.ink } else { cell.ground };
                    bytes.extend_from_slice(&colour);
                }
            }
        }
    }
    bytes
}
