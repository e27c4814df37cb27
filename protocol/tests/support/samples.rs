//! One encoding of everything that can be encoded: every type, every variant.

use std::sync::LazyLock;

use cadastre_protocol::{
    AbsencePolicy, Access, AgreementPolicy, Attempt, BlockHash, BlockKind, Certificate, ChainStart, ChunkId,
    ChunkProof, ClientMessage, Clock, CodecError, CompareAnswer, CompareRequest, Conversation, Delegation,
    Digest, DisplayName, Door, DoubleTransactionPolicy, EnterAs, Epoch, Failure, Following, ForkPoint,
    Genesis, GoodbyeReason, Header, Height, Invitation, JoinPoint, KeyRole, Limit, Limits, Line, Lobby,
    LobbySeat, Millis, Motion, Notice, Parent, Pass, ProvenHeader, ProvenReceipt, Randomness, RandomnessMode,
    Reaction, Receipt, Refusal, Relay, ReopenReason, Revocations, Revoked, RoomName, RoomSpec, RulesId,
    SealReason, SeatHolder, SecretKey, Seen, Seq, ServerMessage, ServerProof, SignedInvitation,
    SignedRevocations, SignedTalk, Since, SkipPolicy, SpectatorPolicy, Standing, StateRoot, StateTree,
    TakebackPolicy, Talk, TalkPlace, TalkRefusal, Text, Transaction, TransactionBody, TransactionError, Turn,
    TurnMode, TurnRules, View, Visibility, Wire, Words, block_leaf, decode_exact, encode, pack,
    prove_password,
};

use super::{
    CREATED, Match, SERIAL, block_key, certificate, eventful_match, genesis, hidden_match, identity, key,
    leave_seats_open, prove_with, read_block, root, seat, timed_match,
};
use crate::reference::ramp;

/// Declares the types that have an encoding of their own.
macro_rules! kinds {
    ($($name:ident,)*) => {
        /// A type that can be decoded by itself.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Kind { $($name,)* }

        impl Kind {
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)*];

            /// Decodes bytes as this type, and encodes what came of it.
            pub(crate) fn decode(self, bytes: &[u8]) -> Result<Vec<u8>, CodecError> {
                match self {
                    $(Self::$name => {
                        decode_exact::<cadastre_protocol::$name>(bytes).map(|value| encode(&value))
                    })*
                }
            }

            /// The value of a good encoding, as bincode writes integers by default.
            pub(crate) fn with_variable_integers(self, bytes: &[u8]) -> Vec<u8> {
                match self {
                    $(Self::$name => {
                        let value: cadastre_protocol::$name = decode_exact(bytes).unwrap();
                        bincode::encode_to_vec(&value, bincode::config::standard()).unwrap()
                    })*
                }
            }

            pub(crate) const fn bytes_max(self) -> usize {
                match self { $(Self::$name => cadastre_protocol::$name::BYTES_MAX,)* }
            }
        }
    };
}

kinds! {
    Genesis,
    Certificate,
    SignedCertificate,
    Revocations,
    SignedRevocations,
    Delegation,
    Talk,
    Transaction,
    SignedTransaction,
    Receipt,
    ProvenReceipt,
    ServerProof,
    Header,
    Block,
    ProvenBlock,
    ChainState,
    ClientMessage,
    ServerMessage,
    Invitation,
    SignedInvitation,
}

/// An encoding that is in order.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) static SAMPLES: LazyLock<Vec<Sample>> = LazyLock::new(samples);

