//! Hashing: BLAKE3 in `derive_key` mode, one context for each kind of object.

use std::fmt;

use bincode::{Decode, Encode};
use blake3::hazmat::{ContextKey, HasherExt, hash_derive_key_context};
use std::sync::LazyLock;

/// The 32 bytes of a hash: BLAKE3, and SHA-256 in the transparency log. Compared in constant time only where
/// secrets are involved, which is not here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Digest([u8; 32]);

impl Digest {
    /// All zero: stands where a format has a hash that its mode does not use.
    pub const ZERO: Self = Self([0; 32]);

    /// Takes 32 bytes as a digest.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads 64 lower- or upper-case hexadecimal digits; `None` for anything else.
    pub fn from_hex(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        if text.len() != 64 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            let high = char::from(pair[0]).to_digit(16)?;
            let low = char::from(pair[1]).to_digit(16)?;
            *byte = u8::try_from(high << 4 | low).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Declares every context once, with the list that the N×N test walks.
macro_rules! contexts {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What a hash or signature is about. No context serves two kinds of object.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Context { $($(#[$doc])* $name,)* }

        impl Context {
            /// Every context there is.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The constant string that BLAKE3 and Ed25519 are given.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => concat!("cadastre v1 2026-11 ", $text),)* }
            }

            fn key(self) -> &'static ContextKey {
                match self {
                    $(Self::$name => {
                        static KEY: LazyLock<ContextKey> =
                            LazyLock::new(|| hash_derive_key_context(Context::$name.as_str()));
                        &KEY
                    })*
                }
            }
        }
    };
}

contexts! {
    /// Identifies a match: the genesis bytes.
    Genesis = "genesis",
    /// Body of a server certificate.
    Certificate = "certificate",
    /// List of revoked certificates.
    Revocations = "revocations",
    /// Body of a delegation.
    Delegation = "delegation",
    /// Body of a transaction.
    Transaction = "transaction",
    /// Body of a receipt.
    Receipt = "receipt",
    /// Header of a block.
    Block = "block",
    /// One entry of a block's body, as a leaf of the body tree.
    BodyLeaf = "body leaf",
    /// Inner node of the body tree.
    BodyNode = "body node",
    /// The list of the absent.
    Absent = "absent",
    /// Leaf of the tree over the blocks of a match.
    ChainLeaf = "chain leaf",
    /// Inner node of the tree over the blocks of a match.
    ChainNode = "chain node",
    /// A block as a leaf of what the server signs together.
    BatchBlock = "batch block",
    /// A receipt as a leaf of what the server signs together.
    BatchReceipt = "batch receipt",
    /// Inner node of what the server signs together.
    BatchNode = "batch node",
    /// What the server signs: serial, size and root of a batch.
    Batch = "batch",
    /// Order of the seats inside a block.
    Order = "order",
    /// Seed of a game.
    Seed = "seed",
    /// An element of a hash chain, to the one that was revealed before it.
    ChainElement = "chain element",
    /// Beginning of a seat's hash chain.
    SeatChain = "seat chain",
    /// Beginning of the server's hash chain in a match.
    ServerChain = "server chain",
    /// What a game draws its random numbers of a turn from.
    Roll = "roll",
    /// Salt and commands that are hidden until all have committed to theirs.
    SealedCommands = "sealed commands",
    /// A player's salt for its sealed commands.
    Salt = "salt",
    /// Leaf of the state tree: one chunk.
    StateLeaf = "state leaf",
    /// Inner node of the state tree.
    StateNode = "state node",
    /// Handshake transcript.
    Transcript = "transcript",
    /// Handshake: what the server signs.
    ServerAuth = "server auth",
    /// Handshake: what the player signs.
    ClientAuth = "client auth",
    /// Handshake key of the server's message.
    ServerHandshakeKey = "server handshake key",
    /// Handshake key of the client's message.
    ClientHandshakeKey = "client handshake key",
    /// The server's "finished" key.
    ServerFinishedKey = "server finished key",
    /// The client's "finished" key.
    ClientFinishedKey = "client finished key",
    /// Master secret of a session.
    Master = "master",
    /// Traffic key from client to server.
    ClientTraffic = "client traffic",
    /// Traffic key from server to client.
    ServerTraffic = "server traffic",
    /// Name of a session, known to both ends and to nobody else.
    Exporter = "exporter",
    /// The next traffic key of a direction.
    Rekey = "rekey",
    /// A player's session seed from identity seed, match and epoch.
    SessionSeed = "session seed",
    /// One record of a replay file, linked to the one before.
    ReplayLink = "replay link",
    /// What somebody says.
    Talk = "talk",
    /// A place where people talk, as the line before the first.
    TalkPlace = "talk place",
    /// A line of a conversation, linked to the one before.
    TalkLine = "talk line",
    /// Body of an invitation to a room.
    Invitation = "invitation",
    /// Salt of the key that comes of a room's password.
    PasswordSalt = "password salt",
    /// What proves in a session that one knows a room's password.
    PasswordProof = "password proof",
}

/// An incremental hash under one context.
#[derive(Clone)]
pub struct Hasher(blake3::Hasher);

impl Hasher {
    /// Starts a hash of an object of the kind `context`.
    pub fn new(context: Context) -> Self {
        Self(blake3::Hasher::new_from_context_key(context.key()))
    }

    /// Appends bytes.
    #[must_use]
    pub fn chain(mut self, bytes: &[u8]) -> Self {
        self.0.update(bytes);
        self
    }

    /// The hash of all bytes appended.
    pub fn finish(self) -> Digest {
        Digest(*self.0.finalize().as_bytes())
    }
}

/// Hashes the concatenation of `parts` under `context`.
pub fn hash(context: Context, parts: &[&[u8]]) -> Digest {
    // Not through `Hasher`, whose two kilobytes would move with each part: that costs more than a short hash.
    let mut hasher = blake3::Hasher::new_from_context_key(context.key());
    for part in parts {
        hasher.update(part);
    }
    Digest(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_are_distinct_and_prefixed() {
        for (i, a) in Context::ALL.iter().enumerate() {
            assert!(a.as_str().starts_with("cadastre v1 2026-11 "));
            for b in &Context::ALL[i + 1..] {
                assert_ne!(a.as_str(), b.as_str());
            }
        }
    }

    #[test]
    fn hash_is_blake3_derive_key() {
        for &context in Context::ALL {
            assert_eq!(
                hash(context, &[b"ab", b"c"]).as_bytes(),
                &blake3::derive_key(context.as_str(), b"abc")
            );
        }
    }

    #[test]
    fn hex_round_trips_and_refuses_everything_else() {
        let digest = hash(Context::Genesis, &[b"x"]);
        assert_eq!(Digest::from_hex(&digest.to_string()), Some(digest));
        for bad in ["", "00", &"g".repeat(64), &"0".repeat(63), &"é".repeat(32)] {
            assert_eq!(Digest::from_hex(bad), None, "{bad}");
        }
    }
}
