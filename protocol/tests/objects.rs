//! Committed vectors of everything that is hashed or signed, of every message, and of bytes that are refused.
//! Whoever writes another implementation from `docs/protocol.md` can check it against them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod reference;
mod support;

use std::collections::BTreeMap;

use cadastre_protocol::{
    Absence, Attempt, Block, Chain, ChunkId, CodecError, Context, Digest, Entry, Epoch, Genesis, HashChain,
    Header, KeyError, ProvenBlock, ProvenReceipt, PublicKey, Revocations, SecretKey, Signature,
    SignedCertificate, SignedDelegation, SignedRevocations, SpectatorPolicy, StateTree, Turn, Work,
    block_leaf, chain_leaf, decode_exact, encode, merkle, sealed_commands,
};
use reference::{assert_committed, objects as by_hand};
use serde::Serialize;
use support::{
    CHAIN_SECRET, LAST_TURN, Match, SERIAL, agreed_match, block_key, chain_nonce, chain_of, eventful_match,
    fork_match, genesis, graced_match, hidden_match, identity, key, late_joined_match, next_block_key, read,
    read_block,
    refused::{Refused, refused},
    root,
    samples::{
        AGREED_NAMES, EVENTFUL_NAMES, FORK_NAMES, GRACED_NAMES, HIDDEN_NAMES, LATE_JOINED_NAMES,
        TAKEN_BACK_NAMES, TAKEN_OVER_NAMES, TIMED_NAMES, batch, certificates, client_messages, delegations,
        headers, other_modes, revocations, server_messages, transactions,
    },
    seat, server_chain, taken_back_match, taken_over_match, timed_match,
};

#[test]
fn the_committed_objects_are_what_both_implementations_give() {
    let objects = Objects {
        keys: keys(),
        session_keys: session_keys(),
        genesis: geneses(),
        signed: signed(),
        revocations: revocation_vectors(),
        receipts: receipts(),
        batch: batch_vector(),
        headers: header_vectors(),
        blocks: block_vectors(&eventful_match(), &EVENTFUL_NAMES),
        hidden_blocks: block_vectors(&hidden_match(), &HIDDEN_NAMES),
        timed_blocks: block_vectors(&timed_match(), &TIMED_NAMES),
        taken_back_blocks: block_vectors(&taken_back_match(), &TAKEN_BACK_NAMES),
        fork_blocks: block_vectors(&fork_match(), &FORK_NAMES),
        agreed_blocks: block_vectors(&agreed_match(), &AGREED_NAMES),
        late_joined_blocks: block_vectors(&late_joined_match(), &LATE_JOINED_NAMES),
        taken_over_blocks: block_vectors(&taken_over_match(), &TAKEN_OVER_NAMES),
        graced_blocks: block_vectors(&graced_match(), &GRACED_NAMES),
        hash_chains: hash_chains(),
        sealed_commands: sealed_vectors(),
        presence: presence(),
        state_tree: state_tree(),
        enrolment: enrolment(),
        signatures: signatures(),
        refused: refused().iter().map(RefusedVector::of).collect(),
    };
    assert_committed("objects.json", include_str!("vectors/objects.json"), &objects);
}

#[test]
fn the_committed_messages_are_what_this_build_sends() {
    let client = client_messages().into_iter().map(|(name, message)| Named::new(name, &encode(&message)));
    let server = server_messages().into_iter().map(|(name, message)| Named::new(&name, &encode(&message)));
    let messages = Messages { client: client.collect(), server: server.collect() };
    assert_committed("messages.json", include_str!("vectors/messages.json"), &messages);
}

#[test]
fn the_committed_refusals_are_refused() {
    for Refused { kind, name, bytes, error } in refused() {
        assert_eq!(kind.decode(&bytes), Err(error), "{kind:?}, {name}");
    }
}

