//! The terminal that the supervisor was started from: a command that reads it is lent it.
//!
//! The command leads a group of its own, so that the kernel stops it when it reads the terminal: termios(3). As long as
//! it does not, the terminal's keys are for the supervisor.

use crate::clock::SystemClock;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, open};
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
    Lent { modes: Box<Termios> },
}

/// What became of a loan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Return {
    /// There was none.
    NotLent,
    /// The terminal is ours again, or whoever's it was.
    Returned,
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
        let wanted = Terminal::Wanted { retry_at: SystemClock::now() + PAUSE };
        *self = give(group).map_or(wanted, |modes| Terminal::Lent { modes: Box::new(modes) });
        self.is_lent()
    }

    /// Takes back what was given away, from the command or a job of it.
    pub fn take_back(&mut self, is_of_command: impl Fn(Pid) -> bool) -> Return {
        let Terminal::Lent { modes } = std::mem::replace(self, Terminal::Kept) else { return Return::NotLent };
        let Some(terminal) = own() else { return Return::HungUp };
        // A group without members is nobody's; where the kernel tells none, it is one of another namespace.
        let is_free =
            tcgetpgrp(&terminal).map_or(true, |group| is_of_command(group) || test_kill_process_group(group).is_err());
        if is_free {
            // In the background both take an ignored SIGTTOU, which we have.
            let _ = tcsetpgrp(&terminal, getpgrp());
            let _ = tcsetattr(&terminal, OptionalActions::Drain, &modes);
        }
        Return::Returned
    }
}

/// Gives the terminal away if we have it, and returns the modes that it had.
fn give(group: Pid) -> Option<Termios> {
    let terminal = own().filter(|terminal| tcgetpgrp(terminal) == Ok(getpgrp()))?;
    let modes = tcgetattr(&terminal).ok()?;
    tcsetpgrp(&terminal, group).ok()?;
    Some(modes)
}

/// The controlling terminal, if there is one: tty(4).
fn own() -> Option<OwnedFd> {
    open("/dev/tty", OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).ok()
}
