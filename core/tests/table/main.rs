//! The machine, row by row: a moment, a fact, the actions that follow and the next deadline.

mod backoff;
mod end;
mod hang_signal;
mod messages;
mod notices;
mod phases;
mod restart;
mod stop;
mod watch;

use std::time::Duration;
use supervisor_core::{
    Action, Backoff, DelayCause, End, Ending, Event, Evidence, ExitStatus, GiveUp, Instant, Jitter, KillCause,
    LastBeat, Limit, Main, Message, Notice, Observation, OnHang, Outcome, Phase, Policy, Purpose, Restart, RunId,
    StartFailure, StartFailureKind, Supervisor, Watchdog,
};

/// Seconds after the origin.
fn at(seconds: u64) -> Instant {
    millis(seconds * 1000)
}

fn millis(millis: u64) -> Instant {
    Instant::from_origin(Duration::from_millis(millis))
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const R1: RunId = RunId(1);
const R2: RunId = RunId(2);
/// The main process of every run.
const PID: u32 = 100;

fn started(run: RunId) -> Event {
    Event::Started { run, pid: PID }
}

fn exited(run: RunId, code: u8) -> Event {
    Event::Exited { run, status: ExitStatus::Code(code) }
}

fn signalled(run: RunId, number: u8) -> Event {
    Event::Exited { run, status: ExitStatus::Signal(number) }
}

fn killed(run: RunId) -> Event {
    signalled(run, 9)
}

fn cleared(run: RunId) -> Event {
    Event::Cleared { run }
}

fn saw(run: RunId, observation: Observation) -> Event {
    Event::Observed { run, observation }
}

fn failed(run: RunId, kind: StartFailureKind) -> Event {
    Event::StartFailed { run, failure: StartFailure { kind, os_error: 1 } }
}

fn start(run: RunId, restarts: u32) -> Action {
    Action::Start { run, restarts }
}

fn look(run: RunId) -> Action {
    Action::Look { run }
}

fn signal(run: RunId, purpose: Purpose) -> Action {
    Action::Signal { run, purpose }
}

/// Timeout 20 s, grace period 5 s, backoff from 1 s, no limit.
fn usual() -> Policy {
    Policy::default()
}

/// One row: when, what happens, what follows, and when to be woken next.
type Row = (Instant, Event, Vec<Action>, Option<Instant>);

#[track_caller]
fn check(policy: Policy, rows: &[Row]) -> Supervisor {
    let (mut supervisor, first) = Supervisor::start(policy);
    assert_eq!(first.actions.iter().collect::<Vec<_>>(), [start(R1, 0)]);
    for (number, (now, event, actions, deadline)) in rows.iter().enumerate() {
        let step = supervisor.handle_event(*event, *now);
        assert_eq!(step.actions.iter().collect::<Vec<_>>(), *actions, "actions of row {number}, {event:?}");
        assert_eq!(supervisor.poll_timeout(), *deadline, "deadline after row {number}, {event:?}");
    }
    supervisor
}

#[track_caller]
fn ends(policy: Policy, rows: &[Row], outcome: Outcome) {
    assert_eq!(check(policy, rows).outcome(), Some(outcome));
}

/// What is told of each fact, in order.
#[track_caller]
fn tells(policy: Policy, facts: &[(Instant, Event, Vec<Notice>)]) {
    let (mut supervisor, _) = Supervisor::start(policy);
    for (number, (now, event, notices)) in facts.iter().enumerate() {
        let step = supervisor.handle_event(*event, *now);
        assert_eq!(step.notices.iter().collect::<Vec<_>>(), *notices, "notices of row {number}, {event:?}");
        assert_eq!(step.notices.is_empty(), notices.is_empty());
    }
}

fn told(message: Message) -> Event {
    Event::Message { run: R1, message }
}
