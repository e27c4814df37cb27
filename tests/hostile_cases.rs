//! The corpus of misbehaviour in `tests/hostile/`, before the server, the client and the auditor: one test for
//! each case.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "only in tests")]

#[path = "hostile/corpus.rs"]
mod corpus;
#[path = "hostile/judge.rs"]
mod judge;
#[path = "hostile/make.rs"]
mod make;
#[allow(dead_code, reason = "only points are needed here")]
#[path = "../protocol/tests/reference/ed25519.rs"]
mod rule;

use std::{collections::BTreeSet, fs, path::Path};

use corpus::Family;

/// Declares a test for each case of each family.
macro_rules! cases {
    ($($family:ident { $($name:ident)* })*) => {
        $(mod $family {
            $(#[test]
            fn $name() {
                let family = super::Family::load(stringify!($family));
                super::judge::judge(&family, family.case(stringify!($name)));
            })*
        })*

        const NAMED: &[(&str, &[&str])] = &[$((stringify!($family), &[$(stringify!($name)),*])),*];
    };
}

cases! {
    turns {
        in_order
        replayed
        of_another_room
        on_an_old_link
        after_a_gap
        two_with_one_number
        the_same_twice
        by_a_spectator
        for_another_seat
        for_a_seat_of_somebody_else
        in_time_to_the_millisecond
        a_millisecond_late
        for_the_next_turn
        for_another_attempt
        on_an_unknown_block
        on_a_block_of_an_earlier_turn
        an_illegal_command
        a_hash_chain_element_in_a_match_without
        a_reveal_in_a_match_without
        a_takeback_in_a_match_without
        a_join_in_a_running_match
    }
    signatures {
        bit_flip_in_the_body
        bit_flip_in_r
        bit_flip_in_s
        s_plus_the_order
        r_with_torsion
        r_of_small_order
        no_signature
        identity_key_for_the_session_key
        session_key_of_another_match
        session_key_of_another_epoch
        key_of_the_server
        key_of_the_root
        in_the_context_genesis
        in_the_context_certificate
        in_the_context_revocations
        in_the_context_delegation
        in_the_context_receipt
        in_the_context_block
        in_the_context_body_leaf
        in_the_context_body_node
        in_the_context_absent
        in_the_context_chain_leaf
        in_the_context_chain_node
        in_the_context_batch_block
        in_the_context_batch_receipt
        in_the_context_batch_node
        in_the_context_batch
        in_the_context_order
        in_the_context_seed
        in_the_context_chain_element
        in_the_context_seat_chain
        in_the_context_server_chain
        in_the_context_roll
        in_the_context_sealed_commands
        in_the_context_salt
        in_the_context_state_leaf
        in_the_context_state_node
        in_the_context_transcript
        in_the_context_server_auth
        in_the_context_client_auth
        in_the_context_server_handshake_key
        in_the_context_client_handshake_key
        in_the_context_server_finished_key
        in_the_context_client_finished_key
        in_the_context_master
        in_the_context_client_traffic
        in_the_context_server_traffic
        in_the_context_exporter
        in_the_context_rekey
        in_the_context_session_seed
        in_the_context_replay_link
        in_the_context_talk
        in_the_context_talk_place
        in_the_context_talk_line
        in_the_context_invitation
        in_the_context_password_salt
        in_the_context_password_proof
        delegation_in_order
        delegation_of_another_match
        delegation_of_another_seat
        delegation_that_has_expired
        delegation_of_the_epoch_in_force
        delegation_of_a_lower_epoch
        delegation_by_the_session_key
        delegation_by_another_identity
        session_key_of_small_order_0
        session_key_of_small_order_1
        session_key_of_small_order_2
        session_key_of_small_order_3
        session_key_of_small_order_4
        session_key_of_small_order_5
        session_key_of_small_order_6
        session_key_of_small_order_7
        session_key_of_small_order_8
        session_key_of_small_order_9
        session_key_of_small_order_10
        session_key_of_small_order_11
        session_key_of_small_order_12
        session_key_of_small_order_13
        session_key_of_mixed_order
        session_key_that_is_no_point
        proof_with_a_bit_flip
        proof_with_s_plus_the_order
        proof_with_torsion_in_r
        proof_of_another_signer
        proof_of_the_root_key
        signer_of_an_unknown_serial
        signer_with_a_revoked_certificate
        signer_whose_certificate_was_revoked_later
        key_change_in_order
        key_change_without_the_root
        key_change_to_a_lower_serial
        key_change_to_a_handshake_key
        key_change_to_an_expired_key
        key_change_to_a_key_of_later
        key_change_to_a_key_of_small_order
        key_change_with_the_certificate_of_another_kind
    }
    blocks {
        in_order
        wrong_state_root
        entries_reordered
        blocks_reordered
        entry_dropped
        entry_dropped_and_called_absent_too_early
        absent_for_another_reason
        dropped_with_receipt
        absent_and_present
        absent_without_a_seat
        entry_twice
        block_twice
        entry_invented
        second_block_at_a_height
        block_of_a_fork
        gap
        wrong_link
        clock_backwards
        takeback
        commit_in_a_match_without
        second_start
        reopened_for_no_restart
        wrong_chain_root
        swapped_genesis
        wrong_turn
        wrong_attempt
        longer_deadline
        randomness_in_a_match_without
        another_body_than_the_header_says
        seal_that_is_not_due
        seal_with_another_result
        block_after_the_seal
    }
    start {
        join_in_order
        join_without_an_element
        join_with_the_second_element
        join_with_the_anchor
        join_with_the_element_of_another_seat
        join_with_an_element_that_is_made_up
        state_of_another_seed
        state_of_the_seed_before_anybody_revealed
        start_without_the_server_s_element
        start_with_the_server_s_second_element
        start_with_the_server_s_anchor
        start_with_an_element_that_is_made_up
        joins_not_in_the_order_of_the_seed
    }
    first_half {
        commit_in_order
        early_reveal
        commands_in_clear
        second_commit
        commit_with_an_element
        commitment_copied_from_another_seat
        commitment_copied_from_another_turn
        missing_commit
        missing_commit_hidden
        missing_commit_blamed_on_another
        missing_commit_called_too_early
        missing_commit_called_a_missing_reveal
        first_half_with_the_server_s_element
        turn_without_its_first_half
    }
    second_half {
        reveal_in_order
        false_reveal_of_other_commands
        false_reveal_of_nothing
        false_reveal_with_another_salt
        reveal_of_another_seat
        reveal_of_another_turn
        reveal_that_has_not_seen_the_commit
        second_reveal
        commit_in_the_second_half
        commands_in_clear_in_the_second_half
        element_missing
        element_repeated
        element_skipped
        element_of_another_seat
        element_made_up
        missing_reveal
        missing_reveal_hidden
        missing_reveal_blamed_on_another
        missing_reveal_called_too_early
        missing_reveal_called_a_missing_commit
        missing_reveal_executed_all_the_same
        reveal_shown_and_called_missing
        reveal_dropped_with_receipt
        server_s_element_missing
        server_s_element_repeated
        server_s_element_skipped
        server_s_element_made_up
        state_of_another_roll
        entries_not_in_the_order_of_the_roll
        second_commit_block
    }
    copies {
        reveal_of_a_commitment_copied_from_another_seat
        reveal_of_a_commitment_copied_from_another_turn
        nobody_shows_a_copy
    }
    clocks {
        within_the_own_time
        flag_that_has_fallen
        commands_after_the_flag_has_fallen
        flag_that_has_not_fallen
        deadline_cut_to_a_bank
        longer_deadline_with_banks
    }
    takebacks {
        proposal_in_order
        proposal_too_far_back
        proposal_to_a_turn_that_has_not_come
        fifth_word_in_one_turn
        proposal_in_the_attempt_that_was_left
        move_of_the_attempt_that_was_left
        takeback_in_order
        takeback_without_consent
        takeback_without_the_consent_of_one
        takeback_to_another_turn_than_all_want
        takeback_after_a_seat_has_played_on
        takeback_too_far_back
        takeback_to_the_turn_that_it_stands_at
        takeback_in_the_same_attempt
        takeback_to_the_state_of_another_turn
        consent_passed_over
        turn_in_the_attempt_that_was_left
    }
    agreements {
        motion_in_order
        pause_longer_than_allowed
        pause_of_no_time
        skip_of_the_own_seat
        skip_of_nobody
        fifth_motion_in_one_turn
        pause_in_order
        pause_without_consent
        pause_without_the_consent_of_one
        pause_longer_than_all_want
        pause_with_another_deadline
        pause_that_shows_an_action
        end_in_order
        end_without_the_consent_of_one
        end_by_the_operator_with_consents
        end_passed_over
        pause_passed_over
        skip_in_order
        skip_by_one_alone
        skip_before_half_of_the_time
        skip_of_a_seat_whose_time_is_up
    }
    late_joins {
        late_join_in_order
        late_join_for_a_taken_seat
        late_join_of_whoever_has_a_seat
        late_join_of_somebody_else
        late_join_that_names_another
        late_join_with_the_delegation_of_another_seat
        late_join_under_the_key_of_another
        move_for_an_open_seat
        move_in_the_turn_of_the_late_join
        open_seat_taken_twice
        late_join_dropped
        open_seat_in_order
        open_seat_called_late
        open_seat_called_resigned
    }
    taken_over {
        taken_over_in_order
        whoever_was_taken_over_acts_again
        taken_over_called_late
        taken_over_and_not_played_for
        taken_over_too_early
        taken_over_and_present
        taken_over_who_was_there
    }
    grace {
        grace_in_order
        grace_before_the_time_is_up
        grace_of_more_time
        grace_that_shows_an_action
        grace_twice_in_one_turn
        grace_where_nobody_was_there_before
    }
}

