//! Plays a life, and sees what there is to see.

use super::life::{Command as Supervised, HOOK, Life, PREPARATION, PROBE};
use super::tracer::{self, End, Fault, Trace};
use crate::processes::{self, Process};
use rustix::fs::{FlockOperation, flock};
use rustix::process::Signal;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use std::{env, thread};

/// Longer than any of these lives takes on a busy machine, and any wait of the supervisor that a fault can bring about.
pub const DEADLINE: Duration = Duration::from_secs(25);
/// So long a keeper may take for what a supervisor that was killed, or has failed, leaves behind.
const LAST_PATIENCE: Duration = Duration::from_secs(3);
/// What is put into the environment of all: the folder of the life.
const MARK: &str = "FAULTS";

/// Where lives are played, each in a folder of its own.
pub struct Theatre {
    folder: tempfile::TempDir,
    supervisor: PathBuf,
    lives: AtomicU64,
}

/// What was seen of a life.
pub struct Played {
    pub trace: Trace,
    /// How often the command was started.
    pub starts: usize,
    /// Whether it ever began while another of it lived.
    pub beside: Company,
    /// Whether a process of the command was alive when the supervisor had ended.
    pub at_the_end: Company,
    /// The names of processes that lived on.
    pub left: Vec<String>,
    pub pace: Pace,
    pub log: String,
}

/// Whether a process of the command is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Company {
    Alone,
    Another,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    InTime,
    /// It was killed at the deadline.
    TooLate,
}

impl Played {
    /// What must not differ without a word.
    pub fn outcome(&self) -> (End, usize) {
        (self.trace.end, self.starts)
    }
}

impl Theatre {
    /// # Errors
    /// Those of making a folder and files.
    pub fn build(supervisor: &Path) -> io::Result<Theatre> {
        let folder = tempfile::tempdir()?;
        for (name, text) in [("hook", HOOK), ("probe", PROBE)] {
            let path = folder.path().join(name);
            fs::write(&path, text)?;
            fs::set_permissions(&path, Permissions::from_mode(0o755))?;
        }
        Ok(Theatre { folder, supervisor: supervisor.canonicalize()?, lives: AtomicU64::new(0) })
    }

    /// Plays a life, with a fault or without.
    ///
    /// # Errors
    /// Those of the file system, fork(2) and ptrace(2).
    pub fn play(&self, life: &Life, fault: Option<&Fault>) -> io::Result<Played> {
        let home = self.folder.path().join(self.lives.fetch_add(1, Ordering::Relaxed).to_string());
        fs::create_dir(&home)?;
        let _manager = UnixDatagram::bind(home.join("manager"))?;
        let mark = format!("{MARK}={}", home.display());
        let root = self.raise(life, &home)?;
        let mut at_the_end = Company::Alone;
        let (trace, pace) = thread::scope(|scope| {
            let (ended, end) = channel::<()>();
            let mark = mark.as_str();
            let guard = scope.spawn(move || guard(mark, &end));
            let trace = tracer::follow(root, fault, || at_the_end = holder(&home.join("lock")));
            drop(ended);
            (trace, guard.join().unwrap_or(Pace::TooLate))
        });
        let left = leave(&mark);
        let read = |name: &str| fs::read_to_string(home.join(name)).unwrap_or_default();
        let beside = if read("beside").is_empty() { Company::Alone } else { Company::Another };
        let (starts, log) = (read("runs").lines().count(), read("log"));
        fs::remove_dir_all(&home)?;
        Ok(Played { trace: trace?, starts, beside, at_the_end, left, pace, log })
    }

    /// A stopped shell that is about to become the supervisor.
    fn raise(&self, life: &Life, home: &Path) -> io::Result<i32> {
        let become_supervisor = format!("{} export SUPERVISOR=$$; kill -STOP $$; exec \"$@\"", life.before);
        let mut shell = Command::new("sh");
        shell.args(["-c", &become_supervisor, "sh"]).arg(&self.supervisor).args(life.options.split_whitespace());
        match life.command {
            Supervised::Script(script) => shell.args(["--", "sh", "-c", &format!("{PREPARATION}{script}")]),
            Supervised::Absent => shell.args(["--", "./absent"]),
        };
        for (name, _) in env::vars_os().filter(|(name, _)| is_heard(&name.to_string_lossy())) {
            shell.env_remove(name);
        }
        let log = OpenOptions::new().append(true).create(true).open(home.join("log"))?;
        shell.env(MARK, home).env("TMPDIR", home).current_dir(home);
        let child = shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?;
        let pid = child.id() as i32;
        let deadline = Instant::now() + DEADLINE;
        while Process::find(pid).is_some_and(|shell| shell.state != 'T') {
            if Instant::now() > deadline {
                processes::send(pid, Signal::KILL);
                return Err(io::Error::other("the shell does not stop"));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(pid)
    }
}

/// Variables that the supervisor, or its runtime, listens to.
fn is_heard(name: &str) -> bool {
    const OTHERS: [&str; 7] = [
        "NOTIFY_SOCKET",
        "WATCHDOG_USEC",
        "WATCHDOG_PID",
        "XDG_RUNTIME_DIR",
        "JOURNAL_STREAM",
        "RUST_LOG",
        "RUST_BACKTRACE",
    ];
    name.starts_with("SUPERVISOR_") || OTHERS.contains(&name)
}

/// Whether anybody holds the lock, which each process of a command has.
fn holder(lock: &Path) -> Company {
    let is_held = File::open(lock).is_ok_and(|lock| flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err());
    if is_held { Company::Another } else { Company::Alone }
}

/// Those that live with this in their environment.
fn marked(mark: &str) -> Vec<Process> {
    let has_mark = |pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|&byte| byte == 0).any(|variable| variable == mark.as_bytes())
    };
    processes::all().filter(has_mark).filter_map(Process::find).filter(|process| !process.is_dead()).collect()
}

/// Kills all at the deadline, should the end not come before.
fn guard(mark: &str, end: &Receiver<()>) -> Pace {
    let mut patience = DEADLINE;
    let mut pace = Pace::InTime;
    while end.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
        pace = Pace::TooLate;
        kill_all(mark);
        patience = Duration::from_millis(10);
    }
    pace
}

fn kill_all(mark: &str) {
    marked(mark).iter().for_each(|process| processes::send(process.pid, Signal::KILL));
}

/// Waits until nothing is left, and kills what does not go; returns its names.
fn leave(mark: &str) -> Vec<String> {
    let deadline = Instant::now() + LAST_PATIENCE;
    loop {
        let left = marked(mark);
        if left.is_empty() {
            return Vec::new();
        }
        if Instant::now() > deadline {
            kill_all(mark);
            return left.into_iter().map(|process| format!("{} ({})", process.name, process.pid)).collect();
        }
        thread::sleep(Duration::from_millis(5));
    }
}
