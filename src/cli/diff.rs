//! `cadastre diff`.

use std::{path::PathBuf, process::ExitCode};

use cadastre_protocol::Seat;
use cadastre_replay::{Located, Parting, Replay, Side};
use clap::Args;
use serde_json::{Value, json};

use super::{CliError, Ending, describe, output::Output, read_file};
use crate::desyncs::difference_json;

#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// The one replay file.
    left: PathBuf,
    /// The other.
    right: PathBuf,
}

pub(super) fn diff(args: &DiffArgs, output: Output) -> Ending {
    let files = [&args.left, &args.right];
    let [left, right] = files.map(read_file);
    let (left, right) = (left?, right?);
    let (left, right) = (open(&args.left, &left)?, open(&args.right, &right)?);
    let parting = cadastre_replay::diff(&left, &right).map_err(|error| CliError::usage(describe(&error)))?;
    let Some(parting) = parting else {
        output.result(&json!({ "diff": "same" }), || "the two matches are the same".into());
        return Ok(ExitCode::SUCCESS);
    };
    output.result(&to_json(&parting), || text(&parting));
    Ok(ExitCode::from(CliError::NOT_SO))
}

/// A file that is whole: of a damaged one nobody could say where it ends.
fn open<'a>(path: &std::path::Path, bytes: &'a [u8]) -> Result<Replay<'a>, CliError> {
    let unreadable =
        |error: &dyn std::error::Error| CliError::usage(format!("{}: {}", path.display(), describe(error)));
    let replay = Replay::open(bytes).map_err(|damage| unreadable(&damage))?;
    match replay.damage() {
        None => Ok(replay),
        Some(damage) => Err(unreadable(&damage)),
    }
}

fn to_json(parting: &Parting) -> Value {
    match parting {
        Parting::Match { left, right } => {
            json!({ "diff": "match", "left": left.to_string(), "right": right.to_string() })
        }
        Parting::Length { height, turn, longer } => {
            json!({ "diff": "length", "height": height.get(), "turn": turn.get(), "longer": side(*longer) })
        }
        Parting::Transactions { height, turn, seats } => json!({
            "diff": "transactions",
            "height": height.get(),
            "turn": turn.get(),
            "seats": seats.iter().copied().map(Seat::get).collect::<Vec<_>>(),
        }),
        Parting::Block { height, turn } => {
            json!({ "diff": "block", "height": height.get(), "turn": turn.get() })
        }
        Parting::State { height, turn, left, right, executes, located } => json!({
            "diff": "state",
            "height": height.get(),
            "turn": turn.get(),
            "left": left.to_string(),
            "right": right.to_string(),
            "executes": executes.map(side),
            "keyframe": located.as_ref().map(|located| located.turn.get()),
            "phase": located.as_ref().and_then(|located| located.phase),
            "differences": located
                .iter()
                .flat_map(|located| &located.differences)
                .map(|difference| difference_json(difference, ["rules", "file"]))
                .collect::<Vec<_>>(),
        }),
    }
}

fn text(parting: &Parting) -> String {
    match parting {
        Parting::Match { left, right } => format!("two matches: {left} and {right}"),
        Parting::Length { height, turn, longer } => {
            format!("the same up to turn {turn} (block {height}); only the {} file goes on", side(*longer))
        }
        Parting::Transactions { height, turn, seats } => {
            let seats: Vec<_> = seats.iter().map(ToString::to_string).collect();
            format!("turn {turn} (block {height}): other transactions of seat {}", seats.join(", "))
        }
        Parting::Block { height, turn } => format!(
            "turn {turn} (block {height}): the same transactions and state in another block: kind, time or signer"
        ),
        Parting::State { height, turn, left, right, executes, located } => {
            let mut lines = vec![
                format!("turn {turn} (block {height}): the same transactions lead to two states"),
                format!("left      {left}"),
                format!("right     {right}"),
                match executes {
                    Some(executes) => format!("executed  the {} file is right", side(*executes)),
                    None => "executed  neither is right".into(),
                },
            ];
            match located {
                Some(located) => located_lines(located, &mut lines),
                None => lines
                    .push("no keyframe shows the wrong state: which tile it is, is not in the file".into()),
            }
            lines.join("\n")
        }
    }
}

fn located_lines(located: &Located, lines: &mut Vec<String>) {
    let phase =
        located.phase.map_or_else(String::new, |phase| format!(", written last by the phase {phase}"));
    lines.push(format!("keyframe  of turn {}{phase}", located.turn));
    for found in &located.differences {
        lines.push(format!(
            "differs   chunk {}, {}, {}: {} by the rules, {} in the file",
            found.chunk.get(),
            found.subject,
            found.field,
            found.left,
            found.right
        ));
    }
}

const fn side(side: Side) -> &'static str {
    match side {
        Side::Left => "left",
        Side::Right => "right",
    }
}
