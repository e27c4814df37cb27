use cadastre_protocol::{
    ClientMessage, Delegation, Digest, Epoch, Genesis, Head, Height, MatchId, Millis, NextTransaction,
    Padding, Seat, SecretKey, Seq, ServerIdentity, SignedDelegation, SignedTransaction, Transaction,
    TransactionBody, Turn, TurnOrders, encode,
};
use cadastre_simulations::{Game, Orders};

use super::server::{BEGIN, SEATS, Server, link, player_key, signer_key};

/// A match of bots, signed beforehand. Server proofs stand in no block, so the same transactions fit every time
/// that the match is played, however the server groups its commits.
pub(crate) struct Script {
    number: u64,
    joins: Vec<SignedTransaction>,
    /// What each seat hands in, turn by turn.
    turns: Vec<Vec<Vec<u8>>>,
}

/// A match at its first turn, and the records that its players will send.
pub(crate) struct Staged {
    pub(crate) server: Server,
    pub(crate) turns: Vec<Vec<Vec<u8>>>,
}

impl Script {
    /// Plays so many turns in the room of this number.
    pub(crate) fn write(number: u64, turns: u32) -> Self {
        let mut server = Server::open(number, Vec::new());
        let genesis = server.room.genesis().expect("all are ready").clone();
        let match_id = genesis.match_id();
        let mut game = Game::of_match(&genesis).expect("the room plays it");
        let sessions: Vec<_> =
            (0..SEATS).map(|seat| player_key(seat).session(match_id, Epoch::FIRST)).collect();
        let joins: Vec<_> =
            seats().map(|seat| join(&genesis, &game, seat, &sessions[seat.index()])).collect();
        submit_joins(&mut server, &joins);
        server.sign_commits(BEGIN, &signer_key());

        let mut script = Self { number, joins, turns: Vec::new() };
        for turn in 0..turns {
            let now = moment(turn);
            let commands: Vec<_> = seats().map(|seat| game.simulation().suggest(seat)).collect();
            let mut messages = Vec::new();
            for (seat, commands) in seats().zip(&commands) {
                let chain = server.room.chain().expect("the match has begun");
                let next = chain.next_of(seat).expect("the seat plays");
                let body = TransactionBody::Turn(commands.clone());
                let transaction = transaction(match_id, chain.head(), next, seat, body);
                let signed = SignedTransaction::sign(&sessions[seat.index()], &transaction);
                messages.push((seat.get(), signed));
            }
            // Only one seat draws in a turn, so the order decides nothing.
            let orders = seats().zip(&commands).map(|(seat, commands)| Orders::new(seat, commands));
            game.apply(&TurnOrders { roll: Digest::ZERO, orders: orders.collect() });
            let encoded = messages.iter().map(|(_, signed)| encode(&ClientMessage::Submit(signed.clone())));
            script.turns.push(encoded.collect());
            messages.into_iter().for_each(|(seat, signed)| server.submit(now, seat, signed));
            server.sign_commits(now, &signer_key());
            let root = server.room.chain().map(|chain| chain.head().state_root);
            assert_eq!(root, Some(game.state_root()), "the room has played the turn");
        }
        script
    }

    /// Opens the room anew with fresh sessions. All have joined; the commit that begins the match waits.
    pub(crate) fn stage(&self, identity: &ServerIdentity) -> Staged {
        let (mut clients, mut sessions) = (Vec::new(), Vec::new());
        for seat in 0..SEATS {
            let link = link(identity, seat);
            clients.push(link.client);
            sessions.push(link.server);
        }
        let mut server = Server::open(self.number, sessions);
        submit_joins(&mut server, &self.joins);
        let sealed = self.turns.iter().map(|messages| {
            let mut records = Vec::new();
            for (client, message) in clients.iter_mut().zip(messages) {
                client.sealer.seal(message, Padding::Submission, &mut records).expect("a short session");
            }
            records
        });
        Staged { turns: sealed.collect(), server }
    }
}

/// When the turn of this number is played.
pub(crate) fn moment(turn: u32) -> Millis {
    BEGIN.after(u64::from(turn))
}

fn seats() -> impl Iterator<Item = Seat> {
    Seat::first(SEATS)
}

fn submit_joins(server: &mut Server, joins: &[SignedTransaction]) {
    for (seat, join) in (0..SEATS).zip(joins) {
        server.submit(BEGIN, seat, join.clone());
    }
    assert!(server.room.chain().is_some(), "the match has begun");
}

fn join(genesis: &Genesis, game: &Game, seat: Seat, session: &SecretKey) -> SignedTransaction {
    let match_id = genesis.match_id();
    let delegation = Delegation {
        version: Delegation::VERSION,
        match_id,
        seat,
        epoch: Epoch::FIRST,
        session: session.public(),
        valid_to: None,
    };
    let delegation = SignedDelegation::sign(&player_key(seat.get()), &delegation);
    let head = Head {
        height: Height::GENESIS,
        block: match_id.as_block(),
        turn: Turn::START,
        attempt: cadastre_protocol::Attempt::FIRST,
        server_time: BEGIN,
        deadline: None,
        state_root: game.state_root(),
    };
    let next = NextTransaction {
        epoch: None,
        session: None,
        seq: Seq::JOIN,
        prev_tx: match_id.as_tx(),
        revealed: 0,
    };
    let join = transaction(match_id, &head, next, seat, TransactionBody::Join(delegation));
    SignedTransaction::sign(session, &Transaction { turn: Turn::START, ..join })
}

fn transaction(
    match_id: MatchId,
    head: &Head,
    next: NextTransaction,
    seat: Seat,
    body: TransactionBody,
) -> Transaction {
    Transaction {
        version: Transaction::VERSION,
        match_id,
        seat,
        epoch: next.epoch.unwrap_or(Epoch::FIRST),
        seq: next.seq,
        prev_tx: next.prev_tx,
        turn: head.turn.next().expect("a short match"),
        attempt: head.attempt,
        seen_height: head.height,
        seen_block: head.block,
        seen_state_root: head.state_root,
        chain_element: None,
        body,
    }
}
