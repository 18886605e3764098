//! `cargo xtask chaos`: real supervisors of real commands, and faults at random. It ends with an account of everything.

use crate::replay;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{fs, io};

/// How long, how many, and which chaos.
#[derive(clap::Args)]
pub struct Options {
    /// How long faults are injected
    #[arg(long, default_value_t = 0.25, value_parser = minutes)]
    minutes: f64,
    /// Decides which faults come, and what the commands do. The machine's own timing is never the same
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many supervisors work side by side
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u8).range(1..=100))]
    supervisors: u8,
}

fn minutes(text: &str) -> Result<f64, String> {
    let minutes = text.parse().ok().filter(|minutes| (0.01..=1440.0).contains(minutes));
    minutes.ok_or_else(|| "give a number of minutes from 0.01 to 1440".to_owned())
}

/// Longer than any end takes here on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two faults, at most.
const PAUSE: u64 = 150;

/// What is done to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    KillCommand,
    StopCommand,
    PauseSupervisor,
    KillGuard,
    StopGuard,
    KillSupervisor,
    StopSupervisor,
    InterruptSupervisor,
    FloodOfSignals,
    DenyDescriptors,
    RemoveHeartbeat,
    HeartbeatFolder,
}

const FAULTS: [Fault; 12] = [
    Fault::KillCommand,
    Fault::StopCommand,
    Fault::PauseSupervisor,
    Fault::KillGuard,
    Fault::StopGuard,
    Fault::KillSupervisor,
    Fault::StopSupervisor,
    Fault::InterruptSupervisor,
    Fault::FloodOfSignals,
    Fault::DenyDescriptors,
    Fault::RemoveHeartbeat,
    Fault::HeartbeatFolder,
];

/// What it all came to.
#[derive(Default)]
struct Account {
    injected: BTreeMap<Fault, u64>,
    lives: u64,
    starts: u64,
    ends: u64,
    hangs: u64,
    facts: usize,
    failures: Vec<String>,
}

