//! What happens, as JSON: one object for each event, the same in the log, for hooks and, in part, in the status file.
//! `EVENTS.md` lists them.

mod forms;

pub use forms::{ExaminedForm, ProcessForm, StatusForm, TargetForm, limit, time};

use crate::exit_code;
use crate::trace;
use serde::Serialize;
use std::time::Duration;
use supervisor_core::{Ending, Event, GiveUp, Instant, KillCause, Notice, Outcome, Policy, StartFailureKind};

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
        #[serde(skip_serializing_if = "Option::is_none")]
        heartbeat_file: Option<String>,
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
        #[serde(serialize_with = "forms::seconds")]
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
        #[serde(serialize_with = "forms::seconds")]
        timeout: Duration,
    },
    Extended {
        run: u64,
        #[serde(serialize_with = "forms::seconds")]
        by: Duration,
    },
    StreakEnded {
        run: u64,
    },
    Delayed {
        run: u64,
        #[serde(serialize_with = "forms::seconds")]
        late: Duration,
        #[serde(serialize_with = "forms::seconds")]
        extension: Duration,
    },
    Hung {
        run: u64,
        pid: u32,
        #[serde(serialize_with = "forms::maybe_seconds", skip_serializing_if = "Option::is_none")]
        silence: Option<Duration>,
        #[serde(skip_serializing_if = "Option::is_none")]
        stopped_by: Option<i32>,
        #[serde(serialize_with = "forms::seconds")]
        grace_period: Duration,
    },
    Autopsy {
        processes: Vec<ExaminedForm>,
    },
    Stopping {
        run: u64,
        #[serde(serialize_with = "forms::maybe_seconds", skip_serializing_if = "Option::is_none")]
        grace_period: Option<Duration>,
    },
    Exited {
        run: u64,
        pid: u32,
        #[serde(flatten)]
        status: StatusForm,
        ending: &'static str,
        #[serde(serialize_with = "forms::maybe_seconds", skip_serializing_if = "Option::is_none")]
        after: Option<Duration>,
    },
    Killing {
        run: u64,
        cause: &'static str,
    },
    Surviving {
        run: u64,
        #[serde(serialize_with = "forms::seconds")]
        since: Duration,
    },
    BackingOff {
        restart: u32,
        max_restarts: i64,
        #[serde(serialize_with = "forms::seconds")]
        delay: Duration,
    },
    /// The delay is long, and the policy has no ceiling for it.
    LongDelay,
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
    GuardLost,
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

/// What a notice says, given what is known of the main process: its pid, and the signal that has stopped it.
pub fn fact(notice: Notice, pid: u32, stopped_by: Option<i32>) -> Fact {
    match notice {
        Notice::Started { run, pid } => Fact::Started { run: run.0, pid },
        Notice::StartFailed { run, failure } => {
            Fact::StartFailed { run: run.0, reason: start_failure(failure.kind), os_error: failure.os_error }
        }
        Notice::FirstHeartbeat { run, ago } => Fact::Heartbeat { run: run.0, first: true, ago },
        Notice::Heartbeat { run, ago } => Fact::Heartbeat { run: run.0, first: false, ago },
        Notice::Delayed { run, late, extension } => Fact::Delayed { run: run.0, late, extension },
        Notice::Hung { run, silence, grace_period } => {
            Fact::Hung { run: run.0, pid, silence: Some(silence), stopped_by, grace_period }
        }
        Notice::HangReported { run, grace_period } => {
            Fact::Hung { run: run.0, pid, silence: None, stopped_by, grace_period }
        }
        Notice::Ready { run } => Fact::Ready { run: run.0 },
        Notice::Leaving { run } => Fact::Leaving { run: run.0 },
        Notice::TimeoutSet { run, timeout } => Fact::TimeoutSet { run: run.0, timeout },
        Notice::Extended { run, by } => Fact::Extended { run: run.0, by },
        Notice::StreakEnded { run } => Fact::StreakEnded { run: run.0 },
        Notice::Stopping { run, grace_period } => Fact::Stopping { run: run.0, grace_period: Some(grace_period) },
        Notice::StoppingInstead { run } => Fact::Stopping { run: run.0, grace_period: None },
        Notice::Exited { run, status, ending } => {
            let (ending, after) = match ending {
                Ending::Spontaneous { after } => ("spontaneous", Some(after)),
                Ending::Asked => ("asked", None),
                Ending::Killed => ("killed", None),
            };
            Fact::Exited { run: run.0, pid, status: status.into(), ending, after }
        }
        Notice::Killing { run, cause } => {
            let cause = match cause {
                KillCause::GracePeriodOver => "grace_period_over",
                KillCause::Interrupt => "interrupt",
            };
            Fact::Killing { run: run.0, cause }
        }
        Notice::Surviving { run, since } => Fact::Surviving { run: run.0, since },
        Notice::BackingOff { restart, limit: most, delay } => {
            Fact::BackingOff { restart, max_restarts: limit(most), delay }
        }
        Notice::Done(end) => {
            let (outcome, reason) = match end {
                Outcome::Finished => ("finished", None),
                Outcome::Stopped => ("stopped", None),
                Outcome::Killed => ("killed", None),
                Outcome::GaveUp { reason: GiveUp::NeverRestarts, .. } => ("gave_up", Some("never_restarts")),
                Outcome::GaveUp { reason: GiveUp::RestartsUsedUp, .. } => ("gave_up", Some("restarts_used_up")),
                Outcome::GaveUp { reason: GiveUp::CannotStart, .. } => ("gave_up", Some("cannot_start")),
            };
            Fact::Done { outcome, reason, exit_code: exit_code::of(end) }
        }
    }
}

