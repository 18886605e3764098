//! What happens to a run whose main process lives and whose end nothing asks for.

use super::{State, Supervisor};
use crate::escalation::{Main, Reason};
use crate::heartbeat::{Heartbeat, LastBeat, Verdict, Watch};
use crate::{
    Action, DelayCause, Ending, Event, Evidence, Instant, Message, Notice, Observation, OnHang, Policy, Purpose, Step,
    Watchdog,
};
use core::time::Duration;

/// A run whose main process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Running {
    pub pid: u32,
    started: Instant,
    pub watch: Watch,
}

impl Running {
    pub fn last_beat(&self) -> LastBeat {
        self.watch.heartbeat().map_or(LastBeat::Start(self.started), |heartbeat| heartbeat.last_beat())
    }

    fn with_watch(self, watch: Watch) -> State {
        State::Running(Running { watch, ..self })
    }
}

impl Supervisor {
    pub(super) fn running(&mut self, running: Running, event: Event, now: Instant, step: &mut Step) -> State {
        let Running { pid, started, watch } = running;
        match (event, watch) {
            (Event::Exited { run, status }, _) => {
                let ending = Ending::Spontaneous { after: now - started };
                step.notices.push(Notice::Exited { run, pid, status, ending });
                self.end_streak_if_healthy(now - started);
                self.ask_to_leave(Reason::Exit(status), now, step)
            }
            (Event::Observed { observation, .. }, Watch::Looking { heartbeat, since }) => {
                self.judge(running, heartbeat, since, observation, now, step)
            }
            (Event::Timeout, Watch::Armed(heartbeat)) => running.with_watch(self.watch(heartbeat, now, now, step)),
            (Event::Message { message, .. }, _) => self.message(running, message, now, step),
            (Event::Stop | Event::Interrupt, _) => self.stop(Main::Alive(pid), now, step),
            (Event::Restart, _) => {
                self.end_streak_if_healthy(now - started);
                self.restart(Main::Alive(pid), now, step)
            }
            // No backend sends these now, but for a spurious wake-up.
            (Event::Observed { .. } | Event::Timeout, _)
            | (
                Event::Started { .. } | Event::StartFailed { .. } | Event::Cleared { .. } | Event::Signalled { .. },
                _,
            ) => State::Running(running),
        }
    }

    pub(super) fn begun(&self, pid: u32, now: Instant) -> State {
        State::Running(Running { pid, started: now, watch: self.first_watch(now) })
    }

    fn first_watch(&self, started: Instant) -> Watch {
        match self.policy.watchdog {
            Watchdog::Off => Watch::Off,
            Watchdog::On { timeout, initial_delay } => {
                Watch::Armed(Heartbeat::started(started, timeout, initial_delay))
            }
        }
    }

    /// Waits for the deadline of the heartbeat, or looks at once if it has come. Then it has been looking since then: a
    /// look may follow on one that took long.
    fn watch(&self, heartbeat: Heartbeat, since: Instant, now: Instant, step: &mut Step) -> Watch {
        if now < heartbeat.deadline() {
            return Watch::Armed(heartbeat);
        }
        step.actions.push(Action::Look { run: self.run });
        Watch::Looking { heartbeat, since }
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
                running.with_watch(self.watch(heartbeat, since, now, step))
            }
            Verdict::Forgiven { heartbeat, late, extension } => {
                let cause =
                    if since - before.deadline() > late / 2 { DelayCause::Supervisor } else { DelayCause::Look };
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
        match on_hang {
            OnHang::Stop => State::Ending { reason: Reason::Hang(Main::Alive(pid)), escalation: self.grace(now) },
            OnHang::Signal { grace_period } => State::HangSignalled { pid, stop_at: now + grace_period },
        }
    }
}
