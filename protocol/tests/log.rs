//! The transparency log against an independent implementation, and against everything that is wrong with it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/logs.rs"]
mod logs;
mod reference;

use cadastre_protocol::{
    CertificateError, Digest, KeyError, KeyRole, Millis, SignedCertificate, encode,
    log::{
        AddCheckpoint, AddCheckpointError, Checkpoint, CheckpointError, Contradiction, LogClaim, LogEntry,
        LogForkError, LogKey, LogProof, LogProofError, LogSigner, LogTree, Note, NoteError, NoteSignature,
        Origin, SIGNATURES_MAX, SignedCheckpoint, Tile, TileLevel, VerifiedCheckpoint, VerifierKeyError,
        WitnessKey, WitnessRefusal, WitnessSigner, consistency_proof, growth_is_proved, inclusion_proof,
        leaf_hash, log_fork,
    },
    merkle::{self, NodeHash},
};
use logs::{
    Log, Tree, bundle, bundle_of, certificate, claim, entry, forged, log_signer, origin, other_log, root,
    secret, signed, the_log, witness,
};
use reference::assert_committed;
use serde::Serialize;
use tlog_tiles::{Hash, check_record, check_tree, prove_record, prove_tree, tree_hash};

/// Largest tree that is compared, and some sizes beyond a tile.
const SIZES: [u64; 12] = [1, 2, 3, 4, 5, 7, 8, 13, 64, 255, 256, 600];

#[test]
fn roots_and_proofs_are_those_of_another_implementation() {
    let tree = Tree::of(600);
    for size in SIZES {
        let root = tree.root(size);
        assert_eq!(Hash(*root.as_bytes()), tree_hash(size, &tree.oracle).unwrap(), "{size}");
        for index in [0, 1, size / 3, size / 2, size - 1].map(|index| index.min(size - 1)) {
            let proof = inclusion_proof(index, size, &mut tree.reader()).unwrap();
            assert_eq!(hashes(&proof), prove_record(size, index, &tree.oracle).unwrap(), "{index} of {size}");
            let leaf = leaf_hash(&entry(index).to_bytes());
            assert!(check_record(&hashes(&proof), size, hash(root), index, hash(leaf)).is_ok());
            assert_eq!(merkle::root_of_proof(LogTree, leaf, index, size, &proof), Some(root));
        }
        for old in (1..=size).filter(|old| size < 70 || old % 37 == 0 || *old > size - 3) {
            let proof = consistency_proof(old, size, &mut tree.reader()).unwrap();
            assert_eq!(hashes(&proof), prove_tree(size, old, &tree.oracle).unwrap(), "{old} to {size}");
            let grown = ((old, tree.root(old)), (size, root));
            assert!(check_tree(&hashes(&proof), size, hash(root), old, hash(tree.root(old))).is_ok());
            assert!(growth_is_proved(grown.0, grown.1, &proof), "{old} to {size}");
        }
    }
}

#[test]
fn the_tree_that_only_grows_has_the_same_roots() {
    let tree = Tree::of(70);
    let mut frontier = merkle::Frontier::new(LogTree);
    assert_eq!(frontier.root(), tree.root(0));
    for size in 1..=70 {
        frontier.push(entry(size - 1).leaf());
        assert_eq!(frontier.root(), tree.root(size));
    }
}

