//! What happens, as JSON: one object for each event, the same in the log, for hooks and, in part, in the status file.
//! `EVENTS.md` lists them.

use crate::trace;
use jiff::{Timestamp, Unit};
use serde::{Serialize, Serializer};
use std::time::Duration;
use supervisor_backend_unix::{Examined, Named, Target};
use supervisor_core::{
    Ending, Event, ExitStatus, GiveUp, Instant, KillCause, Limit, Outcome, Policy, StartFailureKind,
};

/// The version of all JSON that the supervisor writes. It grows when a field goes or changes its meaning.
pub const VERSION: u32 = 1;

/// One line of the JSON log.
#[derive(Serialize)]
pub struct Record<'a> {
    pub version: u32,
    pub time: String,
    /// The pid of the supervisor.
    pub supervisor: u32,
    pub level: &'static str,
    #[serde(flatten)]
    pub fact: &'a Fact,
    /// The same for people, as in the text log.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub message: &'a str,
}

/// What happened.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Fact {
    Supervising {
        command: Vec<String>,
        heartbeat_file: String,
        #[serde(with = "trace::PolicyForm")]
        policy: Policy,
    },
    /// A fact that the machine takes, and when, on its own clock.
    Input {
        at: Duration,
        #[serde(with = "trace::EventForm")]
        input: Event,
    },
    Started {
        run: u64,
        pid: u32,
    },
    StartFailed {
        run: u64,
        reason: &'static str,
        os_error: i32,
    },
    Heartbeat {
        run: u64,
        first: bool,
        #[serde(serialize_with = "seconds")]
        ago: Duration,
    },
    Ready {
        run: u64,
    },
    Leaving {
        run: u64,
    },
    Status {
        text: String,
    },
    TimeoutSet {
        run: u64,
        #[serde(serialize_with = "seconds")]
        timeout: Duration,
    },
    Extended {
        run: u64,
        #[serde(serialize_with = "seconds")]
        by: Duration,
    },
    StreakEnded {
        run: u64,
    },
    Delayed {
        run: u64,
        #[serde(serialize_with = "seconds")]
        late: Duration,
        #[serde(serialize_with = "seconds")]
        extension: Duration,
    },
    Hung {
        run: u64,
        pid: u32,
        #[serde(serialize_with = "maybe_seconds", skip_serializing_if = "Option::is_none")]
        silence: Option<Duration>,
        #[serde(skip_serializing_if = "Option::is_none")]
        stopped_by: Option<i32>,
        #[serde(serialize_with = "seconds")]
        grace_period: Duration,
    },
    Autopsy {
        processes: Vec<ExaminedForm>,
    },
    Stopping {
        run: u64,
        #[serde(serialize_with = "maybe_seconds", skip_serializing_if = "Option::is_none")]
        grace_period: Option<Duration>,
    },
    Exited {
        run: u64,
        pid: u32,
        #[serde(flatten)]
        status: StatusForm,
        ending: &'static str,
        #[serde(serialize_with = "maybe_seconds", skip_serializing_if = "Option::is_none")]
        after: Option<Duration>,
    },
    Killing {
        run: u64,
        cause: &'static str,
    },
    Surviving {
        run: u64,
        #[serde(serialize_with = "seconds")]
        since: Duration,
    },
    BackingOff {
        restart: u32,
        max_restarts: i64,
        #[serde(serialize_with = "seconds")]
        delay: Duration,
    },
    Done {
        outcome: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'static str>,
        exit_code: u8,
    },
    SignalReceived {
        signal: String,
        sender: i32,
    },
    SignalForwarded {
        signal: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        pid: Option<i32>,
    },
    SignalSent {
        signal: String,
        #[serde(flatten)]
        target: TargetForm,
    },
    SignalFailed {
        signal: String,
        #[serde(flatten)]
        target: TargetForm,
        error: String,
    },
    ProcessStopped {
        #[serde(flatten)]
        process: ProcessForm,
        signal: i32,
    },
    ProcessContinued {
        pid: i32,
    },
    TerminalLent {
        group: i32,
    },
    Suspended,
    Resumed,
    GuardReplaced,
    LogLinesLost {
        lines: u64,
    },
    /// Something that the supervisor would do cannot be done; it goes on without.
    Trouble {
        with: &'static str,
        error: String,
    },
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusForm {
    Code(u8),
    Signal(u8),
}

