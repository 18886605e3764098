//! What a hung tree was doing: taken from `/proc` before its first signal.

use crate::notice::Named;
use std::time::Duration;

/// One process of a hung tree.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ProcessSnapshot {
    /// Which.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub process: Named,
    /// Its parent.
    pub parent: i32,
    /// R, S, D, T, ...: proc_pid_stat(5).
    pub state: char,
    /// The function of the kernel in which its first thread waits, empty if it does not, or may not be known:
    /// proc_pid_wchan(5).
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "String::is_empty"))]
    pub waits_in: String,
    /// How much CPU it used ...
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::notice::in_seconds"))]
    pub cpu: Duration,
    /// ... in so long a time, which covers the whole silence.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::notice::in_seconds"))]
    pub over: Duration,
    /// How many it has.
    pub threads: u32,
    /// The debugger that traces it, if one does.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub tracer: Option<i32>,
}

/// The processes of a very large tree that are not told one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Rest {
    /// How many there are.
    pub processes: usize,
    /// How many of them run or want to: state R.
    pub running: usize,
    /// How much CPU all of them used.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::notice::in_seconds"))]
    pub cpu: Duration,
}

/// How much CPU each process had used when a look was made.
struct Usage {
    at: Instant,
    /// By pid and start.
    ticks: BTreeMap<(i32, u64), u64>,
}

/// Remembers how much CPU had been used at the last heartbeat.
pub(crate) struct Examiner {
    looked: Option<Usage>,
    alive: Option<Usage>,
    /// Told heartbeats are followed no closer than this allows.
    not_before: Instant,
}

/// For each measurement so many times its length goes by without one.
const THRIFT: u32 = 100;

impl Examiner {
    pub fn new() -> Examiner {
        Examiner { looked: None, alive: None, not_before: Instant::now() }
    }

    /// Another run begins.
    pub fn begin(&mut self) {
        *self = Examiner::new();
    }

    /// A look is made.
    pub fn look(&mut self, tree: &Tree) {
        let ticks = tree.descendants().into_iter().map(|process| ((process.pid, process.start_time), process.cpu));
        self.looked = Some(Usage { at: Instant::now(), ticks: ticks.collect() });
    }

    /// That look found a heartbeat.
    pub fn found(&mut self) {
        self.alive = self.looked.take();
    }

    /// The command tells of a heartbeat, perhaps very often.
    pub fn told(&mut self, tree: &Tree) {
        let begun = Instant::now();
        if begun >= self.not_before {
            self.look(tree);
            self.found();
            self.not_before = begun + begun.elapsed() * THRIFT;
        }
    }

    /// Examines all that lives.
    pub fn examine(&self, tree: &Tree) -> Vec<Examined> {
        tree.descendants().into_iter().map(|process| self.examine_one(process)).collect()
    }

    fn examine_one(&self, process: Process) -> Examined {
        let known = self.alive.as_ref().and_then(|usage| {
            let ticks = usage.ticks.get(&(process.pid, process.start_time))?;
            Some((*ticks, usage.at.elapsed()))
        });
        let (before, over) = known.unwrap_or_else(|| (0, age(&process)));
        let wchan = read_proc(&format!("/proc/{}/wchan", process.pid)).unwrap_or_default();
        Examined {
            parent: process.parent,
            state: process.state,
            waits_in: if wchan == "0" { String::new() } else { wchan },
            cpu: from_ticks(process.cpu.saturating_sub(before)),
            over,
            threads: process.threads,
            process: Named { pid: process.pid, name: process.name },
        }
    }
}

fn age(process: &Process) -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    let now = Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32);
    now.saturating_sub(from_ticks(process.start_time))
}

fn from_ticks(ticks: u64) -> Duration {
    Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64)
}
