//! The bytes and hashes of a match a second time, written from `docs/protocol.md`: no derive, no bincode, and
//! of the crate under test only the values to be written.

use cadastre_protocol::{
    Absence, AbsencePolicy, AbsenceReason, AgreementPolicy, Block, BlockKind, Certificate, Clock, Delegation,
    DoubleTransactionPolicy, Entry, Genesis, Header, KeyRole, Line, Millis, Motion, Parent, ProvenBlock,
    ProvenReceipt, Randomness, Reaction, Receipt, ReopenReason, Revocations, SealReason, SeatHolder,
    ServerProof, SignedCertificate, SignedDelegation, SignedTransaction, SkipPolicy, SpectatorPolicy,
    Standing, TakebackPolicy, Talk, TalkPlace, Transaction, TransactionBody, TurnMode, Visibility, Words,
};

use super::h;

/// Bytes written one field after the other.
#[derive(Default)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl Bytes {
    pub(crate) fn u8(mut self, number: u8) -> Self {
        self.0.push(number);
        self
    }

    pub(crate) fn u16(self, number: u16) -> Self {
        self.raw(&number.to_le_bytes())
    }

    pub(crate) fn u32(self, number: u32) -> Self {
        self.raw(&number.to_le_bytes())
    }

    pub(crate) fn u64(self, number: u64) -> Self {
        self.raw(&number.to_le_bytes())
    }

    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn counted(self, bytes: &[u8]) -> Self {
        self.u64(bytes.len() as u64).raw(bytes)
    }

    pub(crate) fn list<T>(self, items: &[T], write: impl Fn(Self, &T) -> Self) -> Self {
        items.iter().fold(self.u64(items.len() as u64), write)
    }

    pub(crate) fn option<T>(self, value: Option<T>, write: impl FnOnce(Self, T) -> Self) -> Self {
        match value {
            None => self.u8(0),
            Some(value) => write(self.u8(1), value),
        }
    }

    fn millis(self, at: Millis) -> Self {
        self.u64(at.get())
    }

    fn seal_reason(self, reason: SealReason) -> Self {
        match reason {
            SealReason::Rules => self.u32(0),
            SealReason::TurnLimit => self.u32(1),
            SealReason::Resigned => self.u32(2),
            SealReason::Abandoned => self.u32(3),
            SealReason::Operator => self.u32(4),
            SealReason::DoubleTransaction { seat } => self.u32(5).u8(seat.get()),
            SealReason::Agreed => self.u32(6),
        }
    }

    fn talk_place(self, place: &TalkPlace) -> Self {
        match place {
            TalkPlace::Lobby { service, room, nonce } => {
                self.u32(0).raw(service.as_bytes()).counted(room.as_str().as_bytes()).raw(nonce)
            }
            TalkPlace::Match(id) => self.u32(1).raw(id.as_bytes()),
        }
    }

    fn signed_certificate(self, signed: &SignedCertificate) -> Self {
        self.counted(&signed.body).raw(signed.signature.as_bytes())
    }

    fn signed_delegation(self, signed: &SignedDelegation) -> Self {
        self.counted(&signed.body).raw(signed.signature.as_bytes())
    }

    fn signed_transaction(self, signed: &SignedTransaction) -> Self {
        self.counted(&signed.body).raw(signed.signature.as_bytes())
    }

    fn proof(self, proof: &ServerProof) -> Self {
        self.u32(proof.serial)
            .u32(proof.index)
            .u32(proof.size)
            .list(&proof.hashes, |to, hash| to.raw(hash.as_bytes()))
            .raw(proof.signature.as_bytes())
    }

    fn absences(self, absent: &[Absence]) -> Self {
        self.list(absent, |to, absence| {
            to.u8(absence.seat.get()).u32(match absence.reason {
                AbsenceReason::Deadline => 0,
                AbsenceReason::NotToMove => 1,
                AbsenceReason::Resigned => 2,
                AbsenceReason::Skipped => 3,
                AbsenceReason::RevealMissing => 4,
                AbsenceReason::OpenSeat => 5,
                AbsenceReason::TakenOver => 6,
            })
        })
    }
}

pub(crate) fn certificate(c: &Certificate) -> Vec<u8> {
    let role = match c.role {
        KeyRole::Handshake => 0,
        KeyRole::Block => 1,
        KeyRole::Log => 2,
    };
    super::certificate(role, c.key.as_bytes(), c.serial, c.valid_from.get(), c.valid_to.get())
}

pub(crate) fn revocations(list: &Revocations) -> Vec<u8> {
    let to = Bytes::default().u8(1).u64(list.issued.get());
    to.list(&list.revoked, |to, revoked| to.u32(revoked.serial).u64(revoked.from.get())).0
}

