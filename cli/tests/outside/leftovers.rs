//! Nothing that a command started survives its end.

use crate::other_user::as_other;
use crate::support::{
    Guarded, Place, Supervised, can_strace, copy_program, is_alive, now, signal, skipped, start_disturbed, state,
    wait_for_file, wait_until,
};
use std::io::{self, BufRead, BufReader};
use std::process::{Command, Output, Stdio};

/// Starts a daemon in a session of its own, twice removed from the command: it does `$2`, writes its pid to `$1`, which
/// is waited for, and goes on with `$3`.
const DAEMONIZE: &str = r#"
    daemonize() { (setsid sh -c "$2; echo \$\$ > $1.new; mv $1.new $1; $3" </dev/null & ) ; while ! [ -e $1 ]; do sleep 0.01; done; }
"#;

const LINGER: &str = "while :; do sleep 0.01; done";

fn pid(place: &Place, name: &str) -> i32 {
    wait_for_file(&place.path(name)).parse().unwrap()
}

#[test]
fn a_daemon_is_cleared_before_the_next_start() {
    let place = Place::new();
    // Each run notes whether the daemon of the one before still lives.
    let script = format!(
        "{DAEMONIZE} if [ -e daemon ]; then kill -0 $(cat daemon) 2>/dev/null && echo alive >> seen || echo gone >> seen; fi; \
         rm -f daemon; daemonize daemon : 'exec sleep 1000'; exit 1"
    );
    let end = place.run(&["--max-restarts", "2", "--backoff-factor", "0.01"], &script);
    end.assert_code(1);
    assert_eq!(place.read("seen"), "gone\ngone\n");
    assert!(!is_alive(pid(&place, "daemon")));
    end.assert_tells(&["exited with code 1", "sent SIGTERM to leftovers", "restart 1 of 2"]);
}

#[test]
fn a_daemon_goes_with_a_command_that_finishes() {
    let place = Place::new();
    let end = place.run(&[], &format!("{DAEMONIZE} daemonize daemon : 'exec sleep 1000'"));
    end.assert_code(0);
    assert!(!is_alive(pid(&place, "daemon")));
}

#[test]
fn leftovers_get_the_stop_signal_and_time_to_leave() {
    let place = Place::new();
    let daemon = format!("\"trap 'echo asked > asked; exit 0' TERM\" '{LINGER}'");
    let end = place.run(&[], &format!("{DAEMONIZE} daemonize daemon {daemon}"));
    end.assert_code(0);
    assert_eq!(place.read("asked"), "asked\n");
    assert_eq!(end.count("SIGKILL"), 0, "{}", end.log);
}

#[test]
fn leftovers_that_stay_are_killed_with_a_warning() {
    let place = Place::new();
    let before = now();
    let daemon = format!("\"trap '' TERM\" '{LINGER}'");
    let end = place.run(&["--grace-period", "0.5"], &format!("{DAEMONIZE} daemonize daemon {daemon}"));
    end.assert_code(0);
    assert!(now() - before >= 0.5);
    assert!(!is_alive(pid(&place, "daemon")));
    end.assert_tells(&[
        "exited with code 0",
        "sent SIGTERM to leftovers",
        "WARN",
        "sent SIGKILL to leftovers",
        "finished",
    ]);
}

#[test]
fn a_polite_stop_is_one_even_if_leftovers_are_killed() {
    let place = Place::new();
    let daemon = format!("\"trap '' TERM\" '{LINGER}'");
    let script = format!("{DAEMONIZE} daemonize daemon {daemon}; trap 'exit 0' TERM; echo > ready; {LINGER}");
    let supervised = place.start(&["--grace-period", "0.5"], &script);
    wait_for_file(&place.path("ready"));
    supervised.signal("TERM");
    let end = supervised.end();
    end.assert_code(0);
    assert!(!is_alive(pid(&place, "daemon")));
    end.assert_tells(&[
        "exited with code 0",
        "WARN",
        "sent SIGKILL to leftovers",
        "stopped: the supervisor ends with exit code 0",
    ]);
}

#[test]
fn hang_and_leftovers_share_one_grace_period() {
    let place = Place::new();
    // The command uses up most of its grace period; what it leaves gets the rest.
    let daemon = format!("\"trap '' TERM\" '{LINGER}'");
    let script = format!("{DAEMONIZE} daemonize daemon {daemon}; trap 'sleep 2; exit 0' TERM; {LINGER}");
    let end = place.run(&["--timeout", "4", "--grace-period", "5", "--max-restarts", "0"], &script);
    end.assert_code(124);
    // Two grace periods would be 7 s. Log times are noted a little after the fact.
    let took = end.time_of("sent SIGKILL") - end.time_of("sent SIGTERM");
    assert!((4.9..6.9).contains(&took), "{took}: {}", end.log);
    end.assert_tells(&["hung", "exited with code 0", "sent SIGTERM to leftovers", "sent SIGKILL to leftovers"]);
    // Nobody is suspected of holding what has ended.
    assert_eq!(end.count("the debugger that traces it"), 0, "{}", end.log);
}

