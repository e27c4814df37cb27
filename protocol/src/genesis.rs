//! The genesis: everything two machines must agree on before the first move. `docs/protocol.md`, "Genesis".

use bincode::{Decode, Encode};

use crate::{
    certificate::SignedCertificate,
    codec::{Wire, encode},
    hash::{Context, Digest, hash},
    hash_chain::{ChainStart, RANDOM_TURNS_MAX},
    ids::{BlockHash, Height, MatchId, Millis, SEATS_MAX, Seat, StateRoot, Turn},
    keys::PublicKey,
    setup::{OPTIONS_BYTES_MAX, RulesId, Setup},
};

/// Shortest time that a turn may be open, in milliseconds.
pub const DEADLINE_MS_MIN: u32 = 100;

/// Longest time that a turn may be open: 31 days in milliseconds.
pub const DEADLINE_MS_MAX: u32 = 31 * 24 * 60 * 60 * 1000;

/// Longest grace: ten minutes in milliseconds. Only the server says that a connection was lost.
pub const GRACE_MS_MAX: u32 = 10 * 60 * 1000;

/// Grace where nothing else was asked for: long enough to come out of a tunnel.
pub const GRACE_MS_USUAL: u32 = 20_000;

/// How far behind the furthest turn that a match has come to a takeback can go. Whoever follows a match with
/// takebacks keeps what it takes to go back so far.
pub const TAKEBACK_TURNS_MAX: u32 = 16;

/// Most turns that spectators can be behind: what they are not told yet is kept in memory.
pub const SPECTATOR_DELAY_TURNS_MAX: u16 = 100;

/// Most seconds that spectators can be behind: an hour.
pub const SPECTATOR_DELAY_S_MAX: u16 = 3_600;

/// How often a seat can say in one turn what it wants the others to consent to: takebacks and other motions.
pub const STANCES_PER_TURN_MAX: usize = 4;

/// Fewest seats that can skip another one: nobody does it alone.
pub const SKIP_QUORUM_MIN: u32 = 2;

/// Height 0 of a match. Its hash is the match's id, so nothing in it can be changed afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Genesis {
    /// Version of this layout: 1.
    pub version: u8,
    /// Root key of the service that runs the match.
    pub service: PublicKey,
    /// Which rules.
    pub rules: RulesId,
    /// The game's own options.
    pub options: Vec<u8>,
    /// Who sits where, 1 to 8 seats.
    pub seats: Vec<SeatHolder>,
    /// When a turn closes.
    pub turns: TurnRules,
    /// What an absence leads to.
    pub absence: AbsencePolicy,
    /// What two transactions of one seat for one turn lead to.
    pub double_transactions: DoubleTransactionPolicy,
    /// When the others see a seat's commands.
    pub visibility: Visibility,
    /// Where seed and block order come from.
    pub randomness: Randomness,
    /// Whether turns can be taken back.
    pub takebacks: TakebackPolicy,
    /// What else the players can agree on.
    pub agreements: AgreementPolicy,
    /// Who may watch.
    pub spectators: SpectatorPolicy,
    /// The match that this one goes on from.
    pub parent: Option<Parent>,
    /// Certificate of the first block signer.
    pub signer: SignedCertificate,
    /// When the server froze the lobby.
    pub created: Millis,
    /// Random, so that no two matches have the same id.
    pub nonce: [u8; 16],
}

/// Who has the right to a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum SeatHolder {
    /// The player with this identity key.
    Player(PublicKey),
    /// Nobody yet: whoever comes first can take it by a LateJoin.
    Open,
}

/// When a turn closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TurnRules {
    /// Whose transactions a turn waits for.
    pub mode: TurnMode,
    /// How long a turn is open, [`DEADLINE_MS_MIN`] to [`DEADLINE_MS_MAX`].
    pub deadline_ms: u32,
    /// How the time of a turn is counted.
    pub clock: Clock,
    /// By so much the time of a turn is later, once, if a seat has lost its connection; in milliseconds,
    /// [`GRACE_MS_MAX`] at most, 0 for none.
    pub grace_ms: u32,
    /// The match ends after this turn, if the rules have not ended it before. 1 or more.
    pub turns_max: Option<u32>,
}

/// Whose transactions a turn waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum TurnMode {
    /// Every seat's. A seat that the rules do not let move sends an empty command list, and signs with it
    /// the state it saw.
    Simultaneous,
    /// Only those of the seats that the rules let move.
    Alternating,
}

/// How the time of a turn is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Clock {
    /// Every turn has the whole `deadline_ms`.
    PerTurn,
    /// A bank that each seat draws from, with an increment for each turn, both in milliseconds. No turn waits for
    /// a seat longer than `deadline_ms` all the same.
    Bank {
        /// At the start, [`DEADLINE_MS_MIN`] or more.
        initial_ms: u32,
        /// Added after each own turn.
        increment_ms: u32,
    },
}