#[test]
fn no_altered_consistency_proof_holds() {
    let tree = Tree::of(40);
    for (old, new) in [(1, 2), (3, 7), (6, 8), (8, 13), (13, 40), (32, 40), (39, 40), (7, 7)] {
        let proof = consistency_proof(old, new, &mut tree.reader()).unwrap();
        let (from, to) = ((old, tree.root(old)), (new, tree.root(new)));
        assert!(growth_is_proved(from, to, &proof));
        let refused =
            |proof: &[Digest]| assert!(!growth_is_proved(from, to, proof), "{old} to {new}: {proof:?}");
        for more in [Digest::ZERO, from.1, to.1] {
            refused(&[proof.as_slice(), &[more]].concat());
            refused(&[&[more], proof.as_slice()].concat());
        }
        for place in 0..proof.len() {
            let mut altered = proof.clone();
            altered[place] = Digest::ZERO;
            refused(&altered);
            altered.remove(place);
            refused(&altered);
        }
        refused(&vec![Digest::ZERO; 64]);
        assert!(!growth_is_proved((old, Digest::ZERO), to, &proof), "another old root");
        assert!(!growth_is_proved(from, (new, Digest::ZERO), &proof), "another new root");
        assert!(old == new || !growth_is_proved(to, from, &proof), "backwards");
        assert!(!growth_is_proved((old, tree.root(old)), (u64::MAX, tree.root(new)), &proof));
    }
    let empty = (0, LogTree.empty());
    assert!(growth_is_proved(empty, (5, tree.root(5)), &[]));
    assert!(growth_is_proved(empty, empty, &[]));
    assert!(!growth_is_proved(empty, (0, tree.root(1)), &[]), "an empty tree with a root");
    assert!(!growth_is_proved(empty, (5, tree.root(5)), &[tree.root(1)]), "a proof where none is");
}

#[test]
fn tiles_have_the_paths_of_another_implementation_and_no_others() {
    for size in [1_u64, 255, 256, 257, 70_000, 256 * 256, 256 * 256 * 1000 * 1000 + 5] {
        for level in 0..=3 {
            let last = size.checked_shr(8 * u32::from(level)).unwrap() / 256;
            for index in [0, last.saturating_sub(1), last] {
                let Some(tile) = Tile::of(TileLevel::Hashes(level), index, size) else { continue };
                let other = tlog_tiles::Tile::new(8, level, index, u32::from(tile.width), false);
                // The oracle writes the tile's height too, as the checksum database of Go does.
                assert_eq!(tile.path(), other.path().replacen("tile/8/", "tile/", 1));
                assert_eq!(Tile::from_path(&tile.path()), Some(tile));
                assert!(tile.is_within(size));
                assert!(!Tile { index: index + 1, ..tile.full() }.is_within(size) || index < last);
            }
        }
    }
    assert_eq!(Tile::of(TileLevel::Entries, 0, 0), None);
    assert_eq!(Tile::of(TileLevel::Hashes(0), 1, 256), None);
    assert_eq!(Tile::of(TileLevel::Entries, 273, 70_000).unwrap().path(), "tile/entries/273.p/112");
    let bad = [
        "tile/0/0",
        "tile/0/0000",
        "tile/00/000",
        "tile/0/x000/000",
        "tile/8/000",
        "tile/-1/000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/001/000",
        "tile/0/x001/1",
        "tile/0/../../x",
        "tile/0/",
        "",
        "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
        "tile/entries/000.p/1/2",
        "tile/0/+01",
        "/tile/0/000",
    ];
    for path in bad {
        assert_eq!(Tile::from_path(path), None, "{path}");
    }
}

