//! `supervisor [OPTIONS] <COMMAND> [ARGS]...`: keeps one command alive.

fn main() -> std::process::ExitCode {
    supervisor_cli::main()
}
