//! Tells what happens: each notice becomes a record for programs and a sentence for people.

use crate::exit_code;
use crate::options::Settings;
use crate::record::{self, ExaminedForm, Fact};
use crate::sinks::Sinks;
use crate::words::{Autopsy, Ended, Failure, Harmless, Name, Number, Reason, Seconds, Status, To, remedy};
use log::Level;
use std::cell::RefCell;
use std::fmt;
use std::io;
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
            UnixNotice::Received { signal, sender } => {
                let fact = Fact::SignalReceived { signal: signal.to_string(), sender: *sender };
                match sender {
                    0 => self.tell(Level::Info, &fact, format_args!("got {signal}")),
                    sender => self.tell(Level::Info, &fact, format_args!("got {signal} from pid {sender}")),
                }
            }
            UnixNotice::Forwarded { signal, pid } => {
                let fact = Fact::SignalForwarded { signal: signal.to_string(), pid: *pid };
                match pid {
                    Some(pid) => self.tell(Level::Info, &fact, format_args!("passed {signal} on to pid {pid}")),
                    None => {
                        self.tell(Level::Info, &fact, format_args!("got {signal}, and nothing runs to pass it on to"));
                    }
                }
            }
            UnixNotice::Signalled { signal, target } => {
                let by_force = *signal == Signal::SIGKILL && matches!(target, Target::Leftovers(_));
                let level = if by_force { Level::Warn } else { Level::Info };
                let fact = Fact::SignalSent { signal: signal.to_string(), target: target.into() };
                self.tell(level, &fact, format_args!("sent {signal} to {}", To(target)));
            }
            UnixNotice::SignalFailed { signal, target, error } => {
                let (signal, form, why) = (signal.to_string(), target.into(), error.to_string());
                let words = format!("cannot send {signal} to {}: {error}", To(target));
                let fact = Fact::SignalFailed { signal, target: form, error: why };
                self.tell(Level::Warn, &fact, format_args!("{words}"));
            }
            UnixNotice::Stopped { process, signal } => {
                if process.pid.cast_unsigned() == self.pid {
                    self.condition = Condition::Stopped { signal: *signal };
                }
                self.tell(
                    Level::Warn,
                    &Fact::ProcessStopped { process: process.into(), signal: *signal },
                    format_args!("{} is stopped by {}{}", Name(process), Number(*signal), remedy(*signal)),
                );
            }
            UnixNotice::Continued { pid } => {
                if pid.cast_unsigned() == self.pid {
                    self.condition = Condition::Going;
                }
                self.tell(Level::Info, &Fact::ProcessContinued { pid: *pid }, format_args!("pid {pid} goes on"));
            }
            UnixNotice::Autopsy { processes } => self.autopsy(processes),
            UnixNotice::StatusText { text } => {
                self.sinks.status_text(text);
                let words = format!("status of pid {}: {}", self.pid, Harmless(text));
                self.tell(Level::Info, &Fact::Status { text: text.clone() }, format_args!("{words}"));
            }
            UnixNotice::TerminalLent { group } => self.tell(
                Level::Info,
                &Fact::TerminalLent { group: *group },
                format_args!("the terminal is lent to process group {group}, until pid {group} ends"),
            ),
            UnixNotice::Suspended => {
                self.tell(Level::Info, &Fact::Suspended, format_args!("stopped from the terminal, the command too"));
                // Whoever stopped us wants to read it now.
                self.sinks.flush();
            }
            UnixNotice::Resumed => self.tell(Level::Info, &Fact::Resumed, format_args!("goes on, the command too")),
            UnixNotice::HeartbeatUnreadable { error } => {
                let path = &self.heartbeat_file;
                let words = format!("cannot look at the heartbeat file {path}, which counts as silence: {error}");
                self.trouble("heartbeat_file", error, format_args!("{words}"));
            }
            UnixNotice::HeartbeatUnanswered { waited } => {
                let (path, waited) = (&self.heartbeat_file, Seconds(*waited));
                let words =
                    format!("the file system of {path} does not answer for {waited}; until it does, no hang is found");
                let error = io::Error::from(io::ErrorKind::TimedOut);
                self.trouble("heartbeat_file", &error, format_args!("{words}"));
            }
            UnixNotice::GuardLost => self.tell(
                Level::Warn,
                &Fact::GuardLost,
                format_args!(
                    "the guard, which clears the command's processes if the supervisor is killed, was killed itself"
                ),
            ),
            UnixNotice::GuardReplaced => {
                self.tell(Level::Info, &Fact::GuardReplaced, format_args!("there is a guard again"));
            }
            UnixNotice::ProcessesInvisible { error } => self.trouble(
                "proc",
                error,
                format_args!("only the process group of the command can be signalled: cannot see processes: {error}"),
            ),
            UnixNotice::Unguarded { error } => self.trouble(
                "guard",
                error,
                format_args!(
                    "there is no guard: should the supervisor be killed, what the command started may live on: {error}"
                ),
            ),
            UnixNotice::HookFailed { error } => {
                self.trouble(record::HOOK, error, format_args!("--on-event: {error}"));
            }
            UnixNotice::MessageRefused { error } => {
                self.trouble("notify", error, format_args!("--notify: a message is passed over: {error}"));
            }
            UnixNotice::Tick => self.sinks.feed_watchdog(),
        }
    }

    fn tell(&mut self, level: Level, fact: &Fact, words: fmt::Arguments<'_>) {
        self.sinks.tell(level, fact, words);
    }

    fn trouble(&mut self, with: &'static str, error: &io::Error, words: fmt::Arguments<'_>) {
        self.tell(Level::Warn, &Fact::Trouble { with, error: error.to_string() }, words);
    }

    /// One line for each process in the text log, one object for all of them elsewhere.
    fn autopsy(&mut self, processes: &[Examined]) {
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
