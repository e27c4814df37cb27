//! Matches made in memory under keys that everybody knows, and replay files taken apart: for tests and
//! benches only.

mod file;
mod log;

use std::{num::NonZeroU32, sync::Arc};

use cadastre_protocol::{
    Absence, AbsencePolicy, AgreementPolicy, Block, BlockKind, Certificate, Chain, ChainSecret, ChainStart,
    Clock, Context, Delegation, Digest, DisplayName, DoubleTransactionPolicy, Draft, Entry, Epoch, Genesis,
    HashChain, Header, KeyRole, Millis, Motion, OpenTurn, Parent, ProvenBlock, Randomness, RandomnessMode,
    ReopenReason, RoomName, RulesId, SealReason, Seat, SeatHolder, SecretKey, ServerProof, SignedCertificate,
    SignedDelegation, SignedTransaction, SpectatorPolicy, TakebackPolicy, Transaction, TransactionBody, Turn,
    TurnMode, TurnRules, Visibility, Work, block_leaf, decode_exact, encode, hash, log::LogProof, merkle,
    sealed_commands,
};
use cadastre_simulations::{Game, Snapshot, newest_rules};

use crate::{
    keyframe::KEYFRAME_TURNS,
    summary::Summary,
    writer::{Meta, Writer},
};

pub use file::{
    RawRecord, blocks_of, blocks_record, finish, group, header_of, join, kind, split, with_blocks,
};
pub use log::{log_certificate, log_key, log_proof};

/// What match to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Name of the rules.
    pub rules: &'static str,
    /// Size in the game's own unit.
    pub size: u16,
    /// How many seats.
    pub seats: u8,
    /// Whose transactions a turn waits for.
    pub mode: TurnMode,
    /// The last turn.
    pub turns_max: Option<u32>,
    /// When the others see a seat's commands.
    pub visibility: Visibility,
    /// Where seed and rolls come from; commit and reveal needs a last turn.
    pub randomness: RandomnessMode,
    /// Whether turns can be taken back.
    pub takebacks: TakebackPolicy,
    /// What else the players can agree on.
    pub agreements: AgreementPolicy,
    /// How the time of a turn is counted.
    pub clock: Clock,
    /// Grace after a lost connection, in milliseconds.
    pub grace_ms: u32,
    /// What becomes of a seat that does not act.
    pub absence: AbsencePolicy,
    /// How many of the seats, the last ones, are still to be taken when the match begins.
    pub open: u8,
}

impl Plan {
    /// Two players on a small board.
    pub const SMALL: Self = Self {
        rules: "boxes",
        size: 2,
        seats: 2,
        mode: TurnMode::Simultaneous,
        turns_max: None,
        visibility: Visibility::Held,
        randomness: RandomnessMode::None,
        takebacks: TakebackPolicy::Never,
        agreements: AgreementPolicy::NONE,
        clock: Clock::PerTurn,
        grace_ms: 0,
        absence: AbsencePolicy::USUAL,
        open: 0,
    };

    /// Four players on the smallest board with more than 10,000 edges.
    pub const LONG: Self = Self { size: 71, seats: 4, turns_max: Some(10_000), ..Self::SMALL };
}

/// A match as its server and all its players see it at once.
#[derive(Debug)]
pub struct Match {
    signer: SecretKey,
    sessions: Vec<SecretKey>,
    chains: Option<HashChains>,
    /// What each seat has committed to, in the first half of a sealed turn.
    sealed: Vec<Vec<u8>>,
    chain: Chain,
    game: Game,
    open: OpenTurn,
    now: Millis,
    blocks: Vec<ProvenBlock>,
    /// The state that a fork begins with.
    first: Option<Arc<Snapshot>>,
    /// The tile that the last phase of the next turn changes against the rules.
    fault: Option<(u16, u16)>,
}

impl Match {
    /// Begins a match: all have joined, the Start is there.
    pub fn new(plan: &Plan) -> Self {
        let genesis = genesis(plan);
        let game = Game::of_match(&genesis).expect("the plan fits the rules");
        Self::begin(plan, genesis, game, None)
    }

    /// Begins a match that goes on from where another one stands.
    pub fn fork(plan: &Plan, other: &Self) -> Self {
        let (head, state) = (other.chain.head(), other.game.snapshot());
        let parent = Parent {
            match_id: other.chain.match_id(),
            height: head.height,
            block: head.block,
            turn: head.turn,
            state_root: head.state_root,
        };
        Self::fork_from(plan, parent, state)
    }

