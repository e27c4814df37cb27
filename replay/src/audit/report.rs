//! What an audit comes to.

use cadastre_protocol::{
    BlockHash, Genesis, Height, MatchId, Parent, PublicKey, Seat, Turn, UnsupportedMode, log::LoggedHead,
};
use cadastre_simulations::SetupError;

use crate::{damage::Damage, record::HEADER_OFFSET};

/// What a violation is called that is no fault of the chain.
pub(super) const DESYNC: &str = "desync";

/// What can be said of a readable file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditReport {
    /// Root key of the service, as the genesis names it.
    pub root_key: PublicKey,
    /// Was a root key given, and is it this one? Else nothing shows that the file is not made up as a whole.
    pub pinned: bool,
    /// Names the match.
    pub match_id: MatchId,
    /// What it goes on from, if it is a fork: [`super::audit_parent`] shows whether it does.
    pub parent: Option<Parent>,
    /// The last turn that was judged and found good.
    pub turns: Turn,
    /// Height of the last block that was judged and found good.
    pub height: Height,
    /// That block.
    pub head: BlockHash,
    /// Where all consented to take turns back.
    pub takebacks: Vec<Takeback>,
    /// Where all consented to a pause.
    pub pauses: Vec<Pause>,
    /// Where a turn waited longer for a seat that had lost its connection, by the server's word.
    pub graces: Vec<Grace>,
    /// Does the file hold the match to its Seal, and say so?
    pub complete: bool,
    /// The head of the match that the file proves to stand in the transparency log of the service.
    pub logged: Option<LoggedHead>,
    /// Serial of the log's certificate, if the file has a proof that counts for nothing because that
    /// certificate was revoked later on: a checkpoint does not say when it was signed.
    pub revoked_log: Option<u32>,
    /// What breaks a rule, in the order of the file.
    pub violations: Vec<Violation>,
    /// Height of the block that broke the chain. Neither it nor anything behind it could be judged.
    pub stopped: Option<Height>,
}

/// Turns that were taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Takeback {
    /// Height of the block that carries the consent of all.
    pub height: Height,
    /// The turn at which the branch ended that was left.
    pub from_turn: Turn,
    /// The turn from which the match went on.
    pub to_turn: Turn,
}

/// A turn that stood still because all wanted it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Height of the block that shows the consent of all.
    pub height: Height,
    /// The last turn before it.
    pub turn: Turn,
    /// For how long, in milliseconds.
    pub ms: u32,
}

/// A turn that waited longer, for as long as the genesis says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grace {
    /// Height of the block that says so.
    pub height: Height,
    /// The last turn before it.
    pub turn: Turn,
}

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Height of the block concerned, counted in the file.
    pub height: Height,
    /// Turn that this block names.
    pub turn: Turn,
    /// The seat concerned, where it is one.
    pub seat: Option<Seat>,
    /// One word for the kind; those of blocks are in [`cadastre_protocol::BlockError::kind`].
    pub kind: &'static str,
    /// What is wrong, in a sentence.
    pub detail: String,
    /// Where in the file the record begins that it stands in.
    pub offset: usize,
}

/// Why a file cannot be judged as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// The file is cut, damaged, or no replay file.
    #[error("the file cannot be read to its end")]
    Unreadable {
        /// Where and why.
        #[source]
        damage: Damage,
        /// What stands before, judged; `None` when not even the genesis can be read.
        before: Option<Box<AuditReport>>,
    },
    /// This build cannot execute the match.
    #[error("this build cannot execute the match")]
    Rules(#[source] SetupError),
    /// This build does not know how to judge the match.
    #[error("this build cannot judge the match")]
    Mode(#[source] UnsupportedMode),
}

impl AuditReport {
    /// Does the file break no rule at all?
    pub const fn is_valid(&self) -> bool {
        self.violations.is_empty()
    }

    /// Does the chain break a rule? That a seat signed another state breaks none.
    pub(super) fn is_broken(&self) -> bool {
        self.violations.iter().any(|violation| violation.kind != DESYNC)
    }

    /// Before the first block.
    pub(super) fn new(genesis: &Genesis, pinned: Option<PublicKey>) -> Self {
        let root_key = genesis.service;
        let match_id = genesis.match_id();
        let wrong = pinned.filter(|pinned| *pinned != root_key).map(|pinned| Violation {
            height: Height::GENESIS,
            turn: Turn::START,
            seat: None,
            kind: "wrong-root-key",
            detail: format!("the match is of the service {root_key}, not of {pinned}"),
            offset: HEADER_OFFSET,
        });
        Self {
            root_key,
            pinned: pinned == Some(root_key),
            match_id,
            parent: genesis.parent,
            turns: Turn::START,
            height: Height::GENESIS,
            head: match_id.as_block(),
            takebacks: Vec::new(),
            pauses: Vec::new(),
            graces: Vec::new(),
            complete: false,
            logged: None,
            revoked_log: None,
            violations: wrong.into_iter().collect(),
            stopped: None,
        }
    }

    /// Notes a violation after which nothing can be judged.
    pub(super) fn stop(&mut self, violation: Violation) {
        self.stopped = Some(violation.height);
        self.violations.push(violation);
    }
}
