//! What is told.

use super::*;

fn hung(evidence: Evidence, on_hang: OnHang) -> Notice {
    Notice::Hung { run: R1, pid: PID, evidence, on_hang, grace_period: secs(5) }
}

fn delayed(late: u64, cause: DelayCause) -> Vec<Notice> {
    vec![Notice::Delayed { run: R1, pid: PID, late: secs(late), extension: secs(late), cause }]
}

fn exit(status: ExitStatus, ending: Ending) -> Vec<Notice> {
    vec![Notice::Exited { run: R1, pid: PID, status, ending }]
}

#[test]
fn the_first_heartbeat_is_told_as_such() {
    let found = |second| saw(R1, Observation::Changed { at: at(second) });
    tells(
        usual(),
        &[
            (at(0), started(R1), vec![Notice::Started { run: R1, pid: PID }]),
            (at(20), Event::Timeout, vec![]),
            (at(20), found(15), vec![Notice::Heartbeat { run: R1, pid: PID, first: true, ago: secs(5) }]),
            (at(35), Event::Timeout, vec![]),
            (at(35), found(33), vec![Notice::Heartbeat { run: R1, pid: PID, first: false, ago: secs(2) }]),
            (at(53), Event::Timeout, vec![]),
            (
                at(53),
                saw(R1, Observation::Unchanged),
                vec![hung(Evidence::Silence { silence: secs(20) }, OnHang::Stop)],
            ),
        ],
    );
}

#[test]
fn surviving_sigkill_is_told_after_a_second() {
    let killing = Notice::Killing { run: R1, cause: KillCause::GracePeriodOver };
    let surviving = |since| vec![Notice::Surviving { run: R1, since: Duration::from_millis(since) }];
    tells(
        usual(),
        &[
            (at(0), started(R1), vec![Notice::Started { run: R1, pid: PID }]),
            (at(1), Event::Stop, vec![Notice::Stopping { run: R1, grace_period: secs(5) }]),
            (at(6), Event::Timeout, vec![killing]),
            (millis(6_100), Event::Timeout, vec![]),
            (millis(6_999), Event::Timeout, vec![]),
            (millis(8_000), Event::Timeout, surviving(2_000)),
        ],
    );
}

#[test]
fn exactly_a_second_of_survival_is_told() {
    let (mut supervisor, _) = Supervisor::start(usual());
    for (now, event) in [(at(0), started(R1)), (at(1), Event::Stop), (at(6), Event::Timeout)] {
        let _ = supervisor.handle_event(event, now);
    }
    let step = supervisor.handle_event(Event::Timeout, at(7));
    assert_eq!(format!("{:?}", step.notices), "[Surviving { run: RunId(1), since: 1s }]");
    assert_eq!(R1.to_string(), "run 1");
}

#[test]
fn what_held_a_look_up_is_told() {
    let began = (at(0), started(R1), vec![Notice::Started { run: R1, pid: PID }]);
    let unchanged = saw(R1, Observation::Unchanged);
    let story = |ordered: u64, answered: u64, cause| {
        let late = (at(answered), unchanged, delayed(answered - 20, cause));
        tells(usual(), &[began.clone(), (at(ordered), Event::Timeout, vec![]), late]);
    };
    // The deadline is at 20 s.
    story(24, 24, DelayCause::Supervisor);
    story(20, 24, DelayCause::Look);
    story(23, 24, DelayCause::Supervisor);
    story(22, 24, DelayCause::Look);
}

/// A look that was late finds a heartbeat that is old itself, so that another look follows at once.
#[test]
fn a_look_that_follows_on_a_slow_one_is_not_put_down_to_the_supervisor() {
    let story = |ordered: u64, cause| {
        let found = saw(R1, Observation::Changed { at: at(15) });
        let heartbeat = Notice::Heartbeat { run: R1, pid: PID, first: true, ago: secs(25) };
        tells(
            usual(),
            &[
                (at(0), started(R1), vec![Notice::Started { run: R1, pid: PID }]),
                (at(ordered), Event::Timeout, vec![]),
                (at(40), found, vec![heartbeat]),
                (at(40), saw(R1, Observation::Unchanged), delayed(5, cause)),
            ],
        );
    };
    story(20, DelayCause::Look);
    story(40, DelayCause::Supervisor);
}

#[test]
fn a_hang_tells_what_shows_it_and_what_comes_first() {
    let on_hang = OnHang::Signal { grace_period: secs(3) };
    let grace_over = Notice::HangGraceOver { run: R1, pid: PID, grace_period: secs(5) };
    tells(
        Policy { on_hang, ..usual() },
        &[
            (at(0), started(R1), vec![Notice::Started { run: R1, pid: PID }]),
            (at(7), told(Message::Hang), vec![hung(Evidence::Report {}, on_hang)]),
            (at(10), Event::Timeout, vec![grace_over]),
            (at(11), exited(R1, 0), exit(ExitStatus::Code(0), Ending::Asked)),
        ],
    );
    tells(
        Policy { on_hang, ..usual() },
        &[
            (at(0), started(R1), vec![Notice::Started { run: R1, pid: PID }]),
            (at(20), Event::Timeout, vec![]),
            (at(20), saw(R1, Observation::Unchanged), vec![hung(Evidence::Silence { silence: secs(20) }, on_hang)]),
            (at(21), signalled(R1, 3), exit(ExitStatus::Signal(3), Ending::Asked)),
        ],
    );
}

#[test]
fn requests_are_told_as_what_they_lead_to() {
    let began = (at(0), started(R1), vec![Notice::Started { run: R1, pid: PID }]);
    let stopping = vec![Notice::Stopping { run: R1, grace_period: secs(5) }];
    let restarting = vec![Notice::Restarting { run: R1, grace_period: secs(5) }];
    let stopping_instead = vec![Notice::StoppingInstead { run: R1 }];
    let restarting_instead = vec![Notice::RestartingInstead { run: R1 }];
    tells(
        usual(),
        &[
            began.clone(),
            (at(1), Event::Restart, restarting.clone()),
            (at(1), Event::Restart, vec![]),
            (at(2), Event::Interrupt, stopping_instead),
            (at(2), Event::Restart, vec![]),
            (at(2), Event::Stop, vec![]),
            (at(3), Event::Interrupt, vec![Notice::Killing { run: R1, cause: KillCause::Interrupt }]),
        ],
    );
    let exited = (at(1), exited(R1, 1), exit(ExitStatus::Code(1), Ending::Spontaneous { after: secs(1) }));
    let backing_off = vec![Notice::BackingOff { restart: 1, limit: Limit::Unlimited, delay: secs(1) }];
    tells(usual(), &[began.clone(), exited.clone(), (at(1), Event::Restart, restarting_instead.clone())]);
    tells(
        usual(),
        &[began.clone(), exited, (at(1), cleared(R1), backing_off), (at(1), Event::Restart, restarting_instead)],
    );
    // In the time of the hang signal a request asks the command to leave, with a grace period of its own.
    let policy = Policy { on_hang: OnHang::Signal { grace_period: secs(3) }, ..usual() };
    let reported = (at(7), told(Message::Hang), vec![hung(Evidence::Report {}, policy.on_hang)]);
    tells(policy.clone(), &[began.clone(), reported.clone(), (at(8), Event::Stop, stopping)]);
    tells(policy, &[began, reported, (at(8), Event::Restart, restarting)]);
}