fn samples() -> Vec<Sample> {
    let mut samples = Vec::new();
    let mut add = |kind, name: &str, bytes| samples.push(Sample { kind, name: name.into(), bytes });
    add(Kind::Genesis, "as played", encode(&genesis(3)));
    add(Kind::Genesis, "every other mode", encode(&other_modes()));
    add(Kind::Genesis, "commit and reveal, sealed", encode(hidden_match().chain.genesis()));
    add(Kind::Genesis, "bank, shrinking clock", encode(timed_match().chain.genesis()));
    for (name, invitation) in invitations() {
        add(Kind::Invitation, name, encode(&invitation));
        add(Kind::SignedInvitation, name, encode(&SignedInvitation::sign(&identity(seat(0)), &invitation)));
    }
    for (name, certificate) in certificates() {
        add(Kind::Certificate, name, encode(&certificate));
    }
    add(Kind::SignedCertificate, "block", encode(&genesis(3).signer));
    for (name, list) in revocations() {
        add(Kind::Revocations, name, encode(&list));
        add(Kind::SignedRevocations, name, encode(&SignedRevocations::issue(&super::root(), &list)));
    }
    for (name, delegation) in delegations() {
        add(Kind::Delegation, name, encode(&delegation));
    }
    for (name, talk) in talks() {
        add(Kind::Talk, name, encode(&talk));
    }
    for (name, transaction) in transactions() {
        add(Kind::Transaction, name, encode(&transaction));
    }
    let game = Match::started(3);
    add(Kind::SignedTransaction, "turn", encode(&game.sign(&game.action(seat(1)))));
    let batch = batch();
    add(Kind::Receipt, "of seat 0", batch.receipts[0].receipt.clone());
    add(Kind::ProvenReceipt, "second of three", encode(&batch.receipts[0]));
    add(Kind::ServerProof, "third of three", encode(&batch.receipts[1].proof));
    for (name, header) in headers() {
        add(Kind::Header, name, encode(&header));
    }
    let whole = eventful_match();
    for (proven, name) in whole.blocks.iter().zip(EVENTFUL_NAMES) {
        add(Kind::Block, name, proven.block.clone());
        add(Kind::ProvenBlock, name, encode(proven));
    }
    let hidden = hidden_match();
    for (proven, name) in hidden.blocks.iter().zip(HIDDEN_NAMES) {
        add(Kind::Block, &format!("{name}, of a match with hash chains"), proven.block.clone());
    }
    add(Kind::ChainState, "with hash chains", encode(hidden.chain.state()));
    add(Kind::ChainState, "with banks", encode(timed_match().chain.state()));
    add(Kind::ChainState, "after grace", encode(super::graced_match().chain.state()));
    add(Kind::ChainState, "before the start", encode(Match::of(3).chain.state()));
    add(Kind::ChainState, "after the start", encode(game.chain.state()));
    add(Kind::ChainState, "after the seal", encode(whole.chain.state()));
    for (name, message) in client_messages() {
        add(Kind::ClientMessage, name, encode(&message));
    }
    for (name, message) in server_messages() {
        add(Kind::ServerMessage, &name, encode(&message));
    }
    samples
}

/// What the blocks of [`eventful_match`] are.
pub(crate) const EVENTFUL_NAMES: [&str; 9] = [
    "start",
    "turn in which all act",
    "turn with an absent seat and a wrong state root",
    "reopen",
    "turn with a new delegation",
    "key change",
    "turn with a resignation",
    "turn with a resigned seat",
    "seal",
];

/// What the blocks of [`super::hidden_match`] are.
pub(crate) const HIDDEN_NAMES: [&str; 7] =
    ["start", "commit", "turn", "commit with an absent seat", "reopen", "turn with a reveal missing", "seal"];

/// What the blocks of [`super::timed_match`] are.
pub(crate) const TIMED_NAMES: [&str; 7] = [
    "start",
    "turn in which all act",
    "turn with an absent seat",
    "turn with a seat absent again, whose bank is empty after it",
    "turn with a seat absent for the third time, which forfeits",
    "turn with a seat that has forfeited",
    "seal",
];

/// What the blocks of [`super::late_joined_match`] are.
pub(crate) const LATE_JOINED_NAMES: [&str; 8] = [
    "start of one",
    "turn 1",
    "takeback to the start, by the only player",
    "turn 1 again",
    "turn 2, in which seat 2 is taken",
    "turn 3",
    "turn 4",
    "seal",
];

/// What the blocks of [`super::taken_over_match`] are.
pub(crate) const TAKEN_OVER_NAMES: [&str; 10] = [
    "start",
    "turn 1, without seat 1",
    "turn 2, in which the rules play for it",
    "turn 3",
    "turn 4, without seat 2",
    "turn 5, in which the rules play for that",
    "turn 6",
    "turn 7, at whose end it has forfeited",
    "turn 8",
    "seal",
];

/// What the blocks of [`super::taken_back_match`] are.
pub(crate) const TAKEN_BACK_NAMES: [&str; 12] = [
    "start",
    "turn 1",
    "turn 2",
    "turn 3, over a proposal that is declined",
    "takeback to turn 1",
    "turn 2 again, with a resignation",
    "takeback to the start, without the resigned seat",
    "turn 1 for the second time",
    "turn 2 for the third time",
    "turn 3 for the second time",
    "turn 4",
    "seal",
];

