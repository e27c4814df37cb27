//! A server that lies: it has all keys of its service, runs an honest room, and signs something else beside what
//! the room made. Built from the public crates; nothing in the program helps it.

use std::collections::BTreeMap;

use cadastre_client::SUBPROTOCOL;
use cadastre_protocol::{
    Absence, Certificate, ChainSecret, ClientMessage, CompareAnswer, Digest, Entry, Failure, Header, Height,
    KeyRole, Limits, Millis, Padding, ProvenBlock, ProvenReceipt, PublicKey, Receipt, SecretKey,
    ServerHandshake, ServerIdentity, ServerMessage, ServerProof, ServerSession, SignedCertificate,
    SignedTransaction, StateRoot, Turn, decode_exact, encode,
};
use cadastre_replay::fixture::{Match, header_of};
use cadastre_rooms::{GuestId, Host, Input, Output, Record, Room};
use futures_util::{SinkExt, StreamExt};
use rand_core::UnwrapErr;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::{Duration, sleep},
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{ErrorResponse, Request, Response},
        http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL},
    },
};

use super::peer::now;

/// In which turn it lies.
pub(crate) const TURN: u32 = 3;

/// Height of that turn's block.
pub(crate) const HEIGHT: u64 = 4;

/// How long its turns are open.
const DEADLINE_MS: u32 = 60_000;

/// What it does in that turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    /// Loses the connections after the block, and has another one in its place then.
    Fork,
    /// Loses the connections after the block, and has nothing from this block on.
    Behind,
    /// Names another block before it.
    Link,
    /// Commits to a history that never was.
    Root,
    /// Signs another state.
    State,
    /// Gives seat 0 a receipt, and leaves the transaction out.
    Omission,
    /// Takes something up after the deadline.
    Late,
}

/// Where it listens, and what clients pin.
pub(crate) struct Dishonest {
    pub(crate) url: String,
    pub(crate) root: PublicKey,
}

impl Dishonest {
    /// Listens until the test ends.
    pub(crate) async fn listen(lie: Lie) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let (said, heard) = mpsc::unbounded_channel();
        tokio::spawn(Operator::new(lie).run(heard));
        let url = format!("ws://{authority}");
        tokio::spawn(async move {
            for number in 0.. {
                let Ok((tcp, _)) = listener.accept().await else { return };
                tokio::spawn(serve(tcp, authority.clone(), GuestId::new(number), said.clone()));
            }
        });
        Self { url, root: root_key().public() }
    }
}

fn root_key() -> SecretKey {
    SecretKey::from_seed(&[0xd0; 32])
}

fn block_key() -> SecretKey {
    SecretKey::from_seed(&[0xd1; 32])
}

fn handshake_key() -> SecretKey {
    SecretKey::from_seed(&[0xd2; 32])
}

fn certificate(role: KeyRole, key: &SecretKey, serial: u32) -> SignedCertificate {
    let (valid_from, valid_to) = (Millis::new(0), Millis::new(u64::MAX));
    let key = key.public();
    let certificate = Certificate { version: Certificate::VERSION, role, key, serial, valid_from, valid_to };
    SignedCertificate::issue(&root_key(), &certificate)
}

const SERIAL: u32 = 7;

/// What a connection tells the operator.
enum Said {
    LoggedIn { guest: GuestId, identity: PublicKey, outbox: mpsc::UnboundedSender<ServerMessage> },
    Message { guest: GuestId, message: ClientMessage },
    Gone { guest: GuestId },
}

