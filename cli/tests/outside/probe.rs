//! A probe: a command line that is run again and again beside the command, each success a heartbeat.

use crate::support::{NOTE_BEAT, Place, Supervised, is_alive, now, python, wait_for_file, wait_until, without_silence};

/// A web server that stops answering after three requests while its process lives; the second one is well.
const SERVER: &str = r#"
import http.server, os, signal, time

def note(name, text):
    with open(name, 'a') as file: file.write(f'{text}\n')

def leave(*_):
    note('asked', time.time())
    os._exit(0)

class Handler(http.server.BaseHTTPRequestHandler):
    answered = 0

    def do_GET(self):
        if Handler.answered == 3 and os.environ['SUPERVISED_RESTARTS'] == '0':
            time.sleep(1000)
        Handler.answered += 1
        note('answered' + os.environ['SUPERVISED_RESTARTS'], time.time())
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_): pass

signal.signal(signal.SIGTERM, leave)
server = http.server.HTTPServer(('127.0.0.1', 0), Handler)
with open('port.new', 'w') as file: file.write(str(server.server_address[1]))
os.rename('port.new', 'port')
server.serve_forever()
"#;

const ASK: &str = "import urllib.request; urllib.request.urlopen('http://127.0.0.1:' + open('port').read())\n";

/// A command that beats, and leaves when it is asked to.
const BEAT: &str = "trap 'exit 0' TERM; while :; do echo > heartbeat.txt; sleep 0.05; done";

/// A command that never beats, and leaves when it is asked to.
const SILENT: &str = "trap 'date +%s.%N >> asked; exit 0' TERM; echo > ready; while :; do sleep 0.01; done";

/// Supervises the web server until it is well again.
fn supervise_server(line: &str) {
    let place = Place::new();
    std::fs::write(place.path("server.py"), SERVER).unwrap();
    std::fs::write(place.path("ask.py"), ASK).unwrap();
    let options = ["--probe", line, "--probe-interval", "0.2", "--timeout", "20", "--backoff-factor", "0"];
    let command = [python(), "server.py"];
    let mut supervised = Supervised::start(place.supervisor(options.iter().chain(&command)));
    supervised.wait_for_line("run 2: the supervisor saw a heartbeat of pid");
    wait_until("it answers for longer than the timeout", || {
        let answers = place.numbers("answered1");
        answers.last().is_some_and(|last| last - answers[0] > 20.5)
    });
    supervised.signal("TERM");
    let end = supervised.end();
    end.assert_code(0);
    end.assert_tells(&[
        "run 1: the supervisor saw a heartbeat of pid",
        "run 1: hung",
        "sent SIGTERM",
        "run 2: started",
        "stopped",
    ]);
    assert_eq!(end.count(": hung:"), 1, "{}", end.log);
    let silence = place.numbers("asked")[0] - place.numbers("answered0")[2];
    assert!((20.0..34.0).contains(&silence), "asked {silence} s after the last answer: {}", end.log);
}

#[test]
fn a_web_server_that_stops_answering_is_started_again() {
    supervise_server(&format!("{} ask.py", python()));
}

#[test]
fn a_probe_may_be_a_shell_line_in_quotes() {
    supervise_server(&format!("sh -c '\"{}\" ask.py && echo \"it is well\"'", python()));
}

#[test]
fn silence_counts_from_the_end_of_the_last_success() {
    let place = Place::new();
    let probe = place.script("probe", "[ -e done ] && exit 1; sleep 0.5; date +%s.%N > ended; echo > done");
    let options = ["--probe", probe.to_str().unwrap(), "--timeout", "5", "--max-restarts", "0"];
    let end = place.run(&options, SILENT);
    end.assert_code(124);
    let silence = place.numbers("asked")[0] - place.numbers("ended")[0];
    assert!((5.0..14.0).contains(&silence), "asked after {silence} s: {}", end.log);
}

