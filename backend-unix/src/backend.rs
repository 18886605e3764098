//! The backend: orders become system calls, and what the kernel tells becomes events and notices, in one queue.

mod children;
mod job_control;
mod run;
mod signalling;

use crate::cgroup::MemoryKills;
use crate::clock::SystemClock;
use crate::config::{Config, Notifications, StopTarget};
use crate::heartbeat::watcher::{Finding, Watcher};
use crate::helper::Parted;
use crate::hooks::HookRunner;
use crate::keeper::exec::{Program, RESTARTS, Role, failure, variable};
use crate::keeper::{Keeper, Remains};
use crate::linux;
use crate::notice::{Trouble, UnixNotice};
use crate::notify::{self, AT_A_TIME, Notify};
use crate::probe::{ProbeFinding, ProbeRunner};
use crate::signals::{Hangup, Signal, Signals};
use crate::source::Source;
use crate::terminal::Terminal;
use crate::timer::Timer;
use crate::tree::Tree;
use crate::tree::snapshot::CpuSampler;
use children::Children;
use job_control::Suspension;
use run::Run;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::io;
use std::time::Duration;
use supervisor_core::{Backend, Event, Incoming, Instant, Message, Observation, Purpose, RunId};

/// A signal that goes out so much later than it was ordered, for all that is looked at before it, begins its time anew.
const WORTH_MENTIONING: Duration = Duration::from_millis(2);

/// Where nothing can be waited for, the loop takes a breath instead.
const BREATH: Duration = Duration::from_millis(10);
/// At the end, so long adopted processes may take to die.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";

/// Runs one command as Unix processes. There is at most one in a process, since it reaps every child.
pub struct UnixBackend {
    program: Program,
    stop_signal: Signal,
    hang_signal: Signal,
    stop_target: StopTarget,
    stop_on: Vec<Signal>,
    restart_signal: Option<Signal>,
    signals: Signals,
    remains: Remains,
    watcher: Option<Watcher>,
    run: Run,
    /// Made so far in this streak.
    restarts: u32,
    tree: Tree,
    children: Children,
    notify: Option<Notify>,
    status: notify::Status,
    hooks: Option<HookRunner>,
    probe: Option<ProbeRunner>,
    terminal: Terminal,
    suspension: Suspension,
    sampler: CpuSampler,
    /// The last sign of life of the run, as far as it is known.
    last_beat: Instant,
    memory_kills: MemoryKills,
    /// What they came to when the run began.
    memory_kills_before: Option<u64>,
    tick: Option<Tick>,
    timer: Timer,
    queue: VecDeque<Incoming<UnixNotice>>,
}

/// The next [`UnixNotice::Tick`].
struct Tick {
    every: Duration,
    due: Instant,
}

impl UnixBackend {
    /// Prepares to run a command.
    ///
    /// # Errors
    /// `InvalidInput` for a command that cannot be written down, and those of prctl(2), eventfd(2) and socket(2).
    pub fn new(config: Config, signals: Signals) -> io::Result<UnixBackend> {
        linux::become_subreaper()?;
        linux::count_arguments();
        let mut command = config.command;
        let mut queue = VecDeque::new();
        let mut notify = None;
        if config.notifications == Notifications::Taken {
            let (opened, notice) = Notify::open()?;
            command.environment.retain(|(name, _)| name != NOTIFY_SOCKET);
            command.environment.push((NOTIFY_SOCKET.into(), opened.address().variable()));
            queue.extend(notice.map(Incoming::Notice));
            notify = Some(opened);
        }
        let company = children::company();
        let (tree, notice) = Tree::new(company);
        queue.extend(notice.map(Incoming::Notice));
        let socket = notify.as_ref().map(|notify| notify.address().clone());
        Ok(UnixBackend {
            program: Program::new(&command)?,
            stop_signal: config.stop_signal,
            hang_signal: config.hang_signal,
            stop_target: config.stop_target,
            stop_on: config.stop_on,
            restart_signal: config.restart_signal,
            signals,
            remains: Remains { files: config.own_files, socket },
            watcher: config.heartbeat_file.map(Watcher::new).transpose()?,
            run: Run::Idle,
            restarts: 0,
            children: Children::new(tree.proc(), company),
            tree,
            notify,
            status: notify::Status::default(),
            hooks: config.hook.map(|hook| HookRunner::new(&hook.command, hook.calls)).transpose()?,
            probe: config.probe.map(ProbeRunner::new).transpose()?,
            terminal: Terminal::Kept,
            suspension: Suspension::None,
            sampler: CpuSampler::new(),
            last_beat: SystemClock::now(),
            memory_kills: MemoryKills::default(),
            memory_kills_before: None,
            tick: config.tick.map(|every| Tick { every, due: SystemClock::now() }),
            timer: Timer::new(),
            queue,
        })
    }

