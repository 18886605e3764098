//! The two clocks: one that never steps, one that files are stamped with.

use rustix::time::{ClockId, Timespec, clock_gettime};
use std::time::Duration;
use supervisor_core::Instant;

/// Where readings come from; tests bring clocks that step.
pub(crate) trait Clock {
    /// Reads both clocks at one moment.
    fn read(&self) -> Reading;
}

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    /// Time since boot without the time spent suspended (`CLOCK_MONOTONIC`).
    pub monotonic: Instant,
    /// Nanoseconds since the epoch (`CLOCK_REALTIME`).
    pub wall: i128,
}

/// The clocks of the system.
pub(crate) struct SystemClock;

/// Two readings of one clock closer than this were made without an interruption.
const UNDISTURBED: Duration = Duration::from_micros(200);

impl SystemClock {
    pub fn now() -> Instant {
        Instant::from_origin(to_duration(clock_gettime(ClockId::Monotonic)))
    }
}

impl Clock for SystemClock {
    fn read(&self) -> Reading {
        let mut attempts = 0;
        loop {
            let before = SystemClock::now();
            let wall = nanos(clock_gettime(ClockId::Realtime));
            let monotonic = SystemClock::now();
            attempts += 1;
            if monotonic - before < UNDISTURBED || attempts == 10 {
                return Reading { monotonic, wall };
            }
        }
    }
}

pub(crate) fn nanos(time: Timespec) -> i128 {
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}

fn to_duration(time: Timespec) -> Duration {
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}
