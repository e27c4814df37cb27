//! A shell around one room that does only what it is told: a clock that stands still, a store that writes and
//! answers when asked to, and players who sign.
//!
//! Whatever the room does, the shell watches one rule: nothing is told that the store has not confirmed.

#![allow(dead_code, reason = "each test uses its part")]
#![allow(clippy::unwrap_used, reason = "only in tests")]

mod store;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use cadastre_protocol::{
    AbsencePolicy, Access, AgreementPolicy, Attempt, BlockKind, Certificate, ChainSecret, Clock, Delegation,
    Digest, DisplayName, DoubleTransactionPolicy, EnterAs, Epoch, Failure, Genesis, GoodbyeReason, Head,
    Height, KeyRole, Line, MatchId, Millis, Pass, ProvenBlock, ProvenHeader, ProvenReceipt, PublicKey,
    RandomnessMode, ReadBlock, Receipt, Refusal, RoomName, RoomSpec, SealReason, Seat, SecretKey, Seq,
    ServerMessage, ShownPass, SignedCertificate, SignedDelegation, SignedTransaction, SpectatorPolicy,
    TakebackPolicy, TalkPlace, Transaction, TransactionBody, Turn, TurnMode, Visibility, decode_exact,
};
use cadastre_rooms::{Event, GuestId, Host, Input, Output, Restored, Room, Shown};
use cadastre_simulations::Game;

pub(crate) use store::Store;

pub(crate) const NOW: Millis = Millis::new(1_795_000_000_000);
pub(crate) const DEADLINE_MS: u64 = 10_000;
pub(crate) const SPECTATORS_MAX: usize = 2;
/// Serial of the first block signer.
pub(crate) const SERIAL: u32 = 2;

/// A room, its store and its clock.
pub(crate) struct Shell {
    pub(crate) room: Room,
    pub(crate) now: Millis,
    pub(crate) store: Store,
    /// Connections of the players, by seat; kept by the tests that need them.
    pub(crate) guests: Vec<GuestId>,
    pub(crate) events: Vec<Event>,
    /// When the room wants to be woken.
    pub(crate) wake: Option<Millis>,
    /// What light spectators may see.
    pub(crate) shown: Vec<Arc<Shown>>,
    told: BTreeMap<GuestId, Vec<Told>>,
    /// What each guest was told last of what was said before it came.
    conversations: BTreeMap<GuestId, (TalkPlace, Vec<Line>)>,
    /// Guests that the room has parted with.
    parted: BTreeSet<GuestId>,
    /// Guests that only watch.
    watchers: BTreeSet<GuestId>,
    /// Does the store write and answer at once?
    prompt: bool,
    last_guest: u64,
}

/// What a guest was told.
#[allow(clippy::large_enum_variant, reason = "only in tests")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Message(ServerMessage),
    /// Is shown what comes after this block.
    Watches {
        after: Height,
    },
    NotAdmitted(Failure),
    Dismissed(GoodbyeReason),
}

impl Shell {
    pub(crate) fn open(spec: RoomSpec) -> Self {
        Self::around(Room::open(room_name(), host(), spec).unwrap(), Store::default(), NOW)
    }

    /// A match in its first turn, everybody told of it, everything confirmed.
    pub(crate) fn playing(spec: RoomSpec) -> Self {
        let mut shell = Self::joining(spec);
        for seat in shell.seats() {
            shell.submit(shell.guest(seat), shell.join(seat));
        }
        assert_eq!(shell.head().height, Height::new(1));
        shell.forget_told();
        shell
    }

    /// A frozen lobby, everybody told of it.
    pub(crate) fn joining(spec: RoomSpec) -> Self {
        let seats = spec.seats;
        let mut shell = Self::open(spec);
        shell.guests = (0..seats).map(|player| shell.enter(player)).collect();
        for guest in shell.guests.clone() {
            shell.ready(guest);
        }
        assert!(shell.room.genesis().is_some(), "the lobby is frozen");
        shell.forget_told();
        shell
    }

