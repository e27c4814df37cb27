//! A room before its match: who sits where, who is ready, and the genesis that comes of it.

use cadastre_protocol::{
    Access, Admission, Chain, ChainStart, Context, DEADLINE_MS_MAX, DEADLINE_MS_MIN, DisplayName, ForkPoint,
    GRACE_MS_MAX, Genesis, HashChain, Lobby, LobbySeat, MatchId, Millis, OpenTurn, Parent, PublicKey,
    Randomness, RandomnessMode, ReadTransaction, Refusal, RoomName, RoomSpec, RulesId, Seat, SeatHolder,
    TurnRules, hash, may_commit_and_reveal, may_fork, may_join_late, may_take_back,
};
use cadastre_simulations::{Game, Rules, find_rules, newest_rules};

use crate::{playing::Judged, room::Host};

/// Most turns in a row without any action after which a match is abandoned: seats without time let them pass all at
/// once.
const ABANDON_AFTER_TURNS_MAX: u16 = 1_000;

/// What a seat is called that nobody has taken when the match begins.
const OPEN_SEAT: &str = "open seat";

/// The seats of a room whose match has not begun.
#[derive(Debug)]
pub(crate) struct Seats {
    spec: RoomSpec,
    rules: &'static Rules,
    seats: Vec<Option<Sitter>>,
    /// The match that theirs goes on from.
    parent: Option<Parent>,
    /// The one that was played in the room before: its rematch has another id, if nothing else differs.
    before: Option<MatchId>,
}

#[derive(Clone, Debug)]
struct Sitter {
    identity: PublicKey,
    name: DisplayName,
    ready: bool,
    chain: Option<ChainStart>,
    /// The one that the Join for a match showed which did not begin.
    used: Option<ChainStart>,
}

impl Seats {
    /// `None` when this build cannot play what `spec` asks for.
    pub(crate) fn new(spec: RoomSpec) -> Option<Self> {
        let rules = newest_rules(&spec.rules)?;
        let (seats_min, seats_max) = rules.seats;
        let (size_min, usual, size_max) = rules.sizes;
        let deadline_fits =
            spec.deadline_ms.is_none_or(|ms| (DEADLINE_MS_MIN..=DEADLINE_MS_MAX).contains(&ms));
        let fits = (seats_min..=seats_max).contains(&spec.seats)
            && (seats_min..=spec.seats).contains(&spec.seats_min)
            && (size_min..=size_max).contains(&spec.size.unwrap_or(usual))
            && spec.turns_max != Some(0)
            && (spec.randomness == RandomnessMode::None || may_commit_and_reveal(spec.turns_max))
            && may_take_back(spec.takebacks, spec.randomness)
            && may_fork(spec.fork.is_some(), spec.randomness)
            && (!spec.late_joins || may_join_late(spec.randomness, spec.visibility))
            && deadline_fits
            && spec.grace_ms <= GRACE_MS_MAX
            && spec.spectators.is_supported()
            && spec.clock.validate().is_ok()
            && spec.absence.validate().is_ok()
            && spec.agreements.validate().is_ok()
            && spec.absence.abandon_after() <= ABANDON_AFTER_TURNS_MAX;
        fits.then(|| Self {
            seats: vec![None; usize::from(spec.seats)],
            spec,
            rules,
            parent: None,
            before: None,
        })
    }

    /// `None` too when the newest rules are not those that the parent was played by.
    pub(crate) fn of_fork(spec: RoomSpec, parent: Parent, rules: &RulesId) -> Option<Self> {
        let fits = spec.fork == Some(ForkPoint { match_id: parent.match_id, turn: parent.turn });
        let seats = Self::new(spec).filter(|_| fits)?;
        let is_same = (seats.rules.name, seats.rules.version) == (rules.name.as_str(), rules.version);
        is_same.then_some(Self { parent: Some(parent), ..seats })
    }

