//! `supervisor [OPTIONS] <COMMAND> [ARGS]...`: keeps one command alive.

mod exit_code;
mod logging;
mod options;
mod report;
mod values;

use options::{Request, Settings};
use report::Reporter;
use std::cell::RefCell;
use std::process::ExitCode;
use supervisor_backend_unix::{Signals, UnixBackend};

fn main() -> ExitCode {
    match options::read(std::env::args_os(), std::env::vars_os()) {
        Ok(Request::Show(text)) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Ok(Request::Supervise(settings)) => supervise(*settings).unwrap_or_else(|error| {
            eprintln!("supervisor: {error}");
            ExitCode::from(exit_code::CANNOT_WORK)
        }),
        Err(error) => {
            eprintln!("supervisor: {}", error.message);
            ExitCode::from(error.exit_code)
        }
    }
}

fn supervise(settings: Settings) -> std::io::Result<ExitCode> {
    let signals = Signals::take_over()?;
    let log = logging::start(settings.verbosity);
    let reporter = RefCell::new(Reporter::new(&settings));
    let mut backend = UnixBackend::new(settings.backend, signals, |notice| reporter.borrow_mut().backend(&notice))?;
    let outcome =
        supervisor_core::run(settings.policy, &mut backend, |_, notice| reporter.borrow_mut().machine(notice));
    log.flush();
    Ok(ExitCode::from(exit_code::of(outcome)))
}
