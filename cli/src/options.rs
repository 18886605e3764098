//! The command line and the environment, as settings.

mod settings;

pub use settings::{PublishedFile, Settings};

use crate::exit_code;
use crate::help;
use crate::logging::Format;
use crate::values;
use crate::words::Harmless;
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, CommandFactory, FromArgMatches, Parser};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;
use supervisor_backend_unix::Signal;
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
    override_usage = "supervisor [OPTIONS] [--] <COMMAND> [ARGS]..."
)]
struct Options {
    /// Longest silence of the heartbeat file before the command counts as hung
    #[arg(long, value_name = "SECONDS", default_value = "20", help_heading = HEALTH)]
    #[arg(allow_hyphen_values = true, value_parser = OsStringValueParser::new().try_map(values::seconds_above_zero))]
    timeout: Duration,

    /// No silence is counted before this long after each start
    #[arg(long, value_name = "SECONDS", default_value = "0", help_heading = HEALTH)]
    #[arg(allow_hyphen_values = true, value_parser = OsStringValueParser::new().try_map(values::seconds))]
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

    /// Wait between asking the command to leave and killing it
    #[arg(long, value_name = "SECONDS", default_value = "5", help_heading = STOPPING)]
    #[arg(allow_hyphen_values = true, value_parser = OsStringValueParser::new().try_map(values::seconds))]
    grace_period: Duration,

    /// What asks the command to leave
    #[arg(long, value_name = "SIGNAL", default_value = "TERM", help_heading = STOPPING)]
    #[arg(allow_hyphen_values = true, value_parser = OsStringValueParser::new().try_map(values::signal))]
    stop_signal: Signal,

    /// What a hung command gets instead, such as QUIT for a stack dump [default: the stop signal]
    #[arg(long, value_name = "SIGNAL", help_heading = STOPPING)]
    #[arg(allow_hyphen_values = true, value_parser = OsStringValueParser::new().try_map(values::signal))]
    hang_signal: Option<Signal>,

    /// Which ends of the command are followed by a restart: never, on-failure or always
    #[arg(long, value_name = "WHEN", default_value = "on-failure", help_heading = RESTARTING)]
    #[arg(allow_hyphen_values = true, value_parser = OsStringValueParser::new().try_map(values::restart))]
    restart: Restart,

    /// Consecutive restarts before giving up; -1 is without limit
    #[arg(long, value_name = "COUNT", default_value = "-1", help_heading = RESTARTING)]
    #[arg(allow_hyphen_values = true, value_parser = OsStringValueParser::new().try_map(values::count))]
    max_restarts: Limit,

    /// The first delay before a restart, doubled for each consecutive one
    #[arg(long, value_name = "SECONDS", default_value = "1", help_heading = RESTARTING)]
    #[arg(allow_hyphen_values = true, value_parser = OsStringValueParser::new().try_map(values::seconds))]
    backoff_factor: Duration,

    /// Ceiling for that delay [default: none]
    #[arg(long, value_name = "SECONDS", help_heading = RESTARTING)]
    #[arg(allow_hyphen_values = true, value_parser = OsStringValueParser::new().try_map(values::seconds))]
    max_backoff: Option<Duration>,

    /// Stretch each delay by a random share of itself, up to this (0 to 1)
    #[arg(long, value_name = "FRACTION", default_value = "0", help_heading = RESTARTING)]
    #[arg(allow_hyphen_values = true, value_parser = OsStringValueParser::new().try_map(values::fraction))]
    backoff_jitter: u32,

    /// A run that was healthy for this long ends the streak of restarts
    #[arg(long, value_name = "SECONDS", default_value = "60", help_heading = RESTARTING)]
    #[arg(allow_hyphen_values = true, value_parser = OsStringValueParser::new().try_map(values::seconds))]
    reset_after: Duration,

    /// The current state as JSON, replaced at every change
    #[arg(long, value_name = "PATH", help_heading = OUTPUT)]
    status_file: Option<PathBuf>,

    /// The same for the textfile collector of Prometheus
    #[arg(long, value_name = "PATH", help_heading = OUTPUT)]
    metrics_file: Option<PathBuf>,

    /// Run for every event, which it reads as JSON from its standard input
    #[arg(long, value_name = "PROGRAM", help_heading = OUTPUT)]
    on_event: Option<OsString>,

