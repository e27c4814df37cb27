//! A little match whose blocks are put together by hand: a test changes one part, makes everything that
//! depends on it right again, and sees whether the one rule that is left notices.
//!
//! There is no game. The state after a turn is the number of the turn, hashed.

#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod refused;
pub(crate) mod samples;
pub(crate) mod stored;

use cadastre_protocol::{
    Absence, AbsencePolicy, AbsenceReason, AgreementPolicy, Appended, Attempt, Block, BlockError, BlockHash,
    BlockKind, Certificate, Chain, ChainSecret, ChainStart, CheckedBlock, Clock, Delegation, Digest,
    DoubleTransactionPolicy, Entry, Epoch, Executed, Genesis, HashChain, Header, KeyRole, MatchId, Millis,
    Motion, Parent, ProvenBlock, PublicKey, Randomness, ReadBlock, ReadProvenBlock, ReadTransaction,
    ReopenReason, RulesId, SealReason, Seat, SeatHolder, SeatSet, SecretKey, ServerProof, SignedCertificate,
    SignedDelegation, SignedTransaction, SkipPolicy, SpectatorPolicy, Standing, StateRoot, TakebackPolicy,
    Transaction, TransactionBody, Turn, TurnMode, TurnRules, Visibility, block_leaf, decode_exact, encode,
    sealed_commands,
};

use crate::reference::{self, objects};

pub(crate) const CREATED: Millis = Millis::new(1_795_000_000_000);
pub(crate) const VALID_FROM: Millis = Millis::new(1_790_000_000_000);
pub(crate) const VALID_TO: Millis = Millis::new(1_800_000_000_000);
pub(crate) const DEADLINE_MS: u32 = 30_000;
pub(crate) const SERIAL: u32 = 7;
pub(crate) const NEXT_SERIAL: u32 = 8;

pub(crate) fn key(byte: u8) -> SecretKey {
    SecretKey::from_seed(&[byte; 32])
}

pub(crate) fn root() -> SecretKey {
    key(0x11)
}

pub(crate) fn block_key() -> SecretKey {
    key(0x22)
}

pub(crate) fn next_block_key() -> SecretKey {
    key(0x33)
}

pub(crate) fn identity(seat: Seat) -> SecretKey {
    key(0x50 + seat.get())
}

pub(crate) fn seat(index: u8) -> Seat {
    Seat::new(index).unwrap()
}

pub(crate) fn certificate(role: KeyRole, key: &SecretKey, serial: u32) -> Certificate {
    let key = key.public();
    Certificate { version: 1, role, key, serial, valid_from: VALID_FROM, valid_to: VALID_TO }
}

pub(crate) fn genesis(seats: u8) -> Genesis {
    Genesis {
        version: 1,
        service: root().public(),
        rules: RulesId { name: "toy".into(), version: 1 },
        options: vec![5, 0],
        seats: Seat::first(seats).map(|seat| SeatHolder::Player(identity(seat).public())).collect(),
        turns: TurnRules {
            mode: TurnMode::Simultaneous,
            deadline_ms: DEADLINE_MS,
            clock: Clock::PerTurn,
            grace_ms: 0,
            turns_max: None,
        },
        absence: AbsencePolicy::Pass { abandon_after: 3 },
        double_transactions: DoubleTransactionPolicy::KeepFirst,
        visibility: Visibility::Held,
        randomness: Randomness::None,
        takebacks: TakebackPolicy::Never,
        agreements: AgreementPolicy::NONE,
        spectators: SpectatorPolicy::Allowed { delay_turns: 0 },
        parent: None,
        signer: SignedCertificate::issue(&root(), &certificate(KeyRole::Block, &block_key(), SERIAL)),
        created: CREATED,
        nonce: reference::ramp(0xa0),
    }
}

/// Lets a match have commit and reveal: 20 turns at most, and the chains of [`chain_of`].
pub(crate) fn commit_reveal(genesis: &mut Genesis) {
    genesis.turns.turns_max = Some(LAST_TURN);
    let starts = (0..).zip(&genesis.seats).map(|(index, _)| ChainStart {
        nonce: chain_nonce(seat(index)),
        anchor: chain_of(seat(index)).anchor(),
    });
    let seats = starts.collect();
    genesis.randomness = Randomness::CommitReveal { server: server_chain().anchor(), seats };
}

pub(crate) const LAST_TURN: u32 = 20;
pub(crate) const CHAIN_SECRET: [u8; 32] = [0x77; 32];

pub(crate) fn chain_nonce(seat: Seat) -> [u8; 32] {
    [0x60 + seat.get(); 32]
}

pub(crate) fn chain_of(seat: Seat) -> HashChain {
    identity(seat).seat_chain(chain_nonce(seat), LAST_TURN)
}

