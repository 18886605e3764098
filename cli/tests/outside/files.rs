//! The files that tell the state: whole at every moment, gone with a supervisor that was killed, one for each.

use crate::support::{Place, Supervised, is_alive, python, start_disturbed, wait_for_file, wait_until};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

const LINGER: &str = "echo ready > ready; while :; do sleep 0.01; done";

/// All that a supervisor can write.
const ALL: [&str; 6] = ["--status-file", "status", "--metrics-file", "metrics", "--pid-file", "pid"];

fn with_all<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&ALL, more].concat()
}

/// Every name in the folder that a supervisor may have made.
fn files(place: &Place) -> Vec<String> {
    let names = std::fs::read_dir(place.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.contains("supervisor") || ALL.contains(&name.as_str())).collect();
    names.sort();
    names
}

fn wait_for_all(place: &Place) {
    wait_until("all files tell of the run", || {
        place.read("status").contains("\"state\":\"running\"")
            && place.read("metrics").contains("supervisor_up{name=\"metrics\"} 1")
            && place.read("pid").ends_with('\n')
    });
}

/// Reads a file again and again while `work` goes on, and returns all versions that it saw.
fn versions_during(path: &Path, work: impl FnOnce()) -> Vec<String> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen: Vec<String> = Vec::new();
            while !over.load(Ordering::Relaxed) {
                if let Ok(text) = std::fs::read_to_string(path)
                    && seen.last() != Some(&text)
                {
                    seen.push(text);
                }
                // The processor is for the writer.
                thread::sleep(Duration::from_micros(50));
            }
            seen
        });
        work();
        over.store(true, Ordering::Relaxed);
        reader.join().unwrap()
    })
}

#[test]
fn the_pid_file_holds_the_pid_of_the_main_process_while_it_lives() {
    let place = Place::new();
    let script = "while ! [ -s pid ]; do sleep 0.01; done; cp pid copy.new; mv copy.new copy; echo $$ > own; trap 'exit 1' USR1; while :; do sleep 0.01; done";
    let options = ["--pid-file", "pid", "--backoff-factor", "1000", "--restart-signal", "HUP"];
    let mut supervised = place.start(&options, script);
    let first = wait_for_file(&place.path("own"));
    assert_eq!(place.read("pid"), format!("{first}\n"));
    assert_eq!(place.read("copy"), place.read("pid"));
    std::fs::remove_file(place.path("own")).unwrap();
    supervised.signal("USR1");
    supervised.wait_for_line("restart 1 in 1000 s");
    wait_until("it is gone between two runs", || !place.path("pid").exists());
    supervised.signal("HUP");
    let second = wait_for_file(&place.path("own"));
    assert_ne!(first, second);
    wait_until("it is the next one's", || place.read("pid") == format!("{second}\n"));
    supervised.signal("TERM");
    supervised.end().assert_code(0);
    assert_eq!(files(&place), Vec::<String>::new());
}

#[test]
fn a_pid_file_left_from_before_does_not_outlive_the_start() {
    let place = Place::new();
    std::fs::write(place.path("pid"), "999999\n").unwrap();
    let mut supervised = place.start(&["--pid-file", "pid", "--backoff-factor", "1000"], "exit 1");
    supervised.wait_for_line("restart 1 in 1000 s");
    wait_until("it is gone", || !place.path("pid").exists());
    supervised.signal("TERM");
    supervised.end().assert_code(0);
}

#[test]
fn a_reader_of_the_pid_file_sees_a_whole_one_or_none() {
    let place = Place::new();
    let options = ["-q", "--pid-file", "pid", "--max-restarts", "300", "--backoff-factor", "0"];
    let seen = versions_during(&place.path("pid"), || place.run(&options, "sleep 0.001; exit 1").assert_code(1));
    assert!(seen.len() > 20, "{} versions", seen.len());
    for text in seen {
        let pid = text.strip_suffix('\n').and_then(|pid| pid.parse::<u32>().ok());
        assert!(pid.is_some_and(|pid| pid > 1), "{text:?}");
    }
    assert!(!place.path("pid").exists());
}

