//! A server that forges, contradicts itself or loses its history: the session stops, and shows nothing of it.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "only in tests")]

mod support;

use cadastre_client::{Cause, Event, Fault, FollowError, HealError, SessionError};
use cadastre_protocol::{
    Block, BlockError, BlockKind, Chain, ClientMessage, CompareAnswer, Context, Digest, DisplayName,
    DoubleTransactionPolicy, Draft, Failure, Genesis, Header, Height, Limits, Lobby, Millis, ProvenBlock,
    ProvenReceipt, PublicKey, Receipt, ReceiptError, ReopenReason, RoomSpec, SealReason, Seat, SeatHolder,
    SecretKey, ServerMessage, ServerProof, SpectatorPolicy, StateRoot, TransactionError, Turn, TurnMode,
    Visibility, block_leaf, decode_exact, encode, hash, receipt_leaf,
};
use support::{SERIAL, block_key, direct::Direct, player, server, spec};

#[test]
fn a_block_that_was_changed_on_the_way_has_no_proof() {
    let (mut direct, genuine) = before_a_block();
    let (block, header) = parts(&genuine);
    let with_header = |change: &dyn Fn(&mut Header)| {
        let mut header = header.clone();
        change(&mut header);
        ProvenBlock { block: encode(&Block { header: encode(&header), ..block.clone() }), ..genuine.clone() }
    };
    for forged in [
        with_header(&|header| header.server_time = header.server_time.after(1)),
        with_header(&|header| header.state_root = OTHER_ROOT),
        with_header(&|header| header.kind = BlockKind::Reopen { reason: ReopenReason::Restart }),
    ] {
        assert_eq!(refused(&mut direct, forged), BlockError::BadProof);
    }
    // What hangs below the header by its roots has a proof, and does not fit.
    let with_body = |change: &dyn Fn(&mut Block)| {
        let mut block = block.clone();
        change(&mut block);
        ProvenBlock { block: encode(&block), ..genuine.clone() }
    };
    for forged in [
        with_body(&|block| block.entries.truncate(1)),
        with_body(&|block| block.entries.reverse()),
        with_body(&|block| block.entries[0].received = Millis::new(0)),
        with_body(&|block| block.absent.push(absent())),
    ] {
        assert_eq!(refused(&mut direct, forged), BlockError::BodyRoot);
    }
    for bytes in [Vec::new(), vec![0; 40], [&genuine.block[..], &[0]].concat()] {
        let forged = ServerMessage::Block(ProvenBlock { block: bytes, ..genuine.clone() });
        assert!(matches!(direct.deliver(0, forged), Err(SessionError::Follow(FollowError::Encoding(_)))));
    }
    assert_eq!(direct.deliver(0, ServerMessage::Block(genuine)), Ok(()), "the genuine one still counts");
}

#[test]
fn a_proof_of_another_key_or_of_another_object_is_none() {
    let (mut direct, genuine) = before_a_block();
    let leaf = block_leaf(genuine.clone().read().unwrap().block().hash());
    let stranger = SecretKey::from_seed(&[55; 32]);
    let other_object = receipt_leaf(hash(Context::Receipt, &[&genuine.block]));
    for proof in [
        ServerProof::sign(&stranger, SERIAL, &[leaf]).remove(0),
        ServerProof::sign(&block_key(), SERIAL + 1, &[leaf]).remove(0),
        ServerProof::sign(&block_key(), SERIAL, &[other_object]).remove(0),
        ServerProof { index: 1, ..genuine.proof.clone() },
    ] {
        let forged = ProvenBlock { proof, ..genuine.clone() };
        assert_eq!(refused(&mut direct, forged), BlockError::BadProof);
    }
}

