//! The world beside the machine, and the invariants.

use crate::{Setup, at, ticks};
use std::time::Duration;
use supervisor_core::{
    Action, GiveUp, Instant, Limit, OnHang, Outcome, Phase, Purpose, Restart, RunId, Supervisor, Watchdog,
};

/// The world beside the machine, and what must be remembered to judge it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct World {
    pub tick: u8,
    pub run: u64,
    pub main: Main,
    pub leftover: bool,
    pub look: Look,
    /// The last sign of life, in truth.
    pub alive_at: u8,
    /// Silence before this moment does not count.
    pub counted_from: Instant,
    pub timeout: Duration,
    /// Whether the machine knows of a heartbeat, and of the end of the start-up.
    pub beaten: bool,
    pub ready: bool,
    /// Whether the moment of the last heartbeat can be told.
    pub undated: bool,
    /// A heartbeat since the last look, and whether its moment can be told.
    pub beat: Beat,
    pub asked: Asked,
    /// Not killed before, but for a second stop.
    pub grace_until: Instant,
    pub killed: bool,
    pub messages: u8,
    /// The command says that it hangs.
    pub reported: bool,
    pub requests: u8,
    pub interrupts_since_stop: u8,
    pub first_request: Option<u8>,
    pub restart_requests: u8,
    /// When the restart was asked for that is yet to come.
    pub restart_asked: Option<u8>,
    /// It was found to hang.
    pub hung: bool,
    pub pauses: u8,
    pub restarts: u32,
    pub started: u8,
    /// When the end of the run was decided or happened.
    pub ended: u8,
    pub end: End,
    /// When nothing of the last run was left.
    pub over: u8,
    pub beats: u8,
    pub looks: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Main {
    None,
    Starting,
    Alive,
    Exited,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Look {
    None,
    Pending,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Beat {
    None,
    At(u8),
    Sometime,
}

/// How the main process ended, or why it had to.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    None,
    Success,
    Failure,
    Hang,
    /// It was killed.
    Force,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Asked {
    No,
    /// It got the hang signal, and nothing else until then.
    HangSignalled {
        until: Instant,
    },
    Since(u8),
}

impl World {
    pub fn new() -> World {
        World {
            tick: 0,
            run: 0,
            main: Main::None,
            leftover: false,
            look: Look::None,
            alive_at: 0,
            counted_from: at(0),
            timeout: ticks(0),
            beaten: false,
            ready: false,
            undated: false,
            beat: Beat::None,
            asked: Asked::No,
            grace_until: at(0),
            killed: false,
            messages: 0,
            reported: false,
            requests: 0,
            interrupts_since_stop: 0,
            first_request: None,
            restart_requests: 0,
            restart_asked: None,
            hung: false,
            pauses: 0,
            restarts: 0,
            started: 0,
            ended: 0,
            end: End::None,
            over: 0,
            beats: 0,
            looks: 0,
        }
    }

    /// Whether a request is not the one to stop told twice: a second later, at least.
    pub fn is_asked_again(&self) -> bool {
        self.first_request.is_some_and(|first| self.tick > first)
    }

    pub fn is_empty(&self) -> bool {
        self.main == Main::None && !self.leftover
    }

    /// Carries out an action. What it must not be is an invariant that is broken.
    pub fn obey(&mut self, action: Action, setup: &Setup) -> Result<(), &'static str> {
        match action {
            Action::Start { run, restarts } => {
                holds(self.is_empty(), "no start beside a living tree")?;
                holds(self.first_request.is_none(), "no start after a stop")?;
                let healthy = at(self.ended) - at(self.started) >= setup.policy.reset_after;
                if let Some(asked) = self.restart_asked {
                    holds(self.tick == asked.max(self.over), "a restart on request comes without a delay")?;
                    let as_before = restarts == self.restarts || (restarts == 0 && healthy);
                    holds(as_before, "a restart on request is not counted")?;
                } else if run > RunId(1) {
                    let wanted = match setup.policy.restart {
                        Restart::Never => false,
                        Restart::OnFailure => self.end != End::Success,
                        Restart::Always => true,
                    };
                    holds(wanted, "no restart that the policy does not want")?;
                    let delay = setup.policy.backoff.delay(restarts - 1, 0);
                    holds(at(self.tick) - at(self.over) >= delay, "no start before its delay is over")?;
                    let ended_by_itself = self.asked != Asked::No && matches!(self.end, End::Success | End::Failure);
                    holds(!(healthy && ended_by_itself) || restarts == 1, "a healthy run ends the streak")?;
                    let counts_on = restarts == self.restarts + 1;
                    let begins_anew = restarts == 1 && healthy;
                    holds(counts_on || begins_anew, "restarts count on, or begin anew after a healthy run")?;
                }
                self.restarts = restarts;
                if let Limit::Times(most) = setup.policy.max_restarts {
                    holds(restarts <= most, "at most as many restarts as allowed")?;
                }
                *self = World { run: run.0, main: Main::Starting, beats: 0, looks: 0, ..self.clone() };
                (self.look, self.beat, self.asked, self.killed) = (Look::None, Beat::None, Asked::No, false);
                (self.beaten, self.ready, self.reported, self.hung) = (false, false, false, false);
                self.restart_asked = None;
                (self.counted_from, self.timeout, self.grace_until) = (at(0), ticks(0), at(0));
                self.end = End::None;
            }
            Action::Look { .. } => {
                holds(self.look == Look::None, "one look at a time")?;
                self.looks += 1;
                self.look = Look::Pending;
                // One finds each heartbeat, and one finds the hang. Each silence may have one more that came late.
                let late = setup.late_answers || self.pauses > 0;
                let most = if late { 3 * self.beats + 2 } else { self.beats + 1 };
                holds(self.looks <= most, "no more looks than there is to see")?;
            }
            Action::Signal { purpose: Purpose::Kill, .. } => {
                let over = matches!(self.asked, Asked::Since(_)) && at(self.tick) >= self.grace_until;
                holds(over || self.interrupts_since_stop > 0, "killed only after the grace period or a second stop")?;
                self.killed = true;
            }
            Action::Signal { purpose: Purpose::Hang, .. } => {
                holds(self.asked == Asked::No, "the hang signal comes first")?;
                holds(setup.policy.watchdog != Watchdog::Off, "no hang without a watchdog")?;
                let counted_from = at(self.alive_at).max(self.counted_from);
                let silent = at(self.tick) - counted_from >= self.timeout;
                holds(silent || self.reported, "no hang before a full timeout of silence, or the command says so")?;
                (self.end, self.ended, self.hung) = (End::Hang, self.tick, true);
                match setup.policy.on_hang {
                    OnHang::Stop => self.ask(setup),
                    OnHang::Signal { grace_period } => {
                        self.asked = Asked::HangSignalled { until: at(self.tick) + grace_period };
                    }
                }
            }
            Action::Signal { purpose: Purpose::Stop, .. } => {
                holds(!self.killed, "nothing is asked to leave once it was killed")?;
                match self.asked {
                    Asked::No => {
                        self.ended = self.tick;
                        self.ask(setup);
                    }
                    Asked::HangSignalled { until } => {
                        let is_person = self.first_request.is_some() || self.restart_asked.is_some();
                        let over = at(self.tick) >= until || is_person || self.main != Main::Alive;
                        holds(over, "no stop signal before the time of the hang signal is over")?;
                        self.ask(setup);
                    }
                    Asked::Since(_) => {
                        let only_leftovers = matches!(self.main, Main::Exited | Main::None);
                        holds(only_leftovers, "the main process is asked once")?;
                    }
                }
            }
        }
        Ok(())
    }

    pub fn ask(&mut self, setup: &Setup) {
        self.asked = Asked::Since(self.tick);
        self.grace_until = at(self.tick) + setup.policy.grace_period;
    }

    /// Whether what the machine says of itself is so.
    pub fn agrees(&self, phase: Phase) -> bool {
        use supervisor_core::Main::{Alive, Killed, Left, Unborn};
        let is = |main| match main {
            Unborn => self.main == Main::Starting,
            Alive(_) => self.main == Main::Alive,
            Left | Killed => self.main == Main::Exited,
        };
        let (stop, restart) = (self.first_request.is_some(), self.restart_asked.is_some());
        match phase {
            Phase::Starting => self.main == Main::Starting && self.asked == Asked::No,
            Phase::Running { .. } => self.main == Main::Alive && self.asked == Asked::No,
            Phase::Hung(main) => self.hung && !stop && !restart && is(main),
            Phase::Restarting(main) => restart && !stop && is(main),
            Phase::Stopping(main) => stop && is(main),
            Phase::Clearing => !self.hung && !stop && !restart && self.main == Main::Exited,
            Phase::BackingOff { .. } => self.is_empty() && !stop && !restart,
            Phase::Done(_) => self.is_empty(),
        }
    }

    /// What must hold between two happenings.
    pub fn judge(&self, machine: &Supervisor, setup: &Setup) -> Result<(), &'static str> {
        let empty = self.is_empty();
        holds(self.agrees(machine.phase()), "the phase is what it says")?;
        if let Some(outcome) = machine.outcome() {
            holds(empty, "finished only with an empty tree")?;
            holds(machine.poll_timeout().is_none(), "no deadline after the end")?;
            let hopeless = matches!(outcome, Outcome::GaveUp { reason: GiveUp::CannotStart, .. });
            let lost = self.restart_asked.is_some() && self.first_request.is_none() && !hopeless;
            holds(!lost, "a restart on request is made, unless the command never could be started")?;
            let stopped = matches!(outcome, Outcome::Stopped | Outcome::Killed);
            let by_force = stopped && self.end == End::Force;
            holds((outcome == Outcome::Killed) == by_force, "killed is told of a command that was, and of no other")?;
            return holds(stopped == self.first_request.is_some(), "a stop ends as stopped, nothing else does");
        }
        if let (Asked::Since(_), false, false) = (self.asked, self.killed, empty) {
            let latest = self.grace_until + ticks(setup.pauses);
            holds(at(self.tick) <= latest, "killed as soon as the grace period is over")?;
        }
        if let Asked::HangSignalled { until } = self.asked {
            holds(
                at(self.tick) <= until + ticks(setup.pauses),
                "asked as soon as the time of the hang signal is over",
            )?;
            let is_person = self.first_request.is_some() || self.restart_asked.is_some();
            holds(!is_person, "a request ends the wait for what a hung command has to say")?;
            holds(self.main == Main::Alive, "an exit ends the wait for what a hung command has to say")?;
        }
        if let (Some(first), false, false, 0) = (self.first_request, self.killed, empty, setup.messages) {
            let latest = at(first) + setup.policy.grace_period + ticks(setup.pauses);
            holds(at(self.tick) <= latest, "a stop takes one grace period at most")?;
        }
        let answer_outstanding = self.main == Main::Starting
            || self.look == Look::Pending
            || (self.main == Main::Alive && setup.policy.watchdog == Watchdog::Off);
        holds(machine.poll_timeout().is_some() || answer_outstanding, "without a deadline an answer is outstanding")?;
        if setup.policy.watchdog != Watchdog::Off
            && self.main == Main::Alive
            && self.asked == Asked::No
            && !setup.late_answers
        {
            // A heartbeat of unknown moment counts from the look that found it; pauses are forgiven once.
            let undated = if self.undated { self.timeout } else { Duration::ZERO };
            let slack = ticks(2 * self.pauses) + undated;
            let latest = at(self.alive_at).max(self.counted_from) + self.timeout + slack;
            holds(!self.reported, "a hang that the command reports is one at once")?;
            holds(at(self.tick) <= latest, "no hang later than the contract allows")?;
        }
        Ok(())
    }
}

pub fn holds(condition: bool, invariant: &'static str) -> Result<(), &'static str> {
    if condition { Ok(()) } else { Err(invariant) }
}
