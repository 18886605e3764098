//! What programs read: the JSON log, the status file, metrics, hooks.

use crate::support::{End, Place, Supervised, is_alive, now, python, wait_for_file, wait_until};
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Objects, each of which must be as `EVENTS.md` says.
fn parse(text: &str) -> Vec<Value> {
    let records = text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")));
    records.inspect(assert_documented).collect()
}

/// Every event has the fields that its row of `EVENTS.md` names, and no others but those in parentheses.
#[track_caller]
fn assert_documented(record: &Value) {
    let event = record["event"].as_str().unwrap();
    let row = include_str!("../../EVENTS.md").lines().find(|line| line.starts_with(&format!("| `{event}` |")));
    let fields = row.unwrap_or_else(|| panic!("{event} is not documented")).split('|').nth(2).unwrap().trim();
    let name = |word: &str| word.trim_matches(['(', ')', '`']).to_owned();
    let (optional, required): (Vec<_>, Vec<_>) = fields.split_whitespace().partition(|word| word.starts_with('('));
    let common = ["version", "time", "supervisor", "level", "event"];
    for field in required.iter().map(|word| name(word)).chain(common.map(String::from)) {
        assert!(record.get(&field).is_some(), "{field} is missing in {record}");
    }
    let known = |field: &str| optional.iter().chain(&required).any(|word| name(word) == field);
    for field in record.as_object().unwrap().keys().filter(|field| *field != "message") {
        assert!(common.contains(&field.as_str()) || known(field), "{field} is not documented: {record}");
    }
}

/// The log of a command that writes nothing on standard error itself.
fn log(end: &End) -> Vec<Value> {
    parse(&end.log)
}

fn events(records: &[Value]) -> Vec<&str> {
    records.iter().map(|record| record["event"].as_str().unwrap()).filter(|event| *event != "input").collect()
}

#[test]
fn every_line_of_the_log_is_an_object() {
    let place = Place::new();
    let options = ["--log-format", "json", "--timeout", "2", "--max-restarts", "1", "--backoff-factor", "0.1"];
    let end = place.run(&options, "if [ $SUPERVISED_RESTARTS = 1 ]; then exit 3; fi; exec sleep 1000");
    end.assert_code(3);
    let records = log(&end);
    assert_eq!(
        events(&records),
        [
            "supervising",
            "started",
            "hung",
            "autopsy",
            "heartbeat_missing",
            "signal_sent",
            "exited",
            "backing_off",
            "started",
            "exited",
            "done"
        ]
    );
    for record in &records {
        assert_eq!(record["version"], 1);
        assert!(record["time"].as_str().unwrap().ends_with('Z') && record["supervisor"].is_u64(), "{record}");
    }
    let of = |event| records.iter().find(|record| record["event"] == event).unwrap();
    assert_eq!((&of("hung")["level"], &of("hung")["run"]), (&"warn".into(), &1.into()));
    assert!(of("hung")["silence"].as_f64().unwrap() >= 2.0);
    assert_eq!(of("backing_off")["delay"], 0.1);
    assert_eq!(of("done")["exit_code"], 3);
    assert_eq!((&of("exited")["signal"], &of("exited")["ending"]), (&15.into(), &"asked".into()));
}

#[test]
fn a_bad_filter_is_told_as_an_object_too() {
    let place = Place::new();
    let mut command = place.supervisor(["--log-format", "json", "true"]);
    command.env("RUST_LOG", "no=such=filter");
    let records = log(&Supervised::start(command).end());
    assert!(records.iter().any(|record| record["event"] == "trouble" && record["with"] == "RUST_LOG"));
}