#[test]
fn the_committed_blocks_make_a_match() {
    make_a_match(Match::of(3).chain, &eventful_match(), &EVENTFUL_NAMES);
    make_a_match(Match::with(3, support::hide_everything).chain, &hidden_match(), &HIDDEN_NAMES);
    make_a_match(Match::with(3, support::count_time).chain, &timed_match(), &TIMED_NAMES);
    make_a_match(Match::with(3, support::go_on).chain, &fork_match(), &FORK_NAMES);
    make_a_match(Match::with(3, support::allow_takebacks).chain, &taken_back_match(), &TAKEN_BACK_NAMES);
    make_a_match(Match::with(3, support::allow_agreements).chain, &agreed_match(), &AGREED_NAMES);
    make_a_match(Match::with(3, support::leave_seats_open).chain, &late_joined_match(), &LATE_JOINED_NAMES);
    make_a_match(Match::with(3, support::take_over).chain, &taken_over_match(), &TAKEN_OVER_NAMES);
    make_a_match(Match::with(3, support::allow_grace).chain, &graced_match(), &GRACED_NAMES);
}

fn make_a_match(mut chain: Chain, whole: &Match, names: &[&'static str]) {
    let toy = whole.toy;
    for block in block_vectors(whole, names) {
        let proven: ProvenBlock = decode_exact(&hex::decode(&block.proven).unwrap()).unwrap();
        let checked = chain.check_proven(proven.read().unwrap()).unwrap();
        assert_eq!(checked.block().hash().to_string(), block.hash, "{}", block.name);
        let executed = toy.after(checked.block().header().turn);
        chain.append(checked, executed).unwrap();
        assert_eq!(hex::encode(encode(chain.state())), block.chain_state, "{}", block.name);
    }
    assert!(chain.sealed().is_some());
}

#[derive(Serialize)]
struct Objects {
    keys: BTreeMap<&'static str, KeyVector>,
    session_keys: Vec<SessionKeyVector>,
    genesis: Vec<GenesisVector>,
    signed: Vec<SignedVector>,
    revocations: Vec<SignedVector>,
    receipts: Vec<ReceiptVector>,
    batch: BatchVector,
    headers: Vec<HeaderVector>,
    blocks: Vec<BlockVector>,
    hidden_blocks: Vec<BlockVector>,
    timed_blocks: Vec<BlockVector>,
    taken_back_blocks: Vec<BlockVector>,
    fork_blocks: Vec<BlockVector>,
    agreed_blocks: Vec<BlockVector>,
    late_joined_blocks: Vec<BlockVector>,
    taken_over_blocks: Vec<BlockVector>,
    graced_blocks: Vec<BlockVector>,
    hash_chains: Vec<HashChainVector>,
    sealed_commands: Vec<SealedVector>,
    presence: PresenceVector,
    state_tree: StateTreeVector,
    enrolment: Vec<EnrolmentVector>,
    signatures: Vec<SignatureVector>,
    refused: Vec<RefusedVector>,
}

#[derive(Serialize)]
struct KeyVector {
    seed: String,
    key: String,
}

fn keys() -> BTreeMap<&'static str, KeyVector> {
    let vector =
        |key: &SecretKey| KeyVector { seed: hex::encode(*key.seed()), key: key.public().to_string() };
    BTreeMap::from([
        ("root", vector(&root())),
        ("block signer", vector(&block_key())),
        ("next block signer", vector(&next_block_key())),
        ("identity of seat 0", vector(&identity(seat(0)))),
        ("identity of seat 1", vector(&identity(seat(1)))),
        ("identity of seat 2", vector(&identity(seat(2)))),
    ])
}

#[derive(Serialize)]
struct SessionKeyVector {
    identity_seed: String,
    match_id: String,
    epoch: u32,
    seed: String,
    key: String,
}

fn session_keys() -> Vec<SessionKeyVector> {
    let match_id = genesis(3).match_id();
    let vector = |index, epoch: u32| {
        let identity = identity(seat(index));
        let session = identity.session(match_id, Epoch::new(epoch));
        let parts: [&[u8]; 3] = [&*identity.seed(), match_id.as_bytes(), &epoch.to_le_bytes()];
        let seed = reference::h("session seed", &parts);
        assert_eq!(*session.seed(), seed);
        SessionKeyVector {
            identity_seed: hex::encode(*identity.seed()),
            match_id: match_id.to_string(),
            epoch,
            seed: hex::encode(seed),
            key: session.public().to_string(),
        }
    };
    vec![vector(0, 0), vector(1, 0), vector(1, 1), vector(2, 0), vector(2, u32::MAX)]
}

