//! A match comes back from the store as it was: from its newest keyframe, with every block after it checked.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "only in tests")]

use std::{path::Path, sync::Arc};

use cadastre::{
    metrics::Metrics,
    store::{self, Commit, Store, StoreLock, Writer},
};
use cadastre_client::{Config, Session};
use cadastre_protocol::{
    AbsencePolicy, Access, AgreementPolicy, Certificate, ChainSecret, ClientMessage, Clock, Digest,
    DisplayName, DoubleTransactionPolicy, EnterAs, Head, Height, KeyRole, MatchId, Millis, RandomnessMode,
    RoomName, RoomSpec, SecretKey, ServerMessage, SignedCertificate, SpectatorPolicy, TakebackPolicy,
    TurnMode, Visibility,
};
use cadastre_rooms::{GuestId, Host, Input, KEYFRAME_TURNS, Output, Record, Records, Room};
use tokio::sync::oneshot;

const SEATS: u8 = 2;
const SERIAL: u32 = 2;

#[tokio::test(flavor = "multi_thread")]
async fn a_match_resumes_from_its_keyframe() {
    let folder = tempfile::tempdir().unwrap();
    let turns = KEYFRAME_TURNS * 2 + 40;
    let mut table = Table::open(folder.path(), "city", 64);
    table.play_to(turns).await;
    let (match_id, head) = table.head();
    let store = table.close().await;

    let (state, _) = store.keyframe(match_id).unwrap().expect("two keyframes were due");
    assert_eq!(state.head().turn.get(), KEYFRAME_TURNS * 2, "the newest one is kept");
    let record = store.match_record(match_id).unwrap().unwrap();
    let restored = store::recover(&store, match_id, record, head.server_time).unwrap();
    assert_eq!(restored.chain.head(), &head);
    assert_eq!(restored.game.state_root(), head.state_root);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_keyframe_a_match_resumes_from_its_genesis() {
    let folder = tempfile::tempdir().unwrap();
    let mut table = Table::open(folder.path(), "boxes", 8);
    table.play_to(20).await;
    let (match_id, head) = table.head();
    let store = table.close().await;

    assert!(store.keyframe(match_id).unwrap().is_none());
    let record = store.match_record(match_id).unwrap().unwrap();
    assert_eq!(store::recover(&store, match_id, record, head.server_time).unwrap().chain.head(), &head);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_writer_signs_no_second_block_at_a_height() {
    let folder = tempfile::tempdir().unwrap();
    let mut table = Table::open(folder.path(), "boxes", 8);
    table.play_to(3).await;
    let again = table.last_block.clone();
    assert!(matches!(again.records[..], [Record::Block { .. }]));
    let (done, answer) = oneshot::channel();
    table.writer.commit(Commit { records: again, done }).await.unwrap();
    assert!(answer.await.is_err(), "the commit is not acknowledged");
    assert!(!table.writer.is_healthy(), "and the writer has stopped");
}

/// A room with its players, and the real store below it.
struct Table {
    room: Room,
    sessions: Vec<Session>,
    root: SecretKey,
    store: Store,
    writer: Writer,
    thread: std::thread::JoinHandle<()>,
    last_block: Records,
    now: u64,
    _lock: StoreLock,
}

impl Table {
    fn open(folder: &Path, rules: &str, size: u16) -> Self {
        let lock = StoreLock::take(folder).unwrap();
        let store = Store::open(&lock, &folder.join("store")).unwrap();
        let (root, block) = (SecretKey::from_seed(&[1; 32]), SecretKey::from_seed(&[2; 32]));
        let certificate = Certificate {
            version: Certificate::VERSION,
            role: KeyRole::Block,
            key: block.public(),
            serial: SERIAL,
            valid_from: Millis::new(0),
            valid_to: Millis::new(1 << 50),
        };
        let host = Host {
            root: root.public(),
            signer: SignedCertificate::issue(&root, &certificate),
            entropy: [3; 32],
            deadline_ms: 30_000,
            spectators_max: 0,
            chain_secret: ChainSecret::new(&[77; 32]),
        };
        let spec = RoomSpec {
            rules: rules.into(),
            size: Some(size),
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
        };
        let name = RoomName::new("table").unwrap();
        let (writer, thread) =
            Writer::start(store.clone(), block, SERIAL, 16, Arc::new(Metrics::new())).unwrap();
        let sessions = (0..SEATS).map(|seat| {
            Session::new(Config {
                identity: SecretKey::from_seed(&[10 + seat; 32]),
                process: SecretKey::from_seed(&[20 + seat; 32]),
                room: name.clone(),
                enter_as: EnterAs::Player,
                name: DisplayName::new("player").unwrap(),
                open: None,
                credential: None,
            })
        });
        Self {
            sessions: sessions.collect(),
            room: Room::open(name, host, spec).unwrap(),
            root,
            store,
            writer,
            thread,
            last_block: Records { match_id: MatchId::new(Digest::ZERO), records: Vec::new() },
            now: 1_000,
            _lock: lock,
        }
    }

    /// Plays until the chain has executed this turn, with every commit on disk.
    async fn play_to(&mut self, turn: u32) {
        for session in &mut self.sessions {
            session.connected(self.root.public(), Digest::ZERO);
        }
        while self.room.chain().is_none_or(|chain| chain.head().turn.get() < turn) {
            self.now += 1;
            for index in 0..self.sessions.len() {
                let session = &mut self.sessions[index];
                if let Some((follower, seat)) = session.follower().zip(session.seat()) {
                    let commands = follower.game().simulation().suggest(seat);
                    // Refused while the turn has commands of this seat already.
                    let _ = session.submit(commands);
                }
                while let Some(message) = self.sessions[index].poll_send() {
                    self.hand_in(index, message);
                    self.carry_out().await;
                }
            }
        }
    }

    fn hand_in(&mut self, index: usize, message: ClientMessage) {
        let guest = GuestId::new(index as u64);
        let input = match message {
            ClientMessage::Enter { enter_as, name, .. } => {
                let identity = SecretKey::from_seed(&[10 + u8::try_from(index).unwrap(); 32]).public();
                Input::Enter { guest, identity, enter_as, name, shown: None }
            }
            ClientMessage::Ready { ready, chain } => Input::Ready { guest, ready, chain },
            ClientMessage::Submit(transaction) => Input::Submit { guest, transaction },
            other => panic!("unexpected {other:?}"),
        };
        self.room.handle(Millis::new(self.now), input);
    }

    async fn carry_out(&mut self) {
        while let Some(output) = self.room.poll() {
            match output {
                Output::Commit(records) => {
                    let (done, answer) = oneshot::channel();
                    if records.records.iter().any(|record| matches!(record, Record::Block { .. })) {
                        self.last_block = records.clone();
                    }
                    self.writer.commit(Commit { records, done }).await.unwrap();
                    let proofs = answer.await.unwrap();
                    self.room.handle(Millis::new(self.now), Input::Committed { proofs });
                }
                Output::Send { to, message } => self.tell(to, message),
                Output::Broadcast { to, message } => {
                    to.into_iter().for_each(|guest| self.tell(guest, message.clone()));
                }
                Output::Refuse { failure, .. } => panic!("not admitted: {failure}"),
                Output::FirstState { .. }
                | Output::CatchUp { .. }
                | Output::Watch { .. }
                | Output::Show(_)
                | Output::Dismiss { .. }
                | Output::WakeAt(_)
                | Output::Observed(_) => {}
            }
        }
    }

    fn tell(&mut self, guest: GuestId, message: ServerMessage) {
        let root = self.root.public();
        self.sessions[usize::try_from(guest.get()).unwrap()].receive(message, root).unwrap();
    }

    fn head(&self) -> (MatchId, Head) {
        let chain = self.room.chain().unwrap();
        assert!(chain.head().height > Height::GENESIS);
        (chain.match_id(), *chain.head())
    }

    /// Ends room and writer; gives what they leave. Opening it again in the same process may fail, since
    /// threads of sled keep its file locked for a while; `crash.rs` does so in new ones.
    async fn close(self) -> Store {
        drop(self.writer);
        tokio::task::spawn_blocking(move || self.thread.join()).await.unwrap().unwrap();
        self.store
    }
}
