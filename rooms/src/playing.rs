//! A match that runs: transactions come in, blocks go out.

mod seating;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use cadastre_protocol::{
    AbsenceReason, Admission, Agreement, Attempt, BlockError, BlockKind, Chain, ChainState, CheckedBlock,
    ChunkId, CompareAnswer, CompareRequest, DisplayName, DoubleTransactionPolicy, Draft, EnterAs, Epoch,
    GenesisError, HashChain, Height, Line, Millis, Motion, OpenTurn, ProvenBlock, ProvenHeader,
    ProvenReceipt, PublicKey, Randomness, ReadBlock, ReadEntry, ReadTransaction, Receipt, Refusal, Relay,
    ReopenReason, SealReason, Seat, SeatSet, ServerMessage, ServerProof, SignedCertificate,
    SignedTransaction, StateTree, TAKEBACK_TURNS_MAX, TransactionBody, Turn, TxHash, Visibility, Work,
    block_leaf, encode,
};
use cadastre_simulations::{Game, Incident, Snapshot, State};

use self::seating::Arrivals;
pub(crate) use self::seating::Lent;
use crate::{
    curtain::{Curtain, Withheld},
    heal::Comparisons,
    input::{Event, GuestId, Record, Records, Shown},
    room::{KEYFRAME_TURNS, Restored},
};

/// Chain and game of a match, and what of them is on disk.
#[derive(Debug)]
pub(crate) struct Playing {
    pub(crate) chain: Chain,
    game: Game,
    comparisons: Comparisons,
    /// The server's, in a match that has them.
    hash_chain: Option<HashChain>,
    open: OpenTurn,
    pub(crate) names: Vec<DisplayName>,
    /// Receipts of the open turn that are on disk.
    receipts: Vec<(Seat, TxHash, ProvenReceipt)>,
    /// Height of the newest block that is on disk: what others may know.
    pub(crate) committed: Height,
    /// Before those who watch.
    pub(crate) curtain: Curtain,
    /// To whom the seats are lent whose loans were shown.
    substitutes: BTreeMap<Seat, (PublicKey, Epoch)>,
    arrivals: Arrivals,
    /// What to tell when the commits under way are on disk, oldest first.
    outstanding: VecDeque<Outstanding>,
    /// Transactions of the newest block that has any: whoever hands one in again has that block, or gets it
    /// soon.
    closed: Vec<ReadEntry>,
    /// Seats that signed two transactions for one turn, and of which the evidence is kept.
    charged: SeatSet,
    /// In a match with takebacks: what the chain had come to after some of the last turns.
    marks: BTreeMap<Turn, ChainState>,
    events: Vec<Event>,
    /// Of blocks that are not committed yet, oldest first.
    made: VecDeque<Made>,
}

/// What a commit withholds until it is on disk.
#[derive(Debug)]
struct Outstanding {
    /// One for each provable record.
    releases: Vec<Release>,
    lines: Vec<Line>,
}

#[derive(Debug)]
enum Release {
    Receipt { seat: Seat, transaction: SignedTransaction, receipt: Vec<u8> },
    Block { turn: Turn, block: Vec<u8>, made: Box<Made> },
}

/// A block that is on its way to the disk, and the state after it.
#[derive(Debug)]
struct Made {
    kind: BlockKind,
    height: Height,
    server_time: Millis,
    signer: SignedCertificate,
    tree: StateTree,
    state: State,
    dirty: Vec<ChunkId>,
}

/// What can be told after a commit.
#[derive(Debug)]
pub(crate) enum Released {
    Seat(Seat, ServerMessage),
    /// Everybody but the holder of the seat.
    Others(Seat, ServerMessage),
    All(ServerMessage),
    /// Nobody who watches, or not yet.
    Players(ServerMessage),
    /// Those who watch and execute the match.
    Followers(ServerMessage),
    /// Those who watch and execute the match, of more blocks than were kept for them.
    CatchUp {
        after: Height,
        to: Height,
    },
    /// From now on nothing is withheld from those who watch.
    CurtainUp,
    Shown(Arc<Shown>),
    Line(Line),
}

