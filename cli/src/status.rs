//! The current state, as the status file tells it: what all notices so far come to.

use crate::exit_code;
use crate::record::{self, StatusForm, VERSION, limit};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::VecDeque;
use std::time::Duration;
use supervisor_core::{Limit, Notice, Outcome, RunId};

/// Runs that are remembered.
const HISTORY: usize = 10;

/// The status file. `EVENTS.md` describes it.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    version: u32,
    supervisor: u32,
    pub state: State,
    /// Of the command, while it lives.
    pid: Option<u32>,
    run: u64,
    /// Made so far in this streak.
    pub restarts: u32,
    max_restarts: i64,
    /// The beginning of this state.
    since: String,
    pub last_heartbeat: Option<String>,
    next_start: Option<String>,
    /// What the command says of itself.
    status: Option<String>,
    last_exit: Option<LastExit>,
    /// The last runs that ended, the latest first.
    history: VecDeque<LastExit>,
    exit_code: Option<u8>,
    #[serde(skip)]
    pub counts: Counts,
    #[serde(skip)]
    started: Option<Timestamp>,
}

/// What happened so far, for the metrics.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub starts: u64,
    pub failed_starts: u64,
    pub hangs: u64,
    pub kills: u64,
    /// Seconds since the epoch.
    pub last_start: i64,
    pub last_heartbeat: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Starting,
    Running,
    /// Hung, and asked to leave.
    Hung,
    /// Asked to stop.
    Stopping,
    /// The command has ended, and what it left behind is cleared.
    Clearing,
    BackingOff,
    Finished,
    Stopped,
    GaveUp,
}

/// The end of a run.
#[derive(Clone, Debug, Serialize)]
struct LastExit {
    run: u64,
    reason: &'static str,
    #[serde(flatten)]
    status: Option<StatusForm>,
    started: Option<String>,
    time: String,
}

impl Status {
    pub fn new(most: Limit) -> Status {
        Status {
            version: VERSION,
            supervisor: std::process::id(),
            state: State::Starting,
            pid: None,
            run: 1,
            restarts: 0,
            max_restarts: limit(most),
            since: record::time(Timestamp::now()),
            last_heartbeat: None,
            next_start: None,
            status: None,
            last_exit: None,
            history: VecDeque::new(),
            exit_code: None,
            counts: Counts::default(),
            started: None,
        }
    }

    /// What a notice changes.
    pub fn machine(&mut self, notice: Notice) {
        let now = Timestamp::now();
        match notice {
            Notice::Started { run, pid } => {
                self.restarted();
                self.counts.starts += 1;
                self.counts.last_start = now.as_second();
                (self.run, self.pid, self.started) = (run.0, Some(pid), Some(now));
                (self.last_heartbeat, self.next_start, self.status) = (None, None, None);
                // A stop may have come first.
                let state = if self.state == State::Stopping { State::Stopping } else { State::Running };
                self.enter(state, now);
            }
            Notice::StartFailed { run, .. } => {
                self.restarted();
                self.counts.failed_starts += 1;
                (self.run, self.started, self.next_start) = (run.0, None, None);
                self.ended(run, "not_started", None, now);
            }
            Notice::FirstHeartbeat { ago, .. } | Notice::Heartbeat { ago, .. } => {
                let at = before(now, ago);
                self.last_heartbeat = Some(record::time(at));
                self.counts.last_heartbeat = at.as_millisecond() as f64 / 1000.0;
            }
            Notice::Hung { .. } | Notice::HangReported { .. } => {
                self.counts.hangs += 1;
                self.enter(State::Hung, now);
            }
            Notice::Stopping { .. } | Notice::StoppingInstead { .. } => self.enter(State::Stopping, now),
            Notice::Exited { run, status, .. } => {
                let reason = match (self.state, StatusForm::from(status)) {
                    (State::Hung, _) => "hung",
                    (State::Stopping, _) => "stopped",
                    (_, StatusForm::Code(_)) => "exited",
                    (_, StatusForm::Signal(_)) => "killed",
                };
                self.ended(run, reason, Some(status.into()), now);
                if self.state == State::Running {
                    self.enter(State::Clearing, now);
                }
            }
            Notice::Killing { .. } => self.counts.kills += 1,
            Notice::BackingOff { restart, delay, .. } => {
                self.restarts = restart - 1;
                self.next_start = Some(record::time(after(now, delay)));
                self.enter(State::BackingOff, now);
            }
            Notice::StreakEnded { .. } => self.restarts = 0,
            Notice::Done(outcome) => {
                (self.next_start, self.exit_code) = (None, Some(exit_code::of(outcome)));
                let state = match outcome {
                    Outcome::Finished => State::Finished,
                    Outcome::Stopped | Outcome::Killed => State::Stopped,
                    Outcome::GaveUp { .. } => State::GaveUp,
                };
                self.enter(state, now);
            }
            Notice::Ready { .. }
            | Notice::Leaving { .. }
            | Notice::TimeoutSet { .. }
            | Notice::Extended { .. }
            | Notice::Delayed { .. }
            | Notice::Surviving { .. } => {}
        }
    }

