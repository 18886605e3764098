//! Stopping: politely, then by force, once and for all.

use crate::support::{Place, is_alive, now, state, wait_for_file, wait_until};

const READY: &str = "echo ready > ready;";
const LINGER: &str = "while :; do sleep 0.01; done";

#[test]
fn a_polite_command_leaves_and_the_code_is_0() {
    for signal in ["TERM", "INT"] {
        let place = Place::new();
        let script = format!("trap 'echo TERM >> got; exit 3' TERM; trap 'echo INT >> got' INT; {READY} {LINGER}");
        let mut supervised = place.start(&[], &script);
        let command = supervised.command_pid();
        wait_for_file(&place.path("ready"));
        supervised.signal(signal);
        let end = supervised.end();
        end.assert_code(0);
        assert_eq!(place.read("got"), "TERM\n");
        assert!(!is_alive(command));
        end.assert_tells(&[
            &format!("got SIG{signal} from pid"),
            "stopping",
            "sent SIGTERM",
            "exited with code 3",
            "stopped",
        ]);
        assert_eq!(end.count("restart "), 0, "{}", end.log);
    }
}

#[test]
fn a_command_that_does_not_leave_is_killed_after_the_grace_period() {
    let place = Place::new();
    let script = format!("trap '' TERM; {READY} {LINGER}");
    let mut supervised = place.start(&["--grace-period", "0.6"], &script);
    let command = supervised.command_pid();
    wait_for_file(&place.path("ready"));
    let asked = now();
    supervised.signal("TERM");
    let end = supervised.end();
    let took = now() - asked;
    end.assert_code(137);
    assert!((0.6..10.0).contains(&took), "{took}");
    assert!(!is_alive(command));
    end.assert_tells(&[
        "stopping",
        "sent SIGTERM",
        "grace period of 0.6 s",
        "sent SIGKILL",
        "killed by SIGKILL",
        "exit code 137",
    ]);
    // A keeper that has no turn for a second looks as one that is held.
    let was_quick = end.between("sent SIGKILL", "killed by SIGKILL") < 0.9;
    assert!(!was_quick || end.count("does not take orders") == 0, "{}", end.log);
}

#[test]
fn a_second_interrupt_kills_at_once() {
    for first in ["INT", "TERM"] {
        let place = Place::new();
        let script = format!("trap '' TERM INT; {READY} {LINGER}");
        let mut supervised = place.start(&["--grace-period", "50"], &script);
        wait_for_file(&place.path("ready"));
        let asked = now();
        supervised.signal(first);
        supervised.wait_for_line("sent SIGTERM");
        let begun = now();
        // One within the first second is the same request, told twice, as timeout(1) and npm do.
        while is_alive(supervised.pid()) && now() - begun < 40.0 {
            supervised.signal("INT");
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        let end = supervised.end();
        end.assert_code(137);
        assert!(now() - asked < 40.0);
        let killed = end.time_of("asks to stop at once") - end.time_of("stopping: the supervisor asks");
        assert!(killed >= 0.99, "killed {killed} s after the first request: {}", end.log);
    }
}

/// However they came, the polite one is the second: the two are no wish to stop at once.
#[test]
fn an_interrupt_counts_before_a_sigterm_that_comes_with_it() {
    let place = Place::new();
    let options = ["--no-heartbeat", "--grace-period", "60"];
    let mut supervised = place.start(&options, &format!("{READY} exec sleep 1000"));
    wait_for_file(&place.path("ready"));
    supervised.signal("STOP");
    wait_until("the supervisor is stopped", || state(supervised.pid()) == Some('T'));
    supervised.signal("TERM");
    supervised.signal("INT");
    supervised.signal("CONT");
    supervised.wait_for_line("got SIGTERM");
    let end = supervised.end();
    end.assert_code(0);
    end.assert_tells(&["got SIGINT", "got SIGTERM"]);
}

#[test]
fn a_second_sigterm_changes_nothing() {
    let place = Place::new();
    let script = format!("trap 'echo TERM >> got; echo term > asked' TERM; {READY} {LINGER}");
    let supervised = place.start(&["--grace-period", "3"], &script);
    wait_for_file(&place.path("ready"));
    let asked = now();
    supervised.signal("TERM");
    wait_for_file(&place.path("asked"));
    for _ in 0..5 {
        supervised.signal("TERM");
    }
    supervised.end().assert_code(137);
    assert!(now() - asked >= 3.0);
    assert_eq!(place.read("got"), "TERM\n");
}

#[test]
fn a_stop_during_the_grace_period_of_a_hang_is_a_stop() {
    let place = Place::new();
    let script = format!("trap 'echo TERM >> got' TERM; {LINGER}");
    let mut supervised = place.start(&["--timeout", "3", "--grace-period", "1.5"], &script);
    supervised.wait_for_line("sent SIGTERM");
    let hung = now();
    supervised.signal("TERM");
    let end = supervised.end();
    end.assert_code(137);
    // One grace period in all, and one SIGTERM.
    assert!(now() - hung < 10.0);
    assert_eq!(place.read("got"), "TERM\n");
    assert_eq!(end.count("restart "), 0, "{}", end.log);

    let place = Place::new();
    let script = format!("trap 'sleep 0.5; exit 0' TERM; {LINGER}");
    let mut supervised = place.start(&["--timeout", "3"], &script);
    supervised.wait_for_line("sent SIGTERM");
    supervised.signal("TERM");
    let end = supervised.end();
    end.assert_code(0);
    assert_eq!(end.count("restart "), 0, "{}", end.log);
}

#[test]
fn another_stop_signal_is_sent_instead() {
    for (wanted, number) in [("SIGQUIT", "3"), ("RTMIN+3", "37")] {
        let place = Place::new();
        let script = format!("trap 'echo TERM >> got' TERM; trap 'echo it >> got; exit 0' {number}; {READY} {LINGER}");
        let supervised = place.start(&["--stop-signal", wanted], &script);
        wait_for_file(&place.path("ready"));
        supervised.signal("TERM");
        let end = supervised.end();
        end.assert_code(0);
        end.assert_tells(&[&format!("sent SIG{} to", wanted.trim_start_matches("SIG"))]);
        assert_eq!(place.read("got"), "it\n");
    }
}

#[test]
fn no_grace_means_an_immediate_kill() {
    let place = Place::new();
    let supervised = place.start(&["--grace-period", "0"], &format!("trap '' TERM; {READY} {LINGER}"));
    wait_for_file(&place.path("ready"));
    supervised.signal("TERM");
    supervised.end().assert_code(137);
}

#[test]
fn a_stopped_command_can_be_stopped() {
    let place = Place::new();
    let script = format!("trap 'echo TERM > got; exit 0' TERM; {READY} kill -STOP $$; {LINGER}");
    let mut supervised = place.start(&[], &script);
    supervised.wait_for_line("is stopped by SIGSTOP");
    supervised.signal("TERM");
    supervised.end().assert_code(0);
    assert_eq!(place.read("got"), "TERM\n");
}
