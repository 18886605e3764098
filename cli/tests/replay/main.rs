//! The program `supervisor-replay`, from outside.

mod browser;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const LIFE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/replay/life.jsonl");
const KILLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/replay/killed.jsonl");

fn replay(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_supervisor-replay")).args(arguments).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_log_is_told() {
    let output = replay(&[LIFE]);
    assert_eq!((output.status.code(), err(&output).as_str()), (Some(0), ""));
    let told = out(&output);
    assert!(told.contains("Checked: 37 facts of the log, played again, led to the same 20 decisions."), "{told}");
    assert!(told.lines().nth(1).unwrap().starts_with("2026-11-25 19:29:01.075  run 1 started"), "{told}");
}

#[test]
fn at_a_moment_only_what_led_to_it_is_told() {
    let told = out(&replay(&[LIFE, "--at", "19:29:02.926"]));
    let lines: Vec<_> = told.lines().filter(|line| line.starts_with("2026-")).collect();
    assert_eq!(lines.len(), 2, "{told}");
    assert!(lines[0].contains("run 2 started") && lines[1].contains("run 2 hung"), "{told}");
    let told = out(&replay(&[LIFE, "--at", "2026-11-25T19:28"]));
    assert!(told.contains("is before this log begins."), "{told}");
}

#[test]
fn a_log_that_differs_is_exit_code_1() {
    let folder = tempfile::tempdir().unwrap();
    let changed = folder.path().join("changed.jsonl");
    fs::write(&changed, fs::read_to_string(LIFE).unwrap().replace("\"delay\":0.2", "\"delay\":0.3")).unwrap();
    let changed = changed.to_str().unwrap();
    let output = replay(&[changed]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains(changed), "{}", err(&output));
    assert!(err(&output).contains("delay is 0.3, where it should be 0.2"), "{}", err(&output));
}

#[test]
fn what_cannot_be_told_names_the_file_and_the_remedy() {
    let table: [(&[&str], i32, &str); 10] = [
        (&[LIFE, "--html", LIFE], 1, "this is the log itself; give another path"),
        (&["/nowhere/log.jsonl"], 1, "/nowhere/log.jsonl: cannot read the log: No such file"),
        (&[concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")], 1, "write the log with --log-format json"),
        (&[LIFE, "--html", "/nowhere/page.html"], 1, "--html /nowhere/page.html: cannot write the page"),
        (&[LIFE, "--at", "noon"], 2, "invalid value 'noon' for '--at <TIME>': give a time in UTC, such as 12:03"),
        (&[], 2, "no log given: supervisor-replay [--at <TIME>] [--html <FILE>] <LOG>"),
        (&[LIFE, "--htlm", "x"], 2, "there is no option --htlm; did you mean --html?"),
        (&[LIFE, "-at", "12:03"], 2, "there is no option -at; did you mean --at?"),
        (&[LIFE, "--html"], 2, "a value is missing for '--html <FILE>'"),
        (&[LIFE, "b\nc"], 2, "there is one word too many: b\\nc"),
    ];
    for (arguments, code, words) in table {
        let output = replay(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        let told = err(&output);
        assert!(told.contains(words), "{arguments:?}: {told}");
        assert!(told.starts_with("supervisor-replay: ") && told.lines().count() == 1, "{arguments:?}: {told}");
        assert_eq!(told.ends_with(" (see supervisor-replay --help)\n"), code == 2, "{told}");
    }
}

#[test]
fn a_log_just_written_by_the_supervisor_is_played_again() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log.jsonl");
    let status = Command::new(env!("CARGO_BIN_EXE_supervisor"))
        .args(["-v", "--log-format", "json", "--no-heartbeat", "--max-restarts", "2", "--backoff-factor", "0"])
        .args(["--", "sh", "-c", "exit 3"])
        .current_dir(folder.path())
        .stderr(fs::File::create(&log).unwrap())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(3));
    let output = replay(&[log.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(out(&output).contains("run 3 exited with code 3; --max-restarts allows no further restart"));
    assert!(out(&output).contains("played again, led to the same"), "{}", out(&output));
}

#[test]
fn nothing_from_a_log_becomes_markup() {
    let folder = tempfile::tempdir().unwrap();
    let (log, page) = (folder.path().join("log.jsonl"), folder.path().join("page.html"));
    let hostile = fs::read_to_string(LIFE).unwrap().replace("\"name\":\"sleep\"", "\"name\":\"<script>&\\u202e\"");
    fs::write(&log, hostile.replace("\"sh\",\"-c\"", "\"</title><img>\",\"-c\"")).unwrap();
    let output = replay(&[log.to_str().unwrap(), "--html", page.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("&lt;script&gt;&amp;\\u{202e}"));
    assert!(page.contains("&lt;/title&gt;&lt;img&gt;"));
    for forbidden in ["<script", "<img", "\u{202e}", "http://", "https://"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
}

/// A supervisor starts in a millisecond; what tells stories must not be in it.
#[test]
fn the_supervisor_itself_holds_nothing_of_the_page() {
    let holds_page = |program: &str| {
        let bytes = fs::read(program).unwrap();
        let words = b"<h1>What happened</h1>";
        bytes.windows(words.len()).any(|window| window == words)
    };
    assert!(holds_page(env!("CARGO_BIN_EXE_supervisor-replay")));
    assert!(!holds_page(env!("CARGO_BIN_EXE_supervisor")));
}

/// Writes the page of a log.
fn page(log: &Path, page: &Path) -> String {
    let output = replay(&[log.to_str().unwrap(), "--html", page.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    fs::read_to_string(page).unwrap()
}