    /// Lets hooks finish what is told so far, but no longer than `patience`, and ends them then, or at a request to stop
    /// at once. `report` is told what they meet.
    pub fn finish(&mut self, patience: Duration, mut report: impl FnMut(UnixNotice)) {
        let until = self.now() + patience;
        let hurry_at = self.now() + patience / 4;
        loop {
            if self.now() >= hurry_at {
                self.hooks.iter_mut().for_each(HookRunner::hurry);
            }
            self.poll_due();
            let is_idle = self.hooks.as_mut().is_none_or(HookRunner::is_idle);
            let mut is_interrupted = false;
            for incoming in self.queue.drain(..) {
                match incoming {
                    Incoming::Notice(notice) => report(notice),
                    Incoming::Event(event) => is_interrupted |= event == Event::Interrupt,
                }
            }
            if is_idle || is_interrupted || self.now() >= until {
                break;
            }
            self.sleep(Some(if self.now() < hurry_at { hurry_at } else { until }));
            self.gather();
        }
        let has_killed_keeper = self.hooks.iter().any(HookRunner::has_killed_keeper)
            || self.probe.as_ref().is_some_and(ProbeRunner::has_killed_keeper);
        self.hooks.as_mut().and_then(HookRunner::end).into_iter().for_each(report);
        self.probe = None;
        if has_killed_keeper {
            self.adopt();
        }
        self.finish_adopted();
    }

    /// Nothing that was adopted outlives this process. What cannot die is not waited for long.
    fn finish_adopted(&mut self) {
        let until = self.now() + LAST_PATIENCE;
        while self.children.has_adopted() && self.now() < until {
            self.sleep(Some(until));
            self.gather();
            self.poll_due();
        }
    }

