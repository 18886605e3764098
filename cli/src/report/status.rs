//! The current state, as the status file tells it: where the supervisor stands, what happened last, and how often.

use super::Standing;
use super::record::{Content, Record, VERSION, escaped, time};
use crate::exit_code;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use supervisor_backend_unix::{ProcessId, UnixNotice};
use supervisor_core::{ExitStatus, Limit, Notice, Outcome, Phase, RunId};

/// Runs that are remembered.
const HISTORY: usize = 10;

/// The status file. `EVENTS.md` describes it.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    version: u32,
    /// What this supervisor is called.
    pub name: String,
    supervisor: u32,
    /// Tells it from another process that gets its number later.
    supervisor_start_time: Option<u64>,
    pub state: State,
    /// Of the command, while it lives.
    pub pid: Option<u32>,
    run: u64,
    /// Made so far in this streak.
    pub restarts: u32,
    max_restarts: i64,
    /// The beginning of this state.
    since: String,
    last_heartbeat: Option<String>,
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
    pub last_start: f64,
    pub last_heartbeat: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Starting,
    Running,
    /// Hung, and brought to its end.
    Hung,
    /// The supervisor was asked to start the command anew.
    Restarting,
    /// The supervisor was asked to stop.
    Stopping,
    /// The command has ended, and what it left behind is cleared.
    Clearing,
    BackingOff,
    Finished,
    Stopped,
    GaveUp,
}

impl From<Phase> for State {
    fn from(phase: Phase) -> State {
        match phase {
            Phase::Starting => State::Starting,
            Phase::Running { .. } => State::Running,
            Phase::Hung(_) => State::Hung,
            Phase::Restarting(_) => State::Restarting,
            Phase::Stopping(_) => State::Stopping,
            Phase::Clearing => State::Clearing,
            Phase::BackingOff { .. } => State::BackingOff,
            Phase::Done(Outcome::Finished) => State::Finished,
            Phase::Done(Outcome::Stopped | Outcome::Killed) => State::Stopped,
            Phase::Done(Outcome::GaveUp { .. }) => State::GaveUp,
        }
    }
}

/// What a record does to the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Nothing,
    /// A heartbeat alone, which may come often.
    Heartbeat,
    Something,
}

/// The end of a run.
#[derive(Clone, Debug, Serialize)]
struct LastExit {
    run: u64,
    reason: &'static str,
    #[serde(flatten)]
    status: Option<ExitStatus>,
    started: Option<String>,
    time: String,
}

