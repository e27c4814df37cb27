//! Every type that has an encoding of its own.

use std::sync::LazyLock;

use cadastre_protocol::{
    Block, Chain, ChainState, ClientMessage, CompareAnswer, CompareRequest, Conversation, Digest, Genesis,
    Invitation, LightHead, Millis, Pass, ProvenBlock, ProvenReceipt, RandomnessMode, ServerMessage,
    ServerProof, SignedCertificate, SignedInvitation, SignedRevocations, SignedTalk, SignedTransaction,
    StateRoot, StateTree, StateWalk, Visit, Wire, chunk_hash, decode_exact, encode, read_server_message,
    root_beside,
};
use cadastre_replay::fixture::{self, Match, Plan, identity_key, root_key, signer_key};
use cadastre_simulations::Game;

use super::Target;

/// Declares a target for each type.
macro_rules! targets {
    ($($name:ident: $kind:ident,)*) => {
        pub(super) const TARGETS: &[(&str, Target)] = &[$((stringify!($name), $name),)*];

        /// The types that have a target.
        #[allow(dead_code, reason = "the test of the corpus looks at it")]
        pub(crate) const KINDS: &[&str] = &[$(stringify!($kind),)*];

        $(fn $name(data: &[u8]) {
            if let Some(value) = decoded::<cadastre_protocol::$kind>(data) {
                value.read_on();
            }
        })*
    };
}

targets! {
    genesis: Genesis,
    certificate: Certificate,
    signed_certificate: SignedCertificate,
    revocations: Revocations,
    signed_revocations: SignedRevocations,
    delegation: Delegation,
    talk: Talk,
    transaction: Transaction,
    signed_transaction: SignedTransaction,
    receipt: Receipt,
    proven_receipt: ProvenReceipt,
    server_proof: ServerProof,
    header: Header,
    block: Block,
    proven_block: ProvenBlock,
    chain_state: ChainState,
    client_message: ClientMessage,
    server_message: ServerMessage,
    invitation: Invitation,
    signed_invitation: SignedInvitation,
}

/// Bytes that are accepted are the one encoding of what they were read as.
fn decoded<T: Wire>(data: &[u8]) -> Option<T> {
    let value = decode_exact(data).ok()?;
    assert_eq!(encode(&value), data);
    Some(value)
}

/// Goes on as whoever has received the value would: inner bytes are read, signatures verified.
trait ReadOn {
    fn read_on(self);
}

/// Types that hold no further bytes to be read.
macro_rules! read_no_further {
    ($($kind:ident)*) => { $(impl ReadOn for cadastre_protocol::$kind { fn read_on(self) {} })* };
}

read_no_further! { Certificate Revocations Delegation Transaction Receipt Header Talk Invitation }

impl ReadOn for Genesis {
    fn read_on(self) {
        if let Ok(game) = Game::start(&self.setup()) {
            let _ = Chain::begin(self, game.executed());
        }
    }
}

impl ReadOn for SignedCertificate {
    fn read_on(self) {
        let _ = self.verify(&root_key().enrolled());
    }
}

impl ReadOn for SignedRevocations {
    fn read_on(self) {
        let _ = self.verify(&root_key().enrolled());
    }
}

impl ReadOn for SignedInvitation {
    fn read_on(self) {
        let Ok(Invitation { service, room, guest, enter_as, valid_to, .. }) = self.read() else { return };
        let opener = identity_key(0).enrolled();
        let identity = guest.unwrap_or(service);
        let mut visit = Visit { service, room: &room, identity, enter_as, now: Millis::default() };
        let _ = self.verify(&opener, &visit);
        visit.now = valid_to;
        assert!(self.verify(&opener, &visit).is_err());
    }
}

impl ReadOn for SignedTransaction {
    fn read_on(self) {
        if let Ok(mut read) = self.read() {
            let _ = read.verify(&identity_key(0).enrolled());
        }
    }
}

impl ReadOn for SignedTalk {
    fn read_on(self) {
        if let Ok(read) = self.read() {
            let conversation = Conversation::begin(read.get().place.clone());
            if let Ok(checked) = conversation.check(read) {
                conversation.clone().say(checked, Millis::default());
            }
        }
    }
}

impl ReadOn for ProvenReceipt {
    fn read_on(self) {
        let _ = self.verify(self.proof.serial, &signer_key(1).enrolled());
    }
}

impl ReadOn for ServerProof {
    fn read_on(self) {
        let _ = self.verify(Digest::ZERO, &signer_key(1).enrolled());
    }
}

