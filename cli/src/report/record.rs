//! What happens, as JSON: one object for each event, the same bytes in the log and for hooks. `EVENTS.md` lists them.

use super::display::changes_direction;
use super::run::Condition;
use crate::exit_code;
use crate::options::Settings;
use jiff::{Timestamp, Unit};
use log::Level;
use serde::{Serialize, Serializer};
use std::cell::OnceCell;
use std::time::Duration;
use supervisor_backend_unix::{Trouble, UnixNotice};
use supervisor_core::{Event, Notice, Policy};

/// The version of all JSON that the supervisor writes. It grows when a field goes or changes its meaning.
pub const VERSION: u32 = 1;

/// Trouble with hooks is not told to hooks.
pub const HOOK: &str = "hook";

/// An event, stamped once.
pub struct Record {
    pub time: Timestamp,
    pub level: Level,
    pub content: Content,
    /// The same for people, a sentence in each line; empty where they are told nothing.
    pub words: String,
    json: OnceCell<String>,
}

/// What happened.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Content {
    /// The beginning.
    Supervising {
        command: Vec<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        heartbeat_file: Option<String>,
        policy: Policy,
    },
    /// What all options come to, for people.
    Settings {},
    /// A fact that the machine takes, and when, on its own clock.
    Input {
        at: Duration,
        input: Event,
    },
    Machine {
        #[serde(flatten)]
        notice: Notice,
        #[serde(flatten)]
        beside: Beside,
    },
    Backend(UnixNotice),
    /// The delay is long, and the policy has no ceiling for it.
    LongDelay {
        #[serde(serialize_with = "seconds")]
        delay: Duration,
    },
    /// Lines of the log that could not be written.
    LogLinesLost {
        lines: u64,
    },
    /// Something that the supervisor would do cannot be done; it goes on without.
    Trouble {
        with: &'static str,
        error: String,
    },
}

/// What only the program knows of a notice.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Beside {
    Nothing {},
    StoppedBy { stopped_by: i32 },
    ExitCode { exit_code: u8 },
}

impl Beside {
    pub fn of(notice: &Notice, condition: Condition) -> Beside {
        if let (Notice::Hung { .. }, Condition::Stopped { signal }) = (notice, condition) {
            return Beside::StoppedBy { stopped_by: signal };
        }
        if let Notice::Done(outcome) = notice {
            return Beside::ExitCode { exit_code: exit_code::of(*outcome) };
        }
        Beside::Nothing {}
    }
}

impl Content {
    pub fn supervising(settings: &Settings) -> Content {
        let command = &settings.backend.command;
        let words = [&command.program].into_iter().chain(&command.arguments);
        Content::Supervising {
            command: words.map(|word| word.to_string_lossy().into_owned()).collect(),
            heartbeat_file: settings.backend.heartbeat_file.as_ref().map(|path| path.display().to_string()),
            policy: settings.policy.clone(),
        }
    }

    /// The name of the event.
    pub fn name(&self) -> &'static str {
        match self {
            Content::Supervising { .. } => "supervising",
            Content::Settings {} => "settings",
            Content::Input { .. } => "input",
            Content::Machine { notice, .. } => notice.name(),
            Content::Backend(notice) => notice.name(),
            Content::LongDelay { .. } => "long_delay",
            Content::LogLinesLost { .. } => "log_lines_lost",
            Content::Trouble { .. } => "trouble",
        }
    }

    /// What a trouble is with.
    pub fn trouble(&self) -> Option<&'static str> {
        match self {
            Content::Trouble { with, .. } => Some(with),
            Content::Backend(UnixNotice::Trouble(trouble)) => Some(Trouble::subject(trouble)),
            Content::Supervising { .. }
            | Content::Settings {}
            | Content::Input { .. }
            | Content::Machine { .. }
            | Content::Backend(_)
            | Content::LongDelay { .. }
            | Content::LogLinesLost { .. } => None,
        }
    }
}

impl Record {
    /// Of what happens now.
    pub fn new(level: Level, content: Content, words: String) -> Record {
        Record { time: Timestamp::now(), level, content, words, json: OnceCell::new() }
    }

    /// One line, written once.
    pub fn json(&self) -> &str {
        self.json.get_or_init(|| {
            let line = Line {
                version: VERSION,
                time: time(self.time),
                supervisor: std::process::id(),
                level: level_name(self.level),
                event: self.content.name(),
                content: &self.content,
                message: &self.words,
            };
            escaped(&serde_json::to_string(&line).unwrap_or_default())
        })
    }
}

/// The same JSON without characters that play with a terminal or with the direction of text: JSON itself escapes those
/// below 32, and the others only stand in strings.
pub fn escaped(json: &str) -> String {
    let is_harmful = |character: char| character.is_control() || changes_direction(character);
    json.chars().fold(String::with_capacity(json.len()), |mut text, character| {
        if is_harmful(character) {
            text += &format!("\\u{:04x}", u32::from(character));
        } else {
            text.push(character);
        }
        text
    })
}

#[derive(Serialize)]
struct Line<'a> {
    version: u32,
    time: String,
    supervisor: u32,
    level: &'static str,
    event: &'static str,
    #[serde(flatten)]
    content: &'a Content,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
}

pub fn level_name(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

/// RFC 3339, to the millisecond, in UTC.
pub fn time(moment: Timestamp) -> String {
    let moment = moment.round(Unit::Millisecond).unwrap_or(moment);
    format!("{moment:.3}")
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

#[cfg(test)]
pub mod tests;
