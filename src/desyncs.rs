//! Incidents of desync, as developers of games get to see them: a JSON file each. `docs/operations.md`,
//! "Desyncs".

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use cadastre_client::{Cause, Desync};
use cadastre_protocol::{Genesis, MatchId, ProvenBlock, Seat, Turn, encode};
use cadastre_simulations::{Difference, Incident, Subject};
use serde_json::{Value, json};

use crate::key_file;

/// A folder of bundles.
#[derive(Clone, Debug)]
pub(crate) struct DesyncFolder {
    path: PathBuf,
    files_max: usize,
}

/// Whose state differs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DesyncOf {
    /// `None` for a spectator.
    pub(crate) seat: Option<Seat>,
    /// Number of the connection, where a server writes it down.
    pub(crate) connection: Option<u64>,
}

/// All that is to be seen of one incident.
#[derive(Debug)]
pub(crate) struct Bundle {
    match_id: MatchId,
    turn: Turn,
    of: DesyncOf,
    json: Value,
}

impl DesyncFolder {
    pub(crate) const fn new(path: PathBuf, files_max: usize) -> Self {
        Self { path, files_max }
    }

    /// Writes a bundle, and gives its file. It is not made if the folder has no place for it.
    pub(crate) fn write(&self, bundle: impl FnOnce() -> Bundle) -> io::Result<PathBuf> {
        key_file::create_private_folder(&self.path)?;
        if fs::read_dir(&self.path)?.count() >= self.files_max {
            return Err(io::Error::other(format!("{} has {} files", self.path.display(), self.files_max)));
        }
        let bundle = bundle();
        let file = self.path.join(bundle.file_name());
        write_new(&file, &bundle.json)?;
        Ok(file)
    }
}

fn write_new(file: &Path, json: &Value) -> io::Result<()> {
    let mut out = io::BufWriter::new(fs::File::create_new(file)?);
    serde_json::to_writer_pretty(&mut out, json)?;
    io::Write::flush(&mut out)
}

impl Bundle {
    /// What a server knows of the state of one of its guests.
    pub(crate) fn new(genesis: &Genesis, of: DesyncOf, incident: &Incident) -> Self {
        let report = &incident.report;
        let match_id = genesis.match_id();
        let orders = incident.orders.iter();
        let orders: Vec<_> = orders
            .map(|(seat, commands)| json!({ "seat": seat.get(), "commands": hex::encode(commands) }))
            .collect();
        let before = incident.before.snapshot().into_iter();
        let before: Vec<_> =
            before.map(|(id, bytes)| json!({ "chunk": id.get(), "bytes": hex::encode(bytes) })).collect();
        let bytes = |chunk: &Option<Vec<u8>>| chunk.as_ref().map(hex::encode);
        let chunks = incident.chunks.iter();
        let chunks: Vec<_> = chunks
            .map(|it| json!({ "chunk": it.id.get(), "block": bytes(&it.left), "computed": bytes(&it.right) }))
            .collect();
        let mut json = report_json(match_id, of.seat, incident);
        json["roll"] = hex::encode(incident.roll.as_bytes()).into();
        json["orders"] = orders.into();
        json["chunks"] = chunks.into();
        json["genesis"] = hex::encode(encode(genesis)).into();
        json["before"] = before.into();
        Self { match_id, turn: report.turn, of, json }
    }

    /// What a client knows of its own state.
    pub(crate) fn of_client(genesis: &Genesis, seat: Option<Seat>, desync: &Desync) -> Self {
        let mut bundle = Self::new(genesis, DesyncOf { seat, connection: None }, &desync.incident);
        let bytes = |block: &ProvenBlock| hex::encode(encode(block));
        bundle.json["cause"] = cause_word(desync.cause).into();
        bundle.json["healed"] = desync.healed.into();
        bundle.json["signed_before"] = desync.before.as_ref().map(bytes).into();
        bundle.json["signed_block"] = bytes(&desync.block).into();
        bundle
    }

    fn file_name(&self) -> String {
        let match_id = self.match_id.to_string();
        let of = match self.of {
            DesyncOf { connection: Some(connection), .. } => format!("connection{connection}"),
            DesyncOf { seat: Some(seat), .. } => format!("seat{seat}"),
            DesyncOf { seat: None, .. } => "spectator".to_owned(),
        };
        format!("{}-turn{}-{of}.json", &match_id[..16], self.turn)
    }
}

/// What differs, for people and programs.
pub(crate) fn report_json(match_id: MatchId, seat: Option<Seat>, incident: &Incident) -> Value {
    let report = &incident.report;
    let differences: Vec<_> =
        report.differences.iter().map(|found| difference_json(found, ["block", "computed"])).collect();
    json!({
        "match_id": match_id.to_string(),
        "seat": seat.map(Seat::get),
        "turn": report.turn.get(),
        "phase": report.phase,
        "block_root": report.left.to_string(),
        "computed_root": report.right.to_string(),
        "differences": differences,
    })
}

/// A difference as JSON; `sides` name the two states.
pub(crate) fn difference_json(difference: &Difference, sides: [&str; 2]) -> Value {
    let Difference { chunk, subject, field, left, right } = difference;
    let mut object = json!({ "chunk": chunk.get(), "field": field });
    match subject {
        Subject::Match => object["of"] = "match".into(),
        Subject::Chunk => object["of"] = "chunk".into(),
        Subject::Seat(seat) => {
            object["of"] = "seat".into();
            object["seat"] = seat.get().into();
        }
        Subject::Tile { x, y } => {
            object["of"] = "tile".into();
            object["x"] = (*x).into();
            object["y"] = (*y).into();
        }
    }
    object[sides[0]] = left.as_str().into();
    object[sides[1]] = right.as_str().into();
    object
}

/// One word for the cause.
pub(crate) const fn cause_word(cause: Cause) -> &'static str {
    match cause {
        Cause::Memory => "memory",
        Cause::Rules => "rules",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(turn: u32, seat: Option<u8>) -> Bundle {
        let of = DesyncOf { seat: seat.and_then(Seat::new), connection: None };
        let match_id = MatchId::new(cadastre_protocol::Digest::new([0xab; 32]));
        Bundle { match_id, turn: Turn::new(turn), of, json: json!({ "turn": turn }) }
    }

    #[test]
    fn a_folder_takes_so_many_files_and_overwrites_none() {
        let scene = tempfile::tempdir().unwrap();
        let folder = DesyncFolder::new(scene.path().join("desyncs"), 2);
        let file = folder.write(|| bundle(7, Some(1))).unwrap();
        assert_eq!(file.file_name().unwrap(), "abababababababab-turn7-seat1.json");
        assert!(folder.write(|| bundle(7, Some(1))).is_err(), "it is there");
        folder.write(|| bundle(7, None)).unwrap();
        let full = folder.write(|| bundle(8, None)).unwrap_err();
        assert!(full.to_string().contains("has 2 files"), "{full}");
        assert_eq!(fs::read_to_string(file).unwrap(), "{\n  \"turn\": 7\n}");
    }
}
