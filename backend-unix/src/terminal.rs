//! The terminal that the supervisor was started from: a command that reads it is lent it.
//!
//! The command leads a group of its own, so that the kernel stops it when it reads the terminal: termios(3). As long as
//! it does not, the terminal's keys are for the supervisor.

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::process::{Pid, getpgrp};
use rustix::termios::{tcgetpgrp, tcsetpgrp};

/// Who has the terminal, as far as we gave it away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Terminal {
    /// Whoever had it.
    Kept,
    /// The command.
    Lent,
}

impl Terminal {
    /// Gives it to a process group, if it is ours to give.
    pub fn lend(&mut self, group: Pid) -> bool {
        let lent = pass(getpgrp(), group).is_ok();
        if lent {
            *self = Terminal::Lent;
        }
        lent
    }

    /// Takes back what was given away; tells whether it was.
    pub fn take_back(&mut self, group: Pid) -> bool {
        let lent = *self == Terminal::Lent;
        if lent {
            // The group may be empty by now; then the terminal has nobody to ask.
            let _ = pass(group, getpgrp());
            *self = Terminal::Kept;
        }
        lent
    }
}

/// In the background this takes an ignored SIGTTOU, which the supervisor has.
fn pass(from: Pid, to: Pid) -> Result<(), Errno> {
    let terminal = open("/dev/tty", OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    match tcgetpgrp(&terminal) {
        Ok(current) if current != from => Err(Errno::PERM),
        // No group has it, or one of another namespace.
        Ok(_) | Err(_) => tcsetpgrp(&terminal, to),
    }
}
