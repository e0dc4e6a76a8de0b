#![no_main]

#[path = "../body/mod.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: &[u8]| body::http::run(input));
