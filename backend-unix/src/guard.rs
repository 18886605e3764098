//! A process that outlives the supervisor by a moment, should that be killed: it kills what the command started.
//!
//! The main process dies with the supervisor by its parent-death signal, but that is not inherited. So the guard, forked
//! at the start, reads a pipe whose other end only the supervisor holds. As long as all is well it sleeps, until the
//! supervisor ends it. If the pipe ends before, it kills whatever bears the mark of this supervisor, and the children
//! of those.

use crate::mark::Mark;
use crate::notify::Place;
use crate::process::Process;
use nix::libc;
use nix::sys::signal::Signal;
use nix::unistd::{ForkResult, fork};
use rustix::fd::{AsRawFd, OwnedFd, RawFd};
use rustix::io::{read, retry_on_intr, write};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, WaitOptions, getpid, kill_process, setpgid, waitpid};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use std::{fs, io};

/// How long the guard kills what forks faster than it dies.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two passes.
const PAUSE: Duration = Duration::from_millis(5);
/// A process may be missed by one pass, forked behind its back by another that died at once.
const EMPTY_PASSES: u32 = 2;

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
    /// Forks the guard, which clears whatever bears `mark`, and the socket for messages, if there is one.
    ///
    /// # Errors
    /// Those of pipe2(2) and fork(2).
    pub fn start(mark: Mark, socket: Option<&Place>) -> io::Result<Guard> {
        let (ear, alarm) = pipe_with(PipeFlags::CLOEXEC)?;
        // SAFETY: other threads may hold locks for ever in the child. It uses none but those of malloc, which fork(3)
        // leaves usable, and never returns from here.
        match unsafe { fork()? } {
            ForkResult::Parent { child } => {
                let pid = Pid::from_raw(child.as_raw()).expect("the pid of a child is positive");
                Ok(Guard { process: Life::Child(pid), alarm })
            }
            ForkResult::Child => {
                stand_apart(ear.as_raw_fd());
                // A byte, or the end of the pipe: the supervisor panics, or it is gone.
                let _ = retry_on_intr(|| read(&ear, &mut [0; 1]));
                clear(mark);
                socket.into_iter().for_each(Place::clear);
                // SAFETY: _exit(2) runs no destructor and no exit handler of the parent.
                unsafe { libc::_exit(0) }
            }
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

fn clear(mark: Mark) {
    let begun = Instant::now();
    let mut marks = BTreeSet::from([mark, mark.of_hook()]);
    let mut empty_passes = 0;
    while empty_passes < EMPTY_PASSES && begun.elapsed() < PATIENCE {
        let members = members(&mut marks);
        empty_passes = if members.is_empty() { empty_passes + 1 } else { 0 };
        for process in &members {
            // It is gone, or it belongs to another user; the next pass will tell.
            let _ = process.signal(Signal::SIGKILL);
        }
        std::thread::sleep(PAUSE);
    }
}

/// All that is marked or has a marked parent. Any of them may be a supervisor, so that its mark counts from now on.
fn members(marks: &mut BTreeSet<Mark>) -> Vec<Process> {
    let own = getpid().as_raw_nonzero().get();
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()).filter(|&pid| pid != own);
    let alive = pids.filter_map(Process::read).filter(Process::is_alive);
    let mut others: Vec<_> = alive.map(|process| (Mark::on(process.pid), process)).collect();
    let mut members = Vec::new();
    let mut known = BTreeSet::new();
    loop {
        let is_member = |(mark, process): &(Option<Mark>, Process)| {
            mark.is_some_and(|mark| marks.contains(&mark)) || known.contains(&process.parent)
        };
        let (news, rest): (Vec<_>, Vec<_>) = others.into_iter().partition(is_member);
        if news.is_empty() {
            return members;
        }
        for (_, process) in news {
            known.insert(process.pid);
            let mark = Mark::made_by(&process);
            marks.extend([mark, mark.of_hook()]);
            members.push(process);
        }
        others = rest;
    }
}