    /// Begins a match that says that it goes on from a block, in a state that is that of the block or not.
    pub fn fork_from(plan: &Plan, parent: Parent, state: Snapshot) -> Self {
        let genesis = Genesis { parent: Some(parent), ..genesis(plan) };
        let game = Game::of_fork(&genesis, &state).expect("the plan fits the rules");
        Self::begin(plan, genesis, game, Some(Arc::new(state)))
    }

    fn begin(plan: &Plan, genesis: Genesis, game: Game, first: Option<Arc<Snapshot>>) -> Self {
        let chain = Chain::begin(genesis, game.executed()).expect("the genesis is one that is supported");
        let match_id = chain.match_id();
        let sessions =
            (0..plan.seats).map(|seat| identity_key(seat).session(match_id, Epoch::FIRST)).collect();
        let (open, now) = (chain.open_turn(), chain.head().server_time);
        let mut made = Self {
            signer: signer_key(FIRST_SERIAL),
            sessions,
            chains: HashChains::of(plan),
            sealed: vec![Vec::new(); plan.seats.into()],
            chain,
            game,
            open,
            now,
            blocks: Vec::new(),
            first,
            fault: None,
        };
        for seat in Seat::first(plan.seats - plan.open) {
            let delegation = made.delegation(seat, Epoch::FIRST, &made.sessions[seat.index()]);
            let join = Transaction {
                epoch: Epoch::FIRST,
                ..made.transaction(seat, TransactionBody::Join(delegation))
            };
            made.submit(&join);
        }
        let joins = std::mem::replace(&mut made.open, made.chain.open_turn());
        let draft = made.chain.draft_start(joins, made.now, made.element());
        let draft = draft.expect("the first block has a number");
        made.append(draft);
        made
    }

    /// Plays turns with the built-in bots. Ends with the Seal where the match does.
    pub fn play(&mut self, turns: u32) {
        for _ in 0..turns {
            self.play_half();
            if self.chain.is_revealing() {
                self.play_half();
            }
        }
    }

    fn play_half(&mut self) {
        for seat in self.chain.required().iter() {
            self.suggest(seat);
        }
        self.close();
    }

    /// Submits what the built-in bot suggests; in a sealed match hidden at first, and then shown.
    pub fn suggest(&mut self, seat: Seat) {
        let body = if self.chain.is_revealing() {
            TransactionBody::Reveal { salt: SALT, commands: self.sealed[seat.index()].clone() }
        } else {
            let commands = self.game.simulation().suggest(seat);
            match self.chain.genesis().visibility {
                Visibility::Held | Visibility::Open => TransactionBody::Turn(commands),
                Visibility::Sealed => TransactionBody::Commit(self.seal_commands(seat, commands)),
            }
        };
        self.submit(&self.transaction(seat, body));
    }

    fn seal_commands(&mut self, seat: Seat, commands: Vec<u8>) -> Digest {
        let (head, turn) = (self.chain.head(), self.chain.next_turn().expect("a turn is open"));
        let sealed = sealed_commands(self.chain.match_id(), seat, turn, head.attempt, &SALT, &commands);
        self.sealed[seat.index()] = commands;
        sealed
    }

    /// The next element of the server's hash chain.
    fn element(&self) -> Option<Digest> {
        self.chains.as_ref()?.server.element(self.chain.revealed_by_server())
    }

    /// The next transaction of `seat`, after the newest block.
    pub fn transaction(&self, seat: Seat, body: TransactionBody) -> Transaction {
        let head = self.chain.head();
        let next = self.chain.next_of(seat).expect("the seat is in the match");
        Transaction {
            version: Transaction::VERSION,
            match_id: self.chain.match_id(),
            seat,
            epoch: next.epoch.unwrap_or(Epoch::FIRST),
            seq: next.seq,
            prev_tx: next.prev_tx,
            turn: self.chain.next_turn().unwrap_or(head.turn),
            attempt: head.attempt,
            seen_height: head.height,
            seen_block: head.block,
            seen_state_root: head.state_root,
            chain_element: match &body {
                TransactionBody::Join(_) | TransactionBody::Turn(_) | TransactionBody::Reveal { .. } => {
                    self.chains.as_ref().and_then(|chains| chains.seats[seat.index()].element(next.revealed))
                }
                TransactionBody::Delegate(_)
                | TransactionBody::Commit(_)
                | TransactionBody::Takeback { .. }
                | TransactionBody::Resign
                | TransactionBody::Motion(_)
                | TransactionBody::LateJoin { .. } => None,
            },
            body,
        }
    }

