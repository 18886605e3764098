//! The command line and the environment, as settings.

pub(crate) mod duration;
mod files;
pub mod help;
mod hints;
mod logging;
pub(crate) mod programs;
mod settings;
pub(crate) mod values;
pub(crate) mod wrong;

pub use files::{FileForm, StateFileSettings, same_file};
pub use hints::Hint;
pub use logging::{Format, Verbosity};
pub use settings::Settings;

use crate::exit_code;
use crate::report::display::Escaped;
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, CommandFactory, FromArgMatches, Parser};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;
use supervisor_backend_unix::{Signal, StopTarget};
use supervisor_core::{Limit, Restart};

/// Keeps a command alive: restarts it when it fails, is killed or hangs, and leaves nothing of it behind.
///
/// A command hangs when its heartbeat file is not updated for longer than --timeout.
#[derive(Parser)]
#[command(
    name = "supervisor",
    version,
    verbatim_doc_comment,
    args_override_self = true,
    override_usage = "supervisor [OPTIONS] [--] <COMMAND> [ARGS]...\n       supervisor --healthcheck <STATUS_FILE>"
)]
struct Options {
    /// Longest silence of the heartbeat file before the command counts as hung
    #[arg(long, value_name = "DURATION", default_value = "20", help_heading = HEALTH)]
    #[arg(allow_hyphen_values = true, value_parser = OsStringValueParser::new().try_map(duration::duration_above_zero))]
    timeout: Duration,

    /// Time after each start in which silence does not count
    #[arg(long, value_name = "DURATION", default_value = "0", help_heading = HEALTH)]
    #[arg(allow_hyphen_values = true, value_parser = OsStringValueParser::new().try_map(duration::duration))]
    initial_check_delay: Duration,

    /// The file that the command touches while it is well
    #[arg(long, value_name = "PATH", default_value = "heartbeat.txt", help_heading = HEALTH)]
    heartbeat_file: PathBuf,

    /// No hang detection: only the end of the command counts
    #[arg(long, action = ArgAction::SetTrue, value_parser = OsStringValueParser::new().try_map(values::switch), help_heading = HEALTH)]
    no_heartbeat: bool,

    /// The command may also speak the sd_notify protocol of systemd, its watchdog included
    #[arg(long, action = ArgAction::SetTrue, value_parser = OsStringValueParser::new().try_map(values::switch), help_heading = HEALTH)]
    notify: bool,

    /// A program that the supervisor runs again and again beside the command; each success is a heartbeat. It finds the
    /// pid of the command in SUPERVISED_PID
    #[arg(long, value_name = "COMMAND_LINE", help_heading = HEALTH)]
    probe: Option<OsString>,

    /// Time from the end of one probe to the start of the next [default: a third of the timeout]
    #[arg(long, value_name = "DURATION", help_heading = HEALTH)]
    #[arg(allow_hyphen_values = true, value_parser = OsStringValueParser::new().try_map(duration::duration))]
    probe_interval: Option<Duration>,

    /// Wait between asking the command to leave and killing it
    #[arg(long, value_name = "DURATION", default_value = "5", help_heading = STOPPING)]
    #[arg(allow_hyphen_values = true, value_parser = OsStringValueParser::new().try_map(duration::duration))]
    grace_period: Duration,

    /// What asks the command to leave
    #[arg(long, value_name = "SIGNAL", default_value = "TERM", help_heading = STOPPING)]
    #[arg(allow_hyphen_values = true, value_parser = OsStringValueParser::new().try_map(values::signal_to_command))]
    stop_signal: Signal,

    /// Who gets the stop and hang signals: group for the process group, main for the main process alone (a wrapper that
    /// passes them on)
    #[arg(long, value_name = "WHO", default_value = "group", help_heading = STOPPING)]
    #[arg(allow_hyphen_values = true, value_parser = OsStringValueParser::new().try_map(values::stop_target))]
    stop_target: StopTarget,

    /// What a hung command gets before the stop signal, such as QUIT for a stack dump [default: none]
    #[arg(long, value_name = "SIGNAL", help_heading = STOPPING)]
    #[arg(allow_hyphen_values = true, value_parser = OsStringValueParser::new().try_map(values::signal_to_command))]
    hang_signal: Option<Signal>,

