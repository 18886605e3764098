//! Runs a probe again and again beside the command: each success is a heartbeat of the moment at which it ended.

use crate::clock::SystemClock;
use crate::config::ProbeConfig;
use crate::helper::{Helper, HelperEnd, Parted};
use crate::keeper::Company;
use crate::keeper::exec::{Output, Program, RESTARTS, Role, variable};
use crate::notice::{ProbeOutcome, UnixNotice};
use crate::signals::Signals;
use crate::source::Source;
use rustix::fs::{Mode, OFlags, open};
use rustix::pipe::{PipeFlags, pipe_with};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;
use supervisor_core::{ExitStatus, Instant};

/// So much of the end of what a probe says is kept.
const KEPT: usize = 512;

/// After one that could not even be forked, the next one waits so long at least: there is nothing else that the loop
/// would wait for, where none follows after an interval.
const PAUSE: Duration = Duration::from_millis(100);

pub(crate) struct ProbeRunner {
    program: Program,
    config: ProbeConfig,
    schedule: Schedule,
    current: Current,
}

#[derive(Clone, Copy)]
enum Schedule {
    /// Nothing runs that could be probed.
    Off,
    /// The next one is due, once there is no other.
    On { main: i32, restarts: u32, due: Instant },
}

enum Current {
    None,
    Running {
        helper: Helper,
        output: LastLine,
    },
    /// The command it was for has ended; its processes are being killed.
    Leaving {
        helper: Helper,
    },
}

/// What a probe has to tell.
#[derive(Debug)]
pub(crate) enum ProbeFinding {
    Success,
    Failure(UnixNotice),
}

impl ProbeRunner {
    /// # Errors
    /// `InvalidInput` for a command that cannot be written down.
    pub fn new(config: ProbeConfig) -> io::Result<ProbeRunner> {
        let program = Program::new(&config.command)?;
        Ok(ProbeRunner { program, config, schedule: Schedule::Off, current: Current::None })
    }

    /// The command runs. Probes begin after the initial delay.
    pub fn begin(&mut self, main: i32, restarts: u32, now: Instant) {
        self.end();
        self.schedule = Schedule::On { main, restarts, due: now + self.config.initial_delay };
    }

    /// What the current one has said so far, if one runs: the command was found to hang meanwhile.
    pub fn unfinished(&mut self) -> Option<UnixNotice> {
        match &mut self.current {
            Current::Running { output, .. } => {
                output.read();
                let last_words = output.last_line();
                Some(UnixNotice::ProbeFailed { outcome: ProbeOutcome::Unfinished, last_words })
            }
            Current::None | Current::Leaving { .. } => None,
        }
    }

    /// The run comes to its end, and with it the current probe.
    pub fn end(&mut self) {
        self.schedule = Schedule::Off;
        self.current = match std::mem::replace(&mut self.current, Current::None) {
            Current::None => Current::None,
            Current::Running { mut helper, .. } | Current::Leaving { mut helper } => {
                helper.end(SystemClock::now());
                Current::Leaving { helper }
            }
        };
    }

    pub fn sources(&self) -> [Source<'_>; 2] {
        match (&self.current, self.schedule) {
            (Current::None, Schedule::Off) => [Source::NONE; 2],
            (Current::None, Schedule::On { due, .. }) => [Source { due: Some(due), descriptor: None }, Source::NONE],
            (Current::Running { helper, output }, _) => [helper.source(), output.source()],
            (Current::Leaving { helper }, _) => [helper.source(), Source::NONE],
        }
    }

    /// Whether its keeper was killed, and is not reaped yet.
    pub fn has_killed_keeper(&self) -> bool {
        self.helper().is_some_and(Helper::has_killed_keeper)
    }

    /// The keeper of the current one.
    pub fn keeper(&self) -> Option<i32> {
        self.helper().map(Helper::keeper)
    }

    /// Has the current one go on, should its keeper have been stopped.
    pub fn wake(&self) {
        self.helper().into_iter().for_each(Helper::wake);
    }