    fn around(room: Room, store: Store, now: Millis) -> Self {
        Self {
            room,
            now,
            store,
            guests: Vec::new(),
            events: Vec::new(),
            wake: None,
            told: BTreeMap::new(),
            conversations: BTreeMap::new(),
            parted: BTreeSet::new(),
            watchers: BTreeSet::new(),
            shown: Vec::new(),
            prompt: true,
            last_guest: 0,
        }
    }

    /// The server dies, and comes back with what its store has written.
    pub(crate) fn crash(&mut self) {
        self.store.crash();
        let restored = self.store.restored(self.now).unwrap();
        self.come_back(restored);
    }

    /// Another room takes the place of this one, all connections are lost.
    pub(crate) fn come_back(&mut self, restored: Restored) {
        let room = Room::restore(room_name(), self.host(), restored, self.now).unwrap();
        self.take_place(room);
    }

    /// The room is dropped and woken again.
    pub(crate) fn wake_up(&mut self) {
        let restored = self.store.restored(self.now).unwrap();
        let room = Room::wake(room_name(), self.host(), restored, self.now).unwrap();
        self.take_place(room);
    }

    fn host(&self) -> Host {
        let signer = certificate_of(self.store.serial(), Millis::new(0), Millis::new(u64::MAX));
        Host { signer, ..host() }
    }

    fn take_place(&mut self, room: Room) {
        let (now, last_guest) = (self.now, self.last_guest);
        let store = std::mem::take(&mut self.store);
        *self = Self { last_guest, ..Self::around(room, store, now) };
        self.carry_out();
    }

    /// From now on the store writes and answers only when it is told to.
    pub(crate) fn withhold(&mut self) {
        self.prompt = false;
    }

    /// The store writes what waits, and keeps the answers back.
    pub(crate) fn write(&mut self) {
        self.store.write();
    }

    /// The store writes what waits and answers; from now on at once.
    pub(crate) fn confirm(&mut self) {
        self.prompt = true;
        self.carry_out();
    }

    /// The store writes and answers the oldest commit only.
    pub(crate) fn confirm_one(&mut self) {
        self.store.write();
        let proofs = self.store.answer().expect("a commit is under way");
        self.room.handle(self.now, Input::Committed { proofs });
        self.carry_out();
    }

    pub(crate) fn feed(&mut self, input: Input) {
        self.room.handle(self.now, input);
        self.carry_out();
    }

    pub(crate) fn enter(&mut self, player: u8) -> GuestId {
        self.enter_as(player, EnterAs::Player)
    }

    pub(crate) fn watch(&mut self, player: u8) -> GuestId {
        self.enter_as(player, EnterAs::Spectator)
    }

    pub(crate) fn enter_as(&mut self, player: u8, enter_as: EnterAs) -> GuestId {
        self.enter_with(player, enter_as, None)
    }

    pub(crate) fn enter_with(&mut self, player: u8, enter_as: EnterAs, pass: Option<Pass>) -> GuestId {
        let guest = self.new_guest_as(enter_as);
        let (identity, name) = (identity(player), name(player));
        let shown = pass.map(|pass| Box::new(ShownPass { pass, session: Digest::ZERO }));
        self.feed(Input::Enter { guest, identity, enter_as, name, shown });
        guest
    }

    pub(crate) fn resume(&mut self, player: u8, enter_as: EnterAs, height: u64) -> GuestId {
        let (guest, height) = (self.new_guest_as(enter_as), Height::new(height));
        let known = height <= self.store.height();
        self.feed(Input::Resume { guest, identity: identity(player), enter_as, height, known, shown: None });
        guest
    }

    fn new_guest_as(&mut self, enter_as: EnterAs) -> GuestId {
        let guest = self.new_guest();
        if enter_as != EnterAs::Player {
            self.watchers.insert(guest);
        }
        guest
    }

