//! What an operator can set: a TOML file, overruled by the command line. The reference is
//! `docs/configuration.md`.

use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use cadastre_protocol::{
    DEADLINE_MS_MAX, DEADLINE_MS_MIN, Text,
    log::{Origin, WitnessKey},
};
use governor::Quota;
use serde::{Deserialize, Deserializer, de::Error};

/// Largest limit that counts something: what is reserved for it must fit in memory.
const COUNT_MAX: u64 = 1_000_000;

/// Least room for what waits on one connection: the longest message of a server fits in it.
const QUEUE_BYTES_MIN: u64 = 1024 * 1024;

/// Largest limit of a time: a day in milliseconds.
const MILLIS_MAX: u64 = 24 * 60 * 60 * 1000;

/// Settings of `cadastre serve`. Unknown names are refused: a limit misspelt would be a limit not set.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address for WebSocket and HTTP; port 0 lets the system pick one.
    pub listen: SocketAddr,
    /// Folder for keys and store.
    pub data: PathBuf,
    /// Further `host:port` names under which clients reach this service. The listen address, and for
    /// loopback and unspecified addresses the loopback names, need not be listed.
    pub authorities: Vec<String>,
    /// Proxies whose word counts for who asks.
    pub trusted_proxies: Vec<IpAddr>,
    /// Deadline of turns in rooms whose settings have none, in milliseconds.
    pub deadline_ms: u32,
    /// Rooms.
    pub rooms: RoomsConfig,
    /// What everybody is told who logs in.
    #[serde(deserialize_with = "text")]
    pub notice: Option<Text>,
    /// Time between the notice that the service stops and its stop, in milliseconds.
    pub shutdown_notice_ms: u32,
    /// The transparency log.
    pub log: LogConfig,
    /// How much of everything there may be.
    pub limits: Limits,
}

/// Rooms.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RoomsConfig {
    /// Time for which nobody is in the room of a running match, in milliseconds, after which it sleeps on disk; if
    /// its turn was open for twice as long at least when the last one went.
    pub sleep_ms: u64,
}

/// The transparency log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// Names the log for ever; made from the root key if it is not set.
    #[serde(deserialize_with = "origin")]
    pub origin: Option<Origin>,
    /// Time between two checkpoints, in milliseconds. A match that ends is logged at once.
    pub interval_ms: u64,
    /// Time that a witness has to answer, in milliseconds.
    pub witness_ms_max: u64,
    /// Who is asked to cosign each checkpoint.
    pub witnesses: Vec<Cosigner>,
}

/// A witness of the log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cosigner {
    /// Where it is asked.
    pub url: WitnessUrl,
    /// What verifies its cosignatures.
    #[serde(deserialize_with = "witness_key")]
    pub key: WitnessKey,
}

/// `http://HOST:PORT/PREFIX`, the submission prefix of a witness.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct WitnessUrl {
    authority: String,
    prefix: String,
}

impl WitnessUrl {
    /// Host and port.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The path before `/add-checkpoint`; empty, or begins with a slash.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

impl TryFrom<String> for WitnessUrl {
    type Error = &'static str;

    fn try_from(url: String) -> Result<Self, Self::Error> {
        let rest = url.strip_prefix("http://").ok_or("a witness's URL begins with http://")?;
        let (authority, prefix) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let is_plain = url.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte));
        if !is_plain || authority.is_empty() {
            return Err("not the URL of a witness");
        }
        let port = if authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
            ""
        } else {
            ":80"
        };
        let prefix = prefix.trim_end_matches('/').to_owned();
        Ok(Self { authority: format!("{authority}{port}"), prefix })
    }
}

fn origin<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Origin>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let malformed = || D::Error::custom("an origin has 1 to 255 bytes, without spaces and plus");
    Origin::new(&text).map(Some).ok_or_else(malformed)
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Text>, D::Error> {
    Text::new(&String::deserialize(deserializer)?).map(Some).map_err(D::Error::custom)
}

