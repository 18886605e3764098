//! What somebody meets who has just begun: no heartbeat comes, a word is mistyped, a shell is missing.

use crate::other_user::{AS_OTHER, as_other, can_become_other, place_for_other};
use crate::support::{End, Place, Supervised, can, python, skipped};
use std::process::Command;

/// Finds one hang, and gives up.
const ONE_HANG: [&str; 6] = ["--timeout", "0.5", "--max-restarts", "0", "--grace-period", "20"];

/// A command that touches the file that it is told, as well as it can.
const BEAT: &str = "while :; do touch \"$HEARTBEAT_FILE\" 2> /dev/null; sleep 0.1; done";

const REMEDIES: [&str; 3] = ["HEARTBEAT_FILE", "--heartbeat-file", "--no-heartbeat"];

/// Asserts that after the hang one warning says what was found, by its path, and what to do.
#[track_caller]
fn assert_missing(end: &End, path: &str, found: &str) {
    end.assert_code(124);
    end.assert_tells(&["hung", "no heartbeat came"]);
    assert_eq!(end.count("no heartbeat came"), 1, "{}", end.log);
    let line = end.log.lines().find(|line| line.contains("no heartbeat came")).unwrap();
    let all = [&["WARN", path, found], &REMEDIES[..]].concat();
    assert!(all.iter().all(|words| line.contains(words)), "{all:?}: {line}");
    assert_eq!(end.count("for the first time"), 0, "{}", end.log);
}

#[test]
fn the_start_names_the_heartbeat_file_by_its_absolute_path() {
    for (given, expected) in [("heartbeat.txt", "heartbeat.txt"), ("sub/beat", "sub/beat"), ("./beat", "beat")] {
        let place = Place::new();
        let end = place.run(&["--heartbeat-file", given, "--timeout", "1m30s"], "echo $HEARTBEAT_FILE > told");
        end.assert_code(0);
        let path = place.path(expected).display().to_string();
        end.assert_tells(&["started sh as pid", "within 90 s in ", &path]);
        assert_eq!(place.read("told").trim(), path);
    }
}

#[test]
fn a_command_that_knows_of_no_heartbeat_is_told_what_to_do() {
    let place = Place::new();
    let end = place.run(&ONE_HANG, "exec sleep 1000");
    assert_missing(&end, &place.path("heartbeat.txt").display().to_string(), "there is no heartbeat file");
}

/// A command may need longer than the timeout before it beats at all.
#[test]
fn a_first_heartbeat_that_takes_longer_than_the_timeout_is_told_what_to_do() {
    for (probe, remedies) in
        [(&[][..], &["--initial-check-delay", "--timeout"][..]), (&["--probe", "false"], &["--initial-check-delay"])]
    {
        let end = Place::new().run(&[&ONE_HANG[..], probe].concat(), "exec sleep 1000");
        let line = end.log.lines().find(|line| line.contains("no heartbeat came")).unwrap();
        assert!(remedies.iter().all(|remedy| line.contains(remedy)), "{line}");
    }
}

#[test]
fn a_command_that_takes_the_variable_away_is_told_how_to_hand_it_on() {
    let place = Place::new();
    let sudo = place.script("sudo", "unset HEARTBEAT_FILE; exec sleep 1000");
    let sudo = sudo.to_str().unwrap();
    let end = Supervised::start(place.supervisor([&ONE_HANG[..], &[sudo, "-n", "my server"]].concat())).end();
    let path = place.path("heartbeat.txt").display().to_string();
    assert_missing(&end, &path, &format!("supervisor -- {sudo} --preserve-env=HEARTBEAT_FILE -n 'my server'; or "));
}

#[test]
fn each_run_without_a_heartbeat_is_told_of_and_no_other() {
    let place = Place::new();
    let options = ["--timeout", "3", "--max-restarts", "2", "--backoff-factor", "0"];
    let end = place.run(&options, "[ $SUPERVISED_RESTARTS = 1 ] && echo > heartbeat.txt; exec sleep 1000");
    end.assert_code(124);
    end.assert_tells(&[
        "run 1: no heartbeat came",
        "run 2: the supervisor saw a heartbeat of",
        "run 3: no heartbeat came",
        "older than",
    ]);
    assert_eq!((end.count(": hung:"), end.count("no heartbeat came")), (3, 2), "{}", end.log);
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let place = Place::new();
    let end = place.run(&[&ONE_HANG[..], &["--heartbeat-file", "no/such/beat"]].concat(), BEAT);
    assert_missing(&end, &place.path("no/such/beat").display().to_string(), "the folder of the heartbeat file");
}

