//! How a run is brought to its end: why, and how far the escalation has come.

use crate::{Ending, ExitStatus, Instant, Purpose};
use core::time::Duration;

/// Why a run ends. It only grows: a stop outranks a restart, a restart a hang, and a hang an exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reason {
    Exit(ExitStatus),
    Hang(Main),
    Restart(Main),
    Stop { main: Main, since: Instant },
}

/// The main process of an ending run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Main {
    /// Its start was ordered and its result is awaited.
    Unborn,
    /// It lives; this is its process id.
    Alive(u32),
    /// It left by itself, or because it was asked to.
    Left,
    /// It was killed by our SIGKILL.
    Killed,
}

/// The steps that lead to the end of a run. One escalation serves hangs, stops, restarts and leftovers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Escalation {
    /// Asked to leave; killed at this moment.
    Stop { kill_at: Instant },
    /// Killed since then; once more at `again_at`, should anything survive.
    Kill { since: Instant, again_at: Instant },
}

impl Reason {
    pub fn is_hang(self) -> bool {
        match self {
            Reason::Hang(_) => true,
            Reason::Exit(_) | Reason::Restart(_) | Reason::Stop { .. } => false,
        }
    }

    pub fn main(self) -> Main {
        match self {
            Reason::Exit(_) => Main::Left,
            Reason::Hang(main) | Reason::Restart(main) | Reason::Stop { main, .. } => main,
        }
    }

    pub fn with_main(self, main: Main) -> Reason {
        match self {
            Reason::Exit(status) => Reason::Exit(status),
            Reason::Hang(_) => Reason::Hang(main),
            Reason::Restart(_) => Reason::Restart(main),
            Reason::Stop { since, .. } => Reason::Stop { main, since },
        }
    }

    /// Whether it has been a stop for at least so long.
    pub fn is_stop_since(self, now: Instant, at_least: Duration) -> bool {
        match self {
            Reason::Stop { since, .. } => now - since >= at_least,
            Reason::Exit(_) | Reason::Hang(_) | Reason::Restart(_) => false,
        }
    }
}

impl Escalation {
    /// The moment of its next step.
    pub fn due(self) -> Instant {
        match self {
            Escalation::Stop { kill_at } => kill_at,
            Escalation::Kill { again_at, .. } => again_at,
        }
    }

    /// What a main process that ended in this step did. Only one that was ended by SIGKILL itself was killed: another
    /// left by itself, be it at the last moment.
    pub fn effect(self, status: ExitStatus) -> (Main, Ending) {
        match self {
            Escalation::Kill { .. } if status == ExitStatus::KILLED => (Main::Killed, Ending::Killed),
            Escalation::Stop { .. } | Escalation::Kill { .. } => (Main::Left, Ending::Asked),
        }
    }

    pub fn purpose_for_leftovers(self) -> Purpose {
        match self {
            Escalation::Stop { .. } => Purpose::Stop,
            Escalation::Kill { .. } => Purpose::Kill,
        }
    }
}
