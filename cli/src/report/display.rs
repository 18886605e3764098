//! How things are put to people.

use std::fmt::{self, Write};
use std::io;
use std::time::Duration;
use supervisor_backend_unix::{Named, ProcessSnapshot, Rest, Signal, Target};
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
pub struct SignalNumber(pub i32);

impl fmt::Display for SignalNumber {
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
            ExitStatus::Signal(number) => write!(f, "was killed by {}", SignalNumber(number.into())),
        }
    }
}

/// Why a command could not be started.
pub struct Failure(pub StartFailure);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = io::Error::from_raw_os_error(self.0.os_error);
        match self.0.kind {
            StartFailureKind::NotFound => f.write_str("not found"),
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
            (GiveUp::NeverRestarts, _) => f.write_str("--restart never allows no restart"),
            (GiveUp::CannotStart, _) => f.write_str("trying again would not help"),
            (GiveUp::RestartsUsedUp, Limit::Times(0)) => f.write_str("--max-restarts 0 allows no restart"),
            (GiveUp::RestartsUsedUp, Limit::Times(1)) => {
                f.write_str("the supervisor has made the one restart that --max-restarts allows")
            }
            (GiveUp::RestartsUsedUp, Limit::Times(limit)) => {
                write!(f, "the supervisor has made the {limit} restarts in a row that --max-restarts allows")
            }
            (GiveUp::RestartsUsedUp, Limit::Unlimited) => f.write_str("the supervisor has made all restarts"),
        }
    }
}

/// Who gets a signal.
pub struct Recipient<'a>(pub &'a Target);

impl fmt::Display for Recipient<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Target::Group { group } => write!(f, "process group {group}"),
            Target::Processes { processes } => Names(processes).fmt(f),
            Target::Leftovers { processes } => write!(f, "leftovers: {}", Names(processes)),
            Target::Unseen {} => f.write_str("leftovers that it cannot see, if there are any"),
        }
    }
}

/// Some processes; more than a line holds are only counted.
pub struct Names<'a>(pub &'a [Named]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, process) in self.0.iter().take(MOST_NAMES).enumerate() {
            write!(f, "{}{}", if index == 0 { "" } else { ", " }, Name(process))?;
        }
        match self.0.len().saturating_sub(MOST_NAMES) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// A process, by pid and name.
pub struct Name<'a>(pub &'a Named);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.name.as_str() {
            "" => write!(f, "pid {}", self.0.pid),
            name => write!(f, "pid {} ({})", self.0.pid, Escaped(name)),
        }
    }
}

/// Text from outside: it must not look like a line of ours, play with the terminal, or be read in another order than
/// it is written in.
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character.is_control() || changes_direction(character) {
            true => write!(f, "{}", character.escape_default()),
            false => f.write_char(character),
        })
    }
}

/// Bidi_Control of <https://www.unicode.org/reports/tr9/>, and what ends a line elsewhere.
pub fn changes_direction(character: char) -> bool {
    matches!(
        character,
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
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
pub struct Snapshot<'a>(pub &'a ProcessSnapshot);

impl fmt::Display for Snapshot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ProcessSnapshot { process, state, waits_in, cpu, over, threads, tracer, .. } = self.0;
        write!(f, "autopsy: {}: state {state}", Name(process))?;
        let meaning = match state {
            'R' => "running",
            'S' => "sleeping",
            'D' => "waiting in the kernel, perhaps for a disk; no signal interrupts it",
            'T' => "stopped",
            't' => "stopped by a debugger",
            _ => "",
        };
        if !meaning.is_empty() {
            write!(f, " ({meaning})")?;
        }
        if !waits_in.is_empty() {
            write!(f, " in {}", Escaped(waits_in))?;
        }
        if let Some(tracer) = tracer {
            write!(f, ", traced by pid {tracer}")?;
        }
        let threads = Counted(*threads as usize, "thread", "threads");
        write!(f, ", used {} of CPU in the last {}, {threads}", Seconds(*cpu), Seconds(*over))
    }
}

/// What the processes of a hung tree that are not told one by one were doing, in one line.
pub struct Remainder<'a>(pub &'a Rest);

impl fmt::Display for Remainder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rest { processes, running, cpu } = self.0;
        let processes = Counted(*processes, "more process", "more processes");
        write!(f, "autopsy: {processes}, {running} of them running, used {} of CPU", Seconds(*cpu))
    }
}

