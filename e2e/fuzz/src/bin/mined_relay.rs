//! Hands `portico_fuzz::relay::mined_relay` to libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portico_fuzz::relay::mined_relay(data));
