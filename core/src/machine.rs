//! The state machine: every decision of the supervisor, and nothing else.

use crate::ending::{Force, Main, Why};
use crate::watch::{Pulse, Verdict, Watch};
use crate::{
    Action, End, Ending, Event, GiveUp, Instant, KillCause, Limit, Message, Notice, Observation, Outcome, Policy,
    Restart, RunId, Signal, StartFailureKind, Step, Watchdog,
};
use core::time::Duration;

/// What survives SIGKILL gets it again after this long, then after twice as long, ...
const FIRST_KILL_RETRY: Duration = Duration::from_millis(100);
/// ... but at least this often.
const SLOWEST_KILL_RETRY: Duration = Duration::from_secs(60);
/// Surviving SIGKILL for this long is worth telling.
const SURVIVAL_WORTH_TELLING: Duration = Duration::from_secs(1);

/// One supervised command: facts in, orders and stories out. It has no clock and does nothing itself.
///
/// Feed it every [`Event`] with the time at which it happened, carry out the actions of the [`Step`] that it returns,
/// and send [`Event::Elapsed`] when [`poll_timeout`](Supervisor::poll_timeout) has come. Times never go backwards.
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
    /// The main process lives and nobody wants its end.
    Running { started: Instant, watch: Watch },
    /// The end of the run is decided or has happened; something of it may still live.
    Ending { why: Why, force: Force },
    /// Nothing runs; the next start is due at `until`.
    BackingOff { until: Instant },
    /// It is over; nothing runs.
    Done(Outcome),
}

impl Supervisor {
    /// A supervisor that starts its command now.
    pub fn start(policy: Policy) -> (Supervisor, Step) {
        let mut step = Step::default();
        let mut supervisor = Supervisor { policy, run: RunId(0), restarts: 0, state: State::Starting };
        supervisor.state = supervisor.begin_run(&mut step);
        (supervisor, step)
    }

