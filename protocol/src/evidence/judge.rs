//! Judges evidence: every kind by its signatures, and one by what follows from executing a block.

use crate::{
    block::{BlockKind, Header, ProvenBlock, ReadBlock, absent_root, body_root},
    certificate::{KeyRole, SignedCertificate, VerifiedCertificate},
    chain::chain_leaf,
    codec::decode_exact,
    delegation::SignedDelegation,
    evidence::{
        Case, Contradiction, Culprit, Evidence, EvidenceReport, Finding, ProvenHeader, Refuted, Undecidable,
        Verdict,
    },
    genesis::{Genesis, Randomness, SeatHolder, Visibility},
    hash::{Context, Digest, hash},
    ids::{BlockHash, MatchId, Millis, Seat, StateRoot, Turn},
    keys::{EnrolledKey, PublicKey},
    merkle::{Frontier, root_of_proof},
    proof::{ServerProof, block_leaf, receipt_leaf},
    receipt::{ProvenReceipt, Receipt},
    revocation::Revocations,
    setup::{Setup, Work},
    state_tree::{ChunkId, StateTree},
    transaction::{ReadTransaction, SignedTransaction},
};

/// What judging evidence came to without executing anything.
#[derive(Clone, Debug)]
pub enum Judged {
    /// All there is to say.
    Decided(EvidenceReport),
    /// Executing a block decides it.
    Execute(Box<StateClaim>),
}

/// A state that the server signed, and all that is needed to see whether it is the right one.
#[derive(Clone, Debug)]
pub struct StateClaim {
    genesis: Genesis,
    seed: Digest,
    chunks: Vec<(ChunkId, Vec<u8>)>,
    block: ReadBlock,
    report: EvidenceReport,
}

impl StateClaim {
    /// What the game is started from.
    pub fn setup(&self) -> Setup {
        self.genesis.setup()
    }

    /// The state that a fork begins with, as its genesis names it.
    pub fn first_state(&self) -> Option<StateRoot> {
        self.genesis.parent.map(|parent| parent.state_root)
    }

    /// The signed state that the block goes on from. Of no meaning for a Start.
    pub const fn chunks(&self) -> &Vec<(ChunkId, Vec<u8>)> {
        &self.chunks
    }

    /// The block as the server signed it: a Turn to execute, or a Start, which has the game's first state.
    pub const fn block(&self) -> &ReadBlock {
        &self.block
    }

    /// What the block has the game do; `stand_in` as for [`ReadBlock::work`].
    pub fn work(&self, stand_in: impl Fn(Seat) -> Vec<u8>) -> Work<'_> {
        self.block.work(&self.genesis, self.seed, stand_in)
    }

    /// Decides it: `executed` is the root that executing came to, or why nothing could be executed.
    pub fn decide(self, executed: Result<StateRoot, Verdict>) -> EvidenceReport {
        let verdict = match executed {
            Ok(executed) => compare_states(self.block.header(), executed),
            Err(verdict) => verdict,
        };
        self.report.with(verdict)
    }
}

impl EvidenceReport {
    /// What a service is charged with counts only under a root key that is trusted.
    fn with(self, verdict: Verdict) -> Self {
        let verdict =
            match &verdict {
                Verdict::Proven(Finding {
                    culprit: Culprit::Server { .. } | Culprit::Log { .. }, ..
                }) if !self.pinned => Verdict::Undecidable(Undecidable::NotPinned),
                Verdict::Proven(_) | Verdict::NotProven(_) | Verdict::Undecidable(_) => verdict,
            };
        Self { verdict, ..self }
    }
}