fn start_failure(kind: StartFailureKind) -> &'static str {
    match kind {
        StartFailureKind::NotFound => "not_found",
        StartFailureKind::NotExecutable => "not_executable",
        StartFailureKind::Passing => "passing",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use supervisor_core::{RunId, StartFailure};

    /// One of each.
    fn samples() -> Vec<Fact> {
        let (run, pid, second) = (1, 2, Duration::from_secs(1));
        let process = || ProcessForm { pid: 2, name: "sh".to_owned() };
        let group = || TargetForm::Group(2);
        let signal = || "SIGTERM".to_owned();
        let examined = ExaminedForm {
            process: process(),
            parent: 1,
            state: 'S',
            waits_in: "nanosleep".to_owned(),
            cpu: second,
            over: second,
            threads: 1,
        };
        vec![
            Fact::Supervising { command: vec![], heartbeat_file: Some(String::new()), policy: Policy::default() },
            input(Instant::ORIGIN, Event::Elapsed),
            Fact::Started { run, pid },
            Fact::StartFailed { run, reason: "passing", os_error: 11 },
            Fact::Heartbeat { run, first: true, ago: second },
            Fact::Ready { run },
            Fact::Leaving { run },
            Fact::Status { text: String::new() },
            Fact::TimeoutSet { run, timeout: second },
            Fact::Extended { run, by: second },
            Fact::StreakEnded { run },
            Fact::Delayed { run, late: second, extension: second },
            Fact::Hung { run, pid, silence: Some(second), stopped_by: Some(19), grace_period: second },
            Fact::Autopsy { processes: vec![examined] },
            Fact::Stopping { run, grace_period: Some(second) },
            Fact::Exited { run, pid, status: StatusForm::Code(1), ending: "spontaneous", after: Some(second) },
            Fact::Exited { run, pid, status: StatusForm::Signal(9), ending: "killed", after: None },
            Fact::Killing { run, cause: "interrupt" },
            Fact::Surviving { run, since: second },
            Fact::BackingOff { restart: 1, max_restarts: -1, delay: second },
            Fact::LongDelay,
            Fact::Done { outcome: "gave_up", reason: Some("never_restarts"), exit_code: 1 },
            Fact::SignalReceived { signal: signal(), sender: 0 },
            Fact::SignalForwarded { signal: signal(), pid: Some(2) },
            Fact::SignalSent { signal: signal(), target: group() },
            Fact::SignalSent { signal: signal(), target: TargetForm::Processes(vec![process()]) },
            Fact::SignalFailed { signal: signal(), target: group(), error: String::new() },
            Fact::SignalFailed {
                signal: signal(),
                target: TargetForm::Processes(vec![process()]),
                error: String::new(),
            },
            Fact::ProcessStopped { process: process(), signal: 19 },
            Fact::ProcessContinued { pid: 2 },
            Fact::TerminalLent { group: 2 },
            Fact::Suspended,
            Fact::Resumed,
            Fact::GuardLost,
            Fact::GuardReplaced,
            Fact::LogLinesLost { lines: 1 },
            Fact::Trouble { with: HOOK, error: String::new() },
        ]
    }

    fn rows() -> Vec<(String, Vec<String>)> {
        let table = include_str!("../EVENTS.md").split("| event | fields | when |").nth(1).unwrap();
        let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
        let words =
            |cell: &str| cell.split_whitespace().map(|word| word.trim_matches(['(', ')', '`']).to_owned()).collect();
        rows.map(|row| {
            let cells: Vec<_> = row.split('|').collect();
            (cells[1].trim().trim_matches('`').to_owned(), words(cells[2]))
        })
        .collect()
    }

    #[test]
    fn every_event_is_documented_with_its_fields_and_no_other_is() {
        let mut seen = std::collections::BTreeMap::<String, std::collections::BTreeSet<String>>::new();
        for fact in samples() {
            let value = serde_json::to_value(&fact).unwrap();
            let fields = value.as_object().unwrap().keys().filter(|key| *key != "event").cloned();
            seen.entry(fact.name()).or_default().extend(fields);
        }
        let documented: std::collections::BTreeMap<_, _> =
            rows().into_iter().map(|(event, fields)| (event, fields.into_iter().collect())).collect();
        assert_eq!(seen, documented);
    }

    #[test]
    fn what_the_machine_takes_can_be_read_again() {
        use crate::trace::{Content, Line, Taken};
        use supervisor_core::{ExitStatus, Message, Observation};
        let run = RunId(3);
        let second = Instant::from_origin(Duration::new(1, 1));
        let failure = StartFailure { kind: StartFailureKind::NotFound, os_error: 2 };
        let events = [
            Event::Started { run, pid: 1 },
            Event::StartFailed { run, failure },
            Event::Exited { run, status: ExitStatus::Signal(9) },
            Event::Gone { run },
            Event::Observed { run, observation: Observation::Changed { at: second } },
            Event::Observed { run, observation: Observation::ChangedSometime },
            Event::Told { run, message: Message::Timeout(Duration::from_nanos(7)) },
            Event::Told { run, message: Message::Heartbeat },
            Event::Elapsed,
            Event::Stop,
            Event::Interrupt,
        ];
        for event in events {
            let fact = input(second, event);
            let record =
                Record { version: 1, time: String::new(), supervisor: 1, level: "info", fact: &fact, message: "" };
            let line: Line = serde_json::from_str(&serde_json::to_string(&record).unwrap()).unwrap();
            let Content::Taken(Taken::Input { at, input }) = line.content else { panic!("{event:?}") };
            assert_eq!((Instant::from_origin(at), input), (second, event));
        }
    }
}
