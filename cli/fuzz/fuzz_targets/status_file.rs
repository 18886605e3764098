#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| supervisor_cli::outside::status_file(bytes));