#[test]
fn a_reader_of_the_metrics_sees_whole_ones() {
    let place = Place::new();
    let options = ["-q", "--metrics-file", "metrics", "--max-restarts", "300", "--backoff-factor", "0"];
    let seen = versions_during(&place.path("metrics"), || place.run(&options, "exit 1").assert_code(1));
    assert!(seen.len() > 20, "{} versions", seen.len());
    let lines = seen[0].lines().count();
    for text in seen {
        assert!(text.ends_with('\n') && text.lines().count() == lines, "{text:?}");
    }
}

#[test]
fn each_change_is_a_new_file_that_others_can_read() {
    let place = Place::new();
    let options = with_all(&["--restart-signal", "HUP"]);
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "umask 077; exec \"$@\"", "sh", "env", "--default-signal", env!("CARGO_BIN_EXE_supervisor")]);
    command.args(options).args(["sh", "-c", LINGER]).current_dir(place.path(""));
    let mut supervised = Supervised::start(command);
    wait_for_all(&place);
    let inode = |name: &str| std::fs::metadata(place.path(name)).map(|found| found.ino()).unwrap_or(0);
    let before = ["status", "metrics", "pid"].map(inode);
    for name in ["status", "metrics", "pid"] {
        assert_eq!(std::fs::metadata(place.path(name)).unwrap().mode() & 0o777, 0o644, "{name}");
    }
    // A hard link shows that the old one is left as it was.
    std::fs::hard_link(place.path("status"), place.path("old")).unwrap();
    let old = place.read("old");
    supervised.signal("HUP");
    supervised.wait_for_line("run 2: started");
    wait_until("all are new", || {
        ["status", "metrics", "pid"].map(inode).iter().zip(&before).all(|(new, old)| new != old)
    });
    assert_eq!(place.read("old"), old);
    supervised.signal("TERM");
    supervised.end().assert_code(0);
    assert_eq!(files(&place), ["metrics", "status"], "what tells of the end stays, and nothing else");
}

/// A supervisor with all its files and a folder for sd_notify(3), killed while its command runs.
#[test]
fn files_of_a_killed_supervisor_are_removed() {
    for round in 0..5 {
        let place = Place::new();
        let folder = place.path("run");
        std::fs::create_dir(&folder).unwrap();
        let options = with_all(&["--notify", "--timeout", "1000"]);
        let script = "echo $NOTIFY_SOCKET > socket; while :; do echo > heartbeat.txt; sleep 0.01; done";
        let mut command = place.supervisor(options.iter().chain(&["sh", "-c", script]));
        command.env("XDG_RUNTIME_DIR", &folder).env("TMPDIR", &folder);
        let mut supervised = Supervised::start(command);
        let pid = supervised.command_pid();
        wait_for_all(&place);
        let socket = wait_for_file(&place.path("socket"));
        assert!(Path::new(&socket).exists() && socket.starts_with(folder.to_str().unwrap()), "{socket}");
        let own = place.path(&format!(".supervisor-{}-status", supervised.pid()));
        std::fs::write(&own, "half of the next ver").unwrap();
        supervised.signal("KILL");
        wait_until("the command is gone", || !is_alive(pid));
        wait_until("its files are gone", || files(&place).is_empty());
        wait_until("its folder is gone", || std::fs::read_dir(&folder).unwrap().count() == 0);
        assert!(place.path("heartbeat.txt").exists(), "round {round}: the command's own file is left alone");
    }
}

/// At every moment of many short runs.
#[test]
fn nothing_is_left_of_a_supervisor_that_is_killed_between_two_versions() {
    for round in 0..10 {
        let place = Place::new();
        let options = with_all(&["--timeout", "1000", "--backoff-factor", "0"]);
        let mut supervised = place.start(&options, "[ $SUPERVISED_RESTARTS = 9 ] || exit 1; exec sleep 1000");
        supervised.wait_for_line("run 10: started");
        let end = thread::spawn(move || {
            supervised.signal("KILL");
            supervised.end()
        });
        end.join().unwrap();
        wait_until(&format!("round {round}: {:?} are gone", files(&place)), || files(&place).is_empty());
    }
}

