//! Signals to the supervisor, and the signals of the command.

use crate::support::{Place, Supervised, signal, state, wait_for_file, wait_until};
use std::process::Command;

#[test]
fn other_signals_are_passed_on_to_the_command() {
    for name in ["HUP", "QUIT", "USR1", "USR2", "WINCH"] {
        let place = Place::new();
        let script = format!("trap 'echo {name} >> got' {name}; echo > ready; while :; do sleep 0.01; done");
        // In a session of its own the supervisor has no terminal, so that SIGHUP is one of them.
        let mut command = std::process::Command::new("setsid");
        command.args(["env", "--default-signal", env!("CARGO_BIN_EXE_supervisor"), "sh", "-c", &script]);
        command.current_dir(place.path(""));
        let mut supervised = Supervised::start(command);
        let pid = supervised.command_pid();
        wait_for_file(&place.path("ready"));
        supervised.signal(name);
        assert_eq!(wait_for_file(&place.path("got")), name);
        supervised.signal("TERM");
        let end = supervised.end();
        end.assert_code(0);
        end.assert_tells(&[&format!("passed SIG{name} on to pid {pid}")]);
    }
}

#[test]
fn two_hundred_signals_do_no_harm() {
    let place = Place::new();
    let script = "trap 'echo >> got' USR1; echo > ready; while :; do sleep 0.01; done";
    let supervised = place.start(&[], script);
    wait_for_file(&place.path("ready"));
    let flood = format!("i=0; while [ $i -lt 200 ]; do kill -USR1 {}; i=$((i+1)); done", supervised.pid());
    assert!(std::process::Command::new("sh").args(["-c", &flood]).status().unwrap().success());
    wait_until("some arrive", || !place.read("got").is_empty());
    supervised.signal("TERM");
    supervised.end().assert_code(0);
}

/// Signals that proc_pid_status(5) shows of the command, as sets of bits: blocked, ignored.
fn inherited(prelude: &str) -> (u64, u64) {
    let place = Place::new();
    let mut command = std::process::Command::new(crate::support::python());
    let launcher = format!("import os,signal,sys\n{prelude}\nos.execv(sys.argv[1], sys.argv[1:])");
    command.args(["-c", &launcher, env!("CARGO_BIN_EXE_supervisor")]);
    command.args(["grep", "-E", "SigBlk|SigIgn", "/proc/self/status"]).current_dir(place.path(""));
    let end = Supervised::start(command).end();
    end.assert_code(0);
    // Signals 32 and 33 belong to the C library: nobody can set them.
    let of_the_library = 1 << 31 | 1 << 32;
    let field = |name: &str| {
        let line = end.output.lines().find(|line| line.starts_with(name)).unwrap();
        u64::from_str_radix(line.split_whitespace().last().unwrap(), 16).unwrap() & !of_the_library
    };
    (field("SigBlk"), field("SigIgn"))
}

fn bits(numbers: &[u32]) -> u64 {
    numbers.iter().map(|number| 1 << (number - 1)).sum()
}

#[test]
fn the_command_finds_masks_and_dispositions_as_the_supervisor_did() {
    // Whatever the tests were started with, and what Python itself ignores.
    let default = "[signal.signal(number, signal.SIG_DFL) for number in range(1, 32) if number not in (9, 19)]\n";
    assert_eq!(inherited(default), (0, 0));
    let ignored = format!("{default}[signal.signal(number, signal.SIG_IGN) for number in (13, 1, 2, 17, 22, 37)]");
    assert_eq!(inherited(&ignored), (0, bits(&[13, 1, 2, 17, 22, 37])));
    let blocked = format!("{default}signal.pthread_sigmask(signal.SIG_BLOCK, [15, 10, 14, 64])");
    assert_eq!(inherited(&blocked), (bits(&[15, 10, 14, 64]), 0));
}

#[test]
fn a_supervisor_started_with_blocked_signals_hears_them() {
    let place = Place::new();
    let launcher = "import os,signal,sys\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGCHLD])\n\
                    signal.signal(signal.SIGCHLD, signal.SIG_IGN)\nos.execv(sys.argv[1], sys.argv[1:])";
    let mut command = std::process::Command::new(crate::support::python());
    command.args(["-c", launcher, env!("CARGO_BIN_EXE_supervisor"), "--grace-period", "0.2", "sleep", "1000"]);
    command.current_dir(place.path(""));
    let mut supervised = Supervised::start(command);
    supervised.command_pid();
    supervised.signal("TERM");
    // The command has SIGTERM blocked as well, as it was handed down.
    supervised.end().assert_code(137);
}

