//! `cadastre say`.

use std::{path::PathBuf, process::ExitCode};

use cadastre_client::{Client, Config, Event};
use cadastre_protocol::{EnterAs, Reaction, TalkHash, Text};
use clap::{Args, builder::PossibleValuesParser};

use super::{
    CliError, Ending, ServerArgs,
    access::CredentialArgs,
    bot::{Observed, read_key},
    connect::{Server, client_error, display_name, room_name, throw_away_identity},
    output::Output,
    passphrase,
};

#[derive(Debug, Args)]
pub(super) struct SayArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Name of the room.
    #[arg(long)]
    room: String,
    /// Identity key: who holds a seat can speak while the match runs. Without it, the identity is thrown away.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    #[command(flatten)]
    credential: CredentialArgs,
    /// Says this without words.
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(Reaction::ALL.map(Reaction::name)))]
    reaction: Option<String>,
    /// What to say, in at most 280 characters.
    #[arg(required_unless_present = "reaction", conflicts_with = "reaction")]
    text: Option<String>,
}

enum Utterance {
    Text(Text),
    Reaction(Reaction),
}

impl SayArgs {
    fn utterance(&self) -> Result<Utterance, CliError> {
        let reaction = self.reaction.as_deref();
        let reaction = Reaction::ALL.into_iter().find(|it| Some(it.name()) == reaction);
        reaction.map(Utterance::Reaction).map_or_else(
            || {
                let text = Text::new(self.text.as_deref().unwrap_or_default());
                text.map(Utterance::Text).map_err(|error| CliError::usage(error.to_string()))
            },
            Ok,
        )
    }
}

pub(super) async fn say(args: SayArgs, passphrase_fd: Option<u32>, output: Output) -> Ending {
    let utterance = args.utterance()?;
    let server = Server::of(&args.server)?;
    let identity = match &args.key {
        None => throw_away_identity()?,
        Some(path) => read_key(path, passphrase(passphrase_fd)?.as_ref())?,
    };
    let config = Config {
        identity,
        process: throw_away_identity()?,
        room: room_name(&args.room)?,
        // Whoever holds a seat holds it on another connection, which goes on.
        enter_as: EnterAs::Spectator,
        name: display_name("speaker"),
        open: None,
        credential: args.credential.read()?,
    };
    let client = Client::new(server.url.clone(), server.trust, config);
    let client = speak(client, utterance, &server, output).await?;
    client.close().await;
    Ok(ExitCode::SUCCESS)
}

/// Says it once the room is entered, and waits until it is passed on.
async fn speak(
    mut client: Client,
    utterance: Utterance,
    server: &Server,
    output: Output,
) -> Result<Client, CliError> {
    let mut own: Option<TalkHash> = None;
    loop {
        if own.is_none() && client.session().is_in_conversation() {
            let said = match &utterance {
                Utterance::Text(text) => client.say(text.clone()),
                Utterance::Reaction(reaction) => client.react(*reaction),
            };
            own = said.ok();
        }
        let event = client.next().await.map_err(|error| client_error(&error))?;
        match &event {
            Event::Connected { root } => server.remember(*root),
            Event::Said { said, .. } if Some(said.name) == own => {
                Observed { client: &client, event: &event }.report_talk(output);
                return Ok(client);
            }
            Event::NotSaid { talk, refusal } if Some(*talk) == own => {
                return Err(CliError::failed(format!("not said: {refusal}")));
            }
            Event::Failed(failure) => return Err(CliError::failed(failure.to_string())),
            Event::Said { .. }
            | Event::NotSaid { .. }
            | Event::Conversing
            | Event::TalkMissed { .. }
            | Event::TalkBroken { .. }
            | Event::Notice(_)
            | Event::Lost { .. }
            | Event::Lobby(_)
            | Event::Match { .. }
            | Event::Block { .. }
            | Event::Joined { .. }
            | Event::Shown { .. }
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
            | Event::Goodbye { .. }
            | Event::Mispredicted(_)
            | Event::Seated { .. }
            | Event::Undrafted { .. }
            | Event::Limited { .. } => {}
        }
    }
}
