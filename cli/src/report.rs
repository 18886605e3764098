//! Tells what happens: each notice becomes a record for programs and a sentence for people.

use crate::exit_code;
use crate::options::Settings;
use crate::record::{self, ExaminedForm, Fact};
use crate::sinks::Sinks;
use crate::words::{Autopsy, Ended, Failure, Harmless, Name, Number, Reason, Seconds, Status, To, remedy};
use log::Level;
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;
use supervisor_backend_unix::{Examined, Signal, Target, UnixNotice};
use supervisor_core::{Ending, Event, Instant, KillCause, Limit, Notice, Outcome, Watchdog};

/// A delay above this without a ceiling surprises people.
const LONG_DELAY: Duration = Duration::from_secs(300);

/// Turns notices into sentences and records, and hands them to all who want them: the log, the status file, hooks.
pub struct Reporter {
    program: String,
    timeout: Option<Duration>,
    grace_period: Duration,
    limit: Limit,
    ceiling: Option<Duration>,
    heartbeat_file: String,
    /// The main process of the current run.
    pid: u32,
    condition: Condition,
    sinks: Sinks,
}

/// What is known of the main process beyond its being alive.
enum Condition {
    Going,
    Stopped { signal: i32 },
}

impl Reporter {
    pub fn new(settings: &Settings, sinks: Sinks) -> Reporter {
        let command = &settings.backend.command;
        let words = [&command.program].into_iter().chain(&command.arguments);
        let heartbeat_file = settings.backend.heartbeat_file.as_ref().map(|path| path.display().to_string());
        let reporter = Reporter {
            program: Harmless(&command.program.to_string_lossy()).to_string(),
            timeout: match settings.policy.watchdog {
                Watchdog::Off => None,
                Watchdog::On { timeout, initial_delay } => Some(initial_delay.saturating_add(timeout)),
            },
            grace_period: settings.policy.grace_period,
            limit: settings.policy.max_restarts,
            ceiling: settings.policy.backoff.ceiling,
            heartbeat_file: heartbeat_file.clone().unwrap_or_default(),
            pid: 0,
            condition: Condition::Going,
            sinks,
        };
        reporter.sinks.tell_people(
            Level::Debug,
            format_args!("heartbeat file {}, {:?}", reporter.heartbeat_file, settings.policy),
        );
        reporter.sinks.tell_lines(
            Level::Info,
            &Fact::Supervising {
                command: words.map(|word| word.to_string_lossy().into_owned()).collect(),
                heartbeat_file,
                policy: settings.policy.clone(),
            },
            &[],
        );
        reporter
    }

    /// Waits until all is told, but not for long.
    pub fn flush(&self) {
        self.sinks.flush();
    }

    /// A fact that the machine is about to take.
    pub fn input(&mut self, at: Instant, event: Event) {
        self.sinks.input(at, event);
    }

    /// A notice of the machine.
    pub fn machine(&mut self, notice: Notice) {
        self.sinks.state(notice);
        self.sinks.tell_manager(notice);
        if let Notice::Started { pid, .. } = notice {
            (self.pid, self.condition) = (pid, Condition::Going);
        }
        let stopped_by = match self.condition {
            Condition::Going => None,
            Condition::Stopped { signal } => Some(signal),
        };
        let fact = record::fact(notice, self.pid, stopped_by);
        let (level, words) = self.sentence(notice);
        self.sinks.tell(level, &fact, format_args!("{words}"));
        if let Notice::BackingOff { delay, .. } = notice
            && delay > LONG_DELAY
            && self.ceiling.is_none()
        {
            let delay = Seconds(delay);
            let words = format!("the next start is {delay} away; --max-backoff would set a ceiling for such delays");
            self.tell(Level::Warn, &Fact::LongDelay, format_args!("{words}"));
        }
    }

