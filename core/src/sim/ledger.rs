//! Where the time went: an account of a supervised life.

use crate::{Ending, Event, Evidence, Instant, Notice, Phase, Report, Supervisor};
use alloc::vec::Vec;
use core::time::Duration;

/// Everything that happened, as periods without a gap, and how often what happened.
///
/// It keeps the account of what [`run`](crate::run) reports to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    periods: Vec<Period>,
    /// Runs that were begun, those that failed to start included.
    pub starts: u64,
    /// Runs that are over.
    pub ends: u64,
    /// Runs that could not be started.
    pub failed_starts: u64,
    /// Main processes that ended by themselves.
    pub exits: u64,
    /// Hangs.
    pub hangs: u64,
    /// Runs of which something had to be killed.
    pub kills: u64,
    /// Restarts that were announced.
    pub restarts: u64,
    /// Restarts that were asked for.
    pub restart_requests: u64,
    /// Where the supervisor stood at the last entry.
    phase: Phase,
}

/// A stretch of time spent with one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// Its first moment.
    pub from: Instant,
    /// Its end.
    pub to: Instant,
    /// What it was.
    pub activity: Activity,
}

impl Period {
    /// How long it lasted.
    pub fn length(&self) -> Duration {
        self.to - self.from
    }
}

/// What time is spent with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// A start was ordered and is not known to have worked.
    Starting,
    /// The command works, as far as one can tell.
    Up,
    /// It was silent, which turned out to be a hang.
    Silent,
    /// The run is being cleared away.
    Ending,
    /// Waiting before the next start.
    BackingOff,
}

impl Activity {
    /// All there are.
    pub const ALL: [Activity; 5] =
        [Activity::Starting, Activity::Up, Activity::Silent, Activity::Ending, Activity::BackingOff];
}

impl Default for Ledger {
    /// The account of a life that begins now.
    fn default() -> Ledger {
        Ledger {
            periods: Vec::new(),
            starts: 0,
            ends: 0,
            failed_starts: 0,
            exits: 0,
            hangs: 0,
            kills: 0,
            restarts: 0,
            restart_requests: 0,
            phase: Phase::Starting,
        }
    }
}

impl<N> Report<N> for &mut Ledger {
    /// Two starts come without a notice: after a delay, and at the end of a run that is restarted on request.
    fn event(&mut self, at: Instant, event: Event) {
        match (event, self.phase) {
            (Event::Timeout, Phase::BackingOff { until }) if at >= until => self.enter(at, Phase::Starting),
            (Event::Cleared { .. }, Phase::Restarting(_)) => self.enter(at, Phase::Starting),
            _ => {}
        }
    }

    fn notice(&mut self, at: Instant, notice: Notice, supervisor: &Supervisor) {
        self.count(notice);
        if let Notice::Hung { evidence: Evidence::Silence { silence }, .. } = notice {
            let up = (at - self.end()).saturating_sub(silence);
            self.close(self.end() + up, Activity::Up);
            self.close(at, Activity::Silent);
        }
        self.enter(at, supervisor.phase());
    }
}

impl Ledger {
    /// All periods, in order, without a gap; the last one ends with the last entry.
    pub fn periods(&self) -> &[Period] {
        &self.periods
    }

    /// The end of the last period.
    pub fn end(&self) -> Instant {
        self.periods.last().map_or(Instant::ORIGIN, |period| period.to)
    }

    /// How much time was spent with something.
    pub fn spent(&self, activity: Activity) -> Duration {
        let periods = self.periods.iter().filter(|period| period.activity == activity);
        periods.map(Period::length).fold(Duration::ZERO, Duration::saturating_add)
    }

    /// The longest time in which the command did not work, from the moment it ceased to.
    pub fn longest_outage(&self) -> Duration {
        let outages = self.periods.split(|period| period.activity == Activity::Up);
        let lengths = outages.map(|outage| outage.iter().map(Period::length).sum());
        lengths.max().unwrap_or_default()
    }

    fn count(&mut self, notice: Notice) {
        match notice {
            Notice::Started { .. } => self.starts += 1,
            Notice::StartFailed { .. } => (self.starts, self.failed_starts) = (self.starts + 1, self.failed_starts + 1),
            Notice::Hung { .. } => self.hangs += 1,
            Notice::Exited { ending: Ending::Spontaneous { .. }, .. } => self.exits += 1,
            Notice::Killing { .. } => self.kills += 1,
            Notice::BackingOff { .. } => self.restarts += 1,
            Notice::Restarting { .. } | Notice::RestartingInstead { .. } => self.restart_requests += 1,
            Notice::Exited { ending: Ending::Asked | Ending::Killed, .. }
            | Notice::Heartbeat { .. }
            | Notice::Delayed { .. }
            | Notice::HangGraceOver { .. }
            | Notice::Ready { .. }
            | Notice::Leaving { .. }
            | Notice::TimeoutSet { .. }
            | Notice::Extended { .. }
            | Notice::StreakEnded { .. }
            | Notice::Stopping { .. }
            | Notice::StoppingInstead { .. }
            | Notice::Surviving { .. }
            | Notice::Done(_) => {}
        }
    }

    /// From now on it stands there. A period is over where time begins to be spent with something else.
    fn enter(&mut self, at: Instant, phase: Phase) {
        let (before, after) = (activity(self.phase), activity(phase));
        if before != after {
            before.into_iter().for_each(|activity| self.close(at, activity));
            let run_is_over = matches!(after, None | Some(Activity::BackingOff | Activity::Starting));
            self.ends += u64::from(run_is_over && before != Some(Activity::BackingOff));
        }
        self.phase = phase;
    }

    fn close(&mut self, at: Instant, activity: Activity) {
        let from = self.end();
        if at > from {
            self.periods.push(Period { from, to: at, activity });
        }
    }
}

/// What the time in a phase is spent with, unless it is over.
fn activity(phase: Phase) -> Option<Activity> {
    match phase {
        Phase::Starting => Some(Activity::Starting),
        Phase::Running { .. } => Some(Activity::Up),
        Phase::Hung(_) | Phase::Restarting(_) | Phase::Stopping(_) | Phase::Clearing => Some(Activity::Ending),
        Phase::BackingOff { .. } => Some(Activity::BackingOff),
        Phase::Done(_) => None,
    }
}
