//! No object stands in another's place: not its bytes, not its hash, not its signature.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod reference;
mod support;

use std::path::Path;

use cadastre_protocol::{
    Block, ClientHandshake, Context, Conversation, Digest, Genesis, Hasher, Invitation, Millis, ProvenBlock,
    ProvenReceipt, ReadTalk, Receipt, ServerProof, Signature, SignedCertificate, SignedDelegation,
    SignedInvitation, SignedRevocations, SignedTalk, SignedTransaction, Talk, Trust, Visit, block_leaf,
    decode_exact, encode, hash, receipt_leaf,
};
use support::{
    genesis, key,
    samples::{
        Kind, SAMPLES, batch, certificates, delegations, headers, invitations, revocations, talks,
        transactions,
    },
};

/// Types that have the same outer shape, bytes and then a signature or proof: what is inside tells them apart.
const SAME_SHAPE: [(Kind, Kind); 11] = [
    (Kind::SignedCertificate, Kind::SignedTransaction),
    (Kind::SignedCertificate, Kind::SignedRevocations),
    (Kind::SignedRevocations, Kind::SignedTransaction),
    (Kind::SignedTransaction, Kind::SignedRevocations),
    (Kind::SignedInvitation, Kind::SignedRevocations),
    (Kind::SignedInvitation, Kind::SignedTransaction),
    (Kind::SignedCertificate, Kind::SignedInvitation),
    (Kind::SignedRevocations, Kind::SignedInvitation),
    (Kind::SignedTransaction, Kind::SignedInvitation),
    (Kind::ProvenReceipt, Kind::ProvenBlock),
    (Kind::ProvenBlock, Kind::ProvenReceipt),
];

#[test]
fn the_list_of_types_is_whole() {
    let mut declared = Vec::new();
    find_wire_types(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut declared);
    // What an evidence file holds. The tests of the auditor damage whole files.
    declared.retain(|name| name != "Core");
    let mut listed: Vec<_> = Kind::ALL.iter().map(|kind| format!("{kind:?}")).collect();
    declared.sort_unstable();
    listed.sort_unstable();
    assert_eq!(declared, listed);
    for kind in Kind::ALL {
        assert!(SAMPLES.iter().any(|sample| sample.kind == *kind), "{kind:?}");
    }
}

#[test]
fn no_encoding_of_one_type_is_one_of_another() {
    for sample in SAMPLES.iter() {
        for &kind in Kind::ALL {
            let decoded = kind.decode(&sample.bytes);
            if kind == sample.kind {
                assert_eq!(decoded, Ok(sample.bytes.clone()), "{kind:?}, {}", sample.name);
            } else if !SAME_SHAPE.contains(&(sample.kind, kind)) {
                assert!(decoded.is_err(), "{:?}, {} as {kind:?}", sample.kind, sample.name);
            }
        }
    }
}

#[test]
fn no_object_is_accepted_in_the_place_of_another() {
    let objects = objects();
    for place in PLACES {
        assert!(objects.iter().any(|object| object.place == place), "{place:?}");
        for object in &objects {
            let accepted = place.accepts(object);
            assert_eq!(accepted, place == object.place, "{} as {place:?}", object.name);
        }
    }
}

#[test]
fn no_object_has_the_hash_of_another() {
    let mut hashes = Vec::new();
    for object in objects() {
        for &context in Context::ALL {
            hashes.push(hash(context, &[&object.bytes]));
        }
    }
    let all = hashes.len();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), all);
}

#[test]
fn no_signature_over_an_object_is_one_over_another() {
    let objects = objects();
    for signed in &objects {
        for other in &objects {
            for (of, context) in [(signed, signed.context), (other, other.context), (other, signed.context)] {
                let digest = hash(context, &[&of.bytes]);
                let holds = KEY.enrolled().verify(context, digest, &signed.signature).is_ok();
                let same = (&of.name, context) == (&signed.name, signed.context);
                assert_eq!(holds, same, "signature of {} over {} as {context:?}", signed.name, of.name);
            }
        }
    }
}

