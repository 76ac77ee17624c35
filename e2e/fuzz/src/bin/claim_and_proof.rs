//! Hands `portico_fuzz::chain::claim_and_proof` to libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portico_fuzz::chain::claim_and_proof(data));
