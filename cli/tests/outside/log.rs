//! The log never gets in the way.

use crate::support::{NOTE_BEAT, Place, Supervised, wait_for_file, wait_until, without_silence};
use std::io::Read;
use std::process::Stdio;

#[test]
fn it_is_empty_if_it_is_off() {
    let place = Place::new();
    let mut command = place.supervisor(["--max-restarts", "1", "--backoff-factor", "0", "false"]);
    command.env("RUST_LOG", "off");
    let end = Supervised::start(command).end();
    end.assert_code(1);
    assert_eq!(end.log, "");
}

#[test]
fn it_can_be_quieter_or_more_detailed() {
    // The first look comes at 1.2 s and sees the heartbeat of 0.9 s, the second at 2.1 s and sees the one of 1.5 s.
    let script = format!("for pause in 0.5 0.4 0.6 0.8; do {NOTE_BEAT}; echo > heartbeat.txt; sleep $pause; done");
    let run = |options: &[&str]| without_silence(1.2, |place| place.run(options, &script)).1;
    let quiet = run(&["-q", "--timeout", "1.2", "--max-restarts", "0"]);
    assert_eq!(quiet.log, "");
    let normal = run(&["--timeout", "1.2", "--max-restarts", "0"]);
    assert_eq!((normal.count("INFO") > 2, normal.count("DEBUG")), (true, 0), "{}", normal.log);
    let detailed = run(&["-v", "--timeout", "1.2", "--max-restarts", "0"]);
    assert!(detailed.count("last heartbeat") > 0, "{}", detailed.log);
}

#[test]
fn the_variable_decides_where_it_is_set_and_makes_sense() {
    let place = Place::new();
    let log = |filter: &str, option: &str| {
        let mut command = place.supervisor([option, "--max-restarts", "0", "false"]);
        command.env("RUST_LOG", filter);
        Supervised::start(command).end()
    };
    assert_eq!(log("off", "-v").log, "");
    assert!(log("", "--no-heartbeat").count("INFO") > 0);
    assert!(log("debug", "--no-heartbeat").count("DEBUG") > 0);
    let end = log("what==", "--no-heartbeat");
    assert_eq!((end.count("the supervisor ignores RUST_LOG"), end.count("started false")), (1, 1), "{}", end.log);
}

#[test]
fn a_reader_that_stalls_delays_nothing() {
    let place = Place::new();
    let options = ["--backoff-factor", "0", "--max-restarts", "1000"];
    let script = "echo >> runs; exit 1";
    let mut command = place.supervisor(options.into_iter().chain(["sh", "-c", script]));
    // Nobody reads this pipe until all is over: it holds far less than is logged.
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("it has made all its restarts", || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert_eq!(place.read("runs").len(), 1001);
    let mut log = String::new();
    child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(log.lines().count() < 2000, "{} lines", log.lines().count());
}

#[test]
fn dropped_lines_are_counted_once_the_reader_reads_again() {
    let place = Place::new();
    // Fails over and over until it is told to rest.
    let script = "echo >> runs; [ -e rest ] && exec sleep 1000; exit 1";
    let mut command = place.supervisor(["--backoff-factor", "0", "sh", "-c", script]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("more is logged than fits", || place.read("runs").len() > 800);
    std::fs::write(place.path("rest"), "").unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut log = String::new();
        stderr.read_to_string(&mut log).unwrap();
        log
    });
    let pid = child.id() as i32;
    let mut runs = 0;
    wait_until("it rests", || {
        let before = std::mem::replace(&mut runs, place.read("runs").len());
        before == runs && crate::support::state(pid) == Some('S')
    });
    crate::support::signal(pid, "TERM");
    wait_until("it is stopped", || child.try_wait().unwrap().is_some());
    let log = reader.join().unwrap();
    let lost = log.lines().find_map(|line| line.split_once("the log has lost "));
    let lost = lost.unwrap_or_else(|| panic!("nothing of lost lines in {} bytes of log", log.len()));
    let number = lost.1.split(' ').next().unwrap_or_default();
    assert!(lost.0.contains(" WARN ") && number.parse::<u32>().unwrap() > 0, "{lost:?}");
}

#[test]
fn a_reader_that_goes_away_ends_nothing() {
    let place = Place::new();
    let script = "echo > ready; while :; do echo > heartbeat.txt; echo >> beats; sleep 0.05; done";
    let mut command = place.supervisor(["--timeout", "0.5", "sh", "-c", script]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    wait_for_file(&place.path("ready"));
    wait_until("it has beaten for more than a timeout", || place.read("beats").len() > 20);
    assert!(child.try_wait().unwrap().is_none());
    crate::support::signal(child.id() as i32, "TERM");
    wait_until("it is stopped", || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