    /// Starts one that is due, and hears how the current one ended.
    pub fn poll(&mut self, now: Instant, signals: &Signals, company: Company) -> Option<ProbeFinding> {
        match (&mut self.current, self.schedule) {
            (Current::None, Schedule::On { main, restarts, due }) if now >= due => {
                match self.start(main, restarts, now, signals, company) {
                    Ok(current) => {
                        self.current = current;
                        None
                    }
                    Err(error) => {
                        self.put_off(now, self.config.interval.max(PAUSE));
                        Some(failure(ProbeOutcome::NotStarted(error.to_string()), String::new()))
                    }
                }
            }
            (Current::None, Schedule::On { .. } | Schedule::Off) => None,
            (Current::Running { helper, output }, _) => {
                output.read();
                let end = helper.poll_end(now)?;
                Some(find(end, output))
            }
            (Current::Leaving { helper }, _) => {
                helper.poll_end(now);
                None
            }
        }
    }

    /// Sees to a keeper that should have ended by now.
    pub fn poll_parting(&mut self, now: Instant) -> Parted {
        let parted = match &mut self.current {
            Current::None => return Parted::NotYet,
            Current::Running { helper, .. } | Current::Leaving { helper } => helper.poll_parting(now),
        };
        if parted == Parted::GivenUp {
            self.current = Current::None;
            self.put_off(now, self.config.interval);
        }
        parted
    }

    /// The keeper of the current one was reaped.
    pub fn reaped(&mut self, now: Instant) -> Option<ProbeFinding> {
        match std::mem::replace(&mut self.current, Current::None) {
            Current::None => None,
            Current::Running { helper, mut output } => {
                self.put_off(now, self.config.interval);
                helper.reaped(now).map(|end| find(end, &mut output))
            }
            Current::Leaving { helper } => {
                helper.reaped(now);
                None
            }
        }
    }

    fn helper(&self) -> Option<&Helper> {
        match &self.current {
            Current::None => None,
            Current::Running { helper, .. } | Current::Leaving { helper } => Some(helper),
        }
    }

    fn put_off(&mut self, now: Instant, pause: Duration) {
        if let Schedule::On { due, .. } = &mut self.schedule {
            *due = now + pause;
        }
    }

    fn start(
        &self,
        main: i32,
        restarts: u32,
        now: Instant,
        signals: &Signals,
        company: Company,
    ) -> io::Result<Current> {
        let (reading, writing) = pipe_with(PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&reading, true)?;
        let input = open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let role = Role::Helper { input: input.as_fd(), output: Output::Into(writing.as_fd()) };
        let pid = variable("SUPERVISED_PID", &main.to_string())?;
        let restarts = variable(RESTARTS, &restarts.to_string())?;
        let helper =
            Helper::start(&self.program, &[pid, restarts], &role, signals, now + self.config.timeout, company)?;
        Ok(Current::Running { helper, output: LastLine { pipe: Pipe::Open(reading), kept: Vec::new() } })
    }
}

fn find(end: HelperEnd, output: &mut LastLine) -> ProbeFinding {
    output.read();
    let outcome = match end {
        HelperEnd::Exited(ExitStatus::Code(0)) => return ProbeFinding::Success,
        HelperEnd::Exited(ExitStatus::Code(code)) => ProbeOutcome::Code(code),
        HelperEnd::Exited(ExitStatus::Signal(number)) => ProbeOutcome::Signal(number),
        HelperEnd::NotStarted(os_error) => ProbeOutcome::NotStarted(io::Error::from_raw_os_error(os_error).to_string()),
        HelperEnd::TookTooLong => ProbeOutcome::TimedOut,
    };
    failure(outcome, output.last_line())
}

fn failure(outcome: ProbeOutcome, last_words: String) -> ProbeFinding {
    ProbeFinding::Failure(UnixNotice::ProbeFailed { outcome, last_words })
}