#[test]
fn a_file_from_before_the_start_is_named_so() {
    let place = Place::new();
    std::fs::write(place.path("heartbeat.txt"), "old").unwrap();
    let end = place.run(&ONE_HANG, "exec sleep 1000");
    assert_missing(&end, &place.path("heartbeat.txt").display().to_string(), "is older than this run");
}

/// As a program does that was written for another folder, or that sudo(8) takes the variable from.
#[test]
fn a_heartbeat_into_another_file_is_none() {
    let place = Place::new();
    std::fs::create_dir(place.path("elsewhere")).unwrap();
    let script = "cd elsewhere; while :; do touch heartbeat.txt; sleep 0.1; done";
    let end = place.run(&ONE_HANG, script);
    assert_missing(&end, &place.path("heartbeat.txt").display().to_string(), "there is no heartbeat file");
    assert!(place.path("elsewhere/heartbeat.txt").exists());
}

#[test]
fn a_file_that_cannot_be_looked_at_is_named_with_the_cause() {
    let place = Place::new();
    std::os::unix::fs::symlink("heartbeat.txt", place.path("heartbeat.txt")).unwrap();
    let end = place.run(&ONE_HANG, BEAT);
    assert_missing(&end, &place.path("heartbeat.txt").display().to_string(), "cannot be looked at: ");
}

#[test]
fn a_command_that_may_not_write_its_heartbeat_is_told_what_was_found() {
    if !can_become_other() {
        return;
    }
    let place = Place::new();
    place.allow("", 0o755);
    let end = Supervised::start(place.supervisor(ONE_HANG.iter().chain(&AS_OTHER).chain(&["sh", "-c", BEAT]))).end();
    let path = place.path("heartbeat.txt").display().to_string();
    assert_missing(&end, &path, "there is no heartbeat file");
    end.assert_tells(&["the user of the command, 65534, may not write to its folder"]);

    // The file of another user, left from before.
    std::fs::write(&path, "").unwrap();
    let end = Supervised::start(place.supervisor(ONE_HANG.iter().chain(&AS_OTHER).chain(&["sh", "-c", BEAT]))).end();
    assert_missing(&end, &path, "is older than this run");
    end.assert_tells(&["the user of the command, 65534, may not write it"]);
}

#[test]
fn a_supervisor_that_may_not_look_at_the_heartbeat_says_so() {
    if !can_become_other() {
        return;
    }
    let place = place_for_other();
    std::fs::create_dir(place.path("closed")).unwrap();
    place.allow("closed", 0o700);
    let mut command = as_other([place.path("supervisor")]);
    command.args(ONE_HANG).args(["--heartbeat-file", "closed/beat", "sh", "-c", BEAT]).current_dir(place.path(""));
    let end = Supervised::start(command).end();
    assert_missing(&end, &place.path("closed/beat").display().to_string(), "cannot be looked at: Permission denied");
}

#[test]
fn a_read_only_folder_has_no_heartbeat() {
    if !can(&["unshare", "--user", "--map-root-user", "--mount", "true"]) {
        return skipped("unshare --user --mount is not to be had");
    }
    let place = Place::new();
    std::fs::create_dir(place.path("ro")).unwrap();
    let script = "mount --bind ro ro && mount -o remount,ro,bind ro && cd ro && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]);
    command.arg(env!("CARGO_BIN_EXE_supervisor")).args(ONE_HANG).args(["sh", "-c", BEAT]);
    let end = Supervised::start({
        command.current_dir(place.path(""));
        command
    })
    .end();
    let found = "there is no heartbeat file";
    assert_missing(&end, &place.path("ro/heartbeat.txt").display().to_string(), found);
    end.assert_tells(&["heartbeat.txt, on a read-only file system;"]);
}

#[test]
fn a_heartbeat_that_is_slower_than_the_timeout_is_told_of() {
    let place = Place::new();
    let script = "trap '' TERM; sleep 4.8; touch heartbeat.txt; exec sleep 1000";
    let options = ["--timeout", "2.4", "--grace-period", "12", "--max-restarts", "0"];
    let end = place.run(&options, script);
    end.assert_code(124);
    end.assert_tells(&["hung", "a heartbeat came ", " s after", "raise --timeout, which is 2.4 s, above that"]);
    assert_eq!(end.count("raise --timeout"), 1, "{}", end.log);
}

