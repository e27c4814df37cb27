//! What lets into a room that not everybody may enter.

use std::path::{Path, PathBuf};

use cadastre_client::Credential;
use cadastre_protocol::{PASSWORD_BYTES_MAX, Password, SignedInvitation, decode_exact};
use clap::Args;

use super::{CliError, read_file};

#[derive(Clone, Debug, Args)]
pub(super) struct CredentialArgs {
    /// An invitation to the room, as `room invite` wrote it.
    #[arg(long, value_name = "FILE", conflicts_with = "password")]
    invitation: Option<PathBuf>,
    /// Takes the first line of this file for the room's password; a room that is opened gets it.
    #[arg(long, value_name = "FILE")]
    password: Option<PathBuf>,
}

impl CredentialArgs {
    pub(super) fn read(&self) -> Result<Option<Credential>, CliError> {
        match (&self.invitation, &self.password) {
            (Some(path), _) => {
                read_invitation(path).map(|invitation| Some(Credential::Invitation(invitation)))
            }
            (None, Some(path)) => read_password(path).map(|password| Some(Credential::Password(password))),
            (None, None) => Ok(None),
        }
    }
}

fn read_invitation(path: &PathBuf) -> Result<SignedInvitation, CliError> {
    let text = read_file(path)?;
    let bytes = hex::decode(text.trim_ascii()).ok();
    let invitation = bytes.and_then(|bytes| decode_exact::<SignedInvitation>(&bytes).ok());
    let invitation = invitation.filter(|invitation| invitation.read().is_ok());
    invitation.ok_or_else(|| CliError::usage(format!("{} is no invitation", path.display())))
}

/// Reads a password from the first line of a file.
pub(super) fn read_password(path: &Path) -> Result<Password, CliError> {
    let bytes = zeroize::Zeroizing::new(read_file(&path.to_owned())?);
    let text = str::from_utf8(&bytes).ok().and_then(|text| text.lines().next());
    text.and_then(Password::new).ok_or_else(|| {
        CliError::usage(format!(
            "the first line of {} is no password: 1 to {PASSWORD_BYTES_MAX} bytes without control characters",
            path.display()
        ))
    })
}
