//! A process between the supervisor and what it runs: everything that a run starts is below it, and nothing else is.
//!
//! One keeper is forked for each run. It is a child subreaper, so that what loses its parent becomes its child, and it
//! alone waits for them. It tells the supervisor what becomes of them, carries out signals to the main process and its
//! group, whose numbers only it can be sure of, and exits with 0 when it has no child left. If its line to the
//! supervisor ends, it kills what it has, and what comes to it meanwhile, until nothing is left. If the keeper itself is
//! killed, its children become the supervisor's, which kills them.

pub(crate) mod clear;
pub(crate) mod exec;
#[cfg(test)]
mod explore;
mod process;
pub(crate) mod protocol;
pub(crate) mod run;
pub(crate) mod wait;

use crate::clock::SystemClock;
use crate::linux;
use crate::notify::Address;
use crate::own_file::OwnFile;
use crate::signals::{Signal, Signals};
use crate::source::Source;
use crate::stall::Stall;
use exec::{Program, Role};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use nix::unistd::{ForkResult, fork};
use protocol::{Order, Policy, Recipient, Report};
use run::KeeperEnd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, WaitOptions, getpid, kill_process, pidfd_open, waitpid};
use std::cell::Cell;
use std::ffi::CString;
use std::io;
use std::time::Duration;
use supervisor_core::{ExitStatus, Instant};

/// So long the processes of a keeper that is dropped may take to die.
const LAST_PATIENCE: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

/// What a killed supervisor leaves behind, which its keeper removes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remains {
    pub files: Vec<OwnFile>,
    pub socket: Option<Address>,
}

impl Remains {
    /// Makes nothing but system calls.
    fn clear(&self) {
        self.files.iter().for_each(OwnFile::clear);
        self.socket.iter().for_each(Address::clear);
    }
}

/// The supervisor's end of a keeper.
pub(crate) struct Keeper {
    life: Life,
    company: Company,
    main: Main,
    line: OwnedFd,
    /// Since when the line has been at its end, where the keeper is soon reaped, or since when it was last seen at work
    /// after that.
    ended: Cell<Option<Instant>>,
    /// Since when it has not taken an order.
    stall: Cell<Stall>,
}

#[derive(Clone, Copy)]
enum Life {
    /// Not reaped, so that the number is still its own.
    Child(Pid),
    Reaped(Pid, ExitStatus),
}

/// The main process as it is seen without the keeper, so that the silence of one that is held does not hide its end.
enum Main {
    /// It was not started, it ended and that was told, or it cannot be watched.
    Unseen,
    /// Readable when it has ended: pidfd_open(2).
    Watched(OwnedFd),
    /// It has ended. By then, the keeper should have told so.
    Ended { report_due: Instant },
    /// The keeper has not, and has got an order that changes nothing. By then, it should have taken that.
    Asked { reply_due: Instant },
}

/// What a debugger, or a frozen cgroup, holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    None,
    OfKeeper,
    /// It has ended, and cannot be reaped.
    OfMain,
}

/// Which children a supervisor may have beside its keepers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Company {
    /// None: what else it gets comes from a keeper that was killed.
    Alone,
    /// Children from before it was executed, their orphans, and as the first process of a PID namespace those of others.
    /// A second keeper above the first adopts in its place.
    Mixed,
}

/// A keeper that is dead but cannot be reaped, since its debugger has not yet, is given up after so long.
const LONGEST_DEATH: Duration = Duration::from_secs(1);
/// What a keeper that can run does is done long before.
pub(crate) const LONGEST_SILENCE: Duration = Duration::from_secs(1);

impl Keeper {
    /// Forks a keeper, whose birth is the order to start: it executes the program with these variables more.
    ///
    /// # Errors
    /// Those of socketpair(2) and fork(2). What fails in the keeper is told by [`Report::Failed`].
    pub fn start(
        program: &Program,
        variables: &[CString],
        role: &Role<'_>,
        signals: &Signals,
        remains: &Remains,
        company: Company,
    ) -> io::Result<Keeper> {
        let (line, far) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        let launch = program.prepare(variables);
        let policy = match role {
            Role::Command => Policy::Keep,
            Role::Helper { .. } => Policy::Kill,
        };
        let supervisor = getpid();
        // SAFETY: other threads may hold locks for ever in the child, which makes nothing but system calls.
        match unsafe { fork()? } {
            ForkResult::Child => {
                drop(line);
                let birth = process::Birth { line: far, supervisor, launch, role, policy, signals, remains };
                match company {
                    Company::Alone => process::keep(birth, supervisor),
                    Company::Mixed => process::keep_keeper(birth),
                }
            }
            ForkResult::Parent { child } => {
                let pid = Pid::from_raw(child.as_raw()).expect("the pid of a child is positive");
                let (life, ended) = (Life::Child(pid), Cell::new(None));
                Ok(Keeper { life, company, main: Main::Unseen, line, ended, stall: Cell::default() })
            }
        }
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        let (Life::Child(pid) | Life::Reaped(pid, _)) = self.life;
        pid.as_raw_nonzero().get()
    }

