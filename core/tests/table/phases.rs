//! Where the supervisor stands, as others may know it.

use super::*;

#[track_caller]
fn stands(policy: Policy, facts: &[(Instant, Event, Phase)]) {
    let (mut supervisor, _) = Supervisor::start(policy);
    assert_eq!(supervisor.phase(), Phase::Starting);
    for (number, (now, event, phase)) in facts.iter().enumerate() {
        let _ = supervisor.handle_event(*event, *now);
        assert_eq!(supervisor.phase(), *phase, "after row {number}, {event:?}");
    }
}

fn running(last_beat: LastBeat) -> Phase {
    Phase::Running { pid: PID, last_beat }
}

const ALIVE: Main = Main::Alive(PID);

#[test]
fn from_the_start_to_a_restart() {
    let found = |second| saw(R1, Observation::Changed { at: at(second) });
    stands(
        usual(),
        &[
            (at(1), started(R1), running(LastBeat::Start(at(1)))),
            (at(21), Event::Timeout, running(LastBeat::Start(at(1)))),
            (at(21), found(15), running(LastBeat::Heartbeat(at(15)))),
            (at(22), told(Message::Heartbeat), running(LastBeat::Heartbeat(at(22)))),
            (at(23), exited(R1, 1), Phase::Clearing),
            (at(24), cleared(R1), Phase::BackingOff { until: at(25) }),
            (at(25), Event::Timeout, Phase::Starting),
            (at(25), failed(R2, StartFailureKind::Passing), Phase::BackingOff { until: at(27) }),
            (at(26), Event::Restart, Phase::Starting),
        ],
    );
    stands(
        Policy { watchdog: Watchdog::Off, ..usual() },
        &[
            (at(1), started(R1), running(LastBeat::Start(at(1)))),
            (at(2), exited(R1, 0), Phase::Clearing),
            (at(2), cleared(R1), Phase::Done(Outcome::Finished)),
        ],
    );
}

#[test]
fn a_hang_and_a_restart_of_it() {
    let policy = Policy { on_hang: OnHang::Signal { grace_period: secs(3) }, ..usual() };
    stands(
        policy,
        &[
            (at(0), started(R1), running(LastBeat::Start(at(0)))),
            (at(1), told(Message::Hang), Phase::Hung(ALIVE)),
            (at(4), Event::Timeout, Phase::Hung(ALIVE)),
            (at(9), Event::Timeout, Phase::Hung(ALIVE)),
            (at(9), killed(R1), Phase::Hung(Main::Killed)),
            (at(9), Event::Restart, Phase::Restarting(Main::Killed)),
            (at(9), cleared(R1), Phase::Starting),
            (at(9), Event::Restart, Phase::Restarting(Main::Unborn)),
            (at(9), started(R2), Phase::Restarting(ALIVE)),
            (at(9), exited(R2, 0), Phase::Restarting(Main::Left)),
        ],
    );
}

#[test]
fn a_stop() {
    stands(
        usual(),
        &[
            (at(0), Event::Stop, Phase::Stopping(Main::Unborn)),
            (at(0), started(R1), Phase::Stopping(ALIVE)),
            (at(5), Event::Timeout, Phase::Stopping(ALIVE)),
            (at(5), killed(R1), Phase::Stopping(Main::Killed)),
            (at(5), cleared(R1), Phase::Done(Outcome::Killed)),
        ],
    );
}

#[test]
fn the_pid_is_that_of_a_living_main_process() {
    for phase in [running(LastBeat::Start(at(0))), Phase::Hung(ALIVE), Phase::Restarting(ALIVE), Phase::Stopping(ALIVE)]
    {
        assert_eq!(phase.pid(), Some(PID), "{phase:?}");
    }
    for main in [Main::Unborn, Main::Left, Main::Killed] {
        for phase in [Phase::Hung(main), Phase::Restarting(main), Phase::Stopping(main)] {
            assert_eq!(phase.pid(), None, "{phase:?}");
        }
    }
    let others = [Phase::Starting, Phase::Clearing, Phase::BackingOff { until: at(0) }, Phase::Done(Outcome::Finished)];
    assert_eq!(others.map(Phase::pid), [None; 4]);
}