#[derive(Serialize)]
struct GenesisVector {
    name: &'static str,
    bytes: String,
    match_id: String,
    seed: String,
    /// The first mode that is not played yet.
    unsupported: Option<&'static str>,
}

fn geneses() -> Vec<GenesisVector> {
    let vector = |name, genesis: &Genesis| {
        let bytes = encode(genesis);
        assert_eq!(bytes, by_hand::genesis(genesis), "{name}");
        let match_id = reference::h("genesis", &[&bytes]);
        assert_eq!(genesis.match_id().as_bytes(), &match_id);
        // With commit and reveal it holds until the Start only.
        let seed = reference::h("seed", &[&match_id]);
        assert_eq!(genesis.setup().seed.as_bytes(), &seed);
        let unsupported = genesis.supported().err().map(|mode| mode.0);
        let (match_id, seed) = (hex::encode(match_id), hex::encode(seed));
        GenesisVector { name, bytes: hex::encode(bytes), match_id, seed, unsupported }
    };
    vec![
        vector("as played", &genesis(3)),
        vector("every other mode", &other_modes()),
        vector("commit and reveal, sealed", hidden_match().chain.genesis()),
        vector("bank, shrinking clock", timed_match().chain.genesis()),
        vector("takebacks", taken_back_match().chain.genesis()),
        vector("fork", fork_match().chain.genesis()),
        vector("agreements", agreed_match().chain.genesis()),
        vector("open seats", late_joined_match().chain.genesis()),
        vector("take over", taken_over_match().chain.genesis()),
        vector("grace", graced_match().chain.genesis()),
        vector("spectators an hour late", &watched_later(3_600)),
        vector("spectators more than an hour late", &watched_later(3_601)),
    ]
}

fn watched_later(delay_s: u16) -> Genesis {
    Genesis { spectators: SpectatorPolicy::Later { delay_s }, ..genesis(3) }
}

/// A hash chain of 21 elements.
#[derive(Serialize)]
struct HashChainVector {
    of: &'static str,
    /// Identity seed, or the server's secret.
    secret: String,
    nonce: String,
    /// The last element.
    seed: String,
    anchor: String,
    /// The first three, as they are revealed.
    elements: Vec<String>,
}

fn hash_chains() -> Vec<HashChainVector> {
    let vector = |of, context: &str, secret: &[u8; 32], nonce: &[u8], chain: &HashChain| {
        let seed = reference::h(context, &[secret, nonce]);
        let elements = |number| *chain.element(number).unwrap().as_bytes();
        let links = LAST_TURN + 1;
        for number in 0..links {
            assert_eq!(elements(number), by_hand::chain_element(seed, links - 1 - number));
        }
        assert_eq!(chain.anchor().as_bytes(), &by_hand::chain_element(seed, links));
        HashChainVector {
            of,
            secret: hex::encode(secret),
            nonce: hex::encode(nonce),
            seed: hex::encode(seed),
            anchor: chain.anchor().to_string(),
            elements: (0..3).map(|number| hex::encode(elements(number))).collect(),
        }
    };
    let of_seat = |of, index| {
        let (secret, nonce) = (identity(seat(index)).seed(), chain_nonce(seat(index)));
        vector(of, "seat chain", &secret, &nonce, &chain_of(seat(index)))
    };
    let nonce: [u8; 16] = reference::ramp(0xa0);
    vec![
        vector("server", "server chain", &CHAIN_SECRET, &nonce, &server_chain()),
        of_seat("seat 0", 0),
        of_seat("seat 1", 1),
        of_seat("seat 2", 2),
    ]
}

/// How commands are hidden, here in turn 7 of the match of `genesis[2]`.
#[derive(Serialize)]
struct SealedVector {
    seat: u8,
    commands: String,
    /// As a client makes it that keeps nothing else secret.
    salt: String,
    sealed: String,
}

