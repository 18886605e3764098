//! The lazy deadline: heartbeats are looked for only at the moment at which silence would be too long.

use crate::{Instant, Notice, Observation, RunId};
use core::time::Duration;

/// A look later than this shows that the supervisor itself could not run.
const LATE: Duration = Duration::from_millis(100);

/// What the machine knows of the heartbeat of the current run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Watch {
    /// Nobody looks.
    Off,
    /// The next look is due at the deadline of the pulse.
    Armed(Pulse),
    /// A look was asked for and its answer is awaited; the pulse is what was known before it.
    Looking(Pulse),
}

impl Watch {
    /// What is known of the heartbeat, if anybody looks.
    pub fn pulse(self) -> Option<Pulse> {
        match self {
            Watch::Off => None,
            Watch::Armed(pulse) | Watch::Looking(pulse) => Some(pulse),
        }
    }

    /// The same watch with another pulse.
    pub fn with(self, pulse: Pulse) -> Watch {
        match self {
            Watch::Off => Watch::Off,
            Watch::Armed(_) => Watch::Armed(pulse),
            Watch::Looking(_) => Watch::Looking(pulse),
        }
    }
}

/// The last sign of life and how long it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pulse {
    timeout: Duration,
    /// Silence before this moment does not count: the start plus the initial delay, or what the command told.
    counted_from: Instant,
    start_up: StartUp,
    sign: Sign,
    deadline: Deadline,
}

/// Whether the command may still ask for more time to start up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum StartUp {
    UnderWay,
    Over,
}

/// The last sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Sign {
    /// The start itself, no heartbeat yet.
    Start(Instant),
    /// The last heartbeat known.
    Heartbeat(Instant),
}

/// When silence is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Deadline {
    /// One timeout after silence began to count.
    Regular(Instant),
    /// Moved, once in a silence, because the look came late.
    Extended(Instant),
}

/// What an answered look means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// There was a heartbeat.
    Alive(Pulse),
    /// No heartbeat, but the command has told something meanwhile, so that its time is not over.
    NotDue,
    /// No heartbeat, but the look came so late that the deadline moves.
    Extended { pulse: Pulse, late: Duration, extension: Duration },
    /// Silent for too long.
    Hung,
}

impl Pulse {
    /// The pulse of a run begun at `started`, of which no heartbeat is known yet.
    pub fn started(started: Instant, timeout: Duration, initial_delay: Duration) -> Pulse {
        let counted_from = started + initial_delay;
        let deadline = Deadline::Regular(counted_from + timeout);
        Pulse { timeout, counted_from, start_up: StartUp::UnderWay, sign: Sign::Start(started), deadline }
    }

    pub fn deadline(&self) -> Instant {
        match self.deadline {
            Deadline::Regular(at) | Deadline::Extended(at) => at,
        }
    }

    /// The moment of the last heartbeat, or of the start if there was none.
    pub fn last_sign(&self) -> Instant {
        match self.sign {
            Sign::Start(at) | Sign::Heartbeat(at) => at,
        }
    }

    /// The story of the next heartbeat, which was made so long ago.
    pub fn notice_of_heartbeat(&self, run: RunId, ago: Duration) -> Notice {
        match self.sign {
            Sign::Start(_) => Notice::FirstHeartbeat { run, ago },
            Sign::Heartbeat(_) => Notice::Heartbeat { run, ago },
        }
    }

    /// The verdict on a look that was answered at `now`.
    ///
    /// A heartbeat of unknown time counts from the answer, not from the question: it may have come between the two,
    /// and the verdict is never early.
    pub fn judge(self, seen: Observation, now: Instant) -> Verdict {
        match (seen, self.deadline) {
            (Observation::Changed { at }, _) => Verdict::Alive(self.beaten(at)),
            (Observation::ChangedSometime, _) => Verdict::Alive(self.beaten(now)),
            (Observation::Unchanged, _) if now < self.deadline() => Verdict::NotDue,
            (Observation::Unchanged, Deadline::Regular(due)) if now - due > LATE => {
                let late = now - due;
                let extension = late.min(self.timeout);
                let pulse = Pulse { deadline: Deadline::Extended(now + extension), ..self };
                Verdict::Extended { pulse, late, extension }
            }
            (Observation::Unchanged, _) => Verdict::Hung,
        }
    }

    /// A heartbeat is never older than the last one, whatever a clock says.
    pub fn beaten(self, at: Instant) -> Pulse {
        Pulse { sign: Sign::Heartbeat(at.max(self.last_sign())), ..self }.rearmed()
    }

    /// The start-up is over, and with it any initial delay.
    pub fn ready(self, now: Instant) -> Pulse {
        match self.start_up {
            StartUp::UnderWay => Pulse { start_up: StartUp::Over, counted_from: now, ..self }.rearmed(),
            StartUp::Over => self,
        }
    }

    /// Another timeout, and silence counts anew. A start-up goes on.
    pub fn with_timeout(self, timeout: Duration, now: Instant) -> Pulse {
        Pulse { timeout, counted_from: self.counted_from.max(now), ..self }.rearmed()
    }

    /// The pulse of a command that needs more time to start up; none if it has started up.
    pub fn extended(self, until: Instant) -> Option<Pulse> {
        match (self.start_up, self.sign) {
            (StartUp::UnderWay, Sign::Start(_)) => {
                Some(Pulse { counted_from: self.counted_from.max(until), ..self }.rearmed())
            }
            (StartUp::Over, _) | (_, Sign::Heartbeat(_)) => None,
        }
    }

    fn rearmed(self) -> Pulse {
        let deadline = Deadline::Regular(self.last_sign().max(self.counted_from) + self.timeout);
        Pulse { deadline, ..self }
    }
}