    pub(crate) fn new_guest(&mut self) -> GuestId {
        self.last_guest += 1;
        GuestId::new(self.last_guest)
    }

    pub(crate) fn ready(&mut self, guest: GuestId) {
        self.feed(Input::Ready { guest, ready: true, chain: None });
    }

    pub(crate) fn leave(&mut self, guest: GuestId) {
        self.feed(Input::Leave { guest });
    }

    pub(crate) fn submit(&mut self, guest: GuestId, transaction: SignedTransaction) {
        self.feed(Input::Submit { guest, transaction });
    }

    /// The seat's own connection hands in commands.
    pub(crate) fn act(&mut self, seat: Seat, commands: Vec<u8>) {
        self.submit(self.guest(seat), self.turn(seat, commands));
    }

    /// Every seat that the turn waits for does nothing, and says so.
    pub(crate) fn pass_turn(&mut self) {
        for seat in self.chain().required().iter() {
            self.act(seat, Vec::new());
        }
    }

    /// Every seat that the turn waits for does what its bot would.
    pub(crate) fn play_turn(&mut self) {
        let game = self.store.replay().1;
        for seat in self.chain().required().iter() {
            self.act(seat, game.simulation().suggest(seat));
        }
    }

    /// Lets time pass, and wakes the room whenever it wants to be.
    pub(crate) fn pass(&mut self, span_ms: u64) {
        let until = self.now.after(span_ms);
        while let Some(wake) = self.wake.filter(|wake| *wake <= until) {
            self.now = self.now.max(wake);
            self.wake = None;
            self.feed(Input::Timeout);
        }
        self.now = until;
    }

    /// What a guest was told since the last call.
    pub(crate) fn told(&mut self, guest: GuestId) -> Vec<Told> {
        self.told.remove(&guest).unwrap_or_default()
    }

    /// What a guest was told since the last call, all of it messages.
    pub(crate) fn messages(&mut self, guest: GuestId) -> Vec<ServerMessage> {
        let message = |told| match told {
            Told::Message(message) => message,
            Told::Watches { .. } | Told::NotAdmitted(_) | Told::Dismissed(_) => panic!("{told:?}"),
        };
        self.told(guest).into_iter().map(message).collect()
    }

    /// The blocks that a guest was told since the last call, and nothing else.
    pub(crate) fn blocks(&mut self, guest: GuestId) -> Vec<ReadBlock> {
        let block = |message| {
            let ServerMessage::Block(block) = message else { panic!("{message:?}") };
            read(block)
        };
        self.messages(guest).into_iter().map(block).collect()
    }