#[test]
fn the_status_file_tells_the_state() {
    let place = Place::new();
    let options = ["--status-file", "status", "--max-restarts", "4", "--timeout", "0.5", "--backoff-factor", "0"];
    let options = [&options[..], &["--initial-check-delay", "1000"]].concat();
    let script =
        "trap 'exit 0' TERM; [ $SUPERVISED_RESTARTS = 1 ] || exit 7; echo $$ > pid; while :; do sleep 0.01; done";
    let supervised = place.start(&options, script);
    let pid: i64 = wait_for_file(&place.path("pid")).parse().unwrap();
    let status = || serde_json::from_str::<Value>(&place.read("status")).expect("whole JSON");
    wait_until("it runs", || status()["state"] == "running" && status()["run"] == 2);
    let running = status();
    assert_eq!(running["pid"], pid);
    assert_eq!((&running["restarts"], &running["max_restarts"]), (&1.into(), &4.into()));
    assert_eq!((&running["last_exit"]["run"], &running["last_exit"]["code"]), (&1.into(), &7.into()));
    assert_eq!(running["supervisor"], supervised.pid());
    for null in ["last_heartbeat", "next_start", "status", "exit_code"] {
        assert_eq!(running[null], Value::Null, "{null}");
    }
    supervised.signal("TERM");
    supervised.end().assert_code(0);
    let stopped = status();
    assert_eq!(
        (&stopped["state"], &stopped["pid"], &stopped["exit_code"]),
        (&"stopped".into(), &Value::Null, &0.into())
    );
    assert_eq!(stopped["history"].as_array().unwrap().len(), 2);
}

#[test]
fn the_status_file_tells_when_the_next_start_comes_and_when_it_last_beat() {
    let place = Place::new();
    let mut supervised = place.start(
        &["--status-file", "status", "--backoff-factor", "1000", "--timeout", "3"],
        "echo > heartbeat.txt; exec sleep 1000",
    );
    supervised.wait_for_line("restart 1 in 1000 s");
    let status = || serde_json::from_str::<Value>(&place.read("status")).unwrap();
    wait_until("it waits", || status()["state"] == "backing_off");
    let waiting = status();
    assert!(waiting["next_start"].as_str().unwrap() > waiting["since"].as_str().unwrap());
    assert!(waiting["last_heartbeat"].as_str().unwrap() < waiting["since"].as_str().unwrap());
    assert_eq!(waiting["last_exit"]["reason"], "hung");
    supervised.signal("TERM");
    supervised.end().assert_code(0);
}

/// A run that follows one whose heartbeat was seen is told of at once.
#[test]
fn the_status_file_tells_of_the_next_run_before_its_first_heartbeat() {
    let place = Place::new();
    let script = "import os, socket, sys, time\n\
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect(os.environ['NOTIFY_SOCKET'])\n\
        if os.environ['SUPERVISED_RESTARTS'] == '0': s.send(b'WATCHDOG=1'); sys.exit(1)\n\
        time.sleep(1000)";
    let options = ["--notify", "--status-file", "status", "--metrics-file", "metrics", "--backoff-factor", "0.1"];
    let command = [crate::support::python(), "-c", script];
    let mut supervised = Supervised::start(place.supervisor(options.iter().chain(&command)));
    supervised.wait_for_line("for the first time");
    supervised.wait_for_line("run 2: started");
    let status = || serde_json::from_str::<Value>(&place.read("status")).unwrap_or_default();
    wait_until("run 2 is told of", || status()["run"] == 2 && status()["state"] == "running");
    wait_until("the metrics tell it too", || {
        place.read("metrics").lines().any(|line| line.ends_with("} 1") && line.starts_with("supervisor_up"))
    });
    supervised.signal("TERM");
    supervised.end().assert_code(0);
}

#[test]
fn what_is_no_regular_file_is_not_replaced() {
    let place = Place::new();
    assert!(std::process::Command::new("mkfifo").arg(place.path("fifo")).status().unwrap().success());
    let end = place.run(&["--status-file", "fifo"], "echo > started");
    end.assert_code(125);
    end.assert_tells(&["--status-file fifo: cannot be written", "not a regular file"]);
    assert!(!place.path("started").exists());
}

#[test]
fn no_file_is_given_twice() {
    for (options, other) in [
        (vec!["--status-file", "./heartbeat.txt"], "--heartbeat-file"),
        (vec!["--status-file", "x", "--metrics-file", "x"], "--status-file"),
    ] {
        let place = Place::new();
        let end = place.run(&options, "echo > started");
        end.assert_code(2);
        end.assert_tells(&["is the file of", other]);
    }
    for (options, other) in [
        (["--status-file", "alias/heartbeat.txt"], "--heartbeat-file"),
        (["--metrics-file=alias/x", "--pid-file=x"], "--metrics-file"),
    ] {
        let place = Place::new();
        std::os::unix::fs::symlink(".", place.path("alias")).unwrap();
        let end = place.run(&options, "echo > started");
        end.assert_code(2);
        end.assert_tells(&["is the file of", other]);
        assert!(!place.path("started").exists());
    }
}

