//! `cadastre room invite`.

use std::{path::PathBuf, process::ExitCode};

use cadastre_protocol::{EnterAs, Invitation, PublicKey, SignedInvitation, Trust, encode};
use clap::Args;
use serde_json::json;

use super::{
    CliError, Ending, ServerArgs,
    bot::read_key,
    connect::{Server, room_name},
    export::write_whole,
    output::Output,
    passphrase,
};
use crate::clock;

#[derive(Debug, Args)]
pub(super) struct InviteArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Name of the room, whether it is open already or not.
    name: String,
    /// Identity key under which the room is opened.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Public identity key of whom to invite; without it the invitation is good for whoever has it.
    #[arg(long, value_name = "HEX")]
    guest: Option<String>,
    /// Invites to watch, and not to play.
    #[arg(long)]
    watch: bool,
    /// For how long it is good.
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..))]
    hours: u16,
    /// Where to write it.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(super) fn invite(args: &InviteArgs, passphrase_fd: Option<u32>, output: Output) -> Ending {
    let Trust::Pinned(service) = Server::of(&args.server)?.trust else {
        return Err(CliError::usage(
            "this server is new; --root-key says which service the invitation is to",
        ));
    };
    let guest = args.guest.as_deref().map(public_key).transpose()?;
    let opener = read_key(&args.key, passphrase(passphrase_fd)?.as_ref())?;
    let valid_to = clock::now().after(u64::from(args.hours) * 60 * 60 * 1000);
    let invitation = Invitation {
        version: Invitation::VERSION,
        service,
        room: room_name(&args.name)?,
        guest,
        enter_as: if args.watch { EnterAs::Spectator } else { EnterAs::Player },
        valid_to,
    };
    let signed = SignedInvitation::sign(&opener, &invitation);
    write_whole(&args.out, format!("{}\n", hex::encode(encode(&signed))).as_bytes())?;
    let result = json!({
        "invitation": args.out,
        "room": args.name,
        "guest": guest.map(|guest| guest.to_string()),
        "watch": args.watch,
        "valid_to_ms": valid_to.get(),
    });
    output.result(&result, || {
        let whom = guest.map_or_else(|| "whoever has it".into(), |guest| guest.to_string());
        format!("{}: to room {} for {whom}, for {} h", args.out.display(), args.name, args.hours)
    });
    Ok(ExitCode::SUCCESS)
}

pub(super) fn public_key(hex: &str) -> Result<PublicKey, CliError> {
    PublicKey::from_hex(hex).ok_or_else(|| CliError::usage("a public key has 64 hexadecimal digits"))
}
