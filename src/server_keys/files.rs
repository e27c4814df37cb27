//! What stands in the files that travel between the service and the keeper of its root key: nothing secret.

use std::{fs, path::Path};

use cadastre_protocol::{KeyRole, PublicKey, SignedCertificate, SignedRevocations, decode_exact, encode};

use super::ServerKeysError;

/// First line of a file with the public half of the root key.
const ROOT_HEADING: &str = "cadastre root key 1";

/// First line of a file with certificates; each follows in a line of its own.
const CERTIFICATES_HEADING: &str = "cadastre certificates 1";

/// First line of a file that asks for certificates; each line after it has a role and a public key.
const REQUEST_HEADING: &str = "cadastre certificate request 1";

/// First line of a file with the list of revoked certificates.
const REVOCATIONS_HEADING: &str = "cadastre revocations 1";

/// Keys that want certificates.
pub(crate) type Request = Vec<(KeyRole, PublicKey)>;

/// Every role, and how it is called in files and on the command line.
const ROLES: [(KeyRole, &str); 3] =
    [(KeyRole::Handshake, "handshake"), (KeyRole::Block, "block"), (KeyRole::Log, "log")];

/// One word for a role.
pub(crate) const fn role_word(role: KeyRole) -> &'static str {
    match role {
        KeyRole::Handshake => "handshake",
        KeyRole::Block => "block",
        KeyRole::Log => "log",
    }
}

pub(crate) fn root_text(root: PublicKey) -> String {
    format!("{ROOT_HEADING}\n{root}\n")
}

pub(crate) fn parse_root(text: &str) -> Option<PublicKey> {
    match lines_under(ROOT_HEADING, text)?[..] {
        [line] => PublicKey::from_hex(line),
        _ => None,
    }
}

pub(crate) fn certificates_text(certificates: &[SignedCertificate]) -> String {
    let lines = certificates.iter().map(|certificate| format!("{}\n", hex::encode(encode(certificate))));
    format!("{CERTIFICATES_HEADING}\n{}", lines.collect::<String>())
}

pub(crate) fn parse_certificates(text: &str) -> Option<Vec<SignedCertificate>> {
    let certificate = |line: &str| decode_exact(&hex::decode(line).ok()?).ok();
    lines_under(CERTIFICATES_HEADING, text)?.into_iter().map(certificate).collect()
}

pub(crate) fn revocations_text(revocations: &SignedRevocations) -> String {
    format!("{REVOCATIONS_HEADING}\n{}\n", hex::encode(encode(revocations)))
}

pub(crate) fn parse_revocations(text: &str) -> Option<SignedRevocations> {
    match lines_under(REVOCATIONS_HEADING, text)?[..] {
        [line] => decode_exact(&hex::decode(line).ok()?).ok(),
        _ => None,
    }
}

pub(crate) fn request_text(request: &Request) -> String {
    let lines = request.iter().map(|(role, key)| format!("{} {key}\n", role_word(*role)));
    format!("{REQUEST_HEADING}\n{}", lines.collect::<String>())
}

pub(crate) fn parse_request(text: &str) -> Option<Request> {
    let entry = |line: &str| {
        let (word, key) = line.split_once(' ')?;
        let (role, _) = ROLES.into_iter().find(|(_, of)| *of == word)?;
        Some((role, PublicKey::from_hex(key)?))
    };
    lines_under(REQUEST_HEADING, text)?.into_iter().map(entry).collect()
}

/// Reads a file of one of these forms; a file with anything else is malformed.
pub(crate) fn read<T>(path: &Path, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, ServerKeysError> {
    let bytes = fs::read(path).map_err(|source| ServerKeysError::Io { path: path.to_owned(), source })?;
    let parsed = str::from_utf8(&bytes).ok().and_then(parse);
    parsed.ok_or_else(|| ServerKeysError::Malformed { path: path.to_owned() })
}

/// The lines after the heading, at least one.
fn lines_under<'a>(heading: &str, text: &'a str) -> Option<Vec<&'a str>> {
    let lines: Vec<_> = text.strip_prefix(heading)?.strip_prefix('\n')?.lines().collect();
    if lines.is_empty() { None } else { Some(lines) }
}
