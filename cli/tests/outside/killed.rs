//! The supervisor is killed by SIGKILL: nothing of its command outlives it.

use crate::support::{Place, Supervised, children, is_alive, signal, wait_for_file, wait_until};

/// Starts the supervisor on a script that writes pids into the file `pids` and then creates `ready`, kills the
/// supervisor, and waits for the end of all those processes.
fn nothing_outlives(options: &[&str], script: &str, count: usize) {
    let place = Place::new();
    let supervised = place.start(options, script);
    wait_for_file(&place.path("ready"));
    let pids: Vec<i32> = place.read("pids").lines().map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(pids.len(), count);
    assert!(pids.iter().all(|&pid| is_alive(pid)));
    let children = children(supervised.pid());
    supervised.signal("KILL");
    for pid in pids {
        wait_until(&format!("{pid} is gone"), || !is_alive(pid));
    }
    for pid in children {
        wait_until(&format!("child {pid} is gone"), || !is_alive(pid));
    }
}

/// Whether a process bears a mark, whosever it is.
fn is_marked(pid: i32) -> bool {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max realtime timeout")).unwrap();
    !limit.trim_start().starts_with("unlimited")
}

const READY: &str = "echo $$ >> pids; echo > ready; while :; do sleep 0.05; done";

#[test]
fn the_command_does_not() {
    nothing_outlives(&["--no-heartbeat"], READY, 1);
}

#[test]
fn children_in_the_background_do_not() {
    let script = format!("for i in 1 2 3; do sleep 1000 & echo $! >> pids; done; {READY}");
    nothing_outlives(&["--no-heartbeat"], &script, 4);
}

#[test]
fn a_daemon_in_a_session_of_its_own_does_not() {
    let daemon = "(setsid sh -c 'trap \"\" TERM HUP; echo $$ >> pids; echo > up; while :; do sleep 0.05; done' &)";
    let script = format!("{daemon}; while ! [ -e up ]; do sleep 0.01; done; {READY}");
    nothing_outlives(&["--no-heartbeat"], &script, 2);
}

#[test]
fn a_group_that_has_lost_its_environment_does_not() {
    let script = format!("env -i PATH=$PATH sleep 1000 & echo $! >> pids; {READY}");
    nothing_outlives(&["--no-heartbeat"], &script, 2);
}

/// Nothing in it tells where it comes from: not its parents, its group, its session or its environment.
#[test]
fn a_daemon_that_has_lost_everything_does_not() {
    let daemon = "(setsid env -i PATH=$PATH sh -c 'echo $$ >> pids; echo > up; exec sleep 1000' &)";
    let script = format!("{daemon}; while ! [ -e up ]; do sleep 0.01; done; {READY}");
    nothing_outlives(&["--no-heartbeat"], &script, 2);
}

/// Neither main process nor daemon is there for long enough to be looked at before the supervisor ends.
#[test]
fn what_is_only_just_started_does_not() {
    let place = Place::new();
    for round in 0..20 {
        let name = format!("pid{round}");
        let script = format!(
            "(setsid env -i PATH=$PATH sh -c 'echo $$ > {name}.new; mv {name}.new {name}; exec sleep 1000' &); sleep 1000"
        );
        let supervised = place.start(&["--no-heartbeat"], &script);
        let daemon: i32 = wait_for_file(&place.path(&name)).parse().unwrap();
        supervised.signal("KILL");
        wait_until("the daemon is gone", || !is_alive(daemon));
    }
}

#[test]
fn a_supervisor_below_does_not() {
    let below = format!(
        "{} --no-heartbeat sh -c '(setsid env -i PATH=$PATH sh -c \"echo \\$\\$ >> pids; echo > up; exec sleep 1000\" &); exec sleep 1000'",
        env!("CARGO_BIN_EXE_supervisor")
    );
    let script = format!("{below} & echo $! >> pids; while ! [ -e up ]; do sleep 0.01; done; {READY}");
    nothing_outlives(&["--no-heartbeat"], &script, 3);
}

/// Somebody else's process that only looks similar is left alone.
#[test]
fn others_do() {
    let place = Place::new();
    let mark_of_another = format!("--rttime={}", (1u64 << 62) + 1);
    let mut other = std::process::Command::new("prlimit").args([&mark_of_another, "sleep", "1000"]).spawn().unwrap();
    let mut supervised = place.start(&["--no-heartbeat"], "exec sleep 1000");
    let command = supervised.command_pid();
    supervised.signal("KILL");
    wait_until("the command is gone", || !is_alive(command));
    assert!(other.try_wait().unwrap().is_none());
    other.kill().unwrap();
    other.wait().unwrap();
}

