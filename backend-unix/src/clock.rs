//! The two clocks: one that never steps, one that files are stamped with.

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_getres, clock_gettime,
    timerfd_create, timerfd_settime,
};
use std::time::Duration;
use supervisor_core::Instant;

/// Where readings come from; tests bring clocks that step.
pub(crate) trait Clock {
    /// Reads both clocks at one moment.
    fn read(&self) -> Reading;

    /// Whether the wall clock may have been stepped since this was asked last.
    fn was_stepped(&mut self) -> bool;
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
pub(crate) struct SystemClock {
    /// Cancelled by the kernel when the wall clock is set, there and back included: timerfd_create(2),
    /// `TFD_TIMER_CANCEL_ON_SET`. Where it cannot be had, steps are told by the length of intervals alone.
    alarm: Option<OwnedFd>,
}

/// Two readings of one clock closer than this were made without an interruption.
const UNDISTURBED: Duration = Duration::from_micros(200);

impl SystemClock {
    pub fn new() -> SystemClock {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let alarm = timerfd_create(TimerfdClockId::Realtime, flags).ok();
        SystemClock { alarm: alarm.filter(|alarm| arm(alarm).is_ok()) }
    }

    pub fn now() -> Instant {
        Instant::from_origin(to_duration(clock_gettime(ClockId::Monotonic)))
    }
}

impl Clock for SystemClock {
    fn was_stepped(&mut self) -> bool {
        let Some(alarm) = &self.alarm else { return false };
        let is_cancelled = rustix::io::read(alarm, &mut [0_u8; 8]) == Err(Errno::CANCELED);
        // A timer that was cancelled tells of no other step until it is set anew.
        if is_cancelled && arm(alarm).is_err() {
            self.alarm = None;
        }
        is_cancelled
    }

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

/// Sets a timer to the end of all days.
fn arm(alarm: &OwnedFd) -> rustix::io::Result<()> {
    let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
    let (never, interval) = (Timespec { tv_sec: i64::MAX >> 1, tv_nsec: 0 }, Timespec { tv_sec: 0, tv_nsec: 0 });
    timerfd_settime(alarm, flags, &Itimerspec { it_interval: interval, it_value: never }).map(drop)
}

/// A stamp of a file may lie this many nanoseconds before the change: two ticks of the coarse clock that it comes from.
pub(crate) fn stamp_lag() -> i128 {
    2 * nanos(clock_getres(ClockId::RealtimeCoarse))
}

pub(crate) fn nanos(time: Timespec) -> i128 {
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}

fn to_duration(time: Timespec) -> Duration {
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{SystemTime, UNIX_EPOCH};

    #[test]
    fn both_clocks_are_read_at_one_moment() {
        let since_epoch = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos().cast_signed();
        let (earliest, first) = (since_epoch(), SystemClock::now());
        let reading = SystemClock::new().read();
        let (last, latest) = (SystemClock::now(), since_epoch());
        assert!((earliest..=latest).contains(&reading.wall), "{earliest} {} {latest}", reading.wall);
        assert!((first..=last).contains(&reading.monotonic));
        assert!(first > Instant::ORIGIN);
    }

    #[test]
    fn a_clock_that_nobody_sets_is_not_stepped() {
        let mut clock = SystemClock::new();
        assert!(clock.alarm.is_some() && !clock.was_stepped() && clock.alarm.is_some());
    }

    #[test]
    fn a_stamp_lags_behind_by_two_ticks() {
        let tick = nanos(clock_getres(ClockId::RealtimeCoarse));
        assert_eq!(stamp_lag(), tick + tick);
        assert_eq!(nanos(Timespec { tv_sec: 3, tv_nsec: 7 }), 3_000_000_007);
        assert_eq!(to_duration(Timespec { tv_sec: 3, tv_nsec: 7 }), Duration::new(3, 7));
    }
}
