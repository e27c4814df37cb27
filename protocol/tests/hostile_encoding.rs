//! Bytes that are nearly an encoding, for every type at once. Server, client and auditor read all types by the
//! one function that is tried here.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod reference;
mod support;

use cadastre_protocol::CodecError;
use support::{
    refused::{Refused, refused},
    samples::SAMPLES,
};

#[test]
fn a_trailing_byte() {
    for sample in SAMPLES.iter() {
        for byte in [0, 1, 0xff] {
            let longer = [sample.bytes.as_slice(), &[byte]].concat();
            let error = sample.kind.decode(&longer).unwrap_err();
            let expected = matches!(error, CodecError::Trailing | CodecError::TooLong { .. });
            assert!(expected, "{:?}, {}: {error}", sample.kind, sample.name);
        }
    }
}

#[test]
fn every_prefix() {
    for sample in SAMPLES.iter() {
        for cut in 0..sample.bytes.len() {
            let decoded = sample.kind.decode(&sample.bytes[..cut]);
            assert_eq!(decoded, Err(CodecError::Malformed), "{:?}, {}", sample.kind, sample.name);
        }
    }
}

#[test]
fn an_integer_of_variable_width() {
    let mut tried = 0;
    for sample in SAMPLES.iter() {
        let variant = sample.kind.with_variable_integers(&sample.bytes);
        if variant != sample.bytes {
            assert!(sample.kind.decode(&variant).is_err(), "{:?}, {}", sample.kind, sample.name);
            tried += 1;
        }
    }
    assert!(tried * 10 > SAMPLES.len() * 9, "{tried}");
}

#[test]
fn a_length_that_the_bytes_do_not_have() {
    of_the_vectors(5, |refused| {
        refused.name.contains("2⁶⁴") || refused.name.contains("2⁶⁰") || says(refused, "more than there is")
    });
}

#[test]
fn an_unknown_version() {
    of_the_vectors(12, |refused| refused.name.starts_with("version "));
}

#[test]
fn an_unknown_tag() {
    // Tags are told from other numbers by the number at the end of the name.
    let others = ["option", "bool", "seat 8", "seat 255", "hashes", "entries", "absent"];
    of_the_vectors(15, |refused| {
        refused.error == CodecError::Malformed
            && refused.name.ends_with(|last: char| last.is_ascii_digit())
            && !others.iter().any(|other| says(refused, other))
    });
}

#[test]
fn an_unknown_option_tag() {
    of_the_vectors(5, |refused| says(refused, "option tag"));
}

#[test]
fn an_unknown_bool() {
    of_the_vectors(2, |refused| says(refused, "bool"));
}

#[test]
fn a_seat_above_the_last() {
    of_the_vectors(5, |refused| says(refused, "seat 8"));
}

#[test]
fn a_list_that_is_not_sorted() {
    of_the_vectors(2, |refused| says(refused, "not ascending"));
}

#[test]
fn a_list_with_an_element_twice() {
    of_the_vectors(2, |refused| says(refused, "twice"));
}

#[test]
fn text_that_is_not_utf_8() {
    of_the_vectors(3, |refused| says(refused, "not UTF-8") || says(refused, "surrogate"));
}

#[test]
fn control_characters_in_a_name() {
    let characters = ["line feed", "escape", "control"];
    of_the_vectors(3, |refused| characters.iter().any(|character| says(refused, character)));
}

#[test]
fn text_that_does_not_show() {
    of_the_vectors(15, |refused| refused.error == CodecError::Invalid("text"));
}

#[test]
fn one_more_than_the_limit() {
    let limits = ["of 17", "of 33", "of 65", "of 4097", "nine", "17 entries"];
    of_the_vectors(6, |refused| limits.iter().any(|limit| says(refused, limit)));
}

/// Those of the vectors that a case is about: at least so many, and each refused as it says.
fn of_the_vectors(at_least: usize, case: impl Fn(&Refused) -> bool) {
    let found: Vec<_> = refused().into_iter().filter(case).collect();
    assert!(found.len() >= at_least, "{}", found.len());
    for Refused { kind, name, bytes, error } in found {
        assert_eq!(kind.decode(&bytes), Err(error), "{kind:?}, {name}");
    }
}

fn says(refused: &Refused, words: &str) -> bool {
    refused.name.contains(words)
}
