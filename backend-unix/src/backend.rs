//! The backend: orders become system calls, and what the kernel tells becomes events.

use crate::autopsy::Examiner;
use crate::clock::SystemClock;
use crate::guard::Guard;
use crate::hooks::{self, Hooks, Runner};
use crate::linux;
use crate::looker::{Looker, Question};
use crate::mark::Mark;
use crate::notice::{Named, Target, UnixNotice};
use crate::notify::{Datagram, Nonsense, Notify, Place, Word};
use crate::process::Process;
use crate::reap::{Found, next_change};
use crate::signals::{Hangup, Signals};
use crate::spawn::{Birth, Command, Image, Spawned, failure, restarts_variable};
use crate::terminal::Terminal;
use crate::tree::{Leader, Tree};
use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::Signal as Number;
use rustix::fd::AsFd;
use rustix::process::Pid;
use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use supervisor_core::{Backend, Event, ExitStatus, Instant, Message, Observation, RunId, Signal};

const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";

/// What a [`UnixBackend`] is to run, and how.
#[derive(Clone, Debug)]
pub struct Config {
    /// The command.
    pub command: Command,
    /// The file that it touches while it is well, if anybody is to look at it.
    pub heartbeat_file: Option<PathBuf>,
    /// What asks a command to leave.
    pub stop_signal: Number,
    /// What asks a hung command to leave.
    pub hang_signal: Number,
    /// Whether the command may tell things of itself.
    pub notifications: Notifications,
    /// What is run for each event.
    pub hook: Hook,
    /// How often [`UnixNotice::Tick`] is told; never, if this is none.
    pub tick: Option<Duration>,
}

/// Whether the command gets a `NOTIFY_SOCKET`: sd_notify(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notifications {
    /// It does not.
    Refused,
    /// It does.
    Taken,
}

/// What is run for each event.
#[derive(Clone, Debug)]
pub enum Hook {
    /// Nothing.
    None,
    /// This program, for each event of a queue that somebody fills.
    Run(Command, Hooks),
}

/// Runs one command as Unix processes. There is at most one in a process, since it reaps every child.
pub struct UnixBackend<R> {
    image: Image,
    stop_signal: Number,
    hang_signal: Number,
    signals: Signals,
    looker: Option<Looker>,
    main: Main,
    tree: Tree,
    protection: Protection,
    mark: Option<Mark>,
    notify: Option<Notify>,
    nonsense: Nonsensical,
    hooks: Option<Runner>,
    terminal: Terminal,
    examiner: Examiner,
    tick: Option<Tick>,
    events: VecDeque<Event>,
    report: R,
}

/// Whether a message that makes no sense has been told of.
enum Nonsensical {
    NotYet,
    Told,
}

/// The next [`UnixNotice::Tick`].
struct Tick {
    every: Duration,
    due: Instant,
}

