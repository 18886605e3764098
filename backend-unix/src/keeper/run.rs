//! The supervisor's side of a keeper: what it knows of a run. A state machine without system calls.
//!
//! `K` is the keeper as its owner holds it. It lives in those states in which there is one.

use super::exec::failure;
use super::protocol::{Leftovers, Report};
use crate::signals::Signal;
use crate::stall::Stall;
use rustix::io::Errno;
use supervisor_core::{Event, ExitStatus, Instant, RunId, StartFailure};

/// The current run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Run<K> {
    /// Nothing runs.
    Idle,
    /// The keeper is there, and about to execute the command, if there is a main process already. Signals for that wait
    /// until it has.
    Starting { run: RunId, keeper: K, main: Option<i32>, stall: Stall, held: Vec<Signal> },
    /// The main process lives.
    Alive { run: RunId, keeper: K, main: i32, started: Instant, conduct: Conduct },
    /// The main process ended, or was never executed; something that it started may be left.
    Ended { run: RunId, rest: Rest<K>, last_event: LastEvent },
}

/// What was asked of a main process, and how it went, from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Conduct {
    Free,
    /// It was asked to leave.
    Asked,
    /// It hung, and was asked to leave.
    Hung,
    /// It did not leave.
    Killed,
}

/// Who has what is left of a run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Rest<K> {
    /// The keeper, which exits when nothing is left.
    Kept { keeper: K, visibility: Visibility },
    /// The supervisor itself: the keeper was killed.
    Adopted,
}

/// Whether it can be told what is left of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Visibility {
    Clear,
    /// Not just now. This signal is due to what is left.
    Lost {
        retry_at: Instant,
        unsent: Signal,
    },
}

/// What is told when nothing is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LastEvent {
    Cleared,
    StartFailed(StartFailure),
}

impl LastEvent {
    fn of(self, run: RunId) -> Event {
        match self {
            LastEvent::Cleared => Event::Cleared { run },
            LastEvent::StartFailed(failure) => Event::StartFailed { run, failure },
        }
    }
}

/// How a keeper ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum KeeperEnd {
    /// By itself: nothing is left of what it kept.
    Clean,
    /// It was killed: what it kept has become the supervisor's.
    Killed,
}

/// What follows for the owner, beside the new state.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    None,
    /// The main process executes; these signals have waited for it.
    Started {
        run: RunId,
        main: i32,
        held: Vec<Signal>,
    },
    /// The main process ended.
    Exited {
        run: RunId,
        main: i32,
        status: ExitStatus,
        leftovers: Leftovers,
        conduct: Conduct,
    },
    /// A child of the keeper was stopped.
    Stopped {
        pid: i32,
        signal: i32,
    },
    /// It goes on.
    Continued {
        pid: i32,
    },
    /// The main process had ended before this signal to its group: nobody got it.
    TooLate {
        signal: i32,
    },
    /// Nothing of the run is left.
    Over(Event),
    /// The keeper was killed before the main process was known to execute, or after it ended: what is left is adopted.
    Lost,
    /// The keeper was killed, and the main process dies with it.
    LostAlive {
        run: RunId,
        main: i32,
    },
    /// The same before it was told that the main process executes.
    LostStarting {
        run: RunId,
        main: i32,
    },
}

impl<K> Run<K> {
    /// A keeper was forked for a run.
    pub fn begin(run: RunId, keeper: K, now: Instant) -> Run<K> {
        Run::Starting { run, keeper, main: None, stall: Stall::Since(now), held: Vec::new() }
    }

    /// The keeper, while there is one.
    pub fn keeper(&self) -> Option<&K> {
        match self {
            Run::Starting { keeper, .. }
            | Run::Alive { keeper, .. }
            | Run::Ended { rest: Rest::Kept { keeper, .. }, .. } => Some(keeper),
            Run::Idle | Run::Ended { rest: Rest::Adopted, .. } => None,
        }
    }

