//! A world on virtual time: commands that behave as a script says, and a clock that jumps.
//!
//! [`SimBackend`] is a [`Backend`](crate::Backend) like any other, so that [`run`](crate::run) takes the very
//! decisions that it takes in production, through as much time as one likes. [`Service`] is a random but repeatable
//! command to run in it; [`Ledger`] keeps account of what became of it.

mod backend;
mod ledger;
mod service;

pub use backend::SimBackend;
pub use ledger::{Activity, Ledger, Period};
pub use service::Service;

use crate::{ExitStatus, StartFailure};
use core::time::Duration;

/// How one run of a command will behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behaviour {
    /// Why it does not even start, if so.
    pub start_failure: Option<StartFailure>,
    /// How long its start takes, or the failure of it.
    pub start_takes: Duration,
    /// Its heartbeats.
    pub heartbeats: Heartbeats,
    /// How they become known.
    pub beats_by: Means,
    /// Whether their time stamps are believed.
    pub stamps: Stamps,
    /// How long a look at them takes.
    pub look_takes: Duration,
    /// When it ends by itself, counted from its start, and how.
    pub exit: Option<(Duration, ExitStatus)>,
    /// What it does when it is asked to leave. It then exits with code 0.
    pub when_asked: Reaction,
    /// What it does on a hang signal that comes before that; none where there is no such signal.
    pub on_hang_signal: Option<Reaction>,
    /// What a process does that it leaves behind, if it leaves one.
    pub leftover: Option<Reaction>,
}

impl Behaviour {
    /// Starts at once, never beats, runs for ever, and leaves nothing behind when it leaves at once.
    pub const SILENT: Behaviour = Behaviour {
        start_failure: None,
        start_takes: Duration::ZERO,
        heartbeats: Heartbeats::NONE,
        beats_by: Means::File,
        stamps: Stamps::Believed,
        look_takes: Duration::ZERO,
        exit: None,
        when_asked: Reaction::LeavesAfter(Duration::ZERO),
        on_hang_signal: None,
        leftover: None,
    };

    /// The same, but what keeps the run together is killed after so long, and SIGKILL takes all of the run with it.
    pub fn with_keeper_lost(self, after: Duration) -> Behaviour {
        Behaviour { exit: Some((after, ExitStatus::KILLED)), leftover: None, ..self }
    }
}

/// Heartbeats: none at the start, then one `every` so often, up to and including `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeats {
    /// The pause between two; zero means that there are none.
    pub every: Duration,
    /// How long after the start they cease.
    pub until: Duration,
}

impl Heartbeats {
    /// Never any.
    pub const NONE: Heartbeats = Heartbeats { every: Duration::ZERO, until: Duration::ZERO };

    /// The first one after `age`, the time since the start.
    pub fn next(&self, age: Duration) -> Option<Duration> {
        let count = age.as_nanos().checked_div(self.every.as_nanos())?;
        let next = self.every.checked_mul(u32::try_from(count + 1).ok()?)?;
        (next <= self.until).then_some(next)
    }

    /// The last one at or before `age`, the time since the start.
    pub fn last(&self, age: Duration) -> Option<Duration> {
        let count = age.min(self.until).as_nanos().checked_div(self.every.as_nanos())?;
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        (count > 0).then(|| self.every * count)
    }
}

/// How heartbeats become known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// By looks at a file, where somebody looks.
    File,
    /// Each is told at its moment, as by sd_notify(3) or a probe.
    Messages,
}

/// Whether the moment of a heartbeat is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamps {
    /// It is.
    Believed,
    /// The clock was stepped, or the file system's is not trusted: only that there was one.
    Doubted,
}

/// What a process does when it is asked to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// It stays.
    Stays,
    /// It leaves after this long.
    LeavesAfter(Duration),
}
