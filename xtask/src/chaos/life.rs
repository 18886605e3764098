//! One supervisor, from its start to its end.

use super::account::Account;
use super::fault::{Blow, Deed, Fault, Target};
use super::place::Place;
use super::wait_until;
use crate::processes::{self, Process};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};
use std::time::Duration;
use std::{fs, io};

/// A hook that leaves a daemon behind, and a probe that succeeds now and then: its end must not depend on either.
const HOOK: &str = "#!/bin/sh\ncat > /dev/null\nsleep 1000 &\nsleep 0.02\n";
const PROBE: &str = "sh -c 'sleep 1000 & sleep 0.03; [ $(($$ % 4)) = 0 ]'";

/// It, what it has suffered, and what it had at its start.
pub struct Life {
    pub(super) place: Place,
    pub(super) supervisor: Child,
    pub(super) descriptors: usize,
    pub(super) faults: Vec<Fault>,
    pub(super) options: String,
}

/// How it ends.
#[derive(Clone, Copy, Debug)]
pub enum Last {
    Asked(Signal),
    Killed(Promise),
}

/// What must be gone once the supervisor was killed.
#[derive(Clone, Copy, Debug)]
pub enum Promise {
    /// Its keeper lived, and kept a command that could not end by itself: no process is left, and no file.
    All,
    /// No process is left. Files may be: it was perhaps killed between two runs, when there is no keeper.
    Processes,
    /// Its keeper was killed within the same moment: only the main process is sure to die.
    Main { pid: Option<i32> },
}

/// The pids behind the targets.
#[derive(Clone, Copy)]
struct Cast {
    supervisor: i32,
    keeper: Option<i32>,
    command: Option<i32>,
}

impl Cast {
    fn of(&self, target: Target) -> Option<i32> {
        match target {
            Target::Supervisor => Some(self.supervisor),
            Target::Keeper => self.keeper,
            Target::Command => self.command,
        }
    }

    fn strike(&self, blow: Blow) {
        let deed = match blow.deed {
            Deed::Kill => Signal::KILL,
            Deed::Stop => Signal::STOP,
        };
        self.of(blow.target).into_iter().for_each(|pid| signal(pid, deed));
    }
}