/// With commit and reveal, where most is made of a block.
static FIXED: LazyLock<Genesis> = LazyLock::new(|| {
    let plan = Plan { randomness: RandomnessMode::CommitReveal, turns_max: Some(9), ..Plan::SMALL };
    fixture::genesis(&plan)
});

impl ReadOn for Block {
    fn read_on(self) {
        if let Ok(read) = self.read() {
            read.work(&FIXED, Digest::ZERO, |_| Vec::new());
        }
    }
}

impl ReadOn for ProvenBlock {
    fn read_on(self) {
        if let Ok(mut read) = self.read() {
            let _ = read.verify_proof(&signer_key(1).enrolled());
        }
    }
}

impl ReadOn for ChainState {
    fn read_on(self) {
        let made = Match::new(&Plan::SMALL);
        let genesis = made.chain().genesis().clone();
        let game = Game::start(&genesis.setup()).unwrap();
        let _ = Chain::from_state_unverified(genesis, self, game.executed());
    }
}

impl ReadOn for ClientMessage {
    fn read_on(self) {
        match self {
            Self::Submit(transaction) => transaction.read_on(),
            Self::Say(talk) => talk.read_on(),
            Self::Compare(CompareRequest::OwnChunk { proof, chunk }) => {
                proof.root(chunk.as_deref());
            }
            Self::Compare(CompareRequest::Nodes { level, indices }) => {
                let tree = StateTree::new();
                indices.into_iter().for_each(|index| assert!(tree.below(level, index).is_some()));
            }
            Self::Enter { pass: Some(Pass::Invitation(invitation)), .. }
            | Self::Resume { pass: Some(Pass::Invitation(invitation)), .. } => invitation.read_on(),
            Self::Compare(CompareRequest::Begin { .. } | CompareRequest::Chunks { .. })
            | Self::Create { .. }
            | Self::Enter { .. }
            | Self::Ready { .. }
            | Self::Resume { .. }
            | Self::Leave
            | Self::Ping(_)
            | Self::Pong(_)
            | Self::Follow { .. }
            | Self::Watch(_)
            | Self::Rematch => {}
        }
    }
}

impl ReadOn for ServerMessage {
    fn read_on(self) {
        match self {
            Self::Genesis { genesis, .. } => {
                decoded::<Genesis>(&genesis).into_iter().for_each(ReadOn::read_on);
            }
            Self::Block(block) => block.read_on(),
            Self::Receipt(receipt) => receipt.read_on(),
            Self::Conversation { place, lines } => {
                let _ = Conversation::resume(place, lines);
            }
            Self::Said(line) => line.talk.read_on(),
            Self::Relay(relay) => {
                relay.transaction.read_on();
                relay.receipt.read_on();
            }
            Self::Accept { .. }
            | Self::Created { .. }
            | Self::Lobby(_)
            | Self::CaughtUp { .. }
            | Self::Refused { .. }
            | Self::Failed(_)
            | Self::Ping(_)
            | Self::Pong(_)
            | Self::Goodbye { .. }
            | Self::Limited { .. }
            | Self::Takeback { .. }
            | Self::NotSaid { .. }
            | Self::Notice(_)
            | Self::Rematch { .. }
            | Self::Motion { .. } => {}
            Self::Compared(CompareAnswer::Chunk { proof, chunk }) => {
                proof.root(chunk.as_deref());
            }
            Self::Compared(CompareAnswer::Nodes { nodes }) => {
                let _ = StateWalk::new(StateRoot::new(Digest::ZERO)).take(&StateTree::new(), &nodes);
            }
            Self::Compared(CompareAnswer::Phases { .. } | CompareAnswer::Unknown) => {}
            Self::Snapshot(point) => {
                let made = Match::new(&Plan::SMALL);
                let _ = point.verify(made.chain());
            }
            Self::Chunks(chunks) => {
                let _ = Game::restore(&Match::new(&Plan::SMALL).chain().setup(), &chunks);
            }
            Self::View(view) => {
                let made = Match::new(&Plan::SMALL);
                let genesis = made.chain().genesis();
                if let Ok(head) = LightHead::begin(genesis) {
                    let _ = head.check(&view.block, &view.since);
                }
                let all = Game::of_match(genesis).map(|game| game.simulation().chunk_ids());
                let hashes: Vec<_> = view.chunks.iter().map(|(id, chunk)| (*id, chunk_hash(chunk))).collect();
                let _ = root_beside(&hashes, &all.unwrap_or_default(), &view.beside);
            }
            Self::Packed(bytes) => {
                if let Ok(message) = read_server_message(&encode(&Self::Packed(bytes))) {
                    assert!(!matches!(message, Self::Packed(_)));
                    message.read_on();
                }
            }
        }
    }
}
