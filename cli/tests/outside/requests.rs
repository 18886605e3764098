//! What people and programs ask the supervisor for by a signal: to stop, or to start the command again.

use crate::support::{End, Place, Supervised, is_alive, now, signal, wait_for_file, wait_until};
use std::process::Command;

const LINGER: &str = "echo $$ > ready; while :; do sleep 0.01; done";

/// A command that leaves when it is asked to, and notes each of its starts.
const POLITE: &str =
    "trap 'exit 0' TERM; echo $SUPERVISED_RESTARTS >> starts; echo $$ > ready; while :; do sleep 0.01; done";

#[test]
fn further_signals_stop_like_sigterm() {
    for (option, sent) in [("QUIT", "QUIT"), ("SIGWINCH", "WINCH"), ("usr1", "USR1"), ("RTMIN+3", "37")] {
        let place = Place::new();
        let options = ["--stop-on", option, "--restart", "always", "--backoff-factor", "0"];
        let script =
            format!("trap 'echo TERM >> got; exit 3' TERM; trap 'echo other >> got' QUIT WINCH USR1 37; {LINGER}");
        let supervised = place.start(&options, &script);
        wait_for_file(&place.path("ready"));
        supervised.signal(sent);
        let end = supervised.end();
        end.assert_code(0);
        end.assert_tells(&["got SIG", "stopping", "sent SIGTERM", "exited with code 3", "stopped"]);
        assert_eq!((place.read("got").as_str(), end.count("restart ")), ("TERM\n", 0), "{}", end.log);
    }
}

#[test]
fn further_signals_end_a_backoff_at_once() {
    for (option, sent) in [("QUIT", "QUIT"), ("WINCH", "WINCH"), ("USR1", "USR1"), ("RTMIN+3", "37")] {
        let place = Place::new();
        let mut supervised = place.start(&["--stop-on", option, "--backoff-factor", "1000"], "exit 1");
        supervised.wait_for_line("restart 1 in 1000 s");
        let asked = now();
        supervised.signal(sent);
        supervised.end().assert_code(0);
        assert!(now() - asked < 10.0);
    }
}

#[test]
fn several_signals_may_stop_and_others_are_still_passed_on() {
    for last in ["QUIT", "USR2", "TERM", "INT"] {
        let place = Place::new();
        let script = format!("trap 'echo USR1 > passed' USR1; trap 'exit 0' TERM; {LINGER}");
        let supervised = place.start(&["--stop-on", "QUIT", "--stop-on", "USR2"], &script);
        wait_for_file(&place.path("ready"));
        supervised.signal("USR1");
        wait_for_file(&place.path("passed"));
        supervised.signal(last);
        let end = supervised.end();
        end.assert_code(0);
        end.assert_tells(&["passed SIGUSR1 on", &format!("got SIG{last}"), "stopping", "stopped"]);
    }
}

#[test]
fn a_further_signal_kills_a_command_that_stays_after_the_grace_period() {
    let place = Place::new();
    let supervised = place.start(&["--stop-on", "QUIT", "--grace-period", "0.6"], &format!("trap '' TERM; {LINGER}"));
    wait_for_file(&place.path("ready"));
    let asked = now();
    supervised.signal("QUIT");
    supervised.end().assert_code(137);
    assert!(now() - asked >= 0.6);
}

#[test]
fn signals_that_cannot_be_caught_are_refused() {
    for option in ["--stop-on", "--restart-signal"] {
        for name in ["KILL", "STOP", "9"] {
            let place = Place::new();
            let end = place.run(&[option, name], "echo > started");
            end.assert_code(2);
            end.assert_tells(&[name, option]);
            assert_eq!(end.log.lines().count(), 1, "{}", end.log);
            assert!(!place.path("started").exists());
        }
    }
}