fn witness_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<WitnessKey, D::Error> {
    WitnessKey::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// How much of everything there may be.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Open connections. One more is closed at once.
    pub connections_max: usize,
    /// Open connections of one address. One more is closed at once.
    pub connections_per_address_max: usize,
    /// Connections of one identity. One more is sent away.
    pub connections_per_identity_max: usize,
    /// Handshakes under way. One more waits its turn within `handshake_ms_max`.
    pub handshakes_max: usize,
    /// Handshakes of one address that are not completed. One more is refused.
    pub handshakes_per_address_max: usize,
    /// How often an address may begin a handshake.
    pub handshakes_per_address_rate: Rate,
    /// How often an address may ask for a page.
    pub requests_per_address_rate: Rate,
    /// How often an address may ask for a replay, evidence, or the list of matches.
    pub exports_per_address_rate: Rate,
    /// How many messages may come from an address.
    pub messages_per_address_rate: Rate,
    /// How often passwords of rooms may be tried from an address, right ones among them.
    pub passwords_per_address_rate: Rate,
    /// How often rooms may be opened from an address.
    pub creates_per_address_rate: Rate,
    /// How often an identity may open rooms.
    pub creates_per_identity_rate: Rate,
    /// How often an identity may enter rooms and come back to matches.
    pub enters_per_identity_rate: Rate,
    /// How often an identity may hand in transactions.
    pub submits_per_identity_rate: Rate,
    /// How often an identity may say something to compare states.
    pub compares_per_identity_rate: Rate,
    /// How often an identity may say anything else.
    pub others_per_identity_rate: Rate,
    /// How often an identity may say something to others.
    pub talks_per_identity_rate: Rate,
    /// The same for an address.
    pub talks_per_address_rate: Rate,
    /// Addresses, or identities, of which a rate remembers what they did. Further ones share one bucket.
    pub buckets_max: usize,
    /// Time from the first byte of a request to the end of the handshake, in milliseconds.
    pub handshake_ms_max: u64,
    /// Rooms that are open; those of running matches among them, unless they sleep. One more is refused.
    pub rooms_max: usize,
    /// Rooms that an identity opened and whose match is not over. One more is refused.
    pub rooms_per_identity_max: usize,
    /// The same for an address.
    pub rooms_per_address_max: usize,
    /// Spectators of one room. One more is refused.
    pub spectators_max: usize,
    /// Messages that one connection may send within a second; key updates, and each part of a message, count
    /// too. At one more the client is sent away.
    pub messages_per_s_max: u32,
    /// Messages that wait to be sent on one connection. When there are more, the client is dropped and may
    /// come back.
    pub queue_messages_max: usize,
    /// Bytes that wait to be sent on one connection. When there are more, the client is dropped and may come
    /// back.
    pub queue_bytes_max: usize,
    /// Time that sending one message may take, in milliseconds. Then the connection is closed.
    pub write_ms_max: u64,
    /// Silence after which a client sends a sign of life, in milliseconds; after three times as long the
    /// connection is closed.
    pub heartbeat_ms: u32,
    /// Replay files and match lists that are made at the same time. One more waits its turn.
    pub exports_max: usize,
    /// Commits in the hands of the store's writer; rooms wait when there are more.
    pub commits_max: usize,
    /// Bundles of desyncs in the data folder. No more are written until some are taken away.
    pub desyncs_max: usize,
}

impl Limits {
    fn rates(&self) -> [(&'static str, Rate); 13] {
        [
            ("limits.handshakes_per_address_rate", self.handshakes_per_address_rate),
            ("limits.requests_per_address_rate", self.requests_per_address_rate),
            ("limits.exports_per_address_rate", self.exports_per_address_rate),
            ("limits.messages_per_address_rate", self.messages_per_address_rate),
            ("limits.passwords_per_address_rate", self.passwords_per_address_rate),
            ("limits.creates_per_address_rate", self.creates_per_address_rate),
            ("limits.creates_per_identity_rate", self.creates_per_identity_rate),
            ("limits.enters_per_identity_rate", self.enters_per_identity_rate),
            ("limits.submits_per_identity_rate", self.submits_per_identity_rate),
            ("limits.compares_per_identity_rate", self.compares_per_identity_rate),
            ("limits.others_per_identity_rate", self.others_per_identity_rate),
            ("limits.talks_per_identity_rate", self.talks_per_identity_rate),
            ("limits.talks_per_address_rate", self.talks_per_address_rate),
        ]
    }
}

/// How often something may be done: at once, and in the long run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// How often at once.
    pub burst: u32,
    /// How often in a minute from then on, evenly.
    pub per_min: u32,
}