#[test]
fn malformed_notes_and_checkpoints_are_refused() {
    let good = signed(5).to_string();
    assert_eq!(SignedCheckpoint::parse(good.as_bytes()).unwrap().to_string(), good);
    let line = good.lines().last().unwrap().to_owned();
    let note = |bytes: &[u8]| SignedCheckpoint::parse(bytes).unwrap_err();
    let refused = |text: &str, error| assert_eq!(note(text.as_bytes()), error, "{text:?}");
    let not = CheckpointError::Note;
    refused("", not(NoteError::NoSignatures));
    refused(&good[..good.len() - 1], not(NoteError::NoSignatures));
    refused(&good.replace("\n\n", "\n"), not(NoteError::NoSignatures));
    refused(&good.replace("log.example", "log\texample"), not(NoteError::NotText));
    assert_eq!(note(&[good.as_bytes(), &[0xff, b'\n']].concat()), not(NoteError::NotText));
    refused(&"a".repeat(200_000), not(NoteError::TooLong));
    refused(
        &format!("{good}{}", format!("{line}\n").repeat(SIGNATURES_MAX)),
        not(NoteError::TooManySignatures),
    );
    for bad in [
        "- log.example AAAAAAAA",
        "— log.example",
        "— log.example AAAA",
        "— a b c",
        "— + AAAAAAAA",
        "— x AAAA=A==",
    ] {
        refused(&format!("{good}{bad}\n"), not(NoteError::SignatureLine));
    }
    let root = good.lines().nth(2).unwrap();
    let with = |lines: &str| format!("{lines}\n\n{line}\n");
    for bad in [
        "log.example".to_owned(),
        "log.example\n5".to_owned(),
        format!("\n5\n{root}"),
        format!("log example\n5\n{root}"),
        format!("log+example\n5\n{root}"),
        format!("{}\n5\n{root}", "a".repeat(256)),
        format!("log.example\n05\n{root}"),
        format!("log.example\n+5\n{root}"),
        format!("log.example\n-5\n{root}"),
        format!("log.example\n18446744073709551616\n{root}"),
        format!("log.example\n5\n{}", &root[..40]),
        format!("log.example\n5\n{root}AAAA"),
        format!("log.example\n5\n{}", root.trim_end_matches('=')),
        format!("log.example\n5\n{root}\n\nextension"),
    ] {
        refused(&with(&bad), CheckpointError::Malformed);
    }
    let extended =
        SignedCheckpoint::parse(with(&format!("log.example\n5\n{root}\nmore")).as_bytes()).unwrap();
    assert_eq!(extended.claims(), signed(5).get());
    assert_eq!(extended.verify(log_signer().key()), Err(CheckpointError::BadSignature), "it is signed too");
}

#[test]
fn a_checkpoint_is_the_logs_or_nobodys() {
    let good = signed(5).to_string();
    let verify = |text: &str, key: &LogKey| SignedCheckpoint::parse(text.as_bytes()).unwrap().verify(key);
    let key = log_signer().key().clone();
    assert!(verify(&good, &key).is_ok());
    let stranger = LogKey::new(&origin(), secret(9).enrolled());
    assert_eq!(verify(&good, &stranger), Err(CheckpointError::NotSigned));
    let renamed = LogKey::new(&Origin::new("log.example2").unwrap(), secret(1).enrolled());
    assert_eq!(verify(&good, &renamed), Err(CheckpointError::NotSigned));
    assert_eq!(verify(&good.replace("\n5\n", "\n6\n"), &key), Err(CheckpointError::BadSignature));
    // A line of a stranger, even one with our name, and one of a kind that is not known here, are ignored.
    let other = LogSigner::new(&origin(), secret(9)).sign(signed(5).get().clone()).to_string();
    let strange = other.lines().last().unwrap();
    assert!(verify(&format!("{good}{strange}\n— else.example AAAAAAAA\n"), &key).is_ok());
    // A second line of the log that does not hold spoils the note.
    let spoiled = signed(6).to_string();
    let wrong = spoiled.lines().last().unwrap();
    assert_eq!(verify(&format!("{good}{wrong}\n"), &key), Err(CheckpointError::BadSignature));
}

