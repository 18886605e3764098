//! Each event in words for people: subject, verb, object.

mod backend;
mod policy;
mod start;
mod trouble;
mod wrappers;

use super::display::{Counted, Ended, Escaped, Failure, Reason, Seconds, SignalNumber, Status};
use super::run::{Condition, KnownRun, Rhythm};
use super::{Content, Standing};
use crate::exit_code;
use crate::options::Settings;
use log::Level;
use std::time::Duration;
use supervisor_backend_unix::{Notifications, Signal};
use supervisor_core::{
    DelayCause, End, Ending, Evidence, ExitStatus, KillCause, Limit, Notice, OnHang, Outcome, Policy, RunId,
    StartFailure, StartFailureKind, Watchdog,
};

/// What sentences need to know of the settings.
pub struct Sentences {
    program: String,
    arguments: Vec<String>,
    /// Where it is looked at.
    heartbeat_file: Option<String>,
    /// Whether a probe runs beside the command.
    has_probe: bool,
    notifications: Notifications,
    policy: Policy,
    stop_signal: Signal,
    hang_signal: Signal,
}

impl Sentences {
    pub fn new(settings: &Settings) -> Sentences {
        let command = &settings.backend.command;
        let text = |word: &std::ffi::OsString| word.to_string_lossy().into_owned();
        let heartbeat_file = settings.backend.heartbeat_file.as_ref();
        Sentences {
            program: text(&command.program),
            arguments: command.arguments.iter().map(text).collect(),
            heartbeat_file: heartbeat_file.map(|path| Escaped(&path.display().to_string()).to_string()),
            has_probe: settings.backend.probe.is_some(),
            notifications: settings.backend.notifications,
            policy: settings.policy.clone(),
            stop_signal: settings.backend.stop_signal,
            hang_signal: settings.backend.hang_signal,
        }
    }

    pub fn has_ceiling(&self) -> bool {
        self.policy.backoff.ceiling.is_some()
    }

    /// How important an event is, and what it is for people.
    pub fn of(&self, content: &Content, run: &KnownRun, standing: &Standing) -> (Level, String) {
        match content {
            Content::Supervising { .. } => (Level::Info, String::new()),
            Content::Settings {} => (Level::Debug, self.settings()),
            Content::Input { .. } => (Level::Debug, String::new()),
            Content::Machine { notice, .. } => self.machine(*notice, run),
            Content::Backend(notice) => self.backend(notice, run, standing),
            Content::LongDelay { delay } => {
                let delay = Seconds(*delay);
                let words = "--max-backoff would set a ceiling for such delays";
                (Level::Warn, format!("the next start is {delay} away; {words}"))
            }
            Content::LogLinesLost { lines } => (Level::Warn, lines_lost(*lines)),
            Content::Trouble { with, error } => (Level::Warn, format!("{with}: {error}")),
        }
    }

