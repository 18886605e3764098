//! What a backend is to run, and how.

use crate::hooks::HookCalls;
use crate::keeper::exec::Command;
use crate::own_file::OwnFile;
use crate::signals::Signal;
use std::path::PathBuf;
use std::time::Duration;

/// What a [`UnixBackend`](crate::UnixBackend) is to run, and how.
#[derive(Debug)]
pub struct Config {
    /// The command.
    pub command: Command,
    /// The file that it touches while it is well, if it is to be looked at.
    pub heartbeat_file: Option<PathBuf>,
    /// Run beside the command; each success is a heartbeat.
    pub probe: Option<ProbeConfig>,
    /// What asks a command to leave.
    pub stop_signal: Signal,
    /// What a hung command gets first.
    pub hang_signal: Signal,
    /// Who gets these two.
    pub stop_target: StopTarget,
    /// Signals to the supervisor that ask it to stop, beside SIGTERM and SIGINT.
    pub stop_on: Vec<Signal>,
    /// The signal to the supervisor that asks it to restart the command, if there is one.
    pub restart_signal: Option<Signal>,
    /// Whether the command may tell things of itself.
    pub notifications: Notifications,
    /// What is run for each event, if something is.
    pub hook: Option<HookConfig>,
    /// How often [`UnixNotice::Tick`](crate::UnixNotice::Tick) is told; never, if this is none.
    pub tick: Option<Duration>,
    /// Files that keepers remove, should this process be killed.
    pub own_files: Vec<OwnFile>,
}

/// Who gets the signals that ask a command to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopTarget {
    /// Its process group.
    Group,
    /// The main process alone, which passes them on.
    Main,
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
#[derive(Debug)]
pub struct HookConfig {
    /// The program.
    pub command: Command,
    /// What it is called for.
    pub calls: HookCalls,
}

/// What is run again and again beside the command.
#[derive(Clone, Debug)]
pub struct ProbeConfig {
    /// The probe.
    pub command: Command,
    /// Time from the end of one to the start of the next.
    pub interval: Duration,
    /// It may last this long.
    pub timeout: Duration,
    /// The first one starts this long after the command.
    pub initial_delay: Duration,
}
