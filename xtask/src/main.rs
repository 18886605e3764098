//! The project's own tools: `cargo xtask <task>`.

mod bench;
mod budget;
mod chaos;
mod check;
mod choices;
mod dist;
mod docs;
mod drawing;
// It knows the system calls of x86_64, and reads them with glibc.
#[cfg(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu"))]
mod faults;
mod fuzz;
mod man_page;
mod mutants;
mod pictures;
mod processes;
mod scenario;
mod simulate;
mod stage;
mod svg;
mod timeline;
mod workspace;

use clap::{Parser, Subcommand};
use std::process::{Command, ExitCode};

/// The project's own tools
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Options {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run the real supervisor on real commands, and check what happens
    Scenario {
        /// One of them, or all
        #[arg(value_parser = scenario::names())]
        name: String,
        /// Shorten every duration by this factor
        #[arg(long, default_value_t = 1.0, value_parser = speed)]
        speed: f64,
    },
    /// Inject faults at random into real supervisors, and account for everything
    Chaos(chaos::Options),
    /// Have each system call of the supervisor and its keepers fail once in each way, and see that nothing breaks
    #[cfg(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu"))]
    Faults(faults::Options),
    /// Measure this supervisor and its peers side by side, and write docs/benchmarks.md
    Bench(bench::Options),
    /// Count what does not depend on the speed of the machine, and fail above a bound
    Budget(budget::Options),
    /// Put faults into the code one by one, and tell which of them no test notices
    Mutants(mutants::Options),
    /// Build what people install, into target/dist
    Dist(dist::Options),
    /// Draw the pictures of the documents, from what the machine decides
    Pictures(pictures::Options),
    /// Try what comes from outside with inputs that nobody thought of; coverage leads to the next ones
    Fuzz(fuzz::Options),
    /// Do what decides whether a change lands
    Check,
    /// Run the same decisions through months of virtual life, and tell what became of them
    Simulate(simulate::Options),
    /// Write the man page and the README's tables, from the one definition of the options
    Docs(docs::Options),
}

fn speed(text: &str) -> Result<f64, String> {
    let speed = text.parse().ok().filter(|speed| (0.01..=100.0).contains(speed));
    speed.ok_or_else(|| "give a number from 0.01 to 100".to_owned())
}

fn main() -> ExitCode {
    match Options::parse().task {
        Task::Scenario { name, speed } => built(|| scenario::run(&name, speed)),
        Task::Chaos(options) => built(|| chaos::run(options)),
        #[cfg(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu"))]
        Task::Faults(options) => built(|| faults::run(options)),
        Task::Bench(options) => bench::run(options),
        Task::Budget(options) => budget::run(options),
        Task::Mutants(options) => mutants::run(options),
        Task::Dist(options) => dist::run(options),
        Task::Pictures(options) => pictures::run(options),
        Task::Fuzz(options) => fuzz::run(options),
        Task::Check => check::run(),
        Task::Simulate(options) => simulate::run(options),
        Task::Docs(options) => docs::run(options),
    }
}

/// Does something with the supervisor and its test clients, once they are built.
fn built(task: impl FnOnce() -> ExitCode) -> ExitCode {
    let build = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "-p", workspace::PACKAGE, "-p", "supervisor-test-clients"])
        .status();
    if !build.is_ok_and(|status| status.success()) {
        eprintln!("xtask: the supervisor and its test clients do not build");
        return ExitCode::FAILURE;
    }
    task()
}