    /// The seats of a match that is over, everybody a seat further: as many as it had. `None` when this build cannot
    /// play it any more.
    pub(crate) fn again(
        genesis: &Genesis,
        holders: &[Option<PublicKey>],
        names: Vec<DisplayName>,
        access: Access,
    ) -> Option<Self> {
        let rules = find_rules(&genesis.rules.name, genesis.rules.version)?;
        let (smallest, _, largest) = rules.sizes;
        let spec = RoomSpec {
            rules: genesis.rules.name.clone(),
            size: Some((smallest..=largest).find(|size| (rules.options)(*size) == genesis.options)?),
            seats: genesis.seat_count(),
            mode: genesis.turns.mode,
            turns_max: genesis.turns.turns_max,
            deadline_ms: Some(genesis.turns.deadline_ms),
            spectators: genesis.spectators,
            double_transactions: genesis.double_transactions,
            visibility: genesis.visibility,
            randomness: genesis.randomness.mode(),
            takebacks: genesis.takebacks,
            agreements: genesis.agreements,
            clock: genesis.turns.clock,
            absence: genesis.absence,
            seats_min: u8::try_from(holders.iter().flatten().count()).ok()?,
            access,
            fork: genesis.parent.map(|Parent { match_id, turn, .. }| ForkPoint { match_id, turn }),
            late_joins: genesis.seats.contains(&SeatHolder::Open),
            grace_ms: genesis.turns.grace_ms,
        };
        let sitter = |(holder, name): (&Option<PublicKey>, DisplayName)| {
            holder.map(|identity| Sitter { identity, name, ready: false, chain: None, used: None })
        };
        let mut seats: Vec<_> = holders.iter().zip(names).map(sitter).collect();
        seats.rotate_right(1);
        let (parent, before) = (genesis.parent, Some(genesis.match_id()));
        Some(Self { rules, seats, parent, before, ..Self::new(spec)? })
    }

    pub(crate) const fn spec(&self) -> &RoomSpec {
        &self.spec
    }

    /// Seats `identity`, or finds it seated. `None` when the room is full.
    pub(crate) fn sit(&mut self, identity: PublicKey, name: DisplayName) -> Option<Seat> {
        let free = || self.seats.iter().position(Option::is_none);
        let index = self.position(identity).or_else(free)?;
        match &mut self.seats[index] {
            Some(sitter) => sitter.name = name,
            free @ None => *free = Some(Sitter { identity, name, ready: false, chain: None, used: None }),
        }
        Seat::new(u8::try_from(index).ok()?)
    }

    pub(crate) fn is_seated(&self, identity: PublicKey) -> bool {
        self.position(identity).is_some()
    }

    pub(crate) fn rise(&mut self, identity: PublicKey) {
        if let Some(index) = self.position(identity) {
            self.seats[index] = None;
        }
    }

    /// Leaves only those seats taken whose players `stays` says to stay.
    pub(crate) fn keep(&mut self, stays: impl Fn(PublicKey) -> bool) {
        for seat in &mut self.seats {
            seat.take_if(|sitter| !stays(sitter.identity));
        }
    }

    /// `true` when that changed who is ready. With commit and reveal nobody is without a fresh hash chain.
    pub(crate) fn set_ready(&mut self, identity: PublicKey, ready: bool, chain: Option<ChainStart>) -> bool {
        let without = self.spec.randomness == RandomnessMode::None;
        let sitter = self.position(identity).and_then(|index| self.seats[index].as_mut());
        sitter.is_some_and(|sitter| {
            sitter.chain = chain.filter(|chain| sitter.used != Some(*chain));
            let ready = ready && (without || sitter.chain.is_some());
            std::mem::replace(&mut sitter.ready, ready) != ready
        })
    }

    /// A match that was to begin did not, though some players had `joined`.
    pub(crate) fn set_none_ready(&mut self, joined: impl Fn(PublicKey) -> bool) {
        for sitter in self.seats.iter_mut().flatten() {
            sitter.ready = false;
            let chain = sitter.chain.take();
            // Its Join has revealed the first element. Who has not heard of the match offers the same chain again.
            if joined(sitter.identity) {
                sitter.used = chain;
            }
        }
    }

    /// Are there enough players, and all of them ready?
    pub(crate) fn all_ready(&self) -> bool {
        let mut seated = self.seats.iter().flatten();
        seated.clone().count() >= usize::from(self.spec.seats_min) && seated.all(|sitter| sitter.ready)
    }

    /// How the players are called, by the seats of the match.
    pub(crate) fn names(&self) -> Vec<DisplayName> {
        let open = || DisplayName::new(OPEN_SEAT).expect("a short and plain name");
        self.in_match().map(|sitter| sitter.map_or_else(open, |sitter| sitter.name.clone())).collect()
    }

    /// Who sits where in the match: nobody on the seats that are left open, which there are only with late joins.
    fn in_match(&self) -> impl Iterator<Item = Option<&Sitter>> {
        let late_joins = self.spec.late_joins;
        self.seats.iter().map(Option::as_ref).filter(move |sitter| late_joins || sitter.is_some())
    }