/// Injects faults, and accounts for all.
pub fn run(options: Options) -> ExitCode {
    match play(&options) {
        Ok(account) => {
            println!("{}", account.summary());
            if account.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn play(options: &Options) -> io::Result<Account> {
    let mut dice = fastrand::Rng::with_seed(options.seed);
    let folder = tempfile::tempdir()?;
    let mut account = Account::default();
    let mut places = Vec::new();
    for number in 0..options.supervisors {
        places.push(Life::begin(folder.path().join(number.to_string()), dice.u64(..), &mut account)?);
    }
    let end = Instant::now() + Duration::from_secs_f64(options.minutes * 60.0);
    while Instant::now() < end {
        std::thread::sleep(Duration::from_millis(dice.u64(0..PAUSE)));
        let place = dice.usize(..places.len());
        let fault = FAULTS[dice.usize(..FAULTS.len())];
        *account.injected.entry(fault).or_default() += 1;
        let Some(last) = places[place].suffer(fault, &mut dice) else { continue };
        let life = places.swap_remove(place);
        let home = life.home.clone();
        life.settle(last, &mut account)?;
        places.push(Life::begin(home, dice.u64(..), &mut account)?);
    }
    for life in places {
        life.settle(Last::Asked(Signal::TERM), &mut account)?;
    }
    Ok(account)
}

/// One supervisor, from its start to its end.
struct Life {
    home: PathBuf,
    /// In the environment of everything that it starts.
    marker: String,
    supervisor: Child,
    descriptors: usize,
    /// What it has suffered.
    faults: Vec<Fault>,
}

/// Why it ends.
#[derive(Clone, Copy)]
enum Last {
    Killed,
    Asked(Signal),
}

impl Life {
    fn begin(home: PathBuf, seed: u64, account: &mut Account) -> io::Result<Life> {
        account.lives += 1;
        let _ = fs::remove_dir_all(&home);
        fs::create_dir(&home)?;
        let binaries = std::env::current_exe()?.parent().map(Path::to_owned).unwrap_or_default();
        let marker = format!("CHAOS={}-{}", home.display(), account.lives);
        let (name, value) = marker.split_once('=').unwrap_or_default();
        let options = "--log-format json --timeout 0.7 --grace-period 0.3 --backoff-factor 0.02 --max-backoff 0.2 \
                       --reset-after 0.5 --status-file status";
        let supervisor = Command::new(binaries.join("supervisor"))
            .args(options.split_whitespace())
            .arg(binaries.join("restless"))
            .arg(seed.to_string())
            .env(name, value)
            .current_dir(&home)
            .stdin(Stdio::null())
            .stderr(fs::File::create(home.join("log"))?)
            .spawn()?;
        let mut life = Life { home, marker, supervisor, descriptors: 0, faults: Vec::new() };
        wait_until(|| life.status()["run"].is_u64() && life.log().iter().any(|record| record["event"] == "started"));
        life.descriptors = life.count_descriptors();
        Ok(life)
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.supervisor)
    }

    fn status(&self) -> Value {
        let text = fs::read_to_string(self.home.join("status")).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    fn command(&self) -> Option<Pid> {
        Pid::from_raw(self.status()["pid"].as_i64()? as i32)
    }

    fn guard(&self) -> Option<Pid> {
        let pid = self.supervisor.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        let children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
        // One that was killed and is not reaped yet guards nothing.
        let is_guard = |pid: &i32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.contains("(guard) ") && !stat.contains("(guard) Z")
        };
        children.into_iter().find(is_guard).and_then(Pid::from_raw)
    }

    fn count_descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.supervisor.id())).map_or(0, Iterator::count)
    }

    /// Lets a fault happen; tells if it is the last one of this life.
    fn suffer(&mut self, fault: Fault, dice: &mut fastrand::Rng) -> Option<Last> {
        let own = self.pid();
        self.faults.push(fault);
        match fault {
            Fault::KillCommand => signal(self.command(), Signal::KILL),
            Fault::StopCommand => signal(self.command(), Signal::STOP),
            Fault::PauseSupervisor => {
                signal(Some(own), Signal::STOP);
                std::thread::sleep(Duration::from_millis(dice.u64(0..1500)));
                signal(Some(own), Signal::CONT);
            }
            Fault::KillGuard => signal(self.guard(), Signal::KILL),
            Fault::StopGuard => signal(self.guard(), Signal::STOP),
            Fault::KillSupervisor => {
                // Both killed at once is more than is promised: one that was killed is replaced first.
                wait_until(|| self.guard().is_some());
                return Some(Last::Killed);
            }
            Fault::StopSupervisor => return Some(Last::Asked(Signal::TERM)),
            Fault::InterruptSupervisor => return Some(Last::Asked(Signal::INT)),
            Fault::FloodOfSignals => {
                let kinds = [Signal::USR1, Signal::WINCH, Signal::CHILD, Signal::URG];
                (0..200).for_each(|_| signal(Some(own), kinds[dice.usize(..kinds.len())]));
            }
            Fault::DenyDescriptors => {
                let few = Rlimit { current: Some(dice.u64(3..8)), maximum: Some(1024) };
                let many = Rlimit { current: Some(1024), maximum: Some(1024) };
                let _ = prlimit(Some(own), Resource::Nofile, few);
                std::thread::sleep(Duration::from_millis(dice.u64(0..400)));
                let _ = prlimit(Some(own), Resource::Nofile, many);
            }
            Fault::RemoveHeartbeat => drop(fs::remove_file(self.home.join("heartbeat.txt"))),
            Fault::HeartbeatFolder => {
                let path = self.home.join("heartbeat.txt");
                let _ = fs::remove_file(&path);
                let _ = fs::create_dir(&path);
                std::thread::sleep(Duration::from_millis(dice.u64(0..300)));
                let _ = fs::remove_dir(&path);
            }
        }
        None
    }

    fn log(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.home.join("log")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Ends it, and holds it to account.
    fn settle(mut self, last: Last, account: &mut Account) -> io::Result<()> {
        let mut fail = |words: String| account.failures.push(format!("{}: {words}", self.marker));
        let last_signal = match last {
            Last::Killed => Signal::KILL,
            Last::Asked(signal) => signal,
        };
        if let Some(status) = self.supervisor.try_wait()? {
            fail(format!("the supervisor has ended by itself: {status}"));
        }
        // Descriptors of a start that is under way are closed soon.
        let most = self.descriptors;
        if !wait_until(|| self.count_descriptors() <= most) && self.supervisor.try_wait()?.is_none() {
            fail(format!("descriptors have leaked: {} instead of {most}", self.count_descriptors()));
        }
        signal(Some(self.pid()), last_signal);
        let mut status = None;
        wait_until(|| {
            status = self.supervisor.try_wait().ok().flatten();
            status.is_some()
        });
        match (status, last) {
            (None, _) => fail("the supervisor does not end".to_owned()),
            (Some(status), Last::Asked(_)) if !is_stop(status) => {
                fail(format!("asked to stop, it ended with {status}"))
            }
            (Some(_), _) => {}
        }
        let mut left = Vec::new();
        // Who is killed leaves its guard a moment; who was asked leaves nothing.
        let gone = || {
            left = self.left();
            left.is_empty()
        };
        if !wait_until(gone) {
            let told: Vec<_> = left.iter().map(|pid| describe(*pid)).collect();
            fail(format!("processes are left after {:?}: {told:?}", self.faults));
            left.into_iter().for_each(|pid| signal(Pid::from_raw(pid), Signal::KILL));
        }
        self.audit(last, account);
        Ok(())
    }

    /// Reads the log: each start has its end, and the machine would decide the same again.
    fn audit(&self, last: Last, account: &mut Account) {
        let log = self.log();
        let count = |event: &str| log.iter().filter(|record| record["event"] == event).count() as u64;
        let (starts, ends) = (count("started"), count("exited"));
        account.starts += starts;
        account.ends += ends;
        account.hangs += count("hung");
        let mut fail = |words: String| account.failures.push(format!("{}: {words}", self.marker));
        match last {
            Last::Asked(_) if starts != ends => fail(format!("{starts} starts, and {ends} ends")),
            // The last end is told by nobody, and the last lines were perhaps not written.
            Last::Killed => account.ends += starts.saturating_sub(ends),
            Last::Asked(_) => {}
        }
        let text = fs::read_to_string(self.home.join("log")).unwrap_or_default();
        if text.contains("panicked") {
            fail("it panicked".to_owned());
        }
        match replay::replay(&text) {
            Ok(replay) => account.facts += replay.facts,
            Err(message) => fail(format!("the replay differs: {message}")),
        }
    }

    /// All processes of this life.
    fn left(&self) -> Vec<i32> {
        let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let is_ours = |pid: &i32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == self.marker.as_bytes())
        };
        pids.filter(is_ours).collect()
    }
}

