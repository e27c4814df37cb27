//! Server, client and auditor, each as it is built, before a case of the corpus.

use cadastre_client::{Config, Event, FollowError, Follower, Session, SessionError};
use cadastre_protocol::{
    AbsenceReason, Access, CompareAnswer, Conversation, Digest, DisplayName, EnterAs, Evidence, Millis,
    ProvenBlock, Refusal, Revocations, RoomName, ServerMessage, ServerProof, SignedRevocations, TalkPlace,
    Verdict,
};
use cadastre_replay::{
    Meta, Writer, audit_with,
    fixture::{certificate, chain_secret, identity_key, root_key, signer_key, with_blocks},
    judge_evidence,
};
use cadastre_rooms::{GuestId, Host, Input, Output, Record, Restored, Room};
use cadastre_simulations::Game;

use super::corpus::{Case, Family, Submission, blocks, from_hex, transactions};

/// Every verdict of the case is the one that the corpus says.
pub(crate) fn judge(family: &Family, case: &Case) {
    let Case { submission, verdict, .. } = case;
    let server = submission.as_ref().map(|submission| at_the_server(family, submission));
    assert_eq!(server, verdict.server, "server");
    let shown = !case.blocks.is_empty();
    assert_eq!(shown.then(|| at_the_client(family, case)), verdict.client, "client");
    assert_eq!(shown.then(|| at_the_auditor(family, case)), verdict.auditor, "auditor");
}

/// The room goes on from the blocks of the family, with its turn opened again.
fn at_the_server(family: &Family, submission: &Submission) -> String {
    let follower = follower(family);
    let (chain, setup) = (follower.chain().clone(), follower.game().setup().clone());
    let game = Game::restore(&setup, &follower.game().snapshot()).unwrap();
    let opened = chain.head().server_time.after(1000);
    let conversation = Conversation::begin(TalkPlace::Match(chain.match_id()));
    let (names, access, accepted) = (follower.names().to_vec(), Access::PUBLIC, Vec::new());
    let (newest, first) = (Vec::new(), None);
    let restored = Restored { chain, game, names, access, accepted, conversation, newest, first };
    let host = Host {
        root: root_key().public(),
        signer: certificate(1),
        entropy: [0; 32],
        deadline_ms: 30_000,
        spectators_max: 1,
        chain_secret: chain_secret(),
    };
    let mut room = Room::restore(RoomName::new("attacked").unwrap(), host, restored, opened).unwrap();
    carry_out(&mut room, opened);

    let guest = GuestId::new(1);
    let enter_as = submission.from_seat.map_or(EnterAs::Spectator, |_| EnterAs::Player);
    let identity = identity_key(submission.from_seat.unwrap_or(77)).public();
    let name = DisplayName::new("guest").unwrap();
    room.handle(opened, Input::Enter { guest, identity, enter_as, name, shown: None });
    carry_out(&mut room, opened);
    let now = opened.after(submission.received_ms);
    if submission.transactions.is_empty() {
        room.handle(now, Input::Timeout);
        let Some(Answer::Block(block)) = carry_out(&mut room, now) else { panic!("time is up") };
        return absence_of(submission, block).to_owned();
    }
    let mut answers = Vec::new();
    for transaction in transactions(&submission.transactions) {
        room.handle(now, Input::Submit { guest, transaction });
        answers.push(carry_out(&mut room, now).expect("the server answers").word());
    }
    let last = answers.pop().unwrap();
    assert!(answers.iter().all(|answer| *answer == "accepted"), "{answers:?}");
    last.to_owned()
}

/// What a room says to what came.
enum Answer {
    Receipt,
    Refused(Refusal),
    /// The transaction that closes the turn gets its block in place of a receipt; so does the end of its time.
    Block(ProvenBlock),
}

impl Answer {
    const fn word(&self) -> &'static str {
        match self {
            Self::Receipt | Self::Block(_) => "accepted",
            Self::Refused(refusal) => word(refusal),
        }
    }
}

/// Does what the room wants, with a store that writes at once. Gives the answer to what came last.
fn carry_out(room: &mut Room, now: Millis) -> Option<Answer> {
    let mut answer = None;
    while let Some(output) = room.poll() {
        match output {
            Output::Commit(records) => {
                let leaves: Vec<_> = records.records.iter().filter_map(Record::leaf).collect();
                let proofs = ServerProof::sign(&signer_key(1), 1, &leaves);
                room.handle(now, Input::Committed { proofs });
            }
            Output::Send { message: ServerMessage::Receipt(_), .. } => answer = Some(Answer::Receipt),
            Output::Send { message: ServerMessage::Refused { refusal, .. }, .. } => {
                answer = Some(Answer::Refused(refusal));
            }
            Output::Broadcast { message: ServerMessage::Block(block), .. } => {
                answer = Some(Answer::Block(block));
            }
            Output::Send { .. }
            | Output::Broadcast { .. }
            | Output::CatchUp { .. }
            | Output::Watch { .. }
            | Output::Show(_)
            | Output::FirstState { .. }
            | Output::WakeAt(_)
            | Output::Observed(_) => {}
            Output::Refuse { .. } | Output::Dismiss { .. } => panic!("{output:?}"),
        }
    }
    answer
}

