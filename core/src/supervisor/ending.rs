//! What happens to a run that is brought to its end.

use super::{State, Supervisor, done};
use crate::escalation::{Escalation, Main, Reason};
use crate::{
    Action, End, Ending, Event, Instant, KillCause, Message, Notice, OnHang, Outcome, Purpose, StartFailure, Step,
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

impl Supervisor {
    pub(super) fn stop(&self, main: Main, now: Instant, step: &mut Step) -> State {
        step.notices.push(Notice::Stopping { run: self.run, grace_period: self.policy.grace_period });
        self.ask_to_leave(Reason::Stop { main, since: now }, now, step)
    }

    pub(super) fn restart(&self, main: Main, now: Instant, step: &mut Step) -> State {
        step.notices.push(Notice::Restarting { run: self.run, grace_period: self.policy.grace_period });
        self.ask_to_leave(Reason::Restart(main), now, step)
    }

    pub(super) fn ask_to_leave(&self, reason: Reason, now: Instant, step: &mut Step) -> State {
        step.actions.push(Action::Signal { run: self.run, purpose: Purpose::Stop });
        State::Ending { reason, escalation: self.grace(now) }
    }

    pub(super) fn grace(&self, now: Instant) -> Escalation {
        Escalation::Stop { kill_at: now + self.policy.grace_period }
    }

    /// The moment at which a command that got the hang signal at `from` is asked to leave.
    pub(super) fn hang_grace_from(&self, from: Instant) -> Instant {
        match self.policy.on_hang {
            OnHang::Stop => from,
            OnHang::Signal { grace_period } => from + grace_period,
        }
    }

    pub(super) fn hang_signalled(
        &self,
        pid: u32,
        stop_at: Instant,
        event: Event,
        now: Instant,
        step: &mut Step,
    ) -> State {
        match event {
            Event::Exited { run, status } => {
                step.notices.push(Notice::Exited { run, pid, status, ending: Ending::Asked });
                self.ask_to_leave(Reason::Hang(Main::Left), now, step)
            }
            Event::Timeout if now >= stop_at => {
                let grace_period = self.policy.grace_period;
                step.notices.push(Notice::HangGraceOver { run: self.run, pid, grace_period });
                self.ask_to_leave(Reason::Hang(Main::Alive(pid)), now, step)
            }
            // A request of a person ends the wait for what a hung command has to say.
            Event::Stop | Event::Interrupt => self.stop(Main::Alive(pid), now, step),
            Event::Restart => self.restart(Main::Alive(pid), now, step),
            Event::Signalled { .. } => State::HangSignalled { pid, stop_at: stop_at.max(self.hang_grace_from(now)) },
            // What was asked before the hang came to be known, a spurious wake-up, and what changes nothing any more.
            Event::Started { .. }
            | Event::StartFailed { .. }
            | Event::Cleared { .. }
            | Event::Observed { .. }
            | Event::Message { .. }
            | Event::Timeout => State::HangSignalled { pid, stop_at },
        }
    }

    pub(super) fn ending(
        &mut self,
        reason: Reason,
        escalation: Escalation,
        event: Event,
        now: Instant,
        step: &mut Step,
    ) -> State {
        let (reason, escalation) = match (event, reason.main(), escalation) {
            (Event::Started { run, pid }, Main::Unborn, _) => {
                step.notices.push(Notice::Started { run, pid });
                (reason.with_main(Main::Alive(pid)), escalation)
            }
            (Event::StartFailed { run, failure }, Main::Unborn, _) => {
                step.notices.push(Notice::StartFailed { run, failure });
                return self.after_failed_start(reason, failure, now, step);
            }
            (Event::Exited { run, status }, Main::Alive(pid), _) => {
                let (main, ending) = escalation.effect(status);
                step.notices.push(Notice::Exited { run, pid, status, ending });
                step.actions.push(Action::Signal { run, purpose: escalation.purpose_for_leftovers() });
                (reason.with_main(main), escalation)
            }
            (Event::Cleared { .. }, ..) => return self.after_clearing(reason, now, step),
            (Event::Timeout, ..) => (reason, self.escalate(escalation, now, step)),
            (
                Event::Message { run, message: Message::Extension(by) },
                Main::Alive(pid),
                Escalation::Stop { kill_at },
            ) => {
                step.notices.push(Notice::Extended { run, pid, by });
                (reason, Escalation::Stop { kill_at: kill_at.max(now + by) })
            }
            (Event::Signalled { .. }, Main::Alive(_), Escalation::Stop { kill_at }) if reason.is_hang() => {
                (reason, Escalation::Stop { kill_at: kill_at.max(now + self.policy.grace_period) })
            }
            (Event::Interrupt, _, Escalation::Stop { .. }) if reason.is_stop_since(now, SAME_REQUEST) => {
                (reason, self.kill(KillCause::Interrupt, now, step))
            }
            (Event::Stop | Event::Interrupt, ..) => (self.stop_instead(reason, now, step), escalation),
            (Event::Restart, ..) => (self.restart_instead(reason, step), escalation),
            // What was asked before the end came to be known, and what changes nothing any more.
            (Event::Observed { .. } | Event::Message { .. } | Event::Signalled { .. }, ..)
            | (Event::Started { .. } | Event::StartFailed { .. }, Main::Alive(_) | Main::Left | Main::Killed, _)
            | (Event::Exited { .. }, Main::Unborn | Main::Left | Main::Killed, _) => (reason, escalation),
        };
        State::Ending { reason, escalation }
    }

    fn after_failed_start(&mut self, reason: Reason, failure: StartFailure, now: Instant, step: &mut Step) -> State {
        match reason {
            // As if it had been asked for just after the failure.
            Reason::Restart(_) if !self.is_hopeless(failure) => self.begin_run(step),
            Reason::Exit(_) | Reason::Hang(_) | Reason::Restart(_) => {
                self.after_end(End::NotStarted(failure), now, step)
            }
            Reason::Stop { .. } => done(Outcome::Stopped, step),
        }
    }

    fn after_clearing(&mut self, reason: Reason, now: Instant, step: &mut Step) -> State {
        match reason {
            Reason::Exit(status) => self.after_end(End::Exited(status), now, step),
            Reason::Hang(_) => self.after_end(End::Hung, now, step),
            Reason::Restart(_) => self.begin_run(step),
            Reason::Stop { main: Main::Killed, .. } => done(Outcome::Killed, step),
            Reason::Stop { main: Main::Unborn | Main::Alive(_) | Main::Left, .. } => done(Outcome::Stopped, step),
        }
    }

    fn stop_instead(&self, reason: Reason, now: Instant, step: &mut Step) -> Reason {
        match reason {
            Reason::Exit(_) | Reason::Hang(_) | Reason::Restart(_) => {
                step.notices.push(Notice::StoppingInstead { run: self.run });
                Reason::Stop { main: reason.main(), since: now }
            }
            Reason::Stop { .. } => reason,
        }
    }

    fn restart_instead(&self, reason: Reason, step: &mut Step) -> Reason {
        match reason {
            Reason::Exit(_) | Reason::Hang(_) => {
                step.notices.push(Notice::RestartingInstead { run: self.run });
                Reason::Restart(reason.main())
            }
            Reason::Restart(_) | Reason::Stop { .. } => reason,
        }
    }

    fn escalate(&self, escalation: Escalation, now: Instant, step: &mut Step) -> Escalation {
        if now < escalation.due() {
            return escalation;
        }
        match escalation {
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
}
