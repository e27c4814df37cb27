//! `cadastre replay`.

use std::{path::PathBuf, process::ExitCode};

use cadastre_protocol::{Attempt, Parent, Turn};
use cadastre_replay::Replay;
use clap::Args;
use serde_json::json;

use super::{CliError, Ending, complain, describe, gif, output::Output, read_file};

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// The replay file.
    file: PathBuf,
    /// Shows the state after this turn.
    #[arg(long, value_name = "N")]
    turn: Option<u32>,
    /// With --turn: as it was in the branch that ended with this attempt, which was taken back since.
    #[arg(long, value_name = "N", requires = "turn")]
    attempt: Option<u32>,
    /// Writes the match as a moving picture.
    #[arg(long, value_name = "OUT")]
    gif: Option<PathBuf>,
}

pub(super) fn replay(args: &ReplayArgs, output: Output) -> Ending {
    let bytes = read_file(&args.file)?;
    let unreadable = |error: &dyn std::error::Error| {
        CliError::usage(format!("{}: {}", args.file.display(), describe(error)))
    };
    let replay = Replay::open(&bytes).map_err(|damage| unreadable(&damage))?;
    if let Some(damage) = replay.damage() {
        complain(&format!("{} is damaged: {damage}; showing what is before", args.file.display()));
    }
    if let Some(turn) = args.turn {
        let attempt = args.attempt.map_or(replay.attempts(), Attempt::new);
        let player = replay.player_in(Turn::new(turn), attempt).map_err(|error| unreadable(&error))?;
        let game = player.game();
        let picture = game.simulation().picture();
        let result = json!({
            "turn": turn,
            "attempt": attempt.get(),
            "state_root": game.state_root().to_string(),
            "standings": standings(&game.simulation().standings()),
            "legend": picture.legend,
        });
        output.result(&result, || format!("turn {turn}  state {}", game.state_root()));
        output.picture(picture);
    }
    if let Some(path) = &args.gif {
        let frames = gif::write(&replay, path)?;
        output.result(&json!({ "gif": path, "frames": frames }), || {
            format!("{}: {frames} frames", path.display())
        });
    }
    if args.turn.is_none() && args.gif.is_none() {
        summarize(&replay, output);
    }
    let whole = replay.damage().is_none();
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::from(CliError::USAGE) })
}

fn summarize(replay: &Replay<'_>, output: Output) {
    let (summary, attempts) = (replay.summary(), replay.attempts());
    let names: Vec<_> = summary.names.iter().map(|name| name.as_str()).collect();
    let sealed = summary.sealed.as_ref();
    let reason = sealed.map(|sealed| crate::rooms::seal_word(sealed.reason));
    let result = json!({
        "match_id": summary.match_id.to_string(),
        "root_key": summary.root_key.to_string(),
        "rules": summary.rules.to_string(),
        "parent": replay.genesis().parent.map(|parent| parent_json(&parent)),
        "room": summary.room.as_str(),
        "names": names,
        "turns": summary.turns.get(),
        "takebacks": attempts.get(),
        "height": summary.height.get(),
        "head": summary.head.to_string(),
        "complete": summary.complete,
        "ended": reason,
        "standings": sealed.map(|sealed| standings(&sealed.standings)),
        "bytes": summary.file_bytes,
    });
    output.result(&result, || {
        let ended = reason.map_or_else(|| "not finished".to_owned(), |reason| format!("ended: {reason}"));
        let mut lines = vec![
            format!("match   {} in room {}", summary.match_id, summary.room),
            format!("rules   {}", summary.rules),
            format!("turns   {} in {} blocks, {ended}", summary.turns, summary.height),
            format!("head    {}", summary.head),
            format!("root    {}", summary.root_key),
        ];
        if let Some(Parent { match_id, turn, .. }) = replay.genesis().parent {
            lines.push(format!("parent  turn {turn} of match {match_id}"));
        }
        for (seat, name) in names.iter().enumerate() {
            let standing = sealed.and_then(|sealed| sealed.standings.get(seat));
            let came =
                standing.map_or_else(String::new, |s| format!("  place {}, score {}", s.place, s.score));
            lines.push(format!("seat {seat}  {name}{came}"));
        }
        lines.join("\n")
    });
}

/// Where a fork goes on from.
pub(super) fn parent_json(parent: &Parent) -> serde_json::Value {
    json!({
        "match_id": parent.match_id.to_string(),
        "turn": parent.turn.get(),
        "height": parent.height.get(),
        "block": parent.block.to_string(),
        "state_root": parent.state_root.to_string(),
    })
}

fn standings(standings: &[cadastre_protocol::Standing]) -> serde_json::Value {
    let each =
        |s: &cadastre_protocol::Standing| json!({ "seat": s.seat.get(), "place": s.place, "score": s.score });
    standings.iter().map(each).collect()
}
