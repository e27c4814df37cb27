//! What must not count of a transparency log, as committed bytes: before whoever has pinned its key, before a
//! witness, and before whoever is shown a bundle or a contradiction.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[allow(dead_code, reason = "only some are needed here")]
#[path = "support/logs.rs"]
mod logs;
#[allow(dead_code, reason = "only the macro is needed here")]
#[macro_use]
#[path = "support/named.rs"]
mod named;
mod reference;

use cadastre_protocol::{
    Digest, KeyRole, Millis,
    log::{
        AddCheckpoint, LogProof, LogSigner, SIGNATURES_MAX, SignedCheckpoint, VerifiedCheckpoint,
        consistency_proof, log_fork,
    },
};
use logs::{
    Tree, bundle, bundle_of, certificate, claim, forged, log_signer, origin, other_log, root, secret, signed,
    witness,
};
use reference::{assert_committed, name};
use serde::{Deserialize, Serialize};

/// Who is shown it, and so what the input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Before {
    /// A checkpoint, before somebody who has the log's key and that of witness 2.
    Client,
    /// A request, before a witness that has cosigned 10 leaves.
    Witness,
    /// A bundle, before somebody who has the root key.
    Holder,
    /// Two checkpoints or bundles with an empty line and `---` between them, before somebody who has the root
    /// key and the log's certificate.
    Judge,
}

/// An input, and one word for what comes of it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Case {
    name: String,
    before: Before,
    input: String,
    verdict: String,
}

const BETWEEN: &str = "\n---\n";

named! { cases, super::judged, super::names:
    checkpoint_in_order
    checkpoint_cut
    checkpoint_without_a_signature
    checkpoint_without_an_empty_line
    checkpoint_with_a_control_character
    checkpoint_with_too_many_signatures
    checkpoint_with_a_signature_line_of_no_signature
    checkpoint_of_two_lines
    checkpoint_without_an_origin
    checkpoint_with_a_leading_zero
    checkpoint_with_a_sign
    checkpoint_of_more_leaves_than_64_bits_count
    checkpoint_with_a_short_root
    checkpoint_with_a_line_that_was_not_signed
    checkpoint_of_another_size
    checkpoint_of_another_key
    checkpoint_with_a_second_signature_that_does_not_hold
    cosignature_in_order
    cosignature_of_another_checkpoint
    cosignature_with_another_id
    cosignature_of_another_witness
    growth_in_order
    growth_with_a_hash_too_many
    growth_with_a_hash_missing
    growth_with_another_hash
    growth_with_more_hashes_than_any_proof
    growth_of_another_tree
    growth_from_another_size
    growth_of_another_log
    same_size_with_another_root
    going_backwards
    going_backwards_from_the_known_size
    bundle_in_order
    bundle_with_a_hash_too_many
    bundle_with_a_hash_missing
    bundle_with_another_hash
    bundle_with_another_index
    bundle_beyond_the_tree
    bundle_of_another_entry
    bundle_of_another_log
    bundle_under_a_block_signer
    bundle_without_a_claim
    bundle_of_another_version
    fork_of_one_size
    fork_at_one_entry
    fork_that_is_none
    fork_by_somebody_else
}

#[test]
fn the_committed_cases_are_what_this_build_makes() {
    assert_committed("log-refused.json", COMMITTED, &made());
}

const COMMITTED: &str = include_str!("vectors/log-refused.json");

fn committed() -> Vec<Case> {
    serde_json::from_str(COMMITTED).unwrap()
}

fn names() -> Vec<String> {
    committed().into_iter().map(|case| case.name).collect()
}

fn judged(test: &str) {
    let case = committed().into_iter().find(|case| case.name == test).unwrap();
    let verdict = match case.before {
        Before::Client => at_the_client(&case.input),
        Before::Witness => at_the_witness(&case.input),
        Before::Holder => at_the_holder(&case.input),
        Before::Judge => at_the_judge(&case.input),
    };
    assert_eq!(verdict, case.verdict);
}

fn at_the_client(input: &str) -> String {
    let verified = SignedCheckpoint::parse(input.as_bytes()).and_then(|it| it.verify(log_signer().key()));
    match verified.map(|checkpoint| checkpoint.cosigned_by(witness(2).key())) {
        Ok(Ok(None)) => "signed".to_owned(),
        Ok(Ok(Some(_))) => "cosigned".to_owned(),
        Ok(Err(error)) => name(&error),
        Err(error) => name(&error),
    }
}

fn at_the_witness(input: &str) -> String {
    let latest = signed(10);
    match AddCheckpoint::parse(input.as_bytes()) {
        Err(error) => name(&error),
        Ok(request) => match request.judge(Some(log_signer().key()), Some(latest.get())) {
            Ok(_) => "cosigned".to_owned(),
            Err(error) => name(&error),
        },
    }
}