#[test]
fn what_a_hook_leaves_behind_ends_with_it() {
    let place = Place::new();
    let hook = place.script(
        "hook",
        "[ $SUPERVISOR_EVENT = started ] || exit 0; (setsid sh -c 'echo $$ > daemon; exec sleep 1000' &); \
         while ! [ -s daemon ]; do sleep 0.01; done",
    );
    let supervised = place.start(&["--no-heartbeat", "--on-event", hook.to_str().unwrap()], "exec sleep 1000");
    let daemon: i32 = wait_for_file(&place.path("daemon")).parse().unwrap();
    wait_until("it is gone", || !is_alive(daemon));
    supervised.signal("TERM");
    supervised.end().assert_code(0);
}

/// What repeats is dropped first, and told of; what happens to a run always arrives.
#[test]
fn a_hook_that_is_far_too_slow_misses_what_repeats_and_that_is_told() {
    let place = Place::new();
    let hook = place.script("hook", "echo $SUPERVISOR_EVENT >> calls; [ $SUPERVISOR_EVENT != started ] || sleep 3");
    let script = "trap '' 40; trap 'exit 3' USR1; echo > ready; while :; do sleep 0.05; done";
    let options =
        ["--no-heartbeat", "--on-event", hook.to_str().unwrap(), "--max-restarts", "0", "--grace-period", "30"];
    let mut supervised = place.start(&options, script);
    wait_for_file(&place.path("ready"));
    // Each of these is passed on, and an event of its own.
    let flood =
        format!("i=0; while [ $i -lt 600 ]; do kill -40 {0}; i=$((i + 1)); done; kill -USR1 {0}", supervised.pid());
    assert!(std::process::Command::new("sh").args(["-c", &flood]).status().unwrap().success());
    supervised.wait_for_line("exited with code 3");
    let end = supervised.end();
    end.assert_code(3);
    assert!(end.log.contains("events are lost: the hook is too slow for them"), "{}", end.log);
    let calls = place.read("calls");
    for milestone in ["supervising", "started", "exited", "done"] {
        assert_eq!(calls.lines().filter(|call| *call == milestone).count(), 1, "{milestone}: {calls}");
    }
}

/// It would take the hook a minute to tell all that the command says of itself.
#[test]
fn a_command_that_repeats_its_status_costs_a_slow_hook_no_milestone() {
    let place = Place::new();
    let hook = place.script("hook", "sleep 2; echo $SUPERVISOR_EVENT >> calls");
    let chat = "import os, socket, sys, time\n\
                own = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n\
                for number in range(40):\n    \
                    own.sendto(b'STATUS=%d' % number, os.environ['NOTIFY_SOCKET'])\n    \
                    time.sleep(0.1)\n\
                sys.exit(3)\n";
    std::fs::write(place.path("chat.py"), chat).unwrap();
    let options = ["--notify", "--no-heartbeat", "--max-restarts", "0", "--grace-period", "15"];
    let hook = ["--on-event", hook.to_str().unwrap(), python(), "chat.py"];
    let end = Supervised::start(place.supervisor([&options[..], &hook].concat())).end();
    end.assert_code(3);
    let calls = place.read("calls");
    for milestone in ["started", "exited", "done"] {
        assert_eq!(calls.lines().filter(|call| *call == milestone).count(), 1, "{milestone}: {calls}{}", end.log);
    }
}

/// One after another, these would take twice the grace period.
#[test]
fn near_the_end_slow_hooks_run_side_by_side_and_all_of_them_arrive() {
    let place = Place::new();
    let hook = place.script("hook", "sleep 1; echo $SUPERVISOR_EVENT >> calls");
    let hook = hook.to_str().unwrap();
    let options = ["--no-heartbeat", "--on-event", hook, "--max-restarts", "9", "--backoff-factor", "0"];
    let end = place.run(&[&options[..], &["--grace-period", "16"]].concat(), "exit 3");
    end.assert_code(3);
    assert!(!end.log.contains("not told at the end"), "{}", end.log);
    let calls = place.read("calls");
    for (event, times) in [("started", 10), ("exited", 10), ("done", 1)] {
        assert_eq!(calls.lines().filter(|call| *call == event).count(), times, "{event}: {calls}");
    }
}