    /// What the identity of `seat` signs for a session key.
    pub fn delegation(&self, seat: Seat, epoch: Epoch, session: &SecretKey) -> SignedDelegation {
        SignedDelegation::sign(&identity_key(seat.get()), &self.said(seat, epoch, session))
    }

    fn said(&self, seat: Seat, epoch: Epoch, session: &SecretKey) -> Delegation {
        Delegation {
            version: Delegation::VERSION,
            match_id: self.chain.match_id(),
            seat,
            epoch,
            session: session.public(),
            valid_to: None,
        }
    }

    /// Opens the next epoch of `seat`: it goes on under another session key.
    pub fn delegate(&mut self, seat: Seat) {
        let epoch = self.chain.next_of(seat).and_then(|next| next.epoch?.next()).expect("it has joined");
        let session = identity_key(seat.get()).session(self.chain.match_id(), epoch);
        let delegation = self.delegation(seat, epoch, &session);
        self.sessions[seat.index()] = session;
        let delegate = self.transaction(seat, TransactionBody::Delegate(delegation));
        self.submit(&Transaction { epoch, ..delegate });
    }

    /// What `identity`, which holds no seat, signs to take one that is open.
    pub fn late_join(&self, seat: Seat, identity: &SecretKey) -> Transaction {
        let session = identity.session(self.chain.match_id(), Epoch::FIRST);
        let delegation = SignedDelegation::sign(identity, &self.said(seat, Epoch::FIRST, &session));
        let body = TransactionBody::LateJoin { identity: identity.public(), delegation };
        Transaction { epoch: Epoch::FIRST, ..self.transaction(seat, body) }
    }

    /// Signs a transaction with the session key of its seat and receives it, a millisecond later.
    pub fn submit(&mut self, transaction: &Transaction) {
        self.receive(&SignedTransaction::sign(&self.sessions[transaction.seat.index()], transaction));
    }

    /// Receives a transaction, a millisecond later.
    pub fn receive(&mut self, transaction: &SignedTransaction) {
        self.now = self.now.after(1);
        let read = transaction.clone().read().expect("the transaction is one");
        let admission = self.open.check(&self.chain, read, self.now).expect("the transaction is good");
        self.open.accept(admission);
    }

    /// Lets the server compute another state in the next turn: it changes a tile that no rule changes, and goes
    /// on from there.
    pub fn disturb(&mut self, x: u16, y: u16) {
        self.fault = Some((x, y));
    }

    /// Lets time go by.
    pub fn wait(&mut self, span_ms: u64) {
        self.now = self.now.after(span_ms);
    }

    /// Closes the turn, or the first half of a sealed one, and seals the match if it is over.
    pub fn close(&mut self) {
        let open = std::mem::replace(&mut self.open, self.chain.open_turn());
        let draft = self.chain.draft_turn(open, self.now, self.element());
        let draft = draft.expect("the next turn has a number");
        self.append(draft);
        if let Some(reason) = self.chain.seal_due() {
            self.seal(reason);
        }
    }

    /// All consent to go back to the state after `to_turn`.
    pub fn take_back(&mut self, to_turn: Turn) {
        for seat in Seat::first(self.chain.genesis().seat_count()) {
            self.submit(&self.transaction(seat, TransactionBody::Takeback { to_turn }));
        }
        let open = std::mem::replace(&mut self.open, self.chain.open_turn());
        let draft = self.chain.draft_agreed(open, self.now).expect("all have consented");
        self.append(draft);
    }

    /// All want to pause, or to end the match.
    pub fn agree(&mut self, motion: Motion) {
        for seat in Seat::first(self.chain.genesis().seat_count()) {
            self.submit(&self.transaction(seat, TransactionBody::Motion(motion)));
        }
        let draft = self.chain.draft_agreed(self.open.clone(), self.now).expect("all want the same");
        self.append(draft);
    }

    /// Opens the open turn again.
    pub fn reopen(&mut self) {
        self.reopen_for(ReopenReason::Restart);
    }

    /// Gives the open turn grace, when its time is up.
    pub fn give_grace(&mut self) {
        self.reopen_for(ReopenReason::Grace);
    }

    fn reopen_for(&mut self, reason: ReopenReason) {
        let draft = self.chain.draft_reopen(reason, self.now).expect("the next block has a number");
        self.append(draft);
    }

    /// Ends the match.
    pub fn seal(&mut self, reason: SealReason) {
        let draft = self.chain.draft_seal(reason, self.now).expect("the next block has a number");
        self.append(draft);
    }

    /// The chain at its newest block.
    pub const fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The game as the server has it.
    pub const fn game(&self) -> &Game {
        &self.game
    }

