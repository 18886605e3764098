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
            Format::Json => logging::record(level, fact, words),
        }
        self.call_hook(level, fact, words);
    }

    /// As many lines as you like where people read.
    pub fn tell_lines(&mut self, level: Level, fact: &Fact, lines: &[String]) {
        match self.format {
            Format::Text => lines.iter().for_each(|line| log::log!(level, "{line}")),
            Format::Json => logging::record(level, fact, format_args!("")),
        }
        self.call_hook(level, fact, format_args!(""));
    }

    /// For people alone.
    pub fn tell_people(&self, level: Level, words: fmt::Arguments<'_>) {
        match self.format {
            Format::Text => log::log!(level, "{words}"),
            Format::Json => {}
        }
    }

    pub fn input(&self, at: Instant, event: Event) {
        match self.format {
            Format::Text => {}
            Format::Json => logging::record(Level::Info, &record::input(at, event), format_args!("")),
        }
    }

    /// Takes what a notice changes in the state, and publishes it.
    pub fn state(&mut self, notice: Notice) {
        self.status.machine(notice);
        let is_seldom = self.written.elapsed() >= SELDOM;
        if is_seldom || !matches!(notice, Notice::Heartbeat { .. }) {
            self.publish();
        }
    }

    /// Takes what the command says of itself.
    pub fn status_text(&mut self, text: &str) {
        self.status.text(text);
        self.publish();
        self.say_to_manager(&format!("STATUS={text}"));
    }

    fn publish(&mut self) {
        self.written = Clock::now();
        self.files.iter().for_each(|(file, form)| file.put(form.render(&self.status)));
    }

    /// Waits until all is written, but not for long.
    pub fn flush(&self) {
        self.files.iter().for_each(|(file, _)| file.flush());
        self.manager.iter().for_each(Manager::flush);
        self.log.flush();
    }

    /// What the service manager is to know.
    pub fn tell_manager(&self, notice: Notice) {
        let pid = std::process::id();
        let ready = |words: String| format!("READY=1\nMAINPID={pid}\n{words}").trim_end().to_owned();
        let words = match (notice, self.readiness) {
            (Notice::Started { run, pid }, Readiness::Start) => ready(format!("STATUS={run}, pid {pid}")),
            (Notice::Started { run, pid }, Readiness::Word) => format!("STATUS={run}, pid {pid}: not ready yet"),
            // What the command says of itself may come with it.
            (Notice::Ready { .. }, Readiness::Word) => ready(String::new()),
            (Notice::Hung { run, .. } | Notice::HangReported { run, .. }, _) => format!("STATUS={run}: hung"),
            (Notice::BackingOff { restart, delay, .. }, _) => {
                format!("STATUS=restart {restart} in {}", Seconds(delay))
            }
            (Notice::Stopping { .. } | Notice::StoppingInstead { .. } | Notice::Done(_), _) => "STOPPING=1".to_owned(),
            _ => return,
        };
        self.say_to_manager(&words);
    }

    /// The loop turns; and nothing is known to hang.
    pub fn feed_watchdog(&self) {
        if self.status.state != State::Hung {
            self.say_to_manager("WATCHDOG=1");
        }
    }

    fn say_to_manager(&self, words: &str) {
        if let Some(manager) = &self.manager {
            manager.tell(words);
        }
    }

    fn call_hook(&self, level: Level, fact: &Fact, words: fmt::Arguments<'_>) {
        if let (Some(hooks), true) = (&self.hooks, fact.is_for_hooks()) {
            hooks.push(fact.name(), logging::json(level, fact, words));
        }
    }
}
