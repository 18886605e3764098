//! A program that is run beside the command, a hook or a probe: below a keeper of its own, and never for long.

use crate::keeper::exec::{Program, Role};
use crate::keeper::protocol::Report;
use crate::keeper::{Company, Keeper, Remains};
use crate::signals::Signals;
use crate::source::Source;
use std::ffi::CString;
use std::io;
use supervisor_core::{ExitStatus, Instant};

/// One that runs, or whose processes are being killed.
pub(crate) struct Helper {
    keeper: Keeper,
    /// It is ended then.
    until: Instant,
    ending: Ending,
}

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
        Ok(Helper { keeper, until, ending: Ending::NotYet })
    }

    /// The process id of its keeper.
    pub fn keeper(&self) -> i32 {
        self.keeper.pid()
    }

    pub fn source(&self) -> Source<'_> {
        let due = match self.ending {
            Ending::NotYet => Some(self.until),
            Ending::Known(_) => None,
        };
        Source { due, descriptor: self.keeper.line() }
    }

    /// Has it go on, should its keeper have been stopped.
    pub fn wake(&self) {
        self.keeper.wake();
    }

    /// Ends it, and all that it started.
    pub fn end(&self) {
        self.keeper.hang_up();
    }

    /// Ends what takes too long. Hears how it ended, told once, even where processes that it started are still being
    /// killed.
    pub fn poll_end(&mut self, now: Instant) -> Option<HelperEnd> {
        let heard = std::iter::from_fn(|| self.keeper.hear()).filter_map(|report| match report {
            Report::Ended { status, .. } => Some(HelperEnd::Exited(status)),
            Report::Failed { os_error } => Some(HelperEnd::NotStarted(os_error)),
            Report::Forked { .. } | Report::Started { .. } | Report::Stopped { .. } | Report::Continued { .. } => None,
        });
        let heard = heard.last();
        let end = match (self.ending, heard) {
            (Ending::Known(_), _) => return None,
            (Ending::NotYet, Some(end)) => end,
            (Ending::NotYet, None) if now >= self.until => {
                self.keeper.hang_up();
                HelperEnd::TookTooLong
            }
            (Ending::NotYet, None) => return None,
        };
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
