//! A line of the log, as far as a story of it needs that: `EVENTS.md` describes the fields.

use crate::journal::Line;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Deserializer;
use supervisor_core::{ExitStatus, Policy, StartFailure};

/// Every line of a supervisor begins so, unless the keeper of the log has sorted its fields. What stands before it comes
/// from that keeper, or from a command that did not end its line.
const BEGINNING: &str = "{\"version\":";

/// A line of the log.
pub struct Entry {
    pub time: Timestamp,
    pub event: Event,
    /// The same line for the machine.
    pub line: Line,
}

/// What became of a line.
pub enum Reading {
    Entry(Box<Entry>),
    /// It is another program's.
    Foreign,
    /// It begins as one of ours, and cannot be read: it is cut off, or others have written into it.
    Damaged,
}

impl Reading {
    pub fn of(text: &str) -> Reading {
        let entry = |start| Entry::read(&text[start..]).map(|entry| Reading::Entry(Box::new(entry)));
        match (text.find(BEGINNING), text.find('{')) {
            (Some(start), _) => entry(start).unwrap_or(Reading::Damaged),
            (None, Some(start)) => entry(start).unwrap_or(Reading::Foreign),
            (None, None) => Reading::Foreign,
        }
    }
}

impl Entry {
    fn read(text: &str) -> Option<Entry> {
        let (line, event) = (first::<Line>(text)?, first::<Event>(text)?);
        Some(Entry { time: line.time.parse().ok()?, event, line })
    }
}

/// The first value in a text; what others have written behind it is passed over.
fn first<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    Deserializer::from_str(text).into_iter().next()?.ok()
}

/// What happened.
#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    Supervising {
        command: Vec<String>,
        policy: Policy,
    },
    Input {},
    Started {
        run: u64,
        pid: u32,
    },
    StartFailed {
        run: u64,
        #[serde(flatten)]
        failure: StartFailure,
    },
    Heartbeat {
        ago: f64,
    },
    Delayed {
        run: u64,
        late: f64,
        extension: f64,
        cause: DelayCause,
    },
    Hung {
        run: u64,
        /// None where the command has said so itself.
        silence: Option<f64>,
        /// Before it is asked to leave, where it gets a hang signal.
        hang_grace_period: Option<f64>,
        grace_period: f64,
    },
    HangGraceOver {
        run: u64,
    },
    Autopsy(Autopsy),
    Stopping {
        run: u64,
        grace_period: Option<f64>,
    },
    Restarting {
        run: u64,
        grace_period: Option<f64>,
    },
    Exited {
        run: u64,
        #[serde(flatten)]
        status: ExitStatus,
        #[serde(flatten)]
        ending: Ending,
    },
    Killing {
        run: u64,
        cause: KillCause,
    },
    Surviving {
        run: u64,
        since: f64,
    },
    BackingOff {
        restart: u32,
        max_restarts: i64,
        delay: f64,
    },
    Done {
        #[serde(flatten)]
        outcome: Outcome,
        exit_code: u8,
    },
    Ready {
        run: u64,
    },
    Leaving {
        run: u64,
    },
    TimeoutSet {
        run: u64,
        timeout: f64,
    },
    Extended {
        run: u64,
        by: f64,
    },
    StreakEnded {
        run: u64,
    },
    LogLinesLost {
        lines: u64,
    },
    // What the backend tells beside: its own sentence says all.
    HeartbeatMissing(Remark),
    HeartbeatLate(Remark),
    OutOfMemory(Remark),
    LeftBehind(Remark),
    KeeperLost(Remark),
    SignalDisregarded(Remark),
    ProcessStopped(Remark),
    Suspended(Remark),
    Resumed(Remark),
    ProbeFailed(Remark),
    Trouble(Remark),
    /// One that decides nothing, or one of a later version.
    #[serde(other)]
    Other,
}