#[test]
fn a_signal_with_two_meanings_is_refused() {
    let table: [&[&str]; 3] =
        [&["--restart-signal", "TERM"], &["--restart-signal", "INT"], &["--restart-signal", "HUP", "--stop-on", "HUP"]];
    for options in table {
        let place = Place::new();
        let end = place.run(options, "echo > started");
        end.assert_code(2);
        end.assert_tells(&[options[0], "give another"]);
        assert!(!place.path("started").exists());
    }
}

/// What each start of the command found in `SUPERVISED_RESTARTS`.
fn starts(place: &Place) -> Vec<String> {
    place.read("starts").lines().map(str::to_owned).collect()
}

fn stopped(supervised: Supervised) -> End {
    supervised.signal("TERM");
    let end = supervised.end();
    end.assert_code(0);
    end
}

#[test]
fn a_running_command_is_started_again_at_once_and_uncounted() {
    for policy in [["--max-restarts", "0"], ["--restart", "never"], ["--restart", "always"]] {
        let place = Place::new();
        let options = [&["--restart-signal", "HUP", "--backoff-factor", "1000"], &policy[..]].concat();
        let mut supervised = place.start(&options, POLITE);
        for run in 2..5 {
            let old: i32 = wait_for_file(&place.path("ready")).parse().unwrap();
            std::fs::remove_file(place.path("ready")).unwrap();
            supervised.signal("HUP");
            supervised.wait_for_line(&format!("run {run}: started"));
            assert!(!is_alive(old));
        }
        wait_until("all have started", || starts(&place).len() == 4);
        let end = stopped(supervised);
        assert_eq!(starts(&place), ["0"; 4], "{}", end.log);
        end.assert_tells(&["got SIGHUP", "run 1: restarting", "sent SIGTERM", "exited with code 0", "run 2: started"]);
        assert_eq!(end.count("restart 1"), 0, "{}", end.log);
    }
}

#[test]
fn a_command_that_does_not_leave_for_a_restart_is_killed_and_started_again() {
    let place = Place::new();
    let script = format!("trap '' TERM; echo > start.$SUPERVISED_RESTARTS; {LINGER}");
    let options = ["--restart-signal", "HUP", "--grace-period", "0.6", "--max-restarts", "0"];
    let mut supervised = place.start(&options, &script);
    wait_for_file(&place.path("ready"));
    std::fs::remove_file(place.path("ready")).unwrap();
    supervised.signal("HUP");
    supervised.wait_for_line("run 2: started");
    // It ignores the signal from now on.
    wait_for_file(&place.path("ready"));
    supervised.signal("TERM");
    let end = supervised.end();
    end.assert_code(137);
    end.assert_tells(&["restarting", "sent SIGTERM", "grace period of 0.6 s", "sent SIGKILL", "run 2: started"]);
    assert!(end.between("restarting: the supervisor asks", "sent SIGKILL") >= 0.599, "{}", end.log);
}

/// Fails once, is started again on request, and fails once more.
#[test]
fn the_streak_goes_on_as_if_nothing_had_happened() {
    let place = Place::new();
    let script = "n=$(cat starts 2> /dev/null | wc -l); echo $SUPERVISED_RESTARTS >> starts
        [ $n = 0 ] && exit 1; trap 'exit 0' TERM; trap 'exit 1' USR1; echo > ready.$n; while :; do sleep 0.01; done";
    let options = ["--restart-signal", "HUP", "--backoff-factor", "0.1", "--max-restarts", "2"];
    let mut supervised = place.start(&options, script);
    wait_for_file(&place.path("ready.1"));
    supervised.signal("HUP");
    wait_for_file(&place.path("ready.2"));
    supervised.signal("USR1");
    supervised.wait_for_line("restart 2 of 2 in 0.2 s");
    wait_for_file(&place.path("ready.3"));
    supervised.signal("USR1");
    let end = supervised.end();
    end.assert_code(1);
    assert_eq!(starts(&place), ["0", "1", "1", "2"], "{}", end.log);
    end.assert_tells(&[
        "restart 1 of 2 in 0.1 s",
        "restart 2 of 2 in 0.2 s",
        "giving up: the supervisor has made the 2 restarts in a row that --max-restarts allows",
    ]);
}