/// One connection, from its handshake to its end. Dropping the outbox ends it.
async fn serve(tcp: TcpStream, authority: String, guest: GuestId, said: mpsc::UnboundedSender<Said>) {
    #[allow(clippy::result_large_err, reason = "the signature is tungstenite's")]
    let name_protocol = |_: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        Ok(response)
    };
    let Ok(mut socket) = accept_hdr_async(tcp, name_protocol).await else { return };
    let Some(ServerSession { mut sealer, mut opener, identity, session }) =
        handshake(&mut socket, &authority).await
    else {
        return;
    };
    let (outbox, mut waiting) = mpsc::unbounded_channel();
    let limits = Limits { heartbeat_ms: 60_000, message_bytes_max: 8192 };
    outbox.send(ServerMessage::Accept { session, limits, server_time: now() }).unwrap();
    let identity = identity.public();
    said.send(Said::LoggedIn { guest, identity, outbox }).unwrap();
    loop {
        tokio::select! {
            message = waiting.recv() => {
                let Some(message) = message else { break };
                let mut records = Vec::new();
                sealer.seal(&encode(&message), Padding::Block64, &mut records).unwrap();
                for record in records {
                    if socket.send(Message::binary(record)).await.is_err() {
                        break;
                    }
                }
            }
            frame = socket.next() => {
                let Some(Ok(Message::Binary(bytes))) = frame else { break };
                if let Some(message) = opener.open(bytes.into()).unwrap() {
                    let message = decode_exact(&message).unwrap();
                    let _ = said.send(Said::Message { guest, message });
                }
            }
        }
    }
    let _ = said.send(Said::Gone { guest });
}

async fn handshake(socket: &mut WebSocketStream<TcpStream>, authority: &str) -> Option<ServerSession> {
    let certificate = certificate(KeyRole::Handshake, &handshake_key(), 1);
    let identity = ServerIdentity::new(root_key().public(), certificate, handshake_key(), now()).unwrap();
    let m1 = next(socket).await?;
    let mut rng = UnwrapErr(getrandom::SysRng);
    let (await_m3, m2) = ServerHandshake::new(&identity, authority).receive_m1(&m1, &mut rng).ok()?;
    socket.send(Message::binary(m2)).await.ok()?;
    await_m3.receive(&next(socket).await?).ok()
}

async fn next(socket: &mut WebSocketStream<TcpStream>) -> Option<Vec<u8>> {
    match socket.next().await? {
        Ok(Message::Binary(bytes)) => Some(bytes.into()),
        _ => None,
    }
}

/// Runs the room, and lies once.
struct Operator {
    lie: Lie,
    room: Option<Room>,
    blocks: Vec<ProvenBlock>,
    outboxes: BTreeMap<GuestId, mpsc::UnboundedSender<ServerMessage>>,
    identities: BTreeMap<GuestId, PublicKey>,
    wake: Option<Millis>,
    /// How far its clock is ahead, in milliseconds.
    ahead_ms: u64,
    /// The connections were lost, and what was signed is not known any more.
    has_lost: bool,
}

impl Operator {
    fn new(lie: Lie) -> Self {
        Self {
            lie,
            room: None,
            blocks: Vec::new(),
            outboxes: BTreeMap::new(),
            identities: BTreeMap::new(),
            wake: None,
            ahead_ms: 0,
            has_lost: false,
        }
    }

    async fn run(mut self, mut heard: mpsc::UnboundedReceiver<Said>) {
        loop {
            let left =
                self.wake.map(|wake| Duration::from_millis(wake.get().saturating_sub(self.now().get())));
            tokio::select! {
                said = heard.recv() => match said {
                    None => return,
                    Some(Said::LoggedIn { guest, identity, outbox }) => {
                        self.outboxes.insert(guest, outbox);
                        self.identities.insert(guest, identity);
                    }
                    Some(Said::Message { guest, message }) => self.receive(guest, message),
                    Some(Said::Gone { guest }) => {
                        self.outboxes.remove(&guest);
                        self.feed(Input::Leave { guest });
                    }
                },
                () = sleep(left.unwrap_or_default()), if left.is_some() => {
                    self.wake = None;
                    self.feed(Input::Timeout);
                }
            }
        }
    }