/// The rest does not wait for one that is stuck.
#[test]
fn near_the_end_a_hook_that_is_stuck_keeps_no_other_from_running() {
    let place = Place::new();
    let hook =
        place.script("hook", "[ $SUPERVISOR_EVENT = exited ] && exec sleep 1000; echo $SUPERVISOR_EVENT >> calls");
    let options = ["--no-heartbeat", "--grace-period", "8", "--on-event", hook.to_str().unwrap()];
    let supervised = place.start(&options, "exit 0");
    wait_until("the last event is told", || place.read("calls").contains("done"));
    supervised.signal("INT");
    let end = supervised.end();
    end.assert_code(0);
    end.assert_tells(&["not told at the end", "exited"]);
}

/// What repeats gives way to a milestone that waits behind it. How many did is told at once, not only at the end.
#[test]
fn what_gives_way_to_a_milestone_is_counted() {
    let place = Place::new();
    let hook = place.script("hook", "sleep 2; echo $SUPERVISOR_EVENT >> calls");
    let script = "trap '' 40; trap 'exit 3' USR1; echo > ready; while :; do sleep 0.01; done";
    let options = ["--no-heartbeat", "--on-event", hook.to_str().unwrap(), "--backoff-factor", "1000"];
    let mut supervised = place.start(&options, script);
    wait_for_file(&place.path("ready"));
    // Each of these is passed on, and an event of its own.
    (0..9).for_each(|_| supervised.signal("40"));
    supervised.signal("USR1");
    supervised.wait_for_line("lost: the hook is too slow for");
    wait_until("the end is told", || place.read("calls").lines().any(|call| call == "exited"));
    supervised.signal("TERM");
    supervised.end().assert_code(0);
}

#[test]
fn hooks_that_are_cut_off_at_the_end_are_reported() {
    let place = Place::new();
    let hook = place.script("hook", "exec sleep 1000");
    let end = place.run(&["--on-event", hook.to_str().unwrap()], "exit 0");
    end.assert_code(0);
    end.assert_tells(&["not told at the end", "exited, done"]);
}

/// Who does not want to wait for them says so.
#[test]
fn an_interrupt_ends_the_wait_for_hooks_at_the_end() {
    let place = Place::new();
    let hook = place.script("hook", "exec sleep 1000");
    let mut supervised = place.start(&["--grace-period", "200", "--on-event", hook.to_str().unwrap()], "exit 0");
    supervised.wait_for_line("finished");
    supervised.signal("INT");
    let end = supervised.end();
    end.assert_code(0);
    // Each of them would be ended after ten seconds, long before the grace period is over.
    end.assert_tells(&["not told at the end", "exited, done"]);
    assert_eq!(end.count("still running after 10 s"), 0, "{}", end.log);
}

#[test]
fn a_reader_never_sees_half_a_file() {
    let place = Place::new();
    let mut command =
        place.supervisor(["-q", "--status-file", "status", "--max-restarts", "1000", "--backoff-factor", "0", "false"]);
    command.env("RUST_LOG", "off");
    let over = AtomicBool::new(false);
    let (end, seen) = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = 0u32;
            while !over.load(Ordering::Relaxed) {
                if let Ok(text) = std::fs::read_to_string(place.path("status")) {
                    serde_json::from_str::<Value>(&text).unwrap_or_else(|error| panic!("{error}: {text:?}"));
                    seen += 1;
                }
                // The processor is for the writer.
                std::thread::sleep(Duration::from_micros(50));
            }
            seen
        });
        let end = Supervised::start(command).end();
        over.store(true, Ordering::Relaxed);
        (end, reader.join().unwrap())
    });
    end.assert_code(1);
    assert!(seen > 100, "{seen} reads");
    let status: Value = serde_json::from_str(&place.read("status")).unwrap();
    assert_eq!((&status["run"], &status["state"]), (&1001.into(), &"gave_up".into()));
}

