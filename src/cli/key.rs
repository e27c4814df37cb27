//! `cadastre key`.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use cadastre_protocol::{
    Certificate, Millis, PublicKey, Revocations, Revoked, SignedCertificate, decode_exact,
};
use clap::Subcommand;
use serde_json::{Value, json};

use super::{CliError, Ending, connect::root_key, describe, output::Output, passphrase, read_file};
use crate::{
    clock,
    key_file::{self, Kind},
    passphrase::Passphrase,
    server_keys::{
        Moment, Replaced, Root, ServerKeysError, certificates_text, install, parse_certificates,
        parse_request, parse_revocations, parse_root, read, request, request_text, role_word, rotate,
        write_durably,
    },
};

#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Makes a new key, of a player or a service's root, in a file that only its owner can read.
    New {
        /// The file; it must not exist yet.
        file: PathBuf,
    },
    /// Shows the public half of a key.
    Show {
        /// The key file.
        file: PathBuf,
    },
    /// Shows what is in a file of keys, certificates or certificate requests; never a secret.
    Inspect {
        /// The file.
        file: PathBuf,
    },
    /// Encrypts key files under the passphrase, which must be given.
    Encrypt {
        /// The key files, plain.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Decrypts key files: whoever reads them has the keys then.
    Decrypt {
        /// The key files, encrypted.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Encrypts key files under another passphrase.
    Passphrase {
        /// Reads the new passphrase from this open file descriptor.
        #[arg(long, value_name = "N")]
        new_fd: u32,
        /// The key files, encrypted under the passphrase in use, or plain.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Gives a service that is stopped new keys for handshakes and blocks, under the same root key. The way
    /// on, too, from a store that was put back from a backup. Running matches go on under the new signer.
    ///
    /// Where the root key is not in the data folder, the new keys wait for their certificates: the request is
    /// written to --out, for `key certify` and `key install`.
    Rotate {
        /// The service's data folder.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// Where the request goes if the root key is elsewhere.
        #[arg(long, value_name = "FILE", default_value = "certificates.request")]
        out: PathBuf,
    },
    /// Writes down which keys of a service want certificates; makes the keys if there are none. For a service
    /// whose root key is kept elsewhere.
    Request {
        /// The service's data folder; made if it is missing.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// Public half of the root key, for a service that is to begin.
        #[arg(long, value_name = "HEX")]
        root_key: Option<String>,
        /// The file for `key certify`.
        #[arg(long, value_name = "FILE", default_value = "certificates.request")]
        out: PathBuf,
    },
    /// Certifies the keys of a request with the root key. To be run where the root key is kept.
    Certify {
        /// The root key.
        #[arg(long, value_name = "FILE")]
        root: PathBuf,
        /// For how many days from now.
        #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: u32,
        /// The request.
        request: PathBuf,
        /// The file for `key install`.
        #[arg(long, value_name = "FILE", default_value = "certificates")]
        out: PathBuf,
    },
    /// Revokes a certificate by a list that the root key signs: what is signed under it from a time on counts
    /// no more. To be run where the root key is kept; the list goes to the service as DATA/keys/revocations.
    Revoke {
        /// The root key.
        #[arg(long, value_name = "FILE")]
        root: PathBuf,
        /// The certificate's serial, as `key inspect` shows it.
        #[arg(long, value_name = "N")]
        serial: u32,
        /// From when, in milliseconds since 1970; 0 for nothing under it to count. Without it, from now on.
        #[arg(long, value_name = "MS")]
        from: Option<u64>,
        /// The list; made if it is missing.
        list: PathBuf,
    },
    /// Puts certificates in force from the next start on, in a service that is stopped.
    Install {
        /// The service's data folder.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// What `key certify` has written.
        certificates: PathBuf,
    },
}

pub(super) fn key(command: &KeyCommand, passphrase_fd: Option<u32>, output: Output) -> Ending {
    let passphrase = passphrase(passphrase_fd)?;
    let passphrase = passphrase.as_ref();
    match command {
        KeyCommand::New { file } => show(file, key_file::create(file, passphrase), output),
        KeyCommand::Show { file } => show(file, key_file::read(file, passphrase), output),
        KeyCommand::Inspect { file } => inspect(file, passphrase, output),
        KeyCommand::Encrypt { files } => {
            let next = passphrase.ok_or_else(no_passphrase)?;
            rewrite(files, passphrase, Some(next), output)
        }
        KeyCommand::Decrypt { files } => rewrite(files, passphrase, None, output),
        KeyCommand::Passphrase { new_fd, files } => {
            let next = self::passphrase(Some(*new_fd))?;
            rewrite(files, passphrase, next.as_ref(), output)
        }
        KeyCommand::Rotate { data, out } => {
            replaced(rotate(data, passphrase, clock::now()).map_err(refused)?, out, output)
        }
        KeyCommand::Request { data, root_key: root, out } => {
            let root = root.as_deref().map(root_key).transpose()?;
            let wanted = request(data, root, passphrase).map_err(refused)?;
            replaced(Replaced::Requested(wanted), out, output)
        }
        KeyCommand::Certify { root, days, request, out } => {
            certify(root, *days, request, out, passphrase, output)
        }
        KeyCommand::Revoke { root, serial, from, list } => {
            let now = clock::now();
            let revoked = Revoked { serial: *serial, from: from.map_or(now, Millis::new) };
            let root = Root::read(root, passphrase).map_err(refused)?;
            root.revoke(list, revoked, now).map_err(refused)?;
            inspect(list, passphrase, output)
        }
        KeyCommand::Install { data, certificates } => {
            let signed = read(certificates, parse_certificates).map_err(refused)?;
            let installed = install(data, certificates, &signed, passphrase).map_err(refused)?;
            replaced(installed, certificates, output)
        }
    }
}

fn show(
    file: &Path,
    key: Result<cadastre_protocol::SecretKey, key_file::KeyFileError>,
    output: Output,
) -> Ending {
    let public = key.map_err(|error| CliError::usage(describe(&error)))?.public();
    output.result(&json!({ "file": file, "public_key": public.to_string() }), || public.to_string());
    Ok(ExitCode::SUCCESS)
}

fn rewrite(
    files: &[PathBuf],
    passphrase: Option<&Passphrase>,
    next: Option<&Passphrase>,
    output: Output,
) -> Ending {
    for file in files {
        let key = key_file::rewrite(file, passphrase, next);
        let public = key.map_err(|error| CliError::usage(describe(&error)))?.public().to_string();
        let form = if next.is_some() { "encrypted" } else { "plain" };
        output.result(&json!({ "file": file, "public_key": public, "form": form }), || {
            format!("{} is {form} now", file.display())
        });
    }
    Ok(ExitCode::SUCCESS)
}

fn certify(
    root: &Path,
    days: u32,
    request: &Path,
    out: &Path,
    passphrase: Option<&Passphrase>,
    output: Output,
) -> Ending {
    let wanted = read(request, parse_request).map_err(refused)?;
    let root = Root::read(root, passphrase).map_err(refused)?;
    let certificates = root.certify(&wanted, days, 0, clock::now()).map_err(refused)?;
    write_durably(out, &certificates_text(&certificates)).map_err(refused)?;
    for signed in &certificates {
        let entry = certificate(signed)?;
        output.result(&entry.json(), || entry.to_string());
    }
    output.say(&format!(
        "written to {0}; now `cadastre key install --data DIR {0}` where the service is",
        out.display()
    ));
    Ok(ExitCode::SUCCESS)
}

/// Says what came of replacing keys or certificates; a request goes to `out`.
fn replaced(replaced: Replaced, out: &Path, output: Output) -> Ending {
    match replaced {
        Replaced::Installed { certificates, adopted } => {
            let serials: Vec<_> = certificates
                .iter()
                .map(|of| json!({ "role": role_word(of.role()), "serial": of.serial() }))
                .collect();
            output.result(&json!({ "installed": serials, "restored_store": adopted }), || {
                let of = |of: &cadastre_protocol::VerifiedCertificate| {
                    let until = Moment(of.valid_to());
                    format!("{:<9}  serial {}  until {until}\n", role_word(of.role()), of.serial())
                };
                let lines: String = certificates.iter().map(of).collect();
                let restored = if adopted.is_some() {
                    "\nThe store had been put back from a backup. Its matches go on from there under the new signer; \
                     players who have seen more will stop, with what they have seen."
                } else {
                    ""
                };
                format!("{lines}In force from the next start of the service.{restored}")
            });
        }
        Replaced::Requested(request) => {
            write_durably(out, &request_text(&request)).map_err(refused)?;
            let wanted: Vec<_> = request
                .iter()
                .map(|(role, key)| json!({ "role": role_word(*role), "key": key.to_string() }))
                .collect();
            output.result(&json!({ "requested": wanted, "file": out }), || {
                format!(
                    "The root key is not here. Where it is kept:\n  cadastre key certify --root ROOT.key {0} --out \
                     certificates\nthen, with the service stopped:\n  cadastre key install --data DIR certificates",
                    out.display()
                )
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Something that a file has.
enum Entry {
    Secret { kind: Kind, public: Option<PublicKey> },
    Root(PublicKey),
    Request { role: &'static str, key: PublicKey },
    Certificate(Certificate),
    Revoked(Revoked),
}

impl Entry {
    fn json(&self) -> Value {
        match self {
            Self::Secret { kind, public } => json!({
                "kind": "secret-key",
                "form": form_word(*kind),
                "public_key": public.map(|key| key.to_string()),
            }),
            Self::Root(key) => json!({ "kind": "root-key", "public_key": key.to_string() }),
            Self::Request { role, key } => {
                json!({ "kind": "request", "role": role, "public_key": key.to_string() })
            }
            Self::Certificate(certificate) => json!({
                "kind": "certificate",
                "role": role_word(certificate.role),
                "serial": certificate.serial,
                "public_key": certificate.key.to_string(),
                "valid_from_ms": certificate.valid_from.get(),
                "valid_to_ms": certificate.valid_to.get(),
            }),
            Self::Revoked(Revoked { serial, from }) => {
                json!({ "kind": "revoked", "serial": serial, "from_ms": from.get() })
            }
        }
    }
}

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Secret { kind, public: Some(key) } => {
                write!(f, "secret key, {}\n  public half  {key}", form_word(*kind))
            }
            Self::Secret { kind, public: None } => {
                write!(f, "secret key, {}; the passphrase shows more", form_word(*kind))
            }
            Self::Root(key) => write!(f, "public half of a service's root key\n  {key}"),
            Self::Request { role, key } => {
                write!(f, "request for a certificate, {role}\n  key          {key}")
            }
            Self::Revoked(Revoked { serial, from }) => {
                write!(f, "revoked certificate\n  serial       {serial}\n  from         {}", Moment(*from))
            }
            Self::Certificate(Certificate { role, key, serial, valid_from, valid_to, .. }) => write!(
                f,
                "certificate, {}\n  serial       {serial}\n  key          {key}\n  valid from   {}\n  until        {}",
                role_word(*role),
                Moment(*valid_from),
                Moment(*valid_to)
            ),
        }
    }
}

fn inspect(file: &Path, passphrase: Option<&Passphrase>, output: Output) -> Ending {
    for entry in entries(file, passphrase)? {
        output.result(&entry.json(), || entry.to_string());
    }
    Ok(ExitCode::SUCCESS)
}

fn entries(file: &Path, passphrase: Option<&Passphrase>) -> Result<Vec<Entry>, CliError> {
    let bytes = zeroize::Zeroizing::new(read_file(&file.to_owned())?);
    let text = str::from_utf8(&bytes).unwrap_or_default();
    if let Some(kind) = key_file::kind_of(text) {
        let public = match (kind, passphrase) {
            (Kind::Encrypted, None) => None,
            (Kind::Encrypted | Kind::Plain, _) => {
                let key = key_file::read(file, passphrase);
                Some(key.map_err(|error| CliError::usage(describe(&error)))?.public())
            }
        };
        return Ok(vec![Entry::Secret { kind, public }]);
    }
    if let Some(root) = parse_root(text) {
        return Ok(vec![Entry::Root(root)]);
    }
    if let Some(request) = parse_request(text) {
        let entry = |(role, key)| Entry::Request { role: role_word(role), key };
        return Ok(request.into_iter().map(entry).collect());
    }
    if let Some(certificates) = parse_certificates(text) {
        return certificates.iter().map(certificate).collect();
    }
    if let Some(signed) = parse_revocations(text) {
        let list: Revocations = decode_exact(&signed.body)
            .map_err(|error| CliError::usage(format!("malformed list of revocations: {error}")))?;
        return Ok(list.revoked.into_iter().map(Entry::Revoked).collect());
    }
    Err(CliError::usage(format!(
        "{} has neither keys nor certificates nor a request for any, or is damaged",
        file.display()
    )))
}

/// What a certificate says; nobody has checked its signature.
fn certificate(signed: &SignedCertificate) -> Result<Entry, CliError> {
    let certificate = decode_exact(&signed.body);
    certificate
        .map(Entry::Certificate)
        .map_err(|error| CliError::usage(format!("malformed certificate: {error}")))
}

const fn form_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Plain => "plain",
        Kind::Encrypted => "encrypted",
    }
}

fn no_passphrase() -> CliError {
    CliError::usage(
        "no passphrase is given: set CADASTRE_PASSPHRASE, use --passphrase-fd N, or the systemd credential \
         cadastre-passphrase",
    )
}

#[allow(clippy::needless_pass_by_value, reason = "stands in map_err")]
fn refused(error: ServerKeysError) -> CliError {
    CliError::usage(describe(&error))
}
