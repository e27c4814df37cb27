//! `cadastre bot`: plays what the game itself suggests.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use cadastre_client::{Client, ClientError, Config, Credential, Event, Follower, Said};
#[cfg(feature = "faults")]
use cadastre_protocol::Turn;
use cadastre_protocol::{
    BlockKind, Chain, DisplayName, EnterAs, Failure, Following, Head, MatchId, Motion, Notice, RoomName,
    RoomSpec, Seat, SecretKey, Words,
};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{
    CliError, Ending, ServerArgs,
    access::CredentialArgs,
    connect::{Server, client_error, display_name, room_name, throw_away_identity},
    describe,
    evidence::EvidenceArgs,
    lend,
    output::Output,
    passphrase,
    room::GameArgs,
};
use crate::{
    desyncs::{Bundle, DesyncFolder, cause_word, report_json},
    key_file,
    passphrase::Passphrase,
};

/// Most bundles in the folder that a user gives.
const DESYNC_FILES_MAX: usize = 64;

#[derive(Debug, Args)]
pub(super) struct BotArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Name of the room; it is opened with a seat for each bot if it is missing.
    #[arg(long)]
    room: String,
    /// How many bots.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=8))]
    count: u8,
    /// Turns after which the bots leave. A room that they open ends its match then.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    turns: Option<u32>,
    /// Time that a bot thinks before each turn, so that people can follow.
    #[arg(long, value_name = "MS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=10_000))]
    pace: u64,
    /// Identity key; with several bots FILE.0, FILE.1 and so on. Without it, identities are thrown away.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Folder for what a developer needs to know of a desync; at most 64 files.
    #[arg(long, value_name = "DIR")]
    desyncs: Option<PathBuf>,
    /// Changes a tile in the memory of the first bot in the middle of a turn.
    #[cfg(feature = "faults")]
    #[arg(long, hide = true, value_name = "TURN,X,Y")]
    fault: Option<String>,
    /// Plays for a seat that its holder lends, until the holder plays again: prints a key for `room lend`, and takes
    /// what that prints from stdin.
    #[arg(long, conflicts_with_all = ["count", "key"])]
    stand_in: bool,
    /// What the bots say when another player wants to take turns back.
    #[arg(long, value_name = "ANSWER", default_value = "decline")]
    takebacks: TakebackAnswer,
    /// How many matches the bots play in a row: after each but the last they want a rematch, which begins if all want it.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    rematch: u32,
    /// Consents to every motion of another player: to pause, to end the match, to skip somebody else.
    #[arg(long)]
    agree: bool,
    #[command(flatten)]
    evidence: EvidenceArgs,
    #[command(flatten)]
    credential: CredentialArgs,
    #[command(flatten)]
    game: GameArgs,
}

pub(super) async fn bot(args: BotArgs, passphrase_fd: Option<u32>, output: Output) -> Ending {
    let server = Server::of(&args.server)?;
    let room = room_name(&args.room)?;
    let spec = args.game.spec(args.count, args.turns);
    // One bot may join a room for more players; whether it could open one matters only if it has to.
    let open = if args.count == 1 { spec.ok() } else { Some(spec?) };
    if args.stand_in {
        return stand_in(args, room, server, output).await;
    }
    let credential = args.credential.read()?;
    let passphrase = if args.key.is_some() { passphrase(passphrase_fd)? } else { None };
    let mut bots = JoinSet::new();
    for number in 0..args.count {
        let identity = match &args.key {
            None => throw_away_identity()?,
            Some(path) if args.count == 1 => read_key(path, passphrase.as_ref())?,
            Some(path) => read_key(&numbered(path, number), passphrase.as_ref())?,
        };
        #[cfg_attr(not(feature = "faults"), allow(unused_mut, reason = "only faults change it"))]
        let mut client = player(&server, identity, &room, number, open.clone(), credential.clone())?;
        #[cfg(feature = "faults")]
        if let Some(fault) = args.fault.as_deref().filter(|_| number == 0) {
            client.inject(read_fault(fault)?);
        }
        let (server, turns, pace) = (server.clone(), args.turns, Duration::from_millis(args.pace));
        let desyncs = desync_folder(args.desyncs.as_ref());
        let evidence = args.evidence.clone();
        let answers = Answers { takebacks: args.takebacks, agrees: args.agree };
        let observe = move |observed: Observed<'_>| {
            observed.report(&server, output);
            observed.report_desync(desyncs.as_ref(), output);
            observed.keep(&evidence, output);
            observed.report_talk(output);
        };
        bots.spawn(play_in_a_row(client, args.rematch, turns, pace, answers, observe));
    }
    while let Some(ended) = bots.join_next().await {
        ended.map_err(|error| CliError::failed(format!("a bot failed: {error}")))??;
    }
    Ok(ExitCode::SUCCESS)
}

