//! What the options come to, checked as far as it can be before anything is started.

use super::{Options, Refusal, usage};
use crate::exit_code;
use crate::logging::{Format, Verbosity};
use crate::manager;
use crate::patience::{self, within};
use crate::sinks::Form;
use clap::ArgMatches;
use clap::parser::ValueSource;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use supervisor_backend_unix::{Command, Config, Hook, Hooks, Notifications};
use supervisor_core::{Backoff, Jitter, Policy, Watchdog};

/// Options that say how hangs are found or treated: without hang detection they mean nothing.
const HANG_OPTIONS: [&str; 3] = ["timeout", "initial_check_delay", "hang_signal"];

/// Everything that the command line decides.
pub struct Settings {
    pub policy: Policy,
    pub backend: Config,
    pub verbosity: Verbosity,
    pub format: Format,
    pub files: Vec<PublishedFile>,
}

/// A file that tells the current state.
pub struct PublishedFile {
    pub option: &'static str,
    pub path: PathBuf,
    pub form: Form,
}

pub(super) fn settings(
    options: Options,
    matches: &ArgMatches,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    variables: &BTreeSet<OsString>,
) -> Result<Settings, Refusal> {
    let watchdog = watchdog(&options, matches)?;
    let heartbeat_file = heartbeat_file(&options.heartbeat_file, watchdog)?;
    let mut command = options.command.into_iter();
    let program = command.next().unwrap_or_default();
    let heartbeat_variable = OsString::from("HEARTBEAT_FILE");
    let mut environment: Vec<_> = environment
        .into_iter()
        .filter(|(name, _)| !variables.contains(name) && *name != heartbeat_variable)
        .chain([(heartbeat_variable.clone(), heartbeat_file.clone().into_os_string())])
        .collect();
    let hook = hook(options.on_event, &environment)?;
    let notifications = if options.notify { Notifications::Taken } else { Notifications::Refused };
    if options.notify {
        // What a service manager above has set is for the supervisor.
        environment.retain(|(name, _)| name != "WATCHDOG_USEC" && name != "WATCHDOG_PID");
    }
    if let (Watchdog::On { timeout, .. }, true) = (watchdog, options.notify) {
        let micros = u64::try_from(timeout.as_micros()).unwrap_or(u64::MAX);
        environment.push(("WATCHDOG_USEC".into(), micros.to_string().into()));
    }
    let name = program.to_string_lossy().into_owned();
    let status = options.status_file.map(|path| ("--status-file", path, Form::Status));
    let metrics = options.metrics_file.map(|path| ("--metrics-file", path, Form::Metrics(name)));
    let files: Vec<_> = [status, metrics].into_iter().flatten().collect();
    distinct(&heartbeat_file, &files)?;
    Ok(Settings {
        policy: Policy {
            watchdog,
            grace_period: options.grace_period,
            restart: options.restart,
            max_restarts: options.max_restarts,
            backoff: Backoff {
                factor: options.backoff_factor,
                ceiling: options.max_backoff,
                jitter: Jitter { parts_per_billion: options.backoff_jitter, seed: seed() },
            },
            reset_after: options.reset_after,
        },
        backend: Config {
            command: Command { program, arguments: command.collect(), environment },
            heartbeat_file: (watchdog != Watchdog::Off).then_some(heartbeat_file),
            stop_signal: options.stop_signal,
            hang_signal: options.hang_signal.unwrap_or(options.stop_signal),
            notifications,
            hook,
            tick: manager::feeding_interval(),
        },
        format: options.log_format,
        files: files.into_iter().map(|(option, path, form)| PublishedFile { option, path, form }).collect(),
        verbosity: match (options.quiet, options.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, 0) => Verbosity::Normal,
            (false, 1) => Verbosity::Verbose,
            (false, _) => Verbosity::Trace,
        },
    })
}

/// The supervisor must not write what it watches, nor one file over another.
fn distinct(heartbeat_file: &Path, files: &[(&str, PathBuf, Form)]) -> Result<(), Refusal> {
    let mut known = vec![("--heartbeat-file", heartbeat_file.to_owned())];
    for (option, path, _) in files {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        if let Some((other, _)) = known.iter().find(|(_, known)| *known == absolute) {
            let path = path.display();
            return Err(usage(format!("{option} {path}: is the file of {other} too; give another path")));
        }
        known.push((option, absolute));
    }
    Ok(())
}