#[test]
fn a_probe_that_never_succeeds_is_silence_from_the_start() {
    let place = Place::new();
    let before = now();
    let options = ["--probe", "false", "--probe-interval", "0.1", "--timeout", "4", "--max-restarts", "0"];
    let end = place.run(&options, SILENT);
    end.assert_code(124);
    let waited = place.numbers("asked")[0] - before;
    assert!((4.0..13.0).contains(&waited), "{waited}");
    end.assert_tells(&["the probe exited with code 1", "hung", "no probe succeeded"]);
}

#[test]
fn a_probe_that_runs_when_the_command_hangs_is_named() {
    let place = Place::new();
    let probe = place.script("probe", "[ -e second ] && exec sleep 1000; echo > second; exit 1");
    let options =
        ["--probe", probe.to_str().unwrap(), "--probe-interval", "0.1", "--timeout", "6", "--max-restarts", "0"];
    let end = place.run(&options, "exec sleep 1000");
    end.assert_code(124);
    end.assert_tells(&["the probe was still running when the supervisor found that the command hangs"]);
}

#[test]
fn a_file_counts_where_the_probe_fails_and_the_probe_where_the_file_is_silent() {
    let fails = ["--probe", "false", "--probe-interval", "0.1", "--timeout", "1", "--max-restarts", "0"];
    let beats = format!("for i in 1 2 3 4 5 6 7 8 9 10 11 12; do {NOTE_BEAT}; echo > heartbeat.txt; sleep 0.2; done");
    let (_, end) = without_silence(1.0, |place| place.run(&fails, &beats));
    end.assert_code(0);
    assert_eq!(end.count("hung"), 0, "{}", end.log);

    let place = Place::new();
    let succeeds = ["--probe", "true", "--probe-interval", "0.1", "--timeout", "3", "--max-restarts", "0"];
    let end = place.run(&succeeds, "sleep 7.5");
    end.assert_code(0);
    assert_eq!(end.count("hung"), 0, "{}", end.log);
    end.assert_tells(&["heartbeat of pid", "for the first time", "finished"]);
}

#[test]
fn a_probe_that_hangs_is_ended_after_the_timeout_and_another_one_follows() {
    let place = Place::new();
    let probe = place.script("probe", "echo $$ >> pids; date +%s.%N >> starts; exec sleep 1000");
    let options = ["--probe", probe.to_str().unwrap(), "--probe-interval", "0.8", "--timeout", "3.2"];
    let before = now();
    let mut supervised = place.start(&options, BEAT);
    let line = supervised.wait_for_line("the probe ");
    assert!(line.contains("took longer than the timeout, and the supervisor killed it"), "{line}");
    wait_until("there is a second one", || place.numbers("starts").len() == 2);
    let pid = place.read("pids").lines().next().unwrap().parse().unwrap();
    assert!(!is_alive(pid), "two probes run at a time");
    // The first one itself may tell late of its start.
    let second = place.numbers("starts")[1];
    assert!(second - before >= 4.0, "{second} - {before}");
    supervised.signal("TERM");
    let end = supervised.end();
    end.assert_code(0);
    assert_eq!(end.count("hung"), 0, "{}", end.log);
}

#[test]
fn what_a_probe_leaves_behind_ends_with_it() {
    let place = Place::new();
    let daemon = "(setsid env -i PATH=$PATH sh -c 'echo $$ >> pids; exec sleep 1000' &)";
    let probe = place.script("probe", &format!("{daemon}; while ! [ -s pids ]; do sleep 0.01; done"));
    let options = ["--probe", probe.to_str().unwrap(), "--probe-interval", "1000"];
    let mut supervised = place.start(&options, BEAT);
    let command = supervised.command_pid();
    let pid = wait_for_file(&place.path("pids")).parse().unwrap();
    wait_until("the daemon is gone", || !is_alive(pid));
    assert!(is_alive(command));
    supervised.signal("TERM");
    supervised.end().assert_code(0);
}