fn sealed_vectors() -> Vec<SealedVector> {
    let match_id = hidden_match().match_id();
    let (turn, attempt) = (Turn::new(7), Attempt::FIRST);
    let vector = |index: u8, commands: &[u8]| {
        let identity = identity(seat(index));
        let salt = identity.salt(match_id, turn, attempt, commands);
        let (seven, zero) = (7_u32.to_le_bytes(), [0; 4]);
        let parts: [&[u8]; 5] = [&*identity.seed(), match_id.as_bytes(), &seven, &zero, commands];
        assert_eq!(salt, reference::h("salt", &parts));
        let sealed = sealed_commands(match_id, seat(index), turn, attempt, &salt, commands);
        let parts: [&[u8]; 6] = [match_id.as_bytes(), &[index], &seven, &zero, &salt, commands];
        assert_eq!(sealed.as_bytes(), &reference::h("sealed commands", &parts));
        let (commands, salt) = (hex::encode(commands), hex::encode(salt));
        SealedVector { seat: index, commands, salt, sealed: sealed.to_string() }
    };
    vec![vector(0, &[]), vector(1, &[1, 7]), vector(2, &[2, 7])]
}

/// Something whose hash is signed in the context of the hash.
#[derive(Serialize)]
struct SignedVector {
    object: &'static str,
    name: &'static str,
    body: String,
    hash: String,
    signed_by: String,
    signature: String,
    /// Length of the body, body, signature: as it stands inside other values.
    signed: String,
}

fn revocation_vectors() -> Vec<SignedVector> {
    let vector = |(name, list): (&'static str, Revocations)| {
        let body = by_hand::revocations(&list);
        let digest = reference::h("revocations", &[&body]);
        let key = ed25519_dalek::SigningKey::from_bytes(&root().seed());
        let signature = reference::sign(&key, "revocations", &digest);
        let signed = encode(&SignedRevocations::issue(&root(), &list));
        assert_eq!(signed, by_hand::Bytes::default().counted(&body).raw(&signature).0, "{name}");
        SignedVector {
            object: "revocations",
            name,
            body: hex::encode(body),
            hash: hex::encode(digest),
            signed_by: root().public().to_string(),
            signature: hex::encode(signature),
            signed: hex::encode(signed),
        }
    };
    revocations().into_iter().map(vector).collect()
}

fn signed() -> Vec<SignedVector> {
    let mut vectors = Vec::new();
    let mut add = |object, name, body: Vec<u8>, context: &str, by: &SecretKey, signed: Vec<u8>| {
        let digest = reference::h(context, &[&body]);
        let signature = reference::sign(&ed25519_dalek::SigningKey::from_bytes(&by.seed()), context, &digest);
        assert_eq!(signed, by_hand::Bytes::default().counted(&body).raw(&signature).0, "{object}, {name}");
        vectors.push(SignedVector {
            object,
            name,
            body: hex::encode(body),
            hash: hex::encode(digest),
            signed_by: by.public().to_string(),
            signature: hex::encode(signature),
            signed: hex::encode(signed),
        });
    };
    for (name, certificate) in certificates() {
        let signed = encode(&SignedCertificate::issue(&root(), &certificate));
        add("certificate", name, by_hand::certificate(&certificate), "certificate", &root(), signed);
    }
    for (name, delegation) in delegations() {
        let identity = identity(delegation.seat);
        let SignedDelegation { body, signature } = SignedDelegation::sign(&identity, &delegation);
        let signed = by_hand::Bytes::default().counted(&body).raw(signature.as_bytes()).0;
        add("delegation", name, by_hand::delegation(&delegation), "delegation", &identity, signed);
    }
    let game = Match::of(3);
    for (name, tx) in transactions() {
        let signed = encode(&game.sign(&tx));
        let session = game.session(tx.seat, tx.epoch);
        add("transaction", name, by_hand::transaction(&tx), "transaction", &session, signed);
    }
    vectors
}

#[derive(Serialize)]
struct ReceiptVector {
    body: String,
    hash: String,
    leaf: String,
    proven: String,
}

fn receipts() -> Vec<ReceiptVector> {
    let game = Match::started(3);
    let vector = |(index, proven): (u8, &ProvenReceipt)| {
        let receipt = support::samples::receipt(&game, index);
        let body = encode(&receipt);
        assert_eq!(body, by_hand::receipt(&receipt));
        assert_eq!(encode(proven), by_hand::proven_receipt(proven));
        assert_eq!(proven.verify(SERIAL, &block_key().enrolled()), Ok(receipt.clone()));
        let digest = reference::h("receipt", &[&body]);
        let leaf = reference::h("batch receipt", &[&digest]);
        assert_eq!(receipt.leaf().as_bytes(), &leaf);
        ReceiptVector {
            body: hex::encode(body),
            hash: hex::encode(digest),
            leaf: hex::encode(leaf),
            proven: hex::encode(encode(proven)),
        }
    };
    [0, 2].into_iter().zip(&batch().receipts).map(vector).collect()
}