#[test]
fn a_cosignature_is_of_its_witness_its_time_and_its_checkpoint() {
    let mut checkpoint = signed(5);
    let witness = witness(2);
    assert_eq!(checkpoint.cosigned_by(witness.key()), Ok(None));
    let line = witness.cosign(&checkpoint, 1_795_000_000);
    // Of another checkpoint, another witness, or with another id in place of its own.
    assert!(signed(6).add(witness.key(), line.clone()).is_err());
    assert!(checkpoint.add(self::witness(3).key(), line.clone()).is_err());
    let text = line.to_string();
    let wrong_id = text.replacen(text.rsplit(' ').next().unwrap().split_at(4).0, "AAAA", 1);
    let wrong_id = NoteSignature::parse(&wrong_id).unwrap();
    assert!(checkpoint.add(witness.key(), wrong_id).is_err());
    assert_eq!(checkpoint, signed(5), "nothing was added");
    checkpoint.add(witness.key(), line.clone()).unwrap();
    assert_eq!(checkpoint.cosigned_by(witness.key()), Ok(Some(1_795_000_000)));
    assert_eq!(checkpoint.cosigned_by(self::witness(3).key()), Ok(None));
    // A cosignature under another time, without time, or of this key over something else spoils the note.
    let wrong = witness.cosign(&signed(6), 1_795_000_000).to_string();
    let wrong = SignedCheckpoint::parse(format!("{checkpoint}{wrong}\n").as_bytes()).unwrap();
    assert!(wrong.verify(log_signer().key()).unwrap().cosigned_by(witness.key()).is_err());
    assert!(signed(5).add(witness.key(), witness.cosign(&checkpoint, 0)).is_err(), "no time");
    // The log's own signature is no cosignature, even by the same key and name.
    let same = WitnessSigner::new("log.example", secret(1)).unwrap();
    assert_eq!(signed(5).cosigned_by(same.key()), Ok(None));
}

#[test]
fn verifier_keys_have_one_form() {
    let log = log_signer().key().clone();
    let cosigner = witness(2).key().clone();
    assert_eq!(LogKey::parse(&log.to_string()), Ok(log.clone()));
    assert_eq!(WitnessKey::parse(&cosigner.to_string()), Ok(cosigner.clone()));
    let wrong = |expected, got| Err(VerifierKeyError::WrongType { expected, got });
    assert_eq!(LogKey::parse(&cosigner.to_string()), wrong(1, 4).map(|()| log.clone()));
    assert_eq!(WitnessKey::parse(&log.to_string()), wrong(4, 1).map(|()| cosigner.clone()));
    let text = log.to_string();
    for bad in ["", "log.example", "log.example+00000000", &text.replace('+', "-"), &text[..text.len() - 4]] {
        assert_eq!(LogKey::parse(bad), Err(VerifierKeyError::Malformed), "{bad}");
    }
    assert_eq!(LogKey::parse(&text.replacen("log", "LOG", 1)), Err(VerifierKeyError::WrongId));
    let weak = "x+00000000+AQEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    assert_eq!(LogKey::parse(weak), Err(VerifierKeyError::Key(KeyError::SmallOrder)));
    // The example of C2SP signed-note.
    let example = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    assert_eq!(LogKey::parse(example).unwrap().to_string(), example);
}

