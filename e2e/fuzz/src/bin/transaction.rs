//! Hands `portico_fuzz::chain::transaction` to libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portico_fuzz::chain::transaction(data));
