//! Says of each decision why it was made.

use super::entry::{Autopsy, DelayCause, Ending, Event, GiveUp, KillCause, Outcome, Remark};
use super::words::{before, clock, seconds};
use crate::report::display::{Escaped, Failure, Seconds, Status};
use jiff::Timestamp;
use supervisor_core::{Policy, Watchdog};

/// A sentence of the story.
pub struct Decision {
    /// When it was logged.
    pub time: Timestamp,
    /// What was decided, and why.
    pub words: String,
    /// What kind of sentence it is.
    pub kind: Kind,
}

/// What a sentence tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A run begins.
    Start,
    /// Something else was decided.
    Decision,
    /// What the supervisor noticed beside, which explains a decision.
    Remark,
}

/// What is remembered of the log so far, to say why the next thing happens.
pub struct Story {
    /// Why the current run was started, or is being ended.
    why: String,
    /// How the last run ended.
    last_end: String,
    /// The longest silence allowed, where the log says so.
    timeout: String,
    backoff: String,
    /// How long the run had to leave.
    grace: String,
    /// What the supervisor did last to have it end.
    request: &'static str,
}

const TO_LEAVE: &str = "asked it to leave";
const HANG_SIGNAL: &str = "sent it the hang signal";

impl Story {
    pub fn new() -> Story {
        let unknown = String::new;
        Story {
            why: unknown(),
            last_end: unknown(),
            timeout: unknown(),
            backoff: unknown(),
            grace: unknown(),
            request: TO_LEAVE,
        }
    }

    /// What the policy says of decisions to come.
    pub fn begin(&mut self, policy: &Policy) {
        "this is the first start".clone_into(&mut self.why);
        self.timeout = match policy.watchdog {
            Watchdog::On { timeout, .. } => format!("; --timeout allows {}", Seconds(timeout)),
            Watchdog::Off => String::new(),
        };
        let ceiling = policy.backoff.ceiling.map(|ceiling| format!(", at most {}", Seconds(ceiling)));
        let ceiling = ceiling.unwrap_or_default();
        self.backoff = format!("{}, doubled for each restart in a row{ceiling}", Seconds(policy.backoff.factor));
    }

    /// Why the service is not available, where it is not.
    pub fn last_end(&self) -> &str {
        &self.last_end
    }

    /// The sentence for an event, where it has one.
    pub fn tell(&mut self, time: Timestamp, event: &Event) -> Option<Decision> {
        let (kind, words) = match event {
            Event::Started { run, pid } => (Kind::Start, self.started(*run, *pid)),
            Event::StartFailed { run, failure } => {
                (Kind::Start, self.start_failed(*run, &Failure(*failure).to_string()))
            }
            Event::HeartbeatMissing(Remark { message })
            | Event::HeartbeatLate(Remark { message })
            | Event::OutOfMemory(Remark { message })
            | Event::LeftBehind(Remark { message })
            | Event::KeeperLost(Remark { message })
            | Event::SignalDisregarded(Remark { message })
            | Event::ProcessStopped(Remark { message })
            | Event::Suspended(Remark { message })
            | Event::Resumed(Remark { message })
            | Event::ProbeFailed(Remark { message })
            | Event::Trouble(Remark { message }) => (Kind::Remark, remark(message)?),
            Event::Autopsy(Autopsy { message, .. }) => (Kind::Remark, autopsy(message)?),
            Event::LogLinesLost { lines } => {
                (Kind::Remark, format!("{lines} lines of the log were lost before this one"))
            }
            Event::Hung { run, silence, hang_grace_period, grace_period } => {
                (Kind::Decision, self.hung(time, *run, *silence, *hang_grace_period, *grace_period))
            }
            Event::Exited { run, status, ending } => {
                (Kind::Decision, self.exited(*run, &Status(*status).to_string(), *ending))
            }
            Event::BackingOff { restart, max_restarts, delay } => {
                (Kind::Decision, self.backing_off(*restart, *max_restarts, *delay))
            }
            Event::Stopping { run, grace_period } => {
                (Kind::Decision, self.asked(*run, *grace_period, "the supervisor was asked to stop"))
            }
            Event::Restarting { run, grace_period } => {
                (Kind::Decision, self.asked(*run, *grace_period, "the supervisor was asked to restart the command"))
            }
            Event::TimeoutSet { run, timeout } => (Kind::Decision, self.timeout_set(*run, *timeout)),
            Event::Killing { run, cause } => (Kind::Decision, self.killing(*run, *cause)),
            Event::Done { outcome, exit_code } => (Kind::Decision, self.done(*outcome, *exit_code)),
            Event::Delayed { run, late, extension, cause } => {
                (Kind::Decision, delayed(*run, *late, *extension, *cause))
            }
            Event::HangGraceOver { run } => (Kind::Decision, self.hang_grace_over(*run)),
            Event::Surviving { run, since } => (Kind::Decision, surviving(*run, *since)),
            Event::Ready { run } => (Kind::Decision, format!("run {run} is ready: the command said so")),
            Event::Leaving { run } => (Kind::Decision, format!("run {run} begins to leave: the command said so")),
            Event::Extended { run, by } => (Kind::Decision, extended(*run, *by)),
            Event::StreakEnded { run } => (Kind::Decision, streak_ended(*run)),
            Event::Supervising { .. } | Event::Input {} | Event::Heartbeat { .. } | Event::Other => return None,
        };
        Some(Decision { time, words, kind })
    }