impl Clock {
    /// Checks that the numbers can be played with.
    ///
    /// # Errors
    ///
    /// The first that cannot.
    pub fn validate(self) -> Result<(), &'static str> {
        match self {
            Self::Bank { initial_ms: ..DEADLINE_MS_MIN, .. } => Err("bank out of range"),
            Self::PerTurn | Self::Bank { .. } => Ok(()),
        }
    }

    /// What each seat has in its bank at the start; none without banks.
    pub fn initial_ms(self) -> Option<u64> {
        match self {
            Self::PerTurn => None,
            Self::Bank { initial_ms, .. } => Some(u64::from(initial_ms)),
        }
    }
}

/// What an absence leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum AbsencePolicy {
    /// The absent seat passes. After `abandon_after` turns in a row in which nobody acted the match is
    /// sealed as abandoned. 1 or more.
    Pass {
        /// Turns in a row.
        abandon_after: u16,
    },
    /// As `Pass`, and a seat absent for `forfeit_after` turns in a row counts as resigned.
    Forfeit {
        /// Turns in a row in which nobody acted.
        abandon_after: u16,
        /// Turns in a row in which the seat did not act.
        forfeit_after: u16,
    },
    /// As `Pass`, and each turn in a row that a seat is absent halves the time for which the next one waits for
    /// it, until it acts again.
    Shrink {
        /// Turns in a row in which nobody acted.
        abandon_after: u16,
        /// Turns in a row in which the seat did not act, as in `Forfeit`.
        forfeit_after: Option<u16>,
        /// For so long a turn waits in any case, in milliseconds.
        shortest_ms: u32,
    },
    /// As `Shrink`, and once a seat was absent for `take_over_after` turns in a row, the rules play for it in those
    /// that it lets pass, as their built-in player would, until it acts again.
    TakeOver {
        /// Turns in a row in which nobody acted.
        abandon_after: u16,
        /// Turns in a row in which the seat did not act, as in `Forfeit`.
        forfeit_after: Option<u16>,
        /// For so long a turn waits in any case, in milliseconds.
        shortest_ms: u32,
        /// Turns in a row in which the seat did not act. 0: in the first already.
        take_over_after: u16,
    },
}

impl AbsencePolicy {
    /// What is played where nothing else was asked for.
    pub const USUAL: Self = Self::Pass { abandon_after: 100 };

    /// Turns in a row without any action after which the match is over.
    pub const fn abandon_after(self) -> u16 {
        match self {
            Self::Pass { abandon_after }
            | Self::Forfeit { abandon_after, .. }
            | Self::Shrink { abandon_after, .. }
            | Self::TakeOver { abandon_after, .. } => abandon_after,
        }
    }

    /// Turns in a row after which a seat that was absent in all of them counts as resigned.
    pub const fn forfeit_after(self) -> Option<u16> {
        match self {
            Self::Pass { .. } => None,
            Self::Forfeit { forfeit_after, .. } => Some(forfeit_after),
            Self::Shrink { forfeit_after, .. } | Self::TakeOver { forfeit_after, .. } => forfeit_after,
        }
    }

    /// Turns in a row that a seat has to be absent for the rules to play for it in the next; `None` where they
    /// never do.
    pub const fn take_over_after(self) -> Option<u16> {
        match self {
            Self::Pass { .. } | Self::Forfeit { .. } | Self::Shrink { .. } => None,
            Self::TakeOver { take_over_after, .. } => Some(take_over_after),
        }
    }

    /// Checks that the numbers can be played with.
    ///
    /// # Errors
    ///
    /// The first that cannot.
    pub fn validate(self) -> Result<(), &'static str> {
        if self.abandon_after() == 0 || self.forfeit_after() == Some(0) {
            return Err("a limit of no turns");
        }
        match self {
            Self::Shrink { shortest_ms: ..DEADLINE_MS_MIN, .. }
            | Self::TakeOver { shortest_ms: ..DEADLINE_MS_MIN, .. } => Err("shortest time out of range"),
            Self::Pass { .. } | Self::Forfeit { .. } | Self::Shrink { .. } | Self::TakeOver { .. } => Ok(()),
        }
    }
}

/// What two transactions of one seat for one turn lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum DoubleTransactionPolicy {
    /// The first counts, the second is refused and kept as evidence.
    KeepFirst,
    /// The match ends with a Seal that carries both.
    EndMatch,
}

/// When the others see a seat's commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Visibility {
    /// With the block; the server sees them before.
    Held,
    /// After all have committed to theirs; nobody sees them before.
    Sealed,
    /// At once.
    Open,
}