/// The guard leaves with the supervisor.
#[test]
fn no_guard_stays_behind() {
    let place = Place::new();
    let supervised = place.start(&["--no-heartbeat"], "echo > ready; exec sleep 1000");
    wait_for_file(&place.path("ready"));
    let children = children(supervised.pid());
    assert_eq!(children.len(), 2, "the guard and the command");
    supervised.signal("TERM");
    supervised.end().assert_code(0);
    assert!(children.iter().all(|&pid| !is_alive(pid)));
}

/// One that has shed the mark, but not its parent, which bears it. (The main process would not do as a parent: it may be
/// gone before anybody looks.)
#[test]
fn a_child_without_the_mark_does_not() {
    let parent = "setsid prlimit --rttime=unlimited sleep 1000 & echo $! >> pids; echo > up; wait";
    let script = format!("sh -c '{parent}' & while ! [ -e up ]; do sleep 0.01; done; {READY}");
    nothing_outlives(&["--no-heartbeat"], &script, 2);
}

/// Programs that begin a session, as su(1) does, set all limits anew, the mark among them.
#[test]
fn what_has_shed_the_mark_and_lost_its_parents_does_not() {
    let daemon = "(setsid prlimit --rttime=unlimited sh -c 'echo $$ >> pids; echo > up; exec sleep 1000' &)";
    let script =
        format!("{daemon}; while ! [ -e up ]; do sleep 0.01; done; exec prlimit --rttime=unlimited sh -c '{READY}'");
    nothing_outlives(&["--no-heartbeat"], &script, 2);
}

/// As in a session of `su -`: no mark, no variables. It is found as long as it has parents: with a heartbeat, and a while
/// after the start where there are none.
#[test]
fn what_has_shed_everything_before_a_look_does_not() {
    let daemon = "(setsid env -i prlimit --rttime=unlimited sh -c 'echo $$ >> pids; echo > up; exec sleep 1000' &)";
    let script = format!("{daemon}; echo $$ >> pids; while :; do echo > heartbeat.txt; sleep 0.05; done");
    for options in [&["--timeout", "0.5"][..], &["--no-heartbeat"], &["--notify", "--timeout", "1000"]] {
        let place = Place::new();
        let supervised = place.start(options, &script);
        wait_until("both are up", || place.read("pids").lines().count() == 2 && place.path("up").exists());
        let pids: Vec<i32> = place.read("pids").lines().map(|pid| pid.parse().unwrap()).collect();
        wait_until("marks are renewed", || pids.iter().all(|&pid| is_marked(pid)));
        supervised.signal("KILL");
        wait_until("all is gone", || pids.iter().all(|&pid| !is_alive(pid)));
    }
}

/// Where the mark cannot be set, there are still the variables.
#[test]
fn a_daemon_without_a_mark_does_not() {
    let place = Place::new();
    let script = format!("(setsid sh -c 'echo $$ >> pids; exec sleep 1000' &); {READY}");
    let mut command = std::process::Command::new("prlimit");
    command.args(["--rttime=1000000:1000000", env!("CARGO_BIN_EXE_supervisor"), "--no-heartbeat", "sh", "-c", &script]);
    command.current_dir(place.path(""));
    let mut supervised = Supervised::start(command);
    supervised.wait_for_line("RLIMIT_RTTIME has a hard limit");
    wait_until("both are up", || place.read("pids").lines().count() == 2);
    let pids: Vec<i32> = place.read("pids").lines().map(|pid| pid.parse().unwrap()).collect();
    supervised.signal("KILL");
    wait_until("all is gone", || pids.iter().all(|&pid| !is_alive(pid)));
}

/// The same variables, but it was never a child of the supervisor.
#[test]
fn others_with_the_same_variables_do() {
    let place = Place::new();
    let mut supervised = place.start(&["--no-heartbeat"], "env > variables; echo > ready; exec sleep 1000");
    wait_for_file(&place.path("ready"));
    let variables = place.read("variables");
    let variables = variables.lines().filter_map(|line| line.split_once('='));
    let mut other = std::process::Command::new("sleep").arg("1000").envs(variables).spawn().unwrap();
    supervised.command_pid();
    let children = children(supervised.pid());
    supervised.signal("KILL");
    for pid in children {
        wait_until("command and guard are gone", || !is_alive(pid));
    }
    assert!(other.try_wait().unwrap().is_none());
    other.kill().unwrap();
    other.wait().unwrap();
}

