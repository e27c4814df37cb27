//! `cadastre watch`.

use std::{collections::VecDeque, io::IsTerminal, path::PathBuf, process::ExitCode, time::Duration};

use cadastre_client::{Client, Config, Event, Follower, LightFollower, Viewport};
use cadastre_protocol::{EnterAs, Following, Header, Seat, SeatClock};
use clap::Args;
use serde_json::json;

use super::{
    Ending, ServerArgs,
    access::CredentialArgs,
    bot::{Answers, block_json, desync_folder, play, word},
    connect::{Server, display_name, room_name, throw_away_identity},
    evidence::EvidenceArgs,
    output::Output,
};

/// Lines of talk that are shown below each picture.
const HEARD_LINES: usize = 6;

#[derive(Debug, Args)]
pub(super) struct WatchArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Name of the room.
    #[arg(long)]
    room: String,
    /// Execute nothing: be shown what the server signs, with proofs.
    #[arg(long)]
    light: bool,
    /// With --light, be shown the tiles of this rectangle only: column, row, width and height.
    #[arg(long, value_name = "X,Y,W,H", requires = "light", value_parser = viewport)]
    viewport: Option<Viewport>,
    #[command(flatten)]
    evidence: EvidenceArgs,
    #[command(flatten)]
    credential: CredentialArgs,
    /// Folder for what a developer needs to know of a desync; at most 64 files.
    #[arg(long, value_name = "DIR")]
    desyncs: Option<PathBuf>,
}

pub(super) async fn watch(args: WatchArgs, output: Output) -> Ending {
    let server = Server::of(&args.server)?;
    let config = Config {
        identity: throw_away_identity()?,
        process: throw_away_identity()?,
        room: room_name(&args.room)?,
        enter_as: if args.light { EnterAs::Light } else { EnterAs::Spectator },
        name: display_name("spectator"),
        open: None,
        credential: args.credential.read()?,
    };
    let mut client = Client::new(server.url.clone(), server.trust, config);
    if args.light {
        client.watch(args.viewport.unwrap_or(Viewport::All));
    } else {
        client.follow(Following::Snapshot);
    }
    let draws = !output.is_json() && std::io::stdout().is_terminal();
    let desyncs = desync_folder(args.desyncs.as_ref());
    let mut behind = true;
    let mut heard = VecDeque::new();
    let watched = play(client, None, Duration::ZERO, Answers::PLAYS_ON, |observed| match observed.event {
        Event::Said { .. }
        | Event::NotSaid { .. }
        | Event::Conversing
        | Event::TalkMissed { .. }
        | Event::TalkBroken { .. }
        | Event::Notice(_) => {
            observed.report_talk(output);
            heard.extend(observed.talk().map(|(_, text)| text));
            if heard.len() > HEARD_LINES {
                heard.pop_front();
            }
        }
        Event::Connected { root } => server.remember(*root),
        Event::Lobby(lobby) => {
            let players: Vec<_> = lobby.seats.iter().map(|seat| seat.name.as_str()).collect();
            let result =
                json!({ "room": lobby.room.as_str(), "players": players, "seats": lobby.spec.seats });
            output.result(&result, || {
                format!("lobby of {}: {} of {} seats taken", lobby.room, players.len(), lobby.spec.seats)
            });
        }
        Event::Desync(_) => observed.report_desync(desyncs.as_ref(), output),
        Event::CaughtUp => behind = false,
        Event::Lost { reason } => {
            behind = true;
            tracing::warn!(reason, "connection lost; coming back");
        }
        Event::Block { .. } => {
            let Some((match_id, _, head, kind)) = observed.block() else { return };
            let follower = observed.client.session().follower();
            match follower {
                // Of the blocks before one came, only the last is worth a picture.
                Some(follower) if draws => {
                    if !behind || head.turn.get() == 0 {
                        output.say("\x1b[2J\x1b[H");
                        output.picture(follower.game().simulation().picture());
                        let clocks = in_words(&clocks_of(follower));
                        output.say(&format!(
                            "turn {}  block {}  {}{clocks}",
                            head.turn, head.height, head.block
                        ));
                        heard.iter().for_each(|line| output.say(line));
                    }
                }
                Some(_) | None => {
                    let clocks = follower.map(clocks_of).unwrap_or_default();
                    let mut result = block_json(match_id, None, head);
                    result["banks_ms"] =
                        json!(clocks.iter().filter_map(|clock| clock.bank_ms).collect::<Vec<_>>());
                    output.result(&result, || {
                        format!(
                            "turn {:>5}  block {:>6}  {:<8}  {}{}",
                            head.turn,
                            head.height,
                            word(kind),
                            head.block,
                            in_words(&clocks)
                        )
                    });
                }
            }
        }
        Event::Joined { head } => {
            let Some(follower) = observed.client.session().follower() else { return };
            output.result(&block_json(follower.chain().match_id(), None, *head), || {
                format!("turn {:>5}  block {:>6}  joined    {}", head.turn, head.height, head.block)
            });
        }
        Event::Shown { header } => {
            if let Some(light) = observed.client.session().light() {
                show(light, header, draws, output);
            }
        }
        Event::Evidence(_) => observed.keep(&args.evidence, output),
        Event::Ended { .. }
        | Event::Match { .. }
        | Event::YourTurn { .. }
        | Event::Receipt(_)
        | Event::Refused { .. }
        | Event::Failed(_)
        | Event::Relayed(_)
        | Event::Mispredicted(_)
        | Event::Undrafted { .. }
        | Event::Goodbye { .. }
        | Event::Takeback { .. }
        | Event::Rematch { .. }
        | Event::Motion { .. }
        | Event::Seated { .. }
        | Event::Limited { .. } => {}
    })
    .await?;
    if let Some(follower) = watched.session().follower() {
        output.picture(follower.game().simulation().picture());
    }
    if let Some(game) = watched.session().light().and_then(LightFollower::game) {
        output.picture(game.simulation().picture());
    }
    output.say("the match is over");
    Ok(ExitCode::SUCCESS)
}