#[test]
fn metrics_are_what_prometheus_reads() {
    let place = Place::new();
    place.run(&["--metrics-file", "m.prom", "--max-restarts", "2", "--backoff-factor", "0"], "exit 1").assert_code(1);
    let text = place.read("m.prom");
    for line in ["supervisor_up{name=\"m\"} 0", "supervisor_starts_total{name=\"m\"} 3", "# TYPE supervisor_up gauge"] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
}

#[test]
fn files_that_cannot_be_written_are_refused_at_the_start() {
    for option in ["--status-file", "--metrics-file"] {
        let place = Place::new();
        std::fs::create_dir(place.path("folder")).unwrap();
        for path in ["missing/file", "folder"] {
            let end = place.run(&[option, path], "echo started > started");
            end.assert_code(125);
            end.assert_tells(&[option, path, "cannot be written"]);
            let is_told = end.count("it is a folder; give the path of a file in it") == 1;
            assert_eq!(is_told, path == "folder", "{}", end.log);
            assert!(!place.path("started").exists());
        }
    }
}

#[test]
fn a_status_file_that_can_no_longer_be_written_ends_nothing() {
    let place = Place::new();
    let script = "rm -r sub; [ $SUPERVISED_RESTARTS = 2 ] || exit 1";
    std::fs::create_dir(place.path("sub")).unwrap();
    let end = place.run(&["--status-file", "sub/status", "--backoff-factor", "0"], script);
    end.assert_code(0);
    assert_eq!(end.count("sub/status: cannot be written"), 1, "{}", end.log);
}

#[test]
fn a_hook_reads_every_event_in_order() {
    let place = Place::new();
    let hook = place.script("hook", "echo $SUPERVISOR_EVENT >> names; cat >> records");
    let options = ["--on-event", hook.to_str().unwrap(), "--max-restarts", "1", "--backoff-factor", "0.1"];
    let end = place.run(&options, "exit 3");
    end.assert_code(3);
    let names = "supervising started exited backing_off started exited done";
    assert_eq!(place.read("names").split_whitespace().collect::<Vec<_>>().join(" "), names);
    let records = parse(&place.read("records"));
    assert_eq!(events(&records).join(" "), names);
    assert_eq!(end.count("WARN  supervisor"), 2, "only the exits: {}", end.log);
}

#[test]
fn a_hook_has_the_standard_streams_and_nothing_else() {
    let place = Place::new();
    let hook = place.script("hook", "exec ls /proc/self/fd > fds");
    place.run(&["--on-event", hook.to_str().unwrap()], "exit 0").assert_code(0);
    // The last one is the folder that is listed.
    assert_eq!(place.read("fds").split_whitespace().collect::<Vec<_>>(), ["0", "1", "2", "3"]);
}

#[test]
fn one_hook_runs_at_a_time_and_delays_nothing() {
    let place = Place::new();
    let hook = place.script("hook", "mkdir busy || echo two >> overlaps; sleep 0.3; rmdir busy; echo >> runs");
    let before = Instant::now();
    let hook = hook.to_str().unwrap();
    // The exit waits for hooks one grace period at most.
    let options = ["--on-event", hook, "--max-restarts", "3", "--backoff-factor", "0", "--grace-period", "120"];
    let mut supervised = place.start(&options, "exit 1");
    supervised.wait_for_line("giving up");
    let runs_at_the_end = place.read("runs").lines().count();
    assert!(runs_at_the_end < 13, "supervision waited for its hooks");
    let end = supervised.end();
    end.assert_code(1);
    assert_eq!(place.read("runs").lines().count(), 13, "{}", end.log);
    assert_eq!(place.read("overlaps"), "", "{}", end.log);
    assert!(before.elapsed() >= Duration::from_millis(13 * 300));
}

#[test]
fn a_hook_that_hangs_is_ended_with_its_children_after_ten_seconds() {
    let place = Place::new();
    let hook =
        place.script("hook", "(setsid sh -c 'echo $$ >> pids; exec sleep 1000' &); echo $$ >> pids; exec sleep 1000");
    let before = now();
    // The exit waits for hooks one grace period at most: here a little longer than one of them may take.
    let end = place.run(&["--grace-period", "12", "--on-event", hook.to_str().unwrap()], "exit 0");
    end.assert_code(0);
    let took = now() - before;
    assert!((10.0..25.0).contains(&took), "{took}");
    let pids: Vec<i32> = place.read("pids").lines().map(|pid| pid.parse().unwrap()).collect();
    assert!(!pids.is_empty() && pids.iter().all(|&pid| !is_alive(pid)), "{pids:?}");
}