/// The guard of the supervisor below is the only one that knows its daemon, and must not be killed before its time: not
/// for the variables that it was born with, nor for a mark that it has got.
#[test]
fn a_daemon_of_a_supervisor_below_does_not() {
    let daemon = "(setsid env -i PATH=$PATH sh -c 'echo $$ > daemon.new; mv daemon.new daemon; exec sleep 1000' &)";
    for round in 0..10 {
        let place = Place::new();
        let inner = place.script("inner", &format!("{daemon}; exec sleep 1000"));
        let beats = "(while :; do echo > heartbeat.txt; sleep 0.02; done) &";
        let script = format!("{beats} exec {} --no-heartbeat {}", env!("CARGO_BIN_EXE_supervisor"), inner.display());
        let mut supervised = place.start(&["-v", "--timeout", "0.3"], &script);
        let daemon: i32 = wait_for_file(&place.path("daemon")).parse().unwrap();
        if round % 2 == 0 {
            // Two looks that found a heartbeat: the first one may have been before the guard below was there.
            supervised.wait_for_new_line("heartbeat");
            supervised.wait_for_new_line("heartbeat");
        }
        supervised.signal("KILL");
        wait_until("the daemon is gone", || !is_alive(daemon));
    }
}

/// A supervisor below is killed. What looks like its own, by its variables, is the command of the one above.
#[test]
fn the_command_above_does() {
    let place = Place::new();
    let below = format!("{} --no-heartbeat sleep 1000 & echo $! > below", env!("CARGO_BIN_EXE_supervisor"));
    let daemon =
        "(setsid prlimit --rttime=unlimited sh -c 'echo $$ > daemon.new; mv daemon.new daemon; exec sleep 1000' &)";
    let mut supervised = place.start(&["--no-heartbeat"], &format!("{below}; {daemon}; {READY}"));
    let daemon: i32 = wait_for_file(&place.path("daemon")).parse().unwrap();
    supervised.command_pid();
    let below: i32 = wait_for_file(&place.path("below")).parse().unwrap();
    wait_until("the one below has a guard and a command", || children(below).len() == 2);
    let of_below = children(below);
    signal(below, "KILL");
    wait_until("its guard and its command are gone", || of_below.iter().all(|&pid| !is_alive(pid)));
    assert!(is_alive(daemon));
    supervised.signal("TERM");
    supervised.end().assert_code(0);
    assert!(!is_alive(daemon));
}

/// Nor do hooks, and what they have started.
#[test]
fn a_hook_does_not() {
    let place = Place::new();
    let hook = place.script("hook", &format!("(setsid sh -c 'echo $$ >> pids; exec sleep 1000' &); {READY}"));
    let supervised = place.start(&["--no-heartbeat", "--on-event", hook.to_str().unwrap()], "exec sleep 1000");
    wait_until("both are up", || place.read("pids").lines().count() == 2);
    let pids: Vec<i32> = place.read("pids").lines().map(|pid| pid.parse().unwrap()).collect();
    supervised.signal("KILL");
    wait_until("all is gone", || pids.iter().all(|&pid| !is_alive(pid)));
}

/// However young it was.
#[test]
fn a_guard_that_is_killed_is_replaced() {
    let place = Place::new();
    let script = format!("sleep 1000 & echo $! >> pids; {READY}");
    let mut supervised = place.start(&["--no-heartbeat"], &script);
    wait_for_file(&place.path("ready"));
    let command = supervised.command_pid();
    let guard = || {
        let children = children(supervised.pid());
        children.into_iter().find(|&pid| pid != command)
    };
    for _ in 0..2 {
        let before = guard().unwrap();
        signal(before, "KILL");
        wait_until("there is another", || guard().is_some_and(|guard| guard != before));
    }
    supervised.wait_for_line("there is a guard again");
    let pids: Vec<i32> = place.read("pids").lines().map(|pid| pid.parse().unwrap()).collect();
    supervised.signal("KILL");
    wait_until("all is gone", || pids.iter().all(|&pid| !is_alive(pid)));
}

/// Whatever happens to the guard, the supervisor does its work and leaves when it should.
#[test]
fn a_guard_that_is_stopped_or_killed_changes_nothing() {
    for signal_name in ["STOP", "KILL"] {
        let place = Place::new();
        let mut supervised = place.start(&["--no-heartbeat"], "echo > ready; exec sleep 1000");
        let command = supervised.command_pid();
        wait_for_file(&place.path("ready"));
        let children = children(supervised.pid());
        let guard = children.into_iter().find(|&pid| pid != command).unwrap();
        signal(guard, signal_name);
        if signal_name == "KILL" {
            supervised.wait_for_line("the guard, which clears");
        }
        supervised.signal("TERM");
        supervised.end().assert_code(0);
        assert!(!is_alive(guard) && !is_alive(command));
    }
}
