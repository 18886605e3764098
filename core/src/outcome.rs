//! How it all ends.

use crate::{ExitStatus, StartFailure};

/// How the supervisor's work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(tag = "outcome", rename_all = "snake_case"))]
pub enum Outcome {
    /// The command did what it was started for.
    Finished,
    /// Asked to stop; the command left when it was asked, or was not running.
    Stopped,
    /// Asked to stop, and the command itself had to be killed.
    Killed,
    /// The last run ended so, and the command is not started again.
    GaveUp {
        /// How the last run ended.
        end: End,
        /// What forbids another.
        reason: GiveUp,
    },
}

/// How a run ended, if nobody asked for its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum End {
    /// Its main process exited or was killed.
    Exited(ExitStatus),
    /// It hung.
    Hung,
    /// It never started.
    NotStarted(StartFailure),
}

/// Why there is no further restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum GiveUp {
    /// The policy never restarts.
    NeverRestarts,
    /// All restarts of the streak are used up.
    RestartsUsedUp,
    /// The command cannot be started and never could: trying again would not help.
    CannotStart,
}
