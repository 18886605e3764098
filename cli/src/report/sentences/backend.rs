//! What the backend has to tell, in words.

use super::{Sentences, wrappers};
use crate::report::Standing;
use crate::report::display::{
    Counted, Escaped, Name, Names, Recipient, Remainder, Seconds, SignalNumber, Snapshot, remedy,
};
use crate::report::run::KnownRun;
use log::Level;
use std::path::Path;
use supervisor_backend_unix::{
    Disregard, HeartbeatFound, Hindrance, Notifications, ProbeOutcome, ProcessSnapshot, Rest, Signal, Target,
    UnixNotice,
};
use supervisor_core::Watchdog;

impl Sentences {
    pub(super) fn backend(&self, notice: &UnixNotice, known: &KnownRun, standing: &Standing) -> (Level, String) {
        let run = standing.run;
        match notice {
            UnixNotice::SignalReceived { signal, sender: 0 } => (Level::Info, format!("the supervisor got {signal}")),
            UnixNotice::SignalReceived { signal, sender } => {
                (Level::Info, format!("the supervisor got {signal} from pid {sender}"))
            }
            UnixNotice::SignalForwarded { signal, pid: Some(pid) } => {
                (Level::Info, format!("the supervisor passed {signal} on to pid {pid}"))
            }
            UnixNotice::SignalForwarded { signal, pid: None } => {
                (Level::Info, format!("the supervisor got {signal}, and nothing runs that it could pass it on to"))
            }
            UnixNotice::SignalSent { signal, target } => {
                (sending(*signal, target), format!("the supervisor sent {signal} to {}", Recipient(target)))
            }
            UnixNotice::SignalFailed { signal, target, error } => {
                (Level::Warn, format!("the supervisor cannot send {signal} to {}: {error}", Recipient(target)))
            }
            UnixNotice::SignalDisregarded { process, signal, disregard } => {
                let what = match disregard {
                    Disregard::Ignored => "ignores",
                    Disregard::Blocked => "blocks",
                };
                let advice = "have it handle the signal, or name another with --stop-signal";
                (Level::Warn, format!("{} {what} {signal}, so that it does not leave: {advice}", Name(process)))
            }
            UnixNotice::ProcessStopped { process, signal } => {
                let (name, signal, remedy) = (Name(process), SignalNumber(*signal), remedy(*signal));
                (Level::Warn, format!("{name} is stopped by {signal}{remedy}"))
            }
            UnixNotice::ProcessContinued { pid } => (Level::Info, format!("pid {pid} goes on")),
            UnixNotice::OutOfMemory { pid, kills } => {
                let kills = Counted(usize::try_from(*kills).unwrap_or(usize::MAX), "kill", "kills");
                let words = format!("the kernel counted {kills} for want of memory in its cgroup");
                (Level::Warn, format!("{run}: pid {pid} was killed by SIGKILL, and {words}"))
            }
            UnixNotice::LeftBehind { processes } => (Level::Warn, format!("{run}: {}", left_behind(processes))),
            UnixNotice::KeeperLost { keeper } => {
                let words = "was killed; the supervisor kills what is left of the command";
                (Level::Warn, format!("{run}: its keeper, pid {keeper}, {words}"))
            }
            UnixNotice::TerminalLent { group } => (
                Level::Info,
                format!("the supervisor lent the terminal to process group {group}, until pid {group} ends"),
            ),
            UnixNotice::Suspended {} => (
                Level::Info,
                "the terminal has stopped the supervisor and the command, as Ctrl-Z asks; fg lets them go on"
                    .to_owned(),
            ),
            UnixNotice::Resumed {} => (Level::Info, "the supervisor and the command go on".to_owned()),
            UnixNotice::Autopsy { processes, rest, frozen } => {
                (Level::Warn, autopsy(processes, rest.as_ref(), *frozen))
            }
            UnixNotice::HeartbeatMissing { file, found, hindrance } => {
                (Level::Warn, format!("{run}: {}", self.missing(file, found, *hindrance)))
            }
            UnixNotice::HeartbeatLate { interval } => {
                (Level::Warn, format!("{run}: {}", self.late(Seconds(*interval))))
            }
            UnixNotice::Status { text } => (Level::Info, format!("status of pid {}: {}", known.pid, Escaped(text))),
            UnixNotice::MessagesSummed { messages } => {
                let many = Counted(usize::try_from(*messages).unwrap_or(usize::MAX), "more message", "more messages");
                let probes = if self.has_probe { " or of its probes" } else { "" };
                (Level::Info, format!("{many} of pid {}{probes} came too fast to be shown one by one", known.pid))
            }
            UnixNotice::ProbeFailed { outcome, last_words } => (Level::Warn, probe_failed(outcome, last_words)),
            UnixNotice::Trouble(trouble) => (self.trouble_level(trouble), self.trouble(trouble)),
            UnixNotice::Tick {} => (Level::Trace, String::new()),
        }
    }