#[test]
fn a_request_during_a_backoff_starts_at_once() {
    let place = Place::new();
    let script =
        format!("[ -e failed ] || {{ echo $SUPERVISED_RESTARTS >> starts; echo > failed; exit 1; }}; {POLITE}");
    let mut supervised = place.start(&["--restart-signal", "HUP", "--backoff-factor", "1000"], &script);
    supervised.wait_for_line("restart 1 in 1000 s");
    let asked = now();
    supervised.signal("HUP");
    supervised.wait_for_line("run 2: started");
    assert!(now() - asked < 10.0);
    wait_for_file(&place.path("ready"));
    assert_eq!(stopped(supervised).count("run 3"), 0);
    // It is a start that nobody counts.
    assert_eq!(starts(&place), ["0", "0"]);
}

#[test]
fn a_request_while_a_hung_command_leaves_starts_again_without_a_delay() {
    let place = Place::new();
    let script = format!(
        "[ -e hung ] || {{ echo $SUPERVISED_RESTARTS >> starts; trap 'echo > hung' TERM; while :; do sleep 0.01; done; }}; {POLITE}"
    );
    let options = ["--restart-signal", "HUP", "--timeout", "3", "--initial-check-delay", "0", "--grace-period", "10"];
    let options = [&options[..], &["--backoff-factor", "1000", "--max-restarts", "0"]].concat();
    let mut supervised = place.start(&options, &script);
    supervised.wait_for_line("sent SIGTERM");
    wait_for_file(&place.path("hung"));
    supervised.signal("HUP");
    supervised.wait_for_line("run 2: started");
    wait_until("it has started", || starts(&place).len() == 2);
    let end = stopped(supervised);
    assert_eq!(starts(&place), ["0", "0"], "{}", end.log);
    end.assert_tells(&["run 1: hung", "sent SIGTERM", "run 1: restarting", "sent SIGKILL", "run 2: started"]);
    // One grace period in all, and one stop signal.
    let grace = end.between("hung: pid", "sent SIGKILL");
    assert!((9.999..20.5).contains(&grace), "{grace}");
}

/// The person who asks has no need of what a hung command has to say.
#[test]
fn a_request_during_a_dump_ends_the_wait_for_it() {
    let place = Place::new();
    let first = "echo $SUPERVISED_RESTARTS >> starts; trap 'echo > dumping' QUIT; trap 'echo > asked; exit 1' TERM";
    let script = format!("[ -e dumping ] || {{ {first}; while :; do sleep 0.01; done; }}; {POLITE}");
    let options = ["--restart-signal", "HUP", "--timeout", "3", "--hang-signal", "QUIT", "--hang-grace-period", "1000"];
    let options = [&options[..], &["--backoff-factor", "1000", "--max-restarts", "0"]].concat();
    let mut supervised = place.start(&options, &script);
    wait_until("it writes its dump", || place.path("dumping").exists());
    supervised.signal("HUP");
    supervised.wait_for_line("run 2: started");
    assert!(place.path("asked").exists());
    wait_until("it has started", || starts(&place).len() == 2);
    let end = stopped(supervised);
    assert_eq!(starts(&place), ["0", "0"], "{}", end.log);
}

#[test]
fn a_request_while_it_is_stopped_changes_nothing() {
    let place = Place::new();
    let script = format!("trap 'echo > asked; sleep 0.5; exit 0' TERM; {LINGER}");
    let options = ["--restart-signal", "HUP", "--restart", "always", "--grace-period", "60"];
    let supervised = place.start(&options, &script);
    wait_for_file(&place.path("ready"));
    supervised.signal("TERM");
    wait_until("it is asked", || place.path("asked").exists());
    supervised.signal("HUP");
    let end = supervised.end();
    end.assert_code(0);
    assert_eq!((end.count("run 2"), end.count("stopped: the supervisor ends with exit code 0")), (0, 1), "{}", end.log);
}

