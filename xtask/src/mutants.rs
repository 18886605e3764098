//! `cargo xtask mutants`: puts faults into the code, one at a time, and tells which of them no test notices.
//!
//! cargo-mutants makes them; `.cargo/mutants.toml` says which are left out, and why. What became of each is kept in
//! `target/mutants/verdicts`, so that a run can be interrupted, and those alive be tried again.

mod verdict;

use crate::workspace;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::{fmt, fs, io};
use verdict::{Table, Verdict, file};

/// So many mutants take less than an hour, at 10 to 15 seconds each.
const PIECE: usize = 240;

/// Which mutants, and which tests.
#[derive(clap::Args)]
pub struct Options {
    /// Those of one package, instead of all; may be repeated
    #[arg(long, value_enum, value_name = "NAME")]
    package: Vec<Package>,
    /// Those of source files that match, instead of all; may be repeated
    #[arg(long, value_name = "GLOB")]
    file: Vec<String>,
    /// One piece of them, as in 0/4, instead of all pieces one after another
    #[arg(long, value_name = "K/N")]
    shard: Option<String>,
    /// Only those that were alive when they were tried last, with all tests beside the code
    #[arg(long)]
    alive: bool,
    /// Try those alive with the tests from outside, which are slow: those of the modules that are about the file
    #[arg(long, requires = "alive")]
    outside: bool,
    /// Only tell what became of each until now
    #[arg(long)]
    table: bool,
}

/// A package whose tests shall notice every fault.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Package {
    Cli,
    BackendUnix,
    Core,
}

impl Package {
    const ALL: [Package; 3] = [Package::Cli, Package::BackendUnix, Package::Core];

    fn name(self) -> &'static str {
        match self {
            Package::Cli => workspace::PACKAGE,
            Package::BackendUnix => "supervisor-backend-unix",
            Package::Core => "supervisor-core",
        }
    }

    /// Tests beside the code that take seconds, and all of a package that starts no process.
    fn quick_tests(self) -> Tests {
        // Every state of a keeper takes half a minute.
        let filters: &[&str] = match self {
            Package::BackendUnix => &["--skip=keeper::explore"],
            Package::Cli | Package::Core => &[],
        };
        Tests { filters: words(filters), ..self.own_tests() }
    }

    /// All tests beside the code, and all of a package that starts no process.
    fn own_tests(self) -> Tests {
        let arguments: &[&str] = match self {
            Package::Cli => &["--lib"],
            Package::BackendUnix => &["--lib", "--features=serde"],
            Package::Core => &["--features=serde"],
        };
        Tests { package: self.name(), arguments: words(arguments), filters: Vec::new() }
    }
}

/// Tests that shall notice a mutant.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Tests {
    /// Theirs, which may be another than the one with the mutant.
    package: &'static str,
    /// For cargo.
    arguments: Vec<String>,
    /// For the tests: parts of their names; all if there is none.
    filters: Vec<String>,
}

/// What of the tests from outside is about a file, by the beginning of its path. About others all of them are.
const OUTSIDE: [(&str, &str, &[&str]); 24] = [
    ("cli/src/bin/supervisor-replay", "replay", &[]),
    ("cli/src/journal", "replay", &[]),
    ("cli/src/replay", "replay", &[]),
    ("cli/src/healthcheck", "outside", &["healthcheck"]),
    ("cli/src/dry_run", "outside", &["first_hour", "json", "terminal"]),
    ("cli/src/options", "outside", &["usage", "first_hour", "environment", "manager"]),
    ("cli/src/claims", "outside", &["files"]),
    ("cli/src/report", "outside", &["json", "first_hour", "log", "files"]),
    ("cli/src/sinks/hook", "outside", &["json", "starved"]),
    ("cli/src/sinks/log", "outside", &["log", "json", "first_hour", "starved"]),
    ("cli/src/sinks/service_manager", "outside", &["manager"]),
    ("cli/src/sinks", "outside", &["files", "json", "healthcheck", "killed"]),
    ("backend-unix/src/backend/job_control", "outside", &["terminal"]),
    ("backend-unix/src/terminal", "outside", &["terminal"]),
    ("backend-unix/src/claim", "outside", &["files"]),
    ("backend-unix/src/own_file", "outside", &["files", "killed"]),
    ("backend-unix/src/heartbeat", "outside", &["hang", "dead_file_system", "first_hour"]),
    ("backend-unix/src/hooks", "outside", &["json", "starved", "traced"]),
    ("backend-unix/src/probe", "outside", &["probe", "traced"]),
    ("backend-unix/src/notice", "outside", &["json", "first_hour"]),
    ("backend-unix/src/notify", "outside", &["notify"]),
    ("backend-unix/src/signals", "outside", &["signals", "requests", "stop"]),
    ("backend-unix/src/tree/snapshot", "outside", &["autopsy"]),
    ("backend-unix/src/tree", "outside", &["leftovers", "hostile", "hidepid", "autopsy"]),
];

