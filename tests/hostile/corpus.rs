//! The corpus as it stands in `tests/hostile/*.json`.

use std::{fs, path::PathBuf};

use cadastre_protocol::{ProvenBlock, SignedTransaction, Wire, decode_exact, encode};
use serde::{Deserialize, Serialize};

/// Cases that begin after the same blocks.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Family {
    /// What a replay file holds before the blocks, and the blocks before the cases: all of it in order.
    pub(crate) genesis: String,
    pub(crate) played: Vec<String>,
    pub(crate) cases: Vec<Case>,
}

/// What somebody sends, and what must come of it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Case {
    /// Also the name of its test.
    pub(crate) name: String,
    /// What the server is handed, where a player or spectator can send it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) submission: Option<Submission>,
    /// What the client holds from before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) receipt: Option<String>,
    /// What the auditor is told of certificates that no longer count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) revocations: Option<String>,
    /// What the client is shown by a server that has put it in blocks all the same, and what a file holds.
    pub(crate) blocks: Vec<String>,
    pub(crate) verdict: Verdict,
}

/// Transactions of one connection.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Submission {
    /// Whose connection: a seat; none for a spectator.
    pub(crate) from_seat: Option<u8>,
    /// Milliseconds after the turn was opened.
    pub(crate) received_ms: u64,
    /// The verdict is that of the last one; those before it are accepted. If there is none, that is what comes:
    /// the verdict is why the seat is absent.
    pub(crate) transactions: Vec<String>,
}

/// One word for what each says; none where the case cannot come.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    pub(crate) server: Option<String>,
    pub(crate) client: Option<String>,
    pub(crate) auditor: Option<String>,
}

impl Family {
    pub(crate) fn load(name: &str) -> Self {
        serde_json::from_str(&fs::read_to_string(path(name)).unwrap_or_default()).unwrap_or_else(|error| {
            panic!("{name}: {error}; scripts/write-hostile-corpus writes it");
        })
    }

    pub(crate) fn save(&self, name: &str) {
        fs::write(path(name), serde_json::to_string_pretty(self).unwrap() + "\n").unwrap();
    }

    pub(crate) fn case(&self, name: &str) -> &Case {
        self.cases.iter().find(|case| case.name == name).unwrap_or_else(|| panic!("no case {name}"))
    }
}

pub(crate) fn blocks(hex: &[String]) -> Vec<ProvenBlock> {
    hex.iter().map(|block| from_hex(block)).collect()
}

pub(crate) fn transactions(hex: &[String]) -> Vec<SignedTransaction> {
    hex.iter().map(|transaction| from_hex(transaction)).collect()
}

pub(crate) fn from_hex<T: Wire>(hex: &str) -> T {
    decode_exact(&hex::decode(hex).unwrap()).unwrap()
}

pub(crate) fn to_hex<T: Wire>(values: &[T]) -> Vec<String> {
    values.iter().map(|value| hex::encode(encode(value))).collect()
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/hostile").join(format!("{name}.json"))
}