fn at_the_holder(input: &str) -> String {
    let bundle = LogProof::parse(input.as_bytes());
    match bundle.and_then(|bundle| bundle.verify(&root().enrolled(), Millis::new(1_500))) {
        Ok(_) => "logged".to_owned(),
        Err(error) => name(&error),
    }
}

fn at_the_judge(input: &str) -> String {
    let (a, b) = input.split_once(BETWEEN).unwrap();
    match log_fork(&root().enrolled(), &certificate(KeyRole::Log), a.as_bytes(), b.as_bytes()) {
        Ok(contradiction) => name(&contradiction),
        Err(error) => name(&error),
    }
}

/// The cases by the keys of `log.json`. The verdicts are written by hand.
fn made() -> Vec<Case> {
    [checkpoints(), cosignatures(), growth(), bundles(), forks()].into_iter().flatten().collect()
}

fn case(before: Before, name: &str, input: &impl ToString, verdict: &str) -> Case {
    Case { name: name.to_owned(), before, input: input.to_string(), verdict: verdict.to_owned() }
}

fn checkpoints() -> Vec<Case> {
    let shown = |name, input: String, verdict| case(Before::Client, name, &input, verdict);
    let good = signed(5).to_string();
    let lines: Vec<_> = good.lines().collect();
    let [_, _, leaves, _, signature] = lines[..] else { panic!("{good}") };
    let with = |head: &str| format!("{head}\n\n{signature}\n");
    let stranger = LogSigner::new(&origin(), secret(9)).sign(signed(5).get().clone());
    let other = signed(6).to_string();
    let other = other.lines().last().unwrap();
    vec![
        shown("checkpoint_in_order", good.clone(), "signed"),
        shown("checkpoint_cut", good[..good.len() - 1].to_owned(), "Note.NoSignatures"),
        shown("checkpoint_without_a_signature", format!("log.example\n5\n{leaves}\n\n"), "Note.NoSignatures"),
        shown("checkpoint_without_an_empty_line", good.replace("\n\n", "\n"), "Note.NoSignatures"),
        shown(
            "checkpoint_with_a_control_character",
            good.replace("log.example\n", "log\texample\n"),
            "Note.NotText",
        ),
        shown(
            "checkpoint_with_too_many_signatures",
            format!("{good}{}", format!("{signature}\n").repeat(SIGNATURES_MAX)),
            "Note.TooManySignatures",
        ),
        shown(
            "checkpoint_with_a_signature_line_of_no_signature",
            format!("{good}— log.example AAAA\n"),
            "Note.SignatureLine",
        ),
        shown("checkpoint_of_two_lines", with("log.example\n5"), "Malformed"),
        shown("checkpoint_without_an_origin", with(&format!("\n5\n{leaves}")), "Malformed"),
        shown("checkpoint_with_a_leading_zero", with(&format!("log.example\n05\n{leaves}")), "Malformed"),
        shown("checkpoint_with_a_sign", with(&format!("log.example\n+5\n{leaves}")), "Malformed"),
        shown(
            "checkpoint_of_more_leaves_than_64_bits_count",
            with(&format!("log.example\n18446744073709551616\n{leaves}")),
            "Malformed",
        ),
        shown(
            "checkpoint_with_a_short_root",
            with(&format!("log.example\n5\n{}", &leaves[..40])),
            "Malformed",
        ),
        shown(
            "checkpoint_with_a_line_that_was_not_signed",
            with(&format!("log.example\n5\n{leaves}\nmore")),
            "BadSignature",
        ),
        shown("checkpoint_of_another_size", with(&format!("log.example\n6\n{leaves}")), "BadSignature"),
        shown("checkpoint_of_another_key", stranger.to_string(), "NotSigned"),
        shown(
            "checkpoint_with_a_second_signature_that_does_not_hold",
            format!("{good}{other}\n"),
            "BadSignature",
        ),
    ]
}

fn cosignatures() -> Vec<Case> {
    let shown =
        |name, line: &str, verdict| case(Before::Client, name, &format!("{}{line}\n", signed(5)), verdict);
    let right = witness(2).cosign(&signed(5), 1_795_000_000).to_string();
    let of_another = witness(2).cosign(&signed(6), 1_795_000_000).to_string();
    let by_another = witness(3).cosign(&signed(5), 1_795_000_000).to_string();
    let (name, bytes) = right.rsplit_once(' ').unwrap();
    // The id is the first four bytes of the signature.
    let renamed = format!("{name} AAAA{}", &bytes[4..]);
    vec![
        shown("cosignature_in_order", &right, "cosigned"),
        shown("cosignature_of_another_checkpoint", &of_another, "BadSignature"),
        // Of a key that is not known: it is as if it were not there.
        shown("cosignature_with_another_id", &renamed, "signed"),
        shown("cosignature_of_another_witness", &by_another, "signed"),
    ]
}