pub(crate) fn signed_certificate(signed: &SignedCertificate) -> Vec<u8> {
    Bytes::default().signed_certificate(signed).0
}

pub(crate) fn genesis(g: &Genesis) -> Vec<u8> {
    let to = Bytes::default()
        .u8(1)
        .raw(g.service.as_bytes())
        .counted(g.rules.name.as_bytes())
        .u16(g.rules.version)
        .counted(&g.options)
        .list(&g.seats, |to, holder| match holder {
            SeatHolder::Player(key) => to.u32(0).raw(key.as_bytes()),
            SeatHolder::Open => to.u32(1),
        })
        .u32(match g.turns.mode {
            TurnMode::Simultaneous => 0,
            TurnMode::Alternating => 1,
        })
        .u32(g.turns.deadline_ms);
    let to = match g.turns.clock {
        Clock::PerTurn => to.u32(0),
        Clock::Bank { initial_ms, increment_ms } => to.u32(1).u32(initial_ms).u32(increment_ms),
    };
    let to = to.u32(g.turns.grace_ms).option(g.turns.turns_max, Bytes::u32);
    let to = match g.absence {
        AbsencePolicy::Pass { abandon_after } => to.u32(0).u16(abandon_after),
        AbsencePolicy::Forfeit { abandon_after, forfeit_after } => {
            to.u32(1).u16(abandon_after).u16(forfeit_after)
        }
        AbsencePolicy::Shrink { abandon_after, forfeit_after, shortest_ms } => {
            to.u32(2).u16(abandon_after).option(forfeit_after, Bytes::u16).u32(shortest_ms)
        }
        AbsencePolicy::TakeOver { abandon_after, forfeit_after, shortest_ms, take_over_after } => {
            let to = to.u32(3).u16(abandon_after).option(forfeit_after, Bytes::u16);
            to.u32(shortest_ms).u16(take_over_after)
        }
    };
    let to = to
        .u32(match g.double_transactions {
            DoubleTransactionPolicy::KeepFirst => 0,
            DoubleTransactionPolicy::EndMatch => 1,
        })
        .u32(match g.visibility {
            Visibility::Held => 0,
            Visibility::Sealed => 1,
            Visibility::Open => 2,
        });
    let to = match &g.randomness {
        Randomness::None => to.u32(0),
        Randomness::CommitReveal { server, seats } => to
            .u32(1)
            .raw(server.as_bytes())
            .list(seats, |to, start| to.raw(&start.nonce).raw(start.anchor.as_bytes())),
    };
    let to = to.u32(match g.takebacks {
        TakebackPolicy::Never => 0,
        TakebackPolicy::Unanimous => 1,
    });
    let AgreementPolicy { pause_ms_max, end, skip } = g.agreements;
    let to = to.u32(pause_ms_max).u8(end.into()).u32(match skip {
        SkipPolicy::Never => 0,
        SkipPolicy::Majority => 1,
        SkipPolicy::AllOthers => 2,
    });
    let to = match g.spectators {
        SpectatorPolicy::Forbidden => to.u32(0),
        SpectatorPolicy::Allowed { delay_turns } => to.u32(1).u16(delay_turns),
        SpectatorPolicy::Later { delay_s } => to.u32(2).u16(delay_s),
    };
    to.option(g.parent, |to, Parent { match_id, height, block, turn, state_root }| {
        let to = to.raw(match_id.as_bytes()).u64(height.get()).raw(block.as_bytes());
        to.u32(turn.get()).raw(state_root.as_bytes())
    })
    .signed_certificate(&g.signer)
    .millis(g.created)
    .raw(&g.nonce)
    .0
}

pub(crate) fn delegation(d: &Delegation) -> Vec<u8> {
    Bytes::default()
        .u8(1)
        .raw(d.match_id.as_bytes())
        .u8(d.seat.get())
        .u32(d.epoch.get())
        .raw(d.session.as_bytes())
        .option(d.valid_to, Bytes::millis)
        .0
}

pub(crate) fn talk_place(place: &TalkPlace) -> Vec<u8> {
    Bytes::default().talk_place(place).0
}

pub(crate) fn talk(t: &Talk) -> Vec<u8> {
    let to = Bytes::default().u8(1).talk_place(&t.place).raw(t.author.as_bytes()).u32(t.number);
    let to = to.u64(t.seen.number).raw(t.seen.line.as_bytes());
    match &t.words {
        Words::Text(text) => to.u32(0).counted(text.as_str().as_bytes()),
        Words::Reaction(reaction) => {
            let tag = Reaction::ALL.iter().position(|it| it == reaction).unwrap();
            to.u32(1).u32(u32::try_from(tag).unwrap())
        }
    }
    .0
}