/// Plays for a seat under an identity that nobody has used before, so that nothing is signed twice with it.
async fn stand_in(args: BotArgs, room: RoomName, server: Server, output: Output) -> Ending {
    let identity = throw_away_identity()?;
    let key = identity.public();
    output.result(&json!({ "stand_in": { "key": key.to_string() } }), || {
        format!("key {key}; waiting for what `room lend` prints")
    });
    let loan = tokio::task::spawn_blocking(lend::read_loan)
        .await
        .map_err(|error| CliError::failed(format!("cannot read stdin: {error}")))??;
    let mut client = Client::new(
        server.url.clone(),
        server.trust,
        Config {
            identity,
            process: throw_away_identity()?,
            room,
            enter_as: EnterAs::Player,
            name: display_name("stand-in"),
            open: None,
            credential: Some(Credential::Loan(loan)),
        },
    );
    client.follow(Following::Snapshot);
    let (pace, desyncs) = (Duration::from_millis(args.pace), desync_folder(args.desyncs.as_ref()));
    let evidence = args.evidence;
    let answers = Answers { takebacks: args.takebacks, agrees: args.agree };
    play(client, args.turns, pace, answers, move |observed| {
        observed.report(&server, output);
        observed.report_desync(desyncs.as_ref(), output);
        observed.keep(&evidence, output);
        observed.report_talk(output);
    })
    .await?;
    Ok(ExitCode::SUCCESS)
}

/// What a bot says when another player wants to take turns back.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum TakebackAnswer {
    /// No.
    Decline,
    /// Yes.
    Accept,
}

/// What a bot says to what other players want.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answers {
    takebacks: TakebackAnswer,
    /// Does it consent to motions? Else it says nothing.
    agrees: bool,
}

impl Answers {
    /// It goes along with nothing.
    pub(super) const PLAYS_ON: Self = Self { takebacks: TakebackAnswer::Decline, agrees: false };
}

/// A client that takes a seat.
pub(super) fn player(
    server: &Server,
    identity: SecretKey,
    room: &RoomName,
    number: u8,
    open: Option<RoomSpec>,
    credential: Option<Credential>,
) -> Result<Client, CliError> {
    let name = display_name(&format!("bot {number}"));
    let process = throw_away_identity()?;
    let config =
        Config { identity, process, room: room.clone(), enter_as: EnterAs::Player, name, open, credential };
    let mut client = Client::new(server.url.clone(), server.trust, config);
    client.follow(Following::Snapshot);
    Ok(client)
}

/// Something that a bot saw, with the client that saw it.
pub(super) struct Observed<'a> {
    pub(super) client: &'a Client,
    pub(super) event: &'a Event,
}