/// That a file cannot be claimed does not mean that another supervisor has it.
#[test]
fn nobody_is_blamed_for_a_claim_that_cannot_be_made() {
    let place = Place::new();
    let denied = ["-e", "trace=bind", "-e", "inject=bind:error=EACCES"];
    let plain = place.supervisor(["--pid-file", "pid", "sh", "-c", "exit 0"]);
    let Some(supervised) = start_disturbed(&denied, &plain) else { return };
    let end = supervised.end();
    end.assert_code(0);
    assert_eq!(end.count("another supervisor"), 0, "{}", end.log);
}

#[test]
fn what_another_supervisor_has_written_since_is_left_alone() {
    let place = Place::new();
    let mut first = place.start(&with_all(&[]), LINGER);
    let pid = first.command_pid();
    wait_for_all(&place);
    let keeper = first.keeper();
    crate::support::signal(keeper, "STOP");
    first.signal("KILL");
    first.end_of_process();
    let second = place.start(&with_all(&[]), &format!("trap 'exit 0' TERM; echo > second; {LINGER}"));
    wait_until("the second one has written all", || {
        let own = format!("\"supervisor\":{},", second.pid());
        place.path("second").exists() && place.read("status").contains(&own) && place.read("status").contains("running")
    });
    wait_for_all(&place);
    let before: Vec<_> = ["status", "metrics", "pid"].map(|name| place.read(name)).into();
    crate::support::signal(keeper, "CONT");
    wait_until("the first one is over", || !is_alive(pid) && !is_alive(keeper));
    let after: Vec<_> = ["status", "metrics", "pid"].map(|name| place.read(name)).into();
    assert_eq!(before, after);
    second.signal("TERM");
    second.end().assert_code(0);
}

/// Nothing runs that could remove them; the next supervisor of the same files does.
#[test]
fn the_next_start_sweeps_what_a_supervisor_killed_in_a_backoff_has_left() {
    let place = Place::new();
    let folder = place.path("run");
    std::fs::create_dir(&folder).unwrap();
    let start = |script: &str| {
        let options = with_all(&["--notify", "--backoff-factor", "1000"]);
        let mut command = place.supervisor(options.iter().chain(&["sh", "-c", script]));
        command.env("XDG_RUNTIME_DIR", &folder).env("TMPDIR", &folder);
        Supervised::start(command)
    };
    let entries = || std::fs::read_dir(&folder).unwrap().count();
    let mut first = start("exit 1");
    first.wait_for_line("restart 1 in 1000 s");
    wait_until("it waits", || place.read("status").contains("backing_off"));
    first.signal("KILL");
    assert_eq!(first.end().signal, Some(9));
    let left = entries();
    let second = start(&format!("trap 'exit 0' TERM; {LINGER}"));
    wait_for_all(&place);
    assert!(entries() <= 1, "{left} were left, now there are {}", entries());
    second.signal("TERM");
    second.end().assert_code(0);
    assert!(!place.path("pid").exists() && entries() == 0);
}

#[test]
fn the_second_supervisor_of_a_file_is_told_so() {
    for option in ["--heartbeat-file", "--status-file", "--metrics-file", "--pid-file"] {
        let place = Place::new();
        std::os::unix::fs::symlink(".", place.path("alias")).unwrap();
        let script = format!("trap 'exit 0' TERM; {LINGER}");
        let patient = ["--grace-period", "60", option];
        let mut first = place.start(&[&["--heartbeat-file", "own1"], &patient[..], &["shared"]].concat(), &script);
        first.command_pid();
        // By another path, too.
        let mut second =
            place.start(&[&["--heartbeat-file", "own2"], &patient[..], &["alias/shared"]].concat(), &script);
        let line = second.wait_for_line("another supervisor");
        assert!(line.contains("WARN") && line.contains("shared") && line.contains(option), "{line}");
        let risk = "the supervisor of the other notices no hang";
        assert_eq!(line.contains(risk), option == "--heartbeat-file", "{line}");
        second.command_pid();
        second.signal("TERM");
        let end = second.end();
        end.assert_code(0);
        assert_eq!(end.count("another supervisor"), 1, "{}", end.log);
        first.signal("TERM");
        let end = first.end();
        end.assert_code(0);
        assert_eq!(end.count("another supervisor"), 0, "{}", end.log);
        // The next one has it for itself.
        let end = place.run(&["--heartbeat-file", "own1", option, "shared"], "exit 0");
        assert_eq!(end.count("another supervisor"), 0, "{}", end.log);
    }
}

