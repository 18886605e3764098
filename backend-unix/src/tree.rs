//! The processes of a run: who is among them, and signals to each of them.

pub(crate) mod children;
pub(crate) mod process;
pub(crate) mod snapshot;

use crate::keeper::{Company, Keeper};
use crate::linux;
use crate::notice::{Named, Target, Trouble, UnixNotice};
use crate::signals::Signal;
use children::{Member, children_of, members_below};
use process::{Process, ProcessId, signal_if};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// Everything below the keeper of a run, and what it was sent.
pub(crate) struct Tree {
    proc: Proc,
    /// The keeper.
    root: i32,
    company: Company,
    /// Who got which signal in this run: none gets the same one twice, but for SIGKILL.
    sent: BTreeMap<(ProcessId, Signal), Way>,
}

/// How a process got a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// With the main process, by the keeper.
    WithMain,
    ByItself,
}

/// How far processes can be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proc {
    /// `/proc` shows those of our PID namespace, but perhaps not all.
    Ours,
    /// It shows none of ours: only a keeper knows its children.
    NotOurs,
}

/// What became of a signal to all members.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    pub notices: Vec<UnixNotice>,
    /// Whether there may be members that only the keeper can reach.
    pub has_unseen: bool,
}

/// Children that are killed while they fork are found by looking again, this often at a time.
const MOST_PASSES: u32 = 1000;
/// As many ancestors may end while they are looked at: those of a daemon end one after the other.
const MOST_CLIMBS: u32 = 16;

/// The way from a process up its parents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Climb {
    ToRoot,
    /// To the first process, or beyond this PID namespace.
    Past,
    /// To one that `/proc` does not show: it is hidden, or has ended.
    Unseen(i32),
}

fn climb(pid: i32, root: i32, parent: impl Fn(i32) -> Option<i32>) -> Climb {
    let mut ancestor = pid;
    while let Some(parent) = parent(ancestor) {
        match parent {
            parent if parent == root => return Climb::ToRoot,
            parent if parent <= 1 => return Climb::Past,
            parent => ancestor = parent,
        }
    }
    if ancestor > 0 { Climb::Unseen(ancestor) } else { Climb::Past }
}

impl Climb {
    /// Whether an ancestor ended meanwhile, so that what it had started has another parent now.
    fn is_cut_short(self, pid: i32) -> bool {
        matches!(self, Climb::Unseen(ancestor) if ancestor != pid && !process::exists(ancestor))
    }
}

impl Tree {
    /// Nothing yet. Tells where processes cannot be seen.
    pub fn new(company: Company) -> (Tree, Option<UnixNotice>) {
        let (proc, notice) = match linux::proc_is_ours() {
            Ok(()) => (Proc::Ours, None),
            Err(error) => (Proc::NotOurs, Some(UnixNotice::Trouble(Trouble::ProcessesInvisible { error }))),
        };
        (Tree { proc, root: 0, company, sent: BTreeMap::new() }, notice)
    }

    /// Another run begins, below this keeper.
    pub fn begin(&mut self, keeper: i32) {
        self.root = keeper;
        self.sent.clear();
    }

    pub fn proc(&self) -> Proc {
        self.proc
    }

    /// All members of the run that live, parents before children.
    ///
    /// # Errors
    /// That they cannot be told just now, as for want of a descriptor.
    pub fn members(&self) -> io::Result<Vec<Member>> {
        let mut members = match self.proc {
            Proc::Ours => members_below(&[self.root])?,
            Proc::NotOurs => Vec::new(),
        };
        // What the one above has for children is the other keeper, or what it kills since that was killed.
        if self.company == Company::Mixed {
            members.retain(|member| member.parent() != self.root);
        }
        Ok(members)
    }

    /// Those that can be seen.
    pub fn seen(&self) -> Vec<Process> {
        seen(self.members().unwrap_or_default())
    }

    /// Whether a living process belongs to the run, as its parents tell.
    pub fn contains(&self, pid: i32) -> bool {
        let parent = |pid| Process::read(pid).map(|process| process.parent);
        match (0..MOST_CLIMBS).map(|_| climb(pid, self.root, parent)).find(|climb| !climb.is_cut_short(pid)) {
            Some(Climb::ToRoot) => true,
            Some(Climb::Unseen(ancestor)) => {
                let is_hidden =
                    |member: &Member| matches!(member, Member::Hidden { pid: hidden, .. } if *hidden == ancestor);
                self.members().is_ok_and(|members| members.iter().any(is_hidden))
            }
            Some(Climb::Past) | None => false,
        }
    }

