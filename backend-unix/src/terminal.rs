//! The terminal that the supervisor was started from: a command that reads it is lent it.
//!
//! The command leads a group of its own, so that the kernel stops it when it reads the terminal: termios(3). As long as
//! it does not, the terminal's keys are for the supervisor.

use crate::clock::SystemClock;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::process::{Pid, getpgrp, test_kill_process_group};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr, tcsetpgrp};
use std::time::Duration;
use supervisor_core::Instant;

/// How often a supervisor in the background looks whether it has come to the front, while its command waits for that.
const PAUSE: Duration = Duration::from_millis(200);

/// Who has the terminal, as far as we gave it away.
pub(crate) enum Terminal {
    /// Whoever had it.
    Kept,
    /// The command is stopped for want of it, and we have nothing to lend.
    Wanted { retry_at: Instant },
    /// The command, or a job of it. It had these modes before.
    Lent { terminal: OwnedFd, modes: Box<Termios>, interrupt: Interrupt },
}

/// Where a SIGINT to the command came from, if one came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interrupt {
    /// From the terminal's keys.
    Keys,
    /// From us, who use it to ask the command to leave.
    Request,
}

/// What became of a loan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Return {
    /// There was none.
    NotLent,
    /// The terminal is ours again, or whoever's it was.
    Returned(Interrupt),
    /// There is no terminal any more.
    HungUp,
}

impl Terminal {
    /// When the next attempt to lend it is due.
    pub fn due(&self) -> Option<Instant> {
        match self {
            Terminal::Wanted { retry_at } => Some(*retry_at),
            Terminal::Kept | Terminal::Lent { .. } => None,
        }
    }

    pub fn is_lent(&self) -> bool {
        matches!(self, Terminal::Lent { .. })
    }

    /// Gives it to a process group, if it is ours to give; else it is wanted.
    pub fn lend(&mut self, group: Pid) -> bool {
        *self = give(group).unwrap_or_else(|| Terminal::Wanted { retry_at: SystemClock::now() + PAUSE });
        self.is_lent()
    }

    /// Takes note that we send a SIGINT ourselves.
    pub fn request_by_sigint(&mut self) {
        if let Terminal::Lent { interrupt, .. } = self {
            *interrupt = Interrupt::Request;
        }
    }

    /// Takes back what was given away, from the command or a job of it.
    pub fn take_back(&mut self, is_of_command: impl Fn(Pid) -> bool) -> Return {
        let Terminal::Lent { terminal, modes, interrupt } = std::mem::replace(self, Terminal::Kept) else {
            return Return::NotLent;
        };
        match tcgetpgrp(&terminal) {
            // It is hung up, or not ours any more: ioctl_tty(2).
            Err(Errno::IO | Errno::NOTTY) => return Return::HungUp,
            // Somebody else has it.
            Ok(group) if !is_of_command(group) && !is_nobody(group) => {}
            // Where the kernel tells no group, it is one of another namespace.
            Ok(_) | Err(_) => {
                // In the background both take an ignored SIGTTOU, which we have.
                let _ = tcsetpgrp(&terminal, getpgrp());
                // At once: a person who has stopped the output stops nothing else.
                let _ = tcsetattr(&terminal, OptionalActions::Now, &modes);
            }
        }
        Return::Returned(interrupt)
    }
}

/// Gives the terminal away if we have it, or nobody: a job of the command may have taken it last, and be gone.
fn give(group: Pid) -> Option<Terminal> {
    let terminal = own()?;
    tcgetpgrp(&terminal).ok().filter(|&owner| owner == getpgrp() || is_nobody(owner))?;
    let modes = Box::new(tcgetattr(&terminal).ok()?);
    tcsetpgrp(&terminal, group).ok()?;
    Some(Terminal::Lent { terminal, modes, interrupt: Interrupt::Keys })
}

/// Whether a process group has no members.
fn is_nobody(group: Pid) -> bool {
    test_kill_process_group(group) == Err(Errno::SRCH)
}

/// The controlling terminal, if there is one: tty(4).
fn own() -> Option<OwnedFd> {
    open("/dev/tty", OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).ok()
}
