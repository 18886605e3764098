//! What a hung tree was doing: taken from `/proc` before its first signal.

use super::Tree;
use super::process::{Process, ProcessId};
use crate::clock::SystemClock;
use crate::linux::read_proc;
use crate::notice::{ProcessSnapshot, Rest, UnixNotice};
use rustix::param::clock_ticks_per_second;
use rustix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;
use std::time::Duration;
use supervisor_core::Instant;

/// Processes that are told one by one.
const MOST_TOLD: usize = 50;
/// For each sample so many times its length goes by without one.
const THRIFT: u32 = 100;

/// How much CPU each process had used at a moment.
struct Sample {
    at: Instant,
    ticks: BTreeMap<ProcessId, u64>,
}

/// Remembers how much CPU had been used when heartbeats were found.
pub(crate) struct CpuSampler {
    /// The last two, the older one first: a look finds a heartbeat that is older than the look itself, so that the
    /// sample taken then does not cover the whole silence since.
    samples: [Option<Sample>; 2],
    /// Heartbeats that are told are followed no closer than this allows.
    not_before: Instant,
}

impl CpuSampler {
    pub fn new() -> CpuSampler {
        CpuSampler { samples: [None, None], not_before: Instant::ORIGIN }
    }

    /// Another run begins.
    pub fn begin(&mut self) {
        self.samples = [None, None];
    }

    /// A heartbeat was found, or told. Samples what the tree has used, unless that was done very recently.
    pub fn sample(&mut self, tree: &Tree) {
        let begun = SystemClock::now();
        if begun < self.not_before {
            return;
        }
        let ticks = tree.seen().into_iter().map(|process| (process.id, process.cpu)).collect();
        self.samples = [self.samples[1].take(), Some(Sample { at: begun, ticks })];
        let now = SystemClock::now();
        self.not_before = now + (now - begun) * THRIFT;
    }

    /// Examines all that lives. CPU is that used since the last heartbeat at least.
    pub fn examine(&self, tree: &Tree, last_beat: Instant) -> UnixNotice {
        let sample = self.samples.iter().rev().flatten().find(|sample| sample.at <= last_beat);
        let all = tree.seen();
        let frozen = all.first().is_some_and(|first| crate::cgroup::is_frozen(first.id.pid));
        let (told, others) = all.split_at(all.len().min(MOST_TOLD));
        let processes = told.iter().map(|process| examine_one(process, sample)).collect();
        UnixNotice::Autopsy { processes, rest: sum_up(others, sample), frozen }
    }
}

fn sum_up(processes: &[Process], sample: Option<&Sample>) -> Option<Rest> {
    let rest = Rest {
        processes: processes.len(),
        running: processes.iter().filter(|process| process.state == 'R').count(),
        cpu: processes.iter().map(|process| used_since(process, sample).0).sum(),
    };
    (rest.processes > 0).then_some(rest)
}

fn examine_one(process: &Process, sample: Option<&Sample>) -> ProcessSnapshot {
    let (cpu, over) = used_since(process, sample);
    let wchan = read_proc(&format!("/proc/{}/wchan", process.id.pid)).unwrap_or_default();
    ProcessSnapshot {
        process: process.named(),
        parent: process.parent,
        state: process.state,
        waits_in: if wchan == "0" { String::new() } else { wchan },
        cpu,
        over,
        threads: process.threads,
        tracer: process.is_traced().then(|| tracer_of(process.id.pid)).flatten(),
    }
}

/// How much CPU a process used, and in how long a time: since the sample, or since its own start.
fn used_since(process: &Process, sample: Option<&Sample>) -> (Duration, Duration) {
    let known = sample.and_then(|sample| {
        let before = sample.ticks.get(&process.id)?;
        Some((*before, SystemClock::now() - sample.at))
    });
    let (before, over) = known.unwrap_or_else(|| (0, age(process)));
    (from_ticks(process.cpu.saturating_sub(before)), over)
}

/// The debugger of a process: `TracerPid` in proc_pid_status(5).
fn tracer_of(pid: i32) -> Option<i32> {
    let status = read_proc(&format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("TracerPid:"))?;
    line.trim().parse().ok().filter(|tracer| *tracer != 0)
}

fn age(process: &Process) -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    let now = Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32);
    now.saturating_sub(from_ticks(process.id.start_time))
}

