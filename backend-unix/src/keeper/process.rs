//! The keeper itself: the parent of a command, and of all that loses its own parent below it.
//!
//! It is forked from a process that may have threads, so that it makes nothing but system calls: it never allocates.

use super::exec::{Launch, Role};
use super::protocol::{Input, KeeperMachine, Leftovers, Order, Output, Policy, Report};
use super::wait::{Found, next_change};
use super::{Remains, clear};
use crate::linux::{self, Closing};
use crate::signals::{self, Signal, Signals};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use nix::unistd::{ForkResult, fork};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Pid, getpgid, getpid, getppid, set_parent_process_death_signal, setpgid};
use supervisor_core::ExitStatus;

/// What survives SIGKILL gets it again after so long: what forks while it is killed is caught soon, ...
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
/// ... and what cannot die costs little. Shorter than the supervisor waits for a sign that the keeper can run.
const LONG_PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 500_000_000 };
/// So many times with the short pause: about ten seconds.
const QUICK_PASSES: u32 = 2000;

/// A supervisor that dies has closed the line within this time.
const LAST_MOMENT: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// After so long children are looked for again that could not be.
const RETRY: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// All that a keeper is born with.
pub(super) struct Birth<'a> {
    pub line: OwnedFd,
    /// As it is numbered in its own PID namespace.
    pub supervisor: Pid,
    pub launch: Launch<'a>,
    pub role: &'a Role<'a>,
    pub policy: Policy,
    pub signals: &'a Signals,
    pub remains: &'a Remains,
}

/// In a new child of `parent`: keeps what it forks, and ends when nothing of that is left.
pub(super) fn keep(birth: Birth<'_>, parent: Pid) -> ! {
    let Birth { line, supervisor, mut launch, role, policy, signals, remains } = birth;
    stand_apart();
    // The parent may have been killed by now. One in another PID namespace has no number here.
    let parent = getppid().map(|_| parent);
    match fork_main(&mut launch, role, signals, line.as_fd()) {
        Ok((main, exec_result)) => {
            linux::set_name_and_title(c"keeper", main);
            let descriptors = Descriptors::settle(line, signals.inbox(), exec_result);
            let machine = KeeperMachine::new(policy, main);
            let (unsaid, sight) = (Unsaid::Nothing, Sight::Clear);
            Keeper { machine, main, parent, supervisor, descriptors, remains, unsaid, sight }.run()
        }
        Err(error) => {
            let _ = tell(line.as_fd(), Report::Failed { os_error: error.raw_os_error() });
            linux::exit(0)
        }
    }
}

/// In a new child: keeps a keeper. It adopts what that keeps, should it be killed, where the supervisor has other
/// children too and could not tell them apart. It exits as the keeper did, or with 1 when it has killed all.
pub(super) fn keep_keeper(birth: Birth<'_>) -> ! {
    stand_apart();
    let own = getpid();
    let fail = |os_error: i32| -> ! {
        let _ = tell(birth.line.as_fd(), Report::Failed { os_error });
        linux::exit(0)
    };
    if let Err(error) = rustix::process::set_child_subreaper(Some(own)) {
        fail(error.raw_os_error());
    }
    // SAFETY: the child makes nothing but system calls.
    let keeper = match unsafe { fork() } {
        Ok(ForkResult::Child) => keep(birth, own),
        Ok(ForkResult::Parent { child }) => child.as_raw(),
        Err(error) => fail(error as i32),
    };
    // By another name, so that what kills by name does not kill both.
    linux::set_name_and_title(c"reaper", keeper);
    let inbox = linux::duplicate_above_streams(birth.signals.inbox().as_raw_fd());
    let inbox = linux::duplicate(inbox, 0).unwrap_or(inbox);
    if inbox == 0 {
        linux::close_from(1, Closing::Now);
    }
    // SAFETY: it is open for as long as this process lives.
    let inbox = unsafe { BorrowedFd::borrow_raw(inbox) };
    let mut sight = Sight::Clear;
    loop {
        let _ = poll(&mut [PollFd::new(&inbox, PollFlags::IN)], sight.pause());
        signals::drain(inbox);
        sight = loop {
            match next_change() {
                Found::Ended { pid, status } if pid == keeper && status.is_success() => linux::exit(0),
                Found::Ended { pid, .. } if pid == keeper => {
                    kill_children(inbox, || {});
                    linux::exit(1)
                }
                Found::Stopped { pid, .. } if pid == keeper => drop(Signal::CONT.send(pid)),
                Found::Ended { .. } | Found::Stopped { .. } | Found::Continued { .. } => {}
                Found::Nothing | Found::NoChildren => break Sight::Clear,
                Found::Unknown => break Sight::Lost,
            }
        };
    }
}

/// Out of reach of the terminal's keys and of signals to the supervisor's group, but in its session: else the group of the
/// command would be an orphaned one, which cannot be stopped from the terminal.
fn stand_apart() {
    // First of all: should it be stopped, by whomever, when its parent dies.
    let _ = set_parent_process_death_signal(Some(rustix::process::Signal::CONT));
    let _ = setpgid(None, None);
    signals::block_all();
}