#[derive(Serialize)]
struct BatchVector {
    serial: u32,
    size: u32,
    leaves: Vec<String>,
    root: String,
    hash: String,
    signature: String,
    proofs: Vec<String>,
}

/// The block of the Start and the two receipts, under one signature.
fn batch_vector() -> BatchVector {
    let batch = batch();
    let leaves: Vec<_> = batch.leaves.iter().map(|leaf| *leaf.as_bytes()).collect();
    let root = by_hand::tree_root("batch node", &leaves);
    let (serial, size) = (SERIAL.to_le_bytes(), 3_u32.to_le_bytes());
    let digest = reference::h("batch", &[&serial, &size, &root]);
    let signer = ed25519_dalek::SigningKey::from_bytes(&block_key().seed());
    let signature = reference::sign(&signer, "batch", &digest);
    for (index, proof) in batch.proofs.iter().enumerate() {
        let hashes: Vec<_> = proof.hashes.iter().map(|hash| *hash.as_bytes()).collect();
        assert_eq!(hashes, by_hand::tree_proof("batch node", &leaves, index));
        assert_eq!(proof.signature.as_bytes(), &signature);
    }
    BatchVector {
        serial: SERIAL,
        size: 3,
        leaves: leaves.iter().map(hex::encode).collect(),
        root: hex::encode(root),
        hash: hex::encode(digest),
        signature: hex::encode(signature),
        proofs: batch.proofs.iter().map(|proof| hex::encode(encode(proof))).collect(),
    }
}

#[derive(Serialize)]
struct HeaderVector {
    name: &'static str,
    bytes: String,
    hash: String,
}

/// A header of every kind.
fn header_vectors() -> Vec<HeaderVector> {
    let vector = |(name, header): (&'static str, Header)| {
        let bytes = encode(&header);
        assert_eq!(bytes, by_hand::header(&header), "{name}");
        let digest = reference::h("block", &[&bytes]);
        HeaderVector { name, bytes: hex::encode(bytes), hash: hex::encode(digest) }
    };
    headers().into_iter().map(vector).collect()
}

/// A block of the match that `genesis[0]` begins, or of the others that `genesis[2]` to `genesis[4]` do, with all that
/// its header is made of.
#[derive(Serialize)]
struct BlockVector {
    name: &'static str,
    header: String,
    hash: String,
    /// Leaf for the server's proof.
    batch_leaf: String,
    /// Leaf for the tree over all blocks.
    chain_leaf: String,
    /// Root over all blocks before this one.
    chain_root: String,
    /// Of every seat, what the entries are ordered by.
    order: Vec<String>,
    entries: Vec<EntryVector>,
    /// In a Turn its roll; in a Start with commit and reveal the seed.
    drawn: Option<String>,
    body_root: String,
    /// The absent list as it is hashed.
    absent: String,
    absent_root: String,
    /// Block with proof.
    proven: String,
    /// What a chain stores to go on after this block.
    chain_state: String,
}

#[derive(Serialize)]
struct EntryVector {
    seat: u8,
    received_ms: u64,
    transaction: String,
    leaf: String,
}