    /// Wait between the hang signal and the stop signal [default: the grace period]
    #[arg(long, value_name = "DURATION", help_heading = STOPPING)]
    #[arg(allow_hyphen_values = true, value_parser = OsStringValueParser::new().try_map(duration::duration))]
    hang_grace_period: Option<Duration>,

    /// A further signal that asks the supervisor to stop, beside TERM and INT; repeat it, or separate several signals by commas
    #[arg(long, value_name = "SIGNAL", value_delimiter = ',', help_heading = STOPPING)]
    #[arg(allow_hyphen_values = true, value_parser = OsStringValueParser::new().try_map(values::signal_to_supervisor))]
    stop_on: Vec<Signal>,

    /// A signal that asks the supervisor to stop the command and to start it again, at once and uncounted [default: none]
    #[arg(long, value_name = "SIGNAL", help_heading = RESTARTING)]
    #[arg(allow_hyphen_values = true, value_parser = OsStringValueParser::new().try_map(values::signal_to_supervisor))]
    restart_signal: Option<Signal>,

    /// Which ends of the command are followed by a restart: never, on-failure or always
    #[arg(long, value_name = "WHEN", default_value = "on-failure", help_heading = RESTARTING)]
    #[arg(allow_hyphen_values = true, value_parser = OsStringValueParser::new().try_map(values::restart))]
    restart: Restart,

    /// Consecutive restarts before giving up; 0 allows none, -1 is without limit
    #[arg(long, value_name = "COUNT", default_value = "-1", help_heading = RESTARTING)]
    #[arg(allow_hyphen_values = true, value_parser = OsStringValueParser::new().try_map(values::count))]
    max_restarts: Limit,

    /// The first delay before a restart, doubled for each consecutive one
    #[arg(long, value_name = "DURATION", default_value = "1", help_heading = RESTARTING)]
    #[arg(allow_hyphen_values = true, value_parser = OsStringValueParser::new().try_map(duration::duration))]
    backoff_factor: Duration,

    /// The longest delay before a restart [default: none]
    #[arg(long, value_name = "DURATION", help_heading = RESTARTING)]
    #[arg(allow_hyphen_values = true, value_parser = OsStringValueParser::new().try_map(duration::duration))]
    max_backoff: Option<Duration>,

    /// Stretch each delay by a random share of itself, up to this (0 to 1)
    #[arg(long, value_name = "FRACTION", default_value = "0", help_heading = RESTARTING)]
    #[arg(allow_hyphen_values = true, value_parser = OsStringValueParser::new().try_map(values::fraction))]
    backoff_jitter: u32,

    /// A run that was healthy for this long ends the streak of restarts
    #[arg(long, value_name = "DURATION", default_value = "60", help_heading = RESTARTING)]
    #[arg(allow_hyphen_values = true, value_parser = OsStringValueParser::new().try_map(duration::duration))]
    reset_after: Duration,

    /// What this supervisor is called in metrics and in the status [default: as the metrics file, else as the command]
    #[arg(long, value_name = "NAME", help_heading = OUTPUT)]
    name: Option<OsString>,

    /// The current state as JSON, replaced at every change
    #[arg(long, value_name = "PATH", help_heading = OUTPUT)]
    status_file: Option<PathBuf>,

    /// The current state as metrics, for the textfile collector of Prometheus
    #[arg(long, value_name = "PATH", help_heading = OUTPUT)]
    metrics_file: Option<PathBuf>,

    /// The pid of the command's main process, replaced at each start and removed at its end
    #[arg(long, value_name = "PATH", help_heading = OUTPUT)]
    pid_file: Option<PathBuf>,

    /// A program that the supervisor runs for each event; it reads the event as JSON from its standard input
    #[arg(long, value_name = "PROGRAM", help_heading = OUTPUT)]
    on_event: Option<OsString>,

    /// Form of the log on standard error: text or json
    #[arg(long, value_name = "FORMAT", default_value = "text", help_heading = OUTPUT)]
    #[arg(allow_hyphen_values = true, value_parser = OsStringValueParser::new().try_map(values::format))]
    log_format: Format,

    /// Show what this policy would do to a command that crashes, and to one that hangs, and exit
    #[arg(long, action = ArgAction::SetTrue, value_parser = OsStringValueParser::new().try_map(values::switch), help_heading = OUTPUT)]
    dry_run: bool,

