//! A mark on everything that a command starts, whatever it does to its group, its session or its environment.
//!
//! The mark is a soft limit for real-time tasks (`RLIMIT_RTTIME`), which fork(2) and execve(2) hand down: getrlimit(2).
//! It never binds: only the use of CPU without a pause under a real-time policy counts, and the limit is at least
//! 146,000 years of it. Everybody may read it: proc_pid_limits(5).

use crate::linux;
use crate::process::Process;
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getpid, getrlimit, setrlimit};
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

    /// The mark for hooks, which are no part of the command.
    pub fn of_hook(self) -> Mark {
        Mark(self.0 | HOOK)
    }

    /// The mark on a process, if it bears one.
    pub fn on(pid: i32) -> Option<Mark> {
        Mark::parse(&linux::read_proc(&format!("/proc/{pid}/limits")).ok()?)
    }

    fn parse(limits: &str) -> Option<Mark> {
        let soft = limits.lines().find_map(|line| line.strip_prefix("Max realtime timeout"))?.split_whitespace().next();
        soft?.parse().ok().filter(|limit| limit & STAMP != 0).map(Mark)
    }

    /// Marks this process, and all that it will start.
    pub fn set(self) -> Result<(), Errno> {
        setrlimit(Resource::Rttime, Rlimit { current: Some(self.0), maximum: None })
    }

    /// Takes any mark off this process.
    pub fn clear() -> Result<(), Errno> {
        setrlimit(Resource::Rttime, Rlimit { current: None, maximum: None })
    }
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
    fn this_process_bears_no_mark_of_its_own() {
        assert_ne!(Mark::on(getpid().as_raw_nonzero().get()), Some(Mark::own().unwrap()));
    }
}
