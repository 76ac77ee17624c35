//! Hands `portico_fuzz::relay::relay_response` to libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portico_fuzz::relay::relay_response(data));