impl Evidence {
    /// Judges everything that needs no game. `pinned` are the root keys that are trusted.
    pub fn judge(self, pinned: &[PublicKey], revocations: &Revocations) -> Judged {
        let match_id = self.genesis.match_id();
        let report = EvidenceReport {
            kind: self.case.kind(),
            match_id: Some(match_id),
            root_key: self.genesis.service,
            pinned: pinned.contains(&self.genesis.service),
            verdict: Verdict::NotProven(Refuted::Malformed),
        };
        if let Case::PlayerDoubleTx { delegation, first, second } = &self.case {
            let verdict = double_transaction(&self.genesis, match_id, delegation, first, second);
            return Judged::Decided(report.with(verdict.unwrap_or_else(Verdict::NotProven)));
        }
        if let Err(mode) = self.genesis.supported() {
            return Judged::Decided(report.with(Verdict::Undecidable(Undecidable::Mode(mode))));
        }
        let claim = Signers::of(&self.genesis, match_id, &self.certificates, revocations)
            .and_then(|signers| signers.judge(&self.case, &self.chunks));
        match claim {
            Ok(Claim::Decided(verdict)) => Judged::Decided(report.with(verdict)),
            Ok(Claim::State { block, seed }) => {
                let (genesis, chunks) = (self.genesis, self.chunks);
                Judged::Execute(Box::new(StateClaim { genesis, seed, chunks, block: *block, report }))
            }
            Err(Unproven::Refuted(refuted)) => Judged::Decided(report.with(Verdict::NotProven(refuted))),
            Err(Unproven::Revoked { serial }) => {
                Judged::Decided(report.with(Verdict::Undecidable(Undecidable::Revoked { serial })))
            }
        }
    }
}

/// Did one session key sign two transactions that exclude each other?
fn double_transaction(
    genesis: &Genesis,
    match_id: MatchId,
    delegation: &SignedDelegation,
    first: &SignedTransaction,
    second: &SignedTransaction,
) -> Result<Verdict, Refuted> {
    let read = |signed: &SignedTransaction| signed.clone().read().map_err(|_| Refuted::Malformed);
    let (mut first, mut second) = (read(first)?, read(second)?);
    let tx = first.get();
    if tx.match_id != match_id || second.get().match_id != match_id {
        return Err(Refuted::WrongMatch);
    }
    let (seat, turn) = (tx.seat, tx.turn);
    let Some(SeatHolder::Player(identity)) = genesis.seats.get(seat.index()) else {
        return Err(Refuted::NoKey);
    };
    let key = identity.enroll().map_err(|_| Refuted::NoKey)?;
    let verified = delegation.verify(&key).map_err(|_| Refuted::BadDelegation)?;
    let said = verified.get();
    if (said.match_id, said.seat, said.epoch) != (match_id, seat, tx.epoch) {
        return Err(Refuted::BadDelegation);
    }
    let check = |read: &mut ReadTransaction| read.verify(verified.session());
    check(&mut first).and_then(|()| check(&mut second)).map_err(|_| Refuted::BadSignature)?;
    if !first.get().excludes(second.get()) {
        return Err(Refuted::Compatible);
    }
    let detail = format!("signed the transactions {} and {} for one turn", first.hash(), second.hash());
    let culprit = Culprit::Player { identity: *identity, seat };
    Ok(Verdict::Proven(Finding { culprit, turn: Some(turn), height: None, seat: Some(seat), detail }))
}

/// Why a charge against the server is not proven.
enum Unproven {
    Refuted(Refuted),
    Revoked { serial: u32 },
}

impl From<Refuted> for Unproven {
    fn from(refuted: Refuted) -> Self {
        Self::Refuted(refuted)
    }
}

/// What a charge against the server comes to before anything is executed.
enum Claim {
    Decided(Verdict),
    State { block: Box<ReadBlock>, seed: Digest },
}

impl Claim {
    fn state(block: ReadBlock, seed: Digest) -> Self {
        Self::State { block: Box::new(block), seed }
    }
}

/// Whose proofs count in a match.
struct Signers<'r> {
    genesis: &'r Genesis,
    match_id: MatchId,
    revocations: &'r Revocations,
    certificates: Vec<VerifiedCertificate>,
}

/// A header that the server signed.
struct Signed {
    header: Header,
    hash: BlockHash,
}

/// A whole block that the server signed.
struct SignedBlock {
    block: ReadBlock,
    serial: u32,
}

impl<'r> Signers<'r> {
    fn of(
        genesis: &'r Genesis,
        match_id: MatchId,
        more: &[SignedCertificate],
        revocations: &'r Revocations,
    ) -> Result<Self, Unproven> {
        let root: EnrolledKey = genesis.service.enroll().map_err(|_| Refuted::NoKey)?;
        let all = std::iter::once(&genesis.signer).chain(more);
        let certificates = all.filter_map(|certificate| certificate.verify(&root).ok()).collect();
        Ok(Self { genesis, match_id, revocations, certificates })
    }

