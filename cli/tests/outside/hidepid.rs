//! `/proc` hides processes from an ordinary user (`hidepid`, proc(5)): one that is not dumpable is not in it at all, or
//! cannot be looked at. It is asked, killed and waited for all the same.

use crate::other_user::{AS_OTHER, other_can_run};
use crate::support::{End, Place, Supervised, copy_program, python, skipped, wait_until};
use std::path::Path;
use std::process::Command;

const WAYS: [u32; 2] = [1, 2];

/// A PID namespace whose `/proc` hides, in which an ordinary user runs what follows.
fn hiding(way: u32) -> Command {
    let script = format!(
        "mount -t proc -o hidepid={way} proc /proc && \
         exec {} env --default-signal \"$@\"",
        AS_OTHER.join(" ")
    );
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount", "--mount-proc", "--kill-child", "sh", "-c", &script, "sh"]);
    command
}

/// Whether this machine can, and hides: a process that runs is not to be read.
fn can_hide(way: u32, place: &Place) -> bool {
    let script = "./hidden 60 & while cat /proc/$!/stat; do :; done; kill $!";
    let mut command = hiding(way);
    let found = command.args(["sh", "-c", script]).current_dir(place.path("")).output();
    found.is_ok_and(|found| found.status.success())
}

/// A place for an ordinary user, with the supervisor and with programs that only may be executed, which makes their
/// processes not dumpable.
fn place() -> Place {
    let place = Place::new();
    place.allow("", 0o777);
    for (program, name, mode) in [
        (env!("CARGO_BIN_EXE_supervisor"), "supervisor", 0o755),
        ("/bin/sleep", "hidden", 0o711),
        ("/bin/sh", "shell", 0o711),
    ] {
        copy_program(program, place.path(name));
        place.allow(name, mode);
    }
    place
}

/// Tries both ways of hiding, each in a place of its own.
fn each_way(try_it: impl Fn(&Place, Command)) {
    for way in WAYS {
        let place = place();
        match can_hide(way, &place) {
            true => {
                let mut command = hiding(way);
                command.current_dir(place.path(""));
                try_it(&place, command);
            }
            false => skipped(&format!("hidepid={way}: not root, or no namespaces")),
        }
    }
}

/// The supervisor, where processes are hidden.
fn hidden(options: &[&str], script: &str, check: impl Fn(&Place, Supervised)) {
    each_way(|place, mut command| {
        command.arg(place.path("supervisor")).args(options).args(["sh", "-c", script]);
        check(place, Supervised::start(command));
    });
}

fn end_of(supervised: Supervised, code: i32) -> End {
    let end = supervised.end();
    end.assert_code(code);
    end
}

#[test]
fn a_hidden_leftover_is_ended_before_the_exit() {
    // While it lives, it holds the supervisor's streams open, so that the end would not come.
    let options = ["--no-heartbeat", "--max-restarts", "0", "--grace-period", "20"];
    hidden(&options, "./hidden 1000 & exit 3", |_, supervised| {
        let end = end_of(supervised, 3);
        assert_eq!(end.count("sent SIGKILL"), 0, "it leaves when it is asked to: {}", end.log);
        end.assert_tells(&["exited with code 3", "sent SIGTERM to leftovers"]);
    });
}

#[test]
fn a_hidden_daemon_is_ended_before_the_next_start() {
    let options = ["--no-heartbeat", "--max-restarts", "2", "--backoff-factor", "0", "--grace-period", "20"];
    let script =
        "(setsid ./shell -c 'trap \"echo gone >> gone; exit 0\" TERM; echo > up; while :; do sleep 0.01; done' &)
        while ! [ -e up ]; do sleep 0.01; done; rm up; cat gone >> seen 2> /dev/null; exit 3";
    hidden(&options, script, |place, supervised| {
        let end = end_of(supervised, 3);
        assert_eq!(place.read("gone"), "gone\n".repeat(3), "{}", end.log);
        assert_eq!(place.read("seen"), "gone\n".repeat(3), "one before the second start, two before the third");
    });
}

#[test]
fn a_hidden_leftover_that_stays_is_killed_after_the_grace_period() {
    let options = ["--no-heartbeat", "--max-restarts", "0", "--grace-period", "0.6"];
    let script = "./shell -c 'trap \"\" TERM; echo > up; while :; do sleep 0.01; done' &
        while ! [ -e up ]; do sleep 0.01; done; exit 3";
    hidden(&options, script, |_, supervised| {
        let end = end_of(supervised, 3);
        end.assert_tells(&["sent SIGTERM to leftovers", "grace period of 0.6 s", "sent SIGKILL to leftovers"]);
        assert_eq!(end.count("survives"), 0, "{}", end.log);
        let grace = end.time_of("sent SIGKILL") - end.time_of("sent SIGTERM");
        assert!((0.55..10.0).contains(&grace), "{grace}: {}", end.log);
    });
}