fn growth() -> Vec<Case> {
    let proof = consistency_proof(10, 30, &mut Tree::of(30).reader()).unwrap();
    let asked = |name, old, proof: &[Digest], checkpoint: VerifiedCheckpoint, verdict| {
        let checkpoint = SignedCheckpoint::parse(checkpoint.to_string().as_bytes()).unwrap();
        case(Before::Witness, name, &AddCheckpoint { old, proof: proof.to_vec(), checkpoint }, verdict)
    };
    let mut other = proof.clone();
    other[1] = Digest::ZERO;
    let stranger = LogSigner::new(&origin(), secret(9)).sign(signed(30).get().clone());
    vec![
        asked("growth_in_order", 10, &proof, signed(30), "cosigned"),
        asked(
            "growth_with_a_hash_too_many",
            10,
            &[&proof[..], &[Digest::ZERO]].concat(),
            signed(30),
            "Inconsistent",
        ),
        asked("growth_with_a_hash_missing", 10, &proof[1..], signed(30), "Inconsistent"),
        asked("growth_with_another_hash", 10, &other, signed(30), "Inconsistent"),
        asked("growth_with_more_hashes_than_any_proof", 10, &[Digest::ZERO; 64], signed(30), "TooManyHashes"),
        asked("growth_of_another_tree", 10, &proof, forged(30), "Inconsistent"),
        asked("growth_from_another_size", 9, &proof, signed(30), "Conflict"),
        asked("growth_of_another_log", 10, &proof, stranger, "Signature.NotSigned"),
        asked("same_size_with_another_root", 10, &[], forged(10), "Inconsistent"),
        asked("going_backwards", 5, &[], signed(5), "Conflict"),
        asked("going_backwards_from_the_known_size", 10, &[], signed(5), "GoesBack"),
    ]
}

fn bundles() -> Vec<Case> {
    let shown = |name, change: &dyn Fn(&mut LogProof), verdict| {
        let mut changed = bundle(7, 20);
        change(&mut changed);
        case(Before::Holder, name, &changed, verdict)
    };
    let version = bundle(7, 20).to_string().replace("@v1", "@v2");
    vec![
        shown("bundle_in_order", &|_| {}, "logged"),
        shown("bundle_with_a_hash_too_many", &|bundle| bundle.hashes.push(Digest::ZERO), "NotIncluded"),
        shown("bundle_with_a_hash_missing", &|bundle| bundle.hashes.truncate(2), "NotIncluded"),
        shown("bundle_with_another_hash", &|bundle| bundle.hashes[0] = Digest::ZERO, "NotIncluded"),
        shown("bundle_with_another_index", &|bundle| bundle.index = 8, "NotIncluded"),
        shown("bundle_beyond_the_tree", &|bundle| bundle.index = 20, "NotIncluded"),
        shown(
            "bundle_of_another_entry",
            &|bundle| bundle.extra = claim(8, KeyRole::Log).to_bytes(),
            "NotIncluded",
        ),
        shown(
            "bundle_of_another_log",
            &|bundle| bundle.checkpoint = bundle_of(&other_log(), 7, 20).checkpoint,
            "Checkpoint.NotSigned",
        ),
        shown(
            "bundle_under_a_block_signer",
            &|bundle| bundle.extra = claim(7, KeyRole::Block).to_bytes(),
            "Certificate.WrongRole",
        ),
        shown("bundle_without_a_claim", &|bundle| bundle.extra.clear(), "Claim"),
        case(Before::Holder, "bundle_of_another_version", &version, "Malformed"),
    ]
}

fn forks() -> Vec<Case> {
    let shown = |name, a: &dyn ToString, b: &dyn ToString, verdict| {
        let both = [a.to_string(), b.to_string()].join(BETWEEN);
        case(Before::Judge, name, &both, verdict)
    };
    let theirs = bundle_of(&logs::Log { first: 100, ..logs::the_log() }, 7, 25);
    let stranger = LogSigner::new(&origin(), secret(9)).sign(forged(5).get().clone());
    vec![
        shown("fork_of_one_size", &signed(5), &forged(5), "OtherRoot"),
        shown("fork_at_one_entry", &bundle(7, 20), &theirs, "OtherEntry"),
        shown("fork_that_is_none", &signed(5), &signed(6), "NoContradiction"),
        shown("fork_by_somebody_else", &signed(5), &stranger, "Checkpoint.NotSigned"),
    ]
}
