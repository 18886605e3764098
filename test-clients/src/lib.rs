//! What the test clients share: the heartbeat, the log in the words of Python's `logging`, pauses.

use nix::sys::signal::{SigSet, Signal};
use std::fmt::Display;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The heartbeat file: `HEARTBEAT_FILE` where a supervisor sets it, else `heartbeat.txt`.
pub fn heartbeat_file() -> PathBuf {
    std::env::var_os("HEARTBEAT_FILE").unwrap_or_else(|| "heartbeat.txt".into()).into()
}

/// Writes the current time, in seconds since the epoch, into the heartbeat file.
///
/// # Errors
/// Those of writing a file.
pub fn write_heartbeat() -> io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    std::fs::write(heartbeat_file(), now.as_secs_f64().to_string())?;
    info("Heartbeat sent");
    Ok(())
}

/// Logs what happens.
pub fn info(message: impl Display) {
    log("INFO", message);
}

/// Logs what should worry somebody.
pub fn warning(message: impl Display) {
    log("WARNING", message);
}

/// Logs what went wrong.
pub fn error(message: impl Display) {
    log("ERROR", message);
}

fn log(level: &str, message: impl Display) {
    // One write a line, so that lines of several processes do not mix. Nobody need read them.
    let _ = io::stderr().write_all(format!("{level}:root:{message}\n").as_bytes());
}

/// Sleeps for so many seconds, divided by `TEST_CLIENT_SPEED` if that is set.
pub fn sleep(seconds: f64) {
    std::thread::sleep(Duration::from_secs_f64(seconds / speed()));
}

/// How many times faster than real time the client lives.
pub fn speed() -> f64 {
    std::env::var("TEST_CLIENT_SPEED").ok().and_then(|speed| speed.parse().ok()).unwrap_or(1.0)
}

/// On SIGTERM, says so and exits with 0. Call it while there is one thread only.
///
/// # Errors
/// Those of pthread_sigmask(3), and of starting a thread.
pub fn exit_on_sigterm() -> io::Result<()> {
    let sigterm: SigSet = [Signal::SIGTERM].into_iter().collect();
    sigterm.thread_block()?;
    std::thread::Builder::new().spawn(move || {
        if let Ok(signal) = sigterm.wait() {
            info(format_args!("Test client: Received signal {}. Exiting gracefully.", signal as i32));
            std::process::exit(0);
        }
    })?;
    Ok(())
}