#[test]
fn a_witness_judges_like_the_specification() {
    let tree = Tree::of(30);
    let key = log_signer().key().clone();
    let latest = signed(10).get().clone();
    let request = |old, proof: &[Digest], checkpoint: &VerifiedCheckpoint| {
        let checkpoint = SignedCheckpoint::parse(checkpoint.to_string().as_bytes()).unwrap();
        let request = AddCheckpoint { old, proof: proof.to_vec(), checkpoint };
        assert_eq!(AddCheckpoint::parse(request.to_string().as_bytes()), Ok(request.clone()));
        request
    };
    let proof = consistency_proof(10, 30, &mut tree.reader()).unwrap();
    let good = request(10, &proof, &signed(30));
    assert_eq!(good.clone().judge(Some(&key), Some(&latest)).unwrap(), signed(30));
    assert_eq!(good.clone().judge(None, Some(&latest)), Err(WitnessRefusal::UnknownLog));
    let stranger = LogKey::new(&origin(), secret(9).enrolled());
    let not_signed = WitnessRefusal::Signature(CheckpointError::NotSigned);
    assert_eq!(good.clone().judge(Some(&stranger), Some(&latest)), Err(not_signed));
    assert_eq!(good.judge(Some(&key), None), Err(WitnessRefusal::Conflict { known: 0 }));
    let judge = |request: AddCheckpoint| request.judge(Some(&key), Some(&latest));
    assert_eq!(judge(request(31, &proof, &signed(30))), Err(WitnessRefusal::GoesBack));
    assert_eq!(judge(request(9, &proof, &signed(30))), Err(WitnessRefusal::Conflict { known: 10 }));
    assert_eq!(judge(request(10, &proof[1..], &signed(30))), Err(WitnessRefusal::Inconsistent));
    assert_eq!(
        judge(request(10, &[], &forged(10))),
        Err(WitnessRefusal::Inconsistent),
        "the same size, another root"
    );
    assert_eq!(judge(request(5, &[], &signed(5))), Err(WitnessRefusal::Conflict { known: 10 }), "backwards");
    assert_eq!(judge(request(10, &proof, &signed(5))), Err(WitnessRefusal::GoesBack), "backwards");
    assert_eq!(judge(request(10, &[], &signed(10))).unwrap(), signed(10), "once more");
    let first = |checkpoint: &VerifiedCheckpoint, proof: &[Digest]| {
        request(0, proof, checkpoint).judge(Some(&key), None)
    };
    assert_eq!(first(&signed(30), &[]).unwrap(), signed(30));
    assert_eq!(first(&signed(30), &proof), Err(WitnessRefusal::Inconsistent));
    assert_eq!(first(&signed(0), &[]).unwrap(), signed(0));
    assert_eq!(first(&forged(0), &[]), Err(WitnessRefusal::Inconsistent), "an empty tree with a root");

    let body = request(10, &proof, &signed(30)).to_string();
    for bad in [
        "",
        "old 10\n",
        &body.replacen("old 10", "old 010", 1),
        &body.replacen("old 10", "new 10", 1),
        &body.replacen("old 10\n", "", 1),
        &body.replacen("old 10\n", "old 10\nAAAA\n", 1),
        &body[1..],
    ] {
        assert_eq!(AddCheckpoint::parse(bad.as_bytes()), Err(AddCheckpointError::Malformed), "{bad}");
    }
    let long = request(10, &[Digest::ZERO; 63], &signed(30)).to_string();
    let longer = long.replacen('\n', &format!("\n{}\n", "A".repeat(43) + "="), 1);
    assert_eq!(AddCheckpoint::parse(longer.as_bytes()), Err(AddCheckpointError::TooManyHashes));
    let cut = body.split_inclusive('\n').take(8).collect::<String>();
    assert!(matches!(
        AddCheckpoint::parse(cut.as_bytes()),
        Err(AddCheckpointError::Checkpoint(_) | AddCheckpointError::Malformed)
    ));
}

