//! What the command says of itself, or a probe of it, cannot flood those who read of it: the same kind is told once a
//! second at most.

use std::time::Duration;
use supervisor_backend_unix::{ProbeOutcome, UnixNotice};
use supervisor_core::{Instant, Notice};

/// Between two of a kind.
const PAUSE: Duration = Duration::from_secs(1);

/// When each kind was told last, and how many were not told since.
#[derive(Debug, Default)]
pub struct Repeats {
    told: Vec<(Kind, Instant)>,
    passed_over: u64,
    /// When it was told last how many were passed over.
    summed: Option<Instant>,
}

/// What the like of is told but once a second: the name of an event, and the process where it may be one of several, or
/// how a probe ended.
type Kind = (&'static str, i32);

/// Kinds that are remembered; of more, the oldest is forgotten.
const MOST_KINDS: usize = 64;

/// Whether a notice is told.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    PassedOver,
    /// It is, after so many others that were not.
    Told {
        passed_over: u64,
    },
}

impl Repeats {
    /// A notice of the machine.
    pub fn take(&mut self, notice: &Notice, at: Instant) -> Verdict {
        if let Notice::Started { .. } = notice {
            // What a run says first is news.
            self.told.clear();
        }
        self.judge(is_said_by_command(notice).then(|| (notice.name(), 0)), at)
    }

    /// A notice of the backend.
    pub fn take_of_backend(&mut self, notice: &UnixNotice, at: Instant) -> Verdict {
        let kind = match notice {
            UnixNotice::ProcessStopped { process, .. } => Some((notice.name(), process.pid)),
            UnixNotice::ProcessContinued { pid } => Some((notice.name(), *pid)),
            UnixNotice::ProbeFailed { outcome, .. } => match outcome {
                ProbeOutcome::Code(number) => Some(("probe exited", (*number).into())),
                ProbeOutcome::Signal(number) => Some(("probe killed", (*number).into())),
                ProbeOutcome::NotStarted(_) => Some(("probe not started", 0)),
                // Each has lasted for a while, or belongs to a hang.
                ProbeOutcome::TimedOut | ProbeOutcome::Unfinished => None,
            },
            _ => None,
        };
        self.judge(kind, at)
    }

    fn judge(&mut self, kind: Option<Kind>, at: Instant) -> Verdict {
        if let Some(kind) = kind {
            match self.told.iter_mut().find(|(told, _)| *told == kind) {
                Some((_, last)) if at - *last < PAUSE => {
                    self.passed_over += 1;
                    return Verdict::PassedOver;
                }
                Some((_, last)) => *last = at,
                None => self.remember(kind, at),
            }
        }
        let is_due = self.summed.is_none_or(|summed| at - summed >= PAUSE);
        let passed_over = if is_due { std::mem::take(&mut self.passed_over) } else { 0 };
        if passed_over > 0 {
            self.summed = Some(at);
        }
        Verdict::Told { passed_over }
    }

    fn remember(&mut self, kind: Kind, at: Instant) {
        if self.told.len() == MOST_KINDS {
            self.told.remove(0);
        }
        self.told.push((kind, at));
    }
}