    fn judge(&self, case: &Case, chunks: &[(ChunkId, Vec<u8>)]) -> Result<Claim, Unproven> {
        let proven = |finding| Ok(Claim::Decided(Verdict::Proven(finding)));
        match case {
            Case::PlayerDoubleTx { .. } => Err(Refuted::Malformed.into()),
            Case::ServerFork { first, second } => proven(self.fork(first, second)?),
            Case::ServerHeadLie { earlier, later, contradiction } => {
                proven(self.head_lie(earlier, later, contradiction)?)
            }
            Case::Omission { receipt, commit, block } => {
                proven(self.omission(receipt, commit.as_ref(), block)?)
            }
            Case::BadState { before, start, block } => {
                self.bad_state(before.as_ref(), start.as_ref(), block, chunks)
            }
            Case::LateAccept { before, block } => proven(self.late_accept(before, block)?),
            Case::Held { head, receipts } => self.held(head, receipts),
        }
    }

    fn fork(&self, first: &ProvenHeader, second: &ProvenHeader) -> Result<Finding, Unproven> {
        let (first, second) = (self.header(first)?, self.header(second)?);
        if first.header.height != second.header.height {
            return Err(Refuted::WrongPlace.into());
        }
        if first.hash == second.hash {
            return Err(Refuted::Compatible.into());
        }
        let serials = [first.header.signer_serial, second.header.signer_serial];
        let how =
            if serials[0] == serials[1] { "" } else { ", under two signers, as if from an older store" };
        let detail = format!("signed two blocks at one height, {} and {}{how}", first.hash, second.hash);
        Ok(finding(&first.header, &serials, None, detail))
    }

    fn head_lie(
        &self,
        earlier: &ProvenHeader,
        later: &ProvenHeader,
        contradiction: &Contradiction,
    ) -> Result<Finding, Unproven> {
        let (earlier, later) = (self.header(earlier)?, self.header(later)?);
        let (place, size) = (earlier.header.height.get(), later.header.height.get());
        if place >= size {
            return Err(Refuted::WrongPlace.into());
        }
        let other = match contradiction {
            Contradiction::Link | Contradiction::Root { .. } if place.checked_add(1) != Some(size) => {
                return Err(Refuted::WrongPlace.into());
            }
            Contradiction::Link => later.header.prev_block,
            Contradiction::Root { peaks } => {
                let mut tree = Frontier::from_peaks(Context::ChainNode, peaks.clone(), place)
                    .filter(|tree| tree.root() == earlier.header.chain_root)
                    .ok_or(Refuted::BadProof)?;
                tree.push(chain_leaf(earlier.hash));
                if tree.root() == later.header.chain_root {
                    return Err(Refuted::Compatible.into());
                }
                let detail = format!(
                    "signed block {}, and after it block {} whose chain root is of another history",
                    earlier.hash, later.hash
                );
                let serials = [earlier.header.signer_serial, later.header.signer_serial];
                return Ok(finding(&later.header, &serials, None, detail));
            }
            Contradiction::Place { block, proof } => {
                let root = root_of_proof(Context::ChainNode, chain_leaf(*block), place, size, proof);
                if root != Some(later.header.chain_root) {
                    return Err(Refuted::BadProof.into());
                }
                *block
            }
        };
        if other == earlier.hash {
            return Err(Refuted::Compatible.into());
        }
        let detail = format!(
            "signed block {} at height {place}, and later block {} whose history has {other} there",
            earlier.hash, later.hash
        );
        let serials = [earlier.header.signer_serial, later.header.signer_serial];
        Ok(finding(&later.header, &serials, None, detail))
    }

