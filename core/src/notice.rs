//! Stories: what the machine tells people. A notice changes nothing.
//!
//! With the feature `serde` the fields of a notice serialize, durations as numbers of seconds; [`Notice::name`] is the
//! name of the event.

use crate::{ExitStatus, Limit, OnHang, Outcome, RunId, StartFailure};
use core::time::Duration;

/// Something worth telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(untagged))]
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
        #[cfg_attr(feature = "serde", serde(flatten))]
        failure: StartFailure,
    },
    /// A look found a heartbeat, or the command told of one.
    Heartbeat {
        /// The run.
        run: RunId,
        /// Its main process.
        pid: u32,
        /// Whether it is the first one of the run.
        first: bool,
        /// How long ago the last one was made.
        #[cfg_attr(feature = "serde", serde(serialize_with = "in_seconds"))]
        ago: Duration,
    },
    /// A look found silence but came late, so the deadline moves.
    Delayed {
        /// The run.
        run: RunId,
        /// Its main process.
        pid: u32,
        /// How late the answer of the look was.
        #[cfg_attr(feature = "serde", serde(serialize_with = "in_seconds"))]
        late: Duration,
        /// The command has this long to show a heartbeat.
        #[cfg_attr(feature = "serde", serde(serialize_with = "in_seconds"))]
        extension: Duration,
        /// What held the look up.
        cause: DelayCause,
    },
    /// The command hangs, and its end begins.
    Hung {
        /// The run.
        run: RunId,
        /// Its main process.
        pid: u32,
        /// What shows it.
        #[cfg_attr(feature = "serde", serde(flatten))]
        evidence: Evidence,
        /// What comes first.
        #[cfg_attr(feature = "serde", serde(flatten, serialize_with = "hang_grace_period"))]
        on_hang: OnHang,
        /// Once it is asked to leave, it will be killed after this long.
        #[cfg_attr(feature = "serde", serde(serialize_with = "in_seconds"))]
        grace_period: Duration,
    },
    /// The hung command is still there after the hang signal, and is asked to leave.
    HangGraceOver {
        /// The run.
        run: RunId,
        /// Its main process.
        pid: u32,
        /// It will be killed after this long.
        #[cfg_attr(feature = "serde", serde(serialize_with = "in_seconds"))]
        grace_period: Duration,
    },
    /// The command tells that its start-up is over.
    Ready {
        /// The run.
        run: RunId,
        /// Its main process.
        pid: u32,
    },
    /// The command tells that it begins to leave.
    Leaving {
        /// The run.
        run: RunId,
        /// Its main process.
        pid: u32,
    },
    /// The command has changed the longest silence allowed, for the rest of its run.
    TimeoutSet {
        /// The run.
        run: RunId,
        /// Its main process.
        pid: u32,
        /// The longest silence from now on.
        #[cfg_attr(feature = "serde", serde(serialize_with = "in_seconds"))]
        timeout: Duration,
    },
    /// The command was given more time to start up or to leave.
    Extended {
        /// The run.
        run: RunId,
        /// Its main process.
        pid: u32,
        /// At least this long from now.
        #[cfg_attr(feature = "serde", serde(serialize_with = "in_seconds"))]
        by: Duration,
    },
    /// The command ended the streak of restarts.
    StreakEnded {
        /// The run.
        run: RunId,
        /// Its main process.
        pid: u32,
    },
    /// The supervisor was asked to stop, so the command is asked to leave.
    Stopping {
        /// The run.
        run: RunId,
        /// It will be killed after this long.
        #[cfg_attr(feature = "serde", serde(serialize_with = "in_seconds"))]
        grace_period: Duration,
    },
    /// The supervisor was asked to stop while the end of the run was already under way.
    StoppingInstead {
        /// The run.
        run: RunId,
    },
    /// The supervisor was asked to start the command anew, so the command is asked to leave.
    Restarting {
        /// The run.
        run: RunId,
        /// It will be killed after this long.
        #[cfg_attr(feature = "serde", serde(serialize_with = "in_seconds"))]
        grace_period: Duration,
    },
    /// The supervisor was asked to start the command anew while the end of the run was already under way, or over: the
    /// next start comes without a delay.
    RestartingInstead {
        /// The run.
        run: RunId,
    },
    /// The main process ended.
    Exited {
        /// The run.
        run: RunId,
        /// What was its main process.
        pid: u32,
        /// How.
        #[cfg_attr(feature = "serde", serde(flatten))]
        status: ExitStatus,
        /// What it meant when it happened.
        #[cfg_attr(feature = "serde", serde(flatten))]
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
        #[cfg_attr(feature = "serde", serde(serialize_with = "in_seconds"))]
        since: Duration,
    },
    /// The next start will come after a delay.
    BackingOff {
        /// The number of the coming restart in this streak, from 1.
        restart: u32,
        /// How many there may be.
        #[cfg_attr(feature = "serde", serde(rename = "max_restarts", serialize_with = "as_count"))]
        limit: Limit,
        /// The wait before it.
        #[cfg_attr(feature = "serde", serde(serialize_with = "in_seconds"))]
        delay: Duration,
    },
    /// It is over.
    Done(Outcome),
}

