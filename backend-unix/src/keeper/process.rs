//! The keeper itself: the parent of a command, and of all that loses its own parent below it.
//!
//! It is forked from a process that may have threads, so that it makes nothing but system calls: it never allocates.

use super::exec::{Launch, Role};
use super::protocol::{Input, KeeperMachine, Leftovers, Order, Output, Policy, Report};
use super::wait::{Found, next_change};
use super::{Remains, clear};
use crate::linux::{self, Closing};
use crate::signals::{self, Signal, Signals};
use nix::sys::socket::{MsgFlags, recv, send};
use nix::unistd::{ForkResult, fork};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, getpgid, getpid, getppid, set_parent_process_death_signal, setpgid};
use supervisor_core::ExitStatus;

/// What survives SIGKILL gets it again after so long: what forks while it is killed is caught soon, ...
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
/// ... and what cannot die costs little.
const LONG_PAUSE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
/// So many times with the short pause: about ten seconds.
const QUICK_PASSES: u32 = 2000;

/// All that a keeper is born with.
pub(super) struct Birth<'a> {
    pub supervisor: Pid,
    pub line: OwnedFd,
    pub launch: Launch<'a>,
    pub role: &'a Role<'a>,
    pub policy: Policy,
    pub signals: &'a Signals,
    pub remains: &'a Remains,
}

/// In a new child of the supervisor: keeps what it forks, and ends when nothing of that is left.
pub(super) fn keep(birth: Birth<'_>) -> ! {
    let Birth { supervisor, line, mut launch, role, policy, signals, remains } = birth;
    // Out of reach of the terminal's keys and of signals to the supervisor's group, but in its session: else the group
    // of the command would be an orphaned one, which cannot be stopped from the terminal.
    let _ = setpgid(None, None);
    let _ = signals::all_signals().thread_set_mask();
    // Should it be stopped when its supervisor dies.
    let _ = set_parent_process_death_signal(Some(rustix::process::Signal::CONT));
    match fork_main(&mut launch, role, signals) {
        Ok((main, exec_result)) => {
            linux::set_name_and_title(c"keeper", main);
            let descriptors = Descriptors::settle(line, signals.inbox(), exec_result);
            Keeper { machine: KeeperMachine::new(policy, main), main, supervisor, descriptors, remains }.run()
        }
        Err(error) => {
            tell(line.as_fd(), Report::Failed { os_error: error.raw_os_error() });
            linux::exit(0)
        }
    }
}

/// Forks the child that becomes the main process. The descriptor ends without a byte once it executes, or tells the
/// error number of what failed.
fn fork_main(launch: &mut Launch<'_>, role: &Role<'_>, signals: &Signals) -> Result<(i32, OwnedFd), Errno> {
    rustix::process::set_child_subreaper(Some(getpid()))?;
    let (exec_result, tell) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    let keeper = getpid();
    // SAFETY: the child makes nothing but system calls, on what was prepared before, until it executes or exits.
    match unsafe { fork() }.map_err(|error| Errno::from_raw_os_error(error as i32))? {
        ForkResult::Child => {
            let error = launch.execute(keeper, role, signals);
            // Should the supervisor not be there any more to hear of it, the exit code still tells.
            let _ = rustix::io::write(&tell, &error.raw_os_error().to_ne_bytes());
            linux::exit(127)
        }
        ForkResult::Parent { child } => {
            let main = child.as_raw();
            // Done on both sides, so that the group exists for the one that comes first. It fails once the child has
            // executed, and is then no longer needed.
            let _ = setpgid(Pid::from_raw(main), Pid::from_raw(main));
            Ok((main, exec_result))
        }
    }
}

/// The only descriptors that a keeper has.
struct Descriptors {
    line: BorrowedFd<'static>,
    inbox: BorrowedFd<'static>,
    exec_result: BorrowedFd<'static>,
}

impl Descriptors {
    /// Moves them to the first three places and closes all others: no process may wait for the end of one that the
    /// keeper does not use.
    fn settle(line: OwnedFd, inbox: BorrowedFd<'_>, exec_result: OwnedFd) -> Descriptors {
        // Above the places, should one of them be in another's.
        let [line, inbox, exec_result] =
            [line.into_raw_fd(), inbox.as_raw_fd(), exec_result.into_raw_fd()].map(linux::duplicate_above_streams);
        for (from, to) in [(line, 0), (inbox, 1), (exec_result, 2)] {
            let _ = linux::duplicate(from, to);
        }
        linux::close_from(3, Closing::Now);
        // SAFETY: these three are open for as long as this process lives.
        let [line, inbox, exec_result] = [0, 1, 2].map(|place| unsafe { BorrowedFd::borrow_raw(place) });
        Descriptors { line, inbox, exec_result }
    }
}

struct Keeper<'a> {
    machine: KeeperMachine,
    main: i32,
    supervisor: Pid,
    descriptors: Descriptors,
    remains: &'a Remains,
}

