//! What the `supervisor` program is made of: its options, its log, its exit codes. `cargo xtask` reads the same
//! options.

mod exit_code;
mod logging;
mod options;
mod report;
mod values;

use options::{Request, Settings};
use report::Reporter;
use std::cell::RefCell;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use supervisor_backend_unix::{Signals, UnixBackend};
use supervisor_core::Policy;

/// The program: `supervisor [OPTIONS] <COMMAND> [ARGS]...`.
pub fn main() -> ExitCode {
    // First of all, so that a signal that comes while the supervisor starts is not lost on it.
    let signals = match Signals::take_over() {
        Ok(signals) => signals,
        Err(error) => return refuse(exit_code::CANNOT_WORK, &format!("cannot take over signals: {error}")),
    };
    match options::read(std::env::args_os(), std::env::vars_os()) {
        Ok(Request::Show(text)) => {
            // Whoever closed standard output does not want to read it.
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Ok(Request::Supervise(settings)) => supervise(*settings, signals)
            .unwrap_or_else(|error| refuse(exit_code::CANNOT_WORK, &format!("cannot work: {error}"))),
        Err(refusal) => refuse(refusal.exit_code, &refusal.message),
    }
}

/// The policy that options of `supervisor` ask for, those in the environment included.
///
/// # Errors
/// What is wrong with them, in one line.
pub fn policy(options: impl IntoIterator<Item = OsString>) -> Result<Policy, String> {
    const NO_COMMAND: &str = "no command";
    let line = ["supervisor".into()].into_iter().chain(options).chain(["--".into(), NO_COMMAND.into()]);
    match options::read(line, []) {
        Ok(Request::Supervise(settings)) if settings.backend.command.program == NO_COMMAND => Ok(settings.policy),
        Ok(Request::Supervise(settings)) => {
            Err(format!("{} is not an option", settings.backend.command.program.display()))
        }
        Ok(Request::Show(text)) => Err(text),
        Err(refusal) => Err(refusal.message),
    }
}

/// Says why nothing is supervised. The exit code tells it too, should nobody read standard error.
fn refuse(code: u8, message: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "supervisor: {message}");
    ExitCode::from(code)
}

fn supervise(settings: Settings, signals: Signals) -> std::io::Result<ExitCode> {
    let log = logging::start(settings.verbosity);
    let reporter = RefCell::new(Reporter::new(&settings));
    let mut backend = UnixBackend::new(settings.backend, signals, |notice| reporter.borrow_mut().backend(&notice))?;
    let outcome =
        supervisor_core::run(settings.policy, &mut backend, |_, notice| reporter.borrow_mut().machine(notice));
    log.flush();
    Ok(ExitCode::from(exit_code::of(outcome)))
}