    /// Readable while there is something to hear; none once it has ended.
    pub fn line(&self) -> Option<BorrowedFd<'_>> {
        self.ended.get().is_none().then(|| self.line.as_fd())
    }

    pub fn sources(&self) -> [Source<'_>; 2] {
        let of_main = match &self.main {
            Main::Unseen => Source::NONE,
            Main::Watched(main) => Source { due: None, descriptor: Some(main.as_fd()) },
            Main::Ended { report_due: due } | Main::Asked { reply_due: due } => {
                Source { due: Some(*due), descriptor: None }
            }
        };
        [Source { due: self.due(), descriptor: self.line() }, of_main]
    }

    /// The main process executes. Should the number be another's by now, no harm is done: the keeper is asked in vain.
    pub fn watch(&mut self, main: i32) {
        let handle = Pid::from_raw(main).and_then(|main| pidfd_open(main, PidfdFlags::empty()).ok());
        self.main = handle.map_or(Main::Unseen, Main::Watched);
    }

    /// The keeper has told of the end of the main process.
    pub fn main_ended(&mut self) {
        self.main = Main::Unseen;
    }

    /// The next thing that it tells, if there is one.
    pub fn hear(&self) -> Option<Report> {
        let mut bytes = [0; Report::LENGTH];
        match receive(self.line.as_fd(), &mut bytes) {
            Ok(Report::LENGTH) => Report::from_bytes(bytes),
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR | nix::errno::Errno::ENOMEM) => None,
            Ok(_) | Err(_) => {
                self.ended.set(self.ended.get().or_else(|| Some(SystemClock::now())));
                None
            }
        }
    }

    /// Has a signal sent.
    ///
    /// # Errors
    /// `EAGAIN` if it does not take orders just now, `EPIPE` if it is gone.
    pub fn order(&self, recipient: Recipient, signal: Signal) -> Result<(), Errno> {
        let order = Order { recipient, signal }.to_bytes();
        if !self.has_unread() {
            self.stall.set(Stall::Since(SystemClock::now()));
        }
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        send(self.line.as_raw_fd(), &order, flags).map(drop).map_err(|error| Errno::from_raw_os_error(error as i32))
    }

    /// Has it go on, should it have been stopped.
    pub fn wake(&self) {
        self.signal(Signal::CONT);
    }

    /// Whether it has not taken orders for a while, told once: a debugger or a frozen cgroup holds it, and its children
    /// are better off with the supervisor.
    pub fn is_held(&mut self, now: Instant) -> bool {
        if !self.has_unread() {
            self.stall.set(Stall::None);
        }
        self.stall.get_mut().overdue(now).is_some()
    }

    /// Whether it has not taken all orders yet.
    pub fn has_unread(&self) -> bool {
        linux::unread_by_peer(self.line.as_fd()) > 0
    }

    /// What holds up the news that the main process has ended, told once.
    pub fn holder_of_end(&mut self, now: Instant) -> Holder {
        match &self.main {
            // It is dead or about to be, and what it kept comes to this process.
            Main::Ended { .. } | Main::Asked { .. } if self.ended.get().is_some() => self.main = Main::Unseen,
            Main::Watched(main) if has_ended(main.as_fd()) => {
                self.main = Main::Ended { report_due: now + LONGEST_SILENCE };
            }
            Main::Ended { report_due } if now >= *report_due => {
                // The process is gone, and nobody gets it.
                let _ = self.order(Recipient::Main, Signal::CONT);
                self.main = Main::Asked { reply_due: now + LONGEST_SILENCE };
            }
            Main::Asked { reply_due } if now >= *reply_due => {
                self.main = Main::Unseen;
                return if self.has_unread() { Holder::OfKeeper } else { Holder::OfMain };
            }
            Main::Unseen | Main::Watched(_) | Main::Ended { .. } | Main::Asked { .. } => {}
        }
        Holder::None
    }

    /// Kills it; what it keeps must be killed before, where it keeps a keeper.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Whether its own children are those of the run, or a keeper that has them.
    pub fn company(&self) -> Company {
        self.company
    }

    /// Takes note that it was reaped.
    pub fn reaped(&mut self, status: ExitStatus) {
        if let Life::Child(pid) = self.life {
            self.life = Life::Reaped(pid, status);
        }
    }

    pub fn is_reaped(&self) -> bool {
        matches!(self.life, Life::Reaped(..))
    }

    /// When its death is taken for granted, though it could not be reaped.
    pub fn due(&self) -> Option<Instant> {
        match self.life {
            Life::Child(_) => self.ended.get().map(|ended| ended + LONGEST_DEATH),
            Life::Reaped(..) => None,
        }
    }

    /// How it ended, once both it and all that it had to tell are at their end. `has_work` is asked where it takes long:
    /// one that keeps a keeper still kills what that has left.
    pub fn end(&self, now: Instant, has_work: impl FnOnce() -> bool) -> Option<KeeperEnd> {
        match (self.life, self.ended.get()) {
            (Life::Reaped(_, status), Some(_)) if status.is_success() => Some(KeeperEnd::Clean),
            (Life::Reaped(..), Some(_)) => Some(KeeperEnd::Killed),
            (Life::Child(_), Some(_)) if self.due().is_some_and(|due| now >= due) => {
                if has_work() {
                    self.ended.set(Some(now));
                    return None;
                }
                // Should it live, it must not take the supervisor for dead, and remove its files.
                self.kill();
                Some(KeeperEnd::Killed)
            }
            (Life::Child(_) | Life::Reaped(..), _) => None,
        }
    }

    /// Has everything that it keeps killed, and does not wait for it.
    pub fn hang_up(&self) {
        let _ = nix::sys::socket::shutdown(self.line.as_raw_fd(), nix::sys::socket::Shutdown::Both);
        self.wake();
    }

    /// Waits for its end, but no longer than this. Where it cannot be watched, for want of a descriptor, it is trusted.
    pub fn ends_within(&self, patience: Timespec) -> bool {
        let Life::Child(pid) = self.life else { return true };
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&patience)) == Ok(1),
            Err(_) => {
                std::thread::sleep(Duration::from_millis(10));
                true
            }
        }
    }

    fn signal(&self, signal: Signal) {
        if let Life::Child(pid) = self.life {
            // A child that is not reaped can be signalled.
            let _ = kill_process(pid, signal.to_send());
        }
    }
}

