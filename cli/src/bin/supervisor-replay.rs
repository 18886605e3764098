//! Tells what a supervisor did, and why, from its log.

use std::process::ExitCode;

fn main() -> ExitCode {
    supervisor_cli::replay::main()
}