    fn sentence(&self, notice: Notice) -> (Level, String) {
        let (pid, program) = (self.pid, &self.program);
        match notice {
            Notice::Started { run, .. } => {
                let due = self.timeout.map(|due| format!("; first heartbeat due within {}", Seconds(due)));
                (Level::Info, format!("{run}: started {program} as pid {pid}{}", due.unwrap_or_default()))
            }
            Notice::StartFailed { run, failure } => {
                (Level::Error, format!("{run}: cannot start {program}: {}", Failure(failure)))
            }
            Notice::FirstHeartbeat { run, ago } => {
                let ago = Seconds(ago);
                (Level::Info, format!("{run}: heartbeat of pid {pid} seen for the first time, the last one {ago} ago"))
            }
            Notice::Heartbeat { run, ago } => (Level::Debug, format!("{run}: last heartbeat {} ago", Seconds(ago))),
            Notice::Delayed { run, late, extension } => {
                let (late, more) = (Seconds(late), Seconds(extension));
                let words = "supervisor itself could not run for";
                (Level::Warn, format!("{run}: {words} {late}; pid {pid} has {more} more to show a heartbeat"))
            }
            Notice::Hung { run, silence, grace_period } => {
                let (silence, grace, condition) = (Seconds(silence), Seconds(grace_period), &self.condition);
                let words = format!("hung: pid {pid} silent for {silence}{condition}");
                (Level::Warn, format!("{run}: {words}; asked to leave, SIGKILL in {grace}"))
            }
            Notice::HangReported { run, grace_period } => {
                let grace = Seconds(grace_period);
                (Level::Warn, format!("{run}: hung, as pid {pid} reports; asked to leave, SIGKILL in {grace}"))
            }
            Notice::Ready { run } => (Level::Info, format!("{run}: pid {pid} is ready")),
            Notice::Leaving { run } => (Level::Info, format!("{run}: pid {pid} begins to leave")),
            Notice::TimeoutSet { run, timeout } => {
                (Level::Info, format!("{run}: pid {pid} has set its timeout to {}", Seconds(timeout)))
            }
            Notice::Extended { run, by } => {
                (Level::Info, format!("{run}: pid {pid} needs more time: {} from now", Seconds(by)))
            }
            Notice::StreakEnded { run } => (Level::Info, format!("{run}: pid {pid} has ended the streak of restarts")),
            Notice::Stopping { run, grace_period } => {
                (Level::Info, format!("{run}: stopping: asked to leave, SIGKILL in {}", Seconds(grace_period)))
            }
            Notice::StoppingInstead { run } => {
                (Level::Info, format!("{run}: stopping: it is leaving already, and will not be started again"))
            }
            Notice::Exited { run, status, ending } => {
                let words = format!("{run}: pid {pid} {}", Status(status));
                match ending {
                    Ending::Spontaneous { after } => {
                        let level = if status.is_success() { Level::Info } else { Level::Warn };
                        (level, format!("{words} after {}", Seconds(after)))
                    }
                    Ending::Asked => (Level::Info, format!("{words}, as it was asked to leave")),
                    Ending::Killed => (Level::Info, words),
                }
            }
            Notice::Killing { run, cause: KillCause::GracePeriodOver } => {
                let period = Seconds(self.grace_period);
                (Level::Warn, format!("{run}: still there after the grace period of {period}: killing"))
            }
            Notice::Killing { run, cause: KillCause::Interrupt } => {
                (Level::Warn, format!("{run}: asked to stop at once: killing"))
            }
            Notice::Surviving { run, since } => {
                let since = Seconds(since);
                (Level::Warn, format!("{run}: something survives SIGKILL since {since}; waiting for its end"))
            }
            Notice::BackingOff { restart, limit, delay } => {
                let limit = match limit {
                    Limit::Unlimited => String::new(),
                    Limit::Times(limit) => format!(" of {limit}"),
                };
                (Level::Info, format!("restart {restart}{limit} in {}", Seconds(delay)))
            }
            Notice::Done(outcome) => self.last_words(outcome),
        }
    }

