//! A command that speaks sd_notify(3), with the client libraries that real ones use.

use crate::support::{End, NOTE_BEAT_IN_PYTHON, Place, Supervised, wait_until, without_silence};
use std::process::Command;
use std::sync::OnceLock;

/// For what no library offers.
const TELL: &str = r#"
import os, socket, sys, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect(os.environ['NOTIFY_SOCKET'])
def tell(words): s.send(words if isinstance(words, bytes) else words.encode())
def idle():
    while True: time.sleep(1)
"#;

fn start(place: &Place, options: &[&str], script: &str) -> Supervised {
    let script = format!("{TELL}\n{script}");
    let command = [crate::support::python(), "-c", &script];
    Supervised::start(place.supervisor(["--notify"].iter().chain(options).chain(&command)))
}

fn run(options: &[&str], script: &str) -> End {
    start(&Place::new(), options, script).end()
}

#[test]
fn a_told_heartbeat_keeps_it_alive_without_a_file() {
    // However long the interpreter takes to start.
    let script =
        format!("tell('READY=1')\nfor i in range(10): {NOTE_BEAT_IN_PYTHON}; tell('WATCHDOG=1'); time.sleep(0.3)");
    let options = ["--timeout", "1.5", "--initial-check-delay", "60", "--max-restarts", "0"];
    let (_, end) = without_silence(1.5, |place| start(place, &options, &script).end());
    end.assert_code(0);
    assert_eq!(end.count("hung"), 0, "{}", end.log);
    end.assert_tells(&["started", "for the first time", "finished"]);
}

#[test]
fn its_silence_is_a_hang() {
    let place = Place::new();
    // However long the interpreter takes to start, and to prepare for the signal.
    let script = "import signal; signal.signal(signal.SIGTERM, lambda *_: (open('asked', 'w').write(f'{time.time()}\\n'), sys.exit(0)))\n\
                  last = time.time(); open('last', 'w').write(f'{last}\\n'); tell('READY=1\\nWATCHDOG=1')\n\
                  idle()";
    let options = ["--timeout", "0.7", "--initial-check-delay", "1000", "--max-restarts", "0"];
    let end = start(&place, &options, script).end();
    end.assert_code(124);
    let silence = place.numbers("asked")[0] - place.numbers("last")[0];
    assert!(silence >= 0.69, "{silence}");
    // Nobody misses a file: it beat by messages.
    assert_eq!(end.count("there is no heartbeat file"), 0, "{}", end.log);
}

#[test]
fn either_heartbeat_counts() {
    let script = format!(
        "for i in range(10):\n  {NOTE_BEAT_IN_PYTHON}\n  \
         tell('WATCHDOG=1') if i % 2 else open(os.environ['HEARTBEAT_FILE'], 'w').close()\n  time.sleep(0.5)"
    );
    let (_, end) =
        without_silence(3.0, |place| start(place, &["--timeout", "3", "--max-restarts", "0"], &script).end());
    end.assert_code(0);
    assert_eq!(end.count("hung"), 0, "{}", end.log);
}

#[test]
fn ready_ends_the_initial_delay() {
    let end =
        run(&["--timeout", "0.5", "--initial-check-delay", "1000", "--max-restarts", "0"], "tell('READY=1'); idle()");
    end.assert_code(124);
    end.assert_tells(&["is ready", "hung"]);
}

#[test]
fn a_command_may_report_its_own_hang() {
    let end = run(&["--timeout", "1000", "--max-restarts", "0"], "tell('WATCHDOG=trigger'); idle()");
    end.assert_code(124);
    end.assert_tells(&["hung, as pid", "autopsy", "sent SIGTERM", "giving up"]);
}

#[test]
fn a_command_may_set_its_timeout() {
    let end = run(&["--timeout", "1000", "--max-restarts", "0"], "tell('WATCHDOG_USEC=500000'); idle()");
    end.assert_code(124);
    end.assert_tells(&["has set its timeout to 0.5 s", "hung"]);
}

