//! What is measured of every subject alike.

use super::rig::{PATIENCE, Rig, Subject};
use super::workload::{Behaviour, Kind, Record};
use crate::processes;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, io, thread};

/// What all are compared by. Times are in milliseconds, memory in kibibytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    Start,
    Restart,
    PrivateDirty,
    Further,
    Processes,
    Threads,
    Switches,
    TreeGone,
    Size,
}

impl Metric {
    pub const ALL: [Metric; 9] = [
        Metric::Start,
        Metric::Restart,
        Metric::PrivateDirty,
        Metric::Further,
        Metric::Processes,
        Metric::Threads,
        Metric::Switches,
        Metric::TreeGone,
        Metric::Size,
    ];

    pub fn title(self) -> &'static str {
        match self {
            Metric::Start => "start",
            Metric::Restart => "restart",
            Metric::PrivateDirty => "private dirty memory",
            Metric::Further => "each further one, PSS",
            Metric::Processes => "processes",
            Metric::Threads => "threads",
            Metric::Switches => "context switches, idle",
            Metric::TreeGone => "SIGKILL to tree gone",
            Metric::Size => "program file",
        }
    }

    pub fn unit(self) -> &'static str {
        match self {
            Metric::Start | Metric::Restart | Metric::TreeGone => "ms",
            Metric::PrivateDirty | Metric::Further | Metric::Size => "KiB",
            Metric::Processes | Metric::Threads => "",
            Metric::Switches => "/s",
        }
    }
}

/// How thoroughly.
#[derive(Clone, Copy)]
pub struct Effort {
    /// How often each subject has its turn.
    pub rounds: usize,
    /// How long is watched what goes on by itself.
    pub window: Duration,
    /// Supervisors side by side, and twice as many.
    pub instances: usize,
    /// Hangs that are brought about.
    pub hangs: usize,
}

/// Executing the supervisor to the command's first instruction, in milliseconds.
pub fn start(rig: &mut Rig, subject: &Subject) -> io::Result<f64> {
    rig.start(subject, Behaviour::Idle)?;
    let exec = rig.records.expect(Kind::Exec, 1, PATIENCE)?[0];
    let start = rig.records.expect(Kind::Start, 1, PATIENCE)?[0];
    rig.clear();
    Ok(millis(start.at.saturating_sub(exec.at)))
}

/// One start of a command that crashes at once to the next, in milliseconds, as often as it comes in a window.
pub fn restarts(rig: &mut Rig, subject: &Subject, window: Duration) -> io::Result<Vec<f64>> {
    rig.start(subject, Behaviour::Crash)?;
    rig.records.expect(Kind::Start, 2, PATIENCE)?;
    // Only now and then does this process take part, so that it disturbs nothing.
    thread::sleep(window);
    let starts = rig.records.drain();
    rig.clear();
    Ok(starts.windows(2).map(|pair| millis(pair[1].at.saturating_sub(pair[0].at))).collect())
}

/// What it takes when nothing happens.
pub struct Idle {
    pub private_dirty: f64,
    pub processes: f64,
    pub threads: f64,
    /// A second.
    pub switches: f64,
}

/// A command that does nothing, for a window.
pub fn idle(rig: &mut Rig, subject: &Subject, window: Duration) -> io::Result<Idle> {
    rig.start(subject, Behaviour::Idle)?;
    let started = rig.records.expect(Kind::Start, 1, PATIENCE)?;
    let pids = rig.at_rest(&started);
    let before = processes::context_switches(&pids);
    thread::sleep(window);
    let idle = Idle {
        private_dirty: processes::memory(&pids).private_dirty,
        processes: pids.len() as f64,
        threads: pids.iter().map(|pid| processes::threads(*pid).len()).sum::<usize>() as f64,
        switches: (processes::context_switches(&pids) - before) / window.as_secs_f64(),
    };
    rig.clear();
    Ok(idle)
}

/// What one more takes where there are some already, in kibibytes of PSS.
pub fn further(rig: &mut Rig, subject: &Subject, instances: usize) -> io::Result<f64> {
    let mut started: Vec<Record> = Vec::new();
    let mut pss = [0.0; 2];
    for pss in &mut pss {
        for _ in 0..instances {
            rig.start(subject, Behaviour::Idle)?;
            started.extend(rig.records.expect(Kind::Start, 1, PATIENCE)?);
        }
        *pss = processes::memory(&rig.at_rest(&started)).pss;
    }
    rig.clear();
    Ok((pss[1] - pss[0]) / instances as f64)
}

/// SIGKILL of the supervisor to the end of the last of six processes, in milliseconds; none if they go on.
pub fn tree_gone(rig: &mut Rig, subject: &Subject) -> io::Result<Option<f64>> {
    const MEMBERS: usize = 6;
    const ENOUGH: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
    let nonblock = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let alive = OpenOptions::new().read(true).custom_flags(nonblock).open(rig.workloads.alive())?;
    rig.start(subject, Behaviour::Tree)?;
    let members = rig.records.expect(Kind::Start, MEMBERS, PATIENCE)?;
    settle();
    let is_member = |pid: &i32| members.iter().any(|record| record.pid == *pid);
    // A supervisor that became a daemon is this process's child as well by now.
    let supervisors: Vec<i32> = processes::children().into_iter().filter(|pid| !is_member(pid)).collect();
    let killed = Instant::now();
    supervisors.into_iter().for_each(|pid| processes::send(pid, Signal::KILL));
    // The kernel tells of a hangup once nobody has the FIFO open any more.
    let gone = poll(&mut [PollFd::new(&alive, PollFlags::empty())], Some(&ENOUGH))? > 0;
    let took = millis(killed.elapsed());
    rig.clear();
    Ok(gone.then_some(took))
}

/// The size of a program's file in kibibytes; none of a script, whose interpreter is what counts.
pub fn size(program: &Path) -> Option<f64> {
    let bytes = fs::read(program).ok().filter(|bytes| bytes.starts_with(b"\x7fELF"))?;
    Some(bytes.len() as f64 / 1024.0)
}

/// What was started has come to rest; nothing is decided by it.
pub fn settle() {
    thread::sleep(Duration::from_millis(500));
}

pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The middle one.
pub fn median(samples: &mut [f64]) -> Option<f64> {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied()
}