impl Observed<'_> {
    /// The block, if it is one.
    pub(super) fn block(&self) -> Option<(MatchId, Option<Seat>, Head, &BlockKind)> {
        let Event::Block { head, kind, .. } = self.event else { return None };
        let match_id = self.client.session().follower()?.chain().match_id();
        Some((match_id, self.client.session().seat(), *head, kind))
    }

    /// Writes the evidence, if it is some.
    pub(super) fn keep(&self, evidence: &EvidenceArgs, output: Output) {
        if let (Event::Evidence(found), Some(follower)) = (self.event, self.client.session().follower()) {
            let root = follower.chain().genesis().service;
            evidence.save(found, self.client.session().seat(), root, output);
        }
    }

    /// Says what differed between the own state and a block's, and writes it down.
    pub(super) fn report_desync(&self, folder: Option<&DesyncFolder>, output: Output) {
        let Event::Desync(desync) = self.event else { return };
        let session = self.client.session();
        let Some(follower) = session.follower() else { return };
        let genesis = follower.chain().genesis();
        let mut result = report_json(genesis.match_id(), session.seat(), &desync.incident);
        (result["cause"], result["healed"]) = (cause_word(desync.cause).into(), desync.healed.into());
        let healed = if desync.healed { "healed" } else { "not healed" };
        output.result(&json!({ "desync": result }), || {
            format!("DESYNC, {healed}, cause {}: {}", cause_word(desync.cause), desync.incident.report)
        });
        let bundle = Bundle::of_client(genesis, session.seat(), desync);
        if let Some(Err(error)) = folder.map(|folder| folder.write(|| bundle)) {
            tracing::warn!(%error, "cannot write the bundle of a desync");
        }
    }

    /// Shows what was said, and what the server has to say.
    pub(super) fn report_talk(&self, output: Output) {
        if let Some((result, text)) = self.talk() {
            output.result(&result, || text);
        }
    }

    /// What was said or could not be, as a result and for a person.
    pub(super) fn talk(&self) -> Option<(Value, String)> {
        let told = match self.event {
            Event::Said { seat, said } => {
                let name = seat.and_then(|seat| self.client.session().name_of(seat));
                said_json_and_text(*seat, name, said)
            }
            Event::NotSaid { talk, refusal } => (
                json!({ "not_said": { "talk": talk.to_string(), "reason": refusal.kind() } }),
                format!("not said: {refusal}"),
            ),
            Event::TalkMissed { lines } => {
                (json!({ "talk_missed": lines }), format!("({lines} lines were said before)"))
            }
            Event::TalkBroken { error } => {
                let why = describe(error);
                (json!({ "talk_broken": why }), format!("what the server says was said is not so: {why}"))
            }
            Event::Notice(Notice::Text(text)) => {
                (json!({ "notice": { "text": text.as_str() } }), format!("the server says: {text}"))
            }
            Event::Notice(Notice::Shutdown { in_ms }) => {
                let seconds = in_ms.div_ceil(1000);
                (json!({ "notice": { "shutdown_in_ms": in_ms } }), format!("the server stops in {seconds} s"))
            }
            Event::Connected { .. }
            | Event::Lost { .. }
            | Event::Lobby(_)
            | Event::Match { .. }
            | Event::Joined { .. }
            | Event::Shown { .. }
            | Event::Block { .. }
            | Event::Desync(_)
            | Event::CaughtUp
            | Event::YourTurn { .. }
            | Event::Relayed(_)
            | Event::Takeback { .. }
            | Event::Rematch { .. }
            | Event::Motion { .. }
            | Event::Receipt(_)
            | Event::Refused { .. }
            | Event::Evidence(_)
            | Event::Ended { .. }
            | Event::Failed(_)
            | Event::Goodbye { .. }
            | Event::Mispredicted(_)
            | Event::Seated { .. }
            | Event::Undrafted { .. }
            | Event::Conversing
            | Event::Limited { .. } => return None,
        };
        Some(told)
    }

    fn report(&self, server: &Server, output: Output) {
        if let Event::Connected { root } = self.event {
            server.remember(*root);
        }
        if let Some((match_id, seat, head, kind)) = self.block() {
            let seat = seat.map(Seat::get);
            output.result(&block_json(match_id, seat, head), || {
                let seat = seat.map_or_else(|| "-".into(), |seat| seat.to_string());
                format!(
                    "seat {seat}  turn {:>5}  block {:>6}  {:<8}  {}",
                    head.turn,
                    head.height,
                    word(kind),
                    head.block
                )
            });
        }
        match self.event {
            Event::Joined { head } => tracing::warn!(turn = %head.turn, "went on from a snapshot"),
            Event::Lost { reason } => tracing::warn!(reason, "connection lost; coming back"),
            Event::Refused { transaction, refusal } => tracing::warn!(%transaction, %refusal, "refused"),
            Event::Seated { seat } => {
                output.result(&json!({ "seated": seat.map(Seat::get) }), || {
                    seat.map_or_else(|| "plays for nobody".into(), |seat| format!("plays for seat {seat}"))
                });
            }
            Event::Ended { standings, .. } => {
                let mut places = standings.clone();
                places.sort_by_key(|standing| standing.place);
                let places: Vec<_> =
                    places.iter().map(|s| format!("{}. seat {} ({})", s.place, s.seat, s.score)).collect();
                output.say(&format!("match over: {}", places.join("  ")));
            }
            Event::Connected { .. }
            | Event::Lobby(_)
            | Event::Match { .. }
            | Event::Block { .. }
            | Event::Shown { .. }
            | Event::Desync(_)
            | Event::CaughtUp
            | Event::YourTurn { .. }
            | Event::Relayed(_)
            | Event::Takeback { .. }
            | Event::Rematch { .. }
            | Event::Motion { .. }
            | Event::Mispredicted(_)
            | Event::Undrafted { .. }
            | Event::Receipt(_)
            | Event::Evidence(_)
            | Event::Failed(_)
            | Event::Goodbye { .. }
            | Event::Said { .. }
            | Event::NotSaid { .. }
            | Event::Conversing
            | Event::TalkMissed { .. }
            | Event::TalkBroken { .. }
            | Event::Notice(_)
            | Event::Limited { .. } => {}
        }
    }
}

