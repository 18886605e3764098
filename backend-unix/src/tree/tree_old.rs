//! The process tree below the supervisor: who is in it, and signals to its members.

use crate::linux;
use crate::mark::Mark;
use crate::notice::{Named, Target, UnixNotice};
use crate::process::Process;
use crate::signal::Signal;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process_group};
use std::collections::BTreeSet;
use std::io;

/// Everything that a run started, and what it was sent.
pub(crate) struct Tree {
    proc: Proc,
    /// Children that this process had before it became a supervisor. They are none of its business.
    strangers: BTreeSet<i32>,
    hooks: Spared,
    /// Who got which signal in this run: nobody gets the same one twice, but for SIGKILL.
    sent: BTreeSet<(i32, Signal)>,
}

/// Hooks, which are children too but no part of the run.
#[derive(Clone, Copy)]
struct Spared {
    mark: Option<Mark>,
    pid: Option<i32>,
}

/// How far processes can be seen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Proc {
    Visible,
    /// `/proc` does not show ours. All that is known is a process group.
    Hidden,
    /// The same, but as the first process of a PID namespace we have to do with everything in it: kill(2).
    HiddenFromInit,
}

/// The leader of the run's process group.
#[derive(Clone, Copy)]
pub(crate) enum Leader {
    /// Not reaped yet, so that the number of the group is still its own.
    Alive(i32),
    /// Reaped.
    Gone(i32),
}

/// Children that are killed while they fork are found by looking again, this often at a time.
const MOST_PASSES: u32 = 1000;

impl Tree {
    /// # Errors
    /// If the children that this process has so far cannot be told.
    pub fn new(hook_mark: Option<Mark>, report: &mut impl FnMut(UnixNotice)) -> io::Result<Tree> {
        let proc = match linux::proc_is_ours() {
            Ok(()) => Proc::Visible,
            Err(error) => {
                report(UnixNotice::ProcessesInvisible { error });
                if std::process::id() == 1 { Proc::HiddenFromInit } else { Proc::Hidden }
            }
        };
        let hooks = Spared { mark: hook_mark, pid: None };
        let mut tree = Tree { proc, strangers: BTreeSet::new(), hooks, sent: BTreeSet::new() };
        tree.strangers = tree.children()?;
        Ok(tree)
    }

    /// Forgets what was sent in the last run.
    pub fn begin(&mut self) {
        self.sent.clear();
    }

    /// Forgets a child that was reaped: its number may be given to another.
    pub fn forget(&mut self, pid: i32) {
        self.strangers.remove(&pid);
    }

    /// A child that is none of the run's.
    pub fn ignore(&mut self, child: i32) {
        self.strangers.insert(child);
    }

    /// Tells which child is the current hook.
    pub fn spare(&mut self, hook: Option<i32>) {
        self.hooks.pid = hook;
    }

    /// Whether nothing is left of a run whose main process led this group, although this process has children. Where
    /// nobody sees processes, the group is all that can be told.
    ///
    /// # Errors
    /// That it cannot be told just now, as for want of a descriptor.
    pub fn is_empty(&self, group: i32) -> io::Result<bool> {
        Ok(match self.proc {
            Proc::Visible => self.children()?.is_empty(),
            Proc::Hidden => Pid::from_raw(group).is_none_or(|group| test_kill_process_group(group) == Err(Errno::SRCH)),
            Proc::HiddenFromInit => false,
        })
    }

    /// Whether a living process belongs to the run, as its parents tell.
    pub fn holds(&self, mut pid: i32) -> bool {
        let own = std::process::id().cast_signed();
        loop {
            match Process::read(pid) {
                Some(process) if process.parent == own => return self.owns(pid),
                Some(process) if process.parent > 0 => pid = process.parent,
                Some(_) | None => return false,
            }
        }
    }

    /// Sends a signal to the run. SIGKILL goes to everything in it. Any other goes to the process group while its
    /// leader lives, and then to whatever is left and did not get it before.
    ///
    /// # Errors
    /// That it cannot be told just now what is left. Nothing was sent then.
    pub fn signal(&mut self, leader: Leader, signal: Signal, report: &mut impl FnMut(UnixNotice)) -> io::Result<()> {
        if let Leader::Gone(_) = leader {
            self.children()?;
        }
        match (signal, leader) {
            (Signal::KILL, Leader::Alive(pid)) => {
                signal_group(pid, signal, report);
                self.kill_descendants(Some(pid), report);
            }
            // Nobody sees who is left.
            (_, Leader::Gone(_)) if self.proc == Proc::HiddenFromInit => signal_all(signal, report),
            (_, Leader::Gone(group)) if self.proc == Proc::Hidden => signal_group(group, signal, report),
            (Signal::KILL, Leader::Gone(_)) => self.kill_descendants(None, report),
            (_, Leader::Alive(pid)) => {
                let members: Vec<_> = self.descendants().into_iter().filter(|process| process.group == pid).collect();
                self.sent.extend(members.iter().map(|process| (process.pid, signal)));
                signal_group(pid, signal, report);
                wake(&members, report);
            }
            (_, Leader::Gone(_)) => {
                let mut leftovers = self.descendants();
                leftovers.retain(|process| self.sent.insert((process.pid, signal)));
                signal_leftovers(&leftovers, signal, report);
                wake(&leftovers, report);
            }
        }
        Ok(())
    }

