//! The backend: orders become system calls, and what the kernel tells becomes events.

mod facts;
mod job_control;

use crate::autopsy::Examiner;
use crate::clock::SystemClock;
use crate::config::{Config, Hook, Notifications};
use crate::guard::{Traces, Variable};
use crate::hooks::{self, Runner};
use crate::linux;
use crate::looker::Looker;
use crate::mark::Mark;
use crate::messages::{AT_A_TIME, Messages};
use crate::notice::{Named, UnixNotice};
use crate::process::Process;
use crate::protection::Protection;
use crate::signal::Signal as Number;
use crate::signals::Signals;
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
use supervisor_core::{Backend, Event, Instant, RunId, Signal};

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
    /// When marks are renewed, where perhaps no look will do it.
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
