//! A hang signal with a time of its own, before the stop signal.

use super::*;
use std::slice;

/// Three seconds for the hang signal, five for the stop signal.
fn dumping() -> Policy {
    Policy { on_hang: OnHang::Signal { grace_period: secs(3) }, ..usual() }
}

/// It hangs at 20 s.
fn after_hang(rows: &[Row]) -> Vec<Row> {
    let hang = [
        (at(0), started(R1), vec![], Some(at(20))),
        (at(20), Event::Timeout, vec![look(R1)], None),
        (at(20), saw(R1, Observation::Unchanged), vec![signal(R1, Purpose::Hang)], Some(at(23))),
    ];
    [&hang, rows].concat()
}

#[test]
fn hang_signal_stop_signal_sigkill_each_have_their_time() {
    check(
        dumping(),
        &after_hang(&[
            (millis(22_999), Event::Timeout, vec![], Some(at(23))),
            (at(23), Event::Timeout, vec![signal(R1, Purpose::Stop)], Some(at(28))),
            (millis(27_999), Event::Timeout, vec![], Some(at(28))),
            (at(28), Event::Timeout, vec![signal(R1, Purpose::Kill)], Some(millis(28_100))),
            (at(28), killed(R1), vec![signal(R1, Purpose::Kill)], Some(millis(28_100))),
            (at(28), cleared(R1), vec![], Some(at(29))),
            (at(29), Event::Timeout, vec![start(R2, 1)], None),
        ]),
    );
}

/// The first signal to a hung command may go out late, since it is examined before: its time begins then.
#[test]
fn the_time_of_the_first_signal_begins_when_it_went_out() {
    let signalled = Event::Signalled { run: R1 };
    check(
        dumping(),
        &after_hang(&[
            (at(21), signalled, vec![], Some(at(24))),
            (at(24), Event::Timeout, vec![signal(R1, Purpose::Stop)], Some(at(29))),
        ]),
    );
    let hang = [
        (at(0), started(R1), vec![], Some(at(20))),
        (at(20), Event::Timeout, vec![look(R1)], None),
        (at(20), saw(R1, Observation::Unchanged), vec![signal(R1, Purpose::Hang)], Some(at(25))),
    ];
    check(usual(), &[&hang[..], &[(at(21), signalled, vec![], Some(at(26)))]].concat());
    // A stop that was asked for meanwhile is not lengthened, nor is a run that nothing hangs in.
    let stop = (millis(20_500), Event::Stop, vec![], Some(at(25)));
    check(usual(), &[&hang[..], &[stop, (at(21), signalled, vec![], Some(at(25)))]].concat());
    check(usual(), &[(at(0), started(R1), vec![], Some(at(20))), (at(1), signalled, vec![], Some(at(20)))]);
}

/// Its leftovers have seen no stop signal: they have a whole grace period from then on.
#[test]
fn an_exit_meanwhile_is_the_end_of_a_hang() {
    let policy = Policy { max_restarts: Limit::Times(0), ..dumping() };
    for exit in [exited(R1, 0), signalled(R1, 6), killed(R1)] {
        ends(
            policy.clone(),
            &after_hang(&[
                (at(22), exit, vec![signal(R1, Purpose::Stop)], Some(at(27))),
                (at(27), Event::Timeout, vec![signal(R1, Purpose::Kill)], Some(millis(27_100))),
                (at(27), cleared(R1), vec![], None),
            ]),
            Outcome::GaveUp { end: End::Hung, reason: GiveUp::RestartsUsedUp },
        );
    }
}

#[test]
fn a_request_ends_the_wait() {
    for request in [Event::Stop, Event::Interrupt] {
        let asked = (at(22), request, vec![signal(R1, Purpose::Stop)], Some(at(27)));
        let left = [
            (at(24), exited(R1, 0), vec![signal(R1, Purpose::Stop)], Some(at(27))),
            (at(24), cleared(R1), vec![], None),
        ];
        let then = |rest: &[Row]| after_hang(&[slice::from_ref(&asked), rest].concat());
        ends(dumping(), &then(&left), Outcome::Stopped);
        let killed = [
            (at(27), Event::Timeout, vec![signal(R1, Purpose::Kill)], Some(millis(27_100))),
            (at(27), killed(R1), vec![signal(R1, Purpose::Kill)], Some(millis(27_100))),
            (at(27), cleared(R1), vec![], None),
        ];
        ends(dumping(), &then(&killed), Outcome::Killed);
        let urgent = [
            (millis(22_500), Event::Interrupt, vec![], Some(at(27))),
            (at(23), Event::Interrupt, vec![signal(R1, Purpose::Kill)], Some(millis(23_100))),
        ];
        check(dumping(), &then(&urgent));
    }
    check(
        dumping(),
        &after_hang(&[
            (at(22), Event::Restart, vec![signal(R1, Purpose::Stop)], Some(at(27))),
            (at(24), exited(R1, 0), vec![signal(R1, Purpose::Stop)], Some(at(27))),
            (at(24), cleared(R1), vec![start(R2, 0)], None),
        ]),
    );
}

/// What a command tells lengthens its start-up and its leaving, not the time for the hang signal.
#[test]
fn nothing_that_it_tells_lengthens_it() {
    let told_meanwhile = [
        Message::Heartbeat,
        Message::Ready,
        Message::Hang,
        Message::Timeout(secs(60)),
        Message::StreakOver,
        Message::Extension(secs(60)),
        Message::Leaving,
    ];
    let mut rows = told_meanwhile.map(|message| (at(21), told(message), vec![], Some(at(23)))).to_vec();
    rows.push((at(21), saw(R1, Observation::ChangedSometime), vec![], Some(at(23))));
    rows.push((at(23), Event::Timeout, vec![signal(R1, Purpose::Stop)], Some(at(28))));
    rows.push((at(24), told(Message::Extension(secs(9))), vec![], Some(at(33))));
    check(dumping(), &after_hang(&rows));
}

#[test]
fn without_time_the_stop_signal_follows_at_once() {
    let policy = Policy { on_hang: OnHang::Signal { grace_period: Duration::ZERO }, ..usual() };
    check(
        policy,
        &[
            (at(0), started(R1), vec![], Some(at(20))),
            (at(2), told(Message::Hang), vec![signal(R1, Purpose::Hang)], Some(at(2))),
            (at(2), Event::Timeout, vec![signal(R1, Purpose::Stop)], Some(at(7))),
        ],
    );
}
