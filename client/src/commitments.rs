//! What a player has committed to and not shown yet: the hash chain of its seat, and sealed commands.

use cadastre_protocol::{
    Attempt, Chain, ChainStart, Digest, Genesis, HashChain, MatchId, RANDOM_TURNS_MAX, Randomness, Seat,
    SecretKey, TransactionBody, Turn, sealed_commands,
};

/// Secrets of one session. They can be found again from the identity, but for commands.
#[derive(Debug)]
pub(crate) struct Commitments {
    nonce: [u8; 32],
    /// How many hash chains were offered.
    offers: u32,
    offer: Option<Offer>,
    chain: Option<HashChain>,
    sealed: Option<SealedCommands>,
}

#[derive(Debug)]
struct Offer {
    start: ChainStart,
    turns_max: u32,
    /// The match whose Join has shown, or will show, the first element.
    joined: Option<MatchId>,
}

#[derive(Debug)]
struct SealedCommands {
    turn: Turn,
    attempt: Attempt,
    salt: [u8; 32],
    commands: Vec<u8>,
}

/// The genesis has a hash chain for the own seat that is none of this identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OtherChain;

impl Commitments {
    pub(crate) const fn new(nonce: [u8; 32]) -> Self {
        Self { nonce, offers: 0, offer: None, chain: None, sealed: None }
    }

    /// The hash chain to offer for a match with this last turn. The same one until a match uses it up.
    pub(crate) fn offer(&mut self, identity: &SecretKey, turns_max: Option<u32>) -> Option<ChainStart> {
        let turns_max = turns_max.filter(|turns| *turns <= RANDOM_TURNS_MAX)?;
        if self.offer.as_ref().is_none_or(|offer| offer.joined.is_some() || offer.turns_max != turns_max) {
            let mut nonce = self.nonce;
            nonce[28..].copy_from_slice(&self.offers.to_le_bytes());
            self.offers = self.offers.checked_add(1)?;
            let anchor = identity.seat_chain(nonce, turns_max).anchor();
            self.offer = Some(Offer { start: ChainStart { nonce, anchor }, turns_max, joined: None });
        }
        self.offer.as_ref().map(|offer| offer.start)
    }

    /// Takes up the hash chain of the own seat, if the match has them. `false` when the session must not join: not
    /// the chain that it offered, but that of another process, or offered and shown in another match already. An
    /// element that was shown once is no secret any more.
    pub(crate) fn begin(
        &mut self,
        identity: &SecretKey,
        genesis: &Genesis,
        seat: Option<Seat>,
        begun: bool,
    ) -> Result<bool, OtherChain> {
        (self.chain, self.sealed) = (None, None);
        let (Randomness::CommitReveal { seats, .. }, Some(seat)) = (&genesis.randomness, seat) else {
            return Ok(true);
        };
        let start = seats.get(seat.index()).ok_or(OtherChain)?;
        let chain = identity.seat_chain(start.nonce, genesis.turns.turns_max.ok_or(OtherChain)?);
        let is_own = chain.anchor() == start.anchor;
        // Also where the session must not join: the match may begin all the same, by the Join of another process.
        self.chain = is_own.then_some(chain);
        if begun {
            return if is_own { Ok(true) } else { Err(OtherChain) };
        }
        let match_id = genesis.match_id();
        let offer = self.offer.as_mut().filter(|offer| offer.start == *start);
        Ok(offer.is_some_and(|offer| *offer.joined.get_or_insert(match_id) == match_id))
    }

    /// The element of the own hash chain that goes with `body`.
    pub(crate) fn element_for(&self, body: &TransactionBody, revealed: u32) -> Option<Digest> {
        match body {
            TransactionBody::Join(_) | TransactionBody::Turn(_) | TransactionBody::Reveal { .. } => {
                self.chain.as_ref()?.element(revealed)
            }
            TransactionBody::Delegate(_)
            | TransactionBody::Commit(_)
            | TransactionBody::Takeback { .. }
            | TransactionBody::Resign
            | TransactionBody::Motion(_)
            | TransactionBody::LateJoin { .. } => None,
        }
    }

    /// Hides commands for the open turn, until [`Commitments::reveal`].
    pub(crate) fn hide(
        &mut self,
        identity: &SecretKey,
        chain: &Chain,
        seat: Seat,
        turn: Turn,
        commands: Vec<u8>,
    ) -> TransactionBody {
        let (match_id, attempt) = (chain.match_id(), chain.head().attempt);
        let salt = identity.salt(match_id, turn, attempt, &commands);
        let commitment = sealed_commands(match_id, seat, turn, attempt, &salt, &commands);
        self.sealed = Some(SealedCommands { turn, attempt, salt, commands });
        TransactionBody::Commit(commitment)
    }

    /// Shows what was hidden for the open turn, if that is what stands in the chain.
    pub(crate) fn reveal(&self, chain: &Chain, seat: Seat) -> Option<TransactionBody> {
        let SealedCommands { salt, commands, .. } = self.hidden(chain, seat)?;
        let body = || TransactionBody::Reveal { salt: *salt, commands: commands.clone() };
        chain.is_revealing().then(body)
    }

    /// The commands that were hidden for the open turn, unless something else stands in the chain.
    pub(crate) fn hidden_commands(&self, chain: &Chain, seat: Seat) -> Option<&[u8]> {
        self.hidden(chain, seat).map(|sealed| sealed.commands.as_slice())
    }

    fn hidden(&self, chain: &Chain, seat: Seat) -> Option<&SealedCommands> {
        let sealed = self.sealed.as_ref()?;
        let SealedCommands { turn, attempt, salt, commands } = sealed;
        let committed = sealed_commands(chain.match_id(), seat, *turn, *attempt, salt, commands);
        let is_open = chain.next_turn() == Some(*turn) && chain.head().attempt == *attempt;
        let is_ours = !chain.is_revealing() || chain.commitment_of(seat) == Some(committed);
        (is_open && is_ours).then_some(sealed)
    }
}
