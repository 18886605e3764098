//! The run of a command: what lives of it, and what its keeper tells.

use super::UnixBackend;
use crate::keeper::Keeper;
use crate::keeper::exec::failure;
use crate::keeper::protocol::{Leftovers, Report};
use crate::notice::UnixNotice;
use crate::notify::{LAST_MESSAGES, Notify, Sender, Taken};
use crate::probe::ProbeRunner;
use crate::signals::Signal;
use crate::source::Source;
use crate::stall::Stall;
use crate::tree::process::Process;
use crate::tree::{Tree, named};
use rustix::io::Errno;
use std::time::Duration;
use supervisor_core::{Backend, Event, ExitStatus, Incoming, Instant, RunId, StartFailure};

/// The current run.
pub(super) enum Run {
    /// Nothing runs.
    Idle,
    /// The keeper is there, and about to execute the command. Signals for the main process wait until it has.
    Starting { run: RunId, keeper: Keeper, stall: Stall, held: Vec<Signal> },
    /// The main process lives.
    Alive { run: RunId, keeper: Keeper, main: i32, started: Instant, conduct: Conduct },
    /// The main process ended, or was never executed; something that it started may be left.
    Ended { run: RunId, main: i32, rest: Rest, last_event: LastEvent },
}

/// What was asked of a main process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Conduct {
    Free,
    /// It was asked to leave.
    Asked,
    /// It hung, and was asked to leave.
    Hung,
}

/// Who has what is left of a run.
pub(super) enum Rest {
    /// The keeper, which exits when nothing is left.
    Kept { keeper: Keeper, visibility: Visibility },
    /// The supervisor itself: the keeper was killed.
    Adopted,
}

/// Whether it can be told what is left of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Visibility {
    Clear,
    /// Not just now. This signal is due to what is left.
    Lost {
        retry_at: Instant,
        unsent: Signal,
    },
}

/// What is told when nothing is left.
#[derive(Clone, Copy, Debug)]
pub(super) enum LastEvent {
    Cleared,
    StartFailed(StartFailure),
}

impl Run {
    /// The keeper, while there is one.
    pub fn keeper(&self) -> Option<&Keeper> {
        match self {
            Run::Starting { keeper, .. }
            | Run::Alive { keeper, .. }
            | Run::Ended { rest: Rest::Kept { keeper, .. }, .. } => Some(keeper),
            Run::Idle | Run::Ended { rest: Rest::Adopted, .. } => None,
        }
    }

    /// The run whose main process lives.
    pub fn alive(&self) -> Option<RunId> {
        match self {
            Run::Alive { run, .. } => Some(*run),
            Run::Idle | Run::Starting { .. } | Run::Ended { .. } => None,
        }
    }

    /// When the main process that lives was started.
    pub fn started(&self) -> Option<Instant> {
        match self {
            Run::Alive { started, .. } => Some(*started),
            Run::Idle | Run::Starting { .. } | Run::Ended { .. } => None,
        }
    }

    pub fn source(&self) -> Source<'_> {
        let due = match self {
            Run::Starting { stall, .. } => stall.due(),
            Run::Ended { rest: Rest::Kept { visibility: Visibility::Lost { retry_at, .. }, .. }, .. } => {
                Some(*retry_at)
            }
            Run::Idle | Run::Alive { .. } | Run::Ended { .. } => None,
        };
        Source { due, descriptor: self.keeper().and_then(Keeper::line) }
    }

    /// For how long a start has been under way, told once if that is too long.
    pub fn start_overdue(&mut self, now: Instant) -> Option<Duration> {
        match self {
            Run::Starting { stall, .. } => stall.overdue(now),
            Run::Idle | Run::Alive { .. } | Run::Ended { .. } => None,
        }
    }

    /// Messages that come before the start is known wait for it.
    pub fn source_of_messages<'a>(&self, notify: &'a Notify) -> Source<'a> {
        match self {
            Run::Starting { .. } => Source::NONE,
            Run::Idle | Run::Alive { .. } | Run::Ended { .. } => {
                Source { due: None, descriptor: Some(notify.received()) }
            }
        }
    }

    /// Takes messages of the command, and a notice of one that was refused. What a run said that is over is no news.
    pub fn take_messages(&self, notify: &mut Notify, most: usize, tree: &Tree) -> Option<(RunId, Taken)> {
        let (run, main) = match self {
            Run::Starting { .. } => return None,
            Run::Idle => {
                notify.discard(most);
                return None;
            }
            Run::Alive { run, main, .. } | Run::Ended { run, main, .. } => (*run, *main),
        };
        let keeper = self.keeper().map(Keeper::pid);
        let own = std::process::id().cast_signed();
        let sender = |pid: i32| match Process::read(pid) {
            // A privileged systemd-notify(1) that is the main process speaks for its parent.
            _ if pid == main || pid == own || keeper == Some(pid) || tree.contains(pid) => Sender::OfCommand,
            None if pid != 0 => Sender::Gone,
            Some(_) | None => Sender::Stranger,
        };
        Some((run, notify.take(most, sender)))
    }
}

impl UnixBackend {
    /// What the keeper of the run tells.
    pub(super) fn hear_keeper(&mut self) {
        while let Some(report) = self.run.keeper().and_then(Keeper::hear) {
            match report {
                Report::Started { pid } => self.main_started(pid),
                Report::Failed { os_error } => self.start_failed(os_error),
                Report::Stopped { pid, signal } => {
                    self.tell(UnixNotice::ProcessStopped { process: named(pid), signal });
                    self.stopped(pid, signal);
                }
                Report::Continued { pid } => self.tell(UnixNotice::ProcessContinued { pid }),
                Report::Ended { status, leftovers } => self.main_ended(status, leftovers),
            }
        }
    }