/// A hook is looked for before anything is started.
fn hook(program: Option<OsString>, environment: &[(OsString, OsString)]) -> Result<Hook, Refusal> {
    let Some(program) = program else { return Ok(Hook::None) };
    if program.is_empty() {
        return Err(usage("invalid value '' for '--on-event <PROGRAM>': give a program".to_owned()));
    }
    // Sockets that were passed down are for the command.
    let environment = environment.iter().filter(|(name, _)| !name.as_encoded_bytes().starts_with(b"LISTEN_"));
    let command = Command { program, arguments: vec![], environment: environment.cloned().collect() };
    let wanted = command.clone();
    match within(patience::LONG, move || supervisor_backend_unix::find(&wanted).map(drop)) {
        Ok(()) => Ok(Hook::Run(command, Hooks::default())),
        Err(error) => {
            let remedy = match error.kind() {
                io::ErrorKind::PermissionDenied => "it cannot be executed; make it executable, as with chmod +x",
                io::ErrorKind::TimedOut => "its file system does not answer; give a program on another",
                _ => "there is no such program; give the path of one, or a name to be found in PATH",
            };
            let message = format!("--on-event {}: {remedy}", command.program.display());
            Err(Refusal { exit_code: exit_code::CANNOT_WORK, message })
        }
    }
}

/// `--no-heartbeat` and an option about hangs contradict each other on the command line. Elsewhere the command line
/// wins over the environment.
fn watchdog(options: &Options, matches: &ArgMatches) -> Result<Watchdog, Refusal> {
    let given = |id| matches.value_source(id) == Some(ValueSource::CommandLine);
    let about_hangs = HANG_OPTIONS.into_iter().find(|id| given(id));
    match (options.no_heartbeat, about_hangs) {
        (true, Some(id)) if given("no_heartbeat") => {
            let option = id.replace('_', "-");
            Err(usage(format!("--no-heartbeat turns hang detection off, and --{option} is about it: leave one out")))
        }
        (true, None) => Ok(Watchdog::Off),
        (true, Some(_)) | (false, _) => {
            Ok(Watchdog::On { timeout: options.timeout, initial_delay: options.initial_check_delay })
        }
    }
}

fn heartbeat_file(path: &Path, watchdog: Watchdog) -> Result<PathBuf, Refusal> {
    let cannot_work = |message| Refusal { exit_code: exit_code::CANNOT_WORK, message };
    if path.as_os_str().is_empty() {
        return Err(usage("invalid value '' for '--heartbeat-file <PATH>': give the path of a file".to_owned()));
    }
    let absolute = match (std::path::absolute(path), watchdog) {
        (Ok(absolute), _) => absolute,
        (Err(_), Watchdog::Off) => return Ok(path.to_owned()),
        (Err(error), Watchdog::On { .. }) => {
            let path = path.display();
            return Err(cannot_work(format!("--heartbeat-file {path}: give an absolute path: {error}")));
        }
    };
    if watchdog != Watchdog::Off && is_directory(&absolute) {
        let path = path.display();
        return Err(cannot_work(format!("--heartbeat-file {path}: is a directory; give the path of a file")));
    }
    Ok(absolute)
}

/// Whether there is a directory. A file system that does not answer soon has none; nor is it worth failing for.
fn is_directory(path: &Path) -> bool {
    let path = path.to_owned();
    let ask = move || if path.is_dir() { Ok(()) } else { Err(io::ErrorKind::NotADirectory.into()) };
    within(patience::SHORT, ask).is_ok()
}

/// What tells the random stretches of this supervisor from those of others.
fn seed() -> u64 {
    let mut seed = [0; 8];
    // Without random numbers, the process id has to do.
    let fallback = u64::from(std::process::id());
    match rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::NONBLOCK) {
        Ok(8) => u64::from_ne_bytes(seed),
        Ok(_) | Err(_) => fallback,
    }
}