    fn started(&self, run: u64, pid: u32) -> String {
        match self.why.as_str() {
            "" => format!("run {run} started as pid {pid}"),
            why => format!("run {run} started as pid {pid}: {why}"),
        }
    }

    fn start_failed(&mut self, run: u64, how: &str) -> String {
        self.last_end = format!("the supervisor could not start run {run}: {how}");
        self.why.clone_from(&self.last_end);
        self.last_end.clone()
    }

    fn timeout_set(&mut self, run: u64, timeout: f64) -> String {
        let timeout = seconds(timeout);
        self.timeout = format!("; the command itself allowed {timeout}");
        format!("run {run} may be silent for {timeout}: the command asked for it")
    }

    fn hung(
        &mut self,
        time: Timestamp,
        run: u64,
        silence: Option<f64>,
        hang_grace_period: Option<f64>,
        grace_period: f64,
    ) -> String {
        let why = match silence {
            Some(silence) => {
                let since = clock(before(time, silence));
                format!("it was silent for {} since {since}{}", seconds(silence), self.timeout)
            }
            None => "the command itself said that it hangs".to_owned(),
        };
        self.last_end = format!("run {run} hung");
        self.grace = seconds(grace_period).to_string();
        self.why.clone_from(&self.last_end);
        let grace = &self.grace;
        match hang_grace_period.map(seconds) {
            None => {
                self.request = TO_LEAVE;
                format!("run {run} hung: {why}; the supervisor gives it {grace} to leave")
            }
            Some(first) => {
                self.request = HANG_SIGNAL;
                format!(
                    "run {run} hung: {why}; the supervisor gives it {first} for the hang signal, then {grace} to leave"
                )
            }
        }
    }

    fn exited(&mut self, run: u64, how: &str, ending: Ending) -> String {
        match ending {
            Ending::Spontaneous { after } => {
                self.last_end = format!("run {run} {how}");
                self.why.clone_from(&self.last_end);
                format!("run {run} {how} by itself after {}", seconds(after))
            }
            Ending::Asked => format!("run {run} {how}: the supervisor had {}, because {}", self.request, self.why),
            Ending::Killed => format!("run {run} {how}: the supervisor killed it, because {}", self.why),
        }
    }