/// What the blocks of [`super::fork_match`] are.
pub(crate) const FORK_NAMES: [&str; 4] = ["start", "turn 1", "turn 2", "seal"];

/// What the blocks of [`super::agreed_match`] are.
pub(crate) const AGREED_NAMES: [&str; 7] = [
    "start",
    "turn, over a motion that is withdrawn",
    "pause, under a new session key, after an action that it does not show",
    "turn after the pause",
    "turn in which a seat is skipped",
    "turn with a resignation",
    "seal that all want, without the resigned seat",
];

/// What the blocks of [`super::graced_match`] are.
pub(crate) const GRACED_NAMES: [&str; 8] = [
    "start",
    "grace in the first half",
    "commit of all, which pay less for it",
    "grace in the second half, when a bank is empty",
    "turn with a reveal missing",
    "commit without grace for the seat that was absent before",
    "turn of the others",
    "seal",
];

/// A genesis that names all that [`genesis`] does not.
pub(crate) fn other_modes() -> Genesis {
    Genesis {
        rules: RulesId { name: "toy-2".into(), version: 258 },
        options: Vec::new(),
        seats: vec![SeatHolder::Open, SeatHolder::Player(identity(seat(0)).public()), SeatHolder::Open],
        turns: TurnRules {
            mode: TurnMode::Alternating,
            deadline_ms: 100,
            clock: Clock::Bank { initial_ms: 60_000, increment_ms: 500 },
            grace_ms: 10_000,
            turns_max: Some(40),
        },
        absence: AbsencePolicy::Forfeit { abandon_after: 5, forfeit_after: 4 },
        double_transactions: DoubleTransactionPolicy::EndMatch,
        visibility: Visibility::Sealed,
        randomness: Randomness::CommitReveal {
            server: Digest::new(ramp(1)),
            seats: [2, 3, 4]
                .map(|byte| ChainStart { nonce: [byte; 32], anchor: Digest::new(ramp(byte)) })
                .into(),
        },
        takebacks: TakebackPolicy::Unanimous,
        agreements: AgreementPolicy { pause_ms_max: 86_400_000, end: true, skip: SkipPolicy::AllOthers },
        spectators: SpectatorPolicy::Forbidden,
        parent: Some(Parent {
            match_id: genesis(3).match_id(),
            height: Height::new(9),
            block: BlockHash::new(Digest::new(ramp(0x10))),
            turn: Turn::new(7),
            state_root: StateRoot::new(Digest::new(ramp(0x20))),
        }),
        ..genesis(3)
    }
}

pub(crate) fn certificates() -> Vec<(&'static str, Certificate)> {
    vec![
        ("handshake", certificate(KeyRole::Handshake, &super::key(0x21), 6)),
        ("block", certificate(KeyRole::Block, &block_key(), SERIAL)),
        ("log", certificate(KeyRole::Log, &super::key(0x23), 9)),
    ]
}

/// A list long enough that it cannot be a certificate.
pub(crate) fn revocations() -> Vec<(&'static str, Revocations)> {
    let revoked =
        (1..=5_u32).map(|n| Revoked { serial: 1 << n, from: Millis::new(1_000 * u64::from(n - 1)) });
    let issued = Millis::new(CREATED.get() + 60_000);
    vec![("of five", Revocations { version: Revocations::VERSION, issued, revoked: revoked.collect() })]
}

pub(crate) fn delegations() -> Vec<(&'static str, Delegation)> {
    let game = Match::of(3);
    let valid_to = Some(Millis::new(CREATED.get() + 3_600_000));
    vec![
        ("of the join", game.delegation(seat(0), Epoch::FIRST)),
        ("with an end", Delegation { valid_to, ..game.delegation(seat(2), Epoch::new(1)) }),
    ]
}

pub(crate) fn lobby_place() -> TalkPlace {
    TalkPlace::Lobby { service: super::root().public(), room: room(), nonce: ramp(0xb0) }
}

/// Something that is said first at a place.
pub(crate) fn talk(place: &TalkPlace, author: &SecretKey, number: u32, words: Words) -> Talk {
    let seen = Seen { number: 0, line: place.opening() };
    Talk { version: 1, place: place.clone(), author: author.public(), number, seen, words }
}

pub(crate) fn text(text: &str) -> Words {
    Words::Text(Text::new(text).unwrap())
}

