//! Writes a heartbeat every 5 seconds, for ever.

use supervisor_test_clients::{sleep, write_heartbeat};

fn main() -> std::io::Result<()> {
    loop {
        write_heartbeat()?;
        sleep(5.0);
    }
}
