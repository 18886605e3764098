//! A daemon that has left the group and the session of its command is asked to leave, killed, and waited for.

use std::cell::RefCell;
use std::time::Duration;
use supervisor_backend_unix::{Command, Config, Hook, Notifications, Signal, Signals, Target, UnixBackend, UnixNotice};
use supervisor_core::{Backend, Event, ExitStatus, RunId, Signal as Order};

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
        notifications: Notifications::Refused,
        hook: Hook::None,
        tick: None,
    };
    let told = RefCell::new(Vec::new());
    let report = |notice| told.borrow_mut().push(notice);
    let mut backend = UnixBackend::new(config, Signals::take_over().unwrap(), report).unwrap();
    let run = RunId(1);
    backend.start(run, 0);
    let patience = Some(backend.now() + Duration::from_secs(60));
    assert!(matches!(backend.wait(patience), Event::Started { .. }));
    assert_eq!(backend.wait(patience), Event::Exited { run, status: ExitStatus::Code(0) });

    let sent = |signal: Signal| {
        let told = told.borrow();
        let to_leftovers = told.iter().filter(|notice| {
            matches!(notice, UnixNotice::Signalled { signal: sent, target: Target::Leftovers(_) } if *sent == signal)
        });
        to_leftovers.count()
    };
    backend.signal(run, Order::Stop);
    assert_eq!(sent(Signal::TERM), 1);
    // Its short-lived children may be new, but the daemon itself is not asked again.
    let soon = Some(backend.now() + Duration::from_millis(100));
    assert_eq!(backend.wait(soon), Event::Elapsed);

    backend.signal(run, Order::Kill);
    // Once, and once more for each child that it starts while it is killed.
    assert!(sent(Signal::KILL) >= 1);
    assert_eq!(backend.wait(patience), Event::Gone { run });
}