#[test]
fn a_stop_while_it_leaves_for_a_restart_is_a_stop() {
    let place = Place::new();
    let script = format!("trap 'echo TERM >> asked; sleep 0.5; exit 0' TERM; {LINGER}");
    let supervised = place.start(&["--restart-signal", "HUP"], &script);
    wait_for_file(&place.path("ready"));
    supervised.signal("HUP");
    wait_for_file(&place.path("asked"));
    let end = stopped(supervised);
    assert_eq!((end.count("run 2"), place.read("asked").as_str()), (0, "TERM\n"), "{}", end.log);
}

#[test]
fn a_request_while_leftovers_are_cleared_starts_again_without_a_delay() {
    for code in [0, 1] {
        let place = Place::new();
        let daemon = "(setsid sh -c 'trap \"echo > asked; sleep 0.7; exit 0\" TERM; echo $$ > daemon; while :; do sleep 0.01; done' &)";
        let first = format!(
            "echo $SUPERVISED_RESTARTS >> starts; {daemon}; while ! [ -s daemon ]; do sleep 0.01; done; exit {code}"
        );
        let script = format!("[ -e daemon ] || {{ {first}; }}; {POLITE}");
        let options = ["--restart-signal", "HUP", "--backoff-factor", "1000", "--grace-period", "50"];
        let mut supervised = place.start(&options, &script);
        wait_until("the daemon is asked", || place.path("asked").exists());
        supervised.signal("HUP");
        supervised.wait_for_line("run 2: started");
        assert!(!is_alive(place.read("daemon").trim().parse().unwrap()), "it lives beside the next run");
        wait_until("it has started", || starts(&place).len() == 2);
        let end = stopped(supervised);
        assert_eq!(starts(&place), ["0", "0"], "code {code}: {}", end.log);
    }
}

/// Many requests within one leave-taking are one; the last of them is not lost.
#[test]
fn a_hundred_requests_do_no_harm() {
    let place = Place::new();
    let mut supervised = place.start(&["--restart-signal", "USR1", "--max-restarts", "0"], POLITE);
    let mut last: i32 = wait_for_file(&place.path("ready")).parse().unwrap();
    for _ in 0..100 {
        last = place.read("ready").trim().parse().unwrap_or(last);
        supervised.signal("USR1");
    }
    wait_until("the last one is served", || !is_alive(last));
    supervised.wait_for_line("run 2: started");
    let end = stopped(supervised);
    assert_eq!(end.count("restart 1"), 0, "{}", end.log);
    assert!(starts(&place).iter().all(|restarts| restarts == "0"));
}

/// As timeout(1) sends it: to its child, and to the group that it shares with it.
#[test]
fn an_interrupt_that_a_wrapper_doubles_is_one() {
    let place = Place::new();
    let script = format!("trap 'sleep 0.5; echo > left; exit 0' TERM; {LINGER}");
    let mut command = Command::new("timeout");
    command.args(["--preserve-status", "-s", "INT", "6", "env", "--default-signal", env!("CARGO_BIN_EXE_supervisor")]);
    command.args(["sh", "-c", &script]).current_dir(place.path(""));
    let end = Supervised::start(command).end();
    end.assert_code(0);
    assert!(place.path("left").exists());
    assert_eq!((end.count("at once"), end.count("sent SIGKILL")), (0, 0), "{}", end.log);

    // As npm does: one after the other.
    let place = Place::new();
    let supervised = place.start(&[], &script);
    wait_for_file(&place.path("ready"));
    for _ in 0..2 {
        signal(supervised.pid(), "INT");
    }
    let end = supervised.end();
    end.assert_code(0);
    assert_eq!((end.count("at once"), end.count("sent SIGKILL")), (0, 0), "{}", end.log);
}
