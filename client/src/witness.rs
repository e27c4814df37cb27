//! Keeps what may become evidence against the server, and makes evidence of it when it does.
//!
//! Nothing is handed out that does not stand up to the judge of evidence.

use std::collections::VecDeque;

use cadastre_protocol::{
    BlockError, BlockHash, BlockKind, Case, Chain, Contradiction, Digest, EVIDENCE_CERTIFICATES_MAX,
    EVIDENCE_RECEIPTS_MAX, Evidence, Header, Height, Judged, ProvenBlock, ProvenHeader, ProvenReceipt,
    Randomness, Revocations, SignedCertificate, Turn, Verdict,
};

use crate::{
    follower::{FollowError, Follower},
    heal::{Cause, Desync},
};

/// Headers that are kept of the newest blocks.
const HEADERS_MAX: usize = 64;

/// Headers that are kept of blocks that were not followed.
const DISPUTED_MAX: usize = 4;

/// Receipts that are kept of the open turn: in a match with open moves those of all seats.
const RECEIPTS_MAX: usize = 32;

/// Certificates that are kept: as many as the signer can change in a turn, and more.
const CERTIFICATES_MAX: usize = 1024;

/// What one session keeps of its match. Bounded: the newest headers and the receipts of the open turn.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    headers: VecDeque<Kept>,
    /// Of blocks whose state was not the own one.
    disputed: VecDeque<Kept>,
    /// Of block signers that came after the one in the genesis.
    certificates: VecDeque<(u32, SignedCertificate)>,
    /// The Start, in a match with hash chains.
    start: Option<ProvenBlock>,
    /// The tree over all blocks before the head.
    peaks_before: Vec<Digest>,
    /// The server's promises for turns that are open.
    promises: Vec<Promise>,
    /// The block that closed the first half of the open turn.
    commit: Option<ProvenBlock>,
}

#[derive(Debug)]
struct Promise {
    turn: Turn,
    is_own: bool,
    receipt: ProvenReceipt,
}

#[derive(Debug)]
struct Kept {
    height: Height,
    hash: BlockHash,
    proven: ProvenHeader,
}

impl Witness {
    /// Begins anew at a block after which `chain` was taken up.
    pub(crate) fn joined(chain: &Chain, block: ProvenHeader) -> Self {
        let head = chain.head();
        let kept = Kept { height: head.height, hash: head.block, proven: block };
        let later = *chain.signer_certificate() != chain.genesis().signer;
        let certificates = later.then(|| (chain.signer().serial(), chain.signer_certificate().clone()));
        Self { headers: [kept].into(), certificates: certificates.into_iter().collect(), ..Self::default() }
    }

    /// Takes a receipt that was verified. What is for a transaction of this session is not crowded out by others.
    pub(crate) fn promised(&mut self, turn: Turn, is_own: bool, receipt: ProvenReceipt) {
        if self.promises.iter().any(|promise| promise.receipt == receipt) {
            return;
        }
        if self.promises.len() == RECEIPTS_MAX {
            let other = self.promises.iter().position(|promise| !promise.is_own).filter(|_| is_own);
            let Some(other) = other else { return };
            self.promises.remove(other);
        }
        self.promises.push(Promise { turn, is_own, receipt });
    }

    /// Takes a block that `follower` has just followed; `peaks` are those of its chain before. Evidence if the
    /// block breaks a promise.
    pub(crate) fn followed(
        &mut self,
        follower: &Follower,
        peaks: Vec<Digest>,
        block: &ProvenBlock,
    ) -> Option<Evidence> {
        let kept = Kept::of(block)?;
        let header = kept.proven.read().ok()?;
        let evidence = self.omission(follower, &header, block).or_else(|| self.fork(follower, &kept.proven));
        match &header.kind {
            BlockKind::Start => {
                let has_chains = follower.chain().genesis().randomness != Randomness::None;
                self.start = has_chains.then(|| block.clone());
            }
            BlockKind::Commit => self.commit = Some(block.clone()),
            BlockKind::Turn => {
                self.promises.retain(|promise| promise.turn > header.turn);
                self.commit = None;
            }
            BlockKind::KeyChange { certificate } => {
                keep(&mut self.certificates, (header.signer_serial, certificate.clone()), CERTIFICATES_MAX);
            }
            BlockKind::Reopen { .. } | BlockKind::Takeback { .. } | BlockKind::Seal { .. } => {}
        }
        keep(&mut self.headers, kept, HEADERS_MAX);
        self.peaks_before = peaks;
        evidence
    }