    fn receive(&mut self, guest: GuestId, message: ClientMessage) {
        let identity = self.identities[&guest];
        match message {
            ClientMessage::Create { room, spec } => {
                if self.room.is_none() {
                    self.room = Room::open(room.clone(), host(), spec);
                }
                self.send(guest, ServerMessage::Created { room });
            }
            ClientMessage::Enter { .. } if self.room.is_none() => {
                self.send(guest, ServerMessage::Failed(Failure::NoSuchRoom));
            }
            ClientMessage::Enter { enter_as, name, .. } => {
                self.feed(Input::Enter { guest, identity, enter_as, name, shown: None });
            }
            ClientMessage::Resume { height, .. } => self.resume(guest, height),
            ClientMessage::Ready { ready, chain } => self.feed(Input::Ready { guest, ready, chain }),
            ClientMessage::Submit(transaction) if self.omits(&transaction) => {
                self.send(guest, ServerMessage::Receipt(promise(&transaction, self.now())));
                // The turn's time is up as soon as the server says so.
                self.ahead_ms += u64::from(DEADLINE_MS);
                self.feed(Input::Timeout);
            }
            ClientMessage::Submit(transaction) => self.feed(Input::Submit { guest, transaction }),
            ClientMessage::Say(talk) => self.feed(Input::Say { guest, talk }),
            ClientMessage::Leave => self.feed(Input::Leave { guest }),
            ClientMessage::Rematch => self.feed(Input::Rematch { guest }),
            // It has no state that its block commits to.
            ClientMessage::Compare(_) => self.send(guest, ServerMessage::Compared(CompareAnswer::Unknown)),
            // It tells everybody everything.
            ClientMessage::Follow { .. } | ClientMessage::Watch(_) => {}
            ClientMessage::Pong(_) => {}
            ClientMessage::Ping(number) => self.send(guest, ServerMessage::Pong(number)),
        }
    }

    fn omits(&self, transaction: &SignedTransaction) -> bool {
        let read = transaction.clone().read().unwrap();
        self.lie == Lie::Omission && (read.get().seat.get(), read.get().turn) == (0, Turn::new(TURN))
    }

    /// It has another history by now, and says so.
    fn resume(&mut self, guest: GuestId, height: Height) {
        if height.get() > 0 {
            return self.send(guest, ServerMessage::Failed(Failure::UnknownHead));
        }
        let known = usize::try_from(HEIGHT).unwrap() - 1;
        let mut blocks = self.blocks[..known].to_vec();
        if self.lie == Lie::Fork {
            blocks.push(changed(&self.blocks[known], |header, _, _| {
                header.server_time = header.server_time.after(1);
            }));
        }
        let height = Height::new(u64::try_from(blocks.len()).unwrap());
        blocks.into_iter().for_each(|block| self.send(guest, ServerMessage::Block(block)));
        self.send(guest, ServerMessage::CaughtUp { height });
    }

    fn feed(&mut self, input: Input) {
        let Some(room) = &mut self.room else { return };
        room.handle(now().after(self.ahead_ms), input);
        while let Some(output) = self.room.as_mut().and_then(Room::poll) {
            match output {
                Output::Commit(records) => {
                    let proofs = self.sign(&records.records);
                    if let Some(room) = &mut self.room {
                        room.handle(now().after(self.ahead_ms), Input::Committed { proofs });
                    }
                }
                Output::Send { to, message } => self.tell(to, message),
                Output::Broadcast { to, message } => {
                    to.into_iter().for_each(|guest| self.tell(guest, message.clone()));
                    self.lose(&message);
                }
                Output::FirstState { to, state } => {
                    for message in ServerMessage::chunks_of(state.to_vec()) {
                        to.iter().for_each(|guest| self.send(*guest, message.clone()));
                    }
                }
                Output::CatchUp { guest, to, .. } => {
                    for block in self.blocks.clone() {
                        self.send(guest, ServerMessage::Block(block));
                    }
                    self.send(guest, ServerMessage::CaughtUp { height: to });
                }
                Output::Refuse { guest, failure } => self.send(guest, ServerMessage::Failed(failure)),
                Output::Dismiss { guest, .. } => {
                    self.outboxes.remove(&guest);
                }
                Output::WakeAt(time) => self.wake = Some(time),
                // Nobody watches it who executes nothing.
                Output::Watch { .. } | Output::Show(_) | Output::Observed(_) => {}
            }
        }
    }

