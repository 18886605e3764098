//! How a hung command is made to leave, step by step, and who gets the signals.

use crate::support::{End, Place, Supervised, is_alive, now, python, wait_for_file, wait_until};

const LINGER: &str = "echo ready > ready; while :; do sleep 0.01; done";

/// Notes when each signal came, and stays.
const NOTE: &str = "trap 'date +%s.%N >> quit' QUIT; trap 'date +%s.%N >> term' TERM;";

/// A hang with a signal of its own.
const DUMP: [&str; 4] = ["--timeout", "3", "--hang-signal", "QUIT"];

fn options<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&DUMP, more].concat()
}

/// Asserts how long after each decision the next one came. The log has milliseconds, cut off.
#[track_caller]
fn assert_steps(end: &End, dump: f64, grace: f64) {
    let steps = [("hung: pid", "is still there after SIGQUIT", dump), ("is still there after", "kills it", grace)];
    for (from, to, wanted) in steps {
        let took = end.time_of(to) - end.time_of(from);
        assert!((wanted - 0.0015..wanted + 10.0).contains(&took), "{from}, {to}: {took}: {}", end.log);
    }
}

#[test]
fn hang_signal_stop_signal_and_kill_come_one_after_the_other_and_none_before_its_time() {
    let place = Place::new();
    let more = ["--hang-grace-period", "0.8", "--grace-period", "0.6", "--max-restarts", "0"];
    let before = now();
    let end = place.run(&options(&more), &format!("{NOTE} {LINGER}"));
    end.assert_code(124);
    let (quit, term) = (place.numbers("quit"), place.numbers("term"));
    assert_eq!((quit.len(), term.len()), (1, 1), "each signal comes once: {}", end.log);
    assert!((3.0..10.0).contains(&(quit[0] - before)), "{}", quit[0] - before);
    assert_steps(&end, 0.8, 0.6);
    end.assert_tells(&[
        "hung",
        "autopsy",
        "sent SIGQUIT",
        "is still there after SIGQUIT: the supervisor asks it to leave",
        "sent SIGTERM",
        "grace period of 0.6 s",
        "sent SIGKILL",
        "killed by SIGKILL",
        "giving up",
    ]);
}

#[test]
fn the_time_for_the_dump_is_the_grace_period_where_nothing_else_is_said() {
    let place = Place::new();
    let end = place.run(&options(&["--grace-period", "0.7", "--max-restarts", "0"]), &format!("{NOTE} {LINGER}"));
    end.assert_code(124);
    assert_steps(&end, 0.7, 0.7);
}

#[test]
fn a_command_that_writes_its_dump_and_stays_is_asked_and_leaves() {
    let place = Place::new();
    let script = format!("trap 'echo threads > dump' QUIT; trap 'echo TERM >> dump; exit 0' TERM; {LINGER}");
    let end = place.run(&options(&["--hang-grace-period", "0.5", "--max-restarts", "0"]), &script);
    end.assert_code(124);
    assert_eq!(place.read("dump"), "threads\nTERM\n");
    assert_eq!(end.count("sent SIGKILL"), 0, "{}", end.log);
}

#[test]
fn a_command_that_ends_by_the_hang_signal_is_started_again_without_a_wait() {
    let place = Place::new();
    let more = ["--hang-grace-period", "1000", "--max-restarts", "1", "--backoff-factor", "0"];
    let end = place.run(&options(&more), "ulimit -c 0; exec sleep 1000");
    end.assert_code(124);
    assert_eq!((end.count("sent SIGTERM"), end.count("killed by SIGQUIT")), (0, 2), "{}", end.log);
}

/// The dump ends on its own account, as a core dump of many megabytes does, and takes its time.
#[test]
fn an_exit_during_the_dump_ends_the_wait() {
    let place = Place::new();
    let script = format!("trap 'sleep 0.4; echo whole > dump; exit 134' QUIT; {LINGER}");
    let end = place.run(&options(&["--hang-grace-period", "1000", "--max-restarts", "0"]), &script);
    end.assert_code(124);
    assert_eq!(place.read("dump"), "whole\n");
    assert_eq!(end.count("sent SIGTERM"), 0, "{}", end.log);
}