    fn machine(&self, notice: Notice, known: &KnownRun) -> (Level, String) {
        let program = Escaped(&self.program);
        match notice {
            Notice::Started { run, pid } => {
                (Level::Info, format!("{run}: started {program} as pid {pid}{}", self.first_heartbeat()))
            }
            Notice::StartFailed { run, failure } => {
                (Level::Error, format!("{run}: the supervisor cannot start {}", self.start_failure(failure)))
            }
            Notice::Heartbeat { run, pid, first: true, ago } => {
                let words = format!("the supervisor saw a heartbeat of pid {pid} for the first time");
                (Level::Info, format!("{run}: {words}; the latest one came {} ago", Seconds(ago)))
            }
            Notice::Heartbeat { run, first: false, ago, .. } => {
                (Level::Debug, format!("{run}: the last heartbeat came {} ago", Seconds(ago)))
            }
            Notice::Delayed { run, pid, late, extension, cause } => {
                let (late, more) = (Seconds(late), Seconds(extension));
                let words = match cause {
                    DelayCause::Supervisor => format!("the supervisor itself could not run for {late}"),
                    DelayCause::Look => format!("the look at the heartbeat file took {late}"),
                };
                (Level::Warn, format!("{run}: {words}; pid {pid} has {more} more to show a heartbeat"))
            }
            Notice::Hung { run, pid, evidence, on_hang, grace_period } => {
                let (sign, next) = (self.sign(pid, evidence, known), self.escalation(on_hang, grace_period));
                (Level::Warn, format!("{run}: hung{sign}; {next}"))
            }
            Notice::HangGraceOver { run, pid, grace_period } => {
                let (signal, next) = (self.hang_signal, self.asks("it", grace_period));
                (Level::Warn, format!("{run}: pid {pid} is still there after {signal}: {next}"))
            }
            Notice::Ready { run, pid } => (Level::Info, format!("{run}: pid {pid} is ready")),
            Notice::Leaving { run, pid } => (Level::Info, format!("{run}: pid {pid} begins to leave")),
            Notice::TimeoutSet { run, pid, timeout } => {
                (Level::Info, format!("{run}: pid {pid} has set its timeout to {}", Seconds(timeout)))
            }
            Notice::Extended { run, pid, by } => {
                (Level::Info, format!("{run}: pid {pid} needs more time: {} from now", Seconds(by)))
            }
            Notice::StreakEnded { run, pid } => {
                (Level::Info, format!("{run}: pid {pid} has ended the streak of restarts"))
            }
            Notice::Stopping { run, grace_period } => {
                (Level::Info, format!("{run}: stopping: {}", self.asks("the command", grace_period)))
            }
            Notice::StoppingInstead { run } => {
                let words = "the command is leaving already, and the supervisor will not start it again";
                (Level::Info, format!("{run}: stopping: {words}"))
            }
            Notice::Restarting { run, grace_period } => {
                (Level::Info, format!("{run}: restarting: {}", self.asks("the command", grace_period)))
            }
            Notice::RestartingInstead { run } => {
                let words = "the command has ended or is leaving already, and the supervisor starts it again at once";
                (Level::Info, format!("{run}: restarting: {words}"))
            }
            Notice::Exited { run, pid, status, ending } => self.exited(run, pid, status, ending),
            Notice::Killing { run, cause: KillCause::GracePeriodOver } => {
                let words = "the command is still there after the grace period of";
                (Level::Warn, format!("{run}: {words} {}: the supervisor kills it", Seconds(self.policy.grace_period)))
            }
            Notice::Killing { run, cause: KillCause::Interrupt } => {
                let words = "a SIGINT during the stop asks to stop at once: the supervisor kills the command";
                (Level::Warn, format!("{run}: {words}"))
            }
            Notice::Surviving { run, since } => {
                let since = Seconds(since);
                let words = "got SIGKILL, and has not ended yet: it waits in the kernel, perhaps for a disk";
                (
                    Level::Warn,
                    format!("{run}: something of the command {words}; the supervisor has waited {since} for its end"),
                )
            }
            Notice::BackingOff { restart, limit, delay } => {
                let limit = match limit {
                    Limit::Unlimited => String::new(),
                    Limit::Times(limit) => format!(" of {limit}"),
                };
                let delay = Seconds(delay);
                (Level::Info, format!("the supervisor starts {program} again: restart {restart}{limit} in {delay}"))
            }
            Notice::Done(outcome) => self.last_words(outcome, known.pid),
        }
    }

    /// What could not be started, why, and what to do.
    fn start_failure(&self, failure: StartFailure) -> String {
        let (program, why) = (Escaped(&self.program), Failure(failure));
        match failure.kind {
            StartFailureKind::NotFound => {
                format!("\"{program}\": {why}; {}", Escaped(&start::remedy(&self.program, &self.arguments)))
            }
            StartFailureKind::NotExecutable => format!("{program}: {why}; {}", start::permission(failure.os_error)),
            StartFailureKind::Passing => format!("{program}: {why}"),
        }
    }

    /// By when the first heartbeat is due, and where.
    fn first_heartbeat(&self) -> String {
        let due = match self.policy.watchdog {
            Watchdog::Off => return String::new(),
            Watchdog::On { timeout, initial_delay } => Seconds(initial_delay.saturating_add(timeout)),
        };
        let file = self.heartbeat_file.as_deref().unwrap_or_default();
        if self.has_probe {
            return format!("; the first heartbeat is due within {due}: a success of the probe, or a change of {file}");
        }
        let place = if file.is_empty() { String::new() } else { format!(" in {file}") };
        format!("; the first heartbeat is due within {due}{place}")
    }

    /// What shows that it hangs, and what else is worth knowing.
    fn sign(&self, pid: u32, evidence: Evidence, known: &KnownRun) -> String {
        let condition = match known.condition {
            Condition::Going => String::new(),
            Condition::Stopped { signal } => format!(", stopped by {}", SignalNumber(signal)),
        };
        match evidence {
            Evidence::Silence { silence } => {
                let before = self.before(known.rhythm());
                format!(": pid {pid} was silent for {}{condition}{before}", Seconds(silence))
            }
            Evidence::Report {} => format!(", as pid {pid} reports{condition}"),
        }
    }