    pub(crate) fn lobby(&self, room: &RoomName) -> Lobby {
        let seats = Seat::first(self.spec.seats).zip(&self.seats).filter_map(|(seat, sitter)| {
            let Sitter { identity, name, ready, .. } = sitter.clone()?;
            Some(LobbySeat { seat, identity, name, ready })
        });
        Lobby { room: room.clone(), spec: self.spec.clone(), seats: seats.collect() }
    }

    /// Freezes the lobby into a genesis of the seats that are taken, or left open, with the server's hash chain in a
    /// match that has them. `None` while somebody lacks one there.
    pub(crate) fn genesis(
        &self,
        host: &Host,
        room: &RoomName,
        now: Millis,
    ) -> Option<(Genesis, Option<HashChain>)> {
        let holder = |sitter: &Sitter| SeatHolder::Player(sitter.identity);
        let seats = self.in_match().map(|sitter| sitter.map_or(SeatHolder::Open, holder)).collect();
        let before = self.before.map_or(Vec::new(), |before| before.as_bytes().to_vec());
        let seed = [&host.entropy[..], room.as_str().as_bytes(), &now.get().to_le_bytes(), &before];
        let nonce = hash(Context::Genesis, &seed).as_bytes()[..16].try_into().ok()?;
        let (_, usual_size, _) = self.rules.sizes;
        let (randomness, chain) = self.randomness(host, nonce)?;
        let genesis = Genesis {
            version: Genesis::VERSION,
            service: host.root,
            rules: RulesId { name: self.rules.name.to_owned(), version: self.rules.version },
            options: (self.rules.options)(self.spec.size.unwrap_or(usual_size)),
            seats,
            turns: TurnRules {
                mode: self.spec.mode,
                deadline_ms: self.spec.deadline_ms.unwrap_or(host.deadline_ms),
                clock: self.spec.clock,
                grace_ms: self.spec.grace_ms,
                turns_max: self.spec.turns_max,
            },
            absence: self.spec.absence,
            double_transactions: self.spec.double_transactions,
            visibility: self.spec.visibility,
            randomness,
            takebacks: self.spec.takebacks,
            agreements: self.spec.agreements,
            spectators: self.spec.spectators,
            parent: self.parent,
            signer: host.signer.clone(),
            created: now,
            nonce,
        };
        Some((genesis, chain))
    }

    fn randomness(&self, host: &Host, nonce: [u8; 16]) -> Option<(Randomness, Option<HashChain>)> {
        match self.spec.randomness {
            RandomnessMode::None => Some((Randomness::None, None)),
            RandomnessMode::CommitReveal => {
                let chain = host.chain_secret.chain(nonce, self.spec.turns_max?);
                let seats = self.seats.iter().flatten().map(|sitter| sitter.chain).collect::<Option<_>>()?;
                Some((Randomness::CommitReveal { server: chain.anchor(), seats }, Some(chain)))
            }
        }
    }

    fn position(&self, identity: PublicKey) -> Option<usize> {
        self.seats.iter().position(|seat| seat.as_ref().is_some_and(|sitter| sitter.identity == identity))
    }
}

/// A frozen lobby that waits for the Joins of all seats.
#[derive(Debug)]
pub(crate) struct Joining {
    pub(crate) seats: Seats,
    pub(crate) chain: Chain,
    pub(crate) game: Game,
    /// The server's, in a match that has them.
    pub(crate) hash_chain: Option<HashChain>,
    pub(crate) open: OpenTurn,
    pub(crate) until: Millis,
}

/// Has the Join of this player come?
pub(crate) fn has_joined(chain: &Chain, open: &OpenTurn, identity: PublicKey) -> bool {
    chain.genesis().seat_of(identity).is_some_and(|seat| open.acted().contains(seat))
}

impl Joining {
    /// Judges a transaction that its sender may hand in for its seat.
    pub(crate) fn judge(&self, read: ReadTransaction, now: Millis) -> Result<Judged, Refusal> {
        if self.open.entries().iter().any(|entry| entry.transaction.hash() == read.hash()) {
            return Ok(Judged::Again(None));
        }
        let admission = self.open.check(&self.chain, read, now).map_err(Refusal::Chain)?;
        Ok(Judged::New(Box::new(admission)))
    }

    /// Accepts a judged Join. `true` when it was the last one.
    pub(crate) fn accept(&mut self, admission: Admission) -> bool {
        self.open.accept(admission);
        self.open.acted() == self.chain.players()
    }
}
