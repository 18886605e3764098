//! How a run is brought to its end: why, and with how much force.

use crate::{Ending, ExitStatus, Instant, Signal};

/// Why a run ends. It only grows: a stop outranks a hang, and a hang an exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Why {
    Exit(ExitStatus),
    Hang(Main),
    Stop(Main),
}

/// The main process of an ending run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Main {
    Alive,
    Left,
    Killed,
}

/// How much force is in use. One escalation serves hangs, stops and leftovers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Force {
    /// Asked to leave; killed at this moment.
    Term { kill_at: Instant },
    /// Killed since then; once more at `again_at`, should anything survive.
    Kill { since: Instant, again_at: Instant },
}

impl Why {
    pub fn main(self) -> Main {
        match self {
            Why::Exit(_) => Main::Left,
            Why::Hang(main) | Why::Stop(main) => main,
        }
    }

    pub fn with_main(self, main: Main) -> Why {
        match self {
            Why::Exit(status) => Why::Exit(status),
            Why::Hang(_) => Why::Hang(main),
            Why::Stop(_) => Why::Stop(main),
        }
    }
}

impl Force {
    /// What a main process that ended under this force did. One that exits with a code left by itself, be it at the
    /// last moment.
    pub fn effect(self, status: ExitStatus) -> (Main, Ending) {
        match (self, status) {
            (Force::Kill { .. }, ExitStatus::Signal(_)) => (Main::Killed, Ending::Killed),
            (Force::Kill { .. }, ExitStatus::Code(_)) | (Force::Term { .. }, _) => (Main::Left, Ending::Asked),
        }
    }

    pub fn signal_for_leftovers(self) -> Signal {
        match self {
            Force::Term { .. } => Signal::Stop,
            Force::Kill { .. } => Signal::Kill,
        }
    }
}