    fn missing(&self, file: &Path, found: &HeartbeatFound, hindrance: Option<Hindrance>) -> String {
        let first = self.first_remedy(found, hindrance);
        let hindrance = hindrance.map(|hindrance| hinders(found, hindrance)).unwrap_or_default();
        let found = found_instead(file, found) + &hindrance;
        if self.has_probe {
            let remedy = "find out why the probe fails, or allow more time until its first success with \
                          --initial-check-delay";
            return format!("no heartbeat came: no probe succeeded, and {found}; {remedy}");
        }
        let message = match self.notifications {
            Notifications::Taken => ", or send WATCHDOG=1 to NOTIFY_SOCKET",
            Notifications::Refused => "",
        };
        let remedy = format!(
            "{first}have the command touch the file that HEARTBEAT_FILE names{message}, name the one that it touches with \
             --heartbeat-file, allow more time until the first heartbeat with --initial-check-delay or between two of \
             them with --timeout, or turn hang detection off with --no-heartbeat"
        );
        format!("no heartbeat came: {found}; {remedy}")
    }

    /// What to do about the cause that was seen, before what helps in general.
    fn first_remedy(&self, found: &HeartbeatFound, hindrance: Option<Hindrance>) -> String {
        match (found, hindrance) {
            (HeartbeatFound::NoFolder, _) => "make that folder; or ".to_owned(),
            (_, Some(Hindrance::ReadOnly {})) => {
                "name a file on another file system with --heartbeat-file; or ".to_owned()
            }
            (_, Some(Hindrance::Denied { .. })) => "let that user write there; or ".to_owned(),
            (HeartbeatFound::NoFile | HeartbeatFound::OldFile | HeartbeatFound::Unreadable { .. }, None) => {
                let remedy = wrappers::remedy(&self.program, &self.arguments);
                remedy.map(|remedy| format!("{}; or ", Escaped(&remedy))).unwrap_or_default()
            }
        }
    }

    fn late(&self, interval: Seconds) -> String {
        let timeout = match self.policy.watchdog {
            Watchdog::On { timeout, .. } => format!(", which is {}, above that", Seconds(timeout)),
            Watchdog::Off => String::new(),
        };
        let words = format!("a heartbeat came {interval} after the one before it, or after the start");
        format!("{words}: the command is slow rather than hung; raise --timeout{timeout}")
    }
}

/// Leftovers that are killed are worth a warning.
fn sending(signal: Signal, target: &Target) -> Level {
    match target {
        Target::Leftovers { .. } | Target::Unseen {} if signal == Signal::KILL => Level::Warn,
        Target::Group { .. } | Target::Processes { .. } | Target::Leftovers { .. } | Target::Unseen {} => Level::Info,
    }
}

fn left_behind(processes: &[supervisor_backend_unix::Named]) -> String {
    let names = match processes {
        [] => String::new(),
        processes => format!(" ({})", Names(processes)),
    };
    let words = "the command exited with code 0 and left processes behind";
    format!(
        "{words}{names}, which the supervisor ends: if it puts itself into the background, have it run in the foreground"
    )
}

/// A line for each process.
fn autopsy(processes: &[ProcessSnapshot], rest: Option<&Rest>, frozen: bool) -> String {
    let frozen =
        frozen.then(|| "autopsy: the cgroup of the command is frozen: none of its processes can run".to_owned());
    let processes = processes.iter().map(|process| Snapshot(process).to_string());
    let rest = rest.map(|rest| Remainder(rest).to_string());
    frozen.into_iter().chain(processes).chain(rest).collect::<Vec<_>>().join("\n")
}

fn found_instead(file: &Path, found: &HeartbeatFound) -> String {
    let file = file.display().to_string();
    let file = Escaped(&file);
    match found {
        HeartbeatFound::NoFolder => format!("the folder of the heartbeat file {file} is not there"),
        HeartbeatFound::NoFile => format!("there is no heartbeat file {file}"),
        HeartbeatFound::OldFile => {
            format!("the heartbeat file {file} is older than this run: nothing has touched it since the start")
        }
        HeartbeatFound::Unreadable { error } => format!("the heartbeat file {file} cannot be looked at: {error}"),
    }
}

fn hinders(found: &HeartbeatFound, hindrance: Hindrance) -> String {
    let place = match found {
        HeartbeatFound::OldFile => "it",
        HeartbeatFound::NoFolder | HeartbeatFound::NoFile | HeartbeatFound::Unreadable { .. } => "to its folder",
    };
    match hindrance {
        Hindrance::ReadOnly {} => ", on a read-only file system".to_owned(),
        Hindrance::Denied { user } => format!(", and the user of the command, {user}, may not write {place}"),
    }
}

fn probe_failed(outcome: &ProbeOutcome, last_words: &str) -> String {
    let outcome = match outcome {
        ProbeOutcome::Code(code) => format!("exited with code {code}"),
        ProbeOutcome::Signal(signal) => format!("was killed by {}", SignalNumber((*signal).into())),
        ProbeOutcome::TimedOut => "took longer than the timeout, and the supervisor killed it".to_owned(),
        ProbeOutcome::Unfinished => "was still running when the supervisor found that the command hangs".to_owned(),
        ProbeOutcome::NotStarted(reason) => format!("could not be started: {}", Escaped(reason)),
    };
    let said = if last_words.is_empty() { String::new() } else { format!("; it said: {}", Escaped(last_words)) };
    format!("the probe {outcome}{said}")
}