/// A verified block as a result.
pub(super) fn block_json(match_id: MatchId, seat: Option<u8>, head: Head) -> Value {
    json!({
        "match_id": match_id.to_string(),
        "seat": seat,
        "turn": head.turn.get(),
        "height": head.height.get(),
        "head": head.block.to_string(),
        "state_root": head.state_root.to_string(),
    })
}

/// A line as a result and for a person. Whoever holds no seat goes by the key.
fn said_json_and_text(seat: Option<Seat>, name: Option<&DisplayName>, said: &Said) -> (Value, String) {
    let author = said.author.to_string();
    let who = name.map_or_else(|| author[..8].to_owned(), ToString::to_string);
    let mut result = json!({
        "seat": seat.map(Seat::get),
        "author": author,
        "number": said.number,
        "received_ms": said.received.get(),
    });
    let text = match &said.words {
        Words::Text(text) => {
            result["text"] = text.as_str().into();
            format!("{who}: {text}")
        }
        Words::Reaction(reaction) => {
            result["reaction"] = reaction.name().into();
            format!("{who} [{}]", reaction.name())
        }
    };
    (json!({ "said": result }), text)
}

/// One word for a kind of block.
pub(super) const fn word(kind: &BlockKind) -> &'static str {
    match kind {
        BlockKind::Start => "start",
        BlockKind::Turn => "turn",
        BlockKind::Commit => "commit",
        BlockKind::Reopen { .. } => "reopen",
        BlockKind::Takeback { .. } => "takeback",
        BlockKind::KeyChange { .. } => "keychange",
        BlockKind::Seal { .. } => "seal",
    }
}