#[test]
fn a_signed_block_with_another_state_is_not_taken() {
    let (mut direct, genuine) = before_a_block();
    let chain = chain_of(&direct);
    let wrong = signed(draft_of(&chain, &genuine), OTHER_ROOT);
    let root = the_root();
    assert_eq!(direct.clients[0].session.receive(ServerMessage::Block(wrong.clone()), root), Ok(()));
    // The server is asked what it has, and no block is shown. That it signed this is kept at once.
    let [Event::Evidence(evidence)] = &direct.events(0)[..] else { panic!("only evidence") };
    assert_eq!(evidence.case.kind(), "bad-state");
    // It has nothing that this root commits to.
    let received =
        direct.clients[0].session.receive(ServerMessage::Compared(CompareAnswer::Unknown), the_root());
    let expected = matches!(
        received,
        Err(SessionError::Follow(FollowError::Block(BlockError::StateRoot { expected: OTHER_ROOT, .. })))
    );
    assert!(expected, "{received:?}");
    // The report has the state before, which a signed block commits to, and the block.
    let [Event::Desync(desync)] = &direct.events(0)[..] else { panic!("the report") };
    assert_eq!((desync.cause, desync.healed), (Cause::Rules, false));
    assert_eq!(desync.block, wrong);
    let before = desync.before.clone().unwrap().read().unwrap();
    assert_eq!(before.block().header().state_root, desync.incident.before.tree().root());
    assert_eq!(chain_of(&direct).head(), chain.head());
}

#[test]
fn nodes_and_chunks_that_the_state_root_does_not_commit_to_are_refused() {
    let other = |answer: CompareAnswer| match answer {
        CompareAnswer::Nodes { mut nodes } => {
            nodes[3] = Digest::ZERO;
            CompareAnswer::Nodes { nodes }
        }
        CompareAnswer::Chunk { proof, chunk } => {
            let mut chunk = chunk.unwrap();
            chunk[0] ^= 1;
            CompareAnswer::Chunk { proof, chunk: Some(chunk) }
        }
        CompareAnswer::Phases { .. } | CompareAnswer::Unknown => panic!("{answer:?}"),
    };
    // Held back are: the phases, four times nodes, a chunk.
    for (genuine, error) in [(1, HealError::Nodes), (4, HealError::Nodes), (5, HealError::Chunk)] {
        let mut direct = playing();
        direct.clients[0].session.inject(Fault { turn: Turn::new(1), x: 0, y: 0 });
        direct.act(0);
        direct.clients[0].is_held = true;
        direct.act(1);
        let mut answers = 0;
        let refused = loop {
            let message = direct.clients[0].held.remove(0);
            let message = match message {
                ServerMessage::Compared(answer) if answers == genuine => {
                    ServerMessage::Compared(other(answer))
                }
                other => {
                    answers += usize::from(matches!(other, ServerMessage::Compared(_)));
                    other
                }
            };
            if let Err(refused) = direct.clients[0].session.receive(message, the_root()) {
                break refused;
            }
            direct.settle();
        };
        assert_eq!(refused, SessionError::Follow(FollowError::Heal(error)), "after {genuine}");
    }
    let mut direct = playing();
    let unasked = direct.deliver(0, ServerMessage::Compared(CompareAnswer::Unknown));
    assert_eq!(unasked, Err(SessionError::Follow(FollowError::Heal(HealError::Unexpected))));
}

#[test]
fn signed_blocks_that_break_a_rule_are_refused() {
    let (mut direct, genuine) = before_a_block();
    let chain = chain_of(&direct);
    let (now, root) = (direct.now, chain.head().state_root);
    // Nobody's time was up.
    let early = chain.draft_turn(chain.open_turn(), now, None).unwrap();
    assert!(matches!(refused(&mut direct, signed(early, root)), BlockError::EarlyAbsence { .. }));
    // The match is not over.
    for reason in [SealReason::Rules, SealReason::Resigned, SealReason::Abandoned, SealReason::TurnLimit] {
        let seal = chain.draft_seal(reason, now).unwrap();
        assert_eq!(refused(&mut direct, signed(seal, root)), BlockError::WrongKind);
    }
    // Skipped, and sent twice.
    let genuine_message = ServerMessage::Block(genuine.clone());
    direct.deliver(0, genuine_message).unwrap();
    let again = refused(&mut direct, genuine);
    assert_eq!(again, BlockError::WrongHeight { expected: Height::new(3), got: Height::new(2) });
    direct.act(0);
    direct.act(1);
    direct.pass_deadline();
    let ahead = direct.held_block(0);
    let skipped = BlockError::WrongHeight { expected: Height::new(3), got: Height::new(4) };
    assert_eq!(refused(&mut direct, ahead), skipped);
}