impl From<ExitStatus> for StatusForm {
    fn from(status: ExitStatus) -> StatusForm {
        match status {
            ExitStatus::Code(code) => StatusForm::Code(code),
            ExitStatus::Signal(signal) => StatusForm::Signal(signal),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetForm {
    Group(i32),
    Processes(Vec<ProcessForm>),
}

impl From<&Target> for TargetForm {
    fn from(target: &Target) -> TargetForm {
        match target {
            Target::Group(group) => TargetForm::Group(*group),
            Target::Process(process) => TargetForm::Processes(vec![process.into()]),
            Target::Leftovers(processes) => TargetForm::Processes(processes.iter().map(ProcessForm::from).collect()),
        }
    }
}

#[derive(Serialize)]
pub struct ProcessForm {
    pid: i32,
    name: String,
}

impl From<&Named> for ProcessForm {
    fn from(process: &Named) -> ProcessForm {
        ProcessForm { pid: process.pid, name: process.name.clone() }
    }
}

/// A process of a hung tree.
#[derive(Serialize)]
pub struct ExaminedForm {
    #[serde(flatten)]
    process: ProcessForm,
    parent: i32,
    state: char,
    #[serde(skip_serializing_if = "str::is_empty")]
    waits_in: String,
    #[serde(serialize_with = "seconds")]
    cpu: Duration,
    #[serde(serialize_with = "seconds")]
    over: Duration,
    threads: u32,
}

impl From<&Examined> for ExaminedForm {
    fn from(examined: &Examined) -> ExaminedForm {
        ExaminedForm {
            process: (&examined.process).into(),
            parent: examined.parent,
            state: examined.state,
            waits_in: examined.waits_in.clone(),
            cpu: examined.cpu,
            over: examined.over,
            threads: examined.threads,
        }
    }
}

impl Fact {
    /// Whether hooks are told: not of what only replays need, of one heartbeat after another, or of their own failures.
    pub fn is_for_hooks(&self) -> bool {
        !matches!(self, Fact::Input { .. } | Fact::Heartbeat { first: false, .. } | Fact::Trouble { with: HOOK, .. })
    }

    /// What `event` says in JSON.
    pub fn name(&self) -> String {
        let value = serde_json::to_value(self).unwrap_or_default();
        value["event"].as_str().unwrap_or_default().to_owned()
    }
}

/// The trouble with a hook.
pub const HOOK: &str = "hook";

pub fn input(at: Instant, input: Event) -> Fact {
    Fact::Input { at: at.since_origin(), input }
}

pub fn ending(ending: Ending) -> (&'static str, Option<Duration>) {
    match ending {
        Ending::Spontaneous { after } => ("spontaneous", Some(after)),
        Ending::Asked => ("asked", None),
        Ending::Killed => ("killed", None),
    }
}

pub fn cause(cause: KillCause) -> &'static str {
    match cause {
        KillCause::GracePeriodOver => "grace_period_over",
        KillCause::Interrupt => "interrupt",
    }
}

pub fn start_failure(kind: StartFailureKind) -> &'static str {
    match kind {
        StartFailureKind::NotFound => "not_found",
        StartFailureKind::NotExecutable => "not_executable",
        StartFailureKind::Passing => "passing",
    }
}

pub fn outcome(outcome: Outcome) -> (&'static str, Option<&'static str>) {
    match outcome {
        Outcome::Finished => ("finished", None),
        Outcome::Stopped => ("stopped", None),
        Outcome::Killed => ("killed", None),
        Outcome::GaveUp { reason: GiveUp::NeverRestarts, .. } => ("gave_up", Some("never_restarts")),
        Outcome::GaveUp { reason: GiveUp::RestartsUsedUp, .. } => ("gave_up", Some("restarts_used_up")),
        Outcome::GaveUp { reason: GiveUp::CannotStart, .. } => ("gave_up", Some("cannot_start")),
    }
}

/// As on the command line: -1 is without limit.
pub fn limit(limit: Limit) -> i64 {
    match limit {
        Limit::Unlimited => -1,
        Limit::Times(most) => most.into(),
    }
}

/// RFC 3339, to the millisecond, in UTC.
pub fn time(moment: Timestamp) -> String {
    let moment = moment.round(Unit::Millisecond).unwrap_or(moment);
    format!("{moment:.3}")
}

pub fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

pub fn maybe_seconds<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_some(&duration.map(|duration| duration.as_secs_f64()))
}
