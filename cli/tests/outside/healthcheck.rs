//! `--healthcheck`: what a person, a container or a cluster learns from a status file.

use crate::support::{End, Place, Supervised, is_alive, wait_for_file, wait_until};
use std::path::Path;

const LINGER: &str = "echo ready > ready; while :; do sleep 0.01; done";

/// Asks, and shows that the answer is one line for people, and that its code is 0 or 1.
fn ask(place: &Place, file: &Path) -> End {
    let end = Supervised::start(place.supervisor(["--healthcheck".as_ref(), file])).end();
    assert!(matches!(end.code, Some(0 | 1)), "{end:?}");
    let lines = end.output.lines().chain(end.log.lines()).collect::<Vec<_>>();
    assert_eq!(lines.len(), 1, "{lines:?}");
    end
}

#[track_caller]
fn assert_healthy(place: &Place, words: &[&str]) {
    let end = ask(place, &place.path("status"));
    assert_eq!(end.code, Some(0), "{end:?}");
    assert!(words.iter().all(|words| end.output.contains(words)), "{end:?}");
}

#[track_caller]
fn assert_unhealthy(place: &Place, words: &[&str]) {
    let end = ask(place, &place.path("status"));
    assert_eq!(end.code, Some(1), "{end:?}");
    assert!(words.iter().all(|words| format!("{}{}", end.output, end.log).contains(words)), "{end:?}");
}

fn wait_for_state(place: &Place, state: &str) {
    wait_until(state, || place.read("status").contains(&format!("\"state\":\"{state}\"")));
}

fn start(place: &Place, options: &[&str], script: &str) -> Supervised {
    place.start(&[&["--status-file", "status", "--name", "web"], options].concat(), script)
}

#[test]
fn a_command_that_runs_is_healthy() {
    let place = Place::new();
    let mut supervised = start(&place, &[], LINGER);
    let pid = supervised.command_pid();
    wait_for_state(&place, "running");
    assert_healthy(&place, &["healthy", "web", "run 1", &format!("pid {pid}")]);
    supervised.signal("TERM");
    supervised.end().assert_code(0);
}

#[test]
fn nor_is_one_whose_supervisor_is_stopped() {
    let place = Place::new();
    let supervised = start(&place, &[], LINGER);
    wait_for_state(&place, "running");
    supervised.signal("STOP");
    wait_until("it is stopped", || crate::support::state(supervised.pid()) == Some('T'));
    assert_unhealthy(&place, &["unhealthy: web: a signal has stopped its supervisor", "kill -CONT"]);
    supervised.signal("CONT");
    wait_until("it goes on", || crate::support::state(supervised.pid()) != Some('T'));
    assert_healthy(&place, &["healthy", "run 1"]);
    supervised.signal("TERM");
    supervised.end().assert_code(0);
}

#[test]
fn a_hung_command_is_not() {
    let place = Place::new();
    let options = ["--timeout", "3", "--grace-period", "1000"];
    let supervised = start(&place, &options, &format!("trap '' TERM; {LINGER}"));
    wait_for_state(&place, "hung");
    assert_unhealthy(&place, &["unhealthy", "web", "run 1 has been hung since"]);
    drop(supervised);
}

#[test]
fn nor_is_one_that_waits_for_its_next_start() {
    let place = Place::new();
    let supervised = start(&place, &["--backoff-factor", "1000"], "exit 1");
    wait_for_state(&place, "backing_off");
    assert_unhealthy(&place, &["unhealthy", "web", "run 1"]);
    supervised.signal("TERM");
    supervised.end().assert_code(0);
    assert_unhealthy(&place, &["unhealthy", "web"]);
}

#[test]
fn nor_is_one_that_finished_or_was_given_up() {
    for (script, code) in [("exit 0", 0), ("exit 3", 3)] {
        let place = Place::new();
        start(&place, &["--max-restarts", "0"], script).end().assert_code(code);
        assert_unhealthy(&place, &["unhealthy", "web"]);
    }
}

/// Its keeper removes the file.
#[test]
fn nor_is_one_whose_supervisor_was_killed() {
    let place = Place::new();
    let mut supervised = start(&place, &[], LINGER);
    let pid = supervised.command_pid();
    wait_for_state(&place, "running");
    supervised.signal("KILL");
    wait_until("the command is gone", || !is_alive(pid));
    wait_until("the file is gone", || !place.path("status").exists());
    assert_unhealthy(&place, &["unhealthy", "status"]);
}