const fn word(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Malformed => "malformed",
        Refusal::NotYourSeat => "not-your-seat",
        Refusal::NoMatch => "no-match",
        Refusal::Chain(error) => error.kind(),
        Refusal::Command { .. } => "command",
    }
}

/// What the block says of the seat that did nothing.
fn absence_of(submission: &Submission, block: ProvenBlock) -> &'static str {
    let read = block.read().unwrap().into_block();
    let mut absent = read.absent().iter().filter(|absence| Some(absence.seat.get()) == submission.from_seat);
    match absent.next().expect("the seat did nothing").reason {
        AbsenceReason::Deadline => "absent-deadline",
        AbsenceReason::NotToMove => "absent-not-to-move",
        AbsenceReason::Resigned => "absent-resigned",
        AbsenceReason::Skipped => "absent-skipped",
        AbsenceReason::RevealMissing => "absent-reveal-missing",
        AbsenceReason::OpenSeat => "absent-open-seat",
        AbsenceReason::TakenOver => "absent-taken-over",
    }
}

/// A player of the match, who has seen the blocks of the family.
fn at_the_client(family: &Family, case: &Case) -> String {
    let config = Config {
        identity: identity_key(0),
        process: identity_key(0),
        room: RoomName::new("attacked").unwrap(),
        enter_as: EnterAs::Player,
        name: DisplayName::new("player").unwrap(),
        open: None,
        credential: None,
    };
    let mut session = Session::new(config);
    let root = root_key().public();
    session.connected(root, Digest::ZERO);
    let genesis = hex::decode(&family.genesis).unwrap();
    session.receive(ServerMessage::Genesis { genesis, names: names(family), begun: true }, root).unwrap();
    for block in blocks(&family.played) {
        session.receive(ServerMessage::Block(block), root).unwrap();
    }
    if let Some(receipt) = &case.receipt {
        session.receive(ServerMessage::Receipt(from_hex(receipt)), root).unwrap();
    }
    let mut show = |block| session.receive(ServerMessage::Block(block), root);
    let shown = blocks(&case.blocks).into_iter().try_for_each(&mut show);
    let is_diverged = session.follower().is_some_and(Follower::is_diverged);
    // A server has nothing to show for a state that it made up.
    let nothing = ServerMessage::Compared(CompareAnswer::Unknown);
    match shown.and_then(|()| if is_diverged { session.receive(nothing, root) } else { Ok(()) }) {
        Ok(()) => evidence_of(&mut session).unwrap_or("accepted").to_owned(),
        Err(SessionError::Follow(FollowError::Block(error))) => error.kind().to_owned(),
        Err(SessionError::Follow(FollowError::Encoding(_))) => "encoding".to_owned(),
        Err(other) => panic!("{other}"),
    }
}

/// The kind of evidence that a session has against the server, proven to whoever trusts the root key.
fn evidence_of(session: &mut Session) -> Option<&'static str> {
    let events = std::iter::from_fn(|| session.poll_event());
    let evidence: Vec<Evidence> = events
        .filter_map(|event| if let Event::Evidence(evidence) = event { Some(*evidence) } else { None })
        .collect();
    let [evidence] = &evidence[..] else {
        assert!(evidence.is_empty(), "{evidence:?}");
        return None;
    };
    let report = judge_evidence(evidence.clone(), &[root_key().public()], &Revocations::NONE);
    assert!(matches!(report.verdict, Verdict::Proven(_)), "{report:?}");
    Some(evidence.case.kind())
}

/// A file of the blocks of the family and those of the case.
fn at_the_auditor(family: &Family, case: &Case) -> String {
    let played = blocks(&family.played);
    let all: Vec<ProvenBlock> = played.iter().cloned().chain(blocks(&case.blocks)).collect();
    let file = with_blocks(&file(family, played), &all);
    let revocations = case.revocations.as_deref().map_or(Revocations::NONE, |signed| {
        let signed: SignedRevocations = from_hex(signed);
        signed.verify(&root_key().enrolled()).unwrap()
    });
    let report = audit_with(&file, Some(root_key().public()), &revocations).unwrap();
    report.violations.first().map_or("valid", |violation| violation.kind).to_owned()
}

/// A file whose header is that of the match.
fn file(family: &Family, played: Vec<ProvenBlock>) -> Vec<u8> {
    let genesis = hex::decode(&family.genesis).unwrap();
    let room = RoomName::new("attacked").unwrap();
    let mut writer =
        Writer::new(Vec::new(), Meta { genesis, room, names: names(family), first: None }).unwrap();
    played.into_iter().for_each(|block| writer.push(block).unwrap());
    writer.finish().unwrap().0
}

fn follower(family: &Family) -> Follower {
    let genesis = hex::decode(&family.genesis).unwrap();
    let mut follower = Follower::begin(&genesis, names(family), root_key().public()).unwrap();
    for block in blocks(&family.played) {
        follower.follow(block).unwrap();
    }
    follower
}

fn names(family: &Family) -> Vec<DisplayName> {
    let genesis: cadastre_protocol::Genesis = from_hex(&family.genesis);
    genesis.seats.iter().map(|_| DisplayName::new("player").unwrap()).collect()
}