fn from_ticks(ticks: u64) -> Duration {
    Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keeper::Company;
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};

    fn process(state: char, cpu: u64) -> Process {
        let own = Process::read(std::process::id().cast_signed()).unwrap();
        Process { state, cpu, ..own }
    }

    fn sample(process: &Process, ticks: u64) -> Sample {
        Sample { at: SystemClock::now(), ticks: BTreeMap::from([(process.id, ticks)]) }
    }

    fn ticks(number: u64) -> Duration {
        Duration::from_secs(number) / clock_ticks_per_second() as u32
    }

    #[test]
    fn cpu_is_counted_from_the_sample_or_from_the_start() {
        let busy = process('R', 50);
        let (cpu, over) = used_since(&busy, Some(&sample(&busy, 20)));
        assert_eq!(cpu, ticks(30));
        let (whole, life) = used_since(&busy, None);
        assert!(whole == ticks(50) && over < life, "{over:?} {life:?}");
        let other = Process { id: ProcessId { start_time: busy.id.start_time + 1, ..busy.id }, ..busy.clone() };
        assert_eq!(used_since(&other, Some(&sample(&busy, 20))).0, ticks(50));
        assert_eq!(used_since(&busy, Some(&sample(&busy, 60))).0, Duration::ZERO);
    }

    #[test]
    fn those_that_are_not_told_one_by_one_are_summed_up() {
        assert_eq!(sum_up(&[], None), None);
        let rest = sum_up(&[process('R', 30), process('S', 20)], None).unwrap();
        assert_eq!((rest.processes, rest.running, rest.cpu), (2, 1, ticks(50)));
    }

    #[test]
    fn an_age_is_the_time_since_the_start() {
        let child = Command::new("sleep").arg("1000").spawn();
        let mut child = child.unwrap();
        let young = age(&Process::read(child.id().cast_signed()).unwrap());
        assert!(young < Duration::from_secs(60), "{young:?}");
        assert!(age(&Process { id: ProcessId { pid: 1, start_time: 0 }, ..process('S', 0) }) > young);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn of_many_the_rest_is_summed_up() {
        assert_eq!(sum_up(&[], None), None);
        let rest = sum_up(&[process('R', 5), process('S', 7)], None);
        assert_eq!(rest, Some(Rest { processes: 2, running: 1, cpu: ticks(5) + ticks(7) }));
    }

    #[test]
    fn only_what_is_stopped_by_a_debugger_has_a_tracer() {
        let own = std::process::id().cast_signed();
        assert_eq!((tracer_of(own), tracer_of(i32::MAX)), (None, None));
        assert_eq!(examine_one(&process('S', 1), None).tracer, None);
        let told = examine_one(&process('S', 50), None);
        assert_eq!((told.process.pid, told.state, told.cpu), (own, 'S', ticks(50)));
        assert_ne!(told.waits_in, "0");
    }

    #[test]
    fn an_autopsy_covers_the_silence() {
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 1000 & echo; read end; kill $!"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
        let (mut tree, _) = Tree::new(Company::Alone);
        tree.begin(shell.id().cast_signed());
        let mut sampler = CpuSampler::new();
        sampler.begin();
        let over = |sampler: &CpuSampler, last_beat| match sampler.examine(&tree, last_beat) {
            UnixNotice::Autopsy { processes, rest: None, frozen: false } if processes.len() == 1 => processes[0].over,
            other => panic!("{other:?}"),
        };
        let before = SystemClock::now();
        sampler.sample(&tree);
        let first = sampler.samples[1].as_ref().unwrap().at;
        assert!(first >= before && sampler.not_before > first);
        sampler.sample(&tree);
        assert!(sampler.samples[0].is_none(), "soon after the other there is none");
        sampler.not_before = Instant::ORIGIN;
        sampler.sample(&tree);
        assert_eq!(sampler.samples[0].as_ref().unwrap().at, first);
        let second = sampler.samples[1].as_ref().unwrap().at;
        // The heartbeat is older than the second sample, and no older than the first.
        let covered = over(&sampler, first);
        assert!(covered >= second - first && covered <= SystemClock::now() - first);
        assert!(over(&sampler, SystemClock::now()) <= SystemClock::now() - second);
        sampler.begin();
        assert!(sampler.samples.iter().all(Option::is_none));
        shell.stdin.take().unwrap().write_all(b"\n").unwrap();
        shell.wait().unwrap();
    }
}