/// So many of them: the word for one, and the word for more.
pub struct Counted(pub usize, pub &'static str, pub &'static str);

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, if self.0 == 1 { self.1 } else { self.2 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_stays_one_line_in_its_order() {
        let table = [
            ("plain \u{e9}\u{5d0}", "plain \u{e9}\u{5d0}"),
            ("a\nb\x1b[31m", "a\\nb\\u{1b}[31m"),
            ("\u{202e}x\u{2066}y\u{200f}z\u{61c}\u{2028}", "\\u{202e}x\\u{2066}y\\u{200f}z\\u{61c}\\u{2028}"),
        ];
        for (text, shown) in table {
            assert_eq!(Escaped(text).to_string(), shown);
        }
    }

    #[test]
    fn of_many_processes_some_are_named() {
        let processes: Vec<_> = (1..=10).map(|pid| Named { pid, name: String::new() }).collect();
        assert!(Names(&processes).to_string().ends_with("pid 8 and 2 more"));
        assert_eq!(Names(&processes[..1]).to_string(), "pid 1");
    }

    #[test]
    fn durations_are_told_to_the_millisecond() {
        for (millis, text) in [(0, "0 s"), (1, "0.001 s"), (100, "0.1 s"), (10_000, "10 s"), (61_250, "61.25 s")] {
            assert_eq!(Seconds(Duration::from_millis(millis)).to_string(), text);
        }
    }

    #[test]
    fn ends_are_told_in_words() {
        let failure = |kind| StartFailure { kind, os_error: 13 };
        let table = [
            (SignalNumber(15).to_string(), "SIGTERM"),
            (SignalNumber(99).to_string(), "signal 99"),
            (Status(ExitStatus::Code(3)).to_string(), "exited with code 3"),
            (Status(ExitStatus::Signal(9)).to_string(), "was killed by SIGKILL"),
            (Failure(failure(StartFailureKind::NotFound)).to_string(), "not found"),
            (
                Failure(failure(StartFailureKind::NotExecutable)).to_string(),
                "not executable: Permission denied (os error 13)",
            ),
            (Failure(failure(StartFailureKind::Passing)).to_string(), "Permission denied (os error 13)"),
            (Ended(End::Hung).to_string(), "hung"),
            (Ended(End::Exited(ExitStatus::Code(1))).to_string(), "exited with code 1"),
            (Ended(End::NotStarted(failure(StartFailureKind::Passing))).to_string(), "could not be started"),
            (Reason(GiveUp::NeverRestarts, Limit::Unlimited).to_string(), "--restart never allows no restart"),
            (Reason(GiveUp::CannotStart, Limit::Unlimited).to_string(), "trying again would not help"),
            (Reason(GiveUp::RestartsUsedUp, Limit::Times(0)).to_string(), "--max-restarts 0 allows no restart"),
            (
                Reason(GiveUp::RestartsUsedUp, Limit::Times(1)).to_string(),
                "the supervisor has made the one restart that --max-restarts allows",
            ),
            (
                Reason(GiveUp::RestartsUsedUp, Limit::Times(5)).to_string(),
                "the supervisor has made the 5 restarts in a row that --max-restarts allows",
            ),
            (Reason(GiveUp::RestartsUsedUp, Limit::Unlimited).to_string(), "the supervisor has made all restarts"),
            (Counted(1, "thread", "threads").to_string(), "1 thread"),
            (Counted(0, "thread", "threads").to_string(), "0 threads"),
        ];
        for (told, words) in table {
            assert_eq!(told, words);
        }
    }

    #[test]
    fn who_gets_a_signal_is_named() {
        let processes = || vec![named(2, "sh"), named(3, "a\nb"), named(4, "")];
        let table = [
            (Target::Group { group: 2 }, "process group 2"),
            (Target::Processes { processes: processes() }, "pid 2 (sh), pid 3 (a\\nb), pid 4"),
            (Target::Leftovers { processes: processes() }, "leftovers: pid 2 (sh), pid 3 (a\\nb), pid 4"),
            (Target::Unseen {}, "leftovers that it cannot see, if there are any"),
        ];
        for (target, words) in table {
            assert_eq!(Recipient(&target).to_string(), words);
        }
    }

    #[test]
    fn an_autopsy_tells_what_a_process_did() {
        let (cpu, over) = (Duration::from_millis(1500), Duration::from_secs(20));
        let plain = ProcessSnapshot {
            process: named(7, "web"),
            parent: 1,
            state: 'X',
            waits_in: String::new(),
            cpu,
            over,
            threads: 1,
            tracer: None,
        };
        let usage = "used 1.5 s of CPU in the last 20 s, 1 thread";
        assert_eq!(Snapshot(&plain).to_string(), format!("autopsy: pid 7 (web): state X, {usage}"));
        let states = [
            ('R', "running"),
            ('S', "sleeping"),
            ('D', "waiting in the kernel, perhaps for a disk; no signal interrupts it"),
            ('T', "stopped"),
            ('t', "stopped by a debugger"),
        ];
        for (state, meaning) in states {
            let process = ProcessSnapshot { state, waits_in: "futex".to_owned(), tracer: Some(9), ..plain.clone() };
            let expected =
                format!("autopsy: pid 7 (web): state {state} ({meaning}) in futex, traced by pid 9, {usage}");
            assert_eq!(Snapshot(&process).to_string(), expected);
        }
        let rest = Rest { processes: 1, running: 0, cpu };
        assert_eq!(Remainder(&rest).to_string(), "autopsy: 1 more process, 0 of them running, used 1.5 s of CPU");
    }

    #[test]
    fn a_process_that_the_terminal_has_stopped_has_a_remedy() {
        assert!(remedy(Signal::TTIN.number()).contains("redirect its input"));
        assert!(remedy(Signal::TTOU.number()).contains("redirect its output"));
        assert_eq!((remedy(Signal::STOP.number()), remedy(99)), ("", ""));
    }

    fn named(pid: i32, name: &str) -> Named {
        Named { pid, name: name.to_owned() }
    }
}