    /// Takes a block whose state is not the own one, before anybody can say more about it.
    pub(crate) fn disputes(&mut self, block: &ProvenBlock) {
        if let Some(kept) = Kept::of(block).filter(|new| self.disputed.iter().all(|old| old.hash != new.hash))
        {
            keep(&mut self.disputed, kept, DISPUTED_MAX);
        }
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
                let start = self.start.clone();
                self.evidence(follower, Case::BadState { before: head, start, block: block.clone() })
            })
    }

    /// Evidence in a turn that came to another state than its block has, also when it was executed again.
    /// Whether the server is wrong or this build, is for whoever executes it once more to say.
    pub(crate) fn differs(&self, follower: &Follower, desync: &Desync) -> Option<Evidence> {
        if desync.cause != Cause::Rules {
            return None;
        }
        let before = desync.before.as_ref().map(ProvenHeader::of).transpose().ok()?;
        // Of the block after which the match was joined there is only the header.
        let before = before.or_else(|| self.headers.back().map(|kept| kept.proven.clone()));
        let chunks = desync.incident.before.snapshot();
        let case = Case::BadState { before, start: self.start.clone(), block: desync.block.clone() };
        self.checked(Evidence { chunks, ..self.draft(follower, case) })
    }

    /// Evidence if the server signed another block at a height where one is kept.
    pub(crate) fn fork(&self, follower: &Follower, second: &ProvenHeader) -> Option<Evidence> {
        let (height, hash) = (second.read().ok()?.height, second.hash());
        let mut known = self.headers.iter().chain(&self.disputed);
        let first = known.find(|kept| kept.height == height && kept.hash != hash)?;
        let case = Case::ServerFork { first: first.proven.clone(), second: second.clone() };
        self.evidence(follower, case)
    }

    /// What there is to keep when the server does not know the head any more.
    pub(crate) fn held(&self, follower: &Follower) -> Option<Evidence> {
        let head = self.headers.back()?.proven.clone();
        let open = follower.chain().next_turn();
        let promises = self.promises.iter().filter(|promise| Some(promise.turn) == open);
        let receipts = promises.take(EVIDENCE_RECEIPTS_MAX).map(|promise| promise.receipt.clone()).collect();
        self.evidence(follower, Case::Held { head, receipts })
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
        let promises = self.promises.iter().filter(|promise| promise.turn == header.turn);
        promises.into_iter().find_map(|promise| self.evidence(follower, case(&promise.receipt)))
    }

    fn evidence(&self, follower: &Follower, case: Case) -> Option<Evidence> {
        self.checked(self.draft(follower, case))
    }

    fn draft(&self, follower: &Follower, case: Case) -> Evidence {
        let serials = case.serials();
        let of_chain = self.certificates.iter().filter(|(serial, _)| serials.contains(serial));
        let certificates = of_chain.map(|(_, certificate)| certificate.clone()).chain(brought_by(&case));
        let certificates = certificates.take(EVIDENCE_CERTIFICATES_MAX).collect();
        Evidence::of(follower.chain(), certificates, case)
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

impl Kept {
    fn of(block: &ProvenBlock) -> Option<Self> {
        let proven = ProvenHeader::of(block).ok()?;
        Some(Self { height: proven.read().ok()?.height, hash: proven.hash(), proven })
    }
}

/// The certificate that a KeyChange of another history brings.
fn brought_by(case: &Case) -> Option<SignedCertificate> {
    let (Case::ServerFork { second: later, .. } | Case::ServerHeadLie { later, .. }) = case else {
        return None;
    };
    match later.read().ok()?.kind {
        BlockKind::KeyChange { certificate } => Some(certificate),
        BlockKind::Start
        | BlockKind::Turn
        | BlockKind::Commit
        | BlockKind::Reopen { .. }
        | BlockKind::Takeback { .. }
        | BlockKind::Seal { .. } => None,
    }
}

fn keep<T>(all: &mut VecDeque<T>, newest: T, max: usize) {
    if all.len() == max {
        all.pop_front();
    }
    all.push_back(newest);
}
