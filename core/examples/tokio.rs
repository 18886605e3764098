//! The machine on another runtime: a real command, supervised by a task of tokio.
//!
//! `cargo run -p supervisor-core --example tokio` runs a shell that fails twice and then does its work. There is no
//! heartbeat here, and no process tree: only what the machine needs to be driven by hand.

use std::process::Stdio;
use std::time::Duration;
use supervisor_core::{
    Action, Backoff, Event, ExitStatus, Instant, Limit, Outcome, Policy, Purpose, RunId, StartFailure,
    StartFailureKind, Supervisor, Watchdog,
};
use tokio::process::{Child, Command};
use tokio::time::{Instant as Clock, sleep_until};

/// `SUPERVISED_RESTARTS` is 0 at first, then 1, then 2.
const SCRIPT: &str = "echo restart $SUPERVISED_RESTARTS; test $SUPERVISED_RESTARTS -ge 2";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let policy = Policy {
        watchdog: Watchdog::Off,
        max_restarts: Limit::Times(5),
        backoff: Backoff { factor: Duration::from_millis(50), ..Backoff::default() },
        ..Policy::default()
    };
    let outcome = supervise(policy, |restarts| {
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT]).env("SUPERVISED_RESTARTS", restarts.to_string()).stdin(Stdio::null());
        command
    });
    assert_eq!(outcome.await, Outcome::Finished);
}

/// What was started, if it still runs.
enum Run {
    None,
    Alive(RunId, Child),
}

async fn supervise(policy: Policy, command: impl Fn(u32) -> Command) -> Outcome {
    let origin = Clock::now();
    let now = || Instant::from_origin(origin.elapsed());
    let mut child = Run::None;
    let mut facts = std::collections::VecDeque::new();
    let (mut supervisor, mut step) = Supervisor::start(policy);
    loop {
        step.notices.into_iter().for_each(|notice| println!("{notice:?}"));
        for action in step.actions {
            match action {
                Action::Start { run, restarts } => match command(restarts).kill_on_drop(true).spawn() {
                    Ok(started) => {
                        facts.push_back(Event::Started { run, pid: started.id().unwrap_or_default() });
                        child = Run::Alive(run, started);
                    }
                    Err(error) => {
                        let os_error = error.raw_os_error().unwrap_or_default();
                        let failure = StartFailure { kind: StartFailureKind::NotFound, os_error };
                        facts.push_back(Event::StartFailed { run, failure });
                    }
                },
                // tokio can kill, and asks no more politely than that.
                Action::Signal { purpose: Purpose::Stop | Purpose::Hang | Purpose::Kill, .. } => {
                    if let Run::Alive(_, child) = &mut child {
                        // It may have ended just now, and that is told in its time.
                        let _ = child.start_kill();
                    }
                }
                Action::Look { .. } => unreachable!("the watchdog is off"),
            }
        }
        if let Some(outcome) = supervisor.outcome() {
            return outcome;
        }
        let event = match facts.pop_front() {
            Some(fact) => fact,
            None => {
                next(&mut child, supervisor.poll_timeout().map(|due| origin + due.since_origin()), &mut facts).await
            }
        };
        step = supervisor.handle_event(event, now());
    }
}

/// The end of the child, or the deadline.
async fn next(child: &mut Run, due: Option<Clock>, facts: &mut std::collections::VecDeque<Event>) -> Event {
    let deadline = async {
        match due {
            Some(due) => sleep_until(due).await,
            None => std::future::pending().await,
        }
    };
    let ended = async {
        match child {
            Run::Alive(run, child) => (*run, child.wait().await),
            Run::None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = deadline => Event::Timeout,
        (run, status) = ended => {
            *child = Run::None;
            facts.push_back(Event::Cleared { run });
            let code = status.ok().and_then(|status| status.code()).and_then(|code| u8::try_from(code).ok());
            Event::Exited { run, status: code.map_or(ExitStatus::Signal(9), ExitStatus::Code) }
        }
    }
}