#[test]
fn a_command_may_ask_for_time_to_leave() {
    let script = "import signal\n\
        def leave(*_): tell('EXTEND_TIMEOUT_USEC=60000000'); time.sleep(5); sys.exit(0)\n\
        signal.signal(signal.SIGTERM, leave); tell('READY=1'); idle()";
    let place = Place::new();
    let mut supervised = start(&place, &["--grace-period", "3"], script);
    supervised.wait_for_line("is ready");
    supervised.signal("TERM");
    let end = supervised.end();
    end.assert_code(0);
    end.assert_tells(&["needs more time: 60 s", "exited with code 0", "stopped"]);
    assert_eq!(end.count("SIGKILL to"), 0, "{}", end.log);
}

#[test]
fn a_command_may_end_its_streak() {
    let place = Place::new();
    let script = "open('restarts', 'a').write(os.environ['SUPERVISED_RESTARTS'] + '\\n')\n\
                  if len(open('restarts').readlines()) == 3: tell('RESTART_RESET=1')\n\
                  sys.exit(1)";
    start(&place, &["--max-restarts", "2", "--backoff-factor", "0"], script).end().assert_code(1);
    assert_eq!(place.read("restarts"), "0\n1\n2\n1\n2\n");
}

/// Where a socket holds many messages, as in a network namespace of its own that allows it.
#[test]
fn its_last_words_are_heard_however_many_they_are() {
    let many = "unshare --user --map-root-user --net";
    let allowed = "echo 512 > /proc/sys/net/unix/max_dgram_qlen && exec \"$0\" \"$@\"";
    let namespace = |program: &str| {
        let mut command = Command::new("env");
        command.args(["--default-signal"]).args(many.split(' ')).args(["sh", "-c", allowed, program]);
        command
    };
    if !namespace("true").output().is_ok_and(|trial| trial.status.success()) {
        return crate::support::skipped("no network namespace is to be had");
    }
    // The supervisor sleeps until the main process is dead, and sees all at once.
    let script = format!(
        "{TELL}\nimport signal\n\
         if len(open('runs').readlines()) == 3: sys.exit(0)\n\
         open('runs', 'a').write('x\\n')\n\
         stat = lambda pid: open(f'/proc/{{pid}}/stat').read().rsplit(') ')[1].split()\n\
         own, parent = os.getpid(), int(stat(os.getppid())[1])\n\
         if os.fork() == 0:\n  \
           while os.path.exists(f'/proc/{{own}}/stat'): time.sleep(0.001)\n  \
           os.kill(parent, signal.SIGCONT)\n  \
           os._exit(0)\n\
         os.kill(parent, signal.SIGSTOP)\n\
         for i in range(200): tell('STATUS=the same')\n\
         tell('RESTART_RESET=1')\n\
         os._exit(1)"
    );
    let place = Place::new();
    std::fs::write(place.path("runs"), "").unwrap();
    let mut command = namespace(env!("CARGO_BIN_EXE_supervisor"));
    command.args(["--notify", "--no-heartbeat", "--max-restarts", "1", "--backoff-factor", "0"]);
    command.args([crate::support::python(), "-c", &script]).current_dir(place.path("")).env_remove("RUST_LOG");
    let end = Supervised::start(command).end();
    assert_eq!((end.code, end.count("has ended the streak"), end.count("the same")), (Some(0), 2, 3), "{}", end.log);
}

/// What is told again and again is told once.
#[test]
fn what_changes_nothing_is_not_told() {
    let script = "for i in range(100): tell('STATUS=busy\\nRESTART_RESET=1')";
    let end = run(&["--no-heartbeat"], script);
    end.assert_code(0);
    assert_eq!((end.count("busy"), end.count("streak")), (1, 0), "{}", end.log);
}