#[test]
fn leftovers_of_a_dump_are_asked_and_then_killed() {
    let place = Place::new();
    let daemon = |name: &str, trap: &str| {
        format!(
            "(setsid sh -c '{trap} echo $$ > {name}; while :; do sleep 0.01; done' &); while ! [ -s {name} ]; do sleep 0.01; done;"
        )
    };
    let polite = daemon("polite", "trap \"echo TERM > asked; exit 0\" TERM;");
    let deaf = daemon("deaf", "trap \"\" TERM;");
    let more = ["--hang-grace-period", "1000", "--grace-period", "0.6", "--max-restarts", "0"];
    let end = place.run(&options(&more), &format!("{polite} {deaf} trap 'exit 0' QUIT; {LINGER}"));
    end.assert_code(124);
    assert_eq!(place.read("asked"), "TERM\n");
    for name in ["polite", "deaf"] {
        assert!(!is_alive(place.read(name).trim().parse().unwrap()), "{name}");
    }
    end.assert_tells(&["sent SIGQUIT", "exited with code 0", "sent SIGTERM to leftovers", "sent SIGKILL to leftovers"]);
    // It counts from the end that leaves them, which is known before each of them is asked.
    let grace = end.time_of("sent SIGKILL to leftovers") - end.time_of("exited with code 0");
    assert!((0.59..10.0).contains(&grace), "{grace}");
}

#[test]
fn a_stop_during_the_dump_is_a_stop() {
    // It leaves during its dump, when it is asked to, or not at all.
    for (quit, term, code) in
        [("sleep 0.5; exit 3", "", 0), ("echo dump > dump", "exit 5", 0), ("echo dump > dump", ":", 137)]
    {
        let place = Place::new();
        let script = format!("trap '{quit}' QUIT; trap '{term}' TERM; {LINGER}");
        let more = ["--hang-grace-period", "3", "--grace-period", "2"];
        let mut supervised = place.start(&options(&more), &script);
        supervised.wait_for_line("sent SIGQUIT");
        supervised.signal("TERM");
        let end = supervised.end();
        end.assert_code(code);
        end.assert_tells(&["hung", "sent SIGQUIT", "stopping", "stopped"]);
        assert_eq!((end.count("restart "), end.count("run 2")), (0, 0), "{}", end.log);
    }
}

/// A main process with a child in its group, and a daemon; each notes the stop signal in a file of its own.
const FAMILY: &str =
    "(setsid sh -c 'trap \"echo TERM >> of_daemon; exit 0\" TERM; echo > daemon; while :; do sleep 0.01; done' &)
    sh -c 'trap \"echo TERM >> of_child; exit 0\" TERM; echo > child; while :; do sleep 0.01; done' &
    while ! [ -e daemon ] || ! [ -e child ]; do sleep 0.01; done;";

/// Real-time signals queue, so that they can be counted: whether the main process leads its group or has left it.
#[test]
fn the_main_process_gets_the_stop_signal_once() {
    let leave = "pid = os.fork()\n\
        if pid == 0: time.sleep(1000)\n\
        os.setpgid(pid, pid); os.setpgid(0, pid)\n";
    for leaves in ["", leave] {
        let script = format!(
            "import os, signal, time\n\
             {leaves}stop = [40]\n\
             signal.pthread_sigmask(signal.SIG_BLOCK, stop)\n\
             open('up', 'w').write('it is\\n')\n\
             signal.sigwaitinfo(stop); count = 1\n\
             while signal.sigtimedwait(stop, 0.3): count += 1\n\
             open('count', 'w').write(f'{{count}}\\n')"
        );
        let place = Place::new();
        let options = ["--no-heartbeat", "--grace-period", "60", "--stop-signal", "40"];
        let command = [crate::support::python(), "-c", &script];
        let supervised = Supervised::start(place.supervisor(options.iter().chain(&command)));
        wait_for_file(&place.path("up"));
        supervised.signal("TERM");
        supervised.end().assert_code(0);
        assert_eq!(place.read("count"), "1\n", "{leaves}");
    }
}

#[test]
fn the_main_process_alone_gets_the_stop_signal_where_that_is_wanted() {
    let place = Place::new();
    let script = format!("{FAMILY} trap 'sleep 0.5; cp of_child early; exit 0' TERM; {LINGER}");
    let mut supervised = place.start(&["--stop-target", "main"], &script);
    let command = supervised.command_pid();
    wait_for_file(&place.path("ready"));
    supervised.signal("TERM");
    let end = supervised.end();
    end.assert_code(0);
    assert!(!place.path("early").exists(), "the child got it beside its main process");
    // What the main process did not end itself is asked once it is gone.
    assert_eq!((place.read("of_child"), place.read("of_daemon")), ("TERM\n".to_owned(), "TERM\n".to_owned()));
    end.assert_tells(&[&format!("sent SIGTERM to pid {command}"), "exited with code 0", "sent SIGTERM to leftovers"]);
}

#[test]
fn the_group_gets_the_stop_signal_at_once_otherwise() {
    let place = Place::new();
    let script = format!(
        "{FAMILY} trap 'while ! [ -s of_child ]; do sleep 0.01; done; cp of_child early; exit 0' TERM; {LINGER}"
    );
    let supervised = place.start(&["--grace-period", "50"], &script);
    wait_for_file(&place.path("ready"));
    supervised.signal("TERM");
    supervised.end().assert_code(0);
    assert_eq!((place.read("early"), place.read("of_child")), ("TERM\n".to_owned(), "TERM\n".to_owned()));
}

