//! A supervisor in a page: `cargo run -p supervisor-backend-unix --example minimal -- sleep 5`.
//!
//! Runs a command with the default policy and without a heartbeat file, and prints all that is told.

use supervisor_backend_unix::{Command, Config, Notifications, Signal, Signals, StopTarget, UnixBackend, UnixNotice};
use supervisor_core::{Instant, Notice, Policy, Report, Supervisor, Watchdog};

/// Prints every notice.
struct Print;

impl Report<UnixNotice> for Print {
    fn notice(&mut self, at: Instant, notice: Notice, _supervisor: &Supervisor) {
        eprintln!("{:10.3} {notice:?}", at.since_origin().as_secs_f64());
    }

    fn backend_notice(&mut self, at: Instant, notice: UnixNotice, _supervisor: &Supervisor) {
        eprintln!("{:10.3} {notice:?}", at.since_origin().as_secs_f64());
    }
}

fn main() -> std::io::Result<()> {
    // First of all: a thread that is started later does not get the signals.
    let signals = Signals::take_over()?;
    let mut words = std::env::args_os().skip(1);
    let program = words.next().ok_or_else(|| std::io::Error::other("no command given"))?;
    let command = Command { program, arguments: words.collect(), environment: std::env::vars_os().collect() };
    let config = Config {
        command,
        heartbeat_file: None,
        probe: None,
        stop_signal: Signal::TERM,
        hang_signal: Signal::TERM,
        stop_target: StopTarget::Group,
        stop_on: vec![],
        restart_signal: None,
        notifications: Notifications::Refused,
        hook: None,
        tick: None,
        own_files: vec![],
    };
    let mut backend = UnixBackend::new(config, signals)?;
    let policy = Policy { watchdog: Watchdog::Off, ..Policy::default() };
    let outcome = supervisor_core::run(policy, &mut backend, Print);
    println!("{outcome:?}");
    Ok(())
}