impl Playing {
    /// Begins the match when all have joined.
    pub(crate) fn begin(
        chain: Chain,
        game: Game,
        hash_chain: Option<HashChain>,
        joins: OpenTurn,
        names: Vec<DisplayName>,
        now: Millis,
    ) -> Result<(Self, Record), BlockError> {
        let closed = joins.entries().to_vec();
        let element = hash_chain.as_ref().and_then(|own| own.element(chain.revealed_by_server()));
        let draft = chain.draft_start(joins, now, element).ok_or(BlockError::Exhausted)?;
        let mut playing = Self {
            open: chain.open_turn(),
            curtain: Curtain::new(chain.genesis().spectators, (Turn::START, Height::GENESIS), false),
            chain,
            comparisons: Comparisons::new(&game, Height::GENESIS, Attempt::FIRST),
            made: VecDeque::new(),
            game,
            hash_chain,
            names,
            receipts: Vec::new(),
            committed: Height::GENESIS,
            outstanding: VecDeque::new(),
            closed,
            charged: SeatSet::EMPTY,
            marks: BTreeMap::new(),
            events: Vec::new(),
            substitutes: BTreeMap::new(),
            arrivals: Arrivals::default(),
        };
        let record = playing.append(draft)?;
        Ok((playing, record))
    }

    /// Takes up a match from what the store had of it.
    pub(crate) fn restore(
        restored: Restored,
        hash_chain: Option<HashChain>,
        now: Millis,
    ) -> Result<Self, GenesisError> {
        let Restored { chain, game, names, accepted, newest, .. } = restored;
        if game.state_root() != chain.head().state_root {
            return Err(GenesisError::StateRoot);
        }
        if let Randomness::CommitReveal { server, .. } = chain.genesis().randomness
            && hash_chain.as_ref().map(HashChain::anchor) != Some(server)
        {
            return Err(GenesisError::HashChain);
        }
        let mut open = chain.open_turn();
        let mut receipts = Vec::new();
        for (received, transaction, receipt) in accepted {
            let admission = transaction
                .read()
                .ok()
                .and_then(|read| open.check(&chain, read, received).ok())
                .ok_or(GenesisError::State)?;
            let read = admission.transaction();
            receipts.push((read.get().seat, read.hash(), receipt));
            open.accept(admission);
        }
        let committed = chain.head().height;
        let head = (chain.head().turn, committed);
        let mut curtain = Curtain::new(chain.genesis().spectators, head, chain.sealed().is_some());
        for block in newest {
            curtain.pass(Withheld::stored(block).ok_or(GenesisError::State)?, now);
        }
        Ok(Self {
            curtain,
            comparisons: Comparisons::new(&game, chain.head().height, chain.head().attempt),
            made: VecDeque::new(),
            chain,
            game,
            hash_chain,
            open,
            names,
            receipts,
            committed,
            outstanding: VecDeque::new(),
            closed: Vec::new(),
            charged: SeatSet::EMPTY,
            marks: BTreeMap::new(),
            substitutes: BTreeMap::new(),
            arrivals: Arrivals::default(),
            events: Vec::new(),
        })
    }

    /// The latest time that stands in the match.
    pub(crate) fn latest(&self) -> Millis {
        let received = self.open.entries().iter().map(|entry| entry.received);
        received.fold(self.chain.head().server_time, Millis::max)
    }