    /// The command says something of itself.
    pub fn text(&mut self, text: &str) {
        self.status = Some(text.to_owned());
    }

    pub fn has_text(&self, text: &str) -> bool {
        self.status.as_deref() == Some(text)
    }

    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }

    /// A start was tried, and with it a restart was made if one was due.
    fn restarted(&mut self) {
        self.restarts += u32::from(self.state == State::BackingOff);
    }

    fn enter(&mut self, state: State, now: Timestamp) {
        self.state = state;
        self.since = record::time(now);
    }

    fn ended(&mut self, run: RunId, reason: &'static str, status: Option<StatusForm>, now: Timestamp) {
        let started = self.started.map(record::time);
        let end = LastExit { run: run.0, reason, status, started, time: record::time(now) };
        self.pid = None;
        self.history.push_front(end.clone());
        self.history.truncate(HISTORY);
        self.last_exit = Some(end);
    }
}

fn before(now: Timestamp, ago: Duration) -> Timestamp {
    now.saturating_sub(ago).unwrap_or(now)
}

fn after(now: Timestamp, delay: Duration) -> Timestamp {
    // The last moment that can be written down is far enough.
    now.saturating_add(delay).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use supervisor_core::{Ending, ExitStatus};

    const GRACE: Duration = Duration::from_secs(5);

    fn told(status: &Status) -> Value {
        serde_json::from_str(&status.json()).unwrap()
    }

    fn exited(run: RunId, code: u8) -> Notice {
        Notice::Exited { run, status: ExitStatus::Code(code), ending: Ending::Asked }
    }

    #[test]
    fn every_state_is_entered_and_every_end_has_its_reason() {
        let (r1, r2, r3) = (RunId(1), RunId(2), RunId(3));
        let back_off = |restart| Notice::BackingOff { restart, limit: Limit::Unlimited, delay: GRACE };
        let story = [
            (Notice::Started { run: r1, pid: 7 }, "running", None),
            (exited(r1, 1), "clearing", Some("exited")),
            (back_off(1), "backing_off", Some("exited")),
            (Notice::Started { run: r2, pid: 8 }, "running", Some("exited")),
            (Notice::Hung { run: r2, silence: GRACE, grace_period: GRACE }, "hung", Some("exited")),
            (exited(r2, 0), "hung", Some("hung")),
            (back_off(2), "backing_off", Some("hung")),
            (Notice::Started { run: r3, pid: 9 }, "running", Some("hung")),
            (Notice::Stopping { run: r3, grace_period: GRACE }, "stopping", Some("hung")),
            (exited(r3, 0), "stopping", Some("stopped")),
            (Notice::Done(Outcome::Stopped), "stopped", Some("stopped")),
        ];
        let mut status = Status::new(Limit::Unlimited);
        assert_eq!(told(&status)["state"], "starting");
        for (notice, state, reason) in story {
            status.machine(notice);
            let told = told(&status);
            assert_eq!(told["state"], state, "{notice:?}");
            assert_eq!(told["last_exit"].get("reason").and_then(Value::as_str), reason, "{notice:?}");
        }
        assert_eq!(told(&status)["history"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn what_belongs_to_a_run_goes_with_it() {
        let mut status = Status::new(Limit::Unlimited);
        status.machine(Notice::Started { run: RunId(1), pid: 7 });
        status.machine(Notice::FirstHeartbeat { run: RunId(1), ago: GRACE });
        status.text("up");
        assert_eq!((&told(&status)["status"], told(&status)["last_heartbeat"].is_string()), (&"up".into(), true));
        status.machine(Notice::BackingOff { restart: 4, limit: Limit::Unlimited, delay: GRACE });
        assert_eq!((&told(&status)["restarts"], told(&status)["next_start"].is_string()), (&3.into(), true));
        status.machine(Notice::Started { run: RunId(2), pid: 8 });
        let now = told(&status);
        assert_eq!(now["restarts"], 4);
        assert!(now["status"].is_null() && now["last_heartbeat"].is_null() && now["next_start"].is_null(), "{now}");
        status.machine(Notice::StreakEnded { run: RunId(2) });
        assert_eq!(told(&status)["restarts"], 0);
    }

    #[test]
    fn ten_runs_are_remembered() {
        let mut status = Status::new(Limit::Unlimited);
        for run in 1..=25 {
            status.machine(Notice::Started { run: RunId(run), pid: 7 });
            status.machine(exited(RunId(run), 1));
        }
        let history = told(&status)["history"].clone();
        assert_eq!((history.as_array().unwrap().len(), &history[0]["run"]), (10, &25.into()));
    }
}