/// The sentence of an event.
#[derive(Deserialize)]
pub struct Remark {
    #[serde(default)]
    pub message: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DelayCause {
    Supervisor,
    Look,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(tag = "ending", rename_all = "snake_case")]
pub enum Ending {
    Spontaneous { after: f64 },
    Asked,
    Killed,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KillCause {
    GracePeriodOver,
    Interrupt,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    Finished,
    Stopped,
    Killed,
    GaveUp { reason: GiveUp },
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GiveUp {
    NeverRestarts,
    RestartsUsedUp,
    CannotStart,
}

/// What the processes of a hung command were doing.
#[derive(Deserialize)]
pub struct Autopsy {
    pub processes: Vec<Process>,
    pub rest: Option<Rest>,
    #[serde(default)]
    pub frozen: bool,
    /// The same in words, a line for each process.
    #[serde(default)]
    pub message: String,
}

#[derive(Deserialize)]
pub struct Process {
    pub pid: i32,
    pub name: String,
    pub state: char,
    #[serde(default)]
    pub waits_in: String,
    pub cpu: f64,
    pub over: f64,
    pub threads: u32,
    pub tracer: Option<i32>,
}

/// The processes that are not told one by one.
#[derive(Deserialize)]
pub struct Rest {
    pub processes: usize,
    pub running: usize,
    pub cpu: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::story::Story;
    use crate::report::{Record, samples};

    const LINE: &str = r#"{"version":1,"time":"2026-11-24T12:49:41.162Z","supervisor":7,"level":"info","event":"started","run":1,"pid":8}"#;

    fn is_entry(text: &str) -> bool {
        matches!(Reading::of(text), Reading::Entry(_))
    }

    #[test]
    fn what_stands_around_a_line_is_passed_over() {
        assert!(is_entry(LINE));
        assert!(is_entry(&format!("<6>{LINE}")));
        assert!(is_entry(&format!("Nov 24 12:49:41 host supervisor[7]: {LINE}")));
        assert!(is_entry(&format!("Loading... {{{LINE} done")));
        let sorted: serde_json::Value = serde_json::from_str(LINE).unwrap();
        assert!(is_entry(&sorted.to_string()));
    }

    #[test]
    fn lines_of_others_are_told_from_damaged_ones() {
        assert!(matches!(Reading::of("Traceback: {"), Reading::Foreign));
        assert!(matches!(Reading::of("{\"level\":\"info\"}"), Reading::Foreign));
        assert!(matches!(Reading::of(&LINE[..LINE.len() - 9]), Reading::Damaged));
        assert!(matches!(Reading::of(&LINE.replace("2026-11-24", "yesterday")), Reading::Damaged));
    }

    /// They decide nothing, and explain nothing that other events do not.
    const PASSED_OVER: [&str; 11] = [
        "long_delay",
        "messages_summed",
        "process_continued",
        "settings",
        "signal_failed",
        "signal_forwarded",
        "signal_received",
        "signal_sent",
        "status",
        "terminal_lent",
        "tick",
    ];

    #[test]
    fn every_event_that_is_logged_can_be_read_and_has_a_sentence() {
        let mut story = Story::new();
        for content in samples() {
            let name = content.name();
            let record = Record::new(log::Level::Info, content, "a sentence".to_owned());
            let Reading::Entry(entry) = Reading::of(record.json()) else { panic!("{name}: {}", record.json()) };
            assert_eq!(matches!(entry.event, Event::Other), PASSED_OVER.contains(&name), "{name}");
            let is_silent = matches!(
                entry.event,
                Event::Other | Event::Supervising { .. } | Event::Input {} | Event::Heartbeat { .. }
            );
            let told = story.tell(entry.time, &entry.event);
            assert_eq!(told.is_none(), is_silent, "{name}");
            assert!(told.is_none_or(|told| !told.words.is_empty() && !told.words.contains("  ")), "{name}");
        }
    }

    #[test]
    fn events_of_a_later_version_are_borne() {
        let later = LINE.replace("started", "teleported");
        assert!(matches!(Reading::of(&later), Reading::Entry(entry) if matches!(entry.event, Event::Other)));
    }
}