    /// What heartbeats before a silence say of it.
    fn before(&self, rhythm: Rhythm) -> String {
        match (rhythm, self.policy.watchdog) {
            (Rhythm::None, _) | (Rhythm::Once { .. }, Watchdog::Off) => String::new(),
            (Rhythm::Once { after }, Watchdog::On { timeout, .. }) => {
                let (after, timeout) = (Seconds(after), Seconds(timeout));
                let seen = format!("its last heartbeat came {after} after the start");
                format!(" ({seen}; if it beats less often than every {timeout}, raise --timeout)")
            }
            (Rhythm::Regular { interval }, watchdog) => {
                let timeout = match watchdog {
                    Watchdog::On { timeout, .. } => format!("; --timeout is {}", Seconds(timeout)),
                    Watchdog::Off => String::new(),
                };
                format!(" (the heartbeats seen before were at most about {} apart{timeout})", Seconds(interval))
            }
        }
    }

    fn escalation(&self, on_hang: OnHang, grace_period: Duration) -> String {
        match on_hang {
            OnHang::Stop => self.asks("it", grace_period),
            OnHang::Signal { grace_period: first } => {
                let (hang, first) = (self.hang_signal, Seconds(first));
                let (stop, grace) = (self.stop_signal, Seconds(grace_period));
                format!(
                    "the supervisor sends {hang}, asks it to leave by {stop} after {first}, and sends SIGKILL {grace} later"
                )
            }
        }
    }

    /// The command is asked to leave, and how long it has.
    fn asks(&self, whom: &str, grace_period: Duration) -> String {
        let (signal, grace) = (self.stop_signal, Seconds(grace_period));
        format!("the supervisor asks {whom} to leave by {signal}, and sends SIGKILL in {grace}")
    }

    fn exited(&self, run: RunId, pid: u32, status: ExitStatus, ending: Ending) -> (Level, String) {
        let words = format!("{run}: pid {pid} {}", Status(status));
        match ending {
            Ending::Spontaneous { after } => {
                let level = if status.is_success() { Level::Info } else { Level::Warn };
                (level, format!("{words} after {}", Seconds(after)))
            }
            Ending::Asked if self.is_of_hang_signal(status) => (Level::Info, format!("{words}, the hang signal")),
            Ending::Asked => (Level::Info, format!("{words}, after the supervisor had asked it to leave")),
            Ending::Killed if is_of(Signal::KILL, status) => {
                (Level::Info, format!("{words}, which the supervisor sent"))
            }
            Ending::Killed => (Level::Info, format!("{words}, before SIGKILL reached it")),
        }
    }

    /// Whether it was the hang signal that ended the command, where that is not the stop signal, too.
    fn is_of_hang_signal(&self, status: ExitStatus) -> bool {
        is_of(self.hang_signal, status) && self.hang_signal != self.stop_signal && self.policy.on_hang != OnHang::Stop
    }

    fn last_words(&self, outcome: Outcome, pid: u32) -> (Level, String) {
        let ends = format!("ends with exit code {}", exit_code::of(outcome));
        match outcome {
            Outcome::Finished => (Level::Info, format!("finished: the supervisor {ends}")),
            Outcome::Stopped => (Level::Info, format!("stopped: the supervisor {ends}")),
            Outcome::Killed => (Level::Warn, format!("stopped: the supervisor had to kill pid {pid}, and {ends}")),
            Outcome::GaveUp { end, reason } => {
                let (reason, last) = (Reason(reason, self.policy.max_restarts), Ended(end));
                let ends = match end {
                    End::Exited(ExitStatus::Code(_)) => ", and so does the supervisor".to_owned(),
                    End::Exited(ExitStatus::Signal(_)) | End::Hung | End::NotStarted(_) => {
                        format!("; the supervisor {ends}")
                    }
                };
                (Level::Error, format!("giving up: {reason}; the last run {last}{ends}"))
            }
        }
    }
}

fn is_of(signal: Signal, status: ExitStatus) -> bool {
    status == ExitStatus::Signal(signal.number().try_into().unwrap_or_default())
}

/// Of the log, whose reader was too slow or could not be written to.
pub fn lines_lost(lines: u64) -> String {
    let lines = Counted(usize::try_from(lines).unwrap_or(usize::MAX), "line", "lines");
    format!("the log has lost {lines}: its reader was too slow, or it could not be written")
}

#[cfg(test)]
mod tests;