    fn omission(
        &self,
        receipt: &ProvenReceipt,
        commit: Option<&ProvenBlock>,
        block: &ProvenBlock,
    ) -> Result<Finding, Unproven> {
        let promise = self.receipt(receipt)?;
        let commit = commit.map(|commit| self.block(commit)).transpose()?;
        let SignedBlock { block, serial } = self.block(block)?;
        let header = block.header();
        let closes = |header: &Header, kind: BlockKind, turn: Option<Turn>| {
            header.kind == kind && turn == Some(promise.turn) && header.attempt == promise.attempt
        };
        let first_half = commit.as_ref().map(|commit| &commit.block);
        let is_first_half =
            |block: &ReadBlock| closes(block.header(), BlockKind::Commit, block.header().turn.next());
        let is_all_of_its_turn = first_half.is_some() == (self.genesis.visibility == Visibility::Sealed)
            && first_half.is_none_or(is_first_half)
            && closes(header, BlockKind::Turn, Some(header.turn));
        if !is_all_of_its_turn {
            return Err(Refuted::WrongPlace.into());
        }
        let entries = first_half.map_or(&[][..], ReadBlock::entries).iter().chain(block.entries());
        let entry = entries.into_iter().find(|entry| entry.transaction.hash() == promise.transaction);
        let (transaction, received) = (promise.transaction, promise.received.get());
        let detail = match entry {
            Some(entry) if entry.received == promise.received => return Err(Refuted::Included.into()),
            Some(entry) => format!(
                "gave a receipt for transaction {transaction} as received at {received}, and put it into the \
                 block as received at {}",
                entry.received.get()
            ),
            None => format!(
                "gave a receipt for transaction {transaction}, received at {received}, and left it out of the \
                 turn's block"
            ),
        };
        Ok(finding(header, &[receipt.proof.serial, serial], Some(promise.seat), detail))
    }

    fn late_accept(&self, before: &ProvenHeader, block: &ProvenBlock) -> Result<Finding, Unproven> {
        let before = self.header(before)?;
        let SignedBlock { block, serial } = self.block(block)?;
        check_next(&before, block.header())?;
        // What a Seal carries was refused, and is shown.
        if !block.header().kind.closes_turn() {
            return Err(Refuted::WrongPlace.into());
        }
        let Some(deadline) = before.header.deadline else { return Err(Refuted::InTime.into()) };
        let late = block.entries().iter().find(|entry| entry.received > deadline);
        let late = late.ok_or(Refuted::InTime)?;
        let detail = format!(
            "took up transaction {}, received {} ms after the deadline that block {} names",
            late.transaction.hash(),
            late.received.get() - deadline.get(),
            before.hash
        );
        let seat = late.transaction.get().seat;
        Ok(finding(block.header(), &[before.header.signer_serial, serial], Some(seat), detail))
    }

    fn bad_state(
        &self,
        before: Option<&ProvenHeader>,
        start: Option<&ProvenBlock>,
        block: &ProvenBlock,
        chunks: &[(ChunkId, Vec<u8>)],
    ) -> Result<Claim, Unproven> {
        let SignedBlock { block, .. } = self.block(block)?;
        let header = block.header();
        let Some(before) = before else {
            let seed = self.genesis.setup().seed;
            let is_start = is_start(header);
            return if is_start { Ok(Claim::state(block, seed)) } else { Err(Refuted::WrongPlace.into()) };
        };
        let before = self.header(before)?;
        check_next(&before, header)?;
        match header.kind {
            BlockKind::Start => Err(Refuted::WrongPlace.into()),
            BlockKind::Turn => {
                let mut tree = StateTree::new();
                tree.update(chunks.iter().map(|(id, chunk)| (*id, Some(chunk.as_slice()))));
                if tree.root() != before.header.state_root {
                    return Err(Refuted::OtherState.into());
                }
                Ok(Claim::state(block, self.seed(start)?))
            }
            // These execute nothing.
            BlockKind::Commit
            | BlockKind::Reopen { .. }
            | BlockKind::KeyChange { .. }
            | BlockKind::Seal { .. } => Ok(Claim::Decided(compare_states(header, before.header.state_root))),
            // It goes back to an earlier state, which is not here.
            BlockKind::Takeback { .. } => Err(Refuted::WrongPlace.into()),
        }
    }

    /// What the rolls of turns are made from.
    fn seed(&self, start: Option<&ProvenBlock>) -> Result<Digest, Unproven> {
        let usual = self.genesis.setup().seed;
        match (&self.genesis.randomness, start) {
            (Randomness::None, None) => Ok(usual),
            (Randomness::CommitReveal { .. }, Some(start)) => {
                let SignedBlock { block, .. } = self.block(start)?;
                match block.work(self.genesis, usual, |_| Vec::new()) {
                    Work::Begin { seed } if is_start(block.header()) => Ok(seed),
                    Work::Begin { .. } | Work::Nothing | Work::Turn(_) | Work::Back { .. } => {
                        Err(Refuted::WrongPlace.into())
                    }
                }
            }
            (Randomness::None, Some(_)) | (Randomness::CommitReveal { .. }, None) => {
                Err(Refuted::WrongPlace.into())
            }
        }
    }

