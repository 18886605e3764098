//! What the backend itself has to tell, beside the notices of the machine.
//!
//! With the feature `serde` the fields of a notice serialize, durations as numbers of seconds; [`UnixNotice::name`] is
//! the name of the event.

use crate::signals::Signal;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Something that happened to processes, signals or the heartbeat file.
#[derive(Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(untagged))]
pub enum UnixNotice {
    /// The supervisor got a signal that asks it to stop, or to restart the command.
    SignalReceived {
        /// Which.
        signal: Signal,
        /// The process that sent it; 0 if it was the kernel or a process outside our PID namespace.
        sender: i32,
    },
    /// A signal to the supervisor was passed on to the main process.
    SignalForwarded {
        /// Which.
        signal: Signal,
        /// To whom; none if nothing ran.
        #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
        pid: Option<i32>,
    },
    /// A signal was sent.
    SignalSent {
        /// Which.
        signal: Signal,
        /// Who got it.
        #[cfg_attr(feature = "serde", serde(flatten))]
        target: Target,
    },
    /// A signal could not be sent.
    SignalFailed {
        /// Which.
        signal: Signal,
        /// To whom.
        #[cfg_attr(feature = "serde", serde(flatten))]
        target: Target,
        /// Why.
        #[cfg_attr(feature = "serde", serde(serialize_with = "in_words"))]
        error: io::Error,
    },
    /// The command will not leave when it is asked: it ignores or blocks the signal. Told before it is killed.
    SignalDisregarded {
        /// Its main process.
        #[cfg_attr(feature = "serde", serde(flatten))]
        process: Named,
        /// The signal that it was sent.
        signal: Signal,
        /// What it does with it.
        disregard: Disregard,
    },
    /// A process was stopped: by SIGSTOP, or because it used the terminal from the background.
    ProcessStopped {
        /// Which.
        #[cfg_attr(feature = "serde", serde(flatten))]
        process: Named,
        /// By what signal, a number as in signal(7).
        signal: i32,
    },
    /// A stopped process goes on.
    ProcessContinued {
        /// Which.
        pid: i32,
    },
    /// The main process was killed while the kernel counted a kill for want of memory in its cgroup.
    OutOfMemory {
        /// What was the main process.
        pid: i32,
        /// Kills that were counted during the run.
        kills: u64,
    },
    /// The main process ended with success and left processes behind: it put itself into the background.
    LeftBehind {
        /// Those that can be seen.
        processes: Vec<Named>,
    },
    /// The keeper of the run was killed; what it kept is killed now.
    KeeperLost {
        /// Which.
        keeper: i32,
    },
    /// The command reads or sets the terminal from the background, and is given it.
    TerminalLent {
        /// The command's process group.
        group: i32,
    },
    /// The supervisor is stopped from the terminal, and its command with it.
    Suspended {},
    /// Both go on.
    Resumed {},
    /// The command hangs; this is what it is doing, told before its first signal.
    Autopsy {
        /// Its processes, parents before children; not all where there are very many.
        processes: Vec<ProcessSnapshot>,
        /// The others in one sum.
        #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
        rest: Option<Rest>,
        /// Whether its cgroup is frozen.
        #[cfg_attr(feature = "serde", serde(skip_serializing_if = "std::ops::Not::not"))]
        frozen: bool,
    },
    /// The command hangs, and its heartbeat file has shown no heartbeat since its start.
    HeartbeatMissing {
        /// The heartbeat file.
        #[cfg_attr(feature = "serde", serde(serialize_with = "as_text"))]
        file: PathBuf,
        /// What is there instead.
        #[cfg_attr(feature = "serde", serde(flatten))]
        found: HeartbeatFound,
        /// Why the command may be unable to make one, where that can be seen.
        #[cfg_attr(feature = "serde", serde(flatten))]
        hindrance: Option<Hindrance>,
    },
    /// A heartbeat came after the run was found to hang: the command beats more slowly than the timeout allows.
    HeartbeatLate {
        /// Time from the heartbeat before it, or from the start, to this one.
        #[cfg_attr(feature = "serde", serde(serialize_with = "in_seconds"))]
        interval: Duration,
    },
    /// The command says what it is doing: `STATUS=` of sd_notify(3). Not told again while it stays the same.
    Status {
        /// As it came; it may hold control characters, but no newline.
        text: String,
    },
    /// Messages of the command, or failures of its probes, came too fast to tell each of them.
    MessagesSummed {
        /// So many were not told.
        messages: u64,
    },
    /// A probe failed, or took too long: it is no heartbeat.
    ProbeFailed {
        /// How it ended.
        outcome: ProbeOutcome,
        /// The last line that it wrote, empty if there was none.
        #[cfg_attr(feature = "serde", serde(rename = "output"))]
        last_words: String,
    },
    /// Something that the supervisor would do cannot be done; it goes on without.
    Trouble(Trouble),
    /// The loop turns: told as often as [`Config::tick`](crate::Config::tick) says.
    Tick {},
}