    /// Goes on after the server was away: as [`Playing::wake`], and opens the turn again, so that nobody's time
    /// ran out meanwhile. A turn that was opened again too often keeps its deadline.
    pub(crate) fn go_on(
        &mut self,
        signer: &SignedCertificate,
        now: Millis,
    ) -> Result<Vec<Record>, BlockError> {
        let mut records = self.wake(signer, now)?;
        if self.chain.sealed().is_some() {
            return Ok(records);
        }
        let draft = self.chain.draft_reopen(ReopenReason::Restart, now).ok_or(BlockError::Exhausted)?;
        match self.append(draft) {
            Ok(record) => records.push(record),
            Err(BlockError::WrongKind) => {}
            Err(error) => return Err(error),
        }
        Ok(records)
    }

    /// Puts the server's block signer in force, if it is another one by now, and ends the match if only the Seal
    /// was missing.
    pub(crate) fn wake(
        &mut self,
        signer: &SignedCertificate,
        now: Millis,
    ) -> Result<Vec<Record>, BlockError> {
        let mut records = Vec::new();
        if self.chain.sealed().is_some() {
            return Ok(records);
        }
        if !self.chain.is_signed_under(signer) {
            let draft = self.chain.draft_key_change(signer.clone(), now).ok_or(BlockError::KeyChange)?;
            records.push(self.append(draft)?);
        }
        if let Some(reason) = self.chain.seal_due() {
            records.push(self.seal(reason, now)?);
        }
        Ok(records)
    }

    /// Judges a transaction that its sender may hand in for its seat.
    pub(crate) fn judge(&self, read: ReadTransaction, now: Millis) -> Result<Judged, Refusal> {
        if self.closed.iter().any(|entry| entry.transaction.hash() == read.hash()) {
            return Ok(Judged::Again(None));
        }
        if self.open.entries().iter().any(|entry| entry.transaction.hash() == read.hash()) {
            let receipt = self.receipts.iter().find(|(_, hash, _)| *hash == read.hash());
            return Ok(Judged::Again(receipt.map(|(_, _, receipt)| receipt.clone())));
        }
        let admission = self.open.check(&self.chain, read, now).map_err(Refusal::Chain)?;
        let tx = admission.transaction().get();
        if let TransactionBody::Turn(commands) = &tx.body {
            self.game.check(tx.seat, commands).map_err(|refused| Refusal::Command {
                command: refused.command,
                reason: refused.reason.to_owned(),
            })?;
        }
        Ok(Judged::New(Box::new(admission)))
    }

    /// Accepts a judged transaction, and closes the turn if it was the last one that the turn waited for. `present` are
    /// the seats that have a connection.
    pub(crate) fn accept(
        &mut self,
        admission: Admission,
        present: SeatSet,
        now: Millis,
    ) -> Result<Vec<Record>, BlockError> {
        let read: &ReadTransaction = admission.transaction();
        let (tx, signed) = (read.get(), read.signed().clone());
        let receipt = Receipt {
            version: Receipt::VERSION,
            match_id: tx.match_id,
            seat: tx.seat,
            seq: tx.seq,
            transaction: read.hash(),
            turn: tx.turn,
            attempt: tx.attempt,
            received: now,
        };
        let record = Record::Accepted {
            seat: tx.seat,
            seq: tx.seq,
            received: now,
            transaction: signed,
            leaf: receipt.leaf(),
            receipt: encode(&receipt),
        };
        let transaction = read.hash();
        self.open.accept(admission);
        let mut records = self.close_turns(present, now)?;
        // A block that closes the turn says all that the receipt would.
        if self.chain.sealed().is_none()
            && self.open.entries().iter().any(|entry| entry.transaction.hash() == transaction)
        {
            records.insert(0, record);
        }
        Ok(records)
    }

