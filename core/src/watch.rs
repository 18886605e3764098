//! The lazy deadline: heartbeats are looked for only at the moment at which silence would be too long.

use crate::{Instant, Observation};
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

/// The last sign of life and how long it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pulse {
    timeout: Duration,
    /// Silence before this moment does not count: the start plus the initial delay.
    counted_from: Instant,
    sign: Sign,
    deadline: Deadline,
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
        Pulse { timeout, counted_from, sign: Sign::Start(started), deadline }
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

    pub fn has_beaten(&self) -> bool {
        matches!(self.sign, Sign::Heartbeat(_))
    }

    /// The verdict on a look that was answered at `now`.
    ///
    /// A heartbeat of unknown time counts from the answer, not from the question: it may have come between the two,
    /// and the verdict is never early.
    pub fn judge(self, seen: Observation, now: Instant) -> Verdict {
        match (seen, self.deadline) {
            (Observation::Changed { at }, _) => Verdict::Alive(self.beaten(at)),
            (Observation::ChangedSometime, _) => Verdict::Alive(self.beaten(now)),
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
    fn beaten(self, at: Instant) -> Pulse {
        let at = at.max(self.last_sign());
        let deadline = Deadline::Regular(at.max(self.counted_from) + self.timeout);
        Pulse { sign: Sign::Heartbeat(at), deadline, ..self }
    }
}
