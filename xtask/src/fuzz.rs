//! `cargo xtask fuzz`: what comes from outside, tried with inputs that nobody thought of. Coverage leads to the next ones.

use crate::workspace;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{fs, io};

/// What is tried, and for how long.
#[derive(clap::Args)]
pub struct Options {
    /// How long each target is tried
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Afterwards replace what is kept in cli/fuzz/corpus by the fewest inputs that reach as much as all known ones
    #[arg(long)]
    keep: bool,
    /// Some of the targets [default: all]
    #[arg(value_name = "TARGET", value_parser = TARGETS.map(|target| target.name))]
    targets: Vec<String>,
}

/// Something that takes what comes from outside.
struct Target {
    name: &'static str,
    /// Bytes; longer inputs reach no more, and take longer.
    longest: u32,
}

const TARGETS: [Target; 6] = [
    Target { name: "command_line", longest: 256 },
    Target { name: "notify", longest: 1024 },
    Target { name: "replay", longest: 4096 },
    Target { name: "rust_log", longest: 128 },
    Target { name: "status_file", longest: 1024 },
    Target { name: "values", longest: 64 },
];

/// An input that takes longer is a fault.
const PATIENCE: u32 = 10;

/// Tries each target, and stops at the first fault.
pub fn run(options: Options) -> ExitCode {
    match try_all(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn try_all(options: &Options) -> io::Result<()> {
    find_tools()?;
    let is_wanted =
        |target: &&Target| options.targets.is_empty() || options.targets.iter().any(|name| name == target.name);
    for target in TARGETS.iter().filter(is_wanted) {
        let place = Place::of(target)?;
        target.fuzz(&place, options.seconds)?;
        if options.keep {
            target.keep(&place)?;
        }
    }
    Ok(())
}

/// # Errors
/// One is missing; the message says how to install it.
fn find_tools() -> io::Result<()> {
    let tools: [(&[&str], &str); 2] = [
        (&["rustc", "--version"], "there is no nightly toolchain: rustup toolchain install nightly"),
        (&["cargo", "fuzz", "--version"], "cargo-fuzz is not there: cargo install cargo-fuzz --locked"),
    ];
    for (tool, remedy) in tools {
        workspace::output(nightly().args(tool)).map_err(|_| io::Error::other(remedy))?;
    }
    Ok(())
}

/// A program of the toolchain that knows how to count coverage.
fn nightly() -> Command {
    let mut command = workspace::command("rustup");
    command.args(["run", "nightly"]);
    command
}

/// Where the inputs of a target are.
struct Place {
    /// For what is built.
    builds: PathBuf,
    /// Those that are kept, in the repository.
    kept: PathBuf,
    /// Those that were found, and are not kept yet.
    found: PathBuf,
    /// Those that are to be kept next.
    next: PathBuf,
}

impl Place {
    fn of(target: &Target) -> io::Result<Place> {
        let builds = workspace::target()?.join("fuzz");
        let (found, next) = (builds.join("found").join(target.name), builds.join("next").join(target.name));
        let kept = workspace::root().join("cli/fuzz/corpus").join(target.name);
        fs::create_dir_all(&found)?;
        fs::create_dir_all(&kept)?;
        Ok(Place { builds, kept, found, next })
    }
}

impl Target {
    fn fuzz(&self, place: &Place, seconds: u32) -> io::Result<()> {
        let folders = [place.found.as_path(), &place.kept];
        let dictionary = workspace::root().join("cli/fuzz/dictionaries").join(self.name).with_extension("dict");
        let words = [format!("-max_total_time={seconds}"), format!("-dict={}", dictionary.display())];
        workspace::run(self.command(place, &folders).args(words))
    }

    fn keep(&self, place: &Place) -> io::Result<()> {
        let _ = fs::remove_dir_all(&place.next);
        fs::create_dir_all(&place.next)?;
        let folders = [place.next.as_path(), &place.kept, &place.found];
        // Another number of turns of the same loop is not worth a file.
        workspace::run(self.command(place, &folders).args(["-set_cover_merge=1", "-use_counters=0"]))?;
        replace(&place.kept, &place.next)
    }

    /// The code is safe Rust, so that there is nothing for a sanitizer to find.
    fn command(&self, place: &Place, folders: &[&Path]) -> Command {
        let mut command = nightly();
        command.args(["cargo", "fuzz", "run", "--fuzz-dir", "cli/fuzz", "--sanitizer", "none", "--target-dir"]);
        command.arg(&place.builds).arg(self.name).args(folders);
        command.args(["--", &format!("-max_len={}", self.longest), &format!("-timeout={PATIENCE}")]);
        command
    }
}

/// The files of a folder by those of another.
fn replace(kept: &Path, next: &Path) -> io::Result<()> {
    fs::remove_dir_all(kept)?;
    fs::create_dir_all(kept)?;
    for file in fs::read_dir(next)? {
        let file = file?;
        fs::copy(file.path(), kept.join(file.file_name()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_has_a_program_a_dictionary_and_inputs() {
        for Target { name, .. } in TARGETS {
            for path in
                [format!("fuzz_targets/{name}.rs"), format!("dictionaries/{name}.dict"), format!("corpus/{name}")]
            {
                assert!(workspace::root().join("cli/fuzz").join(&path).exists(), "{path}");
            }
        }
    }
}