    /// Looks whether a transaction that was refused proves that its seat cheats: whether the seat has signed
    /// another one for the same turn. Keeps both then, and ends the match if its genesis says so.
    pub(crate) fn charge(&mut self, second: ReadTransaction, now: Millis) -> Result<Vec<Record>, BlockError> {
        let (seat, turn) = (second.get().seat, second.get().turn);
        let mut earlier = self.open.entries().iter().chain(&self.closed);
        let is_double = |e: &&ReadEntry| self.open.is_double(&self.chain, &e.transaction, &second);
        let Some(first) = earlier.find(is_double).cloned() else { return Ok(Vec::new()) };
        if self.charged.contains(seat) {
            return Ok(Vec::new());
        }
        self.charged.insert(seat);
        self.events.push(Event::Double { seat, turn });
        let opens_epoch = |e: &&ReadEntry| {
            let tx = e.transaction.get();
            (tx.seat, tx.epoch) == (seat, second.get().epoch)
                && matches!(tx.body, TransactionBody::Delegate(_))
        };
        let opening = self.open.entries().iter().find(opens_epoch).cloned();
        let second = ReadEntry { received: now, transaction: second };
        let entries: Vec<_> = opening.into_iter().chain([first, second]).collect();
        let transactions = entries.iter().map(|entry| entry.transaction.signed().clone()).collect();
        let mut records = vec![Record::Double { seat, transactions }];
        let ends = self.chain.genesis().double_transactions == DoubleTransactionPolicy::EndMatch;
        // Of a seat that was open at the head no block can show it: who has taken it stands in none yet.
        let is_shown = !self.chain.open_seats().contains(seat);
        if ends && is_shown && self.chain.sealed().is_none() && self.chain.seal_due().is_none() {
            let draft = self.chain.draft_double(seat, entries, now).ok_or(BlockError::Exhausted)?;
            records.push(self.append(draft)?);
        }
        Ok(records)
    }

    /// Ends the match because the operator wants it.
    pub(crate) fn end(&mut self, now: Millis) -> Result<Vec<Record>, BlockError> {
        if self.chain.sealed().is_some() {
            return Ok(Vec::new());
        }
        Ok(vec![self.seal(SealReason::Operator, now)?])
    }

    /// Closes the open turn if it waits for nobody or its time is up, and so on with those after it: where
    /// whoever is to move has resigned, nobody is waited for. Waits longer instead, where grace is due to a seat that is
    /// not `present`.
    pub(crate) fn close_turns(&mut self, present: SeatSet, now: Millis) -> Result<Vec<Record>, BlockError> {
        let mut records = Vec::new();
        if self.chain.sealed().is_none()
            && let Some(agreed) = self.open.agreed(&self.chain)
        {
            records.push(self.carry_out(agreed, now)?);
        }
        while self.chain.sealed().is_none() && self.open.is_closable(&self.chain, now) {
            let missing = self.open.missing(&self.chain, now).without(present);
            if !missing.is_empty() {
                records.push(self.give_grace(missing, now)?);
                continue;
            }
            let open = self.close();
            let element = self.hash_chain.as_ref();
            let element = element.and_then(|own| own.element(self.chain.revealed_by_server()));
            let draft = self.chain.draft_turn(open, now, element).ok_or(BlockError::Exhausted)?;
            records.push(self.append(draft)?);
            if let Some(reason) = self.chain.seal_due() {
                records.push(self.seal(reason, now)?);
            } else if !self.chain.is_revealing()
                && !self.chain.genesis().has_takebacks()
                && self.chain.head().turn.get().is_multiple_of(KEYFRAME_TURNS)
            {
                let (state, snapshot) = (Box::new(self.chain.state().clone()), self.game.snapshot());
                records.push(Record::Keyframe { state, snapshot });
            }
        }
        Ok(records)
    }

    /// Lets the open turn wait longer for seats that were there before, and have no connection.
    fn give_grace(&mut self, missing: SeatSet, now: Millis) -> Result<Record, BlockError> {
        let draft = self.chain.draft_reopen(ReopenReason::Grace, now).ok_or(BlockError::Exhausted)?;
        self.events.push(Event::Grace { ms: self.chain.genesis().turns.grace_ms, missing });
        self.append(draft)
    }