#[test]
fn background_children_get_one_stop_signal() {
    let place = Place::new();
    // The child stays, in the group of a command that leaves at once: as a leftover it would be asked again.
    let child = format!("trap 'echo TERM >> got' TERM; echo > ready; {LINGER}");
    let script = format!("sh -c \"{child}\" & wait");
    let supervised = place.start(&["--grace-period", "3"], &script);
    wait_for_file(&place.path("ready"));
    supervised.signal("TERM");
    let end = supervised.end();
    end.assert_code(0);
    assert_eq!(place.read("got"), "TERM\n", "{}", end.log);
    end.assert_tells(&["sent SIGTERM to process group", "was killed by SIGTERM", "sent SIGKILL to leftovers"]);
}

/// A main process, and a child in its group that notes that it was asked to leave.
fn main_and_child() -> String {
    let asked = "trap 'echo TERM >> got; exit 0' TERM; echo > ready";
    format!("sh -c \"{asked}; {LINGER}\" & echo $$ > main; wait")
}

/// The main process ends while the order to ask its group is on its way, which strace(1) holds up.
#[test]
fn what_did_not_get_the_signal_to_the_group_is_asked_as_a_leftover() {
    for _ in 0..10 {
        let place = Place::new();
        let plain = place.supervisor(["--no-heartbeat", "--grace-period", "60", "sh", "-c", &main_and_child()]);
        let late = ["-e", "trace=sendto", "-e", "inject=sendto:delay_enter=2000000:when=1"];
        let Some(mut supervised) = start_disturbed(&late, &plain) else { return };
        wait_for_file(&place.path("ready"));
        supervised.signal("TERM");
        supervised.wait_for_line("asks the command to leave");
        let kill = Command::new("kill").args(["-s", "KILL", &pid(&place, "main").to_string()]).output();
        let end = supervised.end();
        end.assert_code(0);
        assert_eq!(place.read("got"), "TERM\n", "{}", end.log);
        // On a machine that has too much to do the order may be there before the main process is killed.
        if kill.unwrap().status.success() && end.count("was killed by SIGKILL") == 1 {
            return end.assert_tells(&["sent SIGTERM to process group", "sent SIGTERM to leftovers", "stopped"]);
        }
    }
    panic!("this machine has too much to do");
}

/// The main process ends, the order to ask its group finds it gone, and only then it is told that it did: strace(1) holds
/// up the keeper twice.
#[test]
fn what_was_taken_for_asked_is_asked_as_a_leftover() {
    if !can_strace() {
        return skipped("strace(1) cannot be had here");
    }
    for _ in 0..10 {
        let place = Place::new();
        let supervised = place.start(&["--no-heartbeat", "--grace-period", "60"], &main_and_child());
        wait_for_file(&place.path("ready"));
        let mut strace = Command::new("strace");
        strace.args(["-o", "/dev/null", "-e", "inject=wait4:delay_exit=300000:when=1"]);
        strace.args(["-e", "inject=ppoll:delay_exit=300000:when=2", "-p", &supervised.keeper().to_string()]);
        let mut strace = Guarded(strace.stderr(Stdio::piped()).spawn().unwrap());
        let mut attached = String::new();
        BufReader::new(strace.0.stderr.take().unwrap()).read_line(&mut attached).unwrap();
        assert!(attached.contains("attached"), "{attached}");
        signal(pid(&place, "main"), "KILL");
        supervised.signal("TERM");
        let end = supervised.end();
        assert_eq!(place.read("got"), "TERM\n", "{}", end.log);
        // On a machine that has too much to do the end of the main process may be told before it is asked to leave, or the
        // order taken before its end is seen.
        if end.count("sent SIGTERM to process group") == 1 && end.count("sent SIGTERM to leftovers") > 0 {
            end.assert_code(0);
            return end.assert_tells(&["was killed by SIGKILL", "sent SIGTERM to leftovers", "stopped"]);
        }
    }
    panic!("this machine has too much to do");
}

/// Killed at the end of its test, however that ends.
struct Killed(i32);