#[test]
fn every_case_has_a_test() {
    for (family, names) in NAMED {
        let family = Family::load(family);
        let cases: Vec<_> = family.cases.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(cases, *names);
    }
}

#[test]
fn every_test_that_the_table_names_is_there() {
    let read = |path: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let mut tests = BTreeSet::new();
    let mut named = 0;
    for words in read("tests/hostile/README.md").split('`').skip(1).step_by(2) {
        if words.ends_with(".rs") && words.contains('/') {
            tests = tests_in(&read(words));
        } else if is_name(words) {
            let is_family = NAMED.iter().any(|(family, _)| *family == words);
            assert!(is_family || tests.contains(words), "{words}");
            named += 1;
        } else if words.contains('/') {
            assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(words).exists(), "{words}");
        }
    }
    assert!(named > 200, "{named}");
}

#[test]
fn every_case_is_in_the_table() {
    let table =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile/README.md")).unwrap();
    let listed: BTreeSet<_> = table.split('`').skip(1).step_by(2).collect();
    for name in ["start", "first_half", "second_half", "copies", "takebacks", "agreements"] {
        for case in Family::load(name).cases {
            assert!(listed.contains(case.name.as_str()), "{}", case.name);
        }
    }
}

/// The test functions of a file, and those that a macro makes: of one name in a line, or of a name and a closure.
fn tests_in(file: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let (mut is_test, mut in_macro) = (false, false);
    for line in file.lines() {
        let code = line.trim();
        if let Some(name) = code.strip_prefix("async ").unwrap_or(code).strip_prefix("fn ") {
            found.extend(name.split('(').next().filter(|_| is_test).map(str::to_owned));
        }
        is_test = code == "#[test]" || code.starts_with("#[tokio::test") || is_test && code.starts_with("#[");
        in_macro = in_macro && line != "}" || line.ends_with("! {") || line.contains("! { ");
        let name = code.split_once(": async").map_or(code, |(name, _)| name);
        if in_macro && is_name(name) {
            found.insert(name.to_owned());
        }
    }
    found
}

fn is_name(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') && !text.is_empty()
}

#[test]
fn the_corpus_is_what_this_build_makes() {
    let made: Vec<_> = make::FAMILIES.iter().map(|(name, ..)| *name).collect();
    let named: Vec<_> = NAMED.iter().map(|(name, _)| *name).collect();
    assert_eq!(made, named);
    for (name, make) in make::FAMILIES {
        assert!(Family::load(name) == make(), "{name}.json: scripts/write-hostile-corpus writes it anew");
    }
}

#[test]
#[ignore = "scripts/write-hostile-corpus runs it, when a format is meant to change"]
fn write_the_corpus() {
    for (name, make) in make::FAMILIES {
        make().save(name);
    }
}
