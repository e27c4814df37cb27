//! Text that one person shows to others. `docs/protocol.md`, "Text".

use bincode::{Decode, Encode};

/// Most characters (Unicode scalar values) of a text.
pub const TEXT_CHARS_MAX: usize = 280;

/// Most bytes of a text: three for each character, so that only scripts beyond the basic plane are bounded by it.
pub const TEXT_BYTES_MAX: usize = 3 * TEXT_CHARS_MAX;

/// One line of text that shows what it is: nothing in it is invisible, or turns round what stands beside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Text(String);

impl Text {
    /// Takes `text` without the white space around it.
    ///
    /// # Errors
    ///
    /// In the order of [`TextError`]'s variants; the first that applies.
    pub fn new(text: &str) -> Result<Self, TextError> {
        let text = Self(text.trim().to_owned());
        text.check().map(|()| text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn check(&self) -> Result<(), TextError> {
        if self.0.is_empty() {
            return Err(TextError::Empty);
        }
        if self.0.len() > TEXT_BYTES_MAX || self.0.chars().count() > TEXT_CHARS_MAX {
            return Err(TextError::TooLong);
        }
        if self.0.trim() != self.0 {
            return Err(TextError::Untrimmed);
        }
        let mut before = ' ';
        for character in self.0.chars() {
            let shows = if is_joiner(character) {
                !before.is_whitespace() && (!is_joiner(before) || follows_a_selector(before, character))
            } else {
                !is_hidden(character)
            };
            if !shows {
                return Err(TextError::Character(character));
            }
            before = character;
        }
        if matches!(before, NON_JOINER | JOINER) { Err(TextError::Character(before)) } else { Ok(()) }
    }
}

impl std::fmt::Display for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why something is no text to be shown. Always the fault of whoever wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Nothing but white space.
    #[error("there is no text")]
    Empty,
    /// More characters or bytes than a text may have.
    #[error("the text is longer than {TEXT_CHARS_MAX} characters or {TEXT_BYTES_MAX} bytes")]
    TooLong,
    /// White space around it, which takes no part in it.
    #[error("white space around the text")]
    Untrimmed,
    /// A character that does not show, or changes how others show.
    #[error("the character U+{:04X} does not show, or changes how others do", u32::from(*.0))]
    Character(char),
}

const NON_JOINER: char = '\u{200C}';
const JOINER: char = '\u{200D}';

/// Shapes the characters beside it, as scripts and emoji need it. Nothing to see without them.
const fn is_joiner(character: char) -> bool {
    matches!(character, NON_JOINER | JOINER | '\u{FE0E}' | '\u{FE0F}')
}

/// An emoji may be joined to the next one after the selector of its form.
const fn follows_a_selector(before: char, character: char) -> bool {
    matches!((before, character), ('\u{FE0E}' | '\u{FE0F}', JOINER))
}

fn is_hidden(character: char) -> bool {
    let of_each_plane = u32::from(character) & 0xfffe == 0xfffe;
    of_each_plane || HIDDEN.iter().any(|(first, last)| (*first..=*last).contains(&character))
}

/// What no text has, first and last of each range. Fixed here, and not by a version of Unicode: all must judge alike.
const HIDDEN: [(char, char); 26] = [
    // Controls.
    ('\u{0000}', '\u{001F}'),
    ('\u{007F}', '\u{009F}'),
    // Ignorable by default, and what turns the direction of others.
    ('\u{00AD}', '\u{00AD}'),
    ('\u{034F}', '\u{034F}'),
    ('\u{061C}', '\u{061C}'),
    ('\u{115F}', '\u{1160}'),
    ('\u{17B4}', '\u{17B5}'),
    ('\u{180B}', '\u{180F}'),
    ('\u{200B}', '\u{200F}'),
    // Line and paragraph separators; embeddings and overrides.
    ('\u{2028}', '\u{202E}'),
    ('\u{2060}', '\u{206F}'),
    // A braille cell without dots.
    ('\u{2800}', '\u{2800}'),
    ('\u{3164}', '\u{3164}'),
    // Private use.
    ('\u{E000}', '\u{F8FF}'),
    // No characters at all.
    ('\u{FDD0}', '\u{FDEF}'),
    ('\u{FE00}', '\u{FE0F}'),
    ('\u{FEFF}', '\u{FEFF}'),
    ('\u{FFA0}', '\u{FFA0}'),
    // Reserved, annotations, the place of an object.
    ('\u{FFF0}', '\u{FFFC}'),
    ('\u{1BCA0}', '\u{1BCA3}'),
    ('\u{1D159}', '\u{1D159}'),
    ('\u{1D173}', '\u{1D17A}'),
    ('\u{13430}', '\u{1345F}'),
    // Tags and further selectors.
    ('\u{E0000}', '\u{E0FFF}'),
    // Private use.
    ('\u{F0000}', '\u{FFFFF}'),
    ('\u{100000}', '\u{10FFFF}'),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_text() {
        for text in [
            "gg",
            "Nice move! :-)",
            "שלום, עולם",
            "مرحبا",
            "می\u{200C}خواهم",
            "क्\u{200D}ष",
            "日本語\u{3000}です",
            "1\u{FE0F}\u{20E3}",
            "👩\u{200D}👩\u{200D}👧",
            "🏳\u{FE0F}\u{200D}🌈",
            "❤\u{FE0F}",
            "e\u{301}",
            "a\u{A0}b",
        ] {
            assert_eq!(Text::new(text).map(|text| text.0).as_deref(), Ok(text));
        }
    }

    #[test]
    fn white_space_around_it_is_taken_away() {
        assert_eq!(Text::new(" \t gg \u{3000}\n").unwrap().as_str(), "gg");
        assert_eq!(Text::new(" \u{2003} "), Err(TextError::Empty));
        for text in [" gg", "gg ", "gg\u{A0}"] {
            assert_eq!(Text(text.into()).check(), Err(TextError::Untrimmed));
        }
    }

    #[test]
    fn what_does_not_show_is_no_text() {
        for hidden in [
            '\0',
            '\n',
            '\t',
            '\u{1B}',
            '\u{7F}',
            '\u{85}',
            '\u{AD}',
            '\u{61C}',
            '\u{115F}',
            '\u{180E}',
            '\u{200B}',
            '\u{200E}',
            '\u{200F}',
            '\u{2028}',
            '\u{2029}',
            '\u{202A}',
            '\u{202D}',
            '\u{202E}',
            '\u{2060}',
            '\u{2066}',
            '\u{2069}',
            '\u{206F}',
            '\u{2800}',
            '\u{3164}',
            '\u{E000}',
            '\u{FDD0}',
            '\u{FE00}',
            '\u{FEFF}',
            '\u{FFF9}',
            '\u{FFFF}',
            '\u{1FFFE}',
            '\u{1D173}',
            '\u{E0041}',
            '\u{E0100}',
            '\u{F0000}',
            '\u{10FFFD}',
        ] {
            assert_eq!(Text::new(&format!("a{hidden}b")), Err(TextError::Character(hidden)));
        }
    }

    #[test]
    fn joiners_stand_between_what_they_join() {
        for (text, at) in [
            ("\u{200D}a", JOINER),
            ("a\u{200D}", JOINER),
            ("a\u{200C}", NON_JOINER),
            ("a \u{200C}b", NON_JOINER),
            ("a\u{200D}\u{200D}b", JOINER),
            ("a\u{200C}\u{FE0F}b", '\u{FE0F}'),
            ("a\u{FE0F}\u{FE0F}", '\u{FE0F}'),
        ] {
            assert_eq!(Text::new(text), Err(TextError::Character(at)), "{}", text.escape_unicode());
        }
    }

    #[test]
    fn it_has_as_many_characters_as_it_may() {
        for unit in ["a", "ß", "語"] {
            assert!(Text::new(&unit.repeat(280)).is_ok());
            assert_eq!(Text::new(&unit.repeat(281)), Err(TextError::TooLong));
        }
        assert!(Text::new(&"🙂".repeat(210)).is_ok());
        assert_eq!(Text::new(&"🙂".repeat(211)), Err(TextError::TooLong));
    }
}
