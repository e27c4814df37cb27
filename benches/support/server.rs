use std::collections::VecDeque;

use cadastre_protocol::{
    AbsencePolicy, Access, AgreementPolicy, Certificate, ChainSecret, ClientHandshake, ClientMessage,
    ClientSession, Clock, Digest, DisplayName, DoubleTransactionPolicy, EnterAs, KeyRole, Millis, Padding,
    RandomnessMode, RoomName, RoomSpec, SecretKey, ServerHandshake, ServerIdentity, ServerProof,
    ServerSession, SignedCertificate, SignedTransaction, SpectatorPolicy, TakebackPolicy, Trust, TurnMode,
    Visibility, decode_exact, encode,
};
use cadastre_rooms::{GuestId, Host, Input, Output, Record, Records, Room};
use rand_core::UnwrapErr;

/// Players of a match.
pub(crate) const SEATS: u8 = 4;

/// Serial of the block signer.
pub(crate) const SERIAL: u32 = 2;

/// When the matches begin.
pub(crate) const BEGIN: Millis = Millis::new(1_795_000_000_000);

/// A room with the sessions of its players, as the service has them, but for the sockets between.
pub(crate) struct Server {
    pub(crate) room: Room,
    sessions: Vec<ServerSession>,
    /// What the room wants written, oldest first.
    pub(crate) commits: VecDeque<Records>,
    /// What goes to the sockets.
    frames: Vec<Vec<u8>>,
}

impl Server {
    /// A room whose players all sit and are ready: it waits for their Joins. Another room number makes
    /// another match.
    pub(crate) fn open(number: u64, sessions: Vec<ServerSession>) -> Self {
        let name = RoomName::new(&format!("room-{number}")).expect("a room name");
        let room = Room::open(name, host(), spec()).expect("rules of this build");
        let mut server = Self { room, sessions, commits: VecDeque::new(), frames: Vec::new() };
        for seat in 0..SEATS {
            let identity = player_key(seat).public();
            let name = DisplayName::new(&format!("player {seat}")).expect("a name");
            let enter =
                Input::Enter { guest: guest(seat), identity, enter_as: EnterAs::Player, name, shown: None };
            server.room.handle(BEGIN, enter);
        }
        for seat in 0..SEATS {
            server.room.handle(BEGIN, Input::Ready { guest: guest(seat), ready: true, chain: None });
        }
        while server.room.poll().is_some() {}
        server
    }

    /// Opens and decodes a record of a seat and hands it to the room.
    pub(crate) fn receive(&mut self, now: Millis, seat: u8, record: Vec<u8>) {
        let opened = self.sessions[usize::from(seat)].opener.open(record);
        let message = opened.expect("it was sealed for this session").expect("it is a whole message");
        let message = decode_exact(&message).expect("it is a message");
        let ClientMessage::Submit(transaction) = message else { panic!("{message:?} is not prepared") };
        self.submit(now, seat, transaction);
    }

    /// Hands a transaction to the room.
    pub(crate) fn submit(&mut self, now: Millis, seat: u8, transaction: SignedTransaction) {
        self.room.handle(now, Input::Submit { guest: guest(seat), transaction });
        self.carry_out();
    }

    /// Tells the room that its oldest commit is on disk.
    pub(crate) fn committed(&mut self, now: Millis, proofs: Vec<ServerProof>) {
        self.room.handle(now, Input::Committed { proofs });
        self.carry_out();
    }

    /// Signs everything that waits at once, as the store's writer does, and writes it nowhere.
    pub(crate) fn sign_commits(&mut self, now: Millis, signer: &SecretKey) {
        let leaves = |records: &Records| records.records.iter().filter_map(Record::leaf).collect::<Vec<_>>();
        let leaves: Vec<Vec<Digest>> = self.commits.drain(..).map(|records| leaves(&records)).collect();
        let mut proofs = ServerProof::sign(signer, SERIAL, &leaves.concat()).into_iter();
        for commit in leaves {
            self.committed(now, proofs.by_ref().take(commit.len()).collect());
        }
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.room.poll() {
            match output {
                Output::Commit(records) => self.commits.push_back(records),
                Output::Send { to, message } => self.seal(to, &encode(&message)),
                Output::Broadcast { to, message } => {
                    let bytes = encode(&message);
                    to.into_iter().for_each(|to| self.seal(to, &bytes));
                }
                Output::WakeAt(_) | Output::Observed(_) | Output::Show(_) => {}
                Output::FirstState { .. }
                | Output::CatchUp { .. }
                | Output::Watch { .. }
                | Output::Refuse { .. }
                | Output::Dismiss { .. } => {
                    panic!("{output:?} in a match without incidents")
                }
            }
        }
    }