pub(crate) fn server_chain() -> HashChain {
    ChainSecret::new(&CHAIN_SECRET).chain(reference::ramp(0xa0), LAST_TURN)
}

/// The game that is not one: seat *i* gets *i* points a turn, and seats move in turn where only one may.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Toy {
    pub(crate) seats: u8,
    /// The rules end the match after this turn.
    pub(crate) over_after: Option<u32>,
}

impl Toy {
    pub(crate) fn after(self, turn: Turn) -> Executed {
        let number = turn.get();
        let scores: Vec<_> = (0..i64::from(self.seats)).map(|seat| seat * i64::from(number)).collect();
        let to_move =
            Seat::first(self.seats).filter(|seat| u32::from(seat.get()) == number % u32::from(self.seats));
        Executed {
            state_root: StateRoot::new(Digest::new(reference::h("state leaf", &[&number.to_le_bytes()]))),
            to_move: to_move.collect(),
            over: self.over_after == Some(number),
            standings: Standing::rank(&scores),
        }
    }
}

/// A match up to its head.
#[derive(Clone, Debug)]
pub(crate) struct Match {
    pub(crate) chain: Chain,
    pub(crate) toy: Toy,
    /// Signs the next block, and gives its serial.
    pub(crate) signer: (SecretKey, u32),
    pub(crate) blocks: Vec<ProvenBlock>,
    /// Leaves of all blocks, the genesis first.
    leaves: Vec<[u8; 32]>,
    /// The block that opened the turn, or its second half.
    opened_by: BlockHash,
}

/// A block in parts.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) header: Header,
    pub(crate) entries: Vec<Entry>,
    pub(crate) absent: Vec<Absence>,
}

impl Parts {
    /// Makes the header commit to the entries and the absent.
    pub(crate) fn committed(mut self) -> Self {
        self.header.body_root = Digest::new(objects::body_root(&self.entries));
        self.header.absent_root = Digest::new(objects::absent_root(&self.absent));
        self
    }

    pub(crate) fn block(&self) -> Block {
        Block { header: encode(&self.header), entries: self.entries.clone(), absent: self.absent.clone() }
    }
}

impl Match {
    pub(crate) fn of(seats: u8) -> Self {
        Self::with(seats, |_| {})
    }

    /// A match before its Start, with a changed genesis.
    pub(crate) fn with(seats: u8, change: impl FnOnce(&mut Genesis)) -> Self {
        let mut genesis = genesis(seats);
        change(&mut genesis);
        let toy = Toy { seats, over_after: None };
        let chain = Chain::begin(genesis, toy.after(Turn::START)).unwrap();
        let leaves = vec![objects::chain_leaf(chain.match_id().as_bytes())];
        let opened_by = chain.match_id().as_block();
        Self { chain, toy, signer: (block_key(), SERIAL), blocks: Vec::new(), leaves, opened_by }
    }

    /// A match after its Start.
    pub(crate) fn started(seats: u8) -> Self {
        Self::started_with(seats, |_| {})
    }

    pub(crate) fn started_with(seats: u8, change: impl FnOnce(&mut Genesis)) -> Self {
        let mut game = Self::with(seats, change);
        game.append(&game.start());
        game
    }

    pub(crate) fn match_id(&self) -> MatchId {
        self.chain.match_id()
    }

    /// Do the rules play for a seat that lets the open turn pass?
    fn is_taken_over(&self, seat: Seat) -> bool {
        let Some(after) = self.chain.genesis().absence.take_over_after() else { return false };
        let blocks = self.blocks.iter().rev().map(|block| block.clone().read().unwrap());
        let turns = blocks.filter(|read| read.block().header().kind == BlockKind::Turn);
        let reason = |read: ReadProvenBlock| {
            read.block().absent().iter().find(|it| it.seat == seat).map(|absence| absence.reason)
        };
        let asked = turns.map(reason).filter(|reason| *reason != Some(AbsenceReason::NotToMove));
        asked.take_while(Option::is_some).count() >= usize::from(after)
    }

    pub(crate) fn seats(&self) -> impl Iterator<Item = Seat> + use<> {
        Seat::first(self.toy.seats)
    }

    /// So many milliseconds after the head was made.
    pub(crate) fn after_head(&self, ms: u64) -> Millis {
        self.chain.head().server_time.after(ms)
    }

    pub(crate) fn session(&self, seat: Seat, epoch: Epoch) -> SecretKey {
        identity(seat).session(self.match_id(), epoch)
    }

    pub(crate) fn delegation(&self, seat: Seat, epoch: Epoch) -> Delegation {
        let (match_id, session) = (self.match_id(), self.session(seat, epoch).public());
        Delegation { version: 1, match_id, seat, epoch, session, valid_to: None }
    }

    pub(crate) fn signed_delegation(&self, seat: Seat, epoch: Epoch) -> SignedDelegation {
        SignedDelegation::sign(&identity(seat), &self.delegation(seat, epoch))
    }