    /// The moment at which [`Event::Elapsed`] is due, if nothing happens before.
    ///
    /// Without one, the answer to an action is outstanding, or it is over.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Running { watch: Watch::Armed(pulse), .. } => Some(pulse.deadline()),
            State::Ending { force: Force::Term { kill_at }, .. } => Some(kill_at),
            State::Ending { force: Force::Kill { again_at, .. }, .. } => Some(again_at),
            State::BackingOff { until } => Some(until),
            State::Starting | State::Running { watch: Watch::Off | Watch::Looking(_), .. } | State::Done(_) => None,
        }
    }

    /// How it ended, once it is over.
    pub fn outcome(&self) -> Option<Outcome> {
        match self.state {
            State::Done(outcome) => Some(outcome),
            State::Starting | State::Running { .. } | State::Ending { .. } | State::BackingOff { .. } => None,
        }
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
            State::Running { started, watch } => self.running(started, watch, event, now, step),
            State::Ending { why, force } => self.ending(why, force, event, now, step),
            State::BackingOff { until } => self.backing_off(until, event, now, step),
            State::Done(outcome) => State::Done(outcome),
        }
    }

    fn starting(&self, event: Event, now: Instant, step: &mut Step) -> State {
        match event {
            Event::Started { run, pid } => {
                step.notices.push(Notice::Started { run, pid });
                State::Running { started: now, watch: self.first_watch(now) }
            }
            Event::StartFailed { run, failure } => {
                step.notices.push(Notice::StartFailed { run, failure });
                self.after_end(End::NotStarted(failure), now, step)
            }
            Event::Stop | Event::Interrupt => self.stop(now, step),
            // No backend sends these now, but for a spurious wake-up.
            Event::Exited { .. }
            | Event::Gone { .. }
            | Event::Observed { .. }
            | Event::Told { .. }
            | Event::Elapsed => State::Starting,
        }
    }

    fn running(&mut self, started: Instant, watch: Watch, event: Event, now: Instant, step: &mut Step) -> State {
        match (event, watch) {
            (Event::Exited { run, status }, _) => {
                let ending = Ending::Spontaneous { after: now - started };
                step.notices.push(Notice::Exited { run, status, ending });
                step.actions.push(Action::Signal { run, signal: Signal::Stop });
                self.end_streak_if_healthy(now - started);
                State::Ending { why: Why::Exit(status), force: self.grace(now) }
            }
            (Event::Observed { observation, .. }, Watch::Looking(pulse)) => {
                self.judge(started, pulse, observation, now, step)
            }
            (Event::Elapsed, Watch::Armed(pulse)) => State::Running { started, watch: self.watch(pulse, now, step) },
            (Event::Told { message, .. }, _) => self.told(started, watch, message, now, step),
            (Event::Stop | Event::Interrupt, _) => self.stop(now, step),
            // No backend sends these now, but for a spurious wake-up.
            (Event::Observed { .. } | Event::Elapsed, _)
            | (Event::Started { .. } | Event::StartFailed { .. } | Event::Gone { .. }, _) => {
                State::Running { started, watch }
            }
        }
    }

    fn ending(&self, why: Why, force: Force, event: Event, now: Instant, step: &mut Step) -> State {
        let (why, force) = match (event, why, force) {
            (Event::Started { run, pid }, ..) => {
                step.notices.push(Notice::Started { run, pid });
                (why, force)
            }
            (Event::StartFailed { run, failure }, ..) => {
                step.notices.push(Notice::StartFailed { run, failure });
                return match why {
                    Why::Exit(_) | Why::Hang(_) => self.after_end(End::NotStarted(failure), now, step),
                    Why::Stop(_) => done(Outcome::Stopped, step),
                };
            }
            (Event::Exited { run, status }, ..) => {
                let (main, ending) = force.effect(status);
                step.notices.push(Notice::Exited { run, status, ending });
                step.actions.push(Action::Signal { run, signal: force.signal_for_leftovers() });
                (why.with_main(main), force)
            }
            (Event::Gone { .. }, ..) => {
                return match why {
                    Why::Exit(status) => self.after_end(End::Exited(status), now, step),
                    Why::Hang(_) => self.after_end(End::Hung, now, step),
                    Why::Stop(Main::Killed) => done(Outcome::Killed, step),
                    Why::Stop(Main::Alive | Main::Left) => done(Outcome::Stopped, step),
                };
            }
            (Event::Elapsed, ..) => (why, self.escalate(force, now, step)),
            (Event::Told { run, message: Message::Extension(by) }, _, Force::Term { kill_at }) => {
                step.notices.push(Notice::Extended { run, by });
                (why, Force::Term { kill_at: kill_at.max(now + by) })
            }
            (Event::Interrupt, Why::Stop(_), Force::Term { .. }) => (why, self.kill(KillCause::Interrupt, now, step)),
            (Event::Stop | Event::Interrupt, Why::Stop(_), _) => (why, force),
            (Event::Stop | Event::Interrupt, Why::Exit(_) | Why::Hang(_), _) => {
                step.notices.push(Notice::StoppingInstead { run: self.run });
                (Why::Stop(why.main()), force)
            }
            // What was asked before the end came to be known, and what changes nothing any more.
            (Event::Observed { .. } | Event::Told { .. }, ..) => (why, force),
        };
        State::Ending { why, force }
    }

    fn backing_off(&mut self, until: Instant, event: Event, now: Instant, step: &mut Step) -> State {
        match event {
            Event::Elapsed if now >= until => {
                self.restarts = self.restarts.saturating_add(1);
                self.begin_run(step)
            }
            Event::Stop | Event::Interrupt => done(Outcome::Stopped, step),
            // No backend sends these now, but for what was asked before, and a spurious wake-up.
            Event::Started { .. }
            | Event::StartFailed { .. }
            | Event::Exited { .. }
            | Event::Gone { .. }
            | Event::Observed { .. }
            | Event::Told { .. }
            | Event::Elapsed => State::BackingOff { until },
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
            Watchdog::On { timeout, initial_delay } => Watch::Armed(Pulse::started(started, timeout, initial_delay)),
        }
    }

    /// Waits for the deadline of the pulse, or looks at once if it has come.
    fn watch(&self, pulse: Pulse, now: Instant, step: &mut Step) -> Watch {
        if now < pulse.deadline() {
            return Watch::Armed(pulse);
        }
        step.actions.push(Action::Look { run: self.run });
        Watch::Looking(pulse)
    }

    fn judge(&mut self, started: Instant, before: Pulse, seen: Observation, now: Instant, step: &mut Step) -> State {
        let run = self.run;
        match before.judge(seen, now) {
            Verdict::NotDue => State::Running { started, watch: Watch::Armed(before) },
            Verdict::Alive(pulse) => {
                step.notices.push(before.notice_of_heartbeat(run, now - pulse.last_sign()));
                State::Running { started, watch: self.watch(pulse, now, step) }
            }
            Verdict::Extended { pulse, late, extension } => {
                step.notices.push(Notice::Delayed { run, late, extension });
                State::Running { started, watch: Watch::Armed(pulse) }
            }
            Verdict::Hung => {
                let grace_period = self.policy.grace_period;
                step.notices.push(Notice::Hung { run, silence: now - before.last_sign(), grace_period });
                self.hang(before.last_sign() - started, now, step)
            }
        }
    }

    fn told(&mut self, started: Instant, watch: Watch, message: Message, now: Instant, step: &mut Step) -> State {
        let run = self.run;
        let watch = match (message, watch.pulse()) {
            (Message::Heartbeat, Some(pulse)) => {
                step.notices.push(pulse.notice_of_heartbeat(run, Duration::ZERO));
                watch.with(pulse.beaten(now))
            }
            (Message::Ready, pulse) => {
                step.notices.push(Notice::Ready { run });
                pulse.map_or(watch, |pulse| watch.with(pulse.ready(now)))
            }
            (Message::Hang, Some(pulse)) => {
                step.notices.push(Notice::HangReported { run, grace_period: self.policy.grace_period });
                return self.hang(pulse.last_sign() - started, now, step);
            }
            (Message::Timeout(timeout), Some(pulse)) => {
                step.notices.push(Notice::TimeoutSet { run, timeout });
                watch.with(pulse.with_timeout(timeout, now))
            }
            (Message::StreakOver, _) if self.restarts > 0 => {
                step.notices.push(Notice::StreakEnded { run });
                self.restarts = 0;
                watch
            }
            (Message::StreakOver, _) => watch,
            (Message::Extension(by), Some(pulse)) => match pulse.extended(now + by) {
                Some(pulse) => {
                    step.notices.push(Notice::Extended { run, by });
                    watch.with(pulse)
                }
                None => watch,
            },
            (Message::Leaving, _) => {
                step.notices.push(Notice::Leaving { run });
                watch
            }
            (Message::Heartbeat | Message::Hang | Message::Timeout(_) | Message::Extension(_), None) => watch,
        };
        State::Running { started, watch }
    }

    fn hang(&mut self, healthy_for: Duration, now: Instant, step: &mut Step) -> State {
        step.actions.push(Action::Signal { run: self.run, signal: Signal::Hang });
        self.end_streak_if_healthy(healthy_for);
        State::Ending { why: Why::Hang(Main::Alive), force: self.grace(now) }
    }

    fn stop(&self, now: Instant, step: &mut Step) -> State {
        let grace_period = self.policy.grace_period;
        step.notices.push(Notice::Stopping { run: self.run, grace_period });
        step.actions.push(Action::Signal { run: self.run, signal: Signal::Stop });
        State::Ending { why: Why::Stop(Main::Alive), force: self.grace(now) }
    }

    fn grace(&self, now: Instant) -> Force {
        Force::Term { kill_at: now + self.policy.grace_period }
    }

    fn escalate(&self, force: Force, now: Instant, step: &mut Step) -> Force {
        match force {
            Force::Term { kill_at } if now >= kill_at => self.kill(KillCause::GracePeriodOver, now, step),
            Force::Kill { since, again_at } if now >= again_at => {
                if now - since >= SURVIVAL_WORTH_TELLING {
                    step.notices.push(Notice::Surviving { run: self.run, since: now - since });
                }
                step.actions.push(Action::Signal { run: self.run, signal: Signal::Kill });
                let pause = (now - since).clamp(FIRST_KILL_RETRY, SLOWEST_KILL_RETRY);
                Force::Kill { since, again_at: now + pause }
            }
            Force::Term { .. } | Force::Kill { .. } => force,
        }
    }

    fn kill(&self, cause: KillCause, now: Instant, step: &mut Step) -> Force {
        step.notices.push(Notice::Killing { run: self.run, cause });
        step.actions.push(Action::Signal { run: self.run, signal: Signal::Kill });
        Force::Kill { since: now, again_at: now + FIRST_KILL_RETRY }
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
