//! A file system that never answers. Where the heartbeat file lies on it, only the hang detection suffers: the look
//! before the first start is stuck already, and all that follow wait behind it.

use crate::support::{Place, Supervised, name_of, wait_for_file, wait_until};
use std::process::Command;

/// Mounts a FUSE file system that nobody serves, in a mount namespace of its own, and executes the rest of the line.
/// See fuse(4): the first request waits for an answer to FUSE_INIT that never comes.
const MOUNT: &str = r#"
import ctypes, os, sys
fuse = os.open("/dev/fuse", os.O_RDWR)
os.set_inheritable(fuse, True)
options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0".encode()
if ctypes.CDLL(None, use_errno=True).mount(b"dead", b"dead", b"fuse", 0, options) != 0:
    sys.exit("mount: " + os.strerror(ctypes.get_errno()))
os.execvp(sys.argv[1], sys.argv[1:])
"#;

fn on_a_dead_file_system(place: &Place, words: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "python3", "-c", MOUNT]).args(words);
    command.current_dir(place.path(""));
    command
}

/// Starts the supervisor, or says why it cannot be tried here.
fn start(place: &Place, options: &[&str], script: &str) -> Option<Supervised> {
    std::fs::create_dir(place.path("dead")).unwrap();
    let trial = on_a_dead_file_system(place, &["true"]).output();
    if !trial.as_ref().is_ok_and(|trial| trial.status.success()) {
        crate::support::skipped(&format!("no FUSE file system can be mounted here: {trial:?}"));
        return None;
    }
    let mut words = vec![env!("CARGO_BIN_EXE_supervisor"), "--heartbeat-file", "dead/heartbeat.txt"];
    words.extend(options);
    words.extend(["sh", "-c", script]);
    Some(Supervised::start(on_a_dead_file_system(place, &words)))
}

#[test]
fn an_exit_is_noticed() {
    let place = Place::new();
    let Some(mut supervised) = start(&place, &["--timeout", "0.2", "--restart", "never"], "sleep 1.5; exit 3") else {
        return;
    };
    supervised.wait_for_line("started");
    supervised.wait_for_line("dead/heartbeat.txt has not answered");
    let end = supervised.end();
    assert_eq!((end.code, end.count("has not answered")), (Some(3), 1), "{}", end.log);
}

#[test]
fn a_stop_works_while_a_look_is_stuck() {
    let place = Place::new();
    let Some(supervised) = start(&place, &["--timeout", "0.1"], "echo > here; exec sleep 1000") else { return };
    wait_for_file(&place.path("here"));
    supervised.signal("TERM");
    assert_eq!(supervised.end().code, Some(0));
}

#[test]
fn a_kill_works_while_a_look_is_stuck() {
    let place = Place::new();
    let script = "trap '' TERM; echo > here; while :; do sleep 0.05; done";
    let Some(supervised) = start(&place, &["--timeout", "0.1", "--grace-period", "0.5"], script) else { return };
    wait_for_file(&place.path("here"));
    supervised.signal("TERM");
    assert_eq!(supervised.end().code, Some(137));
}

#[test]
fn restarts_go_on() {
    let place = Place::new();
    let options = ["--timeout", "0.1", "--backoff-factor", "0", "--max-restarts", "3"];
    let Some(supervised) = start(&place, &options, "echo >> runs; sleep 0.3; exit 4") else { return };
    assert_eq!(supervised.end().code, Some(4));
    assert_eq!(place.read("runs").lines().count(), 4);
}

#[test]
fn what_the_start_depends_on_is_refused_there() {
    for option in ["--status-file", "--metrics-file", "--on-event"] {
        let place = Place::new();
        let Some(supervised) = start(&place, &["--no-heartbeat", option, "dead/it"], "echo > here") else { return };
        let end = supervised.end();
        assert_eq!(end.code, Some(125), "{}", end.log);
        end.assert_tells(&[&format!("{option} dead/it"), "its file system does not answer"]);
        assert!(!place.path("here").exists(), "nothing is started");
    }
}

#[test]
fn a_stop_ends_the_wait_for_what_the_start_depends_on() {
    for option in ["--status-file", "--on-event"] {
        let place = Place::new();
        let Some(supervised) = start(&place, &["--no-heartbeat", option, "dead/it"], "echo > here") else { return };
        // From then on a signal does not end it: proc_pid_status(5). It was executed in the place of others.
        wait_until("the supervisor blocks SIGTERM", || {
            if name_of(supervised.pid()) != "supervisor" {
                return false;
            }
            let status = std::fs::read_to_string(format!("/proc/{}/status", supervised.pid())).unwrap();
            let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
            u64::from_str_radix(blocked.trim(), 16).unwrap() >> 14 & 1 == 1
        });
        supervised.signal("TERM");
        let end = supervised.end();
        end.assert_code(0);
        end.assert_tells(&["stopped before the command was started"]);
        assert!(!place.path("here").exists(), "nothing is started");
    }
}

#[test]
fn a_command_that_lies_there_is_waited_for_and_can_be_stopped() {
    let place = Place::new();
    let Some(mut supervised) = start(&place, &["--no-heartbeat", "dead/command"], "") else { return };
    supervised.wait_for_line("the command's file system has not answered");
    supervised.signal("TERM");
    supervised.end().assert_code(0);
}

/// Signals for the command wait for its start, but not without limit.
#[test]
fn of_the_signals_that_wait_for_a_start_only_so_many_are_kept() {
    let place = Place::new();
    let options = ["--no-heartbeat", "--grace-period", "60", "dead/command"];
    let Some(mut supervised) = start(&place, &options, "") else { return };
    supervised.wait_for_line("the command's file system has not answered");
    // Real-time signals: each of them counts.
    (0..65).for_each(|_| supervised.signal("40"));
    supervised.signal("TERM");
    let end = supervised.end();
    end.assert_code(0);
    assert_eq!(end.count("nothing runs that it could pass it on to"), 1, "{}", end.log);
}
