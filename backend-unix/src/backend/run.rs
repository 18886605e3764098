//! The run of a command: what lives of it, and what its keeper tells.

use super::UnixBackend;
use crate::keeper::protocol::{Leftovers, Report};
use crate::keeper::run::{Conduct, Effect, Rest, Visibility};
use crate::keeper::{Company, Keeper};
use crate::notice::UnixNotice;
use crate::notify::{LAST_MESSAGES, Notify, Sender, Taken};
use crate::probe::ProbeRunner;
use crate::source::Source;
use crate::tree::process::Process;
use crate::tree::{Tree, kill_all_below, named};
use std::time::Duration;
use supervisor_core::{Backend, Event, ExitStatus, Incoming, Instant, RunId};

/// The current run, with its keeper.
pub(super) type Run = crate::keeper::run::Run<Keeper>;

impl Run {
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

    pub fn sources(&self) -> [Source<'_>; 3] {
        let due = match self {
            Run::Starting { stall, .. } => stall.due(),
            Run::Ended { rest: Rest::Kept { visibility: Visibility::Lost { retry_at, .. }, .. }, .. } => {
                Some(*retry_at)
            }
            Run::Idle | Run::Alive { .. } | Run::Ended { .. } => None,
        };
        let [keeper, main] = self.keeper().map_or([Source::NONE; 2], Keeper::sources);
        [Source { due, descriptor: None }, keeper, main]
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
            Run::Alive { run, main, .. } => (*run, Some(*main)),
            Run::Ended { run, .. } => (*run, None),
        };
        let keeper = self.keeper().map(Keeper::pid);
        let own = std::process::id().cast_signed();
        // A privileged systemd-notify(1) that is the main process speaks for its parent.
        let is_of_command = |pid: i32| Some(pid) == main || pid == own || keeper == Some(pid) || tree.contains(pid);
        let sender = |pid: i32| {
            if is_of_command(pid) {
                Sender::OfCommand
            } else if pid != 0 && Process::read(pid).is_none() {
                // Looked at last: it may have ended while it was looked for in the tree.
                Sender::Gone
            } else {
                Sender::Stranger
            }
        };
        Some((run, notify.take(most, sender)))
    }
}

impl UnixBackend {
    /// What the keeper of the run tells.
    pub(super) fn hear_keeper(&mut self) {
        while let Some(report) = self.run.keeper().and_then(Keeper::hear) {
            if let Report::Ended { .. } = report {
                // The last words come before the end.
                self.take_messages(LAST_MESSAGES);
                let last_status = self.status.end(self.now());
                self.tell_all(last_status);
            }
            let effect = self.run.hear(report, self.now());
            self.follow(effect);
        }
    }

    /// Follows the end of the keeper, once all is known of it.
    pub(super) fn follow_keeper_end(&mut self) {
        self.hear_keeper();
        let now = self.now();
        let has_work = |keeper: &Keeper| keeper.company() == Company::Mixed && kill_all_below(keeper.pid());
        let end = |keeper: &Keeper| Some((keeper.pid(), keeper.end(now, || has_work(keeper))?));
        let Some((keeper, end)) = self.run.keeper().and_then(end) else { return };
        let effect = self.run.keeper_ended(end);
        if let Effect::Lost | Effect::LostAlive { .. } | Effect::LostStarting { .. } = effect {
            self.tell(UnixNotice::KeeperLost { keeper });
        }
        self.follow(effect);
    }

    /// What follows from a change of the run.
    pub(super) fn follow(&mut self, effect: Effect) {
        match effect {
            Effect::None => {}
            Effect::Started { run, main, held } => {
                let (now, restarts) = (self.now(), self.restarts);
                self.last_beat = self.run.started().unwrap_or(now);
                self.run.keeper_mut().into_iter().for_each(|keeper| keeper.watch(main));
                self.probe.iter_mut().for_each(|probe| probe.begin(main, restarts, now));
                self.queue.push_back(Incoming::Event(Event::Started { run, pid: main.unsigned_abs() }));
                held.into_iter().for_each(|signal| self.forward(signal));
            }
            Effect::Stopped { pid, signal } => {
                self.tell(UnixNotice::ProcessStopped { process: named(pid), signal });
                self.stopped(pid, signal);
            }
            Effect::Continued { pid } => self.tell(UnixNotice::ProcessContinued { pid }),
            Effect::Exited { run, main, status, leftovers, conduct } => {
                self.run.keeper_mut().into_iter().for_each(Keeper::main_ended);
                self.watcher.iter_mut().for_each(|watcher| watcher.look_after());
                self.main_ended(run, main, status);
                if conduct == Conduct::Free && status.is_success() && leftovers == Leftovers::Some {
                    let processes = self.tree.seen().iter().map(Process::named).collect();
                    self.tell(UnixNotice::LeftBehind { processes });
                }
                self.take_findings();
            }
            Effect::TooLate { signal } => self.ask_again(signal),
            Effect::Over(event) => self.queue.push_back(Incoming::Event(event)),
            Effect::Lost => self.adopt(),
            Effect::LostStarting { run, main } => {
                self.queue.push_back(Incoming::Event(Event::Started { run, pid: main.unsigned_abs() }));
                self.follow(Effect::LostAlive { run, main });
            }
            Effect::LostAlive { run, main } => {
                // It dies by its parent-death signal.
                self.main_ended(run, main, ExitStatus::KILLED);
                self.adopt();
            }
        }
    }

    fn main_ended(&mut self, run: RunId, main: i32, status: ExitStatus) {
        self.probe.iter_mut().for_each(ProbeRunner::end);
        if status == ExitStatus::KILLED
            && let (Some(now), Some(before)) = (self.memory_kills.count(), self.memory_kills_before)
            && now > before
        {
            self.tell(UnixNotice::OutOfMemory { pid: main, kills: now - before });
        }
        self.queue.push_back(Incoming::Event(Event::Exited { run, status }));
        self.settle_terminal(main, status);
    }
}
