//! The backend: orders become system calls, and what the kernel tells becomes events.

use crate::clock::SystemClock;
use crate::guard::Guard;
use crate::linux;
use crate::looker::{Looker, Question};
use crate::mark::Mark;
use crate::notice::{Named, Target, UnixNotice};
use crate::process::Process;
use crate::reap::{Found, next_change};
use crate::signals::{Hangup, Signals};
use crate::spawn::{Command, Image, Spawned, failure};
use crate::tree::{Leader, Tree};
use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::Signal as Number;
use rustix::fd::AsFd;
use rustix::process::Pid;
use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use supervisor_core::{Backend, Event, ExitStatus, Instant, RunId, Signal};

/// What a [`UnixBackend`] is to run, and how.
#[derive(Clone, Debug)]
pub struct Config {
    /// The command.
    pub command: Command,
    /// The file that it touches while it is well.
    pub heartbeat_file: PathBuf,
    /// What asks a command to leave.
    pub stop_signal: Number,
    /// What asks a hung command to leave.
    pub hang_signal: Number,
}

/// Runs one command as Unix processes. There is at most one in a process, since it reaps every child.
pub struct UnixBackend<R> {
    image: Image,
    stop_signal: Number,
    hang_signal: Number,
    signals: Signals,
    looker: Looker,
    main: Main,
    tree: Tree,
    protection: Protection,
    events: VecDeque<Event>,
    report: R,
}

/// Who clears the tree if this process is killed.
enum Protection {
    /// A process of its own, which knows them by their mark.
    Guard(Guard, Mark),
    /// With the first process of a pid namespace all others end: pid_namespaces(7).
    Kernel,
    /// Only the main process is sure to end, by its parent-death signal.
    Nobody,
}

/// The main process of the current run.
enum Main {
    /// Nothing runs.
    None,
    /// Forked, and about to execute the command.
    Starting { run: RunId, spawned: Spawned },
    /// Lives, or is at least not reaped.
    Alive { run: RunId, pid: Pid },
    /// Ended; something that it started may be left. Its group bears this number.
    Ended { run: RunId, group: i32 },
}

impl<R: FnMut(UnixNotice)> UnixBackend<R> {
    /// Prepares to run a command. `report` is told what the backend does and meets.
    ///
    /// # Errors
    /// `InvalidInput` for a command that cannot be written down, and those of prctl(2) and eventfd(2).
    pub fn new(config: Config, signals: Signals, mut report: R) -> io::Result<UnixBackend<R>> {
        linux::become_subreaper()?;
        let protection = protect().unwrap_or_else(|error| {
            report(UnixNotice::Unguarded { error });
            Protection::Nobody
        });
        // After the guard was forked, so that it is a stranger to the tree.
        let (tree, visible) = Tree::new();
        if let Err(error) = visible {
            report(UnixNotice::ProcessesInvisible { error });
        }
        Ok(UnixBackend {
            image: Image::new(&config.command)?,
            stop_signal: config.stop_signal,
            hang_signal: config.hang_signal,
            signals,
            looker: Looker::new(config.heartbeat_file)?,
            main: Main::None,
            tree,
            protection,
            events: VecDeque::new(),
            report,
        })
    }

    fn sleep(&self, until: Option<Instant>) {
        let timeout = until.map(|until| until - self.now());
        let answered = PollFd::new(self.looker.answered(), PollFlags::POLLIN);
        match &self.main {
            Main::Starting { spawned, .. } => {
                let exec_result = PollFd::new(spawned.exec_result.as_fd(), PollFlags::POLLIN);
                self.signals.sleep(&mut [answered, exec_result], timeout);
            }
            Main::None | Main::Alive { .. } | Main::Ended { .. } => self.signals.sleep(&mut [answered], timeout),
        }
    }

