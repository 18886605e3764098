//! What is measured of this supervisor alone, since no peer does it.

use super::measure::{Effort, median, millis};
use super::rig::{PATIENCE, Rig};
use super::workload::{Behaviour, Kind};
use crate::processes;
use crate::workspace;
use rustix::time::{ClockId, clock_getres, clock_gettime};
use serde_json::Value;
use std::io::BufRead;
use std::path::Path;
use std::time::Duration;
use std::{fs, io, thread};

/// How late something comes after the deadline of a hang, in milliseconds; negative is early.
pub struct Lateness {
    pub count: usize,
    pub least: f64,
    pub median: f64,
    pub most: f64,
}

impl Lateness {
    fn of(samples: &mut [f64]) -> Lateness {
        let median = median(samples).unwrap_or_default();
        let (least, most) = (samples.first().copied(), samples.last().copied());
        Lateness { count: samples.len(), least: least.unwrap_or_default(), median, most: most.unwrap_or_default() }
    }
}

/// Hangs that were brought about.
pub struct Hangs {
    /// The line of the log that tells of the decision was read.
    pub decided: Lateness,
    /// The command has the signal, after the autopsy.
    pub asked: Lateness,
}

/// By what the command tells that it is alive.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Means {
    File,
    Notify,
}

/// Hangs that are brought about one after another, each a heartbeat at another moment and nothing after it.
pub fn hangs(rig: &mut Rig, program: &Path, means: Means, count: usize) -> io::Result<Hangs> {
    const TIMEOUT: Duration = Duration::from_millis(200);
    let (option, behaviour) = match means {
        Means::File => ("", Behaviour::Hang),
        Means::Notify => ("--notify", Behaviour::HangNotify),
    };
    let options = format!("--timeout 0.2 --backoff-factor 0 {option}");
    let mut log = rig.supervise_heard(program, &options, behaviour)?;
    let (mut decided, mut asked) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let beat = rig.records.expect(Kind::Beat, 1, PATIENCE)?[0].at;
        let late = |at: Duration| millis(at.saturating_sub(beat)) - millis(TIMEOUT);
        decided.push(late(told(&mut log)?));
        asked.push(late(rig.records.expect(Kind::Asked, 1, PATIENCE)?[0].at));
    }
    rig.clear();
    Ok(Hangs { decided: Lateness::of(&mut decided), asked: Lateness::of(&mut asked) })
}

/// Waits for the line that tells of a hang; when it was read, by CLOCK_MONOTONIC.
fn told(log: &mut impl BufRead) -> io::Result<Duration> {
    let mut line = String::new();
    while !line.contains(" hung: ") {
        line.clear();
        if log.read_line(&mut line)? == 0 {
            return Err(io::Error::other("the log ended before a hang was told"));
        }
    }
    let now = clock_gettime(ClockId::Monotonic);
    Ok(Duration::new(now.tv_sec as u64, now.tv_nsec as u32))
}

/// A tick of the kernel's coarse clock, which stamps files, in milliseconds.
pub fn tick() -> f64 {
    let resolution = clock_getres(ClockId::RealtimeCoarse);
    millis(Duration::new(resolution.tv_sec as u64, resolution.tv_nsec as u32))
}

/// What a command costs that beats a thousand times a second.
pub struct Beating {
    /// Context switches a second.
    pub switches: f64,
    /// Milliseconds of CPU in each timeout.
    pub cpu: f64,
}

/// The timeout is two seconds.
pub fn beating(rig: &mut Rig, program: &Path, effort: Effort) -> io::Result<Beating> {
    const TIMEOUT: f64 = 2.0;
    rig.supervise(program, "--timeout 2", Behaviour::Beat, 0)?;
    let started = rig.records.expect(Kind::Start, 1, PATIENCE)?;
    let pids = rig.at_rest(&started);
    let (switches, cpu) = (processes::context_switches(&pids), processes::cpu_seconds(&pids));
    let window = effort.window * 4;
    thread::sleep(window);
    let seconds = window.as_secs_f64();
    let beating = Beating {
        switches: (processes::context_switches(&pids) - switches) / seconds,
        cpu: (processes::cpu_seconds(&pids) - cpu) * 1e3 / seconds * TIMEOUT,
    };
    rig.clear();
    Ok(beating)
}

/// What one walk through /proc costs here, in milliseconds of CPU.
pub fn walk() -> f64 {
    let mut samples: Vec<f64> = (0..50)
        .map(|_| {
            let before = clock_gettime(ClockId::ThreadCPUTime);
            processes::all().for_each(|pid| drop(fs::read(format!("/proc/{pid}/stat"))));
            let after = clock_gettime(ClockId::ThreadCPUTime);
            (after.tv_sec - before.tv_sec) as f64 * 1e3 + (after.tv_nsec - before.tv_nsec) as f64 / 1e6
        })
        .collect();
    median(&mut samples).unwrap_or_default()
}

/// The machine by itself; see xtask/examples/machine.rs, which is built for release.
pub struct Machine {
    /// Nanoseconds of one `handle_event`.
    pub event: f64,
    pub allocations: f64,
    /// Events a second of the whole simulation.
    pub simulation: f64,
}

/// # Errors
/// It does not build.
pub fn machine() -> io::Result<Machine> {
    let mut example = workspace::cargo();
    example.args(["run", "--quiet", "--release", "--locked", "-p", "xtask", "--example", "machine"]);
    let figures: Value = serde_json::from_str(&workspace::output(&mut example)?)?;
    let figure = |name: &str| figures[name].as_f64().unwrap_or(f64::NAN);
    Ok(Machine {
        event: figure("handle_event_ns"),
        allocations: figure("allocations"),
        simulation: figure("events_per_second"),
    })
}
