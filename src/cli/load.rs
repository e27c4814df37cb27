//! `cadastre load`: what a server does under load.

mod crowd;
mod figures;
mod spectator;
mod table;

use std::{
    net::SocketAddr,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use cadastre_client::create_room;
use clap::Args;
use serde_json::json;

use super::{
    CliError, Ending, ServerArgs,
    connect::{Server, client_error, room_name, throw_away_identity},
    export,
    output::Output,
    raise_open_files,
    room::GameArgs,
    server_process::{Scratch, ServerProcess},
};
use crowd::{Crowd, Muster};
use figures::{Figures, Memory, Part};
use table::Table;

/// Turns that are played before anything is measured, whenever somebody has come or gone.
const SETTLING_TURNS: u64 = 3;

#[derive(Debug, Args)]
pub(super) struct LoadArgs {
    /// The server, as ws://HOST:PORT; without it one is started, with limits that allow what is asked for.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// The server's root key; without it the first key seen is trusted, and remembered.
    #[arg(long, value_name = "HEX", requires = "server")]
    root_key: Option<String>,
    /// How many rooms.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=5_000))]
    rooms: u16,
    /// How many bots in each room.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=8))]
    players: u8,
    /// Turns a second in each room, if the server can do so many.
    #[arg(long, value_name = "N", default_value_t = 2.0, value_parser = rate)]
    rate: f64,
    /// Turns that are measured: with --compare, in each of its segments.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    turns: u64,
    /// Light spectators in each room. They open what they are sent, and count it; their threads yield to the bots'.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=100_000))]
    spectators: u32,
    /// Of these, so many read nothing after they have entered.
    #[arg(long, value_name = "N", default_value_t = 0)]
    stalled: u32,
    /// Of these, so many verify all that they are shown, and are measured.
    #[arg(long, value_name = "N", default_value_t = 4)]
    verify: u32,
    /// Plays so many pairs of segments, each without the spectators and then with them, and gives the ratio.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    compare: Option<u32>,
    #[command(flatten)]
    game: GameArgs,
}

pub(super) async fn load(args: LoadArgs, output: Output) -> Ending {
    let muster = args.muster()?;
    let spec = args.game.spec(args.players, None)?;
    raise_open_files();
    let target = Target::of(&args, &muster).await?;
    let figures = Arc::new(Figures::new()?);
    let mut tables = Vec::new();
    for number in 0..args.rooms {
        let room = room_name(&format!("load-{:08x}-{number}", std::process::id()))?;
        let identity = throw_away_identity()?;
        let (url, trust) = (&target.server.url, target.server.trust);
        let opened = create_room(url, trust, &identity, &room, |_| spec.clone()).await;
        let (root, created) = opened.map_err(|error| client_error(&error))?;
        target.server.remember(root);
        created.map_err(|failure| CliError::failed(format!("room {room}: {failure}")))?;
        let pace = Duration::from_secs_f64(1.0 / args.rate);
        tables.push(Table::open(&target.server, room, args.players, pace, figures.clone())?);
    }
    played(&tables, SETTLING_TURNS).await?;
    let memory = target.memory();
    let before = memory.now();

    let mut crowd = Crowd::new(target.server.clone(), muster, figures.clone())?;
    for pair in 0..args.compare.unwrap_or(1) {
        if args.compare.is_some() || args.spectators == 0 {
            let what = format!("segment {}, alone", pair + 1);
            segment(&args, &target, &tables, &figures, (Part::Alone, &what), output).await?;
        }
        if args.spectators > 0 {
            crowd.gather(&tables).await?;
            let what = format!("segment {}, watched", pair + 1);
            segment(&args, &target, &tables, &figures, (Part::Watched, &what), output).await?;
            crowd.disperse().await;
        }
    }
    let peak = memory.peak();
    for table in tables {
        table.end().await?;
    }
    let report = json!({
        "rooms": args.rooms,
        "players": args.players,
        "rate": args.rate,
        "rules": args.game.rules,
        "spectators": args.spectators,
        "stalled": args.stalled,
        "alone": figures.json(Part::Alone),
        "watched": figures.json(Part::Watched),
        "ratio": figures.ratio_json(),
        "views": figures.views_json(),
        "failures": figures.failures_json(),
        "server_rss_bytes": { "before": before, "peak": peak },
    });
    output.result(&report, || format!("{}{}", figures.in_words(), Memory::in_words(before, peak)));
    Ok(ExitCode::SUCCESS)
}

/// Plays the turns of a segment, and measures them.
async fn segment(
    args: &LoadArgs,
    target: &Target,
    tables: &[Table],
    figures: &Figures,
    (part, what): (Part, &str),
    output: Output,
) -> Result<(), CliError> {
    played(tables, SETTLING_TURNS).await?;
    let (began, bytes) = (Instant::now(), target.bytes_sent().await?);
    figures.begin(part);
    played(tables, args.turns).await?;
    let bytes = target.bytes_sent().await?.saturating_sub(bytes);
    let segment = figures.end(began.elapsed(), bytes);
    output.result(&json!({ "segment": what, "figures": segment.json() }), || {
        format!("{what:<22} {}", segment.in_words())
    });
    Ok(())
}

/// Waits until so many more turns were played in each room.
async fn played(tables: &[Table], turns: u64) -> Result<(), CliError> {
    let goals: Vec<_> = tables.iter().map(|table| table.turns() + turns).collect();
    for (table, goal) in tables.iter().zip(goals) {
        table.reach(goal).await?;
    }
    Ok(())
}

/// The server that is measured.
struct Target {
    server: Server,
    /// If it was started for that, with its folder.
    own: Option<(ServerProcess, Scratch)>,
}

impl Target {
    async fn of(args: &LoadArgs, muster: &Muster) -> Result<Self, CliError> {
        if let Some(url) = &args.server {
            let args = ServerArgs { server: url.clone(), root_key: args.root_key.clone() };
            return Ok(Self { server: Server::of(&args)?, own: None });
        }
        let scratch = Scratch::new()?;
        let config = scratch.0.join("config.toml");
        let written = std::fs::write(&config, settings(args, muster));
        written.map_err(|error| CliError::failed(format!("cannot write {}: {error}", config.display())))?;
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let data = scratch.0.join("data");
        let process = ServerProcess::start(&data, Some(&config), listen).await?;
        Ok(Self { server: process.server()?, own: Some((process, scratch)) })
    }

    fn memory(&self) -> Memory {
        Memory::of(self.own.as_ref().map(|(process, _)| process.id()))
    }

    /// Bytes of sealed records that the server has sent since it was started.
    async fn bytes_sent(&self) -> Result<u64, CliError> {
        let metrics = export::fetch(&self.server.url, "/metrics").await?;
        let metrics = String::from_utf8_lossy(&metrics);
        let value = metrics.lines().find_map(|line| line.strip_prefix("cadastre_sent_bytes_total "));
        let value = value.and_then(|value| value.parse().ok());
        value.ok_or_else(|| CliError::failed("the server does not say how many bytes it has sent"))
    }
}

/// The settings of a server whose clients all come from one address.
fn settings(args: &LoadArgs, muster: &Muster) -> String {
    let clients = usize::from(args.rooms) * (usize::from(args.players) + muster.len());
    let connections = 2 * clients + 1_000;
    let rate = "{ burst = 1000000, per_min = 1000000 }";
    format!(
        "[limits]\nconnections_max = {connections}\nconnections_per_address_max = {connections}\n\
         handshakes_per_address_max = {connections}\nrooms_per_address_max = 10000\n\
         spectators_max = {}\nhandshakes_per_address_rate = {rate}\nmessages_per_address_rate = {rate}\n\
         requests_per_address_rate = {rate}\ncreates_per_address_rate = {rate}\n",
        2 * muster.len(),
    )
}

impl LoadArgs {
    fn muster(&self) -> Result<Muster, CliError> {
        let reading = self.spectators.checked_sub(self.stalled);
        let reading = reading.ok_or_else(|| CliError::usage("--stalled is at most --spectators"))?;
        if self.compare.is_some() && self.spectators == 0 {
            return Err(CliError::usage("--compare needs --spectators"));
        }
        let verifying = self.verify.min(reading);
        Ok(Muster { verifying, counting: reading - verifying, stalled: self.stalled })
    }
}

fn rate(text: &str) -> Result<f64, &'static str> {
    let rate: f64 = text.parse().map_err(|_| "a number of turns a second")?;
    if (0.01..=1_000.0).contains(&rate) { Ok(rate) } else { Err("0.01 to 1000 turns a second") }
}