#[test]
fn a_bundle_proves_its_head_and_nothing_else() {
    let good = bundle(7, 20);
    let root = root().enrolled();
    let at = Millis::new(1_500);
    assert_eq!(LogProof::parse(good.to_string().as_bytes()), Ok(good.clone()));
    let head = good.clone().verify(&root, at).unwrap();
    assert_eq!((head.entry(), head.index(), head.checkpoint().get().size), (&entry(7), 7, 20));
    let verify = |change: &dyn Fn(&mut LogProof)| {
        let mut bad = good.clone();
        change(&mut bad);
        bad.verify(&root, at).unwrap_err()
    };
    let not_included = LogProofError::NotIncluded;
    assert_eq!(verify(&|bundle| bundle.index = 8), not_included);
    assert_eq!(verify(&|bundle| bundle.index = 20), not_included);
    assert_eq!(verify(&|bundle| bundle.hashes.push(Digest::ZERO)), not_included, "over-long");
    assert_eq!(verify(&|bundle| bundle.hashes.truncate(2)), not_included);
    assert_eq!(verify(&|bundle| bundle.hashes[0] = Digest::ZERO), not_included);
    assert_eq!(verify(&|bundle| bundle.extra = claim(8, KeyRole::Log).to_bytes()), not_included);
    assert_eq!(verify(&|bundle| bundle.extra.truncate(100)), LogProofError::Claim);
    assert_eq!(verify(&|bundle| bundle.extra[0] = 2), LogProofError::Claim, "another version");
    let block = CertificateError::WrongRole { expected: KeyRole::Log, got: KeyRole::Block };
    let wrong_role = verify(&|bundle| bundle.extra = claim(7, KeyRole::Block).to_bytes());
    assert_eq!(wrong_role, LogProofError::Certificate(block));
    let other_root = good.clone().verify(&secret(9).enrolled(), at);
    assert_eq!(other_root, Err(LogProofError::Certificate(CertificateError::BadSignature)));
    let expired = CertificateError::Expired { valid_to: Millis::new(2_000), at: Millis::new(2_000) };
    assert_eq!(good.clone().verify(&root, Millis::new(2_000)), Err(LogProofError::Certificate(expired)));
    assert!(good.clone().verify(&root, Millis::new(0)).is_ok(), "certified anew after the block");
    let swapped = verify(&|bundle| bundle.checkpoint = bundle_of(&other_log(), 7, 20).checkpoint);
    assert_eq!(swapped, LogProofError::Checkpoint(CheckpointError::NotSigned));

    let text = good.to_string();
    for bad in [
        "",
        &text[1..],
        &text.replace("@v1", "@v2"),
        &text.replace("index 7", "index 07"),
        &text.replace("index 7\n", ""),
        &text.replacen("extra ", "extra !", 1),
        &text.replacen("index 7\n", &format!("index 7\n{}", "A===\n"), 1),
        &text.replacen("index 7\n", &format!("index 7\n{}", ("A".repeat(43) + "=\n").repeat(61)), 1),
        &text.replace("\n\n", "\n"),
    ] {
        assert_eq!(LogProof::parse(bad.as_bytes()), Err(LogProofError::Malformed), "{bad}");
    }
    let without_checkpoint = &text[..=text.find("\n\n").unwrap() + 1];
    assert!(matches!(LogProof::parse(without_checkpoint.as_bytes()), Err(LogProofError::Checkpoint(_))));
    assert_eq!(LogProof::parse(&vec![b'c'; LogProof::BYTES_MAX + 1]), Err(LogProofError::Malformed));
}

#[test]
fn what_contradicts_itself_is_proved_and_what_does_not_is_not() {
    let certificate = certificate(KeyRole::Log);
    let root = root().enrolled();
    let fork = |a: &dyn ToString, b: &dyn ToString| {
        log_fork(&root, &certificate, a.to_string().as_bytes(), b.to_string().as_bytes())
    };
    assert_eq!(fork(&signed(5), &forged(5)), Ok(Contradiction::OtherRoot { size: 5 }));
    let elsewhere = LogSigner::new(&Origin::new("second.example").unwrap(), secret(1));
    let elsewhere = elsewhere
        .sign(Checkpoint { origin: Origin::new("second.example").unwrap(), ..signed(9).get().clone() });
    assert_eq!(fork(&signed(5), &elsewhere), Ok(Contradiction::OtherOrigin));
    // Of other sizes, and so only to be seen by the entries.
    let (mine, theirs) = (bundle(7, 20), bundle_of(&Log { first: 100, ..the_log() }, 7, 25));
    assert_eq!(fork(&mine, &theirs), Ok(Contradiction::OtherEntry { index: 7 }));
    assert_eq!(fork(&mine, &forged(20)), Ok(Contradiction::OtherRoot { size: 20 }));
    let [head, rival] = two_heads();
    let height = entry(1).height;
    assert_eq!(fork(&head, &rival), Ok(Contradiction::OtherBlock { height }));
    assert_eq!(fork(&head, &head), Err(LogForkError::NoContradiction));
    for (a, b) in [(5, 5), (5, 6)] {
        assert_eq!(fork(&signed(a), &signed(b)), Err(LogForkError::NoContradiction));
    }
    assert_eq!(fork(&bundle(7, 20), &bundle(7, 30)), Err(LogForkError::NoContradiction));
    assert_eq!(fork(&bundle(7, 20), &bundle(8, 30)), Err(LogForkError::NoContradiction));
    let stranger = LogSigner::new(&origin(), secret(9)).sign(forged(5).get().clone());
    assert_eq!(fork(&signed(5), &stranger), Err(LogForkError::Checkpoint(CheckpointError::NotSigned)));
    assert_eq!(
        fork(&signed(5), &"nothing"),
        Err(LogForkError::Checkpoint(CheckpointError::Note(NoteError::NoSignatures)))
    );
    let mut unproved = bundle(7, 20);
    unproved.index = 6;
    assert_eq!(fork(&bundle(7, 20), &unproved), Err(LogForkError::Bundle(LogProofError::NotIncluded)));
    let (a, b) = (signed(5).to_string(), forged(5).to_string());
    let with = |certificate: &SignedCertificate| log_fork(&root, certificate, a.as_bytes(), b.as_bytes());
    let wrong = CertificateError::WrongRole { expected: KeyRole::Log, got: KeyRole::Block };
    assert_eq!(with(&self::certificate(KeyRole::Block)), Err(LogForkError::Certificate(wrong)));
}

