//! What there is to say of the program beside its options: in `--help`, in the man page and in the README.

/// Each exit code, and when the supervisor ends with it.
pub const EXIT_CODES: [(&str, &str); 9] = [
    ("0", "the command finished with 0; or the supervisor was asked to stop, and the command left in time"),
    ("the command's, or 128 + signal", "the supervisor makes no further restart, and the last run ended so"),
    ("124", "the same, and the last run hung"),
    ("125", "the supervisor itself cannot work"),
    ("126", "the command cannot be started: it is not executable, or the system has no process or memory left for it"),
    ("127", "the command is not there"),
    ("137", "the supervisor was asked to stop, and had to kill the command"),
    ("2", "wrong usage"),
    ("0, 1", "with --healthcheck: the command is well, or is not"),
];

/// Each variable that the command gets, and what it finds there.
pub const VARIABLES: [(&str, &str); 4] = [
    ("HEARTBEAT_FILE", "the absolute path of the heartbeat file"),
    ("SUPERVISED_RESTARTS", "restarts so far in this streak"),
    (
        "NOTIFY_SOCKET, WATCHDOG_USEC",
        "with --notify: the socket for its messages, and the longest silence, in microseconds",
    ),
    ("LISTEN_PID", "its own pid, where the supervisor was passed listening sockets: they outlive restarts"),
];

/// Each variable that the supervisor itself reads, beside those of its options.
pub const ENVIRONMENT: [(&str, &str); 5] = [
    (
        "SUPERVISOR_<OPTION>",
        "an option, as SUPERVISOR_TIMEOUT=30 for --timeout 30; the command line wins, and an empty \
      variable counts as not set",
    ),
    (
        "RUST_LOG",
        "how much is logged, as RUST_LOG=debug or RUST_LOG=supervisor=warn; one that names only other programs \
      changes nothing",
    ),
    (
        "NOTIFY_SOCKET, WATCHDOG_USEC",
        "a service manager above, such as systemd: it is told READY, STATUS and STOPPING, and \
      its watchdog is fed while the command is not hung",
    ),
    ("JOURNAL_STREAM", "where standard error goes to the journal of systemd, lines have a priority and no time"),
    ("NO_COLOR", "no colours in the output of --dry-run"),
];

/// Signals to the supervisor, and what it does.
pub const SIGNALS: [(&str, &str); 7] = [
    ("TERM, INT", "asks the command to leave, kills it after the grace period, and exits"),
    ("INT, again a second later or more", "kills the command at once"),
    ("--stop-on <SIGNAL>", "the same as TERM"),
    ("--restart-signal <SIGNAL>", "stops the command and starts it again, at once and uncounted"),
    (
        "HUP, QUIT, USR1, USR2, WINCH, RTMIN and on",
        "passed on to the command, unless an option gives them another \
      meaning; HUP means stop where the supervisor was started from a terminal",
    ),
    ("ALRM, VTALRM, PROF, IO, PWR, STKFLT, XCPU", "the same as TERM"),
    ("KILL", "ends the supervisor, and everything that the command started with it"),
];

/// Files, and who writes them.
pub const FILES: [(&str, &str); 5] = [
    (
        "heartbeat.txt",
        "the heartbeat file, in the working directory, unless --heartbeat-file names another: the command \
      writes or touches it, and the supervisor only looks at it",
    ),
    ("--status-file <PATH>", "the current state as JSON"),
    ("--metrics-file <PATH>", "the current state as metrics of Prometheus, such as /var/lib/node_exporter/web.prom"),
    ("--pid-file <PATH>", "the pid of the command's main process, while it lives"),
    ("/proc", "shows what a hung command is doing; without it, processes are ended all the same"),
];

/// Command lines, and what they do.
pub const EXAMPLES: [(&str, &str); 6] = [
    (
        "supervisor --timeout 30s --max-backoff 60 ./server",
        "restarts a server that fails, or that does not touch its heartbeat file for \
      30 seconds",
    ),
    (
        "supervisor --no-heartbeat --max-restarts 5 --max-backoff 60 -- ./job --all",
        "restarts a job that fails, five times in a row at most",
    ),
    (
        "supervisor --probe 'curl -fsS -m 5 http://localhost:8080/' --max-backoff 60 ./web",
        "restarts a web server that does not answer",
    ),
    (
        "supervisor --hang-signal QUIT --hang-grace-period 10s --max-backoff 60 java -jar app.jar",
        "has a hung JVM print its threads before \
      it is stopped",
    ),
    ("supervisor --healthcheck /run/web.json", "tells whether a supervisor with --status-file /run/web.json is well"),
    ("supervisor --dry-run --backoff-factor 5 --max-backoff 1m true", "shows when a command would be started again"),
];

/// Manual pages that are worth reading too.
pub const SEE_ALSO: [&str; 6] =
    ["supervisor-replay(1)", "signal(7)", "systemd.service(5)", "sd_notify(3)", "timeout(1)", "tini(1)"];

/// The end of `--help`.
pub(crate) fn after_options() -> String {
    let list = |title: &str, rows: &[(&str, &str)]| {
        let rows = rows.iter().map(|(name, meaning)| format!("  {name}: {meaning}\n"));
        format!("{title}\n{}\n", rows.collect::<String>())
    };
    let durations = "A DURATION is a number of seconds, such as 30 or 0.5, or numbers with units (d, h, m, s, ms, us), such as\n\
                     500ms, 5m or 1h30m. A SIGNAL is a name or a number, such as TERM, SIGTERM, 15 or RTMIN+3.\n\n";
    let variables = "Every option but --healthcheck can also be set by an environment variable, such as SUPERVISOR_TIMEOUT=30\n\
                     for --timeout 30; the command line wins. RUST_LOG=debug sets how much is logged, and wins over -q and\n\
                     -v; a RUST_LOG that names only other programs changes nothing.\n\n";
    let command = list("The command gets the environment without those variables, and", &VARIABLES);
    let (codes, examples) = (list("Exit codes:", &EXIT_CODES), list("Examples:", &EXAMPLES));
    durations.to_owned() + variables + &command + &codes + examples.trim_end()
}