/// The shell dies before it beats again.
#[test]
fn a_heartbeat_that_never_comes_in_time_is_told_of() {
    let place = Place::new();
    let script = "while :; do touch heartbeat.txt; sleep 6; done";
    let end = place.run(&["--timeout", "3.2", "--max-restarts", "0"], script);
    end.assert_code(124);
    end.assert_tells(&["silent for", "if it beats less often than every 3.2 s, raise --timeout"]);
}

#[test]
fn a_hang_after_heartbeats_names_the_interval_that_was_usual() {
    let place = Place::new();
    let script = "for i in 1 2 3 4; do touch heartbeat.txt; sleep 1.5; done; exec sleep 1000";
    let end = place.run(&["--timeout", "4.5", "--max-restarts", "0"], script);
    end.assert_code(124);
    end.assert_tells(&["hung", "the heartbeats seen before were at most about", "apart; --timeout is 4.5 s"]);
    assert_eq!(end.count("no heartbeat came"), 0, "{}", end.log);
}

/// Runs the supervisor on `command` in an environment with these variables.
fn run_with(variables: &[(&str, &str)], arguments: &[&str]) -> End {
    let place = Place::new();
    let mut command = place.supervisor(arguments);
    Supervised::start({
        command.envs(variables.iter().copied());
        command
    })
    .end()
}

#[test]
fn durations_have_units() {
    let table = [
        ("90", "1 min 30 s"),
        ("1m30s", "1 min 30 s"),
        ("500ms", "0.5 s"),
        ("1h30m", "1 h 30 min"),
        ("2m", "2 min 00 s"),
    ];
    for (given, shown) in table {
        let end = run_with(&[], &["--dry-run", "--max-restarts", "0", "--timeout", given, "true"]);
        end.assert_code(0);
        assert!(end.output.contains(&format!("start 1, hung at {shown}")), "{given}: {}", end.output);
        run_with(&[("SUPERVISOR_GRACE_PERIOD", given)], &["true"]).assert_code(0);
    }
    for given in [
        "5x",
        "1h-3",
        "-1",
        "nan",
        "inf",
        "1e400",
        "h",
        "ms",
        "1h30",
        "5mm",
        "1.5.2s",
        "99999999999999999999h",
        "",
        " ",
    ] {
        let end = run_with(&[], &["--timeout", given, "true"]);
        end.assert_code(2);
        end.assert_tells(&["--timeout"]);
        assert_eq!(end.log.lines().count(), 1, "{given}: {}", end.log);
    }
}

#[test]
fn a_duration_with_a_unit_is_as_long_as_one_without() {
    let place = Place::new();
    let before = crate::support::now();
    let end = place.run(&["--timeout", "600ms", "--max-restarts", "0"], "exec sleep 1000");
    end.assert_code(124);
    end.assert_tells(&["silent for 0.6"]);
    assert!(crate::support::now() - before >= 0.6);
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let names =
        ["TIMEOUT", "HEARTBEAT_FILE", "NO_HEARTBEAT", "RESTART", "MAX_RESTARTS", "STATUS_FILE", "ON_EVENT", "STOP_ON"];
    let names = names.map(|name| format!("SUPERVISOR_{name}"));
    let variables: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
    let end = run_with(&variables, &["true"]);
    end.assert_code(0);
    end.assert_tells(&["within 20 s in", "heartbeat.txt"]);
    assert_eq!(end.count("WARN"), 0, "{}", end.log);
}

#[test]
fn flags_take_words_in_any_case() {
    for (word, is_on) in [
        ("Yes", true),
        ("ON", true),
        ("TRUE", true),
        ("1", true),
        ("No", false),
        ("off", false),
        ("FALSE", false),
        ("0", false),
    ] {
        let end = run_with(&[("SUPERVISOR_NO_HEARTBEAT", word)], &["true"]);
        end.assert_code(0);
        assert_eq!(end.count("first heartbeat is due"), usize::from(!is_on), "{word}: {}", end.log);
    }
    let end = run_with(&[("SUPERVISOR_NO_HEARTBEAT", "perhaps")], &["true"]);
    end.assert_code(2);
    end.assert_tells(&["perhaps", "SUPERVISOR_NO_HEARTBEAT"]);
}