    /// The blocks so far.
    pub fn blocks(&self) -> &[ProvenBlock] {
        &self.blocks
    }

    /// What goes into a replay file before the blocks.
    pub fn meta(&self) -> Meta {
        let names = Seat::first(self.chain.genesis().seat_count());
        Meta {
            genesis: encode(self.chain.genesis()),
            room: RoomName::new("fixture").expect("a room name"),
            names: names.filter_map(|seat| DisplayName::new(&format!("Player {seat}"))).collect(),
            first: self.first.clone(),
        }
    }

    /// The match as a replay file, with the usual keyframes.
    pub fn replay(&self) -> Vec<u8> {
        self.replay_with_keyframe_every(KEYFRAME_TURNS).0
    }

    /// The match as a replay file.
    pub fn replay_with_keyframe_every(&self, turns: u32) -> (Vec<u8>, Summary) {
        self.written(turns).finish().expect("memory takes all")
    }

    /// The match as a replay file with the usual keyframes, and a proof that it is logged.
    pub fn logged_replay(&self, proof: &LogProof) -> Vec<u8> {
        let mut writer = self.written(KEYFRAME_TURNS);
        writer.add_log_proof(proof);
        writer.finish().expect("memory takes all").0
    }

    fn written(&self, keyframe_turns: u32) -> Writer<Vec<u8>> {
        let turns = NonZeroU32::new(keyframe_turns).expect("an interval");
        let mut writer =
            Writer::with_keyframe_every(turns, Vec::new(), self.meta()).expect("the match has begun");
        for block in &self.blocks {
            writer.push(block.clone()).expect("the block was appended to the chain");
        }
        writer
    }

    /// Puts another block signer in force.
    pub fn change_key(&mut self) {
        let (head, executed) = (*self.chain.head(), self.game.executed());
        let reopen =
            self.chain.draft_reopen(ReopenReason::Restart, self.now).expect("the next block has a number");
        let reopen = Self::prove(reopen.finish(head.state_root).to_bytes(), &self.signer);
        let serial = self.chain.signer().serial() + 1;
        self.signer = signer_key(serial);
        let change = self.forge(&reopen, |header, _, _| {
            header.kind = BlockKind::KeyChange { certificate: certificate(serial) };
            header.signer_serial = serial;
            header.deadline = head.deadline;
        });
        let checked = change.clone().read().map(|read| self.chain.check_proven(read));
        let checked = checked.expect("it was just encoded").expect("the new key is the service's");
        self.chain.append(checked, executed).expect("the state is the same");
        self.blocks.push(change);
    }

    /// Makes a block anew with other content: as a server would that breaks the rules on purpose. Roots and
    /// proof are right, so that only the rules can tell.
    pub fn forge(
        &self,
        block: &ProvenBlock,
        change: impl FnOnce(&mut Header, &mut Vec<Entry>, &mut Vec<Absence>),
    ) -> ProvenBlock {
        Self::prove(Self::rewrite(block, change), &self.signer)
    }

    /// The bytes of a block with other content and the roots that belong to it. They need not be a block.
    pub fn rewrite(
        block: &ProvenBlock,
        change: impl FnOnce(&mut Header, &mut Vec<Entry>, &mut Vec<Absence>),
    ) -> Vec<u8> {
        let mut block: Block = decode_exact(&block.block).expect("a block of ours");
        let mut header: Header = decode_exact(&block.header).expect("a header of ours");
        change(&mut header, &mut block.entries, &mut block.absent);
        let leaves: Vec<_> = block.entries.iter().map(leaf).collect();
        header.body_root = merkle::root(Context::BodyNode, &leaves);
        header.absent_root = hash(Context::Absent, &[&encode(&block.absent)]);
        block.header = encode(&header);
        encode(&block)
    }

    /// Proves a block under any key.
    pub fn prove(block: Vec<u8>, signer: &SecretKey) -> ProvenBlock {
        let decoded: Block = decode_exact(&block).expect("a block of ours");
        let read = decoded.read().expect("a block of ours");
        let serial = read.header().signer_serial;
        let proof = ServerProof::sign(signer, serial, &[block_leaf(read.hash())]).remove(0);
        ProvenBlock { block, proof }
    }