impl UnixNotice {
    /// The name of the event.
    pub fn name(&self) -> &'static str {
        match self {
            UnixNotice::SignalReceived { .. } => "signal_received",
            UnixNotice::SignalForwarded { .. } => "signal_forwarded",
            UnixNotice::SignalSent { .. } => "signal_sent",
            UnixNotice::SignalFailed { .. } => "signal_failed",
            UnixNotice::SignalDisregarded { .. } => "signal_disregarded",
            UnixNotice::ProcessStopped { .. } => "process_stopped",
            UnixNotice::ProcessContinued { .. } => "process_continued",
            UnixNotice::OutOfMemory { .. } => "out_of_memory",
            UnixNotice::LeftBehind { .. } => "left_behind",
            UnixNotice::KeeperLost { .. } => "keeper_lost",
            UnixNotice::TerminalLent { .. } => "terminal_lent",
            UnixNotice::Suspended {} => "suspended",
            UnixNotice::Resumed {} => "resumed",
            UnixNotice::Autopsy { .. } => "autopsy",
            UnixNotice::HeartbeatMissing { .. } => "heartbeat_missing",
            UnixNotice::HeartbeatLate { .. } => "heartbeat_late",
            UnixNotice::Status { .. } => "status",
            UnixNotice::MessagesSummed { .. } => "messages_summed",
            UnixNotice::ProbeFailed { .. } => "probe_failed",
            UnixNotice::Trouble(_) => "trouble",
            UnixNotice::Tick {} => "tick",
        }
    }
}

/// What cannot be done. The supervisor goes on without.
#[derive(Debug)]
pub enum Trouble {
    /// The command is not executed yet: its file system does not answer. Told once for a start.
    StartUnanswered {
        /// For how long so far.
        waited: Duration,
    },
    /// The file system of the heartbeat file does not answer, so that no hang is found. Told once until it does.
    HeartbeatUnanswered {
        /// For how long so far.
        waited: Duration,
    },
    /// The heartbeat file cannot be looked at, which counts as silence. Told once until it can be again.
    HeartbeatUnreadable {
        /// Why.
        error: io::Error,
    },
    /// The time stamps of the heartbeat file have whole seconds, so that heartbeats within one second look like one.
    /// Told once.
    CoarseStamps,
    /// `/proc` shows no processes of ours, so that they can be neither named nor examined. Told once.
    ProcessesInvisible {
        /// Why.
        error: io::Error,
    },
    /// What the main process left behind cannot be seen just now. It is tried again, and told once until it can be.
    LeftoversUnseen {
        /// Why.
        error: io::Error,
    },
    /// The keeper does not take orders: a debugger or a frozen cgroup holds it. It is killed, and what it kept with it.
    KeeperStuck {
        /// Which.
        keeper: i32,
    },
    /// The main process has ended, but cannot be reaped: its debugger has not let go of it.
    Unreaped {
        /// Which.
        pid: i32,
    },
    /// No folder is to be had for the socket of `--notify`; it has an abstract name, which not all libraries know.
    NoSocketFolder {
        /// Why.
        error: io::Error,
    },
    /// A message to `NOTIFY_SOCKET` makes no sense, or does not come from the command. Told once.
    MessageRefused {
        /// Why.
        error: io::Error,
    },
    /// A hook could not be run, or did not do well.
    HookFailed {
        /// Which, and why.
        error: io::Error,
    },
}