#[test]
fn a_variable_that_is_nearly_one_of_ours_is_told_of() {
    for (wrong, right) in [
        ("SUPERVISOR_TIMEOT", "SUPERVISOR_TIMEOUT"),
        ("SUPERVISOR_MAX_RESTART", "SUPERVISOR_MAX_RESTARTS"),
        ("SUPERVISOR_GRACEPERIOD", "SUPERVISOR_GRACE_PERIOD"),
        ("SUPERVISOR_HEARTBEAT_FLIE", "SUPERVISOR_HEARTBEAT_FILE"),
        ("SUPERVISOR_GRACE", "SUPERVISOR_GRACE_PERIOD"),
        ("SUPERVISOR_TIMEOUT_SECONDS", "SUPERVISOR_TIMEOUT?"),
        ("supervisor_timeout", "SUPERVISOR_TIMEOUT?"),
    ] {
        let end = run_with(&[(wrong, "5")], &["true"]);
        end.assert_code(0);
        end.assert_tells(&["WARN", wrong, "did you mean", right]);
        assert_eq!(end.count("WARN"), 1, "{}", end.log);
    }
}

/// supervisord, and others, use the prefix for what they tell their children.
#[test]
fn variables_of_other_programs_are_left_alone() {
    let names = ["ENABLED", "PROCESS_NAME", "GROUP_NAME", "SERVER_URL", "TOKEN", "VERSION_URL", "NODE"];
    for name in names.map(|name| format!("SUPERVISOR_{name}")) {
        let place = Place::new();
        let mut command = place.supervisor(["sh", "-c", "printenv \"$0\" > told", &name]);
        let end = Supervised::start({
            command.env(&name, "theirs");
            command
        })
        .end();
        end.assert_code(0);
        assert_eq!((place.read("told").as_str(), end.count("WARN")), ("theirs\n", 0), "{name}: {}", end.log);
    }
}

#[test]
fn what_most_probably_was_not_meant_is_told_of_once() {
    let stop = run_with(&[], &["--stop-signal", "WINCH", "true"]);
    let variable = run_with(&[("SUPERVISOR_HEARTBEAT", "/x")], &["true"]);
    for (end, hint) in [
        (stop, "--stop-signal SIGWINCH ends only a command that handles it"),
        (variable, "did you mean SUPERVISOR_HEARTBEAT_FILE?"),
    ] {
        end.assert_code(0);
        end.assert_tells(&["WARN", hint, "started"]);
        assert_eq!(end.count("WARN"), 1, "{}", end.log);
    }
}

#[test]
fn an_option_behind_the_command_is_told_of() {
    let end = run_with(&[], &["echo", "--timeout", "5"]);
    end.assert_code(0);
    assert_eq!(end.output, "--timeout 5\n");
    end.assert_tells(&["WARN", "--timeout stands behind the command", "started"]);
    assert_eq!(end.count("WARN"), 1, "{}", end.log);
    for words in [&["--", "echo", "--timeout", "5"][..], &["echo", "--timeouts"], &["echo", "timeout"], &["echo", "-v"]]
    {
        let end = run_with(&[], words);
        end.assert_code(0);
        assert_eq!(end.count("WARN"), 0, "{words:?}: {}", end.log);
    }
}

#[test]
fn a_word_that_is_nearly_right_is_answered_with_the_right_one() {
    let table: [(&[&str], &str); 9] = [
        (&["--hearbeat", "x"], "did you mean --heartbeat-file?"),
        (&["--timeot", "5"], "did you mean --timeout?"),
        (&["--heartbeat", "x"], "did you mean --heartbeat-file?"),
        (&["--max-retarts=3"], "did you mean --max-restarts?"),
        (&["--restart", "allways"], "did you mean always?"),
        (&["--restart", "on-failed"], "did you mean on-failure?"),
        (&["--log-format", "jsn"], "did you mean json?"),
        (&["--stop-signal", "TREM"], "did you mean TERM?"),
        (&["--stop-target", "grup"], "did you mean group?"),
    ];
    for (options, meant) in table {
        let end = run_with(&[], &[options, &["true"]].concat());
        end.assert_code(2);
        end.assert_tells(&[meant]);
        assert_eq!((end.log.lines().count(), end.count("no-heartbeat")), (1, 0), "{}", end.log);
    }
}

#[test]
fn signals_that_end_nothing_are_refused() {
    for option in ["--stop-signal", "--hang-signal"] {
        for name in ["STOP", "SIGCONT", "19"] {
            let end = run_with(&[], &[option, name, "true"]);
            end.assert_code(2);
            end.assert_tells(&[name, option, "ends none"]);
        }
    }
}

