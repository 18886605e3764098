//! The simulator: what it does with one script, moment by moment.

use std::time::Duration;
use supervisor_core::sim::{Activity, Behaviour, Heartbeats, Ledger, Means, Reaction, Service, SimBackend, Stamps};
use supervisor_core::{
    Backend, Backoff, Ending, Event, ExitStatus, Incoming, Instant, Limit, Message, Notice, Observation, OnHang,
    Outcome, Policy, Purpose, RunId, StartFailure, StartFailureKind, Watchdog, run,
};

const R1: RunId = RunId(1);

fn at(seconds: u64) -> Instant {
    Instant::from_origin(secs(seconds))
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn world(behaviour: Behaviour) -> SimBackend<impl FnMut(RunId) -> Behaviour> {
    SimBackend::new(move |_| behaviour, [])
}

#[test]
fn a_command_exits_when_its_script_says() {
    let exit = Some((secs(3), ExitStatus::Code(7)));
    let mut world = world(Behaviour { start_takes: secs(1), exit, ..Behaviour::SILENT });
    world.start(R1, 0);
    assert!(!world.is_empty());
    assert_eq!(world.wait(None), Incoming::Event(Event::Started { run: R1, pid: 1000 }));
    assert_eq!(world.now(), at(1));
    assert_eq!(world.wait(Some(at(3))), Incoming::Event(Event::Timeout));
    assert_eq!(world.wait(Some(at(9))), Incoming::Event(Event::Exited { run: R1, status: ExitStatus::Code(7) }));
    assert_eq!(world.now(), at(4));
    assert_eq!(world.wait(Some(at(9))), Incoming::Event(Event::Cleared { run: R1 }));
    assert!(world.is_empty());
    assert_eq!(world.events(), 4);
}

#[test]
fn what_happens_at_the_deadline_comes_before_it() {
    let exit = Some((secs(3), ExitStatus::Code(7)));
    let mut world = world(Behaviour { exit, ..Behaviour::SILENT });
    world.start(R1, 0);
    assert_eq!(world.wait(Some(at(0))), Incoming::Event(Event::Started { run: R1, pid: 1000 }));
    assert_eq!(world.wait(Some(at(3))), Incoming::Event(Event::Exited { run: R1, status: ExitStatus::Code(7) }));
    assert_eq!(world.wait(Some(at(3))), Incoming::Event(Event::Cleared { run: R1 }));
}

#[test]
fn a_look_finds_each_heartbeat_once() {
    let heartbeats = Heartbeats { every: secs(2), until: secs(4) };
    assert_eq!(heartbeats.last(secs(1)), None);
    assert_eq!(heartbeats.last(secs(9)), Some(secs(4)));
    assert_eq!(Heartbeats::NONE.last(secs(9)), None);
    let answers = [(4, Observation::Changed { at: at(4) }), (4, Observation::Unchanged), (9, Observation::Unchanged)];
    let mut world = world(Behaviour { heartbeats, ..Behaviour::SILENT });
    world.start(R1, 0);
    let _ = world.wait(None);
    for (second, observation) in answers {
        if world.now() < at(second) {
            assert_eq!(world.wait(Some(at(second))), Incoming::Event(Event::Timeout));
        }
        world.look(R1);
        assert_eq!(world.wait(None), Incoming::Event(Event::Observed { run: R1, observation }));
    }
}

#[test]
fn heartbeats_may_be_told_at_their_moments() {
    let heartbeats = Heartbeats { every: secs(2), until: secs(5) };
    assert_eq!(
        [secs(0), secs(1), secs(2), secs(4)].map(|age| heartbeats.next(age)),
        [Some(secs(2)), Some(secs(2)), Some(secs(4)), None]
    );
    let mut world = world(Behaviour { heartbeats, beats_by: Means::Messages, ..Behaviour::SILENT });
    world.start(R1, 0);
    let _ = world.wait(None);
    let beat = Incoming::Event(Event::Message { run: R1, message: Message::Heartbeat });
    assert_eq!((world.wait(None), world.now()), (beat, at(2)));
    world.look(R1);
    let unchanged = Event::Observed { run: R1, observation: Observation::Unchanged };
    assert_eq!(world.wait(None), Incoming::Event(unchanged));
    assert_eq!((world.wait(None), world.now()), (beat, at(4)));
    assert_eq!((world.wait(Some(at(9))), world.now()), (Incoming::Event(Event::Timeout), at(9)));
}

#[test]
fn looks_take_their_time_and_time_stamps_may_be_doubted() {
    let heartbeats = Heartbeats { every: secs(2), until: secs(9) };
    let mut world = world(Behaviour { heartbeats, look_takes: secs(3), stamps: Stamps::Doubted, ..Behaviour::SILENT });
    world.start(R1, 0);
    let _ = world.wait(None);
    assert_eq!(world.wait(Some(at(2))), Incoming::Event(Event::Timeout));
    world.look(R1);
    assert_eq!(
        world.wait(None),
        Incoming::Event(Event::Observed { run: R1, observation: Observation::ChangedSometime })
    );
    assert_eq!(world.now(), at(5));
}

#[test]
fn a_process_that_is_asked_leaves_or_stays() {
    for (when_asked, leaves) in [(Reaction::LeavesAfter(secs(2)), true), (Reaction::Stays, false)] {
        let mut world = world(Behaviour { when_asked, leftover: Some(when_asked), ..Behaviour::SILENT });
        world.start(R1, 0);
        let _ = world.wait(None);
        world.signal(R1, Purpose::Stop);
        if leaves {
            assert_eq!(world.wait(None), Incoming::Event(Event::Exited { run: R1, status: ExitStatus::Code(0) }));
            assert_eq!(world.now(), at(2));
            world.signal(R1, Purpose::Stop);
            assert_eq!(world.wait(None), Incoming::Event(Event::Cleared { run: R1 }));
            assert_eq!(world.now(), at(4));
        } else {
            assert_eq!(world.wait(Some(at(9))), Incoming::Event(Event::Timeout));
            world.signal(R1, Purpose::Kill);
            assert_eq!(world.wait(None), Incoming::Event(Event::Exited { run: R1, status: ExitStatus::Signal(9) }));
            world.signal(R1, Purpose::Stop);
            assert_eq!(world.wait(Some(at(10))), Incoming::Event(Event::Timeout));
            world.signal(R1, Purpose::Kill);
            assert_eq!(world.wait(None), Incoming::Event(Event::Cleared { run: R1 }));
        }
        assert!(world.is_empty());
    }
}

#[test]
fn an_exit_of_its_own_is_not_put_off_by_a_request_to_leave() {
    let exit = Some((secs(1), ExitStatus::Code(7)));
    let when_asked = Reaction::LeavesAfter(secs(2));
    let mut world = world(Behaviour { exit, when_asked, ..Behaviour::SILENT });
    world.start(R1, 0);
    let _ = world.wait(None);
    world.signal(R1, Purpose::Stop);
    assert_eq!(world.wait(None), Incoming::Event(Event::Exited { run: R1, status: ExitStatus::Code(7) }));
}

#[test]
fn nothing_is_told_while_the_supervisor_is_paused() {
    let behaviour = Behaviour { exit: Some((secs(3), ExitStatus::Code(0))), ..Behaviour::SILENT };
    let mut world = SimBackend::new(move |_| behaviour, []).with_pauses([(at(2), at(5)), (at(5), at(6))]);
    world.start(R1, 0);
    let _ = world.wait(None);
    assert_eq!(world.wait(Some(at(9))), Incoming::Event(Event::Exited { run: R1, status: ExitStatus::Code(0) }));
    assert_eq!(world.now(), at(6));
}

#[test]
#[should_panic(expected = "started beside")]
fn a_second_copy_beside_the_first_is_a_fault_of_the_supervisor() {
    let mut world = world(Behaviour::SILENT);
    world.start(R1, 0);
    world.start(RunId(2), 1);
}

/// A failed start, a crash, a hang that must be killed, an end: where did the time go?
#[test]
fn a_ledger_accounts_for_every_second() {
    let failure = StartFailure { kind: StartFailureKind::Passing, os_error: 11 };
    let behave = |run: RunId| match run.0 {
        1 => Behaviour { start_failure: Some(failure), start_takes: secs(1), ..Behaviour::SILENT },
        2 => Behaviour {
            exit: Some((secs(5), ExitStatus::Code(1))),
            leftover: Some(Reaction::Stays),
            ..Behaviour::SILENT
        },
        3 => Behaviour {
            heartbeats: Heartbeats { every: secs(1), until: secs(4) },
            when_asked: Reaction::Stays,
            ..Behaviour::SILENT
        },
        _ => Behaviour { exit: Some((secs(7), ExitStatus::Code(0))), start_takes: secs(2), ..Behaviour::SILENT },
    };
    let policy = Policy {
        watchdog: Watchdog::On { timeout: secs(20), initial_delay: Duration::ZERO },
        max_restarts: Limit::Times(9),
        ..Policy::default()
    };
    let mut ledger = Ledger::default();
    let mut world = SimBackend::new(behave, []);
    let outcome = run(policy, &mut world, &mut ledger);
    assert_eq!(outcome, Outcome::Finished);

    let spent = Activity::ALL.map(|activity| (activity, ledger.spent(activity)));
    let expected = [
        (Activity::Starting, secs(1 + 2)),
        (Activity::Up, secs(5 + 4 + 7)),
        (Activity::Silent, secs(20)),
        // Grace periods of the leftover and of the hang.
        (Activity::Ending, secs(5 + 5)),
        (Activity::BackingOff, secs(1 + 2 + 4)),
    ];
    assert_eq!(spent, expected);
    assert_eq!(ledger.end(), at(3 + 16 + 20 + 10 + 7));
    assert_eq!((ledger.starts, ledger.ends, ledger.restarts), (4, 4, 3));
    assert_eq!((ledger.failed_starts, ledger.exits, ledger.hangs, ledger.kills), (1, 2, 1, 2));
    // Silence, grace period, backoff, start.
    assert_eq!(ledger.longest_outage(), secs(20 + 5 + 4 + 2));
    assert_eq!(ledger.periods().first().map(|period| (period.from, period.to)), Some((at(0), at(1))));
}

/// The account of a life under requests: starts, ends, periods.
fn account(
    policy: &Policy,
    behave: impl FnMut(RunId) -> Behaviour,
    requests: &[(u64, Event)],
) -> (Ledger, Vec<(Activity, Duration)>) {
    let mut ledger = Ledger::default();
    let requests: Vec<_> = requests.iter().map(|(second, event)| (at(*second), *event)).collect();
    run(policy.clone(), &mut SimBackend::new(behave, requests), &mut ledger);
    assert_eq!(ledger.starts, ledger.ends, "each start has one end");
    let periods = ledger.periods().iter().map(|period| (period.activity, period.length())).collect();
    (ledger, periods)
}

/// Ten seconds of delay, three seconds to leave.
fn slow() -> (Policy, Behaviour) {
    let backoff = Backoff { factor: secs(10), ..Backoff::default() };
    let policy = Policy { watchdog: Watchdog::Off, backoff, ..Policy::default() };
    let when_asked = Reaction::LeavesAfter(secs(3));
    (policy, Behaviour { start_takes: secs(1), when_asked, ..Behaviour::SILENT })
}

#[test]
fn a_ledger_knows_a_stop_in_each_phase() {
    let (policy, behaviour) = slow();
    let told = |behaviour: Behaviour, stop| {
        let (ledger, periods) = account(&policy, |_| behaviour, &[(stop, Event::Stop)]);
        (ledger.starts, periods)
    };
    let (starting, up, ending) = ((Activity::Starting, secs(1)), (Activity::Up, secs(2)), (Activity::Ending, secs(3)));
    assert_eq!(told(behaviour, 3), (1, vec![starting, up, ending]));
    let slow_start = Behaviour { start_takes: secs(2), ..behaviour };
    assert_eq!(told(slow_start, 1), (1, vec![starting, (Activity::Ending, secs(4))]));
    let crashes = Behaviour { exit: Some((secs(2), ExitStatus::Code(1))), ..behaviour };
    assert_eq!(told(crashes, 4), (1, vec![starting, up, (Activity::BackingOff, secs(1))]));
    // During the start that follows the backoff, which ends at 13 s.
    let crashes = Behaviour { start_takes: secs(3), exit: Some((Duration::ZERO, ExitStatus::Code(1))), ..behaviour };
    let waited = (Activity::BackingOff, secs(10));
    let begun = (Activity::Starting, secs(3));
    assert_eq!(told(crashes, 14), (2, vec![begun, waited, (Activity::Starting, secs(1)), (Activity::Ending, secs(2))]));
}

#[test]
fn a_ledger_knows_a_restart_on_request_in_each_phase() {
    let (policy, behaviour) = slow();
    let (starting, up, ending) = ((Activity::Starting, secs(1)), (Activity::Up, secs(2)), (Activity::Ending, secs(3)));
    // Running: the second start begins at 6 s.
    let (ledger, periods) = account(&policy, |_| behaviour, &[(3, Event::Restart), (9, Event::Stop)]);
    assert_eq!(periods, [starting, up, ending, starting, up, ending]);
    assert_eq!((ledger.starts, ledger.restarts, ledger.restart_requests), (2, 0, 1));
    // Backing off, since 3 s.
    let crashes = |run: RunId| {
        let exit = (run == R1).then_some((secs(2), ExitStatus::Code(1)));
        Behaviour { exit, ..behaviour }
    };
    let (ledger, periods) = account(&policy, crashes, &[(5, Event::Restart), (8, Event::Stop)]);
    assert_eq!(periods, [starting, up, (Activity::BackingOff, secs(2)), starting, up, ending]);
    assert_eq!((ledger.starts, ledger.restarts, ledger.restart_requests), (2, 1, 1));
    // Starting: the first run leaves three seconds after it has started, at 2 s.
    let slow_start = Behaviour { start_takes: secs(2), ..behaviour };
    let (ledger, periods) = account(&policy, |_| slow_start, &[(1, Event::Restart), (9, Event::Stop)]);
    let rest = [(Activity::Ending, secs(4)), (Activity::Starting, secs(2)), up, ending];
    assert_eq!(periods, [&[starting], &rest[..]].concat());
    assert_eq!((ledger.starts, ledger.restart_requests), (2, 1));
}

/// Silence, then the time of the hang signal, which it ignores, then its leaving.
#[test]
fn a_hang_signal_has_its_time_before_the_stop_signal() {
    let on_hang = OnHang::Signal { grace_period: secs(4) };
    let policy = Policy { on_hang, max_restarts: Limit::Times(0), ..Policy::default() };
    let behaviour = Behaviour { when_asked: Reaction::LeavesAfter(secs(3)), ..Behaviour::SILENT };
    for (reaction, ending) in [
        (Some(Reaction::Stays), 4 + 3),
        (Some(Reaction::LeavesAfter(secs(2))), 2),
        (Some(Reaction::LeavesAfter(secs(6))), 6),
        (None, 3),
    ] {
        let (ledger, periods) = account(&policy, |_| Behaviour { on_hang_signal: reaction, ..behaviour }, &[]);
        assert_eq!(periods, [(Activity::Silent, secs(20)), (Activity::Ending, secs(ending))], "{reaction:?}");
        assert_eq!((ledger.hangs, ledger.kills), (1, 0));
    }
}

/// The supervisor learns of nothing but an end by SIGKILL: a failed run like any other.
#[test]
fn a_lost_keeper_is_a_failed_run() {
    let leaves_much = Behaviour { leftover: Some(Reaction::Stays), ..Behaviour::SILENT };
    let behave = |run: RunId| match run {
        R1 => leaves_much.with_keeper_lost(secs(2)),
        _ => Behaviour { exit: Some((secs(1), ExitStatus::Code(0))), ..Behaviour::SILENT },
    };
    let mut told = Vec::new();
    let outcome =
        run(Policy::default(), &mut SimBackend::new(behave, []), |at, notice: Notice| told.push((at, notice)));
    assert_eq!(outcome, Outcome::Finished);
    let exited = Notice::Exited {
        run: R1,
        pid: 1000,
        status: ExitStatus::KILLED,
        ending: Ending::Spontaneous { after: secs(2) },
    };
    let backing_off = Notice::BackingOff { restart: 1, limit: Limit::Unlimited, delay: secs(1) };
    assert_eq!(told[1..3], [(at(2), exited), (at(2), backing_off)]);
}

/// Ten thousand runs of one service: each kind of trouble comes as often as it should, and nothing is out of bounds.
#[test]
fn a_service_has_every_kind_of_trouble() {
    let service = Service { seed: 42 };
    let runs: Vec<Behaviour> = (1..=10_000).map(|run| service.behaviour(RunId(run))).collect();
    let share = |is: &dyn Fn(&Behaviour) -> bool| runs.iter().filter(|run| is(run)).count();
    let about = |count: usize, expected: usize| assert!(count.abs_diff(expected) < expected / 5, "{count}, {expected}");
    about(share(&|run| run.start_failure.is_some()), 200);
    about(share(&|run| run.exit.is_none()), 3_333);
    about(share(&|run| matches!(run.exit, Some((_, ExitStatus::Signal(11))))), 2_222);
    about(share(&|run| run.stamps == Stamps::Doubted), 1_000);
    about(share(&|run| !run.look_takes.is_zero()), 1_000);
    about(share(&|run| run.when_asked == Reaction::Stays), 2_000);
    about(share(&|run| run.leftover.is_some()), 1_428);

    let bounds = |of: &dyn Fn(&Behaviour) -> Option<u64>| {
        (runs.iter().filter_map(of).min().unwrap(), runs.iter().filter_map(of).max().unwrap())
    };
    let code = |run: &Behaviour| match run.exit {
        Some((_, ExitStatus::Code(code))) => Some(code.into()),
        _ => None,
    };
    assert_eq!(bounds(&code), (1, 100));
    let (fastest, slowest) = bounds(&|run| Some(run.heartbeats.every.as_millis() as u64));
    assert!((500..600).contains(&fastest) && (5_400..5_500).contains(&slowest), "{fastest} {slowest}");
    let (shortest, longest) = bounds(&|run| Some(run.heartbeats.until.as_secs()));
    assert!(shortest == 1 && (1_000_000..1 << 20).contains(&longest), "{shortest} {longest}");
    about(share(&|run| run.heartbeats.until >= secs(1 << 10)), 5_000);
}
