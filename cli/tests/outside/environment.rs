//! What the command finds when it starts.

use crate::support::{Place, Supervised};
use std::os::fd::AsRawFd;

#[test]
fn the_heartbeat_file_is_an_absolute_path() {
    for (option, name) in [(None, "heartbeat.txt"), (Some("beat"), "beat"), (Some("./sub/../beat"), "sub/../beat")] {
        let place = Place::new();
        let options: Vec<_> = option.iter().flat_map(|path| ["--heartbeat-file", path]).collect();
        let end = place.run(&options, "echo \"$HEARTBEAT_FILE\"");
        let folder = place.path("").canonicalize().unwrap();
        assert_eq!(end.output.trim(), folder.join(name).to_str().unwrap());
    }
}

#[test]
fn restarts_are_counted_for_the_command() {
    let place = Place::new();
    place
        .run(&["--max-restarts", "3", "--backoff-factor", "0"], "echo $SUPERVISED_RESTARTS >> restarts; exit 1")
        .assert_code(1);
    assert_eq!(place.read("restarts"), "0\n1\n2\n3\n");
}

#[test]
fn option_variables_are_taken_out_and_others_stay() {
    let place = Place::new();
    let mut command = place.supervisor(["env"]);
    command.env("SUPERVISOR_TIMEOUT", "30").env("SUPERVISOR_VERBOSE", "1").env("SUPERVISOR_COLOUR", "red");
    command.env("SUPERVISED_RESTARTS", "77").env("HEARTBEAT_FILE", "elsewhere").env("PLAIN", "kept");
    let end = Supervised::start(command).end();
    end.assert_code(0);
    let has = |line: &str| end.output.lines().any(|found| found == line);
    assert!(has("PLAIN=kept") && has("SUPERVISOR_COLOUR=red") && has("SUPERVISED_RESTARTS=0"), "{}", end.output);
    for gone in ["SUPERVISOR_TIMEOUT", "SUPERVISOR_VERBOSE", "SUPERVISED_RESTARTS=77", "elsewhere"] {
        assert!(!end.output.contains(gone), "{gone} in {}", end.output);
    }
}

#[test]
fn nothing_else_is_added() {
    let place = Place::new();
    let mut command = std::process::Command::new("env");
    command.args(["-i", "PLAIN=kept", env!("CARGO_BIN_EXE_supervisor"), "/usr/bin/env"]).current_dir(place.path(""));
    let end = Supervised::start(command).end();
    let mut names: Vec<_> = end.output.lines().map(|line| line.split_once('=').unwrap().0).collect();
    names.sort();
    assert_eq!(names, ["HEARTBEAT_FILE", "PLAIN", "SUPERVISED_RESTARTS"]);
}

#[test]
fn a_supervisor_can_be_supervised() {
    let place = Place::new();
    let mut command = place.supervisor([env!("CARGO_BIN_EXE_supervisor"), "--max-restarts", "0", "sh", "-c", "exit 6"]);
    command.env("SUPERVISOR_MAX_RESTARTS", "1").env("SUPERVISOR_BACKOFF_FACTOR", "0.01");
    let end = Supervised::start(command).end();
    end.assert_code(6);
    assert_eq!(end.count("started sh"), 2, "{}", end.log);
}

#[test]
fn the_command_leads_a_process_group_of_its_own() {
    let place = Place::new();
    let end = place.run(&[], "ps -o pid=,pgid= -p $$");
    let numbers: Vec<_> = end.output.split_whitespace().collect();
    assert_eq!(numbers[0], numbers[1]);
}

#[test]
fn working_directory_and_standard_streams_are_handed_down() {
    let place = Place::new();
    let mut command = place.supervisor(["sh", "-c", "pwd -P; cat; echo error >&2"]);
    std::fs::write(place.path("input"), "input\n").unwrap();
    command.stdin(std::fs::File::open(place.path("input")).unwrap());
    let end = Supervised::start(command).end();
    assert_eq!(end.output, format!("{}\ninput\n", place.path("").canonicalize().unwrap().display()));
    assert_eq!(end.log.lines().filter(|line| *line == "error").count(), 1);
}

#[test]
fn inherited_descriptors_pass_through_and_no_other_leaks() {
    let place = Place::new();
    let file = std::fs::File::create(place.path("inherited")).unwrap();
    let flags = rustix::io::fcntl_getfd(&file).unwrap();
    rustix::io::fcntl_setfd(&file, flags - rustix::io::FdFlags::CLOEXEC).unwrap();
    let descriptor = file.as_raw_fd();
    let script = format!("import os; os.write({descriptor}, b'written\\n'); os.execlp('ls', 'ls', '/proc/self/fd')");
    let end = Supervised::start(place.supervisor(["python3", "-c", &script])).end();
    end.assert_code(0);
    assert_eq!(place.read("inherited"), "written\n");
    let without_supervisor = std::process::Command::new("python3").args(["-c", &script]).output().unwrap();
    assert_eq!(end.output, String::from_utf8(without_supervisor.stdout).unwrap());
}
