//! One process, as `/proc` shows it, and what names it for ever.

use crate::linux::read_proc;
use crate::notice::Named;
use crate::signals::Signal;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, kill_process, pidfd_open, pidfd_send_signal, test_kill_process};
use std::io;

/// Names one process for ever: a pid is used again, but not with the same start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcessId {
    /// Its number.
    pub pid: i32,
    /// Its start, in clock ticks since boot: proc_pid_stat(5). 0 where it cannot be seen.
    pub start_time: u64,
}

impl ProcessId {
    /// That of the process of this number, if there is one that can be seen.
    pub fn of(pid: i32) -> Option<ProcessId> {
        Process::read(pid).map(|process| process.id)
    }

    /// That of this process.
    pub fn own() -> Option<ProcessId> {
        ProcessId::of(std::process::id().cast_signed())
    }

    /// How this very process is. One that only waits to be reaped is gone.
    pub fn vitality(&self) -> Vitality {
        match Process::read(self.pid) {
            Some(process) if process.id != *self || !process.is_alive() => Vitality::Gone,
            Some(process) if process.is_stopped() => Vitality::Stopped,
            Some(_) => Vitality::Going,
            // It may be one that `/proc` does not show.
            None if exists(self.pid) => Vitality::Going,
            None => Vitality::Gone,
        }
    }
}

/// Whether there is a process of this number, though `/proc` may not show it: kill(2).
pub(crate) fn exists(pid: i32) -> bool {
    Pid::from_raw(pid.max(0)).is_some_and(|pid| test_kill_process(pid) != Err(Errno::SRCH))
}

/// Whether a process can do anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vitality {
    /// It has ended.
    Gone,
    /// A signal such as SIGSTOP has stopped it, until it gets SIGCONT.
    Stopped,
    /// All else.
    Going,
}

/// A process as seen at one moment: proc_pid_stat(5).
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub id: ProcessId,
    pub name: String,
    pub parent: i32,
    pub group: i32,
    pub state: char,
    pub threads: u32,
    /// Used so far, in clock ticks.
    pub cpu: u64,
}

/// A process without threads is about to be gone, or another of its threads executes a program and takes the place of the
/// first one: the next look shows which.
const MOST_LOOKS: u32 = 1000;

impl Process {
    /// The process of this number, if there is one.
    pub fn read(pid: i32) -> Option<Process> {
        let look = || Process::parse(pid, &read_proc(&format!("/proc/{pid}/stat")).ok()?);
        let mut process = look()?;
        for _ in 0..MOST_LOOKS {
            if process.threads > 0 {
                break;
            }
            process = look()?;
        }
        Some(process)
    }

    pub fn parse(pid: i32, stat: &str) -> Option<Process> {
        // The name stands in parentheses and may hold any character, parentheses too.
        let (before, after) = stat.rsplit_once(") ")?;
        let (_, name) = before.split_once('(')?;
        // From field 3 of the manual page on.
        let fields: Vec<&str> = after.split_whitespace().collect();
        Some(Process {
            id: ProcessId { pid, start_time: fields.get(19)?.parse().ok()? },
            name: name.to_owned(),
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            threads: fields.get(17)?.parse().ok()?,
            cpu: fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?,
        })
    }

    pub fn named(&self) -> Named {
        Named { pid: self.id.pid, name: self.name.clone() }
    }

    pub fn is_stopped(&self) -> bool {
        self.state == 'T'
    }

    /// Whether a debugger holds it just now: ptrace(2).
    pub fn is_traced(&self) -> bool {
        self.state == 't'
    }

    /// Not merely waiting to be reaped. A process whose first thread has ended looks dead but lives on in the others.
    pub fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X') || self.threads > 1
    }

    /// Sends a signal to this very process, not to another that got its number meanwhile.
    ///
    /// # Errors
    /// Those of pidfd_send_signal(2) and kill(2); `NotFound` if the process is gone.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        signal_if(self.id.pid, signal, || self.is_there())
    }

    /// Whether its number is still its own, as far as `/proc` shows it.
    pub fn is_there(&self) -> bool {
        Process::read(self.id.pid).is_some_and(|now| now.id == self.id)
    }
}

