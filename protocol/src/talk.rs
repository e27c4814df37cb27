//! What people say to each other in a room, signed. `docs/protocol.md`, "Talk".
//!
//! Provides: nobody, the server included, says anything in another's name; what was said at one place cannot be shown
//! at another, nor twice at one.
//!
//! Does not provide: that everything said is shown. A server can leave words out, and nothing signed shows it.

use bincode::{Decode, Encode};

use crate::{
    codec::{CodecError, Wire, decode_exact, encode},
    conversation::Seen,
    hash::{Context, hash},
    ids::{LineHash, MatchId, TalkHash},
    keys::{PublicKey, SecretKey, Signature},
    limit::Limit,
    message::RoomName,
    text::Text,
};

/// Where people talk: each place has one conversation.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum TalkPlace {
    /// In a room, while no match runs in it.
    Lobby {
        /// Root key of the service.
        service: PublicKey,
        /// Name of the room.
        room: RoomName,
        /// Tells it from other rooms that had or will have the name.
        nonce: [u8; 16],
    },
    /// At a match.
    Match(MatchId),
}

impl TalkPlace {
    /// What the first line links to.
    pub fn opening(&self) -> LineHash {
        LineHash::new(hash(Context::TalkPlace, &[&encode(self)]))
    }

    pub(crate) fn is_valid(&self) -> bool {
        match self {
            Self::Lobby { room, .. } => room.is_valid(),
            Self::Match(_) => true,
        }
    }
}

/// What somebody says, as it is signed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Talk {
    /// Version of this layout: 1.
    pub version: u8,
    /// Where.
    pub place: TalkPlace,
    /// Who: an identity.
    pub author: PublicKey,
    /// Greater than that of the author before it.
    pub number: u32,
    /// The newest line that the author had seen.
    pub seen: Seen,
    /// What.
    pub words: Words,
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Words {
    /// In words.
    Text(Text),
    /// Without.
    Reaction(Reaction),
}

/// What can be said without words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Reaction {
    /// Well done.
    Applause,
    /// Good game.
    GoodGame,
    /// Thanks.
    Thanks,
    /// Funny.
    Laugh,
    /// Did not see that coming.
    Surprise,
    /// What a pity.
    Sorrow,
    /// Think about it, or take your time.
    Thinking,
    /// Come on.
    Hurry,
}

impl Reaction {
    /// All that there are.
    pub const ALL: [Self; 8] = [
        Self::Applause,
        Self::GoodGame,
        Self::Thanks,
        Self::Laugh,
        Self::Surprise,
        Self::Sorrow,
        Self::Thinking,
        Self::Hurry,
    ];

    /// Its name on the command line and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Applause => "applause",
            Self::GoodGame => "good-game",
            Self::Thanks => "thanks",
            Self::Laugh => "laugh",
            Self::Surprise => "surprise",
            Self::Sorrow => "sorrow",
            Self::Thinking => "thinking",
            Self::Hurry => "hurry",
        }
    }
}

impl Talk {
    /// The layout that this build writes.
    pub const VERSION: u8 = 1;
}

impl Wire for Talk {
    const BYTES_MAX: usize = 1024;

    fn validate(&self) -> Result<(), &'static str> {
        if self.version != Self::VERSION {
            return Err("talk version");
        }
        if !self.place.is_valid() {
            return Err("room name");
        }
        match &self.words {
            Words::Text(text) => text.check().map_err(|_| "text"),
            Words::Reaction(_) => Ok(()),
        }
    }
}

/// What somebody says, as it is relayed and stored.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SignedTalk {
    /// Encoding of the [`Talk`].
    pub body: Vec<u8>,
    /// By the author, under [`Context::Talk`].
    pub signature: Signature,
}

impl SignedTalk {
    /// Signs `talk` with the identity key of its author.
    pub fn sign(author: &SecretKey, talk: &Talk) -> Self {
        let body = encode(talk);
        let signature = author.sign(Context::Talk, hash(Context::Talk, &[&body]));
        Self { body, signature }
    }

    /// Names what was said.
    pub fn hash(&self) -> TalkHash {
        TalkHash::new(hash(Context::Talk, &[&self.body]))
    }

    /// Decodes what was signed; the signature is not looked at.
    ///
    /// # Errors
    ///
    /// The bytes are not the encoding of something that can be said.
    pub fn read(self) -> Result<ReadTalk, CodecError> {
        Ok(ReadTalk { talk: decode_exact(&self.body)?, hash: self.hash(), signed: self })
    }
}

/// Something decoded that somebody says, beside its bytes.
#[derive(Clone, Debug)]
pub struct ReadTalk {
    talk: Talk,
    hash: TalkHash,
    signed: SignedTalk,
}

impl ReadTalk {
    /// What was signed.
    pub const fn get(&self) -> &Talk {
        &self.talk
    }

    /// Names what was said.
    pub const fn hash(&self) -> TalkHash {
        self.hash
    }

    /// The bytes as they came.
    pub const fn signed(&self) -> &SignedTalk {
        &self.signed
    }
}

/// Why something that was said is not passed on. Leaves no trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, thiserror::Error)]
pub enum TalkRefusal {
    /// Too much was said.
    #[error("limit `{limit}` is reached; come again in {} s", .retry_after_ms.div_ceil(1000))]
    Limited {
        /// Which limit.
        limit: Limit,
        /// Not before, in milliseconds from now.
        retry_after_ms: u32,
    },
    /// Not the encoding of a [`Talk`], or no text to be shown.
    #[error("malformed, or no text to be shown")]
    Malformed,
    /// The sender is somebody else than the author.
    #[error("said in the name of somebody else")]
    NotTheAuthor,
    /// For another place than where the sender is.
    #[error("said at another place than this")]
    WrongPlace,
    /// While the match runs, only those who play for a seat speak.
    #[error("spectators listen until the match is over")]
    OnlyListening,
    /// The line that the author names is no line here, or too many came after it.
    #[error("what the author had seen is no recent line here")]
    UnknownSeenLine,
    /// The author has said this, or something with a greater number, a short while ago.
    #[error("the author's number was used before")]
    Repeated,
    /// The author did not sign this.
    #[error("not signed by its author")]
    BadSignature,
}

impl TalkRefusal {
    /// One word, for metrics and tools.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Limited { .. } => "limited",
            Self::Malformed => "malformed",
            Self::NotTheAuthor => "not-the-author",
            Self::WrongPlace => "wrong-place",
            Self::OnlyListening => "only-listening",
            Self::UnknownSeenLine => "unknown-seen-line",
            Self::Repeated => "repeated",
            Self::BadSignature => "bad-signature",
        }
    }
}
