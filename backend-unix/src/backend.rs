//! The backend: orders become system calls, and what the kernel tells becomes events.

mod job_control;

use crate::autopsy::Examiner;
use crate::clock::SystemClock;
use crate::config::{Config, Hook, Notifications};
use crate::guard::{Traces, Variable};
use crate::hooks::{self, Runner};
use crate::linux;
use crate::looker::{Looker, Question};
use crate::mark::Mark;
use crate::messages::{AT_A_TIME, LAST_WORDS, Messages, Sender};
use crate::notice::{Named, Target, UnixNotice};
use crate::notify::Word;
use crate::process::Process;
use crate::protection::Protection;
use crate::reap::{Found, next_change};
use crate::signal::Signal as Number;
use crate::signals::{Hangup, Signals};
use crate::silence::Silence;
use crate::spawn::{Birth, Command, Image, RESTARTS, Spawned, failure, restarts_variable};
use crate::terminal::Terminal;
use crate::tree::{Leader, Tree};
use nix::poll::{PollFd, PollFlags};
use rustix::fd::AsFd;
use rustix::process::Pid;
use std::collections::VecDeque;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;
use supervisor_core::{Backend, Event, ExitStatus, Instant, Message, Observation, RunId, Signal};

const HEARTBEAT_FILE: &str = "HEARTBEAT_FILE";
const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";

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
    messages: Option<Messages>,
    hooks: Option<Runner>,
    terminal: Terminal,
    examiner: Examiner,
    tick: Option<Tick>,
    /// When marks are renewed, where no look will do it.
    renewal: Option<Instant>,
    events: VecDeque<Event>,
    report: R,
}

/// The next [`UnixNotice::Tick`].
struct Tick {
    every: Duration,
    due: Instant,
}

/// The main process of the current run.
enum Main {
    /// Nothing runs.
    None,
    /// Forked, and about to execute the command.
    Starting { run: RunId, spawned: Spawned, silence: Silence },
    /// Lives, or is at least not reaped.
    Alive { run: RunId, pid: Pid },
    /// Ended; something that it started may be left. Its group bears this number.
    Ended { run: RunId, group: i32, sight: Sight },
}

/// Whether it can be told what is left of a run.
#[derive(Clone, Copy)]
enum Sight {
    Clear,
    /// Not just now. A signal may be due to what is left.
    Lost {
        retry_at: Instant,
        unsent: Option<Number>,
    },
}

/// Su(1) and its like have begun their session so long after their start.
const SESSION_BEGINS: Duration = Duration::from_secs(1);

/// Between two attempts to see what is left.
const BLINK: Duration = Duration::from_millis(100);