    /// A transaction that can come next from this seat.
    pub(crate) fn transaction(&self, seat: Seat, body: TransactionBody) -> Transaction {
        let (head, next) = (self.chain.head(), self.chain.next_of(seat).unwrap());
        let in_force = next.epoch.unwrap_or(Epoch::FIRST);
        let epoch =
            if matches!(body, TransactionBody::Delegate(_)) { in_force.next().unwrap() } else { in_force };
        let reveals = matches!(
            body,
            TransactionBody::Join(_) | TransactionBody::Turn(_) | TransactionBody::Reveal { .. }
        );
        Transaction {
            version: 1,
            match_id: self.match_id(),
            seat,
            epoch,
            seq: next.seq,
            prev_tx: next.prev_tx,
            turn: self.chain.next_turn().unwrap_or(Turn::START),
            attempt: head.attempt,
            seen_height: head.height,
            seen_block: head.block,
            seen_state_root: head.state_root,
            chain_element: if reveals && self.has_chains() {
                chain_of(seat).element(next.revealed)
            } else {
                None
            },
            body,
        }
    }

    fn has_chains(&self) -> bool {
        matches!(self.chain.genesis().randomness, Randomness::CommitReveal { .. })
    }

    /// Commands that name seat and turn, hidden.
    pub(crate) fn commit(&self, seat: Seat) -> Transaction {
        let (turn, salt) = (self.chain.next_turn().unwrap(), [seat.get(); 32]);
        let commands = [seat.get(), turn.get().to_le_bytes()[0]];
        let sealed = sealed_commands(self.match_id(), seat, turn, Attempt::FIRST, &salt, &commands);
        self.transaction(seat, TransactionBody::Commit(sealed))
    }

    /// And shown.
    pub(crate) fn reveal(&self, seat: Seat) -> Transaction {
        let turn = self.chain.next_turn().unwrap();
        let (salt, commands) = ([seat.get(); 32], vec![seat.get(), turn.get().to_le_bytes()[0]]);
        self.transaction(seat, TransactionBody::Reveal { salt, commands })
    }

    pub(crate) fn join(&self, seat: Seat) -> Transaction {
        self.transaction(seat, TransactionBody::Join(self.signed_delegation(seat, Epoch::FIRST)))
    }

    /// The identity of a seat takes it, though the genesis has left it open.
    pub(crate) fn late_join(&self, seat: Seat) -> Transaction {
        let delegation = self.signed_delegation(seat, Epoch::FIRST);
        self.transaction(seat, TransactionBody::LateJoin { identity: identity(seat).public(), delegation })
    }

    pub(crate) fn delegate(&self, seat: Seat) -> Transaction {
        let epoch = self.chain.next_of(seat).unwrap().epoch.unwrap().next().unwrap();
        self.transaction(seat, TransactionBody::Delegate(self.signed_delegation(seat, epoch)))
    }

    /// Commands that name seat and turn.
    pub(crate) fn action(&self, seat: Seat) -> Transaction {
        let turn = self.chain.next_turn().unwrap_or(Turn::START).get().to_le_bytes();
        self.transaction(seat, TransactionBody::Turn(vec![seat.get(), turn[0]]))
    }

    /// `tx` as the next transaction of its seat after `before`, under the epoch of that one.
    pub(crate) fn following(&self, before: &Transaction, mut tx: Transaction) -> Transaction {
        tx.epoch = before.epoch;
        tx.seq = before.seq.next().unwrap();
        tx.prev_tx = self.sign(before).hash();
        tx
    }

    /// Signed with the session key that the seat's identity has for the transaction's epoch.
    pub(crate) fn sign(&self, tx: &Transaction) -> SignedTransaction {
        SignedTransaction::sign(&self.session(tx.seat, tx.epoch), tx)
    }

    /// Received so many milliseconds after the head was made.
    pub(crate) fn entry(&self, tx: &Transaction, ms: u64) -> Entry {
        Entry { received: self.after_head(ms), transaction: self.sign(tx) }
    }

    /// Entries that came 100 ms apart.
    pub(crate) fn entries(&self, transactions: &[Transaction]) -> Vec<Entry> {
        (1..).zip(transactions).map(|(i, tx)| self.entry(tx, 100 * i)).collect()
    }

