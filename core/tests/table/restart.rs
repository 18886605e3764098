//! Restarts on request, in every state.

use super::*;

fn crashed() -> [Row; 2] {
    [(at(0), started(R1), vec![], Some(at(20))), (at(3), exited(R1, 1), vec![signal(R1, Purpose::Stop)], Some(at(8)))]
}

/// The second run of a streak; the first has crashed.
fn second_run() -> Vec<Row> {
    let rest = [
        (at(3), cleared(R1), vec![], Some(at(4))),
        (at(4), Event::Timeout, vec![start(R2, 1)], None),
        (at(4), started(R2), vec![], Some(at(24))),
    ];
    [&crashed()[..], &rest].concat()
}

#[test]
fn running_it_is_stopped_and_started_at_once_and_uncounted() {
    let rest = [
        (at(6), Event::Restart, vec![signal(R2, Purpose::Stop)], Some(at(11))),
        (at(7), Event::Restart, vec![], Some(at(11))),
        (at(8), exited(R2, 0), vec![signal(R2, Purpose::Stop)], Some(at(11))),
        (at(9), cleared(R2), vec![start(RunId(3), 1)], None),
        (at(9), started(RunId(3)), vec![], Some(at(29))),
        // The streak goes on as if nothing had happened: the second delay is twice the first.
        (at(10), exited(RunId(3), 1), vec![signal(RunId(3), Purpose::Stop)], Some(at(15))),
        (at(10), cleared(RunId(3)), vec![], Some(at(12))),
    ];
    check(usual(), &[second_run(), rest.to_vec()].concat());
}

#[test]
fn it_comes_under_every_policy_and_beyond_every_limit() {
    for restart in [Restart::Never, Restart::OnFailure, Restart::Always] {
        let policy = Policy { restart, max_restarts: Limit::Times(0), ..usual() };
        check(
            policy,
            &[
                (at(0), started(R1), vec![], Some(at(20))),
                (at(1), Event::Restart, vec![signal(R1, Purpose::Stop)], Some(at(6))),
                (at(6), Event::Timeout, vec![signal(R1, Purpose::Kill)], Some(millis(6_100))),
                (at(6), killed(R1), vec![signal(R1, Purpose::Kill)], Some(millis(6_100))),
                (at(6), cleared(R1), vec![start(R2, 0)], None),
            ],
        );
    }
}

/// The run was healthy for that long, whatever ended it.
#[test]
fn a_healthy_run_ends_the_streak_here_too() {
    for (second, restarts) in [(13, 1), (14, 0)] {
        let rest = [
            (at(second), Event::Restart, vec![signal(R2, Purpose::Stop)], Some(at(second + 5))),
            (at(second), exited(R2, 0), vec![signal(R2, Purpose::Stop)], Some(at(second + 5))),
            (at(second), cleared(R2), vec![start(RunId(3), restarts)], None),
        ];
        let policy = Policy { reset_after: secs(10), ..usual() };
        assert_eq!(check(policy, &[second_run(), rest.to_vec()].concat()).restarts(), restarts);
    }
}

#[test]
fn starting_it_is_carried_out_once_it_has_started() {
    let asked = (at(0), Event::Restart, vec![signal(R1, Purpose::Stop)], Some(at(5)));
    check(
        usual(),
        &[
            asked,
            (at(1), started(R1), vec![], Some(at(5))),
            (at(2), exited(R1, 0), vec![signal(R1, Purpose::Stop)], Some(at(5))),
            (at(2), cleared(R1), vec![start(R2, 0)], None),
        ],
    );
}

