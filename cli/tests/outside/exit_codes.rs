//! The exit code of the supervisor tells how it ended.

use crate::other_user::{as_other, place_for_other};
use crate::support::{Place, Supervised, copy_program, skipped};
use std::ffi::{OsStr, OsString};

const ONCE: &[&str] = &["--max-restarts", "0"];

#[test]
fn a_command_that_finishes_is_finished() {
    let place = Place::new();
    let end = place.run(&[], "echo run >> runs");
    end.assert_code(0);
    assert_eq!(place.read("runs"), "run\n");
    end.assert_tells(&["started sh", "exited with code 0", "finished: the supervisor ends with exit code 0"]);
}

#[test]
fn the_code_of_the_last_run_is_passed_on() {
    for code in [1, 3, 255] {
        Place::new().run(ONCE, &format!("exit {code}")).assert_code(code);
    }
}

#[test]
fn a_signal_is_passed_on_as_the_shell_does() {
    let killed = Place::new().run(ONCE, "kill -KILL $$");
    killed.assert_code(128 + 9);
    assert_eq!(killed.count("want of memory"), 0, "{}", killed.log);
    Place::new().run(ONCE, "kill -SEGV $$").assert_code(128 + 11);
    // A real-time signal, which has no name.
    Place::new().run(ONCE, "kill -40 $$").assert_code(128 + 40);
}

#[test]
fn a_command_that_is_not_there_is_127_at_once() {
    let place = Place::new();
    for command in ["no-such-command", "./no-such-command", "/no/such/command", ""] {
        let end = Supervised::start(place.supervisor([command])).end();
        end.assert_code(127);
        assert_eq!(end.count(&format!("cannot start \"{command}\": not found")), 1, "{}", end.log);
        assert_eq!(end.count("restart "), 0, "{}", end.log);
    }
}

#[test]
fn a_script_without_its_interpreter_is_127() {
    let place = Place::new();
    let script = place.program("script", "#!/no/such/interpreter\n");
    let end = Supervised::start(place.supervisor([&script])).end();
    end.assert_code(127);
    assert!(end.log.contains("interpreter"), "{}", end.log);
}

#[test]
fn a_command_that_cannot_be_executed_is_126_at_once() {
    let place = Place::new();
    std::fs::write(place.path("text"), "no program").unwrap();
    place.program("garbage", "\0no program");
    for command in ["./text", "./garbage", "/tmp"] {
        let end = Supervised::start(place.supervisor([command])).end();
        end.assert_code(126);
        assert_eq!(end.count(&format!("cannot start {command}: not executable")), 1, "{}", end.log);
    }
}

#[test]
fn a_folder_of_the_path_that_may_not_be_searched_hides_nothing() {
    let place = Place::new();
    std::fs::create_dir(place.path("bin")).unwrap();
    std::fs::write(place.path("bin/tool"), "not executable").unwrap();
    let path = |first: &str| format!("{first}:{}", std::env::var("PATH").unwrap());
    let mut found = place.supervisor(["true"]);
    found.env("PATH", path(place.path("bin").to_str().unwrap()));
    Supervised::start(found).end().assert_code(0);
    let mut found_but_not_executable = place.supervisor(["tool"]);
    found_but_not_executable.env("PATH", path(place.path("bin").to_str().unwrap()));
    Supervised::start(found_but_not_executable).end().assert_code(126);
}

/// Where the whole path is given there is nothing else to find.
#[test]
fn what_a_user_may_not_reach_is_126_by_its_path_and_127_by_its_name() {
    let place = place_for_other();
    let binary = place.path("supervisor");
    let trial = as_other([&binary]).arg("--version").output();
    if !trial.as_ref().is_ok_and(|trial| trial.status.success()) {
        return skipped(&format!("another user cannot run it: {trial:?}"));
    }
    let closed = place.path("closed");
    std::fs::create_dir(&closed).unwrap();
    place.allow("closed", 0o700);
    let mut path = OsString::from("PATH=");
    path.push(&closed);
    path.push(":/no/such/folder");
    for (tool, code) in [(closed.join("tool"), 126), ("tool".into(), 127)] {
        let words: [&OsStr; 4] = [&path, binary.as_ref(), "--no-heartbeat".as_ref(), tool.as_ref()];
        let mut command = as_other(words);
        command.current_dir("/");
        Supervised::start(command).end().assert_code(code);
    }
}

