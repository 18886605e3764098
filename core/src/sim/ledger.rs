//! Where the time went: an account of a supervised life, kept from its notices.

use crate::{Ending, Evidence, Instant, Notice};
use alloc::vec::Vec;
use core::time::Duration;

/// Everything that happened, as periods without a gap, and how often what happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    now: Now,
}

/// A stretch of time in one phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// Its first moment.
    pub from: Instant,
    /// Its end.
    pub to: Instant,
    /// What it was.
    pub phase: Phase,
}

impl Period {
    /// How long it lasted.
    pub fn length(&self) -> Duration {
        self.to - self.from
    }
}

/// What time is spent with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
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

impl Phase {
    /// All there are.
    pub const ALL: [Phase; 5] = [Phase::Starting, Phase::Up, Phase::Silent, Phase::Ending, Phase::BackingOff];
}

/// The period that is not over yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Now {
    #[default]
    Starting,
    Up,
    Ending,
    BackingOff {
        delay: Duration,
    },
    Over,
}

impl Ledger {
    /// Takes what happened at a moment. Moments never go backwards.
    pub fn enter(&mut self, at: Instant, notice: Notice) {
        match notice {
            Notice::Started { .. } | Notice::StartFailed { .. } => {
                self.starts += 1;
                self.failed_starts += u64::from(matches!(notice, Notice::StartFailed { .. }));
                self.begun(at);
            }
            Notice::Hung { evidence: Evidence::Silence { silence }, .. } => {
                self.hangs += 1;
                let up = (at - self.end()).saturating_sub(silence);
                self.close(self.end() + up, Phase::Up);
                self.close(at, Phase::Silent);
                self.now = Now::Ending;
            }
            Notice::Hung { evidence: Evidence::Report {}, .. } => {
                self.hangs += 1;
                self.close(at, Phase::Up);
                self.now = Now::Ending;
            }
            Notice::Exited { ending: Ending::Spontaneous { .. }, .. } => {
                self.exits += 1;
                self.close(at, Phase::Up);
                self.now = Now::Ending;
            }
            Notice::Stopping { .. } | Notice::Restarting { .. } => {
                self.close_backoff();
                self.close(at, if self.now == Now::Up { Phase::Up } else { Phase::Starting });
                self.now = Now::Ending;
            }
            Notice::Killing { .. } => self.kills += 1,
            Notice::BackingOff { delay, .. } => {
                self.ends += 1;
                self.restarts += 1;
                self.close(at, Phase::Ending);
                self.now = Now::BackingOff { delay };
            }
            Notice::Done(_) => {
                let waiting = matches!(self.now, Now::BackingOff { .. });
                self.ends += u64::from(!waiting);
                self.close(at, if waiting { Phase::BackingOff } else { Phase::Ending });
                self.now = Now::Over;
            }
            Notice::Heartbeat { .. }
            | Notice::Delayed { .. }
            | Notice::HangGraceOver { .. }
            | Notice::StoppingInstead { .. }
            | Notice::RestartingInstead { .. }
            | Notice::Exited { ending: Ending::Asked | Ending::Killed, .. }
            | Notice::Ready { .. }
            | Notice::Leaving { .. }
            | Notice::TimeoutSet { .. }
            | Notice::Extended { .. }
            | Notice::StreakEnded { .. }
            | Notice::Surviving { .. } => {}
        }
    }

    /// All periods, in order, without a gap; the last one ends with the last entry.
    pub fn periods(&self) -> &[Period] {
        &self.periods
    }

    /// The end of the last period.
    pub fn end(&self) -> Instant {
        self.periods.last().map_or(Instant::ORIGIN, |period| period.to)
    }

    /// How much time was spent in a phase.
    pub fn spent(&self, phase: Phase) -> Duration {
        let periods = self.periods.iter().filter(|period| period.phase == phase);
        periods.map(Period::length).fold(Duration::ZERO, Duration::saturating_add)
    }

    /// The longest time in which the command did not work, from the moment it ceased to.
    pub fn longest_outage(&self) -> Duration {
        let outages = self.periods.split(|period| period.phase == Phase::Up);
        let lengths = outages.map(|outage| outage.iter().map(Period::length).sum());
        lengths.max().unwrap_or_default()
    }

    /// A start is known to have worked, or not to.
    fn begun(&mut self, at: Instant) {
        self.close_backoff();
        // Where a stop came in between, the run is on its way out already.
        if self.now != Now::Ending {
            self.close(at, Phase::Starting);
            self.now = Now::Up;
        }
    }

    /// The start was ordered when the delay was over; that is not told by itself.
    fn close_backoff(&mut self) {
        if let Now::BackingOff { delay } = self.now {
            self.close(self.end() + delay, Phase::BackingOff);
            self.now = Now::Starting;
        }
    }

    fn close(&mut self, at: Instant, phase: Phase) {
        let from = self.end();
        if at > from {
            self.periods.push(Period { from, to: at, phase });
        }
    }
}
