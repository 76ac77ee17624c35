//! Hands `portico_fuzz::relay::http_payload` to libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portico_fuzz::relay::http_payload(data));