    fn append(&mut self, draft: Draft) {
        match draft.work(self.game.stand_in()) {
            Work::Turn(orders) => {
                let mut turn = self.game.by_phase();
                while turn.run(&orders).is_some() {}
                if let Some((x, y)) = self.fault.take() {
                    assert!(turn.disturb(x, y), "the tile is on the map");
                }
                turn.end();
            }
            work @ (Work::Nothing | Work::Begin { .. } | Work::Back { .. }) => {
                self.game.execute(&work);
            }
        }
        let executed = self.game.executed();
        let block = draft.finish(executed.state_root);
        self.blocks.push(Self::prove(block.to_bytes(), &self.signer));
        let checked = self.chain.check(block).expect("the draft is good");
        let closes_turn = checked.block().header().kind.closes_turn();
        self.chain.append(checked, executed).expect("the state is the executed one");
        if closes_turn {
            self.open = self.chain.open_turn();
        }
    }
}

/// The hash chains of all parties.
#[derive(Debug)]
struct HashChains {
    server: HashChain,
    starts: Vec<ChainStart>,
    seats: Vec<HashChain>,
}

impl HashChains {
    fn of(plan: &Plan) -> Option<Self> {
        if plan.randomness == RandomnessMode::None {
            return None;
        }
        let turns = plan.turns_max.expect("a plan with commit and reveal has a last turn");
        let server = chain_secret().chain(NONCE, turns);
        let nonces = (0..plan.seats).map(|seat| [seat; 32]);
        let seats: Vec<_> =
            nonces.clone().map(|nonce| identity_key(nonce[0]).seat_chain(nonce, turns)).collect();
        let starts = nonces.zip(&seats).map(|(nonce, chain)| ChainStart { nonce, anchor: chain.anchor() });
        Some(Self { server, starts: starts.collect(), seats })
    }
}

/// Root key of every service here.
pub fn root_key() -> SecretKey {
    key(0, 0)
}

/// The block signer with this serial.
pub fn signer_key(serial: u32) -> SecretKey {
    key(1, serial)
}

/// What the server's hash chains come of.
pub fn chain_secret() -> ChainSecret {
    ChainSecret::new(&[3; 32])
}

/// The certificate of a block signer.
pub fn certificate(serial: u32) -> SignedCertificate {
    let certificate = Certificate {
        version: Certificate::VERSION,
        role: KeyRole::Block,
        key: signer_key(serial).public(),
        serial,
        valid_from: Millis::new(0),
        valid_to: Millis::new(u64::MAX),
    };
    SignedCertificate::issue(&root_key(), &certificate)
}

/// The identity of the player who has this seat.
pub fn identity_key(seat: u8) -> SecretKey {
    key(2, u32::from(seat))
}

fn key(role: u8, number: u32) -> SecretKey {
    let mut seed = [role; 32];
    seed[..4].copy_from_slice(&number.to_le_bytes());
    SecretKey::from_seed(&seed)
}

/// The genesis of a match.
pub fn genesis(plan: &Plan) -> Genesis {
    let rules = newest_rules(plan.rules).expect("rules of this build");
    let players = (0..plan.seats - plan.open).map(|seat| SeatHolder::Player(identity_key(seat).public()));
    let open = (0..plan.open).map(|_| SeatHolder::Open);
    Genesis {
        version: Genesis::VERSION,
        service: root_key().public(),
        rules: RulesId { name: rules.name.to_owned(), version: rules.version },
        options: (rules.options)(plan.size),
        seats: players.chain(open).collect(),
        turns: TurnRules {
            mode: plan.mode,
            deadline_ms: DEADLINE_MS,
            clock: plan.clock,
            grace_ms: plan.grace_ms,
            turns_max: plan.turns_max,
        },
        absence: plan.absence,
        double_transactions: DoubleTransactionPolicy::KeepFirst,
        visibility: plan.visibility,
        randomness: match HashChains::of(plan) {
            None => Randomness::None,
            Some(chains) => Randomness::CommitReveal { server: chains.server.anchor(), seats: chains.starts },
        },
        takebacks: plan.takebacks,
        agreements: plan.agreements,
        spectators: SpectatorPolicy::Allowed { delay_turns: 0 },
        parent: None,
        signer: certificate(FIRST_SERIAL),
        created: Millis::new(1_764_000_000_000),
        nonce: NONCE,
    }
}

fn leaf(entry: &Entry) -> Digest {
    let Entry { received, transaction } = entry;
    let received = received.get().to_le_bytes();
    hash(Context::BodyLeaf, &[&received, &transaction.body, transaction.signature.as_bytes()])
}

/// How long a turn is open.
pub const DEADLINE_MS: u32 = 30_000;

const FIRST_SERIAL: u32 = 1;

const NONCE: [u8; 16] = [7; 16];

/// Nobody hides anything from a test.
const SALT: [u8; 32] = [9; 32];