impl Keeper<'_> {
    fn run(mut self) -> ! {
        loop {
            self.sleep();
            signals::drain(self.descriptors.inbox);
            // Before the end of the main process: what became of its execution comes first.
            self.read_exec_result();
            self.take_orders();
            self.reap();
            if getppid() != Some(self.supervisor) {
                self.take(Input::LineEnded);
            }
        }
    }

    fn sleep(&self) {
        let Descriptors { line, inbox, exec_result } = &self.descriptors;
        let mut descriptors = [line, inbox, exec_result].map(|descriptor| PollFd::new(descriptor, PollFlags::IN));
        let count = if self.machine.is_starting() { 3 } else { 2 };
        let _ = poll(&mut descriptors[..count], None);
    }

    fn read_exec_result(&mut self) {
        if !self.machine.is_starting() {
            return;
        }
        let mut number = [0; 4];
        match rustix::io::retry_on_intr(|| rustix::io::read(self.descriptors.exec_result, &mut number)) {
            Ok(4) => self.take(Input::ExecFailed { os_error: i32::from_ne_bytes(number) }),
            Err(Errno::AGAIN) => {}
            Ok(_) | Err(_) => self.take(Input::Executed),
        }
    }

    fn take_orders(&mut self) {
        loop {
            let mut order = [0; Order::LENGTH];
            match recv(self.descriptors.line.as_raw_fd(), &mut order, MsgFlags::MSG_DONTWAIT) {
                Ok(Order::LENGTH) => {
                    if let Some(Order { recipient, signal }) = Order::from_bytes(order) {
                        self.take(Input::Ordered { recipient, signal: signal.number() });
                    }
                }
                Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => return,
                Ok(_) | Err(_) => return self.take(Input::LineEnded),
            }
        }
    }

    fn reap(&mut self) {
        let mut main_end: Option<ExitStatus> = None;
        let leftovers = loop {
            match next_change() {
                Found::Ended { pid, status } if pid == self.main => {
                    main_end = Some(status);
                    // Its number may be given to another now.
                    self.main = 0;
                }
                Found::Ended { .. } => {}
                // These only tell how things are: where the line is full, the supervisor does not run to hear of it.
                Found::Stopped { pid, signal } => self.tell_if_heard(Report::Stopped { pid, signal }),
                Found::Continued { pid } => self.tell_if_heard(Report::Continued { pid }),
                Found::Nothing => break Leftovers::Some,
                Found::NoChildren => break Leftovers::None,
            }
        };
        match (main_end, leftovers) {
            (Some(status), leftovers) => {
                // It may have executed since the result was read.
                self.read_exec_result();
                self.take(Input::MainEnded { status, leftovers });
            }
            (None, Leftovers::None) => self.take(Input::LastEnded),
            (None, Leftovers::Some) => {}
        }
    }

    fn take(&mut self, input: Input) {
        for output in self.machine.handle(input).into_iter().flatten() {
            match output {
                Output::Tell(report) => tell(self.descriptors.line, report),
                Output::SignalMain { main, signal } => send_signal(main, signal, Signal::send),
                Output::SignalGroup { main, signal } => {
                    send_signal(main, signal, Signal::send_to_group);
                    let has_moved = Pid::from_raw(main).is_some_and(|pid| getpgid(Some(pid)) != Ok(pid));
                    if has_moved {
                        send_signal(main, signal, Signal::send);
                    }
                }
                Output::SignalChildren { signal } => clear::each_child(|pid| send_signal(pid, signal, Signal::send)),
                Output::Clear => self.clear(),
                Output::Exit => linux::exit(0),
            }
        }
    }

    fn tell_if_heard(&self, report: Report) {
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        let _ = send(self.descriptors.line.as_raw_fd(), &report.to_bytes(), flags);
    }

    /// Kills all children, and those that come meanwhile, until there are none; then removes what a dead supervisor
    /// leaves behind, and exits.
    fn clear(&mut self) -> ! {
        let mut passes = 0_u32;
        loop {
            clear::each_child(clear::kill_child);
            loop {
                match next_change() {
                    Found::NoChildren => {
                        self.remains.clear();
                        linux::exit(0)
                    }
                    Found::Nothing => break,
                    Found::Ended { .. } | Found::Stopped { .. } | Found::Continued { .. } => {}
                }
            }
            let pause = if passes < QUICK_PASSES { PAUSE } else { LONG_PAUSE };
            passes = passes.saturating_add(1);
            // The end of a child ends the pause.
            let _ = poll(&mut [PollFd::new(&self.descriptors.inbox, PollFlags::IN)], Some(&pause));
            signals::drain(self.descriptors.inbox);
        }
    }
}

fn send_signal(pid: i32, number: i32, send: impl Fn(Signal, i32) -> Result<(), Errno>) {
    // That it is gone is seen when it is reaped; that it may not be signalled, by its staying.
    let _ = Signal::from_number(number).map(|signal| send(signal, pid));
}

/// Waits while the supervisor does not run to hear of it; fails when it never will.
fn tell(line: BorrowedFd<'_>, report: Report) {
    let say = || send(line.as_raw_fd(), &report.to_bytes(), MsgFlags::MSG_NOSIGNAL);
    while say() == Err(nix::errno::Errno::EINTR) {}
}