pub(crate) fn line(l: &Line) -> Vec<u8> {
    let to = Bytes::default().u64(l.number).raw(l.previous.as_bytes()).u64(l.received.get());
    to.counted(&l.talk.body).raw(l.talk.signature.as_bytes()).0
}

pub(crate) fn line_hash(l: &Line) -> [u8; 32] {
    let talk = super::h("talk", &[&l.talk.body]);
    let (number, received) = (l.number.to_le_bytes(), l.received.get().to_le_bytes());
    let signature = l.talk.signature.as_bytes();
    super::h("talk line", &[l.previous.as_bytes(), &number, &received, &talk, signature])
}

pub(crate) fn transaction(t: &Transaction) -> Vec<u8> {
    let to = Bytes::default()
        .u8(1)
        .raw(t.match_id.as_bytes())
        .u8(t.seat.get())
        .u32(t.epoch.get())
        .u32(t.seq.get())
        .raw(t.prev_tx.as_bytes())
        .u32(t.turn.get())
        .u32(t.attempt.get())
        .u64(t.seen_height.get())
        .raw(t.seen_block.as_bytes())
        .raw(t.seen_state_root.as_bytes())
        .option(t.chain_element, |to, element| to.raw(element.as_bytes()));
    match &t.body {
        TransactionBody::Join(delegation) => to.u32(0).signed_delegation(delegation),
        TransactionBody::Delegate(delegation) => to.u32(1).signed_delegation(delegation),
        TransactionBody::Turn(commands) => to.u32(2).counted(commands),
        TransactionBody::Commit(digest) => to.u32(3).raw(digest.as_bytes()),
        TransactionBody::Reveal { salt, commands } => to.u32(4).raw(salt).counted(commands),
        TransactionBody::Takeback { to_turn } => to.u32(5).u32(to_turn.get()),
        TransactionBody::Resign => to.u32(6),
        TransactionBody::Motion(motion) => {
            let to = to.u32(7);
            match motion {
                Motion::Nothing => to.u32(0),
                Motion::Pause { ms } => to.u32(1).u32(*ms),
                Motion::End => to.u32(2),
                Motion::Skip { seats } => to.u32(3).u8(seats.iter().map(|seat| 1 << seat.get()).sum()),
            }
        }
        TransactionBody::LateJoin { identity, delegation } => {
            to.u32(8).raw(identity.as_bytes()).signed_delegation(delegation)
        }
    }
    .0
}

pub(crate) fn signed_transaction(signed: &SignedTransaction) -> Vec<u8> {
    Bytes::default().signed_transaction(signed).0
}

pub(crate) fn receipt(r: &Receipt) -> Vec<u8> {
    Bytes::default()
        .u8(1)
        .raw(r.match_id.as_bytes())
        .u8(r.seat.get())
        .u32(r.seq.get())
        .raw(r.transaction.as_bytes())
        .u32(r.turn.get())
        .u32(r.attempt.get())
        .millis(r.received)
        .0
}

pub(crate) fn proven_receipt(proven: &ProvenReceipt) -> Vec<u8> {
    Bytes::default().counted(&proven.receipt).proof(&proven.proof).0
}

pub(crate) fn header(h: &Header) -> Vec<u8> {
    let to =
        Bytes::default().u8(1).raw(h.match_id.as_bytes()).u64(h.height.get()).raw(h.prev_block.as_bytes());
    let to = match &h.kind {
        BlockKind::Start => to.u32(0),
        BlockKind::Turn => to.u32(1),
        BlockKind::Commit => to.u32(2),
        BlockKind::Reopen { reason } => match reason {
            ReopenReason::Restart => to.u32(3).u32(0),
            ReopenReason::Pause { ms } => to.u32(3).u32(1).u32(*ms),
            ReopenReason::Grace => to.u32(3).u32(2),
        },
        BlockKind::Takeback { to_turn } => to.u32(4).u32(to_turn.get()),
        BlockKind::KeyChange { certificate } => to.u32(5).signed_certificate(certificate),
        BlockKind::Seal { reason, standings } => {
            to.u32(6).seal_reason(*reason).list(standings, |to, Standing { seat, place, score }| {
                to.u8(seat.get()).u8(*place).raw(&score.to_le_bytes())
            })
        }
    };
    to.u32(h.turn.get())
        .u32(h.attempt.get())
        .millis(h.server_time)
        .option(h.deadline, Bytes::millis)
        .raw(h.body_root.as_bytes())
        .raw(h.absent_root.as_bytes())
        .raw(h.randomness.as_bytes())
        .raw(h.state_root.as_bytes())
        .raw(h.chain_root.as_bytes())
        .u32(h.signer_serial)
        .0
}