    /// Everything that can wake the loop.
    fn sources(&self) -> impl Iterator<Item = Source<'_>> {
        let notify = self.notify.as_ref().map_or(Source::NONE, |notify| self.run.source_of_messages(notify));
        let others = [
            Source { due: None, descriptor: Some(self.signals.inbox()) },
            self.watcher.as_ref().map_or(Source::NONE, Watcher::source),
            notify,
            self.status.source(),
            Source { due: self.tick.as_ref().map(|tick| tick.due), descriptor: None },
            Source { due: self.terminal.due(), descriptor: None },
            Source { due: self.children.due(), descriptor: None },
        ];
        let probe = self.probe.as_ref().map_or([Source::NONE; 2], ProbeRunner::sources);
        let hooks = self.hooks.iter().flat_map(HookRunner::sources);
        others.into_iter().chain(self.run.sources()).chain(probe).chain(hooks)
    }

    fn sleep(&self, mut until: Option<Instant>) {
        /// About 30 years: more seconds than that are not understood everywhere.
        const LONGEST: Duration = Duration::from_secs(1_000_000_000);
        let now = self.now();
        let mut descriptors = Vec::new();
        // What is due beside the command may come a little late.
        let timer = until.and_then(|until| self.timer.at(until, now));
        descriptors.extend(timer.map(|timer| PollFd::from_borrowed_fd(timer, PollFlags::IN)));
        for Source { due, descriptor } in self.sources() {
            until = due.into_iter().chain(until).min();
            descriptors.extend(descriptor.map(|descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN)));
        }
        let timeout = until.map(|until| (until - now).min(LONGEST));
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        // After it everything is looked at anyway. Memory may be wanting for a moment, and the limit of descriptors may have
        // been lowered below those that are open.
        if let Err(Errno::NOMEM | Errno::INVAL) = poll(&mut descriptors, timeout.as_ref()) {
            std::thread::sleep(BREATH);
        }
    }

    /// What is due beside the command.
    fn poll_due(&mut self) {
        let now = self.now();
        if let Some(waited) = self.watcher.as_mut().and_then(|watcher| watcher.overdue(now)) {
            self.trouble(Trouble::HeartbeatUnanswered { waited });
        }
        self.watcher.iter_mut().for_each(|watcher| watcher.look_again(now));
        if let Some(waited) = self.run.start_overdue(now) {
            self.trouble(Trouble::StartUnanswered { waited });
        }
        if self.terminal.due().is_some_and(|due| now >= due) {
            self.lend_terminal();
        }
        self.retry_signal(now);
        self.look_for_holder(now);
        if self.children.due().is_some_and(|due| now >= due) {
            self.clear_adopted();
        }
        let notices = self.status.poll(now);
        self.tell_all(notices);
        // Before hooks that wait are started: one that is given up makes room.
        self.poll_partings(now);
        let company = self.children.company();
        let notices = self.hooks.as_mut().map(|hooks| hooks.poll(now, &self.signals, company));
        self.tell_all(notices.unwrap_or_default());
        let finding = self.probe.as_mut().and_then(|probe| probe.poll(now, &self.signals, company));
        self.take_probe(finding);
        if let Some(tick) = &mut self.tick
            && now >= tick.due
        {
            tick.due = now + tick.every;
            self.tell(UnixNotice::Tick {});
        }
    }

    /// Sees to keepers of hooks and probes that do not end.
    fn poll_partings(&mut self, now: Instant) {
        let of_hooks = self.hooks.as_mut().map(|hooks| hooks.poll_parting(now)).unwrap_or_default();
        let of_probe = self.probe.as_mut().map(|probe| probe.poll_parting(now));
        for parted in of_hooks.into_iter().chain(of_probe) {
            match parted {
                Parted::NotYet => {}
                Parted::Held { keeper } => self.trouble(Trouble::KeeperStuck { keeper }),
                Parted::GivenUp => self.adopt(),
            }
        }
    }

    /// Takes whatever has become known.
    fn gather(&mut self) {
        self.hear_keeper();
        self.take_findings();
        self.take_messages(AT_A_TIME);
        self.take_signals();
        self.reap();
        self.follow_keeper_end();
    }

    /// What looks at the heartbeat file have found.
    fn take_findings(&mut self) {
        let started = self.run.started().unwrap_or(self.last_beat);
        let findings = self.watcher.as_mut().map(|watcher| watcher.take(started));
        for finding in findings.into_iter().flatten() {
            match finding {
                Finding::Observed { run, observation } => {
                    let at = match observation {
                        Observation::Unchanged => None,
                        Observation::Changed { at } => Some(at),
                        Observation::ChangedSometime => Some(self.now()),
                    };
                    if let Some(at) = at {
                        self.beat(at);
                    }
                    self.queue.push_back(Incoming::Event(Event::Observed { run, observation }));
                }
                Finding::Late { interval } => self.tell(UnixNotice::HeartbeatLate { interval }),
                Finding::Unreadable { error } => self.trouble(Trouble::HeartbeatUnreadable { error }),
                Finding::CoarseStamps => self.trouble(Trouble::CoarseStamps),
            }
        }
    }

    /// A heartbeat is known. What the tree has used until now is remembered: nothing hangs, so that it costs no
    /// decision.
    fn beat(&mut self, at: Instant) {
        self.last_beat = self.last_beat.max(at);
        self.sampler.sample(&self.tree);
    }

    fn take_messages(&mut self, most: usize) {
        let Some(notify) = &mut self.notify else { return };
        let Some((run, taken)) = self.run.take_messages(notify, most, &self.tree) else { return };
        let notify::Taken { messages, notice } = taken;
        self.queue.extend(notice.map(Incoming::Notice));
        for message in messages {
            match message {
                notify::Message::Machine(message) => {
                    if message == Message::Heartbeat {
                        self.beat(SystemClock::now());
                    }
                    self.queue.push_back(Incoming::Event(Event::Message { run, message }));
                }
                notify::Message::Status(text) => {
                    let notices = self.status.take(text, SystemClock::now());
                    self.tell_all(notices);
                }
            }
        }
    }

    fn take_probe(&mut self, finding: Option<ProbeFinding>) {
        match (finding, self.run.alive()) {
            (Some(ProbeFinding::Success), Some(run)) => {
                self.beat(self.now());
                let message = Message::Heartbeat;
                self.queue.push_back(Incoming::Event(Event::Message { run, message }));
            }
            (Some(ProbeFinding::Failure(notice)), Some(_)) => self.tell(notice),
            (Some(_) | None, _) => {}
        }
    }

    fn take_signals(&mut self) {
        for (signal, sender) in self.signals.take() {
            let event = match signal {
                Signal::CHLD | Signal::CONT => continue,
                signal if self.restart_signal == Some(signal) => Event::Restart,
                signal if self.stop_on.contains(&signal) => Event::Stop,
                Signal::INT => Event::Interrupt,
                Signal::HUP if self.signals.hangup() == Hangup::Stop => Event::Stop,
                Signal::HUP | Signal::QUIT | Signal::USR1 | Signal::USR2 | Signal::WINCH => {
                    self.forward(signal);
                    continue;
                }
                Signal::TSTP => {
                    self.request_suspension();
                    continue;
                }
                signal if signal.is_real_time() => {
                    self.forward(signal);
                    continue;
                }
                _ => Event::Stop,
            };
            self.tell(UnixNotice::SignalReceived { signal, sender });
            self.queue.push_back(Incoming::Event(event));
        }
    }

    fn tell(&mut self, notice: UnixNotice) {
        self.queue.push_back(Incoming::Notice(notice));
    }

    fn tell_all(&mut self, notices: impl IntoIterator<Item = UnixNotice>) {
        self.queue.extend(notices.into_iter().map(Incoming::Notice));
    }

    fn trouble(&mut self, trouble: Trouble) {
        self.tell(UnixNotice::Trouble(trouble));
    }
}