#[test]
fn what_it_says_of_itself_is_told() {
    let place = Place::new();
    let script = "tell('READY=1\\nSTATUS=warming up: \"40%\"\\x07'); tell('STOPPING=1\\nX_OWN=1\\nFDNAME=a')";
    let end = start(&place, &["--status-file", "status"], script).end();
    end.assert_code(0);
    end.assert_tells(&["status of pid", "warming up: \"40%\"\\u{7}"]);
    end.assert_tells(&["is ready", "begins to leave"]);
    assert_eq!(end.count("ignored a message"), 0, "{}", end.log);
    let status: serde_json::Value = serde_json::from_str(&place.read("status")).unwrap();
    assert_eq!(status["status"], "warming up: \"40%\"\u{7}");
}

#[test]
fn descriptors_that_come_along_are_closed() {
    let script = "import array\n\
        r, w = os.pipe()\n\
        s.sendmsg([b'FDSTORE=1\\nFDNAME=x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [w]))])\n\
        os.close(w)\n\
        os.read(r, 1)";
    run(&["--no-heartbeat"], script).assert_code(0);
}

#[test]
fn nonsense_is_told_once_and_passed_over() {
    let script = "tell('hello'); tell(b'\\xff\\x00'); tell('x' * 5000); tell('WATCHDOG_USEC=never'); tell('READY=1')";
    let end = run(&[], script);
    end.assert_code(0);
    assert_eq!(end.count("ignored a message"), 1, "{}", end.log);
    end.assert_tells(&["ignored a message: hello means nothing", "is ready"]);
}

#[test]
fn strangers_are_not_listened_to() {
    let place = Place::new();
    let mut supervised =
        start(&place, &["--no-heartbeat"], "open('address', 'w').write(os.environ['NOTIFY_SOCKET'] + '\\n'); idle()");
    let address = crate::support::wait_for_file(&place.path("address"));
    let stranger = format!("{TELL}\ntell('READY=1'); tell('STATUS=forged')\ntime.sleep(1000)");
    let mut stranger =
        Command::new(crate::support::python()).args(["-c", &stranger]).env("NOTIFY_SOCKET", address).spawn().unwrap();
    supervised.wait_for_line("is not of the command");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    supervised.signal("TERM");
    let end = supervised.end();
    end.assert_code(0);
    assert_eq!((end.count("is ready"), end.count("forged"), end.count("ignored a message")), (0, 0, 1), "{}", end.log);
}

/// Not only the main process may speak.
#[test]
fn a_daemon_that_it_started_is_listened_to() {
    let place = Place::new();
    std::fs::write(place.path("daemon.py"), format!("{TELL}\ntell('READY=1'); idle()")).unwrap();
    let script = "import subprocess; subprocess.run(['setsid', '-f', 'python3', 'daemon.py']); idle()";
    let mut supervised = start(&place, &["--no-heartbeat"], script);
    supervised.wait_for_line("is ready");
    supervised.signal("TERM");
    supervised.end().assert_code(0);
}

#[test]
fn the_environment_is_that_of_a_service() {
    let script = "echo ${NOTIFY_SOCKET%${NOTIFY_SOCKET#?}} $WATCHDOG_USEC ${WATCHDOG_PID-unset}";
    let place = Place::new();
    let mut command = place.supervisor(["--notify", "--timeout", "2.5", "sh", "-c", script]);
    command.env("WATCHDOG_PID", "1").env("WATCHDOG_USEC", "7");
    assert_eq!(Supervised::start(command).end().output, "/ 2500000 unset\n");
}

/// sdnotify from PyPI, in a folder of its own; none where it cannot be had.
fn sdnotify() -> Option<&'static str> {
    static FOLDER: OnceLock<Option<(tempfile::TempDir, String)>> = OnceLock::new();
    let found = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap().to_owned();
        let install =
            ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", &path, "sdnotify==0.3.2"];
        let result = Command::new(crate::support::python()).args(install).output();
        match result {
            Ok(output) if output.status.success() => Some((folder, path)),
            result => {
                crate::support::skipped(&format!("sdnotify from PyPI cannot be had: {result:?}"));
                None
            }
        }
    });
    found.as_ref().map(|(_, path)| path.as_str())
}