/// As often as it likes: sd_notify(3).
fn is_said_by_command(notice: &Notice) -> bool {
    match notice {
        Notice::Ready { .. }
        | Notice::Leaving { .. }
        | Notice::TimeoutSet { .. }
        | Notice::Extended { .. }
        | Notice::StreakEnded { .. } => true,
        Notice::Started { .. }
        | Notice::StartFailed { .. }
        | Notice::Heartbeat { .. }
        | Notice::Delayed { .. }
        | Notice::Hung { .. }
        | Notice::HangGraceOver { .. }
        | Notice::Stopping { .. }
        | Notice::StoppingInstead { .. }
        | Notice::Restarting { .. }
        | Notice::RestartingInstead { .. }
        | Notice::Exited { .. }
        | Notice::Killing { .. }
        | Notice::Surviving { .. }
        | Notice::BackingOff { .. }
        | Notice::Done(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use supervisor_core::RunId;

    #[test]
    fn one_of_a_kind_is_told_a_second_and_the_others_are_counted() {
        let at = |millis| Instant::from_origin(Duration::from_millis(millis));
        let (run, pid) = (RunId(1), 7);
        let (ready, leaving) = (Notice::Ready { run, pid }, Notice::Leaving { run, pid });
        let mut repeats = Repeats::default();
        let told = |passed_over| Verdict::Told { passed_over };
        assert_eq!(repeats.take(&ready, at(0)), told(0));
        assert_eq!(repeats.take(&ready, at(998)), Verdict::PassedOver);
        assert_eq!(repeats.take(&ready, at(999)), Verdict::PassedOver);
        assert_eq!(repeats.take(&leaving, at(999)), told(2));
        assert_eq!(repeats.take(&ready, at(1000)), told(0));
        assert_eq!(repeats.take(&ready, at(1001)), Verdict::PassedOver);
        // The sum is not told more often than the messages themselves.
        assert_eq!(repeats.take(&Notice::Started { run, pid }, at(1002)), told(0));
        assert_eq!(repeats.take(&ready, at(1003)), told(0));
        assert_eq!(repeats.take(&Notice::Started { run, pid }, at(1999)), told(1));
    }

    #[test]
    fn each_process_is_stopped_once_a_second() {
        let at = Instant::ORIGIN;
        let mut repeats = Repeats::default();
        let goes_on = |pid| UnixNotice::ProcessContinued { pid };
        assert_eq!(repeats.take_of_backend(&goes_on(1), at), Verdict::Told { passed_over: 0 });
        assert_eq!(repeats.take_of_backend(&goes_on(2), at), Verdict::Told { passed_over: 0 });
        assert_eq!(repeats.take_of_backend(&goes_on(1), at), Verdict::PassedOver);
    }

    #[test]
    fn each_end_of_a_probe_is_told_once_a_second_and_one_that_belongs_to_a_hang_always() {
        let mut repeats = Repeats::default();
        let mut is_told = |outcome| {
            let notice = UnixNotice::ProbeFailed { outcome, last_words: String::new() };
            repeats.take_of_backend(&notice, Instant::ORIGIN) != Verdict::PassedOver
        };
        let once = || {
            [
                ProbeOutcome::Code(1),
                ProbeOutcome::Code(2),
                ProbeOutcome::Signal(2),
                ProbeOutcome::NotStarted(String::new()),
            ]
        };
        assert_eq!((once().map(&mut is_told), once().map(&mut is_told)), ([true; 4], [false; 4]));
        let always = || [ProbeOutcome::TimedOut, ProbeOutcome::Unfinished];
        assert_eq!((always().map(&mut is_told), always().map(&mut is_told)), ([true; 2], [true; 2]));
    }

    #[test]
    fn of_many_kinds_the_oldest_is_forgotten() {
        let at = Instant::ORIGIN;
        let mut repeats = Repeats::default();
        let mut goes_on = |pid| repeats.take_of_backend(&UnixNotice::ProcessContinued { pid }, at);
        let told = Verdict::Told { passed_over: 0 };
        assert!((1..=MOST_KINDS as i32).all(|pid| goes_on(pid) == told));
        assert_eq!((goes_on(1), goes_on(MOST_KINDS as i32)), (Verdict::PassedOver, Verdict::PassedOver));
        assert_eq!(goes_on(0), Verdict::Told { passed_over: 2 });
        assert_eq!((goes_on(2), goes_on(1)), (Verdict::PassedOver, told));
    }

    #[test]
    fn what_the_supervisor_decides_is_told_however_often() {
        use supervisor_backend_unix::Named;
        let (at, told) = (Instant::ORIGIN, Verdict::Told { passed_over: 0 });
        let mut repeats = Repeats::default();
        let surviving = Notice::Surviving { run: RunId(1), since: PAUSE };
        assert_eq!(
            (repeats.take(&surviving, at), repeats.take(&surviving, at)),
            (told, Verdict::Told { passed_over: 0 })
        );
        let stopped = UnixNotice::ProcessStopped { process: Named { pid: 7, name: String::new() }, signal: 19 };
        repeats.take_of_backend(&stopped, at);
        assert_eq!(repeats.take_of_backend(&stopped, at), Verdict::PassedOver);
    }
}