#[test]
fn a_second_block_at_a_height_is_refused() {
    let (mut direct, genuine) = before_a_block();
    let chain = chain_of(&direct);
    let reopen = chain.draft_reopen(ReopenReason::Restart, direct.now).unwrap();
    let fork = signed(reopen, chain.head().state_root);
    direct.deliver(0, ServerMessage::Block(genuine)).unwrap();
    let wrong_height = BlockError::WrongHeight { expected: Height::new(3), got: Height::new(2) };
    assert_eq!(refused(&mut direct, fork), wrong_height);
    // And so is what would follow it.
    let mut forked = chain.clone();
    let reopen =
        chain.draft_reopen(ReopenReason::Restart, direct.now).unwrap().finish(chain.head().state_root);
    let (checked, executed) = (forked.check(reopen).unwrap(), executed_of(&chain));
    forked.append(checked, executed).unwrap();
    let next = forked.draft_reopen(ReopenReason::Restart, direct.now).unwrap();
    let next = signed(next, forked.head().state_root);
    assert_eq!(refused(&mut direct, next), BlockError::WrongLink);
    assert_eq!(kinds(&direct), ["server-fork", "server-head-lie"]);
}

#[test]
fn a_transaction_that_no_player_signed_is_refused() {
    let (mut direct, genuine) = before_a_block();
    let chain = chain_of(&direct);
    let (mut block, mut header) = parts(&genuine);
    // The server exchanges the signatures of two players and signs what comes of it.
    let [first, second] = &mut block.entries[..] else { panic!() };
    std::mem::swap(&mut first.transaction.signature, &mut second.transaction.signature);
    header.body_root = body_root(&block);
    let forged = resigned(&Block { header: encode(&header), ..block });
    let error = refused(&mut direct, forged);
    assert!(matches!(error, BlockError::Entry { error: TransactionError::BadSignature, .. }), "{error}");
    assert_eq!(chain_of(&direct).head(), chain.head());
}

#[test]
fn a_match_of_another_service_is_refused() {
    let spec = spec(2, TurnMode::Simultaneous);
    let mut direct = Direct::new([player(0, &spec)]);
    direct.clients[0].is_held = true;
    direct.add(player(1, &spec));
    let genuine = direct.clients[0].held.pop().unwrap();
    for lobby in std::mem::take(&mut direct.clients[0].held) {
        assert_eq!(direct.deliver(0, lobby), Ok(()));
    }
    let ServerMessage::Genesis { genesis, names, .. } = genuine.clone() else { panic!() };
    let with = |change: &dyn Fn(&mut Genesis)| {
        let mut genesis: Genesis = decode_exact(&genesis).unwrap();
        change(&mut genesis);
        ServerMessage::Genesis { genesis: encode(&genesis), names: names.clone(), begun: false }
    };
    let stranger = SecretKey::from_seed(&[55; 32]);
    let refused = |direct: &mut Direct, message| match direct.deliver(0, message) {
        Err(SessionError::Follow(error)) => error,
        other => panic!("{other:?}"),
    };
    let other_service = with(&|genesis| genesis.service = stranger.public());
    assert_eq!(refused(&mut direct, other_service), FollowError::OtherService);
    let other_signer = with(&|genesis| genesis.signer = server::certificate(&stranger));
    assert!(matches!(refused(&mut direct, other_signer), FollowError::Genesis(_)));
    let other_rules = with(&|genesis| genesis.rules.version = 999);
    assert!(matches!(refused(&mut direct, other_rules), FollowError::Setup(_)));
    let nameless = ServerMessage::Genesis { genesis: genesis.clone(), names: Vec::new(), begun: false };
    assert_eq!(refused(&mut direct, nameless), FollowError::Names);
    let cut = genesis[1..].to_vec();
    let malformed = ServerMessage::Genesis { genesis: cut, names: names.clone(), begun: false };
    assert!(matches!(refused(&mut direct, malformed), FollowError::Encoding(_)));
    // Of this service, and not what the player has said Ready to.
    let others: [&dyn Fn(&mut Genesis); 10] = [
        &|genesis| genesis.seats.reverse(),
        &|genesis| genesis.seats[1] = SeatHolder::Player(stranger.public()),
        &|genesis| genesis.seats.push(SeatHolder::Player(stranger.public())),
        &|genesis| genesis.options = vec![3, 0],
        &|genesis| genesis.turns.deadline_ms += 1,
        &|genesis| genesis.turns.mode = TurnMode::Alternating,
        &|genesis| genesis.turns.turns_max = Some(1),
        &|genesis| genesis.visibility = Visibility::Open,
        &|genesis| genesis.double_transactions = DoubleTransactionPolicy::EndMatch,
        &|genesis| genesis.spectators = SpectatorPolicy::Forbidden,
    ];
    for (number, change) in others.into_iter().enumerate() {
        let ServerMessage::Genesis { genesis, mut names, begun } = with(change) else { panic!() };
        let seats = decode_exact::<Genesis>(&genesis).unwrap().seats.len();
        names.resize(seats, names[0].clone());
        let message = ServerMessage::Genesis { genesis, names, begun };
        assert_eq!(direct.deliver(0, message), Err(SessionError::OtherMatch), "{number}");
    }
    assert!(direct.clients[0].session.follower().is_none());
    assert_eq!(direct.deliver(0, genuine), Ok(()));
}