    /// Does what all have agreed on. Only a Takeback closes the open turn: a pause leaves it as it is.
    fn carry_out(&mut self, agreed: Agreement, now: Millis) -> Result<Record, BlockError> {
        let open = match agreed {
            Agreement::Takeback { .. } => self.close(),
            Agreement::Pause { .. } | Agreement::End => self.open.clone(),
        };
        let draft = self.chain.draft_agreed(open, now).ok_or(BlockError::Exhausted)?;
        self.append(draft)
    }

    /// Takes what has come for the open turn.
    fn close(&mut self) -> OpenTurn {
        let open = std::mem::replace(&mut self.open, self.chain.open_turn());
        if !open.entries().is_empty() {
            self.closed = open.entries().to_vec();
        }
        open
    }

    /// When there is something to do if nothing more comes: a turn to close, or a block to tell those who watch.
    pub(crate) fn wakes_at(&self) -> Option<Millis> {
        self.closes_at().into_iter().chain(self.curtain.due()).min()
    }

    /// When the open turn closes if nothing more comes.
    pub(crate) fn closes_at(&self) -> Option<Millis> {
        self.open.closes_at(&self.chain)
    }

    fn seal(&mut self, reason: SealReason, now: Millis) -> Result<Record, BlockError> {
        let draft = self.chain.draft_seal(reason, now).ok_or(BlockError::Exhausted)?;
        self.append(draft)
    }

    /// Executes a draft, checks the block with the verifier that everybody uses, and makes it the head.
    fn append(&mut self, draft: Draft) -> Result<Record, BlockError> {
        let work = draft.work(self.game.stand_in());
        let mut dirty = self.game.execute(&work).dirty;
        let forgets = matches!(work, Work::Begin { .. } | Work::Back { .. });
        match &work {
            Work::Begin { .. } => dirty = self.game.simulation().chunk_ids(),
            Work::Nothing | Work::Back { .. } => {}
            Work::Turn(orders) => {
                let turn = self.chain.head().turn.next().ok_or(BlockError::Exhausted)?;
                self.comparisons.executed(&self.game, turn, orders, &dirty);
            }
        }
        let executed = self.game.executed();
        let block = draft.finish(executed.state_root);
        let record = record_of(&block);
        let checked = self.chain.check(block)?;
        let kind = checked.block().header().kind.clone();
        let (closes_turn, is_turn) = (kind.closes_turn(), kind == BlockKind::Turn);
        self.note(&checked);
        self.chain.append(checked, executed)?;
        if forgets {
            let head = self.chain.head();
            self.comparisons = Comparisons::new(&self.game, head.height, head.attempt);
        }
        self.make(kind, dirty);
        if closes_turn {
            self.open = self.chain.open_turn();
            self.receipts.clear();
        }
        self.mark(is_turn);
        Ok(record)
    }

    /// Notes what there will be to show of the new head.
    fn make(&mut self, kind: BlockKind, dirty: Vec<ChunkId>) {
        self.made.push_back(Made {
            kind,
            height: self.chain.head().height,
            server_time: self.chain.head().server_time,
            signer: self.chain.signer_certificate().clone(),
            tree: self.game.tree().clone(),
            state: self.comparisons.state().clone(),
            dirty,
        });
    }

    /// What there is to show of the head, if it is on disk and this block.
    pub(crate) fn shown(&self, block: ProvenHeader) -> Option<Shown> {
        let head = self.chain.head();
        (self.curtain.open().1 == head.height && block.hash() == head.block).then(|| Shown {
            block,
            height: head.height,
            signer: self.chain.signer_certificate().clone(),
            tree: self.game.tree().clone(),
            state: self.comparisons.state().clone(),
            dirty: self.game.simulation().chunk_ids(),
        })
    }

