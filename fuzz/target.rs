//! Every target: the name of the binary says which function it is.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cadastre_fuzz::named(env!("CARGO_BIN_NAME"))(data));