    /// Print whether the supervisor that writes this status file and its command are well, and exit with 0 or 1; starts
    /// nothing
    #[arg(long, value_name = "STATUS_FILE", help_heading = OUTPUT)]
    healthcheck: Option<PathBuf>,

    /// Log warnings and errors only
    #[arg(short, long, action = ArgAction::SetTrue, value_parser = OsStringValueParser::new().try_map(values::switch), help_heading = OUTPUT)]
    quiet: bool,

    /// Log more detail; twice for all there is
    #[arg(short, long, action = ArgAction::Count, help_heading = OUTPUT)]
    #[arg(value_parser = OsStringValueParser::new().try_map(values::verbosity))]
    verbose: u8,

    /// The command to keep alive, and its arguments: from here on nothing is an option of supervisor
    #[arg(required_unless_present = "healthcheck", trailing_var_arg = true, value_name = "COMMAND", hide = true)]
    command: Vec<OsString>,
}

const HEALTH: &str = "Health";
const STOPPING: &str = "Stopping";
const RESTARTING: &str = "Restarting";
const OUTPUT: &str = "Output";

/// What the user asks for.
pub enum Request {
    /// This text, and nothing else.
    Show(String),
    /// What a policy would do.
    DryRun(Box<Settings>),
    /// A supervised command.
    Supervise(Box<Settings>),
    /// Whether what a status file tells of is well.
    Healthcheck(PathBuf),
}

/// Why nothing is started.
#[derive(Debug)]
pub struct Refusal {
    pub exit_code: u8,
    /// One line: the option, the value, the remedy.
    pub message: String,
}

impl Refusal {
    /// The supervisor itself cannot work.
    pub fn cannot_work(message: String) -> Refusal {
        Refusal { exit_code: exit_code::CANNOT_WORK, message }
    }
}

/// All options, as they are parsed, shown by `--help` and documented.
pub fn parser() -> clap::Command {
    with_variables(Options::command(), |_| true).after_help(help::after_options())
}

/// Reads the command line `arguments`, and option variables from the process's environment; `environment` is what the
/// command inherits.
///
/// # Errors
/// Bad input, with the exit code that it leads to.
pub fn read(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Request, Refusal> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let request = match healthcheck(&arguments) {
        Some(file) => file.map(Request::Healthcheck),
        None => request(&arguments, environment.into_iter().collect()),
    };
    // A value may hold anything; what is said of it stays one line.
    request.map_err(|refusal| Refusal { message: Escaped(&refusal.message).to_string(), ..refusal })
}

/// A health check is asked for alone, whatever variables say: it runs in the environment of the supervisor itself.
fn healthcheck(arguments: &[OsString]) -> Option<Result<PathBuf, Refusal>> {
    const OPTION: &str = "--healthcheck";
    let alone = || usage(format!("{OPTION} goes with nothing else: supervisor {OPTION} <STATUS_FILE>"));
    let is_option = |word: &OsString| word == OPTION;
    let value = |word: &OsString| Some(PathBuf::from(word.to_str()?.strip_prefix(OPTION)?.strip_prefix('=')?));
    match arguments {
        [_, option, file] if is_option(option) => Some(Ok(file.into())),
        [_, option] if value(option).is_some() => value(option).map(Ok),
        [_, option] if is_option(option) => {
            Some(Err(usage(format!("a status file is missing: supervisor {OPTION} <STATUS_FILE>"))))
        }
        [_, option, ..] if is_option(option) || value(option).is_some() => Some(Err(alone())),
        _ => None,
    }
}