impl Life {
    /// Starts a supervisor, and waits until its command runs.
    pub fn begin(place: Place, dice: &mut fastrand::Rng, account: &mut Account) -> io::Result<Life> {
        account.lives += 1;
        place.clear()?;
        let mut options =
            "-v --log-format json --timeout 0.7 --grace-period 0.3 --backoff-factor 0.02 --max-backoff 0.2 \
             --reset-after 0.5 --status-file status --metrics-file metrics.prom --pid-file pid"
                .to_owned();
        let mut supervise = place.supervise();
        if dice.bool() {
            options += " --notify";
        }
        supervise.args(options.split_whitespace());
        if dice.u8(0..3) == 0 {
            let hook = place.home.join("hook");
            fs::write(&hook, HOOK)?;
            fs::set_permissions(&hook, PermissionsExt::from_mode(0o755))?;
            supervise.args(["--on-event", "./hook"]);
            options += " --on-event";
        }
        if dice.u8(0..3) == 0 {
            supervise.args(["--probe", PROBE]);
            options += " --probe";
        }
        supervise.arg("--").arg(place.command()).arg(dice.u32(..).to_string());
        for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "XDG_RUNTIME_DIR", "JOURNAL_STREAM", "RUST_LOG"] {
            supervise.env_remove(name);
        }
        let supervisor = supervise
            .env("TMPDIR", &place.temporary)
            .current_dir(&place.home)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(place.home.join("log"))?)
            .spawn()?;
        let mut life = Life { place, supervisor, descriptors: 0, faults: Vec::new(), options };
        if !wait_until(|| life.log().iter().any(|record| record["event"] == "started")) {
            account.failures.push(format!("{}: no start: {}", life.name(), life.text()));
        }
        life.descriptors = life.count_descriptors();
        Ok(life)
    }

    /// Its pid.
    pub fn supervisor(&self) -> i32 {
        self.supervisor.id() as i32
    }

    pub(super) fn name(&self) -> String {
        format!("{} (pid {},{})", self.place.home.display(), self.supervisor(), self.options)
    }

    pub(super) fn text(&self) -> String {
        fs::read_to_string(self.place.home.join("log")).unwrap_or_default()
    }

    pub(super) fn log(&self) -> Vec<Value> {
        self.text().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    pub(super) fn count_descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.supervisor())).map_or(0, Iterator::count)
    }

    /// Lets a fault happen; tells if it is the last one of this life.
    pub fn suffer(&mut self, fault: Fault, dice: &mut fastrand::Rng) -> Option<Last> {
        self.faults.push(fault);
        let own = self.supervisor();
        match fault {
            Fault::One(Blow { deed: Deed::Kill, target: Target::Supervisor }) => Some(Last::Killed(self.prepare(dice))),
            Fault::One(_) | Fault::Two { .. } => self.suffer_blows(fault, dice),
            Fault::Stop => Some(Last::Asked(Signal::TERM)),
            Fault::Interrupt => Some(Last::Asked(Signal::INT)),
            Fault::FloodOfSignals => {
                let kinds = [Signal::USR1, Signal::WINCH, Signal::CHILD, Signal::URG];
                (0..200).for_each(|_| signal(own, kinds[dice.usize(..kinds.len())]));
                None
            }
            Fault::DenyDescriptors => {
                self.deny("nofile", dice.u64(3..8), dice);
                None
            }
            Fault::DenyProcesses { more } => {
                if self.place.counts_processes() {
                    self.deny("nproc", processes::threads(own).len() as u64 + more, dice);
                }
                None
            }
            Fault::RemoveHeartbeat => {
                let _ = fs::remove_file(self.place.home.join("heartbeat.txt"));
                None
            }
            Fault::HeartbeatFolder => {
                let path = self.place.home.join("heartbeat.txt");
                let _ = fs::remove_file(&path);
                let _ = fs::create_dir(&path);
                std::thread::sleep(Duration::from_millis(dice.u64(0..300)));
                let _ = fs::remove_dir(&path);
                None
            }
        }
    }

    /// Nothing can be opened, or forked, for a while, in which the command is killed so that it has to start again.
    fn deny(&self, resource: &str, few: u64, dice: &mut fastrand::Rng) {
        self.place.limit(self.supervisor(), resource, &few.to_string());
        if dice.bool() {
            self.cast(dice).strike(Blow { deed: Deed::Kill, target: Target::Command });
        }
        std::thread::sleep(Duration::from_millis(dice.u64(0..400)));
        self.place.limit(self.supervisor(), resource, "1024");
    }

    fn suffer_blows(&self, fault: Fault, dice: &mut fastrand::Rng) -> Option<Last> {
        let blows = fault.blows();
        let has = |deed, target| blows.contains(&Blow { deed, target });
        let kills_supervisor = has(Deed::Kill, Target::Supervisor);
        if kills_supervisor {
            // Keepers that were killed before belong to another moment.
            self.settled();
        }
        let cast = self.cast(dice);
        for (place, blow) in blows.iter().enumerate() {
            if let (1, Fault::Two { pause, .. }) = (place, fault) {
                std::thread::sleep(pause);
            }
            cast.strike(*blow);
        }
        if kills_supervisor {
            if blows[1..].contains(&Blow { deed: Deed::Stop, target: Target::Keeper }) {
                // Its supervisor, which would have it go on, is dead already.
                cast.keeper.into_iter().for_each(|keeper| signal(keeper, Signal::CONT));
            }
            let keeper_killed = has(Deed::Kill, Target::Keeper);
            let promise = if keeper_killed { Promise::Main { pid: cast.command } } else { Promise::Processes };
            return Some(Last::Killed(promise));
        }
        if has(Deed::Stop, Target::Supervisor) {
            std::thread::sleep(Duration::from_millis(dice.u64(0..1500)));
            signal(self.supervisor(), Signal::CONT);
        }
        None
    }

    /// Before the supervisor is killed: in half of all cases its command is stopped, so that it cannot end by itself.
    fn prepare(&self, dice: &mut fastrand::Rng) -> Promise {
        self.settled();
        let Some(command) = self.command().filter(|_| dice.bool()) else { return Promise::Processes };
        signal(command, Signal::STOP);
        std::thread::sleep(Duration::from_millis(2));
        let is_kept = Process::find(command).filter(|command| command.state == 'T').is_some_and(|command| {
            Process::find(command.parent).is_some_and(|parent| parent.name == "keeper" && !parent.is_dead())
        });
        if is_kept { Promise::All } else { Promise::Processes }
    }

    /// Waits until all that the supervisor has for children are keepers: one that was killed leaves it others.
    fn settled(&self) {
        wait_until(|| self.children().iter().all(is_keeper));
    }

    fn children(&self) -> Vec<Process> {
        processes::table().into_iter().filter(|process| process.parent == self.supervisor()).collect()
    }

    /// The main process, as the status file tells.
    fn command(&self) -> Option<i32> {
        let text = fs::read_to_string(self.place.home.join("status")).unwrap_or_default();
        let status: Value = serde_json::from_str(&text).unwrap_or_default();
        status["pid"].as_i64().map(|pid| pid as i32)
    }

    /// Of keepers, any.
    fn cast(&self, dice: &mut fastrand::Rng) -> Cast {
        let keepers: Vec<_> = self.children().into_iter().filter(is_keeper).collect();
        let keeper = (!keepers.is_empty()).then(|| keepers[dice.usize(..keepers.len())].pid);
        Cast { supervisor: self.supervisor(), keeper, command: self.command() }
    }
}

/// Whether this child of a supervisor keeps something: by itself, or where there are two by the one below.
fn is_keeper(child: &Process) -> bool {
    ["keeper", "reaper"].contains(&child.name.as_str()) && !child.is_dead()
}

/// To a process that may be gone.
pub fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, signal);
    }
}