/// Where an object is accepted or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Genesis,
    Certificate,
    Revocations,
    Delegation,
    Talk,
    Transaction,
    Receipt,
    Block,
    Batch,
    HandshakeMessage,
    Invitation,
}

const PLACES: [Place; 11] = [
    Place::Genesis,
    Place::Certificate,
    Place::Revocations,
    Place::Delegation,
    Place::Talk,
    Place::Transaction,
    Place::Receipt,
    Place::Block,
    Place::Batch,
    Place::HandshakeMessage,
    Place::Invitation,
];

impl Place {
    /// Is this object, with whatever was signed of it, taken for one of this kind? All of them are signed by
    /// the one key that everybody trusts here.
    fn accepts(self, object: &Object) -> bool {
        let Object { bytes, signature, proofs, .. } = object;
        let (body, signature) = (bytes.clone(), *signature);
        let key = KEY.enrolled();
        match self {
            Self::Genesis => decode_exact::<Genesis>(bytes).is_ok_and(|g| g.match_id().digest() == object.id),
            Self::Certificate => SignedCertificate { body, signature }.verify(&key).is_ok(),
            Self::Revocations => SignedRevocations { body, signature }.verify(&key).is_ok(),
            Self::Delegation => SignedDelegation { body, signature }.verify(&key).is_ok(),
            Self::Talk => {
                let talk = SignedTalk { body, signature }.read();
                let at_its_place = |read: ReadTalk| {
                    let place = read.get().place.clone();
                    Conversation::begin(place).check(read).is_ok()
                };
                talk.is_ok_and(at_its_place)
            }
            Self::Transaction => {
                let read = SignedTransaction { body, signature }.read();
                read.is_ok_and(|mut read| read.verify(&key).is_ok())
            }
            Self::Receipt => proofs.iter().any(|proof| {
                let proven = ProvenReceipt { receipt: body.clone(), proof: proof.clone() };
                proven.verify(proof.serial, &key).is_ok()
            }),
            Self::Block => proofs.iter().any(|proof| {
                let block = Block { header: body.clone(), entries: vec![], absent: vec![] };
                let proven = ProvenBlock { block: encode(&block), proof: proof.clone() };
                proven.read().is_ok_and(|mut read| read.verify_proof(&key).is_ok())
            }),
            Self::Batch => {
                // What a batch's signature covers has one length; as a root with a size, it is taken as it is.
                let Ok(bytes) = <[u8; 40]>::try_from(bytes.as_slice()) else { return false };
                let (serial, size, root) = split_batch(&bytes);
                let proof = ServerProof { serial, index: 0, size, hashes: vec![], signature };
                size == 1 && proof.verify(root, &key).is_ok()
            }
            Self::HandshakeMessage => {
                let mut random = reference::FixedRandom::new(&reference::ramp::<64>(0x40));
                let (client, _) = ClientHandshake::start("a:1", Trust::FirstUse, &KEY, &mut random);
                // One that fits makes the client try to open it; nothing else gets that far.
                let error = client.receive(bytes, Millis::new(0)).unwrap_err();
                matches!(error, cadastre_protocol::HandshakeError::Unauthentic)
            }
            Self::Invitation => {
                let signed = SignedInvitation { body, signature };
                signed.read().is_ok_and(|invitation| {
                    let Invitation { service, ref room, guest, enter_as, .. } = invitation;
                    let (identity, now) = (guest.unwrap_or(service), Millis::new(0));
                    signed.verify(&key, &Visit { service, room, identity, enter_as, now }).is_ok()
                })
            }
        }
    }
}

/// Something that is hashed or signed, with every signature that could be shown for it.
struct Object {
    place: Place,
    name: String,
    bytes: Vec<u8>,
    /// What names it.
    id: Digest,
    context: Context,
    /// Over its hash in its context.
    signature: Signature,
    /// Over it as a leaf of its kind, and its signature in a proof's clothes.
    proofs: Vec<ServerProof>,
}

