//! Who wants to know what happens: the log, the status and metrics files, hooks. One that fails never delays another.

use crate::logging::{self, Format, Log, TARGET};
use crate::manager::Manager;
use crate::metrics;
use crate::options::{PublishedFile, Settings};
use crate::publish::Published;
use crate::record::{self, Fact};
use crate::status::{State, Status};
use crate::words::{Harmless, Seconds};
use log::Level;
use std::fmt;
use std::io;
use std::time::{Duration, Instant as Clock};
use supervisor_backend_unix::{Hook, Hooks, Notifications};
use supervisor_core::{Event, Instant, Notice};

/// Heartbeats alone rewrite the files no more often than this.
const SELDOM: Duration = Duration::from_secs(1);

pub struct Sinks {
    format: Format,
    log: Log,
    status: Status,
    files: Vec<(Published, Form)>,
    written: Clock,
    /// Where there is a hook.
    hooks: Option<Hooks>,
    /// Where there is a service manager.
    manager: Option<Manager>,
    readiness: Readiness,
}

/// When the command counts as ready, and with it the supervisor as a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readiness {
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
    /// All that the settings ask for.
    ///
    /// # Errors
    /// That a file cannot be written, in one line.
    pub fn begin(settings: &Settings, log: Log) -> Result<Sinks, String> {
        let format = settings.format;
        let status = Status::new(settings.policy.max_restarts);
        let published = settings.files.iter().map(|file| publish(file, &status, format));
        Ok(Sinks {
            format,
            log,
            files: published.collect::<Result<_, _>>()?,
            status,
            written: Clock::now(),
            hooks: match &settings.backend.hook {
                Hook::None => None,
                Hook::Run(_, hooks) => Some(hooks.clone()),
            },
            manager: Manager::find(format),
            readiness: match settings.backend.notifications {
                Notifications::Refused => Readiness::Start,
                Notifications::Taken => Readiness::Word,
            },
        })
    }

    pub fn tell(&self, level: Level, fact: &Fact, words: fmt::Arguments<'_>) {
        match self.format {
            Format::Text => log::log!(target: TARGET, level, "{words}"),
            Format::Json => logging::record(level, fact, words),
        }
        self.call_hook(level, fact, words);
    }

    /// As many lines as you like where people read.
    pub fn tell_lines(&self, level: Level, fact: &Fact, lines: &[String]) {
        match self.format {
            Format::Text => lines.iter().for_each(|line| log::log!(target: TARGET, level, "{line}")),
            Format::Json => logging::record(level, fact, format_args!("")),
        }
        self.call_hook(level, fact, format_args!(""));
    }

    /// For people alone.
    pub fn tell_people(&self, level: Level, words: fmt::Arguments<'_>) {
        match self.format {
            Format::Text => log::log!(target: TARGET, level, "{words}"),
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

    /// Whether this is what the command said of itself last.
    pub fn has_status_text(&self, text: &str) -> bool {
        self.status.has_text(text)
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

fn publish(file: &PublishedFile, status: &Status, format: Format) -> Result<(Published, Form), String> {
    let option = file.option;
    let words = format!("{option} {}: cannot be written", Harmless(&file.path.display().to_string()));
    let words_later = words.clone();
    let tell = move |error: &io::Error| {
        logging::trouble(format, option, error, format_args!("{words_later}: {error}"));
    };
    let published = Published::begin(&file.path, &file.form.render(status), tell)
        .map_err(|error| format!("{words}: {}; give a path in a folder that can be written to", reason(&error)))?;
    Ok((published, file.form.clone()))
}

/// Without the names of temporary files.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "its folder is not there".to_owned(),
        io::ErrorKind::PermissionDenied => "its folder cannot be written to".to_owned(),
        io::ErrorKind::TimedOut => "its file system does not answer".to_owned(),
        io::ErrorKind::Other => error.to_string(),
        kind => kind.to_string(),
    }
}
