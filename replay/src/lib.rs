//! The replay file of a match: how it is written, read, played and audited.
//!
//! Works on bytes in memory and on [`std::io::Write`]; opens no file, knows no clock and never imports the
//! server. The normative description of the file is `docs/protocol.md`, "Replay file".

#![deny(clippy::float_arithmetic)]

mod audit;
mod blocks;
mod damage;
mod diff;
mod evidence;
mod execution;
mod file_header;
#[cfg(feature = "fixture")]
#[doc(hidden)]
pub mod fixture;
mod index;
mod key_ring;
mod keyframe;
mod player;
mod record;
mod replay;
mod scan;
mod summary;
mod trailer;
mod writer;

pub use audit::{
    AuditError, AuditReport, Grace, ParentError, Pause, Takeback, Violation, audit, audit_parent, audit_with,
};
pub use damage::{Damage, Fault};
pub use diff::{Located, Parting, Side, diff};
pub use evidence::{judge_evidence, verify_evidence};
pub use keyframe::{KEYFRAME_TURNS, WHOLE_KEYFRAME_EVERY};
pub use player::{Player, SeekError};
pub use record::{RATIO_MAX, RecordKind};
pub use replay::{Blocks, Replay};
pub use summary::{Sealed, Summary};
pub use writer::{Meta, WriteError, Writer};
