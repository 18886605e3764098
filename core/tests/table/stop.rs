//! Requests to stop, and SIGKILL.

use super::*;

#[test]
fn what_survives_sigkill_gets_it_again_less_and_less_often() {
    check(
        usual(),
        &[
            (at(0), started(R1), vec![], Some(at(20))),
            (at(1), Event::Stop, vec![signal(R1, Purpose::Stop)], Some(at(6))),
            (at(6), Event::Timeout, vec![signal(R1, Purpose::Kill)], Some(millis(6_100))),
            (millis(6_100), Event::Timeout, vec![signal(R1, Purpose::Kill)], Some(millis(6_200))),
            (millis(6_200), Event::Timeout, vec![signal(R1, Purpose::Kill)], Some(millis(6_400))),
            (at(106), Event::Timeout, vec![signal(R1, Purpose::Kill)], Some(at(166))),
        ],
    );
}

#[test]
fn leftovers_get_the_rest_of_the_grace_period() {
    ends(
        usual(),
        &[
            (at(0), started(R1), vec![], Some(at(20))),
            (at(1), Event::Stop, vec![signal(R1, Purpose::Stop)], Some(at(6))),
            (at(4), exited(R1, 0), vec![signal(R1, Purpose::Stop)], Some(at(6))),
            (at(6), Event::Timeout, vec![signal(R1, Purpose::Kill)], Some(millis(6_100))),
            (at(6), cleared(R1), vec![], None),
        ],
        Outcome::Stopped,
    );
}

#[test]
fn a_command_that_must_be_killed_was_not_stopped_politely() {
    let rows = |last: Event| {
        vec![
            (at(0), started(R1), vec![], Some(at(20))),
            (at(1), Event::Stop, vec![signal(R1, Purpose::Stop)], Some(at(6))),
            (at(6), Event::Timeout, vec![signal(R1, Purpose::Kill)], Some(millis(6_100))),
            (at(6), last, vec![signal(R1, Purpose::Kill)], Some(millis(6_100))),
            (at(6), cleared(R1), vec![], None),
        ]
    };
    ends(usual(), &rows(killed(R1)), Outcome::Killed);
    // It left by itself at the last moment, be it by the signal that asked it to leave, which came late.
    ends(usual(), &rows(exited(R1, 0)), Outcome::Stopped);
    ends(usual(), &rows(signalled(R1, 15)), Outcome::Stopped);
}

#[test]
fn an_interrupt_during_a_stop_kills_at_once() {
    check(
        usual(),
        &[
            (at(0), started(R1), vec![], Some(at(20))),
            (at(1), Event::Interrupt, vec![signal(R1, Purpose::Stop)], Some(at(6))),
            (at(2), Event::Stop, vec![], Some(at(6))),
            (at(3), Event::Interrupt, vec![signal(R1, Purpose::Kill)], Some(millis(3_100))),
            (at(3), Event::Interrupt, vec![], Some(millis(3_100))),
        ],
    );
}

#[test]
fn a_stop_during_a_hang_makes_it_a_stop_without_new_grace() {
    let hang = [
        (at(0), started(R1), vec![], Some(at(20))),
        (at(20), Event::Timeout, vec![look(R1)], None),
        (at(20), saw(R1, Observation::Unchanged), vec![signal(R1, Purpose::Hang)], Some(at(25))),
        (at(22), Event::Interrupt, vec![], Some(at(25))),
    ];
    let polite =
        [(at(23), exited(R1, 0), vec![signal(R1, Purpose::Stop)], Some(at(25))), (at(23), cleared(R1), vec![], None)];
    ends(usual(), &[&hang[..], &polite].concat(), Outcome::Stopped);
    let forced = [
        (at(25), Event::Timeout, vec![signal(R1, Purpose::Kill)], Some(millis(25_100))),
        (at(25), killed(R1), vec![signal(R1, Purpose::Kill)], Some(millis(25_100))),
        (at(25), cleared(R1), vec![], None),
    ];
    ends(usual(), &[&hang[..], &forced].concat(), Outcome::Killed);
    let urgent = [(at(23), Event::Interrupt, vec![signal(R1, Purpose::Kill)], Some(millis(23_100)))];
    check(usual(), &[&hang[..], &urgent].concat());
}

#[test]
fn a_stop_while_leftovers_are_cleared_forbids_the_restart() {
    ends(
        usual(),
        &[
            (at(0), started(R1), vec![], Some(at(20))),
            (at(1), exited(R1, 1), vec![signal(R1, Purpose::Stop)], Some(at(6))),
            (at(2), Event::Stop, vec![], Some(at(6))),
            (at(3), cleared(R1), vec![], None),
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
                (at(1), Event::Timeout, vec![], None),
            ],
            Outcome::Stopped,
        );
    }
}

#[test]
fn a_stop_during_the_start_is_carried_out() {
    for request in [Event::Stop, Event::Interrupt] {
        let stop = (at(0), request, vec![signal(R1, Purpose::Stop)], Some(at(5)));
        ends(
            usual(),
            &[
                stop.clone(),
                (at(1), started(R1), vec![], Some(at(5))),
                (at(2), exited(R1, 0), vec![signal(R1, Purpose::Stop)], Some(at(5))),
                (at(2), cleared(R1), vec![], None),
            ],
            Outcome::Stopped,
        );
        ends(usual(), &[stop, (at(1), failed(R1, StartFailureKind::NotFound), vec![], None)], Outcome::Stopped);
    }
}

/// timeout(1) and npm pass on what the whole group got.
#[test]
fn a_doubled_interrupt_is_one_request() {
    check(
        usual(),
        &[
            (at(0), started(R1), vec![], Some(at(20))),
            (at(1), Event::Interrupt, vec![signal(R1, Purpose::Stop)], Some(at(6))),
            (at(1), Event::Interrupt, vec![], Some(at(6))),
            (millis(1_999), Event::Interrupt, vec![], Some(at(6))),
            (at(2), Event::Interrupt, vec![signal(R1, Purpose::Kill)], Some(millis(2_100))),
        ],
    );
    // A stop that began as a hang began when it was asked for.
    check(
        usual(),
        &[
            (at(0), started(R1), vec![], Some(at(20))),
            (at(1), told(Message::Hang), vec![signal(R1, Purpose::Hang)], Some(at(6))),
            (at(3), Event::Stop, vec![], Some(at(6))),
            (millis(3_999), Event::Interrupt, vec![], Some(at(6))),
            (at(4), Event::Interrupt, vec![signal(R1, Purpose::Kill)], Some(millis(4_100))),
        ],
    );
}

/// It was killed, but by somebody else.
#[test]
fn a_sigkill_of_others_is_none_of_ours() {
    ends(
        usual(),
        &[
            (at(0), started(R1), vec![], Some(at(20))),
            (at(1), Event::Stop, vec![signal(R1, Purpose::Stop)], Some(at(6))),
            (at(2), killed(R1), vec![signal(R1, Purpose::Stop)], Some(at(6))),
            (at(2), cleared(R1), vec![], None),
        ],
        Outcome::Stopped,
    );
}