impl Backend for UnixBackend {
    type Notice = UnixNotice;

    fn now(&self) -> Instant {
        SystemClock::now()
    }

    fn start(&mut self, run: RunId, restarts: u32) {
        self.watcher.iter_mut().for_each(Watcher::before_start);
        self.take_findings();
        let company = self.children.company();
        // Before there is a command that can die of it.
        self.memory_kills_before = self.memory_kills.count();
        self.restarts = restarts;
        let restarts = variable(RESTARTS, &restarts.to_string());
        let keeper = restarts.and_then(|restarts| {
            Keeper::start(&self.program, &[restarts], &Role::Command, &self.signals, &self.remains, company)
        });
        match keeper {
            Ok(keeper) => {
                self.tree.begin(keeper.pid());
                self.run = Run::begin(run, keeper, self.now());
            }
            Err(error) => {
                let failure = failure(error.raw_os_error().unwrap_or_default());
                self.queue.push_back(Incoming::Event(Event::StartFailed { run, failure }));
            }
        }
        // While the command starts.
        self.sampler.begin();
    }

    fn signal(&mut self, run: RunId, purpose: Purpose) {
        let begun = self.now();
        self.signal_run(purpose);
        self.probe.iter_mut().for_each(ProbeRunner::end);
        if purpose == Purpose::Hang && self.now() - begun >= WORTH_MENTIONING {
            self.queue.push_back(Incoming::Event(Event::Signalled { run }));
        }
    }

    fn look(&mut self, run: RunId) {
        self.watcher.iter_mut().for_each(|watcher| watcher.look(run));
        self.take_findings();
    }

    fn wait(&mut self, until: Option<Instant>) -> Incoming<UnixNotice> {
        loop {
            let is_due = until.is_some_and(|until| self.now() >= until);
            // Whatever the command has to tell, a deadline is kept.
            let is_held_up = is_due && matches!(self.queue.front(), Some(Incoming::Event(Event::Message { .. })));
            if is_held_up {
                return Incoming::Event(Event::Timeout);
            }
            if let Some(incoming) = self.queue.pop_front() {
                return incoming;
            }
            self.suspend_if_requested();
            self.poll_due();
            if self.queue.is_empty() {
                self.sleep(until);
                self.gather();
            }
            if self.queue.is_empty() && until.is_some_and(|until| self.now() >= until) {
                return Incoming::Event(Event::Timeout);
            }
        }
    }
}