#[test]
fn supervisors_with_files_of_their_own_are_told_nothing() {
    let place = Place::new();
    let first = place.start(&["--heartbeat-file", "a", "--status-file", "sa"], LINGER);
    wait_for_file(&place.path("ready"));
    let end = place.run(&["--heartbeat-file", "b", "--status-file", "sb"], "exit 0");
    assert_eq!(end.count("another supervisor"), 0, "{}", end.log);
    first.signal("TERM");
    first.end().assert_code(0);
}

/// A supervisor that was killed holds no file any more.
#[test]
fn a_killed_supervisor_claims_nothing() {
    let place = Place::new();
    let first = place.start(&["--status-file", "status"], LINGER);
    wait_for_file(&place.path("ready"));
    first.signal("KILL");
    assert_eq!(first.end().signal, Some(9));
    let end = place.run(&["--status-file", "status"], "exit 0");
    assert_eq!(end.count("another supervisor"), 0, "{}", end.log);
}

#[test]
fn log_and_hook_get_the_same_bytes() {
    let place = Place::new();
    let hook = place.script("hook", "cat >> records; echo >> records");
    let options = ["--log-format", "json", "--on-event", hook.to_str().unwrap(), "--timeout", "10"];
    let more = ["--max-restarts", "1", "--backoff-factor", "0.1", "--notify", "--grace-period", "20"];
    let script = "import os, socket, sys, time\n\
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect(os.environ['NOTIFY_SOCKET'])\n\
        s.send('STATUS=\\u00e9 \"quoted\" \\\\ \\x1b \\u202e'.encode()); s.send(b'READY=1')\n\
        if os.environ['SUPERVISED_RESTARTS'] == '1': sys.exit(3)\n\
        time.sleep(1000)";
    let command = [python(), "-c", script];
    let end = Supervised::start(place.supervisor(options.iter().chain(&more).chain(&command))).end();
    end.assert_code(3);
    let records = place.read("records");
    let heard: Vec<_> = records.lines().filter(|line| !line.is_empty()).collect();
    // A hook that is too slow misses what repeats.
    let mut told = end.log.lines();
    for record in &heard {
        assert!(told.any(|line| line == *record), "{record} is not in, or too early in:\n{}", end.log);
    }
    for event in ["supervising", "started", "hung", "autopsy", "exited", "backing_off", "done"] {
        let count = |lines: &str| lines.matches(&format!("\"event\":\"{event}\"")).count();
        assert!(count(&records) > 0 && count(&records) == count(&end.log), "{event}: {records}");
    }
}

/// The files of two services of one interpreter do not collide in one folder of the collector.
#[test]
fn metrics_are_labelled_by_the_name_of_their_file() {
    let place = Place::new();
    for name in ["web", "worker"] {
        place.run(&["--metrics-file", &format!("{name}.prom")], "exit 0").assert_code(0);
        assert!(place.read(&format!("{name}.prom")).contains(&format!("supervisor_up{{name=\"{name}\"}} 0")));
    }
    place.run(&["--metrics-file", "x.prom", "--name", "a \"b\" \\ c\nd"], "exit 0").assert_code(0);
    let text = place.read("x.prom");
    assert!(text.contains(r#"supervisor_up{name="a \"b\" \\ c\nd"} 0"#), "{text}");
}

/// Of one that was killed in a backoff, in the middle of a version: its keeper was gone.
#[test]
fn the_next_start_sweeps_half_a_version_of_a_killed_supervisor() {
    let place = Place::new();
    let options = ["--status-file", "status", "--backoff-factor", "1000"];
    let mut first = place.start(&options, "exit 1");
    first.wait_for_line("restart 1 in 1000 s");
    wait_until("it waits", || place.read("status").contains("backing_off"));
    let half = format!(".supervisor-{}-status", first.pid());
    first.signal("KILL");
    assert_eq!(first.end().signal, Some(9));
    std::fs::write(place.path(&half), "half of the next ver").unwrap();
    place.run(&options, "exit 0").assert_code(0);
    assert_eq!(files(&place), ["status"]);
}
