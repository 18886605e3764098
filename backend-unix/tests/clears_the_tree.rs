//! A daemon that has left the group and the session of its command is asked to leave, killed, and waited for.

use std::time::Duration;
use supervisor_backend_unix::{
    Command, Config, Notifications, Signal, Signals, StopTarget, Target, UnixBackend, UnixNotice,
};
use supervisor_core::{Backend, Event, ExitStatus, Incoming, Instant, Purpose, RunId};

/// Without the test harness, whose threads would get the signals.
fn main() {
    let folder = tempfile::tempdir().unwrap();
    let ready = folder.path().join("ready");
    let script = format!(
        "(setsid sh -c \"trap '' TERM; echo > {0}; while :; do sleep 0.01; done\" &); while ! [ -e {0} ]; do sleep 0.01; done",
        ready.display()
    );
    let config = Config {
        command: Command {
            program: "sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: std::env::vars_os().collect(),
        },
        heartbeat_file: Some(folder.path().join("heartbeat.txt")),
        stop_signal: Signal::TERM,
        hang_signal: Signal::TERM,
        stop_target: StopTarget::Group,
        stop_on: vec![],
        restart_signal: None,
        probe: None,
        notifications: Notifications::Refused,
        hook: None,
        tick: None,
        own_files: vec![],
    };
    let mut backend = UnixBackend::new(config, Signals::take_over().unwrap()).unwrap();
    let mut told = Vec::new();
    let run = RunId(1);
    backend.start(run, 0);
    let patience = Some(backend.now() + Duration::from_secs(60));
    assert!(matches!(next_event(&mut backend, patience, &mut told), Event::Started { .. }));
    let exited = Event::Exited { run, status: ExitStatus::Code(0) };
    assert_eq!(next_event(&mut backend, patience, &mut told), exited);

    let sent = |told: &[UnixNotice], signal: Signal| {
        let to_leftovers = told.iter().filter(|notice| {
            matches!(notice, UnixNotice::SignalSent { signal: sent, target: Target::Leftovers { .. } } if *sent == signal)
        });
        to_leftovers.count()
    };
    backend.signal(run, Purpose::Stop);
    // Its short-lived children may be new, but the daemon itself is not asked again.
    let soon = Some(backend.now() + Duration::from_millis(100));
    assert_eq!(next_event(&mut backend, soon, &mut told), Event::Timeout);
    assert_eq!(sent(&told, Signal::TERM), 1);

    backend.signal(run, Purpose::Kill);
    assert_eq!(next_event(&mut backend, patience, &mut told), Event::Cleared { run });
    // Once, and once more for each child that it starts while it is killed.
    assert!(sent(&told, Signal::KILL) >= 1);
}

fn next_event(backend: &mut UnixBackend, until: Option<Instant>, told: &mut Vec<UnixNotice>) -> Event {
    loop {
        match backend.wait(until) {
            Incoming::Event(event) => return event,
            Incoming::Notice(notice) => told.push(notice),
        }
    }
}
