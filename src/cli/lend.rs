//! `cadastre room lend`, and the loan that it prints.

use std::{path::PathBuf, process::ExitCode};

use cadastre_client::{Client, Config, Event, Follower, LendError};
use cadastre_protocol::{EnterAs, Following, Signature, SignedDelegation};
use clap::Args;
use serde_json::json;

use super::{
    CliError, Ending, ServerArgs,
    access::CredentialArgs,
    bot::read_key,
    connect::{Server, client_error, display_name, room_name, throw_away_identity},
    invite::public_key,
    output::Output,
    passphrase,
};

#[derive(Debug, Args)]
pub(super) struct LendArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Name of the room.
    name: String,
    /// Identity key that holds the seat.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The key that `bot --stand-in` prints.
    #[arg(long, value_name = "HEX")]
    to: String,
    #[command(flatten)]
    credential: CredentialArgs,
}

/// Watches the room until its match runs, and prints the loan.
pub(super) async fn lend(args: LendArgs, passphrase_fd: Option<u32>, output: Output) -> Ending {
    let server = Server::of(&args.server)?;
    let to = public_key(&args.to)?;
    let identity = read_key(&args.key, passphrase(passphrase_fd)?.as_ref())?;
    let holder = identity.public();
    let config = Config {
        identity,
        process: throw_away_identity()?,
        room: room_name(&args.name)?,
        // The seat may be played on another connection, which goes on.
        enter_as: EnterAs::Spectator,
        name: display_name("lender"),
        open: None,
        credential: args.credential.read()?,
    };
    let mut client = Client::new(server.url.clone(), server.trust, config);
    client.follow(Following::Snapshot);
    loop {
        let event = client.next().await.map_err(|error| client_error(&error))?;
        let seat = client.session().follower().map(Follower::chain).map(|chain| chain.seat_of(holder));
        match (event, seat) {
            (Event::Connected { root }, _) => server.remember(root),
            (Event::Failed(failure), _) => return Err(CliError::failed(failure.to_string())),
            (Event::Ended { .. }, _) => return Err(CliError::failed("the match is over")),
            (Event::CaughtUp, Some(None)) => {
                return Err(CliError::failed("the key holds no seat in this match"));
            }
            (_, Some(None) | None) => {}
            (_, Some(Some(seat))) => match client.lend(to) {
                Ok(loan) => {
                    let loan = written(&loan);
                    let result = json!({ "loan": loan, "seat": seat.get(), "to": to.to_string() });
                    output.result(&result, || loan);
                    client.close().await;
                    return Ok(ExitCode::SUCCESS);
                }
                Err(LendError::NoSeat) => {}
                Err(error) => return Err(CliError::failed(error.to_string())),
            },
        }
    }
}

/// Delegation and signature, in hexadecimal digits.
fn written(loan: &SignedDelegation) -> String {
    format!("{} {}", hex::encode(&loan.body), hex::encode(loan.signature.as_bytes()))
}

/// Reads the first line of stdin, as `room lend` printed it.
pub(super) fn read_loan() -> Result<SignedDelegation, CliError> {
    let mut line = String::new();
    std::io::stdin()
        .read_line(&mut line)
        .map_err(|error| CliError::failed(format!("cannot read stdin: {error}")))?;
    read(&line).ok_or_else(|| CliError::usage("stdin has no loan; `room lend` prints one"))
}

fn read(text: &str) -> Option<SignedDelegation> {
    let (body, signature) = text.trim().split_once(' ')?;
    let signature = Signature::new(hex::decode(signature).ok()?.try_into().ok()?);
    Some(SignedDelegation { body: hex::decode(body).ok()?, signature })
}
