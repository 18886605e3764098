//! What a command tells of itself.

use super::*;

#[test]
fn a_told_heartbeat_moves_the_deadline_without_a_look() {
    check(
        usual(),
        &[
            (at(0), started(R1), vec![], Some(at(20))),
            (at(7), told(Message::Heartbeat), vec![], Some(at(27))),
            (at(27), Event::Timeout, vec![look(R1)], None),
            (at(27), told(Message::Heartbeat), vec![], None),
            (at(27), saw(R1, Observation::Unchanged), vec![], Some(at(47))),
            (at(47), Event::Timeout, vec![look(R1)], None),
            (at(47), saw(R1, Observation::Unchanged), vec![signal(R1, Purpose::Hang)], Some(at(52))),
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
            (at(42), Event::Stop, vec![signal(R1, Purpose::Stop)], Some(at(47))),
            (at(44), told(Message::Extension(secs(1))), vec![], Some(at(47))),
            (at(45), told(Message::Extension(secs(9))), vec![], Some(at(54))),
            (at(54), Event::Timeout, vec![signal(R1, Purpose::Kill)], Some(millis(54_100))),
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
            (at(8), exited(R1, 1), vec![signal(R1, Purpose::Stop)], Some(at(13))),
            (at(8), cleared(R1), vec![], Some(at(9))),
            (at(9), Event::Timeout, vec![start(R2, 1)], None),
            (at(9), started(R2), vec![], Some(at(29))),
        ],
    );
}

#[test]
fn a_command_may_report_its_hang_and_end_its_streak() {
    let end = [
        (at(0), started(R1), vec![], Some(at(20))),
        (at(5), told(Message::Hang), vec![signal(R1, Purpose::Hang)], Some(at(10))),
        (at(6), exited(R1, 0), vec![signal(R1, Purpose::Stop)], Some(at(10))),
        (at(6), cleared(R1), vec![], None),
    ];
    let reason = GiveUp::RestartsUsedUp;
    ends(Policy { max_restarts: Limit::Times(0), ..usual() }, &end, Outcome::GaveUp { end: End::Hung, reason });
    let r2 = |message| Event::Message { run: R2, message };
    check(
        usual(),
        &[
            (at(0), started(R1), vec![], Some(at(20))),
            (at(1), exited(R1, 1), vec![signal(R1, Purpose::Stop)], Some(at(6))),
            (at(1), cleared(R1), vec![], Some(at(2))),
            (at(2), Event::Timeout, vec![start(R2, 1)], None),
            (at(2), started(R2), vec![], Some(at(22))),
            (at(3), r2(Message::StreakOver), vec![], Some(at(22))),
            (at(4), exited(R2, 1), vec![signal(R2, Purpose::Stop)], Some(at(9))),
            (at(4), cleared(R2), vec![], Some(at(5))),
            (at(5), Event::Timeout, vec![start(RunId(3), 1)], None),
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

/// The machine needs nothing of its own for probes: one that succeeds is a heartbeat of the moment at which it ended.
#[test]
fn a_successful_probe_is_a_heartbeat_of_the_moment_at_which_it_ended() {
    let supervisor = check(
        usual(),
        &[
            (at(0), started(R1), vec![], Some(at(20))),
            // The look that the silence of the file leads to is under way when the probe ends.
            (at(20), Event::Timeout, vec![look(R1)], None),
            (at(21), told(Message::Heartbeat), vec![], None),
            (at(22), saw(R1, Observation::Unchanged), vec![], Some(at(41))),
            (at(30), told(Message::Heartbeat), vec![], Some(at(50))),
            (at(50), Event::Timeout, vec![look(R1)], None),
            (at(50), saw(R1, Observation::Unchanged), vec![signal(R1, Purpose::Hang)], Some(at(55))),
            // One that ends after that has come too late.
            (at(51), told(Message::Heartbeat), vec![], Some(at(55))),
        ],
    );
    assert_eq!(supervisor.phase(), Phase::Hung(Main::Alive(PID)));
}

/// What was left behind has the rest of the grace period, and cannot ask for more.
#[test]
fn leftovers_are_given_no_more_time() {
    check(
        usual(),
        &[
            (at(0), started(R1), vec![], Some(at(20))),
            (at(1), Event::Stop, vec![signal(R1, Purpose::Stop)], Some(at(6))),
            (at(2), told(Message::Extension(secs(8))), vec![], Some(at(10))),
            (at(3), exited(R1, 0), vec![signal(R1, Purpose::Stop)], Some(at(10))),
            (at(4), told(Message::Extension(secs(60))), vec![], Some(at(10))),
        ],
    );
}
