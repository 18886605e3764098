//! Stories: what the machine tells people. A notice changes nothing.

use crate::{ExitStatus, Limit, Outcome, RunId, StartFailure};
use core::time::Duration;

/// Something worth telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Notice {
    /// The command runs.
    Started {
        /// The run.
        run: RunId,
        /// Its main process.
        pid: u32,
    },
    /// The command could not be started.
    StartFailed {
        /// The run that never was.
        run: RunId,
        /// Why.
        failure: StartFailure,
    },
    /// For the first time in a run, a look found a heartbeat.
    FirstHeartbeat {
        /// The run.
        run: RunId,
        /// How long ago the last one was made.
        ago: Duration,
    },
    /// A further look found a heartbeat.
    Heartbeat {
        /// The run.
        run: RunId,
        /// How long ago the last one was made.
        ago: Duration,
    },
    /// A look found silence but came late: the supervisor itself could not run, so the deadline moves.
    Delayed {
        /// The run.
        run: RunId,
        /// How late the look was.
        late: Duration,
        /// The command has this long to show a heartbeat.
        extension: Duration,
    },
    /// The command hangs and is asked to leave.
    Hung {
        /// The run.
        run: RunId,
        /// Time since its last heartbeat, or since its start if there was none.
        silence: Duration,
        /// It will be killed after this long.
        grace_period: Duration,
    },
    /// The command reports that it hangs, and is asked to leave.
    HangReported {
        /// The run.
        run: RunId,
        /// It will be killed after this long.
        grace_period: Duration,
    },
    /// The command tells that its start-up is over.
    Ready {
        /// The run.
        run: RunId,
    },
    /// The command tells that it begins to leave.
    Leaving {
        /// The run.
        run: RunId,
    },
    /// The command has changed the longest silence allowed, for the rest of its run.
    TimeoutSet {
        /// The run.
        run: RunId,
        /// The longest silence from now on.
        timeout: Duration,
    },
    /// The command was given more time to start up or to leave.
    Extended {
        /// The run.
        run: RunId,
        /// At least this long from now.
        by: Duration,
    },
    /// The command ended the streak of restarts.
    StreakEnded {
        /// The run.
        run: RunId,
    },
    /// The supervisor was asked to stop, so the command is asked to leave.
    Stopping {
        /// The run.
        run: RunId,
        /// It will be killed after this long.
        grace_period: Duration,
    },
    /// The supervisor was asked to stop while the end of the run was already under way.
    StoppingInstead {
        /// The run.
        run: RunId,
    },
    /// The main process ended.
    Exited {
        /// The run.
        run: RunId,
        /// How.
        status: ExitStatus,
        /// What it meant when it happened.
        ending: Ending,
    },
    /// What is left of the run will be killed now.
    Killing {
        /// The run.
        run: RunId,
        /// Why now.
        cause: KillCause,
    },
    /// Something of the run survived SIGKILL so far, and is waited for.
    Surviving {
        /// The run.
        run: RunId,
        /// Time since the first SIGKILL.
        since: Duration,
    },
    /// The next start will come after a delay.
    BackingOff {
        /// The number of the coming restart in this streak, from 1.
        restart: u32,
        /// How many there may be.
        limit: Limit,
        /// The wait before it.
        delay: Duration,
    },
    /// It is over.
    Done(Outcome),
}

/// What the end of a main process meant when it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// It ended by itself, after having run for so long.
    Spontaneous {
        /// Time since its start.
        after: Duration,
    },
    /// It left within the grace period, having been asked to.
    Asked,
    /// It was killed.
    Killed,
}

/// Why a run is killed at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KillCause {
    /// The grace period is over.
    GracePeriodOver,
    /// A second request to stop (SIGINT).
    Interrupt,
}
