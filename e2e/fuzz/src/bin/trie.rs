//! Hands `portico_fuzz::smst::trie` to libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portico_fuzz::smst::trie(data));