    fn held(&self, head: &ProvenHeader, receipts: &[ProvenReceipt]) -> Result<Claim, Unproven> {
        let head = self.header(head)?;
        for receipt in receipts {
            let promise = self.receipt(receipt)?;
            if (head.header.turn.next(), head.header.attempt) != (Some(promise.turn), promise.attempt) {
                return Err(Refuted::WrongPlace.into());
            }
        }
        let one_side = Undecidable::OneSide { height: head.header.height, receipts: receipts.len() };
        Ok(Claim::Decided(Verdict::Undecidable(one_side)))
    }

    /// Checks that a block signer of the service signed this header.
    fn header(&self, proven: &ProvenHeader) -> Result<Signed, Unproven> {
        let header = proven.read().map_err(|_| Refuted::Malformed)?;
        let hash = proven.hash();
        self.check_header(&header, hash, &proven.proof)?;
        Ok(Signed { header, hash })
    }

    /// Checks that a block signer of the service signed this block with this body.
    fn block(&self, proven: &ProvenBlock) -> Result<SignedBlock, Unproven> {
        let read = proven.clone().read().map_err(|_| Refuted::Malformed)?.into_block();
        let header = read.header();
        self.check_header(header, read.hash(), &proven.proof)?;
        let fits =
            header.body_root == body_root(&read.entries) && header.absent_root == absent_root(&read.absent);
        let serial = header.signer_serial;
        if fits { Ok(SignedBlock { block: read, serial }) } else { Err(Refuted::WrongBody.into()) }
    }

    fn check_header(&self, header: &Header, hash: BlockHash, proof: &ServerProof) -> Result<(), Unproven> {
        if header.match_id != self.match_id {
            return Err(Refuted::WrongMatch.into());
        }
        if proof.serial != header.signer_serial {
            return Err(Refuted::BadProof.into());
        }
        self.check_proof(proof, block_leaf(hash), header.server_time)
    }

    fn receipt(&self, proven: &ProvenReceipt) -> Result<Receipt, Unproven> {
        let receipt: Receipt = decode_exact(&proven.receipt).map_err(|_| Refuted::Malformed)?;
        if receipt.match_id != self.match_id {
            return Err(Refuted::WrongMatch.into());
        }
        let leaf = receipt_leaf(hash(Context::Receipt, &[&proven.receipt]));
        self.check_proof(&proven.proof, leaf, receipt.received)?;
        Ok(receipt)
    }

    /// A serial is given to one key only; where a service broke that too, any of them may hold.
    fn check_proof(&self, proof: &ServerProof, leaf: Digest, at: Millis) -> Result<(), Unproven> {
        let serial = proof.serial;
        let is_signer =
            |c: &&VerifiedCertificate| c.serial() == serial && c.check(KeyRole::Block, at).is_ok();
        let mut signers = self.certificates.iter().filter(is_signer).peekable();
        if signers.peek().is_none() {
            return Err(Refuted::UnknownSigner { serial }.into());
        }
        if !signers.any(|signer| proof.verify(leaf, signer.key()).is_ok()) {
            return Err(Refuted::BadProof.into());
        }
        if self.revocations.is_revoked(serial, at) {
            return Err(Unproven::Revoked { serial });
        }
        Ok(())
    }
}

fn is_start(header: &Header) -> bool {
    header.kind == BlockKind::Start && header.height.get() == 1
}

/// Does a block come directly after another, as it says itself?
fn check_next(before: &Signed, header: &Header) -> Result<(), Refuted> {
    let next = before.header.height.next() == Some(header.height) && header.prev_block == before.hash;
    if next { Ok(()) } else { Err(Refuted::WrongPlace) }
}

fn compare_states(header: &Header, executed: StateRoot) -> Verdict {
    let stated = header.state_root;
    if executed == stated {
        return Verdict::NotProven(Refuted::SameState);
    }
    let detail = format!("signed the state {stated}, where executing the block gives {executed}");
    Verdict::Proven(finding(header, &[header.signer_serial], None, detail))
}

fn finding(header: &Header, serials: &[u32], seat: Option<Seat>, detail: String) -> Finding {
    let mut serials = serials.to_vec();
    serials.sort_unstable();
    serials.dedup();
    let (turn, height) = (Some(header.turn), Some(header.height));
    Finding { culprit: Culprit::Server { serials }, turn, height, seat, detail }
}
