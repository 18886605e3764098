//! Looks, heartbeats and hangs.

use super::*;

#[test]
fn a_heartbeat_moves_the_deadline_by_one_look() {
    check(
        usual(),
        &[
            (at(0), started(R1), vec![], Some(at(20))),
            (at(20), Event::Timeout, vec![look(R1)], None),
            (at(20), saw(R1, Observation::Changed { at: at(18) }), vec![], Some(at(38))),
            (at(38), Event::Timeout, vec![look(R1)], None),
            // At an unknown moment: it counts as made at the look.
            (at(38), saw(R1, Observation::ChangedSometime), vec![], Some(at(58))),
            (at(58), Event::Timeout, vec![look(R1)], None),
            (at(58), saw(R1, Observation::Unchanged), vec![signal(R1, Purpose::Hang)], Some(at(63))),
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
            (at(120), Event::Timeout, vec![look(R1)], None),
            (at(120), saw(R1, Observation::Changed { at: at(50) }), vec![look(R1)], None),
            (at(120), saw(R1, Observation::Unchanged), vec![signal(R1, Purpose::Hang)], Some(at(125))),
        ],
    );
}

#[test]
fn a_heartbeat_is_never_older_than_the_last_one() {
    check(
        usual(),
        &[
            (at(0), started(R1), vec![], Some(at(20))),
            (at(20), Event::Timeout, vec![look(R1)], None),
            (at(20), saw(R1, Observation::Changed { at: at(19) }), vec![], Some(at(39))),
            (at(39), Event::Timeout, vec![look(R1)], None),
            (at(39), saw(R1, Observation::Changed { at: at(2) }), vec![look(R1)], None),
            (at(39), saw(R1, Observation::Unchanged), vec![signal(R1, Purpose::Hang)], Some(at(44))),
        ],
    );
}

#[test]
fn a_late_look_moves_the_deadline_once_by_as_much() {
    check(
        usual(),
        &[
            (at(0), started(R1), vec![], Some(at(20))),
            (at(23), Event::Timeout, vec![look(R1)], None),
            (at(23), saw(R1, Observation::Unchanged), vec![], Some(at(26))),
            // Late again, in the same silence: that does not help.
            (at(40), Event::Timeout, vec![look(R1)], None),
            (at(40), saw(R1, Observation::Unchanged), vec![signal(R1, Purpose::Hang)], Some(at(45))),
        ],
    );
}

#[test]
fn a_very_late_look_moves_the_deadline_by_one_timeout() {
    check(
        usual(),
        &[
            (at(0), started(R1), vec![], Some(at(20))),
            (at(1000), Event::Timeout, vec![look(R1)], None),
            (at(1000), saw(R1, Observation::Unchanged), vec![], Some(at(1020))),
            (at(1020), Event::Timeout, vec![look(R1)], None),
            (at(1020), saw(R1, Observation::Changed { at: at(1010) }), vec![], Some(at(1030))),
            // A heartbeat has ended that silence; a new one may be forgiven again.
            (at(1040), Event::Timeout, vec![look(R1)], None),
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
            (millis(20_100), Event::Timeout, vec![look(R1)], None),
            (millis(20_100), saw(R1, Observation::Unchanged), vec![signal(R1, Purpose::Hang)], Some(millis(25_100))),
        ],
    );
}

#[test]
fn waking_early_changes_nothing() {
    check(
        usual(),
        &[
            (at(0), Event::Timeout, vec![], None),
            (at(0), started(R1), vec![], Some(at(20))),
            (at(19), Event::Timeout, vec![], Some(at(20))),
            (at(19), exited(R1, 1), vec![signal(R1, Purpose::Stop)], Some(at(24))),
            (at(23), Event::Timeout, vec![], Some(at(24))),
            (at(23), cleared(R1), vec![], Some(at(24))),
            (millis(23_999), Event::Timeout, vec![], Some(at(24))),
        ],
    );
}

#[test]
fn a_hang_escalates_and_is_followed_by_a_restart() {
    check(
        usual(),
        &[
            (at(0), started(R1), vec![], Some(at(20))),
            (at(20), Event::Timeout, vec![look(R1)], None),
            (at(20), saw(R1, Observation::Unchanged), vec![signal(R1, Purpose::Hang)], Some(at(25))),
            (at(25), Event::Timeout, vec![signal(R1, Purpose::Kill)], Some(millis(25_100))),
            (at(25), killed(R1), vec![signal(R1, Purpose::Kill)], Some(millis(25_100))),
            (at(25), cleared(R1), vec![], Some(at(26))),
            (at(26), Event::Timeout, vec![start(R2, 1)], None),
        ],
    );
}

#[test]
fn without_a_watchdog_nobody_looks() {
    let policy = Policy { watchdog: Watchdog::Off, ..usual() };
    check(policy, &[(at(0), started(R1), vec![], None), (at(9999), Event::Timeout, vec![], None)]);
}