#[test]
fn the_python_library_works_unmodified() {
    let Some(library) = sdnotify() else { return };
    let place = Place::new();
    let script = "import sdnotify, time\nn = sdnotify.SystemdNotifier(debug=True)\nn.notify('READY=1')\n\
                  for i in range(6): n.notify('WATCHDOG=1'); n.notify(f'STATUS=round {i}'); time.sleep(0.3)\n\
                  while True: time.sleep(1)";
    let mut command =
        place.supervisor(["--notify", "--timeout", "5", "--max-restarts", "0", crate::support::python(), "-c", script]);
    command.env("PYTHONPATH", library);
    let end = Supervised::start(command).end();
    end.assert_code(124);
    end.assert_tells(&["is ready", "for the first time", "hung: pid"]);
    end.assert_tells(&["started", "status of pid", "round 5", "hung: pid"]);
}

#[test]
fn systemd_notify_works_in_a_shell() {
    if Command::new("systemd-notify").arg("--version").output().is_err() {
        crate::support::skipped("systemd-notify is not installed");
        return;
    }
    let place = Place::new();
    let script = "for i in 1 2 3 4 5; do systemd-notify WATCHDOG=1; done\n\
                  systemd-notify --ready --status='up and running'; echo > told; exec sleep 1000";
    let mut supervised = place.start(&["--notify", "--no-heartbeat"], script);
    supervised.wait_for_line("is ready");
    supervised.wait_for_line("up and running");
    // It has waited until it was heard, and goes on.
    crate::support::wait_for_file(&place.path("told"));
    supervised.signal("TERM");
    let end = supervised.end();
    end.assert_code(0);
    // What it waits with says nothing.
    assert_eq!(end.count("ignored a message"), 0, "{}", end.log);
}

#[test]
fn the_rust_library_works_unmodified() {
    let place = Place::new();
    let mut command = place.supervisor(["--notify", "--timeout", "3", "--max-restarts", "0"]);
    let client = "notify::the_client_with_the_rust_library";
    command.arg(std::env::current_exe().unwrap()).args(["--ignored", "--exact", client]);
    let end = Supervised::start(command).end();
    end.assert_code(124);
    end.assert_tells(&["is ready", "for the first time", "hung: pid"]);
    end.assert_tells(&["started", "watched", "hung: pid"]);
}

/// Is ready, beats for twice as long as its silence may last, and hangs then. By itself it does nothing.
#[test]
#[ignore = "the command of another test"]
fn the_client_with_the_rust_library() {
    use sd_notify::NotifyState;
    let Some(watched) = sd_notify::watchdog_enabled() else { return };
    let tell = |state| sd_notify::notify(&[state]).expect("somebody listens");
    tell(NotifyState::Ready);
    tell(NotifyState::Status("watched"));
    for _ in 0..20 {
        tell(NotifyState::Watchdog);
        std::thread::sleep(watched / 10);
    }
    std::thread::sleep(std::time::Duration::from_secs(1000));
}

/// Neither a supervisor that leaves nor one that is killed leaves its socket behind.
#[test]
fn no_socket_is_left() {
    for signal in ["TERM", "KILL"] {
        let place = Place::new();
        let script = "open('address', 'w').write(os.environ['NOTIFY_SOCKET'] + '\\n'); tell('READY=1'); idle()";
        let supervised = start(&place, &["--no-heartbeat"], script);
        let address = std::path::PathBuf::from(crate::support::wait_for_file(&place.path("address")));
        assert!(address.exists());
        supervised.signal(signal);
        wait_until("the socket is gone", || !address.parent().unwrap().exists());
    }
}