#[test]
fn a_match_without_somebody_of_the_lobby_is_refused() {
    // Two would be enough; the third was there, and was not ready at first.
    let spec = RoomSpec { seats_min: 2, ..spec(4, TurnMode::Simultaneous) };
    let mut direct = Direct::new([player(0, &spec)]);
    direct.clients[0].is_held = true;
    let unready = direct.add_held(player(1, &spec));
    direct.add(player(2, &spec));
    direct.release(unready);
    let genuine = direct.clients[0].held.pop().unwrap();
    for lobby in std::mem::take(&mut direct.clients[0].held) {
        assert_eq!(direct.deliver(0, lobby), Ok(()));
    }
    let ServerMessage::Genesis { genesis, mut names, begun } = genuine.clone() else { panic!() };
    let mut fewer: Genesis = decode_exact(&genesis).unwrap();
    assert_eq!(fewer.seats.len(), 3);
    fewer.seats.pop();
    names.pop();
    let without = ServerMessage::Genesis { genesis: encode(&fewer), names, begun };
    assert_eq!(direct.deliver(0, without), Err(SessionError::OtherMatch));
    assert_eq!(direct.deliver(0, genuine), Ok(()));
}

#[test]
fn a_receipt_that_the_server_did_not_sign_is_refused() {
    let mut direct = playing();
    direct.clients[0].is_held = true;
    direct.act(0);
    let Some(ServerMessage::Receipt(genuine)) = direct.clients[0].held.pop() else { panic!() };
    let said: Receipt = decode_exact(&genuine.receipt).unwrap();
    let deliver = |direct: &mut Direct, receipt| direct.deliver(0, ServerMessage::Receipt(receipt));
    let sign = |key: &SecretKey, serial, receipt: &Receipt| ProvenReceipt {
        receipt: encode(receipt),
        proof: ServerProof::sign(key, serial, &[receipt.leaf()]).remove(0),
    };

    let by_a_stranger = sign(&SecretKey::from_seed(&[55; 32]), SERIAL, &said);
    let bad_proof = Err(SessionError::Receipt(ReceiptError::BadProof));
    assert_eq!(deliver(&mut direct, by_a_stranger), bad_proof);
    let later = Receipt { received: said.received.after(1), ..said.clone() };
    let changed = ProvenReceipt { receipt: encode(&later), ..genuine.clone() };
    assert_eq!(deliver(&mut direct, changed), bad_proof);
    let of_another_signer = sign(&block_key(), SERIAL + 1, &said);
    let wrong_signer = Err(SessionError::Receipt(ReceiptError::WrongSigner));
    assert_eq!(deliver(&mut direct, of_another_signer), wrong_signer);
    let malformed = ProvenReceipt { receipt: vec![9], ..genuine.clone() };
    assert!(matches!(deliver(&mut direct, malformed), Err(SessionError::Receipt(ReceiptError::Encoding(_)))));
    // Genuine, but not for us.
    let of_another_seat = Receipt { seat: Seat::new(1).unwrap(), ..said.clone() };
    assert_eq!(
        deliver(&mut direct, sign(&block_key(), SERIAL, &of_another_seat)),
        Err(SessionError::Unexpected)
    );
    assert_eq!(deliver(&mut direct, genuine), Ok(()));
    assert_eq!(direct.events(0), [Event::Receipt(said)]);
}