fn outside(file: &str) -> Tests {
    let row = OUTSIDE.iter().find(|(begin, ..)| file.starts_with(begin));
    let (target, modules) = row.map_or(("outside", [].as_slice()), |(_, target, modules)| (*target, *modules));
    Tests { package: workspace::PACKAGE, arguments: vec![format!("--test={target}")], filters: words(modules) }
}

/// Tries mutants, and fails where one is alive.
pub fn run(options: Options) -> ExitCode {
    match tried(&options) {
        Ok(verdicts) if verdicts.values().all(|verdict| *verdict != Some(Verdict::Alive)) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Each mutant that was asked for, by its name, and what became of it, if it was tried.
fn tried(options: &Options) -> io::Result<BTreeMap<String, Option<Verdict>>> {
    let mutation = Mutation::new()?;
    let packages = if options.package.is_empty() { &Package::ALL[..] } else { &options.package };
    let mut asked_for = BTreeSet::new();
    for package in packages {
        let selection = Selection { package: *package, files: &options.file, shard: options.shard.clone() };
        asked_for.extend(mutation.try_package(&selection, options)?);
    }
    let verdicts = mutation.verdicts()?;
    let tried = asked_for.into_iter().map(|name| (name.clone(), verdicts.get(&name).copied())).collect();
    println!("{}", Table(&tried));
    Ok(tried)
}

/// Mutants of one package.
struct Selection<'a> {
    package: Package,
    files: &'a [String],
    shard: Option<String>,
}

impl Selection<'_> {
    fn arguments(&self) -> Vec<String> {
        let files = self.files.iter().map(|file| format!("--file={file}"));
        let shard = self.shard.iter().map(|shard| format!("--shard={shard}"));
        [format!("--package={}", self.package.name())].into_iter().chain(files).chain(shard).collect()
    }
}

/// Where mutants are made and tried.
struct Mutation {
    folder: PathBuf,
    /// For what the tests make, so that a mutant finds nothing else there that it could remove.
    scratch: tempfile::TempDir,
}

impl Mutation {
    fn new() -> io::Result<Mutation> {
        let version = workspace::output(workspace::cargo().args(["mutants", "--version"]));
        version.map_err(|_| io::Error::other("cargo-mutants is missing: cargo install cargo-mutants --locked"))?;
        if workspace::find("unshare").is_none() {
            return Err(io::Error::other("unshare is missing: apt-get install util-linux"));
        }
        let folder = workspace::target()?.join("mutants");
        fs::create_dir_all(&folder)?;
        // Tests are run as other users, too, which would skip where they cannot go.
        let scratch = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir()?;
        Ok(Mutation { folder, scratch })
    }

    /// Tries those that are asked for, and returns the names of all of them.
    fn try_package(&self, selection: &Selection, options: &Options) -> io::Result<Vec<String>> {
        let listed = workspace::output(workspace::cargo().args(["mutants", "--list"]).args(selection.arguments()))?;
        let listed: Vec<_> = listed.lines().map(ToOwned::to_owned).collect();
        if !options.table {
            match options.alive {
                true => self.try_alive(selection, &listed, options.outside)?,
                false => self.try_all(selection, listed.len())?,
            }
        }
        Ok(listed)
    }

    fn try_all(&self, selection: &Selection, count: usize) -> io::Result<()> {
        let tests = selection.package.quick_tests();
        let pieces = match selection.shard {
            Some(_) => 1,
            None => count.div_ceil(PIECE),
        };
        for piece in 0..pieces {
            let shard = selection.shard.clone().unwrap_or(format!("{piece}/{pieces}"));
            println!("{}: piece {shard} of {count} mutants", selection.package.name());
            self.try_piece(&Selection { shard: Some(shard), ..*selection }.arguments(), &tests)?;
        }
        Ok(())
    }

    fn try_alive(&self, selection: &Selection, listed: &[String], is_outside: bool) -> io::Result<()> {
        let verdicts = self.verdicts()?;
        let mut by_tests: BTreeMap<Tests, Vec<String>> = BTreeMap::new();
        for name in listed.iter().filter(|name| verdicts.get(*name) == Some(&Verdict::Alive)) {
            let tests = if is_outside { outside(file(name)) } else { selection.package.own_tests() };
            by_tests.entry(tests).or_default().push(format!("--re=^{}$", escaped(name)));
        }
        for (tests, mutants) in by_tests {
            println!("{}: {} mutants with {}", selection.package.name(), mutants.len(), tests);
            // A shard of these would be another than that of the whole list.
            let selection = Selection { shard: None, ..*selection };
            self.try_piece(&[selection.arguments(), mutants].concat(), &tests)?;
        }
        Ok(())
    }

