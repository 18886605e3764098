//! What the machine takes, written down so exactly that it can be played again: the policy, and each fact.

use crate::record;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::Duration;
use supervisor_core::{
    Backoff, Event, ExitStatus, Instant, Jitter, Limit, Message, Notice, Observation, Policy, Restart, RunId,
    StartFailure, StartFailureKind, Watchdog,
};

#[derive(Serialize, Deserialize)]
#[serde(remote = "Policy")]
pub(crate) struct PolicyForm {
    #[serde(with = "WatchdogForm")]
    watchdog: Watchdog,
    grace_period: Duration,
    #[serde(with = "RestartForm")]
    restart: Restart,
    #[serde(with = "LimitForm")]
    max_restarts: Limit,
    #[serde(with = "BackoffForm")]
    backoff: Backoff,
    reset_after: Duration,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Watchdog", rename_all = "snake_case")]
enum WatchdogForm {
    Off,
    On { timeout: Duration, initial_delay: Duration },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Restart", rename_all = "kebab-case")]
enum RestartForm {
    Never,
    OnFailure,
    Always,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Limit", rename_all = "snake_case")]
enum LimitForm {
    Unlimited,
    Times(u32),
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Backoff")]
struct BackoffForm {
    factor: Duration,
    ceiling: Option<Duration>,
    #[serde(with = "JitterForm")]
    jitter: Jitter,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Jitter")]
struct JitterForm {
    parts_per_billion: u32,
    seed: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Event", rename_all = "snake_case")]
pub(crate) enum EventForm {
    Started {
        #[serde(with = "RunForm")]
        run: RunId,
        pid: u32,
    },
    StartFailed {
        #[serde(with = "RunForm")]
        run: RunId,
        #[serde(with = "FailureForm")]
        failure: StartFailure,
    },
    Exited {
        #[serde(with = "RunForm")]
        run: RunId,
        #[serde(with = "ExitStatusForm")]
        status: ExitStatus,
    },
    Gone {
        #[serde(with = "RunForm")]
        run: RunId,
    },
    Observed {
        #[serde(with = "RunForm")]
        run: RunId,
        #[serde(with = "ObservationForm")]
        observation: Observation,
    },
    Told {
        #[serde(with = "RunForm")]
        run: RunId,
        #[serde(with = "MessageForm")]
        message: Message,
    },
    Elapsed,
    Stop,
    Interrupt,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "RunId")]
struct RunForm(u64);

#[derive(Serialize, Deserialize)]
#[serde(remote = "StartFailure")]
struct FailureForm {
    #[serde(with = "FailureKindForm")]
    kind: StartFailureKind,
    os_error: i32,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "StartFailureKind", rename_all = "snake_case")]
enum FailureKindForm {
    NotFound,
    NotExecutable,
    Passing,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ExitStatus", rename_all = "snake_case")]
enum ExitStatusForm {
    Code(u8),
    Signal(u8),
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Observation", rename_all = "snake_case")]
enum ObservationForm {
    Unchanged,
    Changed {
        #[serde(with = "InstantForm")]
        at: Instant,
    },
    ChangedSometime,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Message", rename_all = "snake_case")]
enum MessageForm {
    Heartbeat,
    Ready,
    Hang,
    Timeout(Duration),
    StreakOver,
    Extension(Duration),
    Leaving,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Instant")]
struct InstantForm(#[serde(getter = "since_origin")] Duration);

fn since_origin(instant: &Instant) -> Duration {
    instant.since_origin()
}

impl From<InstantForm> for Instant {
    fn from(form: InstantForm) -> Instant {
        Instant::from_origin(form.0)
    }
}

/// A line of the JSON log.
#[derive(Deserialize)]
pub struct Line {
    /// When it was written: RFC 3339.
    pub time: String,
    /// The pid of the supervisor that wrote it.
    pub supervisor: u32,
    /// What it says.
    #[serde(flatten)]
    pub content: Content,
}

/// What a line says, as far as a replay needs it.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Content {
    /// What the machine takes.
    Taken(Taken),
    /// What followed, or something else.
    Other(Map<String, Value>),
}

/// What the machine takes.
#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Taken {
    /// The beginning: the policy that decides.
    Supervising {
        /// All of it.
        #[serde(with = "PolicyForm")]
        policy: Policy,
    },
    /// A fact.
    Input {
        /// When it was taken, on the machine's clock.
        at: Duration,
        /// What.
        #[serde(with = "EventForm")]
        input: Event,
    },
}

/// What a log says of a notice, where `pid` is the main process; nothing where not every log says it.
pub fn told(notice: Notice, pid: u32) -> Option<Map<String, Value>> {
    let is_optional = matches!(notice, Notice::Heartbeat { .. });
    match serde_json::to_value(record::fact(notice, pid, None)) {
        Ok(Value::Object(fields)) if !is_optional => Some(fields),
        Ok(_) | Err(_) => None,
    }
}

/// Whether a line can only come from a notice of the machine.
pub fn is_of_machine(event: &str) -> bool {
    const OF_THE_MACHINE: [&str; 15] = [
        "started",
        "start_failed",
        "delayed",
        "hung",
        "ready",
        "leaving",
        "timeout_set",
        "extended",
        "streak_ended",
        "stopping",
        "exited",
        "killing",
        "surviving",
        "backing_off",
        "done",
    ];
    OF_THE_MACHINE.contains(&event)
}
