//! A command is started, is told of once it executes, and its end is told before "nothing is left".

use std::time::Duration;
use supervisor_backend_unix::{Command, Config, Notifications, Signal, Signals, StopTarget, UnixBackend};
use supervisor_core::{Backend, Event, ExitStatus, Incoming, RunId, StartFailureKind};

/// Without the test harness, whose threads would get the signals.
fn main() {
    let folder = tempfile::tempdir().unwrap();
    let config = |program: &str, arguments: &[&str]| Config {
        command: Command {
            program: program.into(),
            arguments: arguments.iter().map(Into::into).collect(),
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
    let run = RunId(1);
    let events = |program: &str, arguments: &[&str], most: usize| {
        let mut backend = UnixBackend::new(config(program, arguments), Signals::take_over().unwrap()).unwrap();
        backend.start(run, 0);
        let patience = Some(backend.now() + Duration::from_secs(60));
        let incoming = std::iter::repeat_with(|| backend.wait(patience));
        let events = incoming.filter_map(|incoming| match incoming {
            Incoming::Event(event) => Some(event),
            Incoming::Notice(_) => None,
        });
        events.take(most).collect::<Vec<_>>()
    };

    let ended = events("sh", &["-c", "exit 7"], 3);
    assert!(matches!(ended[0], Event::Started { run: RunId(1), .. }), "{ended:?}");
    assert_eq!(ended[1..], [Event::Exited { run, status: ExitStatus::Code(7) }, Event::Cleared { run }]);

    for (program, kind) in [("/no/such", StartFailureKind::NotFound), ("/etc/passwd", StartFailureKind::NotExecutable)]
    {
        let failed = events(program, &[], 1);
        assert!(matches!(failed[0], Event::StartFailed { failure, .. } if failure.kind == kind), "{failed:?}");
    }
}
