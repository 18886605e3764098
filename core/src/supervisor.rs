//! The state machine: every decision of the supervisor, and nothing else.

mod ending;
mod running;

use crate::escalation::{Escalation, Main, Reason};
use crate::heartbeat::Watch;
use crate::{
    Action, End, Event, GiveUp, Instant, Limit, Notice, Outcome, Phase, Policy, Restart, RunId, StartFailure,
    StartFailureKind, Step,
};
use core::time::Duration;
use running::Running;

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
    /// The command hangs and got the hang signal: it is asked to leave at `stop_at`.
    HangSignalled { pid: u32, stop_at: Instant },
    /// The end of the run is decided or has happened; something of it may still live.
    Ending { reason: Reason, escalation: Escalation },
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

    /// The moment at which [`Event::Timeout`] is due, if nothing happens before.
    ///
    /// Without one, the answer to an action is outstanding, or it is over.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Running(Running { watch: Watch::Armed(heartbeat), .. }) => Some(heartbeat.deadline()),
            State::HangSignalled { stop_at, .. } => Some(stop_at),
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
            State::Starting
            | State::Running(_)
            | State::HangSignalled { .. }
            | State::Ending { .. }
            | State::BackingOff { .. } => None,
        }
    }

    /// Where it stands.
    pub fn phase(&self) -> Phase {
        match self.state {
            State::Starting => Phase::Starting,
            State::Running(running) => Phase::Running { pid: running.pid, last_beat: running.last_beat() },
            State::HangSignalled { pid, .. } => Phase::Hung(Main::Alive(pid)),
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
            State::HangSignalled { pid, stop_at } => self.hang_signalled(pid, stop_at, event, now, step),
            State::Ending { reason, escalation } => self.ending(reason, escalation, event, now, step),
            State::BackingOff { until } => self.backing_off(until, event, now, step),
            State::Done(outcome) => State::Done(outcome),
        }
    }

    fn starting(&self, event: Event, now: Instant, step: &mut Step) -> State {
        match event {
            Event::Started { run, pid } => {
                step.notices.push(Notice::Started { run, pid });
                self.begun(pid, now)
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
            | Event::Signalled { .. }
            | Event::Timeout => State::Starting,
        }
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
            | Event::Signalled { .. }
            | Event::Timeout => State::BackingOff { until },
        }
    }

    fn begin_run(&mut self, step: &mut Step) -> State {
        self.run = RunId(self.run.0 + 1);
        step.actions.push(Action::Start { run: self.run, restarts: self.restarts });
        State::Starting
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
            (_, End::NotStarted(failure)) if self.is_hopeless(failure) => Next::GiveUp(GiveUp::CannotStart),
            (Restart::Never, _) => Next::GiveUp(GiveUp::NeverRestarts),
            (Restart::OnFailure | Restart::Always, _) if self.may_restart() => Next::Restart,
            (Restart::OnFailure | Restart::Always, _) => Next::GiveUp(GiveUp::RestartsUsedUp),
        }
    }

    /// Whether the command cannot be started and never could.
    fn is_hopeless(&self, failure: StartFailure) -> bool {
        self.run == RunId(1) && failure.kind != StartFailureKind::Passing
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
