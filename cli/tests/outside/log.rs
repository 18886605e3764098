//! The log never gets in the way.

use crate::support::{Guarded, NOTE_BEAT, PATIENCE, Place, Supervised, wait_for_file, wait_until, without_silence};
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;

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
    let mut child = Guarded(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    wait_until("it has made all its restarts", || child.0.try_wait().unwrap().is_some());
    assert_eq!(child.0.wait().unwrap().code(), Some(1));
    assert_eq!(place.read("runs").len(), 1001);
    let mut log = String::new();
    child.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(log.lines().count() < 2000, "{} lines", log.lines().count());
}

/// As an inetd(8) hands it down.
#[test]
fn a_reader_that_stalls_behind_a_socket_delays_nothing() {
    let place = Place::new();
    let (mut reader, log) = UnixStream::pair().unwrap();
    let options = ["--backoff-factor", "0", "--max-restarts", "400"];
    let mut command = place.supervisor(options.into_iter().chain(["sh", "-c", "echo >> runs; exit 1"]));
    let mut child = Guarded(command.stdout(Stdio::null()).stderr(OwnedFd::from(log)).spawn().unwrap());
    drop(command);
    wait_until("it has made all its restarts", || child.0.try_wait().unwrap().is_some());
    assert_eq!((child.0.wait().unwrap().code(), place.read("runs").len()), (Some(1), 401));
    let mut log = String::new();
    reader.read_to_string(&mut log).unwrap();
    assert!(log.lines().count() < 800, "{} lines", log.lines().count());
}

#[test]
fn dropped_lines_are_counted_once_the_reader_reads_again() {
    let place = Place::new();
    // Fails over and over until it is told to rest.
    let script = "echo >> runs; [ -e rest ] && { trap '' USR1; exec sleep 1000; }; exit 1";
    let mut command = place.supervisor(["--backoff-factor", "0", "sh", "-c", script]);
    let mut child = Guarded(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    wait_until("more is logged than fits", || place.read("runs").len() > 800);
    std::fs::write(place.path("rest"), "").unwrap();
    let (told, lines) = channel();
    let stderr = BufReader::new(child.0.stderr.take().unwrap());
    std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| told.send(line)));
    let pid = child.0.id() as i32;
    let mut known = Vec::new();
    let mut lost = None;
    // Each signal is a line in the log, until one finds room there.
    wait_until("lost lines are counted", || {
        crate::support::signal(pid, "USR1");
        known.extend(lines.try_iter());
        lost = known.iter().find(|line| line.contains("the log has lost ")).cloned();
        lost.is_some()
    });
    crate::support::signal(pid, "TERM");
    wait_until("it is stopped", || child.0.try_wait().unwrap().is_some());
    let (before, number) = lost.as_ref().and_then(|line| line.split_once("the log has lost ")).unwrap();
    let (number, _) = number.split_once(' ').unwrap();
    assert!(before.contains(" WARN ") && number.parse::<u32>().unwrap() > 0, "{lost:?}");
    // They are told once.
    known.extend(std::iter::from_fn(|| lines.recv_timeout(PATIENCE).ok()));
    assert_eq!(
        known.iter().filter(|line| line.contains(&format!("the log has lost {number} "))).count(),
        1,
        "{known:?}"
    );
}

/// The journal, which `JOURNAL_STREAM` names by device and inode, notes times itself, and reads priorities.
#[test]
fn the_journal_gets_priorities_and_no_times() {
    let place = Place::new();
    let log = |stream: &str| {
        let line = format!("JOURNAL_STREAM=$(stat -Lc {stream} /proc/self/fd/2) exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &line, env!("CARGO_BIN_EXE_supervisor"), "--max-restarts", "0", "false"]);
        command.current_dir(place.path("")).env_remove("RUST_LOG").env("LC_ALL", "C");
        Supervised::start(command).end().log
    };
    let journal = log("%d:%i");
    assert!(journal.lines().all(|line| line.starts_with('<')), "{journal}");
    assert!(journal.contains("<6>run 1: started false") && journal.contains("<3>giving up"), "{journal}");
    let another = log("%d:%i0");
    assert!(another.lines().all(|line| line.contains("Z ")) && another.contains(" INFO "), "{another}");
}

#[test]
fn a_reader_that_goes_away_ends_nothing() {
    let place = Place::new();
    let script = "echo > ready; while :; do echo > heartbeat.txt; echo >> beats; sleep 0.05; done";
    let mut command = place.supervisor(["--timeout", "0.5", "sh", "-c", script]);
    let mut child = Guarded(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    drop(child.0.stderr.take());
    wait_for_file(&place.path("ready"));
    wait_until("it has beaten for more than a timeout", || place.read("beats").len() > 20);
    assert!(child.0.try_wait().unwrap().is_none());
    crate::support::signal(child.0.id() as i32, "TERM");
    wait_until("it is stopped", || child.0.try_wait().unwrap().is_some());
    assert_eq!(child.0.wait().unwrap().code(), Some(0));
}