impl Status {
    pub fn new(name: String, most: Limit) -> Status {
        Status {
            version: VERSION,
            name,
            supervisor: std::process::id(),
            supervisor_start_time: ProcessId::own().map(|id| id.start_time),
            state: State::Starting,
            pid: None,
            run: 1,
            restarts: 0,
            max_restarts: match most {
                Limit::Unlimited => -1,
                Limit::Times(most) => most.into(),
            },
            since: time(Timestamp::now()),
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

    /// Takes what a record changes.
    pub fn take(&mut self, record: &Record, standing: &Standing) -> Change {
        let change = match &record.content {
            Content::Machine { notice, .. } => self.machine(notice, record.time, standing),
            Content::Backend(UnixNotice::Status { text }) => {
                self.status = Some(text.clone());
                Change::Something
            }
            Content::Backend(_)
            | Content::Supervising { .. }
            | Content::Settings {}
            | Content::Input { .. }
            | Content::LongDelay { .. }
            | Content::LogLinesLost { .. }
            | Content::Trouble { .. } => Change::Nothing,
        };
        if change == Change::Something {
            self.stand(record.time, standing);
        }
        change
    }

    pub fn json(&self) -> String {
        escaped(&serde_json::to_string(self).unwrap_or_default()) + "\n"
    }

    /// Counts, and remembers what has happened.
    fn machine(&mut self, notice: &Notice, now: Timestamp, standing: &Standing) -> Change {
        match *notice {
            Notice::Started { .. } => {
                self.counts.starts += 1;
                self.counts.last_start = seconds(now);
                self.started = Some(now);
                (self.last_heartbeat, self.status) = (None, None);
            }
            Notice::StartFailed { run, .. } => {
                self.counts.failed_starts += 1;
                self.started = None;
                self.ended(run, "not_started", None, now);
            }
            Notice::Heartbeat { ago, .. } => {
                let at = now.saturating_sub(ago).unwrap_or(now);
                self.last_heartbeat = Some(time(at));
                self.counts.last_heartbeat = seconds(at);
                return Change::Heartbeat;
            }
            Notice::Hung { .. } => self.counts.hangs += 1,
            Notice::Exited { run, status, .. } => self.ended(run, reason(standing.phase, status), Some(status), now),
            Notice::Killing { .. } => self.counts.kills += 1,
            Notice::HangGraceOver { .. }
            | Notice::Ready { .. }
            | Notice::Leaving { .. }
            | Notice::TimeoutSet { .. }
            | Notice::Extended { .. }
            | Notice::StreakEnded { .. }
            | Notice::Delayed { .. }
            | Notice::Stopping { .. }
            | Notice::StoppingInstead { .. }
            | Notice::Restarting { .. }
            | Notice::RestartingInstead { .. }
            | Notice::Surviving { .. }
            | Notice::BackingOff { .. }
            | Notice::Done(_) => {}
        }
        Change::Something
    }

    /// Takes where the supervisor stands now.
    fn stand(&mut self, now: Timestamp, standing: &Standing) {
        let state = State::from(standing.phase);
        if (state, standing.run.0) != (self.state, self.run) {
            self.since = time(now);
        }
        (self.state, self.run) = (state, standing.run.0);
        (self.pid, self.restarts) = (standing.phase.pid(), standing.restarts);
        self.next_start = match standing.phase {
            // The last moment that can be written down is far enough.
            Phase::BackingOff { until } => {
                Some(time(now.saturating_add(until - standing.at).unwrap_or(Timestamp::MAX)))
            }
            Phase::Starting
            | Phase::Running { .. }
            | Phase::Hung(_)
            | Phase::Restarting(_)
            | Phase::Stopping(_)
            | Phase::Clearing
            | Phase::Done(_) => None,
        };
        if let Phase::Done(outcome) = standing.phase {
            self.exit_code = Some(exit_code::of(outcome));
        }
    }

    fn ended(&mut self, run: RunId, reason: &'static str, status: Option<ExitStatus>, now: Timestamp) {
        let end = LastExit { run: run.0, reason, status, started: self.started.map(time), time: time(now) };
        self.history.push_front(end.clone());
        self.history.truncate(HISTORY);
        self.last_exit = Some(end);
    }
}

/// Why a main process ended that has just ended so.
fn reason(phase: Phase, status: ExitStatus) -> &'static str {
    match (phase, status) {
        (Phase::Hung(_), _) => "hung",
        (Phase::Restarting(_), _) => "restarted",
        (Phase::Stopping(_), _) => "stopped",
        (
            Phase::Starting | Phase::Running { .. } | Phase::Clearing | Phase::BackingOff { .. } | Phase::Done(_),
            ExitStatus::Code(_),
        ) => "exited",
        (
            Phase::Starting | Phase::Running { .. } | Phase::Clearing | Phase::BackingOff { .. } | Phase::Done(_),
            ExitStatus::Signal(_),
        ) => "killed",
    }
}

/// Since the epoch, to the millisecond.
fn seconds(moment: Timestamp) -> f64 {
    moment.as_millisecond() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::record::Beside;
    use serde_json::Value;
    use std::time::Duration;
    use supervisor_core::{Event, Instant, Message, Policy, StartFailure, StartFailureKind, Step, Supervisor};

    /// A machine, and the status that follows it.
    struct Life {
        machine: Supervisor,
        status: Status,
        seconds: u64,
    }

    impl Life {
        fn begin() -> Life {
            let (machine, _) = Supervisor::start(Policy::default());
            Life { machine, status: Status::new("web".to_owned(), Limit::Unlimited), seconds: 0 }
        }

        /// Takes a fact a second later, and gives the status that follows.
        fn take(&mut self, event: Event) -> Value {
            self.seconds += 1;
            let at = Instant::from_origin(Duration::from_secs(self.seconds));
            let Step { notices, .. } = self.machine.handle_event(event, at);
            for notice in notices {
                let content = Content::Machine { notice, beside: Beside::Nothing {} };
                let record = Record::new(log::Level::Info, content, String::new());
                self.status.take(&record, &Standing::of(at, &self.machine));
            }
            self.told()
        }

        fn told(&self) -> Value {
            serde_json::from_str(&self.status.json()).unwrap()
        }
    }

    fn started(run: u64) -> Event {
        Event::Started { run: RunId(run), pid: 7 }
    }

    fn exited(run: u64, code: u8) -> Event {
        Event::Exited { run: RunId(run), status: ExitStatus::Code(code) }
    }

    fn message(run: u64, message: Message) -> Event {
        Event::Message { run: RunId(run), message }
    }

    #[test]
    fn every_state_is_entered_and_every_end_has_its_reason() {
        let cleared = |run| Event::Cleared { run: RunId(run) };
        let failure = StartFailure { kind: StartFailureKind::Passing, os_error: 11 };
        let story = [
            (started(1), "running", None),
            (exited(1, 1), "clearing", Some("exited")),
            (cleared(1), "backing_off", Some("exited")),
            (Event::Restart, "starting", Some("exited")),
            (started(2), "running", Some("exited")),
            (message(2, Message::Hang), "hung", Some("exited")),
            (exited(2, 0), "hung", Some("hung")),
            (cleared(2), "backing_off", Some("hung")),
            (Event::Restart, "starting", Some("hung")),
            (Event::StartFailed { run: RunId(3), failure }, "backing_off", Some("not_started")),
            (Event::Restart, "starting", Some("not_started")),
            (started(4), "running", Some("not_started")),
            (Event::Restart, "restarting", Some("not_started")),
            (exited(4, 0), "restarting", Some("restarted")),
            (cleared(4), "restarting", Some("restarted")),
            (started(5), "running", Some("restarted")),
            (Event::Stop, "stopping", Some("restarted")),
            (exited(5, 0), "stopping", Some("stopped")),
            (cleared(5), "stopped", Some("stopped")),
        ];
        let mut life = Life::begin();
        assert_eq!((&life.told()["state"], &life.told()["name"]), (&"starting".into(), &"web".into()));
        for (event, state, reason) in story {
            let told = life.take(event);
            assert_eq!(told["state"], state, "{event:?}");
            assert_eq!(told["last_exit"].get("reason").and_then(Value::as_str), reason, "{event:?}");
        }
        let told = life.told();
        assert_eq!((told["history"].as_array().unwrap().len(), &told["exit_code"]), (5, &0.into()));
    }

    #[test]
    fn what_belongs_to_a_run_goes_with_it() {
        let mut life = Life::begin();
        life.take(started(1));
        let text = UnixNotice::Status { text: "up".to_owned() };
        let record = Record::new(log::Level::Info, Content::Backend(text), String::new());
        life.status.take(&record, &Standing::of(Instant::ORIGIN, &life.machine));
        let beaten = life.take(message(1, Message::Heartbeat));
        assert_eq!((&beaten["status"], beaten["last_heartbeat"].is_string()), (&"up".into(), true));
        life.take(exited(1, 1));
        let waiting = life.take(Event::Cleared { run: RunId(1) });
        assert_eq!((&waiting["restarts"], waiting["next_start"].is_string()), (&0.into(), true));
        life.take(Event::Timeout);
        let now = life.take(started(2));
        assert_eq!((&now["restarts"], &now["run"]), (&1.into(), &2.into()));
        assert!(now["status"].is_null() && now["last_heartbeat"].is_null() && now["next_start"].is_null(), "{now}");
        assert_eq!(life.take(message(2, Message::StreakOver))["restarts"], 0);
    }

    #[test]
    fn a_status_file_can_be_shown_in_a_terminal() {
        let status = Status::new("a\n\u{9b}31m\u{202e}".to_owned(), Limit::Unlimited);
        let text = status.json();
        assert!(text.contains(r#""name":"a\n\u009b31m\u202e""#), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["name"], status.name);
    }

    #[test]
    fn ten_runs_are_remembered() {
        let mut status = Status::new(String::new(), Limit::Unlimited);
        for run in 1..=25 {
            status.ended(RunId(run), "exited", Some(ExitStatus::Code(1)), Timestamp::now());
        }
        let told: Value = serde_json::from_str(&status.json()).unwrap();
        let history = told["history"].as_array().unwrap();
        assert_eq!((history.len(), &history[0]["run"], &history[0]["code"]), (10, &25.into(), &1.into()));
    }

    #[test]
    fn what_happens_is_counted() {
        let failure = StartFailure { kind: StartFailureKind::Passing, os_error: 11 };
        let mut life = Life::begin();
        for run in [1, 2] {
            life.take(Event::StartFailed { run: RunId(run), failure });
            life.take(Event::Restart);
        }
        for run in [3, 4] {
            life.take(started(run));
            life.take(message(run, Message::Hang));
            life.seconds += 60;
            life.take(Event::Timeout);
            life.take(exited(run, 1));
            life.take(Event::Cleared { run: RunId(run) });
            life.take(Event::Restart);
        }
        let Counts { starts, failed_starts, hangs, kills, last_start, .. } = life.status.counts;
        assert_eq!((starts, failed_starts, hangs, kills), (2, 2, 2, 2));
        assert!(last_start > 1_000_000_000.0, "{last_start}");
        assert_eq!(seconds(Timestamp::from_millisecond(1_500).unwrap()), 1.5);
    }

    #[test]
    fn a_state_has_its_beginning() {
        let mut life = Life::begin();
        life.status.since = "before".to_owned();
        life.take(started(1));
        assert_ne!(life.status.since, "before");
        life.status.since = "since".to_owned();
        life.take(message(1, Message::Ready));
        assert_eq!(life.status.since, "since");
    }
}
