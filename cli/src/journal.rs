//! The JSON log read again, so that what the machine took can be played once more: the policy, and each fact. Facts are
//! logged at level debug.

use crate::report::machine;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::time::Duration;
use supervisor_core::{Event, Notice, Policy};

/// A line of the JSON log.
#[derive(Deserialize)]
pub struct Line {
    /// When it was written: RFC 3339.
    pub time: String,
    /// The pid of the supervisor that wrote it.
    pub supervisor: u32,
    /// What it says.
    #[serde(flatten)]
    pub content: Said,
}

/// What a line says, as far as a replay needs it.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Said {
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
        policy: Policy,
    },
    /// A fact.
    Input {
        /// When it was taken, on the machine's clock.
        at: Duration,
        /// What.
        input: Event,
    },
}

/// Events that only the machine tells of.
const OF_THE_MACHINE: [&str; 18] = [
    "backing_off",
    "delayed",
    "done",
    "exited",
    "extended",
    "hang_grace_over",
    "heartbeat",
    "hung",
    "killing",
    "leaving",
    "ready",
    "restarting",
    "start_failed",
    "started",
    "stopping",
    "streak_ended",
    "surviving",
    "timeout_set",
];

/// Whether a line can only come from a notice of the machine.
pub fn is_of_machine(event: &str) -> bool {
    OF_THE_MACHINE.contains(&event)
}

/// What a line of the log must say of a notice, `event` included. There may be more in it that only the world knows.
pub fn expected(notice: Notice) -> Map<String, Value> {
    let content = machine(notice);
    let Ok(Value::Object(mut fields)) = serde_json::to_value(&content) else { return Map::new() };
    fields.insert("event".to_owned(), content.name().into());
    fields
}

/// Compares what a line says with what it must say.
///
/// # Errors
/// The first field that differs, in one line.
pub fn compare(expected: &Map<String, Value>, logged: &Map<String, Value>) -> Result<(), String> {
    for (name, value) in expected {
        let found = logged.get(name).unwrap_or(&Value::Null);
        if found != value {
            return Err(format!("{name} is {found}, where it should be {value}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Content, Record, samples};
    use log::Level;
    use std::collections::BTreeSet;
    use supervisor_core::{ExitStatus, Instant, Message, Observation, RunId, StartFailure, StartFailureKind};

    fn read(content: Content) -> Said {
        let record = Record::new(Level::Debug, content, String::new());
        serde_json::from_str::<Line>(record.json()).unwrap().content
    }

    #[test]
    fn what_the_machine_takes_can_be_read_again() {
        let run = RunId(3);
        let at = Duration::new(1, 1);
        let failure = StartFailure { kind: StartFailureKind::NotFound, os_error: 2 };
        let events = [
            Event::Started { run, pid: 1 },
            Event::StartFailed { run, failure },
            Event::Exited { run, status: ExitStatus::Signal(9) },
            Event::Cleared { run },
            Event::Observed { run, observation: Observation::Changed { at: Instant::from_origin(at) } },
            Event::Observed { run, observation: Observation::ChangedSometime },
            Event::Message { run, message: Message::Timeout(Duration::from_nanos(7)) },
            Event::Message { run, message: Message::Heartbeat },
            Event::Timeout,
            Event::Stop,
            Event::Interrupt,
            Event::Restart,
        ];
        for event in events {
            let Said::Taken(Taken::Input { at: read_at, input }) = read(Content::Input { at, input: event }) else {
                panic!("{event:?}")
            };
            assert_eq!((read_at, input), (at, event));
        }
        let policy = Policy { grace_period: Duration::from_nanos(1), ..Policy::default() };
        let content = Content::Supervising { command: vec![], heartbeat_file: None, policy: policy.clone() };
        assert!(matches!(read(content), Said::Taken(Taken::Supervising { policy: read }) if read == policy));
    }

    #[test]
    fn lines_of_the_machine_are_known_by_their_names() {
        let samples = samples();
        let (machine, others): (Vec<_>, Vec<_>) =
            samples.iter().partition(|content| matches!(content, Content::Machine { .. }));
        let names: BTreeSet<_> = machine.iter().map(|content| content.name()).collect();
        assert_eq!(names, BTreeSet::from(OF_THE_MACHINE));
        assert!(others.iter().all(|content| !is_of_machine(content.name())));
    }

    #[test]
    fn a_line_agrees_with_its_own_notice_and_with_no_other() {
        let machine = |content| match content {
            Content::Machine { notice, .. } => Some(notice),
            _ => None,
        };
        let notices: Vec<_> = samples().into_iter().filter_map(machine).collect();
        for logged in &notices {
            let Said::Other(line) = read(crate::report::machine(*logged)) else { panic!("{logged:?}") };
            for notice in &notices {
                let agrees = compare(&expected(*notice), &line).is_ok();
                assert!(agrees || notice != logged, "{logged:?}");
                assert!(!agrees || notice.name() == logged.name(), "{notice:?} {logged:?}");
            }
        }
    }
}