/// A request and a failed start come to the same in either order.
#[test]
fn a_start_that_fails_meanwhile_is_tried_again_at_once() {
    let passing = failed(R1, StartFailureKind::Passing);
    let asked = [(at(0), Event::Restart, vec![signal(R1, Purpose::Stop)], Some(at(5)))];
    check(usual(), &[&asked[..], &[(at(1), passing, vec![start(R2, 0)], None)]].concat());
    let failed_before = [(at(1), passing, vec![], Some(at(2))), (at(1), Event::Restart, vec![start(R2, 0)], None)];
    check(usual(), &failed_before);

    for kind in [StartFailureKind::NotFound, StartFailureKind::NotExecutable] {
        let end = End::NotStarted(StartFailure { kind, os_error: 1 });
        let outcome = Outcome::GaveUp { end, reason: GiveUp::CannotStart };
        ends(usual(), &[&asked[..], &[(at(1), failed(R1, kind), vec![], None)]].concat(), outcome);
        ends(usual(), &[(at(1), failed(R1, kind), vec![], None), (at(1), Event::Restart, vec![], None)], outcome);
        // It could be started once, so it may be again.
        let later = [
            (at(6), Event::Restart, vec![signal(R2, Purpose::Stop)], Some(at(11))),
            (at(6), exited(R2, 0), vec![signal(R2, Purpose::Stop)], Some(at(11))),
            (at(6), cleared(R2), vec![start(RunId(3), 1)], None),
            (at(6), Event::Restart, vec![signal(RunId(3), Purpose::Stop)], Some(at(11))),
            (at(6), failed(RunId(3), kind), vec![start(RunId(4), 1)], None),
        ];
        check(usual(), &[second_run(), later.to_vec()].concat());
    }
}

#[test]
fn during_a_hang_it_comes_without_a_delay_and_without_new_grace() {
    check(
        usual(),
        &[
            (at(0), started(R1), vec![], Some(at(20))),
            (at(20), Event::Timeout, vec![look(R1)], None),
            (at(20), saw(R1, Observation::Unchanged), vec![signal(R1, Purpose::Hang)], Some(at(25))),
            (at(23), Event::Restart, vec![], Some(at(25))),
            (at(25), Event::Timeout, vec![signal(R1, Purpose::Kill)], Some(millis(25_100))),
            (at(25), Event::Restart, vec![], Some(millis(25_100))),
            (at(25), killed(R1), vec![signal(R1, Purpose::Kill)], Some(millis(25_100))),
            (at(25), cleared(R1), vec![start(R2, 0)], None),
        ],
    );
}

#[test]
fn while_leftovers_are_cleared_it_comes_without_a_delay() {
    let rest = [(at(4), Event::Restart, vec![], Some(at(8))), (at(5), cleared(R1), vec![start(R2, 0)], None)];
    check(usual(), &[&crashed()[..], &rest].concat());
    let finished = [
        (at(0), started(R1), vec![], Some(at(20))),
        (at(3), exited(R1, 0), vec![signal(R1, Purpose::Stop)], Some(at(8))),
    ];
    check(usual(), &[&finished[..], &rest].concat());
}

#[test]
fn during_the_backoff_it_comes_at_once() {
    let rest = [
        (at(3), cleared(R1), vec![], Some(at(4))),
        (millis(3_500), Event::Restart, vec![start(R2, 0)], None),
        (at(4), Event::Timeout, vec![], None),
    ];
    check(usual(), &[&crashed()[..], &rest].concat());
}

#[test]
fn a_stop_outranks_it() {
    let stop = [
        (at(0), started(R1), vec![], Some(at(20))),
        (at(1), Event::Stop, vec![signal(R1, Purpose::Stop)], Some(at(6))),
    ];
    let rest = [
        (at(2), Event::Restart, vec![], Some(at(6))),
        (at(3), exited(R1, 0), vec![signal(R1, Purpose::Stop)], Some(at(6))),
        (at(3), Event::Restart, vec![], Some(at(6))),
        (at(3), cleared(R1), vec![], None),
        (at(3), Event::Restart, vec![], None),
    ];
    ends(usual(), &[&stop[..], &rest].concat(), Outcome::Stopped);
    ends(
        usual(),
        &[
            (at(0), started(R1), vec![], Some(at(20))),
            (at(1), Event::Restart, vec![signal(R1, Purpose::Stop)], Some(at(6))),
            (at(3), Event::Stop, vec![], Some(at(6))),
            (at(4), exited(R1, 0), vec![signal(R1, Purpose::Stop)], Some(at(6))),
            (at(4), cleared(R1), vec![], None),
        ],
        Outcome::Stopped,
    );
}
