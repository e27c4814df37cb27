//! `cadastre room`, and what a room is opened with.

use std::{path::PathBuf, process::ExitCode};

use cadastre_client::create_room;
use cadastre_protocol::{
    AbsencePolicy, Access, AgreementPolicy, Clock, DEADLINE_MS_MAX, Digest, Door, DoubleTransactionPolicy,
    ForkPoint, GRACE_MS_MAX, GRACE_MS_USUAL, MatchId, RANDOM_TURNS_MAX, RandomnessMode, RoomSpec,
    SPECTATOR_DELAY_S_MAX, SPECTATOR_DELAY_TURNS_MAX, SkipPolicy, SpectatorPolicy, TakebackPolicy, Turn,
    TurnMode, Visibility, may_commit_and_reveal, may_fork, may_join_late, may_take_back,
};
use cadastre_simulations::{RULES, newest_rules};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::{
    CliError, Ending, ServerArgs,
    access::read_password,
    bot::read_key,
    connect::{Server, client_error, room_name, throw_away_identity},
    invite::InviteArgs,
    lend::LendArgs,
    list::ListArgs,
    output::Output,
    passphrase,
};

#[derive(Debug, Subcommand)]
pub(super) enum RoomCommand {
    /// Opens a room. It closes again when nobody comes for an hour.
    Create(CreateArgs),
    /// Writes an invitation to a room that is opened with --invite-only under the same key. The server is not asked.
    Invite(InviteArgs),
    /// Lends the seat of --key in a running match to a bot that stands in. The bot plays until the holder does again.
    Lend(LendArgs),
    /// Lists the rooms of a server.
    List(ListArgs),
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Name of the room.
    name: String,
    /// How many seats at most.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=8))]
    seats: u8,
    /// The match begins with so many players, as soon as all who are there are ready (default: all seats).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=8))]
    seats_min: Option<u8>,
    /// Keeps the seats open that are free when the match begins: whoever comes later takes one. Not with
    /// --randomness commit-reveal nor --visibility sealed.
    #[arg(long)]
    late_joins: bool,
    /// Lets in only who has an invitation, signed with --key.
    #[arg(long, requires = "key", conflicts_with = "password")]
    invite_only: bool,
    /// Lets in only who knows the password, the first line of this file.
    #[arg(long, value_name = "FILE")]
    password: Option<PathBuf>,
    /// Keeps the room and its match out of the public lists.
    #[arg(long)]
    unlisted: bool,
    /// Identity key that opens the room; without it, one that is thrown away.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Turns after which the match ends.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    turns: Option<u32>,
    /// Whether turns can be taken back; not with --randomness commit-reveal.
    #[arg(long, value_name = "POLICY", default_value = "never")]
    takebacks: Takebacks,
    /// Goes on from a turn of another match of this service: its rules, size, seats and mode, and its state after that
    /// turn. Anybody who may see that match may do so.
    #[arg(long, value_name = "MATCH@TURN", value_parser = fork_point, conflicts_with_all = ["seats", "seats_min", "rules", "size", "mode"])]
    fork: Option<ForkPoint>,
    #[command(flatten)]
    game: GameArgs,
}

fn fork_point(text: &str) -> Result<ForkPoint, &'static str> {
    let point = text.split_once('@').and_then(|(id, turn)| {
        let match_id = MatchId::new(Digest::from_hex(id)?);
        Some(ForkPoint { match_id, turn: Turn::new(turn.parse().ok()?) })
    });
    point.ok_or("it takes the id of a match, @ and a turn")
}