/// The end of a keeper that has left an order unread overtakes what it told before: there may be something after that.
fn receive(line: BorrowedFd<'_>, bytes: &mut [u8]) -> nix::Result<usize> {
    let mut receive = || recv(line.as_raw_fd(), bytes, MsgFlags::MSG_DONTWAIT);
    match receive() {
        Err(nix::errno::Errno::ECONNRESET) => receive(),
        received => received,
    }
}

fn has_ended(process: BorrowedFd<'_>) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::from_borrowed_fd(process, PollFlags::IN)], Some(&now)) == Ok(1)
}

/// Nothing that it keeps outlives its owner. What cannot die is not waited for long.
impl Drop for Keeper {
    fn drop(&mut self) {
        let Life::Child(pid) = self.life else { return };
        self.hang_up();
        self.ends_within(LAST_PATIENCE);
        let _ = waitpid(Some(pid), WaitOptions::NOHANG);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_keeper_told_is_heard_though_it_has_left_an_order_unread() {
        let (own, far) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap();
        let order = Order { recipient: Recipient::Group, signal: Signal::TERM }.to_bytes();
        send(own.as_raw_fd(), &order, MsgFlags::empty()).unwrap();
        let report = Report::Continued { pid: 1 };
        send(far.as_raw_fd(), &report.to_bytes(), MsgFlags::empty()).unwrap();
        drop(far);
        let mut bytes = [0; Report::LENGTH];
        assert_eq!(receive(own.as_fd(), &mut bytes), Ok(Report::LENGTH));
        assert_eq!(Report::from_bytes(bytes), Some(report));
        assert_eq!(receive(own.as_fd(), &mut bytes), Ok(0));
    }
}