    /// Signs what the room made, as an honest server does.
    fn sign(&mut self, records: &[Record]) -> Vec<ServerProof> {
        let sign = |leaf| ServerProof::sign(&block_key(), SERIAL, &[leaf]).remove(0);
        let mut proofs = Vec::new();
        for record in records {
            let Some(proof) = record.leaf().map(sign) else { continue };
            if let Record::Block { block, .. } = record {
                self.blocks.push(ProvenBlock { block: block.clone(), proof: proof.clone() });
            }
            proofs.push(proof);
        }
        proofs
    }

    /// Tells a guest what the room wants told, or something else.
    fn tell(&self, guest: GuestId, message: ServerMessage) {
        let message = match message {
            ServerMessage::Block(block) if height_of(&block) == HEIGHT => {
                ServerMessage::Block(self.lie_about(&block))
            }
            honest => honest,
        };
        self.send(guest, message);
    }

    fn lie_about(&self, block: &ProvenBlock) -> ProvenBlock {
        match self.lie {
            Lie::Fork | Lie::Behind | Lie::Omission => block.clone(),
            Lie::Link => changed(block, |header, _, _| {
                header.prev_block = cadastre_protocol::BlockHash::new(Digest::ZERO);
            }),
            Lie::Root => changed(block, |header, _, _| header.chain_root = Digest::ZERO),
            Lie::State => changed(block, |header, _, _| header.state_root = StateRoot::new(Digest::ZERO)),
            Lie::Late => {
                let before = &self.blocks[usize::try_from(HEIGHT).unwrap() - 2];
                let deadline = header_of(before).deadline.unwrap();
                changed(block, |header, entries, _| {
                    let open = header.deadline.unwrap().get() - header.server_time.get();
                    entries[0].received = deadline.after(1);
                    header.server_time = deadline.after(1);
                    header.deadline = Some(header.server_time.after(open));
                })
            }
        }
    }

    /// Drops all connections, once, when the block of the lie was told.
    fn lose(&mut self, told: &ServerMessage) {
        let is_it = matches!(told, ServerMessage::Block(block) if height_of(block) == HEIGHT);
        if is_it && matches!(self.lie, Lie::Fork | Lie::Behind) && !self.has_lost {
            self.has_lost = true;
            self.outboxes.clear();
        }
    }

    fn now(&self) -> Millis {
        now().after(self.ahead_ms)
    }

    fn send(&self, guest: GuestId, message: ServerMessage) {
        if let Some(outbox) = self.outboxes.get(&guest) {
            // Whoever has gone is told nothing.
            let _ = outbox.send(message);
        }
    }
}

fn host() -> Host {
    Host {
        root: root_key().public(),
        signer: certificate(KeyRole::Block, &block_key(), SERIAL),
        entropy: [0xd3; 32],
        deadline_ms: DEADLINE_MS,
        spectators_max: 4,
        chain_secret: ChainSecret::new(&[77; 32]),
    }
}

/// A receipt for a transaction that nobody will see again.
fn promise(transaction: &SignedTransaction, received: Millis) -> ProvenReceipt {
    let read = transaction.clone().read().unwrap();
    let tx = read.get();
    let receipt = Receipt {
        version: Receipt::VERSION,
        match_id: tx.match_id,
        seat: tx.seat,
        seq: tx.seq,
        transaction: read.hash(),
        turn: tx.turn,
        attempt: tx.attempt,
        received,
    };
    let proof = ServerProof::sign(&block_key(), SERIAL, &[receipt.leaf()]).remove(0);
    ProvenReceipt { receipt: encode(&receipt), proof }
}

fn height_of(block: &ProvenBlock) -> u64 {
    header_of(block).height.get()
}

/// The block with other content, signed like any other.
fn changed(
    block: &ProvenBlock,
    change: impl FnOnce(&mut Header, &mut Vec<Entry>, &mut Vec<Absence>),
) -> ProvenBlock {
    Match::prove(Match::rewrite(block, change), &block_key())
}