/// The main process itself is one that cannot be seen.
#[test]
fn a_hidden_command_hangs_and_is_started_again() {
    let options = ["--timeout", "3", "--grace-period", "0.5", "--max-restarts", "1", "--backoff-factor", "0"];
    hidden(
        &options,
        "echo >> starts; exec ./shell -c \"trap '' TERM; while :; do sleep 0.01; done\"",
        |place, supervised| {
            let end = end_of(supervised, 124);
            assert_eq!(place.read("starts"), "\n\n");
            end.assert_tells(&[
                "run 1: hung",
                "sent SIGTERM",
                "sent SIGKILL",
                "run 2: started",
                "run 2: hung",
                "giving up",
            ]);
        },
    );
}

#[test]
fn a_hidden_command_is_stopped_on_request() {
    let script = "exec ./shell -c \"trap 'echo TERM > asked; exit 0' TERM; echo > up; while :; do sleep 0.01; done\"";
    hidden(&["--no-heartbeat", "--stop-on", "USR1"], script, |place, supervised| {
        wait_until("it is up", || place.path("up").exists());
        // The supervisor's number outside of its namespace.
        let found = |pid: &i32| crate::support::name_of(*pid) == "supervisor";
        let mut pid = None;
        wait_until("it is found", || {
            pid = descendants(supervised.pid()).into_iter().find(found);
            pid.is_some()
        });
        crate::support::signal(pid.unwrap(), "USR1");
        let end = end_of(supervised, 0);
        assert_eq!(place.read("asked"), "TERM\n", "{}", end.log);
    });
}

/// A supervisor that the one who asks for its health cannot see lives all the same.
#[test]
fn a_hidden_supervisor_is_healthy() {
    let place = place();
    if !can_hide(2, &place) {
        return skipped("hidepid=2: not root, or no namespaces");
    }
    let script = format!(
        "mount -t proc -o hidepid=2 proc /proc || exit 9; \
        ./supervisor --no-heartbeat --status-file status sleep 1000 & \
        while ! grep -q '\"running\"' status; do kill -0 $! || exit 8; sleep 0.01; done; \
        {} ./supervisor --healthcheck status; \
        code=$?; kill $!; wait; exit $code",
        AS_OTHER.join(" ")
    );
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount", "--mount-proc", "--kill-child", "sh", "-c", &script]);
    command.current_dir(place.path(""));
    let end = Supervised::start(command).end();
    end.assert_code(0);
    assert!(end.output.starts_with("healthy: "), "{}{}", end.output, end.log);
}

fn descendants(pid: i32) -> Vec<i32> {
    let children = crate::support::children(pid);
    let below = children.iter().flat_map(|&child| descendants(child));
    children.iter().copied().chain(below).collect()
}

/// A shell stays, so that the namespace does, which would end the tree with it.
#[test]
fn a_hidden_tree_does_not_outlive_a_killed_supervisor() {
    let stay = "\"$@\"; echo $? > code; while ! [ -e over ]; do sleep 0.01; done";
    // The parent is the keeper, and its parent the supervisor.
    let script = "(setsid ./shell -c 'exec 9> held; echo > up; while :; do sleep 0.01; done' &)
        while ! [ -e up ]; do sleep 0.01; done; kill -KILL $(cut -d' ' -f4 /proc/$PPID/stat); sleep 1000";
    each_way(|place, mut command| {
        command.args(["sh", "-c", stay, "sh"]).arg(place.path("supervisor"));
        let supervised = Supervised::start({
            command.args(["--no-heartbeat", "sh", "-c", script]);
            command
        });
        wait_until("the supervisor is killed", || place.read("code") == "137\n");
        wait_until("the daemon is gone", || !is_held(&place.path("held")));
        std::fs::write(place.path("over"), "").unwrap();
        supervised.end();
    });
}

/// Whether a process has this file open.
fn is_held(path: &Path) -> bool {
    let path = path.canonicalize().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let fds = processes.filter_map(|entry| std::fs::read_dir(entry.path().join("fd")).ok());
    fds.flatten().flatten().any(|fd| std::fs::read_link(fd.path()).is_ok_and(|target| target == path))
}

/// It is known by the credentials that come with a message, which cannot be compared with what `/proc` shows.
#[test]
fn messages_of_a_hidden_command_are_heard() {
    let program = "import ctypes, os, socket, time\n\
        PR_SET_DUMPABLE = 4\n\
        assert ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0) == 0\n\
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect(os.environ['NOTIFY_SOCKET'])\n\
        s.send(b'READY=1\\nSTATUS=it is hidden')\n\
        for i in range(8): s.send(b'WATCHDOG=1'); time.sleep(0.9)\n";
    let Some(python) = [python(), "/usr/bin/python3"].into_iter().find(|python| other_can_run(python)) else {
        return skipped("no Python interpreter is for everybody");
    };
    let options = ["--notify", "--timeout", "4.5", "--max-restarts", "0"];
    let options = [&options[..], &["--initial-check-delay", "20"]].concat();
    hidden(&options, &format!("exec {python} -c \"{program}\""), |_, supervised| {
        let end = end_of(supervised, 0);
        end.assert_tells(&["is ready", "it is hidden", "finished"]);
        assert_eq!((end.count("hung"), end.count("ignored a message")), (0, 0), "{}", end.log);
    });
}
