//! What logs, witnesses and players send each other about the transparency log: text as it comes from anybody,
//! and proofs of somebody who has the right ones and changes them.

use std::{convert::Infallible, ops::Range, sync::LazyLock};

use cadastre_protocol::{
    Digest, Millis, SecretKey,
    log::{
        AddCheckpoint, Checkpoint, LogClaim, LogEntry, LogKey, LogProof, LogSigner, LogTree, LoggedHead,
        Note, Origin, SignedCheckpoint, Tile, WitnessKey, WitnessSigner, consistency_proof, growth_is_proved,
        leaf_hash,
    },
    merkle,
};

use super::edits::{EDITS_MAX, Numbers};

pub(super) fn note(data: &[u8]) {
    if let Ok(note) = Note::parse(data) {
        assert_eq!(note.to_string().as_bytes(), data);
    }
}

pub(super) fn checkpoint(data: &[u8]) {
    let Ok(checkpoint) = SignedCheckpoint::parse(data) else { return };
    assert_eq!(checkpoint.to_string().as_bytes(), data);
    if let Ok(verified) = checkpoint.verify(log_signer().key()) {
        let _ = verified.cosigned_by(witness_signer().key());
    }
}

/// A witness that has cosigned 13 leaves is asked for more.
pub(super) fn add_checkpoint(data: &[u8]) {
    let Ok(request) = AddCheckpoint::parse(data) else { return };
    assert_eq!(request.to_string().as_bytes(), data);
    let latest = Checkpoint { origin: origin(), size: 13, root: root(0..13) };
    let _ = request.judge(Some(log_signer().key()), Some(&latest));
}

pub(super) fn bundle(data: &[u8]) {
    let Ok(bundle) = LogProof::parse(data) else { return };
    assert_eq!(LogProof::parse(bundle.to_string().as_bytes()).as_ref(), Ok(&bundle));
    let _ = verified(bundle);
}

/// A bundle that holds, with some of its bytes changed: for each a number of where, and a number that is added.
/// It says the same, or nothing.
pub(super) fn bundle_edited(data: &[u8]) {
    let good = &*BUNDLE;
    let mut text = good.to_string().into_bytes();
    let mut numbers = Numbers::new(data);
    for _ in 0..EDITS_MAX {
        if !numbers.is_empty() {
            let at = numbers.below(text.len());
            text[at] = text[at].wrapping_add(numbers.u8());
        }
    }
    let said = |head: LoggedHead| (*head.entry(), head.index(), head.checkpoint().get().clone());
    if let Some(head) = LogProof::parse(&text).ok().and_then(verified) {
        assert_eq!(Some(said(head)), verified(good.clone()).map(said));
    }
}

/// Two sizes, then changes of the proof that the tree has grown from one to the other. No other proof holds.
pub(super) fn growth(data: &[u8]) {
    let mut numbers = Numbers::new(data);
    let [old, new] = [LEAVES.len() + 1; 2].map(|end| numbers.below(end));
    let (from, to) = ((size(old), root(0..old)), (size(new), root(0..new)));
    let mut read = |level: u8, at: u64| {
        let [start, end] = [at, at + 1].map(|at| usize::try_from(at << level).unwrap());
        Ok::<_, Infallible>(root(start..end))
    };
    let right = if (1..=new).contains(&old) {
        consistency_proof(size(old), size(new), &mut read).unwrap()
    } else {
        Vec::new()
    };
    let mut proof = right.clone();
    for _ in 0..EDITS_MAX {
        if !numbers.is_empty() {
            change(&mut numbers, &mut proof);
        }
    }
    assert_eq!(growth_is_proved(from, to, &proof), old <= new && proof == right);
}

fn change(numbers: &mut Numbers<'_>, proof: &mut Vec<Digest>) {
    let kind = numbers.u8() % 4;
    let (at, start) = (numbers.below(proof.len() + 1), numbers.below(LEAVES.len()));
    let other = root(start..start + numbers.below(LEAVES.len() - start) + 1);
    match kind {
        0 => proof.insert(at, other),
        _ if at == proof.len() => {}
        1 => proof[at] = other,
        2 => drop(proof.remove(at)),
        _ => proof.swap(at, 0),
    }
}

pub(super) fn verifier_key(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if let Ok(key) = LogKey::parse(text) {
        assert_eq!(key.to_string(), text);
    }
    if let Ok(key) = WitnessKey::parse(text) {
        assert_eq!(key.to_string(), text);
    }
}

pub(super) fn tile(data: &[u8]) {
    let Ok(path) = str::from_utf8(data) else { return };
    if let Some(tile) = Tile::from_path(path) {
        assert_eq!(tile.path(), path);
    }
}

pub(super) fn claim(data: &[u8]) {
    if let Some(entry) = LogEntry::from_bytes(data) {
        assert_eq!(entry.to_bytes().as_slice(), data);
    }
    if let Some(claim) = LogClaim::from_bytes(data) {
        assert_eq!(claim.to_bytes(), data);
    }
}

fn verified(bundle: LogProof) -> Option<LoggedHead> {
    bundle.verify(&SecretKey::from_seed(&[17; 32]).enrolled(), Millis::new(1_500)).ok()
}

fn origin() -> Origin {
    Origin::new("log.example").unwrap()
}

fn log_signer() -> LogSigner {
    LogSigner::new(&origin(), SecretKey::from_seed(&[1; 32]))
}

fn witness_signer() -> WitnessSigner {
    WitnessSigner::new("witness.example/2", SecretKey::from_seed(&[2; 32])).unwrap()
}

fn size(leaves: usize) -> u64 {
    leaves.try_into().unwrap()
}

fn root(leaves: Range<usize>) -> Digest {
    merkle::root(LogTree, &LEAVES[leaves])
}

static LEAVES: LazyLock<Vec<Digest>> = LazyLock::new(|| (0..40).map(|number| leaf_hash(&[number])).collect());

/// The bundle of the vectors.
static BUNDLE: LazyLock<LogProof> = LazyLock::new(|| {
    let vectors = include_str!("../../../protocol/tests/vectors/log.json");
    let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
    LogProof::parse(vectors["bundle"].as_str().unwrap().as_bytes()).unwrap()
});
