//! Takes the records of a file one after the other and notes what is wrong with them.

use cadastre_protocol::{
    BlockKind, Height, ReadProvenBlock, ReopenReason, Revocations, Seat, StateRoot, StateTree,
};

use super::{
    logged::LogCheck,
    report::{AuditError, AuditReport, DESYNC, Grace, Pause, Takeback, Violation},
};
use crate::{
    damage::Damage,
    execution::Execution,
    index::{self, IndexEntry},
    keyframe::{Form, Keyframe},
    record::RecordKind,
    trailer::{Completeness, Trailer},
};

/// A decoded blocks or keyframe record.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) offset: usize,
    pub(super) first_height: Height,
    pub(super) content: Content,
}

/// What a record holds.
#[derive(Debug)]
pub(super) enum Content {
    Blocks(Vec<ReadProvenBlock>),
    Keyframe(Keyframe),
}

impl Part {
    pub(super) fn blocks(&self) -> &[ReadProvenBlock] {
        match &self.content {
            Content::Blocks(blocks) => blocks,
            Content::Keyframe(_) => &[],
        }
    }

    pub(super) fn blocks_mut(&mut self) -> &mut [ReadProvenBlock] {
        match &mut self.content {
            Content::Blocks(blocks) => blocks,
            Content::Keyframe(_) => &mut [],
        }
    }
}

/// The match as far as it was judged.
#[derive(Debug)]
pub(super) struct Judge {
    execution: Execution,
    keyframe_turns: u32,
    revocations: Revocations,
    /// The state that the keyframes so far give; before the first, that of the start.
    keyframes: StateTree,
    /// The keyframe that must come now.
    due: Option<Form>,
    index: Vec<IndexEntry>,
    log: Option<LogCheck>,
    report: AuditReport,
}

impl Judge {
    pub(super) fn new(
        execution: Execution,
        keyframe_turns: u32,
        revocations: Revocations,
        log: Option<LogCheck>,
        report: AuditReport,
    ) -> Self {
        let keyframes = execution.game().tree().clone();
        Self { execution, keyframe_turns, revocations, keyframes, due: None, index: Vec::new(), log, report }
    }

    /// Has a block broken the chain?
    pub(super) const fn has_stopped(&self) -> bool {
        self.report.stopped.is_some()
    }

    pub(super) fn into_report(self) -> AuditReport {
        self.report
    }

    /// Nothing more can be read.
    pub(super) fn unreadable(self, damage: Damage) -> AuditError {
        AuditError::Unreadable { damage, before: Some(Box::new(self.report)) }
    }

    pub(super) fn take(&mut self, part: Part) {
        let Part { offset, first_height, content } = part;
        match content {
            Content::Blocks(blocks) => {
                self.list(RecordKind::Blocks, blocks.first(), first_height, offset);
                if self.execution.chain().head().height.next() != Some(first_height) {
                    self.violate(None, "record-height", "the record is not marked with its height", offset);
                }
                for block in blocks {
                    self.take_block(block, offset);
                    if self.has_stopped() {
                        return;
                    }
                }
            }
            Content::Keyframe(keyframe) => {
                self.list(RecordKind::Keyframe, None, first_height, offset);
                self.take_keyframe(&keyframe, first_height, offset);
            }
        }
    }

    fn take_block(&mut self, block: ReadProvenBlock, offset: usize) {
        if self.due.take().is_some() {
            self.violate(None, "keyframe", "the keyframe after this turn is missing", offset);
        }
        let header = block.block().header();
        let (turn, signer) = (header.turn, header.signer_serial);
        let goes_back = matches!(header.kind, BlockKind::Takeback { .. });
        let is_grace = header.kind == BlockKind::Reopen { reason: ReopenReason::Grace };
        let pause = if let BlockKind::Reopen { reason: ReopenReason::Pause { ms } } = header.kind {
            Some(ms)
        } else {
            None
        };
        let is_revoked = self.revocations.is_revoked(signer, header.server_time);
        match self.execution.take(block) {
            Ok(step) => {
                let head = self.execution.chain().head();
                if goes_back {
                    let from_turn = self.report.turns;
                    self.report.takebacks.push(Takeback {
                        height: head.height,
                        from_turn,
                        to_turn: head.turn,
                    });
                }
                let (height, turn) = (head.height, head.turn);
                self.report.pauses.extend(pause.map(|ms| Pause { height, turn, ms }));
                self.report.graces.extend(is_grace.then_some(Grace { height, turn }));
                (self.report.turns, self.report.height, self.report.head) =
                    (head.turn, head.height, head.block);
                if let Some(log) = &mut self.log {
                    log.see(head);
                }
                if step.begins {
                    self.keyframes = self.execution.game().tree().clone();
                }
                let keyframes = self.index.iter().filter(|entry| entry.kind == RecordKind::Keyframe).count();
                self.due = step.turn.and_then(|turn| Form::after(turn, self.keyframe_turns, keyframes));
                if is_revoked {
                    let detail =
                        format!("the certificate {signer}, under which the block is signed, is revoked");
                    self.violate(None, "revoked-signer", &detail, offset);
                }
                for seat in step.desynced.iter() {
                    self.violate(Some(seat), DESYNC, "the seat signed another state root", offset);
                }
            }
            Err(error) => {
                let height = self.report.height.next().unwrap_or(self.report.height);
                let (seat, kind, detail) = (error.seat(), error.kind(), error.to_string());
                self.report.stop(Violation { height, turn, seat, kind, detail, offset });
            }
        }
    }

