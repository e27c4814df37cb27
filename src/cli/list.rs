//! `cadastre room list`.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    CliError, Ending, ServerArgs,
    connect::{Server, room_name},
    export::fetch,
    output::Output,
};

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Only rooms that are so far.
    #[arg(long)]
    phase: Option<Phase>,
    /// Only rooms of this game: city or boxes, with or without the version.
    #[arg(long, value_name = "ID")]
    rules: Option<String>,
    /// Only rooms in the lobby that have a free seat.
    #[arg(long)]
    open: bool,
    /// How many at most.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u8).range(1..=200))]
    limit: u8,
    /// Goes on after this name.
    #[arg(long, value_name = "NAME")]
    after: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Phase {
    /// Players come together.
    Lobby,
    /// All are ready.
    Starting,
    /// The match runs.
    Playing,
    /// The match is over.
    Ended,
}

/// What the service answers.
#[derive(Deserialize)]
struct Page {
    rooms: Vec<Value>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Row {
    room: String,
    rules: String,
    phase: String,
    seats: u8,
    taken: usize,
    turn: u32,
}

pub(super) async fn list(args: ListArgs, output: Output) -> Ending {
    let server = Server::of(&args.server)?;
    let bytes = fetch(&server.url, &args.path()?).await?;
    let unreadable = |error| CliError::failed(format!("{}: no list of rooms: {error}", server.url));
    let Page { rooms, next } = serde_json::from_slice(&bytes).map_err(unreadable)?;
    for room in rooms {
        let row = Row::deserialize(&room).map_err(unreadable)?;
        output.result(&room, || row.line());
    }
    if let Some(next) = next {
        output.result(&json!({ "next": next }), || format!("there are more: --after {next}"));
    }
    Ok(ExitCode::SUCCESS)
}

impl ListArgs {
    fn path(&self) -> Result<String, CliError> {
        let mut path = format!("/rooms?limit={}", self.limit);
        if let Some(phase) = self.phase.and_then(|phase| phase.to_possible_value()) {
            path.push_str(&format!("&phase={}", phase.get_name()));
        }
        if let Some(rules) = &self.rules {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-/".contains(&byte);
            if !rules.bytes().all(is_plain) {
                return Err(CliError::usage(format!("`{rules}` is no name of rules")));
            }
            path.push_str(&format!("&rules={rules}"));
        }
        if self.open {
            path.push_str("&open=1");
        }
        if let Some(after) = &self.after {
            path.push_str(&format!("&after={}", room_name(after)?));
        }
        Ok(path)
    }
}

impl Row {
    fn line(&self) -> String {
        let Self { room, rules, phase, seats, taken, turn } = self;
        format!("{room:<32}  {rules:<10}  {phase:<8}  {taken} of {seats} players  turn {turn}")
    }
}
