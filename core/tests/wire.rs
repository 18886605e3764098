//! The form in which notices, facts and policies are written: logs, hooks and replays read it.

use serde_json::{Value, json};
use std::time::Duration;
use supervisor_core::{
    Backoff, DelayCause, End, Ending, Event, Evidence, ExitStatus, GiveUp, Instant, Jitter, KillCause, Limit, Message,
    Notice, Observation, OnHang, Outcome, Policy, Restart, RunId, StartFailure, StartFailureKind, Watchdog,
};

const RUN: RunId = RunId(3);
const PID: u32 = 4711;
const FAILURE: StartFailure = StartFailure { kind: StartFailureKind::NotFound, os_error: 2 };
const HALF: Duration = Duration::from_millis(500);

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[track_caller]
fn written(notice: Notice, name: &str, fields: Value) {
    assert_eq!(notice.name(), name);
    assert_eq!(serde_json::to_value(notice).unwrap(), fields, "{name}");
}

#[test]
fn starts_and_heartbeats() {
    let (run, pid) = (RUN, PID);
    written(Notice::Started { run, pid }, "started", json!({"run": 3, "pid": 4711}));
    let fields = |reason: &str| json!({"run": 3, "reason": reason, "os_error": 2});
    for (kind, reason) in [
        (StartFailureKind::NotFound, "not_found"),
        (StartFailureKind::NotExecutable, "not_executable"),
        (StartFailureKind::Passing, "passing"),
    ] {
        let failure = StartFailure { kind, os_error: 2 };
        written(Notice::StartFailed { run, failure }, "start_failed", fields(reason));
    }
    let heartbeat = Notice::Heartbeat { run, pid, first: true, ago: HALF };
    written(heartbeat, "heartbeat", json!({"run": 3, "pid": 4711, "first": true, "ago": 0.5}));
    for (cause, word) in [(DelayCause::Supervisor, "supervisor"), (DelayCause::Look, "look")] {
        let delayed = Notice::Delayed { run, pid, late: secs(2), extension: HALF, cause };
        let fields = json!({"run": 3, "pid": 4711, "late": 2.0, "extension": 0.5, "cause": word});
        written(delayed, "delayed", fields);
    }
}

#[test]
fn hangs() {
    let (run, pid, grace_period) = (RUN, PID, secs(5));
    let silence = Evidence::Silence { silence: secs(20) };
    let on_hang = OnHang::Signal { grace_period: secs(3) };
    written(
        Notice::Hung { run, pid, evidence: silence, on_hang: OnHang::Stop, grace_period },
        "hung",
        json!({"run": 3, "pid": 4711, "silence": 20.0, "grace_period": 5.0}),
    );
    written(
        Notice::Hung { run, pid, evidence: silence, on_hang, grace_period },
        "hung",
        json!({"run": 3, "pid": 4711, "silence": 20.0, "hang_grace_period": 3.0, "grace_period": 5.0}),
    );
    // The command said so itself.
    written(
        Notice::Hung { run, pid, evidence: Evidence::Report {}, on_hang: OnHang::Stop, grace_period },
        "hung",
        json!({"run": 3, "pid": 4711, "grace_period": 5.0}),
    );
    let grace_over = Notice::HangGraceOver { run, pid, grace_period };
    written(grace_over, "hang_grace_over", json!({"run": 3, "pid": 4711, "grace_period": 5.0}));
}

#[test]
fn what_a_command_tells() {
    let (run, pid) = (RUN, PID);
    let who = json!({"run": 3, "pid": 4711});
    written(Notice::Ready { run, pid }, "ready", who.clone());
    written(Notice::Leaving { run, pid }, "leaving", who.clone());
    written(Notice::StreakEnded { run, pid }, "streak_ended", who);
    let timeout_set = Notice::TimeoutSet { run, pid, timeout: HALF };
    written(timeout_set, "timeout_set", json!({"run": 3, "pid": 4711, "timeout": 0.5}));
    let extended = Notice::Extended { run, pid, by: secs(9) };
    written(extended, "extended", json!({"run": 3, "pid": 4711, "by": 9.0}));
}

#[test]
fn requests() {
    let (run, grace_period) = (RUN, secs(5));
    let (asked, leaving_already) = (json!({"run": 3, "grace_period": 5.0}), json!({"run": 3}));
    written(Notice::Stopping { run, grace_period }, "stopping", asked.clone());
    written(Notice::StoppingInstead { run }, "stopping", leaving_already.clone());
    written(Notice::Restarting { run, grace_period }, "restarting", asked);
    written(Notice::RestartingInstead { run }, "restarting", leaving_already);
}

#[test]
fn ends() {
    let (run, pid) = (RUN, PID);
    let exited = |status, ending| Notice::Exited { run, pid, status, ending };
    let (code, signal) = (ExitStatus::Code(7), ExitStatus::Signal(15));
    written(
        exited(code, Ending::Spontaneous { after: HALF }),
        "exited",
        json!({"run": 3, "pid": 4711, "code": 7, "ending": "spontaneous", "after": 0.5}),
    );
    let asked = json!({"run": 3, "pid": 4711, "signal": 15, "ending": "asked"});
    written(exited(signal, Ending::Asked), "exited", asked);
    let killed = json!({"run": 3, "pid": 4711, "signal": 9, "ending": "killed"});
    written(exited(ExitStatus::KILLED, Ending::Killed), "exited", killed);

    let killing = |cause| Notice::Killing { run, cause };
    written(killing(KillCause::GracePeriodOver), "killing", json!({"run": 3, "cause": "grace_period_over"}));
    written(killing(KillCause::Interrupt), "killing", json!({"run": 3, "cause": "interrupt"}));
    written(Notice::Surviving { run, since: secs(1) }, "surviving", json!({"run": 3, "since": 1.0}));
}