/// A copy of the file that outlives the supervisor lies, and so does one whose pid belongs to another process now.
#[test]
fn a_pid_alone_proves_nothing() {
    let place = Place::new();
    let mut supervised = start(&place, &[], LINGER);
    supervised.command_pid();
    wait_for_state(&place, "running");
    let status = place.read("status");
    let copy = |from: &str, to: &str| {
        assert!(status.contains(from), "{status}");
        std::fs::write(place.path("copy"), status.replace(from, to)).unwrap();
        ask(&place, &place.path("copy")).code
    };
    let own = format!("\"supervisor\":{}", supervised.pid());
    assert_eq!(copy(&own, &own), Some(0));
    // The first one is a process, but was started at another time.
    for other in ["1", "0", "2147483647"] {
        assert_eq!(copy(&own, &format!("\"supervisor\":{other}")), Some(1), "{other}");
    }
    supervised.signal("KILL");
    supervised.end();
    assert_eq!(copy(&own, &own), Some(1));
}

#[test]
fn a_command_that_is_stopping_on_request_is_still_well() {
    let place = Place::new();
    let supervised =
        start(&place, &[], &format!("trap 'while ! [ -e go ]; do sleep 0.01; done; exit 0' TERM; {LINGER}"));
    wait_for_file(&place.path("ready"));
    supervised.signal("TERM");
    wait_for_state(&place, "stopping");
    assert_healthy(&place, &["web"]);
    std::fs::write(place.path("go"), "").unwrap();
    supervised.end().assert_code(0);
}

#[test]
fn what_is_no_status_file_is_unhealthy() {
    let place = Place::new();
    let supervised = start(&place, &[], LINGER);
    wait_for_state(&place, "running");
    let whole = place.read("status");
    supervised.signal("TERM");
    supervised.end().assert_code(0);
    std::fs::remove_file(place.path("status")).unwrap();
    assert_unhealthy(&place, &["status", "No such file"]);

    let halves = (0..whole.trim_end().len()).step_by(37).map(|length| whole[..length].to_owned());
    let nonsense = ["\n", "nonsense", "{}", "[]", "null", "1", "\"running\"", "{\"state\":\"running\"}", "\u{0}\u{1}"];
    for text in halves.chain(nonsense.map(str::to_owned)) {
        std::fs::write(place.path("status"), &text).unwrap();
        assert_unhealthy(&place, &["status"]);
    }
    std::fs::write(place.path("status"), [0xff, 0xfe, 0x0a]).unwrap();
    assert_unhealthy(&place, &["status"]);
}

#[test]
fn a_path_that_leads_to_no_file_is_unhealthy() {
    let place = Place::new();
    std::fs::create_dir(place.path("folder")).unwrap();
    std::os::unix::fs::symlink("loop", place.path("loop")).unwrap();
    for name in ["folder", "loop", "no/such/file", "", "/dev/null", "/dev/zero", "name\nof two lines"] {
        assert_eq!(ask(&place, Path::new(name)).code, Some(1), "{name}");
    }
}

/// A FIFO without a writer would be waited for.
#[test]
fn a_fifo_is_not_waited_for() {
    let place = Place::new();
    assert!(std::process::Command::new("mkfifo").arg(place.path("fifo")).status().unwrap().success());
    assert_eq!(ask(&place, &place.path("fifo")).code, Some(1));
}

/// It runs in the environment of the supervisor itself.
#[test]
fn variables_of_options_do_not_disturb_it() {
    let place = Place::new();
    let mut supervised = start(&place, &[], LINGER);
    supervised.command_pid();
    wait_for_state(&place, "running");
    let mut command = place.supervisor(["--healthcheck=status"]);
    command.env("SUPERVISOR_TIMEOUT", "nonsense").env("SUPERVISOR_STATUS_FILE", "other").env("RUST_LOG", "trace");
    let end = Supervised::start(command).end();
    assert_eq!((end.code, end.output.lines().count(), end.log.as_str()), (Some(0), 1, ""), "{end:?}");
    supervised.signal("TERM");
    supervised.end().assert_code(0);
}

#[test]
fn it_starts_nothing_and_goes_with_nothing_else() {
    for arguments in
        [&["--healthcheck", "status", "touch", "started"][..], &["--timeout", "5", "--healthcheck", "status", "true"]]
    {
        let place = Place::new();
        let end = Supervised::start(place.supervisor(arguments)).end();
        end.assert_code(2);
        end.assert_tells(&["--healthcheck goes with nothing else"]);
        assert!(!place.path("started").exists());
    }
}

#[test]
fn a_negative_pid_is_unhealthy() {
    let place = Place::new();
    let mut supervised = start(&place, &[], LINGER);
    supervised.command_pid();
    wait_for_state(&place, "running");
    let own = format!("\"supervisor\":{}", supervised.pid());
    std::fs::write(place.path("copy"), place.read("status").replace(&own, "\"supervisor\":-1")).unwrap();
    supervised.signal("TERM");
    supervised.end().assert_code(0);
    assert_eq!(ask(&place, &place.path("copy")).code, Some(1));
}

#[test]
fn it_says_that_it_goes_with_no_option_where_there_is_no_command_either() {
    let place = Place::new();
    let end = Supervised::start(place.supervisor(["--timeout", "5", "--healthcheck", "status"])).end();
    end.assert_code(2);
    end.assert_tells(&["--healthcheck goes with nothing else"]);
}