#[test]
fn a_match_that_was_shown_is_not_exchanged_for_another() {
    let mut direct = playing();
    let spec = spec(2, TurnMode::Simultaneous);
    let head = *chain_of(&direct).head();
    let chain = chain_of(&direct);
    let names = [0, 1].map(|_| DisplayName::new("x").unwrap()).to_vec();
    let genesis = ServerMessage::Genesis { genesis: encode(chain.genesis()), names, begun: true };
    let lobby = Lobby { room: server::room_name(), spec, seats: Vec::new() };
    for message in
        [ServerMessage::Created { room: server::room_name() }, ServerMessage::Lobby(lobby), genesis]
    {
        assert_eq!(direct.deliver(0, message), Err(SessionError::Unexpected));
    }
    // Failures that a lobby would be left for are only told.
    for failure in [Failure::RoomExists, Failure::NoSuchRoom, Failure::NotSeated, Failure::RoomFull] {
        assert_eq!(direct.deliver(0, ServerMessage::Failed(failure)), Ok(()));
        assert_eq!(direct.events(0), [Event::Failed(failure)]);
        assert_eq!(direct.clients[0].session.poll_send(), None);
    }
    assert_eq!(chain_of(&direct).head(), &head);
}

#[test]
fn a_server_that_lost_blocks_is_found_out() {
    let mut direct = playing();
    assert_eq!(
        direct.deliver(0, ServerMessage::Failed(Failure::NoSuchMatch)),
        Err(SessionError::HistoryLost)
    );
    assert_eq!(kinds(&direct), ["held"]);
    // One that has less is asked for what it has.
    let mut direct = playing();
    let head = chain_of(&direct).head().height;
    assert_eq!(direct.deliver(0, ServerMessage::Failed(Failure::UnknownHead)), Ok(()));
    let asked = direct.clients[0].session.poll_send();
    assert!(matches!(asked, Some(ClientMessage::Resume { height: Height::GENESIS, .. })), "{asked:?}");
    let nothing = ServerMessage::CaughtUp { height: Height::GENESIS };
    assert_eq!(direct.deliver(0, nothing), Err(SessionError::HistoryLost));
    assert_eq!((kinds(&direct), head), (vec!["held"], Height::new(1)));
    // A store that was put back from before the match began.
    let mut direct = playing();
    direct.server.store = support::store::Store::default();
    direct.restart();
    direct.clients[0].session.connected(support::root_key().public(), Digest::ZERO);
    let Some(resume) = direct.clients[0].session.poll_send() else { panic!() };
    assert!(matches!(resume, ClientMessage::Resume { .. }));
    let failed = ServerMessage::Failed(Failure::NoSuchMatch);
    assert_eq!(direct.deliver(0, failed), Err(SessionError::HistoryLost));
}