    /// After a signal to the main process or its group: takes note of those that got it, and returns those of them that
    /// are stopped, which do not see it until they go on.
    pub fn sent_to(&mut self, signal: Signal, got_it: impl Fn(&Process) -> bool) -> Vec<Named> {
        let members: Vec<_> = self.seen().into_iter().filter(got_it).collect();
        self.sent.extend(members.iter().map(|process| ((process.id, signal), Way::WithMain)));
        members.iter().filter(|process| process.is_stopped()).map(Process::named).collect()
    }

    /// The main process had ended before that signal came: nobody got it. Tells whether anybody was thought to have.
    pub fn not_sent_to(&mut self, signal: Signal) -> bool {
        let before = self.sent.len();
        self.sent.retain(|(_, sent), way| *sent != signal || *way == Way::ByItself);
        self.sent.len() < before
    }

    /// Whether anybody got it in this run.
    pub fn was_sent(&self, signal: Signal) -> bool {
        self.sent.keys().any(|(_, sent)| *sent == signal)
    }

    /// Takes note of a signal to one process. Tells whether that did not get it before.
    fn note(&mut self, id: ProcessId, signal: Signal) -> bool {
        match self.sent.entry((id, signal)) {
            Entry::Vacant(entry) => {
                entry.insert(Way::ByItself);
                true
            }
            Entry::Occupied(_) => false,
        }
    }

    /// Sends a signal to all members that did not get it before, each one by itself.
    ///
    /// # Errors
    /// That they cannot be told just now. Nothing was sent then.
    pub fn signal_rest(&mut self, signal: Signal) -> io::Result<Delivery> {
        let members = self.members()?;
        let hidden = self.signal_hidden(&members, signal);
        let mut delivery = Delivery { notices: vec![], has_unseen: self.has_unreached(&members, signal) };
        let mut rest = seen(members);
        rest.retain(|process| self.note(process.id, signal));
        delivery.notices.extend(signal_each(&rest, signal, hidden));
        delivery.notices.extend(wake(&rest));
        // What has executed another program since it was seen may be there still, but hidden.
        if !rest.iter().all(Process::is_there) {
            let members = self.members()?;
            let hidden = self.signal_hidden(&members, signal);
            delivery.has_unseen |= self.has_unreached(&members, signal);
            delivery.notices.extend(signal_each(&[], signal, hidden));
        }
        Ok(delivery)
    }

    /// Kills all members, and those that they start meanwhile. `already_killed` tells which of them need not be told
    /// of.
    ///
    /// # Errors
    /// That they cannot be told just now.
    pub fn kill(&mut self, already_killed: impl Fn(&Process) -> bool) -> io::Result<Delivery> {
        let mut known = BTreeSet::new();
        let mut delivery = Delivery::default();
        for _ in 0..MOST_PASSES {
            let members = self.members()?;
            delivery.has_unseen |= self.has_hidden(&members);
            let hidden = self.signal_hidden(&members, Signal::KILL);
            let mut found = seen(members);
            found.retain(|process| known.insert(process.id));
            let (news, others): (Vec<_>, Vec<_>) =
                found.into_iter().partition(|process| self.note(process.id, Signal::KILL) && !already_killed(process));
            let is_last = news.is_empty() && others.is_empty();
            drop(signal_each(&others, Signal::KILL, vec![]));
            delivery.notices.extend(signal_each(&news, Signal::KILL, hidden));
            if is_last {
                break;
            }
        }
        Ok(delivery)
    }

    /// Signals hidden members that did not get it before, and returns those that were reached.
    fn signal_hidden(&mut self, members: &[Member], signal: Signal) -> Vec<Named> {
        let unknown = |member: &&Member| match member {
            Member::Hidden { pid, .. } => !self.sent.contains_key(&(id_of_hidden(*pid), signal)),
            Member::Seen(_) => false,
        };
        let reached: Vec<_> =
            members.iter().filter(unknown).filter_map(|member| signal_hidden(member, signal)).collect();
        self.sent.extend(reached.iter().map(|named| ((id_of_hidden(named.pid), signal), Way::ByItself)));
        reached
    }