impl Drop for Killed {
    fn drop(&mut self) {
        // By root alone; where a test fails it may be gone.
        let _ = Command::new("kill").args(["-s", "KILL", &self.0.to_string()]).output();
    }
}

/// One that belongs to another user outlives its signals, and that is told.
#[test]
fn a_leftover_that_may_not_be_signalled_is_told_of_and_waited_for() {
    let place = Place::new();
    copy_program(env!("CARGO_BIN_EXE_supervisor"), place.path("supervisor"));
    // Nobody else may become root by it.
    let copy = "cp \"$(command -v setpriv)\" become && chgrp 65534 become . && chmod 4750 become && chmod 770 .";
    let copied = Command::new("sh").args(["-c", copy]).current_dir(place.path("")).output();
    let as_other_here = |words: &[&str]| {
        let mut command = as_other(words);
        command.current_dir(place.path(""));
        command
    };
    let root = ["./become", "--reuid=0", "--regid=0", "--clear-groups"];
    let has_worked = |out: io::Result<Output>| out.is_ok_and(|out| out.status.success());
    if !has_worked(copied) || !has_worked(as_other_here(&[&root[..], &["true"]].concat()).output()) {
        return skipped("not root, or set-user-ID programs give no rights here");
    }
    let script = format!(
        "{} sh -c 'echo $$ > daemon; exec sleep 1000' & while ! [ -s daemon ]; do sleep 0.01; done",
        root.join(" ")
    );
    let options = ["./supervisor", "--no-heartbeat", "--grace-period", "0.5", "sh", "-c", &script];
    let mut supervised = Supervised::start(as_other_here(&options));
    let daemon = Killed(pid(&place, "daemon"));
    for signal in ["SIGTERM", "SIGKILL"] {
        let line = supervised.wait_for_line(&format!("the supervisor cannot send {signal} to"));
        assert!(line.contains(&format!("pid {} ", daemon.0)) && line.contains("Operation not permitted"), "{line}");
    }
    assert!(is_alive(daemon.0) && is_alive(supervised.pid()));
    drop(daemon);
    supervised.end().assert_code(0);
}

#[test]
fn a_stopped_leftover_gets_to_see_its_signal() {
    let place = Place::new();
    let daemon = format!("\"trap 'echo asked > asked; exit 0' TERM\" '{LINGER}'");
    let script = format!("{DAEMONIZE} daemonize daemon {daemon}; echo > ready; {LINGER}");
    let supervised = place.start(&[], &script);
    wait_for_file(&place.path("ready"));
    let daemon = pid(&place, "daemon");
    signal(daemon, "STOP");
    wait_until("it is stopped", || state(daemon) == Some('T'));
    supervised.signal("TERM");
    supervised.end().assert_code(0);
    assert_eq!(place.read("asked"), "asked\n");
}

#[test]
fn children_that_fork_while_they_are_killed_are_killed() {
    let place = Place::new();
    // Each ignores SIGTERM and is replaced by a copy of itself, over and over.
    let hydra = place.script(
        "hydra",
        "trap '' TERM; echo $$ >> heads; test $(wc -l < heads) -lt 300 && (\"$0\" & \"$0\" &); exec sleep 1000",
    );
    let script = format!("{} & {LINGER}", hydra.display());
    let supervised = place.start(&["--grace-period", "0.1"], &script);
    wait_until("it has grown", || place.read("heads").lines().count() > 30);
    supervised.signal("TERM");
    supervised.end();
    let survivors = place.read("heads").lines().filter(|pid| is_alive(pid.parse().unwrap())).count();
    assert_eq!(survivors, 0);
}

#[test]
fn the_command_does_not_outlive_a_killed_supervisor() {
    let place = Place::new();
    let mut supervised = place.start(&[], &format!("trap '' TERM INT HUP; {LINGER}"));
    let command = supervised.command_pid();
    supervised.signal("KILL");
    wait_until("the command is gone", || !is_alive(command));
}

#[test]
fn children_from_before_the_supervisor_are_left_alone() {
    let place = Place::new();
    let before = "sleep 1000 & echo $! > stranger; exec \"$0\" --max-restarts 1 --backoff-factor 0.01 sh -c 'exit 1'";
    let mut command = std::process::Command::new("sh");
    command.args(["-c", before, env!("CARGO_BIN_EXE_supervisor")]).current_dir(place.path(""));
    command.stderr(std::process::Stdio::null()).stdout(std::process::Stdio::null());
    assert_eq!(command.status().unwrap().code(), Some(1));
    let stranger = pid(&place, "stranger");
    assert!(is_alive(stranger));
    signal(stranger, "KILL");
}
