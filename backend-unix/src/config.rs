//! What a backend is to run, and how.

use crate::hooks::Hooks;
use crate::signal::Signal;
use crate::spawn::Command;
use std::path::PathBuf;
use std::time::Duration;

/// What a [`UnixBackend`](crate::UnixBackend) is to run, and how.
#[derive(Clone, Debug)]
pub struct Config {
    /// The command.
    pub command: Command,
    /// The file that it touches while it is well, if anybody is to look at it.
    pub heartbeat_file: Option<PathBuf>,
    /// What asks a command to leave.
    pub stop_signal: Signal,
    /// What asks a hung command to leave.
    pub hang_signal: Signal,
    /// Whether the command may tell things of itself.
    pub notifications: Notifications,
    /// What is run for each event.
    pub hook: Hook,
    /// How often [`UnixNotice::Tick`](crate::UnixNotice::Tick) is told; never, if this is none.
    pub tick: Option<Duration>,
}

/// Whether the command gets a `NOTIFY_SOCKET`: sd_notify(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notifications {
    /// It does not.
    Refused,
    /// It does.
    Taken,
}

/// What is run for each event.
#[derive(Clone, Debug)]
pub enum Hook {
    /// Nothing.
    None,
    /// This program, for each event of a queue that somebody fills.
    Run(Command, Hooks),
}
