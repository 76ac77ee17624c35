//! Hands `portico_fuzz::chain::chain_query` to libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portico_fuzz::chain::chain_query(data));