    /// The one receipt that a guest was told since the last call, and nothing else.
    pub(crate) fn receipt(&mut self, guest: GuestId) -> ProvenReceipt {
        match self.messages(guest).as_slice() {
            [ServerMessage::Receipt(receipt)] => receipt.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// The one refusal that a guest was told since the last call, and nothing else.
    pub(crate) fn refusal(&mut self, guest: GuestId) -> Refusal {
        match self.messages(guest).as_slice() {
            [ServerMessage::Refused { refusal, .. }] => refusal.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// Where a guest talks, and what it was told of it at once.
    pub(crate) fn conversation(&self, guest: GuestId) -> &(TalkPlace, Vec<Line>) {
        &self.conversations[&guest]
    }

    pub(crate) fn forget_told(&mut self) {
        self.told.clear();
        self.events.clear();
    }

    pub(crate) fn guest(&self, seat: Seat) -> GuestId {
        self.guests[seat.index()]
    }

    pub(crate) fn chain(&self) -> &cadastre_protocol::Chain {
        self.room.chain().expect("the match has begun")
    }

    pub(crate) fn head(&self) -> Head {
        *self.chain().head()
    }

    pub(crate) fn seats(&self) -> Vec<Seat> {
        Seat::first(self.room.seat_count()).collect()
    }

    /// The Join of a seat, as its player signs it.
    pub(crate) fn join(&self, seat: Seat) -> SignedTransaction {
        let genesis = self.room.genesis().expect("the lobby is frozen");
        sign(&join_of(genesis, seat))
    }

    /// The commands of a seat for the open turn, as its player signs them.
    pub(crate) fn turn(&self, seat: Seat, commands: Vec<u8>) -> SignedTransaction {
        sign(&self.draft(seat, TransactionBody::Turn(commands)))
    }

    /// A transaction on top of the room's head, the next one of its seat.
    pub(crate) fn draft(&self, seat: Seat, body: TransactionBody) -> Transaction {
        let (chain, head) = (self.chain(), self.head());
        let next = chain.next_of(seat).unwrap();
        Transaction {
            version: Transaction::VERSION,
            match_id: chain.match_id(),
            seat,
            epoch: next.epoch.unwrap(),
            seq: next.seq,
            prev_tx: next.prev_tx,
            turn: chain.next_turn().unwrap_or(Turn::START),
            attempt: head.attempt,
            seen_height: head.height,
            seen_block: head.block,
            seen_state_root: head.state_root,
            chain_element: None,
            body,
        }
    }

    /// A delegation of the next epoch, and commands under it.
    pub(crate) fn delegate_and_act(&self, seat: Seat, commands: Vec<u8>) -> [SignedTransaction; 2] {
        let mut draft = self.draft(seat, TransactionBody::Turn(commands));
        draft.epoch = draft.epoch.next().unwrap();
        let delegation = delegation(seat, draft.match_id, draft.epoch, None);
        let opening = sign(&Transaction { body: TransactionBody::Delegate(delegation), ..draft.clone() });
        let seq = draft.seq.next().unwrap();
        [opening.clone(), sign(&Transaction { seq, prev_tx: opening.hash(), ..draft })]
    }

    fn carry_out(&mut self) {
        loop {
            while let Some(output) = self.room.poll() {
                self.obey(output);
            }
            if !self.prompt {
                return;
            }
            self.store.write();
            let Some(proofs) = self.store.answer() else { return };
            self.room.handle(self.now, Input::Committed { proofs });
        }
    }

    fn obey(&mut self, output: Output) {
        match output {
            Output::Commit(records) => self.store.hand_over(records),
            Output::Send { to, message } => self.tell(to, Told::Message(message)),
            Output::Broadcast { to, message } => {
                for guest in to {
                    self.tell(guest, Told::Message(message.clone()));
                }
            }
            Output::FirstState { to, state } => {
                for message in ServerMessage::chunks_of(state.to_vec()) {
                    to.iter().for_each(|guest| self.tell(*guest, Told::Message(message.clone())));
                }
            }
            Output::CatchUp { guest, after, to } => {
                let known = self.known_to(guest);
                assert_eq!(to, known, "caught up to all that is confirmed, and no further");
                for block in self.store.blocks_after(after, to) {
                    self.tell(guest, Told::Message(ServerMessage::Block(block)));
                }
                self.tell(guest, Told::Message(ServerMessage::CaughtUp { height: to }));
            }
            Output::Watch { guest, after } => self.tell(guest, Told::Watches { after }),
            Output::Show(shown) => {
                assert!(shown.height <= self.store.watched(self.now), "shown before its time");
                let block = self.store.blocks_after(Height::GENESIS, shown.height).pop();
                let header = block.map(|block| ProvenHeader::of(&block).unwrap());
                assert_eq!(header.as_ref(), Some(&shown.block), "a block that a crash could take back");
                assert_eq!(shown.tree.root(), shown.block.read().unwrap().state_root);
                assert_eq!(shown.state.tree().root(), shown.tree.root());
                self.shown.push(shown);
            }
            Output::Refuse { guest, failure } => {
                self.tell(guest, Told::NotAdmitted(failure));
                self.parted.insert(guest);
            }
            Output::Dismiss { guest, reason } => {
                self.tell(guest, Told::Dismissed(reason));
                self.parted.insert(guest);
            }
            Output::WakeAt(time) => self.wake = Some(time),
            Output::Observed(event) => self.events.push(event),
        }
    }

    /// The newest block that a guest may know of.
    fn known_to(&self, guest: GuestId) -> Height {
        if self.watchers.contains(&guest) { self.store.watched(self.now) } else { self.store.confirmed() }
    }

    /// What is said at a match is told when it is on disk.
    fn check_line(&self, line: &Line) {
        let place = line.talk.clone().read().unwrap().get().place.clone();
        let is_stored = matches!(place, TalkPlace::Lobby { .. }) || self.store.has_confirmed_line(line);
        assert!(is_stored, "a line that a crash could take back");
    }

    fn tell(&mut self, guest: GuestId, told: Told) {
        assert!(!self.parted.contains(&guest), "{told:?} for {guest:?}, whom the room has parted with");
        match &told {
            Told::Message(ServerMessage::Block(block)) => {
                assert!(self.store.has_confirmed_block(block), "a block that a crash could take back");
                let height = read(block.clone()).header().height;
                assert!(height <= self.known_to(guest), "a block that is withheld from those who watch");
            }
            Told::Message(ServerMessage::Receipt(receipt)) => {
                assert!(self.store.has_confirmed_receipt(receipt), "a receipt that a crash could take back");
            }
            Told::Message(ServerMessage::Said(line)) => self.check_line(line),
            // Every guest is told, whenever it comes: kept apart, since most tests are about something else.
            Told::Message(ServerMessage::Conversation { place, lines }) => {
                lines.iter().for_each(|line| self.check_line(line));
                self.conversations.insert(guest, (place.clone(), lines.clone()));
                return;
            }
            Told::Message(_) | Told::Watches { .. } | Told::NotAdmitted(_) | Told::Dismissed(_) => {}
        }
        self.told.entry(guest).or_default().push(told);
    }
}

/// Boxes of the smallest size: twelve edges.
pub(crate) fn spec(seats: u8) -> RoomSpec {
    RoomSpec {
        rules: "boxes".into(),
        size: Some(2),
        seats,
        mode: TurnMode::Simultaneous,
        turns_max: None,
        deadline_ms: Some(u32::try_from(DEADLINE_MS).unwrap()),
        spectators: SpectatorPolicy::AT_ONCE,
        double_transactions: DoubleTransactionPolicy::KeepFirst,
        visibility: Visibility::Held,
        randomness: RandomnessMode::None,
        takebacks: TakebackPolicy::Never,
        agreements: AgreementPolicy::NONE,
        clock: Clock::PerTurn,
        absence: AbsencePolicy::USUAL,
        seats_min: seats,
        access: Access::PUBLIC,
        fork: None,
        late_joins: false,
        grace_ms: 0,
    }
}

pub(crate) fn alternating(seats: u8) -> RoomSpec {
    RoomSpec { mode: TurnMode::Alternating, ..spec(seats) }
}

pub(crate) fn host() -> Host {
    Host {
        root: root_key().public(),
        signer: certificate(Millis::new(0), Millis::new(u64::MAX)),
        entropy: [9; 32],
        deadline_ms: 1_000,
        spectators_max: SPECTATORS_MAX,
        chain_secret: ChainSecret::new(&[77; 32]),
    }
}

/// Certificate of the first block signer.
pub(crate) fn certificate(valid_from: Millis, valid_to: Millis) -> SignedCertificate {
    certificate_of(SERIAL, valid_from, valid_to)
}

/// Certificate of the block signer of a serial.
pub(crate) fn certificate_of(serial: u32, valid_from: Millis, valid_to: Millis) -> SignedCertificate {
    let (role, key) = (KeyRole::Block, signer_key(serial).public());
    let certificate = Certificate { version: Certificate::VERSION, role, key, serial, valid_from, valid_to };
    SignedCertificate::issue(&root_key(), &certificate)
}

pub(crate) fn root_key() -> SecretKey {
    SecretKey::from_seed(&[100; 32])
}

/// The block key of a serial.
pub(crate) fn signer_key(serial: u32) -> SecretKey {
    let mut seed = [101; 32];
    seed[..4].copy_from_slice(&serial.to_le_bytes());
    SecretKey::from_seed(&seed)
}

pub(crate) fn key(player: u8) -> SecretKey {
    SecretKey::from_seed(&[player; 32])
}

pub(crate) fn identity(player: u8) -> PublicKey {
    key(player).public()
}

pub(crate) fn name(player: u8) -> DisplayName {
    DisplayName::new(&format!("player {player}")).unwrap()
}

pub(crate) fn room_name() -> RoomName {
    RoomName::new("arena").unwrap()
}

pub(crate) fn seat(index: u8) -> Seat {
    Seat::new(index).unwrap()
}

/// Signs with the session key that the transaction's seat and epoch fix; player `n` holds seat `n`.
pub(crate) fn sign(transaction: &Transaction) -> SignedTransaction {
    let session = key(transaction.seat.get()).session(transaction.match_id, transaction.epoch);
    SignedTransaction::sign(&session, transaction)
}

pub(crate) fn delegation(
    seat: Seat,
    match_id: MatchId,
    epoch: Epoch,
    valid_to: Option<Millis>,
) -> SignedDelegation {
    let identity = key(seat.get());
    let session = identity.session(match_id, epoch).public();
    let delegation = Delegation { version: Delegation::VERSION, match_id, seat, epoch, session, valid_to };
    SignedDelegation::sign(&identity, &delegation)
}

/// A player lets the session key of an epoch speak for any seat.
pub(crate) fn delegation_by(player: u8, seat: Seat, match_id: MatchId, epoch: Epoch) -> SignedDelegation {
    let session = key(player).session(match_id, epoch).public();
    let (version, valid_to) = (Delegation::VERSION, None);
    SignedDelegation::sign(&key(player), &Delegation { version, match_id, seat, epoch, session, valid_to })
}

pub(crate) fn join_of(genesis: &Genesis, seat: Seat) -> Transaction {
    let match_id = genesis.match_id();
    Transaction {
        version: Transaction::VERSION,
        match_id,
        seat,
        epoch: Epoch::FIRST,
        seq: Seq::JOIN,
        prev_tx: match_id.as_tx(),
        turn: Turn::START,
        attempt: Attempt::FIRST,
        seen_height: Height::GENESIS,
        seen_block: match_id.as_block(),
        seen_state_root: Game::of_match(genesis).unwrap().state_root(),
        chain_element: None,
        body: TransactionBody::Join(delegation(seat, match_id, Epoch::FIRST, None)),
    }
}

/// The command that draws an edge, by the byte table in `docs/games.md`.
pub(crate) fn edge(number: u16) -> Vec<u8> {
    number.to_le_bytes().to_vec()
}

pub(crate) fn read(block: ProvenBlock) -> ReadBlock {
    block.read().unwrap().block().clone()
}

pub(crate) fn receipt_of(proven: &ProvenReceipt) -> Receipt {
    let receipt = proven.verify(proven.proof.serial, &signer_key(proven.proof.serial).enrolled()).unwrap();
    assert_eq!(decode_exact::<Receipt>(&proven.receipt), Ok(receipt.clone()));
    receipt
}

pub(crate) fn kind(block: &ReadBlock) -> &BlockKind {
    &block.header().kind
}

pub(crate) fn seal_reason(block: &ReadBlock) -> Option<SealReason> {
    match kind(block) {
        BlockKind::Seal { reason, .. } => Some(*reason),
        BlockKind::Start
        | BlockKind::Turn
        | BlockKind::Commit
        | BlockKind::Reopen { .. }
        | BlockKind::Takeback { .. }
        | BlockKind::KeyChange { .. } => None,
    }
}