#[test]
fn a_probe_that_is_not_there_is_refused_at_the_start() {
    let place = Place::new();
    std::fs::write(place.path("text"), "text").unwrap();
    place.script("orphan", "");
    std::fs::write(place.path("orphan"), "#!/no/such/interpreter\n").unwrap();
    let table = [
        ("no-such-program --fast", 125, "there is no such program"),
        ("./missing", 125, "there is no such program"),
        ("./text", 125, "make it executable"),
        ("./orphan", 125, "its interpreter /no/such/interpreter is not there"),
        ("sh -c 'exit 0", 2, "close them"),
        ("", 2, "give a command line"),
    ];
    for (line, code, words) in table {
        let end = place.run(&["--probe", line], "echo > started");
        end.assert_code(code);
        end.assert_tells(&["--probe", words]);
        assert_eq!(end.log.lines().count(), 1, "{}", end.log);
        assert!(!place.path("started").exists());
    }
}

#[test]
fn a_probe_without_hang_detection_is_refused() {
    let place = Place::new();
    let end = place.run(&["--no-heartbeat", "--probe", "true"], "echo > started");
    end.assert_code(2);
    end.assert_tells(&["--no-heartbeat", "--probe"]);
    assert!(!place.path("started").exists());
}

/// A probe that vanishes later fails like any other.
#[test]
fn a_probe_that_vanishes_is_told() {
    let place = Place::new();
    let probe = place.script("probe", "rm \"$0\"");
    let options = ["--probe", probe.to_str().unwrap(), "--probe-interval", "0.1"];
    let mut supervised = place.start(&options, BEAT);
    supervised.wait_for_line("the probe could not be started: No such file");
    supervised.signal("TERM");
    supervised.end().assert_code(0);
}

#[test]
fn a_probe_has_the_environment_of_the_command_and_its_pid() {
    let place = Place::new();
    let probe = place.script("probe", "env > probe.new && mv probe.new probe.env");
    let script = "trap 'exit 0' TERM; echo $$ > pid; while :; do sleep 0.01; done";
    let mut command = place.supervisor(["--probe", probe.to_str().unwrap(), "sh", "-c", script]);
    command.env("OF_THE_USER", "its value").env("SUPERVISOR_TIMEOUT", "100");
    let supervised = Supervised::start(command);
    let pid = wait_for_file(&place.path("pid"));
    wait_until("it was probed", || place.path("probe.env").exists());
    let environment = place.read("probe.env");
    let value = |name: &str| environment.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    assert_eq!(value("SUPERVISED_PID"), Some(&*pid));
    assert_eq!(value("OF_THE_USER"), Some("its value"));
    assert_eq!(value("SUPERVISOR_TIMEOUT"), None);
    assert_eq!(value("HEARTBEAT_FILE"), place.path("heartbeat.txt").to_str());
    supervised.signal("TERM");
    supervised.end().assert_code(0);
}

#[test]
fn the_last_line_that_a_probe_said_is_in_the_log() {
    let place = Place::new();
    let long = "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; echo last words >&2; echo; exit 3";
    let probe = place.script("probe", long);
    let options = ["--probe", probe.to_str().unwrap(), "--probe-interval", "0.1"];
    let mut supervised = place.start(&options, BEAT);
    let line = supervised.wait_for_line("the probe ");
    assert!(line.ends_with("the probe exited with code 3; it said: last words"), "{line}");
    supervised.signal("TERM");
    let end = supervised.end();
    end.assert_code(0);
    assert_eq!(end.count("line 1"), 0, "{}", end.log);
}

#[test]
fn a_flood_from_a_probe_holds_nothing_up() {
    let place = Place::new();
    let mut supervised = place.start(&["--probe", "yes", "--timeout", "1"], BEAT);
    supervised.wait_for_line("took longer than the timeout");
    supervised.signal("TERM");
    supervised.end().assert_code(0);
}

#[test]
fn probes_begin_after_the_initial_delay() {
    let place = Place::new();
    let probe = place.script("probe", "date +%s.%N >> probes");
    let options = ["--probe", probe.to_str().unwrap(), "--initial-check-delay", "0.8"];
    let before = now();
    let supervised = place.start(&options, BEAT);
    wait_until("it is probed", || !place.numbers("probes").is_empty());
    let waited = place.numbers("probes")[0] - before;
    assert!((0.8..10.0).contains(&waited), "{waited}");
    supervised.signal("TERM");
    supervised.end().assert_code(0);
}

