//! What one supervisor did, from the lines of its log.

use super::account::{Account, State};
use super::entry::{Autopsy, Entry, Event, Outcome};
use super::playback::Playback;
use super::story::{Decision, Kind, Story};
use super::words::before;
use crate::report::display::{Failure, Status};
use jiff::Timestamp;
use std::ops::Range;

/// One supervisor.
pub struct Life {
    /// Its pid.
    pub supervisor: u32,
    pub beginning: Beginning,
    /// When its first line was written.
    pub from: Timestamp,
    /// When its last line was written.
    pub to: Timestamp,
    pub ending: Finish,
    /// Whether the log has facts that can be played again, and whether that led to the same decisions.
    pub playback: Playback,
    /// How many facts there are.
    pub inputs: usize,
    /// All that is told, in the order of the log.
    pub decisions: Vec<Decision>,
    pub runs: Vec<Run>,
    pub account: Account,
    /// The heartbeats that the log tells of.
    pub beats: Vec<Timestamp>,
    /// Lines that the supervisor could not write.
    pub lines_lost: u64,
    pub kills: usize,
    story: Story,
}

/// What the log says of the beginning.
pub enum Beginning {
    Known {
        command: Vec<String>,
    },
    /// The log begins later.
    Missing,
}

/// What the log says of the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    Done {
        exit_code: u8,
    },
    /// The log stops before it: the supervisor was killed, still works, or the rest of the log is elsewhere.
    Missing,
}

/// One run of the command, or one try to start it.
pub struct Run {
    pub number: u64,
    pub from: Timestamp,
    /// Which sentences tell of it.
    pub decisions: Range<usize>,
    pub course: Course,
    pub autopsy: Option<Autopsy>,
}

/// What became of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Course {
    /// The log does not tell its end.
    Open,
    NotStarted {
        words: String,
    },
    Exited {
        at: Timestamp,
        words: String,
    },
    Hung {
        at: Timestamp,
        silence: Option<f64>,
    },
}

impl Life {
    pub fn begin(entry: &Entry) -> Life {
        let (beginning, playback) = match &entry.event {
            Event::Supervising { command, policy } => {
                (Beginning::Known { command: command.clone() }, Playback::begin(policy.clone()))
            }
            _ => (Beginning::Missing, Playback::NoBeginning),
        };
        Life {
            supervisor: entry.line.supervisor,
            beginning,
            from: entry.time,
            to: entry.time,
            ending: Finish::Missing,
            playback,
            inputs: 0,
            decisions: Vec::new(),
            runs: Vec::new(),
            account: Account::new(entry.time),
            beats: Vec::new(),
            lines_lost: 0,
            kills: 0,
            story: Story::new(),
        }
    }

    /// Takes a line.
    pub fn take(&mut self, entry: Entry) {
        // A wall clock that is stepped back must not turn periods round.
        let at = entry.time.max(self.to);
        self.to = at;
        self.playback.take(&entry.line);
        if let Some(decision) = self.story.tell(at, &entry.event) {
            self.tell(decision);
        }
        self.follow(at, entry.event);
        self.account.go_on(at);
    }

    fn tell(&mut self, decision: Decision) {
        let next = self.decisions.len();
        if decision.kind == Kind::Start {
            self.runs.push(Run::begin(decision.time, next));
        }
        self.decisions.push(decision);
        if let Some(run) = self.runs.last_mut() {
            run.decisions.end = next + 1;
        }
    }

    /// What an event changes.
    fn follow(&mut self, at: Timestamp, event: Event) {
        match event {
            Event::Supervising { policy, .. } => self.story.begin(&policy),
            Event::Input {} => self.inputs += 1,
            Event::LogLinesLost { lines } => self.lose(lines),
            Event::Heartbeat { ago } => self.beats.push(before(at, ago)),
            Event::Killing { .. } => self.kills += 1,
            Event::Started { run, .. } => self.start(at, run),
            Event::StartFailed { run, failure } => self.fail_to_start(at, run, &Failure(failure).to_string()),
            Event::Hung { silence, .. } => self.hang(at, silence),
            Event::Autopsy(autopsy) => self.of_run(|run| run.autopsy = Some(autopsy)),
            Event::Exited { status, .. } => self.exit(at, &Status(status).to_string()),
            Event::BackingOff { .. } => self.account.enter(State::BackingOff, at, self.story.last_end()),
            Event::Restarting { .. } => self.account.enter(State::Ending, at, "a restart was asked for"),
            Event::Stopping { .. } => self.account.enter(State::Stopping, at, ""),
            Event::Done { outcome, exit_code } => self.end(outcome, exit_code),
            Event::Delayed { .. }
            | Event::HangGraceOver { .. }
            | Event::Surviving { .. }
            | Event::Ready { .. }
            | Event::Leaving { .. }
            | Event::TimeoutSet { .. }
            | Event::Extended { .. }
            | Event::StreakEnded { .. }
            | Event::HeartbeatMissing(_)
            | Event::HeartbeatLate(_)
            | Event::OutOfMemory(_)
            | Event::LeftBehind(_)
            | Event::KeeperLost(_)
            | Event::SignalDisregarded(_)
            | Event::ProcessStopped(_)
            | Event::Suspended(_)
            | Event::Resumed(_)
            | Event::ProbeFailed(_)
            | Event::Trouble(_)
            | Event::Other => {}
        }
    }

    fn of_run(&mut self, note: impl FnOnce(&mut Run)) {
        if let Some(run) = self.runs.last_mut() {
            note(run);
        }
    }

    fn start(&mut self, at: Timestamp, number: u64) {
        self.account.enter(State::Available, at, "");
        self.of_run(|run| run.number = number);
    }

    fn fail_to_start(&mut self, at: Timestamp, number: u64, why: &str) {
        self.account.enter(State::Ending, at, self.story.last_end());
        self.of_run(|run| {
            run.number = number;
            run.course = Course::NotStarted { words: why.to_owned() };
        });
    }

    fn hang(&mut self, at: Timestamp, silence: Option<f64>) {
        self.account.hang(at, silence, self.story.last_end());
        self.of_run(|run| run.course = Course::Hung { at, silence });
    }

    fn exit(&mut self, at: Timestamp, how: &str) {
        self.account.end_run(at, self.story.last_end());
        self.of_run(|run| run.exit(at, how));
    }

    fn end(&mut self, outcome: Outcome, exit_code: u8) {
        self.ending = Finish::Done { exit_code };
        match outcome {
            Outcome::Finished | Outcome::Stopped | Outcome::Killed => self.account.end_as_wanted(),
            Outcome::GaveUp { .. } => {}
        }
    }

    fn lose(&mut self, lines: u64) {
        self.lines_lost = self.lines_lost.saturating_add(lines);
        self.playback.interrupt();
    }

    /// How many restarts there were.
    pub fn restarts(&self) -> usize {
        self.runs.iter().filter(|run| run.number > 1).count()
    }

    pub fn hangs(&self) -> usize {
        self.runs.iter().filter(|run| matches!(run.course, Course::Hung { .. })).count()
    }
}

impl Run {
    fn begin(from: Timestamp, first: usize) -> Run {
        Run { number: 0, from, decisions: first..first, course: Course::Open, autopsy: None }
    }

    /// A hang tells more of a run than the end that follows from it.
    fn exit(&mut self, at: Timestamp, how: &str) {
        if self.course == Course::Open {
            self.course = Course::Exited { at, words: how.to_owned() };
        }
    }
}
