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
mod publish;
mod record;
mod report;
mod sinks;
mod status;
pub mod trace;
mod values;
mod words;

use logging::Log;
use manager::Manager;
pub use options::parser;
use options::{Request, Settings};
use publish::Published;
use report::{Reporter, Shared};
use sinks::{Readiness, Sinks};
use status::Status;
use std::cell::RefCell;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Instant;
use supervisor_backend_unix::{Hook, Notifications, Signals, UnixBackend};
use supervisor_core::Policy;
use words::Harmless;

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
    let reporter = Shared(Rc::new(RefCell::new(Reporter::new(&settings, sinks(&settings, log)?))));
    let Settings { policy, backend, .. } = settings;
    let of_backend = reporter.clone();
    let mut backend = UnixBackend::new(backend, signals, move |notice| of_backend.0.borrow_mut().backend(&notice))
        .map_err(cannot_work)?;
    let outcome = supervisor_core::run(policy, &mut backend, reporter.clone());
    backend.finish();
    reporter.0.borrow().flush();
    Ok(ExitCode::from(exit_code::of(outcome)))
}

/// Without the names of temporary files.
fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "its folder is not there".to_owned(),
        std::io::ErrorKind::PermissionDenied => "its folder cannot be written to".to_owned(),
        std::io::ErrorKind::Other => error.to_string(),
        kind => kind.to_string(),
    }
}

/// Whoever wants to know what happens.
fn sinks(settings: &Settings, log: Log) -> Result<Sinks, String> {
    let format = settings.format;
    let status = Status::new(settings.policy.max_restarts);
    let mut files = Vec::new();
    for file in &settings.files {
        let option = file.option;
        let words = format!("{option} {}: cannot be written", Harmless(&file.path.display().to_string()));
        let words_later = words.clone();
        let tell = move |error: &std::io::Error| {
            logging::trouble(format, option, error, format_args!("{words_later}: {error}"));
        };
        let published = Published::begin(&file.path, &file.form.render(&status), tell)
            .map_err(|error| format!("{words}: {}; give a path in a folder that can be written to", reason(&error)))?;
        files.push((published, file.form.clone()));
    }
    Ok(Sinks {
        format,
        log,
        status,
        files,
        written: Instant::now(),
        hooks: match &settings.backend.hook {
            Hook::None => None,
            Hook::Run(_, hooks) => Some(hooks.clone()),
        },
        manager: Manager::find(format),
        readiness: match settings.backend.notifications {
            Notifications::Refused => Readiness::Start,
            Notifications::Taken => Readiness::Word,
        },
    })
}
