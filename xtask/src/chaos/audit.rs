//! What is demanded of a supervisor at its end.

use super::account::Account;
use super::life::{Last, Life, Promise, signal};
use super::place::Place;
use super::wait_until;
use crate::processes::{self, Process};
use rustix::process::Signal;
use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitStatus;

/// What may be in the home of a supervisor that has left nothing.
const NOT_ITS_OWN: [&str; 3] = ["log", "hook", "heartbeat.txt"];

impl Life {
    /// Ends it, holds it to account, and gives the place to the next. Others live beside it.
    pub fn settle(mut self, last: Last, others: &[i32], account: &mut Account) -> io::Result<Place> {
        let mut complaints = Vec::new();
        self.check_descriptors(&last, &mut complaints)?;
        let last_signal = match last {
            Last::Killed(_) => Signal::KILL,
            Last::Asked(signal) => signal,
        };
        signal(self.supervisor(), last_signal);
        let mut status = None;
        wait_until(|| {
            status = self.supervisor.try_wait().ok().flatten();
            status.is_some()
        });
        match (status, last) {
            (None, _) => complaints.push("the supervisor does not end".to_owned()),
            (Some(status), Last::Asked(_)) if !is_stop(status) => {
                complaints.push(format!("asked to stop, it ended with {status}"));
            }
            (Some(_), Last::Asked(_) | Last::Killed(_)) => {}
        }
        check_processes(&last, others, &mut complaints);
        self.check_files(&last, &mut complaints);
        self.check_log(&last, account, &mut complaints);
        let (name, faults) = (self.name(), &self.faults);
        let story = format!("{name}: {last:?} after {faults:?}; its last events were {}", self.last_events());
        account.failures.extend(complaints.into_iter().map(|complaint| format!("{complaint}; {story}")));
        Ok(self.place)
    }

    /// Those of a start, a hook or a probe that is under way are closed soon.
    fn check_descriptors(&mut self, last: &Last, complaints: &mut Vec<String>) -> io::Result<()> {
        match last {
            Last::Killed(Promise::Processes | Promise::Main { .. }) if self.is_gone() => return Ok(()),
            // It would not wait for more than the command, which is stopped.
            Last::Killed(Promise::All) => return Ok(()),
            Last::Killed(_) | Last::Asked(_) => {}
        }
        let ended = self.supervisor.try_wait()?;
        // The blow that kills it may have needed until now.
        if let (Some(_), Last::Killed(_)) = (ended, last) {
            return Ok(());
        }
        if let Some(status) = ended {
            complaints.push(format!("the supervisor has ended by itself: {status}"));
        } else if !wait_until(|| self.count_descriptors() <= self.descriptors) {
            complaints.push(format!("descriptors leak: {} instead of {}", self.count_descriptors(), self.descriptors));
        }
        Ok(())
    }

    fn last_events(&self) -> String {
        let log = self.log();
        let events = log.iter().filter(|record| record["event"] != "input").rev().take(6);
        let mut events: Vec<_> = events.map(|record| format!("{} {}", record["time"], record["event"])).collect();
        events.reverse();
        events.join(", ")
    }

    fn is_gone(&self) -> bool {
        Process::find(self.supervisor()).is_none_or(|supervisor| supervisor.is_dead())
    }

    /// Nothing tells of a supervisor that is not there.
    fn check_files(&self, last: &Last, complaints: &mut Vec<String>) {
        let home = || names(&self.place.home).into_iter().filter(|name| !NOT_ITS_OWN.contains(&name.as_str()));
        // Then there was no keeper, though there was one when it was looked for; the next start removes them.
        let was_between_runs = || {
            let log = self.log();
            let is_of_runs = |event: &&str| ["started", "exited", "backing_off"].contains(event);
            let last = log.iter().filter_map(|record| record["event"].as_str()).rfind(is_of_runs);
            last == Some("backing_off")
        };
        let left = || -> Vec<String> {
            match last {
                Last::Asked(_) => {
                    // What it has come to stays to be read.
                    let home = home().filter(|name| name != "status" && name != "metrics.prom");
                    home.chain(self.temporary()).collect()
                }
                Last::Killed(Promise::All) if was_between_runs() => Vec::new(),
                Last::Killed(Promise::All) => home().chain(self.temporary()).collect(),
                Last::Killed(Promise::Processes | Promise::Main { .. }) => Vec::new(),
            }
        };
        if !wait_until(|| left().is_empty()) {
            complaints.push(format!("files are left: {:?}", left()));
        }
    }

    /// Folders of sockets: its own, and with `--notify` also what those before it have left, which it sweeps.
    fn temporary(&self) -> impl Iterator<Item = String> {
        let own = format!("supervisor-{}-", self.supervisor());
        let sweeps = self.options.contains("--notify");
        names(&self.place.temporary).into_iter().filter(move |name| sweeps || name.starts_with(&own))
    }

    /// Each start has its end, and the machine would decide the same again.
    fn check_log(&self, last: &Last, account: &mut Account, complaints: &mut Vec<String>) {
        let log = self.log();
        let count = |event: &str| log.iter().filter(|record| record["event"] == event).count() as u64;
        let (starts, ends) = (count("started"), count("exited"));
        account.starts += starts;
        account.ends += ends;
        account.hangs += count("hung");
        account.keepers_lost += count("keeper_lost");
        account.failed_starts += count("start_failed");
        match last {
            Last::Asked(_) if starts != ends => complaints.push(format!("{starts} starts, and {ends} ends")),
            // A killed supervisor does not tell of the last end.
            Last::Killed(_) => account.ends += starts.saturating_sub(ends),
            Last::Asked(_) => {}
        }
        let text = self.text();
        if text.contains("panicked") {
            complaints.push("it panicked".to_owned());
        }
        match supervisor_cli::replay::replay(&text) {
            Ok(replay) if replay.facts_not_played > 0 => {
                complaints.push(format!("{} facts cannot be replayed", replay.facts_not_played));
            }
            Ok(replay) => account.facts += replay.facts,
            Err(message) => complaints.push(format!("the replay differs: {message}")),
        }
    }
}

/// All that is below this process belongs to the others, or was left behind.
fn check_processes(last: &Last, others: &[i32], complaints: &mut Vec<String>) {
    let left = || {
        processes::reap_all_but(others);
        processes::below_without(others)
    };
    match last {
        Last::Asked(_) | Last::Killed(Promise::All | Promise::Processes) => {
            if !wait_until(|| left().is_empty()) {
                let left: Vec<_> = left().into_iter().filter_map(Process::find).collect();
                complaints.push(format!("processes are left: {left:?}"));
            }
        }
        Last::Killed(Promise::Main { pid: main }) => {
            let is_gone = |pid: i32| !left().contains(&pid);
            if !wait_until(|| main.is_none_or(is_gone)) {
                complaints.push(format!("the main process is left: {:?}", main.and_then(Process::find)));
            }
        }
    }
    wait_until(|| {
        left().into_iter().for_each(|pid| signal(pid, Signal::KILL));
        left().is_empty()
    });
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Asked to stop: in time, or with its command killed.
fn is_stop(status: ExitStatus) -> bool {
    matches!(status.code(), Some(0 | 137))
}