/// The end of what a probe writes.
struct LastLine {
    pipe: Pipe,
    kept: Vec<u8>,
}

enum Pipe {
    Open(OwnedFd),
    Ended,
}

impl LastLine {
    fn source(&self) -> Source<'_> {
        let descriptor = match &self.pipe {
            Pipe::Open(pipe) => Some(pipe.as_fd()),
            Pipe::Ended => None,
        };
        Source { due: None, descriptor }
    }

    fn read(&mut self) {
        /// A flood must not drown everything else.
        const AT_A_TIME: usize = 16;
        let mut piece = [0; 4096];
        for _ in 0..AT_A_TIME {
            let Pipe::Open(pipe) = &self.pipe else { return };
            match rustix::io::retry_on_intr(|| rustix::io::read(pipe, &mut piece)) {
                Ok(0) => self.pipe = Pipe::Ended,
                Ok(length) => {
                    self.kept.extend_from_slice(&piece[..length]);
                    let surplus = self.kept.len().saturating_sub(KEPT);
                    self.kept.drain(..surplus);
                }
                Err(_) => return,
            }
        }
    }

    fn last_line(&self) -> String {
        let text = String::from_utf8_lossy(&self.kept);
        text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::pipe;

    fn said(text: &[u8]) -> LastLine {
        let (reading, writing) = pipe().unwrap();
        rustix::io::ioctl_fionbio(&reading, true).unwrap();
        rustix::io::write(&writing, text).unwrap();
        LastLine { pipe: Pipe::Open(reading), kept: Vec::new() }
    }

    #[test]
    fn the_last_line_that_says_something_is_kept() {
        let long = [&[b'x'; 5000][..], b"\n", &[b'y'; KEPT + 1], b"\n"].concat();
        let table: [(&[u8], String); 5] = [
            (b"", String::new()),
            (b"one\ntwo\n", "two".to_owned()),
            (b"one\n  two \n\n \n", "two".to_owned()),
            (b"name\xff", "name\u{fffd}".to_owned()),
            // Of the last bytes that are kept, one is the end of the line.
            (&long, "y".repeat(KEPT - 1)),
        ];
        for (text, line) in table {
            let mut output = said(text);
            // What another test has just forked may hold the other end for a moment.
            let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
            while output.source().descriptor.is_some() && std::time::Instant::now() < deadline {
                output.read();
                std::thread::yield_now();
            }
            assert_eq!(output.last_line(), line);
            assert!(matches!(output.pipe, Pipe::Ended) && output.source().descriptor.is_none());
        }
    }

    #[test]
    fn a_probe_that_still_may_say_something_is_listened_to() {
        let (reading, writing) = pipe().unwrap();
        rustix::io::ioctl_fionbio(&reading, true).unwrap();
        let mut output = LastLine { pipe: Pipe::Open(reading), kept: Vec::new() };
        output.read();
        assert!(output.source().descriptor.is_some());
        rustix::io::write(&writing, b"late").unwrap();
        output.read();
        assert_eq!(output.last_line(), "late");
    }

    #[test]
    fn each_end_but_success_is_a_failure_with_the_last_words() {
        let table = [
            (HelperEnd::Exited(ExitStatus::Code(7)), "Code(7)"),
            (HelperEnd::Exited(ExitStatus::Signal(9)), "Signal(9)"),
            (HelperEnd::NotStarted(13), "NotStarted(\"Permission denied (os error 13)\")"),
            (HelperEnd::TookTooLong, "TimedOut"),
        ];
        for (end, told) in table {
            let ProbeFinding::Failure(UnixNotice::ProbeFailed { outcome, last_words }) = find(end, &mut said(b"no"))
            else {
                panic!("{end:?} is no failure")
            };
            assert_eq!((format!("{outcome:?}").as_str(), last_words.as_str()), (told, "no"));
        }
        let success = find(HelperEnd::Exited(ExitStatus::Code(0)), &mut said(b"ok"));
        assert!(matches!(success, ProbeFinding::Success));
    }
}