/// Where seed and block order come from.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Randomness {
    /// The seed is the hash of the match id; the order in a block is that of hashes over the block before.
    None,
    /// The seed is committed to and revealed by all parties; each turn reveals an element of a hash chain.
    CommitReveal {
        /// Anchor of the server's chain.
        server: Digest,
        /// What each seat committed to.
        seats: Vec<ChainStart>,
    },
}

impl Randomness {
    /// Which it is.
    pub const fn mode(&self) -> RandomnessMode {
        match self {
            Self::None => RandomnessMode::None,
            Self::CommitReveal { .. } => RandomnessMode::CommitReveal,
        }
    }
}

/// Which [`Randomness`] a room is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum RandomnessMode {
    /// [`Randomness::None`].
    None,
    /// [`Randomness::CommitReveal`].
    CommitReveal,
}

/// Whether turns can be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum TakebackPolicy {
    /// Never.
    Never,
    /// With the consent of every seat.
    Unanimous,
}

/// What players can agree on beside takebacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AgreementPolicy {
    /// The longest pause, in milliseconds, [`DEADLINE_MS_MAX`] at most; 0 for none.
    pub pause_ms_max: u32,
    /// Whether all together can end the match.
    pub end: bool,
    /// Who can skip a seat that keeps the others waiting.
    pub skip: SkipPolicy,
}

impl AgreementPolicy {
    /// Nothing.
    pub const NONE: Self = Self { pause_ms_max: 0, end: false, skip: SkipPolicy::Never };

    /// What is played where nothing else was asked for: what needs the consent of all, and nothing against anybody.
    pub const USUAL: Self = Self { pause_ms_max: 10 * 60 * 1000, end: true, skip: SkipPolicy::Never };

    /// Checks that the numbers can be played with.
    ///
    /// # Errors
    ///
    /// The first that cannot.
    pub fn validate(self) -> Result<(), &'static str> {
        if self.pause_ms_max > DEADLINE_MS_MAX { Err("pause out of range") } else { Ok(()) }
    }
}

/// Who can skip a seat that keeps the others waiting. Counted are the seats that have not resigned, without that one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum SkipPolicy {
    /// Nobody.
    Never,
    /// More than half of the others, and [`SKIP_QUORUM_MIN`] at least.
    Majority,
    /// All others, and [`SKIP_QUORUM_MIN`] at least.
    AllOthers,
}

impl SkipPolicy {
    /// Do so many of the others suffice?
    pub const fn is_quorum(self, votes: u32, others: u32) -> bool {
        let decided = match self {
            Self::Never => false,
            Self::Majority => 2 * votes > others,
            Self::AllOthers => votes == others,
        };
        decided && votes >= SKIP_QUORUM_MIN
    }
}

/// Who may watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum SpectatorPolicy {
    /// Nobody.
    Forbidden,
    /// Everybody, this many turns late.
    Allowed {
        /// Turns that a spectator is behind.
        delay_turns: u16,
    },
    /// Everybody, this much time late.
    Later {
        /// Seconds that a spectator is behind, 1 to [`SPECTATOR_DELAY_S_MAX`].
        delay_s: u16,
    },
}

impl SpectatorPolicy {
    /// Everybody may watch, and sees each turn as soon as the players do.
    pub const AT_ONCE: Self = Self::Allowed { delay_turns: 0 };

    /// Is it a delay that this build knows how to keep?
    pub const fn is_supported(self) -> bool {
        match self {
            Self::Forbidden => true,
            Self::Allowed { delay_turns } => delay_turns <= SPECTATOR_DELAY_TURNS_MAX,
            Self::Later { delay_s } => 1 <= delay_s && delay_s <= SPECTATOR_DELAY_S_MAX,
        }
    }

    /// Do those who watch know less than the players, as long as the match runs?
    pub const fn is_delayed(self) -> bool {
        match self {
            Self::Forbidden | Self::Allowed { delay_turns: 0 } => false,
            Self::Allowed { .. } | Self::Later { .. } => true,
        }
    }
}

/// The match that another goes on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Parent {
    /// The match.
    pub match_id: MatchId,
    /// Up to which block.
    pub height: Height,
    /// That block.
    pub block: BlockHash,
    /// The turn whose state it has.
    pub turn: Turn,
    /// That state, with which this match begins.
    pub state_root: StateRoot,
}

/// Does commit and reveal go with this last turn? It needs one, of [`RANDOM_TURNS_MAX`] at most.
pub fn may_commit_and_reveal(turns_max: Option<u32>) -> bool {
    turns_max.is_some_and(|turns| turns <= RANDOM_TURNS_MAX)
}

