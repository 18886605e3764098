//! Tells people what happens: one line of the log for each notice.

use crate::exit_code;
use crate::options::Settings;
use log::{debug, error, info, warn};
use std::fmt;
use std::io;
use std::time::Duration;
use supervisor_backend_unix::{Named, Signal, Target, UnixNotice};
use supervisor_core::{
    End, Ending, ExitStatus, GiveUp, KillCause, Limit, Notice, Outcome, StartFailure, StartFailureKind, Watchdog,
};

/// A delay above this without a ceiling surprises people.
const LONG_DELAY: Duration = Duration::from_secs(300);

/// Leftovers that are named in one line; more are only counted.
const MOST_NAMES: usize = 8;

/// Turns notices into sentences.
pub struct Reporter {
    program: String,
    timeout: Option<Duration>,
    grace_period: Duration,
    limit: Limit,
    ceiling: Option<Duration>,
    /// The main process of the current run.
    pid: u32,
    condition: Condition,
}

/// What is known of the main process beyond its being alive.
enum Condition {
    Going,
    Stopped { signal: i32 },
}

impl Reporter {
    pub fn new(settings: &Settings) -> Reporter {
        debug!("{:?}", settings.policy);
        debug!("heartbeat file {}", settings.backend.heartbeat_file.display());
        Reporter {
            program: settings.backend.command.program.to_string_lossy().into_owned(),
            timeout: match settings.policy.watchdog {
                Watchdog::Off => None,
                Watchdog::On { timeout, initial_delay } => Some(initial_delay.saturating_add(timeout)),
            },
            grace_period: settings.policy.grace_period,
            limit: settings.policy.max_restarts,
            ceiling: settings.policy.backoff.ceiling,
            pid: 0,
            condition: Condition::Going,
        }
    }

    /// A notice of the machine.
    pub fn machine(&mut self, notice: Notice) {
        let pid = self.pid;
        match notice {
            Notice::Started { run, pid } => {
                self.pid = pid;
                self.condition = Condition::Going;
                match self.timeout {
                    Some(due) => info!(
                        "{run}: started {} as pid {pid}; first heartbeat due within {}",
                        self.program,
                        Seconds(due)
                    ),
                    None => info!("{run}: started {} as pid {pid}", self.program),
                }
            }
            Notice::StartFailed { run, failure } => {
                error!("{run}: cannot start {}: {}", self.program, Failure(failure))
            }
            Notice::FirstHeartbeat { run, ago } => {
                info!("{run}: heartbeat of pid {pid} seen for the first time, the last one {} ago", Seconds(ago));
            }
            Notice::Heartbeat { run, ago } => debug!("{run}: last heartbeat {} ago", Seconds(ago)),
            Notice::Delayed { run, late, extension } => warn!(
                "{run}: supervisor itself could not run for {}; pid {pid} has {} more to show a heartbeat",
                Seconds(late),
                Seconds(extension)
            ),
            Notice::Hung { run, silence, grace_period } => warn!(
                "{run}: hung: pid {pid} silent for {}{}; asked to leave, SIGKILL in {}",
                Seconds(silence),
                self.condition,
                Seconds(grace_period)
            ),
            Notice::Stopping { run, grace_period } => {
                info!("{run}: stopping: asked to leave, SIGKILL in {}", Seconds(grace_period));
            }
            Notice::StoppingInstead { run } => info!("{run}: stopping: it will not be started again"),
            Notice::Exited { run, status, ending } => self.exited(run, status, ending),
            Notice::Killing { run, cause: KillCause::GracePeriodOver } => {
                warn!("{run}: still there after the grace period of {}: killing", Seconds(self.grace_period));
            }
            Notice::Killing { run, cause: KillCause::Interrupt } => warn!("{run}: asked to stop at once: killing"),
            Notice::Surviving { run, since } => {
                warn!("{run}: something survives SIGKILL since {}; waiting for its end", Seconds(since));
            }
            Notice::BackingOff { restart, limit, delay } => self.backing_off(restart, limit, delay),
            Notice::Done(outcome) => self.done(outcome),
        }
    }

    /// A notice of the backend.
    pub fn backend(&mut self, notice: &UnixNotice) {
        match notice {
            UnixNotice::Received { signal, sender } => match sender {
                0 => info!("got {signal}"),
                sender => info!("got {signal} from pid {sender}"),
            },
            UnixNotice::Forwarded { signal, pid: Some(pid) } => info!("passed {signal} on to pid {pid}"),
            UnixNotice::Forwarded { signal, pid: None } => info!("got {signal}, and nothing runs to pass it on to"),
            UnixNotice::Signalled { signal: Signal::SIGKILL, target: target @ Target::Leftovers(_) } => {
                warn!("sent SIGKILL to {}", To(target));
            }
            UnixNotice::Signalled { signal, target } => info!("sent {signal} to {}", To(target)),
            UnixNotice::SignalFailed { signal, target, error } => {
                warn!("cannot send {signal} to {}: {error}", To(target));
            }
            UnixNotice::Stopped { process, signal } => {
                if process.pid.cast_unsigned() == self.pid {
                    self.condition = Condition::Stopped { signal: *signal };
                }
                warn!("{} is stopped by {}{}", Name(process), Number(*signal), remedy(*signal));
            }
            UnixNotice::Continued { pid } => {
                if pid.cast_unsigned() == self.pid {
                    self.condition = Condition::Going;
                }
                info!("pid {pid} goes on");
            }
            UnixNotice::HeartbeatUnreadable { error } => {
                warn!("cannot look at the heartbeat file, which counts as silence: {error}");
            }
            UnixNotice::ProcessesInvisible { error } => {
                warn!("only the process group of the command can be signalled: cannot see processes: {error}");
            }
            UnixNotice::Unguarded { error } => {
                warn!("if the supervisor is killed, what the command started may live on: no guard: {error}");
            }
        }
    }

