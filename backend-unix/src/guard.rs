//! A process that outlives the supervisor by a moment, should that be killed: it kills what the command started.
//!
//! The main process dies with the supervisor by its parent-death signal, but that is not inherited. So the guard, forked
//! at the start, reads a pipe whose other end only the supervisor holds. As long as all is well it sleeps, until the
//! supervisor ends it. If the pipe ends before, it looks for the command's process group, for whatever bears the mark of
//! this supervisor in its environment, and for the children of those, and kills them all.

use crate::process::Process;
use nix::libc;
use nix::sys::signal::Signal;
use nix::unistd::{ForkResult, fork};
use rustix::fd::{AsRawFd, OwnedFd, RawFd};
use rustix::io::{Errno, read, retry_on_intr, write};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, WaitOptions, getpid, kill_process, setpgid, waitpid};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::time::{Duration, Instant};
use std::{fs, io};

/// Lists the supervisors above a process, the innermost last.
pub(crate) const MARK: &str = "SUPERVISED_BY";

/// What the supervisor says, in place of the pid of a leader, when it panics.
const ALARM: i32 = -1;
/// How long the guard kills what forks faster than it dies.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two passes.
const PAUSE: Duration = Duration::from_millis(5);

/// The supervisor's end of it.
pub(crate) struct Guard {
    process: Life,
    tell: OwnedFd,
}

/// The guard's process.
enum Life {
    /// Not reaped, so that the number is still its own.
    Child(Pid),
    Reaped,
}

/// What this supervisor adds to the mark that it bears itself.
pub(crate) fn mark(inherited: &OsStr) -> OsString {
    let mut mark = inherited.to_owned();
    if !mark.is_empty() {
        mark.push(" ");
    }
    mark.push(own_name());
    mark
}

/// The pid and the start of this process: no other ever has both.
fn own_name() -> String {
    let pid = getpid().as_raw_nonzero().get();
    let start_time = Process::read(pid).map_or(0, |process| process.start_time);
    format!("{pid}.{start_time}")
}

impl Guard {
    /// Forks the guard.
    ///
    /// # Errors
    /// Those of pipe2(2) and fork(2).
    pub fn start() -> io::Result<Guard> {
        let (ear, tell) = pipe_with(PipeFlags::CLOEXEC)?;
        let name = own_name();
        // SAFETY: other threads may hold locks for ever in the child. It uses none but those of malloc, which fork(3)
        // leaves usable, and never returns from here.
        match unsafe { fork()? } {
            ForkResult::Parent { child } => {
                let pid = Pid::from_raw(child.as_raw()).expect("the pid of a child is positive");
                Ok(Guard { process: Life::Child(pid), tell })
            }
            ForkResult::Child => {
                stand_apart(ear.as_raw_fd());
                clear(listen(&ear), name.as_bytes());
                // SAFETY: _exit(2) runs no destructor and no exit handler of the parent.
                unsafe { libc::_exit(0) }
            }
        }
    }

    /// Tells which process leads the run from now on.
    pub fn watch(&self, leader: i32) {
        self.say(leader);
    }

    /// Takes note that a child was reaped; tells whether it was the guard.
    pub fn reaped(&mut self, child: i32) -> bool {
        let is_guard = matches!(self.process, Life::Child(pid) if pid.as_raw_nonzero().get() == child);
        if is_guard {
            self.process = Life::Reaped;
        }
        is_guard
    }

    fn say(&self, word: i32) {
        // A guard that is gone hears nothing; there is nothing to be done about it.
        let _ = retry_on_intr(|| write(&self.tell, &word.to_ne_bytes()));
    }
}

/// Ends the guard, unless the supervisor panics: then it has work to do, which is waited for.
impl Drop for Guard {
    fn drop(&mut self) {
        let Life::Child(pid) = self.process else { return };
        let signal = if std::thread::panicking() {
            self.say(ALARM);
            rustix::process::Signal::CONT
        } else {
            rustix::process::Signal::KILL
        };
        // The guard is a child that is not reaped yet, so that neither can fail.
        let _ = kill_process(pid, signal);
        let _ = retry_on_intr(|| waitpid(Some(pid), WaitOptions::empty()));
    }
}

/// Out of the terminal's reach, and without a descriptor that somebody waits for the end of.
fn stand_apart(ear: RawFd) {
    let _ = setpgid(None, None);
    let _ = rustix::thread::set_name(c"guard");
    let ear = ear.unsigned_abs();
    for (first, last) in [(0, ear.saturating_sub(1)), (ear + 1, u32::MAX)] {
        // SAFETY: nothing in this process uses them any more.
        unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    }
}

/// Returns when the supervisor has gone or panics, with the last process group that it told of.
fn listen(ear: &OwnedFd) -> Option<i32> {
    let mut group = None;
    let mut word = [0; 4];
    loop {
        match read(ear, &mut word).map(|length| (length, i32::from_ne_bytes(word))) {
            Ok((4, leader)) if leader != ALARM => group = Some(leader),
            Err(Errno::INTR) => {}
            Ok(_) | Err(_) => return group,
        }
    }
}

fn clear(group: Option<i32>, name: &[u8]) {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let members = members(group, name);
        if members.is_empty() {
            return;
        }
        for process in &members {
            // It is gone, or it belongs to another user; the next pass will tell.
            let _ = process.signal(Signal::SIGKILL);
        }
        std::thread::sleep(PAUSE);
    }
}

/// All that belongs to the run, by its group, its mark, or its parents.
fn members(group: Option<i32>, name: &[u8]) -> Vec<Process> {
    let own = getpid().as_raw_nonzero().get();
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()).filter(|&pid| pid != own);
    let mut others: Vec<_> = pids.filter_map(Process::read).filter(Process::is_alive).collect();
    let mut members = Vec::new();
    let mut known = BTreeSet::new();
    loop {
        let (news, rest): (Vec<_>, Vec<_>) = others.into_iter().partition(|process| {
            Some(process.group) == group || known.contains(&process.parent) || bears(process.pid, name)
        });
        if news.is_empty() {
            return members;
        }
        known.extend(news.iter().map(|process| process.pid));
        members.extend(news);
        others = rest;
    }
}

/// Whether the environment of a process has our name in its mark: proc_pid_environ(5).
fn bears(pid: i32, name: &[u8]) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let mark = environment.split(|byte| *byte == 0).find_map(|variable| variable.strip_prefix(b"SUPERVISED_BY="));
    mark.is_some_and(|mark| mark.split(|byte| *byte == b' ').any(|one| one == name))
}
