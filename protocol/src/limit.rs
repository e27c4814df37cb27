//! The limits that a server names to a client. `docs/protocol.md`, "What is beyond a limit".

use bincode::{Decode, Encode};

/// A limit of the server that a client has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Limit {
    /// Connections of an identity that are open at the same time.
    ConnectionsPerIdentity,
    /// Rooms that an identity opened, and whose match is not over.
    RoomsPerIdentity,
    /// Rooms that were opened from an address, and whose match is not over.
    RoomsPerAddress,
    /// How often an identity opens rooms.
    CreatesPerIdentity,
    /// How often rooms are opened from an address.
    CreatesPerAddress,
    /// How often an identity enters rooms and comes back to matches.
    EntersPerIdentity,
    /// How often an identity hands in transactions.
    SubmitsPerIdentity,
    /// How often an identity says something to compare states.
    ComparesPerIdentity,
    /// How often an identity says anything else.
    OthersPerIdentity,
    /// How often anything is said from an address.
    MessagesPerAddress,
    /// How often an identity says something to others.
    TalksPerIdentity,
    /// How often something is said to others from an address.
    TalksPerAddress,
    /// How often passwords of rooms are tried from an address.
    PasswordsPerAddress,
}

impl Limit {
    /// The name under which operators set it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConnectionsPerIdentity => "connections_per_identity_max",
            Self::RoomsPerIdentity => "rooms_per_identity_max",
            Self::RoomsPerAddress => "rooms_per_address_max",
            Self::CreatesPerIdentity => "creates_per_identity_rate",
            Self::CreatesPerAddress => "creates_per_address_rate",
            Self::EntersPerIdentity => "enters_per_identity_rate",
            Self::SubmitsPerIdentity => "submits_per_identity_rate",
            Self::ComparesPerIdentity => "compares_per_identity_rate",
            Self::OthersPerIdentity => "others_per_identity_rate",
            Self::MessagesPerAddress => "messages_per_address_rate",
            Self::TalksPerIdentity => "talks_per_identity_rate",
            Self::TalksPerAddress => "talks_per_address_rate",
            Self::PasswordsPerAddress => "passwords_per_address_rate",
        }
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