    fn last_words(&self, outcome: Outcome) -> (Level, String) {
        let code = exit_code::of(outcome);
        match outcome {
            Outcome::Finished => (Level::Info, format!("finished: exit code {code}")),
            Outcome::Stopped => (Level::Info, format!("stopped: exit code {code}")),
            Outcome::Killed => {
                (Level::Warn, format!("stopped, but pid {} had to be killed: exit code {code}", self.pid))
            }
            Outcome::GaveUp { end, reason } => {
                let (reason, end) = (Reason(reason, self.limit), Ended(end));
                (Level::Error, format!("giving up: {reason}; the last run {end}: exit code {code}"))
            }
        }
    }

    /// A notice of the backend.
    pub fn backend(&mut self, notice: &UnixNotice) {
        match notice {
            UnixNotice::Stopped { process, signal } if process.pid.cast_unsigned() == self.pid => {
                self.condition = Condition::Stopped { signal: *signal };
            }
            UnixNotice::Continued { pid } if pid.cast_unsigned() == self.pid => self.condition = Condition::Going,
            // It may be told again and again.
            UnixNotice::StatusText { text } if self.sinks.has_status_text(text) => return,
            UnixNotice::StatusText { text } => self.sinks.status_text(text),
            UnixNotice::Autopsy { processes } => self.autopsy(processes),
            UnixNotice::Tick => self.sinks.feed_watchdog(),
            _ => {}
        }
        if let Some((level, fact, words)) = self.happening(notice).or_else(|| self.trouble(notice)) {
            self.tell(level, &fact, format_args!("{words}"));
        }
        if let UnixNotice::Suspended = notice {
            // Whoever stopped us wants to read it now.
            self.sinks.flush();
        }
    }

    /// What happened to processes and signals.
    fn happening(&self, notice: &UnixNotice) -> Option<(Level, Fact, String)> {
        let name = ToString::to_string;
        Some(match notice {
            UnixNotice::Received { signal, sender } => {
                let from = if *sender == 0 { String::new() } else { format!(" from pid {sender}") };
                let fact = Fact::SignalReceived { signal: name(signal), sender: *sender };
                (Level::Info, fact, format!("got {signal}{from}"))
            }
            UnixNotice::Forwarded { signal, pid } => {
                let words = match pid {
                    Some(pid) => format!("passed {signal} on to pid {pid}"),
                    None => format!("got {signal}, and nothing runs to pass it on to"),
                };
                (Level::Info, Fact::SignalForwarded { signal: name(signal), pid: *pid }, words)
            }
            UnixNotice::Signalled { signal, target } => {
                let by_force = *signal == Signal::KILL && matches!(target, Target::Leftovers(_) | Target::All);
                let level = if by_force { Level::Warn } else { Level::Info };
                let fact = Fact::SignalSent { signal: name(signal), target: target.into() };
                (level, fact, format!("sent {signal} to {}", To(target)))
            }
            UnixNotice::SignalFailed { signal, target, error } => {
                let words = format!("cannot send {signal} to {}: {error}", To(target));
                let (signal, error) = (name(signal), error.to_string());
                (Level::Warn, Fact::SignalFailed { signal, target: target.into(), error }, words)
            }
            UnixNotice::Stopped { process, signal } => {
                let words = format!("{} is stopped by {}{}", Name(process), Number(*signal), remedy(*signal));
                (Level::Warn, Fact::ProcessStopped { process: process.into(), signal: *signal }, words)
            }
            UnixNotice::Continued { pid } => {
                (Level::Info, Fact::ProcessContinued { pid: *pid }, format!("pid {pid} goes on"))
            }
            UnixNotice::StatusText { text } => {
                let words = format!("status of pid {}: {}", self.pid, Harmless(text));
                (Level::Info, Fact::Status { text: text.clone() }, words)
            }
            UnixNotice::TerminalLent { group } => {
                let words = format!("the terminal is lent to process group {group}, until pid {group} ends");
                (Level::Info, Fact::TerminalLent { group: *group }, words)
            }
            UnixNotice::Suspended => {
                (Level::Info, Fact::Suspended, "stopped from the terminal, the command too".to_owned())
            }
            UnixNotice::Resumed => (Level::Info, Fact::Resumed, "goes on, the command too".to_owned()),
            UnixNotice::GuardLost => {
                let whose = "which clears the command's processes if the supervisor is killed";
                (Level::Warn, Fact::GuardLost, format!("the guard, {whose}, was killed itself"))
            }
            UnixNotice::GuardReplaced => (Level::Info, Fact::GuardReplaced, "there is a guard again".to_owned()),
            UnixNotice::Autopsy { .. } | UnixNotice::Tick => return None,
            // Told as trouble.
            UnixNotice::HeartbeatUnreadable { .. }
            | UnixNotice::HeartbeatUnanswered { .. }
            | UnixNotice::ProcessesInvisible { .. }
            | UnixNotice::StartUnanswered { .. }
            | UnixNotice::LeftoversUnseen { .. }
            | UnixNotice::Unguarded { .. }
            | UnixNotice::Unmarked { .. }
            | UnixNotice::HookFailed { .. }
            | UnixNotice::MessageRefused { .. } => return None,
        })
    }