impl<R: FnMut(UnixNotice)> UnixBackend<R> {
    /// Prepares to run a command. `report` is told what the backend does and meets.
    ///
    /// # Errors
    /// `InvalidInput` for a command that cannot be written down, and those of prctl(2) and eventfd(2).
    pub fn new(config: Config, signals: Signals, mut report: R) -> io::Result<UnixBackend<R>> {
        linux::become_subreaper()?;
        let mut command = config.command;
        let messages = match config.notifications {
            Notifications::Refused => None,
            Notifications::Taken => Some(Messages::open()?),
        };
        let socket = messages.as_ref().map(Messages::place);
        if let Some(socket) = socket {
            command.environment.retain(|(name, _)| name != NOTIFY_SOCKET);
            command.environment.push((NOTIFY_SOCKET.into(), socket.variable()));
        }
        let own_mark = Mark::own();
        let mark = own_mark.as_ref().ok().copied();
        let traces = Traces { mark, variable: variable_of(&command) };
        let protection = Protection::begin(traces, socket.cloned(), &mut report);
        if let (Err(error), true) = (own_mark, protection.is_by_guard()) {
            report(UnixNotice::Unmarked { error });
        }
        // After the guard was forked, so that it is a stranger to the tree.
        let (hooks, hook_mark) = match config.hook {
            Hook::None => (None, None),
            Hook::Run(program, hooks) => (Some(Runner::new(&program, hooks, mark)?), mark.map(Mark::of_hook)),
        };
        let tree = Tree::new(hook_mark, &mut report)?;
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
            messages,
            hooks,
            terminal: Terminal::Kept,
            examiner: Examiner::new(),
            renewal: None,
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
            let hook_due = self.hooks.as_ref().and_then(Runner::due);
            let due = hook_due.map_or(until, |due| due.min(until));
            // Nothing but hooks and requests to stop is of interest any more.
            self.signals.sleep(&mut [], Some(due - self.now()));
            self.take_signals();
            self.reap();
        }
        if let Some(hooks) = &mut self.hooks {
            hooks.end(&mut self.report);
        }
    }

    fn sleep(&self, until: Option<Instant>) {
        let dues = [
            until,
            self.hooks.as_ref().and_then(Runner::due),
            self.tick.as_ref().map(|tick| tick.due),
            self.looker.as_ref().and_then(Looker::due),
            self.protection.due(),
            self.terminal.due(),
            self.main.due(),
            self.renewal,
        ];
        let until = dues.into_iter().flatten().min();
        let timeout = until.map(|until| until - self.now());
        let readable = |descriptor| PollFd::new(descriptor, PollFlags::POLLIN);
        let mut descriptors: Vec<_> = self.looker.iter().map(|looker| readable(looker.answered())).collect();
        match (&self.main, &self.messages) {
            (Main::Starting { spawned, .. }, _) => descriptors.push(readable(spawned.exec_result.as_fd())),
            (Main::None | Main::Alive { .. } | Main::Ended { .. }, Some(messages)) => {
                descriptors.push(readable(messages.received()));
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
        if let Main::Starting { silence, .. } = &mut self.main
            && let Some(waited) = silence.overdue(now)
        {
            (self.report)(UnixNotice::StartUnanswered { waited });
        }
        if let Some(guard) = self.protection.turn(now, &mut self.report) {
            self.tree.ignore(guard);
        }
        if self.terminal.due().is_some_and(|due| now >= due) {
            self.lend_terminal();
        }
        if let Main::Ended { group, sight: Sight::Lost { retry_at, unsent: Some(signal) }, .. } = self.main
            && now >= retry_at
        {
            let result = self.tree.signal(Leader::Gone(group), signal, &mut self.report);
            self.saw(result, Some(signal));
        }
        if let Some(hooks) = &mut self.hooks {
            hooks.turn(now, &self.signals, &mut self.report);
            self.tree.spare(hooks.pid());
        }
        if self.renewal.is_some_and(|due| now >= due) {
            self.renewal = None;
            self.renew_marks();
        }
        if let Some(tick) = &mut self.tick
            && now >= tick.due
        {
            tick.due = now + tick.every;
            (self.report)(UnixNotice::Tick);
        }
    }

    fn take_messages(&mut self, most: usize) {
        let UnixBackend { main, tree, examiner, events, report, messages, .. } = self;
        let Some(messages) = messages else { return };
        let own = std::process::id().cast_signed();
        let knows = |pid: i32, main: Option<Pid>| match Process::read(pid) {
            // A privileged systemd-notify(1) that is the main process speaks for its parent.
            _ if pid == own || main.is_some_and(|main| raw(main) == pid) || tree.holds(pid) => Sender::OfCommand,
            None if pid != 0 => Sender::Gone,
            Some(_) | None => Sender::Stranger,
        };
        let (run, words) = match main {
            // What comes before the start is known waits for it.
            Main::Starting { .. } => return,
            Main::None => return drop(messages.take(most, |_| Sender::Gone, &mut |_| {})),
            Main::Alive { run, pid } => (*run, messages.take(most, |sender| knows(sender, Some(*pid)), report)),
            Main::Ended { run, .. } => (*run, messages.take(most, |sender| knows(sender, None), report)),
        };
        for word in words {
            match word {
                Word::ForMachine(message) => {
                    if message == Message::Heartbeat {
                        examiner.told(tree);
                    }
                    events.push_back(Event::Told { run, message });
                }
                Word::Status(text) => report(UnixNotice::StatusText { text }),
            }
        }
    }

    fn take_exec_result(&mut self) {
        let Main::Starting { run, spawned, .. } = &self.main else { return };
        let (run, pid) = (*run, spawned.pid);
        match spawned.result() {
            None => {}
            Some(Ok(())) => {
                self.main = Main::Alive { run, pid };
                // Told heartbeats put looks off for ever.
                let may_never_look = self.looker.is_none() || self.messages.is_some();
                self.renewal = may_never_look.then(|| self.now() + SESSION_BEGINS);
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
                    // It costs no wake-up now, and delays no decision.
                    self.renew_marks();
                }
                self.events.push_back(Event::Observed { run, observation: answer.observation });
            }
        }
    }

    fn renew_marks(&self) {
        self.mark.into_iter().for_each(|mark| self.tree.renew(mark));
    }

    fn take_signals(&mut self) {
        for (signal, sender) in Signals::take() {
            let event = match (signal, self.signals.hangup()) {
                (Number::CHLD, _) => continue,
                (Number::INT, _) => Event::Interrupt,
                (Number::HUP, Hangup::Forward) | (Number::QUIT | Number::USR1 | Number::USR2 | Number::WINCH, _) => {
                    self.forward(signal);
                    continue;
                }
                (Number::TSTP, _) => {
                    self.suspend();
                    continue;
                }
                (signal, _) if signal.is_real_time() => {
                    self.forward(signal);
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
        let result = pid.map_or(Ok(()), |pid| signal.send(pid));
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
                    self.protection.reaped(pid, &mut self.report);
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
        let Main::Ended { run, group, sight } = self.main else { return };
        let is_empty = if last == Found::NoChildren { Ok(true) } else { self.tree.is_empty(group) };
        if let Ok(true) = is_empty {
            self.main = Main::None;
            self.events.push_back(Event::Gone { run });
        } else if !matches!(sight, Sight::Lost { unsent: Some(_), .. }) {
            self.saw(is_empty.map(drop), None);
        }
    }

    /// Takes note whether it could be told what is left, and what else has to be sent to it.
    fn saw(&mut self, result: io::Result<()>, unsent: Option<Number>) {
        let now = self.now();
        let Main::Ended { sight, .. } = &mut self.main else { return };
        let before = *sight;
        *sight = match result {
            Ok(()) => Sight::Clear,
            Err(_) => Sight::Lost { retry_at: now + BLINK, unsent },
        };
        if let (Err(error), Sight::Clear) = (result, before) {
            (self.report)(UnixNotice::LeftoversUnseen { error });
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
            self.take_messages(LAST_WORDS);
            self.settle_terminal(main, status);
            self.main = Main::Ended { run, group: pid, sight: Sight::Clear };
            self.events.push_back(Event::Exited { run, status });
        }
    }
}

impl Main {
    /// When to look again for what is left, or to tell of a start that takes too long.
    fn due(&self) -> Option<Instant> {
        match self {
            Main::Starting { silence, .. } => silence.due(),
            Main::Ended { sight: Sight::Lost { retry_at, .. }, .. } => Some(*retry_at),
            Main::Ended { sight: Sight::Clear, .. } | Main::None | Main::Alive { .. } => None,
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
        let spawned = restarts_variable(restarts)
            .and_then(|restarts| self.image.spawn(&[restarts], &Birth::Command { mark: self.mark }, &self.signals));
        match spawned {
            Ok(spawned) => self.main = Main::Starting { run, spawned, silence: Silence::Since(self.now()) },
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
            Signal::Kill => Number::KILL,
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
        if number == Number::INT {
            self.terminal.request_by_sigint();
        }
        let result = self.tree.signal(leader, number, &mut self.report);
        self.saw(result, Some(number));
    }

    fn look(&mut self, run: RunId) {
        self.examiner.look(&self.tree);
        self.looker.iter_mut().for_each(|looker| looker.look(run));
    }

    fn wait(&mut self, until: Option<Instant>) -> Event {
        loop {
            let is_due = until.is_some_and(|until| self.now() >= until);
            // Whatever the command has to tell, a deadline is kept.
            let is_held_up = is_due && matches!(self.events.front(), Some(Event::Told { .. }));
            if is_held_up {
                return Event::Elapsed;
            }
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            self.turn();
            self.sleep(until);
            self.take_exec_result();
            self.take_answers();
            if self.events.is_empty() {
                // Only now, so that what is told of the command comes after its start.
                self.take_messages(AT_A_TIME);
                self.take_signals();
                self.reap();
            }
            if self.events.is_empty() && until.is_some_and(|until| self.now() >= until) {
                return Event::Elapsed;
            }
        }
    }
}

/// What the guard knows the command by, should it have lost its mark. Nothing below another supervisor, whose command
/// may have the same variables, and who gets the same orphans.
fn variable_of(command: &Command) -> Option<Variable> {
    let own = Process::read(std::process::id().cast_signed())?;
    if Mark::on(own.pid).is_some() || std::env::var_os(RESTARTS).is_some() {
        return None;
    }
    let (name, value) = command.environment.iter().find(|(name, _)| name == HEARTBEAT_FILE)?;
    Some(Variable { assignment: [name.as_bytes(), b"=", value.as_bytes()].concat(), since: own.start_time })
}

fn named(pid: i32) -> Named {
    Named { pid, name: Process::read(pid).map_or_else(String::new, |process| process.name) }
}

fn raw(pid: Pid) -> i32 {
    pid.as_raw_nonzero().get()
}
