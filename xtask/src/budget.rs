//! `cargo xtask budget`: the guard against drift. It counts what does not depend on the speed of the machine.

mod instructions;

use crate::bench::{Behaviour, Kind, PATIENCE, Rig};
use crate::processes;
use crate::workspace::{self, Linkage};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::{fs, io};

/// What is counted.
#[derive(clap::Args)]
pub struct Options {
    /// The supervisor that is counted, instead of the static one that is built
    #[arg(long, value_name = "PATH")]
    supervisor: Option<PathBuf>,
}

/// A count and what it may come to.
struct Bound {
    what: &'static str,
    /// What it was when the bound was set, static with musl.
    set_at: u64,
    /// So much more is no drift.
    margin: u64,
    count: fn(&Counts) -> u64,
}

/// The bounds. To change one is a decision: the commit says what the higher cost buys.
const BOUNDS: [Bound; 7] = [
    Bound {
        what: "system calls before the command's execve",
        set_at: 92,
        margin: 15,
        count: |counts| counts.calls.start,
    },
    Bound {
        what: "system calls from one execve to the next, no backoff",
        set_at: 88,
        margin: 20,
        count: |counts| counts.calls.restart,
    },
    Bound {
        what: "instructions before the command's execve, thousands",
        set_at: 2170,
        margin: 80,
        count: |counts| counts.instructions / 1000,
    },
    Bound { what: "processes of one supervisor", set_at: 2, margin: 0, count: |counts| counts.processes },
    Bound { what: "threads of one supervisor", set_at: 2, margin: 0, count: |counts| counts.threads },
    Bound {
        what: "private dirty memory of one supervisor, KiB",
        set_at: 112,
        margin: 24,
        count: |counts| counts.private_dirty,
    },
    Bound { what: "static program file, KiB", set_at: 1493, margin: 43, count: |counts| counts.size },
];

/// All that is counted.
struct Counts {
    calls: Calls,
    instructions: u64,
    processes: u64,
    threads: u64,
    private_dirty: u64,
    size: u64,
}

/// System calls, of all processes together.
struct Calls {
    start: u64,
    restart: u64,
}

/// Counts, and fails above a bound.
pub fn run(options: Options) -> ExitCode {
    match counted(&options).and_then(|counts| Ok((within(&counts), Linkage::available()?))) {
        Ok((true, _)) => ExitCode::SUCCESS,
        Ok((false, Linkage::Musl)) => ExitCode::FAILURE,
        Ok((false, Linkage::Glibc)) => {
            println!("skipped: the bounds are those of a program with musl, which this toolchain does not have");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn within(counts: &Counts) -> bool {
    let check = |bound: &Bound| {
        let Bound { what, set_at, margin, .. } = bound;
        let count = (bound.count)(counts);
        let is_within = count <= set_at + margin;
        let verdict = if is_within { "ok" } else { "ABOVE ITS BOUND" };
        println!("{what:<55} {count:>6} of {set_at:>6} + {margin:<3} {verdict}");
        is_within
    };
    // All are shown, also after one that fails.
    BOUNDS.iter().filter(|bound| !check(bound)).count() == 0
}

fn counted(options: &Options) -> io::Result<Counts> {
    let strace =
        workspace::find("strace").ok_or_else(|| io::Error::other("strace is missing: apt-get install strace"))?;
    let own = match &options.supervisor {
        Some(path) => workspace::given(path)?,
        None => workspace::build_static(Linkage::available()?)?,
    };
    let size = fs::metadata(&own)?.len() / 1024;
    let mut rig = Rig::build()?;
    rig.supervise(&own, "--no-heartbeat", Behaviour::Idle, 0)?;
    let started = rig.records.expect(Kind::Start, 1, PATIENCE)?;
    let pids = rig.at_rest(&started);
    let counts = Counts {
        processes: pids.len() as u64,
        threads: pids.iter().map(|pid| processes::threads(*pid).len() as u64).sum(),
        private_dirty: least_private_dirty(&pids),
        size,
        calls: Calls { start: 0, restart: 0 },
        instructions: 0,
    };
    rig.clear();
    let command = rig.workloads.path(Behaviour::Crash);
    let calls = calls(&strace, &own, &command)?;
    let instructions = instructions::before_command(&own, &["--no-heartbeat"], &command)?;
    Ok(Counts { calls, instructions, ..counts })
}

/// Of a few samples: a page that is shared for a moment counts for nobody, and one that was just copied for two.
fn least_private_dirty(pids: &[i32]) -> u64 {
    let sample = |_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        processes::memory(pids).private_dirty as u64
    };
    (0..5).map(sample).min().unwrap_or_default()
}

/// Of three traces, the one with the fewest: threads that wait for each other may need some more.
fn calls(strace: &Path, own: &Path, command: &Path) -> io::Result<Calls> {
    let traces = (0..3).map(|_| trace(strace, own, command)).collect::<io::Result<Vec<_>>>()?;
    let least = |of: fn(&Calls) -> u64| traces.iter().map(of).min().unwrap_or_default();
    Ok(Calls { start: least(|calls| calls.start), restart: least(|calls| calls.restart) })
}

fn trace(strace: &Path, own: &Path, command: &Path) -> io::Result<Calls> {
    let log = tempfile::NamedTempFile::new()?;
    let options = "--no-heartbeat --backoff-factor 0 --max-restarts 2 --".split(' ');
    let mut traced = Command::new(strace);
    traced.args(["-f", "-qq", "-o"]).arg(log.path()).arg(own).args(options).arg(command);
    // The command fails on purpose, and so does the supervisor in the end.
    let status = traced.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    let text = fs::read_to_string(log.path())?;
    count(&text, &command.display().to_string()).ok_or_else(|| {
        io::Error::other(format!("strace ended with {status}, and its log does not show three starts of the command"))
    })
}

/// Calls up to the command's first execve, and from the second to the third. A call that is interrupted counts once.
fn count(log: &str, command: &str) -> Option<Calls> {
    let is_call = |line: &&str| {
        let call = line.split_once(' ').map_or("", |(_, call)| call.trim_start());
        call.starts_with(|c: char| c.is_ascii_lowercase()) || call.starts_with('_')
    };
    let calls: Vec<&str> = log.lines().filter(is_call).collect();
    let begins = format!("execve(\"{command}\"");
    let execs: Vec<usize> = (0..calls.len()).filter(|place| calls[*place].contains(&begins)).collect();
    let [first, second, third] = execs[..] else { return None };
    // The execve of the supervisor itself is not its own doing.
    Some(Calls { start: first as u64 - 1, restart: (third - second) as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_between_the_starts_of_the_command() {
        let log = "1 execve(\"/supervisor\", ...) = 0\n1 brk(NULL) = 0\n2 execve(\"/command\", ...) = 0\n\
                   2 +++ exited with 1 +++\n1 --- SIGCHLD {} ---\n3 execve(\"/command\", ...) = 0\n1 wait4(3 <unfinished ...>\n\
                   1 <... wait4 resumed>) = 3\n4 execve(\"/command\", ...) = 0\n";
        let calls = count(log, "/command").expect("three starts");
        assert_eq!((calls.start, calls.restart), (1, 2));
        assert!(count("1 brk(NULL) = 0\n", "/command").is_none());
    }

    #[test]
    fn a_count_above_its_bound_fails() {
        let calls = || Calls { start: 1, restart: 1 };
        let light = Counts { calls: calls(), instructions: 1, processes: 1, threads: 1, private_dirty: 1, size: 1 };
        assert!(within(&light));
        assert!(!within(&Counts { size: u64::MAX, ..light }));
    }
}
