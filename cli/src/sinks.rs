//! Who wants to know what happens: the log, the status and metrics files, hooks. One that fails never delays another.

use crate::logging::{self, Format, Log};
use crate::manager::Manager;
use crate::metrics;
use crate::publish::Published;
use crate::record::{self, Fact};
use crate::status::{State, Status};
use crate::words::Seconds;
use log::Level;
use std::fmt;
use std::io;
use std::time::{Duration, Instant as Clock};
use supervisor_backend_unix::Hooks;
use supervisor_core::{Event, Instant, Notice};

/// Heartbeats alone rewrite the files no more often than this.
const SELDOM: Duration = Duration::from_secs(1);

pub struct Sinks {
    pub format: Format,
    pub log: Log,
    pub status: Status,
    pub files: Vec<(Published, Form)>,
    pub written: Clock,
    /// Where there is a hook.
    pub hooks: Option<Hooks>,
    /// Where there is a service manager.
    pub manager: Option<Manager>,
    pub readiness: Readiness,
}

/// When the command counts as ready, and with it the supervisor as a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// As soon as it is started.
    Start,
    /// When it says so.
    Word,
}

/// What a published file holds.
#[derive(Clone)]
pub enum Form {
    Status,
    /// With the name of the command.
    Metrics(String),
}

pub fn manager_is_deaf(format: Format, error: &io::Error) {
    let words = format_args!("the service manager at NOTIFY_SOCKET cannot be told anything: {error}");
    logging::trouble(format, "service_manager", error, words);
}

impl Form {
    pub fn render(&self, status: &Status) -> String {
        match self {
            Form::Status => status.json(),
            Form::Metrics(command) => metrics::text(status, command),
        }
    }
}

impl Sinks {
    pub fn tell(&mut self, level: Level, fact: &Fact, words: fmt::Arguments<'_>) {
        match self.format {
            Format::Text => log::log!(level, "{words}"),
            // What a replay begins with belongs to every log.
            Format::Json if matches!(fact, Fact::Supervising { .. }) => {
                logging::record(Level::Info, fact, format_args!(""));
            }
            Format::Json => logging::record(level, fact, words),
        }
        self.call_hook(level, fact, words);
    }

    /// Several lines where people read.
    pub fn tell_lines(&mut self, level: Level, fact: &Fact, lines: &[String]) {
        match self.format {
            Format::Text => lines.iter().for_each(|line| log::log!(level, "{line}")),
            Format::Json => logging::record(level, fact, format_args!("")),
        }
        self.call_hook(level, fact, format_args!(""));
    }

    /// Advice for people alone.
    pub fn warn(&self, words: &str) {
        match self.format {
            Format::Text => log::warn!("{words}"),
            Format::Json => {}
        }
    }

    pub fn input(&self, at: Instant, event: Event) {
        match self.format {
            Format::Text => {}
            Format::Json => logging::record(Level::Info, &record::input(at, event), format_args!("")),
        }
    }

    /// Takes a change of the state, and publishes it.
    pub fn status(&mut self, change: impl FnOnce(&mut Status)) {
        let heartbeat = self.status.last_heartbeat.clone();
        change(&mut self.status);
        let is_heartbeat = heartbeat.is_some() && heartbeat != self.status.last_heartbeat;
        if self.files.is_empty() || (is_heartbeat && self.written.elapsed() < SELDOM) {
            return;
        }
        self.written = Clock::now();
        self.files.iter().for_each(|(file, form)| file.put(form.render(&self.status)));
    }

    /// Waits until all is written, but not for long.
    pub fn flush(&self) {
        self.files.iter().for_each(|(file, _)| file.flush());
        self.log.flush();
    }

    /// What the service manager is to know.
    pub fn tell_manager(&mut self, notice: Notice) {
        let pid = std::process::id();
        let ready = |words: String| format!("READY=1\nMAINPID={pid}\n{words}");
        let words = match (notice, self.readiness) {
            (Notice::Started { run, pid }, Readiness::Start) => ready(format!("STATUS={run}, pid {pid}")),
            (Notice::Started { run, pid }, Readiness::Word) => format!("STATUS={run}, pid {pid}: not ready yet"),
            (Notice::Ready { run }, Readiness::Word) => ready(format!("STATUS={run}: ready")),
            (Notice::Hung { run, .. } | Notice::HangReported { run, .. }, _) => format!("STATUS={run}: hung"),
            (Notice::BackingOff { restart, delay, .. }, _) => {
                format!("STATUS=restart {restart} in {}", Seconds(delay))
            }
            (Notice::Stopping { .. } | Notice::StoppingInstead { .. } | Notice::Done(_), _) => "STOPPING=1".to_owned(),
            _ => return,
        };
        self.say_to_manager(&words);
    }

    /// What the command says of itself goes up.
    pub fn tell_manager_status(&mut self, text: &str) {
        self.say_to_manager(&format!("STATUS={text}"));
    }

    /// The loop turns; and nothing is known to hang.
    pub fn feed_watchdog(&mut self) {
        if self.status.state != State::Hung {
            self.say_to_manager("WATCHDOG=1");
        }
    }

    fn say_to_manager(&mut self, words: &str) {
        let Some(manager) = &mut self.manager else { return };
        if let Err(error) = manager.tell(words) {
            manager_is_deaf(self.format, &error);
        }
    }

    fn call_hook(&self, level: Level, fact: &Fact, words: fmt::Arguments<'_>) {
        if let (Some(hooks), true) = (&self.hooks, fact.is_for_hooks()) {
            hooks.push(fact.name(), logging::json(level, fact, words));
        }
    }
}