impl Object {
    fn new(place: Place, name: &str, context: Context, bytes: Vec<u8>) -> Self {
        let id = hash(context, &[&bytes]);
        let signature = KEY.sign(context, id);
        let clothed = ServerProof { serial: SIGNER_SERIAL, index: 0, size: 1, hashes: vec![], signature };
        let leaf = match place {
            Place::Block => Some(block_leaf(cadastre_protocol::BlockHash::new(id))),
            Place::Receipt => Some(receipt_leaf(id)),
            Place::Genesis
            | Place::Certificate
            | Place::Revocations
            | Place::Delegation
            | Place::Talk
            | Place::Transaction
            | Place::Batch
            | Place::HandshakeMessage
            | Place::Invitation => None,
        };
        // Whatever it is, somebody may have had it signed as a leaf without the hash of its kind.
        let mut proofs = ServerProof::sign(&KEY, SIGNER_SERIAL, &[leaf.unwrap_or(id)]);
        proofs.push(clothed);
        Self { place, name: format!("{place:?}, {name}"), bytes, id, context, signature, proofs }
    }
}

fn objects() -> Vec<Object> {
    let mut objects = vec![
        Object::new(Place::Genesis, "as played", Context::Genesis, encode(&genesis(3))),
        Object::new(
            Place::Genesis,
            "other modes",
            Context::Genesis,
            encode(&support::samples::other_modes()),
        ),
    ];
    for (name, certificate) in certificates() {
        objects.push(Object::new(Place::Certificate, name, Context::Certificate, encode(&certificate)));
    }
    for (name, list) in revocations() {
        objects.push(Object::new(Place::Revocations, name, Context::Revocations, encode(&list)));
    }
    for (name, delegation) in delegations() {
        objects.push(Object::new(Place::Delegation, name, Context::Delegation, encode(&delegation)));
    }
    for (name, talk) in talks() {
        let talk = Talk { author: KEY.public(), ..talk };
        objects.push(Object::new(Place::Talk, name, Context::Talk, encode(&talk)));
    }
    for (name, transaction) in transactions() {
        objects.push(Object::new(Place::Transaction, name, Context::Transaction, encode(&transaction)));
    }
    for (index, proven) in batch().receipts.into_iter().enumerate() {
        let receipt: Receipt = decode_exact(&proven.receipt).unwrap();
        objects.push(Object::new(Place::Receipt, &index.to_string(), Context::Receipt, encode(&receipt)));
    }
    for (name, header) in headers() {
        let header = cadastre_protocol::Header { signer_serial: SIGNER_SERIAL, ..header };
        objects.push(Object::new(Place::Block, name, Context::Block, encode(&header)));
    }
    for (name, invitation) in invitations() {
        objects.push(Object::new(Place::Invitation, name, Context::Invitation, encode(&invitation)));
    }
    let root = Hasher::new(Context::BatchNode).chain(b"two leaves").finish();
    let bytes = [&SIGNER_SERIAL.to_le_bytes(), &1_u32.to_le_bytes(), root.as_bytes().as_slice()].concat();
    objects.push(Object::new(Place::Batch, "of one", Context::Batch, bytes));
    let m2 = [&[1, 1], [9; 331].as_slice()].concat();
    objects.push(Object::new(Place::HandshakeMessage, "M2", Context::Transcript, m2));
    objects
}

fn split_batch(bytes: &[u8; 40]) -> (u32, u32, Digest) {
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    (number(0), number(4), Digest::new(bytes[8..].try_into().unwrap()))
}

fn find_wire_types(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find_wire_types(&path, found);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        let types = code.split("impl Wire for ").skip(1);
        found.extend(types.map(|rest| rest.split([' ', '<']).next().unwrap().to_owned()));
    }
}

const SIGNER_SERIAL: u32 = 7;

/// Signs everything: nothing but context and bytes keeps the objects apart.
static KEY: std::sync::LazyLock<cadastre_protocol::SecretKey> = std::sync::LazyLock::new(|| key(0x99));
