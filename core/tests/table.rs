//! The machine, row by row: a moment, a fact, the actions that follow and the next deadline.

use std::time::Duration;
use supervisor_core::{
    Action, Backoff, End, Event, ExitStatus, GiveUp, Instant, Jitter, Limit, Message, Notice, Observation, Outcome,
    Policy, Restart, RunId, Signal, StartFailure, StartFailureKind, Supervisor, Watchdog,
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

fn started(run: RunId) -> Event {
    Event::Started { run, pid: 100 }
}

fn exited(run: RunId, code: u8) -> Event {
    Event::Exited { run, status: ExitStatus::Code(code) }
}

fn killed(run: RunId) -> Event {
    Event::Exited { run, status: ExitStatus::Signal(9) }
}

fn gone(run: RunId) -> Event {
    Event::Gone { run }
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

fn signal(run: RunId, signal: Signal) -> Action {
    Action::Signal { run, signal }
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

#[test]
fn success_is_the_end() {
    ends(
        usual(),
        &[
            (at(0), started(R1), vec![], Some(at(20))),
            (at(3), exited(R1, 0), vec![signal(R1, Signal::Stop)], Some(at(8))),
            (at(3), gone(R1), vec![], None),
        ],
        Outcome::Finished,
    );
}

#[test]
fn failure_is_followed_by_restarts_that_back_off() {
    check(
        usual(),
        &[
            (at(0), started(R1), vec![], Some(at(20))),
            (at(3), exited(R1, 1), vec![signal(R1, Signal::Stop)], Some(at(8))),
            (at(3), gone(R1), vec![], Some(at(4))),
            (at(4), Event::Elapsed, vec![start(R2, 1)], None),
            (at(4), started(R2), vec![], Some(at(24))),
            (at(5), exited(R2, 1), vec![signal(R2, Signal::Stop)], Some(at(10))),
            (at(6), gone(R2), vec![], Some(at(8))),
            (at(8), Event::Elapsed, vec![start(RunId(3), 2)], None),
        ],
    );
}

#[test]
fn a_heartbeat_moves_the_deadline_by_one_look() {
    check(
        usual(),
        &[
            (at(0), started(R1), vec![], Some(at(20))),
            (at(20), Event::Elapsed, vec![look(R1)], None),
            (at(20), saw(R1, Observation::Changed { at: at(18) }), vec![], Some(at(38))),
            (at(38), Event::Elapsed, vec![look(R1)], None),
            // At an unknown moment: it counts as made at the look.
            (at(38), saw(R1, Observation::ChangedSometime), vec![], Some(at(58))),
            (at(58), Event::Elapsed, vec![look(R1)], None),
            (at(58), saw(R1, Observation::Unchanged), vec![signal(R1, Signal::Hang)], Some(at(63))),
        ],
    );
}

#[test]
fn the_initial_delay_counts_for_every_deadline() {
    let policy = Policy { watchdog: Watchdog::On { timeout: secs(20), initial_delay: secs(100) }, ..usual() };
    check(
        policy,
        &[
            (at(0), started(R1), vec![], Some(at(120))),
            (at(120), Event::Elapsed, vec![look(R1)], None),
            (at(120), saw(R1, Observation::Changed { at: at(50) }), vec![look(R1)], None),
            (at(120), saw(R1, Observation::Unchanged), vec![signal(R1, Signal::Hang)], Some(at(125))),
        ],
    );
}

#[test]
fn a_heartbeat_is_never_older_than_the_last_one() {
    check(
        usual(),
        &[
            (at(0), started(R1), vec![], Some(at(20))),
            (at(20), Event::Elapsed, vec![look(R1)], None),
            (at(20), saw(R1, Observation::Changed { at: at(19) }), vec![], Some(at(39))),
            (at(39), Event::Elapsed, vec![look(R1)], None),
            (at(39), saw(R1, Observation::Changed { at: at(2) }), vec![look(R1)], None),
            (at(39), saw(R1, Observation::Unchanged), vec![signal(R1, Signal::Hang)], Some(at(44))),
        ],
    );
}

#[test]
fn a_late_look_moves_the_deadline_once_by_as_much() {
    check(
        usual(),
        &[
            (at(0), started(R1), vec![], Some(at(20))),
            (at(23), Event::Elapsed, vec![look(R1)], None),
            (at(23), saw(R1, Observation::Unchanged), vec![], Some(at(26))),
            // Late again, in the same silence: that does not help.
            (at(40), Event::Elapsed, vec![look(R1)], None),
            (at(40), saw(R1, Observation::Unchanged), vec![signal(R1, Signal::Hang)], Some(at(45))),
        ],
    );
}

#[test]
fn a_very_late_look_moves_the_deadline_by_one_timeout() {
    check(
        usual(),
        &[
            (at(0), started(R1), vec![], Some(at(20))),
            (at(1000), Event::Elapsed, vec![look(R1)], None),
            (at(1000), saw(R1, Observation::Unchanged), vec![], Some(at(1020))),
            (at(1020), Event::Elapsed, vec![look(R1)], None),
            (at(1020), saw(R1, Observation::Changed { at: at(1010) }), vec![], Some(at(1030))),
            // A heartbeat has ended that silence; a new one may be forgiven again.
            (at(1040), Event::Elapsed, vec![look(R1)], None),
            (at(1040), saw(R1, Observation::Unchanged), vec![], Some(at(1050))),
        ],
    );
}

#[test]
fn a_look_that_is_hardly_late_is_not_late() {
    check(
        usual(),
        &[
            (at(0), started(R1), vec![], Some(at(20))),
            (millis(20_100), Event::Elapsed, vec![look(R1)], None),
            (millis(20_100), saw(R1, Observation::Unchanged), vec![signal(R1, Signal::Hang)], Some(millis(25_100))),
        ],
    );
}

#[test]
fn waking_early_changes_nothing() {
    check(
        usual(),
        &[
            (at(0), Event::Elapsed, vec![], None),
            (at(0), started(R1), vec![], Some(at(20))),
            (at(19), Event::Elapsed, vec![], Some(at(20))),
            (at(19), exited(R1, 1), vec![signal(R1, Signal::Stop)], Some(at(24))),
            (at(23), Event::Elapsed, vec![], Some(at(24))),
            (at(23), gone(R1), vec![], Some(at(24))),
            (millis(23_999), Event::Elapsed, vec![], Some(at(24))),
        ],
    );
}

#[test]
fn a_hang_escalates_and_is_followed_by_a_restart() {
    check(
        usual(),
        &[
            (at(0), started(R1), vec![], Some(at(20))),
            (at(20), Event::Elapsed, vec![look(R1)], None),
            (at(20), saw(R1, Observation::Unchanged), vec![signal(R1, Signal::Hang)], Some(at(25))),
            (at(25), Event::Elapsed, vec![signal(R1, Signal::Kill)], Some(millis(25_100))),
            (at(25), killed(R1), vec![signal(R1, Signal::Kill)], Some(millis(25_100))),
            (at(25), gone(R1), vec![], Some(at(26))),
            (at(26), Event::Elapsed, vec![start(R2, 1)], None),
        ],
    );
}

#[test]
fn what_survives_sigkill_gets_it_again_less_and_less_often() {
    check(
        usual(),
        &[
            (at(0), started(R1), vec![], Some(at(20))),
            (at(1), Event::Stop, vec![signal(R1, Signal::Stop)], Some(at(6))),
            (at(6), Event::Elapsed, vec![signal(R1, Signal::Kill)], Some(millis(6_100))),
            (millis(6_100), Event::Elapsed, vec![signal(R1, Signal::Kill)], Some(millis(6_200))),
            (millis(6_200), Event::Elapsed, vec![signal(R1, Signal::Kill)], Some(millis(6_400))),
            (at(106), Event::Elapsed, vec![signal(R1, Signal::Kill)], Some(at(166))),
        ],
    );
}

#[test]
fn leftovers_get_the_rest_of_the_grace_period() {
    ends(
        usual(),
        &[
            (at(0), started(R1), vec![], Some(at(20))),
            (at(1), Event::Stop, vec![signal(R1, Signal::Stop)], Some(at(6))),
            (at(4), exited(R1, 0), vec![signal(R1, Signal::Stop)], Some(at(6))),
            (at(6), Event::Elapsed, vec![signal(R1, Signal::Kill)], Some(millis(6_100))),
            (at(6), gone(R1), vec![], None),
        ],
        Outcome::Stopped,
    );
}

#[test]
fn a_command_that_must_be_killed_was_not_stopped_politely() {
    let rows = |last: Event| {
        vec![
            (at(0), started(R1), vec![], Some(at(20))),
            (at(1), Event::Stop, vec![signal(R1, Signal::Stop)], Some(at(6))),
            (at(6), Event::Elapsed, vec![signal(R1, Signal::Kill)], Some(millis(6_100))),
            (at(6), last, vec![signal(R1, Signal::Kill)], Some(millis(6_100))),
            (at(6), gone(R1), vec![], None),
        ]
    };
    ends(usual(), &rows(killed(R1)), Outcome::Killed);
    // It left by itself at the last moment.
    ends(usual(), &rows(exited(R1, 0)), Outcome::Stopped);
}

#[test]
fn an_interrupt_during_a_stop_kills_at_once() {
    check(
        usual(),
        &[
            (at(0), started(R1), vec![], Some(at(20))),
            (at(1), Event::Interrupt, vec![signal(R1, Signal::Stop)], Some(at(6))),
            (at(2), Event::Stop, vec![], Some(at(6))),
            (at(3), Event::Interrupt, vec![signal(R1, Signal::Kill)], Some(millis(3_100))),
            (at(3), Event::Interrupt, vec![], Some(millis(3_100))),
        ],
    );
}

#[test]
fn a_stop_during_a_hang_makes_it_a_stop_without_new_grace() {
    let hang = [
        (at(0), started(R1), vec![], Some(at(20))),
        (at(20), Event::Elapsed, vec![look(R1)], None),
        (at(20), saw(R1, Observation::Unchanged), vec![signal(R1, Signal::Hang)], Some(at(25))),
        (at(22), Event::Interrupt, vec![], Some(at(25))),
    ];
    let polite =
        [(at(23), exited(R1, 0), vec![signal(R1, Signal::Stop)], Some(at(25))), (at(23), gone(R1), vec![], None)];
    ends(usual(), &[&hang[..], &polite].concat(), Outcome::Stopped);
    let forced = [
        (at(25), Event::Elapsed, vec![signal(R1, Signal::Kill)], Some(millis(25_100))),
        (at(25), killed(R1), vec![signal(R1, Signal::Kill)], Some(millis(25_100))),
        (at(25), gone(R1), vec![], None),
    ];
    ends(usual(), &[&hang[..], &forced].concat(), Outcome::Killed);
    let urgent = [(at(23), Event::Interrupt, vec![signal(R1, Signal::Kill)], Some(millis(23_100)))];
    check(usual(), &[&hang[..], &urgent].concat());
}

#[test]
fn a_stop_while_leftovers_are_cleared_forbids_the_restart() {
    ends(
        usual(),
        &[
            (at(0), started(R1), vec![], Some(at(20))),
            (at(1), exited(R1, 1), vec![signal(R1, Signal::Stop)], Some(at(6))),
            (at(2), Event::Stop, vec![], Some(at(6))),
            (at(3), gone(R1), vec![], None),
        ],
        Outcome::Stopped,
    );
}

#[test]
fn a_stop_during_the_backoff_leaves_at_once() {
    for request in [Event::Stop, Event::Interrupt] {
        ends(
            usual(),
            &[
                (at(0), failed(R1, StartFailureKind::Passing), vec![], Some(at(1))),
                (at(0), request, vec![], None),
                (at(1), Event::Elapsed, vec![], None),
            ],
            Outcome::Stopped,
        );
    }
}

#[test]
fn a_stop_during_the_start_is_carried_out() {
    for request in [Event::Stop, Event::Interrupt] {
        let stop = (at(0), request, vec![signal(R1, Signal::Stop)], Some(at(5)));
        ends(
            usual(),
            &[
                stop.clone(),
                (at(1), started(R1), vec![], Some(at(5))),
                (at(2), exited(R1, 0), vec![signal(R1, Signal::Stop)], Some(at(5))),
                (at(2), gone(R1), vec![], None),
            ],
            Outcome::Stopped,
        );
        ends(usual(), &[stop, (at(1), failed(R1, StartFailureKind::NotFound), vec![], None)], Outcome::Stopped);
    }
}

#[test]
fn a_first_start_that_cannot_succeed_is_the_end() {
    for restart in [Restart::Never, Restart::OnFailure, Restart::Always] {
        for kind in [StartFailureKind::NotFound, StartFailureKind::NotExecutable] {
            let end = End::NotStarted(StartFailure { kind, os_error: 1 });
            let policy = Policy { restart, ..usual() };
            let outcome = Outcome::GaveUp { end, reason: GiveUp::CannotStart };
            ends(policy, &[(at(0), failed(R1, kind), vec![], None)], outcome);
        }
    }
}

#[test]
fn a_later_start_that_fails_is_a_failed_run() {
    check(
        usual(),
        &[
            (at(0), failed(R1, StartFailureKind::Passing), vec![], Some(at(1))),
            (at(1), Event::Elapsed, vec![start(R2, 1)], None),
            (at(1), failed(R2, StartFailureKind::NotFound), vec![], Some(at(3))),
            (at(3), Event::Elapsed, vec![start(RunId(3), 2)], None),
        ],
    );
}

#[test]
fn restarts_are_used_up() {
    let policy = Policy { max_restarts: Limit::Times(1), ..usual() };
    let end = End::Exited(ExitStatus::Code(7));
    ends(
        policy,
        &[
            (at(0), started(R1), vec![], Some(at(20))),
            (at(0), exited(R1, 1), vec![signal(R1, Signal::Stop)], Some(at(5))),
            (at(0), gone(R1), vec![], Some(at(1))),
            (at(1), Event::Elapsed, vec![start(R2, 1)], None),
            (at(1), started(R2), vec![], Some(at(21))),
            (at(1), exited(R2, 7), vec![signal(R2, Signal::Stop)], Some(at(6))),
            (at(1), gone(R2), vec![], None),
        ],
        Outcome::GaveUp { end, reason: GiveUp::RestartsUsedUp },
    );
}

#[test]
fn a_healthy_run_ends_the_streak_and_a_shorter_one_does_not() {
    let policy = Policy { watchdog: Watchdog::Off, max_restarts: Limit::Times(1), ..usual() };
    let rows = |end: u64| {
        vec![
            (at(0), failed(R1, StartFailureKind::Passing), vec![], Some(at(1))),
            (at(1), Event::Elapsed, vec![start(R2, 1)], None),
            (at(1), started(R2), vec![], None),
            (at(end), exited(R2, 1), vec![signal(R2, Signal::Stop)], Some(at(end + 5))),
        ]
    };
    let healthy = [(at(61), gone(R2), vec![], Some(at(62))), (at(62), Event::Elapsed, vec![start(RunId(3), 1)], None)];
    check(policy.clone(), &[rows(61), healthy.to_vec()].concat());
    let end = End::Exited(ExitStatus::Code(1));
    let outcome = Outcome::GaveUp { end, reason: GiveUp::RestartsUsedUp };
    ends(policy, &[rows(60), vec![(at(200), gone(R2), vec![], None)]].concat(), outcome);
}

#[test]
fn never_and_always_restart_as_they_say() {
    let rows = |code: u8, then: Option<Instant>| {
        vec![
            (at(0), started(R1), vec![], Some(at(20))),
            (at(0), exited(R1, code), vec![signal(R1, Signal::Stop)], Some(at(5))),
            (at(0), gone(R1), vec![], then),
        ]
    };
    let never = Policy { restart: Restart::Never, ..usual() };
    ends(never.clone(), &rows(0, None), Outcome::Finished);
    let end = End::Exited(ExitStatus::Code(1));
    ends(never, &rows(1, None), Outcome::GaveUp { end, reason: GiveUp::NeverRestarts });
    let always = Policy { restart: Restart::Always, ..usual() };
    check(always.clone(), &rows(0, Some(at(1))));
    check(always.clone(), &rows(1, Some(at(1))));
    let always_once = Policy { max_restarts: Limit::Times(0), ..always };
    let end = End::Exited(ExitStatus::Code(0));
    ends(always_once, &rows(0, None), Outcome::GaveUp { end, reason: GiveUp::RestartsUsedUp });
}

#[test]
fn facts_about_another_run_are_dropped() {
    check(
        usual(),
        &[
            (at(0), started(R2), vec![], None),
            (at(0), started(R1), vec![], Some(at(20))),
            (at(1), exited(R2, 0), vec![], Some(at(20))),
            (at(1), gone(R2), vec![], Some(at(20))),
            (at(20), Event::Elapsed, vec![look(R1)], None),
            (at(20), saw(R2, Observation::Unchanged), vec![], None),
            (at(21), exited(R1, 1), vec![signal(R1, Signal::Stop)], Some(at(26))),
            (at(21), saw(R1, Observation::Unchanged), vec![], Some(at(26))),
        ],
    );
}

#[test]
fn without_a_watchdog_nobody_looks() {
    let policy = Policy { watchdog: Watchdog::Off, ..usual() };
    check(policy, &[(at(0), started(R1), vec![], None), (at(9999), Event::Elapsed, vec![], None)]);
}

#[test]
fn delays_double_up_to_the_ceiling() {
    let backoff = Backoff { factor: secs(2), ceiling: Some(secs(30)), jitter: Jitter::NONE };
    let delays: Vec<u64> = (0..6).map(|made| backoff.delay(made, 0).as_secs()).collect();
    assert_eq!(delays, [2, 4, 8, 16, 30, 30]);
    let unlimited = Backoff { ceiling: None, ..backoff };
    assert_eq!(unlimited.delay(10, 0), secs(2048));
    assert_eq!(unlimited.delay(u32::MAX, 0), Duration::MAX);
    let none = Backoff { factor: Duration::ZERO, ..unlimited };
    assert_eq!(none.delay(u32::MAX, 0), Duration::ZERO);
    let tiny = Backoff { factor: Duration::from_nanos(1), ..none };
    assert_eq!(tiny.delay(93, 0), Duration::from_nanos(1) * (1 << 30) * (1 << 30) * (1 << 30) * 8);
    assert_eq!(tiny.delay(94, 0), Duration::MAX);
}

#[test]
fn jitter_stretches_by_its_share_at_most() {
    let jitter = Jitter { parts_per_billion: 250_000_000, seed: 7 };
    let backoff = Backoff { factor: secs(1000), ceiling: None, jitter };
    let delays: Vec<Duration> = (0..1000).map(|draw| backoff.delay(0, draw)).collect();
    assert!(delays.iter().all(|delay| (secs(1000)..=secs(1250)).contains(delay)));
    assert!(delays.iter().any(|delay| *delay < secs(1010)) && delays.iter().any(|delay| *delay > secs(1240)));
    let other = Backoff { jitter: Jitter { seed: 8, ..jitter }, ..backoff.clone() };
    assert_ne!(other.delay(0, 0), backoff.delay(0, 0));
    let longest = Backoff { factor: Duration::MAX, ..backoff };
    assert_eq!(longest.delay(0, 1), Duration::MAX);
}

/// The first outputs of SplitMix64 for the seeds 0 and 1, as published with the algorithm.
#[test]
fn jitter_is_drawn_by_splitmix64() {
    let factor = Duration::from_nanos(1 << 32);
    let extra = |seed, draw| {
        let jitter = Jitter { parts_per_billion: 1_000_000_000, seed };
        Backoff { factor, ceiling: None, jitter }.delay(0, draw) - factor
    };
    assert_eq!(extra(0, 0), Duration::from_nanos(0xe220_a839));
    assert_eq!(extra(1, 0), Duration::from_nanos(0x910a_2dec));
    assert_eq!(extra(5, 4), extra(1, 0));
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

#[test]
fn the_first_heartbeat_is_told_as_such() {
    let found = |second| saw(R1, Observation::Changed { at: at(second) });
    tells(
        usual(),
        &[
            (at(0), started(R1), vec![Notice::Started { run: R1, pid: 100 }]),
            (at(20), Event::Elapsed, vec![]),
            (at(20), found(15), vec![Notice::FirstHeartbeat { run: R1, ago: secs(5) }]),
            (at(35), Event::Elapsed, vec![]),
            (at(35), found(33), vec![Notice::Heartbeat { run: R1, ago: secs(2) }]),
            (at(53), Event::Elapsed, vec![]),
            (
                at(53),
                saw(R1, Observation::Unchanged),
                vec![Notice::Hung { run: R1, silence: secs(20), grace_period: secs(5) }],
            ),
        ],
    );
}

#[test]
fn surviving_sigkill_is_told_after_a_second() {
    let killing = Notice::Killing { run: R1, cause: supervisor_core::KillCause::GracePeriodOver };
    let surviving = |since| vec![Notice::Surviving { run: R1, since: Duration::from_millis(since) }];
    tells(
        usual(),
        &[
            (at(0), started(R1), vec![Notice::Started { run: R1, pid: 100 }]),
            (at(1), Event::Stop, vec![Notice::Stopping { run: R1, grace_period: secs(5) }]),
            (at(6), Event::Elapsed, vec![killing]),
            (millis(6_100), Event::Elapsed, vec![]),
            (millis(6_999), Event::Elapsed, vec![]),
            (millis(8_000), Event::Elapsed, surviving(2_000)),
        ],
    );
}

#[test]
fn exactly_a_second_of_survival_is_told() {
    let (mut supervisor, _) = Supervisor::start(usual());
    for (now, event) in [(at(0), started(R1)), (at(1), Event::Stop), (at(6), Event::Elapsed)] {
        let _ = supervisor.handle_event(event, now);
    }
    let step = supervisor.handle_event(Event::Elapsed, at(7));
    assert_eq!(format!("{:?}", step.notices), "[Surviving { run: RunId(1), since: 1s }]");
    assert_eq!(R1.to_string(), "run 1");
}

fn told(message: Message) -> Event {
    Event::Told { run: R1, message }
}

#[test]
fn a_told_heartbeat_moves_the_deadline_without_a_look() {
    check(
        usual(),
        &[
            (at(0), started(R1), vec![], Some(at(20))),
            (at(7), told(Message::Heartbeat), vec![], Some(at(27))),
            (at(27), Event::Elapsed, vec![look(R1)], None),
            (at(27), told(Message::Heartbeat), vec![], None),
            (at(27), saw(R1, Observation::Unchanged), vec![], Some(at(47))),
            (at(47), Event::Elapsed, vec![look(R1)], None),
            (at(47), saw(R1, Observation::Unchanged), vec![signal(R1, Signal::Hang)], Some(at(52))),
        ],
    );
}

#[test]
fn ready_ends_the_initial_delay_once() {
    let policy = Policy { watchdog: Watchdog::On { timeout: secs(20), initial_delay: secs(100) }, ..usual() };
    check(
        policy,
        &[
            (at(0), started(R1), vec![], Some(at(120))),
            (at(5), told(Message::Ready), vec![], Some(at(25))),
            (at(6), told(Message::Ready), vec![], Some(at(25))),
            (at(6), told(Message::Extension(secs(100))), vec![], Some(at(25))),
        ],
    );
}

#[test]
fn a_start_up_and_a_leaving_may_take_longer_but_no_silence() {
    check(
        usual(),
        &[
            (at(0), started(R1), vec![], Some(at(20))),
            (at(5), told(Message::Extension(secs(30))), vec![], Some(at(55))),
            (at(40), told(Message::Heartbeat), vec![], Some(at(60))),
            (at(41), told(Message::Extension(secs(30))), vec![], Some(at(60))),
            (at(42), Event::Stop, vec![signal(R1, Signal::Stop)], Some(at(47))),
            (at(44), told(Message::Extension(secs(1))), vec![], Some(at(47))),
            (at(45), told(Message::Extension(secs(9))), vec![], Some(at(54))),
            (at(54), Event::Elapsed, vec![signal(R1, Signal::Kill)], Some(millis(54_100))),
            (at(54), told(Message::Extension(secs(9))), vec![], Some(millis(54_100))),
        ],
    );
}

#[test]
fn a_told_timeout_holds_for_the_rest_of_the_run() {
    check(
        usual(),
        &[
            (at(0), started(R1), vec![], Some(at(20))),
            (at(5), told(Message::Timeout(secs(3))), vec![], Some(at(8))),
            (at(7), told(Message::Heartbeat), vec![], Some(at(10))),
            (at(8), exited(R1, 1), vec![signal(R1, Signal::Stop)], Some(at(13))),
            (at(8), gone(R1), vec![], Some(at(9))),
            (at(9), Event::Elapsed, vec![start(R2, 1)], None),
            (at(9), started(R2), vec![], Some(at(29))),
        ],
    );
}

#[test]
fn a_command_may_report_its_hang_and_end_its_streak() {
    let end = [
        (at(0), started(R1), vec![], Some(at(20))),
        (at(5), told(Message::Hang), vec![signal(R1, Signal::Hang)], Some(at(10))),
        (at(6), exited(R1, 0), vec![signal(R1, Signal::Stop)], Some(at(10))),
        (at(6), gone(R1), vec![], None),
    ];
    let reason = GiveUp::RestartsUsedUp;
    ends(Policy { max_restarts: Limit::Times(0), ..usual() }, &end, Outcome::GaveUp { end: End::Hung, reason });
    let r2 = |message| Event::Told { run: R2, message };
    check(
        usual(),
        &[
            (at(0), started(R1), vec![], Some(at(20))),
            (at(1), exited(R1, 1), vec![signal(R1, Signal::Stop)], Some(at(6))),
            (at(1), gone(R1), vec![], Some(at(2))),
            (at(2), Event::Elapsed, vec![start(R2, 1)], None),
            (at(2), started(R2), vec![], Some(at(22))),
            (at(3), r2(Message::StreakOver), vec![], Some(at(22))),
            (at(4), exited(R2, 1), vec![signal(R2, Signal::Stop)], Some(at(9))),
            (at(4), gone(R2), vec![], Some(at(5))),
            (at(5), Event::Elapsed, vec![start(RunId(3), 1)], None),
        ],
    );
}

#[test]
fn without_a_watchdog_only_what_is_no_heartbeat_counts() {
    let policy = Policy { watchdog: Watchdog::Off, ..usual() };
    let ignored = [Message::Heartbeat, Message::Hang, Message::Timeout(secs(1)), Message::Extension(secs(1))];
    let mut rows = vec![(at(0), started(R1), vec![], None)];
    rows.extend(ignored.map(|message| (at(1), told(message), vec![], None)));
    check(policy, &rows);
}
