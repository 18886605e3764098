//! What the backend itself has to tell, beside the notices of the machine.

use crate::autopsy::Examined;
use crate::signal::Signal;
use std::io;
use std::time::Duration;

/// Something that happened to processes, signals or the heartbeat file.
#[derive(Debug)]
pub enum UnixNotice {
    /// The supervisor got a signal that asks it to stop.
    Received {
        /// Which.
        signal: Signal,
        /// The process that sent it; 0 if it was the kernel or a process outside our PID namespace.
        sender: i32,
    },
    /// A signal to the supervisor was passed on to the main process.
    Forwarded {
        /// Which.
        signal: Signal,
        /// To whom; none if nothing ran.
        pid: Option<i32>,
    },
    /// A signal was sent.
    Signalled {
        /// Its number, by name.
        signal: Signal,
        /// Who got it.
        target: Target,
    },
    /// A signal could not be sent.
    SignalFailed {
        /// Which.
        signal: Signal,
        /// To whom.
        target: Target,
        /// Why.
        error: io::Error,
    },
    /// A process was stopped: by SIGSTOP, or because it used the terminal from the background.
    Stopped {
        /// Which.
        process: Named,
        /// By what signal, a number as in signal(7).
        signal: i32,
    },
    /// A stopped process goes on.
    Continued {
        /// Which.
        pid: i32,
    },
    /// The command reads or sets the terminal from the background, and is given it.
    TerminalLent {
        /// The command's process group.
        group: i32,
    },
    /// The supervisor is stopped from the terminal, and its command with it.
    Suspended,
    /// Both go on.
    Resumed,
    /// The command is not executed yet, which waits for a file system that does not answer. Told once for a start.
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
    /// `/proc` shows no processes of ours, so that only the process group can be signalled. Told once.
    ProcessesInvisible {
        /// Why.
        error: io::Error,
    },
    /// What the main process left behind cannot be seen just now. It is tried again, and told once until it can be.
    LeftoversUnseen {
        /// Why.
        error: io::Error,
    },
    /// The command hangs; this is what it is doing, told before its first signal.
    Autopsy {
        /// All its processes, parents before children.
        processes: Vec<Examined>,
    },
    /// The command says what it is doing: `STATUS=` of sd_notify(3).
    StatusText {
        /// As it came; it may hold control characters, but no newline.
        text: String,
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
    /// The loop turns: told as often as [`Config::tick`](crate::Config::tick) says.
    Tick,
    /// The guard has ended, by whatever hand. Another will take its place as soon as there is one to be had.
    GuardLost,
    /// There is a guard again.
    GuardReplaced,
    /// What the command starts bears no mark, so that a daemon that takes care to hide lives on if this process is
    /// killed. Told once.
    Unmarked {
        /// Why.
        error: io::Error,
    },
    /// There is no guard, so that what the command starts lives on if this process is killed. Told once.
    Unguarded {
        /// Why.
        error: io::Error,
    },
}

/// Who gets a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The process group of this id.
    Group(i32),
    /// One process.
    Process(Named),
    /// Every process of our PID namespace.
    All,
    /// What the main process left behind, or did not keep in its group.
    Leftovers(Vec<Named>),
}

/// A process, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its id.
    pub pid: i32,
    /// Its name, empty if it is gone.
    pub name: String,
}
