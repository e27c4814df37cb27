//! Which server key is trusted: the one given, the one remembered, or the first one seen.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use cadastre_client::{ClientError, ServerUrl};
use cadastre_protocol::{DisplayName, PublicKey, RoomName, SecretKey, Trust};
use zeroize::Zeroizing;

use super::{CliError, ServerArgs, complain, describe};
use crate::key_file;

/// A server and what is known of its key.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) url: ServerUrl,
    pub(super) trust: Trust,
}

impl Server {
    /// Reads what the user said, and what is remembered of the server.
    pub(super) fn of(args: &ServerArgs) -> Result<Self, CliError> {
        let url = ServerUrl::parse(&args.server)
            .map_err(|error| CliError::usage(format!("`{}` is {error}", args.server)))?;
        let trust = match &args.root_key {
            Some(hex) => Trust::Pinned(root_key(hex)?),
            None => remembered(&url)?.map_or(Trust::FirstUse, Trust::Pinned),
        };
        Ok(Self { url, trust })
    }

    /// Remembers the key of a server seen for the first time, and says so.
    pub(super) fn remember(&self, root: PublicKey) {
        if self.trust != Trust::FirstUse {
            return;
        }
        // Several connections of one process meet a new server at the same time.
        static ONCE: Mutex<()> = Mutex::new(());
        let _one_at_a_time = ONCE.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(remembered(&self.url), Ok(Some(_))) {
            return;
        }
        let authority = self.url.authority();
        complain(&format!(
            "{authority} is new; trusting its root key {root} from now on (--root-key pins one)"
        ));
        if let Err(error) = write_remembered(authority, root) {
            complain(&format!("cannot remember it: {error}"));
        }
    }
}

/// Reads a root key that a user gave.
pub(super) fn root_key(hex: &str) -> Result<PublicKey, CliError> {
    PublicKey::from_hex(hex).ok_or_else(|| CliError::usage("a root key has 64 hexadecimal digits"))
}

/// Reads a room name that a user gave.
pub(super) fn room_name(name: &str) -> Result<RoomName, CliError> {
    RoomName::new(name).ok_or_else(|| {
        CliError::usage(format!("`{name}` is no room name: 1 to 32 of a-z, A-Z, 0-9, `-`, `_` and `.`"))
    })
}

/// A name that is known to be one.
pub(super) fn display_name(name: &str) -> DisplayName {
    DisplayName::new(name).expect("our own names are short and plain")
}

/// An identity that nobody will see again.
pub(super) fn throw_away_identity() -> Result<SecretKey, CliError> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed).map_err(|_| CliError::failed("the system gives no random bytes"))?;
    Ok(SecretKey::from_seed(&seed))
}

/// What to tell a user whose client cannot go on.
pub(super) fn client_error(error: &ClientError) -> CliError {
    let text = describe(error);
    match error {
        ClientError::Unreachable(_) => {
            CliError::failed(format!("{text}; is it running, and does --server name it?"))
        }
        ClientError::Replaced | ClientError::Limited(_) => CliError::failed(text),
        ClientError::WrongRoot { pinned, .. } => {
            let is_remembered = read_all().is_ok_and(|known| known.values().any(|root| root == pinned));
            let hint = match file().filter(|_| is_remembered) {
                Some(path) => format!(
                    "if the server's keys were really replaced, remove its line from {}",
                    path.display()
                ),
                None => "somebody else answers at this address, or --root-key is not the server's".into(),
            };
            CliError::not_so(format!("{text}; {hint}"))
        }
        ClientError::Session(_) => CliError::not_so(text),
    }
}

/// `known_servers` in the user's configuration folder; a line for each server: authority, space, root key.
fn file() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = folder("CADASTRE_HOME")
        .or_else(|| folder("XDG_CONFIG_HOME").map(|config| config.join("cadastre")))
        .or_else(|| folder("HOME").map(|home| home.join(".config/cadastre")))?;
    Some(home.join("known_servers"))
}

fn read_all() -> Result<BTreeMap<String, PublicKey>, CliError> {
    let Some(path) = file().filter(|path| path.exists()) else { return Ok(BTreeMap::new()) };
    let text = fs::read_to_string(&path)
        .map_err(|error| CliError::usage(format!("cannot read {}: {error}", path.display())))?;
    let entry = |line: &str| {
        let (authority, key) = line.split_once(' ')?;
        Some((authority.to_owned(), PublicKey::from_hex(key)?))
    };
    text.lines()
        .map(|line| {
            entry(line)
                .ok_or_else(|| CliError::usage(format!("malformed line in {}: {line}", path.display())))
        })
        .collect()
}

fn remembered(url: &ServerUrl) -> Result<Option<PublicKey>, CliError> {
    Ok(read_all()?.get(url.authority()).copied())
}

fn write_remembered(authority: &str, root: PublicKey) -> Result<(), String> {
    let path = file().ok_or("no home folder")?;
    let folder = path.parent().ok_or("no home folder")?;
    key_file::create_private_folder(folder).map_err(|error| error.to_string())?;
    // Commands that run side by side must not forget each other's servers.
    let lock = fs::File::create(path.with_extension("lock")).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    let mut known = read_all().map_err(|error| error.message)?;
    known.insert(authority.to_owned(), root);
    let text: String = known.iter().map(|(authority, key)| format!("{authority} {key}\n")).collect();
    let beside = path.with_extension("new");
    fs::write(&beside, text).and_then(|()| fs::rename(&beside, &path)).map_err(|error| error.to_string())
}