#[test]
fn hooks_that_fail_are_reported() {
    let place = Place::new();
    let hook = place.script(
        "hook",
        "[ $SUPERVISOR_EVENT = started ] && exit 5; [ $SUPERVISOR_EVENT = exited ] && kill -9 $$; true",
    );
    let options = ["--on-event", hook.to_str().unwrap()];
    let end = place.run(&options, "exit 0");
    end.assert_code(0);
    end.assert_tells(&["--on-event: started: the hook exited with code 5"]);
    end.assert_tells(&["--on-event: exited: the hook was killed by SIGKILL"]);
    let end = place.run(&[&options[..], &["--log-format", "json"]].concat(), "exit 0");
    let told = log(&end).into_iter().find(|record| record["event"] == "trouble" && record["with"] == "hook").unwrap();
    assert_eq!(told["error"], "started: the hook exited with code 5");
}

#[test]
fn a_hook_that_vanishes_is_reported() {
    let place = Place::new();
    let hook = place.script("hook", "rm \"$0\"");
    let end = place.run(&["--on-event", hook.to_str().unwrap()], "exit 0");
    end.assert_code(0);
    end.assert_tells(&["--on-event: started: the hook cannot be started: No such file"]);
}

/// What a hook started is none of the command's business, and the other way round.
#[test]
fn clearing_the_command_spares_its_hooks() {
    let place = Place::new();
    let slow = "sh -c 'sleep 5; echo >> done' & wait";
    let hook = place.script("hook", &format!("[ $SUPERVISOR_EVENT = started ] || exit 0; {slow}"));
    let end =
        place.run(&["--on-event", hook.to_str().unwrap(), "--grace-period", "3"], "trap '' TERM; sleep 1000 & exit 0");
    end.assert_code(0);
    assert_eq!(place.read("done").lines().count(), 1, "{}", end.log);
    // Nor does a hook hold up the end of the run.
    assert!(end.time_of("finished") - end.time_of("exited with code 0") < 4.8, "{}", end.log);
}

#[test]
fn a_hook_that_is_no_program_is_refused() {
    let place = Place::new();
    std::fs::write(place.path("text"), "text").unwrap();
    for (hook, why) in
        [("./text", "executable"), ("./missing", "no such program"), ("no-such-program", "no such program")]
    {
        let end = place.run(&["--on-event", hook], "echo > started");
        end.assert_code(125);
        end.assert_tells(&["--on-event", hook, why]);
        assert!(!place.path("started").exists());
    }
}

#[test]
fn a_hook_is_looked_for_in_the_path() {
    let place = Place::new();
    place.run(&["--on-event", "cat"], "exit 0").assert_code(0);
}

#[test]
fn a_dry_run_tells_the_signals_and_what_is_not_watched() {
    let place = Place::new();
    let end = place.run(&["--dry-run", "--hang-signal", "QUIT", "--grace-period", "7"], "true");
    assert!(
        end.output.contains(
            "SIGTERM asks it to leave, SIGKILL follows after 7 s; if it hangs, SIGQUIT comes first, 7 s before SIGTERM"
        ),
        "{}",
        end.output
    );
    let end = place.run(&["--dry-run", "--no-heartbeat"], "true");
    assert!(end.output.contains("no hang is found: --no-heartbeat"), "{}", end.output);
}

#[test]
fn a_dry_run_starts_nothing() {
    let place = Place::new();
    let end = place.run(&["--dry-run", "--max-restarts", "1", "--timeout", "2"], "echo > started");
    end.assert_code(0);
    assert!(!place.path("started").exists() && end.log.is_empty());
    let story =
        ["crashes at once", "start 1", "next start 1 s later", "gives up after 2 starts", "hangs", "hung at 2 s"];
    let mut rest = end.output.as_str();
    for words in story {
        rest = rest.split_once(words).unwrap_or_else(|| panic!("{words} in {}", end.output)).1;
    }
    assert!(!end.output.contains('\x1b'), "no colour where there is no terminal");
}