/// Do takebacks go with this randomness? Hash chains have an element for each turn, and one that was revealed
/// stays revealed: the last turns would be left without.
pub fn may_take_back(takebacks: TakebackPolicy, randomness: RandomnessMode) -> bool {
    takebacks == TakebackPolicy::Never || randomness == RandomnessMode::None
}

/// Does a parent go with this randomness? With hash chains the Start has a seed to begin from, and no state.
pub fn may_fork(has_parent: bool, randomness: RandomnessMode) -> bool {
    !has_parent || randomness == RandomnessMode::None
}

/// Do open seats go with these? Whoever comes late has no hash chain, and the time between the halves of a turn is
/// too short to come in.
pub fn may_join_late(randomness: RandomnessMode, visibility: Visibility) -> bool {
    randomness == RandomnessMode::None && visibility != Visibility::Sealed
}

impl Genesis {
    /// The layout that this build writes.
    pub const VERSION: u8 = 1;

    /// Names the match.
    pub fn match_id(&self) -> MatchId {
        MatchId::new(hash(Context::Genesis, &[&encode(self)]))
    }

    /// Can turns be taken back?
    pub fn has_takebacks(&self) -> bool {
        self.takebacks != TakebackPolicy::Never
    }

    /// How many seats.
    pub fn seat_count(&self) -> u8 {
        u8::try_from(self.seats.len()).expect("a valid genesis has at most eight seats")
    }

    /// The seat that `identity` holds.
    pub fn seat_of(&self, identity: PublicKey) -> Option<Seat> {
        let holder = SeatHolder::Player(identity);
        Seat::first(self.seat_count()).find(|seat| self.seats[seat.index()] == holder)
    }

    /// What the game is started from. The seed follows from the match id, which the server could have chosen
    /// among many by its nonce. With [`Randomness::CommitReveal`] it holds until the Start, by which the game
    /// begins again with the seed that all have revealed.
    pub fn setup(&self) -> Setup {
        Setup {
            rules: self.rules.clone(),
            options: self.options.clone(),
            seats: self.seat_count(),
            seed: hash(Context::Seed, &[self.match_id().as_bytes()]),
        }
    }

    /// Does this build play all modes that the genesis names? The formats name more than it does.
    ///
    /// # Errors
    ///
    /// The first mode that it does not play.
    pub fn supported(&self) -> Result<(), UnsupportedMode> {
        let modes = [
            (may_take_back(self.takebacks, self.randomness.mode()), "takebacks with hash chains"),
            (
                !self.seats.contains(&SeatHolder::Open)
                    || may_join_late(self.randomness.mode(), self.visibility),
                "open seats with hash chains or sealed commands",
            ),
            (may_fork(self.parent.is_some(), self.randomness.mode()), "parent with hash chains"),
            (self.spectators.is_supported(), "spectator delay"),
        ];
        match modes.iter().find(|(supported, _)| !supported) {
            None => Ok(()),
            Some((_, mode)) => Err(UnsupportedMode(mode)),
        }
    }
}

/// A genesis names a mode that this build does not play.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this build does not play the mode that the genesis names for: {0}")]
pub struct UnsupportedMode(pub &'static str);

impl Wire for Genesis {
    const BYTES_MAX: usize = 4096;

    fn validate(&self) -> Result<(), &'static str> {
        if self.version != Self::VERSION {
            return Err("genesis version");
        }
        self.rules.validate()?;
        if self.options.len() > OPTIONS_BYTES_MAX {
            return Err("options too long");
        }
        if self.seats.is_empty() || self.seats.len() > usize::from(SEATS_MAX) {
            return Err("number of seats");
        }
        let same = |(i, holder): (usize, &SeatHolder)| {
            *holder != SeatHolder::Open && self.seats[..i].contains(holder)
        };
        if self.seats.iter().enumerate().any(same) {
            return Err("one identity on two seats");
        }
        if !(DEADLINE_MS_MIN..=DEADLINE_MS_MAX).contains(&self.turns.deadline_ms) {
            return Err("deadline out of range");
        }
        self.turns.clock.validate()?;
        if self.turns.grace_ms > GRACE_MS_MAX {
            return Err("grace out of range");
        }
        if self.turns.turns_max == Some(0) {
            return Err("a limit of no turns");
        }
        self.absence.validate()?;
        self.agreements.validate()?;
        match &self.randomness {
            Randomness::None => Ok(()),
            Randomness::CommitReveal { seats, .. } if seats.len() != self.seats.len() => {
                Err("number of hash chains")
            }
            Randomness::CommitReveal { .. } if !may_commit_and_reveal(self.turns.turns_max) => {
                Err("a last turn that hash chains do not reach")
            }
            Randomness::CommitReveal { .. } => Ok(()),
        }
    }
}