#[test]
fn the_committed_log_is_what_this_build_makes() {
    let mut checkpoint = signed(20);
    let cosignature = witness(2).cosign(&checkpoint, 1_795_000_000);
    checkpoint.add(witness(2).key(), cosignature).unwrap();
    let tree = Tree::of(20);
    let proof = consistency_proof(13, 20, &mut tree.reader()).unwrap();
    let checkpoint = SignedCheckpoint::parse(checkpoint.to_string().as_bytes()).unwrap();
    let request = AddCheckpoint { old: 13, proof, checkpoint: checkpoint.clone() };
    let vector = LogVector {
        entry: hex::encode(entry(7).to_bytes()),
        leaf: entry(7).leaf().to_string(),
        empty_root: tree.root(0).to_string(),
        root_of_20: tree.root(20).to_string(),
        certificate: hex::encode(encode(&certificate(KeyRole::Log))),
        log_vkey: log_signer().key().to_string(),
        witness_vkey: witness(2).key().to_string(),
        checkpoint: checkpoint.to_string(),
        add_checkpoint: request.to_string(),
        bundle: bundle(7, 20).to_string(),
    };
    assert_committed("log.json", include_str!("vectors/log.json"), &vector);
}

/// Secrets are of the seeds that `log.json` names: 32 times 1 for the log, 2 for the witness, 17 for the root.
#[derive(Serialize)]
struct LogVector {
    entry: String,
    leaf: String,
    empty_root: String,
    root_of_20: String,
    certificate: String,
    log_vkey: String,
    witness_vkey: String,
    checkpoint: String,
    add_checkpoint: String,
    bundle: String,
}

fn hash(digest: Digest) -> Hash {
    Hash(*digest.as_bytes())
}

fn hashes(proof: &[Digest]) -> Vec<Hash> {
    proof.iter().copied().map(hash).collect()
}

/// One log that has two blocks of one match at one height.
fn two_heads() -> [LogProof; 2] {
    let entries = [entry(1), LogEntry { block: entry(2).block, ..entry(1) }];
    let leaves = entries.each_ref().map(|entry| leaf_hash(&entry.to_bytes()));
    let checkpoint = Checkpoint { origin: origin(), size: 2, root: merkle::root(LogTree, &leaves) };
    let checkpoint = LogSigner::new(&origin(), secret(1)).sign(checkpoint).into_signed();
    [0, 1].map(|index| LogProof {
        extra: LogClaim { entry: entries[index], certificate: certificate(KeyRole::Log) }.to_bytes(),
        index: index as u64,
        hashes: vec![leaves[1 - index]],
        checkpoint: checkpoint.clone(),
    })
}

#[test]
fn a_note_keeps_what_it_does_not_understand() {
    let text = format!("{}— pq.example AAAAAAAA\n", signed(5));
    let note = Note::parse(text.as_bytes()).unwrap();
    assert_eq!((note.to_string(), note.signatures().len()), (text, 2));
    assert_eq!(note.signatures()[1].name(), "pq.example");
}
