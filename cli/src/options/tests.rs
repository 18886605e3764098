//! What a command line asks for, and how one that makes no sense is refused.

use super::*;
use proptest::prelude::*;

/// Words of a command line: options, with and without values, and nonsense.
fn word() -> impl Strategy<Value = String> {
    let names: Vec<String> =
        Options::command().get_arguments().filter_map(|a| a.get_long()).map(str::to_owned).collect();
    let option = proptest::sample::select(names);
    let value = prop_oneof![
        "[0-9]{1,3}",
        "-1",
        "[0-9]\\.[0-9]",
        "TERM",
        "always",
        "[a-z.]{0,6}",
        any::<String>(),
        Just("1\n2".to_owned())
    ];
    prop_oneof![
        3 => option.clone().prop_map(|name| format!("--{name}")),
        2 => (option, value.clone()).prop_map(|(name, value)| format!("--{name}={value}")),
        4 => value,
        1 => Just("--".to_owned()),
        1 => "-[qvhVx]{1,3}",
    ]
}

proptest! {
    #[test]
    fn no_command_line_makes_it_panic(words in proptest::collection::vec(word(), 0..8)) {
        let line = ["supervisor".to_owned()].into_iter().chain(words).map(OsString::from);
        if let Err(refusal) = read(line, []) {
            prop_assert!([exit_code::USAGE, exit_code::CANNOT_WORK].contains(&refusal.exit_code));
            prop_assert!(!refusal.message.is_empty() && !refusal.message.contains('\n'), "{}", refusal.message);
        }
    }
}

fn line(words: &[&str]) -> Vec<OsString> {
    std::iter::once(&"supervisor").chain(words).map(OsString::from).collect()
}

fn refusal(words: &[&str]) -> String {
    let refusal = read(line(words), []).err().unwrap_or_else(|| panic!("{words:?} is taken"));
    assert_eq!(refusal.exit_code, exit_code::USAGE, "{words:?}");
    refusal.message
}

#[test]
fn a_health_check_is_asked_for_alone() {
    for words in [&["--healthcheck", "/x"][..], &["--healthcheck=/x"]] {
        let asked = read(line(words), []);
        assert!(matches!(asked, Ok(Request::Healthcheck(file)) if file.as_os_str() == "/x"), "{words:?}");
    }
    for words in [
        &["--healthcheck", "/x", "y"][..],
        &["--healthcheck=/x", "y"],
        &["-v", "--healthcheck", "/x"],
        &["--healthcheck", "--name", "x"],
    ] {
        assert!(refusal(words).starts_with("--healthcheck goes with nothing else"), "{words:?}");
    }
    assert!(refusal(&["--healthcheck"]).starts_with("a status file is missing"));
    // Behind the command it is the command's own.
    assert!(matches!(read(line(&["true", "--healthcheck", "/x"]), []), Ok(Request::Supervise(_))));
    assert!(!refusal(&["--healthchecks=/x", "true"]).contains("goes with nothing else"));
}

#[test]
fn an_option_with_one_dash_is_known_and_a_row_of_flags_is_none() {
    let missed = |words: &[&str]| wrong::one_dash_too_few(&line(words), &Options::command());
    let words = "there is no option -heartbeat-file; did you mean --heartbeat-file?";
    assert_eq!(missed(&["-heartbeat-file=x"]).as_deref(), Some(words));
    assert_eq!(missed(&["-vvv", "--timeout", "-h", "x"]), None);
}

#[test]
fn help_and_version_are_shown() {
    let shown = |word: &str| match read(line(&[word]), []) {
        Ok(Request::Show(text)) => text,
        Ok(_) | Err(_) => panic!("{word} shows nothing"),
    };
    assert!(shown("--version").starts_with(&format!("supervisor {}", env!("CARGO_PKG_VERSION"))));
    let help = shown("--help");
    for words in [
        "--timeout <DURATION>",
        "A DURATION is a number of seconds",
        "The command gets the environment without those variables, and\n  HEARTBEAT_FILE: the absolute path",
        "Exit codes:\n  0: the command finished with 0",
        "Examples:\n  supervisor --timeout 30s --max-backoff 60 ./server: restarts",
    ] {
        assert!(help.contains(words), "{words}: {help}");
    }
    assert_eq!(help::after_options().trim_end(), help::after_options());
    assert!(matches!(read(line(&["--dry-run", "true"]), []), Ok(Request::DryRun(_))));
}

