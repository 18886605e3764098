//! What the `supervisor` program is made of: its options, its log, its exit codes. `cargo xtask` reads the same
//! options, and logs.

mod claims;
mod dry_run;
mod exit_code;
mod healthcheck;
pub mod journal;
mod options;
#[cfg(any(test, fuzzing))]
pub mod outside;
mod patience;
pub mod replay;
mod report;
mod sinks;

pub use options::{help, parser};
pub use report::display;

use options::{Refusal, Request, Settings};
use patience::LastWords;
use report::{Reporter, Troubles};
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use supervisor_backend_unix::{Signals, UnixBackend, is_stop_pending};
use supervisor_core::Policy;

/// The program: `supervisor [OPTIONS] <COMMAND> [ARGS]...`.
pub fn main() -> ExitCode {
    // First of all, so that a signal that comes while the supervisor starts is not lost on it.
    let signals = match Signals::take_over() {
        Ok(signals) => signals,
        Err(error) => {
            return refuse(&Refusal::cannot_work(format!("the supervisor cannot take over signals: {error}")));
        }
    };
    match options::read(std::env::args_os(), std::env::vars_os()) {
        Ok(Request::Show(text)) => show(&text, ExitCode::SUCCESS),
        Ok(Request::DryRun(settings)) => show(&dry_run::text(&settings), ExitCode::SUCCESS),
        Ok(Request::Healthcheck(file)) => match healthcheck::check(&file) {
            Ok(line) => show(&(line + "\n"), ExitCode::SUCCESS),
            Err(line) => show(&(line + "\n"), ExitCode::from(exit_code::UNHEALTHY)),
        },
        Ok(Request::Supervise(settings)) => supervise(*settings, signals).unwrap_or_else(|refusal| refuse(&refusal)),
        Err(refusal) => refuse(&refusal),
    }
}

fn show(text: &str, code: ExitCode) -> ExitCode {
    // A reader that has closed standard output does not want to read it.
    let _ = std::io::stdout().write_all(text.as_bytes());
    code
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
        Ok(Request::Healthcheck(_)) => Err("--healthcheck: leave it out".to_owned()),
        Ok(Request::Show(text)) => Err(text),
        Err(refusal) => Err(refusal.message),
    }
}

/// Says why nothing is supervised. The exit code tells it too, where standard error is not read. A request to stop ends
/// the wait for what does not answer: then that is the reason.
fn refuse(Refusal { exit_code, message }: &Refusal) -> ExitCode {
    let (exit_code, message) = match *exit_code {
        exit_code::CANNOT_WORK if is_stop_pending() => (exit_code::WELL, "stopped before the command was started"),
        exit_code => (exit_code, message.as_str()),
    };
    let _ = writeln!(std::io::stderr(), "supervisor: {message}");
    ExitCode::from(exit_code)
}

fn supervise(settings: Settings, signals: Signals) -> Result<ExitCode, Refusal> {
    let (troubles, received) = Troubles::channel();
    let _claims = claims::take(&settings, &troubles)?;
    let sinks = sinks::open(&settings, &troubles).map_err(Refusal::cannot_work)?;
    let mut reporter = Reporter::new(&settings, sinks, received);
    settings.hints.iter().for_each(|hint| troubles.tell(hint.about, hint.words.clone(), hint.words.clone()));
    reporter.begin(&settings);
    let Settings { policy, backend, .. } = settings;
    let grace_period = policy.grace_period;
    let mut backend = UnixBackend::new(backend, signals)
        .map_err(|error| Refusal::cannot_work(format!("the supervisor cannot work: {error}")))?;
    let outcome = supervisor_core::run(policy, &mut backend, &mut reporter);
    let mut last_words = LastWords::begin();
    reporter.flush(&mut last_words);
    // Hooks have one grace period more.
    backend.finish(grace_period, |notice| reporter.late(notice));
    reporter.flush(&mut last_words);
    Ok(ExitCode::from(exit_code::of(outcome)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_what_options_ask_for() {
        let read = |words: &[&str]| policy(words.iter().map(OsString::from));
        assert_eq!(read(&["--restart", "always"]).map(|policy| policy.restart), Ok(supervisor_core::Restart::Always));
        let refused = [
            (&["true"][..], "true is not an option"),
            (&["--dry-run"], "--dry-run: leave it out"),
            (&["--timeout", "0"], "give a duration above 0"),
            (&["--version"], env!("CARGO_PKG_VERSION")),
        ];
        for (words, why) in refused {
            let message = read(words).unwrap_err();
            assert!(message.contains(why), "{words:?}: {message}");
        }
    }
}