/// Plays so many matches in the same room, if all others do too.
async fn play_in_a_row(
    mut client: Client,
    matches: u32,
    turns: Option<u32>,
    pace: Duration,
    answers: Answers,
    mut observe: impl FnMut(Observed<'_>),
) -> Result<Client, CliError> {
    for _ in 1..matches {
        client = play(client, turns, pace, answers, &mut observe).await?;
        if let Err(error) = client.rematch() {
            // It has left before the end.
            tracing::warn!(error = describe(&error), "no rematch");
            return Ok(client);
        }
    }
    play(client, turns, pace, answers, observe).await
}

/// Can the seat `own` want the same as `seat`?
fn may_second(own: Seat, seat: Seat, motion: Motion) -> bool {
    let for_all = match motion {
        Motion::Nothing => false,
        Motion::Pause { .. } | Motion::End => true,
        Motion::Skip { seats } => !seats.contains(own),
    };
    seat != own && for_all
}

/// Plays, or only watches, to the end of the match or the turn `turns`, whichever is first. Thinks for as long
/// as `pace` before each turn.
pub(super) async fn play(
    mut client: Client,
    turns: Option<u32>,
    pace: Duration,
    answers: Answers,
    mut observe: impl FnMut(Observed<'_>),
) -> Result<Client, CliError> {
    let mut stood_in = false;
    loop {
        let event = match client.next().await {
            Ok(event) => event,
            Err(ClientError::Replaced) if stood_in => return Ok(client),
            Err(error) => return Err(client_error(&error)),
        };
        observe(Observed { client: &client, event: &event });
        stood_in |= client.session().stands_in() && matches!(event, Event::Seated { seat: Some(_) });
        match event {
            Event::YourTurn { .. } => {
                tokio::time::sleep(pace).await;
                let suggested = client.session().follower().zip(client.session().seat());
                let commands = suggested.map(|(follower, seat)| follower.game().simulation().suggest(seat));
                if let Some(commands) = commands
                    && let Err(error) = client.submit(commands)
                {
                    tracing::warn!(error = describe(&error), "cannot submit");
                }
            }
            Event::Takeback { seat, to_turn: Some(to_turn) } if Some(seat) != client.session().seat() => {
                let answered = match answers.takebacks {
                    TakebackAnswer::Accept => client.propose_takeback(to_turn),
                    TakebackAnswer::Decline => client.decline_takeback(),
                };
                // A spectator is told too, and has no say.
                if let (Err(error), Some(_)) = (answered, client.session().seat()) {
                    tracing::warn!(error = describe(&error), "cannot answer a takeback");
                }
            }
            Event::Motion { seat, motion }
                if answers.agrees
                    && client.session().seat().is_some_and(|own| may_second(own, seat, motion)) =>
            {
                if let Err(error) = client.propose(motion) {
                    tracing::warn!(error = describe(&error), "cannot consent to a motion");
                }
            }
            Event::Ended { .. } => return Ok(client),
            // The holder has taken the seat back, for good.
            Event::Seated { seat: None } if client.session().stands_in() => return Ok(client),
            Event::Block { head, .. } | Event::Joined { head }
                if turns.is_some_and(|turns| head.turn.get() >= turns) =>
            {
                let chain = client.session().follower().map(Follower::chain);
                let ends_here = |chain: &Chain| chain.seal_due().is_some() || chain.sealed().is_some();
                if !chain.is_some_and(ends_here) {
                    return Ok(client);
                }
            }
            Event::Failed(Failure::NotSeated) if stood_in => return Ok(client),
            Event::Failed(failure) => return Err(CliError::failed(failure.to_string())),
            Event::Connected { .. }
            | Event::Lost { .. }
            | Event::Lobby(_)
            | Event::Match { .. }
            | Event::Block { .. }
            | Event::Joined { .. }
            | Event::Shown { .. }
            | Event::Desync(_)
            | Event::CaughtUp
            | Event::Relayed(_)
            | Event::Takeback { .. }
            | Event::Rematch { .. }
            | Event::Motion { .. }
            | Event::Mispredicted(_)
            | Event::Seated { .. }
            | Event::Undrafted { .. }
            | Event::Receipt(_)
            | Event::Evidence(_)
            | Event::Refused { .. }
            | Event::Goodbye { .. }
            | Event::Said { .. }
            | Event::NotSaid { .. }
            | Event::Conversing
            | Event::TalkMissed { .. }
            | Event::TalkBroken { .. }
            | Event::Notice(_)
            | Event::Limited { .. } => {}
        }
    }
}

/// The folder for bundles of desyncs that a user gave.
pub(super) fn desync_folder(path: Option<&PathBuf>) -> Option<DesyncFolder> {
    path.map(|path| DesyncFolder::new(path.clone(), DESYNC_FILES_MAX))
}

#[cfg(feature = "faults")]
fn read_fault(text: &str) -> Result<cadastre_client::Fault, CliError> {
    let numbers: Result<Vec<u16>, _> = text.split(',').map(str::parse).collect();
    match numbers.as_deref() {
        Ok(&[turn, x, y]) => Ok(cadastre_client::Fault { turn: Turn::new(u32::from(turn)), x, y }),
        Ok(_) | Err(_) => Err(CliError::usage("--fault takes TURN,X,Y")),
    }
}

pub(super) fn read_key(
    path: &std::path::Path,
    passphrase: Option<&Passphrase>,
) -> Result<SecretKey, CliError> {
    key_file::read(path, passphrase).map_err(|error| CliError::usage(describe(&error)))
}

fn numbered(path: &std::path::Path, number: u8) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}