#[test]
fn the_interval_lies_between_the_end_of_a_probe_and_the_start_of_the_next() {
    // Without the option it is a third of the timeout.
    for options in [&["--probe-interval", "0.5"][..], &["--timeout", "1.5"]] {
        let place = Place::new();
        let probe = place.script("probe", "date +%s.%N >> starts; sleep 0.3; date +%s.%N >> ends");
        let supervised = place.start(&[&["--probe", probe.to_str().unwrap()], options].concat(), BEAT);
        wait_until("there are some", || place.numbers("starts").len() >= 4);
        for (end, start) in place.numbers("ends").iter().zip(&place.numbers("starts")[1..]) {
            assert!((0.5..10.0).contains(&(start - end)), "{options:?}: {}", start - end);
        }
        supervised.signal("TERM");
        supervised.end().assert_code(0);
    }
}

/// Probes that end at once keep the loop from nothing: a file is looked at in time, and a stop is heard.
#[test]
fn without_an_interval_probes_follow_each_other_at_once() {
    let place = Place::new();
    let probe = place.script("probe", "echo x >> probes; exit 1");
    let options = ["--probe", probe.to_str().unwrap(), "--probe-interval", "0", "--timeout", "6"];
    let supervised = place.start(&[&options[..], &["--max-restarts", "0"]].concat(), SILENT);
    let end = supervised.end();
    end.assert_code(124);
    let probes = place.read("probes").lines().count();
    // At the usual interval there were four.
    assert!(probes >= 10, "{probes} in six seconds");
    let told = end.count("the probe exited with code 1");
    assert!((1..=8).contains(&told), "{told} lines of {probes} probes");

    let supervised = place.start(&options, BEAT);
    wait_until("it is probed again", || place.read("probes").lines().count() > probes + 10);
    supervised.signal("TERM");
    supervised.end().assert_code(0);
}

#[test]
fn a_probe_ends_with_its_run() {
    let place = Place::new();
    let probe = place.script("probe", "echo $$ >> pids; exec sleep 1000");
    // A probe that takes as long as the timeout is ended anyway.
    let mut options = vec!["--probe", probe.to_str().unwrap(), "--probe-interval", "0.05", "--timeout", "1000"];
    options.extend(["--backoff-factor", "1000"]);
    let mut supervised = place.start(&options, "while ! [ -s pids ]; do sleep 0.01; done; exit 1");
    supervised.wait_for_line("restart 1 in 1000 s");
    let pids: Vec<i32> = place.read("pids").lines().map(|pid| pid.parse().unwrap()).collect();
    wait_until("the probe is gone", || !is_alive(pids[0]));
    supervised.signal("TERM");
    let end = supervised.end();
    end.assert_code(0);
    assert_eq!(place.read("pids").lines().count(), 1, "nothing is probed while nothing runs");
    assert_eq!(end.count("the probe "), 0, "an ended probe is no news: {}", end.log);
}

#[test]
fn a_probe_ends_with_the_supervisor() {
    let place = Place::new();
    let probe = place.script("probe", "trap '' TERM; echo $$ >> pids; while :; do sleep 0.05; done");
    let supervised = place.start(&["--probe", probe.to_str().unwrap()], BEAT);
    let pid = wait_for_file(&place.path("pids")).parse().unwrap();
    supervised.signal("TERM");
    supervised.end().assert_code(0);
    assert!(!is_alive(pid));
}

#[test]
fn a_probe_knows_of_the_restarts_as_the_command_does() {
    let place = Place::new();
    let probe = place.script("probe", "echo \"$SUPERVISED_RESTARTS\" > probed");
    let supervised = place.start(&["--probe", probe.to_str().unwrap()], BEAT);
    assert_eq!(wait_for_file(&place.path("probed")), "0");
    supervised.signal("TERM");
    supervised.end().assert_code(0);
}