/// A process, its name and state.
fn describe(pid: i32) -> String {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.split_whitespace().take(4).collect::<Vec<_>>().join(" ")
}

/// To a process that may be gone.
fn signal(pid: Option<Pid>, signal: Signal) {
    if let Some(pid) = pid {
        let _ = kill_process(pid, signal);
    }
}

/// Asked to stop: in time, or with its command killed.
fn is_stop(status: ExitStatus) -> bool {
    matches!(status.code(), Some(0 | 137))
}

fn wait_until(mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

impl Account {
    fn summary(&self) -> String {
        let faults: u64 = self.injected.values().sum();
        let kinds: Vec<_> = self.injected.iter().map(|(fault, times)| format!("{fault:?} {times}")).collect();
        let lost = self.failures.len() as u64;
        let mut lines = vec![
            format!("faults injected     {faults}: {}", kinds.join(", ")),
            format!("supervisors         {}", self.lives),
            format!("starts, ends        {}, {} ({} hangs)", self.starts, self.ends, self.hangs),
            format!("decisions replayed  {} facts", self.facts),
            format!("survived, lost      {}, {lost}", faults.saturating_sub(lost)),
        ];
        lines.extend(self.failures.iter().map(|failure| format!("FAILED  {failure}")));
        lines.join("\n")
    }
}