    /// A block on top of the head, right in everything, made so many milliseconds after it.
    pub(crate) fn block(&self, kind: BlockKind, entries: Vec<Entry>, absent: Vec<Absence>, ms: u64) -> Parts {
        let head = self.chain.head();
        let server_time = self.after_head(ms);
        let turn = match kind {
            BlockKind::Turn => head.turn.next().unwrap(),
            BlockKind::Takeback { to_turn } => to_turn,
            BlockKind::Start
            | BlockKind::Commit
            | BlockKind::Reopen { .. }
            | BlockKind::KeyChange { .. }
            | BlockKind::Seal { .. } => head.turn,
        };
        let whole = u64::from(self.chain.genesis().turns.deadline_ms);
        let deadline = match kind {
            BlockKind::Start | BlockKind::Turn | BlockKind::Commit | BlockKind::Takeback { .. } => {
                Some(server_time.after(whole))
            }
            BlockKind::Reopen { reason: ReopenReason::Pause { ms } } => {
                head.deadline.map(|deadline| deadline.after(u64::from(ms)))
            }
            BlockKind::Reopen { reason: ReopenReason::Grace } => {
                let grace_ms = self.chain.genesis().turns.grace_ms;
                head.deadline.map(|deadline| deadline.after(u64::from(grace_ms)))
            }
            BlockKind::Reopen { reason: ReopenReason::Restart } => {
                head.deadline.max(Some(server_time.after(whole)))
            }
            BlockKind::KeyChange { .. } => head.deadline,
            BlockKind::Seal { .. } => None,
        };
        let header = Header {
            version: 1,
            match_id: self.match_id(),
            height: head.height.next().unwrap(),
            prev_block: head.block,
            turn,
            attempt: Attempt::new(head.attempt.get() + u32::from(matches!(kind, BlockKind::Takeback { .. }))),
            server_time,
            deadline,
            body_root: Digest::ZERO,
            absent_root: Digest::ZERO,
            randomness: if matches!(kind, BlockKind::Start | BlockKind::Turn) && self.has_chains() {
                server_chain().element(self.chain.revealed_by_server()).unwrap()
            } else {
                Digest::ZERO
            },
            state_root: if matches!(kind, BlockKind::Turn | BlockKind::Takeback { .. }) {
                self.toy.after(turn).state_root
            } else {
                head.state_root
            },
            chain_root: Digest::new(objects::tree_root("chain node", &self.leaves)),
            signer_serial: self.signer.1,
            kind,
        };
        let entries = self.in_order(&header, entries);
        Parts { header, entries, absent }.committed()
    }

    pub(crate) fn in_order(&self, header: &Header, mut entries: Vec<Entry>) -> Vec<Entry> {
        let genesis = self.chain.genesis();
        let seed = self.chain.state().setup(genesis).seed;
        let mixed = objects::mixed(genesis, seed.as_bytes(), header, &entries);
        entries.sort_by_key(|entry| {
            let tx = read(&entry.transaction);
            (objects::order_rank(self.opened_by.as_bytes(), &mixed, tx.get().seat.get()), tx.get().seq)
        });
        entries
    }

    pub(crate) fn start(&self) -> Parts {
        let joins: Vec<_> = self.chain.players().iter().map(|seat| self.join(seat)).collect();
        self.block(BlockKind::Start, self.entries(&joins), Vec::new(), 1000)
    }

    /// A Turn with these transactions, at the deadline if somebody is missing, and the absences that follow.
    pub(crate) fn turn(&self, transactions: &[Transaction]) -> Parts {
        self.closing(BlockKind::Turn, transactions)
    }

    /// A Takeback with these transactions.
    pub(crate) fn takeback(&self, to_turn: u32, transactions: &[Transaction]) -> Parts {
        let kind = BlockKind::Takeback { to_turn: Turn::new(to_turn) };
        self.block(kind, self.entries(transactions), Vec::new(), 2000)
    }

    /// Proposes to go back, or consents to it.
    pub(crate) fn back_to(&self, seat: Seat, to_turn: u32) -> Transaction {
        self.transaction(seat, TransactionBody::Takeback { to_turn: Turn::new(to_turn) })
    }

    /// Wants something of the others.
    pub(crate) fn motion(&self, seat: Seat, motion: Motion) -> Transaction {
        self.transaction(seat, TransactionBody::Motion(motion))
    }

    /// A pause for which these transactions speak.
    pub(crate) fn pause(&self, ms: u32, transactions: &[Transaction]) -> Parts {
        let kind = BlockKind::Reopen { reason: ReopenReason::Pause { ms } };
        self.block(kind, self.entries(transactions), Vec::new(), 2000)
    }

    /// An agreed end for which these transactions speak.
    pub(crate) fn agreed_end(&self, transactions: &[Transaction]) -> Parts {
        let kind = BlockKind::Seal { reason: SealReason::Agreed, standings: self.chain.standings() };
        self.block(kind, self.entries(transactions), Vec::new(), 2000)
    }

    /// A Turn with these transactions that is closed so many milliseconds after the head because this seat is skipped.
    pub(crate) fn skipping(&self, seat: Seat, transactions: &[Transaction], ms: u64) -> Parts {
        let absent = vec![Absence { seat, reason: AbsenceReason::Skipped }];
        self.block(BlockKind::Turn, self.entries(transactions), absent, ms)
    }