    /// Keeps the chain's state for those turns whose state the game keeps.
    fn mark(&mut self, is_turn: bool) {
        let Some((earliest, _)) = self.game.earliest() else { return };
        let state = self.chain.state();
        let now = state.head().turn;
        if is_turn && now.get().is_multiple_of(TAKEBACK_TURNS_MAX) {
            self.marks.insert(now, state.clone());
        }
        self.marks.retain(|turn, _| (earliest..=now).contains(turn));
    }

    fn note(&mut self, checked: &CheckedBlock) {
        let header = checked.block().header();
        match &header.kind {
            BlockKind::Start => self.events.push(Event::Started { match_id: header.match_id }),
            BlockKind::Turn => {
                let absent = checked.block().absent().iter();
                let late = absent.filter(|a| is_late(a.reason)).map(|a| a.seat).collect();
                self.events.push(Event::TurnClosed { turn: header.turn, late, desynced: checked.desynced() });
            }
            BlockKind::Seal { reason, .. } => self.events.push(Event::Ended { reason: *reason }),
            BlockKind::Takeback { to_turn } => self.events.push(Event::TakenBack { to_turn: *to_turn }),
            BlockKind::Reopen { reason: ReopenReason::Pause { ms } } => {
                self.events.push(Event::Paused { ms: *ms });
            }
            BlockKind::Commit | BlockKind::Reopen { .. } | BlockKind::KeyChange { .. } => {}
        }
    }

    /// The chain's state where the match can be joined by a snapshot: after the head, or, where turns can be taken
    /// back, after one that no takeback can go behind any more. `None` as long as not all is on disk.
    pub(crate) fn joinable(&self) -> Option<&ChainState> {
        let state = match self.game.earliest() {
            Some((turn, _)) => self.marks.get(&turn)?,
            None => self.chain.state(),
        };
        (self.committed == self.chain.head().height && state.is_joinable()).then_some(state)
    }

    /// That state, and the game's.
    pub(crate) fn snapshot(&self) -> Option<(ChainState, Snapshot)> {
        let state = self.joinable()?.clone();
        let earliest = self.game.earliest().map(|(_, state)| state.snapshot());
        Some((state, earliest.unwrap_or_else(|| self.game.snapshot())))
    }

    /// Answers a guest, a player or not, whose state differs from a block's.
    pub(crate) fn compare(
        &mut self,
        guest: (GuestId, bool),
        request: CompareRequest,
    ) -> (Vec<CompareAnswer>, Option<Incident>) {
        self.comparisons.answer(&self.game, guest, request)
    }

    /// A guest is gone.
    pub(crate) fn forget(&mut self, guest: GuestId) {
        self.comparisons.forget(guest);
    }

    /// Takes what happened since the last call.
    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Notes what may be told once `records` are on disk.
    pub(crate) fn commit(&mut self, records: Vec<Record>) -> Records {
        let made = &mut self.made;
        let releases = records.iter().filter_map(|record| match record {
            Record::Accepted { seat, transaction, receipt, .. } => Some(Release::Receipt {
                seat: *seat,
                transaction: transaction.clone(),
                receipt: receipt.clone(),
            }),
            Record::Block { turn, block, .. } => {
                let made = made.pop_front().expect("every block was made by `append`");
                Some(Release::Block { turn: *turn, block: block.clone(), made: Box::new(made) })
            }
            Record::Begin { .. } | Record::Double { .. } | Record::Keyframe { .. } | Record::Said(_) => None,
        });
        let lines = records.iter().filter_map(|record| match record {
            Record::Said(line) => Some(line.clone()),
            Record::Begin { .. }
            | Record::Accepted { .. }
            | Record::Block { .. }
            | Record::Double { .. }
            | Record::Keyframe { .. } => None,
        });
        self.outstanding.push_back(Outstanding { releases: releases.collect(), lines: lines.collect() });
        Records { match_id: self.chain.match_id(), records }
    }