/// Sends a signal to the process of this number if it is still the one that is meant, which is asked once the number
/// cannot change hands any more.
///
/// # Errors
/// Those of pidfd_send_signal(2) and kill(2); `NotFound` if the process is gone.
pub(crate) fn signal_if(pid: i32, signal: Signal, is_meant: impl FnOnce() -> bool) -> io::Result<()> {
    let gone = || io::Error::from(io::ErrorKind::NotFound);
    let or_gone = |error| if error == Errno::SRCH { gone() } else { io::Error::from(error) };
    let pid = Pid::from_raw(pid).ok_or_else(gone)?;
    let handle = pidfd_open(pid, PidfdFlags::empty());
    // The handle is for the process that has the number now.
    if !is_meant() {
        return Err(gone());
    }
    let result = handle.and_then(|handle| pidfd_send_signal(handle, signal.to_send()));
    result.map_err(or_gone).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Err(error),
        // Before Linux 5.3, and where a filter denies it: in the instant since, the number may have changed hands.
        _ => kill_process(pid, signal.to_send()).map_err(or_gone),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_look_like_the_rest_of_the_line() {
        let stat = "42 (a) Z 1 (b) S 1 40 40 0 -1 4194304 1 0 0 0 5 6 0 0 20 0 3 0 777 1 1";
        let process = Process::parse(42, stat).unwrap();
        assert_eq!(process.name, "a) Z 1 (b");
        assert_eq!((process.state, process.group, process.threads, process.id.start_time), ('S', 40, 3, 777));
    }

    #[test]
    fn a_state_tells_who_lives_and_who_is_stopped() {
        let table = [
            ("R", 1, true, false),
            ("T", 1, true, true),
            ("t", 1, true, false),
            ("Z", 1, false, false),
            ("X", 1, false, false),
            ("Z", 2, true, false),
        ];
        for (state, threads, alive, stopped) in table {
            let stat = format!("42 (a) {state} 1 40 40 0 -1 4194304 1 0 0 0 5 6 0 0 20 0 {threads} 0 777 1 1");
            let process = Process::parse(42, &stat).unwrap();
            assert_eq!((process.is_alive(), process.is_stopped(), process.parent), (alive, stopped, 1), "{stat}");
            assert_eq!(process.is_traced(), state == "t");
        }
    }

    #[test]
    fn a_process_that_is_gone_is_not_found() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let process = Process::read(child.id().cast_signed()).unwrap();
        process.signal(Signal::KILL).unwrap();
        child.wait().unwrap();
        assert_eq!(process.signal(Signal::KILL).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn this_process_can_be_read() {
        let own = Process::read(std::process::id().cast_signed()).unwrap();
        assert!(own.is_alive() && !own.is_stopped());
        assert_eq!(own.group, nix::unistd::getpgrp().as_raw());
    }

    #[test]
    fn another_process_with_the_same_number_gets_nothing() {
        let mut own = Process::read(std::process::id().cast_signed()).unwrap();
        own.id.start_time += 1;
        assert_eq!(own.signal(Signal::KILL).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_process_that_ends_just_before_its_signal_is_not_found() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = child.id().cast_signed();
        let leaves = || {
            child.kill().unwrap();
            child.wait().is_ok()
        };
        assert_eq!(signal_if(pid, Signal::TERM, leaves).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_process_is_known_until_it_is_gone_or_waits_to_be_reaped() {
        let own = ProcessId::own().unwrap();
        assert_eq!(own.pid, std::process::id().cast_signed());
        let another = ProcessId { start_time: own.start_time + 1, ..own };
        assert_eq!((own.vitality(), another.vitality()), (Vitality::Going, Vitality::Gone));
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let id = ProcessId::of(child.id().cast_signed()).unwrap();
        assert!(id.vitality() == Vitality::Going && id.start_time >= own.start_time);
        for (signal, becomes) in
            [(Signal::STOP, Vitality::Stopped), (Signal::CONT, Vitality::Going), (Signal::KILL, Vitality::Gone)]
        {
            signal.send(id.pid).unwrap();
            while id.vitality() != becomes {
                std::thread::yield_now();
            }
        }
        child.wait().unwrap();
        for pid in [id.pid, i32::MAX, 0, -1] {
            let unseen = ProcessId { pid, start_time: 0 };
            assert!(ProcessId::of(pid).is_none() && unseen.vitality() == Vitality::Gone, "{pid}");
        }
    }
}
