//! The state machine: every decision of the supervisor, and nothing else.

use crate::escalation::{Escalation, Main, Reason};
use crate::heartbeat::{Heartbeat, LastBeat, Verdict, Watch};
use crate::{
    Action, DelayCause, End, Ending, Event, Evidence, GiveUp, Instant, KillCause, Limit, Message, Notice, Observation,
    OnHang, Outcome, Phase, Policy, Purpose, Restart, RunId, StartFailureKind, Step, Watchdog,
};
use core::time::Duration;

/// What survives SIGKILL gets it again after this long, then after twice as long, ...
const FIRST_KILL_RETRY: Duration = Duration::from_millis(100);
/// ... but at least this often.
const SLOWEST_KILL_RETRY: Duration = Duration::from_secs(60);
/// Surviving SIGKILL for this long is worth telling.
const SURVIVAL_WORTH_TELLING: Duration = Duration::from_secs(1);

/// A SIGINT so soon after the request to stop is the same request, told twice: by timeout(1), npm and others who pass on
/// what the whole group got.
const SAME_REQUEST: Duration = Duration::from_secs(1);

/// One supervised command: facts in, orders and stories out. It has no clock and does nothing itself.
///
/// Feed it every [`Event`] with the time at which it happened, carry out the actions of the [`Step`] that it returns,
/// and send [`Event::Timeout`] when [`poll_timeout`](Supervisor::poll_timeout) has come. Times never go backwards.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Supervisor {
    policy: Policy,
    run: RunId,
    /// Consecutive restarts made so far.
    restarts: u32,
    state: State,
}

/// Where the supervisor stands, with the data that exists only there. Deadlines are derived from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    /// A start was ordered and its result is awaited.
    Starting,
    /// The main process lives and nothing asks for its end.
    Running(Running),
    /// The end of the run is decided or has happened; something of it may still live.
    Ending { reason: Reason, escalation: Escalation },
    /// Nothing runs; the next start is due at `until`.
    BackingOff { until: Instant },
    /// It is over; nothing runs.
    Done(Outcome),
}

/// A run whose main process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Running {
    pid: u32,
    started: Instant,
    watch: Watch,
}

impl Running {
    fn last_beat(&self) -> LastBeat {
        self.watch.heartbeat().map_or(LastBeat::Start(self.started), |heartbeat| heartbeat.last_beat())
    }

    fn with_watch(self, watch: Watch) -> State {
        State::Running(Running { watch, ..self })
    }
}

impl Supervisor {
    /// A supervisor that starts its command now.
    pub fn start(policy: Policy) -> (Supervisor, Step) {
        let mut step = Step::default();
        let mut supervisor = Supervisor { policy, run: RunId(0), restarts: 0, state: State::Starting };
        supervisor.state = supervisor.begin_run(&mut step);
        (supervisor, step)
    }

