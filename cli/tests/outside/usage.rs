//! Bad input is refused before anything is started, in one line that names the option, the value and the remedy.

use crate::support::{Place, Supervised};

/// A command line that would leave a file behind if its command were started.
fn refused(options: &[&str], code: i32, words: &[&str]) {
    let place = Place::new();
    let end = place.run(options, "echo started > started");
    end.assert_code(code);
    assert_eq!(end.log.lines().count(), 1, "{}", end.log);
    for words in words {
        assert!(end.log.contains(words), "{words:?} is missing in {}", end.log);
    }
    assert_eq!(end.output, "");
    assert!(!place.path("started").exists(), "{options:?} started the command");
}

#[test]
fn durations_are_decimal_numbers_of_seconds() {
    let options =
        ["--timeout", "--initial-check-delay", "--grace-period", "--backoff-factor", "--max-backoff", "--reset-after"];
    for option in options {
        for value in ["nan", "inf", "-1", "-inf", "1e999", "99999999999999999999", "soon", "", "5parsecs"] {
            refused(&[option, value], 2, &[option, &format!("'{value}'"), "give "]);
            refused(&[&format!("{option}={value}")], 2, &[option, "give "]);
        }
    }
}

#[test]
fn a_timeout_of_zero_is_refused() {
    refused(&["--timeout", "0"], 2, &["--timeout", "'0'", "above 0"]);
}

#[test]
fn other_values_are_checked_too() {
    refused(&["--max-restarts", "-2"], 2, &["--max-restarts", "'-2'", "-1 for no limit"]);
    refused(&["--max-restarts", "1.5"], 2, &["--max-restarts", "'1.5'"]);
    refused(&["--backoff-jitter", "1.5"], 2, &["--backoff-jitter", "'1.5'", "from 0 to 1"]);
    refused(&["--restart", "sometimes"], 2, &["--restart", "'sometimes'", "never, on-failure or always"]);
    refused(&["--stop-signal", "TREM"], 2, &["--stop-signal", "'TREM'", "TERM"]);
    refused(&["--hang-signal", "64000"], 2, &["--hang-signal", "'64000'", "QUIT"]);
    refused(&["--heartbeat-file", ""], 2, &["--heartbeat-file"]);
}

#[test]
fn a_value_from_the_command_line_is_not_said_to_come_from_a_variable() {
    let place = Place::new();
    let end = place.run(&["--verbose=2"], "");
    end.assert_code(2);
    end.assert_tells(&["--verbose"]);
    assert_eq!(end.count("SUPERVISOR_VERBOSE"), 0, "{}", end.log);
}

#[test]
fn unknown_options_are_refused() {
    refused(&["--tiemout", "3"], 2, &["--tiemout", "--timeout"]);
    refused(&["-x"], 2, &["-x"]);
}

#[test]
fn contradictions_are_refused() {
    refused(&["--no-heartbeat", "--timeout", "5"], 2, &["--no-heartbeat", "--timeout"]);
    refused(&["--hang-signal", "QUIT", "--no-heartbeat"], 2, &["--no-heartbeat", "--hang-signal"]);
}

#[test]
fn a_directory_is_no_heartbeat_file() {
    refused(&["--heartbeat-file", "/tmp"], 125, &["--heartbeat-file", "/tmp", "directory"]);
}

#[test]
fn without_a_command_nothing_is_done() {
    let place = Place::new();
    for arguments in [&[][..], &["--timeout", "5"], &["--"]] {
        let end = Supervised::start(place.supervisor(arguments)).end();
        end.assert_code(2);
        assert_eq!(end.log.lines().count(), 1, "{}", end.log);
        assert!(end.log.contains("COMMAND"), "{}", end.log);
    }
}

#[test]
fn variables_are_checked_like_options() {
    let place = Place::new();
    for (variable, value, option) in [
        ("SUPERVISOR_TIMEOUT", "never", "--timeout"),
        ("SUPERVISOR_MAX_RESTARTS", "-7", "--max-restarts"),
        ("SUPERVISOR_NO_HEARTBEAT", "perhaps", "--no-heartbeat"),
        ("SUPERVISOR_STOP_SIGNAL", "BANG", "--stop-signal"),
        ("SUPERVISOR_VERBOSE", "loud", "--verbose"),
    ] {
        let mut command = place.supervisor(["sh", "-c", "echo started > started"]);
        let end = Supervised::start({
            command.env(variable, value);
            command
        })
        .end();
        end.assert_code(2);
        for words in [option, value, variable] {
            assert!(end.log.contains(words), "{words} is missing in {}", end.log);
        }
        assert!(!place.path("started").exists());
    }
}