#[test]
fn what_is_wrong_is_said_in_one_line_with_the_remedy() {
    let table: [(&[&str], &str); 13] = [
        (&[], "no command given: supervisor [OPTIONS] <COMMAND> [ARGS]... (see supervisor --help)"),
        (
            &["--no-heartbeat=yes", "true"],
            "--no-heartbeat takes no value: leave out the = and what follows it (see supervisor --help)",
        ),
        (&["--timeout"], "a value is missing for '--timeout <DURATION>' (see supervisor --help)"),
        (&["--status-file=", "true"], "a value is missing for '--status-file <PATH>' (see supervisor --help)"),
        (&["--timeot", "5"], "there is no option --timeot; did you mean --timeout? (see supervisor --help)"),
        (&["--timeot=5"], "there is no option --timeot; did you mean --timeout? (see supervisor --help)"),
        (&["--versio"], "there is no option --versio; did you mean --version? (see supervisor --help)"),
        (&["-z"], "there is no option -z (see supervisor --help)"),
        (&["-vz", "true"], "there is no option -z (see supervisor --help)"),
        (&["-timeout", "5"], "there is no option -timeout; did you mean --timeout? (see supervisor --help)"),
        (
            &["-heartbeat-file", "hb", "true"],
            "there is no option -heartbeat-file; did you mean --heartbeat-file? (see supervisor --help)",
        ),
        (&["-verbose=2", "true"], "there is no option -verbose; did you mean --verbose? (see supervisor --help)"),
        (
            &["--max-restarts", "-5", "true"],
            "invalid value '-5' for '--max-restarts <COUNT>': give a whole number from 0 to 4294967295, or -1 for no \
             limit (see supervisor --help)",
        ),
    ];
    for (words, message) in table {
        assert_eq!(refusal(words), message);
    }
}

#[test]
fn what_is_probably_a_mistake_is_told() {
    let hints = |words: &[&str], variable: &str| match read(line(words), [(variable.into(), "5".into())]) {
        Ok(Request::Supervise(settings)) => settings.hints.iter().map(|hint| hint.about).collect::<Vec<_>>(),
        Ok(_) | Err(_) => panic!("{words:?} supervises nothing"),
    };
    assert_eq!(hints(&["true"], "SUPERVISOR_TIMEOT"), ["environment"]);
    assert_eq!(hints(&["true", "--timeout", "5"], "PATH"), ["options"]);
    assert_eq!(hints(&["-v", "true", "--timeout=5"], "SUPERVISOR_TIMEOT"), ["environment", "options"]);
    for words in [&["true"][..], &["--", "true", "--timeout", "5"], &["--timeout", "5", "true"]] {
        assert!(hints(words, "SUPERVISOR_TIMEOUT").is_empty(), "{words:?}");
    }
}

#[test]
fn each_option_but_one_has_a_variable() {
    assert_eq!(variable("max-restarts"), "SUPERVISOR_MAX_RESTARTS");
    let variables = variables();
    assert!(variables.contains(&OsString::from("SUPERVISOR_TIMEOUT")));
    assert!(!variables.contains(&OsString::from("SUPERVISOR_HEALTHCHECK")));
    assert_eq!(variables.len() + 1, long_names().len());
    let of_parser = |parser: &clap::Command, name: &str| {
        let option = parser.get_arguments().find(|option| option.get_long() == Some(name));
        option.and_then(clap::Arg::get_env).map(ToOwned::to_owned)
    };
    let all = parser();
    assert_eq!(of_parser(&all, "timeout"), Some("SUPERVISOR_TIMEOUT".into()));
    assert_eq!(of_parser(&all, "healthcheck"), None);
    let some = with_variables(Options::command(), |name| name != "SUPERVISOR_TIMEOUT");
    assert_eq!(of_parser(&some, "timeout"), None);
    assert_eq!(of_parser(&some, "name"), Some("SUPERVISOR_NAME".into()));
}

#[test]
fn a_bad_value_that_is_not_on_the_command_line_comes_from_a_variable() {
    let origin = |words: &[&str], given: &[&str]| {
        let error = parser().try_get_matches_from(line(words)).unwrap_err();
        origin(&error, &line(given))
    };
    let bad = ["--timeout", "x", "true"];
    assert_eq!(origin(&bad, &["true"]), "; it comes from SUPERVISOR_TIMEOUT");
    assert_eq!(origin(&bad, &bad), "");
    assert_eq!(origin(&bad, &["--timeout=x", "true"]), "");
    assert_eq!(origin(&["--timeot", "x", "true"], &["true"]), "", "no option has such a variable");
    assert_eq!(origin(&["-z", "true"], &["true"]), "");
}
