//! What the kernel tells of the processes below this one.

use rustix::process::{Pid, Signal, WaitOptions, kill_process, set_child_subreaper, wait, waitpid};
use std::collections::HashMap;
use std::path::PathBuf;
use std::{fs, io};

/// From now on every orphan below this process becomes its child, so that daemons are found as well.
///
/// # Errors
/// Those of prctl(2).
pub fn adopt() -> io::Result<()> {
    Ok(set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// A process as proc_pid_stat(5) shows it, without the kernel's list of children, which not every kernel has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    pub parent: i32,
    pub name: String,
    pub state: char,
}

impl Process {
    /// None if it is gone, or cannot be seen.
    pub fn find(pid: i32) -> Option<Process> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (head, fields) = stat.rsplit_once(") ")?;
        let (_, name) = head.split_once('(')?;
        let mut fields = fields.split(' ');
        let state = fields.next()?.chars().next()?;
        Some(Process { pid, parent: fields.next()?.parse().ok()?, name: name.to_owned(), state })
    }

    /// Whether it has ended, and waits to be reaped.
    pub fn is_dead(&self) -> bool {
        self.state == 'Z'
    }
}

/// All processes of the machine.
pub fn table() -> Vec<Process> {
    all().filter_map(Process::find).collect()
}

/// All that live below this process.
pub fn below() -> Vec<i32> {
    below_without(&[])
}

/// The same, without some children and what lives below them.
pub fn below_without(others: &[i32]) -> Vec<i32> {
    let own = std::process::id() as i32;
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for process in table().into_iter().filter(|process| !process.is_dead() && !others.contains(&process.pid)) {
        children.entry(process.parent).or_default().push(process.pid);
    }
    let mut found = children.remove(&own).unwrap_or_default();
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        found.extend(children.remove(pid).unwrap_or_default());
        next += 1;
    }
    found
}

/// Reaps the children that have ended, but for those that others wait for.
pub fn reap_all_but(others: &[i32]) {
    let own = std::process::id() as i32;
    let dead = table().into_iter().filter(|process| process.parent == own && process.is_dead());
    for process in dead.filter(|process| !others.contains(&process.pid)) {
        let _ = waitpid(Pid::from_raw(process.pid), WaitOptions::NOHANG);
    }
}

/// The children of this process.
pub fn children() -> Vec<i32> {
    let own = std::process::id() as i32;
    let is_child = |process: &Process| process.parent == own && !process.is_dead();
    table().into_iter().filter(is_child).map(|process| process.pid).collect()
}

/// Kills all below this process, and reaps them.
pub fn clear() {
    loop {
        let below = below();
        if below.is_empty() {
            return;
        }
        below.into_iter().for_each(|pid| send(pid, Signal::KILL));
        // One at least is to be reaped, as all are killed.
        let _ = wait(WaitOptions::empty());
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
    }
}

/// To a process that may be gone.
pub fn send(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, signal);
    }
}

/// The numbers of all processes of the machine.
pub fn all() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Kibibytes of memory: proc_pid_smaps(5).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Memory {
    /// Written to by this process alone.
    pub private_dirty: f64,
    /// What it uses alone, and its share of what it shares.
    pub pss: f64,
}

/// What these processes take together.
pub fn memory(pids: &[i32]) -> Memory {
    pids.iter().fold(Memory::default(), |sum, pid| {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let row = |name| number_after(&rollup, name);
        Memory { private_dirty: sum.private_dirty + row("Private_Dirty:"), pss: sum.pss + row("Pss:") }
    })
}

/// How often the kernel has let threads of these processes go on, since their start.
pub fn context_switches(pids: &[i32]) -> f64 {
    let threads = pids.iter().flat_map(|pid| threads(*pid));
    threads
        .map(|thread| {
            let status = fs::read_to_string(thread.join("status")).unwrap_or_default();
            number_after(&status, "\nvoluntary_ctxt_switches:") + number_after(&status, "nonvoluntary_ctxt_switches:")
        })
        .sum()
}

/// Seconds that these processes have worked.
pub fn cpu_seconds(pids: &[i32]) -> f64 {
    let threads = pids.iter().flat_map(|pid| threads(*pid));
    threads
        .map(|thread| {
            let schedstat = fs::read_to_string(thread.join("schedstat")).unwrap_or_default();
            schedstat.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok()).unwrap_or_default() / 1e9
        })
        .sum()
}

/// The threads of a process, as folders below /proc.
pub fn threads(pid: i32) -> Vec<PathBuf> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    tasks.into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn number_after(text: &str, name: &str) -> f64 {
    let rest = text.split_once(name).map(|(_, rest)| rest);
    let number = rest.and_then(|rest| rest.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or_default()
}