    fn seal(&mut self, to: GuestId, message: &[u8]) {
        // The match is prepared before there are sessions.
        let seat = usize::try_from(to.get()).expect("the number of a seat");
        let Some(session) = self.sessions.get_mut(seat) else { return };
        let sealed = session.sealer.seal(message, Padding::Block64, &mut self.frames);
        sealed.expect("no session is that long");
    }

    /// Takes what the sockets would take; gives the lengths of the plaintexts.
    pub(crate) fn take_frames(&mut self) -> Vec<usize> {
        self.frames.drain(..).map(|frame| frame.len() - 1 - 16).collect()
    }

    /// Lets the sockets take everything.
    pub(crate) fn send_frames(&mut self) {
        self.frames.clear();
    }
}

/// The two ends of a session.
pub(crate) struct Link {
    pub(crate) client: ClientSession,
    pub(crate) server: ServerSession,
}

/// A player's session, by a real handshake.
pub(crate) fn link(identity: &ServerIdentity, seat: u8) -> Link {
    let mut rng = UnwrapErr(getrandom::SysRng);
    let trust = Trust::Pinned(root_key().public());
    let (client, m1) = ClientHandshake::start(AUTHORITY, trust, &player_key(seat), &mut rng);
    let (server, m2) =
        ServerHandshake::new(identity, AUTHORITY).receive_m1(&m1, &mut rng).expect("M1 is good");
    let (m3, client) = client.receive(&m2, BEGIN).expect("M2 is good");
    Link { client, server: server.receive(&m3).expect("M3 is good") }
}

/// What the server proves itself with.
pub(crate) fn server_identity() -> ServerIdentity {
    let key = SecretKey::from_seed(&[102; 32]);
    let certificate = certificate(KeyRole::Handshake, &key);
    ServerIdentity::new(root_key().public(), certificate, key, BEGIN).expect("the parts fit")
}

fn host() -> Host {
    Host {
        root: root_key().public(),
        signer: certificate(KeyRole::Block, &signer_key()),
        entropy: [9; 32],
        deadline_ms: 30_000,
        spectators_max: 0,
        chain_secret: ChainSecret::new(&[77; 32]),
    }
}

/// The smallest board with more than 10,000 edges; every turn waits for all.
fn spec() -> RoomSpec {
    RoomSpec {
        rules: "boxes".to_owned(),
        size: Some(71),
        seats: SEATS,
        mode: TurnMode::Simultaneous,
        turns_max: None,
        deadline_ms: None,
        spectators: SpectatorPolicy::Forbidden,
        double_transactions: DoubleTransactionPolicy::KeepFirst,
        visibility: Visibility::Held,
        randomness: RandomnessMode::None,
        takebacks: TakebackPolicy::Never,
        agreements: AgreementPolicy::NONE,
        clock: Clock::PerTurn,
        absence: AbsencePolicy::USUAL,
        seats_min: SEATS,
        access: Access::PUBLIC,
        fork: None,
        late_joins: false,
        grace_ms: 0,
    }
}

fn certificate(role: KeyRole, key: &SecretKey) -> SignedCertificate {
    let (valid_from, valid_to) = (Millis::new(0), Millis::new(u64::MAX));
    let (version, key) = (Certificate::VERSION, key.public());
    let certificate = Certificate { version, role, key, serial: SERIAL, valid_from, valid_to };
    SignedCertificate::issue(&root_key(), &certificate)
}

pub(crate) fn player_key(seat: u8) -> SecretKey {
    SecretKey::from_seed(&[seat; 32])
}

pub(crate) fn root_key() -> SecretKey {
    SecretKey::from_seed(&[100; 32])
}

/// The block signer.
pub(crate) fn signer_key() -> SecretKey {
    SecretKey::from_seed(&[101; 32])
}

fn guest(seat: u8) -> GuestId {
    GuestId::new(u64::from(seat))
}

const AUTHORITY: &str = "play.example:443";
