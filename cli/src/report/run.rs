//! What is known of the current run beyond what each notice says.

use std::time::Duration;
use supervisor_backend_unix::UnixNotice;
use supervisor_core::{Instant, Notice};

/// The current run, as far as sentences need it.
#[derive(Clone, Copy, Debug, Default)]
pub struct KnownRun {
    /// The process id of its main process, which may have ended; 0 before the first start.
    pub pid: u32,
    started: Instant,
    pub condition: Condition,
    beats: Beats,
}

/// What is known of a main process beyond its being alive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    #[default]
    Going,
    /// By a signal of this number.
    Stopped { signal: i32 },
}

/// The heartbeats that looks have found.
#[derive(Clone, Copy, Debug, Default)]
enum Beats {
    #[default]
    None,
    Some {
        first: Instant,
        last: Instant,
        intervals: u32,
    },
}

/// What heartbeats tell of those to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rhythm {
    None,
    /// One look has found heartbeats, the last of them so long after the start.
    Once {
        after: Duration,
    },
    /// So far apart on average.
    Regular {
        interval: Duration,
    },
}

impl KnownRun {
    pub fn take(&mut self, notice: &Notice, at: Instant) {
        match *notice {
            Notice::Started { pid, .. } => *self = KnownRun { pid, started: at, ..KnownRun::default() },
            Notice::Heartbeat { ago, .. } => {
                let beat = Instant::from_origin(at.since_origin().saturating_sub(ago));
                self.beats = match self.beats {
                    Beats::None => Beats::Some { first: beat, last: beat, intervals: 0 },
                    Beats::Some { first, intervals, .. } => Beats::Some { first, last: beat, intervals: intervals + 1 },
                };
            }
            Notice::StartFailed { .. }
            | Notice::Delayed { .. }
            | Notice::Hung { .. }
            | Notice::HangGraceOver { .. }
            | Notice::Ready { .. }
            | Notice::Leaving { .. }
            | Notice::TimeoutSet { .. }
            | Notice::Extended { .. }
            | Notice::StreakEnded { .. }
            | Notice::Stopping { .. }
            | Notice::StoppingInstead { .. }
            | Notice::Restarting { .. }
            | Notice::RestartingInstead { .. }
            | Notice::Exited { .. }
            | Notice::Killing { .. }
            | Notice::Surviving { .. }
            | Notice::BackingOff { .. }
            | Notice::Done(_) => {}
        }
    }

    /// `main` is the main process, while it lives.
    pub fn take_of_backend(&mut self, notice: &UnixNotice, main: Option<u32>) {
        let is_main = |pid: i32| main == Some(pid.cast_unsigned());
        if let UnixNotice::ProcessStopped { process, signal } = notice
            && is_main(process.pid)
        {
            self.condition = Condition::Stopped { signal: *signal };
        }
        if let UnixNotice::ProcessContinued { pid } = notice
            && is_main(*pid)
        {
            self.condition = Condition::Going;
        }
    }

    /// How the command has beaten, as far as looks have found in this run.
    pub fn rhythm(&self) -> Rhythm {
        match self.beats {
            Beats::None => Rhythm::None,
            Beats::Some { first, last, intervals } => {
                let once = Rhythm::Once { after: last - self.started };
                (last - first).checked_div(intervals).map_or(once, |interval| Rhythm::Regular { interval })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use supervisor_backend_unix::Named;
    use supervisor_core::RunId;

    const RUN: RunId = RunId(1);

    fn second(number: u64) -> Instant {
        Instant::from_origin(Duration::from_secs(number))
    }

    #[test]
    fn the_usual_interval_is_that_of_heartbeats_and_not_of_looks() {
        let mut run = KnownRun::default();
        run.take(&Notice::Started { run: RUN, pid: 7 }, second(0));
        assert_eq!(run.rhythm(), Rhythm::None);
        for (at, ago) in [(20, 2), (38, 1), (57, 1)] {
            let ago = Duration::from_secs(ago);
            run.take(&Notice::Heartbeat { run: RUN, pid: 7, first: at == 20, ago }, second(at));
            assert!(at > 20 || run.rhythm() == Rhythm::Once { after: Duration::from_secs(18) });
        }
        assert_eq!(run.rhythm(), Rhythm::Regular { interval: Duration::from_secs(19) });
        run.take(&Notice::Started { run: RunId(2), pid: 8 }, second(60));
        assert_eq!((run.rhythm(), run.pid), (Rhythm::None, 8));
    }

    #[test]
    fn an_only_heartbeat_is_dated_from_the_start_of_its_own_run() {
        let mut run = KnownRun::default();
        run.take(&Notice::Started { run: RunId(2), pid: 8 }, second(60));
        let ago = Duration::from_secs(1);
        run.take(&Notice::Heartbeat { run: RunId(2), pid: 8, first: true, ago }, second(64));
        assert_eq!(run.rhythm(), Rhythm::Once { after: Duration::from_secs(3) });
    }

    #[test]
    fn a_main_process_that_is_stopped_is_known_until_it_goes_on() {
        let mut run = KnownRun::default();
        let stopped = |pid| UnixNotice::ProcessStopped { process: Named { pid, name: String::new() }, signal: 19 };
        run.take_of_backend(&stopped(8), Some(7));
        assert_eq!(run.condition, Condition::Going);
        run.take_of_backend(&stopped(7), Some(7));
        assert_eq!(run.condition, Condition::Stopped { signal: 19 });
        run.take_of_backend(&UnixNotice::ProcessContinued { pid: 7 }, Some(7));
        assert_eq!(run.condition, Condition::Going);
    }
}