impl Rate {
    pub(crate) fn quota(self) -> Quota {
        let positive = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        Quota::per_minute(positive(self.per_min)).allow_burst(positive(self.burst))
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7777)),
            data: PathBuf::from("cadastre-data"),
            authorities: Vec::new(),
            trusted_proxies: Vec::new(),
            deadline_ms: 30_000,
            rooms: RoomsConfig::default(),
            notice: None,
            shutdown_notice_ms: 0,
            log: LogConfig::default(),
            limits: Limits::default(),
        }
    }
}

impl Default for RoomsConfig {
    fn default() -> Self {
        Self { sleep_ms: 60_000 }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { origin: None, interval_ms: 60_000, witness_ms_max: 5_000, witnesses: Vec::new() }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 20_000,
            handshakes_max: 256,
            connections_per_address_max: 512,
            connections_per_identity_max: 32,
            handshakes_per_address_max: 128,
            handshakes_per_address_rate: Rate { burst: 600, per_min: 1_200 },
            requests_per_address_rate: Rate { burst: 1_000, per_min: 3_000 },
            exports_per_address_rate: Rate { burst: 64, per_min: 60 },
            messages_per_address_rate: Rate { burst: 20_000, per_min: 600_000 },
            passwords_per_address_rate: Rate { burst: 30, per_min: 10 },
            creates_per_address_rate: Rate { burst: 200, per_min: 120 },
            creates_per_identity_rate: Rate { burst: 20, per_min: 20 },
            enters_per_identity_rate: Rate { burst: 120, per_min: 240 },
            submits_per_identity_rate: Rate { burst: 2_000, per_min: 30_000 },
            compares_per_identity_rate: Rate { burst: 1_000, per_min: 3_000 },
            others_per_identity_rate: Rate { burst: 600, per_min: 6_000 },
            talks_per_identity_rate: Rate { burst: 10, per_min: 30 },
            talks_per_address_rate: Rate { burst: 200, per_min: 600 },
            buckets_max: 100_000,
            handshake_ms_max: 10_000,
            rooms_per_identity_max: 16,
            rooms_per_address_max: 256,
            rooms_max: 5_000,
            spectators_max: 4_096,
            messages_per_s_max: 1_000,
            queue_messages_max: 256,
            queue_bytes_max: 4 * 1024 * 1024,
            write_ms_max: 10_000,
            heartbeat_ms: 15_000,
            exports_max: 1,
            commits_max: 1_024,
            desyncs_max: 64,
        }
    }
}

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is not TOML, or has unknown names or values out of range.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        let config: Self =
            toml::from_str(&text).map_err(|error| ConfigError::malformed(path, &text, &error))?;
        config.validate()?;
        Ok(config)
    }

    /// Checks that every value can be worked with.
    ///
    /// # Errors
    ///
    /// The first value that cannot.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let limits = &self.limits;
        let deadline = u64::from(DEADLINE_MS_MIN)..=u64::from(DEADLINE_MS_MAX);
        let at_least = |least| least..=COUNT_MAX;
        let millis = 100..=MILLIS_MAX;
        let count = |number| u64::try_from(number).unwrap_or(u64::MAX);
        let checks = [
            ("deadline_ms", u64::from(self.deadline_ms), deadline),
            ("rooms.sleep_ms", self.rooms.sleep_ms, millis.clone()),
            ("shutdown_notice_ms", u64::from(self.shutdown_notice_ms), 0..=MILLIS_MAX),
            ("log.interval_ms", self.log.interval_ms, millis.clone()),
            ("log.witness_ms_max", self.log.witness_ms_max, millis.clone()),
            ("limits.connections_max", count(limits.connections_max), at_least(1)),
            ("limits.handshakes_max", count(limits.handshakes_max), at_least(1)),
            ("limits.connections_per_address_max", count(limits.connections_per_address_max), at_least(1)),
            ("limits.connections_per_identity_max", count(limits.connections_per_identity_max), at_least(1)),
            ("limits.handshakes_per_address_max", count(limits.handshakes_per_address_max), at_least(1)),
            ("limits.buckets_max", count(limits.buckets_max), at_least(1)),
            ("limits.rooms_per_identity_max", count(limits.rooms_per_identity_max), at_least(1)),
            ("limits.rooms_per_address_max", count(limits.rooms_per_address_max), at_least(1)),
            ("limits.queue_bytes_max", count(limits.queue_bytes_max), QUEUE_BYTES_MIN..=u64::from(u32::MAX)),
            ("limits.handshake_ms_max", limits.handshake_ms_max, millis.clone()),
            ("limits.rooms_max", count(limits.rooms_max), at_least(1)),
            ("limits.spectators_max", count(limits.spectators_max), at_least(0)),
            ("limits.messages_per_s_max", u64::from(limits.messages_per_s_max), at_least(1)),
            ("limits.queue_messages_max", count(limits.queue_messages_max), at_least(16)),
            ("limits.write_ms_max", limits.write_ms_max, millis.clone()),
            ("limits.heartbeat_ms", u64::from(limits.heartbeat_ms), millis),
            ("limits.exports_max", count(limits.exports_max), at_least(1)),
            ("limits.commits_max", count(limits.commits_max), at_least(1)),
            ("limits.desyncs_max", count(limits.desyncs_max), at_least(0)),
        ];
        let rates = limits.rates().into_iter().flat_map(|(name, rate)| {
            [rate.burst, rate.per_min].map(|number| (name, u64::from(number), at_least(1)))
        });
        match checks.into_iter().chain(rates).find(|(_, value, range)| !range.contains(value)) {
            None => Ok(()),
            Some((name, _, range)) => Err(ConfigError::OutOfRange { name, range }),
        }
    }

    /// All `host:port` names under which a service that listens at `listen` is reached.
    pub fn authorities_at(&self, listen: SocketAddr) -> Vec<String> {
        let mut names = self.authorities.clone();
        names.push(listen.to_string());
        if listen.ip().is_loopback() || listen.ip().is_unspecified() {
            let port = listen.port();
            let v4 = IpAddr::from([127, 0, 0, 1]);
            let v6 = IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]);
            names.push(format!("localhost:{port}"));
            names.push(SocketAddr::new(v4, port).to_string());
            names.push(SocketAddr::new(v6, port).to_string());
        }
        names
    }
}

