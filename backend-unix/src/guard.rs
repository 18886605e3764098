//! A process that outlives the supervisor by a moment, should that be killed: it kills what the command started.
//!
//! The main process dies with the supervisor by its parent-death signal, but that is not inherited. So the guard, forked
//! at the start, reads a pipe whose other end only the supervisor holds. As long as all is well it sleeps, until the
//! supervisor ends it. If the pipe ends before, it kills whatever bears the mark of this supervisor, and the children
//! of those. It bears a mark that is nobody's.
//!
//! Programs that begin a session for another user, such as su(1), set all limits anew, the mark among them:
//! pam_limits(8). So what became an orphan together with the guard and has the variables of the command is killed too,
//! and with each look that finds a heartbeat the supervisor renews marks that were lost, and a second after a start where
//! perhaps nobody looks.

use crate::linux::{self, Closing};
use crate::mark::Mark;
use crate::notify::Place;
use crate::process::Process;
use crate::signal::Signal;
use crate::spawn::RESTARTS;
use nix::libc;
use nix::unistd::{ForkResult, fork};
use rustix::fd::{FromRawFd, IntoRawFd, OwnedFd};
use rustix::io::{read, retry_on_intr, write};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    Pid, WaitOptions, getpid, getppid, kill_process, set_parent_process_death_signal, setsid, waitpid,
};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use std::{fs, io};

/// How long the guard kills what forks faster than it dies.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two passes.
const PAUSE: Duration = Duration::from_millis(5);
/// On a busy system processes that are none of ours come and go all the time; so long they are suspected.
const SUSPICION: Duration = Duration::from_secs(1);
/// A process may be missed by one pass, forked behind its back by another that died at once.
const QUIET_PASSES: u32 = 2;

/// What tells that a process belongs to the command.
#[derive(Clone, Debug)]
pub(crate) struct Traces {
    pub mark: Option<Mark>,
    /// What orphans of the command may be known by besides.
    pub variable: Option<Variable>,
}

/// A variable of the command. Together with `SUPERVISED_RESTARTS`, few others have it.
#[derive(Clone, Debug)]
pub(crate) struct Variable {
    /// `NAME=VALUE`.
    pub assignment: Vec<u8>,
    /// When the supervisor started: proc_pid_stat(5). What is older is none of its command's.
    pub since: u64,
}

/// The supervisor's end of it.
pub(crate) struct Guard {
    process: Life,
    alarm: OwnedFd,
}

/// The guard's process.
enum Life {
    /// Not reaped, so that the number is still its own.
    Child(Pid),
    Reaped,
}

impl Guard {
    /// Forks the guard, which clears whatever shows these traces, and the socket for messages, if there is one.
    ///
    /// # Errors
    /// Those of pipe2(2) and fork(2).
    pub fn start(traces: &Traces, socket: Option<&Place>) -> io::Result<Guard> {
        let (ear, alarm) = pipe_with(PipeFlags::CLOEXEC)?;
        let supervisor = getpid();
        // SAFETY: other threads may hold locks for ever in the child. It uses none but those of malloc, which fork(3)
        // leaves usable, and never returns from here.
        match unsafe { fork()? } {
            ForkResult::Parent { child } => {
                let pid = Pid::from_raw(child.as_raw()).expect("the pid of a child is positive");
                Ok(Guard { process: Life::Child(pid), alarm })
            }
            ForkResult::Child => {
                let ear = stand_apart(ear);
                // Should it be stopped when its work begins.
                let _ = set_parent_process_death_signal(Some(rustix::process::Signal::CONT));
                // Lest the guard of a supervisor above ends this one before its work is done.
                let _ = Mark::GUARD.set();
                // A byte, or the end of the pipe: the supervisor panics, or it is gone.
                match retry_on_intr(|| read(&ear, &mut [0; 1])) {
                    Ok(1..) => {}
                    Ok(0) | Err(_) => await_orphanhood(supervisor),
                }
                clear(traces);
                socket.into_iter().for_each(Place::clear);
                // SAFETY: _exit(2) runs no destructor and no exit handler of the parent.
                unsafe { libc::_exit(0) }
            }
        }
    }

    /// Its process, unless that is reaped.
    pub fn pid(&self) -> Option<i32> {
        match self.process {
            Life::Child(pid) => Some(pid.as_raw_nonzero().get()),
            Life::Reaped => None,
        }
    }

    /// Takes note that a child was reaped; tells whether it was the guard.
    pub fn reaped(&mut self, child: i32) -> bool {
        let is_guard = matches!(self.process, Life::Child(pid) if pid.as_raw_nonzero().get() == child);
        if is_guard {
            self.process = Life::Reaped;
        }
        is_guard
    }
}

/// Ends the guard, unless the supervisor panics: then it has work to do, which is waited for.
impl Drop for Guard {
    fn drop(&mut self) {
        let Life::Child(pid) = self.process else { return };
        let signal = if std::thread::panicking() {
            let _ = retry_on_intr(|| write(&self.alarm, b"!"));
            rustix::process::Signal::CONT
        } else {
            rustix::process::Signal::KILL
        };
        // The guard is a child that is not reaped yet, so that neither can fail.
        let _ = kill_process(pid, signal);
        let _ = retry_on_intr(|| waitpid(Some(pid), WaitOptions::empty()));
    }
}

/// Out of reach of the terminal and of signals to the supervisor's session, and without a descriptor that somebody
/// waits for the end of, but for the pipe, which is moved out of their way.
fn stand_apart(ear: OwnedFd) -> OwnedFd {
    let _ = setsid();
    let _ = rustix::thread::set_name(c"guard");
    // SAFETY: nothing in this process uses any other descriptor any more.
    unsafe { libc::dup2(ear.into_raw_fd(), 0) };
    linux::close_from(1, Closing::Now);
    // SAFETY: it is the pipe now, and nobody else's.
    unsafe { OwnedFd::from_raw_fd(0) }
}