    /// Form of the log on standard error: text or json
    #[arg(long, value_name = "FORMAT", default_value = "text", help_heading = OUTPUT)]
    #[arg(allow_hyphen_values = true, value_parser = OsStringValueParser::new().try_map(values::format))]
    log_format: Format,

    /// Show what this policy would do to a command that crashes, and to one that hangs, and exit
    #[arg(long, action = ArgAction::SetTrue, value_parser = OsStringValueParser::new().try_map(values::switch), help_heading = OUTPUT)]
    dry_run: bool,

    /// Log warnings and errors only
    #[arg(short, long, action = ArgAction::SetTrue, value_parser = OsStringValueParser::new().try_map(values::switch), help_heading = OUTPUT)]
    quiet: bool,

    /// Log more detail; twice for all there is
    #[arg(short, long, action = ArgAction::Count, help_heading = OUTPUT)]
    #[arg(value_parser = OsStringValueParser::new().try_map(values::verbosity))]
    verbose: u8,

    /// The command to keep alive, and its arguments: from here on nothing is an option of supervisor
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND", hide = true)]
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
}

/// Why nothing is started.
#[derive(Debug)]
pub struct Refusal {
    pub exit_code: u8,
    /// One line: the option, the value, the remedy.
    pub message: String,
}

/// All options, as they are parsed, shown by `--help` and documented.
pub fn parser() -> clap::Command {
    with_variables(Options::command()).after_help(help::after_options())
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
    // A value may hold anything; what is said of it stays one line.
    request(arguments, environment)
        .map_err(|refusal| Refusal { message: Harmless(&refusal.message).to_string(), ..refusal })
}

fn request(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Request, Refusal> {
    let parser = parser();
    let variables = variables_of(&parser);
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let parsed = parser.try_get_matches_from(&arguments).and_then(|matches| {
        let options = Options::from_arg_matches(&matches)?;
        Ok((matches, options))
    });
    match parsed {
        Ok((matches, options)) => {
            let request = if options.dry_run { Request::DryRun } else { Request::Supervise };
            settings::settings(options, &matches, environment, &variables).map(Box::new).map(request)
        }
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            Ok(Request::Show(error.to_string()))
        }
        Err(error) => Err(usage(one_line(&error) + &origin(&error, &arguments))),
    }
}

/// Names the variable that a bad value comes from, if its option does not stand on the command line.
fn origin(error: &clap::Error, arguments: &[OsString]) -> String {
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else { return String::new() };
    let option = argument.split(' ').next().unwrap_or_default();
    let is_given = arguments.iter().any(|given| given.as_encoded_bytes().starts_with(option.as_bytes()));
    match option.strip_prefix("--") {
        Some(name) if !is_given => format!("; it comes from {}", variable(name)),
        Some(_) | None => String::new(),
    }
}

fn variable(option: &str) -> String {
    format!("SUPERVISOR_{}", option.trim_end_matches('.').to_ascii_uppercase().replace('-', "_"))
}

/// Gives each option its environment variable: `--max-restarts` is `SUPERVISOR_MAX_RESTARTS`.
fn with_variables(parser: clap::Command) -> clap::Command {
    parser.mut_args(|argument| match argument.get_long() {
        Some(name) => {
            let variable = variable(name);
            argument.env(variable).hide_env(true)
        }
        None => argument,
    })
}

fn variables_of(parser: &clap::Command) -> BTreeSet<OsString> {
    parser.get_arguments().filter_map(|argument| argument.get_env()).map(OsString::from).collect()
}

fn usage(message: String) -> Refusal {
    Refusal { exit_code: exit_code::USAGE, message: format!("{message} (see supervisor --help)") }
}

/// The words of a clap error in one line, without its usage block.
fn one_line(error: &clap::Error) -> String {
    if error.kind() == ErrorKind::MissingRequiredArgument {
        return "no command given: supervisor [OPTIONS] <COMMAND> [ARGS]...".to_owned();
    }
    if let (ErrorKind::InvalidValue, Some(ContextValue::String(option))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
        && error.get(ContextKind::InvalidValue).is_none_or(|value| value.to_string().is_empty())
    {
        return format!("a value is missing for '{option}'");
    }
    let text = error.to_string();
    let words = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let words: Vec<_> = words.filter(|line| !line.is_empty() && !line.starts_with("For more information")).collect();
    words.join("; ").trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
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
}