/// Kills all children, and those that come meanwhile, until there are none. `attend` is called again and again.
fn kill_children(inbox: BorrowedFd<'_>, attend: impl Fn()) {
    let mut passes = 0_u32;
    loop {
        attend();
        clear::each_child(clear::kill_child);
        loop {
            match next_change() {
                Found::NoChildren => return,
                Found::Nothing | Found::Unknown => break,
                Found::Ended { .. } | Found::Stopped { .. } | Found::Continued { .. } => {}
            }
        }
        let pause = if passes < QUICK_PASSES { PAUSE } else { LONG_PAUSE };
        passes = passes.saturating_add(1);
        // The end of a child ends the pause.
        let _ = poll(&mut [PollFd::new(&inbox, PollFlags::IN)], Some(&pause));
        signals::drain(inbox);
    }
}

/// Forks the child that becomes the main process. The descriptor ends without a byte once it executes, or tells the
/// error number of what failed. It is a socket, which no other process can open by way of `/proc`.
fn fork_main(
    launch: &mut Launch<'_>,
    role: &Role<'_>,
    signals: &Signals,
    line: BorrowedFd<'_>,
) -> Result<(i32, OwnedFd), Errno> {
    rustix::process::set_child_subreaper(Some(getpid()))?;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let (exec_result, failed) = socketpair(AddressFamily::Unix, SockType::Stream, None, flags)
        .map_err(|error| Errno::from_raw_os_error(error as i32))?;
    let keeper = getpid();
    // SAFETY: the child makes nothing but system calls, on what was prepared before, until it executes or exits.
    match unsafe { fork() }.map_err(|error| Errno::from_raw_os_error(error as i32))? {
        ForkResult::Child => {
            let own = getpid().as_raw_nonzero().get();
            let error = launch.execute(keeper, role, signals, || tell(line, Report::Forked { pid: own }));
            // Should the supervisor not be there any more to hear of it, the exit code still tells.
            let _ = rustix::io::write(&failed, &error.raw_os_error().to_ne_bytes());
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
    /// keeper does not use. One that cannot be moved is used where it is, and then all stay open.
    fn settle(line: OwnedFd, inbox: BorrowedFd<'_>, exec_result: OwnedFd) -> Descriptors {
        // Above the places, should one of them be in another's.
        let [line, inbox, exec_result] =
            [line.into_raw_fd(), inbox.as_raw_fd(), exec_result.into_raw_fd()].map(linux::duplicate_above_streams);
        let places =
            [(line, 0), (inbox, 1), (exec_result, 2)].map(|(from, to)| linux::duplicate(from, to).unwrap_or(from));
        if places == [0, 1, 2] {
            linux::close_from(3, Closing::Now);
        }
        // SAFETY: these three are open for as long as this process lives.
        let [line, inbox, exec_result] = places.map(|place| unsafe { BorrowedFd::borrow_raw(place) });
        Descriptors { line, inbox, exec_result }
    }
}

struct Keeper<'a> {
    machine: KeeperMachine,
    main: i32,
    parent: Option<Pid>,
    supervisor: Pid,
    descriptors: Descriptors,
    remains: &'a Remains,
    unsaid: Unsaid,
    sight: Sight,
}

/// Whether all is known that the kernel has signalled of the children.
#[derive(Clone, Copy)]
enum Sight {
    Clear,
    /// They could not be looked for. No signal comes again for what is not known.
    Lost,
}

impl Sight {
    /// How long to sleep.
    fn pause(&self) -> Option<&'static Timespec> {
        match self {
            Sight::Clear => None,
            Sight::Lost => Some(&RETRY),
        }
    }
}

