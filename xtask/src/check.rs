//! `cargo xtask check`: what decides whether a change lands, which is .ci/run and nothing else.

use crate::workspace;
use std::process::ExitCode;

/// Runs it, and says how it went.
pub fn run() -> ExitCode {
    match workspace::run(workspace::command("bash").arg(".ci/run")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