    /// What cannot be done, and why.
    fn trouble(&self, notice: &UnixNotice) -> Option<(Level, Fact, String)> {
        let path = &self.heartbeat_file;
        let (with, error, words) = match notice {
            UnixNotice::HeartbeatUnreadable { error } => {
                let words = format!("cannot look at the heartbeat file {path}, which counts as silence: {error}");
                ("heartbeat_file", error.to_string(), words)
            }
            UnixNotice::HeartbeatUnanswered { waited } => {
                let what = format!("the file system of {path} does not answer for {}", Seconds(*waited));
                ("heartbeat_file", what.clone(), format!("{what}; until it does, no hang is found"))
            }
            UnixNotice::StartUnanswered { waited } => {
                let what = format!("the command's file system does not answer for {}", Seconds(*waited));
                ("start", what.clone(), format!("{what}; it is not executed yet"))
            }
            UnixNotice::ProcessesInvisible { error } => {
                let what = "only the process group of the command can be signalled: cannot see processes";
                ("proc", error.to_string(), format!("{what}: {error}"))
            }
            UnixNotice::LeftoversUnseen { error } => {
                let what = "cannot see just now what the command has left behind; trying again";
                ("proc", error.to_string(), format!("{what}: {error}"))
            }
            UnixNotice::Unmarked { error } => {
                let what = "should the supervisor be killed, a daemon of the command that has left its group, parents and \
                            environment may live on";
                ("guard", error.to_string(), format!("{what}: {error}"))
            }
            UnixNotice::Unguarded { error } => {
                let what = "there is no guard: should the supervisor be killed, what the command started may live on";
                ("guard", error.to_string(), format!("{what}: {error}"))
            }
            UnixNotice::HookFailed { error } => (record::HOOK, error.to_string(), format!("--on-event: {error}")),
            UnixNotice::MessageRefused { error } => {
                ("notify", error.to_string(), format!("--notify: a message is passed over: {error}"))
            }
            _ => return None,
        };
        Some((Level::Warn, Fact::Trouble { with, error }, words))
    }

    fn tell(&self, level: Level, fact: &Fact, words: fmt::Arguments<'_>) {
        self.sinks.tell(level, fact, words);
    }

    /// One line for each process in the text log, one object for all of them elsewhere.
    fn autopsy(&self, processes: &[Examined]) {
        let lines: Vec<_> = processes.iter().map(|process| Autopsy(process).to_string()).collect();
        let fact = Fact::Autopsy { processes: processes.iter().map(ExaminedForm::from).collect() };
        self.sinks.tell_lines(Level::Warn, &fact, &lines);
    }
}

/// One reporter for the machine and the backend.
#[derive(Clone)]
pub struct Shared(pub Rc<RefCell<Reporter>>);

impl supervisor_core::Report for Shared {
    fn event(&mut self, at: Instant, event: Event) {
        self.0.borrow_mut().input(at, event);
    }

    fn notice(&mut self, _at: Instant, notice: Notice) {
        self.0.borrow_mut().machine(notice);
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Condition::Going => Ok(()),
            Condition::Stopped { signal } => write!(f, ", stopped by {}", Number(*signal)),
        }
    }
}