/// Whether the main process was stopped or went on while the line was full: the latest is told as soon as there is room.
#[derive(Clone, Copy)]
enum Unsaid {
    Nothing,
    Latest(Report),
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
            if let Unsaid::Latest(report) = std::mem::replace(&mut self.unsaid, Unsaid::Nothing) {
                self.tell_if_heard(report);
            }
            if getppid() != self.parent {
                self.take(Input::LineEnded);
            }
        }
    }

    fn sleep(&self) {
        let Descriptors { line, inbox, exec_result } = &self.descriptors;
        let mut descriptors = [line, inbox, exec_result].map(|descriptor| PollFd::new(descriptor, PollFlags::IN));
        if let Unsaid::Latest(_) = self.unsaid {
            descriptors[0] = PollFd::new(line, PollFlags::IN | PollFlags::OUT);
        }
        let count = if self.machine.is_starting() { 3 } else { 2 };
        let _ = poll(&mut descriptors[..count], self.sight.pause());
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
                Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR | nix::errno::Errno::ENOMEM) => return,
                Ok(_) | Err(_) => return self.take(Input::LineEnded),
            }
        }
    }

    fn reap(&mut self) {
        self.sight = Sight::Clear;
        let mut main_end: Option<ExitStatus> = None;
        let leftovers = loop {
            match next_change() {
                Found::Ended { pid, status } if pid == self.main => {
                    main_end = Some(status);
                    // Its number may be given to another now.
                    self.main = 0;
                }
                Found::Ended { .. } => {}
                Found::Stopped { pid, signal } => self.tell_if_heard(Report::Stopped { pid, signal }),
                Found::Continued { pid } => self.tell_if_heard(Report::Continued { pid }),
                Found::Nothing => break Leftovers::Some,
                Found::NoChildren if self.main == 0 => break Leftovers::None,
                // That there are none is not so while the main process is to be reaped.
                Found::NoChildren | Found::Unknown => {
                    self.sight = Sight::Lost;
                    break Leftovers::Some;
                }
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
                // Who does not hear of its command cannot supervise it.
                Output::Tell(report) if tell(self.descriptors.line, report).is_err() => self.take(Input::LineEnded),
                Output::Tell(_) => {}
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

    /// Where the line is full, the supervisor does not run to hear how things are. Of the main process it will want to.
    fn tell_if_heard(&mut self, report: Report) {
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        let is_told = send(self.descriptors.line.as_raw_fd(), &report.to_bytes(), flags).is_ok();
        let is_of_main = match report {
            Report::Stopped { pid, .. } | Report::Continued { pid } => pid == self.main,
            Report::Forked { .. }
            | Report::Started { .. }
            | Report::Failed { .. }
            | Report::Ended { .. }
            | Report::TooLate { .. } => false,
        };
        if is_of_main {
            self.unsaid = if is_told { Unsaid::Nothing } else { Unsaid::Latest(report) };
        }
    }

    /// Kills all children; then removes what a dead supervisor leaves behind, and exits.
    fn clear(&mut self) -> ! {
        // Orders change nothing any more. That they are taken shows that the keeper can run.
        kill_children(self.descriptors.inbox, || pass_over_orders(self.descriptors.line));
        if has_ended(self.descriptors.line, self.supervisor) {
            self.remains.clear();
        }
        linux::exit(0)
    }
}

fn pass_over_orders(line: BorrowedFd<'_>) {
    while recv(line.as_raw_fd(), &mut [0; Order::LENGTH], MsgFlags::MSG_DONTWAIT).is_ok_and(|length| length > 0) {}
}

/// Whether the supervisor has closed its end of the line. Of one that dies, a thread may leave its children to another
/// parent while the last one is about to close the line; and its last orders may be unread, as may our last reports. One
/// that has become the parent, since the keeper above was killed, lives.
fn has_ended(line: BorrowedFd<'_>, supervisor: Pid) -> bool {
    loop {
        match recv(line.as_raw_fd(), &mut [0; Order::LENGTH], MsgFlags::MSG_DONTWAIT) {
            Ok(0) => return true,
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::ENOMEM) => {
                if getppid() == Some(supervisor) {
                    return false;
                }
                if poll(&mut [PollFd::from_borrowed_fd(line, PollFlags::IN)], Some(&LAST_MOMENT)) == Ok(0) {
                    return false;
                }
            }
            // Reset, where it has not read all.
            Err(_) => return true,
        }
    }
}

fn send_signal(pid: i32, number: i32, send: impl Fn(Signal, i32) -> Result<(), Errno>) {
    // That it is gone is seen when it is reaped; that it may not be signalled, by its staying.
    let _ = Signal::from_number(number).map(|signal| send(signal, pid));
}

/// Waits while the supervisor does not run to hear of it, or the kernel lacks memory; fails when it never will.
fn tell(line: BorrowedFd<'_>, report: Report) -> Result<(), Errno> {
    use nix::errno::Errno::{EINTR, ENOBUFS, ENOMEM};
    loop {
        match send(line.as_raw_fd(), &report.to_bytes(), MsgFlags::MSG_NOSIGNAL) {
            Err(EINTR) => {}
            Err(ENOBUFS | ENOMEM) => drop(poll(&mut [], Some(&PAUSE))),
            result => return result.map(drop).map_err(|error| Errno::from_raw_os_error(error as i32)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// No parent of this process.
    fn another() -> Pid {
        getpid()
    }

    fn line() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap()
    }

    #[test]
    fn a_line_ends_with_orders_or_reports_that_nobody_has_read() {
        let order = Order { recipient: super::super::protocol::Recipient::Group, signal: Signal::TERM }.to_bytes();
        let (own, far) = line();
        send(far.as_raw_fd(), &order, MsgFlags::empty()).unwrap();
        drop(far);
        assert!(has_ended(own.as_fd(), another()));
        let (own, far) = line();
        tell(own.as_fd(), Report::Continued { pid: 1 }).unwrap();
        drop(far);
        assert!(has_ended(own.as_fd(), another()));
    }

    #[test]
    fn a_line_that_is_about_to_end_is_waited_for_and_another_is_not_for_long() {
        let (own, far) = line();
        let closing = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            drop(far);
        });
        assert!(has_ended(own.as_fd(), another()));
        closing.join().unwrap();
        let (own, _far) = line();
        let begun = std::time::Instant::now();
        assert!(!has_ended(own.as_fd(), getppid().unwrap()), "the supervisor is the parent now");
        assert!(begun.elapsed() < Duration::from_secs(1));
        assert!(!has_ended(own.as_fd(), another()));
    }
}