/// Every kind of place and of words.
pub(crate) fn talks() -> Vec<(&'static str, Talk)> {
    let at_match = TalkPlace::Match(genesis(3).match_id());
    let author = identity(seat(1));
    vec![
        ("text in a lobby", talk(&lobby_place(), &author, 1, text("hello"))),
        ("text at a match", talk(&at_match, &author, 1, text("Zoë, שלום 👩\u{200D}🚀"))),
        ("reaction", talk(&at_match, &author, 2, Words::Reaction(Reaction::GoodGame))),
        ("last reaction", talk(&at_match, &author, u32::MAX, Words::Reaction(Reaction::Hurry))),
    ]
}

/// The first line of the lobby, and a second one.
pub(crate) fn lines() -> Vec<Line> {
    let mut conversation = Conversation::begin(lobby_place());
    let said = [talks()[0].1.clone(), talk(&lobby_place(), &identity(seat(2)), 7, text("hi"))];
    let say = |(after, talk): (u64, Talk)| {
        let author = identity(seat(if after == 0 { 1 } else { 2 }));
        let read = SignedTalk::sign(&author, &talk).read().unwrap();
        let checked = conversation.check(read).unwrap();
        conversation.say(checked, Millis::new(CREATED.get() + after))
    };
    (0..).zip(said).map(say).collect()
}

/// Every kind of body, whichever match takes it.
pub(crate) fn transactions() -> Vec<(&'static str, Transaction)> {
    let (fresh, game) = (Match::of(3), Match::started(3));
    let of = |body| game.transaction(seat(1), body);
    let commit = Digest::new(ramp(0x30));
    let late_joined = Match::started_with(3, leave_seats_open).late_join(seat(2));
    vec![
        ("join", fresh.join(seat(0))),
        ("delegate", game.delegate(seat(1))),
        ("turn", game.action(seat(1))),
        ("turn without commands", of(TransactionBody::Turn(Vec::new()))),
        (
            "commit",
            Transaction { chain_element: Some(Digest::new(ramp(1))), ..of(TransactionBody::Commit(commit)) },
        ),
        ("reveal", of(TransactionBody::Reveal { salt: ramp(0x60), commands: vec![1, 1] })),
        ("takeback", of(TransactionBody::Takeback { to_turn: Turn::START })),
        ("resign", of(TransactionBody::Resign)),
        ("motion for nothing", of(TransactionBody::Motion(Motion::Nothing))),
        ("motion to pause", of(TransactionBody::Motion(Motion::Pause { ms: 600_000 }))),
        ("motion to end", of(TransactionBody::Motion(Motion::End))),
        (
            "motion to skip",
            of(TransactionBody::Motion(Motion::Skip { seats: [seat(0), seat(2)].into_iter().collect() })),
        ),
        ("late join", late_joined),
    ]
}

/// A header of every kind, whichever match takes it.
pub(crate) fn headers() -> Vec<(&'static str, Header)> {
    let (fresh, game) = (Match::of(3), Match::started(3));
    let header = |kind| game.block(kind, vec![], vec![], 0).header;
    let turn = game.turn(&[game.action(seat(1))]);
    vec![
        ("start", fresh.start().header),
        ("turn", turn.header),
        ("commit", header(BlockKind::Commit)),
        ("reopen after a restart", header(BlockKind::Reopen { reason: ReopenReason::Restart })),
        ("reopen after a pause", header(BlockKind::Reopen { reason: ReopenReason::Pause { ms: 600_000 } })),
        ("reopen for grace", header(BlockKind::Reopen { reason: ReopenReason::Grace })),
        ("takeback", header(BlockKind::Takeback { to_turn: Turn::START })),
        ("key change", game.key_change().header),
        ("seal by the rules", game.seal(SealReason::Rules).header),
        ("seal at the turn limit", game.seal(SealReason::TurnLimit).header),
        ("seal after resignations", game.seal(SealReason::Resigned).header),
        ("seal of an abandoned match", game.seal(SealReason::Abandoned).header),
        ("seal by agreement", game.seal(SealReason::Agreed).header),
        (
            "seal by the operator",
            header(BlockKind::Seal {
                reason: SealReason::Operator,
                standings: Standing::rank(&[-1, i64::MAX, i64::MIN, 0, 0, 7, 7, 7]),
            }),
        ),
    ]
}

/// A block and two receipts that the server signed together.
pub(crate) struct Batch {
    pub(crate) leaves: Vec<Digest>,
    pub(crate) proofs: Vec<ServerProof>,
    pub(crate) receipts: [ProvenReceipt; 2],
}

