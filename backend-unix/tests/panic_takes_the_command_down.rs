//! A supervisor that panics takes its command down before it ends.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};
use supervisor_backend_unix::{Command, Config, Notifications, Signal, Signals, StopTarget, UnixBackend};
use supervisor_core::{Backend, Event, Incoming, RunId};

/// Without the test harness, whose threads would get the signals.
fn main() {
    let folder = tempfile::tempdir().unwrap();
    let ready = folder.path().join("ready");
    let daemon =
        format!("trap '' TERM; echo $$ > {0}.new; mv {0}.new {0}; while :; do sleep 0.05; done", ready.display());
    let config = Config {
        command: Command {
            program: "sh".into(),
            arguments: vec![
                "-c".into(),
                format!("(setsid sh -c \"{}\" &); exec sleep 1000", daemon.replace('$', "\\$")).into(),
            ],
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
    let mut main = 0;
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let mut backend = UnixBackend::new(config, Signals::take_over().unwrap()).unwrap();
        backend.start(RunId(1), 0);
        let Incoming::Event(Event::Started { pid, .. }) = backend.wait(None) else { panic!("it does not start") };
        main = pid;
        let patience = Instant::now() + Duration::from_secs(60);
        while !ready.exists() {
            assert!(Instant::now() < patience, "the daemon does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("on purpose");
    }));
    let message = panicked.unwrap_err();
    assert_eq!(message.downcast_ref::<&str>(), Some(&"on purpose"));
    let daemon = std::fs::read_to_string(&ready).unwrap().trim().parse().unwrap();
    assert!(!is_alive(main), "the command lives on");
    assert!(!is_alive(daemon), "the daemon lives on");
}

fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}