/// What is played, and how fast.
#[derive(Clone, Debug, Args)]
pub(super) struct GameArgs {
    /// The game: city or boxes.
    #[arg(long, value_name = "ID", default_value = "city")]
    pub(super) rules: String,
    /// Size in the game's unit: tiles a side (city: 64 to 512) or boxes a side (boxes: 2 to 100).
    #[arg(long, value_name = "N")]
    pub(super) size: Option<u16>,
    /// Whose commands a turn waits for (default: city simultaneous, boxes alternating).
    #[arg(long)]
    pub(super) mode: Option<Mode>,
    /// How long a turn is open (default: the server's; with --bank, as long as the banks last).
    #[arg(long, value_name = "MS")]
    pub(super) deadline: Option<u32>,
    /// Gives each seat a bank of time, which its turns draw from.
    #[arg(long, value_name = "MS")]
    pub(super) bank: Option<u32>,
    /// What each turn of a seat adds to its bank.
    #[arg(long, value_name = "MS", default_value_t = 0, requires = "bank")]
    pub(super) increment: u32,
    /// For how much longer a turn waits, once, for a seat that has lost its connection and acted in its turn before, in
    /// seconds; 0 for not at all.
    #[arg(long, value_name = "SECONDS", default_value_t = GRACE_MS_USUAL / 1000,
        value_parser = clap::value_parser!(u32).range(..=i64::from(GRACE_MS_MAX / 1000)))]
    pub(super) grace: u32,
    /// Turns in a row without anybody after which the match is over.
    #[arg(long, value_name = "N", default_value_t = AbsencePolicy::USUAL.abandon_after())]
    pub(super) abandon_after: u16,
    /// Turns in a row after which a seat that was absent in all of them has lost; 1 with --bank: whose time is up has lost.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) forfeit_after: Option<u16>,
    /// Halves the time of a turn for each turn in a row that a seat was absent, down to this.
    #[arg(long, value_name = "MS")]
    pub(super) shrink_to: Option<u32>,
    /// Once a seat was absent for so many turns in a row, the rules play for it as their bot would, until it acts again.
    #[arg(long, value_name = "TURNS")]
    pub(super) take_over_after: Option<u16>,
    /// Where seed and rolls come from: from the server alone, or from all players and the server, which needs --turns.
    #[arg(long, default_value = "none")]
    pub(super) randomness: RandomnessArg,
    /// When the others see a player's commands: with the block, after all have committed to theirs, or at once.
    #[arg(long, default_value = "held")]
    pub(super) visibility: VisibilityArg,
    /// The longest pause that all players together can take, in seconds; 0 for none.
    #[arg(long, value_name = "SECONDS", default_value_t = AgreementPolicy::USUAL.pause_ms_max / 1000,
        value_parser = clap::value_parser!(u32).range(..=i64::from(DEADLINE_MS_MAX / 1000)))]
    pub(super) pause: u32,
    /// Lets the match go on even if all players want it to end.
    #[arg(long)]
    pub(super) no_agreed_end: bool,
    /// Who can skip a seat that keeps the others waiting, once half of its time is over; always two at least.
    #[arg(long, value_name = "QUORUM", default_value = "never")]
    pub(super) skip: Skip,
    /// Lets nobody watch.
    #[arg(long)]
    pub(super) no_spectators: bool,
    /// Shows each turn to those who watch only when so many further ones were played, or the match is over.
    #[arg(long, value_name = "TURNS", default_value_t = 0, conflicts_with = "no_spectators")]
    #[arg(value_parser = clap::value_parser!(u16).range(..=i64::from(SPECTATOR_DELAY_TURNS_MAX)))]
    pub(super) spectator_delay: u16,
    /// Shows each block to those who watch only so many seconds after it was made, or when the match is over.
    #[arg(long, value_name = "SECONDS", conflicts_with_all = ["no_spectators", "spectator_delay"])]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=i64::from(SPECTATOR_DELAY_S_MAX)))]
    pub(super) spectator_delay_seconds: Option<u16>,
    /// What two transactions of one seat for one turn lead to. Both are kept as evidence in any case.
    #[arg(long, value_name = "POLICY", default_value = "keep-first")]
    pub(super) double_transactions: DoubleTransactions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Takebacks {
    /// Never.
    Never,
    /// With the consent of every seat.
    Unanimous,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Skip {
    /// Nobody.
    Never,
    /// More than half of the others.
    Majority,
    /// All others.
    All,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum DoubleTransactions {
    /// The first counts, the second is refused.
    KeepFirst,
    /// The match ends, and the seat stands behind all others.
    EndMatch,
}

impl From<DoubleTransactions> for DoubleTransactionPolicy {
    fn from(policy: DoubleTransactions) -> Self {
        match policy {
            DoubleTransactions::KeepFirst => Self::KeepFirst,
            DoubleTransactions::EndMatch => Self::EndMatch,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Mode {
    /// Everybody's.
    Simultaneous,
    /// Those of whoever is to move.
    Alternating,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum RandomnessArg {
    /// From the server alone.
    None,
    /// From all together: nobody can foresee it, unless all are in league.
    CommitReveal,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum VisibilityArg {
    /// With the block.
    Held,
    /// When all have committed to theirs; the server sees them no sooner.
    Sealed,
    /// At once.
    Open,
}

impl GameArgs {
    /// The settings of a room, checked as far as they can be checked here.
    pub(super) fn spec(&self, seats: u8, turns: Option<u32>) -> Result<RoomSpec, CliError> {
        let Some(rules) = newest_rules(&self.rules) else {
            let mut known: Vec<_> = RULES.iter().map(|rules| rules.name).collect();
            known.dedup();
            return Err(CliError::usage(format!(
                "no rules `{}`; there are {}",
                self.rules,
                known.join(", ")
            )));
        };
        let (fewest, most) = rules.seats;
        if !(fewest..=most).contains(&seats) {
            return Err(CliError::usage(format!("{} is for {fewest} to {most} seats", rules.name)));
        }
        let (smallest, _, largest) = rules.sizes;
        if self.size.is_some_and(|size| !(smallest..=largest).contains(&size)) {
            return Err(CliError::usage(format!("{} has sizes {smallest} to {largest}", rules.name)));
        }
        let mode = match (self.mode, rules.name) {
            (Some(Mode::Simultaneous), _) => TurnMode::Simultaneous,
            (None, "boxes") | (Some(Mode::Alternating), _) => TurnMode::Alternating,
            (None, _) => TurnMode::Simultaneous,
        };
        if self.randomness == RandomnessArg::CommitReveal && !may_commit_and_reveal(turns) {
            return Err(CliError::usage(format!(
                "--randomness commit-reveal needs --turns, {RANDOM_TURNS_MAX} at most"
            )));
        }
        Ok(RoomSpec {
            rules: self.rules.clone(),
            size: self.size,
            seats,
            mode,
            turns_max: turns,
            deadline_ms: self.deadline.or_else(|| self.bank.map(|_| DEADLINE_MS_MAX)),
            spectators: if self.no_spectators {
                SpectatorPolicy::Forbidden
            } else if let Some(delay_s) = self.spectator_delay_seconds {
                SpectatorPolicy::Later { delay_s }
            } else {
                SpectatorPolicy::Allowed { delay_turns: self.spectator_delay }
            },
            double_transactions: self.double_transactions.into(),
            visibility: match self.visibility {
                VisibilityArg::Held => Visibility::Held,
                VisibilityArg::Sealed => Visibility::Sealed,
                VisibilityArg::Open => Visibility::Open,
            },
            randomness: match self.randomness {
                RandomnessArg::None => RandomnessMode::None,
                RandomnessArg::CommitReveal => RandomnessMode::CommitReveal,
            },
            takebacks: TakebackPolicy::Never,
            agreements: AgreementPolicy {
                pause_ms_max: self.pause * 1000,
                end: !self.no_agreed_end,
                skip: match self.skip {
                    Skip::Never => SkipPolicy::Never,
                    Skip::Majority => SkipPolicy::Majority,
                    Skip::All => SkipPolicy::AllOthers,
                },
            },
            clock: self.bank.map_or(Clock::PerTurn, |initial_ms| Clock::Bank {
                initial_ms,
                increment_ms: self.increment,
            }),
            absence: self.absence(),
            seats_min: seats,
            access: Access::PUBLIC,
            fork: None,
            late_joins: false,
            grace_ms: self.grace * 1000,
        })
    }

    fn absence(&self) -> AbsencePolicy {
        let Self { abandon_after, forfeit_after, .. } = *self;
        if let Some(take_over_after) = self.take_over_after {
            let shortest_ms = self.shrink_to.unwrap_or(DEADLINE_MS_MAX);
            return AbsencePolicy::TakeOver { abandon_after, forfeit_after, shortest_ms, take_over_after };
        }
        match (self.shrink_to, forfeit_after) {
            (Some(shortest_ms), _) => AbsencePolicy::Shrink { abandon_after, forfeit_after, shortest_ms },
            (None, Some(forfeit_after)) => AbsencePolicy::Forfeit { abandon_after, forfeit_after },
            (None, None) => AbsencePolicy::Pass { abandon_after },
        }
    }
}

pub(super) async fn create(args: CreateArgs, passphrase_fd: Option<u32>, output: Output) -> Ending {
    let server = Server::of(&args.server)?;
    let room = room_name(&args.name)?;
    let takebacks = match args.takebacks {
        Takebacks::Never => TakebackPolicy::Never,
        Takebacks::Unanimous => TakebackPolicy::Unanimous,
    };
    let seats_min = args.seats_min.unwrap_or(args.seats);
    if seats_min > args.seats {
        return Err(CliError::usage("--seats-min is at most --seats"));
    }
    let mut spec = RoomSpec {
        takebacks,
        seats_min,
        fork: args.fork,
        late_joins: args.late_joins,
        ..args.game.spec(args.seats, args.turns)?
    };
    if !may_take_back(spec.takebacks, spec.randomness) {
        return Err(CliError::usage(
            "--takebacks does not go with --randomness commit-reveal: what was revealed stays revealed",
        ));
    }
    if args.late_joins && !may_join_late(spec.randomness, spec.visibility) {
        return Err(CliError::usage(
            "--late-joins goes neither with --randomness commit-reveal nor with --visibility sealed",
        ));
    }
    if !may_fork(spec.fork.is_some(), spec.randomness) {
        return Err(CliError::usage(
            "--fork does not go with --randomness commit-reveal: a match with hash chains begins from its seed",
        ));
    }
    let identity = match &args.key {
        None => throw_away_identity()?,
        Some(path) => read_key(path, passphrase(passphrase_fd)?.as_ref())?,
    };
    let password = args.password.as_deref().map(read_password).transpose()?;
    spec.access.listed = !args.unlisted;
    if args.invite_only {
        spec.access.door = Door::ByInvitation { opener: identity.public() };
    }
    let spec = |root| {
        if let Some(password) = password {
            spec.access.door = Door::ByPassword { key: password.key(root, &room).public() };
        }
        spec
    };
    let (root, created) = create_room(&server.url, server.trust, &identity, &room, spec)
        .await
        .map_err(|error| client_error(&error))?;
    server.remember(root);
    created.map_err(|failure| CliError::failed(format!("room {room}: {failure}")))?;
    match args.fork {
        None => {
            let result = json!({ "room": room.as_str(), "rules": args.game.rules, "seats": args.seats });
            output.result(&result, || format!("room {room} is open for {} players", args.seats));
        }
        Some(ForkPoint { match_id, turn }) => {
            let fork = json!({ "match_id": match_id.to_string(), "turn": turn.get() });
            let result = json!({ "room": room.as_str(), "fork": fork });
            output.result(&result, || format!("room {room} goes on from turn {turn} of match {match_id}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}