#[test]
fn a_command_that_is_not_found_comes_with_the_likeliest_remedy() {
    let table: [(&[&str], &str); 11] = [
        (&["(touch x)"], "supervisor -- sh -c '(touch x)'"),
        (&["~/bin/x"], "only outside quotes"),
        (&["$HOME/x"], "only outside single quotes"),
        (&["status"], "no daemon to talk to"),
        (&["sleep 10"], "leave out the quotes"),
        (&["FOO=1", "server"], "env FOO=1 server"),
        (&["FOO=1 server"], "env FOO=1 server"),
        (&["cd x && y"], "sh -c 'cd x && y'"),
        (&["cd", "/srv"], "sh -c"),
        (&["serverr"], "PATH"),
        (&["./serverr"], "no such file"),
    ];
    for (command, remedy) in table {
        let end = run_with(&[], command);
        end.assert_code(127);
        end.assert_tells(&["ERROR", &format!("\"{}\"", command[0]), remedy, "giving up"]);
        assert_eq!(end.log.lines().count(), 2, "{}", end.log);
    }
}

#[test]
fn a_variable_for_the_logs_of_others_leaves_ours_as_it_is() {
    let plain = run_with(&[], &["true"]).log.lines().count();
    for (filter, lines) in [
        ("my_service=debug", plain),
        ("my_service=debug,other::module=off", plain),
        ("hyper", plain),
        ("off", 0),
        ("warn", 0),
    ] {
        let end = run_with(&[("RUST_LOG", filter)], &["printenv", "RUST_LOG"]);
        end.assert_code(0);
        assert_eq!(end.log.lines().count(), lines, "{filter}: {}", end.log);
        assert_eq!(end.output.trim(), filter, "the command has it as it was");
    }
}

#[test]
fn a_command_that_puts_itself_into_the_background_is_told_of() {
    let place = Place::new();
    let script = "import os, sys, time\nif os.fork(): sys.exit(0)\nos.setsid()\ntime.sleep(1000)";
    let end = Supervised::start(place.supervisor([python(), "-c", script])).end();
    end.assert_code(0);
    end.assert_tells(&[
        "exited with code 0",
        "WARN",
        "left processes behind",
        "python",
        "run in the foreground",
        "finished",
    ]);
    assert_eq!(end.count("left processes behind"), 1, "{}", end.log);

    // One that fails is restarted, and nothing is said of how it was meant.
    let end = place.run(&["--max-restarts", "0"], "(setsid sleep 1000 &); exit 3");
    end.assert_code(3);
    assert_eq!(end.count("left processes behind"), 0, "{}", end.log);
}

#[test]
fn no_text_of_the_language_is_shown() {
    let place = Place::new();
    let options = ["-vv", "--timeout", "0.5", "--max-restarts", "1", "--backoff-factor", "0.1"];
    let script = "[ $SUPERVISED_RESTARTS = 1 ] && exit 1; sleep 1000 & wait";
    let end = place.run(&options, script);
    end.assert_code(1);
    let own = end.log.lines().filter(|line| line.contains("supervisor["));
    for line in own {
        let signs = ["Some(", "None", "::", "{", "}", " ,", "  run", "Duration", "Ok(", "Err(", ": ."];
        assert!(!signs.iter().any(|sign| line.contains(sign)), "{line}");
    }
    assert_eq!(end.count("code 1: exit code 1"), 0, "{}", end.log);
}

#[test]
fn the_interval_of_a_slow_heartbeat_is_that_between_two_of_them() {
    let start = |script: &str| {
        let place = Place::new();
        let script = format!("trap '' TERM; while :; do {script}; done");
        let options = ["--timeout", "2.4", "--grace-period", "20", "--max-restarts", "0"];
        let supervised = place.start(&options, &script);
        (place, supervised)
    };
    // The first of the one comes with its start. That of the other is counted from its start, as soon as that is known.
    let beats = [("touch heartbeat.txt; sleep 4.8", 4.79), ("sleep 4.8; touch heartbeat.txt", 0.0)];
    for ((_place, supervised), least) in beats.map(|(script, least)| (start(script), least)) {
        let end = supervised.end();
        end.assert_code(124);
        let line = end.log.lines().find(|line| line.contains("a heartbeat came ")).unwrap();
        let told = line.split_once("a heartbeat came ").unwrap().1.split(' ').next().unwrap().parse::<f64>().unwrap();
        assert!((least..8.8).contains(&told), "one came each 4.8 s: {line}");
    }
}