fn request(arguments: &[OsString], environment: Vec<(OsString, OsString)>) -> Result<Request, Refusal> {
    let has_value = |variable: &str| std::env::var_os(variable).is_none_or(|value| !value.is_empty());
    let parser = with_variables(Options::command(), has_value).after_help(help::after_options());
    let parsed = parser.version(VERSION).try_get_matches_from(arguments).and_then(|matches| {
        let options = Options::from_arg_matches(&matches)?;
        Ok((matches, options))
    });
    match parsed {
        Ok((_, Options { healthcheck: Some(_), .. })) => {
            Err(usage("--healthcheck goes with nothing else: supervisor --healthcheck <STATUS_FILE>".to_owned()))
        }
        Ok((matches, options)) => {
            let hints = hints_on(arguments, &options, &environment);
            let request = if options.dry_run { Request::DryRun } else { Request::Supervise };
            let settings = settings::settings(options, &matches, environment, &variables())?;
            Ok(request(Box::new(Settings { hints, ..settings })))
        }
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            match wrong::one_dash_too_few(arguments, &Options::command()) {
                Some(message) => Err(usage(message)),
                None => Ok(Request::Show(error.to_string())),
            }
        }
        Err(error) => Err(usage(
            wrong::one_line(&error, arguments, &Options::command(), NOTHING_GIVEN) + &origin(&error, arguments),
        )),
    }
}

const NOTHING_GIVEN: &str = "no command given: supervisor [OPTIONS] <COMMAND> [ARGS]...";

/// With the commit and the machine that it is built for, where they are known.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), env!("SUPERVISOR_BUILD"));

fn hints_on(arguments: &[OsString], options: &Options, environment: &[(OsString, OsString)]) -> Vec<Hint> {
    let names = environment.iter().map(|(name, _)| name.as_os_str());
    let mut hints: Vec<_> = hints::misspelt_variables(names, &variables()).collect();
    hints.extend(hints::gentle_stop_signal(options.stop_signal));
    hints.extend(hints::no_delay(options.backoff_factor, options.max_backoff));
    let before = arguments.len().saturating_sub(options.command.len());
    if before.checked_sub(1).is_some_and(|last| arguments[last] != "--") {
        let behind = options.command.get(1..).unwrap_or_default();
        hints.extend(hints::misplaced_option(behind, long_names().iter().map(String::as_str)));
    }
    hints
}

/// Names the variable that a bad value comes from, if its option does not stand on the command line.
fn origin(error: &clap::Error, arguments: &[OsString]) -> String {
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else { return String::new() };
    // An option that may be repeated ends with dots.
    let option = argument.split(' ').next().unwrap_or_default().trim_end_matches('.');
    let is_given = arguments.iter().any(|given| given.as_encoded_bytes().starts_with(option.as_bytes()));
    match option.strip_prefix("--") {
        Some(name) if !is_given && long_names().iter().any(|known| known == name) => {
            format!("; it comes from {}", variable(name))
        }
        Some(_) | None => String::new(),
    }
}

fn variable(option: &str) -> String {
    format!("SUPERVISOR_{}", option.to_ascii_uppercase().replace('-', "_"))
}

/// The option that has no variable: with one, it would turn every supervisor into a health check.
const WITHOUT_VARIABLE: &str = "healthcheck";

/// Gives each option its environment variable: `--max-restarts` is `SUPERVISOR_MAX_RESTARTS`. One that is not `wanted`
/// counts as not set.
fn with_variables(parser: clap::Command, wanted: impl Fn(&str) -> bool) -> clap::Command {
    parser.mut_args(|argument| match argument.get_long().filter(|name| *name != WITHOUT_VARIABLE).map(variable) {
        Some(variable) if wanted(&variable) => argument.env(variable).hide_env(true),
        Some(_) | None => argument,
    })
}

/// Those of all options.
fn variables() -> BTreeSet<OsString> {
    let names = long_names().into_iter().filter(|name| name != WITHOUT_VARIABLE);
    names.map(|name| OsString::from(variable(&name))).collect()
}

fn long_names() -> Vec<String> {
    Options::command().get_arguments().filter_map(|argument| argument.get_long()).map(str::to_owned).collect()
}

fn usage(message: String) -> Refusal {
    Refusal { exit_code: exit_code::USAGE, message: format!("{message} (see supervisor --help)") }
}

/// What `supervisor` with these options and some command asks for.
#[cfg(test)]
pub fn settings_of(options: &[&str]) -> Settings {
    let line = [&["supervisor"], options, &["sleep", "10"]].concat();
    match read(line.into_iter().map(OsString::from), std::env::vars_os()) {
        Ok(Request::Supervise(settings)) => *settings,
        Ok(_) => panic!("{options:?} supervises nothing"),
        Err(refusal) => panic!("{}", refusal.message),
    }
}

#[cfg(test)]
mod tests;
