//! Keeps what may become evidence against the server, and makes evidence of it when it does.
//!
//! Nothing is handed out that does not stand up to the judge of evidence.

use std::collections::VecDeque;

use cadastre_protocol::{
    BlockError, BlockHash, BlockKind, Case, Contradiction, Digest, EVIDENCE_CERTIFICATES_MAX,
    EVIDENCE_RECEIPTS_MAX, Evidence, Header, Height, Judged, ProvenBlock, ProvenHeader, ProvenReceipt,
    Revocations, SignedCertificate, Verdict,
};

use crate::{
    follower::{FollowError, Follower},
    heal::{Cause, Desync},
};

/// Headers that are kept of the newest blocks.
const HEADERS_MAX: usize = 64;

/// What one session keeps of its match. Bounded: the newest headers and the receipts of the open turn.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    headers: VecDeque<Kept>,
    /// Of block signers that came after the one in the genesis.
    certificates: VecDeque<SignedCertificate>,
    /// The tree over all blocks before the head.
    peaks_before: Vec<Digest>,
    /// Of the open turn.
    receipts: Vec<ProvenReceipt>,
    /// The block that closed the first half of the open turn.
    commit: Option<ProvenBlock>,
}

#[derive(Debug)]
struct Kept {
    height: Height,
    hash: BlockHash,
    proven: ProvenHeader,
}

impl Witness {
    /// Takes a receipt that was verified.
    pub(crate) fn promised(&mut self, receipt: &ProvenReceipt) {
        if self.receipts.len() < EVIDENCE_RECEIPTS_MAX && !self.receipts.contains(receipt) {
            self.receipts.push(receipt.clone());
        }
    }

    /// Takes a block that `follower` has just followed; `peaks` are those of its chain before. Evidence if the
    /// block breaks a promise.
    pub(crate) fn followed(
        &mut self,
        follower: &Follower,
        peaks: Vec<Digest>,
        block: &ProvenBlock,
    ) -> Option<Evidence> {
        let read = block.clone().read().ok()?.into_block();
        let header = read.header().clone();
        let omission = self.omission(follower, &header, block);
        match &header.kind {
            BlockKind::Commit => self.commit = Some(block.clone()),
            BlockKind::KeyChange { certificate } => {
                keep(&mut self.certificates, certificate.clone(), EVIDENCE_CERTIFICATES_MAX);
            }
            kind if kind.closes_turn() => {
                self.receipts.clear();
                self.commit = None;
            }
            BlockKind::Start
            | BlockKind::Turn
            | BlockKind::Reopen { .. }
            | BlockKind::Takeback { .. }
            | BlockKind::Seal { .. } => {}
        }
        let proven = ProvenHeader::of(block).ok()?;
        keep(&mut self.headers, Kept { height: header.height, hash: read.hash(), proven }, HEADERS_MAX);
        self.peaks_before = peaks;
        omission
    }

    /// Evidence in a block that `follower` refused, if the server signed it and it shows by itself that it
    /// should not have.
    pub(crate) fn refused(
        &self,
        follower: &Follower,
        block: &ProvenBlock,
        error: &FollowError,
    ) -> Option<Evidence> {
        let proven = ProvenHeader::of(block).ok()?;
        let header = proven.read().ok()?;
        let head = self.headers.back().map(|kept| kept.proven.clone());
        let next = follower.chain().head().height.next() == Some(header.height);
        self.fork(follower, &proven)
            .or_else(|| {
                let earlier = head.clone().filter(|_| next)?;
                let contradictions =
                    [Contradiction::Link, Contradiction::Root { peaks: self.peaks_before.clone() }];
                contradictions.into_iter().find_map(|contradiction| {
                    let (earlier, later) = (earlier.clone(), proven.clone());
                    self.evidence(follower, Case::ServerHeadLie { earlier, later, contradiction })
                })
            })
            .or_else(|| {
                let before = head.clone().filter(|_| next)?;
                self.evidence(follower, Case::LateAccept { before, block: block.clone() })
            })
            .or_else(|| {
                // Of a turn, [`Self::differs`] makes it.
                let FollowError::Block(BlockError::StateRoot { .. }) = error else { return None };
                self.evidence(follower, Case::BadState { before: head, block: block.clone() })
            })
    }

    /// Evidence in a turn that came to another state than its block has, also when it was executed again.
    /// Whether the server is wrong or this build, is for whoever executes it once more to say.
    pub(crate) fn differs(&self, follower: &Follower, desync: &Desync) -> Option<Evidence> {
        if desync.cause != Cause::Rules {
            return None;
        }
        let before = desync.before.as_ref().map(ProvenHeader::of).transpose().ok()?;
        let chunks = desync.incident.before.snapshot();
        let case = Case::BadState { before, block: desync.block.clone() };
        self.checked(Evidence { chunks, ..self.draft(follower, case) })
    }

    /// Evidence if the server signed another block at a height where one is kept.
    pub(crate) fn fork(&self, follower: &Follower, second: &ProvenHeader) -> Option<Evidence> {
        let (height, hash) = (second.read().ok()?.height, second.hash());
        let first = self.headers.iter().find(|kept| kept.height == height && kept.hash != hash)?;
        let case = Case::ServerFork { first: first.proven.clone(), second: second.clone() };
        self.evidence(follower, case)
    }

    /// What there is to keep when the server does not know the head any more.
    pub(crate) fn held(&self, follower: &Follower) -> Option<Evidence> {
        let head = self.headers.back()?.proven.clone();
        self.evidence(follower, Case::Held { head, receipts: self.receipts.clone() })
    }

    fn omission(&self, follower: &Follower, header: &Header, block: &ProvenBlock) -> Option<Evidence> {
        if header.kind != BlockKind::Turn {
            return None;
        }
        let case = |receipt: &ProvenReceipt| Case::Omission {
            receipt: receipt.clone(),
            commit: self.commit.clone(),
            block: block.clone(),
        };
        self.receipts.iter().find_map(|receipt| self.evidence(follower, case(receipt)))
    }

    fn evidence(&self, follower: &Follower, case: Case) -> Option<Evidence> {
        self.checked(self.draft(follower, case))
    }

    fn draft(&self, follower: &Follower, case: Case) -> Evidence {
        Evidence::of(follower.chain(), self.certificates.iter().cloned().collect(), case)
    }

    /// Lets through what is proven, what only executing can decide, and what is worth keeping.
    fn checked(&self, evidence: Evidence) -> Option<Evidence> {
        let root = evidence.genesis.service;
        let stands = match evidence.clone().judge(&[root], &Revocations::NONE) {
            Judged::Decided(report) => !matches!(report.verdict, Verdict::NotProven(_)),
            Judged::Execute(_) => true,
        };
        stands.then_some(evidence)
    }
}

fn keep<T>(all: &mut VecDeque<T>, newest: T, max: usize) {
    if all.len() == max {
        all.pop_front();
    }
    all.push_back(newest);
}
