//! `supervisor [OPTIONS] <COMMAND> [ARGS]...`: keeps one command alive.

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> std::process::ExitCode {
    supervisor_cli::main()
}
