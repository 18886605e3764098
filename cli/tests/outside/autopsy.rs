//! What a hung command was doing can be told afterwards.

use crate::support::{End, Place};

fn autopsy(command: &[&str]) -> End {
    let place = Place::new();
    let options = ["--timeout", "3", "--max-restarts", "0", "--grace-period", "1"];
    let end = crate::support::Supervised::start(place.supervisor(options.iter().chain(command))).end();
    end.assert_code(124);
    end.assert_tells(&["hung", "autopsy", "sent SIGTERM"]);
    end
}

/// Seconds of CPU in the first line with these words.
fn cpu(end: &End, words: &str) -> f64 {
    let line = end.log.lines().find(|line| line.contains("autopsy") && line.contains(words));
    let line = line.unwrap_or_else(|| panic!("{words}: {}", end.log));
    line.split_once("used ").unwrap().1.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_busy_loop() {
    let end = autopsy(&["sh", "-c", "while :; do :; done"]);
    // However busy the machine is, it got some of it.
    assert!(cpu(&end, "(sh): state R (running)") > 0.05, "{}", end.log);
}

#[test]
fn a_deadlock() {
    // However long the interpreter takes to start.
    let script = "import os, socket, threading\nlock = threading.Lock()\n\
        for i in range(3): threading.Thread(target=lambda: (lock.acquire(), lock.acquire())).start()\n\
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'READY=1', os.environ['NOTIFY_SOCKET'])";
    let end = autopsy(&["--notify", "--initial-check-delay", "60", crate::support::python(), "-c", script]);
    let line = end.log.lines().find(|line| line.contains("autopsy")).unwrap();
    assert!(line.contains("state S (sleeping)") && line.ends_with("4 threads"), "{line}");
    assert!(line.contains("futex") || !line.contains(" in "), "{line}");
    assert!(cpu(&end, "python") < 0.9, "{line}");
}

#[test]
fn a_stopped_command() {
    let end = autopsy(&["sh", "-c", "kill -STOP $$; exec sleep 1000"]);
    end.assert_tells(&["is stopped by SIGSTOP", "hung", "stopped by SIGSTOP", "autopsy: pid", "state T (stopped)"]);
}

#[test]
fn a_command_in_a_debugger() {
    let place = Place::new();
    let beats = "while :; do echo > heartbeat.txt; sleep 0.1; done";
    let mut supervised = place.start(&["--timeout", "8", "--max-restarts", "0", "--grace-period", "0.3"], beats);
    let command = supervised.command_pid();
    let Some(debugger) = crate::traced::debugger(command, crate::traced::LETS_GO, &place) else { return };
    let end = supervised.end();
    end.assert_code(124);
    end.assert_tells(&["hung", "autopsy: pid", &format!("traced by pid {}", debugger.id())]);
    debugger.end();
}

#[test]
fn a_sleeping_command_and_its_children() {
    let end = autopsy(&["sh", "-c", "sleep 1000 & sleep 1000 & wait"]);
    assert_eq!(end.count("autopsy"), 3, "{}", end.log);
    assert_eq!(end.count("(sleep): state S (sleeping)"), 2, "{}", end.log);
    assert!(cpu(&end, "(sleep)") < 0.5);
    // It lives, and nobody suspects that it does not.
    assert_eq!(end.count("has ended"), 0, "{}", end.log);
}

/// The kernel lists it with the thread that has started it.
#[test]
fn a_child_of_another_thread() {
    let script = "import subprocess, threading, time\n\
        threading.Thread(target=lambda: subprocess.run(['sleep', '1000'])).start()\n\
        time.sleep(1000)";
    let end = autopsy(&["--initial-check-delay", "10", crate::support::python(), "-c", script]);
    assert_eq!(end.count("(sleep): state S (sleeping)"), 1, "{}", end.log);
}

/// Of many, those that are not told one by one are summed up.
#[test]
fn a_command_with_many_children() {
    let end = autopsy(&["--initial-check-delay", "10", "sh", "-c", "for i in $(seq 59); do sleep 1000 & done; wait"]);
    assert_eq!(end.count("autopsy: pid"), 50, "{}", end.log);
    end.assert_tells(&["autopsy: 10 more", " processes, 0 of them running", "of CPU"]);
}

/// What was used before the last heartbeat does not count, be it a file or a message.
#[test]
fn a_command_that_was_busy_before_its_last_heartbeat() {
    let beats = [("", "open(os.environ['HEARTBEAT_FILE'], 'w').close()"), ("--notify", "s.send(b'WATCHDOG=1')")];
    for (option, beat) in beats {
        let script = format!(
            "import os, socket, time\n\
             if 'NOTIFY_SOCKET' in os.environ:\n\
             \x20 s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect(os.environ['NOTIFY_SOCKET'])\n\
             end = time.process_time() + 4\n\
             while time.process_time() < end:\n\
             \x20 {beat}\n\
             \x20 pause = time.process_time() + 0.01\n\
             \x20 while time.process_time() < pause: pass\n\
             time.sleep(1000)"
        );
        let place = Place::new();
        let options = ["--timeout", "2", "--max-restarts", "0"];
        let command = [crate::support::python(), "-c", &script];
        let option = Some(option).filter(|option| !option.is_empty());
        let words = options.iter().copied().chain(option).chain(command);
        let end = crate::support::Supervised::start(place.supervisor(words)).end();
        end.assert_code(124);
        let used = cpu(&end, "python");
        // The last measurement was made one timeout before the last heartbeat, or later.
        assert!(used < 3.5, "{used} of 4 s: {}", end.log);
    }
}
