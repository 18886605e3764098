//! The children of the supervisor itself: keepers, strangers, and processes that it adopted from a killed keeper.
//!
//! Strangers are children from before the supervisor was executed, and orphans of theirs; as the first process of a PID
//! namespace it also gets the orphans of sessions that join the container later. They are reaped, and left alone: where
//! there may be any, it is not the supervisor that adopts, but a second keeper above the first.

use super::UnixBackend;
use crate::clock::SystemClock;
use crate::hooks::HookRunner;
use crate::keeper::clear::each_child;
use crate::keeper::wait::{Found, has_children, next_change};
use crate::keeper::{Company, Keeper};
use crate::probe::ProbeRunner;
use crate::tree::children::children_of;
use crate::tree::process::Process;
use crate::tree::{Proc, kill_below};
use std::collections::BTreeSet;
use std::time::Duration;
use supervisor_core::{Backend, ExitStatus, Instant};

/// After so long children are looked for again that could not be.
const RETRY: Duration = Duration::from_millis(100);
/// How soon adopted processes that survive SIGKILL get it again.
const RESCAN_INTERVAL: Duration = Duration::from_millis(10);

pub(super) struct Children {
    proc: Proc,
    company: Company,
    adoption: Adoption,
    reaping: Reaping,
}

enum Reaping {
    Done,
    /// They could not be looked for, and no signal comes again for what is not known.
    Due {
        retry_at: Instant,
    },
}

enum Adoption {
    None,
    /// There are some, which are killed until there are none.
    UnderWay {
        retry_at: Instant,
    },
}

/// Whether this process may have children that none of its keepers had.
pub(super) fn company() -> Company {
    let is_mixed = std::process::id() == 1 || has_children();
    if is_mixed { Company::Mixed } else { Company::Alone }
}

impl Children {
    pub fn new(proc: Proc, company: Company) -> Children {
        Children { proc, company, adoption: Adoption::None, reaping: Reaping::Done }
    }

    pub fn company(&self) -> Company {
        self.company
    }

    /// Whether some are being killed.
    pub fn has_adopted(&self) -> bool {
        matches!(self.adoption, Adoption::UnderWay { .. })
    }

    /// When they are looked at again.
    pub fn due(&self) -> Option<Instant> {
        let adopted = match self.adoption {
            Adoption::None => None,
            Adoption::UnderWay { retry_at } => Some(retry_at),
        };
        let unknown = match self.reaping {
            Reaping::Done => None,
            Reaping::Due { retry_at } => Some(retry_at),
        };
        adopted.into_iter().chain(unknown).min()
    }

    /// Those that were adopted and live: where there are no strangers, every child that is no keeper. One that is dead and
    /// not reaped by now is held by its debugger.
    fn adopted(&self, keepers: &BTreeSet<i32>) -> Vec<i32> {
        let list = match (self.company, self.proc) {
            (Company::Mixed, _) => return Vec::new(),
            (Company::Alone, Proc::Ours) => all_children,
            (Company::Alone, Proc::NotOurs) => probed_children,
        };
        living(keepers, list, |pid| Process::read(pid).is_none_or(|process| process.is_alive()))
    }
}

/// Those listed that live, but for these. What one of them has left when it ended comes to the list after it was made, so
/// that it is made again until it has none that ended meanwhile.
fn living(others: &BTreeSet<i32>, list: impl Fn() -> BTreeSet<i32>, is_alive: impl Fn(i32) -> bool) -> Vec<i32> {
    let mut passed_over = others.clone();
    loop {
        let (alive, dead): (Vec<_>, Vec<_>) = list().difference(&passed_over).partition(|pid| is_alive(**pid));
        if !alive.is_empty() || dead.is_empty() {
            return alive;
        }
        passed_over.extend(dead);
    }
}

fn all_children() -> BTreeSet<i32> {
    match children_of(std::process::id().cast_signed()) {
        // That this process is gone, so that it has none, is not so.
        Ok(children) if !children.is_empty() || !has_children() => children.into_iter().collect(),
        Ok(_) | Err(_) => probed_children(),
    }
}