    /// A Commit with these transactions, likewise.
    pub(crate) fn first_half(&self, transactions: &[Transaction]) -> Parts {
        self.closing(BlockKind::Commit, transactions)
    }

    fn closing(&self, kind: BlockKind, transactions: &[Transaction]) -> Parts {
        let acted: SeatSet = transactions
            .iter()
            .filter(|tx| !tx.body.is_stance() && !matches!(tx.body, TransactionBody::Delegate(_)))
            .map(|tx| tx.seat)
            .collect();
        let (required, resigned) = (self.chain.required(), self.chain.resigned());
        let revealing = self.chain.is_revealing();
        let asked = match self.chain.genesis().turns.mode {
            TurnMode::Simultaneous => SeatSet::first(self.toy.seats),
            TurnMode::Alternating => self.toy.after(self.chain.head().turn).to_move,
        };
        let late = if revealing { AbsenceReason::RevealMissing } else { AbsenceReason::Deadline };
        let has_shown = |seat| !revealing || !required.contains(seat);
        let is_passing = |seat| kind == BlockKind::Turn && asked.contains(seat) && has_shown(seat);
        let is_taken_over = |seat| is_passing(seat) && self.is_taken_over(seat);
        let absent: Vec<_> = self
            .seats()
            .filter(|seat| !acted.contains(*seat))
            .map(|seat| Absence {
                seat,
                reason: match (resigned.contains(seat), required.contains(seat)) {
                    _ if self.chain.open_seats().contains(seat) => AbsenceReason::OpenSeat,
                    (true, _) => AbsenceReason::Resigned,
                    (false, _) if is_taken_over(seat) => AbsenceReason::TakenOver,
                    (false, true) => late,
                    (false, false) if asked.contains(seat) => AbsenceReason::Deadline,
                    (false, false) => AbsenceReason::NotToMove,
                },
            })
            .collect();
        let is_late = |absence: &&Absence| [late, AbsenceReason::TakenOver].contains(&absence.reason);
        let awaited = absent.iter().filter(is_late);
        let waits = awaited.filter_map(|absence| self.chain.deadline_of(absence.seat)).max();
        let ms = waits.map_or(2000, |until| until.get() - self.chain.head().server_time.get());
        self.block(kind, self.entries(transactions), absent, ms)
    }

    /// A Turn in which all act who may.
    pub(crate) fn full_turn(&self) -> Parts {
        let actions: Vec<_> = self.chain.required().iter().map(|seat| self.action(seat)).collect();
        self.turn(&actions)
    }

    /// Grace, so many milliseconds after the head.
    pub(crate) fn grace(&self, ms: u64) -> Parts {
        let kind = BlockKind::Reopen { reason: ReopenReason::Grace };
        self.block(kind, Vec::new(), Vec::new(), ms)
    }

    /// Grace, when the time of this seat is up.
    pub(crate) fn grace_for(&self, seat: Seat) -> Parts {
        let until = self.chain.deadline_of(seat).unwrap();
        self.grace(until.get() - self.chain.head().server_time.get())
    }

    pub(crate) fn reopen(&self) -> Parts {
        let kind = BlockKind::Reopen { reason: ReopenReason::Restart };
        self.block(kind, Vec::new(), Vec::new(), 5000)
    }

    pub(crate) fn seal(&self, reason: SealReason) -> Parts {
        let kind = BlockKind::Seal { reason, standings: self.chain.standings() };
        self.block(kind, Vec::new(), Vec::new(), 0)
    }

    /// A KeyChange to [`next_block_key`].
    pub(crate) fn key_change(&self) -> Parts {
        self.key_change_to(SignedCertificate::issue(
            &root(),
            &certificate(KeyRole::Block, &next_block_key(), NEXT_SERIAL),
        ))
    }

    pub(crate) fn key_change_to(&self, certificate: SignedCertificate) -> Parts {
        let body: Certificate = decode_exact(&certificate.body).unwrap();
        let mut parts = self.block(BlockKind::KeyChange { certificate }, Vec::new(), Vec::new(), 10);
        parts.header.signer_serial = body.serial;
        parts
    }

    /// The key that signs this block.
    pub(crate) fn signer_of(&self, parts: &Parts) -> SecretKey {
        match parts.header.kind {
            BlockKind::KeyChange { .. } => next_block_key(),
            BlockKind::Start
            | BlockKind::Turn
            | BlockKind::Commit
            | BlockKind::Reopen { .. }
            | BlockKind::Takeback { .. }
            | BlockKind::Seal { .. } => self.signer.0.clone(),
        }
    }

    pub(crate) fn prove(&self, parts: &Parts) -> ProvenBlock {
        prove_with(&self.signer_of(parts), parts)
    }