    /// Takes the proofs of the oldest commit and says what can be told now.
    pub(crate) fn committed(&mut self, proofs: Vec<ServerProof>, now: Millis) -> Vec<Released> {
        let Some(Outstanding { releases, lines }) = self.outstanding.pop_front() else { return Vec::new() };
        assert_eq!(releases.len(), proofs.len(), "one proof for each provable record");
        let proven = releases.into_iter().zip(proofs);
        let told = proven.flat_map(|(release, proof)| self.release(release, proof, now));
        told.chain(lines.into_iter().map(Released::Line)).collect()
    }

    fn release(&mut self, release: Release, proof: ServerProof, now: Millis) -> Vec<Released> {
        match release {
            Release::Receipt { seat, transaction, receipt } => {
                let receipt = ProvenReceipt { receipt, proof };
                let hash = transaction.hash();
                let mut released = vec![Released::Seat(seat, ServerMessage::Receipt(receipt.clone()))];
                // Of a turn that is closed already the others get the block.
                let still_open = self.open.entries().iter().any(|entry| entry.transaction.hash() == hash);
                if still_open {
                    self.receipts.push((seat, hash, receipt.clone()));
                    released.extend(self.stance_of(seat, &transaction).map(|m| Released::Others(seat, m)));
                    if self.is_open_for_all() {
                        let relay = ServerMessage::Relay(Box::new(Relay { transaction, receipt }));
                        released.push(Released::Others(seat, relay));
                    }
                }
                released
            }
            Release::Block { turn, block, made } => {
                let Made { kind, height, server_time, signer, tree, state, dirty } = *made;
                self.committed = height;
                self.name_arrivals();
                self.comparisons.release(turn, height);
                let block = ProvenBlock { block, proof };
                let shown = ProvenHeader::of(&block)
                    .map(|block| Arc::new(Shown { block, height, signer, tree, state, dirty }));
                self.tell_block(Withheld::new((kind, turn, height, server_time), block, shown.ok()), now)
            }
        }
    }

    /// Tells the players of a block, and those who watch of what is withheld from them no longer.
    fn tell_block(&mut self, block: Withheld, now: Millis) -> Vec<Released> {
        let message = ServerMessage::Block(block.block.clone());
        let was_drawn = self.curtain.is_drawn();
        let after = self.curtain.open().1;
        let told = self.curtain.pass(block, now);
        if !was_drawn {
            let shown = told.into_iter().filter_map(|block| block.shown).map(Released::Shown);
            return std::iter::once(Released::All(message)).chain(shown).collect();
        }
        let watched = tell_those_who_watch(after, told);
        let curtain_up = (!self.curtain.is_drawn()).then_some(Released::CurtainUp);
        std::iter::once(Released::Players(message)).chain(watched).chain(curtain_up).collect()
    }

    /// Tells those who watch what is withheld from them at `now` no longer.
    pub(crate) fn lift_curtain(&mut self, now: Millis) -> Vec<Released> {
        let after = self.curtain.open().1;
        tell_those_who_watch(after, self.curtain.tell(now))
    }

    /// The newest block that somebody may know of.
    pub(crate) const fn known_to(&self, enter_as: EnterAs) -> Height {
        match enter_as {
            EnterAs::Player => self.committed,
            EnterAs::Spectator | EnterAs::Light => self.curtain.open().1,
        }
    }

    /// What the others are told when a seat has said what it wants. A pause that has been, nobody wants again.
    fn stance_of(&self, seat: Seat, transaction: &SignedTransaction) -> Option<ServerMessage> {
        let read = transaction.clone().read().ok()?;
        match read.get().body {
            TransactionBody::Takeback { to_turn } => {
                let to_turn = (to_turn != self.chain.head().turn).then_some(to_turn);
                Some(ServerMessage::Takeback { seat, to_turn })
            }
            TransactionBody::Motion(Motion::Pause { .. })
                if read.get().seen_height < self.chain.last_pause() =>
            {
                None
            }
            TransactionBody::Motion(motion) => Some(ServerMessage::Motion { seat, motion }),
            TransactionBody::Join(_)
            | TransactionBody::Delegate(_)
            | TransactionBody::Turn(_)
            | TransactionBody::Commit(_)
            | TransactionBody::Reveal { .. }
            | TransactionBody::Resign
            | TransactionBody::LateJoin { .. } => None,
        }
    }

