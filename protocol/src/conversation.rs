//! A conversation: lines in their order, each linked to the one before. The server makes them and everybody checks
//! them by this. `docs/protocol.md`, "Talk".

use std::collections::VecDeque;

use bincode::{Decode, Encode};

use crate::{
    hash::{Context, hash},
    ids::{LineHash, Millis, TalkHash},
    keys::PublicKey,
    talk::{ReadTalk, SignedTalk, Talk, TalkPlace, TalkRefusal},
};

/// Lines that are kept of a conversation, told to whoever comes, and that an author may be behind.
pub const LINES_KEPT: usize = 32;

/// A line that somebody had seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Seen {
    /// Its number; 0 before the first.
    pub number: u64,
    /// Its name; before the first line [`TalkPlace::opening`].
    pub line: LineHash,
}

/// Something that was said, in its place among all that was.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Line {
    /// Counted from 1.
    pub number: u64,
    /// Names the line before it.
    pub previous: LineHash,
    /// When the server took it.
    pub received: Millis,
    /// As it was signed.
    pub talk: SignedTalk,
}

impl Line {
    /// Names the line, and with it all lines before.
    pub fn hash(&self) -> LineHash {
        let (number, received) = (self.number.to_le_bytes(), self.received.get().to_le_bytes());
        let talk = self.talk.hash();
        let signature = self.talk.signature.as_bytes();
        let parts: [&[u8]; 5] = [self.previous.as_bytes(), &number, &received, talk.as_bytes(), signature];
        LineHash::new(hash(Context::TalkLine, &parts))
    }
}

/// What was said at a place, as far as it is kept.
#[derive(Clone, Debug)]
pub struct Conversation {
    place: TalkPlace,
    lines: VecDeque<Heard>,
    last: Seen,
    latest: Millis,
}

#[derive(Clone, Debug)]
struct Heard {
    line: Line,
    read: ReadTalk,
}

/// Something said that can be the next line of a conversation.
#[derive(Clone, Debug)]
pub struct CheckedTalk(ReadTalk);

impl Conversation {
    /// Nothing was said yet.
    pub fn begin(place: TalkPlace) -> Self {
        let last = Seen { number: 0, line: place.opening() };
        Self { place, lines: VecDeque::new(), last, latest: Millis::default() }
    }

    /// Takes up a conversation from its last lines. What came before them is the word of whoever has them.
    ///
    /// # Errors
    ///
    /// They do not follow from each other, or there are more than are kept.
    pub fn resume(place: TalkPlace, lines: Vec<Line>) -> Result<Self, LineError> {
        let mut conversation = Self::begin(place);
        if lines.len() > LINES_KEPT {
            return Err(LineError::NotNext);
        }
        if let Some(first) = lines.first().filter(|first| first.number != 1) {
            let number = first.number.checked_sub(1).ok_or(LineError::NotNext)?;
            conversation.last = Seen { number, line: first.previous };
        }
        lines.into_iter().try_for_each(|line| conversation.append(line).map(|_| ()))?;
        Ok(conversation)
    }

    /// Where.
    pub const fn place(&self) -> &TalkPlace {
        &self.place
    }

    /// The newest line.
    pub const fn last(&self) -> Seen {
        self.last
    }

    /// The last lines, [`LINES_KEPT`] at most.
    pub fn lines(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().map(|heard| &heard.line)
    }

    /// Stands `name` among the last lines?
    pub fn has(&self, name: TalkHash) -> bool {
        self.lines.iter().any(|heard| heard.read.hash() == name)
    }

    /// The greatest number that `author` has used in the last lines; 0 for none.
    pub fn number_of(&self, author: PublicKey) -> u32 {
        let own = self.lines.iter().filter(|heard| heard.read.get().author == author);
        own.map(|heard| heard.read.get().number).max().unwrap_or(0)
    }

    /// Checks that something can be said next. Who may speak at the place is not asked.
    ///
    /// # Errors
    ///
    /// In the order of [`TalkRefusal`]'s variants; the first that applies.
    pub fn check(&self, read: ReadTalk) -> Result<CheckedTalk, TalkRefusal> {
        let talk = read.get();
        if talk.place != self.place {
            return Err(TalkRefusal::WrongPlace);
        }
        if !self.may_have_seen(talk.seen) {
            return Err(TalkRefusal::UnknownSeenLine);
        }
        if talk.number <= self.number_of(talk.author) {
            return Err(TalkRefusal::Repeated);
        }
        let author = talk.author.enroll().map_err(|_| TalkRefusal::BadSignature)?;
        author
            .verify(Context::Talk, read.hash().digest(), &read.signed().signature)
            .map_err(|_| TalkRefusal::BadSignature)?;
        Ok(CheckedTalk(read))
    }

    /// Makes the next line of what was checked, at this time or that of the line before, whichever is later.
    pub fn say(&mut self, CheckedTalk(read): CheckedTalk, now: Millis) -> Line {
        let Seen { number, line: previous } = self.last;
        let (number, received) = (number.saturating_add(1), now.max(self.latest));
        let line = Line { number, previous, received, talk: read.signed().clone() };
        self.push(line.clone(), read);
        line
    }

    /// Checks the next line and takes it up; gives what was said.
    ///
    /// # Errors
    ///
    /// In the order of [`LineError`]'s variants; the first that applies. The conversation stays as it was.
    pub fn append(&mut self, line: Line) -> Result<&Talk, LineError> {
        if Some(line.number) != self.last.number.checked_add(1) || line.previous != self.last.line {
            return Err(LineError::NotNext);
        }
        if line.received < self.latest {
            return Err(LineError::ClockBackwards);
        }
        let read = line.talk.clone().read().map_err(|_| LineError::Talk(TalkRefusal::Malformed))?;
        let CheckedTalk(read) = self.check(read).map_err(LineError::Talk)?;
        Ok(self.push(line, read))
    }

    fn push(&mut self, line: Line, read: ReadTalk) -> &Talk {
        (self.last, self.latest) = (Seen { number: line.number, line: line.hash() }, line.received);
        if self.lines.len() == LINES_KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back_mut(Heard { line, read }).read.get()
    }

    /// Names a line; `None` for one that is not kept, the one before the first of them excepted.
    pub fn line(&self, number: u64) -> Option<LineHash> {
        if number == self.last.number {
            return Some(self.last.line);
        }
        let after = self.lines.iter().find(|heard| heard.line.number.checked_sub(1) == Some(number));
        after.map(|heard| heard.line.previous)
    }

    /// Is it one of the last lines? Of a conversation that was taken up, older ones than there are are not known: of
    /// them the number alone counts.
    fn may_have_seen(&self, seen: Seen) -> bool {
        let behind = self.last.number.checked_sub(seen.number);
        behind.is_some_and(|behind| behind < LINES_KEPT as u64)
            && self.line(seen.number).is_none_or(|line| line == seen.line)
    }
}

/// Why a line is not the next of a conversation. The fault of the server, whoever signed what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Lines are missing before it, or it links to another one.
    #[error("the line does not follow the one before it")]
    NotNext,
    /// It is older than the one before.
    #[error("the line is older than the one before it")]
    ClockBackwards,
    /// What was said could not be said there.
    #[error("what was said could not be said there")]
    Talk(#[source] TalkRefusal),
}
