//! A debugger holds the command or a keeper, ptrace(2): it holds up nothing but what it traces.

use crate::support::{
    Guarded, PATIENCE, Place, Supervised, can, children, is_alive, parent_of, python, signal, skipped, state,
    wait_for_file, wait_until,
};
use std::process::Command;
use std::time::Instant;

/// A debugger that lets go of what it has traced when that dies.
pub const LETS_GO: &str = "os.waitpid(PID, 0x40000000)";
/// One that does not.
const HOLDS_ON: &str = "import time\ntime.sleep(1000)";

/// A process that traces another.
pub struct Debugger(Guarded);

impl Debugger {
    pub fn id(&self) -> u32 {
        self.0.0.id()
    }

    /// Waits until it ends by itself.
    pub fn end(mut self) {
        self.0.0.wait().unwrap();
    }
}

/// A debugger that stops a process by PTRACE_SEIZE and PTRACE_INTERRUPT, and does that `then`. None where ptrace(2) is
/// denied.
pub fn debugger(pid: i32, then: &str, place: &Place) -> Option<Debugger> {
    const DENIED: i32 = 77;
    let then = then.replace("PID", &pid.to_string());
    let script = format!(
        "import ctypes, os\nfrom errno import EPERM, ENOSYS\nlibc = ctypes.CDLL(None, use_errno=True)\n\
         for request in 0x4206, 0x4207:\n\
         \x20 if libc.ptrace(request, {pid}, 0, 0) != 0:\n\
         \x20   raise SystemExit({DENIED} if ctypes.get_errno() in (EPERM, ENOSYS) else 2)\n\
         os.waitpid({pid}, 0x40000000)\nopen('held', 'w').write('held\\n')\n{then}"
    );
    let debugger = Command::new(python()).args(["-c", &script]).current_dir(place.path("")).spawn();
    let mut debugger = Guarded(debugger.unwrap());
    let begun = Instant::now();
    while !place.path("held").exists() {
        if let Some(status) = debugger.0.try_wait().unwrap().filter(|status| !status.success()) {
            assert_eq!(status.code(), Some(DENIED), "the debugger of pid {pid}");
            skipped("ptrace(2) is denied");
            return None;
        }
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    Some(Debugger(debugger))
}

/// A debugger that holds the keeper holds up neither a stop nor an exit.
#[test]
fn a_keeper_that_is_traced_is_replaced_by_the_supervisor() {
    let place = Place::new();
    let mut supervised = place.start(&["--no-heartbeat", "--grace-period", "0.3"], "echo > ready; exec sleep 1000");
    wait_for_file(&place.path("ready"));
    let (command, keeper) = (supervised.command_pid(), supervised.keeper());
    let Some(debugger) = debugger(keeper, LETS_GO, &place) else { return };
    supervised.signal("TERM");
    supervised.wait_for_line("does not take orders");
    let end = supervised.end();
    debugger.end();
    assert!(end.code.is_some(), "{}", end.log);
    assert!(!is_alive(keeper) && !is_alive(command));
}

/// Nor do more signals than a keeper that takes none has room for.
#[test]
fn signals_that_a_traced_keeper_does_not_take_hold_up_nothing() {
    let place = Place::new();
    let options = ["--no-heartbeat", "--grace-period", "0.3"];
    let mut supervised = place.start(&options, "trap '' 40; echo > ready; exec sleep 1000");
    wait_for_file(&place.path("ready"));
    let (command, keeper) = (supervised.command_pid(), supervised.keeper());
    let Some(_debugger) = debugger(keeper, HOLDS_ON, &place) else { return };
    let flood = format!("i=0; while [ $i -lt 600 ]; do kill -40 {}; i=$((i + 1)); done", supervised.pid());
    assert!(Command::new("sh").args(["-c", &flood]).status().unwrap().success());
    supervised.signal("TERM");
    supervised.wait_for_line("does not take orders");
    let end = supervised.end();
    assert!(end.code.is_some(), "{}", end.log);
    assert!(!is_alive(keeper) && !is_alive(command));
}

/// Nor does one that does not let go of a dead keeper, nor of a dead command.
#[test]
fn a_debugger_that_holds_a_dead_process_holds_up_nothing_but_that() {
    let place = Place::new();
    let options = ["--no-heartbeat", "--backoff-factor", "0", "--grace-period", "0.3"];
    let mut supervised = place.start(&options, "sleep 1000 & echo > ready; exec sleep 1000");
    wait_for_file(&place.path("ready"));
    let (command, keeper) = (supervised.command_pid(), supervised.keeper());
    let Some(first) = debugger(keeper, HOLDS_ON, &place) else { return };
    signal(command, "KILL");
    supervised.wait_for_line("does not take orders");
    let line = supervised.wait_for_line("run 2: started");
    assert_eq!(state(keeper), Some('Z'));
    std::fs::remove_file(place.path("held")).unwrap();
    let pid = line.split_once("as pid ").unwrap().1.split(';').next().unwrap();
    let command = pid.parse().unwrap();
    let Some(other) = debugger(command, HOLDS_ON, &place) else { return };
    signal(command, "KILL");
    supervised.wait_for_line("has ended, but the debugger that traces it has not let go of it");
    drop([first, other]);
    supervised.wait_for_line("run 3: started");
    supervised.signal("TERM");
    supervised.end().assert_code(0);
}

/// Nor does one that holds the keeper of a probe: the probe is ended, and others follow.
#[test]
fn a_probe_whose_keeper_is_traced_is_ended_and_others_follow() {
    let place = Place::new();
    let probe = place.script("probe", "[ -e pids ] && exit 0; sleep 1000 & echo $! >> pids; echo $$ >> pids; wait");
    let options =
        ["--probe", probe.to_str().unwrap(), "--timeout", "10", "--grace-period", "0.3", "--backoff-factor", "0"];
    let mut supervised = place.start(&options, "exec sleep 1000");
    wait_until("the probe runs", || place.read("pids").lines().count() == 2);
    let pids: Vec<i32> = place.read("pids").lines().map(|pid| pid.parse().unwrap()).collect();
    let Some(_debugger) = debugger(parent_of(pids[1]), HOLDS_ON, &place) else { return };
    supervised.wait_for_line("does not take orders");
    supervised.wait_for_line("saw a heartbeat");
    assert!(pids.iter().all(|&pid| !is_alive(pid)), "{pids:?}");
    supervised.signal("TERM");
    supervised.end().assert_code(0);
}

/// So is one whose keeper is held while it waits for what has been killed.
#[test]
fn a_probe_whose_keeper_is_traced_at_its_end_is_followed_by_others() {
    let place = Place::new();
    let probe = place.script("probe", "[ -e pid ] && echo > next && exit; echo $$ > pid; exec sleep 1000");
    let options = ["--probe", probe.to_str().unwrap(), "--probe-interval", "0.1", "--timeout", "10"];
    let mut supervised = place.start(&options, "while :; do echo > heartbeat.txt; sleep 0.1; done");
    let pid = wait_for_file(&place.path("pid")).parse().unwrap();
    let keeper = parent_of(pid);
    let Some(first) = debugger(pid, HOLDS_ON, &place) else { return };
    wait_until("the probe is killed", || state(pid) == Some('Z'));
    std::fs::remove_file(place.path("held")).unwrap();
    let Some(_other) = debugger(keeper, HOLDS_ON, &place) else { return };
    drop(first);
    supervised.wait_for_line("does not take orders");
    wait_for_file(&place.path("next"));
    supervised.signal("TERM");
    supervised.end().assert_code(0);
}

/// So is a hook.
#[test]
fn a_hook_whose_keeper_is_traced_is_ended_and_others_follow() {
    let place = Place::new();
    let hook = place.script("hook", "[ -e pids ] && echo > next && exit; echo $$ >> pids; exec sleep 1000");
    let options = ["--no-heartbeat", "--on-event", hook.to_str().unwrap(), "--backoff-factor", "0"];
    let mut supervised = place.start(&options, "[ $SUPERVISED_RESTARTS = 1 ] && exec sleep 1000; exit 1");
    let pid = wait_for_file(&place.path("pids")).parse().unwrap();
    let Some(_debugger) = debugger(parent_of(pid), HOLDS_ON, &place) else { return };
    supervised.wait_for_line("does not take orders");
    wait_for_file(&place.path("next"));
    wait_until("the hook is gone", || !is_alive(pid));
    supervised.signal("TERM");
    supervised.end().assert_code(0);
}

/// Nor does one that holds the keeper of a hook outlive the supervisor with it.
#[test]
fn a_hook_whose_keeper_is_traced_does_not_outlive_the_supervisor() {
    let place = Place::new();
    let hook = place.script("hook", "sleep 1000 & echo $! >> pids; echo $$ >> pids; wait");
    let options = ["--no-heartbeat", "--on-event", hook.to_str().unwrap(), "--grace-period", "0.3"];
    let supervised = place.start(&options, "exec sleep 1000");
    wait_until("the hook runs", || place.read("pids").lines().count() == 2);
    let pids: Vec<i32> = place.read("pids").lines().map(|pid| pid.parse().unwrap()).collect();
    let Some(_debugger) = debugger(parent_of(pids[1]), HOLDS_ON, &place) else { return };
    supervised.signal("TERM");
    supervised.end().assert_code(0);
    assert!(pids.iter().all(|&pid| !is_alive(pid)), "{pids:?}");
}
/// As the first process it has two keepers, either of which may be held.
#[test]
fn a_first_process_goes_on_whichever_keeper_is_traced() {
    for outer in [true, false] {
        for then in [LETS_GO, HOLDS_ON] {
            let place = Place::new();
            let mut command = Command::new("unshare");
            command.args(["--pid", "--fork", "--kill-child", "--mount-proc", env!("CARGO_BIN_EXE_supervisor")]);
            command.args(["--no-heartbeat", "--backoff-factor", "0", "--grace-period", "0.3"]);
            command.args(["sh", "-c", "echo > ready; exec sleep 1000"]).current_dir(place.path(""));
            if !can(&["unshare", "--pid", "--fork", "true"]) {
                return skipped("no PID namespace can be had here");
            }
            let mut supervised = Supervised::start(command);
            wait_for_file(&place.path("ready"));
            let first = children(supervised.pid())[0];
            let upper = children(first)[0];
            let lower = children(upper)[0];
            let main = children(lower)[0];
            let Some(debugger) = debugger(if outer { upper } else { lower }, then, &place) else { return };
            signal(main, "KILL");
            supervised.wait_for_line("run 2: started");
            // The kernel waits for the last process of the namespace, the dead one that is traced included.
            drop(debugger);
            signal(first, "TERM");
            let end = supervised.end();
            assert_eq!(end.code, Some(0), "{outer} {then}: {}", end.log);
        }
    }
}

/// Nor does one that holds the keeper hide the end of the command.
#[test]
fn the_end_of_a_command_is_noticed_though_its_keeper_is_traced() {
    let place = Place::new();
    let options = ["--no-heartbeat", "--backoff-factor", "0"];
    let mut supervised = place.start(&options, "sleep 1000 & echo > ready; exec sleep 1000");
    wait_for_file(&place.path("ready"));
    let (command, keeper) = (supervised.command_pid(), supervised.keeper());
    let Some(debugger) = debugger(keeper, LETS_GO, &place) else { return };
    signal(command, "KILL");
    supervised.wait_for_line("does not take orders");
    supervised.wait_for_line("run 2");
    debugger.end();
    assert!(!is_alive(keeper) && !is_alive(command));
    supervised.signal("TERM");
    supervised.end().assert_code(0);
}

/// A debugger of the command that has not let go of it does not discredit the keeper.
#[test]
fn a_keeper_waits_for_the_debugger_of_a_command_that_has_ended() {
    let place = Place::new();
    let mut supervised = place.start(&["--no-heartbeat", "--restart", "never"], "echo > ready; exec sleep 1000");
    wait_for_file(&place.path("ready"));
    let command = supervised.command_pid();
    let Some(debugger) = debugger(command, HOLDS_ON, &place) else { return };
    signal(command, "KILL");
    supervised.wait_for_line("the debugger that traces it has not let go of it");
    assert!(is_alive(supervised.pid()) && state(command) == Some('Z'));
    drop(debugger);
    let end = supervised.end();
    end.assert_code(128 + 9);
    assert!(!end.log.contains("does not take orders"), "{}", end.log);
}