impl Trouble {
    /// What the trouble is with: `with` in the record.
    pub fn subject(&self) -> &'static str {
        match self {
            Trouble::StartUnanswered { .. } => "start",
            Trouble::HeartbeatUnanswered { .. } | Trouble::HeartbeatUnreadable { .. } | Trouble::CoarseStamps => {
                "heartbeat_file"
            }
            Trouble::ProcessesInvisible { .. } | Trouble::LeftoversUnseen { .. } => "proc",
            Trouble::KeeperStuck { .. } => "keeper",
            Trouble::Unreaped { .. } => "debugger",
            Trouble::NoSocketFolder { .. } | Trouble::MessageRefused { .. } => "notify",
            Trouble::HookFailed { .. } => "hook",
        }
    }

    /// The error of the system, where there is one.
    pub fn error(&self) -> Option<&io::Error> {
        match self {
            Trouble::StartUnanswered { .. }
            | Trouble::HeartbeatUnanswered { .. }
            | Trouble::CoarseStamps
            | Trouble::KeeperStuck { .. }
            | Trouble::Unreaped { .. } => None,
            Trouble::HeartbeatUnreadable { error }
            | Trouble::ProcessesInvisible { error }
            | Trouble::LeftoversUnseen { error }
            | Trouble::NoSocketFolder { error }
            | Trouble::MessageRefused { error }
            | Trouble::HookFailed { error } => Some(error),
        }
    }
}

/// `with`, and `error`, which says in a word what happened where the system gave no error.
#[cfg(feature = "serde")]
impl serde::Serialize for Trouble {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let error = match (self, self.error()) {
            (_, Some(error)) => error.to_string(),
            (Trouble::StartUnanswered { waited } | Trouble::HeartbeatUnanswered { waited }, None) => {
                format!("the file system does not answer for {:.3} s", waited.as_secs_f64())
            }
            (Trouble::CoarseStamps, None) => "time stamps have whole seconds".to_owned(),
            (Trouble::KeeperStuck { keeper }, None) => format!("the keeper, pid {keeper}, takes no orders"),
            (Trouble::Unreaped { pid }, None) => format!("pid {pid} has ended and cannot be reaped"),
            (_, None) => String::new(),
        };
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("with", self.subject())?;
        map.serialize_entry("error", &error)?;
        map.end()
    }
}

/// What a process does with a signal that asks it to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Disregard {
    /// It ignores the signal.
    Ignored,
    /// It blocks the signal.
    Blocked,
}

/// What was found instead of a heartbeat.
#[derive(Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(tag = "found", rename_all = "snake_case"))]
pub enum HeartbeatFound {
    /// The folder of the file is not there.
    NoFolder,
    /// The folder is there, the file is not.
    NoFile,
    /// The file was there before the start, and was not touched since.
    OldFile,
    /// The file cannot be looked at.
    Unreadable {
        /// Why.
        #[cfg_attr(feature = "serde", serde(serialize_with = "in_words"))]
        error: io::Error,
    },
}

/// What hinders a command from making its heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(tag = "hindrance", rename_all = "snake_case"))]
pub enum Hindrance {
    /// The file system is mounted read-only.
    ReadOnly {},
    /// The file, or its folder while there is none, may not be written by the user that the command runs as.
    Denied {
        /// That user.
        user: u32,
    },
}

/// How a probe ended that is no heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum ProbeOutcome {
    /// It exited with this code.
    Code(u8),
    /// It was killed by this signal.
    Signal(u8),
    /// It lasted longer than the timeout, and was killed.
    TimedOut,
    /// It had not ended when the command was found to hang.
    Unfinished,
    /// It could not be started, for this reason.
    NotStarted(String),
}

/// Who gets a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(untagged))]
pub enum Target {
    /// A process group.
    Group {
        /// Its id.
        group: i32,
    },
    /// Single processes.
    Processes {
        /// Which.
        processes: Vec<Named>,
    },
    /// Processes that the main process left behind, or that left its group.
    Leftovers {
        /// Which.
        processes: Vec<Named>,
    },
    /// Those that the keeper has for children, where they cannot be seen.
    Unseen {},
}

/// A process, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Named {
    /// Its id.
    pub pid: i32,
    /// Its name, empty if it is gone or cannot be seen.
    pub name: String,
}

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
    #[cfg_attr(feature = "serde", serde(serialize_with = "in_seconds"))]
    pub cpu: Duration,
    /// ... in so long a time, which covers the whole silence.
    #[cfg_attr(feature = "serde", serde(serialize_with = "in_seconds"))]
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
    #[cfg_attr(feature = "serde", serde(serialize_with = "in_seconds"))]
    pub cpu: Duration,
}

#[cfg(feature = "serde")]
pub(crate) fn in_seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

#[cfg(feature = "serde")]
fn in_words<S: serde::Serializer>(error: &io::Error, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(error)
}

#[cfg(feature = "serde")]
fn as_text<S: serde::Serializer>(path: &std::path::Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}
