//! The simulator: what it does with one script, moment by moment.

use std::time::Duration;
use supervisor_core::sim::{Behaviour, Heartbeats, Ledger, Phase, Reaction, Service, SimBackend, Stamps};
use supervisor_core::{
    Backend, Event, ExitStatus, Instant, Limit, Notice, Observation, Outcome, Policy, RunId, Signal, StartFailure,
    StartFailureKind, Watchdog, run,
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
    assert_eq!(world.wait(None), Event::Started { run: R1, pid: 1000 });
    assert_eq!(world.now(), at(1));
    assert_eq!(world.wait(Some(at(3))), Event::Elapsed);
    assert_eq!(world.wait(Some(at(9))), Event::Exited { run: R1, status: ExitStatus::Code(7) });
    assert_eq!(world.now(), at(4));
    assert_eq!(world.wait(Some(at(9))), Event::Gone { run: R1 });
    assert!(world.is_empty());
    assert_eq!(world.events(), 4);
}

#[test]
fn what_happens_at_the_deadline_comes_before_it() {
    let exit = Some((secs(3), ExitStatus::Code(7)));
    let mut world = world(Behaviour { exit, ..Behaviour::SILENT });
    world.start(R1, 0);
    assert_eq!(world.wait(Some(at(0))), Event::Started { run: R1, pid: 1000 });
    assert_eq!(world.wait(Some(at(3))), Event::Exited { run: R1, status: ExitStatus::Code(7) });
    assert_eq!(world.wait(Some(at(3))), Event::Gone { run: R1 });
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
            assert_eq!(world.wait(Some(at(second))), Event::Elapsed);
        }
        world.look(R1);
        assert_eq!(world.wait(None), Event::Observed { run: R1, observation });
    }
}

#[test]
fn looks_take_their_time_and_time_stamps_may_be_doubted() {
    let heartbeats = Heartbeats { every: secs(2), until: secs(9) };
    let mut world = world(Behaviour { heartbeats, look_takes: secs(3), stamps: Stamps::Doubted, ..Behaviour::SILENT });
    world.start(R1, 0);
    let _ = world.wait(None);
    assert_eq!(world.wait(Some(at(2))), Event::Elapsed);
    world.look(R1);
    assert_eq!(world.wait(None), Event::Observed { run: R1, observation: Observation::ChangedSometime });
    assert_eq!(world.now(), at(5));
}

#[test]
fn a_process_that_is_asked_leaves_or_stays() {
    for (when_asked, leaves) in [(Reaction::LeavesAfter(secs(2)), true), (Reaction::Stays, false)] {
        let mut world = world(Behaviour { when_asked, leftover: Some(when_asked), ..Behaviour::SILENT });
        world.start(R1, 0);
        let _ = world.wait(None);
        world.signal(R1, Signal::Stop);
        if leaves {
            assert_eq!(world.wait(None), Event::Exited { run: R1, status: ExitStatus::Code(0) });
            assert_eq!(world.now(), at(2));
            world.signal(R1, Signal::Stop);
            assert_eq!(world.wait(None), Event::Gone { run: R1 });
            assert_eq!(world.now(), at(4));
        } else {
            assert_eq!(world.wait(Some(at(9))), Event::Elapsed);
            world.signal(R1, Signal::Kill);
            assert_eq!(world.wait(None), Event::Exited { run: R1, status: ExitStatus::Signal(9) });
            world.signal(R1, Signal::Stop);
            assert_eq!(world.wait(Some(at(10))), Event::Elapsed);
            world.signal(R1, Signal::Kill);
            assert_eq!(world.wait(None), Event::Gone { run: R1 });
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
    world.signal(R1, Signal::Stop);
    assert_eq!(world.wait(None), Event::Exited { run: R1, status: ExitStatus::Code(7) });
}

#[test]
fn nothing_is_told_while_the_supervisor_is_paused() {
    let behaviour = Behaviour { exit: Some((secs(3), ExitStatus::Code(0))), ..Behaviour::SILENT };
    let mut world = SimBackend::new(move |_| behaviour, []).with_pauses([(at(2), at(5)), (at(5), at(6))]);
    world.start(R1, 0);
    let _ = world.wait(None);
    assert_eq!(world.wait(Some(at(9))), Event::Exited { run: R1, status: ExitStatus::Code(0) });
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
    let outcome = run(policy, &mut world, |at: Instant, notice| ledger.enter(at, notice));
    assert_eq!(outcome, Outcome::Finished);

    let spent = Phase::ALL.map(|phase| (phase, ledger.spent(phase)));
    let expected = [
        (Phase::Starting, secs(1 + 2)),
        (Phase::Up, secs(5 + 4 + 7)),
        (Phase::Silent, secs(20)),
        // Grace periods of the leftover and of the hang.
        (Phase::Ending, secs(5 + 5)),
        (Phase::BackingOff, secs(1 + 2 + 4)),
    ];
    assert_eq!(spent, expected);
    assert_eq!(ledger.end(), at(3 + 16 + 20 + 10 + 7));
    assert_eq!((ledger.starts, ledger.ends, ledger.restarts), (4, 4, 3));
    assert_eq!((ledger.failed_starts, ledger.exits, ledger.hangs, ledger.kills), (1, 2, 1, 2));
    // Silence, grace period, backoff, start.
    assert_eq!(ledger.longest_outage(), secs(20 + 5 + 4 + 2));
    assert_eq!(ledger.periods().first().map(|period| (period.from, period.to)), Some((at(0), at(1))));
}

#[test]
fn a_ledger_knows_a_stop_in_each_phase() {
    let story = |notices: &[(u64, Notice)]| {
        let mut ledger = Ledger::default();
        notices.iter().for_each(|(second, notice)| ledger.enter(at(*second), *notice));
        let periods: Vec<_> = ledger.periods().iter().map(|period| (period.phase, period.length())).collect();
        (ledger.starts, ledger.ends, periods)
    };
    let started = (1, Notice::Started { run: R1, pid: 1 });
    let stopping = |second| (second, Notice::Stopping { run: R1, grace_period: secs(5) });
    let done = |second| (second, Notice::Done(Outcome::Stopped));
    let (starting, up) = ((Phase::Starting, secs(1)), (Phase::Up, secs(2)));
    assert_eq!(story(&[started, stopping(3), done(4)]), (1, 1, vec![starting, up, (Phase::Ending, secs(1))]));
    assert_eq!(story(&[stopping(1), started, done(4)]), (1, 1, vec![starting, (Phase::Ending, secs(3))]));
    let backing_off = (3, Notice::BackingOff { restart: 1, limit: Limit::Unlimited, delay: secs(9) });
    let exited = Notice::Exited {
        run: R1,
        status: ExitStatus::Code(1),
        ending: supervisor_core::Ending::Spontaneous { after: secs(2) },
    };
    let told = story(&[started, (3, exited), backing_off, done(4)]);
    assert_eq!(told, (1, 1, vec![starting, up, (Phase::BackingOff, secs(1))]));
    // During the start that follows the backoff.
    let told =
        story(&[started, (3, exited), backing_off, stopping(14), (15, Notice::Started { run: R1, pid: 1 }), done(16)]);
    let waited = (Phase::BackingOff, secs(9));
    assert_eq!(told, (2, 2, vec![starting, up, waited, (Phase::Starting, secs(2)), (Phase::Ending, secs(2))]));
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
