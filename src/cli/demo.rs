//! `cadastre demo`: the tour.

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use cadastre_client::{Client, Config, Event};
use cadastre_protocol::{AbsencePolicy, BlockKind, EnterAs, Head, MatchId, RoomSpec};
use cadastre_replay::Replay;
use clap::Args;
use serde_json::json;
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    CliError, Ending, audit,
    bot::{Answers, play, player},
    connect::{Server, display_name, room_name, throw_away_identity},
    evidence::EvidenceArgs,
    export,
    output::Output,
    room::{DoubleTransactions, GameArgs, RandomnessArg, Skip, VisibilityArg},
    server_process::{Scratch, ServerProcess},
};

/// Tiles a side of the demo's city.
const CITY_SIZE: u16 = 64;

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// How many bots.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(2..=8))]
    players: u8,
    /// How many turns.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(4..=10_000))]
    turns: u32,
    /// Where to write the replay file.
    #[arg(long, value_name = "FILE", default_value = "demo.cadr")]
    out: PathBuf,
}

/// Who saw what.
enum Report {
    Match(MatchId),
    Block { who: u8, head: Head, reopened: bool },
    Lost,
}

pub(super) async fn demo(args: DemoArgs, output: Output) -> Ending {
    let folder = Scratch::new()?;
    let turns = args.turns;
    output.say(&format!(
        "{} bots build a city for {turns} turns. Every turn is signed by its player, ordered, executed and signed by\n\
         the server, checked again by everybody, and on disk before anybody hears of it.\n",
        args.players
    ));
    let mut process = ServerProcess::start(&folder.0, None, SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let (listen, root) = (process.listen, process.root);
    output.say(&format!(" server     listens on ws://{listen}"));
    output.say(&format!("            root key {root}, which all clients pin"));

    let game = GameArgs {
        rules: "city".into(),
        size: Some(CITY_SIZE),
        mode: None,
        deadline: None,
        no_spectators: false,
        spectator_delay: 0,
        spectator_delay_seconds: None,
        pause: 0,
        grace: 0,
        no_agreed_end: true,
        skip: Skip::Never,
        double_transactions: DoubleTransactions::KeepFirst,
        visibility: VisibilityArg::Held,
        randomness: RandomnessArg::None,
        bank: None,
        increment: 0,
        abandon_after: AbsencePolicy::USUAL.abandon_after(),
        forfeit_after: None,
        shrink_to: None,
        take_over_after: None,
    };
    let server = process.server()?;
    let (mut clients, mut reports) =
        join(&server, args.players, &game.spec(args.players, Some(turns))?, output)?;

    let mut tour = Tour::new(args.players, turns, output);
    let mut heads = Vec::new();
    while heads.len() <= usize::from(args.players) {
        let report = tokio::select! {
            biased;
            Some(report) = reports.recv() => report,
            Some(ended) = clients.join_next() => {
                let (who, client) =
                    ended.map_err(|error| CliError::failed(format!("a client failed: {error}")))??;
                let follower =
                    client.session().follower().ok_or_else(|| CliError::failed("a client saw no match"))?;
                heads.push((who, *follower.chain().head()));
                continue;
            }
            else => break,
        };
        if tour.note(&report) {
            let pid = process.kill().await?;
            output.say(&format!(
                "            the server (process {pid}) is killed with SIGKILL, in the middle of turn {}",
                tour.turn + 1
            ));
            process = ServerProcess::start(&folder.0, None, listen).await?;
            output.say("            it is started again on the same data folder, and told nothing else");
        }
    }
    heads.sort_by_key(|(who, _)| *who);
    tour.say_heads(&heads);

    let match_id = tour.match_id.ok_or_else(|| CliError::failed("no match began"))?;
    let bytes = export::fetch(&server.url, &format!("/matches/{match_id}/replay")).await?;
    let summary = export::save(&bytes, Some(root), &args.out)?;
    let replayed = Replay::open(&bytes).ok().and_then(|replay| replay.seek(summary.turns).ok());
    output.say(&format!(" replay     {} has {} KiB", args.out.display(), bytes.len() / 1024));
    process.kill().await?;

    let began = Instant::now();
    let valid = audit::is_valid(&bytes, root);
    let agree = heads.iter().all(|(_, head)| head.block == summary.head) && summary.complete;
    output.say(&format!(
        " audit      {} in {} ms: every signature, proof, link, deadline and state of {} blocks",
        if valid { "VALID" } else { "INVALID" },
        began.elapsed().as_millis(),
        summary.height
    ));
    output.say(&format!(
        "            check it yourself: cadastre audit {} --root-key {root}\n",
        args.out.display()
    ));
    if let Some(game) = replayed {
        output.picture(game.simulation().picture());
    }
    let result = json!({
        "match_id": match_id.to_string(),
        "turns": summary.turns.get(),
        "players": args.players,
        "head": summary.head.to_string(),
        "audit": if valid { "valid" } else { "invalid" },
        "replay": args.out,
    });
    if output.is_json() {
        output.result(&result, String::new);
    }
    if valid && agree {
        Ok(ExitCode::SUCCESS)
    } else {
        Err(CliError::not_so("the clients and the audit do not name the same head"))
    }
}

type Clients = JoinSet<Result<(u8, Client), CliError>>;

/// Starts the bots and the spectator, which has the number after theirs.
fn join(
    server: &Server,
    players: u8,
    spec: &RoomSpec,
    output: Output,
) -> Result<(Clients, mpsc::Receiver<Report>), CliError> {
    let (sender, reports) = mpsc::channel(1024);
    let room = room_name("demo")?;
    let mut clients = JoinSet::new();
    for who in 0..=players {
        let identity = throw_away_identity()?;
        let client = if who < players {
            player(server, identity, &room, who, Some(spec.clone()), None)?
        } else {
            let name = display_name("spectator");
            let (room, open) = (room.clone(), Some(spec.clone()));
            let process = throw_away_identity()?;
            let enter_as = EnterAs::Spectator;
            let config = Config { identity, process, room, enter_as, name, open, credential: None };
            Client::new(server.url.clone(), server.trust, config)
        };
        let sender = sender.clone();
        clients.spawn(async move {
            let client = play(client, None, Duration::ZERO, Answers::PLAYS_ON, |observed| {
                let report = match observed.event {
                    Event::Match { match_id, .. } => Report::Match(*match_id),
                    Event::Block { head, kind, .. } => {
                        let reopened = matches!(kind, BlockKind::Reopen { .. });
                        Report::Block { who, head: *head, reopened }
                    }
                    Event::Lost { .. } => Report::Lost,
                    Event::Evidence(_) => return observed.keep(&EvidenceArgs::here(), output),
                    Event::Desync(_)
                    | Event::Connected { .. }
                    | Event::Lobby(_)
                    | Event::Joined { .. }
                    | Event::Shown { .. }
                    | Event::CaughtUp
                    | Event::YourTurn { .. }
                    | Event::Receipt(_)
                    | Event::Refused { .. }
                    | Event::Ended { .. }
                    | Event::Failed(_)
                    | Event::Relayed(_)
                    | Event::Mispredicted(_)
                    | Event::Seated { .. }
                    | Event::Undrafted { .. }
                    | Event::Goodbye { .. }
                    | Event::Takeback { .. }
                    | Event::Motion { .. }
                    | Event::Said { .. }
                    | Event::NotSaid { .. }
                    | Event::Conversing
                    | Event::TalkMissed { .. }
                    | Event::TalkBroken { .. }
                    | Event::Notice(_)
                    | Event::Rematch { .. }
                    | Event::Limited { .. } => return,
                };
                // A tour that has ended, or stands still while the server starts, may miss a line of the story.
                let _ = sender.try_send(report);
            })
            .await?;
            Ok((who, client))
        });
    }
    Ok((clients, reports))
}

/// What of the match has been told.
struct Tour {
    output: Output,
    players: u8,
    turns: u32,
    turn: u32,
    match_id: Option<MatchId>,
    killed: bool,
    lost: u8,
    reopened: bool,
}

impl Tour {
    fn new(players: u8, turns: u32, output: Output) -> Self {
        Self { output, players, turns, turn: 0, match_id: None, killed: false, lost: 0, reopened: false }
    }

    /// Takes note of what a client saw; `true` when it is time to kill the server.
    fn note(&mut self, report: &Report) -> bool {
        match *report {
            Report::Match(match_id) if self.match_id.is_none() => {
                self.match_id = Some(match_id);
                let joined = format!(
                    " players    {} bots have joined, and a spectator who executes the rules too",
                    self.players
                );
                self.output.say(&joined);
                self.output.say(&format!(" match      {match_id}"));
            }
            Report::Match(_) => {}
            Report::Lost => {
                self.lost += 1;
                if self.lost == self.players + 1 {
                    self.output.say(&format!(
                        "            all {} clients lost their connection and come back by themselves",
                        self.lost
                    ));
                }
            }
            Report::Block { who: 0, head, reopened } => return self.block(head, reopened),
            Report::Block { .. } => {}
        }
        false
    }

    fn block(&mut self, head: Head, reopened: bool) -> bool {
        self.turn = head.turn.get();
        let (turn, height, hash) = (head.turn, head.height, head.block);
        if reopened && !self.reopened {
            self.reopened = true;
            self.output.say(&format!(
                " turn {turn:>5} block {height:>4}  {hash}  reopened: nobody's time ran out meanwhile"
            ));
        } else if self.turn == 1 || self.turn.is_multiple_of((self.turns / 4).max(1)) {
            self.output.say(&format!(" turn {turn:>5} block {height:>4}  {hash}"));
        }
        let now = !self.killed && self.turn >= self.turns / 2;
        self.killed |= now;
        now
    }

    fn say_heads(&self, heads: &[(u8, Head)]) {
        for (who, head) in heads {
            let name = if *who < self.players { format!("bot {who}") } else { "spectator".into() };
            let result = json!({ "who": name, "turn": head.turn.get(), "height": head.height.get(), "head": head.block.to_string() });
            self.output.result(&result, || format!(" {name:<9}  head  {}", head.block));
        }
    }
}