    fn exited(&self, run: impl fmt::Display, status: ExitStatus, ending: Ending) {
        let (pid, status) = (self.pid, Status(status));
        match ending {
            Ending::Spontaneous { after } if status.0.is_success() => {
                info!("{run}: pid {pid} {status} after {}", Seconds(after));
            }
            Ending::Spontaneous { after } => warn!("{run}: pid {pid} {status} after {}", Seconds(after)),
            Ending::Asked => info!("{run}: pid {pid} {status}, as it was asked to leave"),
            Ending::Killed => info!("{run}: pid {pid} {status}"),
        }
    }

    fn backing_off(&self, restart: u32, limit: Limit, delay: Duration) {
        let delay = Seconds(delay);
        match limit {
            Limit::Unlimited => info!("restart {restart} in {delay}"),
            Limit::Times(limit) => info!("restart {restart} of {limit} in {delay}"),
        }
        if delay.0 > LONG_DELAY && self.ceiling.is_none() {
            warn!("the next start is {delay} away; --max-backoff would set a ceiling for such delays");
        }
    }

    fn done(&self, outcome: Outcome) {
        let code = exit_code::of(outcome);
        match outcome {
            Outcome::Finished => info!("finished: exit code {code}"),
            Outcome::Stopped => info!("stopped: exit code {code}"),
            Outcome::Killed => warn!("stopped, but pid {} had to be killed: exit code {code}", self.pid),
            Outcome::GaveUp { end, reason } => {
                error!("giving up: {}; the last run {}: exit code {code}", Reason(reason, self.limit), Ended(end));
            }
        }
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

/// A duration in seconds, to the millisecond.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:03}", self.0.as_secs(), self.0.subsec_millis());
        write!(f, "{} s", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// A signal by its number, which may have no name.
struct Number(i32);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Signal::try_from(self.0) {
            Ok(signal) => f.write_str(signal.as_str()),
            Err(_) => write!(f, "signal {}", self.0),
        }
    }
}

struct Status(ExitStatus);

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ExitStatus::Code(code) => write!(f, "exited with code {code}"),
            ExitStatus::Signal(number) => write!(f, "was killed by {}", Number(number.into())),
        }
    }
}

struct Failure(StartFailure);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = io::Error::from_raw_os_error(self.0.os_error);
        match self.0.kind {
            StartFailureKind::NotFound => write!(f, "not found (or its interpreter is not): {error}"),
            StartFailureKind::NotExecutable => write!(f, "not executable: {error}"),
            StartFailureKind::Passing => write!(f, "{error}"),
        }
    }
}

struct Ended(End);

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            End::Exited(status) => Status(status).fmt(f),
            End::Hung => f.write_str("hung"),
            End::NotStarted(_) => f.write_str("could not be started"),
        }
    }
}

struct Reason(GiveUp, Limit);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (GiveUp::NeverRestarts, _) => f.write_str("--restart never"),
            (GiveUp::CannotStart, _) => f.write_str("trying again would not help"),
            (GiveUp::RestartsUsedUp, Limit::Times(0)) => f.write_str("--max-restarts 0"),
            (GiveUp::RestartsUsedUp, Limit::Times(limit)) => write!(f, "{limit} of {limit} restarts used up"),
            (GiveUp::RestartsUsedUp, Limit::Unlimited) => f.write_str("restarts used up"),
        }
    }
}

struct To<'a>(&'a Target);

impl fmt::Display for To<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Target::Group(group) => write!(f, "process group {group}"),
            Target::Process(process) => Name(process).fmt(f),
            Target::Leftovers(processes) => {
                for (index, process) in processes.iter().take(MOST_NAMES).enumerate() {
                    write!(f, "{}{}", if index == 0 { "leftovers: " } else { ", " }, Name(process))?;
                }
                match processes.len().saturating_sub(MOST_NAMES) {
                    0 => Ok(()),
                    more => write!(f, " and {more} more"),
                }
            }
        }
    }
}

struct Name<'a>(&'a Named);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.name.as_str() {
            "" => write!(f, "pid {}", self.0.pid),
            name => write!(f, "pid {} ({name})", self.0.pid),
        }
    }
}

/// What a person can do about a stopped process.
fn remedy(signal: i32) -> &'static str {
    match Signal::try_from(signal) {
        Ok(Signal::SIGTTIN) => ": it reads the terminal from the background; redirect its input, as in < /dev/null",
        Ok(Signal::SIGTTOU) => ": it uses the terminal from the background; redirect its output",
        _ => "",
    }
}