    /// What the verifier says of the block as it would come over the wire.
    pub(crate) fn check(&self, parts: &Parts) -> Result<CheckedBlock, BlockError> {
        self.chain.check_proven(received(&self.prove(parts)))
    }

    pub(crate) fn append(&mut self, parts: &Parts) -> Appended {
        let proven = self.prove(parts);
        let checked = self.chain.check_proven(received(&proven)).unwrap();
        let appended = self.chain.append(checked, self.toy.after(parts.header.turn)).unwrap();
        if let BlockKind::KeyChange { .. } = parts.header.kind {
            self.signer = (next_block_key(), parts.header.signer_serial);
        }
        if parts.header.kind.closes_turn() {
            self.opened_by = appended.head.block;
        }
        self.leaves.push(objects::chain_leaf(appended.head.block.as_bytes()));
        self.blocks.push(proven);
        appended
    }
}

pub(crate) fn prove_with(key: &SecretKey, parts: &Parts) -> ProvenBlock {
    let block = parts.block();
    let leaf = block_leaf(read_block(&block).hash());
    let proof = ServerProof::sign(key, parts.header.signer_serial, &[leaf]).remove(0);
    ProvenBlock { block: encode(&block), proof }
}

/// The block as it comes out of its bytes.
pub(crate) fn received(proven: &ProvenBlock) -> ReadProvenBlock {
    decode_exact::<ProvenBlock>(&encode(proven)).unwrap().read().unwrap()
}

pub(crate) fn read_block(block: &Block) -> ReadBlock {
    decode_exact::<Block>(&encode(block)).unwrap().read().unwrap()
}

pub(crate) fn read(signed: &SignedTransaction) -> ReadTransaction {
    signed.clone().read().unwrap()
}

/// A match with everything that there is at present: absences, a wrong state root, a new delegation, a restart,
/// a new signer, a resignation, and its end by the rules.
pub(crate) fn eventful_match() -> Match {
    let mut game = Match::of(3);
    game.toy.over_after = Some(5);
    game.append(&game.start());
    game.append(&game.full_turn());

    // Seat 1 lets its time pass, seat 2 has computed another state.
    let mut desynced = game.action(seat(2));
    desynced.seen_state_root = StateRoot::new(Digest::new([7; 32]));
    game.append(&game.turn(&[game.action(seat(0)), desynced]));

    // Seat 0 acts before the restart, the others after it, seat 1 under a new session key.
    let before = game.entry(&game.action(seat(0)), 50);
    game.append(&game.reopen());
    let delegate = game.delegate(seat(1));
    let action = game.following(&delegate, game.action(seat(1)));
    let mut turn = game.turn(&[game.action(seat(0)), delegate, action, game.action(seat(2))]);
    for entry in &mut turn.entries {
        if read(&entry.transaction).get().seat == seat(0) {
            *entry = before.clone();
        }
    }
    game.append(&turn.committed());

    game.append(&game.key_change());
    game.append(&game.turn(&[
        game.action(seat(0)),
        game.action(seat(1)),
        game.transaction(seat(2), TransactionBody::Resign),
    ]));
    game.append(&game.full_turn());
    game.append(&game.seal(SealReason::Rules));
    game
}

/// Sealed moves, commit and reveal.
pub(crate) fn hide_everything(genesis: &mut Genesis) {
    genesis.visibility = Visibility::Sealed;
    commit_reveal(genesis);
}

/// A match with sealed moves, and with commit and reveal: one whole turn, and one in which seat 2 commits to nothing
/// and seat 1 does not show what it has committed to.
pub(crate) fn hidden_match() -> Match {
    let mut game = Match::with(3, hide_everything);
    game.toy.over_after = Some(2);
    game.append(&game.start());
    let of = |seats: &[u8], act: &dyn Fn(Seat) -> Transaction| {
        seats.iter().map(|index| act(seat(*index))).collect::<Vec<_>>()
    };
    game.append(&game.first_half(&of(&[0, 1, 2], &|seat| game.commit(seat))));
    game.append(&game.turn(&of(&[0, 1, 2], &|seat| game.reveal(seat))));
    game.append(&game.first_half(&of(&[0, 1], &|seat| game.commit(seat))));
    game.append(&game.reopen());
    game.append(&game.turn(&of(&[0], &|seat| game.reveal(seat))));
    game.append(&game.seal(SealReason::Rules));
    game
}

/// A bank with increment, and a clock that shrinks for those who are absent again, until they forfeit.
pub(crate) fn count_time(genesis: &mut Genesis) {
    genesis.turns.clock = Clock::Bank { initial_ms: 40_000, increment_ms: 500 };
    genesis.absence = AbsencePolicy::Shrink { abandon_after: 3, forfeit_after: Some(3), shortest_ms: 5_000 };
}