    /// The moment at which [`Event::Timeout`] is due, if nothing happens before.
    ///
    /// Without one, the answer to an action is outstanding, or it is over.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Running(Running { watch: Watch::Armed(heartbeat), .. }) => Some(heartbeat.deadline()),
            State::Ending { escalation, .. } => Some(escalation.due()),
            State::BackingOff { until } => Some(until),
            State::Starting
            | State::Running(Running { watch: Watch::Off | Watch::Looking { .. }, .. })
            | State::Done(_) => None,
        }
    }

    /// How it ended, once it is over.
    pub fn outcome(&self) -> Option<Outcome> {
        match self.state {
            State::Done(outcome) => Some(outcome),
            State::Starting | State::Running(_) | State::Ending { .. } | State::BackingOff { .. } => None,
        }
    }

    /// Where it stands.
    pub fn phase(&self) -> Phase {
        match self.state {
            State::Starting => Phase::Starting,
            State::Running(running) => Phase::Running { pid: running.pid, last_beat: running.last_beat() },
            State::Ending { reason: Reason::Exit(_), .. } => Phase::Clearing,
            State::Ending { reason: Reason::Hang(main), .. } => Phase::Hung(main),
            State::Ending { reason: Reason::Restart(main), .. } => Phase::Restarting(main),
            State::Ending { reason: Reason::Stop { main, .. }, .. } => Phase::Stopping(main),
            State::BackingOff { until } => Phase::BackingOff { until },
            State::Done(outcome) => Phase::Done(outcome),
        }
    }

    /// The current run, or the last one.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// Consecutive restarts made so far.
    pub fn restarts(&self) -> u32 {
        self.restarts
    }

    /// Takes a fact that became known at `now` and returns what follows.
    pub fn handle_event(&mut self, event: Event, now: Instant) -> Step {
        let mut step = Step::default();
        let about_another_run = event.run().is_some_and(|run| run != self.run);
        if !about_another_run {
            self.state = self.next_state(event, now, &mut step);
        }
        step
    }

    fn next_state(&mut self, event: Event, now: Instant, step: &mut Step) -> State {
        match self.state {
            State::Starting => self.starting(event, now, step),
            State::Running(running) => self.running(running, event, now, step),
            State::Ending { reason, escalation } => self.ending(reason, escalation, event, now, step),
            State::BackingOff { until } => self.backing_off(until, event, now, step),
            State::Done(outcome) => State::Done(outcome),
        }
    }

    fn starting(&self, event: Event, now: Instant, step: &mut Step) -> State {
        match event {
            Event::Started { run, pid } => {
                step.notices.push(Notice::Started { run, pid });
                State::Running(Running { pid, started: now, watch: self.first_watch(now) })
            }
            Event::StartFailed { run, failure } => {
                step.notices.push(Notice::StartFailed { run, failure });
                self.after_end(End::NotStarted(failure), now, step)
            }
            Event::Stop | Event::Interrupt => self.stop(Main::Unborn, now, step),
            Event::Restart => self.restart(Main::Unborn, now, step),
            // No backend sends these now, but for a spurious wake-up.
            Event::Exited { .. }
            | Event::Cleared { .. }
            | Event::Observed { .. }
            | Event::Message { .. }
            | Event::Timeout => State::Starting,
        }
    }

    fn running(&mut self, running: Running, event: Event, now: Instant, step: &mut Step) -> State {
        let Running { pid, started, watch } = running;
        match (event, watch) {
            (Event::Exited { run, status }, _) => {
                let ending = Ending::Spontaneous { after: now - started };
                step.notices.push(Notice::Exited { run, pid, status, ending });
                step.actions.push(Action::Signal { run, purpose: Purpose::Stop });
                self.end_streak_if_healthy(now - started);
                State::Ending { reason: Reason::Exit(status), escalation: self.grace(now) }
            }
            (Event::Observed { observation, .. }, Watch::Looking { heartbeat, since }) => {
                self.judge(running, heartbeat, since, observation, now, step)
            }
            (Event::Timeout, Watch::Armed(heartbeat)) => running.with_watch(self.watch(heartbeat, now, step)),
            (Event::Message { message, .. }, _) => self.message(running, message, now, step),
            (Event::Stop | Event::Interrupt, _) => self.stop(Main::Alive(pid), now, step),
            (Event::Restart, _) => {
                self.end_streak_if_healthy(now - started);
                self.restart(Main::Alive(pid), now, step)
            }
            // No backend sends these now, but for a spurious wake-up.
            (Event::Observed { .. } | Event::Timeout, _)
            | (Event::Started { .. } | Event::StartFailed { .. } | Event::Cleared { .. }, _) => State::Running(running),
        }
    }

    fn ending(
        &mut self,
        reason: Reason,
        escalation: Escalation,
        event: Event,
        now: Instant,
        step: &mut Step,
    ) -> State {
        let (reason, escalation) = match (event, reason, escalation) {
            (Event::Started { run, pid }, ..) => {
                step.notices.push(Notice::Started { run, pid });
                (reason.with_main(Main::Alive(pid)), escalation)
            }
            (Event::StartFailed { run, failure }, ..) => {
                step.notices.push(Notice::StartFailed { run, failure });
                return match reason {
                    Reason::Exit(_) | Reason::Hang(_) | Reason::Restart(_) => {
                        self.after_end(End::NotStarted(failure), now, step)
                    }
                    Reason::Stop { .. } => done(Outcome::Stopped, step),
                };
            }
            (Event::Exited { run, status }, ..) => {
                let (main, ending) = escalation.effect(status);
                let pid = reason.main().pid();
                step.notices.push(Notice::Exited { run, pid, status, ending });
                step.actions.push(Action::Signal { run, purpose: escalation.purpose_for_leftovers() });
                let escalation = match escalation {
                    // What it leaves behind has seen no signal to leave yet.
                    Escalation::HangSignal { .. } => self.grace(now),
                    Escalation::Stop { .. } | Escalation::Kill { .. } => escalation,
                };
                (reason.with_main(main), escalation)
            }
            (Event::Cleared { .. }, ..) => {
                return match reason {
                    Reason::Exit(status) => self.after_end(End::Exited(status), now, step),
                    Reason::Hang(_) => self.after_end(End::Hung, now, step),
                    Reason::Restart(_) => self.begin_run(step),
                    Reason::Stop { main: Main::Killed, .. } => done(Outcome::Killed, step),
                    Reason::Stop { main: Main::Unborn | Main::Alive(_) | Main::Left, .. } => {
                        done(Outcome::Stopped, step)
                    }
                };
            }
            (Event::Timeout, ..) => (reason, self.escalate(reason, escalation, now, step)),
            (Event::Message { run, message: Message::Extension(by) }, _, Escalation::Stop { kill_at }) => {
                step.notices.push(Notice::Extended { run, pid: reason.main().pid(), by });
                (reason, Escalation::Stop { kill_at: kill_at.max(now + by) })
            }
            (Event::Interrupt, Reason::Stop { since, .. }, Escalation::HangSignal { .. } | Escalation::Stop { .. })
                if now - since >= SAME_REQUEST =>
            {
                (reason, self.kill(KillCause::Interrupt, now, step))
            }
            (Event::Stop | Event::Interrupt | Event::Restart, Reason::Stop { .. }, _)
            | (Event::Restart, Reason::Restart(_), _) => (reason, escalation),
            (Event::Stop | Event::Interrupt, Reason::Exit(_) | Reason::Hang(_) | Reason::Restart(_), _) => {
                step.notices.push(Notice::StoppingInstead { run: self.run });
                let reason = Reason::Stop { main: reason.main(), since: now };
                (reason, self.asked_meanwhile(escalation, now, step))
            }
            (Event::Restart, Reason::Exit(_) | Reason::Hang(_), _) => {
                step.notices.push(Notice::RestartingInstead { run: self.run });
                (Reason::Restart(reason.main()), self.asked_meanwhile(escalation, now, step))
            }
            // What was asked before the end came to be known, and what changes nothing any more.
            (Event::Observed { .. } | Event::Message { .. }, ..) => (reason, escalation),
        };
        State::Ending { reason, escalation }
    }

    fn backing_off(&mut self, until: Instant, event: Event, now: Instant, step: &mut Step) -> State {
        match event {
            Event::Timeout if now >= until => {
                self.restarts = self.restarts.saturating_add(1);
                self.begin_run(step)
            }
            Event::Stop | Event::Interrupt => done(Outcome::Stopped, step),
            Event::Restart => {
                step.notices.push(Notice::RestartingInstead { run: self.run });
                self.begin_run(step)
            }
            // No backend sends these now, but for what was asked before, and a spurious wake-up.
            Event::Started { .. }
            | Event::StartFailed { .. }
            | Event::Exited { .. }
            | Event::Cleared { .. }
            | Event::Observed { .. }
            | Event::Message { .. }
            | Event::Timeout => State::BackingOff { until },
        }
    }

    fn begin_run(&mut self, step: &mut Step) -> State {
        self.run = RunId(self.run.0 + 1);
        step.actions.push(Action::Start { run: self.run, restarts: self.restarts });
        State::Starting
    }

    fn first_watch(&self, started: Instant) -> Watch {
        match self.policy.watchdog {
            Watchdog::Off => Watch::Off,
            Watchdog::On { timeout, initial_delay } => {
                Watch::Armed(Heartbeat::started(started, timeout, initial_delay))
            }
        }
    }

    /// Waits for the deadline of the heartbeat, or looks at once if it has come.
    fn watch(&self, heartbeat: Heartbeat, now: Instant, step: &mut Step) -> Watch {
        if now < heartbeat.deadline() {
            return Watch::Armed(heartbeat);
        }
        step.actions.push(Action::Look { run: self.run });
        Watch::Looking { heartbeat, since: now }
    }

    fn judge(
        &mut self,
        running: Running,
        before: Heartbeat,
        since: Instant,
        seen: Observation,
        now: Instant,
        step: &mut Step,
    ) -> State {
        let (run, pid) = (self.run, running.pid);
        match before.judge(seen, now) {
            Verdict::NotDue => running.with_watch(Watch::Armed(before)),
            Verdict::Alive(heartbeat) => {
                step.notices.push(before.notice_of_next(run, pid, now - heartbeat.last_beat().at()));
                running.with_watch(self.watch(heartbeat, now, step))
            }
            Verdict::Forgiven { heartbeat, late, extension } => {
                let cause = if since - before.deadline() > late / 2 { DelayCause::Supervisor } else { DelayCause::Look };
                step.notices.push(Notice::Delayed { run, pid, late, extension, cause });
                running.with_watch(Watch::Armed(heartbeat))
            }
            Verdict::Hung => {
                let silence = now - before.last_beat().at();
                self.hang(running, before.last_beat(), Evidence::Silence { silence }, now, step)
            }
        }
    }

    fn message(&mut self, running: Running, message: Message, now: Instant, step: &mut Step) -> State {
        let (run, pid, watch) = (self.run, running.pid, running.watch);
        let watch = match (message, watch.heartbeat()) {
            (Message::Heartbeat, Some(heartbeat)) => {
                step.notices.push(heartbeat.notice_of_next(run, pid, Duration::ZERO));
                watch.with(heartbeat.beaten(now))
            }
            (Message::Ready, heartbeat) => {
                step.notices.push(Notice::Ready { run, pid });
                heartbeat.map_or(watch, |heartbeat| watch.with(heartbeat.ready(now)))
            }
            (Message::Hang, Some(heartbeat)) => {
                return self.hang(running, heartbeat.last_beat(), Evidence::Report {}, now, step);
            }
            (Message::Timeout(timeout), Some(heartbeat)) => {
                step.notices.push(Notice::TimeoutSet { run, pid, timeout });
                watch.with(heartbeat.with_timeout(timeout, now))
            }
            (Message::StreakOver, _) if self.restarts > 0 => {
                step.notices.push(Notice::StreakEnded { run, pid });
                self.restarts = 0;
                watch
            }
            (Message::StreakOver, _) => watch,
            (Message::Extension(by), Some(heartbeat)) => match heartbeat.extended(now + by) {
                Some(heartbeat) => {
                    step.notices.push(Notice::Extended { run, pid, by });
                    watch.with(heartbeat)
                }
                None => watch,
            },
            (Message::Leaving, _) => {
                step.notices.push(Notice::Leaving { run, pid });
                watch
            }
            (Message::Heartbeat | Message::Hang | Message::Timeout(_) | Message::Extension(_), None) => watch,
        };
        running.with_watch(watch)
    }

    fn hang(
        &mut self,
        running: Running,
        last_beat: LastBeat,
        evidence: Evidence,
        now: Instant,
        step: &mut Step,
    ) -> State {
        let Policy { on_hang, grace_period, .. } = self.policy;
        let (run, pid) = (self.run, running.pid);
        step.notices.push(Notice::Hung { run, pid, evidence, on_hang, grace_period });
        step.actions.push(Action::Signal { run, purpose: Purpose::Hang });
        self.end_streak_if_healthy(last_beat.at() - running.started);
        let escalation = match on_hang {
            OnHang::Stop => self.grace(now),
            OnHang::Signal { grace_period } => Escalation::HangSignal { stop_at: now + grace_period },
        };
        State::Ending { reason: Reason::Hang(Main::Alive(pid)), escalation }
    }

    fn stop(&self, main: Main, now: Instant, step: &mut Step) -> State {
        step.notices.push(Notice::Stopping { run: self.run, grace_period: self.policy.grace_period });
        step.actions.push(Action::Signal { run: self.run, purpose: Purpose::Stop });
        State::Ending { reason: Reason::Stop { main, since: now }, escalation: self.grace(now) }
    }

    fn restart(&self, main: Main, now: Instant, step: &mut Step) -> State {
        step.notices.push(Notice::Restarting { run: self.run, grace_period: self.policy.grace_period });
        step.actions.push(Action::Signal { run: self.run, purpose: Purpose::Stop });
        State::Ending { reason: Reason::Restart(main), escalation: self.grace(now) }
    }

    /// A request of a person ends the wait for what a hung command has to say.
    fn asked_meanwhile(&self, escalation: Escalation, now: Instant, step: &mut Step) -> Escalation {
        match escalation {
            Escalation::HangSignal { .. } => {
                step.actions.push(Action::Signal { run: self.run, purpose: Purpose::Stop });
                self.grace(now)
            }
            Escalation::Stop { .. } | Escalation::Kill { .. } => escalation,
        }
    }

    fn grace(&self, now: Instant) -> Escalation {
        Escalation::Stop { kill_at: now + self.policy.grace_period }
    }

    fn escalate(&self, reason: Reason, escalation: Escalation, now: Instant, step: &mut Step) -> Escalation {
        match escalation {
            _ if now < escalation.due() => escalation,
            Escalation::HangSignal { .. } => {
                let grace_period = self.policy.grace_period;
                step.notices.push(Notice::HangGraceOver { run: self.run, pid: reason.main().pid(), grace_period });
                step.actions.push(Action::Signal { run: self.run, purpose: Purpose::Stop });
                self.grace(now)
            }
            Escalation::Stop { .. } => self.kill(KillCause::GracePeriodOver, now, step),
            Escalation::Kill { since, .. } => {
                if now - since >= SURVIVAL_WORTH_TELLING {
                    step.notices.push(Notice::Surviving { run: self.run, since: now - since });
                }
                step.actions.push(Action::Signal { run: self.run, purpose: Purpose::Kill });
                let pause = (now - since).clamp(FIRST_KILL_RETRY, SLOWEST_KILL_RETRY);
                Escalation::Kill { since, again_at: now + pause }
            }
        }
    }

    fn kill(&self, cause: KillCause, now: Instant, step: &mut Step) -> Escalation {
        step.notices.push(Notice::Killing { run: self.run, cause });
        step.actions.push(Action::Signal { run: self.run, purpose: Purpose::Kill });
        Escalation::Kill { since: now, again_at: now + FIRST_KILL_RETRY }
    }

    fn end_streak_if_healthy(&mut self, healthy_for: Duration) {
        if healthy_for >= self.policy.reset_after {
            self.restarts = 0;
        }
    }

    /// The one place that decides what follows the end of a run that nobody asked to end.
    fn after_end(&self, end: End, now: Instant, step: &mut Step) -> State {
        match self.verdict_on(end) {
            Next::Finish => done(Outcome::Finished, step),
            Next::GiveUp(reason) => done(Outcome::GaveUp { end, reason }, step),
            Next::Restart => {
                let delay = self.policy.backoff.delay(self.restarts, self.run.0);
                let restart = self.restarts.saturating_add(1);
                step.notices.push(Notice::BackingOff { restart, limit: self.policy.max_restarts, delay });
                State::BackingOff { until: now + delay }
            }
        }
    }

    fn verdict_on(&self, end: End) -> Next {
        let success = matches!(end, End::Exited(status) if status.is_success());
        match (self.policy.restart, end) {
            (Restart::Never | Restart::OnFailure, _) if success => Next::Finish,
            (_, End::NotStarted(failure)) if self.run == RunId(1) && failure.kind != StartFailureKind::Passing => {
                Next::GiveUp(GiveUp::CannotStart)
            }
            (Restart::Never, _) => Next::GiveUp(GiveUp::NeverRestarts),
            (Restart::OnFailure | Restart::Always, _) if self.may_restart() => Next::Restart,
            (Restart::OnFailure | Restart::Always, _) => Next::GiveUp(GiveUp::RestartsUsedUp),
        }
    }

    fn may_restart(&self) -> bool {
        match self.policy.max_restarts {
            Limit::Unlimited => true,
            Limit::Times(most) => self.restarts < most,
        }
    }
}

/// What follows the end of a run.
enum Next {
    Finish,
    Restart,
    GiveUp(GiveUp),
}

fn done(outcome: Outcome, step: &mut Step) -> State {
    step.notices.push(Notice::Done(outcome));
    State::Done(outcome)
}