    fn main_started(&mut self, main: i32) {
        let now = self.now();
        let mut held_back = Vec::new();
        self.run = match std::mem::replace(&mut self.run, Run::Idle) {
            Run::Starting { run, keeper, held, .. } => {
                held_back = held;
                self.last_beat = now;
                self.probe.iter_mut().for_each(|probe| probe.begin(main, now));
                self.queue.push_back(Incoming::Event(Event::Started { run, pid: main.unsigned_abs() }));
                Run::Alive { run, keeper, main, started: now, conduct: Conduct::Free }
            }
            run @ (Run::Idle | Run::Alive { .. } | Run::Ended { .. }) => run,
        };
        held_back.into_iter().for_each(|signal| self.forward(signal));
    }

    fn start_failed(&mut self, os_error: i32) {
        self.run = match std::mem::replace(&mut self.run, Run::Idle) {
            Run::Starting { run, keeper, .. } => {
                let rest = Rest::Kept { keeper, visibility: Visibility::Clear };
                Run::Ended { run, main: 0, rest, last_event: LastEvent::StartFailed(failure(os_error)) }
            }
            run @ (Run::Idle | Run::Alive { .. } | Run::Ended { .. }) => run,
        };
    }

    fn main_ended(&mut self, status: ExitStatus, leftovers: Leftovers) {
        // The last words come before the end.
        self.take_messages(LAST_MESSAGES);
        let last_status = self.status.end(self.now());
        self.tell_all(last_status);
        self.probe.iter_mut().for_each(ProbeRunner::end);
        match std::mem::replace(&mut self.run, Run::Idle) {
            Run::Alive { run, keeper, main, conduct, .. } => {
                if conduct == Conduct::Hung {
                    self.watcher.iter_mut().for_each(|watcher| watcher.look_after(run));
                }
                let rest = Rest::Kept { keeper, visibility: Visibility::Clear };
                self.end_main(run, main, status, rest);
                if conduct == Conduct::Free && status.is_success() && leftovers == Leftovers::Some {
                    let processes = self.tree.seen().iter().map(Process::named).collect();
                    self.tell(UnixNotice::LeftBehind { processes });
                }
            }
            run @ (Run::Idle | Run::Starting { .. } | Run::Ended { .. }) => self.run = run,
        }
        self.take_findings();
    }

    fn end_main(&mut self, run: RunId, main: i32, status: ExitStatus, rest: Rest) {
        if status == ExitStatus::KILLED
            && let (Some(now), Some(before)) = (self.memory_kills.count(), self.memory_kills_before)
            && now > before
        {
            self.tell(UnixNotice::OutOfMemory { pid: main, kills: now - before });
        }
        self.run = Run::Ended { run, main, rest, last_event: LastEvent::Cleared };
        self.queue.push_back(Incoming::Event(Event::Exited { run, status }));
        self.settle_terminal(main, status);
    }

    /// The keeper of the run was reaped. One that exited with 0 leaves nothing; another was killed, and what it kept has
    /// become ours.
    pub(super) fn keeper_reaped(&mut self, status: ExitStatus) {
        self.hear_keeper();
        let lost = self.run.keeper().map_or(0, Keeper::pid);
        self.run.forget_keeper();
        match std::mem::replace(&mut self.run, Run::Idle) {
            Run::Ended { run, last_event, .. } if status.is_success() => self.cleared(run, last_event),
            Run::Idle => {}
            Run::Starting { run, .. } => {
                self.tell(UnixNotice::KeeperLost { keeper: lost });
                let failure = failure(Errno::AGAIN.raw_os_error());
                let (rest, last_event) = (Rest::Adopted, LastEvent::StartFailed(failure));
                self.run = Run::Ended { run, main: 0, rest, last_event };
                self.adopt();
            }
            Run::Alive { run, main, .. } => {
                self.tell(UnixNotice::KeeperLost { keeper: lost });
                self.probe.iter_mut().for_each(ProbeRunner::end);
                // It dies by its parent-death signal.
                self.end_main(run, main, ExitStatus::KILLED, Rest::Adopted);
                self.adopt();
            }
            Run::Ended { run, main, last_event, .. } => {
                self.tell(UnixNotice::KeeperLost { keeper: lost });
                self.run = Run::Ended { run, main, rest: Rest::Adopted, last_event };
                self.adopt();
            }
        }
    }

    /// Nothing of the run is left.
    pub(super) fn cleared(&mut self, run: RunId, last_event: LastEvent) {
        self.queue.push_back(Incoming::Event(match last_event {
            LastEvent::Cleared => Event::Cleared { run },
            LastEvent::StartFailed(failure) => Event::StartFailed { run, failure },
        }));
    }
}

impl Run {
    /// The keeper was reaped: its number may be given to another.
    fn forget_keeper(&mut self) {
        match self {
            Run::Starting { keeper, .. }
            | Run::Alive { keeper, .. }
            | Run::Ended { rest: Rest::Kept { keeper, .. }, .. } => keeper.reaped(),
            Run::Idle | Run::Ended { rest: Rest::Adopted, .. } => {}
        }
    }
}
