//! How results are printed.

use std::{
    io::{ErrorKind, IsTerminal, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use cadastre_simulations::Picture;
use serde_json::Value;

/// Widest picture in a terminal, in cells; larger ones are shrunk.
const PICTURE_WIDTH_MAX: u16 = 96;

/// Where results go: lines for people, or JSON objects.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    json: bool,
}

impl Output {
    pub(super) const fn new(json: bool) -> Self {
        Self { json }
    }

    pub(super) const fn is_json(self) -> bool {
        self.json
    }

    /// Prints a result in the form that was asked for.
    pub(super) fn result(self, json: &Value, text: impl FnOnce() -> String) {
        if self.json { line(&json.to_string()) } else { line(&text()) }
    }

    /// Prints something that only a person wants to know.
    pub(super) fn say(self, text: &str) {
        if !self.json {
            line(text);
        }
    }

    /// Draws a picture and what belongs to it, for a person.
    pub(super) fn picture(self, picture: Picture) {
        if self.json {
            return;
        }
        let picture = picture.shrink(PICTURE_WIDTH_MAX);
        let coloured = std::io::stdout().is_terminal();
        let mut text = String::new();
        for row in picture.rows() {
            for cell in row {
                if coloured {
                    let ([r, g, b], [r2, g2, b2]) = (cell.ink, cell.ground);
                    text.push_str(&format!("\x1b[38;2;{r};{g};{b};48;2;{r2};{g2};{b2}m"));
                }
                text.push(cell.glyph);
            }
            text.push_str(if coloured { "\x1b[0m\n" } else { "\n" });
        }
        text.push_str(&picture.legend.join("\n"));
        line(&text);
    }
}

/// Set once something could not be printed: what comes after would be a result with a gap.
static GONE: AtomicBool = AtomicBool::new(false);

/// Set when that was not because the reader has gone away (`cadastre … | head`), which is no failure of ours.
static FAILED: AtomicBool = AtomicBool::new(false);

/// Could everything be printed that somebody wanted to read?
pub(super) fn was_printed() -> bool {
    !FAILED.load(Ordering::Relaxed)
}

fn line(text: &str) {
    if GONE.load(Ordering::Relaxed) {
        return;
    }
    let mut stdout = std::io::stdout().lock();
    if let Err(error) = writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        GONE.store(true, Ordering::Relaxed);
        if error.kind() != ErrorKind::BrokenPipe {
            FAILED.store(true, Ordering::Relaxed);
            super::complain(&format!("cannot print the result: {error}"));
        }
    }
}
