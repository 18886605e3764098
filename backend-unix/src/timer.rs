//! Wakes the loop at its moment. poll(2) by itself comes late by a thousandth of its timeout, up to 100 ms, so that timers
//! of many processes can be served together: `select_estimate_accuracy` in fs/select.c of the kernel. A timer of
//! timerfd_create(2) is not put off.

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::cell::Cell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;
use supervisor_core::Instant;

/// Shorter waits are put off by no more than any sleep of a process: `PR_SET_TIMERSLACK` in prctl(2), 50 us.
const SHORT: Duration = Duration::from_millis(50);

/// Readable from a moment on. Where the kernel has none to give, the timeout of poll(2) has to do.
pub(crate) struct Timer {
    descriptor: Option<OwnedFd>,
    set_to: Cell<Instant>,
}

impl Timer {
    pub fn new() -> Timer {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        Timer { descriptor: timerfd_create(TimerfdClockId::Monotonic, flags).ok(), set_to: Cell::new(Instant::ORIGIN) }
    }

    /// What becomes readable at this moment, if that is worth a timer.
    pub fn at(&self, due: Instant, now: Instant) -> Option<BorrowedFd<'_>> {
        let descriptor = self.descriptor.as_ref().filter(|_| due - now >= SHORT)?;
        if self.set_to.get() != due {
            let once = Itimerspec {
                it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
                it_value: Timespec::try_from(due.since_origin()).ok()?,
            };
            timerfd_settime(descriptor, TimerfdTimerFlags::ABSTIME, &once).ok()?;
            self.set_to.set(due);
        }
        Some(descriptor.as_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use rustix::event::{PollFd, PollFlags, poll};

    fn is_readable(descriptor: BorrowedFd) -> bool {
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)], Some(&at_once)) == Ok(1)
    }

    #[test]
    fn it_is_readable_from_its_moment_on_and_never_before() {
        let timer = Timer::new();
        let now = SystemClock::now();
        let due = now + SHORT;
        let descriptor = timer.at(due, now).unwrap();
        poll(&mut [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)], None).unwrap();
        assert!(SystemClock::now() >= due);
        assert!(is_readable(timer.at(due, now).unwrap()), "it was not set again");
        assert!(!is_readable(timer.at(now + Duration::from_secs(3600), now).unwrap()));
        assert!(is_readable(timer.at(due, now).unwrap()), "that moment is over");
    }

    #[test]
    fn a_short_wait_needs_none() {
        let timer = Timer::new();
        let now = SystemClock::now();
        assert!(timer.at(now + SHORT, now + Duration::from_nanos(1)).is_none() && timer.at(now, now).is_none());
        let without = Timer { descriptor: None, ..timer };
        assert!(without.at(now + SHORT, now).is_none());
    }
}