/// Why a configuration cannot be used. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML, or an unknown name, or a value of the wrong type.
    #[error("{path}, line {line}: {message}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where, counted from 1.
        line: usize,
        /// Why.
        message: String,
    },
    /// A value that cannot be worked with.
    #[error("`{name}` must be {}", in_words(.range))]
    OutOfRange {
        /// The value's name.
        name: &'static str,
        /// What it can be.
        range: RangeInclusive<u64>,
    },
}

impl ConfigError {
    fn malformed(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let message = error.message().lines().collect::<Vec<_>>().join(" ");
        Self::Malformed { path: path.to_owned(), line: before.matches('\n').count() + 1, message }
    }
}

fn in_words(range: &RangeInclusive<u64>) -> String {
    match (range.start(), range.end()) {
        (least, &u64::MAX) => format!("at least {least}"),
        (least, most) => format!("{least} to {most}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_an_empty_file_means_it() {
        assert!(Config::default().validate().is_ok());
        assert_eq!(toml::from_str::<Config>("").unwrap(), Config::default());
    }

    #[test]
    fn unknown_names_are_refused() {
        for bad in ["lisen = '127.0.0.1:1'", "[limits]\nroom_max = 3", "deadline_ms = -1"] {
            assert!(toml::from_str::<Config>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn values_out_of_range_are_named() {
        let config = Config { deadline_ms: 5, ..Config::default() };
        assert!(config.validate().unwrap_err().to_string().contains("deadline_ms"));
    }

    #[test]
    fn loopback_has_all_its_names() {
        let names = Config::default().authorities_at(SocketAddr::from(([127, 0, 0, 1], 9)));
        assert!(names.contains(&"localhost:9".to_owned()) && names.contains(&"[::1]:9".to_owned()));
        let public = Config::default().authorities_at(SocketAddr::from(([10, 0, 0, 1], 9)));
        assert_eq!(public, ["10.0.0.1:9"]);
    }
}
