//! The terminal that the supervisor was started from: a command that reads it is lent it.
//!
//! The command leads a group of its own, so that the kernel stops it when it reads the terminal: termios(3). As long as
//! it does not, the terminal's keys are for the supervisor.

use crate::clock::SystemClock;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Pid, getpgrp, test_kill_process_group};
use rustix::termios::{tcgetpgrp, tcsetpgrp};
use std::time::Duration;
use supervisor_core::Instant;

/// How often a supervisor in the background looks whether it has come to the front, while its command waits for that.
const PAUSE: Duration = Duration::from_millis(200);

/// Who has the terminal, as far as we gave it away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Terminal {
    /// Whoever had it.
    Kept,
    /// The command is stopped for want of it, and we have nothing to lend.
    Wanted { retry_at: Instant },
    /// The command, or a job of it.
    Lent,
}

impl Terminal {
    /// When the next attempt to lend it is due.
    pub fn due(self) -> Option<Instant> {
        match self {
            Terminal::Wanted { retry_at } => Some(retry_at),
            Terminal::Kept | Terminal::Lent => None,
        }
    }

    /// Gives it to a process group, if it is ours to give; else it is wanted.
    pub fn lend(&mut self, group: Pid) -> bool {
        let is_ours = |terminal: &OwnedFd| tcgetpgrp(terminal) == Ok(getpgrp());
        let lent = own().filter(is_ours).is_some_and(|terminal| tcsetpgrp(terminal, group).is_ok());
        *self = if lent { Terminal::Lent } else { Terminal::Wanted { retry_at: SystemClock::now() + PAUSE } };
        lent
    }

    /// Takes back what was given away, from the command or a job of it; tells whether it was.
    pub fn take_back(&mut self, is_of_command: impl Fn(Pid) -> bool) -> bool {
        let was_lent = *self == Terminal::Lent;
        *self = Terminal::Kept;
        if let Some(terminal) = own().filter(|_| was_lent) {
            // A group without members is nobody's; where the kernel tells none, it is one of another namespace.
            let is_free = tcgetpgrp(&terminal)
                .map_or(true, |group| is_of_command(group) || test_kill_process_group(group).is_err());
            if is_free {
                // In the background this takes an ignored SIGTTOU, which we have.
                let _ = tcsetpgrp(&terminal, getpgrp());
            }
        }
        was_lent
    }
}

/// The controlling terminal, if there is one: tty(4).
fn own() -> Option<OwnedFd> {
    open("/dev/tty", OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).ok()
}
