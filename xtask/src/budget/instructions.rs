//! How many instructions a start costs: each process is led through them one by one, by ptrace(2). No further tool is
//! needed, and the count hardly differs from machine to machine.

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

/// Instructions outside the kernel, of the supervisor and all that it forks, from its own execve to that of the command.
///
/// # Errors
/// Those of ptrace(2), and a supervisor that ends before it executes a command.
pub fn before_command(supervisor: &Path, options: &[&str], command: &Path) -> io::Result<u64> {
    let mut shell = Command::new("sh");
    shell.args(["-c", "kill -STOP $$; exec \"$@\"", "sh"]).arg(supervisor).args(options).arg("--").arg(command);
    shell.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    on_one_processor(|| {
        let root = Pid::from_raw(shell.spawn()?.id().cast_signed());
        let mut walk = Walk { root, stage: Stage::Shell, processes: BTreeSet::from([root]), instructions: 0 };
        let result = walk.begin().and_then(|()| walk.run());
        walk.end();
        result.map(|()| walk.instructions)
    })
}

/// Who leads and who is led take turns: to wake another processor for each step would cost more than all the rest.
fn on_one_processor<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let before = sched_getaffinity(None)?;
    let mut one = CpuSet::new();
    one.set(sched_getcpu());
    sched_setaffinity(None, &one)?;
    let result = work();
    sched_setaffinity(None, &before)?;
    result
}

struct Walk {
    root: Pid,
    stage: Stage,
    processes: BTreeSet<Pid>,
    instructions: u64,
}

#[derive(PartialEq)]
enum Stage {
    /// The supervisor is not executed yet.
    Shell,
    Counting,
    /// The command is executed.
    Over,
}

impl Walk {
    fn begin(&self) -> io::Result<()> {
        waitpid(self.root, Some(WaitPidFlag::WUNTRACED))?;
        let options = Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_EXITKILL;
        ptrace::seize(self.root, options)?;
        Ok(kill(self.root, Signal::SIGCONT)?)
    }

    fn run(&mut self) -> io::Result<()> {
        while self.stage != Stage::Over {
            match waitpid(None, Some(WaitPidFlag::__WALL)) {
                Ok(status) => self.take(status)?,
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn take(&mut self, status: WaitStatus) -> io::Result<()> {
        match status {
            WaitStatus::PtraceEvent(pid, _, libc::PTRACE_EVENT_EXEC) if pid == self.root => {
                self.stage = Stage::Counting;
                self.go_on(pid, None)
            }
            WaitStatus::PtraceEvent(_, _, libc::PTRACE_EVENT_EXEC) => {
                self.stage = Stage::Over;
                Ok(())
            }
            WaitStatus::PtraceEvent(pid, ..) => {
                self.processes.insert(pid);
                self.go_on(pid, None)
            }
            WaitStatus::Stopped(pid, Signal::SIGTRAP) => {
                self.instructions += 1;
                self.go_on(pid, None)
            }
            WaitStatus::Stopped(pid, signal) => self.go_on(pid, Some(signal)),
            WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..) if pid == self.root => {
                Err(io::Error::other("the supervisor ended before it executed the command"))
            }
            _ => Ok(()),
        }
    }

    fn go_on(&self, pid: Pid, signal: Option<Signal>) -> io::Result<()> {
        let result = if self.stage == Stage::Shell { ptrace::cont(pid, signal) } else { ptrace::step(pid, signal) };
        match result {
            // It was killed meanwhile.
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn end(&self) {
        for pid in &self.processes {
            let _ = kill(*pid, Signal::SIGKILL);
        }
        while waitpid(None, Some(WaitPidFlag::__WALL)).is_ok() {}
    }
}