impl Notice {
    /// The name of the event.
    pub fn name(&self) -> &'static str {
        match self {
            Notice::Started { .. } => "started",
            Notice::StartFailed { .. } => "start_failed",
            Notice::Heartbeat { .. } => "heartbeat",
            Notice::Delayed { .. } => "delayed",
            Notice::Hung { .. } => "hung",
            Notice::HangGraceOver { .. } => "hang_grace_over",
            Notice::Ready { .. } => "ready",
            Notice::Leaving { .. } => "leaving",
            Notice::TimeoutSet { .. } => "timeout_set",
            Notice::Extended { .. } => "extended",
            Notice::StreakEnded { .. } => "streak_ended",
            Notice::Stopping { .. } | Notice::StoppingInstead { .. } => "stopping",
            Notice::Restarting { .. } | Notice::RestartingInstead { .. } => "restarting",
            Notice::Exited { .. } => "exited",
            Notice::Killing { .. } => "killing",
            Notice::Surviving { .. } => "surviving",
            Notice::BackingOff { .. } => "backing_off",
            Notice::Done(_) => "done",
        }
    }
}

/// What shows that a command hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(untagged))]
pub enum Evidence {
    /// It was silent for too long.
    Silence {
        /// Time since its last heartbeat, or since its start if there was none.
        #[cfg_attr(feature = "serde", serde(serialize_with = "in_seconds"))]
        silence: Duration,
    },
    /// It says so itself.
    Report {},
}

/// What held a look up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum DelayCause {
    /// The supervisor itself could not run when the look was due.
    Supervisor,
    /// The look was ordered in time, and its answer took long.
    Look,
}

/// What the end of a main process meant when it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(tag = "ending", rename_all = "snake_case"))]
pub enum Ending {
    /// It ended by itself, after having run for so long.
    Spontaneous {
        /// Time since its start.
        #[cfg_attr(feature = "serde", serde(serialize_with = "in_seconds"))]
        after: Duration,
    },
    /// It left, having been asked to.
    Asked,
    /// It was killed.
    Killed,
}

/// Why a run is killed at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum KillCause {
    /// The grace period is over.
    GracePeriodOver,
    /// A further request to stop (SIGINT).
    Interrupt,
}

#[cfg(feature = "serde")]
fn in_seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

/// As on the command line: -1 is without limit.
#[cfg(feature = "serde")]
fn as_count<S: serde::Serializer>(limit: &Limit, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(match *limit {
        Limit::Unlimited => -1,
        Limit::Times(most) => most.into(),
    })
}

/// `hang_grace_period` where there is one, no field else.
#[cfg(feature = "serde")]
fn hang_grace_period<S: serde::Serializer>(on_hang: &OnHang, serializer: S) -> Result<S::Ok, S::Error> {
    use serde::ser::SerializeMap;
    let mut map = serializer.serialize_map(None)?;
    if let OnHang::Signal { grace_period } = on_hang {
        map.serialize_entry("hang_grace_period", &grace_period.as_secs_f64())?;
    }
    map.end()
}