pub(crate) fn batch() -> Batch {
    let game = Match::started(3);
    let receipts = [0, 2].map(|index| receipt(&game, index));
    let block = read_block(&Match::of(3).start().block()).hash();
    let leaves = vec![block_leaf(block), receipts[0].leaf(), receipts[1].leaf()];
    let proofs = ServerProof::sign(&block_key(), SERIAL, &leaves);
    let proven = |i: usize| ProvenReceipt { receipt: encode(&receipts[i]), proof: proofs[i + 1].clone() };
    Batch { receipts: [proven(0), proven(1)], leaves, proofs }
}

/// For the action of a seat in the first turn.
pub(crate) fn receipt(game: &Match, index: u8) -> Receipt {
    let tx = game.action(seat(index));
    Receipt {
        version: 1,
        match_id: tx.match_id,
        seat: tx.seat,
        seq: tx.seq,
        transaction: game.sign(&tx).hash(),
        turn: tx.turn,
        attempt: tx.attempt,
        received: game.after_head(100),
    }
}

pub(crate) fn room() -> RoomName {
    RoomName::new("Table_1.a-b").unwrap()
}

pub(crate) fn name(text: &str) -> DisplayName {
    DisplayName::new(text).unwrap()
}

pub(crate) fn spec() -> RoomSpec {
    RoomSpec {
        rules: "toy".into(),
        size: Some(5),
        seats: 3,
        mode: TurnMode::Simultaneous,
        turns_max: Some(100),
        deadline_ms: Some(30_000),
        spectators: SpectatorPolicy::AT_ONCE,
        double_transactions: DoubleTransactionPolicy::KeepFirst,
        visibility: Visibility::Held,
        randomness: RandomnessMode::None,
        takebacks: TakebackPolicy::Never,
        agreements: AgreementPolicy::USUAL,
        clock: Clock::PerTurn,
        absence: AbsencePolicy::USUAL,
        seats_min: 3,
        access: Access::PUBLIC,
        fork: None,
        late_joins: false,
        grace_ms: 20_000,
    }
}

