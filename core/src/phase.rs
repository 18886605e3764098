//! Where a supervisor stands, as others may know it.

use crate::escalation::Main;
use crate::{Instant, LastBeat, Outcome};

/// Where a supervisor stands: what status files, metrics and service managers tell of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// A start was ordered and its result is awaited.
    Starting,
    /// The command runs, and is well as far as one knows.
    Running {
        /// Its main process.
        pid: u32,
        /// Its last sign of life.
        last_beat: LastBeat,
    },
    /// The command hung, and is brought to its end.
    Hung(Main),
    /// The supervisor was asked to start the command anew, and brings the run to its end.
    Restarting(Main),
    /// The supervisor was asked to stop, and brings the run to its end.
    Stopping(Main),
    /// The main process has ended by itself, and what it left behind is cleared.
    Clearing,
    /// Nothing runs; the next start comes at this moment.
    BackingOff {
        /// Then.
        until: Instant,
    },
    /// It is over.
    Done(Outcome),
}

impl Phase {
    /// The main process, while it lives.
    pub fn pid(self) -> Option<u32> {
        match self {
            Phase::Running { pid, .. }
            | Phase::Hung(Main::Alive(pid))
            | Phase::Restarting(Main::Alive(pid))
            | Phase::Stopping(Main::Alive(pid)) => Some(pid),
            Phase::Hung(_) | Phase::Restarting(_) | Phase::Stopping(_) => None,
            Phase::Starting | Phase::Clearing | Phase::BackingOff { .. } | Phase::Done(_) => None,
        }
    }
}
