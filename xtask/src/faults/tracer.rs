//! Follows a supervisor and its keepers through their system calls, as strace(1) does: ptrace(2). It counts the calls,
//! and makes one of them fail. What they execute is let go.
//!
//! strace cannot do it: it counts for each process by itself, so that it would inject as many faults as there are
//! processes.

use super::calls::{Call, Manner};
use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::io;

/// Which of the processes makes a call. Of those in one role the calls are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub enum Role {
    /// The main thread of the supervisor.
    Supervisor,
    /// Its other threads.
    Thread,
    /// What the supervisor forks.
    Keeper,
    /// What a keeper forks, until it executes something.
    Child,
    /// What that forks, where there are two keepers.
    Grandchild,
}

impl Role {
    fn of_fork(self) -> Role {
        match self {
            Role::Supervisor | Role::Thread => Role::Keeper,
            Role::Keeper => Role::Child,
            Role::Child | Role::Grandchild => Role::Grandchild,
        }
    }
}

/// One call that fails, once.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub role: Role,
    pub call: &'static Call,
    /// Counted from 1.
    pub occurrence: u64,
    pub errno: Errno,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = format!("{:?}", self.role).to_lowercase();
        write!(f, "--role {role} --call {} --occurrence {} --errno {:?}", self.call.name, self.occurrence, self.errno)
    }
}

/// What became of the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Injection {
    /// There was no such call.
    Missed,
    /// It failed while the program was loaded, before its own first line.
    Loading,
    /// It failed in the program itself.
    Working,
}

/// How a supervisor ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Code(i32),
    Signal(Signal),
}

/// How often a role makes a call.
pub type Counts = BTreeMap<(Role, i64), u64>;

/// What was seen.
pub struct Trace {
    pub counts: Counts,
    pub injection: Injection,
    pub end: End,
}

struct Tracer<'a, F> {
    root: Pid,
    fault: Option<&'a Fault>,
    tracees: HashMap<Pid, Tracee>,
    /// Born, but their parents have not told of it yet.
    unborn: HashSet<Pid>,
    stage: Stage,
    injection: Injection,
    counts: Counts,
    end: Option<End>,
    at_end: F,
}

/// How far the supervisor has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It is not executed yet.
    Before,
    /// The loader, the C library and the runtime of Rust are at work.
    Loading,
    /// It has taken over its signals, which it does first of all.
    Working,
}

struct Tracee {
    role: Role,
    answer: Answer,
}

/// What the call tells that the process is in.
enum Answer {
    AsItIs,
    Instead(Errno),
}

/// Follows a stopped child of this thread, which is about to execute a supervisor, until it and all that it forks have
/// ended or have executed something else. `at_end` is called when the supervisor ends.
///
/// # Errors
/// Those of ptrace(2).
pub fn follow(root: i32, fault: Option<&Fault>, at_end: impl FnMut()) -> io::Result<Trace> {
    let root = Pid::from_raw(root);
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    ptrace::seize(root, options)?;
    nix::sys::signal::kill(root, Signal::SIGCONT)?;
    let mut tracer = Tracer {
        root,
        fault,
        tracees: HashMap::new(),
        unborn: HashSet::new(),
        stage: Stage::Before,
        injection: Injection::Missed,
        counts: Counts::new(),
        end: None,
        at_end,
    };
    tracer.tracees.insert(root, Tracee { role: Role::Supervisor, answer: Answer::AsItIs });
    tracer.run()?;
    let Tracer { counts, injection, end, .. } = tracer;
    let end = end.ok_or_else(|| io::Error::other("the supervisor was not seen to end"))?;
    Ok(Trace { counts, injection, end })
}

