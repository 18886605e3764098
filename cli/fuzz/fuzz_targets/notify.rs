#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    supervisor_backend_unix::outside::datagram(bytes);
    supervisor_cli::outside::notify(bytes);
});
