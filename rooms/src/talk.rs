//! What is said in a room: who may speak, and what of it may be told by now.

use cadastre_protocol::{
    CheckedTalk, Context, Conversation, Line, MatchId, Millis, PublicKey, RoomName, ServerMessage,
    SignedTalk, TalkPlace, TalkRefusal, hash,
};

use crate::room::Host;

/// The conversation of a room.
#[derive(Debug)]
pub(crate) struct Talking {
    conversation: Conversation,
    /// Number of the newest line that others may know.
    told: u64,
}

/// What judging something said came to.
#[derive(Debug)]
pub(crate) enum Heard {
    New(Box<CheckedTalk>),
    /// It is one of the last lines, told or about to be.
    Again,
}

impl Talking {
    /// That of a new room's lobby, or of the lobby after a match.
    pub(crate) fn in_lobby(host: &Host, room: &RoomName, after: Option<MatchId>) -> Self {
        let after = after.map_or(Vec::new(), |after| after.as_bytes().to_vec());
        let digest = hash(Context::TalkPlace, &[&host.entropy, room.as_str().as_bytes(), &after]);
        let mut nonce = [0; 16];
        nonce.copy_from_slice(&digest.as_bytes()[..16]);
        Self::goes_on(Conversation::begin(TalkPlace::Lobby { service: host.root, room: room.clone(), nonce }))
    }

    /// One of which everything may be told.
    pub(crate) const fn goes_on(conversation: Conversation) -> Self {
        let told = conversation.last().number;
        Self { conversation, told }
    }

    /// Judges what `sender` says, who `may_speak` here or only listens.
    pub(crate) fn judge(
        &self,
        signed: SignedTalk,
        sender: PublicKey,
        may_speak: bool,
    ) -> Result<Heard, TalkRefusal> {
        let read = signed.read().map_err(|_| TalkRefusal::Malformed)?;
        let talk = read.get();
        if talk.author != sender {
            return Err(TalkRefusal::NotTheAuthor);
        }
        if talk.place != *self.conversation.place() {
            return Err(TalkRefusal::WrongPlace);
        }
        if !may_speak {
            return Err(TalkRefusal::OnlyListening);
        }
        if self.conversation.has(read.hash()) {
            return Ok(Heard::Again);
        }
        Ok(Heard::New(Box::new(self.conversation.check(read)?)))
    }

    /// Makes the next line of what was judged.
    pub(crate) fn say(&mut self, checked: CheckedTalk, now: Millis) -> Line {
        self.conversation.say(checked, now)
    }

    /// A line can be told now; gives what says so.
    pub(crate) fn tell(&mut self, line: Line) -> ServerMessage {
        self.told = line.number;
        ServerMessage::Said(line)
    }

    /// What somebody who comes is told.
    pub(crate) fn so_far(&self) -> ServerMessage {
        let lines = self.conversation.lines().filter(|line| line.number <= self.told);
        ServerMessage::Conversation {
            place: self.conversation.place().clone(),
            lines: lines.cloned().collect(),
        }
    }
}