#[test]
fn a_wrapper_that_passes_its_signals_on_gets_each_of_them_once() {
    let place = Place::new();
    let child = "trap \"echo USR1 >> got\" USR1; trap \"echo TERM >> got; exit 0\" TERM; echo > up; while :; do sleep 0.01; done";
    let script = format!(
        "sh -c '{child}' & trap 'kill -USR1 $!' USR1; trap 'kill $!' TERM; while kill -0 $! 2> /dev/null; do wait; done"
    );
    let hang = ["--timeout", "3", "--hang-signal", "USR1", "--hang-grace-period", "0.6"];
    let stop = ["--stop-target", "main", "--grace-period", "50", "--max-restarts", "0"];
    let end = place.run(&[&hang[..], &stop].concat(), &script);
    end.assert_code(124);
    assert_eq!(place.read("got"), "USR1\nTERM\n", "{}", end.log);
}

fn stop(place: &Place, mut supervised: Supervised) -> End {
    supervised.command_pid();
    wait_for_file(&place.path("ready"));
    supervised.signal("TERM");
    supervised.end()
}

#[test]
fn a_command_that_ignores_or_blocks_the_stop_signal_is_told_of() {
    let blocks = "import signal, time\n\
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\n\
        open('ready', 'w').write('ready\\n')\n\
        time.sleep(1000)";
    let ignores = format!("trap '' TERM; {LINGER}");
    for (command, words) in [
        (["sh", "-c", &ignores], "ignores SIGTERM, so that it"),
        ([python(), "-c", blocks], "blocks SIGTERM, so that it"),
    ] {
        let place = Place::new();
        let supervised = Supervised::start(place.supervisor(["--grace-period", "0.3"].iter().chain(&command)));
        let end = stop(&place, supervised);
        end.assert_code(137);
        end.assert_tells(&["sent SIGTERM", words, "--stop-signal", "sent SIGKILL"]);
        assert_eq!(end.count(words), 1, "{}", end.log);
    }
}

#[test]
fn a_command_that_handles_the_stop_signal_and_stays_is_not_said_to_ignore_it() {
    let place = Place::new();
    let supervised = place.start(&["--grace-period", "0.3"], &format!("trap : TERM; {LINGER}"));
    let end = stop(&place, supervised);
    end.assert_code(137);
    assert_eq!((end.count("ignores SIG"), end.count("blocks SIG")), (0, 0), "{}", end.log);
}

#[test]
fn a_main_process_that_cleans_up_and_raises_its_signal_again_has_left_by_itself() {
    let place = Place::new();
    let script = format!("trap 'echo > clean; trap - TERM; kill -TERM $$' TERM; {LINGER}");
    let supervised = place.start(&["--grace-period", "50"], &script);
    let end = stop(&place, supervised);
    end.assert_code(0);
    assert!(place.path("clean").exists());
    end.assert_tells(&["was killed by SIGTERM", "stopped"]);
}

/// Of two deadly signals the kernel takes the first one, mostly, even where SIGKILL follows before the command has run.
#[test]
fn a_main_process_that_ends_by_another_signal_after_the_grace_period_has_left_by_itself() {
    wait_until("SIGTERM ends a command that gets SIGKILL, too", || {
        let place = Place::new();
        let supervised = place.start(&["--grace-period", "0"], "echo ready > ready; exec sleep 1000");
        let end = stop(&place, supervised);
        let is_terminated = end.count("was killed by SIGTERM") == 1;
        end.assert_code(if is_terminated { 0 } else { 137 });
        is_terminated && end.count("sent SIGKILL") == 1
    });
}

/// The signal is sent after the autopsy, which takes a while where the command has many processes; what the command may
/// do about the signal begins with it.
#[test]
fn the_time_for_the_dump_and_the_grace_period_begin_with_their_signals() {
    for (more, from, to) in [
        (&["--hang-signal", "QUIT", "--hang-grace-period", "0.2"][..], "sent SIGQUIT", "sent SIGTERM"),
        (&["--grace-period", "0.2"], "sent SIGTERM", "sent SIGKILL"),
    ] {
        let place = Place::new();
        let many = "i=0; while [ $i -lt 400 ]; do sleep 1000 & i=$((i + 1)); done";
        let script = format!("{many}; trap : QUIT; trap '' TERM; echo > heartbeat.txt; while :; do sleep 0.05; done");
        let end = place.run(&[&["--timeout", "6", "--max-restarts", "0"], more].concat(), &script);
        end.assert_code(124);
        let took = end.time_of(to) - end.time_of(from);
        assert!(took >= 0.2 - 0.0015, "{from}, {to}: {took}");
    }
}
