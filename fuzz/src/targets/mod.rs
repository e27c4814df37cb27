//! One function for every reader of bytes from a peer or a disk. None of them may panic, whatever the bytes.

mod chain;
mod decoders;
mod edits;
mod evidence;
mod games;
mod handshake;
mod log;
mod replay;

#[allow(unused_imports, reason = "the test of the corpus looks at it")]
pub(crate) use decoders::KINDS;

/// Reads bytes as a peer would; panics when that finds a defect.
pub(crate) type Target = fn(&[u8]);

/// The targets of this group, and every other one.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, Target)> {
    decoders::TARGETS.iter().copied().chain([
        ("handshake_m1", handshake::m1 as Target),
        ("handshake_m2", handshake::m2),
        ("handshake_m2_opened", handshake::m2_opened),
        ("handshake_m3", handshake::m3),
        ("handshake_m3_opened", handshake::m3_opened),
        ("record", handshake::record),
        ("records_opened", handshake::records_opened),
        ("boxes_commands", games::boxes_commands),
        ("boxes_snapshot", games::boxes_snapshot),
        ("city_commands", games::city_commands),
        ("city_snapshot", games::city_snapshot),
        ("chain", chain::chain),
        ("evidence", evidence::evidence),
        ("evidence_edited", evidence::evidence_edited),
        ("replay_file", replay::file),
        ("replay_records", replay::records),
        ("log_note", log::note),
        ("log_checkpoint", log::checkpoint),
        ("log_add_checkpoint", log::add_checkpoint),
        ("log_bundle", log::bundle),
        ("log_bundle_edited", log::bundle_edited),
        ("log_growth", log::growth),
        ("log_verifier_key", log::verifier_key),
        ("log_tile", log::tile),
        ("log_claim", log::claim),
    ])
}