/// Those of others that were killed are removed, those of others that live are not.
#[test]
fn the_socket_of_one_supervisor_is_left_alone_by_the_next_one() {
    let place = Place::new();
    let supervisor = |script: &str| {
        let mut command = place.supervisor(["--notify", "--no-heartbeat", "sh", "-c", script]);
        command.env_remove("XDG_RUNTIME_DIR").env("TMPDIR", place.path(""));
        Supervised::start(command)
    };
    let say = "import os, socket\n\
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'STATUS=still heard', os.environ['NOTIFY_SOCKET'])";
    std::fs::write(place.path("say.py"), say).unwrap();
    let first =
        format!("echo > up; while ! [ -e over ]; do sleep 0.01; done; exec {} say.py", crate::support::python());
    let first = supervisor(&first);
    crate::support::wait_for_file(&place.path("up"));
    supervisor("exit 0").end().assert_code(0);
    std::fs::write(place.path("over"), "").unwrap();
    let end = first.end();
    end.assert_code(0);
    end.assert_tells(&["still heard"]);
}

#[test]
fn the_file_descriptors_of_the_supervisor_do_not_grow() {
    let place = Place::new();
    let script = "import array\n\
        for i in range(200): s.sendmsg([b'FDSTORE=1'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [0, 1, 2]))])\n\
        tell('READY=1'); idle()";
    let mut supervised = start(&place, &["--no-heartbeat"], script);
    supervised.wait_for_line("is ready");
    let count = || std::fs::read_dir(format!("/proc/{}/fd", supervised.pid())).unwrap().count();
    wait_until("all is closed", || count() < 20);
    supervised.signal("TERM");
    supervised.end().assert_code(0);
}

/// However many descriptors come along, and however few would fit, none is ever ours.
#[test]
fn more_descriptors_than_fit_are_closed_too() {
    let place = Place::new();
    let script = "import array\n\
        many = [os.dup(0) for _ in range(200)]\n\
        open('up', 'w').close()\n\
        while not os.path.exists('go'): time.sleep(0.01)\n\
        s.sendmsg([b'FDSTORE=1\\nREADY=1'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', many))])\n\
        idle()";
    let mut supervised = start(&place, &["--no-heartbeat"], script);
    wait_until("it is up", || place.path("up").exists());
    let limit = Command::new("prlimit").args(["--pid", &supervised.pid().to_string(), "--nofile=32:1024"]).status();
    assert!(limit.unwrap().success());
    std::fs::write(place.path("go"), "").unwrap();
    supervised.wait_for_line("is ready");
    let count = || std::fs::read_dir(format!("/proc/{}/fd", supervised.pid())).unwrap().count();
    wait_until("no descriptor has stayed", || count() < 20);
    supervised.signal("TERM");
    supervised.end().assert_code(0);
}

/// Whatever the command has to tell, it is stopped, and killed when its time is over.
#[test]
fn a_flood_of_messages_delays_no_stop() {
    let place = Place::new();
    let script = "import signal\n\
        signal.signal(signal.SIGTERM, signal.SIG_IGN)\n\
        for i in range(3): os.fork()\n\
        line = 'WATCHDOG=1\\n' * 30\n\
        open('ready', 'w').close()\n\
        while True: tell(line)";
    let supervised = start(&place, &["--grace-period", "1", "--timeout", "60"], script);
    wait_until("it floods", || place.path("ready").exists());
    let before = std::time::Instant::now();
    supervised.signal("TERM");
    let end = supervised.end();
    end.assert_code(137);
    let took = before.elapsed().as_secs_f64();
    assert!((1.0..5.0).contains(&took), "{took}");
}

/// A command that has become another user reaches the socket all the same.
#[test]
fn a_command_that_gave_up_its_privileges_is_heard() {
    if !rustix::process::geteuid().is_root() {
        crate::support::skipped("only root can become another user");
        return;
    }
    let script = "import os, socket\n\
        os.setgroups([]); os.setgid(65534); os.setuid(65534)\n\
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n\
        s.sendto(b'READY=1', os.environ['NOTIFY_SOCKET'])";
    let place = Place::new();
    let end = Supervised::start(place.supervisor(["--notify", crate::support::python(), "-c", script])).end();
    end.assert_code(0);
    end.assert_tells(&["is ready"]);
}
