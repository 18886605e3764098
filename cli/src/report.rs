//! Tells what happens: each notice becomes a record for programs and a sentence for people.

use crate::exit_code;
use crate::options::Settings;
use crate::record::{self, ExaminedForm, Fact};
use crate::sinks::Sinks;
use crate::words::{Autopsy, Ended, Failure, Name, Number, Reason, Seconds, Status, To, remedy};
use log::Level;
use std::cell::RefCell;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use supervisor_backend_unix::{Examined, Signal, Target, UnixNotice};
use supervisor_core::{Ending, Event, ExitStatus, Instant, KillCause, Limit, Notice, Outcome, RunId, Watchdog};

/// A delay above this without a ceiling surprises people.
const LONG_DELAY: Duration = Duration::from_secs(300);

/// Turns notices into sentences and records, and hands them to all who want them: the log, the status file, hooks.
pub struct Reporter {
    program: String,
    timeout: Option<Duration>,
    grace_period: Duration,
    limit: Limit,
    ceiling: Option<Duration>,
    heartbeat_file: PathBuf,
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
        let heartbeat_file = settings.backend.heartbeat_file.display();
        let mut reporter = Reporter {
            program: command.program.to_string_lossy().into_owned(),
            timeout: match settings.policy.watchdog {
                Watchdog::Off => None,
                Watchdog::On { timeout, initial_delay } => Some(initial_delay.saturating_add(timeout)),
            },
            grace_period: settings.policy.grace_period,
            limit: settings.policy.max_restarts,
            ceiling: settings.policy.backoff.ceiling,
            heartbeat_file: settings.backend.heartbeat_file.clone(),
            pid: 0,
            condition: Condition::Going,
            sinks,
        };
        reporter.sinks.tell(
            Level::Debug,
            &Fact::Supervising {
                command: words.map(|word| word.to_string_lossy().into_owned()).collect(),
                heartbeat_file: heartbeat_file.to_string(),
                policy: settings.policy.clone(),
            },
            format_args!("heartbeat file {heartbeat_file}, {:?}", settings.policy),
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
        self.sinks.status(|status| status.machine(notice));
        self.sinks.tell_manager(notice);
        let pid = self.pid;
        match notice {
            Notice::Started { run, pid } => {
                self.pid = pid;
                self.condition = Condition::Going;
                let program = self.program.clone();
                let fact = Fact::Started { run: run.0, pid };
                match self.timeout {
                    Some(due) => self.tell(
                        Level::Info,
                        &fact,
                        format_args!(
                            "{run}: started {program} as pid {pid}; first heartbeat due within {}",
                            Seconds(due)
                        ),
                    ),
                    None => self.tell(Level::Info, &fact, format_args!("{run}: started {program} as pid {pid}")),
                }
            }
            Notice::StartFailed { run, failure } => {
                let (reason, os_error) = (record::start_failure(failure.kind), failure.os_error);
                let words = format!("{run}: cannot start {}: {}", self.program, Failure(failure));
                self.tell(Level::Error, &Fact::StartFailed { run: run.0, reason, os_error }, format_args!("{words}"));
            }
            Notice::FirstHeartbeat { run, ago } => self.tell(
                Level::Info,
                &Fact::Heartbeat { run: run.0, first: true, ago },
                format_args!(
                    "{run}: heartbeat of pid {pid} seen for the first time, the last one {} ago",
                    Seconds(ago)
                ),
            ),
            Notice::Heartbeat { run, ago } => self.tell(
                Level::Debug,
                &Fact::Heartbeat { run: run.0, first: false, ago },
                format_args!("{run}: last heartbeat {} ago", Seconds(ago)),
            ),
            Notice::Delayed { run, late, extension } => self.tell(
                Level::Warn,
                &Fact::Delayed { run: run.0, late, extension },
                format_args!(
                    "{run}: supervisor itself could not run for {}; pid {pid} has {} more to show a heartbeat",
                    Seconds(late),
                    Seconds(extension)
                ),
            ),
            Notice::Hung { run, silence, grace_period } => {
                let words = format!(
                    "{run}: hung: pid {pid} silent for {}{}; asked to leave, SIGKILL in {}",
                    Seconds(silence),
                    self.condition,
                    Seconds(grace_period)
                );
                self.hung(run, Some(silence), grace_period, format_args!("{words}"));
            }
            Notice::HangReported { run, grace_period } => self.hung(
                run,
                None,
                grace_period,
                format_args!("{run}: hung, as pid {pid} reports; asked to leave, SIGKILL in {}", Seconds(grace_period)),
            ),
            Notice::Ready { run } => {
                self.tell(Level::Info, &Fact::Ready { run: run.0 }, format_args!("{run}: pid {pid} is ready"));
            }
            Notice::Leaving { run } => {
                self.tell(Level::Info, &Fact::Leaving { run: run.0 }, format_args!("{run}: pid {pid} begins to leave"));
            }
            Notice::TimeoutSet { run, timeout } => self.tell(
                Level::Info,
                &Fact::TimeoutSet { run: run.0, timeout },
                format_args!("{run}: pid {pid} has set its timeout to {}", Seconds(timeout)),
            ),
            Notice::Extended { run, by } => self.tell(
                Level::Info,
                &Fact::Extended { run: run.0, by },
                format_args!("{run}: pid {pid} needs more time: {} from now", Seconds(by)),
            ),
            Notice::StreakEnded { run } => self.tell(
                Level::Info,
                &Fact::StreakEnded { run: run.0 },
                format_args!("{run}: pid {pid} has ended the streak of restarts"),
            ),
            Notice::Stopping { run, grace_period } => self.tell(
                Level::Info,
                &Fact::Stopping { run: run.0, grace_period: Some(grace_period) },
                format_args!("{run}: stopping: asked to leave, SIGKILL in {}", Seconds(grace_period)),
            ),
            Notice::StoppingInstead { run } => self.tell(
                Level::Info,
                &Fact::Stopping { run: run.0, grace_period: None },
                format_args!("{run}: stopping: it will not be started again"),
            ),
            Notice::Exited { run, status, ending } => self.exited(run, status, ending),
            Notice::Killing { run, cause } => {
                let fact = Fact::Killing { run: run.0, cause: record::cause(cause) };
                match cause {
                    KillCause::GracePeriodOver => {
                        let period = Seconds(self.grace_period);
                        let words = format!("{run}: still there after the grace period of {period}: killing");
                        self.tell(Level::Warn, &fact, format_args!("{words}"));
                    }
                    KillCause::Interrupt => {
                        self.tell(Level::Warn, &fact, format_args!("{run}: asked to stop at once: killing"));
                    }
                }
            }
            Notice::Surviving { run, since } => self.tell(
                Level::Warn,
                &Fact::Surviving { run: run.0, since },
                format_args!("{run}: something survives SIGKILL since {}; waiting for its end", Seconds(since)),
            ),
            Notice::BackingOff { restart, limit, delay } => self.backing_off(restart, limit, delay),
            Notice::Done(outcome) => self.done(outcome),
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
                self.sinks.status(|status| status.text(text));
                self.sinks.tell_manager_status(text);
                let words = format!("status of pid {}: {text}", self.pid);
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
                let path = self.heartbeat_file.display();
                let words = format!("cannot look at the heartbeat file {path}, which counts as silence: {error}");
                self.trouble("heartbeat_file", error, format_args!("{words}"));
            }
            UnixNotice::HeartbeatUnanswered { waited } => {
                let (path, waited) = (self.heartbeat_file.display(), Seconds(*waited));
                let words =
                    format!("the file system of {path} does not answer for {waited}; until it does, no hang is found");
                let error = io::Error::from(io::ErrorKind::TimedOut);
                self.trouble("heartbeat_file", &error, format_args!("{words}"));
            }
            UnixNotice::GuardLost => self.tell(
                Level::Warn,
                &Fact::GuardReplaced,
                format_args!(
                    "the guard, which clears the command's processes if the supervisor is killed, was killed itself; \
                     another takes its place"
                ),
            ),
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

    fn hung(&mut self, run: RunId, silence: Option<Duration>, grace_period: Duration, words: fmt::Arguments<'_>) {
        let stopped_by = match self.condition {
            Condition::Going => None,
            Condition::Stopped { signal } => Some(signal),
        };
        self.tell(Level::Warn, &Fact::Hung { run: run.0, pid: self.pid, silence, stopped_by, grace_period }, words);
    }

    /// One line for each process in the text log, one object for all of them elsewhere.
    fn autopsy(&mut self, processes: &[Examined]) {
        let lines: Vec<_> = processes.iter().map(|process| Autopsy(process).to_string()).collect();
        let fact = Fact::Autopsy { processes: processes.iter().map(ExaminedForm::from).collect() };
        self.sinks.tell_lines(Level::Warn, &fact, &lines);
    }

    fn exited(&mut self, run: RunId, status: ExitStatus, ending: Ending) {
        let pid = self.pid;
        let (name, after) = record::ending(ending);
        let fact = Fact::Exited { run: run.0, pid, status: status.into(), ending: name, after };
        let is_success = status.is_success();
        let status = Status(status);
        match ending {
            Ending::Spontaneous { after } => {
                let level = if is_success { Level::Info } else { Level::Warn };
                self.tell(level, &fact, format_args!("{run}: pid {pid} {status} after {}", Seconds(after)));
            }
            Ending::Asked => {
                self.tell(Level::Info, &fact, format_args!("{run}: pid {pid} {status}, as it was asked to leave"));
            }
            Ending::Killed => self.tell(Level::Info, &fact, format_args!("{run}: pid {pid} {status}")),
        }
    }

    fn backing_off(&mut self, restart: u32, limit: Limit, delay: Duration) {
        let fact = Fact::BackingOff { restart, max_restarts: record::limit(limit), delay };
        let words = match limit {
            Limit::Unlimited => format!("restart {restart} in {}", Seconds(delay)),
            Limit::Times(limit) => format!("restart {restart} of {limit} in {}", Seconds(delay)),
        };
        self.tell(Level::Info, &fact, format_args!("{words}"));
        if delay > LONG_DELAY && self.ceiling.is_none() {
            let words =
                format!("the next start is {} away; --max-backoff would set a ceiling for such delays", Seconds(delay));
            self.sinks.warn(&words);
        }
    }

    fn done(&mut self, outcome: Outcome) {
        let exit_code = exit_code::of(outcome);
        let (name, reason) = record::outcome(outcome);
        let fact = Fact::Done { outcome: name, reason, exit_code };
        let (level, words) = match outcome {
            Outcome::Finished => (Level::Info, format!("finished: exit code {exit_code}")),
            Outcome::Stopped => (Level::Info, format!("stopped: exit code {exit_code}")),
            Outcome::Killed => {
                (Level::Warn, format!("stopped, but pid {} had to be killed: exit code {exit_code}", self.pid))
            }
            Outcome::GaveUp { end, reason } => {
                let (reason, end) = (Reason(reason, self.limit), Ended(end));
                (Level::Error, format!("giving up: {reason}; the last run {end}: exit code {exit_code}"))
            }
        };
        self.tell(level, &fact, format_args!("{words}"));
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
