//! Who clears the tree if this process is killed.

use crate::clock::SystemClock;
use crate::guard::{Guard, Traces};
use crate::linux;
use crate::notice::UnixNotice;
use crate::notify::Place;
use std::time::Duration;
use supervisor_core::Instant;

/// One guard after another, no sooner than this. One that is killed again and again must not keep us from our work.
const PAUSE: Duration = Duration::from_secs(1);

pub(crate) struct Protection {
    state: State,
    traces: Traces,
    socket: Option<Place>,
}

enum State {
    /// A process of its own, which knows what is to be cleared by its traces.
    Guard { guard: Guard, started: Instant },
    /// There was one, or none was to be had; it is tried again.
    Missing { retry_at: Instant },
    /// With the first process of a PID namespace all others end: pid_namespaces(7).
    Kernel,
    /// Only the main process is sure to end, by its parent-death signal.
    Nobody,
}

impl Protection {
    /// Starts a guard where one is needed and can do its work.
    pub fn begin(traces: Traces, socket: Option<Place>, report: &mut impl FnMut(UnixNotice)) -> Protection {
        let state = match linux::proc_is_ours() {
            _ if std::process::id() == 1 => State::Kernel,
            Ok(()) => start(&traces, socket.as_ref(), report),
            Err(error) => {
                report(UnixNotice::Unguarded { error });
                State::Nobody
            }
        };
        Protection { state, traces, socket }
    }

    /// Whether it depends on a guard, and on what the guard knows.
    pub fn is_by_guard(&self) -> bool {
        matches!(self.state, State::Guard { .. } | State::Missing { .. })
    }

    /// When the next attempt is due.
    pub fn due(&self) -> Option<Instant> {
        match &self.state {
            State::Missing { retry_at, .. } => Some(*retry_at),
            State::Guard { .. } | State::Kernel | State::Nobody => None,
        }
    }

    /// Makes an attempt that is due; returns the new child, which is no part of the run.
    pub fn turn(&mut self, now: Instant, report: &mut impl FnMut(UnixNotice)) -> Option<i32> {
        let State::Missing { retry_at } = self.state else { return None };
        if now < retry_at {
            return None;
        }
        // That it still cannot be had was told at the first attempt.
        self.state = start(&self.traces, self.socket.as_ref(), &mut |_| {});
        let State::Guard { guard, .. } = &self.state else { return None };
        report(UnixNotice::GuardReplaced);
        guard.pid()
    }

    /// Takes note that a child was reaped.
    pub fn reaped(&mut self, child: i32, report: &mut impl FnMut(UnixNotice)) {
        if let State::Guard { guard, started } = &mut self.state
            && guard.reaped(child)
        {
            report(UnixNotice::GuardLost);
            self.state = State::Missing { retry_at: *started + PAUSE };
        }
    }
}

fn start(traces: &Traces, socket: Option<&Place>, report: &mut impl FnMut(UnixNotice)) -> State {
    let now = SystemClock::now();
    match Guard::start(traces, socket) {
        Ok(guard) => State::Guard { guard, started: now },
        Err(error) => {
            report(UnixNotice::Unguarded { error });
            State::Missing { retry_at: now + PAUSE }
        }
    }
}