    fn backing_off(&mut self, restart: u32, max_restarts: i64, delay: f64) -> String {
        let limit = if max_restarts < 0 { String::new() } else { format!(" of {max_restarts}") };
        let delay = seconds(delay);
        let why = std::mem::replace(&mut self.why, format!("restart {restart}{limit}, after a wait of {delay}"));
        let why = if why.is_empty() { String::new() } else { format!(": {why}") };
        let rule =
            if self.backoff.is_empty() { String::new() } else { format!(" (--backoff-factor {})", self.backoff) };
        format!("restart {restart}{limit} comes in {delay}{why}{rule}")
    }

    fn asked(&mut self, run: u64, grace_period: Option<f64>, why: &str) -> String {
        why.clone_into(&mut self.why);
        self.request = TO_LEAVE;
        match grace_period {
            Some(grace) => {
                self.grace = seconds(grace).to_string();
                format!("the supervisor asks run {run} to leave within {}: {why}", self.grace)
            }
            None => format!("run {run} has ended or is leaving already, and {why}"),
        }
    }

    fn hang_grace_over(&mut self, run: u64) -> String {
        self.request = TO_LEAVE;
        format!("the supervisor asks run {run} to leave: it is still there after the hang signal and its grace period")
    }

    fn killing(&self, run: u64, cause: KillCause) -> String {
        match cause {
            KillCause::GracePeriodOver => {
                format!("the supervisor kills run {run}: it did not leave within the grace period of {}", self.grace)
            }
            KillCause::Interrupt => format!("the supervisor kills run {run}: a SIGINT during the stop asked for it"),
        }
    }

    fn done(&self, outcome: Outcome, exit_code: u8) -> String {
        let why = match outcome {
            Outcome::Finished => "the command has done its work".to_owned(),
            Outcome::Stopped => "the supervisor was asked to stop, and the command left".to_owned(),
            Outcome::Killed => "the supervisor was asked to stop, and had to kill the command".to_owned(),
            Outcome::GaveUp { reason } => format!("{}; {}", self.last_end, no_restart(reason)),
        };
        format!("the supervisor ends with exit code {exit_code}: {why}")
    }
}

/// What the supervisor itself said; it says nothing of some events.
fn remark(message: &str) -> Option<String> {
    (!message.is_empty()).then(|| Escaped(message).to_string())
}

/// The first lines of an autopsy as one sentence.
fn autopsy(message: &str) -> Option<String> {
    const MOST: usize = 5;
    let lines: Vec<_> = message.lines().map(|line| line.strip_prefix("autopsy: ").unwrap_or(line)).collect();
    let more = match lines.len().saturating_sub(MOST) {
        0 => String::new(),
        more => format!("; {more} more lines of the autopsy are in the log"),
    };
    remark(&lines[..lines.len().min(MOST)].join("; ")).map(|told| format!("what it was doing: {told}{more}"))
}

fn no_restart(reason: GiveUp) -> &'static str {
    match reason {
        GiveUp::NeverRestarts => "--restart never forbids another start",
        GiveUp::RestartsUsedUp => "--max-restarts allows no further restart",
        GiveUp::CannotStart => "another try would fail too",
    }
}

fn delayed(run: u64, late: f64, extension: f64, cause: DelayCause) -> String {
    let why = match cause {
        DelayCause::Supervisor => "the supervisor itself could not run",
        DelayCause::Look => "the file system took long to answer",
    };
    let (late, extension) = (seconds(late), seconds(extension));
    format!("run {run} has {extension} more: the look at its heartbeat came {late} late, because {why}")
}

fn surviving(run: u64, since: f64) -> String {
    format!("the supervisor waits: something of run {run} is still there {} after SIGKILL", seconds(since))
}

fn extended(run: u64, by: f64) -> String {
    format!("run {run} has {} more to start or to leave: the command asked for it", seconds(by))
}

fn streak_ended(run: u64) -> String {
    format!("restarts are counted from 0 again: the command asked for it in run {run}")
}
