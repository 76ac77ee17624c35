//! Hands `portico_fuzz::node::rpc` to libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portico_fuzz::node::rpc(data));