#[test]
fn what_follows() {
    for (limit, count) in [(Limit::Unlimited, -1), (Limit::Times(0), 0), (Limit::Times(u32::MAX), 4_294_967_295_i64)] {
        let backing_off = Notice::BackingOff { restart: 1, limit, delay: HALF };
        written(backing_off, "backing_off", json!({"restart": 1, "max_restarts": count, "delay": 0.5}));
    }
    for (outcome, word) in [(Outcome::Finished, "finished"), (Outcome::Stopped, "stopped"), (Outcome::Killed, "killed")]
    {
        written(Notice::Done(outcome), "done", json!({"outcome": word}));
    }
    for (reason, word) in [
        (GiveUp::NeverRestarts, "never_restarts"),
        (GiveUp::RestartsUsedUp, "restarts_used_up"),
        (GiveUp::CannotStart, "cannot_start"),
    ] {
        for (end, form) in [
            (End::Exited(ExitStatus::Code(7)), json!({"exited": {"code": 7}})),
            (End::Hung, json!("hung")),
            (End::NotStarted(FAILURE), json!({"not_started": {"reason": "not_found", "os_error": 2}})),
        ] {
            let fields = json!({"outcome": "gave_up", "end": form, "reason": word});
            written(Notice::Done(Outcome::GaveUp { end, reason }), "done", fields);
        }
    }
}

#[track_caller]
fn survives(event: Event, form: Value) {
    assert_eq!(serde_json::to_value(event).unwrap(), form);
    assert_eq!(serde_json::from_value::<Event>(form).unwrap(), event);
}

/// Exact to the nanosecond, so that a replay decides the same.
#[test]
fn facts_survive() {
    let run = RUN;
    let exact = Duration::new(1, 2);
    let exact_form = json!({"secs": 1, "nanos": 2});
    survives(Event::Started { run, pid: PID }, json!({"started": {"run": 3, "pid": 4711}}));
    let failure = json!({"reason": "not_found", "os_error": 2});
    survives(Event::StartFailed { run, failure: FAILURE }, json!({"start_failed": {"run": 3, "failure": failure}}));
    let code = Event::Exited { run, status: ExitStatus::Code(7) };
    survives(code, json!({"exited": {"run": 3, "status": {"code": 7}}}));
    let signal = Event::Exited { run, status: ExitStatus::Signal(15) };
    survives(signal, json!({"exited": {"run": 3, "status": {"signal": 15}}}));
    survives(Event::Cleared { run }, json!({"cleared": {"run": 3}}));
    for (observation, form) in [
        (Observation::Unchanged, json!("unchanged")),
        (Observation::Changed { at: Instant::from_origin(exact) }, json!({"changed": {"at": exact_form}})),
        (Observation::ChangedSometime, json!("changed_sometime")),
    ] {
        survives(Event::Observed { run, observation }, json!({"observed": {"run": 3, "observation": form}}));
    }
    for (message, form) in [
        (Message::Heartbeat, json!("heartbeat")),
        (Message::Ready, json!("ready")),
        (Message::Hang, json!("hang")),
        (Message::Timeout(exact), json!({"timeout": exact_form})),
        (Message::StreakOver, json!("streak_over")),
        (Message::Extension(exact), json!({"extension": exact_form})),
        (Message::Leaving, json!("leaving")),
    ] {
        survives(Event::Message { run, message }, json!({"message": {"run": 3, "message": form}}));
    }
    survives(Event::Timeout, json!("timeout"));
    survives(Event::Stop, json!("stop"));
    survives(Event::Interrupt, json!("interrupt"));
    survives(Event::Restart, json!("restart"));
}

#[test]
fn policies_survive() {
    let exact = Duration::new(1, 2);
    let exact_form = json!({"secs": 1, "nanos": 2});
    let policy = Policy {
        watchdog: Watchdog::On { timeout: exact, initial_delay: exact },
        on_hang: OnHang::Signal { grace_period: exact },
        grace_period: exact,
        restart: Restart::OnFailure,
        max_restarts: Limit::Times(4),
        backoff: Backoff {
            factor: exact,
            ceiling: Some(exact),
            jitter: Jitter { parts_per_billion: 1_000_000_000, seed: u64::MAX },
        },
        reset_after: exact,
    };
    let form = json!({
        "watchdog": {"on": {"timeout": exact_form, "initial_delay": exact_form}},
        "on_hang": {"signal": {"grace_period": exact_form}},
        "grace_period": exact_form,
        "restart": "on-failure",
        "max_restarts": {"times": 4},
        "backoff": {
            "factor": exact_form,
            "ceiling": exact_form,
            "jitter": {"parts_per_billion": 1_000_000_000, "seed": u64::MAX},
        },
        "reset_after": exact_form,
    });
    assert_eq!(serde_json::to_value(&policy).unwrap(), form);
    assert_eq!(serde_json::from_value::<Policy>(form).unwrap(), policy);

    for (restart, word) in [(Restart::Never, "never"), (Restart::Always, "always")] {
        let other = Policy { watchdog: Watchdog::Off, restart, ..Policy::default() };
        let form = serde_json::to_value(&other).unwrap();
        let words = [&form["watchdog"], &form["on_hang"], &form["restart"], &form["max_restarts"]];
        assert_eq!(words, [&json!("off"), &json!("stop"), &json!(word), &json!("unlimited")]);
        assert_eq!(serde_json::from_value::<Policy>(form).unwrap(), other);
    }
}