#[test]
fn the_command_line_wins_over_variables() {
    let place = Place::new();
    let mut command = place.supervisor(["--max-restarts", "0", "--no-heartbeat", "sh", "-c", "exit 4"]);
    command.env("SUPERVISOR_MAX_RESTARTS", "1000").env("SUPERVISOR_TIMEOUT", "0.001");
    Supervised::start(command).end().assert_code(4);
    let mut command = place.supervisor(["--max-restarts", "0", "--timeout", "0.3", "sleep", "1000"]);
    command.env("SUPERVISOR_NO_HEARTBEAT", "1");
    Supervised::start(command).end().assert_code(124);
}

#[test]
fn variables_set_options() {
    let place = Place::new();
    let mut command = place.supervisor(["sh", "-c", "echo run >> runs; exit 4"]);
    command
        .env("SUPERVISOR_MAX_RESTARTS", "2")
        .env("SUPERVISOR_BACKOFF_FACTOR", "0")
        .env("SUPERVISOR_NO_HEARTBEAT", "1");
    Supervised::start(command).end().assert_code(4);
    assert_eq!(place.read("runs").lines().count(), 3);
}

#[test]
fn the_last_of_repeated_options_counts() {
    let end = Place::new().run(&["--max-restarts", "7", "--max-restarts", "0"], "exit 4");
    end.assert_code(4);
}

#[test]
fn help_and_version_go_to_standard_output() {
    let place = Place::new();
    let help = Supervised::start(place.supervisor(["--help"])).end();
    help.assert_code(0);
    assert_eq!(help.log, "");
    for words in ["Health:", "Stopping:", "Restarting:", "Output:", "[default: 20]", "SUPERVISOR_TIMEOUT"] {
        assert!(help.output.contains(words), "{words:?} is missing in {}", help.output);
    }
    let version = Supervised::start(place.supervisor(["-V"])).end();
    version.assert_code(0);
    let (name, rest) = version.output.split_once(' ').unwrap();
    assert_eq!(name, "supervisor");
    assert!(rest.starts_with(env!("CARGO_PKG_VERSION")) && rest.contains("linux"), "{rest}");
}

#[test]
fn everything_from_the_command_on_belongs_to_it() {
    let place = Place::new();
    let script = place.script("show", r#"printf '%s\n' "$@""#);
    let script = script.to_str().unwrap();
    for leading in [&[][..], &["--"], &["--max-restarts", "-1"], &["--max-restarts=-1", "--"]] {
        let theirs = ["--timeout", "x", "--", "-h", "--version", "--"];
        let arguments = leading.iter().copied().chain([script]).chain(theirs);
        let end = Supervised::start(place.supervisor(arguments)).end();
        end.assert_code(0);
        assert_eq!(end.output.lines().collect::<Vec<_>>(), theirs);
    }
}

#[test]
fn arguments_that_are_not_text_pass_through() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    let raw = OsStr::from_bytes(b"a\xff\xfeb");
    let script = r#"test "$1" = "$(printf 'a\377\376b')" && test "$HEARTBEAT_FILE" = "$PWD/$1""#;
    let arguments =
        [OsStr::new("--heartbeat-file"), raw, "sh".as_ref(), "-c".as_ref(), script.as_ref(), "x".as_ref(), raw];
    Supervised::start(place.supervisor(arguments)).end().assert_code(0);
}

#[test]
fn a_full_or_closed_stream_changes_no_exit_code() {
    let place = Place::new();
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    let code = |arguments: &[&str]| {
        let mut command = place.supervisor(arguments);
        command.stdout(full()).stderr(full()).status().unwrap().code()
    };
    assert_eq!(code(&["--help"]), Some(0));
    assert_eq!(code(&["--timeout", "soon", "true"]), Some(2));
    assert_eq!(code(&["--heartbeat-file", "/tmp", "true"]), Some(125));
    assert_eq!(code(&["true"]), Some(0));
    assert_eq!(code(&["no-such-command"]), Some(127));
}