/// A supervisor that cannot run hears afterwards how its command is, whatever else has happened meanwhile; and its keeper
/// does its work all the time.
#[test]
fn what_happens_while_the_supervisor_is_stopped_is_told_when_it_goes_on() {
    let place = Place::new();
    let script = "(sleep 1000 & echo $! > restless)
        (sh -c 'while ! [ -e go ]; do sleep 0.01; done' & echo $! > brief)
        exec sleep 1000";
    let mut supervised = place.start(&["--no-heartbeat"], script);
    let main = supervised.command_pid();
    let orphan = |name: &str| {
        let pid: i32 = wait_for_file(&place.path(name)).parse().unwrap();
        wait_until("it is an orphan", || crate::support::parent_of(pid) == supervised.keeper());
        pid
    };
    let (restless, brief) = (orphan("restless"), orphan("brief"));
    supervised.signal("STOP");
    wait_until("it is stopped", || state(supervised.pid()) == Some('T'));
    // More news than there is room for on the way to it.
    let change = format!(
        "import os, signal, time\n\
         for i in range(500):\n\
         \x20 for number in signal.SIGSTOP, signal.SIGCONT: os.kill({restless}, number); time.sleep(0.001)"
    );
    assert!(Command::new(crate::support::python()).args(["-c", &change]).status().unwrap().success());
    std::fs::write(place.path("go"), "").unwrap();
    wait_until("the keeper has reaped it", || state(brief).is_none());
    signal(main, "STOP");
    wait_until("the command is stopped", || state(main) == Some('T'));
    supervised.signal("CONT");
    supervised.wait_for_line(&format!("pid {main} (sleep) is stopped by SIGSTOP"));
    supervised.signal("TERM");
    let end = supervised.end();
    end.assert_code(0);
    // The end of an orphan was not taken for that of the command.
    end.assert_tells(&["asks the command to leave", "was killed by SIGTERM"]);
    assert_eq!(end.count("exited with code"), 0, "{}", end.log);
}

#[test]
fn who_ignores_ctrl_z_is_not_stopped_by_it_and_hears_all_else() {
    let place = Place::new();
    let script = "trap 'exit 0' TERM; trap 'echo > passed' USR1; echo > ready; while :; do sleep 0.01; done";
    let mut command = Command::new("env");
    command.args([
        "--default-signal",
        "sh",
        "-c",
        "trap '' TSTP; exec \"$0\" \"$@\"",
        env!("CARGO_BIN_EXE_supervisor"),
    ]);
    command.args(["--no-heartbeat", "sh", "-c", script]).current_dir(place.path("")).env_remove("RUST_LOG");
    let supervised = Supervised::start(command);
    wait_for_file(&place.path("ready"));
    supervised.signal("TSTP");
    supervised.signal("USR1");
    wait_for_file(&place.path("passed"));
    supervised.signal("TERM");
    let end = supervised.end();
    end.assert_code(0);
    assert_eq!(end.count("has stopped the supervisor"), 0, "{}", end.log);
}

/// What becomes of every signal that can be caught.
#[test]
fn every_signal_has_its_meaning() {
    let stops = ["TERM", "INT", "ALRM", "VTALRM", "PROF", "IO", "PWR", "STKFLT", "XCPU"];
    // The last three are the first, the fourth and the last real-time signal.
    let forwarded = ["HUP", "QUIT", "USR1", "USR2", "WINCH", "34", "37", "64"];
    let nothing = ["PIPE", "TTOU", "XFSZ", "CHLD", "URG", "CONT"];
    for name in stops {
        let place = Place::new();
        let supervised =
            place.start(&["--no-heartbeat"], "trap 'exit 0' TERM; echo > ready; while :; do sleep 0.01; done");
        wait_for_file(&place.path("ready"));
        supervised.signal(name);
        let end = supervised.end();
        end.assert_code(0);
        end.assert_tells(&["got SIG", "stopping", "stopped: the supervisor ends with exit code 0"]);
    }
    let place = Place::new();
    let traps: String = forwarded.iter().map(|name| format!("trap 'echo {name} >> got' {name}; ")).collect();
    let script = format!("{traps} echo > ready; while :; do sleep 0.01; done");
    let supervised = place.start(&["--no-heartbeat"], &script);
    wait_for_file(&place.path("ready"));
    nothing.iter().for_each(|name| supervised.signal(name));
    for name in forwarded {
        supervised.signal(name);
        wait_until("it arrives", || place.read("got").lines().any(|got| got == name));
    }
    supervised.signal("TERM");
    let end = supervised.end();
    end.assert_code(0);
    end.assert_tells(&["passed SIGRTMIN on", "passed SIGRTMIN+3 on", "passed SIGRTMIN+30 on"]);
    assert_eq!(place.read("got").lines().count(), forwarded.len());
}