fn block_vectors(whole: &Match, names: &[&'static str]) -> Vec<BlockVector> {
    let mut chain = Chain::begin(whole.chain.genesis().clone(), whole.toy.after(Turn::START)).unwrap();
    let mut leaves = vec![by_hand::chain_leaf(chain.match_id().as_bytes())];
    let mut vectors = Vec::new();
    let mut opened_by = *chain.match_id().as_bytes();
    let mut seed = reference::h("seed", &[&opened_by]);
    for (proven, name) in whole.blocks.iter().zip(names) {
        let block: Block = decode_exact(&proven.block).unwrap();
        assert_eq!(proven.block, by_hand::block(&block));
        assert_eq!(encode(proven), by_hand::proven_block(proven));
        let read = read_block(&block);
        let (header, hash) = (read.header(), *read.hash().as_bytes());
        assert_eq!(hash, reference::h("block", &[&block.header]));
        let chain_root = by_hand::tree_root("chain node", &leaves);
        assert_eq!(header.chain_root.as_bytes(), &chain_root);
        assert_eq!(header.body_root.as_bytes(), &by_hand::body_root(&block.entries));
        assert_eq!(header.absent_root.as_bytes(), &by_hand::absent_root(&block.absent));
        let batch_leaf = reference::h("batch block", &[&hash]);
        assert_eq!(block_leaf(read.hash()).as_bytes(), &batch_leaf);
        leaves.push(by_hand::chain_leaf(&hash));
        assert_eq!(Some(chain_leaf(read.hash()).as_bytes()), leaves.last());
        let mixed = by_hand::mixed(chain.genesis(), &seed, header, &block.entries);
        let checked = chain.check_proven(support::received(proven)).unwrap();
        let drawn = by_hand::drawn(chain.genesis(), &seed, header, &block.entries);
        let work = match checked.work(|_| Vec::new()) {
            Work::Nothing | Work::Back { .. } => None,
            Work::Begin { seed: begun } => {
                seed = *begun.as_bytes();
                Some(seed)
            }
            Work::Turn(turn) => Some(*turn.roll.as_bytes()),
        };
        assert_eq!(work, drawn, "{name}");
        chain.append(checked, whole.toy.after(header.turn)).unwrap();
        vectors.push(BlockVector {
            name,
            header: hex::encode(&block.header),
            hash: hex::encode(hash),
            batch_leaf: hex::encode(batch_leaf),
            chain_leaf: hex::encode(by_hand::chain_leaf(&hash)),
            chain_root: hex::encode(chain_root),
            order: (0..3).map(|index| hex::encode(by_hand::order_rank(&opened_by, &mixed, index))).collect(),
            entries: block.entries.iter().map(entry_vector).collect(),
            drawn: drawn.map(hex::encode),
            body_root: header.body_root.to_string(),
            absent: hex::encode(absent_bytes(&block.absent)),
            absent_root: header.absent_root.to_string(),
            proven: hex::encode(encode(proven)),
            chain_state: hex::encode(encode(chain.state())),
        });
        if header.kind.closes_turn() {
            opened_by = hash;
        }
    }
    vectors
}

fn entry_vector(entry: &Entry) -> EntryVector {
    EntryVector {
        seat: read(&entry.transaction).get().seat.get(),
        received_ms: entry.received.get(),
        transaction: hex::encode(encode(&entry.transaction)),
        leaf: hex::encode(by_hand::body_leaf(entry)),
    }
}

fn absent_bytes(absent: &Vec<Absence>) -> Vec<u8> {
    let bytes = encode(absent);
    assert_eq!(reference::h("absent", &[&bytes]), by_hand::absent_root(absent));
    bytes
}

/// That each block stands in the history that the Seal commits to.
#[derive(Serialize)]
struct PresenceVector {
    root: String,
    size: u64,
    proofs: Vec<PresenceProofVector>,
}

#[derive(Serialize)]
struct PresenceProofVector {
    height: usize,
    block: String,
    hashes: Vec<String>,
}

fn presence() -> PresenceVector {
    let whole = eventful_match();
    let mut blocks = vec![whole.match_id().as_block()];
    blocks.extend(whole.blocks.iter().map(|proven| support::received(proven).block().hash()));
    let seal = support::received(whole.blocks.last().unwrap());
    blocks.pop();
    let leaves: Vec<_> = blocks.iter().map(|block| chain_leaf(*block)).collect();
    let raw: Vec<_> = leaves.iter().map(|leaf| *leaf.as_bytes()).collect();
    let root = seal.block().header().chain_root;
    let proof = |(height, block): (usize, &cadastre_protocol::BlockHash)| {
        let hashes = merkle::prove(Context::ChainNode, &leaves, height);
        let (index, size) = (height as u64, leaves.len() as u64);
        let proved = merkle::root_of_proof(Context::ChainNode, leaves[height], index, size, &hashes);
        assert_eq!(proved, Some(root));
        let by_hand = by_hand::tree_proof("chain node", &raw, height);
        assert_eq!(hashes.iter().map(|hash| *hash.as_bytes()).collect::<Vec<_>>(), by_hand);
        PresenceProofVector {
            height,
            block: block.to_string(),
            hashes: hashes.iter().map(ToString::to_string).collect(),
        }
    };
    let proofs = blocks.iter().enumerate().map(proof).collect();
    PresenceVector { root: root.to_string(), size: leaves.len() as u64, proofs }
}

#[derive(Serialize)]
struct StateTreeVector {
    /// Roots of empty trees of depth 0 to 16.
    empty: Vec<String>,
    chunks: Vec<ChunkVector>,
    root: String,
    proofs: Vec<ChunkProofVector>,
}

#[derive(Serialize)]
struct ChunkVector {
    id: u16,
    bytes: String,
    leaf: String,
}

#[derive(Serialize)]
struct ChunkProofVector {
    id: u16,
    present: bool,
    siblings: Vec<String>,
}

fn state_tree() -> StateTreeVector {
    let chunks: [(u16, &[u8]); 5] =
        [(0, b"the first"), (1, b""), (2, &[0; 40]), (513, b"far"), (65_535, b"the last")];
    let mut tree = StateTree::new();
    tree.update(chunks.map(|(id, bytes)| (ChunkId::new(id), Some(bytes))));
    let mut empty = vec![reference::h("state node", &[])];
    for level in 0..16 {
        empty.push(reference::h("state node", &[&empty[level], &empty[level]]));
    }
    let mut nodes: BTreeMap<usize, [u8; 32]> =
        chunks.iter().map(|(id, bytes)| (usize::from(*id), reference::h("state leaf", &[bytes]))).collect();
    for empty in &empty[..16] {
        let node = |index: usize| nodes.get(&index).unwrap_or(empty);
        nodes = nodes
            .keys()
            .map(|index| (index / 2, reference::h("state node", &[node(index & !1), node(index | 1)])))
            .collect();
    }
    assert_eq!(tree.root().as_bytes(), &nodes[&0]);
    assert_eq!(StateTree::new().root().as_bytes(), &empty[16]);
    let proof = |id: u16| {
        let proof = tree.prove(ChunkId::new(id));
        let chunk = chunks.iter().find(|(of, _)| *of == id).map(|(_, bytes)| *bytes);
        assert_eq!(proof.root(chunk), tree.root());
        let siblings = proof.siblings.iter().map(ToString::to_string).collect();
        ChunkProofVector { id, present: chunk.is_some(), siblings }
    };
    StateTreeVector {
        empty: empty.iter().map(hex::encode).collect(),
        chunks: chunks
            .iter()
            .map(|(id, bytes)| ChunkVector {
                id: *id,
                bytes: hex::encode(bytes),
                leaf: hex::encode(reference::h("state leaf", &[bytes])),
            })
            .collect(),
        root: tree.root().to_string(),
        proofs: [0, 1, 3, 513, 65_535].map(proof).into(),
    }
}

/// Whether a public key can be enrolled.
#[derive(Serialize)]
struct EnrolmentVector {
    key: &'static str,
    error: Option<String>,
}

fn enrolment() -> Vec<EnrolmentVector> {
    let cases = [
        ("ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c", None),
        ("0200000000000000000000000000000000000000000000000000000000000000", Some(KeyError::NotAPoint)),
        // y = p and y = p + 1: 0 and 1 written otherwise; and x = 0 with a sign.
        ("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", Some(KeyError::NotCanonical)),
        ("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", Some(KeyError::NotCanonical)),
        ("0100000000000000000000000000000000000000000000000000000000000080", Some(KeyError::NotCanonical)),
        // The eight points of small order.
        ("0100000000000000000000000000000000000000000000000000000000000000", Some(KeyError::SmallOrder)),
        ("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", Some(KeyError::SmallOrder)),
        ("0000000000000000000000000000000000000000000000000000000000000000", Some(KeyError::SmallOrder)),
        ("0000000000000000000000000000000000000000000000000000000000000080", Some(KeyError::SmallOrder)),
        ("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", Some(KeyError::SmallOrder)),
        ("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85", Some(KeyError::SmallOrder)),
        ("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", Some(KeyError::SmallOrder)),
        ("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa", Some(KeyError::SmallOrder)),
        // The first key with a point of order eight added.
        ("1f4f580e73ac208f06760190e9edc6f5916775dabd9c1cdca393175c2d6d1083", Some(KeyError::MixedOrder)),
    ];
    let vector = |(key, error): (&'static str, Option<KeyError>)| {
        assert_eq!(PublicKey::from_hex(key).unwrap().enroll().err(), error, "{key}");
        EnrolmentVector { key, error: error.map(|error| reference::name(&error)) }
    };
    cases.into_iter().map(vector).collect()
}

/// Whether a signature holds.
#[derive(Serialize)]
struct SignatureVector {
    name: &'static str,
    key: String,
    context: &'static str,
    hash: String,
    signature: &'static str,
    holds: bool,
}

fn signatures() -> Vec<SignatureVector> {
    let signer = key(7);
    let digest = Digest::new([0x5a; 32]);
    let cases = [
        (
            "in order",
            "b24bb4a48da3ae2894aac35dcf210c3788b125dbee3b5ea8ec38a45ac37e7c37\
             1490cb717877c81d01986d0366870d27c29f34af04488bc3e07d84d19f3fcb0e",
            Context::Block,
            true,
        ),
        (
            "in another context",
            "b24bb4a48da3ae2894aac35dcf210c3788b125dbee3b5ea8ec38a45ac37e7c37\
             1490cb717877c81d01986d0366870d27c29f34af04488bc3e07d84d19f3fcb0e",
            Context::Receipt,
            false,
        ),
        (
            "s not below the order of the group",
            "b24bb4a48da3ae2894aac35dcf210c3788b125dbee3b5ea8ec38a45ac37e7c37\
             0164c1ce92dada75d73465a64481ec3bc29f34af04488bc3e07d84d19f3fcb1e",
            Context::Block,
            false,
        ),
        (
            "holds only with the cofactor",
            "32229fa717a268c10b76b4664b260f9a3b35ddab0f088ca54c14589698667e09\
             43e0b9b04c802cda6484f302a90a19c6a4a219e497862622ad52bd99ea1b850f",
            Context::Block,
            false,
        ),
        (
            "R is the neutral element",
            "0100000000000000000000000000000000000000000000000000000000000000\
             8c8fc64c21e8538e05504512dcc327664ff02b3b2784dc0d123bc6d944360009",
            Context::Block,
            false,
        ),
        (
            "R is of order eight",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a\
             4306d981ad3500b0939ead12570a943fa6a9d849e5c44c83d3f1230a371d3809",
            Context::Block,
            false,
        ),
        (
            "R is the neutral element, not canonically encoded",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f\
             70ecab105905d5756624e27f416767b5f51afe21b690b9f7a736dd310bd6c701",
            Context::Block,
            false,
        ),
    ];
    let vector = |(name, text, context, holds): (&'static str, &'static str, Context, bool)| {
        let signature = Signature::new(hex::decode(text).unwrap().try_into().unwrap());
        assert_eq!(signer.enrolled().verify(context, digest, &signature).is_ok(), holds, "{name}");
        SignatureVector {
            name,
            key: signer.public().to_string(),
            context: context.as_str(),
            hash: digest.to_string(),
            signature: text,
            holds,
        }
    };
    cases.into_iter().map(vector).collect()
}

#[derive(Serialize)]
struct Messages {
    client: Vec<Named>,
    server: Vec<Named>,
}

#[derive(Serialize)]
struct Named {
    name: String,
    bytes: String,
}

impl Named {
    fn new(name: &str, bytes: &[u8]) -> Self {
        Self { name: name.into(), bytes: hex::encode(bytes) }
    }
}

#[derive(Serialize)]
struct RefusedVector {
    r#type: String,
    name: String,
    bytes: String,
    error: String,
}

impl RefusedVector {
    fn of(refused: &Refused) -> Self {
        Self {
            r#type: format!("{:?}", refused.kind),
            name: refused.name.clone(),
            bytes: hex::encode(&refused.bytes),
            error: match refused.error {
                CodecError::Invalid(rule) => format!("Invalid: {rule}"),
                CodecError::TooLong { .. }
                | CodecError::Malformed
                | CodecError::Trailing
                | CodecError::NotCanonical => reference::name(&refused.error),
            },
        }
    }
}