    fn try_piece(&self, mutants: &[String], tests: &Tests) -> io::Result<()> {
        let runner = format!("target.'cfg(all())'.runner = {}", toml(&runner()));
        let mut cargo = workspace::cargo();
        cargo.args(["mutants", "--colors=never", "--no-times", "--output"]).arg(&self.folder).args(mutants);
        cargo.arg(format!("--test-package={}", tests.package));
        let arguments = ["--config".to_owned(), runner].into_iter().chain(tests.arguments.clone());
        cargo.args(arguments.map(|argument| format!("--cargo-arg={argument}")));
        // For cargo test, and then for the tests.
        cargo.args(["--", "--"]).args(&tests.filters);
        cargo.env("TMPDIR", self.scratch.path()).env("CARGO_TARGET_DIR", self.folder.join("build"));
        // Nobody debugs a mutant.
        cargo.env("CARGO_PROFILE_DEV_DEBUG", "none");
        ended_well(&mut cargo)?;
        self.remember()
    }

    /// Adds what became of the mutants of the last piece.
    fn remember(&self) -> io::Result<()> {
        let mut verdicts = self.verdicts()?;
        for verdict in Verdict::ALL {
            let list = fs::read_to_string(self.folder.join("mutants.out").join(verdict.list()))?;
            verdicts.extend(list.lines().map(|name| (name.to_owned(), verdict)));
        }
        let lines = verdicts.iter().map(|(name, verdict)| format!("{} {name}\n", verdict.name()));
        workspace::write(&self.folder.join("verdicts"), &lines.collect::<String>())
    }

    /// What became of each that was tried until now.
    fn verdicts(&self) -> io::Result<BTreeMap<String, Verdict>> {
        let text = match fs::read_to_string(self.folder.join("verdicts")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        Ok(text.lines().filter_map(verdict::verdict).collect())
    }
}

/// Runs the tests of a mutant where it can do no harm: one that is wrong about a pid may signal all processes that it can
/// see, and one that is wrong about a path may remove its neighbours. With the namespace, whatever it leaves is gone.
fn runner() -> Vec<String> {
    let is_root = rustix::process::geteuid().is_root();
    let rights: &[&str] = if is_root { &[] } else { &["--user", "--map-current-user"] };
    // The shell is the first process, which a test is not supposed to be, and dies when cargo-mutants ends the tests. What
    // they are run by has no number here, so that they get a process group of their own.
    let script = "trap 'exit 143' TERM; export TMPDIR=$(mktemp -d); chmod 755 \"$TMPDIR\"; \
                  env --default-signal setsid --wait \"$0\" \"$@\" & wait $!; code=$?; rm -rf \"$TMPDIR\"; exit $code";
    let alone = ["--pid", "--fork", "--mount-proc", "--kill-child=KILL", "sh", "-c", script];
    words(&[&["unshare"], rights, &alone].concat())
}

/// An array of strings.
fn toml(words: &[String]) -> String {
    let words = words.iter().map(|word| format!("'''{word}'''"));
    format!("[{}]", words.collect::<Vec<_>>().join(", "))
}

/// That mutants are alive, or that tests of some did not end, is told by cargo-mutants with codes of its own.
fn ended_well(cargo: &mut Command) -> io::Result<()> {
    const SOME_ALIVE: i32 = 2;
    const SOME_TIMEOUTS: i32 = 3;
    let status = cargo.status()?;
    match status.code() {
        Some(0 | SOME_ALIVE | SOME_TIMEOUTS) => Ok(()),
        _ => Err(io::Error::other(format!("cargo mutants ended with {status}"))),
    }
}

/// Text as a regular expression.
fn escaped(text: &str) -> String {
    let escape = |c: char| if r"\.+*?()|[]{}^$#&-~".contains(c) { format!("\\{c}") } else { c.to_string() };
    text.chars().map(escape).collect()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

impl fmt::Display for Tests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cargo test -p {} {} {}", self.package, self.arguments.join(" "), self.filters.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tests_from_outside_that_are_about_a_file_exist() {
        for (begin, target, modules) in OUTSIDE {
            let is_there = |path: &str| workspace::root().join(path).exists();
            assert!([".rs", "", "/"].iter().any(|end| is_there(&format!("{begin}{end}"))), "{begin}");
            for module in modules {
                assert!(is_there(&format!("cli/tests/{target}/{module}.rs")), "{module}");
            }
        }
        assert_eq!(outside("cli/src/sinks/log/output.rs:1:1").filters[0], "log", "the longer beginning comes first");
        assert!(outside("backend-unix/src/backend.rs").filters.is_empty());
    }

    #[test]
    fn a_name_is_found_as_it_is() {
        assert_eq!(
            escaped("a.rs: replace + with * in <X as Y>::z(&[0])"),
            r"a\.rs: replace \+ with \* in <X as Y>::z\(\&\[0\]\)"
        );
    }
}
