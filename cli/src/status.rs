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
    /// In this streak.
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
                self.counts.starts += 1;
                self.counts.last_start = now.as_second();
                (self.run, self.pid, self.started) = (run.0, Some(pid), Some(now));
                (self.last_heartbeat, self.next_start, self.status) = (None, None, None);
                // A stop may have come first.
                let state = if self.state == State::Stopping { State::Stopping } else { State::Running };
                self.enter(state, now);
            }
            Notice::StartFailed { run, .. } => {
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
                self.restarts = restart;
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

    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default() + "\n"
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
