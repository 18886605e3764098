//! The lazy deadline: heartbeats are looked for only at the moment at which silence would be too long.

use crate::{Instant, Notice, Observation, RunId};
use core::time::Duration;

/// A look later than this was held up: silence meanwhile may be the fault of whoever held it up.
const LATE: Duration = Duration::from_millis(100);

/// What the machine knows of the heartbeat of the current run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Watch {
    /// There are no looks.
    Off,
    /// The next look is due at the deadline of the heartbeat.
    Armed(Heartbeat),
    /// A look was ordered at `since` and its answer is awaited; the heartbeat is what was known before it.
    Looking { heartbeat: Heartbeat, since: Instant },
}

impl Watch {
    /// What is known of the heartbeat, if there are looks.
    pub fn heartbeat(self) -> Option<Heartbeat> {
        match self {
            Watch::Off => None,
            Watch::Armed(heartbeat) | Watch::Looking { heartbeat, .. } => Some(heartbeat),
        }
    }

    /// The same watch with another heartbeat.
    pub fn with(self, heartbeat: Heartbeat) -> Watch {
        match self {
            Watch::Off => Watch::Off,
            Watch::Armed(_) => Watch::Armed(heartbeat),
            Watch::Looking { since, .. } => Watch::Looking { heartbeat, since },
        }
    }
}

/// The last sign of life of a run, and when silence since then will be too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Heartbeat {
    timeout: Duration,
    /// Silence before this moment does not count: the start plus the initial delay, or what the command told.
    counted_from: Instant,
    start_up: StartUp,
    last_beat: LastBeat,
    deadline: Deadline,
}

/// Whether the command may still ask for more time to start up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum StartUp {
    UnderWay,
    Over,
}

/// The last sign of life of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LastBeat {
    /// The start itself, no heartbeat yet.
    Start(Instant),
    /// The last heartbeat known.
    Heartbeat(Instant),
}

impl LastBeat {
    /// When it was.
    pub fn at(self) -> Instant {
        match self {
            LastBeat::Start(at) | LastBeat::Heartbeat(at) => at,
        }
    }
}

/// When silence is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Deadline {
    /// One timeout after silence began to count.
    Regular(Instant),
    /// Moved, once in a silence, because the look came late.
    Moved(Instant),
}

/// What an answered look means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// There was a heartbeat.
    Alive(Heartbeat),
    /// No heartbeat, but the command has told something meanwhile, so that its time is not over.
    NotDue,
    /// No heartbeat, but the look came so late that the deadline moves.
    Forgiven { heartbeat: Heartbeat, late: Duration, extension: Duration },
    /// Silent for too long.
    Hung,
}

impl Heartbeat {
    /// The heartbeat of a run begun at `started`, of which no heartbeat is known yet.
    pub fn started(started: Instant, timeout: Duration, initial_delay: Duration) -> Heartbeat {
        let counted_from = started + initial_delay;
        let deadline = Deadline::Regular(counted_from + timeout);
        Heartbeat { timeout, counted_from, start_up: StartUp::UnderWay, last_beat: LastBeat::Start(started), deadline }
    }

    pub fn deadline(&self) -> Instant {
        match self.deadline {
            Deadline::Regular(at) | Deadline::Moved(at) => at,
        }
    }

    pub fn last_beat(&self) -> LastBeat {
        self.last_beat
    }

    /// The story of the next heartbeat, which was made so long ago.
    pub fn notice_of_next(&self, run: RunId, pid: u32, ago: Duration) -> Notice {
        Notice::Heartbeat { run, pid, first: matches!(self.last_beat, LastBeat::Start(_)), ago }
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
                let heartbeat = Heartbeat { deadline: Deadline::Moved(now + extension), ..self };
                Verdict::Forgiven { heartbeat, late, extension }
            }
            (Observation::Unchanged, _) => Verdict::Hung,
        }
    }

    /// A heartbeat is never older than the last one, whatever a clock says.
    pub fn beaten(self, at: Instant) -> Heartbeat {
        Heartbeat { last_beat: LastBeat::Heartbeat(at.max(self.last_beat.at())), ..self }.rearmed()
    }

    /// The start-up is over, and with it any initial delay.
    pub fn ready(self, now: Instant) -> Heartbeat {
        match self.start_up {
            StartUp::UnderWay => Heartbeat { start_up: StartUp::Over, counted_from: now, ..self }.rearmed(),
            StartUp::Over => self,
        }
    }

    /// Another timeout, and silence counts anew. A start-up goes on.
    pub fn with_timeout(self, timeout: Duration, now: Instant) -> Heartbeat {
        Heartbeat { timeout, counted_from: self.counted_from.max(now), ..self }.rearmed()
    }

    /// The heartbeat of a command that needs more time to start up; none if it has started up.
    pub fn extended(self, until: Instant) -> Option<Heartbeat> {
        match (self.start_up, self.last_beat) {
            (StartUp::UnderWay, LastBeat::Start(_)) => {
                Some(Heartbeat { counted_from: self.counted_from.max(until), ..self }.rearmed())
            }
            (StartUp::Over, _) | (_, LastBeat::Heartbeat(_)) => None,
        }
    }

    fn rearmed(self) -> Heartbeat {
        let deadline = Deadline::Regular(self.last_beat.at().max(self.counted_from) + self.timeout);
        Heartbeat { deadline, ..self }
    }
}
