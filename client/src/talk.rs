//! A session's part in the conversations of its room. `docs/protocol.md`, "Talk".

use std::collections::{BTreeSet, VecDeque};

use cadastre_protocol::{
    Conversation, Line, LineError, Millis, PublicKey, SecretKey, SignedTalk, Talk, TalkHash, TalkPlace,
    TalkRefusal, Words,
};

/// Most things said that the server has not answered.
const UNANSWERED_MAX: usize = 8;

/// Something that was said: signed by its author, and next after all that was said before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Names what was said.
    pub name: TalkHash,
    /// Who said it.
    pub author: PublicKey,
    /// Number of the line, counted from 1 at each place.
    pub number: u64,
    /// When, by the server's clock.
    pub received: Millis,
    /// What.
    pub words: Words,
}

/// Why something is not said. The caller's fault, or bad luck with the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SayError {
    /// The session is in no room, or its conversation is broken.
    #[error("the session is in no conversation")]
    NotConnected,
    /// The server has not answered what was said before.
    #[error("the server has not answered what was said before")]
    TooMuch,
}

/// What the server's lines come to.
#[derive(Debug)]
pub(crate) enum Heard {
    /// Nothing yet, but one can talk here now.
    Begun,
    Said(Said),
    /// So many lines were said meanwhile, and are kept no more.
    Missed(u64),
    /// Something of the own that was not passed on.
    NotSaid(TalkHash, TalkRefusal),
    Broken(LineError),
}

/// The conversation that the session is in, and what it has said there.
#[derive(Debug, Default)]
pub(crate) struct Talking {
    conversation: Option<Conversation>,
    /// On this connection: the server has told what was said before.
    is_joined: bool,
    /// Said, and neither heard nor refused.
    unanswered: VecDeque<(TalkHash, SignedTalk)>,
    muted: BTreeSet<PublicKey>,
}

impl Talking {
    pub(crate) const fn disconnected(&mut self) {
        self.is_joined = false;
    }

    pub(crate) fn mute(&mut self, author: PublicKey) {
        self.muted.insert(author);
    }

    pub(crate) fn unmute(&mut self, author: PublicKey) {
        self.muted.remove(&author);
    }

    pub(crate) const fn is_joined(&self) -> bool {
        self.is_joined && self.conversation.is_some()
    }

    /// Signs the next thing that the author says.
    pub(crate) fn say(&mut self, author: &SecretKey, words: Words) -> Result<SignedTalk, SayError> {
        let conversation = self.conversation.as_ref().filter(|_| self.is_joined);
        let conversation = conversation.ok_or(SayError::NotConnected)?;
        if self.unanswered.len() == UNANSWERED_MAX {
            return Err(SayError::TooMuch);
        }
        let unanswered = self.unanswered.back().and_then(|(_, said)| said.clone().read().ok());
        let unanswered = unanswered.map_or(0, |said| said.get().number);
        let last = conversation.number_of(author.public()).max(unanswered);
        let talk = Talk {
            version: Talk::VERSION,
            place: conversation.place().clone(),
            author: author.public(),
            number: last.checked_add(1).ok_or(SayError::TooMuch)?,
            seen: conversation.last(),
            words,
        };
        let signed = SignedTalk::sign(author, &talk);
        self.unanswered.push_back((signed.hash(), signed.clone()));
        Ok(signed)
    }

    /// The server says what was said at `place`, where the session is now; gives what to say again.
    pub(crate) fn join(&mut self, place: TalkPlace, lines: Vec<Line>) -> (Vec<Heard>, Vec<SignedTalk>) {
        self.is_joined = true;
        let mut heard = Vec::new();
        let known = self.conversation.take().filter(|known| *known.place() == place);
        if known.is_none() {
            // What was not answered was said elsewhere.
            let unanswered = self.unanswered.drain(..);
            heard.extend(unanswered.map(|(name, _)| Heard::NotSaid(name, TalkRefusal::WrongPlace)));
        }
        let is_new = known.is_none();
        let known = known.unwrap_or_else(|| Conversation::begin(place));
        match follow(&known, lines) {
            Ok(told) => {
                heard.extend(is_new.then_some(Heard::Begun));
                let last = known.last().number;
                let before = told.lines().next().map_or(last, |first| first.number - 1);
                if before > last {
                    heard.push(Heard::Missed(before - last));
                }
                told.lines().filter(|line| line.number > last).for_each(|line| self.hear(line, &mut heard));
                self.conversation = Some(told);
            }
            Err(error) => heard.push(Heard::Broken(error)),
        }
        (heard, self.unanswered.iter().map(|(_, said)| said.clone()).collect())
    }

    /// The server tells the next line.
    pub(crate) fn take(&mut self, line: &Line) -> Vec<Heard> {
        let mut heard = Vec::new();
        // One that is broken stays so until the next connection.
        let Some(conversation) = self.conversation.as_mut().filter(|_| self.is_joined) else { return heard };
        match conversation.append(line.clone()) {
            Ok(_) => self.hear(line, &mut heard),
            Err(error) => {
                self.conversation = None;
                heard.push(Heard::Broken(error));
            }
        }
        heard
    }

    /// Shows a line that was checked.
    fn hear(&mut self, line: &Line, heard: &mut Vec<Heard>) {
        let Ok(read) = line.talk.clone().read() else { return };
        self.unanswered.retain(|(name, _)| *name != read.hash());
        let talk = read.get();
        if !self.muted.contains(&talk.author) {
            heard.push(Heard::Said(Said {
                name: read.hash(),
                author: talk.author,
                number: line.number,
                received: line.received,
                words: talk.words.clone(),
            }));
        }
    }

    /// The server does not pass something on. `false` for what this session has not said, or not lately.
    pub(crate) fn refused(&mut self, name: TalkHash) -> bool {
        let before = self.unanswered.len();
        self.unanswered.retain(|(said, _)| *said != name);
        self.unanswered.len() < before
    }
}

/// Takes up the last lines of a conversation of which more, or less, is known.
fn follow(known: &Conversation, lines: Vec<Line>) -> Result<Conversation, LineError> {
    let told = Conversation::resume(known.place().clone(), lines)?;
    let last = known.last();
    let contradicts = told.line(last.number).is_some_and(|line| line != last.line);
    if told.last().number < last.number || contradicts { Err(LineError::NotNext) } else { Ok(told) }
}