    fn has_hidden(&self, members: &[Member]) -> bool {
        self.proc == Proc::NotOurs || members.iter().any(|member| matches!(member, Member::Hidden { .. }))
    }

    /// Whether there may be members that did not get a signal. The keeper reaches them, but asks all of its children.
    fn has_unreached(&self, members: &[Member], signal: Signal) -> bool {
        let is_unreached = |member: &Member| match member {
            Member::Hidden { pid, .. } => !self.sent.contains_key(&(id_of_hidden(*pid), signal)),
            Member::Seen(_) => false,
        };
        self.proc == Proc::NotOurs || members.iter().any(is_unreached)
    }
}

/// Kills these children of this process and all below them, and those that they start meanwhile.
pub(crate) fn kill_below(children: &[i32]) {
    let mut known = BTreeSet::new();
    for _ in 0..MOST_PASSES {
        children.iter().for_each(|&child| crate::keeper::clear::kill_child(child));
        if !kill_members(children, &mut known) {
            return;
        }
    }
}

/// Kills all below a child of this process, but not the child itself; tells whether anything lived.
pub(crate) fn kill_all_below(child: i32) -> bool {
    let mut known = BTreeSet::new();
    let passes = (0..MOST_PASSES).take_while(|_| kill_members(&[child], &mut known)).count();
    passes > 0
}

/// Frees from a keeper that is held what it keeps.
pub(crate) fn end_held(keeper: &Keeper) {
    match keeper.company() {
        Company::Alone => keeper.kill(),
        // It adopts what the one below leaves, and goes then.
        Company::Mixed => drop(kill_all_below(keeper.pid())),
    }
}

/// Kills what is below these and not known yet; tells whether there was any.
fn kill_members(roots: &[i32], known: &mut BTreeSet<ProcessId>) -> bool {
    let members = members_below(roots).unwrap_or_default();
    members.iter().for_each(|member| drop(signal_hidden(member, Signal::KILL)));
    let mut found = seen(members);
    found.retain(|process| known.insert(process.id));
    drop(signal_each(&found, Signal::KILL, vec![]));
    !found.is_empty()
}

/// What a number is called now.
pub(crate) fn named(pid: i32) -> Named {
    Named { pid, name: Process::read(pid).map_or_else(String::new, |process| process.name) }
}

fn seen(members: Vec<Member>) -> Vec<Process> {
    let processes = members.into_iter().filter_map(|member| match member {
        Member::Seen(process) => Some(process),
        Member::Hidden { .. } => None,
    });
    processes.collect()
}

/// A process that is hidden has no other name than its number; it is the one that is meant as long as its parent has it
/// for a child.
fn signal_hidden(member: &Member, signal: Signal) -> Option<Named> {
    let Member::Hidden { pid, parent } = *member else { return None };
    let is_child = || children_of(parent).is_ok_and(|children| children.contains(&pid));
    signal_if(pid, signal, is_child).ok().map(|()| Named { pid, name: String::new() })
}

fn id_of_hidden(pid: i32) -> ProcessId {
    ProcessId { pid, start_time: 0 }
}

fn wake(processes: &[Process]) -> Vec<UnixNotice> {
    let signal = Signal::CONT;
    let mut notices = Vec::new();
    for process in processes.iter().filter(|process| process.is_stopped()) {
        if try_signal(process, signal, &mut notices) {
            let target = Target::Processes { processes: vec![process.named()] };
            notices.push(UnixNotice::SignalSent { signal, target });
        }
    }
    notices
}

fn signal_each(processes: &[Process], signal: Signal, mut reached: Vec<Named>) -> Vec<UnixNotice> {
    let mut notices = Vec::new();
    for process in processes {
        if try_signal(process, signal, &mut notices) {
            reached.push(process.named());
        }
    }
    if !reached.is_empty() {
        notices.push(UnixNotice::SignalSent { signal, target: Target::Leftovers { processes: reached } });
    }
    notices
}

/// Whether the process got the signal. That it is gone is nothing to tell.
fn try_signal(process: &Process, signal: Signal, notices: &mut Vec<UnixNotice>) -> bool {
    match process.signal(signal) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => {
            let target = Target::Processes { processes: vec![process.named()] };
            notices.push(UnixNotice::SignalFailed { signal, target, error });
            false
        }
    }
}

#[cfg(test)]
mod tests;
