//! How things are put to people.

use std::fmt::{self, Write};
use std::io;
use std::time::Duration;
use supervisor_backend_unix::{Examined, Named, Signal, Target};
use supervisor_core::{End, ExitStatus, GiveUp, Limit, StartFailure, StartFailureKind};

/// Leftovers that are named in one line; more are only counted.
const MOST_NAMES: usize = 8;

/// A duration in seconds, to the millisecond.
pub struct Seconds(pub Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:03}", self.0.as_secs(), self.0.subsec_millis());
        write!(f, "{} s", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// A signal by its number, which may have no name.
pub struct Number(pub i32);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Signal::from_number(self.0) {
            Some(signal) => signal.fmt(f),
            None => write!(f, "signal {}", self.0),
        }
    }
}

/// How a process ended.
pub struct Status(pub ExitStatus);

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ExitStatus::Code(code) => write!(f, "exited with code {code}"),
            ExitStatus::Signal(number) => write!(f, "was killed by {}", Number(number.into())),
        }
    }
}

/// Why a command could not be started.
pub struct Failure(pub StartFailure);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = io::Error::from_raw_os_error(self.0.os_error);
        match self.0.kind {
            StartFailureKind::NotFound => write!(f, "not found (or its interpreter is not): {error}"),
            StartFailureKind::NotExecutable => write!(f, "not executable: {error}"),
            StartFailureKind::Passing => write!(f, "{error}"),
        }
    }
}

/// How a run ended.
pub struct Ended(pub End);

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            End::Exited(status) => Status(status).fmt(f),
            End::Hung => f.write_str("hung"),
            End::NotStarted(_) => f.write_str("could not be started"),
        }
    }
}

/// Why there is no further restart, given how many there may be.
pub struct Reason(pub GiveUp, pub Limit);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (GiveUp::NeverRestarts, _) => f.write_str("--restart never"),
            (GiveUp::CannotStart, _) => f.write_str("trying again would not help"),
            (GiveUp::RestartsUsedUp, Limit::Times(0)) => f.write_str("--max-restarts 0"),
            (GiveUp::RestartsUsedUp, Limit::Times(limit)) => write!(f, "{limit} of {limit} restarts used up"),
            (GiveUp::RestartsUsedUp, Limit::Unlimited) => f.write_str("restarts used up"),
        }
    }
}

/// Who gets a signal.
pub struct To<'a>(pub &'a Target);

impl fmt::Display for To<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Target::Group(group) => write!(f, "process group {group}"),
            Target::All => f.write_str("all processes of the namespace"),
            Target::Process(process) => Name(process).fmt(f),
            Target::Leftovers(processes) => {
                for (index, process) in processes.iter().take(MOST_NAMES).enumerate() {
                    write!(f, "{}{}", if index == 0 { "leftovers: " } else { ", " }, Name(process))?;
                }
                match processes.len().saturating_sub(MOST_NAMES) {
                    0 => Ok(()),
                    more => write!(f, " and {more} more"),
                }
            }
        }
    }
}

/// A process, by pid and name.
pub struct Name<'a>(pub &'a Named);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.name.as_str() {
            "" => write!(f, "pid {}", self.0.pid),
            name => write!(f, "pid {} ({})", self.0.pid, Harmless(name)),
        }
    }
}

/// A name that a program has chosen for itself: it must not look like a line of ours, or play with the terminal.
pub struct Harmless<'a>(pub &'a str);

impl fmt::Display for Harmless<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character.is_control() {
            true => write!(f, "{}", character.escape_default()),
            false => f.write_char(character),
        })
    }
}

/// What a person can do about a stopped process.
pub fn remedy(signal: i32) -> &'static str {
    match Signal::from_number(signal) {
        Some(Signal::TTIN) => ": it reads the terminal from the background; redirect its input, as in < /dev/null",
        Some(Signal::TTOU) => ": it uses the terminal from the background; redirect its output",
        _ => "",
    }
}

/// What a process of a hung tree was doing, in one line.
pub struct Autopsy<'a>(pub &'a Examined);

impl fmt::Display for Autopsy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Examined { process, state, waits_in, cpu, over, threads, .. } = self.0;
        write!(f, "autopsy: {}: state {state}", Name(process))?;
        let meaning = match state {
            'R' => "running",
            'S' => "sleeping",
            'D' => "waiting for a disk or the like, not to be interrupted",
            'T' => "stopped",
            't' => "stopped by a debugger",
            _ => "",
        };
        if !meaning.is_empty() {
            write!(f, " ({meaning})")?;
        }
        if !waits_in.is_empty() {
            write!(f, " in {waits_in}")?;
        }
        let plural = if *threads == 1 { "" } else { "s" };
        write!(f, ", used {} of CPU in the last {}, {threads} thread{plural}", Seconds(*cpu), Seconds(*over))
    }
}
