//! What the `supervisor` program is made of: its options, its log, its exit codes. `cargo xtask` reads the same
//! options.

mod dry_run;
mod exit_code;
pub mod help;
mod logging;
mod manager;
mod metrics;
mod options;
mod outbox;
mod patience;
mod publish;
mod record;
mod report;
mod sinks;
mod status;
pub mod trace;
mod values;
pub mod words;

pub use options::parser;
use options::{Request, Settings};
use report::{Reporter, Shared};
use sinks::Sinks;
use std::cell::RefCell;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::rc::Rc;
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
        Ok(Request::Show(text)) => show(&text),
        Ok(Request::DryRun(settings)) => show(&dry_run::text(&settings)),
        Ok(Request::Supervise(settings)) => {
            supervise(*settings, signals).unwrap_or_else(|message| refuse(exit_code::CANNOT_WORK, &message))
        }
        Err(refusal) => refuse(refusal.exit_code, &refusal.message),
    }
}

fn show(text: &str) -> ExitCode {
    // Whoever closed standard output does not want to read it.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
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
        Ok(Request::DryRun(_)) => Err("--dry-run: leave it out".to_owned()),
        Ok(Request::Show(text)) => Err(text),
        Err(refusal) => Err(refusal.message),
    }
}

/// Says why nothing is supervised. The exit code tells it too, should nobody read standard error.
fn refuse(code: u8, message: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "supervisor: {message}");
    ExitCode::from(code)
}

fn supervise(settings: Settings, signals: Signals) -> Result<ExitCode, String> {
    let cannot_work = |error: std::io::Error| format!("cannot work: {error}");
    let log = logging::start(settings.verbosity, settings.format);
    let reporter = Shared(Rc::new(RefCell::new(Reporter::new(&settings, Sinks::begin(&settings, log)?))));
    let Settings { policy, backend, .. } = settings;
    let of_backend = reporter.clone();
    let mut backend = UnixBackend::new(backend, signals, move |notice| of_backend.0.borrow_mut().backend(&notice))
        .map_err(cannot_work)?;
    let outcome = supervisor_core::run(policy, &mut backend, reporter.clone());
    backend.finish();
    reporter.0.borrow().flush();
    Ok(ExitCode::from(exit_code::of(outcome)))
}