#[test]
fn a_hang_is_124_when_giving_up() {
    let end = Place::new().run(&["--timeout", "0.2", "--max-restarts", "0"], "exec sleep 1000");
    end.assert_code(124);
    end.assert_tells(&[
        "hung",
        "sent SIGTERM",
        "was killed by SIGTERM",
        "giving up",
        "hung; the supervisor ends with exit code 124",
    ]);
}

#[test]
fn never_restarting_passes_the_first_end_on() {
    for (script, code) in [("exit 0", 0), ("exit 9", 9), ("kill -TERM $$", 143), ("exec sleep 1000", 124)] {
        let place = Place::new();
        let end = place.run(&["--restart", "never", "--timeout", "3"], &format!("echo run >> runs; {script}"));
        end.assert_code(code);
        assert_eq!(place.read("runs"), "run\n");
    }
}

#[test]
fn always_restarting_passes_on_a_success_too() {
    let place = Place::new();
    let options = ["--restart", "always", "--max-restarts", "2", "--backoff-factor", "0"];
    place.run(&options, "echo run >> runs").assert_code(0);
    assert_eq!(place.read("runs").lines().count(), 3);
}

#[test]
fn a_busy_program_file_is_a_failed_run() {
    let place = Place::new();
    copy_program("/bin/true", place.path("busy"));
    let writer = std::fs::File::options().append(true).open(place.path("busy")).unwrap();
    let options = ["--max-restarts", "-1", "--backoff-factor", "0.05", "./busy"];
    let mut supervised = Supervised::start(place.supervisor(options));
    supervised.wait_for_line("Text file busy");
    supervised.wait_for_line("restart 1 in 0.05 s");
    drop(writer);
    supervised.end().assert_code(0);

    let _writer = std::fs::File::options().append(true).open(place.path("busy")).unwrap();
    let options = ["--max-restarts", "1", "--backoff-factor", "0.05", "./busy"];
    let end = Supervised::start(place.supervisor(options)).end();
    end.assert_code(126);
    assert_eq!(end.count("cannot start ./busy"), 2, "{}", end.log);
}

#[test]
fn a_command_that_disappears_is_a_failed_run() {
    let place = Place::new();
    let script = place.script("once", "rm \"$0\"; exit 1");
    let options = ["--max-restarts", "2", "--backoff-factor", "0.01", script.to_str().unwrap()];
    let end = Supervised::start(place.supervisor(options)).end();
    end.assert_code(127);
    end.assert_tells(&[
        "exited with code 1",
        "restart 1 of 2",
        "cannot start",
        "restart 2 of 2",
        "cannot start",
        "giving up",
    ]);
}

#[test]
fn a_command_for_which_no_process_can_be_had_is_a_failed_run() {
    let place = Place::new();
    place.allow("", 0o777);
    copy_program(env!("CARGO_BIN_EXE_supervisor"), place.path("supervisor"));
    // The limit does not bind root.
    let launcher = "import os,resource,sys\nif os.getuid() == 0: os.setgid(65534); os.setuid(65534)\n\
                    resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))\nos.execv(sys.argv[1], sys.argv[1:])";
    let mut command = std::process::Command::new(crate::support::python());
    command.args(["-c", launcher, "./supervisor", "--max-restarts", "2", "--backoff-factor", "0.05", "true"]);
    let end = Supervised::start({
        command.current_dir(place.path(""));
        command
    })
    .end();
    end.assert_code(126);
    assert_eq!(end.count("cannot start true"), 3, "{}", end.log);
    end.assert_tells(&["restart 1 of 2", "restart 2 of 2", "giving up"]);
}

/// Where nothing is left to be waited for. The machine may hold up any of them; one that is quick will do.
#[test]
fn the_supervisor_ends_at_once() {
    let ends_at_once = || {
        let begun = std::time::Instant::now();
        Place::new().run(&["--no-heartbeat"], "exit 0").assert_code(0);
        begun.elapsed().as_secs_f64() < 0.9
    };
    assert!((0..20).any(|_| ends_at_once()), "each of 20 took longer");
}
