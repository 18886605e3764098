//! A program that is run beside the command, a hook or a probe: below a keeper of its own, and never for long.

use crate::keeper::exec::{Program, Role};
use crate::keeper::protocol::{Recipient, Report};
use crate::keeper::{Company, Keeper, LONGEST_SILENCE, Remains};
use crate::signals::{Signal, Signals};
use crate::source::Source;
use crate::tree::process::Process;
use crate::tree::{end_held, kill_all_below};
use rustix::event::Timespec;
use std::ffi::CString;
use std::io;
use supervisor_core::{ExitStatus, Instant};

/// One that runs, or whose processes are being killed.
pub(crate) struct Helper {
    keeper: Keeper,
    /// It is ended then.
    until: Instant,
    ending: Ending,
    parting: Parting,
}

/// How far its keeper has come that has nothing left to do but to end.
#[derive(Clone, Copy)]
enum Parting {
    NotYet,
    /// It has got an order that changes nothing. By then, it should have taken that. One that has, and can run, waits for
    /// what survives SIGKILL: it is looked at again.
    Asked {
        look_due: Instant,
    },
    /// It cannot run, and was killed. By then it should have been reaped.
    Killed {
        reaped_due: Instant,
    },
}

/// What became of a keeper that has nothing left to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parted {
    NotYet,
    /// A debugger or a frozen cgroup holds it, so that it is killed: told once.
    Held {
        keeper: i32,
    },
    /// It is dead and cannot be reaped, or cannot die. What it kept comes to this process.
    GivenUp,
}

/// At the end of the supervisor, the processes of one may take so long to die.
const LAST_PATIENCE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// How it ended, as far as that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    NotYet,
    Known(HelperEnd),
}

/// How a helper ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HelperEnd {
    Exited(ExitStatus),
    /// It could not be executed, by this error number.
    NotStarted(i32),
    TookTooLong,
}

impl Helper {
    /// # Errors
    /// Those of [`Keeper::start`].
    pub fn start(
        program: &Program,
        variables: &[CString],
        role: &Role<'_>,
        signals: &Signals,
        until: Instant,
        company: Company,
    ) -> io::Result<Helper> {
        let keeper = Keeper::start(program, variables, role, signals, &Remains::default(), company)?;
        Ok(Helper { keeper, until, ending: Ending::NotYet, parting: Parting::NotYet })
    }

    /// The process id of its keeper.
    pub fn keeper(&self) -> i32 {
        self.keeper.pid()
    }

    /// Whether its keeper was killed, so that what it kept comes to this process.
    pub fn has_killed_keeper(&self) -> bool {
        matches!(self.parting, Parting::Killed { .. })
    }

    pub fn source(&self) -> Source<'_> {
        let due = match (self.ending, self.parting) {
            (_, Parting::Asked { look_due: due } | Parting::Killed { reaped_due: due }) => Some(due),
            (Ending::NotYet, Parting::NotYet) => Some(self.until),
            (Ending::Known(_), Parting::NotYet) => None,
        };
        Source { due, descriptor: self.keeper.line() }
    }

    /// Has it go on, should its keeper have been stopped.
    pub fn wake(&self) {
        self.keeper.wake();
    }

    /// Ends it, and all that it started.
    pub fn end(&mut self, now: Instant) {
        self.part(now);
        self.keeper.hang_up();
    }

    /// Its keeper should end now. Whether it can is seen by an order.
    fn part(&mut self, now: Instant) {
        if let Parting::NotYet = self.parting {
            let _ = self.keeper.order(Recipient::Main, Signal::CONT);
            self.parting = Parting::Asked { look_due: now + LONGEST_SILENCE };
        }
    }

    /// Sees to a keeper that should have ended by now. One that is given up is forgotten.
    pub fn poll_parting(&mut self, now: Instant) -> Parted {
        match self.parting {
            Parting::Asked { look_due } if now >= look_due => {
                let keeper = self.keeper.pid();
                let process = Process::read(keeper);
                if process.as_ref().is_some_and(|process| !process.is_alive()) {
                    self.keeper.reaped(ExitStatus::KILLED);
                    return Parted::GivenUp;
                }
                if !self.keeper.has_unread() && !process.is_some_and(|process| process.is_traced()) {
                    self.parting = Parting::Asked { look_due: now + LONGEST_SILENCE };
                    return Parted::NotYet;
                }
                end_held(&self.keeper);
                self.parting = Parting::Killed { reaped_due: now + LONGEST_SILENCE };
                Parted::Held { keeper }
            }
            Parting::Killed { reaped_due } if now >= reaped_due => {
                self.keeper.kill();
                self.keeper.reaped(ExitStatus::KILLED);
                Parted::GivenUp
            }
            Parting::NotYet | Parting::Asked { .. } | Parting::Killed { .. } => Parted::NotYet,
        }
    }

    /// Ends what takes too long. Hears how it ended, told once, even where processes that it started are still being
    /// killed.
    pub fn poll_end(&mut self, now: Instant) -> Option<HelperEnd> {
        let heard = std::iter::from_fn(|| self.keeper.hear()).filter_map(|report| match report {
            Report::Ended { status, .. } => Some(HelperEnd::Exited(status)),
            Report::Failed { os_error } => Some(HelperEnd::NotStarted(os_error)),
            Report::Forked { .. }
            | Report::Started { .. }
            | Report::Stopped { .. }
            | Report::Continued { .. }
            | Report::TooLate { .. } => None,
        });
        let heard = heard.last();
        let end = match (self.ending, heard) {
            (Ending::Known(_), _) => return None,
            (Ending::NotYet, Some(end)) => end,
            (Ending::NotYet, None) if now >= self.until => {
                self.end(now);
                HelperEnd::TookTooLong
            }
            (Ending::NotYet, None) => return None,
        };
        self.part(now);
        self.ending = Ending::Known(end);
        Some(end)
    }

    /// Its keeper was reaped: nothing of it is left, unless the keeper was killed. Hears how it ended, if that was not
    /// told before.
    pub fn reaped(mut self, now: Instant) -> Option<HelperEnd> {
        let end = self.poll_end(now);
        self.keeper.reaped(ExitStatus::KILLED);
        match (end, self.ending) {
            (None, Ending::NotYet) => Some(HelperEnd::Exited(ExitStatus::KILLED)),
            (end, _) => end,
        }
    }
}

/// Nothing that it started outlives its owner, whatever holds its keeper.
impl Drop for Helper {
    fn drop(&mut self) {
        if self.keeper.is_reaped() {
            return;
        }
        self.keeper.hang_up();
        if !self.keeper.ends_within(LAST_PATIENCE) {
            kill_all_below(self.keeper.pid());
            self.keeper.kill();
        }
    }
}