/// Who clears the tree if this process is killed.
enum Protection {
    /// A process of its own, which knows them by their mark.
    Guard(Guard),
    /// It was, and has ended; with the next run there will be another.
    Lost,
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
        let mut command = config.command;
        let notify = match config.notifications {
            Notifications::Refused => None,
            Notifications::Taken => Some(Notify::open()?),
        };
        let socket = notify.as_ref().map(Notify::place);
        if let Some(socket) = socket {
            command.environment.retain(|(name, _)| name != NOTIFY_SOCKET);
            command.environment.push((NOTIFY_SOCKET.into(), socket.variable()));
        }
        let mark = Mark::own();
        let protection = protect(&mark, socket).unwrap_or_else(|error| {
            report(UnixNotice::Unguarded { error });
            Protection::Nobody
        });
        let mark = mark.ok();
        // After the guard was forked, so that it is a stranger to the tree.
        let (hooks, hook_mark) = match config.hook {
            Hook::None => (None, None),
            Hook::Run(program, hooks) => (Some(Runner::new(&program, hooks, mark)?), mark.map(Mark::of_hook)),
        };
        let (tree, visible) = Tree::new(hook_mark);
        if let Err(error) = visible {
            report(UnixNotice::ProcessesInvisible { error });
        }
        Ok(UnixBackend {
            image: Image::new(&command)?,
            stop_signal: config.stop_signal,
            hang_signal: config.hang_signal,
            signals,
            looker: config.heartbeat_file.map(Looker::new).transpose()?,
            main: Main::None,
            tree,
            protection,
            mark,
            notify,
            nonsense: Nonsensical::NotYet,
            hooks,
            terminal: Terminal::Kept,
            examiner: Examiner::new(),
            tick: config.tick.map(|every| Tick { every, due: SystemClock::now() }),
            events: VecDeque::new(),
            report,
        })
    }

    /// Lets hooks finish what is told so far, for a short while, and ends them then, or at a request to stop at once.
    pub fn finish(&mut self) {
        let until = self.now() + hooks::LONGEST;
        loop {
            self.turn();
            let is_idle = self.hooks.as_ref().is_none_or(Runner::is_idle);
            if is_idle || self.now() >= until || self.events.contains(&Event::Interrupt) {
                break;
            }
            self.events.clear();
            self.sleep(Some(until));
            self.take_signals();
            self.reap();
        }
        if let Some(hooks) = &mut self.hooks {
            hooks.end(&mut self.report);
        }
    }

    fn sleep(&self, until: Option<Instant>) {
        let hook_due = self.hooks.as_ref().and_then(Runner::due);
        let tick_due = self.tick.as_ref().map(|tick| tick.due);
        let answer_due = self.looker.as_ref().and_then(Looker::due);
        let until = [until, hook_due, tick_due, answer_due].into_iter().flatten().min();
        let timeout = until.map(|until| until - self.now());
        let readable = |descriptor| PollFd::new(descriptor, PollFlags::POLLIN);
        let mut descriptors: Vec<_> = self.looker.iter().map(|looker| readable(looker.answered())).collect();
        match (&self.main, &self.notify) {
            (Main::Starting { spawned, .. }, _) => descriptors.push(readable(spawned.exec_result.as_fd())),
            (Main::None | Main::Alive { .. } | Main::Ended { .. }, Some(notify)) => {
                descriptors.push(readable(notify.received()));
            }
            (Main::None | Main::Alive { .. } | Main::Ended { .. }, None) => {}
        }
        self.signals.sleep(&mut descriptors, timeout);
    }

    /// What is due beside the command.
    fn turn(&mut self) {
        let now = self.now();
        if let Some(waited) = self.looker.as_mut().and_then(|looker| looker.overdue(now)) {
            (self.report)(UnixNotice::HeartbeatUnanswered { waited });
        }
        if let Some(hooks) = &mut self.hooks {
            hooks.turn(now, &self.signals, &mut self.report);
            self.tree.spare(hooks.pid());
        }
        if let Some(tick) = &mut self.tick
            && now >= tick.due
        {
            tick.due = now + tick.every;
            (self.report)(UnixNotice::Tick);
        }
    }

    fn take_messages(&mut self) {
        /// A flood must not drown everything else.
        const AT_A_TIME: usize = 64;
        if let Main::Starting { .. } = self.main {
            // What comes before the start is known waits for it.
            return;
        }
        for _ in 0..AT_A_TIME {
            let Some(Datagram { sender, words }) = self.notify.as_ref().and_then(Notify::take) else { return };
            let run = match &self.main {
                Main::Alive { run, .. } | Main::Ended { run, .. } if self.is_of_command(sender) => *run,
                Main::None | Main::Starting { .. } | Main::Alive { .. } | Main::Ended { .. } => {
                    // What a run that is over said last is no news.
                    if sender == 0 || Process::read(sender).is_some() {
                        self.refuse(&format!("pid {sender} is not of the command"));
                    }
                    continue;
                }
            };
            match words {
                Ok(words) => {
                    for word in words {
                        match word {
                            Word::ForMachine(message) => {
                                if message == Message::Heartbeat {
                                    self.examiner.told(&self.tree);
                                }
                                self.events.push_back(Event::Told { run, message });
                            }
                            Word::Status(text) => (self.report)(UnixNotice::StatusText { text }),
                        }
                    }
                }
                Err(Nonsense::TooLong) => self.refuse("it is longer than 4096 bytes"),
                Err(Nonsense::Line(line)) => self.refuse(&format!("{line} means nothing")),
            }
        }
    }

    fn is_of_command(&self, sender: i32) -> bool {
        let is_main = matches!(&self.main, Main::Alive { pid, .. } if raw(*pid) == sender);
        // A privileged systemd-notify(1) that is the main process speaks for its parent.
        let is_ours = sender.cast_unsigned() == std::process::id();
        is_main || is_ours || self.tree.holds(sender)
    }

    fn refuse(&mut self, why: &str) {
        if let Nonsensical::NotYet = self.nonsense {
            self.nonsense = Nonsensical::Told;
            (self.report)(UnixNotice::MessageRefused { error: io::Error::other(why.to_owned()) });
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
        while let Some(answer) = self.looker.as_mut().and_then(Looker::take) {
            if let Some(error) = answer.error {
                (self.report)(UnixNotice::HeartbeatUnreadable { error });
            }
            if let Question::During(run) = answer.to {
                if answer.observation != Observation::Unchanged {
                    self.examiner.found();
                }
                self.events.push_back(Event::Observed { run, observation: answer.observation });
            }
        }
    }

    fn take_signals(&mut self) {
        for (signal, sender) in Signals::take() {
            let event = match (signal, self.signals.hangup()) {
                (Number::SIGCHLD, _) => continue,
                (Number::SIGINT, _) => Event::Interrupt,
                (Number::SIGHUP, Hangup::Forward)
                | (Number::SIGQUIT | Number::SIGUSR1 | Number::SIGUSR2 | Number::SIGWINCH, _) => {
                    self.forward(signal);
                    continue;
                }
                (Number::SIGTSTP, _) => {
                    self.suspend();
                    continue;
                }
                _ => Event::Stop,
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
                    if let Some(hooks) = &mut self.hooks
                        && hooks.reaped(pid, status, &mut self.report)
                    {
                        self.tree.spare(hooks.pid());
                        continue;
                    }
                    if let Protection::Guard(guard) = &mut self.protection
                        && guard.reaped(pid)
                    {
                        // One that is killed again and again must not keep us from our work.
                        let is_old = guard.age() >= Duration::from_secs(1);
                        self.protection = Protection::Lost;
                        (self.report)(UnixNotice::GuardLost);
                        if is_old {
                            self.guard_again();
                        }
                    }
                    self.ended(pid, status);
                }
                Found::Stopped { pid, signal } => {
                    (self.report)(UnixNotice::Stopped { process: named(pid), signal });
                    self.stopped(pid, signal);
                }
                Found::Continued { pid } => (self.report)(UnixNotice::Continued { pid }),
                last @ (Found::Nothing | Found::NoChildren) => break last,
            }
        };
        if let Main::Ended { run, group } = self.main
            && (last == Found::NoChildren || self.tree.is_empty(group))
        {
            self.main = Main::None;
            self.events.push_back(Event::Gone { run });
        }
    }

    /// A main process that wants the terminal gets it, if we have it; one that is stopped by its keys stops us too.
    fn stopped(&mut self, pid: i32, signal: i32) {
        let Main::Alive { pid: main, .. } = &self.main else { return };
        let main = *main;
        if raw(main) != pid {
            return;
        }
        if [Number::SIGTTIN as i32, Number::SIGTTOU as i32].contains(&signal) && self.terminal.lend(main) {
            signal_group(pid, Number::SIGCONT);
            (self.report)(UnixNotice::TerminalLent { group: pid });
        } else if signal == Number::SIGTSTP as i32 && self.terminal == Terminal::Lent {
            self.suspend();
        }
    }

    /// Stops the command and this process, as the terminal's keys ask, until somebody continues us.
    fn suspend(&mut self) {
        let main = match &self.main {
            Main::Alive { pid, .. } => Some(*pid),
            Main::None | Main::Starting { .. } | Main::Ended { .. } => None,
        };
        (self.report)(UnixNotice::Suspended);
        let had_terminal = main.is_some_and(|main| self.terminal.take_back(main));
        main.into_iter().for_each(|main| signal_group(raw(main), Number::SIGTSTP));
        // Nothing is lost if we cannot be stopped.
        let _ = self.signals.suspend();
        (self.report)(UnixNotice::Resumed);
        if let (Some(main), true) = (main, had_terminal) {
            self.terminal.lend(main);
        }
        main.into_iter().for_each(|main| signal_group(raw(main), Number::SIGCONT));
    }

    /// The terminal comes back with the end of the main process. One that ended by its keys was told to by a person.
    fn take_terminal_back(&mut self, main: Pid, status: ExitStatus) {
        const AFTER_SIGINT: [ExitStatus; 2] = [ExitStatus::Signal(2), ExitStatus::Code(128 + 2)];
        if self.terminal.take_back(main) && AFTER_SIGINT.contains(&status) {
            (self.report)(UnixNotice::Received { signal: Number::SIGINT, sender: 0 });
            self.events.push_back(Event::Interrupt);
        }
    }

    fn guard_again(&mut self) {
        let (Protection::Lost, Some(mark)) = (&self.protection, self.mark) else { return };
        match Guard::start(mark, self.notify.as_ref().map(Notify::place)) {
            Ok(guard) => {
                self.tree.ignore(guard.pid().unwrap_or_default());
                self.protection = Protection::Guard(guard);
            }
            Err(error) => (self.report)(UnixNotice::Unguarded { error }),
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
            self.take_terminal_back(main, status);
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
        self.looker.iter_mut().for_each(Looker::before_start);
        self.take_answers();
        self.tree.begin();
        self.examiner.begin();
        self.guard_again();
        let spawned = restarts_variable(restarts)
            .and_then(|restarts| self.image.spawn(&[restarts], &Birth::Command { mark: self.mark }, &self.signals));
        match spawned {
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
        if let (Signal::Hang, Main::Alive { .. }) = (signal, &self.main) {
            let processes = self.examiner.examine(&self.tree);
            (self.report)(UnixNotice::Autopsy { processes });
        }
        self.tree.signal(leader, number, &mut self.report);
    }

    fn look(&mut self, run: RunId) {
        self.examiner.look(&self.tree);
        self.looker.iter_mut().for_each(|looker| looker.look(run));
    }

    fn wait(&mut self, until: Option<Instant>) -> Event {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            self.turn();
            self.sleep(until);
            self.take_exec_result();
            self.take_answers();
            if self.events.is_empty() {
                // Only now, so that what is told of the command comes after its start.
                self.take_messages();
                self.take_signals();
                self.reap();
            }
            if self.events.is_empty() && until.is_some_and(|until| self.now() >= until) {
                return Event::Elapsed;
            }
        }
    }
}

fn protect(mark: &io::Result<Mark>, socket: Option<&Place>) -> io::Result<Protection> {
    if std::process::id() == 1 {
        return Ok(Protection::Kernel);
    }
    linux::proc_is_ours()?;
    match mark {
        Ok(mark) => Ok(Protection::Guard(Guard::start(*mark, socket)?)),
        Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
    }
}

/// A group whose leader is not reaped; that it may be gone is nothing to tell.
fn signal_group(group: i32, signal: Number) {
    let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(group), signal);
}

fn named(pid: i32) -> Named {
    Named { pid, name: Process::read(pid).map_or_else(String::new, |process| process.name) }
}

fn raw(pid: Pid) -> i32 {
    pid.as_raw_nonzero().get()
}