/// A match with banks, in which seat 1 acts once, and is absent then until it forfeits.
pub(crate) fn timed_match() -> Match {
    let mut game = Match::with(3, count_time);
    game.toy.over_after = Some(5);
    game.append(&game.start());
    game.append(&game.full_turn());
    for _ in 0..3 {
        game.append(&game.turn(&[game.action(seat(0)), game.action(seat(2))]));
    }
    game.append(&game.full_turn());
    game.append(&game.seal(SealReason::Rules));
    game
}

/// Has the rules play for whoever was absent once.
pub(crate) fn take_over(genesis: &mut Genesis) {
    genesis.absence = AbsencePolicy::TakeOver {
        abandon_after: 3,
        forfeit_after: Some(4),
        shortest_ms: DEADLINE_MS,
        take_over_after: 1,
    };
}

/// A match in which the rules play for seat 1 in two turns, until it is back, and for seat 2 until it forfeits.
pub(crate) fn taken_over_match() -> Match {
    let mut game = Match::with(3, take_over);
    game.toy.over_after = Some(8);
    game.append(&game.start());
    for _ in 0..3 {
        game.append(&game.turn(&[game.action(seat(0)), game.action(seat(2))]));
    }
    for _ in 0..4 {
        game.append(&game.turn(&[game.action(seat(0)), game.action(seat(1))]));
    }
    game.append(&game.turn(&[game.action(seat(0)), game.action(seat(1))]));
    game.append(&game.seal(SealReason::Rules));
    game
}

/// Lets turns be taken back.
pub(crate) fn allow_takebacks(genesis: &mut Genesis) {
    genesis.takebacks = TakebackPolicy::Unanimous;
}

/// A match in which a proposal is declined, and turns are taken back twice: over what was handed in meanwhile, and without
/// the seat that has resigned.
pub(crate) fn taken_back_match() -> Match {
    let mut game = Match::with(3, allow_takebacks);
    game.toy.over_after = Some(4);
    game.append(&game.start());
    game.append(&game.full_turn());
    game.append(&game.full_turn());

    let action = game.action(seat(0));
    let proposal = game.following(&action, game.back_to(seat(0), 1));
    let decline = game.back_to(seat(1), 2);
    let after = game.following(&decline, game.action(seat(1)));
    game.append(&game.turn(&[action, proposal, decline, after, game.action(seat(2))]));

    let action = game.action(seat(0));
    let proposal = game.following(&action, game.back_to(seat(0), 1));
    let delegate = game.delegate(seat(2));
    let consent = game.following(&delegate, game.back_to(seat(2), 1));
    game.append(&game.takeback(1, &[action, proposal, game.back_to(seat(1), 1), delegate, consent]));

    let resign = game.transaction(seat(2), TransactionBody::Resign);
    game.append(&game.turn(&[game.action(seat(0)), game.action(seat(1)), resign]));
    game.append(&game.takeback(0, &[game.back_to(seat(0), 0), game.back_to(seat(1), 0)]));
    for _ in 0..4 {
        game.append(&game.full_turn());
    }
    game.append(&game.seal(SealReason::Rules));
    game
}

/// Lets a match go on from where [`taken_back_match`] stood after its second takeback, before the first turn.
pub(crate) fn go_on(genesis: &mut Genesis) {
    let other = taken_back_match();
    let block = received(&other.blocks[6]).into_block();
    let header = block.header();
    genesis.parent = Some(Parent {
        match_id: other.match_id(),
        height: header.height,
        block: block.hash(),
        turn: header.turn,
        state_root: header.state_root,
    });
}

/// A match that goes on from another one.
pub(crate) fn fork_match() -> Match {
    let mut game = Match::with(3, go_on);
    game.toy.over_after = Some(2);
    game.append(&game.start());
    game.append(&game.full_turn());
    game.append(&game.full_turn());
    game.append(&game.seal(SealReason::Rules));
    game
}

/// Leaves the seats 1 and 2 open, in a match with takebacks and banks.
pub(crate) fn leave_seats_open(genesis: &mut Genesis) {
    (genesis.seats[1], genesis.seats[2]) = (SeatHolder::Open, SeatHolder::Open);
    genesis.takebacks = TakebackPolicy::Unanimous;
    genesis.turns.clock = Clock::Bank { initial_ms: 40_000, increment_ms: 500 };
}

/// A match of one, which goes back without asking the open seats; then seat 2 is taken, and seat 1 stays open.
pub(crate) fn late_joined_match() -> Match {
    let mut game = Match::with(3, leave_seats_open);
    game.toy.over_after = Some(4);
    game.append(&game.start());
    game.append(&game.full_turn());
    game.append(&game.takeback(0, &[game.back_to(seat(0), 0)]));
    game.append(&game.full_turn());
    game.append(&game.turn(&[game.action(seat(0)), game.late_join(seat(2))]));
    game.append(&game.full_turn());
    game.append(&game.full_turn());
    game.append(&game.seal(SealReason::Rules));
    game
}

