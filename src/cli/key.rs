//! `cadastre key`.

use std::{path::PathBuf, process::ExitCode};

use clap::Subcommand;
use serde_json::json;

use super::{CliError, Ending, describe, output::Output};
use crate::key_file;

#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Makes a new identity key in a file that only its owner can read.
    New {
        /// The file; it must not exist yet.
        file: PathBuf,
    },
    /// Shows the public half of a key.
    Show {
        /// The key file.
        file: PathBuf,
    },
}

pub(super) fn key(command: &KeyCommand, output: Output) -> Ending {
    let (made, file) = match command {
        KeyCommand::New { file } => (key_file::create(file), file),
        KeyCommand::Show { file } => (key_file::read(file), file),
    };
    let public = made.map_err(|error| CliError::usage(describe(&error)))?.public();
    output.result(&json!({ "file": file, "public_key": public.to_string() }), || public.to_string());
    Ok(ExitCode::SUCCESS)
}
