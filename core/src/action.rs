//! Orders: what the machine tells a backend to do. Orders return nothing; results come as [`Event`](crate::Event)s.

use crate::RunId;

/// An order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Start the command. Answered by `Started` or `StartFailed`.
    Start {
        /// The name of the new run.
        run: RunId,
        /// Restarts made so far in this streak, this one included.
        restarts: u32,
    },
    /// Look whether the heartbeat changed. Answered by `Observed`.
    Look {
        /// The run on whose behalf.
        run: RunId,
    },
    /// Send a signal to the run. Its effect is told by `Exited` and `Cleared`.
    Signal {
        /// The run to be signalled.
        run: RunId,
        /// What the signal is for.
        purpose: Purpose,
    },
}

/// What a signal is for. The backend knows which number that is, and which processes get it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Ask to leave: the process group while the main process lives, then whatever it left behind. No process is
    /// asked twice.
    Stop,
    /// The first signal to a hung command. Where the policy has no step of its own for that
    /// ([`OnHang`](crate::OnHang)), it asks the command to leave as `Stop` does.
    Hang,
    /// Kill everything of the run, at once.
    Kill,
}
