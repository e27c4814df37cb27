//! Server, client and auditor, each as it is built, before a case of the corpus.

use cadastre_client::{Config, FollowError, Follower, Session, SessionError};
use cadastre_protocol::{
    ChainSecret, CompareAnswer, DisplayName, EnterAs, Millis, ProvenBlock, Refusal, RoomName, ServerMessage,
    ServerProof, decode_exact,
};
use cadastre_replay::{
    Meta, Writer, audit,
    fixture::{certificate, identity_key, root_key, signer_key, with_blocks},
};
use cadastre_rooms::{GuestId, Host, Input, Output, Record, Restored, Room};
use cadastre_simulations::Game;

use super::corpus::{Case, Family, Submission, blocks, transactions};

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
    let restored = Restored { chain, game, names: follower.names().to_vec(), accepted: Vec::new() };
    let host = Host {
        root: root_key().public(),
        signer: certificate(1),
        entropy: [0; 32],
        deadline_ms: 30_000,
        spectators_max: 1,
        chain_secret: ChainSecret::new(&[77; 32]),
    };
    let mut room = Room::restore(RoomName::new("attacked").unwrap(), host, restored, opened).unwrap();
    carry_out(&mut room, opened);

    let guest = GuestId::new(1);
    let enter_as = submission.from_seat.map_or(EnterAs::Spectator, |_| EnterAs::Player);
    let identity = identity_key(submission.from_seat.unwrap_or(77)).public();
    let name = DisplayName::new("guest").unwrap();
    room.handle(opened, Input::Enter { guest, identity, enter_as, name });
    carry_out(&mut room, opened);
    let now = opened.after(submission.received_ms);
    let mut answers = Vec::new();
    for transaction in transactions(&submission.transactions) {
        room.handle(now, Input::Submit { guest, transaction });
        answers.push(carry_out(&mut room, now).expect("the server answers"));
    }
    let last = answers.pop().unwrap();
    assert!(answers.iter().all(|answer| answer == "accepted"), "{answers:?}");
    last
}

/// Does what the room wants, with a store that writes at once. Gives the answer to a transaction.
fn carry_out(room: &mut Room, now: Millis) -> Option<String> {
    let mut answer = None;
    while let Some(output) = room.poll() {
        match output {
            Output::Commit(records) => {
                let leaves: Vec<_> = records.records.iter().filter_map(Record::leaf).collect();
                let proofs = ServerProof::sign(&signer_key(1), 1, &leaves);
                room.handle(now, Input::Committed { proofs });
            }
            Output::Send { message: ServerMessage::Receipt(_), .. } => answer = Some("accepted".to_owned()),
            Output::Send { message: ServerMessage::Refused { refusal, .. }, .. } => {
                answer = Some(word(&refusal).to_owned());
            }
            // The transaction that closes the turn gets its block in place of a receipt.
            Output::Broadcast { message: ServerMessage::Block(_), .. } => {
                answer = Some("accepted".to_owned());
            }
            Output::Send { .. }
            | Output::Broadcast { .. }
            | Output::CatchUp { .. }
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

/// A player of the match, who has seen the blocks of the family.
fn at_the_client(family: &Family, case: &Case) -> String {
    let config = Config {
        identity: identity_key(0),
        process: identity_key(0),
        room: RoomName::new("attacked").unwrap(),
        enter_as: EnterAs::Player,
        name: DisplayName::new("player").unwrap(),
        open: None,
    };
    let mut session = Session::new(config);
    let root = root_key().public();
    session.connected(root);
    let genesis = hex::decode(&family.genesis).unwrap();
    session.receive(ServerMessage::Genesis { genesis, names: names(family), begun: true }, root).unwrap();
    let mut show = |block| session.receive(ServerMessage::Block(block), root);
    for block in blocks(&family.played) {
        show(block).unwrap();
    }
    let shown = blocks(&case.blocks).into_iter().try_for_each(show);
    let is_diverged = session.follower().is_some_and(Follower::is_diverged);
    // A server has nothing to show for a state that it made up.
    let nothing = ServerMessage::Compared(CompareAnswer::Unknown);
    match shown.and_then(|()| if is_diverged { session.receive(nothing, root) } else { Ok(()) }) {
        Ok(()) => "accepted".to_owned(),
        Err(SessionError::Follow(FollowError::Block(error))) => error.kind().to_owned(),
        Err(SessionError::Follow(FollowError::Encoding(_))) => "encoding".to_owned(),
        Err(other) => panic!("{other}"),
    }
}

/// A file of the blocks of the family and those of the case.
fn at_the_auditor(family: &Family, case: &Case) -> String {
    let played = blocks(&family.played);
    let all: Vec<ProvenBlock> = played.iter().cloned().chain(blocks(&case.blocks)).collect();
    let file = with_blocks(&file(family, played), &all);
    let report = audit(&file, Some(root_key().public())).unwrap();
    report.violations.first().map_or("valid", |violation| violation.kind).to_owned()
}

/// A file whose header is that of the match.
fn file(family: &Family, played: Vec<ProvenBlock>) -> Vec<u8> {
    let genesis = hex::decode(&family.genesis).unwrap();
    let room = RoomName::new("attacked").unwrap();
    let mut writer = Writer::new(Vec::new(), Meta { genesis, room, names: names(family) }).unwrap();
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
    let genesis: cadastre_protocol::Genesis = decode_exact(&hex::decode(&family.genesis).unwrap()).unwrap();
    genesis.seats.iter().map(|_| DisplayName::new("player").unwrap()).collect()
}