/// The pipe ends a moment before the kernel gives the children of the supervisor to another.
fn await_orphanhood(supervisor: Pid) {
    let begun = Instant::now();
    while getppid() == Some(supervisor) && begun.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Kills what belongs to the command until nothing of it is found any more.
fn clear(traces: &Traces) {
    let begun = Instant::now();
    let mut search = Search {
        marks: traces.mark.into_iter().flat_map(|mark| [mark, mark.of_hook()]).collect(),
        variable: traces.variable.as_ref(),
        reaper: None,
        settled: BTreeSet::new(),
        killed: BTreeSet::new(),
        others: BTreeSet::new(),
        last_found: begun,
    };
    let mut quiet_passes = 0;
    while quiet_passes < QUIET_PASSES && begun.elapsed() < PATIENCE {
        let pass = search.pass();
        quiet_passes = if let Pass::Quiet = pass { quiet_passes + 1 } else { 0 };
        match pass {
            // What forks and exits faster than one can look is only caught by looking again at once.
            Pass::Missed if search.last_found.elapsed() < SUSPICION => std::thread::yield_now(),
            Pass::Missed => return,
            Pass::Found | Pass::Quiet | Pass::Blind => {
                search.others.clear();
                std::thread::sleep(PAUSE);
            }
        }
    }
}

/// The search for what is to be killed.
struct Search<'a> {
    /// Of this supervisor, and of all that it started: any of them may be a supervisor.
    marks: BTreeSet<Mark>,
    variable: Option<&'a Variable>,
    /// Who has got the guard, and with it all that the supervisor leaves behind.
    reaper: Option<Pid>,
    /// Killed, or seen dead: that they go is no news.
    settled: BTreeSet<i32>,
    /// Killed in this pass: later their numbers may be others'.
    killed: BTreeSet<i32>,
    /// Looked at, and found to be none of ours.
    others: BTreeSet<i32>,
    /// When a living member was last seen.
    last_found: Instant,
}

/// What a pass over all processes found.
enum Pass {
    /// Members that lived.
    Found,
    /// None, but processes that were gone before they could be looked at.
    Missed,
    /// Nothing.
    Quiet,
    /// Processes cannot be seen just now.
    Blind,
}

impl Search<'_> {
    fn pass(&mut self) -> Pass {
        let own = getpid().as_raw_nonzero().get();
        self.reaper = getppid();
        let Ok(entries) = fs::read_dir("/proc") else { return Pass::Blind };
        let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        // The latest first: they are the likeliest to be gone soon.
        let mut pids: Vec<_> = pids.filter(|pid| *pid != own && !self.others.contains(pid)).collect();
        pids.sort_unstable_by(|a, b| b.cmp(a));
        let begun = Instant::now();
        self.killed.clear();
        let mut has_missed = false;
        let mut rest = Vec::new();
        for pid in pids {
            match Process::read(pid).filter(Process::is_alive) {
                Some(process) => match Mark::on(pid) {
                    Some(mark) if self.marks.contains(&mark) => self.kill(&process),
                    mark => rest.push((mark, process)),
                },
                // What it started before it died may have come too late for this pass.
                None => has_missed |= self.settled.insert(pid),
            }
        }
        let others = self.kill_relatives(rest);
        // Only now: a stranger that is stuck may hold up whoever reads its environment.
        let (orphans, others): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|(mark, process)| mark.is_none() && self.has_variables(process));
        orphans.iter().for_each(|(_, process)| self.kill(process));
        let others = self.kill_relatives(others);
        self.others.extend(others.iter().map(|(_, process)| process.pid));
        match (self.last_found >= begun, has_missed) {
            (true, _) => Pass::Found,
            (false, true) => Pass::Missed,
            (false, false) => Pass::Quiet,
        }
    }

    /// Of orphans only: elsewhere the variables may be those of another supervisor's command.
    fn has_variables(&self, process: &Process) -> bool {
        let (Some(reaper), Some(wanted)) = (self.reaper, self.variable) else { return false };
        if process.parent != reaper.as_raw_nonzero().get() || process.start_time < wanted.since {
            return false;
        }
        let environment = fs::read(format!("/proc/{}/environ", process.pid)).unwrap_or_default();
        let has = |is_it: &dyn Fn(&[u8]) -> bool| environment.split(|byte| *byte == 0).any(is_it);
        has(&|variable| variable == wanted.assignment) && has(&|variable| variable.starts_with(RESTARTS.as_bytes()))
    }

    fn kill(&mut self, process: &Process) {
        // It is gone, or it belongs to another user; the next pass will tell.
        let _ = process.signal(Signal::KILL);
        let mark = Mark::made_by(process);
        self.marks.extend([mark, mark.of_hook()]);
        self.settled.insert(process.pid);
        self.killed.insert(process.pid);
        self.last_found = Instant::now();
    }

    /// Those that a member has marked, and the children of members. Returns all others.
    fn kill_relatives(&mut self, mut rest: Vec<(Option<Mark>, Process)>) -> Vec<(Option<Mark>, Process)> {
        loop {
            let (relatives, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(|(mark, process)| {
                mark.is_some_and(|mark| self.marks.contains(&mark)) || self.killed.contains(&process.parent)
            });
            if relatives.is_empty() {
                return others;
            }
            relatives.iter().for_each(|(_, process)| self.kill(process));
            rest = others;
        }
    }
}