fn probed_children() -> BTreeSet<i32> {
    let mut children = BTreeSet::new();
    each_child(|pid| {
        children.insert(pid);
    });
    children
}

impl UnixBackend {
    /// The process ids of all keepers.
    pub(super) fn keepers(&self) -> BTreeSet<i32> {
        let of_hooks = self.hooks.iter().flat_map(HookRunner::keepers);
        let of_probe = self.probe.as_ref().and_then(ProbeRunner::keeper);
        [self.run.keeper().map(Keeper::pid), of_probe].into_iter().flatten().chain(of_hooks).collect()
    }

    /// Reaps what ended, and has keepers go on that were stopped.
    pub(super) fn reap(&mut self) {
        let mut has_reaped = false;
        self.children.reaping = loop {
            match next_change() {
                Found::Ended { pid, status } => {
                    has_reaped = true;
                    self.child_reaped(pid, status);
                }
                Found::Stopped { pid, .. } => self.wake_keeper(pid),
                Found::Continued { .. } => {}
                Found::Nothing | Found::NoChildren => break Reaping::Done,
                Found::Unknown => break Reaping::Due { retry_at: self.now() + RETRY },
            }
        };
        if has_reaped {
            self.clear_adopted();
        }
    }

    fn child_reaped(&mut self, pid: i32, status: ExitStatus) {
        let now = self.now();
        if self.run.keeper().is_some_and(|keeper| keeper.pid() == pid) {
            self.run.keeper_mut().into_iter().for_each(|keeper| keeper.reaped(status));
        } else if self.hooks.iter().flat_map(HookRunner::keepers).any(|keeper| keeper == pid) {
            let notice = self.hooks.as_mut().and_then(|hooks| hooks.reaped(pid, now));
            self.tell_all(notice);
            self.adopt_unless(status.is_success());
        } else if self.probe.as_ref().and_then(ProbeRunner::keeper) == Some(pid) {
            let finding = self.probe.as_mut().and_then(|probe| probe.reaped(now));
            self.take_probe(finding);
            self.adopt_unless(status.is_success());
        }
    }

    fn wake_keeper(&self, pid: i32) {
        self.run.keeper().filter(|keeper| keeper.pid() == pid).into_iter().for_each(Keeper::wake);
        self.hooks.iter().for_each(|hooks| hooks.wake(pid));
        self.probe.iter().filter(|probe| probe.keeper() == Some(pid)).for_each(ProbeRunner::wake);
    }

    /// A keeper was killed. What it kept would be left behind if this process were killed too, so that it goes at once.
    pub(super) fn adopt(&mut self) {
        self.children.adoption = Adoption::UnderWay { retry_at: SystemClock::now() };
        self.clear_adopted();
    }

    fn adopt_unless(&mut self, keeper_did_its_work: bool) {
        if !keeper_did_its_work {
            self.adopt();
        }
    }

    /// Kills what was adopted. When nothing of it is left, a run whose keeper was killed is over.
    pub(super) fn clear_adopted(&mut self) {
        if let Adoption::None = self.children.adoption {
            return;
        }
        let adopted = self.children.adopted(&self.keepers());
        if !adopted.is_empty() {
            kill_below(&adopted);
            self.children.adoption = Adoption::UnderWay { retry_at: SystemClock::now() + RESCAN_INTERVAL };
            return;
        }
        self.children.adoption = Adoption::None;
        let effect = self.run.adopted_gone();
        self.follow(effect);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn what_one_leaves_that_ends_while_it_is_looked_at_is_found() {
        let lists = [vec![1, 7], vec![1, 7, 8], vec![1, 7, 8, 9]];
        let next = Cell::new(0);
        let list = || lists[next.replace(next.get() + 1)].iter().copied().collect();
        assert_eq!(living(&BTreeSet::from([1]), list, |pid| pid == 9), [9]);
        assert_eq!(next.get(), 3);
    }

    #[test]
    fn where_all_that_is_listed_is_dead_none_live() {
        let list = || BTreeSet::from([1, 7, 8]);
        assert!(living(&BTreeSet::from([1]), list, |_| false).is_empty());
        assert!(living(&BTreeSet::from([1, 7, 8]), list, |_| true).is_empty());
    }
}
