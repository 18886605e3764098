//! As the first process of a container: a PID namespace of its own, with and without privileges.

use crate::support::{Place, Supervised, children, skipped, wait_for_file};
use std::process::Command;

/// The ways to become the first process; those that are not to be had here are skipped aloud.
fn containers() -> Vec<Vec<&'static str>> {
    namespaces(&["--mount-proc"])
}

fn namespaces(more: &[&'static str]) -> Vec<Vec<&'static str>> {
    let namespace = [&["--pid", "--fork", "--kill-child"], more].concat();
    let ways = [vec![], vec!["--user", "--map-root-user"]];
    let ways = ways.into_iter().map(|way: Vec<&str>| [&way[..], &namespace[..]].concat());
    ways.filter(|way| {
        let trial = Command::new("unshare").args(way).arg("true").output();
        let works = trial.as_ref().is_ok_and(|trial| trial.status.success());
        if !works {
            skipped(&format!("unshare {way:?}: {trial:?}"));
        }
        works
    })
    .collect()
}

fn start(place: &Place, container: &[&str], options: &[&str], script: &str) -> Supervised {
    let mut command = Command::new("unshare");
    command.args(container).arg(env!("CARGO_BIN_EXE_supervisor")).args(options).args(["sh", "-c", script]);
    command.current_dir(place.path("")).env_remove("RUST_LOG");
    Supervised::start(command)
}

#[test]
fn it_passes_the_exit_code_on() {
    for container in containers() {
        let place = Place::new();
        let end = start(&place, &container, &["--max-restarts", "1", "--backoff-factor", "0"], "exit 9").end();
        end.assert_code(9);
        end.assert_tells(&["supervisor[1] run 1: started sh"]);
    }
}

#[test]
fn it_reaps_a_thousand_orphans() {
    for container in containers() {
        let place = Place::new();
        // Each `sh` leaves an orphan behind that ends later.
        let script = "i=0; while [ $i -lt 1000 ]; do (sleep 0.1 &); i=$((i + 1)); done; \
                      while ps -e -o stat=,comm= | grep -E '^Z|sleep' > left; do sleep 0.05; done; echo > reaped; exit 0";
        let end = start(&place, &container, &["--no-heartbeat"], script).end();
        end.assert_code(0);
        assert!(place.path("reaped").exists());
    }
}

#[test]
fn it_clears_what_is_left() {
    for container in containers() {
        let place = Place::new();
        let script = "for i in 1 2 3; do (setsid sh -c 'trap \"\" TERM; echo $$ >> up; sleep 1000' &); done; \
                      while [ $(wc -l < up) -lt 3 ]; do sleep 0.01; done; exit 0";
        std::fs::write(place.path("up"), "").unwrap();
        let end = start(&place, &container, &["--no-heartbeat", "--grace-period", "0.3"], script).end();
        end.assert_code(0);
        end.assert_tells(&["sent SIGTERM to leftovers", "sent SIGKILL to leftovers", "finished"]);
    }
}

/// There it cannot see anybody by the numbers that it knows them by.
#[test]
fn without_a_proc_of_its_own_it_clears_the_namespace() {
    for container in namespaces(&[]) {
        let place = Place::new();
        let daemon = "(setsid sh -c 'trap \"\" TERM; exec 9> lock; flock -n 9 && echo up >> ups; sleep 1000' &)";
        let script =
            format!("{daemon}; while [ $(wc -l < ups) -le $SUPERVISED_RESTARTS ]; do sleep 0.01; done; exit 3");
        std::fs::write(place.path("ups"), "").unwrap();
        let options = ["--no-heartbeat", "--grace-period", "0.2", "--backoff-factor", "0", "--max-restarts", "2"];
        // A daemon that lives on has the lock, so that the next run would wait for ever.
        let end = start(&place, &container, &options, &script).end();
        end.assert_code(3);
        end.assert_tells(&["/proc", "sent SIGTERM to leftovers", "sent SIGKILL to leftovers"]);
    }
}

/// The kernel gives the first process only those signals that it has a handler for.
#[test]
fn it_hears_signals_from_inside_and_outside() {
    for container in containers() {
        let place = Place::new();
        let script = "trap 'echo usr1 >> got' USR1; trap 'echo term >> got; exit 0' TERM; \
                      kill -USR1 1; echo > ready; while :; do sleep 0.01; done";
        let mut supervised = start(&place, &container, &["--no-heartbeat"], script);
        wait_for_file(&place.path("ready"));
        supervised.wait_for_line("passed SIGUSR1 on");
        // A shell that gets another signal before a trap has done anything may do what that one asks first.
        wait_for_file(&place.path("got"));
        // The child of unshare is the first process.
        let [first] = children(supervised.pid())[..] else { panic!("unshare has one child") };
        crate::support::signal(first, "TERM");
        let end = supervised.end();
        end.assert_code(0);
        assert_eq!(place.read("got"), "usr1\nterm\n", "{}", end.log);
    }
}

#[test]
fn hooks_and_messages_work_there_too() {
    for container in containers() {
        let place = Place::new();
        let hook = place.script("hook", "echo $SUPERVISOR_EVENT >> names");
        let script = "python3 -c \"import os, socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); \
                      s.sendto(b'READY=1', os.environ['NOTIFY_SOCKET'])\"; exit 0";
        let end = start(&place, &container, &["--notify", "--on-event", hook.to_str().unwrap()], script).end();
        end.assert_code(0);
        end.assert_tells(&["is ready", "finished"]);
        assert_eq!(place.read("names"), "supervising\nstarted\nready\nexited\ndone\n");
    }
}