    fn take_keyframe(&mut self, keyframe: &Keyframe, height: Height, offset: usize) {
        let expected = self.execution.game().state_root();
        let root = keyframe.root_over(&mut self.keyframes);
        let wrong = match self.due.take() {
            None => Some("a keyframe where none is due".to_owned()),
            Some(form) if form != keyframe.form => {
                Some("a changed keyframe in place of a whole one, or the reverse".to_owned())
            }
            Some(_) if height != self.report.height => {
                Some("the record is not marked with its height".to_owned())
            }
            Some(_) if root != expected => Some(differs(expected, root)),
            Some(_) => None,
        };
        if let Some(detail) = wrong {
            self.violate(None, "keyframe", &detail, offset);
        }
    }

    /// Holds index and trailer against what was found.
    pub(super) fn end(
        mut self,
        index: &[u8],
        index_offset: usize,
        trailer: Trailer,
        trailer_offset: usize,
    ) -> AuditReport {
        if self.due.is_some() {
            self.violate(None, "keyframe", "the keyframe after this turn is missing", index_offset);
        }
        if *index != index::to_bytes(&self.index) {
            self.violate(None, "index", "the index lists other records than the file has", index_offset);
        }
        let sealed = self.execution.chain().sealed().is_some();
        if trailer.completeness == Completeness::Complete && !sealed {
            self.violate(
                None,
                "completeness",
                "the file claims to be complete, and has no Seal",
                trailer_offset,
            );
        }
        if trailer.completeness == Completeness::Partial && sealed {
            self.violate(
                None,
                "completeness",
                "the file claims to be partial, and has the Seal",
                trailer_offset,
            );
        }
        let expected = Trailer {
            completeness: trailer.completeness,
            index_offset: long(index_offset),
            height: self.report.height,
            head: self.report.head,
            file_bytes: long(trailer_offset) + Trailer::record_bytes(),
        };
        if trailer != expected {
            self.violate(None, "trailer", "the trailer does not fit the file", trailer_offset);
        }
        self.judge_log();
        self.report.complete = sealed && trailer.completeness == Completeness::Complete;
        self.report
    }

    /// Holds what the file says of the log against its blocks.
    fn judge_log(&mut self) {
        let Some(log) = self.log.take() else { return };
        let offset = log.offset;
        let root = self.report.root_key.enroll().ok();
        match log.judge(self.report.match_id, root.as_ref(), &self.revocations) {
            // Revoked later on: nobody can say whether the checkpoint was signed before.
            Ok(logged) if self.revocations.is_revoked_at_some_time(logged.serial()) => {
                self.report.revoked_log = Some(logged.serial());
            }
            Ok(logged) => self.report.logged = Some(logged),
            Err(detail) => self.violate(None, "log", &detail, offset),
        }
    }

    /// Notes a violation that does not keep the blocks after it from being judged.
    fn violate(&mut self, seat: Option<Seat>, kind: &'static str, detail: &str, offset: usize) {
        let AuditReport { height, turns: turn, .. } = self.report;
        self.report.violations.push(Violation {
            height,
            turn,
            seat,
            kind,
            detail: detail.to_owned(),
            offset,
        });
    }

    fn list(
        &mut self,
        kind: RecordKind,
        first: Option<&ReadProvenBlock>,
        first_height: Height,
        offset: usize,
    ) {
        let turn = first.map_or(self.report.turns, |block| block.block().header().turn);
        self.index.push(IndexEntry { kind, turn, first_height, offset: long(offset) });
    }
}

fn differs(expected: StateRoot, got: StateRoot) -> String {
    format!("the keyframe is of state {got}, the match was at {expected}")
}

fn long(offset: usize) -> u64 {
    u64::try_from(offset).expect("no file is longer than 64 bits can say")
}