    /// Kills all descendants, and those that they start meanwhile. Those in `group` have got their SIGKILL already,
    /// which is only made sure of; nor is it told again of others that are still dying.
    fn kill_descendants(&mut self, group: Option<i32>, report: &mut impl FnMut(UnixNotice)) {
        let mut known = BTreeSet::new();
        for _ in 0..MOST_PASSES {
            let found = news(self.descendants(), &mut known);
            if found.is_empty() {
                return;
            }
            let (news, others): (Vec<_>, Vec<_>) = found
                .into_iter()
                .partition(|process| self.sent.insert((process.pid, Signal::KILL)) && Some(process.group) != group);
            signal_leftovers(&others, Signal::KILL, &mut |_| {});
            signal_leftovers(&news, Signal::KILL, report);
        }
    }

    /// All living processes of the run, parents before children.
    pub fn descendants(&self) -> Vec<Process> {
        living_below(self.children().unwrap_or_default())
    }

    /// Marks those who have lost their mark.
    pub fn renew(&self, mark: Mark) {
        self.descendants().iter().for_each(|process| mark.renew(process));
    }

    /// The children of this process that belong to the run. None of them goes before it is reaped, so that the list
    /// of the kernel is complete.
    fn children(&self) -> io::Result<BTreeSet<i32>> {
        let all = match self.proc {
            Proc::Visible => linux::children_of(std::process::id().cast_signed())?,
            Proc::Hidden | Proc::HiddenFromInit => Vec::new(),
        };
        Ok(all.into_iter().filter(|&pid| self.owns(pid)).collect())
    }

    fn owns(&self, child: i32) -> bool {
        let Spared { mark, pid } = self.hooks;
        !self.strangers.contains(&child) && pid != Some(child) && (mark.is_none() || Mark::on(child) != mark)
    }
}

/// Kills processes and all below them, and those that they start meanwhile; `roots` is asked again and again.
pub(crate) fn kill_below(roots: impl Fn() -> BTreeSet<i32>) {
    let mut known = BTreeSet::new();
    for _ in 0..MOST_PASSES {
        let found = news(living_below(roots()), &mut known);
        if found.is_empty() {
            return;
        }
        signal_leftovers(&found, Signal::KILL, &mut |_| {});
    }
}

/// These processes and all below them that live, parents before children.
fn living_below(mut known: BTreeSet<i32>) -> Vec<Process> {
    let mut pids: Vec<i32> = known.iter().copied().collect();
    let mut next = 0;
    while let Some(&pid) = pids.get(next) {
        let children = linux::children_of(pid).unwrap_or_default();
        pids.extend(children.into_iter().filter(|&child| known.insert(child)));
        next += 1;
    }
    pids.into_iter().filter_map(Process::read).filter(Process::is_alive).collect()
}

/// Those that were not known before.
fn news(mut found: Vec<Process>, known: &mut BTreeSet<i32>) -> Vec<Process> {
    found.retain(|process| known.insert(process.pid));
    found
}

fn signal_group(group: i32, signal: Signal, report: &mut impl FnMut(UnixNotice)) {
    report_sending(signal, Target::Group(group), signal.send_to_group(group), report);
}

fn signal_all(signal: Signal, report: &mut impl FnMut(UnixNotice)) {
    report_sending(signal, Target::All, signal.send_to_all(), report);
}

fn report_sending(signal: Signal, target: Target, result: Result<(), Errno>, report: &mut impl FnMut(UnixNotice)) {
    report(match result {
        Ok(()) => UnixNotice::Signalled { signal, target },
        Err(error) => UnixNotice::SignalFailed { signal, target, error: error.into() },
    });
}

/// A stopped process does not see a signal until it goes on.
fn wake(processes: &[Process], report: &mut impl FnMut(UnixNotice)) {
    for process in processes.iter().filter(|process| process.is_stopped()) {
        if try_signal(process, Signal::CONT, report) {
            report(UnixNotice::Signalled { signal: Signal::CONT, target: Target::Process(process.named()) });
        }
    }
}

fn signal_leftovers(processes: &[Process], signal: Signal, report: &mut impl FnMut(UnixNotice)) {
    let reached: Vec<Named> =
        processes.iter().filter(|process| try_signal(process, signal, report)).map(Process::named).collect();
    if !reached.is_empty() {
        report(UnixNotice::Signalled { signal, target: Target::Leftovers(reached) });
    }
}

/// Whether the process got the signal. That it is gone is nothing to tell.
fn try_signal(process: &Process, signal: Signal, report: &mut impl FnMut(UnixNotice)) -> bool {
    match process.signal(signal) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => {
            report(UnixNotice::SignalFailed { signal, target: Target::Process(process.named()), error });
            false
        }
    }
}