impl<F: FnMut()> Tracer<'_, F> {
    fn run(&mut self) -> io::Result<()> {
        // Other threads follow others.
        let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        loop {
            match waitpid(None, Some(flags)) {
                Ok(status) => self.take(status)?,
                Err(Errno::EINTR) => {}
                Err(Errno::ECHILD) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn take(&mut self, status: WaitStatus) -> io::Result<()> {
        match status {
            WaitStatus::PtraceSyscall(pid) => {
                survive(self.at_call(pid))?;
                go_on(pid, None)
            }
            WaitStatus::PtraceEvent(pid, _, libc::PTRACE_EVENT_EXEC) if pid != self.root => {
                self.tracees.remove(&pid);
                survive(ptrace::detach(pid, None))
            }
            WaitStatus::PtraceEvent(pid, _, event) => self.at_event(pid, event),
            WaitStatus::Stopped(pid, signal) => go_on(pid, Some(signal)),
            WaitStatus::Exited(pid, code) => {
                self.gone(pid, End::Code(code));
                Ok(())
            }
            WaitStatus::Signaled(pid, signal, _) => {
                self.gone(pid, End::Signal(signal));
                Ok(())
            }
            WaitStatus::Continued(_) | WaitStatus::StillAlive => Ok(()),
        }
    }

    fn at_event(&mut self, pid: Pid, event: i32) -> io::Result<()> {
        match event {
            libc::PTRACE_EVENT_EXEC => self.stage = Stage::Loading,
            libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE => {
                if let Ok(new) = ptrace::getevent(pid) {
                    self.born(pid, Pid::from_raw(new as i32), event)?;
                }
            }
            // A stop: the first of a new process, which waits until its parent tells of it.
            _ if !self.tracees.contains_key(&pid) => {
                self.unborn.insert(pid);
                return Ok(());
            }
            _ => {}
        }
        go_on(pid, None)
    }

    fn born(&mut self, parent: Pid, new: Pid, event: i32) -> io::Result<()> {
        let role = self.tracees.get(&parent).map_or(Role::Supervisor, |parent| parent.role);
        let role = if event == libc::PTRACE_EVENT_CLONE { Role::Thread } else { role.of_fork() };
        self.tracees.insert(new, Tracee { role, answer: Answer::AsItIs });
        if self.unborn.remove(&new) { go_on(new, None) } else { Ok(()) }
    }

    fn gone(&mut self, pid: Pid, end: End) {
        self.tracees.remove(&pid);
        if pid == self.root {
            self.end = Some(end);
            (self.at_end)();
        }
    }

    /// At the entry to a call, or at the exit from it.
    fn at_call(&mut self, pid: Pid) -> nix::Result<()> {
        let info = ptrace::syscall_info(pid)?;
        let Some(tracee) = self.tracees.get_mut(&pid).filter(|_| self.stage != Stage::Before) else { return Ok(()) };
        if info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
            return match std::mem::replace(&mut tracee.answer, Answer::AsItIs) {
                Answer::AsItIs => Ok(()),
                Answer::Instead(errno) => answer(pid, errno),
            };
        }
        // SAFETY: at an entry the kernel fills in this one.
        let number = unsafe { info.u.entry.nr } as i64;
        let count = self.counts.entry((tracee.role, number)).or_default();
        *count += 1;
        let is_it = |fault: &&Fault| (fault.role, fault.call.number, fault.occurrence) == (tracee.role, number, *count);
        if let Some(fault) = self.fault.filter(is_it) {
            self.injection = if self.stage == Stage::Working { Injection::Working } else { Injection::Loading };
            tracee.answer = Answer::Instead(fault.errno);
            match fault.call.manner() {
                Manner::Refuses => skip(pid)?,
                Manner::DoesItAllTheSame => {}
            }
        }
        if number == libc::SYS_signalfd4 {
            self.stage = Stage::Working;
        }
        Ok(())
    }
}

/// Has the kernel pass over the call that is entered: there is none of this number.
fn skip(pid: Pid) -> nix::Result<()> {
    let mut registers = ptrace::getregs(pid)?;
    registers.orig_rax = u64::MAX;
    ptrace::setregs(pid, registers)
}

/// Has the call that is left tell an error.
fn answer(pid: Pid, errno: Errno) -> nix::Result<()> {
    let mut registers = ptrace::getregs(pid)?;
    registers.rax = i64::from(-(errno as i32)).cast_unsigned();
    ptrace::setregs(pid, registers)
}

fn go_on(pid: Pid, signal: Option<Signal>) -> io::Result<()> {
    survive(ptrace::syscall(pid, signal))
}

/// A process that was killed meanwhile is heard of soon.
fn survive(result: nix::Result<()>) -> io::Result<()> {
    match result {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
