//! How runs end, and what follows.

use super::*;

#[test]
fn success_is_the_end() {
    ends(
        usual(),
        &[
            (at(0), started(R1), vec![], Some(at(20))),
            (at(3), exited(R1, 0), vec![signal(R1, Purpose::Stop)], Some(at(8))),
            (at(3), cleared(R1), vec![], None),
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
            (at(3), exited(R1, 1), vec![signal(R1, Purpose::Stop)], Some(at(8))),
            (at(3), cleared(R1), vec![], Some(at(4))),
            (at(4), Event::Timeout, vec![start(R2, 1)], None),
            (at(4), started(R2), vec![], Some(at(24))),
            (at(5), exited(R2, 1), vec![signal(R2, Purpose::Stop)], Some(at(10))),
            (at(6), cleared(R2), vec![], Some(at(8))),
            (at(8), Event::Timeout, vec![start(RunId(3), 2)], None),
        ],
    );
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
            (at(1), Event::Timeout, vec![start(R2, 1)], None),
            (at(1), failed(R2, StartFailureKind::NotFound), vec![], Some(at(3))),
            (at(3), Event::Timeout, vec![start(RunId(3), 2)], None),
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
            (at(0), exited(R1, 1), vec![signal(R1, Purpose::Stop)], Some(at(5))),
            (at(0), cleared(R1), vec![], Some(at(1))),
            (at(1), Event::Timeout, vec![start(R2, 1)], None),
            (at(1), started(R2), vec![], Some(at(21))),
            (at(1), exited(R2, 7), vec![signal(R2, Purpose::Stop)], Some(at(6))),
            (at(1), cleared(R2), vec![], None),
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
            (at(1), Event::Timeout, vec![start(R2, 1)], None),
            (at(1), started(R2), vec![], None),
            (at(end), exited(R2, 1), vec![signal(R2, Purpose::Stop)], Some(at(end + 5))),
        ]
    };
    let healthy =
        [(at(61), cleared(R2), vec![], Some(at(62))), (at(62), Event::Timeout, vec![start(RunId(3), 1)], None)];
    check(policy.clone(), &[rows(61), healthy.to_vec()].concat());
    let end = End::Exited(ExitStatus::Code(1));
    let outcome = Outcome::GaveUp { end, reason: GiveUp::RestartsUsedUp };
    ends(policy, &[rows(60), vec![(at(200), cleared(R2), vec![], None)]].concat(), outcome);
}

#[test]
fn never_and_always_restart_as_they_say() {
    let rows = |code: u8, then: Option<Instant>| {
        vec![
            (at(0), started(R1), vec![], Some(at(20))),
            (at(0), exited(R1, code), vec![signal(R1, Purpose::Stop)], Some(at(5))),
            (at(0), cleared(R1), vec![], then),
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
            (at(1), cleared(R2), vec![], Some(at(20))),
            (at(20), Event::Timeout, vec![look(R1)], None),
            (at(20), saw(R2, Observation::Unchanged), vec![], None),
            (at(21), exited(R1, 1), vec![signal(R1, Purpose::Stop)], Some(at(26))),
            (at(21), saw(R1, Observation::Unchanged), vec![], Some(at(26))),
        ],
    );
}