pub(crate) fn block(b: &Block) -> Vec<u8> {
    Bytes::default()
        .counted(&b.header)
        .list(&b.entries, |to, Entry { received, transaction }| {
            to.millis(*received).signed_transaction(transaction)
        })
        .absences(&b.absent)
        .0
}

pub(crate) fn proven_block(proven: &ProvenBlock) -> Vec<u8> {
    Bytes::default().counted(&proven.block).proof(&proven.proof).0
}

/// Root of a tree: the left subtree holds the largest power of two of leaves that leaves some to the right.
pub(crate) fn tree_root(node: &str, leaves: &[[u8; 32]]) -> [u8; 32] {
    match leaves {
        [] => h(node, &[]),
        [leaf] => *leaf,
        more => {
            let mut left = 1;
            while left * 2 < more.len() {
                left *= 2;
            }
            h(node, &[&tree_root(node, &more[..left]), &tree_root(node, &more[left..])])
        }
    }
}

/// The neighbours of a leaf on its way to the root, from the leaf upwards.
pub(crate) fn tree_proof(node: &str, leaves: &[[u8; 32]], index: usize) -> Vec<[u8; 32]> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let mut at = 1;
    while at * 2 < leaves.len() {
        at *= 2;
    }
    let (left, right) = leaves.split_at(at);
    let (mut proof, other) = if index < at {
        (tree_proof(node, left, index), right)
    } else {
        (tree_proof(node, right, index - at), left)
    };
    proof.push(tree_root(node, other));
    proof
}

pub(crate) fn body_leaf(entry: &Entry) -> [u8; 32] {
    let Entry { received, transaction } = entry;
    h("body leaf", &[&received.get().to_le_bytes(), &transaction.body, transaction.signature.as_bytes()])
}

pub(crate) fn body_root(entries: &[Entry]) -> [u8; 32] {
    tree_root("body node", &entries.iter().map(body_leaf).collect::<Vec<_>>())
}

pub(crate) fn absent_root(absent: &[Absence]) -> [u8; 32] {
    h("absent", &[&Bytes::default().absences(absent).0])
}

pub(crate) fn chain_leaf(block: &[u8; 32]) -> [u8; 32] {
    h("chain leaf", &[block])
}

/// Seats act in the ascending order of this.
pub(crate) fn order_rank(opened_by: &[u8; 32], mixed: &[u8; 32], seat: u8) -> [u8; 32] {
    h("order", &[opened_by, mixed, &[seat]])
}

/// What the seed or the roll in a block is; without commit and reveal only a Turn has one, its roll.
pub(crate) fn drawn(g: &Genesis, seed: &[u8; 32], h: &Header, entries: &[Entry]) -> Option<[u8; 32]> {
    let mut revealed: Vec<(u8, [u8; 32])> = entries
        .iter()
        .filter_map(|entry| {
            let read = entry.transaction.clone().read().unwrap();
            Some((read.get().seat.get(), *read.get().chain_element?.as_bytes()))
        })
        .collect();
    revealed.sort_unstable();
    let match_id = super::h("genesis", &[&genesis(g)]);
    let without = matches!(g.randomness, Randomness::None);
    match h.kind {
        BlockKind::Start if without => None,
        BlockKind::Start => {
            let elements = revealed.iter().flat_map(|(_, element)| *element).collect::<Vec<_>>();
            Some(super::h("seed", &[&match_id, h.randomness.as_bytes(), &elements]))
        }
        BlockKind::Turn => {
            let server = if without { &[][..] } else { h.randomness.as_bytes() };
            let elements = revealed
                .iter()
                .flat_map(|(seat, element)| [&[*seat][..], element].concat())
                .collect::<Vec<_>>();
            let (turn, attempt) = (h.turn.get().to_le_bytes(), h.attempt.get().to_le_bytes());
            Some(super::h("roll", &[&match_id, &turn, &attempt, seed, server, &elements]))
        }
        BlockKind::Commit
        | BlockKind::Reopen { .. }
        | BlockKind::Takeback { .. }
        | BlockKind::KeyChange { .. }
        | BlockKind::Seal { .. } => None,
    }
}

/// What the order in a block is mixed with.
pub(crate) fn mixed(g: &Genesis, seed: &[u8; 32], h: &Header, entries: &[Entry]) -> [u8; 32] {
    let with = matches!(g.randomness, Randomness::CommitReveal { .. });
    drawn(g, seed, h, entries).filter(|_| with).unwrap_or([0; 32])
}

/// The element of a hash chain after which `left` are still to be revealed.
pub(crate) fn chain_element(seed: [u8; 32], left: u32) -> [u8; 32] {
    (0..left).fold(seed, |element, _| h("chain element", &[&element]))
}
