//! Facts: what a backend tells the machine.

use crate::Instant;
use core::fmt;
use core::time::Duration;

/// Counts the starts of the command; 1 is the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RunId(pub u64);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "run {}", self.0)
    }
}

/// A fact. Those about a run name it, so that a late answer about an earlier run is harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Event {
    /// The command runs. `pid` is its process id, passed on to [`Notice::Started`](crate::Notice).
    Started {
        /// The run that started.
        run: RunId,
        /// Its main process.
        pid: u32,
    },
    /// The command could not be started; nothing of this run is left.
    StartFailed {
        /// The run that never was.
        run: RunId,
        /// Why.
        failure: StartFailure,
    },
    /// The main process ended; others that it started may live on.
    Exited {
        /// Whose main process.
        run: RunId,
        /// How it ended.
        status: ExitStatus,
    },
    /// The main process has ended and nothing that the run started is left.
    Cleared {
        /// The run that is over.
        run: RunId,
    },
    /// The answer to [`Action::Look`](crate::Action::Look).
    Observed {
        /// The run for which the look was asked.
        run: RunId,
        /// What the look found.
        observation: Observation,
    },
    /// The command tells something of itself.
    Message {
        /// The run that does.
        run: RunId,
        /// What it tells.
        message: Message,
    },
    /// A signal that was ordered went out only now: what was to be looked at before it took long. Its time begins now.
    Signalled {
        /// The run that got it.
        run: RunId,
    },
    /// The moment named by [`poll_timeout`](crate::Supervisor::poll_timeout) may have come.
    Timeout,
    /// The supervisor is asked to stop (SIGTERM).
    Stop,
    /// The supervisor is asked to stop; asked again a second into a stop, to stop at once (SIGINT).
    Interrupt,
    /// The supervisor is asked to stop the command and to start it anew, at once and uncounted.
    Restart,
}

impl Event {
    /// The run that this fact is about, if it is about one.
    pub fn run(&self) -> Option<RunId> {
        match *self {
            Event::Started { run, .. }
            | Event::StartFailed { run, .. }
            | Event::Exited { run, .. }
            | Event::Cleared { run }
            | Event::Observed { run, .. }
            | Event::Signalled { run }
            | Event::Message { run, .. } => Some(run),
            Event::Timeout | Event::Stop | Event::Interrupt | Event::Restart => None,
        }
    }
}

/// What a command may tell of itself, after sd_notify(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Message {
    /// A heartbeat: `WATCHDOG=1`.
    Heartbeat,
    /// Its start-up is over, and silence counts from now on: `READY=1`.
    Ready,
    /// It hangs, as it has found itself: `WATCHDOG=trigger`.
    Hang,
    /// From now on, and for the rest of the run, this is the longest silence: `WATCHDOG_USEC=`.
    Timeout(Duration),
    /// The streak of restarts is over: `RESTART_RESET=1`.
    StreakOver,
    /// Its start-up or its leaving, whichever is under way, may last this long from now: `EXTEND_TIMEOUT_USEC=`.
    Extension(Duration),
    /// It begins to leave: `STOPPING=1`.
    Leaving,
}

/// What a look at the heartbeat found, compared with the look before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Observation {
    /// No heartbeat since the last look.
    Unchanged,
    /// A heartbeat, the last one at this moment.
    Changed {
        /// When, between the two looks.
        at: Instant,
    },
    /// A heartbeat at an unknown moment between the two looks.
    ChangedSometime,
}

/// How a process ended. The numbers are the backend's; the machine only asks for success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum ExitStatus {
    /// It exited with this code.
    Code(u8),
    /// It was killed by the signal of this number.
    Signal(u8),
}

impl ExitStatus {
    /// Ended by SIGKILL, whose number is 9 wherever there are signals.
    pub const KILLED: ExitStatus = ExitStatus::Signal(9);

    /// Whether it exited with code 0.
    pub fn is_success(self) -> bool {
        self == ExitStatus::Code(0)
    }
}

/// Why a command could not be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct StartFailure {
    /// What kind of failure it is.
    #[cfg_attr(feature = "serde", serde(rename = "reason"))]
    pub kind: StartFailureKind,
    /// The system's error number, for the report only.
    pub os_error: i32,
}

/// The kinds of failure that lead to different decisions or exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum StartFailureKind {
    /// There is no such command.
    NotFound,
    /// There is one, but it cannot be executed.
    NotExecutable,
    /// The system lacks something just now: processes, memory, descriptors.
    Passing,
}