    /// Do all see at once what a seat does? Not once the match is over: nothing of the open turn has an effect.
    fn is_open_for_all(&self) -> bool {
        self.chain.genesis().visibility == Visibility::Open && self.chain.sealed().is_none()
    }

    /// What is told again of the open turn to somebody who comes: to a seat its receipts, and with open moves
    /// what others have done.
    pub(crate) fn news_for(&self, seat: Option<Seat>) -> Vec<ServerMessage> {
        let told = self.receipts.iter().filter_map(|(of, hash, receipt)| {
            if seat == Some(*of) {
                return Some(ServerMessage::Receipt(receipt.clone()));
            }
            let mut entries = self.open.entries().iter().filter(|_| self.is_open_for_all());
            let transaction = &entries.find(|entry| entry.transaction.hash() == *hash)?.transaction;
            let (transaction, receipt) = (transaction.signed().clone(), receipt.clone());
            Some(ServerMessage::Relay(Box::new(Relay { transaction, receipt })))
        });
        let wanted = self.receipts.iter().filter_map(|(of, hash, _)| {
            let mut entries = self.open.entries().iter().filter(|_| seat != Some(*of));
            let entry = entries.find(|entry| entry.transaction.hash() == *hash)?;
            self.stance_of(*of, entry.transaction.signed())
        });
        told.chain(wanted).collect()
    }

    /// Is the match over, and its last block on disk?
    pub(crate) fn has_ended(&self) -> bool {
        self.chain.sealed().is_some() && self.committed == self.chain.head().height
    }

    /// Is nothing under way to the disk?
    pub(crate) fn is_settled(&self) -> bool {
        self.outstanding.is_empty()
    }
}

/// What judging a transaction came to.
#[derive(Debug)]
pub(crate) enum Judged {
    /// It can be accepted.
    New(Box<Admission>),
    /// It was accepted before; its receipt, if that is on disk already.
    Again(Option<ProvenReceipt>),
}

/// Blocks for those who have the one at `after`.
fn tell_those_who_watch(after: Height, told: Vec<Withheld>) -> Vec<Released> {
    let is_next = |(block, height): (&Withheld, u64)| block.height.get() == height;
    let has_all = told.iter().zip(after.get() + 1..).all(is_next);
    let gap = told.last().filter(|_| !has_all).map(|newest| Released::CatchUp { after, to: newest.height });
    let each = told.into_iter().flat_map(|Withheld { block, shown, .. }| {
        let followed = has_all.then_some(Released::Followers(ServerMessage::Block(block)));
        followed.into_iter().chain(shown.map(Released::Shown))
    });
    gap.into_iter().chain(each).collect()
}

/// Did the turn wait for a seat with this reason in vain?
const fn is_late(reason: AbsenceReason) -> bool {
    match reason {
        AbsenceReason::Deadline
        | AbsenceReason::RevealMissing
        | AbsenceReason::Skipped
        | AbsenceReason::TakenOver => true,
        AbsenceReason::NotToMove | AbsenceReason::Resigned | AbsenceReason::OpenSeat => false,
    }
}

fn record_of(block: &ReadBlock) -> Record {
    let kind = &block.header().kind;
    Record::Block {
        height: block.header().height,
        turn: block.header().turn,
        hash: block.hash(),
        block: block.to_bytes(),
        leaf: block_leaf(block.hash()),
        signer: block.header().signer_serial,
        closes_turn: kind.closes_turn() || kind.seals(),
        seals: kind.seals(),
    }
}