/// Has banks, two halves of turns, and grace in each.
pub(crate) fn allow_grace(genesis: &mut Genesis) {
    genesis.visibility = Visibility::Sealed;
    genesis.turns.clock = Clock::Bank { initial_ms: 40_000, increment_ms: 2_000 };
    genesis.turns.grace_ms = 10_000;
}

/// A match that waits twice for seat 2, which comes back once.
pub(crate) fn graced_match() -> Match {
    let mut game = Match::with(3, allow_grace);
    game.toy.over_after = Some(2);
    let others = |act: &dyn Fn(Seat) -> Transaction| [0, 1].map(|index| act(seat(index)));
    game.append(&game.start());
    game.append(&game.grace_for(seat(2)));
    game.append(&game.first_half(&[game.commit(seat(0)), game.commit(seat(1)), game.commit(seat(2))]));
    game.append(&game.grace_for(seat(2)));
    game.append(&game.turn(&others(&|seat| game.reveal(seat))));
    game.append(&game.first_half(&others(&|seat| game.commit(seat))));
    game.append(&game.turn(&others(&|seat| game.reveal(seat))));
    game.append(&game.seal(SealReason::Rules));
    game
}

/// Lets players agree on everything.
pub(crate) fn allow_agreements(genesis: &mut Genesis) {
    genesis.agreements = AgreementPolicy { pause_ms_max: 60_000, end: true, skip: SkipPolicy::Majority };
}

/// A match that pauses under new keys, and over what was handed in meanwhile; in which a seat is skipped; and which
/// all end.
pub(crate) fn agreed_match() -> Match {
    let mut game = Match::with(3, allow_agreements);
    game.append(&game.start());
    let decided = game.motion(seat(0), Motion::End);
    let undecided = game.following(&decided, game.motion(seat(0), Motion::Nothing));
    let first = game.following(&undecided, game.action(seat(0)));
    game.append(&game.turn(&[decided, undecided, first, game.action(seat(1)), game.action(seat(2))]));

    let wants = |seat| game.motion(seat, Motion::Pause { ms: 10_000 });
    let action = game.action(seat(0));
    let delegate = game.delegate(seat(1));
    let mine = game.following(&action, wants(seat(0)));
    let yours = game.following(&delegate, wants(seat(1)));
    let theirs = wants(seat(2));
    let after = game.following(&yours, game.action(seat(1)));
    let pause = game.pause(10_000, &[mine.clone(), delegate.clone(), yours.clone(), theirs.clone()]);
    let so_far = [action, mine, delegate, yours, theirs.clone()];
    let entries = [game.entries(&so_far), vec![game.entry(&after, 9000)]].concat();
    game.append(&pause);
    let last = game.following(&theirs, game.action(seat(2)));
    let entries = [entries, vec![game.entry(&last, 35_000)]].concat();
    game.append(&game.block(BlockKind::Turn, entries, Vec::new(), 35_000));

    let seats = SeatSet::from_iter([seat(2)]);
    let votes = [0, 1]
        .map(|by| game.following(&game.action(seat(by)), game.motion(seat(by), Motion::Skip { seats })));
    let [mine, yours] = votes;
    let half = u64::from(DEADLINE_MS / 2);
    game.append(&game.skipping(seat(2), &[game.action(seat(0)), mine, game.action(seat(1)), yours], half));
    game.append(&game.turn(&[
        game.action(seat(0)),
        game.action(seat(2)),
        game.transaction(seat(1), TransactionBody::Resign),
    ]));
    let ends = [0, 2].map(|by| game.motion(seat(by), Motion::End));
    game.append(&game.agreed_end(&ends));
    game
}

/// What the verifier says of a good block with one change, everything that depends on it made right again.
pub(crate) fn refusal(game: &Match, good: &Parts, change: impl FnOnce(&mut Parts)) -> BlockError {
    assert!(game.check(good).is_ok(), "nothing but the change is wrong");
    let mut bad = good.clone();
    change(&mut bad);
    game.check(&bad.committed()).unwrap_err()
}

/// Changes a transaction and signs it again with the session key of its seat and epoch.
pub(crate) fn bend(game: &Match, entry: &mut Entry, change: impl FnOnce(&mut Transaction)) {
    let mut tx = read(&entry.transaction).get().clone();
    change(&mut tx);
    entry.transaction = game.sign(&tx);
}

pub(crate) fn other_match() -> MatchId {
    Match::with(2, |genesis| genesis.nonce = [0; 16]).match_id()
}

/// The neutral element, for which anybody can sign.
pub(crate) fn weak_key() -> PublicKey {
    let mut bytes = [0; 32];
    bytes[0] = 1;
    PublicKey::new(bytes)
}