/// How each seat stands for time, in the order of the seats.
fn clocks_of(follower: &Follower) -> Vec<SeatClock> {
    let chain = follower.chain();
    Seat::first(chain.genesis().seat_count()).filter_map(|seat| chain.clock_of(seat)).collect()
}

/// What each seat has in its bank, with a mark where the time runs; nothing in a match without banks.
fn in_words(clocks: &[SeatClock]) -> String {
    let of_seat = |clock: &SeatClock| {
        let (seconds, mark) = (clock.bank_ms? / 1000, if clock.runs_out.is_some() { "*" } else { "" });
        Some(format!("  {}:{:02}{mark}", seconds / 60, seconds % 60))
    };
    clocks.iter().filter_map(of_seat).collect()
}

/// Shows what was shown: the picture, where all of it is watched and somebody looks, else a line.
fn show(light: &LightFollower, header: &Header, draws: bool, output: Output) {
    let (height, block, turn) = (header.height, light.head().block(), header.turn);
    if let Some(game) = light.game().filter(|_| draws) {
        output.say("\x1b[2J\x1b[H");
        output.picture(game.simulation().picture());
        return output.say(&format!("turn {turn}  block {height}  {block}"));
    }
    let (chunks, bytes) = (light.chunks().len(), light.chunks().values().map(Vec::len).sum::<usize>());
    let result = json!({
        "match": header.match_id.to_string(),
        "height": height.get(),
        "turn": turn.get(),
        "block": block.to_string(),
        "state_root": header.state_root.to_string(),
        "chunks": chunks,
        "bytes": bytes,
    });
    output.result(&result, || {
        let kind = word(&header.kind);
        format!("turn {turn:>5}  block {height:>6}  {kind:<8}  {block}  {chunks} chunks, {bytes} bytes")
    });
}

/// Reads `X,Y,W,H`.
fn viewport(text: &str) -> Result<Viewport, &'static str> {
    let numbers: Vec<u16> = text.split(',').filter_map(|number| number.trim().parse().ok()).collect();
    match numbers[..] {
        [left, top, width, height] if text.split(',').count() == 4 && width > 0 && height > 0 => {
            Ok(Viewport::Tiles { left, top, width, height })
        }
        _ => Err("four numbers: column, row, width and height"),
    }
}