/// For seat 1 to play, by seat 0.
pub(crate) fn invitations() -> [(&'static str, Invitation); 2] {
    let named = Invitation {
        version: Invitation::VERSION,
        service: root().public(),
        room: room(),
        guest: Some(identity(seat(1)).public()),
        enter_as: EnterAs::Player,
        valid_to: CREATED,
    };
    let open = Invitation { guest: None, enter_as: EnterAs::Spectator, ..named.clone() };
    [("to play", named), ("for whoever has it", open)]
}

pub(crate) fn client_messages() -> Vec<(&'static str, ClientMessage)> {
    let game = Match::started(3);
    let head = game.chain.head();
    let plain = RoomSpec {
        size: None,
        mode: TurnMode::Alternating,
        turns_max: None,
        deadline_ms: None,
        spectators: SpectatorPolicy::Forbidden,
        double_transactions: DoubleTransactionPolicy::KeepFirst,
        visibility: Visibility::Sealed,
        randomness: RandomnessMode::CommitReveal,
        takebacks: TakebackPolicy::Unanimous,
        agreements: AgreementPolicy { skip: SkipPolicy::Majority, ..AgreementPolicy::NONE },
        clock: Clock::Bank { initial_ms: 300_000, increment_ms: 5_000 },
        absence: AbsencePolicy::Shrink { abandon_after: 9, forfeit_after: Some(4), shortest_ms: 1_000 },
        seats_min: 2,
        grace_ms: 0,
        access: Access { door: Door::ByInvitation { opener: identity(seat(0)).public() }, listed: false },
        late_joins: true,
        ..spec()
    };
    let hidden = Access { door: Door::ByPassword { key: key(9).public() }, listed: true };
    let enter = |enter_as, pass| ClientMessage::Enter { room: room(), enter_as, name: name("Zoë"), pass };
    let fork = Some(ForkPoint { match_id: game.match_id(), turn: Turn::new(30) });
    let fork = RoomSpec { fork, ..spec() };
    let resume = |enter_as, pass| ClientMessage::Resume {
        match_id: game.match_id(),
        enter_as,
        height: head.height,
        block: head.block,
        pass,
    };
    let invitation = SignedInvitation::sign(&identity(seat(0)), &invitations()[0].1);
    let loan = game.signed_delegation(seat(1), Epoch::new(1));
    let password = || prove_password(&key(9), Digest::new(ramp(0x70)), &room());
    let chain = ChainStart { nonce: ramp(0x40), anchor: Digest::new(ramp(0x80)) };
    vec![
        ("create", ClientMessage::Create { room: room(), spec: spec() }),
        ("create with defaults", ClientMessage::Create { room: room(), spec: plain }),
        (
            "create with a password",
            ClientMessage::Create { room: room(), spec: RoomSpec { access: hidden, ..spec() } },
        ),
        ("create a fork", ClientMessage::Create { room: room(), spec: fork }),
        ("enter to play", enter(EnterAs::Player, None)),
        ("enter to watch", enter(EnterAs::Spectator, None)),
        ("enter with an invitation", enter(EnterAs::Player, Some(Pass::Invitation(invitation)))),
        ("enter with a password", enter(EnterAs::Player, Some(password()))),
        ("enter with a loan", enter(EnterAs::Player, Some(Pass::Loan(loan)))),
        ("ready", ClientMessage::Ready { ready: true, chain: None }),
        ("ready with a hash chain", ClientMessage::Ready { ready: true, chain: Some(chain) }),
        ("not ready", ClientMessage::Ready { ready: false, chain: None }),
        ("resume to play", resume(EnterAs::Player, None)),
        ("resume to watch", resume(EnterAs::Spectator, Some(password()))),
        ("submit", ClientMessage::Submit(game.sign(&game.action(seat(1))))),
        ("enter to watch without executing", enter(EnterAs::Light, None)),
        ("resume to watch without executing", resume(EnterAs::Light, None)),
        ("watch everything", ClientMessage::Watch(None)),
        ("watch some chunks", ClientMessage::Watch(Some(vec![ChunkId::new(0), ChunkId::new(17)]))),
        ("leave", ClientMessage::Leave),
        ("follow by blocks", ClientMessage::Follow { following: Following::Blocks, packed: false }),
        ("follow by a snapshot", ClientMessage::Follow { following: Following::Snapshot, packed: true }),
        ("ping", ClientMessage::Ping(0x0102_0304_0506_0708)),
        ("pong", ClientMessage::Pong(0x0102_0304_0506_0708)),
        (
            "compare: begin",
            compare(CompareRequest::Begin { turn: Turn::new(7), attempt: Attempt::new(2), phases: roots() }),
        ),
        ("compare: nodes", compare(CompareRequest::Nodes { level: 12, indices: vec![0, 15] })),
        (
            "compare: own chunk",
            compare(CompareRequest::OwnChunk { proof: Box::new(chunk_proof()), chunk: Some(vec![1, 2, 3]) }),
        ),
        (
            "compare: no own chunk",
            compare(CompareRequest::OwnChunk { proof: Box::new(chunk_proof()), chunk: None }),
        ),
        (
            "compare: chunks",
            compare(CompareRequest::Chunks { ids: vec![ChunkId::new(0), ChunkId::new(0x0102)] }),
        ),
        ("say", ClientMessage::Say(SignedTalk::sign(&identity(seat(1)), &talks()[0].1))),
        ("rematch", ClientMessage::Rematch),
    ]
}

const fn compare(request: CompareRequest) -> ClientMessage {
    ClientMessage::Compare(request)
}

/// After two phases.
fn roots() -> Vec<StateRoot> {
    [0x11, 0x22].map(|byte| StateRoot::new(Digest::new(ramp(byte)))).into()
}

fn chunk_proof() -> ChunkProof {
    let mut tree = StateTree::new();
    tree.update([(ChunkId::new(5), Some(&[1, 2, 3][..])), (ChunkId::new(6), Some(&[4][..]))]);
    tree.prove(ChunkId::new(5))
}

pub(crate) fn server_messages() -> Vec<(String, ServerMessage)> {
    let game = Match::started(3);
    let block = prove_with(&block_key(), &Match::of(3).start());
    let limits = Limits { heartbeat_ms: 15_000, message_bytes_max: 12_288 };
    let lobby_seat = |index, called, ready| LobbySeat {
        seat: seat(index),
        identity: identity(seat(index)).public(),
        name: name(called),
        ready,
    };
    let seats = vec![lobby_seat(0, "Zoë", true), lobby_seat(2, "李", false)];
    let genesis_of = |begun| ServerMessage::Genesis {
        genesis: encode(&genesis(3)),
        names: vec![name("Zoë"), name("Al"), name("李")],
        begun,
    };
    let mut messages: Vec<(String, ServerMessage)> = vec![
        (
            "accept".into(),
            ServerMessage::Accept { session: Digest::new(ramp(0x70)), limits, server_time: CREATED },
        ),
        ("created".into(), ServerMessage::Created { room: room() }),
        ("lobby".into(), ServerMessage::Lobby(Lobby { room: room(), spec: spec(), seats })),
        ("genesis before the joins".into(), genesis_of(false)),
        ("genesis of a running match".into(), genesis_of(true)),
        ("block".into(), ServerMessage::Block(block)),
        ("caught up".into(), ServerMessage::CaughtUp { height: Height::new(1) }),
        ("receipt".into(), ServerMessage::Receipt(batch().receipts[0].clone())),
    ];
    let transaction = game.sign(&game.action(seat(1))).hash();
    for (name, refusal) in refusals() {
        messages.push((format!("refused: {name}"), ServerMessage::Refused { transaction, refusal }));
    }
    for failure in FAILURES {
        messages.push((format!("failed: {failure:?}"), ServerMessage::Failed(failure)));
    }
    messages.push(("pong".into(), ServerMessage::Pong(0x0102_0304_0506_0708)));
    messages.push(("ping".into(), ServerMessage::Ping(0x0102_0304_0506_0708)));
    for reason in GOODBYES {
        let goodbye = ServerMessage::Goodbye { reason, retry_after_ms: 250 };
        messages.push((format!("goodbye: {reason:?}"), goodbye));
    }
    let proof = || Box::new(chunk_proof());
    for (name, answer) in [
        ("phases", CompareAnswer::Phases { roots: roots() }),
        ("nodes", CompareAnswer::Nodes { nodes: (0..16).map(|byte| Digest::new(ramp(byte))).collect() }),
        ("chunk", CompareAnswer::Chunk { proof: proof(), chunk: Some(vec![1, 2, 3]) }),
        ("no chunk", CompareAnswer::Chunk { proof: proof(), chunk: None }),
        ("unknown", CompareAnswer::Unknown),
    ] {
        messages.push((format!("compared: {name}"), ServerMessage::Compared(answer)));
    }
    for (name, to_turn) in [("takeback: wanted", Some(Turn::new(6))), ("takeback: declined", None)] {
        messages.push((name.into(), ServerMessage::Takeback { seat: seat(1), to_turn }));
    }
    for (name, motion) in
        [("motion: wanted", Motion::Pause { ms: 60_000 }), ("motion: withdrawn", Motion::Nothing)]
    {
        messages.push((name.into(), ServerMessage::Motion { seat: seat(1), motion }));
    }
    let (transaction, receipt) = (game.sign(&game.action(seat(0))), batch().receipts[0].clone());
    messages.push(("relay".into(), ServerMessage::Relay(Box::new(Relay { transaction, receipt }))));
    let conversation = |lines| ServerMessage::Conversation { place: lobby_place(), lines };
    messages.push(("conversation".into(), conversation(lines())));
    messages.push(("conversation: nothing yet".into(), conversation(Vec::new())));
    messages.push(("said".into(), ServerMessage::Said(lines()[1].clone())));
    let talk = lines()[0].talk.hash();
    for refusal in TALK_REFUSALS {
        let kind = refusal.kind();
        messages.push((format!("not said: {kind}"), ServerMessage::NotSaid { talk, refusal }));
    }
    let notice = Notice::Text(Text::new("Maintenance at 22:00 UTC").unwrap());
    messages.push(("notice: text".into(), ServerMessage::Notice(notice)));
    let notice = Notice::Shutdown { in_ms: 30_000 };
    messages.push(("notice: shutdown".into(), ServerMessage::Notice(notice)));
    for limit in LIMITS {
        let limited = ServerMessage::Limited { limit, retry_after_ms: 12_000 };
        messages.push((format!("limited: {limit:?}"), limited));
    }
    let chunks =
        ServerMessage::Chunks(vec![(ChunkId::new(5), vec![1, 2, 3]), (ChunkId::new(6), vec![4; 100])]);
    let packed: ServerMessage = decode_exact(&pack(&encode(&chunks)).unwrap()).unwrap();
    let block = ProvenHeader::of(&prove_with(&block_key(), &Match::of(3).start())).unwrap();
    for (kind, place) in [("snapshot", vec![]), ("snapshot after a gap", vec![Digest::new(ramp(0x31))])] {
        let point = JoinPoint { block: block.clone(), state: game.chain.state().clone(), place };
        messages.push((kind.into(), ServerMessage::Snapshot(Box::new(point))));
    }
    for (kind, since) in [
        ("view of what changed", Since::Before),
        ("view", Since::Nothing { signer: game.chain.signer_certificate().clone(), place: Vec::new() }),
    ] {
        let chunks = vec![(ChunkId::new(5), vec![1, 2, 3])];
        let view =
            View { block: block.clone(), since, beside: vec![Digest::new(ramp(0x41))], chunks, more: 2 };
        messages.push((kind.into(), ServerMessage::View(Box::new(view))));
    }
    messages.push(("chunks".into(), chunks));
    messages.push(("packed chunks".into(), packed));
    messages.push(("rematch".into(), ServerMessage::Rematch { seat: seat(1) }));
    messages
}

fn refusals() -> Vec<(String, Refusal)> {
    let mut refusals: Vec<(String, Refusal)> = vec![
        ("Malformed".into(), Refusal::Malformed),
        ("NotYourSeat".into(), Refusal::NotYourSeat),
        ("NoMatch".into(), Refusal::NoMatch),
    ];
    refusals
        .extend(TRANSACTION_ERRORS.map(|error| (format!("Chain, {}", error.kind()), Refusal::Chain(error))));
    let command = Refusal::Command { command: 2, reason: "the edge is drawn already".into() };
    refusals.push(("Command".into(), command));
    refusals
}

const TRANSACTION_ERRORS: [TransactionError; 27] = [
    TransactionError::WrongMatch,
    TransactionError::NoSuchSeat,
    TransactionError::MatchOver,
    TransactionError::WrongKind,
    TransactionError::WrongTurn { expected: Turn::new(2), got: Turn::new(1) },
    TransactionError::WrongAttempt,
    TransactionError::Resigned,
    TransactionError::AlreadySubmitted,
    TransactionError::NotToMove,
    TransactionError::WrongEpoch { expected: Epoch::new(1), got: Epoch::new(0) },
    TransactionError::WrongSeq { expected: Seq::new(9), got: Seq::new(8) },
    TransactionError::WrongLink,
    TransactionError::UnknownSeenBlock,
    TransactionError::UnexpectedChainElement,
    TransactionError::MissingChainElement,
    TransactionError::WrongChainElement,
    TransactionError::WrongReveal,
    TransactionError::Early,
    TransactionError::Late,
    TransactionError::BadDelegation,
    TransactionError::DelegationExpired,
    TransactionError::BadSignature,
    TransactionError::Exhausted,
    TransactionError::WrongTakeback,
    TransactionError::AlreadySeated,
    TransactionError::SeatTaken,
    TransactionError::WrongMotion,
];

const FAILURES: [Failure; 13] = [
    Failure::RoomExists,
    Failure::NoSuchRoom,
    Failure::NoSuchMatch,
    Failure::BadSpec,
    Failure::TooManyRooms,
    Failure::RoomFull,
    Failure::NotSeated,
    Failure::NoSpectators,
    Failure::WrongState,
    Failure::UnknownHead,
    Failure::Unavailable,
    Failure::NotInvited,
    Failure::WrongPassword,
];

const TALK_REFUSALS: [TalkRefusal; 8] = [
    TalkRefusal::Limited { limit: Limit::TalksPerIdentity, retry_after_ms: 2_000 },
    TalkRefusal::Malformed,
    TalkRefusal::NotTheAuthor,
    TalkRefusal::WrongPlace,
    TalkRefusal::OnlyListening,
    TalkRefusal::UnknownSeenLine,
    TalkRefusal::Repeated,
    TalkRefusal::BadSignature,
];

const LIMITS: [Limit; 13] = [
    Limit::ConnectionsPerIdentity,
    Limit::RoomsPerIdentity,
    Limit::RoomsPerAddress,
    Limit::CreatesPerIdentity,
    Limit::CreatesPerAddress,
    Limit::EntersPerIdentity,
    Limit::SubmitsPerIdentity,
    Limit::ComparesPerIdentity,
    Limit::OthersPerIdentity,
    Limit::MessagesPerAddress,
    Limit::TalksPerIdentity,
    Limit::TalksPerAddress,
    Limit::PasswordsPerAddress,
];

const GOODBYES: [GoodbyeReason; 6] = [
    GoodbyeReason::Shutdown,
    GoodbyeReason::Replaced,
    GoodbyeReason::TooSlow,
    GoodbyeReason::Silent,
    GoodbyeReason::RoomClosed,
    GoodbyeReason::TooFast,
];