    fn take_exec_result(&mut self) {
        let Main::Starting { run, spawned } = &self.main else { return };
        let (run, pid) = (*run, spawned.pid);
        match spawned.result() {
            None => {}
            Some(Ok(())) => {
                self.main = Main::Alive { run, pid };
                self.events.push_back(Event::Started { run, pid: raw(pid).unsigned_abs() });
            }
            Some(Err(failure)) => {
                // It exits as soon as it has told why; if it has been reaped already, all the better.
                let _ = rustix::io::retry_on_intr(|| {
                    rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty())
                });
                self.main = Main::None;
                self.events.push_back(Event::StartFailed { run, failure });
            }
        }
    }

    fn take_answers(&mut self) {
        while let Some(answer) = self.looker.take() {
            if let Some(error) = answer.error {
                (self.report)(UnixNotice::HeartbeatUnreadable { error });
            }
            if let Question::During(run) = answer.to {
                self.events.push_back(Event::Observed { run, observation: answer.observation });
            }
        }
    }

    fn take_signals(&mut self) {
        for (signal, sender) in Signals::take() {
            let event = match (signal, self.signals.hangup()) {
                (Number::SIGCHLD, _) => continue,
                (Number::SIGTERM, _) | (Number::SIGHUP, Hangup::Stop) => Event::Stop,
                (Number::SIGINT, _) => Event::Interrupt,
                (signal, _) => {
                    self.forward(signal);
                    continue;
                }
            };
            (self.report)(UnixNotice::Received { signal, sender });
            self.events.push_back(event);
        }
    }

    fn forward(&mut self, signal: Number) {
        let pid = match &self.main {
            Main::Alive { pid, .. } => Some(raw(*pid)),
            Main::None | Main::Starting { .. } | Main::Ended { .. } => None,
        };
        // It is not reaped, so that the number is still its own.
        let result = pid.map_or(Ok(()), |pid| nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal));
        (self.report)(match (result, pid) {
            (Err(error), Some(pid)) => {
                UnixNotice::SignalFailed { signal, target: Target::Process(named(pid)), error: error.into() }
            }
            (Ok(()) | Err(_), pid) => UnixNotice::Forwarded { signal, pid },
        });
    }

    fn reap(&mut self) {
        let last = loop {
            match next_change() {
                Found::Ended { pid, status } => {
                    self.tree.forget(pid);
                    if let Protection::Guard(guard, _) = &mut self.protection
                        && guard.reaped(pid)
                    {
                        (self.report)(UnixNotice::Unguarded { error: io::Error::other("it has ended") });
                    }
                    self.ended(pid, status);
                }
                Found::Stopped { pid, signal } => {
                    (self.report)(UnixNotice::Stopped { process: named(pid), signal });
                }
                Found::Continued { pid } => (self.report)(UnixNotice::Continued { pid }),
                last @ (Found::Nothing | Found::NoChildren) => break last,
            }
        };
        if let Main::Ended { run, .. } = self.main
            && (last == Found::NoChildren || self.tree.has_only_strangers())
        {
            self.main = Main::None;
            self.events.push_back(Event::Gone { run });
        }
    }

    fn ended(&mut self, pid: i32, status: ExitStatus) {
        if let Main::Starting { spawned, .. } = &self.main
            && raw(spawned.pid) == pid
        {
            // What it told on its pipe came first.
            self.take_exec_result();
        }
        if let Main::Alive { run, pid: main } = self.main
            && raw(main) == pid
        {
            self.main = Main::Ended { run, group: pid };
            self.events.push_back(Event::Exited { run, status });
        }
    }
}

impl<R: FnMut(UnixNotice)> Backend for UnixBackend<R> {
    fn now(&self) -> Instant {
        SystemClock::now()
    }

    fn start(&mut self, run: RunId, restarts: u32) {
        self.looker.before_start();
        self.take_answers();
        self.tree.begin();
        let mark = match self.protection {
            Protection::Guard(_, mark) => Some(mark),
            Protection::Kernel | Protection::Nobody => None,
        };
        match self.image.spawn(restarts, mark, &self.signals) {
            Ok(spawned) => self.main = Main::Starting { run, spawned },
            Err(error) => {
                let failure = failure(error.raw_os_error().unwrap_or_default());
                self.events.push_back(Event::StartFailed { run, failure });
            }
        }
    }

    fn signal(&mut self, _run: RunId, signal: Signal) {
        let number = match signal {
            Signal::Stop => self.stop_signal,
            Signal::Hang => self.hang_signal,
            Signal::Kill => Number::SIGKILL,
        };
        let leader = match &self.main {
            Main::None => return,
            Main::Starting { spawned, .. } => Leader::Alive(raw(spawned.pid)),
            Main::Alive { pid, .. } => Leader::Alive(raw(*pid)),
            Main::Ended { group, .. } => Leader::Gone(*group),
        };
        self.tree.signal(leader, number, &mut self.report);
    }

    fn look(&mut self, run: RunId) {
        self.looker.look(run);
    }

    fn wait(&mut self, until: Option<Instant>) -> Event {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            self.sleep(until);
            self.take_exec_result();
            self.take_answers();
            if self.events.is_empty() {
                // Only now, so that what is told of the command comes after its start.
                self.take_signals();
                self.reap();
            }
            if self.events.is_empty() && until.is_some_and(|until| self.now() >= until) {
                return Event::Elapsed;
            }
        }
    }
}

fn protect() -> io::Result<Protection> {
    if std::process::id() == 1 {
        return Ok(Protection::Kernel);
    }
    linux::proc_is_ours()?;
    let mark = Mark::own()?;
    Ok(Protection::Guard(Guard::start(mark)?, mark))
}

fn named(pid: i32) -> Named {
    Named { pid, name: Process::read(pid).map_or_else(String::new, |process| process.name) }
}

fn raw(pid: Pid) -> i32 {
    pid.as_raw_nonzero().get()
}