    /// The same, to be changed.
    pub fn keeper_mut(&mut self) -> Option<&mut K> {
        match self {
            Run::Starting { keeper, .. }
            | Run::Alive { keeper, .. }
            | Run::Ended { rest: Rest::Kept { keeper, .. }, .. } => Some(keeper),
            Run::Idle | Run::Ended { rest: Rest::Adopted, .. } => None,
        }
    }

    /// The keeper tells something.
    pub fn hear(&mut self, report: Report, now: Instant) -> Effect {
        let (next, effect) = match (std::mem::replace(self, Run::Idle), report) {
            (same, Report::Stopped { pid, signal }) => (same, Effect::Stopped { pid, signal }),
            (same, Report::Continued { pid }) => (same, Effect::Continued { pid }),
            (same, Report::TooLate { signal }) => (same, Effect::TooLate { signal }),
            (Run::Starting { run, keeper, stall, held, .. }, Report::Forked { pid }) => {
                (Run::Starting { run, keeper, main: Some(pid), stall, held }, Effect::None)
            }
            (Run::Starting { run, keeper, held, .. }, Report::Started { pid: main }) => {
                let next = Run::Alive { run, keeper, main, started: now, conduct: Conduct::Free };
                (next, Effect::Started { run, main, held })
            }
            (Run::Starting { run, keeper, .. }, Report::Failed { os_error }) => {
                let rest = Rest::Kept { keeper, visibility: Visibility::Clear };
                (Run::Ended { run, rest, last_event: LastEvent::StartFailed(failure(os_error)) }, Effect::None)
            }
            (Run::Alive { run, keeper, main, conduct, .. }, Report::Ended { status, leftovers }) => {
                let rest = Rest::Kept { keeper, visibility: Visibility::Clear };
                let next = Run::Ended { run, rest, last_event: LastEvent::Cleared };
                (next, Effect::Exited { run, main, status, leftovers, conduct })
            }
            // No keeper tells these now.
            (same, Report::Forked { .. } | Report::Started { .. } | Report::Failed { .. } | Report::Ended { .. }) => {
                (same, Effect::None)
            }
        };
        *self = next;
        effect
    }

    /// The keeper was reaped. All that it told was heard before.
    pub fn keeper_ended(&mut self, end: KeeperEnd) -> Effect {
        let (next, effect) = match (std::mem::replace(self, Run::Idle), end) {
            (Run::Ended { run, last_event, .. }, KeeperEnd::Clean) => (Run::Idle, Effect::Over(last_event.of(run))),
            // A keeper that ends by itself has told of the end before. A main process may have executed, and killed it.
            (Run::Starting { run, main: Some(main), .. }, KeeperEnd::Clean | KeeperEnd::Killed) => {
                let next = Run::Ended { run, rest: Rest::Adopted, last_event: LastEvent::Cleared };
                (next, Effect::LostStarting { run, main })
            }
            (Run::Starting { run, main: None, .. }, KeeperEnd::Clean | KeeperEnd::Killed) => {
                let last_event = LastEvent::StartFailed(failure(Errno::AGAIN.raw_os_error()));
                (Run::Ended { run, rest: Rest::Adopted, last_event }, Effect::Lost)
            }
            (Run::Alive { run, main, .. }, KeeperEnd::Clean | KeeperEnd::Killed) => {
                let next = Run::Ended { run, rest: Rest::Adopted, last_event: LastEvent::Cleared };
                (next, Effect::LostAlive { run, main })
            }
            (Run::Ended { run, last_event, .. }, KeeperEnd::Killed) => {
                (Run::Ended { run, rest: Rest::Adopted, last_event }, Effect::Lost)
            }
            (Run::Idle, KeeperEnd::Clean | KeeperEnd::Killed) => (Run::Idle, Effect::None),
        };
        *self = next;
        effect
    }

    /// Nothing is left of what was adopted.
    pub fn adopted_gone(&mut self) -> Effect {
        match self {
            Run::Ended { run, rest: Rest::Adopted, last_event } => {
                let event = last_event.of(*run);
                *self = Run::Idle;
                Effect::Over(event)
            }
            Run::Idle | Run::Starting { .. } | Run::Alive { .. } | Run::Ended { .. } => Effect::None,
        }
    }
}
