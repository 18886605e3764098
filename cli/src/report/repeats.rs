//! What the command says of itself cannot flood those who read of it: the same kind is told once a second at most.

use std::time::Duration;
use supervisor_core::{Instant, Notice};

/// Between two of a kind.
const PAUSE: Duration = Duration::from_secs(1);

/// When each kind was told last, and how many were not told since.
#[derive(Debug, Default)]
pub struct Repeats {
    told: Vec<(&'static str, Instant)>,
    passed_over: u64,
}

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
    pub fn take(&mut self, notice: &Notice, at: Instant) -> Verdict {
        if let Notice::Started { .. } = notice {
            // What a run says first is news.
            self.told.clear();
        }
        if !is_said_by_command(notice) {
            return Verdict::Told { passed_over: std::mem::take(&mut self.passed_over) };
        }
        let name = notice.name();
        match self.told.iter_mut().find(|(told, _)| *told == name) {
            Some((_, last)) if at - *last < PAUSE => {
                self.passed_over += 1;
                return Verdict::PassedOver;
            }
            Some((_, last)) => *last = at,
            None => self.told.push((name, at)),
        }
        Verdict::Told { passed_over: std::mem::take(&mut self.passed_over) }
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
        assert_eq!(repeats.take(&ready, at(999)), Verdict::PassedOver);
        assert_eq!(repeats.take(&leaving, at(999)), told(1));
        assert_eq!(repeats.take(&ready, at(1000)), told(0));
        assert_eq!(repeats.take(&Notice::Started { run, pid }, at(1000)), told(0));
        assert_eq!(repeats.take(&ready, at(1001)), told(0));
    }
}
