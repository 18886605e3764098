//! What is told of the program beside its options: by `--help`, the man page and the README.

/// Each exit code, and when the supervisor ends with it.
pub const EXIT_CODES: [(&str, &str); 7] = [
    ("0", "the command finished with 0; or the supervisor was asked to stop, and the command left in time"),
    ("the command's, or 128 + signal", "restarts are used up, or never made; the last run ended so"),
    ("124", "the same, and the last run hung"),
    ("125", "the supervisor itself cannot work"),
    ("126, 127", "the command cannot be started, is not there"),
    ("137", "asked to stop, and the command had to be killed"),
    ("2", "wrong usage"),
];

/// Each variable that the command gets, and what it finds there.
pub const VARIABLES: [(&str, &str); 4] = [
    ("HEARTBEAT_FILE", "the absolute path of the heartbeat file"),
    ("SUPERVISED_RESTARTS", "restarts so far in this streak"),
    ("NOTIFY_SOCKET, WATCHDOG_USEC", "with --notify: where it may tell of itself, and how often it must"),
    ("LISTEN_PID", "its own pid, where the supervisor was passed listening sockets: they outlive restarts"),
];

/// The end of `--help`.
pub(crate) fn after_options() -> String {
    let list = |title: &str, rows: &[(&str, &str)]| {
        let rows = rows.iter().map(|(name, meaning)| format!("  {name}: {meaning}\n"));
        format!("{title}\n{}\n", rows.collect::<String>())
    };
    let variables = "Every option can also be set by an environment variable, such as SUPERVISOR_TIMEOUT=30 for --timeout\n\
                     30; the command line wins. RUST_LOG, where it is set, decides what is logged, as in RUST_LOG=debug.\n\n";
    let command = list("The command gets the environment without those variables, and", &VARIABLES);
    variables.to_owned() + &command + list("Exit codes:", &EXIT_CODES).trim_end()
}
