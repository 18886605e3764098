//! A mark on everything that a command starts, whatever it does to its group, its session or its environment.
//!
//! The mark is a soft limit for real-time tasks (`RLIMIT_RTTIME`), which fork(2) and execve(2) hand down: getrlimit(2).
//! It never binds: only the use of CPU without a pause under a real-time policy counts, and the limit is at least
//! 146,000 years of it. Everybody may read it: proc_pid_limits(5).

use crate::linux;
use crate::process::Process;
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, getpid, getrlimit, prlimit, setrlimit};
use std::io;

/// Names one process for ever, by its pid and its start: the supervisor that marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark(u64);

/// What no limit set by people looks like.
const STAMP: u64 = 1 << 62;
/// On top of it, for hooks.
const HOOK: u64 = 1 << 63;
/// Of the start time, in ticks: enough for 348 years.
const START_BITS: u32 = 40;

impl Mark {
    /// The mark that this process makes.
    ///
    /// # Errors
    /// If this process may not set the limit at will, or cannot be read.
    pub fn own() -> io::Result<Mark> {
        if getrlimit(Resource::Rttime).maximum.is_some() {
            return Err(io::Error::other("RLIMIT_RTTIME has a hard limit"));
        }
        let own = Process::read(getpid().as_raw_nonzero().get()).ok_or(io::ErrorKind::NotFound)?;
        Ok(Mark::made_by(&own))
    }

    /// The mark that a process makes, should it be a supervisor.
    pub fn made_by(process: &Process) -> Mark {
        let start = process.start_time & ((1 << START_BITS) - 1);
        Mark(STAMP | u64::from(process.pid.unsigned_abs()) << START_BITS | start)
    }

    /// That of guards, which belong to nobody: no process has the number 0.
    pub const GUARD: Mark = Mark(STAMP);

    /// The mark for hooks, which are no part of the command.
    pub fn of_hook(self) -> Mark {
        Mark(self.0 | HOOK)
    }

    /// The mark on a process, if it bears one.
    pub fn on(pid: i32) -> Option<Mark> {
        Mark::parse(&linux::read_proc(&format!("/proc/{pid}/limits")).ok()?)
    }

    fn parse(limits: &str) -> Option<Mark> {
        let (soft, _) = soft_and_hard(limits)?;
        soft.parse().ok().filter(|limit| limit & STAMP != 0).map(Mark)
    }

    /// Marks this process, and all that it will start.
    pub fn set(self) -> Result<(), Errno> {
        setrlimit(Resource::Rttime, Rlimit { current: Some(self.0), maximum: None })
    }

    /// Marks a process that has lost its mark, as one does that begins a session for another user: pam_limits(8). One
    /// that has set a limit of its own is left alone, and so is one that we may not touch.
    pub fn renew(self, process: &Process) {
        let limits = linux::read_proc(&format!("/proc/{}/limits", process.pid)).unwrap_or_default();
        let (Some(("unlimited", "unlimited")), Some(pid)) = (soft_and_hard(&limits), Pid::from_raw(process.pid)) else {
            return;
        };
        let mark = Rlimit { current: Some(self.0), maximum: None };
        let Ok(before) = prlimit(Some(pid), Resource::Rttime, mark) else { return };
        // It may have ended, and another got its number.
        if Process::read(process.pid).is_none_or(|now| now.start_time != process.start_time) {
            let _ = prlimit(Some(pid), Resource::Rttime, before);
        }
    }
}

fn soft_and_hard(limits: &str) -> Option<(&str, &str)> {
    let mut words = limits.lines().find_map(|line| line.strip_prefix("Max realtime timeout"))?.split_whitespace();
    Some((words.next()?, words.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_is_shown() {
        let mark = Mark(STAMP | 4711 << START_BITS | 99);
        let shown = |soft: &str| format!("Max nice priority  0 0\nMax realtime timeout      {soft}  unlimited  us\n");
        assert_eq!(Mark::parse(&shown(&mark.0.to_string())), Some(mark));
        for other in ["unlimited", "0", "200000", "-1", ""] {
            assert_eq!(Mark::parse(&shown(other)), None, "{other}");
        }
    }

    #[test]
    fn another_process_makes_another_mark() {
        let mut process = Process::read(getpid().as_raw_nonzero().get()).unwrap();
        assert_eq!(Mark::own().unwrap(), Mark::made_by(&process));
        process.start_time += 1;
        assert_ne!(Mark::own().unwrap(), Mark::made_by(&process));
        process.pid += 1;
        assert_ne!(Mark::own().unwrap(), Mark::made_by(&process));
    }

    #[test]
    fn a_lost_mark_is_renewed_but_no_limit_of_its_own() {
        for (limit, renewed) in [("unlimited", true), ("200000:unlimited", false)] {
            let words = [&format!("--rttime={limit}"), "sleep", "1000"];
            let mut child = std::process::Command::new("prlimit").args(words).spawn().unwrap();
            let pid = child.id().cast_signed();
            while Process::read(pid).unwrap().name != "sleep" {
                std::thread::yield_now();
            }
            let mark = Mark::own().unwrap();
            mark.renew(&Process::read(pid).unwrap());
            assert_eq!(Mark::on(pid) == Some(mark), renewed, "{limit}");
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    #[test]
    fn this_process_bears_no_mark_of_its_own() {
        assert_ne!(Mark::on(getpid().as_raw_nonzero().get()), Some(Mark::own().unwrap()));
    }
}