#[test]
fn messages_that_cannot_come_here_are_refused() {
    let mut direct = playing();
    let limits = Limits { heartbeat_ms: 1, message_bytes_max: 1 };
    let accept = ServerMessage::Accept { session: Digest::ZERO, limits, server_time: direct.now };
    assert_eq!(direct.deliver(0, accept), Err(SessionError::Unexpected));
    let beyond = ServerMessage::CaughtUp { height: Height::new(99) };
    assert_eq!(direct.deliver(0, beyond), Err(SessionError::Unexpected));

    let genuine = before_a_block().1;
    let mut alone = Direct::new([player(0, &spec(2, TurnMode::Simultaneous))]);
    for early in [ServerMessage::Block(genuine), ServerMessage::CaughtUp { height: Height::GENESIS }] {
        assert_eq!(alone.deliver(0, early), Err(SessionError::Unexpected));
    }
}

/// What the first player's session keeps against the server.
fn kinds(direct: &Direct) -> Vec<&'static str> {
    direct.clients[0].evidence.iter().map(|evidence| evidence.case.kind()).collect()
}

fn the_root() -> PublicKey {
    support::root_key().public()
}

const OTHER_ROOT: StateRoot = StateRoot::new(Digest::new([0x5a; 32]));

/// Two players in their first turn.
fn playing() -> Direct {
    let spec = spec(2, TurnMode::Simultaneous);
    let mut direct = Direct::new([player(0, &spec), player(1, &spec)]);
    direct.events(0);
    direct
}

/// Two players, and the block of their first turn before the first of them has seen it.
fn before_a_block() -> (Direct, ProvenBlock) {
    let mut direct = playing();
    direct.clients[0].is_held = true;
    direct.act(0);
    direct.act(1);
    let block = direct.held_block(0);
    (direct, block)
}

/// Why the first player's session does not take the block.
fn refused(direct: &mut Direct, block: ProvenBlock) -> BlockError {
    match direct.deliver(0, ServerMessage::Block(block)) {
        Err(SessionError::Follow(FollowError::Block(error))) => error,
        other => panic!("{other:?}"),
    }
}

fn chain_of(direct: &Direct) -> Chain {
    direct.clients[0].session.follower().unwrap().chain().clone()
}

fn executed_of(chain: &Chain) -> cadastre_protocol::Executed {
    let setup = chain.genesis().setup();
    cadastre_simulations::Game::start(&setup).unwrap().executed()
}

fn parts(block: &ProvenBlock) -> (Block, Header) {
    let block: Block = decode_exact(&block.block).unwrap();
    let header = decode_exact(&block.header).unwrap();
    (block, header)
}

/// The draft that the genuine block came of.
fn draft_of(chain: &Chain, genuine: &ProvenBlock) -> Draft {
    let block = genuine.clone().read().unwrap();
    let mut open = chain.open_turn();
    for entry in block.block().entries() {
        let admission = open.check(chain, entry.transaction.clone(), entry.received).unwrap();
        open.accept(admission);
    }
    chain.draft_turn(open, block.block().header().server_time, None).unwrap()
}

/// Finished with this state root and signed by the server's own key.
fn signed(draft: Draft, state_root: StateRoot) -> ProvenBlock {
    let block = draft.finish(state_root);
    let proof = ServerProof::sign(&block_key(), SERIAL, &[block_leaf(block.hash())]).remove(0);
    ProvenBlock { block: block.to_bytes(), proof }
}

fn resigned(block: &Block) -> ProvenBlock {
    let hash = block.clone().read().unwrap().hash();
    let proof = ServerProof::sign(&block_key(), SERIAL, &[block_leaf(hash)]).remove(0);
    ProvenBlock { block: encode(block), proof }
}

/// Root over the entries of a block, by `docs/protocol.md`.
fn body_root(block: &Block) -> Digest {
    let leaves: Vec<_> = block
        .entries
        .iter()
        .map(|entry| {
            let signature = entry.transaction.signature.as_bytes();
            let received = entry.received.get().to_le_bytes();
            hash(Context::BodyLeaf, &[&received, &entry.transaction.body, signature])
        })
        .collect();
    cadastre_protocol::merkle::root(Context::BodyNode, &leaves)
}

fn absent() -> cadastre_protocol::Absence {
    let reason = cadastre_protocol::AbsenceReason::Deadline;
    cadastre_protocol::Absence { seat: Seat::new(1).unwrap(), reason }
}
